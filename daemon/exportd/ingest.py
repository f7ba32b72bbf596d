"""Steps 6 and 7: gather, decide, apply, inside one transaction (DESIGN 2.1)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from . import anomalies, growth, identity
from .crash import reach
from .formats.text import printable
from .growth import Point, Source, text_sizes
from .models import Fate, Outcome, Place, Plan, Report, Transcript
from .placement import NEW_SEGMENT, Placement, SegmentFact, go_behind, go_on, head_hash, place
from .residence import follow, reside, resolve
from .store import Attempt, Decision, Drop, Gathered, Residence, Touched, Transaction, write


@dataclass(frozen=True, slots=True)
class Reading:
    """A parsed drop on its way into the store; ``started`` is in monotonic seconds.

    ``source`` is what can grow; ``point`` is where the transcript goes on from.
    """

    drop: Drop
    attempt: Attempt
    transcript: Transcript
    places: list[Place]
    started: float
    thresholds: anomalies.Thresholds
    source: Source | None = None
    point: Point | None = None


class Doubtful(Exception):
    """What stands behind a point is not enough to decide by: the whole file is to be read."""


def ingest(tx: Transaction, read: Reading) -> Report | None:
    """Gather, decide, apply: inside one transaction that is done anew when stale.

    None when the same bytes, dropped into another folder, were stored since the attempt.
    Raises ``Doubtful``.
    """
    begun = beginning(read)
    gathered = (
        _behind(tx, read.point, read.transcript) if read.point else _gather(tx, read, begun)
    )
    if tx.is_ingested(read.attempt.export_id):
        return None
    placement = _placement(read, gathered)
    decision = _decide(tx, read, begun.fact, placement, gathered)
    reach("store.gathered")
    write(tx, decision)
    names = {begun.fact.name}
    if placement.segment and decision.residence.left_id:
        names |= {name for export in placement.segment.exports for name in export.names}
    report = report_of(read.drop, decision, follow(tx, names))
    reach("store.written")
    return report


@dataclass(frozen=True, slots=True)
class Beginning:
    """What an export's segment is found by: how it begins, and its name where that counts."""

    fact: identity.ExportFact
    head: str | None
    named: str | None


def beginning(read: Reading) -> Beginning:
    transcript = read.transcript
    fact = identity.ExportFact(
        name=read.attempt.first_name,
        message_count=transcript.message_count,
        modified_at=read.drop.modified_at,
        header=transcript.header,
        explicit_id=read.drop.explicit_id,
        lineage=transcript.lineage,
        session_id=transcript.session_id,
        title=transcript.title,
    )
    head = head_hash(read.places)
    is_named = transcript.session_id is not None or _is_counted(transcript)
    return Beginning(fact, head, _named(fact, head) if is_named else None)


def _gather(tx: Transaction, read: Reading, begun: Beginning) -> Gathered:
    transcript = read.transcript
    follows = transcript.follows if _follows_part(read) else None
    if follows and (gathered := tx.behind_part(follows)):
        return gathered
    return tx.candidates(
        begun.head, transcript.format, begun.named, transcript.session_id, _touched(read)
    )


def _behind(tx: Transaction, point: Point, transcript: Transcript) -> Gathered:
    """The segment that a point is in, if no other begins like it and the point still holds."""
    gathered = tx.behind(point, transcript.format)
    if gathered is None:
        raise Doubtful
    return gathered


def _follows_part(read: Reading) -> bool:
    """A part whose messages have no ids stands where the part before ends."""
    return read.drop.is_part and read.transcript.session_id is None


def _placement(read: Reading, gathered: Gathered) -> Placement:
    transcript = read.transcript
    if gathered.is_behind:
        return go_behind(gathered.candidates[0], read.places)
    if read.point is None:
        return place(
            gathered.candidates,
            read.places,
            transcript.header,
            transcript.session_id,
            transcript.follows,
        )
    placement = go_on(gathered.candidates[0], read.places, transcript.before.anchors)
    if placement is None:
        raise Doubtful
    return placement


def _decide(
    tx: Transaction,
    read: Reading,
    fact: identity.ExportFact,
    placement: Placement,
    gathered: Gathered,
) -> Decision:
    stored = placement.segment
    segment = segment_fact(placement, fact)
    resolution = resolve(tx, segment)
    is_new = tx.ensure_conversation(resolution.conversation_id)
    residence = reside(tx, segment, resolution, placement)
    before, behind = _neighbours(tx, residence)
    surroundings = Surroundings(
        residence=residence,
        conversation_is_new=is_new and residence.left_id is None,
        known_indices=gathered.indices(stored),
        known_ids=tx.source_ids(stored, _followed(read.transcript)),
        message_ids=gathered.message_ids[stored.segment_id] if stored else (),
        before=before,
        behind=behind,
        places=gathered.places(stored),
    )
    return decided(read, fact, placement, surroundings)


def segment_fact(placement: Placement, fact: identity.ExportFact) -> SegmentFact:
    """The segment of an export as it will be, once the plan is carried out."""
    stored = placement.segment
    return SegmentFact(
        segment_id=stored.segment_id if stored else NEW_SEGMENT,
        conversation_id=stored.conversation_id if stored else "",
        first_index=stored.first_index if stored else 0,
        message_count=placement.message_count,
        exports=(*(stored.exports if stored else ()), fact),
        head_hash=placement.head_hash,
    )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is stored around an export: all that a decision needs beside its own content.

    ``known_indices`` and ``known_ids`` are native ones of its segment, ``message_ids`` and
    ``places`` those of its stored messages, in order.
    """

    residence: Residence
    conversation_is_new: bool
    known_indices: frozenset[int] = frozenset()
    known_ids: frozenset[str] = frozenset()
    message_ids: tuple[int, ...] = ()
    before: SegmentFact | None = None
    behind: SegmentFact | None = None
    places: tuple[Place, ...] = ()


def decided(
    read: Reading, fact: identity.ExportFact, placement: Placement, around: Surroundings
) -> Decision:
    """Everything that is to be written of an export."""
    transcript, resolution = read.transcript, around.residence.resolution
    sizes = text_sizes(transcript.messages)
    elapsed_s = time.monotonic() - read.started
    finding = anomalies.Finding(
        name=printable(read.drop.name),
        size_bytes=read.drop.size_bytes,
        export=fact,
        is_part=read.drop.is_part,
        transcript=transcript,
        placement=placement,
        known_indices=around.known_indices,
        known_ids=around.known_ids,
        conversation_id=resolution.conversation_id,
        reason=printable(resolution.reason),
        conversation_is_new=around.conversation_is_new,
        elapsed_s=elapsed_s,
        before=around.before,
        behind=around.behind,
        thresholds=read.thresholds,
    )
    return Decision(
        export_id=read.attempt.export_id,
        claim_id=read.drop.claim_id,
        memory_dir=read.drop.memory_dir,
        name=printable(read.drop.name),
        fate=_fate(placement.plan),
        transcript=transcript,
        hashes=tuple(min(place.hashes) for place in read.places),
        placement=placement,
        message_ids=around.message_ids,
        residence=around.residence,
        anomalies=tuple(anomalies.find(finding)),
        savings_pct=_savings_pct(transcript, sizes, placement.plan),
        elapsed_s=elapsed_s,
        is_part=read.drop.is_part,
        point=_next_point(read, placement, around.places, sizes),
    )


def _next_point(
    read: Reading, placement: Placement, known: Sequence[Place], sizes: Sequence[int]
) -> Point | None:
    """From where this export can be gone on, when it comes again and has grown."""
    source = read.source
    own = read.point.head_hash if read.point else head_hash(read.places)
    if source is None or own != placement.head_hash:
        return None
    return growth.point(
        read.transcript,
        read.places,
        sizes,
        placement.plan,
        known,
        own,
        source,
    )


def _neighbours(
    tx: Transaction, residence: Residence
) -> tuple[SegmentFact | None, SegmentFact | None]:
    """The segments before and behind a new one, in the conversation it is laid out in."""
    own = next((slot for slot in residence.slots if slot.segment_id is None), None)
    if own is None or len(residence.slots) == 1:
        return None, None
    stored = {s.segment_id: s for s in tx.segments_of([own.conversation_id])}
    at = {slot.ordinal: stored[slot.segment_id] for slot in residence.slots if slot.segment_id}
    return at.get(own.ordinal - 1), at.get(own.ordinal + 1)


def _touched(read: Reading) -> Touched | None:
    """A part of a long session is placed without the rest of it, where times allow it."""
    messages = read.transcript.messages
    times = [m.occurred_at for m in messages if m.occurred_at]
    ids = [m.source_id for m in messages if m.source_id is not None]
    if not read.drop.is_part or not len(times) == len(ids) == len(messages):
        return None
    if read.transcript.follows is not None:
        ids.append(read.transcript.follows)
    return Touched(tuple(ids), min(times))


def _followed(transcript: Transcript) -> set[str]:
    """The ids of messages that others followed and that are not in the export itself."""
    parents = {m.parent_id for m in transcript.messages if m.parent_id is not None}
    return parents - {m.source_id for m in transcript.messages}


def _is_counted(transcript: Transcript) -> bool:
    """Whether messages have indices or ids of their own."""
    messages = transcript.messages
    return all(m.source_index is not None for m in messages) or all(
        m.source_id is not None for m in messages
    )


def _named(fact: identity.ExportFact, head: str | None) -> str:
    """Where indices or ids count, or a session's own id, segments are found by the name."""
    return identity.resolve([fact], first_hash=head or "").conversation_id


def _fate(plan: Plan) -> Fate:
    changed = plan.count(Outcome.DUPLICATE) < len(plan.steps) or any(
        step.replace for step in plan.steps
    )
    return Fate.INGESTED if changed else Fate.UNCHANGED


def _savings_pct(transcript: Transcript, sizes: Sequence[int], plan: Plan) -> float:
    """Share of the text that was stored before, in percent of its characters."""
    before = transcript.before.chars
    known = before + sum(sizes[step.incoming] for step in plan.steps if step.known is not None)
    total = before + sum(sizes)
    return round(100 * known / total, 2) if total else 0.0


def report_of(drop: Drop, decision: Decision, followed: set[str]) -> Report:
    """What became of an export; ``followed`` are other conversations that changed by it."""
    plan, residence = decision.placement.plan, decision.residence
    left = {residence.left_id} if residence.left_id else set()
    return Report(
        name=drop.name,
        fate=decision.fate,
        size_bytes=drop.size_bytes,
        conversation_id=residence.resolution.conversation_id,
        also_changed=tuple(sorted(followed | left)),
        total=decision.transcript.message_count,
        new=plan.count(Outcome.NEW),
        rerendered=plan.count(Outcome.RERENDERED),
        completed=plan.count(Outcome.COMPLETED),
        savings_pct=decision.savings_pct,
        anomalies=decision.anomalies,
    )
