"""How a value is shown in a message: whole where it is small, by what it is where its text would say nothing.

>>> print(value({"miss": 300, "hit": np.float64(0.5)}))
{'miss': 300, 'hit': 0.5}
>>> print(value(iter([1, 2])), value(random.Random(4)))
iter([1, 2]) random.Random(4)
"""

import copy
import inspect
import itertools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AnySet
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["call", "is_large", "kept", "kind", "lines", "special", "table", "value"]

_MOST = 12  # elements of a list, rows of a table
_SEEDS = 1000
_REPEATABLE: tuple[type, ...] = (
    type(iter([])),
    type(iter(())),
    type(iter(range(0))),
)  # a copy of these reads nothing
_WIDE = 200


def value(shown: object, depth: int = 0) -> str:
    """A value as text; a small table takes several lines."""
    try:
        return _value(shown, depth)
    except Exception:  # the text of what an answer returns may fail as well
        return f"{kind(shown)} that cannot be shown"


def table(shown: pd.DataFrame) -> str:
    """A table as text: all of a small one, the first rows of a large one."""
    few = shown.iloc[:_MOST] if len(shown) <= _MOST else shown.iloc[:3]
    hidden = shown.shape[1] - _MOST
    text = few.iloc[:, :_MOST].to_string(line_width=_WIDE) if few.shape[1] else f"{len(few)} rows"
    if few.empty:
        text = f"no rows; columns: {', '.join(map(str, shown.columns))}"
    if len(shown) > _MOST:
        text = f"{len(shown)} rows, the first 3:\n{text}"
    return text if hidden <= 0 else f"{text}\nand {hidden} more columns"


def kind(shown: object) -> str:
    """What kind of thing it is, as a reader would say it.

    >>> kind("3"), kind(np.True_), kind([1]), kind(iter([1]))
    ("the text '3'", 'True', 'a list', 'an iterator, which can be read only once')
    """
    if isinstance(shown, str):
        return f"the text {_cut(repr(shown), 40)}"
    if shown is None or isinstance(shown, bool | np.bool_):
        return str(shown)
    for types, name in _KINDS:
        if isinstance(shown, types):
            return name
    name = type(shown).__name__.lstrip("_")
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def is_large(shown: object) -> bool:
    """Whether it is a list or a table too long to be shown whole."""
    return isinstance(shown, list | tuple | np.ndarray | pd.Series | pd.DataFrame) and (
        getattr(shown, "ndim", 1) > 0 and len(shown) > _MOST
    )


def call(
    name: str, args: Sequence[object], kwargs: Mapping[str, object], names: Sequence[str]
) -> str:
    """A call as one line, with its tables below it, each under the name of its parameter."""
    given = list(zip(itertools.chain(names, itertools.repeat("...")), args, strict=False))
    inline, below = [], []
    for parameter, argument in [*given, *kwargs.items()]:
        text = value(argument)
        key = f"{parameter}=" if parameter in kwargs else ""
        if "\n" in text or isinstance(argument, pd.DataFrame):
            inline.append(f"{key}{parameter}")
            below.append(f"{parameter}:\n{text}")
        else:
            inline.append(f"{key}{text}")
    return "\n".join([f"{name}({', '.join(inline)})", *below])


def kept(argument: Any) -> Any:
    """An argument as it is before a call that may read it on: a copy of iterators and random generators."""
    if isinstance(argument, _REPEATABLE):
        return copy.copy(argument)
    is_random = isinstance(argument, random.Random | np.random.Generator)
    return copy.deepcopy(argument) if is_random else argument


def lines(rows: Mapping[str, str]) -> list[str]:
    """Named texts, one under the other; those of several lines are indented."""
    return [f"  {name:9} {text}".replace("\n", f"\n{'':12}") for name, text in rows.items()]


def special(args: Sequence[object], names: Sequence[str]) -> dict[str, bool]:
    """What may be special about arguments of any exercise: sentences, and whether they hold."""
    found: dict[str, bool] = {}
    for name, argument in zip(names, args, strict=False):
        if isinstance(argument, pd.DataFrame | pd.Series | np.ndarray | list | Mapping):
            found |= {f"{name} {said}": holds for said, holds in _special(argument).items()}
    return found


def _special(argument: Any) -> dict[str, bool]:
    marks = {"is empty": len(argument) == 0}
    if isinstance(argument, Mapping):
        return marks
    marks["has one row" if isinstance(argument, pd.DataFrame) else "has one element"] = (
        len(argument) == 1
    )
    if isinstance(argument, pd.DataFrame | pd.Series):
        index = argument.index
        plain = index.equals(pd.RangeIndex(len(index)))
        marks["has an index that is not 0, 1, 2, ..."] = not plain
        marks["has an index with equal labels"] = not index.is_unique
    if isinstance(argument, pd.DataFrame | pd.Series | np.ndarray):
        marks["has a missing value"] = bool(np.any(pd.isna(argument)))
        marks["has an infinite value"] = bool(np.any(_numbers(argument) == np.inf)) or bool(
            np.any(_numbers(argument) == -np.inf)
        )
    return marks


def _numbers(argument: Any) -> Any:
    if isinstance(argument, pd.DataFrame):
        argument = argument.select_dtypes("number").to_numpy(float)
    numeric = np.asarray(argument).dtype.kind == "f"
    return np.asarray(argument) if numeric else np.empty(0)


def _value(shown: Any, depth: int) -> str:
    if depth > 4:
        return "..."
    if isinstance(shown, pd.DataFrame):
        return (
            table(shown) if depth == 0 else f"<table of {len(shown)} rows: {_joined(shown, depth)}>"
        )
    if isinstance(shown, pd.Series):
        plain = shown.index.equals(pd.RangeIndex(len(shown)))
        index = "" if plain else f", index={_value(shown.index.tolist(), depth + 1)}"
        return f"Series({_value(shown.tolist(), depth + 1)}{index})"
    if isinstance(shown, pd.Index):
        return f"Index({_value(shown.tolist(), depth + 1)})"
    if isinstance(shown, np.ndarray):
        return f"array({_value(shown.tolist(), depth + 1)})"
    if isinstance(shown, datetime | np.datetime64 | pd.Timedelta):
        return str(shown)
    if isinstance(shown, np.generic):
        return repr(shown.item())
    for types, show in _SHOWN:
        if isinstance(shown, types):
            return show(shown, depth)
    text = repr(shown)
    if text.startswith("<") and " object at 0x" in text:
        return kind(shown)
    return _cut(re.sub(r" at 0x[0-9a-fA-F]+", "", text), _WIDE)


def _joined(elements: Any, depth: int) -> str:
    """The first elements; of a long list the last one too."""
    elements = list(itertools.islice(elements, 10_000))
    texts = [value(e, depth + 1) for e in elements[:_MOST]]
    if len(elements) > _MOST:
        texts = [*texts[: _MOST - 2], "...", value(elements[-1], depth + 1)]
    return ", ".join(texts)


def _list(shown: Any, depth: int) -> str:
    start, end = ("[", "]") if isinstance(shown, list) else ("(", ",)" if len(shown) == 1 else ")")
    count = f"{len(shown)} elements: " if len(shown) > _MOST else ""
    return f"{start}{count}{_joined(shown, depth)}{end}"


def _set(shown: AnySet[Any], depth: int) -> str:
    # Sorted by text: the order of a set differs from process to process.
    texts = sorted(value(e, depth + 1) for e in itertools.islice(shown, 1000))
    return (
        f"{{{', '.join(texts[:_MOST])}{', ...' if len(texts) > _MOST else ''}}}"
        if texts
        else "set()"
    )


def _mapping(shown: Mapping[Any, Any], depth: int) -> str:
    some = itertools.islice(shown.items(), _MOST)
    texts = [f"{value(k, depth + 1)}: {value(v, depth + 1)}" for k, v in some]
    return f"{{{', '.join(texts)}{', ...' if len(shown) > _MOST else ''}}}"


def _iterator(shown: Iterator[Any], depth: int) -> str:
    if not isinstance(shown, _REPEATABLE):  # to look at it would be to read it
        return kind(shown)
    ahead = list(itertools.islice(copy.copy(shown), _MOST + 1))
    return f"iter({_list(ahead, depth)})"


def _random(shown: random.Random, depth: int) -> str:
    """By its seed, where a small one gives this very state."""
    seed = next((s for s in range(_SEEDS) if random.Random(s).getstate() == shown.getstate()), None)
    return "a random.Random that has been drawn from" if seed is None else f"random.Random({seed})"


def _generator(shown: np.random.Generator, depth: int) -> str:
    state = shown.bit_generator.state
    seeds = (s for s in range(_SEEDS) if np.random.default_rng(s).bit_generator.state == state)
    seed = next(seeds, None)
    return "a random generator that has been drawn from" if seed is None else f"default_rng({seed})"


def _function(shown: Callable[..., Any], depth: int) -> str:
    name = getattr(shown, "__name__", "<lambda>")
    return "a function" if name == "<lambda>" else name


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


_KINDS: Sequence[tuple[Any, str]] = (
    (int | np.integer, "a whole number"),
    (float | np.floating, "a number"),
    (pd.DataFrame, "a table"),
    (pd.Series, "a Series"),
    (list, "a list"),
    (tuple, "a tuple"),
    (np.ndarray, "an array"),
    (dict, "a dict"),
    (set | frozenset, "a set"),
    (datetime | np.datetime64, "a moment"),
    (type(inspect.isgenerator), "a function"),
    (Iterator, "an iterator, which can be read only once"),
)

_SHOWN: Sequence[tuple[Any, Callable[[Any, int], str]]] = (
    (str, lambda shown, depth: _cut(repr(shown), _WIDE)),
    (list | tuple, _list),
    (AnySet, _set),
    (Mapping, _mapping),
    (random.Random, _random),
    (np.random.Generator, _generator),
    (type, lambda shown, depth: shown.__name__),
    (Iterator, _iterator),
    (type(inspect.isgenerator) | type(len), _function),
)
