"""Text that cannot break a line, a subject or a terminal: pure."""

from __future__ import annotations

import re
from http import HTTPStatus

# Control characters, lone surrogates, and what turns the direction of writing.
_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")


def clean(text: str) -> str:
    """``text`` with line feeds as its only control characters."""
    return _UNSAFE.sub("�", _BREAKS.sub("\n", text).replace("\t", "    ")).strip()


def one_line(text: str) -> str:
    """``text`` on one line, whatever it is."""
    return " ".join(clean(text).split())


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters; ``…`` stands for what was cut off."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def status_in_words(status: int) -> str:
    """``404 Not Found``; the server's own words might quote what is secret."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
