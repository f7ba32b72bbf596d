"""Bytes to text that PostgreSQL can hold, without losing a byte.

PostgreSQL's ``text`` refuses NUL, and a lone surrogate has no UTF-8 form (HAZARDS
19). Both are written as ``␛`` and four hex digits, and so is a literal ``␛``, so
that the escape can be undone. Bytes that are no UTF-8 pass as the surrogates
U+DC80 to U+DCFF of Python's ``surrogateescape`` (PEP 383).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

ESCAPE = "␛"
_UNSAFE = re.compile("[\x00\ud800-\udfff␛]")
_ESCAPED = re.compile(f"{ESCAPE}([0-9A-F]{{4}})")


def decode(raw: bytes) -> str:
    """UTF-8 as text; what PostgreSQL cannot hold is escaped."""
    return escape(raw.decode("utf-8", "surrogateescape"))


@lru_cache(maxsize=1)
def decode_head(head: bytes) -> str:
    """The same without a byte order mark: every format looks at the beginning of a file."""
    return decode(head.removeprefix(b"\xef\xbb\xbf"))


def encode(text: str) -> bytes:
    """The bytes that :func:`decode` was given."""
    return unescape(text).encode("utf-8", "surrogateescape")


def escape(text: str) -> str:
    """``text`` without NUL and lone surrogates; :func:`unescape` undoes it."""
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSAFE.sub(lambda match: f"{ESCAPE}{ord(match[0]):04X}", text)


def is_unsafe(text: str) -> bool:
    """Whether :func:`escape` would change it."""
    return _UNSAFE.search(text) is not None


def unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def count_escaped(text: str) -> int:
    """How many characters of ``text`` stand escaped, a literal ``␛`` not counted."""
    return text.count(ESCAPE) - text.count(f"{ESCAPE}241B")


def printable(text: str) -> str:
    """``text`` on one line, safe to show in a terminal or a log (file names are hostile)."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in escape(text)
    )


def escape_value(value: Any) -> Any:
    """``value`` as JSON reads it, every string in it escaped."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, list):
        return [escape_value(item) for item in value]
    if isinstance(value, dict):
        return {escape(str(key)): escape_value(item) for key, item in value.items()}
    return value
