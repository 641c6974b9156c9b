"""The truth log: what really went wrong, and what we break on purpose, both dated.

A monitor can only be scored against a record of what it should have found. `REAL` holds events that
happened in 2013 and 2023; `evidence` computes again from the flights that they did. The other functions
inject a simulated fault into what the desk sees, and return the changed copy with its entry:

===================  ===============================================================================
on a feature table   `feed_outage`, `frozen`, `unit_change`, `renamed`, `clock_shift`, `dropped`,
                     `duplicated`, `silent_airline`, `label_delay`, `concept_drift`,
                     `covariate_shift`; `scenario` puts one of each into a period
on the event stream  `tampered`: messages dropped, duplicated or late
===================  ===============================================================================

Each takes rows and a period ``[start, end)`` of decisions (UTC where naive), and calls stack: give the
rows that one returns to the next. The rows given are never changed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib.checks import Moment
from mlsys_lib.events import Event
from mlsys_lib.features import LATE, ROLLING, Rolling
from mlsys_lib.world import HOME, MEASURED, World, local_day

Rows = pd.DataFrame
Broken = tuple[pd.DataFrame, "Fault"]


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
    """

    name: str
    kind: str
    start: pd.Timestamp
    end: pd.Timestamp
    harm: str
    where: Mapping[str, str] = field(default_factory=dict, hash=False, kw_only=True)
    real: bool = field(default=False, kw_only=True)


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


def evidence(fault: Fault, world: World) -> pd.DataFrame:
    """What the flights say about a real event: each of its days, and the day before.

    Parameters
    ----------
    fault : Fault
        One of `REAL`.
    world : World
        Only what is known by its clock counts; `World.hindsight` knows all.

    Returns
    -------
    pandas.DataFrame of shape (n_days, 6)
        By local day: scheduled `flights`, the shares `cancelled` and `diverted`, the share `late` of
        those that arrived, the mean `dep_delay` (minutes), the lowest `visib` (miles); flights and
        weather of `Fault.where` only.

    Raises
    ------
    ValueError
        If there are no such flights yet.

    Examples
    --------
    >>> evidence(REAL[0], World("2013-03-01")).round(3)[["flights", "cancelled", "late"]]
                flights  cancelled   late
    2013-02-07      932      0.004  0.194
    2013-02-08      930      0.508  0.490
    2013-02-09      684      0.575  0.251
    """
    since = fault.start - pd.Timedelta(days=1)
    flights, weather = world.flights(since=since), world.weather(since=since)
    hit = flights[_matching(flights, fault.where) & (flights.sched_dep < fault.end)]
    if hit.empty:
        raise ValueError(
            f"no flights of {fault.name!r} are known at {world.now}; use a later world"
        )
    made = hit.assign(
        cancelled=hit.status == "cancelled",
        diverted=hit.status == "diverted",
        late=(hit.arr_delay >= LATE).astype(float).where(hit.arr_delay.notna()),
    ).groupby(local_day(hit.sched_dep))
    figures = made[["cancelled", "diverted", "late", "dep_delay"]].mean()
    seen = weather[_matching(weather, fault.where)]
    figures["visib"] = seen.groupby(local_day(seen.event_time)).visib.min()
    figures.insert(0, "flights", made.size())
    return figures.rename_axis(None)


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
        passed; then rates are missing and counts 0 (`tampered` on the stream has no such shortcut).
    **where : str
        Only rows with these values, such as ``origin="LGA"``.

    Returns
    -------
    rows : pandas.DataFrame
    fault : Fault

    Raises
    ------
    ValueError
        If nothing was decided in the period, or a column is missing.

    Examples
    --------
    >>> from mlsys_lib import examples
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
    fault, hit = _begin(rows, "feed outage", topic, start, end, "predictions", where)
    if topic != "weather":
        return _starved(rows, hit, fault, [f for f in ROLLING if f.topic == topic]), fault
    columns = [c for c in [*MEASURED, "observed_at"] if c in rows]
    held = {column: _held(rows, fault, column, ["origin"]) for column in columns}
    return _put(rows, hit, held), fault


def frozen(rows: Rows, start: Moment, end: Moment, columns: Iterable[str], **where: str) -> Broken:
    """Features stop being updated: each airport's last value before the period goes on.

    Examples
    --------
    >>> from mlsys_lib import examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> broken, fault = frozen(rows, "2013-05-02 12:00", "2013-05-03", ["temp", "visib"], origin="JFK")
    >>> hit = (rows.origin == "JFK") & (rows.decided_at >= "2013-05-02 12:00")
    >>> rows[hit].temp.nunique(), broken[hit].temp.nunique(), fault.name
    (8, 1, 'frozen: temp and 1 more')
    """
    columns = list(columns)
    what = columns[0] + (f" and {len(columns) - 1} more" if len(columns) > 1 else "")
    fault, hit = _begin(rows, "frozen", what, start, end, "predictions", where)
    return _put(rows, hit, {c: _held(rows, fault, c, ["origin"]) for c in columns}), fault


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
    >>> from mlsys_lib import examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> broken, fault = unit_change(rows, "2013-05-02 12:00", "2013-05-03", column="visib", scale=1.609344, offset=0)
    >>> float(rows.visib.max()), float(broken.visib.max().round(1)), fault.name
    (10.0, 16.1, 'unit change: visib')
    """
    fault, hit = _begin(rows, "unit change", column, start, end, "predictions", where)
    return _put(rows, hit, {column: scale * rows[column] + offset}), fault


def renamed(rows: Rows, start: Moment, end: Moment, column: str, old: str, new: str) -> Broken:
    """A category gets another name: the model has never seen it.

    Examples
    --------
    >>> from mlsys_lib import examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> broken, fault = renamed(rows, "2013-05-02 12:00", "2013-05-03", "carrier", "UA", "UAL")
    >>> int(rows.carrier.eq("UA").sum()), int(broken.carrier.eq("UAL").sum()), fault.where
    (189, 123, {'carrier': 'UA'})
    """
    where = {column: old}
    fault, hit = _begin(rows, "renamed", f"{old} is {new}", start, end, "predictions", where)
    return _put(rows, hit, {column: new}), fault


def clock_shift(rows: Rows, start: Moment, end: Moment, *, hours: int = 4, **where: str) -> Broken:
    """Times of the day are read in another zone: UTC unless told otherwise.

    Examples
    --------
    >>> evening = pd.to_datetime(["2013-05-03 01:00"], utc=True)  # nine o'clock on a Thursday
    >>> rows = pd.DataFrame({"decided_at": evening, "dep_minute": 1260, "arr_minute": 1400, "day_of_week": 3})
    >>> clock_shift(rows, "2013-05-03", "2013-05-04")[0].iloc[0, 1:].to_dict()
    {'dep_minute': 60, 'arr_minute': 200, 'day_of_week': 4}
    """
    fault, hit = _begin(rows, "clock shift", f"{hours:+d} h", start, end, "predictions", where)
    dep, arr = (rows[name] + 60 * hours for name in ("dep_minute", "arr_minute"))
    moved = {
        "dep_minute": dep % 1440,
        "arr_minute": arr % 1440,
        "day_of_week": (rows.day_of_week + dep // 1440) % 7,
    }
    return _put(rows, hit, moved), fault


def dropped(
    rows: Rows, start: Moment, end: Moment, *, share: float = 0.3, seed: int = 0, **where: str
) -> Broken:
    """Requests get lost: for a share of the flights the desk decides nothing.

    Examples
    --------
    >>> from mlsys_lib import examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> len(rows), len(dropped(rows, "2013-05-02 12:00", "2013-05-03", share=0.5)[0])
    (1059, 723)
    """
    fault, hit = _begin(rows, "dropped", f"{share:.0%}", start, end, "predictions", where)
    return rows[~(hit & _drawn(rows, share, seed))].reset_index(drop=True), fault


def duplicated(
    rows: Rows, start: Moment, end: Moment, *, share: float = 0.3, seed: int = 0, **where: str
) -> Broken:
    """Requests come twice: the same flight stands in the log two times. Decisions stay as they were.

    Examples
    --------
    >>> from mlsys_lib import examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> len(rows), len(duplicated(rows, "2013-05-02", "2013-05-03", share=0.5)[0])
    (1059, 1528)
    """
    fault, hit = _begin(rows, "duplicated", f"{share:.0%}", start, end, "labels", where)
    twice = np.where(hit & _drawn(rows, share, seed), 2, 1)
    return rows.loc[rows.index.repeat(twice)].reset_index(drop=True), fault


def silent_airline(rows: Rows, start: Moment, end: Moment, *, carrier: str = "EV") -> Broken:
    """One airline stops reporting: its own features run empty, its labels never come.

    Examples
    --------
    >>> from mlsys_lib import examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> broken, fault = silent_airline(rows, "2013-05-02", "2013-05-03", carrier="DL")
    >>> [int(table.late[rows.carrier == "DL"].notna().sum()) for table in (rows, broken)], fault.harm
    ([91, 5], 'labels')
    """
    where = {"carrier": carrier}
    fault, hit = _begin(rows, "silent airline", carrier, start, end, "labels", where)
    changed = _starved(rows, hit, fault, [f for f in ROLLING if f.by == ("carrier",)])
    gone = {"late": np.nan, "labelled_at": pd.NaT, "label_status": "pending"}
    return _put(changed, hit, {c: v for c, v in gone.items() if c in rows}), fault


def label_delay(
    rows: Rows, start: Moment, end: Moment, *, delay: str | pd.Timedelta = "7D", **where: str
) -> Broken:
    """Outcomes become known later. Needs `labelled_at`, which `examples` gives.

    Examples
    --------
    >>> from mlsys_lib import examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> broken, fault = label_delay(rows, "2013-05-02", "2013-05-03", delay="3D")
    >>> (broken.labelled_at - rows.labelled_at).max(), fault.name
    (Timedelta('3 days 00:00:00'), 'label delay: 3D')
    """
    fault, hit = _begin(rows, "label delay", str(delay), start, end, "labels", where)
    return _put(rows, hit, {"labelled_at": rows.labelled_at + pd.Timedelta(delay)}), fault


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
    >>> from mlsys_lib import examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-01"))
    >>> drifted, fault = concept_drift(rows, "2013-05-01", "2013-05-03", origin="LGA")
    >>> rows.groupby("origin").late.mean().round(2).to_dict()
    {'EWR': 0.11, 'JFK': 0.09, 'LGA': 0.1}
    >>> drifted.groupby("origin").late.mean().round(2).to_dict()
    {'EWR': 0.11, 'JFK': 0.09, 'LGA': 0.36}
    """
    kind = f"{'gradual' if gradual else 'sudden'} concept drift"
    fault, hit = _begin(rows, kind, f"{share:.0%}", start, end, "predictions", where)
    grown = (rows.decided_at - fault.start) / (fault.end - fault.start) if gradual else 1.0
    turned = hit & (rows.late == 0) & _drawn(rows, share * grown, seed)
    return _put(rows, turned, {"late": 1.0}), fault


def covariate_shift(
    rows: Rows, start: Moment, end: Moment, *, keep: float = 0.3, seed: int = 0, **where: str
) -> Broken:
    """Fewer flights of a kind are flown: the mix moves, what each flight's inputs mean does not.

    Examples
    --------
    >>> from mlsys_lib import examples
    >>> world = World("2013-05-03")
    >>> rows = examples(world, world.decisions(since="2013-05-02"))
    >>> broken, fault = covariate_shift(rows, "2013-05-02", "2013-05-03", origin="EWR")
    >>> [int((table.origin == "EWR").sum()) for table in (rows, broken)], fault.harm
    ([402, 153], 'none')
    """
    fault, hit = _begin(rows, "covariate shift", f"{keep:.0%} kept", start, end, "none", where)
    return rows[~(hit & _drawn(rows, 1 - keep, seed))].reset_index(drop=True), fault


Injection = Callable[[Rows, Any, Any, int], Broken]
_LAGGED = [feature.name for feature in ROLLING if feature.figure != "count"]
# Doses of the scenario, and the days each lasts.
_DOSES: tuple[tuple[int, Injection], ...] = (
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
    log : list of Fault
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
    rng = np.random.default_rng(seed)
    days = pd.DatetimeIndex(local_day(rows.decided_at).unique()).sort_values().tz_localize(HOME)
    needed = sum(length + 2 for length, _ in _DOSES)
    if len(days) <= needed:
        raise ValueError(f"{len(days)} days cannot hold the scenario; give more than {needed}")
    # The free days are split at random among the gaps; the first day stays whole.
    gaps = np.diff(np.r_[0, np.sort(rng.integers(0, len(days) - needed, len(_DOSES)))])
    log, place = [], 1
    for gap, number in zip(gaps, rng.permutation(len(_DOSES)), strict=True):
        length, injection = _DOSES[number]
        place += int(gap)
        rows, fault = injection(rows, days[place], days[place + length], seed)
        log.append(fault)
        place += length + 2
    return rows, log


def tampered(
    events: Iterable[Event],
    kind: str,
    start: Moment,
    end: Moment,
    *,
    share: float = 1.0,
    hours: float = 4,
    seed: int = 0,
    **where: str,
) -> tuple[list[Event], Fault]:
    """The same for messages: drop, duplicate or delay those that became available in a period.

    Parameters
    ----------
    events : iterable of Event
        As `mlsys_lib.events.reports` gives them.
    kind : str
        ``dropped`` (all of a topic: a feed outage; of a carrier: a silent airline), ``duplicated``
        (same key: a log stores it once, a stream fed directly counts it twice), ``late``.
    start, end : str or pandas.Timestamp
    share : float, default 1.0
        Of the messages that match.
    hours : float, default 4
        By how much late ones are late.
    seed : int, default 0
    **where : str
        Only messages with these fields in their value, or of this ``topic``.

    Returns
    -------
    events : list of Event
        In the order of `available_at`.
    fault : Fault

    Raises
    ------
    ValueError
        If there is no such kind.

    Examples
    --------
    >>> from mlsys_lib.events import reports
    >>> heard = list(reports(World("2013-04-22 14:00"), since="2013-04-22 10:00"))
    >>> left, fault = tampered(heard, "dropped", "2013-04-22", "2013-04-23", topic="departures", carrier="EV")
    >>> len(heard), len(left), fault.where
    (342, 303, {'topic': 'departures', 'carrier': 'EV'})
    """
    copies = {"dropped": 0, "duplicated": 2, "late": 1}
    if kind not in copies:
        raise ValueError(f"no kind {kind!r}; choose one of {', '.join(copies)}")
    delay = timedelta(hours=hours if kind == "late" else 0)
    harm = "labels" if kind == "duplicated" else "predictions"
    fault = _entry(f"messages {kind}", where.get("topic", "all"), start, end, harm, where)
    rng = np.random.default_rng(seed)
    result: list[Event] = []
    for event in events:
        hit = (
            fault.start <= event.available_at < fault.end
            and where.items() <= {**event.value, "topic": event.topic}.items()
            and rng.random() < share
        )
        moved = replace(event, available_at=event.available_at + delay)
        result += [moved] * copies[kind] if hit else [event]
    return sorted(result, key=lambda event: event.available_at), fault


def _entry(
    kind: str, what: str, start: Moment, end: Moment, harm: str, where: Mapping[str, str]
) -> Fault:
    first, last = World(start).now, World(end).now
    if not first < last:
        raise ValueError(f"{kind}: the end {last} is not after the start {first}")
    return Fault(f"{kind}: {what}", kind, first, last, harm, where=where)


def _begin(
    rows: Rows, kind: str, what: str, start: Moment, end: Moment, harm: str, where: dict[str, str]
) -> tuple[Fault, pd.Series]:
    """The entry, and the rows that are hit."""
    fault = _entry(kind, what, start, end, harm, where)
    hit = (rows.decided_at >= fault.start) & (rows.decided_at < fault.end) & _matching(rows, where)
    if not hit.any():
        raise ValueError(
            f"{fault.name}: no decision from {fault.start} to {fault.end} with {where}"
        )
    return fault, hit


def _matching(table: pd.DataFrame, where: Mapping[str, str]) -> pd.Series:
    hit = pd.Series(True, table.index)
    for column, value in where.items():
        if column in table:
            hit &= table[column] == value
    return hit


def _drawn(rows: Rows, share: float | pd.Series, seed: int) -> npt.NDArray[np.bool_]:
    return np.random.default_rng(seed).random(len(rows)) < share


def _put(rows: Rows, hit: pd.Series, values: Mapping[str, Any]) -> Rows:
    made = {}
    for column, value in values.items():
        # A whole number cannot be missing: where it may become so, the column is of floats.
        fits = rows[column].dtype.kind != "i" or pd.Series(value).dtype.kind == "i"
        made[column] = (rows[column] if fits else rows[column].astype(float)).mask(hit, value)
    return rows.assign(**made)


def _held(rows: Rows, fault: Fault, column: str, by: list[str]) -> pd.Series:
    """The last value before the fault, for each key; missing where there was none."""
    before = rows[rows.decided_at < fault.start].drop_duplicates(by, keep="last")
    return rows[by].merge(before[[*by, column]], on=by, how="left").set_index(rows.index)[column]


def _starved(rows: Rows, hit: pd.Series, fault: Fault, features: list[Rolling]) -> Rows:
    """Windows into which nothing comes any more."""
    made = {}
    for feature in (f for f in features if f.name in rows):
        held = _held(rows, fault, feature.name, list(feature.by))
        empty = rows.decided_at >= fault.start + pd.Timedelta(hours=feature.hours)
        made[feature.name] = held.mask(empty, 0 if feature.figure == "count" else np.nan)
    return _put(rows, hit, made)
