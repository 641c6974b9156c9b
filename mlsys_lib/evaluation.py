"""How good is it, and how sure are we? Metrics, and intervals that resample whole days.

Flights of one day share their weather, their crowds and their delays, so rows are not independent:
an interval that resamples rows is several times too narrow. The sampling unit here is the day.

A metric of a probability forecast needs only the joint distribution of score and outcome (Murphy and
Winkler 1987). So a metric here is a function of counts, ``metric(score, late, other)``: how many late
and how many other flights got each score. Counts of days add up, which makes a thousand resamples cheap.

A figure over all flights hides where it comes from: `slices` takes it apart, and `discoveries` says how
much of what a search over hundreds of slices finds is more than chance. A release is decided by each
`Criterion` that was set before anyone looked.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = [
    "Criterion",
    "Estimate",
    "auc",
    "bias",
    "break_even",
    "calibration_error",
    "cost",
    "day_block",
    "discoveries",
    "fingerprint",
    "log_loss",
    "per_day",
    "release_report",
    "reliability",
    "slices",
]

Array = npt.NDArray[np.float64]
Metric = Callable[[Array, Array, Array], Array]
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


def calibration_error(bins: int = 20) -> Metric:
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
    >>> [round(day_block(calibration_error(b), [1, 1, 2, 2], late, p).value, 2) for b in (1, 2)]
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


def cost(miss: float, false_alarm: float, threshold: float | None = None) -> Metric:
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


def per_day(days: npt.ArrayLike, value: npt.ArrayLike, resamples: int = 1000) -> Estimate:
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
    days: npt.ArrayLike, y: npt.ArrayLike, p: npt.ArrayLike, bins: int = 10
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


def slices(
    rows: pd.DataFrame,
    days: npt.ArrayLike,
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    columns: Iterable[str],
    at_least: int = 200,
) -> pd.DataFrame:
    """Every value of every column, and every pair of values of two columns: how does the model do there?

    Parameters
    ----------
    rows : pandas.DataFrame of shape (n_flights, n_columns)
    days : array of shape (n_flights,)
        The day of each flight; any sortable value.
    y : array of shape (n_flights,), 0 or 1
    p : array of shape (n_flights,), probability in [0, 1]
    columns : iterable of str
        Of few values each; cut numbers into ranges first. A missing value is a value of its own.
    at_least : int, default 200
        Slices with fewer flights, or on fewer than 20 days, are left out.

    Returns
    -------
    pandas.DataFrame of shape (n_slices, 9), by slice
        `flights`, `days`, `late` (rate), `p` (mean prediction), `loss` (mean log loss), `constant` (the
        loss of the slice's own late rate, said of each of its flights), `gap` (p - late), `excess` (gap
        less the gap over all flights) and `error` (the standard error of the excess, by days).

    Raises
    ------
    ValueError
        If the lengths differ.
    KeyError
        If a column is missing.

    Notes
    -----
    A slice's `excess` is a difference of two ratios of daily totals; its error is that of the delta
    method with days as the sampling unit, which agrees with the bootstrap of `day_block`.

    Examples
    --------
    >>> table = pd.DataFrame({"carrier": ["AA", "B6"] * 40})
    >>> late, p = [0, 1] * 40, [0.5] * 80
    >>> slices(table, np.arange(80) // 4, late, p, ["carrier"], at_least=20)[["flights", "gap"]]
                flights  gap
    slice
    carrier=AA       40  0.5
    carrier=B6       40 -0.5
    """
    late, predicted = np.asarray(y, float), np.asarray(p, float)
    day = np.unique(np.asarray(days), return_inverse=True)[1]
    if len({len(rows), len(day), len(late), len(predicted)}) > 1:
        raise ValueError(
            f"rows, days, y and p must have one length; got {len(rows)}, {len(day)}, {len(late)} "
            f"and {len(predicted)}"
        )
    inside = np.clip(predicted, 1e-12, 1 - 1e-12)
    values = np.vstack([late, predicted, -np.where(late == 1, np.log(inside), np.log1p(-inside))])
    parts = []
    for column in columns:
        named = rows[column].astype(object).where(rows[column].notna(), "missing").map(str)
        seen, code = np.unique(named.to_numpy(str), return_inverse=True)
        parts.append((np.array([f"{column}={value}" for value in seen]), code))
    for (left, a), (right, b) in combinations(parts.copy(), 2):
        both = np.char.add(np.char.add(left[:, None], ", "), right).ravel()
        parts.append((both, a * len(right) + b))
    whole = _sliced(np.array(["all"]), np.zeros_like(day), day, values, 1)
    made = [_sliced(titles, code, day, values, at_least, whole[1]) for titles, code in parts]
    table = pd.concat([part for part, _ in made]).rename_axis("slice")
    table.insert(7, "excess", table.gap - whole[0].gap.iloc[0])
    return table[table.days >= 20]


def discoveries(table: pd.DataFrame, rate: float = 0.05) -> pd.DataFrame:
    """The slices on which the model errs otherwise than on the whole, after paying for the search.

    Parameters
    ----------
    table : pandas.DataFrame of shape (n_slices, 9)
        As `slices` gives it: all of it, for each slice that was looked at counts.
    rate : float, default 0.05
        Which share of what is found may be chance.

    Returns
    -------
    pandas.DataFrame of shape (n_found, 11)
        With `t` (excess in standard errors) and `chance` (the smallest rate at which the slice is still
        found), the clearest first.

    References
    ----------
    Benjamini and Hochberg (1995), "Controlling the false discovery rate", JRSS B 57. Slices overlap, so
    their tests are positively dependent, under which the method still holds (Benjamini and Yekutieli
    2001, Annals of Statistics 29).

    Examples
    --------
    >>> table = pd.DataFrame({"excess": [0.09, 0.02], "error": [0.01, 0.01], "days": [82, 82]}, ["a", "b"])
    >>> discoveries(table, rate=0.01).t.to_dict()
    {'a': 9.0}
    """
    from scipy import stats

    t = table.excess / table.error
    chance = stats.false_discovery_control(2 * stats.t.sf(t.abs(), table.days - 1))
    found = table.assign(t=t, chance=chance)
    return found[found.chance <= rate].sort_values("t", key=lambda t: -t.abs())


@dataclass(frozen=True)
class Criterion:
    """What a release must reach, said before anyone looks.

    Parameters
    ----------
    name : str
    limit : float
    better : str, default "below"
        On which side of the limit the figure must lie: "below" or "above".

    Examples
    --------
    >>> rule = Criterion("log loss against the old model", 0.0)
    >>> [rule.verdict(Estimate(-0.01, low, high)) for low, high in ((-0.02, -0.005), (-0.03, 0.01))]
    ['pass', 'open']
    """

    name: str
    limit: float
    better: str = "below"

    def __post_init__(self) -> None:
        if self.better not in ("below", "above"):
            raise ValueError(f'better={self.better!r} must be "below" or "above"')

    def verdict(self, figure: Estimate | float) -> str:
        """What a figure says: pass, fail, or open where its interval holds the limit."""
        ends = (figure.low, figure.high) if isinstance(figure, Estimate) else (figure, figure)
        good = {end <= self.limit if self.better == "below" else end >= self.limit for end in ends}
        return "open" if len(good) == 2 else "pass" if good.pop() else "fail"


def fingerprint(criteria: Iterable[Criterion]) -> str:
    """A short digest of criteria: whoever noted it before the evaluation can show that they stayed.

    Parameters
    ----------
    criteria : iterable of Criterion

    Returns
    -------
    str
        12 hexadecimal digits; another limit, name or order, other digits.

    Examples
    --------
    >>> len(fingerprint([Criterion("bias", 0.02)]))
    12
    """
    text = repr([(rule.name, float(rule.limit), rule.better) for rule in criteria])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def release_report(
    title: str, criteria: Iterable[Criterion], figures: Mapping[str, Estimate | float]
) -> str:
    """The evaluation against the criteria that were set before it, as Markdown.

    Parameters
    ----------
    title : str
        Which model, on which flights.
    criteria : iterable of Criterion
    figures : mapping of str to Estimate or float
        What was measured, by the name of its criterion.

    Returns
    -------
    str
        A table with a verdict each, their count, and the criteria's `fingerprint`. What to do about an
        open or failed one is not its to say.

    Raises
    ------
    ValueError
        If a criterion has no figure or a figure no criterion: none is left out, none is added afterwards.

    Examples
    --------
    >>> print(release_report("A model", [Criterion("bias", 0.02)], {"bias": Estimate(0.01, 0.0, 0.03)}))
    ### A model
    <BLANKLINE>
    | criterion | required | measured | verdict |
    |---|---|---|---|
    | bias | at most 0.02 | 0.010 [0.000, 0.030] | open |
    <BLANKLINE>
    pass 0, open 1, fail 0. Criteria ...
    """
    rules = list(criteria)
    if odd := {rule.name for rule in rules} ^ set(figures):
        raise ValueError(
            f"criteria and figures must have the same names; only one has {sorted(odd)}"
        )
    lines, verdicts = [], []
    for rule in rules:
        figure = figures[rule.name]
        said = repr(figure) if isinstance(figure, Estimate) else f"{figure:.3g}"
        side = "at most" if rule.better == "below" else "at least"
        verdicts.append(rule.verdict(figure))
        lines.append(f"| {rule.name} | {side} {rule.limit:g} | {said} | {verdicts[-1]} |")
    count = ", ".join(
        f"{verdict} {verdicts.count(verdict)}" for verdict in ("pass", "open", "fail")
    )
    head = ["| criterion | required | measured | verdict |", "|---|---|---|---|"]
    return "\n".join(
        [f"### {title}", "", *head, *lines, "", f"{count}. Criteria {fingerprint(rules)}"]
    )


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


def _sliced(
    titles: npt.NDArray[np.str_],
    code: npt.NDArray[np.intp],
    day: npt.NDArray[np.intp],
    values: Array,
    at_least: int,
    whole: Array | float = 0.0,
) -> tuple[pd.DataFrame, Array]:
    """The slices of one partition, and what each day adds to the gap of each, less the `whole`."""
    kept = np.bincount(code, minlength=len(titles)) >= at_least
    shape = (int(day.max()) + 1, len(titles))
    flights = _by_day(day, code, np.ones(len(day)), shape)[:, kept]
    number = flights.sum(axis=0)
    late, p, loss = (np.bincount(code, v, len(titles))[kept] / number for v in values)
    residual = _by_day(day, code, values[1] - values[0], shape)[:, kept]
    added = (residual - (p - late) * flights) / number - whole
    error = np.sqrt((added**2).sum(axis=0) * len(added) / (len(added) - 1))
    rate = np.clip(late, 1e-12, 1 - 1e-12)
    figures = {
        "flights": number.astype(int),
        "days": (flights > 0).sum(axis=0),
        "late": late,
        "p": p,
        "loss": loss,
        "constant": -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate)),
        "gap": p - late,
        "error": error,
    }
    return pd.DataFrame(figures, index=titles[kept]), added


def _by_day(
    day: npt.NDArray[np.intp], group: npt.NDArray[np.intp], weight: Array, shape: tuple[int, int]
) -> Array:
    table = np.bincount(day * shape[1] + group, weights=weight, minlength=shape[0] * shape[1])
    return table.reshape(shape).astype(float)
