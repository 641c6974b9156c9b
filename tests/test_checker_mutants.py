"""The tool that derives wrong answers: what it changes, and that none of them gets away."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlsys_lib.exercises.checker import Exercise, exercise, expect
from tools import mutants as tool

SOURCE = '''
def late_days(rows, limit, least=2):
    """The days with enough late flights."""
    kept = []
    for day, late in sorted(rows.groupby("day").late.mean().items()):
        if late >= limit and not rows.empty:
            kept.append(day)
    return kept[least:]
'''


@pytest.mark.parametrize(
    "line",
    [
        "if late > limit and (not rows.empty):",
        "if late < limit and (not rows.empty):",
        "if late >= limit or not rows.empty:",
        "if late >= limit and rows.empty:",
        "if late >= limit:",
        "if True:",
        "for day, late in rows.groupby('day').late.mean().items():",
        "for day, late in sorted(rows.groupby('day').late.median().items()):",
        "pass",
        "return kept[:]",
        "def late_days(rows, limit, least=3):",
        "if late >= least and (not rows.empty):",
    ],
)
def test_a_change_of_each_kind_is_made(line):
    made = [{*map(str.strip, text.splitlines())} for text in tool.mutants(SOURCE)]
    assert any(line in lines for lines in made)


def test_no_mutant_comes_twice_or_is_the_source_and_all_can_be_read():
    made = list(tool.mutants(SOURCE))
    assert len(made) == len(set(made)) > 15
    assert tool.ast.unparse(tool.bare(SOURCE)) not in made
    for text in made:
        compile(text, "mutant", "exec")


def test_casts_and_copies_are_left_alone():
    source = "def f(x):\n    return float(x.copy())"
    assert list(tool.mutants(source)) == []


def judged(*texts: str) -> list[str]:
    """What is said of answers to an exercise of chapter 01, by one process."""
    from mlsys_lib.exercises import ch01_framing as ch01

    score = tool.Score("ch01_framing", ch01.best_threshold)
    score.tasks = [tool.Task("ch01_framing", "best_threshold", text, score) for text in texts]
    tool.judge([score], workers=1, seconds=8)
    return [score.right.said, *(task.said for task in score.tasks)]


def test_what_never_ends_takes_all_memory_or_ends_the_process_stops_no_other():
    head = "def best_threshold(costs):\n    "
    assert judged(
        f"{head}while True: pass",
        f"{head}return [0] * 10 ** 12",
        f"{head}import os; os._exit(0)",
        f"{head}return 0.5",
    ) == ["correct", "never ended", "raised", "ended the process", "not yet"]


@pytest.fixture
def toy() -> Exercise:
    """Its claim does not tell `<` from `<=`."""

    def below(x, limit):
        """Whether x is below the limit, which is True or False and nothing else, for any two numbers."""
        return x < limit

    task = exercise(hints=["a"])(below)

    @task.claim("one is below two")
    def one(answer):
        expect([answer(1, 2), answer(2, 1)], [True, False])

    return task


def scored(toy: Exercise) -> tool.Score:
    score = tool.Score("toy", toy)
    for task in [score.right, *score.tasks]:
        task.said = toy.judge(toy.defined(task.text), shrink=False).kind
    return score


def test_a_survivor_is_shown_as_the_line_that_it_changes(toy, capsys):
    score = scored(toy)
    score.report()
    assert not score.is_whole
    assert "    -    return x < limit\n    +    return x <= limit\n" in capsys.readouterr().out


def test_an_argued_equivalent_is_left_alone_and_one_that_is_rejected_is_not(toy):
    toy.equivalent("the statement does not say", old="x < limit", new="x <= limit")
    assert scored(toy).is_whole
    toy.equivalent("it says so", old="x < limit", new="x > limit")
    assert [e.reason for e in scored(toy).stale] == ["it says so"]


def test_what_is_left_out_for_time_is_said_and_is_neither_killed_nor_alive(toy, capsys):
    toy.equivalent("the statement does not say", old="x < limit", new="x <= limit")
    score = scored(toy)
    for task in score.tasks:
        task.said = tool.LEFT_OUT
    score.report()
    assert score.is_whole
    assert f", 0 killed (0 never ended), 0 equivalent, 0 alive, {len(score.tasks)} left out" in (
        capsys.readouterr().out
    )


def test_after_the_limit_only_the_solutions_are_judged():
    from mlsys_lib.exercises import ch01_framing as ch01

    score = tool.Score("ch01_framing", ch01.metric)
    tool.judge([score], workers=1, seconds=8, limit=0)
    assert score.right.said == "correct"
    assert {task.said for task in score.tasks} == {tool.LEFT_OUT}


def test_only_chapters_that_differ_from_a_commit_are_scored(monkeypatch, tmp_path):
    def git(*command):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)

    folder = tmp_path / "mlsys_lib" / "exercises"
    folder.mkdir(parents=True)
    for name in ("ch01_framing", "ch02_data_engineering", "checker"):
        (folder / f"{name}.py").write_text("")
    git("init", "-q")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "all")
    for name in ("ch02_data_engineering", "checker"):
        (folder / f"{name}.py").write_text("changed = True")
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    assert tool.changed_chapters("HEAD") == {"ch02"}


def test_the_command_scores_one_exercise_and_knows_no_other():
    command = [sys.executable, "-W", "ignore", str(Path(tool.__file__))]
    done = subprocess.run([*command, "ch01.metric"], capture_output=True, text=True)
    assert done.returncode == 0 and " mutants, 0 alive" in done.stdout
    wrong = subprocess.run([*command, "ch99"], capture_output=True, text=True)
    assert wrong.returncode == 1 and "ch99" in wrong.stderr
