"""When is what came the same as what was expected? By the tolerance, order, index and kind that a statement names.

>>> difference([0.1 + 0.2, 1], [0.3, 1])
''
>>> difference("0.3", 0.3)
"it is the text '0.3', not a number"
>>> difference([2, 1], [1, 2], Same(order=False))
''
"""

import numbers
from collections.abc import Mapping, Sequence
from collections.abc import Set as AnySet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from mlsys_lib.exercises.shown import kind, table, value

__all__ = ["Same", "difference", "differing"]

_EXACT = 1e-9
_MOMENTS: Any = (datetime, np.datetime64, type(pd.NaT))
_NUMBERS: Any = (numbers.Number, np.bool_)
_LISTS = (list, tuple, range, np.ndarray, pd.Series, pd.Index, pd.api.extensions.ExtensionArray)


@dataclass(frozen=True)
class Same:
    """How two values are compared.

    Parameters
    ----------
    tolerance : float, default 1e-9
        How far numbers may differ, relative or absolute. Two whole numbers must be equal unless it is larger.
    order : bool, default True
        Whether the order of a list, or of the rows of a table, counts. That of columns and keys never does.
    index : bool, default False
        Whether a Series or table must bear the same index.
    kind : bool, default False
        Whether a list may not be a tuple or an array, a whole number no float, and 0 or 1 no truth value.
    """

    tolerance: float = _EXACT
    order: bool = True
    index: bool = False
    kind: bool = False


def difference(got: Any, expected: Any, how: Same | None = None) -> str:
    """Say how `got` differs from `expected`; the empty text if it does not.

    Missing elements of a list (NaN, NaT, None) are equal to each other. A truth value may be numpy's. Text
    is never a number.
    """
    try:
        return _difference(got, expected, how or Same())
    except Exception as error:  # what an answer returns may break in any way when it is looked at
        return f"it cannot be compared ({type(error).__name__})"


def _places_apart(got: Any, expected: Any, how: Same) -> list[int]:
    """The places at which two lists of one length differ."""
    if _are_dates(got, expected):
        left, right = np.asarray(got), np.asarray(expected)
        return _where((left != right) & ~(pd.isna(left) & pd.isna(right)))
    if _is_plain(got, expected):
        left, right = np.asarray(got), np.asarray(expected)
        whole = left.dtype.kind in "iub" and right.dtype.kind in "iub"
        if whole and how.tolerance <= _EXACT:
            return _where(left != right)
        near = np.isclose(left, right, rtol=how.tolerance, atol=how.tolerance, equal_nan=True)
        return _where(~near)
    pairs = zip(_elements(got), _elements(expected), strict=True)
    return [
        i for i, (a, b) in enumerate(pairs) if not _both_missing(a, b) and _difference(a, b, how)
    ]


def differing(got: Any, expected: Any, how: Same | None = None, most: int = 8) -> str:
    """Of two long lists or tables, the rows that differ, side by side; empty where they cannot be laid so."""
    how = how or Same()
    try:
        if len(got) != len(expected) or not how.order:
            return ""
        if isinstance(expected, pd.DataFrame):
            return _rows_apart(got, expected, how, most)
        wrong = _places_apart(got, expected, how)
    except Exception:  # it is shown whole instead, as far as that goes
        return ""
    labels = expected.index if isinstance(expected, pd.Series) else range(len(expected))
    mine, theirs = _elements(got), _elements(expected)
    rows = {"expected": [theirs[i] for i in wrong[:most]], "got": [mine[i] for i in wrong[:most]]}
    shown = pd.DataFrame(rows, index=[labels[i] for i in wrong[:most]], dtype=object)
    return f"{len(wrong)} of {len(expected)} differ{_first(wrong, most)}\n{table(shown)}"


def _rows_apart(got: pd.DataFrame, expected: pd.DataFrame, how: Same, most: int) -> str:
    wrong = {c: _places_apart(got[c], expected[c], how) for c in expected.columns}
    rows = sorted({i for places in wrong.values() for i in places})
    columns = {}
    for name in [name for name, places in wrong.items() if places]:
        columns[f"{name} expected"] = expected[name].iloc[rows[:most]].tolist()
        columns[f"{name} got"] = got[name].iloc[rows[:most]].tolist()
    shown = pd.DataFrame(columns, index=expected.index[rows[:most]], dtype=object)
    return f"{len(rows)} of {len(expected)} rows differ{_first(rows, most)}\n{table(shown)}"


def _first(wrong: list[int], most: int) -> str:
    return f", the first {most}:" if len(wrong) > most else ":"


def _where(apart: Any) -> list[int]:
    return [int(i) for i in np.flatnonzero(apart)]


def _difference(got: Any, expected: Any, how: Same) -> str:
    if expected is None or expected is Ellipsis:
        return "" if got is expected else f"it is {kind(got)}, not {expected}"
    for kinds, compare in _COMPARISONS:
        if isinstance(expected, kinds):
            return str(compare(got, expected, how))
    equal = type(got) is type(expected) and bool(got == expected)
    return "" if equal else f"it is {kind(got)}, and {kind(expected)} is expected"


def _text(got: Any, expected: str, how: Same) -> str:
    if not isinstance(got, str):
        return f"it is {kind(got)}, not text"
    return "" if got == expected else "the text is another"


def _truth(got: Any, expected: bool, how: Same) -> str:
    if not isinstance(got, bool | np.bool_):
        return f"it is {kind(got)}, not True or False"
    return "" if bool(got) == bool(expected) else "it is the opposite"


def _moment(got: Any, expected: Any, how: Same) -> str:
    if not isinstance(got, _MOMENTS):
        return f"it is {kind(got)}, not a moment"
    left, right = pd.Timestamp(got), pd.Timestamp(expected)
    if _both_missing(left, right):
        return ""
    if pd.isna(left) or pd.isna(right):
        return "it is missing" if pd.isna(left) else "it should be missing"
    if (left.tzinfo is None) != (right.tzinfo is None):
        return f"it bears {'no' if left.tzinfo is None else 'a'} time zone"
    return "" if left == right else "it is another moment"


def _span(got: Any, expected: Any, how: Same) -> str:
    if not isinstance(got, timedelta | np.timedelta64):
        return f"it is {kind(got)}, not a span of time"
    return "" if pd.Timedelta(got) == pd.Timedelta(expected) else "it is another span of time"


def _number(got: Any, expected: Any, how: Same) -> str:
    if isinstance(got, np.ndarray) and got.ndim == 0:
        got = got[()]
    if not isinstance(got, _NUMBERS) or isinstance(got, np.timedelta64):
        return f"it is {kind(got)}, not a number"
    if how.kind and _family(got) != _family(expected):
        return f"it is {kind(got)}, not {kind(expected)}"
    whole = isinstance(got, numbers.Integral) and isinstance(expected, numbers.Integral)
    if whole and how.tolerance <= _EXACT:
        return "" if int(got) == int(expected) else "the number is another"
    if isinstance(got, complex):
        return "it is a complex number"
    near = np.isclose(
        float(got), float(expected), rtol=how.tolerance, atol=how.tolerance, equal_nan=True
    )
    return "" if near else "the number is another"


def _mapping(got: Any, expected: Mapping[Any, Any], how: Same) -> str:
    if not isinstance(got, Mapping):
        return f"it is {kind(got)}, not a dict"
    for key in expected:
        if key not in got:
            return f"the key {value(key)} is missing"
    for key in got:
        if key not in expected:
            return f"the key {value(key)} should not be there"
    wrong = {k: said for k, v in expected.items() if (said := _difference(got[k], v, how))}
    return "; ".join(f"at {value(key)} {said}" for key, said in list(wrong.items())[:3])


def _set(got: Any, expected: AnySet[Any], how: Same) -> str:
    if not isinstance(got, AnySet):
        return f"it is {kind(got)}, not a set"
    return "" if set(got) == set(expected) else "the elements are others"


def _list(got: Any, expected: Any, how: Same) -> str:
    if not isinstance(got, _LISTS) or (how.kind and _container(got) is not _container(expected)):
        return f"it is {kind(got)}, not {kind(expected)}"
    if len(got) != len(expected):
        return f"it has {_counted(len(got), 'element')}, not {len(expected)}"
    if how.kind and (said := _kinds(got, expected)):
        return said
    if how.index and isinstance(expected, pd.Series):
        return _indexed(got, expected, how)
    if not how.order:
        return _in_any_order(_elements(got), _elements(expected), how)
    return _places(got, expected, how)


def _indexed(got: Any, expected: pd.Series, how: Same) -> str:
    if not isinstance(got, pd.Series):
        return f"it is {kind(got)}, not a Series"
    if not how.order:
        mine, theirs = [list(zip(s.index, s.tolist(), strict=True)) for s in (got, expected)]
        return _in_any_order(mine, theirs, how)
    return _other_index(got, expected) or _places(got, expected, how)


def _other_index(got: Any, expected: Any) -> str:
    if not _list(got.index, expected.index, Same()):
        return ""
    return f"its index is {value(list(got.index))}, not {value(list(expected.index))}"


def _places(got: Any, expected: Any, how: Same) -> str:
    wrong = _places_apart(got, expected, how)
    if not wrong:
        return ""
    first = wrong[0]
    said = _difference(_elements(got)[first], _elements(expected)[first], how)
    labels = expected.index if isinstance(expected, pd.Series) else range(len(expected))
    place = f"at {value(labels[first])} {said}"
    return (
        place if len(wrong) == 1 else f"{len(wrong)} of {len(expected)} differ, the first: {place}"
    )


def _kinds(got: Any, expected: Any) -> str:
    for a, b in zip(_elements(got), _elements(expected), strict=True):
        if isinstance(b, numbers.Number) and _family(a) != _family(b):
            return f"an element is {kind(a)}, not {kind(b)}"
    return ""


def _in_any_order(got: list[Any], expected: list[Any], how: Same) -> str:
    left = list(got)
    for wanted in expected:
        found = next(
            (
                i
                for i, e in enumerate(left)
                if _both_missing(e, wanted) or not _difference(e, wanted, how)
            ),
            None,
        )
        if found is None:
            return f"{value(wanted)} is missing"
        del left[found]
    return ""


def _table(got: Any, expected: pd.DataFrame, how: Same) -> str:
    if not isinstance(got, pd.DataFrame):
        return f"it is {kind(got)}, not a table"
    for column in expected.columns:
        if column not in got.columns:
            return f"the column {value(column)} is missing"
    for column in got.columns:
        if column not in expected.columns:
            return f"the column {value(column)} should not be there"
    if len(got) != len(expected):
        return f"it has {_counted(len(got), 'row')}, not {len(expected)}"
    if not how.order:
        return _in_any_order(_rows(got, expected, how), _rows(expected, expected, how), how)
    if how.index and (said := _other_index(got, expected)):
        return said
    for column in expected.columns:
        if said := _list(got[column], expected[column], Same(how.tolerance, kind=how.kind)):
            return f"in column {value(column)} {said}"
    return ""


def _rows(table: pd.DataFrame, like: pd.DataFrame, how: Same) -> list[Any]:
    """Rows as tuples, in the columns of another table; with the index where it counts."""
    return list(table[list(like.columns)].itertuples(index=how.index, name=None))


def _elements(values: Any) -> list[Any]:
    return (
        values.tolist() if isinstance(values, np.ndarray | pd.Series | pd.Index) else list(values)
    )


def _is_plain(*lists: Any) -> bool:
    """Whether these are arrays, or lists that numpy reads as such, of one dimension and of numbers alone."""
    for values in lists:
        if isinstance(values, list | tuple) and not all(
            isinstance(v, int | float | np.number | np.bool_) for v in values
        ):
            return False
        array = np.asarray(values)
        if array.dtype.kind not in "iufb" or array.ndim != 1:
            return False
    return True


def _are_dates(got: Any, expected: Any) -> bool:
    """Whether both are columns of moments or spans of one and the same type."""
    mine, theirs = getattr(got, "dtype", None), getattr(expected, "dtype", None)
    return mine is not None and mine == theirs and mine.kind in "mM"


def _both_missing(a: Any, b: Any) -> bool:
    return all(v is None or v is pd.NA or v is pd.NaT or _is_nan(v) for v in (a, b))


def _is_nan(v: Any) -> bool:
    return isinstance(v, float | np.floating | np.datetime64 | np.timedelta64) and bool(pd.isna(v))


def _family(number: Any) -> str:
    if isinstance(number, bool | np.bool_):
        return "truth value"
    return "whole number" if isinstance(number, numbers.Integral) else "number"


def _container(values: Any) -> type:
    return next(c for c in _LISTS if isinstance(values, c))


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


_COMPARISONS: Sequence[tuple[Any, Any]] = (
    (Mapping, _mapping),
    (str, _text),
    (bool | np.bool_, _truth),
    (_MOMENTS, _moment),
    (timedelta | np.timedelta64, _span),
    (numbers.Number | np.number, _number),
    (AnySet, _set),
    (pd.DataFrame, _table),
    (_LISTS, _list),
)
