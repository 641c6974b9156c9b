"""A model in one file: an ONNX graph, its signature and its card, without pickle.

`save` compares the graph with scikit-learn before it writes; `load` refuses a file that is not what it
was when it was written.
"""

import hashlib
import io
import json
import math
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlsys_lib import checks, data
from mlsys_lib.files import Place, write
from mlsys_lib.models import Column, Matrix, Model, Signature

FORMAT = 1
LARGEST = 2**28  # bytes of a member, unpacked: a thousand times the course's largest model
_MEMBERS = ("model.onnx", "manifest.json", "MODEL_CARD.md")
_SUMS = "SHA256SUMS"
_TOLERANCE = 1e-5  # float32 against float64, on a probability
_AGAIN = "Take the file again from where it was released"
_ANEW = "Use the library that wrote it, or save the model again"
_KINDS = {"format": "int", "data": "str", "code": "str", "packages": "dict", "training rows": "int"}
_KINDS |= {"stated": "dict", "signature": "list"}  # of the manifest's fields


class PackageError(Exception):
    """A packaged model is damaged, altered, or does not fit what it is given."""


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

    def score(self, matrix: Matrix) -> checks.Array:
        """The probabilities for a matrix that the signature made.

        Parameters
        ----------
        matrix : array of shape (n_flights, n_columns of the signature), float32

        Returns
        -------
        array of shape (n_flights,), probability in [0, 1]
        """
        [p] = self._session.run(["probabilities"], {"matrix": matrix})
        return np.asarray(p[:, 1], float)

    def predict(self, rows: pd.DataFrame) -> checks.Array:
        """The probability that each flight arrives late; see `Model.predict`."""
        return self.score(self.signature.matrix(rows))


def save(model: Model, folder: Place, rows: pd.DataFrame, **stated: str) -> Path:
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
        If there are no rows to compare on, or a statement is no text.
    FileExistsError
        If something else bears the file's name.

    References
    ----------
    Mitchell et al. (2019), "Model cards for model reporting", FAT* '19.
    """
    checks.require(len(rows) > 0, "no rows to compare the graph on; give the test rows")
    if odd := [name for name, said in stated.items() if not isinstance(said, str)]:
        raise ValueError(f"{odd[0]}={stated[odd[0]]!r} must be text, such as {odd[0]}='0.75'")
    with _refusing("the estimator has no ONNX graph", "Take one that skl2onnx converts"):
        graph = _converted(model)
    apart = np.abs(Package(model.signature, {}, "", "", graph).predict(rows) - model.predict(rows))
    if not apart.max() <= _TOLERANCE:
        raise PackageError(
            f"the ONNX graph differs from scikit-learn on {(apart > _TOLERANCE).mean():.1%} of "
            f"{len(rows):,} rows, by up to {apart.max():.3f}. Native categories of gradient boosting "
            "do that; let names enter as the codes of Signature.matrix"
        )
    facts: dict[str, Any] = {
        "format": FORMAT,
        "data": data.fingerprint(),
        "code": data.code_fingerprint(),
        "packages": {name: version(name) for name in ("scikit-learn", "skl2onnx", "numpy")},
        "training rows": model.rows,
        "stated": stated,
        "signature": [_stated(column) for column in model.signature.columns],
    }
    manifest = json.dumps(facts, indent=1, allow_nan=False)
    card = _card(model.signature, facts)
    content = _zipped(graph, manifest.encode(), card.encode())
    target = Path(folder) / f"late-{hashlib.sha256(content).hexdigest()[:12]}.zip"
    if target.exists() and not (target.is_file() and target.read_bytes() == content):
        raise FileExistsError(f"{target} holds something else; move it away")
    target.parent.mkdir(parents=True, exist_ok=True)
    write(target, content)
    return target


def load(path: Place, *, sha256: str | None = None) -> Package:
    """Read a packaged model, and refuse one that is not what it was.

    Parameters
    ----------
    path : path
    sha256 : str, optional
        The hash, or its first 12 digits or more, that whoever released the model wrote down. Without it
        only damage is noticed, not a replacement.

    Returns
    -------
    Package

    Raises
    ------
    PackageError
        If the file is no package, is damaged, is another than `sha256` says, its manifest is none that
        `save` writes, or its graph does not take the columns of its signature.
    ValueError
        If `sha256` is no hash.
    FileNotFoundError
    """
    if sha256 is not None and not re.fullmatch("[0-9a-f]{12,64}", sha256):
        raise ValueError(f"sha256={sha256!r} must be 12 to 64 of the digits 0 to 9 and a to f")
    with _refusing(f"{path} cannot be read", _AGAIN):
        content = Path(path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and not found.startswith(sha256):
        raise PackageError(
            f"{path} has the SHA-256 {found[:12]}..., not {sha256[:12]}...: it is another file than "
            f"the one that was released. {_AGAIN}"
        )
    with _refusing(f"{path} is no packaged model, or is damaged", _AGAIN):
        members = _unzipped(content)
    with _refusing(f"manifest.json in {path} is none that this library writes", _ANEW):
        signature, facts = _read(members["manifest.json"])
        card = members["MODEL_CARD.md"].decode()
    package = Package(signature, facts, card, found, members["model.onnx"])
    width = len(signature.columns)
    with _refusing(f"{path} holds no graph that takes the {width} columns it names", _ANEW):
        package.score(np.full((1, width), np.nan, np.float32))
    return package


@contextmanager
def _refusing(what: str, remedy: str) -> Iterator[None]:
    """Whatever goes wrong inside, in one kind of error: zipfile, json and onnxruntime share none."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # RecursionError as well, of json
        raise PackageError(f"{what}: {error}. {remedy}") from None


def _converted(model: Model) -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    with warnings.catch_warnings():
        # skl2onnx 1.20 writes a flag as True where protobuf 7 wants 1: hence protobuf<7.
        warnings.filterwarnings("ignore", "Field onnx.AttributeProto.ints", DeprecationWarning)
        graph = to_onnx(
            _floored(model.estimator),
            initial_types=[("matrix", FloatTensorType([None, len(model.signature.columns)]))],
            options={"zipmap": False},
            target_opset={"": 18, "ai.onnx.ml": 3},
        )
    content: bytes = graph.SerializeToString()
    return content


def _floored(estimator: Any) -> Any:
    """A copy whose thresholds are float32's, each the largest up to the estimator's own.

    A float32 value lies at or below the one exactly where it lies at or below the other. skl2onnx does so
    for single trees; those of gradient boosting it rounds to the nearest, which may be the next value.
    """
    copy = deepcopy(estimator)
    last = copy.steps[-1][1] if hasattr(copy, "steps") else copy
    for tree in chain.from_iterable(getattr(last, "_predictors", ())):
        exact = tree.nodes["num_threshold"]
        nearest = exact.astype(np.float32)
        below = np.nextafter(nearest, np.float32(-np.inf))
        tree.nodes["num_threshold"] = np.where(nearest > exact, below, nearest)
    return copy


def _stated(column: Column) -> dict[str, Any]:
    """A column as the manifest has it. Infinity is no JSON: without a range, no range is stated."""
    facts = {**asdict(column), "names": list(column.names)}
    return {name: fact for name, fact in facts.items() if fact not in (-math.inf, math.inf)}


def _read(manifest: bytes) -> tuple[Signature, dict[str, Any]]:
    facts = json.loads(manifest)
    if facts.get("format") != FORMAT:
        raise ValueError(f"its format is {facts.get('format')}, not {FORMAT}")
    kinds = {name: type(fact).__name__ for name, fact in facts.items()}
    checks.require(kinds == _KINDS, f"its fields are {kinds}, not {_KINDS}")
    columns = [Column(**{**stated, "names": (*stated["names"],)}) for stated in facts["signature"]]
    if [_stated(column) for column in columns] != facts["signature"]:
        raise ValueError("its signature is not written as save does")
    return Signature(tuple(columns)), facts


def _sum(name: str, member: bytes) -> str:
    return f"{hashlib.sha256(member).hexdigest()}  {name}"  # a line of sha256sum


def _zipped(*members: bytes) -> bytes:
    named = dict(zip(_MEMBERS, members, strict=True))
    sums = "\n".join(_sum(name, member) for name, member in named.items())
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in {**named, _SUMS: f"{sums}\n".encode()}.items():
            archive.writestr(zipfile.ZipInfo(name), member, zipfile.ZIP_DEFLATED)
    return content.getvalue()


def _unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = (*_MEMBERS, _SUMS)
        if sum(archive.getinfo(name).file_size for name in names) > LARGEST:
            raise ValueError(f"it unpacks to more than {LARGEST:,} bytes")
        members = {name: archive.read(name) for name in names}
    sums = members.pop(_SUMS).decode().splitlines()
    for name, member in members.items():
        if _sum(name, member) not in sums:
            raise ValueError(f"{name} was altered, its SHA-256 is not the one in {_SUMS}")
    return members


def _card(signature: Signature, facts: dict[str, Any]) -> str:
    stated = {name.replace("_", " "): said for name, said in facts["stated"].items()}
    entries = {"trained on": f"{facts['training rows']:,} flights", **stated}
    entries |= {"data": facts["data"], "code": facts["code"]}
    lines = ["# Model card", *(f"- **{name}**: {said}" for name, said in entries.items())]
    lines += ["", "| column | unit | in training |", "|---|---|---|"]
    for column in signature.columns:
        span = f"{column.low:g} to {column.high:g}"
        seen = f"{len(column.names)} names" if column.names else span
        lines.append(f"| {column.name} | {column.unit} | {seen} |")
    return "\n".join(lines)
