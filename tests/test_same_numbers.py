"""On a Python newer than the course's, the notebooks show the numbers that are stored.

There pandas and numpy print some things otherwise, so outputs are not compared to the letter
as nbval does it on Python 3.11 and 3.12, but number by number, in their order. What may differ
stands in tests/excused_on_newer.txt, each cell with its reason.
"""

import re
import sys
from itertools import zip_longest
from pathlib import Path

import pytest

from tools import notebooks as tool
from tools import setup_env

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(tool.FOLDER.glob("*.ipynb"))
EXCUSED = dict(
    re.findall(
        r"^([^#\s]\S* \S+) +# (.+)$", (ROOT / "tests/excused_on_newer.txt").read_text(), re.M
    )
)
# How a library names its types and where an object lies are no results: "np.float64(0.3)" is 0.3.
NO_RESULT = re.compile(
    r"\b(?:np\.|numpy\.)?(?:u?int|float|datetime|timedelta|complex|bool)\d+(?:\[\w+\])?"
    r"|\bat 0x[0-9a-f]+\b"
)
NUMBER = re.compile(r"(?<![\w.])[-−+]?(?:\d[\d,]*)?\.?\d+(?:[eE][-+]?\d+)?")


def shown(cell, *, stream="stdout"):
    """All that a cell shows as text: results, tables, errors, and one of its streams."""
    texts = []
    for output in cell.get("outputs", []):
        if output.get("name", stream) == stream:
            text = output.get("text") or output.get("data", {}).get("text/plain") or ""
            texts += [text, output.get("ename", ""), output.get("evalue", "")]
    return "\n".join(texts)


def numbers(text):
    """The numbers in a text, in their order, as they are written.

    A line that names alibi-detect is what a cell says where that package is left out.
    """
    lines = [line for line in text.splitlines() if "alibi-detect" not in line]
    return NUMBER.findall(NO_RESULT.sub("", "\n".join(lines)))


def differences(stored, fresh):
    """What two runs of a notebook do not share: the first number of a cell, and its warnings."""
    said = []
    for before, after in zip(stored.cells, fresh.cells, strict=True):
        pairs = zip_longest(numbers(shown(before)), numbers(shown(after)), fillvalue="nothing")
        first = next((pair for pair in pairs if pair[0] != pair[1]), None)
        if first and "nbval-ignore-output" not in before.metadata.get("tags", []):
            said.append(f"{before.id}: stored {first[0]}, now {first[1]}")
        warned = shown(after, stream="stderr").strip()
        if warned and not shown(before, stream="stderr").strip():
            said.append(f"{before.id}: now warns: {warned.splitlines()[0]}")
    return said


@pytest.mark.skipif(
    sys.version_info[:2] in setup_env.COURSE_VERSIONS,
    reason="on this Python nbval compares the outputs to the letter",
)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: Path(path).stem)
def test_a_newer_python_shows_the_numbers_that_are_stored(path, monkeypatch):
    monkeypatch.delenv("MPLBACKEND")  # the other tests' setting; a notebook draws inline
    stored, fresh = tool.read(path), tool.read(path)
    tool.execute(fresh, path.parent)
    found = differences(stored, fresh)
    found = [line for line in found if f"{path.stem} {line.split(':')[0]}" not in EXCUSED]
    assert not found, "\n".join(found)


def test_every_excuse_is_for_a_cell_that_exists():
    cells = {f"{path.stem} {cell.id}" for path in NOTEBOOKS for cell in tool.read(path).cells}
    assert set(EXCUSED) <= cells


def run_of(*texts, stream="stdout"):
    """A notebook whose cells printed these texts."""
    outputs = [[{"output_type": "stream", "name": stream, "text": text}] for text in texts]
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "source": "", "outputs": output}
        for i, output in enumerate(outputs)
    ]
    return tool.nbformat.from_dict({"cells": cells})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0.3  dtype: float64", "np.float64(0.3)  dtype: float32"),
        ("a   12,345\nName: x, dtype: object", "a  12,345\nName: x, dtype: str"),
        ("2013-04-22 10:00  NaN", "2013-04-22 10:00  nan"),
        ("1.5", "alibi-detect 0.13 is left out on Python 3.13; kept with the course:\n1.5"),
    ],
)
def test_another_way_to_write_a_number_is_no_difference(before, after):
    assert differences(run_of(before), run_of(after)) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0.301", "0.302"),
        ("0.3", "0.30"),
        ("12,345", "12,346"),
        ("-0.5", "0.5"),
        ("−0.5", "0.5"),
        (".5", ".6"),
        ("1e-07", "1e-08"),
        ("1 2 3", "1 2"),
        ("1 2", "2 1"),
        ("10:00", "10:01"),
    ],
)
def test_another_number_is_a_difference(before, after):
    assert len(differences(run_of("7", before), run_of("7", after))) == 1


def test_a_new_warning_is_a_difference_and_its_numbers_are_none():
    quiet, loud = run_of("", stream="stderr"), run_of("cell.py:4: Pandas4Warning", stream="stderr")
    assert differences(quiet, loud) == ["c0: now warns: cell.py:4: Pandas4Warning"]
    assert differences(loud, loud) == differences(loud, quiet) == []
