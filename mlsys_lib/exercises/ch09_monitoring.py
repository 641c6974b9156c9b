"""Exercises of chapter 09, monitoring."""

import io
import math
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from mlsys_lib import World, checks
from mlsys_lib.alerts import Policy, alerts, performance
from mlsys_lib.exercises import cases
from mlsys_lib.exercises.checker import Answer, Exercise, Same, exercise, expect
from mlsys_lib.faults import silent_airline, unit_change
from mlsys_lib.features import ROLLING, batch
from mlsys_lib.models import fit, logistic
from mlsys_lib.world import HOME, local_day

# -- alibi-detect ------------------------------------------------------------------------------------

# What the chapter's tables of alibi-detect say, for a Python that it does not run on.
_KS, _CLASSIFIER = "KS: features that differ, of 27", "classifier: p"
_KEPT: dict[str, dict[str, list[Any]]] = {
    "load": {
        "": ["seconds", "modules loaded"],
        "first use": ["5.3", 606],
    },
    "defaults": {
        "": [_KS, _CLASSIFIER, "told apart by"],
        "furlough week": [22, "0.000", "temp, origin_landed_late_24h, pressure"],
        "ordinary week": [23, "0.000", "temp, dewp, wind_dir"],
        "even against odd days": [13, "0.000", "day_of_week, pressure, wind_dir"],
    },
    "by day": {
        "": ["alarms a day (promised .033)", "days of the furlough week", "of an ordinary week"],
        "alibi-detect: KSDrift": ["0.08 [0.03, 0.14]", 0, 0],
        "alibi-detect: ClassifierDrift": ["0.024 [0.000, 0.056]", 1, 0],
    },
    "online": {
        "": [
            "alarms on calm, unseen days",
            "days to a false alarm (promised 30)",
            "rings for the day",
        ],
        "alibi-detect: CVM online": [6, 20.7, "22 Apr"],
    },
}


def or_kept(name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """A table that needs alibi-detect: made where it is installed, else the one that is kept here.

    Parameters
    ----------
    name : str
        Of the table: "load", "defaults", "by day" or "online".
    make : callable
        Makes it.

    Returns
    -------
    pandas.DataFrame
        Where alibi-detect is not installed, a printed line says that the table is the kept one.
        What a first load of the package says is printed with the table "load" alone.

    Raises
    ------
    ValueError
        If no table of this name is kept.

    Examples
    --------
    >>> or_kept("load", lambda: pd.DataFrame({"first use": {"seconds": "6.0"}})).shape[1]
    1
    """
    checks.one_of(name, tuple(_KEPT), "name")
    if find_spec("alibi_detect") is not None:
        said = sys.stdout if name == "load" else io.StringIO()
        with redirect_stderr(said), warnings.catch_warnings(action="ignore"):
            if name != "load":
                import_module("alibi_detect.cd")
            return make()
    print(f"alibi-detect is left out on Python {sys.version[:4]}; kept with the course:")
    heads, *rows = _KEPT[name].values()
    table = pd.DataFrame(rows, list(_KEPT[name])[1:], heads)
    return table.T if name == "load" else table


# -- binned ------------------------------------------------------------------------------------------


@exercise(
    hints=[
        "Who chooses the bins, the reference or the window? And in which of them does a missing value lie?",
        "Quantiles of the known values of the reference are the cuts. np.searchsorted says how many cuts a value has "
        "passed, and that is its bin; a missing one needs a bin after the last.",
        "cuts = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])); np.searchsorted(cuts, values, "
        'side="right"); np.bincount(place, minlength=len(cuts) + 2) + 0.5 keeps every logarithm finite.',
    ]
)
def binned(reference, window, bins):
    """The population stability index of a column of numbers, bin by bin.

    `reference` and `window` are arrays of numbers; a missing one is NaN. At
    least one of the reference is known; the window may be empty. Cut at the
    quantiles 1/bins, 2/bins, ... of the reference's known values (np.quantile,
    as it interpolates), not rounded; `bins` is 1 or more. Equal cuts count
    once; a cut at its smallest value is none. A value on a cut is in the bin
    above. The lowest and the highest bin are open, and missing values have a
    bin of their own, the last. Add half a row to every count, so that no bin is
    empty, then turn counts into shares. Give an array with the part of each
    bin, from the lowest: (new - old) * log(new / old). Their sum is the index.
    """
    known = reference[~np.isnan(reference)]
    cuts = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))  # blank
    cuts = cuts[cuts > known.min()]

    def shares(values):
        place = np.searchsorted(cuts, values, side="right")  # blank
        place = np.where(np.isnan(values), len(cuts) + 1, place)  # blank
        counts = np.bincount(place, minlength=len(cuts) + 2) + 0.5  # blank
        return counts / counts.sum()

    old, new = shares(reference), shares(window)
    return (new - old) * np.log(new / old)  # blank


_NEARLY = 0.004  # where counts are large, half a row more or less is nothing


def _spread() -> Any:
    """From 0 to 4, in four equal bins, and some gaps."""
    return np.append(np.arange(20_000) / 5000, [np.nan] * 20)


def _numbers(*counts: int) -> Any:
    """So many ones, twos, threes, ..., and in the end so many missing values."""
    return np.repeat([*np.arange(1.0, len(counts)), np.nan], counts)


def _parts(old: list[float], new: list[float]) -> list[float]:
    """By the formula, from counts that hold their half row where it matters."""
    a, b = sum(old), sum(new)
    return [(n / b - o / a) * math.log((n / b) / (o / a)) for o, n in zip(old, new, strict=True)]


@binned.claim("a window from the top quarter of the reference has an index above 1")
def moved_up(answer: Answer) -> None:
    window = np.append(np.linspace(3.01, 3.99, 400), [0.5, 1.5, 2.5, np.nan])
    index = float(np.sum(answer(_spread(), window, 4)))
    expect(index > 1, True, because=f"the index is {index:.2f}: nothing seems to have moved")


@binned.claim("each part is (new - old) * log(new / old), of shares")
def formula(answer: Answer) -> None:
    window = np.repeat([0.5, 1.5, 2.5, 3.5, np.nan], [300, 100, 100, 450, 1])
    plain = _parts([5000, 5000, 5000, 5000, 20], [300, 100, 100, 450, 1])
    expect(answer(_spread(), window, 4), plain, tolerance=0.03)


@binned.claim("the cuts are those of the reference, and the window has no say in them")
def cuts_of_reference(answer: Answer) -> None:
    window = np.repeat([0.5, 1.5, 2.5, 3.5, np.nan], [4000, 1000, 1000, 34000, 40])
    plain = _parts([5000, 5000, 5000, 5000, 20], [4000, 1000, 1000, 34000, 40])
    expect(answer(_spread(), window, 4), plain, tolerance=_NEARLY)


@binned.claim("what lies outside of all that the reference held is counted, in the outer bins")
def open_ends(answer: Answer) -> None:
    wide = np.repeat([-50.0, 0.5, 1.5, 2.5, 3.5, 900.0, np.nan], [900, *[500] * 4, 400, 2])
    plain = _parts([5000, 5000, 5000, 5000, 20], [1400, 500, 500, 900, 2])
    expect(answer(_spread(), wide, 4), plain, tolerance=_NEARLY)


@binned.claim("a bin that is empty in the window adds what half a row adds, and no infinity")
def empty_bin(answer: Answer) -> None:
    got = answer(_numbers(6, 6, 6, 6, 0), _numbers(5, 0, 0, 3, 0), 4)
    expect(got, _parts([6.5, 6.5, 6.5, 6.5, 0.5], [5.5, 0.5, 0.5, 3.5, 0.5]))


@binned.claim("a feed that dies fills the bin of missing values, and no other")
def dead_feed(answer: Answer) -> None:
    got = answer(_numbers(20, 20, 20, 20, 4), np.full(40, np.nan), 4)
    expect(got, _parts([20.5, 20.5, 20.5, 20.5, 4.5], [0.5, 0.5, 0.5, 0.5, 40.5]))


@binned.claim("a value on a cut is in the bin above it")
def on_a_cut(answer: Answer) -> None:
    got = answer(np.arange(9.0), np.array([2.0, 4.0, 4.0, 6.0]), 4)  # cuts at 2, 4 and 6
    expect(got, _parts([2.5, 2.5, 2.5, 3.5, 0.5], [0.5, 1.5, 2.5, 1.5, 0.5]))


@binned.claim("cuts that coincide are one")
def repeated(answer: Answer) -> None:
    usual = np.repeat([1.0, 5.0, 9.0], [2, 6, 2])  # all three cuts are at 5
    got = answer(usual, np.array([1.0, 1.0, 5.0, 9.0]), 4)
    expect(got, _parts([2.5, 8.5, 0.5], [2.5, 2.5, 0.5]))


@binned.claim("where most values are the smallest, there is no bin below it")
def mostly_zero(answer: Answer) -> None:
    rain = np.array(
        [0.0] * 18 + [0.1, 0.4]
    )  # nine tenths are zero; the highest of nine cuts is not
    got = answer(rain, np.array([0.0, 0.0, 0.4, np.nan]), 10)
    expect(got, _parts([18.5, 2.5, 0.5], [2.5, 1.5, 1.5]))


def _ways_to_cut(known: Any, bins: int) -> list[Any]:
    """The cuts by each way to write them: they may differ in the last digit."""
    shares = np.arange(1, bins) / bins
    grid = np.linspace(0, 1, bins + 1)[1:-1]
    made = [np.quantile(known, shares), np.quantile(known, grid), np.percentile(known, 100 * grid)]
    made += [
        pd.Series(known).quantile(shares),
        np.percentile(known, [100 * k / bins for k in range(1, bins)]),
    ]
    return [np.unique(cuts[cuts > known.min()]) for cuts in map(np.asarray, made)]


def _known(values: Any) -> Any:
    return values[~np.isnan(values)]


def _is_told_alike(reference: Any, window: Any, bins: int) -> bool:
    """Whether all ways to write the cuts part all values alike."""
    values = _known(np.append(reference, window))
    first, *others = _ways_to_cut(_known(reference), bins)
    return all(
        len(cuts) == len(first)
        and np.array_equal(*(np.searchsorted(c, values, side="right") for c in (first, cuts)))
        for cuts in others
    )


def _quantiles(reference: Any, window: Any, bins: int) -> Any:
    return np.quantile(_known(reference), np.arange(1, bins) / bins)


@binned.generated(
    "any reference, window and number of bins",
    marks={
        "a value of the window lies on a cut": lambda *given: np.isin(
            given[1], _quantiles(*given)
        ).any(),
        "cuts coincide": lambda *given: len(set(_quantiles(*given))) < len(_quantiles(*given)),
        "a cut is the smallest value": lambda *given: (
            _quantiles(*given) == np.nanmin(given[0])
        ).any(),
        "the window goes below or above the reference": lambda reference, window, bins: (
            (window < np.nanmin(reference)) | (window > np.nanmax(reference))
        ).any(),
        "a value of the reference is missing": lambda reference, window, bins: np.isnan(
            reference
        ).any(),
        "a value of the window is missing": lambda reference, window, bins: np.isnan(window).any(),
        "nothing of the window is known": lambda reference, window, bins: np.isnan(window).all(),
        "all values are of the size of a thousandth": lambda reference, window, bins: (
            np.nanmax(np.abs(reference)) < 0.01
        ),
        "there is one bin": lambda reference, window, bins: bins == 1,
    },
    count=80,
)
def any_window(draw):
    scale = draw(st.sampled_from([1.0, 1e-4, 1000.0]))
    each = st.one_of(cases.whole(0, 3), cases.figures(-2, 8, step=0.25))
    known = draw(cases.some(each, 1, 12))
    gaps = [math.nan] * draw(cases.whole(0, 3))
    reference = np.array(draw(st.permutations([*known, *gaps]))) * scale
    wanted = draw(st.sampled_from([4, 2, 1, 3, 5, 10, 20]))
    on = [*_quantiles(reference, None, wanted), *_known(reference)]
    beyond = [
        reference[~np.isnan(reference)].min() - scale,
        np.nanmax(reference) + 2 * scale,
        math.nan,
    ]
    window = np.array(
        draw(cases.some(st.sampled_from([*on, *beyond]) | each.map(lambda v: v * scale), 0, 8)),
        float,
    )
    bins = next(n for n in (wanted, 4, 2, 1) if _is_told_alike(reference, window, n))
    return reference, window, bins


_CUTS = "np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))"
_COUNTED = "counts = np.bincount(place, minlength=len(cuts) + 2) + 0.5"
_PART = "return (new - old) * np.log(new / old)"
binned.mistake(
    "cuts are rounded to three decimals",
    fails="any_window",
    old=_CUTS,
    new=_CUTS.replace("[1:-1])", "[1:-1]).round(3)"),
)
binned.mistake(
    "there are always two bins or more",
    fails="any_window",
    old="bins + 1)",
    new="max(bins, 2) + 1)",
)
binned.mistake(
    "each side is cut at its own quantiles, and nothing ever moves",
    fails="moved_up",
    old='place = np.searchsorted(cuts, values, side="right")',
    new="own = np.nanquantile(values, np.linspace(0, 1, bins + 1)[1:-1])\n"
    '        place = np.searchsorted(own, values, side="right")',
)
binned.mistake(
    "counts are compared, and a shorter window is a shift",
    fails="formula",
    old="counts / counts.sum()",
    new="counts",
)
binned.mistake(
    "the divergence of one side only",
    fails="formula",
    old=_PART,
    new="return new * np.log(new / old)",
)
binned.mistake("one bin too few", fails="formula", old="bins + 1)[1:-1]", new="bins)[1:-1]")
binned.mistake(
    "only the sum is given", fails="formula", old=_PART, new=_PART.replace("n (", "n sum((") + ")"
)
binned.mistake(
    "bins of equal width",
    fails="repeated",
    old=_CUTS,
    new="np.linspace(known.min(), known.max(), bins + 1)[1:-1]",
)
binned.mistake(
    "the cuts are those of both sides together",
    fails="cuts_of_reference",
    old="np.quantile(known, ",
    new="np.nanquantile(np.append(known, window), ",
)
binned.mistake(
    "bins end where the reference ends, and what lies outside falls out",
    fails="open_ends",
    old=_COUNTED,
    new="inside = ~((values < known.min()) | (values > known.max()))\n"
    "        counts = np.bincount(place[inside], minlength=len(cuts) + 2) + 0.5",
)
binned.mistake(
    "nothing is added, and an empty bin is infinite",
    fails="empty_bin",
    old=_COUNTED,
    new=_COUNTED.removesuffix(" + 0.5"),
)
binned.mistake(
    "an empty bin is given a share of a ten-thousandth",
    fails="empty_bin",
    old="return counts / counts.sum()",
    new="return ((counts - 0.5) / (counts - 0.5).sum()).clip(min=1e-4)",
)
binned.mistake(
    "half a row is added only where there is none",
    fails="empty_bin",
    old=_COUNTED,
    new="counts = np.bincount(place, minlength=len(cuts) + 2).clip(min=0.5)",
)
binned.mistake(
    "missing values are left out",
    fails="dead_feed",
    old=_COUNTED,
    new="counts = np.bincount(place[~np.isnan(values)], minlength=len(cuts) + 2) + 0.5",
)
binned.mistake(
    "missing values are sorted behind the largest, into the top bin",
    fails="dead_feed",
    old="np.where(np.isnan(values), len(cuts) + 1, place)",
    new="place",
)
binned.mistake(
    "a value on a cut is in the bin below it",
    fails="on_a_cut",
    old='side="right"',
    new='side="left"',
)
binned.mistake(
    "cuts that coincide make bins without width",
    fails="repeated",
    old=_CUTS,
    new="np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])",
)
binned.mistake(
    "the smallest value is a cut as well",
    fails="mostly_zero",
    old="cuts[cuts > known.min()]",
    new="cuts",
)


binned.equivalent(
    "np.unique sorts the cuts", old="np.linspace(0, 1, bins + 1)", new="np.linspace(1, 0, bins + 1)"
)
for _edges in ("[:-1]", "[0:-1]"):
    binned.equivalent("a cut at the smallest value is none", old="[1:-1]", new=_edges)


@binned.alternative
def with_cut(reference, window, bins):
    known = pd.Series(reference).dropna()
    inner = known.quantile([k / bins for k in range(1, bins)])
    ends = [-math.inf, *sorted(set(inner[inner > known.min()])), math.inf]

    def tally(values):
        bins_of = pd.cut(pd.Series(values), ends, right=False, labels=False)
        counts = bins_of.fillna(len(ends) - 1).value_counts()
        return counts.reindex(range(len(ends)), fill_value=0) + 0.5

    old, new = (tally(values) for values in (reference, window))
    old, new = old / old.sum(), new / new.sum()
    return ((new - old) * (np.log(new) - np.log(old))).to_numpy()


# -- charted -----------------------------------------------------------------------------------------


@exercise(
    hints=[
        "What is a residual of .07 on 900 flights? Much for 900 coins, nothing for a day: its flights share one sky. "
        "So what tells you how far days lie apart?",
        "Late less predicted, a day one number. The usual days give the centre and the spread, robustly, so that one "
        "storm among them widens nothing; the watched days are held against both.",
        "centre = residual.median(); spread = 1.4826 * (residual - centre).abs().median(), both of the usual days; "
        "then (watched.late - watched.predicted - centre).abs() > 3 * spread.",
    ]
)
def charted(usual, watched):
    """The days on which a control chart alerts.

    `usual` (a period without faults) and `watched` have a row a day, by day:
    flights, late (the share that was late; missing where too little is known)
    and predicted (the mean probability). A day's residual is late - predicted.
    The centre of the chart is the median of the usual residuals, and the spread
    of days is 1.4826 times the median of their distances from the centre (not 0
    here), which for a bell curve is its standard deviation. Missing residuals
    count for nothing, on either side. Give the list of the watched days, as
    they stand in its index and in that order, whose residual lies more than
    three spreads from the centre, above or below; just three are not more. It
    may be empty, and `watched` may be too.
    """
    residual = usual.late - usual.predicted  # blank
    centre = residual.median()  # blank
    spread = 1.4826 * (residual - centre).abs().median()  # blank
    now = watched.late - watched.predicted
    beyond = (now - centre).abs() > 3 * spread  # blank
    return list(watched.index[beyond])


def _days(*residuals: float, predicted: float = 0.2, flights: int = 900) -> pd.DataFrame:
    days = pd.date_range("2013-04-01", periods=len(residuals))
    late = predicted + np.array(residuals)
    return pd.DataFrame({"flights": flights, "late": late, "predicted": predicted}, days)


# Eleven days: median 0, median distance .04, so that three spreads are .178.
_USUAL = (0.06, -0.02, 0.09, -0.04, 0.01, -0.06, 0.0, 0.04, -0.09, 0.02, -0.01)


def _alerted(answer: Answer, usual: pd.DataFrame, watched: pd.DataFrame, *places: int) -> None:
    got = [watched.index.get_loc(day) for day in answer(usual, watched)]
    expect(got, list(places))


@charted.claim("of four days, only the one that is .3 off is alerted (places count from 0)")
def far_off(answer: Answer) -> None:
    _alerted(answer, _days(*_USUAL), _days(0.02, -0.01, 0.3, 0.0), 2)


@charted.claim("a day .085 off is nothing among such days, be it six errors of 900 coins")
def not_coins(answer: Answer) -> None:
    _alerted(answer, _days(*_USUAL), _days(0.085, -0.085, 0.07))


@charted.claim("a storm that the model foresaw is no alert")
def foreseen(answer: Answer) -> None:
    storm = _days(0.02, predicted=0.5)
    _alerted(answer, _days(*_USUAL), storm)


@charted.claim("a day that is .3 better than predicted is one")
def below(answer: Answer) -> None:
    _alerted(answer, _days(*_USUAL), _days(0.0, -0.3, 0.01), 1)


@charted.claim("the centre is where the usual days lie, and not zero")
def biased(answer: Answer) -> None:
    usual = _days(*(r + 0.1 for r in _USUAL))
    _alerted(answer, usual, _days(0.1, 0.18, -0.1, 0.35), 2, 3)


@charted.claim("two storms among the usual days do not widen the limits")
def robust(answer: Answer) -> None:
    usual = _days(*_USUAL, 0.6, -0.01, 0.5, 0.01)
    _alerted(answer, usual, _days(0.25, -0.22, 0.0), 0, 1)


@charted.claim("days without a residual neither count nor alert")
def gaps(answer: Answer) -> None:
    usual = _days(*_USUAL[:5], math.nan, *_USUAL[5:])
    _alerted(answer, usual, _days(math.nan, 0.3, math.nan, 0.0, 0.01), 1)


@charted.claim("three spreads are .178 here: .17 is within, .19 is not")
def exactly(answer: Answer) -> None:
    _alerted(answer, _days(*_USUAL), _days(0.17, 0.19, -0.17, -0.19), 1, 3)


@charted.claim("a busy day has the same limits as one with few flights")
def any_size(answer: Answer) -> None:
    for flights in (150, 8000):
        _alerted(answer, _days(*_USUAL), _days(0.16, 0.21, 0.0, 0.01, -0.01, flights=flights), 1)


@charted.claim("where all watched days are .4 off, all are alerted")
def whole_period(answer: Answer) -> None:
    _alerted(answer, _days(*_USUAL), _days(0.4, 0.42, 0.38), 0, 1, 2)


def _residuals(table: pd.DataFrame) -> pd.Series:
    return table.late - table.predicted


def _in_spreads(usual: pd.DataFrame, watched: pd.DataFrame) -> pd.Series:
    """How many spreads the watched days lie from the centre."""
    centre = _residuals(usual).median()
    spread = 1.4826 * (_residuals(usual) - centre).abs().median()
    return (_residuals(watched) - centre).abs() / spread


@st.composite
def _period(draw: cases.Draw, first: str, residual: Any, least: int, most: int) -> pd.DataFrame:
    """A row a day, some days left out, with these residuals."""
    made = draw(cases.some(residual, least, most))
    days = sorted(draw(cases.some(cases.whole(0, 40), len(made), len(made), unique=True)))
    predicted = [
        draw(
            st.sampled_from(
                [p for p in (0.5, 0.25, 0.75, 0.0, 1.0) if not (p + r < 0 or p + r > 1)]
            )
        )
        for r in made
    ]
    flights = draw(cases.some(cases.whole(1, 1200), len(made), len(made)))
    table = {
        "flights": np.array(flights, int),
        "late": np.add(predicted, made),
        "predicted": np.array(predicted, float),
    }
    return pd.DataFrame(
        table, pd.DatetimeIndex([pd.Timestamp(first) + pd.Timedelta(days=d) for d in days])
    )


@charted.generated(
    "any usual and any watched days",
    marks={
        "a day lies just three spreads from the centre": lambda usual, watched: (
            _in_spreads(usual, watched) == 3
        ).any(),
        "a day lies below the centre, by more than three spreads": lambda usual, watched: (
            (_in_spreads(usual, watched) > 3) & (_residuals(watched) < _residuals(usual).median())
        ).any(),
        "the centre is not zero": lambda usual, watched: _residuals(usual).median() != 0,
        "a usual residual is missing": lambda usual, watched: usual.late.isna().any(),
        "a watched residual is missing": lambda usual, watched: watched.late.isna().any(),
        "the usual days are an even number": lambda usual, watched: usual.late.count() % 2 == 0,
        "a usual day lies more than three spreads off": lambda usual, watched: (
            _in_spreads(usual, usual) > 3
        ).any(),
        "nothing is watched": lambda usual, watched: watched.empty,
    },
    count=80,
)
def any_days(draw):
    """Residuals in 64ths, so that all ways to write the limit give the same number where a day lies on it."""
    in_64ths = cases.whole(-8, 8).map(lambda n: n / 64)
    usual = in_64ths | st.sampled_from([0.375, -0.25, math.nan])
    bias = draw(st.sampled_from([0, 0, 0.0625, -0.125]))
    shift = usual.map(lambda r: r + bias)
    usual = draw(_period("2013-04-01", shift, 2, 9))
    residual = _residuals(usual)
    centre = residual.median()
    width = (residual - centre).abs().median()
    if not width > 0:
        usual = usual.assign(
            late=usual.predicted + bias + np.resize([0.0625, 0, -0.0625], len(usual))
        )
        width, centre = 0.0625, bias
    beside = [side * 3 * 1.4826 * width + step for side in (1, -1) for step in (1e-5, -1e-5)]
    limits = st.sampled_from(beside)
    near = limits.map(lambda r: float(np.clip(r + centre, -1, 1)))
    watched = draw(_period(draw(st.sampled_from(["2013-06-01", "2023-01-01"])), near | shift, 0, 6))
    if centre == 0 and math.log2(width) % 1 == 0 and len(watched):
        exact = 3 * 1.4826 * width
        late, predicted = draw(st.sampled_from([(exact, 0.0), (0.0, exact)]))
        watched.iloc[0, 1:] = late, predicted
    return usual, watched


_WIDTH = "1.4826 * (residual - centre).abs().median()"
_FAR = "(now - centre).abs() > 3 * spread"
charted.mistake(
    "just three spreads are enough",
    fails="any_days",
    old=_FAR,
    new="(now - centre).abs() >= 3 * spread",
)
charted.mistake(
    "a usual day without a residual was as predicted",
    fails="any_days",
    old="residual = usual.late - usual.predicted",
    new="residual = (usual.late - usual.predicted).fillna(0)",
)
charted.mistake(
    "the spread is that of single flights",
    fails="far_off",
    old=_WIDTH,
    new="(usual.predicted * (1 - usual.predicted)).mean() ** 0.5",
)
charted.mistake(
    "the limit is the binomial one, of flights",
    fails="not_coins",
    old=_FAR,
    new="(now - centre).abs() > 3 * (watched.predicted * (1 - watched.predicted)"
    " / watched.flights) ** 0.5",
)
charted.mistake(
    "the error of the mean of all days is taken for the spread of one",
    fails="not_coins",
    old=_WIDTH,
    new=_WIDTH + " / len(residual) ** 0.5",
)
charted.mistake(
    "two spreads, as for a test at five per cent",
    fails="exactly",
    old="3 * spread",
    new="2 * spread",
)
charted.mistake(
    "late rates are charted, and every storm is a fault",
    fails="foreseen",
    old="now = watched.late - watched.predicted",
    new="now = watched.late - usual.predicted.mean()",
)
charted.mistake(
    "only what is worse than predicted counts",
    fails="below",
    old=_FAR,
    new="now - centre > 3 * spread",
)
charted.mistake(
    "the model is taken to be unbiased",
    fails="biased",
    old="centre = residual.median()",
    new="centre = 0.0",
)
charted.mistake(
    "mean and standard deviation, which a storm moves and widens",
    fails="robust",
    old="centre = residual.median()\n    spread = " + _WIDTH,
    new="centre = residual.mean()\n    spread = residual.std()",
)
charted.mistake(
    "the limits are the largest residual ever seen",
    fails="robust",
    old="3 * spread",
    new="(residual - centre).abs().max()",
)
charted.mistake(
    "a median of arrays, which one gap makes missing",
    fails="gaps",
    old="centre = residual.median()",
    new="centre = np.median(residual.to_numpy())",
)
charted.mistake(
    "whatever is not within is beyond, gaps as well",
    fails="gaps",
    old=_FAR,
    new="~((now - centre).abs() <= 3 * spread)",
)
charted.mistake(
    "a gap is no residual",
    fails="gaps",
    old="now = watched.late - watched.predicted",
    new="now = watched.late.fillna(1.0) - watched.predicted",
)
charted.mistake(
    "the median distance itself is the spread",
    fails="exactly",
    old="1.4826 * ",
    new="",
)
charted.mistake(
    "the spread shrinks with the flights of the day",
    fails="any_size",
    old=_FAR,
    new="(now - centre).abs() > 3 * spread * (usual.flights.mean() / watched.flights) ** 0.5",
)
charted.mistake(
    "the watched days set their own centre",
    fails="whole_period",
    old=_FAR,
    new="(now - now.median()).abs() > 3 * spread",
)


@charted.alternative
def day_by_day(usual, watched):
    known = sorted(row.late - row.predicted for row in usual.itertuples() if row.late == row.late)

    def middle(values):
        values = sorted(values)
        half = len(values) // 2
        return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2

    centre = middle(known)
    spread = 1.4826 * middle(abs(r - centre) for r in known)
    return [
        day
        for day, row in watched.iterrows()
        if abs(row["late"] - row["predicted"] - centre) > 3 * spread
    ]


# -- matured -----------------------------------------------------------------------------------------


@exercise(
    hints=[
        "Two questions, for each flight: is it settled by now, and has it a label? They differ for one kind of flight.",
        "What is not settled has no residual yet, whatever the archive says. Over the day, the mean of the settled "
        "flags says how much of it you know.",
        "settled = rows.settled_at <= now; ((rows.late - rows.p).where(settled)).groupby(rows.day).mean(), kept "
        ".where(settled.groupby(rows.day).mean() >= least).",
    ]
)
def matured(rows, now, least):
    """The residual of each day, as far as it can be told at `now`.

    `rows` comes from an archive that knows how everything ended, a row a
    flight, in any order: day, p (its predicted probability), late (1.0 or 0.0;
    missing for a flight that was cancelled) and settled_at (when the desk heard
    that it had landed or was cancelled; missing if it never heard). A day's
    residual is the mean of late - p over its flights that had a label by `now`.
    Flights on time report first, so a day that is half known looks better than
    it is: the residual is missing where the share of the day's flights that
    were settled by `now` (or right then) is below `least`. A cancelled flight
    is settled, and has no label; where no flight has one, there is no residual
    either. Give a Series of all days in `rows`, whose index is the days, in any
    order; nothing is rounded, and no day is left out.
    """
    settled = rows.settled_at <= now  # blank
    residual = (rows.late - rows.p).where(settled)  # blank
    share = settled.groupby(rows.day).mean()  # blank
    return residual.groupby(rows.day).mean().where(share >= least)  # blank


_NOW = pd.Timestamp("2013-05-09 20:00", tz="UTC")
_BEFORE, _AFTER, _NEVER = "2013-05-09 19:00", "2013-05-09 21:00", None


def _flights(*flights: tuple[str, float, float, str | None]) -> pd.DataFrame:
    rows = pd.DataFrame(flights, columns=["day", "p", "late", "settled_at"])
    return rows.assign(
        day=pd.to_datetime("2013-05-" + rows.day),
        settled_at=pd.to_datetime(rows.settled_at, utc=True),
    )


def _told(answer: Answer, least: float, *flights: tuple[str, float, float, str | None]) -> Any:
    """What the answer says of each day of May 2013, by the day's number."""
    got = pd.Series(answer(_flights(*flights), _NOW, least))
    days = pd.DatetimeIndex(got.index).day
    return dict(zip(days.tolist(), got.astype(float).tolist(), strict=True))


_DONE = (("07", 0.2, 1.0, _BEFORE), ("07", 0.4, 0.0, _BEFORE))


@matured.claim("a day on which all is known: one of two late, .3 predicted, is .2 short")
def known(answer: Answer) -> None:
    more = (("08", 0.1, 0.0, _BEFORE), ("08", 0.3, 0.0, _BEFORE))
    expect(_told(answer, 0.9, *_DONE, *more), {7: 0.2, 8: -0.2})


@matured.claim("a label that comes an hour after `now` is not known, though the archive has it")
def not_yet_heard(answer: Answer) -> None:
    late = ("08", 0.6, 1.0, _AFTER)
    expect(_told(answer, 0.4, *_DONE, ("08", 0.1, 0.0, _BEFORE), late), {7: 0.2, 8: -0.1})


@matured.claim("a day of which too little is settled stands in the Series, and is missing")
def half_known(answer: Answer) -> None:
    late = ("08", 0.6, 1.0, _AFTER)
    got = _told(answer, 0.9, *_DONE, ("08", 0.1, 0.0, _BEFORE), late, late)
    expect(got, {7: 0.2, 8: math.nan})


@matured.claim("a flight that was cancelled is settled: the day need not wait for its label")
def cancelled(answer: Answer) -> None:
    storm = [("08", 0.3, math.nan, _BEFORE)] * 3
    landed, flying = ("08", 0.3, 1.0, _BEFORE), ("08", 0.6, 1.0, _AFTER)
    expect(_told(answer, 0.75, *_DONE, *storm, landed, flying), {7: 0.2, 8: 0.7})


@matured.claim("it is neither late nor on time, and its prediction does not count")
def without_label(answer: Answer) -> None:
    gone = ("07", 0.9, math.nan, _BEFORE)
    expect(_told(answer, 0.9, *_DONE, gone), {7: 0.2})


@matured.claim("an airline that reports nothing keeps its day open, however old the day is")
def silent(answer: Answer) -> None:
    mute = [("02", 0.2, 0.0, _NEVER)] * 2
    got = _told(answer, 0.9, ("02", 0.2, 0.0, _BEFORE), *mute, *_DONE)
    expect(got, {2: math.nan, 7: 0.2})


@matured.claim("what is settled right at `now` is known")
def on_the_dot(answer: Answer) -> None:
    expect(_told(answer, 0.9, *_DONE, ("08", 0.3, 0.0, "2013-05-09 20:00")), {7: 0.2, 8: -0.3})


@matured.claim("a day of which exactly `least` is settled is told")
def just_enough(answer: Answer) -> None:
    day = [("08", 0.25, 0.0, _BEFORE)] * 3 + [("08", 0.25, 1.0, _AFTER)]
    expect(_told(answer, 0.75, *day), {8: -0.25})


@cache
def _april() -> pd.DataFrame:
    """Three real days of April 2013, as an archive has them."""
    world = World("2013-04-24 04:00").hindsight()
    rows = world.labels(since="2013-04-21 08:00")
    rows = rows[rows.flight_id.str[:10] < "2013-04-24"].merge(world.decisions(since="2013-04-20"))
    return rows.assign(p=0.2, day=local_day(rows.decided_at), settled_at=rows.available_at)


@matured.claim("of 21 to 23 April, on the evening of the 23rd, you tell what the library tells")
def real_days(answer: Answer) -> None:
    now = pd.Timestamp("2013-04-23 23:00", tz="UTC")
    rows = _april()
    asked = rows.assign(probability=rows.p, labelled_at=rows.settled_at)
    expected = performance(asked[asked.day < "2013-04-23"], now).residual
    got = answer(rows[["day", "p", "late", "settled_at"]].copy(), now, 0.95)
    expect(np.asarray(got, float), [*expected, math.nan])


def _share(rows: pd.DataFrame, now: pd.Timestamp) -> pd.Series:
    """The settled share of each day."""
    return (rows.settled_at <= now).groupby(rows.day).mean()


@matured.generated(
    "any flights at any moment",
    same=Same(order=False, index=True),
    marks={
        "nothing of a day is settled": lambda rows, now, least: (_share(rows, now) == 0).any(),
        "the settled share of a day is just `least`": lambda rows, now, least: (
            _share(rows, now) == least
        ).any(),
        "a flight is settled right at `now`": lambda rows, now, least: (
            rows.settled_at == now
        ).any(),
        "a flight is never settled": lambda rows, now, least: rows.settled_at.isna().any(),
        "a flight was cancelled": lambda rows, now, least: rows.late.isna().any(),
        "all flights of a day were cancelled": lambda rows, now, least: (
            rows.late.isna().groupby(rows.day).all().any()
        ),
        "the rows are not sorted by day": lambda rows, now, least: (
            not rows.day.is_monotonic_increasing
        ),
        "`least` is 0": lambda rows, now, least: least == 0,
    },
    count=60,
)
def any_flights(draw):
    now = pd.Timestamp(draw(st.sampled_from(["2013-05-09 20:00", "2023-11-05 06:30"])), tz="UTC")
    on = cases.near(now, step=pd.Timedelta("1s"))
    other = st.integers(-4000, 2000).map(lambda minutes: now + pd.Timedelta(minutes=minutes))
    days = [now.tz_localize(None).normalize() - pd.Timedelta(days=n) for n in (0, 1, 2)]
    columns = {
        "day": (st.sampled_from(days), "datetime64[ns]"),
        "p": (st.sampled_from([0.25, 0.1, 0.1234, 0.9]), float),
        "late": (st.sampled_from([1.0, 0.0, math.nan]), float),
        "settled_at": (on | other | st.just(pd.NaT), cases.UTC),
    }
    rows = draw(cases.table(columns, 1, 10))
    least = draw(st.sampled_from([0.5, 0.75, 1.0, 0.0, 0.3, *_share(rows, now)]))
    return rows, now.tz_convert(draw(st.sampled_from(["UTC", "America/New_York"]))), float(least)


_RESIDUAL = "(rows.late - rows.p).where(settled)"
_LAST = "return residual.groupby(rows.day).mean().where(share >= least)"
matured.mistake(
    "days of which nothing is settled are lost",
    fails="any_flights",
    old=".where(share >= least)",
    new=".where(share >= least)[share > 0]",
)
matured.mistake(
    "where no flight has a label, all went as predicted",
    fails="any_flights",
    old="residual.groupby(rows.day).mean()",
    new="residual.groupby(rows.day).mean().fillna(0)",
)
matured.mistake(
    "the squared error, which has no sign",
    fails="known",
    old=_RESIDUAL,
    new="((rows.late - rows.p) ** 2).where(settled)",
)
matured.mistake(
    "predicted less late",
    fails="known",
    old="(rows.late - rows.p)",
    new="(rows.p - rows.late)",
)
matured.mistake(
    "what the archive has is known",
    fails="not_yet_heard",
    old=_RESIDUAL,
    new="rows.late - rows.p",
)
matured.mistake(
    "what is not settled counts as on time",
    fails="not_yet_heard",
    old=_RESIDUAL,
    new="rows.late.where(settled, 0.0) - rows.p",
)
matured.mistake(
    "the predictions of all flights are held against the labels of some",
    fails="not_yet_heard",
    old=_LAST,
    new="late = rows.late.where(settled).groupby(rows.day).mean()\n"
    "    return (late - rows.p.groupby(rows.day).mean()).where(share >= least)",
)
matured.mistake(
    "days that are half known are told",
    fails="half_known",
    old=".where(share >= least)",
    new="",
)
matured.mistake(
    "days that are half known are left out",
    fails="half_known",
    old=".where(share >= least)",
    new="[share >= least]",
)
matured.mistake(
    "only a label settles a flight, and a day of storm never matures",
    fails="cancelled",
    old="settled.groupby(rows.day).mean()",
    new="(settled & rows.late.notna()).groupby(rows.day).mean()",
)
matured.mistake(
    "flights without a label are no flights of the day",
    fails="cancelled",
    old="settled.groupby(rows.day).mean()",
    new="settled[rows.late.notna()].groupby(rows.day).mean()",
)
matured.mistake(
    "cancelled is as good as late",
    fails="without_label",
    old="(rows.late - rows.p)",
    new="(rows.late.fillna(1.0) - rows.p)",
)
matured.mistake(
    "cancelled is not late, so it is on time",
    fails="cancelled",
    old="(rows.late - rows.p)",
    new="(rows.late.fillna(0.0) - rows.p)",
)
matured.mistake(
    "a cancelled flight keeps its prediction in the mean",
    fails="without_label",
    old=_LAST,
    new="late = rows.late.where(settled).groupby(rows.day).mean()\n"
    "    p = rows.p.where(settled).groupby(rows.day).mean()\n"
    "    return (late - p).where(share >= least)",
)
matured.mistake(
    "a day that is old enough is known",
    fails="silent",
    old="share >= least",
    new='(share >= least) | (share.index < now.tz_localize(None) - pd.Timedelta("72h"))',
)
matured.mistake(
    "what is settled right now comes too late",
    fails="on_the_dot",
    old="rows.settled_at <= now",
    new="rows.settled_at < now",
)
matured.mistake(
    "more than `least` must be settled",
    fails="just_enough",
    old="share >= least",
    new="share > least",
)
matured.mistake(
    "the share is that of all days together",
    fails="half_known",
    old="settled.groupby(rows.day).mean()",
    new="pd.Series(settled.mean(), rows.day.unique())",
)
matured.mistake(
    "rounded, as it stands on the screen",
    fails="real_days",
    old=_LAST,
    new="return residual.groupby(rows.day).mean().round(2).where(share >= least)",
)


@matured.alternative
def day_after_day(rows, now, least):
    told = {}
    for day in sorted(set(rows.day)):
        flights = rows[rows.day == day]
        heard = flights[flights.settled_at.notna() & (flights.settled_at <= now)]
        labelled = heard.dropna(subset=["late"])
        enough = len(heard) / len(flights) >= least
        told[day] = labelled.late.mean() - labelled.p.mean() if enough else float("nan")
    return pd.Series(told)


# -- rule --------------------------------------------------------------------------------------------

SHOWN = (0, 1, 2)  # the seeds that a reader is shown
_UNSEEN = (10, 11, 12, 13)
_DAYS = 240
_WEATHER = ["visib", "wind"]
_BUDGET = 4  # false alert days in a history
_SHOWS_IN = {
    "feed outage": "gaps",
    "frozen feature": "stuck",
    "unit change": "outside",
    "renamed airline": "unseen",
    "clock shift": "schedule",
    "lost requests": "volume",
    "silent airline": "labels",
    "concept drift": "residual",
}
_MONITORS = [*_SHOWS_IN.values(), "scores", "cost", *_WEATHER]


def history(seed: int, faults: bool = True, storms: int = 12) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulated: the daily ratios of twelve monitors over 240 days, and the faults in them.

    Parameters
    ----------
    seed : int
    faults : bool, default True
        Whether the eight faults are there.
    storms : int, default 12
        Each makes the two columns of weather loud for a day, and two others the day after. No fault.

    Returns
    -------
    table : pandas.DataFrame of shape (240, 12)
        Statistic divided by threshold, by the moment of the check (UTC): 1 or more is an alarm. Days
        resemble the days before, and each column has a false alarm now and then.
    faults : pandas.DataFrame of shape (8, 4)
        `name`, the `column` that it raises to 1.2 or more, `first` and `last` day.

    Examples
    --------
    >>> table, faults = history(0)
    >>> table.shape, len(faults)
    ((240, 12), 8)
    """
    rng = np.random.default_rng(seed)
    inside = [*_SHOWS_IN.values(), "scores", "cost"]
    columns = [*inside, *_WEATHER]
    days = pd.date_range("2013-01-01", periods=_DAYS, tz="UTC")
    table = pd.DataFrame(_noise(rng, len(columns)), days, columns)
    for day in 4 + _places(rng, storms, 5):
        table.loc[days[day], _WEATHER] = rng.uniform(2.5, 6, 2)
        table.loc[days[day + 1], rng.choice(inside, 2, replace=False)] = rng.uniform(2.5, 6, 2)
    log = []
    if faults:
        for name, place in zip(rng.permutation(list(_SHOWS_IN)), _places(rng, 8, 16), strict=True):
            first, length, column = 8 + place, int(rng.integers(5, 9)), _SHOWS_IN[name]
            loud = 1.2 + 0.8 * np.abs(rng.normal(size=length))
            table.iloc[first : first + length, columns.index(column)] = loud
            log.append((str(name), column, days[first], days[first + length - 1]))
    return table, pd.DataFrame(log, columns=["name", "column", "first", "last"])


def _noise(rng: np.random.Generator, monitors: int) -> Any:
    """Ratios without storms or faults, each day like the one before."""
    noise = rng.normal(size=(_DAYS, monitors))
    for day in range(1, _DAYS):
        noise[day] = 0.5 * noise[day - 1] + 0.75**0.5 * noise[day]
    return np.exp(0.28 * noise - 0.9)


def _places(rng: np.random.Generator, many: int, apart: int) -> Any:
    """So many days at random, at least so far apart, none in the last fortnight."""
    room = _DAYS - 24 - many * apart
    return np.sort(rng.integers(0, room, many)) + apart * np.arange(many)


@exercise(
    hints=[
        "Look at a storm and at a fault in `ch09.history(0)`. Both are loud. What does the one do on the next day?",
        "A storm goes on in other columns; a fault stays in its own. So count days in a row column by column, and "
        "only then ask whether any column has enough.",
        "loud = table >= 1; lasting = loud & loud.shift(1, fill_value=False); the days are those with "
        "lasting.any(axis=1).",
    ]
)
def rule(table):
    """An alert rule that others rely on: on which days does it send a message?

    `table` has a row a day and a column a monitor: its statistic divided by its
    threshold, 1 or more is an alarm. Give the list of the days on which you
    alert, as they stand in its index, in any order. You decide each day with
    that day and those before it. The rule is run on simulated histories of 240
    days like `ch09.history(0)`, of seeds that you are shown (0, 1, 2) and
    others, and of other years. In each it must alert on every fault, on its
    third day at the latest. It may alert on at most four days without a fault;
    the two days after a fault are not counted. A fault stays in its column, at
    1.2 or more, for five days or more. A storm is loud for a day in some
    columns, and the next day in others; it is no fault. Monitors may be added,
    dropped, renamed or stand in another order.
    """
    loud = table >= 1
    lasting = loud & loud.shift(1, fill_value=False)
    return list(table.index[lasting.any(axis=1)])


def _alert_days(answer: Answer, table: pd.DataFrame) -> pd.DatetimeIndex:
    sent = pd.to_datetime(list(answer(table.copy())), utc=True).unique().sort_values()
    strange = [str(day) for day in sent[~sent.isin(table.index)][:3]]
    expect(strange, [], because="you give what are no days of the table's index")
    return sent


def _dates(days: Iterable[pd.Timestamp]) -> str:
    named = [f"{day:%d %b}" for day in days]
    more = f"{len(named) - 4} earlier, " if len(named) > 4 else ""
    return more + ", ".join(named[-4:]) if named else "none"


def _hit(sent: pd.DatetimeIndex, first: pd.Timestamp, last: pd.Timestamp) -> bool:
    return bool(((first <= sent) & (sent <= last)).any())


def _false(sent: pd.DatetimeIndex, faults: pd.DataFrame) -> list[pd.Timestamp]:
    after = pd.Timedelta(days=2)
    spans = [(fault["first"], fault["last"] + after) for _, fault in faults.iterrows()]
    return [day for day in sent if not any(first <= day <= last for first, last in spans)]


def _within_budget(answer: Answer, seed: int, where: str, **options: Any) -> None:
    table, faults = history(seed, **options)
    false = _false(_alert_days(answer, table), faults)
    said = f"{where}, seed {seed}: these alert days have no fault: {_dates(false)}"
    expect(len(false), min(len(false), _BUDGET), because=said)


def _finds(answer: Answer, seed: int, by: int | None) -> None:
    """Whether each fault is alerted, on its day `by` at the latest (or on any of its days)."""
    table, faults = history(seed)
    sent = _alert_days(answer, table)
    for _, fault in faults.iterrows():
        end = fault["last"] if by is None else fault["first"] + pd.Timedelta(days=by - 1)
        when = f"{fault['first']:%d %b} to {fault['last']:%d %b}, is not alerted by {end:%d %b}"
        said = f"seed {seed}: the {fault['name']}, in {fault['column']!r} from {when}"
        expect(_hit(sent, fault["first"], end) or _dates(sent), True, because=said)


@rule.claim("in 240 days without storms or faults it alerts on four days at most")
def calm(answer: Answer) -> None:
    for seed in SHOWN:
        _within_budget(answer, seed, "no storms, no faults", faults=False, storms=0)


@rule.claim("twelve storms, and no fault, make four alert days at most")
def storms(answer: Answer) -> None:
    for seed in SHOWN:
        _within_budget(answer, seed, "twelve storms, no faults", faults=False)


@rule.claim("in the histories shown, it alerts on each of the eight faults while it lasts")
def finds(answer: Answer) -> None:
    for seed in SHOWN:
        _finds(answer, seed, None)


@rule.claim("it does so by the third day of each fault")
def in_time(answer: Answer) -> None:
    for seed in SHOWN:
        _finds(answer, seed, 3)


@rule.claim("between the faults, it alerts on four days at most")
def between(answer: Answer) -> None:
    for seed in SHOWN:
        _within_budget(answer, seed, "eight faults, twelve storms")


@rule.claim("all of that holds in histories that it has not been written for")
def unseen(answer: Answer) -> None:
    for seed in _UNSEEN:
        _finds(answer, seed, 3)
        _within_budget(answer, seed, "eight faults, twelve storms")


@rule.claim("what it says of a day, it says on that day, before the next is known")
def on_the_day(answer: Answer) -> None:
    table, faults = history(SHOWN[0])
    whole = _alert_days(answer, table)
    for first in faults["first"]:
        for day in (first, first + pd.Timedelta(days=2)):
            then = _alert_days(answer, table[:day])
            said = f"with the table up to {day:%d %b}, it alerts on other days than with what came later"
            expect(_dates(then), _dates(whole[whole <= day]), because=said)


@rule.claim("a monitor that was added is watched like the others")
def added(answer: Answer) -> None:
    table, _ = history(SHOWN[1])
    gate = table["visib"].where(table["visib"] < 1, 0.5)
    gate.iloc[2:5] = [1.4, 2.1, 1.6]
    sent = _alert_days(answer, table.assign(gate=gate))
    said = "three days of alarms in a new column, `gate`, from 03 Jan on, were not alerted"
    expect(_hit(sent, table.index[2], table.index[4]) or _dates(sent), True, because=said)


Fault = tuple[str, int, int, float]


def _simulated(
    seed: int, first: str, monitors: list[str], faults: list[Fault], storms: int
) -> pd.DataFrame:
    """A history of these monitors from that day on, with faults by monitor, first day, length and least ratio."""
    rng = np.random.default_rng(seed)
    days = pd.date_range(first, periods=_DAYS, tz="UTC")
    table = pd.DataFrame(_noise(rng, len(monitors)), days, monitors)
    for day in 4 + _places(rng, storms, 5):
        loud = rng.permutation(monitors)
        table.loc[days[day], loud[:2]] = rng.uniform(2.5, 6, 2)
        table.loc[days[day + 1], loud[2:4]] = rng.uniform(2.5, 6, 2)
    for monitor, start, length, least in faults:
        table.loc[days[start : start + length], monitor] = least + 0.4 * np.arange(length) % 1
    return table


def _complaints(
    answer: Answer, seed: int, first: str, monitors: list[str], faults: list[Fault], storms: int
) -> list[str]:
    """What is wrong with a rule, if anything is."""
    table = _simulated(seed, first, monitors, faults, storms)
    sent, day = _alert_days(answer, table), table.index
    log = pd.DataFrame(
        [(day[start], day[start + length - 1]) for _, start, length, _ in faults],
        columns=["first", "last"],
    )
    said = [
        f"the fault in {monitor!r} from {day[start]:%d %b} on is not alerted by {day[start + 2]:%d %b}"
        for monitor, start, _, _ in faults
        if not _hit(sent, day[start], day[start + 2])
    ]
    false = _false(sent, log)
    if len(false) > _BUDGET:
        said.append(f"{len(false)} alert days have no fault: {_dates(false)}")
    today = day[faults[0][1] + 2 if faults else 120]
    then = _alert_days(answer, table[:today])
    if _dates(then) != _dates(sent[sent <= today]):
        said.append(f"up to {today:%d %b}, it alerts on other days than with what came later")
    return said


@rule.generated(
    "any faults in any monitors",
    run=_complaints,
    truth=lambda seed, first, monitors, faults, storms: [],
    marks={
        "the days are of another year": lambda seed, first, monitors, faults, storms: (
            not first.startswith("2013")
        ),
        "a monitor was added or renamed": lambda seed, first, monitors, faults, storms: bool(
            {*monitors} - {*_MONITORS}
        ),
        "there are few monitors": lambda seed, first, monitors, faults, storms: len(monitors) < 6,
        "there is a fault": lambda seed, first, monitors, faults, storms: bool(faults),
        "a fault begins on the first or second day": lambda seed, first, monitors, faults, storms: (
            any(start < 2 for _, start, _, _ in faults)
        ),
        "a monitor of the weather is at fault": lambda seed, first, monitors, faults, storms: any(
            monitor in _WEATHER for monitor, *_ in faults
        ),
        "a fault is hardly above 1.2": lambda seed, first, monitors, faults, storms: any(
            least < 1.3 for *_, least in faults
        ),
        "there are storms": lambda seed, first, monitors, faults, storms: storms > 0,
    },
    count=24,
    steps=60,
)
def any_faults(draw):
    names = st.sampled_from([*_MONITORS, "gate", "latency", "m1", "m2"])
    monitors = draw(cases.some(names, 1, 12, unique=True))
    least = st.sampled_from([1.2, 1.2, 1.6, 3.0])
    starts = [start + draw(cases.whole(0, 8)) for start in (0, 40, 70, 100, 150, 230)]
    chosen = sorted(draw(cases.some(st.sampled_from(starts), 0, 4, unique=True)))
    faults = [
        (
            draw(st.sampled_from(monitors)),
            min(start, _DAYS - 6),
            draw(cases.whole(5, 6)),
            draw(least),
        )
        for start in chosen
    ]
    storms = draw(st.sampled_from([0, 6, 12])) if len(monitors) > 3 else 0
    first = draw(st.sampled_from(["2013-01-01", "2013-03-10", "2023-01-01", "2024-07-01"]))
    return draw(cases.whole(0, 99)), first, monitors, faults, storms


_LASTING = "lasting = loud & loud.shift(1, fill_value=False)"
_SENT = "return list(table.index[lasting.any(axis=1)])"
rule.mistake(
    "the weather is left out, since it is loud without a fault",
    fails="any_faults",
    old="table >= 1",
    new='table.drop(columns=["visib", "wind"], errors="ignore") >= 1',
)
rule.mistake(
    "the year of the examples is the only one",
    fails="any_faults",
    old=_SENT,
    new="return [day for day in table.index[lasting.any(axis=1)] if day.year == 2013]",
)
rule.mistake("it alerts on everything", fails="calm", old=_SENT, new="return list(table.index)")
rule.mistake(
    "thresholds are lowered, to be on the safe side", fails="calm", old=">= 1", new=">= 0.65"
)
rule.mistake("one alarm is enough", fails="storms", old=_LASTING, new="lasting = loud")
rule.mistake(
    "one alarm is enough if it is loud", fails="storms", old=_LASTING, new="lasting = table >= 2.4"
)
rule.mistake(
    "two days in a row, in whichever column",
    fails="storms",
    old=_LASTING,
    new='loud = loud.any(axis=1).to_frame("any")\n    ' + _LASTING,
)
rule.mistake(
    "the mean of three days, which one loud day lifts",
    fails="storms",
    old=_LASTING,
    new="lasting = table.rolling(3).mean() >= 1",
)
rule.mistake(
    "only what counts in the end is watched, the residual",
    fails="finds",
    old=">= 1",
    new="[['residual']] >= 1".replace("'", '"'),
)
rule.mistake(
    "the mean of all monitors, which a storm lifts and one fault does not",
    fails="storms",
    old="table >= 1",
    new='table.mean(axis=1).to_frame("mean") >= 1',
)
rule.mistake(
    "two monitors must agree",
    fails="finds",
    old="lasting.any(axis=1)",
    new="lasting.sum(axis=1) >= 2",
)
rule.mistake("only what is very loud", fails="finds", old=">= 1", new=">= 2.4")
rule.mistake(
    "the budget is spent on the first days that come",
    fails="finds",
    old=_SENT,
    new=_SENT + "[:8]",
)
rule.mistake(
    "a week in a row, to be quite sure",
    fails="finds",
    old=_LASTING,
    new="lasting = loud.rolling(7).sum() >= 7",
)
rule.mistake(
    "four days in a row, to be sure",
    fails="in_time",
    old=_LASTING,
    new="lasting = loud.rolling(4).sum() >= 4",
)
rule.mistake(
    "an alert stays open for a fortnight",
    fails="between",
    old=_LASTING,
    new="lasting = (loud.rolling(3).sum() >= 3).rolling(14, min_periods=1).max() == 1",
)
rule.mistake(
    "the histories shown are known by heart",
    fails="unseen",
    old=_SENT,
    new="known = {seed: history(seed) for seed in SHOWN}\n"
    "    faults = [log for shown, log in known.values() if shown.equals(table)]\n"
    '    return [day for log in faults for day in log["first"]]',
)
rule.mistake(
    "the first of two days is dated back",
    fails="on_the_day",
    old="loud.shift(1, fill_value=False)",
    new="loud.shift(-1, fill_value=False)",
)
rule.mistake(
    "the monitors are listed by name",
    fails="added",
    old="table >= 1",
    new="table[[*_SHOWS_IN.values()]] >= 1",
)
rule.mistake(
    "the first twelve columns are watched",
    fails="added",
    old="table >= 1",
    new="table.iloc[:, :12] >= 1",
)


rule.equivalent(
    "no fault is at 1 to the last digit: it stays at 1.2 or more", old="table >= 1", new="table > 1"
)
_BEFORE_THE_FIRST = "one alert more, on the first day, is within what it may send for nothing"
for _fill in ("", ", fill_value=True"):
    rule.equivalent(
        _BEFORE_THE_FIRST, old="loud.shift(1, fill_value=False)", new=f"loud.shift(1{_fill})"
    )
rule.equivalent(
    "loud on the first and on the third day: the third is not too late",
    old="loud.shift(1, fill_value=False)",
    new="loud.shift(2, fill_value=False)",
)


@rule.alternative
def with_the_policy(table):
    return list(alerts(table, policy=Policy(persistence=2))["start"])


@rule.alternative
def counting_runs(table):
    run, sent = dict.fromkeys(table.columns, 0), []
    for day, row in zip(table.index, table.to_dict("records"), strict=True):
        run = {column: run[column] + 1 if ratio >= 1.1 else 0 for column, ratio in row.items()}
        if max(run.values()) == 3:
            sent.append(day)
    return sent


@rule.alternative
def two_of_three(table):
    values = (table.to_numpy() >= 1).astype(int)
    seen = np.vstack([np.zeros((2, values.shape[1]), int), values])
    often = seen[2:] + seen[1:-1] + seen[:-2]
    return table.index[((often >= 2) & (values == 1)).any(axis=1)]


# -- diagnosed ---------------------------------------------------------------------------------------

_LAGGED = ["carrier_landed_late_24h", "carrier_left_late_3h", "origin_left_late_3h"]
_WEATHER_SEEN = ["temp", "pressure", "visib", "precip", "wind_speed"]
_FIRST = {"A": "2013-05-15", "B": "2013-05-28", "C": "2013-05-19"}


@cache
def _served() -> tuple[pd.DataFrame, Any]:
    """Decisions of May 2013, and a model that learned from the four months before."""
    world = World("2013-06-01")
    lagged = [feature for feature in ROLLING if feature.name in _LAGGED]
    rows = batch(world, world.decisions(since="2013-01-08 05:00"), features=lagged)
    day = local_day(rows.decided_at)
    taught = rows[(day < "2013-05-12") & rows.late.notna()]
    model = fit(
        logistic, taught, columns=["carrier", "origin", "dep_minute", *_WEATHER_SEEN, *_LAGGED]
    )
    return rows[day >= "2013-05-12"].reset_index(drop=True), model


def incident(name: str, by: str = "day") -> pd.DataFrame:
    """The evidence of one of three incidents, computed from the log of the decisions.

    Parameters
    ----------
    name : str
        "A", "B" or "C": real days of May 2013; in some of the incidents a simulated fault was injected.
    by : str, default "day"
        A row for each of three days before and of the three in question; or ``carrier``, ``origin``:
        the three in question alone.

    Returns
    -------
    pandas.DataFrame of shape (n_rows, 10)
        `decisions`; the share `answered`; `age`, median minutes since the observation of the weather;
        `gaps`, the share of the lagged rates that is missing; mean `pressure` and `visib`; `settled`,
        the share of the flights whose outcome was known within 36 hours; the share `lost` (cancelled or
        diverted, so without a label for good); of those with a label the share `late`; the mean probability, `predicted`.

    Examples
    --------
    >>> incident("C")[["settled", "visib"]].iloc[[0, -1]].round(1)
                settled  visib
    2013-05-16      1.0    9.9
    2013-05-21      1.0    7.4
    """
    rows, model = _served()
    first = pd.Timestamp(_FIRST[name], tz=HOME)
    end = first + pd.Timedelta(days=3)
    if name == "A":
        rows, _ = silent_airline(rows, first, end)
    if name == "B":
        rows, _ = unit_change(rows, first, end, column="pressure", scale=0.02953, offset=0.0)
    since = first - pd.Timedelta(days=3) if by == "day" else first
    rows = rows[(rows.decided_at >= since) & (rows.decided_at < end)]
    age = (rows.decided_at - rows.observed_at) / pd.Timedelta("1min")
    predicted = pd.Series(model.predict(rows), rows.index)
    key = local_day(rows.decided_at) if by == "day" else rows[by]
    shares = {
        "answered": predicted.notna(),
        "gaps": rows[_LAGGED].isna().mean(axis=1),
        "pressure": rows.pressure,
        "visib": rows.visib,
        "settled": rows.labelled_at - rows.decided_at <= pd.Timedelta("36h"),
        "lost": rows.label_status == "censored",
        "late": rows.late,
        "predicted": predicted,
    }
    table = pd.DataFrame(shares).groupby(key).mean()
    table.insert(0, "decisions", key.value_counts())
    table.insert(2, "age", age.groupby(key).median())
    return table.rename_axis(None)


@exercise(
    hints=[
        "Walk along the columns: which of them left its usual range on the first of the three days, and which only "
        "moved as far as days do? Then slice: is it everywhere, or in one place?",
        "In A, look at `settled` and `gaps` by carrier. In B, one column changes by a factor overnight, at all three "
        "airports. In C, hold `late` against `predicted`, and both against `visib`.",
        "A: one airline has no outcomes at all, and its own rates run empty. B: pressure around 30 is inches of "
        "mercury; until its sender is mended, no pressure is better than that. C: nobody could see far, and the model knew it.",
    ]
)
def diagnosed():
    """The cause of each of three incidents, and what to do first.

    Print `ch09.incident("A")`, "B" and "C", of which the last three days count;
    `by="carrier"` and `by="origin"` slice them. Latency and errors are usual.

    Causes: "dead feed" (no new observations), "silent airline" (its reports no
    longer come), "other unit" (numbers in another unit), "concept drift" (the
    same conditions, other outcomes), "hard days" (bad conditions, and nothing
    is broken). First actions: "restart" the service, "quarantine" (serve one
    column as missing), "call the source" (and train without its flights
    meanwhile), "retrain" the model, "leave it" (and tell the desk).
    """
    return {
        "A": "silent airline",  # blank
        "A first": "call the source",  # blank
        "B": "other unit",  # blank
        "B first": "quarantine",  # blank
        "C": "hard days",  # blank
        "C first": "leave it",  # blank
    }


_DIAGNOSES: dict[str, dict[str, str | None]] = {
    "A": {
        "silent airline": None,
        "dead feed": "weather is as fresh as ever, and the other airlines' outcomes come; slice by carrier",
        "other unit": "no column changed its scale; some values are missing, which is another thing",
        "concept drift": "it needs outcomes to be seen, and those that came are late about as often as predicted",
        "hard days": "the sky is clear, and no weather keeps one airline's landings from being reported",
    },
    "A first": {
        "call the source": None,
        "restart": "the service answers all, and what it does not get it will not get after a restart either",
        "quarantine": "the column is sound for the other airlines; where it is missing it is missing already",
        "retrain": "on labels that lack one airline: the new model would learn its flights from the others",
        "leave it": "its flights are predicted from fewer features each day, and nobody tells the source",
    },
    "B": {
        "other unit": None,
        "dead feed": "the values keep changing from day to day, and `age` says that they are fresh",
        "silent airline": "outcomes come for everybody; slice by carrier",
        "concept drift": "an input left its range in the same night: as long as it says what it says, nothing "
        "can be told about the concept",
        "hard days": "hard days raise the predictions, as in C; here they fell overnight, together with one input",
    },
    "B first": {
        "quarantine": None,
        "restart": "the service works; the same numbers come in after it",
        "call the source": "do that too, but it takes days, and each decision until then is made on a number "
        "that is wrong by a factor of more than thirty",
        "retrain": "on days of which some have one unit and some the other; and when the source is mended it "
        "breaks again",
        "leave it": "it predicts half of what happens, or less, and each late flight that is missed has its price",
    },
    "C": {
        "hard days": None,
        "dead feed": "`age` is as ever, and the weather moves from day to day",
        "silent airline": "outcomes come for everybody; slice by carrier",
        "other unit": "visibility falls as in rain or fog, at all airports, and rises again; a unit changes in one step",
        "concept drift": "late flights rose, and so did the predictions: the model knows such days",
    },
    "C first": {
        "leave it": None,
        "restart": "nothing is broken",
        "quarantine": "the visibility is right; without it the model would not have seen these days coming",
        "call the source": "all sources report, and what they report fits together",
        "retrain": "three days that the model predicts about right teach it next to nothing",
    },
}


diagnosed.choices(
    _DIAGNOSES,
    lambda key: (
        f"{'what is done first in' if ' ' in key else 'the cause of'} {key[0]} follows from its evidence"
    ),
)


def _wrong_choice(task: Exercise, text: str, key: str, wrong: str) -> None:
    right = next(option for option, reason in task.options[key].items() if reason is None)
    task.mistake(text, fails=key, old=f'"{key}": "{right}"', new=f'"{key}": "{wrong}"')


for _key, _choice, _text in (
    ("A", "dead feed", "gaps are taken for a feed that died"),
    ("A", "concept drift", "what moves is taken for drift"),
    ("A first", "quarantine", "a column with gaps is thrown away for all"),
    ("A first", "retrain", "the cure for everything is a new model"),
    ("B", "concept drift", "predictions and outcomes part, so the concept is gone"),
    ("B", "hard days", "the weather changed"),
    ("B first", "call the source", "the cause is mended, and the harm goes on"),
    ("B first", "retrain", "the model shall learn the new unit"),
    ("C", "concept drift", "more late flights are taken for drift"),
    ("C", "other unit", "a column that falls is taken for a broken one"),
    ("C first", "retrain", "a bad day is an occasion to retrain"),
    ("C first", "quarantine", "what moves is switched off"),
):
    _wrong_choice(diagnosed, _text, _key, _choice)


@diagnosed.alternative
def from_the_evidence():
    made = {}
    for name in ("A", "B", "C"):
        days, airlines = incident(name), incident(name, by="carrier")
        before, after = days.iloc[:3].mean(), days.iloc[3:].mean()
        jump = (after / before)[["pressure", "visib"]]
        if (airlines.settled[airlines.decisions > 100] == 0).any():
            made |= {name: "silent airline", f"{name} first": "call the source"}
        elif ((jump < 0.1) | (jump > 10)).any():
            made |= {name: "other unit", f"{name} first": "quarantine"}
        elif after.late > before.late and after.predicted > before.predicted:
            made |= {name: "hard days", f"{name} first": "leave it"}
    return made


# -- urgency -----------------------------------------------------------------------------------------


# Assumed. Money is lost only while flights leave: 17 hours of the day.
_INBOX = {
    "unit": (
        "Fri 17:10",
        "the pressure is in inches of mercury since five",
        1900,
        80_000,
        "now: serve the column as missing",
        "no",
    ),
    "season": (
        "Fri 08:00",
        "twelve weather features have drifted from the winter's",
        0,
        0,
        "nothing: the model is as good as before",
        "every day until autumn",
    ),
    "labels": (
        "Fri 19:30",
        "no outcomes of one airline since Wednesday",
        0,
        0,
        "Monday: its office answers then; training runs on Tuesday",
        "no",
    ),
    "storm": (
        "Fri 18:00",
        "expected cost is three times the usual; predictions fit what lands",
        5200,
        31_000,
        "nothing: the desk has the forecast and works by it",
        "with every storm",
    ),
    "creep": (
        "Fri 08:00",
        "predictions are a little too low, a bit more each week",
        15,
        650,
        "Monday: a day's work, recalibrate and release",
        "every week, growing",
    ),
    "night": (
        "Sat 02:40",
        "the stream is dead; all answers come from the base rate",
        20,
        55_000,
        "now: restart the stream, ten minutes",
        "no",
    ),
}


def inbox() -> pd.DataFrame:
    """Six alerts of one weekend, with assumed figures.

    Returns
    -------
    pandas.DataFrame of shape (6, 6)
        By the alert's name: when it comes (`at`), what it `says`, the dollars that are lost an hour
        (`now`), and in all `until_monday` at nine, when the office opens; what `can_be_done`, and
        whether it `recurs`.

    Examples
    --------
    >>> inbox().index.tolist()
    ['unit', 'season', 'labels', 'storm', 'creep', 'night']
    """
    columns = ["at", "says", "now", "until_monday", "can_be_done", "recurs"]
    return pd.DataFrame.from_dict(_INBOX, orient="index", columns=columns)


@exercise(
    hints=[
        "Two questions, in this order. Can anybody do anything about it? And what does waiting until the office opens "
        "cost?",
        "No action, ever: ignore, and change the monitor so that it does not ask again. Action, and the wait is dear: "
        "page. Action, and the wait is cheap: ticket.",
        "Two of the six are dear to leave until Monday and can be mended tonight; for two there is nothing to do; two "
        "are real and can wait.",
    ]
)
def urgency():
    """ "page", "ticket" or "ignore" for each of six alerts of a weekend?

    Print `ch09.inbox()`; its figures are assumed.
    page: wake whoever is on call, now.
    ticket: somebody works on it in office hours.
    ignore: nobody gets a message; the monitor is changed to ask for none.
    """
    return {
        "unit": "page",  # blank
        "season": "ignore",  # blank
        "labels": "ticket",  # blank
        "storm": "ignore",  # blank
        "creep": "ticket",  # blank
        "night": "page",  # blank
    }


_URGENCIES: dict[str, dict[str, str | None]] = {
    "unit": {
        "page": None,
        "ticket": "until Monday it costs what the table says, and a switch that takes minutes ends it",
        "ignore": "it costs money each hour, and it can be mended",
    },
    "season": {
        "ignore": None,
        "page": "nothing is lost and nothing can be done; who is woken for this will not get up for the next",
        "ticket": "there is no work in it, and the same ticket again each day; compare with a reference that "
        "has seen all seasons",
    },
    "labels": {
        "ticket": None,
        "page": "nothing is lost tonight, and whoever could answer is not there before Monday",
        "ignore": "on Tuesday the training would take a hole for the truth",
    },
    "storm": {
        "ignore": None,
        "page": "much money, but not by a fault: nobody on call can do anything about the weather, and the desk "
        "knows",
        "ticket": "on Monday the storm is over, and there is nothing to mend",
    },
    "creep": {
        "ticket": None,
        "page": "a weekend of it costs less than the mistakes of somebody tired, and it needs a day's work",
        "ignore": "it grows each week, and a day's work ends it",
    },
    "night": {
        "page": None,
        "ticket": "cheap only as long as it is night: hold what it costs until Monday against ten minutes",
        "ignore": "that it answers at all is the fallback's doing; the answers say the same of every flight",
    },
}

urgency.choices(_URGENCIES, lambda key: f"{key!r} gets the attention that it is worth")

for _key, _choice, _text in (
    ("unit", "ticket", "nothing is down, so it can wait"),
    ("season", "page", "many features have drifted, so it is serious"),
    ("season", "ticket", "somebody should have a look some time"),
    ("labels", "page", "days without labels are an emergency"),
    ("labels", "ignore", "what costs nothing now costs nothing"),
    ("storm", "page", "the dearest alert comes first"),
    ("storm", "ticket", "so much money needs a ticket at least"),
    ("creep", "page", "what grows must be stopped at once"),
    ("creep", "ignore", "what is small stays small"),
    ("night", "ticket", "what costs little now can wait until Monday"),
    ("night", "ignore", "the fallback answers, so all is well"),
):
    _wrong_choice(urgency, _text, _key, _choice)


@urgency.alternative
def by_two_questions():
    made = {}
    for name, alert in inbox().iterrows():
        if alert["can_be_done"].startswith("nothing"):
            made[name] = "ignore"
        else:
            dear = alert["until_monday"] > 10_000 and alert["can_be_done"].startswith("now")
            made[name] = "page" if dear else "ticket"
    return made
