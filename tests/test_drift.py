"""Detectors: what they find, and that none falls silent where numbers are missing, infinite or all the same."""

import subprocess
import sys
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsys_lib.alerts import performance
from mlsys_lib.drift import (
    Binned,
    Ewma,
    Expected,
    Labels,
    PageHinkley,
    Quality,
    RandomFeatures,
    Univariate,
    estimated,
)
from mlsys_lib.faults import concept_drift
from mlsys_lib.metrics import auc, cost
from mlsys_lib.world import local_day

COLUMNS = ["carrier", "visib", "precip", "still", "never"]


def simulated(hours, seed):
    """A decision an hour: one column that varies, one mostly zero, a constant, one that never came."""
    rng = np.random.default_rng(seed)
    at = pd.date_range("2013-01-01 05:00", periods=hours, freq="h", tz="UTC")
    return pd.DataFrame(
        {
            "flight_id": [f"{seed}/{n}" for n in range(hours)],
            "decided_at": at,
            "carrier": rng.choice(["UA", "DL"], hours),
            "visib": rng.uniform(8, 10, hours),
            "precip": np.where(rng.random(hours) < 0.91, 0.0, rng.exponential(0.1, hours)),
            "still": 3.0,
            "never": np.nan,
            "probability": rng.uniform(0.1, 0.5, hours),
            "labelled_at": at + pd.Timedelta("5h"),
        }
    )


USUAL, TODAY = simulated(24 * 60, 0), simulated(24, 1)
DETECTORS = {
    "checks": lambda: Quality(columns=COLUMNS),
    "ks": lambda: Univariate(columns=COLUMNS),
    "psi": lambda: Binned(columns=COLUMNS),
    "mmd": lambda: RandomFeatures(columns=COLUMNS, features=256),
    "cost": Expected,
    "labels": lambda: Labels(least=5),
    "ewma": lambda: Ewma("visib"),
    "page-hinkley": lambda: PageHinkley("visib"),
}
ROW_BY_ROW = ("ewma", "page-hinkley")


# What each finds


def test_mmd_is_near_the_exact_statistic(served):
    month = served.decided_at.dt.month
    may, june = (served[month == m].sample(1500, random_state=0) for m in (5, 6))
    detector = RandomFeatures().fit(may)
    both = np.vstack([detector.scaled(may), detector.scaled(june)])
    square = (both**2).sum(axis=1)
    apart = np.maximum(square[:, None] + square - 2 * both @ both.T, 0)
    kernel = np.exp(-apart / 2 / detector.width**2)
    exact = kernel[:1500, :1500].mean() + kernel[1500:, 1500:].mean()
    exact -= 2 * kernel[:1500, 1500:].mean()
    assert detector.score(june)["all"] == pytest.approx(exact, rel=0.1)


def test_the_kernel_is_as_wide_as_rows_are_apart():
    rows = pd.DataFrame({"temp": np.random.default_rng(0).normal(50, 10, 3000)})
    width = RandomFeatures(columns=["temp"]).fit(rows).width
    assert width == pytest.approx(0.954, abs=0.05)  # the median |a - b| of two standard normals


def test_scores_do_not_hang_on_how_long_the_window_is():
    for name in ("ks", "psi", "cost", "checks", "mmd"):
        detector = DETECTORS[name]().fit(USUAL)
        once, twice = detector.score(TODAY), detector.score(pd.concat([TODAY, TODAY]))
        if name == "checks":
            once, twice = (s.drop(["volume", "repeated"]) for s in (once, twice))
        # Half a row in each bin, and the reference beside it, weigh a little.
        tolerance = 0.35 if name == "psi" else 0.01
        assert np.allclose(once, twice, atol=tolerance), name


def test_checks_count_what_their_names_say():
    detector = Quality(columns=["carrier", "visib"]).fit(USUAL)
    broken = TODAY.assign(
        carrier=["XX"] * 6 + TODAY.carrier[6:].to_list(),
        visib=[np.nan] * 3 + [99.0] * 21,
        flight_id=["a"] * 4 + TODAY.flight_id[4:].to_list(),
    )[:18]
    assert detector.score(broken).to_dict() == pytest.approx(
        {
            "volume": 6 / 24,
            "repeated": 3 / 18,
            "carrier gaps": 0.0,
            "visib gaps": 3 / 18,
            "visib outside": 15 / 18,
            "carrier unseen": 6 / 18,
            "visib stuck": 1 - 1 / 24,
        }
    )


def test_rows_that_are_due_are_those_of_the_weekday():
    days = USUAL.decided_at.dt.tz_convert("America/New_York").dt.day_of_week
    fewer = USUAL[(days != 5) | (USUAL.index % 2 == 0)]  # half as many on Saturdays
    detector = Quality(columns=["visib"]).fit(fewer)
    for moment, rows in fewer.groupby(local_day(fewer.decided_at)):
        assert detector.score(rows)["volume"] == 0, moment


def test_estimates_without_labels_are_right_if_the_probabilities_are(served):
    p = np.sort(served.probability.to_numpy())
    drawn = (np.random.default_rng(0).random(len(p)) < p).astype(float)
    for metric in (auc, cost(300, 60)):
        assert estimated(metric, p) == pytest.approx(float(metric(p, drawn, 1 - drawn)), rel=0.01)


def test_equal_probabilities_win_against_each_other_as_often_as_they_lose():
    """An estimate is that of the counts by distinct probability, though each flight stands alone."""
    for p in ([0.2, 0.2, 0.6], [0.1] * 50, np.round(np.random.default_rng(0).random(5000), 2)):
        score, flights = np.unique(p, return_counts=True)
        for metric in (auc, cost(300, 60)):
            counted = metric(score, flights * score, flights * (1 - score))
            assert estimated(metric, p) == pytest.approx(float(counted))


def test_estimates_do_not_hang_on_the_order():
    assert estimated(auc, [0.6, 0.1, 0.2]) == estimated(auc, [0.1, 0.2, 0.6])
    with pytest.raises(ValueError, match="probability must hold probabilities"):
        estimated(auc, [0.1, 1.8])


def test_estimates_without_labels_do_not_see_concept_drift(served):
    week = served[local_day(served.decided_at).between("2013-09-02", "2013-09-08")]
    drifted, _ = concept_drift(week, "2013-09-02", "2013-09-09")
    before, after = (performance(rows, "2013-10-03").cost.mean() for rows in (week, drifted))
    metric = cost(300, 60)
    assert after > 1.3 * before
    assert estimated(metric, drifted.probability) == estimated(metric, week.probability)


def test_expected_cost_is_a_relative_difference():
    usual, now = (pd.DataFrame({"probability": [p] * 10}) for p in (0.1, 0.15))
    assert Expected().fit(usual).score(now)["cost"] == pytest.approx(0.5)
    assert Expected().fit(now).score(usual)["cost"] == pytest.approx(1 / 3)


def test_labels_are_late_airline_by_airline_after_their_patience():
    late = TODAY.assign(carrier=["UA"] * 12 + ["DL"] * 12)
    hours = pd.Series([35, 37] * 6 + [1] * 12)
    late["labelled_at"] = late.decided_at + pd.to_timedelta(hours, unit="h")
    detector = Labels(least=12).fit(USUAL)
    assert detector.score(late).to_dict() == {"DL": 0.0, "UA": 0.5, "new": 0.0}
    assert detector.wait == pd.Timedelta("2D")
    assert Labels(patience="40h", least=12).fit(USUAL).score(late)["UA"] == 0
    assert Labels(least=13).fit(USUAL).score(late)["UA"] == 0  # too few to judge


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.floats(0.05, 1))
def test_charts_are_their_definitions(values, weight):
    usual = pd.DataFrame({"residual": [-0.5, 0.5]})
    smoothed, summed = Ewma("residual", weight=weight), PageHinkley("residual", slack=0.1)
    smoothed.fit(usual), summed.fit(usual)
    mean = up = down = 0.0
    for value in values:
        today = pd.DataFrame({"residual": [value]})
        mean = (1 - weight) * mean + weight * value
        up, down = max(0, up + value - 0.1), max(0, down - value - 0.1)
        assert smoothed.score(today)["residual"] == pytest.approx(abs(mean), abs=1e-12)
        assert summed.score(today)["residual"] == pytest.approx(max(up, down), abs=1e-12)


def test_a_chart_is_centred_on_the_reference_and_slack_is_half_its_spread():
    usual = pd.DataFrame({"cost": [30.0, 32.0, 34.0]})
    assert Ewma("cost", weight=1).fit(usual).score(usual[2:])["cost"] == 2
    chart = PageHinkley("cost").fit(usual)
    assert chart.slack == 1 and chart.score(usual[2:])["cost"] == 1
    assert chart.score(usual[:1])["cost"] == 1  # two below, less the slack


def test_a_chart_goes_on_from_window_to_window_until_it_is_told():
    usual = pd.DataFrame({"residual": [-0.1, 0.1]})
    days = pd.DataFrame({"residual": [0.4, 0.4, -0.2, 0.3]})
    for chart in (Ewma("residual"), PageHinkley("residual", slack=0.1)):
        chart.fit(usual)
        one_by_one = [chart.score(days[n : n + 1])["residual"] for n in range(4)]
        chart.restart()
        assert chart.score(days)["residual"] == max(one_by_one)  # of several, the loudest
        assert chart.score(days[:0])["residual"] == one_by_one[-1]  # nothing new: as it stands
        assert chart.fit(usual).score(days[:1])["residual"] == one_by_one[0]  # fit begins anew


# None falls silent


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize(
    "window",
    [
        TODAY[:0],
        TODAY[:1],
        TODAY.assign(visib=np.nan, probability=np.nan, carrier=None, labelled_at=pd.NaT),
        TODAY.assign(visib=np.inf, probability=np.inf),
        TODAY.assign(visib=-np.inf, precip=np.inf, probability=-np.inf),
        TODAY.assign(visib=0.0, carrier="UA", probability=0.0),
        TODAY.assign(never=1.0, still=np.nan),
        TODAY.assign(visib=TODAY.visib.mask(TODAY.index == 3)),
        TODAY.assign(visib=TODAY.visib.mask(TODAY.index == 3, np.inf)),
        TODAY.assign(carrier=pd.Categorical(TODAY.carrier)),
        TODAY.assign(visib=1e300),
    ],
    ids=lambda window: f"{len(window)} rows",
)
def test_every_window_has_a_score_for_every_statistic(name, window):
    detector = DETECTORS[name]().fit(USUAL)
    scores = detector.score(window)
    assert scores.index.to_list() == detector.statistics and scores.notna().all()


@pytest.mark.parametrize("name", [name for name in DETECTORS if name not in ROW_BY_ROW])
def test_a_window_without_rows_is_infinitely_far(name):
    scores = DETECTORS[name]().fit(USUAL).score(TODAY[:0])
    assert np.isinf(scores).all() or (name == "checks" and np.isinf(scores["volume"]))


@cache
def fitted(name):
    """A detector, and the most that each of its statistics was on a usual day."""
    detector = DETECTORS[name]().fit(USUAL)
    days = [detector.score(rows) for _, rows in USUAL.groupby(local_day(USUAL.decided_at))]
    return detector, pd.DataFrame(days).max()


LOUD = {
    "zeros": ({"visib": 0.0}, ("checks", "ks", "psi", "mmd")),
    "rain everywhere": ({"precip": TODAY.precip + 0.5}, ("ks", "psi", "mmd")),
    "a little rain everywhere": ({"precip": TODAY.precip + 1e-4}, ("ks", "psi")),
    "a feed that is missing": ({"visib": np.nan}, ("checks", "ks", "psi", "mmd")),
    "a feed that is infinite": ({"visib": np.inf}, ("checks", "ks", "psi", "mmd")),
    "new beside a constant": ({"still": 3.01}, ("checks", "ks", "psi", "mmd")),
    "below a constant": ({"still": -3.0}, ("checks", "ks", "psi", "mmd")),
    "a constant that is missing": ({"still": np.nan}, ("checks", "ks", "psi", "mmd")),
    "a column that never came": ({"never": 0.0}, ("checks", "ks", "psi", "mmd")),
    "names that are missing": ({"carrier": None}, ("checks", "ks", "psi")),
    "one name for all": ({"carrier": "UA"}, ("ks", "psi")),
    "a new name": ({"carrier": "XX"}, ("checks", "ks", "psi")),
    "probabilities of one kind": ({"probability": 0.01}, ("cost",)),
    "no probability": ({"probability": np.nan}, ("cost",)),
    "no labels": ({"labelled_at": pd.NaT}, ("labels",)),
}


@pytest.mark.parametrize(
    ("fault", "name"), [(fault, name) for fault, (_, names) in LOUD.items() for name in names]
)
@pytest.mark.parametrize("spoilt", [None, np.nan, np.inf, -np.inf])
def test_what_is_broken_scores_more_than_any_usual_day_whatever_else_is_in_it(fault, name, spoilt):
    """One reading more that is missing or infinite does not silence the others."""
    detector, loudest = fitted(name)
    broken = TODAY.assign(**LOUD[fault][0])
    if spoilt is not None:
        broken = broken.astype({"visib": float}).assign(
            visib=lambda t: t.visib.mask(t.index == 5, spoilt),
            probability=broken.probability.mask(broken.index == 5, spoilt),
        )
    assert (detector.score(broken) > loudest * 1.05).any()


def test_a_reference_with_odd_numbers_finds_what_a_plain_one_finds():
    """A missing or infinite reading among the usual ones must not stretch what is usual."""
    odd = USUAL.assign(
        visib=USUAL.visib.mask(USUAL.index == 7, np.inf).mask(USUAL.index == 9, -np.inf),
        probability=USUAL.probability.mask(USUAL.index == 7),
    )
    odd["visib"] = odd.visib.mask(odd.index == 11)
    for name in DETECTORS:
        plain, spoilt = (DETECTORS[name]().fit(rows) for rows in (USUAL, odd))
        far = TODAY.assign(visib=30.0, probability=0.01)
        one, other = plain.score(far), spoilt.score(far)
        assert np.allclose(one, other, rtol=0.02, atol=0.01), name


def test_mmd_of_a_column_that_is_nearly_always_zero():
    rng = np.random.default_rng(0)
    rain = np.where(rng.random(3000) < 0.91, 0.0, rng.random(3000))
    found = RandomFeatures(columns=["precip"]).fit(pd.DataFrame({"precip": rain}))
    near, far = (float(found.score(pd.DataFrame({"precip": x}))["all"]) for x in (rain, rain + 1))
    assert far > 10 * max(near, 1e-6)


def test_mmd_of_rows_that_are_all_the_same():
    usual = pd.DataFrame({"precip": np.zeros(50)})
    found = RandomFeatures(columns=["precip"]).fit(usual)
    assert found.score(usual)["all"] == 0 and found.score(usual + 1e-3)["all"] > 0.1


def test_psi_of_a_column_that_is_mostly_zero():
    rng = np.random.default_rng(0)
    rain = np.where(rng.random(5000) < 0.91, 0.0, rng.exponential(0.1, 5000))
    usual = pd.DataFrame({"precip": rain, "visib": 10.0})
    wet = pd.DataFrame({"precip": rain + 0.5, "visib": 0.0})
    found = Binned(columns=["precip", "visib"]).fit(usual).score(wet)
    assert (found > 0.25).all()


def test_an_airline_of_which_nothing_is_heard_has_no_labels():
    detector = Labels(least=5).fit(USUAL)
    only = TODAY.assign(carrier="UA")
    assert detector.score(only).to_dict() == {"DL": 1.0, "UA": 0.0, "new": 0.0}
    assert Labels(least=20).fit(USUAL).score(only)["DL"] == 0  # it never had so many a day


def test_a_new_airline_without_labels_is_seen():
    silent = TODAY.assign(carrier="UAL", labelled_at=pd.NaT)
    assert Labels(least=5).fit(USUAL).score(silent)["new"] == 1
    assert Labels(least=5).fit(USUAL).score(TODAY.assign(carrier="UAL"))["new"] == 0


def test_a_gap_in_a_chart_does_not_erase_what_was_summed_up():
    usual = pd.DataFrame({"residual": [0.0, 0.0]})
    days = np.full(8, 0.5)
    whole = PageHinkley("residual", slack=0.1).fit(usual).score(pd.DataFrame({"residual": days}))
    days[6] = np.nan
    chart = PageHinkley("residual", slack=0.1).fit(usual)
    table = pd.DataFrame({"residual": days})
    found = [chart.score(table[day : day + 1])["residual"] for day in range(8)]
    assert found[-1] >= whole["residual"] * 0.7
    assert found[6] == found[5]


def test_an_infinite_residual_rings_once_and_the_chart_goes_on():
    usual = pd.DataFrame({"residual": [-0.1, 0.1]})
    table = pd.DataFrame({"residual": [0.4, np.inf, -np.inf, 0.4]})
    for chart in (Ewma("residual"), PageHinkley("residual")):
        chart.fit(usual)
        found = [chart.score(table[day : day + 1])["residual"] for day in range(4)]
        assert np.isinf(found[1:3]).all() and found[0] < found[3] < np.inf


# Doors


def test_importing_the_library_loads_no_heavy_package():
    code = (
        "import sys, mlsys_lib.alerts, mlsys_lib.alibi; "
        "print({'alibi_detect', 'numba', 'transformers', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_refuses_what_it_cannot_use(name):
    detector = DETECTORS[name]()
    column = detector.columns[0]
    with pytest.raises(ValueError, match=r"is not fitted; call fit\(reference\) first"):
        detector.score(TODAY)
    with pytest.raises(
        ValueError, match=r"reference must have one length of one or more; got \[0\]"
    ):
        detector.fit(USUAL[:0])
    with pytest.raises(ValueError, match=rf"lacks \['{column}'\]"):
        detector.fit(USUAL.drop(columns=column))
    detector.fit(USUAL)
    with pytest.raises(ValueError, match=rf"lacks \['{column}'\]"):
        detector.score(TODAY.drop(columns=column))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Univariate(columns=[]), r"columns=\[\] leaves nothing to watch"),
        (lambda: RandomFeatures(columns=["carrier"]), r"columns=\[\] leaves nothing"),
        (lambda: RandomFeatures(features=0), "features=0 must lie"),
        (lambda: Labels(patience="36"), "patience='36' is no duration"),
        (lambda: Labels(least=0), "least=0 must lie"),
        (lambda: Ewma("cost", weight=0), "weight=0 must lie"),
        (lambda: Ewma("cost", weight=1.5), "weight=1.5 must lie"),
        (lambda: PageHinkley("cost", slack=-1), "slack=-1 must lie"),
        (lambda: Univariate(columns=["visib"]).fit(USUAL.assign(visib="ten")), "visib must hold"),
        (lambda: RandomFeatures(columns=["visib"]).fit(USUAL.assign(visib="10 mi")), "visib must"),
        (lambda: Ewma("visib").fit(USUAL.assign(visib=np.nan)), "known must have one length"),
        (lambda: Expected().fit(USUAL.assign(probability=np.nan)), "missing in all rows"),
        (
            lambda: Quality(columns=["visib"]).fit(USUAL[["visib"]]),
            "lacks .'flight_id', 'decided_at'",
        ),
    ],
)
def test_what_makes_no_detector_is_refused_by_its_name(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_one_column_may_be_named_alone():
    assert Univariate(columns="visib").fit(USUAL).statistics == ["visib"]
