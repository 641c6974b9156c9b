"""May it go live? Where a model errs, slice by slice, and the criteria that were set before anyone looked.

A figure over all flights hides where it comes from: `slices` takes it apart, and `discoveries` says how
much of what a search over hundreds of slices finds is more than chance. A release is decided by each
`Criterion` that was set beforehand.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib.checks import Array
from mlsys_lib.metrics import Estimate, _by_day


def slices(
    rows: pd.DataFrame,
    days: npt.ArrayLike,
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    columns: Iterable[str],
    *,
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


def discoveries(table: pd.DataFrame, *, rate: float = 0.05) -> pd.DataFrame:
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
    better: str = field(default="below", kw_only=True)

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
