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
from datetime import datetime
from typing import Any

from ..models import Fault, Kind, Message, Region, Span, Transcript
from . import claude_blocks, documents, jsonl
from .base import Confidence
from .bulk import without_bulk
from .jsonl import Line
from .records import DECODER
from .spread import linked
from .text import escape, escape_value
from .values import anthropic_tokens, dropped, inner, moment, unique

NAME = "claude-code-jsonl"
TITLE = "Claude Code session JSONL"
PARSER_VERSION = 1
DETECTED_BY = (
    "a line, or an element of `loglines`, of type user, assistant or system with a `sessionId` "
    "or a `message`"
)
VERSIONS = "1.0 to 2.1, main and sub-agent files"

# Ours: what a part of a long session begins with, to say what was said of it before.
PART = "exportd-part"

_SPOKEN = ("user", "assistant")
_TOLD_BY_KIND = (*_SPOKEN, "system", "attachment")
_LOGLINES = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"loglines"\s*:\s*\[')
# What a field of the message, or a key of ``extra``, says already.
_SAID = {
    "type", "uuid", "parentUuid", "sessionId", "timestamp", "message", "cwd", "gitBranch",
    "version", "isSidechain", "agentId",
}  # fmt: skip
_SAID_OF_ANSWER = {"content", "stop_reason", "role", "type", "model", "id"}
_FACTS = ("cwd", "version", "gitBranch")
_TITLES = ("customTitle", "aiTitle", "summary")  # the first that there is; of one key the last


def detect(head: bytes, name: str) -> Confidence:
    """Certain when one of the first lines is a spoken one; ``loglines`` say it outright."""
    if is_document(head):
        return Confidence(certain=True, reason='JSON with a list "loglines"')
    seen = list(jsonl.first_records(head))
    if any(map(_is_spoken, seen)):
        return Confidence(certain=True, reason="lines of type user or assistant with a message")
    if any(map(_is_aside, seen)):
        return Confidence(certain=True, reason="lines with type and sessionId")
    if len(head.split(b"\n", 1)) == 1 and _begins_spoken(head):
        return Confidence(certain=True, reason="a long first line with type and message")
    return Confidence(certain=False, reason="no line of type user or assistant with a message")


def is_document(head: bytes) -> bool:
    """Whether it is one JSON object, and no lines."""
    return _LOGLINES.match(head) is not None


def lines_before(raw: bytes) -> int:
    """How many lines of a long session stand before a part of it; none before all else.

    The line that says so is one more.
    """
    if not raw.startswith(b'{"type": "%s"' % PART.encode()):
        return 0
    line = jsonl.record(raw[: raw.find(b"\n") + 1 or len(raw)]).get("line")
    return line - 2 if isinstance(line, int) else 0


def begins_turn(record: dict[str, Any]) -> bool:
    """Whether somebody speaks, and no tool or agent, so that the turn before is at its end."""
    said = inner(record, "message").get("content")
    blocks = said if isinstance(said, list) else []
    return (
        record.get("type") == "user"
        and bool(said)
        and not record.get("isSidechain")
        and not record.get("isMeta")
        and not any(isinstance(b, dict) and b.get("type") == "tool_result" for b in blocks)
    )


def _is_spoken(record: dict[str, Any]) -> bool:
    said = record.get("message")
    return record.get("type") in _SPOKEN and isinstance(said, dict) and "content" in said


def _is_aside(record: dict[str, Any]) -> bool:
    """A line of Claude Code that nobody speaks; a session may begin with many of them."""
    kind = record.get("type")
    if kind == "summary":
        return isinstance(record.get("leafUuid"), str)
    if kind == "file-history-snapshot":
        return isinstance(record.get("snapshot"), dict)
    named = isinstance(kind, str) and isinstance(record.get("sessionId"), str)
    return named and not isinstance(record.get("messages"), list) and "id" not in record


def _begins_spoken(head: bytes) -> bool:
    """Whether a first line that is longer than the head is one of ours."""
    return head.lstrip(b"\xef\xbb\xbf \t").startswith(b"{") and all(
        key in head for key in (b'"sessionId"', b'"parentUuid"', b'"type"')
    )


def parse(raw: bytes, name: str) -> Transcript:
    """Read a whole file; a damaged line is a fault, and costs no other."""
    reader = _Reader(raw)
    parts = list(reader.read(_lines(raw, reader.header)))
    if error := jsonl.unread(parts, raw, "a Claude Code session"):
        raise error
    return reader.transcript(parts, raw)


def _lines(raw: bytes, header: dict[str, Any]) -> Iterator[Line | Region | Fault]:
    if not _LOGLINES.match(raw[:1000]):
        return jsonl.lines(raw)
    members, found = documents.elements(raw, "loglines")
    if members:
        header["document"] = escape_value(without_bulk(members))
    return found


@dataclass(slots=True)
class _Reader:
    """One pass over the lines, and what they say of the session."""

    raw: bytes
    session_id: str | None = None
    agent_id: str | None = None
    follows: str | None = None
    header: dict[str, Any] = field(default_factory=dict)
    _told: dict[str, Any] = field(default_factory=dict)  # of the header, not escaped
    _titles: dict[str, str] = field(default_factory=dict)
    _seen: set[bytes] = field(default_factory=set)  # of content under no id, or a shared one
    _spans: dict[str, Span] = field(default_factory=dict)  # of the first line with an id
    _ids: dict[str, int] = field(default_factory=dict)
    _first: dict[str, str] = field(default_factory=dict)  # of an answer: its first message
    _usage: dict[str, dict[str, int]] = field(default_factory=dict)  # the most complete
    _late: dict[str, dict[str, int]] = field(default_factory=dict)  # not told at the first
    _answered: set[str] = field(default_factory=set)
    _lines_before: int | None = None  # in a part that is not the first

    def read(
        self, lines: Iterator[Line | Region | Fault]
    ) -> Iterator[Message | Region | Fault]:
        for line in lines:
            if isinstance(line, Line):
                yield from self._line(line)
            elif isinstance(line, Fault) and line.line is not None:
                yield replace(line, line=line.line + (self._lines_before or 0))
            else:
                yield line

    def transcript(self, parts: list[Message | Region | Fault], raw: bytes) -> Transcript:
        messages = [part for part in parts if isinstance(part, Message)]
        if self._late:
            messages = [
                replace(message, tokens=self._late.get(message.source_id or "", message.tokens))
                for message in messages
            ]
        if messages and self._is_pending(messages[-1]):
            messages[-1] = replace(messages[-1], in_flight=True)
        session_id = self.session_id
        if session_id and self.agent_id:
            session_id = f"{session_id}-agent-{self.agent_id}"
            if self._lines_before is None:
                messages = _without_caller(messages)
        faults = tuple(part for part in parts if isinstance(part, Fault))
        return Transcript(
            format=NAME,
            parser_version=PARSER_VERSION,
            messages=tuple(messages),
            regions=tuple(part for part in parts if isinstance(part, Region)),
            cwd=self.header.get("cwd"),
            title=next((self._titles[key] for key in _TITLES if key in self._titles), None),
            flags=("truncated_tail",) if jsonl.is_cut(faults, raw) else (),
            header=self.header,
            session_id=session_id,
            faults=faults,
            follows=self.follows,
        )

    def _is_pending(self, message: Message) -> bool:
        call_id = str(message.extra.get("call_id"))
        return message.kind is Kind.TOOL_CALL and call_id not in self._answered

    # -- one line ----------------------------------------------------------------

    def _line(self, line: Line) -> Iterator[Message | Region | Fault]:
        record = line.record
        kind = record.get("type")
        if not isinstance(kind, str):
            yield Fault(line.span, "no type", line.number)
            return
        if kind in _SPOKEN and not isinstance(record.get("message"), dict):
            yield Fault(line.span, f"type {kind} without a message", line.number)
            return
        self._note(record)
        if kind == PART and line.number == 1 and isinstance(record.get("line"), int):
            self._lines_before = record["line"] - 2  # it is a line itself
            self.follows = _text(record.get("after"))
            yield Region(line.span, "header", "what was said of the session before this part")
            return
        if "uuid" not in record and kind not in _SPOKEN:
            self._titles |= {k: escape(v) for k in _TITLES if (v := _text(record.get(k)))}
            yield Region(line.span, "ignored", f"{escape(kind)} is no part of the talk")
            return
        own, digest = _text(record.get("uuid")), b""
        first = self._spans.setdefault(own, line.span) if own else None
        if first is not line.span:  # else it is the first of its id, and like no other
            digest = _digest(record)
            if first:
                self._seen.add(_digest(self._record(first)))
            is_new = digest not in self._seen
            self._seen.add(digest)
            if not is_new and (own or record.get("timestamp")):
                yield Region(line.span, "ignored", "the same line again")
                return
        source_id = unique(own or self._made_up(digest.hex(), line.number), self._ids)
        tokens = self._count(record, source_id)
        yield from self._messages(line, source_id, tokens)

    def _record(self, span: Span) -> dict[str, Any]:
        """What was read there before."""
        text = self.raw[span.start : span.end].decode("utf-8", "surrogateescape")
        found: dict[str, Any] = DECODER.decode(text)
        return found

    def _made_up(self, digest: str, number: int) -> str:
        """An id for a line without one; in a part, its number tells it from equal ones."""
        if self._lines_before is None:
            return f"~{digest[:16]}"
        return f"~{digest[:16]}@{self._lines_before + number}"

    def _note(self, record: dict[str, Any]) -> None:
        """The first that a line says of the session stands; later ones say it at their own.

        So a file that grows stays the session it was.
        """
        if self.session_id is None:
            self.session_id = _text(record.get("sessionId"))
            self.agent_id = _text(record.get("agentId")) if record.get("isSidechain") else None
        for key in _FACTS:
            if key not in self._told and (value := record.get(key)) not in (None, ""):
                self._told[key] = value
                self.header[key] = escape_value(value)

    def _count(self, record: dict[str, Any], source_id: str) -> dict[str, int] | None:
        """The tokens of a line, if its answer begins with it.

        The counts of an answer grow from line to line; the largest are its own. Its last line
        need not have them: old lines are written again at the end of a file.
        """
        said = inner(record, "message")
        answer = _text(said.get("id")) or _text(record.get("requestId")) or source_id
        first = self._first.setdefault(answer, source_id)
        usage = anthropic_tokens(said.get("usage"))
        if usage is None:
            return None
        known = self._usage.setdefault(answer, usage)
        if known is not usage:
            if usage["total"] > known["total"]:
                known.clear()
                known.update(usage)
        elif first == source_id:
            return usage
        else:
            self._late[first] = usage
        return None

    def _messages(
        self, line: Line, source_id: str, tokens: dict[str, int] | None
    ) -> Iterator[Message]:
        record, at = line.record, moment(line.record.get("timestamp"))
        said = record.get("message")
        if isinstance(said, dict):
            model, blocks = _text(said.get("model")), claude_blocks.spoken(record)
        else:
            model, blocks = None, claude_blocks.aside(record)
        shared = self._base(record, at)
        links = linked(line.span, source_id, _text(record.get("parentUuid")), self._ids)
        for block, (span, own, parent_id) in zip(blocks, links, strict=False):
            text, extra = block.text, {**block.facts, **shared}
            if not line.is_plain:
                text, extra = escape(text), escape_value(extra)
            if block.kind is Kind.TOOL_RESULT:
                self._answered.add(str(extra.get("call_id")))
            yield Message(
                block.role,
                block.kind,
                text,
                span,
                own,
                occurred_at=at,
                model=model,
                tokens=tokens,
                extra=extra,
                parent_id=parent_id,
            )
            shared, tokens = _short(shared), None

    def _base(self, record: dict[str, Any], at: datetime | None) -> dict[str, Any]:
        """The keys of ``extra`` that every message of a line has; ``raw`` is all the rest."""
        said = inner(record, "message")
        is_side = record.get("isSidechain") is True and "agentId" not in record
        return dropped(
            {
                "cwd": self._unless_known("cwd", record.get("cwd")),
                "git_branch": self._unless_known("gitBranch", record.get("gitBranch")),
                "version": self._unless_known("version", record.get("version")),
                "agent": "sidechain" if is_side else record.get("agentId"),
                "stop_reason": said.get("stop_reason"),
                "api_message_id": said.get("id") if isinstance(said.get("id"), str) else None,
                "raw": without_bulk(self._raw(record, at)) or None,
            }
        )

    def _unless_known(self, key: str, value: Any) -> Any:
        return None if self._told.get(key) == value else value

    def _raw(self, record: dict[str, Any], at: datetime | None) -> dict[str, Any]:
        raw = {key: value for key, value in record.items() if key not in _SAID}
        is_told = (
            ("type", record["type"] in _TOLD_BY_KIND),
            ("uuid", isinstance(record.get("uuid"), str)),
            ("parentUuid", isinstance(record.get("parentUuid"), str)),
            ("sessionId", _text(record.get("sessionId")) == self.session_id),
            ("timestamp", at is not None),
            ("isSidechain", isinstance(record.get("isSidechain"), bool)),
        )
        for key, told in is_told:
            if not told:
                raw[key] = record.get(key)
        raw["message"] = _answer_rest(record) or None
        return dropped(raw)


def _digest(record: dict[str, Any]) -> bytes:
    """Equal for equal lines, in whatever order their keys are."""
    content = repr(sorted(record.items())).encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).digest()


def _answer_rest(record: dict[str, Any]) -> Any:
    """What a line says of the answer it is part of, and no other key has."""
    said = record.get("message")
    if not isinstance(said, dict):
        return said
    rest = {key: value for key, value in said.items() if key not in _SAID_OF_ANSWER}
    for key, told in (
        ("role", said.get("role") == record["type"]),
        ("type", said.get("type") == "message"),
        ("model", isinstance(said.get("model"), str)),
        ("id", isinstance(said.get("id"), str)),
    ):
        if not told and key in said:
            rest[key] = said[key]
    return dropped(rest)


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


def _text(value: object) -> str | None:
    return escape(value) if isinstance(value, str) and value else None
