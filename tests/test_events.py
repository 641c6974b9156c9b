"""The event log: what is acknowledged survives, what is done is not delivered again."""

import json
import multiprocessing
import os
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsys_lib import World
from mlsys_lib.events import CLOCK, TOPICS, Event, Log, replay, reports, tick
from tests.log_worker import NOON, departure, work

# A fork server starts a process in milliseconds; where there is none, a fresh interpreter does.
processes = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
if sys.platform != "win32":
    processes.set_forkserver_preload(["mlsys_lib.events"])


ALL = 1_000_000  # more events than any log here holds


@pytest.fixture
def log(tmp_path):
    with Log(tmp_path / "desk.db") as opened:
        yield opened


def test_events_are_read_back_in_order_as_they_were_written(log):
    events = [departure(n, n) for n in (3, 1, 2)]
    assert log.append(events) == 3
    read = log.read(0, ALL)
    assert [event.offset for event in read] == [0, 1, 2]
    for event, written in zip(read, events, strict=True):
        assert (event.key, event.event_time, event.available_at) == (
            written.key,
            written.event_time,
            written.available_at,
        )
        assert event.value == written.value


def test_reading_goes_on_from_an_offset_and_stops_at_the_limit(log):
    log.append(departure(n) for n in range(10))
    assert [event.offset for event in log.read(4, 3)] == [4, 5, 6]
    assert [event.offset for event in log.read(np.int64(8), np.int64(ALL))] == [8, 9]
    assert log.read(10, 1) == []


def test_an_event_sent_twice_is_stored_once(log):
    assert log.append([departure(1), departure(2)]) == 2
    assert log.append([departure(2), departure(3), departure(3)]) == 1
    assert [event.key for event in log.read(0, ALL)] == ["flight 1", "flight 2", "flight 3"]


def test_a_key_with_another_content_is_refused_and_nothing_of_the_batch_is_stored(log):
    log.append([departure(1, delay=5)])
    with pytest.raises(
        ValueError, match=r"holds 'flight 1' with another content, .*; correct by a new key"
    ):
        log.append([departure(2), departure(1, delay=6)])
    assert len(log) == 1


def test_each_consumer_has_a_position_of_its_own(log):
    log.append(departure(n) for n in range(5))
    log.commit("features", 3)
    assert (log.position("features"), log.position("monitoring")) == (3, 0)


def test_a_commit_does_not_go_back_and_a_seek_does(log):
    log.append(departure(n) for n in range(5))
    log.commit("features", 4)
    with pytest.raises(ValueError, match=r"'features' has committed 4; to read again, use seek"):
        log.commit("features", 2)
    assert log.position("features") == 4
    log.seek("features", offset=2)
    assert log.position("features") == 2


def moves(log):
    return [log.commit, lambda consumer, offset: log.seek(consumer, offset=offset)]


@pytest.mark.parametrize("offset", [-1, 6, 2.0, 0.5, np.nan, True, "2", None])
def test_a_position_is_a_whole_number_within_the_log(log, offset):
    log.append(departure(n) for n in range(5))
    for move in moves(log):
        with pytest.raises(ValueError, match=r"offset=.* must be a whole number from 0 to 5"):
            move("features", offset)
    assert log.position("features") == 0


def test_a_position_of_any_whole_kind_is_kept_as_a_number(log):
    log.append(departure(n) for n in range(5))
    for move in moves(log):
        move("features", np.int64(5))
        assert log.position("features") == 5
    log.seek("features")
    assert log.position("features") == 0


@pytest.mark.parametrize("consumer", [None, 5, b"features", ["features"]])
def test_a_consumer_has_a_name(log, consumer):
    for call in (*(lambda c, m=move: m(c, 0) for move in moves(log)), log.position):
        with pytest.raises(ValueError, match=r"consumer=.* must be text"):
            call(consumer)


@pytest.mark.parametrize(
    "consumer", ["", "o'brien", 'two "words"', "größe-данные", "; DROP TABLE x"]
)
def test_a_name_of_any_text_is_one_of_its_own(log, consumer):
    log.append([departure(1)])
    log.commit(consumer, 1)
    assert (log.position(consumer), log.position("features")) == (1, 0)


def test_positions_and_events_outlive_the_process(log):
    log.append(departure(n) for n in range(5))
    log.commit("features", 3)
    with Log(log.path) as again:
        assert (len(again), again.position("features")) == (5, 3)


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (
            Event("departures", "k", datetime(2013, 4, 22), NOON, {}),
            "event_time=.* of 'k' is naive",
        ),
        (Event("departures", "k", NOON, pd.NaT, {}), "available_at=NaT of 'k' is naive"),
        (Event("departures", "k", NOON, "2013-04-22", {}), "available_at=.* of 'k' is naive"),
        (Event("departures", "k", NOON, NOON, {"delay": float("nan")}), "value of 'k' is not JSON"),
        (Event("departures", "k", NOON, NOON, {"delay": float("inf")}), "value of 'k' is not JSON"),
        (Event("departures", "k", NOON, NOON, {"left": NOON}), "value of 'k' is not JSON"),
        (Event("departures", 5, NOON, NOON, {}), "key=5 must be text"),
        (Event("departures", None, NOON, NOON, {}), "key=None must be text"),
        (Event(None, "k", NOON, NOON, {}), "topic=None must be text"),
        ({"topic": "departures", "key": "k"}, r"takes a list of events; this is none: {'topic"),
        ("departures", "takes a list of events; this is none: 'departures'"),
        (None, "this is none: None"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_written(log, event, says):
    with pytest.raises(ValueError, match=says):
        log.append([departure(1), event])
    assert len(log) == 0


@pytest.mark.parametrize("events", [departure(1), None, 5, "departures", {"key": "k"}])
def test_what_is_appended_is_a_list_of_events(log, events):
    with pytest.raises(ValueError, match="append takes a list of events"):
        log.append(events)
    assert (len(log), log.append([]), log.append(iter(()))) == (0, 0, 0)


@pytest.mark.parametrize("number", [-1, 2.0, 0.5, np.nan, True, "2", None, 2**63])
def test_reading_before_the_log_or_nothing_is_refused(log, number):
    with pytest.raises(ValueError, match=r"offset=.* must be a whole number of 0 or more"):
        log.read(number, 1)
    for limit in {number, 0}:
        with pytest.raises(ValueError, match=r"limit=.* must be a whole number of 1 or more"):
            log.read(0, limit)


@pytest.mark.parametrize(
    "folder", ["year=2024", "o'brien", "two words", "größe-данные-東京", "100%#"]
)
def test_a_log_lies_in_a_folder_of_any_name(tmp_path, folder):
    (tmp_path / folder).mkdir()
    path = tmp_path / folder / f"{folder}.db"
    with Log(path) as log:
        assert log.append([departure(1)]) == 1
    with Log(str(path)) as again:
        assert len(again) == 1
    assert {file.name for file in path.parent.iterdir()} == {path.name}


def test_a_log_without_waiting_for_the_disk_holds_the_same(tmp_path):
    with Log(tmp_path / "desk.db", flush=False) as log:
        log.append(departure(n) for n in range(5))
    with Log(tmp_path / "desk.db") as again:
        assert [event.key for event in again.read(0, ALL)] == [f"flight {n}" for n in range(5)]


def contents(path):
    """What stands in a database, read by nobody else's rules."""
    db = sqlite3.connect(path)
    try:
        return list(db.iterdump()), db.execute("PRAGMA journal_mode").fetchone()
    finally:
        db.close()


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE events (something TEXT)",
        "CREATE TABLE runs (id INTEGER, metric REAL)",
        "CREATE TABLE consumers (name TEXT, position INTEGER)",
        "CREATE VIEW now AS SELECT 1",
        "CREATE TABLE events (place, key, topic, event_time, available_at, value);"
        "CREATE TABLE consumers (id)",
    ],
)
def test_a_database_of_somebody_else_is_refused_and_left_as_it_is(tmp_path, schema):
    other = tmp_path / "other.db"
    db = sqlite3.connect(other)
    db.executescript(schema)
    db.close()
    before = contents(other)
    with pytest.raises(ValueError, match=r"other\.db is not an event log that can be written"):
        Log(other)
    assert contents(other) == before


def test_a_file_that_is_no_log_is_refused_and_left_alone(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("These are my notes, and they are not a database. " * 100)
    with pytest.raises(ValueError, match=r"notes\.txt is not an event log"):
        Log(text)
    assert text.read_text().startswith("These are my notes")
    with pytest.raises(ValueError, match="is a folder; name a file in it"):
        Log(tmp_path)
    with pytest.raises(ValueError, match="nowhere is no folder; make it first"):
        Log(tmp_path / "nowhere" / "desk.db")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99])
def test_a_log_of_which_half_was_copied_is_refused(tmp_path, share):
    with Log(tmp_path / "whole.db") as log:
        log.append(departure(n) for n in range(500))
    whole = (tmp_path / "whole.db").read_bytes()
    half = tmp_path / "half.db"
    half.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"half\.db is not an event log that can be written"):
        Log(half)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes all files")
def test_a_log_that_may_not_be_written_says_so(tmp_path):
    path = tmp_path / "desk.db"
    Log(path).close()
    path.chmod(0o444)
    with pytest.raises(
        ValueError, match=r"can be written \(attempt to write a readonly database\)"
    ):
        Log(path)


def test_producers_that_open_a_new_log_at_once_lose_nothing_and_share_no_offset(tmp_path):
    path, start = tmp_path / "desk.db", threading.Barrier(6)

    def produce(first):
        start.wait()
        with Log(path) as log:
            return sum(log.append([departure(n)]) for n in range(first, first + 25))

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(produce, range(0, 600, 100))) == 150
    with Log(path) as log:
        events = log.read(0, ALL)
    assert [event.offset for event in events] == list(range(150))
    assert len({event.key for event in events}) == 150


@settings(max_examples=15)
@given(st.lists(st.lists(st.integers(0, 30), max_size=8), max_size=8))
def test_however_often_events_are_sent_each_is_stored_once_in_the_order_of_its_first_sending(
    tmp_path_factory, batches
):
    with Log(tmp_path_factory.mktemp("log") / "desk.db") as log:
        for batch in batches:
            log.append(departure(n) for n in batch)
        sent = [n for batch in batches for n in batch]
        assert [event.key for event in log.read(0, ALL)] == [
            f"flight {n}" for n in dict.fromkeys(sent)
        ]


def test_the_reports_of_a_world_are_what_it_knows_in_the_order_in_which_it_came_to_know_it():
    world = World("2013-04-22 16:00")
    events = list(reports(world, since="2013-04-22"))
    assert all(event.available_at <= world.now for event in events)
    assert [event.available_at for event in events] == sorted(
        event.available_at for event in events
    )
    for topic in TOPICS:
        table = getattr(world, topic)(since="2013-04-22")
        own = [event for event in events if event.topic == topic]
        assert len(own) == len(table) > 0
        assert {event.event_time for event in own} == set(table.event_time)
    assert len({event.key for event in events}) == len(events)
    assert all(json.dumps(dict(event.value), allow_nan=False) for event in events)


def test_the_flight_that_a_world_has_not_heard_of_is_in_no_report():
    events = reports(World("2013-04-22 10:02"), since="2013-04-22 09:45")
    assert max(event.event_time for event in events) == datetime(2013, 4, 22, 9, 52, tzinfo=UTC)


def test_reports_begin_with_what_happened_at_since_and_come_in_order():
    world = World("2013-04-22 10:02")
    events = list(reports(world, since="2013-04-22 09:45"))
    again = list(reports(world, since=datetime(2013, 4, 22, 9, 45, tzinfo=UTC)))
    assert events == again
    assert min(event.event_time for event in events) >= datetime(2013, 4, 22, 9, 45, tzinfo=UTC)
    together = [(event.available_at, TOPICS.index(event.topic)) for event in events]
    assert together == sorted(together)
    with pytest.raises(ValueError, match="since='soon' is no moment"):
        reports(world, since="soon")


# The clock of a replay.


def test_a_tick_says_what_time_it_is_and_which_feeds_are_whole():
    event = tick("2013-04-22 15:00")
    assert event == tick(pd.Timestamp("2013-04-22 11:00", tz="America/New_York"))
    assert (event.topic, event.value) == (CLOCK, {"complete": list(TOPICS)})
    assert event.event_time == event.available_at == datetime(2013, 4, 22, 15, tzinfo=UTC)
    assert tick("2013-04-22", complete=()).value == {"complete": []}


@pytest.mark.parametrize(
    ("at", "complete", "says"),
    [
        ("soon", TOPICS, "at='soon' is no moment"),
        (1366642800, TOPICS, "at=1366642800 is no moment"),
        (NOON, ["wether"], "topic='wether' must be one of 'departures', 'arrivals', 'weather'"),
        (NOON, "weather", "topic='w' must be one of"),
        (NOON, [CLOCK], "topic='clock' must be one of"),
    ],
)
def test_a_tick_of_no_moment_or_of_no_feed_is_refused(at, complete, says):
    with pytest.raises(ValueError, match=says):
        tick(at, complete=complete)


@pytest.mark.parametrize("every", ["1min", "7min", "1h", timedelta(minutes=13)])
@pytest.mark.parametrize(
    "outages",
    [
        {},
        {"arrivals": ("2013-04-22 12:00", "2013-04-22 13:30")},
        {"weather": ("2013-04-22 11:00", "2013-04-22 12:51"), "departures": (NOON, "2013-05-01")},
    ],
)
def test_a_replay_gives_each_report_at_the_first_tick_at_which_its_feed_has_it(every, outages):
    """Against the definition, report by report."""
    world, since = World("2013-04-22 16:30"), pd.Timestamp("2013-04-22 10:30", tz="UTC")
    ticks = pd.date_range(since + pd.Timedelta(every), world.now, freq=every)

    spans = {topic: [pd.to_datetime(t, utc=True) for t in span] for topic, span in outages.items()}

    def down(topic, at):
        return topic in spans and spans[topic][0] < at < spans[topic][1]

    expected = {}
    for event in reports(world, since=since - pd.Timedelta("1h")):
        after = ticks[ticks.searchsorted(event.available_at) :]
        heard = next((at for at in after if not down(event.topic, at)), None)
        if event.available_at > since and heard is not None:
            expected[event.key] = heard
    found, waiting, clock = {}, [], []
    for event in replay(world, since, every=every, outages=outages):
        if event.topic != CLOCK:
            waiting.append(event)
            continue
        at = event.event_time
        assert event.value["complete"] == [topic for topic in TOPICS if not down(topic, at)]
        assert all(e.available_at <= at for e in waiting)
        times = [e.available_at for e in waiting]
        assert times == sorted(times)
        found |= {e.key: at for e in waiting}
        clock, waiting = [*clock, at], []
    assert clock == list(ticks)
    assert found == expected
    assert len(found) > 300
    assert not waiting


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"every": "0min"}, "every='0min' must be above zero"),
        ({"every": timedelta(0)}, "must be above zero"),
        ({"every": "-1min"}, "every='-1min' is no duration of zero or more"),
        ({"every": 1}, "every=1 is no duration"),
        ({"every": "5"}, "every='5' is no duration"),
        ({"every": pd.NaT}, "every=NaT is no duration"),
        ({"outages": {"wether": ("2013-04-22 10:00", "2013-04-22 11:00")}}, "topic='wether' must"),
        ({"outages": {CLOCK: ("2013-04-22 10:00", "2013-04-22 11:00")}}, "topic='clock' must be"),
        (
            {"outages": {"weather": ("2013-04-22 11:00", "2013-04-22 10:00")}},
            "must end after it st",
        ),
        ({"outages": {"weather": (NOON, NOON)}}, "the outage of weather must end after it starts"),
        ({"outages": {"weather": ("2013-04-22 11:00", "soon")}}, "end='soon' is no moment"),
        ({"outages": {"weather": (pd.NaT, NOON)}}, "start=NaT is no moment"),
    ],
)
def test_a_replay_that_cannot_be_is_refused_at_once(options, says):
    with pytest.raises(ValueError, match=says):
        replay(World("2013-04-22 10:15"), "2013-04-22 10:00", **options)
    with pytest.raises(ValueError, match=r"since=.* is no moment"):
        replay(World("2013-04-22 10:15"), "10 o'clock")


# Killed at work.


@pytest.mark.parametrize("kills", [4, pytest.param(60, marks=pytest.mark.weekly)])
def test_killed_at_any_point_it_loses_nothing_acknowledged_and_redelivers_nothing_committed(
    tmp_path, kills
):
    path, notes = tmp_path / "desk.db", tmp_path / "acknowledged.txt"
    notes.touch()
    for kill in range(kills):
        _killed_after(0.0175 * kill / kills, path, notes, first=1000 * kill)
    lines = [line.split() for line in notes.read_text().splitlines()]
    appended = [int(line[1]) for line in lines if line[0] == "appended" and len(line) == 2]
    with Log(path) as log:
        keys = [event.key for event in log.read(0, ALL)]
        position = log.position("consumer")
    assert len(appended) >= kills
    assert len(keys) == len(set(keys))
    assert {f"flight {4 * n + k}" for n in appended for k in range(4)} <= set(keys)
    assert len(keys) % 4 == 0, "half a batch was stored"
    reached = 0
    for line in lines:
        if line[0] == "first":
            assert int(line[1]) >= reached
            reached = int(line[1])
        if line[0] == "committed" and len(line) == 3:
            assert int(line[1]) >= reached
            reached = int(line[2])
    assert position >= reached > 0


def _killed_after(wait: float, path: Path, notes: Path, first: int) -> None:
    size = notes.stat().st_size
    process = processes.Process(target=work, args=(str(path), str(notes), first))
    process.start()
    while notes.stat().st_size < size + 30:  # it is at work
        time.sleep(0.001)
        assert process.is_alive()
    time.sleep(wait)
    process.kill()  # SIGKILL: nothing of it runs any more
    process.join()
