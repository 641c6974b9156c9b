"""Show which exercises are solved: ``make progress``."""

import os
from pathlib import Path

from mlsys_lib.exercises import chapters
from mlsys_lib.exercises.checker import progress


def main() -> None:
    place = os.environ.get("MLSYS_PROGRESS")
    solved = progress(Path(place)) if place else []
    for chapter, exercises in chapters().items():
        done = [e.name for e in exercises if f"{chapter}.{e.name}" in solved]
        print(f"{chapter}  {len(done)} of {len(exercises)}")
        for e in exercises:
            print(f"  [{'x' if e.name in done else ' '}] {e.name}")


if __name__ == "__main__":
    main()
