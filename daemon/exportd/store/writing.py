"""A decision, written: step 7 of the order of effects (DESIGN 2.1)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from uuid import uuid5

from psycopg2.extras import Json

from ..formats.text import printable
from ..models import (
    NOT_A_CONVERSATION,
    Anomaly,
    Fate,
    Message,
    Outcome,
    Plan,
    Severity,
    Transcript,
)
from ..placement import Slot
from .growing import keep_point
from .oddities import About, add_anomaly
from .rows import Decision, Drop, NewAlert, Residence
from .transaction import Transaction


def write(tx: Transaction, decision: Decision) -> int:
    """Write a decision; returns the id of its segment."""
    own = _own_slot(decision)
    lay_out(tx, decision.residence)
    segment_id = _place_own(tx, decision, own)
    _insert_messages(tx, decision, own, segment_id)
    _replace_contents(tx, decision)
    _link(tx, decision, own, segment_id)
    settle(tx, decision.residence, segment_id)
    keep_point(tx, decision, segment_id)
    _record(tx, decision, segment_id)
    return segment_id


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
    tx.execute("count_conversation", conversation_ids=conversation_ids)
    tx.execute("set_watermarks", conversation_ids=conversation_ids)
    describe(tx, residence)
    target, left_id = residence.resolution, residence.left_id
    if left_id is not None:
        tx.execute(
            "move_history", segment_id=segment_id, conversation_id=target.conversation_id
        )
        if left_id not in conversation_ids:
            tx.execute("move_aliases", conversation_id=target.conversation_id, left_id=left_id)
            tx.execute("delete_conversation", conversation_id=left_id)


def describe(tx: Transaction, residence: Residence) -> None:
    """Why the conversations have their names, and their aliases, where that changed."""
    for conversation_id, aliases in residence.aliases.items():
        tx.set_aliases(conversation_id, aliases)
    for conversation_id, facts in residence.descriptions.items():
        tx.execute(
            "describe_conversation", conversation_id=conversation_id, metadata=Json(dict(facts))
        )


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
    return int(
        tx.rows(
            "insert_segment",
            conversation_id=own.conversation_id,
            ordinal=own.ordinal,
            first_index=own.first_index,
            message_count=own.message_count,
            head_hash=head_hash,
            starts_compacted=decision.transcript.starts_compacted,
            format=decision.transcript.format,
        )[0][0]
    )


def _insert_messages(tx: Transaction, decision: Decision, own: Slot, segment_id: int) -> None:
    rows = [
        (own.conversation_id, own.first_index + position, segment_id, -1 - known)
        for position, known in enumerate(
            decision.placement.plan.order, start=decision.placement.before
        )
        if known < 0
    ]
    if rows:
        tx.copy("copy_messages", _message_rows(decision, rows))
        tx.execute(
            "queue_new",
            conversation_id=own.conversation_id,
            first=rows[0][1],
            last=rows[-1][1],
            messages=len(rows),
        )


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


def _link(tx: Transaction, decision: Decision, own: Slot, segment_id: int) -> None:
    plan, before = decision.placement.plan, decision.placement.before
    known = [step.known for step in plan.steps if step.known is not None]
    new = (position for position, number in enumerate(plan.order) if number < 0)
    skipped = decision.transcript.before.messages
    tx.execute(
        "link_export",
        export_id=decision.export_id,
        segment_id=segment_id,
        first_index=0 if skipped else before + (min(known) if known else next(new)),
        message_count=decision.transcript.message_count,
        conversation_id=own.conversation_id,
        last=own.first_index + before + _last(plan) if decision.is_part else None,
    )


def _last(plan: Plan) -> int:
    """Where the last message of an export stands, as the plan counts."""
    last = plan.steps[-1]
    return plan.order.index(-1 - last.incoming if last.known is None else last.known)


def _record(tx: Transaction, decision: Decision, segment_id: int) -> None:
    transcript, plan = decision.transcript, decision.placement.plan
    target = decision.residence.resolution
    counts = {outcome.value: plan.count(outcome) for outcome in Outcome}
    counts[Outcome.DUPLICATE.value] += transcript.before.messages
    tx.execute(
        "log_deduplication",
        conversation_id=target.conversation_id,
        processed=transcript.message_count,
        duplicates=transcript.message_count - plan.count(Outcome.NEW),
        savings_pct=decision.savings_pct,
        processing_time_ms=round(decision.elapsed_s * 1000),
        metadata=Json(counts),
        export_id=decision.export_id,
        segment_id=segment_id,
    )
    about = About(decision.memory_dir, decision.export_id, target.conversation_id, segment_id)
    for anomaly in decision.anomalies:
        add_anomaly(tx, anomaly, about)
    if any(message.source_index is not None for message in transcript.messages):
        tx.execute(
            "resolve_filled_gaps",
            conversation_id=target.conversation_id,
            segment_id=segment_id,
            name=decision.name,
        )
    if any(message.source_id is not None for message in transcript.messages):
        tx.execute(
            "resolve_found_parents",
            conversation_id=target.conversation_id,
            segment_id=segment_id,
            name=decision.name,
        )
    _set_faults_aside(tx, decision)
    _finish_export(tx, decision.export_id, transcript, decision.placement.reason)
    tx.execute("finish_drop", claim_id=decision.claim_id, outcome=decision.fate.value)


def _set_faults_aside(tx: Transaction, decision: Decision) -> None:
    """A dead letter for each record that could not be read; its bytes are archived."""
    for fault in decision.transcript.faults:
        where = f"line {fault.line}" if fault.line else f"byte {fault.span.start}"
        tx.execute(
            "add_dead_letter",
            export_id=decision.export_id,
            claim_id=uuid5(decision.claim_id, f"fault {fault.span.start}"),
            original_name=f"{decision.name}, {where}",
            failed_name=None,
            reason=fault.reason,
            error_class="Fault",
            memory_dir=decision.memory_dir,
        )


def finish_empty(tx: Transaction, drop: Drop, export_id: int, transcript: Transcript) -> None:
    """Write the end of an export that has no message."""
    _finish_export(tx, export_id, transcript, "no message")
    tx.execute("finish_drop", claim_id=drop.claim_id, outcome=Fate.UNCHANGED.value)
    name = printable(drop.name)
    kind, what = "empty_export", "is an export without a message"
    if NOT_A_CONVERSATION in transcript.flags:
        kind, what = NOT_A_CONVERSATION, "is not a conversation"
    add_anomaly(
        tx,
        Anomaly(kind, Severity.INFO, f"{name} {what}"),
        About(drop.memory_dir, export_id),
    )


def finish_container(
    tx: Transaction, drop: Drop, export_id: int, shell: Transcript, fate: Fate, lost: str
) -> None:
    """Write the end of a container; its members are written.

    ``lost``: what in it could not be ingested, for the one alert about it; empty if all was.
    """
    _finish_export(tx, export_id, shell, "container")
    tx.execute("finish_drop", claim_id=drop.claim_id, outcome=fate.value)
    if lost and drop.parent_export_id is None:
        tx.alert(
            NewAlert(
                "dead_letter",
                Severity.WARNING,
                f"{drop.name}: {lost}",
                subject=str(export_id),
                memory_dir=drop.memory_dir,
                export_id=export_id,
            )
        )


def _finish_export(
    tx: Transaction, export_id: int, transcript: Transcript, segment_reason: str
) -> None:
    tx.execute(
        "finish_export",
        export_id=export_id,
        format=transcript.format,
        parser_version=transcript.parser_version,
        message_count=transcript.message_count,
        metadata=Json(
            {
                "header": dict(transcript.header),
                "lineage": list(transcript.lineage),
                "flags": list(transcript.flags),
                "session_id": transcript.session_id,
                "title": transcript.title,
                "segment_reason": segment_reason,
            }
        ),
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
    return json.dumps(facts, ensure_ascii=False)
