"""Put a value into JSON text, or take one out, and leave every other byte as it is. Pure.

What ``insert`` puts in, ``cut`` takes out again to the byte. Both expect text that is JSON.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
_INDENT = re.compile(r"[ \t\r]*\n[ \t\r\n]*?([ \t]+)")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object, or an element of a list, which has no key.

    It stands in ``[start, end)``, and its value from ``value`` on.
    """

    key: str | None
    start: int
    value: int
    end: int


def members(text: str, at: int) -> list[Member]:
    """What is in the object or list that begins at ``at``."""
    is_object, found = text[at] == "{", []
    start = _skip(text, at + 1)
    while text[start] not in "}]":
        key, value = None, start
        if is_object:
            key, end = _DECODER.raw_decode(text, start)
            value = _skip(text, _skip(text, end) + 1)
        _, end = _DECODER.raw_decode(text, value)
        found.append(Member(key, start, value, end))
        start = _skip(text, end)
        if text[start] == ",":
            start = _skip(text, start + 1)
    return found


def member(text: str, at: int, key: str) -> Member | None:
    """The member of this key; None where there is none."""
    return next((one for one in members(text, at) if one.key == key), None)


def top(text: str) -> int:
    """Where the outermost value begins."""
    return _skip(text, 0)


def insert(text: str, at: int, depth: int, key: str | None, value: Any) -> str:
    """``value`` behind all that is in the object or list at ``at``, ``depth`` levels down."""
    newline = "\r\n" if "\r\n" in text else "\n"
    unit = _unit(text)
    inner = newline + unit * (depth + 1)
    shown = json.dumps(value, ensure_ascii=False, indent=unit).replace("\n", inner)
    new = inner + (f"{json.dumps(key)}: " if key is not None else "") + shown
    if there := members(text, at):
        end = there[-1].end
        return f"{text[:end]},{new}{text[end:]}"
    return f"{text[: at + 1]}{new}{newline}{unit * depth}{text[at + 1 :]}"


def cut(text: str, at: int, depth: int, index: int) -> str:
    """Without that member of the object or list at ``at``, and the comma it needed."""
    there = members(text, at)
    start, end = there[index].start, there[index].end
    if len(there) == 1:
        start = at + 1
        end += len(_line_to_bracket(text, end, depth))
    elif index == len(there) - 1:
        start = there[index - 1].end
    else:
        end = there[index + 1].start
    return text[:start] + text[end:]


def _line_to_bracket(text: str, end: int, depth: int) -> str:
    """The line break and indentation that ``insert`` puts behind a first member."""
    unit = _unit(text)
    for newline in ("\r\n", "\n"):
        if text.startswith(newline + unit * depth, end):
            return newline + unit * depth
    return ""


def _unit(text: str) -> str:
    """How far the first member of all stands in; two spaces where it has no line of its own.

    It is the same before an ``insert`` and after.
    """
    there = members(text, top(text))
    found = _INDENT.fullmatch(text, top(text) + 1, there[0].start) if there else None
    return found[1] if found else "  "


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
