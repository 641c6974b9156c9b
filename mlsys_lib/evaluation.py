"""How good is it, and how sure are we? Metrics, and intervals that resample whole days.

Flights of one day share their weather, their crowds and their delays, so rows are not independent:
an interval that resamples rows is several times too narrow. The sampling unit here is the day.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Estimate", "auc", "day_block", "log_loss"]

Array = npt.NDArray[np.float64]
Metric = Callable[[Array, Array, Array], float]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def __repr__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"

    @property
    def is_tie(self) -> bool:
        """Whether the interval of a difference contains zero."""
        return self.low <= 0 <= self.high


def auc(y: Array, p: Array, weight: Array) -> float:
    """The area under the ROC curve: how often a late flight is ranked above a punctual one.

    Parameters
    ----------
    y : array of shape (n_flights,), 0 or 1
        Whether each flight was late.
    p : array of shape (n_flights,)
        Its score; ties count a half.
    weight : array of shape (n_flights,), zero or more
        How often each row counts.

    Returns
    -------
    float
        In [0, 1]; NaN where one of the classes has no weight.

    References
    ----------
    Hanley and McNeil (1982), "The meaning and use of the area under a ROC curve", Radiology 143.

    Examples
    --------
    >>> auc(np.array([0.0, 1, 1]), np.array([0.2, 0.2, 0.9]), np.ones(3))
    0.75
    """
    order = np.argsort(p, kind="stable")
    score, late = p[order], weight[order] * y[order]
    starts = np.flatnonzero(np.r_[True, score[1:] != score[:-1]])
    late_here = np.add.reduceat(late, starts)
    other_here = np.add.reduceat(weight[order] - late, starts)
    below = np.cumsum(other_here) - other_here
    with np.errstate(invalid="ignore"):
        return float(np.sum(late_here * (below + other_here / 2)) / (late_here.sum() * np.float64(other_here.sum())))


def log_loss(y: Array, p: Array, weight: Array) -> float:
    """The mean negative log-likelihood of the outcomes under the predicted probabilities, in nats.

    Parameters
    ----------
    y : array of shape (n_flights,), 0 or 1
        Whether each flight was late.
    p : array of shape (n_flights,), probability in (0, 1)
        The prediction; clipped to 1e-12 from either end.
    weight : array of shape (n_flights,), zero or more
        How often each row counts.

    Returns
    -------
    float
        Zero or more; smaller is better.

    Examples
    --------
    >>> round(log_loss(np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.ones(2)), 4)
    0.6931
    """
    clipped = np.clip(p, 1e-12, 1 - 1e-12)
    return float(np.average(-np.log(np.where(y == 1, clipped, 1 - clipped)), weights=weight))


def day_block(
    metric: Metric,
    days: npt.ArrayLike,
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    against: npt.ArrayLike | None = None,
    resamples: int = 300,
) -> Estimate:
    """A metric, or the paired difference of two models, with the interval of the day-block bootstrap.

    Parameters
    ----------
    metric : callable
        ``metric(y, p, weight)``, such as `auc` or `log_loss`.
    days : array of shape (n_flights,)
        The day of each flight; any hashable or sortable value.
    y : array of shape (n_flights,), 0 or 1
        Outcomes.
    p : array of shape (n_flights,)
        Scores or probabilities.
    against : array of shape (n_flights,), optional
        A second model's; then the figure is metric(p) - metric(against), on the same days each time.
    resamples : int, default 300
        How many times the days are drawn with replacement; the seed is fixed.

    Returns
    -------
    Estimate
        The figure on the data itself, and the 2.5 % and 97.5 % points of the resampled ones.

    Raises
    ------
    ValueError
        If the arrays differ in length, or there are fewer than two days.

    References
    ----------
    Künsch (1989), "The jackknife and the bootstrap for general stationary observations", Annals of
    Statistics 17; Davison and Hinkley (1997), *Bootstrap Methods and Their Application*, chapter 8.

    Examples
    --------
    Five flights on three days say little:

    >>> day_block(auc, [1, 1, 2, 2, 3], [0, 1, 0, 1, 1], [0.1, 0.4, 0.3, 0.2, 0.8])
    +0.833 [+0.000, +1.000]
    """
    y, models = np.asarray(y, float), [np.asarray(m, float) for m in (p, against) if m is not None]
    names, day = np.unique(np.asarray(days), return_inverse=True)
    if {len(m) for m in models} != {len(y)} or len(day) != len(y):
        raise ValueError(
            f"days, y and p must have one length; got {len(day)}, {len(y)} and {', '.join(str(len(m)) for m in models)}"
        )
    if len(names) < 2:
        raise ValueError(f"{len(names)} day cannot be resampled; give at least two")
    counts = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    weights = np.vstack([np.ones(len(names)), counts])
    figures = np.zeros(len(weights))
    for model, sign in zip(models, (1, -1), strict=False):
        order = np.argsort(model, kind="stable")  # sorted once, so that every resample's sort is a pass
        sorted_y, sorted_p, sorted_day = y[order], model[order], day[order]
        figures += sign * np.array([metric(sorted_y, sorted_p, w[sorted_day]) for w in weights])
    low, high = np.nanpercentile(figures[1:], [2.5, 97.5])
    return Estimate(float(figures[0]), float(low), float(high))
