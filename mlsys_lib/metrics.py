"""How good is it, and how sure are we? Metrics, and intervals that resample whole days.

Flights of one day share their weather, their crowds and their delays, so rows are not independent:
an interval that resamples rows is several times too narrow. The sampling unit here is the day.

A metric of a probability forecast needs only the joint distribution of score and outcome (Murphy and
Winkler 1987). So a metric here is a function of counts, ``metric(score, late, other)``: how many late
and how many other flights got each score. Counts of days add up, which makes a thousand resamples cheap.
A metric says itself what its scores must be: `auc` takes any, the others take probabilities.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib import checks
from mlsys_lib.checks import Array

Metric = Callable[[Array, Array, Array], Array]
Codes = npt.NDArray[np.intp]
MISS, FALSE_ALARM = 300, 60  # per flight: the course's assumption
GROUPS = 2000  # scores are grouped into at most this many, of equal mass; it moves an AUC by less than 1e-5


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Raises
    ------
    ValueError
        If one of the three is missing or infinite, or `low` is above `high`: that says nothing, neither
        a tie nor a difference.

    Examples
    --------
    As many digits as the interval allows, two of its width:

    >>> Estimate(0.021, -0.013, 0.052), Estimate(8074.3, 4337.1, 12051.4)
    (0.021 [-0.013, 0.052], 8100 [4300, 12100])
    """

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        good = -math.inf < self.low <= self.high < math.inf and math.isfinite(self.value)
        checks.require(good, f"{vars(self)} must be finite, the lower end first")

    def __repr__(self) -> str:
        width = (self.high - self.low) or abs(self.value)
        digits = 1 - math.floor(math.log10(width)) if width > 1e-12 else 3
        value, low, high = (
            f"{round(x, digits) + 0.0:.{max(digits, 0)}f}"  # never -0
            for x in (self.value, self.low, self.high)
        )
        return f"{value} [{low}, {high}]"

    @property
    def is_tie(self) -> bool:
        """Whether the interval of a difference contains zero."""
        return self.low <= 0 <= self.high


def auc(score: Array, late: Array, other: Array) -> Array:
    """The area under the ROC curve: how often a late flight is ranked above another.

    Parameters
    ----------
    score : array of shape (n_scores,), increasing
        The distinct scores.
    late, other : arrays of shape (..., n_scores)
        How many late and other flights got each score; equal scores count a half.

    Returns
    -------
    array of shape (...)
        In [0, 1]; NaN where there are no late or no other flights.

    Raises
    ------
    ValueError
        If the scores fall.

    References
    ----------
    Hanley and McNeil (1982), "The meaning and use of the area under a ROC curve", Radiology 143.

    Examples
    --------
    >>> float(auc(np.array([0.2, 0.9]), late=np.array([1.0, 1]), other=np.array([1.0, 0])))
    0.75
    """
    _ordered(score)
    below = np.cumsum(other, axis=-1) - other
    won = np.sum(late * (below + other / 2), axis=-1)
    return _divided(won, late.sum(axis=-1) * other.sum(axis=-1))


def log_loss(score: Array, late: Array, other: Array) -> Array:
    """The mean negative log-likelihood of the outcomes under the predicted probabilities, in nats.

    Parameters
    ----------
    score : array of shape (n_scores,), probability in [0, 1]
        The distinct predictions; clipped to 1e-12 from either end.
    late, other : arrays of shape (..., n_scores)
        How many late and other flights got each prediction.

    Returns
    -------
    array of shape (...)
        Zero or more; smaller is better. NaN where there are no flights.

    Raises
    ------
    ValueError
        If a score is no probability.

    Examples
    --------
    >>> float(log_loss(np.array([0.5]), late=np.array([1.0]), other=np.array([1.0])).round(4))
    0.6931
    """
    p = np.clip(checks.probabilities(score, "score"), 1e-12, 1 - 1e-12)
    lost = -(late @ np.log(p) + other @ np.log1p(-p))
    return _divided(lost, (late + other).sum(axis=-1))


def bias(score: Array, late: Array, other: Array) -> Array:
    """How much the mean prediction exceeds the late rate.

    Parameters
    ----------
    score : array of shape (n_scores,), probability in [0, 1]
        The distinct predictions.
    late, other : arrays of shape (..., n_scores)
        How many late and other flights got each prediction.

    Returns
    -------
    array of shape (...)
        In [-1, 1]; above zero where the model is too high. NaN where there are no flights.

    Raises
    ------
    ValueError
        If a score is no probability.

    Examples
    --------
    >>> float(bias(np.array([0.5, 1.0]), late=np.array([0.0, 1]), other=np.array([1.0, 0])))
    0.25
    """
    expected = (late + other) @ checks.probabilities(score, "score")
    return _divided(expected - late.sum(axis=-1), (late + other).sum(axis=-1))


def calibration_error(*, bins: int = 20) -> Metric:
    """A metric: the expected calibration error over bins of equal mass.

    Parameters
    ----------
    bins : int, default 20
        How many bins, each of as many flights.

    Returns
    -------
    callable
        ``metric(score, late, other)`` for `day_block`: the mean over the bins of the distance between
        mean prediction and late rate. In [0, 1]. It refuses scores that are no probabilities.

    Raises
    ------
    ValueError
        If `bins` is no whole number, or less than one.

    Notes
    -----
    It depends on the bins: one bin sees only the `bias`, and with very many a perfect model has an error
    as well, that of the noise in each bin. Noise always adds, never cancels: resamples lie above the
    figure itself, and their interval may leave it out. Compare models on the same bins and days.

    References
    ----------
    Nixon et al. (2019), "Measuring calibration in deep learning", CVPR workshops; Roelofs et al. (2022),
    "Mitigating bias in calibration error estimation", AISTATS 25.

    Examples
    --------
    Too high for half of the flights, too low for the other half; a single bin does not see it:

    >>> late, p = [0, 0, 1, 1], [0.3, 0.3, 0.7, 0.7]
    >>> [round(day_block(calibration_error(bins=b), [1, 1, 2, 2], late, p).value, 2) for b in (1, 2)]
    [0.0, 0.3]
    """
    checks.whole(bins, 1, "bins")
    share = np.linspace(0, 1, bins + 1)

    def error(score: Array, late: Array, other: Array) -> Array:
        _ordered(checks.probabilities(score, "score"))
        flat = [np.atleast_2d(counts) for counts in (late, late + other)]
        gaps = [_cumulated(score * n - k, n, share) for k, n in zip(*flat, strict=True)]
        mean = _divided(np.abs(np.diff(gaps)).sum(axis=-1), flat[1].sum(axis=-1))
        return mean.reshape(late.shape[:-1])

    return error


def break_even(miss: float, false_alarm: float) -> float:
    """The probability from which on flagging a flight costs less than leaving it alone.

    Parameters
    ----------
    miss : float
        What a late flight costs that was not flagged, beyond what it costs when it was.
    false_alarm : float
        What a flight costs that was flagged and is not late, beyond what it costs when it was not.

    Returns
    -------
    float
        In [0, 1]. It holds for probabilities that are calibrated.

    Raises
    ------
    ValueError
        If a price is negative or infinite, or both are zero.

    References
    ----------
    Elkan (2001), "The foundations of cost-sensitive learning", IJCAI 17.

    Examples
    --------
    >>> round(break_even(miss=300, false_alarm=60), 3)
    0.167
    """
    checks.within(miss, 0, math.inf, "miss")
    checks.within(false_alarm, 0, math.inf, "false_alarm")
    if not 0 < miss + false_alarm < math.inf:
        raise ValueError(f"miss={miss} and false_alarm={false_alarm} must be finite, not both zero")
    return false_alarm / (false_alarm + miss)


def cost(miss: float, false_alarm: float, *, threshold: float | None = None) -> Metric:
    """A metric: what a flight costs on average, where those that score `threshold` or more are flagged.

    Parameters
    ----------
    miss, false_alarm : float
        Price of a late flight that is not flagged, and of another that is.
    threshold : float, optional
        Where flagging begins, in [0, 1]; `break_even` of the two prices unless you say otherwise.

    Returns
    -------
    callable
        ``metric(score, late, other)`` for `day_block`, in the unit of the prices. It takes decisions
        (0 or 1) as well as probabilities, and refuses scores beyond.

    Raises
    ------
    ValueError
        If a price is negative or infinite, both are zero, or the threshold is no probability.

    Examples
    --------
    Four flights, two of them late; one late flight is missed, one other flight is flagged:

    >>> late, flagged = [1, 1, 0, 0], [1, 0, 1, 0]
    >>> day_block(cost(miss=300, false_alarm=60), [1, 1, 2, 2], late, flagged).value
    90.0
    """
    usual = break_even(miss, false_alarm)
    limit = usual if threshold is None else threshold
    checks.within(limit, 0, 1, "threshold")

    def mean_cost(score: Array, late: Array, other: Array) -> Array:
        flagged = checks.probabilities(score, "score") >= limit
        total = miss * (late @ ~flagged) + false_alarm * (other @ flagged)
        return _divided(total, (late + other).sum(axis=-1))

    return mean_cost


def day_block(
    metric: Metric,
    days: npt.ArrayLike,
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    against: npt.ArrayLike | None = None,
    resamples: int = 1000,
) -> Estimate:
    """A metric, or the paired difference of two models, with the interval of the day-block bootstrap.

    Parameters
    ----------
    metric : callable
        ``metric(score, late, other)``, such as `auc` or `log_loss`.
    days : array of shape (n_flights,)
        The day of each flight, as text, date, number or moment.
    y : array of shape (n_flights,), 0 or 1
        Outcomes: 1 for a late flight.
    p : array of shape (n_flights,)
        Scores; probabilities where the metric asks for them.
    against : array of shape (n_flights,), optional
        A second model's; then the figure is metric(p) - metric(against), on the same days each time.
    resamples : int, default 1000
        How many times the days are drawn with replacement; the seed is fixed.

    Returns
    -------
    Estimate
        The figure on the data itself, and the 2.5 % and 97.5 % points of the resampled ones, where the
        metric has a value.

    Raises
    ------
    ValueError
        If the arrays are empty or differ in length, a value is missing, a label is neither 0 nor 1, a
        score is none for the metric, there are fewer than two days, or the metric has no value on these
        flights, as an AUC of late ones alone.

    Notes
    -----
    Values go together by position; an index that a pandas object may have is not looked at.

    References
    ----------
    Davison and Hinkley (1997), *Bootstrap Methods and Their Application*, section 3.8 on clusters;
    Murphy and Winkler (1987), "A general framework for forecast verification", Monthly Weather Review 115.

    Examples
    --------
    Five flights on three days say little:

    >>> day_block(auc, [1, 1, 2, 2, 3], [0, 1, 0, 1, 1], [0.1, 0.4, 0.3, 0.2, 0.8])
    0.8 [0.0, 1.0]
    """
    late = checks.binary(y, "y")
    models = {"p": checks.numbers(p, "p")}
    if against is not None:
        models["against"] = checks.numbers(against, "against")
    day = day_codes(days, y=late, **models)
    weights = _day_weights(day, resamples)

    def figures(model: Array) -> Array:
        score, group = _grouped(model)
        counts = [weights @ by_day(day, group, kind) for kind in (late, 1.0 - late)]
        return metric(score, *counts)

    first, *second = map(figures, models.values())
    return _interval(first - second[0] if second else first)


def per_day(days: npt.ArrayLike, value: npt.ArrayLike, *, resamples: int = 1000) -> Estimate:
    """The mean daily total of a value, with the interval of the day-block bootstrap.

    Parameters
    ----------
    days : array of shape (n_flights,)
        The day of each flight, as for `day_block`.
    value : array of shape (n_flights,)
        What each flight adds to its day, such as what it cost; for two policies, the difference.
    resamples : int, default 1000
        How many times the days are drawn with replacement; the seed is fixed.

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError
        If the arrays are empty or differ in length, a value is missing, or there are fewer than two days.

    Examples
    --------
    >>> per_day(["Mon", "Mon", "Tue"], [60, 60, 300])
    210 [120, 300]
    """
    amounts = checks.numbers(value, "value")
    day = day_codes(days, value=amounts)
    totals = np.bincount(day, weights=amounts)
    return _interval(_day_weights(day, resamples) @ totals / len(totals))


def reliability(
    days: npt.ArrayLike, y: npt.ArrayLike, p: npt.ArrayLike, *, bins: int = 10
) -> pd.DataFrame:
    """Where predictions are too high and where too low: the table behind a reliability diagram.

    Parameters
    ----------
    days : array of shape (n_flights,)
        The day of each flight, as for `day_block`.
    y : array of shape (n_flights,), 0 or 1
    p : array of shape (n_flights,), probability in [0, 1]
    bins : int, default 10
        Bins of equal mass; equal predictions stay together, so there may be fewer.

    Returns
    -------
    pandas.DataFrame of shape (n_bins, 3)
        `flights`, `predicted` (mean of p) and `late` (an `Estimate` of the late rate) of each bin, from
        the lowest predictions to the highest.

    Raises
    ------
    ValueError
        As `day_block`, or if `bins` is no whole number, or less than one.

    References
    ----------
    DeGroot and Fienberg (1983), "The comparison and evaluation of forecasters", The Statistician 32.

    Examples
    --------
    >>> reliability([1, 2, 1, 2], [0, 0, 0, 1], [0.1, 0.1, 0.6, 0.6], bins=2)
       flights  predicted                  late
    0        2        0.1  0.000 [0.000, 0.000]
    1        2        0.6        0.5 [0.0, 1.0]
    """
    late, score = checks.binary(y, "y"), checks.probabilities(p, "p")
    day = day_codes(days, y=late, p=score)
    checks.whole(bins, 1, "bins")
    group = _equal_mass(score, bins)
    weights = _day_weights(day, 1000)
    flights = weights @ by_day(day, group, np.ones(len(day)))
    rates = _divided(weights @ by_day(day, group, late), flights)
    table = {"flights": flights[0].astype(int), "predicted": np.bincount(group, score) / flights[0]}
    return pd.DataFrame({**table, "late": [_interval(rate) for rate in rates.T]})


def day_codes(days: npt.ArrayLike, **values: Any) -> Codes:
    """The number of each flight's day, from 0 up in the days' order.

    Parameters
    ----------
    days : array of shape (n_flights,)
        As text, date, number or moment.
    **values : array of shape (n_flights, ...)
        What belongs to the same flights, by the name of the argument.

    Returns
    -------
    array of shape (n_flights,)

    Raises
    ------
    ValueError
        If the lengths differ, a day is missing, or there are fewer than two.

    Examples
    --------
    >>> day_codes(["Tue", "Mon", "Tue"], y=[0, 1, 1])
    array([1, 0, 1])
    """
    checks.same_length(days=days, **values)
    codes, names = pd.factorize(pd.Series(days), sort=True)
    if missing := int((codes < 0).sum()):
        raise ValueError(f"days is missing in {missing} of {len(codes)} rows; leave those out")
    checks.require(len(names) > 1, "one day cannot be resampled; give at least two")
    return codes


def by_day(day: Codes, group: Codes, weight: Array) -> Array:
    """The sum of a weight, such as 1 for each late flight, by day and group.

    Parameters
    ----------
    day, group : array of shape (n_flights,)
        Whole numbers from 0, as `day_codes` gives them.
    weight : array of shape (n_flights,)

    Returns
    -------
    array of shape (n_days, n_groups)

    Examples
    --------
    >>> by_day(np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([1.0, 1.0, 5.0]))
    array([[0., 2.],
           [5., 0.]])
    """
    days, groups = day.max() + 1, group.max() + 1
    table = np.bincount(day * groups + group, weights=weight, minlength=days * groups)
    return table.reshape(days, groups).astype(float)


def _interval(figures: Array) -> Estimate:
    """The figure on the data itself, which stands first, and the interval of the resampled ones."""
    known = figures[1:][~np.isnan(figures[1:])]
    checks.require(len(known) > 0, "no value on these flights; give late and other ones, more days")
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(float(figures[0]), float(low), float(high))


def _day_weights(day: Codes, resamples: int) -> Array:
    """How often each day counts: once each in the first row, as drawn with replacement in the others."""
    checks.whole(resamples, 1, "resamples")
    days = int(day.max()) + 1
    drawn = np.random.default_rng(0).multinomial(days, np.full(days, 1 / days), size=resamples)
    return np.vstack([np.ones(days), drawn])


def _grouped(p: Array) -> tuple[Array, Codes]:
    """The distinct scores and which of them each row has; groups of equal mass where there are too many."""
    score, group = np.unique(p, return_inverse=True)
    if len(score) > GROUPS:
        group = _equal_mass(p, GROUPS)
        score = np.bincount(group, weights=p) / np.bincount(group)
    return score, group


def _equal_mass(p: Array, groups: int) -> Codes:
    """The group of each row, from the lowest scores up; rows of one score stay together."""
    quantiles = np.quantile(p, np.linspace(0, 1, groups + 1)[1:-1])
    # What is no probability never hides in a group of some: a metric that refuses it must see it.
    edges = np.unique([0.0, *quantiles, np.nextafter(1.0, 2.0)])
    return np.unique(np.searchsorted(edges, p, side="right"), return_inverse=True)[1]


def _cumulated(error: Array, flights: Array, share: Array) -> Array:
    """The sum of errors over the flights with the lowest scores, at each share of all flights."""
    reached = np.concatenate([[0.0], np.cumsum(flights)])
    summed = np.concatenate([[0.0], np.cumsum(error)])
    return np.interp(share * reached[-1], reached, summed)


def _divided(total: Array, number: Array) -> Array:
    """Missing where there is nothing to divide by."""
    with np.errstate(invalid="ignore"):
        return total / number


def _ordered(score: Array) -> None:
    checks.require(not np.any(np.diff(score) < 0), "the scores fall; give them from the lowest up")
