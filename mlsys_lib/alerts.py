"""Alarms that are worth their noise: performance under label delay, alerts, a score against the truth.

All of it reads one log, a row a decision: `flight_id`, `decided_at`, the features, `probability`, and
once it is known `late` and `labelled_at` (`mlsys_lib.examples` gives both).

1. **Performance.** `performance` knows which labels are mature, and gives what charts watch.
2. **Alerts.** A `Policy` turns ratios into `alerts`; `scorecard` holds these against the truth log.
   `standard_monitors` gives the ratios of ten detectors, to begin with.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlsys_lib import checks, drift
from mlsys_lib.faults import Fault
from mlsys_lib.metrics import FALSE_ALARM, MISS
from mlsys_lib.thresholds import calibrate, ratios
from mlsys_lib.world import local_day

COMPLETE = 0.95  # share of a day's outcomes that must be known before the day is judged
GRACE = pd.Timedelta("2D")  # how long after a fault's end an alert still counts as its own
_DECIDED = ["flight_id", "decided_at", "probability"]
_MADE = "examples gives labels, a model's predict the probability"


# 1. Performance


def performance(rows: pd.DataFrame, now: checks.Moment) -> pd.DataFrame:
    """How good were the decisions of each day, as far as can be said at a moment?

    Parameters
    ----------
    rows : pandas.DataFrame of shape (n_decisions, n_columns)
        With `flight_id`, `decided_at`, `probability`, `late` and `labelled_at`, in any order. A label counts
        if ``labelled_at <= now``.
    now : str or pandas.Timestamp
        UTC where naive.

    Returns
    -------
    pandas.DataFrame of shape (n_days, 6)
        By local day: `decisions`, all of them; of each flight's first one the share `settled` (a label, or known to get none); of those with a
        label the rate `late`, the mean `probability`, the `residual` late - probability and the `cost`
        of a flight. These are missing while less than `COMPLETE` is settled: flights that are on time
        report first, so a day that is half known looks better than it is. `known_at` is when it was.

    Raises
    ------
    ValueError
        If a column is missing.

    Examples
    --------
    >>> from mlsys_lib import World, examples
    >>> world = World("2013-04-24")
    >>> rows = examples(world, world.decisions(since="2013-04-22 04:00")).assign(probability=0.2)
    >>> performance(rows, "2013-04-23 22:00")[["decisions", "settled", "late", "cost"]].round(2)
                decisions  settled  late   cost
    2013-04-22        985     1.00  0.59  24.72
    2013-04-23        893     0.58   NaN    NaN
    """
    checks.columns(rows, [*_DECIDED, "late", "labelled_at"], remedy=_MADE)
    moment = checks.moment(now, "now")
    rows = rows.assign(
        decided_at=checks.moments(rows.decided_at, "decided_at"),
        labelled_at=pd.to_datetime(rows.labelled_at, utc=True),
    )
    asked = rows[rows.decided_at <= moment].sort_values("decided_at", kind="stable")
    decisions = local_day(asked.decided_at).value_counts()
    asked = asked.drop_duplicates("flight_id")
    day = local_day(asked.decided_at)
    settled = asked.labelled_at <= moment
    late = asked.late.astype(float).where(settled)
    p = asked.probability.where(late.notna())
    columns = {"late": late, "probability": p, "residual": late - p, "cost": _price(late, p)}
    table = pd.DataFrame(columns).groupby(day).mean()
    # When enough was known: a quantile in which what is still open comes last.
    arrived = asked.labelled_at.where(settled, moment + pd.Timedelta("3650D"))
    table["known_at"] = arrived.groupby(day).quantile(COMPLETE, interpolation="higher")
    known = settled.groupby(day).mean()
    table = table.where(known >= COMPLETE).rename_axis(None)
    table.insert(0, "decisions", decisions)
    table.insert(1, "settled", known)
    return table


# 2. Alerts


@dataclass(frozen=True, kw_only=True)
class Policy:
    """When an alarm becomes an alert that somebody reads.

    Parameters
    ----------
    threshold : float, default 1.0
        How far above its calibrated threshold a statistic must be.
    persistence : int, default 1
        On how many days in a row; a day without a check breaks the row.
    quiet : int, default 3
        Columns that begin to fire together are one alert, which lasts until all of them have been
        silent for more than so many days. A column that joins later is news: another alert.

    Raises
    ------
    ValueError
        If one of them is negative, or threshold or persistence zero.
    """

    threshold: float = 1.0
    persistence: int = 1
    quiet: int = 3

    def __post_init__(self) -> None:
        checks.within(self.threshold, 1e-9, np.inf, "threshold")
        checks.within(self.persistence, 1, np.inf, "persistence")
        checks.within(self.quiet, 0, np.inf, "quiet")


def alerts(table: pd.DataFrame, *, policy: Policy | None = None) -> pd.DataFrame:
    """The alerts that a policy makes of daily ratios.

    Parameters
    ----------
    table : pandas.DataFrame of shape (n_checks, n_columns)
        As `ratios` gives them; an infinite one is an alarm.
    policy : Policy, optional

    Returns
    -------
    pandas.DataFrame of shape (n_alerts, 4)
        `start`, `end` (first and last alarm), `columns` (a tuple, the loudest first), `peak` (the largest
        ratio).

    Raises
    ------
    ValueError
        If a ratio is missing, which would be a silent one.

    Examples
    --------
    >>> days = pd.date_range("2013-06-01", periods=6, tz="UTC")
    >>> table = pd.DataFrame({"visib": [0.5, 1.2, 1.1, 0, 0, 0], "temp": [0, 0, 2.0, 1.5, 0, 0]}, days)
    >>> alerts(table, policy=Policy(persistence=2))[["start", "columns", "peak"]]
                          start columns  peak
    0 2013-06-03 00:00:00+00:00  (visib,)   1.1
    1 2013-06-04 00:00:00+00:00   (temp,)   1.5
    """
    policy = policy or Policy()
    if gaps := int(table.isna().to_numpy().sum()):
        raise ValueError(f"{gaps} ratios are missing; fill them, with 0 where nothing was checked")
    table = table.set_axis(pd.DatetimeIndex(checks.moments(pd.Series(table.index), "the index")))
    table = table.sort_index()
    day = local_day(pd.Series(table.index))
    firing = _lasting(table >= policy.threshold, day, policy.persistence)
    sent: list[dict[str, Any]] = []
    for alert in _grouped(table, firing, day, policy.quiet):
        loudest = sorted(alert["loud"], key=alert["loud"].get, reverse=True)
        peak = alert["loud"][loudest[0]]
        sent.append({**alert, "columns": tuple(loudest), "peak": peak})
    moments = dict.fromkeys(["start", "end"], "datetime64[us, UTC]")
    return pd.DataFrame(sent, columns=[*moments, "columns", "peak"]).astype(moments)


def _grouped(
    table: pd.DataFrame, firing: pd.DataFrame, day: pd.Series, quiet: int
) -> list[dict[str, Any]]:
    """What fires together, or goes on before it was quiet for long enough, is one alert."""
    made: list[dict[str, Any]] = []
    owner: dict[str, dict[str, Any]] = {}  # the alert to which a column's last alarm belongs
    for check in np.flatnonzero(firing.any(axis=1)):
        moment, today = table.index[check], day[check]
        loud = table.iloc[check][firing.iloc[check]]
        news = [c for c in loud.index if c not in owner or (today - owner[c]["day"]).days > quiet]
        if news:
            alert = {"start": moment, "loud": dict[str, float]()}
            made.append(alert)
            owner |= dict.fromkeys(news, alert)
        for column, ratio in loud.items():
            alert = owner[str(column)]
            alert |= {"end": moment, "day": today}
            alert["loud"][column] = max(ratio, alert["loud"].get(column, 0))
    return made


def _lasting(above: pd.DataFrame, day: pd.Series, persistence: int) -> pd.DataFrame:
    """Where a column is above on so many days in a row, of which the last is this one."""
    daily = above.groupby(day.to_numpy()).any().asfreq("D", fill_value=False)
    lasting = daily.astype(int).rolling(persistence).sum() >= persistence
    return above & lasting.loc[day].set_axis(above.index)


def detections(sent: pd.DataFrame, truth: Iterable[Fault]) -> pd.Series:
    """When each fault was found: the first alert that began after it had.

    Parameters
    ----------
    sent : pandas.DataFrame
        As `alerts` gives them. One that was standing already says nothing new.
    truth : iterable of Fault
        An alert counts until `GRACE` after a fault's end.

    Returns
    -------
    pandas.Series of shape (n_faults,)
        By name; missing where it was missed.

    Examples
    --------
    >>> from mlsys_lib.faults import REAL
    >>> sent = pd.DataFrame({"start": pd.to_datetime(["2013-02-01 05:00", "2013-02-09 05:00"], utc=True)})
    >>> detections(sent, REAL[:2]).to_dict()
    {'Nemo': Timestamp('2013-02-09 05:00:00+0000', tz='UTC'), 'March storm': NaT}
    """
    checks.columns(sent, ["start"], remedy="alerts gives it")
    start = sent["start"]
    found = {fault.name: start[_within(start, fault)].min() for fault in truth}
    return pd.Series(found, dtype="datetime64[us, UTC]")


def _within(start: pd.Series, fault: Fault) -> pd.Series:
    return (start > fault.start) & (start <= fault.end + GRACE)


def losses(clean: pd.DataFrame, served: pd.DataFrame) -> pd.DataFrame:
    """What each flight cost because of injected faults.

    Parameters
    ----------
    clean, served : pandas.DataFrame of shape (n_decisions, n_columns)
        The log without and with the faults, both with `probability` and `late`. A flight on which
        nothing was decided counts as not flagged, even one that a covariate shift took off the
        timetable; a label that was never reported counts as it really was.

    Returns
    -------
    pandas.DataFrame of shape (n_flights, n_columns + 2)
        The rows of `clean` with `extra`, the cost that the faults added, and `usual`, its cost without
        them less the mean of all: what the fault's real siblings are priced by.

    Examples
    --------
    >>> clean = pd.DataFrame({"flight_id": ["a", "b"], "probability": [0.3, 0.1], "late": [1.0, 0.0]})
    >>> broken = clean.assign(probability=[0.1, 0.1])
    >>> losses(clean, broken).extra.to_list()
    [300.0, 0.0]
    """
    for table in (clean, served):
        checks.columns(table, ["flight_id", "probability", "late"], remedy=_MADE)
    flights = served.drop_duplicates("flight_id").set_index("flight_id")
    p = clean.flight_id.map(flights.probability).fillna(0.0)
    truth = clean.flight_id.map(flights.late).fillna(clean.late)
    own = _price(clean.late, clean.probability)
    extra = _price(truth, p) - own
    return clean.assign(extra=extra.fillna(0.0), usual=(own - own.mean()).fillna(0.0))


def scorecard(
    sent: Mapping[str, pd.DataFrame], truth: Iterable[Fault], lost: pd.DataFrame
) -> pd.DataFrame:
    """Each monitor against the truth log.

    Parameters
    ----------
    sent : mapping of str to pandas.DataFrame
        The alerts of each monitor.
    truth : iterable of Fault
        Injected and real. An alert in none of them, or only in one without harm, is false.
    lost : pandas.DataFrame
        As `losses` gives it, of the whole period.

    Returns
    -------
    pandas.DataFrame of shape (n_monitors, 7)
        `caught` of the injected faults with harm, and as many as its false alarms alone would have
        caught, `by_chance`; `caught_real`; `delay`, the median days from start to alert; `false_month`,
        false alarms in 30 days; `lost`, the money that faults cost before they were found, all of it
        where they were missed; `missed`, the injected ones.
    """
    checks.columns(lost, ["decided_at", "extra", "usual"], remedy="losses gives them")
    checks.same_length(lost=lost)
    day = pd.Timedelta("1D")
    harmful = [fault for fault in truth if fault.harm != "none"]
    injected = [fault for fault in harmful if not fault.real]
    length = [(fault.end - fault.start + GRACE) / day for fault in injected]
    months = local_day(lost.decided_at).nunique() / 30
    table = {}
    for name, table_sent in sent.items():
        found = detections(table_sent, harmful)
        true = np.any([_within(table_sent["start"], f) for f in harmful], axis=0).sum()
        often = (len(table_sent) - float(true)) / months / 30  # false alarms a day
        delay = [(found[f.name] - f.start) / day for f in harmful]
        missed = [f.name for f in injected if pd.isna(found[f.name])]
        table[name] = {
            "caught": len(injected) - len(missed),
            "by_chance": sum(1 - np.exp(-often * days) for days in length),
            "caught_real": sum(f.real and pd.notna(found[f.name]) for f in harmful),
            "delay": np.nanmedian(delay) if found.notna().any() else np.nan,
            "false_month": 30 * often,
            "lost": sum(_lost(lost, f, found[f.name]) for f in harmful),
            "missed": "; ".join(missed),
        }
    return pd.DataFrame(table).T.infer_objects()


def _lost(lost: pd.DataFrame, fault: Fault, found: Any) -> float:
    until = fault.end if pd.isna(found) else min(found, fault.end)
    hit = (lost.decided_at >= fault.start) & (lost.decided_at < until)
    for column, value in fault.where.items() if fault.real else ():
        hit &= lost[column] == value
    return max(0.0, float(lost.loc[hit, "usual" if fault.real else "extra"].sum()))


def standard_detectors() -> dict[str, drift.Detector]:
    """Ten detectors to begin with, by the name of what they watch; not fitted.

    Examples
    --------
    >>> [name for name, detector in standard_detectors().items() if detector.wait > pd.Timedelta("1D")]
    ['labels that lack']
    """
    return {
        "data checks": drift.Quality(),
        "KS and chi-squared": drift.Univariate(),
        "PSI": drift.Binned(),
        "MMD": drift.RandomFeatures(features=512),
        "KS of the scores": drift.Univariate(columns=["probability"]),
        "expected cost": drift.Expected(),
        "labels that lack": drift.Labels(),
        "EWMA of residuals": drift.Ewma("residual"),
        "Page-Hinkley of residuals": drift.PageHinkley("residual"),
        "realised cost": drift.Ewma("cost", weight=1),
    }


def standard_monitors(
    reference: pd.DataFrame,
    rows: pd.DataFrame,
    *,
    rate: float = 1 / 30,
    days: Iterable[Any] | None = None,
    detectors: Mapping[str, drift.Detector] | None = None,
) -> dict[str, pd.DataFrame]:
    """Monitors, calibrated on one reference to one rate, on one log.

    Parameters
    ----------
    reference : pandas.DataFrame of shape (n_decisions, n_columns)
        Undisturbed days, with `probability`, `late` and `labelled_at`.
    rows : pandas.DataFrame of shape (n_decisions, n_columns)
        The log to watch.
    rate : float, default 1/30
    days : iterable of days, optional
        Those that are checked, as in `ratios`.
    detectors : mapping of str to Detector, optional
        The `standard_detectors`, unless you say otherwise. They are left fitted on the reference.

    Returns
    -------
    dict of str to pandas.DataFrame
        The `ratios` of each monitor, for `alerts`.
    """
    daily = [performance(table, "2100-01-01") for table in (reference, rows)]
    made = {}
    for name, detector in (detectors or standard_detectors()).items():
        usual, seen = daily if detector.remembers else (reference, rows)
        thresholds = calibrate(detector, usual, rate=rate)
        made[name] = ratios(detector, thresholds, seen, days=days)
    return made


def _price(late: pd.Series, probability: pd.Series) -> pd.Series:
    """What each flight cost; missing without a label."""
    flagged = probability >= FALSE_ALARM / (FALSE_ALARM + MISS)
    price = np.where(flagged, FALSE_ALARM * (1 - late), MISS * late)
    return pd.Series(price, late.index).where(late.notna())
