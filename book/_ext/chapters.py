"""Lay out a chapter's page: its picture first, plumbing folded, a prediction before its answer, an exercise as a card.

Two steps. What can be said of a cell is said when the notebook is read: the picture of the cell that is
tagged `opening` is shown once more under the incident, imports and calls that only draw
fold, the statement of an exercise becomes prose. What spans several cells is done on the
finished page: a prediction and what follows it, and the card of an exercise.
"""

import ast
import html
import json
import re
from pathlib import Path

from bs4 import BeautifulSoup
from sphinx.util import logging

from mlsys_lib.source import without_docstring

LOGGER = logging.getLogger(__name__)
OPENING = "opening"
IMPORTS = {"code_prompt_show": "Show imports", "code_prompt_hide": "Hide imports"}
DRAWING = {"code_prompt_show": "Show how it is drawn", "code_prompt_hide": "Hide how it is drawn"}
NUMBER = re.compile(r"[-+−]?[\d,]*\.?\d+(e[-+]?\d+)?\s*%?|nan|NaN|<NA>|inf|-inf")
WIDE = 70  # characters; a table with more is set smaller, each interval under its estimate
ESTIMATE = re.compile(r"([-+]?[\d,]*\.?\d+) (\[[-+]?[\d,]*\.?\d+, [-+]?[\d,]*\.?\d+\])")


# What is said of a cell.


def as_read(notebook):
    """The notebook (parsed JSON) as the page shows it."""
    cells = [shown(described(cell)) for cell in with_statements([*notebook["cells"]])]
    for cell in [*cells]:
        if OPENING in cell["metadata"].get("tags", []):
            cells.insert(1, picture(cell))
    return {**notebook, "cells": cells}


def picture(cell):
    """The same picture once more, without the code that made it."""
    outputs = [o for o in cell["outputs"] if is_picture(o.get("data", {}))]
    if not outputs:
        raise ValueError("the cell tagged 'opening' has no figure")
    metadata = {**cell["metadata"], "tags": ["remove-input", "opening-figure"]}
    return {
        **cell,
        "id": OPENING,
        "metadata": metadata,
        "source": "# shown without its code",
        "outputs": outputs,
    }


def described(cell):
    """A figure that answers with the description of the cell's metadata, as other figures have theirs."""
    alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt")
    if cell["cell_type"] != "code" or not alt:
        return cell
    outputs = []
    for output in cell["outputs"]:
        text = "".join(output.get("data", {}).get("text/html", ""))
        if 'class="explorer"' in text:
            text = re.sub(r'alt="[^"]*"', lambda _: f'alt="{html.escape(alt)}"', text, count=1)
            output = {**output, "data": {**output["data"], "text/html": text}}
        outputs.append(output)
    return {**cell, "outputs": outputs}


def is_picture(data):
    return "image/svg+xml" in data or 'class="explorer"' in "".join(data.get("text/html", ""))


def shown(cell):
    if cell["cell_type"] != "code":
        return cell
    source = "".join(cell["source"])
    if "exercise" in cell["metadata"]:
        return {**cell, "source": without_docstring(source)}
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a magic
        return cell
    if body and all(isinstance(x, ast.Import | ast.ImportFrom) for x in body):
        return folded(cell, IMPORTS)
    if len(body) == 1 and re.match(r"plots\.\w+\(", source):
        return folded(cell, DRAWING)
    return cell


def folded(cell, prompt):
    metadata = cell["metadata"]
    tags = [*metadata.get("tags", []), "hide-input"]
    if "hide-output" in tags:  # a fold in a fold: what a prediction covers opens as one
        tags.remove("hide-output")
        tags.append("follows-prediction")
    mystnb = {**metadata.get("mystnb", {}), **prompt}
    return {**cell, "metadata": {**metadata, "tags": tags, "mystnb": mystnb}}


def with_statements(cells):
    """Each exercise with its statement as prose, from the docstring of the stub that follows it."""
    place = None
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "markdown" and "{exercise}" in "".join(cell["source"]):
            place = number
        elif "exercise" in cell["metadata"] and place is not None:
            (function,) = ast.parse("".join(cell["source"])).body
            text = "".join(cells[place]["source"])
            *_, end = re.finditer(r"(?m)^(`{3,}|:{3,})$", text)
            statement = itemised(ast.get_docstring(function))
            text = f"{text[: end.start()]}\n{statement}\n{text[end.start() :]}"
            cells[place] = {**cells[place], "source": text}
            place = None
    return cells


def itemised(docstring):
    """A block of `name: what it is`, continued by an indent, is a list in Markdown."""
    blocks = docstring.split("\n\n")
    return "\n\n".join(
        re.sub(r"(?m)^(\w[\w ]*): ", r"- **\1**: ", block)
        if re.match(r"\w[\w ]*: ", block) and "\n    " in block
        else block
        for block in blocks
    )


def read(app, docname, source):
    if docname.startswith("notebooks/"):
        try:
            source[0] = json.dumps(as_read(json.loads(source[0])))
        except (ImportError, AttributeError, ValueError) as error:
            LOGGER.warning("the page cannot be laid out: %s", error, location=docname)


# What spans cells.


def lay_out(page):
    """A page of a chapter, parsed, with its predictions, cards and tables."""
    for number, box in enumerate(page.select(".admonition.predict")):
        covered(page, box, number)
    for box in page.select(".admonition.exercise"):
        card(page, box)
    for table in page.select("table.dataframe"):
        set_numbers(page, table)


def covered(page, box, number):
    """Put the outputs after a prediction, and the paragraph that says what they mean, under one fold."""
    reveal = page.new_tag("details", attrs={"class": "reveal", "data-of": number})
    reveal.append(page.new_tag("summary", string="Show what happens"))
    first = box.find_next_sibling("div", class_="cell")
    for follows in list(first.find_next_siblings() if first else []):
        classes = follows.get("class", [])
        if "tag_hide-output" in classes or "tag_follows-prediction" in classes:
            reveal.append(uncovered(follows.extract()))
        elif follows.name in ("p", "div") and "cell" not in classes and "admonition" not in classes:
            reveal.append(follows.extract())
            break
        else:
            break
    outputs = [fold.extract() for fold in first.select("details")] if first else []
    for fold in reversed(outputs):
        reveal.summary.insert_after(*[x.extract() for x in fold.select(".cell_output")])
    if first:
        first.insert_after(reveal)


def uncovered(cell):
    """A cell whose output is seen."""
    for fold in cell.select("details.below-input"):
        fold.replace_with(*[x.extract() for x in fold.select(".cell_output")])
    return cell


def card(page, box):
    """One box from the statement of an exercise to the mistakes that it catches."""
    whole = page.new_tag("section", attrs={"class": "exercise-card"})
    box.insert_before(whole)
    parts, last = [box], False
    for follows in box.find_next_siblings():
        parts.append(follows)
        title = follows.select_one(".admonition-title")
        if last := bool(title and title.get_text(strip=True).startswith("Mistakes")):
            break
    if not last:
        raise ValueError(f"{box.get('id')}: no fold with its mistakes follows")
    for part in parts:
        whole.append(part.extract())


def set_numbers(page, table):
    """Numbers to the right, an estimate with its interval as one piece, a wide table smaller."""
    rows = [row.select("th, td") for row in table.select("tr")]
    widths = [
        max(len(cell.get_text(strip=True)) for cell in column)
        for column in zip(*rows, strict=False)
    ]
    if sum(widths) + 3 * len(widths) > WIDE:
        table["class"] = [*table["class"], "wide"]
    for cell in table.select("tbody td"):
        text = cell.get_text(strip=True)
        if NUMBER.fullmatch(text):
            cell["class"] = "number"
        elif found := ESTIMATE.fullmatch(text):
            cell["class"] = "number"
            cell.string = found[1]
            interval = page.new_tag("span", attrs={"class": "interval"}, string=found[2])
            cell.append(" ")
            cell.append(interval)
    for column in zip(*rows, strict=False):
        if "number" in column[-1].get("class", ""):
            column[0]["class"] = "number"


def lay_out_pages(app, error):
    if error or app.builder.format != "html":
        return
    out, exercises = Path(app.outdir), {}
    for path in sorted(out.rglob("notebooks/*.html")):
        page = opened(path)
        lay_out(page)
        exercises[path.name] = [box["id"] for box in page.select(".admonition.exercise")]
        path.write_text(str(page), encoding="utf-8")
    landing = out / "book" / "index.html"
    if landing.exists():
        page = opened(landing)
        lay_out_landing(page, opened(out / "notebooks" / "01_framing.html"), exercises)
        landing.write_text(str(page), encoding="utf-8")


def opened(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def lay_out_landing(page, framing, exercises):
    """The first figure that answers, from the chapter that computes it; and on the map, what can be solved."""
    explorer = framing.select_one(".explorer")
    for place in page.select(".hero") if explorer else []:
        place.clear()
        place.append(explorer)
        place.append(framing.select_one(".explorer + script, script:-soup-contains('.explorer')"))
    for link in page.select(".course-map li a"):
        link.find_parent("li")["data-exercises"] = " ".join(exercises[link["href"].split("/")[-1]])


def setup(app):
    app.connect("source-read", read, priority=400)  # before the solutions join
    app.connect("build-finished", lay_out_pages, priority=400)  # before pages are mended
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
