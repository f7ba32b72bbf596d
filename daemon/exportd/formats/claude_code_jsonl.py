"""Claude Code session JSONL (FORMATS 2), and the web API's ``{"loglines": […]}`` of it.

Every line with a ``uuid`` is a message, or several: one for each block of its content. So
the chain of ``parentUuid`` has no hole of our making. One answer of the model is several
lines that share ``message.id``; its tokens stand at the first of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ..models import Fault, Kind, Message, Region, Role, Span, Transcript
from . import documents, jsonl
from .base import Confidence
from .jsonl import Line
from .spread import spread
from .text import escape, escape_value
from .values import (
    anthropic_tokens,
    call,
    dropped,
    inner,
    moment,
    text_in,
    unique,
    without_data,
)

NAME = "claude-code-jsonl"
TITLE = "Claude Code session JSONL"
PARSER_VERSION = 1
DETECTED_BY = (
    "a line, or an element of `loglines`, of type user, assistant or system with a `sessionId` "
    "or a `message`"
)
VERSIONS = "1.0 to 2.1, main and sub-agent files"

_SPOKEN = ("user", "assistant")
_COMMAND = re.compile(r"\s*<(?:command-name|command-message|local-command|bash-)")
_LOGLINES = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"loglines"\s*:\s*\[')
# What a field of the message, or a key of ``extra``, says already.
_SAID = {
    "type", "uuid", "parentUuid", "sessionId", "timestamp", "message", "cwd", "gitBranch",
    "version", "isSidechain", "agentId",
}  # fmt: skip


def detect(head: bytes, name: str) -> Confidence:
    """Certain when one of the first lines is a spoken one; ``loglines`` say it outright."""
    if _LOGLINES.match(head):
        return Confidence(certain=True, reason='JSON with a list "loglines"')
    seen = list(jsonl.first_records(head))
    if any(map(_is_spoken, seen)):
        return Confidence(certain=True, reason="lines of type user or assistant with a message")
    if any(map(_is_aside, seen)):
        return Confidence(certain=True, reason="lines with type and sessionId")
    if len(head.split(b"\n", 1)) == 1 and _begins_spoken(head):
        return Confidence(certain=True, reason="a long first line with type and message")
    return Confidence(certain=False, reason="no line of type user or assistant with a message")


def _is_spoken(record: dict[str, Any]) -> bool:
    said = record.get("message")
    return record.get("type") in _SPOKEN and isinstance(said, dict) and "content" in said


def _is_aside(record: dict[str, Any]) -> bool:
    named = isinstance(record.get("type"), str) and isinstance(record.get("sessionId"), str)
    return named and not isinstance(record.get("messages"), list) and "id" not in record


def _begins_spoken(head: bytes) -> bool:
    """Whether a first line that is longer than the head is one of ours."""
    return head.lstrip(b"\xef\xbb\xbf \t").startswith(b"{") and all(
        key in head for key in (b'"sessionId"', b'"parentUuid"', b'"type"')
    )


def parse(raw: bytes, name: str) -> Transcript:
    """Read a whole file; a damaged line is a fault, and costs no other."""
    reader = _Reader()
    parts = list(reader.read(_lines(raw)))
    if error := jsonl.unread(parts, raw, "a Claude Code session"):
        raise error
    return reader.transcript(parts, raw)


def _lines(raw: bytes) -> Iterator[Line | Region | Fault]:
    if _LOGLINES.match(raw[:1000]):
        yield from documents.elements(raw, "loglines")[1]
    else:
        yield from jsonl.lines(raw)


@dataclass(slots=True)
class _Reader:
    """One pass over the lines, and what they say of the session."""

    session_id: str | None = None
    agent_id: str | None = None
    title: str | None = None
    header: dict[str, Any] = field(default_factory=dict)
    compacted: bool = False
    _lines: dict[str, bytes] = field(default_factory=dict)
    _ids: dict[str, int] = field(default_factory=dict)
    _first: dict[str, str] = field(default_factory=dict)  # of an answer: its first message
    _usage: dict[str, dict[str, int]] = field(default_factory=dict)
    _answered: set[str] = field(default_factory=set)

    def read(
        self, lines: Iterator[Line | Region | Fault]
    ) -> Iterator[Message | Region | Fault]:
        for line in lines:
            if isinstance(line, Line):
                yield from self._line(line)
            else:
                yield line

    def transcript(self, parts: list[Message | Region | Fault], raw: bytes) -> Transcript:
        messages = [self._with_tokens(part) for part in parts if isinstance(part, Message)]
        if messages and self._is_pending(messages[-1]):
            messages[-1] = replace(messages[-1], in_flight=True)
        session_id = self.session_id
        if session_id and self.agent_id:
            session_id = f"{session_id}-agent-{self.agent_id}"
            messages = _without_caller(messages)
        faults = tuple(part for part in parts if isinstance(part, Fault))
        cut = bool(faults) and faults[-1].span.end == len(raw)
        return Transcript(
            format=NAME,
            parser_version=PARSER_VERSION,
            messages=tuple(messages),
            regions=tuple(part for part in parts if isinstance(part, Region)),
            cwd=self.header.get("cwd"),
            title=self.title,
            flags=("truncated_tail",) if cut else (),
            header=self.header,
            session_id=session_id,
            faults=faults,
        )

    def _is_pending(self, message: Message) -> bool:
        call_id = str(message.extra.get("call_id"))
        return message.kind is Kind.TOOL_CALL and call_id not in self._answered

    def _with_tokens(self, message: Message) -> Message:
        """The last line of an answer has the true count, the first message bears it."""
        answer = str(message.extra.get("api_message_id") or message.source_id)
        if self._first.get(answer) != message.source_id:
            return message
        return replace(message, tokens=self._usage.get(answer))

    def _line(self, line: Line) -> Iterator[Message | Region | Fault]:
        record = line.record
        kind, said = record.get("type"), record.get("message")
        if not isinstance(kind, str):
            yield Fault(line.span, "no type", line.number)
            return
        if kind in _SPOKEN and not isinstance(said, dict):
            yield Fault(line.span, f"type {kind} without a message", line.number)
            return
        self._note(record)
        if "uuid" not in record and kind not in _SPOKEN:
            self._title(record)
            yield Region(line.span, "ignored", f"{escape(kind)} is no part of the talk")
            return
        content = repr(sorted(record.items())).encode("utf-8", "surrogatepass")
        own = _text(record.get("uuid")) or f"~{hashlib.sha256(content).hexdigest()[:16]}"
        key = f"{record.get('agentId', '')}/{own}"
        digest = hashlib.sha256(content).digest()
        if self._lines.setdefault(key, digest) == digest and key in self._ids:
            yield Region(line.span, "ignored", "the same line again")
            return
        self._ids.setdefault(key, 1)
        source_id = unique(own, self._ids)
        parent = _text(record.get("parentUuid"))
        for message in spread(self._messages(record), line.span, source_id, parent):
            if api_id := message.extra.get("api_message_id"):
                self._first.setdefault(api_id, message.source_id or "")
            yield message
        if usage := anthropic_tokens(inner(record, "message").get("usage")):
            answer = _text(inner(record, "message").get("id")) or source_id
            self._first.setdefault(answer, source_id)
            known = self._usage.get(answer, usage)
            self._usage[answer] = max(known, usage, key=lambda one: one["total"])

    def _note(self, record: dict[str, Any]) -> None:
        """The first that a line says of the session stands; later ones say it at their own."""
        if self.session_id is None:
            self.session_id = _text(record.get("sessionId"))
            self.agent_id = _text(record.get("agentId")) if record.get("isSidechain") else None
        facts = {key: record.get(key) for key in ("cwd", "version", "gitBranch")}
        for key, value in dropped(facts).items():
            self.header.setdefault(key, escape_value(value))

    def _title(self, record: dict[str, Any]) -> None:
        for key in ("customTitle", "summary", "aiTitle"):
            if isinstance(record.get(key), str):
                self.title = escape(record[key])

    # -- one line ----------------------------------------------------------------

    def _messages(self, record: dict[str, Any]) -> Iterator[Message]:
        said = record.get("message")
        base = self._base(record)
        if not isinstance(said, dict):
            yield self._aside(record, base)
            return
        self._note_answer(said, base)
        model = said.get("model")
        spoken = Role.ASSISTANT if record.get("type") == "assistant" else Role.USER
        content = said.get("content")
        blocks = content if isinstance(content, list) and content else [content]
        for number, block in enumerate(blocks):
            message = _block(block, spoken, record)
            if message.kind is Kind.TOOL_RESULT:
                self._answered.add(str(message.extra.get("call_id")))
            yield replace(
                message,
                text=escape(message.text),
                occurred_at=moment(record.get("timestamp")),
                model=_text(model),
                extra={**message.extra, **(base if number == 0 else _short(base))},
            )

    def _note_answer(self, said: dict[str, Any], base: dict[str, Any]) -> None:
        """What a line says of the answer it is part of goes to ``base``."""
        rest = {k: v for k, v in said.items() if k not in ("role", "content", "model", "type")}
        if stop_reason := rest.pop("stop_reason", None):
            base["stop_reason"] = escape_value(stop_reason)
        if api_id := _text(rest.pop("id", None)):
            base["api_message_id"] = api_id
        if rest := dropped(rest):
            base.setdefault("raw", {})["message"] = escape_value(without_data(rest))

    def _base(self, record: dict[str, Any]) -> dict[str, Any]:
        """The keys of ``extra`` that every message of a line has."""
        facts: dict[str, Any] = {
            "cwd": record.get("cwd"),
            "git_branch": record.get("gitBranch"),
            "version": record.get("version"),
            "agent": record.get("agentId"),
        }
        known = self.header
        same = {"cwd": "cwd", "git_branch": "gitBranch", "version": "version"}
        for key, name in same.items():
            if facts[key] is not None and known.get(name) == escape_value(facts[key]):
                del facts[key]  # the transcript says it
        if record.get("isSidechain") and "agentId" not in record:
            facts["agent"] = "sidechain"
        raw = {key: value for key, value in record.items() if key not in _SAID}
        if record.get("sessionId") != self.session_id:
            raw["sessionId"] = record.get("sessionId")
        if moment(record.get("timestamp")) is None and "timestamp" in record:
            raw["timestamp"] = record["timestamp"]
        facts = {key: escape_value(value) for key, value in dropped(facts).items()}
        if raw := dropped(raw):
            facts["raw"] = escape_value(without_data(raw))
        return facts

    def _aside(self, record: dict[str, Any], base: dict[str, Any]) -> Message:
        """A line with an id that nobody speaks: of the system, or an attachment."""
        kind = record["type"]
        subtype = _text(record.get("subtype"))
        content = record.get("content", record.get("attachment"))
        text = content if isinstance(content, str) else ""
        if not text and isinstance(content, dict):
            text = f"{content.get('type', kind)}"
        is_attachment = kind == "attachment"
        if subtype == "local_command":
            role, what = Role.USER, Kind.COMMAND
        else:
            role, what = Role.SYSTEM, Kind.ATTACHMENT if is_attachment else Kind.NOTICE
        return Message(
            role,
            what,
            escape(text or subtype or kind),
            Span(0, 0),
            occurred_at=moment(record.get("timestamp")),
            extra={"status": subtype or escape(kind), **base},
        )


def _without_caller(messages: list[Message]) -> list[Message]:
    """A sub-agent's first message follows one of the session that called it, elsewhere."""
    ids = {message.source_id for message in messages}
    return [
        message
        if message.parent_id is None or message.parent_id in ids
        else replace(
            message, parent_id=None, extra={**message.extra, "caller_id": message.parent_id}
        )
        for message in messages
    ]


def _short(base: dict[str, Any]) -> dict[str, Any]:
    """What further blocks of a line repeat of the first one."""
    return {key: base[key] for key in ("agent", "api_message_id") if key in base}


def _block(block: Any, role: Role, record: dict[str, Any]) -> Message:
    """One block of content as a message without its place."""
    here = Span(0, 0)
    match block:
        case None | str() | {"type": "text", "text": str()}:
            text = block["text"] if isinstance(block, dict) else block or ""
            return Message(role, _spoken_kind(text, role, record), text, here)
        case {"type": "thinking", "thinking": str(text)}:
            return Message(role, Kind.THINKING, text, here)
        case {"type": "tool_use", "name": str(tool)}:
            given = block.get("input")
            facts = {"tool": tool, "input": given, "call_id": block.get("id")}
            extra = escape_value(dropped(facts))
            return Message(role, Kind.TOOL_CALL, call(tool, given), here, extra=extra)
        case {"type": "tool_result"}:
            is_error = True if block.get("is_error") is True else None
            facts = {"call_id": block.get("tool_use_id"), "is_error": is_error}
            text = text_in(block.get("content"))
            extra = escape_value(dropped(facts))
            return Message(Role.TOOL, Kind.TOOL_RESULT, text, here, extra=extra)
        case _:
            extra = {"block": escape_value(without_data(block))}
            return Message(role, Kind.ATTACHMENT, text_in([block]), here, extra=extra)


def _spoken_kind(text: str, role: Role, record: dict[str, Any]) -> Kind:
    if role is Role.ASSISTANT:
        return Kind.TEXT
    if _COMMAND.match(text):
        return Kind.COMMAND
    return (
        Kind.NOTICE if record.get("isMeta") or record.get("isCompactSummary") else Kind.PROMPT
    )


def _text(value: object) -> str | None:
    return escape(value) if isinstance(value, str) and value else None
