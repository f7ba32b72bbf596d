"""What is odd about an export, noted; and what people are told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg2.extras import Json

from ..alerts.rules import RULES
from ..models import Anomaly
from .rows import NewAlert
from .transaction import Transaction


@dataclass(frozen=True, slots=True)
class About:
    """What an anomaly is about."""

    memory_dir: str
    export_id: int
    conversation_id: str | None = None
    segment_id: int | None = None


def add_anomalies(tx: Transaction, found: Sequence[tuple[Anomaly, About]]) -> None:
    """Rows; where there is a rule for a kind an alert in the same transaction, too."""
    tx.insert(
        "add_anomaly",
        [
            {
                "conversation_id": about.conversation_id,
                "export_id": about.export_id,
                "segment_id": about.segment_id,
                "kind": anomaly.kind,
                "severity": anomaly.severity.value,
                "message": anomaly.message,
                "metadata": Json(dict(anomaly.details)),
            }
            for anomaly, about in found
        ],
    )
    tx.alert(*(_alert(anomaly, about) for anomaly, about in found if anomaly.kind in RULES))


def _alert(anomaly: Anomaly, about: About) -> NewAlert:
    return NewAlert(
        anomaly.kind,
        anomaly.severity,
        anomaly.message,
        subject=_subject(anomaly, about),
        memory_dir=about.memory_dir,
        conversation_id=about.conversation_id,
        export_id=about.export_id,
        details={**anomaly.details, "segment_id": about.segment_id},
    )


def _subject(anomaly: Anomaly, about: About) -> str:
    """What is missing is the same whichever export shows that; all else is of one export."""
    if anomaly.kind == "index_gap":
        return f"{about.segment_id}/{anomaly.details['from']}-{anomaly.details['to']}"
    if anomaly.kind == "dangling_parent":
        return f"{about.segment_id}/{anomaly.details['parent_id']}"
    return f"{about.export_id}/{anomaly.details.get('index', '')}"
