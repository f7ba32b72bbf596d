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
from .spread import spread, with_open_end
from .text import decode_head, escape, escape_value
from .values import Repeats, call, dropped, moment, text_in, unique, without_data

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
    text = decode_head(head)
    found = _LIST.search(text) if text.lstrip().startswith("{") else None
    if found and depth(text[: found.start()]) == 1:
        return Confidence(certain=True, reason="JSON with a list chat_messages")
    return Confidence(certain=False, reason="no JSON object with a list chat_messages")


def parse(raw: bytes, name: str) -> Transcript:
    """Read a whole conversation; ``MalformedExport`` where the JSON is broken."""
    facts, records = documents.elements(raw, "chat_messages")
    parts = list(_parts(records))
    messages = tuple(part for part in parts if isinstance(part, Message))
    header = {key: value for key, value in facts.items() if key not in ("uuid", "name")}
    title, uuid = facts.get("name"), facts.get("uuid")
    return Transcript(
        format=NAME,
        parser_version=PARSER_VERSION,
        messages=with_open_end(messages),
        regions=tuple(part for part in parts if isinstance(part, Region)),
        title=escape(title) if isinstance(title, str) and title else None,
        header=escape_value(dropped(header)),
        session_id=escape(uuid) if isinstance(uuid, str) and uuid else None,
        faults=tuple(part for part in parts if isinstance(part, Fault)),
    )


def _parts(records: Iterator[Line | Region | Fault]) -> Iterator[Message | Region | Fault]:
    ids: dict[str, int] = {}
    repeats = Repeats()
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
        if repeats.has(own, record):
            yield Region(part.span, "ignored", "the same record again")
            continue
        parent = record.get("parent_message_uuid")
        follows = escape(parent) if isinstance(parent, str) and parent != _ROOT else None
        source_id = unique(escape(own), ids)
        yield from spread(_messages(record, role), part.span, source_id, follows, ids)


def _messages(record: dict[str, Any], role: Role) -> Iterator[Message]:
    created = moment(record.get("created_at"))
    blocks, said = record.get("content"), record.get("text")
    if isinstance(blocks, str) and not said:
        said = blocks
    if not isinstance(blocks, list) or not blocks:
        blocks = [{"type": "text", "text": said if isinstance(said, str) else ""}]
    attachments = record.get("attachments")
    given = attachments if isinstance(attachments, list) else []
    extra = _extra(record, [file for file in given if not _extracted(file)])
    read = [{"attachment": file} for file in given if _extracted(file)]
    for number, block in enumerate([*blocks, *read]):
        kind, speaker, text, own = _block(block, role)
        facts = escape_value({**dropped(own), **(extra if number == 0 else {})})
        yield Message(speaker, kind, escape(text), Span(0, 0), occurred_at=created, extra=facts)


def _extra(record: dict[str, Any], files: list[Any]) -> dict[str, Any]:
    """What no message shows: files of which only the name is known, and all other keys."""
    rest = {key: value for key, value in record.items() if key not in _SAID}
    if isinstance(record.get("files"), list):
        files = [*files, *rest.pop("files")]
    if not isinstance(record.get("attachments"), list):
        rest["attachments"] = record.get("attachments")
    if moment(record.get("created_at")) is None:
        rest["created_at"] = record.get("created_at")
    if not isinstance(record.get("parent_message_uuid"), str):
        rest["parent_message_uuid"] = record.get("parent_message_uuid")
    blocks, said = record.get("content"), record.get("text")
    if not isinstance(blocks, list) and (said or not isinstance(blocks, str)):
        rest["content"] = blocks
    if not isinstance(said, str) or (isinstance(blocks, list) and _differs(said, blocks)):
        rest["text"] = said
    raw = without_data(dropped(rest))
    return {**({"files": files} if files else {}), **({"raw": raw} if raw else {})}


def _differs(said: str, blocks: list[Any]) -> bool:
    """Whether ``text`` says what its blocks do not; white space between them aside."""
    texts = (block.get("text") for block in blocks if isinstance(block, dict))
    shown = "".join(text for text in texts if isinstance(text, str))
    return bool(blocks) and "".join(said.split()) != "".join(shown.split())


def _extracted(file: Any) -> bool:
    return isinstance(file, dict) and bool(file.get("extracted_content"))


def _block(block: Any, role: Role) -> tuple[Kind, Role, str, dict[str, Any]]:
    match block:
        case {"type": "text", "text": str(text)}:
            kind = Kind.PROMPT if role is Role.USER else Kind.TEXT
            return kind, role, text, _rest(block, "text")
        case {"type": "thinking", "thinking": str(text)}:
            return Kind.THINKING, role, text, _rest(block, "thinking")
        case {"type": "tool_use", "name": str(tool)}:
            given = block.get("input")
            facts = {"tool": tool, "input": given, "call_id": block.get("id")}
            return Kind.TOOL_CALL, role, call(tool, given), {
                **facts, **_rest(block, "name", "input", "id"),
            }  # fmt: skip
        case {"type": "tool_result"}:
            facts = {"tool": block.get("name"), "call_id": block.get("tool_use_id")}
            if block.get("is_error") is True:
                facts["is_error"] = True
            said = ("name", "tool_use_id", "content", "is_error")
            text = text_in(block.get("content"))
            return Kind.TOOL_RESULT, Role.TOOL, text, {**facts, **_rest(block, *said)}
        case {"attachment": file}:
            rest = {k: v for k, v in file.items() if k != "extracted_content"}
            return Kind.ATTACHMENT, role, text_in(file["extracted_content"]), {"files": [rest]}
        case _:
            return Kind.NOTICE, role, text_in([block]), {"block": without_data(block)}


def _rest(block: dict[str, Any], *said: str) -> dict[str, Any]:
    """What a block holds beside what is shown of it; absent, empty and false say nothing."""
    rest = {k: v for k, v in block.items() if k not in ("type", *said) and v}
    return {"block": without_data(rest)} if rest else {}
