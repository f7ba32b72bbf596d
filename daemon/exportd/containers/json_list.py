"""A JSON list of conversations: ``conversations.json`` of an account export.

The list is taken apart by its brackets and strings alone, so that a damaged conversation
costs no other; each element is then read by its format.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from ..errors import MalformedExport
from .base import Bounds, Member

_BOM = b"\xef\xbb\xbf"
_BEGIN = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\[[ \t\r\n]*(?=\{)")
# A string, a bracket, or the beginning of a string that has no end.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]|"', re.DOTALL)
_BETWEEN = re.compile(rb"[ \t\r\n,]*")
_OPENING, _QUOTE = b"[{", ord('"')
# An object by its first two keys; the value of the first is a string, number or null.
_VALUE = rb'\s*:\s*(?:"(?:[^"\\]|\\.)*"|[^",{}\[\]]*)\s*,\s*'
_KEYS = re.compile(rb'\{\s*(?P<one>"[^"\\]*")' + _VALUE + rb'(?P<two>"[^"\\]*")', re.DOTALL)
_KEY_PATTERN = rb"\{\s*%s" + _VALUE + rb"%s"


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
    """From and to of every element, with what is wrong with it.

    Behind a damaged one the next is found by how the first one begins.
    """
    begin = _BEGIN.match(raw)
    at: int | None = begin.end() if begin else 0
    alike = _alike(raw, at or 0)
    while at is not None:
        start, at = yield from _run(raw, at)
        if at is None:
            return
        after = alike.search(raw, start + 1) if alike else None
        end = after.start() if after else len(raw)
        yield start, end, "damaged, or cut off; export it again"
        at = end if after else None


def _alike(raw: bytes, at: int) -> re.Pattern[bytes] | None:
    """What begins as the element at a place does: with the same two keys."""
    keys = _KEYS.match(raw, at)
    if keys is None:
        return None
    return re.compile(
        _KEY_PATTERN % (re.escape(keys["one"]), re.escape(keys["two"])), re.DOTALL
    )


def _run(raw: bytes, at: int) -> Generator[tuple[int, int, str], None, tuple[int, int | None]]:
    """Elements until the list ends, or one does not.

    Returns where the last one begins, and None at the end of the list.
    """
    start, depth = at, 1
    for token in _TOKEN.finditer(raw, at):
        sign = raw[token.start()]
        if sign == _QUOTE:
            if len(token[0]) == 1:
                break  # cut off inside a string
        elif sign in _OPENING:
            if depth == 1:
                if _BETWEEN.fullmatch(raw, start, token.start()) is None:
                    break
                start = token.start()
            depth += 1
        else:
            depth -= 1
            if depth == 1:
                yield start, token.end(), ""
                start = token.end()
            elif depth == 0:
                yield from _stray(raw, start, token.start())
                yield from _stray(raw, token.end(), len(raw))
                return start, None
    return start, start


def _stray(raw: bytes, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """What stands behind the last element and is no comma."""
    gap = _BETWEEN.match(raw, start, end)
    first = gap.end() if gap else start
    if first < end:
        yield first, end, "this is no conversation; expected a JSON object"
