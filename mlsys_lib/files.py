"""Files that are whole or not there: written beside their place, then moved; a folder that one process owns."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

Place = str | os.PathLike[str]


def write(path: Place, content: bytes) -> None:
    """Put bytes into a file, all of them or nothing, whatever happens meanwhile.

    Parameters
    ----------
    path : path
        What stands there is replaced: whoever must not lose it asks first.
    content : bytes

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
    scratch = Path(f"{os.fspath(path)}.{os.getpid()}.tmp")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
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
        If another process owns it.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(place / "lock.db", timeout=0, isolation_level=None)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise BlockingIOError(
                f"another process works in the folder {place} ({error}); end it, or take another folder"
            ) from None
        yield
