"""Numbers in words and in tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill

_WIDTH = 96


def reflowed(page: str) -> str:
    """Paragraphs and list items filled again, now that the numbers stand in them."""
    blocks = page.rstrip("\n").split("\n\n")
    return "\n\n".join(map(_reflowed_block, blocks)) + "\n"


def _reflowed_block(block: str) -> str:
    if block.startswith(("|", "#", "```", "<!--")):
        return block
    if block.startswith("* "):
        return "\n".join(_filled(f"* {item}", "  ") for item in block[2:].split("\n* "))
    return _filled(block, "")


def _filled(text: str, indent: str) -> str:
    words = " ".join(text.split())
    return fill(
        words, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[int] = (0,)
) -> str:
    """A table; the columns ``words`` hold words, the others numbers."""
    rule = ["---" if n in words else "---:" for n in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def pct(part: float, whole: float = 1.0) -> str:
    """A share in percent; of nothing it is a dash."""
    return f"{part / whole:.1%}" if whole else "–"


def counted(count: int, what: str, plural: str = "s") -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{count:,} {what}{'' if count == 1 else plural}"


def listed(counts: Mapping[str, int]) -> str:
    """``187 ingested, 10 unchanged``."""
    found = Counter(counts).most_common()
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in found)
