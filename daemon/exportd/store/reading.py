"""A stored conversation, read whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..models import StoredConversation, StoredMessage, StoredSegment
from .facts import read_risk

_Rows = Callable[..., list[tuple[Any, ...]]]


def read_conversation(rows: _Rows, conversation_id: str) -> StoredConversation | None:
    """The conversation with its segments and messages, or None when there is none."""
    found = rows("conversation", conversation_id=conversation_id)
    if not found:
        return None
    _, created_at, last_updated, _, metadata, export_count, seen, duplicates = found[0]
    return StoredConversation(
        conversation_id=conversation_id,
        created_at=created_at,
        last_updated=last_updated,
        reason=(metadata or {}).get("reason", ""),
        export_count=export_count,
        messages_seen=seen,
        duplicates=duplicates,
        aliases=tuple(
            row[0] for row in rows("conversation_aliases", conversation_id=conversation_id)
        ),
        segments=tuple(
            StoredSegment(ordinal, first, count, compacted, tuple(names))
            for ordinal, first, count, compacted, names in rows(
                "conversation_parts", conversation_id=conversation_id
            )
        ),
        messages=tuple(
            StoredMessage(*row)
            for row in rows("conversation_messages", conversation_id=conversation_id)
        ),
        risk=read_risk(rows, conversation_id),
    )
