"""The models: a signature makes one matrix of any table, and a backtest trains on what was known."""

import numpy as np
import pandas as pd
import pytest

from mlsys_lib.features import FEATURES
from mlsys_lib.models import (
    Column,
    Signature,
    backtest,
    boosted,
    constant,
    fit,
    logistic,
    rule_of_thumb,
)

COLUMNS = ["dep_minute", "visib", "carrier"]


@pytest.fixture(scope="module")
def signature(winter):
    return Signature.of(winter)


@pytest.fixture
def table():
    return pd.DataFrame(
        {"dep_minute": [400, 1200], "visib": [10.0, None], "carrier": ["UA", "DL"], "late": [0, 1]}
    )


def test_the_order_of_columns_columns_too_many_and_the_index_do_not_matter(winter, signature):
    some = winter.head(50)
    odd = some[some.columns[::-1]].assign(more="x").set_axis([7] * 50, axis=0)
    np.testing.assert_array_equal(signature.matrix(odd), signature.matrix(some))
    assert signature.matrix(some).dtype == np.float32
    assert signature.names == FEATURES


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.astype({"carrier": "category"}),
        lambda rows: rows.astype({"carrier": "string"}),
        lambda rows: rows.astype({"visib": "Float64", "dep_minute": "Int64"}),
        lambda rows: rows.astype({"visib": object}),
        lambda rows: rows.assign(visib=rows.visib.astype(object).where(rows.visib.notna(), None)),
    ],
)
def test_a_column_is_what_it_is_in_any_type_that_holds_it(table, change):
    plain, other = (
        Signature.of(table, columns=COLUMNS),
        Signature.of(change(table), columns=COLUMNS),
    )
    assert plain == other
    expected = np.array([[400, 10, 1], [1200, np.nan, 0]], np.float32)
    for rows in (table, change(table)):
        np.testing.assert_array_equal(plain.matrix(rows), expected)
        assert plain.outside(rows).tolist() == [0, 0, 0]


def test_a_flight_alone_is_what_it_is_in_a_table(winter, signature):
    some = winter.sample(60, random_state=0)
    matrix = signature.matrix(some)
    for place, row in enumerate(some.to_dict("records")):
        gaps = {name: None for name in ("wind_gust", "pressure") if pd.isna(row[name])}
        np.testing.assert_array_equal(signature.vector({**row, **gaps}), matrix[[place]])
        gaps = dict.fromkeys(gaps, pd.NA)
        np.testing.assert_array_equal(signature.vector({**row, **gaps}), matrix[[place]])


def test_unseen_names_and_values_are_counted_and_missing_ones_are_not(table):
    signature = Signature.of(table, columns=COLUMNS)
    odd = pd.DataFrame(
        {
            "dep_minute": [399, 400, 1200, 1201, np.inf, None],
            "visib": [10.0, 9.9, 10.1, None, None, None],
            "carrier": ["UA", "YX", None, 3, "DL", "ua"],
        }
    )
    assert signature.outside(odd).to_dict() == {"dep_minute": 3, "visib": 2, "carrier": 3}
    assert np.isnan(signature.matrix(odd)[:, 2]).tolist() == [False, True, True, True, False, True]
    huge = signature.matrix(table.assign(visib=[1e39, -1e39]))
    assert huge[:, 1].tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("visib", ["ten miles", 10.0], r"column visib \(miles\) must hold numbers"),
        (
            "visib",
            pd.to_datetime(["2013-04-22", None]),
            r"visib \(miles\) must hold numbers: .*datetime64",
        ),
        (
            "dep_minute",
            pd.to_timedelta([1, 2], unit="h"),
            r"dep_minute \(.*\) must hold numbers: .*timedelta",
        ),
        ("dep_minute", [1j, 2j], r"dep_minute \(.*\) must hold numbers: .*complex"),
        ("dep_minute", [np.inf, 1], "column dep_minute holds what float32 cannot"),
        ("dep_minute", [1, -1e39], "column dep_minute holds what float32 cannot"),
        ("carrier", [None, None], "column carrier is missing in all 2 rows; leave it out"),
        ("visib", [np.nan, None], "column visib is missing in all 2 rows; leave it out"),
        ("carrier", [1, 2], "column 'carrier' must have names of text, not 1"),
        ("carrier", ["UA", 2], "column 'carrier' must have names of text, not 2"),
    ],
)
def test_a_column_that_cannot_be_learned_from_is_refused(table, column, values, message):
    odd = table.assign(**{column: values})
    with pytest.raises(ValueError, match=message):
        Signature.of(odd, columns=COLUMNS)
    with pytest.raises(ValueError, match=message):
        fit(constant, odd, columns=COLUMNS)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([], "each column once, and at least one"),
        (["visib", "visib"], "each column once"),
        (["visib", "windspeed"], r"lacks \['windspeed'\]; mlsys_lib.features.batch makes"),
    ],
)
def test_columns_are_named_once_and_there(table, columns, message):
    with pytest.raises(ValueError, match=message):
        Signature.of(table, columns=columns)
    with pytest.raises(ValueError, match=message):
        fit(constant, table, columns=columns)


def test_a_table_with_a_column_twice_is_refused(table):
    twice = pd.concat([table, table[["visib"]]], axis=1)
    with pytest.raises(ValueError, match=r"\['visib'\] more than once"):
        Signature.of(twice, columns=COLUMNS)
    with pytest.raises(ValueError, match=r"\['visib'\] more than once"):
        Signature.of(table, columns=COLUMNS).matrix(twice)


def test_text_where_numbers_belong_is_refused_with_its_column(table):
    model = fit(rule_of_thumb, table, columns=COLUMNS)
    wrong = table.assign(visib="ten miles")
    says = r"column visib \(miles\) must hold numbers: .*ten miles"
    for refuse in (model.predict, model.signature.outside):
        with pytest.raises(ValueError, match=says):
            refuse(wrong)
    with pytest.raises(ValueError, match=says):
        model.signature.vector(wrong.iloc[0].to_dict())


def test_a_missing_column_is_named(table):
    model, less = fit(constant, table, columns=COLUMNS), table.drop(columns="visib")
    for refuse in (model.predict, model.signature.outside):
        with pytest.raises(ValueError, match=r"lacks \['visib'\]"):
            refuse(less)
    with pytest.raises(ValueError, match=r"lacks \['visib'\]"):
        model.signature.vector(less.iloc[0].to_dict())
    with pytest.raises(ValueError, match=r"lacks \['visib', 'late'\]"):
        fit(boosted, table.drop(columns=["visib", "late"]), columns=COLUMNS)


def test_a_column_remembers_what_training_saw():
    names = Column.of(pd.Series(["UA", None, "DL"], name="carrier"))
    assert names.names == ("DL", "UA") and names.codes == {"DL": 0, "UA": 1}
    assert (names.low, names.high) == (-np.inf, np.inf)
    numbers = Column.of(pd.Series([3, 1, np.nan], name="visib"))
    assert (numbers.low, numbers.high, numbers.unit, numbers.names) == (1, 3, "miles", ())
    assert Signature((names,)).places(["dest", "carrier"]) == [0]


@pytest.mark.parametrize(
    "parts",
    [
        {"name": 5},
        {"unit": None},
        {"names": ("UA", 1)},
        {"names": ("UA", "UA")},
        {"low": 2.0, "high": 1.0},
        {"low": np.nan},
    ],
)
def test_a_column_that_cannot_be_is_refused(parts):
    with pytest.raises(ValueError, match="must have"):
        Column(**{"name": "carrier", "unit": "code", **parts})


@pytest.mark.parametrize(
    ("late", "message"),
    [
        ([None, 0, 1, 0], r"1 of 4 rows have no label; train on rows\[rows.label_status"),
        ([-1, 1, 1, -1], "late must hold 0 and 1; position 0 holds -1"),
        ([0, 1, 15, 0], "late must hold 0 and 1; position 2 holds 15"),
        ([0, 0, 0, 0], "late is 0 in all 4 rows; train on both 0 and 1"),
        ([1, 1, 1, 1], "late is 1 in all 4 rows"),
        (["yes", "no", "no", "no"], "late must hold numbers"),
    ],
)
@pytest.mark.parametrize("build", [constant, rule_of_thumb, logistic, boosted])
def test_labels_that_teach_nothing_are_refused(table, build, late, message):
    rows = pd.concat([table, table]).assign(late=late)
    with pytest.raises(ValueError, match=message):
        fit(build, rows, columns=COLUMNS)


def test_no_rows_are_refused_to_train_on_and_predicted_as_none(table):
    with pytest.raises(ValueError, match="0 of 0 rows"):
        fit(constant, table.head(0), columns=COLUMNS)
    assert fit(constant, table, columns=COLUMNS).predict(table.head(0)).shape == (0,)


def test_a_rule_of_thumb_without_the_time_of_day_is_refused(table):
    with pytest.raises(ValueError, match=r"needs dep_minute; the columns are \['visib'\]"):
        fit(rule_of_thumb, table, columns=["visib"])


@pytest.mark.parametrize("build", [rule_of_thumb, logistic, boosted])
def test_a_model_ranks_better_than_a_constant_and_is_as_high_as_the_late_rate(winter, build):
    model = fit(build, winter)
    p, late = model.predict(winter), winter.late == 1
    assert model.rows == len(winter)
    assert p[late].mean() > p[~late].mean() + 0.01
    assert p.mean() == pytest.approx(late.mean(), abs=0.02)
    assert np.ptp(fit(constant, winter).predict(winter)) == 0


def test_a_seed_changes_a_boosted_model_only_where_it_is_told_to_stop_early(winter):
    """Above 10,000 rows scikit-learn would stop early, on rows that the seed sets aside."""
    assert len(winter) > 10_000

    def by_seed(seed, **more):
        model = fit(lambda s: boosted(s, max_iter=15, random_state=seed, **more), winter)
        return model.predict(winter)

    np.testing.assert_array_equal(by_seed(0), by_seed(1))
    early = {"early_stopping": True}
    assert not np.array_equal(by_seed(0, **early), by_seed(1, **early))


def test_a_backtest_sees_only_labels_that_were_known_at_each_cut(winter):
    cuts = ["2013-02-01", pd.Timestamp("2013-02-10 07:00-05:00"), "2013-02-20"]
    seen = []

    def noted(signature):
        model = rule_of_thumb(signature)
        plain = model.fit
        model.fit = lambda x, y: seen.append(len(y)) or plain(x, y)
        return model

    p = backtest(noted, winter, cuts)
    at = pd.to_datetime(["2013-02-01 00:00", "2013-02-10 12:00", "2013-02-20 00:00"], utc=True)
    known = [int((winter.labelled_at <= cut).sum()) for cut in at]
    decided = [int((winter.decided_at < cut).sum()) for cut in at]
    assert seen == known
    assert all(k < d for k, d in zip(known, decided, strict=True))
    assert p.isna().equals(winter.decided_at < at[0])


def test_a_cut_belongs_to_the_model_that_is_trained_at_it():
    """Known at the cut is known; decided at the cut is predicted by the model of that cut."""
    times = pd.to_datetime(["2013-01-01", "2013-01-02", "2013-01-03", "2013-01-03"], utc=True)
    rows = pd.DataFrame({"visib": 1.0, "decided_at": times, "labelled_at": times})
    p = backtest(
        constant, rows.assign(late=[0, 1, 1, 1]), ["2013-01-02", "2013-01-03"], columns=["visib"]
    )
    assert np.isnan(p[0]) and p[1] == 0.5 and p[2] == p[3] == 0.75


def test_what_comes_after_a_window_does_not_change_its_predictions(winter):
    cuts = ["2013-02-01", "2013-02-10"]
    before = winter.decided_at < "2013-02-10"
    upset = winter.assign(
        late=winter.late.where(winter.labelled_at <= "2013-02-01", 1 - winter.late)
    )
    p, q = backtest(rule_of_thumb, winter, cuts), backtest(rule_of_thumb, upset, cuts)
    assert p[before].equals(q[before])
    assert not p[~before].equals(q[~before])


def test_the_order_and_the_index_of_rows_do_not_change_a_backtest(winter):
    cuts = ["2013-02-01", "2013-02-10"]
    plain = backtest(rule_of_thumb, winter, cuts)
    mixed = winter.sample(frac=1, random_state=0)
    assert backtest(rule_of_thumb, mixed, cuts).sort_index().equals(plain)
    doubled = winter.set_axis(np.arange(len(winter)) % 7, axis=0)
    got = backtest(rule_of_thumb, doubled, cuts)
    assert got.index.equals(doubled.index)
    np.testing.assert_array_equal(got.to_numpy(), plain.to_numpy())


def test_rows_without_a_label_are_predicted_and_not_trained_on(winter):
    rows = winter.copy()
    rows.loc[rows.index[::7], ["late", "labelled_at"]] = None
    p = backtest(rule_of_thumb, rows, ["2013-02-01"])
    assert p[rows.decided_at >= "2013-02-01"].notna().all()
    q = backtest(rule_of_thumb, rows[rows.late.notna()], ["2013-02-01"])
    assert p[q.index].equals(q)


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        (["2013-01-03", "2013-01-02"], "the cuts must increase"),
        (["2013-01-03", "2013-01-03 00:00Z"], "the cuts must increase"),
        ([], "must increase, and be at least one"),
        ("2013-01-03", "cut='2' is no moment"),
        (["yesterday"], "cut='yesterday' is no moment"),
        (["2013-01-03 05:00 EST"], "is no moment"),
        ([None], "cut=None is no moment"),
        ([20130103], "cut=20130103 is no moment"),
        (["2012-12-31"], "no row has a label by the cut at 2012-12-31 00:00 UTC"),
    ],
)
def test_cuts_that_make_no_sense_are_refused(winter, cuts, message):
    with pytest.raises(ValueError, match=message):
        backtest(constant, winter, cuts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="labelled_at"), r"lacks \['labelled_at'\]; .*batch makes"),
        (lambda rows: rows.assign(labelled_at=pd.NaT), "labelled_at"),
        (lambda rows: rows.assign(decided_at=pd.NaT), "decided_at is missing in"),
        (lambda rows: rows.assign(decided_at=7.5), "decided_at=7.5 is no moment"),
        (lambda rows: rows.assign(late=2.0), "late must hold 0 and 1"),
        (lambda rows: rows.assign(late=0.0), "late is 0 in all"),
    ],
)
def test_rows_that_a_backtest_cannot_use_are_refused(winter, change, message):
    with pytest.raises(ValueError, match=message):
        backtest(constant, change(winter.head(5000)), ["2013-01-08"])
