"""The tables that chapter 09 shows where alibi-detect is missing are those that it computes where it is not."""

from pathlib import Path

import nbformat
import pytest

from mlsys_lib.exercises import ch09_monitoring as ch09
from tests import prose_numbers

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", ["defaults", "by day", "online"])  # the others are timed
def test_a_kept_table_is_the_one_that_the_chapter_shows(name, monkeypatch, capsys):
    monkeypatch.setattr(ch09, "find_spec", lambda module: None)
    table = ch09.or_kept(name, pytest.fail)
    assert "kept with the course" in capsys.readouterr().out
    text = ""
    for path in (ROOT / "notebooks").glob("09*_*.ipynb"):
        text += prose_numbers.output_text(nbformat.read(path, as_version=4).cells)
    assert len(table) and all(str(value) in text for value in table.to_numpy().ravel())


def test_a_table_that_is_not_kept_is_refused():
    with pytest.raises(ValueError, match="name='all'"):
        ch09.or_kept("all", pytest.fail)
