"""How far is a window of decisions from a reference? All detectors, with one vocabulary.

``fit(reference)`` learns what is usual, ``score(window)`` gives statistics, of which large ones are
suspicious; `mlsys_lib.thresholds` says how large.

===================================  =================================================================
over decisions, window by window     `Univariate`, `Binned`, `RandomFeatures`, `Quality`, `Expected`,
                                     `Labels`; `mlsys_lib.alibi` lends alibi-detect's
over a daily table, going on from    `Ewma`, `PageHinkley`: control charts of a column of
window to window                     `mlsys_lib.alerts.performance`
===================================  =================================================================

No detector falls silent for want of numbers: a window without rows, or what cannot be scored, is
infinitely far, and what is missing, infinite, or new beside a constant counts.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib import checks
from mlsys_lib.distances import Names, Numbers, edges, histogram, psi
from mlsys_lib.features import CATEGORIES, FEATURES
from mlsys_lib.metrics import FALSE_ALARM, MISS, Metric, cost
from mlsys_lib.world import local_day

Rows = pd.DataFrame
State = tuple[float, ...]
_FAR = 100.0  # standard deviations: what is further is as far, and so is what never was
_MADE = "batch makes features, examples labels, a model's predict the probability"


class Detector(ABC):
    """What all detectors share: two verbs, and doors that no window passes unscored.

    Parameters
    ----------
    columns : iterable of str, default all features
        Of the tables that it is given.

    Notes
    -----
    `statistics` lists what `score` gives, once it is fitted; `wait` is how long after its end a day can be
    scored; `remembers` says whether it goes on from window to window.
    """

    statistics: list[str]
    wait = pd.Timedelta(0)
    remembers = False
    _keys: tuple[str, ...] = ()  # what it needs beside the columns that it watches
    _start: State = ()
    _fitted = False

    def __init__(self, *, columns: Iterable[str] = FEATURES) -> None:
        self.columns = [columns] if isinstance(columns, str) else list(columns)
        checks.require(bool(self.columns), "columns=[] leaves nothing to watch; name one that fits")
        self.statistics = self.columns

    def fit(self, reference: Rows) -> Self:
        """Learn what is usual.

        Raises
        ------
        ValueError
            If the reference has no rows, or lacks a column.
        """
        checks.columns(reference, [*self.columns, *self._keys], remedy=_MADE)
        checks.same_length(reference=reference)
        self._learn(reference)
        self._fitted = True
        self.restart()
        return self

    def score(self, window: Rows) -> pd.Series:
        """One statistic a column, or one in all; infinite where the window has no rows.

        Raises
        ------
        ValueError
            If it is not fitted, or the window lacks a column.
        """
        if not self._fitted:
            raise ValueError(f"{type(self).__name__} is not fitted; call fit(reference) first")
        checks.columns(window, [*self.columns, *self._keys], remedy=_MADE)
        return self._scores(window) if len(window) else self._nothing()

    def restart(self) -> None:
        """Forget the windows that were scored; what is usual stays."""
        self._state = self._start

    @abstractmethod
    def _learn(self, reference: Rows) -> None: ...

    @abstractmethod
    def _scores(self, window: Rows) -> pd.Series: ...

    def _nothing(self) -> pd.Series:
        return pd.Series(np.inf, self.statistics)


class Univariate(Detector):
    """Each column alone: Kolmogorov-Smirnov for numbers, Cramér's V (of chi-squared) for names.

    Both lie in [0, 1].

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

    def _learn(self, reference: Rows) -> None:
        self._names = {c: Names(reference[c]) for c in self.columns if c in CATEGORIES}
        self._numbers = {c: Numbers(reference[c]) for c in self.columns if c not in CATEGORIES}
        self._size = len(reference)

    def _scores(self, window: Rows) -> pd.Series:
        size = len(window) + self._size  # makes windows of different length comparable
        names = {c: (known.chi2(window[c]) / size) ** 0.5 for c, known in self._names.items()}
        numbers = {c: known.ks(window[c]) for c, known in self._numbers.items()}
        return pd.Series(names | numbers)[self.columns]


class Binned(Univariate):
    """Each column alone: the population stability index.

    Examples
    --------
    >>> usual, now = (pd.DataFrame({"carrier": names}) for names in (["UA", "DL"] * 50, ["UA"] * 50))
    >>> Binned(columns=["carrier"]).fit(usual).score(now).round(1).to_dict()
    {'carrier': 2.3}
    """

    def _learn(self, reference: Rows) -> None:
        self._names = {c: Names(reference[c]) for c in self.columns if c in CATEGORIES}
        self._ends = {c: edges(reference[c]) for c in self.columns if c not in CATEGORIES}
        self._had = {c: histogram(reference[c], ends) for c, ends in self._ends.items()}

    def _scores(self, window: Rows) -> pd.Series:
        names = {c: psi(*known.beside(window[c])) for c, known in self._names.items()}
        numbers = {c: psi(self._had[c], histogram(window[c], e)) for c, e in self._ends.items()}
        return pd.Series(names | numbers)[self.columns]


def _numbers(rows: Rows, columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({c: checks.floats(rows[c]) for c in columns if c not in CATEGORIES})


class RandomFeatures(Detector):
    """All numbers together: the squared maximum mean discrepancy, by random Fourier features.

    Parameters
    ----------
    columns : iterable of str, default all features
        Of these the numbers, standardised by the reference. A missing one is taken as the mean, and where
        none was missing in the reference as far off, like what is infinite, or new beside a constant.
    features : int, default 2048
        The more, the nearer to the exact statistic, whose cost is quadratic in the rows. On months of
        these flights it is within 10 % with 2048 and within 20 % with 512.

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

    def __init__(self, *, columns: Iterable[str] = FEATURES, features: int = 2048) -> None:
        super().__init__(columns=[c for c in columns if c not in CATEGORIES])
        checks.within(features, 2, np.inf, "features")
        self.statistics, self._features = ["all"], features

    def _learn(self, reference: Rows) -> None:
        rng = np.random.default_rng(0)
        known = _numbers(reference, self.columns).where(np.isfinite)
        mean, sd = known.mean(), known.std(ddof=0)
        self._mean = mean.fillna(-np.inf).to_numpy()  # far from whatever comes
        self._sd = np.fmax(sd.to_numpy(), 1e-9 * np.fmax(1, np.abs(mean.to_numpy())))
        self._missing = np.where(known.isna().any(), 0.0, _FAR)
        pairs = self.scaled(reference.iloc[rng.integers(0, len(reference), 2000)])
        apart = np.linalg.norm(pairs[:1000] - pairs[1000:], axis=1)
        # The kernel is as wide as two rows are apart, unless most are the same.
        self.width = float(np.median(apart[apart > 0])) if apart.any() else 1.0
        turn = rng.normal(0, 1 / self.width, (len(self.columns), self._features // 2))
        self._turn = turn.astype(np.float32)  # half the memory, and several times the speed
        self._usual = self._embedded(reference.iloc[:: max(1, len(reference) // 20_000)])

    def _scores(self, window: Rows) -> pd.Series:
        apart = self._embedded(window) - self._usual
        return pd.Series({"all": float(apart @ apart) * 2 / self._features})

    def scaled(self, rows: Rows) -> checks.Array:
        """What the kernel sees of rows."""
        values = np.column_stack([checks.floats(rows[c]) for c in self.columns])
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (values - self._mean) / self._sd
        return np.where(np.isnan(scaled), self._missing, np.clip(scaled, -_FAR, _FAR))

    def _embedded(self, rows: Rows) -> checks.Array:
        total = np.zeros(2 * self._turn.shape[1])
        for start in range(0, len(rows), 4096):  # as much as stays in the cache
            angle = self.scaled(rows.iloc[start : start + 4096]).astype(np.float32) @ self._turn
            total += np.append(np.cos(angle).sum(axis=0), np.sin(angle).sum(axis=0))
        return total / len(rows)


class Quality(Detector):
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

    _keys = ("flight_id", "decided_at")

    def _learn(self, reference: Rows) -> None:
        day = local_day(checks.moments(reference.decided_at, "decided_at"))
        self._rows = day.value_counts().groupby(lambda moment: moment.weekday()).median()
        self._gaps = reference[self.columns].isna().mean()
        self._seen = {c: set(reference[c]) for c in self.columns if c in CATEGORIES}
        numbers = _numbers(reference, self.columns).where(np.isfinite)
        margin = (numbers.max() - numbers.min()) / 10  # a new record is no error
        self._low, self._high = numbers.min() - margin, numbers.max() + margin
        self._distinct = numbers.groupby(day.to_numpy()).nunique().median()
        self.statistics = list(self._scores(reference[:1]).index)

    def _scores(self, window: Rows) -> pd.Series:
        """Shares: of the rows or, for what stands still, of the usual number of distinct values."""
        days = local_day(checks.moments(window.decided_at, "decided_at")).unique()
        due = sum(self._rows.get(moment.weekday(), 0) for moment in days)
        numbers = _numbers(window, self.columns)
        inside = numbers.ge(self._low) & numbers.le(self._high)
        unseen = {c: (~window[c].isin(names)).mean() for c, names in self._seen.items()}
        stuck = 1 - numbers.nunique() / self._distinct
        shares = {
            "gaps": window[self.columns].isna().mean() - self._gaps,
            "outside": (numbers.notna() & ~inside).mean(),
            "unseen": pd.Series(unseen, dtype=float),
            "stuck": stuck.where(self._distinct > 0, 0.0),
        }
        repeated = window.flight_id.duplicated().mean()
        whole = {"volume": abs(len(window) / max(due, 1) - 1), "repeated": repeated}
        named = [values.add_suffix(f" {kind}") for kind, values in shares.items()]
        scores: pd.Series = pd.concat([pd.Series(whole, dtype=float), *named])
        return scores

    def _nothing(self) -> pd.Series:
        """All rows are lost, and nothing can be said of their values."""
        lost = pd.Series(0.0, self.statistics)
        lost["volume"] = np.inf
        return lost


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

    Raises
    ------
    ValueError
        If one is missing, or no probability.

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
    # Equal scores need no counting up: among themselves they win and lose as often.
    score = np.sort(checks.probabilities(probability, "probability"))
    return float(metric(score, score, 1.0 - score))


class Expected(Detector):
    """The cost that the probabilities themselves expect, against the reference's. Needs no label.

    Those that are missing, or none, count for nothing; where all are, the score is infinite.

    Examples
    --------
    >>> usual, now = (pd.DataFrame({"probability": p}) for p in ([0.1, 0.2, 0.6], [0.2, 0.2, 0.2]))
    >>> Expected().fit(usual).score(now).round(2).to_dict()
    {'cost': 0.41}
    """

    def __init__(self) -> None:
        super().__init__(columns=["probability"])
        self.statistics = ["cost"]

    def _learn(self, reference: Rows) -> None:
        self._usual = self._cost(reference)
        checks.require(self._usual < np.inf, "probability is missing in all rows; predict it first")

    def _scores(self, window: Rows) -> pd.Series:
        apart = abs(self._cost(window) - self._usual)
        return pd.Series({"cost": apart / max(self._usual, 1e-9)})

    def _cost(self, rows: Rows) -> float:
        p = checks.floats(rows.probability)
        known = p[(p >= 0) & (p <= 1)]
        return estimated(cost(MISS, FALSE_ALARM), known) if len(known) else np.inf


class Labels(Detector):
    """Outcomes that do not come, airline by airline.

    The score is the share of an airline's flights that have neither a label nor a cancellation in time. It
    is 1 for one that usually flies and of which nothing is heard at all; airlines that the reference does
    not know are one, under the name ``new``.

    Parameters
    ----------
    patience : str or timedelta, default "36h"
        How long after a decision its outcome is expected, at most; windows wait for it.
    least : int, default 20
        Airlines with fewer flights in the window are left out.

    Examples
    --------
    >>> at = pd.date_range("2013-06-03 12:00", periods=4, freq="h", tz="UTC")
    >>> known = [at[0] + pd.Timedelta("4h"), at[1] + pd.Timedelta("40h"), pd.NaT, at[3]]
    >>> rows = pd.DataFrame({"carrier": "EV", "decided_at": at, "labelled_at": known})
    >>> Labels(least=4).fit(rows).score(rows).to_dict()
    {'EV': 0.5, 'new': 0.0}
    """

    def __init__(self, *, patience: checks.Duration = "36h", least: int = 20) -> None:
        super().__init__(columns=["carrier", "decided_at", "labelled_at"])
        checks.within(least, 1, np.inf, "least")
        self.patience, self._least = checks.duration(patience, "patience"), least
        self.wait = self.patience.ceil("D")

    def _learn(self, reference: Rows) -> None:
        day = local_day(checks.moments(reference.decided_at, "decided_at"))
        self._daily = pd.crosstab(day, reference.carrier.astype(object)).median()
        self.statistics = [*self._daily.index, "new"]

    def _scores(self, window: Rows) -> pd.Series:
        known = window.carrier.astype(object)
        carrier = known.map(lambda name: name if name in self._daily else "new")
        decided = checks.moments(window.decided_at, "decided_at")
        absent = ~(pd.to_datetime(window.labelled_at, utc=True) - decided <= self.patience)
        airlines = absent.groupby(carrier)
        share = airlines.mean().where(airlines.size() >= self._least, 0.0)
        gone = {name: float(usual >= self._least) for name, usual in self._daily.items()}
        return share.reindex(self.statistics).fillna(gone | {"new": 0.0})


class Chart(Detector):
    """A control chart of a daily table's column; it goes on from window to window.

    Each value moves it, less the reference's mean. A missing one leaves it where it is; an infinite one is
    an infinite score, and does not stay. A window with several days scores the loudest of them.

    Parameters
    ----------
    column : str
        Such as ``residual`` or ``cost`` of `mlsys_lib.alerts.performance`, whose days are known on the
        day after.
    """

    wait = pd.Timedelta("1D")
    remembers = True
    _start: State = (0.0,)

    def __init__(self, column: str) -> None:
        super().__init__(columns=[column])

    def _learn(self, reference: Rows) -> None:
        known = checks.floats(reference[self.columns[0]])
        known = known[np.isfinite(known)]
        checks.same_length(known=known)
        self.centre, self.spread = float(known.mean()), float(pd.Series(known).std())

    def _scores(self, window: Rows) -> pd.Series:
        values = checks.floats(window[self.columns[0]]) - self.centre
        found = [np.inf] if np.isinf(values).any() else []
        found += self._traced(values[np.isfinite(values)])
        return pd.Series(max(found, default=self._height()), self.statistics)

    def _nothing(self) -> pd.Series:
        return pd.Series(self._height(), self.statistics)

    def _traced(self, values: Iterable[float]) -> list[float]:
        found = []
        for value in values:
            self._state = self._moved(self._state, value)
            found.append(self._height())
        return found

    def _height(self) -> float:
        return float(max(map(abs, self._state)))

    @abstractmethod
    def _moved(self, state: State, value: float) -> State: ...


class Ewma(Chart):
    """A chart: the exponentially weighted mean of a column, its distance from the usual one.

    Parameters
    ----------
    column : str
    weight : float in (0, 1], default 0.2
        Of the latest day; with 1 it has no memory.

    References
    ----------
    Roberts (1959), "Control chart tests based on geometric moving averages", Technometrics 1.

    Examples
    --------
    >>> usual, now = (pd.DataFrame({"residual": days}) for days in ([-0.1, 0.1], [0.0, 0.4, 0.4, 0.0]))
    >>> chart = Ewma("residual", weight=0.5).fit(usual)
    >>> [float(chart.score(now[day : day + 1])["residual"].round(2)) for day in range(4)]
    [0.0, 0.2, 0.3, 0.15]
    """

    def __init__(self, column: str, *, weight: float = 0.2) -> None:
        super().__init__(column)
        checks.within(weight, 0.001, 1, "weight")
        self.weight = weight

    def _moved(self, state: State, value: float) -> State:
        (mean,) = state
        return ((1 - self.weight) * mean + self.weight * value,)


class PageHinkley(Chart):
    """A chart: how far the sum of a column has drifted off, less a slack for each day.

    Parameters
    ----------
    column : str
    slack : float, optional
        Half of the shift worth finding, in the unit of the column; half a standard deviation of the
        reference's days unless you say otherwise.

    References
    ----------
    Page (1954), "Continuous inspection schemes", Biometrika 41.

    Examples
    --------
    >>> usual, now = (pd.DataFrame({"residual": days}) for days in ([-0.1, 0.1], [0.0, 0.4, 0.4, 0.0]))
    >>> chart = PageHinkley("residual", slack=0.1).fit(usual)
    >>> [float(chart.score(now[day : day + 1])["residual"].round(2)) for day in range(4)]
    [0.0, 0.3, 0.6, 0.5]
    """

    _start: State = (0.0, 0.0)

    def __init__(self, column: str, *, slack: float | None = None) -> None:
        super().__init__(column)
        checks.within(slack or 0.0, 0, np.inf, "slack")
        self._given = slack

    def _learn(self, reference: Rows) -> None:
        super()._learn(reference)
        self.slack = self.spread / 2 if self._given is None else self._given

    def _moved(self, state: State, value: float) -> State:
        up, down = state
        return max(0.0, up + value - self.slack), max(0.0, down - value - self.slack)
