"""What one line of Claude Code says, block by block.

Nothing of a block is lost: what neither text nor a key of ``extra`` says is ``block``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..models import Kind, Role
from .bulk import without_bulk
from .values import call, dropped, text_in

_COMMAND = re.compile(r"\s*<(?:command-name|command-message|local-command|bash-)")
_TOLD_BY_THE_CLIENT = re.compile(
    r"\s*(?:\[Request interrupted by user|<task-notification>|<system-reminder>)"
)

_TOLD_OF_RESULT = ("tool_use_id", "content", "is_error")


class Block(NamedTuple):
    """What becomes a message once it has a place and an id; nothing is escaped yet."""

    role: Role
    kind: Kind
    text: str
    facts: dict[str, Any]


def spoken(record: dict[str, Any]) -> Iterator[Block]:
    """The blocks of a line of type user or assistant, at least one."""
    role = Role.ASSISTANT if record.get("type") == "assistant" else Role.USER
    said = record["message"].get("content")
    for block in (said or [""]) if isinstance(said, list) else [said]:
        yield _block(block, role, record)


def aside(record: dict[str, Any]) -> Iterator[Block]:
    """A line with an id that nobody speaks: of the system, or an attachment."""
    kind, subtype = record["type"], record.get("subtype")
    status = subtype if isinstance(subtype, str) and subtype else kind
    role, what = Role.SYSTEM, Kind.ATTACHMENT if kind == "attachment" else Kind.NOTICE
    if status == "local_command":
        role, what = Role.USER, Kind.COMMAND
    content = record.get("content", record.get("attachment"))
    text = content if isinstance(content, str) else ""
    if isinstance(content, dict):
        text = str(content.get("type", kind))
    yield Block(role, what, text or status, {"status": status})


def _block(block: Any, role: Role, record: dict[str, Any]) -> Block:
    if block is None or isinstance(block, str):
        block = {"type": "text", "text": block or ""}
    match block:
        case {"type": str(kind)} if kind.endswith("tool_result"):
            return _result(block)
        case {"type": "text", "text": str(text)}:
            return _message(role, _kind(text, role, record), text, block=_rest(block, "text"))
        case {"type": "thinking", "thinking": str(text)}:
            return _message(role, Kind.THINKING, text, block=_thought(block))
        case {"type": "redacted_thinking"}:
            return _message(role, Kind.THINKING, "[redacted thinking]", block=_rest(block))
        case {"type": "tool_use" | "server_tool_use" | "mcp_tool_use", "name": str(tool)}:
            given = block.get("input")
            return _message(
                role,
                Kind.TOOL_CALL,
                call(tool, given),
                tool=tool,
                input=given,
                call_id=block.get("id"),
                block=_rest(block, "name", "input", "id", own_type="tool_use"),
            )
        case _:
            shown = without_bulk(block)
            return _message(role, Kind.ATTACHMENT, text_in([block]), block=shown)


def _result(block: dict[str, Any]) -> Block:
    is_error = block.get("is_error")
    told = _TOLD_OF_RESULT if isinstance(is_error, bool) else _TOLD_OF_RESULT[:2]
    rest = _rest(block, *told, own_type="tool_result") or {}
    content = block.get("content")
    if isinstance(content, list) and (shown := [one for one in content if not _is_text(one)]):
        rest["content"] = without_bulk(shown)  # of a picture its kind and size
    return _message(
        Role.TOOL,
        Kind.TOOL_RESULT,
        text_in(content),
        call_id=block.get("tool_use_id"),
        is_error=True if is_error is True else None,
        block=rest or None,
    )


def _is_text(block: Any) -> bool:
    return isinstance(block, str) or (
        isinstance(block, dict) and set(block) == {"type", "text"} and block["type"] == "text"
    )


def _thought(block: dict[str, Any]) -> dict[str, Any] | None:
    """A signature is opaque: its length says that there was one."""
    rest = _rest(block, "thinking") or {}
    if isinstance(signature := rest.get("signature"), str):
        rest["signature"] = f"[{len(signature)} characters]"
    return rest or None


def _rest(block: dict[str, Any], *said: str, own_type: str = "") -> dict[str, Any] | None:
    """What a block has beside the keys that are told already; its type if not the usual one."""
    rest = {key: value for key, value in block.items() if key != "type" and key not in said}
    if own_type and block["type"] != own_type:
        rest["type"] = block["type"]
    return (without_bulk(dropped(rest)) or None) if rest else None


def _message(role: Role, kind: Kind, text: str, **facts: Any) -> Block:
    return Block(role, kind, text, dropped(facts))


def _kind(text: str, role: Role, record: dict[str, Any]) -> Kind:
    """Of what stands in the place of the user, only what a person wrote is a prompt."""
    if role is Role.ASSISTANT:
        return Kind.TEXT
    if _COMMAND.match(text):
        return Kind.COMMAND
    if record.get("isMeta") or record.get("isCompactSummary"):
        return Kind.NOTICE
    return Kind.NOTICE if _TOLD_BY_THE_CLIENT.match(text) else Kind.PROMPT
