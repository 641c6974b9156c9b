"""The clock: nothing from the future, ever; and every moment where it belongs."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsys_lib import AvailabilityError, World, data, examples
from mlsys_lib.world import HOME, MEASURED, PUBLISHED

PAST = ("flights", "departures", "arrivals", "weather", "labels")
moments = st.datetimes(pd.Timestamp("2013-01-02"), pd.Timestamp("2014-01-01")) | st.datetimes(
    pd.Timestamp("2023-01-01"), pd.Timestamp("2024-01-01")
)
lags = st.sampled_from(["0min", "10min", "3h"])


@settings(max_examples=25, deadline=None)
@given(moments, lags)
def test_nothing_is_shown_before_it_is_available(moment, lag):
    world = World(moment, lag=lag)
    for method in PAST:
        table = getattr(world, method)(since=world.now - pd.Timedelta(days=3))
        assert not (table.available_at > world.now).any(), method
        assert not (table.event_time > world.now).any(), method
    assert not (world.schedule().available_at > world.now).any()


@settings(max_examples=15, deadline=None)
@given(moments, st.floats(0, 48))
def test_advancing_the_clock_only_adds_knowledge(moment, hours):
    world = World(moment)
    since = world.now - pd.Timedelta(days=2)
    before = {method: getattr(world, method)(since=since) for method in PAST}
    world.advance(hours=hours)
    for method, old in before.items():
        new = getattr(world, method)(since=since)
        if method in ("flights", "labels"):
            both = old.merge(new, on="flight_id", suffixes=("", "_later"))
            assert len(both) == len(old), method
        for column in {"flights": ["dep", "arr_delay", "tailnum"], "labels": ["late"]}.get(
            method, []
        ):
            known = both[column].notna()
            assert (both.loc[known, column] == both.loc[known, f"{column}_later"]).all(), column
        if method not in ("flights", "labels"):
            assert len(new) >= len(old)
            pd.testing.assert_frame_equal(old, new.head(len(old)))


def test_a_label_is_hidden_until_the_flight_has_landed_and_the_report_is_in():
    flight = "2013-05-01/UA450/LGA"
    known = World("2013-05-03").outcome(flight)["available_at"]
    just_before, then = World(known - pd.Timedelta(seconds=1)), World(known)
    status = [
        w.labels(since="2013-05-01").set_index("flight_id").status[flight]
        for w in (just_before, then)
    ]
    assert status == ["pending", "matured"]
    with pytest.raises(
        AvailabilityError, match="UA450/LGA is known at 2013-05-01 13:28 UTC; the clock stands at"
    ):
        just_before.outcome(flight)


def test_cancelled_and_diverted_flights_are_censored_and_never_matured():
    world = World("2014-01-10")
    labels, flights = world.labels(), world.flights()
    assert labels.status.value_counts().to_dict() == {"matured": 327346, "censored": 9430}
    assert (flights.status[labels.status == "censored"].isin(["cancelled", "diverted"])).all()
    assert flights.status.value_counts()["cancelled"] == 8255


def test_the_schedule_tells_only_what_an_airline_publishes():
    assert set(World("2013-07-01").schedule()) == {*PUBLISHED, "event_time", "available_at"}


def test_the_timetable_ends_where_it_has_not_been_published():
    with pytest.raises(AvailabilityError, match="30 days ahead; hours=721"):
        World("2013-07-01").schedule(hours=721)


def test_an_aircraft_is_known_when_it_has_left_and_no_sooner():
    flights = World("2013-07-01 16:00").flights(since="2013-07-01 04:00")
    assert flights.tailnum[flights.status == "scheduled"].isna().all()
    assert flights.tailnum[flights.status == "airborne"].notna().all()


def test_naive_moments_are_utc_and_aware_ones_are_converted():
    assert World("2013-07-01 16:00").now == World(pd.Timestamp("2013-07-01 12:00", tz=HOME)).now


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("yesterday-ish",), "no moment; write it as"),
        ((pd.NaT,), "no moment"),
        (("2012-12-31",), "before the data"),
        (("2013-05-01", "soon"), "no duration"),
        (("2013-05-01", "-1min"), "zero or more"),
    ],
)
def test_bad_moments_are_named_with_the_remedy(arguments, message):
    with pytest.raises(ValueError, match=message):
        World(*arguments)


def test_the_clock_never_goes_back():
    with pytest.raises(ValueError, match="only moves forward"):
        World("2013-05-01").advance(hours=-1)


# Every clock column rebuilt, held against what the publisher says elsewhere.


@pytest.mark.parametrize("year", data.YEARS)
def test_no_flight_taxis_for_a_negative_time(year):
    arrivals = World(f"{year + 1}-01-10").arrivals(since=f"{year}-01-01")
    departures = World(f"{year + 1}-01-10").departures(since=f"{year}-01-01")
    both = arrivals.merge(
        departures[["flight_id", "event_time"]], on="flight_id", suffixes=("", "_left")
    )
    taxi = (both.event_time - both.event_time_left).dt.total_seconds() / 60 - both.air_time
    assert len(both) == len(arrivals)
    assert taxi.min() == 5
    assert taxi.median() in (28, 30)


def test_scheduled_departure_agrees_with_the_publishers_utc_hour_in_2013():
    raw, world = data.load("flights", 2013), World("2014-01-10")
    flights = world.flights().set_index("flight_id")
    ids = _ids(raw)
    assert (
        flights.sched_dep.loc[ids].dt.floor("h").to_numpy()
        == raw.time_hour.dt.as_unit("us").to_numpy()
    ).all()


@pytest.mark.parametrize(("year", "departures", "arrivals"), [(2013, 0, 1), (2023, 1, 13)])
def test_moments_show_the_published_clocks_but_for_the_nights_in_which_clocks_change(
    year, departures, arrivals
):
    raw = data.load("flights", year)
    flights = (
        World(f"{year + 1}-01-10")
        .flights(since=f"{year}-01-01")
        .set_index("flight_id")
        .loc[_ids(raw)]
    )
    airports = data.load("airports", year)
    zones = dict(zip(airports.faa, airports.tzone, strict=True)) | dict.fromkeys(
        ["BQN", "PSE", "SJU", "STT"], "America/Puerto_Rico"
    )
    assert _differ(flights.dep, raw.dep_time, pd.Series(HOME, index=flights.index)) == departures
    assert _differ(flights.arr, raw.arr_time, flights.dest.map(zones)) == arrivals


def _ids(raw):
    day = zip(raw.year, raw.month, raw.day, raw.carrier, raw.flight, raw.origin, strict=True)
    return [f"{y}-{m:02}-{d:02}/{c}{n}/{o}" for y, m, d, c, n, o in day]


def _differ(moments, clock, zones):
    wrong = 0
    published = (clock // 100 * 60 + clock % 100).to_numpy("float64", na_value=np.nan) % 1440
    for zone in zones.unique():
        here = (zones == zone).to_numpy() & moments.notna().to_numpy()
        local = moments[here].dt.tz_convert(zone).dt
        wrong += int((local.hour * 60 + local.minute != published[here]).sum())
    return wrong


def test_an_observation_is_made_51_minutes_past_and_known_after_the_lag():
    weather = World("2013-04-22 10:00").weather()
    assert (weather.event_time.dt.minute == 51).all()
    assert weather.available_at.max() == pd.Timestamp("2013-04-22 09:01", tz="UTC")


# The point-in-time join.


@pytest.fixture(scope="module")
def rows():
    world = World("2013-05-08")
    return examples(world, world.decisions(since="2013-05-01"))


def test_examples_keep_the_order_and_number_of_decisions(rows):
    world = World("2013-05-08")
    shuffled = world.decisions(since="2013-05-01").sample(frac=1, random_state=0)
    again = examples(world, shuffled)
    assert again.flight_id.tolist() == shuffled.flight_id.tolist()
    pd.testing.assert_frame_equal(
        again.sort_values(["decided_at", "flight_id"], ignore_index=True),
        rows.sort_values(["decided_at", "flight_id"], ignore_index=True),
    )


def test_each_row_sees_the_latest_observation_reported_by_its_own_decision(rows):
    """Against the definition, row by row, for 200 random rows."""
    weather = World("2013-05-08").weather()
    for row in rows.sample(200, random_state=1).itertuples():
        seen = weather[
            (weather.origin == row.origin) & (weather.available_at <= row.decided_at)
        ].iloc[-1]
        assert row.observed_at == seen.event_time
        for column in MEASURED:
            ours, theirs = getattr(row, column), seen[column]
            assert ours == theirs or (np.isnan(ours) and np.isnan(theirs))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 40), st.sampled_from(["0min", "10min", "2h"]))
def test_an_as_of_row_never_sees_the_future(hours_before, lag):
    world = World("2013-03-12", lag=lag)
    decisions = world.decisions(since="2013-03-09", lead=f"{hours_before}h")
    joined = examples(world, decisions)
    assert (
        joined.observed_at.dropna() + world.lag <= joined.decided_at[joined.observed_at.notna()]
    ).all()


def test_a_decision_in_the_future_is_refused_by_name():
    world = World("2013-05-01")
    decisions = world.decisions(since="2013-04-30").tail(1)
    decisions["decided_at"] += pd.Timedelta(days=1)
    with pytest.raises(AvailabilityError, match=r"the decision on 2013-.* lies after the clock"):
        examples(world, decisions)


def test_a_decision_before_the_timetable_is_refused():
    world = World("2013-05-01")
    decisions = world.decisions(since="2013-04-30").tail(1)
    decisions["decided_at"] -= pd.Timedelta(days=31)
    with pytest.raises(AvailabilityError, match="before the timetable"):
        examples(world, decisions)


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        (pd.DataFrame({"flight_id": ["2013-05-01/UA450/LGA"]}), "lacks decided_at"),
        (pd.DataFrame({"flight_id": ["UA450"], "decided_at": ["2013-05-01"]}), "no flight 'UA450'"),
    ],
)
def test_bad_decisions_are_named(decisions, message):
    with pytest.raises(ValueError, match=message):
        examples(World("2013-05-02"), decisions)


def test_a_moment_of_any_unit_will_do():
    world = World("2013-04-22 16:00")
    decisions = world.decisions(since="2013-04-22 15:00")
    at_once = decisions.assign(decided_at=world.now.as_unit("s"))
    in_text = decisions.assign(decided_at="2013-04-22 16:00")
    assert examples(world, at_once).equals(examples(world, in_text))


def test_an_unknown_flight_is_named_with_an_example():
    with pytest.raises(KeyError, match="ids look like"):
        World("2013-05-02").outcome("UA450")


def test_hindsight_knows_everything_of_its_year_and_nothing_later():
    end = World("2013-05-02").hindsight()
    assert (end.labels().status != "pending").all()
    assert len(end.flights()) == 336776
    assert len(World("2023-05-02").hindsight().flights()) == 772128
