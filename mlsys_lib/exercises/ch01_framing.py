"""Exercises of chapter 01, framing."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from mlsys_lib.exercises import cases
from mlsys_lib.exercises.checker import Answer, exercise, expect
from mlsys_lib.metrics import cost, day_block

# -- expected_cost -----------------------------------------------------------------------------------

PRICES = {"hit": 0, "miss": 300, "false alarm": 60, "quiet": 0}


@exercise(
    hints=[
        "Each flight falls into exactly one of four boxes, and each box has a price.",
        "A hit is late and flagged, a miss is late and not flagged. What are the other two?",
        "np.where(late == 1, A, B) picks A for late flights and B for others; A itself is "
        'np.where(flagged, costs["hit"], costs["miss"]). The answer is the mean of all that.',
    ]
)
def expected_cost(late, flagged, costs):
    """What does a flight cost on average, given what was decided and how it
    ended?

    `late` is an array of 0 and 1, `flagged` one of True and False, of the same
    length (one flight or more). `costs` has, in any order, the price of each
    outcome: "hit" (late and flagged), "miss" (late, not flagged), "false alarm"
    (flagged, not late) and "quiet" (neither). Give one number: the mean over
    all flights, not rounded.
    """
    if_late = np.where(flagged, costs["hit"], costs["miss"])  # blank
    if_not = np.where(flagged, costs["false alarm"], costs["quiet"])  # blank
    return np.where(late == 1, if_late, if_not).mean()  # blank


def _bill(answer: Answer, late: str, flagged: str, **prices: float) -> object:
    """The answer's figure for flights written as letters: L is late, F is flagged."""
    costs = PRICES | {name.replace("_", " "): price for name, price in prices.items()}
    return answer(
        np.array([int(c == "L") for c in late]), np.array([c == "F" for c in flagged]), costs
    )


@st.composite
def any_prices(draw):
    """Four prices in any order, of which some are equal or nought."""
    return draw(cases.reordered({name: draw(cases.figures(0, 400, step=0.25)) for name in PRICES}))


@expected_cost.claim("one flight in each of the four boxes, at 300 and 60, is 90 a flight")
def four_boxes(answer: Answer) -> None:
    expect(_bill(answer, "LL..", "F.F."), 90)


@expected_cost.claim("of two late flights and two others: flag none, 150 a flight; flag all, 30")
def one_kind(answer: Answer) -> None:
    expect(_bill(answer, "LL..", "...."), 150)
    expect(_bill(answer, "LL..", "FFFF"), 30)
    expect(_bill(answer, "LL..", "....", miss=100), 50)


@expected_cost.claim("the mean is over all flights, so ten quiet ones make a miss cheaper")
def all_flights(answer: Answer) -> None:
    expect(_bill(answer, "L" + "." * 11, "." * 12), 25)


@expected_cost.claim("a hit is not free where rebooking costs 45")
def hits_cost(answer: Answer) -> None:
    expect(_bill(answer, "LL..", "FF..", hit=45), 22.5)


@expected_cost.claim("watching a flight for nothing costs 3, flagged or not")
def quiet_costs(answer: Answer) -> None:
    expect(_bill(answer, "....", "F...", quiet=3, false_alarm=63), 18)


@expected_cost.generated(
    "any flights at any prices",
    marks={
        "a right decision costs something": lambda late, flagged, costs: (
            costs["hit"] + costs["quiet"] > 0
        ),
        "the prices stand in another order": lambda late, flagged, costs: (
            list(costs) != list(PRICES)
        ),
        "a hit costs more than a miss": lambda late, flagged, costs: costs["hit"] > costs["miss"],
        "all flights are late": lambda late, flagged, costs: late.all(),
        "no flight is late": lambda late, flagged, costs: not late.any(),
    },
)
def any_bill(draw):
    late = draw(cases.labels(draw(cases.whole(1, 12))))
    return late, draw(cases.labels(len(late), bool)), draw(any_prices())


expected_cost.mistake(
    "the total instead of the mean", fails="four_boxes", old=".mean()", new=".sum()"
)
expected_cost.mistake(
    "the two errors are taken for each other",
    fails="one_kind",
    old='costs["hit"], costs["miss"])\n    if_not = np.where(flagged, costs["false alarm"]',
    new='costs["hit"], costs["false alarm"])\n    if_not = np.where(flagged, costs["miss"]',
)
expected_cost.mistake(
    "the mean is over the errors only",
    fails="four_boxes",
    old="return np.where(late == 1, if_late, if_not).mean()",
    new="return np.where(late == 1, if_late, if_not)[late != flagged].mean()",
)
expected_cost.mistake(
    "late flights and others count the same, however rare one of them is",
    fails="all_flights",
    old="np.where(late == 1, if_late, if_not).mean()",
    new="(if_late[late == 1].mean() + if_not[late == 0].mean()) / 2",
)
expected_cost.mistake(
    "a right decision is free",
    fails="hits_cost",
    old='costs["hit"]',
    new="0",
)
expected_cost.mistake(
    "doing nothing is free",
    fails="quiet_costs",
    old='costs["quiet"]',
    new="0",
)
expected_cost.mistake(
    "prices are taken by their place, not by their name",
    fails="any_bill",
    old='costs["false alarm"], costs["quiet"]',
    new="*list(costs.values())[2:]",
)


@expected_cost.alternative
def box_by_box(late, flagged, costs):
    total = 0
    for was_late, was_flagged in zip(late, flagged, strict=True):
        if was_late:
            total += costs["hit"] if was_flagged else costs["miss"]
        else:
            total += costs["false alarm"] if was_flagged else costs["quiet"]
    return total / len(late)


# -- best_threshold ----------------------------------------------------------------------------------


@exercise(
    hints=[
        "Write down what flagging costs on average if the flight is late with probability p, and what leaving "
        "it alone costs. Where do the two lines cross?",
        'Flagging costs p * hit + (1 - p) * false alarm; leaving alone p * miss + (1 - p) * quiet. Call "gain" '
        'what flagging saves if the flight is late, and "loss" what it wastes if it is not.',
        "gain = miss - hit, loss = false alarm - quiet, and p * gain = (1 - p) * loss at p = loss / (gain + loss). "
        "If gain is not positive, no probability is high enough: math.inf.",
    ]
)
def best_threshold(costs):
    """From which probability on is flagging a flight no dearer than leaving it
    alone?

    `costs` has the prices "hit", "miss", "false alarm" and "quiet", as before.
    A right decision may cost something too. A false alarm always costs more
    than a quiet flight; a hit may cost more than a miss. Give the probability
    at which both decisions cost the same, not rounded; math.inf where flagging
    saves nothing even if the flight is late.
    """
    gain = costs["miss"] - costs["hit"]  # blank
    loss = costs["false alarm"] - costs["quiet"]  # blank
    if gain <= 0:
        return math.inf  # blank
    return loss / (gain + loss)  # blank


@best_threshold.claim("at 300 and 60 it is a sixth")
def a_sixth(answer: Answer) -> None:
    expect(answer(PRICES), 1 / 6)


@best_threshold.claim("where both errors cost the same it is a half, whatever they cost")
def a_half(answer: Answer) -> None:
    expect([answer(PRICES | {"miss": c, "false alarm": c}) for c in (1, 60)], [0.5, 0.5])


@best_threshold.claim(
    "where a rebooked passenger still costs 60, a hit at 60 moves it up to a fifth"
)
def hits_cost_too(answer: Answer) -> None:
    expect(answer(PRICES | {"hit": 60}), 0.2)


@best_threshold.claim("a price that every flight pays, whatever you decide, changes nothing")
def common_price(answer: Answer) -> None:
    expect(answer({name: price + 25 for name, price in PRICES.items()}), 1 / 6)


@best_threshold.claim("where no seat is left, a hit costs more than a miss and nothing is flagged")
def no_seat_left(answer: Answer) -> None:
    expect(answer(PRICES | {"hit": 400}), math.inf)


@best_threshold.claim("where a hit costs as much as a miss, flagging saves nothing")
def hit_like_miss(answer: Answer) -> None:
    expect(answer(PRICES | {"hit": 300}), math.inf)


@best_threshold.generated(
    "any prices",
    marks={
        "flagging saves exactly nothing, even if the flight is late": lambda costs: (
            costs["miss"] == costs["hit"]
        ),
        "a hit costs more than a miss": lambda costs: costs["hit"] > costs["miss"],
        "a quiet flight costs something": lambda costs: costs["quiet"] > 0,
        "the threshold lies above a half": lambda costs: (
            0 < costs["miss"] - costs["hit"] < costs["false alarm"] - costs["quiet"]
        ),
        "the prices stand in another order": lambda costs: list(costs) != list(PRICES),
    },
    count=60,
)
def any_prices_of_four(draw):
    loss = draw(cases.figures(1, 400, step=0.25))
    gain = draw(cases.figures(-400, 400, on=[0.0, loss, -loss], step=0.25))
    hit, quiet = draw(cases.figures(0, 50, step=0.25)), draw(cases.figures(0, 50, step=0.25))
    prices = {"hit": hit, "miss": hit + gain, "false alarm": quiet + loss, "quiet": quiet}
    return (draw(cases.reordered(prices)),)


best_threshold.mistake(
    "a gain of nothing is taken for a gain",
    fails="hit_like_miss",
    old="if gain <= 0:",
    new="if gain < 0:",
)
best_threshold.mistake(
    "the odds instead of the probability",
    fails="a_sixth",
    old="loss / (gain + loss)",
    new="loss / gain",
)
best_threshold.mistake(
    "the dear error raises the threshold",
    fails="a_sixth",
    old="loss / (gain + loss)",
    new="gain / (gain + loss)",
)
best_threshold.mistake(
    "the two prices always add up to 360",
    fails="a_half",
    old="loss / (gain + loss)",
    new="loss / 360",
)
best_threshold.mistake(
    "a right decision is free",
    fails="hits_cost_too",
    old='costs["miss"] - costs["hit"]',
    new='costs["miss"]',
)
best_threshold.mistake(
    "a quiet flight is free",
    fails="common_price",
    old='costs["false alarm"] - costs["quiet"]',
    new='costs["false alarm"]',
)
best_threshold.mistake(
    "a formula without its condition: below zero, so that all is flagged",
    fails="no_seat_left",
    old="if gain <= 0:\n        return math.inf",
    new="if gain + loss == 0:\n        return math.inf",
)


best_threshold.mistake(
    "no threshold above a half",
    fails="any_prices_of_four",
    old="return loss / (gain + loss)",
    new="return min(loss / (gain + loss), 0.5)",
)


@best_threshold.alternative
def by_bisection(costs):
    def saved(p):
        late = costs["miss"] - costs["hit"]
        return p * late - (1 - p) * (costs["false alarm"] - costs["quiet"])

    if saved(1.0) <= 0:
        return math.inf
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if saved(middle) > 0 else (middle, high)
    return high


# -- worth_building ----------------------------------------------------------------------------------


@exercise(
    hints=[
        "A model is worth what it saves against the best thing that you could do without it, and that "
        "is not always what you do today. Then it must pay for itself.",
        "day_block(metric, days, late, model, against=rival) is the mean difference a flight, with an interval of "
        "whole days. The model is the cheaper one where the interval lies below zero. Which end of it is "
        "the saving that you can count on?",
        "saved = min(-day_block(per_flight, trial.day, trial.late, trial.model, against=r).high for r in rivals); "
        "times flights a day, times the days of the plan, it must exceed build plus run times days.",
    ]
)
def worth_building(trial, plan):
    """Should this model be built? Say False when it should not.

    `trial` has one row a flight: day, late (0 or 1), model and rule (0 or 1:
    did each of them flag it?). The rule is what the desk does today; flagging
    nobody or everybody needs no model either. `plan` has the prices "miss" and
    "false alarm", what the model costs to "build" (once) and to "run" (a day),
    and for how many "days" it will run, at the trial's flights a day: their
    mean over the days that are in it. Days differ in their flights, and some
    may be left out. True only if the saving is more than all that, even at the
    less favourable end of its 95 % interval over whole days, whichever of the
    three you compare the model with. Rows and days come in any order.
    """
    per_flight = cost(plan["miss"], plan["false alarm"])
    rivals = [np.zeros(len(trial)), np.ones(len(trial)), trial.rule]  # blank
    known = trial.day, trial.late, trial.model
    gaps = [day_block(per_flight, *known, against=rival) for rival in rivals]
    saved = min(-gap.high for gap in gaps)  # blank
    flights = len(trial) / trial.day.nunique() * plan["days"]
    spent = plan["build"] + plan["run"] * plan["days"]  # blank
    return bool(saved * flights > spent)


PLAN = {"miss": 300, "false alarm": 60, "build": 30_000, "run": 100, "days": 365}


@cache
def _trial(
    late_rate: float = 0.25,
    model: tuple[float, float] = (0.9, 0.3),
    rule: tuple[float, float] = (0.8, 0.5),
) -> pd.DataFrame:
    """Simulated: 60 days of 20 flights. Of the model and the rule: share flagged of late flights and of others."""
    rng = np.random.default_rng(4)
    rows = pd.DataFrame({"day": np.repeat(np.arange(60), 20)})
    daily = np.clip(rng.normal(late_rate, 0.08, size=60), 0.02, 0.98)
    rows["late"] = (rng.random(len(rows)) < daily[rows.day]).astype(int)
    for name, (of_late, of_other) in (("model", model), ("rule", rule)):
        share = np.where(rows.late == 1, of_late, of_other)
        rows[name] = (rng.random(len(rows)) < share).astype(int)
    return rows


def _lucky() -> pd.DataFrame:
    """Simulated: the model is a little dearer than the rule on 57 days, and saves a lot on 3 stormy ones."""
    rows = _trial(rule=(0.9, 0.3)).copy()
    storm = rows.day % 20 == 7
    rows["model"] = rows["rule"]
    rows.loc[storm, "late"] = 1
    rows.loc[storm, ["model", "rule"]] = [1, 0]
    worse = ~storm & (rows.late == 0) & (rows["rule"] == 0) & (np.arange(len(rows)) % 8 == 0)
    rows.loc[worse, "model"] = 1
    return rows


def _unsure() -> pd.DataFrame:
    """Simulated: against flagging nobody the model saves 120 on each of 60 days; against the rule 480 or -180 in turn."""
    rows = pd.DataFrame({"day": np.repeat(np.arange(60), 20), "flight": np.tile(np.arange(20), 60)})
    rows["late"] = (rows.flight == 0).astype(int)
    rows["model"] = (rows.flight <= 3).astype(int)
    rows["rule"] = (rows.flight <= 11 * (rows.day % 2)).astype(int)
    return rows.drop(columns="flight")


def _says(answer: Answer, trial: pd.DataFrame, **changes: float) -> object:
    plan = PLAN | {name.replace("_", " "): value for name, value in changes.items()}
    said = answer(trial.copy(), plan)
    return bool(said) if isinstance(said, bool | np.bool_) else said


@worth_building.claim("it says yes to a model that saves about twice what it costs")
def clear_case(answer: Answer) -> None:
    expect(_says(answer, _trial()), True)


@worth_building.claim("it says yes to a small saving that costs next to nothing")
def small_but_cheap(answer: Answer) -> None:
    slight = _trial(model=(0.85, 0.42))
    expect(_says(answer, slight, build=500, run=2), True)


@worth_building.claim(
    "it says no where flagging nobody is as cheap: a false alarm costs 300, a miss 60"
)
def nobody(answer: Answer) -> None:
    expect(_says(answer, _trial(), miss=60, false_alarm=300, build=0, run=0), False)


@worth_building.claim(
    "it says no where flagging everybody is cheaper: more than half of the flights are late"
)
def everybody(answer: Answer) -> None:
    often = _trial(0.6, model=(0.85, 0.3), rule=(0.5, 0.1))
    expect(_says(answer, often, build=0, run=0), False)


@worth_building.claim("it says no where the rule that the desk has is better")
def good_rule(answer: Answer) -> None:
    expect(_says(answer, _trial(rule=(0.93, 0.25)), build=0, run=0), False)


@worth_building.claim("it says no where running the model costs more than it saves")
def dear_to_run(answer: Answer) -> None:
    expect(_says(answer, _trial(), build=0, run=600), False)


@worth_building.claim("it says no where the service is closed before the model has paid for itself")
def too_short(answer: Answer) -> None:
    expect(_says(answer, _trial(), days=60), False)


@worth_building.claim("it says no where three lucky days of sixty carry the whole saving")
def lucky_days(answer: Answer) -> None:
    expect(_says(answer, _lucky(), build=0, run=0), False)


@worth_building.claim(
    "it says no where the saving against the rule is the largest, and so unsure that it may not pay"
)
def unsure_rule(answer: Answer) -> None:
    expect(_says(answer, _unsure(), build=0, run=95), False)


RIVALS = ("nobody", "everybody", "the rule")


def _bills(trial: pd.DataFrame, plan: dict[str, float]) -> pd.DataFrame:
    """What each day costs with the model, and with each of its rivals."""

    def bill(flagged: pd.Series) -> pd.Series:
        paid = (1 - flagged) * trial.late * plan["miss"] + flagged * (1 - trial.late) * plan[
            "false alarm"
        ]
        return paid.groupby(trial.day).sum()

    none = 0 * trial.late
    flagged = dict(
        zip(("model", *RIVALS), (trial.model, none, none + 1, trial["rule"]), strict=True)
    )
    return pd.DataFrame({who: bill(by) for who, by in flagged.items()})


def _saved(trial: pd.DataFrame, plan: dict[str, float]) -> pd.DataFrame:
    """What the model saves a day against each rival: the mean, and how far the 95 % interval reaches below it.

    `narrow` and `wide`: of the interval of a day's saving and that of a flight's, which differ where days do.
    """
    bills = _bills(trial, plan)
    saved = bills[list(RIVALS)].sub(bills.model, axis=0)
    size = trial.groupby("day").size()
    of_flights = saved - np.outer(size, saved.sum() / size.sum())
    below = pd.DataFrame([saved.std(), of_flights.std()]) * 1.96 / len(saved) ** 0.5
    return pd.DataFrame({"mean": saved.mean(), "narrow": below.min(), "wide": below.max()})


def _pays_on_average(trial: pd.DataFrame, plan: dict[str, float]) -> bool:
    spent = plan["build"] / plan["days"] + plan["run"]
    return bool(_saved(trial, plan)["mean"].min() > spent)


def _closest(rival: str) -> Callable[[pd.DataFrame, dict[str, float]], bool]:
    def closest(trial: pd.DataFrame, plan: dict[str, float]) -> bool:
        return bool(_saved(trial, plan)["mean"].idxmin() == rival)

    return closest


@st.composite
def _trials(draw):
    """Simulated: some weeks, whose rows stand in no order, with days that are numbers or dates.

    In some of them every third day or so is busy and has another late rate; in some days are left out.
    """
    days, per_day = draw(cases.whole(20, 90)), draw(cases.whole(5, 15))
    rng = np.random.default_rng(draw(cases.whole(0, 50)))
    rate, busy_rate = draw(st.sampled_from([(0.2, 0.2), (0.1, 0.5), (0.6, 0.2), (0.7, 0.7)]))
    busy = rng.random(days) < 0.3
    sizes = np.where(busy & (rate != busy_rate), 3 * per_day, per_day)
    number = np.sort(rng.choice(draw(st.sampled_from([1, 2])) * days, days, replace=False))
    rows = pd.DataFrame({"day": np.repeat(number, sizes)})
    late = rng.random(len(rows)) < np.repeat(np.where(busy, busy_rate, rate), sizes)
    rows["late"] = late.astype(int)
    rules = [(0.7, 0.3), (0.85, 0.2), (0.5, 0.1), (0.0, 0.0), (1.0, 1.0)]
    for name, flags in {"model": [(0.95, 0.1), (0.9, 0.2)], "rule": rules}.items():
        hits, alarms = draw(st.sampled_from(flags))
        rows[name] = (rng.random(len(rows)) < np.where(late, hits, alarms)).astype(int)
    if draw(st.booleans()):
        rows["day"] = pd.Timestamp("2013-03-01") + pd.to_timedelta(rows.day, unit="D")
    return rows.sample(frac=1, random_state=0) if draw(st.booleans()) else rows


@worth_building.generated(
    "any trial and any plan",
    marks={
        "the mean saving pays, and the less favourable end of its interval does not": lambda trial, plan: (
            _pays_on_average(trial, plan) and not worth_building.answer(trial, plan)
        ),
        "flagging nobody is the closest rival": _closest("nobody"),
        "flagging everybody is the closest rival": _closest("everybody"),
        "the rule is the closest rival": _closest("the rule"),
        "model and rule flag the same flights": lambda trial, plan: trial.model.equals(
            trial["rule"]
        ),
        "the trial has fewer than sixty days": lambda trial, plan: trial.day.nunique() < 60,
        "the days are dates": lambda trial, plan: trial.day.dtype.kind == "M",
        "some days have three times as many flights as others": lambda trial, plan: (
            trial.day.value_counts().nunique() > 1
        ),
        "some days are left out": lambda trial, plan: (
            pd.Series(trial.day.sort_values().unique()).diff().nunique() > 1
        ),
    },
    count=40,
    steps=60,
)
def any_plan(draw):
    """What is spent lies clearly inside or below the interval of the saving: no way to make intervals decides."""
    trial = draw(_trials())
    if draw(cases.whole(0, 9)) == 9:
        trial["rule"] = trial.model
    miss, false_alarm = draw(st.sampled_from([(300, 60), (100, 100), (300, 60), (60, 300)]))
    days = draw(cases.whole(30, 800))
    plan = {"miss": miss, "false alarm": false_alarm, "build": 0, "run": 0, "days": days}
    saved = _saved(trial, plan)
    inside = (saved["mean"] - 0.5 * saved.narrow).min()
    spent = draw(st.sampled_from([(saved["mean"] - 1.3 * saved.wide).min()] * 2 + [inside]))
    if spent < 0:
        spent = max(0, inside)
    share = draw(st.sampled_from([0, 0.5, 1]))
    plan |= {"build": (1 - share) * spent * days, "run": share * spent}
    return trial, draw(cases.reordered(plan))


worth_building.mistake(
    "only the rival that is the cheapest on average is asked",
    fails="unsure_rule",
    old="min(-gap.high for gap in gaps)",
    new="-max(gaps, key=lambda gap: gap.value).high",
)
worth_building.mistake(
    "the saving is taken for a day's, and it is a flight's",
    fails="clear_case",
    old="len(trial) / trial.day.nunique() * plan",
    new="plan",
)
worth_building.mistake(
    "a saving below ten a flight is not worth the trouble",
    fails="small_but_cheap",
    old="return bool(saved * flights > spent)",
    new="return bool(saved > 10 and saved * flights > spent)",
)
worth_building.mistake(
    "doing nothing is forgotten",
    fails="nobody",
    old="[np.zeros(len(trial)), np.ones(len(trial)), trial.rule]",
    new="[np.ones(len(trial)), trial.rule]",
)
worth_building.mistake(
    "better than doing nothing, and better than the rule, is taken for good",
    fails="everybody",
    old="[np.zeros(len(trial)), np.ones(len(trial)), trial.rule]",
    new="[np.zeros(len(trial)), trial.rule]",
)
worth_building.mistake(
    "the model is compared with constants only",
    fails="good_rule",
    old="[np.zeros(len(trial)), np.ones(len(trial)), trial.rule]",
    new="[np.zeros(len(trial)), np.ones(len(trial))]",
)
worth_building.mistake(
    "a model costs nothing once it is built",
    fails="dear_to_run",
    old='plan["build"] + plan["run"] * plan["days"]',
    new='plan["build"]',
)
worth_building.mistake(
    "building it costs nothing",
    fails="too_short",
    old='plan["build"] + plan["run"] * plan["days"]',
    new='plan["run"] * plan["days"]',
)
worth_building.mistake(
    "the mean saving is taken for certain",
    fails="lucky_days",
    old="min(-gap.high for gap in gaps)",
    new="min(-gap.value for gap in gaps)",
)
worth_building.mistake(
    "flights are resampled, not days: an interval that is too narrow",
    fails="lucky_days",
    old="known = trial.day, trial.late",
    new="known = range(len(trial)), trial.late",
)


worth_building.mistake(
    "the interval need only leave out nought, and the mean saving pays",
    fails="unsure_rule",
    old="return bool(saved * flights > spent)",
    new="mean = min(-gap.value for gap in gaps)\n    return bool(saved > 0 and mean * flights > spent)",
)
worth_building.mistake(
    "days without a flight are counted too",
    fails="any_plan",
    old="trial.day.nunique()",
    new="len(pd.date_range(*pd.to_datetime(trial.day.agg(['min', 'max']), unit='D')))",
)
worth_building.mistake(
    "a busy day counts for no more than a quiet one",
    fails="any_plan",
    old="gaps = [day_block(per_flight, *known, against=rival) for rival in rivals]",
    new="""rows = trial.groupby("day").sample(trial.day.value_counts().min(), random_state=0).index
    daily = trial.loc[rows]
    rivals = [pd.Series(rival, trial.index)[rows] for rival in rivals]
    known = daily.day, daily.late, daily.model
    gaps = [day_block(per_flight, *known, against=rival) for rival in rivals]""",
)
worth_building.mistake(
    "every trial is taken to be of sixty days",
    fails="any_plan",
    old="trial.day.nunique()",
    new="60",
)


@worth_building.alternative
def day_by_day(trial, plan):
    def bill(flagged):
        each = np.where(
            trial.late == 1, plan["miss"] * (1 - flagged), plan["false alarm"] * flagged
        )
        return pd.Series(each, dtype=float).groupby(trial.day.to_numpy()).sum()

    model = bill(trial.model)
    for rival in (0 * trial.late, 0 * trial.late + 1, trial["rule"]):
        saved = bill(rival) - model
        certain = saved.mean() - 1.96 * saved.std() / len(saved) ** 0.5
        if (certain - plan["run"]) * plan["days"] <= plan["build"]:
            return False
    return True


# -- metric ------------------------------------------------------------------------------------------


@exercise(
    hints=[
        "Ask of each objective: is there a threshold yet? A price? A limit on how many? What would change "
        "the decision?",
        "Two of the metrics judge decisions, one judges the top of a list, one the whole order, one the "
        "probabilities themselves.",
        "Known prices: add them up. Unknown prices: the probability must be right at every threshold. Fifty "
        "actions: only the fifty count. Nothing known yet: only the order counts.",
    ]
)
def metric():
    """Which metric fits which objective?

    Choose among "expected cost", "log loss", "precision at 50", "AUC" and
    "accuracy".

    desk: flag or leave alone; a miss costs 300, a false alarm 60. Which of two
        systems should run next year?
    airlines: probabilities are sold to airlines, each with prices of its own
        that you will not be told. Which of two models should they get?
    crew: one crew can meet fifty flights a day, all worth the same. Which of
        two models picks the better fifty?
    screening: two ideas for a feature; no price, no threshold, and a late rate
        that differs by month. Which one separates late flights from others?
    """
    return {
        "desk": "expected cost",  # blank
        "airlines": "log loss",  # blank
        "crew": "precision at 50",  # blank
        "screening": "AUC",  # blank
    }


_ACCURACY = "accuracy prices a miss like a false alarm, and uses one threshold that nobody chose"
metric.choices(
    {
        "desk": {
            "expected cost": None,
            "accuracy": "you measured it: the threshold that accuracy likes costs more than flagging everybody",
            "log loss": "it judges probabilities at all thresholds; you have one, and its prices are known",
            "precision at 50": "nothing limits the desk to fifty, and precision does not see what was missed",
            "AUC": "it judges the order only; a model with the right order flags far too many if its "
            "probabilities are off",
        },
        "airlines": {
            "log loss": None,
            "accuracy": _ACCURACY,
            "expected cost": "at which prices? Each airline has others, and you do not know them",
            "precision at 50": "nobody picks fifty; each airline cuts the list at its own probability",
            "AUC": "the order is not enough: who cuts at a probability needs the probability to be right",
        },
        "crew": {
            "precision at 50": None,
            "accuracy": _ACCURACY,
            "expected cost": "the capacity is the limit, not the price: a threshold flags hundreds on a bad day",
            "log loss": "most of it comes from flights that are nowhere near the fifty",
            "AUC": "close, but it counts the order far below the fiftieth flight as much as above it",
        },
        "screening": {
            "AUC": None,
            "accuracy": _ACCURACY,
            "expected cost": "there are no prices yet, and a cost moves with each month's late rate",
            "log loss": "close, but it mixes order with calibration, which you mend later and by other means",
            "precision at 50": "it moves with the month's late rate: fifty are easy to find in a bad month",
        },
    },
    text=lambda objective: f"the metric for the {objective} fits its objective",
)

metric.mistake(
    "the metric that everybody knows",
    fails="desk",
    old='"desk": "expected cost"',
    new='"desk": "accuracy"',
)
metric.mistake(
    "a good order is taken for good probabilities",
    fails="airlines",
    old='"airlines": "log loss"',
    new='"airlines": "AUC"',
)
metric.mistake(
    "the whole order is judged where fifty places count",
    fails="crew",
    old='"crew": "precision at 50"',
    new='"crew": "AUC"',
)
metric.mistake(
    "a bad month makes a feature look good",
    fails="screening",
    old='"screening": "AUC"',
    new='"screening": "precision at 50"',
)


@metric.alternative
def by_metric():
    fits = {
        "AUC": "screening",
        "log loss": "airlines",
        "precision at 50": "crew",
        "expected cost": "desk",
    }
    return {objective: name for name, objective in fits.items()}
