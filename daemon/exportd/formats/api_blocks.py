"""The content of a message as APIs have it: text, blocks, calls of tools, counts of tokens.

Anthropic's blocks and OpenAI's parts and ``tool_calls`` become messages without a place,
which their record gives them. What a block says beside what is shown is kept in
``extra["block"]``; base64 is replaced by its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

from ..models import Kind, Message, Role, Span
from .text import escape, escape_value
from .values import anthropic_tokens, call, dropped, inner, text_in, tokens, without_data

_NOWHERE = Span(0, 0)
_KINDS = {Role.USER: Kind.PROMPT, Role.ASSISTANT: Kind.TEXT, Role.TOOL: Kind.TOOL_RESULT}
# Types of which kind and text say all.
_PLAIN = ("text", "thinking", "tool_use", "tool_result", "function", "custom")
_NAMED = {
    "image": "[image]", "image_url": "[image]", "input_image": "[image]",
    "document": "[document]", "file": "[file]", "input_file": "[file]",
    "input_audio": "[audio]",
}  # fmt: skip


def said(content: Any, role: Role) -> Iterator[Message]:
    """The messages of a content: text, one block, or a list of them; none of an empty one."""
    blocks = content if isinstance(content, list) else [content]
    for block in blocks:
        if block is not None and block != "":
            text = {"type": "text", "text": block}
            yield _block(text if isinstance(block, str) else block, role)


def plain(text: str, role: Role, kind: Kind | None = None, **extra: Any) -> Message:
    """A message of text; of which kind, its role says where nothing else does."""
    own = kind or _KINDS.get(role, Kind.NOTICE)
    return Message(role, own, escape(text), _NOWHERE, extra=escape_value(dropped(extra)))


def calls(record: dict[str, Any]) -> Iterator[Message]:
    """Calls as OpenAI's API has them: ``tool_calls``, and the older ``function_call``."""
    listed = record.get("tool_calls")
    if isinstance(listed, list):
        yield from map(_call, listed)
    if isinstance(record.get("function_call"), dict):
        yield _call({"function": record["function_call"]})


def counted(usage: Any) -> dict[str, int] | None:
    """Of ``usage`` of either API; OpenAI counts what came from the cache as input, too."""
    if not isinstance(usage, dict) or "prompt_tokens" not in usage:
        return anthropic_tokens(usage)
    read, cached = usage["prompt_tokens"], inner(usage, "prompt_tokens_details")
    hit = cached.get("cached_tokens")
    if _is_count(read) and _is_count(hit) and 0 <= hit <= read:
        read -= hit
    thought = inner(usage, "completion_tokens_details").get("reasoning_tokens")
    return tokens(
        input=read,
        cache_read=hit,
        output=usage.get("completion_tokens"),
        reasoning=thought,
        total=usage.get("total_tokens"),
    )


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _block(block: Any, role: Role) -> Message:
    match block:
        case {"type": "text" | "input_text" | "output_text", "text": str(text)}:
            return plain(text, role, **_rest(block, "text"))
        case {"type": "thinking", "thinking": str(text)}:
            return plain(text, role, Kind.THINKING, **_rest(block, "thinking"))
        case {"type": "redacted_thinking"}:
            return plain("[redacted thinking]", role, Kind.THINKING, **_rest(block))
        case {"type": str(what), "name": str(tool)} if what.endswith("tool_use"):
            given, rest = block.get("input"), _rest(block, "name", "input", "id")
            return _called(tool, given, block.get("id"), rest)
        case {"type": str(what)} if what.endswith("tool_result"):
            return _result(block)
        case _:
            return _attachment(block, role)


def _attachment(block: Any, role: Role) -> Message:
    """The text of a document where it has one, the name of a picture, else the block itself."""
    match block:
        case {"type": "document", "source": {"type": "text", "data": str(text)} as source}:
            about = {**block, "source": {k: v for k, v in source.items() if k != "data"}}
            return plain(text, role, Kind.ATTACHMENT, **_rest(about))
        case {"type": str(what)} if what in _NAMED:
            text = _NAMED[what]
        case _:
            text = text_in([block])
    return plain(text, role, Kind.ATTACHMENT, block=without_data(block))


def _called(tool: str, given: Any, call_id: Any, rest: dict[str, Any]) -> Message:
    text = call(tool, "" if given is None else given)
    facts = {"tool": tool, "input": given, "call_id": call_id, **rest}
    return plain(text, Role.ASSISTANT, Kind.TOOL_CALL, **facts)


def _result(block: dict[str, Any]) -> Message:
    content, about = block.get("content"), dict(block)
    if _is_text(content):
        del about["content"]
    failed = True if block.get("is_error") is True else None
    rest = _rest(about, "tool_use_id", "is_error")
    facts = {"call_id": block.get("tool_use_id"), "is_error": failed, **rest}
    return plain(text_in(content), Role.TOOL, Kind.TOOL_RESULT, **facts)


def _is_text(content: Any) -> bool:
    """Whether the text of a tool's result says all that it holds."""
    blocks = content if isinstance(content, list) else [content]
    return all(isinstance(b, str) or (isinstance(b, dict) and _is_bare(b)) for b in blocks)


def _is_bare(block: dict[str, Any]) -> bool:
    return block.keys() == {"type", "text"} and block["type"] == "text"


def _call(one: Any) -> Message:
    """A call whose input is ``arguments``, mostly a string of JSON, or free text."""
    what = "custom" if inner(one, "custom") else "function"
    known, argument = inner(one, what), "input" if what == "custom" else "arguments"
    tool = known.get("name")
    if not isinstance(tool, str):
        return plain(text_in([one]), Role.ASSISTANT, Kind.TOOL_CALL, block=without_data(one))
    rest = {**one, what: {k: v for k, v in known.items() if k not in ("name", argument)}}
    return _called(tool, known.get(argument), one.get("id"), _rest(rest, "id"))


def _rest(block: dict[str, Any], *shown: str) -> dict[str, Any]:
    """What a block holds beside what is shown; absent, empty and false say nothing."""
    own = {k: v for k, v in block.items() if k not in shown and v}
    if own.get("type") in _PLAIN:
        del own["type"]
    return {"block": without_data(own)} if own else {}
