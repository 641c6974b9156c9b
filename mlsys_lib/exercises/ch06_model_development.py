"""Exercises of chapter 06, model development."""

from ast import literal_eval
from collections.abc import Sequence
from functools import cache, partial
from itertools import combinations_with_replacement, pairwise
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from hypothesis import strategies as st
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier

from mlsys_lib import World
from mlsys_lib.exercises import cases
from mlsys_lib.exercises.checker import Answer, Same, exercise, expect
from mlsys_lib.features import batch
from mlsys_lib.metrics import per_day
from mlsys_lib.models import boosted, fit

Array = npt.NDArray[np.float64]

# -- day_interval ------------------------------------------------------------------------------------


@exercise(
    hints=[
        "What is drawn anew: flights or days? A day that is drawn twice brings all of its flights twice.",
        "You need two figures of each day, and no single flight after that: the sum of the gains, and how many "
        "flights there were. np.bincount(day, weights=...) gives the first for all days at once.",
        "rng.integers(0, n, size=(resamples, n)) draws the days. Of each draw: total[drawn].sum(axis=1) divided "
        "by flights[drawn].sum(axis=1). The interval is np.percentile(means, [2.5, 97.5]).",
    ]
)
def day_interval(days, gain, resamples=2000, seed=0):
    """How sure is a mean gain per flight? Give its 95 % interval, (low, high).

    `days` and `gain` are arrays, in any order: `days[i]` is the day of flight i
    (text, a number or a date), `gain[i]` what the new model saved on it. Draw
    as many days as there are, with replacement, `resamples` times (one or
    more); a day that is drawn brings all its flights, as often as it is drawn.
    Each draw gives a mean gain *per flight*. The interval runs from the 2.5 %
    point to the 97.5 % point of these means. `seed` starts the random draws:
    the same seed gives the same interval, another one another. You may draw
    with any random generator: an interval is right if so many draws give one
    like it.
    """
    day = np.unique(days, return_inverse=True)[1]
    total = np.bincount(day, weights=gain)  # blank
    flights = np.bincount(day)  # blank
    n = len(total)
    drawn = np.random.default_rng(seed).integers(0, n, size=(resamples, n))  # blank
    means = total[drawn].sum(axis=1) / flights[drawn].sum(axis=1)  # blank
    low, high = np.percentile(means, [2.5, 97.5])  # blank
    return low, high


def _interval(answer: Answer, days: Any, gain: Any) -> Array:
    made: Array = np.asarray(answer(np.asarray(days), np.asarray(gain, float)), float)
    return made


@day_interval.claim("a gain of 2 on every flight of every day is a gain of 2, for certain")
def certain(answer: Answer) -> None:
    expect(_interval(answer, ["Mon", "Mon", "Tue", "Wed"], [2, 2, 2, 2]), [2, 2])


@day_interval.claim("300 days of one flight each give what the normal curve gives, within a tenth")
def like_the_normal(answer: Answer) -> None:
    gain = np.random.default_rng(1).normal(0.5, 1, 300)
    low, high = _interval(answer, range(300), gain)
    theory = 2 * 1.96 * gain.std() / np.sqrt(300)
    expect(round(float(high - low), 3), round(float(theory), 3), tolerance=0.1 * float(theory))


@day_interval.claim(
    "a hundred flights a day that all fare alike tell no more than one flight a day"
)
def days_not_rows(answer: Answer) -> None:
    gain = np.random.default_rng(2).normal(0, 1, 60)
    alone = _interval(answer, range(60), gain)
    crowd = _interval(answer, np.repeat(range(60), 100), np.repeat(gain, 100))
    expect(
        crowd, alone, tolerance=0.05
    )  # a tenth of the width; rows would make it ten times narrower


@day_interval.claim(
    "the mean is one per flight: a day of nine flights weighs nine times a day of one"
)
def per_flight(answer: Answer) -> None:
    days = np.repeat(range(200), [9, 1] * 100)
    low, high = _interval(answer, days, (days % 2).astype(float))
    middle = float((low + high) / 2)
    expect(round(middle, 2), 0.1, tolerance=0.011)


@day_interval.claim("one draw gives one mean, from which and to which the interval runs")
def one_draw(answer: Answer) -> None:
    days, gain = np.arange(20), np.arange(20.0)
    low, high = answer(days, gain, resamples=1)
    expect(low, high)


@day_interval.claim("a seed gives the same interval again, and five seeds give five intervals")
def seeds(answer: Answer) -> None:
    days, gain = np.arange(40), np.random.default_rng(3).normal(size=40)
    made = [tuple(answer(days, gain, resamples=50, seed=seed)) for seed in (1, 2, 3, 4, 5)]
    expect(tuple(answer(days, gain, resamples=50, seed=5)), made[-1])
    expect(len(set(made)), 5)


def _all_means(days: Any, gain: Any) -> tuple[Array, Array]:
    """Every mean gain that a draw of days can give, sorted, and how probable it is that one gives no more."""
    day = np.unique(days, return_inverse=True)[1]
    total, flights = np.bincount(day, weights=gain), np.bincount(day)
    n = len(total)
    draws = np.array(list(combinations_with_replacement(range(n), n)))
    means = total[draws].sum(axis=1) / flights[draws].sum(axis=1)
    times = np.stack([(draws == one).sum(axis=1) for one in range(n)], axis=1)
    orders = factorial(n) / np.vectorize(factorial)(times).prod(axis=1)
    order = np.argsort(means)
    return means[order], np.cumsum(orders[order]) / n**n


def _range(point: float, means: Array, up_to: Array, resamples: int) -> tuple[float, float]:
    """Where a point of so many draws lies: beyond it in less than one case of a million, to either side."""
    place = int(point * (resamples - 1)) + 1  # of the sorted draws, or between it and the next
    low, high = max(place - 1, 1), min(place + 2, resamples)
    ends = [stats.beta.ppf(p, at, resamples + 1 - at) for p, at in ((1e-6, low), (1 - 1e-6, high))]
    at = np.minimum(np.searchsorted(up_to, ends), len(means) - 1)
    return float(means[at[0]]), float(means[at[1]])


def _ends(days: Any, gain: Any, resamples: int, seed: int) -> dict[str, str]:
    """What is right: where either end may lie."""
    ranges = {
        "low": _range(0.025, *_all_means(days, gain), resamples),
        "high": _range(0.975, *_all_means(days, gain), resamples),
    }
    return {end: f"from {a:.6g} to {b:.6g}" for end, (a, b) in ranges.items()}


def _placed(answer: Answer, days: Any, gain: Any, resamples: int, seed: int) -> dict[str, str]:
    """The same of the interval that was given; an end that lies elsewhere as what it is."""
    more = {} if resamples == 2000 else {"resamples": resamples}
    low, high = answer(days, gain, seed=seed, **more)
    means, up_to = _all_means(days, gain)
    made = _ends(days, gain, resamples, seed)
    for end, point, got in (("low", 0.025, low), ("high", 0.975, high)):
        a, b = _range(point, means, up_to, resamples)
        if not a - 1e-9 <= float(got) <= b + 1e-9:
            made[end] = f"{float(got):.6g}"
    return made


@day_interval.claim(
    "of three days, one draw in 27 is the worst day three times: the interval begins with it"
)
def three_days(answer: Answer) -> None:
    low, high = answer(np.array(["Mon", "Tue", "Wed"]), np.array([0.0, 1.0, 3.0]), 6000)
    expect((low, high), (0, 3))


@day_interval.claim("of seven days it is the interval of all draws, but for what 4,000 draws miss")
def all_draws(answer: Answer) -> None:
    gain = np.random.default_rng(4).exponential(size=21)
    for signed in (gain, -gain):
        week = np.repeat(range(7), [1, 2, 3, 3, 3, 4, 5]), signed, 4000, 0
        expect(_placed(answer, *week), _ends(*week))


def _per_day(days: Any, gain: Any) -> Any:
    return pd.Series(gain).groupby(np.asarray(days))


@day_interval.generated(
    "any days and gains",
    run=_placed,
    truth=_ends,
    marks={
        "there is one day": lambda days, gain, resamples, seed: len(set(days)) == 1,
        "the days have different numbers of flights": lambda days, gain, resamples, seed: (
            _per_day(days, gain).size().nunique() > 1
        ),
        "the flights stand in no order of days": lambda days, gain, resamples, seed: (
            list(days) != sorted(days)
        ),
        "one day outweighs the others": lambda days, gain, resamples, seed: (
            _per_day(days, gain).sum().max() > 20
        ),
        "the days are numbers": lambda days, gain, resamples, seed: days.dtype.kind == "i",
        "there are few draws": lambda days, gain, resamples, seed: resamples < 100,
        "the seed is not 0": lambda days, gain, resamples, seed: seed != 0,
    },
    count=24,
    steps=60,
)
def any_gains(draw):
    """One to six days of one to five flights, some of which outweigh all others."""
    names = draw(st.sampled_from([["Mon", "Tue", "Wed", "Thu", "Fri", "Sat"], [5, 3, 8, 1, 9, 2]]))
    some = cases.figures(-2, 3, step=0.1)
    each = draw(st.sampled_from([some, some | st.just(40.0), st.sampled_from([0.0, 0.0, 30.0])]))
    flights = []
    for day in names[: draw(cases.whole(1, 6))]:
        flights += [(day, draw(each)) for _ in range(draw(cases.whole(1, 5)))]
    flights = draw(st.permutations(flights))
    days, gain = (np.array(values) for values in zip(*flights, strict=True))
    resamples = draw(st.sampled_from([300, 2000, 1, 40, 2]))
    return days, gain.astype(float), resamples, draw(st.sampled_from([0, 1, 7, 123456]))


day_interval.mistake(
    "200 draws, whatever is asked",
    fails="one_draw",
    old="size=(resamples, n)",
    new="size=(200, n)",
)
day_interval.mistake(
    "the draws are the same, whatever the seed",
    fails="seeds",
    old="default_rng(seed)",
    new="default_rng(0)",
)
day_interval.mistake(
    "the last day is never drawn",
    fails="three_days",
    old="integers(0, n, size=",
    new="integers(0, max(n - 1, 1), size=",
)
day_interval.mistake(
    "a day more is drawn than there are",
    fails="three_days",
    old="size=(resamples, n)",
    new="size=(resamples, n + 1)",
)
day_interval.mistake(
    "the upper end is right, and the lower one is that of another interval",
    fails="all_draws",
    old="[2.5, 97.5]",
    new="[1.25, 97.5]",
)
day_interval.mistake(
    "the means are taken to be normal",
    fails="three_days",
    old="np.percentile(means, [2.5, 97.5])",
    new="means.mean() + np.array([-1.96, 1.96]) * means.std()",
)
day_interval.mistake(
    "the interval is reflected at the mean",
    fails="three_days",
    old="np.percentile(means, [2.5, 97.5])",
    new="2 * np.mean(gain) - np.percentile(means, [97.5, 2.5])",
)


day_interval.mistake(
    "flights are drawn, not days",
    fails="days_not_rows",
    old="day = np.unique(days, return_inverse=True)[1]",
    new="day = np.arange(len(days))",
)
day_interval.mistake(
    "the days are drawn without replacement",
    fails="like_the_normal",
    old="np.random.default_rng(seed).integers(0, n, size=(resamples, n))",
    new="np.random.default_rng(seed).permuted(np.tile(np.arange(n), (resamples, 1)), axis=1)",
)
day_interval.mistake(
    "half of the days are drawn",
    fails="like_the_normal",
    old="size=(resamples, n)",
    new="size=(resamples, n // 2)",
)
day_interval.mistake(
    "the interval of a single day is given, not that of the mean",
    fails="like_the_normal",
    old="np.percentile(means, [2.5, 97.5])",
    new="np.percentile(total / flights, [2.5, 97.5])",
)
day_interval.mistake(
    "the middle 90 % are given",
    fails="like_the_normal",
    old="[2.5, 97.5]",
    new="[5, 95]",
)
day_interval.mistake(
    "the mean of the days' means is taken, so that a quiet day counts like a busy one",
    fails="per_flight",
    old="total[drawn].sum(axis=1) / flights[drawn].sum(axis=1)",
    new="(total / flights)[drawn].mean(axis=1)",
)
day_interval.mistake(
    "the total of the days is taken, not the mean per flight",
    fails="certain",
    old=" / flights[drawn].sum(axis=1)",
    new="",
)


for _draws in (1999, 2001):
    day_interval.equivalent(
        "a draw more or less is a matter of chance", old="=2000", new=f"={_draws}"
    )
day_interval.equivalent(
    "no seed is better than another, and any generator will do", old="seed=0", new="seed=1"
)


@day_interval.alternative
def draw_by_draw(days, gain, resamples=2000, seed=0):
    table = pd.DataFrame({"day": days, "gain": gain}).groupby("day").gain.agg(["sum", "size"])
    total, flights = table["sum"].to_numpy(), table["size"].to_numpy()
    rng, means = np.random.default_rng(seed), []
    for _ in range(resamples):
        drawn = rng.choice(len(table), len(table))
        means.append(total[drawn].sum() / flights[drawn].sum())
    means.sort()
    return means[round(0.025 * resamples)], means[round(0.975 * resamples) - 1]


# -- expanding_windows -------------------------------------------------------------------------------


@exercise(
    hints=[
        "Stand at the cut. Which labels do you have? Which flights will you be asked about?",
        "Two columns decide two things: `labelled_at` decides what may be trained on, `decided_at` which window a "
        "flight is tested in. A flight under way at the cut is in neither.",
        "known = labelled_at <= cut; asked = (decided_at >= cut) & (decided_at < end) & labelled_at.notna(). A "
        "comparison with a missing moment is False.",
    ]
)
def expanding_windows(decided_at, labelled_at, cuts):
    """Split by time: a list of (train, test) pairs of row positions, one a
    window.

    `decided_at` and `labelled_at` are Series of moments with one index, whose
    labels are any: when each flight was decided, and when its label could first
    be known (missing: never). Flights come in any order. `cuts` is a list of
    two moments or more, increasing, at any distance and in any time zone. A
    window runs from one of them to the next, its end left out; the last cut
    only ends a window. Test on flights decided in the window that get a label
    some day, be it after the window. Train on every flight whose label was
    known at the window's start, up to and including that moment. Positions are
    whole numbers from 0, in any order, as a list or an array, each once; a
    window stands in the list even if nothing trains or tests in it.
    """
    windows = []
    for cut, end in pairwise(cuts):
        known = labelled_at <= cut  # blank
        asked = (decided_at >= cut) & (decided_at < end) & labelled_at.notna()  # blank
        windows.append((np.flatnonzero(known), np.flatnonzero(asked)))
    return windows


def _moments(*clocks: str | None) -> pd.Series:
    return pd.Series(
        [pd.Timestamp(f"2013-05-{clock}", tz="UTC") if clock else pd.NaT for clock in clocks]
    )


def _windows(answer: Answer, decided: Any, labelled: Any, cuts: Sequence[str]) -> list[list[int]]:
    moments = [pd.Timestamp(f"2013-05-{cut}", tz="UTC") for cut in cuts]
    return [part for pair in _positions(answer, decided, labelled, moments) for part in pair]


def _positions(answer: Answer, decided_at: Any, labelled_at: Any, cuts: Any) -> list[list[Any]]:
    """The pairs that an answer gives, each part as a sorted list; a mask stays a mask."""
    made = answer(decided_at, labelled_at, cuts)
    return [[_sorted(train), _sorted(test)] for train, test in made]


def _sorted(part: Any) -> list[Any]:
    values = np.asarray(part).tolist()
    return values if values and isinstance(values[0], bool) else sorted(values)


@expanding_windows.claim(
    "one window: what was labelled before it trains, what was decided in it tests"
)
def one_window(answer: Answer) -> None:
    decided, labelled = _moments("01 08:00", "02 08:00"), _moments("01 13:00", "02 13:00")
    expect(_windows(answer, decided, labelled, ["02", "03"]), [[0], [1]])


@expanding_windows.claim("a flight that is under way at the cut is neither trained on nor tested")
def label_gap(answer: Answer) -> None:
    decided = _moments("01 08:00", "01 22:00", "02 08:00")
    labelled = _moments("01 13:00", "02 03:00", "02 13:00")
    expect(_windows(answer, decided, labelled, ["02", "03"]), [[0], [2]])


@expanding_windows.claim(
    "the training rows expand: the second window trains on the first one's as well"
)
def expands(answer: Answer) -> None:
    decided = _moments("01 08:00", "02 08:00", "03 08:00")
    labelled = _moments("01 13:00", "02 13:00", "03 13:00")
    expect(_windows(answer, decided, labelled, ["02", "03", "04"]), [[0], [1], [0, 1], [2]])


@expanding_windows.claim(
    "a flight decided at the very end of a window is tested in the next one only"
)
def half_open(answer: Answer) -> None:
    decided = _moments("01 08:00", "02 00:00", "03 00:00")
    labelled = _moments("01 13:00", "02 05:00", "03 05:00")
    expect(_windows(answer, decided, labelled, ["02", "03", "04"]), [[0], [1], [0, 1], [2]])


@expanding_windows.claim("a label known at the very moment of the cut is known")
def at_the_cut(answer: Answer) -> None:
    decided, labelled = _moments("01 19:00", "02 08:00"), _moments("02 00:00", "02 13:00")
    expect(_windows(answer, decided, labelled, ["02", "03"]), [[0], [1]])


@expanding_windows.claim("a cancelled flight, which never gets a label, is in neither")
def never(answer: Answer) -> None:
    decided = _moments("01 08:00", "01 09:00", "02 08:00", "02 09:00")
    labelled = _moments("01 13:00", None, "02 13:00", None)
    expect(_windows(answer, decided, labelled, ["02", "03"]), [[0], [2]])


@expanding_windows.claim("it gives positions, whatever the index of the rows is")
def positions(answer: Answer) -> None:
    decided, labelled = _moments("01 08:00", "02 08:00"), _moments("01 13:00", "02 13:00")
    decided.index = labelled.index = pd.Index([7, 3])
    expect(_windows(answer, decided, labelled, ["02", "03"]), [[0], [1]])


@expanding_windows.claim("it gives positions, and no masks")
def no_masks(answer: Answer) -> None:
    decided, labelled = _moments("01 08:00", "02 08:00"), _moments("01 13:00", "02 13:00")
    expect(_windows(answer, decided, labelled, ["02", "03"]), [[0], [1]], kind=True)


@expanding_windows.claim("a flight whose label comes after the window is tested all the same")
def labelled_later(answer: Answer) -> None:
    decided = _moments("01 08:00", "02 22:00")
    labelled = _moments("01 13:00", "03 04:00")
    expect(_windows(answer, decided, labelled, ["02", "03"]), [[0], [1]])


@expanding_windows.claim("a window in which nothing trains, or nothing tests, stands in the list")
def empty_windows(answer: Answer) -> None:
    decided, labelled = _moments("02 08:00"), _moments("02 13:00")
    expect(_windows(answer, decided, labelled, ["02", "03", "04"]), [[], [0], [0], []])


@expanding_windows.generated(
    "any flights and cuts",
    run=_positions,
    same=Same(kind=True),
    marks={
        "a label is known just at a cut": lambda decided_at, labelled_at, cuts: labelled_at.isin(
            cuts
        ).any(),
        "a flight is decided just at a cut": lambda decided_at, labelled_at, cuts: decided_at.isin(
            cuts
        ).any(),
        "a flight never gets a label": lambda decided_at, labelled_at, cuts: (
            labelled_at.isna().any()
        ),
        "a flight is under way at a cut": lambda decided_at, labelled_at, cuts: any(
            ((decided_at < cut) & (labelled_at > cut)).any() for cut in cuts
        ),
        "a flight is decided before the first cut": lambda decided_at, labelled_at, cuts: (
            decided_at < cuts[0]
        ).any(),
        "nothing trains in a window": lambda *given: any(
            not len(train) for train, _ in expanding_windows.answer(*given)
        ),
        "nothing is tested in a window": lambda *given: any(
            not len(test) for _, test in expanding_windows.answer(*given)
        ),
        "the flights stand in no order of decisions": lambda decided_at, labelled_at, cuts: (
            not decided_at.is_monotonic_increasing
        ),
        "the windows are of different lengths": lambda decided_at, labelled_at, cuts: (
            len(set(np.diff(cuts))) > 1
        ),
        "the cuts are moments in New York": lambda decided_at, labelled_at, cuts: (
            str(cuts[0].tz) != "UTC"
        ),
    },
    count=60,
)
def any_flights(draw):
    """Decisions and labels on the cuts and beside them; a label comes hours or weeks later, or never."""
    begin = pd.Timestamp(draw(st.sampled_from(["2013-05-02", "2023-11-04"])), tz="UTC")
    gaps = draw(cases.some(st.sampled_from([24, 1, 168]), 1, 3))
    cuts = [begin + pd.Timedelta(hours=int(h)) for h in np.cumsum([0, *gaps])]
    on = cases.near(*cuts, step=pd.Timedelta("1s"))
    starts = cases.near(*cuts[:-1], step=pd.Timedelta("1s"))
    anywhere = cases.whole(-60, 100).map(lambda n: begin + pd.Timedelta(hours=n))
    before = cases.whole(1, 60).map(lambda n: begin - pd.Timedelta(hours=n))
    later = st.sampled_from([5, 1, 30, 400])
    columns = {
        "decided_at": (before | on | anywhere, cases.UTC),
        "labelled_at": (starts | anywhere, cases.UTC),
        "hours": (later, int),
        "never": (st.sampled_from([False, False, False, True]), bool),
    }
    rows = draw(cases.table(columns, equal=True))
    soonest = rows.decided_at + pd.Timedelta("10min")
    after = rows.decided_at + pd.to_timedelta(rows.hours, unit="h")
    labelled = rows.labelled_at.where(rows.labelled_at >= soonest, after).where(~rows.never)
    zone = draw(st.sampled_from(["UTC", "America/New_York"]))
    return rows.decided_at, labelled, [cut.tz_convert(zone) for cut in cuts]


KNOWN, ASKED = (
    "labelled_at <= cut",
    "(decided_at >= cut) & (decided_at < end) & labelled_at.notna()",
)
expanding_windows.mistake(
    "what was decided before the cut trains, whether its label was known or not",
    fails="label_gap",
    old=KNOWN,
    new="(decided_at < cut) & labelled_at.notna()",
)
expanding_windows.mistake(
    "what was labelled in the window is tested, so flights decided before it come in",
    fails="label_gap",
    old=ASKED,
    new="(labelled_at >= cut) & (labelled_at < end)",
)
expanding_windows.mistake(
    "labels up to the end of the window train",
    fails="one_window",
    old=KNOWN,
    new="labelled_at <= end",
)
expanding_windows.mistake(
    "the training window slides: only the last window's labels",
    fails="expands",
    old=KNOWN,
    new="(labelled_at <= cut) & (labelled_at > cut - (end - cut))",
)
expanding_windows.mistake(
    "the end belongs to the window",
    fails="half_open",
    old="decided_at < end",
    new="decided_at <= end",
)
expanding_windows.mistake(
    "the label that arrives at the cut is left out",
    fails="at_the_cut",
    old=KNOWN,
    new="labelled_at < cut",
)
expanding_windows.mistake(
    "labels of the index instead of positions",
    fails="positions",
    old="windows.append((np.flatnonzero(known), np.flatnonzero(asked)))",
    new="windows.append((list(known.index[known]), list(asked.index[asked])))",
)
expanding_windows.mistake(
    "a window in which nothing trains is left out",
    fails="empty_windows",
    old="windows.append((np.flatnonzero(known), np.flatnonzero(asked)))",
    new="windows += [(np.flatnonzero(known), np.flatnonzero(asked))] * int(known.any())",
)
expanding_windows.mistake(
    "only what is labelled by the end of its window is tested",
    fails="labelled_later",
    old=" & labelled_at.notna()",
    new=" & (labelled_at <= end)",
)
expanding_windows.mistake(
    "masks instead of positions",
    fails="one_window",
    old="windows.append((np.flatnonzero(known), np.flatnonzero(asked)))",
    new="windows.append((known.to_numpy(), asked.to_numpy()))",
)
expanding_windows.mistake(
    "positions as numbers with a point",
    fails="no_masks",
    old="windows.append((np.flatnonzero(known), np.flatnonzero(asked)))",
    new="windows.append((np.flatnonzero(known) * 1.0, np.flatnonzero(asked) * 1.0))",
)
expanding_windows.mistake(
    "positions in the order of the decisions, not of the rows",
    fails="any_flights",
    old="windows = []",
    new="order = decided_at.argsort(kind='stable')\n    decided_at, labelled_at = decided_at.iloc[order], labelled_at.iloc[order]\n    windows = []",
)
expanding_windows.mistake(
    "flights that never get a label are tested",
    fails="never",
    old=" & labelled_at.notna()",
    new="",
)
expanding_windows.mistake(
    "a missing label counts as known",
    fails="never",
    old=KNOWN,
    new="~(labelled_at > cut)",
)


@expanding_windows.alternative
def flight_by_flight(decided_at, labelled_at, cuts):
    made = []
    for window in range(len(cuts) - 1):
        train, test = [], []
        for i, (decided, labelled) in enumerate(zip(decided_at, labelled_at, strict=True)):
            if pd.isna(labelled):
                continue
            if labelled <= cuts[window]:
                train.append(i)
            if cuts[window] <= decided < cuts[window + 1]:
                test.append(i)
        made.append((train, test))
    return made


# -- gain_is_real ------------------------------------------------------------------------------------


@exercise(
    hints=[
        "The tuner looked at every column of `tuned` and took the luckiest. Which days have not been looked at?",
        "The choice is made once, on `tuned`. On the other days you judge that one column, not the best one there. "
        "And a day that stands in both tables was looked at.",
        "choice = tuned.mean().idxmax(); fresh = later.loc[~later.index.isin(tuned.index), choice]; then "
        "per_day(fresh.index, fresh).low is where the interval of the mean begins.",
    ]
)
def gain_is_real(tuned, later):
    """Was the tuned gain real? True or False: a check that a release must pass.

    Both tables have a row a day (the index: dates, numbers or text, each once)
    and a column a candidate: what it saved on that day over the model in
    service, in any unit. The tuner took the candidate with the greatest mean in
    `tuned`, even if that is below zero. Accept it if, on the days of `later`
    that the tuner did not see, the whole 95 % interval of its mean gain lies
    above zero, and only then; nothing else counts. `per_day(days, values)`
    gives that interval, with `.low` and `.high`. The two tables may share days,
    have the same candidates, and bear days and candidates in any order; ten
    days or more of `later` are not in `tuned`. Another way to the interval is
    as
    good: no case is so close that the draws decide.
    """
    choice = tuned.mean().idxmax()  # blank
    fresh = later.loc[~later.index.isin(tuned.index), choice]  # blank
    return bool(per_day(fresh.index, fresh).low > 0)  # blank


def _gains(mean: Any, days: int, start: str, seed: int, spread: float = 1.0) -> pd.DataFrame:
    """Simulated: what candidates of given mean gains save, day by day."""
    means = np.atleast_1d(np.asarray(mean, float))
    index = pd.date_range(start, periods=days)
    noise = np.random.default_rng(seed).normal(0, spread, (days, len(means)))
    return pd.DataFrame(noise + means, index, [f"c{i:02}" for i in range(len(means))])


def _noise() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Thirty candidates that are worth nothing; the best of them shines on the days that chose it."""
    return _gains([0] * 30, 40, "2013-05-01", 143), _gains([0] * 30, 40, "2013-06-10", 343)


def _real() -> tuple[pd.DataFrame, pd.DataFrame]:
    means = [0.1] * 8 + [1.0]
    return _gains(means, 40, "2013-05-01", 3), _gains(means, 60, "2013-06-10", 4)


def _season() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The choice of May; in summer another candidate is the best, and the choice loses."""
    return (
        _gains([0, 1.0, 0.1], 40, "2013-05-01", 5),
        _gains([0.9, -0.4, 0.1], 60, "2013-06-10", 6),
    )


def _shared() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lucky days that were tuned on stand in the later table too."""
    tuned = _gains([0] * 60, 40, "2013-05-01", 11)
    later = _gains([0] * 60, 40, "2013-06-10", 51)
    return tuned, pd.concat([tuned, later.head(30)])


def _storms() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A little better on most days, far worse on the four on which it matters."""
    tuned, later = _gains([0, 0.5], 40, "2013-05-01", 7), _gains([0, 0.4], 60, "2013-06-10", 8, 0.3)
    later.iloc[[5, 20, 33, 47], 1] -= 12
    return tuned, later


def _barely() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Above zero on average, and by less than chance alone would do."""
    tuned, later = _gains([0, 0.6], 40, "2013-05-01", 7), _gains([0, 0], 50, "2013-06-10", 12)
    return tuned, later - later.mean() + 0.1


def _few_days_real() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A real gain; the shared days alone were bad ones."""
    tuned, later = (
        _gains([0.2, 1.4], 40, "2013-05-01", 13),
        _gains([0.2, 1.4], 30, "2013-06-10", 14),
    )
    return tuned, pd.concat([tuned.tail(15) - 6, later])


def _overtaken() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The choice holds; another candidate is better still by then."""
    return _gains([0.2, 1.2], 40, "2013-05-01", 15), _gains([2.0, 1.2], 60, "2013-06-10", 16)


def _rare() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The choice gains much on a few days; the other one wins on most days, and loses later."""
    tuned = _gains([0.5, -0.2], 40, "2013-05-01", 17, 0.1)
    later = _gains([-0.5, -0.2], 60, "2013-06-10", 18, 0.1)
    tuned.iloc[::7, 1] += 12
    later.iloc[::6, 1] += 12
    return tuned, later


def _verdict(
    answer: Answer, made: tuple[pd.DataFrame, pd.DataFrame], right: bool, why: str
) -> None:
    tuned, later = made
    got = answer(tuned, later)
    expect(bool(got) if isinstance(got, np.bool_) else got, right, because=why)


@gain_is_real.claim("it accepts a gain that the later days confirm")
def accepts_real(answer: Answer) -> None:
    _verdict(answer, _real(), True, "this one holds on sixty days that the tuner never saw")


@gain_is_real.claim("it accepts a gain that holds, even where another candidate is better by then")
def accepts_overtaken(answer: Answer) -> None:
    _verdict(
        answer, _overtaken(), True, "the choice is asked for, not whether it is still the best"
    )


@gain_is_real.claim("it catches the best of thirty candidates that are worth nothing")
def catches_luck(answer: Answer) -> None:
    _verdict(
        answer,
        _noise(),
        False,
        "each of the thirty gains is noise; the best of them was chosen for it",
    )


@gain_is_real.claim(
    "it catches a choice that another season reverses, whatever else is good by then"
)
def catches_season(answer: Answer) -> None:
    why = "the chosen candidate loses later; that another one wins by then is a new choice"
    _verdict(answer, _season(), False, why)


@gain_is_real.claim("it catches a gain above zero that its interval does not separate from zero")
def catches_ties(answer: Answer) -> None:
    _verdict(answer, _barely(), False, "its interval contains zero: a tie, and no gain")


@gain_is_real.claim("it catches a gain on most days that a few storms undo")
def catches_storms(answer: Answer) -> None:
    _verdict(
        answer,
        _storms(),
        False,
        "its mean is what counts, and four days of storms take it below zero",
    )


@gain_is_real.claim("it does not count days on which the candidate was chosen, good or bad")
def ignores_shared_days(answer: Answer) -> None:
    _verdict(
        answer, _shared(), False, "forty of these days are those that made the choice look good"
    )
    _verdict(answer, _few_days_real(), True, "on the days that are new, the gain is clear")


@gain_is_real.claim("it judges the candidate of the greatest mean, though another won on most days")
def accepts_rare(answer: Answer) -> None:
    _verdict(answer, _rare(), True, "the tuner took the greatest mean, and that one's gain holds")


@gain_is_real.claim("it catches a choice that changes nothing on any later day")
def catches_nothing(answer: Answer) -> None:
    tuned, later = _real()
    later[tuned.mean().idxmax()] = 0.0
    why = "on the later days it saves nothing at all: nought is not above nought"
    _verdict(answer, (tuned, later), False, why)


_MEANS = {"gain": 4.0, "tie": 1.0, "loss": -4.0}  # in standard errors of the mean


def _around(mean: float, noise: Array) -> Array:
    """Noise, moved so that its mean is as many standard errors."""
    made: Array = noise - noise.mean() + mean * noise.std() / np.sqrt(len(noise))
    return made


def _fresh(tuned: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    return later[~later.index.isin(tuned.index)]


@gain_is_real.generated(
    "any candidates on any days",
    marks={
        "another candidate is better on the new days": lambda tuned, later: (
            _fresh(tuned, later).mean().idxmax() != tuned.mean().idxmax()
        ),
        "the tables share days": lambda tuned, later: later.index.isin(tuned.index).any(),
        "the greatest mean in `tuned` is below zero": lambda tuned, later: tuned.mean().max() < 0,
        "the gain in `tuned` could be chance, too": lambda tuned, later: (
            per_day(tuned.index, tuned[tuned.mean().idxmax()]).low <= 0
        ),
        "the columns stand in another order in `later`": lambda tuned, later: [*tuned] != [*later],
        "the gains are thousandths": lambda tuned, later: tuned.abs().max().max() < 0.1,
        "the mean and the median of `tuned` choose another candidate": lambda tuned, later: (
            tuned.mean().idxmax() != tuned.median().idxmax()
        ),
        "new days lie before the last tuned one": lambda tuned, later: (
            _fresh(tuned, later).index < tuned.index.max()
        ).any(),
        "there are more new days than tuned ones": lambda tuned, later: (
            len(_fresh(tuned, later)) > len(tuned)
        ),
        "there is one candidate": lambda tuned, later: len(tuned.columns) == 1,
    },
    count=60,
    steps=60,
)
def any_candidates(draw):
    """Simulated: the choice gains, ties or loses on the new days, by far; the others do as they like."""
    rng = np.random.default_rng(draw(cases.whole(0, 99)))
    names = [f"c{i}" for i in range(draw(cases.whole(1, 4)))]
    days, new = draw(st.sampled_from([8, 20, 40])), draw(st.sampled_from([12, 30, 60]))
    top = draw(st.sampled_from([1.0, 5.0, 0.1, -0.3]))
    tuned = _noise_of(draw, rng, days, names)
    tuned += top - tuned.mean() - np.linspace(0, 0.8, len(names))
    later = _noise_of(draw, rng, new, names)
    for name in names:
        mean = _MEANS[draw(st.sampled_from([*_MEANS]))]
        later[name] = _around(mean, later[name].to_numpy())
    index = draw(st.sampled_from([_dates, _numbers, _texts]))(days + new)
    if draw(st.booleans()):
        index = pd.Index(rng.permutation(index))
    tuned, later = tuned.round(2), later.round(2)
    tuned.index, later.index = index[:days], index[days:]
    shared = tuned.head(draw(st.sampled_from([0, 0, days, days // 2])))
    scale = draw(st.sampled_from([1.0, 0.001, 1000.0]))
    order = draw(st.permutations(names))
    later = pd.concat([shared, later]).sample(frac=1, random_state=draw(cases.whole(0, 9)))
    return tuned[draw(st.permutations(names))] * scale, later[order] * scale


def _noise_of(draw: cases.Draw, rng: np.random.Generator, days: int, names: Any) -> pd.DataFrame:
    """Noise a day and a candidate: normal, or with a few days that outweigh the others, for better or worse."""
    noise = pd.DataFrame(rng.normal(size=(days, len(names))), columns=names)
    for name in names:
        noise.loc[::5, name] += draw(st.sampled_from([0.0, 0.0, 6.0, -6.0]))
    return noise


def _dates(count: int) -> pd.Index:
    return pd.date_range("2023-05-01", periods=count)


def _numbers(count: int) -> pd.Index:
    return pd.Index(range(100, 100 + count))


def _texts(count: int) -> pd.Index:
    return pd.Index([f"day {i:03}" for i in range(count)])


gain_is_real.mistake(
    "the gain must be sure on the tuned days as well",
    fails="any_candidates",
    old="per_day(fresh.index, fresh).low > 0",
    new="min(per_day(f.index, f).low for f in (fresh, tuned[choice])) > 0",
)
gain_is_real.mistake(
    "no loss is a gain",
    fails="catches_nothing",
    old="per_day(fresh.index, fresh).low > 0",
    new="per_day(fresh.index, fresh).low >= 0",
)
gain_is_real.mistake(
    "a gain of less than a twentieth is none, whatever the unit",
    fails="any_candidates",
    old="per_day(fresh.index, fresh).low > 0",
    new="per_day(fresh.index, fresh).low > 0.05",
)
gain_is_real.mistake(
    "columns are taken by their place",
    fails="any_candidates",
    old="later.loc[~later.index.isin(tuned.index), choice]",
    new="later[~later.index.isin(tuned.index)].iloc[:, list(tuned).index(choice)]",
)
gain_is_real.mistake(
    "half of the gain must be left",
    fails="any_candidates",
    old="per_day(fresh.index, fresh).low > 0",
    new="per_day(fresh.index, fresh).low > 0 and fresh.mean() >= tuned[choice].mean() / 2",
)
gain_is_real.mistake(
    "only days after the last tuned one are new",
    fails="any_candidates",
    old="later.loc[~later.index.isin(tuned.index), choice]",
    new="later.loc[later.index > min(tuned.index.max(), later.index.sort_values()[-3]), choice]",
)
gain_is_real.mistake(
    "the days that chose it confirm it",
    fails="catches_luck",
    old="later.loc[~later.index.isin(tuned.index), choice]",
    new="tuned[choice]",
)
gain_is_real.mistake(
    "the best candidate of the later days is judged: a second choice",
    fails="catches_season",
    old="later.loc[~later.index.isin(tuned.index), choice]",
    new="later.loc[~later.index.isin(tuned.index), later.mean().idxmax()]",
)
gain_is_real.mistake(
    "the choice is made on all days together",
    fails="catches_season",
    old="tuned.mean().idxmax()",
    new="pd.concat([tuned, later]).mean().idxmax()",
)
gain_is_real.mistake(
    "a mean above zero is enough",
    fails="catches_ties",
    old="per_day(fresh.index, fresh).low > 0",
    new="fresh.mean() > 0",
)
gain_is_real.mistake(
    "the interval of single days is asked for, which no gain survives",
    fails="accepts_real",
    old="per_day(fresh.index, fresh).low > 0",
    new="fresh.quantile(0.025) > 0",
)
gain_is_real.mistake(
    "days won are counted, not what they are worth",
    fails="catches_storms",
    old="per_day(fresh.index, fresh).low > 0",
    new="per_day(fresh.index, np.sign(fresh)).low > 0",
)
gain_is_real.mistake(
    "the choice must be the best of the later days, too",
    fails="accepts_overtaken",
    old="return bool(per_day(fresh.index, fresh).low > 0)",
    new="return bool(per_day(fresh.index, fresh).low > 0) and later.mean().idxmax() == choice",
)
gain_is_real.mistake(
    "the candidate of the greatest median is judged",
    fails="accepts_rare",
    old="tuned.mean().idxmax()",
    new="tuned.median().idxmax()",
)
gain_is_real.mistake(
    "days that both tables hold are counted",
    fails="ignores_shared_days",
    old="later.loc[~later.index.isin(tuned.index), choice]",
    new="later[choice]",
)


@gain_is_real.alternative
def by_hand(tuned, later):
    means = {name: column.to_numpy().mean() for name, column in tuned.items()}
    choice = max(means, key=means.get)
    new_days = [day for day in later.index if day not in set(tuned.index)]
    values = later.loc[new_days, choice].to_numpy()
    rng = np.random.default_rng(1)
    means = values[rng.integers(0, len(values), (4000, len(values)))].mean(axis=1)
    return float(np.percentile(means, 2.5)) > 0


# -- reproduce ---------------------------------------------------------------------------------------


@exercise(
    hints=[
        "Everything that changed the model must come from the record: which rows, which columns, which settings. "
        "What must be the same before you start?",
        "The record holds texts: turn each option into what it was. literal_eval('40') is 40, literal_eval('0.3') "
        "is 0.3. The rows are those whose label was known at trained_until.",
        "options = {name: literal_eval(text) for name, text in record.items() if name not in others}; then "
        "fit(partial(boosted, **options), known, columns=columns).",
    ]
)
def reproduce(record, rows, now):
    """Train again the model that a run's record describes.

    A tracking store keeps parameters as text, so all values of `record` are
    text, and its keys stand in any order: `data` and `code`, the versions;
    `trained_until`, a moment in UTC: rows whose label was known by then, or at
    that very moment, were trained on, in the order of `rows` (`labelled_at`,
    missing where a flight never got a label); `columns`, in their order, joined
    by commas. Everything else, possibly nothing, is an option of `boosted`,
    whichever it has: numbers or truth values, written as Python writes them,
    such as 1e-05 or False. `now` holds the versions of today. Where either
    differs, in a single letter, give None: a model of other data or code is no
    reproduction. Else give the fitted model: its scores must be those of the
    run to a millionth.
    """
    others = ["data", "code", "trained_until", "columns"]
    same = all(record[what] == now[what] for what in ("data", "code"))  # blank
    if not same:
        return None
    until = pd.Timestamp(record["trained_until"], tz="UTC")
    known = rows[rows.labelled_at <= until]  # blank
    columns = record["columns"].split(",")  # blank
    options = {k: literal_eval(text) for k, text in record.items() if k not in others}  # blank
    return fit(partial(boosted, **options), known, columns=columns)  # blank


RECORD = {
    "max_iter": "8",
    "learning_rate": "0.3",
    "max_features": "0.5",
    "random_state": "7",
    "columns": "dep_minute,hour_flights,origin_left_late_3h,visib",
    "trained_until": "2013-02-05 12:00",
    "data": "d41d8cd98f00",
    "code": "9e107d9d372b",
}
NOW = {"data": "d41d8cd98f00", "code": "9e107d9d372b"}


@cache
def _rows() -> pd.DataFrame:
    """The flights of the first week of February 2013 that landed, and when that was known."""
    world = World("2013-02-08")
    rows = batch(world, world.decisions(since="2013-02-01 05:00"))
    rows = rows[rows.label_status == "matured"]
    return rows.reset_index(drop=True)


def _scores(answer: Answer, **changed: str) -> Array:
    model = answer({**RECORD, **changed}, _rows(), dict(NOW))
    made: Array = np.full(300, np.nan)
    if model is not None:
        made = model.predict(_rows().tail(300))
    return made


def _expected(columns: str = "", until: str = "", **options: Any) -> Array:
    """The same without the library's fit: plain scikit-learn on a plain matrix."""
    rows, names = _rows(), (columns or RECORD["columns"]).split(",")
    plain: dict[str, Any] = {"max_leaf_nodes": 15, "min_samples_leaf": 200, "max_iter": 8}
    plain |= {"learning_rate": 0.3, "max_features": 0.5, "random_state": 7, **options}
    known = rows[rows.labelled_at <= pd.Timestamp(until or RECORD["trained_until"], tz="UTC")]
    model = HistGradientBoostingClassifier(**plain)
    model.fit(known[names].to_numpy("float32"), known.late.astype(int))
    scores: Array = model.predict_proba(rows.tail(300)[names].to_numpy("float32"))[:, 1]
    return scores


@reproduce.claim("the model scores every flight as the run of the record did")
def scores_as_recorded(answer: Answer) -> None:
    expect(_scores(answer), _expected(), 1e-6)


@reproduce.claim("other settings, and settings of other names, give another model")
def settings_matter(answer: Answer) -> None:
    text = {
        "max_iter": "5",
        "learning_rate": "0.05",
        "min_samples_leaf": "80",
        "early_stopping": "True",
    }
    plain: dict[str, Any] = {
        "max_iter": 5,
        "learning_rate": 0.05,
        "min_samples_leaf": 80,
        "early_stopping": True,
    }
    expect(_scores(answer, **text), _expected(**plain), 1e-6)


@reproduce.claim("columns stand in the order of the record")
def order_matters(answer: Answer) -> None:
    columns = "temp,dep_minute,humid,visib,dewp,distance"
    expect(_scores(answer, columns=columns), _expected(columns), 1e-6)


@reproduce.claim("it trains on what was labelled by the record's moment, whichever that is")
def as_of_then(answer: Answer) -> None:
    until = "2013-02-03 18:00"
    expect(_scores(answer, trained_until=until), _expected(until=until), 1e-6)


@reproduce.claim("there is no model where the data is another, and none where the code is another")
def other_versions(answer: Answer) -> None:
    expect(answer({**RECORD, "data": "900150983cd2"}, _rows(), dict(NOW)), None)
    expect(answer({**RECORD, "code": "900150983cd2"}, _rows(), dict(NOW)), None)


_OPTIONS = {
    "learning_rate": ["0.3", "1e-01", "1"],
    "max_leaf_nodes": ["4", "31"],
    "min_samples_leaf": ["20", "90"],
    "max_features": ["0.4"],
    "l2_regularization": ["50.0"],
    "max_bins": ["8"],
    "early_stopping": ["False", "True"],
    "validation_fraction": ["0.4"],
    "random_state": ["7", "12"],
}
_COLUMNS = "dep_minute hour_flights visib temp humid distance origin_left_late_3h carrier origin"


@cache
def _few_rows() -> pd.DataFrame:
    """A tenth of the rows, in no order, and some flights that never landed."""
    rows = _rows().sample(600, random_state=0)
    never = rows.iloc[::50].assign(late=np.nan)
    made = pd.concat([rows, never]).sample(frac=1, random_state=1)
    return made.assign(labelled_at=made.labelled_at.where(made.late.notna()))


def _scored(answer: Answer, record: dict[str, str], now: dict[str, str]) -> Any:
    """What the model scores the flights that landed; None where there is no model."""
    model = answer(record, _few_rows(), now)
    return None if model is None else model.predict(_few_rows().dropna(subset=["late"])[::4])


@reproduce.generated(
    "any record, on six hundred flights",
    run=_scored,
    same=Same(1e-6),
    marks={
        "the versions are those of today": lambda record, now: (
            (record["data"], record["code"]) == (now["data"], now["code"])
        ),
        "a version differs in its last letter only": lambda record, now: any(
            record[key][:-1] == now[key][:-1] and record[key] != now[key] for key in now
        ),
        "a label was known at the very moment": lambda record, now: (
            pd.Timestamp(record["trained_until"], tz="UTC") in set(_few_rows().labelled_at)
        ),
        "a truth value is among the options": lambda record, now: "early_stopping" in record,
        "an option is written with an exponent": lambda record, now: (
            record.get("learning_rate") == "1e-01"
        ),
        "a name is among the columns": lambda record, now: (
            "carrier" in record["columns"] or "origin" in record["columns"].split(",")
        ),
        "the columns are not sorted": lambda record, now: (
            record["columns"].split(",") != sorted(record["columns"].split(","))
        ),
        "there is one column": lambda record, now: "," not in record["columns"],
        "the options come last in the record": lambda record, now: list(record)[-1] in _OPTIONS,
    },
    count=40,
    steps=30,
)
def any_record(draw):
    columns = draw(cases.some(st.sampled_from(_COLUMNS.split()), 1, 5, unique=True))
    labelled = _few_rows().labelled_at.dropna().sort_values()[100:]
    until = draw(cases.near(*labelled[::100], step=pd.Timedelta("1min")))
    how = draw(st.sampled_from(["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]))
    options = draw(cases.some(st.sampled_from([*_OPTIONS]), 0, 4, unique=True))
    versions = draw(st.sampled_from([NOW] * 4 + [*_OTHER_VERSIONS]))
    record = {
        **versions,
        "columns": ",".join(columns),
        "trained_until": f"{until:{how}}",
        "max_iter": draw(st.sampled_from(["3", "8"])),
        **{name: draw(st.sampled_from(_OPTIONS[name])) for name in options},
    }
    return draw(cases.reordered(record)), dict(NOW)


_OTHER_VERSIONS = [
    {**NOW, "data": NOW["data"][:-1] + "1"},
    {**NOW, "code": NOW["code"][:-1] + "1"},
    {"data": NOW["code"], "code": NOW["data"]},
]
reproduce.mistake(
    "a version is compared by its first letters",
    fails="any_record",
    old="record[what] == now[what]",
    new="record[what][:7] == now[what][:7]",
)
reproduce.mistake(
    "what is no number is true",
    fails="any_record",
    old="literal_eval(text)",
    new="literal_eval(text) if text[0].isdigit() else bool(text)",
)
reproduce.mistake(
    "the label that arrived at the moment itself is left out",
    fails="as_of_then",
    old="rows.labelled_at <= until",
    new="rows.labelled_at < until",
)
reproduce.mistake(
    "the versions, the moment and the columns come last in a record",
    fails="settings_matter",
    old="for k, text in record.items() if k not in others",
    new="for k, text in list(record.items())[:-4]",
)
OPTIONS = "{k: literal_eval(text) for k, text in record.items() if k not in others}"
reproduce.mistake(
    "the data is compared, the code is not",
    fails="other_versions",
    old='for what in ("data", "code"))',
    new='for what in ("data",))',
)
reproduce.mistake(
    "one of the two versions will do",
    fails="other_versions",
    old="all(record[what] == now[what]",
    new="any(record[what] == now[what]",
)
reproduce.mistake(
    "it trains on every label that is known today",
    fails="scores_as_recorded",
    old="rows[rows.labelled_at <= until]",
    new="rows",
)
reproduce.mistake(
    "it trains on what had been decided by then, labelled or not",
    fails="scores_as_recorded",
    old="rows.labelled_at <= until",
    new="rows.decided_at <= until",
)
reproduce.mistake(
    "the moment is remembered, not read",
    fails="as_of_then",
    old='pd.Timestamp(record["trained_until"], tz="UTC")',
    new='pd.Timestamp("2013-02-05 12:00", tz="UTC")',
)
reproduce.mistake(
    "the columns are sorted",
    fails="order_matters",
    old='record["columns"].split(",")',
    new='sorted(record["columns"].split(","))',
)
reproduce.mistake(
    "the seed is left at its default",
    fails="scores_as_recorded",
    old=OPTIONS,
    new='{k: literal_eval(record[k]) for k in ("max_iter", "learning_rate", "max_features")}',
)
reproduce.mistake(
    "options are passed as the text that the record holds",
    fails="scores_as_recorded",
    old="literal_eval(text)",
    new="text",
)
reproduce.mistake(
    "only the options of one run are known by name",
    fails="settings_matter",
    old=OPTIONS,
    new='{k: literal_eval(record[k]) for k in ("max_iter", "learning_rate", "max_features", "random_state")}',
)


reproduce.equivalent(
    "pandas compares moments in UTC with a text as with that moment in UTC",
    old='pd.Timestamp(record["trained_until"], tz="UTC")',
    new='record["trained_until"]',
)


@reproduce.alternative
def option_by_option(record, rows, now):
    import json

    record = dict(record)
    if (record.pop("data"), record.pop("code")) != (now["data"], now["code"]):
        return None
    columns = record.pop("columns").split(",")
    moment = pd.to_datetime(record.pop("trained_until"), utc=True)
    options = {name: json.loads(text.lower()) for name, text in record.items()}
    return fit(
        lambda signature: boosted(signature, **options),
        rows.loc[rows.labelled_at.le(moment)],
        columns=columns,
    )
