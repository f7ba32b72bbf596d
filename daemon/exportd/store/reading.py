"""Stored conversations: short ones read at once, many together, long ones page by page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..errors import TransientError
from ..models import StoredConversation, StoredMessage, StoredSegment
from ..risk import assess
from .facts import read_histories

_Rows = Callable[..., list[tuple[Any, ...]]]

_PAGE = 100  # messages; one of them may have megabytes
_SHORT_BYTES = 100_000  # of text


def read_conversations(
    rows: _Rows, conversation_ids: Sequence[str], fetch: _Rows
) -> list[StoredConversation]:
    """Those that there are, with their segments, as they are at one moment.

    ``rows`` reads in a transaction that has one snapshot; ``fetch`` reads pages of long ones
    later, each in a transaction of its own.
    """
    ids = list(conversation_ids)
    found = {row[0]: row for row in rows("conversations", conversation_ids=ids)}
    roles = _by_id(rows("conversation_roles", conversation_ids=ids))
    aliases = _by_id(rows("conversation_aliases", conversation_ids=ids))
    parts = _by_id(rows("conversation_parts", conversation_ids=ids))
    histories = read_histories(rows, ids)
    short = [own for own in found if sum(size for *_, size in roles[own]) <= _SHORT_BYTES]
    held = _by_id(rows("short_conversations", conversation_ids=short))
    return [
        StoredConversation(
            conversation_id=own,
            created_at=created_at,
            last_updated=last_updated,
            reason=(metadata or {}).get("reason", ""),
            title=(metadata or {}).get("title", ""),
            export_count=export_count,
            messages_seen=seen,
            duplicates=duplicates,
            aliases=tuple(alias for (alias,) in aliases[own]),
            segments=tuple(
                StoredSegment(ordinal, first, count, compacted, tuple(names))
                for ordinal, first, count, compacted, names in parts[own]
            ),
            messages=[StoredMessage(*row) for row in held[own]]
            if own in short
            else _paged(fetch, own, total, last_updated),
            roles={role: count for role, count, *_ in roles[own]},
            first_at=min((first for *_, first, _, _ in roles[own] if first), default=None),
            last_at=max((last for *_, last, _ in roles[own] if last), default=None),
            risk=assess(histories[own]),
        )
        for own, created_at, last_updated, total, metadata, export_count, seen, duplicates in (
            found.values()
        )
    ]


def _by_id(rows: Iterable[tuple[Any, ...]]) -> defaultdict[str, list[tuple[Any, ...]]]:
    """Rows that begin with a conversation's id, without it, in their order."""
    found: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for own, *rest in rows:
        found[own].append(tuple(rest))
    return found


def _paged(
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
