"""Keep the course's notebooks whole: `make notebooks`.

    python tools/notebooks.py sync [NAME ...]    stub cells from mlsys_lib.exercises
    python tools/notebooks.py run [NAME ...]     execute and store the outputs

A stub cell is a code cell whose metadata names its exercise:
    {"exercise": "ch02_data_engineering.to_utc"}
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from mlsys_lib import files

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
# One kernel for every reader; what else a kernel says about itself differs by machine.
METADATA = {
    "kernelspec": {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}
VOLATILE = ("execution", "ExecuteTime", "trusted", "collapsed", "scrolled")


def exercise(cell: Any) -> Any | None:
    """The exercise that a stub cell belongs to; None for any other cell."""
    name = cell.metadata.get("exercise")
    if name is None:
        return None
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(f"mlsys_lib.exercises.{module}"), attribute)
    except (ImportError, AttributeError) as error:
        sys.exit(f"A cell is for the exercise {name!r}, which is not there: {error}")


def stub_cells(notebook: Any) -> Iterator[tuple[Any, Any]]:
    """Each stub cell with its exercise."""
    for cell in notebook.cells:
        task = exercise(cell)
        if task is not None:
            yield cell, task


def tidy(notebook: Any) -> None:
    """Drop what differs from run to run and from machine to machine."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        for key in VOLATILE:
            cell.metadata.pop(key, None)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)


def execute(notebook: Any, folder: Path, progress: Callable[[str], None] | None = None) -> None:
    """Run all cells in a fresh kernel of this interpreter, in `folder`."""
    started = time.perf_counter()
    count = len(notebook.cells)

    def say(cell: Any, cell_index: int) -> None:
        if progress and cell.cell_type == "code":
            seconds = time.perf_counter() - started
            lines = [line for line in cell.source.splitlines() if line.strip()]
            first = lines[0][:60] if lines else "(empty)"
            progress(f"  {seconds:5.1f} s  cell {cell_index + 1}/{count}  {first}")

    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=1200,
        resources={"metadata": {"path": str(folder)}},
        on_cell_start=say,
        record_timing=False,
    )
    # No clock in the figures, so that a second run stores the same bytes.
    client.execute(env={**os.environ, "SOURCE_DATE_EPOCH": "0"})


def read(path: Path) -> Any:
    """The notebook; a cell without an id gets one from its place and text."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["nbformat"], content["nbformat_minor"] = 4, 5
    for position, cell in enumerate(content["cells"]):
        text = f"{position}\n{''.join(cell['source'])}"
        cell.setdefault("id", hashlib.sha256(text.encode()).hexdigest()[:8])
    return nbformat.reads(json.dumps(content), as_version=4)


def write(path: Path, notebook: Any) -> None:
    """Write all of it or nothing."""
    files.write(path, f"{nbformat.writes(notebook)}\n".encode())


def sync(path: Path) -> None:
    """Fill the stub cells of one notebook."""
    notebook = read(path)
    changed = 0
    for cell, task in stub_cells(notebook):
        if cell.source != task.stub:
            cell.source, cell.outputs, cell.execution_count = task.stub, [], None
            changed += 1
    if changed:
        tidy(notebook)
        write(path, notebook)
    print(f"{path.name}: {changed} stub cells changed")


def run(path: Path) -> None:
    """Execute one notebook and store its outputs; after an error it stays as it was."""
    print(path.name, flush=True)
    notebook = read(path)
    try:
        execute(notebook, path.parent, lambda line: print(line, flush=True))
    except CellExecutionError as error:
        sys.exit(f"{error}\n{path.name} was not changed: the cell above failed.")
    tidy(notebook)
    write(path, notebook)


def main(task: str, *names: str) -> None:
    """Do `task` for the named notebooks, or for all."""
    wanted = [FOLDER / f"{Path(name).stem}.ipynb" for name in names]
    for path in wanted or sorted(FOLDER.glob("*.ipynb")):
        {"sync": sync, "run": run}[task](path)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("sync", "run"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
