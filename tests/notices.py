"""Messages to people, one of each kind, for the tests of the channels."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from exportd.alerts.notice import Event, Notice, Told
from exportd.alerts.rules import RULES

SINCE = datetime(2026, 11, 25, 21, 3, 17, tzinfo=UTC)
PLACE = "atlas, /srv/project/MEMORY-CONTEXT"
MESSAGE_ID = "6f1c1a3e-5d5e-4d0a-9f2f-0c5d6a1b2c3d"
_BODIES = {
    "index_gap": "The export 2026-11-25-EXPORT-ROLLOUT-MASTER.json shows messages 0 to 11 and "
    "then 41 to 96: messages 12 to 40 (29 of them) are missing, and no other export has them.",
    "database_unreachable": "PostgreSQL at db.internal:5432 has not answered for 64 seconds: "
    "connection refused. 12 files wait in exports/.",
    "new_conversation": "install-coditect was seen for the first time, with 312 messages.",
    "daily_summary": "Exports: 12 (2 of them seen before)\nNew messages: 1,204\n"
    "Saved by deduplication: 87 %\nConversations at risk: rollout-master (high)\n"
    "Dead letters: 1\nOldest file that waits: 3 min",
    "dead_letter": "broken.json is no export: line 1 holds '{', and the file ends there.",
}
_IDS = {"index_gap": "rollout-master", "new_conversation": "install-coditect"}


def told(kind: str, alert_id: int = 12) -> Told:
    """An alert of a kind that fires."""
    rule = RULES[kind]
    return Told(
        alert_id=alert_id,
        kind=kind,
        severity=rule.severity,
        title=rule.title,
        body=_BODIES.get(kind, "It is as the title says."),
        todo=rule.todo,
        since=SINCE,
        conversation_id=_IDS.get(kind),
        fingerprint=f"{kind}-{alert_id}",
    )


def notice(*alerts: Told | str) -> Notice:
    """A message of alerts, or of kinds of alerts."""
    return Notice(
        message_id=MESSAGE_ID,
        group_key=f"atlas/{'/'.join(dict.fromkeys(one.kind for one in _all(alerts)))}",
        place=PLACE,
        told=_all(alerts),
    )


def over(alert: Told, why: str, after: timedelta = timedelta(hours=2, minutes=7)) -> Told:
    """The same alert, resolved."""
    return replace(alert, event=Event.RESOLVED, resolution=why, resolved_at=alert.since + after)


def storm() -> Notice:
    """Ten thousand alerts in one message."""
    alerts = [told("database_unreachable", 1), *(told("index_gap", n) for n in range(2, 7))]
    return replace(
        notice(*alerts),
        left_out={"Messages are missing": 9_714, "A file could not be ingested": 280},
    )


def _all(alerts: tuple[Told | str, ...]) -> tuple[Told, ...]:
    return tuple(
        told(one, 12 + n) if isinstance(one, str) else one for n, one in enumerate(alerts)
    )
