"""Metrics against scikit-learn's, and intervals that know what a day is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from mlsys_lib.evaluation import auc, break_even, cost, day_block, log_loss, per_day


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
    gap, alone = day_block(auc, day, late, score, noisy), day_block(auc, day, late, score)
    assert gap.high - gap.low < 0.3 * (alone.high - alone.low)


def test_a_model_against_itself_is_a_tie_of_exactly_zero(flights):
    day, late, score = flights
    gap = day_block(auc, day, late, score, score)
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
    got = day_block(cost(300, 60, threshold), day, late, flagged if threshold is None else score)
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
