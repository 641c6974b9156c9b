"""The doors: what is given is used rightly, or refused with its name, its value and the remedy."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsys_lib import checks

TEN = pd.Timestamp("2013-04-22 10:00", tz="UTC")


@pytest.mark.parametrize(
    "written",
    [
        "2013-04-22 10:00",
        "2013-04-22T10:00:00Z",
        "2013-04-22 10:00 UTC",
        "2013-04-22 06:00-04:00",
        "2013-04-22 06:00 -0400",
        " 2013-4-22 10 ",
        datetime(2013, 4, 22, 10),
        datetime(2013, 4, 22, 6, tzinfo=timezone(timedelta(hours=-4))),
        np.datetime64("2013-04-22T10"),
        pd.Timestamp("2013-04-22 06:00", tz="America/New_York").as_unit("ns"),
    ],
)
def test_a_moment_is_the_same_however_it_is_written(written):
    found = checks.moment(written, "now")
    assert found == TEN
    assert (found.tzinfo, found.unit) == (UTC, "us")


def test_a_date_is_its_midnight_in_utc():
    assert checks.moment(date(2013, 4, 22), "now") == TEN.floor("D")


@pytest.mark.parametrize(
    "written",
    [
        *("", "now", "soon", "10:00", "2013", "20130422", "04/05/2013", "2013-13-01", "2013-04-31"),
        *("2013-04-22 06:00 EST", "2013-04-22 6am", "2013-04-22 06:00 America/New_York", "nan"),
        *(
            2013,
            1366624800,
            1366624800.0,
            True,
            None,
            pd.NaT,
            np.nan,
            np.datetime64("NaT", "us"),
            ["2013"],
        ),
    ],
)
def test_what_is_no_moment_is_refused_and_nothing_is_guessed(written):
    with pytest.raises(ValueError, match=r"^since=.* is no moment; write it as '2013-04-22 10:00'"):
        checks.moment(written, "since")


def test_a_column_of_moments_may_be_written_in_several_ways_and_keeps_its_index():
    mixed = pd.Series(["2013-04-22 10:00", "2013-04-22 06:00-04:00", TEN], index=[7, 7, "x"])
    found = checks.moments(mixed, "decided_at")
    assert (found == TEN).all()
    assert found.index.equals(mixed.index)
    for unit in ("s", "ms", "ns"):
        given_ = pd.Series([TEN, TEN]).dt.as_unit(unit)
        assert checks.moments(given_, "decided_at").dtype == "datetime64[us, UTC]"
    assert checks.moments(pd.Series([], dtype=object), "decided_at").dtype == "datetime64[us, UTC]"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([TEN, pd.NaT], "decided_at is missing in 1 of 2 rows; drop them first"),
        ([None, "2013-04-22", np.nan], "decided_at is missing in 2 of 3 rows"),
        ([1366624800, 1366624800], "decided_at=1366624800 is no moment"),
        ([20.5], "decided_at=20.5 is no moment"),
        (["2013-04-22", "2013-04-22 06:00 EST"], "decided_at='2013-04-22 06:00 EST' is no moment"),
    ],
)
def test_a_column_with_one_that_is_no_moment_is_refused(values, says):
    with pytest.raises(ValueError, match=says):
        checks.moments(pd.Series(values), "decided_at")


@pytest.mark.parametrize("written", ["90min", "1.5h", "01:30:00", timedelta(minutes=90)])
def test_a_duration_is_the_same_however_it_is_written(written):
    assert checks.duration(written, "lag") == pd.Timedelta(minutes=90)


@pytest.mark.parametrize(
    "written",
    [
        *("", "90", "1.5", "soon", "-1min", "1M", "inf", "nan", "200000D"),
        *(
            10,
            10.0,
            True,
            None,
            np.nan,
            pd.NaT,
            # NumPy 2 is about to refuse it itself.
            *([np.timedelta64(5)] if np.lib.NumpyVersion(np.__version__) < "2.0.0" else []),
            timedelta(seconds=-1),
            timedelta.max,
        ),
    ],
)
def test_a_time_without_a_unit_or_below_zero_is_refused(written):
    with pytest.raises(
        ValueError, match=r"^lag=.* is no duration of zero or more with its unit, such as '10min'"
    ):
        checks.duration(written, "lag")


def test_a_period_ends_after_it_starts():
    assert checks.period("2013-04-22 06:00-04:00", TEN.floor("D") + timedelta(days=1), "x") == (
        TEN,
        pd.Timestamp("2013-04-23", tz="UTC"),
    )
    for end in (TEN, "2013-04-22 09:59"):
        with pytest.raises(ValueError, match="the storm must end after it starts, not from 2013"):
            checks.period(TEN, end, "the storm")
    for start, end, says in (("soon", TEN, "start='soon' is no m"), (TEN, pd.NaT, "end=NaT is no")):
        with pytest.raises(ValueError, match=says):
            checks.period(start, end, "the storm")


def test_columns_that_are_missing_or_there_twice_are_named_with_where_they_come_from():
    table = pd.DataFrame([[0, 1, 2]], columns=["late", "p", "p"])
    checks.columns(table, ["late"], remedy="batch gives it")
    with pytest.raises(ValueError, match=r"lacks \['day', 'x'\]; batch gives it"):
        checks.columns(table, (name for name in ("day", "late", "x")), remedy="batch gives it")
    with pytest.raises(ValueError, match=r"holds \['p'\] more than once"):
        checks.columns(table, ["late", "p"], remedy="batch gives it")
    for none in (None, [1, 2], {"late": [0]}, table.late):
        with pytest.raises(ValueError, match=r"a table is wanted, not .*; batch gives it"):
            checks.columns(none, ["late"], remedy="batch gives it")


def test_lengths_must_be_one_and_more_than_none():
    assert checks.same_length(y=[0, 1], p=np.zeros(2), table=pd.DataFrame({"x": [1, 2]})) == 2
    for given_, says in [
        ({"y": [0, 1], "p": [0.5], "day": [1, 2]}, r"y, p, day .* got \[2, 1, 2\]"),
        ({"a": [0] * 6, "b": [0] * 5, "c": [0] * 6}, r"got \[6, 5, 6\]"),
        ({"y": [], "p": []}, r"got \[0, 0\]"),
        ({"y": [1], "p": 0.5}, r"got \[1, 0\]"),
    ]:
        with pytest.raises(ValueError, match=says):
            checks.same_length(**given_)


@pytest.mark.parametrize(
    "values", [[1, 0], (1.0, 0.0), np.array([True, False]), pd.Series([1, 0], [5, 5], "Int32")]
)
def test_numbers_come_as_floats_whatever_holds_them(values):
    for check in (checks.numbers, checks.binary, checks.probabilities):
        found = check(values, "y")
        assert found.dtype == np.float64
        assert found.tolist() == [1.0, 0.0]


@given(st.lists(st.floats(), max_size=9))
def test_numbers_are_all_finite_or_the_first_that_is_not_is_named(values):
    odd = [n for n, value in enumerate(values) if not np.isfinite(value)]
    if not odd:
        assert checks.numbers(values, "v").tolist() == values
    else:
        with pytest.raises(ValueError, match=f"holds {len(odd)} .* first at {odd[0]};"):
            checks.numbers(values, "v")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (pd.Series([1, pd.NA], dtype="Int32"), "1 missing or infinite of 2, first at [01];"),
        ([1, None], "1 missing or infinite of 2, first at [01];"),
        (["a", 1], "y must hold numbers"),
        ([[1, 2], [3, 4]], r"y must have one dimension; its shape is \(2, 2\)"),
        (5, r"y must have one dimension; its shape is \(\)"),
    ],
)
def test_what_is_no_column_of_numbers_is_refused(values, says):
    for check in (checks.numbers, checks.binary, checks.probabilities):
        with pytest.raises(ValueError, match=says):
            check(values, "y")


@pytest.mark.parametrize("odd", [-1, 2, 0.5, 1 + 1e-9])
def test_a_label_is_nought_or_one(odd):
    with pytest.raises(ValueError, match=r"late must hold 0 and 1; position 1 holds"):
        checks.binary([1, odd, 7], "late")


@pytest.mark.parametrize("odd", [-1e-9, 1.8, 20])
def test_a_probability_lies_between_nought_and_one(odd):
    with pytest.raises(
        ValueError, match="p must hold probabilities, from 0 to 1; position 1 holds"
    ):
        checks.probabilities([1, odd, 7], "p")


def test_a_choice_is_one_of_those_that_are_named():
    checks.one_of("weather", ("weather", "arrivals"), "topic")
    for other in ("w", "Weather", None, ["weather"]):
        with pytest.raises(ValueError, match=r"topic=.* must be one of 'weather', 'arrivals'"):
            checks.one_of(other, {"weather": 1, "arrivals": 2}, "topic")


def test_a_number_lies_within_its_ends_or_is_refused():
    for good in (0, 1, 0.5, np.float64(0.2), np.int64(1)):
        checks.within(good, 0, 1, "share")
    for bad in (-0.1, 1.1, np.nan, np.inf, True, "0.5", None, [0.5]):
        with pytest.raises(ValueError, match=r"share=.* must lie from 0 to 1$"):
            checks.within(bad, 0, 1, "share")
    for end in (0, 1):
        with pytest.raises(ValueError, match="must lie from 0 to 1, ends excluded"):
            checks.within(end, 0, 1, "share", inclusive=False)
    with pytest.raises(ValueError, match="hours=-1 must lie at 0 or above"):
        checks.within(-1, 0, np.inf, "hours")


def test_a_count_is_a_whole_number():
    assert [checks.whole(n, 1, "k", high=3) for n in (1, np.int64(2), 3)] == [1, 2, 3]
    for bad in (0, 4, -1, 2.0, 1.5, np.nan, True, np.True_, "2", None):
        with pytest.raises(ValueError, match=r"k=.* must be a whole number from 1 to 3"):
            checks.whole(bad, 1, "k", high=3)
    with pytest.raises(ValueError, match="k=0 must be a whole number of 1 or more"):
        checks.whole(0, 1, "k")


def test_text_is_text():
    checks.text("features", "consumer")
    for bad in (None, 5, b"features", ["features"]):
        with pytest.raises(ValueError, match=r"consumer=.* must be text"):
            checks.text(bad, "consumer")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["ten", 1], "visib must hold numbers: could not convert"),
        (pd.to_datetime(["2013-04-22", None]), r"visib must hold numbers: its type is datetime64"),
        (pd.to_timedelta([1, 2], unit="h"), r"visib must hold numbers: its type is timedelta64"),
        ([1j, 2j], "visib must hold numbers: its type is complex"),
    ],
)
def test_what_is_no_number_is_none_by_its_own_name_or_a_given_one(values, says):
    with pytest.raises(ValueError, match=says):
        checks.floats(values, name="visib")
    with pytest.raises(ValueError, match=says):
        checks.floats(pd.Series(values, name="visib"))


def test_floats_may_be_missing_or_infinite():
    for values in ([1, None, np.inf], pd.array([1, pd.NA, np.inf], "Float64")):
        np.testing.assert_array_equal(checks.floats(values), [1, np.nan, np.inf])
