"""The rows of the database agree with each other: counts, indices, ordinals, watermarks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from .facts import ConversationRow, ExportRow, Finding, Run, SegmentRow, Weight

_REBUILD = "run exportd reindex: it rebuilds the database from exports-archive/"


def conversations(
    rows: Sequence[ConversationRow], segments: Sequence[SegmentRow], runs: Sequence[Run]
) -> Iterator[Finding]:
    """Segments partition the indices of a conversation, dense from 0; counters are right.

    ``segments`` stand in the order of their ordinals within a conversation.
    """
    own: dict[str, list[SegmentRow]] = defaultdict(list)
    for segment in segments:
        own[segment.conversation_id].append(segment)
    stored: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        stored[run.segment_id].append(run)
    for row in rows:
        parts = [
            (segment, stored.pop(segment.segment_id, []))
            for segment in own[row.conversation_id]
        ]
        counts = [(segment, _count(segment, found)) for segment, found in parts]
        yield from _counters(row, counts)
        yield from _partition(counts)
        for segment, found in parts:
            yield from _run(segment, found)
    for run in (run for strays in stored.values() for run in strays):
        yield _stray(run)


def _count(segment: SegmentRow, runs: Sequence[Run]) -> int:
    return sum(run.count for run in runs if run.conversation_id == segment.conversation_id)


def _damage(
    kind: str, expected: str, found: str, conversation_id: str, index: int | None = None
) -> Finding:
    return Finding(
        Weight.DAMAGE, kind, expected, found, _REBUILD, conversation_id, message_index=index
    )


def _counters(
    row: ConversationRow, counts: Sequence[tuple[SegmentRow, int]]
) -> Iterator[Finding]:
    """Total and watermark; where rows and their segment disagree, that is told of it."""
    promised = sum(segment.message_count for segment, _ in counts)
    right = {promised, sum(count for _, count in counts)}
    if row.total_messages not in right:
        yield _damage(
            "conversation_total",
            f"conversations.total_messages {promised}, the number of its messages",
            f"{row.total_messages}",
            row.conversation_id,
        )
    highest = -1 if row.highest_index is None and not promised else row.highest_index
    if highest not in {count - 1 for count in right}:
        yield _damage(
            "watermark",
            f"watermarks.highest_index {promised - 1}, the index of its last message",
            "no row" if highest is None else f"{highest}",
            row.conversation_id,
        )


def _partition(counts: Sequence[tuple[SegmentRow, int]]) -> Iterator[Finding]:
    firsts = {0}
    for ordinal, (segment, count) in enumerate(counts):
        if segment.ordinal != ordinal:
            yield _damage(
                "segment_ordinal",
                f"segments.ordinal {ordinal} for segment {segment.segment_id}",
                f"{segment.ordinal}",
                segment.conversation_id,
            )
        if segment.first_index not in firsts:
            yield _damage(
                "segment_first_index",
                f"segments.first_index {min(firsts)} for segment {segment.segment_id}, where "
                "the segment before ends",
                f"{segment.first_index}",
                segment.conversation_id,
            )
        firsts = {segment.first_index + segment.message_count, segment.first_index + count}


def _run(segment: SegmentRow, runs: Sequence[Run]) -> Iterator[Finding]:
    """The messages of a segment stand in its conversation, without a gap, all of them."""
    strays = [run for run in runs if run.conversation_id != segment.conversation_id]
    yield from map(_stray, strays)
    own = [run for run in runs if run.conversation_id == segment.conversation_id]
    count, lowest, highest = (
        (own[0].count, own[0].lowest, own[0].highest) if own else (0, 0, -1)
    )
    last = segment.first_index + segment.message_count - 1
    if (count, lowest, highest) == (segment.message_count, segment.first_index, last) or (
        count == segment.message_count == 0
    ):
        return
    yield _damage(
        "segment_messages",
        f"{segment.message_count} messages of segment {segment.segment_id}, at the indices "
        f"{segment.first_index} to {last}",
        f"{count} messages" + (f", at indices from {lowest} to {highest}" if count else ""),
        segment.conversation_id,
    )


def _stray(run: Run) -> Finding:
    return _damage(
        "stray_messages",
        f"messages of a segment of {run.conversation_id}",
        f"{run.count} messages, index {run.lowest} to {run.highest}, that name segment "
        f"{run.segment_id}, which is not there",
        run.conversation_id,
        run.lowest,
    )


def link(export: ExportRow, segment: SegmentRow) -> Iterator[Finding]:
    """The run of a segment that an export showed lies inside the segment."""
    if export.link is None:
        yield _export(
            "export_unlinked",
            export,
            f"a row of export_segments for segment {segment.segment_id}, where "
            "deduplication_log says that its messages went",
            "none",
            segment.conversation_id,
        )
        return
    first, count = export.link
    if first < 0 or first + count > segment.message_count or count != export.message_count:
        yield _export(
            "export_run",
            export,
            f"a run of {export.message_count} messages inside the {segment.message_count} of "
            f"segment {segment.segment_id}",
            f"{count} messages from place {first} on",
            segment.conversation_id,
        )


def unexported(segment: SegmentRow) -> Finding:
    """A segment that no export showed."""
    return _damage(
        "segment_unexported",
        f"an export that shows segment {segment.segment_id}",
        "none, neither in export_segments nor in deduplication_log",
        segment.conversation_id,
    )


def unlinked(export: ExportRow) -> Iterator[Finding]:
    """An export that no segment knows has no message."""
    if export.message_count:
        yield _export(
            "export_unlinked",
            export,
            f"a row of export_segments for its {export.message_count} messages",
            "none",
        )


def logged(rows: Iterable[tuple[str, int, int, int]]) -> Iterator[Finding]:
    """One row of deduplication_log per export with messages, which counts them.

    ``rows`` are name, number of messages, number of log rows, messages these count.
    """
    for name, messages, log_rows, processed in rows:
        if (log_rows, processed) != (int(messages > 0), messages):
            yield Finding(
                Weight.DAMAGE,
                "deduplication_log",
                f"{int(messages > 0)} row of deduplication_log, with {messages} messages",
                f"{log_rows} rows, with {processed} messages",
                f"only statistics come from it; {_REBUILD}",
                file=name,
            )


def searchable(lacking: int) -> Iterator[Finding]:
    """Every message is in the search index or waits for it; so many are not, and do not.

    No damage: the index is made of the messages.
    """
    if lacking:
        yield Finding(
            Weight.NOTE,
            "search_index",
            "every message in the search index, or waiting for it",
            f"{lacking} messages that exportd search does not find",
            "run exportd search --rebuild",
        )


def _export(
    kind: str, export: ExportRow, expected: str, found: str, conversation_id: str | None = None
) -> Finding:
    return Finding(
        Weight.DAMAGE,
        kind,
        expected,
        found,
        _REBUILD,
        conversation_id,
        file=export.name,
    )
