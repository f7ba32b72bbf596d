"""What differs between two canonical dumps, in words: never the text of a message."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from .wording import counted

_Records = dict[str, list[dict[str, Any]]]


def differences(expected: str, found: str) -> list[str]:
    """Which conversations and fields two dumps tell differently; empty when they are equal."""
    if expected == found:
        return []
    ours, theirs = _by_conversation(expected), _by_conversation(found)
    lines = [f"{name}: missing" for name in ours.keys() - theirs.keys()]
    lines += [f"{name}: not expected" for name in theirs.keys() - ours.keys()]
    for name in ours.keys() & theirs.keys():
        lines += [f"{name}: {what}" for what in _within(ours[name], theirs[name])]
    return sorted(lines) or ["the same records, in another order or notation"]


def _by_conversation(dump: str) -> _Records:
    found: _Records = {}
    for line in dump.splitlines():
        record = json.loads(line)
        found.setdefault(record["conversation_id"], []).append(record)
    return found


def _within(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> Iterator[str]:
    """The conversation's own fields, then the messages', place by place."""
    yield from sorted(set(_fields(ours[0], theirs[0])))
    if len(ours) != len(theirs):
        yield f"{counted(len(ours) - 1, 'message')} expected, {len(theirs) - 1} found"
    if (at := _reordered(ours[1:], theirs[1:])) is not None:
        yield f"the same messages in another order, from message {at} on"
        return
    places: dict[str, list[int]] = {}
    for number, (a, b) in enumerate(zip(ours[1:], theirs[1:], strict=False)):
        for field in sorted(set(_fields(a, b))):
            places.setdefault(field, []).append(number)
    for field, numbers in places.items():
        count = counted(len(numbers), "message")
        yield f"{field} of {count}, the first of them message {numbers[0]}"


def _reordered(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> int | None:
    """Where two runs of the same texts part; None when they do not, or texts differ."""
    a, b = ([m.get("content_hash") for m in run] for run in (ours, theirs))
    if a == b or Counter(a) != Counter(b):
        return None
    return next(n for n, pair in enumerate(zip(a, b, strict=True)) if pair[0] != pair[1])


def _fields(ours: object, theirs: object, path: str = "") -> Iterator[str]:
    """The paths of what differs: ``metadata.reason``, ``segments.exports.modified_at``."""
    if ours == theirs:
        return
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in sorted(ours.keys() | theirs.keys()):
            inner = f"{path}.{key}" if path else str(key)
            if key in ours and key in theirs:
                yield from _fields(ours[key], theirs[key], inner)
            else:
                yield inner
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for a, b in zip(ours, theirs, strict=True):
            yield from _fields(a, b, path)
    else:
        yield path
