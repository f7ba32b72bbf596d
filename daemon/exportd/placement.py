"""Where an export goes: which segment, which conversation, at which indices.

Gathered facts in, decisions out. The store carries them out inside one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .alignment import align
from .fingerprint import anchors, is_anchor
from .identity import (
    MIN_ANCHORS,
    Evidence,
    ExportFact,
    goes_on,
    leading_anchors,
    same_segment,
    segment_order,
)
from .models import Place, Plan

# The id of a segment that is not stored yet; behind all others where order is a tie.
NEW_SEGMENT = 2**63


@dataclass(frozen=True, slots=True)
class SegmentFact:
    """A stored segment: its run of indices in its conversation, and its exports."""

    segment_id: int
    conversation_id: str
    first_index: int
    message_count: int
    exports: tuple[ExportFact, ...]
    head_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stored segment that an export may belong to, with its messages.

    The first ``before`` of them are left out: they stay where they are.
    """

    segment: SegmentFact
    places: tuple[Place, ...]
    before: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """The segment an export belongs to (None: a new one), why, and what it adds.

    ``head_hash`` is what the segment is found by, once the plan is carried out.
    The plan counts from behind the first ``before`` messages of the segment, which stay.
    ``parted_from``: a stored segment that a new one begins like, by its id, and how many
    anchors they share; an edited or rewound branch looks like that.
    """

    segment: SegmentFact | None
    reason: str
    plan: Plan
    head_hash: str | None
    parted_from: tuple[int, int] | None = None
    before: int = 0

    @property
    def message_count(self) -> int:
        """Of the segment, once the plan is carried out."""
        return self.before + len(self.plan.order)


@dataclass(frozen=True, slots=True)
class Move:
    """Messages ``lo`` to ``hi`` of a conversation get a new index or conversation."""

    conversation_id: str
    lo: int
    hi: int
    delta: int
    to_conversation_id: str


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a segment lies in its conversation; ``segment_id`` None is the new one."""

    segment_id: int | None
    conversation_id: str
    ordinal: int
    first_index: int
    message_count: int


def head_hash(run: Sequence[Place]) -> str | None:
    """What re-exports of a segment find it by: the fingerprint of its first anchor."""
    first = next(iter(anchors(run) or run), None)
    return min(first.hashes) if first else None


def place(
    candidates: Sequence[Candidate],
    incoming: Sequence[Place],
    header: Mapping[str, Any] | None = None,
    session_id: str | None = None,
    follows: str | None = None,
) -> Placement:
    """The candidate with the strongest evidence, or a new segment; and the plan.

    ``header`` is what the incoming export's header tells, ``session_id`` the session's own
    id where the format has one: no likeness makes two sessions one. ``follows`` is the native
    id of what stands before the incoming messages.
    """
    candidates = [c for c in candidates if _same_session(c.segment, session_id) is not False]
    judged = [(_evidence(c, incoming, header, session_id), c) for c in candidates]
    joined = [(evidence, c) for evidence, c in judged if evidence]
    if not joined:
        parted = _parted(candidates, incoming)
        reason = f"begins like segment {parted[0]}, then parts" if parted else "new beginning"
        return Placement(None, reason, align((), incoming), head_hash(incoming), parted)
    evidence, best = max(
        joined, key=lambda pair: (pair[0].strength, -pair[1].segment.segment_id)
    )
    plan = align(best.places, incoming, follows)
    head = _head(best, plan, incoming)
    return Placement(best.segment, evidence.reason, plan, head, before=best.before)


def go_on(candidate: Candidate, incoming: Sequence[Place], anchors: int) -> Placement | None:
    """As ``place`` does for the one candidate there is, if both are whole.

    Of both, the messages before ``candidate.before`` are left out: they are the same, and
    ``anchors`` of them are anchors. None where only the whole tells.
    """
    evidence = goes_on(candidate.places, incoming, anchors)
    if evidence is None:
        return None
    plan, head = align(candidate.places, incoming), candidate.segment.head_hash
    return Placement(candidate.segment, evidence.reason, plan, head, before=candidate.before)


def go_behind(candidate: Candidate, incoming: Sequence[Place]) -> Placement:
    """A part of a long export, behind the part before."""
    plan, head = align(candidate.places, incoming), candidate.segment.head_hash
    reason = "behind the part before"
    return Placement(candidate.segment, reason, plan, head, before=candidate.before)


def _evidence(
    candidate: Candidate,
    incoming: Sequence[Place],
    header: Mapping[str, Any] | None,
    session_id: str | None,
) -> Evidence | None:
    is_same_session = _same_session(candidate.segment, session_id) is True
    if candidate.before and is_same_session:
        return Evidence("the session's own id", 1)
    return same_segment(
        candidate.places,
        incoming,
        same_header=_has_header(candidate.segment, header),
        same_session=is_same_session,
    )


def _has_header(segment: SegmentFact, header: Mapping[str, Any] | None) -> bool:
    return bool(header) and any(export.header == header for export in segment.exports)


def _same_session(segment: SegmentFact, session_id: str | None) -> bool | None:
    """Whether both are one session by an id of its own; None where one has no such id."""
    known = {export.session_id for export in segment.exports} - {None}
    return session_id in known if session_id is not None and known else None


def _parted(
    candidates: Sequence[Candidate], incoming: Sequence[Place]
) -> tuple[int, int] | None:
    shared = [(leading_anchors(c.places, incoming), c.segment.segment_id) for c in candidates]
    most, segment_id = max(shared, default=(0, 0))
    return (segment_id, most) if most >= MIN_ANCHORS else None


def unchanged(segment: SegmentFact) -> Placement:
    """The placement of a stored segment that only moves."""
    count = segment.message_count
    return Placement(segment, "stored", Plan((), ()), segment.head_hash, before=count)


def _head(stored: Candidate, plan: Plan, incoming: Sequence[Place]) -> str | None:
    """The stored head stays, unless something new stands before it."""
    if stored.before:
        return stored.segment.head_hash
    merged = [(n, stored.places[n] if n >= 0 else incoming[-1 - n]) for n in plan.order]
    known, first = next(((n, p) for n, p in merged if is_anchor(p)), merged[0])
    return stored.segment.head_hash if known >= 0 else min(first.hashes)


def arrange(
    placement: Placement,
    facts: SegmentFact,
    others: Sequence[SegmentFact],
) -> tuple[list[Slot], list[Move]]:
    """Lay out the conversations that an export touches.

    ``facts`` is the segment as it will be, in its conversation of choice; ``others``
    are the other segments of that conversation and of the one it leaves. Indices are
    dense from 0 in each conversation (DESIGN 4.3).
    """
    slots: list[Slot] = []
    moves: list[Move] = []
    for conversation_id in sorted({s.conversation_id for s in (facts, *others)}):
        first = 0
        members = [s for s in (facts, *others) if s.conversation_id == conversation_id]
        for ordinal, segment in enumerate(sorted(members, key=_order)):
            own = segment is facts
            slots.append(
                Slot(
                    None if own and placement.segment is None else segment.segment_id,
                    conversation_id,
                    ordinal,
                    first,
                    segment.message_count,
                )
            )
            moves += _moves_within(placement, slots[-1]) if own else _moves(segment, slots[-1])
            first += segment.message_count
    return slots, moves


def _order(segment: SegmentFact) -> tuple[object, ...]:
    return *segment_order(segment.exports), segment.segment_id


def _moves(segment: SegmentFact, slot: Slot) -> Iterator[Move]:
    delta = slot.first_index - segment.first_index
    if delta and segment.message_count:
        last = segment.first_index + segment.message_count - 1
        yield Move(
            segment.conversation_id, segment.first_index, last, delta, slot.conversation_id
        )


def _moves_within(placement: Placement, slot: Slot) -> Iterator[Move]:
    """Stored messages of the segment itself: new ones may stand between them."""
    stored = placement.segment
    if stored is None:
        return
    moved = stored.conversation_id != slot.conversation_id
    run: Move | None = None
    if placement.before:
        first, delta = stored.first_index, slot.first_index - stored.first_index
        last = first + placement.before - 1
        run = Move(stored.conversation_id, first, last, delta, slot.conversation_id)
    for position, known in enumerate(placement.plan.order, start=placement.before):
        if known < 0:
            continue
        index = stored.first_index + placement.before + known
        delta = slot.first_index + position - index
        if run and run.delta == delta and run.hi == index - 1:
            run = replace(run, hi=index)
            continue
        if run and (run.delta or moved):
            yield run
        run = Move(stored.conversation_id, index, index, delta, slot.conversation_id)
    if run and (run.delta or moved):
        yield run
