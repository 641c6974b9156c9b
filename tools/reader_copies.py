"""Copy the notebooks into my_notebooks/, the reader's folder, without touching his work.

    python -m tools.reader_copies

A notebook that he has not got is handed out. One that is still as it was handed out is
refreshed. Any other is his: it stays, and the new version is laid beside it. The glossary
goes with them, by the same rules. All are in plain Markdown (plain_markdown.py), and hold
neither what the reader is to predict nor what he is to solve.
"""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import yaml
from ipykernel.ipkernel import IPythonKernel
from nbformat.sign import NotebookNotary

from mlsys_lib import files
from tools.plain_markdown import STARTS_PROSE, Course, Writer, fold

Cell = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ".handed_out.json"
HIDE = "hide-output"  # the tag of a cell whose output follows a prediction
FEEDBACK = re.compile(r"\.(check|hint|solution)\(")
PICTURE = re.compile(r"(?P<alt>!\[[^\]]*\])\((?!\w+:)(?P<path>[^)]+)\)")
# What JupyterLab would write on opening: a copy that was only read stays as it was handed out.
METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": IPythonKernel.language_info,
}
INSTALL = '%pip install "mlsys-lib[course,serving] @ {}"'
FIRST_CELL = """\
# Says what to run where the course is missing; silent where it is installed.
try:
    import mlsys_lib
except ImportError as missing:
    import sys

    if "google.colab" in sys.modules:
        remedy = {colab!r}
    elif "__vsc_ipynb_file__" in globals():
        remedy = "In the folder of the course run `make env`, then choose its .venv as the kernel (top right)."
    else:
        remedy = "In the folder of the course run `make lab`, and open this notebook there."
    print(missing, remedy, sep=". ")
"""


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read_notebook(path: Path) -> dict[str, Any]:
    """The notebook as parsed JSON."""
    try:
        content = dict(json.loads(path.read_text(encoding="utf-8")))
        content["cells"] = list(content["cells"])
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(
            f"{path} is not a notebook ({error!r}). Nothing was copied. "
            f"Restore it: git checkout -- {path.parent.name}/{path.name}"
        )
    return content


def reader_version(notebook: Path, course: Course) -> bytes:
    """The notebook in plain Markdown, without what the reader is to predict or to solve first."""
    content = read_notebook(notebook)
    writer = Writer(course, notebook.name)
    after_prediction = False
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            after_prediction = HIDE in cell.get("metadata", {}).get("tags", [])
            strip(cell)
        elif cell["cell_type"] == "markdown":
            text = writer.plain("".join(cell["source"]))
            text = with_fold(text) if after_prediction else text
            cell["source"] = attached(cell, text, notebook.parent).splitlines(keepends=True)
            after_prediction = False
    content["metadata"] = METADATA
    content["cells"].insert(0, first_cell(notebook.parent.parent / "_config.yml"))
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def strip(cell: Cell) -> None:
    """Drop the output if the reader is to predict it, or to bring it about."""
    metadata = cell.get("metadata", {})
    if (
        HIDE in metadata.get("tags", [])
        or "exercise" in metadata
        or FEEDBACK.search("".join(cell["source"]))
    ):
        cell["outputs"], cell["execution_count"] = [], None


def with_fold(text: str) -> str:
    """`text` with its beginning, which tells what was to be predicted, in a fold."""
    if not STARTS_PROSE.match(text):
        return text
    told, *rest = text.split("\n\n")
    while (
        rest and not STARTS_PROSE.match(rest[0]) and not rest[0].startswith(("#", ">", "<", "```"))
    ):
        told += "\n\n" + rest.pop(0)
    return "\n\n".join([fold("What it shows", told), *rest])


def attached(cell: Cell, text: str, folder: Path) -> str:
    """`text` with the pictures that it shows put into the cell: their files stay behind."""

    def attach(match: re.Match[str]) -> str:
        picture = (folder / match["path"]).resolve()
        kind = mimetypes.guess_type(picture.name)[0]
        data = base64.b64encode(picture.read_bytes()).decode()
        cell.setdefault("attachments", {})[picture.name] = {kind: data}
        return f"{match['alt']}(attachment:{picture.name})"

    return PICTURE.sub(attach, text)


def first_cell(config: Path) -> Cell:
    """A cell that says, where the course is missing, what to run; elsewhere it is silent."""
    said = yaml.safe_load(config.read_text(encoding="utf-8")) if config.exists() else {}
    repository = said.get("repository", {})
    if address := repository.get("url"):
        install = INSTALL.format(f"git+{address}@{repository.get('branch', 'main')}")
        colab = f"Run {install}, then Runtime > Restart session."
    else:
        colab = (
            "In the folder of the course run: git archive -o course.zip HEAD. Upload course.zip "
            f"here (Files, on the left), run {INSTALL.format('file:///content/course.zip')}, "
            "then Runtime > Restart session."
        )
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": "is-the-course-here",
        "metadata": {"jupyter": {"source_hidden": True}},
        "outputs": [],
        "source": FIRST_CELL.format(colab=colab).splitlines(keepends=True),
    }


def read_manifest(mine: Path) -> dict[str, str]:
    """What was handed out: notebook name to sha256."""
    path = mine / MANIFEST
    if not path.exists():
        return {}
    try:
        manifest = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        sys.exit(
            f"{path} cannot be read ({error}). Your notebooks are untouched. Delete "
            "that file and run this again: each of yours stays as it is, and new "
            "versions are laid beside them."
        )
    return manifest


def versions_in(notebooks: Path) -> dict[str, bytes]:
    """All that is handed out, by name."""
    paths = sorted(notebooks.glob("*.ipynb"))
    if not paths:
        sys.exit(f"No notebooks in {notebooks}.")
    course = Course.read(
        {path.stem: read_notebook(path) for path in paths}, notebooks.parent / "book"
    )
    versions = {path.name: reader_version(path, course) for path in paths}
    for glossary in notebooks.parent.glob("book/glossary.md"):
        text = Writer(course, glossary.name).plain(glossary.read_text(encoding="utf-8"))
        versions[glossary.name] = f"{text}\n".encode()
    return versions


def hand_out(notebooks: Path, mine: Path) -> list[str]:
    """Bring `mine` up to date with `notebooks`; one line for each thing done."""
    versions = versions_in(notebooks)
    mine.mkdir(exist_ok=True)
    handed_out = read_manifest(mine)
    said = []
    for name, new in sorted(versions.items()):
        copy = mine / name
        old = copy.read_bytes() if copy.exists() else None
        if old is None or (sha(old) == handed_out.get(name) and old != new):
            files.write(copy, new)
            said.append(f"{'new' if old is None else 'refreshed'}: {copy}")
        elif sha(old) == sha(new) or handed_out.get(name) == sha(new):
            pass  # as it is in the course, or changed only by the reader
        else:
            beside = mine / f"{copy.stem}.new-{sha(new)[:8]}{copy.suffix}"
            if not beside.exists():
                files.write(beside, new)
            said.append(f"kept yours: {copy}; the new version is {beside.name}")
            continue
        handed_out[name] = sha(new)
        files.write(mine / MANIFEST, json.dumps(handed_out, indent=1).encode())
    return said


def trust(mine: Path) -> None:
    """Sign the copies that are as handed out: JupyterLab shows no figure of a notebook without."""
    fresh = read_manifest(mine).values()
    with NotebookNotary() as notary:
        for copy in mine.glob("*.ipynb"):
            digest = sha(copy.read_bytes())
            if digest in fresh or f".new-{digest[:8]}." in copy.name:
                notary.sign(nbformat.read(copy, as_version=4))


if __name__ == "__main__":
    print(*hand_out(ROOT / "notebooks", ROOT / "my_notebooks"), sep="\n")
    trust(ROOT / "my_notebooks")
