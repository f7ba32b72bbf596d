"""What is odd about an export, in words that a person understands (DESIGN 4.5).

Pure: from a transcript and the decision about it. Each anomaly becomes a row; those
of severity warning and above also become alerts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from .formats.text import count_escaped
from .models import Anomaly, Plan, Severity, Transcript
from .placement import Placement, SegmentFact

LARGE_EXPORT_BYTES = 10 * 1024 * 1024
SLOW_INGEST_S = 10.0
LOW_DEDUPLICATION = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """What the rules look at: one export and what was decided about it.

    ``reason`` says why it is this conversation; ``known_indices`` are the native indices
    stored before, of a segment that has any.
    """

    name: str
    size_bytes: int
    transcript: Transcript
    placement: Placement
    known_indices: frozenset[int]
    conversation_id: str
    reason: str
    conversation_is_new: bool
    elapsed_s: float

    @property
    def plan(self) -> Plan:
        return self.placement.plan

    @property
    def segment(self) -> SegmentFact | None:
        return self.placement.segment


def find(of: Finding) -> list[Anomaly]:
    """All anomalies of one ingested export, worst last."""
    found = [*_conversation(of), *_indices(of), *_reading(of), *_ingest(of)]
    return sorted(found, key=lambda anomaly: list(Severity).index(anomaly.severity))


def _conversation(of: Finding) -> Iterator[Anomaly]:
    if of.conversation_is_new:
        text = f"new conversation {of.conversation_id}, first seen in {of.name}"
        yield Anomaly("new_conversation", Severity.INFO, text)
    elif of.segment is None and of.transcript.starts_compacted:
        yield Anomaly(
            "compaction_without_overlap",
            Severity.WARNING,
            f"{of.name} begins after a compaction and shares nothing with what is stored "
            f"of {of.conversation_id}: what was said between the last export and the "
            "compaction may be missing, extent unknown",
        )
    elif of.segment is None:
        yield Anomaly(
            "shared_name",
            Severity.WARNING,
            f"{of.name} begins a session of its own, but belongs to {of.conversation_id} "
            f"({of.reason}): it is kept there, as a segment",
        )
    if of.placement.parted_from:
        segment_id, anchors = of.placement.parted_from
        yield Anomaly(
            "divergence",
            Severity.WARNING,
            f"{of.name} begins with the same {anchors} prompts and answers as a stored "
            "segment, then says something else: perhaps the session was rewound or edited; "
            "both are kept whole",
            {"segment_id": segment_id, "anchors": anchors},
        )
    if of.segment is None:
        return
    shown, before = len(of.transcript.messages), of.segment.message_count
    known = sum(step.known is not None for step in of.plan.steps)
    if known < LOW_DEDUPLICATION * min(shown, before):
        yield Anomaly(
            "low_deduplication",
            Severity.WARNING,
            f"only {known} of {shown} messages of {of.name} were recognised in a segment "
            f"of {of.conversation_id} that has {before}; expected at least half of the "
            "shorter",
            {"known": known, "shown": shown, "stored": before},
        )


def _indices(of: Finding) -> Iterator[Anomaly]:
    messages = of.transcript.messages
    shown = {m.source_index for m in messages if m.source_index is not None}
    new = shown - of.known_indices
    for before, after in pairwise(sorted({-1} | shown | of.known_indices) if shown else []):
        if after > before + 1 and (before in new or after in new):
            yield Anomaly(
                "index_gap",
                Severity.WARNING,
                f"messages {before + 1} to {after - 1} of {of.conversation_id} were in no "
                f"export so far, {of.name} included",
                {"from": before + 1, "to": after - 1},
            )
    for index in of.plan.conflicts:
        yield Anomaly(
            "index_conflict",
            Severity.WARNING,
            f"message {index} of {of.conversation_id} says something else in {of.name} than "
            "in an earlier export; both are kept",
            {"index": index},
        )


def _reading(of: Finding) -> Iterator[Anomaly]:
    escaped = sum(count_escaped(message.text) for message in of.transcript.messages)
    if escaped:
        yield Anomaly(
            "escaped_characters",
            Severity.INFO,
            f"{escaped} characters of {of.name} cannot be stored as text (NUL or no UTF-8) "
            "and stand as ␛ and four hex digits; the archived file has them as they were",
            {"count": escaped},
        )
    for flag in of.transcript.flags:
        yield Anomaly(flag, Severity.INFO, f"{of.name}: {_FLAGS[flag]}")


_FLAGS = {
    "pasted_transcript": "a prompt holds a pasted transcript; it was read as the blocks it "
    "looks like",
    "scrollback": "this is a copy of a terminal, not an export; several runs may stand in it",
    "headless": "the text before the first block was kept as a system message",
}


def _ingest(of: Finding) -> Iterator[Anomaly]:
    if of.size_bytes > LARGE_EXPORT_BYTES:
        text = f"{of.name} has {of.size_bytes / 1024**2:.1f} MB"
        yield Anomaly("large_export", Severity.INFO, text, {"size_bytes": of.size_bytes})
    if of.elapsed_s > SLOW_INGEST_S:
        text = (
            f"reading {of.name} took {of.elapsed_s:.1f} s; expected at most {SLOW_INGEST_S:g}"
        )
        yield Anomaly("slow_ingest", Severity.WARNING, text, {"elapsed_s": of.elapsed_s})
