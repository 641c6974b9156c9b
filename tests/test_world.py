"""The clock: nothing from the future, ever; and every moment where it belongs."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlsys_lib import AvailabilityError, World, data, examples
from mlsys_lib.world import (
    AFTERMATH_DAYS,
    HOME,
    LATE,
    MEASURED,
    PUBLISHED,
    TIMETABLE_DAYS,
    local_day,
    midnight,
)

PAST = ("flights", "departures", "arrivals", "weather", "labels")
SINCE = (*PAST, "decisions")
TICK = pd.Timedelta("1us")
moments = st.datetimes(pd.Timestamp("2013-01-02"), pd.Timestamp("2014-01-01")) | st.datetimes(
    pd.Timestamp("2023-01-01"), pd.Timestamp("2024-01-01")
)
lags = st.sampled_from(["0min", "10min", "3h"])


def utc(written):
    return pd.Timestamp(written, tz="UTC")


def shown(world, method, **options):
    return getattr(world, method)(**options)


# Nothing from the future.


def nothing_is_shown_before_it_is_available(moment, lag):
    world = World(moment, lag=lag)
    for method in PAST:
        table = shown(world, method, since=world.now - pd.Timedelta(days=3))
        assert not (table.available_at > world.now).any(), method
        assert not (table.event_time > world.now).any(), method
    assert not (world.schedule().available_at > world.now).any()


def advancing_only_adds_knowledge(moment, hours):
    world = World(moment)
    since = world.now - pd.Timedelta(days=2)
    before = {method: shown(world, method, since=since) for method in PAST}
    world.advance(hours=hours)
    for method, old in before.items():
        new = shown(world, method, since=since)
        if method not in ("flights", "labels"):
            pd.testing.assert_frame_equal(old, new.head(len(old)))
            continue
        both = old.merge(new, on="flight_id", suffixes=("", "_later"))
        assert len(both) == len(old), method
        columns = {"flights": ["dep", "arr_delay", "tailnum"], "labels": ["late"]}[method]
        for column in columns:
            known = both[column].notna()
            assert (both.loc[known, column] == both.loc[known, f"{column}_later"]).all(), column


@settings(max_examples=6)
@given(moments, lags)
def test_nothing_is_shown_before_it_is_available(moment, lag):
    nothing_is_shown_before_it_is_available(moment, lag)


@settings(max_examples=6)
@given(moments, st.floats(0, 48))
def test_advancing_the_clock_only_adds_knowledge(moment, hours):
    advancing_only_adds_knowledge(moment, hours)


@pytest.mark.weekly
@settings(max_examples=150)
@given(moments, lags, st.floats(0, 48))
def test_at_any_moment_of_both_years_nothing_is_early_and_nothing_is_lost(moment, lag, hours):
    nothing_is_shown_before_it_is_available(moment, lag)
    advancing_only_adds_knowledge(moment, hours)


@settings(max_examples=10)
@given(
    st.datetimes(pd.Timestamp("2013-02-06"), pd.Timestamp("2013-02-11")), lags, st.integers(0, 90)
)
@example(pd.Timestamp("2013-02-09 12:00"), "10min", LATE)
def test_each_flight_is_shown_as_the_reports_of_its_events_say(moment, lag, late):
    """Against the definition: what hindsight knows, cut at each event's own moment."""
    world, since = World(moment, lag=lag), "2013-02-05"
    truth = world.hindsight().flights(since=since)
    truth = truth[truth.event_time <= world.now].reset_index(drop=True)
    end = truth.available_at - world.lag
    left, over = truth.dep + world.lag <= world.now, end + world.lag <= world.now
    flights, labels = world.flights(since=since), world.labels(since=since, late=late)
    for known, columns in (
        (left, ("dep", "dep_delay", "tailnum")),
        (over, ("arr", "arr_delay", "air_time")),
    ):
        for column in columns:
            assert flights[column].equals(truth[column].where(known)), column
    status = truth.status.where(over, left.map({True: "airborne", False: "scheduled"}))
    assert flights.status.to_list() == status.to_list()
    assert (flights.event_time == flights.sched_dep).all()
    timetable = truth.sched_dep - pd.Timedelta(days=TIMETABLE_DAYS)
    expected = (end + world.lag).where(over, (truth.dep + world.lag).where(left, timetable))
    assert (flights.available_at == expected).all()

    assert labels.flight_id.to_list() == truth.flight_id.to_list()
    kinds = {"landed": "matured", "cancelled": "censored", "diverted": "censored"}
    assert labels.status.to_list() == status.map(kinds).fillna("pending").to_list()
    is_late = (truth.arr_delay >= late).astype(float).where(over & (truth.status == "landed"))
    assert labels.late.equals(is_late)
    assert (labels.event_time[over] == end[over]).all()
    assert (labels.available_at[over] == end[over] + world.lag).all()
    assert labels.loc[~over, ["event_time", "available_at"]].isna().all(axis=None)


def test_the_lag_is_ten_minutes_and_a_flight_is_late_from_the_fifteenth_minute_on():
    assert World("2013-02-06").lag == pd.Timedelta("10min")
    assert World("2013-02-06", lag="3h").lag == pd.Timedelta("3h")
    world = World("2013-02-10")
    labels, flights = world.labels(since="2013-02-01"), world.flights(since="2013-02-01")
    assert set(flights.arr_delay[labels.late == 1].astype(int)) >= {15, 16}
    assert flights.arr_delay[labels.late == 1].min() == LATE == 15
    assert flights.arr_delay[labels.late == 0].max() == 14


def test_a_label_is_hidden_until_the_flight_has_landed_and_the_report_is_in():
    flight = "2013-05-01/UA450/LGA"
    flights = World("2013-05-03").flights(since="2013-05-01").set_index("flight_id")
    known = flights.available_at[flight]
    just_before, then = World(known - TICK), World(known)
    status = [
        w.labels(since="2013-05-01").set_index("flight_id").status[flight]
        for w in (just_before, then)
    ]
    assert status == ["pending", "matured"]
    assert f"{known:%Y-%m-%d %H:%M}" == "2013-05-01 13:28"


def test_cancelled_and_diverted_flights_are_censored_and_never_matured():
    world = World("2014-01-10")
    labels, flights = world.labels(), world.flights()
    assert labels.status.value_counts().to_dict() == {"matured": 327346, "censored": 9430}
    assert (flights.status[labels.status == "censored"].isin(["cancelled", "diverted"])).all()
    assert flights.status.value_counts()["cancelled"] == 8255


def test_a_cancellation_is_known_at_scheduled_departure_and_a_diversion_at_scheduled_arrival():
    flights = World("2013-03-10", lag="0min").flights()
    lost = flights[flights.status == "cancelled"]
    assert (lost.available_at == lost.sched_dep).all()
    diverted = flights[flights.status == "diverted"]
    assert (diverted.available_at == diverted[["sched_arr", "dep"]].max(axis=1)).all()
    assert len(diverted) > 100


def test_an_aircraft_is_known_when_it_has_left_and_no_sooner():
    flights = World("2013-07-01 16:00").flights(since="2013-07-01 04:00")
    assert flights.tailnum[flights.status == "scheduled"].isna().all()
    assert flights.tailnum[flights.status == "airborne"].notna().all()


# The timetable.


def test_the_schedule_tells_only_what_an_airline_publishes():
    assert list(World("2013-07-01").schedule()) == [*PUBLISHED, "event_time", "available_at"]


def test_the_schedule_begins_at_the_clock_and_ends_before_its_hours_are_over():
    world = World("2013-07-01 12:00")
    table = world.schedule(hours=48)
    assert len(world.schedule()) == len(world.schedule(hours=24)) < len(table)
    first, last = table.sched_dep.min(), table.sched_dep.max()
    assert first == world.now
    assert World(first + TICK).schedule(hours=1).sched_dep.min() > first
    hours = (last - world.now) / pd.Timedelta("1h")
    assert world.schedule(hours=hours).sched_dep.max() < last
    assert world.schedule(hours=0).empty
    assert (table.event_time == table.sched_dep).all()
    assert (table.available_at == table.sched_dep - pd.Timedelta(days=TIMETABLE_DAYS)).all()
    flown = World("2013-07-05").flights(since="2013-07-01 12:00")
    both = table.merge(flown, on=PUBLISHED)
    assert len(both) == len(table)


def test_the_timetable_ends_where_it_has_not_been_published():
    assert World("2013-07-01").schedule(hours=720).sched_dep.max() > utc("2013-07-30")
    for hours in (721, 720.01, 1e12, np.inf):
        with pytest.raises(AvailabilityError, match=r"hours=.* exceeds the timetable's 30 days"):
            World("2013-07-01").schedule(hours=hours)


@pytest.mark.parametrize("hours", [-1, -0.01, np.nan, "24", "1h", None, True, pd.Timedelta("1h")])
def test_the_hours_of_a_schedule_are_a_number_of_zero_or_more(hours):
    with pytest.raises(ValueError, match=r"hours=.* must lie at 0 or above"):
        World("2013-07-01").schedule(hours=hours)


# Reports.


def test_reports_come_in_the_order_in_which_things_happened_and_after_the_lag():
    world, later = World("2013-07-01 16:00", lag="3h"), World("2013-07-03")
    for method in ("departures", "arrivals", "weather"):
        table = shown(world, method, since="2013-06-30")
        assert table.event_time.is_monotonic_increasing
        assert (table.available_at == table.event_time + world.lag).all()
        truth = shown(later, method, since="2013-06-30")
        assert len(table) == (truth.event_time + world.lag <= world.now).sum() > 0
    flights = later.flights(since="2013-06-29").set_index("flight_id")
    for method, event in (("departures", "dep"), ("arrivals", "arr")):
        table = shown(later, method, since="2013-07-01")
        own = flights.loc[table.flight_id]
        assert (own[event].to_numpy() == table.event_time.to_numpy()).all()
        for column in {*table.columns} - {"flight_id", "event_time", "available_at"}:
            assert table[column].equals(own[column].reset_index(drop=True)), column
        assert len(table) == flights[event].between("2013-07-01", later.now - later.lag).sum()


def test_the_columns_of_a_report_are_those_that_are_known_with_it():
    world = World("2013-04-22 10:15")
    stamps = ["event_time", "available_at"]
    assert list(world.departures()) == [*PUBLISHED, "tailnum", "dep_delay", *stamps]
    assert list(world.arrivals()) == [
        *(*PUBLISHED, "tailnum", "dep_delay", "arr_delay", "air_time"),
        *stamps,
    ]
    assert list(world.weather()) == ["origin", *MEASURED, *stamps]


@pytest.mark.parametrize("method", SINCE)
def test_since_is_the_first_moment_that_is_shown(method):
    world = World("2013-05-02", lag="0min")
    table = shown(world, method, since="2013-05-01")
    # An observation counts from its own moment, a flight from its scheduled departure.
    times = table.decided_at + pd.Timedelta("2h") if method == "decisions" else table.event_time
    if method == "labels":
        times = world.flights(since="2013-05-01").event_time
    one = times.sort_values().iloc[len(times) // 2]
    from_it, after_it = (len(shown(world, method, since=since)) for since in (one, one + TICK))
    assert from_it == (times >= one).sum()
    assert after_it == (times > one).sum() < from_it
    assert len(shown(world, method, since=None)) > len(table)
    assert shown(world, method, since="2013-05-03").empty


@pytest.mark.parametrize("method", SINCE)
@pytest.mark.parametrize("since", ["yesterday", pd.NaT, 20130501, "2013-05-01 06:00 EST", 3.5])
def test_since_is_a_moment(method, since):
    with pytest.raises(ValueError, match=r"since=.* is no moment; write it as"):
        shown(World("2013-05-02"), method, since=since)


def test_an_observation_is_made_51_minutes_past_and_known_after_the_lag():
    weather = World("2013-04-22 10:00").weather()
    assert (weather.event_time.dt.minute == 51).all()
    assert weather.available_at.max() == utc("2013-04-22 09:01")


@pytest.mark.parametrize("late", [-1, np.nan, "15", None, True])
def test_the_minutes_from_which_a_flight_is_late_are_a_number(late):
    with pytest.raises(ValueError, match=r"late=.* must lie at 0 or above"):
        World("2013-05-02").labels(since="2013-05-01", late=late)


# Decisions.


@pytest.mark.parametrize("lead", ["0min", "2h", "40h"])
def test_a_decision_is_taken_its_lead_before_departure_one_a_flight(lead):
    world, ahead = World("2013-05-02 12:00"), pd.Timedelta(lead)
    flights = World("2013-05-06").flights(since="2013-05-01").set_index("flight_id")
    found = world.decisions(since="2013-05-01", lead=lead)
    assert list(found) == ["flight_id", "decided_at"]
    assert (found.decided_at.to_numpy() == (flights.sched_dep[found.flight_id] - ahead)).all()
    assert len(found) == (flights.sched_dep - ahead <= world.now).sum()
    last = found.decided_at.max()
    at_it, before = World(last), World(last - TICK)
    assert len(at_it.decisions(since="2013-05-01", lead=lead)) == len(found)
    assert before.decisions(since="2013-05-01", lead=lead).decided_at.max() < last
    assert found.index.equals(pd.RangeIndex(len(found)))


def test_the_desk_decides_two_hours_before():
    world = World("2013-05-02 12:00")
    assert world.decisions().equals(world.decisions(lead="2h"))
    assert len(world.decisions()) == len(World("2013-05-02 14:00").flights())


@pytest.mark.parametrize("lead", ["-1h", "2", 2, 120, np.nan, None, "soon"])
def test_a_lead_has_a_unit_and_is_not_negative(lead):
    with pytest.raises(ValueError, match=r"lead=.* is no duration of zero or more"):
        World("2013-05-02").decisions(lead=lead)


# The clock itself.


def test_naive_moments_are_utc_and_aware_ones_are_converted():
    assert World("2013-07-01 16:00").now == World(pd.Timestamp("2013-07-01 12:00", tz=HOME)).now
    assert World("2013-07-01 16:00").now == World("2013-07-01 12:00-04:00").now
    assert World(date(2013, 7, 1)).now == World(np.datetime64("2013-07-01")).now


@pytest.mark.parametrize(
    ("now", "lag", "message"),
    [
        ("yesterday-ish", "10min", "now='yesterday-ish' is no moment; write it as"),
        (pd.NaT, "10min", "now=NaT is no moment"),
        (2013, "10min", "now=2013 is no moment"),
        ("2013-05-01 06:00 EST", "10min", "now='2013-05-01 06:00 EST' is no moment"),
        ("2013-05-01", "soon", "lag='soon' is no duration"),
        ("2013-05-01", "-1min", "zero or more"),
        ("2013-05-01", 10, "lag=10 is no duration of zero or more with its unit, such as '10min'"),
        ("2013-05-01", "10", "lag='10' is no duration"),
        ("2013-05-01", pd.NaT, "lag=NaT is no duration"),
    ],
)
def test_bad_moments_are_named_with_the_remedy(now, lag, message):
    with pytest.raises(ValueError, match=message):
        World(now, lag=lag)


@pytest.mark.parametrize(
    "now",
    ["2017-05-01", "2012-12-31 23:59", "2014-03-02", "2022-12-31", "2024-03-01", "1970-01-01"],
)
def test_a_moment_of_which_the_data_tells_nothing_is_refused_with_the_years_it_holds(now):
    says = f"cannot stand at {now[:10]}.* UTC: the data holds 2013 and 2023, and .* up to 60 days after"
    with pytest.raises(ValueError, match=says):
        World(now)


@pytest.mark.parametrize("year", data.YEARS)
def test_a_world_sees_a_year_from_its_first_moment_to_sixty_days_after_its_last(year):
    end = utc(f"{year + 1}-01-01") + pd.Timedelta(days=AFTERMATH_DAYS)
    assert len(World(f"{year}-01-01").schedule(hours=24)) > 700
    assert World(end - TICK).labels(since=f"{year}-12-31").status.ne("pending").all()
    for outside in (utc(f"{year}-01-01") - TICK, end):
        with pytest.raises(ValueError, match="the data holds 2013 and 2023"):
            World(outside)
    world = World(end - pd.Timedelta("1h"))
    with pytest.raises(ValueError, match="the data holds 2013 and 2023"):
        world.advance(hours=1)
    assert world.now == end - pd.Timedelta("1h")


def test_a_world_may_sleep_through_the_years_between():
    assert World("2013-06-01").advance(days=3652).now == utc("2023-06-01")


@pytest.mark.parametrize(
    ("step", "length"),
    [
        ({"days": 1}, "1D"),
        ({"hours": 1.5}, "90min"),
        ({"minutes": 30, "seconds": 10}, "30min 10s"),
        ({"hours": 0}, "0D"),
        ({}, "0D"),
    ],
)
def test_the_clock_moves_by_what_it_is_told_and_stays_itself(step, length):
    world = World("2013-05-01", lag="3h")
    assert world.advance(**step) is world
    assert world.now == utc("2013-05-01") + pd.Timedelta(length)
    assert world.lag == pd.Timedelta("3h")


@pytest.mark.parametrize("amount", [-1, -0.001, np.nan, np.inf, "1", None, True, 1e15])
@pytest.mark.parametrize("unit", ["days", "hours", "minutes", "seconds"])
def test_the_clock_never_goes_back_nor_by_what_is_no_number(amount, unit):
    world = World("2013-05-01")
    with pytest.raises(ValueError, match=rf"only moves forward: {unit}=.* must lie from 0 to"):
        world.advance(**{unit: amount})
    assert world.now == utc("2013-05-01")


@pytest.mark.parametrize("unit", ["hour", "day", "weeks", "Hours", "h"])
def test_an_unknown_unit_is_refused_with_those_there_are(unit):
    with pytest.raises(ValueError, match=f"unit='{unit}' must be one of 'days', 'hours'"):
        World("2013-05-01").advance(**{unit: 1})


def test_a_world_says_where_it_stands():
    assert repr(World("2013-05-01 12:34:56", lag="90s")) == (
        "World(now='2013-05-01 12:34' UTC, lag='1.5min')"
    )


def test_hindsight_knows_everything_of_its_year_and_nothing_later():
    world = World("2013-05-02", lag="3h")
    end = world.hindsight()
    assert (world.now, end.now, end.lag) == (utc("2013-05-02"), utc("2014-03-01"), world.lag)
    assert (end.labels().status != "pending").all()
    assert len(end.flights()) == 336776
    assert (World("2013-05-02", lag="50D").hindsight().labels().status != "pending").all()
    assert World("2014-02-10").hindsight().now == end.now
    later = World("2023-05-02").hindsight()
    assert (later.now, len(later.flights())) == (utc("2024-02-29"), 772128)


def test_the_registry_of_aircraft_is_that_of_the_last_year_that_has_begun():
    for now, year in (("2013-01-01", 2013), ("2014-01-10", 2013), ("2023-01-01", 2023)):
        assert World(now).planes().equals(data.load("planes", year))


# Every clock column rebuilt, held against what the publisher says elsewhere.


@pytest.mark.parametrize("year", data.YEARS)
def test_no_flight_taxis_for_a_negative_time(year):
    world = World(f"{year + 1}-01-10")
    arrivals, departures = (
        shown(world, method, since=f"{year}-01-01") for method in ("arrivals", "departures")
    )
    both = arrivals.merge(
        departures[["flight_id", "event_time"]], on="flight_id", suffixes=("", "_left")
    )
    taxi = (both.event_time - both.event_time_left).dt.total_seconds() / 60 - both.air_time
    assert len(both) == len(arrivals)
    assert taxi.min() == 5
    assert taxi.median() in (28, 30)


@pytest.mark.parametrize(("year", "departures", "arrivals"), [(2013, 0, 1), (2023, 1, 13)])
def test_moments_show_the_published_clocks_but_for_the_nights_in_which_clocks_change(
    year, departures, arrivals
):
    raw = data.load("flights", year)
    ids = _ids(raw)
    flights = World(f"{year + 1}-01-10").flights(since=f"{year}-01-01").set_index("flight_id")
    flights = flights.loc[ids]
    airports = data.load("airports", year)
    zones = dict(zip(airports.faa, airports.tzone, strict=True)) | dict.fromkeys(
        ["BQN", "PSE", "SJU", "STT"], "America/Puerto_Rico"
    )
    assert _differ(flights.dep, raw.dep_time, pd.Series(HOME, index=flights.index)) == departures
    assert _differ(flights.arr, raw.arr_time, flights.dest.map(zones)) == arrivals
    if year == 2013:  # in 2023 the publisher's hour is local time stamped UTC
        hour = raw.time_hour.dt.as_unit("us").to_numpy()
        assert (flights.sched_dep.dt.floor("h").to_numpy() == hour).all()


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


def test_a_local_day_is_that_of_new_york_and_ends_at_its_midnight():
    written = ["2013-03-10 04:59", "2013-03-10 05:00", "2013-03-11 03:59", "2013-03-11 04:00"]
    asked = pd.Series(pd.to_datetime(written, utc=True), index=[3, 3, 1, 0])
    days = local_day(asked)
    assert days.dt.strftime("%m-%d").to_list() == ["03-09", "03-10", "03-10", "03-11"]
    assert days.index.equals(asked.index)
    assert days.dt.tz is None
    ends = midnight(days)
    assert (pd.DatetimeIndex(asked) < ends).all()
    assert ends.strftime("%m-%d %H:%M").to_list() == [
        *("03-10 05:00", "03-11 04:00", "03-11 04:00", "03-12 04:00")
    ]
    assert ends.tz == utc("2013-01-01").tz


# The point-in-time join.


@pytest.fixture(scope="module")
def rows():
    world = World("2013-05-08")
    return examples(world, world.decisions(since="2013-05-01"))


@pytest.fixture(scope="module")
def asked():
    return World("2013-04-22 16:00").decisions(since="2013-04-22 15:00").head(3)


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


def test_each_row_bears_its_flights_schedule_and_its_label_as_of_the_clock(rows):
    world = World("2013-05-08")
    flights = World("2013-05-10").flights(since="2013-04-30").set_index("flight_id")
    for column in PUBLISHED[1:]:
        assert (rows[column].to_numpy() == flights.loc[rows.flight_id, column].to_numpy()).all()
    labels = world.labels(since="2013-04-30").set_index("flight_id").reindex(rows.flight_id)
    assert rows.late.equals(labels.late.reset_index(drop=True))
    assert rows.label_status.to_list() == labels.status.fillna("pending").to_list()
    assert rows.labelled_at.equals(labels.available_at.reset_index(drop=True))
    assert set(rows.label_status) == {"matured", "pending", "censored"}
    assert (rows.sched_dep > world.now).any()


@settings(max_examples=8)
@given(st.integers(0, 40), lags)
def test_an_as_of_row_never_sees_the_future(hours_before, lag):
    world = World("2013-03-12", lag=lag)
    decisions = world.decisions(since="2013-03-09", lead=f"{hours_before}h")
    joined = examples(world, decisions)
    seen = joined.observed_at.notna()
    assert seen.any()
    assert (joined.observed_at + world.lag <= joined.decided_at)[seen].all()


def test_a_decision_in_the_future_is_refused_by_name(asked):
    world = World("2013-04-22 16:00")
    for step, good in ((world.now - asked.decided_at, True), (pd.Timedelta("1D"), False)):
        later = asked.assign(decided_at=asked.decided_at + step)
        if good:
            assert (examples(world, later).decided_at == world.now).all()
            continue
        with pytest.raises(
            AvailabilityError, match=r"decision on 2013-.* after the clock.*\(3 such"
        ):
            examples(world, later)


def test_a_decision_before_the_timetable_is_refused():
    world = World("2013-05-01")
    decisions = world.decisions(since="2013-04-30", lead="0min").tail(1)
    out = decisions.decided_at - pd.Timedelta(days=TIMETABLE_DAYS)
    assert len(examples(world, decisions.assign(decided_at=out))) == 1
    with pytest.raises(AvailabilityError, match="before its timetable was out"):
        examples(world, decisions.assign(decided_at=out - TICK))


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        (
            pd.DataFrame({"flight_id": ["2013-05-01/UA450/LGA"]}),
            r"lacks \['decided_at'\]; World.dec",
        ),
        (pd.DataFrame({"flight_id": ["UA450"], "decided_at": ["2013-05-01"]}), "no flight 'UA450'"),
        (pd.DataFrame({"flight_id": [None], "decided_at": ["2013-05-01"]}), "no flight None"),
        ([{"flight_id": "2013-05-01/UA450/LGA"}], "a table is wanted, not list"),
    ],
)
def test_bad_decisions_are_named(decisions, message):
    with pytest.raises(ValueError, match=message):
        examples(World("2013-05-02"), decisions)


@pytest.mark.parametrize(
    ("moment", "says"),
    [
        *((pd.NaT, "missing in 1 of 3 rows; drop them first"), (None, "missing in 1 of 3 rows")),
        *((1366642800, "decided_at=1366642800 is no moment"), ("soon", "decided_at='soon' is no")),
        ("2013-04-22 12:00 EST", "decided_at='2013-04-22 12:00 EST' is no moment"),
    ],
)
def test_a_decision_has_a_moment(asked, moment, says):
    spoilt = asked.assign(decided_at=[moment, *asked.decided_at[1:].astype(object)])
    with pytest.raises(ValueError, match=says):
        examples(World("2013-04-22 16:00"), spoilt)


def test_a_moment_of_any_unit_will_do():
    world = World("2013-04-22 16:00")
    decisions = world.decisions(since="2013-04-22 15:00")
    in_text = examples(world, decisions.assign(decided_at="2013-04-22 16:00"))
    for unit in ("s", "ms", "us", "ns"):
        at_once = decisions.assign(decided_at=world.now.as_unit(unit))
        assert examples(world, at_once).equals(in_text)


ADDED = [*PUBLISHED[1:], *MEASURED, "observed_at", "late", "label_status", "labelled_at"]
OWN = ["row", "place", "available_at", "event_time", "status", "index", "level_0", "p", "temp_x", 0]


def test_columns_of_ones_own_are_kept_whatever_they_are_called(asked):
    world = World("2013-04-22 16:00")
    plain = examples(world, asked)
    assert list(plain) == ["flight_id", "decided_at", *ADDED]
    own = asked.assign(**{name: ["x", "y", "z"] for name in OWN[:-1]})
    own[0] = ["x", "y", "z"]
    found = examples(world, own)
    assert list(found) == ["flight_id", "decided_at", *OWN, *ADDED]
    for name in OWN:
        assert found[name].to_list() == ["x", "y", "z"]
    assert found[plain.columns].equals(plain)


@pytest.mark.parametrize("name", ADDED)
def test_a_column_that_is_added_is_refused_by_name_where_it_is_ones_own(asked, name):
    with pytest.raises(
        ValueError, match=rf"holds \['{name}'\], which examples adds; drop or rename"
    ):
        examples(World("2013-04-22 16:00"), asked.assign(**{name: ["x", "y", "z"]}))


def test_a_column_that_is_there_twice_is_refused(asked):
    with pytest.raises(ValueError, match=r"holds \['decided_at'\] more than once"):
        examples(World("2013-04-22 16:00"), pd.concat([asked, asked.decided_at], axis=1))


@pytest.mark.parametrize(
    "index",
    [
        *([7, 7, 7], [2, 0, 1], ["c", "a", None], pd.Index([5, 6, 7], name="flight_id")),
        pd.MultiIndex.from_product([["x"], [1, 1, 2]], names=["decided_at", "row"]),
        pd.DatetimeIndex(["2013-01-01"] * 3, name="decided_at"),
    ],
)
def test_the_index_of_decisions_plays_no_part(asked, index):
    world = World("2013-04-22 16:00")
    assert examples(world, asked.set_axis(index)).equals(examples(world, asked))


def test_a_flight_may_be_decided_more_than_once_and_no_decision_gives_no_row(asked):
    world = World("2013-04-22 16:00")
    twice = pd.concat([asked, asked.assign(decided_at=asked.decided_at - pd.Timedelta("5h"))])
    found = examples(world, twice)
    assert len(found) == 6
    assert (found.observed_at[:3].to_numpy() > found.observed_at[3:].to_numpy()).all()
    none = examples(world, asked.head(0))
    assert len(none) == 0
    assert none.dtypes.to_dict() == examples(world, asked).dtypes.to_dict()


def test_what_is_given_is_not_changed(asked):
    before = asked.copy(deep=True)
    examples(World("2013-04-22 16:00"), asked)
    assert asked.equals(before)
    world = World("2013-04-22 16:00")
    for method in (*SINCE, "schedule"):
        table = shown(world, method)
        again = shown(world, method)
        table.loc[:, table.columns[0]] = "spoilt"
        assert shown(world, method).equals(again), method
