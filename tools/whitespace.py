"""Mend trailing whitespace and the end of each named file; fail if one changed."""

import re
import sys
from pathlib import Path


def mend(content: bytes) -> bytes:
    content = re.sub(rb"[ \t]+$", b"", content, flags=re.MULTILINE)
    return content.rstrip(b"\n") + b"\n" if content.strip() else b""


if __name__ == "__main__":
    changed = 0
    for path in map(Path, sys.argv[1:]):
        before = path.read_bytes()
        after = mend(before)
        if after != before:
            path.write_bytes(after)
            print(f"mended {path}")
            changed = 1
    sys.exit(changed)
