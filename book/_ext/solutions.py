"""Put hints, solution and caught mistakes under every exercise, taken from the exercise itself.

A chapter's notebook holds only the statement, the stub (a code cell whose metadata names the exercise,
`{"exercise": "ch02_data_engineering.to_utc"}`) and the check (the next code cell that calls `.check(`).
While the book is built, one Markdown cell is added after the check. Nothing is written twice, so the book
cannot show a solution other than the one that the tests run, and the reader's copy shows none.
"""

import importlib
import json
import re
from collections import Counter

from sphinx.util import logging

from mlsys_lib.source import without_docstring

LOGGER = logging.getLogger(__name__)

FOLDS = """\
:::::{{admonition}} Hints
:class: dropdown
{hints}
:::::

:::::{{solution}} {label}
:class: dropdown
````python
{solution}
````
:::::

:::::{{admonition}} Mistakes this exercise catches
:class: dropdown
{mistakes}
:::::
"""


def load(name):
    """The exercise called `module.attribute` in `mlsys_lib.exercises`."""
    module, attribute = name.split(".")
    return getattr(importlib.import_module(f"mlsys_lib.exercises.{module}"), attribute)


def label_of(name):
    """`ch02_data_engineering.to_utc` is labelled `ch02-to-utc`."""
    module, attribute = name.split(".")
    return f"{module.split('_')[0]}-{attribute}".replace("_", "-")


def folds(name):
    exercise = load(name)
    return FOLDS.format(
        label=label_of(name),
        hints="\n".join(f"1. {hint}" for hint in exercise.hints),
        solution=without_docstring(exercise.solution_source).strip("\n"),
        mistakes="\n".join(f"- {mistake.text}" for mistake in exercise.mistakes),
    )


def with_solutions(notebook):
    """The notebook (parsed JSON) with one more Markdown cell for each exercise."""
    cells, waiting = [], None
    for cell in notebook["cells"]:
        cells.append(cell)
        if cell["cell_type"] != "code":
            continue
        waiting = cell["metadata"].get("exercise", waiting)
        if waiting and ".check(" in "".join(cell["source"]):
            cells.append(
                {
                    "cell_type": "markdown",
                    "id": label_of(waiting),
                    "metadata": {},
                    "source": folds(waiting),
                }
            )
            waiting = None
    if waiting:
        raise ValueError(f"no cell calls the check of exercise {waiting}")
    return {**notebook, "cells": cells}


def add_solutions(app, docname, source):
    if docname.startswith("notebooks/"):
        try:
            source[0] = json.dumps(with_solutions(json.loads(source[0])))
        except (ImportError, AttributeError, ValueError) as error:
            LOGGER.warning("solutions are missing: %s", error, location=docname)


def number_by_chapter(app, env):
    """Call the first exercise of chapter 02 "Exercise 2.1"; those of a page with a letter follow the chapter's."""
    count = Counter()
    for docname in env.toctree_includes.get(app.config.root_doc, []):
        if chapter := re.match(r"notebooks/(\d+)[a-z]?_", docname):
            for kind, numbers in env.toc_fignumbers.get(docname, {}).items():
                for name in numbers:
                    count[chapter[1], kind] += 1
                    numbers[name] = (int(chapter[1]), count[chapter[1], kind])
    return []  # no page besides those that Sphinx itself found to be out of date


def setup(app):
    app.connect("source-read", add_solutions)
    app.connect(
        "env-get-updated", number_by_chapter, priority=900
    )  # after Sphinx has given its numbers
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
