"""Leave out what the pages do not need, and mend what a keyboard or a screen reader stumbles over.

Left out: the theme's second copy of its icons (a 1.5 MB script; the icon fonts stay), the live-code client
(it loads from another host, and names a repository that is not ours), the script that folds boxes.
Folds become the browser's own <details>, which work by keyboard, by screen reader and without a script.

The rest mends the theme's own markup, so that axe finds nothing on any page (tests/test_browser.py).
"""

import re
import shutil
from pathlib import Path

from bs4 import BeautifulSoup

UNUSED_EXTENSIONS = ("sphinx_thebe", "sphinx_togglebutton", "sphinx_comments")
UNUSED_STYLES = {"sphinx-thebe.css", "togglebutton.css"}
SYSTEM_THEME = 'localStorage.getItem("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")'


def drop_unused(app):
    """Disconnect extensions that Jupyter Book always loads and offers no switch for."""
    for listeners in app.events.listeners.values():
        listeners[:] = [
            x for x in listeners if x.handler.__module__.split(".")[0] not in UNUSED_EXTENSIONS
        ]
    app.registry.css_files[:] = [x for x in app.registry.css_files if x[0] not in UNUSED_STYLES]


def mend(html):
    """One page, mended. A page that was mended before comes out as it went in."""
    # The theme knows the system's choice only after its script has run: a dark reader sees a white flash.
    html = html.replace('localStorage.getItem("theme") || "auto"', SYSTEM_THEME)
    # The search buttons carry their name twice: as title and label, as visible words and label.
    html = html.replace('search-button__button" title="Search"', 'search-button__button"')
    html = re.sub(r'(search-button-field[^>]*) aria-label="Search"', r"\1", html)
    page = BeautifulSoup(html, "html.parser")

    for script in page.select('script[src*="fontawesome"]'):
        script.decompose()
    # The style sheet asks for these fonts by itself where a page has such an icon.
    for font in page.select('[rel=preload][href*="fa-brands"], [rel=preload][href*="fa-regular"]'):
        font.decompose()

    for fold in page.select("div.admonition.dropdown"):
        fold.name = "details"
        title = fold.select_one("p.admonition-title")
        title.name = "summary"
        for link in title.select("a"):  # what opens on a click must not lead away on the same click
            link.unwrap()
    for summary in page.select("summary[aria-label]"):
        del summary["aria-label"]  # it hides the visible words from screen readers

    for sidebar in page.select("#site-navigation, .bd-sidebar-primary"):
        sidebar["role"], sidebar["aria-label"] = "navigation", "Site"
    for box in page.select(".pst-scrollable-table-container, .cell_output .output.text_html"):
        box["tabindex"] = "0"  # it scrolls, so the arrow keys must reach it
    # Roles of a list of sources: browsers have dropped two, and one forbids what stands inside.
    for element in page.select("[role^=doc-], .citation-list[role=list]"):
        del element["role"]
    for heading in page.select("th"):
        if not heading.get_text(strip=True):
            heading.name = "td"  # pandas leaves the corner above its index empty
    opening = page.select_one("article section > p")
    if opening and not page.select_one('meta[name="description"]'):
        text = " ".join(opening.get_text().split())  # what a search engine shows under the title
        page.head.append(page.new_tag("meta", attrs={"name": "description", "content": text}))
    return str(page)


def mend_pages(app, error):
    if error or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for path in out.rglob("*.html"):
        if "_static" not in path.parts:
            path.write_text(mend(path.read_text(encoding="utf-8")), encoding="utf-8")
    for scripts in out.glob("_static/vendor/fontawesome/*/js"):
        shutil.rmtree(scripts)


def setup(app):
    drop_unused(app)
    app.connect("build-finished", mend_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
