"""Prints the one command line that the README gives for a purpose: the fenced block after ``<!-- PURPOSE -->``."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def line_of(purpose: str, text: str) -> str:
    """Return the line. Raises ``SystemExit`` unless there is exactly one block with exactly one line."""
    blocks = re.findall(rf"<!-- {re.escape(purpose)} -->\n```\w*\n(.*?)\n```", text, flags=re.DOTALL)
    if len(blocks) != 1 or "\n" in blocks[0]:
        raise SystemExit(f"README: expected one line in a fenced block after <!-- {purpose} -->, found {blocks!r}")
    return str(blocks[0]).removeprefix("$ ")


if __name__ == "__main__":
    sys.stdout.write(line_of(sys.argv[1], Path(sys.argv[2]).read_text(encoding="utf-8")) + "\n")
