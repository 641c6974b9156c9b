"""A copy as the reader works on it: in JupyterLab, as `make lab` opens it, in a browser."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="the browser tests need the extra 'test'")
pytest.importorskip("jupyterlab", reason="JupyterLab comes with the extra 'course'")
from playwright.sync_api import expect, sync_playwright
from test_browser import CHROMIUM, FLAGS, HOW

from mlsys_lib.exercises import ch01_framing
from tools.reader_copies import hand_out, trust

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ROOT / "tools" / "lab"
TOKEN = "only-for-this-test"
SECONDS = 40  # how long a slow machine may take for one step

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab with the settings of `make lab`, on fresh copies."""
    folder = tmp_path_factory.mktemp("lab")
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "MLSYS_PROGRESS": "progress.json",
    }
    environment = {name: str(folder / path) for name, path in own.items()}
    environment |= {"JUPYTER_CONFIG_PATH": str(SETTINGS), "PYTHONPATH": str(ROOT)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        hand_out(ROOT / "notebooks", folder / "my_notebooks")
        trust(folder / "my_notebooks")
        command = [sys.executable, "-m", "jupyterlab", str(folder / "my_notebooks"), "--no-browser"]
        options = ["--ServerApp.port=0", f"--IdentityProvider.token={TOKEN}", "--allow-root"]
        with (
            open(folder / "log", "w") as log,
            subprocess.Popen([*command, *options], stdout=log, stderr=log) as server,
        ):
            try:
                yield address(folder / "runtime", server)
            finally:
                server.terminate()


def address(runtime, server):
    """Where the server says that it listens."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and server.poll() is None:
        for said in runtime.glob("jpserver-*.json"):
            return f"http://127.0.0.1:{json.loads(said.read_text())['port']}"
        time.sleep(0.1)
    pytest.fail(f"JupyterLab does not start: {(runtime.parent / 'log').read_text()}")


@pytest.fixture
def page(lab):
    """The first chapter's copy, opened; whatever goes wrong meanwhile fails the test at its end."""
    if CHROMIUM is None:
        pytest.fail(HOW) if os.environ.get("CI") else pytest.skip(HOW)
    complaints = []

    def note(what, is_wrong):
        return complaints.append(what) if is_wrong else None

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(1000 * SECONDS)
        page.on("console", lambda m: note(m.text, m.type == "error"))
        page.on("pageerror", lambda error: note(str(error), True))
        page.on("response", lambda r: note(f"{r.status}: {r.url}", r.status >= 400))
        own = (lab, "data:", "blob:")
        page.on("request", lambda r: note(f"foreign: {r.url}", not r.url.startswith(own)))
        page.goto(f"{lab}/lab/tree/01_framing.ipynb?token={TOKEN}")
        page.locator(".jp-Notebook h1").wait_for()
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        yield page
        browser.close()
    assert complaints == []


def figures(folder):
    """How many figures the first chapter shows that nobody is to predict."""
    cells = json.loads((folder / "01_framing.ipynb").read_text(encoding="utf-8"))["cells"]
    shown = [cell for cell in cells if "hide-output" not in cell["metadata"].get("tags", [])]
    outputs = [output for cell in shown for output in cell.get("outputs", [])]
    data = [output.get("data", {}) for output in outputs]
    sliders = ['class="explorer"' in "".join(one.get("text/html", "")) for one in data]
    count = sum("image/svg+xml" in one for one in data) + sum(sliders)
    assert count
    return count


def cell(page, beginning):
    """The cell of code whose first line begins with this."""
    line = page.locator(".cm-line:first-child", has_text=re.compile(f"^{re.escape(beginning)}"))
    return page.locator(".jp-Notebook .jp-CodeCell").filter(has=line)


def run(page, beginning, source=None):
    """Run a cell, with `source` in place of what it holds."""
    cell(page, beginning).locator(".cm-content").click()
    if source:
        page.keyboard.press("Control+A")
        page.keyboard.insert_text(source)
    page.keyboard.press("Shift+Enter")


def test_make_lab_opens_jupyterlab_with_these_settings_before_the_readers_own():
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\nlab:")[1].split("\n\n")[0]
    (given,) = re.findall(r'JUPYTER_CONFIG_PATH="([^"]+)"', recipe)
    shell = given.replace("$(CURDIR)", str(ROOT)).replace("$$", "$")
    for own, path in (("", f"{SETTINGS}"), ("/own", f"{SETTINGS}:/own")):
        environment = os.environ | {"JUPYTER_CONFIG_PATH": own}
        command = ["sh", "-c", f'printf %s "{shell}"']
        assert subprocess.check_output(command, env=environment, text=True) == path


def test_a_reader_finds_a_chapter_that_reads_well_and_solves_an_exercise(page, lab):
    notebook = page.locator(".jp-Notebook")
    assert page.locator(".jp-mod-dirty").count() == 0, "opening it must not change it"

    # What is read: words, figures and links, and nothing that only the book can read.
    expect(notebook.locator("h2", has_text="Further")).to_be_attached()  # rendered to its end
    text = "\n".join(notebook.locator(".jp-MarkdownOutput").all_text_contents())
    assert "Incident. 1 May 2013." in text
    assert "Exercise 1.1 · Expected cost" in text
    assert re.findall(r"(?m)```|:::|\{[\w:-]+\}\w|^:\w+:|\$", text) == []
    expect(notebook.locator(".jp-RenderedSVG, .explorer img")).to_have_count(
        figures(ROOT / "notebooks")
    )
    assert notebook.locator("mjx-container").count() > 2
    answers = notebook.locator("details", has_text="Answers")
    assert not answers.locator("li").first.is_visible()
    answers.locator("summary").click()
    assert answers.locator("li").first.is_visible()
    links = notebook.locator(".jp-MarkdownOutput a:not(.jp-InternalAnchorLink)")
    own = [x for x in links.evaluate_all("all => all.map(a => a.href)") if x.startswith(lab)]
    assert len(own) > 4
    assert [link for link in own if not page.request.get(link).ok] == []

    assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0

    # What is done: the first exercise, not at all, wrongly, then rightly.
    exercise = ch01_framing.expected_cost
    mistake = exercise.mistakes[0]
    wrong = exercise.solution_source.replace(mistake.old, mistake.new)
    run(page, "import math")
    for answer, says in (
        (None, "Not started"),
        (wrong, "Not yet"),
        (exercise.solution_source, "Correct"),
    ):
        run(page, "def expected_cost", answer)
        run(page, "ch01.expected_cost.check")
        check = cell(page, "ch01.expected_cost.check").locator(".jp-Cell-outputArea")
        expect(check).to_contain_text(says, timeout=1000 * SECONDS)

    # A term leads to its entry, in a page of the same JupyterLab.
    notebook.get_by_role("link", name="label maturity").click()
    page.locator(".jp-MarkdownViewer [data-jupyter-id=label-maturity]").wait_for()
    page.wait_for_function(
        "() => Math.abs(document.querySelector('.jp-MarkdownViewer [data-jupyter-id=label-maturity]')"
        ".getBoundingClientRect().top - document.querySelector('.jp-MarkdownViewer')"
        ".getBoundingClientRect().top) < 40"
    )
