"""Leave out what the pages do not need, and mend what a keyboard or a screen reader stumbles over.

Left out: the icon font, for a handful of icons that are drawn in the page instead; the rules of style that
no page uses (styles.py); the live-code client (it loads from another host, and names a repository that is
not ours); the script that folds boxes. Folds become the browser's own <details>, which work by keyboard, by
screen reader and without a script. Scripts wait until the page is read.

The rest mends the theme's own markup, so that axe finds nothing on any page (tests/test_browser.py).
"""

import functools
import hashlib
import re
import shutil
from pathlib import Path

import pydata_sphinx_theme
import styles
from bs4 import BeautifulSoup

UNUSED_EXTENSIONS = ("sphinx_thebe", "sphinx_togglebutton", "sphinx_comments")
UNUSED_STYLES = {"sphinx-thebe.css", "togglebutton.css"}
SYSTEM_THEME = 'localStorage.getItem("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")'
ICON = re.compile(
    r'<(i|span)( class="(?:[^"]* )?(?:fas|fab|fa-solid|fa-brands) (?:[^"]* )?fa-(?!lg)([a-z-]+)[^"]*"[^>]*)></\1>'
)
# What each script is for: it stays on pages that have such a thing.
SCRIPTS_FOR = {
    "design-tabs.js": ".sd-tab-set",
    "clipboard.min.js": "div.highlight",
    "copybutton.js": "div.highlight",
}
SHEET = "book.css"


@functools.cache
def icon_shapes():
    """The theme's own copy of the icons: Font Awesome Free, fontawesome.com, CC BY 4.0."""
    theme = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
    (script,) = theme.glob("vendor/fontawesome/*/js/all.min.js")
    shape = r'[{,]"?([a-z-]+)"?:\[(\d+),(\d+),\[([^\]]*)\],"[0-9a-f]+","(M[^"]+)"\]'
    return {
        name: (width, height, path)
        for first, width, height, others, path in re.findall(shape, script.read_text("utf-8"))
        for name in [first, *re.findall(r'"([a-z-]+)"', others)]
    }


def draw(icon):
    """An icon of the font as a picture, in the same element."""
    element, attributes, name = icon.groups()
    width, height, path = icon_shapes()[name]
    picture = (
        f'<svg viewBox="0 0 {width} {height}" aria-hidden="true"><path d="{path}"></path></svg>'
    )
    return f"<{element}{attributes}>{picture}</{element}>"


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
    html = ICON.sub(draw, html)  # as text, because some of them stand inside scripts
    page = BeautifulSoup(html, "html.parser")

    # Fonts are not needed; scripts that wait are found early enough by themselves.
    for element in page.select('script[src*="fontawesome"], link[rel=preload]'):
        element.decompose()
    for script in page.select("script"):
        if "DOCUMENTATION_OPTIONS.pagename" in script.get_text():
            script.decompose()  # for a list of versions, which this book does not have
        elif script.get("src"):
            need = SCRIPTS_FOR.get(Path(script["src"].split("?")[0]).name)
            if need and not page.select_one(need):
                script.decompose()
            else:
                script["defer"] = ""
    merge_links(page)

    for fold in page.select("div.admonition.dropdown"):
        fold.name = "details"
        title = fold.select_one("p.admonition-title")
        title.name = "summary"
        for link in title.select("a"):  # what opens on a click must not lead away on the same click
            link.unwrap()
    for summary in page.select("summary[aria-label]"):
        del summary["aria-label"]  # it hides the visible words from screen readers
    for summary in page.select("nav summary"):
        if not summary.get_text(strip=True):
            summary["aria-label"] = f"Pages of {summary.find_previous('a').get_text(strip=True)}"

    for sidebar in page.select("#site-navigation, .bd-sidebar-primary"):
        sidebar["role"], sidebar["aria-label"] = "navigation", "Site"
    for box in page.select(".pst-scrollable-table-container, .cell_output .output.text_html"):
        box["tabindex"] = "0"  # it scrolls, so the arrow keys must reach it
    # Roles of a list of sources: browsers have dropped two, and one forbids what stands inside.
    for element in page.select("[role^=doc-], .citation-list[role=list]"):
        del element["role"]
    for parameters in page.select("dt.sig > dl"):  # a list of definitions without terms is none
        parameters.name, parameters["class"] = "div", "sig-parameters"
        for parameter in parameters.find_all("dd", recursive=False):
            parameter.name = "div"
    for body in page.select("#exercise-content, #solution-content"):
        del body["id"]  # one id for all exercises of a page is none
    for heading in page.select("th"):
        if not heading.get_text(strip=True):
            heading.name = "td"  # pandas leaves the corner above its index empty
    return str(page)


def merge_links(page):
    """One link to the style sheet of the book, which says what it was merged from."""
    links = [link for link in page.select("link[rel=stylesheet]") if "_static/" in link["href"]]
    if not links or "data-sheets" in links[0].attrs:
        return
    static = links[0]["href"].partition("_static/")[0] + "_static/"
    sheets = [link["href"].split("?")[0].removeprefix(static) for link in links]
    links[0]["data-sheets"] = " ".join(
        "icons.css" if "fontawesome" in sheet else sheet for sheet in sheets
    )
    links[0]["href"] = static + SHEET
    for link in links[1:]:
        link.decompose()


def write_sheet(out, pages):
    """Write the style sheet; return its name with a mark of what it holds, for browsers that keep it."""
    lists = [names.split() for html in pages for names in re.findall('data-sheets="([^"]*)"', html)]
    sheets = dict.fromkeys(sheet for names in lists for sheet in names)
    scripts = [path.read_text(encoding="utf-8") for path in (out / "_static").rglob("*.js")]
    css = styles.merged(out / "_static", sheets, styles.used_names(pages, scripts))
    (out / "_static" / SHEET).write_text(css, encoding="utf-8")
    return f"{SHEET}?v={hashlib.sha256(css.encode()).hexdigest()[:8]}"


def mend_pages(app, error):
    if error or app.builder.format != "html":
        return
    out = Path(app.outdir)
    paths = [path for path in out.rglob("*.html") if "_static" not in path.relative_to(out).parts]
    pages = [mend(path.read_text(encoding="utf-8")) for path in paths]
    for font in out.glob("_static/vendor/fontawesome"):
        shutil.rmtree(font)
    sheet = write_sheet(out, pages)
    for path, html in zip(paths, pages, strict=True):
        html = re.sub(rf"{re.escape(SHEET)}(\?v=\w+)?(?=\")", sheet, html)
        path.write_text(html, encoding="utf-8")


def setup(app):
    drop_unused(app)
    app.connect(
        "build-finished", mend_pages, priority=900
    )  # after the theme wrote its own colours of code
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
