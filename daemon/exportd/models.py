"""The values that travel the road from a dropped file to the database.

Everything here is plain data: frozen, comparable, without behaviour beyond what
follows from the fields. Datetimes are aware UTC; offsets and sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class Raw(Protocol):
    """The bytes of a file: held, or read piece by piece where it is large."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class Role(StrEnum):
    """Who speaks: the four roles of DESIGN 3."""

    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    SYSTEM = "system"


class Kind(StrEnum):
    """What a message is; finer than its role."""

    PROMPT = "prompt"
    TEXT = "text"
    THINKING = "thinking"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"
    COMMAND = "command"
    NOTICE = "notice"
    ATTACHMENT = "attachment"


class Fate(StrEnum):
    """What may become of a dropped file (DESIGN 2.2); there is no silent sixth."""

    INGESTED = "ingested"
    DUPLICATE_FILE = "duplicate_file"
    UNCHANGED = "unchanged"
    DEAD_LETTER = "dead_letter"
    DEFERRED = "deferred"


class Outcome(StrEnum):
    """What became of one message of an export (DESIGN 4.4)."""

    NEW = "new"
    DUPLICATE = "duplicate"
    RERENDERED = "re_rendered"
    COMPLETED = "completed"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open run of bytes ``[start, end)`` in the raw file."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes that are no message, and why: header, notice, separator or ignored."""

    span: Span
    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A record inside a good file that could not be read, and why; lines count from 1."""

    span: Span
    reason: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a transcript.

    ``text`` is what a reader should see: without glyphs, indentation and padding.
    ``source_id`` is unique in its session. ``parent_id`` is the ``source_id`` that the
    format says came before. Of several messages from one record the first has the
    record's span, the others an empty one at its end. ``tokens`` are counted once for
    each answer of a model; the keys are those of ``TOKENS``. ``extra`` holds everything
    else that the format carries, under the keys of docs/reference/formats.md where one fits.
    ``in_flight`` marks a result that was still running when the export was taken.
    """

    role: Role
    kind: Kind
    text: str
    span: Span
    source_id: str | None = None
    source_index: int | None = None
    occurred_at: datetime | None = None
    model: str | None = None
    tokens: Mapping[str, int] | None = None
    in_flight: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    parent_id: str | None = None


# A flag: what lies among exports, is recognised, and holds no talk.
NOT_A_CONVERSATION = "not_a_conversation"

# Of what a model read: new, read from the cache, written to the cache. Of what it wrote: all
# of it, and the part that is thinking. The total is what the source states, or their sum.
TOKENS = ("input", "cache_read", "cache_write", "output", "reasoning", "total")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a message begins that is read alike whatever stands before it.

    ``offset`` is its first byte, ``messages`` how many of the transcript come before; so many
    of its names of ``lineage`` and these ``flags`` were found there.
    """

    offset: int
    messages: int
    lineage: int
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Before:
    """What stands before a transcript in its file, was stored before, and is not read anew.

    ``anchors`` of the ``messages``, ``chars`` without whitespace and ``escaped`` characters.
    """

    messages: int = 0
    anchors: int = 0
    chars: int = 0
    escaped: int = 0


@dataclass(frozen=True, slots=True)
class Transcript:
    """A parsed export: messages, other regions and faults together partition the file.

    ``lineage`` are the names in lines ``Conversation exported to: NAME``: earlier
    exports of the same conversation. ``flags`` name what was read with doubt.
    ``session_id`` is the format's own name of the session, where it has one. ``follows``: in
    a part of a long session, the native id of the line before it. ``marks`` are the places
    from which it can be read on when it has grown; ``before`` is what such a one leaves out.
    """

    format: str
    parser_version: int
    messages: tuple[Message, ...]
    regions: tuple[Region, ...]
    starts_compacted: bool = False
    cwd: str | None = None
    title: str | None = None
    lineage: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    header: Mapping[str, Any] = field(default_factory=dict)
    session_id: str | None = None
    faults: tuple[Fault, ...] = ()
    follows: str | None = None
    marks: tuple[Mark, ...] = ()
    before: Before = Before()

    @property
    def message_count(self) -> int:
        """Of the whole file."""
        return self.before.messages + len(self.messages)


@dataclass(frozen=True, slots=True)
class Place:
    """A message as identity and alignment see it, stored or just read.

    ``hashes`` holds the fingerprint of every rendering seen at this place: one for a
    message just read.
    """

    role: Role
    kind: Kind
    tool: str | None
    hashes: frozenset[str]
    text: str
    source_index: int | None = None
    in_flight: bool = False
    source_id: str | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One incoming message and its outcome.

    ``known`` is the index of the stored message at the same place, None for a new
    one. ``replace``: the incoming text is the richer one and becomes the content.
    """

    outcome: Outcome
    incoming: int
    known: int | None = None
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What an export adds to a segment, ready to be carried out.

    ``steps`` has one entry per incoming message, in file order. ``order`` is the
    merged segment: a stored message as its index among the known ones, an incoming
    one as ``-1 - index``. ``conflicts`` are native indices seen with other content.
    """

    steps: tuple[Step, ...]
    order: tuple[int, ...]
    conflicts: tuple[int, ...] = ()

    def count(self, outcome: Outcome) -> int:
        return sum(step.outcome is outcome for step in self.steps)


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something odd that a person may want to know."""

    kind: str
    severity: Severity
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one dropped file: for the log line and the status log.

    ``kept_as`` is the path of the raw bytes, relative to the memory folder.
    ``also_changed`` are other conversations that gained or lost a segment by it.
    """

    name: str
    fate: Fate
    size_bytes: int = 0
    reason: str = ""
    conversation_id: str | None = None
    also_changed: tuple[str, ...] = ()
    total: int = 0
    new: int = 0
    rerendered: int = 0
    completed: int = 0
    savings_pct: float = 0.0
    kept_as: str = ""
    session_file: str = ""
    anomalies: tuple[Anomaly, ...] = ()
    duration_s: float = 0.0

    @property
    def duplicates(self) -> int:
        """Messages of the file that were stored before, in whatever rendering."""
        return self.total - self.new


@dataclass(frozen=True, slots=True)
class StoredMessage:
    index: int
    role: str
    kind: str
    text: str
    occurred_at: datetime | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredSegment:
    ordinal: int
    first_index: int
    message_count: int
    starts_compacted: bool
    export_names: tuple[str, ...]


class RiskLevel(StrEnum):
    """How likely it is that messages of a conversation are in no export."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Risk:
    """The risk of data loss of a conversation, and why; the worst reasons first."""

    level: RiskLevel = RiskLevel.NONE
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """A conversation as it is stored; what session files are rendered from.

    ``messages`` in order, to be gone through once: a page is read at a time. ``roles`` is how
    many there are of each, ``first_at`` and ``last_at`` when the first and last were said.
    """

    conversation_id: str
    created_at: datetime
    last_updated: datetime
    reason: str
    export_count: int
    messages_seen: int
    duplicates: int
    aliases: tuple[str, ...]
    segments: tuple[StoredSegment, ...]
    messages: Iterable[StoredMessage]
    roles: Mapping[str, int]
    first_at: datetime | None = None
    last_at: datetime | None = None
    title: str = ""
    risk: Risk = Risk()


def is_deferred(report: Report | None) -> bool:
    """Whether a file stays and is tried again; what another worker took has no report."""
    return report is not None and report.fate is Fate.DEFERRED
