"""The event log: what is acknowledged survives, what is done is not delivered again."""

import json
import multiprocessing
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsys_lib import World
from mlsys_lib.events import TOPICS, Event, Log, reports
from tests.log_worker import NOON, departure, work

# A fork server starts a process in milliseconds; where there is none, a fresh interpreter does.
processes = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
if sys.platform != "win32":
    processes.set_forkserver_preload(["mlsys_lib.events"])


@pytest.fixture
def log(tmp_path):
    with Log(tmp_path / "desk.db") as opened:
        yield opened


def test_events_are_read_back_in_order_as_they_were_written(log):
    events = [departure(n, n) for n in (3, 1, 2)]
    assert log.append(events) == 3
    read = log.read()
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
    assert [event.offset for event in log.read(offset=4, limit=3)] == [4, 5, 6]
    assert log.read(offset=10) == []


def test_an_event_sent_twice_is_stored_once(log):
    assert log.append([departure(1), departure(2)]) == 2
    assert log.append([departure(2), departure(3), departure(3)]) == 1
    assert [event.key for event in log.read()] == ["flight 1", "flight 2", "flight 3"]


def test_a_key_with_another_content_is_refused_and_nothing_of_the_batch_is_stored(log):
    log.append([departure(1, delay=5)])
    with pytest.raises(
        ValueError, match=r"holds 'flight 1' with another content: .* A correction is a new event"
    ):
        log.append([departure(2), departure(1, delay=6)])
    assert len(log) == 1


def test_each_consumer_has_a_position_of_its_own(log):
    log.append(departure(n) for n in range(5))
    log.commit("features", 3)
    assert (log.position("features"), log.position("monitoring")) == (3, 0)


def test_a_commit_does_not_go_back_and_a_replay_does(log):
    log.append(departure(n) for n in range(5))
    log.commit("features", 4)
    with pytest.raises(
        ValueError, match=r"'features' has committed 4; 2 lies behind it. To read again, use replay"
    ):
        log.commit("features", 2)
    assert log.position("features") == 4
    log.seek("features", offset=2)
    assert log.position("features") == 2


@pytest.mark.parametrize("move", ["commit", "replay"])
@pytest.mark.parametrize("offset", [-1, 6])
def test_a_position_outside_the_log_is_refused(log, move, offset):
    log.append(departure(n) for n in range(5))
    with pytest.raises(ValueError, match=f"{offset}"):
        getattr(log, move)("features", offset)
    assert log.position("features") == 0


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
        (Event("departures", "k", NOON, NOON, {"delay": float("nan")}), "value of 'k' is not JSON"),
        (Event("departures", "k", NOON, NOON, {"left": NOON}), "value of 'k' is not JSON"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_written(log, event, says):
    with pytest.raises(ValueError, match=says):
        log.append([departure(1), event])
    assert len(log) == 0


def test_reading_before_the_log_or_nothing_is_refused(log):
    with pytest.raises(ValueError, match="offset=-1"):
        log.read(-1, 1)
    with pytest.raises(ValueError, match="limit=0"):
        log.read(0, 0)


def test_a_file_that_is_no_log_is_refused_and_left_alone(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("These are my notes, and they are not a database. " * 100)
    with pytest.raises(ValueError, match=r"notes\.txt is not an event log"):
        Log(text)
    assert text.read_text().startswith("These are my notes")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE events (something TEXT)")
    db.close()
    with pytest.raises(ValueError, match="is not an event log"):
        Log(other)
    with pytest.raises(ValueError, match="is not an event log"):
        Log(tmp_path)
    with pytest.raises(ValueError, match="no folder"):
        Log(tmp_path / "nowhere" / "desk.db")


def test_producers_that_open_a_new_log_at_once_lose_nothing_and_share_no_offset(tmp_path):
    path, start = tmp_path / "desk.db", threading.Barrier(6)

    def produce(first):
        start.wait()
        with Log(path) as log:
            return sum(log.append([departure(n)]) for n in range(first, first + 25))

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(produce, range(0, 600, 100))) == 150
    with Log(path) as log:
        events = log.read()
    assert [event.offset for event in events] == list(range(150))
    assert len({event.key for event in events}) == 150


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(0, 30), max_size=8), max_size=8))
def test_however_often_events_are_sent_each_is_stored_once_in_the_order_of_its_first_sending(
    tmp_path_factory, batches
):
    with Log(tmp_path_factory.mktemp("log") / "desk.db") as log:
        for batch in batches:
            log.append(departure(n) for n in batch)
        sent = [n for batch in batches for n in batch]
        assert [event.key for event in log.read()] == [f"flight {n}" for n in dict.fromkeys(sent)]


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


def test_killed_25_times_it_loses_nothing_acknowledged_and_redelivers_nothing_committed(tmp_path):
    path, notes = tmp_path / "desk.db", tmp_path / "acknowledged.txt"
    notes.touch()
    for kill in range(25):
        size = notes.stat().st_size
        process = processes.Process(target=work, args=(str(path), str(notes), 1000 * kill))
        process.start()
        while notes.stat().st_size < size + 30:  # it is at work
            time.sleep(0.001)
            assert process.is_alive()
        time.sleep(0.0007 * kill)
        process.kill()  # SIGKILL: nothing of it runs any more
        process.join()
    lines = [line.split() for line in notes.read_text().splitlines()]
    appended = [int(line[1]) for line in lines if line[0] == "appended" and len(line) == 2]
    with Log(path) as log:
        events = log.read(0, 1_000_000)
        position = log.position("consumer")
    keys = [event.key for event in events]
    assert len(appended) > 50
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
