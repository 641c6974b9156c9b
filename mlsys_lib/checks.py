"""The doors: what a public function is given is used rightly, or refused with the value and the remedy.

One parser of moments and one of durations, one check of lengths, of labels, of probabilities. All raise
`ValueError`, whose message names the argument, what came and what to give instead.
"""

import re
import sys
from collections.abc import Collection, Iterable, Sized
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]
Moment = str | datetime | np.datetime64
Duration = str | timedelta

# Letters name no offset, "04/05" is two days, and a bare number is a year or a second: none is guessed.
_WRITTEN = re.compile(r"\d{4}-\d\d?-\d\d?([ T][\d:.]+)?( ?(Z|UTC|[+-]\d\d(:?\d\d)?))?")
_UNIT = re.compile(r"[A-Za-zµ:]")


def moment(value: Moment, name: str) -> pd.Timestamp:
    """One moment, in UTC; a naive one is UTC.

    Parameters
    ----------
    value : str, datetime or numpy.datetime64
        Such as ``"2013-04-22 10:00"``. A zone is an offset, such as ``-04:00``, or Z.
    name : str
        What the argument is called.

    Returns
    -------
    pandas.Timestamp

    Raises
    ------
    ValueError
        If it is none: missing, a bare number, or with a zone in letters, which names no offset.

    Examples
    --------
    >>> moment("2013-04-22 06:00-04:00", "now")
    Timestamp('2013-04-22 10:00:00+0000', tz='UTC')
    >>> moment("2013-04-22 06:00 EST", "now")
    Traceback (most recent call last):
        ...
    ValueError: now='2013-04-22 06:00 EST' is no moment; write it as '2013-04-22 10:00' (UTC), or with an offset
    """
    good = isinstance(value, date | np.datetime64) or (
        isinstance(value, str) and _WRITTEN.fullmatch(value.strip())
    )
    try:
        found = pd.Timestamp(value) if good else pd.NaT
    except (TypeError, ValueError, OverflowError):
        found = pd.NaT
    if pd.isna(found):
        raise ValueError(
            f"{name}={value!r} is no moment; write it as '2013-04-22 10:00' (UTC), or with an offset"
        )
    found = found.tz_localize("UTC") if found.tzinfo is None else found.tz_convert("UTC")
    return found.as_unit("us")


def moments(values: pd.Series, name: str) -> pd.Series:
    """A column of moments, in UTC and microseconds; naive ones are UTC.

    Parameters
    ----------
    values : pandas.Series of shape (n_rows,)
        Of timestamps, or of what `moment` understands.
    name : str
        What the column is called.

    Returns
    -------
    pandas.Series of shape (n_rows,), datetime64[us, UTC]

    Raises
    ------
    ValueError
        If one is missing, or they are no moments.

    Examples
    --------
    >>> moments(pd.Series(["2013-04-22 10:00"]), "decided_at").iloc[0]
    Timestamp('2013-04-22 10:00:00+0000', tz='UTC')
    """
    given = pd.Series(values)
    if missing := int(given.isna().sum()):
        raise ValueError(f"{name} is missing in {missing} of {len(given)} rows; drop them first")
    if not pd.api.types.is_datetime64_any_dtype(given.dtype):
        given = given.map(lambda value: moment(value, name))
    return pd.to_datetime(given, utc=True).dt.as_unit("us")


def duration(value: Duration, name: str) -> pd.Timedelta:
    """One duration of zero or more.

    Parameters
    ----------
    value : str or timedelta
        Such as ``"10min"``, ``"2h"`` or ``"3D"``.
    name : str
        What the argument is called.

    Returns
    -------
    pandas.Timedelta

    Raises
    ------
    ValueError
        If it is none, negative, or a number without a unit.

    Examples
    --------
    >>> duration("90min", "lead")
    Timedelta('0 days 01:30:00')
    >>> duration("90", "lead")
    Traceback (most recent call last):
        ...
    ValueError: lead='90' is no duration of zero or more with its unit, such as '10min'
    """
    good = isinstance(value, timedelta) or (isinstance(value, str) and _UNIT.search(value))
    try:
        found = pd.Timedelta(value if good else "NaT")
    except (TypeError, ValueError, OverflowError):
        found = pd.Timedelta("NaT")
    if not found >= pd.Timedelta(0):
        raise ValueError(
            f"{name}={value!r} is no duration of zero or more with its unit, such as '10min'"
        )
    return found


def period(start: Moment, end: Moment, name: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Two moments, in UTC, of which the second is the later.

    Parameters
    ----------
    start, end : str, datetime or numpy.datetime64
    name : str
        What lasts from one to the other.

    Returns
    -------
    tuple of pandas.Timestamp

    Raises
    ------
    ValueError
        If one is no moment, or the end is not after the start.

    Examples
    --------
    >>> period("2013-04-23", "2013-04-22", "the outage")
    Traceback (most recent call last):
        ...
    ValueError: the outage must end after it starts, not from 2013-04-23 to 2013-04-22
    """
    first, last = moment(start, "start"), moment(end, "end")
    if not first < last:
        raise ValueError(f"{name} must end after it starts, not from {start} to {end}")
    return first, last


def columns(table: pd.DataFrame, wanted: Iterable[str], *, remedy: str) -> None:
    """Refuse a table that lacks columns, or holds one of them twice.

    Parameters
    ----------
    table : pandas.DataFrame
    wanted : iterable of str
    remedy : str
        Where they come from.

    Raises
    ------
    ValueError
        If it is no table, or a column is missing or there twice.

    Examples
    --------
    >>> columns(pd.DataFrame({"late": [0]}), ["late", "p"], remedy="model.predict gives it")
    Traceback (most recent call last):
        ...
    ValueError: the table lacks ['p']; model.predict gives it
    """
    if not isinstance(table, pd.DataFrame):
        raise ValueError(f"a table is wanted, not {type(table).__name__}; {remedy}")
    wanted = list(wanted)
    if lacking := [name for name in wanted if name not in table.columns]:
        raise ValueError(f"the table lacks {lacking}; {remedy}")
    if twice := [name for name in wanted if list(table.columns).count(name) > 1]:
        raise ValueError(f"the table holds {twice} more than once; keep one")


def same_length(**given: Any) -> int:
    """Refuse arrays of different lengths, or empty ones.

    Parameters
    ----------
    **given : arrays
        By the names of the arguments.

    Returns
    -------
    int
        The one length.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> same_length(days=[1, 2], y=[0])
    Traceback (most recent call last):
        ...
    ValueError: days, y must have one length of one or more; got [2, 1]
    """
    lengths = [len(values) if isinstance(values, Sized) else 0 for values in given.values()]
    if len(set(lengths)) != 1 or 0 in lengths:
        raise ValueError(f"{', '.join(given)} must have one length of one or more; got {lengths}")
    return lengths[0]


def numbers(values: npt.ArrayLike, name: str) -> Array:
    """An array of finite numbers.

    Parameters
    ----------
    values : array of shape (n,)
    name : str

    Returns
    -------
    array of shape (n,), float64

    Raises
    ------
    ValueError
        If one is missing or infinite, or they are no numbers, or there is more than one dimension.

    Examples
    --------
    >>> numbers([1, None], "value")
    Traceback (most recent call last):
        ...
    ValueError: value holds 1 missing or infinite of 2, first at 1; leave those rows out
    """
    if np.ndim(values) != 1:
        raise ValueError(f"{name} must have one dimension; its shape is {np.shape(values)}")
    found = floats(values, name=name)
    if len(odd := np.flatnonzero(~np.isfinite(found))):
        some = f"{len(odd)} missing or infinite of {len(found)}, first at {odd[0]}"
        raise ValueError(f"{name} holds {some}; leave those rows out")
    return found


def floats(values: npt.ArrayLike, *, name: str = "") -> Array:
    """An array of numbers, of which some may be missing (NaN) or infinite.

    Parameters
    ----------
    values : array of shape (n,)
        In any type that holds numbers.
    name : str, optional
        A column's own, unless you say otherwise.

    Returns
    -------
    array of shape (n,), float64

    Raises
    ------
    ValueError
        If one is no number: text, a time, or complex.

    Examples
    --------
    >>> floats([1, None])
    array([ 1., nan])
    >>> floats(["ten"], name="visib")
    Traceback (most recent call last):
        ...
    ValueError: visib must hold numbers: could not convert string to float: 'ten'
    """
    column = pd.Series(values)
    called = name or column.name or "a column"
    try:
        if column.dtype.kind not in "biufO":
            raise TypeError(f"its type is {column.dtype}")
        return np.asarray(column.to_numpy(float, na_value=np.nan))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{called} must hold numbers: {error}") from None


def binary(values: npt.ArrayLike, name: str) -> Array:
    """An array of 0 and 1, such as labels or votes.

    Parameters
    ----------
    values : array of shape (n,)
        Numbers or bools.
    name : str

    Returns
    -------
    array of shape (n,), float64

    Raises
    ------
    ValueError
        If one is missing, or neither 0 nor 1.

    Examples
    --------
    >>> binary([-1, 1], "y")
    Traceback (most recent call last):
        ...
    ValueError: y must hold 0 and 1; position 0 holds -1
    """
    found = numbers(values, name)
    _all((found == 0) | (found == 1), found, f"{name} must hold 0 and 1")
    return found


def probabilities(values: npt.ArrayLike, name: str) -> Array:
    """An array of probabilities.

    Parameters
    ----------
    values : array of shape (n,)
    name : str

    Returns
    -------
    array of shape (n,), float64 in [0, 1]

    Raises
    ------
    ValueError
        If one is missing, or outside.

    Examples
    --------
    >>> probabilities([0.2, 20], "p")
    Traceback (most recent call last):
        ...
    ValueError: p must hold probabilities, from 0 to 1; position 1 holds 20
    """
    found = numbers(values, name)
    _all((found >= 0) & (found <= 1), found, f"{name} must hold probabilities, from 0 to 1")
    return found


def require(condition: bool, message: str) -> None:
    """Refuse, with this message, what does not meet a condition.

    Examples
    --------
    >>> require(2 < 1, "low=2 must lie below high=1")
    Traceback (most recent call last):
        ...
    ValueError: low=2 must lie below high=1
    """
    if not condition:
        raise ValueError(message)


def one_of(value: Any, choices: Collection[Any], name: str) -> None:
    """Refuse what is none of the choices.

    Examples
    --------
    >>> one_of("wether", ["weather", "arrivals"], "topic")
    Traceback (most recent call last):
        ...
    ValueError: topic='wether' must be one of 'weather', 'arrivals'
    """
    if value not in list(choices):
        raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, choices))}")


def within(value: float, low: float, high: float, name: str, *, inclusive: bool = True) -> None:
    """Refuse a number outside of ``[low, high]``, and what is no number.

    Parameters
    ----------
    value, low, high : float
    name : str
    inclusive : bool, default True
        Whether the ends themselves are allowed.

    Examples
    --------
    >>> within(1.5, 0, 1, "share")
    Traceback (most recent call last):
        ...
    ValueError: share=1.5 must lie from 0 to 1
    """
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not low <= value <= high or (value in (low, high) and not inclusive):
        ends = f"from {low:g} to {high:g}" if np.isfinite(high) else f"at {low:g} or above"
        ends += "" if inclusive else ", ends excluded"
        raise ValueError(f"{name}={value!r} must lie {ends}")


def whole(value: int, low: int, name: str, *, high: int = sys.maxsize) -> int:
    """A whole number of `low` or more, such as a count or an offset.

    Examples
    --------
    >>> whole(2.5, 1, "k")
    Traceback (most recent call last):
        ...
    ValueError: k=2.5 must be a whole number of 1 or more
    """
    good = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not good or not low <= value <= high:
        ends = f"of {low} or more" if high == sys.maxsize else f"from {low} to {high}"
        raise ValueError(f"{name}={value!r} must be a whole number {ends}")
    return int(value)


def text(value: str, name: str) -> None:
    """Refuse what is no text.

    Examples
    --------
    >>> text(7, "consumer")
    Traceback (most recent call last):
        ...
    ValueError: consumer=7 must be text
    """
    if not isinstance(value, str):
        raise ValueError(f"{name}={value!r} must be text")


def _all(good: npt.NDArray[np.bool_], values: Array, wanted: str) -> None:
    if len(odd := np.flatnonzero(~good)):
        raise ValueError(f"{wanted}; position {odd[0]} holds {values[odd[0]]:g}")
