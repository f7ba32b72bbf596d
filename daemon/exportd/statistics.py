"""What exportd saw of a conversation, what it stores of it, and what that saves.

Every number says what it counts. A *distinct* content is counted once, however often it
was dropped; *all drops* count every arrival. A share of nothing is None, never 0 or 100.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from .models import Risk


@dataclass(frozen=True, slots=True)
class Amounts:
    """Counts and bytes, of one conversation or of several together.

    * ``exports``: distinct contents; ``drops``: arrivals of them, repeated ones included;
    * ``unique_messages``: messages stored; ``messages_seen``: messages of all distinct
      contents; ``messages_dropped``: the same for all drops;
    * ``stored_bytes``: the texts stored, other renderings of them included, in UTF-8;
    * ``unique_bytes``: sizes of the distinct contents, as files; ``raw_bytes``: of all
      drops.

    Empty exports and dead letters belong to no conversation and are not counted.
    """

    segments: int = 0
    exports: int = 0
    drops: int = 0
    unique_messages: int = 0
    messages_seen: int = 0
    messages_dropped: int = 0
    stored_bytes: int = 0
    unique_bytes: int = 0
    raw_bytes: int = 0

    @property
    def duplicates(self) -> int:
        """Messages of the distinct contents that were stored before, in some rendering."""
        return self.messages_seen - self.unique_messages

    @property
    def count_savings_pct(self) -> float | None:
        """Share of ``messages_seen`` that did not have to be stored."""
        return _savings_pct(self.unique_messages, self.messages_seen)

    @property
    def count_savings_all_drops_pct(self) -> float | None:
        """Share of ``messages_dropped`` that did not have to be stored."""
        return _savings_pct(self.unique_messages, self.messages_dropped)

    @property
    def byte_savings_pct(self) -> float | None:
        """How much smaller the texts stored are than the files, distinct contents.

        Not by repeated messages alone: a file also has glyphs, indentation, padding and
        headers, which are no text of any message.
        """
        return _savings_pct(self.stored_bytes, self.unique_bytes)

    @property
    def byte_savings_all_drops_pct(self) -> float | None:
        """How much smaller the texts stored are than all the files that were dropped."""
        return _savings_pct(self.stored_bytes, self.raw_bytes)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; shares in percent."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "duplicates": self.duplicates,
            "count_savings_pct": self.count_savings_pct,
            "count_savings_all_drops_pct": self.count_savings_all_drops_pct,
            "byte_savings_pct": self.byte_savings_pct,
            "byte_savings_all_drops_pct": self.byte_savings_all_drops_pct,
        }


@dataclass(frozen=True, slots=True)
class Statistics:
    """One conversation: ``watermark`` is its highest index, -1 when it has no message.

    ``gaps`` are runs of native indices, first and last, that no export showed.
    """

    conversation_id: str
    watermark: int
    amounts: Amounts
    risk: Risk
    gaps: tuple[tuple[int, int], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The keys of the specification's ``get_statistics``, and more.

        ``total_messages`` equals ``unique_messages``, as it does there;
        ``storage_savings_pct`` is the share by count on distinct contents
        (its formula: 1 - unique messages / messages in exports).
        """
        return {
            "conversation_id": self.conversation_id,
            "watermark": self.watermark,
            "total_messages": self.amounts.unique_messages,
            "storage_savings_pct": self.amounts.count_savings_pct,
            **self.amounts.as_dict(),
            "gaps": [list(gap) for gap in self.gaps],
            "risk": {"level": self.risk.level.value, "reasons": list(self.risk.reasons)},
        }


def total(amounts: Iterable[Amounts]) -> Amounts:
    """All of them together; an export that two conversations share counts in both."""
    rows = list(amounts)
    return Amounts(*(sum(getattr(r, f.name) for r in rows) for f in fields(Amounts)))


def _savings_pct(stored: int, seen: int) -> float | None:
    return round(100 * (1 - stored / seen), 2) if seen else None
