"""A stored conversation, read page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..errors import TransientError
from ..models import StoredConversation, StoredMessage, StoredSegment
from .facts import read_risk

_Rows = Callable[..., list[tuple[Any, ...]]]

_PAGE = 100  # messages; one of them may have megabytes


def read_conversation(
    rows: _Rows, conversation_id: str, fetch: _Rows
) -> StoredConversation | None:
    """The conversation with its segments, or None when there is none.

    ``fetch`` reads pages of its messages later, each in a transaction of its own.
    """
    found = rows("conversation", conversation_id=conversation_id)
    if not found:
        return None
    _, created_at, last_updated, total, metadata, export_count, seen, duplicates = found[0]
    roles = rows("conversation_roles", conversation_id=conversation_id)
    return StoredConversation(
        conversation_id=conversation_id,
        created_at=created_at,
        last_updated=last_updated,
        reason=(metadata or {}).get("reason", ""),
        title=(metadata or {}).get("title", ""),
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
        messages=_messages(fetch, conversation_id, total, last_updated),
        roles={role: count for role, count, *_ in roles},
        first_at=min((first for *_, first, _ in roles if first), default=None),
        last_at=max((last for *_, last in roles if last), default=None),
        risk=read_risk(rows, conversation_id),
    )


def _messages(
    fetch: _Rows, conversation_id: str, total: int, last_updated: object
) -> Iterator[StoredMessage]:
    """``TransientError`` at the end when the conversation changed meanwhile."""
    for first in range(0, total, _PAGE):
        for row in fetch(
            "conversation_messages",
            conversation_id=conversation_id,
            first=first,
            last=first + _PAGE - 1,
        ):
            yield StoredMessage(*row)
    if fetch("last_updated", conversation_id=conversation_id) != [(last_updated,)]:
        raise TransientError(f"{conversation_id} changed while it was read")
