"""Exercises of chapter 08, deployment."""

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from mlsys_lib import World
from mlsys_lib.exercises import cases
from mlsys_lib.exercises.checker import Answer, Same, exercise, expect
from mlsys_lib.models import Signature
from mlsys_lib.world import examples

# -- percentiles -------------------------------------------------------------------------------------


@exercise(
    hints=[
        "A user does not know when the tester was ready to send. From which moment on does he wait?",
        "Request k was due at k * every. It waited from then until its answer, or for ever. Of the waiting "
        "times, sorted, the percentile is one of them; none is made up between two.",
        "waited = log.answered - log.k * every, with math.inf for the missing ones. The q-th percentile is the "
        "one at place math.ceil(q * n / 100), counted from 1.",
    ]
)
def percentiles(log, every, wanted):
    """Percentiles of the time that users waited, from the log of a load test.

    `log` has a row a request (one or more, in any order, any index): its k, and
    when it was sent and answered, in ms since the start. Request k (0, 1, ...)
    was due at k * every ms; when the service stalls, the tester sends late.
    What was never answered (answered is missing) waited for ever: math.inf.
    Give a dict of q to the q-th percentile, for each q in `wanted` (above 0, up
    to 100, whole or not): the smallest waiting time that at least q % of the
    requests did not exceed, not rounded.
    """
    waited = log.answered - log.k * every  # blank
    waited = np.sort(waited.fillna(math.inf))  # blank
    place = {q: math.ceil(q * len(waited) / 100) for q in wanted}  # blank
    return {q: float(waited[place[q] - 1]) for q in wanted}


def _test_log(answered: list[float], every: float = 10, sent: list[float] | None = None) -> Any:
    k = np.arange(len(answered))
    return pd.DataFrame({"k": k, "sent": k * every if sent is None else sent, "answered": answered})


_ON_TIME = _test_log([10 * k + waited for k, waited in enumerate([3, 1, 4, 7, 5, 9, 2, 6, 8, 10])])
_STALL = _test_log([1, 51, 52, 53, 54], sent=[0, 10, 51, 52, 53])


@percentiles.claim("of ten waits of 1 to 10 ms, the median is 5 and the 90th percentile 9")
def on_time(answer: Answer) -> None:
    expect(answer(_ON_TIME, 10, [50, 90, 100]), {50: 5.0, 90: 9.0, 100: 10.0})


@percentiles.claim("of ten requests, the slowest is the 99th percentile, and the 91st")
def few(answer: Answer) -> None:
    expect(answer(_ON_TIME, 10, [91, 99]), {91: 10.0, 99: 10.0})


@percentiles.claim(
    "requests that were sent late, because one stalled, waited from when they were due"
)
def stalled(answer: Answer) -> None:
    expect(answer(_STALL, 10, [20, 60, 80, 100]), {20: 1.0, 60: 23.0, 80: 32.0, 100: 41.0})


@percentiles.claim("a request that was never answered is slower than all others")
def unanswered(answer: Answer) -> None:
    log = _test_log([1, math.nan, 22, 33], every=10)
    expect(answer(log, 10, [25, 50, 75, 99]), {25: 1.0, 50: 2.0, 75: 3.0, 99: math.inf})


@percentiles.claim("the rows may stand in the order of the answers")
def in_any_order(answer: Answer) -> None:
    log = _test_log([31, 11, 21, 32], every=10).sort_values("answered")
    expect(answer(log, 10, [50, 100]), {50: 1.0, 100: 31.0})


@percentiles.claim("the interval is the one that the call names")
def own_interval(answer: Answer) -> None:
    log = _test_log([2, 27, 53, 79], every=25)
    expect(answer(log, 25, [50, 75, 100]), {50: 2.0, 75: 3.0, 100: 4.0})


@st.composite
def _load_test(draw: cases.Draw) -> tuple[pd.DataFrame, float]:
    """The log of a tester that waits for each answer, or gives up, before it sends the next; and its interval."""
    every = draw(st.sampled_from([10, 25, 2.5, 1000]))
    share = st.sampled_from([0.5, 0.25, 0.999, 1.0, 1.0004, 1.5, 4.0, 0.1237])
    rows, free = [], 0.0
    for k, (taken, lost) in enumerate(draw(cases.some(st.tuples(share, st.booleans()), 1, 9))):
        sent = max(free, k * every)
        free = sent + taken * every
        rows.append((k, sent, math.nan if lost and taken > 1 else free))
    log = pd.DataFrame(rows, columns=["k", "sent", "answered"])
    log = log.iloc[list(draw(st.permutations(range(len(log)))))]
    return log.set_axis(draw(cases.index(len(log)))), every


@percentiles.generated(
    "any load test",
    marks={
        "a request was sent late": lambda log, every, wanted: (log.sent > log.k * every).any(),
        "a request was never answered": lambda log, every, wanted: log.answered.isna().any(),
        "the rows are not in the order of sending": lambda log, every, wanted: (
            not log.k.is_monotonic_increasing
        ),
        "q % of the requests are a whole number of them": lambda log, every, wanted: any(
            q * len(log) % 100 == 0 for q in wanted
        ),
        "a wait has more than three decimals": lambda log, every, wanted: (
            ((log.answered - log.k * every).round(3) - (log.answered - log.k * every)).abs() > 1e-6
        ).any(),
        "a q is not whole": lambda log, every, wanted: any(q % 1 for q in wanted),
        "nothing is wanted": lambda log, every, wanted: not wanted,
    },
    count=60,
)
def any_load_test(draw):
    log, every = draw(_load_test())
    steps = [100 * i / len(log) for i in range(1, len(log) + 1)]
    beside = {math.floor(step + way) for step in steps for way in (0, 0.99)} - {0}
    tenths = [q + 0.1 * way for q in beside for way in (-1, 1) if q + 0.1 * way <= 100]
    q = cases.whole(1, 100) | st.sampled_from([50, 99, 100, 99.9, 0.5, *sorted(beside), *tenths])
    return log, every, draw(cases.some(q, 0, 3, unique=True))


percentiles.mistake(
    "a row's place is its request's number",
    fails="any_load_test",
    old="log.k * every",
    new="log.index.to_series(log.index) * every",
)
percentiles.mistake(
    "waits are rounded, as they stand on the screen",
    fails="any_load_test",
    old="float(waited[place[q] - 1])",
    new="round(float(waited[place[q] - 1]), 3)",
)
percentiles.mistake(
    "the wait begins when the tester gets round to sending",
    fails="stalled",
    old="log.answered - log.k * every",
    new="log.answered - log.sent",
)
percentiles.mistake(
    "a percentile lies between two waits",
    fails="on_time",
    old="return {q: float(waited[place[q] - 1]) for q in wanted}",
    new="return {q: float(np.percentile(waited, q)) for q in wanted}",
)
percentiles.mistake(
    "what has no answer has no wait",
    fails="unanswered",
    old="waited.fillna(math.inf)",
    new="waited.dropna()",
)
percentiles.mistake(
    "what has no answer waited no longer than the longest",
    fails="unanswered",
    old="waited.fillna(math.inf)",
    new="waited.fillna(waited.max())",
)
percentiles.mistake(
    "the rows are in the order of sending",
    fails="in_any_order",
    old="log.k * every",
    new="np.arange(len(log)) * every",
)
percentiles.mistake(
    "every test sends each 10 ms",
    fails="own_interval",
    old="log.k * every",
    new="log.k * 10",
)
percentiles.mistake(
    "the place is rounded down, and the slowest falls out",
    fails="few",
    old="math.ceil(q * len(waited) / 100)",
    new="max(1, q * len(waited) // 100)",
)


@percentiles.alternative
def by_counting(log, every, wanted):
    waits = sorted(
        math.inf if pd.isna(row.answered) else row.answered - row.k * every
        for row in log.itertuples()
    )

    def percentile(q):
        for wait in waits:
            if 100 * sum(other <= wait for other in waits) >= q * len(waits):
                return wait

    return {q: percentile(q) for q in wanted}


# -- waited ------------------------------------------------------------------------------------------


@exercise(
    hints=[
        "Follow one request to the next. What of the last one's wait and of its work is still left when the "
        "next one comes?",
        "When the next request comes, `gap` ms have gone by since the last one came. The server had that one's "
        "wait and its work before it; what is left of both is the new wait, and no server works ahead.",
        "gap = due[n] - due[n - 1], then wait = max(0, wait + took[n - 1] - gap). The first request waits `busy`.",
    ]
)
def waited(due, took, *, busy=0.0):
    """How long does each request wait before the server begins with it?

    One server answers one request at a time, in the order in which they come.
    Request n comes at due[n] and takes the server took[n], in ms: lists of the
    same length, `due` never falling. When the first comes, the server still has
    `busy` ms of other work to finish. Give a list of the waits, one a request,
    in ms, not rounded; an empty list where nothing comes.
    """
    waits, wait = [], busy
    for n in range(len(due)):
        if n > 0:
            gap = due[n] - due[n - 1]  # blank
            wait = max(0.0, wait + took[n - 1] - gap)  # blank
        waits.append(wait)
    return waits


def _waits(answer: Answer, due: list[float], took: list[float], *waits: float, **more: Any) -> None:
    expect(answer(due, took, **more), list(waits))


@waited.claim("a request waits for the work of the one before it, and not for its own")
def for_the_one_before(answer: Answer) -> None:
    _waits(answer, [0, 1], [5, 2], 0, 4)


@waited.claim("who comes to an idle server does not wait")
def idle(answer: Answer) -> None:
    _waits(answer, [0, 10, 20], [4, 4, 4], 0, 0, 0)


@waited.claim("a server does not work ahead: after a long pause, two at once wait as always")
def no_credit(answer: Answer) -> None:
    _waits(answer, [0, 100, 100], [4, 4, 4], 0, 0, 4)


@waited.claim("a wait goes on to those who come after it")
def handed_on(answer: Answer) -> None:
    _waits(answer, [0, 1, 2, 3], [10, 2, 2, 2], 0, 9, 10, 11)


@waited.claim("in a pause the queue gets shorter")
def drains(answer: Answer) -> None:
    _waits(answer, [0, 1, 8, 9], [10, 1, 1, 1], 0, 9, 3, 3)


@waited.claim("the first request waits for what the server was busy with")
def busy_before(answer: Answer) -> None:
    _waits(answer, [50, 51, 70], [2, 2, 2], 5, 6, 0, busy=5)


@waited.claim("where nothing comes, nobody waits")
def nothing(answer: Answer) -> None:
    _waits(answer, [], [])


@waited.generated(
    "any requests",
    marks={
        "two come at the same moment": lambda due, took, busy: len(set(due)) < len(due),
        "the server is busy when the first comes": lambda due, took, busy: busy > 0,
        "the server is idle for a while": lambda due, took, busy: any(
            wait == 0 for wait in waited.answer(due, took, busy=busy)[1:]
        ),
        "a request takes nothing": lambda due, took, busy: 0 in took,
        "the first does not come at 0": lambda due, took, busy: due[:1] not in ([], [0]),
        "one comes on the moment at which the server gets free": lambda due, took, busy: any(
            wait + work == later - came and wait + work > 0
            for wait, work, came, later in zip(
                waited.answer(due, took, busy=busy), took, due, due[1:], strict=False
            )
        ),
        "nothing comes": lambda due, took, busy: not due,
    },
    count=60,
)
def any_requests(draw):
    steps = st.sampled_from([0, 1, 2, 0.5, 3, 7, 0.0625, 1.0009765625, 40])
    gaps = draw(cases.some(steps, 0, 7))
    first = draw(st.sampled_from([0, 3, 1000]))
    due = [first + sum(gaps[:n]) for n in range(len(gaps))]
    took = [draw(steps) for _ in due]
    return cases.call(due, took, busy=draw(st.sampled_from([0.0, 0.0, 2.5, 9.0])))


_NEXT = "max(0.0, wait + took[n - 1] - gap)"
waited.mistake(
    "a request waits for its own work too",
    fails="for_the_one_before",
    old="took[n - 1]",
    new="took[n]",
)
waited.mistake(
    "the time until the answer, work included",
    fails="for_the_one_before",
    old="waits.append(wait)",
    new="waits.append(wait + took[n])",
)
waited.mistake(
    "an idle server saves up time, and the next ones come sooner",
    fails="idle",
    old=_NEXT,
    new="wait + took[n - 1] - gap",
)
waited.mistake(
    "negative waits become 0 at the end, and the time saved up stays",
    fails="no_credit",
    old=_NEXT + "\n        waits.append(wait)\n    return waits",
    new="wait + took[n - 1] - gap\n        waits.append(max(0.0, wait))\n    return waits",
)
waited.mistake(
    "each request waits for the one before it alone",
    fails="handed_on",
    old=_NEXT,
    new="max(0.0, took[n - 1] - gap)",
)
waited.mistake(
    "a queue that has formed never gets shorter",
    fails="drains",
    old=_NEXT,
    new="wait + max(0.0, took[n - 1] - gap)",
)
waited.mistake(
    "the first request never waits",
    fails="busy_before",
    old="waits, wait = [], busy",
    new="waits, wait = [], 0.0",
)
waited.mistake(
    "the server gets free `busy` ms after the clock started",
    fails="busy_before",
    old="waits, wait = [], busy",
    new="waits, wait = [], max(0.0, busy - due[0]) if due else 0.0",
)
waited.mistake(
    "there is always a first request",
    fails="nothing",
    old="range(len(due))",
    new="range(max(1, len(due)))",
)
waited.mistake(
    "waits are rounded, as they stand on the screen",
    fails="any_requests",
    old="waits.append(wait)",
    new="waits.append(round(wait, 3))",
)


waited.equivalent("both lists have the same length", old="range(len(due))", new="range(len(took))")
waited.equivalent(
    "the larger of two numbers, in either order",
    old=_NEXT,
    new="max(wait + took[n - 1] - gap, 0.0)",
)


@waited.alternative
def by_the_moment_it_gets_free(due, took, *, busy=0.0):
    waits, free = [], None
    for came, work in zip(due, took, strict=True):
        free = came + busy if free is None else free
        start = max(free, came)
        waits.append(start - came)
        free = start + work
    return waits


# -- scored ------------------------------------------------------------------------------------------


@exercise(
    hints=[
        "The service sees one flight and knows nothing of the others. Whatever your scorer takes from the table "
        "as a whole, the service cannot have.",
        "The package brings what it needs: its signature says which columns, in which order, and which code each "
        "name had in training. The matrix is float32 there too.",
        "For each place and column: values.map(column.codes) if column.names else values, with "
        "values = rows[column.name]. Then one call of package.score(matrix), with the index of rows.",
    ]
)
def scored(package, rows):
    """The probabilities of a table of flights, as the service gives them one by
    one.

    The service sends each row alone through `package.signature.vector` and
    `package.score`. Give the same numbers, not rounded, as a Series with the
    index of `rows`, from one call of `package.score` on a matrix: float32, a
    row a flight, a column for each of `package.signature.columns`, in that
    order. `rows` has these columns in any order, others among them, and may
    have no row. Columns that have names enter as the code that each name has in
    `column.codes`; a name that is not there, and a missing value, are NaN.
    """
    columns = package.signature.columns
    matrix = np.full((len(rows), len(columns)), np.nan, np.float32)
    for place, column in enumerate(columns):
        values = rows[column.name]
        matrix[:, place] = values.map(column.codes) if column.names else values  # blank
    return pd.Series(package.score(matrix), rows.index)  # blank


_SEEN = pd.DataFrame(
    {
        "carrier": ["AA", "DL", "UA"],
        "visib": [0.2, 5.0, 10.0],
        "left_late": [0.1, 0.4, 0.9],
        "origin": ["EWR", "JFK", "LGA"],
        "temp": [14.3, 55.9, 91.0],
        "dest": ["BOS", "MIA", "ORD"],
        "distance": [187, 1096, 2475],
    }
)


class _Toy:
    """A package whose score sees every column, every gap and the difference between float32 and float64."""

    def __init__(self, columns: Iterable[str] = ("carrier", "visib", "left_late")) -> None:
        self.signature = Signature.of(_SEEN, columns=columns)

    def __repr__(self) -> str:
        return f"<package of {', '.join(self.signature.names)}>"

    def score(self, matrix: Any) -> Any:
        total = np.zeros(len(matrix))
        for place, values in enumerate(np.asarray(matrix, float).T):
            total += np.sqrt(2 + place) * np.where(np.isnan(values), 0.17 + place, values)
        return total * 100_003 % 1  # of a sum's last digits, so that what is nearly the same is not


def _flights(**columns: Any) -> pd.DataFrame:
    known = {
        "visib": [10.0, 0.25, 3.0, 10.0],
        "distance": [1096, 187, 2475, 944],
        "left_late": [0.1, 0.5, 0.0, 0.3],
        "carrier": ["UA", "DL", "UA", "AA"],
    }
    return pd.DataFrame(known | columns, index=[11, 7, 9, 2])


def _as_served(answer: Answer, rows: pd.DataFrame) -> None:
    got = answer(_Toy(), rows)
    expect(got if len(rows) else list(got), _one_by_one(_Toy(), rows).tolist())


@scored.claim("a flight alone in its table has the probability that the service gives")
def alone(answer: Answer) -> None:
    _as_served(answer, _flights().iloc[[1]])
    _as_served(answer, _flights().iloc[[0]])


@scored.claim("so has each of several flights: none depends on the others")
def together(answer: Answer) -> None:
    _as_served(answer, _flights())
    _as_served(answer, _flights().iloc[:2])


@scored.claim(
    "an airline that training has not seen is missing, and not the neighbour of the first"
)
def unseen(answer: Answer) -> None:
    _as_served(answer, _flights(carrier=["YX", "DL", "NK", "AA"]))


@scored.claim("a gap stays a gap")
def gaps(answer: Answer) -> None:
    _as_served(answer, _flights(visib=[10.0, math.nan, 3.0, math.nan]))


@scored.claim("each probability stands at the index of its flight")
def at_its_index(answer: Answer) -> None:
    got = answer(_Toy(), _flights())
    expect(list(getattr(got, "index", [])), [11, 7, 9, 2])


@scored.claim("a table without flights has no probabilities, and is no error")
def none(answer: Answer) -> None:
    _as_served(answer, _flights().iloc[:0])


@scored.claim("the package is asked once, for all rows together")
def once(answer: Answer) -> None:
    shapes = []

    class Counted(_Toy):
        def score(self, matrix: Any) -> Any:
            shapes.append(np.shape(matrix))
            return super().score(matrix)

    answer(Counted(), _flights())
    expect(shapes, [(4, 3)])


def _one_by_one(package: Any, rows: pd.DataFrame) -> pd.Series:
    """What the service answers."""
    records: list[Any] = rows.to_dict("records")
    answers = [float(package.score(package.signature.vector(row))[0]) for row in records]
    return pd.Series(answers, rows.index, float)


def _has(column: str, *known: str) -> Callable[[Any, pd.DataFrame], bool]:
    """Whether the package uses the column, and it holds a name that is none of those known."""
    return lambda package, rows: (
        column in package.signature.names and bool((~rows[column].dropna().isin(known)).any())
    )


@scored.generated(
    "any package and any flights",
    truth=_one_by_one,
    same=Same(index=True),
    marks={
        "training has not seen an airline": _has("carrier", *_SEEN.carrier),
        "training has not seen a destination": _has("dest", *_SEEN.dest),
        "a name is missing": lambda package, rows: (
            rows[["carrier", "origin", "dest"]].isna().any(axis=None)
        ),
        "a number is missing": lambda package, rows: (
            rows[["visib", "left_late", "temp"]].isna().any(axis=None)
        ),
        "its columns stand in another order than those of the table": lambda package, rows: (
            [c for c in rows if c in package.signature.names] != package.signature.names
        ),
        "it has no column of names": lambda package, rows: (
            not any(column.names for column in package.signature.columns)
        ),
    },
)
def any_package(draw):
    columns = {
        "carrier": (cases.names("AA", "DL", "UA", "YX", "0", missing=True), object),
        "visib": (cases.figures(0, 10, on=[0.1], step=0.05, missing=True), float),
        "left_late": (cases.probabilities(missing=True), float),
        "origin": (cases.names("EWR", "JFK", "LGA", missing=True), object),
        "temp": (cases.figures(-5, 99, step=0.1, missing=True), float),
        "dest": (cases.names("MIA", "BOS", "ORD", "SFO", "bos", missing=True), object),
        "distance": (cases.whole(80, 4983), int),
    }
    rows = draw(cases.table(draw(cases.reordered(columns)), most=6))
    used = draw(cases.some(st.sampled_from(list(columns)), 1, 5, unique=True))
    return _Toy(used), rows


WHOLE = "values.map(column.codes) if column.names else values"
scored.mistake(
    "rounded to six decimals, as the log has them",
    fails="alone",
    old="pd.Series(package.score(matrix), rows.index)",
    new="pd.Series(package.score(matrix), rows.index).round(6)",
)
scored.mistake(
    "a missing name is a name of its own, the last",
    fails="any_package",
    old=WHOLE,
    new="values.map(column.codes).mask(values.isna(), len(column.codes)) if column.names else values",
)
scored.mistake(
    "only airlines have names",
    fails="any_package",
    old=WHOLE,
    new='values.map(column.codes) if column.name == "carrier" else pd.to_numeric(values, errors="coerce")',
)
scored.mistake(
    "the columns are taken in the order of the table",
    fails="alone",
    old="values = rows[column.name]",
    new="""numbers = rows.select_dtypes("number").drop(columns="distance").iloc[:, ::-1]
        values = rows[column.name] if column.names else numbers.iloc[:, place - 1]""",
)
scored.mistake(
    "the matrix is float64",
    fails="alone",
    old="np.nan, np.float32)",
    new="np.nan)",
)
scored.mistake(
    "the codes are dealt out anew for the flights of this table",
    fails="alone",
    old=WHOLE,
    new="pd.factorize(values, sort=True)[0] if column.names else values",
)
scored.mistake(
    "outliers are cut off at a quantile of this table",
    fails="together",
    old=WHOLE,
    new="values.map(column.codes) if column.names else values.clip(upper=values.quantile(0.9))",
)
scored.mistake(
    "an unknown airline gets the code -1",
    fails="unseen",
    old=WHOLE,
    new="values.map(column.codes).fillna(-1) if column.names else values",
)
scored.mistake(
    "an unknown airline counts as the first",
    fails="unseen",
    old=WHOLE,
    new="values.map(lambda name: column.codes.get(name, 0)) if column.names else values",
)
scored.mistake(
    "gaps are filled with the median of the table",
    fails="gaps",
    old=WHOLE,
    new="values.map(column.codes) if column.names else values.fillna(values.median())",
)
scored.mistake(
    "flights with a gap are filled with zero",
    fails="gaps",
    old=WHOLE,
    new="values.map(column.codes) if column.names else values.fillna(0)",
)
scored.mistake(
    "the index is counted anew",
    fails="at_its_index",
    old="pd.Series(package.score(matrix), rows.index)",
    new="pd.Series(package.score(matrix))",
)
scored.mistake(
    "the package is asked row by row",
    fails="once",
    old="pd.Series(package.score(matrix), rows.index)",
    new="pd.Series([package.score(m[None])[0] for m in matrix], rows.index, dtype=float)",
)
scored.mistake(
    "the rows are glued together one by one, and there is nothing to glue",
    fails="none",
    old="return pd.Series(package.score(matrix), rows.index)",
    new="return pd.Series(np.concatenate([package.score(m[None]) for m in matrix]), rows.index)",
)


@scored.alternative
def with_the_signature(package, rows):
    matrix = package.signature.matrix(rows)
    return pd.Series(dict(zip(rows.index, package.score(matrix), strict=True)), index=rows.index)


# -- answered ----------------------------------------------------------------------------------------


@exercise(
    hints=[
        "What must an answer say besides its number, so that whoever reads it knows how far to trust it?",
        "The age counts from the moment that the features describe to now. A rung holds if its source did not "
        "raise, its number is a probability, and its age lies between 0 and what that rung may use.",
        "Put the reason into skipped[name] and go on: 'broken' in the except and for a bad probability, 'stale' "
        "for a bad age. as_of None means that nothing ages: age 0.",
    ]
)
def answered(rungs, flight, now):
    """Answer from the best rung that holds, and say which it was.

    `rungs` are (name, source, useful_for), the best first. `source(flight)`
    gives (probability, as_of) or raises any Exception; as_of is the minute that
    its features describe, None if nothing ages. A rung is "broken" if it
    raises, or its probability is None, NaN or not from 0 to 1; else "stale" if
    older than useful_for minutes or younger than now. The last holds always.
    Give a dict: probability, rung (its name), age (minutes, 0 if nothing ages),
    not rounded, and skipped: a dict of the reason for each rung above. Ask each
    rung once, none below the one that holds.
    """
    skipped = {}
    for name, source, useful_for in rungs:
        try:
            p, as_of = source(flight)
        except Exception:
            skipped[name] = "broken"  # blank
            continue
        age = 0 if as_of is None else now - as_of  # blank
        if not (isinstance(p, float) and 0 <= p <= 1):
            skipped[name] = "broken"
        elif not 0 <= age <= useful_for:
            skipped[name] = "stale"
        else:
            return {"probability": p, "rung": name, "age": age, "skipped": skipped}  # blank
    raise LookupError(f"no rung holds for {flight}: {skipped}")


_ASKED = "2013-04-22/DL1685/LGA"


class _Source:
    """A source of one flight, which counts how often it was asked."""

    def __init__(
        self, p: float | None, as_of: float | None = None, error: Exception | None = None
    ) -> None:
        self.p, self.as_of, self.error = p, as_of, error
        self.asked = 0

    def __repr__(self) -> str:
        said = f"gives ({self.p}, {self.as_of})" if self.error is None else f"raises {self.error!r}"
        return f"<{said}>"

    def __call__(self, flight: str) -> tuple[float | None, float | None]:
        self.asked += 1
        if flight != _ASKED:
            raise KeyError(flight)
        if self.error is not None:
            raise self.error
        return self.p, self.as_of


def _gives(p: float | None, as_of: float | None = None) -> _Source:
    return _Source(p, as_of)


def _raises(error: Exception) -> _Source:
    return _Source(None, error=error)


Rungs = list[tuple[str, _Source, float]]


def _base() -> tuple[str, _Source, float]:
    return "base_rate", _gives(0.24), math.inf


def _rungs(first: _Source, second: _Source | None = None) -> Rungs:
    return [("stream", first, 30), ("schedule", second or _gives(0.31), math.inf), _base()]


@answered.claim("a source of ten minutes ago answers, and the answer says so")
def holds(answer: Answer) -> None:
    got = answer(_rungs(_gives(0.62, 890)), _ASKED, 900)
    expect(got, {"probability": 0.62, "rung": "stream", "age": 10, "skipped": {}})


@answered.claim("where the stream breaks, the schedule answers, names itself and says what broke")
def breaks(answer: Answer) -> None:
    for error in (ConnectionError("refused"), KeyError(_ASKED), ZeroDivisionError()):
        got = answer(_rungs(_raises(error)), _ASKED, 900)
        expect(
            got,
            {"probability": 0.31, "rung": "schedule", "age": 0, "skipped": {"stream": "broken"}},
        )


@answered.claim("features older than the rung may use are not used, however good the number looks")
def too_old(answer: Answer) -> None:
    got = answer(_rungs(_gives(0.62, 869)), _ASKED, 900)
    expect(got, {"probability": 0.31, "rung": "schedule", "age": 0, "skipped": {"stream": "stale"}})


@answered.claim("features exactly as old as the rung may use are used")
def on_the_edge(answer: Answer) -> None:
    got = answer(_rungs(_gives(0.62, 870)), _ASKED, 900)
    expect(got, {"probability": 0.62, "rung": "stream", "age": 30, "skipped": {}})


@answered.claim("features from after now have a wrong clock, and are not used")
def from_the_future(answer: Answer) -> None:
    got = answer(_rungs(_gives(0.62, 960)), _ASKED, 900)
    expect(got, {"probability": 0.31, "rung": "schedule", "age": 0, "skipped": {"stream": "stale"}})


@answered.claim("what is no probability (NaN, 1.7, None) is broken, not an answer")
def no_probability(answer: Answer) -> None:
    for p in (math.nan, 1.7, -0.1, None):
        got = answer(_rungs(_gives(p, 890)), _ASKED, 900)
        expect(
            got,
            {"probability": 0.31, "rung": "schedule", "age": 0, "skipped": {"stream": "broken"}},
        )


@answered.claim("two rungs may fail, each for its own reason")
def two_fail(answer: Answer) -> None:
    got = answer(_rungs(_gives(0.62, 100), _raises(OSError())), _ASKED, 900)
    skipped = {"stream": "stale", "schedule": "broken"}
    expect(got, {"probability": 0.24, "rung": "base_rate", "age": 0, "skipped": skipped})


@answered.claim("a probability of 0 is an answer")
def zero(answer: Answer) -> None:
    got = answer(_rungs(_gives(0.0, 900)), _ASKED, 900)
    expect(got, {"probability": 0.0, "rung": "stream", "age": 0, "skipped": {}})


def _asked(rungs: Rungs) -> list[str]:
    """The names of the rungs that were asked, as often as they were."""
    return [name for name, source, _ in rungs for _ in range(source.asked)]


@answered.claim("no rung is asked twice, and none below the one that holds")
def asks_no_more(answer: Answer) -> None:
    rungs = _rungs(_gives(0.62, 890))
    answer(rungs, _ASKED, 900)
    expect(_asked(rungs), ["stream"])


@answered.claim("each rung has its own limit, and minute 0 is a moment like any other")
def own_limit(answer: Answer) -> None:
    rungs = [("feeds", _gives(0.62, 0), 60), _base()]
    got = answer(rungs, _ASKED, 45)
    expect(got, {"probability": 0.62, "rung": "feeds", "age": 45, "skipped": {}})
    got = answer(rungs, _ASKED, 61)
    skipped = {"feeds": "stale"}
    expect(got, {"probability": 0.24, "rung": "base_rate", "age": 0, "skipped": skipped})


def _run_rungs(answer: Answer, rungs: Rungs, flight: str, now: float) -> Any:
    """What is answered, and which rungs were asked for it."""
    made = answer(rungs, flight, now)
    return {**made, "rungs asked": _asked(rungs)} if isinstance(made, dict) else made


def _ages(rungs: Rungs, flight: str, now: float) -> list[tuple[float, float]]:
    """The age of each rung that ages, and how old it may be."""
    return [(now - s.as_of, useful) for _, s, useful in rungs if s.as_of is not None]


@answered.generated(
    "any rungs at any moment",
    run=_run_rungs,
    marks={
        "features are younger than now": lambda *given: any(age < 0 for age, _ in _ages(*given)),
        "features are just as old as they may be": lambda *given: any(
            age == useful for age, useful in _ages(*given)
        ),
        "features are of minute 0": lambda rungs, flight, now: any(
            s.as_of == 0 for _, s, _ in rungs
        ),
        "a source raises": lambda rungs, flight, now: any(s.error for _, s, _ in rungs),
        "a probability is just 0 or 1": lambda rungs, flight, now: any(
            s.p in (0, 1) for _, s, _ in rungs
        ),
        "a probability is None, NaN or infinite": lambda rungs, flight, now: any(
            s.error is None and (s.p is None or not math.isfinite(s.p)) for _, s, _ in rungs
        ),
        "a rung is broken, and its features are no longer useful": lambda rungs, flight, now: any(
            s.as_of is not None and not 0 <= now - s.as_of <= useful
            for _, s, useful in rungs
            if s.p is None or not 0 <= s.p <= 1
        ),
        "there is one rung": lambda rungs, flight, now: len(rungs) == 1,
    },
    count=80,
)
def any_rungs(draw):
    now = draw(st.sampled_from([900, 0, 45, 61.5, 12_345]))
    good = st.just(0.31) | cases.figures(0, 1, on=[0.0, 1.0], step=0.0001)
    bad = st.sampled_from([None, math.nan, math.inf, -math.inf, 1.0001, -0.0001, 62.0])
    errors = [OSError("refused"), KeyError("weather"), ZeroDivisionError(), AssertionError()]
    names = draw(
        cases.some(cases.names("stream", "feeds", "yesterday", "schedule"), 0, 4, unique=True)
    )
    rungs = []
    for name in names:
        useful = draw(st.sampled_from([30, 5, 0, 4000, math.inf]))
        edge = now - useful if useful < math.inf else now
        as_of = draw(
            cases.near(edge, now, step=0.25) | st.sampled_from([None, 0, now - 10, now - 3000])
        )
        p, error = draw(good | good | bad), draw(st.sampled_from([*[None] * 12, *errors]))
        rungs.append((name, _Source(None if error else p, as_of, error), useful))
    last = draw(st.sampled_from([None, now, now - 24 * 60]))
    return [*rungs, ("base_rate", _gives(draw(good), last), 24 * 60)], _ASKED, now


_HELD = 'return {"probability": p, "rung": name, "age": age, "skipped": skipped}'
answered.mistake(
    "how far features lie from now counts, and not on which side",
    fails="any_rungs",
    old="age = 0 if as_of is None else now - as_of",
    new="age = 0 if as_of is None else abs(now - as_of)",
)
answered.mistake(
    "the probability is rounded for the screen",
    fails="any_rungs",
    old='"probability": p',
    new='"probability": round(p, 2)',
)
answered.mistake(
    "stale is asked before broken",
    fails="any_rungs",
    old='        if not (isinstance(p, float) and 0 <= p <= 1):\n            skipped[name] = "broken"\n'
    '        elif not 0 <= age <= useful_for:\n            skipped[name] = "stale"\n',
    new='        if not 0 <= age <= useful_for:\n            skipped[name] = "stale"\n'
    '        elif not (isinstance(p, float) and 0 <= p <= 1):\n            skipped[name] = "broken"\n',
)
answered.mistake(
    "the source is asked anew for each of the two that it gives",
    fails="asks_no_more",
    old="p, as_of = source(flight)",
    new="p, as_of = source(flight)[0], source(flight)[1]",
)
answered.mistake(
    "whatever answers is called the first rung",
    fails="breaks",
    old=_HELD,
    new='return {"probability": p, "rung": rungs[0][0], "age": age, "skipped": skipped}',
)
answered.mistake(
    "only network errors are expected",
    fails="breaks",
    old="except Exception:",
    new="except OSError:",
)
answered.mistake(
    "a source that answers is fresh",
    fails="too_old",
    old="elif not 0 <= age <= useful_for:",
    new="elif age < 0:",
)
answered.mistake(
    "the age is measured from the moment of reading",
    fails="holds",
    old="age = 0 if as_of is None else now - as_of",
    new="age = now - now",
)
answered.mistake(
    "a moment of 0 is taken for none",
    fails="own_limit",
    old="age = 0 if as_of is None else now - as_of",
    new="age = now - (as_of or now)",
)
answered.mistake(
    "half an hour for all",
    fails="own_limit",
    old="0 <= age <= useful_for",
    new="0 <= age <= min(useful_for, 30)",
)
answered.mistake(
    "the edge is out",
    fails="on_the_edge",
    old="0 <= age <= useful_for",
    new="0 <= age < useful_for",
)
answered.mistake(
    "a negative age is young",
    fails="from_the_future",
    old="0 <= age <= useful_for",
    new="age <= useful_for",
)
answered.mistake(
    "NaN is passed on",
    fails="no_probability",
    old="if not (isinstance(p, float) and 0 <= p <= 1):",
    new="if p is None or p < 0 or p > 1:",
)
answered.mistake(
    "only the last reason is kept",
    fails="two_fail",
    old=_HELD,
    new=(
        'return {"probability": p, "rung": name, "age": age,'
        ' "skipped": dict(list(skipped.items())[-1:])}'
    ),
)
answered.mistake(
    "nothing is taken for false",
    fails="zero",
    old="if not (isinstance(p, float) and 0 <= p <= 1):",
    new="if not (p and isinstance(p, float) and 0 <= p <= 1):",
)
answered.mistake(
    "all rungs are asked first, and then the best is picked",
    fails="asks_no_more",
    old="""    skipped = {}
""",
    new="""    skipped = {}
    for _, source, _ in rungs:
        try:
            source(flight)
        except Exception:
            pass
""",
)


_LOST = 'raise LookupError(f"no rung holds for {flight}: {skipped}")'
for _other in (
    'raise f"no rung holds for {flight}: {skipped}"',
    'raise LookupError(f": {flight}: {skipped}")',
    'raise LookupError(f"no rung holds for {now}: {skipped}")',
    'raise LookupError(f"no rung holds for {flight}broken{skipped}")',
):
    answered.equivalent("the last rung holds always", old=_LOST, new=_other)


@answered.alternative
def by_recursion(rungs, flight, now, skipped=None):
    skipped = skipped or {}
    (name, source, useful_for), below = rungs[0], rungs[1:]

    def lower(reason):
        return by_recursion(below, flight, now, skipped | {name: reason})

    try:
        p, as_of = source(flight)
        age = now - (now if as_of is None else as_of)
        sound = p >= 0 and p <= 1
    except Exception:
        return lower("broken")
    if not sound:
        return lower("broken")
    if age < 0 or age > useful_for:
        return lower("stale")
    return {"probability": p, "rung": name, "age": age, "skipped": skipped}


# -- skewed ------------------------------------------------------------------------------------------


@exercise(
    hints=[
        "Averages of the two sides agree for many a skew. What is the smallest thing that you can compare?",
        "Bring both tables to one order by flight_id. Then compare value by value: text exactly, numbers up to "
        "what float32 and six decimals change, and a gap only with a gap.",
        "np.isclose(ours, theirs, rtol=1e-6, atol=1e-6, equal_nan=True); one differing value is enough, and "
        "a column that is not in online.columns is found before any value is compared.",
    ]
)
def skewed(offline, online):
    """List, sorted, the columns in which the service saw other values.

    `offline` has the features as the training pipeline computes them, `online`
    as the service logged them: the same flights (one or more) by flight_id, in
    any order. Columns hold numbers (gaps are NaN) or text (without gaps in
    `offline`). What float32 and a log of six decimals change is honest: below a
    millionth, or below a millionth of the value where that is more. Any other
    difference is at least five times that and is skew, be it in one flight; so
    is a column that is not logged. What only the service logs does not count.
    """
    service = online.set_index("flight_id").reindex(offline.flight_id)  # blank
    found = []
    for name in offline.columns.drop("flight_id"):
        ours = offline[name].to_numpy()
        if name not in service:
            same = np.array([False])  # blank
        elif pd.api.types.is_numeric_dtype(offline[name]):
            theirs = service[name].to_numpy(float)
            same = np.isclose(ours, theirs, rtol=1e-6, atol=1e-6, equal_nan=True)  # blank
        else:
            same = ours == service[name].to_numpy()  # blank
        if not same.all():
            found.append(name)
    return sorted(found)


@cache
def _a_day() -> pd.DataFrame:
    """One evening's decisions of July 2013 with the weather as of each, and a share of late departures."""
    world = World("2013-07-08 22:00")
    rows = examples(world, world.decisions(since="2013-07-08 20:00"))
    left = world.departures(since="2013-07-08 16:00")
    late = (left.dep_delay >= 15).groupby([left.origin, left.carrier]).mean()
    key = pd.MultiIndex.from_frame(rows[["origin", "carrier"]])
    return rows[["flight_id", "carrier", "wind_speed", "wind_gust", "temp", "visib"]].assign(
        carrier=rows.carrier.astype(object), left_late=late.reindex(key).to_numpy()
    )


def _logged(**changed: Any) -> pd.DataFrame:
    """The service's side of that evening: in another order, with the changed columns."""
    rows = _a_day()
    made = rows.assign(**{name: change(rows) for name, change in changed.items()})
    return made.sample(frac=1, random_state=0)


def _sides(offline: pd.DataFrame, online: pd.DataFrame, name: str) -> tuple[pd.Series, pd.Series]:
    """A column on both sides, flight by flight."""
    ours = offline.set_index("flight_id")[name]
    return ours, online.set_index("flight_id")[name].reindex(ours.index)


def _apart(offline: pd.DataFrame, online: pd.DataFrame, name: str) -> pd.Series:
    """Which flights differ in a column, be it honestly."""
    ours, theirs = _sides(offline, online, name)
    return (ours != theirs) & ~(ours.isna() & theirs.isna())


def _told(online: pd.DataFrame, name: str, *, missed: bool) -> str:
    """What a reader should have seen of a column, or should not have taken for skew."""
    said = f"you {'pass' if missed else 'name'} {name!r}, "
    if name not in online:
        return said + "which `online` does not have"
    apart = _apart(_a_day(), online, name)
    if not apart.any():
        return said + "in which all flights agree"
    first = str(apart.idxmax())
    ours, theirs = (side.loc[first] for side in _sides(_a_day(), online, name))
    return said + (
        f"in which {apart.sum()} of {len(apart)} flights differ: {first} has {ours!r} in `offline`"
        f" and {theirs!r} in `online`"
    )


def _found(answer: Answer, online: pd.DataFrame, *names: str) -> None:
    got = answer(_a_day().copy(), online)
    named = [name for name in got if name in _a_day()] if isinstance(got, list) else []
    wrong = [_told(online, name, missed=True) for name in names if name not in named]
    wrong += [_told(online, name, missed=False) for name in named if name not in names]
    expect(got, sorted(names), because="; ".join(wrong))


@skewed.claim("it passes the same values in another order")
def other_order(answer: Answer) -> None:
    _found(answer, _logged())


@skewed.claim("it passes values that went through float32")
def single_precision(answer: Answer) -> None:
    columns = ("wind_speed", "wind_gust", "left_late", "temp")
    small = {c: lambda t, c=c: t[c].astype(np.float32) for c in columns}
    _found(answer, _logged(**small))


@skewed.claim("it passes values that were rounded to six decimals")
def six_decimals(answer: Answer) -> None:
    _found(answer, _logged(left_late=lambda t: t.left_late.round(6)))


@skewed.claim("it names a wind in knots instead of miles an hour")
def in_knots(answer: Answer) -> None:
    _found(answer, _logged(wind_speed=lambda t: t.wind_speed / 1.15078), "wind_speed")


@skewed.claim("it names a gust that is 0 where there is none")
def filled(answer: Answer) -> None:
    _found(answer, _logged(wind_gust=lambda t: t.wind_gust.fillna(0)), "wind_gust")


@skewed.claim("it names a share that is stale for a few flights, with the mean kept as it was")
def stale(answer: Answer) -> None:
    def turned(t: pd.DataFrame) -> pd.Series:
        some = t.left_late.dropna().drop_duplicates().index[:5]
        made = t.left_late.copy()
        made[some] = np.roll(t.left_late[some], 1)
        return made

    _found(answer, _logged(left_late=turned), "left_late")


@skewed.claim("it names a carrier that is written otherwise in one flight")
def one_carrier(answer: Answer) -> None:
    def renamed(t: pd.DataFrame) -> pd.Series:
        made = t.carrier.copy()
        made.iloc[17] = made.iloc[17].lower()
        return made

    _found(answer, _logged(carrier=renamed), "carrier")


@skewed.claim("it names a wind converted by 1.15 instead of 1.15078: less than a thousandth off")
def rough_factor(answer: Answer) -> None:
    _found(answer, _logged(wind_speed=lambda t: t.wind_speed * 1.15 / 1.15078), "wind_speed")


@skewed.claim("it names two columns that changed places, and one that is not logged")
def places(answer: Answer) -> None:
    swapped = _logged(temp=lambda t: t.visib, visib=lambda t: t.temp)
    _found(answer, swapped.drop(columns="wind_gust"), "temp", "visib", "wind_gust")


@skewed.claim("it names a share that the service left out for one flight")
def left_out(answer: Answer) -> None:
    def emptied(t: pd.DataFrame) -> pd.Series:
        made = t.left_late.copy()
        made.iloc[int(made.notna().to_numpy().argmax())] = math.nan
        return made

    _found(answer, _logged(left_late=emptied), "left_late")


@skewed.claim("it names a share that is off by .00005 in one flight: more than rounding")
def slightly_off(answer: Answer) -> None:
    def shifted(t: pd.DataFrame) -> pd.Series:
        made = t.left_late.copy()
        made.iloc[int(made.notna().to_numpy().argmax())] += 5e-5
        return made

    _found(answer, _logged(left_late=shifted), "left_late")


_NUMBERS = {
    "wind_speed": cases.figures(0, 40, step=1.15078, missing=True),
    "temp": cases.figures(-5, 99, step=0.02, missing=True),
    "pressure": cases.figures(990, 1035, step=0.1, missing=True),
    "left_late": st.sampled_from([1 / 3, 2 / 7, 0.0, 1.0, 5 / 12, 1 / 2347, math.nan]),
}


def _through(way: str, values: pd.Series) -> pd.Series:
    """Values as an honest service logs them."""
    if "float32" in way:
        values = values.astype(np.float32)
    return values.round(6) if "log" in way else values


def _changed(draw: cases.Draw, values: pd.Series, *, is_text: bool) -> pd.Series:
    """Values of which one, two or all are others."""
    known = np.flatnonzero(values.notna())
    if not len(known):
        return values.fillna(0)
    place, made = draw(st.sampled_from(known.tolist())), values.copy()
    one = values.iloc[place]
    others = [i for i in known.tolist() if values.iloc[i] != one]
    how = draw(st.sampled_from(["one", "one", "lost", "all", *["swapped"] * 2 * bool(others)]))
    if how == "swapped":
        other = draw(st.sampled_from(others))
        made.iloc[[place, other]] = values.iloc[[other, place]].tolist()
    elif how == "lost":
        made.iloc[place] = None if is_text else math.nan
    elif is_text:
        change = draw(st.sampled_from([str.lower, " {}".format, "{} ".format, "{}2".format]))
        made.iloc[place] = change(one)
        made = made.map(change) if how == "all" else made
    elif how == "all":
        made = draw(st.sampled_from([made.fillna(0), made * 1.15 / 1.15078]))
    else:
        step = draw(st.sampled_from([6e-6, -6e-6, 1e-4, 0.01])) * max(1, abs(one))
        made.iloc[place] = draw(st.sampled_from([one + step, one + step, -one, 0.0]))
    return made


def _is_told(ours: pd.Series, theirs: pd.Series) -> bool:
    """Whether each difference is either honest or as large as the statement says."""
    apart = (ours - theirs.astype(float)).abs() / ours.abs().clip(lower=1)
    return not apart.between(9e-7, 5e-6).any()


def _any(offline: pd.DataFrame, online: pd.DataFrame, holds: Callable[..., Any]) -> bool:
    """Whether it holds for the two sides of a column."""
    names = [str(n) for n in offline if n in online and n != "flight_id"]
    return any(holds(*_sides(offline, online, n)) for n in names)


@skewed.generated(
    "any features of any flights",
    marks={
        "a column is not logged": lambda offline, online: not {*offline} <= {*online},
        "the service logs what training does not have": lambda offline, online: (
            not {*online} <= {*offline}
        ),
        "a gap is on one side only": lambda offline, online: _any(
            offline, online, lambda ours, theirs: (ours.isna() != theirs.isna()).any()
        ),
        "the two sides differ only in whose value it is": lambda offline, online: _any(
            offline,
            online,
            lambda ours, theirs: (
                sorted(ours.astype(str)) == sorted(theirs.astype(str))
                and list(ours.astype(str)) != list(theirs.astype(str))
            ),
        ),
        "two numbers differ by little more than is honest": lambda offline, online: _any(
            offline,
            online,
            lambda ours, theirs: (
                ours.dtype.kind in "if"
                and (ours - theirs).abs().between(5e-6, 1e-4 * ours.abs().clip(lower=1)).any()
            ),
        ),
        "values went through float32": lambda offline, online: np.float32 in [*online.dtypes],
        "the flights stand in another order": lambda offline, online: (
            list(offline.flight_id) != list(online.flight_id)
        ),
        "nothing is skewed": lambda offline, online: not skewed.answer(offline, online),
    },
    count=80,
    steps=150,
)
def any_features(draw):
    columns = {
        "carrier": (cases.names("AA", "DL", "UA"), object),
        "dest": (cases.names("MIA", "BOS"), object),
        "distance": (cases.whole(80, 4983), int),
        **{name: (values, float) for name, values in _NUMBERS.items()},
    }
    used = draw(cases.some(st.sampled_from([*columns]), 1, 4, unique=True))
    offline = draw(cases.table({name: columns[name] for name in used}, 1, 6))
    offline["flight_id"] = [f"2013-07-08/{n}" for n in draw(st.permutations(range(len(offline))))]
    way = draw(st.sampled_from(["as it was", "float32", "log", "float32, log"]))
    online = offline.copy()
    for name in used:
        is_text = columns[name][1] is object
        theirs = offline[name] if is_text else offline[name].astype(float)
        if draw(st.booleans()):
            theirs = _changed(draw, theirs, is_text=is_text)
        theirs = theirs if is_text else _through(way, theirs)
        if is_text or _is_told(offline[name], theirs):
            online[name] = theirs
    if offline[used[0]].notna().any() and draw(st.sampled_from([False, False, False, True])):
        online = online.drop(columns=used[0])
    if draw(st.booleans()):
        online["age"] = 12.5
    online = online[draw(st.permutations(list(online)))]
    rows = draw(st.permutations(range(len(online))))
    return offline, online.iloc[rows].set_axis(draw(cases.index(len(online))))


_CLOSE = "np.isclose(ours, theirs, rtol=1e-6, atol=1e-6, equal_nan=True)"
skewed.mistake(
    "of names, it counts which there are, and not whose they are",
    fails="any_features",
    old="same = ours == service[name].to_numpy()",
    new="same = np.array([set(ours) == set(service[name])])",
)
skewed.mistake(
    "a space is nothing",
    fails="any_features",
    old="same = ours == service[name].to_numpy()",
    new="same = offline[name].str.strip().to_numpy() == service[name].str.strip().to_numpy()",
)
skewed.mistake(
    "a hundred-thousandth is rounding too",
    fails="any_features",
    old=_CLOSE,
    new="np.isclose(ours, theirs, rtol=1e-5, atol=1e-5, equal_nan=True)",
)
skewed.mistake(
    "what only the service logs is skew too",
    fails="any_features",
    old="return sorted(found)",
    new="return sorted({*found, *online.columns.difference(offline.columns)})",
)
skewed.mistake(
    "the tables are compared row by row as they stand",
    fails="other_order",
    old='online.set_index("flight_id").reindex(offline.flight_id)',
    new="online",
)
skewed.mistake(
    "a gap differs from a gap",
    fails="other_order",
    old=_CLOSE,
    new="np.isclose(ours, theirs, rtol=1e-6, atol=1e-6)",
)
skewed.mistake(
    "numbers must be equal to the last bit",
    fails="single_precision",
    old=_CLOSE,
    new="(ours == theirs) | (pd.isna(ours) & pd.isna(theirs))",
)
skewed.mistake(
    "a relative tolerance alone, as tight as float32",
    fails="six_decimals",
    old=_CLOSE,
    new="np.isclose(ours, theirs, rtol=1.2e-7, atol=0, equal_nan=True)",
)
skewed.mistake(
    "only the average is compared, with a tolerance of a fifth",
    fails="in_knots",
    old=_CLOSE,
    new="np.isclose(np.nanmean(ours), np.nanmean(theirs), rtol=0.2)",
)
skewed.mistake(
    "only values that both sides have are compared",
    fails="filled",
    old=_CLOSE,
    new="np.isclose(ours, theirs, rtol=1e-6, atol=1e-6) | np.isnan(ours) | np.isnan(theirs)",
)
skewed.mistake(
    "the distributions are compared, not the flights",
    fails="stale",
    old=_CLOSE,
    new="np.isclose(np.sort(ours), np.sort(theirs), rtol=1e-6, atol=1e-6, equal_nan=True)",
)
skewed.mistake(
    "text is compared without case",
    fails="one_carrier",
    old="same = ours == service[name].to_numpy()",
    new="same = offline[name].str.lower().to_numpy() == service[name].str.lower().to_numpy()",
)
skewed.mistake(
    "one in a thousand is close enough",
    fails="rough_factor",
    old=_CLOSE,
    new="np.isclose(ours, theirs, rtol=1e-3, atol=1e-6, equal_nan=True)",
)
skewed.mistake(
    "what the service left out is not compared",
    fails="left_out",
    old=_CLOSE,
    new=_CLOSE + " | np.isnan(theirs)",
)
skewed.mistake(
    "a hundredth more or less in a share is rounding",
    fails="slightly_off",
    old=_CLOSE,
    new="np.isclose(ours, theirs, rtol=1e-6, atol=1e-2, equal_nan=True)",
)
skewed.mistake(
    "what is not logged cannot differ",
    fails="places",
    old="same = np.array([False])",
    new="same = np.array([True])",
)


_ANY_LIMIT = "any limit between what is honest and what is skew will do"
for _limits in (
    "rtol=2e-6, atol=1e-6",
    "rtol=5e-7, atol=1e-6",
    "rtol=1e-6, atol=2e-6",
    "rtol=1e-6, atol=5e-7",
):
    skewed.equivalent(_ANY_LIMIT, old="rtol=1e-6, atol=1e-6", new=_limits)
skewed.equivalent(
    "a millionth of the one value or of the other",
    old="ours, theirs, rtol",
    new="theirs, ours, rtol",
)
skewed.equivalent(
    "a column holds numbers on both sides, or text on both",
    old="is_numeric_dtype(offline[name])",
    new="is_numeric_dtype(online[name])",
)


@skewed.alternative
def flight_by_flight(offline, online):
    theirs = {row["flight_id"]: row for row in online.to_dict("records")}
    found = set()
    for ours in offline.to_dict("records"):
        logged = theirs[ours["flight_id"]]
        for name, value in ours.items():
            other = logged.get(name, "absent")
            if isinstance(value, str) or isinstance(other, str):
                same = value == other
            elif math.isnan(value) or math.isnan(other):
                same = math.isnan(value) and math.isnan(other)
            else:
                same = abs(value - other) <= 2e-6 * max(1, abs(value))
            if not same:
                found.add(name)
    return sorted(found)


# -- architectures -----------------------------------------------------------------------------------


@exercise(
    hints=[
        "Ask three things of each product: how old may the answer be, is it known beforehand what will be asked, "
        "and how often is an answer read?",
        "Batch answers only what it has a row for. Streaming features pay where minutes matter. Where the flight "
        "is weeks away, today's delays say nothing about it.",
        "The digest is read once a day. The board may be an hour old and is read by millions. The agent asks about "
        "flights that are in no table. The desk needs retimed flights, by what happened in the last minutes.",
    ]
)
def architectures():
    """Which of four architectures for each product? Use the figures of the
    chapter.

    Choose "nightly batch", "hourly batch", "online, schedule only" or "online,
    streaming".
    digest: at five each morning, crew planners get the twenty riskiest flights
        of the day by mail. They read it once.
    board: a public page shows the risk of each of today's flights, a million
        views an hour. An hour of age is agreed; a page has 20 ms.
    agent: a booking site asks for the risk of itineraries weeks ahead, some of
        which no timetable holds yet. An answer within 100 ms.
    desk: in a thunderstorm, the desk asks again and again about flights that
        were retimed in the last quarter of an hour. An answer within 100 ms.
    """
    return {
        "digest": "nightly batch",  # blank
        "board": "hourly batch",  # blank
        "agent": "online, schedule only",  # blank
        "desk": "online, streaming",  # blank
    }


architectures.choices(
    {
        "digest": {
            "nightly batch": None,
            "hourly batch": "nobody reads the other twenty-three runs: the mail has gone out",
            "online, schedule only": "all flights are known beforehand, and it throws last night's delays and weather away",
            "online, streaming": "a service that is awake all day for one question at five in the morning",
        },
        "board": {
            "hourly batch": None,
            "nightly batch": "by the evening its answers are older than what was agreed, and you measured what that costs",
            "online, schedule only": "of all that you measured it ranks worst, and it computes a million times what it could look up",
            "online, streaming": "it works, but computes each answer thousands of times over, for a gain of less than .01 in AUC "
            "that was not asked for",
        },
        "agent": {
            "online, schedule only": None,
            "nightly batch": "there is no row for an itinerary that no timetable holds, and too many to make them all",
            "hourly batch": "there is no row for an itinerary that no timetable holds, and too many to make them all",
            "online, streaming": "the last hours say nothing about a flight weeks away, and the model would read them as if they did",
        },
        "desk": {
            "online, streaming": None,
            "nightly batch": "it has the old times, and the weather of the night before",
            "hourly batch": "a flight retimed since the last run has no row, or the row of its old time",
            "online, schedule only": "it cannot see the thunderstorm",
        },
    },
    text=lambda product: f"the choice for the {product} fits what it asks, and when",
)

architectures.mistake(
    "fresher is better, whoever reads it",
    fails="digest",
    old='"digest": "nightly batch"',
    new='"digest": "hourly batch"',
)
architectures.mistake(
    "what many read must be computed for each of them",
    fails="board",
    old='"board": "hourly batch"',
    new='"board": "online, streaming"',
)
architectures.mistake(
    "everything that may be asked can be computed beforehand",
    fails="agent",
    old='"agent": "online, schedule only"',
    new='"agent": "nightly batch"',
)
architectures.mistake(
    "more features are better features",
    fails="agent",
    old='"agent": "online, schedule only"',
    new='"agent": "online, streaming"',
)
architectures.mistake(
    "an hour is fresh enough for all",
    fails="desk",
    old='"desk": "online, streaming"',
    new='"desk": "hourly batch"',
)


@architectures.alternative
def by_question():
    batch = {"digest": "nightly batch", "board": "hourly batch"}
    return batch | {"desk": "online, streaming", "agent": "online, schedule only"}
