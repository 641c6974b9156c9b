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

import hashlib
import json
import logging
import math
import os
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from mlsys_lib.events import CLOCK, TOPICS, Event, Log
from mlsys_lib.features import CATEGORIES, FEATURES, SCHEDULE, UNITS, batch
from mlsys_lib.files import write
from mlsys_lib.package import Package, PackageError
from mlsys_lib.stream import Stream, _Window
from mlsys_lib.world import HOME, MEASURED, TIMETABLE_DAYS, World

ANSWERS = "answers"
RUNGS = ("fresh", "last_known", "schedule", "base_rate")
_HOME = ZoneInfo(HOME)
_NEVER = datetime.min.replace(tzinfo=UTC)
_NOT_MEASURED = dict.fromkeys(MEASURED)
_FORMAT = 2
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
        if self.full:
            _check(self.full, FEATURES)
        if self.schedule:
            _check(self.schedule, SCHEDULE)
        if not 0 <= self.base_rate <= 1:
            raise PackageError(f"base_rate={self.base_rate} is no probability")


def _check(package: Package, columns: list[str]) -> None:
    name, seen = package.sha256[:12], package.signature.columns
    if strange := [c.name for c in seen if c.name not in columns]:
        raise PackageError(
            f"model {name} wants {strange}, which is not made here; take one fitted on the columns {columns}"
        )
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


class _Lower(Exception):
    """A rung does not hold; the message says why."""


_Asked = tuple[Package, Mapping[str, Any], datetime | None]


class _State(Stream):
    """The stream's windows, each feed standing at its own watermark, moved by whole ticks only."""

    def __init__(self, timetable: pd.DataFrame) -> None:
        super().__init__(timetable)
        self.now: datetime | None = None
        self.complete: dict[str, datetime] = {}
        self.seen = 0  # the offset to read next
        self.last = ""  # the key of the event before it
        self.refused = 0
        self._held: dict[str, list[Event]] = {topic: [] for topic in TOPICS}
        self.ages: dict[str, float] = {}  # minutes; they change with a tick alone
        self._figures = {
            span: [(f.name, f.figure) for f in self._features if f.span == span]
            for span in self._windows
        }

    def feed(self, event: Event) -> None:
        new = event.offset < 0 or event.offset >= self.seen
        try:
            if event.topic == CLOCK:
                self._tick(event)
            elif event.available_at <= self.complete.get(event.topic, _NEVER):
                raise ValueError("its feed was declared complete up to a later moment")
            else:
                self._held[event.topic].append(event)
        except (KeyError, TypeError, ValueError) as error:
            self._refuse(event, error, new)
        if new and event.offset >= 0:
            self.seen, self.last = event.offset + 1, event.key

    def _tick(self, event: Event) -> None:
        complete = [topic for topic in TOPICS if topic in event.value["complete"]]
        if self.now is not None and event.available_at <= self.now:
            raise ValueError(f"the clock stands at {self.now:%Y-%m-%d %H:%M} UTC already")
        self.now = event.available_at
        for topic in complete:
            waiting = sorted(self._held[topic], key=lambda held: held.available_at)
            self._held[topic] = [held for held in waiting if held.available_at > self.now]
            for held in waiting[: len(waiting) - len(self._held[topic])]:
                try:
                    self._take(held)
                except (KeyError, TypeError, ValueError, OverflowError) as error:
                    self._refuse(held, error, True)
            self.complete[topic] = self.now
        self._age(self.now)

    def _age(self, now: datetime) -> None:
        self.ages = dict.fromkeys(TOPICS, math.inf) | {
            topic: (now - at).total_seconds() / 60 for topic, at in self.complete.items()
        }

    def _refuse(self, event: Event, error: Exception, new: bool) -> None:
        if new:  # what a restart reads a second time was counted the first time
            self.refused += 1
            _notes.warning("refused %s: %s %s", event.key, type(error).__name__, error)

    @property
    def resume(self) -> int:
        """From which offset to read the log to get back to this state: what is held is read again."""
        held = [e.offset for events in self._held.values() for e in events]
        return min(held, default=self.seen)

    def plan(self, flight_id: str) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self._plan[flight_id]
        return found

    def row(self, plan: tuple[Any, ...]) -> dict[str, Any]:
        """All features of a flight with this plan, each feed's as of its own watermark."""
        row = dict(zip(SCHEDULE, plan, strict=True))
        row |= self._weather.get(row["origin"], _NOT_MEASURED)
        for span, windows in self._windows.items():
            topic, by, hours = span
            window = windows.get(tuple([row[name] for name in by])) or _Window(hours)
            window.expire(self.complete[topic])
            for name, figure in self._figures[span]:
                row[name] = window.figure(figure)
        return row

    def dump(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "spans": repr(list(self._windows)),
            "seen": self.seen,
            "resume": self.resume,
            "last": self.last,
            "now": self.now,
            "complete": self.complete,
            "weather": self._weather,
            "reports": [
                [(key, [*window.reports]) for key, window in kept.items()]
                for kept in self._windows.values()
            ],
        }

    def load(self, dumped: Mapping[str, Any]) -> None:
        if (dumped["format"], dumped["spans"]) != (_FORMAT, repr(list(self._windows))):
            raise ValueError("it was made for other features")
        for span, kept in zip(self._windows, dumped["reports"], strict=True):
            for key, made in kept:
                window = self._window(span, dict(zip(span[1], key, strict=True)))
                for at, delay in made:
                    window.add(datetime.fromisoformat(at), delay)
        self._weather = dumped["weather"]
        for topic, at in dumped["complete"].items():
            self.complete[topic] = datetime.fromisoformat(at)
        self.seen, self.last = dumped["seen"], dumped["last"]
        if dumped["now"] is not None:
            self.now = datetime.fromisoformat(dumped["now"])
            self._age(self.now)


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
        fresh_for: str = "30min",
        useful_for: str = "3h",
        record: Record | None = None,
    ) -> None:
        self.models, self.record = models, record
        self.failures = 0
        self.fault = ""  # set by whoever reads the log, when he cannot
        minute = pd.Timedelta("1min")
        self._fresh_for = pd.Timedelta(fresh_for) / minute
        self._useful_for = pd.Timedelta(useful_for) / minute
        self._timetable = timetable
        self._state = _State(timetable)
        leaves = pd.DatetimeIndex(timetable.sched_dep)
        self._leaves = dict(zip(timetable.flight_id, leaves.to_pydatetime(), strict=True))
        self._busy = Counter(zip(timetable.origin, leaves.floor("h").to_pydatetime(), strict=True))

    @property
    def now(self) -> datetime:
        """The simulated moment, which is that of the latest tick; `NotReady` is raised before the first."""
        if self._state.now is None:
            raise NotReady("no tick has been read from the log, so there is no `now` to answer at")
        return self._state.now

    @property
    def offset(self) -> int:
        """The next event of the log to read."""
        return self._state.seen

    @property
    def refused(self) -> int:
        """How many events were refused, as malformed or later than their feed had declared itself complete."""
        return self._state.refused

    def ages(self) -> dict[str, float]:
        """How many minutes each feed is behind `now`; infinite for one that never delivered."""
        return dict(self._state.ages) if self.now else {}

    def feed(self, event: Event) -> None:
        """Take in one event of the log. Answers change with a tick, never between two.

        What cannot be understood, or comes too late to be counted, is logged and counted in `refused`:
        one bad report must not stop the desk.
        """
        self._state.feed(event)

    def catch_up(self, log: Log, *, limit: int = 1000) -> int:
        """Take in the next events of the log, and say how many there were; 0 at its end."""
        events = log.read(self.offset, limit)
        for event in events:
            self.feed(event)
        return len(events)

    def snapshot(self, path: str | os.PathLike[str]) -> None:
        """Write the state and its checksum into a file, all of it or nothing."""
        text = json.dumps(self._state.dump(), default=datetime.isoformat).encode()
        write(path, hashlib.sha256(text).hexdigest().encode() + b"\n" + text)

    def restore(self, path: str | os.PathLike[str], log: Log) -> bool:
        """Go back to a snapshot, and read again from the log what came in around it.

        Parameters
        ----------
        path : path
        log : Log
            The one that the snapshot was made from.

        Returns
        -------
        bool
            False if there is no snapshot, or it is damaged, or of another log: then `catch_up` reads
            the log from its beginning, which is slower and gives the same state.
        """
        fresh = _State(self._timetable)
        try:
            mark, text = Path(path).read_text().split("\n", 1)
            if hashlib.sha256(text.encode()).hexdigest() != mark:
                raise ValueError("its checksum is wrong")
            fresh.load(dumped := json.loads(text))
            if fresh.seen and [e.key for e in log.read(fresh.seen - 1, 1)] != [fresh.last]:
                raise ValueError("it was made from another log")
            for event in log.read(dumped["resume"], max(fresh.seen - dumped["resume"], 1)):
                if event.offset < fresh.seen and event.topic != CLOCK:
                    fresh.feed(event)
        except FileNotFoundError:
            return False
        except (KeyError, TypeError, ValueError) as error:
            _notes.warning("the snapshot %s is not used: %s", path, error)
            return False
        self._state = fresh
        return True

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
        flight_id, plan = self._planned(flight)
        models = self.models
        why: list[str] = []
        for step in (self._with_feeds, self._from_timetable):
            try:
                package, row, _ = asked = step(models, plan)
                p = float(package.score(package.signature.vector(row))[0])
                if not 0 <= p <= 1:
                    raise ValueError(f"the model gave {p}")
            except _Lower as reason:
                why.append(str(reason))
            except Exception as error:  # whatever broke, the rung below holds
                self.failures += 1
                _notes.exception("%s: %s broke", flight_id, step.__name__)
                why.append(f"{type(error).__name__}: {error}")
            else:
                return self._answer(flight_id, p, why, *asked)
        return self._answer(flight_id, models.base_rate, why, None, {}, None)

    def _with_feeds(self, models: Models, plan: tuple[Any, ...]) -> _Asked:
        if models.full is None:
            raise _Lower("no full model is loaded")
        if self.fault:
            raise _Lower(self.fault)
        if late := self._behind(self._useful_for):
            raise _Lower(f"too old to be used: {late}")
        return models.full, self._state.row(plan), min(self._state.complete.values())

    def _behind(self, limit: float) -> str:
        """The feeds that are behind by more, with their ages; empty if there are none."""
        late = [(topic, age) for topic, age in self._state.ages.items() if age > limit]
        return ", ".join(f"{topic} by {age / 60:.1f} h" for topic, age in late)

    def _from_timetable(self, models: Models, plan: tuple[Any, ...]) -> _Asked:
        if models.schedule is None:
            raise _Lower("no schedule model is loaded")
        return models.schedule, dict(zip(SCHEDULE, plan, strict=True)), None

    def _answer(
        self,
        flight_id: str,
        p: float,
        why: list[str],
        package: Package | None,
        row: Mapping[str, Any],
        as_of: datetime | None,
    ) -> Answer:
        age, rung = None, "base_rate" if package is None else "schedule"
        if as_of is not None:
            age, rung = max(self._state.ages.values()), "fresh"
            if late := self._behind(self._fresh_for):
                rung, why = "last_known", [f"behind: {late}"]
        columns = package.signature.columns if package else ()
        unknown = [c.name for c in columns if c.names and row[c.name] not in c.codes]
        model = package.sha256[:12] if package else None
        made = Answer(flight_id, p, rung, "; ".join(why), self.now, as_of, age, model, unknown)
        if self.record is not None:
            self.record.append((made, row))
        return made

    def _planned(self, flight: str | Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """The id of a flight and its columns of `SCHEDULE`, if its moment is one to ask about."""
        if isinstance(flight, str):
            if flight not in self._leaves:
                raise KeyError(
                    f"no flight {flight!r} in the timetable; ids look like 2013-05-01/UA1545/EWR. "
                    "For a flight that is not in it, send its schedule"
                )
            self._refuse_moment(flight, self._leaves[flight])
            return flight, self._state.plan(flight)
        carrier, origin, dest = (flight[name] for name in CATEGORIES)
        # Before it is converted: at the ends of the calendar that fails.
        self._refuse_moment(f"{carrier}{flight['flight']}", flight["sched_dep"])
        leaves, lands = (flight[name].astimezone(UTC) for name in ("sched_dep", "sched_arr"))
        dep, arr = leaves.astimezone(_HOME), lands.astimezone(_HOME)
        flight_id = f"{dep.date()}/{carrier}{flight['flight']}/{origin}"
        hour = leaves.replace(minute=0, second=0, microsecond=0)
        plan = (
            dep.weekday(),
            dep.hour * 60 + dep.minute,
            arr.hour * 60 + arr.minute,
            flight["distance"],
            (lands - leaves) // timedelta(minutes=1),
            self._busy[origin, hour] + (flight_id not in self._leaves),
            carrier,
            origin,
            dest,
        )
        return flight_id, plan

    def _refuse_moment(self, flight_id: str, leaves: datetime) -> None:
        now = self.now
        if now < leaves <= now + timedelta(days=TIMETABLE_DAYS):
            return
        late = "it has left: ask before the scheduled departure"
        wrong = (
            late if leaves <= now else f"timetables are out {TIMETABLE_DAYS} days ahead: ask later"
        )
        raise ValueError(
            f"sched_dep of {flight_id} is {leaves.isoformat()} and the desk's clock, which is "
            f"simulated, stands at {now:%Y-%m-%d %H:%M} UTC; {wrong}"
        )
