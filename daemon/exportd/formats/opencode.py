"""``opencode export`` (FORMATS 7): messages and parts by their own ids.

A part changes while its tool runs: the call is one message and, once there is one, the
result another. Both keep their ids, so a later export completes what an earlier one showed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..errors import MalformedExport
from ..models import Fault, Kind, Message, Region, Role, Span, Transcript
from . import documents
from .base import Confidence
from .jsonl import Line
from .records import depth
from .text import decode_head, escape, escape_value
from .values import (
    Repeats,
    call,
    compact_json,
    dropped,
    inner,
    moment,
    tokens,
    unique,
    without_data,
)  # fmt: skip

NAME = "opencode"
TITLE = "opencode export"
PARSER_VERSION = 1
DETECTED_BY = "an object with `info` and `messages` of `info` and `parts`"
VERSIONS = "1.17"

_MESSAGES = re.compile(r'"messages"\s*:\s*\[')
_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT}
_OVER = ("completed", "error")
_SAID = {
    "id", "sessionID", "role", "parentID", "modelID", "tokens", "cost", "finish", "agent",
}  # fmt: skip


def detect(head: bytes, name: str) -> Confidence:
    """Certain when an object begins with the ``info`` of a session."""
    text = decode_head(head).lstrip()
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
    if "messages" in facts or b'"messages"' not in raw:
        found = type(facts.get("messages")).__name__
        raise MalformedExport(f"expected a list of messages, found {found}; export it again")
    info = facts.get("info")
    session = info if isinstance(info, dict) else {}
    parts = list(_parts(records))
    messages = tuple(part for part in parts if isinstance(part, Message))
    session_id, title = session.get("id"), session.get("title")
    cwd = session.get("directory")
    header = {k: v for k, v in session.items() if k not in ("id", "title", "directory")}
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
    repeats = Repeats()
    for part in records:
        if not isinstance(part, Line):
            yield part
            continue
        info, blocks = part.record.get("info"), part.record.get("parts")
        own = info.get("id") if isinstance(info, dict) else None
        if not isinstance(info, dict) or not isinstance(own, str) or not own:
            yield Fault(part.span, "a message without info and id", part.number)
            continue
        if repeats.has(own, part.record):
            yield Region(part.span, "ignored", "the same record again")
            continue
        is_list = isinstance(blocks, list)
        said = ("info", "parts") if is_list else ("info",)
        beside = {key: value for key, value in part.record.items() if key not in said}
        found = list(_messages(info, blocks if isinstance(blocks, list) else [], beside, ids))
        end = Span(part.span.end, part.span.end)
        for number, message in enumerate(found):
            yield replace(message, span=end if number else part.span)


def _messages(
    info: dict[str, Any], blocks: list[Any], beside: dict[str, Any], ids: dict[str, int]
) -> Iterator[Message]:
    """Of one message; what its ``info`` says, and ``beside`` it, stands at the first."""
    role = _ROLES.get(str(info.get("role")), Role.SYSTEM)
    extra, created, model, used = _facts(info, dropped(beside))
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
    info: dict[str, Any], beside: dict[str, Any]
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
    rest = {key: value for key, value in info.items() if key not in _SAID}
    if str(info.get("role")) not in _ROLES:
        rest["role"] = info.get("role")
    if not isinstance(info.get("modelID"), str):
        rest["modelID"] = info.get("modelID")
    if _stated(info.get("tokens")) != _counted(used):
        rest["tokens"] = info.get("tokens")
    raw = {**rest, **({"record": beside} if beside else {})}
    extra = {
        "cost_usd": info.get("cost"),
        "stop_reason": info.get("finish"),
        "agent": info.get("agent"),
        "cwd": path.get("cwd"),
        "latency_ms": round((done - at).total_seconds() * 1000) if at and done else None,
        "raw": without_data(dropped(raw)) or None,
    }
    name = escape(model) if isinstance(model, str) and model else None
    return escape_value(dropped(extra)), at, name, used


def _stated(given: Any) -> object:
    """The counts of a message as it states them, flat; anything else as it is."""
    if not isinstance(given, dict):
        return given
    cache = given.get("cache")
    flat = {key: value for key, value in given.items() if key not in ("cache", "total")}
    if isinstance(cache, dict):
        return dropped({**flat, **{f"cache_{key}": count for key, count in cache.items()}})
    return dropped({**flat, "cache": cache})


def _counted(used: dict[str, int] | None) -> object:
    return {key: count for key, count in used.items() if key != "total"} if used else None


def _block(block: Any, role: Role, created: Any) -> Iterator[Message]:
    here = Span(0, 0)
    if not isinstance(block, dict):
        yield Message(role, Kind.NOTICE, escape(compact_json(block)), here, occurred_at=created)
        return
    own = block.get("id")
    source_id = escape(own) if isinstance(own, str) and own else None
    used = {"id", "sessionID", "messageID", "type", *_shown(block)}
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
        case {"type": "file"}:
            files = escape_value({"files": [without_data(rest)]})
            yield replace(base, kind=Kind.ATTACHMENT, text="[file]", extra=files)
        case _:
            label = escape(str(block.get("type")))
            yield replace(base, text=f"[{label}]", extra=escape_value(raw))


def _shown(block: dict[str, Any]) -> tuple[str, ...]:
    """The keys of a part that its message shows otherwise."""
    match block:
        case {"type": "text" | "reasoning", "text": str()}:
            return ("text",)
        case {"type": "tool", "tool": str(), "state": dict()}:
            return ("tool", "callID", "state")
        case {"type": "tool", "tool": str()}:
            return ("tool", "callID")
        case _:
            return ()


def _tool(block: dict[str, Any], tool: str, base: Message) -> Iterator[Message]:
    known = inner(block, "state")
    status, given = known.get("status"), known.get("input")
    times = inner(known, "time")
    begun, ended = moment(times.get("start")), moment(times.get("end"))
    said = ("status", "input", "output", "error", "time")
    rest = {key: value for key, value in known.items() if key not in said}
    if times != known.get("time", {}) or set(times) - _read(times):
        rest["time"] = known["time"]
    facts = {**base.extra, "tool": tool, "input": given, "call_id": block.get("callID")}
    if status not in _OVER:
        left = rest | {key: known[key] for key in ("output", "error") if key in known}
        facts |= {"status": status, "raw_part": _with_state(base.extra, left)}
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
    if status == "error" and "output" in known:
        rest["output"] = known["output"]
    if status != "error" and "error" in known:
        rest["error"] = known["error"]
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


def _read(times: dict[str, Any]) -> set[str]:
    """Which times of a tool its messages tell: those that can be read."""
    return {key for key in ("start", "end") if moment(times.get(key)) is not None}


def _with_state(extra: Mapping[str, Any], left: dict[str, Any]) -> dict[str, Any] | None:
    """What is left of a part, and of the state of a tool that still runs."""
    part = extra.get("raw_part", {})
    return {**part, **({"state": without_data(left)} if left else {})} or None
