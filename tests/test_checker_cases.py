"""The strategies that exercises draw from: what they promise to hurt with."""

import math

import numpy as np
import pandas as pd

from mlsys_lib.exercises import cases


def drawn(strategy, count=60):
    return [case.args[0] for case in cases.drawn(lambda draw: (draw(strategy),), count)]


def test_cases_are_the_same_each_time_and_begin_with_the_simplest():
    tables = cases.flights()
    first, second = drawn(tables), drawn(tables)
    assert all(a.equals(b) for a, b in zip(first, second, strict=True))
    assert first[0].empty


def test_a_table_comes_empty_with_one_row_shuffled_and_with_odd_labels():
    tables = drawn(
        cases.table({"day": (cases.whole(0, 3), int), "p": (cases.probabilities(), float)})
    )
    assert {len(t) for t in tables} >= {0, 1, 8}
    assert any(not t.day.is_monotonic_increasing for t in tables)
    assert any(t.day.duplicated().any() for t in tables)
    assert {t.index.dtype.kind for t in tables} == {"i", "O"}
    assert all(t.p.dtype == float and t.day.dtype == int for t in tables)


def test_labels_of_rows_are_equal_only_where_that_is_allowed():
    column = {"x": (cases.whole(0, 9), int)}
    assert all(t.index.is_unique for t in drawn(cases.table(column)))
    assert any(not t.index.is_unique for t in drawn(cases.table(column, equal=True)))


def test_values_stand_on_a_limit_and_one_step_beside_it():
    assert {14, 15, 16} <= {*drawn(cases.whole(0, 1000, on=[15]))}
    assert {0.16, 0.17, 0.18} <= {*drawn(cases.figures(0, 1, on=[0.17]))}
    moments = {str(m)[:16] for m in drawn(cases.moments("2013-03-10 07:00"))}
    assert {"2013-03-10 06:59", "2013-03-10 07:00", "2013-03-10 07:01"} <= moments


def test_missing_and_infinite_values_come_only_where_they_are_allowed():
    assert all(map(math.isfinite, drawn(cases.figures(0, 5, on=[1]))))
    odd = drawn(cases.figures(0, 5, missing=True, infinite=True))
    assert any(map(math.isnan, odd)) and {math.inf, -math.inf} <= {*odd}
    assert pd.NaT in drawn(cases.moments("2013-03-10 07:00", missing=True))


def test_labels_are_mixed_of_one_class_or_rare():
    shares = {np.mean(labels) for labels in drawn(cases.labels(10))}
    assert {0, 0.1, 1} <= shares and len(shares) > 4


def test_keys_come_in_other_orders():
    orders = {tuple(d) for d in drawn(cases.reordered({"hit": 0, "miss": 1, "quiet": 2}))}
    assert len(orders) == 6


def test_deliveries_lose_nothing_and_come_twice_and_out_of_order():
    arrived = drawn(cases.deliveries([1, 2, 3, 4]))
    assert all({*a} == {1, 2, 3, 4} for a in arrived)
    assert any(len(a) > 4 for a in arrived)
    assert any([*dict.fromkeys(a)] != [1, 2, 3, 4] for a in arrived)


def test_a_fault_begins_anywhere_and_names_itself_and_some_tables_are_sound():
    def month(year, number):
        return pd.DataFrame({"precip": np.ones(number + 20), "wind": float(year)})

    breaks = {
        "millimetres": lambda rows: rows.assign(precip=rows.precip * 25.4),
        "dead wind": lambda rows: rows.assign(wind=0.0),
    }
    found = drawn(cases.faulty(cases.months(month, 2013, 2023), breaks), 100)
    assert {name for name, _ in found} == {None, *breaks}
    assert {int(table.wind.max()) for name, table in found if name is None} == {2013, 2023}
    assert all((table.precip == 1).all() for name, table in found if name != "millimetres")
    hit = {float((table.precip > 1).mean()) for name, table in found if name == "millimetres"}
    assert 1 in hit and min(hit) < 0.1 and len(hit) > 4
    assert all(table.index.equals(pd.RangeIndex(len(table))) for _, table in found)


def test_the_search_for_the_smallest_case_ends_after_its_steps():
    tries = []

    def fails(case):
        tries.append(case)
        return sum(case.args[0]) > 100

    def make(draw):
        return (draw(cases.some(cases.whole(0, 1000), 0, 30)),)

    found = cases.smallest(make, 40, fails, steps=25)
    assert sum(found.args[0]) > 100
    first = next(i for i, case in enumerate(tries) if sum(case.args[0]) > 100)
    assert len(tries) - first - 1 <= 25
    assert cases.smallest(make, 40, fails).args == ([101],)
    assert cases.smallest(make, 40, lambda case: False) is None
