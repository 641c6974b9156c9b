"""The desk: what it answers is what the batch says, whatever broke, and whoever killed it when."""

import itertools
import json
import math
import multiprocessing
import random
import sys
import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest

from mlsys_lib import World
from mlsys_lib.desk import Desk, Models, NotReady, answered, keep_answers, score_batch
from mlsys_lib.events import CLOCK, TOPICS, Event, Log, replay, tick
from mlsys_lib.features import FEATURES, SCHEDULE, batch, published
from mlsys_lib.feeds import Feeds
from mlsys_lib.package import PackageError
from mlsys_lib.world import PUBLISHED
from tests.serving_worker import desk_of, flights, said, work

processes = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
if sys.platform != "win32":
    processes.set_forkserver_preload(["tests.serving_worker", "onnxruntime"])

STORM = "2013-04-22"
NOW = datetime(2013, 4, 22, 16, tzinfo=UTC)
EARLY, LATER = (datetime(2013, month, 10, tzinfo=UTC) for month in (4, 5))
FLIGHT = "2013-04-22/YV3790/LGA"  # leaves at eight in the evening, UTC


@cache
def day(outages=(), since="2013-04-21 12:00", hours=5):
    """The storm's day from 8 in the morning in New York, and its timetable."""
    world = World(f"{STORM} 12:00").advance(hours=hours)
    timetable = published(World(f"{STORM} 12:00"))
    timetable = timetable[
        timetable.sched_dep.between(f"{STORM} 12:00+00:00", world.now + pd.Timedelta("7h"))
    ]
    history = replay(World(f"{STORM} 12:00"), since, every="1h")
    return timetable, [*history, *replay(world, f"{STORM} 12:00", outages=dict(outages))]


def answers(desk, events, timetable):
    """What a desk says after each tick of the day."""
    found = []
    for event in events:
        desk.feed(event)
        if event.topic == CLOCK and event.available_at > datetime(2013, 4, 22, 12, tzinfo=UTC):
            found += [said(desk, flight) for flight in flights(timetable, desk.now)]
    return found


def by_desk(desk, events, decisions):
    """The desk's probability of each decision, asked at its own moment."""
    due = decisions.groupby("decided_at").flight_id.agg(list).to_dict()
    found = {}
    for event in events:
        desk.feed(event)
        if event.topic == CLOCK:
            for flight_id in due.pop(event.available_at, []):
                answer = desk.answer(flight_id)
                assert answer.rung == "fresh" and answer.features_as_of == event.available_at
                found[flight_id] = answer.probability
    assert not due
    return decisions.flight_id.map(found).to_numpy()


@pytest.mark.parametrize(
    ("since", "until", "many"),
    [
        ("2013-03-09", "2013-03-12", 1900),  # on the 10th, clocks go forward
        ("2013-04-22", "2013-04-24", 1200),
        pytest.param("2013-04-01", "2013-05-01", 28_000, marks=pytest.mark.weekly),
    ],
)
def test_the_service_says_what_the_batch_says_on_every_flight(models, since, until, many):
    world, start = World(until), World(since).now
    decisions = world.decisions(since=start + pd.Timedelta("150min"))
    by_batch = score_batch(models.full, world, decisions).probability.to_numpy()
    history = replay(World(since), start - pd.Timedelta("8D"), every="1h")
    events = itertools.chain(history, replay(world, since))
    by_service = by_desk(Desk(published(world), models), events, decisions)
    assert len(by_batch) > many
    assert np.array_equal(by_service, by_batch)  # bit for bit


FEED = Feeds.feed
ROW = Feeds.row
SKEWS = {
    "late rates in percent": lambda s, plan: {
        name: value * 100 if "_late_" in name else value for name, value in ROW(s, plan).items()
    },
    "degrees Celsius": lambda s, plan: (row := ROW(s, plan)) | {"temp": (row["temp"] - 32) / 1.8},
    "minutes of the day in UTC": lambda s, plan: (
        (row := ROW(s, plan)) | {"dep_minute": (row["dep_minute"] + 240) % 1440}
    ),
}


@pytest.mark.parametrize("skew", SKEWS)
def test_a_skew_made_on_purpose_is_caught(models, monkeypatch, skew):
    timetable, events = day(since="2013-04-14")
    world = World(f"{STORM} 17:00")
    decisions = world.decisions(since=f"{STORM} 14:30")
    decisions = decisions[decisions.flight_id.isin(timetable.flight_id)]
    by_batch = score_batch(models.full, world, decisions).probability.to_numpy()
    assert np.array_equal(by_desk(Desk(timetable, models), events, decisions), by_batch)
    monkeypatch.setattr(Feeds, "row", SKEWS[skew])
    found = by_desk(Desk(timetable, models), events, decisions)
    assert (found != by_batch).sum() > 10


def test_a_flight_sent_by_its_schedule_gets_the_plan_that_its_id_has(models):
    timetable = published(World("2013-03-12"))
    timetable = timetable[
        timetable.sched_dep.between("2013-03-08 00:00+00:00", "2013-03-14 00:00+00:00")
    ]  # on the 10th, clocks go forward
    record = deque()
    desk = Desk(timetable, replace(models, full=None), record=record)
    desk.feed(tick(datetime(2013, 3, 7, 23, tzinfo=UTC)))
    flights_ = timetable[PUBLISHED].to_dict("records")
    for flight in flights_:
        assert desk.answer(flight).flight_id == desk.answer(flight["flight_id"]).flight_id
    rows = [row for _, row in record]
    assert len(rows) > 5000 and rows[::2] == rows[1::2]


def test_a_flight_out_of_the_blue_adds_itself_to_its_hour(models):
    timetable, events = day()
    record = deque()
    desk = Desk(timetable, models, record=record)
    for event in events:
        desk.feed(event)
    flight = timetable[timetable.sched_dep > desk.now][PUBLISHED].iloc[0].to_dict()
    desk.answer(flight["flight_id"])
    answer = desk.answer(flight | {"flight": 9999, "carrier": "ZZ"})
    (_, listed), (_, unforeseen) = record
    assert unforeseen["hour_flights"] == listed["hour_flights"] + 1
    assert (answer.flight_id, answer.unknown) == (f"{STORM}/ZZ9999/{flight['origin']}", ["carrier"])


def test_the_ladder_is_climbed_down_as_the_feed_ages_and_up_when_it_is_back(models):
    outage = (("arrivals", (f"{STORM} 12:30", f"{STORM} 16:30")),)
    timetable, events = day(outage)
    desk, whole = Desk(timetable, models), Desk(timetable, models)
    flight = FLIGHT
    fresh, rungs = None, []
    for event in events:
        desk.feed(event)
        if event.topic != CLOCK or event.available_at <= datetime(2013, 4, 22, 12, tzinfo=UTC):
            continue
        answer = desk.answer(flight)
        if not rungs or rungs[-1][0] != answer.rung:
            rungs.append((answer.rung, f"{answer.now:%H:%M}", answer.age_minutes, answer.why))
        if answer.age_minutes == 0:
            fresh = answer
        if answer.rung == "schedule":
            assert (answer.features_as_of, answer.model) == (None, models.schedule.sha256[:12])
        if answer.rung == "last_known":
            assert answer.features_as_of == fresh.now
    assert rungs == [
        ("fresh", "12:01", 0, ""),
        ("last_known", "13:01", 31, "behind: arrivals by 0.5 h"),
        ("schedule", "15:31", None, "too old to be used: arrivals by 3.0 h"),
        ("fresh", "16:30", 0, ""),
    ]
    for event in day()[1]:
        whole.feed(event)
    assert desk.answer(flight) == whole.answer(flight)  # healed: nothing was lost
    assert desk.refused == 0


def test_last_known_features_are_those_of_the_moment_at_which_the_feed_broke(models):
    timetable, events = day()
    everything = tuple((topic, (f"{STORM} 14:00", "2013-04-23")) for topic in TOPICS)
    broken = Desk(timetable, models)
    for event in day(everything)[1]:
        broken.feed(event)
    before = Desk(timetable, models)
    for event in events:
        if event.available_at <= datetime(2013, 4, 22, 14, tzinfo=UTC):
            before.feed(event)
    for flight in flights(timetable, broken.now):
        then, now = before.answer(flight), broken.answer(flight)
        assert now.probability == then.probability
        assert (now.rung, now.features_as_of, now.age_minutes) == ("last_known", then.now, 180)


def test_answers_change_with_a_tick_and_never_between_two(models):
    timetable, events = day()
    desk = Desk(timetable, models)
    asked, before = FLIGHT, None
    for event in events:
        desk.feed(event)
        if event.topic == CLOCK:
            before = desk.answer(asked)
        elif before:
            assert desk.answer(asked) == before


def test_what_breaks_lets_the_next_rung_answer_and_is_counted(models, monkeypatch, caplog):
    timetable, events = day()
    desk = Desk(timetable, models)
    for event in events:
        desk.feed(event)
    flight = FLIGHT
    monkeypatch.setattr(Feeds, "row", lambda *_: {}["store"])
    answer = desk.answer(flight)
    assert (answer.rung, answer.why, desk.failures) == ("schedule", "KeyError: 'store'", 1)
    assert "the rung fresh broke" in caplog.text
    desk.models = replace(models, full=None)
    assert desk.answer(flight).why == "no full model is loaded"
    desk.models = replace(models, full=None, schedule=None)
    answer = desk.answer(flight)
    assert (answer.rung, answer.probability, answer.model) == ("base_rate", 0.2, None)
    desk.models, desk.fault = models, "the log cannot be read"
    assert (desk.answer(flight).rung, desk.answer(flight).why) == ("schedule", desk.fault)


def test_a_report_that_makes_no_sense_is_refused_and_the_desk_goes_on(models, caplog):
    timetable, events = day()
    desk, good = Desk(timetable, models), Desk(timetable, models)
    now = datetime(2013, 4, 22, 16, 59, tzinfo=UTC)
    bad = [
        Event("gossip", "a", now, now, {}),
        Event("arrivals", "b", now, now, {"origin": "LGA"}),
        Event("arrivals", "c", now, now, {"origin": "LGA", "arr_delay": None}),
        Event("weather", "d", now, now, {"origin": "LGA"}),
        Event(CLOCK, "e", now, now, {}),
        Event("arrivals", "f", now, now - timedelta(hours=5), {}),  # its feed was complete
        tick(now - timedelta(hours=1)),
    ]
    for event in events[:-1]:
        desk.feed(event)
        good.feed(event)
    for event in [*bad, events[-1]]:
        desk.feed(event)
    good.feed(events[-1])
    assert desk.refused == len(bad) == len(caplog.records)
    assert desk.answer(FLIGHT) == good.answer(FLIGHT)


def test_impossible_moments_and_unknown_flights_are_refused(models):
    timetable, events = day()
    desk = Desk(timetable, models)
    with pytest.raises(NotReady, match="no tick"):
        desk.answer(FLIGHT)
    for event in events:
        desk.feed(event)
    with pytest.raises(KeyError, match="send its schedule"):
        desk.answer("2013-04-22/XX1/LGA")
    with pytest.raises(ValueError, match=r"stands at 2013-04-22 17:00 UTC; it has left"):
        desk.answer(timetable.flight_id.iloc[0])
    flight = timetable[PUBLISHED].iloc[-1].to_dict()
    with pytest.raises(ValueError, match="30 days ahead"):
        desk.answer(
            flight | {k: flight[k] + pd.Timedelta("40D") for k in ("sched_dep", "sched_arr")}
        )


def test_models_that_do_not_fit_are_refused(models):
    full, schedule = models.full, models.schedule
    with pytest.raises(PackageError, match=r"wants \['temp'.*not made here"):
        Models(full, full, 0.2)
    celsius = replace(
        full,
        signature=replace(
            full.signature,
            columns=tuple(
                replace(c, unit="degrees Celsius") if c.name == "temp" else c
                for c in full.signature.columns
            ),
        ),
    )
    with pytest.raises(PackageError, match=r"other units .*Celsius"):
        Models(celsius, schedule, 0.2)
    with pytest.raises(PackageError, match="no probability"):
        Models(full, schedule, 2)


def state(desk, timetable):
    """All that can be seen of a desk: its clock, its feeds, what it says of some flights, and from which features."""
    desk.record = deque()
    for flight in flights(timetable, desk.now):
        desk.answer(flight)
    return desk.now, desk.ages(), repr(desk.record)


def assert_resumed(models, timetable, events, cut, path, more=()):
    """A desk that resumes from the first events says what one says that has read them, then and later."""
    desk, other = Desk(timetable, models), Desk(timetable, models)
    with Log(path) as log:
        log.append(events[:cut])
        while desk.catch_up(log):
            pass
        other.resume(log)
        assert state(other, timetable) == state(desk, timetable)
        log.append(events[cut:])
        for one in (desk, other):
            while one.catch_up(log):
                pass
        assert state(other, timetable) == state(desk, timetable)


@pytest.mark.parametrize("seed", range(4))
def test_a_restart_anywhere_gives_the_same_answers_then_and_afterwards(models, tmp_path, seed):
    outage = (("arrivals", (f"{STORM} 13:00", f"{STORM} 14:00")),)
    timetable, events = day(outage, since="2013-04-10")
    cut = random.Random(seed).randrange(len(events) - 2000, len(events))
    assert_resumed(models, timetable, events, cut, tmp_path / "log.db")


@cache
def weeks(**outages):
    """Two weeks of April at LaGuardia, a tick every two hours, and the timetable of what follows."""
    world = World(NOW)
    timetable = published(world)
    timetable = timetable[timetable.sched_dep.between(world.now, "2013-04-23 00:00+00:00")]
    events = replay(world, "2013-04-08", every="2h", outages=outages)
    at_laguardia = [e for e in events if e.value.get("origin", "LGA") == "LGA"]
    return timetable[timetable.origin == "LGA"], at_laguardia


def test_a_restart_reads_one_longest_window_and_not_the_whole_log(models, tmp_path, monkeypatch):
    timetable, events = weeks()
    read = []
    with Log(tmp_path / "log.db") as log:
        log.append(events)
        monkeypatch.setattr(
            Feeds, "feed", lambda feeds, event: read.append(event) or FEED(feeds, event)
        )
        Desk(timetable, models).resume(log)
    back = NOW - timedelta(days=7, hours=3)
    assert len(read) < 0.6 * len(events)
    assert read[0].available_at - back < timedelta(minutes=5)


def without_weather(events):
    return [e for e in events if not (e.topic == "weather" and e.available_at > EARLY)]


def and_an_observation_that_comes_much_too_late(events):
    """Where the reading begins, before any tick says that its feed was complete."""
    left = without_weather(events)
    old = next(event for event in left if event.topic == "weather")
    late = replace(old, key="late", value=old.value | {"visib": 0.1})
    start = NOW - timedelta(days=7, hours=3)
    place = next(n for n, event in enumerate(left) if event.available_at >= start) + 1
    return [*left[:place], late, *left[place:]]


def without_arrivals(events):
    return weeks(arrivals=(EARLY, LATER))[1]


def and_a_tick_of(at, value):
    return lambda events: [*events, Event(CLOCK, "odd", at, at, value)]


@pytest.mark.parametrize(
    "change",
    [
        without_weather,
        and_an_observation_that_comes_much_too_late,
        without_arrivals,
        and_a_tick_of(datetime(2099, 1, 1, tzinfo=UTC), {"complete": []}),
        and_a_tick_of(datetime(2099, 1, 1, tzinfo=UTC), {}),
        and_a_tick_of(NOW + timedelta(days=3), {}),
        and_a_tick_of(EARLY, {"complete": [*TOPICS]}),
    ],
)
def test_a_restart_knows_what_was_told_before_the_longest_window(models, tmp_path, change):
    timetable, events = weeks()
    events = change(events)
    assert_resumed(models, timetable, events, len(events), tmp_path / "log.db")


@pytest.mark.parametrize(
    "events", [[], [event for event in weeks()[1][:50] if event.topic != CLOCK]]
)
def test_a_restart_from_a_log_without_a_tick_waits_for_one(models, tmp_path, events):
    desk = Desk(weeks()[0], models)
    with Log(tmp_path / "log.db") as log:
        log.append(events)
        desk.resume(log)
        assert set(desk.ages().values()) == {math.inf}
        with pytest.raises(NotReady, match="no tick"):
            desk.now  # noqa: B018


@pytest.mark.slow
@pytest.mark.parametrize("kills", [4, pytest.param(45, marks=pytest.mark.weekly)])
def test_killed_often_it_loses_no_event_and_never_answers_from_half_a_state(
    packages, tmp_path, kills
):
    # An hour or more a life, of sixty ticks: it must not be done before the last kill.
    timetable, events = day(hours=max(5, kills))
    notes = tmp_path / "notes.txt"
    notes.touch()
    with Log(tmp_path / "log.db") as log:
        log.append(e for e in events if e.available_at <= datetime(2013, 4, 22, 12, tzinfo=UTC))
    dice = random.Random(1)
    for kill in range(kills):
        # So much work, however fast the machine is, and then a moment more.
        enough = notes.stat().st_size + 400 + dice.randrange(4000)
        process = processes.Process(target=work, args=(tmp_path, timetable, packages, events))
        process.start()
        while process.is_alive() and notes.stat().st_size < enough:
            time.sleep(0.001)
        time.sleep(dice.random() * 0.05)
        assert process.is_alive(), f"it was done after {kill} kills, or broke"
        process.kill()
        process.join()
    lines = [json.loads(line) for line in notes.read_text().splitlines()]
    with Log(tmp_path / "log.db") as log:
        stored = [event.key for event in log.read(0, 100_000)]
    acknowledged = [key for kind, keys in lines if kind == "appended" for key in keys]
    answered = [answer for kind, answer in lines if kind == "answered"]
    assert stored == [event.key for event in events][: len(stored)]
    assert set(acknowledged) <= set(stored) and len(acknowledged) > 10 * kills
    uninterrupted = answers(desk_of(timetable, *packages), events, timetable)
    assert len(answered) > 10 * kills
    assert [a for a in answered if a not in uninterrupted] == []
    assert {answer[3] for answer in answered} == {"fresh"}


def test_the_record_of_answers_holds_what_was_answered_and_the_features_it_came_from(
    models, tmp_path
):
    outage = (("arrivals", (f"{STORM} 13:30", f"{STORM} 17:30")),)
    timetable, events = day(outage, since="2013-04-14")
    record = deque()
    desk, said = Desk(timetable, models, record=record), []
    with Log(tmp_path / "answers.db") as log:
        assert answered(log).empty
        for event in events:
            desk.feed(event)
            if event.topic == CLOCK and event.available_at >= datetime(2013, 4, 22, 12, tzinfo=UTC):
                said += [desk.answer(flight) for flight in flights(timetable, desk.now)]
                if desk.now.minute % 5 == 0:
                    while keep_answers(log, record, limit=2):
                        pass
        found = answered(log)
    assert [*record] == [] and len(found) == len(said) > 500
    assert set(found.rung) == {"fresh", "last_known", "schedule"}
    for name in ("flight_id", "probability", "rung", "model"):
        assert found[name].tolist() == [getattr(answer, name) for answer in said]
    assert found.decided_at.tolist() == [answer.now for answer in said]
    ages = np.array([answer.age_minutes for answer in said], float)
    np.testing.assert_array_equal(found.age_minutes, ages)
    for rung, package in (("fresh", models.full), ("schedule", models.schedule)):
        own = found[found.rung == rung]
        assert np.array_equal(package.predict(own), own.probability)
    fresh = found[found.age_minutes == 0].drop_duplicates(["flight_id", "decided_at"])
    offline = batch(World(f"{STORM} 17:00"), fresh[["flight_id", "decided_at"]])
    pd.testing.assert_frame_equal(
        fresh[FEATURES].reset_index(drop=True),
        offline[FEATURES],
        check_dtype=False,
        check_exact=True,
    )
    assert (
        found[found.rung == "schedule"][[f for f in FEATURES if f not in SCHEDULE]]
        .isna()
        .all(axis=None)
    )


def test_replay_holds_back_what_an_outage_holds_back_and_loses_nothing():
    _, plain = day()
    _, broken = day((("weather", (f"{STORM} 13:00", f"{STORM} 15:00")),))
    keys = [{e.key for e in events if e.topic != CLOCK} for events in (plain, broken)]
    assert keys[0] == keys[1]
    place = {event.key: n for n, event in enumerate(broken)}
    assert place["weather/LGA/2013-04-22T13:51"] > place["clock/2013-04-22T14:59:00+00:00"]
