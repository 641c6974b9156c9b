"""Copy the notebooks into my_notebooks/, the reader's folder, without touching his work.

A notebook that he has not got is handed out. One that is still as it was handed out is
refreshed. Any other is his: it stays, and the new version is laid beside it.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

from mlsys_lib import files

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ".handed_out.json"
HIDE = "hide-output"  # the tag of a cell whose output follows a prediction
FEEDBACK = re.compile(r"\.(check|hint|solution)\(")


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def reader_version(notebook: Path) -> bytes:
    """The notebook without what the reader is to predict or to solve first."""
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        cells = content["cells"]
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(
            f"{notebook} is not a notebook ({error!r}). Nothing was copied. "
            f"Restore it: git checkout -- {notebook.parent.name}/{notebook.name}"
        )
    for cell in cells:
        metadata = cell.get("metadata", {})
        if cell["cell_type"] == "code" and (
            HIDE in metadata.get("tags", [])
            or "exercise" in metadata
            or FEEDBACK.search("".join(cell["source"]))
        ):
            cell["outputs"], cell["execution_count"] = [], None
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


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


def hand_out(notebooks: Path, mine: Path) -> list[str]:
    """Bring `mine` up to date with `notebooks`; one line for each thing done."""
    versions = {path.name: reader_version(path) for path in notebooks.glob("*.ipynb")}
    if not versions:
        sys.exit(f"No notebooks in {notebooks}.")
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
            beside = mine / f"{copy.stem}.new-{sha(new)[:8]}.ipynb"
            if not beside.exists():
                files.write(beside, new)
            said.append(f"kept yours: {copy}; the new version is {beside.name}")
            continue
        handed_out[name] = sha(new)
        files.write(mine / MANIFEST, json.dumps(handed_out, indent=1).encode())
    return said


if __name__ == "__main__":
    print(*hand_out(ROOT / "notebooks", ROOT / "my_notebooks"), sep="\n")
