"""What every stored notebook must hold, before any of them is run."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests import prose_numbers
from tools import notebooks as tool

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|Users|var|usr|opt)/\w|[A-Z]:\\\\")

each_notebook = pytest.mark.parametrize(
    "notebook", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS], indirect=True
)


@pytest.fixture
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [(cell, output) for cell in code(notebook) for output in cell.outputs]


def first_line(cell):
    return cell.source.split("\n")[0]


def stated_constants():
    lines = (ROOT / "tests" / "stated_constants.txt").read_text().splitlines()
    pairs = [line.split("#", 1) for line in lines if not line.startswith("#")]
    assert all(len(pair) == 2 and pair[1].strip() for pair in pairs), "a reason each"
    return [constant.strip() for constant, _ in pairs]


def test_there_is_a_notebook():
    assert NOTEBOOKS


@each_notebook
def test_every_code_cell_was_run(notebook):
    never = [first_line(cell) for cell in code(notebook) if not cell.execution_count]
    assert never == []


@each_notebook
def test_cells_were_run_once_from_top_to_bottom(notebook):
    counts = [cell.execution_count for cell in code(notebook)]
    assert counts == list(range(1, len(counts) + 1))


@each_notebook
def test_no_cell_failed_unless_it_says_so(notebook):
    failed = [
        first_line(cell)
        for cell, output in outputs(notebook)
        if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", [])
    ]
    assert failed == []


@each_notebook
def test_no_cell_writes_to_stderr(notebook):
    assert [o.text for _, o in outputs(notebook) if o.get("name") == "stderr"] == []


@each_notebook
def test_no_path_of_a_machine_is_stored(notebook):
    places = [cell.source for cell in notebook.cells]
    places += [json.dumps(output) for _, output in outputs(notebook)]
    assert [hit[0] for text in places for hit in MACHINE_PATH.finditer(text)] == []


@each_notebook
def test_no_semicolon_hides_an_output(notebook):
    """nbval runs without the history that the semicolon is read from."""
    hidden = [first_line(c) for c in code(notebook) if c.source.rstrip().endswith(";")]
    assert hidden == []


@each_notebook
def test_every_figure_has_alt_text(notebook):
    bare = []
    for cell, output in outputs(notebook):
        settings = cell.metadata.get("mystnb", {})
        if any(kind.startswith("image/") for kind in output.get("data", {})) and not (
            settings.get("image", {}).get("alt") or settings.get("figure")
        ):
            bare.append(first_line(cell))
    assert bare == []


@each_notebook
def test_stub_cells_are_what_the_exercise_derives(notebook):
    stale = [
        cell.metadata["exercise"]
        for cell, task in tool.stub_cells(notebook)
        if cell.source != task.stub
    ]
    assert stale == [], "run `make notebooks`"


def names_read(source):
    """The names that a cell reads, each as often as it does."""
    return [
        node.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    ]


@each_notebook
def test_each_answer_is_checked_once_and_read_by_no_other_cell(notebook):
    """So a notebook runs alike, solved or not: that its checks say Correct, the checks' tests prove."""
    stubs = {cell.id: task.name for cell, task in tool.stub_cells(notebook)}
    others = [cell for cell in code(notebook) if cell.id not in stubs]
    for name in stubs.values():
        readers = [cell.source for cell in others if name in names_read(cell.source)]
        assert len(readers) == 1, (name, readers)
        assert re.fullmatch(rf"ch\d\d\.{name}\.check\({name}\)", readers[0].strip())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_only_chapter_02_reads_the_raw_tables(path):
    """Every other chapter sees the data through the clock."""
    source = "\n".join(cell.source for cell in code(nbformat.read(path, as_version=4)))
    raw = re.findall(r"\bdata\.load\(|from mlsys_lib\.data\b|import mlsys_lib\.data", source)
    assert path.stem.startswith("02_") or raw == []


@each_notebook
def test_the_prose_states_no_number_that_no_output_shows(notebook):
    assert prose_numbers.unsupported(notebook, stated_constants()) == []


def test_every_stated_constant_is_needed():
    texts = [prose_numbers.prose(nbformat.read(path, as_version=4).cells) for path in NOTEBOOKS]
    idle = [c for c in stated_constants() if not any(prose_numbers.stands(c, t) for t in texts)]
    assert idle == []


def a_notebook(markdown, output="", html=""):
    data = {"text/plain": output, "text/html": html}
    shown = new_output("display_data", data)
    return new_notebook(cells=[new_markdown_cell(markdown), new_code_cell("f()", outputs=[shown])])


@pytest.mark.parametrize(
    ("markdown", "output"),
    [
        ("It matches 99.8 % of the rows.", "0.99764"),
        ("It matches 99.8% of the rows.", "99.76"),
        ("Between 79 and 83 % of them.", "0.7912 0.8291"),
        ("All 772,128 flights.", "rows: 772128"),
        ("About 772,000 flights; 0.77 million.", "772,128"),
        ("The AUC is .75, not 0.8.", "auc 0.7512 0.84"),
        ("On 22 April 2013 at 18:51, 12 flights of 2023; the 21st row.", ""),
        ("The 8 to 17 May; from 2013-04-22 10:00 on; at :51 past.", ""),
        ("Call `f(250)`, [see](page-77.md), $x = 33$.\n\n```python\nf(99)\n```", ""),
        ("```{admonition} A note\n:class: tip-55\nNothing.\n```", ""),
        ("Carrier B6, flight UA1545, chapter ch02.", ""),
    ],
)
def test_a_number_that_an_output_shows_may_stand_in_the_prose(markdown, output):
    assert prose_numbers.unsupported(a_notebook(markdown, output)) == []


@pytest.mark.parametrize(
    ("markdown", "output", "missing"),
    [
        ("It matches 99.7 % of the rows.", "0.99764", ["99.7 %"]),
        ("The AUC is 0.751.", "0.75", ["0.751"]),
        ("All 772,128 flights.", "772,000", ["772,128"]),
        ("It took 340 ms.", "on 2013-03-04 at 03:40, figure 355", ["340"]),
        ("```{admonition} A note\nIt is 55 now.\n```", "", ["55"]),
        ("Between 13 and 14, or 40x.", "13", ["14", "40"]),
        ("It is 31.", "", ["31"]),
    ],
)
def test_a_number_that_no_output_shows_is_reported(markdown, output, missing):
    assert prose_numbers.unsupported(a_notebook(markdown, output)) == missing


def test_a_table_counts_as_shown_and_a_picture_does_not():
    table = a_notebook("It is 0.25.", html="<style>a{b:31}</style><td>0.2512</td>")
    assert prose_numbers.unsupported(table) == []
    picture = a_notebook("It is 31.")
    picture.cells[1].outputs[0].data["image/svg+xml"] = "<text>31</text>"
    assert prose_numbers.unsupported(picture) == ["31"]


def test_a_stated_constant_is_free():
    notebook = a_notebook("Late is 15 minutes or more; 15 times the size is a result.")
    assert prose_numbers.unsupported(notebook) == ["15", "15"]
    assert prose_numbers.unsupported(notebook, ["15 minutes"]) == ["15"]


def stored(path, *cells):
    nbformat.write(new_notebook(cells=list(cells)), path)
    return path.read_bytes()


def test_a_run_stores_outputs_and_a_second_run_changes_nothing(tmp_path, capsys):
    path = tmp_path / "a.ipynb"
    stored(path, new_code_cell("6 * 7"), new_markdown_cell("text"))
    tool.run(path)
    once = path.read_bytes()
    tool.run(path)
    assert path.read_bytes() == once
    assert b'"42"' in once
    assert "cell 1/2  6 * 7" in capsys.readouterr().out


def test_a_failing_cell_leaves_the_notebook_as_it_was(tmp_path):
    path = tmp_path / "a.ipynb"
    before = stored(path, new_code_cell("x = 1"), new_code_cell("x / 0"))
    with pytest.raises(SystemExit, match="ZeroDivisionError"):
        tool.run(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.ipynb"]


def test_cells_keep_their_ids_and_new_ones_get_stable_ids(tmp_path):
    path = tmp_path / "a.ipynb"
    stored(path, new_code_cell("1", id="mine"), new_code_cell("2"))
    content = json.loads(path.read_text())
    del content["cells"][1]["id"]
    path.write_text(json.dumps(content))
    first, second = (cell.id for cell in tool.read(path).cells)
    assert first == "mine"
    assert second == tool.read(path).cells[1].id


def test_sync_fills_the_stub_cells(tmp_path, monkeypatch):
    class Task:
        stub = "def f():\n    ..."

    monkeypatch.setattr(
        tool, "exercise", lambda cell: Task if "exercise" in cell.metadata else None
    )
    path = tmp_path / "a.ipynb"
    stub = new_code_cell("old", metadata={"exercise": "ch99_x.f"})
    stored(path, stub, new_code_cell("other"))
    tool.sync(path)
    assert [cell.source for cell in tool.read(path).cells] == [Task.stub, "other"]


@each_notebook
def test_code_is_no_wider_than_the_page(notebook):
    wide = [line for cell in code(notebook) for line in cell.source.splitlines() if len(line) > 80]
    assert wide == []
