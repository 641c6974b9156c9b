"""Every notebook runs with its exercises solved, and every check says so."""

import re
from pathlib import Path

import pytest

from tools import notebooks as tool

NOTEBOOKS = sorted(tool.FOLDER.glob("*.ipynb"))

pytestmark = pytest.mark.weekly


def said(cell):
    """What a cell shows as text, whichever way it shows it."""
    texts = [o.get("text") or o.get("data", {}).get("text/plain") for o in cell.outputs]
    return "\n".join(text for text in texts if text)


def test_there_is_a_notebook():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: Path(path).stem)
def test_the_solved_notebook_runs_and_every_check_says_correct(path):
    notebook = tool.read(path)
    names = []
    for cell, task in tool.stub_cells(notebook):
        cell.source = task.solution_source
        names.append(cell.metadata["exercise"].rpartition(".")[2])
    assert names, "a chapter has exercises"
    tool.execute(notebook, path.parent)
    for name in names:
        call = re.compile(rf"\.{name}\.check\(")
        checks = [c for c in notebook.cells if c.cell_type == "code" and call.search(c.source)]
        assert checks, f"no cell checks {name}"
        for cell in checks:
            assert said(cell).startswith("Correct"), f"{name}: {said(cell)}"
