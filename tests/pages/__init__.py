"""The pages of docs/reference that are made from the program itself.

Each module has a function that returns a page. What they read is the same on every machine:
no version of a library, no default that depends on the host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
MADE = (
    "<!-- Made by TEST_REGENERATE=1 pytest tests/test_reference_docs.py; "
    "what is written here by hand is lost. -->\n\n"
)


# What Markdown would not show as it stands.
_SIGNS = re.compile(r"([*<~]|(?<!\w)_|_(?!\w)|\[(?=[^\]]*\]\())")


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells may hold anything but line breaks."""
    lines = [list(head), ["---"] * len(head), *map(list, body)]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in cells)


def page(title: str, opening: str, *parts: str) -> str:
    return f"# {title}\n\n{MADE}{opening}\n{''.join(parts)}"


def code(text: str) -> str:
    return f"`{text}`"


def prose(text: str) -> str:
    """Plain words as Markdown: commands in quotes are code, signs are only signs."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"'(exportd [^']+)'", r"`\1`", text)
    pieces = text.split("`")  # every second one is code
    return "`".join(
        piece
        if number % 2
        else re.sub(r"([*<~]|(?<!\w)_|_(?!\w)|\[(?=[^\]]*\]\())", r"\\\1", piece)
        for number, piece in enumerate(pieces)
    )
