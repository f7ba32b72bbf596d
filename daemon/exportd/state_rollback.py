"""Undo an import of the earlier state: the order of effects (wiring).

Per conversation: its messages go in one transaction, then the archived files leave the
archive, then the store forgets where they lay, then the session file is written anew or
goes. A kill in between leaves what the next rollback finds and finishes.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog

from . import earlier_state
from .archive import Archive
from .earlier_state import Part
from .errors import TransientError
from .folders import Folders
from .formats import dedup_state
from .formats.text import escape, printable, unescape
from .identity import exact_id
from .packing import Packing
from .placement import unchanged
from .residence import reside, resolve
from .state_report import Progress, RolledBack
from .store import (
    Removed,
    SessionExport,
    SharedSegment,
    Store,
    Transaction,
    relocate,
    remove_segment,
)
from .teller import Teller

log = structlog.get_logger()


class Rollback:
    """Removes what a folder's log, or a beginning of it, brought."""

    def __init__(
        self,
        folders: Folders,
        store: Store,
        teller: Teller,
        folder: Path,
        stopping: threading.Event,
    ) -> None:
        self._folders = folders
        self._store = store
        self._archive = Archive(folders)
        self._teller = teller
        self._folder = folder
        self._stopping = stopping
        self._spare = folders.state / "import-state" / "other"

    def undo(self, parts: Sequence[Part], progress: Progress) -> RolledBack:
        """Conversation by conversation; one that shows other imports stays, with words."""
        exports = self._exports(parts)
        removed: Counter[str] = Counter()
        refused: list[str] = []
        moved = 0
        for number, part in enumerate(parts, 1):
            if self._stopping.is_set():
                raise TransientError("stopped before all was rolled back; run it again")
            own = [e for e in exports.get(part.conversation_id, ()) if _begins(part, e)]
            try:
                removed.update(self._remove(part, own))
            except SharedSegment as error:
                refused.append(self._refusal(part, error))
            else:
                moved += self._file_away(own)
            self._teller.tell()
            progress("Rolling back", number, len(parts))
        return RolledBack(dict(removed), moved, tuple(refused))

    def _exports(self, parts: Sequence[Part]) -> dict[str, list[SessionExport]]:
        ids = [part.conversation_id for part in parts]
        found: dict[str, list[SessionExport]] = {}
        for export in self._store.session_exports(dedup_state.NAME, ids):
            found.setdefault(export.session_id, []).append(export)
        return found

    def _remove(self, part: Part, own: list[SessionExport]) -> Counter[str]:
        stored = [export.export_id for export in own if export.state == "ingested"]
        memory_dir = escape(str(self._folders.memory))
        gone = self._store.run(lambda tx: _removed(tx, stored, memory_dir))
        # Told even where nothing was left to remove: a kill may have come before the telling.
        self._teller.add_changed(
            {exact_id(part.conversation_id), *(r.conversation_id for r in gone)}
        )
        removed: Counter[str] = Counter()
        for removal in gone:
            removed[removal.conversation_id] += removal.messages
        for conversation_id, messages in removed.items():
            log.info("import_state.removed", conversation_id=conversation_id, messages=messages)
        return removed

    def _file_away(self, own: list[SessionExport]) -> int:
        """The archived files go, so that a rebuild does not bring the messages back."""
        reason = (
            f"rolled back by 'exportd import-state --rollback {printable(str(self._folder))}'"
        )
        removed = [export for export in own if export.archive_name]
        for export in removed:
            path = self._folders.archive / unescape(export.archive_name or "")
            claim_id, name = uuid.uuid4(), path.name
            Packing(self._folders.archive).unpack(name)
            if path.exists():
                name = self._archive.failed_name(path, claim_id)
                self._archive.take_back(path, name, reason, datetime.now(UTC))
            memory_dir = escape(str(self._folders.memory))
            self._store.forget_archived(
                export.export_id, claim_id, export.name, escape(name), reason, memory_dir
            )
        return len(removed)

    def _refusal(self, part: Part, error: SharedSegment) -> str:
        """What to roll back first: the backup of the import that gave the other exports."""
        whose = printable(part.conversation_id)
        names = ", ".join(map(printable, error.others.values()))
        for backup in sorted(self._folders.backups.glob("import-state-*")):
            other = earlier_state.split(backup / earlier_state.LOG, self._spare)
            if any(found.sha256 in error.others for found in other.parts):
                return (
                    f"{whose} stays: its segment also shows {names}, of another import; roll "
                    f"that back first: exportd import-state --rollback {backup}"
                )
        return (
            f"{whose} stays: its segment also shows {names}, which no import into this "
            "memory folder brought; a rollback would remove messages of that file, too"
        )


def _removed(tx: Transaction, export_ids: list[int], memory_dir: str) -> list[Removed]:
    """The segments of these exports go, all or none; their neighbours move up."""
    segments = {s.segment_id for export in export_ids for s in tx.segments_of_export(export)}
    gone = [remove_segment(tx, segment, export_ids, memory_dir) for segment in sorted(segments)]
    left = tx.segments_of({removal.conversation_id for removal in gone})
    for first in {segment.conversation_id: segment for segment in left}.values():
        resolution = resolve(tx, first)
        tx.ensure_conversation(resolution.conversation_id)
        relocate(tx, reside(tx, first, resolution, unchanged(first)), first.segment_id)
    return gone


def _begins(part: Part, export: SessionExport) -> bool:
    """Whether an export is this part, or what it was before it grew."""
    if export.size_bytes > part.size_bytes:
        return False
    digest, left = hashlib.sha256(), export.size_bytes
    with part.path.open("rb") as file:
        while left and (chunk := file.read(min(left, 1 << 20))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest() == export.sha256
