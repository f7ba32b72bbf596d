"""Full-text search: what is new gets into the index, and what is asked for out of it.

The index, ``message_search``, is made of ``messages`` alone and can be made anew. What is not
in it stands in ``search_queue``, in the transaction that stored it: a kill in between loses
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..search.hits import Filters, Message
from ..search.query import TsQuery, like
from .transaction import Transaction

# One turn: at most so many messages and bytes of text, a fraction of a second.
MOST_MESSAGES = 1_000
MOST_BYTES = 1_000_000

# Of one message; the function message_words has the same number.
TEXT_BYTES = 350_000

# Of more hits only the newest compete for being the best.
_MOST_RANKED = 1_000

_MOST_QUEUED = 500


@dataclass(frozen=True, slots=True)
class Indexed:
    """What a turn did, and how many messages wait for another."""

    messages: int
    remaining: int


def index_some(tx: Transaction) -> Indexed | None:
    """Put some of what waits into the index; None while another process does."""
    if not tx.rows("indexing_lock")[0][0]:
        return None
    tx.execute("index_politely")
    queue_ids = _queue_ids(tx)
    waiting = tx.rows("queued_messages", queue_ids=queue_ids, most=MOST_MESSAGES + 1)
    taken = waiting[: _fitting([size for _, _, size in waiting])]
    if taken:
        message_ids = [message_id for _, message_id, _ in taken]
        tx.execute("forget_words", message_ids=message_ids)
        tx.execute("index_messages", message_ids=message_ids, most_bytes=TEXT_BYTES)
    left = waiting[len(taken)] if len(taken) < len(waiting) else None
    if left is not None:
        done = sum(queue_id == left[0] for queue_id, _, _ in taken)
        tx.execute("shorten_queued", queue_id=left[0], first_id=left[1], done=done)
    gone = [queue_id for queue_id in queue_ids if left is None or queue_id < left[0]]
    tx.execute("forget_queued", queue_ids=gone)
    return Indexed(len(taken), lag(tx))


def _queue_ids(tx: Transaction) -> list[int]:
    """The oldest of what waits, enough for a turn."""
    queue_ids, messages = [], 0
    for queue_id, count in tx.rows("queued", most=_MOST_QUEUED):
        queue_ids.append(queue_id)
        messages += count
        if messages >= MOST_MESSAGES:
            break
    return queue_ids


def _fitting(sizes: Sequence[int]) -> int:
    """How many of the first are a turn; one always is."""
    total = 0
    for count, size in enumerate(sizes[:MOST_MESSAGES]):
        total += min(size, TEXT_BYTES)
        if count and total > MOST_BYTES:
            return count
    return min(len(sizes), MOST_MESSAGES)


def lag(tx: Transaction) -> int:
    """How many stored messages wait for the index."""
    return int(tx.rows("search_lag")[0][0])


def partly_indexed(tx: Transaction) -> int:
    """Messages of which only the beginning is in the index."""
    return int(tx.rows("partly_indexed")[0][0])


def begin_anew(tx: Transaction) -> int:
    """Empty the index and let every message wait for it; returns how many."""
    tx.execute("indexing_turn")
    tx.as_owner()
    tx.execute("clear_search")
    tx.execute("queue_all")
    return lag(tx)


def stems(tx: Transaction, words: Sequence[str]) -> dict[str, str | None]:
    """The English stem of each word."""
    return dict(tx.rows("stems", words=list(words))) if words else {}


def is_searchable(tx: Transaction, query: str) -> bool:
    """Whether a tsquery has a word in it."""
    return bool(tx.rows("is_searchable", query=query)[0][0])


def by_words(
    tx: Transaction, asked_for: TsQuery, filters: Filters, limit: int, *, newest: bool
) -> tuple[int, list[Message]]:
    """How many match a tsquery, and the first of them: the best, or the newest."""
    asked = {
        **asdict(asked_for),
        "ordered": asked_for.query != asked_for.loose,
        "newest": newest,
        "most_bytes": TEXT_BYTES,
        "most_ranked": _MOST_RANKED,
    }
    return _messages(tx.rows("search_words", **asked, limit=limit, **_asked(filters)))


def by_text(
    tx: Transaction, text: str, filters: Filters, limit: int
) -> tuple[int, list[Message]]:
    """How many contain a text, whatever the case, and the newest of them."""
    asked = {"text": text, "pattern": like(text)}
    return _messages(tx.rows("search_literal", **asked, limit=limit, **_asked(filters)))


def _asked(filters: Filters) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, list | tuple) else value
        for name, value in asdict(filters).items()
    }


def _messages(rows: Sequence[tuple[Any, ...]]) -> tuple[int, list[Message]]:
    return (int(rows[0][0]) if rows else 0), [Message(*row[1:]) for row in rows]
