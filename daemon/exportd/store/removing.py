"""Take a segment out of the store again: the deliberate exception to append-only.

Messages are never deleted, with two exceptions that a person asks for: ``purge`` (privacy),
and undoing an import whose raw bytes stay on disk, which is what this is for. It leaves the
store as if the exports of the segment had never been ingested: they become dead letters.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from ..errors import PermanentError
from ..placement import SegmentFact
from .border import StalePlan
from .transaction import Transaction


class SharedSegment(PermanentError):
    """A segment holds exports that are to stay; ``others`` are their hashes and names."""

    def __init__(self, conversation_id: str, others: dict[str, str]) -> None:
        super().__init__(f"{conversation_id} also holds {', '.join(others.values())}")
        self.conversation_id = conversation_id
        self.others = others


@dataclass(frozen=True, slots=True)
class Removed:
    """What went: messages of one segment, of this conversation."""

    conversation_id: str
    messages: int


def remove_segment(
    tx: Transaction, segment_id: int, export_ids: Collection[int], memory_dir: str
) -> Removed:
    """Remove a segment that shows these exports and no other, all that is known of it too.

    A conversation with nothing left goes; what remains of another must be laid out anew.
    Raises ``SharedSegment`` when another export, or another memory folder, has part in it.
    """
    segment = _locked(tx, segment_id, export_ids)
    contents = tx.rows("segment_contents", segment_id=segment_id, memory_dir=memory_dir)
    others = {
        sha256: name if export_id not in export_ids else f"{name} (of another memory folder)"
        for export_id, sha256, name, is_here in contents
        if export_id not in export_ids or not is_here
    }
    if others:
        raise SharedSegment(segment.conversation_id, others)
    messages = _delete(tx, segment, list(export_ids))
    tx.execute("delete_conversation", conversation_id=segment.conversation_id)
    return Removed(segment.conversation_id, messages)


def forget_archived(
    tx: Transaction,
    export_id: int,
    claim_id: UUID,
    name: str,
    failed_name: str,
    reason: str,
    memory_dir: str,
) -> None:
    """A removed export's file lies among the dead letters now."""
    tx.execute("forget_archived", export_id=export_id)
    tx.execute(
        "add_dead_letter",
        export_id=export_id,
        claim_id=claim_id,
        original_name=name,
        failed_name=failed_name,
        reason=reason,
        error_class="RolledBack",
        memory_dir=memory_dir,
    )


def _locked(tx: Transaction, segment_id: int, export_ids: Collection[int]) -> SegmentFact:
    """The segment as it lies while its conversation holds still."""

    before = _found(tx, segment_id, export_ids)
    tx.lock([before.conversation_id])
    segment = _found(tx, segment_id, export_ids)
    if segment.conversation_id != before.conversation_id:
        raise StalePlan("the segment moved to another conversation")
    return segment


def _found(tx: Transaction, segment_id: int, export_ids: Collection[int]) -> SegmentFact:
    for segment in (s for n in export_ids for s in tx.segments_of_export(n)):
        if segment.segment_id == segment_id:
            return segment
    raise StalePlan("the segment is gone")


def _delete(tx: Transaction, segment: SegmentFact, export_ids: list[int]) -> int:
    run = {
        "conversation_id": segment.conversation_id,
        "first": segment.first_index,
        "last": segment.first_index + segment.message_count - 1,
    }
    here = {"conversation_id": segment.conversation_id, "segment_id": segment.segment_id}
    tx.as_owner()
    tx.execute("remove_renderings", **run)
    messages = tx.execute("remove_messages", **run)
    tx.execute("remove_links", segment_id=segment.segment_id)
    tx.execute("remove_log", **here)
    tx.execute("remove_anomalies", segment_id=segment.segment_id, export_ids=export_ids)
    tx.execute("remove_segment", segment_id=segment.segment_id)
    tx.execute("set_exports_aside", export_ids=export_ids)
    return messages
