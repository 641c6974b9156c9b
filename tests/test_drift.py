"""Drift: statistics that equal their references, and promises that hold."""

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

from mlsys_lib import drift
from mlsys_lib.drift import (
    Alibi,
    Binned,
    Labels,
    Names,
    Numbers,
    Quality,
    RandomFeatures,
    Univariate,
    calibrate,
    edges,
    histogram,
    histogram_sql,
    psi,
    ratios,
)
from mlsys_lib.faults import unit_change
from mlsys_lib.features import CATEGORIES, FEATURES
from mlsys_lib.world import local_day

COLUMNS = ["temp", "visib", "pressure", "origin_landed_late_24h", "dep_minute", *CATEGORIES]
numbers = st.lists(st.sampled_from([-1.5, 0.0, 0.0, 2.0, 3.25, np.nan]), min_size=2, max_size=40)
names = st.lists(st.sampled_from(["UA", "DL", "EV", "YX", None]), min_size=2, max_size=40)


# 1. Statistics


@given(numbers, numbers)
def test_ks_is_scipys_with_infinity_for_what_is_missing(reference, new):
    filled = [np.nan_to_num(values, nan=np.inf) for values in (reference, new)]
    expected = ks_2samp(*filled, method="asymp").statistic
    assert Numbers(reference).ks(new) == pytest.approx(expected, abs=1e-12)


def test_ks_is_scipys_on_real_columns_short_and_long(log, monkeypatch):
    may, june = (log[log.decided_at.dt.month == month] for month in (5, 6))
    for cells in (2**16, 1):
        monkeypatch.setattr(drift, "_CELLS", cells)
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
    ends = edges(whole, bins=bins)
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
    found, own = tabular.score(window), Univariate(columns=COLUMNS).fit(reference).score(window)
    for column in COLUMNS:
        expected = own[column]
        if column in CATEGORIES:
            expected = Names(reference[column]).chi2(window[column])
        assert found[column] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert Alibi("CVMDrift", ["temp"]).fit(reference).score(window)["temp"] > 0


def test_an_online_detectors_run_length_is_the_promised_one():
    if find_spec("alibi_detect") is None:
        pytest.skip("alibi-detect comes with the course environment only")
    days = np.random.default_rng(0).normal(size=(3300, 1))
    rows = pd.DataFrame(days, columns=["residual"])
    options = {"ert": 20, "window_sizes": [7], "n_bootstraps": 500, "verbose": False}
    detector = Alibi("CVMDriftOnline", ["residual"], **options).fit(rows[:300])
    false, waited = [], 0
    for day in range(300, 3300):
        waited += 1
        if detector.score(rows[day : day + 1])["residual"] >= 1:
            false.append(waited)
            waited = 0
            detector._detector.reset_state()
    assert 20 / 2 < np.mean(false) < 20 * 2
    # ... and a shift by two standard deviations does not wait as long.
    assert detector.score(rows[:10] + 2)["residual"] > 1


def test_p_values_of_flights_reject_one_half_of_quiet_days_against_the_other(quiet):
    day = local_day(quiet[0].decided_at)
    odd = day.isin(sorted(day.unique())[::2])
    columns = [c for c in FEATURES if c not in CATEGORIES]
    p = [ks_2samp(quiet[0][c][odd].dropna(), quiet[0][c][~odd].dropna()).pvalue for c in columns]
    assert np.mean(np.array(p) < 0.01) > 0.5


DETECTORS = {
    "quality": Quality,
    "ks": Univariate,
    "psi": Binned,
    "score": lambda: Univariate(columns=["probability"]),
    "labels": Labels,
}


@pytest.mark.parametrize("name", DETECTORS)
def test_the_promised_rate_holds_on_weeks_that_calibration_has_not_seen(name, quiet):
    promised, alarms, checks = 1 / 30, 0, 0
    for reference, held_out in (quiet, quiet[::-1]):
        detector = DETECTORS[name]()
        table = ratios(detector, calibrate(detector, reference, rate=promised), held_out)
        alarms, checks = alarms + (table.max(axis=1) >= 1).sum(), checks + len(table)
    assert checks > 130
    assert alarms <= binom.ppf(0.995, checks, promised)


def test_a_longer_window_can_be_calibrated_too(quiet):
    detector = Univariate(columns=["visib"])
    day, week = (calibrate(detector, quiet[0], rate=0.1, days=days) for days in (1, 7))
    assert (week < day).all()


def test_where_nothing_ever_lacked_a_single_gap_in_a_hundred_is_the_limit(quiet):
    reference = quiet[0].assign(labelled_at=quiet[0].decided_at)
    assert set(calibrate(Labels(), reference)) == {0.01}


def test_a_rate_that_the_days_cannot_show_is_refused(log):
    with pytest.raises(ValueError, match="cannot promise one false alarm in 30"):
        calibrate(Univariate(columns=["temp"]), log[log.decided_at < "2013-05-15"])


def test_a_unit_change_is_found_in_its_column(quiet):
    reference, held_out = quiet
    broken, fault = unit_change(
        held_out, "2013-07-01", "2013-08-01", column="pressure", scale=0.02953, offset=0
    )
    found = {}
    for detector, column in (
        (Quality(columns=COLUMNS), "pressure outside"),
        (Univariate(columns=COLUMNS), "pressure"),
    ):
        table = ratios(detector, calibrate(detector, reference), broken)[column]
        inside = (table.index > fault.start) & (table.index <= fault.end)
        found[column] = ((table[inside] >= 1).mean(), (table[~inside] >= 1).mean())
    assert found["pressure outside"][0] > 0.8 and found["pressure outside"][1] < 0.05
    # ... and not by its distribution: the pressure of an undisturbed day is as far from a year's.
    assert found["pressure"] == (0, 0)


def test_the_public_names_are_those_that_exist():
    assert all(hasattr(drift, name) for name in drift.__all__)
