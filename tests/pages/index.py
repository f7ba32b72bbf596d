"""docs/index.md: every page with its first sentence."""

from __future__ import annotations

import re
from pathlib import Path

from . import DOCS

SECTIONS = {
    "how-to": "How to",
    "reference": "Reference",
    "explanation": "Explanation",
}


def index_part() -> str:
    """Every page of the three folders, with the first sentence of each."""
    parts = []
    for folder, title in SECTIONS.items():
        pages = sorted((DOCS / folder).glob("*.md"), key=lambda page: heading(page).lower())
        lines = [
            f"* [{heading(page)}]({folder}/{page.name}): {_opening(page)}\n" for page in pages
        ]
        parts.append(f"## {title}\n\n{''.join(lines)}\n")
    return "".join(parts)


def heading(page: Path) -> str:
    return next(
        line.removeprefix("# ")
        for line in page.read_text().splitlines()
        if line.startswith("# ")
    )


def _opening(page: Path) -> str:
    """Its first sentence of prose, without links: no heading, fence, table or list."""
    text = re.sub(r"<!--.*?-->", "", page.read_text(), flags=re.DOTALL)
    body = text.split("\n# " if not text.startswith("# ") else "# ", 1)[1].partition("\n")[2]
    body = re.sub(r"^```.*?^```$", "", body, flags=re.DOTALL | re.MULTILINE)
    prose = (part.strip() for part in re.split(r"\n\s*\n", body))
    first = next(part for part in prose if part and not re.match(r"#|\||[*-] |\d+\. ", part))
    first = re.sub(r"\s+", " ", first)
    first = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", first)
    sentence = re.match(r".*?\.(?=\s|$)", first)
    return (sentence[0] if sentence else first).rstrip(":.") + "."
