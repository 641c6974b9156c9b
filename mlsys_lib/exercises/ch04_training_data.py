"""Exercises of chapter 04, training data."""

import heapq
import random
import weakref
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from mlsys_lib import World
from mlsys_lib.exercises.checker import Answer, exercise, expect
from mlsys_lib.features import batch
from mlsys_lib.metrics import auc, day_block
from mlsys_lib.sampling import majority
from mlsys_lib.world import HOME

# -- training_labels ---------------------------------------------------------------------------------


@exercise(
    hints=[
        "Two moments matter for each flight: when it was due to leave, and when its outcome could be known. Which "
        "of them says whether the flight is old enough, and which whether its label is here?",
        "Old enough is a question about `sched_dep` alone. If you let the label's arrival decide who is in, the "
        "flights that report first are in first.",
        "old_enough = outcomes.sched_dep <= now - wait; known = outcomes.available_at <= now; a cancelled flight "
        "has no label to drop in: .dropna().",
    ]
)
def training_labels(outcomes, now, wait):
    """The labels to train on at `now`, if you wait until flights are `wait` old.

    `outcomes` comes from an archive that knows how everything ended: `sched_dep`,
    `available_at` (when the desk could first know the outcome; both in UTC) and
    `late` (1.0 or 0.0; missing for a cancelled flight). Give the `late` of the
    flights that were scheduled to leave at least `wait` ago, as far as they had a
    label by `now`. Keep the index.
    """
    old_enough = outcomes.sched_dep <= now - wait  # blank
    known = outcomes.available_at <= now  # blank
    return outcomes.late[old_enough & known].dropna()  # blank


_NOW = pd.Timestamp("2013-05-11 22:00", tz="UTC")
_HALF_A_DAY = pd.Timedelta("12h")


def _ended(*flights: tuple[str, str, float]) -> pd.DataFrame:
    table = pd.DataFrame(flights, columns=["sched_dep", "available_at", "late"])
    return table.assign(
        **{name: pd.to_datetime(table[name], utc=True) for name in ("sched_dep", "available_at")}
    )


def _kept(answer: Answer, *flights: tuple[str, str, float]) -> Any:
    return pd.Series(answer(_ended(*flights), _NOW, _HALF_A_DAY)).to_dict()


@training_labels.claim("a flight that left two hours ago is too young, though its label is here")
def young(answer: Answer) -> None:
    old = ("2013-05-11 06:00", "2013-05-11 09:30", 1.0)
    expect(_kept(answer, ("2013-05-11 20:00", "2013-05-11 21:30", 0.0), old), {1: 1.0})


@training_labels.claim("a flight of this morning that is still in the air has no label yet")
def in_the_air(answer: Answer) -> None:
    landed = ("2013-05-11 06:00", "2013-05-11 09:30", 0.0)
    expect(_kept(answer, ("2013-05-11 09:00", "2013-05-11 22:01", 1.0), landed), {1: 0.0})


@training_labels.claim("a flight exactly `wait` old, whose report arrives at `now`, counts")
def on_the_dot(answer: Answer) -> None:
    expect(_kept(answer, ("2013-05-11 10:00", "2013-05-11 22:00", 1.0)), {0: 1.0})


@training_labels.claim("a cancelled flight is neither late nor on time")
def cancelled(answer: Answer) -> None:
    landed = ("2013-05-11 08:00", "2013-05-11 11:00", 1.0)
    expect(_kept(answer, ("2013-05-11 08:00", "2013-05-11 08:10", np.nan), landed), {1: 1.0})


@training_labels.claim(
    "at noon on 12 May, with a wait of a day, you keep what the library's clock would"
)
def by_the_clock(answer: Answer) -> None:
    now, wait = pd.Timestamp("2013-05-12 16:00", tz="UTC"), pd.Timedelta("24h")
    world = World(now).labels(since="2013-05-01")
    due = World(now).flights(since="2013-05-01").sched_dep
    expected = world.late[(due <= now - wait) & (world.status == "matured")]
    archive = World(now).hindsight()
    outcomes = archive.labels(since="2013-05-01")
    outcomes["sched_dep"] = archive.flights(since="2013-05-01").sched_dep
    got = answer(outcomes[["sched_dep", "available_at", "late"]], now, wait)
    expect([len(got), float(got.sum())], [len(expected), float(expected.sum())])


training_labels.mistake(
    "every label that is here",
    fails="young",
    old="outcomes.sched_dep <= now - wait",
    new="outcomes.sched_dep <= now",
)
training_labels.mistake(
    "whole days are old enough",
    fails="young",
    old="outcomes.sched_dep <= now - wait",
    new="outcomes.sched_dep.dt.normalize() <= now - wait",
)
training_labels.mistake(
    "the archive has the label, so it is known",
    fails="in_the_air",
    old="outcomes.available_at <= now",
    new="outcomes.late.notna()",
)
training_labels.mistake(
    "what has not landed counts as on time",
    fails="in_the_air",
    old="outcomes.late[old_enough & known]",
    new="outcomes.late.where(known, 0.0)[old_enough]",
)
training_labels.mistake(
    "the wait is counted from the report",
    fails="on_the_dot",
    old="outcomes.sched_dep <= now - wait",
    new="outcomes.available_at <= now - wait",
)
training_labels.mistake(
    "a report that arrives now comes too late",
    fails="on_the_dot",
    old="outcomes.available_at <= now",
    new="outcomes.available_at < now",
)
training_labels.mistake(
    "cancelled is not late, so it is on time",
    fails="cancelled",
    old=".dropna()",
    new=".fillna(0.0)",
)
training_labels.mistake(
    "the wait is always half a day",
    fails="by_the_clock",
    old="now - wait",
    new='now - pd.Timedelta("12h")',
)


@training_labels.alternative
def step_by_step(outcomes, now, wait):
    labelled = outcomes.dropna(subset="late")
    reported = labelled[~(labelled.available_at > now)]
    return reported.loc[now - reported.sched_dep >= wait, "late"]


# -- keep_k ------------------------------------------------------------------------------------------


@exercise(
    hints=[
        "Keep the first k. From then on each new item must displace one of those kept, or go.",
        "When you see the 100th item, it must be kept with probability k/100: so far it is one of 100. Which of "
        "those kept does it displace? Each with the same probability.",
        "place = rng.randrange(seen), where `seen` counts the new item, too; if place < k, it takes that place.",
    ]
)
def keep_k(stream, k, rng):
    """A uniform random sample of k items of a stream of unknown length.

    `stream` is an iterator that you can read once; `rng` is a `random.Random`. Give a
    list of k items, in any order: each item of the stream must be in it with the same
    probability. Of a stream shorter than k, give all. Never hold on to more items
    than the k kept and the one just read.
    """
    kept = []
    for seen, item in enumerate(stream, start=1):
        if len(kept) < k:
            kept.append(item)
        else:
            place = rng.randrange(seen)
            if place < k:
                kept[place] = item
    return kept


@keep_k.claim("of a stream shorter than k you keep all")
def short(answer: Answer) -> None:
    expect(sorted(map(str, answer(iter("ABC"), 5, random.Random(0)))), list("ABC"))


@keep_k.claim("of a longer stream you keep k items, none of them twice")
def exactly_k(answer: Answer) -> None:
    got = answer(iter(range(100)), 7, random.Random(0))
    expect([len(got), len(set(got))], [7, 7])


@keep_k.claim("of six items, each is among the two that you keep in one run of three")
def uniform(answer: Answer) -> None:
    kept = np.zeros(6)
    for seed in range(3000):
        for item in answer(iter(range(6)), 2, random.Random(seed)):
            kept[item] += 1
    expect((kept / 3000).round(3), np.full(6, 1 / 3), tolerance=0.045)


@keep_k.claim("at no moment are more than k + 1 items of the stream still in memory")
def room(answer: Answer) -> None:
    class Report:
        """An object that can be watched."""

    alive: Any = weakref.WeakSet()
    most = 0

    def stream():
        nonlocal most
        for _ in range(500):
            most = max(most, len(alive))
            report = Report()
            alive.add(report)
            yield report
            del report

    answer(stream(), 10, random.Random(0))
    expect(max(most, 11), 11)


keep_k.mistake("the first k", fails="uniform", old="if place < k:", new="if place < 0:")
keep_k.mistake(
    "the last k", fails="uniform", old="kept[place] = item", new="kept = kept[1:] + [item]"
)
keep_k.mistake(
    "every new item displaces one",
    fails="uniform",
    old="rng.randrange(seen)",
    new="rng.randrange(k)",
)
keep_k.mistake(
    "the new item is not counted",
    fails="uniform",
    old="rng.randrange(seen)",
    new="rng.randrange(seen - 1)",
)
keep_k.mistake(
    "it always displaces the first",
    fails="uniform",
    old="kept[place] = item",
    new="kept[0] = item",
)
keep_k.mistake(
    "the new item is added, and none displaced",
    fails="exactly_k",
    old="kept[place] = item",
    new="kept.append(item)",
)
keep_k.mistake(
    "places that nobody takes stay empty",
    fails="short",
    old="    return kept",
    new="    return kept + [None] * (k - len(kept))",
)
keep_k.mistake(
    "the stream is read into memory first",
    fails="room",
    old="    for seen, item in enumerate(stream, start=1):",
    new="    for seen, item in enumerate(list(stream), start=1):",
)


@keep_k.alternative
def smallest_tickets(stream, k, rng):
    heap = []
    for number, item in enumerate(stream):
        ticket = (-rng.random(), number, item)
        if number < k:
            heapq.heappush(heap, ticket)
        else:
            heapq.heappushpop(heap, ticket)
        del ticket, item
    return [item for *_, item in heap]


# -- rules -------------------------------------------------------------------------------------------


@exercise(
    hints=[
        "What would a dispatcher look at? The sky, the queue at the airport, the airline's own morning, the clock. "
        "Half of your rules should say when a flight will be on time: most are.",
        "Look at the columns: visib (miles), precip (inches), dep_minute (of the day), origin_left_late_1h (share of "
        "the departures reported in the last hour that left late), carrier_left_late_3h, origin_landed_late_2h.",
        '"fog": say(1, rows.visib < 3) is a rule. "no queue": say(0, rows.origin_left_late_1h < 0.1) is another. '
        "Early flights are on time far more often than others.",
    ]
)
def rules(rows):
    """A set of labelling functions, scored on a fortnight whose labels you do not see.

    `rows` holds the features of decisions, without labels. Give a dict with the votes
    of each rule: its name, and for each row 1 (late), 0 (on time) or np.nan (no
    opinion), as `say` makes them. At least five rules, some for each side. Together
    they vote on three flights of four or more. Each rule's votes for late are right
    more often than a flight is late anyway, its votes for on time more often than a
    flight is on time anyway (by two points or more). The share of votes for late
    ranks the flights with an AUC of 0.64 or more.
    """

    def say(vote, where):
        return np.where(where, vote, np.nan)

    return {
        "fog": say(1, rows.visib < 3),
        "rain": say(1, rows.precip > 0.05),  # blank
        "queue": say(1, rows.origin_left_late_1h > 0.4),  # blank
        "airline late": say(1, rows.carrier_left_late_3h > 0.4),  # blank
        "before noon": say(0, rows.dep_minute < 11 * 60),  # blank
        "no queue": say(0, rows.origin_left_late_1h < 0.1),  # blank
        "airline on time": say(0, rows.carrier_left_late_3h < 0.1),  # blank
    }


@cache
def _fortnight() -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """The features of 1 to 14 June 2013 without labels; the labels; the days."""
    world = World("2013-06-17")
    rows = batch(world, world.decisions(since="2013-06-01 04:00"))
    rows = rows[(rows.label_status == "matured") & (rows.sched_dep < "2013-06-15 04:00")]
    day = rows.sched_dep.dt.tz_convert(HOME).dt.normalize()
    return rows.drop(columns=["late", "label_status"]), rows.late, day


def _said(answer: Answer) -> pd.DataFrame:
    rows = _fortnight()[0]
    return pd.DataFrame(
        {name: pd.Series(list(vote), dtype=float) for name, vote in answer(rows.copy()).items()}
    )


@rules.claim("there are five rules or more, each with one vote a row: 1, 0 or np.nan")
def five(answer: Answer) -> None:
    rows = _fortnight()[0]
    made = answer(rows.copy())
    expect(min(len(made), 5), 5)
    for name, vote in made.items():
        expect(f"{name}: {len(vote)} votes", f"{name}: {len(rows)} votes")
        odd = sorted({float(v) for v in vote if not pd.isna(v)} - {0.0, 1.0})
        expect(f"{name}: {odd[:3]}", f"{name}: []")


@rules.claim("some rules vote late, and some vote on time")
def both_sides(answer: Answer) -> None:
    said = _said(answer)
    expect([bool((said == vote).any(axis=None)) for vote in (1, 0)], [True, True])


@rules.claim("together they vote on three flights of four or more")
def covers(answer: Answer) -> None:
    share = float(_said(answer).notna().any(axis=1).mean())
    if share < 0.75:
        expect(f"votes on {share:.0%} of the flights", "75% or more")


@rules.claim("each rule is right more often than someone who knows only the base rate")
def informed(answer: Answer) -> None:
    late = _fortnight()[1].to_numpy()
    for name, vote in _said(answer).items():
        for side, word, base in ((1, "late", late.mean()), (0, "on time", 1 - late.mean())):
            given = (vote == side).to_numpy()
            if given.any() and (right := (late[given] == side).mean()) < base + 0.02:
                told = f"{name!r} is right in {right:.0%} of its votes for {word}"
                expect(told, f"more than {base + 0.02:.0%}")


@rules.claim("the share of votes for late ranks the flights with an AUC of 0.64 or more")
def ranks(answer: Answer) -> None:
    _, late, day = _fortnight()
    share = np.nan_to_num(majority(_said(answer)), nan=0.5)
    reached = day_block(auc, day, late, share, resamples=1).value
    if reached < 0.64:
        expect(round(reached, 3), "0.64 or more")


rules.mistake(
    "the label votes",
    fails="five",
    old="say(1, rows.origin_left_late_1h > 0.4)",
    new="say(1, rows.late == 1)",
)
rules.mistake(
    "on time is voted -1",
    fails="five",
    old="say(0, rows.dep_minute < 11 * 60)",
    new="say(-1, rows.dep_minute < 11 * 60)",
)
rules.mistake(
    "rules for trouble only",
    fails="both_sides",
    old="""say(0, rows.dep_minute < 11 * 60),
        "no queue": say(0, rows.origin_left_late_1h < 0.1),
        "airline on time": say(0, rows.carrier_left_late_3h < 0.1),""",
    new="""say(1, rows.dep_minute > 16 * 60),
        "queue, too": say(1, rows.origin_left_late_3h > 0.4),
        "landed late": say(1, rows.origin_landed_late_2h > 0.4),""",
)
rules.mistake(
    "sure of what is rare, silent on the rest",
    fails="covers",
    old="""say(0, rows.dep_minute < 11 * 60),
        "no queue": say(0, rows.origin_left_late_1h < 0.1),
        "airline on time": say(0, rows.carrier_left_late_3h < 0.1),""",
    new="""say(0, rows.dep_minute < 7 * 60),
        "no queue": say(0, rows.origin_left_late_1h < 0.01),
        "airline on time": say(0, rows.carrier_left_late_3h < 0.01),""",
)
rules.mistake(
    "a flight to the far coast has time to be late",
    fails="informed",
    old="say(1, rows.precip > 0.05)",
    new="say(1, rows.distance > 2000)",
)
rules.mistake(
    "everything is on time, which is mostly right",
    fails="informed",
    old="say(0, rows.dep_minute < 11 * 60)",
    new="say(0, rows.dep_minute >= 0)",
)
rules.mistake(
    "the clock is all that counts",
    fails="ranks",
    old="""say(1, rows.visib < 3),
        "rain": say(1, rows.precip > 0.05),
        "queue": say(1, rows.origin_left_late_1h > 0.4),
        "airline late": say(1, rows.carrier_left_late_3h > 0.4),
        "before noon": say(0, rows.dep_minute < 11 * 60),
        "no queue": say(0, rows.origin_left_late_1h < 0.1),
        "airline on time": say(0, rows.carrier_left_late_3h < 0.1),""",
    new="""say(1, rows.visib < 3),
        "rain": say(1, rows.precip > 0.05),
        "evening": say(1, rows.dep_minute > 17 * 60),
        "wind": say(1, rows.wind_speed > 25),
        "day": say(0, rows.dep_minute <= 17 * 60),""",
)


@rules.alternative
def by_threshold(rows):
    def above(column, limit):
        return [1 if value > limit else None for value in rows[column]]

    def below(column, limit):
        return [0 if value < limit else None for value in rows[column]]

    return {
        "rain": above("precip", 0.03),
        "airport behind": above("origin_left_delay_3h", 25),
        "airline behind": above("carrier_left_late_3h", 0.35),
        "morning": below("dep_minute", 660),
        "airport well": below("origin_left_delay_3h", 8),
        "airline well": below("carrier_left_late_3h", 0.15),
    }


# -- silent ------------------------------------------------------------------------------------------


@exercise(
    hints=[
        "In the aggregate a silent airline is smaller than the difference between two months. And some honest airlines "
        "are late three times less often than the rest. What contradicts an airline that says it was on time?",
        "No aircraft makes up an hour: look at the flights that left 60 minutes late or more, airline by airline. "
        "Ask for a minimum of flights, or a small airline's quiet month will ring.",
        "left_late: month[month.dep_delay >= 60].groupby('carrier').late. contradicted: those with at least 10 such "
        "flights and a mean below 0.9. mute, for an airline that hides its departures, too: of all its flights, at "
        "least 100, fewer than 0.02 are late.",
    ]
)
def silent(month):
    """Write the alarm: which airlines have stopped reporting that they were late?

    `month` has a row for each flight of a month that landed: `carrier`, `dep_delay`
    (minutes, from the airport) and `late` (1.0 or 0.0, from the airline). Give the
    sorted list of the airlines whose labels cannot be true: empty in an honest month.
    Your alarm is run on the twelve months of 2013 as they were, and on months in
    which we silenced an airline: from the first day or later, wholly or in part.
    """
    left_late = month[month.dep_delay >= 60].groupby("carrier").late  # blank
    contradicted = left_late.mean()[left_late.mean().lt(0.9) & left_late.size().ge(10)]  # blank
    every = month.groupby("carrier").late
    mute = every.mean()[every.mean().lt(0.02) & every.size().ge(100)]  # blank
    return sorted({*contradicted.index, *mute.index})


@cache
def _year() -> pd.DataFrame:
    flights = World("2014-01-31").flights()
    flights = flights[flights.status == "landed"]
    local = flights.sched_dep.dt.tz_convert(HOME).dt
    return pd.DataFrame(
        {
            "carrier": flights.carrier,
            "dep_delay": flights.dep_delay,
            "late": (flights.arr_delay >= 15).astype(float),
            "month": local.month,
            "day": local.day,
        }
    )


def _landed(number: int) -> pd.DataFrame:
    flights = _year()
    chosen = flights[flights.month == number]
    return chosen.drop(columns="month").reset_index(drop=True)


def silenced(number: int, carrier: str, since: int = 1, every: int = 1, gate: bool = False) -> Any:
    """A month of 2013 in which we made an airline silent: a simulation.

    Parameters
    ----------
    number : int
        The month, 1 to 12.
    carrier : str
        Its late flights are labelled on time.
    since : int, default 1
        From this day of the month on.
    every : int, default 1
        Only one in so many of its late flights.
    gate : bool, default False
        Whether it hides late departures as well.

    Returns
    -------
    pandas.DataFrame of shape (n_flights, 3)
        `carrier`, `dep_delay`, `late`.
    """
    month = _landed(number)
    hidden = (month.carrier == carrier) & (month.day >= since) & (month.late == 1)
    hidden &= hidden.cumsum() % every == 0
    month.loc[hidden, "late"] = 0.0
    if gate:
        month["dep_delay"] = month.dep_delay.mask(
            (month.carrier == carrier) & (month.dep_delay > 0), 0
        )
    return month.drop(columns="day")


@silent.claim("it is quiet in each of the twelve months of 2013, as they were")
def honest(answer: Answer) -> None:
    for number in range(1, 13):
        expect(list(answer(_landed(number).drop(columns="day"))), [])


@silent.claim("it names EV, if all of its late flights in July are labelled on time")
def large(answer: Answer) -> None:
    expect(list(answer(silenced(7, "EV"))), ["EV"])


@silent.claim("it names WN, a small airline, in September, the quietest month of the year")
def quiet(answer: Answer) -> None:
    expect(list(answer(silenced(9, "WN"))), ["WN"])


@silent.claim("it names 9E, if it falls silent on 20 June")
def midway(answer: Answer) -> None:
    expect(list(answer(silenced(6, "9E", since=20))), ["9E"])


@silent.claim("it names UA, if it hides one late flight in four")
def in_part(answer: Answer) -> None:
    expect(list(answer(silenced(8, "UA", every=4))), ["UA"])


@silent.claim("it names B6, if it hides its late departures as well")
def at_the_gate(answer: Answer) -> None:
    expect(list(answer(silenced(11, "B6", gate=True))), ["B6"])


@silent.claim("it names both of two airlines that fall silent at once")
def two(answer: Answer) -> None:
    month = silenced(5, "DL")
    month.loc[month.carrier == "MQ", "late"] = 0.0
    expect(list(answer(month)), ["DL", "MQ"])


silent.mistake(
    "half as often late as the others",
    fails="honest",
    old="every.mean().lt(0.02)",
    new="every.mean().lt(0.5 * month.late.mean())",
)
silent.mistake(
    "nobody has a month without a late flight",
    fails="honest",
    old="every.size().ge(100)",
    new="every.size().ge(1)",
)
silent.mistake(
    "a quarter of an hour cannot be made up",
    fails="honest",
    old="month.dep_delay >= 60",
    new="month.dep_delay >= 15",
)
silent.mistake(
    "an alarm on the aggregate",
    fails="large",
    old="return sorted({*contradicted.index, *mute.index})",
    new="return sorted(contradicted.index if month.late.mean() < 0.13 else [])",
)
silent.mistake(
    "only large airlines are watched",
    fails="quiet",
    old="""left_late.size().ge(10)]
    every = month.groupby("carrier").late""",
    new="""left_late.size().ge(100)]
    every = month[month.carrier.isin(["AA", "B6", "DL", "EV", "UA"])].groupby("carrier").late""",
)
silent.mistake(
    "silence is total, or it is none",
    fails="midway",
    old="left_late.mean().lt(0.9)",
    new="left_late.mean().lt(0.02)",
)
silent.mistake(
    "a quarter may be missing",
    fails="in_part",
    old="left_late.mean().lt(0.9)",
    new="left_late.mean().lt(0.7)",
)
silent.mistake(
    "the airport always tells",
    fails="at_the_gate",
    old="return sorted({*contradicted.index, *mute.index})",
    new="return sorted(contradicted.index)",
)
silent.mistake(
    "the first one found is named",
    fails="two",
    old="return sorted({*contradicted.index, *mute.index})",
    new="return sorted({*contradicted.index, *mute.index})[:1]",
)


@silent.alternative
def airline_by_airline(month):
    named = []
    for carrier, own in month.groupby("carrier"):
        long = own[own.dep_delay >= 90]
        hidden = len(long) >= 8 and long.late.mean() < 0.95
        if hidden or (len(own) >= 150 and own.late.sum() <= 0.01 * len(own)):
            named.append(carrier)
    return sorted(named)


# -- undo --------------------------------------------------------------------------------------------


@exercise(
    hints=[
        "Think of a group of flights that get the same probability. How many late and how many others of them are "
        "in the undersampled set, and how many others were there before?",
        "For each late flight the undersampled set holds (1 - p) / p others. Before, there were 1 / kept times as many.",
        "The odds shrink by the factor kept: late = p * kept, other = 1 - p; give late / (late + other).",
    ]
)
def undo(p, kept):
    """The probability of late, freed from the effect of undersampling.

    A model was trained on all late flights, but only on a share `kept` of the others,
    drawn at random; `p` (a number or an array) is what it says. Give what it would
    say of the same flights, had none been left out.
    """
    late = p * kept  # blank
    other = 1 - p  # blank
    return late / (late + other)  # blank


@undo.claim("where nothing was left out, nothing changes")
def whole(answer: Answer) -> None:
    expect(answer(0.3, 1.0), 0.3)


@undo.claim("with one of four others kept, a half becomes a fifth: 1 late among 4 others")
def a_fifth(answer: Answer) -> None:
    expect(answer(0.5, 0.25), 0.2)


@undo.claim("what is nearly certain stays nearly certain")
def certain(answer: Answer) -> None:
    expect([answer(0.01, 0.25), answer(0.99, 0.25)], [1 / 397, 99 / 103])


@undo.claim(
    "given the undersampled late rates of March's airlines, all at once, it gives the real ones"
)
def airlines(answer: Answer) -> None:
    march = _landed(3).groupby("carrier").late.agg(["sum", "size"])
    late, other = march["sum"].to_numpy(), (march["size"] - march["sum"]).to_numpy()
    expect(answer(late / (late + 0.1 * other), 0.1), late / (late + other))


undo.mistake(
    "the probability is scaled, not the odds",
    fails="a_fifth",
    old="late / (late + other)",
    new="late",
)
undo.mistake(
    "the odds grow instead of shrinking",
    fails="a_fifth",
    old="late = p * kept",
    new="late = p / kept",
)
undo.mistake(
    "one factor for all, from the average",
    fails="certain",
    old="late / (late + other)",
    new="late / (0.5 * kept + 0.5)",
)
undo.mistake(
    "odds are handed over as a probability",
    fails="whole",
    old="late / (late + other)",
    new="late / other",
)
undo.mistake(
    "others that were dropped are counted once more",
    fails="whole",
    old="other = 1 - p",
    new="other = 1 - p * kept + kept",
)
undo.mistake(
    "it works for one number only",
    fails="airlines",
    old="late = p * kept",
    new="late = p * kept if p > 0 else 0.0",
)


@undo.alternative
def on_the_log_scale(p, kept):
    with np.errstate(divide="ignore"):
        logit = np.log(p) - np.log1p(-np.asarray(p)) + np.log(kept)
    return 1 / (1 + np.exp(-logit))
