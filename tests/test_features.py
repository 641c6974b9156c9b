"""The features by the batch: right by the plainest reckoning, blind to what was not yet reported."""

import re

import ibis
import numpy as np
import pandas as pd
import pytest
import sqlglot
from sklearn.ensemble import HistGradientBoostingClassifier

from mlsys_lib import AvailabilityError, World, examples
from mlsys_lib.features import (
    CATEGORIES,
    DELAY,
    FEATURES,
    ROLLING,
    SCHEDULE,
    UNITS,
    Rolling,
    batch,
    distinct,
    observed,
    rolling,
    schedule,
)
from mlsys_lib.metrics import auc, day_block
from mlsys_lib.store import history
from mlsys_lib.world import MEASURED


@pytest.fixture(scope="module")
def april():
    """Four days of decisions, small enough for the plainest possible reckoning."""
    world = World("2013-04-25")
    decisions = world.decisions(since="2013-04-21")
    return world, decisions, batch(world, decisions)


@pytest.mark.slow
def test_the_honest_model_reaches_the_auc_that_this_data_allows():
    rows = history(World("2013-12-31").hindsight())
    rows = rows[rows.label_status == "matured"]
    table = rows[FEATURES].assign(
        **{name: rows[name].astype("category").cat.codes for name in CATEGORIES}
    )
    train = (rows.day < "2013-05-01").to_numpy()
    assert (train.sum(), (~train).sum()) == (105_475, 221_871)
    model = HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.08, max_leaf_nodes=15, min_samples_leaf=200, random_state=0
    )
    model.fit(table[train], rows.late[train])
    reached = day_block(
        auc,
        rows.day[~train],
        rows.late[~train],
        model.predict_proba(table[~train])[:, 1],
        resamples=50,
    )
    assert 0.735 <= reached.value <= 0.761
    assert reached.low > 0.72


def test_each_row_is_that_of_examples_and_its_order_is_kept(april):
    world, decisions, rows = april
    shuffled = decisions.sample(frac=1, random_state=0)
    again = batch(world, shuffled)
    assert again.flight_id.tolist() == shuffled.flight_id.tolist()
    pd.testing.assert_frame_equal(
        again[examples(world, shuffled).columns], examples(world, shuffled)
    )
    back = again.set_index("flight_id").loc[rows.flight_id].reset_index()
    pd.testing.assert_frame_equal(back[rows.columns], rows)


@pytest.mark.parametrize("feature", ROLLING, ids=lambda feature: feature.name)
def test_a_window_counts_the_reports_of_its_key_that_reached_the_desk_in_its_hours(feature, april):
    world, _, rows = april
    table = getattr(world, feature.topic)()
    delay = table[DELAY[feature.topic]]
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


def test_a_feature_does_not_change_when_the_future_does(april):
    _, decisions, rows = april
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
    timetable = World("2013-04-22 10:00").schedule(hours=24)
    table = schedule(timetable)
    assert table.index.tolist() == timetable.flight_id.tolist()
    first = table.loc["2013-04-22/US2161/LGA"]  # a Monday, 6:00 to 6:59, to Washington
    assert first[SCHEDULE].tolist() == [0, 360, 419, 214, 59, 28, "US", "LGA", "DCA"]
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


def test_a_subset_of_the_features_and_no_decisions_are_answered_too(april):
    world, decisions, rows = april
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
    assert functions <= {"Sum", "Cast", "Abs", "Floor", "Nullif", "And", "Interval", "Anonymous"}, (
        functions
    )
    assert {join.args.get("kind") for join in tree.find_all(sqlglot.exp.Join)} == {"INNER"}
    assert tree.find(sqlglot.exp.Union)
    assert tree.find(sqlglot.exp.Window)


def test_a_nightly_run_gives_each_flight_what_asking_for_it_alone_gives():
    world = World("2013-02-15")
    decisions = world.decisions(since="2013-01-09")
    nightly = decisions.assign(decided_at=decisions.decided_at.dt.floor("D"))
    rows = batch(world, nightly)
    one = nightly[nightly.decided_at == "2013-02-01"].head(5)
    again = batch(world, one)
    found = rows.set_index("flight_id").loc[again.flight_id].reset_index()
    pd.testing.assert_frame_equal(found[again.columns], again)


def test_every_feature_has_a_unit():
    assert list(UNITS) == FEATURES


def test_views_of_parquet_files_need_less_than_a_gigabyte_for_a_month(tmp_path):
    world = World("2013-02-01")
    rows = batch(world, world.decisions(since="2013-01-02"))
    rows.assign(row=rows.index).to_parquet(tmp_path / "decisions.parquet")
    for topic in DELAY:
        getattr(world, topic)().to_parquet(tmp_path / f"{topic}.parquet")
    engine = ibis.duckdb.connect(memory_limit="1GB", temp_directory=str(tmp_path / "spilled"))
    names = [*DELAY, "decisions"]
    views = [engine.read_parquet(tmp_path / f"{name}.parquet", table_name=name) for name in names]
    found = rolling(*views).to_pandas().set_index("row").sort_index()
    made = [feature.name for feature in ROLLING]
    pd.testing.assert_frame_equal(found[made], rows[made], check_names=False, check_exact=True)
    assert not list(tmp_path.glob("spilled/*"))
    engine.disconnect()


def test_the_weather_as_an_expression_is_that_of_the_merge(tmp_path):
    """On every decision of a month, with ties, and from before the first observation on."""
    world = World("2013-02-01")
    asked = world.decisions(lead="10h")  # on the first day before any observation
    tied = world.weather(since="2013-01-05").drop_duplicates("available_at").available_at
    flights = asked.flight_id.iloc[-len(tied) :]
    ties = pd.DataFrame({"flight_id": flights.to_numpy(), "decided_at": tied.array})
    rows = examples(world, pd.concat([asked, ties], ignore_index=True))
    assert rows.observed_at.isna().sum() > 0
    assert (rows.observed_at + world.lag == rows.decided_at).sum() >= len(ties)
    engine = ibis.duckdb.connect()
    weather = engine.create_table("weather", world.weather())
    decisions = engine.create_table("asked", rows[["origin", "decided_at"]].assign(row=rows.index))
    found = observed(weather, decisions).to_pandas().set_index("row").sort_index()
    assert found.index.equals(rows.index)
    np.testing.assert_array_equal(found[MEASURED], rows[MEASURED])
    pd.testing.assert_series_equal(
        found.event_time, rows.observed_at, check_names=False, check_dtype=False
    )
    engine.disconnect()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"topic": "gossip"}, "topic='gossip' must be one of 'departures', 'arrivals'"),
        ({"topic": "weather"}, "topic='weather' must be one of"),
        ({"by": "origin"}, "by='origin' must be a tuple of columns"),
        ({"by": ["origin"]}, "must be a tuple of columns"),
        ({"by": ()}, "must be a tuple of columns"),
        ({"by": ("airline",)}, "by='airline' must be one of 'carrier', 'origin', 'dest'"),
        ({"hours": 0}, "hours=0 must be a whole number from 1"),
        ({"hours": -1}, "hours=-1"),
        ({"hours": 1.5}, "hours=1.5"),
        ({"hours": "2"}, "hours='2'"),
        ({"hours": float("nan")}, "hours=nan"),
        ({"hours": 10**9}, "hours=1000000000"),
        ({"figure": "median"}, "figure='median' must be one of 'late rate', 'mean delay', 'count'"),
    ],
)
def test_a_feature_that_cannot_be_made_is_refused_where_it_is_declared(wrong, said):
    good = {"name": "x", "topic": "arrivals", "by": ("origin",), "hours": 2}
    with pytest.raises(ValueError, match=re.escape(said)):
        Rolling(**good | wrong)


@pytest.mark.parametrize(
    "name", ["temp", "row", "carrier", "dep_minute", "flight_id", "decided_at"]
)
def test_a_name_that_is_taken_is_refused(name, april):
    world, decisions, _ = april
    with pytest.raises(ValueError, match=f"the name '{name}' of a feature is taken"):
        batch(world, decisions, features=[Rolling(name, "arrivals", ("origin",), 2)])


def test_two_features_of_one_name_are_refused():
    with pytest.raises(ValueError, match="'origin_landed_late_2h' of a feature is taken"):
        distinct([*ROLLING, ROLLING[0]])


def test_columns_of_ones_own_are_kept_or_refused_by_name(april):
    world, decisions, rows = april
    few = decisions.head(3)
    kept = batch(world, few.assign(mine=["x", "y", "z"]))
    assert kept.mine.tolist() == ["x", "y", "z"]
    for name in ("hour_flights", "origin_left_late_1h"):
        with pytest.raises(ValueError, match=f"columns of its own named \\['{name}'\\]"):
            batch(world, few.assign(**{name: 0}))
    # What one made is not what one asks with.
    with pytest.raises(ValueError, match="columns of its own named"):
        batch(world, rows)


def test_decisions_twice_and_under_any_index_are_answered_in_their_order(april):
    world, decisions, rows = april
    twice = pd.concat([decisions.iloc[[5, 3, 5]]] * 2).set_index(pd.Index(["b", "a", "b"] * 2))
    expected = rows.iloc[[5, 3, 5] * 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(batch(world, twice), expected)


def test_a_lag_finer_than_the_unit_of_time_is_refused():
    world = World("2013-04-22 16:00", lag="1500ms")
    assert len(batch(world, world.decisions(since="2013-04-22 17:00"))) > 0
    fine = World("2013-04-22 16:00", lag="1500ns")
    with pytest.raises(ValueError, match="must be a whole number of microseconds"):
        batch(fine, fine.decisions(since="2013-04-22 17:00"))
