"""A model in one file: an ONNX graph, its signature and its card, without pickle.

`save` compares the graph with scikit-learn before it writes; `load` refuses a file that is not what it
was when it was written.
"""

import hashlib
import io
import json
import math
import os
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlsys_lib import data
from mlsys_lib.checks import Array
from mlsys_lib.files import write
from mlsys_lib.models import Column, Matrix, Model, Signature

FORMAT = 1
_MEMBERS = ("model.onnx", "manifest.json", "MODEL_CARD.md")
_SUMS = "SHA256SUMS"
_TOLERANCE = 1e-5  # float32 against float64, on a probability
_AGAIN = "Take the file again from where it was released"


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
        "code": data.code_fingerprint(),
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


def load(path: str | os.PathLike[str], *, sha256: str | None = None) -> Package:
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
