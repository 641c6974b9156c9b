"""Monitors: statistics that equal their references, promises that hold, a scorecard that adds up."""

import subprocess
import sys
from importlib.util import find_spec

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chi2_contingency, ks_2samp

from mlsys_lib import World, monitoring
from mlsys_lib.evaluation import auc, cost
from mlsys_lib.faults import (
    REAL,
    Fault,
    concept_drift,
    covariate_shift,
    label_delay,
    label_times,
    silent_airline,
    unit_change,
)
from mlsys_lib.features import CATEGORIES, batch
from mlsys_lib.models import boosted, fit
from mlsys_lib.monitoring import (
    Alibi,
    Binned,
    Labels,
    Names,
    Numbers,
    Policy,
    Quality,
    RandomFeatures,
    Univariate,
    alerts,
    calibrate,
    detections,
    edges,
    estimated,
    ewma,
    histogram,
    histogram_sql,
    limit,
    losses,
    page_hinkley,
    performance,
    psi,
    ratios,
    scorecard,
    standard_monitors,
)

COLUMNS = ["temp", "visib", "pressure", "origin_landed_late_24h", "dep_minute", *CATEGORIES]
numbers = st.lists(st.sampled_from([-1.5, 0.0, 0.0, 2.0, 3.25, np.nan]), min_size=2, max_size=40)
names = st.lists(st.sampled_from(["UA", "DL", "EV", "YX", None]), min_size=2, max_size=40)


def days_of(rows):
    return rows.decided_at.dt.tz_convert("America/New_York").dt.strftime("%Y-%m-%d")


@pytest.fixture(scope="module")
def log():
    """May to September, every fourth flight, with the probabilities of a model of spring."""
    world = World("2013-10-03")
    asked = world.decisions(since="2013-03-15 04:00")
    asked = asked[asked.decided_at < "2013-10-01 04:00"]
    rows = label_times(batch(world, asked.iloc[::4]), world)
    spring = rows.decided_at < "2013-05-01 04:00"
    model = fit(lambda s: boosted(s, max_iter=40), rows[spring & rows.late.notna()])
    served = rows[~spring].reset_index(drop=True)
    return served.assign(probability=model.predict(served))


@pytest.fixture(scope="module")
def quiet(log):
    """The days without a recorded event, in two halves of alternating weeks."""
    disturbed = pd.Series(False, log.index)
    for event in REAL:
        disturbed |= log.decided_at.between(event.start, event.end, "left")
    even = log.decided_at.dt.isocalendar().week % 2 == 0
    return log[even & ~disturbed], log[~even & ~disturbed]


# 1. Statistics


@given(numbers, numbers)
def test_ks_is_scipys_with_infinity_for_what_is_missing(reference, new):
    filled = [np.nan_to_num(values, nan=np.inf) for values in (reference, new)]
    expected = ks_2samp(*filled, method="asymp").statistic
    assert Numbers(reference).ks(new) == pytest.approx(expected, abs=1e-12)


def test_ks_is_scipys_on_real_columns_short_and_long(log, monkeypatch):
    may, june = (log[log.decided_at.dt.month == month] for month in (5, 6))
    for cells in (2**16, 1):
        monkeypatch.setattr(monitoring, "_CELLS", cells)
        for column in ("temp", "pressure", "origin_left_delay_3h"):
            filled = [np.nan_to_num(rows[column], nan=np.inf) for rows in (may, june)]
            expected = ks_2samp(*filled, method="asymp").statistic
            assert Numbers(may[column]).ks(june[column]) == pytest.approx(expected, abs=1e-12)


@given(names, names)
def test_chi2_is_scipys_with_names_that_are_missing_or_new(reference, new):
    both = sorted({*reference, *new}, key=str)
    table = np.array([[values.count(name) for name in both] for values in (reference, new)])
    expected = chi2_contingency(table, correction=False).statistic
    for values in (new, pd.Categorical(new, [name for name in both if name])):
        assert Names(reference).chi2(values) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(st.lists(numbers, min_size=2, max_size=4), st.integers(2, 6))
def test_histograms_of_parts_add_up(parts, bins):
    whole = np.concatenate(parts)
    ends = edges(whole, bins)
    together = np.sum([histogram(part, ends) for part in parts], axis=0)
    assert (together == histogram(whole, ends)).all()
    assert together.sum() == len(whole) and psi(together, together) == 0


@pytest.mark.parametrize("column", ["temp", "visib", "wind_gust", "origin_landed_late_24h"])
def test_a_histogram_in_sql_is_the_same(column, log):
    ends = edges(log[column])
    rows = log[[column]].copy()
    with duckdb.connect() as engine:
        engine.register("log", rows)
        found = dict(engine.execute(histogram_sql("log", column, ends)).fetchall())
    assert [found.get(place, 0) for place in range(len(ends) + 2)] == list(
        histogram(rows[column], ends)
    )


def test_mmd_is_near_the_exact_statistic(log):
    month = log.decided_at.dt.month
    may, june = (log[month == m].sample(1500, random_state=0) for m in (5, 6))
    detector = RandomFeatures().fit(may)
    both = np.vstack([detector.scaled(may), detector.scaled(june)])
    square = (both**2).sum(axis=1)
    apart = np.maximum(square[:, None] + square - 2 * both @ both.T, 0)
    kernel = np.exp(-apart / 2 / detector.width**2)
    exact = kernel[:1500, :1500].mean() + kernel[1500:, 1500:].mean()
    exact -= 2 * kernel[:1500, 1500:].mean()
    assert detector.score(june)["all"] == pytest.approx(exact, rel=0.1)


# 2. Detectors


def test_importing_the_library_loads_no_heavy_package():
    code = (
        "import sys, mlsys_lib.monitoring, mlsys_lib.faults; "
        "print({'alibi_detect', 'numba', 'transformers', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_without_alibi_detect_the_error_says_where_it_is(log, monkeypatch):
    monkeypatch.setitem(sys.modules, "alibi_detect", None)
    monkeypatch.setitem(sys.modules, "alibi_detect.cd", None)
    with pytest.raises(ImportError, match=r"Python 3\.11 or 3\.12"):
        Alibi("KSDrift", ["temp"]).fit(log.head(100))


def test_alibis_detectors_give_the_same_statistics(log, capfd):
    if find_spec("alibi_detect") is None:
        pytest.skip("alibi-detect comes with the course environment only")
    first_use = "alibi_detect" not in sys.modules
    reference, window = log.iloc[::40], log.iloc[1::200]
    tabular = Alibi("TabularDrift", COLUMNS).fit(reference)
    assert ("loading alibi-detect" in capfd.readouterr().err) == first_use
    found, own = tabular.score(window), Univariate(COLUMNS).fit(reference).score(window)
    for column in COLUMNS:
        expected = own[column]
        if column in CATEGORIES:
            expected = Names(reference[column]).chi2(window[column])
        assert found[column] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert Alibi("CVMDrift", ["temp"]).fit(reference).score(window)["temp"] > 0


def test_p_values_of_flights_reject_one_half_of_quiet_days_against_the_other(quiet):
    day = days_of(quiet[0])
    odd = day.isin(sorted(day.unique())[::2])
    columns = [c for c in monitoring.FEATURES if c not in CATEGORIES]
    p = [ks_2samp(quiet[0][c][odd].dropna(), quiet[0][c][~odd].dropna()).pvalue for c in columns]
    assert np.mean(np.array(p) < 0.01) > 0.5


DETECTORS = {
    "quality": Quality,
    "ks": Univariate,
    "psi": Binned,
    "score": lambda: Univariate(["probability"]),
    "labels": Labels,
}


@pytest.mark.parametrize("name", DETECTORS)
def test_the_promised_rate_holds_on_weeks_that_calibration_has_not_seen(name, quiet):
    promised, alarms, checks = 1 / 30, 0, 0
    for reference, held_out in (quiet, quiet[::-1]):
        detector = DETECTORS[name]()
        table = ratios(detector, calibrate(detector, reference, promised), held_out)
        alarms, checks = alarms + (table.max(axis=1) >= 1).sum(), checks + len(table)
    assert checks > 130
    assert alarms <= binom.ppf(0.995, checks, promised)


def test_a_longer_window_can_be_calibrated_too(quiet):
    detector = Univariate(["visib"])
    day, week = (calibrate(detector, quiet[0], rate=0.1, days=days) for days in (1, 7))
    assert (week < day).all()


def test_a_rate_that_the_days_cannot_show_is_refused(log):
    with pytest.raises(ValueError, match="cannot promise one false alarm in 30"):
        calibrate(Univariate(["temp"]), log[log.decided_at < "2013-05-15"])


def test_a_unit_change_is_found_in_its_column(quiet):
    reference, held_out = quiet
    broken, fault = unit_change(held_out, "2013-07-01", "2013-08-01", "pressure", 0.02953, 0)
    found = {}
    for detector, column in (
        (Quality(COLUMNS), "pressure outside"),
        (Univariate(COLUMNS), "pressure"),
    ):
        table = ratios(detector, calibrate(detector, reference), broken)[column]
        inside = (table.index > fault.start) & (table.index <= fault.end)
        found[column] = ((table[inside] >= 1).mean(), (table[~inside] >= 1).mean())
    assert found["pressure outside"][0] > 0.8 and found["pressure outside"][1] < 0.05
    # ... and not by its distribution: the pressure of an undisturbed day is as far from a year's.
    assert found["pressure"] == (0, 0)


# 3. Performance


def test_performance_sees_only_labels_that_are_mature(log):
    now = pd.Timestamp("2013-06-12 20:00", tz="UTC")
    seen = log[log.decided_at < "2013-07-01"]
    blind = seen.assign(
        late=seen.late.where(seen.label_at <= now),
        label_at=seen.label_at.where(seen.label_at <= now),
    )
    pd.testing.assert_frame_equal(performance(seen, now), performance(blind, now))
    table = performance(seen, now)
    assert table.late.notna().to_list() == (table.settled >= monitoring.COMPLETE).to_list()
    assert (table.known_at.dropna() <= now).all()
    assert np.isnan(table.late.iloc[-1]) and table.late.iloc[:-2].notna().all()


def test_performance_is_the_plain_figure_once_all_is_known(log):
    table = performance(log, "2013-10-03")
    day = days_of(log)
    own = log[(day == "2013-06-12") & log.late.notna()]
    assert table.loc["2013-06-12", "residual"] == pytest.approx((own.late - own.probability).mean())
    score = own.probability.to_numpy()
    late = own.late.to_numpy()
    assert table.loc["2013-06-12", "cost"] == pytest.approx(
        cost(300, 60)(score, late, 1 - late), rel=1e-9
    )


def test_estimates_without_labels_are_right_if_the_probabilities_are(log):
    p = np.sort(log.probability.to_numpy())
    drawn = (np.random.default_rng(0).random(len(p)) < p).astype(float)
    for metric in (auc, cost(300, 60)):
        assert estimated(metric, p) == pytest.approx(float(metric(p, drawn, 1 - drawn)), rel=0.01)


def test_estimates_without_labels_do_not_see_concept_drift(log):
    week = log[days_of(log).between("2013-09-02", "2013-09-08")]
    drifted, _ = concept_drift(week, "2013-09-02", "2013-09-09")
    before, after = (performance(rows, "2013-10-03").cost.mean() for rows in (week, drifted))
    metric = cost(300, 60)
    assert after > 1.3 * before
    assert estimated(metric, drifted.probability) == estimated(metric, week.probability)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.floats(0.05, 1))
def test_charts_are_their_definitions(values, weight):
    mean = up = down = 0.0
    for value, smooth, sum_ in zip(
        values, ewma(weight)(np.array(values)), page_hinkley(0.1)(np.array(values)), strict=True
    ):
        mean = (1 - weight) * mean + weight * value
        up, down = max(0, up + value - 0.1), max(0, down - value - 0.1)
        assert smooth == pytest.approx(abs(mean), abs=1e-12)
        assert sum_ == pytest.approx(max(up, down), abs=1e-12)


@pytest.mark.parametrize("chart", [ewma(), page_hinkley(0.035), np.abs])
def test_a_limit_is_exceeded_as_often_as_promised(chart, quiet):
    residual = performance(quiet[0], "2013-10-03").residual.dropna()
    centred = (residual - residual.mean()).to_numpy()
    high = limit(chart, centred, rate=0.05)
    fresh = np.random.default_rng(1).choice(centred, (50, 365))
    alarms = np.mean([chart(year) > high for year in fresh])
    assert 0.01 < alarms < 0.08


def test_limits_from_days_are_wider_than_limits_from_flights(quiet):
    table = performance(quiet[0], "2013-10-03").dropna()
    of_flights = np.sqrt(table.probability * (1 - table.probability) / table.decisions).mean()
    assert table.residual.std() > 2 * of_flights


# 4. Alerts


def test_alerts_wait_group_and_keep_to_their_budget():
    days = pd.date_range("2013-06-01", periods=20, tz="UTC")
    table = pd.DataFrame({"a": 0.0, "b": 0.0}, days)
    table.iloc[[1, 2, 3, 5, 12], 0] = [2, 3, 2, 2, 4]
    table.iloc[[2, 16], 1] = 1.5
    sent = alerts(table)
    assert sent["start"].dt.day.to_list() == [2, 3, 13, 17]
    assert sent["columns"].to_list() == ["a", "b", "a", "b"]
    assert sent.end.dt.day.to_list() == [6, 3, 13, 17] and sent.peak.max() == 4
    assert alerts(table, Policy(persistence=2))["start"].dt.day.to_list() == [3]
    assert alerts(table, Policy(threshold=3.5))["start"].dt.day.to_list() == [13]
    assert alerts(table, Policy(budget=2))["start"].dt.day.to_list() == [2, 3]
    assert alerts(table, Policy(quiet=30))["start"].dt.day.to_list() == [2, 3]
    assert alerts(table * 0).empty


def entry(name, first, last, harm="predictions"):
    return Fault(name, "test", pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC"), harm)


def sent_on(*days):
    start = pd.DatetimeIndex([f"2013-06-{day:02}" for day in days], tz="UTC")
    return pd.DataFrame({"start": start, "end": start, "columns": "a", "peak": 1.0})


def test_the_scorecard_counts_what_a_hand_counts():
    log = [
        entry("found", "2013-06-03", "2013-06-06"),
        entry("missed", "2013-06-10", "2013-06-12"),
        entry("harmless", "2013-06-20", "2013-06-22", "none"),
    ]
    hours = pd.date_range("2013-06-01 12:00", periods=30, freq="D", tz="UTC")
    lost = pd.DataFrame({"decided_at": hours, "extra": 100.0, "usual": 0.0})
    sent = {"one": sent_on(1, 5, 21), "none": sent_on()}
    card = scorecard(sent, log, lost)
    found = detections(sent["one"], log)
    assert found["found"] == pd.Timestamp("2013-06-05", tz="UTC") and pd.isna(found["missed"])
    assert card.loc["one", ["caught", "delay", "missed"]].to_list() == [1, 2.0, "missed"]
    assert card.loc["one", "false_month"] == pytest.approx(2.0)  # on the 1st, and the harmless one
    assert card.loc["one", "lost"] == 200 + 200  # two days until found, two days missed
    assert card.loc["none", ["caught", "false_month", "lost"]].to_list() == [0, 0, 500]


def test_nothing_is_lost_where_nothing_is_broken(log):
    assert (losses(log, log).extra == 0).all()


def test_ten_monitors_are_scored_on_one_log(log, quiet):
    truth, served = [], log
    for inject, start, options in (
        (silent_airline, "2013-06-03", {}),
        (label_delay, "2013-08-05", {}),
        (concept_drift, "2013-09-02", {"share": 0.4}),
        (covariate_shift, "2013-05-13", {"origin": "EWR"}),
    ):
        end = str(pd.Timestamp(start) + pd.Timedelta("7D"))
        served, fault = inject(served, start, end, **options)
        truth.append(fault)
    monitors = standard_monitors(quiet[0], served)
    sent = {name: alerts(table) for name, table in monitors.items()}
    card = scorecard(sent, [*truth, *REAL[3:7]], losses(log, served))
    assert len(card) == 10 and card.notna().drop(columns="delay").all(axis=None)
    silent, late, drift, _ = (fault.name for fault in truth)
    absent = sent["labels that lack"]
    assert detections(absent, truth)[[silent, late]].notna().all()
    assert "EV" in absent["columns"].iloc[0]
    assert drift not in card.missed["EWMA of residuals"]
    assert drift in card.missed["labels that lack"] and drift in card.missed["data checks"]
    assert (card.lost.min() < card.lost.max()) and card.lost["EWMA of residuals"] < card.lost.max()


def test_the_public_names_are_those_that_exist():
    assert all(hasattr(monitoring, name) for name in monitoring.__all__)
