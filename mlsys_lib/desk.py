"""From a decision to a probability, one way for the batch and the service, and what to do when a part fails.

The definitions of the features, the signature and the ONNX graph are the same on both sides. The batch
scorer takes its rows from `mlsys_lib.features.batch`; the `Desk` keeps the same rows up to date, fed by
the event log one report at a time, and answers about one flight.

**Time is simulated.** The flights are of 2013, so the desk has no clock of its own: its `now` is the
latest *tick* in the log. A tick also says which feeds are complete up to then (a watermark). That is how
a quiet night differs from a broken feed, and it is what the age of features is measured by.

**A fallback ladder.** Each answer names the rung it stands on:

===============  ==========================================================  =====================
``fresh``        all feeds complete up to `fresh_for` ago                     the model
``last_known``   the features as they were when the feed broke               the model
``schedule``     the timetable alone: a feed is late by over `useful_for`    the model without feeds
``base_rate``    none: there is no model to ask                              the late rate of training
===============  ==========================================================  =====================
"""

import json
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import attrgetter
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from mlsys_lib.checks import Duration, duration
from mlsys_lib.events import CLOCK, Event, Log
from mlsys_lib.features import CATEGORIES, FEATURES, ROLLING, SCHEDULE, UNITS, batch, schedule
from mlsys_lib.feeds import Feeds
from mlsys_lib.package import Package, PackageError
from mlsys_lib.world import HOME, PUBLISHED, TIMETABLE_DAYS, World

ANSWERS = "answers"
RUNGS = ("fresh", "last_known", "schedule", "base_rate")
_LONGEST = timedelta(hours=max(feature.hours for feature in ROLLING))
_HOME = ZoneInfo(HOME)
_NEVER = datetime.min.replace(tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_SAID = ("flight_id", "probability", "rung", "age_minutes", "model")
_COLUMNS = ["decided_at", *_SAID, *FEATURES]
_said = attrgetter(*_SAID)
_notes = logging.getLogger("mlsys_lib.desk")


class NotReady(RuntimeError):
    """The desk has no moment to answer at: no tick has been read yet, or the log is still being read."""


def score_batch(package: Package, world: World, decisions: pd.DataFrame) -> pd.DataFrame:
    """The probabilities of many decisions, each from what had reached the desk at its own moment.

    Parameters
    ----------
    package : Package
    world : World
    decisions : pandas.DataFrame of shape (n_decisions, 2 or more)
        `flight_id` and `decided_at`, as `World.decisions` gives them.

    Returns
    -------
    pandas.DataFrame of shape (n_decisions, 4)
        `flight_id`, `decided_at`, `probability`, `model` (the first digits of its SHA-256).

    Raises
    ------
    ValueError, AvailabilityError
        As `mlsys_lib.features.batch` does.
    """
    rows = batch(world, decisions)
    return rows[["flight_id", "decided_at"]].assign(
        probability=package.predict(rows), model=package.sha256[:12]
    )


@dataclass(frozen=True)
class Models:
    """What a desk answers with. Frozen: a swap replaces the whole, so an answer never sees half of one.

    Parameters
    ----------
    full : Package or None
        The model that sees all features.
    schedule : Package or None
        The model that needs no feed: its signature holds columns of the timetable only.
    base_rate : float
        The late rate, for when there is no model.

    Raises
    ------
    PackageError
        If a package does not fit the features of this library, or gives no probability.
    """

    full: Package | None
    schedule: Package | None
    base_rate: float

    def __post_init__(self) -> None:
        for package, columns in ((self.full, FEATURES), (self.schedule, SCHEDULE)):
            if package:
                _check(package, columns)
        if not 0 <= self.base_rate <= 1:
            raise PackageError(f"base_rate={self.base_rate} is no probability")


def _check(package: Package, columns: list[str]) -> None:
    name, seen = package.sha256[:12], package.signature.columns
    if strange := [c.name for c in seen if c.name not in columns]:
        raise PackageError(f"model {name} wants {strange}, not made here; fit it on {columns}")
    if other := {c.name: f"{c.unit}, not {UNITS[c.name]}" for c in seen if c.unit != UNITS[c.name]}:
        raise PackageError(f"model {name} has other units than the features: {other}")
    p = package.score(np.full((1, len(seen)), np.nan, np.float32))
    if not 0 <= p[0] <= 1:
        raise PackageError(f"model {name} gives {p[0]}, which is no probability")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the desk says about one flight, and how far it can be trusted.

    Parameters
    ----------
    flight_id : str
    probability : float
        Of arriving 15 minutes late or more.
    rung : str
        One of `RUNGS`.
    why : str
        What keeps it from the first rung; empty on it.
    now : datetime
        The simulated moment of the answer, UTC.
    features_as_of : datetime or None
        The moment the features describe (of the feed that is furthest behind); None if none were used.
    age_minutes : float or None
        How long before `now` that is.
    model : str or None
        The first digits of the SHA-256 of the model that answered.
    unknown : list of str
        Columns whose name the model has not seen in training, such as a new airline.
    """

    flight_id: str
    probability: float
    rung: str
    why: str
    now: datetime
    features_as_of: datetime | None
    age_minutes: float | None
    model: str | None
    unknown: list[str]


Record = deque[tuple[Answer, Mapping[str, Any]]]


def keep_answers(log: Log, record: Record, *, limit: int = 10_000) -> int:
    """Move the oldest answers of a record into a log, as one event; there they survive a crash.

    Parameters
    ----------
    log : Log
        One of its own: `answered` reads it, a desk does not.
    record : collections.deque
        What a `Desk` was given as `record`. What cannot be written stays in it.
    limit : int, default 10,000
        How many at most.

    Returns
    -------
    int
        How many were moved.

    Notes
    -----
    Where the file cannot be written, it raises what `sqlite3` raises.
    """
    from pydantic_core import to_json  # comes with the extra `serving`

    moved = list(islice(record, limit))
    if moved:
        rows = [(a.now.isoformat(), *_said(a), *map(row.get, FEATURES)) for a, row in moved]
        first, last = moved[0][0].now, moved[-1][0].now
        key = f"{ANSWERS}/{uuid4()}"
        # A text of its own: five times as fast as the standard encoder, and a gap (NaN) is null.
        value = {"columns": _COLUMNS, "rows": to_json(rows, inf_nan_mode="null").decode()}
        log.append([Event(ANSWERS, key, first, last, value)])
    for _ in moved:
        record.popleft()
    return len(moved)


def answered(log: Log) -> pd.DataFrame:
    """What a desk has answered, one row an answer, in the order in which it answered.

    Parameters
    ----------
    log : Log
        ``answers.db`` beside the log of a service, or what `keep_answers` was given.

    Returns
    -------
    pandas.DataFrame of shape (n_answers, 36)
        `decided_at`, the simulated moment of the answer (UTC); `flight_id`, `probability`, `rung`,
        `age_minutes`, `model`, as in `Answer`; and the columns of `FEATURES` as the model was given
        them, in their units, numbers as float64. What a rung does not use is missing: the feeds on
        the rung ``schedule``, everything on ``base_rate``.

    Examples
    --------
    >>> import tempfile
    >>> from mlsys_lib.events import tick
    >>> from mlsys_lib.features import published
    >>> world, record = World("2013-04-22 15:00"), deque()
    >>> desk = Desk(published(world), Models(None, None, base_rate=0.24), record=record)
    >>> desk.feed(tick(world.now))
    >>> _ = desk.answer("2013-04-22/DL1685/LGA")
    >>> log = Log(tempfile.mkdtemp() + "/answers.db")
    >>> keep_answers(log, record), len(record)
    (1, 0)
    >>> answered(log)[["flight_id", "probability", "rung", "visib"]]
                   flight_id  probability       rung  visib
    0  2013-04-22/DL1685/LGA         0.24  base_rate    NaN
    """
    rows = [
        dict(zip(event.value["columns"], row, strict=True))
        for event in log.read(0, len(log) or 1)
        for row in json.loads(event.value["rows"])
    ]
    made = pd.DataFrame(rows, columns=_COLUMNS)
    made["decided_at"] = pd.to_datetime(made.decided_at, utc=True, format="ISO8601")
    numbers = ["probability", "age_minutes", *(c for c in FEATURES if c not in CATEGORIES)]
    return made.astype(dict.fromkeys(numbers, "float64") | {"decided_at": "datetime64[us, UTC]"})


_Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Question:
    """A flight, the models that answer about it, and why it came down to where it stands on the ladder."""

    flight_id: str
    plan: Mapping[str, Any]  # its columns of `SCHEDULE`
    models: Models
    why: list[str] = field(default_factory=list)


class Desk:
    """Answers about one flight at a time, from what the log has told it so far.

    Parameters
    ----------
    timetable : pandas.DataFrame
        The flights that may be asked about by their id, as `mlsys_lib.features.published` gives them.
    models : Models
    fresh_for, useful_for : str, default "30min" and "3h"
        How old features may be to count as fresh, and to be used at all. Chapter 08 measures the second.
    record : collections.deque, optional
        Gets every answer, with the features that it was made from, for `keep_answers` to write down.

    Examples
    --------
    One morning, and then the arrivals stop:

    >>> from mlsys_lib.events import replay
    >>> from mlsys_lib.features import published
    >>> world = World("2013-04-22 15:00")
    >>> desk = Desk(published(world), Models(None, None, base_rate=0.24))
    >>> for event in replay(world, "2013-04-22 12:00", outages={"arrivals": ("2013-04-22 14:00", "2013-04-23")}):
    ...     desk.feed(event)
    >>> {feed: f"{age:g} min" for feed, age in desk.ages().items()}
    {'departures': '0 min', 'arrivals': '60 min', 'weather': '0 min'}
    >>> answer = desk.answer("2013-04-22/DL1685/LGA")
    >>> answer.probability, answer.rung, answer.why
    (0.24, 'base_rate', 'no full model is loaded; no schedule model is loaded')
    """

    def __init__(
        self,
        timetable: pd.DataFrame,
        models: Models,
        *,
        fresh_for: Duration = "30min",
        useful_for: Duration = "3h",
        record: Record | None = None,
    ) -> None:
        self.models, self.record = models, record
        self.failures = 0
        self.fault = ""  # set by whoever reads the log, when he cannot
        self._fresh_for = duration(fresh_for, "fresh_for") / pd.Timedelta(_MINUTE)
        self._useful_for = duration(useful_for, "useful_for") / pd.Timedelta(_MINUTE)
        self._plans: dict[Any, Any] = schedule(timetable).to_dict("index")
        leaves = pd.DatetimeIndex(timetable.sched_dep)
        self._leaves = dict(zip(timetable.flight_id, leaves.to_pydatetime(), strict=True))
        self._busy = Counter(zip(timetable.origin, leaves.floor("h").to_pydatetime(), strict=True))
        self._feeds = Feeds(_NEVER)

    @property
    def now(self) -> datetime:
        """The simulated moment, which is that of the latest tick; `NotReady` is raised before the first."""
        if self._feeds.now is None:
            raise NotReady("no tick has been read from the log, so there is no `now` to answer at")
        return self._feeds.now

    @property
    def refused(self) -> int:
        """How many events were refused, as malformed or later than their feed had declared itself complete."""
        return self._feeds.refused

    def ages(self) -> dict[str, float]:
        """How many minutes each feed is behind `now`; infinite for one that never delivered."""
        return dict(self._feeds.ages)

    def feed(self, event: Event) -> None:
        """Take in one event of the log. Answers change with a tick, never between two.

        What cannot be understood, or comes too late to be counted, is logged and counted in `refused`:
        one bad report must not stop the desk.
        """
        self._feeds.feed(event)

    def catch_up(self, log: Log, *, limit: int = 1000) -> int:
        """Take in the next events of the log, and say how many there were; 0 at its end."""
        events = log.read(self._feeds.offset, limit)
        for event in events:
            self.feed(event)
        return len(events)

    def resume(self, log: Log) -> None:
        """Begin again from a log: the answers are those of a desk that has read all of it.

        Parameters
        ----------
        log : Log

        Notes
        -----
        It reads from one longest window before the oldest features that it would use. Where that part
        does not tell the watermark of each feed and the weather of each airport, it reads the whole.
        """
        tick = log.last(CLOCK)
        if tick is not None:
            self._read(log, tick.available_at - timedelta(minutes=self._useful_for) - _LONGEST)
        airports = {airport for airport, _ in self._busy}
        if tick is None or self._feeds.now != tick.available_at or not self._feeds.all(airports):
            self._read(log, _NEVER)

    def _read(self, log: Log, after: datetime) -> None:
        self._feeds = Feeds(after)
        self._feeds.offset = log.since(after)
        while self.catch_up(log):
            pass

    def answer(self, flight: str | Mapping[str, Any]) -> Answer:
        """What to expect of one flight, now.

        Parameters
        ----------
        flight : str or mapping
            The id of a flight in the timetable; or, for any other, its `carrier`, `flight` (number),
            `origin`, `dest`, `distance` in miles, `sched_dep` and `sched_arr` (aware).

        Returns
        -------
        Answer
            On the highest rung of the ladder that holds.

        Raises
        ------
        NotReady
            If no tick has been read yet.
        KeyError
            If the timetable lacks the id.
        ValueError
            If the flight has left, or leaves after the timetable's end.
        """
        asked = _Question(*self._planned(flight), self.models)
        return self._from_feeds(asked) or self._from_timetable(asked) or self._base_rate(asked)

    def _from_feeds(self, asked: _Question) -> Answer | None:
        """Fresh or last known: the model that sees all, with what the feeds have told."""
        package = asked.models.full
        lost, behind = self._behind(self._useful_for), self._behind(self._fresh_for)
        if package is None:
            asked.why.append("no full model is loaded")
        elif self.fault:
            asked.why.append(self.fault)
        elif lost:
            asked.why.append(f"too old to be used: {lost}")
        else:
            rung = "last_known" if behind else "fresh"
            if behind:
                asked.why.append(f"behind: {behind}")
            return self._scored(asked, rung, package, self._feeds.row)
        return None

    def _from_timetable(self, asked: _Question) -> Answer | None:
        """The model that needs no feed."""
        package = asked.models.schedule
        if package is None:
            asked.why.append("no schedule model is loaded")
            return None
        return self._scored(asked, "schedule", package, dict)

    def _base_rate(self, asked: _Question) -> Answer:
        """What holds always."""
        return self._said(asked, "base_rate", asked.models.base_rate, None, {})

    def _behind(self, limit: float) -> str:
        """The feeds that are behind by more, with their ages; empty if there are none."""
        late = [(topic, age) for topic, age in self._feeds.ages.items() if age > limit]
        return ", ".join(f"{topic} by {age / 60:.1f} h" for topic, age in late)

    def _scored(
        self, asked: _Question, rung: str, package: Package, columns: Callable[[_Row], _Row]
    ) -> Answer | None:
        """The answer of a model; None if anything breaks, for the rung below holds."""
        try:
            row = columns(asked.plan)
            p = float(package.score(package.signature.vector(row))[0])
            if not 0 <= p <= 1:
                raise ValueError(f"the model gave {p}")
        except Exception as error:
            self.failures += 1
            _notes.exception("%s: the rung %s broke", asked.flight_id, rung)
            asked.why.append(f"{type(error).__name__}: {error}")
            return None
        return self._said(asked, rung, p, package, row)

    def _said(
        self, asked: _Question, rung: str, p: float, package: Package | None, row: _Row
    ) -> Answer:
        as_of = age = None
        if rung in ("fresh", "last_known"):
            as_of, age = min(self._feeds.complete.values()), max(self._feeds.ages.values())
        columns = package.signature.columns if package else ()
        unknown = [c.name for c in columns if c.names and row[c.name] not in c.codes]
        model = package.sha256[:12] if package else None
        why = "; ".join(asked.why)
        made = Answer(asked.flight_id, p, rung, why, self.now, as_of, age, model, unknown)
        if self.record is not None:
            self.record.append((made, row))
        return made

    def _planned(self, flight: str | Mapping[str, Any]) -> tuple[str, _Row]:
        """The id of a flight and its columns of `SCHEDULE`, if its moment is one to ask about."""
        if isinstance(flight, str):
            if flight not in self._leaves:
                raise KeyError(f"no flight {flight!r} in the timetable; send its schedule instead")
            self._refuse_moment(flight, self._leaves[flight])
            return flight, self._plans[flight]
        if lacking := [name for name in PUBLISHED if name != "flight_id" and name not in flight]:
            raise ValueError(f"the flight lacks {lacking}; send what its airline publishes")
        carrier, origin, dest = (flight[name] for name in CATEGORIES)
        # Before it is converted: at the ends of the calendar that fails.
        self._refuse_moment(f"{carrier}{flight['flight']}", flight["sched_dep"])
        leaves, lands = (flight[name].astimezone(UTC) for name in ("sched_dep", "sched_arr"))
        dep, arr = leaves.astimezone(_HOME), lands.astimezone(_HOME)
        flight_id = f"{dep.date()}/{carrier}{flight['flight']}/{origin}"
        hour = leaves.replace(minute=0, second=0, microsecond=0)
        plan = {
            "day_of_week": dep.weekday(),
            "dep_minute": dep.hour * 60 + dep.minute,
            "arr_minute": arr.hour * 60 + arr.minute,
            "distance": flight["distance"],
            "block_minutes": (lands - leaves) // _MINUTE,
            "hour_flights": self._busy[origin, hour] + (flight_id not in self._leaves),
            "carrier": carrier,
            "origin": origin,
            "dest": dest,
        }
        return flight_id, plan

    def _refuse_moment(self, flight_id: str, leaves: datetime) -> None:
        now = self.now
        if leaves.tzinfo is None:
            raise ValueError(f"sched_dep of {flight_id} is {leaves}, without its offset from UTC")
        if now < leaves <= now + timedelta(days=TIMETABLE_DAYS):
            return
        early = f"ask later: timetables are out {TIMETABLE_DAYS} days ahead"
        wrong = "it has left" if leaves <= now else early
        raise ValueError(
            f"sched_dep of {flight_id} is {leaves.isoformat()} and the desk's clock, which is "
            f"simulated, stands at {now:%Y-%m-%d %H:%M} UTC; {wrong}"
        )
