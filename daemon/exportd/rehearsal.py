"""What would become of files, without anything that stays: ``exportd ingest --dry-run``.

The files take the road of a drop into a store that commits nothing, one after the other,
so that each is seen in the light of those before it. They stay where they are.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from .errors import PermanentError
from .file_bytes import HELD_BYTES, FileBytes
from .folders import Folders
from .formats.text import escape
from .intake.files import opened, read_chunks
from .limits import Limits
from .models import Fate, Raw, Report
from .store import Attempt, Drop, Store
from .storing import Storing


def rehearse(
    store: Store,
    folders: Folders,
    limits: Limits,
    files: Iterable[Path],
    session_id: str | None = None,
) -> Iterator[Report]:
    """The fate of each file, in order; ``store`` is a rehearsal.

    ``TransientError`` where the database or the disk does not play along.
    """
    storing = Storing(store, limits, _refund)
    for file in files:
        started = time.monotonic()
        report = _rehearsed(storing, store, _drop(folders, file, session_id), file)
        yield replace(report, duration_s=time.monotonic() - started)


def _refund(_attempt: Attempt, _error: Exception) -> None:
    """Nothing is counted, so nothing is owed."""


def _drop(folders: Folders, file: Path, session_id: str | None) -> Drop:
    name, memory_dir = escape(file.name), escape(str(folders.memory))
    return Drop(uuid.uuid4(), name, memory_dir, explicit_id=session_id and escape(session_id))


def _rehearsed(storing: Storing, store: Store, drop: Drop, file: Path) -> Report:
    try:
        raw, sha256, modified_at = _read(file)
        if not len(raw):
            return Report(drop.name, Fate.DEFERRED, 0, "it is empty")
        drop = replace(drop, sha256=sha256, size_bytes=len(raw), modified_at=modified_at)
        return storing.store(drop, raw, store.begin(drop))
    except PermanentError as error:
        return Report(drop.name, Fate.DEAD_LETTER, drop.size_bytes, str(error))


def _read(file: Path) -> tuple[Raw, str, datetime]:
    """The content, held if it is not large, with its SHA-256 and its time."""
    digest, held = hashlib.sha256(), bytearray()
    with opened(file) as source:
        status = file.stat()
        is_large = status.st_size > HELD_BYTES
        for chunk in read_chunks(source):
            digest.update(chunk)
            if not is_large:
                held += chunk
    raw = FileBytes(file, status.st_size) if is_large else bytes(held)
    return raw, digest.hexdigest(), datetime.fromtimestamp(status.st_mtime, UTC)
