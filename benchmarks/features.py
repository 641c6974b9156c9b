"""How fast are the rolling features, beside what else one would write? One year, one run.

    python benchmarks/features.py [--repeat 3]

Every route gets the same reports and decisions of 2013, already in the form it likes best (arrays,
data frames, tables in DuckDB), and must give the same values. Times are the best of the repeats, in
seconds; the ratio is to numpy's binary search in running totals, the least that this can cost here.
"""

import argparse
import bisect
import time
from collections.abc import Callable, Sequence

import duckdb
import ibis
import numpy as np
import pandas as pd
import polars as pl

from mlsys_lib import World, examples
from mlsys_lib.events import reports
from mlsys_lib.features import CATEGORIES, ROLLING, Rolling, published, rolling
from mlsys_lib.stream import Stream
from mlsys_lib.world import LATE

WORLD = World("2013-12-31").hindsight()
DECISIONS = examples(WORLD, WORLD.decisions())[["flight_id", "decided_at", *CATEGORIES]]
DELAY = {"departures": "dep_delay", "arrivals": "arr_delay"}
REPORTS = {
    topic: getattr(WORLD, topic)()[[*CATEGORIES, "available_at", delay]]
    .rename(columns={delay: "delay"})
    .assign(
        available_at=lambda t: t.available_at.dt.as_unit("us"),
        late=lambda t: (t.delay >= LATE).astype("int64"),
    )
    for topic, delay in DELAY.items()
}
DECISIONS["decided_at"] = DECISIONS.decided_at.dt.as_unit("us")
ASKED = DECISIONS.assign(row=DECISIONS.index).sort_values("decided_at", kind="stable")
P_REPORTS = {topic: pl.from_pandas(table) for topic, table in REPORTS.items()}
P_ASKED = pl.from_pandas(ASKED)
EVENTS = list(reports(WORLD))
DUCK = duckdb.connect()
for name, table in {**REPORTS, "asked": DECISIONS.assign(row=DECISIONS.index)}.items():
    DUCK.register("frame", table)
    DUCK.execute(f"CREATE TABLE {name} AS SELECT * FROM frame")
    DUCK.unregister("frame")
ENGINE = ibis.duckdb.from_connection(DUCK)

Values = np.ndarray
TOTALS = ["count", "late", "delay"]


def figure(feature: Rolling, count: Values, late: Values, delay: Values) -> Values:
    if feature.figure == "count":
        return np.nan_to_num(count)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (late if feature.figure == "late rate" else delay) / count


def numpy_search(feature: Rolling) -> Values:
    table = REPORTS[feature.topic]
    by = list(feature.by)
    code = pd.concat([table[by], DECISIONS[by]]).groupby(by, sort=False).ngroup().to_numpy()
    # One number for key and microsecond, so that one search serves all keys.
    place = code * 2**51 + np.r_[
        table.available_at.to_numpy("M8[us]"), DECISIONS.decided_at.to_numpy("M8[us]")
    ].astype("int64")
    known, wanted = place[: len(table)], place[len(table) :]
    order = np.argsort(known, kind="stable")
    low = np.searchsorted(known[order], wanted - feature.hours * 3_600_000_000, side="right")
    high = np.searchsorted(known[order], wanted, side="right")
    grown = []
    for values in (np.ones(len(table)), table.late.to_numpy(), table.delay.to_numpy()):
        total = np.r_[0, np.cumsum(values[order])]
        grown.append(total[high] - total[low])
    return figure(feature, *grown)


def pandas_asof(feature: Rolling) -> Values:
    table, by = REPORTS[feature.topic].assign(count=1), list(feature.by)
    totals = table[[*by, "available_at"]].join(table.groupby(by)[TOTALS].cumsum())
    found = []
    for back in (0, feature.hours):
        moments = ASKED[[*by, "row"]].assign(
            at=ASKED.decided_at - pd.Timedelta(hours=back).as_unit("us")
        )
        joined = pd.merge_asof(moments, totals, left_on="at", right_on="available_at", by=by)
        found.append(joined.set_index("row")[TOTALS].fillna(0).sort_index().to_numpy())
    return figure(feature, *(found[0] - found[1]).T)


def polars_asof(feature: Rolling) -> Values:
    by = list(feature.by)
    totals = (
        P_REPORTS[feature.topic]
        .with_columns(pl.lit(1).alias("count"))
        .select(*by, "available_at", *(pl.col(part).cum_sum().over(by) for part in TOTALS))
    )
    found = []
    for back in (0, feature.hours):
        moments = P_ASKED.select(*by, "row", at=pl.col("decided_at") - pl.duration(hours=back))
        joined = moments.join_asof(
            totals, left_on="at", right_on="available_at", by=by, check_sortedness=False
        )
        found.append(joined.sort("row").select(TOTALS).fill_null(0).to_numpy())
    return figure(feature, *(found[0] - found[1]).T)


def duckdb_asof(feature: Rolling) -> Values:
    by = ", ".join(feature.by)
    keys = " AND ".join(f"a.{name} = t.{name}" for name in feature.by)
    ends = [
        f"(SELECT a.row, t.n, t.l, t.d FROM asked a ASOF LEFT JOIN totals t ON {keys} "
        f"AND a.decided_at - INTERVAL {back} HOURS >= t.available_at)"
        for back in (0, feature.hours)
    ]
    parts = ", ".join(f"coalesce(e.{part}, 0) - coalesce(s.{part}, 0) AS {part}" for part in "nld")
    result = DUCK.execute(
        f"WITH totals AS (SELECT {by}, available_at, sum(1) OVER w AS n, sum(late) OVER w AS l, sum(delay) OVER w AS d "
        f"FROM {feature.topic} WINDOW w AS (PARTITION BY {by} ORDER BY available_at RANGE UNBOUNDED PRECEDING)) "
        f"SELECT {parts} FROM {ends[0]} e JOIN {ends[1]} s ON e.row = s.row ORDER BY e.row"
    ).fetchnumpy()
    return figure(feature, *(np.asarray(result[part], float) for part in "nld"))


def duckdb_range(feature: Rolling) -> Values:
    by = ", ".join(feature.by)
    window = f"PARTITION BY {by} ORDER BY ts RANGE BETWEEN {feature.hours * 3600 - 1} PRECEDING AND CURRENT ROW"
    result = DUCK.execute(
        f"SELECT n, l, d FROM (SELECT number, sum(one) OVER w AS n, sum(late) OVER w AS l, sum(delay) OVER w AS d FROM ("
        f"SELECT {by}, epoch(available_at)::BIGINT AS ts, -1 AS number, 1 AS one, late, delay FROM {feature.topic} "
        f"UNION ALL SELECT {by}, epoch(decided_at)::BIGINT, row, 0, 0, 0 FROM asked) WINDOW w AS ({window})) "
        "WHERE number >= 0 ORDER BY number"
    ).fetchnumpy()
    return figure(feature, *(np.asarray(result[part], float) for part in "nld"))


def plain_loop(feature: Rolling) -> Values:
    known: dict[tuple[str, ...], list] = {}
    table = REPORTS[feature.topic]
    for key, at, late, delay in zip(
        zip(*(table[name] for name in feature.by), strict=True),
        table.available_at.to_numpy("M8[us]").astype("int64").tolist(),
        table.late.tolist(),
        table.delay.tolist(),
        strict=True,
    ):
        known.setdefault(key, []).append((at, late, delay))
    found = []
    moments = DECISIONS.decided_at.to_numpy("M8[us]").astype("int64").tolist()
    for key, at in zip(
        zip(*(DECISIONS[name] for name in feature.by), strict=True), moments, strict=True
    ):
        own = known.get(key, [])
        place, since = bisect.bisect_right(own, (at, np.inf)), at - feature.hours * 3_600_000_000
        count = late = delay = 0
        while place and own[place - 1][0] > since:
            place -= 1
            count, late, delay = count + 1, late + own[place][1], delay + own[place][2]
        found.append((count, late, delay))
    return figure(feature, *np.array(found, float).T)


def library_batch(features: Sequence[Rolling]) -> list[Values]:
    tables = [ENGINE.table(topic).rename(**{delay: "delay"}) for topic, delay in DELAY.items()]
    found = (
        rolling(*tables, ENGINE.table("asked"), features=features).to_pandas().sort_values("row")
    )
    return [found[feature.name].to_numpy(float) for feature in features]


def library_stream(features: Sequence[Rolling]) -> list[Values]:
    found = Stream(published(WORLD), features=features).play(EVENTS, DECISIONS)
    return [found[feature.name].to_numpy(float) for feature in features]


def each(route: Callable[[Rolling], Values]) -> Callable[[Sequence[Rolling]], list[Values]]:
    return lambda features: [route(feature) for feature in features]


ROUTES = {
    "numpy, searchsorted in running totals": each(numpy_search),
    "polars, join_asof in running totals": each(polars_asof),
    "pandas, merge_asof in running totals": each(pandas_asof),
    "DuckDB, ASOF JOIN in running totals": each(duckdb_asof),
    "DuckDB, sum over a RANGE window": each(duckdb_range),
    "mlsys_lib.features.rolling (Ibis on DuckDB)": library_batch,
    "mlsys_lib.features.Stream (with schedule, weather)": library_stream,
    "plain Python loop": each(plain_loop),
}
# Minutes of loop for twelve features would tell nothing new.
ONCE = ("plain Python loop",)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    by_name = {feature.name: feature for feature in ROLLING}
    for title, features in {
        "one feature: origin_left_late_1h": [by_name["origin_left_late_1h"]],
        f"all {len(ROLLING)} rolling features": list(ROLLING),
    }.items():
        print(
            f"\n{title}, {len(DECISIONS):,} decisions\n{'':52} seconds   ratio  values that differ"
        )
        limit, reference = 0.0, []
        for name, route in ROUTES.items():
            if name in ONCE and len(features) > 1:
                continue
            times = []
            for _ in range(1 if "Stream" in name or name in ONCE else repeat):
                start = time.perf_counter()
                values = route(features)
                times.append(time.perf_counter() - start)
            limit, reference = limit or min(times), reference or values
            wrong = sum(
                int((~((a == b) | (np.isnan(a) & np.isnan(b)))).sum())
                for a, b in zip(values, reference, strict=True)
            )
            print(f"{name:52} {min(times):7.2f} {min(times) / limit:7.1f}  {wrong}")


if __name__ == "__main__":
    main()
