"""Tests of what a model does, as for any software: change the rows, say what must follow, count where it does not.

A score says how often a model is right, not why. A `Behaviour` states something that must hold for
single flights, whatever their outcome: it needs no label. `suite` runs behaviours against anything that
has `predict(rows)` and `signature`: a fitted `mlsys_lib.models.Model`, or a `Package` read from its file.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib import checks
from mlsys_lib.checks import Array
from mlsys_lib.models import Model
from mlsys_lib.package import Package

Change = Callable[[pd.DataFrame], pd.DataFrame]
Predictor = Model | Package


@dataclass(frozen=True)
class Behaviour:
    """One thing that must hold. `invariance`, `perturbation`, `directional` and `minimum` make them.

    Parameters
    ----------
    kind, name : str
    change : callable
        Gives the changed rows, with the same index in the same order; for a minimum, those that it is
        about. It gets a copy, so that it may change it.
    broken : callable
        ``broken(before, after)`` says of each flight whether its two predictions violate it.
    allowed : float, default 0.05
        The share of flights that may, in [0, 1]; ``dataclasses.replace(test, allowed=0.1)`` sets another.
    """

    kind: str
    name: str
    change: Change
    broken: Callable[[Array, Array], npt.NDArray[np.bool_]]
    allowed: float = field(default=0.05, kw_only=True)

    def __post_init__(self) -> None:
        checks.within(self.allowed, 0, 1, "allowed")


def invariance(name: str, change: Change, *, tolerance: float = 1e-6) -> Behaviour:
    """What must not matter: no prediction may move by more than the tolerance.

    Parameters
    ----------
    name : str
    change : callable
        ``change(rows)`` gives the rows with another flight number, or another order of columns.
    tolerance : float, default 1e-6
        Probability.

    Returns
    -------
    Behaviour
    """
    noise = perturbation(name, change, tolerance=tolerance)
    return replace(noise, kind="invariance", allowed=0.0)


def perturbation(name: str, change: Change, *, tolerance: float = 0.1) -> Behaviour:
    """What must matter little: noise of the size of the measuring error must not turn the prediction.

    A twentieth of the flights may move by more than the tolerance.

    Parameters
    ----------
    name : str
    change : callable
        ``change(rows)`` gives the rows with noise.
    tolerance : float, default 0.1
        Probability.

    Returns
    -------
    Behaviour
    """
    checks.within(tolerance, 0, 1, "tolerance")
    return Behaviour("perturbation", name, change, lambda old, new: np.abs(new - old) > tolerance)


def directional(name: str, change: Change, *, sign: int = 1, tolerance: float = 0.01) -> Behaviour:
    """What must matter in one direction: worse conditions must not lower the prediction.

    A twentieth of the flights may move the other way.

    Parameters
    ----------
    name : str
    change : callable
        ``change(rows)`` gives the rows with more wind, or less sight.
    sign : {1, -1}, default 1
        1 if the prediction must not fall, -1 if it must not rise.
    tolerance : float, default 0.01
        Probability; a move of this size against the direction still counts as none.

    Returns
    -------
    Behaviour
    """
    checks.one_of(sign, (1, -1), "sign")
    checks.within(tolerance, 0, 1, "tolerance")
    return Behaviour("direction", name, change, lambda old, new: sign * (new - old) < -tolerance)


def minimum(name: str, choose: Change, *, low: float = 0.0, high: float = 1.0) -> Behaviour:
    """What a model must get right to be one at all: on easy flights the prediction lies in a range.

    A twentieth of them may lie outside.

    Parameters
    ----------
    name : str
    choose : callable
        ``choose(rows)`` gives the easy ones.
    low, high : float, default 0 and 1
        Probability.

    Returns
    -------
    Behaviour
    """
    checks.within(low, 0, high, "low")
    checks.within(high, low, 1, "high")
    return Behaviour("minimum", name, choose, lambda old, new: (new < low) | (new > high))


def suite(model: Predictor, rows: pd.DataFrame, behaviours: Iterable[Behaviour]) -> pd.DataFrame:
    """Run behaviours against a model.

    Parameters
    ----------
    model : mlsys_lib.models.Model or mlsys_lib.package.Package
        Or anything else that has ``predict(rows)`` and `signature`.
    rows : pandas.DataFrame of shape (n_flights, n_columns)
        Real flights; no label is needed.
    behaviours : iterable of Behaviour

    Returns
    -------
    pandas.DataFrame of shape (n_behaviours, 6), by name
        `kind`; `flights`; `sees` (how many of the changed columns the model has: a change that it cannot
        see tests nothing); `violated` (share); `largest` (largest move of a prediction; missing for a
        minimum); `holds` (whether no more are violated than allowed).

    Raises
    ------
    ValueError
        If there is no behaviour, or two of one name; if one concerns no flight at all, loses a column, or
        changes the rows or the index that it should keep; or if a prediction is missing.

    Examples
    --------
    >>> from mlsys_lib.models import fit, rule_of_thumb
    >>> rows = pd.DataFrame({"dep_minute": [400, 1200] * 500, "late": [0, 1] * 500, "visib": 10.0})
    >>> model = fit(rule_of_thumb, rows, columns=["dep_minute", "visib"])
    >>> tests = [
    ...     directional("less sight", lambda rows: rows.assign(visib=1.0)),
    ...     minimum("dawn", lambda rows: rows[rows.dep_minute < 480], high=0.3),
    ... ]
    >>> suite(model, rows, tests)[["flights", "sees", "violated", "holds"]]
                flights  sees  violated  holds
    less sight     1000     1       0.0   True
    dawn            500     0       0.0   True
    """
    tests = list(behaviours)
    if not tests or len({test.name for test in tests}) < len(tests):
        raise ValueError(f"behaviours must have names of their own; got {[b.name for b in tests]}")
    before = checks.numbers(model.predict(rows), "prediction")
    found = {test.name: _run(model, rows, before, test) for test in tests}
    return pd.DataFrame.from_dict(found, orient="index")


def _run(model: Predictor, rows: pd.DataFrame, before: Array, test: Behaviour) -> dict[str, object]:
    changed, chooses = test.change(rows.copy()), test.kind == "minimum"
    checks.columns(changed, rows.columns, remedy=f"{test.name!r} must keep every column")
    if changed.empty or not (chooses or changed.index.equals(rows.index)):
        did = f"turns {len(rows)} rows into {len(changed)}, or changes their index"
        raise ValueError(f"{test.name!r} {did}; keep all as they stand, or for a minimum some")
    after = checks.numbers(model.predict(changed), f"the prediction of {test.name!r}")
    broken = test.broken(after if chooses else before, after)
    seen = [name for name in model.signature.names if not changed[name].equals(rows[name])]
    return {
        "kind": test.kind,
        "flights": len(changed),
        "sees": 0 if chooses else len(seen),
        "violated": float(broken.mean()),
        "largest": np.nan if chooses else float(np.abs(after - before).max()),
        "holds": bool(broken.mean() <= test.allowed),
    }
