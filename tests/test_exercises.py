"""Every exercise is proven: what is right passes, what is wrong is rejected for the reason it declares."""

import json
import os

import pytest

from mlsys_lib.exercises import chapters
from mlsys_lib.exercises.checker import Exercise, Result, exercise, expect, progress

EXERCISES = [
    pytest.param(e, id=f"{chapter}.{e.name}") for chapter, all_ in chapters().items() for e in all_
]
MISTAKES = [
    pytest.param(e, m, id=f"{chapter}.{e.name}: {m.text}")
    for chapter, all_ in chapters().items()
    for e in all_
    for m in e.mistakes
]


@pytest.mark.parametrize("e", EXERCISES)
def test_the_solution_is_correct(e):
    assert e.check(e.answer).kind == "correct"


@pytest.mark.parametrize("e", EXERCISES)
def test_a_right_answer_in_another_style_is_accepted(e):
    assert e.alternatives, "write at least one differently written right answer"
    for answer in e.alternatives:
        assert e.check(answer).text.startswith("Correct"), answer.__name__


@pytest.mark.parametrize("e", EXERCISES)
def test_the_stub_is_not_started(e, as_typed):
    assert e.check(as_typed(e.stub, e)).kind == "not started"


@pytest.mark.parametrize(("e", "mistake"), MISTAKES)
def test_a_wrong_answer_is_rejected_for_its_declared_reason(e, mistake):
    result = e.check(e.wrong(mistake))
    assert result.kind in ("not yet", "raised")
    assert result.claim == mistake.fails, result.text


@pytest.mark.parametrize("e", EXERCISES)
def test_every_claim_catches_at_least_one_mistake(e):
    assert len(e.mistakes) >= 3
    assert set(e.claims) == {m.fails for m in e.mistakes}


@pytest.mark.parametrize("e", EXERCISES)
def test_there_are_three_hints_and_a_statement(e):
    assert len(e.hints) >= 3
    assert len(e.answer.__doc__) > 80


@pytest.fixture
def as_typed(tmp_path):
    """A function as a reader types it: its source can be read back from a file."""

    def make(source: str, e: Exercise):
        file = tmp_path / f"{e.name}.py"
        file.write_text(source)
        scope = dict(e.answer.__globals__)
        exec(compile(source, str(file), "exec"), scope)
        return scope[e.name]

    return make


def doubled(x):
    """Twice x: the number that stands two steps of x away from zero, on the same side as x itself."""
    y = x + x  # blank
    return y


@pytest.fixture
def twice() -> Exercise:
    made = exercise(hints=["a", "b", "c"])(doubled)

    @made.claim("twice 3 is 6")
    def three(answer):
        expect(answer(3), 6)

    return made


def test_a_wrong_value_shows_the_claim_the_call_and_both_values(twice):
    assert twice.check(lambda x: x**2).text == (
        "Not yet: twice 3 is 6.\n  called    doubled(3)\n  expected  6\n  got       9"
    )


def test_an_error_in_the_answer_names_the_readers_own_line(twice):
    def mine(x):
        y = x * 2
        return y / 0

    result = twice.check(mine)
    assert result.kind == "raised"
    assert (
        "ZeroDivisionError" in result.text
        and "line 3 of your function: return y / 0" in result.text
    )


def test_an_error_in_the_claim_is_the_checkers_fault(twice):
    @twice.claim("nothing")
    def broken(answer):
        raise RuntimeError("the claim is wrong")

    assert twice.check(lambda x: 2 * x).kind == "broken"


def test_an_answer_of_another_kind_is_not_yet_right_and_no_fault_of_the_checkers(twice):
    @twice.claim("the double is a whole number")
    def whole(answer):
        expect(answer(3).bit_length(), 3)

    result = twice.check(lambda x: 2.0 * x)
    assert (result.kind, result.claim) == ("not yet", "whole")
    assert "bit_length" in result.text and "6.0" in result.text


def test_an_interrupted_check_judges_nothing(twice):
    def impatient(x):
        raise KeyboardInterrupt

    assert twice.check(impatient).kind == "interrupted"


def test_the_result_of_a_call_is_not_an_answer(twice):
    assert "without calling it" in twice.check(6).text


def test_indexing_with_an_ellipsis_is_not_a_blank(twice):
    def mine(x):
        import numpy as np

        return np.array([2 * x])[..., 0]

    assert twice.check(mine).kind == "correct"


def test_blanks_are_faded_and_the_rest_stays(twice):
    assert twice.stub.splitlines()[2:] == ["    y = ...", "    return y"]
    assert "blank" not in twice.solution_source


def test_hints_go_from_vague_to_concrete_and_stay_at_the_last(twice):
    assert [str(twice.hint())[-1] for _ in range(4)] == ["a", "b", "c", "c"]


def test_progress_is_recorded_only_where_asked_for(twice, tmp_path, monkeypatch):
    monkeypatch.delenv("MLSYS_PROGRESS", raising=False)
    twice.check(lambda x: 2 * x)
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / "progress.json"
    monkeypatch.setenv("MLSYS_PROGRESS", str(file))
    twice.check(lambda x: 2 * x)
    assert progress(file) == ["test_exercises.doubled"]
    assert os.listdir(tmp_path) == ["progress.json"]


def test_an_unreadable_progress_file_is_left_alone_and_said(twice, tmp_path, monkeypatch):
    file = tmp_path / "progress.json"
    file.write_text("not json, but somebody's")
    monkeypatch.setenv("MLSYS_PROGRESS", str(file))
    result = twice.check(lambda x: 2 * x)
    assert result.kind == "correct" and "move it away" in result.text
    assert file.read_text() == "not json, but somebody's"


def test_two_readers_kernels_do_not_lose_each_others_progress(twice, tmp_path, monkeypatch):
    file = tmp_path / "progress.json"
    file.write_text(json.dumps({"solved": ["ch02.other"]}))
    monkeypatch.setenv("MLSYS_PROGRESS", str(file))
    twice.check(lambda x: 2 * x)
    assert progress(file) == ["ch02.other", "test_exercises.doubled"]


def test_a_result_shows_its_text():
    assert repr(Result("correct", "Correct: all 1 claims hold.")) == "Correct: all 1 claims hold."
