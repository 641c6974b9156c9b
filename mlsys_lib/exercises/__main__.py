"""Show which exercises are solved, and write the certificate.

python -m mlsys_lib.exercises
python -m mlsys_lib.exercises certificate [--name "Ada Lovelace"] [--file certificate.html]
"""

import argparse
import sys

from mlsys_lib.exercises import certificate, progress


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m mlsys_lib.exercises", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("what", nargs="?", choices=["progress", "certificate"], default="progress")
    parser.add_argument("--name", default="", help="the name on the certificate")
    parser.add_argument("--file", default="certificate.html", help="where to write it")
    asked = parser.parse_args()
    try:
        if asked.what == "progress":
            print(progress())
        else:
            print(
                f"Written: {certificate(asked.name, file=asked.file)}; open it in a browser to print it."
            )
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
