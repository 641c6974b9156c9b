"""Thresholds: promises that hold on days that nobody has seen, and days without rows that are scored."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, ks_2samp

from mlsys_lib.alerts import Policy, alerts, performance
from mlsys_lib.drift import (
    Binned,
    Ewma,
    Labels,
    PageHinkley,
    Quality,
    RandomFeatures,
    Univariate,
)
from mlsys_lib.faults import unit_change
from mlsys_lib.features import CATEGORIES, FEATURES
from mlsys_lib.thresholds import calibrate, ratios
from mlsys_lib.world import local_day, midnight

COLUMNS = ["temp", "visib", "pressure", "origin_landed_late_24h", "dep_minute", *CATEGORIES]


def day_of(rows):
    return local_day(rows.decided_at)


# Promises


def test_p_values_of_flights_reject_one_half_of_quiet_days_against_the_other(quiet):
    day = day_of(quiet[0])
    odd = day.isin(sorted(day.unique())[::2])
    columns = [c for c in FEATURES if c not in CATEGORIES]
    p = [ks_2samp(quiet[0][c][odd].dropna(), quiet[0][c][~odd].dropna()).pvalue for c in columns]
    assert np.mean(np.array(p) < 0.01) > 0.5


@pytest.fixture(scope="module")
def drawn(quiet):
    """The same days, drawn at random into two halves."""
    calm = pd.concat(quiet)
    days = np.random.default_rng(0).permutation(day_of(calm).unique())
    one = day_of(calm).isin(days[: len(days) // 2])
    return calm[one], calm[~one]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("detector", "halves"),
    [
        # A range has no bounds for a season that it has not seen: this one holds for days like its own.
        (Quality(), "drawn"),
        (Univariate(), "quiet"),
        (Binned(columns=COLUMNS), "quiet"),
        (Univariate(columns=["probability"]), "quiet"),
        (Labels(), "quiet"),
    ],
    ids=["checks", "ks", "psi", "score", "labels"],
)
def test_the_promised_rate_holds_on_days_that_calibration_has_not_seen(detector, halves, request):
    promised, alarms, checks = 1 / 30, 0, 0
    one, other = request.getfixturevalue(halves)
    for reference, held_out in ((one, other), (other, one)):
        thresholds = calibrate(detector, reference, rate=promised)
        table = ratios(detector, thresholds, held_out, days=day_of(held_out).unique())
        alarms, checks = alarms + (table.max(axis=1) >= 1).sum(), checks + len(table)
    assert 130 < checks < 153  # no more than there are days
    assert alarms <= binom.ppf(0.995, checks, promised)


@pytest.mark.slow
def test_data_checks_alarm_more_often_in_other_weeks_but_only_on_records_and_holidays(quiet):
    """Ranges and volumes of half a summer do not hold what the other weeks bring; over a year they do."""
    loud = []
    for reference, held_out in (quiet, quiet[::-1]):
        detector = Quality()
        thresholds = calibrate(detector, reference)
        table = ratios(detector, thresholds, held_out, days=day_of(held_out).unique())
        loud += table[table.max(axis=1) >= 1].idxmax(axis=1).to_list()
    assert 5 < len(loud) < 15
    assert all(name == "volume" or name.endswith(" outside") for name in loud)


def simulated(days, seed, rows=48):
    rng = np.random.default_rng(seed)
    at = pd.date_range("2013-01-01 05:00", periods=days * rows, freq=f"{1440 // rows}min", tz="UTC")
    visib, temp = rng.uniform(8, 10, (2, days * rows))
    return pd.DataFrame({"decided_at": at, "visib": visib, "temp": temp})


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_calibrated_days_exceed_their_thresholds_at_about_the_rate_not_only_below_it(rate):
    detector = Univariate(columns=["visib", "temp"])
    reference, fresh = simulated(100, 0), simulated(200, 1)
    table = ratios(detector, calibrate(detector, reference, rate=rate), fresh)
    assert binom.ppf(0.01, 200, rate) * 0.6 <= (table.max(axis=1) >= 1).sum()
    assert (table.max(axis=1) >= 1).sum() <= binom.ppf(0.99, 200, rate) * 1.6
    assert (table >= 1).any().all()  # the columns share the false alarms


def test_a_rarer_alarm_has_a_higher_threshold():
    detector = Univariate(columns=["visib"])
    often, seldom = (calibrate(detector, simulated(70, 0), rate=rate) for rate in (0.3, 0.03))
    assert (often < seldom).all()


def test_no_day_of_the_reference_is_scored_by_itself():
    """On a column that tells the day, days set aside are far from the others; their own fit would not be."""
    rows = simulated(70, 0).assign(visib=lambda t: np.arange(len(t)) // 48.0)
    detector = Univariate(columns=["visib"])
    assert calibrate(detector, rows, rate=0.1)["visib"] > 0.85
    assert detector.score(rows)["visib"] == 0  # left fitted on all of them


@pytest.mark.parametrize(
    "chart", [Ewma("residual"), PageHinkley("residual"), Ewma("residual", weight=1)]
)
def test_a_limit_is_exceeded_as_often_as_promised(chart, quiet):
    usual = performance(quiet[0], "2013-10-03").dropna()
    high = calibrate(chart, usual, rate=0.05)["residual"]
    years = np.random.default_rng(1).choice(usual.residual, 5 * 365)
    found = [chart.score(pd.DataFrame({"residual": [day]}))["residual"] for day in years]
    assert 0.01 < np.mean(np.array(found) > high) < 0.08


@pytest.mark.parametrize(
    "chart",
    [
        Ewma("residual", weight=1),
        Ewma("cost", weight=1),
        Ewma("residual"),
        PageHinkley("residual", slack=0.04),
    ],
)
def test_the_promised_rate_holds_on_weeks_that_the_limit_has_not_seen(chart, quiet):
    """A chart with a memory sums up any bias that the reference has not: there, as far as it has the same."""
    promised, alarms, checks = 1 / 30, 0, 0
    for reference, held_out in (quiet, quiet[::-1]):
        usual, seen = (performance(rows, "2013-10-03") for rows in (reference, held_out))
        if getattr(chart, "weight", 0) != 1:
            seen["residual"] += usual.residual.mean() - seen.residual.mean()
        table = ratios(chart, calibrate(chart, usual, rate=promised), seen, days=seen.index)
        alarms, checks = alarms + (table >= 1).sum().sum(), checks + len(table)
    assert checks > 130
    assert alarms <= binom.ppf(0.995, checks, promised)


def test_limits_from_days_are_wider_than_limits_from_flights(quiet):
    table = performance(quiet[0], "2013-10-03").dropna()
    of_flights = np.sqrt(table.probability * (1 - table.probability) / table.decisions).mean()
    assert table.residual.std() > 2 * of_flights
    assert calibrate(Ewma("residual", weight=1), table)["residual"] > 3 * of_flights


def test_a_limit_keeps_the_days_of_a_week_together():
    """Weeks of one mood each: a chart with a memory needs a higher limit than for the same days shuffled."""
    mood = np.repeat(np.random.default_rng(0).normal(size=30), 7)
    together = pd.DataFrame({"residual": mood})
    shuffled = together.sample(frac=1, random_state=0, ignore_index=True)
    one, other = (calibrate(Ewma("residual"), rows, rate=0.05) for rows in (together, shuffled))
    assert one["residual"] > 1.3 * other["residual"]


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
        thresholds = calibrate(detector, reference)
        table = ratios(detector, thresholds, broken, days=day_of(broken).unique())[column]
        inside = (table.index > fault.start) & (table.index <= fault.end)
        found[column] = ((table[inside] >= 1).mean(), (table[~inside] >= 1).mean())
    assert found["pressure outside"][0] > 0.8 and found["pressure outside"][1] < 0.05
    # ... and not by its distribution: the pressure of an undisturbed day is as far from a year's.
    assert found["pressure"] == (0, 0)


def test_where_nothing_ever_lacked_a_single_gap_in_a_hundred_is_the_limit(quiet):
    reference = quiet[0].assign(labelled_at=quiet[0].decided_at)
    assert set(calibrate(Labels(), reference)) == {0.01}


# Days


@pytest.fixture(scope="module")
def watched():
    """Simulated: three months of an hour's decision each; the detector knows the first two."""
    at = pd.date_range("2013-01-01 05:00", "2013-03-31 03:00", freq="h", tz="UTC")
    visib = np.random.default_rng(0).uniform(8, 10, len(at))
    rows = pd.DataFrame({"flight_id": range(len(at)), "decided_at": at, "visib": visib})
    return rows[rows.decided_at < "2013-03-01 05:00"], rows[rows.decided_at >= "2013-03-01 05:00"]


DARK = pd.to_datetime(["2013-03-10", "2013-03-11", "2013-03-12"])


def test_a_day_on_which_nothing_arrives_is_scored_and_alerted(watched):
    usual, live = watched
    detector = Quality(columns=["visib"])
    limits = calibrate(detector, usual)
    kept = live[~day_of(live).isin(DARK)]
    sent = alerts(ratios(detector, limits, kept))
    assert sent["start"].between("2013-03-11", "2013-03-14 06:00").sum() > 0
    days = pd.to_datetime(["2013-06-01", "2013-06-05"], utc=True)  # two alarms, four days apart
    table = pd.DataFrame({"visib": [1.5, 1.5]}, days)
    assert len(alerts(table, policy=Policy(persistence=2))) == 0


@pytest.mark.parametrize(
    "detector",
    [
        Quality(columns=["visib"]),
        Univariate(columns=["visib"]),
        Binned(columns=["visib"]),
        RandomFeatures(columns=["visib"], features=64),
    ],
    ids=lambda d: type(d).__name__,
)
@pytest.mark.parametrize("dark", [DARK, DARK[:1], pd.to_datetime(["2013-03-01", "2013-03-30"])])
def test_days_without_rows_are_alarms_wherever_they_lie(detector, dark, watched):
    usual, live = watched
    limits = calibrate(detector, usual)
    kept = live[~day_of(live).isin(dark)]
    table = ratios(detector, limits, kept, days=pd.date_range("2013-03-01", "2013-03-30"))
    assert len(table) == 30 and table.notna().all(axis=None)
    rang = table.index[np.isinf(table).any(axis=1)]
    assert rang.to_list() == midnight(dark).to_list()


def test_days_between_are_checked_unless_others_are_named(watched):
    usual, live = watched
    detector = Quality(columns=["visib"])
    limits = calibrate(detector, usual)
    days = day_of(live)
    kept = live[(days < "2013-03-10") | (days > "2013-03-12")]
    assert np.isinf(ratios(detector, limits, kept)["volume"]).sum() == 3
    on_purpose = ratios(detector, limits, kept, days=day_of(kept).unique())
    assert len(on_purpose) == 27 and np.isfinite(on_purpose).all(axis=None)
    part = ratios(detector, limits, kept, days=["2013-03-20", pd.Timestamp("2013-03-19")])
    assert part.index.to_list() == midnight(["2013-03-19", "2013-03-20"]).to_list()
    nothing = ratios(detector, limits, live[:0], days=["2013-03-20"])
    assert np.isinf(nothing["volume"]).all()


def test_rows_in_any_order_under_any_index_give_the_same(watched):
    usual, live = watched
    detector = Univariate(columns=["visib"])
    limits = calibrate(detector, usual)
    shuffled = usual.sample(frac=1, random_state=0).set_axis(np.zeros(len(usual), int))
    pd.testing.assert_series_equal(calibrate(detector, shuffled), limits)
    odd = live.sample(frac=1, random_state=0).set_axis(["a"] * len(live))
    pd.testing.assert_frame_equal(ratios(detector, limits, odd), ratios(detector, limits, live))


def test_one_infinite_reading_in_a_day_of_broken_values_does_not_silence_it():
    at = pd.date_range("2013-01-01 05:00", periods=24 * 70, freq="h", tz="UTC")
    visib = np.random.default_rng(0).uniform(8, 10, len(at))
    rows = pd.DataFrame({"decided_at": at, "visib": visib})
    detector = RandomFeatures(columns=["visib"], features=256)
    limits = calibrate(detector, rows[: 24 * 60])
    live = rows[24 * 60 :].copy()
    live.loc[live.index[120:144], "visib"] = 0.0  # a day of zeros, far above the threshold
    assert ratios(detector, limits, live)["all"].max() >= 1
    live.loc[live.index[125], "visib"] = np.inf
    worst = ratios(detector, limits, live)["all"].iloc[5]
    assert not np.isnan(worst) and worst >= 1


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_odd_numbers_in_the_reference_leave_every_threshold_finite(odd):
    rows = simulated(70, 0)
    spoilt = rows.assign(
        visib=rows.visib.mask(rows.index == 99, odd), temp=1.0, never=np.nan, flight_id=rows.index
    )
    columns = ["visib", "temp", "never"]
    for make in (Quality, Univariate, Binned, RandomFeatures):
        limits = calibrate(make(columns=columns), spoilt)
        assert np.isfinite(limits).all() and (limits > 0).all(), make
    daily = pd.DataFrame({"residual": [0.1, -0.1] * 15 + [odd]})
    for chart in (Ewma("residual"), PageHinkley("residual"), Ewma("residual", weight=1)):
        plain = calibrate(chart, daily[:30])["residual"]
        assert 0 < calibrate(chart, daily)["residual"] == pytest.approx(plain)


def test_a_chart_of_days_that_are_all_the_same_rings_at_any_other():
    chart = Ewma("cost", weight=1)
    usual = pd.DataFrame({"cost": [30.1] * 20})
    high = calibrate(chart, usual)["cost"]
    assert chart.score(usual)["cost"] < high < chart.score(usual[:1] + 0.01)["cost"]


# Charts, as labels come


def daily(residual, known_after, first="2013-06-01"):
    days = pd.date_range(first, periods=len(residual))
    known = midnight(days) + pd.to_timedelta(known_after, unit="h")
    return pd.DataFrame({"residual": residual, "known_at": known}, days)


USUAL = pd.DataFrame({"residual": [0.1, -0.1] * 20})


def test_a_day_is_charted_at_the_first_check_at_which_it_is_known():
    chart = Ewma("residual", weight=1)
    limits = calibrate(chart, USUAL)
    table = ratios(chart, limits, daily([0.0, 1.0, 0.0, 0.0], [3.0, 50.0, 3.0, 3.0]))
    loud = table.index[table.residual >= 1]
    # The second of June is known 50 hours after its end, and heard at the midnight after that.
    assert loud.to_list() == [pd.Timestamp("2013-06-06 04:00", tz="UTC")]
    assert table.index[0] == pd.Timestamp(
        "2013-06-03 04:00", tz="UTC"
    )  # a day after the first's end


def test_a_chart_whose_labels_stop_says_what_it_last_said():
    chart = PageHinkley("residual", slack=0.1)
    limits = calibrate(chart, USUAL)
    seen = daily([1.0] * 3 + [np.nan] * 4, [3.0] * 7)
    seen.loc[seen.index[3:], "known_at"] = pd.NaT
    table = ratios(chart, limits, seen)
    assert len(table) == 7 and (table.residual[2:] == table.residual.iloc[2]).all()
    assert table.residual.iloc[2] >= 1


def test_ratios_begin_anew_and_do_not_hang_on_the_order_of_rows():
    chart = Ewma("residual")
    limits = calibrate(chart, USUAL)
    seen = daily([0.5, 0.2, -0.3, 0.1], [3.0] * 4)
    once = ratios(chart, limits, seen)
    pd.testing.assert_frame_equal(ratios(chart, limits, seen[::-1]), once)


def test_two_days_that_are_known_together_score_as_the_louder():
    chart = Ewma("residual", weight=1)
    limits = calibrate(chart, USUAL)
    table = ratios(chart, limits, daily([1.0, 0.0, 0.0], [27.0, 3.0, 3.0]))
    assert (table.residual >= 1).to_list() == [False, True, False]


def test_checks_stay_at_midnight_when_clocks_change():
    at = pd.date_range("2013-10-28 16:00", "2013-11-09 17:00", freq="D", tz="UTC")
    rows = pd.DataFrame({"carrier": "UA", "decided_at": at, "labelled_at": at})
    detector = Labels(least=1).fit(rows)
    table = ratios(detector, pd.Series({"UA": 0.5, "new": 0.5}), rows)
    local = table.index.tz_convert("America/New_York")
    assert set(local.hour) == {0} and (local.normalize().to_series().diff().dropna() > "22h").all()
    assert len(set(local.date)) == len(rows)


# Doors


def test_a_rate_that_the_days_cannot_show_is_refused():
    with pytest.raises(ValueError, match="20 days cannot promise one false alarm in 30"):
        calibrate(Univariate(columns=["visib"]), simulated(20, 0))
    with pytest.raises(ValueError, match="7 days cannot promise one false alarm in 2"):
        calibrate(Univariate(columns=["visib"]), simulated(7, 0), rate=0.5)
    with pytest.raises(ValueError, match="13 days are too few"):
        calibrate(Ewma("residual"), pd.DataFrame({"residual": np.zeros(13)}))
    with pytest.raises(ValueError, match="13 days are too few"):
        calibrate(Ewma("residual"), pd.DataFrame({"residual": [np.nan, *np.zeros(13)]}))
    for rate in (0, 1, -1, np.nan):
        with pytest.raises(ValueError, match="must lie from 1e-06"):
            calibrate(Univariate(columns=["visib"]), simulated(70, 0), rate=rate)


def test_thresholds_of_another_detector_or_of_none_are_refused(watched):
    usual, live = watched
    detector = Univariate(columns=["visib"]).fit(usual)
    for wrong in (
        {"temp": 1.0},
        {},
        {"visib": 0.0},
        {"visib": np.nan},
        {"visib": 1.0, "temp": 1.0},
    ):
        with pytest.raises(ValueError, match="must be above zero, and of the statistics"):
            ratios(detector, pd.Series(wrong, dtype=float), live)
    with pytest.raises(ValueError, match="rows must have one length of one or more"):
        ratios(detector, pd.Series({"visib": 1.0}), live[:0])
    with pytest.raises(ValueError, match=r"lacks \['decided_at'\]"):
        ratios(detector, pd.Series({"visib": 1.0}), live[["visib"]])
    with pytest.raises(ValueError, match=r"lacks \['known_at'\]"):
        ratios(Ewma("visib").fit(usual), pd.Series({"visib": 1.0}), live)
    with pytest.raises(ValueError, match="days"):
        ratios(detector, pd.Series({"visib": 1.0}), live, days=[None])
