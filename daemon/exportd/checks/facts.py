"""What is checked, as it is stored; and what a check has to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Weight(StrEnum):
    """``damage`` breaks a promise; a ``note`` is something a person may want to know."""

    DAMAGE = "damage"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. Never message text: hashes and lengths.

    ``kind`` is a stable name for programs; ``file`` is an export's name, or a path from
    the memory folder on.
    """

    severity: Weight
    kind: str
    expected: str
    found: str
    what_to_do: str
    conversation_id: str | None = None
    message_index: int | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """``highest_index`` is the watermark; None without one."""

    conversation_id: str
    total_messages: int
    highest_index: int | None


@dataclass(frozen=True, slots=True)
class SegmentRow:
    segment_id: int
    conversation_id: str
    ordinal: int
    first_index: int
    message_count: int
    head_hash: str | None


@dataclass(frozen=True, slots=True)
class Run:
    """How many messages of a segment stand in a conversation, and between which indices."""

    conversation_id: str
    segment_id: int
    count: int
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class Rendering:
    content_hash: str
    text: str


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A stored message with its other renderings."""

    index: int
    segment_id: int
    role: str
    kind: str
    content_hash: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    in_flight: bool = False
    source_index: int | None = None
    renderings: tuple[Rendering, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportRow:
    """An ingested export.

    ``grown_into`` is the SHA-256 of the export that its file grew into while it was
    read. ``memory_dirs`` and ``dropped_names`` are where and how it was dropped. ``link``
    are place and number of the messages it shows of the segment that was asked for.
    """

    export_id: int
    sha256: str
    size_bytes: int
    name: str
    format: str | None
    parser_version: int | None
    message_count: int | None
    archive_name: str | None
    grown_into: str | None
    memory_dirs: tuple[str, ...] = ()
    dropped_names: tuple[str, ...] = ()
    link: tuple[int, int] | None = None
