"""The doors: what a public function is given is used rightly, or refused with the value and the remedy.

One parser of moments and one of durations, one check of lengths, of labels, of probabilities. All raise
`ValueError`, whose message names the argument, what came and what to give instead.
"""

import re
from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]
Moment = str | datetime | np.datetime64
Duration = str | timedelta | np.timedelta64

_ZONE = re.compile(r"[A-Za-z]+$")  # letters at the end of a moment
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
    ValueError: now='2013-04-22 06:00 EST' is no moment; write it as '2013-04-22 10:00' (UTC), or with an offset such as -04:00
    """
    refusal = ValueError(
        f"{name}={value!r} is no moment; write it as '2013-04-22 10:00' (UTC), or with an offset "
        "such as -04:00"
    )
    zone = _ZONE.search(value.strip()) if isinstance(value, str) else None
    if not isinstance(value, str | date | np.datetime64) or (zone and zone[0] not in ("Z", "UTC")):
        raise refusal
    try:
        found = pd.Timestamp(value)
    except (TypeError, ValueError, OverflowError):
        raise refusal from None
    if pd.isna(found):
        raise refusal
    return found.tz_localize("UTC") if found.tzinfo is None else found.tz_convert("UTC")


def moments(values: pd.Series, name: str) -> pd.Series:
    """A column of moments, in UTC and microseconds; naive ones are UTC.

    Parameters
    ----------
    values : pandas.Series of shape (n_rows,)
        Of timestamps, or of text that one format fits.
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
    if len(values) and pd.api.types.is_numeric_dtype(values.dtype):
        raise ValueError(f"{name} holds numbers, such as {values.iloc[0]!r}; give moments in UTC")
    try:
        found: pd.Series = pd.to_datetime(values, utc=True).dt.as_unit("us")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} holds what is no moment: {error}") from None
    if found.isna().any():
        raise ValueError(
            f"{name} is missing in {int(found.isna().sum())} of {len(found)} rows; drop them first"
        )
    return found


def duration(value: Duration, name: str) -> pd.Timedelta:
    """One duration of zero or more.

    Parameters
    ----------
    value : str, timedelta or numpy.timedelta64
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
    ValueError: lead='90' is no duration of zero or more; write it with its unit, as '10min' or '2h'
    """
    refusal = ValueError(
        f"{name}={value!r} is no duration of zero or more; write it with its unit, as '10min' or '2h'"
    )
    if not isinstance(value, str | timedelta | np.timedelta64):
        raise refusal
    if isinstance(value, str) and not _UNIT.search(value):
        raise refusal
    try:
        found = pd.Timedelta(value)
    except (TypeError, ValueError, OverflowError):
        raise refusal from None
    if pd.isna(found) or found < pd.Timedelta(0):
        raise refusal
    return found


def columns(table: pd.DataFrame, wanted: Iterable[str], *, remedy: str) -> None:
    """Refuse a table that lacks columns.

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
    names = list(wanted)
    if lacking := [name for name in names if name not in table.columns]:
        raise ValueError(f"the table lacks {lacking}; {remedy}")
    if doubled := [name for name in names if list(table.columns).count(name) > 1]:
        raise ValueError(f"the table holds {doubled} twice; keep one column of each name")


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
    ValueError: days and y must have one length of one or more; got 2 and 1
    """
    lengths = {name: len(values) for name, values in given.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(
            f"{_listed(lengths)} must have one length of one or more; got {_listed(lengths.values())}"
        )
    return next(iter(lengths.values()))


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
    ValueError: value holds 1 missing or infinite value of 2, the first at position 1; leave those rows out
    """
    try:
        found: Array = np.asarray(values, float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers: {error}") from None
    if found.ndim != 1:
        raise ValueError(f"{name} must have one dimension; its shape is {found.shape}")
    if len(odd := np.flatnonzero(~np.isfinite(found))):
        values_ = "value" if len(odd) == 1 else "values"
        raise ValueError(
            f"{name} holds {len(odd)} missing or infinite {values_} of {len(found)}, the first at "
            f"position {odd[0]}; leave those rows out"
        )
    return found


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
    if len(odd := np.flatnonzero((found != 0) & (found != 1))):
        raise ValueError(f"{name} must hold 0 and 1; position {odd[0]} holds {found[odd[0]]:g}")
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
    if len(odd := np.flatnonzero((found < 0) | (found > 1))):
        raise ValueError(
            f"{name} must hold probabilities, from 0 to 1; position {odd[0]} holds {found[odd[0]]:g}"
        )
    return found


def one_of(value: Any, choices: Collection[Any], name: str) -> None:
    """Refuse what is none of the choices.

    Examples
    --------
    >>> one_of("wether", ["weather", "arrivals"], "topic")
    Traceback (most recent call last):
        ...
    ValueError: topic='wether' must be one of 'weather', 'arrivals'
    """
    if value not in choices:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, choices))}")


def within(value: float, low: float, high: float, name: str) -> None:
    """Refuse a number outside of ``[low, high]``, and what is no number.

    Examples
    --------
    >>> within(1.5, 0, 1, "share")
    Traceback (most recent call last):
        ...
    ValueError: share=1.5 must lie from 0 to 1
    """
    good = isinstance(value, int | float | np.number) and low <= value <= high
    if not good:
        ends = f"from {low:g} to {high:g}" if np.isfinite(high) else f"at {low:g} or above"
        raise ValueError(f"{name}={value!r} must lie {ends}")


def whole(value: int, name: str) -> None:
    """Refuse what is no whole number of one or more.

    Examples
    --------
    >>> whole(0, "bins")
    Traceback (most recent call last):
        ...
    ValueError: bins=0 must be a whole number of one or more
    """
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}={value!r} must be a whole number of one or more")


def _listed(values: Iterable[Any]) -> str:
    *most, last = map(str, values)
    return f"{', '.join(most)} and {last}" if most else last
