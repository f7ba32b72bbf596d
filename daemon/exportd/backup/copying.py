"""Files into a backup: copied and hashed, or linked where an earlier backup has them."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from ..errors import DiskTrouble, TransientError
from ..folders import free_bytes, fsync_directory, is_sidecar
from ..formats.text import escape
from .listing import MEMORY, Entry
from .tree import Found

CHUNK_BYTES = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_GONE = (FileNotFoundError, NotADirectoryError)


class Stopped(TransientError):
    """A signal asked for the end."""


def check_stop(stopping: threading.Event) -> None:
    if stopping.is_set():
        raise Stopped("stopped by a signal before it was done; run it again")


class Earlier:
    """The files of an earlier backup, to be linked to."""

    def __init__(self, folder: Path, files: tuple[Entry, ...]) -> None:
        self._memory = folder / MEMORY
        self._by_path = {entry.path: entry for entry in files}
        self._by_content = {(e.sha256, e.size_bytes): e for e in files}

    def same(self, path: str, status: os.stat_result) -> Entry | None:
        """The entry of the very file that lies there now, unchanged since."""
        entry = self._by_path.get(path)
        return entry if entry and entry == _as_now(entry, status) else None

    def place(self, sha256: str, size_bytes: int) -> Path | None:
        """Where a file of a content lies; None when none does, or not as it was written."""
        entry = self._by_content.get((sha256, size_bytes))
        if entry is None:
            return None
        place = self._memory.joinpath(*entry.parts)
        with suppress(OSError):
            status = place.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_size == size_bytes:
                return place
        return None


class Copier:
    """What was taken so far into ``target``, the ``memory/`` of a backup in the making."""

    def __init__(
        self,
        target: Path,
        earlier: Earlier | None,
        reserve_bytes: int,
        stopping: threading.Event,
    ) -> None:
        self.entries: dict[str, Entry] = {}
        self.skipped: dict[str, str] = {}
        self.written: set[str] = set()  # paths whose bytes are new in the backup's folder
        self._earlier = earlier
        self._target = target
        self._reserve_bytes = reserve_bytes
        self._stopping = stopping

    def take(self, found: Found) -> bool:
        """Copy or link it, unless it is taken as it is; False when nothing was to do."""
        check_stop(self._stopping)
        path = escape("/".join(found.parts))
        if found.unfit is not None or found.status is None:
            self.skipped[path] = found.unfit or ""
            return False
        known = self.entries.get(path)
        if known and known == _as_now(known, found.status):
            return False
        try:
            self._forget(path)
            entry = self._linked(path, found.status) or self._copied(path, found)
        except _GONE:
            return False  # moved on: it is seen again in its next place
        if entry:
            self.entries[path] = entry
        return entry is not None

    def place(self, path: str) -> Path:
        return self._target.joinpath(*Entry(path, 0, "").parts)

    def drop_moved(self, is_there: Callable[[Entry], bool]) -> None:
        """Forget a file seen on its way that was seen again in its last place.

        ``is_there``: whether it still lies where it was seen first.
        """
        final = {e.sha256 for e in self.entries.values() if not _is_on_its_way(e.path)}
        gone = [
            entry
            for entry in self.entries.values()
            if _is_on_its_way(entry.path) and not is_there(entry)
        ]
        moved = {entry.path for entry in gone if entry.sha256 in final}
        moved |= {
            e.path
            for e in gone
            if is_sidecar(e.path) and e.path.removesuffix(".session") in moved
        }
        for path in moved:
            self._forget(path)

    def rename(self, old: str, new: str) -> None:
        """Give a file another place in the backup."""
        place = self.place(new)
        place.parent.mkdir(parents=True, exist_ok=True)
        self.place(old).rename(place)
        self.entries[new] = replace(self.entries.pop(old), path=new, stamp="")
        if old in self.written:
            self.written = self.written - {old} | {new}

    def write(self, path: str, content: bytes) -> None:
        """A small file that is made for the backup."""
        place = self.place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        self.entries[path] = Entry(path, len(content), sha256, place.stat().st_mtime_ns)
        self.written.add(path)

    def _forget(self, path: str) -> None:
        if self.entries.pop(path, None):
            self.place(path).unlink()
            self.written.discard(path)

    def _linked(self, path: str, status: os.stat_result) -> Entry | None:
        entry = self._earlier.same(path, status) if self._earlier else None
        if entry and self._link(entry):
            return entry
        return None

    def _link(self, entry: Entry) -> bool:
        place = self._earlier and self._earlier.place(entry.sha256, entry.size_bytes)
        if not place:
            return False
        target = self.place(entry.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(place, target, follow_symlinks=False)
        except OSError:
            return False  # no links here, or no more of this file: a copy does as well
        return True

    def _copied(self, path: str, found: Found) -> Entry | None:
        target = self.place(path)
        try:
            source = os.fdopen(os.open(found.path, _READ), "rb", buffering=0)
        except _GONE:
            raise
        except OSError as error:
            self.skipped[path] = f"cannot be read ({error.strerror})"
            return None
        with source:
            status = os.fstat(source.fileno())
            if not stat.S_ISREG(status.st_mode):
                self.skipped[path] = "a special file"
                return None
            self._check_space(status.st_size)
            try:
                sha256, size = copy(source, target, status.st_mtime_ns, self._stopping)
            except ReadTrouble as error:
                self.skipped[path] = f"cannot be read ({error})"
                return None
        entry = replace(_as_now(Entry(path, size, sha256), status), size_bytes=size)
        self.skipped.pop(path, None)
        if self._earlier and self._earlier.place(sha256, size):
            target.unlink()  # moved, renamed, or touched: the bytes are there
            if self._link(entry):
                return entry
            return self._copied_anew(path, found)
        self.written.add(path)
        return entry

    def _copied_anew(self, path: str, found: Found) -> Entry | None:
        self._earlier = None  # links are refused there
        return self._copied(path, found)

    def _check_space(self, size_bytes: int) -> None:
        if free_bytes(self._target) - size_bytes < self._reserve_bytes:
            raise DiskTrouble(
                f"the disk of {self._target.parent.parent} has no room for the backup beside "
                f"the {self._reserve_bytes:,} bytes that stay free (disk_reserve_bytes); no "
                "backup was made: make room, or give another folder"
            )


class ReadTrouble(Exception):
    """The original, not the copy, is what the disk refuses."""


def copy(
    source: BinaryIO, target: Path, modified_ns: int, stopping: threading.Event
) -> tuple[str, int]:
    """Copy an open file to a new one of the same time; returns SHA-256 and size.

    ``ReadTrouble`` or ``DiskTrouble`` say which of the two it was; nothing is left then.
    """
    digest, size = hashlib.sha256(), 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb", buffering=0) as file:
            for chunk in chunks(source):
                check_stop(stopping)
                digest.update(chunk)
                size += len(chunk)
                _write(file, chunk)
        os.utime(target, ns=(modified_ns, modified_ns))
    except OSError as error:
        with suppress(OSError):
            target.unlink()
        raise DiskTrouble(f"{target}: cannot be written ({error.strerror})") from error
    except BaseException:
        with suppress(OSError):
            target.unlink()
        raise
    return digest.hexdigest(), size


def chunks(file: BinaryIO) -> Iterator[bytes]:
    try:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise ReadTrouble(error.strerror) from error


def _write(file: BinaryIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


def make_durable(folder: Path) -> None:
    """All folders below; files are made durable one by one, when they are read back."""
    for place, _, _ in os.walk(folder):
        fsync_directory(Path(place))


def _as_now(entry: Entry, status: os.stat_result) -> Entry:
    """The entry of a file with the same bytes, as it lies there now."""
    stamp = f"{status.st_ino}-{status.st_ctime_ns}"
    return replace(
        entry, size_bytes=status.st_size, modified_ns=status.st_mtime_ns, stamp=stamp
    )


def _is_on_its_way(path: str) -> bool:
    return path.startswith(("exports/", ".exportd/inflight/"))
