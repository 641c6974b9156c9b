"""The stream and the batch give the same values, whatever is reported; nonsense changes nothing."""

from datetime import UTC, datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsys_lib import AvailabilityError, World
from mlsys_lib.events import Event, Log, reports
from mlsys_lib.features import (
    CATEGORIES,
    FEATURES,
    MAX_DELAY,
    ROLLING,
    Rolling,
    published,
    rolling,
)
from mlsys_lib.store import history
from mlsys_lib.stream import Stream, Windows
from mlsys_lib.world import MEASURED


def differing(left, right):
    return {
        name: int((~((left[name] == right[name]) | (left[name].isna() & right[name].isna()))).sum())
        for name in FEATURES
    }


NONE = dict.fromkeys(FEATURES, 0)


def test_batch_and_stream_agree_exactly_on_two_weeks_with_a_storm_and_a_change_of_clocks():
    world = World("2013-03-18 04:00")
    rows = history(world, since="2013-03-04 05:00")
    assert rows.groupby("day").late.apply(lambda late: late.isna().mean()).max() > 0.15
    assert set(rows.sched_dep.dt.tz_convert("America/New_York").map(lambda t: t.utcoffset())) == {
        timedelta(hours=-5),
        timedelta(hours=-4),
    }
    # One longest window back, and as far as the oldest report in it may have been under way.
    told = reports(world, since="2013-02-24")
    found = Stream(published(world)).play(told, rows)
    assert len(found) == len(rows) > 12_000
    assert differing(rows, found) == NONE


@pytest.mark.weekly
@pytest.mark.parametrize("year", [2013, 2023])
def test_batch_and_stream_agree_exactly_on_every_decision_of_a_year(year):
    world = World(f"{year}-12-31").hindsight()
    rows = history(world)
    found = Stream(published(world)).play(reports(world), rows)
    assert len(found) == len(rows)
    assert differing(rows, found) == NONE


def test_the_stream_reads_from_the_log_what_it_would_have_been_told(tmp_path):
    world = World("2013-04-25")
    decisions = world.decisions(since="2013-04-24 12:00")
    told = list(reports(world, since="2013-04-22"))
    with Log(tmp_path / "desk.db") as log:
        log.append(told)
        read = Stream(published(world)).play(log.read(0, len(log)), decisions)
    pd.testing.assert_frame_equal(Stream(published(world)).play(told, decisions), read)


def test_the_windows_forget_what_none_of_them_needs():
    world = World("2013-04-25")
    windows = Windows()
    for event in reports(world, since="2013-04-01"):
        windows.add(event)
    needed = kinds = 0
    for topic, by, hours in {(f.topic, f.by, f.hours) for f in ROLLING}:
        table = getattr(world, topic)(since="2013-04-01")
        last = table.groupby(list(by)).available_at.transform("max")
        needed += int((table.available_at > last - pd.Timedelta(hours=hours)).sum())
        kinds += table.groupby(list(by)).ngroups
    assert windows.held() == (kinds, needed)


FLIGHT, NOON = "2013-04-22/DL1685/LGA", datetime(2013, 4, 22, 12, tzinfo=UTC)
ROUTE = {"carrier": "DL", "origin": "LGA", "dest": "MCO"}


def report(minute, delay=0, topic="departures", **other):
    at = NOON + timedelta(minutes=minute)
    value = {**ROUTE, "dep_delay": delay, "arr_delay": delay, **other}
    return Event(topic, f"{topic} at {minute}", at, at, value)


def weather(minute, origin="LGA", **seen):
    at = NOON + timedelta(minutes=minute)
    value = {"origin": origin, **dict.fromkeys(MEASURED), **seen}
    return Event("weather", f"weather at {minute}", at, at, value)


def stream():
    return Stream(World("2013-04-22 12:00").schedule(hours=8))


def test_the_stream_refuses_reports_out_of_order_and_says_what_to_do():
    desk = stream()
    desk.feed(report(5))
    with pytest.raises(
        ValueError,
        match=r"departures at 3 is of 2013-04-22 12:03Z, .* 12:05Z; go in the order of time",
    ):
        desk.feed(report(3))
    desk.features(FLIGHT, NOON + timedelta(minutes=10))
    with pytest.raises(ValueError, match="all of a moment before you ask"):
        desk.feed(report(10))
    with pytest.raises(ValueError, match="all of a moment before you ask"):
        desk.feed(weather(10))


def test_the_stream_refuses_to_show_a_decision_its_future():
    desk = stream()
    desk.feed(weather(5))
    with pytest.raises(
        AvailabilityError,
        match=r"12:00Z is over: .* weather stands at .* 12:05Z; go in the order of time",
    ):
        desk.features(FLIGHT, NOON)
    assert desk.features(FLIGHT, "2013-04-22 12:05")["origin_left_count_1h"] == 0
    with pytest.raises(AvailabilityError, match=r"12:00Z is over: .* stands at 2013-04-22 12:05Z"):
        desk.features(FLIGHT, NOON)


def test_each_topic_can_be_asked_as_of_its_own_moment():
    windows = Windows()
    for event in (report(0), report(50), report(0, topic="arrivals"), weather(20, temp=60.0)):
        windows.add(event)
    at = {
        "departures": NOON + timedelta(minutes=60),
        "arrivals": NOON + timedelta(minutes=120),
        "weather": NOON + timedelta(minutes=30),
    }
    row = windows.row({**ROUTE, "mine": 1}, at)
    assert (row["mine"], row["temp"]) == (1, 60.0)
    assert row["origin_left_count_1h"] == 1  # the one at noon has left the window
    assert row["origin_landed_count_2h"] == 0
    windows.add(report(70))  # later than its own topic, earlier than that of another
    with pytest.raises(ValueError, match="arrivals stands at 2013-04-22 14:00"):
        windows.add(report(110, topic="arrivals"))
    with pytest.raises(AvailabilityError, match="departures stands at 2013-04-22 13:10"):
        windows.row(ROUTE, at)


REFUSED = [
    report(9, delay=None),
    report(9, delay=float("nan")),
    report(9, delay=float("inf")),
    report(9, delay="12"),
    report(9, delay=[12]),
    report(9, delay=1e9),
    report(9, origin=["LGA"]),
    report(9, topic="arrivals", dest={}),
    report(9, topic="gossip"),
    weather(9, temp="mild"),
    weather(9, origin=["LGA"]),
    Event("departures", "k", NOON, NOON, {}),
    Event("departures", "k", NOON, NOON, {"origin": "LGA", "dep_delay": 3}),
    Event("weather", "k", NOON, NOON, {"origin": "LGA"}),
    Event("weather", "k", NOON, NOON, None),
    Event("departures", "k", NOON, datetime(2013, 4, 22, 12), {**ROUTE, "dep_delay": 3}),
]


@pytest.mark.parametrize("event", REFUSED, ids=lambda event: f"{event.topic} {event.value}")
def test_a_report_that_it_cannot_understand_is_refused_and_changes_nothing(event):
    windows = Windows()
    windows.add(report(5, delay=20))
    windows.add(weather(5, temp=50.0))
    held = windows.held()
    with pytest.raises(ValueError, match=f"{event.key} is no report to be understood"):
        windows.add(event)
    assert windows.held() == held
    windows.add(report(6, delay=0))  # time did not move either
    windows.add(weather(6, temp=51.0))
    row = windows.row(ROUTE, NOON + timedelta(minutes=9))
    assert (row["origin_left_count_1h"], row["origin_left_late_1h"], row["temp"]) == (2, 0.5, 51.0)


def test_a_flight_that_is_not_in_the_timetable_is_named():
    with pytest.raises(ValueError, match="no flight '2013-04-22/XX1/LGA'"):
        stream().features("2013-04-22/XX1/LGA", NOON)
    with pytest.raises(ValueError, match="decided_at='noon' is no moment"):
        stream().features(FLIGHT, "noon")
    with pytest.raises(ValueError, match=r"lacks \['decided_at'\]; World.decisions"):
        stream().play([], pd.DataFrame({"flight_id": [FLIGHT]}))


def test_what_was_not_measured_is_missing():
    windows = Windows()
    assert np.isnan([windows.row(ROUTE, NOON)[name] for name in MEASURED]).all()
    windows.add(weather(1, visib=10.0))
    windows.add(weather(2, origin="JFK", visib=3.0))
    row = windows.row(ROUTE, NOON + timedelta(minutes=3))
    assert row["visib"] == 10.0
    assert np.isnan([row[name] for name in MEASURED if name != "visib"]).all()


def test_without_decisions_or_reports_there_is_a_table_all_the_same():
    world = World("2013-04-22 12:00")
    none = stream().play(reports(world, since="2013-04-22 10:00"), world.decisions().iloc[:0])
    assert list(none.columns) == ["flight_id", "decided_at", *FEATURES] and none.empty
    asked = pd.DataFrame({"flight_id": FLIGHT, "decided_at": [NOON]})
    [row] = stream().play([], asked).to_dict("records")
    assert row["origin_left_count_1h"] == 0
    assert np.isnan(row["origin_left_late_1h"])


WANTED = [
    Rolling(f"{figure} {'-'.join(by)} {hours}", "arrivals", by, hours, figure=figure)
    for figure in ("late rate", "mean delay", "count")
    for by, hours in ((("origin",), 1), (("origin",), 2), (("origin", "dest"), 1))
]
MADE = [feature.name for feature in WANTED]
ENGINE = ibis.duckdb.connect()
TEXT, WHEN = dict.fromkeys(CATEGORIES, "string"), "timestamp('UTC')"
SCHEMAS = {
    "departures": {**TEXT, "available_at": WHEN, "dep_delay": "float64"},
    "arrivals": {**TEXT, "available_at": WHEN, "arr_delay": "float64"},
    "decisions": {**TEXT, "decided_at": WHEN, "row": "int64"},
}
TABLES = {name: ENGINE.create_table(name, schema=schema) for name, schema in SCHEMAS.items()}
BATCH = rolling(*TABLES.values(), features=WANTED)


def by_batch(told, asked):
    rows = {
        "arrivals": [{**event.value, "available_at": event.available_at} for event in told],
        "decisions": [{**ROUTE, "decided_at": at, "row": n} for n, at in enumerate(asked)],
    }
    for name, values in rows.items():
        schema = SCHEMAS[name]
        ENGINE.truncate_table(name)
        ENGINE.insert(name, ibis.memtable(pd.DataFrame(values, columns=[*schema]), schema=schema))
    return BATCH.to_pandas().sort_values("row")[MADE].to_numpy(float)


def by_stream(told, asked):
    desk, found = Windows(features=WANTED), {}
    coming = sorted(told, key=lambda event: event.available_at)
    for at in sorted(asked):
        while coming and coming[0].available_at <= at:
            event = coming.pop(0)
            delay = event.value["arr_delay"]
            if delay is not None and abs(delay) <= MAX_DELAY:
                desk.add(event)
            else:
                with pytest.raises(ValueError, match="is no report to be understood"):
                    desk.add(event)
        row = desk.row(ROUTE, at)
        found[at] = [row[name] for name in MADE]
    return np.array([found[at] for at in asked], float)


DELAYS = st.one_of(
    st.floats(-100, 2000),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([14.999999999999998, 15.0, 14.6, 14.5, -0.0, 2**-9 * 3, None, 366 * 24 * 60]),
    st.integers(-20, 60),
)
TOLD = st.builds(
    report,
    st.sampled_from([*range(0, 181, 20), 59, 61, 119, 121]),
    DELAYS,
    topic=st.just("arrivals"),
    origin=st.sampled_from(["LGA", "LGA", "JFK"]),
    dest=st.sampled_from(["MCO", "ATL"]),
)


@settings(max_examples=30)
@given(
    st.lists(TOLD, max_size=25),
    st.lists(st.sampled_from([0, 20, 60, 61, 120, 180, 240]), min_size=1, max_size=5),
)
def test_whatever_delays_are_reported_batch_and_stream_give_the_same(told, minutes):
    asked = [NOON + timedelta(minutes=minute) for minute in minutes]
    np.testing.assert_array_equal(by_batch(told, asked), by_stream(told, asked))


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.floats(-20, 60), st.sampled_from(["LGA", "JFK"])),
        max_size=40,
    ),
    st.lists(st.integers(0, 300), min_size=1, max_size=8),
)
def test_whatever_is_reported_a_window_holds_exactly_its_hours(sent, asked):
    desk = stream()
    events = sorted(
        (report(minute, delay, origin=origin) for minute, delay, origin in sent),
        key=lambda e: e.available_at,
    )
    decisions = pd.DataFrame(
        {"flight_id": FLIGHT, "decided_at": [NOON + timedelta(minutes=m) for m in asked]}
    )
    rows = desk.play(events, decisions)
    for minute, late, mean, count in zip(
        asked,
        rows.origin_left_late_1h,
        rows.origin_left_delay_3h,
        rows.origin_left_count_1h,
        strict=True,
    ):
        seen = [delay for m, delay, origin in sent if origin == "LGA" and minute - 60 < m <= minute]
        assert count == len(seen)
        np.testing.assert_equal(late, np.mean([d >= 15 for d in seen]) if seen else np.nan)
        three = [
            delay for m, delay, origin in sent if origin == "LGA" and minute - 180 < m <= minute
        ]
        np.testing.assert_allclose(mean, np.mean(three) if three else np.nan, atol=1e-7)


def test_fractions_of_a_minute_and_missing_delays_count_the_same_on_both_sides():
    for delays in ([14.6, 14.5, 20.0], [None, 20.0]):
        told = [report(n, delay, topic="arrivals") for n, delay in enumerate(delays)]
        one, other = (way(told, [NOON + timedelta(minutes=50)])[0] for way in (by_batch, by_stream))
        np.testing.assert_array_equal(one, other)
        given_ = [delay for delay in delays if delay is not None]
        row = dict(zip(MADE, one, strict=True))
        assert row["count origin 1"] == len(given_)
        assert row["late rate origin 1"] == np.mean([delay >= 15 for delay in given_])
        assert round(row["mean delay origin 1"], 6) == round(np.mean(given_), 6)
