"""The course's Markdown in the words that JupyterLab, VS Code, Colab and GitHub all read.

The notebooks are written for the book, in MyST: boxes and exercises are directives, references,
sources and terms are roles. Here each becomes plain Markdown that says the same: a quote with a
bold word, a fold, a link.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pybtex.database import Entry, parse_file
from pybtex.richtext import Text

T = TypeVar("T")

FENCE = re.compile(
    r"(?P<indent> *)(?P<fence>`{3,}(?=[^`]*$)|~{3,}|:{3,}(?=\{))"
    r"(?:\{(?P<name>[^}]+)\})? *(?P<argument>.*)"
)
OPTION = re.compile(r":(?P<key>[\w-]+):(?: +(?P<value>.*))?")
TARGET = re.compile(r"\((?P<label>[\w-]+)\)= *")
COMMENT = re.compile(r"%.*|\+\+\+.*")
# A role, code (which stays as it is), or a link to a label.
INLINE = re.compile(
    r"\{(?P<role>[a-z][\w:-]*)\}`(?P<words>[^`]+)`"
    r"|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)"
    r"|\[(?P<text>[^\[\]]+)\]\((?P<label>[\w-]+)\)",
    re.DOTALL,
)
EXPLICIT = re.compile(r"(?P<text>.+?)\s*<(?P<target>[^<>]+)>", re.DOTALL)
HEADING = re.compile(r"#{1,6} +(?P<title>.*?) *#*")
STARTS_PROSE = re.compile(r"(?![-*+] |\d+[.)] |[|>#<]|\$\$|```)")
PLAIN_BOXES = ["note", "tip", "hint", "important", "warning", "caution"]


class Directive(NamedTuple):
    """One directive: ``{name} argument``, its options and what stands in it."""

    name: str
    argument: str
    options: dict[str, str]
    body: str
    indent: str

    @property
    def classes(self) -> list[str]:
        return self.options.get("class", "").split()


class Prose(NamedTuple):
    """Markdown between directives."""

    text: str


class Code(NamedTuple):
    """A block of code, with its fences."""

    text: str


class Place(NamedTuple):
    """What a label names: its words, and where it is.

    `file` is None where it is on a page that only the book has; `page` is then its title.
    """

    words: str
    file: str | None
    anchor: str = ""
    page: str = ""


@dataclass
class Course:
    """All that a notebook may refer to."""

    places: dict[str, Place] = field(default_factory=dict)
    terms: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Entry] = field(default_factory=dict)
    exercises: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, notebooks: Mapping[str, Any], book: Path) -> Course:
        """What the notebooks, parsed, by name, and the pages and sources in `book` name."""
        course = cls()
        for name, notebook in notebooks.items():
            cells = (cell for cell in notebook["cells"] if cell["cell_type"] == "markdown")
            course.add(name, "\n\n".join("".join(c["source"]) for c in cells), f"{name}.ipynb")
        for page in sorted(book.glob("*.md")):
            text = page.read_text(encoding="utf-8")
            course.add(page.stem, text, page.name if page.stem == "glossary" else None)
        for sources in book.glob("*.bib"):
            course.sources |= dict(parse_file(str(sources)).entries.items())
        return course

    def add(self, stem: str, text: str, file: str | None) -> None:
        """Take note of what the document `stem` names: itself, its exercises, targets and terms."""
        title = next(map(title_of, filter(title_of, text.split("\n"))), stem)
        self.places[stem] = Place(title, file, page=title)
        chapter = re.match(r"0*(\d+)[a-z]?_", stem)
        for part in parts(text):
            if isinstance(part, Prose):
                self.places |= {
                    label: Place(words, file, anchor(words), title)
                    for label, words in targets(part.text)
                }
            elif isinstance(part, Directive) and part.name == "exercise" and chapter:
                # Those of a page with a letter, such as 01b, follow the chapter's.
                self.exercises[chapter[1]] += 1
                words = f"Exercise {chapter[1]}.{self.exercises[chapter[1]]}"
                self.places[part.options["label"]] = Place(words, file, page=title)
            elif isinstance(part, Directive) and part.name == "glossary":
                for terms, _ in entries(part.body):
                    self.terms |= dict.fromkeys(map(str.casefold, terms), anchor(terms[0]))


def parts(text: str) -> Iterator[Prose | Code | Directive]:
    """Cut Markdown into prose, blocks of code and directives."""
    lines, prose = iter(text.split("\n")), list[str]()
    for line in lines:
        opening = FENCE.fullmatch(line)
        if opening is None:
            prose.append(line)
            continue
        yield Prose("\n".join(prose))
        prose = []
        inside = list(until(opening["fence"], lines))
        if not opening["name"]:
            yield Code("\n".join([line, *inside, opening["indent"] + opening["fence"]]))
            continue
        inside = [each.removeprefix(opening["indent"]) for each in inside]
        options = dict[str, str]()
        while inside and (option := OPTION.fullmatch(inside[0])):
            options[option["key"]] = option["value"] or ""
            inside.pop(0)
        body = "\n".join(inside).strip("\n")
        yield Directive(opening["name"], opening["argument"], options, body, opening["indent"])
    yield Prose("\n".join(prose))


def until(fence: str, lines: Iterator[str]) -> Iterator[str]:
    """The lines before the one that closes `fence`."""
    closing = re.compile(rf" *{fence[0]}{{{len(fence)},}} *")
    for line in lines:
        if closing.fullmatch(line):
            return
        yield line


def title_of(line: str) -> str:
    """The words of a heading; nothing for any other line."""
    heading = HEADING.fullmatch(line)
    return heading["title"] if heading else ""


def targets(text: str) -> Iterator[tuple[str, str]]:
    """Each label that stands above a heading, with the words of that heading."""
    lines = [line for line in text.split("\n") if line.strip()]
    for line, following in pairwise(lines):
        if target := TARGET.fullmatch(line):
            yield target["label"], title_of(following)


def anchor(words: str) -> str:
    """What JupyterLab calls a heading with these words."""
    return re.sub(r"[*`]", "", words).replace(" ", "-")


def entries(body: str) -> Iterator[tuple[list[str], str]]:
    """The terms of each entry of a glossary, and what they mean."""
    terms, meaning = list[str](), list[str]()
    for line in [*body.split("\n"), "end"]:
        if line.startswith(" ") or not line:
            meaning.append(line.strip())
            continue
        if any(meaning):
            yield terms, "\n".join(meaning).strip()
            terms, meaning = [], []
        terms.append(line)


def github_slug(words: str) -> str:
    """What GitHub and VS Code call a heading with these words."""
    return re.sub(r"[^\w -]", "", words.casefold()).replace(" ", "-")


@dataclass
class Writer:
    """Writes one document, `file`, of the course in plain Markdown."""

    course: Course
    file: str

    def plain(self, text: str) -> str:
        """`text` without directives and roles."""
        written = (self.part(part).strip("\n") for part in parts(text))
        return "\n\n".join(filter(None, written))

    def part(self, part: Prose | Code | Directive) -> str:
        if isinstance(part, Code):
            return part.text
        if isinstance(part, Prose):
            return self.prose(part.text)
        return indented(part.indent, self.directive(part))

    def prose(self, text: str) -> str:
        """Prose without roles, comments and labels."""
        lines = text.split("\n")
        kept = [x for x in lines if not (TARGET.fullmatch(x) or COMMENT.fullmatch(x))]
        return INLINE.sub(self.inline, "\n".join(kept))

    def directive(self, box: Directive) -> str:
        """A directive as quote, fold, picture, formula, or what else says the same."""
        if "dropdown" in (box.name, *box.classes):
            return fold(self.plain(box.argument), self.plain(box.body))
        if box.name == "admonition":
            return self.box(box.argument, box.body, box.classes)
        if box.name in PLAIN_BOXES:
            text = f"{box.argument}\n{box.body}".strip()
            return self.box(box.name.capitalize(), text, [box.name])
        written: dict[str, Callable[[Directive], str]] = {
            "exercise": self.exercise,
            "figure": self.figure,
            "image": self.figure,
            "glossary": self.glossary,
            "math": lambda box: f"$$\n{box.argument or box.body}\n$$",
        }
        if box.name not in written:
            raise ValueError(
                f"{self.file}: nothing says how the directive {{{box.name}}} reads outside the "
                "book. Add it to Writer.directive in tools/plain_markdown.py."
            )
        return written[box.name](box)

    def box(self, title: str, body: str, kind: list[str]) -> str:
        """A quote with a bold title; one that only says what kind of box it is runs on."""
        text = self.plain(body)
        if title.casefold() in kind and STARTS_PROSE.match(text):
            return indented("> ", f"**{title}.** {text}")
        return indented("> ", f"**{self.plain(title)}**\n\n{text}")

    def exercise(self, box: Directive) -> str:
        """The exercise with its number, as in the book, and with the way to its hints."""
        label = box.options["label"]
        module, _, name = label.partition("-")
        call = f"{module}.{name.replace('-', '_')}"
        title = f"**{self.course.places[label].words} · {self.plain(box.argument)}**"
        stuck = f"Stuck? Run `{call}.hint()`, again for the next hint, or `{call}.solution()`."
        return indented("> ", "\n\n".join([title, self.plain(box.body), stuck]))

    def figure(self, box: Directive) -> str:
        """A picture with its caption."""
        alt = box.options.get("alt", "")
        return f"![{alt}]({box.argument.strip()})\n\n{self.plain(box.body)}"

    def glossary(self, box: Directive) -> str:
        """Each term as a heading, so that every front end can link to it."""
        written = []
        for terms, meaning in sorted(entries(box.body), key=lambda entry: entry[0][0].casefold()):
            first, *others = terms
            also = f"*Also: {', '.join(others)}.* " if others else ""
            place = anchor(first)
            # JupyterLab knows the heading by its words; where others do not, they find this.
            named = f'<a id="{place}"></a>\n\n' if place != github_slug(first) else ""
            written.append(f"{named}## {first}\n\n{also}{self.plain(meaning)}")
        return "\n\n".join(written)

    def inline(self, match: re.Match[str]) -> str:
        """A role, or a link to a label, as words and link."""
        if match["ticks"]:
            return match[0]
        if match["label"] in self.course.places:
            # "exercise [1](ch04-rules)" counts within the chapter; its box says 4.1.
            words = "%s" if match["text"].isdigit() else match["text"]
            return self.reference(match["label"], words)
        if match["label"]:
            return match[0]
        words, target = match["words"], match["words"]
        if explicit := EXPLICIT.fullmatch(words):
            words, target = explicit["text"], explicit["target"]
        own = words if explicit else None
        roles: dict[str, Callable[[], str]] = {
            "ref": lambda: self.reference(target, own),
            "numref": lambda: self.reference(target, own),
            "doc": lambda: self.reference(target.rpartition("/")[2], own),
            "term": lambda: self.term(target, words),
            "cite:t": lambda: self.cite(target, "{names} ({rest})"),
            "cite:p": lambda: f"({self.cite(target, '{names}, {rest}')})",
            "math": lambda: f"${match['words']}$",
        }
        if match["role"] not in roles:
            raise ValueError(
                f"{self.file}: nothing says how the role {match[0]} reads outside the book. "
                "Add it to Writer.inline in tools/plain_markdown.py."
            )
        return roles[match["role"]]()

    def reference(self, label: str, words: str | None) -> str:
        """A link to what `label` names; words alone where this document or the book has it."""
        place = self.found(self.course.places, label, "label")
        words = (words or place.words).replace("%s", place.words.rpartition(" ")[2])
        if place.file is None:
            page = f"*{place.page}*"
            return (
                f"{page} (in the book)" if words == place.page else f"{words} (in the book: {page})"
            )
        file = "" if place.file == self.file else place.file
        where = f"{file}#{place.anchor}" if place.anchor else file
        return f"[{words}]({where})" if where else words

    def term(self, term: str, words: str) -> str:
        """A link to the term's entry in the glossary."""
        place = self.found(self.course.terms, " ".join(term.casefold().split()), "term")
        return f"[{words}]({'' if self.file == 'glossary.md' else 'glossary.md'}#{place})"

    def cite(self, keys: str, how: str) -> str:
        """Authors and year, with a link; where the source has none, with its title."""
        return "; ".join(
            citation(self.found(self.course.sources, key.strip(), "source"), how)
            for key in keys.split(",")
        )

    def found(self, known: Mapping[str, T], name: str, what: str) -> T:
        """What `name` stands for."""
        if name not in known:
            raise ValueError(f"{self.file} refers to the {what} {name!r}, which the course lacks.")
        return known[name]


def indented(prefix: str, text: str) -> str:
    """`text` with `prefix` before each line."""
    return "\n".join((prefix + line).rstrip() for line in text.split("\n"))


def fold(summary: str, text: str) -> str:
    """What opens on a click; the blank lines let every front end read Markdown inside."""
    return f"<details>\n<summary><b>{summary}</b></summary>\n\n{text}\n\n</details>"


def citation(source: Entry, how: str) -> str:
    """One source: `how` says how `{names}` and `{rest}`, its year, are put together."""
    title, year = str(Text.from_latex(source.fields["title"])), source.fields["year"]
    link = link_to(source)
    if not link:
        return how.format(names=names_of(source), rest=f"{year}, *{title}*")
    shown = title.replace('"', "'")
    return f'[{how.format(names=names_of(source), rest=year)}]({link} "{shown}")'


def names_of(source: Entry) -> str:
    """The last names as a text cites them."""
    people = source.persons.get("author") or source.persons["editor"]
    names = [" ".join(map(str, p.rich_prelast_names + p.rich_last_names)) for p in people]
    if len(names) > 2 or "others" in names:
        return f"{names[0]} et al."
    return " and ".join(names)


def link_to(source: Entry) -> str | None:
    """Where to find a source: what its DOI, address, arXiv number or ISBN leads to."""
    said = source.fields
    arxiv = re.search(r"arXiv:(\S+)", said.get("howpublished", ""))
    found = {
        "https://doi.org/": said.get("doi"),
        "": said.get("url"),
        "https://arxiv.org/abs/": said.get("eprint") or (arxiv and arxiv[1]),
        "https://openlibrary.org/isbn/": said.get("isbn", "").replace("-", ""),
    }
    return next((host + name for host, name in found.items() if name), None)
