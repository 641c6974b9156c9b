"""The offline store: every decision with its features and its label, made once and kept on disk.

`history` gives what `mlsys_lib.features.batch` gives for all decisions that the desk has taken, in a
fraction of a second. It reads a table that was made in hindsight, once for a year of data and a reporting
lag, and hides what the world does not know yet. That is sound because only labels change
with the clock: features see what had reached the desk at the moment of the decision, whoever asks later.

The tables lie as Parquet where the system keeps caches, or in the folder that the environment variable
`MLSYS_CACHE` names. A file's name holds a hash of all that it was made of: other data, code, packages or
arguments, another file. `python -m mlsys_lib.store` makes both years; with ``--clear`` it removes all.
"""

import argparse
import hashlib
import io
import json
import os
import warnings
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from platformdirs import user_cache_path
from tqdm import tqdm

from mlsys_lib import checks, data
from mlsys_lib.checks import Moment
from mlsys_lib.features import batch
from mlsys_lib.files import write
from mlsys_lib.world import AFTERMATH_DAYS, AvailabilityError, World, local_day

LIMIT = 500_000_000  # bytes that the kept tables may take together
MADE_BY = ("checks", "data", "features", "files", "store", "world")
# Of what this process runs: the files may be changed while it does.
CODE = data.code_fingerprint(modules=MADE_BY)
_PACKAGES = ("duckdb", "ibis-framework", "numpy", "pandas", "pyarrow")
_SOON = pd.Timedelta(days=AFTERMATH_DAYS - 2)  # the last flights land on the second of January
_ROWS = 2**15  # that are read or skipped together
_PARTS = 4  # in which a year is made, for the progress bar; each costs a second more


def history(
    world: World, *, since: Moment | None = None, split: Moment | None = None
) -> pd.DataFrame:
    """Every decision that the desk has taken by now, with its features, and its label as known by now.

    Parameters
    ----------
    world : World
        Its clock decides which decisions have been taken and which labels have matured.
    since : str or pandas.Timestamp, optional
        Only flights scheduled to depart at or after this moment.
    split : str or pandas.Timestamp, optional
        A moment, not after the clock, at which a model is to be trained.

    Returns
    -------
    pandas.DataFrame of shape (n_decisions, n_columns)
        What ``batch(world, world.decisions(since=since))`` gives, and `day`, the day in New York of
        scheduled departure. With `split` the column `split` as well: ``train`` (decided and its label known by then), ``gap`` (decided before, its label not known by then, or never to
        be) or ``test`` (decided then or later).

    Raises
    ------
    ValueError
        If `since` or `split` is no moment.
    AvailabilityError
        If `split` lies after the clock.

    Notes
    -----
    The first call for a year takes about a quarter of a minute and shows its progress on stderr.
    Where the table cannot be kept, a warning says so, and each call makes it anew.

    Examples
    --------
    The week before noon of 22 April 2013, and what a model that is trained then can learn from:

    >>> rows = history(World("2013-04-23"), since="2013-04-15", split="2013-04-22 16:00")
    >>> rows.groupby("split").late.agg(["size", "mean"]).round(2)
           size  mean
    split
    gap     574  0.55
    test    481  0.69
    train  6641  0.29
    """
    years = [year for year in data.YEARS if year <= world.now.year]
    asked = pc.field("decided_at") <= world.now
    if since is not None:
        asked &= pc.field("sched_dep") >= checks.moment(since, "since")
    tables = [_kept(year, world.lag, asked) for year in years]
    rows: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    # Labels are those of flights that are scheduled to have left.
    known = (rows.labelled_at <= world.now) & (rows.sched_dep <= world.now)
    rows = rows.assign(
        late=rows.late.where(known),
        label_status=rows.label_status.where(known, "pending"),
        labelled_at=rows.labelled_at.where(known),
    )
    return rows if split is None else rows.assign(split=_sides(rows, world, split))


def _sides(rows: pd.DataFrame, world: World, split: Moment) -> npt.NDArray[np.str_]:
    moment = checks.moment(split, "split")
    if moment > world.now:
        raise AvailabilityError(f"split={split!r} is after the clock, {world.now:%Y-%m-%d %H:%MZ}")
    learned = rows.late.notna() & (rows.labelled_at <= moment)
    return np.select([rows.decided_at >= moment, learned], ["test", "train"], "gap")


def _folder() -> Path:
    return Path(os.environ.get("MLSYS_CACHE") or user_cache_path("mlsys-lib"))


def _kept(year: int, lag: pd.Timedelta, asked: pc.Expression) -> pa.Table:
    """Of a year's table in hindsight what is asked for: from its file, or made and put there."""
    made_of = [data.fingerprint(), CODE, *map(version, _PACKAGES), str(lag)]
    mark = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
    file = _folder() / f"decisions_{year}_{mark}.parquet"
    # What cannot be read, for whatever reason, is made again.
    with suppress(OSError, pa.ArrowException):
        return pq.read_table(
            file, filters=asked, partitioning=None, page_checksum_verification=True
        )
    table = pa.Table.from_pandas(_made(year, lag), preserve_index=False)
    content = io.BytesIO()
    pq.write_table(
        table, content, compression="zstd", write_page_checksum=True, row_group_size=_ROWS
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, content.getvalue())
    except OSError as error:
        warnings.warn(f"the table of {year} was made, but nothing was kept: {error}", stacklevel=3)
    with suppress(OSError):  # another process may be removing the same files
        _bound(file)
    return table.filter(asked)


def _made(year: int, lag: pd.Timedelta) -> pd.DataFrame:
    # What comes later than a year's own hindsight, a world of the last year knows, if any does.
    seen_in = year if lag < _SOON else data.YEARS[-1]
    world = World(f"{seen_in}-12-31", lag=lag).hindsight()
    asked = world.decisions(since=f"{year}-01-01")
    asked = asked[asked.flight_id.str.startswith(f"{year}-")]
    title = f"Making the table of {year}'s decisions, once (about 15 s)"
    places = tqdm(np.array_split(range(len(asked)), _PARTS), desc=title, unit="part")
    parts = [batch(world, asked.iloc[place]) for place in places]
    rows = pd.concat(parts, ignore_index=True)
    return rows.assign(day=local_day(rows.sched_dep))


def _files() -> list[Path]:
    """What is kept, and what a process that was killed left behind; the oldest first."""
    return sorted(_folder().glob("decisions_*.parquet*"), key=lambda file: file.stat().st_mtime)


def _bound(made: Path) -> None:
    files = _files()
    total = sum(file.stat().st_size for file in files)
    for file in files:
        if total > LIMIT and file != made:
            total -= file.stat().st_size
            file.unlink()


def _main() -> None:
    parser = argparse.ArgumentParser(description="Make the tables of decisions, and keep them.")
    parser.add_argument("--clear", action="store_true", help="remove what is kept instead")
    if parser.parse_args().clear:
        for file in _files():
            file.unlink(missing_ok=True)
            print(f"removed {file}")
    else:
        for year in data.YEARS:
            print(f"{year}: {len(history(World(f'{year}-12-31'))):,} decisions")


if __name__ == "__main__":
    _main()
