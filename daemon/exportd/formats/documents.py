"""One JSON document: the elements of a list in it, each with its place in the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ..errors import MalformedExport
from ..models import Fault, Region, Span
from .jsonl import BOM, Line
from .records import DECODER, may_be_deep, refuse_deep

Record = tuple[int, int, Any]  # start, end (characters), value

_SPACE = re.compile(r"[ \t\r\n]*")


def elements(raw: bytes, key: str) -> tuple[dict[str, Any], Iterator[Line | Region | Fault]]:
    """A document's other members; and the objects in its list ``key`` in turn, with what lies
    between them and what is wrong.

    Lines count from 1. ``MalformedExport`` names line and column of broken JSON.
    """
    members, found = document(raw, (key,))
    return members, _elements(raw, found)


def _elements(raw: bytes, found: list[tuple[Span, Any]]) -> Iterator[Line | Region | Fault]:
    at, line = 0, 1
    for number, (span, value) in enumerate(found):
        line += raw.count(b"\n", at, span.start)
        if at < span.start:
            yield Region(Span(at, span.start), "separator" if number else "header", _AROUND)
        if isinstance(value, dict):
            yield Line(line, span, value)
        else:
            what = type(value).__name__
            yield Fault(span, f"element {number} is a {what}, expected an object", line)
        line += raw.count(b"\n", span.start, span.end)
        at = span.end
    if at < len(raw):
        yield Region(Span(at, len(raw)), "header", _AROUND)


_AROUND = "JSON around the messages"


def document(
    raw: bytes, keys: tuple[str, ...], members_of: str | None = None
) -> tuple[dict[str, Any], list[tuple[Span, Any]]]:
    """A document's members, and the elements of those of ``keys`` that are lists, with places.

    Of the object ``members_of`` it is the members: a key and its value, the place is that of
    both. ``MalformedExport`` says where the JSON is broken or cut off.
    """
    start = len(BOM) if raw.startswith(BOM) else 0
    text = raw[start:].decode("utf-8", "surrogateescape")
    try:
        members, found = read(text, keys, members_of)
    except json.JSONDecodeError as error:
        raise MalformedExport(
            f"broken or truncated JSON at line {error.lineno} of {text.count(chr(10)) + 1}, "
            f"column {error.colno}: {error.msg}; export it again"
        ) from error
    except RecursionError as error:
        raise MalformedExport("JSON nested too deeply to be a conversation") from error
    if may_be_deep(text):
        for part in (members, *(value for _, _, value in found)):
            refuse_deep([part])
    return members, list(placed(text, found, start))


def placed(text: str, found: list[Record], offset: int = 0) -> Iterator[tuple[Span, Any]]:
    """Values with their places in bytes; ``offset`` is where ``text`` begins in the file."""
    at = 0
    for first, last, value in found:
        begin = offset + _size(text[at:first])
        offset, at = begin + _size(text[first:last]), last
        yield Span(begin, offset), value


def read(
    text: str, keys: tuple[str, ...], members_of: str | None = None, at: int = 0
) -> tuple[dict[str, Any], list[Record]]:
    """The object that begins at ``at``: its other members, and what :func:`document` finds.

    ``JSONDecodeError`` and ``RecursionError`` are left to the caller.
    """
    members: dict[str, Any] = {}
    found: list[Record] = []
    at = _expect(text, _skip(text, at), "{")
    while text[at : at + 1] != "}":
        key, at = DECODER.raw_decode(text, at)
        if not isinstance(key, str):
            raise json.JSONDecodeError("Expecting a key in quotes", text, at)
        at = _expect(text, _skip(text, at), ":")
        opening = text[at : at + 1]
        if key in keys and opening == "[":
            at = _list(text, at, found)
        elif key == members_of and opening == "{":
            at = _object(text, at, found)
        else:
            members[key], at = DECODER.raw_decode(text, at)
        at = _next(text, at, "}")
    if (end := _skip(text, at + 1)) != len(text):
        raise json.JSONDecodeError("Text after the end of the object", text, end)
    return members, found


def _list(text: str, at: int, found: list[Record]) -> int:
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        value, end = DECODER.raw_decode(text, at)
        found.append((at, end, value))
        at = _next(text, end, "]")
    return at + 1


def _object(text: str, at: int, found: list[Record]) -> int:
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        key, end = DECODER.raw_decode(text, at)
        value, end = DECODER.raw_decode(text, _expect(text, _skip(text, end), ":"))
        found.append((at, end, (key, value)))
        at = _next(text, end, "}")
    return at + 1


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _expect(text: str, at: int, sign: str) -> int:
    if text[at : at + 1] != sign:
        raise json.JSONDecodeError(f"Expecting {sign!r}", text, at)
    return _skip(text, at + 1)


def _next(text: str, at: int, closing: str) -> int:
    """Past a comma, or to the closing sign; a trailing comma there is forgiven (FORMATS 4)."""
    at = _skip(text, at)
    return at if text[at : at + 1] == closing else _expect(text, at, ",")


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))
