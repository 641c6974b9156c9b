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


@pytest.mark.parametrize("k", [0, -1, 2.0, 1.5, np.nan, True, "2", None])
def test_a_reservoir_holds_a_whole_number_of_items(k):
    with pytest.raises(ValueError, match=r"k=.* must be a whole number of 1 or more"):
        reservoir([1, 2], k)


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


@pytest.mark.parametrize("n", [4, -1, 2.0, 0.5, np.nan, True, "2", None])
def test_the_rows_that_are_drawn_are_a_whole_number_of_those_there_are(n):
    with pytest.raises(ValueError, match=r"n=.* must be a whole number from 0 to 3"):
        stratified(["a", "b", "a"], n)


def test_nothing_is_drawn_from_nothing():
    assert stratified([], 0).tolist() == []
    with pytest.raises(ValueError, match="from 0 to 0"):
        stratified([], 1)


def test_rows_whose_stratum_is_missing_have_their_share():
    strata = np.array(["UA"] * 60 + [None] * 40, dtype=object)
    for equal, least in ((False, 15), (True, 20)):
        chosen = stratified(strata, 50, equal=equal)
        assert sum(strata[place] is None for place in chosen) >= least
    assert importance_weights(["a", "b", None], ["a", None, None]).tolist() == [1, 0, 2]


missing = [None, np.nan, pd.NaT, pd.NA]


@pytest.mark.parametrize("none", missing)
@pytest.mark.parametrize("named", [["UA", "B6"], [1.5, 2.0]])
def test_whatever_stands_for_missing_it_is_one_stratum(none, named):
    cells = [named[0]] * 6 + [none, *missing, none] * 3
    chosen = stratified(pd.Series(cells, dtype=object), 12, equal=True)
    assert len(chosen) == 12
    assert (chosen < 6).sum() == 6
    weights = importance_weights(pd.Series([*named, none], dtype=object), [*named, None, None])
    assert weights == pytest.approx([0.75, 0.75, 1.5])


def test_strata_of_several_columns_are_refused():
    table = pd.DataFrame({"carrier": ["UA", "B6"], "hour": [1, 2]})
    for call in (
        lambda: stratified(table, 1),
        lambda: stratified("UA", 1),
        lambda: importance_weights(table, table),
    ):
        with pytest.raises(ValueError, match="must have one dimension; its shape is"):
            call()


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=30), st.randoms())
def test_a_sample_goes_by_position_whatever_the_index(cells, random):
    index = [random.choice("xy") for _ in cells]
    n = len(cells) // 2
    assert stratified(pd.Series(cells, index), n).tolist() == stratified(cells, n).tolist()
    assert importance_weights(pd.Series(cells, index), cells) == pytest.approx(1)


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


@given(
    st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=30).filter(any),
    st.floats(1e-3, 1e3),
)
def test_the_effective_size_lies_between_one_and_all_whatever_the_scale(weights, scale):
    size = effective_size(weights)
    assert 1 - 1e-9 <= size <= len(weights) + 1e-9
    assert effective_size(np.array(weights) * scale) == pytest.approx(size)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        *(([-1, 2], "zero or more"), ([0, 0], "one above zero"), ([], "one above zero")),
        *(
            ([np.nan, 1], "weights holds 1 missing"),
            ([np.inf, 1], "weights holds 1 missing or inf"),
        ),
        *((["a"], "weights must hold numbers"), ([[1, 2]], "weights must have one dimension")),
    ],
)
def test_weights_that_are_none_are_refused(weights, says):
    with pytest.raises(ValueError, match=says):
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
    # ... and so in each group, not only over all:
    group = 1 / (1 + kept)
    mended = correct_prior([p, group], p, late / (late + other))
    assert mended == pytest.approx([late / (late + other), 1 / (1 + other)])


@pytest.mark.parametrize("share", [0, 1, 1.0, -0.1, 20, np.nan, np.inf, True, "0.2", None])
def test_a_share_of_all_or_nothing_cannot_be_corrected(share):
    for name, shares in (("trained", (share, 0.2)), ("actual", (0.2, share))):
        with pytest.raises(ValueError, match=rf"{name}=.* must lie from 0 to 1, ends excluded"):
            correct_prior([0.5], *shares)


@pytest.mark.parametrize("p", [[0.2, 1.8], [20, 80], [-0.1], [np.nan], [np.inf], ["a"], 0.5])
def test_what_is_no_probability_cannot_be_corrected(p):
    with pytest.raises(ValueError, match=r"^p "):
        correct_prior(p, 0.5, 0.2)


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
    with pytest.raises(ValueError, match=r"said, late must have one length .* got \[2, 1\]"):
        score_rules(pd.DataFrame({"fog": [1.0, 0.0]}), [1])
    with pytest.raises(ValueError, match="said, late must have one length of one or more"):
        score_rules(pd.DataFrame({"fog": []}), [])


@pytest.mark.parametrize("vote", [2, -1, 0.5, np.inf, "1", "late"])
def test_a_vote_is_one_nought_or_missing(vote):
    said = pd.DataFrame({"fog": [1.0, 0.0], "early": pd.Series([None, vote], dtype=object)})
    for call in (lambda: majority(said), lambda: score_rules(said, [0, 1])):
        with pytest.raises(ValueError, match="votes are 1, 0 or missing; 'early' says "):
            call()


@pytest.mark.parametrize("late", [[0, 2], [-1, 1], [0, np.nan], [0.5, 1], ["no", "yes"]])
def test_a_label_by_hand_is_nought_or_one(late):
    with pytest.raises(ValueError, match=r"late (must hold|holds 1 missing)"):
        score_rules(pd.DataFrame({"fog": [1.0, 0.0]}), late)


@pytest.mark.parametrize("kind", ["float64", "Int8", "boolean", object])
def test_votes_of_any_kind_count_alike(kind):
    said = pd.DataFrame({"fog": [1, 0, 1], "early": [0, 0, 1]}, index=[3, 3, 3]).astype(kind)
    said.iloc[0, 1] = pd.NA if kind in ("Int8", "boolean") else np.nan
    assert majority(said).tolist() == [1, 0, 1]
    assert score_rules(said, [1, 0, 0]).coverage.round(2).to_list() == [1, 0.67]


def test_votes_are_a_table():
    with pytest.raises(ValueError, match="a table is wanted, not list"):
        majority([[1, 0]])


@pytest.fixture(scope="module")
def day():
    world = World("2013-04-23 04:00")
    return examples(world, world.decisions(since="2013-04-22 04:00"))


def test_a_card_tells_one_training_set_from_another(day):
    rows = day
    card = data_card(rows, ["visib"], not_for="other airports")
    assert "- **not for**: other airports" in card
    assert data_card(rows, ["visib"], not_for="other airports") == card
    flipped = rows.assign(late=rows.late.where(rows.index > 0, 1 - rows.late))
    assert data_card(flipped, ["visib"]).splitlines()[-1] != card.splitlines()[-1]


def test_a_card_needs_labels(day):
    for rows in (day.head(0), day[day.label_status == "pending"]):
        with pytest.raises(ValueError, match=f"none of the {len(rows)} rows"):
            data_card(rows, ["visib"])


def test_a_card_needs_its_columns_and_the_features_that_it_is_to_describe(day):
    with pytest.raises(ValueError, match=r"lacks \['carrier', 'vis'\]; mlsys_lib.features.batch"):
        data_card(day.drop(columns="carrier"), ["vis"])


@pytest.mark.parametrize("name", ["late", "examples", "airlines", "missing", "fingerprint"])
def test_what_a_card_counts_cannot_be_stated_otherwise(day, name):
    with pytest.raises(ValueError, match=f"'{name}'.* are counted"):
        data_card(day, ["visib"], **{name: "0 %"})
