"""Text as a reader may see it: what would act, or hide other text, is spelled out."""

from __future__ import annotations

import re

from ...formats.text import unescape

# What a terminal acts upon, what turns the order of letters around, and what is no text.
_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")  # SGR: says how text looks, and nothing else
_ELLIPSIS = "…"


def visible(text: str) -> str:
    """Control characters, bidi marks and surrogates as ``\\x1b``; terminal colours go."""
    if text.isascii() and text.isprintable():
        return text
    return inert(_COLOUR.sub("", unescape(text)).replace("\r\n", "\n"))


def inert(text: str) -> str:
    """The same for what is HTML already: these characters are in no tag of ours."""
    return _ACTING.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def beginning(text: str, most: int) -> str:
    """The first line that says something, in one line of at most ``most`` characters."""
    words = visible(text[: 4 * most]).split()
    line = " ".join(words)
    cut = len(line) > most or len(text) > 4 * most
    return f"{line[: most - 1].rstrip()}{_ELLIPSIS}" if cut else line
