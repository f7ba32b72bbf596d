"""Durable moves: out of flight into the archive, or to the dead letters.

Nothing is ever replaced. At every instant the bytes exist under a name that survives a
power cut: the new name is durable before the old one goes (DESIGN 2.1, step 9).
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import re
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

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
from .packed import digest_of, is_packed, packed_name, size_of

_REASON_SUFFIX = ".reason.txt"
MARK = ".exportd-archive"
_TEMPORARY = re.compile(r"\.[0-9a-f-]{32,36}\.tmp")
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

    def put(self, path: Path, name: str, sha256: str) -> str:
        """Move a file that exportd wrote into the archive, as ``name`` if that is free."""
        return self._put(path, name, sha256, None)

    def _put(self, path: Path, name: str, sha256: str, archived_as: str | None) -> str:
        known = [archived_as] if archived_as else []
        suffixed = with_suffix_before_extension(name, sha256[:12])
        try:
            for one in [*known, name, suffixed]:
                place = self._folders.archive / one
                if _holds(place, sha256) or _holds_packed(place, sha256):
                    _drop(path)
                    return one
                if not _has_packed(place) and _move(path, place, sha256):
                    return one
            # Both names hold other bytes: the second one was damaged since.
            one = with_suffix_before_extension(name, uuid.uuid4().hex)
            _move(path, self._folders.archive / one, sha256)
        except OSError as error:
            raise _trouble(path, self._folders.archive, error) from error
        return one

    def copies(self, sizes: Mapping[str, int]) -> list[tuple[Path, str]]:
        """Every file with one of these contents, by SHA-256 and size, and which it has.

        In the archive and among the dead letters; no link is followed.
        """
        lengths, found = set(sizes.values()), []
        for folder in (self._folders.archive, self._folders.failed):
            for path in sorted(folder.glob("[!.]*")):
                try:
                    if size_of(path) in lengths and (sha256 := digest_of(path)) in sizes:
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
        _remove(path, _beside(path, _REASON_SUFFIX), _beside(path, SIDECAR))

    def keep_rest(self, path: Path, name: str, sha256: str, now: datetime) -> str:
        """Set aside what is left of a file in which no conversation is any more."""
        kept_as = with_suffix_before_extension(name, sha256[:12])
        if not _holds(self._folders.failed / kept_as, sha256):
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
            if _holds(path, sha256) or _holds_packed(path, sha256):
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

    def failed_name(self, path: Path, claim_id: uuid.UUID) -> str:
        """A free name among the dead letters; a note without its file is overwritten.

        The file, or its sidecar, may have the name already, when a kill came between two
        steps.
        """
        failed = self._folders.failed
        other = with_suffix_before_extension(path.name, claim_id.hex)
        if (
            os.path.lexists(failed / _with_end(other, SIDECAR))
            or _is_taken(path, failed / path.name)
            or _is_taken(sidecar_of(path), failed / _with_end(path.name, SIDECAR))
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
            "The file lies beside this note, as it was dropped. If it is a conversation,\n"
            f"mend the cause and move it back to {exports}/; if not, delete both.\n",
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
                _move(sidecar, failed / _with_end(name, SIDECAR), None)
            reach("dead_letter.sidecar")
            write_file(failed / _with_end(name, _REASON_SUFFIX), [note])
            reach("dead_letter.reason")
            if not _move(path, failed / name, None):
                raise DiskTrouble(f"{failed / name}: exists already")
        except OSError as error:
            raise _trouble(path, failed, error) from error


def _remove_copy(path: Path, age_s: float = -math.inf) -> None:
    """A temporary file of ours, if it is so old; one that stays costs nothing but room."""
    with suppress(OSError):
        if _TEMPORARY.fullmatch(path.name) and time.time() - path.lstat().st_mtime >= age_s:
            path.unlink()


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _line(path: Path) -> str | None:
    """What a small file of ours says; None without one."""
    try:
        return path.read_text(encoding="utf-8", errors="backslashreplace").strip()
    except FileNotFoundError:
        return None


def _with_end(name: str, end: str) -> str:
    """``name`` with ``end`` behind it; a long name is cut, so that there is room."""
    return os.fsdecode(os.fsencode(name)[: 255 - len(end)]) + end


def _remove(*paths: Path) -> None:
    try:
        for path in paths:
            path.unlink(missing_ok=True)
        fsync_directory(paths[0].parent)
    except OSError as error:
        raise DiskTrouble(f"{paths[0]}: cannot be removed ({error.strerror})") from error


def _beside(path: Path, end: str) -> Path:
    return path.with_name(_with_end(path.name, end))


def _holds(path: Path, sha256: str) -> bool:
    """Whether a regular file with exactly these bytes lies at ``path``."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _holds_packed(path: Path, sha256: str) -> bool:
    """Whether the packed file of a name has these bytes."""
    return _has_packed(path) and digest_of(_packed(path)) == sha256


def _has_packed(path: Path) -> bool:
    """Whether the name is taken, for its bytes lie there packed."""
    return packed_name(path.name) is not None and is_packed(_packed(path))


def _packed(path: Path) -> Path:
    return path.with_name(packed_name(path.name) or path.name)


def _move(path: Path, place: Path, sha256: str | None) -> bool:
    """Move without replacing; False when ``place`` is taken."""
    if sha256 is not None and path.lstat().st_nlink > 1:
        return _copy(path, place, sha256)  # under its other name it could be changed
    try:
        if not _is_same(path, place):
            os.link(path, place, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if os.path.lexists(place):
            return False
        if error.errno == errno.EXDEV:
            return _copy(path, place, sha256)
        path.rename(place)  # hard links refused here: FAT, another owner's file
        fsync_directory(place.parent)
        fsync_directory(path.parent)
        return True
    reach("archive.linked")
    fsync_directory(place.parent)
    reach("archive.durable")
    _drop(path)
    reach("archive.done")
    return True


def _is_same(path: Path, place: Path) -> bool:
    """Whether both are one file: a kill came before the old name was gone."""
    try:
        return os.path.samestat(path.lstat(), place.lstat())
    except FileNotFoundError:
        return False


def _is_taken(path: Path, place: Path) -> bool:
    """Whether something else lies where this is to go."""
    both = os.path.lexists(path) and os.path.lexists(place)
    return both and not _is_same(path, place)


def _copy(path: Path, place: Path, sha256: str | None) -> bool:
    """To another file system: copied, durable and compared before the original goes."""
    temporary = place.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        shutil.copy2(path, temporary, follow_symlinks=False)
        if not temporary.is_symlink():
            temporary.chmod(0o600)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
                copied = hashlib.file_digest(file, "sha256").hexdigest()
            if sha256 is not None and copied != sha256:
                raise DiskTrouble(f"{place}: the copy differs from the file; check the disk")
        reach("archive.copied")
        return _move(temporary, place, sha256) and _drop(path)
    finally:
        temporary.unlink(missing_ok=True)


def _drop(path: Path) -> bool:
    path.unlink()
    fsync_directory(path.parent)
    return True


def _trouble(path: Path, folder: Path, error: OSError) -> DiskTrouble:
    return DiskTrouble(f"{path.name}: cannot be moved to {folder} ({error.strerror})")
