"""What is recorded of a reader's progress, by whom, and what is said where it is not."""

import json
import multiprocessing
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from mlsys_lib.exercises import certificate, chapters, progress, record
from mlsys_lib.exercises.checker import Exercise, exercise, expect

ALL = [f"{chapter}.{e.name}" for chapter, all_ in chapters().items() for e in all_]


@pytest.fixture
def task() -> Exercise:
    @exercise(hints=["a", "b", "c"])
    def half(x):
        """Half of x."""
        return x / 2

    @half.claim("half of 4 is 2")
    def four(answer):
        expect(answer(4), 2)

    return half


@pytest.fixture
def file(tmp_path, monkeypatch):
    """The record, as `make lab` names it."""
    monkeypatch.setenv("MLSYS_PROGRESS", str(tmp_path / "progress.json"))
    return tmp_path / "progress.json"


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """No record named, in a folder of no reader."""
    monkeypatch.delenv("MLSYS_PROGRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_solved_and_what_was_tried_is_recorded(task, file):
    task.check(lambda x: x)
    assert record.read(file) == {"solved": [], "tried": ["test_checker_record.half"]}
    task.check(lambda x: x / 2)
    assert record.read(file)["solved"] == ["test_checker_record.half"]


def test_outside_of_a_readers_folder_nothing_is_recorded_and_that_is_said(task, outside):
    assert "Not recorded" in task.check(lambda x: x / 2).text
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("below", [".", "week 2/again"])
def test_in_a_readers_folder_progress_is_recorded_without_make_lab(
    task, outside, monkeypatch, below
):
    folder = outside / "my_notebooks" / below
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert task.check(lambda x: x / 2).text == "Correct: all 1 claims hold."
    kept = record.read(outside / "my_notebooks" / "progress.json")
    assert kept["solved"] == ["test_checker_record.half"]


def test_an_unreadable_record_is_left_alone_and_said(task, file):
    file.write_text("not json, but somebody's")
    result = task.check(lambda x: x / 2)
    assert result.kind == "correct" and "move it away" in result.text
    assert file.read_text() == "not json, but somebody's"


def test_a_folder_that_is_gone_is_said(task, file, monkeypatch):
    monkeypatch.setenv("MLSYS_PROGRESS", str(file.parent / "gone" / "progress.json"))
    result = task.check(lambda x: x / 2)
    assert result.kind == "correct" and "Not recorded" in result.text


def solve(who):
    return [record.note(f"chapter{who}.e{n}", solved=True) for n in range(25)]


def test_kernels_that_solve_at_once_lose_nothing(file):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        said = pool.map(solve, [1, 2])
    assert said == [[""] * 25] * 2
    assert len(record.read(file)["solved"]) == 50


def test_a_record_of_an_earlier_version_is_read_on(task, file):
    file.write_text(json.dumps({"solved": ["ch02.other"]}))
    task.check(lambda x: x / 2)
    assert record.read(file)["solved"] == ["ch02.other", "test_checker_record.half"]


def test_progress_lists_what_is_solved_tried_and_not_begun_and_names_the_next(file):
    file.write_text(json.dumps({"solved": ALL[:1], "tried": ALL[1:2]}))
    shown = progress()
    assert shown.next == ALL[1]
    lines = repr(shown).splitlines()
    assert lines[0] == "ch01_framing  1 of 4 solved"
    assert lines[1:4] == ["  [x] expected_cost", "  [/] best_threshold", "  [ ] worth_building"]
    assert lines[-1] == f"Next: {ALL[1]}"


def test_a_certificate_is_written_once_all_is_solved_and_never_over_a_file(file, tmp_path):
    page = tmp_path / "certificate.html"
    file.write_text(json.dumps({"solved": ALL[:-1]}))
    with pytest.raises(ValueError, match=ALL[-1]):
        certificate("Ada", file=page)
    assert not page.exists()
    file.write_text(json.dumps({"solved": ALL}))
    assert certificate("Ada <Lovelace>", file=page) == page
    text = page.read_text(encoding="utf-8")
    assert "Ada &lt;Lovelace&gt;" in text and f"{date.today():%Y}" in text and "<html" in text
    assert all(name.partition(".")[2] in text for name in ALL)
    with pytest.raises(FileExistsError, match="stays as it is"):
        certificate("Grace", file=page)
    assert page.read_text(encoding="utf-8") == text


def test_without_a_name_the_certificate_bears_none():
    whole = record.Progress({"ch01": ["a"]}, frozenset({"ch01.a"}))
    assert "class='who'" not in record.certified(whole, "", date(2026, 5, 1))
    assert "01 May 2026" in record.certified(whole, "", date(2026, 5, 1))


def test_the_command_shows_progress_and_refuses_an_early_certificate(file):
    command = [sys.executable, "-m", "mlsys_lib.exercises"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert f"Next: {ALL[0]}" in shown.stdout
    early = subprocess.run([*command, "certificate"], capture_output=True, text=True)
    assert early.returncode == 1 and ALL[0] in early.stderr and "Traceback" not in early.stderr
