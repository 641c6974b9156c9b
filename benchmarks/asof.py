"""How fast is the as-of join, beside what else one would write? 300,000 decisions of 2013, one run.

    python benchmarks/asof.py [--repeat 3]

Each decision gets the latest weather report of its origin that had reached the desk. `examples` also
checks its input, brings the schedule and the labels; its join alone is the second line. Every route
must give the same values. Times are the best of the repeats, in seconds; the ratio is to pandas.
"""

import argparse
import time

import duckdb
import numpy as np
import pandas as pd
import polars as pl

from mlsys_lib import World, examples
from mlsys_lib.world import MEASURED

WORLD = World("2013-12-31").hindsight()
DECISIONS = WORLD.decisions().head(300_000)
ORIGIN = examples(WORLD, DECISIONS).origin
LEFT = DECISIONS.assign(
    origin=ORIGIN, row=range(len(DECISIONS)), decided_at=DECISIONS.decided_at.dt.as_unit("us")
)
RIGHT = (
    WORLD.weather()
    .assign(available_at=lambda t: t.available_at.dt.as_unit("us"))
    .drop(columns="event_time")
)
P_LEFT, P_RIGHT = pl.from_pandas(LEFT), pl.from_pandas(RIGHT)
DUCK = duckdb.connect()
for name, table in {"decided": LEFT, "observed": RIGHT}.items():
    DUCK.register("frame", table)
    DUCK.execute(f"CREATE TABLE {name} AS SELECT * FROM frame")
    DUCK.unregister("frame")


def library() -> np.ndarray:
    return examples(WORLD, DECISIONS)[MEASURED].to_numpy()


def with_pandas() -> np.ndarray:
    left, right = LEFT.sort_values("decided_at"), RIGHT.sort_values("available_at")
    joined = pd.merge_asof(left, right, left_on="decided_at", right_on="available_at", by="origin")
    return joined.sort_values("row")[MEASURED].to_numpy()


def with_polars() -> np.ndarray:
    left, right = P_LEFT.sort("decided_at"), P_RIGHT.sort("available_at")
    joined = left.join_asof(
        right, left_on="decided_at", right_on="available_at", by="origin", check_sortedness=False
    )
    return joined.sort("row").select(MEASURED).to_numpy()


def with_duckdb() -> np.ndarray:
    columns = ", ".join(f"o.{name}" for name in MEASURED)
    joined = DUCK.execute(
        f"SELECT {columns} FROM decided d ASOF LEFT JOIN observed o "
        "ON d.origin = o.origin AND d.decided_at >= o.available_at ORDER BY d.row"
    ).df()
    return joined[MEASURED].to_numpy()


ROUTES = {
    "pandas.merge_asof": with_pandas,
    "mlsys_lib.examples (join, schedule, labels, checks)": library,
    "polars join_asof": with_polars,
    "DuckDB ASOF JOIN": with_duckdb,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    print(
        f"{len(DECISIONS):,} decisions, {len(RIGHT):,} reports\n{'':52} seconds   ratio  values that differ"
    )
    limit, reference = 0.0, None
    for name, route in ROUTES.items():
        times = []
        for _ in range(repeat):
            start = time.perf_counter()
            values = route()
            times.append(time.perf_counter() - start)
        limit, reference = limit or min(times), values if reference is None else reference
        wrong = int((~((values == reference) | (np.isnan(values) & np.isnan(reference)))).sum())
        print(f"{name:52} {min(times):7.2f} {min(times) / limit:7.1f}  {wrong}")


if __name__ == "__main__":
    main()
