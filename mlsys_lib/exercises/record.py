"""What a reader has solved and tried: kept beside his notebooks, and told to him.

The record is a file of JSON in the folder ``my_notebooks`` in which, or below which, the notebook runs;
``MLSYS_PROGRESS`` names another file. Several kernels may write to it at once.
"""

import html
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

__all__ = ["Progress", "certified", "note", "place", "read", "save_new"]

FOLDER = "my_notebooks"
NO_PLACE = (
    f"Not recorded: the notebook runs in no folder {FOLDER}, and MLSYS_PROGRESS names no file."
)


@dataclass(frozen=True)
class Progress:
    """What is solved and what is tried, of all exercises by chapter; it shows itself as a list."""

    chapters: Mapping[str, Sequence[str]]
    solved: frozenset[str] = frozenset()
    tried: frozenset[str] = frozenset()
    kept: str = ""

    @property
    def next(self) -> str | None:
        """The first exercise that is not solved; None where all are."""
        names = (f"{chapter}.{name}" for chapter, all_ in self.chapters.items() for name in all_)
        return next((name for name in names if name not in self.solved), None)

    def __repr__(self) -> str:
        lines = []
        for chapter, names in self.chapters.items():
            done = sum(f"{chapter}.{name}" in self.solved for name in names)
            lines += [f"{chapter}  {done} of {len(names)} solved"]
            lines += [f"  [{self._mark(f'{chapter}.{name}')}] {name}" for name in names]
        lines += ["x solved, / tried, blank: not begun"]
        return "\n".join([*lines, *[self.kept] * bool(self.kept), self._next()])

    def _mark(self, name: str) -> str:
        return "x" if name in self.solved else "/" if name in self.tried else " "

    def _next(self) -> str:
        if self.next is None:
            return "All exercises are solved: make the certificate with mlsys_lib.exercises.certificate()."
        return f"Next: {self.next}"


def place() -> Path | None:
    """The file in which progress is recorded from here; None where there is none."""
    if named := os.environ.get("MLSYS_PROGRESS"):
        return Path(named)
    here = Path.cwd()
    folder = next((p for p in [here, *here.parents] if p.name == FOLDER), None)
    return None if folder is None else folder / "progress.json"


def read(file: Path) -> dict[str, list[str]]:
    """The names of the exercises "solved" and "tried", as recorded in `file`.

    Raises
    ------
    ValueError
        If the file cannot be read; it is left as it is.
    """
    if not file.exists():
        return {"solved": [], "tried": []}
    try:
        kept: Any = json.loads(file.read_text(encoding="utf-8"))
        return {key: [str(name) for name in kept.get(key, [])] for key in ("solved", "tried")}
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{file} cannot be read as a record of progress; move it away and checks start a new one"
        ) from error


def note(name: str, *, solved: bool) -> str:
    """Record that an exercise was solved or tried; return what to tell the reader, if it could not be."""
    file = place()
    if file is None:
        return f"\n{NO_PLACE}" if solved else ""
    try:
        with _alone(file):
            kept = read(file)
            names = set(kept["solved" if solved else "tried"])
            if name not in names and (solved or name not in kept["solved"]):
                kept["solved" if solved else "tried"] = sorted(names | {name})
                _write(file, json.dumps(kept, indent=2))
    except (OSError, ValueError, sqlite3.Error) as error:
        return f"\nNot recorded: {error}"
    return ""


def certified(progress: Progress, name: str, day: date) -> str:
    """The certificate as a page to print.

    Raises
    ------
    ValueError
        If an exercise is not solved.
    """
    if progress.next is not None:
        raise ValueError(f"not all exercises are solved yet; the next is {progress.next}")
    rows = "".join(
        f"<tr><td>{html.escape(chapter)}</td><td>{html.escape(', '.join(names))}</td></tr>"
        for chapter, names in progress.chapters.items()
    )
    count = sum(map(len, progress.chapters.values()))
    return _PAGE.format(
        who=f"<p class='who'>{html.escape(name)}</p>" if name else "",
        count=count,
        chapters=len(progress.chapters),
        day=f"{day:%d %B %Y}",
        rows=rows,
    )


def save_new(file: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises
    ------
    FileExistsError
        If it is there; it stays as it is.
    """
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise FileExistsError(
            f"{file} is there already and stays as it is; name another file, or move it away"
        ) from error


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One process at a time: SQLite's lock works on every system, and ends with its holder."""
    lock = file.with_name(f".{file.name}.lock")
    with closing(sqlite3.connect(lock, timeout=10, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield


def _write(file: Path, text: str) -> None:
    """Write all of it or nothing."""
    with tempfile.NamedTemporaryFile(
        "w", dir=file.parent, delete=False, encoding="utf-8"
    ) as scratch:
        scratch.write(text)
    os.replace(scratch.name, file)


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Flight-Tested ML Systems: certificate</title>
<style>
  body {{ font: 12pt/1.5 Georgia, serif; max-width: 42em; margin: 3em auto; padding: 0 1em; }}
  h1 {{ font-weight: normal; text-align: center; }}
  .who {{ font-size: 20pt; text-align: center; }}
  table {{ border-collapse: collapse; font-size: 10pt; }}
  td {{ border-top: 1px solid #999; padding: .3em .8em .3em 0; vertical-align: top; }}
  @page {{ margin: 2cm; }}
</style>
<h1>Flight-Tested ML Systems</h1>
{who}
<p>All {count} exercises of {chapters} chapters are solved: each answer agreed with the course's own on every
case that its check makes. {day}.</p>
<table>{rows}</table>
<p>The checks ran on the reader's own machine, with the solutions one click away. Nobody watched.</p>
</html>
"""
