"""Indexed JSON of browser extensions (FORMATS 4), in both shapes that exist.

``{"exported_at", "title", "messages": [{"index", "type", "message"}]}`` and
``{"meta": {…}, "chats": [{"index", "type", "message": […]}]}``. The index is the
position in the page: it may have gaps, which are reported, and it may not repeat.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from ..errors import MalformedExport
from ..models import Kind, Message, Region, Span, Transcript
from .base import Confidence
from .heads import has_index, members
from .records import DECODER, KINDS, ROLES, is_index, text_of
from .text import decode, escape, escape_value

NAME = "indexed-json"
TITLE = "indexed JSON of a browser extension"
PARSER_VERSION = 1
DETECTED_BY = "a list `messages` or `chats` of records with an `index`"
VERSIONS = "claude-export, all"

_LISTS = ("messages", "chats")
_BOM = "\ufeff"
_SPACE = re.compile(r"[ \t\r\n]*")


def detect(head: bytes, name: str) -> Confidence:
    """Certain when a list ``messages`` or ``chats`` holds records that have an ``index``."""
    text = decode(head.removeprefix(b"\xef\xbb\xbf")).lstrip()
    if text.startswith("["):
        return Confidence(certain=False, reason="a JSON list, expected an object")
    if not text.startswith("{"):
        return Confidence(certain=False, reason="no JSON")
    top = members(text)
    key = next((key for key in _LISTS if text[top.get(key, len(text)) :][:1] == "["), None)
    if key is None:
        return Confidence(certain=False, reason='JSON without a list "messages" or "chats"')
    empty = text[top[key] + 1 :].lstrip().startswith("]")
    if has_index(text, top[key]) or (empty and "exported_at" in text):
        return Confidence(certain=True, reason=f'JSON with "{key}": […] of indexed records')
    reason = "JSON whose messages have no index"
    return Confidence(certain=False, reason=reason, is_near=True)


def parse(raw: bytes, name: str) -> Transcript:
    """Read a whole export; ``MalformedExport`` names line and column of what is wrong."""
    text = raw.decode("utf-8", "surrogateescape")
    try:
        header, records = _document(text)
        messages = _messages(text, records)
    except json.JSONDecodeError as error:
        raise MalformedExport(
            f"broken or truncated JSON at line {error.lineno} of {len(text.splitlines())}, "
            f"column {error.colno}: {error.msg}; export it again"
        ) from error
    except RecursionError as error:
        raise MalformedExport("JSON nested too deeply to be a conversation") from error
    meta = header.get("meta")
    title = header.get("title", meta.get("title") if isinstance(meta, dict) else None)
    return Transcript(
        format=NAME,
        parser_version=PARSER_VERSION,
        messages=messages,
        regions=tuple(_regions(messages, len(raw))),
        title=escape(title) if isinstance(title, str) else None,
        header=escape_value(header),
    )


_Record = tuple[int, int, Any]  # start, end (characters), value


def _document(text: str) -> tuple[dict[str, Any], list[_Record]]:
    """Top-level members that are no messages, and the records that are, with places."""
    header: dict[str, Any] = {}
    records: list[_Record] = []
    at = _expect(text, _skip(text, len(_BOM) if text.startswith(_BOM) else 0), "{")
    while text[at : at + 1] != "}":
        key, at = DECODER.raw_decode(text, at)
        if not isinstance(key, str):
            raise json.JSONDecodeError("Expecting a key in quotes", text, at)
        at = _skip(text, _expect(text, _skip(text, at), ":"))
        if key in _LISTS and text[at : at + 1] == "[":
            at = _list(text, at, records)
        else:
            header[key], at = DECODER.raw_decode(text, at)
        at = _next(text, at, "}")
    if (end := _skip(text, at + 1)) != len(text):
        raise json.JSONDecodeError("Text after the end of the object", text, end)
    return header, records


def _list(text: str, at: int, records: list[_Record]) -> int:
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        value, end = DECODER.raw_decode(text, at)
        records.append((at, end, value))
        at = _next(text, end, "]")
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


def _messages(text: str, records: list[_Record]) -> tuple[Message, ...]:
    messages = []
    at = offset = 0  # the same place in characters and in bytes
    for number, (start, end, value) in enumerate(records):
        first = offset + _size(text[at:start])
        offset, at = first + _size(text[start:end]), end
        messages.append(_message(value, number, Span(first, offset)))
    for before, after in pairwise(messages):
        if (after.source_index or 0) <= (before.source_index or 0):
            raise MalformedExport(
                f"index {after.source_index} stands after index {before.source_index}; "
                "expected indices that only grow"
            )
    return tuple(messages)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _message(value: Any, number: int, span: Span) -> Message:
    if not isinstance(value, dict):
        raise MalformedExport(
            f"message {number} is a {type(value).__name__}; expected an object with "
            "index, type and message"
        )
    index, said = value.get("index"), value.get("type", value.get("role"))
    body = value.get("message", value.get("content"))
    if not is_index(index):
        found = "none" if index is None else type(index).__name__
        raise MalformedExport(
            f"message {number} has no usable index ({found}); expected a whole number from 0"
        )
    role = ROLES.get(said) if isinstance(said, str) else None
    if role is None or body is None:
        missing = "message" if role else "type (prompt or response)"
        raise MalformedExport(f"message {number} (index {index}) has no usable {missing}")
    rest = {
        k: v
        for k, v in value.items()
        if k not in ("index", "type", "role", "message", "content")
    }
    return Message(
        role=role,
        kind=KINDS.get(role, Kind.TEXT),
        text=escape(text_of(body)),
        span=span,
        source_index=index,
        extra=escape_value(rest),
    )


def _regions(messages: tuple[Message, ...], size_bytes: int) -> Iterator[Region]:
    at = 0
    for number, message in enumerate(messages):
        if at < message.span.start:
            label = "separator" if number else "header"
            yield Region(Span(at, message.span.start), label, "JSON around the messages")
        at = message.span.end
    if at < size_bytes:
        yield Region(Span(at, size_bytes), "header", "JSON around the messages")
