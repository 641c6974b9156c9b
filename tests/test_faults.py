"""The truth log: real events are in the data, and injected faults do what they say and nothing else."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from mlsys_lib import World, faults
from mlsys_lib.events import Log, reports
from mlsys_lib.faults import REAL, Fault, evidence, scenario, tampered
from mlsys_lib.features import ROLLING, batch, published
from mlsys_lib.stream import Stream
from mlsys_lib.world import MEASURED

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
    world = World("2013-05-07")
    return batch(world, world.decisions(since="2013-05-01 04:00"))


@pytest.fixture(scope="module")
def hindsight():
    return {year: World(f"{year}-12-31").hindsight() for year in (2013, 2023)}


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


def test_an_event_has_no_evidence_before_it_happens():
    with pytest.raises(ValueError, match="use a later world"):
        evidence(REAL[0], World("2013-02-01"))


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
    with pytest.raises(ValueError, match="is not after the start"):
        inject(rows, "2013-05-03", "2013-05-02", **options)


def test_faults_stack(rows):
    once, first = faults.unit_change(rows, *PERIOD, column="visib", scale=1.609344, offset=0)
    twice, second = faults.renamed(once, *PERIOD, column="carrier", old="UA", new="UAL")
    assert twice.visib.max() > 16 and "UAL" in set(twice.carrier)
    assert (first.name, second.name) == ("unit change: visib", "renamed: UA is UAL")


def test_a_weather_outage_in_the_table_is_the_one_in_the_stream():
    world = World("2013-05-03")
    asked = world.decisions(since="2013-05-01 04:00")
    events = reports(world, since="2013-04-30")
    left, fault = tampered(events, "dropped", "2013-05-02", "2013-05-03", topic="weather")
    streamed = Stream(published(world), features=SHORT).play(left, asked)
    broken, _ = faults.feed_outage(batch(world, asked, features=SHORT), fault.start, fault.end)
    pd.testing.assert_frame_equal(broken[MEASURED], streamed[MEASURED], check_dtype=False)


def test_when_arrivals_stop_windows_are_empty_in_the_table_as_in_the_stream():
    world = World("2013-05-03")
    asked = world.decisions(since="2013-05-01 04:00")
    events = reports(world, since="2013-04-30")
    left, fault = tampered(events, "dropped", "2013-05-02 12:00", "2013-05-03", topic="arrivals")
    streamed = Stream(published(world), features=SHORT).play(left, asked)
    broken, _ = faults.feed_outage(
        batch(world, asked, features=SHORT), fault.start, fault.end, topic="arrivals"
    )
    over = asked.decided_at >= fault.start + pd.Timedelta("2h")
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
    """As many columns as the scenario touches, without waiting for a year of windows."""
    world = World("2013-12-31").hindsight()
    asked = world.decisions(since="2013-05-01 04:00").iloc[::5]
    rows = batch(world, asked, features=SHORT)
    return rows.assign(**{feature.name: 0.5 for feature in ROLLING})


def test_a_scenario_holds_one_fault_of_each_kind_with_room_between(year):
    changed, log = scenario(year, seed=0)
    assert len(log) == 14 == len({fault.name for fault in log})
    gaps = [b.start - a.end for a, b in pairwise(log)]
    assert min(gaps) >= pd.Timedelta("1D 22h")  # two days, one of which may be short by the clock
    assert {fault.harm for fault in log} == {"predictions", "labels", "none"}
    assert len(changed) != len(year)


def test_a_scenario_is_its_seed(year):
    starts = [[f.start for f in scenario(year, seed=seed)[1]] for seed in (3, 3, 4)]
    assert starts[0] == starts[1] != starts[2]


def test_a_scenario_needs_room(rows):
    with pytest.raises(ValueError, match="days cannot hold the scenario"):
        scenario(rows)


def test_messages_are_dropped_doubled_and_late(tmp_path):
    events = list(reports(World("2013-04-22 16:00"), since="2013-04-22 10:00"))
    span = ("2013-04-22 12:00", "2013-04-22 14:00")
    silent, _ = tampered(events, "dropped", *span, carrier="EV")
    assert {e.key for e in events} - {e.key for e in silent}
    assert all(e.value["carrier"] == "EV" for e in events if e not in silent)
    some, _ = tampered(events, "dropped", *span, share=0.5)
    assert len(silent) > len(some) > len(events) / 2
    double, fault = tampered(events, "duplicated", *span)
    inside = sum(fault.start <= e.available_at < fault.end for e in events)
    assert len(double) == len(events) + inside
    with Log(tmp_path / "desk.db") as log:
        assert log.append(double) == len(events)
    late, _ = tampered(events, "late", *span, hours=1)
    assert (np.diff([e.available_at for e in late]) >= pd.Timedelta(0)).all()
    assert {e.key for e in late} == {e.key for e in events}
    with pytest.raises(ValueError, match="choose one of dropped"):
        tampered(events, "lost", *span)


def test_the_log_can_be_kept_in_a_set():
    assert len({*REAL, *REAL}) == len(REAL)
    assert isinstance(REAL[0], Fault)
