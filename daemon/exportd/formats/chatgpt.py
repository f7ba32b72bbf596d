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
from .spread import spread, with_open_end
from .text import decode_head, escape, escape_value
from .values import Repeats, call, compact_json, dropped, moment, unique, without_data

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
_PLAIN = ("", "text", "code", "multimodal_text")
_LATE = datetime.max.replace(tzinfo=UTC)
_HIDDEN = "is_visually_hidden_from_conversation"


def detect(head: bytes, name: str) -> Confidence:
    """Certain when a ``mapping`` at the top level of an object holds nodes."""
    text = decode_head(head)
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
    ids: dict[str, int] = {}
    repeats = Repeats()
    at = 0
    for span, (key, node) in found:
        if at < span.start:
            label = "separator" if at else "header"
            parts.append(Region(Span(at, span.start), label, "JSON around the nodes"))
        at = span.end
        if not isinstance(node, dict):
            parts.append(Fault(span, f"a node that is a {type(node).__name__}, no object"))
        elif repeats.has(key, node):
            parts.append(Region(span, "ignored", "the same record again"))
        else:
            own = unique(key, ids)
            nodes[own], spans[own] = node, span
    if at < len(raw):
        parts.append(Region(Span(at, len(raw)), "header", "JSON around the nodes"))
    messages: list[Message] = []
    placed: set[str] = set()
    for key in _order(nodes):
        said = nodes[key].get("message")
        if not isinstance(said, dict):
            where = "separator" if said is None else "ignored"
            parts.append(Region(spans[key], where, "a node without a message"))
            continue
        one = _message(said, _beside(key, nodes[key]))
        messages += spread([one], spans[key], escape(key), _follows(nodes, key, placed))
        placed.add(key)
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
        messages=with_open_end(messages),
        regions=tuple(part for part in parts if isinstance(part, Region)),
        title=escape(title) if isinstance(title, str) and title else None,
        header=escape_value(header),
        session_id=escape(session_id) if isinstance(session_id, str) else None,
        faults=tuple(part for part in parts if isinstance(part, Fault)),
    )


def _follows(nodes: Mapping[str, Mapping[str, Any]], key: str, placed: set[str]) -> str | None:
    """The nearest message above, or the node above that the export does not have.

    It is one of those ``placed`` before, so that a circle of parents is none of messages.
    """
    above = nodes[key].get("parent")
    for up in _up(nodes, above):
        if up in placed:
            return escape(up)
        above = nodes[up].get("parent")
    return escape(above) if isinstance(above, str) and above not in nodes else None


def _beside(key: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """What a node says beside its message; ids only where they are not its key."""
    rest = {k: v for k, v in node.items() if k not in ("id", "message", "parent", "children")}
    ids = {"node_id": node.get("id"), "id": node["message"].get("id")}
    return {**rest, **{k: v for k, v in ids.items() if v != key}}


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

    def below(start: str) -> list[str]:
        found, stack = [], [start]
        while stack:
            key = stack.pop()
            if key not in seen:
                seen.add(key)
                found.append(key)
                stack += sorted(children.get(key, []), key=by_time, reverse=True)
        return found

    # A root says nothing and has no time: it is as old as what was said first below it.
    trees = map(below, children.get(None, []))
    for tree in sorted(trees, key=lambda keys: min(map(by_time, keys))):
        yield from tree
    for start in sorted(nodes, key=by_time):
        yield from below(start)


def _message(said: dict[str, Any], beside: Mapping[str, Any]) -> Message:
    author, metadata, content = said.get("author"), said.get("metadata"), said.get("content")
    who = author if isinstance(author, dict) else {"author": author}
    notes = dict(metadata) if isinstance(metadata, dict) else {"metadata": metadata}
    body = content if isinstance(content, dict) else {"content_type": "", "parts": [content]}
    role, kind, tool = _speaker(said, who, body)
    text, model = _text(body), notes.get("model_slug")
    created = moment(said.get("create_time"))
    is_call = kind is Kind.TOOL_CALL
    extra = {
        "tool": tool,
        "input": text if is_call else None,
        "status": said.get("status"),
        "hidden": True if notes.get(_HIDDEN) is True else None,
        "weight": said.get("weight") if said.get("weight") not in (None, 1, 1.0) else None,
        "files": notes.pop("attachments", None),
    }
    for key, is_told in ((_HIDDEN, extra["hidden"]), ("model_slug", isinstance(model, str))):
        if is_told:
            del notes[key]
    used = ("id", "author", "content", "status", "weight", "metadata")
    rest = {k: v for k, v in said.items() if k not in used}
    if created is not None:
        del rest["create_time"]
    known = {"role"} if role.value == who.get("role") else set()
    known |= {"name"} if role is Role.TOOL and who.get("name") == tool else set()
    rest["author"] = _stated({k: v for k, v in who.items() if k not in known})
    rest["metadata"], rest["content"] = _stated(notes), _stated(_unshown(body))
    extra["raw"] = without_data(_stated({**beside, **rest})) or None
    return Message(
        role,
        kind,
        escape(call(tool, text) if is_call and tool else text),
        Span(0, 0),
        occurred_at=created,
        model=escape(model) if isinstance(model, str) else None,
        extra=escape_value(dropped(extra)),
    )


def _speaker(
    said: Mapping[str, Any], who: Mapping[str, Any], body: Mapping[str, Any]
) -> tuple[Role, Kind, str | None]:
    """Who speaks, and with which tool: an answer addressed to anyone but all is a call."""
    role, kind = _ROLES.get(str(who.get("role")), (Role.SYSTEM, Kind.NOTICE))
    to, name = said.get("recipient"), who.get("name")
    if role is Role.TOOL:
        return role, kind, name if isinstance(name, str) else None
    if role is Role.ASSISTANT and body.get("content_type") in ("thoughts", "reasoning_recap"):
        return role, Kind.THINKING, None
    if role is Role.ASSISTANT and isinstance(to, str) and to not in ("", "all"):
        return role, Kind.TOOL_CALL, to
    return role, kind, None


def _stated(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if value not in (None, "", [], {})}


def _unshown(body: Mapping[str, Any]) -> dict[str, Any]:
    """Of a content what its text does not show: pointers to pictures, language, sources."""
    rest = {key: value for key, value in body.items() if key not in ("parts", "text")}
    parts, text = body.get("parts"), body.get("text")
    if isinstance(parts, list):
        rest["parts"] = [part for part in parts if isinstance(part, dict | list)]
        rest["text"] = text
    else:
        rest["parts"], rest["text"] = parts, None if isinstance(text, str) else text
    is_plain = not _stated({k: v for k, v in rest.items() if k != "content_type"})
    return {} if is_plain and rest.get("content_type") in _PLAIN else rest


def _text(body: Mapping[str, Any]) -> str:
    match body:
        case {"parts": list(parts)}:
            return "\n\n".join(filter(None, map(_part, parts)))
        case {"text": str(text)}:
            return text
        case {"thoughts": list(thoughts)}:
            return "\n\n".join(map(_part, thoughts))
        case {"content": str(text)} | {"result": str(text)}:
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
