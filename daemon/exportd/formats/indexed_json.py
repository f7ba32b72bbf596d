"""Indexed JSON of browser extensions (FORMATS 4), in both shapes that exist.

``{"exported_at", "title", "messages": [{"index", "type", "message"}]}`` and
``{"meta": {…}, "chats": [{"index", "type", "message": […]}]}``. The index is the
position in the page: it may have gaps, which are reported, and it may not repeat.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from ..errors import MalformedExport
from ..models import Kind, Message, Region, Span, Transcript
from . import documents
from .base import Confidence
from .heads import has_index, members
from .records import KINDS, ROLES, is_index, text_of
from .text import decode_head, escape, escape_value

NAME = "indexed-json"
TITLE = "indexed JSON of a browser extension"
PARSER_VERSION = 1
DETECTED_BY = "a list `messages` or `chats` of records with an `index`"
VERSIONS = "claude-export, all"

_LISTS = ("messages", "chats")
_BOM = "\ufeff"


def detect(head: bytes, name: str) -> Confidence:
    """Certain when a list ``messages`` or ``chats`` holds records that have an ``index``."""
    text = decode_head(head).lstrip()
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
        header, records = documents.read(
            text, _LISTS, at=len(_BOM) if text.startswith(_BOM) else 0
        )
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


def _messages(text: str, records: list[documents.Record]) -> tuple[Message, ...]:
    messages = [
        _message(value, number, span)
        for number, (span, value) in enumerate(documents.placed(text, records))
    ]
    for before, after in pairwise(messages):
        if (after.source_index or 0) <= (before.source_index or 0):
            raise MalformedExport(
                f"index {after.source_index} stands after index {before.source_index}; "
                "expected indices that only grow"
            )
    return tuple(messages)


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
