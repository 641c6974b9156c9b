"""alibi-detect behind the library's two verbs: the same statistics, and the run length that is promised."""

import sys
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from mlsys_lib.alibi import Alibi
from mlsys_lib.distances import Names
from mlsys_lib.drift import Univariate
from mlsys_lib.features import CATEGORIES
from mlsys_lib.thresholds import calibrate

COLUMNS = ["temp", "visib", "pressure", "origin_landed_late_24h", "dep_minute", *CATEGORIES]
needed = pytest.mark.skipif(
    find_spec("alibi_detect") is None, reason="alibi-detect comes with the course environment only"
)


def test_without_alibi_detect_the_error_says_where_it_is(served, monkeypatch):
    monkeypatch.setitem(sys.modules, "alibi_detect", None)
    monkeypatch.setitem(sys.modules, "alibi_detect.cd", None)
    with pytest.raises(ImportError, match=r"Python 3\.11 or 3\.12"):
        Alibi("KSDrift", ["temp"]).fit(served.head(100))


def test_a_kind_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="kind='MMD' must be one of 'KSDrift'"):
        Alibi("MMD", ["temp"])


@needed
@pytest.mark.slow
def test_alibis_detectors_give_the_same_statistics(served, capfd):
    first_use = "alibi_detect" not in sys.modules
    reference, window = served.iloc[::40], served.iloc[1::200]
    tabular = Alibi("TabularDrift", COLUMNS).fit(reference)
    assert ("loading alibi-detect" in capfd.readouterr().err) == first_use
    found, own = tabular.score(window), Univariate(columns=COLUMNS).fit(reference).score(window)
    for column in COLUMNS:
        expected = own[column]
        if column in CATEGORIES:
            expected = Names(reference[column]).chi2(window[column])
        assert found[column] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert Alibi("CVMDrift", ["temp"]).fit(reference).score(window)["temp"] > 0
    assert np.isinf(tabular.score(window[:0])).all()
    broken = window.assign(temp=np.inf)
    assert tabular.score(broken)["temp"] == pytest.approx(1.0)


def waited(detector, rows):
    """How long each false alarm took; after one, the detector begins anew."""
    steps, since = [], 0
    for day in range(len(rows)):
        since += 1
        if detector.score(rows[day : day + 1])["residual"] >= 1:
            steps.append(since)
            since = 0
            detector.restart()
    return steps


def online(rows, bootstraps):
    options = {"ert": 20, "window_sizes": [7], "n_bootstraps": bootstraps, "verbose": False}
    return Alibi("CVMDriftOnline", ["residual"], **options).fit(rows)


@needed
@pytest.mark.slow
def test_an_online_detector_goes_on_from_window_to_window_until_it_is_told():
    days = np.random.default_rng(0).normal(size=(300, 1))
    rows = pd.DataFrame(days, columns=["residual"])
    detector = online(rows[:250], 100)
    assert detector.remembers
    for day in range(250, 257):
        quiet = detector.score(rows[day : day + 1])["residual"]
    assert detector.score(rows[:10] + 3)["residual"] > max(1, quiet)
    assert detector.score(rows[:1])["residual"] > 1  # it remembers
    detector.restart()
    assert detector.score(rows[:1])["residual"] == 0  # it has forgotten
    with pytest.raises(ValueError, match="brings its threshold"):
        calibrate(detector, rows)


@needed
@pytest.mark.weekly
def test_an_online_detectors_run_length_is_the_promised_one():
    days = np.random.default_rng(0).normal(size=(3300, 1))
    rows = pd.DataFrame(days, columns=["residual"])
    detector = online(rows[:300], 500)
    assert 20 / 2 < np.mean(waited(detector, rows[300:])) < 20 * 2
    # ... and a shift by two standard deviations does not wait as long.
    assert detector.score(rows[:10] + 2)["residual"] > 1
