"""Exercises of chapter 04, training data."""

import heapq
import itertools
import math
import random
import weakref
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from mlsys_lib import World, data
from mlsys_lib.checks import Array
from mlsys_lib.exercises import cases
from mlsys_lib.exercises.checker import Answer, Same, exercise, expect
from mlsys_lib.metrics import Estimate, auc, day_block
from mlsys_lib.sampling import majority
from mlsys_lib.store import history

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
    """The labels to train on at `now`, if you wait until flights are `wait`
    old.

    `outcomes` comes from an archive that knows how everything ended:
    `sched_dep`, `available_at` (when the desk could first know the outcome,
    were it days later; both in UTC) and `late` (1.0 or 0.0; missing for a
    cancelled flight). Its rows stand in no order. Give the `late` of the
    flights that were scheduled to leave `wait` ago or earlier, as far as they
    had a label at `now` or before: a Series with the index and in the order of
    `outcomes`.
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


def _taken(answer: Answer, expected: dict[int, float], *flights: tuple[str, str, float]) -> None:
    got = answer(_ended(*flights), _NOW, _HALF_A_DAY)
    expect(got, pd.Series(expected, dtype=float), index=True)


@training_labels.claim("a flight that left two hours ago is too young, though its label is here")
def young(answer: Answer) -> None:
    old = ("2013-05-11 06:00", "2013-05-11 09:30", 1.0)
    _taken(answer, {1: 1.0}, ("2013-05-11 20:00", "2013-05-11 21:30", 0.0), old)


@training_labels.claim("a flight of this morning that is still in the air has no label yet")
def in_the_air(answer: Answer) -> None:
    landed = ("2013-05-11 06:00", "2013-05-11 09:30", 0.0)
    _taken(answer, {1: 0.0}, ("2013-05-11 09:00", "2013-05-11 22:01", 1.0), landed)


@training_labels.claim("a flight exactly `wait` old, whose report arrives at `now`, counts")
def on_the_dot(answer: Answer) -> None:
    _taken(answer, {0: 1.0}, ("2013-05-11 10:00", "2013-05-11 22:00", 1.0))


@training_labels.claim(
    "a report that came 14 hours after departure counts as well, for it is here by `now`"
)
def slow_report(answer: Answer) -> None:
    quick = ("2013-05-11 06:00", "2013-05-11 09:30", 0.0)
    _taken(answer, {0: 1.0, 1: 0.0}, ("2013-05-11 07:00", "2013-05-11 21:00", 1.0), quick)


@training_labels.claim("a cancelled flight is neither late nor on time")
def cancelled(answer: Answer) -> None:
    landed = ("2013-05-11 08:00", "2013-05-11 11:00", 1.0)
    _taken(answer, {1: 1.0}, ("2013-05-11 08:00", "2013-05-11 08:10", np.nan), landed)


@training_labels.claim(
    "at noon on 12 May, with a wait of a day, you keep what the library's clock would"
)
def by_the_clock(answer: Answer) -> None:
    now, wait = pd.Timestamp("2013-05-12 16:00", tz="UTC"), pd.Timedelta("24h")
    since = "2013-05-11"
    known = World(now).labels(since=since).set_index("flight_id")
    due = World(now).flights(since=since).set_index("flight_id").sched_dep
    archive = World(now).hindsight()
    outcomes = archive.labels(since=since)
    outcomes["sched_dep"] = archive.flights(since=since).sched_dep
    outcomes = outcomes.set_index("flight_id")[["sched_dep", "available_at", "late"]]
    expected = known.late[(due <= now - wait) & (known.status == "matured")]
    got = answer(outcomes[outcomes.sched_dep <= now], now, wait)
    expect(got, expected, index=True, order=False)


_WAITS = [pd.Timedelta(hours=h) for h in (12, 0, 1.5, 24)]


@training_labels.generated(
    "any archive, clock and wait",
    marks={
        "a label took longer than `wait` after departure, and is here": lambda outcomes, now, wait: (
            (
                (outcomes.available_at - outcomes.sched_dep > wait) & (outcomes.available_at <= now)
            ).any()
        ),
        "a flight is exactly `wait` old": lambda outcomes, now, wait: (
            outcomes.sched_dep == now - wait
        ).any(),
        "a label arrives exactly at `now`": lambda outcomes, now, wait: (
            outcomes.available_at == now
        ).any(),
        "the wait is nought": lambda outcomes, now, wait: wait == pd.Timedelta(0),
        "no flight is old enough": lambda outcomes, now, wait: (
            not (outcomes.sched_dep <= now - wait).any()
        ),
        "the report of a flight that is old enough is on its way": lambda outcomes, now, wait: (
            (outcomes.sched_dep <= now - wait) & (outcomes.available_at > now)
        ).any(),
    },
    same=Same(index=True),
    count=60,
)
def any_archive(draw):
    """Flights and reports near the limits; no flight lands before it was due to leave."""
    now = draw(st.sampled_from([_NOW, pd.Timestamp("2023-11-05 05:30", tz="UTC")]))
    wait = draw(st.sampled_from(_WAITS))
    ago = st.integers(-3000, 3000).map(lambda n: now - pd.Timedelta(minutes=n))
    columns = {
        "sched_dep": (cases.near(now - wait, step=pd.Timedelta("1s")) | ago, cases.UTC),
        "available_at": (cases.near(now, step=pd.Timedelta("1s")) | ago, cases.UTC),
        "late": (st.sampled_from([1.0, 0.0, np.nan]), float),
    }
    outcomes = draw(cases.table(columns))
    soonest = outcomes.sched_dep + pd.Timedelta("20min")
    known = outcomes.available_at
    outcomes["available_at"] = known.mask(outcomes.late.notna() & (known < soonest), soonest)
    return outcomes, now, wait


training_labels.mistake(
    "the report must have come within `wait` of departure",
    fails="slow_report",
    old="outcomes.available_at <= now",
    new="outcomes.available_at - outcomes.sched_dep <= wait",
)
training_labels.mistake(
    "a new index, from nought on",
    fails="young",
    old=".dropna()",
    new=".dropna().reset_index(drop=True)",
)
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


@training_labels.alternative
def flight_by_flight(outcomes, now, wait):
    taken = {}
    for label, sched, known, late in outcomes.itertuples():
        if sched + wait <= now and known <= now and late == late:
            taken[label] = late
    return pd.Series(taken, dtype=float)


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

    `stream` is an iterator that you can read once; `rng` is a `random.Random`.
    Give a list of k items (one or more), in any order: each set of k items of
    the stream must be as likely as any other, and so each item as likely as the
    next. All chance comes from `rng`. An item may be None, or equal another
    that counts for itself. Of a stream of k items or fewer, give all. Never
    hold on to more items than the k kept and the one just read.
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
    for seed in range(1500):
        for item in answer(iter(range(6)), 2, random.Random(seed)):
            kept[item] += 1
    expect((kept / 1500).round(3), np.full(6, 1 / 3).round(3), tolerance=0.035)


@keep_k.claim("of four items, each pair is what you keep in one run of six")
def each_pair(answer: Answer) -> None:
    kept = {(a, b): 0.0 for a in "ABCD" for b in "ABCD" if a < b}
    for seed in range(1200):
        kept[tuple(sorted(answer(iter("ABCD"), 2, random.Random(seed))))] += 1 / 1200
    expect(
        {pair: round(share, 3) for pair, share in kept.items()}, dict.fromkeys(kept, 0.167), 0.04
    )


def _together(answer: Answer, items: str, k: int, size: int, runs: int) -> pd.Series:
    """In which share of the runs these items are kept together: each set of that size."""
    kept = dict.fromkeys(map("".join, combinations(items, size)), 0)
    for seed in range(runs):
        for together in combinations(sorted(answer(iter(items), k, random.Random(seed))), size):
            kept["".join(together)] += 1
    return (pd.Series(kept, dtype=float) / runs).round(3)


@keep_k.claim("of six items, each three are what you keep in one run of twenty")
def each_three(answer: Answer) -> None:
    got = _together(answer, "ABCDEF", 3, size=3, runs=1000)
    expect(got, pd.Series(0.05, got.index), 0.03)


@keep_k.claim("if you keep five of ten, each two of them are among those in two runs of nine")
def two_of_five(answer: Answer) -> None:
    got = _together(answer, "ABCDEFGHIJ", 5, size=2, runs=800)
    expect(got, pd.Series(0.222, got.index), 0.065)


@keep_k.claim("an item that equals one already kept is another item, and counts")
def equal_items(answer: Answer) -> None:
    late = [sum(answer(iter([1, 1, 1, 0]), 2, random.Random(seed))) for seed in range(600)]
    expect(round(float(np.mean(late)), 3), 1.5, tolerance=0.03)


@keep_k.claim("all chance comes from `rng`: drawn in the same way, the sample is the same")
def same_chance(answer: Answer) -> None:
    first, again = [list(answer(iter(range(50)), 5, random.Random(1))) for _ in range(2)]
    expect(again, first)


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


class _Report:
    """An item of a stream: it may equal another one, and is told from it by what it is."""

    def __init__(self, said: Any) -> None:
        self.said = said

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Report) and self.said == other.said

    def __hash__(self) -> int:
        return hash(self.said)

    def __repr__(self) -> str:
        return f"<report of {self.said!r}>"


_RUNS = 100


def _shares(answer: Answer, stream: list[Any], k: int) -> Any:
    """In which share of the runs each item is kept, and how many are."""
    items = [None if said is None else _Report(said) for said in stream]
    places = {id(item): [i for i, other in enumerate(items) if other is item] for item in items}
    kept, sizes = np.zeros(len(items)), set()
    rng = random.Random(len(items))
    for _ in range(_RUNS):
        sample = list(answer(iter(items), k, rng))
        sizes.add(len(sample))
        for item in sample:
            kept[places[id(item)]] += 1 / len(places[id(item)])
    return {"items kept": sorted(sizes), "each in a share of": (kept / _RUNS).round(2).tolist()}


@keep_k.generated(
    f"any short stream, in {_RUNS} runs",
    marks={
        "two items are equal": lambda stream, k: len(set(stream)) < len(stream),
        "an item is None": lambda stream, k: None in stream,
        "the stream has just k items": lambda stream, k: len(stream) == k,
        "the stream is shorter than k": lambda stream, k: len(stream) < k,
        "one item is kept": lambda stream, k: k == 1,
        "the stream is empty": lambda stream, k: not stream,
    },
    run=_shares,
    truth=lambda stream, k: {
        "items kept": [min(k, len(stream))],
        "each in a share of": [k / max(k, len(stream))] * len(stream),
    },
    same=Same(tolerance=0.17),
    count=30,
    steps=40,
)
def any_stream(draw):
    said = cases.names("UA1545", "B6725", "DL461", "", missing=True)
    return draw(cases.some(said, 0, 6)), draw(cases.whole(1, 4))


keep_k.mistake(
    "chance of its own",
    fails="same_chance",
    old="rng.randrange(seen)",
    new="random.randrange(seen)",
)
keep_k.mistake(
    "an item that equals one kept is passed over",
    fails="equal_items",
    old="        if len(kept) < k:",
    new="        if item in kept:\n            continue\n        if len(kept) < k:",
)
keep_k.mistake(
    "what is kept goes out in turn, the oldest first",
    fails="uniform",
    old="kept[place] = item",
    new="kept = [*kept[1:], item]",
)
keep_k.mistake(
    "two neighbours are kept together, or neither",
    fails="each_pair",
    old="""        if len(kept) < k:
            kept.append(item)
        else:
            place = rng.randrange(seen)
            if place < k:
                kept[place] = item""",
    new="""        if len(kept) < k:
            kept.append(item)
            block = []
        else:
            block = [*block, item]
            if len(block) == k:
                kept = block if rng.random() < k / seen else kept
                block = []""",
)
keep_k.mistake(
    "one throw serves two items, where three or more are kept",
    fails="each_three",
    old="            place = rng.randrange(seen)",
    new="            if k < 3 or seen == k + 1 or seen % 2 == 0:\n                place = rng.randrange(seen)",
)
keep_k.mistake(
    "only the first three places are ever taken",
    fails="two_of_five",
    old="            if place < k:\n                kept[place] = item",
    new="            if place < k:\n                kept[place % 3 if k > 3 else place] = item",
)
keep_k.mistake(
    "None is taken for the end of the stream",
    fails="any_stream",
    old="        if len(kept) < k:",
    new="        if item is None:\n            break\n        if len(kept) < k:",
)
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


@keep_k.alternative
def by_skipping(stream, k, rng):
    kept = list(itertools.islice(stream, k))
    weight = 1.0
    while len(kept) == k:
        weight *= rng.random() ** (1 / k)
        skipped = int(math.log(rng.random()) / math.log1p(-weight))
        item = next(itertools.islice(stream, skipped, skipped + 1), stream)
        if item is stream:
            break
        kept[rng.randrange(k)] = item
        del item
    return kept


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
    """A set of labelling functions, scored on labels that you do not see.

    `rows` holds the features of every second decision of May to December 2013,
    without labels. Give a dict with the votes of each rule: its name, and for
    each row, in their order, 1 (late), 0 (on time) or np.nan (no opinion), as
    `say` makes them. At least five rules, no two of which cast the same votes,
    some for each side. Together they vote on seven flights of ten or more. A
    rule that votes for a side does so at least 200 times and on at least 15
    days: fewer cannot be judged. Its votes for late are right more often than a
    flight is late anyway, its votes for on time more often than a flight is on
    time anyway: the 95 % interval of the difference, by days, lies above zero.
    The share of the votes given that say late ranks the flights with an AUC
    whose interval, by days, lies above 0.6.
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
def _unseen() -> tuple[pd.DataFrame, Array, Array]:
    """Of every second flight from May to December 2013 the features without labels and what tells them; the labels; the days."""
    rows = history(World("2014-01-31"), since="2013-05-01 04:00")
    rows = rows[rows.label_status == "matured"].iloc[::2]
    day = rows.day.factorize()[0]
    hidden = ["late", "label_status", "labelled_at", "day"]
    return rows.drop(columns=hidden), rows.late.to_numpy(), day


def _said(answer: Answer) -> pd.DataFrame:
    votes = answer(_unseen()[0])
    return pd.DataFrame(
        {name: pd.Series(np.asarray(vote, dtype=float)) for name, vote in votes.items()}
    )


def _right(score: Array, late: Array, other: Array) -> Array:
    """A metric: how much more often the outcome is "late" where the score is 1 than on all rows."""
    voted = score == 1
    share: Array = (late @ voted) / ((late + other) @ voted)
    gain: Array = share - late.sum(axis=-1) / (late + other).sum(axis=-1)
    return gain


def _by_side(said: pd.DataFrame) -> Iterator[tuple[str, int, Array]]:
    """For each rule and each side that it votes for: a sentence's beginning, the side, the rows."""
    for name, vote in said.items():
        for side, word in ((1, "late"), (0, "on time")):
            given = (vote == side).to_numpy()
            if given.any():
                yield f"{name!r} votes for {word}", side, given


def _odd(votes: Array) -> list[Any]:
    """Votes that are none."""
    if votes.dtype.kind == "U":
        return ["text"]
    numbers = votes.astype(float)
    odd: list[Any] = sorted({*numbers[~np.isnan(numbers)].tolist()} - {0.0, 1.0})
    return odd[:3]


@rules.claim("there are five rules or more, each with one vote a row: 1, 0 or np.nan")
def five(answer: Answer) -> None:
    rows = _unseen()[0]
    made = answer(rows)
    expect(min(len(made), 5), 5)
    for name, vote in made.items():
        expect(f"{name}: {len(vote)} votes", f"{name}: {len(rows)} votes")
        expect(f"{name}: {_odd(np.asarray(vote))}", f"{name}: []")


@rules.claim("no two rules cast the same votes")
def no_two_alike(answer: Answer) -> None:
    said = _said(answer)
    alike = [pair for pair in combinations(said, 2) if said[pair[0]].equals(said[pair[1]])]
    expect(alike, [])


@rules.claim("some rules vote late, and some vote on time")
def both_sides(answer: Answer) -> None:
    said = _said(answer)
    expect([bool((said == vote).any(axis=None)) for vote in (1, 0)], [True, True])


@rules.claim("together they vote on seven flights of ten or more")
def covers(answer: Answer) -> None:
    share = float(_said(answer).notna().any(axis=1).mean())
    if share < 0.7:
        expect(f"votes on {share:.0%} of the flights", "70% or more")


@rules.claim("each rule votes often enough to be judged: 200 times, and on 15 days")
def often(answer: Answer) -> None:
    day, said = _unseen()[2], _said(answer)
    seldom = [f"{name!r} never votes" for name in said.columns[said.isna().all()]]
    for told, _, given in _by_side(said):
        votes, days = int(given.sum()), len(np.unique(day[given]))
        if votes < 200 or days < 15:
            seldom.append(f"{told} {votes} times, on {days} days")
    expect(seldom, [])


def _gain(side: int, given: Array) -> Estimate:
    _, late, day = _unseen()
    return day_block(_right, day, late == side, given)


@rules.claim("each rule is right more often than someone who knows only the base rate")
def informed(answer: Answer) -> None:
    gains = {told: _gain(side, given) for told, side, given in _by_side(_said(answer))}
    for told, gain in gains.items():
        if gain.low <= 0:
            expect(f"{told}: above the base rate by {gain}", "an interval above zero")


@rules.claim("the share of votes for late ranks the flights with an AUC above 0.6")
def ranks(answer: Answer) -> None:
    _, late, day = _unseen()
    reached = day_block(auc, day, late, np.nan_to_num(majority(_said(answer)), nan=0.5))
    if reached.low <= 0.6:
        expect(str(reached), "an interval above 0.6")


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
    "one rule under two names, to make it five",
    fails="no_two_alike",
    old="say(1, rows.precip > 0.05)",
    new="say(1, rows.visib < 3)",
)
rules.mistake(
    "a gale on five days, of which each says what it likes",
    fails="often",
    old="say(1, rows.precip > 0.05)",
    new="say(1, rows.wind_speed > 30)",
)
rules.mistake(
    "a rule that never votes",
    fails="often",
    old="say(1, rows.precip > 0.05)",
    new='say(1, rows.origin == "HPN")',
)
rules.mistake(
    "the report that came late tells who was late",
    fails="five",
    old="say(1, rows.precip > 0.05)",
    new='say(1, rows.labelled_at - rows.sched_arr > pd.Timedelta("15min"))',
)
rules.mistake(
    "on Fridays all are late, as they were in June; the months after say nothing of it",
    fails="informed",
    old="say(1, rows.precip > 0.05)",
    new="say(1, rows.day_of_week == 4)",
)
rules.mistake(
    "gusts look bad, and their interval holds zero",
    fails="informed",
    old="say(1, rows.precip > 0.05)",
    new="say(1, rows.wind_gust > 30)",
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


_AS_GOOD = {
    "another limit is another rule, and as good": {
        "visib < 3": ["visib <= 3", "visib < 4", "visib < 2"],
        "precip > 0.05": ["precip >= 0.05", "precip > 0.1", "precip > 0.025"],
        "origin_left_late_1h > 0.4": [
            "origin_left_late_1h >= 0.4",
            "origin_left_late_1h > 0.8",
            "origin_left_late_1h > 0.2",
        ],
        "carrier_left_late_3h > 0.4": [
            "carrier_left_late_3h >= 0.4",
            "carrier_left_late_3h > 0.8",
            "carrier_left_late_3h > 0.2",
        ],
        "< 11 * 60": ["<= 11 * 60", "< 12 * 60", "< 10 * 60", "< 11 * 61", "< 11 * 59"],
        "origin_left_late_1h < 0.1": [
            "origin_left_late_1h <= 0.1",
            "origin_left_late_1h < 0.2",
            "origin_left_late_1h < 0.05",
        ],
        "carrier_left_late_3h < 0.1": [
            "carrier_left_late_3h <= 0.1",
            "carrier_left_late_3h < 0.2",
            "carrier_left_late_3h < 0.05",
        ],
    },
    "six rules are enough": {
        '        "fog": say(1, rows.visib < 3),\n': [""],
        '        "rain": say(1, rows.precip > 0.05),\n': [""],
        '        "queue": say(1, rows.origin_left_late_1h > 0.4),\n': [""],
        '        "airline late": say(1, rows.carrier_left_late_3h > 0.4),\n': [""],
        '        "no queue": say(0, rows.origin_left_late_1h < 0.1),\n': [""],
    },
    "of two rules of one name the last counts, and six are enough": {
        '"fog"': ['"rain"'],
        '"rain"': ['"queue"'],
        '"queue"': ['"airline late"'],
        '"airline late"': ['"before noon"'],
        '"no queue"': ['"airline on time"'],
        '"airline on time"': ['"fog"'],
    },
    "a rule that says on time wherever it does not say late is right often enough": {
        "say(1, rows.visib < 3)": ["say(rows.visib < 3, 1)"],
        "say(1, rows.precip > 0.05)": ["say(rows.precip > 0.05, 1)"],
        "say(1, rows.origin_left_late_1h > 0.4)": ["say(rows.origin_left_late_1h > 0.4, 1)"],
        "say(1, rows.carrier_left_late_3h > 0.4)": ["say(rows.carrier_left_late_3h > 0.4, 1)"],
    },
}
for _reason, _changes in _AS_GOOD.items():
    for _old, _news in _changes.items():
        for _new in _news:
            rules.equivalent(_reason, old=_old, new=_new)


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
    """Write the alarm: which airlines have stopped reporting that they were
    late?

    `month` has a row for each flight of a month that landed, in any order:
    `carrier`, `dep_delay` (minutes, from the airport) and `late` (1.0 or 0.0,
    from the airline). Give the sorted list of the airlines whose labels cannot
    be true: empty in an honest month. Your alarm is run on all months of 2013
    and 2023 as they were, and on months in which we silenced one airline or
    more, wholly or in part, from the first day or later: at least a quarter of
    its flights that left an hour late or more are labelled on time, of 50 or
    more. Or it hides each late departure as well as each late arrival, for the
    whole month, on 300 flights or more. The codes of the airlines may be others
    than you know.
    """
    left_late = month[month.dep_delay >= 60].groupby("carrier").late  # blank
    contradicted = left_late.mean()[left_late.mean().lt(0.9) & left_late.size().ge(10)]  # blank
    every = month.groupby("carrier").late
    mute = every.mean()[every.mean().lt(0.02) & every.size().ge(100)]  # blank
    return sorted({*contradicted.index, *mute.index})


@cache
def _landed(year: int, number: int) -> pd.DataFrame:
    flights = _year(year)
    chosen = flights[flights.month == number]
    return chosen.drop(columns="month").reset_index(drop=True)


@cache
def _year(year: int) -> pd.DataFrame:
    flights = data.load("flights", year)
    flights = flights[["month", "day", "carrier", "dep_delay", "arr_delay"]].dropna()
    flights["late"] = (flights.arr_delay >= 15).astype(float)
    return flights.drop(columns="arr_delay")


def silenced(
    number: int,
    carrier: str,
    *,
    since: int = 1,
    every: int = 1,
    gate: bool = False,
    year: int = 2013,
) -> pd.DataFrame:
    """A month in which we made an airline silent: a simulation.

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
    year : int, default 2013
        2013 or 2023.

    Returns
    -------
    pandas.DataFrame of shape (n_flights, 3)
        `carrier`, `dep_delay`, `late`.

    Examples
    --------
    >>> for month in silenced(7, "EV", since=32), silenced(7, "EV"):
    ...     print(int(month.late[month.carrier == "EV"].sum()))
    1516
    0
    """
    return _silence(_landed(year, number), carrier, since, every, gate).drop(columns="day")


def _silence(
    month: pd.DataFrame, carrier: str, since: int = 1, every: int = 1, gate: bool = False
) -> pd.DataFrame:
    own = month.carrier == carrier
    hidden = own & (month.day >= since) & (month.late == 1)
    hidden &= hidden.cumsum() % every == 0
    left = month.dep_delay.mask(own & gate & (month.dep_delay > 0), 0.0)
    return month.assign(dep_delay=left, late=month.late.mask(hidden, 0.0))


@silent.claim("it is quiet in each month of 2013 and of 2023, as they were")
def honest(answer: Answer) -> None:
    months = [(year, number) for year in (2013, 2023) for number in range(1, 13)]
    named = {f"{y}-{n:02}": list(answer(_landed(y, n).drop(columns="day"))) for y, n in months}
    expect({month: names for month, names in named.items() if names}, {})


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


def _month(year: int, month: int, silent: dict[str, Any], codes: int, shuffled: bool) -> Any:
    """A month with airlines silenced; their codes are dealt out anew by `codes` places."""
    made = _landed(year, month)
    for carrier, how in silent.items():
        made = _silence(made, carrier, **how)
    made = made.drop(columns="day").assign(carrier=made.carrier.map(_dealt(year, month, codes)))
    return made.sample(frac=1, random_state=0) if shuffled else made


def _dealt(year: int, month: int, codes: int) -> dict[str, str]:
    known = sorted(_landed(year, month).carrier.unique())
    return dict(zip(known, np.roll(known, codes).tolist(), strict=True))


def _hides_enough(month: pd.DataFrame, carrier: str) -> bool:
    """Whether 50 or more left an hour late, and a quarter of those, and of any still later, are hidden."""
    own = month[month.carrier == carrier]
    later = [own.late[own.dep_delay >= limit] for limit in (60, 75, 90)]
    return len(later[0]) >= 50 and all(late.mean() <= 0.75 for late in later)


def _large(month: pd.DataFrame, least: int) -> list[str]:
    sizes = month.carrier.value_counts()
    return sorted(sizes.index[sizes >= least])


@silent.generated(
    "any month in which airlines are silenced, or none",
    run=lambda answer, year, month, silent, codes, shuffled: answer(
        _month(year, month, silent, codes, shuffled)
    ),
    truth=lambda year, month, silent, codes, shuffled: sorted(
        _dealt(year, month, codes)[carrier] for carrier in silent
    ),
    marks={
        "nobody is silent": lambda year, month, silent, codes, shuffled: not silent,
        "two airlines are silent": lambda year, month, silent, codes, shuffled: len(silent) == 2,
        "it is a month of 2023": lambda year, month, silent, codes, shuffled: year == 2023,
        "an airline hides its late departures too": lambda year, month, silent, codes, shuffled: (
            any(how["gate"] for how in silent.values())
        ),
        "an airline falls silent in the course of the month": (
            lambda year, month, silent, codes, shuffled: any(
                how["since"] > 1 for how in silent.values()
            )
        ),
        "an airline hides a part of its late flights": (
            lambda year, month, silent, codes, shuffled: any(
                how["every"] > 1 for how in silent.values()
            )
        ),
        "the airlines have exchanged their codes": (
            lambda year, month, silent, codes, shuffled: codes > 0
        ),
        "the rows stand in no order": lambda year, month, silent, codes, shuffled: shuffled,
    },
    count=40,
    steps=40,
)
def any_month(draw):
    """Months of either year; in those that are not honest, what is silenced can be seen by the statement."""
    year, number = draw(st.sampled_from([2013, 2023])), draw(cases.whole(1, 12))
    month = _landed(year, number)
    silent = {}
    for carrier in draw(cases.some(st.sampled_from(_large(month, 300)), 0, 2, unique=True)):
        since, every = draw(st.sampled_from([1, 8, 15, 22])), draw(cases.whole(1, 4))
        how = {"since": since, "every": every, "gate": False}
        if not _hides_enough(_silence(month, carrier, **how), carrier):
            how = {"since": 1, "every": 1, "gate": True}
        silent[carrier] = how
    return year, number, silent, draw(cases.whole(0, 3)), draw(st.booleans())


silent.mistake(
    "an airline that is late one time in twenty is lying: so it was in 2013",
    fails="honest",
    old="every.mean().lt(0.02)",
    new="every.mean().lt(0.052)",
)
silent.mistake(
    "the airlines are known by their codes",
    fails="any_month",
    old="return sorted({*contradicted.index, *mute.index})",
    new='return sorted({*contradicted.index, *mute.index} - {"OO", "YX"})',
)
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


_LIMITS = {
    "an alarm may set its limits otherwise, between what is honest and what is silenced": {
        "dep_delay >= 60": ["dep_delay > 60", "dep_delay >= 61", "dep_delay >= 59"],
        "lt(0.9)": ["le(0.9)"],
        "ge(10)": ["gt(10)", "ge(11)", "ge(9)"],
        "lt(0.02)": ["le(0.02)", "lt(0.04)", "lt(0.01)"],
        "ge(100)": ["gt(100)", "ge(101)", "ge(99)"],
    },
    "only the index of these means is used": {
        "left_late.mean()[": ["left_late.median()["],
        "every.mean()[": ["every.median()["],
    },
    "no label is missing": {
        "left_late.size()": ["left_late.count()"],
        "every.size()": ["every.count()"],
    },
}
for _reason, _changes in _LIMITS.items():
    for _old, _news in _changes.items():
        for _new in _news:
            silent.equivalent(_reason, old=_old, new=_new)


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

    A model was trained on all late flights, but only on a share `kept` of the
    others, drawn at random (above 0, at most 1); `p`, a number or an array, is
    what it says: 0 and 1 as well, which stay what they are. Give what it would
    say of the same flights, had none been left out: a number or an array, as
    `p` is, not rounded.
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
    march = _landed(2013, 3).groupby("carrier").late.agg(["sum", "size"])
    late, other = march["sum"].to_numpy(), (march["size"] - march["sum"]).to_numpy()
    expect(answer(late / (late + 0.1 * other), 0.1), late / (late + other))


@undo.claim("what is certain stays certain")
def quite_certain(answer: Answer) -> None:
    expect(answer(np.array([0.0, 1.0]), 0.25), [0.0, 1.0])
    expect([answer(0.0, 0.25), answer(1.0, 0.25)], [0.0, 1.0])


@undo.generated(
    "any probabilities and any share",
    marks={
        "a probability is 1": lambda p, kept: np.any(np.equal(p, 1)),
        "a probability is 0": lambda p, kept: np.any(np.equal(p, 0)),
        "p is a number": lambda p, kept: np.ndim(p) == 0,
        "a thousandth of the others was kept": lambda p, kept: kept == 0.001,
        "nothing was left out": lambda p, kept: kept == 1,
        "more than half of the others were kept": lambda p, kept: 0.5 < kept < 1,
    },
)
def any_share(draw):
    one = cases.probabilities(on=[0.5])
    p = draw(one | cases.some(one, 0, 5).map(lambda values: np.array(values, float)))
    return p, draw(cases.figures(0.01, 1, on=[0.25, 1.0]) | st.just(0.001))


undo.mistake(
    "odds that divide by nought",
    fails="quite_certain",
    old="return late / (late + other)",
    new="odds = late / other\n    return odds / (1 + odds)",
)
undo.mistake(
    "nothing is certain, so both ends are cut off",
    fails="quite_certain",
    old="late = p * kept",
    new="p = np.clip(p, 1e-6, 1 - 1e-6)\n    late = p * kept",
)
undo.mistake(
    "the result is rounded",
    fails="certain",
    old="return late / (late + other)",
    new="return np.round(late / (late + other), 4)",
)
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
