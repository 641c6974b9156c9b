"""Metrics against scikit-learn's, and intervals that know what a day is."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from mlsys_lib.metrics import (
    Estimate,
    auc,
    bias,
    break_even,
    calibration_error,
    cost,
    day_block,
    log_loss,
    per_day,
    reliability,
)
from mlsys_lib.release import Criterion, discoveries, fingerprint, release_report, slices


@pytest.fixture(scope="module")
def flights():
    """Simulated: 200 days of 100 flights; a whole day is good or bad, and the score knows a little of both."""
    rng = np.random.default_rng(1)
    day = np.repeat(np.arange(200), 100)
    mood = rng.normal(size=200)[day]
    late = (rng.random(len(day)) < 1 / (1 + np.exp(1.2 - mood))).astype(float)
    score = 1 / (1 + np.exp(1.2 - 0.5 * mood - 0.5 * late + rng.normal(size=len(day)) * 0.5))
    return day, late, score


def test_auc_and_log_loss_agree_with_scikit_learn(flights):
    day, late, score = flights
    assert day_block(auc, day, late, score).value == pytest.approx(
        metrics.roc_auc_score(late, score), abs=1e-5
    )
    assert day_block(log_loss, day, late, score).value == pytest.approx(
        metrics.log_loss(late, score), abs=1e-5
    )


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5]), st.booleans()), min_size=3, max_size=30)
)
def test_ties_count_a_half(rows):
    score, late = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], float)
    if 0 < late.sum() < len(late):
        got = day_block(auc, np.arange(len(late)) % 2, late, score, resamples=2)
        assert got.value == pytest.approx(metrics.roc_auc_score(late, score))


def test_the_interval_by_days_is_wider_than_the_one_by_rows(flights):
    day, late, score = flights
    by_day, by_row = (
        day_block(auc, day, late, score),
        day_block(auc, np.arange(len(day)), late, score, resamples=200),
    )
    assert by_day.high - by_day.low > 1.5 * (by_row.high - by_row.low)


def test_a_paired_difference_is_narrower_than_either_interval(flights):
    day, late, score = flights
    noisy = score + np.random.default_rng(2).normal(size=len(score)) * 0.01
    gap, alone = day_block(auc, day, late, score, against=noisy), day_block(auc, day, late, score)
    assert gap.high - gap.low < 0.3 * (alone.high - alone.low)


def test_a_model_against_itself_is_a_tie_of_exactly_zero(flights):
    day, late, score = flights
    gap = day_block(auc, day, late, score, against=score)
    assert (gap.value, gap.low, gap.high) == (0, 0, 0) and gap.is_tie


def test_the_interval_covers_the_truth_about_as_often_as_it_promises():
    """Simulated: 100 data sets of 60 days, whose true mean rate is known; 95 of 100 should cover it."""
    rng, covered = np.random.default_rng(3), 0

    def rate(score, late, other):
        return late.sum(-1) / (late.sum(-1) + other.sum(-1))

    for _ in range(100):
        daily = rng.beta(2, 6, size=60)
        day = np.repeat(np.arange(60), 50)
        interval = day_block(
            rate, day, rng.random(len(day)) < daily[day], np.zeros(len(day)), resamples=400
        )
        covered += interval.low <= 0.25 <= interval.high
    assert 88 <= covered <= 99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [0, 1], [0.5]), "one length"),
        (([1, 1], [0, 1], [0.1, 0.2]), "at least two"),
        (([1, 2], [0, np.nan], [0.1, 0.2]), "missing value"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        day_block(auc, *arguments)


prices = st.floats(1, 1000)


@given(prices, prices)
def test_at_the_break_even_flagging_and_not_flagging_cost_the_same(miss, false_alarm):
    p = break_even(miss, false_alarm)
    assert p * miss == pytest.approx((1 - p) * false_alarm)


@pytest.mark.parametrize("threshold", [None, 0.1, 0.5])
def test_the_cost_is_what_adding_up_the_flights_gives(flights, threshold):
    day, late, score = flights
    flagged = score >= (1 / 6 if threshold is None else threshold)
    bill = np.where(flagged, np.where(late == 1, 0, 60), np.where(late == 1, 300, 0))
    got = day_block(
        cost(300, 60, threshold=threshold), day, late, flagged if threshold is None else score
    )
    assert got.value == pytest.approx(bill.mean(), abs=0.05)  # scores are grouped
    exact = day_block(cost(300, 60), day, late, flagged)
    assert exact.value == pytest.approx(bill.mean())


def test_flagging_all_or_none_costs_what_the_late_rate_says(flights):
    day, late, _ = flights
    every, none = (day_block(cost(300, 60), day, late, np.full(len(day), f)) for f in (1, 0))
    assert every.value == pytest.approx(60 * (1 - late.mean()))
    assert none.value == pytest.approx(300 * late.mean())


def test_a_daily_total_agrees_with_the_mean_per_flight_where_days_are_alike(flights):
    day, late, score = flights
    bill = np.where(score >= 1 / 6, 60 * (1 - late), 300 * late)
    total, mean = per_day(day, bill), day_block(cost(300, 60), day, late, score >= 1 / 6)
    assert [total.value, total.low, total.high] == pytest.approx(
        [100 * mean.value, 100 * mean.low, 100 * mean.high]
    )


def test_a_price_that_cannot_be_is_named():
    for bad in ((-1, 60), (300, -1), (0, 0)):
        with pytest.raises(ValueError, match="zero or more"):
            cost(*bad)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [60]), "one length"),
        (([1, 1], [60, 60]), "at least two"),
        (([1, 2], [60, np.nan]), "missing value"),
    ],
)
def test_bad_input_of_a_daily_total_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        per_day(*arguments)


def test_the_bias_is_the_difference_of_two_means(flights):
    day, late, score = flights
    got = day_block(bias, day, late, score)
    assert got.value == pytest.approx(score.mean() - late.mean(), abs=1e-6)
    assert got.low < got.value < got.high


def test_the_calibration_error_is_what_bins_of_equal_mass_give(flights):
    day, late, score = flights
    ordered = np.argsort(score, kind="stable").reshape(20, -1)
    by_hand = np.abs((score - late)[ordered].mean(axis=1)).mean()
    assert day_block(calibration_error(bins=20), day, late, score).value == pytest.approx(
        by_hand, abs=1e-3
    )


def test_one_bin_sees_only_the_bias_and_more_bins_never_less(flights):
    day, late, score = flights
    errors = [
        day_block(calibration_error(bins=b), day, late, score, resamples=2).value
        for b in (1, 5, 20)
    ]
    assert errors[0] == pytest.approx(abs(score.mean() - late.mean()), abs=1e-6)
    assert errors == sorted(errors)  # each splits the bins before it


def test_a_constant_that_says_the_late_rate_has_no_calibration_error(flights):
    day, late, _ = flights
    figure = day_block(
        calibration_error(bins=20), day, late, np.full(len(day), late.mean()), resamples=2
    )
    assert figure.value == pytest.approx(0)


def test_no_bins_are_refused():
    with pytest.raises(ValueError, match="bins=0"):
        calibration_error(bins=0)


def test_the_bins_of_a_reliability_table_hold_equal_mass_and_all_flights(flights):
    day, late, score = flights
    table = reliability(day, late, score, bins=8)
    assert table.flights.tolist() == [2500] * 8
    assert table.predicted.is_monotonic_increasing
    rates = np.array([late[part].mean() for part in np.array_split(np.argsort(score), 8)])
    assert [one.value for one in table.late] == pytest.approx(rates)


def test_equal_predictions_stay_in_one_bin(flights):
    day, late, _ = flights
    table = reliability(day, late, np.where(np.arange(len(day)) % 4, 0.2, 0.3), bins=10)
    assert table.flights.tolist() == [15000, 5000]


@pytest.fixture(scope="module")
def sliced(flights):
    day, late, score = flights
    rng = np.random.default_rng(4)
    rows = pd.DataFrame(
        {
            "airline": rng.choice(["AA", "B6", "DL"], len(day), p=[0.6, 0.3, 0.1]),
            "gate": pd.Categorical(rng.choice(["north", "south"], len(day))),
            "stand": rng.choice([1.0, 2.0, np.nan], len(day)),
        }
    )
    return rows, slices(rows, day, late, score, list(rows), at_least=1)


def test_slices_are_what_a_groupby_gives(flights, sliced):
    day, late, score = flights
    rows, table = sliced
    frame = rows.assign(
        day=day, late=late, p=score, loss=-np.log(np.where(late == 1, score, 1 - score))
    )
    for columns in (["airline"], ["airline", "gate"]):
        groups = frame.groupby(columns, observed=True)
        named = groups.size().reset_index()[columns].itertuples(index=False, name=None)
        titles = [", ".join(f"{c}={v}" for c, v in zip(columns, n, strict=True)) for n in named]
        got = table.loc[titles]
        assert got.flights.tolist() == groups.size().tolist()
        assert got.days.tolist() == groups.day.nunique().tolist()
        for column in ("late", "p", "loss"):
            assert got[column].to_numpy() == pytest.approx(groups[column].mean().to_numpy())
    rate = table.late
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
    assert table.constant.to_numpy() == pytest.approx(entropy.to_numpy())
    assert (table.excess - table.gap).to_numpy() == pytest.approx(late.mean() - score.mean())


def test_each_pair_of_columns_is_looked_at_and_missing_is_a_value(sliced):
    _, table = sliced
    assert len(table) == (3 + 2 + 3) + (6 + 9 + 6)
    assert table.flights["stand=missing"] > 0


def test_the_error_of_an_excess_agrees_with_the_bootstrap(flights, sliced):
    day, late, score = flights
    rows, table = sliced
    inside = (rows.airline == "B6").to_numpy()
    one, rng = np.ones(len(day)), np.random.default_rng(5)
    sums = [np.bincount(day, weights=w) for w in (score - late, one)]
    sums += [np.bincount(day[inside], weights=w[inside]) for w in (score - late, one)]
    drawn = [np.column_stack(sums)[rng.integers(0, 200, 200)].sum(axis=0) for _ in range(1000)]
    drawn = [c / d - a / b for a, b, c, d in drawn]
    assert table.error["airline=B6"] == pytest.approx(np.std(drawn), rel=0.1)


def test_small_slices_are_left_out(flights):
    day, late, score = flights
    rows = pd.DataFrame({"half": np.arange(len(day)) % 2, "few days": day < 19, "few": day == 199})
    table = slices(rows, day, late, score, rows, at_least=150)
    assert "few days=True" not in table.index and "few=True" not in table.index
    assert "half=1, few=False" in table.index
    with pytest.raises(ValueError, match="one length"):
        slices(rows[1:], day, late, score, rows)


def test_a_search_finds_the_planted_slice_and_little_else(flights):
    """Simulated: 300 slices that mean nothing, and one in which the model is ten points too high."""
    day, late, score = flights
    rng = np.random.default_rng(6)
    rows = pd.DataFrame({f"c{i:02}": rng.integers(0, 4, len(day)).astype(str) for i in range(6)})
    p = np.where(rows.c03 == "2", np.clip(score + 0.1, 0, 1), score)
    table = slices(rows, day, late, p, rows)
    found = discoveries(table)
    assert len(table) > 250
    assert found.index[0] == "c03=2"
    others = table[~table.index.str.contains("c03=")]  # the rest of c03 lies below the whole
    assert found.index.isin(others.index).sum() <= 2
    assert (abs(others.excess / others.error) > 1.96).sum() > 5


def test_what_is_found_is_what_scipy_adjusts(sliced):
    _, table = sliced
    assert discoveries(table, rate=1).index.sort_values().equals(table.index.sort_values())
    assert len(discoveries(table, rate=0)) == 0


@pytest.mark.parametrize(
    ("better", "figure", "verdict"),
    [
        ("below", 0.02, "pass"),
        ("below", 0.021, "fail"),
        ("above", 0.021, "pass"),
        ("below", Estimate(0.01, 0.0, 0.02), "pass"),
        ("below", Estimate(0.01, 0.0, 0.03), "open"),
        ("below", Estimate(0.04, 0.03, 0.05), "fail"),
        ("above", Estimate(0.04, 0.03, 0.05), "pass"),
        ("below", float("nan"), "fail"),
    ],
)
def test_a_verdict_is_open_where_the_interval_holds_the_limit(better, figure, verdict):
    assert Criterion("bias", 0.02, better=better).verdict(figure) == verdict


def test_a_criterion_that_changed_has_another_fingerprint():
    before = [Criterion("bias", 0.02)]
    assert fingerprint(before) == fingerprint([Criterion("bias", np.float64(0.02))])
    assert fingerprint(before) != fingerprint([Criterion("bias", 0.03)])
    with pytest.raises(ValueError, match="below"):
        Criterion("bias", 0.02, better="less")


def test_a_report_has_a_figure_for_each_criterion_and_no_other():
    rules = [Criterion("bias", 0.02), Criterion("AUC", 0.7, better="above")]
    text = release_report("M", rules, {"AUC": Estimate(0.74, 0.72, 0.76), "bias": 0.03})
    assert "| bias | at most 0.02 | 0.03 | fail |" in text
    assert "| AUC | at least 0.7 | 0.740 [0.720, 0.760] | pass |" in text
    assert f"pass 1, open 0, fail 1. Criteria {fingerprint(rules)}" in text
    for figures in ({"bias": 0.01}, {"bias": 0.01, "AUC": 0.8, "new": 1.0}):
        with pytest.raises(ValueError, match=r"AUC|new"):
            release_report("M", rules, figures)
