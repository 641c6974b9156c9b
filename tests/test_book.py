"""The built book as files: strict build, links, pictures, downloads, solutions, weight.

How its pages behave when they are opened is in test_browser.py.
"""

import ast
import fcntl
import functools
import gzip
import importlib
import json
import os
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

from mlsys_lib.source import without_docstring
from tools import pdf

ROOT = Path(__file__).parent.parent
HTML = ROOT / "_build" / "html"
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [TOC["root"]] + [
    page["file"]
    for part in TOC["parts"]
    for chapter in part["chapters"]
    for page in [chapter, *chapter.get("sections", [])]
]
# A notebook with a letter, such as 08b, is optional: no stop on the map.
CHAPTERS = [page for page in PAGES if re.match(r"notebooks/\d+_", page)]
NOTEBOOKS = [page for page in PAGES if page.startswith("notebooks/")]
# In one process, so that what several tests build is built once; those of the browser are dealt to all.
pytestmark = pytest.mark.xdist_group("book")
MAX_PAGE_KB = 150  # all that a first visit loads, compressed; without text it is 70

sys.path.append(str(ROOT / "book" / "_ext"))
finds, mathml, repository, slim, solutions, styles = map(
    importlib.import_module, ("finds", "mathml", "repository", "slim", "solutions", "styles")
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
    """Build the book once a session, from nothing, so that no warning hides in an earlier build.

    Tests run in two processes: the first to come builds, the other waits and takes what it made.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"alone-{os.getpid()}")
    note = ROOT / "_build" / "tested" / f"{run}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    with note.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.exists():
            shutil.rmtree(HTML, ignore_errors=True)
            built = run_build(ROOT)
            note.write_text(json.dumps([built.returncode, built.stdout + built.stderr]))
    code, said = json.loads(note.read_text(encoding="utf-8"))
    return SimpleNamespace(returncode=code, stdout=said, stderr="")


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
        if not tag["src"].startswith("data:"):
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
        assert without_docstring(exercise.solution_source).strip() in fold.get_text()
        assert fold.find_previous_sibling("details").summary.get_text() == "Hints"
        assert len(fold.find_previous_sibling("details").select("li")) >= len(exercise.hints)
        assert len(fold.find_next_sibling("details").select("li")) >= len(exercise.mistakes)


def test_the_map_links_every_written_chapter_and_no_other(book):
    stops = book["book/index"].select(".course-map li")
    assert len(stops) == 13
    written = [stop for stop in stops if stop.a]
    links = [
        target("book/index", stop.a["href"]).relative_to(HTML).with_suffix("").as_posix()
        for stop in written
    ]
    assert links == CHAPTERS
    assert all("In the works" in stop.get_text() for stop in stops if stop not in written)
    for stop, chapter in zip(written, CHAPTERS, strict=True):
        cards = book[chapter].select(".exercise-card .admonition.exercise")
        assert stop["data-exercises"].split() == [card["id"] for card in cards]


def test_the_landing_page_opens_with_a_figure_that_a_chapter_computes(book):
    explorer = book["book/index"].select_one(".hero .explorer")
    assert explorer == book["notebooks/01_framing"].select_one(".explorer")
    assert explorer.find_next_sibling("script")


@pytest.mark.parametrize("chapter", NOTEBOOKS)
def test_an_exercise_is_one_card_and_its_statement_is_prose(book, chapter):
    notebook = json.loads((ROOT / f"{chapter}.ipynb").read_text(encoding="utf-8"))
    stubs = [c for c in notebook["cells"] if "exercise" in c["metadata"]]
    cards = book[chapter].select(".exercise-card")
    assert len(cards) == len(stubs)
    for card, stub in zip(cards, stubs, strict=True):
        (function,) = ast.parse("".join(stub["source"])).body
        words = re.sub(r"\W+", " ", ast.get_docstring(function))
        statement = card.select_one(".admonition.exercise").get_text()
        assert words[:60] in re.sub(r"\W+", " ", statement)
        code = "\n".join(cell.get_text() for cell in card.select(".cell_input"))
        assert f"def {function.name}(" in code
        assert ast.get_docstring(function) not in code
        assert "Not started" in card.get_text()
        assert len(card.select("details.admonition")) == 3


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_a_prediction_covers_what_happens_and_what_it_means(book, page):
    boxes = book[page].select(".admonition.predict")
    reveals = book[page].select("details.reveal")
    assert len(boxes) == len(reveals) > 0
    for reveal in reveals:
        assert reveal.select(".cell_output"), reveal.get_text()[:200]
        assert reveal.find_all("p", recursive=False), reveal.get_text()[:200]
    assert not book[page].select("details.below-input"), "an output is folded without a prediction"


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_results_are_tables_and_not_the_print_of_an_object(book, page):
    texts = [output.get_text() for output in book[page].select(".cell_output pre")]
    assert [text for text in texts if "dtype:" in text] == []
    assert [text for text in texts if re.match(r"\s*\{'", text)] == []


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


MODULES = re.findall(
    r"^  (\w+)(?:\.py|/) ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M
)


def test_each_module_has_its_page_in_the_order_of_flow():
    library = next(page for part in TOC["parts"] for page in part["chapters"] if "sections" in page)
    there = {file.stem for file in (ROOT / "mlsys_lib").glob("[!_]*.py")} | {"exercises"}
    assert [page["file"] for page in library["sections"]] == [f"book/api/{m}" for m in MODULES]
    assert set(MODULES) == there


@pytest.mark.parametrize("module", MODULES)
def test_the_source_of_what_a_module_gives_is_one_click_away(book, module):
    page = book[f"book/api/{module}"]
    described = page.select("dl.py:is(.function, .class, .exception) > dt")
    assert described
    for heading in described:
        source = target(f"book/api/{module}", heading.select_one("a .viewcode-link").parent["href"])
        name = heading["id"].rpartition(".")[2]
        assert re.search(rf"\b{name}\b", parsed(source).get_text())


def test_a_chapter_is_described_by_its_incident(book):
    for chapter in CHAPTERS:
        said = book[chapter].select_one('meta[name="description"]')["content"]
        incident = " ".join(
            book[chapter].select_one(".incident > p:not(.admonition-title)").text.split()
        )
        assert 60 < len(said) <= 155
        assert incident.replace("’", "'").startswith(said.removesuffix(" …").replace("’", "'"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_it_is_and_no_two_say_the_same(book, page):
    say = [
        book[page].select(f'meta[{key}="{name}"]')
        for key, name in (
            ("name", "description"),
            ("property", "og:description"),
            ("property", "og:title"),
        )
    ]
    assert [len(found) for found in say] == [1, 1, 1]
    text = say[0][0]["content"]
    same = [p for p in PAGES if book[p].select_one('meta[name="description"]')["content"] == text]
    assert len(text) > 20 and same == [page]


def test_a_link_to_a_term_is_described_by_its_definition(book):
    seen = 0
    for page in book.values():
        for link in page.select("a:has(> .std-term)"):
            place = urlsplit(link["href"]).fragment
            tip = page.find(id=link["aria-describedby"]).get_text()
            definition = book["book/glossary"].find(id=place).find_next("dd").p
            assert tip == "".join(
                definition.find_all(string=lambda x: not x.find_parent(class_="term-tip"))
            )
            seen += 1
    assert seen > 50


def test_without_an_address_no_page_has_an_absolute_one_of_its_own(book):
    if CONFIG["repository"]["url"]:
        pytest.skip("there is an address")
    assert not (HTML / "sitemap.xml").exists()
    assert "Sitemap" not in (HTML / "robots.txt").read_text()
    for page in book.values():
        assert page.select('[property="og:image"], [property="og:url"], [rel=canonical]') == []


def test_the_day_of_the_last_change_is_that_of_the_commit(book):
    page = "notebooks/01_framing"
    day = finds.git(ROOT, "log", "-1", "--format=%cs", f"{page}.ipynb").strip()
    shown = book[page].select_one(".last-updated")
    if finds.git(ROOT, "rev-parse", "--is-shallow-repository").strip() != "false":
        assert shown is None
    else:
        assert day in shown.get_text()


def test_without_git_no_page_says_when_it_was_changed(tmp_path):
    assert finds.last_changed(SimpleNamespace(srcdir=tmp_path)) == {}


@pytest.fixture(scope="module")
def whole_book(book):
    file = pdf.FILE.with_suffix(".html")
    return BeautifulSoup(pdf.whole(HTML, pdf.page_names(TOC), file), "html.parser"), file


def test_in_the_whole_book_links_lead_to_one_place_and_pictures_are_there(whole_book):
    page, file = whole_book
    ids = [element["id"] for element in page.select("[id]")]
    assert len(ids) == len(set(ids))
    links = [a["href"] for a in page.select("a[href]")]
    assert {x for x in links if not urlsplit(x).scheme} <= {f"#{name}" for name in ids}
    sources = [image["src"] for image in page.select("img")]
    assert any(source.startswith("data:image/svg+xml;base64,") for source in sources)
    pictures = [file.parent / unquote(x) for x in sources if not x.startswith("data:")]
    assert len(pictures) > 30 and all(picture.is_file() for picture in pictures)


def test_in_the_whole_book_every_page_stands_in_order_and_solutions_stand_at_the_end(whole_book):
    page, _ = whole_book
    *articles, last = page.select("article")
    assert [article["id"] for article in articles] == [pdf.place(name) for name in PAGES]
    count = sum(len(parsed(HTML / f"{c}.html").select("details.solution")) for c in NOTEBOOKS)
    assert (
        len(page.select("details.solution")) == len(last.select("details.solution")) == count > 30
    )


@pytest.mark.weekly
def test_the_whole_book_prints(book, capsys):
    if not any(map(shutil.which, pdf.BROWSERS)):
        pytest.skip("no Chromium here")
    pdf.main()
    assert pdf.FILE.name in capsys.readouterr().out
    assert pdf.FILE.read_bytes().startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", pdf.FILE.read_bytes())) > 200


def test_without_a_built_book_or_a_browser_it_is_said_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "HTML", tmp_path)
    monkeypatch.setattr(pdf, "BROWSERS", ("sh",))
    with pytest.raises(SystemExit, match="make book"):
        pdf.main()
    monkeypatch.setattr(pdf, "BROWSERS", ("no-such-browser",))
    with pytest.raises(SystemExit, match="apt-get install chromium"):
        pdf.main()


ADDRESS = "https://github.com/example/Flight-Tested"


def options_of(address, site=""):
    config = SimpleNamespace(
        html_theme_options={"repository_url": address, "launch_buttons": {"binderhub_url": "x"}},
        html_baseurl=site,
    )
    repository.set_buttons(None, config)
    return config


def test_without_an_address_there_is_no_button_and_no_site():
    config = options_of("")
    assert config.html_baseurl == ""
    assert config.html_theme_options == {
        "repository_url": "",
        "launch_buttons": {},
        "use_repository_button": False,
        "use_edit_page_button": False,
    }


@pytest.mark.parametrize(
    ("address", "site", "expected"),
    [
        (ADDRESS, "", "https://example.github.io/Flight-Tested/"),
        (ADDRESS + ".git", "", "https://example.github.io/Flight-Tested/"),
        (ADDRESS + "/", "https://book.example.org", "https://book.example.org/"),
        ("https://git.example.org/a/b", "", ""),  # who knows where its pages are
    ],
)
def test_the_site_is_where_github_publishes_it_or_where_it_is_said_to_be(address, site, expected):
    assert options_of(address, site).html_baseurl == expected


@pytest.fixture(scope="module")
def addressed(tmp_path_factory):
    """A book of one page whose repository has an address, built."""
    folder = tmp_path_factory.mktemp("addressed")
    text = (ROOT / "_config.yml").read_text(encoding="utf-8")
    (folder / "_config.yml").write_text(
        re.sub(r"(?m)^  url: .*$", f"  url: {ADDRESS}", text), encoding="utf-8"
    )
    (folder / "_toc.yml").write_text("format: jb-book\nroot: notebooks/01_a\n", encoding="utf-8")
    (folder / "book").symlink_to(ROOT / "book")
    (folder / "notebooks").mkdir()
    source = "# A\n\n```{admonition} Incident\n:class: incident\nIt failed & nobody saw it.\n```"
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": source}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / "notebooks" / "01_a.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    result = run_build(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "_build" / "html"


def test_with_an_address_there_are_four_buttons(addressed):
    page = parsed(addressed / "notebooks" / "01_a.html")
    buttons = {
        a["href"] for a in page.select(".article-header-buttons a") if urlsplit(a["href"]).netloc
    }
    name = "example/Flight-Tested"
    assert buttons == {
        ADDRESS,
        f"{ADDRESS}/edit/main/notebooks/01_a.ipynb",
        f"https://mybinder.org/v2/gh/{name}/main?urlpath=lab/tree/notebooks/01_a.ipynb",
        f"https://colab.research.google.com/github/{name}/blob/main/notebooks/01_a.ipynb",
    }
    assert all(a.select_one("svg") for a in page.select(".article-header-buttons a:has(i)"))


def test_with_an_address_a_page_is_found_and_its_link_shows_a_picture(addressed):
    site = "https://example.github.io/Flight-Tested/"
    page = parsed(addressed / "notebooks" / "01_a.html")
    said = {tag["property"]: tag["content"] for tag in page.select("meta[property^=og]")}
    assert said["og:description"] == "It failed & nobody saw it."
    assert said["og:url"] == page.select_one("[rel=canonical]")["href"]
    assert said["og:url"] == f"{site}notebooks/01_a.html"
    picture = addressed / said["og:image"].removeprefix(site)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"<loc>{said['og:url']}</loc>" in (addressed / "sitemap.xml").read_text()
    assert f"Sitemap: {site}sitemap.xml" in (addressed / "robots.txt").read_text()


def test_the_page_for_lost_readers_works_at_any_depth(addressed):
    page = parsed(addressed / "404.html")
    links = [tag.get("href", tag.get("src")) for tag in page.select("[href], [src]")]
    relative = [x for x in links if not urlsplit(x).netloc and not x.startswith("#")]
    assert links and relative == []


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
