"""What an operator reads: conversations in a list, and a part of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ..errors import TransientError
from ..listed import Part, Session
from ..models import RiskLevel, StoredConversation, StoredMessage
from ..risk import assess
from .facts import read_histories
from .transaction import Transaction

_Fetch = Callable[..., list[tuple[Any, ...]]]

_PAGE = 100  # messages; one of them may have megabytes


def sessions(
    tx: Transaction,
    wanted: Callable[[Session], bool],
    least: RiskLevel = RiskLevel.NONE,
    most: int | None = None,
) -> list[Session]:
    """Conversations of this risk at least, the newest first."""
    tx.execute("snapshot")
    rows = tx.rows("listed_sessions")
    found = sorted(
        filter(wanted, map(_session, rows)), key=lambda session: session.newest, reverse=True
    )
    if least is RiskLevel.NONE:
        return _assessed(tx, found[:most])
    levels = list(RiskLevel)
    bad = levels[levels.index(least) :]
    return [session for session in _assessed(tx, found) if session.risk.level in bad][:most]


def _session(row: tuple[Any, ...]) -> Session:
    name, title, messages, segments, first_at, last_at, formats, projects, at, export = row
    return Session(
        name,
        title,
        messages,
        segments,
        first_at,
        last_at,
        tuple(formats or ()),
        tuple(projects),
        at,
        export,
    )


def _assessed(tx: Transaction, found: list[Session]) -> list[Session]:
    histories = read_histories(tx.rows, [session.conversation_id for session in found])
    return [replace(one, risk=assess(histories[one.conversation_id])) for one in found]


def names(tx: Transaction) -> list[str]:
    """Every id and alias that a conversation can be asked for by."""
    return [name for (name,) in tx.rows("conversation_names")]


def excerpt(
    fetch: _Fetch, conversation: StoredConversation, part: Part
) -> Iterator[StoredMessage]:
    """The messages of a conversation that are wanted, page by page.

    ``fetch`` reads each in a transaction of its own; ``TransientError`` at the end when the
    conversation changed meanwhile.
    """
    conversation_id = conversation.conversation_id
    chosen = {
        "conversation_id": conversation_id,
        "roles": list(part.roles) or None,
        "kinds": list(part.kinds) or None,
    }
    first, end = 0, sum(conversation.roles.values())
    if part.around is not None:
        first = max(part.around - part.context, 0)
        end = min(part.around + part.context + 1, end)
    elif part.last is not None:
        found = fetch("last_message", count=part.last, **chosen)[0][0]
        first = end if found is None else found
    for start in range(first, end, _PAGE):
        stop = min(start + _PAGE, end)
        for row in fetch("shown_messages", first=start, last=stop - 1, **chosen):
            yield StoredMessage(*row)
    now = fetch("last_updated", conversation_id=conversation_id)
    if now != [(conversation.last_updated,)]:
        raise TransientError(f"{conversation_id} changed while it was read; read it again")
