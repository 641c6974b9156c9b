"""The raw tables: five tables, two years, exactly as published, checked on every read.

Nothing is mended here. `mlsys_lib/tables/README.md` tells where the files come from, under which
licence, and what is known to be wrong with them. `python -m mlsys_lib.data` checks all ten.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlsys_lib import checks

TABLES = ("flights", "weather", "planes", "airports", "airlines")
YEARS = (2013, 2023)
HELD = " and ".join(map(str, YEARS))
_FOLDER = Path(__file__).parent / "tables"


class DataError(Exception):
    """A table that does not exist, or whose file is missing, truncated or altered."""


def path(name: str, year: int) -> Path:
    """Where the Parquet file of a table lies, for tools that read files themselves.

    Parameters
    ----------
    name : str
        One of `TABLES`.
    year : int
        One of `YEARS`.

    Returns
    -------
    pathlib.Path
        The file; it is not opened and not checked.

    Raises
    ------
    DataError
        If there is no such table or year.

    Examples
    --------
    >>> path("flights", 2013).name
    'flights_2013.parquet'
    """
    if name not in TABLES:
        raise DataError(f"no table {name!r}; choose one of {', '.join(TABLES)}")
    if not isinstance(year, Integral) or year not in YEARS:
        raise DataError(f"no year {year!r}; the data holds {HELD}, as whole numbers")
    return _FOLDER / f"{name}_{year}.parquet"


def load(name: str, year: int) -> pd.DataFrame:
    """Read one raw table, after checking that its file is the one that was shipped.

    Parameters
    ----------
    name : str
        One of `TABLES`: flights, weather, planes, airports, airlines.
    year : int
        One of `YEARS`: 2013 or 2023.

    Returns
    -------
    pandas.DataFrame of shape (n_rows, n_columns)
        Whole numbers as Int32 (a missing one is ``<NA>``), measurements as float64, text as text,
        `time_hour` as a timestamp in UTC *as stamped by the publisher*. Delays and flight times are in
        minutes, distances in miles, temperatures in degrees Fahrenheit, wind in miles an hour,
        precipitation in inches, pressure in millibars, visibility in miles.

    Raises
    ------
    DataError
        If there is no such table, or its file is missing, truncated or altered.

    Examples
    --------
    The defects come along: a departure at midnight is written as 2400.

    >>> flights = load("flights", 2013)
    >>> flights.shape
    (336776, 19)
    >>> int((flights.dep_time == 2400).sum())
    29
    """
    # From its bytes: pyarrow reads a column out of a folder that is named year=2024.
    with pq.ParquetFile(pa.BufferReader(_checked(path(name, year)))) as file:
        table: pd.DataFrame = file.read().to_pandas(types_mapper={pa.int32(): pd.Int32Dtype()}.get)
    return table


def fingerprint() -> str:
    """The version of the data: the first digits of a hash over the manifest's checksums.

    Returns
    -------
    str
        12 hexadecimal digits; other tables, other digits.

    Examples
    --------
    >>> len(fingerprint())
    12
    """
    return _digest({name: entry["sha256"] for name, entry in _manifest().items()})


def code_fingerprint(*, modules: Iterable[str] | None = None) -> str:
    """Which code made this: the first digits of a hash over the library's own sources.

    Parameters
    ----------
    modules : iterable of str, optional
        Names of modules, such as ``["data", "world"]``; all of the library unless given.

    Returns
    -------
    str
        12 hexadecimal digits; other sources, other digits.

    Raises
    ------
    ValueError
        If there is no such module.

    Examples
    --------
    >>> len(code_fingerprint())
    12
    >>> code_fingerprint(modules=["world", "data"]) == code_fingerprint(modules=["data", "world"])
    True
    """
    sources = {file.stem: file for file in Path(__file__).parent.glob("*.py")}
    chosen = list(sources if modules is None else modules)
    for name in chosen:
        checks.one_of(name, sorted(sources), "module")
    return _digest({name: sources[name].read_text(encoding="utf-8") for name in chosen})


def verify() -> None:
    """Check all ten files, and say so line by line.

    Raises
    ------
    DataError
        At the first that is missing, truncated or altered.
    """
    for year in YEARS:
        for name in TABLES:
            file = path(name, year)
            _checked(file)
            print(f"ok  {name:8} {year}  {_manifest()[file.name]['rows']:>7,} rows")


def _digest(parts: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


@cache
def _manifest() -> dict[str, dict[str, Any]]:
    file = _FOLDER / "manifest.json"
    try:
        manifest: dict[str, dict[str, Any]] = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise _damage(file, f"missing or damaged ({error})") from None
    return manifest


def _checked(file: Path) -> bytes:
    if not file.is_file():
        raise _damage(file, "missing")
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != _manifest()[file.name]["sha256"]:
        raise _damage(file, "truncated or altered: its SHA-256 is not that of manifest.json")
    return content


def _damage(file: Path, what: str) -> DataError:
    remedy = f"bring it back with: git checkout -- {file.name} (in {file.parent})"
    return DataError(f"{file} is {what}; {remedy}")


if __name__ == "__main__":
    try:
        verify()
    except DataError as error:
        raise SystemExit(str(error)) from None
