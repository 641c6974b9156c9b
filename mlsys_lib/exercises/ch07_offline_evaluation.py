"""Exercises of chapter 07, offline evaluation."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from mlsys_lib.exercises.checker import Answer, exercise, expect
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

    `late` (0 or 1) and `p` (probability) are arrays with one entry a flight, in any
    order. Cut the flights by their prediction into `bins` bins of as many flights
    each; flights with the same prediction stay in one bin, so there may be fewer
    bins. Give a DataFrame with one row a bin that holds a flight, from the lowest
    predictions up, and the columns flights (how many), predicted (their mean p) and
    late (their late rate).
    """
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]))  # blank
    group = np.searchsorted(edges, p, side="right")  # blank
    table = pd.DataFrame({"group": group, "p": p, "late": late}).groupby("group")
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
    "predictions are rounded first, as they stand on the screen",
    fails="all_flights",
    old="table.p.mean()",
    new="table.p.mean().round(3)",
)


@equal_mass.alternative
def by_cutting(late, p, bins):
    frame = pd.DataFrame({"predicted": p, "late": late})
    groups = frame.groupby(pd.qcut(frame.predicted, bins, duplicates="drop"), observed=True)
    table = groups.mean()
    table.insert(0, "flights", groups.size())
    return table.reset_index(drop=True)


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

    `rows` has, for each flight, p (the model's probability), decided_at, late (0 or 1;
    missing for a flight that never landed) and known_at (when its end, landed or
    cancelled, reached the desk). `edges` are the starts of the months and the end of
    the last. `fit(p, late)` learns from two Series and gives a function from a Series
    of p to the recalibrated one. Recalibrate every flight decided from the start of a
    month (included) to its end (not included) with what the flights teach whose label
    was known at that start, or earlier. Where none was, and outside all months, p
    stays. Give a Series with the index of `rows`, and leave `rows` as it is.
    """
    made = rows.p.copy()
    for start, end in pairwise(edges):
        now = (rows.decided_at >= start) & (rows.decided_at < end)  # blank
        known = (rows.known_at <= start) & rows.late.notna()  # blank
        if known.any():
            made[now] = fit(rows.p[known], rows.late[known])(rows.p[now])  # blank
    return made


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
    before = rows.copy()
    edges = [*_EDGES, pd.Timestamp("2023-08-01", tz="UTC")]
    got = answer(rows, edges, _shift)
    expect(got.to_numpy(), [0.3, 0.2, 0.65, 0.5 + 2 / 3 - 0.3])
    expect(rows.p, before.p.to_numpy())
    expect(list(got.index), list(before.index))


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
    """Name the slices in which the model errs otherwise than on the whole, and keeps
    doing so.

    `rows` has day, late, p and the `columns`. `clarity(part, inside)` says of the
    rows of `part` marked True in `inside` how many standard errors (by days) the model
    is too high there, compared with all rows of `part`; below zero, too low. Look at
    every value of every column. Find on the days before `middle`: at least 100 flights
    there, and a clarity of 3 or more either way. Then ask the days from `middle` on:
    the same sign, and 2 or more. Give the (column, value) pairs that pass both, as a
    sorted list.
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


@blind_spots.claim("on the later days, fewer flights than the bar will do")
def few_later(answer: Answer) -> None:
    rows = _flights()
    rows = rows[(rows.day < 30) | (rows.airline != "B6") | (rows.index % 40 == 0)]
    got = answer(rows, ["airline"], 30, lambda part, inside: 5.0)
    expect(("airline", "B6") in got, True)


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

    `model.predict(rows)` gives a probability a row. `names` are columns that must not
    matter, such as the flight number, and possibly "order": in which order the rows
    come. A model leans on a column if any flight's probability moves by more than
    1e-6 when the column's values are dealt out anew among the rows (with
    `rng.permutation`), and on the order if any flight's moves when the rows come in
    reverse. Smaller moves are rounding. Give the names it leans on, in the order of
    `names`, and leave `rows` as it is.
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
    rows = _some_rows()
    names = ["flight", "tailnum", "order"]
    got: list[str] = answer(_Planted(says), rows, names, np.random.default_rng(0))
    expect(rows.equals(_some_rows()), True, because="the rows that you were given have changed")
    return got


@leans_on.claim("a model that uses only time and wind is accepted")
def honest(answer: Answer) -> None:
    expect(_leaning(answer, lambda rows: 0.0), [])


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


@leans_on.claim("one flight that moves by a ten-thousandth is caught")
def one_flight(answer: Answer) -> None:
    known = _some_rows().flight[3]  # no other row has this number
    expect(_leaning(answer, lambda rows: 1e-4 * (rows.flight.to_numpy() == known)), ["flight"])


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
    "it stops at the first that it finds",
    fails="both",
    old="found.append(name)",
    new="return [name]",
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

    Print them with `ch07.report("A")`, and so on. The criteria were set before.
    release: it goes into service.
    hold: nothing is known to be wrong; the evaluation goes on until it can tell.
    fix: something is wrong that more data will not mend.

    A: nine days; everything passes but the gain in log loss, which is open.
    B: the best figures of the three, on 120 days; one behaviour is violated: the
        probability changes with the flight number.
    C: 120 days; everything passes. The AUC is lower than that of the model in service,
        the whole interval below zero and inside the margin.
    """
    return {
        "A": "hold",  # blank
        "B": "fix",  # blank
        "C": "release",  # blank
    }


WHY_NOT = {
    "A": {
        "release": "the criterion asked for a gain in log loss, and nine days cannot tell a gain from none",
        "fix": "nothing failed; there is nothing to mend, only days to wait for",
    },
    "B": {
        "release": "its figures come from months in which the numbers meant what they mean today; when they are dealt "
        "out anew, nobody knows what it says, and no average will warn you",
        "hold": "more days of the same numbers make the same figures; the shortcut stays",
    },
    "C": {
        "hold": "120 days have told: no interval is open. You would wait for a figure that you already have",
        "fix": "the margin for the AUC was set before anyone looked, and it is kept; the probabilities, which the "
        "decisions are made of, are better. To move the limit now is to set it after looking",
    },
}


def _choice(name: str, right: str) -> None:
    def test(answer: Answer) -> None:
        choices = answer()
        choice = choices.get(name) if isinstance(choices, dict) else None
        expect(choice, right, because=WHY_NOT[name].get(str(choice), "choose release, hold or fix"))

    test.__name__ = f"report_{name}"
    decisions.claim(f"the decision on {name} follows from its report")(test)


for _name, _right in (("A", "hold"), ("B", "fix"), ("C", "release")):
    _choice(_name, _right)

decisions.mistake("a gain is a gain", fails="report_A", old='"A": "hold"', new='"A": "release"')
decisions.mistake(
    "an open question is taken for a defect", fails="report_A", old='"A": "hold"', new='"A": "fix"'
)
decisions.mistake("the best figures win", fails="report_B", old='"B": "fix"', new='"B": "release"')
decisions.mistake(
    "more data is hoped to mend it", fails="report_B", old='"B": "fix"', new='"B": "hold"'
)
decisions.mistake(
    "a loss that is certain is taken for one that matters",
    fails="report_C",
    old='"C": "release"',
    new='"C": "fix"',
)
decisions.mistake(
    "no model is ever good enough", fails="report_C", old='"C": "release"', new='"C": "hold"'
)


@decisions.alternative
def by_verdicts():
    made = {}
    for name, (_, figures) in _MEASURED.items():
        verdicts = {rule.verdict(figure) for rule, figure in zip(RULES, figures, strict=True)}
        made[name] = "fix" if "fail" in verdicts else "hold" if "open" in verdicts else "release"
    return made
