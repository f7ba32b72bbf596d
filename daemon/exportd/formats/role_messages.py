"""Messages with a role: API transcripts, a response of Anthropic's API, chat exporters.

``{"messages": [{"role", "content"}]}`` of any vendor, ``{"type": "message", "role",
"content", "usage"}``, and ``{"metadata", "messages": [{"role", "say"}]}`` of a browser
extension (FORMATS 4). None has ids that last, so messages are told by their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from ..models import Fault, Kind, Message, Region, Role, Span, Transcript
from . import documents
from .base import Confidence
from .jsonl import Line
from .records import ROLES, depth
from .text import decode, escape, escape_value
from .values import anthropic_tokens, call, dropped, moment, text_in, tokens, without_data

NAME = "role-messages"
TITLE = "API transcript, or chat exporter with roles"
PARSER_VERSION = 1
DETECTED_BY = "`messages` of `role` and `content` or `say`; or `type` message with a `role`"
VERSIONS = "Anthropic and OpenAI style, ai-chat-exporter"

_LIST = re.compile(r'"messages"\s*:\s*\[\s*\{')
_RECORD = re.compile(r'"role"\s*:\s*"(?:\\.|[^"\\])*"')
_BODY = re.compile(r'"(?:content|say)"\s*:|"tool_calls"\s*:')
_INDEX = re.compile(r'"(?:index|parts|uuid)"\s*:')
_LOOKED_AT = 5
_BODIES = ("content", "say")


def detect(head: bytes, name: str) -> Confidence:
    """Certain by the first record of a list ``messages`` at the top level."""
    text = decode(head.removeprefix(b"\xef\xbb\xbf")).lstrip()
    if not text.startswith("{"):
        return Confidence(certain=False, reason="no JSON object")
    if _is_response(text):
        return Confidence(certain=True, reason="JSON of type message with a role and usage")
    lists = islice(_LIST.finditer(text), _LOOKED_AT)
    found = next((one for one in lists if depth(text[: one.start()]) == 1), None)
    if found is None:
        return Confidence(certain=False, reason="JSON without a list messages")
    first = _first_record(text, found.end())
    if _RECORD.search(first) and _BODY.search(first) and not _INDEX.search(first):
        return Confidence(certain=True, reason="JSON with messages of role and content")
    return Confidence(
        certain=False, reason="JSON whose messages have no role and content", is_near=True
    )


def _is_response(text: str) -> bool:
    keys = (r'"type"\s*:\s*"message"', r'"role"\s*:\s*"assistant"', r'"content"\s*:\s*\[')
    places = [re.search(key, text) for key in keys]
    return all(found and depth(text[: found.start()]) == 1 for found in places)


def _first_record(text: str, at: int) -> str:
    """The keys and texts of the first record at its own level, nested ones left out."""
    level, kept = 1, []
    for token in re.finditer(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', text[at:]):
        sign = token[0]
        if sign in ("{", "["):
            level += 1
        elif sign in ("}", "]"):
            level -= 1
            if level == 0:
                break
        elif level == 1:
            after = text[at + token.end() : at + token.end() + 3].lstrip()[:1]
            kept.append(f"{sign}{after or ''} ")
    return "".join(kept)


def parse(raw: bytes, name: str) -> Transcript:
    """Read a whole document; ``MalformedExport`` where the JSON is broken."""
    facts, records = documents.elements(raw, "messages")
    if "messages" not in facts and isinstance(facts.get("role"), str):
        return _response(raw, facts)
    parts: list[Message | Region | Fault] = []
    system = facts.get("system")
    for part in records:
        parts += list(_record(part)) if isinstance(part, Line) else [part]
    if system and parts and isinstance(parts[0], Region):
        notice = Message(Role.SYSTEM, Kind.NOTICE, escape(text_in(system)), parts[0].span)
        parts[0] = notice
    metadata = facts.get("metadata")
    known = metadata if isinstance(metadata, dict) else {}
    title = facts.get("title") or known.get("title")
    header = {key: value for key, value in facts.items() if key not in ("system", "title")}
    return _transcript(parts, escape_value(without_data(dropped(header))), title)


def _response(raw: bytes, facts: dict[str, Any]) -> Transcript:
    line = Line(1, Span(0, len(raw)), facts)
    return _transcript(list(_record(line)), {}, None)


def _transcript(
    parts: list[Message | Region | Fault], header: dict[str, Any], title: object
) -> Transcript:
    return Transcript(
        format=NAME,
        parser_version=PARSER_VERSION,
        messages=tuple(part for part in parts if isinstance(part, Message)),
        regions=tuple(part for part in parts if isinstance(part, Region)),
        title=escape(title) if isinstance(title, str) and title else None,
        header=header,
        faults=tuple(part for part in parts if isinstance(part, Fault)),
    )


def _record(line: Line) -> Iterator[Message | Fault]:
    record = line.record
    said = record.get("role")
    role = ROLES.get(said.lower()) if isinstance(said, str) else None
    if said in ("developer", "function"):
        role = Role.SYSTEM if said == "developer" else Role.TOOL
    key = next((key for key in _BODIES if key in record), None)
    if role is None or (key is None and "tool_calls" not in record):
        missing = "role" if role is None else "content"
        yield Fault(line.span, f"a message without a usable {missing}", line.number)
        return
    found = list(_messages(record, role, record.get(key) if key else None))
    end = Span(line.span.end, line.span.end)
    for number, message in enumerate(found):
        yield replace(message, span=end if number else line.span)


def _messages(record: dict[str, Any], role: Role, body: Any) -> Iterator[Message]:
    used = {
        "role",
        "content",
        "say",
        "model",
        "usage",
        "id",
        "type",
        "tool_calls",
        "stop_reason",
    }
    stamp = record.get("timestamp", record.get("created_at"))
    at = moment(stamp)
    rest = {key: value for key, value in record.items() if key not in used}
    if at is not None:
        rest = {k: v for k, v in rest.items() if k not in ("timestamp", "created_at")}
    first = {
        "api_message_id": record.get("id"),
        "stop_reason": record.get("stop_reason"),
        "call_id": record.get("tool_call_id"),
        "raw": without_data(dropped({**rest, "usage": record.get("usage")})) or None,
    }
    model = record.get("model")
    blocks = body if isinstance(body, list) and body else [body]
    made = [_block(block, role) for block in blocks if block is not None or len(blocks) > 1]
    calls = record.get("tool_calls")
    made += [_tool_call(one) for one in calls] if isinstance(calls, list) else []
    for number, message in enumerate(made or [_block("", role)]):
        facts = {**message.extra, **(dropped(first) if number == 0 else {})}
        yield replace(
            message,
            occurred_at=at,
            model=escape(model) if isinstance(model, str) else None,
            tokens=_tokens(record.get("usage")) if number == 0 else None,
            extra=escape_value(facts),
        )


def _block(block: Any, role: Role) -> Message:
    here = Span(0, 0)
    kinds = {Role.USER: Kind.PROMPT, Role.ASSISTANT: Kind.TEXT, Role.TOOL: Kind.TOOL_RESULT}
    kind = kinds.get(role, Kind.NOTICE)
    match block:
        case str(text) | {"type": "text" | "input_text" | "output_text", "text": str(text)}:
            return Message(role, kind, escape(text), here)
        case {"type": "thinking", "thinking": str(text)}:
            return Message(role, Kind.THINKING, escape(text), here)
        case {"type": "tool_use", "name": str(tool)}:
            given = block.get("input")
            facts = dropped({"tool": tool, "input": given, "call_id": block.get("id")})
            text = escape(call(tool, given))
            return Message(Role.ASSISTANT, Kind.TOOL_CALL, text, here, extra=facts)
        case {"type": "tool_result"}:
            failed = True if block.get("is_error") is True else None
            facts = dropped({"call_id": block.get("tool_use_id"), "is_error": failed})
            text = escape(text_in(block.get("content")))
            return Message(Role.TOOL, Kind.TOOL_RESULT, text, here, extra=facts)
        case _:
            facts = {"block": without_data(block)}
            return Message(role, Kind.ATTACHMENT, escape(text_in([block])), here, extra=facts)


def _tool_call(one: Any) -> Message:
    """A call as OpenAI's API has it, with its arguments as a string of JSON."""
    function = one.get("function") if isinstance(one, dict) else None
    known = function if isinstance(function, dict) else {}
    tool, given = known.get("name"), known.get("arguments")
    if not isinstance(tool, str):
        return _block(one, Role.ASSISTANT)
    facts = dropped({"tool": tool, "input": given, "call_id": one.get("id")})
    text = escape(call(tool, "" if given is None else given))
    return Message(Role.ASSISTANT, Kind.TOOL_CALL, text, Span(0, 0), extra=facts)


def _tokens(usage: Any) -> dict[str, int] | None:
    if isinstance(usage, dict) and "prompt_tokens" in usage:
        return tokens(
            input=usage.get("prompt_tokens"),
            output=usage.get("completion_tokens"),
            total=usage.get("total_tokens"),
        )
    return anthropic_tokens(usage)
