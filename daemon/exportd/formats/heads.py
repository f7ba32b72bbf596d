"""The beginning of a JSON document, for detection: which keys stand at which level.

A head is cut anywhere, so no JSON parser reads it. What stands in strings, and deeper than
asked for, claims nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# A string, also one that the head's end cuts, with the colon of a key; or a bracket.
_TOKEN = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*+)"?(?P<colon>\s*:\s*)?|[\[\]{}]', re.DOTALL)


def members(text: str, at: int = 0) -> dict[str, int]:
    """The keys of the object that begins at ``at``, and where in ``text`` each value begins.

    Empty where no object begins there.
    """
    if text[at : at + 1] != "{":
        return {}
    return {
        token["text"]: token.end()
        for level, token in _walk(text, at)
        if level == 1 and token["colon"]
    }


def records(text: str, at: int | None) -> Iterator[dict[str, int]]:
    """The members of every object in the list that begins at ``at``; none for no list."""
    if at is None or text[at : at + 1] != "[":
        return
    for level, token in _walk(text, at):
        if level == 1 and token[0] == "{":
            yield members(text, token.start())


def has_index(text: str, at: int | None) -> bool:
    """Whether a record of the list that begins at ``at`` has a number as its ``index``."""
    places = (own.get("index", len(text)) for own in records(text, at))
    return any(text[place : place + 1].isdecimal() for place in places)


def is_cut(text: str) -> bool:
    """Whether the first object or list of ``text`` has no end."""
    at = len(text) - len(text.lstrip())
    if text[at : at + 1] not in ("{", "["):
        return False
    open_brackets = 0
    for token in _TOKEN.finditer(text, at):
        open_brackets += (token[0] in ("[", "{")) - (token[0] in ("]", "}"))
        if not open_brackets:
            return False
    return True


def _walk(text: str, at: int) -> Iterator[tuple[int, re.Match[str]]]:
    """Tokens until what begins at ``at`` ends, and how many brackets are open before each."""
    level = 0
    for token in _TOKEN.finditer(text, at):
        if token[0] in ("]", "}"):
            level -= 1
            if level <= 0:
                return
            continue
        yield level, token
        level += token[0] in ("[", "{")
