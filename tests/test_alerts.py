"""Monitors: labels that come late, limits that hold, a scorecard that adds up."""

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
    standard_monitors,
)
from mlsys_lib.drift import estimated
from mlsys_lib.faults import (
    REAL,
    Fault,
    concept_drift,
    covariate_shift,
    label_delay,
    silent_airline,
)
from mlsys_lib.metrics import auc, cost
from mlsys_lib.world import local_day

# 1. Performance


def test_performance_sees_only_labels_that_are_mature(served):
    now = pd.Timestamp("2013-06-12 20:00", tz="UTC")
    seen = served[served.decided_at < "2013-07-01"]
    blind = seen.assign(
        late=seen.late.where(seen.labelled_at <= now),
        labelled_at=seen.labelled_at.where(seen.labelled_at <= now),
    )
    pd.testing.assert_frame_equal(performance(seen, now), performance(blind, now))
    table = performance(seen, now)
    assert table.late.notna().to_list() == (table.settled >= COMPLETE).to_list()
    assert (table.known_at.dropna() <= now).all()
    assert np.isnan(table.late.iloc[-1]) and table.late.iloc[:-2].notna().all()


def test_performance_is_the_plain_figure_once_all_is_known(served):
    table = performance(served, "2013-10-03")
    day = local_day(served.decided_at)
    own = served[(day == "2013-06-12") & served.late.notna()]
    assert table.loc["2013-06-12", "residual"] == pytest.approx((own.late - own.probability).mean())
    score = own.probability.to_numpy()
    late = own.late.to_numpy()
    assert table.loc["2013-06-12", "cost"] == pytest.approx(
        cost(300, 60)(score, late, 1 - late), rel=1e-9
    )


def test_estimates_without_labels_are_right_if_the_probabilities_are(served):
    p = np.sort(served.probability.to_numpy())
    drawn = (np.random.default_rng(0).random(len(p)) < p).astype(float)
    for metric in (auc, cost(300, 60)):
        assert estimated(metric, p) == pytest.approx(float(metric(p, drawn, 1 - drawn)), rel=0.01)


def test_estimates_without_labels_do_not_see_concept_drift(served):
    week = served[local_day(served.decided_at).between("2013-09-02", "2013-09-08")]
    drifted, _ = concept_drift(week, "2013-09-02", "2013-09-09")
    before, after = (performance(rows, "2013-10-03").cost.mean() for rows in (week, drifted))
    metric = cost(300, 60)
    assert after > 1.3 * before
    assert estimated(metric, drifted.probability) == estimated(metric, week.probability)


# 2. Alerts


def test_alerts_wait_group_and_keep_to_their_budget():
    days = pd.date_range("2013-06-01", periods=20, tz="UTC")
    table = pd.DataFrame({"a": 0.0, "b": 0.0}, days)
    table.iloc[[1, 2, 3, 5, 12], 0] = [2, 3, 2, 2, 4]
    table.iloc[[2, 16], 1] = 1.5
    sent = alerts(table)
    assert sent["start"].dt.day.to_list() == [2, 3, 13, 17]
    assert sent["columns"].to_list() == [("a",), ("b",), ("a",), ("b",)]
    assert sent.end.dt.day.to_list() == [6, 3, 13, 17] and sent.peak.max() == 4
    assert alerts(table, policy=Policy(persistence=2))["start"].dt.day.to_list() == [3]
    assert alerts(table, policy=Policy(threshold=3.5))["start"].dt.day.to_list() == [13]
    assert alerts(table, policy=Policy(budget=2))["start"].dt.day.to_list() == [2, 3]
    assert alerts(table, policy=Policy(quiet=30))["start"].dt.day.to_list() == [2, 3]
    assert alerts(table * 0).empty


def entry(name, first, last, harm="predictions"):
    return Fault(name, "test", pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC"), harm)


def sent_on(*days):
    start = pd.DatetimeIndex([f"2013-06-{day:02}" for day in days], tz="UTC")
    return pd.DataFrame(
        {"start": start, "end": start, "columns": [("a",)] * len(start), "peak": 1.0}
    )


def test_the_scorecard_counts_what_a_hand_counts():
    truth = [
        entry("found", "2013-06-03", "2013-06-06"),
        entry("missed", "2013-06-10", "2013-06-12"),
        entry("harmless", "2013-06-20", "2013-06-22", "none"),
    ]
    hours = pd.date_range("2013-06-01 12:00", periods=30, freq="D", tz="UTC")
    lost = pd.DataFrame({"decided_at": hours, "extra": 100.0, "usual": 0.0})
    sent = {"one": sent_on(1, 5, 21), "none": sent_on()}
    card = scorecard(sent, truth, lost)
    found = detections(sent["one"], truth)
    assert found["found"] == pd.Timestamp("2013-06-05", tz="UTC") and pd.isna(found["missed"])
    assert card.loc["one", ["caught", "delay", "missed"]].to_list() == [1, 2.0, "missed"]
    assert card.loc["one", "false_month"] == pytest.approx(2.0)  # on the 1st, and the harmless one
    assert card.loc["one", "lost"] == 200 + 200  # two days until found, two days missed
    assert card.loc["none", ["caught", "false_month", "lost"]].to_list() == [0, 0, 500]


def test_nothing_is_lost_where_nothing_is_broken(served):
    assert (losses(served, served).extra == 0).all()


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
    sent = {name: alerts(table) for name, table in monitors.items()}
    card = scorecard(sent, [*truth, *REAL[3:7]], losses(served, broken))
    assert len(card) == 10 and card.notna().drop(columns="delay").all(axis=None)
    silent, late, drift, _ = (fault.name for fault in truth)
    absent = sent["labels that lack"]
    assert detections(absent, truth)[[silent, late]].notna().all()
    assert "EV" in absent["columns"].iloc[0]
    assert drift not in card.missed["EWMA of residuals"]
    assert drift in card.missed["labels that lack"] and drift in card.missed["data checks"]
    assert (card.lost.min() < card.lost.max()) and card.lost["EWMA of residuals"] < card.lost.max()
