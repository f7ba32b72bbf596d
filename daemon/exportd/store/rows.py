"""What goes into the store and what comes out of it, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ..growth import Point
from ..identity import Resolution
from ..models import Anomaly, Fate, Place, Severity, Transcript
from ..placement import Candidate, Move, Placement, SegmentFact, Slot


@dataclass(frozen=True, slots=True)
class Drop:
    """One claimed arrival: what the file system tells of it.

    ``name`` is the original file name, what UTF-8 cannot hold escaped. ``sha256`` is
    empty for what could not be read. ``parent_export_id`` is the container that it lies in,
    ``locator`` the place in there; ``is_part``: it is one of the parts of a long session.
    """

    claim_id: UUID
    name: str
    memory_dir: str
    sha256: str = ""
    size_bytes: int = 0
    modified_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    explicit_id: str | None = None
    parent_export_id: int | None = None
    locator: str | None = None
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the store knows of a drop's content, after this attempt was counted.

    ``outcome`` is set when an earlier run of this very drop got as far as the commit.
    """

    export_id: int
    state: str
    attempts: int
    parser_version: int | None
    message_count: int | None
    archive_name: str | None
    first_name: str
    outcome: Fate | None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a file that was read in parts, as an export of its own."""

    export_id: int
    locator: str
    state: str
    name: str
    modified_at: datetime
    message_count: int | None
    conversation_id: str | None


@dataclass(frozen=True, slots=True)
class NewAlert:
    """Something that people are to be told; ``subject`` is what it is about, for equality."""

    kind: str
    severity: Severity
    body: str
    subject: str
    memory_dir: str
    conversation_id: str | None = None
    export_id: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DayFacts:
    """A day in numbers: files, messages in them, of these new; alerts that are open now."""

    exports: int
    dead_letters: int
    seen: int
    new: int
    firing: int
    first_drop: datetime | None


@dataclass(frozen=True, slots=True)
class Shown:
    """Of an ingested export: its conversation, the messages it shows, and how many its

    segment has in storage.
    """

    conversation_id: str
    messages: int
    stored: int


@dataclass(frozen=True, slots=True)
class SessionExport:
    """An export of a session that its format names by an id of its own."""

    session_id: str
    export_id: int
    sha256: str
    size_bytes: int
    name: str
    archive_name: str | None
    state: str


@dataclass(frozen=True, slots=True)
class Touched:
    """What a part of a long session can touch of the stored one.

    Messages with its ids, the one that it follows, and those not said before ``since``.
    """

    ids: tuple[str, ...]
    since: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """What shows whether an export has to do with anything stored; ``name`` without spaces."""

    export_id: int
    format: str
    head_hash: str | None
    conversation_id: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """Candidates for an export, with the ids of their stored messages, in order.

    ``is_behind``: the one there is, from behind the part that the export follows.
    """

    candidates: tuple[Candidate, ...]
    message_ids: Mapping[int, tuple[int, ...]]
    is_behind: bool = False

    def places(self, segment: SegmentFact | None) -> tuple[Place, ...]:
        """The stored messages of a candidate; none where it has none."""
        found = (c.places for c in self.candidates if c.segment is segment)
        return next(found, ())

    def indices(self, segment: SegmentFact | None) -> frozenset[int]:
        """The native indices stored of a candidate; none where it has none."""
        places = (p for c in self.candidates if c.segment is segment for p in c.places)
        return frozenset(p.source_index for p in places if p.source_index is not None)


@dataclass(frozen=True, slots=True)
class Residence:
    """The conversation of a segment, and how it and its neighbours lie in there.

    ``left_id`` is the conversation that the segment leaves for it, None when it stays.
    ``descriptions`` says of each conversation that is touched why it has its name, and
    ``aliases`` which other ids its exports suggest, with the reasons.
    """

    resolution: Resolution
    left_id: str | None
    slots: tuple[Slot, ...]
    moves: tuple[Move, ...]
    aliases: Mapping[str, Mapping[str, str]]
    descriptions: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that one transaction writes about an export."""

    export_id: int
    claim_id: UUID
    memory_dir: str
    name: str
    fate: Fate
    transcript: Transcript
    hashes: tuple[str, ...]
    placement: Placement
    message_ids: tuple[int, ...]
    residence: Residence
    anomalies: tuple[Anomaly, ...]
    savings_pct: float
    elapsed_s: float
    is_part: bool
    point: Point | None = None
