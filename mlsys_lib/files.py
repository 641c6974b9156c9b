"""Files that are whole or not there: written beside their place, then moved; a folder that one process owns."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

Place = str | os.PathLike[str]


def target(path: Place) -> Path:
    """The place of a file that is to be written.

    Parameters
    ----------
    path : path

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If its folder does not exist, or it is a folder itself.

    Examples
    --------
    >>> target("no such folder/note.txt")
    Traceback (most recent call last):
        ...
    ValueError: no such folder is no folder; make it first
    """
    place = Path(path)
    if not place.parent.is_dir():
        raise ValueError(f"{place.parent} is no folder; make it first")
    if place.is_dir():
        raise ValueError(f"{place} is a folder; name a file in it")
    return place


def write(path: Place, content: bytes) -> None:
    """Put bytes into a file, all of them or nothing, whatever happens meanwhile.

    Parameters
    ----------
    path : path
        What stands there is replaced: whoever must not lose it asks first.
    content : bytes

    Raises
    ------
    ValueError
        If there is no such folder, or it is a folder itself.

    Notes
    -----
    Written to a temporary file in the same folder, flushed to the disk, then renamed, which is one step.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "note.txt"
    >>> write(place, b"whole")
    >>> place.read_bytes(), [file.name for file in place.parent.iterdir()]
    (b'whole', ['note.txt'])
    """
    place = target(path)
    # Of this writer alone: two threads, or two processes, may write the same file.
    scratch = Path(f"{place}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, place)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


@contextmanager
def alone(folder: Place) -> Iterator[None]:
    """Own a folder for a while; the system lets go of it whatever ends the process.

    Parameters
    ----------
    folder : path
        Made where it is missing.

    Raises
    ------
    BlockingIOError
        If another process owns it, or its lock cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "mine"
    >>> with alone(folder):
    ...     with alone(folder):
    ...         pass
    Traceback (most recent call last):
        ...
    BlockingIOError: the folder ... cannot be owned (database is locked); end the process that works in it, or take another
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(place / "lock.db", timeout=0, isolation_level=None)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as error:
            raise BlockingIOError(
                f"the folder {place} cannot be owned ({error}); end the process that works in it, or take another"
            ) from None
        yield
