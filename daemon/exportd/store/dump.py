"""The canonical dump: everything that is stored, and nothing that depends on arrival.

No ids of rows, no times of arrival, everything in a fixed order: the same set of exports
gives the same dump, in whatever order they came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..origin import developer, project
from .facts import read_risk

_Rows = Callable[..., list[tuple[Any, ...]]]


def read_dump(rows: _Rows, conversation_ids: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    """One record per conversation, then one per message of it, ready for JSON.

    ``conversation_ids`` None: all. Times are ISO 8601 in UTC.
    """
    for (conversation_id,) in rows("dumped_conversations", conversation_ids=conversation_ids):
        conversation = _conversation(rows, conversation_id)
        yield conversation
        yield from _messages(rows, conversation_id, conversation["metadata"] or {})


def _conversation(rows: _Rows, conversation_id: str) -> dict[str, Any]:
    total, metadata = rows("dumped_conversation", conversation_id=conversation_id)[0]
    aliases = rows("dumped_aliases", conversation_id=conversation_id)
    risk = read_risk(rows, conversation_id)
    exports: dict[int, list[dict[str, Any]]] = {}
    for ordinal, name, sha256, size_bytes, count, modified_at in rows(
        "dumped_exports", conversation_id=conversation_id
    ):
        exports.setdefault(ordinal, []).append(
            {
                "name": name,
                "sha256": sha256,
                "size_bytes": size_bytes,
                "message_count": count,
                "modified_at": _iso(modified_at),
            }
        )
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
                "exports": exports.get(ordinal, []),
            }
            for ordinal, first_index, count, starts_compacted, format_name in rows(
                "dumped_segments", conversation_id=conversation_id
            )
        ],
    }


def _messages(
    rows: _Rows, conversation_id: str, described: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Where a message has no directory of its own, it was said in the conversation's."""
    renderings: dict[int, list[dict[str, str]]] = {}
    for index, content_hash, content in rows(
        "dumped_renderings", conversation_id=conversation_id
    ):
        renderings.setdefault(index, []).append(
            {"content_hash": content_hash, "content": content}
        )
    for index, ordinal, *facts, occurred_at, metadata in rows(
        "dumped_messages", conversation_id=conversation_id
    ):
        yield {
            "type": "message",
            "conversation_id": conversation_id,
            "message_index": index,
            "segment": ordinal,
            **dict(zip(_MESSAGE, facts, strict=True)),
            "occurred_at": _iso(occurred_at),
            **_origin({**described, **(metadata or {})}),
            "metadata": metadata,
            "renderings": renderings.get(index, []),
        }


def _origin(facts: Mapping[str, Any]) -> dict[str, str | None]:
    cwd, repository = (v if isinstance(v := facts.get(k), str) else None for k in _ORIGIN)
    return {"project": project(cwd, repository), "developer": developer(cwd)}


_ORIGIN = ("cwd", "repository")
_MESSAGE = ("role", "kind", "content", "content_hash", "source_id", "source_index", "in_flight")


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
