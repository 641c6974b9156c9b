"""What a check says, and what it leaves alone: claims, generated cases, errors, messages."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest

from mlsys_lib.exercises import cases
from mlsys_lib.exercises.checker import Exercise, Result, Same, exercise, expect


def made(solution) -> Exercise:
    return exercise(hints=["a", "b", "c"])(solution)


def doubled(x):
    """Twice x: the number that stands two steps of x away from zero, on the same side as x itself."""
    y = x + x  # blank
    return y


@pytest.fixture
def twice() -> Exercise:
    """Claims look at 3 alone; cases at all numbers from -50 to 50."""
    task = made(doubled)

    @task.claim("twice 3 is 6")
    def three(answer):
        expect(answer(3), 6)

    @task.generated("any number", marks={"it is below zero": lambda x: x < 0})
    def any_number(draw):
        return (draw(cases.whole(-50, 50)),)

    return task


STUCK = "\nStuck? test_checker.doubled.hint() gives the next of 3 hints, test_checker.doubled.solution() the solution."


# -- the five kinds of answers, and the line that helps on ---------------------------------------------


def test_a_right_answer_is_told_what_it_passed(twice):
    assert twice.check(lambda x: 2 * x).text.startswith(
        "Correct: all 1 claims hold, and 40 generated cases agree."
    )


def test_a_wrong_value_shows_the_claim_the_call_both_values_and_where_help_is(twice):
    assert twice.check(lambda x: x**2).text == (
        "Not yet: twice 3 is 6.\n  called    doubled(3)\n  expected  6\n  got       9" + STUCK
    )


def test_a_stub_is_not_started_and_is_told_where_help_is(twice):
    def mine(x):
        y = ...
        return y

    result = twice.check(mine)
    assert result.kind == "not started"
    assert result.text.startswith("Not started: line 2 still holds") and result.text.endswith(STUCK)


def test_the_line_that_helps_names_the_chapter_as_the_notebooks_import_it():
    from mlsys_lib.exercises import ch01_framing as ch01

    assert "ch01.metric.hint()" in ch01.metric.check(lambda: {}).text


def test_an_error_in_the_answer_names_the_readers_own_line(twice):
    def mine(x):
        y = x * 2
        return y / 0

    result = twice.check(mine)
    assert result.kind == "raised"
    assert "ZeroDivisionError" in result.text
    assert "line 3 of your function: return y / 0" in result.text


def test_an_error_in_the_claim_is_the_checkers_fault(twice):
    @twice.claim("nothing")
    def broken(answer):
        raise RuntimeError("the claim is wrong")

    assert twice.check(lambda x: 2 * x).kind == "broken"


def test_an_error_in_the_generator_is_the_checkers_fault(twice):
    @twice.generated("nothing")
    def broken(draw):
        raise RuntimeError("the generator is wrong")

    assert twice.check(lambda x: 2 * x).kind == "broken"


def test_an_answer_of_another_kind_is_not_yet_right_and_no_fault_of_the_checkers(twice):
    @twice.claim("the double is a whole number")
    def whole(answer):
        expect(answer(3).bit_length(), 3)

    result = twice.check(lambda x: 2.0 * x)
    assert (result.kind, result.claim) == ("not yet", "whole")
    assert "bit_length" in result.text and "6.0" in result.text


def test_the_result_of_a_call_is_not_an_answer(twice):
    assert "without calling it" in twice.check(6).text


def test_indexing_with_an_ellipsis_is_not_a_blank(twice):
    def mine(x):
        return np.array([2 * x])[..., 0]

    assert twice.check(mine).kind == "correct"


def test_blanks_are_faded_and_the_rest_stays(twice):
    assert twice.stub.splitlines()[2:] == ["    y = ...", "    return y"]
    assert "blank" not in twice.solution_source


def test_hints_go_from_vague_to_concrete_and_stay_at_the_last(twice):
    assert [str(twice.hint())[-1] for _ in range(4)] == ["a", "b", "c", "c"]


def test_a_result_shows_its_text():
    assert repr(Result("correct", "Correct: all 1 claims hold.")) == "Correct: all 1 claims hold."


# -- generated cases -------------------------------------------------------------------------------------


def test_a_wrong_answer_that_all_claims_accept_fails_on_the_smallest_generated_case(twice):
    assert twice.check(lambda x: abs(2 * x)).text == (
        "Not yet: it must be right for any number. The smallest case found on which it is not:\n"
        "  called    doubled(-1)\n  expected  -2\n  got       2\n  special   it is below zero"
        + STUCK
    )


def test_what_is_special_about_a_case_is_not_said_of_an_answer_that_is_wrong_everywhere():
    task = made(doubled)

    @task.generated("any number", marks={"it is small": lambda x: x < 50})
    def any_number(draw):
        return (draw(cases.whole(0, 9)),)

    assert "special" not in task.check(lambda x: None).text


def test_an_error_on_a_generated_case_is_shown_with_the_smallest_call(twice):
    def mine(x):
        return 2 * x if x < 20 else [][x]

    result = twice.check(mine)
    assert (result.kind, result.claim) == ("raised", "any_number")
    assert "doubled(20)" in result.text and "line 2 of your function" in result.text


def test_the_smallest_case_fails_in_the_way_in_which_the_first_one_did(twice):
    def raises_beyond(sign):
        def mine(x):
            if sign * x >= 10:
                raise ValueError("too far")
            return 0 if sign * x <= -10 else 2 * x

        return mine

    one, other = (twice.check(raises_beyond(sign)) for sign in (1, -1))
    assert {one.kind, other.kind} == {"raised", "not yet"}
    same_side = "doubled(10)" if one.kind == "raised" else "doubled(-10)"
    assert same_side in one.text and same_side in other.text


def test_the_same_answer_gets_the_same_text_in_this_process_and_in_others(tmp_path):
    code = (
        "from mlsys_lib.exercises import ch01_framing as c\n"
        "print(c.expected_cost.judge(lambda late, flagged, costs: round(costs['miss'], 1) and 90.0))\n"
        "print(c.best_threshold.judge(lambda costs: .2 if costs['hit'] else 1 / 6))\n"
    )
    other = "import json, decimal\nTHEIR_CONSTANT = 301\nOTHER = 4711.25\n"
    (tmp_path / "local_module.py").write_text(other)
    texts = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", prefix + code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), str(tmp_path)])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for prefix in ("", "import local_module\n")
    }
    assert len(texts) == 1 and "Not yet" in texts.pop()
    assert not (tmp_path / ".hypothesis").exists()


def test_many_hundred_calls_print_and_warn_nothing(twice, capsys):
    import warnings

    def mine(x):
        if x != 3:
            print("looking at", x)
            warnings.warn("odd", stacklevel=1)
        return 2 * x if x > -40 else 0

    assert twice.check(mine).kind == "not yet"
    assert capsys.readouterr() == ("", "")


def test_what_a_claim_lets_an_answer_print_is_seen(twice, capsys):
    def mine(x):
        print("x is", x)
        return 0

    twice.check(mine)
    assert capsys.readouterr().out == "x is 3\n"


def test_what_is_compared_can_be_made_of_what_the_answer_gives():
    def rule():
        """A rule: a function that says of a number whether it is large, which begins at ten here."""
        return lambda x: x >= 10

    task = made(rule)

    @task.generated("any number", run=lambda answer, number: answer()(number))
    def any_number(draw):
        return (draw(cases.whole(0, 20)),)

    assert task.check(lambda: lambda x: x > 9).kind == "correct"
    text = task.check(lambda: lambda x: x > 10).text
    assert "  number    10\n  expected  True\n  got       False" in text
    assert task.check(lambda: 5).claim == "any_number"
    assert "not of the kind asked for" in task.check(lambda: 5).text


def test_the_truth_may_be_another_than_the_solutions():
    def caught(values):
        """Whether a list of numbers holds one that is out of range, by whatever way you like to find it."""
        return max(values, default=0) > 100

    task = made(caught)

    @task.generated("any values", truth=lambda values: any(v > 100 for v in values))
    def any_values(draw):
        return (draw(cases.some(cases.whole(0, 200))),)

    assert task.check(lambda values: sum(v > 100 for v in values) > 0).kind == "correct"
    assert task.check(lambda values: values[:1] > [100]).kind == "not yet"


def test_order_index_tolerance_and_kind_count_where_the_exercise_says_so():
    def upper(rows):
        """The rows whose value is above one, as a Series with their own index, in the order of the table."""
        return rows.value[rows.value > 1]

    def checked(same, answer):
        task = made(upper)

        @task.generated("any rows", same=same)
        def any_rows(draw):
            return (draw(cases.table({"value": (cases.figures(0, 3), float)})),)

        return task.check(answer).kind

    def backwards(rows):
        return upper(rows)[::-1]

    def bare(rows):
        return upper(rows).tolist()

    def rounded(rows):
        return upper(rows).round(1)

    assert checked(Same(), bare) == "correct"
    assert checked(Same(index=True), bare) == "not yet"
    assert checked(Same(kind=True), bare) == "not yet"
    assert checked(Same(index=True), backwards) == "not yet"
    assert checked(Same(index=True, order=False), backwards) == "correct"
    assert checked(Same(), rounded) == "not yet"
    assert checked(Same(tolerance=0.06), rounded) == "correct"


# -- nothing gets out, nothing is spoilt -----------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [SystemExit, GeneratorExit, KeyboardInterrupt, RecursionError, MemoryError, StopIteration],
)
@pytest.mark.parametrize("at", [3, -7])
def test_whatever_an_answer_raises_is_its_own_error(twice, error, at):
    def mine(x):
        if x == at or at < 0 > x:
            raise error("enough")
        return 2 * x

    result = twice.check(mine)
    assert result.kind == "raised" and error.__name__ in result.text


def test_an_exception_of_the_readers_own_making_does_not_get_out(twice):
    class Mine(BaseException):
        def __str__(self):
            raise ValueError

    def mine(x):
        raise Mine

    assert twice.check(mine).kind in ("not yet", "raised")


def test_endless_recursion_is_an_error_of_the_answer(twice):
    def mine(x):
        return mine(x)

    result = twice.check(mine)
    assert result.kind == "raised" and "RecursionError" in result.text


def test_endless_printing_is_stopped(twice, capsys):
    def mine(x):
        while True:
            print("more" * 1000)

    assert "printed more than" in twice.check(mine).text


def test_an_endless_generator_is_named_and_not_read(twice):
    result = twice.check(lambda x: itertools.count())
    assert result.kind == "not yet" and "not a number" in result.text


def test_ctrl_c_interrupts_and_judges_nothing(twice):
    def patient(x):
        signal.raise_signal(signal.SIGINT)
        return 2 * x

    before = signal.getsignal(signal.SIGINT)
    assert twice.check(patient).kind == "interrupted"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_check_runs_outside_the_main_thread_too(twice):
    said = []
    thread = threading.Thread(target=lambda: said.append(twice.check(lambda x: 2 * x).kind))
    thread.start()
    thread.join()
    assert said == ["correct"]


@pytest.mark.parametrize("broken", ["__eq__", "__repr__", "__len__", "__iter__", "__array__"])
def test_a_value_that_breaks_when_it_is_looked_at_is_not_yet_right(twice, broken):
    def fail(*_):
        raise SystemExit if broken == "__eq__" else ValueError

    kind = type("Odd", (), {broken: fail, "__hash__": None})
    assert twice.check(lambda x: kind()).kind == "not yet"


TABLE = pd.DataFrame({"value": [3.0, 1.0, 2.0]}, index=[7, 8, 9])
NESTED = {"prices": [1, 2], "widths": {"a": 4}}


def test_a_try_that_changes_what_it_was_given_does_not_spoil_later_checks():
    def total(table, nested, array):
        """The sum of the values of the table, of the prices and of the array, whatever their order is."""
        return table.value.sum() + sum(nested["prices"]) + array.sum()

    task, array = made(total), np.array([3, 4])

    @task.claim("it is 16")
    def sixteen(answer):
        expect(answer(TABLE, NESTED, array), 16)

    @task.generated("any table")
    def any_table(draw):
        return draw(cases.table({"value": (cases.whole(0, 9), float)})), NESTED, array

    def spoils(table, nested, array):
        got = total(table, nested, array)
        table["value"], array[:] = 0, 0
        table.drop(table.index, inplace=True)
        nested["prices"].clear()
        nested["widths"]["a"] = 0
        return got - (len(table.index) == 0) * (got != 16)

    assert task.check(total).kind == "correct"
    assert task.check(spoils).kind == "not yet"
    assert task.check(total).kind == "correct"
    assert TABLE.value.tolist() == [3, 1, 2] and array.tolist() == [3, 4]
    assert NESTED == {"prices": [1, 2], "widths": {"a": 4}}


def test_a_check_takes_no_state_from_outside_and_leaves_none(twice):
    def guesses(x):
        return x + random.random() + np.random.random()  # noqa: NPY002

    texts = set()
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        before = random.getstate()
        texts.add(twice.check(guesses).text)
        assert random.getstate() == before
    assert len(texts) == 1


# -- kinds -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        ("3", 3, False),
        (["1", "2"], [1, 2], False),
        (np.array(["1", "2"]), np.array([1, 2]), False),
        (3, "3", False),
        (np.True_, True, True),
        (1, True, False),
        ("True", True, False),
        (True, np.True_, True),
        (3.0, 3, True),
        (np.float32(0.5), 0.5, True),
        (np.array(3), 3, True),
        (1_000_000_008, 1_000_000_007, False),
        (float("nan"), float("nan"), True),
        (None, float("nan"), False),
        ([None, 1.0], [float("nan"), 1.0], True),
        (float("inf"), float("inf"), True),
        ((1, 2), [1, 2], True),
        ([{1}, {2}], [{1}, {2}], True),
        ([[1], [2]], [{1}, {2}], False),
        ([{2}, {1}], [{1}, {2}], False),
        ({1, 2}, [1, 2], False),
        (iter([1, 2]), [1, 2], False),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}, True),
        ({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}, False),
        (pd.Timestamp("2013-01-01"), pd.Timestamp("2013-01-01", tz="UTC"), False),
        ("2013-01-01", pd.Timestamp("2013-01-01"), False),
        (np.datetime64("2013-01-01"), pd.Timestamp("2013-01-01"), True),
        (pd.NaT, pd.NaT, True),
        (pd.Series([1, 2]), [1, 2], True),
        (pd.DataFrame({"b": [2], "a": [1]}), pd.DataFrame({"a": [1], "b": [2]}), True),
        (pd.DataFrame({"a": [2, 1]}), pd.DataFrame({"a": [1, 2]}), False),
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"c": [1, 2]}), False),
    ],
)
def test_values_are_compared_as_a_statement_means_them(got, expected, same):
    task = made(lambda: expected)

    @task.claim("it is that")
    def that(answer):
        expect(answer(), expected)

    assert task.check(lambda: got).kind == ("correct" if same else "not yet")


# -- messages: each of these once hid what the reader needed ---------------------------------------------


def message(got, expected, *args, read=lambda returned: returned) -> str:
    """What a check says where the answer returns `got` for these arguments."""

    def keep(rows=None, k=None, rng=None):
        """Any exercise with three parameters, of which a claim gives as many as it wants to see shown."""
        return expected

    task = made(keep)

    @task.claim("it is right")
    def right(answer):
        expect(read(answer(*args)), expected)

    return task.check(lambda *_: got).text


def test_iterators_and_random_generators_are_shown_by_what_they_are():
    text = message(0, 1, iter(range(4)), 2, random.Random(7))
    assert "keep(iter([0, 1, 2, 3]), 2, random.Random(7))" in text
    assert "default_rng(3)" in message(0, 1, np.random.default_rng(3))
    assert "0x" not in message(object(), 1, (x for x in "ab"), object())


def test_a_small_table_is_shown_whole_and_of_a_large_one_the_first_rows():
    small = pd.DataFrame({"month": [1], "dep_time": [1205]})
    text = message(0, 1, small)
    assert "keep(rows)" in text and "1205" in text and "rows:" in text
    assert "273 rows, the first 3" in message(0, 1, pd.concat([small] * 273))


def test_of_long_lists_and_tables_only_what_differs_is_shown():
    expected = pd.Series(range(200), index=range(1000, 1200))
    got = expected.copy()
    got.loc[1017] = -5
    text = message(got, expected)
    assert "1 of 200 differ" in text and "1017" in text and "-5" in text and "1018" not in text
    wide = pd.DataFrame({"a": range(50), "b": range(50)})
    text = message(wide.assign(b=wide.b.where(wide.b != 30, 0)), wide)
    assert "1 of 50 rows differ" in text and "b expected" in text and "a expected" not in text


def test_what_the_reader_returned_is_shown_where_a_claim_looks_at_a_part_of_it():
    text = message([("origin", "EWR")], True, read=lambda found: ("origin", "JFK") in found)
    assert "expected  True" in text and "returned  [('origin', 'EWR')]" in text


def test_masks_are_shown_as_true_and_false():
    text = message(np.array([True, False]), np.array([False, True]))
    assert "array([True, False])" in text and "array([False, True])" in text


def test_dicts_are_shown_in_their_own_order():
    assert "{'miss': 1, 'hit': 2}" in message(0, 1, {"miss": 1, "hit": 2})


def test_a_lost_index_is_named():
    task = made(lambda rows: rows.value)

    @task.claim("each value stands at the index of its row")
    def at_its_index(answer):
        expect(answer(TABLE), TABLE.value, index=True)

    assert "an array, not a Series" in task.check(lambda rows: rows.value.to_numpy()).text
    reset = task.check(lambda rows: rows.value.reset_index(drop=True)).text
    assert "its index is [0, 1, 2], not [7, 8, 9]" in reset


def test_functions_are_shown_by_what_they_returned():
    def half(x):
        return x / 2

    def kept(fit):
        """What fit gives for three, and then again for what it gave, as the sum of both these numbers."""
        return fit(3) + fit(fit(3))

    task = made(kept)

    @task.claim("it is 2.25")
    def right(answer):
        expect(answer(half), 2.25)

    text = task.check(lambda fit: fit(3)).text
    assert "kept(half)" in text and "half returned 1.5" in text


def test_sets_and_lists_of_sets_are_told_apart_and_shown_in_one_order():
    text = message([["b", "a"]], [{"b", "a"}])
    assert "expected  [{'a', 'b'}]" in text and "it is a list, not a set" in text


def test_text_that_reads_like_the_number_is_called_text():
    assert "it is the text '3', not a number" in message("3", 3)


# -- choices ---------------------------------------------------------------------------------------------


def test_a_wrong_choice_is_told_why_and_not_what_is_right():
    def choose():
        """Which of the two? Choose "left" or "right" for the hand, and "up" or "down" for the eye."""
        return {"hand": "left", "eye": "up"}

    task = made(choose)
    task.choices(
        {
            "hand": {"left": None, "right": "that is the other"},
            "eye": {"up": None, "down": "too low"},
        },
        text=lambda what: f"the {what} fits",
    )
    assert task.check(choose).kind == "correct"
    result = task.check(lambda: {"hand": "left", "eye": "down"})
    assert (result.claim, "too low" in result.text, "'up'" in result.text) == ("eye", True, False)
    assert "choose one of left, right" in task.check(lambda: {"hand": ["left"]}).text
    assert "choose one of left, right" in task.check(lambda: None).text
    assert [(m["hand"], q) for m, q, _ in task.wrong_choices()] == [
        ("left", "eye"),
        ("right", "hand"),
        ("right", "hand"),
    ]
