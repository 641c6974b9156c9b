"""Detectors of alibi-detect, with the vocabulary of `mlsys_lib.drift`. They load when they are fitted.

Its licence, the Business Source License, is free for non-production use only.
"""

import importlib
import sys
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from mlsys_lib import checks
from mlsys_lib.distances import Names
from mlsys_lib.drift import Detector, Rows
from mlsys_lib.features import CATEGORIES

_KINDS = ("KSDrift", "CVMDrift", "TabularDrift", "ClassifierDrift", "CVMDriftOnline")


class Alibi(Detector):
    """A detector of alibi-detect, behind the same two verbs. Its distances are the scores.

    Parameters
    ----------
    kind : str
        ``KSDrift``, ``CVMDrift``, ``TabularDrift``, ``ClassifierDrift``, or ``CVMDriftOnline``, which takes one row after the other (of a table with one row a day, say), goes
        on from window to window, and brings its threshold: 1 is an alarm, `calibrate` is not for it.
    columns : iterable of str
        Numbers for those of KS and CVM. Names become codes; a missing number becomes larger than any.
    **options
        For the detector; ``model`` for `ClassifierDrift` is a scikit-learn classifier. The online one
        needs ``ert``, the rows that shall pass on average until a false alarm, and ``window_sizes``; it
        finds the threshold by simulation.

    Raises
    ------
    ImportError
        If alibi-detect is not installed: it needs Python 3.11 or 3.12.
    ValueError
        If there is no such kind.

    References
    ----------
    Van Looveren et al., *Alibi Detect: algorithms for outlier, adversarial and drift detection*.
    """

    def __init__(self, kind: str, columns: Iterable[str], **options: Any) -> None:
        super().__init__(columns=columns)
        checks.one_of(kind, _KINDS, "kind")
        self.kind, self._options = kind, options
        self.remembers = kind == "CVMDriftOnline"
        if kind == "ClassifierDrift":
            self.statistics = ["all"]

    def restart(self) -> None:
        """Begin anew, which only the online one has to."""
        if self.remembers:
            self._detector.reset_state()

    def _learn(self, reference: Rows) -> None:
        names = [c for c in self.columns if c in CATEGORIES]
        self._codes = {c: Names(reference[c]).counts.index for c in names}
        options = dict(self._options)
        if self.kind == "TabularDrift":
            options["categories_per_feature"] = {self.columns.index(c): None for c in names}
        if self.kind == "ClassifierDrift":
            options["backend"] = "sklearn"
        self._detector = getattr(_alibi(), self.kind)(self._matrix(reference), **options)

    def _scores(self, window: Rows) -> pd.Series:
        matrix = self._matrix(window)
        with warnings.catch_warnings(action="ignore"):  # of its dependencies
            if self.remembers:
                steps = [self._detector.predict(row)["data"] for row in matrix]
                found = np.array([s["test_stat"] / s["threshold"] for s in steps])
                # Not a number until its window is full.
                return pd.Series(np.nan_to_num(found).max(axis=(0, 1)), self.statistics)
            found = self._detector.predict(matrix)["data"]["distance"]
        return pd.Series(np.atleast_1d(found), self.statistics)

    def _matrix(self, rows: Rows) -> checks.Array:
        coded = {c: known.get_indexer(pd.Index(rows[c])) for c, known in self._codes.items()}
        numbers = rows[self.columns].assign(**coded)
        most = np.finfo(np.float32).max
        return np.clip(numbers.to_numpy(float, na_value=most), -most, most)


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
