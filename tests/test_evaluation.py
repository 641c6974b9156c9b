"""Metrics against scikit-learn's, and intervals that know what a day is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from mlsys_lib.evaluation import auc, day_block, log_loss


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
