"""May it go live? Where a model errs, slice by slice, and the criteria that were set before anyone looked.

A figure over all flights hides where it comes from: `slices` takes it apart, and `discoveries` says how
much of what a search over hundreds of slices finds is more than chance. A release is decided by each
`Criterion` that was set beforehand.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib import checks
from mlsys_lib.metrics import Codes, Estimate, by_day, day_codes

Part = tuple[list[str], Codes]  # the titles of slices, and in which of them each row is


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
        The day of each flight, as for `mlsys_lib.metrics.day_block`.
    y : array of shape (n_flights,), 0 or 1
    p : array of shape (n_flights,), probability in [0, 1]
    columns : iterable of str
        Of few values each; cut numbers into ranges first. What is missing is a value of its own, which
        is called "missing".
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
        As `day_block`; or if no column is named, one is missing, or two slices would bear the same name.

    Notes
    -----
    Values go together by position; an index is not looked at. A slice's `excess` is a difference of two
    ratios of daily totals; its error is that of the delta method with days as the sampling unit, which
    agrees with the bootstrap of `day_block`.

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
    late, predicted = checks.binary(y, "y"), checks.probabilities(p, "p")
    day = day_codes(days, rows=rows, y=late, p=predicted)
    names = list(columns)
    checks.require(len(names) > 0, "columns is empty; name at least one")
    checks.columns(rows, names, remedy="name columns of few values that it has")
    checks.whole(at_least, 1, "at_least")
    inside = np.clip(predicted, 1e-12, 1 - 1e-12)
    loss = -np.where(late == 1, np.log(inside), np.log1p(-inside))
    added = [np.ones(len(day)), late, predicted, loss]
    parts = [_values(rows[name]) for name in names]
    parts += [_pairs(*both) for both in combinations(parts, 2)]
    whole, base = _sliced((["all"], np.zeros_like(day)), day, added, 1, 0.0)
    made = [_sliced(part, day, added, at_least, base) for part in parts]
    table = pd.concat([part for part, _ in made]).rename_axis("slice")
    if twice := table.index[table.index.duplicated()].to_list():
        raise ValueError(f"two slices are called {twice[0]!r}; name each value and column once")
    table.insert(7, "excess", table.gap - whole.gap.iloc[0])
    return table[table.days >= 20]


def discoveries(table: pd.DataFrame, *, rate: float = 0.05) -> pd.DataFrame:
    """The slices on which the model errs otherwise than on the whole, after paying for the search.

    Parameters
    ----------
    table : pandas.DataFrame of shape (n_slices, 9)
        As `slices` gives it: all of it, for each slice that was looked at counts. A slice that holds
        every flight does not differ from the whole.
    rate : float, default 0.05
        Which share of what is found may be chance.

    Returns
    -------
    pandas.DataFrame of shape (n_found, 11)
        With `t` (excess in standard errors) and `chance` (the smallest rate at which the slice is still
        found), the clearest first.

    Raises
    ------
    ValueError
        If a column or a figure is missing, or the rate lies outside [0, 1].

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

    checks.columns(table, ["excess", "error", "days"], remedy="slices gives it")
    checks.within(rate, 0, 1, "rate")
    excess, error = (checks.numbers(table[name], name) for name in ("excess", "error"))
    apart = np.abs(excess) > 1e-12  # less is rounding, of which the error has no more to say
    with np.errstate(divide="ignore"):
        t = np.divide(excess, error, out=np.zeros(len(table)), where=apart)
    chance = stats.false_discovery_control(2 * stats.t.sf(np.abs(t), table.days - 1))
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

    Raises
    ------
    ValueError
        If the limit is no finite number, or the side is another.

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
        checks.one_of(self.better, ("below", "above"), "better")
        checks.require(math.isfinite(self.limit), f"{self.name}: limit={self.limit} must be finite")

    def verdict(self, figure: Estimate | float) -> str:
        """What a figure says: pass, fail, or open where its interval holds the limit, or it is no number."""
        low, high = (figure.low, figure.high) if isinstance(figure, Estimate) else (figure, figure)
        if self.better == "below":
            passes, fails = high <= self.limit, low > self.limit
        else:
            passes, fails = low >= self.limit, high < self.limit
        return "pass" if passes else "fail" if fails else "open"


def digest(criteria: Iterable[Criterion]) -> str:
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
    >>> len(digest([Criterion("bias", 0.02)]))
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
        A table with a verdict each, their count, and the criteria's `digest`. What to do about an
        open or failed one is not its to say.

    Raises
    ------
    ValueError
        If there is no criterion, one has no figure, or a figure no criterion: none is left out, none is
        added afterwards.

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
    checks.require(len(rules) > 0, "there is no criterion; name what the release must reach")
    if odd := {rule.name for rule in rules} ^ set(figures):
        raise ValueError(f"criteria and figures must have the same names; one lacks {sorted(odd)}")
    lines = ["| criterion | required | measured | verdict |", "|---|---|---|---|"]
    count = {"pass": 0, "open": 0, "fail": 0}
    for rule in rules:
        figure = figures[rule.name]
        said = repr(figure) if isinstance(figure, Estimate) else f"{figure:.3g}"
        side = "at most" if rule.better == "below" else "at least"
        verdict = rule.verdict(figure)
        count[verdict] += 1
        lines.append(f"| {rule.name} | {side} {rule.limit:g} | {said} | {verdict} |")
    counted = ", ".join(f"{verdict} {number}" for verdict, number in count.items())
    return "\n".join([f"### {title}", "", *lines, "", f"{counted}. Criteria {digest(rules)}"])


def _values(column: pd.Series) -> Part:
    """The names of a column's values, and which of them each row has."""
    codes, seen = pd.factorize(column, sort=True, use_na_sentinel=False)
    return [f"{column.name}={'missing' if pd.isna(one) else one}" for one in seen], codes


def _pairs(one: Part, other: Part) -> Part:
    """The same for the pairs of values of two columns that occur together."""
    (left, first), (right, second) = one, other
    codes, seen = pd.factorize(first * len(right) + second, sort=True)
    return [f"{left[pair // len(right)]}, {right[pair % len(right)]}" for pair in seen], codes


def _sliced(
    part: Part, day: Codes, added: list[checks.Array], at_least: int, base: checks.Array | float
) -> tuple[pd.DataFrame, checks.Array]:
    """The slices of one partition, and what each day adds to the gap of each, less the `base`."""
    titles, code = part
    kept = np.bincount(code) >= at_least
    place = np.where(kept, np.cumsum(kept) - 1, kept.sum())[code]  # the others go behind, and off
    daily = [by_day(day, place, one)[:, : kept.sum()] for one in added]
    flights, late, p, loss = (table.sum(axis=0) for table in daily)
    gap = (p - late) / flights
    residual = (daily[2] - daily[1] - gap * daily[0]) / flights - base
    rate = np.clip(late / flights, 1e-12, 1 - 1e-12)
    figures = {
        "flights": flights.astype(int),
        "days": (daily[0] > 0).sum(axis=0),
        "late": late / flights,
        "p": p / flights,
        "loss": loss / flights,
        "constant": -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate)),
        "gap": gap,
        "error": np.sqrt((residual**2).sum(axis=0) * len(residual) / (len(residual) - 1)),
    }
    return pd.DataFrame(figures, index=np.array(titles)[kept]), residual
