"""Metrics against scikit-learn's, and intervals that know what a day is."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
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


def test_auc_and_log_loss_agree_with_scikit_learn(graded):
    day, late, score = graded
    assert day_block(auc, day, late, score).value == pytest.approx(
        metrics.roc_auc_score(late, score), abs=1e-5
    )
    assert day_block(log_loss, day, late, score).value == pytest.approx(
        metrics.log_loss(late, score), abs=1e-5
    )


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5]), st.booleans()), min_size=3, max_size=30)
)
def test_ties_count_a_half(rows):
    score, late = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], float)
    if 0 < late.sum() < len(late):
        got = day_block(auc, np.arange(len(late)) % 2, late, score, resamples=2)
        assert got.value == pytest.approx(metrics.roc_auc_score(late, score))


def test_the_interval_by_days_is_wider_than_the_one_by_rows(graded):
    day, late, score = (part[:5000] for part in graded)
    by_day, by_row = (
        day_block(auc, day, late, score),
        day_block(auc, np.arange(len(day)), late, score, resamples=200),
    )
    assert by_day.high - by_day.low > 1.5 * (by_row.high - by_row.low)


def test_a_paired_difference_is_narrower_than_either_interval(graded):
    day, late, score = graded
    noisy = score + np.random.default_rng(2).normal(size=len(score)) * 0.01
    gap, alone = day_block(auc, day, late, score, against=noisy), day_block(auc, day, late, score)
    assert gap.high - gap.low < 0.3 * (alone.high - alone.low)


def test_a_difference_is_the_first_less_the_second(graded):
    day, late, score = graded
    noisy = score + np.random.default_rng(2).normal(size=len(score)) * 0.5
    gap = day_block(auc, day, late, score, against=noisy)
    alone = [day_block(auc, day, late, p, resamples=1).value for p in (score, noisy)]
    assert gap.value == pytest.approx(alone[0] - alone[1])
    assert 0 < gap.low < gap.value < gap.high


def test_a_model_against_itself_is_a_tie_of_exactly_zero(graded):
    day, late, score = graded
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
        (([1, 2], [0, 1], [0.5]), r"days, y, p must have one length .* \[2, 2, 1\]"),
        (([1, 1, 2, 2, 3, 3], [0, 1, 0, 1, 0], [0.5] * 6), r"one length .* \[6, 5, 6\]"),
        (([], [], []), "one length of one or more"),
        (([1, 1], [0, 1], [0.1, 0.2]), "one day .* at least two"),
        (([1, 2], [0, np.nan], [0.1, 0.2]), "y holds 1 missing .* first at 1"),
        (([1, 2], [0, 1], [None, 0.2]), "p holds 1 missing .* first at 0"),
        (([1, 2], [0, 1], [np.inf, 0.2]), "p holds 1 missing or infinite"),
        (([1, 2, 3], [-1, 1, 1], [0.1, 0.2, 0.3]), "y must hold 0 and 1; position 0 holds -1"),
        (([1, 2, 3], [0, 1, 0.5], [0.1, 0.2, 0.3]), "y must hold 0 and 1; position 2"),
        (([1, 2], [0, 1], ["low", "high"]), "p must hold numbers"),
        (([1, 2], [0, 1], [[0.9, 0.1], [0.2, 0.8]]), r"p must have one dimension.*\(2, 2\)"),
        ((["Mon", None, "Tue"], [0, 1, 1], [0.1, 0.2, 0.3]), "days is missing in 1 of 3 rows"),
        ((pd.to_datetime(["2013-04-22", None]), [0, 1], [0.1, 0.2]), "days is missing in 1 of 2"),
        (([1.0, np.nan, 2.0], [0, 1, 1], [0.1, 0.2, 0.3]), "days is missing in 1 of 3"),
        (([1, 2], [1, 1], [0.1, 0.2]), "no value on these flights"),
        (([1, 2], [0, 0], [0.1, 0.2]), "no value on these flights"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        day_block(auc, *arguments)


@pytest.mark.parametrize(
    ("against", "message"),
    [
        ([0.1], "days, y, p, against must have one length"),
        ([0.1, np.nan], "against holds 1 missing"),
        ([0.1, -np.inf], "against holds 1 missing or infinite"),
    ],
)
def test_bad_input_of_a_second_model_is_named(against, message):
    with pytest.raises(ValueError, match=message):
        day_block(auc, [1, 2], [0, 1], [0.1, 0.2], against=against)


@pytest.mark.parametrize("resamples", [0, -1, 2.5, "many"])
def test_resamples_are_a_whole_number(resamples):
    with pytest.raises(ValueError, match=f"resamples={resamples!r} must be a whole number"):
        day_block(auc, [1, 2], [0, 1], [0.1, 0.2], resamples=resamples)
    with pytest.raises(ValueError, match=f"resamples={resamples!r} must be a whole number"):
        per_day([1, 2], [0, 1], resamples=resamples)


OF_PROBABILITIES = [log_loss, bias, calibration_error(bins=5), cost(300, 60)]


@pytest.mark.parametrize("metric", OF_PROBABILITIES)
@pytest.mark.parametrize("wrong", [lambda p: 100 * p, lambda p: p - 0.5, lambda p: 1.8 * p])
def test_what_is_no_probability_is_refused_where_one_is_needed(graded, metric, wrong):
    """By `metric` itself, and by `day_block`, few flights of many too high, in either model."""
    day, late, score = graded
    bad = np.where(np.arange(len(score)) == np.argmax(score), wrong(np.float64(1.0)), score)
    bad = np.where(np.arange(len(score)) == np.argmin(score), wrong(np.float64(0.0)), bad)
    with pytest.raises(ValueError, match="must hold probabilities, from 0 to 1"):
        day_block(metric, day, late, bad, resamples=2)
    with pytest.raises(ValueError, match="must hold probabilities, from 0 to 1"):
        day_block(metric, day, late, score, against=bad, resamples=2)
    with pytest.raises(ValueError, match="must hold probabilities, from 0 to 1"):
        metric(wrong(np.array([0.0, 1.0])), np.ones(2), np.ones(2))


def test_a_ranking_takes_any_score_and_a_cost_takes_decisions(graded):
    day, late, score = graded
    ranked = day_block(auc, day, late, 100 * score - 7, resamples=2)
    assert ranked.value == pytest.approx(day_block(auc, day, late, score, resamples=2).value)
    assert day_block(cost(300, 60), day, late, score >= 0.3, resamples=2).value > 0


def test_scores_that_fall_are_refused_where_their_order_counts():
    counts = np.array([1.0, 3.0])
    for metric in (auc, calibration_error(bins=2)):
        with pytest.raises(ValueError, match="the scores fall"):
            metric(np.array([0.9, 0.2]), counts, counts)


def test_a_metric_without_flights_has_no_value():
    nothing, score = np.zeros((1, 2)), np.array([0.2, 0.4])
    for metric in (auc, *OF_PROBABILITIES):
        assert np.isnan(metric(score, nothing, nothing)).all()


def test_values_go_together_by_position_whatever_their_index(graded):
    day, late, score = (part[:2000] for part in graded)
    plain = day_block(auc, day, late, score, against=1 - score, resamples=20)
    odd = np.random.default_rng(0).permutation(2000)
    tables = (pd.Series(day), pd.Series(late, odd), pd.Series(score, np.zeros(2000)))
    assert day_block(auc, *tables, against=1 - score, resamples=20) == plain
    assert per_day(tables[0], tables[1], resamples=20) == per_day(day, late, resamples=20)
    table = reliability(*tables, bins=3)
    assert table.late.tolist() == reliability(day, late, score, bins=3).late.tolist()


def test_a_day_may_be_text_a_date_or_a_moment(graded):
    day, late, score = (part[:1000] for part in graded)
    dates = pd.Timestamp("2013-04-22", tz="America/New_York") + pd.to_timedelta(day, unit="D")
    plain = day_block(auc, day, late, score, resamples=20)
    for days in (dates, dates.date, dates.strftime("%Y-%m-%d"), dates.to_series(), day / 7):
        assert day_block(auc, days, late, score, resamples=20) == plain


def test_resamples_on_which_a_metric_has_no_value_are_left_out():
    """Two of three days have no late flight: a draw of those alone has no AUC, and no say."""
    days, y, p = [1, 1, 2, 3], [0, 1, 0, 0], [0.2, 0.4, 0.3, 0.5]
    got = day_block(auc, days, y, p)
    assert got.value == pytest.approx(2 / 3)
    assert 0 <= got.low <= got.high <= 1


@pytest.mark.parametrize(
    "ends",
    [(np.nan, 0, 1), (0, np.nan, 1), (0, 0, np.nan), (np.inf, 0, 1), (0, -np.inf, 1), (1, 2, 0)],
)
def test_an_estimate_that_is_no_number_is_neither_a_tie_nor_a_difference(ends):
    with pytest.raises(ValueError, match="must be finite, the lower end first"):
        Estimate(*ends)


@pytest.mark.parametrize(
    ("ends", "tie"),
    [((0, 0, 0), True), ((1, 0, 2), True), ((-1, -2, 0), True), ((1, 1e-9, 2), False)],
)
def test_a_tie_is_an_interval_that_holds_zero(ends, tie):
    assert Estimate(*ends).is_tie is tie
    assert Estimate(*(-end for end in (ends[0], ends[2], ends[1]))).is_tie is tie


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.7454, 0.722, 0.7694), "0.745 [0.722, 0.769]"),
        ((0.7454, 0.7425, 0.7478), "0.7454 [0.7425, 0.7478]"),
        ((12345.678, 11000, 13000), "12300 [11000, 13000]"),
        ((0.74412, 0.74402, 0.74427), "0.74412 [0.74402, 0.74427]"),
        ((1.2e-6, -3e-6, 4e-6), "0.0000012 [-0.0000030, 0.0000040]"),
        ((2e-5, 2e-5, 2e-5), "0.000020 [0.000020, 0.000020]"),
        ((1e-17, 0, 2e-17), "0.000 [0.000, 0.000]"),  # rounding
        ((0, 0, 0), "0.000 [0.000, 0.000]"),
    ],
)
def test_an_estimate_shows_its_interval_however_narrow(ends, text):
    assert repr(Estimate(*ends)) == text


prices = st.floats(1, 1000)


@given(prices, prices)
def test_at_the_break_even_flagging_and_not_flagging_cost_the_same(miss, false_alarm):
    p = break_even(miss, false_alarm)
    assert p * miss == pytest.approx((1 - p) * false_alarm)


@pytest.mark.parametrize("threshold", [None, 0.1, 0.5])
def test_the_cost_is_what_adding_up_the_flights_gives(graded, threshold):
    day, late, score = graded
    flagged = score >= (1 / 6 if threshold is None else threshold)
    bill = np.where(flagged, np.where(late == 1, 0, 60), np.where(late == 1, 300, 0))
    got = day_block(
        cost(300, 60, threshold=threshold), day, late, flagged if threshold is None else score
    )
    assert got.value == pytest.approx(bill.mean(), abs=0.05)  # scores are grouped
    exact = day_block(cost(300, 60), day, late, flagged)
    assert exact.value == pytest.approx(bill.mean())


def test_flagging_all_or_none_costs_what_the_late_rate_says(graded):
    day, late, _ = graded
    every, none = (day_block(cost(300, 60), day, late, np.full(len(day), f)) for f in (1, 0))
    assert every.value == pytest.approx(60 * (1 - late.mean()))
    assert none.value == pytest.approx(300 * late.mean())


def test_a_daily_total_agrees_with_the_mean_per_flight_where_days_are_alike(graded):
    day, late, score = graded
    bill = np.where(score >= 1 / 6, 60 * (1 - late), 300 * late)
    total, mean = per_day(day, bill), day_block(cost(300, 60), day, late, score >= 1 / 6)
    assert [total.value, total.low, total.high] == pytest.approx(
        [100 * mean.value, 100 * mean.low, 100 * mean.high]
    )


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        ((-1, 60), "miss=-1 must lie at 0 or above"),
        ((300, -1), "false_alarm=-1 must lie at 0 or above"),
        ((np.nan, 60), "miss=nan must lie"),
        ((300, np.nan), "false_alarm=nan must lie"),
        (("300", 60), "miss='300' must lie"),
        ((0, 0), "not both zero"),
        ((np.inf, 60), "must be finite"),
        ((300, np.inf), "must be finite"),
    ],
)
def test_a_price_that_cannot_be_is_named(prices, message):
    for priced in (cost, break_even):
        with pytest.raises(ValueError, match=message):
            priced(*prices)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, 17, np.nan, np.inf, "half"])
def test_a_threshold_that_is_no_probability_is_refused(threshold):
    with pytest.raises(ValueError, match=r"threshold=.* must lie from 0 to 1"):
        cost(300, 60, threshold=threshold)


def test_the_interval_of_a_mean_is_as_wide_as_theory_says():
    """Simulated: 95 % of a mean of 400 days lie within 1.96 of its standard errors, whatever their order."""
    totals = np.sort(np.random.default_rng(7).normal(100, 15, 400))
    got = per_day(np.arange(400), totals, resamples=4000)
    half = 1.96 * totals.std() / 20
    assert got.value == pytest.approx(totals.mean())
    assert got.high - got.low == pytest.approx(2 * half, rel=0.05)
    assert (got.high + got.low) / 2 == pytest.approx(totals.mean(), abs=0.1 * half)


def test_the_order_of_rows_does_not_matter(graded):
    day, late, score = (part[:2000] for part in graded)
    mixed = np.random.default_rng(0).permutation(2000)
    names = np.array([f"day {one:02}" for one in day])
    plain = day_block(auc, names, late, score, resamples=50)
    again = day_block(auc, names[mixed], late[mixed], score[mixed], resamples=50)
    assert repr(again) == repr(plain)


def test_a_metric_sees_every_score_where_they_are_few():
    """As a metric of one's own needs that looks scores up: a thousand, most of them rare."""
    score = np.concatenate([np.arange(1000.0), np.zeros(20_000)])
    seen = []

    def watched(score, late, other):
        seen.append(score)
        return late.sum(axis=-1)

    day_block(watched, np.arange(len(score)) % 7, score > 3, score, resamples=1)
    np.testing.assert_array_equal(seen[0], np.arange(1000.0))


def test_a_sure_prediction_costs_nothing_where_it_is_right_and_is_capped_where_wrong():
    sure, one, none = np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.array([1.0, 0.0])
    assert log_loss(sure, late=one, other=none) == pytest.approx(0, abs=1e-11)
    assert log_loss(sure, late=none, other=one) == pytest.approx(-np.log(1e-12), rel=1e-4)


def test_a_price_of_nothing_is_a_price():
    assert break_even(0, 60) == 1 and break_even(300, 0) == 0


def test_without_a_threshold_flagging_begins_at_the_break_even():
    late, p = np.array([1, 0, 1, 0, 1, 0]), np.array([0.1, 0.1, 0.2, 0.2, 0.7, 0.7])
    bill = np.where(p >= break_even(300, 60), 60 * (1 - late), 300 * late)
    got = day_block(cost(300, 60), [1, 2, 1, 2, 1, 2], late, p, resamples=2)
    assert got.value == pytest.approx(bill.mean()) == 70
    exact = day_block(cost(1, 4), [1, 2], [0, 0], [0.8, 0.79], resamples=2)
    assert exact.value == pytest.approx(2)  # 0.8 is flagged, 0.79 is not


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [60]), "one length"),
        (([], []), "one or more"),
        (([1, 1], [60, 60]), "at least two"),
        (([1, None], [60, 60]), "days is missing in 1 of 2"),
        (([1, 2], [60, np.nan]), "value holds 1 missing"),
        (([1, 2], [60, np.inf]), "value holds 1 missing or infinite"),
    ],
)
def test_bad_input_of_a_daily_total_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        per_day(*arguments)


def test_the_bias_is_the_difference_of_two_means(graded):
    day, late, score = graded
    got = day_block(bias, day, late, score)
    assert got.value == pytest.approx(score.mean() - late.mean(), abs=1e-6)
    assert got.low < got.value < got.high


def test_the_calibration_error_is_what_bins_of_equal_mass_give(graded):
    day, late, score = graded
    ordered = np.argsort(score, kind="stable").reshape(20, -1)
    by_hand = np.abs((score - late)[ordered].mean(axis=1)).mean()
    assert day_block(calibration_error(bins=20), day, late, score).value == pytest.approx(
        by_hand, abs=1e-3
    )


def test_one_bin_sees_only_the_bias_and_more_bins_never_less(graded):
    day, late, score = graded
    errors = [
        day_block(calibration_error(bins=b), day, late, score, resamples=2).value
        for b in (1, 5, 20)
    ]
    assert errors[0] == pytest.approx(abs(score.mean() - late.mean()), abs=1e-6)
    assert errors == sorted(errors)  # each splits the bins before it


def test_a_constant_that_says_the_late_rate_has_no_calibration_error(graded):
    day, late, _ = graded
    figure = day_block(
        calibration_error(bins=20), day, late, np.full(len(day), late.mean()), resamples=2
    )
    assert figure.value == pytest.approx(0)


@pytest.mark.parametrize("bins", [0, -3, 2.5, None])
def test_no_bins_are_refused(bins):
    for binned in (calibration_error, partial(reliability, [1, 2], [0, 1], [0.1, 0.2])):
        with pytest.raises(ValueError, match=f"bins={bins} must be a whole number"):
            binned(bins=bins)


def test_the_bins_of_a_reliability_table_hold_equal_mass_and_all_flights(graded):
    day, late, score = graded
    table = reliability(day, late, score, bins=8)
    assert table.flights.tolist() == [2500] * 8
    assert table.predicted.is_monotonic_increasing
    rates = np.array([late[part].mean() for part in np.array_split(np.argsort(score), 8)])
    assert [one.value for one in table.late] == pytest.approx(rates)


def test_equal_predictions_stay_in_one_bin(graded):
    day, late, _ = graded
    table = reliability(day, late, np.where(np.arange(len(day)) % 4, 0.2, 0.3), bins=10)
    assert table.flights.tolist() == [15000, 5000]


def test_the_interval_of_a_bin_resamples_all_days():
    """A bin that is seen on one day only has an interval: of the draws that hold that day."""
    table = reliability([1, 1, 2, 2], [0, 1, 1, 0], [0.1, 0.9, 0.9, 0.9], bins=2)
    assert table.flights.tolist() == [1, 3]
    assert table.predicted.tolist() == pytest.approx([0.1, 0.9])
    assert [rate.value for rate in table.late] == pytest.approx([0, 2 / 3])
    assert (table.late[1].low, table.late[1].high) == (0.5, 1.0)


def test_a_reliability_table_needs_probabilities_and_labels(graded):
    day, late, score = graded
    with pytest.raises(ValueError, match="p must hold probabilities"):
        reliability(day, late, 100 * score)
    with pytest.raises(ValueError, match="y must hold 0 and 1"):
        reliability(day, 2 * late - 1, score)
