"""Steps 6 and 7: gather, decide, apply, inside one transaction (DESIGN 2.1)."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from . import anomalies, identity
from .fingerprint import compact
from .formats.text import printable
from .models import Fate, Message, Outcome, Place, Plan, Report, Transcript
from .placement import (
    NEW_SEGMENT,
    Placement,
    SegmentFact,
    arrange,
    head_hash,
    place,
    unchanged,
)
from .store import (
    Attempt,
    Decision,
    Drop,
    Gathered,
    Residence,
    Transaction,
    relocate,
    write,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A parsed drop on its way into the store; ``started`` is in monotonic seconds."""

    drop: Drop
    attempt: Attempt
    transcript: Transcript
    places: list[Place]
    started: float


def ingest(tx: Transaction, read: Reading) -> Report:
    """Gather, decide, apply: inside one transaction that is done anew when stale."""
    transcript = read.transcript
    fact = identity.ExportFact(
        name=read.attempt.first_name,
        message_count=len(transcript.messages),
        modified_at=read.drop.modified_at,
        header=transcript.header,
        explicit_id=read.drop.explicit_id,
        lineage=transcript.lineage,
        session_id=transcript.session_id,
    )
    head = head_hash(read.places)
    named = _named(fact, head) if _is_indexed(transcript) else None
    gathered = tx.candidates(head, transcript.format, named)
    placement = place(gathered.candidates, read.places, transcript.header)
    decision = _decide(tx, read, fact, placement, gathered)
    write(tx, decision)
    names = {fact.name}
    if placement.segment and decision.residence.left_id:
        names |= {export.name for export in placement.segment.exports}
    return _report(read.drop, decision, _follow(tx, names))


def _decide(
    tx: Transaction,
    read: Reading,
    fact: identity.ExportFact,
    placement: Placement,
    gathered: Gathered,
) -> Decision:
    transcript, stored = read.transcript, placement.segment
    segment = SegmentFact(
        segment_id=stored.segment_id if stored else NEW_SEGMENT,
        conversation_id=stored.conversation_id if stored else "",
        first_index=stored.first_index if stored else 0,
        message_count=len(placement.plan.order),
        exports=(*(stored.exports if stored else ()), fact),
        head_hash=placement.head_hash,
    )
    resolution = _resolve(tx, segment)
    is_new = tx.ensure_conversation(resolution.conversation_id)
    residence = _reside(tx, segment, resolution, placement)
    elapsed_s = time.monotonic() - read.started
    finding = anomalies.Finding(
        name=printable(read.drop.name),
        size_bytes=read.drop.size_bytes,
        transcript=transcript,
        placement=placement,
        known_indices=gathered.indices(stored),
        conversation_id=resolution.conversation_id,
        reason=printable(resolution.reason),
        conversation_is_new=is_new and residence.left_id is None,
        elapsed_s=elapsed_s,
    )
    return Decision(
        export_id=read.attempt.export_id,
        claim_id=read.drop.claim_id,
        fate=_fate(placement.plan),
        transcript=transcript,
        hashes=tuple(min(place.hashes) for place in read.places),
        placement=placement,
        message_ids=gathered.message_ids[stored.segment_id] if stored else (),
        residence=residence,
        anomalies=tuple(anomalies.find(finding)),
        savings_pct=_savings_pct(transcript.messages, placement.plan),
        elapsed_s=elapsed_s,
    )


def _resolve(tx: Transaction, segment: SegmentFact) -> identity.Resolution:
    return identity.resolve(
        segment.exports, first_hash=segment.head_hash or "", lineage=_lineage(tx, segment)
    )


def _reside(
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
        identity.aliases([export.name for export in segment.exports], target),
    )


def recognise_again(tx: Transaction, drop: Drop, attempt: Attempt) -> set[str]:
    """The same bytes under another name: their conversation may have to be named anew.

    So that the order in which the names came does not matter. Returns the ids of all
    conversations that changed by it.
    """
    tx.execute("finish_drop", claim_id=drop.claim_id, outcome=Fate.DUPLICATE_FILE.value)
    if drop.name == attempt.first_name:
        return set()
    if identity.first_name([drop.name, attempt.first_name]) == drop.name:
        tx.execute("rename_export", export_id=attempt.export_id, name=drop.name)
    changed: set[str] = set()
    for segment in tx.segments_of_export(attempt.export_id):
        changed |= _move_home(tx, segment)
        for home in tx.segments_of_export(attempt.export_id):
            tx.add_aliases(
                identity.aliases([drop.name, attempt.first_name], home.conversation_id),
                home.conversation_id,
            )
    return changed | _follow(tx, {drop.name, attempt.first_name})


def _follow(tx: Transaction, names: set[str]) -> set[str]:
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
            ids = _move_home(tx, segment) if segment.segment_id not in moved else set()
            if ids:
                moved.add(segment.segment_id)
                changed |= ids
                names |= {export.name for export in segment.exports}
    return changed


def _move_home(tx: Transaction, segment: SegmentFact) -> set[str]:
    """Move a stored segment where it belongs now; the ids of both if it moved."""
    resolution = _resolve(tx, segment)
    if resolution.conversation_id == segment.conversation_id:
        return set()
    tx.ensure_conversation(resolution.conversation_id)
    residence = _reside(tx, segment, resolution, unchanged(segment))
    relocate(tx, residence, segment.segment_id)
    return {segment.conversation_id, resolution.conversation_id}


def _is_indexed(transcript: Transcript) -> bool:
    return all(message.source_index is not None for message in transcript.messages)


def _named(fact: identity.ExportFact, head: str | None) -> str:
    """Where indices count, an export that starts later is found by its name."""
    return identity.resolve([fact], first_hash=head or "").conversation_id


def _lineage(tx: Transaction, segment: SegmentFact) -> tuple[str, str] | None:
    """A known export that the segment's exports mention, if it is in one conversation."""
    names = sorted({name for export in segment.exports for name in export.lineage})
    named = tx.exports_named(names, segment.segment_id)
    own_names = {"".join(export.name.split()) for export in segment.exports}
    found = [(n, c) for n, c in named if "".join(n.split()) not in own_names]
    return min(found) if len({conversation_id for _, conversation_id in found}) == 1 else None


def _fate(plan: Plan) -> Fate:
    changed = plan.count(Outcome.DUPLICATE) < len(plan.steps) or any(
        step.replace for step in plan.steps
    )
    return Fate.INGESTED if changed else Fate.UNCHANGED


def _savings_pct(messages: tuple[Message, ...], plan: Plan) -> float:
    """Share of the text that was stored before, in percent of its characters."""
    sizes = [len(compact(message.text)) for message in messages]
    known = sum(sizes[step.incoming] for step in plan.steps if step.known is not None)
    return round(100 * known / sum(sizes), 2) if any(sizes) else 0.0


def _report(drop: Drop, decision: Decision, followed: set[str]) -> Report:
    plan, residence = decision.placement.plan, decision.residence
    left = {residence.left_id} if residence.left_id else set()
    return Report(
        name=drop.name,
        fate=decision.fate,
        size_bytes=drop.size_bytes,
        conversation_id=residence.resolution.conversation_id,
        also_changed=tuple(sorted(followed | left)),
        total=len(plan.steps),
        new=plan.count(Outcome.NEW),
        rerendered=plan.count(Outcome.RERENDERED),
        completed=plan.count(Outcome.COMPLETED),
        savings_pct=decision.savings_pct,
        anomalies=decision.anomalies,
    )
