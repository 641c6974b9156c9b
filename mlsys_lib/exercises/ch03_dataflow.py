"""Exercises of chapter 03, dataflow."""

import math
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlsys_lib import World
from mlsys_lib.events import Event, reports
from mlsys_lib.exercises.checker import Answer, exercise, expect
from mlsys_lib.features import LATE, Rolling, batch

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

    `log.read(offset, limit)` gives events. `db` is a sqlite3 connection with two
    tables: `tally` has a row an airport (origin, n, late); `position` has one row
    (at), the offset to read next. Read to the end of the log; count each event of the
    topic "departures" into n, and into late if its dep_delay is 15 or more. The
    process may be killed at any statement and started again, with a new connection.
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


class _Connection(sqlite3.Connection):
    """A connection whose process is killed before its n-th statement."""

    left = math.inf

    def live(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _Killed

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        return super().cursor(_Cursor)

    def execute(self, *args: Any) -> Any:
        return self.cursor().execute(*args)

    def executemany(self, *args: Any) -> Any:
        return self.cursor().executemany(*args)

    def commit(self) -> None:
        if self.left < 0:  # the dead do not commit
            raise _Killed
        super().commit()


class _Log(list[Event]):
    """What `ingest` needs of a log, in memory."""

    def read(self, offset: int = 0, limit: int = 1000) -> list[Event]:
        return [
            replace(event, offset=offset + n)
            for n, event in enumerate(self[offset : offset + limit])
        ]


@contextmanager
def _desk(events: int) -> Iterator[tuple[_Log, Path]]:
    """A log with that many reports of one afternoon, the last a departure, and an empty tally."""
    with tempfile.TemporaryDirectory() as folder:
        tally = Path(folder) / "tally.db"
        db = sqlite3.connect(tally)
        db.executescript(
            "CREATE TABLE tally (origin TEXT PRIMARY KEY, n INTEGER, late INTEGER);"
            "INSERT INTO tally VALUES ('EWR', 0, 0), ('JFK', 0, 0), ('LGA', 0, 0);"
            "CREATE TABLE position (at INTEGER); INSERT INTO position VALUES (0);"
        )
        db.close()
        yield _Log(_afternoon()[:events]), tally


@cache
def _afternoon() -> list[Event]:
    return list(reports(_evening()[0], since="2013-07-29 18:00"))


def _run(answer: Answer, log: _Log, tally: Path, statements: float = math.inf) -> bool:
    """One life of the process; it ends after that many statements (then True), or well."""
    db = sqlite3.connect(tally, factory=_Connection)
    sqlite3.Connection.execute(
        db, "PRAGMA synchronous = OFF"
    )  # no power fails here, and it is faster
    db.left = statements
    with suppress(_Killed):
        answer(log, db)
    killed = db.left < 0
    db.close()  # what was not committed is gone, as after a real kill
    return killed


def _counted(tally: Path) -> list[list[int]]:
    db = sqlite3.connect(tally)
    rows = db.execute("SELECT n, late FROM tally ORDER BY origin").fetchall()
    db.close()
    return [list(row) for row in rows]


def _departed(log: _Log) -> list[list[int]]:
    """What the tally must be, counted by other means."""
    left = pd.DataFrame([event.value for event in log if event.topic == "departures"])
    late = (left.dep_delay >= LATE).groupby(left.origin).agg(["size", "sum"])
    return [
        [int(n), int(k)] for n, k in late.reindex(["EWR", "JFK", "LGA"], fill_value=0).to_numpy()
    ]


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


def _killed(answer: Answer) -> Iterator[tuple[Any, Any]]:
    """For a kill at each statement until a life ends well: what two lives counted, and what they should."""
    killed, statement = True, 0
    while killed:
        with _desk(131) as (log, tally):
            killed = _run(answer, log, tally, statement)
            _run(answer, log, tally)
            yield np.array(_counted(tally)), np.array(_departed(log))
        statement += 1


@ingest.claim("killed at any statement and started again, it loses no departure")
def loses_nothing(answer: Answer) -> None:
    for counted, departed in _killed(answer):
        expect(np.minimum(counted, departed), departed)


@ingest.claim("killed at any statement and started again, it counts no departure twice")
def doubles_nothing(answer: Answer) -> None:
    for counted, departed in _killed(answer):
        expect(counted, departed)


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
    "each departure is stored by itself",
    fails="doubles_nothing",
    old="""db.execute(update, (late, event.value["origin"]))""",
    new="""db.execute(update, (late, event.value["origin"]))
                    db.commit()""",
)


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
    """The late rate of the last hour, while reports come in, some late and some twice.

    `deliveries` holds, in the order in which they reach you, reports ("report", key,
    minute, late) and questions ("ask", minute). Give a list with an answer to each
    question: the share of late reports among those delivered so far whose minute lies
    in (asked - window, asked]. Each key counts once. If there is none, the answer is
    NaN. Questions come in order of time; reports may come after newer ones, and a
    sender's clock may be ahead of yours.
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
            answers.append(sum(inside) / len(inside) if inside else float("nan"))
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
    """How long to wait for late reports before a window is closed, at the least cost.

    `lags` (minutes) holds for each report how long after the end of its window it
    came; 0 or less is in time. Waiting costs `per_minute` a minute. What comes later
    than the wait is lost, and costs `per_lost` times its share of all reports. Give
    the pair (wait, lost): the cheapest wait in minutes (the shortest, if several cost
    the same) and the share that it loses.
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
        lateness(World("2013-08-01 04:00"), since="2013-07-01 04:00").query("late").lag.to_numpy()
    )
    for per_lost in (50, 200, 1000, 20_000):
        wait, lost = answer(lags, 1, per_lost)
        expect(lost, float(np.mean(lags > wait)))
        rivals = [minute + per_lost * np.mean(lags > minute) for minute in range(601)]
        expect(wait + per_lost * lost, float(min(rivals)))


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
        `origin`, `hour` (the scheduled one, in UTC), `late` (left 15 minutes late or more) and `lag`, in
        minutes; zero or less for a report that came within the hour.

    Examples
    --------
    >>> lateness(World("2013-08-01 04:00"), since="2013-07-01 04:00").lag.describe().round(0)[["min", "50%", "max"]].to_list()
    [-69.0, -13.0, 955.0]
    """
    left = world.departures(since=pd.Timestamp(since, tz="UTC") - pd.Timedelta("1h"))
    left = left[left.sched_dep >= pd.Timestamp(since, tz="UTC")]
    hour = left.sched_dep.dt.floor("h")
    lag = (left.available_at - hour) / pd.Timedelta("1min") - 60
    return pd.DataFrame(
        {"origin": left.origin, "hour": hour, "late": left.dep_delay >= LATE, "lag": lag}
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

    Each table has `flight_id` and one column a feature, in any order of rows. Give
    {feature: number of decisions on which the values differ}, over the decisions that
    both answer, and {"rows": number of decisions that only one of the two answers, or
    that one answers more than once}. Leave out what is zero. Two missing values
    agree, a missing one and a number do not; up to 1e-9 is rounding.
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
