"""Foreign text inside a line of our own Markdown: names, titles and paths."""

from __future__ import annotations

import re
from urllib.parse import quote

from ..formats.text import printable

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&#!$@])")
_BACKTICKS = re.compile("`+")


def plain(text: str) -> str:
    """``text`` as it is, on one line: nothing in it is markup."""
    return _SPECIAL.sub(r"\\\1", printable(text))


def code(text: str, *, in_table: bool = False) -> str:
    """``text`` as a code span, whatever backticks it has; a table needs its bars escaped."""
    text = printable(text) or " "
    if in_table:
        text = text.replace("|", r"\|")
    fence = "`" * (max(map(len, _BACKTICKS.findall(text)), default=0) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def link(text: str, target: str) -> str:
    """A link to a path, relative to the document."""
    return f"[{plain(text)}]({quote(target.encode('utf-8', 'surrogateescape'))})"
