"""What `make lab` does to the reader's folder, rule by rule."""

import json
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from markdown_it import MarkdownIt
from nbformat.sign import NotebookNotary
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

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


def copy_of(folder, *cells):
    """The cells of a notebook of the course as its copy has them, without the first."""
    (folder / "notebooks").mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=list(cells)), folder / "notebooks" / "a.ipynb")
    version = reader_copies.reader_version(folder / "notebooks" / "a.ipynb", Course())
    return json.loads(version)["cells"][1:]


@pytest.mark.parametrize(
    ("text", "told", "after"),
    [
        ("It rises.\n\n## Next\n\nMore.", "It rises.", "## Next\n\nMore."),
        ("Two findings.\n\n- a\n- b\n\nMore.", "Two findings.\n\n- a\n- b", "More."),
        ("It rises.\n\n```{note}\nA.\n```", "It rises.", "> **Note.** A."),
    ],
)
def test_what_tells_a_predicted_output_is_folded_until_the_reader_wants_it(
    tmp_path, text, told, after
):
    hidden = new_code_cell("surprise()", metadata={"tags": ["hide-output"]})
    cells = copy_of(tmp_path, hidden, new_markdown_cell(text), new_markdown_cell("It rises."))
    assert "".join(cells[1]["source"]) == (
        f"<details>\n<summary><b>What it shows</b></summary>\n\n{told}\n\n</details>\n\n{after}"
    )
    assert cells[2]["source"] == ["It rises."]


def test_a_heading_or_box_after_a_predicted_output_stays_open(tmp_path):
    hidden = new_code_cell("surprise()", metadata={"tags": ["hide-output"]})
    for text in ("## Next\n\nIt rises.", "> quoted"):
        assert copy_of(tmp_path, hidden, new_markdown_cell(text))[1]["source"][0] in text


def test_a_picture_comes_along(tmp_path):
    (tmp_path / "line.svg").write_text("<svg/>")
    source = "```{figure} ../line.svg\n:alt: A line.\n```\n\n![b](https://example.org/b.png)"
    (cell,) = copy_of(tmp_path, new_markdown_cell(source))
    assert "".join(cell["source"]) == (
        "![A line.](attachment:line.svg)\n\n![b](https://example.org/b.png)"
    )
    assert cell["attachments"] == {"line.svg": {"image/svg+xml": "PHN2Zy8+"}}


# What the first cell says


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """What the first cell prints, under an address of the repository and in a front end."""

    def said(address="", installed=False, colab=False, **names):
        (tmp_path / "_config.yml").write_text(f'repository:\n  url: "{address}"\n  branch: main\n')
        if not installed:
            monkeypatch.setitem(sys.modules, "mlsys_lib", None)
        if colab:
            monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
        cell = reader_copies.first_cell(tmp_path / "_config.yml")
        exec("".join(cell["source"]), names)
        return capsys.readouterr().out

    return said


def test_the_first_cell_is_silent_where_the_course_is_installed(said):
    assert said(installed=True) == ""
    assert said(installed=True, colab=True) == ""


@pytest.mark.parametrize(
    ("front_end", "remedy"),
    [
        ({}, "`make lab`"),
        ({"__vsc_ipynb_file__": "01.ipynb"}, "`make env`, then choose its .venv as the kernel"),
        ({"colab": True}, "git archive -o course.zip HEAD. Upload course.zip"),
        (
            {"colab": True, "address": "https://github.com/a/b"},
            '%pip install "mlsys-lib[course,serving] @ git+https://github.com/a/b@main"',
        ),
    ],
)
def test_where_the_course_is_missing_one_line_says_what_to_run(said, front_end, remedy):
    text = said(**front_end)
    assert remedy in text
    assert text.count("\n") == 1


# Trust


def test_a_copy_as_handed_out_is_trusted_and_a_changed_one_is_not(
    course, mine, tmp_path, monkeypatch
):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    publish(course, "version 1", "02.ipynb")
    publish(course, "version 1", "03.ipynb")
    hand_out(course, mine)
    for name in ("02.ipynb", "03.ipynb"):
        publish(mine, "from elsewhere", name)
    publish(course, "version 2", "03.ipynb")
    hand_out(course, mine)
    reader_copies.trust(mine)
    with NotebookNotary() as notary:
        trusted = {
            path.name.split(".new")[0]: notary.check_signature(nbformat.read(path, 4))
            for path in mine.glob("*.ipynb")
        }
    assert trusted == {"01.ipynb": True, "02.ipynb": False, "03.ipynb": False, "03": True}


# The copies of the course itself


ROOT = Path(__file__).resolve().parent.parent
COPIES = [*(path.name for path in sorted((ROOT / "notebooks").glob("*.ipynb"))), "glossary.md"]
each_copy = pytest.mark.parametrize("name", COPIES)
each_notebook = pytest.mark.parametrize("name", COPIES[:-1])


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """The reader's folder as the course first hands it out."""
    folder = tmp_path_factory.mktemp("reader") / "my_notebooks"
    hand_out(ROOT / "notebooks", folder)
    return folder


def pages(path):
    """The Markdown of a copy: of each cell, or of the page; with the pictures attached to it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return [(text, [])]
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
    return [("".join(cell["source"]), list(cell.get("attachments", {}))) for cell in cells]


def tokens(markdown):
    """All tokens of plain CommonMark, those inside a line after the one of the line."""
    for token in MarkdownIt("commonmark").parse(markdown):
        yield token
        yield from token.children or []


def left_over(markdown):
    """What only the book could read."""
    lines = [t.content for t in tokens(markdown) if t.type == "inline"]
    code = re.compile(r"(?s)(`+)(?!`).+?(?<!`)\1(?!`)")
    return [
        *(t.info for t in tokens(markdown) if t.type == "fence" and "{" in t.info),
        *(role for line in lines for role in re.findall(r"\{[\w:-]+\}`[^`]*`", line)),
        *(
            rest
            for line in lines
            for rest in re.findall(
                r"(?m)^:::.*|^:[\w-]+:.*|^\([\w-]+\)=.*|\{eval-rst\}", code.sub("", line)
            )
        ),
    ]


@pytest.mark.parametrize(
    "markdown",
    [
        "```{note}\nA\n```", "~~~{eval-rst}\nA\n~~~", ":::{note}\nA\n:::", "{term}`AUC`",
        "a\n:label: b", "(a)=\n# A", "> ```{note}\n> A\n> ```", "- {cite:t}`a`",
    ],
)  # fmt: skip
def test_what_is_left_over_would_be_seen(markdown):
    assert left_over(markdown)


@each_copy
def test_a_copy_read_as_plain_commonmark_holds_no_directive_and_no_role(copies, name):
    assert [left for text, _ in pages(copies / name) for left in left_over(text)] == []


def anchors(path):
    """What a link may name in a copy: JupyterLab's name of each heading."""
    lines = [line for text, _ in pages(path) for line in text.split("\n")]
    return {re.sub(r"^#+ ", "", line).replace(" ", "-") for line in lines if line.startswith("#")}


@each_copy
def test_each_link_in_a_copy_leads_to_a_file_of_the_folder_and_a_place_in_it(copies, name):
    dead = []
    for text, attachments in pages(copies / name):
        for token in tokens(text):
            link = token.attrs.get("href") or token.attrs.get("src") or ""
            url = urlsplit(unquote(link))
            if url.scheme == "attachment":
                found = url.path in attachments
            else:
                file = copies / (url.path or name)
                found = bool(url.scheme) or (
                    file.is_file() and (not url.fragment or url.fragment in anchors(file))
                )
            if not found:
                dead.append(link)
    assert dead == []


def test_each_term_has_one_place_that_github_finds_as_well(copies):
    text = (copies / "glossary.md").read_text(encoding="utf-8")
    places = anchors(copies / "glossary.md")
    assert len(places) == len(re.findall(r"(?m)^#", text))
    # GitHub lowers the letters of a heading and drops its punctuation.
    other = {place for place in places if re.search(r"[^a-z0-9-]", place)} - {"Glossary"}
    assert set(re.findall(r'<a id="([^"]+)">', text)) == other


@each_notebook
def test_an_exercise_has_the_books_number_and_says_where_its_hints_are(copies, name):
    def exercises(path):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [c["metadata"]["exercise"] for c in cells if "exercise" in c["metadata"]]

    digits = name[:2]  # a page with a letter counts on where its chapter ends
    pages_before = [p for p in (ROOT / "notebooks").glob(f"{digits}*.ipynb") if p.name < name]
    earlier = sum(len(exercises(path)) for path in pages_before)
    named = exercises(ROOT / "notebooks" / name)
    text = "\n\n".join(text for text, _ in pages(copies / name))
    boxes = re.findall(r"(?m)^> \*\*Exercise (\w+)\.(\d+) · .+\*\*$", text)
    assert boxes == [(digits.lstrip("0"), str(earlier + i + 1)) for i in range(len(named))]
    hints = re.findall(r"Stuck\? Run `(ch\w+)\.(\w+)\.hint\(\)`", text)
    assert [f"{module}.{exercise}" for module, exercise in hints] == [
        re.sub(r"_.*\.", ".", exercise) for exercise in named
    ]


@each_notebook
def test_formulas_outputs_and_stubs_are_those_of_the_course(copies, name):
    original, copy = (
        json.loads((folder / name).read_text(encoding="utf-8"))["cells"]
        for folder in (ROOT / "notebooks", copies)
    )
    assert len(copy) == len(original) + 1
    for before, after in zip(original, copy[1:], strict=True):
        assert before["id"] == after["id"]
        if before["cell_type"] == "code":
            assert before["source"] == after["source"]
            assert after["outputs"] in ([], before["outputs"])
        else:
            formulas = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL)
            source, text = "".join(before["source"]), "".join(after["source"])
            assert formulas.findall(source) == formulas.findall(text.replace("\n> ", "\n"))
