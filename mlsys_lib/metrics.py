"""How good is it, and how sure are we? Metrics, and intervals that resample whole days.

Flights of one day share their weather, their crowds and their delays, so rows are not independent:
an interval that resamples rows is several times too narrow. The sampling unit here is the day.

A metric of a probability forecast needs only the joint distribution of score and outcome (Murphy and
Winkler 1987). So a metric here is a function of counts, ``metric(score, late, other)``: how many late
and how many other flights got each score. Counts of days add up, which makes a thousand resamples cheap.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib.checks import Array

Metric = Callable[[Array, Array, Array], Array]
MISS, FALSE_ALARM = 300, 60  # per flight: the course's assumption
GROUPS = 2000  # scores are grouped into at most this many, of equal mass; it moves an AUC by less than 1e-5


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def __repr__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

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

    References
    ----------
    Hanley and McNeil (1982), "The meaning and use of the area under a ROC curve", Radiology 143.

    Examples
    --------
    >>> float(auc(np.array([0.2, 0.9]), late=np.array([1.0, 1]), other=np.array([1.0, 0])))
    0.75
    """
    below = np.cumsum(other, axis=-1) - other
    with np.errstate(invalid="ignore"):
        won: Array = np.sum(late * (below + other / 2), axis=-1) / (
            late.sum(axis=-1) * other.sum(axis=-1)
        )
    return won


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
        Zero or more; smaller is better.

    Examples
    --------
    >>> float(log_loss(np.array([0.5]), late=np.array([1.0]), other=np.array([1.0])).round(4))
    0.6931
    """
    p = np.clip(score, 1e-12, 1 - 1e-12)
    lost: Array = -(late @ np.log(p) + other @ np.log1p(-p)) / (
        late.sum(axis=-1) + other.sum(axis=-1)
    )
    return lost


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

    Examples
    --------
    >>> float(bias(np.array([0.5, 1.0]), late=np.array([0.0, 1]), other=np.array([1.0, 0])))
    0.25
    """
    with np.errstate(invalid="ignore"):
        gap: Array = ((late + other) @ score - late.sum(axis=-1)) / (late + other).sum(axis=-1)
    return gap


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
        mean prediction and late rate. In [0, 1].

    Raises
    ------
    ValueError
        If `bins` is less than one.

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
    if bins < 1:
        raise ValueError(f"bins={bins} must be one or more")
    share = np.linspace(0, 1, bins + 1)

    def error(score: Array, late: Array, other: Array) -> Array:
        flat = [np.atleast_2d(counts) for counts in (late, late + other)]
        gaps = [_cumulated(score * n - k, n, share) for k, n in zip(*flat, strict=True)]
        mean: Array = np.abs(np.diff(gaps)).sum(axis=-1) / flat[1].sum(axis=-1)
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
        If a price is negative, or both are zero.

    References
    ----------
    Elkan (2001), "The foundations of cost-sensitive learning", IJCAI 17.

    Examples
    --------
    >>> round(break_even(miss=300, false_alarm=60), 3)
    0.167
    """
    if min(miss, false_alarm) < 0 or miss + false_alarm == 0:
        raise ValueError(
            f"miss={miss} and false_alarm={false_alarm} must be zero or more, and not both zero"
        )
    return false_alarm / (false_alarm + miss)


def cost(miss: float, false_alarm: float, *, threshold: float | None = None) -> Metric:
    """A metric: what a flight costs on average, where those that score `threshold` or more are flagged.

    Parameters
    ----------
    miss, false_alarm : float
        Price of a late flight that is not flagged, and of another that is.
    threshold : float, optional
        Where flagging begins; `break_even` of the two prices unless you say otherwise.

    Returns
    -------
    callable
        ``metric(score, late, other)`` for `day_block`, in the unit of the prices. It takes decisions
        (0 or 1) as well as probabilities.

    Raises
    ------
    ValueError
        If a price is negative, or both are zero.

    Examples
    --------
    Four flights, two of them late; one late flight is missed, one other flight is flagged:

    >>> late, flagged = [1, 1, 0, 0], [1, 0, 1, 0]
    >>> day_block(cost(miss=300, false_alarm=60), [1, 1, 2, 2], late, flagged).value
    90.0
    """
    usual = break_even(miss, false_alarm)
    limit = usual if threshold is None else threshold

    def mean_cost(score: Array, late: Array, other: Array) -> Array:
        flagged = score >= limit
        total = miss * (late @ ~flagged) + false_alarm * (other @ flagged)
        mean: Array = total / (late.sum(axis=-1) + other.sum(axis=-1))
        return mean

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
        The day of each flight; any sortable value.
    y : array of shape (n_flights,), 0 or 1
        Outcomes: 1 for a late flight.
    p : array of shape (n_flights,)
        Scores or probabilities.
    against : array of shape (n_flights,), optional
        A second model's; then the figure is metric(p) - metric(against), on the same days each time.
    resamples : int, default 1000
        How many times the days are drawn with replacement; the seed is fixed.

    Returns
    -------
    Estimate
        The figure on the data itself, and the 2.5 % and 97.5 % points of the resampled ones.

    Raises
    ------
    ValueError
        If the arrays differ in length, hold a missing value, or there are fewer than two days.

    References
    ----------
    Davison and Hinkley (1997), *Bootstrap Methods and Their Application*, section 3.8 on clusters;
    Murphy and Winkler (1987), "A general framework for forecast verification", Monthly Weather Review 115.

    Examples
    --------
    Five flights on three days say little:

    >>> day_block(auc, [1, 1, 2, 2, 3], [0, 1, 0, 1, 1], [0.1, 0.4, 0.3, 0.2, 0.8])
    0.833 [0.000, 1.000]
    """
    late: Array = np.asarray(y, float)
    models = [np.asarray(model, float) for model in (p, against) if model is not None]
    names, day = np.unique(np.asarray(days), return_inverse=True)
    if lengths := {len(day), len(late)} ^ {len(m) for m in models}:
        raise ValueError(f"days, y and p must have one length; got {sorted(lengths | {len(late)})}")
    if np.isnan([late.sum(), *(m.sum() for m in models)]).any():
        raise ValueError(
            "y or p holds a missing value; keep only flights with a label and a prediction"
        )
    if len(names) < 2:
        raise ValueError(f"{len(names)} day cannot be resampled; give at least two")
    weights = _day_weights(len(names), resamples)
    figures = np.zeros(len(weights))
    for model, sign in zip(models, (1, -1), strict=False):
        score, group = _grouped(model)
        counts = [
            _by_day(day, group, weight, (len(names), len(score))) for weight in (late, 1.0 - late)
        ]
        figures += sign * metric(score, weights @ counts[0], weights @ counts[1])
    low, high = np.nanpercentile(figures[1:], [2.5, 97.5])
    return Estimate(float(figures[0]), float(low), float(high))


def per_day(days: npt.ArrayLike, value: npt.ArrayLike, *, resamples: int = 1000) -> Estimate:
    """The mean daily total of a value, with the interval of the day-block bootstrap.

    Parameters
    ----------
    days : array of shape (n_flights,)
        The day of each flight; any sortable value.
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
        If the arrays differ in length, a value is missing, or there are fewer than two days.

    Examples
    --------
    >>> per_day(["Mon", "Mon", "Tue"], [60, 60, 300])
    210.000 [120.000, 300.000]
    """
    amounts: Array = np.asarray(value, float)
    names, day = np.unique(np.asarray(days), return_inverse=True)
    if len(day) != len(amounts):
        raise ValueError(f"days and value must have one length; got {len(day)} and {len(amounts)}")
    if np.isnan(amounts.sum()):
        raise ValueError("value holds a missing value; leave those flights out, or say their price")
    if len(names) < 2:
        raise ValueError(f"{len(names)} day cannot be resampled; give at least two")
    totals = np.bincount(day, weights=amounts)
    figures = _day_weights(len(names), resamples) @ totals / len(names)
    low, high = np.percentile(figures[1:], [2.5, 97.5])
    return Estimate(float(figures[0]), float(low), float(high))


def reliability(
    days: npt.ArrayLike, y: npt.ArrayLike, p: npt.ArrayLike, *, bins: int = 10
) -> pd.DataFrame:
    """Where predictions are too high and where too low: the table behind a reliability diagram.

    Parameters
    ----------
    days : array of shape (n_flights,)
        The day of each flight; any sortable value.
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
        As `day_block`, for each bin.

    References
    ----------
    DeGroot and Fienberg (1983), "The comparison and evaluation of forecasters", The Statistician 32.

    Examples
    --------
    >>> reliability([1, 2, 1, 2], [0, 0, 0, 1], [0.1, 0.1, 0.6, 0.6], bins=2)
       flights  predicted                  late
    0        2        0.1  0.000 [0.000, 0.000]
    1        2        0.6  0.500 [0.000, 1.000]
    """
    day, late, score = np.asarray(days), np.asarray(y, float), np.asarray(p, float)
    edges = np.unique(np.quantile(score, np.linspace(0, 1, bins + 1)[1:-1]))
    group = np.searchsorted(edges, score, side="right")
    rows = []
    for one in np.unique(group):
        inside = group == one
        rate = day_block(_late_rate, day[inside], late[inside], score[inside])
        rows.append((int(inside.sum()), float(score[inside].mean()), rate))
    return pd.DataFrame(rows, columns=["flights", "predicted", "late"])


def _day_weights(days: int, resamples: int) -> Array:
    """How often each day counts: once each in the first row, as drawn with replacement in the others."""
    drawn = np.random.default_rng(0).multinomial(days, np.full(days, 1 / days), size=resamples)
    return np.vstack([np.ones(days), drawn])


def _grouped(p: Array) -> tuple[Array, npt.NDArray[np.intp]]:
    """The distinct scores and which of them each row has; groups of equal mass where there are too many."""
    score, group = np.unique(p, return_inverse=True)
    if len(score) > GROUPS:
        edges = np.unique(np.quantile(p, np.linspace(0, 1, GROUPS + 1)[1:-1]))
        group = np.searchsorted(edges, p, side="right")
        sizes = np.bincount(group, minlength=len(edges) + 1)
        score = np.bincount(group, weights=p, minlength=len(edges) + 1) / np.maximum(sizes, 1)
    return score, group


def _cumulated(error: Array, flights: Array, share: Array) -> Array:
    """The sum of errors over the flights with the lowest scores, at each share of all flights."""
    reached = np.concatenate([[0.0], np.cumsum(flights)])
    summed = np.concatenate([[0.0], np.cumsum(error)])
    found: Array = np.interp(share * reached[-1], reached, summed)
    return found


def _late_rate(score: Array, late: Array, other: Array) -> Array:
    with np.errstate(invalid="ignore"):
        rate: Array = late.sum(axis=-1) / (late + other).sum(axis=-1)
    return rate


def _by_day(
    day: npt.NDArray[np.intp], group: npt.NDArray[np.intp], weight: Array, shape: tuple[int, int]
) -> Array:
    table = np.bincount(day * shape[1] + group, weights=weight, minlength=shape[0] * shape[1])
    return table.reshape(shape).astype(float)
