"""What a search found, as plain data. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from .snippets import Piece


@dataclass(frozen=True, slots=True)
class Filters:
    """What a message must be; None: anything. From ``since`` on, and before ``until``."""

    conversation_ids: Sequence[str] | None = None
    roles: Sequence[str] | None = None
    kinds: Sequence[str] | None = None
    tools: Sequence[str] | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was found; ``text`` is at least the part with what was looked for.

    ``occurred_at`` is None where no export tells when it was said.
    """

    conversation_id: str
    message_index: int
    role: str
    kind: str
    tool: str | None
    occurred_at: datetime | None
    stored_at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A message, and what is shown of it."""

    message: Message
    snippet: tuple[Piece, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: moments as ISO 8601, highlights as places in the snippet."""
        facts = asdict(self.message)
        del facts["text"]
        for name in ("occurred_at", "stored_at"):
            facts[name] = facts[name] and facts[name].isoformat()
        highlights, at = [], 0
        for piece in self.snippet:
            if piece.is_match:
                highlights.append([at, at + len(piece.text)])
            at += len(piece.text)
        text = "".join(piece.text for piece in self.snippet)
        return {**facts, "snippet": text, "highlights": highlights}


@dataclass(frozen=True, slots=True)
class Found:
    """The first hits of ``total``.

    ``not_indexed`` messages are stored, and cannot be found by their words yet; of
    ``partly_indexed`` ones the beginning can.
    """

    hits: tuple[Hit, ...]
    total: int
    not_indexed: int = 0
    partly_indexed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "total": self.total,
            "not_indexed": self.not_indexed,
            "partly_indexed": self.partly_indexed,
            "hits": [hit.as_dict() for hit in self.hits],
        }
