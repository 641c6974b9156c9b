"""How far is a window of decisions from a reference? Statistics, detectors, and their thresholds.

1. **Statistics.** `Numbers.ks`, `Names.chi2`, `psi` say how far one column is from a reference.
2. **Detectors** fit a reference and score a window: `Univariate`, `Binned`, `RandomFeatures`, `Quality`,
   and `Alibi`, which lends alibi-detect's. `calibrate` gives their thresholds, `ratios` scores days.

The sampling unit is the day. Flights of one day share their weather and their crowds, so a p-value that
counts flights rejects one half of an undisturbed reference against the other. Here a threshold is what
undisturbed days themselves exceed no more often than promised.
"""

import importlib
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib.checks import Array
from mlsys_lib.features import CATEGORIES, FEATURES
from mlsys_lib.metrics import FALSE_ALARM, MISS, Metric, cost
from mlsys_lib.world import local_day, midnight

Rows = pd.DataFrame
_CELLS = 2**16  # of the coarse look-up in `Numbers`
_LEAST = 0.01  # no threshold below: a reference without a single gap must not forbid one


# 1. Statistics


class Numbers:
    """A reference column of numbers, sorted once.

    Parameters
    ----------
    values : array of shape (n_reference,)
        Missing ones count as larger than any number, so a feed that dies is a shift as well.

    Examples
    --------
    >>> Numbers([1, 2, 3, 4]).ks([3, 4, 5, None])
    0.5
    """

    def __init__(self, values: npt.ArrayLike) -> None:
        column = np.asarray(values, float)
        found, counts = np.unique(column[~np.isnan(column)], return_counts=True)
        below = np.append(0, np.cumsum(counts)) / len(column)
        # The distribution function just before each value and at it, in turn.
        self._below = np.repeat(below, 2)[1:]
        self._values: Array = np.append(found, np.nan)
        self._low = found[0] if len(found) else 0.0
        self._scale = _CELLS / max(np.ptp(found), 1e-300) if len(found) else 1.0
        cells = np.bincount(self._cell(found), minlength=_CELLS + 2)
        self._first = np.cumsum(cells) - cells
        self._crowd = int(cells.max())

    def _cell(self, x: Array) -> npt.NDArray[np.intp]:
        """A coarse place that never falls as x grows; beyond all cells for what is missing."""
        with np.errstate(over="ignore"):
            scaled = (x - self._low) * self._scale
        return np.fmax(np.fmin(scaled, _CELLS + 1), 0).astype(np.intp)

    def _place(self, x: Array) -> npt.NDArray[np.intp]:
        """How many reference values are smaller: `numpy.searchsorted`, some times faster."""
        if self._crowd > 4:  # then sorting first is the faster way
            return np.searchsorted(self._values[:-1], x)
        place = self._first[self._cell(x)]
        for _ in range(self._crowd):
            place += x > self._values[place]
        return place

    def ks(self, new: npt.ArrayLike) -> float:
        """The Kolmogorov-Smirnov statistic: the largest distance of the two distribution functions.

        Parameters
        ----------
        new : array of shape (n_new,)

        Returns
        -------
        float
            In [0, 1]. What `scipy.stats.ks_2samp` gives with infinity for missing values.

        Notes
        -----
        Between two reference values its function is flat and the new one only rises, so the distance
        is largest right at a reference value or just before it: counting suffices, no merging.
        """
        x = np.asarray(new, float)
        if self._crowd > 4:
            x = np.sort(x)
        place, size = self._place(x), len(self._values)
        same = self._values[place] == x
        seen = np.cumsum(np.bincount(2 * place + same, minlength=2 * size))[: 2 * size - 1]
        seen[-1] -= np.count_nonzero(np.isnan(x))
        return float(np.abs(self._below - seen / len(x)).max())


class Names:
    """A reference column of names, counted once.

    Parameters
    ----------
    values : array of shape (n_reference,)
        A missing one is a name of its own.

    Examples
    --------
    >>> round(Names(["UA", "UA", "DL"]).chi2(["UA", "UAL", "UAL"]), 3)
    3.333
    """

    def __init__(self, values: npt.ArrayLike) -> None:
        self.names = pd.Index(pd.Series(values).dropna().astype(object).unique())
        self.counts = self.count(values)

    def count(self, new: npt.ArrayLike) -> Array:
        """How often each name of the reference comes; then missing ones; then each that it lacks."""
        column = pd.Series(new).astype("category").cat
        tally = np.bincount(column.codes + 1, minlength=len(column.categories) + 1)
        missing, seen = tally[:1], tally[1:]
        place = self.names.get_indexer(column.categories)
        known = np.zeros(len(self.names))
        known[place[place >= 0]] = seen[place >= 0]
        counts: Array = np.concatenate([known, missing, seen[(place < 0) & (seen > 0)]])
        return counts

    def beside(self, new: npt.ArrayLike) -> tuple[Array, Array]:
        """The counts of the reference and of the new, name by name."""
        seen = self.count(new)
        return np.append(self.counts, np.zeros(len(seen) - len(self.counts))), seen

    def chi2(self, new: npt.ArrayLike) -> float:
        """Pearson's chi-squared statistic of the table reference / new by name.

        Parameters
        ----------
        new : array of shape (n_new,)

        Returns
        -------
        float
            Zero or more. What `scipy.stats.chi2_contingency` gives.
        """
        had, seen = self.beside(new)
        old, now = had.sum(), seen.sum()
        both = np.maximum(had + seen, 1)
        return float(np.sum((had * now - seen * old) ** 2 / both) / old / now)


def edges(values: npt.ArrayLike, *, bins: int = 10) -> Array:
    """Where the bins of a histogram end, such that the reference has about as many in each.

    Parameters
    ----------
    values : array of shape (n_reference,)
    bins : int, default 10

    Returns
    -------
    array of shape (bins - 1 or fewer,), increasing
        Fewer where values repeat: no bin is empty by construction.

    Examples
    --------
    >>> edges([1, 1, 1, 2, 3, 4], bins=3).round(2)
    array([2.33])
    """
    column = np.asarray(values, float)
    known: Array = column[~np.isnan(column)]
    if not len(known):
        return known
    inner = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    ends: Array = inner[inner > known.min()]
    return ends


def histogram(values: npt.ArrayLike, ends: Array) -> npt.NDArray[np.intp]:
    """Counts by bin; those of two parts of the data add up to those of the whole.

    Parameters
    ----------
    values : array of shape (n_values,)
    ends : array of shape (n_ends,)
        As `edges` gives them. An end belongs to the bin above it.

    Returns
    -------
    array of shape (n_ends + 2,), int
        From the lowest bin to the highest; the last counts missing values.

    Examples
    --------
    >>> histogram([1, 2, 3, np.nan], np.array([2.0]))
    array([1, 2, 1])
    """
    column = np.asarray(values, float)
    place = np.searchsorted(ends, column, side="right")
    return np.bincount(place + np.isnan(column), minlength=len(ends) + 2)


def psi(expected: npt.ArrayLike, actual: npt.ArrayLike) -> float:
    """The population stability index of two histograms.

    Parameters
    ----------
    expected, actual : arrays of shape (n_bins,)
        Counts. Half a row is added to each, so that an empty bin gives no infinity.

    Returns
    -------
    float
        Zero or more. The usual "0.1 is some, 0.25 is much" has no derivation; see `calibrate`.

    References
    ----------
    Siddiqi (2006), *Credit Risk Scorecards*; Yurdakul (2018), "Statistical properties of the population
    stability index".

    Examples
    --------
    >>> round(psi([50, 50], [80, 20]), 2)
    0.41
    """
    old, new = (np.asarray(counts, float) + 0.5 for counts in (expected, actual))
    old, new = old / old.sum(), new / new.sum()
    return float(np.sum((new - old) * np.log(new / old)))


# 2. Detectors


class Detector(Protocol):
    """What `calibrate` and `ratios` need: large scores are suspicious."""

    def fit(self, reference: Rows) -> Self:
        """Learn what is usual."""
        ...

    def score(self, window: Rows) -> pd.Series:
        """One statistic a column, or one in all."""
        ...


class Univariate:
    """Each column alone: Kolmogorov-Smirnov for numbers, Cramér's V (of chi-squared) for names.

    Parameters
    ----------
    columns : iterable of str, default all features

    Examples
    --------
    A grey Friday in April against the three days before:

    >>> from mlsys_lib import World, examples
    >>> world = World("2013-04-20")
    >>> rows = examples(world, world.decisions(since="2013-04-15"))
    >>> day = rows.decided_at.dt.day
    >>> detector = Univariate(columns=["carrier", "visib", "pressure"]).fit(rows[day < 18])
    >>> detector.score(rows[day == 19]).round(2).to_dict()
    {'carrier': 0.01, 'visib': 0.6, 'pressure': 0.55}
    """

    def __init__(self, *, columns: Iterable[str] = FEATURES) -> None:
        self.columns = list(columns)

    def fit(self, reference: Rows) -> Self:
        """Sort the numbers and count the names."""
        self._known: dict[str, Numbers | Names] = {
            c: Names(reference[c]) if c in CATEGORIES else Numbers(reference[c])
            for c in self.columns
        }
        self._size = len(reference)
        return self

    def score(self, window: Rows) -> pd.Series:
        """Both in [0, 1], and comparable between windows of different length."""
        size = len(window) + self._size
        return pd.Series(
            {
                c: known.ks(window[c])
                if isinstance(known, Numbers)
                else (known.chi2(window[c]) / size) ** 0.5
                for c, known in self._known.items()
            }
        )


class Binned(Univariate):
    """Each column alone: the population stability index.

    Examples
    --------
    >>> usual, now = (pd.DataFrame({"carrier": names}) for names in (["UA", "DL"] * 50, ["UA"] * 50))
    >>> Binned(columns=["carrier"]).fit(usual).score(now).round(1).to_dict()
    {'carrier': 2.3}
    """

    def fit(self, reference: Rows) -> Self:
        """Choose the bins and count."""
        self._names = {c: Names(reference[c]) for c in self.columns if c in CATEGORIES}
        self._ends = {c: edges(reference[c]) for c in self.columns if c not in CATEGORIES}
        self._had = {c: histogram(reference[c], ends) for c, ends in self._ends.items()}
        return self

    def score(self, window: Rows) -> pd.Series:
        """The index of each column."""
        names = {c: psi(*known.beside(window[c])) for c, known in self._names.items()}
        numbers = {c: psi(self._had[c], histogram(window[c], e)) for c, e in self._ends.items()}
        return pd.Series(names | numbers)[self.columns]


class RandomFeatures:
    """All numbers together: the squared maximum mean discrepancy, by random Fourier features.

    Parameters
    ----------
    columns : iterable of str, default all features
        Of these the numbers, standardised by the reference; a missing one is taken as the mean.
    features : int, default 2048
        The more, the nearer to the exact statistic, whose cost is quadratic in the rows. On months of
        these flights it is within 10 % with 2048 and within 20 % with 512.
    rows : int, default 20000
        How many rows of the reference are used, evenly spread.
    seed : int, default 0

    References
    ----------
    Gretton et al. (2012), "A kernel two-sample test", JMLR 13; Rahimi and Recht (2007), "Random
    features for large-scale kernel machines", NeurIPS 20; Sutherland and Schneider (2015), "On the
    error of random Fourier features", UAI 31, for the pairing of sine and cosine.

    Examples
    --------
    >>> usual = pd.DataFrame({"temp": np.random.default_rng(0).normal(50, 10, 2000)})
    >>> detector = RandomFeatures(columns=["temp"]).fit(usual)
    >>> detector.score(usual[::2]).round(2).to_dict(), detector.score(usual + 10).round(2).to_dict()
    ({'all': 0.0}, {'all': 0.18})
    """

    def __init__(
        self,
        *,
        columns: Iterable[str] = FEATURES,
        features: int = 2048,
        rows: int = 20_000,
        seed: int = 0,
    ) -> None:
        self.columns = [c for c in columns if c not in CATEGORIES]
        self._features, self._rows, self._seed = features, rows, seed

    def fit(self, reference: Rows) -> Self:
        """Scale by the reference; the kernel is as wide as the median distance of two of its rows."""
        rng = np.random.default_rng(self._seed)
        values = reference[self.columns].to_numpy(float)
        self._mean, self._sd = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        self._sd[self._sd == 0] = 1
        pairs = self.scaled(reference.iloc[rng.integers(0, len(reference), 2000)])
        apart = np.linalg.norm(pairs[:1000] - pairs[1000:], axis=1)
        self.width = float(np.median(apart))
        turn = rng.normal(0, 1 / self.width, (len(self.columns), self._features // 2))
        self._turn = turn.astype(np.float32)  # half the memory, and several times the speed
        self._usual = self._embedded(reference.iloc[:: max(1, len(reference) // self._rows)])
        return self

    def score(self, window: Rows) -> pd.Series:
        """The squared distance of the mean embeddings, under the one name ``all``."""
        apart = self._embedded(window) - self._usual
        return pd.Series({"all": float(apart @ apart) * 2 / self._features})

    def scaled(self, rows: Rows) -> Array:
        """What the kernel sees of rows."""
        scaled: Array = (rows[self.columns].to_numpy(float) - self._mean) / self._sd
        return np.nan_to_num(scaled)

    def _embedded(self, rows: Rows) -> Array:
        total = np.zeros(2 * self._turn.shape[1])
        for start in range(0, len(rows), 4096):  # as much as stays in the cache
            angle = self.scaled(rows.iloc[start : start + 4096]).astype(np.float32) @ self._turn
            total += np.append(np.cos(angle).sum(axis=0), np.sin(angle).sum(axis=0))
        return total / len(rows)


class Quality(Univariate):
    """What needs no distribution: rows lost or repeated, gaps, values that stand still or are new.

    Parameters
    ----------
    columns : iterable of str, default all features

    Examples
    --------
    >>> at = pd.date_range("2013-06-03 12:00", periods=48, freq="h", tz="UTC")
    >>> rows = pd.DataFrame({"flight_id": range(48), "decided_at": at, "visib": [9.0, 10.0] * 24})
    >>> miles = Quality(columns=["visib"]).fit(rows)
    >>> miles.score(rows.assign(visib=rows.visib * 1.6)).to_dict()
    {'volume': 0.0, 'repeated': 0.0, 'visib gaps': 0.0, 'visib outside': 1.0, 'visib stuck': 0.0}
    """

    def fit(self, reference: Rows) -> Self:
        """Note the rows of each weekday, shares of gaps, names, ranges, distinct values a day."""
        day = local_day(reference.decided_at)
        self._rows = day.value_counts().groupby(lambda moment: moment.weekday()).median()
        self._gaps = reference[self.columns].isna().mean()
        self._names = {c: set(reference[c]) for c in self.columns if c in CATEGORIES}
        numbers = reference[[c for c in self.columns if c not in CATEGORIES]]
        margin = (numbers.max() - numbers.min()) / 10  # a new record is no error
        self._low, self._high = numbers.min() - margin, numbers.max() + margin
        self._distinct = numbers.groupby(day).nunique().median()
        return self

    def score(self, window: Rows) -> pd.Series:
        """Shares: of the rows or, for what stands still, of the usual number of distinct values."""
        due = sum(
            self._rows.get(moment.weekday(), 0) for moment in local_day(window.decided_at).unique()
        )
        numbers = window[self._low.index]
        unseen = {c: (~window[c].isin(names)).mean() for c, names in self._names.items()}
        shares = {
            "gaps": window[self.columns].isna().mean() - self._gaps,
            "outside": numbers.lt(self._low).mean() + numbers.gt(self._high).mean(),
            "unseen": pd.Series(unseen, dtype=float),
            "stuck": 1 - numbers.nunique() / self._distinct,
        }
        whole = {
            "volume": abs(len(window) / max(due, 1) - 1),
            "repeated": window.flight_id.duplicated().mean(),
        }
        named = [values.add_suffix(f" {kind}") for kind, values in shares.items()]
        scores: pd.Series = pd.concat([pd.Series(whole, dtype=float), *named])
        return scores


class Alibi:
    """A detector of alibi-detect, behind the same two verbs. Its distances are the scores.

    Parameters
    ----------
    kind : str
        ``KSDrift``, ``CVMDrift``, ``ChiSquareDrift``, ``TabularDrift``, ``ClassifierDrift``, or
        ``CVMDriftOnline``, which takes one row after the other (of a table with one row a day, say), goes
        on from window to window, and brings its threshold: 1 is an alarm, `calibrate` is not for it.
    columns : iterable of str
        Numbers for those of KS and CVM, names for chi-squared. Names become codes; a missing number
        becomes larger than any.
    **options
        For the detector; ``model`` for `ClassifierDrift` is a scikit-learn classifier. The online one
        needs ``ert``, the rows that shall pass on average until a false alarm, and ``window_sizes``; it
        finds the threshold by simulation.

    Raises
    ------
    ImportError
        If alibi-detect is not installed: it needs Python 3.11 or 3.12.

    Notes
    -----
    Its licence, the Business Source License, is free for non-production use only.

    References
    ----------
    Van Looveren et al., *Alibi Detect: algorithms for outlier, adversarial and drift detection*.
    """

    def __init__(self, kind: str, columns: Iterable[str], **options: Any) -> None:
        self.kind, self.columns, self._options = kind, list(columns), options

    def fit(self, reference: Rows) -> Self:
        """Build the detector on the reference."""
        names = [c for c in self.columns if c in CATEGORIES]
        self._codes = {c: Names(reference[c]).names for c in names}
        options = dict(self._options)
        if self.kind == "TabularDrift":
            options["categories_per_feature"] = {self.columns.index(c): None for c in names}
        if self.kind == "ClassifierDrift":
            options["backend"] = "sklearn"
        self._detector = getattr(_alibi(), self.kind)(self._matrix(reference), **options)
        return self

    def score(self, window: Rows) -> pd.Series:
        """The distance of each column, or the one under the name ``all``."""
        matrix = self._matrix(window)
        with warnings.catch_warnings(action="ignore"):  # of its dependencies
            if self.kind.endswith("Online"):
                steps = [self._detector.predict(row)["data"] for row in matrix]
                found = np.array([s["test_stat"] / s["threshold"] for s in steps])
                # Not a number until its window is full.
                return pd.Series(np.nan_to_num(found).max(axis=(0, 1)), self.columns)
            found = self._detector.predict(matrix)["data"]["distance"]
        return pd.Series(np.atleast_1d(found), self.columns if np.ndim(found) else ["all"])

    def _matrix(self, rows: Rows) -> Array:
        coded = {c: known.get_indexer(pd.Index(rows[c])) for c, known in self._codes.items()}
        numbers = rows[self.columns].assign(**coded)
        return numbers.to_numpy(float, na_value=np.finfo(np.float32).max)


def _alibi() -> Any:
    if "alibi_detect" not in sys.modules:
        print("loading alibi-detect, numba and transformers: some seconds, once", file=sys.stderr)
    try:
        with warnings.catch_warnings(action="ignore"):  # of its dependencies
            return importlib.import_module("alibi_detect.cd")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{error.name} is not installed. alibi-detect needs Python 3.11 or 3.12 and comes with the "
            "course environment; the other detectors need neither"
        ) from error


def calibrate(
    detector: Detector, reference: Rows, *, rate: float = 1 / 30, days: int = 1, folds: int = 5
) -> pd.Series:
    """The threshold of each column, such that undisturbed windows exceed any of them at a promised rate.

    Parameters
    ----------
    detector : Detector
        Left fitted on the whole reference.
    reference : pandas.DataFrame of shape (n_decisions, n_columns)
        Days without faults, of all seasons that the detector shall take for usual.
    rate : float, default 1/30
        The share of windows with a false alarm: a month for a daily check.
    days : int, default 1
        The length of a window.
    folds : int, default 5

    Returns
    -------
    pandas.Series of shape (n_columns,)

    Raises
    ------
    ValueError
        If the reference has too few days for the rate.

    Notes
    -----
    Runs of consecutive days are set aside in turn, the detector is fitted on the others, and windows of
    consecutive days from the runs set aside are scored. The scores of a column are divided by their 95 %
    point, or by a third of the largest if that is more, so that the columns share the false alarms; the
    threshold is the quantile of the largest of each window, with the correction of Vovk et al. (2005),
    *Algorithmic Learning in a Random World*, for a finite number of windows. The promise holds as far as
    tomorrow is exchangeable with these days. A threshold beyond the largest possible score says that a
    column cannot tell: a single day's pressure is as far from a year's as a broken sensor's.
    """
    reference = reference.sort_values("decided_at")
    every, first = np.unique(local_day(reference.decided_at), return_index=True)
    starts = np.append(first, len(reference))  # of each day, and the end
    runs = np.arange(len(every)) // max(7, 2 * days)
    run_of = np.repeat(runs, np.diff(starts))
    scores = []
    for fold in range(folds):
        detector.fit(reference[run_of % folds != fold])
        for day in np.flatnonzero(runs % folds == fold):
            if day + days <= len(runs) and runs[day + days - 1] == runs[day]:
                scores.append(detector.score(reference.iloc[starts[day] : starts[day + days]]))
    detector.fit(reference)
    table = pd.DataFrame(scores).fillna(0.0)
    scale = np.maximum(table.quantile(0.95), table.max() / 3).clip(lower=_LEAST)
    largest = np.sort((table / scale).max(axis=1))
    if (place := int(np.ceil((len(largest) + 1) * (1 - rate)))) > len(largest):
        raise ValueError(
            f"{len(largest)} windows of {days} days cannot promise one false alarm in {1 / rate:.0f}; "
            "give a longer reference, or a higher rate"
        )
    # Where all scores of the reference are zero, the threshold is the least one.
    return pd.Series(scale * (float(largest[place - 1]) or 1.0), table.columns)


def ratios(
    detector: Detector, thresholds: pd.Series, rows: Rows, *, wait: str = "0D"
) -> pd.DataFrame:
    """Score each day, at the midnight (of New York) after it: 1 or more is an alarm.

    Parameters
    ----------
    detector : Detector
        Fitted.
    thresholds : pandas.Series of shape (n_columns,)
        As `calibrate` gives them.
    rows : pandas.DataFrame of shape (n_decisions, n_columns)
    wait : str, default "0D"
        How much later the day is scored, such as the patience of `Labels`.

    Returns
    -------
    pandas.DataFrame of shape (n_days, n_columns)
        Statistic divided by threshold, by the moment of the check (UTC); `wait` is kept in its `attrs`.

    Examples
    --------
    Two months of simulated visibility, and a third that comes in kilometres:

    >>> at = pd.date_range("2013-06-01 04:00", periods=2160, freq="h", tz="UTC")
    >>> visib = np.random.default_rng(0).uniform(8, 10, len(at))
    >>> rows = pd.DataFrame({"decided_at": at, "visib": visib})
    >>> reference, broken = rows[:1440], rows[1440:].assign(visib=visib[1440:] * 1.609344)
    >>> detector = Univariate(columns=["visib"])
    >>> thresholds = calibrate(detector, reference)
    >>> [int((ratios(detector, thresholds, days).visib >= 1).sum()) for days in (reference, broken)]
    [0, 30]
    """
    scores = {
        day: detector.score(window) for day, window in rows.groupby(local_day(rows.decided_at))
    }
    table = pd.DataFrame(scores).T / thresholds
    table.index = midnight(pd.DatetimeIndex(table.index)) + pd.Timedelta(wait)
    table.attrs["wait"] = wait
    return table


def estimated(metric: Metric, probability: npt.ArrayLike) -> float:
    """What a metric is expected to be if the probabilities are right. It needs no label.

    Parameters
    ----------
    metric : callable
        Of `mlsys_lib.metrics`: ``auc``, ``log_loss``, ``cost(300, 60)``.
    probability : array of shape (n_flights,)
        Calibrated. Each flight counts as late with its probability, and as not late with the rest.

    Returns
    -------
    float
        Blind to all that makes the probabilities wrong: concept drift leaves it where it was.

    References
    ----------
    Guillory et al. (2021), "Predicting with confidence on unseen distributions", ICCV.

    Examples
    --------
    >>> from mlsys_lib.metrics import auc, cost
    >>> p = [0.1, 0.2, 0.6]
    >>> round(estimated(auc, p), 2), round(estimated(cost(300, 60), p), 1)
    (0.76, 34.0)
    """
    score = np.sort(np.asarray(probability, float))
    return float(metric(score, score, 1.0 - score))


class Expected:
    """The cost that the probabilities themselves expect, against the reference's. Needs no label.

    Examples
    --------
    >>> usual, now = (pd.DataFrame({"probability": p}) for p in ([0.1, 0.2, 0.6], [0.2, 0.2, 0.2]))
    >>> Expected().fit(usual).score(now).round(2).to_dict()
    {'cost': 0.41}
    """

    def fit(self, reference: Rows) -> Self:
        """What a flight is expected to cost."""
        self._usual = estimated(cost(MISS, FALSE_ALARM), reference.probability)
        return self

    def score(self, window: Rows) -> pd.Series:
        """The relative difference."""
        now = estimated(cost(MISS, FALSE_ALARM), window.probability)
        return pd.Series({"cost": abs(now / self._usual - 1)})


class Labels:
    """Outcomes that do not come, airline by airline.

    Parameters
    ----------
    patience : str, default "36h"
        How long after a decision its outcome is expected, at most. Score windows that much later.
    least : int, default 20
        Airlines with fewer flights in the window are left out.

    Examples
    --------
    >>> at = pd.date_range("2013-06-03", periods=4, freq="h", tz="UTC")
    >>> known = [at[0] + pd.Timedelta("4h"), at[1] + pd.Timedelta("40h"), pd.NaT, at[3]]
    >>> rows = pd.DataFrame({"carrier": "EV", "decided_at": at, "labelled_at": known})
    >>> Labels(least=4).fit(rows).score(rows).to_dict()
    {'EV': 0.5}
    """

    def __init__(self, *, patience: str = "36h", least: int = 20) -> None:
        self.patience, self._least = pd.Timedelta(patience), least

    def fit(self, reference: Rows) -> Self:
        """Nothing to learn: what is usual, `calibrate` finds."""
        self._carriers = sorted(set(reference.carrier))
        return self

    def score(self, window: Rows) -> pd.Series:
        """The share of each airline's flights that have neither a label nor a cancellation by then."""
        absent = ~(window.labelled_at - window.decided_at <= self.patience)
        airlines = absent.groupby(window.carrier)
        share: pd.Series = airlines.mean().where(airlines.size() >= self._least)
        return share.reindex(self._carriers).fillna(0.0)


Chart = Callable[[Array], Array]


def ewma(*, weight: float = 0.2) -> Chart:
    """A chart: the exponentially weighted mean of daily residuals, its size whatever the sign.

    References
    ----------
    Roberts (1959), "Control chart tests based on geometric moving averages", Technometrics 1.

    Examples
    --------
    >>> ewma(weight=0.5)(np.array([0.0, 0.4, 0.4, 0.0]))
    array([0.  , 0.2 , 0.3 , 0.15])
    """

    def chart(residual: Array) -> Array:
        mean = pd.Series([0.0, *residual]).ewm(alpha=weight, adjust=False).mean()
        return mean.abs().to_numpy()[1:]

    return chart


def page_hinkley(slack: float) -> Chart:
    """A chart: how far the sum of daily residuals has drifted off, less a slack for each day.

    Parameters
    ----------
    slack : float
        Half of the shift worth finding, in the unit of the residual.

    References
    ----------
    Page (1954), "Continuous inspection schemes", Biometrika 41.

    Examples
    --------
    >>> page_hinkley(0.1)(np.array([0.0, 0.4, 0.4, 0.0]))
    array([0. , 0.3, 0.6, 0.5])
    """

    def chart(residual: Array) -> Array:
        up = down = 0.0
        found = []
        for value in residual:
            up, down = max(0.0, up + value - slack), max(0.0, down - value - slack)
            found.append(max(up, down))
        return np.array(found)

    return chart


def limit(chart: Chart, residual: npt.ArrayLike, *, rate: float = 1 / 30, seed: int = 0) -> float:
    """The limit that a chart exceeds on a promised share of undisturbed days.

    Parameters
    ----------
    chart : callable
        `ewma`, `page_hinkley` or any function from the values of days to statistics.
    residual : array of shape (n_days,)
        Of two undisturbed weeks or more; the spread of days, not that of flights, sets the limit.
    rate : float, default 1/30
    seed : int, default 0

    Returns
    -------
    float
        By simulation: 40 years of 365 days, drawn in weeks so that neighbours stay neighbours.

    Raises
    ------
    ValueError
        If there are fewer than 14 days.

    Notes
    -----
    Each week is centred on the mean of the others, as the weeks to come will be. A bias that moves with
    the season outlasts a week, and a chart with a long memory sums it up: where it is much of the slack of
    `page_hinkley`, weeks that it has not seen exceed the limit more often than promised.

    Examples
    --------
    >>> residual = np.random.default_rng(1).normal(0, 0.08, 200)
    >>> round(limit(np.abs, residual, rate=0.05), 2)
    0.15

    References
    ----------
    Künsch (1989), "The jackknife and the bootstrap for general stationary observations", Annals of
    Statistics 17.
    """
    days = np.asarray(residual, float)
    if len(days) < 14:
        raise ValueError(f"{len(days)} days are too few to know their spread; give 14 or more")
    week = np.arange(len(days)) // 7
    others = (days.sum() - np.bincount(week, days)) / (len(days) - np.bincount(week))
    days = days - others[week]
    starts = np.random.default_rng(seed).integers(0, len(days), (40, 53, 1))
    years = days[(starts + np.arange(7)) % len(days)].reshape(40, -1)
    return float(np.quantile([chart(year) for year in years], 1 - rate))
