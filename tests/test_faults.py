"""The truth log: real events are in the data, and injected faults do what they say and nothing else."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from mlsys_lib import World, faults
from mlsys_lib.events import reports
from mlsys_lib.faults import REAL, Fault, scenario
from mlsys_lib.features import ROLLING, batch, published
from mlsys_lib.store import history
from mlsys_lib.stream import Stream
from mlsys_lib.world import LATE, MEASURED, local_day

PERIOD = ("2013-05-02 04:00", "2013-05-04 04:00")
SHORT = [f for f in ROLLING if f.topic == "arrivals" and f.hours == 2]
LAGGED = ["origin_left_late_1h", "origin_landed_late_2h"]
INJECTIONS = {
    "weather outage": (faults.feed_outage, {}),
    "arrivals outage": (faults.feed_outage, {"topic": "arrivals"}),
    "frozen": (faults.frozen, {"columns": LAGGED, "origin": "JFK"}),
    "unit change": (faults.unit_change, {}),
    "renamed": (faults.renamed, {"column": "carrier", "old": "UA", "new": "UAL"}),
    "clock shift": (faults.clock_shift, {}),
    "dropped": (faults.dropped, {}),
    "duplicated": (faults.duplicated, {}),
    "silent airline": (faults.silent_airline, {}),
    "label delay": (faults.label_delay, {}),
    "sudden drift": (faults.concept_drift, {}),
    "gradual drift": (faults.concept_drift, {"gradual": True}),
    "covariate shift": (faults.covariate_shift, {"origin": "EWR"}),
}


@pytest.fixture(scope="module")
def rows():
    return history(World("2013-05-07"), since="2013-05-01 04:00")


@pytest.fixture(scope="module")
def hindsight():
    return {year: World(f"{year}-12-31").hindsight() for year in (2013, 2023)}


def matching(table, where):
    """The rows with these values, in the columns that there are."""
    hit = pd.Series(True, table.index)
    for column in where.keys() & set(table.columns):
        hit &= table[column] == where[column]
    return table[hit]


def evidence(fault, world):
    """What the flights and the weather say of each day of an event, and of the day before."""
    since = fault.start - pd.Timedelta(days=1)
    hit = matching(world.flights(since=since), fault.where)
    hit = hit[hit.sched_dep < fault.end]
    made = hit.assign(
        cancelled=hit.status == "cancelled",
        diverted=hit.status == "diverted",
        late=(hit.arr_delay >= LATE).astype(float).where(hit.arr_delay.notna()),
    ).groupby(local_day(hit.sched_dep))
    seen = matching(world.weather(since=since), fault.where)
    visib = seen.groupby(local_day(seen.event_time)).visib.min()
    return made[["cancelled", "diverted", "late", "dep_delay"]].mean().assign(visib=visib)


@pytest.mark.parametrize(
    ("name", "day", "figure", "least", "most"),
    [
        ("Nemo", "2013-02-09", "cancelled", 0.57, 0.58),
        ("March storm", "2013-03-08", "late", 0.79, 0.80),
        ("FAA furloughs", "2013-04-22", "late", 0.58, 0.60),
        ("FAA furloughs", "2013-04-22", "visib", 10, 10),
        ("May thunderstorms", "2013-05-23", "cancelled", 0.22, 0.23),
        ("Asiana 214 at SFO", "2013-07-06", "diverted", 0.31, 0.32),
        ("Asiana 214 at SFO", "2013-07-07", "dep_delay", 143, 145),
        ("Southwest 345, storms", "2013-07-22", "cancelled", 0.26, 0.28),
        ("September thunderstorms", "2013-09-12", "diverted", 0.03, 0.04),
        ("Thanksgiving storm", "2013-11-27", "late", 0.43, 0.44),
        ("December storm, 10th", "2013-12-10", "cancelled", 0.21, 0.22),
        ("NOTAM outage", "2023-01-11", "late", 0.67, 0.68),
        ("wildfire smoke", "2023-06-07", "visib", 1, 1),
        ("late June meltdown", "2023-06-27", "cancelled", 0.40, 0.42),
        ("July storms", "2023-07-09", "cancelled", 0.42, 0.44),
        ("flash flood", "2023-09-29", "cancelled", 0.26, 0.28),
    ],
)
def test_the_flights_tell_of_a_real_event(name, day, figure, least, most, hindsight):
    fault = next(fault for fault in REAL if fault.name == name)
    found = evidence(fault, hindsight[fault.start.year])
    assert least <= found.loc[day, figure] <= most


def test_each_real_event_doubles_delays_or_cancellations_from_one_day_to_another(hindsight):
    for fault in REAL:
        found = evidence(fault, hindsight[fault.start.year])
        before, during = found.iloc[0], found.iloc[1:].max()
        assert fault.real and fault.start < fault.end
        assert during.late >= 2 * before.late or during.cancelled >= 2 * before.cancelled, fault


@pytest.mark.parametrize("name", INJECTIONS)
def test_an_injection_changes_a_copy_and_only_what_its_entry_names(name, rows):
    inject, options = INJECTIONS[name]
    before = rows.copy(deep=True)
    changed, fault = inject(rows, *PERIOD, **options)
    pd.testing.assert_frame_equal(rows, before)
    assert not changed.equals(rows)
    assert fault.harm in {"predictions", "labels", "none"} and not fault.real

    def spared(table):
        hit = (table.decided_at >= fault.start) & (table.decided_at < fault.end)
        renamed_to = options.get("new")
        for column, value in fault.where.items():
            hit &= table[column].isin([value, renamed_to])
        return table[~hit].reset_index(drop=True)

    pd.testing.assert_frame_equal(spared(changed), spared(rows), check_dtype=False)


@pytest.mark.parametrize("name", ["dropped", "duplicated", "sudden drift", "covariate shift"])
def test_a_seed_decides_what_chance_decides(name, rows):
    inject, options = INJECTIONS[name]
    one, again, other = (inject(rows, *PERIOD, seed=seed, **options)[0] for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, again)
    assert not one.equals(other)


@pytest.mark.parametrize("name", INJECTIONS)
def test_a_period_without_decisions_is_refused(name, rows):
    inject, options = INJECTIONS[name]
    with pytest.raises(ValueError, match="no decision from"):
        inject(rows, "2013-09-01", "2013-09-02", **options)
    with pytest.raises(ValueError, match="must end after it starts"):
        inject(rows, "2013-05-03", "2013-05-02", **options)


def test_faults_stack(rows):
    once, first = faults.unit_change(rows, *PERIOD, column="visib", scale=1.609344, offset=0)
    twice, second = faults.renamed(once, *PERIOD, column="carrier", old="UA", new="UAL")
    assert twice.visib.max() > 16 and "UAL" in set(twice.carrier)
    assert (first.name, second.name) == ("unit change: visib", "renamed: UA is UAL")


CHANCE = {
    "dropped": faults.dropped,
    "duplicated": faults.duplicated,
    "sudden drift": faults.concept_drift,
    "covariate shift": lambda *period, **options: faults.covariate_shift(
        *period, keep=0.7, **options
    ),
}


@pytest.mark.parametrize("second", ["dropped", "duplicated", "covariate shift"])
def test_faults_under_one_seed_do_not_strike_the_same_flights(second, rows):
    """Of the flights that drifted, the next fault strikes its share, and not all or none."""
    drifted, _ = faults.concept_drift(rows, *PERIOD, share=0.3)
    after, _ = CHANCE[second](drifted, *PERIOD, seed=0)
    turned = rows.flight_id[drifted.late > rows.late]
    left = after.flight_id.value_counts().reindex(turned, fill_value=0)
    assert len(turned) > 300
    assert (left != 1).mean() == pytest.approx(0.3, abs=0.08)


def test_nor_do_those_of_one_kind_in_a_place_and_everywhere(rows):
    once, _ = faults.concept_drift(rows, *PERIOD, share=0.5, origin="LGA")
    twice, _ = faults.concept_drift(once, *PERIOD, share=0.5)
    inside = rows.decided_at.between(*pd.to_datetime(PERIOD, utc=True), "left") & (rows.late == 0)
    late = twice.late[inside].groupby(rows.origin).mean()
    assert late["LGA"] == pytest.approx(0.75, abs=0.06)
    assert late["EWR"] == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("name", INJECTIONS)
def test_rows_under_any_index_are_struck_alike(name, rows):
    inject, options = INJECTIONS[name]
    plain, _ = inject(rows, *PERIOD, **options)
    for index in (np.zeros(len(rows), int), rows.flight_id.to_numpy(), np.arange(len(rows))[::-1]):
        odd, _ = inject(rows.set_axis(index), *PERIOD, **options)
        pd.testing.assert_frame_equal(odd.reset_index(drop=True), plain.reset_index(drop=True))


@pytest.mark.parametrize(
    "name", [name for name in INJECTIONS if name not in CHANCE | {"gradual drift": 0}]
)
def test_rows_in_any_order_are_struck_alike(name, rows):
    inject, options = INJECTIONS[name]
    plain, _ = inject(rows, *PERIOD, **options)
    shuffled, _ = inject(rows.sample(frac=1, random_state=0), *PERIOD, **options)
    pd.testing.assert_frame_equal(shuffled.sort_index(), plain)


NEEDS = {
    "frozen": "origin_left_late_1h",
    "unit change": "temp",
    "renamed": "carrier",
    "clock shift": "day_of_week",
    "silent airline": "labelled_at",
    "label delay": "labelled_at",
    "sudden drift": "late",
    "covariate shift": "origin",
    "dropped": "decided_at",
    "weather outage": "origin",
}


@pytest.mark.parametrize("name", NEEDS)
def test_a_column_that_is_missing_is_named(name, rows):
    inject, options = INJECTIONS[name]
    with pytest.raises(ValueError, match=rf"lacks \['{NEEDS[name]}'\]"):
        inject(rows.drop(columns=NEEDS[name]), *PERIOD, **options)


@pytest.mark.parametrize(
    ("inject", "options", "says"),
    [
        (faults.dropped, {"share": 1.5}, "share=1.5 must lie from 0 to 1"),
        (faults.duplicated, {"share": -0.1}, "share=-0.1 must lie"),
        (faults.concept_drift, {"share": np.nan}, "share=nan must lie"),
        (faults.covariate_shift, {"keep": "few"}, "keep='few' must lie"),
        (faults.dropped, {"seed": 0.5}, "seed=0.5 must be a whole number"),
        (faults.dropped, {"seed": -1}, "seed=-1 must be a whole number"),
        (faults.feed_outage, {"topic": "wether"}, "topic='wether' must be one of 'weather'"),
        (faults.renamed, {"column": "carrier", "old": "ZZ", "new": "Z"}, "with {'carrier': 'ZZ'}"),
        (faults.renamed, {"column": "airline", "old": "UA", "new": "Z"}, r"lacks \['airline'\]"),
        (faults.silent_airline, {"carrier": "ZZ"}, "choose what is there"),
        (faults.unit_change, {"airport": "LGA"}, r"lacks \['airport'\]"),
        (faults.unit_change, {"column": "carrier"}, "column='carrier' holds no numbers"),
        (faults.frozen, {"columns": []}, "freezes nothing"),
        (faults.label_delay, {"delay": "7"}, "delay='7' is no duration"),
    ],
)
def test_what_cannot_be_injected_is_refused_by_its_name(inject, options, says, rows):
    with pytest.raises(ValueError, match=says):
        inject(rows, *PERIOD, **options)


def test_features_that_a_table_does_not_have_cannot_run_empty(rows):
    with pytest.raises(ValueError, match="no feature of departures"):
        faults.feed_outage(rows[["decided_at", "origin", "temp"]], *PERIOD, topic="departures")


def test_a_period_that_is_none_is_refused(rows):
    with pytest.raises(ValueError, match="start='yesterday' is no moment"):
        faults.dropped(rows, "yesterday", "2013-05-03")
    with pytest.raises(ValueError, match="must end after it starts"):
        Fault("a", "b", *pd.to_datetime(["2013-05-03", "2013-05-02"], utc=True), "none")
    with pytest.raises(ValueError, match="harm='much' must be one of"):
        Fault("a", "b", *pd.to_datetime(["2013-05-02", "2013-05-03"], utc=True), "much")


def test_names_that_are_categories_can_be_renamed(rows):
    narrow = rows.astype({"carrier": "category"})
    changed, _ = faults.renamed(narrow, *PERIOD, column="carrier", old="UA", new="UAL")
    plain, _ = faults.renamed(rows, *PERIOD, column="carrier", old="UA", new="UAL")
    assert changed.carrier.to_list() == plain.carrier.to_list()


@pytest.fixture(scope="module")
def heard():
    """Two days of decisions, and a stream of reports from which those of a topic are lost for a while."""
    world = World("2013-05-03")
    asked = world.decisions(since="2013-05-01 04:00")
    events = list(reports(world, since="2013-04-30"))

    def without(topic, start, end):
        start, end = (pd.Timestamp(moment, tz="UTC") for moment in (start, end))
        left = [e for e in events if e.topic != topic or not start <= e.available_at < end]
        return Stream(published(world), features=SHORT).play(left, asked)

    return batch(world, asked, features=SHORT), without


def test_a_weather_outage_in_the_table_is_the_one_in_the_stream(heard):
    table, without = heard
    streamed = without("weather", "2013-05-02", "2013-05-03")
    broken, _ = faults.feed_outage(table, "2013-05-02", "2013-05-03")
    pd.testing.assert_frame_equal(broken[MEASURED], streamed[MEASURED], check_dtype=False)


def test_when_arrivals_stop_windows_are_empty_in_the_table_as_in_the_stream(heard):
    table, without = heard
    period = ("2013-05-02 12:00", "2013-05-03")
    streamed = without("arrivals", *period)
    broken, fault = faults.feed_outage(table, *period, topic="arrivals")
    over = table.decided_at >= fault.start + pd.Timedelta("2h")
    assert over.sum() > 300
    assert broken[over].origin_landed_late_2h.isna().all()
    assert streamed[over].origin_landed_late_2h.isna().all()
    assert (broken[over].origin_landed_count_2h == 0).all()
    assert (streamed[over].origin_landed_count_2h == 0).all()


def test_a_silent_airline_has_no_labels_and_others_keep_theirs(rows):
    changed, fault = faults.silent_airline(rows, *PERIOD, carrier="EV")
    hit = (rows.carrier == "EV") & rows.decided_at.between(fault.start, fault.end, "left")
    assert changed[hit].late.isna().all() and changed[hit].labelled_at.isna().all()
    assert (changed[hit].label_status == "pending").all()
    pd.testing.assert_series_equal(changed[~hit].late, rows[~hit].late)


def test_drift_makes_flights_late_and_more_of_them_where_it_has_grown(rows):
    changed, fault = faults.concept_drift(rows, *PERIOD, share=1.0, gradual=True)
    assert (changed.late >= rows.late).where(rows.late.notna(), True).all()
    assert (changed.late.isna() == rows.late.isna()).all()
    half = fault.start + (fault.end - fault.start) / 2
    turned = (changed.late > rows.late).groupby(rows.decided_at >= half).sum()
    assert turned[True] > 1.5 * turned[False]
    features = rows.columns.drop("late")
    pd.testing.assert_frame_equal(changed[features], rows[features])


def test_a_shift_of_the_mix_leaves_each_flight_as_it_was(rows):
    changed, fault = faults.covariate_shift(rows, *PERIOD, keep=0.3, origin="EWR")
    left = rows.set_index("flight_id").loc[changed.flight_id].reset_index()
    pd.testing.assert_frame_equal(changed, left[changed.columns])
    assert fault.harm == "none"


def test_a_clock_shift_moves_the_weekday_at_midnight(rows):
    changed, _ = faults.clock_shift(rows, *PERIOD, hours=4)
    late = (changed.dep_minute < rows.dep_minute).to_numpy()
    assert late.any()
    moved = (changed.day_of_week - rows.day_of_week) % 7
    assert (moved[late] == 1).all() and (moved[~late] == 0).all()


@pytest.fixture(scope="module")
def year():
    return history(World("2013-12-31").hindsight(), since="2013-05-01 04:00").iloc[::40]


def test_a_scenario_holds_one_fault_of_each_kind_with_room_between(year):
    changed, truth = scenario(year, seed=0)
    assert len(truth) == 14 == len({fault.name for fault in truth})
    gaps = [b.start - a.end for a, b in pairwise(truth)]
    assert min(gaps) >= pd.Timedelta("1D 22h")  # two days, one of which may be short by the clock
    assert {fault.harm for fault in truth} == {"predictions", "labels", "none"}
    assert len(changed) != len(year)


def test_a_scenario_is_its_seed(year):
    starts = [[f.start for f in scenario(year, seed=seed)[1]] for seed in (3, 3, 4)]
    assert starts[0] == starts[1] != starts[2]


def test_a_scenario_needs_room(rows):
    with pytest.raises(ValueError, match="days cannot hold the scenario"):
        scenario(rows)


def test_the_log_can_be_kept_in_a_set():
    assert len({*REAL, *REAL}) == len(REAL)
    assert isinstance(REAL[0], Fault)
