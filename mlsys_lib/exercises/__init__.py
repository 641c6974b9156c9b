"""One module a chapter, and the checker that they share."""

import importlib
import pkgutil
from datetime import date
from pathlib import Path

from mlsys_lib.exercises import record
from mlsys_lib.exercises.checker import Exercise

__all__ = ["certificate", "chapters", "progress"]


def chapters() -> dict[str, list[Exercise]]:
    """The exercises of each chapter module, in the order in which they stand.

    Examples
    --------
    >>> [e.name for e in chapters()["ch02_data_engineering"]]
    ['to_utc', 'bytes_touched', 'engines', 'contract']
    """
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name[2:4].isdigit())
    modules = {name: importlib.import_module(f"mlsys_lib.exercises.{name}") for name in names}
    return {
        name: [e for e in vars(m).values() if isinstance(e, Exercise)]
        for name, m in modules.items()
    }


def progress() -> record.Progress:
    """What you have solved, tried and not begun, by chapter, and the next exercise: also ``make progress``.

    Raises
    ------
    ValueError
        If the record of progress cannot be read; it is left as it is.

    Examples
    --------
    >>> progress().next
    'ch01_framing.expected_cost'
    """
    names = {chapter: [e.name for e in all_] for chapter, all_ in chapters().items()}
    file = record.place()
    if file is None:
        return record.Progress(names, kept=record.NO_PLACE)
    kept = record.read(file)
    return record.Progress(names, frozenset(kept["solved"]), frozenset(kept["tried"]))


def certificate(name: str = "", *, file: str | Path = "certificate.html") -> Path:
    """Write a page to print, once all exercises are solved.

    Parameters
    ----------
    name : str, optional
        Your name as it shall stand there; without one the page bears none.
    file : str or Path, default "certificate.html"
        A file that does not exist yet.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        If an exercise is not solved; it names the next one.
    FileExistsError
        If the file exists; it stays as it is.
    """
    target = Path(file)
    record.save_new(target, record.certified(progress(), name, date.today()))
    return target
