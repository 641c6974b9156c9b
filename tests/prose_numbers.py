"""Find the numbers in a notebook's prose that none of its outputs shows."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October"
    r"|November|December)"
)
NOT_PROSE = re.compile(
    "|".join(
        (
            r"^ *(`{3,}|~{3,})(?!\{)[^\n]*\n.*?^ *\1`*$",  # code, but not a directive
            r"^ *(`{3,}|:{3,})\{(?:code\S*|mermaid|bibliography|figure)\}.*?^ *\2$",
            r"^ *[`:]{3,}[^\n]*$",  # the other directives' own lines: their body is prose
            r"^ *:[\w-]+:[^\n]*$",  # ... and their options
            r"^\([^\n]*\)=$",  # labels
            r"<!--.*?-->",
            r"\$\$.*?\$\$",
            r"(?<![\\\w])\$[^$\n]+\$",
            r"`+[^`]+`+",
            r"!\[[^]]*\]\([^)]*\)",
            r"(?<=\])\([^)]*\)",  # the target of a link
            r"<?https?://\S+",
        )
    ),
    re.MULTILINE | re.DOTALL,
)
WHEN = re.compile(
    "|".join(
        (
            r"\b\d{4}-\d\d(?:-\d\d)?(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?)?\b",
            rf"\b(?:\d{{1,2}}(?:st|nd|rd|th)?(?: (?:to|and|or) |[–-]|, ))?"
            rf"\d{{1,2}}(?:st|nd|rd|th)? {MONTH}(?: \d{{4}})?\b",
            rf"\b{MONTH} \d{{1,2}}(?:, \d{{4}})?\b",
            r"\b\d{1,2}(?::\d\d){1,2}(?:\.\d+)?Z?",
            r"(?<!\w):\d\d\b",
        )
    )
)
NUMBER = re.compile(
    r"(?<![\w.,])(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?P<power>[eE][+-]?\d+)?(?![\d])(?!(?:st|nd|rd|th)\b)"
    r"(?P<unit>\s*(?:%|per ?cent\b|percent\w*|thousand\b|million\b|billion\b))?"
    r"(?P<range>(?=\s*(?:to|and|or|[–-])\s*[\d.,]+\s*(?:%|per ?cent)))?"  # 79 to 83 %
)
SCALES = {"thousand": 3, "million": 6, "billion": 9}


def free(number: Decimal) -> bool:
    """Small counts and years need no output."""
    whole = number == number.to_integral_value()
    return whole and (number <= 12 or 1900 <= number <= 2100)


def matches(number: Decimal, value: Decimal) -> bool:
    """Whether `value`, rounded as `number` is written, is `number`.

    >>> matches(Decimal("0.75"), Decimal("0.7512"))
    True
    >>> matches(Decimal("772000"), Decimal("772128"))
    True
    >>> matches(Decimal("0.751"), Decimal("0.75"))
    False
    """
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if exponent == 0:  # zeros at the end may be rounding, past the first two digits
        text = str(number)
        exponent = min(len(text) - len(text.rstrip("0")), max(len(text) - 2, 0))
    return abs(value - number) * 2 <= Decimal(10) ** exponent


def found(text: str) -> Iterator[tuple[str, Decimal, int]]:
    """Each number: as written, its value, and the power of ten its unit stands for."""
    for match in NUMBER.finditer(WHEN.sub(" ", text)):
        value = Decimal(match["digits"].replace(",", "") + (match["power"] or ""))
        unit = (match["unit"] or "").strip()
        percent = unit or match["range"] is not None
        scale = SCALES.get(unit, -2 if percent else 0)
        yield match[0].strip(), value, scale


def output_text(cells: Iterable[Any]) -> str:
    """All that the code cells print or show as text, tags removed."""
    parts = []
    for cell in cells:
        for output in cell.get("outputs", []):
            parts.append(output.get("text", ""))
            data = output.get("data", {})
            parts += [data.get("text/plain", ""), data.get("text/markdown", "")]
            shown = re.sub(r"<style.*?</style>", " ", data.get("text/html", ""), flags=16)
            parts.append(html.unescape(re.sub(r"<[^>]+>", " ", shown)))
    return "\n".join(parts)


def prose(cells: Iterable[Any]) -> str:
    """The text of the Markdown cells without code, formulas and addresses."""
    cells = (cell.source for cell in cells if cell.cell_type == "markdown")
    return NOT_PROSE.sub(" ", "\n\n".join(cells))


def stands(constant: str, text: str) -> bool:
    """Whether a stated constant, such as "15 minutes", stands in the text."""
    return bool(re.search(_whole(constant), text))


def _whole(constant: str) -> str:
    words = r"\s+".join(map(re.escape, constant.split()))
    return rf"(?<![\w.,]){words}(?!\w)"


def unsupported(notebook: Any, constants: Iterable[str] = ()) -> list[str]:
    """The numbers of the prose, as written, that no output and no constant backs."""
    shown = {value for _, value, _ in found(output_text(notebook.cells))}
    text = prose(notebook.cells)
    for constant in constants:
        text = re.sub(_whole(constant), " ", text)
    return [
        written
        for written, number, scale in found(text)
        if not free(number)
        and not any(
            matches(number, value) or matches(number, value.scaleb(-scale)) for value in shown
        )
    ]
