"""What is stored of a conversation, as the canonical dump has it.

The records of ``exportd export``: docs/reference/schemas/export-jsonl.schema.json describes
every key. They depend on what was exported alone, not on when or in which order it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict


class ExportRecord(TypedDict):
    name: str
    sha256: str
    size_bytes: int
    message_count: int
    modified_at: str | None


class SegmentRecord(TypedDict):
    ordinal: int
    first_index: int
    message_count: int
    starts_compacted: bool
    format: str
    exports: list[ExportRecord]


class RiskRecord(TypedDict):
    level: str
    reasons: list[str]


class ConversationRecord(TypedDict):
    type: Literal["conversation"]
    conversation_id: str
    total_messages: int
    metadata: Mapping[str, Any]
    aliases: list[str]
    risk: RiskRecord
    segments: list[SegmentRecord]


class RenderingRecord(TypedDict):
    content_hash: str
    content: str


class MessageRecord(TypedDict):
    type: Literal["message"]
    conversation_id: str
    message_index: int
    segment: int | None
    role: str
    kind: str
    content: str
    content_hash: str
    source_id: str | None
    source_index: int | None
    in_flight: bool
    occurred_at: str | None
    project: str | None
    developer: str | None
    metadata: Mapping[str, Any]
    renderings: list[RenderingRecord]


Record = ConversationRecord | MessageRecord


@dataclass(frozen=True, slots=True)
class Outline:
    """What a reader wants to know first.

    ``prompts`` are places and beginnings of what the user said; ``roles`` how many messages
    there are of each; ``first_at`` and ``last_at`` when the first and the last were said.
    """

    prompts: tuple[tuple[int, str], ...]
    roles: Mapping[str, int]
    first_at: datetime | None = None
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Dumped:
    """One conversation of a dump.

    ``messages`` in order, to be gone through once, before the next conversation is asked
    for: a page is read at a time. ``outline`` reads what it gives.
    """

    conversation: ConversationRecord
    messages: Iterator[MessageRecord]
    outline: Callable[[], Outline]
