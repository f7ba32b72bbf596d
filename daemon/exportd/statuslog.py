"""The status log ``export-dedup-status.txt``: appended, durable, rotated by size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from .crash import reach
from .errors import DiskTrouble
from .folders import replace_file


class StatusLog:
    """A file of reports; older ones move to ``NAME.1`` … ``NAME.<backups>``."""

    def __init__(self, path: Path, max_bytes: int, backups: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups

    def append(self, report: str) -> None:
        """Add a report; raises ``OSError`` when the disk refuses."""
        entry = f"{report}\n".encode()
        if self._size() + len(entry) > self._max_bytes:
            self._rotate()
            reach("tell.rotated")
        with _private(self._path) as file:
            before = file.tell()
            try:
                file.write(entry)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(self._path, before)  # no half report
                raise
        reach("tell.logged")

    def rewrite(self, change: Callable[[str], str]) -> None:
        """Change what was written, rotated logs included; for a purge alone."""
        for path in (self._path, *self._path.parent.glob(f"{self._path.name}.[0-9]*")):
            try:
                before = path.read_text(encoding="utf-8", errors="surrogateescape")
                after = change(before)
                if after != before:
                    replace_file(path, after.encode("utf-8", "surrogateescape"), 0o600)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise DiskTrouble(f"{path}: cannot be written ({error.strerror})") from error

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _rotate(self) -> None:
        for number in range(self._backups, 0, -1):
            older = self._numbered(number - 1) if number > 1 else self._path
            if older.exists():
                older.replace(self._numbered(number))
        if not self._backups:
            self._path.unlink(missing_ok=True)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _private(path: Path) -> BinaryIO:
    """Open to append; a new file is for its owner only, for it names files and sessions."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    return os.fdopen(descriptor, "ab")


def read_lines(path: Path) -> Iterator[str]:
    """All lines, the rotated ones first; what is no text stands escaped."""
    rotated = {
        int(end): found
        for found in path.parent.glob(f"{path.name}.*")
        if (end := found.name.removeprefix(f"{path.name}.")).isascii() and end.isdigit()
    }
    for place in (*(rotated[number] for number in sorted(rotated, reverse=True)), path):
        with suppress(FileNotFoundError), place.open(errors="backslashreplace") as file:
            yield from file
