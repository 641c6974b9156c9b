"""Make one PDF of the book from its built pages: all of them, in their order, solutions at the end.

python tools/pdf.py        after `make book`; it takes Chromium (apt-get install chromium)
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
FILE = ROOT / "_build" / "flight-tested-ml-systems.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NOT_PRINTED = ".headerlink, .copybtn, .term-tip, .toctree-wrapper, script, .viewcode-link"
SHELL = """<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8">
<title>Flight-Tested ML Systems</title><link rel="stylesheet" href="{sheet}"><style>
article {{ break-before: page; }}
nav {{ column-count: 2; font-size: 9pt; }}
nav p {{ column-span: all; font-size: 28pt; margin: 2cm 0; }}
</style></head><body><main class="bd-content"><div class="bd-article"></div></main></body></html>"""


def page_names(toc: dict) -> list[str]:
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    return [toc["root"]] + [
        page["file"] for chapter in chapters for page in [chapter, *chapter.get("sections", [])]
    ]


def whole(html: Path, names: list[str], file: Path) -> str:
    """The pages as one, to be written to `file`: their links and pictures lead where they led."""
    sheet = os.path.relpath(html / "_static" / "book.css", file.parent)
    book = BeautifulSoup(SHELL.format(sheet=sheet), "html.parser")
    body = book.select_one(".bd-article")
    pages = {name: article(html, name, names, file) for name in names}
    body.append(contents(book, pages))
    for page in pages.values():
        body.append(page)
    body.append(solutions(book, pages))
    return str(book)


def article(html: Path, name: str, names: list[str], file: Path):
    """What a page says, with ids that are its own in the whole book, and nothing folded."""
    source = html / f"{name}.html"
    page = BeautifulSoup(source.read_text(encoding="utf-8"), "html.parser").select_one("article")
    page["id"] = place(name)
    for element in page.select(NOT_PRINTED):
        element.decompose()
    for element in page.select("[id]"):
        element["id"] = place(name, element["id"])
    for link in page.select("a[href]"):
        link.attrs.pop("aria-describedby", None)
        link["href"] = target(link["href"], name, names)
        if not link["href"]:  # to what is not printed
            del link["href"]
    for picture in page.select("img"):
        if not picture["src"].startswith("data:"):
            picture["src"] = os.path.relpath(source.parent / picture["src"], file.parent)
        picture.attrs.pop("loading", None)
    for fold in page.select("details"):
        fold["open"] = ""
    return page


def place(name: str, within: str = "") -> str:
    return re.sub(r"\W", "-", name) + (f"--{within}" if within else "")


def target(link: str, name: str, names: list[str]) -> str:
    """Where a link of a page leads in the whole book: nowhere if not to one of its pages or to another site."""
    path, _, within = link.partition("#")
    if re.match(r"[a-z]+:", link):
        return link
    page = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
    page = page.removesuffix(".html")
    return f"#{place(page, within)}" if page in names else ""


def contents(book: BeautifulSoup, pages: dict):
    """The title, and a list of what follows."""
    front = book.new_tag("nav")
    rows = [(place(name), page.h1.get_text()) for name, page in pages.items()]
    rows.append(("solutions", "Solutions"))
    items = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title in rows)
    front.append(BeautifulSoup(f"<p>Flight-Tested ML Systems</p><ul>{items}</ul>", "html.parser"))
    return front


def solutions(book: BeautifulSoup, pages: dict):
    """Hints, solutions and mistakes of all exercises, taken from where they stood."""
    end = book.new_tag("article", id="solutions")
    end.append(BeautifulSoup("<h1>Solutions</h1>", "html.parser"))
    for name, page in pages.items():
        folds = page.select("details.dropdown") if name.startswith("notebooks/") else []
        if folds:
            end.append(BeautifulSoup(f"<h2>{page.h1.get_text()}</h2>", "html.parser"))
        for fold in folds:
            if "solution" in fold["class"]:
                fold.insert_before(
                    BeautifulSoup(
                        '<p><a href="#solutions">Hints and solution stand at the end.</a></p>',
                        "html.parser",
                    )
                )
            end.append(fold.extract())
    return end


def main() -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("No Chromium here; it prints the pages. Get it with: apt-get install chromium")
    if not (HTML / "book" / "index.html").is_file():
        sys.exit("There is no built book; first run: make book")
    names = page_names(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    pages = FILE.with_suffix(".html")
    pages.write_text(whole(HTML, names, pages), encoding="utf-8")
    flags = "--headless=new --no-sandbox --disable-gpu --no-pdf-header-footer --generate-pdf-document-outline"
    subprocess.run(
        [browser, *flags.split(), f"--print-to-pdf={FILE}", pages.as_uri()],
        check=True,
        capture_output=True,
        timeout=600,
    )
    pages.unlink()
    print(f"Wrote {FILE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
