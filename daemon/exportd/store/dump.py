"""The canonical dump: everything that is stored, and nothing that depends on arrival.

No ids of rows, no times of arrival, everything in a fixed order: the same files, their names
and times included, give the same dump, in whatever order they came.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from ..dumped import (
    ConversationRecord,
    Dumped,
    ExportRecord,
    MessageRecord,
    Outline,
    RenderingRecord,
)
from ..origin import developer, project
from .facts import read_risk

_Rows = Callable[..., list[tuple[Any, ...]]]

_PAGE = 100  # messages; one of them may have megabytes


def read_dump(rows: _Rows, conversation_ids: Sequence[str] | None) -> Iterator[Dumped]:
    """One conversation after the other, its messages page by page, ready for JSON.

    ``conversation_ids`` None: all. Times are ISO 8601 in UTC.
    """
    for (conversation_id,) in rows("dumped_conversations", conversation_ids=conversation_ids):
        conversation = _conversation(rows, conversation_id)
        yield Dumped(
            conversation,
            _messages(rows, conversation_id, conversation["metadata"]),
            partial(_outline, rows, conversation_id),
        )


def _conversation(rows: _Rows, conversation_id: str) -> ConversationRecord:
    total, metadata = rows("dumped_conversation", conversation_id=conversation_id)[0]
    aliases = rows("dumped_aliases", conversation_id=conversation_id)
    risk = read_risk(rows, conversation_id)
    exports = _exports(rows, conversation_id)
    return {
        "type": "conversation",
        "conversation_id": conversation_id,
        "total_messages": total,
        "metadata": metadata,
        "aliases": [alias for (alias,) in aliases],
        "risk": {"level": risk.level, "reasons": list(risk.reasons)},
        "segments": [
            {
                "ordinal": ordinal,
                "first_index": first_index,
                "message_count": count,
                "starts_compacted": starts_compacted,
                "format": format_name,
                "exports": exports[ordinal],
            }
            for ordinal, first_index, count, starts_compacted, format_name in rows(
                "dumped_segments", conversation_id=conversation_id
            )
        ],
    }


def _exports(rows: _Rows, conversation_id: str) -> defaultdict[int, list[ExportRecord]]:
    """Those of each segment, by its ordinal."""
    found: defaultdict[int, list[ExportRecord]] = defaultdict(list)
    for ordinal, name, sha256, size_bytes, count, modified_at in rows(
        "dumped_exports", conversation_id=conversation_id
    ):
        found[ordinal].append(
            {
                "name": name,
                "sha256": sha256,
                "size_bytes": size_bytes,
                "message_count": count,
                "modified_at": _iso(modified_at),
            }
        )
    return found


def _messages(
    rows: _Rows, conversation_id: str, described: Mapping[str, Any]
) -> Iterator[MessageRecord]:
    after = -1
    while page := rows(
        "dumped_messages", conversation_id=conversation_id, after=after, most=_PAGE
    ):
        first, last = page[0][0], page[-1][0]
        renderings = _renderings(rows, conversation_id, first, last)
        after = last
        page.reverse()
        while page:  # each is let go when it was handed on
            yield _message(conversation_id, described, page.pop(), renderings)


def _renderings(
    rows: _Rows, conversation_id: str, first: int, last: int
) -> defaultdict[int, list[RenderingRecord]]:
    """Those of each message of a page, by its index."""
    found: defaultdict[int, list[RenderingRecord]] = defaultdict(list)
    for index, content_hash, content in rows(
        "dumped_renderings", conversation_id=conversation_id, first=first, last=last
    ):
        found[index].append({"content_hash": content_hash, "content": content})
    return found


def _message(
    conversation_id: str,
    described: Mapping[str, Any],
    row: tuple[Any, ...],
    renderings: Mapping[int, list[RenderingRecord]],
) -> MessageRecord:
    """Where a message has no directory of its own, it was said in the conversation's."""
    index, ordinal, role, kind, content, content_hash, source_id, source_index, *rest = row
    in_flight, occurred_at, metadata = rest
    cwd, repository = _origin({**described, **metadata})
    return {
        "type": _MESSAGE,
        "conversation_id": conversation_id,
        "message_index": index,
        "segment": ordinal,
        "role": role,
        "kind": kind,
        "content": content,
        "content_hash": content_hash,
        "source_id": source_id,
        "source_index": source_index,
        "in_flight": in_flight,
        "occurred_at": _iso(occurred_at),
        "project": project(cwd, repository),
        "developer": developer(cwd),
        "metadata": metadata,
        "renderings": renderings.get(index, []),
    }


_MESSAGE: Literal["message"] = "message"


def _origin(facts: Mapping[str, Any]) -> tuple[str | None, str | None]:
    cwd, repository = facts.get("cwd"), facts.get("repository")
    return (
        cwd if isinstance(cwd, str) else None,
        repository if isinstance(repository, str) else None,
    )


def _outline(rows: _Rows, conversation_id: str) -> Outline:
    roles = rows("conversation_roles", conversation_ids=[conversation_id])
    prompts = rows("dumped_prompts", conversation_id=conversation_id)
    return Outline(
        prompts=tuple((index, beginning) for index, beginning in prompts),
        roles={role: count for _, role, count, *_ in roles},
        first_at=min((first for *_, first, _, _ in roles if first), default=None),
        last_at=max((last for *_, last, _ in roles if last), default=None),
    )


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
