"""A decision, written: step 7 of the order of effects (DESIGN 2.1)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, starmap

from psycopg2.extras import Json

from ..models import Message, Outcome
from ..placement import Slot
from .growing import keep_point, keep_points
from .recording import link, record
from .rows import Decision, Residence
from .transaction import Transaction

_JSON = json.JSONEncoder(ensure_ascii=False, check_circular=False)  # a tree, read as JSON


def write(tx: Transaction, decision: Decision) -> int:
    """Write a decision; returns the id of its segment."""
    own = _own_slot(decision)
    lay_out(tx, decision.residence)
    segment_id = _place_own(tx, decision, own)
    _insert_messages(tx, [(decision, own, segment_id)])
    _replace_contents(tx, decision)
    link(tx, [(decision, own, segment_id)])
    settle(tx, decision.residence, segment_id)
    keep_point(tx, decision, segment_id)
    record(tx, [(decision, segment_id)])
    return segment_id


def write_beginnings(tx: Transaction, decisions: Sequence[Decision]) -> None:
    """Write decisions that each begin a conversation of their own, all at once."""
    slots = [_own_slot(decision) for decision in decisions]
    rows = [_segment(one, slot) for one, slot in zip(decisions, slots, strict=True)]
    ids = {home: own for own, home in tx.insert("insert_segment", rows)}
    laid = [
        (one, slot, ids[slot.conversation_id])
        for one, slot in zip(decisions, slots, strict=True)
    ]
    _insert_messages(tx, laid)
    link(tx, laid)
    placed = [(one, segment_id) for one, _, segment_id in laid]
    keep_points(tx, placed)
    _count(tx, list(ids))
    describe(tx, *(decision.residence for decision in decisions), new=True)
    record(tx, placed)


def relocate(tx: Transaction, residence: Residence, segment_id: int) -> None:
    """Move a stored segment to another conversation, with all that belongs to it."""
    lay_out(tx, residence)
    settle(tx, residence, segment_id)


def lay_out(tx: Transaction, residence: Residence) -> None:
    """Messages and segments that are stored get their new places."""
    if residence.moves:
        tx.execute("defer_indices")
        tx.execute(
            "move_messages",
            conversation_ids=[move.conversation_id for move in residence.moves],
            los=[move.lo for move in residence.moves],
            his=[move.hi for move in residence.moves],
            deltas=[move.delta for move in residence.moves],
            to_conversation_ids=[move.to_conversation_id for move in residence.moves],
        )
    stored = [slot for slot in residence.slots if slot.segment_id is not None]
    if not stored:
        return
    tx.execute(
        "place_segments",
        segment_ids=[slot.segment_id for slot in stored],
        conversation_ids=[slot.conversation_id for slot in stored],
        ordinals=[slot.ordinal for slot in stored],
        first_indices=[slot.first_index for slot in stored],
        message_counts=[slot.message_count for slot in stored],
    )


def settle(tx: Transaction, residence: Residence, segment_id: int) -> None:
    """Counts and watermarks follow; a segment that moved takes its history along.

    The id of a conversation that is empty now stays as an alias.
    """
    if residence.moves:
        tx.execute("check_indices")
    conversation_ids = sorted({slot.conversation_id for slot in residence.slots})
    _count(tx, conversation_ids)
    describe(tx, residence)
    target, left_id = residence.resolution, residence.left_id
    if left_id is not None:
        tx.execute(
            "move_history", segment_id=segment_id, conversation_id=target.conversation_id
        )
        if left_id not in conversation_ids:
            tx.execute("move_aliases", conversation_id=target.conversation_id, left_id=left_id)
            tx.execute("delete_conversation", conversation_id=left_id)


def describe(tx: Transaction, *residences: Residence, new: bool = False) -> None:
    """Why the conversations have their names, and their aliases, where that changed.

    ``new``: they have no aliases yet.
    """
    aliases = [(own, found) for one in residences for own, found in one.aliases.items()]
    if not new:
        tx.each(
            "retire_aliases",
            [{"conversation_id": own, "aliases": list(found)} for own, found in aliases],
        )
    tx.each(
        "add_aliases",
        [
            {
                "conversation_id": own,
                "aliases": list(found),
                "reasons": list(found.values()),
            }
            for own, found in aliases
            if found
        ],
    )
    tx.each(
        "describe_conversation",
        [
            {"conversation_id": own, "metadata": Json(dict(facts))}
            for one in residences
            for own, facts in one.descriptions.items()
        ],
    )


def _count(tx: Transaction, conversation_ids: list[str]) -> None:
    tx.execute("count_conversation", conversation_ids=conversation_ids)
    tx.execute("set_watermarks", conversation_ids=conversation_ids)


def _own_slot(decision: Decision) -> Slot:
    stored = decision.placement.segment
    segment_id = stored.segment_id if stored else None
    return next(s for s in decision.residence.slots if s.segment_id == segment_id)


def _place_own(tx: Transaction, decision: Decision, own: Slot) -> int:
    head_hash = decision.placement.head_hash
    if own.segment_id is not None:
        tx.execute(
            "set_head",
            segment_id=own.segment_id,
            head_hash=head_hash,
            starts_compacted=decision.transcript.starts_compacted,
        )
        return own.segment_id
    ((segment_id, _),) = tx.insert("insert_segment", [_segment(decision, own)])
    return int(segment_id)


def _segment(decision: Decision, own: Slot) -> dict[str, object]:
    return {
        "conversation_id": own.conversation_id,
        "ordinal": own.ordinal,
        "first_index": own.first_index,
        "message_count": own.message_count,
        "head_hash": decision.placement.head_hash,
        "starts_compacted": decision.transcript.starts_compacted,
        "format": decision.transcript.format,
    }


def _insert_messages(tx: Transaction, of: Sequence[tuple[Decision, Slot, int]]) -> None:
    """What is new in these decisions, each with its slot and the id of its segment."""
    runs = [
        (decision, rows) for decision, own, n in of if (rows := _new_rows(decision, own, n))
    ]
    if runs:
        tx.copy("copy_messages", chain.from_iterable(starmap(_message_rows, runs)))
        first, last = runs[0][1][0], runs[-1][1][-1]
        tx.execute(
            "queue_new",
            first_conversation_id=first[0],
            first=first[1],
            last_conversation_id=last[0],
            last=last[1],
            messages=sum(len(rows) for _, rows in runs),
        )


def _new_rows(
    decision: Decision, own: Slot, segment_id: int
) -> list[tuple[str, int, int, int]]:
    return [
        (own.conversation_id, own.first_index + position, segment_id, -1 - known)
        for position, known in enumerate(
            decision.placement.plan.order, start=decision.placement.before
        )
        if known < 0
    ]


def _replace_contents(tx: Transaction, decision: Decision) -> None:
    """Other renderings are kept; where the incoming one is richer, it is the content."""
    kept: list[tuple[int, str, str, int | None]] = []
    replaced: list[tuple[int, str, Message]] = []
    for step in decision.placement.plan.steps:
        if step.known is None:
            continue
        message = decision.transcript.messages[step.incoming]
        content_hash = decision.hashes[step.incoming]
        message_id = decision.message_ids[step.known]
        if step.replace:
            replaced.append((message_id, content_hash, message))
        elif step.outcome is Outcome.RERENDERED and not message.in_flight:
            kept.append((message_id, content_hash, message.text, decision.export_id))
    if kept:
        _keep(tx, kept)
    _enrich(tx, decision)
    if replaced:
        ids = [message_id for message_id, _, _ in replaced]
        tx.execute("keep_contents", message_ids=ids)
        tx.execute(
            "replace_contents",
            message_ids=ids,
            hashes=[content_hash for _, content_hash, _ in replaced],
            contents=[message.text for _, _, message in replaced],
            in_flights=[message.in_flight for _, _, message in replaced],
            metadatas=[_metadata(message) for _, _, message in replaced],
            roles=[message.role.value for _, _, message in replaced],
            kinds=[message.kind.value for _, _, message in replaced],
        )
        tx.execute("forget_renderings_of_content", message_ids=ids)
        tx.execute("queue_changed", message_ids=ids)


def _enrich(tx: Transaction, decision: Decision) -> None:
    """Where ids say that a message is the same one, what is told about it may have grown."""
    messages = decision.transcript.messages
    same = {
        decision.message_ids[step.known]: _metadata(messages[step.incoming])
        for step in decision.placement.plan.steps
        if step.known is not None
        and step.outcome is Outcome.DUPLICATE
        and not step.replace
        and messages[step.incoming].source_id is not None
    }
    if same:
        tx.execute("enrich_messages", message_ids=list(same), metadatas=list(same.values()))


def _keep(tx: Transaction, kept: list[tuple[int, str, str, int | None]]) -> None:
    tx.execute(
        "keep_renderings",
        message_ids=[row[0] for row in kept],
        hashes=[row[1] for row in kept],
        contents=[row[2] for row in kept],
        export_ids=[row[3] for row in kept],
    )


def _message_rows(
    decision: Decision, rows: Iterable[tuple[str, int, int, int]]
) -> Iterator[tuple[object, ...]]:
    for conversation_id, index, segment_id, incoming in rows:
        message = decision.transcript.messages[incoming]
        yield (
            conversation_id,
            index,
            decision.hashes[incoming],
            message.role.value,
            message.text,
            _metadata(message),
            segment_id,
            message.kind.value,
            message.source_id,
            message.source_index,
            message.occurred_at,
            message.in_flight,
        )


def _metadata(message: Message) -> str:
    facts = dict(message.extra)
    if message.model:
        facts["model"] = message.model
    if message.tokens:
        facts["tokens"] = dict(message.tokens)
    if message.parent_id:
        facts["parent_id"] = message.parent_id
    return _JSON.encode(facts)
