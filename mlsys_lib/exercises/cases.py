"""Generated cases: inputs made to hurt, and the smallest of them on which an answer fails.

An exercise names a function of `draw` that makes the arguments of one call. Hypothesis draws some dozens
of them, small ones first, always the same, and shrinks the one that fails. Nothing is kept on disk and
nothing printed.

>>> [call.args for call in drawn(lambda draw: (draw(whole(0, 2)),), count=10)][:3]
[(0,), (2,), (1,)]
"""

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.internal.conjecture.engine import ConjectureRunner
from hypothesis.internal.conjecture.providers import HypothesisProvider

__all__ = [
    "Call",
    "Draw",
    "array",
    "call",
    "deliveries",
    "drawn",
    "faulty",
    "figures",
    "flights",
    "index",
    "labels",
    "moments",
    "months",
    "names",
    "near",
    "probabilities",
    "reordered",
    "samples",
    "smallest",
    "some",
    "table",
    "whole",
]

Strategy = st.SearchStrategy[Any]
Draw = Callable[[Strategy], Any]
Make = Callable[[Draw], Any]
STEPS = 300


@dataclass(frozen=True)
class Call:
    """The arguments of one call."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)


def call(*args: Any, **kwargs: Any) -> Call:
    """The arguments of a call, where some are given by name.

    >>> call(3, window=30)
    Call(args=(3,), kwargs={'window': 30})
    """
    return Call(args, kwargs)


def _nothing(*args: Any, **kwargs: Any) -> None:
    return None


@contextmanager
def _alike() -> Iterator[None]:
    """The same cases in every kernel, and different ones.

    Hypothesis also draws constants that it collects from whatever modules are loaded, and keeps those on
    disk; and it tries variants of a case, which differ too little to judge an answer.
    """
    with (
        patch.object(HypothesisProvider, "_maybe_draw_constant", _nothing, create=True),
        patch.object(ConjectureRunner, "generate_mutations_from", _nothing, create=True),
    ):
        yield


class _Enough(BaseException):
    """Ends a search. No `Exception`: Hypothesis takes those for failures of what it tests."""


def drawn(make: Make, count: int) -> list[Call]:
    """The first `count` cases, always the same; fewer where there are no more."""
    calls: list[Call] = []

    def keep(case: Call) -> bool:
        calls.append(copy.deepcopy(case))
        return False

    _search(make, keep, count)
    return calls


def samples(each: Strategy, count: int = 20) -> list[Any]:
    """What a strategy gives, for whoever writes cases: the different ones among the first `count`."""
    values = [case.args[0] for case in drawn(lambda draw: (draw(each),), count)]
    return [v for i, v in enumerate(values) if repr(v) not in map(repr, values[:i])]


def smallest(
    make: Make, count: int, fails: Callable[[Call], bool], steps: int = STEPS
) -> Call | None:
    """The smallest case found that fails, in `steps` tries after the first one; None where none of `count` fails."""
    found: list[Call] = []
    tries = itertools.count()

    def failing(case: Call) -> bool:
        if found and next(tries) >= steps:
            raise _Enough
        if failed := fails(case):
            found.append(case)
        return failed

    _search(make, failing, count)
    return found[-1] if found else None


def _search(make: Make, condition: Callable[[Call], bool], count: int) -> None:
    """Let Hypothesis draw cases until one meets the condition, then smaller ones that meet it too."""

    @st.composite
    def cases(draw: Draw) -> Call:
        made = make(draw)
        return made if isinstance(made, Call) else Call(made)

    @seed(0)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(cases())
    def run(case: Call) -> None:
        if condition(case):
            raise _Failed

    with suppress(_Failed, _Enough, Flaky), _alike():
        run()


class _Failed(Exception):
    """What Hypothesis looks for."""


# -- values: the first alternative of each is what it shrinks to -------------------------------------


def near(*limits: Any, step: Any = 1) -> Strategy:
    """A value exactly on a limit, or one step beside it.

    >>> samples(near(15))
    [15, 16, 14]
    """
    return st.sampled_from([limit + way * step for limit in limits for way in (0, -1, 1)])


def whole(low: int, high: int, *, on: Sequence[int] = ()) -> Strategy:
    """Whole numbers from `low` to `high`; with `on`, often one of these or its neighbour."""
    numbers = st.integers(low, high)
    beside = [v for limit in on for v in (limit, limit - 1, limit + 1) if low <= v <= high]
    return numbers | st.sampled_from(beside) if beside else numbers


def figures(
    low: float,
    high: float,
    *,
    on: Sequence[float] = (),
    step: float = 0.01,
    missing: bool = False,
    infinite: bool = False,
) -> Strategy:
    """Numbers from `low` to `high` in steps, so that ties come by themselves.

    With `on`, often one of these, or one step beside it; NaN and infinite ones where the statement allows them.
    """
    count = round((high - low) / step)
    odd = [v for limit in on for v in (limit, limit - step, limit + step) if low <= v <= high]
    odd += [float("nan")] * missing + [float("inf"), float("-inf")] * infinite
    numbers = st.integers(0, count).map(lambda n: round(low + n * step, 9))
    return numbers | st.sampled_from(odd) if odd else numbers


def probabilities(*, on: Sequence[float] = (), missing: bool = False) -> Strategy:
    """Probabilities in hundredths, 0 and 1 among them; with `on`, often on a threshold or beside it."""
    return figures(0, 1, on=[0.0, 1.0, *on], missing=missing)


def names(*known: str, missing: bool = False) -> Strategy:
    """One of these names; None where a name may be missing."""
    return st.sampled_from([*known, *[None] * missing])


def moments(*on: str, step: str = "1min", days: int = 2, missing: bool = False) -> Strategy:
    """Moments in UTC: on one of these, one step beside it, or some minutes within the days after the first."""
    limits = [pd.Timestamp(text, tz="UTC") for text in on]
    beside = near(*limits, step=pd.Timedelta(step))
    later = st.integers(0, days * 1440).map(lambda n: limits[0] + pd.Timedelta(minutes=n))
    return beside | later | st.just(pd.NaT) if missing else beside | later


# -- several of them ---------------------------------------------------------------------------------


def some(each: Strategy, least: int = 0, most: int = 8, *, unique: bool = False) -> Strategy:
    """A list of these, from `least` to `most`."""
    return st.lists(each, min_size=least, max_size=most, unique=unique)


def array(each: Strategy, size: int, dtype: Any = float) -> Strategy:
    """An array of that many."""
    return some(each, size, size).map(lambda values: np.array(values, dtype))


def labels(size: int, dtype: Any = int) -> Strategy:
    """Labels of 0 and 1: mixed, all of one class, or one that stands out."""
    mixed = array(st.integers(0, 1), size, dtype)
    rare = st.integers(0, max(size - 1, 0)).map(lambda i: (np.arange(size) == i).astype(dtype))
    return mixed | st.sampled_from([0, 1]).map(lambda v: np.full(size, v, dtype)) | rare


def reordered(given: Any) -> Strategy:
    """The same dict or list in any order of its keys or elements.

    >>> samples(reordered({"hit": 0, "miss": 300}))
    [{'hit': 0, 'miss': 300}, {'miss': 300, 'hit': 0}]
    """
    if isinstance(given, Mapping):
        return st.permutations(list(given)).map(lambda keys: {k: given[k] for k in keys})
    return st.permutations(list(given))


def index(size: int, *, equal: bool = False) -> Strategy:
    """Labels of rows: 0, 1, 2, ..., from another number on, in other order, or text; equal ones if allowed."""
    plain = list(range(size))
    kinds = [
        st.just(plain),
        st.just([7 + i for i in plain]),
        st.just(plain[::-1]),
        st.permutations([3 * i + 2 for i in plain]),
        st.just([f"row {i}" for i in plain]),
    ]
    return st.one_of(*kinds, *[some(st.integers(0, 2), size, size)] * equal)


def table(
    columns: Mapping[str, tuple[Strategy, Any]],
    least: int = 0,
    most: int = 8,
    *,
    labels: bool = True,
    equal: bool = False,
) -> Strategy:
    """A table whose rows stand in no order.

    Parameters
    ----------
    columns : mapping of str to (strategy, dtype)
        What each column holds, and as what: an empty table has types too.
    least, most : int, default 0 and 8
        How many rows.
    labels : bool, default True
        Whether its index may be another than 0, 1, 2, ...
    equal : bool, default False
        Whether labels of the index may be equal.
    """

    @st.composite
    def tables(draw: Draw) -> pd.DataFrame:
        row = st.tuples(*(each for each, _ in columns.values()))
        rows = draw(some(row, least, most))
        values = zip(*rows, strict=True) if rows else ((),) * len(columns)
        bare = draw(index(len(rows), equal=equal)) if labels else range(len(rows))
        made = {
            name: pd.Series(list(column), bare, dtype)
            for (name, (_, dtype)), column in zip(columns.items(), values, strict=True)
        }
        return pd.DataFrame(made, index=bare)

    return tables()


UTC = "datetime64[ns, UTC]"


def flights(least: int = 0, most: int = 8, **more: tuple[Strategy, Any]) -> Strategy:
    """Flights of few airlines and airports on two days of either year, in no order; `more` adds columns or replaces them."""
    usual = {
        "carrier": (names("AA", "UA", "DL"), object),
        "origin": (names("EWR", "JFK", "LGA"), object),
        "sched_dep": (moments("2013-03-10 06:00", "2023-11-05 06:00"), UTC),
        "dep_delay": (figures(-10, 60, on=[15], step=1, missing=True), float),
        "late": (st.sampled_from([0.0, 1.0, float("nan")]), float),
    }
    return table(usual | more, least, most)


@st.composite
def deliveries(draw: Draw, sent: Sequence[Any]) -> list[Any]:
    """What was sent, as it arrives: some of it twice, and in another order."""
    twice = draw(some(st.sampled_from(sent), 0, 3)) if sent else []
    arrived: list[Any] = draw(st.permutations([*sent, *twice]))
    return arrived


# -- for checks that a reader writes: sound and broken tables ----------------------------------------


def months(load: Callable[[int, int], Any], *years: int) -> Strategy:
    """What ``load(year, month)`` gives, for any month of these years."""
    return st.tuples(st.sampled_from(years), st.integers(1, 12)).map(lambda when: load(*when))


@st.composite
def faulty(
    draw: Draw, sound: Strategy, breaks: Mapping[str, Callable[[pd.DataFrame], pd.DataFrame]]
) -> tuple[str | None, pd.DataFrame]:
    """A sound table and None, or the name of a break and a table with it.

    The break is in all rows, from some row on, in every seventh, or in one. Each of `breaks` takes rows of
    the table and gives them back broken, in the same order.
    """
    table = draw(sound)
    name = draw(st.sampled_from([None, *breaks]))
    if name is None or table.empty:
        return None, table
    place, start = np.arange(len(table)), draw(st.integers(0, len(table) - 1))
    hit = draw(st.sampled_from([place >= 0, place >= start, place % 7 == 0, place == start]))
    broken = breaks[name](table[hit].copy())
    whole = pd.concat([broken, table[~hit]])
    whole.index = pd.Index(np.r_[place[hit], place[~hit]])
    return name, whole.sort_index().set_axis(table.index)
