"""A ``.session`` file that came without its export: before it, or after.

After: the export that was dropped under the name belongs to another conversation now.
Before: it waits a while for its export, whose claim takes it along.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from .archive import Archive
from .errors import PermanentError, TransientError
from .folders import SIDECAR, Folders
from .formats.text import escape, printable
from .intake.sidecar import read_sidecar
from .manifest import Manifest, drop_record
from .models import Fate, Report
from .residence import assign
from .store import Store

# Of so many waiting sidecars it is remembered when they came.
_MAX_REMEMBERED = 10_000


class LateSidecars:
    """The sidecars of one memory folder that are alone; ``timeout_s`` may one wait."""

    def __init__(
        self,
        folders: Folders,
        store: Store,
        archive: Archive,
        manifest: Manifest,
        timeout_s: float,
    ) -> None:
        self._memory_dir = escape(str(folders.memory))
        self._store = store
        self._archive = archive
        self._manifest = manifest
        self._timeout_s = timeout_s
        self._came_at: dict[tuple[Path, int, int], float] = {}

    def assign(self, path: Path) -> Report | None:
        """Do what a sidecar says of an export that was dropped before; None without one."""
        try:
            session_id, size_bytes = read_sidecar(path), path.lstat().st_size
        except (PermanentError, FileNotFoundError):
            return None
        name, memory_dir = escape(path.name.removesuffix(SIDECAR)), self._memory_dir
        found = self._store.run(lambda tx: assign(tx, name, memory_dir, session_id))
        if found is None:
            return None
        self._archive.check()
        self._manifest.append(drop_record(found.sha256, name, found.modified_at, session_id))
        path.unlink(missing_ok=True)
        return Report(
            escape(path.name),
            Fate.INGESTED if found.changed else Fate.UNCHANGED,
            size_bytes,
            reason=f"it names the conversation of {name}, which was dropped before",
            conversation_id=found.conversation_id,
            also_changed=tuple(sorted(found.changed)),
        )

    def wait(self, path: Path) -> None:
        """Raise ``TransientError`` for a while, from when the sidecar came into the folder.

        By its own time at the first look alone: the clock may be set meanwhile. One that
        says nothing clear has nothing to wait for.
        """
        with suppress(FileNotFoundError, PermanentError):
            read_sidecar(path)
            status, now = path.lstat(), time.monotonic()
            if len(self._came_at) >= _MAX_REMEMBERED:
                self._came_at.clear()
            came_at = self._came_at.setdefault(
                (path, status.st_ino, status.st_mtime_ns),
                now - max(time.time() - status.st_ctime, 0),
            )
            if now - came_at < self._timeout_s:
                name = printable(escape(path.name.removesuffix(SIDECAR)))
                raise TransientError(f"{name}, its export, has not come yet")
