"""Exercises of chapter 05, feature engineering."""

import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from mlsys_lib import World
from mlsys_lib.exercises import cases
from mlsys_lib.exercises.checker import Answer, Same, exercise, expect
from mlsys_lib.features import batch

Build = Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]
Column = Callable[[pd.DataFrame, pd.DataFrame], pd.Series]

# -- landed_late_rate --------------------------------------------------------------------------------


@exercise(
    hints=[
        "Which of the three times of an arrival says that the desk can know of it?",
        "The window is open at its start and closed at its end, so that two windows in a row count each report once.",
        "inside = (arrivals.origin == origin) & (known > since) & (known <= moment), with known = arrivals.available_at; "
        "the mean of an empty column is missing, as it should be.",
    ]
)
def landed_late_rate(decisions, arrivals, hours):
    """The share of late arrivals among those reported in the last `hours`
    before each decision.

    `decisions` (one row or more) has the columns origin and decided_at.
    `arrivals` (possibly none) has origin (where the flight came from),
    sched_arr, event_time (when it landed), available_at (when the report
    reached the desk) and arr_delay in minutes; 15 or more is late. Rows come in
    any order, with any index, and no value is missing. `hours` is above 0 and
    need not be whole. An arrival counts for a decision if it is of the same
    origin and decided_at - hours < available_at <= decided_at. Give a Series
    with the index of `decisions`, in its order; it is missing where nothing
    counts.
    """
    rates = []
    asked = zip(decisions.origin, decisions.decided_at, strict=True)
    for origin, moment in asked:
        since = moment - pd.Timedelta(hours=hours)  # blank
        known = arrivals.available_at  # blank
        inside = (arrivals.origin == origin) & (known > since) & (known <= moment)  # blank
        rate = (arrivals.arr_delay[inside] >= 15).mean()  # blank
        rates.append(rate)
    return pd.Series(rates, index=decisions.index)


def _arrivals(*rows: tuple[str, str, str, str, float]) -> pd.DataFrame:
    made = pd.DataFrame(
        rows, columns=["origin", "sched_arr", "event_time", "available_at", "arr_delay"]
    )
    times = ["sched_arr", "event_time", "available_at"]
    return made.assign(**{t: pd.to_datetime("2013-07-08 " + made[t], utc=True) for t in times})


def _at(*moments: str, origin: str = "EWR") -> pd.DataFrame:
    decided = pd.to_datetime([f"2013-07-08 {moment}" for moment in moments], utc=True)
    return pd.DataFrame({"origin": origin, "decided_at": decided})


_EARLY = ("EWR", "14:00", "13:50", "14:00", -10.0)
_LATE = ("EWR", "14:00", "14:40", "14:50", 40.0)


@landed_late_rate.claim("of two arrivals reported in the window, one late, the rate is a half")
def one_of_two(answer: Answer) -> None:
    expect(answer(_at("15:00"), _arrivals(_EARLY, _LATE), 2), [0.5])


@landed_late_rate.claim("a flight that should have landed by now, and has not, does not count")
def still_flying(answer: Answer) -> None:
    flying = ("EWR", "14:30", "16:30", "16:40", 120.0)
    expect(answer(_at("15:00"), _arrivals(_EARLY, _LATE, flying), 2), [0.5])


@landed_late_rate.claim("a flight that has landed counts only when its report has arrived")
def on_its_way(answer: Answer) -> None:
    expect(answer(_at("14:45", "14:50"), _arrivals(_EARLY, _LATE), 2), [0.0, 0.5])


@landed_late_rate.claim("a report that arrived exactly at the window's start no longer counts")
def start_is_open(answer: Answer) -> None:
    expect(answer(_at("16:00", "15:59"), _arrivals(_EARLY, _LATE), 2), [1.0, 0.5])


@landed_late_rate.claim("only arrivals of the decision's own origin count")
def own_origin(answer: Answer) -> None:
    other = ("JFK", "14:00", "13:50", "14:00", -10.0)
    expect(answer(_at("15:00"), _arrivals(other, _LATE), 2), [1.0])


@landed_late_rate.claim("where nothing landed the rate is missing, not zero")
def nothing(answer: Answer) -> None:
    expect(answer(_at("12:00"), _arrivals(_EARLY), 2), [np.nan])


@landed_late_rate.claim("a delay of 15 minutes is late")
def fifteen(answer: Answer) -> None:
    expect(answer(_at("15:00"), _arrivals(("EWR", "14:00", "14:15", "14:25", 15.0)), 2), [1.0])


@landed_late_rate.claim("a window of one hour is shorter than one of two")
def one_hour(answer: Answer) -> None:
    expect(answer(_at("15:30"), _arrivals(_EARLY, _LATE), 1), [1.0])


@landed_late_rate.claim("on 8 July 2013 it gives what the library gives, row by row")
def like_the_library(answer: Answer) -> None:
    rows, arrivals = _library_day()
    expect(
        answer(rows[["origin", "decided_at"]], arrivals, 2),
        rows.origin_landed_late_2h,
    )


@landed_late_rate.claim("the rates bear the index of the decisions")
def own_index(answer: Answer) -> None:
    moved = _at("14:45", "14:50").set_axis([7, 3])
    expect(answer(moved, _arrivals(_EARLY, _LATE), 2), pd.Series([0.0, 0.5], [7, 3]), index=True)


@cache
def _library_day() -> tuple[pd.DataFrame, pd.DataFrame]:
    world = World("2013-07-09 12:00")
    asked = world.decisions(since="2013-07-08 22:00")[::9]
    return batch(world, asked), world.arrivals(since="2013-07-08")


def _reported_from(decisions: pd.DataFrame, arrivals: pd.DataFrame, since: float) -> pd.DataFrame:
    """For each decision (rows) and arrival (columns), whether it was reported just that many hours before."""
    before = decisions.decided_at - pd.Timedelta(hours=since)
    return pd.DataFrame({i: before == at for i, at in enumerate(arrivals.available_at)})


@landed_late_rate.generated(
    "any decisions, arrivals and hours",
    marks={
        "an arrival is reported just when a window begins": lambda decisions, arrivals, hours: (
            _reported_from(decisions, arrivals, hours).any(axis=None)
        ),
        "an arrival is reported at the moment of a decision": lambda decisions, arrivals, hours: (
            _reported_from(decisions, arrivals, 0).any(axis=None)
        ),
        "the hours are not whole": lambda decisions, arrivals, hours: hours % 1 > 0,
        "the window is longer than a day": lambda decisions, arrivals, hours: hours > 24,
        "a delay lies between 14 and 15 minutes": lambda decisions, arrivals, hours: (
            arrivals.arr_delay.between(14, 15, inclusive="neither").any()
        ),
        "the reports did not come in the order of the rows": lambda decisions, arrivals, hours: (
            not arrivals.available_at.is_monotonic_increasing
        ),
        "the decisions stand in no order of time": lambda decisions, arrivals, hours: (
            not decisions.decided_at.is_monotonic_increasing
        ),
        "there are two origins": lambda decisions, arrivals, hours: decisions.origin.nunique() > 1,
    },
    same=Same(index=True),
    count=60,
)
def any_arrivals(draw):
    """Reports on the ends of the windows and one second beside them, in the windows and around them."""
    hours = draw(st.sampled_from([2, 0.5, 1.5, 1, 36]))
    begin = draw(st.sampled_from(["2013-07-08 23:00", "2023-11-05 04:00", "2013-03-10 06:30"]))
    places = {"origin": (cases.names("EWR", "JFK"), object)}
    decided = {"decided_at": (cases.moments(begin), cases.UTC)}
    decisions = draw(cases.table(places | decided, 1, 3))
    begins = decisions.decided_at - pd.Timedelta(hours=hours)
    inside = st.tuples(st.sampled_from([*begins]), cases.figures(-0.5, 1.5, step=0.1))
    reported = cases.near(*begins, *decisions.decided_at, step=pd.Timedelta("1s")) | inside.map(
        lambda at: at[0] + pd.Timedelta(hours=hours * at[1])
    )
    columns = {
        "arr_delay": (cases.figures(-10, 60, on=[15], step=0.5), float),
        "available_at": (reported, cases.UTC),
        "minutes": (st.sampled_from([10, 0, 45, 200]), int),
    }
    arrivals = draw(cases.table(places | columns, 0, 8))
    landed = arrivals.available_at - pd.to_timedelta(arrivals.minutes, unit="min")
    planned = landed - pd.to_timedelta(arrivals.arr_delay, unit="min")
    arrivals = arrivals.drop(columns="minutes").assign(sched_arr=planned, event_time=landed)
    return decisions, arrivals, hours


landed_late_rate.mistake(
    "the hours are cut to whole ones",
    fails="any_arrivals",
    old="pd.Timedelta(hours=hours)",
    new="pd.Timedelta(hours=max(int(hours), 1))",
)
landed_late_rate.mistake(
    "the rates are numbered from 0",
    fails="own_index",
    old="pd.Series(rates, index=decisions.index)",
    new="pd.Series(rates)",
)
landed_late_rate.mistake(
    "the scheduled arrival is taken for the arrival",
    fails="still_flying",
    old="known = arrivals.available_at",
    new="known = arrivals.sched_arr",
)
landed_late_rate.mistake(
    "landed is taken for known",
    fails="on_its_way",
    old="known = arrivals.available_at",
    new="known = arrivals.event_time",
)
landed_late_rate.mistake(
    "the decision's own moment is left out",
    fails="on_its_way",
    old="(known <= moment)",
    new="(known < moment)",
)
landed_late_rate.mistake(
    "both ends are closed", fails="start_is_open", old="(known > since)", new="(known >= since)"
)
landed_late_rate.mistake(
    "all airports are counted",
    fails="own_origin",
    old="(arrivals.origin == origin) & ",
    new="",
)
landed_late_rate.mistake(
    "no landing is read as no delay",
    fails="nothing",
    old="(arrivals.arr_delay[inside] >= 15).mean()",
    new="(arrivals.arr_delay[inside] >= 15).sum() / max(inside.sum(), 1)",
)
landed_late_rate.mistake("late begins after 15", fails="fifteen", old=">= 15", new="> 15")
landed_late_rate.mistake(
    "late arrivals are divided by all that the airport has had",
    fails="start_is_open",
    old="(arrivals.arr_delay[inside] >= 15).mean()",
    new="(arrivals.arr_delay[inside] >= 15).sum() / (known <= moment).sum()",
)
landed_late_rate.mistake(
    "the window is always two hours",
    fails="one_hour",
    old="pd.Timedelta(hours=hours)",
    new="pd.Timedelta(hours=2)",
)
landed_late_rate.mistake(
    "the day begins anew at midnight, UTC",
    fails="like_the_library",
    old="moment - pd.Timedelta(hours=hours)",
    new="max(moment - pd.Timedelta(hours=hours), moment.normalize())",
)
landed_late_rate.mistake(
    "a count is given for a rate",
    fails="one_of_two",
    old="(arrivals.arr_delay[inside] >= 15).mean()",
    new="(arrivals.arr_delay[inside] >= 15).sum()",
)


for _strict in ("", ", strict=False"):
    landed_late_rate.equivalent(
        "columns of one table are equally long", old=", strict=True", new=_strict
    )


@landed_late_rate.alternative
def with_running_totals(decisions, arrivals, hours):
    made = []
    for origin, asked in decisions.groupby("origin"):
        own = arrivals[arrivals.origin == origin].sort_values("available_at")
        known, late = own.available_at.reset_index(drop=True), (own.arr_delay >= 15).to_numpy()
        sums = np.concatenate([[0], np.cumsum(late)])
        end = known.searchsorted(asked.decided_at, side="right")
        start = known.searchsorted(asked.decided_at - pd.Timedelta(hours=hours), side="right")
        count = (end - start).astype(float)
        count[count == 0] = np.nan
        made.append(pd.Series((sums[end] - sums[start]) / count, index=asked.index))
    return pd.concat(made).reindex(decisions.index)


# -- out_of_fold -------------------------------------------------------------------------------------


def smoothed(keys: pd.Series, late: pd.Series, weight: float) -> pd.Series:
    """The late rate of each key, drawn to the mean as if `weight` average flights had been seen as well.

    Parameters
    ----------
    keys : Series of shape (n_flights,)
        What is encoded, such as the flight number.
    late : Series of shape (n_flights,), 0 or 1
    weight : float

    Returns
    -------
    Series of shape (n_keys,)
        By key.

    Examples
    --------
    >>> smoothed(pd.Series(["a", "a", "b", "b"]), pd.Series([1, 1, 0, 0]), weight=2).to_dict()
    {'a': 0.75, 'b': 0.25}
    """
    seen = late.groupby(keys).agg(["sum", "count"])
    return (seen["sum"] + weight * late.mean()) / (seen["count"] + weight)


@exercise(
    hints=[
        "Take one week at a time. Which rows may tell the codes of its flights?",
        "Everything comes from the other weeks: the sums, the counts, and the mean that they are drawn to.",
        "others = fold != one; smooth = (seen['sum'] + weight * mean) / (seen['count'] + weight); a key that the "
        "other weeks lack is missing after .map, and gets the mean.",
    ]
)
def out_of_fold(keys, late, fold, weight):
    """Encode each key by the late rate of its flights in the other folds,
    smoothed.

    `keys` (what is encoded), `late` (0 or 1) and `fold` (such as the week) are
    Series with one index, whose labels are any, each once. Keys and folds are
    text or numbers, in any order; there are two folds or more, and no value is
    missing. The code of a row comes from the rows of all other folds only: with
    n of its key there, of which k were late, and m the late rate of all rows of
    the other folds, it is (k + weight * m) / (n + weight). `weight` is 0 or
    more and need not be whole. A key that the other folds lack gets m, also if
    the weight is 0. Give a Series with the index of `keys`, in its order; codes
    are not rounded.
    """
    code = pd.Series(np.nan, index=keys.index)
    for one in fold.unique():
        others = fold != one  # blank
        mean = late[others].mean()  # blank
        seen = late[others].groupby(keys[others]).agg(["sum", "count"])
        smooth = (seen["sum"] + weight * mean) / (seen["count"] + weight)  # blank
        code[~others] = keys[~others].map(smooth).fillna(mean)  # blank
    return code


def _folds() -> tuple[pd.Series, pd.Series, pd.Series]:
    index = [7, 3, 5, 11, 2, 9]
    keys = pd.Series(["a", "a", "a", "b", "b", "c"], index=index)
    return keys, pd.Series([1.0, 0, 1, 0, 0, 1], index=index), pd.Series([1, 2, 3, 1, 2, 3], index)


def _flipped(which: int) -> tuple[pd.Series, pd.Series, pd.Series]:
    keys, late, fold = _folds()
    late = late.copy()
    late[which] = 1 - late[which]
    return keys, late, fold


@out_of_fold.claim("the code of a flight does not change with its own label")
def not_its_own(answer: Answer) -> None:
    before = answer(*_folds(), 2).loc[7]
    expect(answer(*_flipped(7), 2).loc[7], before)


@out_of_fold.claim("the codes bear the index of the keys")
def index_of_keys(answer: Answer) -> None:
    expect(list(answer(*_folds(), 2).index), list(_folds()[0].index))


@out_of_fold.claim("nor with the label of another flight of its week")
def not_its_week(answer: Answer) -> None:
    keys, late, fold = _folds()
    keys = keys.replace("b", "a")
    flipped = late.copy()
    flipped[11] = 1 - flipped[11]
    expect(answer(keys, flipped, fold, 2).loc[7], answer(keys, late, fold, 2).loc[7])


@out_of_fold.claim("with weight 2, one late of two elsewhere and a mean of 0.25, the code is 0.375")
def by_hand(answer: Answer) -> None:
    keys, late, fold = _folds()
    expect(answer(keys, late, fold, 2).loc[5], 0.375)


@out_of_fold.claim("a key that the other weeks lack gets their mean")
def unseen_key(answer: Answer) -> None:
    keys, late, fold = _folds()
    expect(answer(keys, late, fold, 2).loc[9], 0.25)


@out_of_fold.claim("with weight 0 it is the plain rate of the other weeks")
def no_weight(answer: Answer) -> None:
    keys, late, fold = _folds()
    expect(answer(keys, late, fold, 0).to_numpy(), [0.5, 1.0, 0.5, 0.0, 0.0, 0.25])


def _elsewhere(keys: pd.Series, fold: pd.Series) -> pd.Series:
    """How many rows of its key each row has in other folds."""
    of_key = keys.groupby(keys).transform("size")
    return of_key - keys.groupby([keys, fold]).transform("size")


@out_of_fold.generated(
    "any keys, labels, folds and weight",
    marks={
        "a key stands in one fold only": lambda keys, late, fold, weight: (
            _elsewhere(keys, fold) == 0
        ).any(),
        "a key stands once in the other folds": lambda keys, late, fold, weight: (
            _elsewhere(keys, fold) == 1
        ).any(),
        "the folds are of different sizes": lambda keys, late, fold, weight: (
            fold.value_counts().nunique() > 1
        ),
        "the folds stand in no order": lambda keys, late, fold, weight: (
            not fold.is_monotonic_increasing
        ),
        "the weight is 0": lambda keys, late, fold, weight: weight == 0,
        "the weight is not whole": lambda keys, late, fold, weight: weight % 1 > 0,
        "all flights are late, or none is": lambda keys, late, fold, weight: late.nunique() == 1,
        "the keys are numbers": lambda keys, late, fold, weight: keys.dtype.kind == "i",
        "the folds are text": lambda keys, late, fold, weight: fold.dtype == object,
    },
    same=Same(index=True),
    count=60,
)
def any_keys(draw):
    key = draw(
        st.sampled_from([(cases.names("UA15", "DL1", "B6"), object), (cases.whole(0, 3), int)])
    )
    fold = draw(
        st.sampled_from(
            [(st.sampled_from([18, 2, 52, 7]), int), (cases.names("May", "June", "July"), object)]
        )
    )
    late = (cases.whole(0, 1), draw(st.sampled_from([float, int])))
    columns = {"key": key, "late": late, "fold": fold}
    rows = draw(cases.table(columns, 2, 9).filter(lambda made: made.fold.nunique() > 1))
    if draw(st.booleans()):
        rows["late"] = draw(cases.labels(len(rows), rows.late.dtype))
    return rows.key, rows.late, rows.fold, draw(st.sampled_from([2, 0, 0.5, 20, 1, 1000]))


out_of_fold.mistake(
    "the mean of the other weeks' rates, so that a small week counts like a large one",
    fails="any_keys",
    old="mean = late[others].mean()",
    new="mean = late[others].groupby(fold[others]).mean().mean()",
)
out_of_fold.mistake(
    "only earlier weeks teach",
    fails="any_keys",
    old="others = fold != one",
    new="others = fold < one if (fold < one).any() else fold != one",
)
out_of_fold.mistake(
    "a flight that is seen once elsewhere is not believed",
    fails="no_weight",
    old="keys[~others].map(smooth)",
    new='keys[~others].map(smooth.where(seen["count"] > 1))',
)
out_of_fold.mistake(
    "the codes come week by week, and are numbered anew",
    fails="index_of_keys",
    old="    return code",
    new="    return code.reset_index(drop=True).set_axis(sorted(code.index))",
)
out_of_fold.mistake(
    "the week's own rows tell its codes",
    fails="by_hand",
    old="others = fold != one",
    new="others = fold == one",
)
out_of_fold.mistake(
    "the weight is forgotten",
    fails="by_hand",
    old='(seen["sum"] + weight * mean) / (seen["count"] + weight)',
    new='seen["sum"] / seen["count"]',
)
out_of_fold.mistake(
    "few flights are drawn to zero instead of the mean",
    fails="by_hand",
    old='(seen["sum"] + weight * mean)',
    new='seen["sum"]',
)
out_of_fold.mistake(
    "the mean is that of all rows, its own among them",
    fails="not_its_own",
    old="mean = late[others].mean()",
    new="mean = late.mean()",
)
out_of_fold.mistake(
    "only the flight itself is left out, not its week",
    fails="not_its_week",
    old="    for one in fold.unique():\n        others = fold != one",
    new="    for one in keys.index:\n        others = keys.index != one",
)
out_of_fold.mistake(
    "a key never seen is on time", fails="unseen_key", old=".fillna(mean)", new=".fillna(0)"
)
out_of_fold.mistake(
    "a key never seen is left missing", fails="unseen_key", old=".fillna(mean)", new=""
)
out_of_fold.mistake(
    "nothing is divided by a count of zero or one",
    fails="no_weight",
    old='/ (seen["count"] + weight)',
    new='/ (seen["count"] + max(weight, 1))',
)


out_of_fold.equivalent("the Series have one index", old="index=keys.index", new="index=late.index")
out_of_fold.equivalent("a fold that is done twice gives the same", old="fold.unique()", new="fold")


@out_of_fold.alternative
def all_minus_own_week(keys, late, fold, weight):
    table = pd.DataFrame({"key": keys, "late": late.astype(float), "fold": fold})

    def elsewhere(part):
        of_key = table.groupby("key").late.transform(part)
        return of_key - table.groupby(["key", "fold"]).late.transform(part)

    own = table.groupby("fold").late
    mean = (table.late.sum() - own.transform("sum")) / (len(table) - own.transform("size"))
    top, bottom = elsewhere("sum") + weight * mean, elsewhere("size") + weight
    return (top / bottom.where(bottom > 0)).fillna(mean)


# -- leaks -------------------------------------------------------------------------------------------


@exercise(
    hints=[
        "A score cannot tell a good feature from a leak. What can never change an honest value?",
        "Build everything once with all outcomes known. Then build each moment's decisions again from the table "
        "as it was known at that moment. What differs, saw the future.",
        "for moment, asked in decisions.groupby('decided_at'): compare build(flights_at(moment), asked)[name] with "
        "build(flights_at(end), decisions).loc[asked.index, name]; Series.equals takes two missing values as equal.",
    ]
)
def leaks(build, flights_at, decisions, end):
    """Name the features that see what was not known at their decision, sorted.

    `build(flights, decisions)` gives a table with a column a feature and the
    index of the decisions that it is given: all of them, or some. `decisions`,
    in any order and with any index, has the columns flight_id, carrier, origin
    and decided_at. `flights_at(moment)` gives the flights as known then:
    outcomes reported later (dep_delay, tailnum, dep_known_at, arr_delay,
    arr_known_at) are missing; one reported at that very moment is known. At
    `end` everything is known. An honest feature has the same value whether it
    is built with what was known at its decision or with everything. Name a
    feature if one value differs, or is missing in one of the two only; any
    difference counts, however small. Features are numbers, text or truth
    values, each of one type, however few decisions are asked. Give a sorted
    list.
    """
    seeing = build(flights_at(end), decisions)  # blank
    found = set()
    for moment, asked in decisions.groupby("decided_at"):
        blind = build(flights_at(moment), asked)  # blank
        for name in seeing:
            same = blind[name].equals(seeing.loc[asked.index, name])  # blank
            if not same:
                found.add(name)
    return sorted(found)


_END = pd.Timestamp("2013-07-12", tz="UTC")


@cache
def _two_days() -> pd.DataFrame:
    world = World(_END)
    table = world.flights(since="2013-07-08 04:00")
    table = table[table.sched_dep < pd.Timestamp("2013-07-10 04:00", tz="UTC")]
    arrived = table.arr_delay.notna()
    known = (table.arr + world.lag).where(arrived, table.available_at)
    return table.assign(dep_known_at=table.dep + world.lag, arr_known_at=known).reset_index(
        drop=True
    )


def flights_at(moment: pd.Timestamp) -> pd.DataFrame:
    """The flights of 8 and 9 July 2013, as far as they were known at a moment.

    Parameters
    ----------
    moment : pandas.Timestamp
        In UTC.

    Returns
    -------
    pandas.DataFrame of shape (n_flights, 11)
        The timetable is complete; outcomes not yet reported are missing.

    Examples
    --------
    >>> flights_at(pd.Timestamp("2013-07-08 16:00", tz="UTC")).arr_delay.notna().sum()
    208
    """
    table = _two_days()
    planned = ["flight_id", "carrier", "origin", "dest", "sched_dep", "sched_arr"]
    shown = table[planned].copy()
    for topic, columns in (("dep", ["dep_delay", "tailnum"]), ("arr", ["arr_delay"])):
        known_at = table[f"{topic}_known_at"]
        known = known_at <= moment
        shown[f"{topic}_known_at"] = known_at.where(known)
        for column in columns:
            shown[column] = table[column].where(known)
    return shown


@cache
def _decisions() -> pd.DataFrame:
    table = _two_days()
    decided_at = (table.sched_dep - pd.Timedelta("2h")).dt.ceil("90min")
    asked = table[["flight_id", "carrier", "origin"]].assign(decided_at=decided_at)
    after = asked[asked.decided_at > pd.Timestamp("2013-07-09 06:00", tz="UTC")]
    odd = after.decided_at.rank(method="dense") % 2 == 1
    return after[odd].groupby(["decided_at", "origin"]).head(4)


def _own(column: str) -> Column:
    return lambda flights, asked: _of(flights, asked)[column]


def _of(flights: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    return flights.set_index("flight_id").loc[asked.flight_id].set_index(asked.index)


def _rate(known: str, hours: float, ahead: float = 0, by: str = "origin") -> Column:
    """The late rate of the flights of the same key whose time `known` lies in a window."""

    def column(flights: pd.DataFrame, asked: pd.DataFrame) -> pd.Series:
        own = flights[flights.arr_delay.notna()].sort_values(known, kind="stable")
        end = asked.decided_at + pd.Timedelta(hours=ahead)
        rates = pd.Series(np.nan, index=asked.index)
        for key, some in asked.groupby(by):
            mine = own[own[by] == key]
            sums = np.concatenate([[0], np.cumsum(mine.arr_delay >= 15)])
            to = mine[known].searchsorted(end[some.index], side="right")
            start = end[some.index] - pd.Timedelta(hours=hours)
            since = mine[known].searchsorted(start, side="right")
            count = np.where(to > since, to - since, np.nan)
            rates[some.index] = (sums[to] - sums[since]) / count
        return rates

    return column


def _target_code(flights: pd.DataFrame, asked: pd.DataFrame) -> pd.Series:
    late = (flights.arr_delay >= 15).where(flights.arr_delay.notna()).astype(float)
    return asked.origin.map(late.groupby(flights.origin).mean())


def _todays_mean(flights: pd.DataFrame, asked: pd.DataFrame) -> pd.Series:
    day = flights.sched_dep.dt.tz_convert("America/New_York").dt.date
    own = _of(flights.assign(day=day), asked).day
    return own.map(flights.dep_delay.groupby(day).mean())


def _landing_order(flights: pd.DataFrame, asked: pd.DataFrame) -> pd.Series:
    """The place of a flight in the order of landing, among those decided at its moment: the mean stays as it is."""
    together = _decisions()
    own = _of(flights, together)
    lands = own.sched_arr + pd.to_timedelta(own.arr_delay.fillna(0), unit="min")
    places = lands.groupby(together.decided_at).rank().set_axis(together.flight_id)
    return places.loc[asked.flight_id].set_axis(asked.index)


HONEST: dict[str, Column] = {
    "dep_hour": lambda flights, asked: _of(flights, asked).sched_dep.dt.hour,
    "route": lambda flights, asked: asked.origin + _of(flights, asked).dest,
    "landed_late_1h": _rate("arr_known_at", 1),
    "landed_late_24h": _rate("arr_known_at", 24),
    "carrier_late_6h": _rate("arr_known_at", 6, by="carrier"),
}
LEAKY: dict[str, Column] = {
    "dep_delay": _own("dep_delay"),
    "arrival_clock": lambda flights, asked: (
        _of(flights, asked)["sched_arr"].dt.hour * 60 + _of(flights, asked).arr_delay
    ),
    "late_by_schedule": _rate("sched_dep", 2),
    "late_centred": _rate("arr_known_at", 2, ahead=1),
    "origin_code": _target_code,
    "has_tailnum": lambda flights, asked: _of(flights, asked).tailnum.notna(),
}
_UNSEEN: dict[str, Column] = {
    "tailnum": _own("tailnum"),
    "todays_mean": _todays_mean,
    "late_next_minutes": _rate("arr_known_at", 1, ahead=0.1),
    "landing_order": _landing_order,
}


def _build(columns: dict[str, Column]) -> Build:
    def build(flights: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({name: make(flights, asked) for name, make in columns.items()})

    return build


def _named(answer: Answer, *names: str) -> None:
    known = LEAKY | _UNSEEN
    honest = HONEST if not names else {"landed_late_1h": HONEST["landed_late_1h"]}
    columns = honest | {name: known[name] for name in names}
    expect(answer(_build(columns), flights_at, _decisions(), _END), sorted(names))


@leaks.claim("it names none of five honest features, one of them text, one missing at night")
def passes_honest(answer: Answer) -> None:
    _named(answer)


@leaks.claim("it names the departure delay and the arrival clock")
def own_outcomes(answer: Answer) -> None:
    _named(answer, "dep_delay", "arrival_clock")


@leaks.claim("it names the window by schedule and the centred window")
def shifted_windows(answer: Answer) -> None:
    _named(answer, "late_by_schedule", "late_centred")


@leaks.claim("it names a target code over all rows, though it moves by little")
def in_fold_code(answer: Answer) -> None:
    _named(answer, "origin_code")


@leaks.claim("it names a feature that leaks only by what is missing")
def by_absence(answer: Answer) -> None:
    _named(answer, "has_tailnum", "dep_delay")


@leaks.claim("it names a leak that is text")
def in_text(answer: Answer) -> None:
    _named(answer, "tailnum", "origin_code")


@leaks.claim("it names a leak of a few minutes, and the mean of a day that is not over")
def small_leaks(answer: Answer) -> None:
    _named(answer, "late_next_minutes", "todays_mean")


@leaks.claim("it names a leak that only lets decisions change places, and leaves the mean as it is")
def by_order(answer: Answer) -> None:
    _named(answer, "landing_order")


def _since(flights: pd.DataFrame, asked: pd.DataFrame, known: str, ahead: str, by: str) -> Any:
    """For each decision, the flights of its key whose time `known` is past by then, in that order."""
    ordered = flights.sort_values(known, kind="stable")
    for key, moment in zip(asked[by], asked.decided_at, strict=True):
        yield ordered[(ordered[by] == key) & (ordered[known] <= moment + pd.Timedelta(ahead))]


def _last(what: str, known: str, ahead: str = "0s", by: str = "origin") -> Column:
    """The last value of a key's flights, by a time."""

    def column(flights: pd.DataFrame, asked: pd.DataFrame) -> pd.Series:
        there = [some[what].dropna() for some in _since(flights, asked, known, ahead, by)]
        made = [some.iloc[-1] if len(some) else None for some in there]
        return pd.Series(made, asked.index, flights[what].dtype)

    return column


def _mean(known: str, ahead: str = "0s", by: str = "origin") -> Column:
    """The mean arrival delay of a key's flights, by a time."""

    def column(flights: pd.DataFrame, asked: pd.DataFrame) -> pd.Series:
        some = _since(flights, asked, known, ahead, by)
        return pd.Series([one.arr_delay.mean() for one in some], asked.index, float)

    return column


def _lands_at(flights: pd.DataFrame, asked: pd.DataFrame) -> pd.Series:
    """When a flight lands, in seconds since 1970: a large number, of which minutes are a small part."""
    own = _of(flights, asked)
    planned = (own.sched_arr - pd.Timestamp("1970-01-01", tz="UTC")) / pd.Timedelta("1s")
    return planned + 60 * own.arr_delay.fillna(0)


def _place(flights: pd.DataFrame, asked: pd.DataFrame) -> pd.Series:
    """The flight's place in the order of landing among all flights."""
    lands = flights.sched_arr + pd.to_timedelta(flights.arr_delay.fillna(0), unit="min")
    return _of(flights.assign(place=lands.rank()), asked).place


SIMULATED: dict[str, Column] = {
    "departure hour": lambda flights, asked: _of(flights, asked).sched_dep.dt.hour,
    "route": lambda flights, asked: asked.origin + _of(flights, asked).dest,
    "own departure delay": _own("dep_delay"),
    "own aircraft": _own("tailnum"),
    "landing in seconds since 1970": _lands_at,
    "place in the order of landing": _place,
    "own aircraft is known": lambda flights, asked: _of(flights, asked).tailnum.notna(),
    "own flight has landed early": lambda flights, asked: _of(flights, asked).arr_delay < 0,
    "delay last reported, by airport": _last("arr_delay", "arr_known_at"),
    "delay last reported, by airline": _last("arr_delay", "arr_known_at", by="carrier"),
    "aircraft last reported": _last("tailnum", "dep_known_at"),
    "delay last scheduled": _last("arr_delay", "sched_arr"),
    "aircraft last scheduled": _last("tailnum", "sched_dep"),
    "mean of what is reported": _mean("arr_known_at"),
    "mean of what is reported a minute later": _mean("arr_known_at", "1min"),
    "mean of what is reported in a day": _mean("arr_known_at", "1D", by="carrier"),
    "mean of what is scheduled": _mean("sched_arr"),
    "share late, of all rows": _target_code,
}


def _as_known(table: pd.DataFrame) -> Callable[[pd.Timestamp], pd.DataFrame]:
    """A `flights_at` of these flights."""

    def known_at(moment: pd.Timestamp) -> pd.DataFrame:
        made = table.copy()
        for topic, columns in (("dep", ["dep_delay", "tailnum"]), ("arr", ["arr_delay"])):
            columns = [*columns, f"{topic}_known_at"]
            made[columns] = made[columns].where(table[f"{topic}_known_at"] <= moment)
        return made

    return known_at


def _named_of(
    answer: Answer, flights: pd.DataFrame, decisions: pd.DataFrame, features: list[str]
) -> Any:
    """What an answer names of these features, built from these flights."""
    end = max(flights.arr_known_at.max(), decisions.decided_at.max()) + pd.Timedelta("1D")
    build = _build({name: SIMULATED[name] for name in features})
    return answer(build, _as_known(flights), decisions, end)


def _is_named(flights: pd.DataFrame, decisions: pd.DataFrame, features: list[str]) -> list[str]:
    named: list[str] = _named_of(leaks.answer, flights, decisions, features)
    return named


@leaks.generated(
    "features of a few simulated flights, some of them leaky",
    run=_named_of,
    marks={
        "no feature leaks": lambda *given: not _is_named(*given),
        "a report arrives at the moment of a decision": lambda flights, decisions, features: (
            decisions.decided_at.isin(flights.arr_known_at).any()
            or decisions.decided_at.isin(flights.dep_known_at).any()
        ),
        "two flights are decided at one moment": lambda flights, decisions, features: (
            not decisions.decided_at.is_unique
        ),
        "the decisions stand in no order of time": lambda flights, decisions, features: (
            not decisions.decided_at.is_monotonic_increasing
        ),
        "a leak is text": lambda *given: "aircraft" in " ".join(_is_named(*given)),
        "a leak differs by less than a millionth": lambda *given: (
            "landing in seconds since 1970" in _is_named(*given)
        ),
    },
    count=40,
    steps=50,
)
def any_features(draw):
    """Two to six flights; some decisions are made just when a report arrives, or one second beside it."""
    begin = pd.Timestamp(draw(st.sampled_from(["2013-07-08", "2023-03-12"])), tz="UTC")
    minutes = cases.whole(0, 30).map(lambda n: begin + pd.Timedelta(minutes=30 * n))
    names = cases.names
    columns = {
        "carrier": (names("AA", "UA"), object),
        "origin": (names("EWR", "JFK"), object),
        "dest": (names("MIA", "LAX"), object),
        "sched_dep": (minutes, cases.UTC),
        "dep_delay": (cases.figures(-5, 60, on=[15], step=5), float),
        "tailnum": (names("N1", "N2", "N3"), object),
        "arr_delay": (cases.figures(-20, 60, on=[15], step=5), float),
    }
    flights = draw(cases.table(columns, 2, 6, labels=False))
    flights.insert(0, "flight_id", [f"flight {i}" for i in range(len(flights))])
    flights.insert(5, "sched_arr", flights.sched_dep + pd.Timedelta("2h"))
    for topic, planned in (("dep", "sched_dep"), ("arr", "sched_arr")):
        late = pd.to_timedelta(flights[f"{topic}_delay"] + 10, unit="min")
        flights[f"{topic}_known_at"] = flights[planned] + late
    reports = cases.near(*flights.arr_known_at, *flights.dep_known_at, step=pd.Timedelta("1s"))
    asked = draw(cases.some(st.sampled_from(range(len(flights))), 1, len(flights), unique=True))
    moments = draw(cases.some(reports | minutes, 1, 3))
    decided = draw(cases.some(st.sampled_from(moments), len(asked), len(asked)))
    decisions = flights.loc[asked, ["flight_id", "carrier", "origin"]]
    decisions = decisions.assign(decided_at=pd.Series(decided, asked, cases.UTC))
    features = draw(cases.some(st.sampled_from([*SIMULATED]), 1, 8, unique=True))
    return flights, decisions.set_axis(draw(cases.index(len(asked)))), features


leaks.mistake(
    "a report of the very moment is hidden",
    fails="any_features",
    old="blind = build(flights_at(moment), asked)",
    new="blind = build(flights_at(moment - pd.Timedelta('1min')), asked)",
)
leaks.mistake(
    "the last moment stands for all",
    fails="any_features",
    old="""    for moment, asked in decisions.groupby("decided_at"):""",
    new="""    for moment, asked in list(decisions.groupby("decided_at"))[-1:]:""",
)
leaks.mistake(
    "numbers that are close are the same",
    fails="any_features",
    old="same = blind[name].equals(seeing.loc[asked.index, name])",
    new="""then, now = blind[name], seeing.loc[asked.index, name]
            same = np.allclose(then, now, equal_nan=True) if then.dtype == float else then.equals(now)""",
)
leaks.mistake(
    "the first decision of a moment stands for the others",
    fails="any_features",
    old="blind = build(flights_at(moment), asked)",
    new="asked = asked.head(1)\n        blind = build(flights_at(moment), asked)",
)
leaks.mistake(
    "means are compared",
    fails="by_order",
    old="same = blind[name].equals(seeing.loc[asked.index, name])",
    new="""then, now = blind[name], seeing.loc[asked.index, name]
            alike = then.equals(now) if then.dtype == object else then.mean() == now.mean()
            same = alike and then.isna().sum() == now.isna().sum() or then.isna().all() and now.isna().all()""",
)
leaks.mistake(
    "known by their names",
    fails="any_features",
    old="same = blind[name].equals(seeing.loc[asked.index, name])",
    new="same = name in HONEST or 'last reported' in name or name in ('departure hour', 'route')",
)
leaks.mistake(
    "a missing value differs from a missing value",
    fails="passes_honest",
    old="blind[name].equals(seeing.loc[asked.index, name])",
    new="(blind[name] == seeing.loc[asked.index, name]).all()",
)
leaks.mistake(
    "decisions that lie after the moment are compared as well",
    fails="passes_honest",
    old="""blind = build(flights_at(moment), asked)
        for name in seeing:
            same = blind[name].equals(seeing.loc[asked.index, name])""",
    new="""blind = build(flights_at(moment), decisions)
        for name in seeing:
            same = blind[name].equals(seeing[name])""",
)
leaks.mistake(
    "what predicts too well is a leak",
    fails="own_outcomes",
    old="same = blind[name].equals(seeing.loc[asked.index, name])",
    new="""late = flights_at(end).set_index("flight_id").arr_delay.loc[decisions.flight_id] >= 15
            own = pd.to_numeric(seeing[name], errors="coerce")
            same = not abs(own.corr(pd.Series(late.to_numpy(), decisions.index).astype(float))) > 0.7""",
)
leaks.mistake(
    "the same table is used twice",
    fails="own_outcomes",
    old="blind = build(flights_at(moment), asked)",
    new="blind = build(flights_at(end), asked)",
)
leaks.mistake(
    "only values present in both tables are compared",
    fails="own_outcomes",
    old="blind[name].equals(seeing.loc[asked.index, name])",
    new="(blind[name].isna() | (blind[name] == seeing.loc[asked.index, name]) | seeing[name].isna()[asked.index]).all()",
)
leaks.mistake(
    "only the flight's own outcome is hidden, not those of the others",
    fails="shifted_windows",
    old="blind = build(flights_at(moment), asked)",
    new="""own = flights_at(end).set_index("flight_id")
        then = flights_at(moment).set_index("flight_id")
        blind = build(pd.concat([own.drop(asked.flight_id), then.loc[asked.flight_id]]).reset_index(), asked)""",
)
leaks.mistake(
    "a difference below a fifth is forgiven",
    fails="in_fold_code",
    old="same = blind[name].equals(seeing.loc[asked.index, name])",
    new="""now, then = blind[name], seeing.loc[asked.index, name]
            close = now.dtype.kind == "f" and np.allclose(now, then, atol=0.2, equal_nan=True)
            same = now.equals(then) or close""",
)
leaks.mistake(
    "yes and no are no numbers, so they are not looked at",
    fails="by_absence",
    old="same = blind[name].equals(seeing.loc[asked.index, name])",
    new="""same = blind[name].dtype == bool or blind[name].equals(seeing.loc[asked.index, name])""",
)
leaks.mistake(
    "text is not looked at",
    fails="in_text",
    old="for name in seeing:",
    new="for name in seeing.select_dtypes(['number', 'bool']):",
)
leaks.mistake(
    "one look at the first moment is enough",
    fails="shifted_windows",
    old="""    for moment, asked in decisions.groupby("decided_at"):""",
    new="""    for moment, asked in list(decisions.groupby("decided_at"))[:1]:""",
)


leaks.mistake(
    "the reports of the next ten minutes are let in as well",
    fails="small_leaks",
    old="blind = build(flights_at(moment), asked)",
    new="blind = build(flights_at(moment + pd.Timedelta('10min')), asked)",
)


@leaks.alternative
def decision_by_decision(build, flights_at, decisions, end):
    seeing = build(flights_at(end), decisions)
    blind = pd.concat(
        [
            build(flights_at(moment), decisions[decisions.decided_at == moment])
            for moment in decisions.decided_at.unique()
        ]
    ).reindex(decisions.index)
    differ = (blind != seeing) & ~(blind.isna() & seeing.isna())
    return sorted(differ.columns[differ.any()])


# -- staleness_cost ----------------------------------------------------------------------------------


@exercise(
    hints=[
        "A version knows what had happened when its job began. When can the service first read it?",
        "The age of a feature is counted from the cut of the data, not from the publication. Of the versions that "
        "are out at the decision, take the last.",
        "last = published.searchsorted(decided_at, side='right') - 1, hours from cuts[last]; price each decision with "
        "np.interp(hours, ages, costs), and only then take the mean.",
    ]
)
def staleness_cost(decided_at, cuts, takes, ages, costs):
    """What a flight costs on average if a job refreshes features now and then.

    Each job takes the data as it is at its moment in `cuts` (a DatetimeIndex,
    increasing) and publishes `takes` (a Timedelta, possibly zero or longer than
    the time to the next cut) later. A decision at a moment of `decided_at` (a
    DatetimeIndex, one or more, in any order, some equal) reads the last version
    published at or before it; there always is one. Its features are as old as
    that version's cut, in hours. `ages` (hours, increasing) and `costs`, lists
    of one point or more, are the measured curve: interpolate linearly; beyond
    its ends, its ends hold. Give the mean over decisions, not rounded.
    """
    published = cuts + takes  # blank
    last = published.searchsorted(decided_at, side="right") - 1  # blank
    hours = (decided_at - cuts[last]) / pd.Timedelta("1h")  # blank
    return float(np.interp(hours, ages, costs).mean())  # blank


def _moments(*clocks: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([f"2013-07-08 {clock}" for clock in clocks], tz="UTC")


_HALF, _LINE = pd.Timedelta("30min"), ([0.0, 10.0], [40.0, 50.0])
_CUTS = _moments("00:00", "06:00", "12:00")


@staleness_cost.claim("features cut at 6:00, out at 6:30 and read at 7:30 are 90 minutes old")
def from_the_cut(answer: Answer) -> None:
    expect(answer(_moments("07:30"), _CUTS, _HALF, *_LINE), 41.5)


@staleness_cost.claim("a version that is not out yet is not read: at 12:20 the last cut is 6:00")
def not_out_yet(answer: Answer) -> None:
    expect(answer(_moments("12:20"), _CUTS, _HALF, *_LINE), 40 + 6 + 1 / 3)


@staleness_cost.claim("a version that comes out at the moment of the decision is read")
def just_out(answer: Answer) -> None:
    expect(answer(_moments("12:30"), _CUTS, _HALF, *_LINE), 40.5)


@staleness_cost.claim("two ages cost the mean of their costs, not the cost of their mean")
def mean_of_costs(answer: Answer) -> None:
    hump = ([0.0, 1.0, 3.0, 5.0, 10.0], [40.0, 40.0, 60.0, 40.0, 40.0])
    expect(answer(_moments("07:00", "11:00"), _CUTS, _HALF, *hump), 40.0)


@staleness_cost.claim("between two measured ages it interpolates, beyond the last it stays")
def along_the_curve(answer: Answer) -> None:
    curve = ([0.0, 2.0, 4.0], [40.0, 44.0, 60.0])
    expect(answer(_moments("09:00", "11:45"), _CUTS, _HALF, *curve), 56.0)
    day_old = pd.DatetimeIndex(["2013-07-07 00:00", "2013-07-08 12:00"], tz="UTC")
    expect(answer(_moments("02:00"), day_old, _HALF, [1.0, 30.0], [40.0, 69.0]), 65.0)
    expect(answer(_moments("12:30"), day_old, _HALF, [1.0, 30.0], [40.0, 69.0]), 40.0)
    three = _moments("07:00", "08:00", "11:00")
    expect(answer(three, _CUTS, _HALF, *_LINE), 40 + 8 / 3)


def _read(decided_at: Any, cuts: Any, takes: Any) -> tuple[Any, Any]:
    """The version that each decision reads, and how old it is, in hours."""
    last = (cuts + takes).searchsorted(decided_at, side="right") - 1
    return last, (decided_at - cuts[last]) / pd.Timedelta("1h")


@staleness_cost.generated(
    "any decisions, jobs and curve",
    marks={
        "a version comes out at the moment of a decision": lambda decided_at, cuts, takes, *curve: (
            decided_at.isin(cuts + takes).any()
        ),
        "a version is cut and not out yet": lambda decided_at, cuts, takes, *curve: (
            _read(decided_at, cuts, takes)[0] + 1 < cuts.searchsorted(decided_at, "right")
        ).any(),
        "a job takes longer than the time to the next cut": (
            lambda decided_at, cuts, takes, *curve: bool((np.diff(cuts) < takes).any())
        ),
        "features are more than a day old": lambda decided_at, cuts, takes, *curve: (
            _read(decided_at, cuts, takes)[1].max() > 24
        ),
        "features are younger than the first point of the curve": (
            lambda decided_at, cuts, takes, ages, costs: (
                _read(decided_at, cuts, takes)[1].min() < ages[0]
            )
        ),
        "features are older than the last point of the curve": (
            lambda decided_at, cuts, takes, ages, costs: (
                _read(decided_at, cuts, takes)[1].max() > ages[-1]
            )
        ),
        "two decisions fall on one moment": lambda decided_at, *job: not decided_at.is_unique,
        "the decisions stand in no order": lambda decided_at, *job: (
            not decided_at.is_monotonic_increasing
        ),
        "the curve falls somewhere": lambda decided_at, cuts, takes, ages, costs: (
            costs != sorted(costs)
        ),
        "the jobs do not run at equal distances": lambda decided_at, cuts, takes, *curve: (
            len(set(np.diff(cuts))) > 1
        ),
    },
    count=60,
)
def any_jobs(draw):
    begin = pd.Timestamp(draw(st.sampled_from(["2013-07-08", "2023-11-04 22:00"])), tz="UTC")
    gaps = draw(cases.some(st.sampled_from([6, 1, 0.25, 30]), 0, 4))
    cuts = begin + pd.to_timedelta(np.cumsum([0, *gaps]), unit="h")
    takes = pd.Timedelta(minutes=draw(st.sampled_from([30, 0, 90, 600])))
    published = cases.near(*(cuts + takes), step=pd.Timedelta("1s"))
    later = cases.whole(0, 2400).map(lambda n: cuts[0] + takes + pd.Timedelta(minutes=n))
    decided = draw(cases.some((published | later).filter(lambda at: at >= cuts[0] + takes), 1, 5))
    if draw(st.booleans()):
        decided.append(decided[0])
    ages = sorted(draw(cases.some(cases.figures(0, 40, step=0.5), 1, 4, unique=True)))
    costs = draw(cases.some(cases.figures(38, 60, step=0.5), len(ages), len(ages)))
    return pd.DatetimeIndex(decided), cuts, takes, ages, costs


staleness_cost.mistake(
    "each different age counts once",
    fails="any_jobs",
    old="np.interp(hours, ages, costs)",
    new="np.interp(np.unique(hours), ages, costs)",
)
staleness_cost.mistake(
    "features are never more than a day old",
    fails="along_the_curve",
    old='(decided_at - cuts[last]) / pd.Timedelta("1h")',
    new="(decided_at - cuts[last]).seconds / 3600",
)
staleness_cost.mistake(
    "while a job runs, the version before its own is read, and never an older one",
    fails="any_jobs",
    old='last = published.searchsorted(decided_at, side="right") - 1',
    new="""begun = cuts.searchsorted(decided_at, side="right") - 1
    last = np.where(published[begun] <= decided_at, begun, np.maximum(begun - 1, 0))""",
)
staleness_cost.mistake(
    "the last slope goes on beyond the curve",
    fails="along_the_curve",
    old="np.interp(hours, ages, costs).mean()",
    new="""np.mean([
        np.interp(h, ages, costs) if h <= ages[-1] or len(ages) < 2
        else costs[-1] + (h - ages[-1]) * (costs[-1] - costs[-2]) / (ages[-1] - ages[-2])
        for h in hours
    ])""",
)
staleness_cost.mistake(
    "the age is counted from the publication",
    fails="from_the_cut",
    old="(decided_at - cuts[last])",
    new="(decided_at - published[last])",
)
staleness_cost.mistake(
    "a job's result is there the moment it begins",
    fails="not_out_yet",
    old="published.searchsorted(",
    new="cuts.searchsorted(",
)
staleness_cost.mistake(
    "a version must be out before the decision",
    fails="just_out",
    old='side="right"',
    new='side="left"',
)
staleness_cost.mistake(
    "the mean age is priced",
    fails="mean_of_costs",
    old="np.interp(hours, ages, costs).mean()",
    new="np.interp(np.mean(hours), ages, costs)",
)
staleness_cost.mistake(
    "the curve is a straight line through its ends",
    fails="along_the_curve",
    old="np.interp(hours, ages, costs).mean()",
    new="np.interp(hours, [ages[0], ages[-1]], [costs[0], costs[-1]]).mean()",
)
staleness_cost.mistake(
    "the worst age is priced for all",
    fails="along_the_curve",
    old="np.interp(hours, ages, costs).mean()",
    new="np.interp(np.max(hours), ages, costs)",
)


@staleness_cost.alternative
def version_by_version(decided_at, cuts, takes, ages, costs):
    total = 0.0
    for moment in decided_at:
        cut = max(c for c in cuts if c + takes <= moment)
        total += np.interp((moment - cut).total_seconds() / 3600, ages, costs)
    return total / len(decided_at)


# -- hash_code ---------------------------------------------------------------------------------------


@exercise(
    hints=[
        "The code of a name may depend on nothing but the name: not on the other names, not on the run.",
        "Python's hash of a text changes from one process to the next. zlib.crc32 of its bytes does not.",
        "zlib.crc32(value.encode()) % buckets for each value; test for missing ones with pd.isna first.",
    ]
)
def hash_code(values, buckets):
    """Encode names as numbers 0 to buckets - 1 that any process, on any day,
    gives the same name.

    `values` is a Series of text, possibly empty, whose index is any. The code
    of a name is the CRC-32 checksum (`zlib.crc32`) of its UTF-8 bytes, just as
    it stands: every letter, capital and space counts, and a text of no letters
    is a name too. It is taken modulo `buckets` (1 or more). A missing value
    (None or NaN) gets -1. Give a Series of whole numbers with the index of
    `values`, in its order. Nothing is learnt, so a name that was never seen
    gets a code like any other.
    """
    codes = [-1 if pd.isna(v) else zlib.crc32(v.encode()) % buckets for v in values]  # blank
    return pd.Series(codes, index=values.index, dtype="int64")


@hash_code.claim(
    "the published check value of CRC-32, of '123456789', is 0xCBF43926: 262 modulo 1000"
)
def check_value(answer: Answer) -> None:
    expect(answer(pd.Series(["123456789"]), 1000), [262])


@hash_code.claim("a name has the same code whichever names stand beside it")
def whoever_is_there(answer: Answer) -> None:
    alone = answer(pd.Series(["YX"]), 64).iloc[0]
    expect(answer(pd.Series(["UA", "AA", "YX"]), 64).iloc[2], alone)


@hash_code.claim("a missing value is -1, and the index is that of the names")
def missing(answer: Answer) -> None:
    codes = answer(pd.Series(["123456789", None, np.nan], index=[4, 2, 9]), 1000)
    expect(codes, pd.Series([262, -1, -1], index=[4, 2, 9]), index=True)


@hash_code.claim("codes are whole numbers, with missing values too")
def whole_numbers(answer: Answer) -> None:
    expect(answer(pd.Series(["123456789", None]), 1000), pd.Series([262, -1]), kind=True)


@hash_code.claim("letters beyond ASCII count as their UTF-8 bytes: 'é' is 2 bytes")
def utf8(answer: Answer) -> None:
    expect(answer(pd.Series(["é"]), 2**32).iloc[0], zlib.crc32(b"\xc3\xa9"))


@hash_code.generated(
    "any names and any number of buckets",
    marks={
        "a name has no letters": lambda values, buckets: (values == "").any(),
        "a name begins or ends with a space": lambda values, buckets: any(
            text != text.strip() for text in values.dropna()
        ),
        "a name is not in capitals": lambda values, buckets: any(
            text != text.upper() for text in values.dropna()
        ),
        "a name has letters beyond ASCII": lambda values, buckets: any(
            not text.isascii() for text in values.dropna()
        ),
        "a name looks like a number": lambda values, buckets: any(
            text.isdecimal() for text in values.dropna()
        ),
        "there is one bucket": lambda values, buckets: buckets == 1,
        "there are more than a million buckets": lambda values, buckets: buckets > 1e6,
        "the number of buckets is no power of two": lambda values, buckets: (
            buckets & (buckets - 1) > 0
        ),
    },
    same=Same(index=True),
    count=60,
)
def any_names(draw):
    known = ["UA", "AA", "YX", "9E", "ua", "", " ", "UA ", "\tB6", "007", "7", "7.0", "nan", "None"]
    odd = ["é", "e\u0301", "São Paulo", "北京", "🛫", "UA\n", "a" * 300]
    name = (
        cases.names(*known, missing=True)
        | cases.names(*odd)
        | st.just(np.nan)
        | st.text(max_size=4)
    )
    values = draw(cases.some(name.filter(_is_text), 0, 6))
    index = draw(cases.index(len(values), equal=True))
    buckets = draw(st.sampled_from([64, 1, 2, 1000, 7, 2**20, 2**32, 10**10]) | cases.whole(1, 99))
    return pd.Series(values, index, object), buckets


def _is_text(value: Any) -> bool:
    """Whether it is missing, or has UTF-8 bytes: half of a pair of surrogates has none."""
    return not isinstance(value, str) or not any(
        0xD800 <= ord(letter) <= 0xDFFF for letter in value
    )


hash_code.mistake(
    "a name of no letters is missing",
    fails="any_names",
    old="-1 if pd.isna(v) else",
    new="-1 if pd.isna(v) or not v else",
)
hash_code.mistake(
    "spaces are cut off", fails="any_names", old="v.encode()", new="v.strip().encode()"
)
hash_code.mistake(
    "capitals do not count", fails="any_names", old="v.encode()", new="v.lower().encode()"
)
hash_code.mistake(
    "what is missing makes the column one of floats",
    fails="whole_numbers",
    old='dtype="int64"',
    new="dtype=float",
)
hash_code.mistake(
    "Python's own hash, which changes with each process",
    fails="check_value",
    old="zlib.crc32(v.encode())",
    new="(hash(v) << 3)",  # never 262 modulo 1000, whatever the process
)
hash_code.mistake(
    "the letters are added up",
    fails="check_value",
    old="zlib.crc32(v.encode())",
    new="sum(map(ord, v))",
)
hash_code.mistake(
    "the position among the names is taken in",
    fails="whoever_is_there",
    old="zlib.crc32(v.encode()) % buckets for v in values",
    new="(zlib.crc32(v.encode()) + i) % buckets for i, v in enumerate(values)",
)
hash_code.mistake(
    "the last bucket is left out",
    fails="check_value",
    old="% buckets",
    new="% (buckets - 1)",
)
hash_code.mistake(
    "a missing value is hashed like a name",
    fails="missing",
    old="-1 if pd.isna(v) else zlib.crc32(v.encode())",
    new="zlib.crc32(str(v).encode())",
)
hash_code.mistake(
    "bytes of another alphabet", fails="utf8", old="v.encode()", new='v.encode("latin-1")'
)


hash_code.equivalent("pandas makes whole numbers of a list of them", old=', dtype="int64"', new="")


@hash_code.alternative
def each_name_once(values, buckets):
    code = {name: zlib.crc32(bytes(name, "utf-8")) % buckets for name in values.dropna().unique()}
    return values.map(code).fillna(-1).astype("int64")
