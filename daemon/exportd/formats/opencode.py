"""``opencode export`` (FORMATS 7): messages and parts by their own ids.

A part changes while its tool runs: the call is one message and, once there is one, the
result another. Both keep their ids, so a later export completes what an earlier one showed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..models import Fault, Kind, Message, Region, Role, Span, Transcript
from . import documents
from .base import Confidence
from .jsonl import Line
from .records import depth
from .text import decode, escape, escape_value
from .values import call, compact_json, dropped, inner, moment, tokens, unique, without_data

NAME = "opencode"
TITLE = "opencode export"
PARSER_VERSION = 1
DETECTED_BY = "an object with `info` and `messages` of `info` and `parts`"
VERSIONS = "1.17"

_MESSAGES = re.compile(r'"messages"\s*:\s*\[')
_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT}
_OVER = ("completed", "error")


def detect(head: bytes, name: str) -> Confidence:
    """Certain when an object begins with the ``info`` of a session."""
    text = decode(head.removeprefix(b"\xef\xbb\xbf")).lstrip()
    is_info = re.match(r'\{\s*"info"\s*:\s*\{', text) is not None
    found = _MESSAGES.search(text)
    if is_info and '"projectID"' in text:
        return Confidence(certain=True, reason="JSON with the info of a session")
    if is_info and found and depth(text[: found.start()]) == 1 and '"parts"' in text:
        return Confidence(certain=True, reason="JSON with info and messages of parts")
    return Confidence(certain=False, reason="no JSON object with info and messages of parts")


def parse(raw: bytes, name: str) -> Transcript:
    """Read a whole session; ``MalformedExport`` where the JSON is broken."""
    facts, records = documents.elements(raw, "messages")
    info = facts.get("info")
    session = info if isinstance(info, dict) else {}
    parts = list(_parts(records))
    messages = tuple(part for part in parts if isinstance(part, Message))
    session_id, title = session.get("id"), session.get("title")
    cwd = session.get("directory")
    header = {k: v for k, v in session.items() if k not in ("id", "title", "directory", "time")}
    if isinstance(cwd, str) and cwd:
        header["cwd"] = cwd
    return Transcript(
        format=NAME,
        parser_version=PARSER_VERSION,
        messages=messages,
        regions=tuple(part for part in parts if isinstance(part, Region)),
        cwd=escape(cwd) if isinstance(cwd, str) and cwd else None,
        title=escape(title) if isinstance(title, str) and title else None,
        header=escape_value(dropped(header)),
        session_id=escape(session_id) if isinstance(session_id, str) and session_id else None,
        faults=tuple(part for part in parts if isinstance(part, Fault)),
    )


def _parts(records: Iterator[Line | Region | Fault]) -> Iterator[Message | Region | Fault]:
    ids: dict[str, int] = {}
    seen: dict[str, dict[str, Any]] = {}
    for part in records:
        if not isinstance(part, Line):
            yield part
            continue
        info, blocks = part.record.get("info"), part.record.get("parts")
        own = info.get("id") if isinstance(info, dict) else None
        if not isinstance(info, dict) or not isinstance(own, str) or not own:
            yield Fault(part.span, "a message without info and id", part.number)
            continue
        if seen.setdefault(own, part.record) == part.record and own in ids:
            yield Region(part.span, "ignored", "the same message again")
            continue
        ids.setdefault(own, 0)
        found = list(_messages(info, blocks if isinstance(blocks, list) else [], ids))
        end = Span(part.span.end, part.span.end)
        for number, message in enumerate(found):
            yield replace(message, span=end if number else part.span)


def _messages(
    info: dict[str, Any], blocks: list[Any], ids: dict[str, int]
) -> Iterator[Message]:
    """Of one message; what its ``info`` says stands at the first of them."""
    role = _ROLES.get(str(info.get("role")), Role.SYSTEM)
    extra, created, model, used = _facts(info)
    parent = info.get("parentID")
    first = Message(role, Kind.NOTICE, "", Span(0, 0), extra=extra, occurred_at=created)
    made = [message for block in blocks for message in _block(block, role, created)]
    follows = escape(parent) if isinstance(parent, str) and parent else None
    # The message's own id is at its first part: what follows it says so by that id.
    own = unique(escape(info["id"]), ids)
    for number, message in enumerate(made or [first]):
        part_id = own if number == 0 else unique(message.source_id or f"{own}/{number}", ids)
        facts = {**message.extra, **(extra if number == 0 else {})}
        if number == 0 and message.source_id:
            facts["part_id"] = message.source_id
        yield replace(
            message,
            source_id=part_id,
            parent_id=follows,
            model=model,
            tokens=used if number == 0 else None,
            extra=facts,
        )
        follows = part_id


def _facts(
    info: dict[str, Any],
) -> tuple[dict[str, Any], Any, str | None, dict[str, int] | None]:
    given, cache = inner(info, "tokens"), inner(info.get("tokens"), "cache")
    used = tokens(
        input=given.get("input"),
        output=given.get("output"),
        reasoning=given.get("reasoning"),
        cache_read=cache.get("read"),
        cache_write=cache.get("write"),
        total=given.get("total"),
    )
    time, path = inner(info, "time"), inner(info, "path")
    created, completed = time.get("created"), time.get("completed")
    model = info.get("modelID") or inner(info, "model").get("modelID")
    at, done = moment(created), moment(completed)
    said = (
        "id",
        "sessionID",
        "role",
        "parentID",
        "modelID",
        "tokens",
        "cost",
        "finish",
        "agent",
    )
    extra = {
        "cost_usd": info.get("cost"),
        "stop_reason": info.get("finish"),
        "agent": info.get("agent"),
        "cwd": path.get("cwd"),
        "latency_ms": round((done - at).total_seconds() * 1000) if at and done else None,
        "raw": without_data({k: v for k, v in info.items() if k not in said}) or None,
    }
    name = escape(model) if isinstance(model, str) and model else None
    return escape_value(dropped(extra)), at, name, used


def _block(block: Any, role: Role, created: Any) -> Iterator[Message]:
    here = Span(0, 0)
    if not isinstance(block, dict):
        yield Message(role, Kind.NOTICE, escape(compact_json(block)), here, occurred_at=created)
        return
    own = block.get("id")
    source_id = escape(own) if isinstance(own, str) and own else None
    used = ("id", "sessionID", "messageID", "type", "text", "tool", "callID", "state")
    rest = {key: value for key, value in block.items() if key not in used}
    raw = {"raw_part": without_data(rest)} if rest else {}
    base = Message(role, Kind.NOTICE, "", here, source_id=source_id, occurred_at=created)
    match block:
        case {"type": "text", "text": str(text)}:
            kind = Kind.PROMPT if role is Role.USER else Kind.TEXT
            yield replace(base, kind=kind, text=escape(text), extra=escape_value(raw))
        case {"type": "reasoning", "text": str(text)}:
            extra = escape_value(raw)
            yield replace(base, kind=Kind.THINKING, text=escape(text), extra=extra)
        case {"type": "tool", "tool": str(tool)}:
            yield from _tool(block, tool, replace(base, extra=escape_value(raw)))
        case _:
            label = escape(str(block.get("type")))
            yield replace(base, text=f"[{label}]", extra=escape_value(raw))


def _tool(block: dict[str, Any], tool: str, base: Message) -> Iterator[Message]:
    known = inner(block, "state")
    status, given = known.get("status"), known.get("input")
    times = inner(known, "time")
    begun, ended = moment(times.get("start")), moment(times.get("end"))
    facts = {**base.extra, "tool": tool, "input": given, "call_id": block.get("callID")}
    yield replace(
        base,
        kind=Kind.TOOL_CALL,
        text=escape(call(tool, given)),
        occurred_at=begun or base.occurred_at,
        in_flight=status not in _OVER,
        extra=escape_value(dropped(facts)),
    )
    if status not in _OVER:
        return
    output = known.get("error") if status == "error" else known.get("output")
    said = ("status", "input", "output", "error", "time")
    rest = {key: value for key, value in known.items() if key not in said}
    result = {
        "tool": tool,
        "call_id": block.get("callID"),
        "status": status,
        "is_error": True if status == "error" else None,
        "latency_ms": round((ended - begun).total_seconds() * 1000)
        if begun and ended
        else None,
        "raw_part": without_data(rest) or None,
    }
    yield Message(
        Role.TOOL,
        Kind.TOOL_RESULT,
        escape(output if isinstance(output, str) else compact_json(output)),
        Span(0, 0),
        source_id=f"{base.source_id}/result" if base.source_id else None,
        occurred_at=ended or base.occurred_at,
        extra=escape_value(dropped(result)),
    )
