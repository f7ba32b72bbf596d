"""What the payload of one line of Codex says, before it has a place.

An item is what the model gets, an event is what the screen shows; ``copies`` are the texts of
an item that events tell as well.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..errors import MalformedExport
from ..models import Kind, Role
from .records import DECODER, refuse_deep
from .values import call, dropped, text_in

_EVENTS = {
    "user_message": (Role.USER, Kind.PROMPT, "message"),
    "agent_message": (Role.ASSISTANT, Kind.TEXT, "message"),
    "agent_reasoning": (Role.ASSISTANT, Kind.THINKING, "text"),
}
_NOTICES = ("turn_aborted", "error", "warning", "context_compacted", "thread_rolled_back")
_CALLS = ("function_call", "custom_tool_call", "local_shell_call", "web_search_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_INJECTED = (
    "<environment_context>", "<user_instructions>", "# AGENTS.md instructions",
    "<INSTRUCTIONS>", "<permissions instructions>", "<collaboration_mode>",
    "<skills_instructions>", "<skill>", "<turn_aborted>", "<user_shell_command>",
    "<subagent_notification>",
)  # fmt: skip
_AROUND_PICTURES = ("<image", "</image>")  # parts of an item that its event does not show
_LONGEST_S = 1e9
_DEEPEST = 40  # levels of JSON in a text that are worth reading; deeper it stays text

Key = tuple[Role, Kind, str]
COMPACTED: Key = (Role.SYSTEM, Kind.NOTICE, "compacted")


@dataclass(frozen=True, slots=True)
class Said:
    """A message without place, time and id; ``rest`` is what no other field says."""

    role: Role
    kind: Kind
    text: str
    rest: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)
    copies: tuple[Key, ...] = ()
    is_injected: bool = False


def of_event(payload: dict[str, Any]) -> Said | None:
    """What an event says that is part of the talk; None for progress and settings."""
    kind = str(payload.get("type"))
    if kind in _EVENTS:
        role, what, key = _EVENTS[kind]
        text = text_in(payload.get(key))
        rest = {k: v for k, v in payload.items() if k not in ("type", key) and v}
        return Said(role, what, text, rest, copies=(_key(role, what, text),))
    if kind not in _NOTICES:
        return None
    told = text_in(payload.get("message") or payload.get("reason"))
    copies = (COMPACTED,) if kind == "context_compacted" else ()
    text = f"[{kind}] {told}".strip()
    return Said(Role.SYSTEM, Kind.NOTICE, text, _without(payload), copies=copies)


def of_compaction(payload: dict[str, Any]) -> Said:
    """The history that goes on in place of the old one stays in ``rest``."""
    text = text_in(payload.get("message")) or "[compacted]"
    rest = _without(payload, "message")
    return Said(Role.SYSTEM, Kind.NOTICE, text, rest, copies=(COMPACTED,))


def of_item(payload: dict[str, Any]) -> Said:
    kind = payload.get("type")
    if kind in ("message", None) and isinstance(payload.get("role"), str):
        return _message(payload)
    if kind == "reasoning":
        return _reasoning(payload)
    if kind in _CALLS:
        return _call(payload)
    if kind in _OUTPUTS:
        return _result(payload)
    shown = kind if isinstance(kind, str) else "item"
    rest = _without(payload) if shown == kind else payload
    return Said(Role.SYSTEM, Kind.NOTICE, f"[{shown}]", rest)


def _message(payload: dict[str, Any]) -> Said:
    content, speaker = payload.get("content"), payload["role"]
    text, rest = text_in(content), _without(payload, "role", "content")
    if isinstance(content, list) and (shown := [b for b in content if not _is_text(b)]):
        rest["content"] = shown  # of a picture its kind and size
    if speaker == "assistant":
        role, kind = Role.ASSISTANT, Kind.TEXT
    elif speaker == "user" and not text.lstrip().startswith(_INJECTED):
        role, kind = Role.USER, Kind.PROMPT
    else:
        rest["role"] = speaker
        return Said(Role.SYSTEM, Kind.NOTICE, text, rest, is_injected=True)
    return Said(role, kind, text, rest, copies=(_key(role, kind, _written(content)),))


def _written(content: Any) -> str:
    """The text of a message without its pictures, as its event has it."""
    if not isinstance(content, list):
        return text_in(content)
    texts = [text_in([block]) for block in content if _has_text(block)]
    return "\n".join(text for text in texts if not text.startswith(_AROUND_PICTURES))


def _has_text(block: Any) -> bool:
    return isinstance(block, str) or (
        isinstance(block, dict) and isinstance(block.get("text"), str)
    )


def _is_text(block: Any) -> bool:
    """Whether the text of a block is all that it says."""
    return isinstance(block, str) or (
        _has_text(block) and not dropped({**block, "type": "", "text": ""})
    )


def _reasoning(payload: dict[str, Any]) -> Said:
    summary, content = payload.get("summary"), payload.get("content")
    texts = [text_in([one]) for one in summary] if isinstance(summary, list) else []
    rest = _without(payload, "content", *(("summary",) if isinstance(summary, list) else ()))
    text = "\n\n".join(texts)
    if content:
        text = text_in(content)
        rest["summary"] = summary
    copies = tuple(_key(Role.ASSISTANT, Kind.THINKING, one) for one in texts)
    return Said(Role.ASSISTANT, Kind.THINKING, text, rest, copies=copies)


def _call(payload: dict[str, Any]) -> Said:
    named, kind = payload.get("name"), str(payload.get("type"))
    tool = named if isinstance(named, str) else kind
    given = payload.get("arguments", payload.get("input", payload.get("action")))
    read = _object(given)
    facts = {
        "tool": tool,
        "input": given if read is None else read,
        "call_id": payload.get("call_id"),
        "status": payload.get("status"),
    }
    rest = _without(payload, "name", "arguments", "input", "action", "call_id", "status")
    if not isinstance(named, str):
        rest["name"] = named
    elif kind != _CALLS[0]:
        rest["type"] = kind
    text = call(tool, "" if given is None else given)
    return Said(Role.ASSISTANT, Kind.TOOL_CALL, text, rest, dropped(facts))


def _result(payload: dict[str, Any]) -> Said:
    """Older versions pack what a command printed, its exit code and its time into JSON."""
    output = payload.get("output")
    rest = _without(payload, "output", "call_id")
    if payload["type"] != _OUTPUTS[0]:
        rest["type"] = payload["type"]
    facts: dict[str, Any] = {"call_id": payload.get("call_id")}
    text, packed = _unpacked(output)
    if packed:
        facts |= _measured(packed)
        rest["output"] = packed
    elif isinstance(output, list) and (shown := [b for b in output if not _is_text(b)]):
        rest["output"] = shown
    return Said(Role.TOOL, Kind.TOOL_RESULT, text, rest, dropped(facts))


def _unpacked(output: Any) -> tuple[str, dict[str, Any]]:
    """The text of an output, and what was packed together with it."""
    if isinstance(output, dict):
        held, key = output, "content"
    else:
        held, key = _object(output) or {}, "output"
    is_packed = held is output or "metadata" in held
    if is_packed and isinstance(held.get(key), str):
        return held[key], {k: v for k, v in held.items() if k != key}
    return text_in(output), {}


def _measured(packed: dict[str, Any]) -> dict[str, Any]:
    told = packed.get("metadata")
    told = told if isinstance(told, dict) else {}
    code: Any = told.get("exit_code")
    seconds: Any = told.get("duration_seconds")
    failed = (isinstance(code, int) and code != 0) or packed.get("success") is False
    facts: dict[str, Any] = {"is_error": True} if failed else {}
    if type(seconds) in (int, float) and 0 <= seconds < _LONGEST_S:
        facts["latency_ms"] = round(seconds * 1000)
    return facts


def _object(text: Any) -> dict[str, Any] | None:
    """The object that a text is as JSON, unless storing it would cost the whole file."""
    if not isinstance(text, str) or not text.startswith("{"):
        return None
    with suppress(ValueError, RecursionError, MalformedExport):
        value = DECODER.decode(text)
        refuse_deep([value], _DEEPEST)
        return value if isinstance(value, dict) else None
    return None


def _key(role: Role, kind: Kind, text: str) -> Key:
    return role, kind, "".join(text.split())


def _without(payload: dict[str, Any], *said: str) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key not in ("type", *said)}
