"""From the rule of thumb to gradient boosting: one matrix, four estimators, backtests.

A model is a `Signature` (which columns, in which order, in which unit, what training saw of them) and
an estimator that sees nothing but the matrix the signature makes.

Names (`carrier`, `origin`, `dest`) enter as whole-number codes. Estimators that treat such columns in
their own way, such as the native categories of gradient boosting, convert to ONNX without an error and
predict something else; codes convert exactly.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib import checks
from mlsys_lib.checks import Array
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
        The smallest and largest value in the training rows; infinite for names, and where all are missing.
    names : tuple of str
        For a column of names: those that training saw, sorted. The code of a name is its position.
    """

    name: str
    unit: str
    low: float = -math.inf
    high: float = math.inf
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: pd.Series) -> Self:
        """What the training rows say about a column."""
        name = str(values.name)
        if name in CATEGORIES:
            return cls(name, UNITS[name], names=tuple(sorted(values.dropna().unique())))
        ends = (float(values.min()), float(values.max())) if values.notna().any() else ()
        return cls(name, UNITS.get(name, "unknown"), *ends)

    @cached_property
    def codes(self) -> dict[str, int]:
        """The code of each name."""
        return {name: code for code, name in enumerate(self.names)}


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
            If a column is missing.
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
        made = np.empty((len(rows), len(self.columns)), np.float32)
        for place, column in enumerate(self.columns):
            values = rows[column.name]
            try:
                made[:, place] = values.map(column.codes) if column.names else values
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"column {column.name} must hold numbers ({column.unit}): {error}"
                ) from None
        return made

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
        try:
            values = [
                column.codes.get(row[column.name]) if column.names else row[column.name]
                for column in self.columns
            ]
            return np.array([values], np.float32)
        except KeyError as error:
            raise ValueError(f"column {error} is missing; the model needs it") from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"a column that must hold numbers does not: {error}") from None

    def outside(self, rows: pd.DataFrame) -> pd.Series:
        """How many values of each column lie outside what training saw: a count to watch, no error.

        Parameters
        ----------
        rows : pandas.DataFrame of shape (n_flights, n_columns)

        Returns
        -------
        pandas.Series of shape (n_columns of the signature,), int
            Unseen names, and numbers beyond the smallest and largest. Missing values do not count.
        """
        checks.columns(rows, self.names, remedy=_MADE)

        def odd(c: Column) -> int:
            values = rows[c.name]
            if c.names:
                return int((~values.isin(c.names) & values.notna()).sum())
            return int(((values < c.low) | (values > c.high)).sum())

        return pd.Series({column.name: odd(column) for column in self.columns})

    def places(self, names: Iterable[str]) -> list[int]:
        """Where columns stand in the matrix; those that the signature lacks are left out."""
        return [self.names.index(name) for name in names if name in self.names]


@dataclass(frozen=True)
class Model:
    """A fitted estimator and the signature of what it sees. `fit` makes one."""

    signature: Signature
    estimator: Any
    rows: int

    def predict(self, rows: pd.DataFrame) -> Array:
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
        p: Array = self.estimator.predict_proba(self.signature.matrix(rows))[:, 1]
        return p


Build = Callable[[Signature], Any]


def constant(signature: Signature) -> Any:
    """The late rate of the training rows, for every flight: a tree that no split is worth to."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(min_impurity_decrease=1)


def rule_of_thumb(signature: Signature) -> Any:
    """The later in the day, the later: one late rate for each of at most 24 spans of the day."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.tree import DecisionTreeClassifier

    place = signature.places(["dep_minute"])
    table = DecisionTreeClassifier(max_leaf_nodes=24, min_samples_leaf=200, random_state=0)
    return make_pipeline(ColumnTransformer([("when", "passthrough", place)]), table)


def logistic(signature: Signature) -> Any:
    """Logistic regression on standardised numbers and one-hot names; gaps get the mean."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    names = signature.places(CATEGORIES)
    numbers = [place for place in range(len(signature.columns)) if place not in names]
    unseen = SimpleImputer(strategy="constant", fill_value=-1)
    seen = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            ("names", make_pipeline(unseen, OneHotEncoder(handle_unknown="ignore")), names),
        ]
    )
    return make_pipeline(seen, LogisticRegression(max_iter=300))


def boosted(signature: Signature, **more: Any) -> Any:
    """Gradient-boosted trees: 100 small ones unless told otherwise; gaps and unseen names are missing.

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
    return HistGradientBoostingClassifier(**{**shape, "random_state": 0, **more})


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
        If a column is missing.
    ValueError
        If there are no rows, or a label is missing: keep only matured ones.

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
    late = rows["late"]
    if rows.empty or late.isna().any():
        raise ValueError(
            f"{int(late.isna().sum())} of {len(rows)} rows have no label; "
            'train on rows[rows.label_status == "matured"]'
        )
    signature = Signature.of(rows, columns=wanted)
    estimator = build(signature).fit(signature.matrix(rows), late.astype(int).to_numpy())
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
        The columns, `decided_at`, `late`, and `labelled_at`: when the label could first be known. Rows without a label are predicted, not trained on.
    cuts : iterable of str or pandas.Timestamp
        Moments (UTC), increasing. The last model predicts all that comes after.
    columns : iterable of str, default `FEATURES`

    Returns
    -------
    pandas.Series of shape (n_flights,), probability in [0, 1]
        By the index of `rows`; missing for decisions before the first cut.

    Raises
    ------
    ValueError
        If a column is missing.
    ValueError
        If the cuts do not increase, or no row has a label at one of them.

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
    starts = [pd.to_datetime(cut, utc=True) for cut in cuts]
    if any(later <= earlier for earlier, later in pairwise(starts)):
        raise ValueError("the cuts must increase")
    made = pd.Series(np.nan, rows.index)
    for cut, end in zip(starts, [*starts[1:], None], strict=True):
        known = (rows["labelled_at"] <= cut) & rows["late"].notna()
        ahead = rows["decided_at"] >= cut
        if end is not None:
            ahead &= rows["decided_at"] < end
        if not known.any():
            raise ValueError(f"no row has a label by the cut at {cut:%Y-%m-%d %H:%M} UTC")
        if ahead.any():
            made[ahead] = fit(build, rows[known], columns=wanted).predict(rows[ahead])
    return made
