"""What one message record of Gemini CLI becomes: its text, thoughts, calls and results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..models import Kind, Message, Role, Span
from .text import escape, escape_value
from .values import call, compact_json, dropped, moment, text_in, tokens, without_data

_ROLES = {
    "user": (Role.USER, Kind.PROMPT),
    "gemini": (Role.ASSISTANT, Kind.TEXT),
    "model": (Role.ASSISTANT, Kind.TEXT),
}
_SAID = {"id", "type", "content", "timestamp", "thoughts", "toolCalls", "tokens", "model"}
_COUNTS = {"input", "output", "cached", "thoughts", "tool", "total"}
_OVER = ("success", "error", "cancelled")


def messages_of(record: dict[str, Any], kind: str) -> Iterator[Message]:
    """What is said first, then thoughts and calls; a ``kind`` that is not known is a notice."""
    here, at = Span(0, 0), moment(record.get("timestamp"))
    role, what = _ROLES.get(kind, (Role.SYSTEM, Kind.NOTICE))
    model, given = record.get("model"), record.get("tokens")
    extra = {
        "status": kind if role is Role.SYSTEM else None,
        "is_error": True if kind == "error" else None,
        "raw": without_data(dropped(_rest(record))) or None,
    }
    yield Message(
        role,
        what,
        escape(_content(record.get("content"))),
        here,
        occurred_at=at,
        model=escape(model) if isinstance(model, str) and model else None,
        tokens=_tokens(given),
        extra=escape_value(dropped(extra)),
    )
    for thought in listed(record.get("thoughts")):
        text, when, rest = _thought(thought)
        facts = escape_value({"raw": rest}) if rest else {}
        yield Message(
            role, Kind.THINKING, escape(text), here, occurred_at=when or at, extra=facts
        )
    for one in listed(record.get("toolCalls")):
        yield from _tool(one, role, at)


def _rest(record: dict[str, Any]) -> dict[str, Any]:
    """What no message of a record shows: other keys, and values that are not what they
    should be."""
    rest = {key: value for key, value in record.items() if key not in _SAID}
    if moment(record.get("timestamp")) is None:
        rest["timestamp"] = record.get("timestamp")
    for key, kind in (("thoughts", list), ("toolCalls", list), ("model", str)):
        if not isinstance(record.get(key), kind):
            rest[key] = record.get(key)
    given = record.get("tokens")
    counts = given.values() if isinstance(given, dict) else ()
    are_counts = all(type(n) is int and n >= 0 for n in counts)
    if (
        not isinstance(given, dict)
        or not are_counts
        or set(given) - _COUNTS
        or given.get("tool")
    ):
        rest["tokens"] = given
    return rest


def _thought(thought: Any) -> tuple[str, Any, dict[str, Any]]:
    """Its text, its time, and what neither says."""
    if not isinstance(thought, dict):
        return compact_json(thought), None, {}
    lines = [thought.get("subject"), thought.get("description")]
    text = "\n".join(line for line in lines if isinstance(line, str) and line)
    if not text:
        return compact_json(thought), moment(thought.get("timestamp")), {}
    when = moment(thought.get("timestamp"))
    shown = {"subject", "description"} | ({"timestamp"} if when else set())
    return text, when, dropped({k: v for k, v in thought.items() if k not in shown})


def _tool(one: Any, role: Role, at: Any) -> Iterator[Message]:
    """A call, and its result where there is one; without, it runs until its status ends it."""
    here = Span(0, 0)
    if not isinstance(one, dict):
        yield Message(role, Kind.NOTICE, escape(compact_json(one)), here, occurred_at=at)
        return
    name, when = one.get("name"), moment(one.get("timestamp"))
    tool = name if isinstance(name, str) else "tool"
    status, given, result = one.get("status"), one.get("args"), one.get("result")
    shown = {"id", "args", "result", "status"} | ({"timestamp"} if when else set())
    shown |= {"name"} if tool == name else set()
    rest = dropped({key: value for key, value in one.items() if key not in shown})
    facts = {
        "tool": tool,
        "input": given,
        "call_id": one.get("id"),
        "status": status,
        "raw": without_data(rest) or None,
    }
    yield Message(
        role,
        Kind.TOOL_CALL,
        escape(call(tool, given)),
        here,
        occurred_at=when or at,
        in_flight=result is None and status not in _OVER,
        extra=escape_value(dropped(facts)),
    )
    if result is None:
        return
    failed = {"is_error": True} if status in ("error", "cancelled") else {}
    extra = escape_value(dropped({"tool": tool, "call_id": one.get("id"), **failed}))
    text = escape("\n".join(map(_result, result if isinstance(result, list) else [result])))
    yield Message(Role.TOOL, Kind.TOOL_RESULT, text, here, occurred_at=when or at, extra=extra)


def _result(result: Any) -> str:
    match result:
        case {"functionResponse": {"response": {"output": str(text)}}}:
            return text
        case {"functionResponse": {"response": response}}:
            return compact_json(without_data(response))
        case _:
            return _content(result)


def _content(content: Any) -> str:
    """A string, a part with ``text``, or a list of these."""
    match content:
        case {"text": str(text)}:
            return text
        case list():
            return "\n".join(map(_content, content))
        case _:
            return text_in(content)


def _tokens(given: Any) -> dict[str, int] | None:
    """``input`` of Gemini counts what came from the cache, too; ``total`` is as stated."""
    if not isinstance(given, dict):
        return None
    read, cached = given.get("input"), given.get("cached")
    fresh = read
    if isinstance(read, int) and isinstance(cached, int) and 0 <= cached <= read:
        fresh = read - cached
    return tokens(
        input=fresh,
        cache_read=cached,
        output=given.get("output"),
        reasoning=given.get("thoughts"),
        total=given.get("total"),
    )


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
