"""From the rule of thumb to the packaged model: one matrix, four estimators, one file.

A model is a `Signature` (which columns, in which order, in which unit, what training saw of them) and
an estimator that sees nothing but the matrix the signature makes. `save` turns both into one file with
an ONNX graph, without pickle; `load` refuses a file that is not what it was when it was written.

Names (`carrier`, `origin`, `dest`) enter as whole-number codes. Estimators that treat such columns in
their own way, such as the native categories of gradient boosting, convert to ONNX without an error and
predict something else; codes convert exactly, and `save` compares before it writes.
"""

import hashlib
import io
import json
import math
import os
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib import data
from mlsys_lib.features import CATEGORIES, FEATURES, UNITS

__all__ = [
    "Column",
    "Model",
    "Package",
    "PackageError",
    "Signature",
    "backtest",
    "boosted",
    "code_fingerprint",
    "constant",
    "fit",
    "load",
    "logistic",
    "rule_of_thumb",
    "save",
    "write",
]

Matrix = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
FORMAT = 1
_MEMBERS = ("model.onnx", "manifest.json", "MODEL_CARD.md")
_SUMS = "SHA256SUMS"
_TOLERANCE = 1e-5  # float32 against float64, on a probability
_AGAIN = "Take the file again from where it was released"


class PackageError(Exception):
    """A packaged model is damaged, altered, or does not fit what it is given."""


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
    >>> signature = Signature.of(rows, ["carrier", "visib"])
    >>> signature.matrix(pd.DataFrame({"carrier": ["YX", "UA"], "visib": [10.0, 99.0]}))
    array([[nan, 10.],
           [ 1., 99.]], dtype=float32)
    >>> signature.outside(pd.DataFrame({"carrier": ["YX", "UA"], "visib": [10.0, 99.0]})).to_dict()
    {'carrier': 1, 'visib': 1}
    """

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, rows: pd.DataFrame, columns: Iterable[str] = FEATURES) -> Self:
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
        PackageError
            If a column is missing.
        """
        wanted = list(columns)
        _require(wanted, rows.columns)
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
        PackageError
            If a column is missing, or holds text where numbers belong.
        """
        _require(self.names, rows.columns)
        made = np.empty((len(rows), len(self.columns)), np.float32)
        for place, column in enumerate(self.columns):
            values = rows[column.name]
            try:
                made[:, place] = values.map(column.codes) if column.names else values
            except (TypeError, ValueError) as error:
                raise PackageError(
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
        PackageError
            If a column is missing, or holds text where numbers belong.
        """
        try:
            values = [
                column.codes.get(row[column.name]) if column.names else row[column.name]
                for column in self.columns
            ]
            return np.array([values], np.float32)
        except KeyError as error:
            raise PackageError(f"column {error} is missing; the model needs it") from None
        except (TypeError, ValueError) as error:
            raise PackageError(f"a column that must hold numbers does not: {error}") from None

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
        _require(self.names, rows.columns)

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
        PackageError
            If a column is missing, or holds text where numbers belong.
        """
        p: Array = self.estimator.predict_proba(self.signature.matrix(rows))[:, 1]
        return p


Build = Callable[[Signature], Any]

# The builders import scikit-learn: who only loads a package need not wait for it.


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


def fit(build: Build, rows: pd.DataFrame, columns: Iterable[str] = FEATURES) -> Model:
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
    PackageError
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
    _require([*(wanted := list(columns)), "late"], rows.columns)
    late = rows["late"]
    if rows.empty or late.isna().any():
        raise ValueError(
            f"{int(late.isna().sum())} of {len(rows)} rows have no label; "
            'train on rows[rows.label_status == "matured"]'
        )
    signature = Signature.of(rows, wanted)
    estimator = build(signature).fit(signature.matrix(rows), late.astype(int).to_numpy())
    return Model(signature, estimator, len(rows))


def backtest(
    build: Build, rows: pd.DataFrame, cuts: Iterable[Any], columns: Iterable[str] = FEATURES
) -> pd.Series:
    """Retrain at each cut on the labels known by then, and predict the flights up to the next.

    The window of training rows expands from cut to cut. A flight that was decided before a cut but
    whose label came after it is in neither: the label gap.

    Parameters
    ----------
    build : callable
        As for `fit`.
    rows : pandas.DataFrame of shape (n_flights, n_columns)
        The columns, `decided_at`, `late`, and `labelled_at`: when the label could first be known, which
        is `available_at` of `World.labels`. Rows without a label are predicted, not trained on.
    cuts : iterable of str or pandas.Timestamp
        Moments (UTC), increasing. The last model predicts all that comes after.
    columns : iterable of str, default `FEATURES`

    Returns
    -------
    pandas.Series of shape (n_flights,), probability in [0, 1]
        By the index of `rows`; missing for decisions before the first cut.

    Raises
    ------
    PackageError
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
    >>> known = world.labels().set_index("flight_id").available_at.rename("labelled_at")
    >>> rows = batch(world, world.decisions(since="2013-01-08")).join(known, on="flight_id")
    >>> p = backtest(rule_of_thumb, rows, ["2013-01-12", "2013-01-14"])
    >>> int(p.isna().sum()), int((rows.decided_at < "2013-01-12").sum())
    (3765, 3765)
    """
    _require([*(wanted := list(columns)), "late", "decided_at", "labelled_at"], rows.columns)
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
            made[ahead] = fit(build, rows[known], wanted).predict(rows[ahead])
    return made


@dataclass(frozen=True)
class Package:
    """A model read from its file. `load` makes one."""

    signature: Signature
    facts: dict[str, Any]
    card: str
    sha256: str
    graph: bytes

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # More threads sum in another order: a row alone and the same row in a batch would differ.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])

    def score(self, matrix: Matrix) -> Array:
        """The probabilities for a matrix that the signature made.

        Parameters
        ----------
        matrix : array of shape (n_flights, n_columns of the signature), float32

        Returns
        -------
        array of shape (n_flights,), probability in [0, 1]
        """
        p: Array = self._session.run(["probabilities"], {"matrix": matrix})[0][:, 1].astype(float)
        return p

    def predict(self, rows: pd.DataFrame) -> Array:
        """The probability that each flight arrives late; see `Model.predict`."""
        return self.score(self.signature.matrix(rows))


def save(model: Model, folder: str | os.PathLike[str], rows: pd.DataFrame, **stated: str) -> Path:
    """Write a model into one file, after comparing the ONNX graph with scikit-learn on real rows.

    Parameters
    ----------
    model : Model
    folder : path
        Where to put ``late-<first 12 digits of the file's SHA-256>.zip``; made where it is missing.
    rows : pandas.DataFrame of shape (n_flights, n_columns)
        Rows on which both must agree within 1e-5, such as the test rows.
    **stated : str
        What the model card says beyond what can be counted: ``trained_on="..."``, ``auc="..."``,
        ``not_for="..."``. The names become headings.

    Returns
    -------
    pathlib.Path
        The same model and statements give the same bytes, and so the same file.

    Raises
    ------
    PackageError
        If the graph does not predict what scikit-learn predicts.
    ValueError
        If there are no rows to compare on.

    References
    ----------
    Mitchell et al. (2019), "Model cards for model reporting", FAT* '19.
    """
    if rows.empty:
        raise ValueError("no rows to compare the graph with scikit-learn on; give the test rows")
    graph = _converted(model)
    # Infinity is no JSON: where a column has no range, no range is stated.
    signature = [
        {k: v for k, v in asdict(column).items() if v not in (-math.inf, math.inf)}
        for column in model.signature.columns
    ]
    facts: dict[str, Any] = {
        "format": FORMAT,
        "data": data.fingerprint(),
        "code": code_fingerprint(),
        "packages": {name: version(name) for name in ("scikit-learn", "skl2onnx", "numpy")},
        "training rows": model.rows,
        "stated": stated,
        "signature": signature,
    }
    card = _card(model.signature, facts)
    manifest = json.dumps(facts, indent=1, allow_nan=False).encode()
    members = dict(zip(_MEMBERS, (graph, manifest, card.encode()), strict=True))
    package = Package(model.signature, facts, card, "", graph)
    apart = np.abs(package.predict(rows) - model.predict(rows))
    if not apart.max() <= _TOLERANCE:
        raise PackageError(
            f"the ONNX graph differs from scikit-learn on {(apart > _TOLERANCE).mean():.1%} of "
            f"{len(rows):,} rows, by up to {apart.max():.3f}. Native categories of gradient boosting "
            "do that; let names enter as the codes of Signature.matrix"
        )
    content = _zipped(members)
    target = Path(folder) / f"late-{hashlib.sha256(content).hexdigest()[:12]}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    write(target, content)
    return target


def load(path: str | os.PathLike[str], sha256: str | None = None) -> Package:
    """Read a packaged model, and refuse one that is not what it was.

    Parameters
    ----------
    path : path
    sha256 : str, optional
        The hash, or its first digits, that whoever released the model wrote down. Without it only
        damage is noticed, not a replacement.

    Returns
    -------
    Package

    Raises
    ------
    PackageError
        If the file is no package, is damaged, is another than `sha256` says, or its graph does not
        take the columns of its signature.
    FileNotFoundError
    """
    content = Path(path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and not found.startswith(sha256):
        raise PackageError(
            f"{path} has the SHA-256 {found[:12]}..., not {sha256[:12]}...: it is another file than "
            f"the one that was released. {_AGAIN}"
        )
    members = _unzipped(content, path)
    facts = json.loads(members["manifest.json"])
    if facts.get("format") != FORMAT:
        raise PackageError(
            f"{path} is of format {facts.get('format')}; this library reads {FORMAT}. "
            "Use the library that wrote it, or save the model again"
        )
    stated = [{k: v for k, v in c.items() if v is not None} for c in facts["signature"]]
    columns = (Column(**{**column, "names": tuple(column["names"])}) for column in stated)
    signature = Signature(tuple(columns))
    card = members["MODEL_CARD.md"].decode()
    package = Package(signature, facts, card, found, members["model.onnx"])
    try:
        width = package._session.get_inputs()[0].shape[1]
    except Exception as error:  # onnxruntime's have no common base but this
        raise PackageError(
            f"{path} holds no graph that onnxruntime can read: {error}. Save the model again"
        ) from None
    if width != len(signature.columns):
        raise PackageError(
            f"{path}: the graph takes {width} columns, its signature names "
            f"{len(signature.columns)}. Save the model again"
        )
    return package


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Put bytes into a file, all of them or nothing, whatever happens meanwhile."""
    scratch = Path(f"{path}.{os.getpid()}.tmp")
    with scratch.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


def code_fingerprint() -> str:
    """Which code made this: the first digits of a hash over the library's own sources.

    Returns
    -------
    str
        12 hexadecimal digits; other sources, other digits.

    Examples
    --------
    >>> len(code_fingerprint())
    12
    """
    mark = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        mark.update(file.name.encode() + file.read_bytes())
    return mark.hexdigest()[:12]


def _require(wanted: Iterable[str], given: Iterable[str]) -> None:
    if lacking := sorted(set(wanted) - set(given)):
        raise PackageError(f"missing columns {lacking}; mlsys_lib.features.batch makes them")


def _converted(model: Model) -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    with warnings.catch_warnings():
        # skl2onnx 1.20 writes a flag as True where protobuf 7 wants 1: hence protobuf<7.
        warnings.filterwarnings("ignore", "Field onnx.AttributeProto.ints", DeprecationWarning)
        graph = to_onnx(
            model.estimator,
            initial_types=[("matrix", FloatTensorType([None, len(model.signature.columns)]))],
            options={"zipmap": False},
            target_opset={"": 18, "ai.onnx.ml": 3},
        )
    content: bytes = graph.SerializeToString()
    return content


def _zipped(members: Mapping[str, bytes]) -> bytes:
    sums = "".join(f"{hashlib.sha256(c).hexdigest()}  {name}\n" for name, c in members.items())
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in {**members, _SUMS: sums.encode()}.items():
            archive.writestr(zipfile.ZipInfo(name), member, zipfile.ZIP_DEFLATED)
    return content.getvalue()


def _unzipped(content: bytes, path: str | os.PathLike[str]) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in (*_MEMBERS, _SUMS)}
        sums = dict(line.split("  ")[::-1] for line in members.pop(_SUMS).decode().splitlines())
    except Exception as error:  # zipfile's have no common base but this
        raise PackageError(
            f"{path} is no packaged model, or is damaged: {error}. {_AGAIN}"
        ) from None
    for name, member in members.items():
        if hashlib.sha256(member).hexdigest() != sums.get(name):
            raise PackageError(
                f"{name} in {path} was altered: its SHA-256 is not the one in {_SUMS}. " + _AGAIN
            )
    return members


def _card(signature: Signature, facts: dict[str, Any]) -> str:
    stated = {name.replace("_", " "): said for name, said in facts["stated"].items()}
    counted = {"trained on": f"{facts['training rows']:,} flights"}
    versions = {"data": facts["data"], "code": facts["code"]}
    entries = [f"- **{name}**: {said}" for name, said in {**counted, **stated, **versions}.items()]
    table = [
        f"| {c.name} | {c.unit} | {f'{len(c.names)} names' if c.names else f'{c.low:g} to {c.high:g}'} |"
        for c in signature.columns
    ]
    return "\n".join(
        ["# Model card", *entries, "", "| column | unit | in training |", "|---|---|---|", *table]
    )
