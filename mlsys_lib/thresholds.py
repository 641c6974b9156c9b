"""How large a statistic is an alarm? Thresholds that hold a promised rate of false alarms.

`calibrate` finds them from a reference, `ratios` scores day after day: statistic by threshold, so that 1 or
more is an alarm.

The sampling unit is the day. Flights of one day share their weather and their crowds, so a p-value that
counts flights rejects one half of an undisturbed reference against the other. Here a threshold is what
undisturbed days themselves exceed no more often than promised.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from mlsys_lib import checks
from mlsys_lib.drift import Chart, Detector, Rows
from mlsys_lib.world import local_day, midnight

_FOLDS = 5
_LEAST = 0.01  # no threshold below: a reference without a single gap must not forbid one


def calibrate(detector: Detector, reference: Rows, *, rate: float = 1 / 30) -> pd.Series:
    """The threshold of each statistic, such that undisturbed days exceed any of them at a promised rate.

    Parameters
    ----------
    detector : Detector
        Left fitted on the whole reference.
    reference : pandas.DataFrame of shape (n_decisions, n_columns) or, for a `Chart`, (n_days, n_columns)
        Days without faults, of all seasons that the detector shall take for usual. A chart needs two weeks
        or more.
    rate : float, default 1/30
        The share of days with a false alarm: one a month.

    Returns
    -------
    pandas.Series of shape (n_statistics,), above zero

    Raises
    ------
    ValueError
        If the reference has too few days for the rate, or nothing to score on any day.

    Notes
    -----
    Runs of seven days are set aside in turn, the detector is fitted on the others, and the days set aside
    are scored. The scores of a column are divided by their 95 % point, or by a third of the largest if that
    is more, so that the columns share the false alarms; the threshold is the quantile of the largest of each
    day, with the correction of Vovk et al. (2005), *Algorithmic Learning in a Random World*, for a finite
    number of days. The promise holds as far as tomorrow is exchangeable with these days. A threshold beyond the largest possible score says that a
    column cannot tell: a single day's pressure is as far from a year's as a broken sensor's.

    A detector that remembers has no days that can be set aside. Its limit is that of 40 simulated years,
    drawn in weeks so that neighbours stay neighbours (Künsch 1989, "The jackknife and the bootstrap for
    general stationary observations", Annals of Statistics 17). Each week is centred on the mean of the
    others, as the weeks to come will be. A bias that moves with the season outlasts a week, and a chart with
    a long memory sums it up: with a reference of few weeks, or where the bias is much of the slack of
    `PageHinkley`, weeks that it has not seen exceed the limit more often than promised.

    Examples
    --------
    >>> from mlsys_lib.drift import Ewma
    >>> residual = np.random.default_rng(1).normal(0, 0.08, 200)
    >>> calibrate(Ewma("residual", weight=1), pd.DataFrame({"residual": residual}), rate=0.05).round(2)
    residual    0.15
    dtype: float64
    """
    checks.within(rate, 1e-6, 1 - 1e-6, "rate")
    if isinstance(detector, Chart):
        return _simulated(detector, reference, rate)
    if detector.remembers:
        raise ValueError("an online detector brings its threshold: 1 is an alarm; fit it and score")
    checks.columns(reference, ["decided_at"], remedy="a decision has its moment")
    day = local_day(checks.moments(reference.decided_at, "decided_at"))
    windows = dict(list(reference.groupby(day)))
    run = np.arange(len(windows)) // 7
    place = int(np.ceil((len(windows) + 1) * (1 - rate)))
    if place > len(windows) or run.max(initial=0) == 0:
        promise = f"promise one false alarm in {1 / rate:.0f}"
        raise ValueError(f"{len(windows)} days cannot {promise}; give more, or a higher rate")
    scores = []
    for fold in range(min(_FOLDS, run.max() + 1)):
        held_out = pd.Index(list(windows))[run % _FOLDS == fold]
        detector.fit(reference[~day.isin(held_out)])
        scores += [detector.score(windows[one]) for one in held_out]
    detector.fit(reference)
    table = pd.DataFrame(scores).replace([np.inf, -np.inf], np.nan)
    if len(empty := table.columns[table.isna().all()]):
        raise ValueError(f"{list(empty)} could be scored on no day of the reference; drop them")
    table = table.fillna(0.0)
    scale = np.maximum(table.quantile(0.95), table.max() / 3).clip(lower=_LEAST)
    high = float(np.sort((table / scale).max(axis=1))[place - 1])
    # Where all scores of the reference are zero, the threshold is the least one.
    return pd.Series(scale * (high if high > 0 else 1.0), table.columns)


def _simulated(chart: Chart, reference: Rows, rate: float) -> pd.Series:
    chart.fit(reference)
    days = checks.floats(reference[chart.columns[0]])
    days = days[np.isfinite(days)]
    if len(days) < 14:
        raise ValueError(f"{len(days)} days are too few to know their spread; give 14 or more")
    week = np.arange(len(days)) // 7
    others = (days.sum() - np.bincount(week, days)) / (len(days) - np.bincount(week))
    days = days - others[week]
    starts = np.random.default_rng(0).integers(0, len(days), (40, 53, 1))
    years = days[(starts + np.arange(7)) % len(days)].reshape(40, -1)
    found = []
    for year in years:
        chart.restart()
        found.append(chart._traced(year))
    chart.restart()
    least = 1e-9 * max(1.0, abs(chart.centre))  # where all days are the same
    return pd.Series(max(float(np.quantile(found, 1 - rate)), least), chart.statistics)


def ratios(
    detector: Detector, thresholds: pd.Series, rows: Rows, *, days: Iterable[Any] | None = None
) -> pd.DataFrame:
    """Score each day, at the midnight (of New York) after it and what the detector waits: 1 is an alarm.

    Parameters
    ----------
    detector : Detector
        Fitted. One that remembers begins anew: give it the whole period.
    thresholds : pandas.Series of shape (n_statistics,)
        As `calibrate` gives them.
    rows : pandas.DataFrame of shape (n_decisions, n_columns)
        For a detector that remembers, days by their local day, with `known_at`: each is scored at the first
        check at which it is known. A check without news repeats what stands.
    days : iterable of days, optional
        Local days to check: every one from the first to the last of the rows, unless you say otherwise. One
        without rows is scored like any other, and is an alarm: say which days you watch where the period
        begins or ends with a gap, or where gaps are on purpose.

    Returns
    -------
    pandas.DataFrame of shape (n_days, n_statistics)
        Statistic divided by threshold, by the moment of the check (UTC). Infinite where a day has no rows or
        cannot be scored; never missing.

    Raises
    ------
    ValueError
        If the thresholds are another detector's, or there are neither rows nor days.

    Examples
    --------
    Two months of simulated visibility, and a third that comes in kilometres:

    >>> from mlsys_lib.drift import Univariate
    >>> at = pd.date_range("2013-06-01 04:00", periods=2160, freq="h", tz="UTC")
    >>> visib = np.random.default_rng(0).uniform(8, 10, len(at))
    >>> rows = pd.DataFrame({"decided_at": at, "visib": visib})
    >>> reference, broken = rows[:1440], rows[1440:].assign(visib=visib[1440:] * 1.609344)
    >>> detector = Univariate(columns=["visib"])
    >>> thresholds = calibrate(detector, reference)
    >>> [int((ratios(detector, thresholds, days).visib >= 1).sum()) for days in (reference, broken)]
    [0, 30]
    """
    thresholds = pd.Series(thresholds, dtype=float)
    if set(thresholds.index) != set(detector.statistics) or not thresholds.gt(0).all():
        known = f"must be above zero, and of the statistics {detector.statistics}"
        raise ValueError(f"thresholds of {list(thresholds.index)} {known}: calibrate gives them")
    if detector.remembers:
        checks.columns(rows, ["known_at"], remedy="performance gives it")
        detector.restart()
        day = pd.Series(rows.index)
        rows = rows[rows.known_at.notna()].sort_values("known_at", kind="stable")
    else:
        checks.columns(rows, ["decided_at"], remedy="a decision has its moment")
        day = local_day(checks.moments(rows.decided_at, "decided_at"))
    asked = _asked(day, days)
    checked = midnight(asked + detector.wait)
    if detector.remembers:
        place = checked.searchsorted(checks.moments(rows.known_at, "known_at"))
    else:
        place = asked.get_indexer(pd.Index(day))
    windows: dict[Any, pd.DataFrame] = dict(list(rows.groupby(place)))
    scores = [detector.score(windows.get(check, rows[:0])) for check in range(len(asked))]
    table = pd.DataFrame(scores).set_axis(checked)
    return (table / thresholds[table.columns]).fillna(np.inf)


def _asked(present: pd.Series, days: Iterable[Any] | None) -> pd.DatetimeIndex:
    """The local days that are checked."""
    if days is not None:
        asked = checks.moments(pd.Series(list(days)), "days").dt.tz_localize(None).dt.normalize()
        return pd.DatetimeIndex(asked).unique().sort_values()
    checks.same_length(rows=present)
    return pd.date_range(present.min(), present.max())
