"""Alerts as people see them in a list: plain data, from the outbox to the terminal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; ``is_held`` while nobody is told of it (silenced, or explained by another).

    ``silenced_until``: the end of the last silence that holds it; None without one.
    """

    alert_id: int
    kind: str
    severity: str
    state: str
    body: str
    conversation_id: str | None
    created_at: datetime
    last_seen_at: datetime
    occurrences: int
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None
    resolution: str | None
    is_held: bool
    memory_dir: str | None
    silenced_until: datetime | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: moments as ISO 8601."""
        return _plain(asdict(self))


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one channel was told of an alert, or is to be told; ``error`` is the last one."""

    channel: str
    event: str
    state: str
    created_at: datetime
    sent_at: datetime | None
    attempts: int | None
    unclear_attempts: int | None
    error: str | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: moments as ISO 8601."""
        return _plain(asdict(self))


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """What nobody wants to hear of until then; of one memory folder, or of all."""

    silence_id: int
    kind: str | None
    conversation_id: str | None
    until: datetime
    comment: str
    created_by: str
    memory_dir: str | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: moments as ISO 8601."""
        return _plain(asdict(self))


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in facts.items()
    }
