"""How fast is a drift check, beside what else one would use? Twelve mixed columns, one run.

    python benchmarks/drift.py [--repeat 5] [--rows rows.parquet]

The reference holds 300,000 decisions of 2013 and 2023, drawn at random; 50,000 and 1,000 others are
checked against it. Every route computes the same statistics, Kolmogorov-Smirnov for nine numbers and
chi-squared for three names, and must give the same values; alibi-detect and scipy get names as codes, and
p-values come with theirs. Times are CPU time of one thread, so that a busy machine does not count, and
the best of the repeats; `fit` is what is paid once a reference.
The other statistics below stand for themselves.

evidently and nannyml are compared where they are installed. They hold other packages back (evidently 0.7
does not import with pandas 3), take 2 GB, and nannyml imports statsmodels, which it does not declare; so they
get an environment of their own, and the same rows from the file that the first run writes:

    uv venv bench_env
    uv pip install --python bench_env/bin/python evidently nannyml statsmodels \
        'ibis-framework[duckdb]' 'sqlglot<30.16' 'pandas<3'
    PYTHONPATH=. bench_env/bin/python benchmarks/drift.py --rows rows.parquet
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NML_DISABLE_USAGE_LOGGING", "1")

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, ks_2samp

from mlsys_lib import World
from mlsys_lib.alibi import Alibi
from mlsys_lib.distances import Names, Numbers
from mlsys_lib.drift import Binned, RandomFeatures
from mlsys_lib.features import CATEGORIES
from mlsys_lib.store import history

NUMBERS = [
    "temp",
    "pressure",
    "wind_speed",
    "dep_minute",
    "distance",
    "hour_flights",
    "origin_landed_late_24h",
    "carrier_landed_late_24h",
    "origin_left_delay_3h",
]
COLUMNS = [*NUMBERS, *CATEGORIES]
SIZE = 300_000


def decisions() -> pd.DataFrame:
    """All of both years, complete, in random order; the names as a service would keep them."""
    tables = []
    for year in (2013, 2023):
        world = World(f"{year}-12-31").hindsight()
        made = history(world, since=f"{year}-01-02")
        tables.append(made[["flight_id", "decided_at", *COLUMNS]].dropna())
    rows = pd.concat(tables, ignore_index=True).sample(frac=1, random_state=0, ignore_index=True)
    return rows.astype(dict.fromkeys(CATEGORIES, "category"))


def best(work: Callable[[], object], repeat: int) -> float:
    times = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


class Own:
    """The kernels, over all columns."""

    def __init__(self, reference: pd.DataFrame) -> None:
        self.known = {
            c: Names(reference[c]) if c in CATEGORIES else Numbers(reference[c]) for c in COLUMNS
        }

    def __call__(self, new: pd.DataFrame) -> list[float]:
        return [
            k.chi2(new[c]) if isinstance(k, Names) else k.ks(new[c]) for c, k in self.known.items()
        ]


class Scipy:
    """A loop over the columns."""

    def __init__(self, reference: pd.DataFrame) -> None:
        self.reference = reference

    def __call__(self, new: pd.DataFrame) -> list[float]:
        found = [ks_2samp(self.reference[c], new[c], method="asymp").statistic for c in NUMBERS]
        for c in CATEGORIES:
            size = len(new[c].cat.categories)
            table = np.array(
                [np.bincount(rows[c].cat.codes, minlength=size) for rows in (self.reference, new)]
            )
            seen = table[:, table.sum(axis=0) > 0]
            found.append(chi2_contingency(seen, correction=False).statistic)
        return found


class AlibiTabular:
    """alibi-detect's own detector on its own kind of input: one matrix."""

    def __init__(self, reference: pd.DataFrame) -> None:
        self.detector = Alibi("TabularDrift", COLUMNS).fit(reference)

    def __call__(self, new: np.ndarray) -> list[float]:
        return list(self.detector._detector.predict(new)["data"]["distance"])


def routes(reference: pd.DataFrame, new: pd.DataFrame, repeat: int) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    values = {}
    ways: dict[str, Callable] = {"ours": Own, "scipy loop": Scipy}
    if find_spec("alibi_detect"):
        ways["alibi-detect TabularDrift"] = AlibiTabular
    for name, way in ways.items():
        if name.startswith("alibi"):
            way(reference.head(100))  # its import is not its work
        start = time.process_time()
        made = way(reference)
        fit = time.process_time() - start
        given = made.detector._matrix(new) if isinstance(made, AlibiTabular) else new
        values[name] = np.array(made(given), float)
        table[name] = {"fit": fit, "check": best(lambda: made(given), repeat)}  # noqa: B023
    for name, found in values.items():
        gap = np.abs(found / values["scipy loop"] - 1).max()
        table[name]["apart"] = float(gap)
        assert gap < 1e-3, (name, found, values["scipy loop"])
    return table


def others(reference: pd.DataFrame, new: pd.DataFrame, repeat: int) -> dict[str, dict[str, float]]:
    """Statistics that stand for themselves, and packages with an environment of their own."""
    table = {}
    for name, detector in {
        "PSI": Binned(columns=COLUMNS),
        "MMD, 2,048": RandomFeatures(columns=COLUMNS),
    }.items():
        start = time.process_time()
        detector.fit(reference)
        fit = time.process_time() - start
        table[name] = {"fit": fit, "check": best(lambda: detector.score(new), repeat)}  # noqa: B023
    if find_spec("evidently"):
        from evidently import Report
        from evidently.presets import DataDriftPreset

        report = Report([DataDriftPreset(num_method="ks", cat_method="chisquare")])
        run = lambda: report.run(new[COLUMNS], reference[COLUMNS])  # noqa: E731
        table["evidently DataDriftPreset"] = {"fit": np.nan, "check": best(run, 1)}
    if find_spec("nannyml"):
        import nannyml

        calculator = nannyml.UnivariateDriftCalculator(
            column_names=COLUMNS,
            treat_as_categorical=CATEGORIES,
            continuous_methods=["kolmogorov_smirnov"],
            categorical_methods=["chi2"],
            chunk_size=len(new),
        )
        start = time.process_time()
        calculator.fit(reference[COLUMNS])
        fit = time.process_time() - start
        run = lambda: calculator.calculate(new[COLUMNS])  # noqa: E731
        table["nannyml univariate"] = {"fit": fit, "check": best(run, repeat)}
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--rows", type=Path, help="a Parquet file of the rows; written if missing")
    parser.add_argument("--json", action="store_true", help="figures for another program")
    asked = parser.parse_args()
    if asked.rows and asked.rows.exists():
        rows = pd.read_parquet(asked.rows)
    else:
        rows = decisions()
        if asked.rows:
            rows.to_parquet(asked.rows)
    reference = rows.iloc[:SIZE]
    result = {}
    for size in (50_000, 1_000):
        new = rows.iloc[SIZE : SIZE + size]
        table = routes(reference, new, asked.repeat) | others(reference, new, asked.repeat)
        for row in table.values():
            row["ratio"] = row["check"] / table["ours"]["check"]
        result[f"{SIZE:,} against {size:,}"] = table
    if asked.json:
        print(json.dumps(result))
        return
    for title, table in result.items():
        print(f"\n{title}, milliseconds")
        shown = pd.DataFrame(table).T
        shown[["fit", "check"]] *= 1000
        print(shown[["fit", "check", "ratio", "apart"]].to_string(float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
