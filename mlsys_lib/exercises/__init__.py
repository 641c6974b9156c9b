"""One module a chapter, and the checker that they share."""

import importlib
import pkgutil

from mlsys_lib.exercises.checker import Exercise

__all__ = ["chapters"]


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
