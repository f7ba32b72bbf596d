"""What became of files that arrived, as the database tells it: plain data. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .models import Fate


@dataclass(frozen=True, slots=True)
class Arrival:
    """One arrival of a file; what lies in a container is counted with it.

    ``outcome`` is None while it is on its way. ``total`` messages are in the file, ``new`` of
    them were not stored before. ``savings_pct``: the share of its text, in percent, that was
    stored before. ``is_told``: its session files are written. ``reason``: of a dead letter.
    """

    arrived_at: datetime
    name: str
    outcome: str | None
    conversation_ids: tuple[str, ...]
    total: int
    new: int
    savings_pct: float
    is_told: bool
    reason: str = ""

    @property
    def duplicates(self) -> int:
        return self.total - self.new

    @property
    def is_dead_letter(self) -> bool:
        return self.outcome == Fate.DEAD_LETTER

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "name": self.name,
            "arrived_at": self.arrived_at.isoformat(),
            "outcome": self.outcome,
            "sessions": list(self.conversation_ids),
            "total_messages": self.total,
            "new_messages": self.new,
            "duplicates_filtered": self.duplicates,
            "storage_savings_pct": self.savings_pct,
            "reason": self.reason,
        }


def conversation_ids(arrivals: Iterable[Arrival]) -> list[str]:
    """The sessions that they belong to, each once, in the order of their ids."""
    return sorted({name for arrival in arrivals for name in arrival.conversation_ids})
