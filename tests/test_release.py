"""Slices whose errors know what a day is, and a release decided by what was said before."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlsys_lib.metrics import Estimate
from mlsys_lib.release import Criterion, digest, discoveries, release_report, slices


@pytest.fixture(scope="module")
def sliced(graded):
    day, late, score = graded
    rng = np.random.default_rng(4)
    rows = pd.DataFrame(
        {
            "airline": rng.choice(["AA", "B6", "DL"], len(day), p=[0.6, 0.3, 0.1]),
            "gate": pd.Categorical(rng.choice(["north", "south"], len(day))),
            "stand": rng.choice([1.0, 2.0, np.nan], len(day)),
        }
    )
    return rows, slices(rows, day, late, score, list(rows), at_least=1)


def test_slices_are_what_a_groupby_gives(graded, sliced):
    day, late, score = graded
    rows, table = sliced
    frame = rows.assign(
        day=day, late=late, p=score, loss=-np.log(np.where(late == 1, score, 1 - score))
    )
    for columns in (["airline"], ["airline", "gate"]):
        groups = frame.groupby(columns, observed=True)
        named = groups.size().reset_index()[columns].itertuples(index=False, name=None)
        titles = [", ".join(f"{c}={v}" for c, v in zip(columns, n, strict=True)) for n in named]
        got = table.loc[titles]
        assert got.flights.tolist() == groups.size().tolist()
        assert got.days.tolist() == groups.day.nunique().tolist()
        for column in ("late", "p", "loss"):
            assert got[column].to_numpy() == pytest.approx(groups[column].mean().to_numpy())
    rate = table.late
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
    assert table.constant.to_numpy() == pytest.approx(entropy.to_numpy())
    assert (table.excess - table.gap).to_numpy() == pytest.approx(late.mean() - score.mean())


def test_each_pair_of_columns_is_looked_at_and_missing_is_a_value(sliced):
    _, table = sliced
    assert len(table) == (3 + 2 + 3) + (6 + 9 + 6)
    assert table.flights["stand=missing"] > 0


def test_the_error_of_an_excess_agrees_with_the_bootstrap(graded, sliced):
    day, late, score = graded
    rows, table = sliced
    inside = (rows.airline == "B6").to_numpy()
    one, rng = np.ones(len(day)), np.random.default_rng(5)
    sums = [np.bincount(day, weights=w) for w in (score - late, one)]
    sums += [np.bincount(day[inside], weights=w[inside]) for w in (score - late, one)]
    drawn = [np.column_stack(sums)[rng.integers(0, 200, 200)].sum(axis=0) for _ in range(1000)]
    drawn = [c / d - a / b for a, b, c, d in drawn]
    assert table.error["airline=B6"] == pytest.approx(np.std(drawn), rel=0.1)


def test_small_slices_are_left_out(graded):
    day, late, score = graded
    rows = pd.DataFrame({"half": np.arange(len(day)) % 2, "few days": day < 19, "few": day == 199})
    table = slices(rows, day, late, score, rows, at_least=150)
    assert "few days=True" not in table.index and "few=True" not in table.index
    assert "half=1, few=False" in table.index


def test_a_slice_of_just_enough_flights_is_kept(graded):
    day, late, score = graded
    rows = pd.DataFrame({"first": np.where(np.arange(len(day)) % 100 < 2, "two a day", "others")})
    for at_least, found in ((400, 2), (401, 1)):
        assert len(slices(rows, day, late, score, rows, at_least=at_least)) == found


@pytest.mark.parametrize("at_least", [0, -5, 2.5, "many"])
def test_enough_flights_are_a_whole_number(graded, at_least):
    day, late, score = graded
    rows = pd.DataFrame({"a": day % 2})
    with pytest.raises(ValueError, match=f"at_least={at_least!r} must be a whole number"):
        slices(rows, day, late, score, ["a"], at_least=at_least)


def test_the_order_of_rows_does_not_change_the_table(graded, sliced):
    day, late, score = graded
    rows, table = sliced
    mixed = np.random.default_rng(0).permutation(len(day))
    again = slices(rows.iloc[mixed], day[mixed], late[mixed], score[mixed], list(rows), at_least=1)
    pd.testing.assert_frame_equal(again, table)


def test_labels_of_minus_one_and_percentages_are_refused_by_slices():
    rng = np.random.default_rng(0)
    days, y = np.repeat(np.arange(50), 20), (rng.random(1000) < 0.3).astype(int)
    p = np.clip(0.3 * y + 0.6 * rng.random(1000), 0, 1)
    table = pd.DataFrame({"carrier": rng.choice(["AA", "B6"], 1000)})
    with pytest.raises(ValueError, match="y must hold 0 and 1"):
        slices(table, days, 2 * y - 1, p, ["carrier"])
    with pytest.raises(ValueError, match="p must hold probabilities"):
        slices(table, days, y, 100 * p, ["carrier"])


def test_a_column_with_one_value_does_not_end_a_search():
    rng = np.random.default_rng(0)
    days, late = np.repeat(np.arange(100), 20), (rng.random(2000) < 0.3).astype(int)
    rows = pd.DataFrame({"carrier": rng.choice(["AA", "B6", "DL"], 2000), "origin": "LGA"})
    p = np.where(rows.carrier == "B6", 0.6, 0.3)
    table = slices(rows, days, late, p, ["carrier", "origin"])
    found = discoveries(table)
    assert "carrier=B6" in found.index and "origin=LGA" not in found.index
    assert table.excess["origin=LGA"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("alone", [["origin"], ["gap"], ["origin", "gap"]])
def test_slices_that_hold_every_flight_are_no_discovery(graded, alone):
    """A column with one value, and one that is missing throughout, alone and together."""
    day, late, score = graded
    rows = pd.DataFrame({"origin": "LGA", "gap": np.nan}, range(len(day)))
    table = slices(rows, day, late, score, alone)
    assert table.flights.tolist() == [len(day)] * len(table) and len(table) >= 1
    assert discoveries(table).empty
    assert discoveries(table, rate=1).t.tolist() == [0] * len(table)


def test_a_slice_that_errs_alike_on_each_day_is_found():
    """Its error is zero and its excess is not: no chance at all."""
    rows = pd.DataFrame({"carrier": ["AA", "B6"] * 40})
    table = slices(rows, np.arange(80) // 4, [0, 1] * 40, [0.5] * 80, ["carrier"], at_least=20)
    assert discoveries(table).t.abs().tolist() == [np.inf, np.inf]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows, day, late, p: (rows[1:], day, late, p, ["a"]), "one length"),
        (lambda rows, day, late, p: (rows, day[1:], late, p, ["a"]), "one length"),
        (lambda rows, day, late, p: (rows[:0], [], [], [], ["a"]), "one or more"),
        (lambda rows, day, late, p: (rows[:1], day[:1], late[:1], p[:1], ["a"]), "one day"),
        (lambda rows, day, late, p: (rows, day, late, p, ["a", "c"]), r"lacks \['c'\]"),
        (lambda rows, day, late, p: (rows, day, late, p, []), "columns is empty"),
        (lambda rows, day, late, p: (rows, day, late, p, ["a", "a"]), "two slices are called 'a="),
        (
            lambda rows, day, late, p: (rows[["a", "a"]], day, late, p, ["a"]),
            r"\['a'\] more than once",
        ),
        (lambda rows, day, late, p: (rows, day, late, p * np.nan, ["a"]), "p holds 20000 missing"),
    ],
)
def test_bad_input_of_slices_is_named(graded, change, message):
    day, late, score = graded
    rows = pd.DataFrame({"a": day % 2, "b": day % 3})
    with pytest.raises(ValueError, match=message):
        slices(*change(rows, day, late, score))


@pytest.mark.parametrize(
    "values",
    [
        ["missing", None],  # a value of that name, and what is missing
        [1, "1"],
        [1.5, "1.5"],
    ],
)
def test_values_that_read_alike_are_not_mixed_into_one_slice(graded, values):
    day, late, score = graded
    rows = pd.DataFrame({"a": [values[one] for one in day % 2]}, dtype=object)
    with pytest.raises(ValueError, match="two slices are called"):
        slices(rows, day, late, score, ["a"])
    half = slices(rows.replace(values[0], "else"), day, late, score, ["a"])
    assert half.flights.sum() == len(day) and len(half) == 2


def test_slices_go_by_position_and_keep_every_kind_of_column(graded):
    day, late, score = graded
    rows = pd.DataFrame(
        {
            "text": np.where(day % 2, "odd", "even"),
            "cut": pd.cut(score, [0, 0.2, 0.4, 1]),
            "flag": day % 3 == 0,
            "when": pd.to_datetime("2013-04-22") + pd.to_timedelta(day % 2, unit="D"),
        }
    )
    plain = slices(rows, day, late, score, list(rows))
    odd = rows.set_axis(np.zeros(len(rows)), axis=0)
    pd.testing.assert_frame_equal(slices(odd, day, late, score, list(rows)), plain)
    for title in ("text=odd", "cut=(0.2, 0.4]", "flag=True", "when=2013-04-23 00:00:00"):
        assert title in plain.index


def test_a_search_finds_the_planted_slice_and_little_else(graded):
    """Simulated: 300 slices that mean nothing, and one in which the model is ten points too high."""
    day, late, score = graded
    rng = np.random.default_rng(6)
    rows = pd.DataFrame({f"c{i:02}": rng.integers(0, 4, len(day)).astype(str) for i in range(6)})
    p = np.where(rows.c03 == "2", np.clip(score + 0.1, 0, 1), score)
    table = slices(rows, day, late, p, rows)
    found = discoveries(table)
    assert len(table) > 250
    assert found.index[0] == "c03=2"
    others = table[~table.index.str.contains("c03=")]  # the rest of c03 lies below the whole
    assert found.index.isin(others.index).sum() <= 2
    assert (abs(others.excess / others.error) > 1.96).sum() > 5


def test_what_is_found_is_what_scipy_adjusts(sliced):
    _, table = sliced
    assert discoveries(table, rate=1).index.sort_values().equals(table.index.sort_values())
    assert len(discoveries(table, rate=0)) == 0
    t = table.excess / table.error
    chance = stats.false_discovery_control(2 * stats.t.sf(abs(t), table.days - 1))
    found = discoveries(table, rate=0.5)
    assert found.chance.to_dict() == pytest.approx(
        table.assign(c=chance)[chance <= 0.5].c.to_dict()
    )
    assert found.t.to_dict() == pytest.approx(t[found.index].to_dict())
    assert found.t.abs().is_monotonic_decreasing and 0 < len(found) < len(table)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t, {"rate": 5}, "rate=5 must lie from 0 to 1"),
        (lambda t: t, {"rate": np.nan}, "rate=nan must lie from 0 to 1"),
        (lambda t: t.drop(columns="error"), {}, r"lacks \['error'\]; slices gives it"),
        (lambda t: t.assign(error=np.nan), {}, "error holds 29 missing"),
        (lambda t: t.assign(excess=t.excess.where(t.p < 0)), {}, "excess holds 29 missing"),
    ],
)
def test_bad_input_of_a_search_is_named(sliced, change, options, message):
    with pytest.raises(ValueError, match=message):
        discoveries(change(sliced[1]), **options)


@pytest.mark.parametrize(
    ("better", "figure", "verdict"),
    [
        ("below", 0.02, "pass"),
        ("below", 0.021, "fail"),
        ("above", 0.021, "pass"),
        ("below", Estimate(0.01, 0.0, 0.02), "pass"),
        ("below", Estimate(0.01, 0.0, 0.03), "open"),
        ("below", Estimate(0.04, 0.03, 0.05), "fail"),
        ("above", Estimate(0.04, 0.03, 0.05), "pass"),
        ("above", Estimate(0.01, 0.0, 0.02), "open"),
        ("above", Estimate(0.03, 0.02, 0.04), "pass"),
        ("above", Estimate(0.01, 0.0, 0.019), "fail"),
        ("below", Estimate(0.03, 0.02, 0.04), "open"),
        ("below", 2, "fail"),
        ("below", float("-inf"), "pass"),
        ("below", float("nan"), "open"),
        ("above", np.nan, "open"),
    ],
)
def test_a_verdict_is_open_where_the_interval_holds_the_limit_or_nothing_is_known(
    better, figure, verdict
):
    assert Criterion("bias", 0.02, better=better).verdict(figure) == verdict


def test_a_criterion_that_changed_has_another_digest():
    before = [Criterion("bias", 0.02)]
    assert digest(before) == digest([Criterion("bias", np.float64(0.02))])
    assert digest(before) != digest([Criterion("bias", 0.03)])
    assert digest(before) != digest([Criterion("bias", 0.02, better="above")])
    assert digest(before) != digest([Criterion("Bias", 0.02)])
    two = [*before, Criterion("AUC", 0.7)]
    assert digest(two) != digest(two[::-1])


def test_a_digest_that_was_noted_is_found_again():
    """Chapter 07's criteria, and the digest that it printed before this library had half its modules."""
    rules = [
        Criterion("AUC, candidate - in service", -0.01, better="above"),
        Criterion("log loss, candidate - in service", 0.0),
        Criterion("cost of a flight, candidate - in service", 0.5),
        Criterion("bias, from above", 0.03),
        Criterion("bias, from below", -0.03, better="above"),
        Criterion("large slices worse than a constant", 0),
        Criterion("behaviours violated", 0),
    ]
    assert digest(rules) == "e1152b92cbb6"


@pytest.mark.parametrize(
    ("limit", "better", "message"),
    [
        (0.02, "less", "better='less' must be one of 'below', 'above'"),
        (np.nan, "below", "bias: limit=nan must be finite"),
        (np.inf, "above", "bias: limit=inf must be finite"),
    ],
)
def test_a_criterion_that_decides_nothing_is_refused(limit, better, message):
    with pytest.raises(ValueError, match=message):
        Criterion("bias", limit, better=better)


def test_a_report_has_a_figure_for_each_criterion_and_no_other():
    rules = [Criterion("bias", 0.02), Criterion("AUC", 0.7, better="above")]
    text = release_report("M", rules, {"AUC": Estimate(0.74, 0.72, 0.76), "bias": 0.03})
    assert "| bias | at most 0.02 | 0.03 | fail |" in text
    assert "| AUC | at least 0.7 | 0.740 [0.720, 0.760] | pass |" in text
    assert f"pass 1, open 0, fail 1. Criteria {digest(rules)}" in text
    both = release_report("M", rules, {"AUC": 0.8, "bias": Estimate(0.01, 0.0, 0.02)})
    assert "pass 2, open 0, fail 0" in both
    for figures in ({"bias": 0.01}, {"bias": 0.01, "AUC": 0.8, "new": 1.0}):
        with pytest.raises(ValueError, match=r"AUC|new"):
            release_report("M", rules, figures)
    with pytest.raises(ValueError, match="no criterion"):
        release_report("M", [], {})


def test_a_figure_that_is_no_number_is_open_in_the_report():
    text = release_report("M", [Criterion("bias", 0.02)], {"bias": np.nan})
    assert "| bias | at most 0.02 | nan | open |" in text and "pass 0, open 1, fail 0" in text
