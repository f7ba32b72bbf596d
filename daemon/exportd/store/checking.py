"""What ``exportd verify`` reads, as facts of the core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..checks.facts import (
    ConversationRow,
    ExportRow,
    MessageRow,
    Rendering,
    Run,
    SegmentRow,
)

_Rows = Callable[..., list[tuple[Any, ...]]]


def read_conversations(rows: _Rows) -> list[ConversationRow]:
    return [ConversationRow(*row) for row in rows("checked_conversations")]


def read_segments(rows: _Rows) -> list[SegmentRow]:
    """All segments, in the order of conversations and, within one, of ordinals."""
    return [SegmentRow(*row) for row in rows("checked_segments")]


def read_runs(rows: _Rows) -> list[Run]:
    """How the messages lie, reckoned from the messages alone."""
    return [Run(*row) for row in rows("checked_runs")]


def read_messages(rows: _Rows, run: Run) -> list[MessageRow]:
    """The messages of one segment with their renderings, in order."""
    where = {
        "conversation_id": run.conversation_id,
        "segment_id": run.segment_id,
        "lowest": run.lowest,
        "highest": run.highest,
    }
    renderings: dict[int, list[Rendering]] = {}
    for message_id, content_hash, text in rows("checked_renderings", **where):
        renderings.setdefault(message_id, []).append(Rendering(content_hash, text))
    return [
        _message(tuple(renderings.get(message_id, ())), *facts)
        for message_id, *facts in rows("checked_messages", **where)
    ]


def _message(renderings: tuple[Rendering, ...], *facts: Any) -> MessageRow:
    *before, metadata, in_flight, source_index = facts
    known = metadata if isinstance(metadata, dict) else {"": metadata}
    return MessageRow(*[*before, known, in_flight, source_index, renderings])


def read_exports(rows: _Rows, segment: SegmentRow) -> list[ExportRow]:
    """The ingested exports that a segment, or only the log, says are its own."""
    found = rows(
        "checked_segment_exports",
        conversation_id=segment.conversation_id,
        segment_id=segment.segment_id,
    )
    return _exports(rows, found, segment.segment_id)


def read_loose_exports(rows: _Rows) -> Iterator[ExportRow]:
    """Ingested exports that neither a segment nor the log knows."""
    for export_id in rows("checked_loose_exports"):
        yield from _exports(rows, [export_id])


def knows_content(rows: _Rows, sha256: str) -> bool:
    """Whether an export of a content is there, whatever became of it."""
    return bool(rows("checked_content", sha256=sha256))


def was_purged(rows: _Rows, sha256: str) -> bool:
    """Whether a content was removed by a purge."""
    return bool(rows("is_purged", sha256=sha256)[0][0])


def read_export(rows: _Rows, export_id: int) -> ExportRow | None:
    """One ingested export as it is now; None when it is gone."""
    return next(iter(_exports(rows, [(export_id,)])), None)


def read_holders(rows: _Rows, export_id: int) -> list[tuple[int, str, str]]:
    """The containers that an export came in: their ids, its places, and their formats."""
    return [tuple(row) for row in rows("checked_holders", export_id=export_id)]


def read_content(rows: _Rows, sha256: str) -> ExportRow | None:
    """The ingested export of a content."""
    return next(iter(_exports(rows, rows("checked_content", sha256=sha256))), None)


def _exports(
    rows: _Rows, export_ids: Sequence[tuple[Any, ...]], segment_id: int | None = None
) -> list[ExportRow]:
    ids = [export_id for (export_id,) in export_ids]
    found = rows("checked_exports", export_ids=ids, segment_id=segment_id)
    return [_export(*row) for row in found]


def _export(*row: Any) -> ExportRow:
    *facts, memory_dirs, names, first, count = row
    link = None if first is None else (first, count)
    return ExportRow(*[*facts, tuple(memory_dirs), tuple(names), link])


def read_ill_logged(rows: _Rows) -> list[tuple[str, int, int, int]]:
    """Exports that deduplication_log does not count as they are: name, messages, rows of
    the log, messages that these count."""
    return [(n, m, log, int(seen)) for n, m, log, seen in rows("checked_log")]


def read_unsearchable(rows: _Rows) -> int:
    """Messages that are neither in the search index nor waiting for it."""
    return int(rows("unsearchable")[0][0])


def read_export_count(rows: _Rows) -> int:
    return int(rows("checked_export_count")[0][0])


def read_known_names(rows: _Rows, names: Sequence[str]) -> set[str]:
    """Those of ``names`` that an export is archived under."""
    return {name for (name,) in rows("checked_archive_names", names=list(names))}


def read_told(
    rows: _Rows, memory_dir: str | None, conversation_ids: Sequence[str]
) -> list[str]:
    """Those conversations of which a memory folder, or any, should have a session file."""
    found = rows("checked_told", memory_dir=memory_dir, conversation_ids=list(conversation_ids))
    return [conversation_id for (conversation_id,) in found]


def read_dead_letters(rows: _Rows, memory_dir: str | None) -> list[tuple[str, str]]:
    """Dead letters of a folder, or of all, that were not ingested since: both their names."""
    found = rows("checked_dead_letters", memory_dir=memory_dir)
    return [(original_name, failed_name) for original_name, failed_name in found]
