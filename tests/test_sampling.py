"""Samples, weights and weak labels: what they promise, on real flights and on whatever Hypothesis finds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsys_lib import World, examples
from mlsys_lib.sampling import (
    correct_prior,
    data_card,
    effective_size,
    importance_weights,
    majority,
    reservoir,
    score_rules,
    stratified,
)

share = st.floats(0.01, 0.99)


@given(st.lists(st.integers(), max_size=50, unique=True), st.integers(1, 60), st.integers(0, 9))
def test_a_reservoir_holds_k_distinct_items_of_the_stream(stream, k, seed):
    kept = reservoir(iter(stream), k, seed=seed)
    assert len(kept) == min(k, len(stream)) == len(set(kept))
    assert set(kept) <= set(stream)


def test_a_reservoir_is_uniform_over_the_stream():
    """Of 20,000 samples of 3 from 12, each item is in a quarter, and each pair in 1 of 22."""
    kept = np.zeros((20_000, 12))
    for seed in range(len(kept)):
        kept[seed, reservoir(range(12), 3, seed=seed)] = 1
    together = kept.T @ kept / len(kept)
    assert np.abs(np.diag(together) - 3 / 12).max() < 4 * np.sqrt(3 / 16 / len(kept))
    pairs = together[np.triu_indices(12, 1)]
    assert np.abs(pairs - 1 / 22).max() < 4.5 * np.sqrt(1 / 22 / len(kept))


def test_a_reservoir_of_the_years_arrivals_has_the_years_late_rate():
    delays = World("2014-01-31").arrivals().arr_delay
    kept = np.array(reservoir(iter(delays), 5000))
    assert abs((kept >= 15).mean() - (delays >= 15).mean()) < 3 * np.sqrt(0.25 * 0.75 / 5000)


def test_a_reservoir_of_nothing_is_refused():
    with pytest.raises(ValueError, match="keep at least one"):
        reservoir([1, 2], 0)


@given(st.data(), st.lists(st.integers(0, 4), min_size=1, max_size=60), st.booleans())
def test_a_stratified_sample_is_n_rows_without_replacement(data, strata, equal):
    n = data.draw(st.integers(0, len(strata)))
    chosen = stratified(strata, n, equal=equal)
    assert len(chosen) == n == len(set(chosen.tolist()))
    assert (np.diff(chosen) > 0).all()
    size, drawn = np.bincount(strata), np.bincount(np.asarray(strata)[chosen], minlength=5)
    assert all(drawn[a] >= drawn[b] - 1 for a in strata for b in strata if size[a] >= size[b])


def test_a_stratified_sample_gives_each_airline_its_share():
    carrier = World("2013-02-01 05:00").flights().carrier
    drawn = carrier.iloc[stratified(carrier, 2000)].value_counts()
    due = carrier.value_counts() * 2000 / len(carrier)
    assert drawn.reindex(due.index, fill_value=0).sub(due).abs().max() < 1


def test_an_equal_sample_takes_small_airlines_whole_and_others_alike():
    carrier = World("2013-02-01 05:00").flights().carrier
    drawn = carrier.iloc[stratified(carrier, 1000, equal=True)].value_counts()
    size = carrier.value_counts()
    whole = drawn[drawn == size.reindex(drawn.index)]
    assert set(drawn.index) == set(size.index)
    assert {"HA", "OO"} <= set(whole.index)
    assert np.ptp(drawn.drop(whole.index)) <= 1


def test_more_rows_than_there_are_cannot_be_drawn():
    with pytest.raises(ValueError, match="n=4 rows cannot be drawn from 3"):
        stratified(["a", "b", "a"], 4)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.integers(2, 3))
def test_the_same_mix_gives_equal_weights(cells, times):
    weights = importance_weights(cells, cells * times)
    assert np.allclose(weights, 1)
    assert effective_size(weights) == pytest.approx(len(cells))


@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=40),
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=40),
)
def test_weights_give_the_source_the_mix_of_the_target(source, target):
    weights = importance_weights(source, target)
    for cell in set(source):
        weighted = weights[np.array(source) == cell].sum() / len(source)
        assert weighted == pytest.approx(target.count(cell) / len(target))
    assert weights.mean() == pytest.approx(np.mean([cell in source for cell in target]))


def test_weights_need_rows_on_both_sides():
    with pytest.raises(ValueError, match="0 rows of source"):
        importance_weights([], ["a"])


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30).filter(any), st.floats(1e-3, 1e3))
def test_the_effective_size_lies_between_one_and_all_whatever_the_scale(weights, scale):
    size = effective_size(weights)
    assert 1 - 1e-9 <= size <= len(weights) + 1e-9
    assert effective_size(np.array(weights) * scale) == pytest.approx(size)


@pytest.mark.parametrize("weights", [[-1, 2], [0, 0], [np.nan, 1], []])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(ValueError, match="zero or more"):
        effective_size(weights)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), share, share)
def test_a_prior_correction_is_undone_by_its_inverse(p, trained, actual):
    there = correct_prior(p, trained, actual)
    assert ((there >= 0) & (there <= 1)).all()
    assert np.allclose(correct_prior(there, actual, trained), p, atol=1e-9)
    assert (np.diff(there[np.argsort(p)]) >= -1e-12).all()


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 20))
def test_a_prior_correction_recovers_the_frequency_before_undersampling(late, kept, thinned):
    other = kept * thinned
    p = late / (late + kept)
    assert correct_prior(p, p, late / (late + other)) == pytest.approx(late / (late + other))
    # ... and so in each group, not only over all:
    group = 1 / (1 + kept)
    assert correct_prior(group, p, late / (late + other)) == pytest.approx(1 / (1 + other))


def test_a_share_of_all_or_nothing_cannot_be_corrected():
    with pytest.raises(ValueError, match="between 0 and 1"):
        correct_prior([0.5], 1.0, 0.2)


@given(st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=4, max_size=4))
def test_the_majority_of_rules_that_agree_is_what_they_say(vote):
    said = pd.DataFrame({"a": vote, "b": vote})
    assert np.array_equal(majority(said), vote, equal_nan=True)
    assert (score_rules(said, [0, 1, 0, 1]).conflict == 0).all()


def test_rules_are_scored_by_hand():
    nan = np.nan
    said = pd.DataFrame(
        {"fog": [1, 1, nan, nan], "early": [0, nan, 0, nan], "never": [nan] * 4}, dtype=float
    )
    assert np.array_equal(majority(said), [0.5, 1, 0, np.nan], equal_nan=True)
    scored = score_rules(said, [1, 0, 0, 1])
    assert scored.coverage.to_list() == [0.5, 0.5, 0]
    assert scored.conflict.to_list() == [0.25, 0.25, 0]
    assert np.array_equal(scored.accuracy, [0.5, 0.5, np.nan], equal_nan=True)


def test_labels_must_be_as_many_as_votes():
    with pytest.raises(ValueError, match="1 labels for 2 rows"):
        score_rules(pd.DataFrame({"fog": [1.0, 0.0]}), [1])


def a_day():
    world = World("2013-04-23 04:00")
    return examples(world, world.decisions(since="2013-04-22 04:00"))


def test_a_card_tells_one_training_set_from_another():
    rows = a_day()
    card = data_card(rows, ["visib"], not_for="other airports")
    assert "- **not for**: other airports" in card
    assert data_card(rows, ["visib"], not_for="other airports") == card
    flipped = rows.assign(late=rows.late.where(rows.index > 0, 1 - rows.late))
    assert data_card(flipped, ["visib"]).splitlines()[-1] != card.splitlines()[-1]


def test_a_card_needs_labels():
    with pytest.raises(ValueError, match="none of the 0 rows"):
        data_card(a_day().head(0), ["visib"])
