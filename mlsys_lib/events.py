"""The event log: an ordered, durable record of what was reported, that any consumer can read again.

A producer appends; nothing is ever changed or removed. Each consumer keeps one number, its position:
the offset that it reads next. That number, and not the data, is all that a crash can set back.

=============================  =================================================================
``append(events)``             store what is not stored yet; durable when the call returns
``read(offset, limit)``        events from an offset on, in their order
``position(consumer)``         where a consumer goes on reading
``commit(consumer, offset)``   move that position forward: what lies before it is done
``seek(consumer, offset)``     move it back, on purpose
=============================  =================================================================

Delivery is at least once: a consumer that dies between its work and its `commit` gets the same events
again. An append is idempotent: an event whose key is stored already is not stored a second time.

The log is one SQLite file. A topic of Kafka with one partition has the same verbs.
"""

import json
import sqlite3
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any

import pandas as pd

from mlsys_lib import checks, files
from mlsys_lib.checks import Duration, Moment
from mlsys_lib.world import MEASURED, World

_FLIGHT = ["flight_id", "carrier", "origin", "dest"]
_REPORTED = {
    "departures": [*_FLIGHT, "dep_delay"],
    "arrivals": [*_FLIGHT, "arr_delay"],
    "weather": ["origin", *MEASURED],
}
TOPICS = tuple(_REPORTED)
CLOCK = "clock"

_PATIENCE = 30  # seconds to wait for another process that is writing
_CONTENT = "topic, key, event_time, available_at, value"
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS events (
    place INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, topic TEXT NOT NULL,
    event_time TEXT NOT NULL, available_at TEXT NOT NULL, value TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS consumers (name TEXT PRIMARY KEY, position INTEGER NOT NULL);
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One report.

    Parameters
    ----------
    topic : str
        What kind of report; those of the desk are `TOPICS`.
    key : str
        The idempotency key: two events with one key are one event, delivered twice.
    event_time, available_at : datetime, aware
        When it happened, and when it could first be known.
    value : mapping of str to JSON values
        What is reported.
    offset : int, default -1
        Its place in the log; -1 before it has one.
    """

    topic: str
    key: str
    event_time: datetime
    available_at: datetime
    value: Mapping[str, Any]
    offset: int = field(default=-1, kw_only=True)


class Log(AbstractContextManager["Log"]):
    """An append-only log in one SQLite file.

    Parameters
    ----------
    path : str or pathlib.Path
        The file; made if it does not exist. Several processes may open it at once.
    flush : bool, default True
        Whether an append waits until the disk has it. Without, it outlives the process that wrote it,
        however that ends, but the last ones may not outlive a power cut.

    Raises
    ------
    ValueError
        If the folder does not exist, or the file is no log, or cannot be written. What stands in it is
        left as it is.

    References
    ----------
    Kreps (2013), "The Log: What every software engineer should know about real-time data's unifying
    abstraction"; SQLite documentation, "Write-Ahead Logging".

    Examples
    --------
    The first reports of a morning; sent twice, stored once.

    >>> import tempfile
    >>> from mlsys_lib import World
    >>> morning = list(reports(World("2013-04-22 10:02"), since="2013-04-22 09:45"))
    >>> log = Log(tempfile.mkdtemp() + "/desk.db")
    >>> log.append(morning), log.append(morning), len(log)
    (10, 0, 10)
    >>> for event in log.read(7, 2):
    ...     print(event.offset, event.key, event.value["dep_delay"])
    7 departures/2013-04-22/B6501/JFK -8.0
    8 departures/2013-04-22/US2114/LGA -8.0
    >>> log.commit("features", 9)
    >>> log.position("features")
    9
    """

    def __init__(self, path: str | Path, *, flush: bool = True) -> None:
        self.path = files.target(path)
        try:
            self._db = _opened(self.path, flush)
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"{self.path} is not an event log that can be written ({error}); give another path"
            ) from error

    def __del__(self) -> None:
        if hasattr(self, "_db"):
            # The collector may run in another thread, where SQLite refuses; the file closes with the object.
            with suppress(sqlite3.ProgrammingError):
                self._db.close()

    def __repr__(self) -> str:
        return f"Log('{self.path}'): {len(self):,} events"

    def __len__(self) -> int:
        return int(self._one("SELECT coalesce(max(place) + 1, 0) FROM events"))

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Nothing is lost without it."""
        self._db.close()

    def append(self, events: Iterable[Event]) -> int:
        """Store events in the given order, all or none; those stored already are left out.

        Parameters
        ----------
        events : iterable of Event

        Returns
        -------
        int
            How many were new. Once it returns they survive a crash.

        Raises
        ------
        ValueError
            If one is no `Event`, a time is naive, a value is not JSON, or a key is in the log with
            another content.
        """
        if not isinstance(events, Iterable):
            raise ValueError(f"append takes a list of events, such as [event], not {events!r}")
        rows = [_row(event) for event in events]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            before = len(self)
            self._db.executemany(
                f"INSERT INTO events (place, {_CONTENT}) "
                "SELECT coalesce(max(place) + 1, 0), ?, ?, ?, ?, ? FROM events WHERE true "
                "ON CONFLICT (key) DO NOTHING",
                rows,
            )
            stored = len(self) - before
            if stored < len(rows):
                self._refuse_other_content(rows)
        return stored

    def read(self, offset: int, limit: int) -> list[Event]:
        """The events from an offset on, in the order of the log.

        Parameters
        ----------
        offset : int
            The first event wanted; the log's length gives an empty list.
        limit : int
            How many events at most.

        Returns
        -------
        list of Event

        Raises
        ------
        ValueError
            If `offset` is no whole number of 0 or more, or `limit` of 1 or more.
        """
        found = self._db.execute(
            f"SELECT {_CONTENT}, place FROM events WHERE place >= ? ORDER BY place LIMIT ?",
            (checks.whole(offset, 0, "offset"), checks.whole(limit, 1, "limit")),
        )
        when = datetime.fromisoformat
        return [
            Event(topic, key, when(event), when(known), json.loads(value), offset=place)
            for topic, key, event, known, value, place in found
        ]

    def since(self, moment: datetime) -> int:
        """The offset of the first event that was available at a moment or later; the length without one.

        Parameters
        ----------
        moment : datetime, aware

        Notes
        -----
        What came late may lie behind it and have been available before; nothing lies before it that was
        available at the moment or later. It looks at the whole log.
        """
        at = moment.astimezone(UTC).isoformat()
        query = "SELECT coalesce(min(place), ?) FROM events WHERE available_at >= ?"
        return int(self._one(query, len(self), at))

    def last(self, topic: str) -> Event | None:
        """The event of a topic that was appended last; None if there is none."""
        query = "SELECT coalesce(max(place), -1) FROM events WHERE topic = ?"
        place = int(self._one(query, topic))
        return self.read(place, 1)[0] if place >= 0 else None

    def position(self, consumer: str) -> int:
        """The offset at which a consumer goes on reading; 0 for one that has not committed yet."""
        checks.text(consumer, "consumer")
        query = "SELECT coalesce(max(position), 0) FROM consumers WHERE name = ?"
        return int(self._one(query, consumer))

    def commit(self, consumer: str, offset: int) -> None:
        """Declare everything before `offset` done: it is not delivered to this consumer again.

        Parameters
        ----------
        consumer : str
            Any text; each has a position of its own.
        offset : int
            The offset to go on from: one more than that of the last event done.

        Raises
        ------
        ValueError
            If `offset` is no whole number, or lies behind the position or beyond the end of the log.
        """
        self._move(consumer, offset, back=False)

    def seek(self, consumer: str, *, offset: int = 0) -> None:
        """Set a consumer's position to any offset, so that it reads the same events again.

        Parameters
        ----------
        consumer : str
        offset : int, default 0
            Where it shall begin again.

        Raises
        ------
        ValueError
            If `offset` is no whole number, or negative or beyond the end of the log.
        """
        self._move(consumer, offset, back=True)

    def _move(self, consumer: str, offset: int, *, back: bool) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            done = self.position(consumer)
            offset = checks.whole(offset, 0, "offset", high=len(self))
            if offset < done and not back:
                raise ValueError(f"{consumer!r} has committed {done}; to read again, use seek()")
            self._db.execute("INSERT OR REPLACE INTO consumers VALUES (?, ?)", (consumer, offset))

    def _one(self, query: str, *values: object) -> Any:
        return self._db.execute(query, values).fetchone()[0]

    def _refuse_other_content(self, rows: list[tuple[str, ...]]) -> None:
        for row in rows:
            query = f"SELECT {_CONTENT} FROM events WHERE key = ?"
            found = self._db.execute(query, row[1:2]).fetchone()
            if found != row:
                raise ValueError(
                    f"the log holds {row[1]!r} with another content, {found[4]}; correct by a new key"
                )


def _opened(path: Path, flush: bool) -> sqlite3.Connection:
    # Autocommit: where a transaction begins and ends is written above, not guessed.
    db = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            _prepare(db, flush)
            return db
        except sqlite3.DatabaseError as error:
            # SQLite waits for any lock but the one under which a new file is switched to WAL.
            if "locked" not in str(error) or time.monotonic() > until:
                db.close()
                raise
            time.sleep(0.01)


def _prepare(db: sqlite3.Connection, flush: bool) -> None:
    new = not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not new:  # an error, before anything of somebody else's is changed
        db.execute(f"SELECT place, {_CONTENT}, name, position FROM events, consumers LIMIT 0")
        if (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(found)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {'FULL' if flush else 'NORMAL'}")
    if new:
        db.executescript(_SCHEMA)


def reports(world: World, *, since: Moment | None = None) -> Iterator[Event]:
    """Every departure, arrival and observation that was reported by now, in the order of the reports.

    Parameters
    ----------
    world : World
        Its clock decides what has been reported.
    since : str or pandas.Timestamp, optional
        Only what happened at or after this moment.

    Yields
    ------
    Event
        By `available_at`; at one moment, in the order of `TOPICS`. Delays are in minutes, the weather
        in the units of `World.weather`; what was not measured is None.

    Examples
    --------
    >>> from mlsys_lib import World
    >>> first = next(reports(World("2013-04-22 10:15"), since="2013-04-22 09:45"))
    >>> first.key, f"{first.event_time:%H:%M}", f"{first.available_at:%H:%M}", first.value["dep_delay"]
    ('departures/2013-04-22/US2161/LGA', '09:49', '09:59', -11.0)
    """
    told = [event for topic in TOPICS for event in _events(topic, world, since)]
    return iter(sorted(told, key=attrgetter("available_at")))


def _events(topic: str, world: World, since: Moment | None) -> Iterator[Event]:
    table: pd.DataFrame = getattr(world, topic)(since=since)
    happened, known = (
        pd.DatetimeIndex(table[name]).as_unit("us").to_pydatetime()
        for name in ("event_time", "available_at")
    )
    shown = table[_REPORTED[topic]]
    shown = shown.astype(object).where(shown.notna(), None)
    values: list[dict[str, Any]] = shown.to_dict("records")  # type: ignore[assignment]
    for event_time, available_at, value in zip(happened, known, values, strict=True):
        name = value.get("flight_id") or f"{value['origin']}/{event_time:%Y-%m-%dT%H:%M}"
        yield Event(topic, f"{topic}/{name}", event_time, available_at, value)


def _row(event: Event) -> tuple[str, ...]:
    """What the log stores of an event."""
    if not isinstance(event, Event):
        raise ValueError(f"append takes a list of events; this is none: {event!r}")
    checks.text(event.topic, "topic")
    checks.text(event.key, "key")
    times = []
    for name in ("event_time", "available_at"):
        moment: datetime = getattr(event, name)
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            raise ValueError(f"{name}={moment!r} of {event.key!r} is naive; give an aware datetime")
        times.append(moment.astimezone(UTC).isoformat())
    try:
        value = json.dumps(event.value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the value of {event.key!r} is not JSON ({error}): use text, finite numbers, true, false and None"
        ) from error
    return event.topic, event.key, *times, value


def tick(at: Moment, *, complete: Iterable[str] = TOPICS) -> Event:
    """The event that moves the clock: it is `at`, and these feeds have delivered all they had by then.

    Parameters
    ----------
    at : str or datetime
    complete : iterable of str, default all of `TOPICS`

    Returns
    -------
    Event
        Its topic is `CLOCK`.

    Raises
    ------
    ValueError
        If `at` is no moment, or a topic is unknown.

    Examples
    --------
    >>> tick("2013-04-22 15:00").key
    'clock/2013-04-22T15:00:00+00:00'
    """
    here, feeds = checks.moment(at, "at").to_pydatetime(), list(complete)
    for topic in feeds:
        checks.one_of(topic, TOPICS, "topic")
    return Event(CLOCK, f"{CLOCK}/{here.isoformat()}", here, here, {"complete": feeds})


def replay(
    world: World,
    since: Moment,
    *,
    every: Duration = "1min",
    outages: Mapping[str, tuple[Moment, Moment]] | None = None,
) -> Iterator[Event]:
    """The reports that reached the desk after `since`, and the ticks between them.

    Parameters
    ----------
    world : World
        Its clock is where the replay ends.
    since : str or pandas.Timestamp
    every : str or timedelta, default "1min"
        How much simulated time lies between two ticks.
    outages : mapping of topic to (start, end), optional
        Simulated: from start to end nothing of that topic arrives, and what was held back arrives
        at the end.

    Yields
    ------
    Event
        What was available at the moment of a tick comes before it.

    Raises
    ------
    ValueError
        If `every` is not above zero, an outage is of no known topic, or does not end after it starts.

    Examples
    --------
    >>> from collections import Counter
    >>> events = list(replay(World("2013-04-22 10:15"), "2013-04-22 10:00", every="5min"))
    >>> Counter(event.topic for event in events).most_common()
    [('departures', 29), ('weather', 3), ('clock', 3)]
    """
    start, step = checks.moment(since, "since"), checks.duration(every, "every")
    if not step:
        raise ValueError(f"every={every!r} must be above zero")
    down = {}
    for topic, (begin, end) in (outages or {}).items():
        checks.one_of(topic, TOPICS, "topic")
        down[topic] = checks.period(begin, end, f"the outage of {topic}")
    coming = [e for e in reports(world, since=start - world.lag) if e.available_at > start]
    return _delivered(coming, pd.date_range(start + step, world.now, freq=step), down)


def _delivered(
    coming: list[Event],
    ticks: pd.DatetimeIndex,
    down: Mapping[str, tuple[pd.Timestamp, pd.Timestamp]],
) -> Iterator[Event]:
    held: list[Event] = []
    place = 0
    for at in ticks:
        broken = {topic for topic, (begin, end) in down.items() if begin < at < end}
        known = bisect_right(coming, at, place, key=attrgetter("available_at"))
        held += coming[place:known]
        place = known
        yield from (e for e in held if e.topic not in broken)
        held = [e for e in held if e.topic in broken]
        yield tick(at, complete=[topic for topic in TOPICS if topic not in broken])
