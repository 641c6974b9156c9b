"""Statistics of a column that equal their references, whatever is missing, infinite or the same all over."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, ks_2samp

from mlsys_lib.distances import Names, Numbers, edges, histogram, psi

numbers = st.lists(st.sampled_from([-1.5, 0.0, 0.0, 2.0, 3.25, np.nan]), min_size=2, max_size=40)
names = st.lists(st.sampled_from(["UA", "DL", "EV", "YX", None]), min_size=2, max_size=40)


@given(numbers, numbers)
def test_ks_is_scipys_with_infinity_for_what_is_missing(reference, new):
    filled = [np.nan_to_num(values, nan=np.inf) for values in (reference, new)]
    expected = ks_2samp(*filled, method="asymp").statistic
    assert Numbers(reference).ks(new) == pytest.approx(expected, abs=1e-12)


def test_ks_is_scipys_on_real_columns_short_and_long(served):
    may, june = (served[served.decided_at.dt.month == month] for month in (5, 6))
    for column in ("temp", "pressure", "origin_left_delay_3h"):
        for new in (june, june[:1], june[:40]):
            filled = [np.nan_to_num(rows[column], nan=np.inf) for rows in (may, new)]
            expected = ks_2samp(*filled, method="asymp").statistic
            assert Numbers(may[column]).ks(new[column]) == pytest.approx(expected, abs=1e-12)


def test_infinite_numbers_have_their_place_and_missing_ones_are_beyond():
    assert Numbers([1, 2, np.inf]).ks([1, 2, np.inf]) == 0
    assert Numbers([1, 2]).ks([np.inf, np.inf]) == Numbers([1, 2]).ks([np.nan, np.nan]) == 1
    assert Numbers([1, 2]).ks([-np.inf, -np.inf]) == 1
    assert Numbers([np.inf] * 4).ks([np.nan] * 4) == 1
    assert Numbers([np.nan] * 4).ks([np.nan]) == 0


@given(names, names)
def test_chi2_is_scipys_with_names_that_are_missing_or_new(reference, new):
    both = sorted({*reference, *new}, key=str)
    table = np.array([[values.count(name) for name in both] for values in (reference, new)])
    expected = chi2_contingency(table, correction=False).statistic
    for values in (new, pd.Categorical(new, [name for name in both if name])):
        assert Names(reference).chi2(values) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_whatever_says_that_a_name_is_missing_says_the_same():
    assert Names(["UA", None]).chi2(["UA", np.nan]) == Names(["UA", pd.NA]).chi2(["UA", None]) == 0


@given(st.lists(numbers, min_size=2, max_size=4), st.integers(1, 6))
def test_histograms_of_parts_add_up(parts, bins):
    whole = np.concatenate(parts)
    ends = edges(whole, bins=bins)
    together = np.sum([histogram(part, ends) for part in parts], axis=0)
    assert (together == histogram(whole, ends)).all()
    assert together.sum() == len(whole) and psi(together, together) == 0


@pytest.mark.parametrize("column", ["temp", "dep_minute", "block_minutes"])
def test_the_reference_has_about_as_many_in_each_bin(column, served):
    counts = histogram(served[column], edges(served[column]))[:-1]
    assert len(counts) == 10 and counts.max() < 1.6 * counts.min()


def test_psi_is_its_formula():
    old, new = np.array([50.5, 50.5]) / 101, np.array([80.5, 20.5]) / 101
    assert psi([50, 50], [80, 20]) == pytest.approx(sum((new - old) * np.log(new / old)))
    one, other = psi([50, 50], [0, 100]), psi([0, 100], [50, 50])
    assert one == pytest.approx(other) and one < np.inf


def shifted(reference, new, bins):
    ends = edges(reference, bins=bins)
    return psi(histogram(reference, ends), histogram(new, ends))


@pytest.mark.parametrize("bins", [2, 3, 10])
@pytest.mark.parametrize("mode", [0.0, 5.0, 9.0])  # the smallest, one in between, the largest
@pytest.mark.parametrize("share", [0.6, 0.95, 1.0])
@pytest.mark.parametrize("step", [1e-6, -1e-6, 100.0, -100.0, np.inf, -np.inf, np.nan])
def test_what_most_rows_hold_cannot_move_unseen(mode, share, step, bins):
    """However little, and to whichever side: the mode has a bin of its own."""
    rest = np.linspace(0, 9, 200)
    usual = np.where(np.arange(200) < 200 * share, mode, rest)
    moved = np.where(usual == mode, mode + step, usual)
    assert shifted(usual, usual, bins) == 0
    assert shifted(usual, moved, bins) > 0.25


def test_a_column_that_held_nothing_and_then_does_is_a_shift():
    nothing = np.full(200, np.nan)
    assert shifted(nothing, np.zeros(200), 10) > 0.25
    assert shifted(np.full(200, np.inf), np.zeros(200), 10) == 0  # no bin tells them apart, but ...
    assert Numbers(np.full(200, np.inf)).ks(np.zeros(200)) == 1


def test_what_has_no_rows_or_no_numbers_is_refused():
    for empty in (lambda: Numbers([]), lambda: Numbers([1]).ks([]), lambda: Names([])):
        with pytest.raises(ValueError, match=r"must have one length of one or more; got \[0\]"):
            empty()
    with pytest.raises(ValueError, match="new must have one length"):
        Names(["UA"]).chi2([])
    with pytest.raises(ValueError, match="expected, actual must have one length"):
        psi([1, 2], [1])
    with pytest.raises(ValueError, match="bins=0 must lie"):
        edges([1, 2], bins=0)
    with pytest.raises(ValueError, match="carrier must hold numbers: could not convert"):
        edges(pd.Series(["UA"], name="carrier"))
    with pytest.raises(ValueError, match="a column must hold numbers"):
        Numbers(["ten"])
