"""Gemini CLI sessions (FORMATS 8): one JSON document, or newer JSONL, by message ids.

JSONL is a log: whenever a message gains thoughts, counts or calls, all of it is appended
again under its id, and the last state holds (``pushMessage`` and ``loadConversationRecord``
in packages/core/src/services/chatRecordingService.ts of gemini-cli). So one id is one
message here, and its counts count once. ``$set`` changes facts of the session, ``$rewindTo``
takes back a message and what follows; what was taken back is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from ..errors import MalformedExport
from ..models import Fault, Message, Region, Span, Transcript
from . import documents, jsonl
from .base import Confidence
from .gemini_messages import listed, messages_of
from .jsonl import Line
from .records import depth
from .spread import spread
from .text import decode_head, escape, escape_value
from .values import Repeats, dropped, unique

NAME = "gemini-cli"
TITLE = "Gemini CLI session"
PARSER_VERSION = 1
DETECTED_BY = "`sessionId` and `messages`, or lines, of type user or gemini"
VERSIONS = "JSON and JSONL"

_MESSAGES = re.compile(r'"messages"\s*:\s*\[')


def detect(head: bytes, name: str) -> Confidence:
    """Certain by ``sessionId`` before the messages, and by their types."""
    records = list(jsonl.first_records(head))
    if any(map(_is_message, records)) or any(map(_is_head, records)):
        return Confidence(certain=True, reason="lines of type user or gemini")
    text = decode_head(head)
    found = _MESSAGES.search(text) if text.lstrip().startswith("{") else None
    session = '"sessionId"' in text and ('"projectHash"' in text or '"startTime"' in text)
    if session and found and depth(text[: found.start()]) == 1:
        return Confidence(certain=True, reason="JSON with sessionId and messages")
    return Confidence(certain=False, reason="no sessionId with messages of type user or gemini")


def _is_message(record: dict[str, Any]) -> bool:
    has_id = isinstance(record.get("id"), str) and "content" in record
    return record.get("type") == "gemini" and has_id


def _is_head(record: dict[str, Any]) -> bool:
    return "sessionId" in record and ("projectHash" in record or "startTime" in record)


def parse(raw: bytes, name: str) -> Transcript:
    """Read a whole session; a damaged line of JSONL is a fault, broken JSON an error."""
    reader = _Reader()
    seen = list(jsonl.first_records(raw[:65_536]))
    first = raw.lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n", 1)[0].strip()
    is_document = not seen or "messages" in seen[0] or first in (b"{", b"")
    if is_document:
        facts, records = documents.elements(raw, "messages")
        reader.note(facts)
        parts = list(reader.read(records))
    else:
        lines = list(jsonl.lines(raw))
        reader.look_ahead(lines)
        parts = list(reader.read(iter(lines)))
        if error := jsonl.unread(parts, raw, "a Gemini session"):
            raise error
    if not reader.header and not reader.session_id and not parts:
        raise MalformedExport("expected a session of Gemini CLI, found nothing of one")
    messages = tuple(part for part in parts if isinstance(part, Message))
    return Transcript(
        format=NAME,
        parser_version=PARSER_VERSION,
        messages=messages,
        regions=tuple(part for part in parts if isinstance(part, Region)),
        title=reader.title,
        header=reader.header,
        session_id=reader.session_id,
        faults=tuple(part for part in parts if isinstance(part, Fault)),
    )


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value)


@dataclass(slots=True)
class _Reader:
    """``_states``: of JSONL the last line of each message, by its id and type."""

    session_id: str | None = None
    title: str | None = None
    header: dict[str, Any] = field(default_factory=dict)
    _ids: dict[str, int] = field(default_factory=dict)
    _repeats: Repeats = field(default_factory=Repeats)
    _states: dict[tuple[str, str], Line] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _placed: set[tuple[str, str]] = field(default_factory=set)

    def look_ahead(self, lines: list[Line | Region | Fault]) -> None:
        for line in lines:
            if isinstance(line, Line):
                own, kind = line.record.get("id"), line.record.get("type")
                if _is_id(own) and isinstance(kind, str):
                    self._states[own, kind] = line
                    self._known.add(own)

    def note(self, facts: dict[str, Any]) -> None:
        session_id, summary = facts.get("sessionId"), facts.get("summary")
        if self.session_id is None and _is_id(session_id):
            self.session_id = escape(session_id)
        if isinstance(summary, str) and summary:
            self.title = escape(summary)
        said = ("sessionId", "messages", "$set")
        self.header |= escape_value(dropped({k: v for k, v in facts.items() if k not in said}))

    def read(
        self, lines: Iterator[Line | Region | Fault]
    ) -> Iterator[Message | Region | Fault]:
        for line in lines:
            if not isinstance(line, Line):
                yield line
            elif _is_id(line.record.get("id")) and isinstance(line.record.get("type"), str):
                yield from self._message(line, line.record["id"], line.record["type"])
            else:
                yield from self._other(line)

    def _message(self, line: Line, own: str, kind: str) -> Iterator[Message | Region | Fault]:
        """Of a document a record; of JSONL the last state, where the first one stands."""
        last = self._states.get((own, kind))
        if last is None:
            if self._repeats.has(own, line.record):
                yield Region(line.span, "ignored", "the same record again")
            else:
                yield from self._spread(line, own, kind)
            return
        if (own, kind) not in self._placed:
            self._placed.add((own, kind))
            yield from self._spread(last, own, kind)
        if last is not line:
            is_same = last.record == line.record
            reason = "the same record again" if is_same else "an earlier state of a message"
            yield Region(line.span, "ignored", reason)

    def _spread(self, line: Line, own: str, kind: str) -> Iterator[Message]:
        source_id = unique(escape(own), self._ids)
        return spread(messages_of(line.record, kind), line.span, source_id, None, self._ids)

    def _other(self, line: Line) -> Iterator[Message | Region | Fault]:
        record = line.record
        update = record.get("$set")
        if "$rewindTo" in record:
            yield Region(line.span, "notice", "the session was taken back to before a message")
        elif isinstance(update, dict):
            self.note(update)
            yield from self._history(line, listed(update.get("messages")))
        elif "sessionId" in record or "$set" in record:
            self.note(record)
            yield Region(line.span, "header", "what the session is")
        else:
            yield Fault(line.span, "a message without type or id", line.number)

    def _history(self, line: Line, given: list[Any]) -> Iterator[Message | Region]:
        """Of a history that was rewritten, the messages that no line has: summaries."""
        span, is_first = line.span, True
        for record in given:
            own = record.get("id") if isinstance(record, dict) else None
            if not _is_id(own) or own in self._known:
                continue
            self._known.add(own)
            source_id = unique(escape(own), self._ids)
            found = messages_of(record, str(record.get("type")))
            yield from spread(found, span, source_id, None, self._ids)
            span, is_first = Span(line.span.end, line.span.end), False
        if is_first:
            yield Region(line.span, "header", "what the session is")
