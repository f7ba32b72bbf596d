"""Gemini CLI sessions (FORMATS 8): one JSON document, or newer JSONL, by message ids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import MalformedExport
from ..models import Fault, Kind, Message, Region, Role, Span, Transcript
from . import documents, jsonl
from .base import Confidence
from .jsonl import Line
from .spread import spread
from .text import decode, escape, escape_value
from .values import call, compact_json, dropped, moment, text_in, tokens, unique, without_data

NAME = "gemini-cli"
TITLE = "Gemini CLI session"
PARSER_VERSION = 1
DETECTED_BY = "`sessionId` and `messages`, or lines, of type user or gemini"
VERSIONS = "JSON and JSONL"

_DOCUMENT = re.compile(r'\{[^\[]*"messages"\s*:\s*\[', re.DOTALL)
_ROLES = {
    "user": (Role.USER, Kind.PROMPT),
    "gemini": (Role.ASSISTANT, Kind.TEXT),
    "model": (Role.ASSISTANT, Kind.TEXT),
}
_SAID = {"id", "type", "content", "timestamp", "thoughts", "toolCalls", "tokens", "model"}
_HEADER = ("projectHash", "startTime", "lastUpdated", "kind", "summary")


def detect(head: bytes, name: str) -> Confidence:
    """Certain by ``sessionId`` before the messages, and by their types."""
    records = list(jsonl.first_records(head))
    if any(map(_is_message, records)) or any(map(_is_head, records)):
        return Confidence(certain=True, reason="lines of type user or gemini")
    text = decode(head.removeprefix(b"\xef\xbb\xbf"))
    session = '"sessionId"' in text and ('"projectHash"' in text or '"startTime"' in text)
    if session and _DOCUMENT.match(text.lstrip()):
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
        parts = list(reader.read(jsonl.lines(raw)))
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


@dataclass(slots=True)
class _Reader:
    session_id: str | None = None
    title: str | None = None
    header: dict[str, Any] = field(default_factory=dict)
    _ids: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(self, facts: dict[str, Any]) -> None:
        session_id, summary = facts.get("sessionId"), facts.get("summary")
        if self.session_id is None and isinstance(session_id, str) and session_id:
            self.session_id = escape(session_id)
        if isinstance(summary, str) and summary:
            self.title = escape(summary)
        self.header |= escape_value(dropped({key: facts.get(key) for key in _HEADER}))

    def read(
        self, lines: Iterator[Line | Region | Fault]
    ) -> Iterator[Message | Region | Fault]:
        for line in lines:
            if isinstance(line, Line):
                yield from self._line(line)
            else:
                yield line

    def _line(self, line: Line) -> Iterator[Message | Region | Fault]:
        record = line.record
        own, kind = record.get("id"), record.get("type")
        if not isinstance(kind, str) or not isinstance(own, str) or not own:
            if "sessionId" in record or "$set" in record:
                self.note(record)
                yield Region(line.span, "header", "what the session is")
            else:
                yield Fault(line.span, "a message without type or id", line.number)
            return
        if self._seen.setdefault(own, record) == record and own in self._ids:
            yield Region(line.span, "ignored", "the same message again")
            return
        yield from spread(
            _messages(record, kind), line.span, unique(escape(own), self._ids), None
        )


def _messages(record: dict[str, Any], kind: str) -> Iterator[Message]:
    here, at = Span(0, 0), moment(record.get("timestamp"))
    role, what = _ROLES.get(kind, (Role.SYSTEM, Kind.NOTICE))
    rest = {key: value for key, value in record.items() if key not in _SAID}
    if at is None:
        rest["timestamp"] = record.get("timestamp")
    extra = {
        "status": kind if role is Role.SYSTEM else None,
        "is_error": True if kind == "error" else None,
        "raw": without_data(dropped(rest)) or None,
    }
    model = record.get("model")
    yield Message(
        role,
        what,
        escape(_content(record.get("content"))),
        here,
        occurred_at=at,
        model=escape(model) if isinstance(model, str) and model else None,
        tokens=_tokens(record.get("tokens")),
        extra=escape_value(dropped(extra)),
    )
    for thought in _list(record.get("thoughts")):
        text, when = _thought(thought)
        yield Message(role, Kind.THINKING, escape(text), here, occurred_at=when or at)
    for one in _list(record.get("toolCalls")):
        yield from _tool(one, role, at)


def _thought(thought: Any) -> tuple[str, Any]:
    if not isinstance(thought, dict):
        return compact_json(thought), None
    lines = (thought.get("subject"), thought.get("description"))
    text = "\n".join(line for line in lines if isinstance(line, str) and line)
    return text or compact_json(thought), moment(thought.get("timestamp"))


def _tool(one: Any, role: Role, at: Any) -> Iterator[Message]:
    here = Span(0, 0)
    if not isinstance(one, dict):
        yield Message(role, Kind.NOTICE, escape(compact_json(one)), here, occurred_at=at)
        return
    tool = one.get("name") if isinstance(one.get("name"), str) else "tool"
    status, given, result = one.get("status"), one.get("args"), one.get("result")
    said = ("id", "name", "args", "result", "status", "timestamp")
    rest = {key: value for key, value in one.items() if key not in said}
    facts = {
        "tool": tool,
        "input": given,
        "call_id": one.get("id"),
        "status": status,
        "raw": without_data(rest) or None,
    }
    when = moment(one.get("timestamp")) or at
    extra = escape_value(dropped(facts))
    text = escape(call(str(tool), given))
    yield Message(role, Kind.TOOL_CALL, text, here, occurred_at=when, extra=extra)
    if result is None:
        return
    failed = {"is_error": True} if status in ("error", "cancelled") else {}
    extra = escape_value(dropped({"tool": tool, "call_id": one.get("id"), **failed}))
    text = escape("\n".join(map(_result, result if isinstance(result, list) else [result])))
    yield Message(Role.TOOL, Kind.TOOL_RESULT, text, here, occurred_at=when, extra=extra)


def _result(result: Any) -> str:
    match result:
        case {"functionResponse": {"response": {"output": str(text)}}}:
            return text
        case {"functionResponse": {"response": response}}:
            return compact_json(without_data(response))
        case _:
            return _content(result)


def _content(content: Any) -> str:
    """A string, a part with ``text``, or a list of these."""
    match content:
        case {"text": str(text)}:
            return text
        case list():
            return "\n".join(map(_content, content))
        case _:
            return text_in(content)


def _tokens(given: Any) -> dict[str, int] | None:
    """``input`` of Gemini counts what came from the cache, too; ``total`` is as stated."""
    if not isinstance(given, dict):
        return None
    read, cached = given.get("input"), given.get("cached")
    fresh = read
    if isinstance(read, int) and isinstance(cached, int) and 0 <= cached <= read:
        fresh = read - cached
    return tokens(
        input=fresh,
        cache_read=cached,
        output=given.get("output"),
        reasoning=given.get("thoughts"),
        total=given.get("total"),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
