"""What MyST becomes in the reader's copies, kind by kind."""

from pathlib import Path

import pytest

from tools.plain_markdown import Course, Writer

ROOT = Path(__file__).resolve().parent.parent
CHAPTER = """\
# 02 · Engineering

```{exercise} One
:label: ch02-one
First.
```

(the-sheet)=
### The sheet: *all* of it

```{exercise} Two of two
:label: ch02-two-of-two
Second, after {ref}`ch02-one`.
```
"""
GLOSSARY = """\
# Glossary

```{glossary}
:sorted:

log loss
  Lower is better; see {term}`AUC`.

AUC
area under the curve
  The area.

  It says nothing about levels.
```
"""
SOURCES = r"""
@book{one, author = {M{\"u}ller, Ann}, title = {A {Book}}, year = 2017, isbn = {978-1-4493-7332-0}}
@article{two, author = {von Neumann, John and B, C.}, title = {Two}, year = 2018, doi = {10.1/2}}
@misc{three, author = {A, X. and B, Y. and C, Z.}, title = {Say "three"}, year = 2019, eprint = {1706.1}}
@misc{talk, author = {Tene, Gil and others}, title = {How {NOT} to}, year = 2015}
@misc{office, author = {{Bureau of Statistics}}, title = {On-Time}, year = 2013, url = {https://a.gov/}}
"""


@pytest.fixture
def course(tmp_path):
    (tmp_path / "glossary.md").write_text(GLOSSARY)
    (tmp_path / "how_to_use.md").write_text("# How to use it\n\n(the-clock)=\n## One idea: a clock")
    (tmp_path / "references.bib").write_text(SOURCES)
    cell = {"cell_type": "markdown", "source": CHAPTER.splitlines(keepends=True)}
    return Course.read({"02_engineering": {"cells": [cell]}}, tmp_path)


@pytest.fixture
def plain(course):
    """Markdown as chapter 03 would show it."""
    return Writer(course, "03_flow.ipynb").plain


@pytest.mark.parametrize(
    ("box", "shows"),
    [
        ("```{admonition} Incident\n:class: incident\nOne.\n\nTwo.\n```", "> **Incident.** One.\n>\n> Two."),
        ("```{admonition} Predict\n:class: predict\n- a\n- b\n```", "> **Predict**\n>\n> - a\n> - b"),
        (":::{admonition} Decide: `x`\n:class: decide\nA.\n:::", "> **Decide: `x`**\n>\n> A."),
        (":::{note}\nA.\n:::", "> **Note.** A."),
        ("```{warning} A.\n```", "> **Warning.** A."),
        ("before\n```{note}\nA.\n```\nafter", "before\n\n> **Note.** A.\n\nafter"),
        ("1. a\n\n   ```{note}\n   A.\n   ```", "1. a\n\n   > **Note.** A."),
        (
            "````{note}\nA.\n\n```python\nx = {1}\n\n{term}`y`\n```\n````",
            "> **Note.** A.\n>\n> ```python\n> x = {1}\n>\n> {term}`y`\n> ```",
        ),
        ("::::{note}\n:::{tip}\nA.\n:::\n::::", "> **Note**\n>\n> > **Tip.** A."),
        ("```{figure} a.svg\n:alt: A line.\nIt *rises*.\n```", "![A line.](a.svg)\n\nIt *rises*."),
        ("```{math}\na = b\n```", "$$\na = b\n$$"),
        ("```{term}`a` ```", "```{term}`a` ```"),
        ("~~~python\n{term}`a`\n~~~", "~~~python\n{term}`a`\n~~~"),
    ],
)  # fmt: skip
def test_a_directive_becomes_a_quote_or_what_else_says_the_same(plain, box, shows):
    assert plain(box) == shows


@pytest.mark.parametrize(
    "box", ["```{admonition} Answers\n:class: dropdown\n1. $a$\n```", "```{dropdown} Answers\n1. $a$\n```"]
)  # fmt: skip
def test_what_the_book_folds_is_a_fold_with_markdown_inside(plain, box):
    assert plain(box) == "<details>\n<summary><b>Answers</b></summary>\n\n1. $a$\n\n</details>"


def test_an_exercise_has_its_number_title_sentence_and_hints(course):
    text = Writer(course, "02_engineering.ipynb").plain(CHAPTER)
    assert text.endswith("""\
### The sheet: *all* of it

> **Exercise 2.2 · Two of two**
>
> Second, after Exercise 2.1.
>
> Stuck? Run `ch02.two_of_two.hint()`, again for the next hint, or `ch02.two_of_two.solution()`.""")


@pytest.mark.parametrize(
    ("role", "shows"),
    [
        ("{ref}`ch02-one`", "[Exercise 2.1](02_engineering.ipynb)"),
        ("{numref}`Exercise %s <ch02-two-of-two>`", "[Exercise 2.2](02_engineering.ipynb)"),
        ("{ref}`the task <ch02-one>`", "[the task](02_engineering.ipynb)"),
        ("the [task](ch02-one)", "the [task](02_engineering.ipynb)"),
        ("exercise [1](ch02-one)", "exercise [2.1](02_engineering.ipynb)"),
        ("{ref}`sheet <the-sheet>`", "[sheet](02_engineering.ipynb#The-sheet:-all-of-it)"),
        ("{doc}`chapter 02 <02_engineering>`", "[chapter 02](02_engineering.ipynb)"),
        ("{doc}`../notebooks/02_engineering`", "[02 · Engineering](02_engineering.ipynb)"),
        ("the {doc}`glossary`", "the [Glossary](glossary.md)"),
        ("{ref}`the clock <the-clock>`", "the clock (in the book: *How to use it*)"),
        ("{doc}`../book/how_to_use`", "*How to use it* (in the book)"),
        ("{term}`AUC`", "[AUC](glossary.md#AUC)"),
        ("*{term}`Log\nloss <log loss>`*", "*[Log\nloss](glossary.md#log-loss)*"),
        ("{term}`area under the curve`", "[area under the curve](glossary.md#AUC)"),
        ("{math}`a_b`", "$a_b$"),
        ("`{term}` and ``{term}`AUC` ``", "`{term}` and ``{term}`AUC` ``"),
        ("$p = \\frac{60}{6}$, `a` and [b](c.md)", "$p = \\frac{60}{6}$, `a` and [b](c.md)"),
        ("a\n% a remark\n(label)=\nb", "a\nb"),
    ],
)  # fmt: skip
def test_a_role_becomes_words_and_a_link(plain, role, shows):
    assert plain(role) == shows


@pytest.mark.parametrize(
    ("role", "shows"),
    [
        ("{cite:t}`one`", '[Müller (2017)](https://openlibrary.org/isbn/9781449373320 "A Book")'),
        ("{cite:t}`two`", '[von Neumann and B (2018)](https://doi.org/10.1/2 "Two")'),
        ("{cite:t}`three`", "[A et al. (2019)](https://arxiv.org/abs/1706.1 \"Say 'three'\")"),
        ("{cite:t}`talk`", "Tene et al. (2015, *How NOT to*)"),
        ("{cite:p}`office`", '([Bureau of Statistics, 2013](https://a.gov/ "On-Time"))'),
        (
            "{cite:p}`two, talk`",
            '([von Neumann and B, 2018](https://doi.org/10.1/2 "Two"); Tene et al., 2015, *How NOT to*)',
        ),
    ],
)  # fmt: skip
def test_a_source_becomes_names_year_and_its_link_or_title(plain, role, shows):
    assert plain(role) == shows


def test_the_glossary_is_headings_in_order_with_other_names_and_places(course):
    assert (
        Writer(course, "glossary.md").plain(GLOSSARY)
        == """\
# Glossary

<a id="AUC"></a>

## AUC

*Also: area under the curve.* The area.

It says nothing about levels.

## log loss

Lower is better; see [AUC](#AUC)."""
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```{mermaid}\na\n```", r"03_flow.ipynb: .* directive \{mermaid\} .* Writer.directive"),
        ("{kbd}`a`", r"03_flow.ipynb: .* role \{kbd\}`a` .* Writer.inline"),
        ("{term}`auk`", "03_flow.ipynb refers to the term 'auk', which the course lacks"),
        ("{ref}`ch02-three`", "refers to the label 'ch02-three'"),
        ("{cite:t}`four`", "refers to the source 'four'"),
    ],
)
def test_what_has_no_plain_form_is_named(plain, text, error):
    with pytest.raises(ValueError, match=error):
        plain(text)
