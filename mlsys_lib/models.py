"""From the rule of thumb to gradient boosting: one matrix, four estimators, backtests.

A model is a `Signature` (which columns, in which order, in which unit, what training saw of them) and
an estimator that sees nothing but the matrix the signature makes.

Names (`carrier`, `origin`, `dest`) enter as whole-number codes. Estimators that treat such columns in
their own way, such as the native categories of gradient boosting, convert to ONNX without an error and
predict something else; codes convert exactly.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib import checks
from mlsys_lib.features import CATEGORIES, FEATURES, UNITS

_MADE = "mlsys_lib.features.batch makes the features, the label and its time"
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Column:
    """One column of the matrix, and what training saw of it.

    Parameters
    ----------
    name, unit : str
    low, high : float
        The smallest and largest value in the training rows; infinite for names.
    names : tuple of str
        For a column of names: those that training saw, sorted. The code of a name is its position.

    Raises
    ------
    ValueError
        If a name or unit is no text, a name stands twice, or `low` is not below `high`.
    """

    name: str
    unit: str
    low: float = field(default=-math.inf, kw_only=True)
    high: float = field(default=math.inf, kw_only=True)
    names: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        texts = [self.name, self.unit, *self.names]
        if odd := [text for text in texts if not isinstance(text, str)]:
            raise ValueError(f"column {self.name!r} must have names of text, not {odd[0]}")
        if len(set(self.names)) < len(self.names) or not self.low <= self.high:
            raise ValueError(f"column {self.name} must have each name once, and low up to high")

    @classmethod
    def of(cls, values: pd.Series) -> Self:
        """What the training rows say about a column.

        Parameters
        ----------
        values : pandas.Series of shape (n_rows,)
            Of names where the column is one of `mlsys_lib.features.CATEGORIES`, else of numbers.

        Returns
        -------
        Column

        Raises
        ------
        ValueError
            If all are missing; if it holds no text where names belong; or text, times or infinite values
            elsewhere.
        """
        name, there = str(values.name), values.dropna()
        column = cls(name, UNITS.get(name, "unknown"))
        if there.empty:
            raise ValueError(f"column {name} is missing in all {len(values)} rows; leave it out")
        if name in CATEGORIES:
            return replace(column, names=tuple(sorted(there.unique(), key=str)))
        seen = column.encoded(there)
        if np.abs(seen).max() > np.finfo(np.float32).max:
            raise ValueError(f"column {name} holds what float32 cannot; make it missing")
        return replace(column, low=float(seen.min()), high=float(seen.max()))

    @cached_property
    def codes(self) -> dict[str, int]:
        """The code of each name."""
        return {name: code for code, name in enumerate(self.names)}

    def encoded(self, values: pd.Series) -> checks.Array:
        """The values as numbers; what is missing, and names that training has not seen, are NaN.

        Parameters
        ----------
        values : pandas.Series of shape (n_rows,)

        Returns
        -------
        array of shape (n_rows,)

        Raises
        ------
        ValueError
            If it holds text or times where numbers belong.
        """
        if self.names:
            values = values.astype(object).map(self.codes)
        return checks.floats(values, name=f"column {self.name} ({self.unit})")


@dataclass(frozen=True)
class Signature:
    """The columns a model sees, in order.

    Examples
    --------
    A name that training has not seen has no code, and is missing:

    >>> rows = pd.DataFrame({"carrier": ["UA", "DL"], "visib": [10.0, 0.25]})
    >>> signature = Signature.of(rows, columns=["carrier", "visib"])
    >>> signature.matrix(pd.DataFrame({"carrier": ["YX", "UA"], "visib": [10.0, 99.0]}))
    array([[nan, 10.],
           [ 1., 99.]], dtype=float32)
    >>> signature.outside(pd.DataFrame({"carrier": ["YX", "UA"], "visib": [10.0, 99.0]})).to_dict()
    {'carrier': 1, 'visib': 1}
    """

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        good = len(self.columns) > 0 and len(set(self.names)) == len(self.names)
        checks.require(good, f"name each column once, and at least one; got {self.names}")

    @classmethod
    def of(cls, rows: pd.DataFrame, *, columns: Iterable[str] = FEATURES) -> Self:
        """The signature of training rows.

        Parameters
        ----------
        rows : pandas.DataFrame of shape (n_flights, n_columns)
        columns : iterable of str, default `FEATURES`

        Returns
        -------
        Signature

        Raises
        ------
        ValueError
            If a column is missing, named twice, or refused by `Column.of`.
        """
        wanted = list(columns)
        checks.columns(rows, wanted, remedy=_MADE)
        return cls(tuple(Column.of(rows[name]) for name in wanted))

    @property
    def names(self) -> list[str]:
        """The names of the columns, in order."""
        return [column.name for column in self.columns]

    def matrix(self, rows: pd.DataFrame) -> Matrix:
        """What the model sees of these rows.

        Parameters
        ----------
        rows : pandas.DataFrame of shape (n_flights, n_columns)
            Its columns in any order; more than needed are ignored.

        Returns
        -------
        array of shape (n_flights, n_columns of the signature), float32
            Missing values, and names that training has not seen, are NaN.

        Raises
        ------
        ValueError
            If a column is missing, or holds text where numbers belong.
        """
        checks.columns(rows, self.names, remedy=_MADE)
        encoded = np.column_stack([column.encoded(rows[column.name]) for column in self.columns])
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite
            return encoded.astype(np.float32)

    def vector(self, row: Mapping[str, Any]) -> Matrix:
        """The same for one flight, without a table: what a service does a thousand times a second.

        Parameters
        ----------
        row : mapping of str to value
            Missing values are None or NaN.

        Returns
        -------
        array of shape (1, n_columns of the signature), float32

        Raises
        ------
        ValueError
            If a column is missing, or holds text where numbers belong.
        """
        with suppress(KeyError, TypeError, ValueError):
            values = [
                column.codes.get(row[column.name]) if column.names else row[column.name]
                for column in self.columns
            ]
            return np.array([values], np.float32)
        return self.matrix(pd.DataFrame([row]))  # slowly: it says which column is wrong

    def outside(self, rows: pd.DataFrame) -> pd.Series:
        """How many values of each column lie outside what training saw: a count to watch, no error.

        Parameters
        ----------
        rows : pandas.DataFrame of shape (n_flights, n_columns)

        Returns
        -------
        pandas.Series of shape (n_columns of the signature,), int
            Unseen names, and numbers beyond the smallest and largest. Missing values do not count.

        Raises
        ------
        ValueError
            As `matrix`.
        """
        checks.columns(rows, self.names, remedy=_MADE)
        counts = {}
        for column in self.columns:
            seen = column.encoded(rows[column.name])
            unseen = np.isnan(seen) & rows[column.name].notna().to_numpy()
            counts[column.name] = int(((seen < column.low) | (seen > column.high) | unseen).sum())
        return pd.Series(counts)

    def places(self, names: Iterable[str]) -> list[int]:
        """Where columns stand in the matrix; those that the signature lacks are left out."""
        return [self.names.index(name) for name in names if name in self.names]


@dataclass(frozen=True)
class Model:
    """A fitted estimator and the signature of what it sees. `fit` makes one."""

    signature: Signature
    estimator: Any
    rows: int

    def predict(self, rows: pd.DataFrame) -> checks.Array:
        """The probability that each flight arrives late.

        Parameters
        ----------
        rows : pandas.DataFrame of shape (n_flights, n_columns)

        Returns
        -------
        array of shape (n_flights,), probability in [0, 1]

        Raises
        ------
        ValueError
            If a column is missing, or holds text where numbers belong.
        """
        matrix = self.signature.matrix(rows)
        if not len(matrix):
            return np.empty(0)  # scikit-learn refuses it
        return np.asarray(self.estimator.predict_proba(matrix)[:, 1])


Build = Callable[[Signature], Any]


def constant(signature: Signature) -> Any:
    """The late rate of the training rows, for every flight: a tree that no split is worth to."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(min_impurity_decrease=1)


def rule_of_thumb(signature: Signature) -> Any:
    """The later in the day, the later: one late rate for each of at most 24 spans of the day.

    Raises
    ------
    ValueError
        If the signature lacks `dep_minute`.
    """
    from sklearn import compose, pipeline, tree

    place, names = signature.places(["dep_minute"]), signature.names
    checks.require(len(place) > 0, f"the rule of thumb needs dep_minute; the columns are {names}")
    when = compose.ColumnTransformer([("when", "passthrough", place)])
    table = tree.DecisionTreeClassifier(max_leaf_nodes=24, min_samples_leaf=200, random_state=0)
    return pipeline.make_pipeline(when, table)


def logistic(signature: Signature) -> Any:
    """Logistic regression on standardised numbers and one-hot names; gaps get the mean."""
    from sklearn import compose, impute, linear_model, pipeline, preprocessing

    names = signature.places(CATEGORIES)
    numbers = [place for place in range(len(signature.columns)) if place not in names]
    scaled = pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())
    unseen = impute.SimpleImputer(strategy="constant", fill_value=-1)
    coded = pipeline.make_pipeline(unseen, preprocessing.OneHotEncoder(handle_unknown="ignore"))
    seen = compose.ColumnTransformer([("numbers", scaled, numbers), ("names", coded, names)])
    return pipeline.make_pipeline(seen, linear_model.LogisticRegression(max_iter=300))


def boosted(signature: Signature, **more: Any) -> Any:
    """Gradient-boosted trees: 100 small ones unless told otherwise; gaps and unseen names are missing.

    Above 10,000 rows scikit-learn would set some aside, by the seed, to say when to stop: two models
    that differ in nothing but the seed would then differ, now and then clearly, on the same days. Here
    all rows are trained on and all trees are grown; ``early_stopping=True`` brings the lottery back.

    Parameters
    ----------
    signature : Signature
        Not used: trees take every column as a number. It is here because every builder gets one.
    **more
        Options of scikit-learn's `HistGradientBoostingClassifier` that replace the defaults.

    Returns
    -------
    HistGradientBoostingClassifier
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    shape = {"max_iter": 100, "learning_rate": 0.08, "max_leaf_nodes": 15, "min_samples_leaf": 200}
    fixed = {"early_stopping": False, "random_state": 0}
    return HistGradientBoostingClassifier(**{**shape, **fixed, **more})


def fit(build: Build, rows: pd.DataFrame, *, columns: Iterable[str] = FEATURES) -> Model:
    """Train a model on rows with a matured label.

    Parameters
    ----------
    build : callable
        `constant`, `rule_of_thumb`, `logistic`, `boosted`, or your own: it gets the signature and
        returns a scikit-learn classifier that takes the matrix.
    rows : pandas.DataFrame of shape (n_flights, n_columns)
        The columns and `late` (0 or 1), as `mlsys_lib.features.batch` gives them.
    columns : iterable of str, default `FEATURES`

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        If a column is missing, named twice or refused by `Column.of`; if there are no rows, a label is
        missing (keep only matured ones) or neither 0 nor 1, or all are the same.

    Examples
    --------
    >>> from mlsys_lib import World
    >>> from mlsys_lib.features import batch
    >>> world = World("2013-01-15")
    >>> rows = batch(world, world.decisions(since="2013-01-08"))
    >>> model = fit(rule_of_thumb, rows[rows.label_status == "matured"])
    >>> morning, evening = model.predict(rows.iloc[[0, -1]])
    >>> bool(morning < evening)
    True
    """
    wanted = list(columns)
    checks.columns(rows, [*wanted, "late"], remedy=_MADE)
    late, remedy = rows["late"], 'train on rows[rows.label_status == "matured"]'
    if rows.empty or late.isna().any():
        raise ValueError(f"{late.isna().sum()} of {len(rows)} rows have no label; {remedy}")
    labels = checks.binary(late, "late").astype(int)
    if labels.min() == labels.max():
        raise ValueError(f"late is {labels[0]} in all {len(rows)} rows; train on both 0 and 1")
    signature = Signature.of(rows, columns=wanted)
    estimator = build(signature).fit(signature.matrix(rows), labels)
    return Model(signature, estimator, len(rows))


def backtest(
    build: Build, rows: pd.DataFrame, cuts: Iterable[Any], *, columns: Iterable[str] = FEATURES
) -> pd.Series:
    """Retrain at each cut on the labels known by then, and predict the flights up to the next.

    The window of training rows expands from cut to cut. A flight that was decided before a cut but
    whose label came after it is in neither: the label gap.

    Parameters
    ----------
    build : callable
        As for `fit`.
    rows : pandas.DataFrame of shape (n_flights, n_columns)
        The columns, `decided_at`, `late`, and `labelled_at`: when the label could first be known. Rows
        without a label are predicted, not trained on. In any order; an index may repeat itself.
    cuts : iterable of str or datetime
        Moments (UTC), increasing. The last model predicts all that comes after.
    columns : iterable of str, default `FEATURES`

    Returns
    -------
    pandas.Series of shape (n_flights,), probability in [0, 1]
        By the index of `rows`; missing for decisions before the first cut.

    Raises
    ------
    ValueError
        If a column is missing, or a moment is none; if there are no cuts, they do not increase, or `fit`
        refuses the rows whose label is known by one of them.

    References
    ----------
    Dawid (1984), "Statistical theory: the prequential approach", JRSS A 147.

    Examples
    --------
    >>> from mlsys_lib import World
    >>> from mlsys_lib.features import batch
    >>> world = World("2013-01-15")
    >>> rows = batch(world, world.decisions(since="2013-01-08"))
    >>> p = backtest(rule_of_thumb, rows, ["2013-01-12", "2013-01-14"])
    >>> int(p.isna().sum()), int((rows.decided_at < "2013-01-12").sum())
    (3765, 3765)
    """
    wanted = list(columns)
    checks.columns(rows, [*wanted, "late", "decided_at", "labelled_at"], remedy=_MADE)
    starts = pd.DatetimeIndex([checks.moment(cut, "cut") for cut in cuts])
    rising = len(starts) > 0 and starts.is_monotonic_increasing and starts.is_unique
    checks.require(rising, f"the cuts must increase, and be at least one; got {list(starts)}")
    decided = checks.moments(rows["decided_at"], "decided_at")
    stage = starts.searchsorted(decided, side="right")  # 0 before the first cut
    learned = rows[rows["late"].notna()]
    told = checks.moments(learned["labelled_at"], "labelled_at").array
    made = np.full(len(rows), np.nan)
    for number, cut in enumerate(starts, start=1):
        known, ahead = learned[told <= cut], rows[stage == number]
        if known.empty:
            raise ValueError(f"no row has a label by the cut at {cut:%Y-%m-%d %H:%M} UTC")
        if len(ahead):
            made[stage == number] = fit(build, known, columns=wanted).predict(ahead)
    return pd.Series(made, rows.index)
