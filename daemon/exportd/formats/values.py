"""Values of other tools as the normalised message has them: times, tokens, tool calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ..models import TOKENS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM = 100_000_000_000  # as seconds, the year 5138
_EARLIEST, _LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_MOST_TOKENS = 2**53
_JSON = json.JSONEncoder(ensure_ascii=False)
_TEXTS = ("text", "input_text", "output_text", "summary_text", "reasoning_text")


def moment(value: object) -> datetime | None:
    """ISO 8601, or seconds or milliseconds since 1970, as UTC.

    None for anything else, and for times before 1970-01-02 or from 2200 on: no tool wrote
    those, a broken clock did. A time without a zone is taken for UTC.
    """
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value)
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value / 1000 if abs(value) >= _MILLISECONDS_FROM else value
            found = _EPOCH + timedelta(seconds=seconds)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return found if _EARLIEST <= found < _LATEST else None


def tokens(**counts: object) -> dict[str, int] | None:
    """Counts under the names of ``TOKENS``; what is no count is left out, None without any.

    Where the source states no total it is the sum of what was read and written.
    """
    found = {
        name: value
        for name in TOKENS
        if isinstance(value := counts.get(name), int)
        and not isinstance(value, bool)
        and 0 <= value <= _MOST_TOKENS
    }
    if not found:
        return None
    parts = ("input", "cache_read", "cache_write", "output")
    found.setdefault("total", sum(found.get(name, 0) for name in parts))
    return found


def anthropic_tokens(usage: object) -> dict[str, int] | None:
    """Of the ``usage`` of Anthropic's API, where ``input_tokens`` are those not cached."""
    if not isinstance(usage, dict):
        return None
    return tokens(
        input=usage.get("input_tokens"),
        cache_read=usage.get("cache_read_input_tokens"),
        cache_write=usage.get("cache_creation_input_tokens"),
        output=usage.get("output_tokens"),
    )


def call(tool: str, given: Any) -> str:
    """A tool call as people read it: ``Name(input)``, the input as JSON but for text."""
    said = given if isinstance(given, str) else compact_json(given)
    return f"{tool}({said})"


def compact_json(value: Any) -> str:
    return _JSON.encode(value)


def text_in(blocks: Any) -> str:
    """The text of a tool's result: a string, or blocks of which pictures are only named."""
    if isinstance(blocks, str):
        return blocks
    if isinstance(blocks, list):
        return "\n".join(map(_block_text, blocks))
    return "" if blocks is None else compact_json(blocks)


def _block_text(block: Any) -> str:
    match block:
        case str():
            return block
        case {"type": str(), "text": str(text)} if block["type"] in _TEXTS:
            return text
        case {"type": "image" | "document" | "input_image" as kind}:
            return f"[{kind.removeprefix('input_')}]"
        case _:
            return compact_json(without_data(block))


def without_data(value: Any) -> Any:
    """Base64 content replaced by its length: the raw file has it."""
    if isinstance(value, dict):
        return {
            key: f"[{len(inner)} characters of base64]"
            if isinstance(inner, str) and len(inner) > 200 and _holds_data(key, inner)
            else without_data(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [without_data(inner) for inner in value]
    return value


def _holds_data(key: str, value: str) -> bool:
    return key in ("data", "image_url") or (key == "url" and value.startswith("data:"))


def inner(value: object, key: str) -> dict[str, Any]:
    """The object under a key of an object; an empty one where there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def unique(source_id: str, seen: dict[str, int]) -> str:
    """``source_id``, or with ``~2``, ``~3`` … where other content had it before.

    What it returns is given out once, even where a record is itself called ``ID~2``.
    """
    count = seen.get(source_id, 0) + 1
    own = source_id
    if count > 1:
        while (own := f"{source_id}~{count}") in seen:
            count += 1
        seen[own] = 1
    seen[source_id] = count
    return own


class Repeats:
    """Which records were read before: the same id, and the same content."""

    def __init__(self) -> None:
        self._first: dict[str, Any] = {}
        self._later: dict[str, set[str]] = {}

    def has(self, own: str, record: Any) -> bool:
        """Whether this very record was seen; it is from now on. Linear in what is read."""
        if own not in self._first:
            self._first[own] = record
            return False
        if self._first[own] == record:
            return True
        later, content = self._later.setdefault(own, set()), json.dumps(record, sort_keys=True)
        if content in later:
            return True
        later.add(content)
        return False


def dropped(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Without what says nothing: absent, or empty text."""
    return {key: value for key, value in facts.items() if value is not None and value != ""}
