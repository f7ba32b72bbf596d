"""One conversation of a claude.ai account export (FORMATS 3).

The export itself is a list of these, ``conversations.json``, often in a zip; each element
is read alone. Message uuids are unique; the order is that of the file, which is by time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..models import Fault, Kind, Message, Region, Role, Span, Transcript
from . import documents
from .base import Confidence
from .jsonl import Line
from .records import depth
from .spread import spread
from .text import decode, escape, escape_value
from .values import call, dropped, moment, text_in, unique, without_data

NAME = "claude-ai"
TITLE = "conversation of a claude.ai export"
PARSER_VERSION = 1
DETECTED_BY = "an object with `uuid` and a list `chat_messages`"
VERSIONS = "2025-12, account export and web API"

_LIST = re.compile(r'"chat_messages"\s*:\s*\[')
_ROLES = {"human": Role.USER, "assistant": Role.ASSISTANT}
_SAID = {
    "uuid", "text", "content", "sender", "created_at", "attachments", "parent_message_uuid",
}  # fmt: skip
_ROOT = "00000000-0000-4000-8000-000000000000"  # what the web API calls the beginning


def detect(head: bytes, name: str) -> Confidence:
    """Certain when a list ``chat_messages`` stands at the top level of an object."""
    text = decode(head.removeprefix(b"\xef\xbb\xbf"))
    found = _LIST.search(text) if text.lstrip().startswith("{") else None
    if found and depth(text[: found.start()]) == 1:
        return Confidence(certain=True, reason="JSON with a list chat_messages")
    return Confidence(certain=False, reason="no JSON object with a list chat_messages")


def parse(raw: bytes, name: str) -> Transcript:
    """Read a whole conversation; ``MalformedExport`` where the JSON is broken."""
    facts, records = documents.elements(raw, "chat_messages")
    parts = list(_parts(records))
    messages = tuple(part for part in parts if isinstance(part, Message))
    header = {
        k: facts.get(k) for k in ("created_at", "updated_at", "summary", "model", "project")
    }
    title, uuid = facts.get("name"), facts.get("uuid")
    return Transcript(
        format=NAME,
        parser_version=PARSER_VERSION,
        messages=messages,
        regions=tuple(part for part in parts if isinstance(part, Region)),
        title=escape(title) if isinstance(title, str) and title else None,
        header=escape_value(dropped(header)),
        session_id=escape(uuid) if isinstance(uuid, str) and uuid else None,
        faults=tuple(part for part in parts if isinstance(part, Fault)),
    )


def _parts(records: Iterator[Line | Region | Fault]) -> Iterator[Message | Region | Fault]:
    ids: dict[str, int] = {}
    seen: dict[str, dict[str, Any]] = {}
    for part in records:
        if not isinstance(part, Line):
            yield part
            continue
        record = part.record
        own, role = record.get("uuid"), _ROLES.get(str(record.get("sender")))
        if not isinstance(own, str) or not own or role is None:
            missing = "sender (human or assistant)" if isinstance(own, str) else "uuid"
            yield Fault(part.span, f"a message without a usable {missing}", part.number)
            continue
        if seen.setdefault(own, record) == record and own in ids:
            yield Region(part.span, "ignored", "the same message again")
            continue
        parent = record.get("parent_message_uuid")
        follows = escape(parent) if isinstance(parent, str) and parent != _ROOT else None
        yield from spread(_messages(record, role), part.span, unique(escape(own), ids), follows)


def _messages(record: dict[str, Any], role: Role) -> Iterator[Message]:
    rest = {key: value for key, value in record.items() if key not in _SAID}
    created = moment(record.get("created_at"))
    if created is None:
        rest["created_at"] = record.get("created_at")
    extra = {"raw": escape_value(without_data(rest))} if (rest := dropped(rest)) else {}
    blocks = record.get("content")
    said = record.get("text")
    if not isinstance(blocks, list) or not blocks:
        blocks = [{"type": "text", "text": said if isinstance(said, str) else ""}]
    attachments = record.get("attachments")
    files = attachments if isinstance(attachments, list) else []
    for number, block in enumerate([*blocks, *({"attachment": file} for file in files)]):
        kind, speaker, text, own = _block(block, role)
        facts = escape_value({**own, **(extra if number == 0 else {})})
        yield Message(speaker, kind, escape(text), Span(0, 0), occurred_at=created, extra=facts)


def _block(block: Any, role: Role) -> tuple[Kind, Role, str, dict[str, Any]]:
    match block:
        case {"type": "text", "text": str(text)}:
            rest = {k: v for k, v in block.items() if k not in ("type", "text") and v}
            kind = Kind.PROMPT if role is Role.USER else Kind.TEXT
            return kind, role, text, {"block": rest} if rest else {}
        case {"type": "thinking", "thinking": str(text)}:
            return Kind.THINKING, role, text, {}
        case {"type": "tool_use", "name": str(tool)}:
            given = block.get("input")
            rest = {k: v for k, v in block.items() if k not in ("type", "name", "input") and v}
            facts = {"tool": tool, "input": given, "block": rest}
            return Kind.TOOL_CALL, role, call(tool, given), facts
        case {"type": "tool_result"}:
            said = ("type", "name", "content", "is_error")
            rest = {k: v for k, v in block.items() if k not in said and v}
            facts = {"tool": block.get("name"), "block": without_data(rest)}
            if block.get("is_error") is True:
                facts["is_error"] = True
            return Kind.TOOL_RESULT, Role.TOOL, text_in(block.get("content")), dropped(facts)
        case {"attachment": file}:
            held = file.get("extracted_content") if isinstance(file, dict) else None
            rest = {k: v for k, v in file.items() if k != "extracted_content"} if held else file
            return Kind.ATTACHMENT, role, text_in(held), {"files": [rest]}
        case _:
            return Kind.NOTICE, role, text_in([block]), {"block": without_data(block)}
