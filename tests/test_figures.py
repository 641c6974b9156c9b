"""The figures for slides: all that the notebooks show, each with what it says."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from tools.figures import FOLDER, export, figures


def test_each_figure_of_the_notebooks_is_a_picture_with_a_description(tmp_path):
    notebooks = sorted(FOLDER.glob("*.ipynb"))
    count = export(notebooks, tmp_path / "figures")
    written = sorted((tmp_path / "figures").glob("*.svg"))
    shown = sum(
        "image/svg+xml" in output.get("data", {}) or "explorer" in str(output.get("data", {}))
        for path in notebooks
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        for output in cell.get("outputs", [])
    )
    assert len(written) == count == shown > 20
    for path in written:
        assert ElementTree.fromstring(path.read_bytes()).tag.endswith("svg")
    index = (tmp_path / "figures" / "index.md").read_text(encoding="utf-8")
    listed = [line for line in index.splitlines() if line.startswith("- ")]
    assert len(listed) == count
    assert all(len(line.partition("svg`: ")[2]) > 20 for line in listed), "a figure says nothing"


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "index.md").write_text("my slides")
    with pytest.raises(FileExistsError, match="holds other things; name a new folder"):
        export([FOLDER / "01_framing.ipynb"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["index.md"]


def test_a_second_time_replaces_the_first(tmp_path):
    paths = [FOLDER / "01_framing.ipynb"]
    assert export(paths, tmp_path) == export(paths, tmp_path) == len(list(tmp_path.glob("*.svg")))


def test_an_output_without_a_picture_is_none():
    cell = {
        "cell_type": "code",
        "source": "1",
        "metadata": {},
        "outputs": [{"data": {"text/html": "<p>"}}],
    }
    assert list(figures({"cells": [cell]})) == []
