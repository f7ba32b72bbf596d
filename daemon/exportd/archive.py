"""Durable moves: out of flight into the archive, or to the dead letters.

Nothing is ever replaced. At every instant the bytes exist under a name that survives a
power cut: the new name is durable before the old one goes (DESIGN 2.1, step 9).
"""

from __future__ import annotations

import math
import os
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from . import cures
from .crash import reach
from .errors import DiskTrouble
from .folders import (
    SIDECAR,
    Folders,
    fsync_directory,
    sidecar_of,
    with_suffix_before_extension,
    write_file,
)
from .formats.text import printable
from .moves import REASON, disk_trouble, drop, holds, is_taken, move, move_new, with_end
from .packed import digest_of, is_packed, packed_name, size_of

MARK = ".exportd-archive"
_TEMPORARY = re.compile(r"\.[0-9a-f-]{32,36}\.tmp")
_INGEST = re.compile(r"ingest-[0-9a-f]{8}")
_ABANDONED_S = 86_400


class Archive:
    """``exports-archive/`` and ``exports-failed/`` of one memory folder."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._checked: tuple[int, int] | None = None

    def check(self) -> None:
        """Raise ``DiskTrouble`` when this is not the archive that it was."""
        if trouble := self.trouble():
            raise DiskTrouble(trouble)

    def trouble(self) -> str | None:
        """Why nothing may be archived now; None when all is well.

        An archive on a disk of its own may be absent, and its empty mount point is not to
        be filled (HAZARDS 10). So it bears a mark, and the memory folder knows which. An
        archive without a mark, where none is known, gets one; one that came with its mark,
        copied or moved, is taken for what it is.
        """
        archive, known = self._folders.archive, self._folders.state / "archive-id"
        mark = archive / MARK
        try:
            identity = _identity(archive)
            if identity == self._checked:
                return None
            expected, found = _line(known), _line(mark)
            if expected is None:
                if found is None:
                    found = str(uuid.uuid4())
                    write_file(mark, [f"{found}\n"])
                write_file(known, [f"{found}\n"])
            elif found != expected:
                return (
                    f"{archive} is not the archive that it was: its mark {MARK} is "
                    f"{'missing' if found is None else 'another one'}; is its disk mounted? If "
                    f"you replaced it on purpose, remove {known}"
                )
        except OSError as error:
            return f"{archive} cannot be reached ({error.strerror})"
        self._checked = identity
        return None

    def keep(self, path: Path, sha256: str, archived_as: str | None = None) -> str:
        """Move a file into the archive; returns its name there.

        A file with the same bytes that is archived already (``archived_as``, or under
        the same name) is verified and serves for both. Other bytes under the name:
        this one gets ``NAME.<sha12>.ext``.
        """
        reach("archive.begin")
        return self._put(path, path.name, sha256, archived_as)

    def keep_new(self, paths: Sequence[Path]) -> list[str | None]:
        """Move files that were never archived into the archive; their names there.

        None where that is not simple, say because the name is taken: ``keep`` sees to it.
        """
        places = [self._folders.archive / path.name for path in paths]
        free = [not _has_packed(place) for place in places]
        pairs = [
            pair
            for pair, is_free in zip(zip(paths, places, strict=True), free, strict=True)
            if is_free
        ]
        try:
            moved = dict(zip((path for path, _ in pairs), move_new(pairs), strict=True))
        except OSError as error:
            raise disk_trouble(paths[0], self._folders.archive, error) from error
        return [path.name if moved.get(path) else None for path in paths]

    def put(self, path: Path, name: str, sha256: str) -> str:
        """Move a file that exportd wrote into the archive, as ``name`` if that is free."""
        return self._put(path, name, sha256, None)

    def _put(self, path: Path, name: str, sha256: str, archived_as: str | None) -> str:
        known = [archived_as] if archived_as else []
        suffixed = with_suffix_before_extension(name, sha256[:12])
        try:
            for one in [*known, name, suffixed]:
                place = self._folders.archive / one
                if holds(place, sha256) or _holds_packed(place, sha256):
                    drop(path)
                    return one
                if not _has_packed(place) and move(path, place, sha256):
                    return one
            # Both names hold other bytes: the second one was damaged since.
            one = with_suffix_before_extension(name, uuid.uuid4().hex)
            move(path, self._folders.archive / one, sha256)
        except OSError as error:
            raise disk_trouble(path, self._folders.archive, error) from error
        return one

    def copies(self, sizes: Mapping[str, int]) -> list[tuple[Path, str]]:
        """Every file with one of these contents, by SHA-256 and size, and which it has.

        In the archive and among the dead letters; no link is followed.
        """
        lengths, found = set(sizes.values()), []
        for folder in (self._folders.archive, self._folders.failed):
            for path in sorted(folder.glob("[!.]*")):
                try:
                    # Another zstd may not have written down how much it packed.
                    may_be = size_of(path) in lengths or (is_packed(path) and not size_of(path))
                    if may_be and (sha256 := digest_of(path)) in sizes:
                        found.append((path, sha256))
                except OSError as error:
                    raise DiskTrouble(f"{path}: cannot be read ({error.strerror})") from error
        return found

    def erase(self, sizes: Mapping[str, int]) -> None:
        """Remove every file with one of these contents, and what lies beside it."""
        for path, _ in self.copies(sizes):
            if path.parent == self._folders.failed:
                self.remove_failed(path.name)
            else:
                _remove(path)

    def remove_failed(self, name: str) -> None:
        """Remove a dead letter, with its reason and its sidecar; it may be gone already."""
        path = self._folders.failed / name
        _remove(path, _beside(path, REASON), _beside(path, SIDECAR))

    def keep_rest(self, path: Path, name: str, sha256: str, now: datetime) -> str:
        """Set aside what is left of a file in which no conversation is any more."""
        kept_as = with_suffix_before_extension(name, sha256[:12])
        if not holds(self._folders.failed / kept_as, sha256):
            self._set_aside(
                path,
                kept_as,
                f"{printable(name)} held a conversation that was purged.\n\n"
                f"When: {now:%Y-%m-%d %H:%M:%S} UTC\n\n"
                "The file beside this note is what else was in it: nothing that exportd could\n"
                "read. Look at it, and delete both.\n",
            )
        return kept_as

    def find(self, name: str, sha256: str) -> str | None:
        """Where a file of this name and content lies in the archive, if it does."""
        for place in (name, with_suffix_before_extension(name, sha256[:12])):
            path = self._folders.archive / place
            if holds(path, sha256) or _holds_packed(path, sha256):
                return place
        return None

    def tidy(self) -> None:
        """Remove temporary files that a killed process left; they were copies."""
        ours = self._folders
        folders = (ours.archive, ours.failed, ours.sessions, ours.state, ours.inflight)
        for path in (path for folder in folders for path in folder.glob(".*.tmp")):
            _remove_copy(path)
        for path in ours.exports.glob(".*.tmp"):  # ``exportd ingest`` may be at work on one
            _remove_copy(path, _ABANDONED_S)
        for folder in sorted(ours.exports.glob("ingest-*/**/"), reverse=True):
            if _INGEST.fullmatch(folder.relative_to(ours.exports).parts[0]):
                _remove_empty(folder)

    def failed_name(self, path: Path, claim_id: uuid.UUID) -> str:
        """A free name among the dead letters; a note without its file is overwritten.

        The file, or its sidecar, may have the name already, when a kill came between two
        steps.
        """
        failed = self._folders.failed
        other = with_suffix_before_extension(path.name, claim_id.hex)
        if (
            os.path.lexists(failed / with_end(other, SIDECAR))
            or is_taken(path, failed / path.name)
            or is_taken(sidecar_of(path), failed / with_end(path.name, SIDECAR))
        ):
            return other
        return path.name

    def fail(self, path: Path, name: str, reason: str, now: datetime) -> None:
        """Move a file to the dead letters as ``name``, with ``NAME.reason.txt``.

        Its sidecar goes along, as ``NAME.session``.
        """
        exports = self._folders.exports.name
        self._set_aside(
            path,
            name,
            f"{printable(path.name)} could not be ingested.\n\n"
            f"Why:  {printable(reason)}\n"
            f"When: {now:%Y-%m-%d %H:%M:%S} UTC\n\n"
            "The file lies beside this note, as it was dropped. If it is a conversation, mend\n"
            f"the cause and move it back to {exports}/, or let exportd do so:\n\n"
            f"    {cures.retry(name)}\n\n"
            "If it is none, delete the file, and then say so:\n\n"
            f"    {cures.forget(name)}\n",
        )

    def take_back(self, path: Path, name: str, reason: str, now: datetime) -> None:
        """Move an archived file to the dead letters because its ingest was rolled back."""
        exports = self._folders.exports.name
        self._set_aside(
            path,
            name,
            f"{printable(path.name)} was rolled back: nothing of it is stored any more.\n\n"
            f"Why:  {printable(reason)}\n"
            f"When: {now:%Y-%m-%d %H:%M:%S} UTC\n\n"
            "The file lies beside this note, as it was archived. Delete both; or move it to\n"
            f"{exports}/ to have it again, and delete this note.\n",
        )

    def _set_aside(self, path: Path, name: str, note: str) -> None:
        failed = self._folders.failed
        try:
            if os.path.lexists(sidecar := sidecar_of(path)):
                move(sidecar, failed / with_end(name, SIDECAR), None)
            reach("dead_letter.sidecar")
            write_file(failed / with_end(name, REASON), [note])
            reach("dead_letter.reason")
            if not move(path, failed / name, None):
                raise DiskTrouble(f"{failed / name}: exists already")
        except OSError as error:
            raise disk_trouble(path, failed, error) from error


def _remove_copy(path: Path, age_s: float = -math.inf) -> None:
    """A temporary file of ours, if it is so old; one that stays costs nothing but room."""
    with suppress(OSError):
        if _TEMPORARY.fullmatch(path.name) and time.time() - path.lstat().st_mtime >= age_s:
            path.unlink()


def _remove_empty(folder: Path) -> None:
    """A folder that ``exportd ingest`` made for files of one name, when they are taken."""
    with suppress(OSError):
        if time.time() - folder.lstat().st_mtime >= _ABANDONED_S and not folder.is_symlink():
            folder.rmdir()


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _line(path: Path) -> str | None:
    """What a small file of ours says; None without one."""
    try:
        return path.read_text(encoding="utf-8", errors="backslashreplace").strip()
    except FileNotFoundError:
        return None


def _remove(*paths: Path) -> None:
    try:
        for path in paths:
            path.unlink(missing_ok=True)
        fsync_directory(paths[0].parent)
    except OSError as error:
        raise DiskTrouble(f"{paths[0]}: cannot be removed ({error.strerror})") from error


def _beside(path: Path, end: str) -> Path:
    return path.with_name(with_end(path.name, end))


def _holds_packed(path: Path, sha256: str) -> bool:
    """Whether the packed file of a name has these bytes."""
    return _has_packed(path) and digest_of(_packed(path)) == sha256


def _has_packed(path: Path) -> bool:
    """Whether the name is taken, for its bytes lie there packed."""
    return packed_name(path.name) is not None and is_packed(_packed(path))


def _packed(path: Path) -> Path:
    return path.with_name(packed_name(path.name) or path.name)
