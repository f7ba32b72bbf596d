"""What people ask of alerts, and their answers: acknowledged, silenced, resolved, resent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ..alerts.listed import Alert, Delivery, SilenceRow
from .transaction import Transaction


def list_alerts(
    tx: Transaction,
    most: int,
    states: Sequence[str] | None = None,
    alert_ids: Sequence[int] | None = None,
    *,
    no_info: bool = False,
) -> list[Alert]:
    """The newest first; of these states or ids, ``no_info`` without mere information."""
    rows = tx.rows(
        "list_alerts",
        states=None if states is None else list(states),
        alert_ids=None if alert_ids is None else list(alert_ids),
        most=most,
        no_info=no_info,
    )
    return [Alert(*row) for row in rows]


def history(tx: Transaction, alert_id: int) -> list[Delivery]:
    """All that was told of an alert, in order."""
    return [Delivery(*row) for row in tx.rows("alert_history", alert_id=alert_id)]


def acknowledge(tx: Transaction, alert_ids: Sequence[int], who: str) -> list[int]:
    """No more reminders, no escalation; returns those that were firing."""
    return [row[0] for row in tx.rows("acknowledge", alert_ids=list(alert_ids), who=who)]


def resolve(tx: Transaction, alert_ids: Sequence[int], why: str) -> list[int]:
    """It is over, a person says; returns those that were not."""
    rows = tx.rows("resolve_by_hand", alert_ids=list(alert_ids), resolution=why)
    return [row[0] for row in rows]


def resend(tx: Transaction, alert_ids: Sequence[int]) -> list[tuple[int, str]]:
    """Told once more on every channel that told it; returns alerts and channels."""
    rows = tx.rows("resend", alert_ids=list(alert_ids))
    return [(alert_id, channel) for alert_id, channel in rows]


def silence(
    tx: Transaction,
    kind: str | None,
    conversation_id: str | None,
    duration: timedelta,
    comment: str,
    who: str,
    memory_dir: str | None = None,
) -> tuple[int, datetime]:
    """No word of a kind, of a conversation, or of both, for so long; its id and its end.

    Of the alerts of a memory folder, or of all.
    """
    silence_id, until = tx.rows(
        "add_silence",
        kind=kind,
        conversation_id=conversation_id,
        duration=duration,
        comment=comment,
        who=who,
        memory_dir=memory_dir,
    )[0]
    return silence_id, until


def is_known_folder(tx: Transaction, memory_dir: str) -> bool:
    """Whether the database has anything of this memory folder."""
    return bool(tx.rows("is_known_folder", memory_dir=memory_dir)[0][0])


def silences(tx: Transaction) -> list[SilenceRow]:
    """Those that hold now."""
    return [SilenceRow(*row) for row in tx.rows("list_silences")]


def end_silence(tx: Transaction, silence_id: int) -> bool:
    """Let it be heard again; False when it was over."""
    return tx.execute("end_silence", silence_id=silence_id) > 0
