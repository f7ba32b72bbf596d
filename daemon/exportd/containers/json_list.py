"""A JSON list of conversations: ``conversations.json`` of an account export.

The list is taken apart by its brackets and strings alone, so that a damaged conversation
costs no other; each element is then read by its format. A piece of the file is looked at
at a time, for it may have gigabytes.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import BinaryIO

from ..errors import MalformedExport
from ..models import Raw
from .base import Bounds, Member, Put, copy

_PIECE_BYTES = 1024 * 1024
_HEAD_BYTES = 65_536  # so much has what is looked for at most
# So often is all of a list read for damaged elements, of which each may seem to go on to its
# end; then each of those that are left ends where the next one begins.
_READINGS = 16
_BEGIN = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\[[ \t\r\n]*(?=\{)")
# A string, a bracket, or the beginning of a string that does not end in this piece.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]|"', re.DOTALL)
_REST_OF_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_SOMETHING = re.compile(rb"[^ \t\r\n,]")
_OPENING, _QUOTE = b"[{", ord('"')
# An object by its first two keys; the value of the first is a string, number or null.
# Nothing is tried twice: white space of kilobytes would be divided up in every way there is.
_VALUE = rb'\s*+:\s*+(?:"(?:[^"\\]++|\\.)*+"\s*+|[^",{}\[\]]*+),\s*+'
_KEYS = re.compile(rb'\{\s*+(?P<one>"[^"\\]*+")' + _VALUE + rb'(?P<two>"[^"\\]*+")', re.DOTALL)
_KEY_PATTERN = rb"\{\s*+%s" + _VALUE + rb"%s"


class JsonList:
    """Members are its elements; locators are the bytes from and to."""

    NAME = "json-list"
    TITLE = "JSON list of conversations"
    DETECTED_BY = "a JSON list whose first element is a conversation"
    HOLDS_ONE = False
    MEMBER = "conversation"

    def detect(self, head: bytes, size_bytes: int) -> bool:  # noqa: ARG002
        return _BEGIN.match(head) is not None

    @staticmethod
    def first(head: bytes) -> bytes:
        """The first element, or as much of it as the head has."""
        start, end, _ = next(_elements(head))
        return head[start:end]

    def members(self, raw: Raw, name: str, bounds: Bounds) -> Iterator[Member]:
        for start, end, fault in _elements(raw):
            where = f"{start}-{end}"
            if fault:
                yield Member(name, where, fault=f"{fault} (bytes {where})")
            elif end - start > bounds.max_bytes:
                yield Member(name, where, fault=_too_large(end - start, bounds))
            else:
                yield Member(name, where, raw[start:end])

    def extract(self, raw: Raw, locator: str) -> bytes:
        start, _, end = locator.partition("-")
        found = raw[int(start) : int(end)]
        if len(found) != int(end) - int(start):
            raise MalformedExport(f"bytes {locator} are not there")
        return found

    def rewrite(self, raw: Raw, name: str, bounds: Bounds, put: Put, out: BinaryIO) -> None:  # noqa: ARG002
        """What stands between two elements goes with the second one."""
        before, is_first, end = 0, True, 0
        for start, end, fault in _elements(raw):
            where = f"{start}-{end}"
            member = Member(name, where, Slice(raw, start, end), fault)
            found = member.raw if fault else put(member)
            if before == 0:
                copy(raw, out, 0, start)
            elif found is not None and not is_first:
                copy(raw, out, before, start)
            if found is not None:
                copy(found, out)
                is_first = False
            before = end
        copy(raw, out, end)


class Slice:
    """A part of what may be too large to be held."""

    def __init__(self, raw: Raw, start: int, end: int) -> None:
        self._raw = raw
        self._start = start
        self._size_bytes = end - start

    def __len__(self) -> int:
        return self._size_bytes

    def __getitem__(self, part: slice, /) -> bytes:
        start, stop, _ = part.indices(self._size_bytes)
        return self._raw[self._start + start : self._start + max(start, stop)]


def _too_large(size_bytes: int, bounds: Bounds) -> str:
    return (
        f"the conversation has {size_bytes:,} bytes; expected at most {bounds.max_bytes:,} "
        "(setting max_export_bytes)"
    )


def _elements(raw: Raw) -> Iterator[tuple[int, int, str]]:
    """From and to of every element, with what is wrong with it.

    Behind a damaged one the next is found by how the first one begins.
    """
    begin = _BEGIN.match(raw[:_HEAD_BYTES])
    at: int | None = begin.end() if begin else 0
    alike = _alike(raw, at or 0)
    left = _READINGS * len(raw)
    while at is not None:
        after = _search(alike, raw, at + 1) if alike and left <= 0 else None
        is_apart = after is not None
        stop = len(raw) if after is None else after
        start, reached = yield from _run(raw, at, stop)
        if reached is None:
            return
        left -= reached - start
        if alike and not is_apart:
            after = _search(alike, raw, start + 1)
        end = len(raw) if after is None else after
        if not is_apart or _search(_SOMETHING, raw, start, end) is not None:
            yield start, end, _DAMAGED
        at = after


_DAMAGED = "damaged, or cut off; export it again"


def _alike(raw: Raw, at: int) -> re.Pattern[bytes] | None:
    """What begins as the element at a place does: with the same two keys."""
    keys = _KEYS.match(raw[at : at + _HEAD_BYTES])
    if keys is None:
        return None
    return re.compile(
        _KEY_PATTERN % (re.escape(keys["one"]), re.escape(keys["two"])), re.DOTALL
    )


def _run(
    raw: Raw, at: int, stop: int
) -> Generator[tuple[int, int, str], None, tuple[int, int | None]]:
    """Elements until the list ends, or one does not before ``stop``.

    Returns where the last one begins, and how far it was read; None at the end of the list.
    """
    start, place, depth = at, at, 1
    for place, sign in _brackets(raw, at, stop):
        if sign in _OPENING:
            if depth == 1:
                if _search(_SOMETHING, raw, start, place) is not None:
                    break
                start = place
            depth += 1
        else:
            depth -= 1
            if depth == 1:
                yield start, place + 1, ""
                start = place + 1
            elif depth == 0:
                yield from _stray(raw, start, place)
                yield from _stray(raw, place + 1, len(raw))
                return start, None
    return start, place


def _brackets(raw: Raw, at: int, stop: int) -> Iterator[tuple[int, int]]:
    """Where brackets stand that are in no string, and which."""
    in_string = False
    while piece := raw[at : min(at + _PIECE_BYTES, stop)]:
        begin, end = 0, len(piece)
        if in_string:
            rest = _REST_OF_STRING.match(piece)
            begin = rest.end() if rest else 0
            if piece[begin : begin + 1] != b'"':  # it ends behind this piece, or never
                if begin == 0:
                    return  # a backslash, and nothing behind it
                at += begin
                continue
            begin += 1
            in_string = False
        for token in _TOKEN.finditer(piece, begin):
            sign = piece[token.start()]
            if sign != _QUOTE:
                yield at + token.start(), sign
            elif token.end() - token.start() == 1:
                in_string, end = True, token.end()
                break
        at += end


def _search(
    pattern: re.Pattern[bytes], raw: Raw, start: int, end: int | None = None
) -> int | None:
    """Where something is found that is no longer than ``_HEAD_BYTES``."""
    end = len(raw) if end is None else end
    while start < end:
        stop = min(start + _PIECE_BYTES, end)
        if found := pattern.search(raw[start:stop]):
            return start + found.start()
        start = stop if stop == end else stop - _HEAD_BYTES
    return None


def _stray(raw: Raw, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """What stands behind the last element and is no comma."""
    first = _search(_SOMETHING, raw, start, end)
    if first is not None:
        yield first, end, "this is no conversation; expected a JSON object"
