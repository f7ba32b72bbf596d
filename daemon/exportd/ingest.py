"""Steps 6 and 7: gather, decide, apply, inside one transaction (DESIGN 2.1)."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from . import anomalies, identity
from .fingerprint import compact
from .formats.text import printable
from .models import Fate, Message, Outcome, Place, Plan, Report, Transcript
from .placement import Placement, SegmentFact, arrange, head_hash, place
from .store import Attempt, Decision, Drop, Transaction, write


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
        cwd=transcript.cwd,
        explicit_id=read.drop.explicit_id,
        lineage=transcript.lineage,
    )
    head = head_hash(read.places)
    named = _named(fact, head) if _is_indexed(transcript) else None
    gathered = tx.candidates(head, transcript.format, named)
    placement = place(gathered.candidates, read.places)
    decision = _decide(tx, read, fact, placement)
    if placement.segment:
        decision = replace(
            decision, message_ids=gathered.message_ids[placement.segment.segment_id]
        )
    write(tx, decision)
    return _report(read.drop, decision)


def _decide(
    tx: Transaction, read: Reading, fact: identity.ExportFact, placement: Placement
) -> Decision:
    transcript, stored = read.transcript, placement.segment
    exports = (*(stored.exports if stored else ()), fact)
    resolution = identity.resolve(
        exports,
        first_hash=placement.head_hash or "",
        lineage=_lineage(tx, exports, stored),
    )
    target = resolution.conversation_id
    is_new = tx.ensure_conversation(target)
    left = stored.conversation_id if stored and stored.conversation_id != target else None
    tx.lock({target, *([left] if left else [])})
    segment = SegmentFact(
        segment_id=stored.segment_id if stored else 2**63,
        conversation_id=target,
        first_index=stored.first_index if stored else 0,
        message_count=len(placement.plan.order),
        exports=exports,
    )
    others = [
        other
        for other in tx.segments_of([target, *([left] if left else [])])
        if other.segment_id != segment.segment_id
    ]
    slots, moves = arrange(placement, segment, others)
    elapsed_s = time.monotonic() - read.started
    finding = anomalies.Finding(
        name=printable(read.drop.name),
        size_bytes=read.drop.size_bytes,
        transcript=transcript,
        plan=placement.plan,
        conversation_id=target,
        segment=stored,
        conversation_is_new=is_new and left is None,
        elapsed_s=elapsed_s,
    )
    return Decision(
        export_id=read.attempt.export_id,
        claim_id=read.drop.claim_id,
        fate=_fate(placement.plan),
        transcript=transcript,
        hashes=tuple(min(place.hashes) for place in read.places),
        placement=placement,
        message_ids=(),
        resolution=resolution,
        left_id=left,
        slots=tuple(slots),
        moves=tuple(moves),
        aliases=identity.aliases(exports, target),
        anomalies=tuple(anomalies.find(finding)),
        savings_pct=_savings_pct(transcript.messages, placement.plan),
        elapsed_s=elapsed_s,
    )


def _is_indexed(transcript: Transcript) -> bool:
    return all(message.source_index is not None for message in transcript.messages)


def _named(fact: identity.ExportFact, head: str | None) -> str:
    """Where indices count, an export that starts later is found by its name."""
    return identity.resolve([fact], first_hash=head or "").conversation_id


def _lineage(
    tx: Transaction, exports: tuple[identity.ExportFact, ...], stored: SegmentFact | None
) -> tuple[str, str] | None:
    """A known export that the segment's exports mention, if it is in one conversation."""
    names = sorted({name for export in exports for name in export.lineage})
    named = tx.exports_named(names, stored.segment_id if stored else None)
    own_names = {"".join(export.name.split()) for export in exports}
    found = [(n, c) for n, c in named if "".join(n.split()) not in own_names]
    return found[0] if len({conversation_id for _, conversation_id in found}) == 1 else None


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


def _report(drop: Drop, decision: Decision) -> Report:
    plan = decision.placement.plan
    return Report(
        name=drop.name,
        fate=decision.fate,
        size_bytes=drop.size_bytes,
        conversation_id=decision.resolution.conversation_id,
        former_id=decision.left_id,
        total=len(plan.steps),
        new=plan.count(Outcome.NEW),
        rerendered=plan.count(Outcome.RERENDERED),
        completed=plan.count(Outcome.COMPLETED),
        savings_pct=decision.savings_pct,
        anomalies=decision.anomalies,
    )
