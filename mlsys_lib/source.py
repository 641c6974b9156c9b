"""The library's own text, shown where a chapter has come to it: read from the file, so it cannot differ."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


class Source:
    """Code that a notebook shows as code; made by `show_source`."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return f"`{self.name}`:\n\n```python\n{self.text}\n```"


def show_source(thing: Callable[..., Any]) -> Source:
    """The code of a function, a method or a class of the library, without its docstring.

    Parameters
    ----------
    thing : callable
        Such as ``release.slices`` or ``World.labels``.

    Returns
    -------
    Source
        Shown as highlighted code in a notebook, printed as text elsewhere.

    Raises
    ------
    TypeError
        If it has no source in Python.

    Examples
    --------
    >>> from mlsys_lib.metrics import break_even
    >>> print(str(show_source(break_even)).splitlines()[0])
    def break_even(miss: float, false_alarm: float) -> float:
    """
    try:
        text = textwrap.dedent(inspect.getsource(thing))
    except (TypeError, OSError):
        raise TypeError(
            f"{thing!r} has no source in Python; give a function or class of mlsys_lib"
        ) from None
    return Source(f"{thing.__module__}.{thing.__qualname__}", without_docstring(text))


def without_docstring(text: str) -> str:
    """The code of one function or class without its docstring, which is read elsewhere.

    Parameters
    ----------
    text : str
        Of a definition that starts at the left margin.

    Returns
    -------
    str

    Examples
    --------
    >>> without_docstring('def f():\\n    "Says nothing."\\n    return 1')
    'def f():\\n    return 1'
    """
    definition: Any = ast.parse(text).body[0]
    first = definition.body[0]
    lines = text.rstrip("\n").split("\n")
    if ast.get_docstring(definition) is None or len(definition.body) == 1:
        return "\n".join(lines)
    kept = lines[: first.lineno - 1] + lines[first.end_lineno :]
    return "\n".join(kept)
