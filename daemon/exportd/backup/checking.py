"""A backup, read back: whether every byte is what its list says."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..archived import read_raw
from ..formats.text import printable
from . import listing as lists
from .copying import ReadTrouble, check_stop, chunks
from .folder import Backup
from .listing import Entry

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

# Told how many files were read, and of how many.
Show = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Damage:
    """A file of a backup that is not what it was; ``path`` is escaped."""

    path: str
    found: str


class Reader:
    """Reads backups; what is linked between them is read once."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._hashes: dict[tuple[int, int], str] = {}

    def damages(self, backup: Backup, show: Show) -> list[Damage]:
        return list(self._damages(backup, show))

    def _damages(self, backup: Backup, show: Show) -> Iterator[Damage]:
        yield from _list_damage(backup)
        entries = [(lists.DUMP, backup.listing.database)]
        entries += ((f"{lists.MEMORY}/{e.path}", e) for e in backup.listing.files)
        for number, (path, entry) in enumerate(entries, 1):
            place = backup.path.joinpath(*Entry(path, 0, "").parts)
            found = self.hash(place)
            if found != entry.sha256:
                if len(found) == 64 and place.lstat().st_size != entry.size_bytes:
                    found = f"{place.lstat().st_size:,} bytes, not {entry.size_bytes:,}"
                elif len(found) == 64:
                    found = "other bytes than were written"
                yield Damage(path, found)
            show(number, len(entries))

    def hash(self, path: Path) -> str:
        """SHA-256 in hex; or, in words, why there is none."""
        try:
            with os.fdopen(os.open(path, _READ), "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    return "no regular file"
                key = status.st_dev, status.st_ino
                if key not in self._hashes:
                    digest = hashlib.sha256()
                    for chunk in chunks(file):
                        check_stop(self._stopping)
                        digest.update(chunk)
                    self._hashes[key] = digest.hexdigest()
                return self._hashes[key]
        except FileNotFoundError:
            return "no such file"
        except (OSError, ReadTrouble) as error:
            return f"cannot be read ({getattr(error, 'strerror', None) or error})"


def read_back(path: Path, *, compare: bool, stopping: threading.Event) -> str | None:
    """Make a new file durable; its SHA-256, from the disk and not from memory, if asked."""
    with path.open("rb", buffering=0) as file:
        os.fsync(file.fileno())
        if not compare:
            return None
        with suppress(OSError):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return Reader(stopping).hash(path)


def _list_damage(backup: Backup) -> Iterator[Damage]:
    """The list and the sums vouch for each other."""
    listed, sums = (read_raw(backup.path, name) for name in (lists.NAME, lists.SUMS))
    if isinstance(sums, str):
        yield Damage(lists.SUMS, sums)
    elif isinstance(listed, bytes):
        digest = hashlib.sha256(listed).hexdigest()
        if sums != lists.sums(backup.listing, digest):
            of_list = sums.split(b"\n", 1)[0] == f"{digest}  {lists.NAME}".encode()
            name = lists.SUMS if of_list else f"{lists.NAME} or {lists.SUMS}"
            yield Damage(name, "other bytes than were written")


def told(damages: list[Damage], most: int = 10) -> str:
    """One line for each of the first."""
    lines = [f"{printable(one.path)}: {printable(one.found)}" for one in damages[:most]]
    if len(damages) > most:
        lines.append(f"… and {len(damages) - most:,} more; exportd backup --check lists all")
    return "\n".join(lines)
