"""Messages with a role: API transcripts, a response of Anthropic's API, chat exporters.

``{"messages": [{"role", "content"}]}`` of any vendor, ``{"type": "message", "role",
"content", "usage"}``, and ``{"metadata", "messages": [{"role", "say"}]}`` of a browser
extension (FORMATS 4). None has ids that last, so messages are told by their order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from ..errors import MalformedExport
from ..models import Fault, Kind, Message, Region, Role, Span, Transcript
from . import api_blocks, documents
from .base import Confidence
from .heads import has_index, members, records
from .jsonl import Line
from .records import ROLES as KNOWN
from .text import decode_head, escape, escape_value
from .values import dropped, moment, text_in, without_data

NAME = "role-messages"
TITLE = "API transcript, or chat exporter with roles"
PARSER_VERSION = 1
DETECTED_BY = "`messages` of `role` and `content` or `say`; or `type` message with a `role`"
VERSIONS = "Anthropic and OpenAI style, ai-chat-exporter"

ROLES = {**KNOWN, "developer": Role.SYSTEM, "function": Role.TOOL}

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_OTHERS = ("chat_messages", "mapping", "message")  # claude.ai, ChatGPT; lines of JSONL
_BODIES = ("content", "say", "tool_calls", "function_call")
_THOUGHTS = ("reasoning_content", "reasoning")
_STAMPS = ("timestamp", "created_at", "createdAt", "create_time", "created")


def detect(head: bytes, name: str) -> Confidence:
    """Certain when a list ``messages`` holds a record with a known role and a body.

    Not when any has an ``index``: those are indexed JSON; nor where other tools keep theirs.
    """
    text = decode_head(head).lstrip()
    top = members(text)
    if _is_response(text, top):
        return Confidence(certain=True, reason="JSON of type message with a role")
    if any(_opens(text, top.get(key), "[{") for key in _OTHERS):
        return Confidence(certain=False, reason="JSON of another tool")
    listed = top.get("messages")
    if not _opens(text, listed, "["):
        cut = "model" in top and ("system" in top or "tools" in top)
        reason = "JSON with a model, and no list messages near its beginning"
        return Confidence(certain=False, reason=reason if cut else "no messages", is_near=cut)
    if has_index(text, listed):
        return Confidence(certain=False, reason="JSON whose messages have an index")
    if any(_is_record(text, own) for own in records(text, listed)):
        return Confidence(certain=True, reason="JSON with messages of role and content")
    reason = "JSON whose messages have no known role with content"
    return Confidence(certain=False, reason=reason, is_near=True)


def _is_response(text: str, top: dict[str, int]) -> bool:
    known = _string(text, top.get("type")) == "message" and "messages" not in top
    speaks = _string(text, top.get("role")) == "assistant"
    return known and speaks and _opens(text, top.get("content"), "[")


def _opens(text: str, at: int | None, brackets: str) -> bool:
    return at is not None and text[at : at + 1] in tuple(brackets)


def _is_record(text: str, own: dict[str, int]) -> bool:
    role = _string(text, own.get("role"))
    return role.lower() in ROLES and any(key in own for key in _BODIES)


def _string(text: str, at: int | None) -> str:
    found = None if at is None else _STRING.match(text, at)
    return found[1] if found else ""


def parse(raw: bytes, name: str) -> Transcript:
    """Read a whole document; ``MalformedExport`` where the JSON is broken, or says nothing."""
    facts, elements = documents.elements(raw, "messages")
    listed = list(elements)
    parts: list[Message | Region | Fault]
    if facts.get("type") == "message" and all(isinstance(part, Region) for part in listed):
        parts, facts = list(_record(Line(1, Span(0, len(raw)), facts))), {}
    else:
        parts = []
        for part in listed:
            parts += _record(part) if isinstance(part, Line) else [part]
    _refuse_unread(parts)
    if facts.get("system") and isinstance(parts[0], Region):
        parts[0] = _system(facts["system"], parts[0].span)
    metadata = facts.get("metadata")
    about = metadata if isinstance(metadata, dict) else {}
    named = (t for t in (facts.get("title"), about.get("title")) if isinstance(t, str) and t)
    title = next(named, None)
    header = {k: v for k, v in facts.items() if k != "system" and (k, v) != ("title", title)}
    return Transcript(
        format=NAME,
        parser_version=PARSER_VERSION,
        messages=tuple(part for part in parts if isinstance(part, Message)),
        regions=tuple(part for part in parts if isinstance(part, Region)),
        title=escape(title) if title else None,
        header=escape_value(without_data(dropped(header))),
        faults=tuple(part for part in parts if isinstance(part, Fault)),
    )


def _refuse_unread(parts: list[Message | Region | Fault]) -> None:
    faults = [part for part in parts if isinstance(part, Fault)]
    if faults and not any(isinstance(part, Message) for part in parts):
        raise MalformedExport(
            f"none of {len(faults)} messages can be read: line {faults[0].line} has "
            f"{faults[0].reason}"
        )


def _system(said: Any, span: Span) -> Message:
    """What the model was told first; it stands beside the messages, and before them."""
    extra = {} if isinstance(said, str) else {"block": without_data(said)}
    text = escape(text_in(said))
    return Message(Role.SYSTEM, Kind.NOTICE, text, span, extra=escape_value(extra))


def _record(line: Line) -> Iterator[Message | Fault]:
    """The messages of a record, in its place; or what is wrong with it."""
    record, said = line.record, line.record.get("role")
    role = ROLES.get(said.lower()) if isinstance(said, str) else None
    body = "say" if record.get("content") is None and "say" in record else "content"
    content = record.get(body)
    if role is None:
        found = "none" if said is None else json.dumps(said, ensure_ascii=False)[:40]
        reason = f"a message without a usable role ({escape(found)})"
    elif not any(key in record for key in _BODIES):
        reason = "a message without a usable content"
    elif not isinstance(content, str | list | dict | None):
        reason = (
            f"a message whose {body} is a {type(content).__name__}, expected text or blocks"
        )
    else:
        end = Span(line.span.end, line.span.end)
        for number, message in enumerate(_messages(record, role, body)):
            yield replace(message, span=end if number else line.span)
        return
    yield Fault(line.span, reason, line.number)


def _messages(record: dict[str, Any], role: Role, body: str) -> Iterator[Message]:
    rest = {key: value for key, value in record.items() if key not in ("role", body)}
    thought = next((k for k in _THOUGHTS if isinstance(rest.get(k), str) and rest[k]), None)
    made = [api_blocks.plain(rest.pop(thought), role, Kind.THINKING)] if thought else []
    made += [*api_blocks.said(record.get(body), role), *api_blocks.calls(record)]
    shown = {"tool_calls": list, "function_call": dict}
    for key in [key for key, kind in shown.items() if isinstance(rest.get(key), kind)]:
        del rest[key]
    if rest.get("type") == "message":
        del rest["type"]
    at = _moment(rest)
    model = rest.pop("model") if isinstance(rest.get("model"), str) else None
    first = escape_value(_facts(rest, role))
    for number, message in enumerate(made or [api_blocks.plain("", role)]):
        yield replace(
            message,
            occurred_at=at,
            model=escape(model) if model else None,
            tokens=None if number else api_blocks.counted(record.get("usage")),
            extra=message.extra if number else {**first, **message.extra},
        )


def _moment(rest: dict[str, Any]) -> datetime | None:
    """The first time that can be read, taken out of ``rest``; what cannot stays there."""
    for key in _STAMPS:
        if (at := moment(rest.get(key))) is not None:
            del rest[key]
            return at
    return None


def _facts(rest: dict[str, Any], role: Role) -> dict[str, Any]:
    """What the first message of a record holds for all of it; ``raw`` is what has no name."""
    names = {"api_message_id": "id", "stop_reason": "stop_reason", "call_id": "tool_call_id"}
    if role is Role.TOOL:
        names["tool"] = "name"
    known = {own: rest.pop(key) for own, key in names.items() if _is_word(rest.get(key))}
    return {**known, **dropped({"raw": without_data(dropped(rest)) or None})}


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
