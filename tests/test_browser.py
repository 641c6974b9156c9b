"""The book as a reader opens it: every page in a browser, light and dark, desktop and phone."""

import functools
import http.server
import itertools
import os
import shutil
import threading

import pytest

pytest.importorskip("playwright", reason="the browser tests need the extra 'test'")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from test_book import CHAPTERS, HTML, NOTEBOOKS, PAGES, build_book

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
HOW = "no Chromium here, so the book is NOT tested in a browser; get it with: apt-get install chromium"
# The first two let it run headless as root; the others keep it from calling home.
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDTHS = {"desktop": 1400, "laptop": 1280, "phone": 390}
LIBRARY = [page for page in PAGES if page.startswith("book/api")]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def site():
    """The address of the built book on a plain server on the loopback."""
    result = build_book()
    assert result.returncode == 0, result.stdout + result.stderr
    handler = functools.partial(Quiet, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.fail(HOW) if os.environ.get("CI") else pytest.skip(HOW)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def complains(message):
    """An error on the console; but a browser may ask the host for an icon while the root redirects."""
    icon = message.location.get("url", "").endswith("/favicon.ico")
    return message.type == "error" and not icon


@pytest.fixture
def open_page(browser, site):
    """Open a page; whatever goes wrong while it is open fails the test at its end."""
    contexts, complaints = [], []

    def open_page(path, theme="light", width="desktop"):
        size = {"width": WIDTHS[width], "height": 900}
        contexts.append(
            browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce")
        )
        page = contexts[-1].new_page()
        page.on("console", lambda m: complaints.append(m.text) if complains(m) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda r: complaints.append(f"failed: {r.url}"))
        page.on(
            "response",
            lambda r: complaints.append(f"{r.status}: {r.url}") if r.status >= 400 else None,
        )
        page.on(
            "request",
            lambda r: (
                None
                if r.url.startswith((site, "data:"))
                else complaints.append(f"foreign: {r.url}")
            ),
        )
        page.goto(f"{site}/{path}", wait_until="networkidle")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def variants():
    """Each page in both themes and at both widths: two of the four at each push, the other two weekly."""
    pages = [*PAGES, "search", "404", "_modules/mlsys_lib/world"]
    looks = itertools.product(enumerate(pages), ["light", "dark"], ["desktop", "phone"])
    for (place, name), theme, width in looks:
        other = (theme == "dark") ^ (width == "phone") ^ (place % 2 == 1)
        yield pytest.param(name, theme, width, marks=[pytest.mark.weekly] if other else [])


@pytest.mark.parametrize(("name", "theme", "width"), list(variants()))
def test_a_page_is_quiet_and_accessible_and_fits(open_page, name, theme, width):
    page = open_page(f"{name}.html", theme, width)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    page.wait_for_function(
        "!document.querySelector('pre:not([tabindex])')"
    )  # the theme's script has run
    overhang = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert overhang <= 0, f"{overhang} px wider than the window"
    # Without preload: axe would look for the style sheets' imports in the wrong folder.
    found = Axe().run(page, options={"preload": False}).response["violations"]
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found] == []


def test_the_first_page_is_the_landing_page(open_page):
    assert open_page("").title().startswith("Flight-Tested ML Systems")


def test_search_finds_a_term(open_page):
    page = open_page("book/index.html")
    page.locator(".search-button-field").first.click()
    page.locator(".search-button__search-container input").fill("as-of join")
    page.keyboard.press("Enter")
    page.locator("#search-results a", has_text="Glossary").first.wait_for()


def test_the_theme_toggles(open_page):
    page = open_page("book/index.html")
    seen = set()
    for _ in range(3):
        page.locator(".theme-switch-button:visible").click()
        seen.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(seen) == 2


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_solution_folds_out_by_keyboard(open_page, chapter):
    fold = open_page(f"{chapter}.html").locator("details.solution").first
    assert not fold.locator("pre").first.is_visible()
    fold.locator("summary").focus()
    fold.page.keyboard.press("Enter")
    assert fold.locator("pre").first.is_visible()


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_figures_turn_over_in_the_dark(open_page, chapter):
    for theme, expected in (("light", "none"), ("dark", "invert(0.93) hue-rotate(180deg)")):
        figures = open_page(f"{chapter}.html", theme).locator(".cell_output img")
        assert figures.count()
        assert set(figures.evaluate_all("all => all.map(x => getComputedStyle(x).filter)")) == {
            expected
        }


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_wide_table_scrolls_in_its_own_box(open_page, chapter):
    boxes = open_page(f"{chapter}.html", width="phone").locator(".cell_output .output.text_html")
    widest = boxes.evaluate_all(
        "all => Math.max(0, ...all.map(x => x.getBoundingClientRect().right))"
    )
    assert widest <= WIDTHS["phone"]


FIRST_SCREEN = 900
CUT = """(where) => [...document.querySelectorAll('article ' + where)]
    .filter(e => e.checkVisibility({contentVisibilityAuto: true}) && e.scrollWidth > e.clientWidth + 1)
    .map(e => e.innerText.split('\\n').sort((a, b) => b.length - a.length)[0])"""


@pytest.mark.parametrize("chapter", NOTEBOOKS)
def test_the_picture_of_the_incident_is_in_the_first_screen(open_page, chapter):
    page = open_page(f"{chapter}.html", width="laptop")
    incident = page.locator(".admonition.incident").bounding_box()
    picture = page.locator(".tag_opening-figure img").bounding_box()
    assert incident["y"] + incident["height"] <= picture["y"]
    assert picture["y"] + picture["height"] <= FIRST_SCREEN
    assert picture["width"] > 400


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_on_a_laptop(open_page, name):
    page = open_page(f"{name}.html", width="laptop")
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    for what in ("pre", ".cell_output .output.text_html", ".pst-scrollable-table-container"):
        assert page.evaluate(CUT, what) == [], what


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_statement_never_scrolls_sideways_on_a_phone(open_page, chapter):
    page = open_page(f"{chapter}.html", width="phone")
    assert page.evaluate(CUT, ".admonition.exercise :is(p, ul, ol, pre)") == []
    assert page.evaluate(CUT, ".cell_output :is(.stream, .text_plain) pre") == []


def test_a_prediction_is_kept_and_then_shows_what_happens(open_page):
    page = open_page("notebooks/02_data_engineering.html")
    box, reveal = page.locator(".admonition.predict").first, page.locator("details.reveal").first
    assert not reveal.locator(".cell_output").first.is_visible()
    box.locator("button").click()  # without an answer nothing happens
    assert not reveal.locator(".cell_output").first.is_visible()
    box.locator("input").fill("all of them, by an hour")
    page.keyboard.press("Enter")
    assert reveal.locator(".cell_output").first.is_visible()
    assert reveal.locator(":scope > p").first.is_visible()
    page.reload(wait_until="networkidle")
    said = page.locator(".admonition.predict .kept").first
    assert said.inner_text() == "You predicted: all of them, by an hour"


def test_a_prediction_may_be_a_choice(open_page):
    page = open_page("notebooks/01_framing.html")
    box = page.locator(".admonition.predict").first
    box.get_by_role("radio").nth(1).check()
    box.locator("button").click()
    assert page.locator("details.reveal .cell_output").first.is_visible()
    assert box.locator("ul").count() == 0
    assert box.locator(".kept").inner_text().startswith("You predicted: The model is the cheapest;")


@pytest.mark.parametrize("name", ["book/index", "notebooks/01_framing"])
def test_a_figure_answers_by_keyboard(open_page, name):
    page = open_page(f"{name}.html")
    slider = page.locator(".explorer input").first
    said = page.locator(".explorer output").first
    before = said.inner_text()
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert said.inner_text() != before
    assert "flag everybody" in slider.get_attribute("aria-valuetext")


def test_without_scripts_a_figure_is_a_picture_and_a_prediction_a_fold(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/notebooks/01_framing.html")
    assert page.locator(".explorer img").first.is_visible()
    assert not page.locator(".explorer input").first.is_visible()
    page.locator("details.reveal summary").first.click()
    assert page.locator("details.reveal .cell_output").first.is_visible()
    context.close()


def test_what_is_ticked_as_solved_is_counted_on_the_map(open_page):
    page = open_page("notebooks/01_framing.html")
    page.locator(".exercise-card label.solved input").first.check()
    page.goto(page.url.replace("notebooks/01_framing", "book/index"), wait_until="networkidle")
    assert page.locator(".course-map .solved").all_inner_texts() == ["1 of 3 solved"]


# Boxes that hide what is wider than they are, with how much; a box that shows it scrolls is no such box.
HIDDEN = """tags => [...document.querySelectorAll("article " + tags)].filter(x =>
    x.clientWidth && x.scrollWidth > x.clientWidth + 1
    && getComputedStyle(x).overflowX != "visible").map(x => x.textContent.trim().slice(0, 60))"""


@pytest.mark.parametrize("name", [*LIBRARY, "_modules/mlsys_lib/features"])
def test_nothing_of_the_library_is_cut(open_page, name):
    assert open_page(f"{name}.html", width="laptop").evaluate(HIDDEN, "*") == []
    assert open_page(f"{name}.html", width="phone").evaluate(HIDDEN, ":not(pre)") == []


def test_arrow_keys_turn_pages_but_a_box_that_scrolls_keeps_them(open_page):
    page = open_page("notebooks/01_framing.html", width="phone")
    page.locator(".cell_input pre[tabindex='0']:visible").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    assert page.url.endswith("01_framing.html")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/01b_frames.html")
    page.wait_for_load_state("networkidle")  # leaving earlier would break off its requests
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/01_framing.html")
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("width", ["laptop", "phone"])
def test_a_term_explains_itself_on_hover_and_on_focus_until_escape(open_page, width):
    page = open_page("notebooks/02_data_engineering.html", width=width)
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    for link in page.locator("a[aria-describedby^=tip-]").all():
        tip = page.locator("#" + link.get_attribute("aria-describedby"))
        assert not tip.is_visible()
        link.hover()
        assert tip.is_visible()
        page.mouse.move(0, 0)
        assert not tip.is_visible()
        page.keyboard.press("Tab")  # so that focus shows
        link.focus()
        box = tip.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= WIDTHS[width]
        page.keyboard.press("Escape")
        assert not tip.is_visible()
        page.evaluate("document.activeElement.blur()")


def test_a_copy_button_shows_itself_on_focus(open_page):
    page = open_page("book/index.html")
    button = page.locator("button.copybtn").first
    assert button.evaluate("x => getComputedStyle(x).opacity") == "0"
    page.keyboard.press("Tab")
    button.focus()
    assert button.evaluate("x => getComputedStyle(x).opacity") == "1"
