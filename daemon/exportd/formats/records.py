"""What the records of JSON formats have in common: numbers, roles, the text of a body."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from ..errors import MalformedExport
from ..models import Kind, Role

ROLES = {
    "prompt": Role.USER,
    "user": Role.USER,
    "human": Role.USER,
    "response": Role.ASSISTANT,
    "assistant": Role.ASSISTANT,
    "system": Role.SYSTEM,
    "tool": Role.TOOL,
}
KINDS = {Role.USER: Kind.PROMPT, Role.TOOL: Kind.TOOL_RESULT}

MAX_INDEX = 2**31 - 1  # what PostgreSQL's integer holds
MAX_DEPTH = 150  # levels; max_json_depth sets how many may be stored
_MAX_DIGITS = 300
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)


def _number(text: str) -> object:
    """A number that jsonb and Python can hold, else its digits as text: nothing is lost."""
    if len(text) > _MAX_DIGITS:
        return text
    number = float(text) if set(text) & set(".eE") else int(text)
    return number if math.isfinite(number) else text


def _refuse(text: str) -> object:
    raise MalformedExport(f"{text} is no JSON; expected a number, a string or null")


DECODER = json.JSONDecoder(
    strict=False, parse_float=_number, parse_int=_number, parse_constant=_refuse
)

# The same where every whole number is short: no call for each.
_SHORT_NUMBERS = json.JSONDecoder(strict=False, parse_float=_number, parse_constant=_refuse)
_DIGITS = re.compile("[0-9]{3}")


def decode(text: str) -> Any:
    """JSON as ``DECODER`` reads it; a number of 300 digits shows in every 100th character."""
    return (DECODER if _DIGITS.search(text[::100]) else _SHORT_NUMBERS).decode(text)


def may_be_deep(text: str) -> bool:
    """Whether JSON has so many brackets that it can be nested too deeply."""
    return text.count("[") + text.count("{") > MAX_DEPTH


def refuse_deep(value: Any, most: int = MAX_DEPTH) -> None:
    """``MalformedExport`` where a value is nested more than ``most`` levels deep.

    Breadth first: what reads it later calls itself for every level.
    """
    row = [value]
    for _ in range(most):
        row = [
            one
            for outer in row
            for one in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(one, dict | list | tuple)
        ]
        if not row:
            return
    raise MalformedExport("JSON nested too deeply")


def depth(head: str) -> int:
    """How many objects and lists are open at the end of ``head``, the beginning of JSON."""
    bare = _STRING.sub("", head)
    return sum(map(bare.count, "{[")) - sum(map(bare.count, "}]"))


def is_index(value: object) -> bool:
    """Whether a value can be a native index: a whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INDEX


def text_of(body: Any) -> str:
    """A body as Markdown: text, or a list of elements of a page."""
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return "\n\n".join(_item(item) for item in body)
    return _item(body)


def _item(item: Any) -> str:
    """One element of a page as Markdown; what is not known stays JSON, never dropped."""
    match item:
        case str():
            return item
        case {"type": "pre", "data": str(code)}:
            return f"```{item.get('language') or ''}\n{code}\n```"
        case {"type": "ul", "data": list(rows)}:
            return "\n".join(f"- {text_of(row)}" for row in rows)
        case {"type": "ol", "data": list(rows)}:
            return "\n".join(f"{n}. {text_of(row)}" for n, row in enumerate(rows, 1))
        case {"type": "p" | "text", "data": str(text)} | {"type": "text", "text": str(text)}:
            return text
        case _:
            return json.dumps(item, ensure_ascii=False)
