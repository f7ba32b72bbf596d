"""One conversation of a ChatGPT export (FORMATS 5): a tree of messages by their ids.

All branches are kept, and in one order whichever of them is current: from the root down,
the children of a node by their time. So another current branch at the next export moves
no message and changes none; which it is stands in the header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ..errors import MalformedExport
from ..models import Fault, Kind, Message, Region, Role, Span, Transcript
from . import documents
from .base import Confidence
from .records import depth
from .spread import spread
from .text import decode, escape, escape_value
from .values import compact_json, dropped, moment, without_data

NAME = "chatgpt"
TITLE = "conversation of a ChatGPT export"
PARSER_VERSION = 1
DETECTED_BY = "an object with a `mapping` of nodes with `message`, `parent` and `children`"
VERSIONS = "2025"

_MAPPING = re.compile(r'"mapping"\s*:\s*\{')
_NODE = re.compile(r'"(?:message|parent|children)"\s*:')
_ROLES = {
    "user": (Role.USER, Kind.PROMPT),
    "assistant": (Role.ASSISTANT, Kind.TEXT),
    "tool": (Role.TOOL, Kind.TOOL_RESULT),
    "system": (Role.SYSTEM, Kind.NOTICE),
}
_LATE = datetime.max.replace(tzinfo=UTC)
_HIDDEN = "is_visually_hidden_from_conversation"


def detect(head: bytes, name: str) -> Confidence:
    """Certain when a ``mapping`` at the top level of an object holds nodes."""
    text = decode(head.removeprefix(b"\xef\xbb\xbf"))
    found = _MAPPING.search(text) if text.lstrip().startswith("{") else None
    if found and depth(text[: found.start()]) == 1 and _NODE.search(text, found.end()):
        return Confidence(certain=True, reason="JSON with a mapping of nodes")
    return Confidence(certain=False, reason="no JSON object with a mapping of nodes")


def parse(raw: bytes, name: str) -> Transcript:
    """Read a whole conversation; ``MalformedExport`` where the JSON is broken."""
    facts, found = documents.document(raw, (), members_of="mapping")
    if not found and facts.get("mapping") != {}:
        raise MalformedExport("expected nodes in mapping, found none")
    nodes: dict[str, dict[str, Any]] = {}
    spans: dict[str, Span] = {}
    parts: list[Region | Fault] = []
    at = 0
    for span, (key, node) in found:
        if at < span.start:
            label = "separator" if at else "header"
            parts.append(Region(Span(at, span.start), label, "JSON around the nodes"))
        at = span.end
        if not isinstance(node, dict):
            parts.append(Fault(span, f"a node that is a {type(node).__name__}, no object"))
        elif key in nodes:
            parts.append(Region(span, "ignored", "another node of the same id"))
        else:
            nodes[key], spans[key] = node, span
    if at < len(raw):
        parts.append(Region(Span(at, len(raw)), "header", "JSON around the nodes"))
    messages: list[Message] = []
    for key in _order(nodes):
        said = nodes[key].get("message")
        if not isinstance(said, dict):
            where = "separator" if said is None else "ignored"
            parts.append(Region(spans[key], where, "a node without a message"))
            continue
        parent = next(
            (up for up in _up(nodes, nodes[key].get("parent")) if _has(nodes, up)), None
        )
        one = _message(said)
        follows = escape(parent) if parent else None
        messages += spread([one], spans[key], escape(key), follows)
    header = {
        name: value
        for name, value in facts.items()
        if name not in ("mapping", "title") and value not in (None, [], {})
    }
    session_id = facts.get("conversation_id") or facts.get("id")
    title = facts.get("title")
    return Transcript(
        format=NAME,
        parser_version=PARSER_VERSION,
        messages=tuple(messages),
        regions=tuple(part for part in parts if isinstance(part, Region)),
        title=escape(title) if isinstance(title, str) and title else None,
        header=escape_value(header),
        session_id=escape(session_id) if isinstance(session_id, str) else None,
        faults=tuple(part for part in parts if isinstance(part, Fault)),
    )


def _has(nodes: Mapping[str, Mapping[str, Any]], key: str) -> bool:
    return isinstance(nodes[key].get("message"), dict)


def _up(nodes: Mapping[str, Mapping[str, Any]], key: object) -> Iterator[str]:
    """From a node to the root; a circle of parents ends where it began."""
    seen: set[str] = set()
    while isinstance(key, str) and key in nodes and key not in seen:
        seen.add(key)
        yield key
        key = nodes[key].get("parent")


def _order(nodes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Every node once: from the roots down, and then what no root leads to."""
    children: dict[str | None, list[str]] = {}
    for key, node in nodes.items():
        parent = node.get("parent")
        known = parent if isinstance(parent, str) and parent in nodes else None
        children.setdefault(known, []).append(key)

    def by_time(key: str) -> tuple[datetime, str]:
        said = nodes[key].get("message")
        created = moment(said.get("create_time")) if isinstance(said, dict) else None
        return created or _LATE, key

    seen: set[str] = set()
    for start in (*sorted(children.get(None, []), key=by_time), *sorted(nodes, key=by_time)):
        stack = [start]
        while stack:
            key = stack.pop()
            if key not in seen:
                seen.add(key)
                yield key
                stack += sorted(children.get(key, []), key=by_time, reverse=True)


def _message(said: dict[str, Any]) -> Message:
    author = said.get("author")
    known = author if isinstance(author, dict) else {}
    role, kind = _ROLES.get(str(known.get("role")), (Role.SYSTEM, Kind.NOTICE))
    metadata = said.get("metadata")
    notes = dict(metadata) if isinstance(metadata, dict) else {}
    content = said.get("content")
    body = content if isinstance(content, dict) else {"content_type": "", "parts": [content]}
    what = body.get("content_type")
    tool = None
    if role is Role.ASSISTANT and what in ("thoughts", "reasoning_recap"):
        kind = Kind.THINKING
    elif role is Role.ASSISTANT and what == "code":
        kind, tool = Kind.TOOL_CALL, said.get("recipient")
    elif role is Role.TOOL:
        tool = known.get("name")
    created = moment(said.get("create_time"))
    extra: dict[str, Any] = {
        "tool": tool,
        "status": said.get("status"),
        "hidden": True if notes.pop(_HIDDEN, None) is True else None,
        "weight": said.get("weight") if said.get("weight") not in (None, 1, 1.0) else None,
        "files": notes.pop("attachments", None),
    }
    model = notes.pop("model_slug", None)
    used = ("id", "author", "content", "status", "weight", "metadata")
    rest = {k: v for k, v in said.items() if k not in used and v not in (None, [], {})}
    if created is not None:
        rest.pop("create_time", None)
    rest["metadata"] = {k: v for k, v in notes.items() if v not in (None, [], {})} or None
    if what not in ("text", "code", "multimodal_text"):
        rest["content"] = {k: v for k, v in body.items() if k not in ("parts", "text")}
    extra["raw"] = without_data(dropped(rest)) or None
    return Message(
        role,
        kind,
        escape(_text(body)),
        Span(0, 0),
        occurred_at=created,
        model=escape(model) if isinstance(model, str) else None,
        extra=escape_value(dropped(extra)),
    )


def _text(body: Mapping[str, Any]) -> str:
    match body:
        case {"parts": list(parts)}:
            return "\n\n".join(filter(None, map(_part, parts)))
        case {"text": str(text)}:
            return text
        case {"thoughts": list(thoughts)}:
            return "\n\n".join(map(_part, thoughts))
        case {"content": str(text)}:
            return text
        case _:
            return ""


def _part(part: Any) -> str:
    match part:
        case str():
            return part
        case None:
            return ""
        case {"content_type": str(kind), **rest} if "asset_pointer" in rest:
            return f"[{kind.removesuffix('_asset_pointer')}]"
        case {"text": str(text)}:
            return text
        case {"summary": str(summary), "content": str(text)}:
            return f"{summary}\n{text}"
        case _:
            return compact_json(without_data(part))
