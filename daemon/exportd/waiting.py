"""Files in the drop folder that are not taken yet: why, and which of them wait too long."""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .folders import SIDECAR, is_no_folder, is_sidecar
from .formats.text import escape, printable
from .intake.files import has_writer
from .overview import Waiting, WaitingFile
from .watcher import scan


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a file holds still before it is taken, and an empty or lonely one before

    it is set aside; in seconds.
    """

    settle_s: float
    empty_s: float

    def by_right_s(self, path: Path, status: os.stat_result) -> float:
        """How long a file may wait, by what it is, without anything being wrong."""
        return self.empty_s if not status.st_size or is_lonely(path) else 0

    def reason(self, path: Path, status: os.stat_result) -> str | None:
        """Why a file itself is not taken yet; None where it is not the file."""
        if is_lonely(path):
            export = printable(escape(path.name.removesuffix(SIDECAR)))
            return f"{export}, its export, has not come yet; {self._then}"
        if is_sidecar(path.name):
            return "it is taken together with its export"
        if stat.S_ISREG(status.st_mode) and not status.st_size:
            return f"it is empty; {self._then}"
        if has_writer(path):
            return "a program has it open for writing"
        if time.time() - status.st_mtime < self.settle_s:
            return "it was written to a moment ago"
        return None

    @property
    def _then(self) -> str:
        return f"it becomes a dead letter when {self.empty_s / 60:g} minutes old"


def is_lonely(path: Path) -> bool:
    """Whether it is a sidecar whose export is not there."""
    return is_sidecar(path.name) and not is_no_folder(path.with_suffix(""))


def survey(
    exports: Path, patience: Patience, in_flight: int, otherwise: str, most: int
) -> Waiting:
    """What waits; of the oldest so many with the reason.

    ``otherwise`` is why, where it is nothing about the file.
    """
    found = []
    for path in scan(exports):
        with suppress(OSError):  # gone meanwhile
            found.append((path, path.lstat()))
    found.sort(key=lambda one: one[1].st_ctime)
    files = [status.st_ctime for path, status in found if not is_sidecar(path.name)]
    oldest = [
        WaitingFile(
            escape(str(path.relative_to(exports))),
            datetime.fromtimestamp(status.st_ctime, UTC),
            patience.reason(path, status) or otherwise,
            status.st_size,
        )
        for path, status in found[:most]
    ]
    since = datetime.fromtimestamp(files[0], UTC) if files else None
    return Waiting(len(files), since, in_flight, len(found) - len(files), tuple(oldest))


def late_files(exports: Path, patience: Patience, after_s: float) -> int:
    """How many wait for longer than ``after_s`` beyond what they may by right.

    An empty file, and a sidecar without its export, may: in the end each becomes a dead letter
    with an alert of its own. One that lies there for longer still is not being taken.
    """
    now, count = time.time(), 0
    for path in scan(exports):
        with suppress(OSError):
            status = path.lstat()
            count += now - status.st_ctime > patience.by_right_s(path, status) + after_s
    return count
