"""Write the book's figures into a folder, ready for slides: `make figures`.

    python -m tools.figures [--into figures] [NAME ...]    of all notebooks, or of those named

They are the figures that the notebooks stored, as SVG, with an `index.md` that says of each where it
stands and what it shows: a text for those who cannot see the slide. CC BY 4.0: name the course.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mlsys_lib import files

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
TITLE = "# Figures of Flight-Tested ML Systems"
HEADING = re.compile(r"^#{1,3} (.+)$", re.MULTILINE)
INSIDE = re.compile(r"data:image/svg\+xml;base64,([^\"]+)")
NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


class Figure(NamedTuple):
    """One figure, the heading that it stands under, and what it shows."""

    svg: bytes
    heading: str
    shows: str


def drawn(output: dict[str, Any]) -> bytes | None:
    """The SVG that an output holds, also within a figure that answers; None if it holds none."""
    data = output.get("data", {})
    if svg := "".join(data.get("image/svg+xml", "")):
        return svg.encode()
    inside = INSIDE.search("".join(data.get("text/html", "")))
    return base64.b64decode(inside[1]) if inside else None


def figures(notebook: dict[str, Any]) -> Iterator[Figure]:
    """The figures of a notebook, in its order."""
    heading = ""
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            heading = (HEADING.findall(source) or [heading])[-1]
        for output in cell.get("outputs", []):
            if svg := drawn(output):
                shows = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
                yield Figure(svg, heading, shows)


def export(notebooks: list[Path], folder: Path) -> int:
    """Write the figures of some notebooks, with their index; how many there are."""
    index = folder / "index.md"
    ours = index.exists() and index.read_text(encoding="utf-8").startswith(TITLE)
    if not ours and folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds other things; name a new folder with --into")
    lines = [TITLE, "", "CC BY 4.0: name the course.", ""]
    count = 0
    folder.mkdir(parents=True, exist_ok=True)
    for path in notebooks:
        chapter = path.stem.partition("_")[0]
        content = json.loads(path.read_text(encoding="utf-8"))
        for number, figure in enumerate(figures(content), 1):
            slug = NOT_IN_NAMES.sub("-", figure.heading.lower()).strip("-")
            name = f"{chapter}-{number:02}-{slug}.svg"
            files.write(folder / name, figure.svg)
            lines.append(f"- `{name}`: {figure.shows}")
            count += 1
    files.write(index, ("\n".join(lines) + "\n").encode())
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, default=Path("figures"), help="the folder")
    parser.add_argument("names", nargs="*", help="notebooks, such as 02_data_engineering")
    asked = parser.parse_args()
    wanted = [FOLDER / f"{Path(name).stem}.ipynb" for name in asked.names]
    if missing := [path.stem for path in wanted if not path.is_file()]:
        parser.error(f"there is no notebook {missing}; name them as in notebooks/")
    try:
        count = export(wanted or sorted(FOLDER.glob("*.ipynb")), asked.into)
    except OSError as error:
        parser.error(str(error))
    print(f"{count} figures and index.md are in {asked.into}/")


if __name__ == "__main__":
    main()
