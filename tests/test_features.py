"""The features: batch and stream give the same values, and neither sees what was not yet reported."""

from datetime import UTC, datetime, timedelta
from functools import cache

import ibis
import numpy as np
import pandas as pd
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier

from mlsys_lib import AvailabilityError, World, examples
from mlsys_lib.events import Event, Log, reports
from mlsys_lib.features import (
    CATEGORIES,
    FEATURES,
    LATE,
    ROLLING,
    UNITS,
    Rolling,
    _totals,
    batch,
    published,
    rolling,
    schedule,
)
from mlsys_lib.metrics import auc, day_block
from mlsys_lib.stream import Stream
from mlsys_lib.world import HOME, MEASURED


@cache
def year():
    """Every decision of 2013 with its features, by the batch."""
    world = World("2013-12-31").hindsight()
    decisions = world.decisions()
    return world, decisions, batch(world, decisions)


@cache
def april():
    """Four days of decisions, small enough for the plainest possible reckoning."""
    world = World("2013-04-25")
    return (
        world,
        world.decisions(since="2013-04-21"),
        batch(world, world.decisions(since="2013-04-21")),
    )


def differing(left, right):
    return int((~((left == right) | (left.isna() & right.isna()))).sum())


def test_batch_and_stream_agree_exactly_on_every_decision_of_2013():
    world, decisions, by_batch = year()
    by_stream = Stream(published(world)).play(reports(world), decisions)
    assert len(by_stream) == len(by_batch) == 336_776
    assert {name: differing(by_batch[name], by_stream[name]) for name in FEATURES} == dict.fromkeys(
        FEATURES, 0
    )


def test_the_honest_model_reaches_the_auc_that_this_data_allows():
    _, _, rows = year()
    rows = rows[rows.label_status == "matured"]
    table = rows[FEATURES].assign(
        **{name: rows[name].astype("category").cat.codes for name in CATEGORIES}
    )
    days = rows.sched_dep.dt.tz_convert(HOME).dt.strftime("%Y-%m-%d")
    train = (days < "2013-05-01").to_numpy()
    assert (train.sum(), (~train).sum()) == (105_475, 221_871)
    model = HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.08, max_leaf_nodes=15, min_samples_leaf=200, random_state=0
    )
    model.fit(table[train], rows.late[train])
    reached = day_block(
        auc, days[~train], rows.late[~train], model.predict_proba(table[~train])[:, 1], resamples=50
    )
    assert 0.735 <= reached.value <= 0.761
    assert reached.low > 0.72


def test_each_row_is_that_of_examples_and_its_order_is_kept():
    world, decisions, rows = april()
    shuffled = decisions.sample(frac=1, random_state=0)
    again = batch(world, shuffled)
    assert again.flight_id.tolist() == shuffled.flight_id.tolist()
    pd.testing.assert_frame_equal(
        again[examples(world, shuffled).columns], examples(world, shuffled)
    )
    back = again.set_index("flight_id").loc[rows.flight_id].reset_index()
    pd.testing.assert_frame_equal(back[rows.columns], rows)


@pytest.mark.parametrize("feature", ROLLING, ids=lambda feature: feature.name)
def test_a_window_counts_the_reports_of_its_key_that_reached_the_desk_in_its_hours(feature):
    world, _, rows = april()
    table = getattr(world, feature.topic)()
    delay = table[{"departures": "dep_delay", "arrivals": "arr_delay"}[feature.topic]]
    for row in rows.iloc[::97].itertuples():
        since = row.decided_at - pd.Timedelta(hours=feature.hours)
        seen = (table.available_at > since) & (table.available_at <= row.decided_at)
        for name in feature.by:
            seen &= table[name] == getattr(row, name)
        expected = {
            "count": seen.sum(),
            "late rate": (delay[seen] >= 15).mean(),
            "mean delay": delay[seen].mean(),
        }[feature.figure]
        np.testing.assert_equal(getattr(row, feature.name), expected)


def test_a_feature_does_not_change_when_the_future_does():
    _, decisions, rows = april()
    noon = pd.Timestamp("2013-04-22 16:00", tz="UTC")
    early = decisions[decisions.decided_at <= noon]
    known_then = batch(World(noon), early)
    known_later = rows[rows.decided_at <= noon].reset_index(drop=True)
    pd.testing.assert_frame_equal(known_then[FEATURES], known_later[FEATURES])


def test_a_report_counts_from_its_own_moment_and_leaves_a_whole_window_later():
    world = World("2013-04-25", lag="0min")
    report = world.departures(since="2013-04-22 16:00").query("origin == 'LGA'").iloc[0]
    feature = Rolling("n", "departures", ("origin", "dest"), 1, figure="count")
    second = pd.Timedelta(seconds=1)
    moments = [
        report.available_at + wait for wait in (-second, 0 * second, pd.Timedelta("1h") - second)
    ]
    moments.append(report.available_at + pd.Timedelta("1h"))
    asked = pd.DataFrame({"flight_id": report.flight_id, "decided_at": moments})
    counts = batch(world, asked, features=[feature]).n.to_numpy()
    reported = world.departures().query(f"origin == 'LGA' and dest == '{report.dest}'").available_at
    expected = [((reported > at - pd.Timedelta("1h")) & (reported <= at)).sum() for at in moments]
    assert counts.tolist() == expected
    assert counts[1] == counts[0] + 1


def test_the_schedule_features_are_what_the_timetable_says():
    table = schedule(World("2013-04-22 10:00").schedule(hours=24))
    flight = (
        table.loc["2013-04-22/UA1545/EWR"]
        if "2013-04-22/UA1545/EWR" in table.index
        else table.iloc[0]
    )
    assert flight.day_of_week == 0
    assert table.dep_minute.between(5 * 60, 24 * 60 - 1).mean() > 0.99
    assert (table.block_minutes > 20).all()
    hour = table.assign(hour=table.dep_minute // 60)
    assert (hour.groupby(["origin", "hour"]).hour_flights.nunique() <= 2).all()


def test_no_reports_give_a_missing_rate_and_a_count_of_zero():
    world = World("2013-01-01 12:00")
    rows = batch(world, world.decisions())
    first = rows.iloc[0]
    assert (first.origin_left_count_1h, first.origin_landed_count_2h) == (0, 0)
    assert np.isnan(first.origin_left_late_1h)
    assert np.isnan(first.origin_left_delay_3h)


def test_a_subset_of_the_features_and_no_decisions_are_answered_too():
    world, decisions, rows = april()
    one = batch(world, decisions, features=ROLLING[3:4])
    assert one[ROLLING[3].name].equals(rows[ROLLING[3].name])
    assert ROLLING[0].name not in one
    none = batch(world, decisions.iloc[:0])
    assert list(none.columns) == list(rows.columns)
    assert len(none) == 0


def test_decisions_of_the_future_are_refused():
    world = World("2013-04-22 16:00")
    ahead = pd.DataFrame(
        {"flight_id": ["2013-04-22/DL1685/LGA"], "decided_at": [pd.Timestamp("2013-04-22 16:30")]}
    )
    with pytest.raises(AvailabilityError, match="lies after the clock"):
        batch(world, ahead)


def test_the_expression_uses_only_what_every_sql_engine_with_windows_has():
    flight = dict.fromkeys(CATEGORIES, "string")
    tables = [
        ibis.table(flight | columns, name=name)
        for name, columns in {
            "departures": {"available_at": "timestamp", "dep_delay": "float64"},
            "arrivals": {"available_at": "timestamp", "arr_delay": "float64"},
            "decisions": {"decided_at": "timestamp", "row": "int64"},
        }.items()
    ]
    tree = sqlglot.parse_one(str(ibis.to_sql(rolling(*tables), dialect="duckdb")), dialect="duckdb")
    functions = {type(node).__name__ for node in tree.find_all(sqlglot.exp.Func)}
    assert functions <= {"Sum", "Cast", "Nullif", "And", "Interval", "Anonymous"}, functions
    assert {join.args.get("kind") for join in tree.find_all(sqlglot.exp.Join)} == {"INNER"}
    assert tree.find(sqlglot.exp.Union)
    assert tree.find(sqlglot.exp.Window)


def test_the_stream_reads_from_the_log_what_it_would_have_been_told(tmp_path):
    world, _, _ = april()
    decisions = world.decisions(since="2013-04-24")
    with Log(tmp_path / "desk.db") as log:
        log.append(reports(world, since="2013-04-16"))
        told = Stream(published(world)).play(reports(world, since="2013-04-16"), decisions)
        read = Stream(published(world)).play(log.read(0, 1_000_000), decisions)
    pd.testing.assert_frame_equal(told, read)


def test_the_stream_forgets_what_no_window_needs():
    world, _, _ = april()
    stream = Stream(published(world))
    for event in reports(world, since="2013-04-01"):
        stream.feed(event)
    held = [w for windows in stream._windows.values() for w in windows.values()]
    for window in held:
        assert window.reports[-1][0] - window.reports[0][0] < window.span
        assert window.count == len(window.reports)


def report(minute, delay=0, topic="departures", origin="LGA"):
    at = datetime(2013, 4, 22, 12, tzinfo=UTC) + timedelta(minutes=minute)
    value = {
        "carrier": "DL",
        "origin": origin,
        "dest": "MCO",
        "dep_delay": delay,
        "arr_delay": delay,
    }
    return Event(topic, f"{topic} at {minute}", at, at, value)


def stream():
    return Stream(World("2013-04-22 12:00").schedule(hours=8))


FLIGHT, NOON = "2013-04-22/DL1685/LGA", datetime(2013, 4, 22, 12, tzinfo=UTC)


def test_the_stream_refuses_reports_out_of_order_and_says_what_to_do():
    desk = stream()
    desk.feed(report(5))
    with pytest.raises(
        ValueError,
        match=r"departures at 3 was available at 2013-04-22 12:03 UTC, .* 12:05 UTC; feed",
    ):
        desk.feed(report(3))
    desk.features(FLIGHT, NOON + timedelta(minutes=10))
    with pytest.raises(ValueError, match="all of a moment before you ask"):
        desk.feed(report(10))


def test_the_stream_refuses_to_show_a_decision_its_future():
    desk = stream()
    desk.feed(report(5))
    with pytest.raises(AvailabilityError, match="its future; ask in the order of time"):
        desk.features(FLIGHT, NOON)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"carrier": "DL", "origin": "LGA", "dest": "MCO", "dep_delay": None},
        {"origin": "LGA", "dep_delay": 3},
    ],
)
def test_a_report_that_it_cannot_understand_is_refused_and_changes_nothing(value):
    desk = stream()
    with pytest.raises(ValueError, match="k is no report that the features understand"):
        desk.feed(Event("departures", "k", NOON, NOON, value))
    with pytest.raises(ValueError, match="k is no report"):
        desk.feed(Event("gossip", "k", NOON, NOON, {}))
    assert desk.features(FLIGHT, NOON)["origin_left_count_1h"] == 0


def test_a_flight_that_is_not_in_the_timetable_is_named():
    with pytest.raises(ValueError, match="no flight '2013-04-22/XX1/LGA'"):
        stream().features("2013-04-22/XX1/LGA", NOON)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.integers(-20, 60), st.sampled_from(["LGA", "JFK"])),
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
    for minute, late, count in zip(
        asked, rows.origin_left_late_1h, rows.origin_left_count_1h, strict=True
    ):
        seen = [delay for m, delay, origin in sent if origin == "LGA" and minute - 60 < m <= minute]
        assert count == len(seen)
        np.testing.assert_equal(late, np.mean([d >= LATE for d in seen]) if seen else np.nan)


def test_what_was_not_measured_is_missing():
    world, _, rows = april()
    assert set(MEASURED) < set(FEATURES)
    read = Stream(published(world)).play(
        reports(world, since="2013-04-20"), world.decisions(since="2013-04-24")
    )
    gust = rows.set_index("flight_id").wind_gust.loc[read.flight_id].to_numpy()
    np.testing.assert_array_equal(read.wind_gust.to_numpy(), gust)
    assert 0 < np.isnan(gust).mean() < 1


def test_every_feature_has_a_unit():
    assert list(UNITS) == FEATURES


def test_a_nightly_run_gives_each_flight_what_asking_for_it_alone_gives():
    world = World("2013-02-15")
    decisions = world.decisions(since="2013-01-09")
    nightly = decisions.assign(decided_at=decisions.decided_at.dt.floor("D"))
    rows = batch(world, nightly)
    one = nightly[nightly.decided_at == "2013-02-01"].head(5)
    again = batch(world, one)
    found = rows.set_index("flight_id").loc[again.flight_id].reset_index()
    pd.testing.assert_frame_equal(found[again.columns], again)


def test_only_the_moments_asked_for_enter_the_joins():
    """Some engines join the totals with themselves by key alone: few rows must be left by then."""
    minutes = pd.date_range("2013-04-22 10:00", periods=60, freq="min", tz="UTC")
    arrivals = ibis.memtable({"origin": ["LGA"] * 60, "available_at": minutes, "arr_delay": 20.0})
    asked = ibis.memtable({"origin": ["LGA"], "at": minutes[[29]]})
    totals = _totals(arrivals, "arr_delay", [asked], ("origin",)).to_pandas()
    assert totals[["origin", "count", "late", "delay"]].to_numpy().tolist() == [
        ["LGA", 30, 30, 600]
    ]
