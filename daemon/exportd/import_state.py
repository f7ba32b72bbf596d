"""Take over the earlier scripts' state, and undo that (wiring).

Their log is raw material like any export, so it takes the same road: the folder is backed
up, the log is taken apart by conversation, and each part is dropped and ingested like a
file that a person drops. So an import is all or nothing per conversation, doing it twice
stores nothing twice, and the archive can rebuild what it brought.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from . import earlier_state
from .archive import Archive
from .earlier_state import Log, Part
from .errors import DiskTrouble, TransientError
from .folders import Folders
from .formats import dedup_state
from .formats.text import escape, printable
from .lifecycle import database, held
from .models import Fate, Report
from .once import take
from .render.wording import some
from .settings import Settings
from .state_report import Progress, RolledBack, TakenOver, missing, sides, waiting
from .state_rollback import Rollback
from .statuslog import StatusLog
from .store import Drop, Store
from .teller import Teller
from .workplace import Workplace


def take_over(
    folder: Path, settings: Settings, stopping: threading.Event, progress: Progress
) -> TakenOver:
    """Store what an earlier state holds; the folder itself is only read.

    Raises ``PermanentError`` where it is no such folder, ``FolderInUse`` while a daemon
    works in the memory folder.
    """
    earlier_state.log_of(folder)
    with _work(settings, stopping) as work:
        backup = earlier_state.back_up(folder, work.folders.backups)
        parted = work.split(backup.folder, progress)
        reports = list(_told(take(work.place, work.dropped(parted.parts)), parted, progress))
        claims = earlier_state.claims(backup.folder)
        stored = work.store.shown([part.sha256 for part in parted.parts])
        return TakenOver(
            backup=str(backup.folder),
            backup_is_new=backup.is_new,
            lines=parted.lines,
            blank_lines=parted.blank_lines,
            corrupt_lines=len(parted.faults),
            dead_letter=work.set_aside(parted, folder),
            sides=tuple(sides(parted.parts, reports, claims, stored)),
            warnings=(
                *(f"{name} is no regular file: not backed up" for name in backup.skipped),
                *claims.troubles,
                *missing(parted.parts, claims),
            ),
            waiting=tuple(waiting(parted.parts, reports)),
        )


def roll_back(
    folder: Path, settings: Settings, stopping: threading.Event, progress: Progress
) -> RolledBack:
    """Undo every import of an earlier state, of what it was before it grew as well.

    What such an import left half-way arrives first, so that it can be removed whole. The
    archived files become dead letters. A conversation that holds exports of another import
    stays as it is, with words that say what to roll back first.
    """
    earlier_state.log_of(folder)
    with _work(settings, stopping) as work:
        parted = work.split(folder, progress)
        left = (work.folders.exports / part.name for part in parted.parts)
        for report in take(work.place, filter(Path.exists, left)):
            if report.fate is Fate.DEFERRED:
                raise TransientError(f"{printable(report.name)}: {printable(report.reason)}")
        return work.rollback(folder).undo(parted.parts, progress)


@contextmanager
def _work(settings: Settings, stopping: threading.Event) -> Iterator[_Work]:
    folders = Folders(settings.memory_dir.absolute())
    folders.create()
    with held(folders), database(settings, folders) as found:
        work = _Work(
            settings, folders, Store(found.url, settings.database.timeout, stopping), stopping
        )
        work.place = Workplace(settings, folders, found, stopping)
        try:
            yield work
        finally:
            work.store.close()
            shutil.rmtree(work.parts_folder, ignore_errors=True)


class _Work:
    """One memory folder and its database, with a place for the parts of a log."""

    place: Workplace

    def __init__(
        self, settings: Settings, folders: Folders, store: Store, stopping: threading.Event
    ) -> None:
        self.folders = folders
        self.store = store
        self._stopping = stopping
        self.parts_folder = folders.state / "import-state"
        self._archive = Archive(folders)
        status_log = StatusLog(
            folders.status_log, settings.status_log_max_bytes, settings.status_log_backups
        )
        self._teller = Teller(folders, store, status_log)

    def rollback(self, folder: Path) -> Rollback:
        return Rollback(self.folders, self.store, self._teller, folder, self._stopping)

    def split(self, folder: Path, progress: Progress) -> Log:
        path = earlier_state.log_of(folder)
        size_bytes, read = path.stat().st_size, 0

        def told(line_bytes: int) -> None:
            nonlocal read
            if self._stopping.is_set():
                raise TransientError("stopped while the log was read; run it again")
            read += line_bytes
            progress("Reading the log", read, size_bytes)

        return earlier_state.split(path, self.parts_folder, told)

    def dropped(self, parts: Iterable[Part]) -> Iterator[Path]:
        """Each part in the drop folder, one after the other, as they are asked for."""
        for part in parts:
            place = self.folders.exports / part.name
            try:
                self._drop(part, place)
            except OSError as error:
                raise DiskTrouble(f"{place}: cannot be written ({error.strerror})") from error
            yield place

    def _drop(self, part: Part, place: Path) -> None:
        """What was rolled back before lies among the dead letters, and moves back."""
        aside = self.folders.failed / part.name
        if os.path.lexists(place):
            if _sha256(place) != part.sha256:
                raise DiskTrouble(f"{place} is in the way; move it elsewhere and repeat")
        elif _sha256(aside) == part.sha256:
            aside.rename(place)
            aside.with_name(f"{part.name}.reason.txt").unlink(missing_ok=True)
        else:
            part.path.rename(place)

    def set_aside(self, parted: Log, folder: Path) -> str:
        """Corrupt lines become one dead letter, once; returns where it lies, or nothing."""
        if not parted.faults:
            return ""
        part, now = parted.corrupt, datetime.now(UTC)
        name = f"dedup-state-{part.sha256[:12]}-corrupt-lines.jsonl"
        memory = escape(str(self.folders.memory))
        claim_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{memory}\0{part.sha256}")
        drop = Drop(claim_id, name, memory, part.sha256, part.size_bytes, now)
        are = "is no message" if len(parted.faults) == 1 else "are no messages"
        reason = (
            f"{len(parted.faults)} of {some(parted.lines, 'line')} of {earlier_state.LOG} in "
            f"{printable(str(folder))} {are}: {dedup_state.summary(parted.faults)}"
        )
        attempt = self.store.begin(drop)
        self.store.add_dead_letter(drop, attempt.export_id, name, reason, "MalformedExport")
        if _sha256(self.folders.failed / name) != part.sha256:
            with part.path.open("rb") as file:
                os.fsync(file.fileno())
            self._archive.fail(part.path.rename(part.path.with_name(name)), name, reason, now)
        return f"{self.folders.failed.name}/{name}"


def _told(reports: Iterable[Report], parted: Log, progress: Progress) -> Iterator[Report]:
    names = {escape(part.name) for part in parted.parts}
    done = 0
    for report in reports:
        done += report.name in names
        progress("Storing conversations", done, len(names))
        yield report


def _sha256(path: Path) -> str | None:
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
