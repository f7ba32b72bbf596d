"""A JSON list of conversations: ``conversations.json`` of an account export.

The list is taken apart by its brackets and strings alone, so that a damaged conversation
costs no other; each element is then read by its format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import MalformedExport
from .base import Bounds, Member

_BOM = b"\xef\xbb\xbf"
_BEGIN = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\[[ \t\r\n]*(?=\{)")
# A string, a bracket, or the beginning of a string that has no end.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]|"', re.DOTALL)
_BETWEEN = re.compile(rb"[ \t\r\n,]*")
_OPENING, _CLOSING, _QUOTE = b"[{", b"]}", ord('"')


class JsonList:
    """Members are its elements; locators are the bytes from and to."""

    NAME = "json-list"
    TITLE = "JSON list of conversations"
    DETECTED_BY = "a JSON list whose first element is a conversation"
    HOLDS_ONE = False

    def detect(self, head: bytes) -> bool:
        return _BEGIN.match(head) is not None

    @staticmethod
    def first(head: bytes) -> bytes:
        """The first element, or as much of it as the head has."""
        start, end, _ = next(_elements(head))
        return head[start:end]

    def members(self, raw: bytes, name: str, bounds: Bounds) -> Iterator[Member]:  # noqa: ARG002
        for start, end, fault in _elements(raw):
            where = f"{start}-{end}"
            if fault:
                yield Member(name, where, fault=f"{fault} (bytes {where})")
            else:
                yield Member(name, where, bytes(raw[start:end]))

    def extract(self, raw: bytes, locator: str) -> bytes:
        start, _, end = locator.partition("-")
        found = raw[int(start) : int(end)]
        if len(found) != int(end) - int(start):
            raise MalformedExport(f"bytes {locator} are not there")
        return found


def _elements(raw: bytes) -> Iterator[tuple[int, int, str]]:
    """From and to of every element, with what is wrong with it."""
    begin = _BEGIN.match(raw)
    at = begin.end() if begin else 0
    start, depth = at, 1
    for token in _TOKEN.finditer(raw, at):
        sign = raw[token.start()]
        if sign == _QUOTE:
            if len(token[0]) == 1:
                break  # cut off inside a string
            continue
        if sign in _OPENING:
            if depth == 1:
                yield from _stray(raw, start, token.start())
                start = token.start()
            depth += 1
            continue
        depth -= 1
        if depth == 1:
            yield start, token.end(), ""
            start = token.end()
        elif depth == 0:
            yield from _stray(raw, start, token.start())
            yield from _stray(raw, token.end(), len(raw))
            return
    yield start, len(raw), "the file is cut off here; export it again"


def _stray(raw: bytes, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """What stands between two elements and is no comma."""
    gap = _BETWEEN.match(raw, start, end)
    first = gap.end() if gap else start
    if first < end:
        yield first, end, "this is no conversation; expected a JSON object"
