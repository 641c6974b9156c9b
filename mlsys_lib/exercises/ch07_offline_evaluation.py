"""Exercises of chapter 07, offline evaluation."""

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from mlsys_lib.exercises import cases
from mlsys_lib.exercises.checker import Answer, Same, exercise, expect
from mlsys_lib.exercises.same import difference
from mlsys_lib.metrics import Estimate
from mlsys_lib.release import Criterion, release_report

# -- equal_mass --------------------------------------------------------------------------------------


@exercise(
    hints=[
        "Bins of equal width leave most flights in one bin. Cut where the predictions are, not where the axis is.",
        "The inner edges are quantiles of p at 1/bins, 2/bins, ...; equal edges count once.",
        "edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1])); then "
        'np.searchsorted(edges, p, side="right") gives the bin of each flight.',
    ]
)
def equal_mass(late, p, bins):
    """The table behind a reliability diagram, with bins of equal mass.

    `late` (0 or 1) and `p` (probability; two different values or more) are
    arrays with one entry a flight, in any order. Cut the flights by their
    prediction into `bins` bins (one or more) of as many flights each; where
    they do not divide, which bins hold one more is up to you. Flights with the
    same prediction stay in one bin: a cut that would part them moves to their
    lower or to their upper end, and so there may be fewer bins. Give a
    DataFrame with one row a bin that holds a flight, from the lowest
    predictions up, and the columns flights (how many), predicted (their mean p)
    and late (their late rate), not rounded; its index does not count.
    """
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]))  # blank
    group = np.searchsorted(edges, p, side="right")  # blank
    frame = pd.DataFrame({"group": group, "p": p, "late": late})
    table = frame.groupby("group")
    made = {
        "flights": table.size(),
        "predicted": table.p.mean(),  # blank
        "late": table.late.mean(),  # blank
    }
    return pd.DataFrame(made).reset_index(drop=True)


_P = np.array([0.9, 0.1, 0.3, 0.11, 0.15, 0.3])
_LATE = np.array([1, 0, 1, 0, 0, 0])


@equal_mass.claim("six flights in two bins are three and three")
def three_and_three(answer: Answer) -> None:
    expect(answer(_LATE, _P, 2).flights, [3, 3])


@equal_mass.claim("the mean prediction of a bin is that of its flights, not its middle")
def mean_of_flights(answer: Answer) -> None:
    expect(answer(_LATE, _P, 2).predicted, [0.12, 0.5])


@equal_mass.claim("the late rates of the two bins are none and two of three")
def rates(answer: Answer) -> None:
    expect(answer(_LATE, _P, 2).late, [0, 2 / 3])


@equal_mass.claim("flights with the same prediction stay in one bin")
def ties(answer: Answer) -> None:
    p = np.array([0.5, 0.1, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1])
    expect(answer(np.arange(8) % 2, p, 4).flights, [6, 2])


@equal_mass.claim("no flight is lost, and none counts twice")
def all_flights(answer: Answer) -> None:
    p = np.random.default_rng(0).beta(1, 6, 1003)
    table = answer((p > 0.1).astype(int), p, 10)
    expect(int(table.flights.sum()), 1003)
    expect(float((table.flights * table.predicted).sum()), float(p.sum()))


@equal_mass.claim("one bin holds all flights")
def one_bin(answer: Answer) -> None:
    expect(
        answer(_LATE, _P, 1), pd.DataFrame({"flights": [6], "predicted": [0.31], "late": [1 / 3]})
    )


def _cuts(p: Any, place: int) -> set[int]:
    """Where the sorted flights may be cut at this place: there, or at either end of equal predictions."""
    ordered = np.sort(p)
    if not 0 < place < len(p) or ordered[place - 1] < ordered[place]:
        return {place}
    ends = [np.searchsorted(ordered, ordered[place], side) for side in ("left", "right")]
    return {int(end) for end in ends}


def _equal_shares(size: int, bins: int) -> Iterator[list[set[int]]]:
    """Where the cuts may lie, the ends among them: with one flight more in some of the bins; or each share rounded up or down."""
    share, left = divmod(size, bins)
    for larger in combinations(range(bins), left):
        yield [{0}, *({(i + 1) * share + sum(j <= i for j in larger)} for i in range(bins))]
    yield [{size * j // bins, -(-size * j // bins)} for j in range(bins + 1)]


def _is_cut_so(table: Any, p: Any, bins: int) -> bool:
    """Whether the bins' sizes are what equal shares give, each cut moved to one side or the other of equal predictions."""
    sizes = [int(n) for n in table.flights]
    made = {0, len(p), *np.cumsum(sizes).tolist()}

    def fits(cuts: list[set[int]]) -> bool:
        allowed = [set().union(*(_cuts(p, place) for place in places)) for places in cuts]
        return all(made & one for one in allowed) and made <= set().union(*allowed)

    return min(sizes) > 0 and any(map(fits, _equal_shares(len(p), bins)))


def _binned(answer: Answer, late: Any, p: Any, bins: int) -> Any:
    """The table; where its bins are one of several right ways to cut, that of the solution in its place."""
    made = answer(late, p, bins)
    if not _is_cut_so(made, p, bins):
        return made
    order = np.argsort(p, kind="stable")
    ends = np.cumsum([int(n) for n in made.flights])[:-1]
    parts = [(len(i), p[i].mean(), late[i].mean()) for i in np.split(order, ends)]
    right = pd.DataFrame(parts, columns=["flights", "predicted", "late"])
    expected = equal_mass.answer(late, p, bins)
    return expected if not difference(made, right) else made


@equal_mass.generated(
    "any predictions and any number of bins",
    run=_binned,
    marks={
        "some predictions are equal": lambda late, p, bins: len(set(p)) < len(p),
        "more bins than different predictions": lambda late, p, bins: bins > len(set(p)),
        "the flights do not divide by the bins": lambda late, p, bins: len(p) % bins > 0,
        "the predictions lie in no order": lambda late, p, bins: list(p) != sorted(p),
        "all flights are late, or none is": lambda late, p, bins: len(set(late)) == 1,
        "there is one bin": lambda late, p, bins: bins == 1,
    },
    count=60,
)
def any_predictions(draw):
    size = draw(cases.whole(2, 14))
    few = st.sampled_from([0.1, 0.2, 0.3, 1.0])
    p = draw(
        st.one_of(
            cases.some(cases.probabilities(), size, size, unique=True),
            cases.some(few, size, size),
            cases.some(cases.probabilities() | few, size, size),
        ).filter(lambda values: len(set(values)) > 1)
    )
    return draw(cases.labels(size)), np.array(p), draw(cases.whole(1, 6))


equal_mass.mistake(
    "bins of equal width",
    fails="three_and_three",
    old="np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]))",
    new="np.linspace(0, 1, bins + 1)[1:-1]",
)
equal_mass.mistake(
    "the edges run from the smallest to the largest prediction in equal steps",
    fails="three_and_three",
    old="np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]))",
    new="np.linspace(p.min(), p.max(), bins + 1)[1:-1]",
)
equal_mass.mistake(
    "one bin too few",
    fails="three_and_three",
    old="np.linspace(0, 1, bins + 1)[1:-1]",
    new="np.linspace(0, 1, bins)[1:-1]",
)
equal_mass.mistake(
    "the middle of the bin is taken for its mean",
    fails="mean_of_flights",
    old="table.p.mean()",
    new="(table.p.min() + table.p.max()) / 2",
)
equal_mass.mistake(
    "the late flights are counted",
    fails="rates",
    old="table.late.mean()",
    new="table.late.sum()",
)
equal_mass.mistake(
    "the outcome is rounded like a decision",
    fails="rates",
    old="table.late.mean()",
    new="table.late.median()",
)
equal_mass.mistake(
    "flights are dealt out by rank, so that ties are torn apart",
    fails="ties",
    old='np.searchsorted(edges, p, side="right")',
    new="np.argsort(np.argsort(p, kind='stable')) * bins // len(p)",
)
equal_mass.mistake(
    "the flights above the last edge fall out",
    fails="three_and_three",
    old='np.searchsorted(edges, p, side="right")',
    new='np.where(p > edges[-1], np.nan, np.searchsorted(edges, p, side="right"))',
)
equal_mass.mistake(
    "there are always two bins or more",
    fails="one_bin",
    old="np.linspace(0, 1, bins + 1)",
    new="np.linspace(0, 1, max(bins, 2) + 1)",
)
equal_mass.mistake(
    "bins of equal numbers of different predictions",
    fails="three_and_three",
    old="np.quantile(p, ",
    new="np.quantile(np.unique(p), ",
)
equal_mass.mistake(
    "the last bin takes what is left over",
    fails="any_predictions",
    old="np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]))",
    new="np.unique(np.sort(p)[[i * (len(p) // bins) for i in range(1, bins)]])",
)
equal_mass.mistake(
    "predictions are rounded first, as they stand on the screen",
    fails="all_flights",
    old="table.p.mean()",
    new="table.p.mean().round(3)",
)


equal_mass.equivalent(
    "equal edges hold no flight between them",
    old="np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]))",
    new="np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1])",
)
equal_mass.equivalent(
    "np.unique sorts the edges",
    old="np.linspace(0, 1, bins + 1)",
    new="np.linspace(1, 0, bins + 1)",
)
for _edges in ("[:-1]", "[0:-1]"):
    equal_mass.equivalent(
        "no prediction lies below the lowest, which becomes an edge", old="[1:-1]", new=_edges
    )
for _side in ("", ', side="left"'):
    equal_mass.equivalent(
        "a cut may move to either end of equal predictions", old=', side="right"', new=_side
    )
equal_mass.equivalent("the index does not count", old=".reset_index(drop=True)", new="")


@equal_mass.alternative
def by_cutting(late, p, bins):
    frame = pd.DataFrame({"predicted": p, "late": late})
    groups = frame.groupby(pd.qcut(frame.predicted, bins, duplicates="drop"), observed=True)
    table = groups.mean()
    table.insert(0, "flights", groups.size())
    return table.reset_index(drop=True)


@equal_mass.alternative
def by_rank(late, p, bins):
    rank = pd.Series(p).rank(method="min") - 1
    groups = pd.DataFrame({"p": p, "late": late}).groupby(rank * bins // len(p))
    return groups.agg(
        flights=("late", "size"), predicted=("p", "mean"), late=("late", "mean")
    ).reset_index(drop=True)


@equal_mass.alternative
def split_and_joined(late, p, bins):
    group = np.empty(len(p), int)
    for number, part in enumerate(np.array_split(np.argsort(p), bins)):
        group[part] = number
    flights = pd.DataFrame({"predicted": p, "late": late})
    groups = flights.groupby(pd.Series(group).groupby(p).transform("min"))
    table = groups.mean()
    table.insert(0, "flights", groups.size())
    return table


@equal_mass.alternative
def cut_by_hand(late, p, bins):
    order = sorted(range(len(p)), key=lambda i: p[i])
    rows, held, cut = [], [], 0
    for place, i in enumerate(order, start=1):
        held.append(i)
        is_parted = place < len(p) and p[order[place]] == p[i]
        if place * bins // len(p) > cut and not is_parted:
            rows.append((len(held), np.mean(p[held]), np.mean(late[held])))
            held, cut = [], place * bins // len(p)
    return pd.DataFrame(rows, columns=["flights", "predicted", "late"])


# -- recalibrated ------------------------------------------------------------------------------------


@exercise(
    hints=[
        "Stand at the start of a month. Which labels have reached you?",
        "Two moments matter for a flight: when it was decided says in which month its prediction is made; "
        "when its label was known says for which months it may teach.",
        "now = (rows.decided_at >= start) & (rows.decided_at < end); known = (rows.known_at <= start) & "
        "rows.late.notna(); made[now] = fit(rows.p[known], rows.late[known])(rows.p[now]).",
    ]
)
def recalibrated(rows, edges, fit):
    """Recalibrate each month with what was known when it began.

    Each flight in `rows` has p (the model's probability), decided_at, late (0
    or 1; missing if it never landed) and known_at (when its end, landed or
    cancelled, reached the desk). `edges` are the starts of the months and the
    end of the last. `fit(p, late)` learns from two Series, be it of one flight
    or of one outcome, and gives a function from a Series of p to a better one.
    For each month, `fit` learns from all labels known at its start or earlier;
    p changes where decided_at lies from that start (included) to the month's
    end (not included). Where nothing was known, and outside all months, p
    stays. Give a Series in the order and with the index of `rows`, and leave
    `rows` as it is.
    """
    made = rows.p.copy()
    for start, end in pairwise(edges):
        now = (rows.decided_at >= start) & (rows.decided_at < end)  # blank
        known = (rows.known_at <= start) & rows.late.notna()  # blank
        if known.any():
            made[now] = fit(rows.p[known], rows.late[known])(rows.p[now])  # blank
    return made


class _Watched(pd.DataFrame):
    """A table that an answer gets itself, not as a copy: so a claim sees what is done to it."""

    def __deepcopy__(self, memo: Any = None) -> "_Watched":
        return self


def _shift(p: pd.Series, late: pd.Series) -> Callable[[pd.Series], pd.Series]:
    """Add what the mean prediction was short of the late rate."""
    return lambda new: new + (late.mean() - p.mean())


def _months(*rows: tuple[float, str, float, str | None]) -> pd.DataFrame:
    made = pd.DataFrame(rows, columns=["p", "decided_at", "late", "known_at"])
    made.index = pd.Index([5, 3, 8, 1, 9, 2, 7][: len(made)])
    times = ["decided_at", "known_at"]
    return made.assign(
        **{t: pd.to_datetime("2023-" + made[t], utc=True, format="ISO8601") for t in times}
    )


_EDGES = list(pd.to_datetime(["2023-05-01", "2023-06-01", "2023-07-01"], utc=True))
_MAY = (0.3, "05-10", 0.0, "05-11")
_ALSO_MAY = (0.2, "05-20", 1.0, "05-21")
_JUNE = (0.4, "06-10", 1.0, "06-11")


@recalibrated.claim("June is moved by what May was short of: a quarter")
def moved_by_may(answer: Answer) -> None:
    got = answer(_months(_MAY, _ALSO_MAY, _JUNE), _EDGES, _shift)
    expect(got.to_numpy(), [0.3, 0.2, 0.65])


@recalibrated.claim("the labels of its own month teach a flight nothing")
def not_its_month(answer: Answer) -> None:
    other = (0.4, "06-20", 0.0, "06-21")
    got = answer(_months(_MAY, _ALSO_MAY, _JUNE, other), _EDGES, _shift)
    expect(got.to_numpy(), [0.3, 0.2, 0.65, 0.65])


@recalibrated.claim("July learns from May and June, from their first predictions")
def all_that_is_known(answer: Answer) -> None:
    rows = _months(_MAY, _ALSO_MAY, _JUNE, (0.5, "07-02", 1.0, "07-03"))
    edges = [*_EDGES, pd.Timestamp("2023-08-01", tz="UTC")]
    expected = pd.Series([0.3, 0.2, 0.65, 0.5 + 2 / 3 - 0.3], rows.index)
    expect(answer(rows, edges, _shift), expected, index=True)


@recalibrated.claim("the rows that it was given stay as they were")
def rows_stay(answer: Answer) -> None:
    before = _months(_MAY, _ALSO_MAY, _JUNE)
    rows = _Watched(before.copy())
    answer(rows, _EDGES, _shift)
    expect(pd.DataFrame(rows), before, index=True)


@recalibrated.claim("one label is enough to learn from, and so are labels of one outcome")
def one_outcome(answer: Answer) -> None:
    expect(answer(_months(_MAY, _JUNE), _EDGES, _shift).to_numpy(), [0.3, 0.1])


@recalibrated.claim("the first month learns from what was known before it")
def first_month(answer: Answer) -> None:
    april = [(0.3, "04-10", 1.0, "04-11"), (0.5, "04-12", 0.0, "04-13")]
    got = answer(_months(*april, (0.4, "05-10", 0.0, "05-11")), _EDGES, _shift)
    expect(got.to_numpy(), [0.3, 0.5, 0.5])


@recalibrated.claim(
    "a flight of 31 May whose label came on 1 June teaches nothing for June, but for July it does"
)
def label_on_its_way(answer: Answer) -> None:
    night = (0.3, "05-31 22:00", 1.0, "06-01 04:00")
    july = (0.5, "07-02", 1.0, "07-03")
    rows = _months(_MAY, _ALSO_MAY, night, _JUNE, july)
    edges = [*_EDGES, pd.Timestamp("2023-08-01", tz="UTC")]
    expect(answer(rows, edges, _shift).to_numpy(), [0.3, 0.2, 0.3, 0.65, 0.95])


@recalibrated.claim("a label that arrives with the first of June is known then")
def at_the_start(answer: Answer) -> None:
    edge = (0.2, "05-31 20:00", 1.0, "06-01")
    expect(answer(_months(_MAY, edge, _JUNE), _EDGES, _shift).to_numpy(), [0.3, 0.2, 0.65])


@recalibrated.claim("a cancelled flight gets a probability and teaches nothing")
def cancelled(answer: Answer) -> None:
    before, after = (0.9, "05-12", np.nan, "05-12"), (0.1, "06-12", np.nan, None)
    got = answer(_months(_MAY, before, _ALSO_MAY, after), _EDGES, _shift)
    expect(got.to_numpy(), [0.3, 0.9, 0.2, 0.35])


@recalibrated.claim("a flight decided at the end of the last month is of no month, and keeps its p")
def end_is_open(answer: Answer) -> None:
    got = answer(_months(_MAY, _ALSO_MAY, (0.4, "07-01", 0.0, "07-02")), _EDGES, _shift)
    expect(got.to_numpy(), [0.3, 0.2, 0.4])


@recalibrated.claim("a flight decided as a month begins is of that month")
def start_is_closed(answer: Answer) -> None:
    got = answer(_months(_MAY, _ALSO_MAY, (0.4, "06-01", 0.0, "06-02")), _EDGES, _shift)
    expect(got.to_numpy(), [0.3, 0.2, 0.65])


def _line(p: pd.Series, late: pd.Series) -> Callable[[pd.Series], pd.Series]:
    """A line through the means, whose slope tells how many flights it learnt from."""
    slope = 1 / len(p)
    return lambda new: late.mean() + slope * (new - p.mean())


def _steps(p: pd.Series, late: pd.Series) -> Callable[[pd.Series], pd.Series]:
    """The late rate of the flights with about the same prediction, and of all where there are none."""
    low, high = late[p < 0.5], late[p >= 0.5]
    rates = [(one if len(one) else late).mean() for one in (low, high)]
    return lambda new: pd.Series(np.where(new < 0.5, *rates), new.index)


def _taught(rows: pd.DataFrame, edges: Any, fit: Any) -> list[pd.Series]:
    """For each month the outcomes that were known when it began."""
    return [rows.late[rows.known_at <= start].dropna() for start in edges[:-1]]


def _decided(rows: pd.DataFrame, edges: Any, fit: Any) -> pd.Series:
    return rows.decided_at


@recalibrated.generated(
    "any flights, months and ways to fit",
    marks={
        "a month learns from one outcome only": lambda *given: any(
            late.nunique() == 1 for late in _taught(*given)
        ),
        "nothing is known when a month begins": lambda *given: any(
            late.empty for late in _taught(*given)
        ),
        "the first month has something to learn from": lambda *given: len(_taught(*given)[0]) > 0,
        "a flight is decided just as a month begins or ends": lambda *given: (
            _decided(*given).isin(given[1]).any()
        ),
        "a label is known just as a month begins": lambda *given: (
            given[0].known_at.isin(given[1]).any()
        ),
        "a flight is decided outside all months": lambda *given: (
            (_decided(*given) < given[1][0]) | (_decided(*given) >= given[1][-1])
        ).any(),
        "the months begin at midnight in New York": lambda rows, edges, fit: (
            str(edges[0].tz) == "America/New_York"
        ),
        "there is one month": lambda rows, edges, fit: len(edges) == 2,
    },
    same=Same(index=True),
    count=60,
)
def any_months(draw):
    """Decisions and reports on the edges and beside them; a report may take weeks, or never come."""
    begin = draw(st.sampled_from(["2023-05-01", "2013-11-01"]))
    zone = draw(st.sampled_from(["UTC", "America/New_York"]))
    count = draw(cases.whole(2, 4))
    edges = list(pd.date_range(begin, periods=count, freq="MS", tz=zone))
    utc = [edge.tz_convert("UTC") for edge in edges]
    on = cases.near(*utc, step=pd.Timedelta("1min"))
    anywhere = st.integers(-60, 90).map(lambda n: utc[0] + pd.Timedelta(days=n))
    columns = {
        "p": (cases.probabilities(), float),
        "decided_at": (on | anywhere, cases.UTC),
        "late": (st.sampled_from([1.0, 0.0, np.nan]), float),
        "known_at": (on | anywhere, cases.UTC),
    }
    rows = draw(cases.table(columns))
    soonest = rows.decided_at + pd.Timedelta("3h")
    rows["known_at"] = rows.known_at.where(rows.known_at >= soonest, soonest)
    if draw(st.booleans()):
        rows["known_at"] = rows.known_at.where(rows.late.notna())
    return rows, edges, draw(st.sampled_from([_shift, _line, _steps]))


recalibrated.mistake(
    "it learns only where both outcomes were seen",
    fails="one_outcome",
    old="if known.any():",
    new="if rows.late[known].nunique() > 1:",
)
recalibrated.mistake(
    "the first month is left as it is",
    fails="first_month",
    old="if known.any():",
    new="if known.any() and start != edges[0]:",
)
recalibrated.mistake(
    "the rows are written over",
    fails="rows_stay",
    old="return made",
    new="rows['p'] = made\n    return made",
)
recalibrated.mistake(
    "a flight that was recalibrated is not to teach",
    fails="all_that_is_known",
    old="known = (rows.known_at <= start)",
    new="known = (made == rows.p) & (rows.known_at <= start)",
)
recalibrated.mistake(
    "months are those of the calendar in UTC, not those of the edges",
    fails="any_months",
    old="(rows.decided_at >= start) & (rows.decided_at < end)",
    new="(rows.decided_at.dt.month == start.tz_convert('UTC').month) & (rows.decided_at < end)",
)
recalibrated.mistake(
    "fitted on the month that it corrects",
    fails="moved_by_may",
    old="(rows.known_at <= start) & rows.late.notna()",
    new="now & rows.late.notna()",
)
recalibrated.mistake(
    "fitted on all months",
    fails="moved_by_may",
    old="(rows.known_at <= start) & rows.late.notna()",
    new="rows.late.notna()",
)
recalibrated.mistake(
    "fitted on all that was known by the end of the month",
    fails="moved_by_may",
    old="rows.known_at <= start",
    new="rows.known_at <= end",
)
recalibrated.mistake(
    "fitted on all other months, the later ones among them",
    fails="moved_by_may",
    old="(rows.known_at <= start) & rows.late.notna()",
    new="~now & rows.late.notna()",
)
recalibrated.mistake(
    "a label counts from the decision on",
    fails="label_on_its_way",
    old="rows.known_at <= start",
    new="rows.decided_at < start",
)
recalibrated.mistake(
    "a label that came with the month is left out",
    fails="at_the_start",
    old="rows.known_at <= start",
    new="rows.known_at < start",
)
recalibrated.mistake(
    "a flight that never landed counts with its prediction",
    fails="cancelled",
    old=" & rows.late.notna()",
    new="",
)
recalibrated.mistake(
    "only flights with a label get a probability",
    fails="cancelled",
    old="(rows.decided_at < end)",
    new="(rows.decided_at < end) & rows.late.notna()",
)
recalibrated.mistake(
    "the month's end is included",
    fails="end_is_open",
    old="rows.decided_at < end",
    new="rows.decided_at <= end",
)
recalibrated.mistake(
    "the month's start is left out",
    fails="start_is_closed",
    old="rows.decided_at >= start",
    new="rows.decided_at > start",
)
recalibrated.mistake(
    "it learns from what it has recalibrated itself",
    fails="all_that_is_known",
    old="fit(rows.p[known], rows.late[known])",
    new="fit(made[known], rows.late[known])",
)
recalibrated.mistake(
    "the flights of a month teach only for the next",
    fails="all_that_is_known",
    old="(rows.known_at <= start) & rows.late.notna()",
    new="(rows.known_at <= start) & rows.late.notna() & (rows.known_at > start - (end - start) * 1.1)",
)
# Of an own month's label the first claim says as much; this one is wrong only where two flights share it.
recalibrated.mistake(
    "each flight is left out of its own month's fit, and the others are not",
    fails="not_its_month",
    old="made[now] = fit(rows.p[known], rows.late[known])(rows.p[now])",
    new="for i in rows.index[now]:\n                "
    "use = known | (now & (rows.index != i) & rows.late.notna())\n                "
    "made[i] = fit(rows.p[use], rows.late[use])(rows.p[[i]])[i]",
)


@recalibrated.alternative
def month_by_month(rows, edges, fit):
    parts = [rows.p]
    for number, start in enumerate(edges[:-1]):
        taught = rows.dropna(subset=["late"]).query("known_at <= @start")
        asked = rows[rows.decided_at.ge(start) & rows.decided_at.lt(edges[number + 1])]
        if len(taught) and len(asked):
            parts.append(fit(taught.p, taught.late)(asked.p))
    joined = pd.concat(parts)
    return joined[~joined.index.duplicated(keep="last")].reindex(rows.index)


# -- blind_spots -------------------------------------------------------------------------------------


def clarity(rows: pd.DataFrame, inside: pd.Series) -> float:
    """How clearly the model errs otherwise inside a slice than on all rows, in standard errors by days.

    Parameters
    ----------
    rows : pandas.DataFrame of shape (n_flights, n_columns)
        With `day`, `late` (0 or 1) and `p`.
    inside : pandas.Series of shape (n_flights,), bool

    Returns
    -------
    float
        Above zero where the model is too high inside, compared with all rows.

    Examples
    --------
    >>> rows = pd.DataFrame({"day": [1, 1, 2, 2, 3, 3], "late": [0, 1, 0, 1, 0, 0], "p": 0.4})
    >>> round(clarity(rows, pd.Series([True, False] * 3)), 1)
    2.0
    """
    error = rows.p - rows.late
    gap = error[inside].mean() - error.mean()
    by_day = (error - error[inside].mean()).where(inside, 0).groupby(rows.day).sum() / inside.sum()
    by_day -= (error - error.mean()).groupby(rows.day).sum() / len(rows)
    return float(gap / np.sqrt((by_day**2).sum() * len(by_day) / (len(by_day) - 1)))


@exercise(
    hints=[
        "What a search finds is partly chance. Which days have not been searched?",
        "Search the first half of the days with a high bar, and ask the other half, with a lower bar, only about what was found.",
        "first = rows[rows.day < middle]; keep a slice if abs(t) >= 3 there, and in the second half t has the same sign "
        "and abs(t) >= 2: t_later * np.sign(t) >= 2.",
    ]
)
def blind_spots(rows, columns, middle, clarity):
    """Name the slices in which the model errs otherwise than on the whole, and
    keeps doing so.

    `rows` has day, late, p and the `columns`. `clarity(part, inside)` says of
    the rows of `part` marked True in `inside` how many standard errors (by
    days) the model is too high there, compared with all rows of `part`; below
    zero, too low. Look at every value of every column. Find on the days before
    `middle`: at least 100 flights, and a clarity of 3 or more either way. Then
    ask the days from `middle` on, however few flights there are: the same sign,
    and 2 or more. Rows and days come in any order. Give the (column, value)
    pairs that pass both, as a list sorted by column, then value.
    """
    first, later = rows[rows.day < middle], rows[rows.day >= middle]  # blank
    found = []
    for column in columns:
        for value in first[column].unique():
            inside = first[column] == value
            t = clarity(first, inside)
            clear = inside.sum() >= 100 and abs(t) >= 3  # blank
            if clear and (later[column] == value).any():
                again = clarity(later, later[column] == value)
                held = again * np.sign(t) >= 2  # blank
                if held:
                    found.append((column, value))
    return sorted(found)


def _flights(seed: int = 0, **planted: Any) -> pd.DataFrame:
    """Simulated: 60 days of 200 flights; the model is right except where something is planted.

    `planted` says for ``airline_B6=(from_day, to_day, points)`` that the model is that much too high
    there; `gate_few` has fewer flights than the bar asks for.
    """
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(60), 200)
    size = len(day)
    rows = pd.DataFrame(
        {
            "day": day,
            "airline": rng.choice(["AA", "B6", "DL", "UA"], size),
            "gate": rng.choice(["few", "north", "south"], size, p=[0.01, 0.5, 0.49]),
        }
    )
    rate = np.clip(0.3 + rng.normal(size=60)[day] * 0.05, 0.05, 0.9)
    p = pd.Series(rate.copy())
    for name, (begin, end, points) in planted.items():
        column, value = name.split("_")
        p += points * ((rows[column] == value) & (day >= begin) & (day < end))
    return rows.assign(p=p, late=(rng.random(size) < rate).astype(int))


def _found(answer: Answer, **planted: Any) -> list[tuple[str, str]]:
    got: list[tuple[str, str]] = answer(_flights(**planted), ["airline", "gate"], 30, clarity)
    return got


@blind_spots.claim("an airline for which the model is always 12 points too high is named")
def too_high(answer: Answer) -> None:
    named = _found(answer, airline_B6=(0, 60, 0.12))
    expect(("airline", "B6") in named, True)


@blind_spots.claim("one for which it is too low is named as well")
def too_low(answer: Answer) -> None:
    named = _found(answer, airline_DL=(0, 60, -0.12))
    expect(("airline", "DL") in named, True)


@blind_spots.claim("where the model is right, or only 2.5 standard errors off, nothing is named")
def nothing(answer: Answer) -> None:
    named = [_found(answer, seed=seed) for seed in range(3)]
    expect(named, [[]] * 3)
    expect(answer(_flights(), ["airline"], 30, lambda part, inside: 2.5), [])


@blind_spots.claim(
    "a slice that is wrong in the second half only is not named: the search did not find it"
)
def only_later(answer: Answer) -> None:
    expect(("airline", "UA") in _found(answer, airline_UA=(30, 60, 0.12)), False)


@blind_spots.claim("nor one that is wrong in the first half only")
def only_first(answer: Answer) -> None:
    expect(("airline", "B6") in _found(answer, seed=3, airline_B6=(0, 30, 0.12)), False)


@blind_spots.claim("nor one that is wrong the other way round in the second half")
def turned(answer: Answer) -> None:
    rows = _flights(airline_B6=(0, 30, 0.12))
    rows.loc[(rows.airline == "B6") & (rows.day >= 30), "p"] -= 0.12
    expect(("airline", "B6") in answer(rows, ["airline"], 30, clarity), False)


@blind_spots.claim("a slice of 60 flights is not named, however wrong")
def too_few(answer: Answer) -> None:
    expect(("gate", "few") in _found(answer, gate_few=(0, 60, 0.4)), False)


@blind_spots.claim("the day of the middle belongs to the second half")
def middle_day(answer: Answer) -> None:
    asked: list[tuple[int, int]] = []

    def noted(part: pd.DataFrame, inside: pd.Series) -> float:
        asked.append((int(part.day.min()), int(part.day.max())))
        return 9.0

    answer(_flights(), ["airline"], 30, noted)
    expect(sorted(set(asked)), [(0, 29), (30, 59)])


@blind_spots.claim("the names are sorted, and each stands once")
def in_order(answer: Answer) -> None:
    always = [("airline", name) for name in ("AA", "B6", "DL", "UA")]
    got = answer(_flights(), ["gate", "airline"], 30, lambda part, inside: 5.0)
    expect(list(got)[:4], always)
    expect(list(got), sorted(set(got)))


@blind_spots.claim("on the later days, a clarity of 2 will do, and not 1.9")
def less_clear(answer: Answer) -> None:
    def tells(t: float) -> Callable[[pd.DataFrame, pd.Series], float]:
        return lambda part, inside: 3.0 if part.day.min() < 30 else t

    rows = _flights()
    every = [("airline", name) for name in ("AA", "B6", "DL", "UA")]
    named = {t: answer(rows, ["airline"], 30, tells(t)) for t in (2.0, 1.9, -2.0)}
    expect(named, {2.0: every, 1.9: [], -2.0: []})


@blind_spots.claim("on the later days, fewer flights than the bar will do")
def few_later(answer: Answer) -> None:
    rows = _flights()
    rows = rows[(rows.day < 30) | (rows.airline != "B6") | (rows.index % 40 == 0)]
    got = answer(rows, ["airline"], 30, lambda part, inside: 5.0)
    expect(("airline", "B6") in got, True)


_SLICES = {"airline": ["AA", "B6", "DL"], "gate": ["B6", "north"], "hour": [6, 7, 21]}


def _clear(part: pd.DataFrame, inside: Any) -> float:
    """Simulated: how clear it is stands in the rows, where those inside are of one slice and not all."""
    where = np.asarray(inside, dtype=bool)
    told = part.told.to_numpy()[where]
    if not len(told):
        return float("nan")
    return float(told[0]) if (told == told[0]).all() and not where.all() else 0.0


def _rows_of(slices: pd.DataFrame, middle: Any, shuffled: bool) -> pd.DataFrame:
    """Rows in which each slice has its flights and its clarity in either half, and others lie outside all."""
    is_date = isinstance(middle, pd.Timestamp)
    day = pd.Timedelta("1D") if is_date else 1
    other: dict[str, Any] = {"airline": "other", "gate": "other", "hour": 0}
    blocks: list[Any] = [(other, 40, 0.0, 7, 0.0)]
    for one in slices.itertuples():
        mine = other | {str(one.column): one.value}
        blocks.append((mine, one.flights, one.clarity, one.flights_later, one.clarity_later))
    parts = []
    for mine, flights, clear, flights_later, clear_later in blocks:
        early, late = np.arange(flights) % 3 - 3, np.arange(flights_later) % 2
        days = [middle + int(n) * day for n in [*early, *late]]
        told = np.repeat([clear, clear_later], [flights, flights_later])
        parts.append(pd.DataFrame({"day": days, "late": 0, "p": 0.2, **mine, "told": told}))
    rows = pd.concat(parts, ignore_index=True)
    return rows.sample(frac=1, random_state=0) if shuffled else rows


@blind_spots.generated(
    "slices of any size that are clear in any way",
    run=lambda answer, slices, columns, middle, shuffled: answer(
        _rows_of(slices, middle, shuffled), columns, middle, _clear
    ),
    marks={
        "a slice has 99, 100 or 101 flights before `middle`": (
            lambda slices, columns, middle, shuffled: slices.flights.isin([99, 100, 101]).any()
        ),
        "a clarity is just 3 before `middle`": lambda slices, columns, middle, shuffled: (
            slices.clarity.abs() == 3
        ).any(),
        "a clarity is just 2 from `middle` on": lambda slices, columns, middle, shuffled: (
            slices.clarity_later.abs() == 2
        ).any(),
        "a slice is clearer from `middle` on": lambda slices, columns, middle, shuffled: (
            slices.clarity_later.abs() > slices.clarity.abs()
        ).any(),
        "a slice has no flight from `middle` on": lambda slices, columns, middle, shuffled: (
            slices.flights_later == 0
        ).any(),
        "a slice has few flights from `middle` on": lambda slices, columns, middle, shuffled: (
            slices.flights_later.between(1, 99).any()
        ),
        "the days are dates": lambda slices, columns, middle, shuffled: isinstance(
            middle, pd.Timestamp
        ),
        "the rows stand in no order": lambda slices, columns, middle, shuffled: shuffled,
        "two slices are found, and the second is the clearer": (
            lambda slices, columns, middle, shuffled: (
                slices.clarity.is_monotonic_increasing and len(slices) > 1
            )
        ),
        "a column is not asked for": lambda slices, columns, middle, shuffled: len(columns) < 3,
    },
    count=50,
    steps=120,
)
def any_slices(draw):
    known = [(column, value) for column, values in _SLICES.items() for value in values]
    flights = st.sampled_from([100, 99, 101, 130, 260, 20])
    few = st.sampled_from([130, 20, 1, 0, 99])
    clear = cases.near(3.0, -3.0, step=0.25) | st.sampled_from([4.5, -4.5, 0.0])
    again = cases.near(2.0, -2.0, step=0.25) | st.sampled_from([3.5, -3.5, 5.0, -5.0, 0.0])
    rows = [
        (column, value, draw(flights), draw(clear), draw(few), draw(again))
        for column, value in draw(cases.some(st.sampled_from(known), 0, 4, unique=True))
    ]
    heads = ["column", "value", "flights", "clarity", "flights_later", "clarity_later"]
    columns = draw(st.sampled_from([list(_SLICES), ["gate", "airline"], ["hour"]]))
    middle = draw(st.sampled_from([30, pd.Timestamp("2023-08-01")]))
    return pd.DataFrame(rows, columns=heads), columns, middle, draw(st.booleans())


blind_spots.mistake(
    "the later days must be as clear as the first",
    fails="less_clear",
    old="again * np.sign(t) >= 2",
    new="again * np.sign(t) >= 3",
)
blind_spots.mistake(
    "the halves are halves of the rows",
    fails="any_slices",
    old="rows[rows.day < middle], rows[rows.day >= middle]",
    new="rows.iloc[: len(rows) // 2], rows.iloc[len(rows) // 2 :]",
)
blind_spots.mistake(
    "the clearest come first",
    fails="any_slices",
    old="""found.append((column, value))
    return sorted(found)""",
    new="""found.append((-abs(t), column, value))
    return [one[1:] for one in sorted(found)]""",
)
blind_spots.mistake(
    "the hundred flights are counted in both halves together",
    fails="too_few",
    old="inside.sum() >= 100",
    new="(rows[column] == value).sum() >= 100",
)
blind_spots.mistake(
    "the later days must have a hundred flights as well",
    fails="few_later",
    old="(later[column] == value).any()",
    new="(later[column] == value).sum() >= 100",
)
blind_spots.mistake(
    "only what is too high is looked for",
    fails="too_low",
    old="abs(t) >= 3",
    new="t >= 3",
)
blind_spots.mistake(
    "the later days must be too high as well",
    fails="too_low",
    old="again * np.sign(t) >= 2",
    new="again >= 2",
)
blind_spots.mistake(
    "the bar is where chance begins to look like something",
    fails="nothing",
    old="abs(t) >= 3",
    new="abs(t) >= 0.5",
)
blind_spots.mistake(
    "every slice is asked about on the later days, without a search before",
    fails="nothing",
    old="inside.sum() >= 100 and abs(t) >= 3",
    new="True",
)
blind_spots.mistake(
    "what the search finds is believed",
    fails="only_first",
    old="again * np.sign(t) >= 2",
    new="True",
)
blind_spots.mistake(
    "found is found, whichever way the later days point",
    fails="turned",
    old="again * np.sign(t) >= 2",
    new="abs(again) >= 2",
)
blind_spots.mistake(
    "the halves are exchanged, so that the days to ask are searched",
    fails="only_later",
    old="rows[rows.day < middle], rows[rows.day >= middle]",
    new="rows[rows.day >= middle], rows[rows.day >= middle]",
)
blind_spots.mistake(
    "small slices are believed",
    fails="too_few",
    old="inside.sum() >= 100",
    new="inside.sum() >= 10",
)
blind_spots.mistake(
    "the middle day is searched as well",
    fails="middle_day",
    old="rows[rows.day < middle]",
    new="rows[rows.day <= middle]",
)
blind_spots.mistake(
    "all days are asked again, the searched ones among them",
    fails="only_first",
    old="rows[rows.day >= middle]",
    new="rows",
)
blind_spots.mistake(
    "the order of the columns stays",
    fails="in_order",
    old="return sorted(found)",
    new="return found",
)
blind_spots.mistake(
    "the sign is looked for on the wrong side",
    fails="too_high",
    old="again * np.sign(t) >= 2",
    new="again * np.sign(t) <= -2",
)


blind_spots.equivalent(
    "of no flights there is no clarity, and NaN is not 2 or more",
    old="if clear and (later[column] == value).any():",
    new="if clear:",
)
blind_spots.equivalent(
    "a slice of all later flights does not differ from all later flights",
    old="(later[column] == value).any()",
    new="(later[column] != value).any()",
)
blind_spots.equivalent(
    "a sign is 1 or -1", old="again * np.sign(t) >= 2", new="again / np.sign(t) >= 2"
)


@blind_spots.alternative
def with_two_tables(rows, columns, middle, clarity):
    halves = {False: rows[rows.day < middle], True: rows[rows.day >= middle]}

    def seen(half, column, value):
        inside = halves[half][column] == value
        return (inside.sum(), clarity(halves[half], inside)) if inside.any() else (0, 0.0)

    names = {(c, v) for c in columns for v in set(halves[False][c])}
    first = {name: seen(False, *name) for name in names}
    clear = {name: t for name, (n, t) in first.items() if n >= 100 and (t >= 3 or t <= -3)}
    return sorted(
        name for name, t in clear.items() if (seen(True, *name)[1] * (1 if t > 0 else -1)) >= 2
    )


# -- leans_on ----------------------------------------------------------------------------------------


@exercise(
    hints=[
        "A flight number is a name. Give the same flight another one: what may change?",
        "Deal the column's own values out anew, and compare flight by flight; a mean does not change when its "
        "parts change places. For the order, turn the rows round and turn the answers back.",
        "after = model.predict(rows.assign(**{name: rng.permutation(rows[name])})); for order, "
        "after = model.predict(rows[::-1])[::-1]; then (np.abs(after - before) > 1e-6).any().",
    ]
)
def leans_on(model, rows, names, rng):
    """Which of the things that must not matter does a model lean on?

    `model.predict(rows)` gives an array with a probability a row. `names` are
    columns that must not matter, and possibly "order": in which order the rows
    come. A model leans on a column if any flight's probability moves by more
    than 1e-6, up or down, when the column's values are dealt out anew among the
    rows (with `rng.permutation`); on the order if any flight's moves by more
    than that when the rows come in reverse (no other order counts). 1e-6 is
    absolute, whatever the probability. Give the names it leans on as a list, in
    the order of `names`, and leave `rows` as it is; its index may be any.
    """
    before = model.predict(rows)
    found = []
    for name in names:
        if name == "order":
            after = model.predict(rows[::-1])[::-1]  # blank
        else:
            changed = rows.assign(**{name: rng.permutation(rows[name])})  # blank
            after = model.predict(changed)
        leans = (np.abs(after - before) > 1e-6).any()  # blank
        if leans:
            found.append(name)
    return found


class _Planted:
    """Simulated: a model that says what a function of the rows says."""

    def __init__(self, says: Callable[[pd.DataFrame], Any]) -> None:
        self._says = says

    def __repr__(self) -> str:
        return "<model>"

    def predict(self, rows: pd.DataFrame) -> Any:
        honest = 0.1 + 0.4 * (rows.dep_minute.to_numpy() > 900) + 0.01 * rows.wind_speed.to_numpy()
        return honest + self._says(rows)


def _some_rows() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "dep_minute": rng.integers(300, 1400, 800),
            "wind_speed": rng.integers(0, 30, 800).astype(float),
            "flight": rng.integers(1, 3000, 800),
            "tailnum": rng.choice(["N1", "N2", "N3", "N4"], 800),
        }
    )


def _leaning(answer: Answer, says: Callable[[pd.DataFrame], Any]) -> list[str]:
    names = ["flight", "tailnum", "order"]
    got: list[str] = answer(_Planted(says), _some_rows(), names, np.random.default_rng(0))
    return got


@leans_on.claim("a model that uses only time and wind is accepted")
def honest(answer: Answer) -> None:
    expect(_leaning(answer, lambda rows: 0.0), [])


@leans_on.claim("the rows that it was given stay as they were")
def as_given(answer: Answer) -> None:
    rows = _Watched(_some_rows())
    answer(_Planted(lambda rows: 0.0), rows, ["flight", "tailnum"], np.random.default_rng(0))
    expect(pd.DataFrame(rows), _some_rows(), index=True)


@leans_on.claim("differences of a billionth are rounding, and accepted")
def rounding(answer: Answer) -> None:
    expect(_leaning(answer, lambda rows: 1e-9 * np.arange(len(rows))), [])


@leans_on.claim("a model that knows the flights of one airline by their number is caught")
def knows_numbers(answer: Answer) -> None:
    expect(_leaning(answer, lambda rows: 0.2 * (rows.flight.to_numpy() < 600)), ["flight"])


@leans_on.claim("a shortcut that concerns one flight in two hundred is caught")
def rare(answer: Answer) -> None:
    expect(_leaning(answer, lambda rows: 0.2 * (rows.flight.to_numpy() % 200 == 7)), ["flight"])


@leans_on.claim("a shortcut by odd and even numbers is caught")
def parity(answer: Answer) -> None:
    expect(_leaning(answer, lambda rows: 0.1 * (rows.flight.to_numpy() % 2)), ["flight"])


@leans_on.claim("a model that scales by the batch's own first row is caught by the order")
def first_row(answer: Answer) -> None:
    expect(_leaning(answer, lambda rows: 0.001 * rows.wind_speed.iloc[0]), ["order"])


@leans_on.claim("names of aircraft are text, and are dealt out like numbers")
def text(answer: Answer) -> None:
    got = _leaning(answer, lambda rows: -0.05 * (rows.tailnum == "N3").to_numpy())
    expect(got, ["tailnum"])


@leans_on.claim("a model that leans on two things is caught at both")
def both(answer: Answer) -> None:
    def says(rows: pd.DataFrame) -> Any:
        return 0.1 * (rows.flight.to_numpy() % 5 == 0) + 0.001 * rows.wind_speed.iloc[-1]

    expect(_leaning(answer, says), ["flight", "order"])


@leans_on.claim("a model that uses no more of a column than its mean is accepted")
def mean_of_column(answer: Answer) -> None:
    expect(_leaning(answer, lambda rows: 1e-4 * rows.flight.mean()), [])


@leans_on.claim("the names come in the order in which they were asked for")
def as_asked(answer: Answer) -> None:
    def says(rows: pd.DataFrame) -> Any:
        return 0.1 * (rows.tailnum == "N3").to_numpy() + 0.001 * (rows.flight.to_numpy() % 2)

    names = ["tailnum", "order", "flight"]
    got = answer(_Planted(says), _some_rows(), names, np.random.default_rng(0))
    expect(got, ["tailnum", "flight"])


@leans_on.claim("one flight that moves by a ten-thousandth is caught")
def one_flight(answer: Answer) -> None:
    numbers = _some_rows().flight
    once = numbers[~numbers.duplicated(keep=False)]

    def one(number: int) -> Callable[[pd.DataFrame], Any]:
        return lambda rows: 1e-4 * (rows.flight.to_numpy() == number)

    named = [_leaning(answer, one(once.iloc[place])) for place in (0, len(once) // 2, -1)]
    expect(named, [["flight"]] * 3)


@leans_on.claim(
    "a move of two millionths counts, at a probability of a half too, and of half a one not"
)
def on_the_limit(answer: Answer) -> None:
    def adding(size: float) -> Callable[[pd.DataFrame], Any]:
        return lambda rows: size * ((rows.flight % 2) * (rows.dep_minute > 900)).to_numpy()

    named = [_leaning(answer, adding(size)) for size in (2e-6, -2e-6, 5e-7)]
    expect(named, [["flight"], ["flight"], []])


_WAYS: dict[str, tuple[str, Callable[[pd.DataFrame], Any]]] = {
    "where the flight number is odd": ("flight", lambda rows: rows.flight.to_numpy() % 2),
    "to the five lowest flight numbers": (
        "flight",
        lambda rows: rows.flight.rank().to_numpy() <= 5,
    ),
    "to aircraft N3": ("tailnum", lambda rows: (rows.tailnum == "N3").to_numpy()),
    "to aircraft N3 in the evening": (
        "tailnum",
        lambda rows: (rows.tailnum == "N3").to_numpy() & (rows.dep_minute.to_numpy() > 900),
    ),
    "to the first half of the rows": (
        "order",
        lambda rows: np.arange(len(rows)) < len(rows) // 2,
    ),
    "where it is windier than in the row before": (
        "order",
        lambda rows: rows.wind_speed.diff().to_numpy() > 0,
    ),
    "to the first and the last row": (
        "nothing",
        lambda rows: np.isin(np.arange(len(rows)), [0, len(rows) - 1]),
    ),
    "to all rows, by the mean flight number": (
        "nothing",
        lambda rows: np.full(len(rows), rows.flight.mean() / 1000),
    ),
    "to all rows, by the highest wind": (
        "nothing",
        lambda rows: np.full(len(rows), rows.wind_speed.max() / 10),
    ),
}


class _Adding(_Planted):
    """Simulated: a model that adds something to some rows."""

    def __init__(self, added: dict[str, float]) -> None:
        super().__init__(
            lambda rows: sum(size * _WAYS[way][1](rows) for way, size in added.items())
        )
        self.added = added

    def __repr__(self) -> str:
        said = [f"adds {size:g} {way}" for way, size in self.added.items()]
        return f"<model that {' and '.join(said) or 'is honest'}>"


def _leaned(model: _Adding, names: list[str]) -> list[str]:
    leans = {_WAYS[way][0] for way, size in model.added.items() if abs(size) > 1e-6}
    return [name for name in names if name in leans]


@leans_on.generated(
    "any model and any names",
    run=lambda answer, model, rows, names, seed: answer(
        model, rows, names, np.random.default_rng(seed)
    ),
    truth=lambda model, rows, names, seed: _leaned(model, names),
    marks={
        "it moves by more than 1e-6, and by less than 1e-5": lambda model, rows, names, seed: any(
            1e-6 < abs(size) < 1e-5 for size in model.added.values()
        ),
        "it moves by less than 1e-6": lambda model, rows, names, seed: any(
            abs(size) < 1e-6 for size in model.added.values()
        ),
        "it leans on the order": lambda model, rows, names, seed: "order" in _leaned(model, names),
        "it adds what neither reversing nor dealing out moves": lambda model, rows, names, seed: (
            any(_WAYS[way][0] == "nothing" for way in model.added)
        ),
        "it leans on what is not asked for": lambda model, rows, names, seed: (
            len(_leaned(model, ["flight", "tailnum", "order"])) > len(_leaned(model, names))
        ),
        "the names are not sorted": lambda model, rows, names, seed: names != sorted(names),
        "nothing is asked": lambda model, rows, names, seed: not names,
    },
    count=50,
    steps=120,
)
def any_model(draw):
    sizes = st.sampled_from([0.1, -0.1, 1e-4, 2e-6, -2e-6, 5e-6, 5e-7, -5e-7, 1e-9])
    ways = draw(cases.some(st.sampled_from(list(_WAYS)), 0, 3, unique=True))
    by_name = {_WAYS[way][0]: way for way in ways}
    rows = _some_rows().iloc[: draw(cases.whole(60, 90))]
    rows.index = pd.Index(draw(st.sampled_from([range(len(rows)), range(len(rows))[::-1]])))
    names = draw(cases.some(cases.names("flight", "tailnum", "order"), 0, 3, unique=True))
    model = _Adding({way: draw(sizes) for way in by_name.values()})
    return model, rows, names, draw(cases.whole(0, 9))


leans_on.mistake(
    "moves are compared in proportion, as np.allclose does by itself",
    fails="on_the_limit",
    old="(np.abs(after - before) > 1e-6).any()",
    new="not np.allclose(after, before)",
)
leans_on.mistake(
    "a hundred-thousandth is rounding too",
    fails="on_the_limit",
    old="> 1e-6",
    new="> 1e-5",
)
leans_on.mistake(
    "only moves up are seen",
    fails="first_row",
    old="np.abs(after - before)",
    new="(after - before)",
)
leans_on.mistake(
    "the names are sorted",
    fails="as_asked",
    old="return found",
    new="return sorted(found)",
)
leans_on.mistake(
    "the rows are dealt out for good",
    fails="as_given",
    old="changed = rows.assign(**{name: rng.permutation(rows[name])})",
    new="rows[name] = rng.permutation(rows[name])\n            changed = rows",
)
leans_on.mistake(
    "values are drawn anew, some of them twice, and the column is another",
    fails="mean_of_column",
    old="rng.permutation(rows[name])",
    new="rng.choice(rows[name], len(rows))",
)
leans_on.mistake(
    "the mean move is compared, in which one flight drowns",
    fails="one_flight",
    old="(np.abs(after - before) > 1e-6).any()",
    new="np.abs(after - before).mean() > 1e-6",
)
leans_on.mistake(
    "means are compared, which dealing out anew leaves as they are",
    fails="knows_numbers",
    old="(np.abs(after - before) > 1e-6).any()",
    new="abs(after.mean() - before.mean()) > 1e-6",
)
leans_on.mistake(
    "most flights must move",
    fails="knows_numbers",
    old="(np.abs(after - before) > 1e-6).any()",
    new="(np.abs(after - before) > 1e-6).mean() > 0.5",
)
leans_on.mistake(
    "one in twenty may move",
    fails="rare",
    old="(np.abs(after - before) > 1e-6).any()",
    new="(np.abs(after - before) > 1e-6).mean() > 0.05",
)
leans_on.mistake(
    "any difference counts, rounding as well",
    fails="rounding",
    old="(np.abs(after - before) > 1e-6).any()",
    new="(after != before).any()",
)
leans_on.mistake(
    "names that are no numbers are left as they are",
    fails="text",
    old="rng.permutation(rows[name])",
    new='rng.permutation(rows[name]) if rows[name].dtype.kind in "if" else rows[name]',
)
leans_on.mistake(
    "the answers are not turned back",
    fails="honest",
    old="model.predict(rows[::-1])[::-1]",
    new="model.predict(rows[::-1])",
)
leans_on.mistake(
    "the order is never changed",
    fails="first_row",
    old="model.predict(rows[::-1])[::-1]",
    new="model.predict(rows)",
)
leans_on.mistake(
    "every number moves by two, and odd stays odd",
    fails="parity",
    old="rng.permutation(rows[name])",
    new="rows[name] + 2 if name == 'flight' else rng.permutation(rows[name])",
)
leans_on.mistake(
    "the whole rows are dealt out, not the column",
    fails="honest",
    old="rows.assign(**{name: rng.permutation(rows[name])})",
    new="rows.iloc[rng.permutation(len(rows))]",
)
leans_on.mistake(
    "the rows come in any other order, not in reverse",
    fails="any_model",
    old="after = model.predict(rows[::-1])[::-1]",
    new="""places = rng.permutation(len(rows))
            after = model.predict(rows.iloc[places])[np.argsort(places)]""",
)
leans_on.mistake(
    "the first rows stand for all",
    fails="one_flight",
    old="before = model.predict(rows)",
    new="rows = rows.iloc[:400]\n    before = model.predict(rows)",
)
leans_on.mistake(
    "it stops at the first that it finds",
    fails="both",
    old="found.append(name)",
    new="return [name]",
)


leans_on.equivalent(
    "a move of 1e-6 to the last digit is a matter of rounding itself", old="> 1e-6", new=">= 1e-6"
)


@leans_on.alternative
def worst_move(model, rows, names, rng):
    def moved(name):
        before = np.asarray(model.predict(rows))
        if name == "order":
            backwards = np.arange(len(rows))[::-1]
            return np.abs(model.predict(rows.iloc[backwards])[backwards] - before).max()
        changed = rows.copy()
        changed[name] = changed[name].to_numpy()[rng.permutation(len(rows))]
        return np.abs(model.predict(changed) - before).max()

    return [name for name in names if moved(name) > 1e-6]


# -- decisions ---------------------------------------------------------------------------------------

RULES = (
    Criterion("AUC less that of the model in service", -0.01, better="above"),
    Criterion("log loss less that of the model in service", 0.0),
    Criterion("bias", 0.03),
    Criterion("behaviours violated", 0),
)
_NAMES = [rule.name for rule in RULES]
_MEASURED: dict[str, tuple[str, list[Estimate | float]]] = {
    "A": (
        "Candidate A, on 9 days",
        [Estimate(0.006, -0.008, 0.021), Estimate(-0.008, -0.023, 0.007), 0.01, 0],
    ),
    "B": (
        "Candidate B, on 120 days",
        [
            Estimate(0.012, 0.007, 0.017),
            Estimate(-0.014, -0.02, -0.009),
            Estimate(0.004, -0.01, 0.018),
            1,
        ],
    ),
    "C": (
        "Candidate C, on 120 days",
        [
            Estimate(-0.004, -0.006, -0.002),
            Estimate(-0.011, -0.016, -0.006),
            Estimate(-0.002, -0.016, 0.012),
            0,
        ],
    ),
}


def report(name: str) -> str:
    """One of the three simulated reports of the last exercise, as Markdown.

    Parameters
    ----------
    name : str
        "A", "B" or "C".

    Returns
    -------
    str

    Examples
    --------
    >>> print(report("B").splitlines()[0])
    ### Candidate B, on 120 days
    """
    title, figures = _MEASURED[name]
    return release_report(title, RULES, dict(zip(_NAMES, figures, strict=True)))


@exercise(
    hints=[
        "Read the verdicts, not the figures: which criteria fail, and which are open?",
        "Open means that the data cannot tell: what would make it tell? Failed means that something is wrong: more "
        "data will not mend it. Passed means that the criterion, as it was set, is met.",
        "A has nine days behind it and is wrong nowhere. B leans on something it must not. C loses less than the "
        "margin that was set, and gains where it counts.",
    ]
)
def decisions():
    """ "release", "hold" or "fix" for each of the three simulated reports?

    release: it goes into service.
    hold: nothing is known to be wrong; evaluate on until the days can tell.
    fix: something is wrong that more data will not mend.

    A: nine days; everything passes but the gain in log loss, which is open.
    B: 120 days, the best figures; the flight number changes the probability.
    C: 120 days; everything passes. The AUC is lower than that of the model in
        service, the whole interval below zero and inside the margin.
    """
    return {
        "A": "hold",  # blank
        "B": "fix",  # blank
        "C": "release",  # blank
    }


decisions.choices(
    {
        "A": {
            "hold": None,
            "release": "the criterion asked for a gain in log loss, and nine days cannot tell a gain from none",
            "fix": "nothing failed; there is nothing to mend, only days to wait for",
        },
        "B": {
            "fix": None,
            "release": "its figures come from months in which the numbers meant what they mean today; when they "
            "are dealt out anew, nobody knows what it says, and no average will warn you",
            "hold": "more days of the same numbers make the same figures; the shortcut stays",
        },
        "C": {
            "release": None,
            "hold": "120 days have told: no interval is open. You would wait for a figure that you already have",
            "fix": "the margin for the AUC was set before anyone looked, and it is kept; the probabilities, which "
            "the decisions are made of, are better. To move the limit now is to set it after looking",
        },
    },
    text=lambda name: f"the decision on {name} follows from its report",
)

decisions.mistake("a gain is a gain", fails="A", old='"A": "hold"', new='"A": "release"')
decisions.mistake(
    "an open question is taken for a defect", fails="A", old='"A": "hold"', new='"A": "fix"'
)
decisions.mistake("the best figures win", fails="B", old='"B": "fix"', new='"B": "release"')
decisions.mistake("more data is hoped to mend it", fails="B", old='"B": "fix"', new='"B": "hold"')
decisions.mistake(
    "a loss that is certain is taken for one that matters",
    fails="C",
    old='"C": "release"',
    new='"C": "fix"',
)
decisions.mistake(
    "no model is ever good enough", fails="C", old='"C": "release"', new='"C": "hold"'
)


@decisions.alternative
def by_verdicts():
    made = {}
    for name, (_, figures) in _MEASURED.items():
        verdicts = {rule.verdict(figure) for rule, figure in zip(RULES, figures, strict=True)}
        made[name] = "fix" if "fail" in verdicts else "hold" if "open" in verdicts else "release"
    return made
