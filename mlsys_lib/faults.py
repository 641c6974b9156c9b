"""The truth log: what really went wrong, and what we break on purpose, both dated.

A monitor can only be scored against a record of what it should have found. `REAL` holds events that
happened in 2013 and 2023. The functions inject a simulated fault into what the desk sees, and return
the changed copy with its entry:
`feed_outage`, `frozen`, `unit_change`, `renamed`, `clock_shift`, `dropped`, `duplicated`,
`silent_airline`, `label_delay`, `concept_drift`, `covariate_shift`. `scenario` puts one of each into a
period.

Each takes rows, a decision each, and a period ``[start, end)`` of decisions (UTC where naive). Calls
stack: give the rows that one returns to the next. What chance decides depends on the seed and on the
fault, its period and its place, so that faults under one seed do not strike the same flights. The rows
given are never changed.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib import checks
from mlsys_lib.checks import Duration, Moment
from mlsys_lib.features import ROLLING, Rolling
from mlsys_lib.world import HOME, MEASURED, local_day

Rows = pd.DataFrame
Span = tuple[Moment, Moment]
Where = Mapping[str, str]
Broken = tuple[Rows, "Fault"]
_PENDING: dict[str, Any] = {"late": np.nan, "labelled_at": pd.NaT, "label_status": "pending"}


@dataclass(frozen=True)
class Fault:
    """One entry of the truth log.

    Parameters
    ----------
    name, kind : str
    start, end : pandas.Timestamp
        The period, in UTC; `end` is outside of it.
    harm : str
        What to expect: ``predictions`` (decisions get dearer), ``labels`` (what is learnt from
        outcomes goes wrong), ``none`` (an alarm is a false one).
    where : mapping of str to str
        Columns and the values that were hit; empty is everywhere.
    real : bool, default False
        Whether it happened, or was injected.

    Raises
    ------
    ValueError
        If it ends before it starts, or there is no such harm.
    """

    name: str
    kind: str
    start: pd.Timestamp
    end: pd.Timestamp
    harm: str
    where: Where = field(default_factory=dict, hash=False, kw_only=True)
    real: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        checks.one_of(self.harm, ("predictions", "labels", "none"), "harm")
        checks.period(self.start, self.end, self.name)


def _happened(name: str, kind: str, first: str, last: str, **where: str) -> Fault:
    start = pd.Timestamp(first, tz=HOME).tz_convert("UTC")
    end = (pd.Timestamp(last, tz=HOME) + pd.DateOffset(days=1)).tz_convert("UTC")
    # A storm takes labels away, those of the latest flights; the weather warns of it.
    harm = "labels" if kind == "storm" else "predictions"
    return Fault(name, kind, start, end, harm, where=where, real=True)


REAL = (
    _happened("Nemo", "storm", "2013-02-08", "2013-02-09"),
    _happened("March storm", "storm", "2013-03-06", "2013-03-08"),
    _happened("FAA furloughs", "operations", "2013-04-21", "2013-04-27"),
    _happened("May thunderstorms", "storm", "2013-05-23", "2013-05-23"),
    _happened("Asiana 214 at SFO", "operations", "2013-07-06", "2013-07-07", dest="SFO"),
    _happened("Southwest 345, storms", "operations", "2013-07-22", "2013-07-23", origin="LGA"),
    _happened("September thunderstorms", "storm", "2013-09-12", "2013-09-12"),
    _happened("Thanksgiving storm", "storm", "2013-11-27", "2013-11-27"),
    _happened("December storm, 5th", "storm", "2013-12-05", "2013-12-05"),
    _happened("December storm, 10th", "storm", "2013-12-10", "2013-12-10"),
    _happened("December storm, 14th", "storm", "2013-12-14", "2013-12-14"),
    _happened("December storm, 17th", "storm", "2013-12-17", "2013-12-17"),
    _happened("NOTAM outage", "operations", "2023-01-11", "2023-01-11"),
    _happened("wildfire smoke", "weather", "2023-06-06", "2023-06-08", origin="LGA"),
    _happened("late June meltdown", "operations", "2023-06-25", "2023-06-27"),
    _happened("July storms", "storm", "2023-07-09", "2023-07-16"),
    _happened("flash flood", "storm", "2023-09-29", "2023-09-29", origin="LGA"),
)


def feed_outage(
    rows: Rows, start: Moment, end: Moment, *, topic: str = "weather", **where: str
) -> Broken:
    """A feed falls silent: the last observation goes on; windows of reports run empty.

    Parameters
    ----------
    rows : pandas.DataFrame of shape (n_flights, n_columns)
    start, end : str or pandas.Timestamp
    topic : str, default "weather"
        Or ``departures``, ``arrivals``. Their features keep their last value until the window has
        passed; then rates are missing and counts 0. (On the stream, windows run empty bit by bit.)
    **where : str
        Only rows with these values, such as ``origin="LGA"``.

    Returns
    -------
    rows : pandas.DataFrame
    fault : Fault

    Raises
    ------
    ValueError
        If nothing was decided in the period, or the rows have no feature of the topic.

    Examples
    --------
    >>> from mlsys_lib import World, examples
    >>> world = World("2013-04-23")
    >>> rows = examples(world, world.decisions(since="2013-04-22 04:00"))
    >>> broken, fault = feed_outage(rows, "2013-04-22 12:00", "2013-04-23", origin="LGA")
    >>> at_noon = rows.decided_at >= "2013-04-22 12:00"
    >>> rows[at_noon].groupby("origin").temp.nunique().to_dict()
    {'EWR': 7, 'JFK': 8, 'LGA': 9}
    >>> broken[at_noon].groupby("origin").temp.nunique().to_dict()
    {'EWR': 7, 'JFK': 8, 'LGA': 1}
    >>> fault.name, fault.harm
    ('feed outage: weather', 'predictions')
    """
    checks.one_of(topic, ("weather", "departures", "arrivals"), "topic")
    period = _Period(rows, (start, end), "feed outage", topic, "predictions", where)
    if topic == "weather":
        observed = [name for name in [*MEASURED, "observed_at"] if name in rows]
        changed = period.held(observed, ["origin"])
    else:
        changed = period.starved(feature for feature in ROLLING if feature.topic == topic)
    if not changed:
        raise ValueError(f"the rows have no feature of {topic}; batch makes them")
    return period.put(changed)


def frozen(rows: Rows, start: Moment, end: Moment, columns: Iterable[str], **where: str) -> Broken:
    """Features stop being updated: each airport's last value before the period goes on.

    Examples
    --------
    >>> from mlsys_lib import World, examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> broken, fault = frozen(rows, "2013-05-02 12:00", "2013-05-03", ["temp", "visib"], origin="JFK")
    >>> hit = (rows.origin == "JFK") & (rows.decided_at >= "2013-05-02 12:00")
    >>> rows[hit].temp.nunique(), broken[hit].temp.nunique(), fault.name
    (8, 1, 'frozen: temp and 1 more')
    """
    names = [columns] if isinstance(columns, str) else list(columns)
    if not names:
        raise ValueError("columns=[] freezes nothing; name one or more")
    what = names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    period = _Period(rows, (start, end), "frozen", what, "predictions", where, *names)
    return period.put(period.held(names, ["origin"]))


def unit_change(
    rows: Rows,
    start: Moment,
    end: Moment,
    *,
    column: str = "temp",
    scale: float = 5 / 9,
    offset: float = -160 / 9,
    **where: str,
) -> Broken:
    """A number comes in another unit, ``scale * value + offset``: Celsius unless told otherwise.

    Examples
    --------
    >>> from mlsys_lib import World, examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> broken, fault = unit_change(rows, "2013-05-02 12:00", "2013-05-03", column="visib", scale=1.609344, offset=0)
    >>> float(rows.visib.max()), float(broken.visib.max().round(1)), fault.name
    (10.0, 16.1, 'unit change: visib')
    """
    period = _Period(rows, (start, end), "unit change", column, "predictions", where, column)
    if not pd.api.types.is_numeric_dtype(rows[column]):
        raise ValueError(f"column={column!r} holds no numbers; name one that does")
    return period.put({column: scale * rows[column] + offset})


def renamed(rows: Rows, start: Moment, end: Moment, column: str, old: str, new: str) -> Broken:
    """A category gets another name: the model has never seen it.

    Examples
    --------
    >>> from mlsys_lib import World, examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> broken, fault = renamed(rows, "2013-05-02 12:00", "2013-05-03", "carrier", "UA", "UAL")
    >>> int(rows.carrier.eq("UA").sum()), int(broken.carrier.eq("UAL").sum()), fault.where
    (189, 123, {'carrier': 'UA'})
    """
    what = f"{old} is {new}"
    period = _Period(rows, (start, end), "renamed", what, "predictions", {column: old})
    return period.put({column: new})


def clock_shift(rows: Rows, start: Moment, end: Moment, *, hours: int = 4, **where: str) -> Broken:
    """Times of the day are read in another zone: UTC unless told otherwise.

    Examples
    --------
    >>> evening = pd.to_datetime(["2013-05-03 01:00"], utc=True)  # nine o'clock on a Thursday
    >>> rows = pd.DataFrame({"decided_at": evening, "dep_minute": 1260, "arr_minute": 1400, "day_of_week": 3})
    >>> clock_shift(rows, "2013-05-03", "2013-05-04")[0].iloc[0, 1:].to_dict()
    {'dep_minute': 60, 'arr_minute': 200, 'day_of_week': 4}
    """
    what, needs = f"{hours:+d} h", ["dep_minute", "arr_minute", "day_of_week"]
    period = _Period(rows, (start, end), "clock shift", what, "predictions", where, *needs)
    dep, arr = (rows[name] + 60 * hours for name in ("dep_minute", "arr_minute"))
    moved = {
        "dep_minute": dep % 1440,
        "arr_minute": arr % 1440,
        "day_of_week": (rows.day_of_week + dep // 1440) % 7,
    }
    return period.put(moved)


def dropped(
    rows: Rows, start: Moment, end: Moment, *, share: float = 0.3, seed: int = 0, **where: str
) -> Broken:
    """Requests get lost: for a share of the flights the desk decides nothing.

    Examples
    --------
    >>> from mlsys_lib import World, examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> len(rows), len(dropped(rows, "2013-05-02 12:00", "2013-05-03", share=0.5)[0])
    (1059, 707)
    """
    period = _Period(rows, (start, end), "dropped", _percent(share, "share"), "predictions", where)
    return period.repeated(0, period.drawn(share, seed))


def duplicated(
    rows: Rows, start: Moment, end: Moment, *, share: float = 0.3, seed: int = 0, **where: str
) -> Broken:
    """Requests come twice: the same flight stands in the log two times. Decisions stay as they were.

    Examples
    --------
    >>> from mlsys_lib import World, examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> len(rows), len(duplicated(rows, "2013-05-02", "2013-05-03", share=0.5)[0])
    (1059, 1536)
    """
    period = _Period(rows, (start, end), "duplicated", _percent(share, "share"), "labels", where)
    return period.repeated(2, period.drawn(share, seed))


def silent_airline(rows: Rows, start: Moment, end: Moment, *, carrier: str = "EV") -> Broken:
    """One airline stops reporting: its own features run empty, its labels never come.

    Examples
    --------
    >>> from mlsys_lib import World, examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> broken, fault = silent_airline(rows, "2013-05-02", "2013-05-03", carrier="DL")
    >>> [int(table.late[rows.carrier == "DL"].notna().sum()) for table in (rows, broken)], fault.harm
    ([91, 5], 'labels')
    """
    where = {"carrier": carrier}
    period = _Period(rows, (start, end), "silent airline", carrier, "labels", where, *_PENDING)
    return period.put(_PENDING | period.starved(f for f in ROLLING if f.by == ("carrier",)))


def label_delay(
    rows: Rows, start: Moment, end: Moment, *, delay: Duration = "7D", **where: str
) -> Broken:
    """Outcomes become known later. Needs `labelled_at`, which `examples` gives.

    Examples
    --------
    >>> from mlsys_lib import World, examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> broken, fault = label_delay(rows, "2013-05-02", "2013-05-03", delay="3D")
    >>> (broken.labelled_at - rows.labelled_at).max(), fault.name
    (Timedelta('3 days 00:00:00'), 'label delay: 3D')
    """
    later, kind = checks.duration(delay, "delay"), "label delay"
    period = _Period(rows, (start, end), kind, str(delay), "labels", where, "labelled_at")
    return period.put({"labelled_at": rows.labelled_at + later})


def concept_drift(
    rows: Rows,
    start: Moment,
    end: Moment,
    *,
    share: float = 0.3,
    gradual: bool = False,
    seed: int = 0,
    **where: str,
) -> Broken:
    """The same inputs, other outcomes: a share of the flights that were on time are late.

    Parameters
    ----------
    rows : pandas.DataFrame of shape (n_flights, n_columns)
        With `late`. No feature moves, not even the lagged ones, which really would.
    start, end : str or pandas.Timestamp
    share : float, default 0.3
        How many of them; with `gradual`, at the end of the period, growing from none.
    gradual : bool, default False
    seed : int, default 0
    **where : str
        Only rows with these values.

    Returns
    -------
    rows : pandas.DataFrame
    fault : Fault

    Raises
    ------
    ValueError
        If nothing was decided in the period.

    Examples
    --------
    >>> from mlsys_lib import World, examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-01"))
    >>> drifted, fault = concept_drift(rows, "2013-05-01", "2013-05-03", origin="LGA")
    >>> rows.groupby("origin").late.mean().round(2).to_dict()
    {'EWR': 0.11, 'JFK': 0.09, 'LGA': 0.1}
    >>> drifted.groupby("origin").late.mean().round(2).to_dict()
    {'EWR': 0.11, 'JFK': 0.09, 'LGA': 0.39}
    """
    kind = f"{'gradual' if gradual else 'sudden'} concept drift"
    what = _percent(share, "share")
    period = _Period(rows, (start, end), kind, what, "predictions", where, "late")
    grown = (period.at - period.fault.start) / (period.fault.end - period.fault.start)
    turned = period.drawn(share * grown.to_numpy() if gradual else share, seed)
    return period.put({"late": rows.late.mask(turned & (rows.late == 0), 1.0)})


def covariate_shift(
    rows: Rows, start: Moment, end: Moment, *, keep: float = 0.3, seed: int = 0, **where: str
) -> Broken:
    """Fewer flights of a kind are flown: the mix moves, what each flight's inputs mean does not.

    Examples
    --------
    >>> from mlsys_lib import World, examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> broken, fault = covariate_shift(rows, "2013-05-02", "2013-05-03", origin="EWR")
    >>> [int((table.origin == "EWR").sum()) for table in (rows, broken)], fault.harm
    ([402, 148], 'none')
    """
    what = f"{_percent(keep, 'keep')} kept"
    period = _Period(rows, (start, end), "covariate shift", what, "none", where)
    return period.repeated(0, period.drawn(1 - keep, seed))


_LAGGED = [feature.name for feature in ROLLING if feature.figure != "count"]
# Doses of the scenario, and the days each lasts.
_DOSES: tuple[tuple[int, Callable[[Rows, Any, Any, int], Broken]], ...] = (
    (5, lambda r, s, e, n: feed_outage(r, s, e, topic="weather")),
    (5, lambda r, s, e, n: feed_outage(r, s, e, topic="arrivals")),
    (7, lambda r, s, e, n: frozen(r, s, e, _LAGGED)),
    (7, lambda r, s, e, n: unit_change(r, s, e)),
    (7, lambda r, s, e, n: unit_change(r, s, e, column="visib", scale=1.609344, offset=0.0)),
    (7, lambda r, s, e, n: renamed(r, s, e, "carrier", "UA", "UAL")),
    (5, lambda r, s, e, n: clock_shift(r, s, e)),
    (4, lambda r, s, e, n: dropped(r, s, e, seed=n)),
    (4, lambda r, s, e, n: duplicated(r, s, e, seed=n)),
    (7, lambda r, s, e, n: silent_airline(r, s, e)),
    (7, lambda r, s, e, n: label_delay(r, s, e)),
    (7, lambda r, s, e, n: concept_drift(r, s, e, seed=n)),
    (21, lambda r, s, e, n: concept_drift(r, s, e, share=0.4, gradual=True, seed=n)),
    (7, lambda r, s, e, n: covariate_shift(r, s, e, seed=n, origin="EWR")),
)


def scenario(rows: Rows, *, seed: int = 0) -> tuple[Rows, list[Fault]]:
    """One simulated fault of each kind, in random order, at random days, without overlap.

    Parameters
    ----------
    rows : pandas.DataFrame of shape (n_flights, n_columns)
        All features of `mlsys_lib.features.batch`, `late` and `labelled_at`, over 20 weeks or more.
    seed : int, default 0

    Returns
    -------
    rows : pandas.DataFrame
    truth : list of Fault
        In the order of their start, with at least two days between them.

    Raises
    ------
    ValueError
        If the period is too short to hold them.

    Examples
    --------
    >>> days = pd.date_range("2013-05-01 16:00", periods=7, freq="D", tz="UTC")
    >>> scenario(pd.DataFrame({"decided_at": days}))
    Traceback (most recent call last):
        ...
    ValueError: 7 days cannot hold the scenario; give more than 128
    """
    checks.columns(rows, ["decided_at"], remedy="batch makes what the scenario breaks")
    rng = np.random.default_rng(seed)
    found = local_day(checks.moments(rows.decided_at, "decided_at")).unique()
    days = pd.DatetimeIndex(found).sort_values().tz_localize(HOME)
    needed = sum(length + 2 for length, _ in _DOSES)
    if len(days) <= needed:
        raise ValueError(f"{len(days)} days cannot hold the scenario; give more than {needed}")
    # The free days are split at random among the gaps; the first day stays whole.
    gaps = np.diff(np.r_[0, np.sort(rng.integers(0, len(days) - needed, len(_DOSES)))])
    truth, place = [], 1
    for gap, number in zip(gaps, rng.permutation(len(_DOSES)), strict=True):
        length, injection = _DOSES[number]
        place += int(gap)
        rows, fault = injection(rows, days[place], days[place + length], seed)
        truth.append(fault)
        place += length + 2
    return rows, truth


class _Period:
    """The rows of a period that a fault hits, its entry, and what faults do to rows."""

    def __init__(
        self, rows: Rows, span: Span, kind: str, what: str, harm: str, where: Where, *needs: str
    ) -> None:
        checks.columns(rows, ["decided_at", *where, *needs], remedy="examples and batch make it")
        first, last = checks.moment(span[0], "start"), checks.moment(span[1], "end")
        self.fault = Fault(f"{kind}: {what}", kind, first, last, harm, where=where)
        self.rows, self.at = rows, checks.moments(rows.decided_at, "decided_at")
        hit = (self.at >= first) & (self.at < last)
        for column, value in where.items():
            hit &= rows[column] == value
        self.hit = hit.to_numpy()
        if not hit.any():
            raise ValueError(
                f"no decision from {first} to {last} with {dict(where)}; choose what is there"
            )

    def put(self, values: Mapping[str, Any]) -> Broken:
        """Other values in the rows that are hit."""
        made = {}
        for name, value in values.items():
            column = self.rows[name]
            if column.dtype.kind == "i" and pd.Series(value).dtype.kind == "f":
                column = column.astype(float)  # a whole number cannot be missing
            if isinstance(column.dtype, pd.CategoricalDtype):
                column = column.astype(object)  # a category cannot be new
            made[name] = column.mask(self.hit, value)
        return self.rows.assign(**made), self.fault

    def repeated(self, times: int, drawn: npt.NDArray[np.bool_]) -> Broken:
        """Those that are hit and drawn so many times, the others once."""
        place = np.repeat(np.arange(len(self.rows)), np.where(self.hit & drawn, times, 1))
        return self.rows.iloc[place].reset_index(drop=True), self.fault

    def drawn(self, share: float | npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.bool_]:
        """Each row with this chance, independently of what another fault draws under the seed."""
        checks.whole(seed, 0, "seed")
        fault = self.fault
        name = f"{fault.name} {fault.start} {fault.end} {sorted(fault.where.items())}"
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        return rng.random(len(self.rows)) < share

    def held(self, names: list[str], by: list[str]) -> dict[str, pd.Series]:
        """The last values before the fault, for each key; missing where there were none."""
        checks.columns(self.rows, by, remedy="their last values are held one by one")
        order = self.at.to_numpy().argsort(kind="stable")
        before = self.rows.iloc[order[: (self.at < self.fault.start).sum()]]
        last = before.drop_duplicates(by, keep="last")[list(dict.fromkeys([*by, *names]))]
        found = self.rows[by].merge(last, on=by, how="left").set_axis(self.rows.index)
        return {name: found[name] for name in names}

    def starved(self, features: Iterable[Rolling]) -> dict[str, pd.Series]:
        """Windows into which nothing comes any more, as far as the rows have them."""
        made = {}
        for feature in (one for one in features if one.name in self.rows):
            held = self.held([feature.name], list(feature.by))[feature.name]
            empty = (self.at >= self.fault.start + pd.Timedelta(hours=feature.hours)).to_numpy()
            made[feature.name] = held.mask(empty, 0 if feature.figure == "count" else np.nan)
        return made


def _percent(share: float, name: str) -> str:
    checks.within(share, 0, 1, name)
    return f"{share:.0%}"
