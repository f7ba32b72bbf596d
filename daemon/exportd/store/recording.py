"""What an export showed and what became of it, noted beside its messages.

For one export or for many at once: a backlog of small ones would else spend its time in
round trips.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid5

from psycopg2.extras import Json

from ..formats.text import printable
from ..models import (
    NOT_A_CONVERSATION,
    Anomaly,
    Fate,
    Outcome,
    Plan,
    Severity,
    Transcript,
)
from ..placement import Slot
from .oddities import About, add_anomalies
from .rows import Decision, Drop, NewAlert
from .transaction import Transaction

Placed = Sequence[tuple[Decision, int]]  # decisions, each with the id of its segment


def link(tx: Transaction, laid: Sequence[tuple[Decision, Slot, int]]) -> None:
    """Which run of its segment each export showed; with its slot and the segment's id."""
    tx.insert("link_export", [_shown(*one) for one in laid])


def _shown(decision: Decision, own: Slot, segment_id: int) -> dict[str, Any]:
    plan, before = decision.placement.plan, decision.placement.before
    known = [step.known for step in plan.steps if step.known is not None]
    new = (position for position, number in enumerate(plan.order) if number < 0)
    skipped = decision.transcript.before.messages
    return {
        "export_id": decision.export_id,
        "segment_id": segment_id,
        "first_index": 0 if skipped else before + (min(known) if known else next(new)),
        "message_count": decision.transcript.message_count,
        "conversation_id": own.conversation_id,
        "last": own.first_index + before + _last(plan) if decision.is_part else None,
    }


def _last(plan: Plan) -> int:
    """Where the last message of an export stands, as the plan counts."""
    last = plan.steps[-1]
    return plan.order.index(-1 - last.incoming if last.known is None else last.known)


def record(tx: Transaction, placed: Placed) -> None:
    """What was counted, what was odd, what is over by it; then exports and drops are done."""
    tx.insert("log_deduplication", [_counted(one, segment_id) for one, segment_id in placed])
    add_anomalies(
        tx,
        [
            (anomaly, _about(decision, segment_id))
            for decision, segment_id in placed
            for anomaly in decision.anomalies
        ],
    )
    _resolve(tx, placed)
    _set_faults_aside(tx, placed)
    tx.each(
        "finish_export",
        [_finished(one.export_id, one.transcript, one.placement.reason) for one, _ in placed],
    )
    tx.each(
        "finish_drop",
        [{"claim_id": one.claim_id, "outcome": one.fate.value} for one, _ in placed],
    )


def _about(decision: Decision, segment_id: int) -> About:
    target = decision.residence.resolution.conversation_id
    return About(decision.memory_dir, decision.export_id, target, segment_id)


def _counted(decision: Decision, segment_id: int) -> dict[str, Any]:
    transcript, plan = decision.transcript, decision.placement.plan
    counts = {outcome.value: plan.count(outcome) for outcome in Outcome}
    counts[Outcome.DUPLICATE.value] += transcript.before.messages
    return {
        "conversation_id": decision.residence.resolution.conversation_id,
        "processed": transcript.message_count,
        "duplicates": transcript.message_count - plan.count(Outcome.NEW),
        "savings_pct": decision.savings_pct,
        "processing_time_ms": round(decision.elapsed_s * 1000),
        "metadata": Json(counts),
        "export_id": decision.export_id,
        "segment_id": segment_id,
    }


def _resolve(tx: Transaction, placed: Placed) -> None:
    """Gaps that were filled and parents that were found; a new segment missed nothing."""
    for decision, segment_id in placed:
        if decision.placement.segment is None:
            continue
        messages = decision.transcript.messages
        about = {
            "conversation_id": decision.residence.resolution.conversation_id,
            "segment_id": segment_id,
            "name": decision.name,
        }
        if any(message.source_index is not None for message in messages):
            tx.execute("resolve_filled_gaps", **about)
        if any(message.source_id is not None for message in messages):
            tx.execute("resolve_found_parents", **about)


def _set_faults_aside(tx: Transaction, placed: Placed) -> None:
    """A dead letter for each record that could not be read; its bytes are archived."""
    tx.insert("add_dead_letter", [row for decision, _ in placed for row in _faults(decision)])


def _faults(decision: Decision) -> Iterator[dict[str, Any]]:
    for fault in decision.transcript.faults:
        where = f"line {fault.line}" if fault.line else f"byte {fault.span.start}"
        yield {
            "export_id": decision.export_id,
            "claim_id": uuid5(decision.claim_id, f"fault {fault.span.start}"),
            "original_name": f"{decision.name}, {where}",
            "failed_name": None,
            "reason": fault.reason,
            "error_class": "Fault",
            "memory_dir": decision.memory_dir,
        }


def finish_empty(tx: Transaction, drop: Drop, export_id: int, transcript: Transcript) -> None:
    """Write the end of an export that has no message."""
    tx.execute("finish_export", **_finished(export_id, transcript, "no message"))
    tx.execute("finish_drop", claim_id=drop.claim_id, outcome=Fate.UNCHANGED.value)
    name = printable(drop.name)
    kind, what = "empty_export", "is an export without a message"
    if NOT_A_CONVERSATION in transcript.flags:
        kind, what = NOT_A_CONVERSATION, "is not a conversation"
    anomaly = Anomaly(kind, Severity.INFO, f"{name} {what}")
    add_anomalies(tx, [(anomaly, About(drop.memory_dir, export_id))])


def finish_container(
    tx: Transaction, drop: Drop, export_id: int, shell: Transcript, fate: Fate, lost: str
) -> None:
    """Write the end of a container; its members are written.

    ``lost``: what in it could not be ingested, for the one alert about it; empty if all was.
    """
    tx.execute("finish_export", **_finished(export_id, shell, "container"))
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


def _finished(export_id: int, transcript: Transcript, segment_reason: str) -> dict[str, Any]:
    return {
        "export_id": export_id,
        "format": transcript.format,
        "parser_version": transcript.parser_version,
        "message_count": transcript.message_count,
        "metadata": Json(
            {
                "header": dict(transcript.header),
                "lineage": list(transcript.lineage),
                "flags": list(transcript.flags),
                "session_id": transcript.session_id,
                "title": transcript.title,
                "segment_reason": segment_reason,
            }
        ),
    }
