"""The earlier scripts' state on disk: a folder with a log and two JSON files.

``conversation_log.jsonl`` is the only one that holds messages; ``watermarks.json`` and
``content_hashes.json`` are what those scripts believed about it. The folder is only read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from .errors import DiskTrouble, MalformedExport, PermanentError
from .folders import fsync_directory
from .formats.dedup_state import Fault, record
from .formats.text import escape
from .identity import safe_id

LOG, WATERMARKS, HASHES = "conversation_log.jsonl", "watermarks.json", "content_hashes.json"

# So many bytes of lines wait in memory before they go to their files.
_BUFFERED_BYTES = 8 << 20


@dataclass(slots=True)
class Part:
    """The lines of one conversation, byte for byte and in order, in a file of their own."""

    conversation_id: str
    path: Path
    lines: int = 0
    size_bytes: int = 0
    highest_index: int | None = None
    last_at: datetime | None = None
    digest: Any = field(default_factory=hashlib.sha256)

    @property
    def sha256(self) -> str:
        return str(self.digest.hexdigest())

    @property
    def name(self) -> str:
        """Safe as a file name; the same bytes have the same one."""
        project = safe_id(self.conversation_id)
        return f"dedup-state-{self.sha256[:12]}-EXPORT-{project}.jsonl"


@dataclass(frozen=True, slots=True)
class Log:
    """A log taken apart. ``corrupt`` holds the lines of ``faults``, byte for byte."""

    parts: tuple[Part, ...]
    faults: tuple[Fault, ...]
    corrupt: Part
    lines: int
    blank_lines: int


@dataclass(frozen=True, slots=True)
class Claims:
    """What the earlier scripts believed, by conversation id as it is stored; ``troubles``

    say in words what could not be read.
    """

    watermarks: Mapping[str, int]
    hashes: Mapping[str, int]
    troubles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of the folder; ``skipped`` names what is no regular file."""

    folder: Path
    is_new: bool
    skipped: tuple[str, ...]


def log_of(folder: Path) -> Path:
    """The log in a folder; ``PermanentError`` says what was expected where there is none."""
    if not (folder / LOG).is_file():
        raise PermanentError(
            f"{folder}: expected the folder of the earlier scripts' state, with {LOG} in it, "
            "and found no such file; it is often called dedup_state"
        )
    return folder / LOG


def back_up(folder: Path, backups: Path) -> Backup:
    """Copy a folder byte for byte to ``backups/import-state-<sha12 of its log>``, durably.

    An equal copy that is there already serves; other files beside the same log get a copy
    of their own.
    """
    if backups.absolute().is_relative_to(folder.absolute()):
        raise PermanentError(
            f"{folder} holds the memory folder's own {backups.name}/; name the folder that "
            f"{LOG} lies in, and move the log into one of its own if need be"
        )
    with _disk(backups):
        backups.mkdir(mode=0o700, exist_ok=True)
        for stale in backups.glob(".import-state-*.tmp"):
            shutil.rmtree(stale)
        temporary = backups / f".import-state-{uuid.uuid4().hex}.tmp"
        skipped = tuple(_copy(folder, temporary))
        digests = _digests(temporary)
        base = f"import-state-{digests[LOG][:12]}"
        whole = hashlib.sha256(repr(sorted(digests.items())).encode()).hexdigest()[:12]
        for name in (base, f"{base}-{whole}"):
            place = backups / name
            if not place.exists():
                temporary.rename(place)
                fsync_directory(backups)
                return Backup(place, is_new=True, skipped=skipped)
            if _digests(place) == digests:
                shutil.rmtree(temporary)
                return Backup(place, is_new=False, skipped=skipped)
    raise PermanentError(f"{place} was changed since it was written; move it away and repeat")


def split(log: Path, into: Path, told: Callable[[int], None] = lambda _: None) -> Log:
    """Take a log apart into one file per conversation under ``into``, a new folder.

    ``told`` hears how many bytes were read. Memory holds some lines at a time.
    """
    with _disk(into):
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(mode=0o700)
        splitting = _Splitting(into)
        with log.open("rb") as file:
            for number, line in enumerate(file, 1):
                splitting.take(number, line)
                told(len(line))
        return splitting.finish(log.stat().st_mtime)


def claims(folder: Path) -> Claims:
    """What watermarks.json and content_hashes.json say; what is damaged says nothing."""
    troubles: list[str] = []
    watermarks = {
        escape(name): value
        for name, value in _object(folder / WATERMARKS, troubles).items()
        if _is(value, int, f"{WATERMARKS}: {name!r} has no whole number", troubles)
    }
    hashes = {
        escape(name): len(value)
        for name, value in _object(folder / HASHES, troubles).items()
        if _is(value, list, f"{HASHES}: {name!r} has no list of hashes", troubles)
    }
    return Claims(watermarks, hashes, tuple(troubles))


class _Splitting:
    def __init__(self, into: Path) -> None:
        self._into = into
        self._parts: dict[str, Part] = {}
        self._corrupt = Part("corrupt-lines", into / "corrupt")
        self._faults: list[Fault] = []
        self._waiting: dict[Path, list[bytes]] = {}
        self._waiting_bytes = 0
        self._lines = self._blank = 0

    def take(self, number: int, line: bytes) -> None:
        self._lines = number
        if not line.strip():
            self._blank += 1
            return
        try:
            found = record(line)
        except MalformedExport as error:
            self._faults.append(Fault(number, str(error)))
            self._put(self._corrupt, line)
            return
        part = self._parts.get(found.conversation_id)
        if part is None:
            path = self._into / f"{len(self._parts)}.jsonl"
            part = self._parts[found.conversation_id] = Part(found.conversation_id, path)
        index = found.message.source_index
        if index is not None and (part.highest_index is None or index > part.highest_index):
            part.highest_index = index
        part.last_at = found.message.occurred_at or part.last_at
        self._put(part, line)

    def _put(self, part: Part, line: bytes) -> None:
        part.lines += 1
        part.size_bytes += len(line)
        part.digest.update(line)
        self._waiting.setdefault(part.path, []).append(line)
        self._waiting_bytes += len(line)
        if self._waiting_bytes > _BUFFERED_BYTES:
            self._write()

    def _write(self) -> None:
        for path, lines in self._waiting.items():
            with path.open("ab") as file:
                file.writelines(lines)
        self._waiting.clear()
        self._waiting_bytes = 0

    def finish(self, modified_s: float) -> Log:
        """Each part is as old as its last line, else as the log: the order is by time."""
        self._write()
        parts = tuple(self._parts.values())
        for part in parts:
            age_s = part.last_at.timestamp() if part.last_at else modified_s
            os.utime(part.path, (max(age_s, 0),) * 2)
        return Log(parts, tuple(self._faults), self._corrupt, self._lines, self._blank)


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise PermanentError(
            f"{error.filename}: exportd may not read or write it ({error.strerror})"
        ) from error
    except OSError as error:
        place = error.filename or folder
        raise DiskTrouble(f"{place}: cannot be read or written ({error.strerror})") from error


def _copy(source: Path, target: Path) -> Iterator[str]:
    """Copy a tree and make it durable; yields what is neither file nor folder."""
    target.mkdir(mode=0o700)
    for entry in sorted(source.iterdir()):
        copy = target / entry.name
        if entry.is_dir() and not entry.is_symlink():
            yield from (f"{entry.name}/{name}" for name in _copy(entry, copy))
        elif entry.is_file():
            shutil.copy2(entry, copy)
            with copy.open("rb") as file:
                os.fsync(file.fileno())
        else:
            yield entry.name
    fsync_directory(target)


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[str(path.relative_to(folder))] = digest
    return found


def _object(path: Path, troubles: list[str]) -> dict[str, Any]:
    """The JSON object in a file, empty with a trouble where there is none."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        troubles.append(f"{path.name} is missing: nothing to compare with")
        return {}
    except (ValueError, RecursionError):
        troubles.append(f"{path.name} is damaged (no JSON): nothing to compare with")
        return {}
    if not isinstance(value, dict):
        troubles.append(f"{path.name} holds no JSON object: nothing to compare with")
        return {}
    return value


def _is(value: object, kind: type, trouble: str, troubles: list[str]) -> bool:
    fits = isinstance(value, kind) and not isinstance(value, bool)
    if not fits:
        troubles.append(trouble)
    return fits
