"""The built book as files: strict build, links, pictures, downloads, solutions, weight.

How its pages behave when they are opened is in test_browser.py.
"""

import functools
import gzip
import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
import yaml

pytest.importorskip("jupyter_book", reason="the book's tests need the extra 'book'")
from bs4 import BeautifulSoup

ROOT = Path(__file__).parent.parent
HTML = ROOT / "_build" / "html"
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [TOC["root"], *(page["file"] for part in TOC["parts"] for page in part["chapters"])]
# A notebook with a letter, such as 08b, is optional: no exercises, no card on the map.
CHAPTERS = [page for page in PAGES if re.match(r"notebooks/\d+_", page)]
MAX_PAGE_KB = 150  # all that a first visit loads, compressed; without text it is 70

sys.path.append(str(ROOT / "book" / "_ext"))
mathml, repository, slim, solutions, styles = map(
    importlib.import_module, ("mathml", "repository", "slim", "solutions", "styles")
)


def run_build(folder):
    command = [
        sys.executable,
        "-c",
        "from jupyter_book.cli.main import main; main()",
        "build",
        ".",
        "--all",
        "-W",
        "-n",
        "--keep-going",
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@functools.cache
def build_book():
    """Build the book once a session, from nothing, so that no warning hides in an earlier build."""
    shutil.rmtree(HTML, ignore_errors=True)
    return run_build(ROOT)


@functools.cache
def parsed(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="session")
def book():
    result = build_book()
    assert result.returncode == 0, result.stdout + result.stderr
    return {page: parsed(HTML / f"{page}.html") for page in [*PAGES, "search"]}


def resources(page):
    """What the browser loads without being asked: scripts, styles, fonts, pictures."""
    for tag in page.select(
        "script[src], img[src], iframe[src], source[src], audio[src], video[src]"
    ):
        yield tag["src"]
    for tag in page.select("link[href]"):
        if set(tag.get("rel", [])) & {"stylesheet", "preload", "icon", "modulepreload"}:
            yield tag["href"]


def target(page, link):
    """The file that a relative link on a page points at."""
    path = unquote(urlsplit(link).path)
    here = HTML / f"{page}.html"
    return (here.parent / path).resolve() if path else here


def test_the_book_builds_without_a_warning(book):
    assert set(book) == {*PAGES, "search"}


def test_no_page_loads_anything_from_another_host(book):
    foreign = [(p, r) for p, page in book.items() for r in resources(page) if urlsplit(r).netloc]
    assert foreign == []


def test_every_internal_link_leads_to_a_file_and_a_place_in_it(book):
    broken = []
    for name, page in book.items():
        links = [a["href"] for a in page.select("a[href]")] + list(resources(page))
        for link in links:
            if urlsplit(link).scheme or link == "#":
                continue
            file, place = target(name, link), unquote(urlsplit(link).fragment)
            found = file.is_file()
            if found and place and file.suffix == ".html":
                found = parsed(file).find(id=place) is not None
            if not found:
                broken.append((name, link))
    assert broken == []


def test_no_link_points_at_somebody_elses_repository(book):
    own = CONFIG["repository"]["url"].rstrip("/") or "no address yet"
    for name in book:
        text = (HTML / f"{name}.html").read_text(encoding="utf-8")
        hosts = (
            r"https?://[^\s\"'<>]*(?:github|gitlab|bitbucket|codeberg|mybinder|colab)[^\s\"'<>]*"
        )
        path = urlsplit(own).path or own
        assert [x for x in re.findall(hosts, text) if path not in x] == [], name


def test_every_picture_says_what_it_shows(book):
    for name, page in book.items():
        for image in page.select("img"):
            alt = image.get("alt")
            if "logo__image" in image.get("class", []):
                continue  # beside the title: decoration
            assert alt, f"{name}: no alt text for {image['src']}"
            assert not re.search(r"_images|\.(svg|png)$", alt), f"{name}: alt text is a file name"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_downloads_as_the_notebook_it_is(book, chapter):
    link = book[chapter].select_one("a.btn-download-source-button")["href"]
    assert target(chapter, link).read_bytes() == (ROOT / f"{chapter}.ipynb").read_bytes()


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_shows_no_warning_of_the_machine_it_ran_on(book, chapter):
    assert sorted({box.get_text() for box in book[chapter].select(".output.stderr")}) == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_hints_solution_and_mistakes_fold_under_every_exercise(book, chapter):
    notebook = json.loads((ROOT / f"{chapter}.ipynb").read_text(encoding="utf-8"))
    names = [
        cell["metadata"]["exercise"] for cell in notebook["cells"] if "exercise" in cell["metadata"]
    ]
    assert names
    for name in names:
        assert book[chapter].find(id=solutions.label_of(name)), f"no statement of {name}"
    folds = [f for f in book[chapter].select("details.admonition") if "solution" in f["class"]]
    assert len(folds) == len(names)
    for name, fold in zip(names, folds, strict=True):
        exercise = solutions.load(name)
        assert exercise.solution_source.strip() in fold.get_text()
        assert fold.find_previous_sibling("details").summary.get_text() == "Hints"
        assert len(fold.find_previous_sibling("details").select("li")) >= len(exercise.hints)
        assert len(fold.find_next_sibling("details").select("li")) >= len(exercise.mistakes)


def test_the_map_links_every_written_chapter_and_no_other(book):
    cards = book["book/index"].select(".course-map .sd-card")
    assert len(cards) == 13
    written = [card for card in cards if "planned" not in card["class"]]
    links = [
        target("book/index", card.a["href"]).relative_to(HTML).with_suffix("").as_posix()
        for card in written
    ]
    assert links == CHAPTERS
    assert not any(card.select("a") for card in cards if card not in written)


def test_the_row_counts_on_the_page_are_those_of_the_tables(book):
    manifest = json.loads(
        (ROOT / "mlsys_lib" / "tables" / "manifest.json").read_text(encoding="utf-8")
    )
    rows = {
        tr.td.get_text(): tr
        for tr in book["book/about_the_data"].select("table")[0].select("tbody tr")
    }
    for table in ("flights", "weather", "planes", "airports", "airlines"):
        shown = [int(td.get_text().replace(",", "")) for td in rows[table].select("td")[1:]]
        assert shown == [manifest[f"{table}_{year}.parquet"]["rows"] for year in (2013, 2023)]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_light(book, page):
    files = {target(page, link) for link in resources(book[page])} | {HTML / f"{page}.html"}
    weight = sum(len(gzip.compress(file.read_bytes(), mtime=0)) for file in files) / 1000
    assert weight < MAX_PAGE_KB, f"{weight:.0f} KB compressed"


def test_the_style_sheet_asks_for_nothing_that_is_not_there(book):
    css = (HTML / "_static" / "book.css").read_text(encoding="utf-8")
    addresses = re.findall(r"url\([\"']?(?!data:|#)([^\"')]+)", css)
    assert "@import" not in css and "@font-face" not in css
    assert [x for x in addresses if not (HTML / "_static" / x).is_file()] == []


@pytest.mark.parametrize("page", PAGES)
def test_icons_are_drawn_in_the_page_and_scripts_wait_until_it_is_read(book, page):
    html = (HTML / f"{page}.html").read_text(encoding="utf-8")
    icons = re.findall(r'<(?:i|span)[^>]* class="[^"]*fa-(?!lg)[^>]*>(.{4})', html)
    assert len(icons) > 4 and set(icons) == {"<svg"}
    assert book[page].select("script[src]:not([defer])") == []
    assert len(book[page].select("link[rel=stylesheet]")) == 1


def test_a_rule_stays_where_each_name_of_one_selector_is_used(tmp_path):
    (tmp_path / "inner.css").write_text("p { margin: 0 } /* said */ .gone { margin: 0 }")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "outer.css").write_text(
        """@charset "utf-8"; @import "../inner.css";
        .box.shown, .gone { color: red }
        .box .gone, #gone { color: red }
        .box:not(.gone) { background: url(b.png), url("data:x") }
        @media print { .gone { color: red } }
        @media print { #here { color: red } .gone { color: red } }
        a.here::after { content: var(--pst-icon-link); color: red }
        .here { --own: "x;y" }"""
    )
    used = styles.used_names(['<p class="box" id="here">'], ['x.classList.add("shown")'])
    assert styles.merged(tmp_path, ["a/outer.css"], used) == (
        "p{margin: 0}"
        ".box.shown, .gone{color: red}"
        '.box:not(.gone){background: url(a/b.png), url("data:x")}'
        "@media print{#here{color: red}}"
        "a.here::after{color: red}"
        '.here{--own: "x;y"}'
    )


def test_without_an_address_there_is_no_button_and_with_one_there_are_three(tmp_path):
    config = SimpleNamespace(
        html_theme_options={"repository_url": "", "launch_buttons": {"binderhub_url": "x"}}
    )
    repository.set_buttons(None, config)
    assert config.html_theme_options == {
        "repository_url": "",
        "launch_buttons": {},
        "use_repository_button": False,
    }

    text = (ROOT / "_config.yml").read_text(encoding="utf-8")
    address = "https://github.com/example/flight-tested-ml-systems"
    (tmp_path / "_config.yml").write_text(
        re.sub(r"(?m)^  url: .*$", f"  url: {address}", text), encoding="utf-8"
    )
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: notebooks/01_a\n", encoding="utf-8")
    (tmp_path / "book").symlink_to(ROOT / "book")
    (tmp_path / "notebooks").mkdir()
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# A"}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "notebooks" / "01_a.ipynb").write_text(json.dumps(notebook), encoding="utf-8")

    result = run_build(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    page = parsed(tmp_path / "_build" / "html" / "notebooks" / "01_a.html")
    buttons = {
        a["href"] for a in page.select(".article-header-buttons a") if urlsplit(a["href"]).netloc
    }
    name = "example/flight-tested-ml-systems"
    assert buttons == {
        address,
        f"https://mybinder.org/v2/gh/{name}/main?urlpath=lab/tree/notebooks/01_a.ipynb",
        f"https://colab.research.google.com/github/{name}/blob/main/notebooks/01_a.ipynb",
    }


def cell(kind, source, **metadata):
    return {"cell_type": kind, "metadata": metadata, "source": source}


def test_the_solution_stands_after_the_check_and_the_notebook_is_not_changed(monkeypatch):
    module = ModuleType("mlsys_lib.exercises.ch99_test")
    mistake = SimpleNamespace(text="Adds one twice.")
    module.add_one = SimpleNamespace(
        hints=["Add."], solution_source="def add_one(x):\n    return x + 1\n", mistakes=[mistake]
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    notebook = {
        "cells": [
            cell("code", "def add_one(x):\n    ...", exercise="ch99_test.add_one"),
            cell("markdown", "Now check it."),
            cell("code", ["ch99.add_one.check(add_one)"]),
            cell("code", "1 + 1"),
        ]
    }
    before = json.dumps(notebook)
    cells = solutions.with_solutions(notebook)["cells"]
    assert [c["cell_type"] for c in cells] == ["code", "markdown", "code", "markdown", "code"]
    assert "{solution} ch99-add-one" in cells[3]["source"]
    assert "return x + 1" in cells[3]["source"]
    assert "- Adds one twice." in cells[3]["source"]
    assert json.dumps(notebook) == before


def test_an_exercise_without_a_check_is_named():
    with pytest.raises(ValueError, match=r"check of exercise ch99_test\.add_one"):
        solutions.with_solutions({"cells": [cell("code", "...", exercise="ch99_test.add_one")]})


def test_mending_a_page_twice_is_mending_it_once():
    page = '<div class="admonition dropdown"><p class="admonition-title">A <a href="#b">b</a></p><p>c</p></div><th></th>'
    once = slim.mend(page)
    assert "<details" in once
    assert slim.mend(once) == once


@pytest.mark.parametrize(
    ("formula", "shows"),
    [
        (r"\frac{a}{b}", "<mfrac>"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "<mtable"),
        (r"\hat{y}_i \in [0, 1]", "<msub>"),
        (r"\begin{cases} 1 & x > 0 \\ 0 & x \le 0 \end{cases}", "<mtable"),
    ],
)
def test_formulas_become_mathml(formula, shows):
    assert shows in mathml.to_mathml(formula)
