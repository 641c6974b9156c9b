"""Alerts: labels that come late, alarms that are grouped, a scorecard that adds up."""

import numpy as np
import pandas as pd
import pytest

from mlsys_lib.alerts import (
    COMPLETE,
    Policy,
    alerts,
    detections,
    losses,
    performance,
    scorecard,
    standard_detectors,
    standard_monitors,
)
from mlsys_lib.drift import Labels
from mlsys_lib.faults import (
    REAL,
    Fault,
    concept_drift,
    covariate_shift,
    duplicated,
    label_delay,
    silent_airline,
)
from mlsys_lib.metrics import cost
from mlsys_lib.world import local_day

# 1. Performance


@pytest.fixture(scope="module")
def june(served):
    return served[local_day(served.decided_at).between("2013-06-01", "2013-06-30")]


def test_performance_sees_only_labels_that_are_mature(june):
    now = pd.Timestamp("2013-06-12 20:00", tz="UTC")
    blind = june.assign(
        late=june.late.where(june.labelled_at <= now),
        labelled_at=june.labelled_at.where(june.labelled_at <= now),
    )
    pd.testing.assert_frame_equal(performance(june, now), performance(blind, now))
    table = performance(june, now)
    assert table.late.notna().to_list() == (table.settled >= COMPLETE).to_list()
    assert (table.known_at.dropna() <= now).all()
    assert np.isnan(table.late.iloc[-1]) and table.late.iloc[:-2].notna().all()


def test_performance_is_the_plain_figure_once_all_is_known(june):
    table = performance(june, "2013-10-03")
    own = june[(local_day(june.decided_at) == "2013-06-12") & june.late.notna()]
    score, late = own.probability.to_numpy(), own.late.to_numpy()
    day = table.loc["2013-06-12"]
    assert day.late == pytest.approx(late.mean())
    assert day.residual == pytest.approx((late - score).mean())
    assert day.cost == pytest.approx(cost(300, 60)(score, late, 1 - late), rel=1e-9)
    assert day.decisions == (local_day(june.decided_at) == "2013-06-12").sum()


def test_a_day_is_known_when_enough_of_it_is(june):
    table = performance(june, "2013-10-03")
    for day in table.index[:5]:
        own = june[local_day(june.decided_at) == day]
        known = (own.labelled_at <= table.known_at[day]).mean()
        before = (own.labelled_at < table.known_at[day]).mean()
        assert known >= COMPLETE > before - 1 / len(own)
    just_before = performance(june, table.known_at.iloc[0] - pd.Timedelta("1s"))
    assert np.isnan(just_before.late.iloc[0]) and just_before.settled.iloc[0] < COMPLETE


def test_before_any_label_performance_knows_the_decisions(june):
    day = june[local_day(june.decided_at) == "2013-06-12"]
    for late in (np.nan, None):
        table = performance(day.assign(late=late, labelled_at=pd.NaT), "2013-06-13")
        assert table.decisions.to_list() == [(day.decided_at <= "2013-06-13").sum()]
        assert table.settled.to_list() == [0.0]
        columns = ["late", "probability", "residual", "cost", "known_at"]
        assert table[columns].isna().all(axis=None)


def test_before_any_decision_performance_is_an_empty_table(june):
    full, empty = performance(june, "2013-10-03"), performance(june, "2013-05-01")
    assert len(empty) == 0 and list(empty) == list(full)
    assert list(performance(june[:0], "2013-05-01")) == list(full)


def test_a_flight_that_stands_in_the_log_twice_is_judged_once(june):
    twice, _ = duplicated(june, "2013-06-10", "2013-06-14", share=0.5)
    plain, found = (performance(rows, "2013-10-03") for rows in (june, twice))
    assert found.decisions.sum() == len(twice) > len(june)
    pd.testing.assert_frame_equal(found.drop(columns="decisions"), plain.drop(columns="decisions"))


def test_the_first_of_two_decisions_counts(june):
    again = june.assign(decided_at=june.decided_at + pd.Timedelta("1min"), probability=0.99)
    both = pd.concat([again, june])
    found, plain = (performance(rows, "2013-10-03").residual for rows in (both, june))
    assert found.to_numpy() == pytest.approx(plain.to_numpy(), abs=1e-9)


def test_rows_in_any_order_under_any_index_are_judged_alike(june):
    odd = june.sample(frac=1, random_state=0).set_axis(np.zeros(len(june), int))
    pd.testing.assert_frame_equal(performance(odd, "2013-10-03"), performance(june, "2013-10-03"))


def test_an_airline_that_is_silent_leaves_its_days_open(june):
    silent, _ = silent_airline(june, "2013-06-10 04:00", "2013-06-12 04:00", carrier="UA")
    table = performance(silent, "2013-10-03")
    assert table.late["2013-06-10":"2013-06-11"].isna().all()
    assert table.late.drop(table.index[9:11]).notna().all()


@pytest.mark.parametrize(
    ("column", "says"),
    [("labelled_at", r"lacks \['labelled_at'\]"), ("flight_id", r"lacks \['flight_id'\]")],
)
def test_performance_names_the_column_that_is_missing(column, says, june):
    with pytest.raises(ValueError, match=says):
        performance(june.drop(columns=column), "2013-10-03")
    with pytest.raises(ValueError, match="now='soon' is no moment"):
        performance(june, "soon")


# 2. Alerts


def test_alerts_wait_and_group():
    days = pd.date_range("2013-06-01", periods=20, tz="UTC")
    table = pd.DataFrame({"a": 0.0, "b": 0.0}, days)
    table.iloc[[1, 2, 3, 5, 12], 0] = [2, 3, 2, 2, 4]
    table.iloc[[2, 16], 1] = 1.5
    sent = alerts(table)
    assert sent["start"].dt.day.to_list() == [2, 3, 13, 17]
    assert sent["columns"].to_list() == [("a",), ("b",), ("a",), ("b",)]
    assert sent.end.dt.day.to_list() == [6, 3, 13, 17]
    assert sent.peak.to_list() == [3, 1.5, 4, 1.5]
    assert alerts(table, policy=Policy(persistence=2))["start"].dt.day.to_list() == [3]
    assert alerts(table, policy=Policy(threshold=3.5))["start"].dt.day.to_list() == [13]
    assert alerts(table, policy=Policy(threshold=4))["start"].dt.day.to_list() == [13]
    assert alerts(table, policy=Policy(quiet=30))["start"].dt.day.to_list() == [2, 3]
    assert alerts(table, policy=Policy(quiet=1))["start"].dt.day.to_list() == [2, 3, 6, 13, 17]
    assert alerts(table * 0).empty
    assert alerts(table[:0]).empty


def test_columns_that_begin_together_are_one_alert_the_loudest_first():
    days = pd.date_range("2013-06-01", periods=4, tz="UTC")
    table = pd.DataFrame({"a, b": [0, 2.0, 0, 0], "c": [0, 5.0, 1.2, 0], "d": [0, 0, 0, 9.0]}, days)
    sent = alerts(table)
    assert sent["columns"].to_list() == [("c", "a, b"), ("d",)]
    assert sent.end.dt.day.to_list() == [3, 4] and sent.peak.to_list() == [5, 9]


def test_an_infinite_ratio_is_an_alarm_and_a_missing_one_is_refused():
    days = pd.date_range("2013-06-01", periods=3, tz="UTC")
    sent = alerts(pd.DataFrame({"a": [0, np.inf, 0.5]}, days))
    assert np.isinf(sent.peak).to_list() == [True]
    with pytest.raises(ValueError, match="1 ratios are missing; fill them, with 0 where nothing"):
        alerts(pd.DataFrame({"a": [0, np.nan, 0.5]}, days))


@pytest.mark.parametrize("missing", [1, 2, 7])
def test_three_in_a_row_are_days_and_not_rows(missing):
    """Whether a day lacks or is silent, it breaks the row."""
    days = pd.date_range("2013-03-05 05:00", periods=10, tz="UTC")
    table = pd.DataFrame({"a": 2.0}, days)
    silent = table.copy()
    silent.loc[days[missing]] = 0.0
    for policy in (Policy(persistence=3), Policy(persistence=3, quiet=0)):
        lacking = alerts(table.drop(days[missing]), policy=policy)
        pd.testing.assert_frame_equal(lacking, alerts(silent, policy=policy))


def test_days_in_a_row_stay_in_a_row_when_clocks_change():
    at_midnight = pd.date_range("2013-03-08", periods=5, tz="America/New_York").tz_convert("UTC")
    table = pd.DataFrame({"a": 2.0}, at_midnight)
    assert len(alerts(table, policy=Policy(persistence=5))) == 1
    # A quiet time of three days is three days, 71 hours or 73.
    for first in ("2013-03-08", "2013-11-01"):
        checks = pd.date_range(first, periods=5, tz="America/New_York").tz_convert("UTC")
        again = pd.DataFrame({"a": [2.0, 0, 0, 2.0, 0]}, checks)
        assert len(alerts(again)) == 1 and len(alerts(again, policy=Policy(quiet=2))) == 2


def test_checks_in_any_order_or_zone_are_the_same():
    days = pd.date_range("2013-06-01 04:00", periods=6, tz="UTC")
    table = pd.DataFrame({"a": [0, 2.0, 2.0, 0, 0, 2.0]}, days)
    expected = alerts(table, policy=Policy(persistence=2))
    for same in (table[::-1], table.tz_convert("America/New_York"), table.tz_localize(None)):
        pd.testing.assert_frame_equal(alerts(same, policy=Policy(persistence=2)), expected)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"threshold": 0}, "threshold=0 must lie"),
        ({"persistence": 0}, "persistence=0 must lie"),
        ({"quiet": -1}, "quiet=-1 must lie"),
    ],
)
def test_a_policy_that_never_ends_or_begins_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Policy(**options)


def test_ratios_need_moments():
    with pytest.raises(ValueError, match="the index=0 is no moment"):
        alerts(pd.DataFrame({"a": [1.0]}))


# 3. The score


def entry(name, first, last, harm="predictions", **options):
    first, last = (pd.Timestamp(day, tz="UTC") for day in (first, last))
    return Fault(name, "test", first, last, harm, **options)


def sent_on(*days):
    start = pd.DatetimeIndex([f"2013-06-{day:02}" for day in days], tz="UTC")
    return pd.DataFrame(
        {"start": start, "end": start, "columns": [("a",)] * len(days), "peak": 1.0}
    )


TRUTH = [
    entry("found", "2013-06-03", "2013-06-06"),
    entry("missed", "2013-06-10", "2013-06-12"),
    entry("harmless", "2013-06-20", "2013-06-22", "none"),
]
HOURS = pd.date_range("2013-06-01 12:00", periods=30, freq="D", tz="UTC")
LOST = pd.DataFrame(
    {"decided_at": HOURS, "origin": ["LGA", "JFK"] * 15, "extra": 100.0, "usual": 0.0}
)


def test_the_scorecard_counts_what_a_hand_counts():
    sent = {"one": sent_on(1, 5, 21), "none": sent_on()}
    card = scorecard(sent, iter(TRUTH), LOST)
    found = detections(sent["one"], TRUTH)
    assert found["found"] == pd.Timestamp("2013-06-05", tz="UTC") and pd.isna(found["missed"])
    assert card.loc["one", ["caught", "delay", "missed"]].to_list() == [1, 2.0, "missed"]
    assert card.loc["one", "false_month"] == pytest.approx(2.0)  # on the 1st, and the harmless one
    assert card.loc["one", "lost"] == 200 + 200  # two days until found, two days missed
    assert card.loc["none", ["caught", "false_month", "lost"]].to_list() == [0, 0, 500]
    # Two false alarms in thirty days fall by chance into five and four days, grace counted.
    expected = (1 - np.exp(-5 / 15)) + (1 - np.exp(-4 / 15))
    assert card.loc["one", "by_chance"] == pytest.approx(expected)


def test_an_alert_counts_from_after_the_start_until_the_grace_is_over():
    fault = TRUTH[:1]
    for day, caught in ((3, False), (4, True), (8, True), (9, False)):
        assert detections(sent_on(day), fault).notna().all() == caught, day
    first = detections(sent_on(7, 4, 5), fault)
    assert first["found"] == pd.Timestamp("2013-06-04", tz="UTC")


def test_a_real_event_is_priced_by_what_its_flights_cost_beyond_the_usual():
    real = entry("real", "2013-06-03", "2013-06-07", where={"origin": "LGA"}, real=True)
    lost = LOST.assign(usual=np.where(LOST.origin == "LGA", 7.0, -500.0))
    card = scorecard({"none": sent_on(), "one": sent_on(4)}, [real], lost)
    assert card.lost.to_list() == [14, 7] and card.caught_real.to_list() == [0, 1]
    assert card.caught.to_list() == [0, 0]
    cheap = scorecard({"none": sent_on()}, [real], lost.assign(usual=-1.0))
    assert cheap.lost.to_list() == [0]  # days that were cheaper than usual lost nothing


def test_a_truth_without_harm_makes_every_alert_a_false_one():
    card = scorecard({"one": sent_on(1, 21)}, TRUTH[2:], LOST)
    assert card.loc["one", ["caught", "false_month", "lost"]].to_list() == [0, 2, 0]
    assert np.isnan(card.loc["one", "delay"])


def test_losses_price_decisions_and_those_that_were_not_made():
    clean = pd.DataFrame(
        {
            "flight_id": list("abcde"),
            "probability": [0.3, 0.1, 0.3, 0.1, 0.3],
            "late": [1.0, 0.0, 0.0, 1.0, np.nan],
        }
    )
    served = clean.assign(probability=[0.1, 0.3, 0.3, 0.1, 0.1])
    assert losses(clean, served).extra.to_list() == [300, 60, 0, 0, 0]
    gone = served[served.flight_id != "c"]  # nothing decided: not flagged
    assert losses(clean, gone).extra.to_list() == [300, 60, -60, 0, 0]
    twice = pd.concat([clean, served])
    assert losses(clean, twice).extra.to_list() == [0] * 5  # the first decision counts
    unheard = served.assign(late=np.nan)  # a label that never came is as it really was
    assert losses(clean, unheard).extra.to_list() == [300, 60, 0, 0, 0]
    turned = clean.assign(late=[1.0, 1.0, 0.0, 1.0, np.nan])
    assert losses(clean, turned).extra.to_list() == [0, 300, 0, 0, 0]
    usual = losses(clean, served).usual
    assert usual.to_list() == [-90, -90, -30, 210, 0]  # less the mean of 0, 0, 60 and 300


def test_nothing_is_lost_where_nothing_is_broken(served):
    assert (losses(served, served).extra == 0).all()


def test_tables_that_cannot_be_scored_are_refused():
    with pytest.raises(ValueError, match=r"lacks \['start'\]; alerts gives it"):
        detections(pd.DataFrame({"a": []}), TRUTH)
    with pytest.raises(ValueError, match=r"lacks \['extra'\]"):
        scorecard({}, TRUTH, LOST.drop(columns="extra"))
    with pytest.raises(ValueError, match="lost must have one length"):
        scorecard({}, TRUTH, LOST[:0])
    with pytest.raises(ValueError, match=r"lacks \['probability'\]"):
        losses(LOST.assign(flight_id="a", late=0), LOST)


@pytest.mark.slow
def test_ten_monitors_are_scored_on_one_log(served, quiet):
    truth, broken = [], served
    for inject, start, options in (
        (silent_airline, "2013-06-03", {}),
        (label_delay, "2013-08-05", {}),
        (concept_drift, "2013-09-02", {"share": 0.4}),
        (covariate_shift, "2013-05-13", {"origin": "EWR"}),
    ):
        end = str(pd.Timestamp(start) + pd.Timedelta("7D"))
        broken, fault = inject(broken, start, end, **options)
        truth.append(fault)
    monitors = standard_monitors(quiet[0], broken)
    assert list(monitors) == list(standard_detectors())
    assert all(table.notna().all(axis=None) and len(table) == 153 for table in monitors.values())
    sent = {name: alerts(table) for name, table in monitors.items()}
    card = scorecard(sent, [*truth, *REAL[3:7]], losses(served, broken))
    assert len(card) == 10 and card.notna().drop(columns="delay").all(axis=None)
    silent, late, drift, _ = (fault.name for fault in truth)
    absent = sent["labels that lack"]
    assert detections(absent, truth)[[silent, late]].notna().all()
    assert "EV" in absent["columns"].iloc[0]
    assert drift not in card.missed["EWMA of residuals"]
    assert drift in card.missed["labels that lack"]
    week = slice(truth[2].start, truth[2].end)
    checks = {"data checks": standard_detectors()["data checks"]}
    calm = standard_monitors(quiet[0], served, detectors=checks)["data checks"]
    pd.testing.assert_frame_equal(calm[week], monitors["data checks"][week])
    assert (card.lost.min() < card.lost.max()) and card.lost["EWMA of residuals"] < card.lost.max()


def test_monitors_of_ones_own_are_watched_on_the_days_that_are_named(quiet):
    reference, live = quiet
    days = local_day(live.decided_at).unique()[:20]
    own = {"labels": Labels()}
    made = standard_monitors(reference, live, detectors=own, days=days, rate=0.1)
    assert list(made) == ["labels"] and len(made["labels"]) == 20
    rare = standard_monitors(reference, live, detectors=own, days=days, rate=0.03)
    assert (rare["labels"] <= made["labels"]).all(axis=None)
