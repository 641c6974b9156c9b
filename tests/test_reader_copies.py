"""What `make lab` does to the reader's folder, rule by rule."""

import json
import os

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tools import reader_copies
from tools.plain_markdown import Course
from tools.reader_copies import MANIFEST, hand_out


@pytest.fixture
def course(tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    publish(folder, "version 1")
    return folder


@pytest.fixture
def mine(tmp_path):
    return tmp_path / "my_notebooks"


def publish(folder, text, name="01.ipynb"):
    """Write a notebook of the course whose only cell shows `text`."""
    cell = new_code_cell("show()", id="a", execution_count=1)
    cell.outputs = [new_output("stream", text=text)]
    nbformat.write(new_notebook(cells=[cell]), folder / name)


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)


def test_a_notebook_that_the_reader_has_not_got_is_handed_out(course, mine):
    said = hand_out(course, mine)
    assert files(mine) == ["01.ipynb"]
    assert said == [f"new: {mine / '01.ipynb'}"]


def test_nothing_new_does_nothing(course, mine):
    hand_out(course, mine)
    before = {path: path.stat().st_mtime_ns for path in mine.glob("*.ipynb")}
    assert hand_out(course, mine) == []
    assert {path: path.stat().st_mtime_ns for path in mine.glob("*.ipynb")} == before


def test_a_copy_as_handed_out_is_refreshed(course, mine):
    hand_out(course, mine)
    publish(course, "version 2")
    assert hand_out(course, mine) == [f"refreshed: {mine / '01.ipynb'}"]
    assert "version 2" in (mine / "01.ipynb").read_text()
    assert files(mine) == ["01.ipynb"]


def test_the_readers_work_stays_and_the_new_version_lies_beside_it(course, mine):
    hand_out(course, mine)
    (mine / "01.ipynb").write_text("my work")
    assert hand_out(course, mine) == []  # nothing new from the course: nothing said
    publish(course, "version 2")
    (said,) = hand_out(course, mine)
    kept, new = files(mine)
    assert (mine / kept).read_text() == "my work"
    assert "version 2" in (mine / new).read_text()
    assert said.startswith("kept yours")
    assert new in said
    hand_out(course, mine)
    assert files(mine) == [kept, new]


def test_a_file_that_was_never_handed_out_is_the_readers(course, mine):
    mine.mkdir()
    (mine / "01.ipynb").write_text("from elsewhere")
    hand_out(course, mine)
    assert (mine / "01.ipynb").read_text() == "from elsewhere"
    assert len(files(mine)) == 2


def test_work_in_the_new_version_beside_is_never_overwritten(course, mine):
    hand_out(course, mine)
    (mine / "01.ipynb").write_text("my work")
    publish(course, "version 2")
    hand_out(course, mine)
    (beside,) = mine.glob("*.new-*.ipynb")
    beside.write_text("more work")
    hand_out(course, mine)
    assert beside.read_text() == "more work"


def test_a_corrupt_manifest_stops_with_advice_and_touches_nothing(course, mine):
    hand_out(course, mine)
    (mine / "01.ipynb").write_text("my work")
    (mine / MANIFEST).write_text("{ torn")
    with pytest.raises(SystemExit, match="Delete that file"):
        hand_out(course, mine)
    (mine / MANIFEST).unlink()
    hand_out(course, mine)
    assert (mine / "01.ipynb").read_text() == "my work"


def test_a_corrupt_course_notebook_stops_before_anything_is_copied(course, mine):
    (course / "02.ipynb").write_text("{ torn")
    with pytest.raises(SystemExit, match=r"git checkout -- notebooks/02\.ipynb"):
        hand_out(course, mine)
    assert not mine.exists()


def test_an_interrupted_write_leaves_the_old_file(course, mine, monkeypatch):
    hand_out(course, mine)
    before = (mine / "01.ipynb").read_bytes()
    publish(course, "version 2")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        hand_out(course, mine)
    assert (mine / "01.ipynb").read_bytes() == before


def test_outputs_after_a_prediction_and_answers_to_exercises_are_stripped(tmp_path):
    shown = [new_output("stream", text="seen")]
    cells = [
        new_code_cell("plain()"),
        new_code_cell("surprise()", metadata={"tags": ["hide-output"]}),
        new_code_cell("def f(): ...", metadata={"exercise": "ch02.f"}),
        new_code_cell("ch02.f.check(f)"),
    ]
    for cell in cells:
        cell.outputs = shown
    nbformat.write(new_notebook(cells=cells), tmp_path / "a.ipynb")
    copy = json.loads(reader_copies.reader_version(tmp_path / "a.ipynb", Course()))
    assert [len(cell["outputs"]) for cell in copy["cells"][1:]] == [1, 0, 0, 0]
    nbformat.validate(copy)
