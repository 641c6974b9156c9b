"""Every exercise is proven: what is right passes, what is wrong is rejected for the reason it declares."""

import pytest

from mlsys_lib.exercises import cases, chapters
from mlsys_lib.exercises.checker import Exercise

ALL = [(chapter, e) for chapter, all_ in chapters().items() for e in all_]
EXERCISES = [pytest.param(e, id=f"{chapter}.{e.name}") for chapter, e in ALL]
MISTAKES = [
    pytest.param(e, m, id=f"{chapter}.{e.name}: {m.text}") for chapter, e in ALL for m in e.mistakes
]
GENERATED = [
    pytest.param(e, g, id=f"{chapter}.{e.name}.{name}")
    for chapter, e in ALL
    for name, g in e.cases.items()
]
CHOICES = [pytest.param(e, id=f"{chapter}.{e.name}") for chapter, e in ALL if e.options]


@pytest.mark.parametrize("e", EXERCISES)
def test_the_solution_is_correct(e):
    assert e.judge(e.answer).kind == "correct"


@pytest.mark.parametrize("e", EXERCISES)
def test_a_right_answer_in_another_style_is_accepted(e):
    assert e.alternatives, "write at least one differently written right answer"
    for answer in e.alternatives:
        assert e.judge(answer).text.startswith("Correct"), answer.__name__


@pytest.mark.parametrize("e", EXERCISES)
def test_the_stub_is_not_started(e, as_typed):
    assert e.judge(as_typed(e.stub, e)).kind == "not started"


@pytest.mark.parametrize(("e", "mistake"), MISTAKES)
def test_a_wrong_answer_is_rejected_for_its_declared_reason(e, mistake):
    result = e.judge(e.wrong(mistake))
    assert result.kind in ("not yet", "raised")
    assert result.claim == mistake.fails, result.text


@pytest.mark.parametrize("e", EXERCISES)
def test_every_claim_catches_at_least_one_mistake(e):
    assert len(e.mistakes) >= 3
    assert {*e.claims} <= {m.fails for m in e.mistakes} <= {*e.claims, *e.cases}


@pytest.mark.parametrize("e", EXERCISES)
def test_there_are_three_hints_and_a_statement(e):
    assert len(e.hints) >= 3
    assert len(e.answer.__doc__) > 80


@pytest.mark.parametrize(("e", "generated"), GENERATED)
def test_generated_cases_are_some_dozens_and_the_same_each_time(e, generated):
    again = cases.drawn(generated.make, generated.count)
    assert len(again) >= 20
    assert repr(again) == repr([case for case, _ in generated.known()])


@pytest.mark.parametrize(("e", "generated"), GENERATED)
def test_marks_hold_for_some_cases_and_not_for_all(e, generated):
    known = [case for case, _ in generated.known()]
    for said, holds in generated.marks.items():
        found = {bool(holds(*case.args, **case.kwargs)) for case in known}
        assert found == {True, False}, said


@pytest.mark.parametrize("e", CHOICES)
def test_all_wrong_combinations_are_rejected_with_the_reason_of_the_first_wrong_choice(e):
    for chosen, question, reason in e.wrong_choices():
        result = e.judge(lambda chosen=chosen: chosen)
        assert (result.kind, result.claim) == ("not yet", question)
        assert reason in result.text


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
