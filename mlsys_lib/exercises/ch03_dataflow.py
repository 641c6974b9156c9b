"""Exercises of chapter 03, dataflow."""

import itertools
import math
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from hypothesis import strategies as st

from mlsys_lib import World
from mlsys_lib.events import Event, reports
from mlsys_lib.exercises import answers, cases
from mlsys_lib.exercises.checker import Answer, exercise, expect
from mlsys_lib.features import Rolling, batch
from mlsys_lib.world import LATE

FloatArray = npt.NDArray[np.float64]
LEFT_LATE = Rolling("left_late_1h", "departures", ("origin",), 1)


@cache
def _evening() -> tuple[World, pd.DataFrame]:
    """LaGuardia on 29 July 2013, asked every five minutes."""
    world = World("2013-07-30 04:00")
    flight = world.flights(since="2013-07-29 04:00").query("origin == 'LGA'").flight_id.iloc[0]
    moments = pd.date_range("2013-07-29 08:00", "2013-07-30 04:00", freq="5min", tz="UTC")
    asked = pd.DataFrame({"flight_id": flight, "decided_at": moments})
    return world, batch(world, asked, features=[LEFT_LATE])


# -- ingest ------------------------------------------------------------------------------------------


@exercise(
    hints=[
        "Two things change for each batch of events: the tally and the position. What if only one of them is "
        "on disk when the process dies?",
        "A transaction stores both or neither. sqlite3 opens one before the first UPDATE; `with db:` commits it "
        "at the end of its block, and rolls it back after an error.",
        "while events := log.read(position, limit=100): with db: update tally for each departure, then "
        "db.execute('UPDATE position SET at = ?', (events[-1].offset + 1,)).",
    ]
)
def ingest(log, db):
    """Bring the tally of departures up to date with the log, whatever happens.

    `log.read(offset, limit)` gives the next events, at most `limit` of them,
    each with its topic, value and offset; offsets have no gaps. `db` is a
    sqlite3 connection with two tables: `tally` has a row for every airport of
    the log (origin, n, late); `position` has one row (at), the offset to read
    next. Both may hold what earlier runs counted. Read to the end of the log;
    count each event of the topic "departures" into n at its origin, and into
    late if its dep_delay (minutes, not always whole) is 15 or more. The process
    may be killed at any statement, or any statement refused once with a
    sqlite3.OperationalError, which you may let out; then you are started again,
    with a new connection. In the end each departure is counted once, and `at`
    is the length of the log.
    """
    position = db.execute("SELECT at FROM position").fetchone()[0]
    while events := log.read(position, limit=100):
        position = events[-1].offset + 1
        with db:
            for event in events:
                if event.topic == "departures":
                    late = event.value["dep_delay"] >= 15
                    update = "UPDATE tally SET n = n + 1, late = late + ? WHERE origin = ?"
                    db.execute(update, (late, event.value["origin"]))
            db.execute("UPDATE position SET at = ?", (position,))


class _Killed(BaseException):
    """The process dies here; no handler of the answer may notice."""


class _Cursor(sqlite3.Cursor):
    def execute(self, *args: Any) -> Any:
        assert isinstance(self.connection, _Connection)
        self.connection.live()
        return super().execute(*args)

    def executemany(self, sql: str, rows: Any) -> Any:
        for row in rows:
            self.execute(sql, row)
        return self

    def executescript(self, script: str) -> Any:
        """Statement by statement, each its own transaction, after a commit of what is open: as sqlite3 does it."""
        self.connection.commit()
        level, self.connection.isolation_level = self.connection.isolation_level, None
        try:
            for statement in _statements(script):
                self.execute(statement)
        finally:
            self.connection.isolation_level = level
        return self


def _statements(script: str) -> Iterator[str]:
    held = ""
    for part in re.split("(?<=;)", script):
        held += part
        if sqlite3.complete_statement(held):
            yield held
            held = ""
    if held.strip():
        yield held


class _Connection(sqlite3.Connection):
    """A connection whose process is killed before its n-th statement, or is refused that one."""

    left, is_refused = math.inf, False

    def live(self) -> None:
        self.left -= 1
        if self.left == -1 and self.is_refused:
            raise sqlite3.OperationalError("disk I/O error")
        self.stop_if_dead()

    def stop_if_dead(self) -> None:
        if self.left < 0 and not self.is_refused:
            raise _Killed

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        return super().cursor(_Cursor)

    def execute(self, *args: Any) -> Any:
        return self.cursor().execute(*args)

    def executemany(self, *args: Any) -> Any:
        return self.cursor().executemany(*args)

    def executescript(self, script: str) -> Any:
        return self.cursor().executescript(script)

    def commit(self) -> None:
        self.stop_if_dead()  # the dead do not commit
        super().commit()


class _Log(list[Event]):
    """What `ingest` needs of a log, in memory."""

    def read(self, offset: int, limit: int) -> list[Event]:
        return [
            replace(event, offset=offset + n)
            for n, event in enumerate(self[offset : offset + limit])
        ]


_DESKS = itertools.count()
_AIRPORTS = ("EWR", "JFK", "LGA")


@contextmanager
def _tally(at: int, rows: Sequence[tuple[str, int, int]]) -> Iterator[str]:
    """A database in memory, which several connections share as they would share a file; gives its address."""
    address = f"file:desk{next(_DESKS)}?mode=memory&cache=shared"
    db = sqlite3.connect(address, uri=True)
    db.execute("CREATE TABLE tally (origin TEXT PRIMARY KEY, n INTEGER, late INTEGER)")
    db.executemany("INSERT INTO tally VALUES (?, ?, ?)", rows)
    db.execute("CREATE TABLE position (at INTEGER)")
    db.execute("INSERT INTO position VALUES (?)", (at,))
    db.commit()
    try:
        yield address
    finally:
        db.close()


@contextmanager
def _desk(events: int) -> Iterator[tuple[_Log, str]]:
    """A log with that many reports of one afternoon, the last a departure, and an empty tally."""
    with _tally(0, [(origin, 0, 0) for origin in _AIRPORTS]) as tally:
        yield _Log(_afternoon()[:events]), tally


@cache
def _afternoon() -> list[Event]:
    return list(reports(_evening()[0], since="2013-07-29 18:00"))


def _run(
    answer: Answer,
    log: _Log,
    tally: str,
    statements: float = math.inf,
    *,
    is_refused: bool = False,
) -> bool:
    """One life of the process; after that many statements it is killed or refused one (then True), or it ends well."""
    db = sqlite3.connect(tally, factory=_Connection, uri=True)
    db.left, db.is_refused = statements, is_refused
    try:
        answer(log, db)
    except _Killed:
        pass
    except (answers.Raised, sqlite3.OperationalError):
        if not (is_refused and db.left < 0):
            raise
    finally:
        hit = db.left < 0
        db.close()  # what was not committed is gone, as after a real kill
    return hit


def _counted(tally: str) -> dict[str, list[int]]:
    db = sqlite3.connect(tally, uri=True)
    rows = db.execute("SELECT origin, n, late FROM tally ORDER BY origin").fetchall()
    db.close()
    return {origin: [n, late] for origin, n, late in rows}


def _departed(log: _Log, airports: Sequence[str] = _AIRPORTS) -> dict[str, list[int]]:
    """What the tally must be, counted by other means."""
    left = [event.value for event in log if event.topic == "departures"]
    late = {
        origin: [value["dep_delay"] >= LATE for value in left if value["origin"] == origin]
        for origin in airports
    }
    return {origin: [len(each), sum(each)] for origin, each in late.items()}


@ingest.claim("each departure is counted at its airport, and as late from 15 minutes on")
def counts(answer: Answer) -> None:
    with _desk(94) as (log, tally):
        _run(answer, log, tally)
        expect(_counted(tally), _departed(log))


@ingest.claim("a log that is longer than one read is read to its end")
def to_the_end(answer: Answer) -> None:
    with _desk(131) as (log, tally):
        _run(answer, log, tally)
        expect(_counted(tally), _departed(log))


@ingest.claim("run again on the same log, it changes nothing")
def again(answer: Answer) -> None:
    with _desk(131) as (log, tally):
        for _ in range(3):
            _run(answer, log, tally)
        expect(_counted(tally), _departed(log))


@ingest.claim("when new events have come, it counts them too")
def goes_on(answer: Answer) -> None:
    with _desk(131) as (log, tally):
        _run(answer, log, tally)
        log.extend(_afternoon()[131:205])
        _run(answer, log, tally)
        expect(_counted(tally), _departed(log))


def _hit(answer: Answer, *, is_refused: bool = False) -> Iterator[tuple[Any, Any]]:
    """For a kill or a refusal at each statement until a life ends well: what two lives counted, and what they should."""
    hit, statement = True, 0
    while hit:
        with _desk(131) as (log, tally):
            hit = _run(answer, log, tally, statement, is_refused=is_refused)
            _run(answer, log, tally)
            yield _counted(tally), _departed(log)
        statement += 1


def _of_these(counted: dict[str, list[int]], most: dict[str, list[int]]) -> dict[str, list[int]]:
    """What was counted, without what was counted twice."""
    return {
        origin: [min(pair) for pair in zip(counted[origin], most[origin], strict=True)]
        for origin in most
    }


@ingest.claim("killed at any statement and started again, it loses no departure")
def loses_nothing(answer: Answer) -> None:
    for counted, departed in _hit(answer):
        expect(_of_these(counted, departed), departed)


@ingest.claim("killed at any statement and started again, it counts no departure twice")
def doubles_nothing(answer: Answer) -> None:
    for counted, departed in _hit(answer):
        expect(counted, departed)


@ingest.claim("refused any statement with an error, it counts each departure once all the same")
def refused(answer: Answer) -> None:
    for counted, departed in _hit(answer, is_refused=True):
        expect(counted, departed)


Reports = list[tuple[str, str, float]]


def _events(reports_: Reports, times: int) -> _Log:
    """A log in which these reports (topic, origin, minutes late) come so many times over."""
    now = pd.Timestamp("2013-07-29 18:00", tz="UTC").to_pydatetime()
    return _Log(
        Event(topic, f"{topic}/{n}", now, now, {"origin": origin, "dep_delay": delay})
        for n, (topic, origin, delay) in enumerate(reports_ * times)
    )


def _lived(
    answer: Answer,
    reports: Reports,
    times: int,
    counted: int,
    airports: list[str],
    lives: list[tuple[str, int]],
) -> dict[str, Any]:
    """What tally and position hold after these lives and one that ends well, if that many reports were counted before."""
    log = _events(reports, times)
    before = _departed(_Log(log[:counted]), airports)
    with _tally(
        counted, [(origin, before[origin][0], before[origin][1]) for origin in airports]
    ) as tally:
        for how, statement in lives:
            _run(answer, log, tally, statement, is_refused=how == "refused")
        _run(answer, log, tally)
        db = sqlite3.connect(tally, uri=True)
        at = db.execute("SELECT at FROM position").fetchall()
        db.close()
        return {"tally": _counted(tally), "at": at}


@ingest.generated(
    "any log, however often the process is killed or refused a statement",
    run=_lived,
    truth=lambda reports, times, counted, airports, lives: {
        "tally": _departed(_events(reports, times), airports),
        "at": [(len(reports) * times,)],
    },
    marks={
        "the log is empty": lambda reports, *rest: not reports,
        "the log holds more than 1,000 events": lambda reports, times, *rest: (
            len(reports) * times > 1000
        ),
        "some of the log was counted before": lambda reports, times, counted, *rest: counted > 0,
        "a statement is refused": lambda *args: "refused" in dict(args[-1]),
        "the process is killed": lambda *args: "killed" in dict(args[-1]),
        "a departure is exactly 15 minutes late": lambda reports, *rest: any(
            topic == "departures" and delay == LATE for topic, _, delay in reports
        ),
    },
    count=40,
    steps=100,
)
def any_lives(draw):
    airports = draw(cases.some(cases.names("JFK", "EWR", "LGA", "BOS"), 1, 4, unique=True))
    topic = cases.names("departures", "arrivals", "weather")
    delay = cases.figures(-5, 40, on=[LATE], step=0.5)
    reports = draw(cases.some(st.tuples(topic, st.sampled_from(airports), delay), 0, 6))
    times = draw(st.sampled_from([1, 1, 1, 20, 50, 1001 // max(len(reports), 1) + 1]))
    counted = draw(st.sampled_from([0, 0, len(reports) * times // 2, len(reports) * times]))
    most = 2 * len(reports) + 3 if times == 1 else 130
    life = st.tuples(cases.names("killed", "refused"), cases.whole(0, most))
    return reports, times, counted, airports, draw(cases.some(life, 0, 3))


ingest.mistake(
    "late begins after 15 minutes",
    fails="counts",
    old='event.value["dep_delay"] >= 15',
    new='event.value["dep_delay"] > 15',
)
ingest.mistake(
    "every event is taken for a departure",
    fails="counts",
    old='if event.topic == "departures":',
    new="if True:",
)
ingest.mistake(
    "one read is taken for the whole log",
    fails="to_the_end",
    old="while events := log.read(position, limit=100):",
    new="if events := log.read(position, limit=100):",
)
ingest.mistake(
    "each run starts from the beginning of the log",
    fails="again",
    old='position = db.execute("SELECT at FROM position").fetchone()[0]',
    new="position = 0",
)
ingest.mistake(
    "the position is that of the last event, not of the next",
    fails="again",
    old='db.execute("UPDATE position SET at = ?", (position,))',
    new='db.execute("UPDATE position SET at = ?", (position - 1,))',
)
ingest.mistake(
    "done once, done for ever",
    fails="goes_on",
    old='position = db.execute("SELECT at FROM position").fetchone()[0]',
    new="""position = db.execute("SELECT at FROM position").fetchone()[0]
    if position:
        return""",
)
ingest.mistake(
    "the position is stored before the work is done",
    fails="loses_nothing",
    old="""        with db:
            for event""",
    new="""        with db:
            db.execute("UPDATE position SET at = ?", (position,))
        with db:
            for event""",
)
ingest.mistake(
    "the work is stored before the position",
    fails="doubles_nothing",
    old="""            db.execute("UPDATE position SET at = ?", (position,))""",
    new="""            db.commit()
            db.execute("UPDATE position SET at = ?", (position,))""",
)
ingest.mistake(
    "a script commits what stands open before it",
    fails="doubles_nothing",
    old="""db.execute("UPDATE position SET at = ?", (position,))""",
    new="""db.executescript(f"UPDATE position SET at = {position}")""",
)
ingest.mistake(
    "each departure is stored by itself",
    fails="doubles_nothing",
    old="""db.execute(update, (late, event.value["origin"]))""",
    new="""db.execute(update, (late, event.value["origin"]))
                    db.commit()""",
)


ingest.mistake(
    "an error is swallowed, and its batch skipped",
    fails="refused",
    old="""        with db:
            for event in events:
                if event.topic == "departures":
                    late = event.value["dep_delay"] >= 15
                    update = "UPDATE tally SET n = n + 1, late = late + ? WHERE origin = ?"
                    db.execute(update, (late, event.value["origin"]))
            db.execute""",
    new="""        try:
            for event in events:
                if event.topic == "departures":
                    late = event.value["dep_delay"] >= 15
                    update = "UPDATE tally SET n = n + 1, late = late + ? WHERE origin = ?"
                    db.execute(update, (late, event.value["origin"]))
        except sqlite3.Error:
            db.rollback()
        with db:
            db.execute""",
)
ingest.mistake(
    "late begins a minute early, since minutes are whole",
    fails="any_lives",
    old='event.value["dep_delay"] >= 15',
    new='event.value["dep_delay"] > 14',
)
ingest.mistake(
    "a thousand events at once are enough for any log",
    fails="any_lives",
    old="while events := log.read(position, limit=100):",
    new="if events := log.read(position, limit=1000):",
)
for _limit in ("limit=101", "limit=99"):
    ingest.equivalent("how many are read at a time is free", old="limit=100", new=_limit)
ingest.equivalent("a row of one column", old="fetchone()[0]", new="fetchone()[-1]")


@ingest.alternative
def all_at_once(log, db):
    cursor = db.cursor()
    (start,) = next(cursor.execute("SELECT at FROM position"))
    events = log.read(start, limit=1_000_000)
    left = [event.value for event in events if event.topic == "departures"]
    rows = [(int(value["dep_delay"] >= 15), value["origin"]) for value in left]
    cursor.executemany("UPDATE tally SET n = n + 1, late = late + ? WHERE origin = ?", rows)
    cursor.execute("UPDATE position SET at = at + ?", (len(events),))
    db.commit()


@ingest.alternative
def in_one_script(log, db):
    at = db.execute("SELECT at FROM position").fetchone()[0]
    while events := log.read(at, 100):
        lines = ["BEGIN"]
        for event in events:
            at = event.offset + 1
            if event.topic == "departures":
                late = int(event.value["dep_delay"] >= 15)
                where = f"WHERE origin = '{event.value['origin']}'"
                lines.append(f"UPDATE tally SET n = n + 1, late = late + {late} {where}")
        lines += [f"UPDATE position SET at = {at}", "COMMIT"]
        db.executescript(";\n".join(lines))


@ingest.alternative
def absolute_and_patient(log, db):
    while True:
        try:
            (at,) = db.execute("SELECT at FROM position").fetchone()
            tally = {o: [n, late] for o, n, late in db.execute("SELECT * FROM tally")}
            for event in log.read(at, 70):
                at = event.offset + 1
                if event.topic == "departures":
                    counts = tally[event.value["origin"]]
                    counts[0] += 1
                    counts[1] += event.value["dep_delay"] >= 15
            rows = [(n, late, origin) for origin, (n, late) in tally.items()]
            db.executemany("UPDATE tally SET n = ?, late = ? WHERE origin = ?", rows)
            db.execute("UPDATE position SET at = ?", (at,))
            db.commit()
            if not log.read(at, 1):
                return
        except sqlite3.OperationalError:
            db.rollback()


# -- rolling_rate ------------------------------------------------------------------------------------


@exercise(
    hints=[
        "What must you remember between two deliveries? Which reports can no later question need?",
        "A key in a set tells a copy from a new report. Do not trust the order of arrival: a report belongs "
        "where its minute says.",
        "Forget with [(minute, late) for minute, late in kept if minute > now - window]; then answer from those "
        "with minute <= now; float('nan') if there are none.",
    ]
)
def rolling_rate(deliveries, window=60):
    """The late rate of the last hour, with reports that come late or twice.

    `deliveries` holds, in the order in which they reach you, reports ("report",
    key, minute, late) and questions ("ask", minute). Answer each question, in a
    list: the share of late ones among the reports delivered before it whose
    minute lies in (asked - window, asked]; NaN if there are none. Each key
    counts once; its copies are equal. Questions come in order of time; a report
    may follow a newer one or have a clock that is ahead. Minutes are whole.
    """
    seen, kept, answers = set(), [], []
    for kind, *item in deliveries:
        if kind == "report":
            key, minute, late = item
            is_new = key not in seen  # blank
            if is_new:
                seen.add(key)
                kept.append((minute, late))
        else:
            now = item[0]
            kept = [report for report in kept if report[0] > now - window]  # blank: forget
            inside = [late for minute, late in kept if minute <= now]  # blank
            rate = sum(inside) / len(inside) if inside else float("nan")
            answers.append(rate)
    return answers


def _reports(*minutes: int, late: bool = False) -> list[tuple[Any, ...]]:
    return [("report", f"flight {minute}", minute, late) for minute in minutes]


@rolling_rate.claim(
    "two late reports of four are a rate of a half, and without reports it is missing"
)
def half(answer: Answer) -> None:
    deliveries = [("ask", 5), *_reports(10, 20), *_reports(30, 40, late=True), ("ask", 50)]
    expect(answer(deliveries), [math.nan, 0.5])


@rolling_rate.claim("a report counts at its own minute, and no longer a whole window later")
def edges(answer: Answer) -> None:
    deliveries = [*_reports(30), *_reports(50, late=True), ("ask", 50), ("ask", 90), ("ask", 110)]
    expect(answer(deliveries), [0.5, 1.0, math.nan])
    expect(answer([*_reports(30), ("ask", 50)], window=20), [math.nan])


@rolling_rate.claim("a report that is delivered three times counts once")
def copies(answer: Answer) -> None:
    deliveries = [*_reports(10, late=True) * 3, *_reports(20), ("ask", 30)]
    expect(answer(deliveries), [0.5])


@rolling_rate.claim("a copy that comes after other reports still counts once")
def later_copy(answer: Answer) -> None:
    deliveries = [*_reports(10, late=True), *_reports(20), *_reports(10, late=True), ("ask", 30)]
    expect(answer(deliveries), [0.5])


@rolling_rate.claim("a report that comes after newer ones counts while its minute is in the window")
def out_of_order(answer: Answer) -> None:
    deliveries = [*_reports(60), *_reports(30, late=True), ("ask", 70), ("ask", 95)]
    expect(answer(deliveries), [0.5, 0.0])


@rolling_rate.claim("a report whose clock is ahead waits for its minute")
def ahead(answer: Answer) -> None:
    deliveries = [*_reports(10), *_reports(40, late=True), ("ask", 30), ("ask", 45)]
    expect(answer(deliveries), [0.0, 0.5])


@rolling_rate.claim(
    "it equals the library's batch for LaGuardia on 29 July 2013, delivered in disorder and with copies"
)
def equals_the_batch(answer: Answer) -> None:
    world, rows = _evening()
    start = rows.decided_at.iloc[0]
    left = world.departures(since="2013-07-29 04:00").query("origin == 'LGA'")
    minutes = (left.available_at - start) // pd.Timedelta("1min")
    sent = [
        ("report", key, int(minute), bool(delay >= LATE))
        for key, minute, delay in zip(left.flight_id, minutes, left.dep_delay, strict=True)
    ]
    random = np.random.default_rng(0)
    copies = [sent[i] for i in random.integers(0, len(sent), len(sent) // 5)]
    arrived = [[*sent, *copies][i] for i in random.permutation(len(sent) + len(copies))]
    asked = [("ask", int((at - start) // pd.Timedelta("1min"))) for at in rows.decided_at]
    expect(answer([*arrived, *asked]), rows.left_late_1h.to_numpy())


@rolling_rate.claim("a report that comes after the question changes no earlier answer")
def not_yet_delivered(answer: Answer) -> None:
    deliveries = [*_reports(10), ("ask", 30), *_reports(20, late=True), ("ask", 30)]
    expect(answer(deliveries), [0.0, 0.5])


def _places(deliveries: list[tuple[Any, ...]]) -> dict[str, list[tuple[int, Any]]]:
    """Reports and questions, each with its place in the deliveries."""
    kinds: dict[str, list[tuple[int, Any]]] = {"report": [], "ask": []}
    for place, (kind, *item) in enumerate(deliveries):
        kinds[kind].append((place, item))
    return kinds


def _any_pair(deliveries: list[tuple[Any, ...]], holds: Any) -> bool:
    """Whether this holds of a report and a question: the places and the minutes of both."""
    found = _places(deliveries)
    return any(
        holds(reported, report[1], asked, ask[0])
        for reported, report in found["report"]
        for asked, ask in found["ask"]
    )


@rolling_rate.generated(
    "any deliveries",
    marks={
        "a report comes after a question to which its minute would belong": lambda deliveries, window=60: (
            _any_pair(
                deliveries,
                lambda at, minute, asked, now: at > asked and now - window < minute <= now,
            )
        ),
        "a report is exactly a window old when it is asked for": lambda deliveries, window=60: (
            _any_pair(
                deliveries, lambda at, minute, asked, now: at < asked and minute == now - window
            )
        ),
        "a report's clock is ahead": lambda deliveries, window=60: _any_pair(
            deliveries, lambda at, minute, asked, now: at < asked and minute > now
        ),
        "a report comes twice": lambda deliveries, window=60: (
            len({d[1] for d in deliveries if d[0] == "report"})
            < sum(d[0] == "report" for d in deliveries)
        ),
        "the window is not of 60 minutes": lambda deliveries, window=60: window != 60,
        "nothing is asked": lambda deliveries, window=60: all(d[0] == "report" for d in deliveries),
    },
    count=80,
)
def any_deliveries(draw):
    window = draw(st.sampled_from([60, 30, 1, 7]))
    asked = sorted(draw(cases.some(cases.whole(0, 150), 0, 5)))
    limits = sorted({*asked, *(now - window for now in asked), 0})
    reported = draw(cases.some(cases.near(*limits) | cases.whole(-80, 160), 0, 6))
    keys = draw(cases.reordered([f"flight {n}" for n in range(len(reported))]))
    sent = [
        ("report", key, minute, draw(st.booleans()))
        for key, minute in zip(keys, reported, strict=True)
    ]
    deliveries = draw(cases.deliveries(sent))
    places = sorted(draw(cases.whole(0, len(deliveries))) for _ in asked)
    for question, (place, now) in enumerate(zip(places, asked, strict=True)):
        deliveries.insert(place + question, ("ask", now))
    return (deliveries,) if window == 60 else cases.call(deliveries, window=window)


rolling_rate.mistake(
    "no reports are taken for no late flights",
    fails="half",
    old='float("nan")',
    new="0.0",
)
rolling_rate.mistake(
    "a report of exactly an hour ago still counts",
    fails="edges",
    old="report[0] > now - window",
    new="report[0] >= now - window",
)
rolling_rate.mistake(
    "a report of this very minute does not count yet",
    fails="edges",
    old="minute <= now]",
    new="minute < now]",
)
rolling_rate.mistake("copies are counted", fails="copies", old="key not in seen", new="True")
rolling_rate.mistake(
    "only a copy of the last report is recognised",
    fails="later_copy",
    old="seen.add(key)",
    new="seen = {key}",
)
rolling_rate.mistake(
    "what comes late is thrown away",
    fails="out_of_order",
    old="key not in seen",
    new="key not in seen and (not kept or minute >= kept[-1][0])",
)
rolling_rate.mistake(
    "forgetting trusts the order of arrival",
    fails="out_of_order",
    old="kept = [report for report in kept if report[0] > now - window]",
    new="""while kept and kept[0][0] <= now - window:
                kept.pop(0)""",
)
rolling_rate.mistake(
    "everything that has been delivered has happened",
    fails="ahead",
    old="[late for minute, late in kept if minute <= now]",
    new="[late for minute, late in kept]",
)
rolling_rate.mistake(
    "the memory for copies is too short",
    fails="equals_the_batch",
    old="seen.add(key)",
    new="seen = {*(seen if len(seen) < 50 else ()), key}",
)


rolling_rate.mistake(
    "everything is read before anything is answered",
    fails="not_yet_delivered",
    old="for kind, *item in deliveries:",
    new="for kind, *item in sorted(deliveries, key=lambda delivery: delivery[0] == 'ask'):",
)
rolling_rate.equivalent("a question holds nothing but its minute", old="item[0]", new="item[-1]")


@rolling_rate.alternative
def from_a_dict(deliveries, window=60):
    reported, answers = {}, []
    for delivery in deliveries:
        if delivery[0] == "report":
            reported[delivery[1]] = delivery[2:]
            continue
        since, now = delivery[1] - window, delivery[1]
        inside = [late for minute, late in reported.values() if since < minute <= now]
        answers.append(np.mean(inside) if inside else math.nan)
    return answers


# -- watermark ---------------------------------------------------------------------------------------


@exercise(
    hints=[
        "You never need to wait for a moment between two reports. Which waits are worth a look?",
        "For each candidate, which share of the lags is longer? A lag of exactly the wait is in time.",
        "waits = np.unique(np.maximum(lags, 0)) with 0 added; np.searchsorted on the sorted lags with "
        "side='right' counts what is in time; argmin gives the first, that is the shortest, cheapest wait.",
    ]
)
def watermark(lags, per_minute, per_lost):
    """How long to wait for late reports before a window is closed, at the least
    cost.

    `lags` (minutes; an array in any order, of one or more) holds for each
    report how long after the end of its window it came; 0 or less is in time.
    Waiting, for 0 minutes or any more, not only whole ones, costs `per_minute`
    a minute. What comes later than the wait is lost, and costs `per_lost` times
    its share of all reports; either price may be 0. Give the pair (wait, lost):
    the cheapest wait in minutes (the shortest, if several cost the same) and
    the share that it loses, neither rounded.
    """
    lags = np.sort(lags)
    waits = np.unique(np.r_[0, np.maximum(lags, 0)])  # blank
    lost = (len(lags) - np.searchsorted(lags, waits, side="right")) / len(lags)  # blank
    cost = per_minute * waits + per_lost * lost  # blank
    best = cost.argmin()
    return waits[best], lost[best]


@watermark.claim("a report that comes exactly when the wait ends is in time")
def in_time(answer: Answer) -> None:
    expect(answer(np.array([10, 10, 10]), 1, 100), (10, 0.0))


@watermark.claim(
    "of lags 0, 0, 5, 10 and 100, at 1 a minute and 100 for everything lost, 10 minutes cost least"
)
def by_hand(answer: Answer) -> None:
    expect(answer(np.array([0, 0, 5, 10, 100]), 1, 100), (10, 0.2))


@watermark.claim("reports that came before their window closed need no wait")
def early(answer: Answer) -> None:
    expect(answer(np.array([-30, -20, -10]), 1, 100), (0, 0.0))


@watermark.claim(
    "if waiting is free, it waits for the last report, and if losing is free, it does not wait"
)
def extremes(answer: Answer) -> None:
    expect(answer(np.array([50, 0, 20, -5]), 0, 100), (50, 0.0))
    expect(answer(np.array([50, 0, 20, -5]), 1, 0), (0, 0.5))


@watermark.claim("of two waits that cost the same, it takes the shorter")
def shorter(answer: Answer) -> None:
    expect(answer(np.array([0, 10]), 1, 20), (0, 0.5))


@watermark.claim("on the late departures of July 2013, no wait from 0 to 600 minutes costs less")
def real_lags(answer: Answer) -> None:
    lags = (
        lateness(World("2013-08-01 04:00"), since="2013-07-01 04:00")
        .query("late")
        .lateness.to_numpy()
    )
    for per_lost in (50, 200, 1000, 20_000):
        wait, lost = answer(lags, 1, per_lost)
        expect(lost, float(np.mean(lags > wait)))
        rivals = [minute + per_lost * np.mean(lags > minute) for minute in range(601)]
        expect(wait + per_lost * lost, float(min(rivals)))


def _bills(lags: FloatArray, per_minute: float, per_lost: float) -> FloatArray:
    """What each wait costs that could be the cheapest, cheapest first."""
    waits = np.unique([0.0, *lags[lags > 0]])
    return np.sort([per_minute * wait + per_lost * np.mean(lags > wait) for wait in waits])


def _is_tied(lags: FloatArray, per_minute: float, per_lost: float) -> bool:
    bills = _bills(lags, per_minute, per_lost)
    return len(bills) > 1 and bills[1] == bills[0]


@watermark.generated(
    "any lags at any prices",
    marks={
        "two waits cost the same": _is_tied,
        "no report is in time": lambda lags, per_minute, per_lost: (lags > 0).all(),
        "no report is late": lambda lags, per_minute, per_lost: (lags <= 0).all(),
        "several came at the same moment": lambda lags, per_minute, per_lost: (
            len(np.unique(lags)) < len(lags)
        ),
        "waiting is free": lambda lags, per_minute, per_lost: per_minute == 0,
        "losing is free": lambda lags, per_minute, per_lost: per_lost == 0,
        "not waiting is cheapest": lambda lags, per_minute, per_lost: (
            watermark.answer(lags, per_minute, per_lost)[0] == 0
        ),
        "a lag is no whole minute": lambda lags, per_minute, per_lost: (lags % 1 > 0).any(),
    },
    count=80,
)
def any_lags(draw):
    """Prices at which waits cost exactly the same, or clearly not, however the costs are added up."""
    lag = draw(
        st.sampled_from(
            [
                cases.whole(-20, 120, on=[0]),
                cases.figures(-2, 30, on=[0], step=0.25),
                st.sampled_from([0, 10, 20]),
                cases.whole(1, 900),
            ]
        )
    )
    size = draw(st.sampled_from([1, 2, 4, 8, 3, 5]))
    lags = draw(cases.array(lag, size))
    if (lags % 1 == 0).all() and draw(st.booleans()):
        lags = lags.astype(int)
    late = lags[lags > 0]
    tie = [size * late[0]] if size in (1, 2, 4, 8) and len(late) else []
    per_minute = draw(st.sampled_from([1, 0.5, 2, 0]))
    per_lost = draw(cases.figures(0, 200, step=1) | st.sampled_from([20, 1000, 0, *tie]))
    bills = _bills(lags, per_minute, per_lost)
    if np.any((np.diff(bills) > 0) & (np.diff(bills) < 1e-6)):
        per_lost = 0
    return lags, per_minute, per_lost


watermark.mistake(
    "95 % is enough, whatever it costs",
    fails="by_hand",
    old="best = cost.argmin()",
    new="best = np.argmax(lost <= 0.05)",
)
watermark.mistake(
    "who comes as the door closes is locked out",
    fails="in_time",
    old='side="right"',
    new='side="left"',
)
watermark.mistake(
    "what came early is waited for in the past",
    fails="early",
    old="np.unique(np.r_[0, np.maximum(lags, 0)])",
    new="np.unique(lags)",
)
watermark.mistake(
    "nobody thinks of not waiting at all",
    fails="extremes",
    old="np.unique(np.r_[0, np.maximum(lags, 0)])",
    new="np.unique(lags[lags > 0]) if (lags > 0).any() else np.array([0])",
)
watermark.mistake(
    "to be safe, the longer one",
    fails="shorter",
    old="best = cost.argmin()",
    new="best = len(cost) - 1 - cost[::-1].argmin()",
)
watermark.mistake(
    "nobody waits for more than two hours",
    fails="real_lags",
    old="np.r_[0, np.maximum(lags, 0)]",
    new="np.r_[0, np.clip(lags, 0, 120)]",
)


watermark.mistake(
    "only whole minutes are worth a wait",
    fails="any_lags",
    old="np.r_[0, np.maximum(lags, 0)]",
    new="np.r_[0, np.ceil(np.maximum(lags, 0))]",
)
watermark.equivalent(
    "the lags are sorted, and a wait that is tried twice costs the same",
    old="np.unique(np.r_[0, np.maximum(lags, 0)])",
    new="np.r_[0, np.maximum(lags, 0)]",
)
watermark.equivalent("the larger of two", old="np.maximum(lags, 0)", new="np.maximum(0, lags)")


@watermark.alternative
def one_wait_after_another(lags, per_minute, per_lost):
    best = None
    for wait in sorted({0, *(lag for lag in lags if lag > 0)}):
        lost = sum(lag > wait for lag in lags) / len(lags)
        cost = per_minute * wait + per_lost * lost
        if best is None or cost < best[0] - 1e-9:
            best = cost, wait, lost
    return best[1:]


def lateness(world: World, since: str) -> pd.DataFrame:
    """How long after the end of its scheduled hour each departure was reported.

    Parameters
    ----------
    world : World
        Departures reported by its now.
    since : str
        Only flights scheduled to depart at or after this moment.

    Returns
    -------
    pandas.DataFrame of shape (n_departures, 4)
        `origin`, `hour` (the scheduled one, in UTC), `late` (left 15 minutes late or more) and `lateness`,
        in minutes; zero or less for a report that came within the hour.

    Examples
    --------
    >>> lateness(World("2013-08-01 04:00"), since="2013-07-01 04:00").lateness.describe().round(0)[["min", "50%", "max"]].to_list()
    [-69.0, -13.0, 955.0]
    """
    left = world.departures(since=pd.Timestamp(since, tz="UTC") - pd.Timedelta("1h"))
    left = left[left.sched_dep >= pd.Timestamp(since, tz="UTC")]
    hour = left.sched_dep.dt.floor("h")
    after = (left.available_at - hour) / pd.Timedelta("1min") - 60
    return pd.DataFrame(
        {"origin": left.origin, "hour": hour, "late": left.dep_delay >= LATE, "lateness": after}
    )


# -- parity ------------------------------------------------------------------------------------------


@exercise(
    hints=[
        "First ask whether both answer the same decisions, each once; only then whether they answer the same.",
        "Align by flight_id, not by place. NaN is not equal to NaN, but here it is agreement; NaN and 0 are not.",
        "alone = left.index.symmetric_difference(right.index); common = "
        "left.index.intersection(right.index); (a.isna() & b.isna()) | ((a - b).abs() <= 1e-9).",
    ]
)
def parity(batch, stream):
    """Say where two pipelines disagree; an empty dict says that they agree.

    Both tables have `flight_id` and the same features; rows, columns and index
    are in any order, and a table may be empty. Give a dict of whole numbers.
    For each feature: on how many decisions (not rows) that both answer do the
    values differ? For "rows": how many decisions does only one of them answer,
    or one more than once? (The copies are equal: keep one, and compare it like
    the others.) Leave out what is zero. Two missing values agree, a missing one
    and a number do not. A difference of 1e-9 or less, whatever the size of the
    values, is rounding; more is not.
    """
    twice = {*batch.flight_id[batch.flight_id.duplicated()]}
    twice |= {*stream.flight_id[stream.flight_id.duplicated()]}
    left = batch.drop_duplicates("flight_id").set_index("flight_id")
    right = stream.drop_duplicates("flight_id").set_index("flight_id")
    alone = left.index.symmetric_difference(right.index)  # blank
    found = {"rows": len(twice.union(alone))}
    common = left.index.intersection(right.index)  # blank
    for name in left.columns:
        a, b = left.loc[common, name], right.loc[common, name]
        same = (a.isna() & b.isna()) | ((a - b).abs() <= 1e-9)  # blank
        found[name] = int((~same).sum())
    return {name: count for name, count in found.items() if count}


@cache
def _answers() -> pd.DataFrame:
    """What a sound pipeline answers for the decisions of 29 July 2013."""
    world = World("2013-07-30 04:00")
    features = [LEFT_LATE, Rolling("landed_late_2h", "arrivals", ("origin",), 2)]
    rows = batch(world, world.decisions(since="2013-07-29 04:00"), features=features)
    return rows[["flight_id", "left_late_1h", "landed_late_2h"]]


def _sound() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables that agree: one in another order, rounded otherwise."""
    table = _answers()
    other = table.sample(frac=1, random_state=0, ignore_index=True)
    return table.copy(), other.assign(left_late_1h=other.left_late_1h + 1e-13)


@parity.claim(
    "it finds nothing where rows are in another order, rounding differs and both lack a value"
)
def accepts(answer: Answer) -> None:
    expect(answer(*_sound()), {})


@parity.claim("it catches a stream that says 0 where no report has come")
def zeros(answer: Answer) -> None:
    table, stream = _sound()
    assert table.left_late_1h.isna().sum() > 0
    stream["left_late_1h"] = stream.left_late_1h.fillna(0)
    expect(answer(table, stream), {"left_late_1h": int(table.left_late_1h.isna().sum())})


@parity.claim(
    "it catches 37 values that are off by a report, up and down, so that the mean hides them"
)
def few_and_balanced(answer: Answer) -> None:
    table, stream = _sound()
    known = stream.index[stream.landed_late_2h.notna()][100:137]
    stream.loc[known, "landed_late_2h"] += np.resize([0.002, -0.002], 37)
    expect(answer(table, stream), {"landed_late_2h": 37})


@parity.claim("it catches a millionth, which is more than rounding")
def a_millionth(answer: Answer) -> None:
    table, stream = _sound()
    stream["landed_late_2h"] += 1e-6
    expect(answer(table, stream), {"landed_late_2h": int(table.landed_late_2h.notna().sum())})


@parity.claim("it catches eleven decisions that the stream never answered")
def unanswered(answer: Answer) -> None:
    table, stream = _sound()
    expect(answer(table, stream.iloc[11:]), {"rows": 11})


@parity.claim("it catches three decisions that the stream answered twice")
def answered_twice(answer: Answer) -> None:
    table, stream = _sound()
    expect(answer(table, pd.concat([stream, stream.iloc[[5, 6, 7]]])), {"rows": 3})
    expect(answer(pd.concat([table, table.iloc[[5]]]), stream), {"rows": 1})


@parity.claim(
    "it names every one of several disagreements, and decisions that only the stream knows"
)
def several(answer: Answer) -> None:
    table, stream = _sound()
    stream["landed_late_2h"] = 1 - stream.landed_late_2h
    known = table.landed_late_2h.iloc[2:].dropna()
    expect(answer(table.iloc[2:], stream), {"rows": 2, "landed_late_2h": int((known != 0.5).sum())})


def _widest(batch: pd.DataFrame, stream: pd.DataFrame) -> pd.Series:
    """The differences on what both answer, without those that are nought."""
    left, right = (t.drop_duplicates("flight_id").set_index("flight_id") for t in (batch, stream))
    common = left.index.intersection(right.index)
    apart = (left.loc[common] - right.loc[common, left.columns]).abs().to_numpy().ravel()
    return pd.Series(apart[apart > 0])


def _copies(table: pd.DataFrame) -> int:
    """How often the decision is answered that is answered most often."""
    return int(table.flight_id.value_counts().max()) if len(table) else 0


@parity.generated(
    "any two tables",
    marks={
        "values differ by 1e-9 or a little less": lambda batch, stream: (
            _widest(batch, stream).between(4e-10, 1e-9).any()
        ),
        "values differ by a little more than 1e-9": lambda batch, stream: (
            _widest(batch, stream).between(1.1e-9, 2e-7).any()
        ),
        "a decision is answered twice": lambda batch, stream: (
            max(_copies(batch), _copies(stream)) > 1
        ),
        "a decision is answered three times": lambda batch, stream: (
            max(_copies(batch), _copies(stream)) > 2
        ),
        "only the batch answers a decision": lambda batch, stream: bool(
            {*batch.flight_id} - {*stream.flight_id}
        ),
        "only the stream answers a decision": lambda batch, stream: bool(
            {*stream.flight_id} - {*batch.flight_id}
        ),
        "a value is missing on one side": lambda batch, stream: (
            batch.isna().sum().sum() != stream.isna().sum().sum()
        ),
        "a table is empty": lambda batch, stream: batch.empty or stream.empty,
        "the columns stand in another order": lambda batch, stream: list(batch) != list(stream),
    },
    count=80,
)
def any_tables(draw):
    names = draw(
        cases.some(cases.names("left_late_1h", "landed_late_2h", "gust"), 1, 3, unique=True)
    )
    ids = draw(cases.some(cases.names("UA1", "AA2", "DL3", "B64", "WN5"), 0, 5, unique=True))
    rows = [
        (i, *(draw(cases.figures(0, 1, on=[0, 0.5], step=0.25, missing=True)) for _ in names))
        for i in ids
    ]
    rows = [
        (i, *(1000 * v if draw(cases.whole(0, 4)) == 4 else v for v in values))
        for i, *values in rows
    ]
    batch, stream = (draw(_answered(rows, names, apart)) for apart in ((0.0,), (0.0, *_APART)))
    return batch, stream


# Just inside the tolerance and just beyond it. On its limit only beside 0: elsewhere rounding decides.
_APART = (0.0, 8e-10, 1.5e-9, -1.5e-9, 1e-7, -0.002, 0.25, math.nan)


@st.composite
def _answered(draw, rows, names, apart):
    """What a pipeline answers: some decisions not, some more than once, in any order, off by one of `apart`."""
    told = [row for row in rows if draw(cases.whole(0, 5)) < 5]
    told = [
        (i, *(_off(value, draw(st.sampled_from(apart))) for value in values)) for i, *values in told
    ]
    twice = draw(cases.some(st.sampled_from(told), 0, 2)) if told and draw(st.booleans()) else []
    arrived = draw(cases.reordered([*told, *twice]))
    index = draw(cases.index(len(arrived), equal=True))
    types = {"flight_id": object} | dict.fromkeys(names, float)
    table = pd.DataFrame(arrived, columns=list(types), index=index).astype(types)
    return table[draw(cases.reordered(list(types)))]


def _off(value: float, by: float) -> float:
    """Off by so much; a value that is missing is known by `by`, if that is not nought."""
    if math.isnan(value):
        return value if by == 0 else abs(by)
    return 1e-9 if value == 0 and by == 8e-10 else value + by


parity.mistake(
    "two missing values differ",
    fails="accepts",
    old="(a.isna() & b.isna()) | ((a - b).abs() <= 1e-9)",
    new="(a - b).abs() <= 1e-9",
)
parity.mistake(
    "rows are compared by place",
    fails="accepts",
    old="a, b = left.loc[common, name], right.loc[common, name]",
    new="a, b = left.loc[common, name].reset_index(drop=True), right[name].iloc[: len(common)].reset_index(drop=True)",
)
parity.mistake(
    "equal means equal to the last bit",
    fails="accepts",
    old="((a - b).abs() <= 1e-9)",
    new="(a == b)",
)
parity.mistake(
    "missing is as good as zero",
    fails="zeros",
    old="(a.isna() & b.isna()) | ((a - b).abs() <= 1e-9)",
    new="(a.fillna(0) - b.fillna(0)).abs() <= 1e-9",
)
parity.mistake(
    "what is missing on either side is not compared",
    fails="zeros",
    old="(a.isna() & b.isna())",
    new="(a.isna() | b.isna())",
)
parity.mistake(
    "means are compared",
    fails="few_and_balanced",
    old="found[name] = int((~same).sum())",
    new="found[name] = int((~same).sum()) if abs(a.mean() - b.mean()) > 1e-4 else 0",
)
parity.mistake(
    "half a per cent is close enough",
    fails="few_and_balanced",
    old="<= 1e-9",
    new="<= 0.005",
)
parity.mistake(
    "only decisions that both answer are looked at",
    fails="unanswered",
    old="left.index.symmetric_difference(right.index)",
    new="left.index[:0]",
)
parity.mistake(
    "copies are dropped without a word",
    fails="answered_twice",
    old="len(twice.union(alone))",
    new="len(alone)",
)
parity.mistake(
    "only the batch can know a decision that the other does not",
    fails="several",
    old="left.index.symmetric_difference(right.index)",
    new="left.index.difference(right.index)",
)
parity.mistake(
    "close enough, by a library's default",
    fails="a_millionth",
    old="((a - b).abs() <= 1e-9)",
    new="((a - b).abs() <= 1e-5)",
)


parity.mistake(
    "rounding to nine places is a tolerance",
    fails="any_tables",
    old="((a - b).abs() <= 1e-9)",
    new="(a.round(9) == b.round(9))",
)
parity.mistake(
    "large values may differ by more",
    fails="any_tables",
    old="((a - b).abs() <= 1e-9)",
    new="((a - b).abs() <= 1e-9 * np.maximum(a.abs(), 1))",
)
parity.mistake(
    "a decision that is answered twice differs twice",
    fails="any_tables",
    old='stream.drop_duplicates("flight_id").set_index("flight_id")',
    new='stream.set_index("flight_id")',
)
parity.equivalent(
    "both tables have the same features", old="in left.columns", new="in right.columns"
)


@parity.alternative
def by_an_outer_join(batch, stream):
    one, other = (t.groupby("flight_id").first() for t in (batch, stream))
    copies = {i for t in (batch, stream) for i, n in t.flight_id.value_counts().items() if n > 1}
    found = {"rows": len(copies | (set(one.index) ^ set(other.index)))}
    both = one.join(other, how="inner", rsuffix="_other")
    for name in one:
        a, b = both[name].to_numpy(float), both[f"{name}_other"].to_numpy(float)
        found[name] = int((~np.isclose(a, b, rtol=0, atol=1e-9, equal_nan=True)).sum())
    return {name: n for name, n in found.items() if n > 0}
