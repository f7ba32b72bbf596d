"""What is odd about an export, in words that a person understands (DESIGN 4.5).

Pure: from a transcript and the decision about it. Each anomaly becomes a row; those
of severity warning and above also become alerts. They tell what was odd when an export
arrived; what is missing in the end is told by ``risk``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from . import taken
from .formats.text import count_escaped, printable
from .identity import ExportFact
from .models import Anomaly, Outcome, Plan, Severity, Transcript
from .placement import Placement, SegmentFact
from .render.wording import some
from .risk import missing

# Claude Code deletes its sessions after 30 days: who has not exported for a week is late,
# and still has three to make up for it.
LONG_WITHOUT_EXPORT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The settings of these names in ``[alerts]``; ``low_deduplication`` is a share of one."""

    large_export_bytes: int = 10 * 1024 * 1024
    slow_ingest_s: float = 10.0
    low_deduplication: float = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """What the rules look at: one export and what was decided about it.

    ``reason`` says why it is this conversation; ``known_indices`` are the native indices
    stored before, of a segment that has any, ``known_ids`` those of the native ids that
    messages followed. ``before`` and ``behind`` are the neighbours of a new segment in a
    known conversation. ``is_part``: the export is one part of a long session.
    """

    name: str
    size_bytes: int
    export: ExportFact
    transcript: Transcript
    placement: Placement
    known_indices: frozenset[int]
    conversation_id: str
    reason: str
    conversation_is_new: bool
    elapsed_s: float
    known_ids: frozenset[str] = frozenset()
    before: SegmentFact | None = None
    behind: SegmentFact | None = None
    is_part: bool = False
    thresholds: Thresholds = Thresholds()

    @property
    def plan(self) -> Plan:
        return self.placement.plan

    @property
    def segment(self) -> SegmentFact | None:
        return self.placement.segment


def find(of: Finding) -> list[Anomaly]:
    """All anomalies of one ingested export, worst last."""
    rules = (
        _conversation,
        _divergence,
        _segment,
        _time_gaps,
        _indices,
        _parents,
        _reading,
        _ingest,
    )
    found = [anomaly for rule in rules for anomaly in rule(of)]
    return sorted(found, key=lambda anomaly: list(Severity).index(anomaly.severity))


def _conversation(of: Finding) -> Iterator[Anomaly]:
    if of.conversation_is_new:
        text = f"new conversation {of.conversation_id}, first seen in {of.name}"
        if of.transcript.starts_compacted:
            text += "; it begins after a compaction, and what was said before is in no export"
        yield Anomaly("new_conversation", Severity.INFO, text)
    elif of.segment is None and of.transcript.starts_compacted:
        yield _compaction(of)
    elif of.segment is None:
        yield Anomaly(
            "shared_name",
            Severity.WARNING,
            f"{of.name} begins a session of its own, but belongs to {of.conversation_id} "
            f"({of.reason}): it is kept there, as a segment",
        )


def _compaction(of: Finding) -> Anomaly:
    last = taken.latest(of.before.exports) if of.before else None
    when = taken.interval(last, of.export)
    where = f"between {taken.label(last)} and {of.name}" if last else f"before {of.name}"
    return Anomaly(
        "compaction_without_overlap",
        Severity.WARNING,
        f"compaction{when and f' {when}'} with no overlap: what was said in "
        f"{of.conversation_id} {where} may be missing, extent unknown",
    )


def _divergence(of: Finding) -> Iterator[Anomaly]:
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


def _segment(of: Finding) -> Iterator[Anomaly]:
    """What is odd about another export of a known segment."""
    if of.segment is None or of.is_part:
        return
    shown, before = of.transcript.message_count, of.segment.message_count
    known = of.transcript.before.messages
    known += sum(step.known is not None for step in of.plan.steps)
    least = of.thresholds.low_deduplication
    if known < least * min(shown, before):
        yield Anomaly(
            "low_deduplication",
            Severity.WARNING,
            f"only {known} of {shown} messages of {of.name} were recognised in a segment "
            f"of {of.conversation_id} that has {before}; expected at least {least:.0%} of "
            "the shorter",
            {"known": known, "shown": shown, "stored": before},
        )
    fuller = [e for e in of.segment.exports if _was_fuller(e, of.export)]
    if fuller and not _reaches_the_end(of, of.segment):
        most = max(fuller, key=lambda export: (export.message_count, export.name))
        yield Anomaly(
            "shrunk_export",
            Severity.WARNING,
            f"{of.name} shows {shown} messages of {of.conversation_id}, but "
            f"{taken.label(most)} was taken earlier and shows {most.message_count}: perhaps "
            "the session was rewound, or the file was cut; everything stored is kept",
            {"shown": shown, "before": most.message_count},
        )


def _was_fuller(other: ExportFact, export: ExportFact) -> bool:
    """Whether ``other`` is known to be the earlier one, and shows more."""
    since = taken.elapsed(other, export)
    was_earlier = since is not None and since > timedelta()
    return was_earlier and other.message_count > export.message_count


def _reaches_the_end(of: Finding, segment: SegmentFact) -> bool:
    """Then it is no shorter: newer clients collapse calls, and pages show a later part."""
    shown = {m.source_index for m in of.transcript.messages if m.source_index is not None}
    if shown and max(shown) >= max(of.known_indices, default=0):
        return True
    last = segment.message_count - 1 - of.placement.before
    return any(step.known == last for step in of.plan.steps)


def _time_gaps(of: Finding) -> Iterator[Anomaly]:
    """Only beside a new segment: between exports of one segment nothing is missing."""
    own = (of.export,)
    before = of.before.exports if of.before else ()
    behind = of.behind.exports if of.behind else ()
    for earlier, later in ((before, own), (own, behind)):
        apart = taken.apart(earlier, later)
        if apart is not None and apart > LONG_WITHOUT_EXPORT:
            yield Anomaly(
                "time_gap",
                Severity.INFO,
                f"no export of {of.conversation_id} for {apart.days} days, between "
                f"{taken.label(taken.latest(earlier))} and "
                f"{taken.label(taken.earliest(later))}; Claude Code deletes sessions after 30 "
                "days, so export every week what is of worth",
                {"days": apart.days},
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
                f"{missing(before + 1, after - 1, f' of {of.conversation_id}')} in no "
                f"export so far, {of.name} included",
                {"from": before + 1, "to": after - 1},
            )
    for index in of.plan.conflicts:
        yield Anomaly(
            "index_conflict",
            Severity.WARNING,
            f"message {index} of {of.conversation_id}, by the export's own count, says "
            f"something else in {of.name} than in an earlier export; both are kept",
            {"index": index},
        )


def _parents(of: Finding) -> Iterator[Anomaly]:
    """What a message followed, by its own id, and no export has."""
    messages = of.transcript.messages
    known = of.known_ids | {m.source_id for m in messages}
    missing = {m.parent_id: m for m in reversed(messages) if m.parent_id not in known}
    for parent_id in sorted(missing.keys() - {None}, key=str):
        yield Anomaly(
            "dangling_parent",
            Severity.WARNING,
            f"{of.name} shows a message of {of.conversation_id} that followed another one, "
            f"{printable(str(parent_id))}, which is in no export so far: what was said "
            "before it is missing, extent unknown",
            {"parent_id": parent_id},
        )


def _reading(of: Finding) -> Iterator[Anomaly]:
    escaped = sum(count_escaped(message.text) for message in of.transcript.messages)
    escaped += of.transcript.before.escaped
    if escaped:
        yield Anomaly(
            "escaped_characters",
            Severity.INFO,
            f"{some(escaped, 'character')} of {of.name} cannot be stored as text (NUL or no "
            "UTF-8): each becomes ␛ and four hex digits; the archived file is as it was",
            {"count": escaped},
        )
    for flag in of.transcript.flags:
        severity = Severity.WARNING if flag == "truncated_tail" else Severity.INFO
        yield Anomaly(flag, severity, f"{of.name}: {_FLAGS[flag]}")
    if faults := of.transcript.faults:
        first = faults[0]
        where = f"line {first.line}" if first.line else f"byte {first.span.start}"
        yield Anomaly(
            "damaged_records",
            Severity.WARNING,
            f"{some(len(faults), 'record')} of {of.name} could not be read, the first at "
            f"{where}: {first.reason}; the archived file has all of it as it was",
            {"count": len(faults)},
        )
    if _ends_in_flight(of):
        yield Anomaly(
            "in_flight_tail",
            Severity.INFO,
            f"the last message of {of.name} was still running when it was exported; export "
            f"{of.conversation_id} again when it is done",
        )


def _ends_in_flight(of: Finding) -> bool:
    """Whether the end of what is stored now waits for its result."""
    messages, plan = of.transcript.messages, of.plan
    if not messages or not messages[-1].in_flight:
        return False
    last, end = plan.steps[-1], plan.order[-1]
    if last.known is None:
        return end == -1 - last.incoming
    return end == last.known and (last.replace or last.outcome is Outcome.DUPLICATE)


_FLAGS = {
    "pasted_transcript": "a prompt holds a pasted transcript; it was read as the blocks it "
    "looks like",
    "scrollback": "this is a copy of a terminal, not an export; several runs may stand in it",
    "indices_not_growing": "its indices repeat or go back, so they count for nothing; the "
    "messages stand in the order of the file",
    "headless": "the text before the first block was kept as a system message",
    "truncated_tail": "it does not end as an export ends, in a line break: it was probably "
    "cut, and its last message may be incomplete; export it again",
}


def _ingest(of: Finding) -> Iterator[Anomaly]:
    if of.size_bytes > of.thresholds.large_export_bytes:
        text = f"{of.name} has {of.size_bytes / 1024**2:.1f} MB"
        yield Anomaly("large_export", Severity.INFO, text, {"size_bytes": of.size_bytes})
    most_s = of.thresholds.slow_ingest_s
    if of.elapsed_s > most_s:
        text = f"reading {of.name} took {of.elapsed_s:.1f} s; expected at most {most_s:g}"
        yield Anomaly("slow_ingest", Severity.WARNING, text, {"elapsed_s": of.elapsed_s})
