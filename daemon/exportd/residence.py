"""Which conversation a segment lives in, and the moves when that changes.

A segment's home follows from facts that may arrive late: an earlier export, another name
of the same bytes, an export that it mentions, a word of a person. Whatever the order, it
ends in the same place (DESIGN 4.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from . import identity
from .containers import CONTAINERS
from .models import Fate
from .placement import Placement, SegmentFact, Slot, arrange, unchanged
from .store import Attempt, Drop, Residence, Transaction, describe, relocate


def resolve(tx: Transaction, segment: SegmentFact) -> identity.Resolution:
    """The conversation of a segment by its exports, lineage and what people decided."""
    found = identity.resolve(
        segment.exports, first_hash=segment.head_hash or "", lineage=_lineage(tx, segment)
    )
    return identity.redirected(found, tx.redirects())


def _lineage(tx: Transaction, segment: SegmentFact) -> tuple[str, str] | None:
    """A known export that the segment's exports mention, if it is in one conversation."""
    names = sorted({name for export in segment.exports for name in export.lineage})
    named = tx.exports_named(names, segment.segment_id)
    own_names = {"".join(name.split()) for e in segment.exports for name in e.names}
    found = [(n, c) for n, c in named if "".join(n.split()) not in own_names]
    return min(found) if len({conversation_id for _, conversation_id in found}) == 1 else None


def reside(
    tx: Transaction,
    segment: SegmentFact,
    resolution: identity.Resolution,
    placement: Placement,
) -> Residence:
    """Lay the segment out in the conversation it belongs to, which is locked then."""
    target = resolution.conversation_id
    left_id = segment.conversation_id if segment.conversation_id not in ("", target) else None
    touched = [target, *([left_id] if left_id else [])]
    tx.lock(touched)
    others = [o for o in tx.segments_of(touched) if o.segment_id != segment.segment_id]
    slots, moves = arrange(placement, replace(segment, conversation_id=target), others)
    return Residence(
        resolution,
        left_id,
        tuple(slots),
        tuple(moves),
        _aliases(target, segment, others),
        dict(_descriptions(tx, slots, segment, others, resolution)),
    )


def begin(
    segment: SegmentFact, resolution: identity.Resolution, placement: Placement
) -> Residence:
    """The same for the first segment of a conversation that is new."""
    target = resolution.conversation_id
    slots, moves = arrange(placement, replace(segment, conversation_id=target), ())
    return Residence(
        resolution,
        None,
        tuple(slots),
        tuple(moves),
        _aliases(target, segment, ()),
        {target: identity.description(segment.exports, resolution)},
    )


def _descriptions(
    tx: Transaction,
    slots: Sequence[Slot],
    segment: SegmentFact,
    others: Sequence[SegmentFact],
    resolution: identity.Resolution,
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each conversation is described by its first segment."""
    by_id: dict[int | None, SegmentFact] = {other.segment_id: other for other in others}
    for slot in slots:
        if slot.ordinal == 0:
            first = by_id.get(slot.segment_id, segment)
            found = resolution if first is segment else resolve(tx, first)
            yield slot.conversation_id, identity.description(first.exports, found)


def _aliases(
    target: str, segment: SegmentFact, others: Sequence[SegmentFact]
) -> dict[str, dict[str, str]]:
    """The ids that the exports of each conversation suggest, with the reasons."""
    found: dict[str, dict[str, str]] = {target: {}}
    for member in (*others, replace(segment, conversation_id=target)):
        known = found.setdefault(member.conversation_id, {})
        known |= identity.aliases(member.exports, member.head_hash or "")
    return found


def rehome(tx: Transaction, segments: Iterable[SegmentFact]) -> set[str]:
    """Move stored segments where they belong now; the ids of all conversations changed.

    ``segments`` are read anew one by one: moving one lays its neighbours out, too.
    """
    changed: set[str] = set()
    for segment_id in [segment.segment_id for segment in segments]:
        for segment in tx.segments([segment_id]):
            changed |= _move_home(tx, segment)
    return changed


def _move_home(tx: Transaction, segment: SegmentFact) -> set[str]:
    """Move one segment where it belongs; the ids of both conversations if it moved."""
    resolution = resolve(tx, segment)
    tx.ensure_conversation(resolution.conversation_id)
    residence = reside(tx, segment, resolution, unchanged(segment))
    if residence.left_id is None and not residence.moves:
        describe(tx, residence)
        return set()
    relocate(tx, residence, segment.segment_id)
    return {segment.conversation_id, resolution.conversation_id}


def follow(tx: Transaction, names: set[str]) -> set[str]:
    """Segments that mention one of these exports follow it into its conversation.

    It may have arrived after them, or its segment may have moved. Returns the ids of
    all conversations that changed by it. A segment moves once at most, so this ends.
    """
    changed: set[str] = set()
    moved: set[int] = set()
    while names:
        mentioning = tx.segments_mentioning(sorted({"".join(name.split()) for name in names}))
        names = set()
        for segment in mentioning:
            ids = rehome(tx, [segment]) if segment.segment_id not in moved else set()
            if ids:
                moved.add(segment.segment_id)
                changed |= ids
                names |= {name for export in segment.exports for name in export.names}
    return changed


def recognise_again(tx: Transaction, drop: Drop, attempt: Attempt) -> set[str]:
    """The same bytes came again: under another name, with another time, or assigned.

    So that the order in which they came does not matter. Returns the ids of all
    conversations that changed by it.
    """
    tx.execute("finish_drop", claim_id=drop.claim_id, outcome=Fate.DUPLICATE_FILE.value)
    if drop.explicit_id is not None:
        _assign_inside(tx, attempt.export_id, drop.explicit_id)
    name = identity.first_name([drop.name, attempt.first_name])
    is_earlier = tx.execute(
        "recognise_export",
        export_id=attempt.export_id,
        name=name,
        modified_at=drop.modified_at,
    )
    if not is_earlier and drop.name == attempt.first_name and drop.explicit_id is None:
        return set()
    return _rehome_export(tx, attempt.export_id, {drop.name, attempt.first_name})


@dataclass(frozen=True, slots=True)
class Assigned:
    """An export that a person assigned to a conversation, and what changed by it."""

    sha256: str
    modified_at: datetime
    conversation_id: str | None
    changed: frozenset[str]


def assign(tx: Transaction, name: str, memory_dir: str, session_id: str) -> Assigned | None:
    """Assign the export last dropped as ``name`` to a conversation; None without one."""
    found = tx.rows("assign_export", name=name, memory_dir=memory_dir, explicit_id=session_id)
    if not found:
        return None
    export_id, sha256, modified_at = found[0]
    _assign_inside(tx, export_id, session_id)
    changed = _rehome_export(tx, export_id, {name})
    homes = [segment.conversation_id for segment in tx.segments_of_export(export_id)]
    return Assigned(sha256, modified_at, homes[0] if homes else None, frozenset(changed))


def _assign_inside(tx: Transaction, export_id: int, session_id: str) -> None:
    formats = [container.NAME for container in CONTAINERS if container.HOLDS_ONE]
    tx.execute("assign_inside", export_id=export_id, explicit_id=session_id, formats=formats)


def _rehome_export(tx: Transaction, export_id: int, names: set[str]) -> set[str]:
    return rehome(tx, tx.segments_of_export(export_id)) | follow(tx, names)
