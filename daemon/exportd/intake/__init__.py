"""Claim a dropped file, read it and hash it.

The rename into ``.exportd/inflight/<uuid>/`` is the lock: of two workers one wins.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..crash import reach
from ..errors import DiskTrouble, PermanentError, TransientError
from ..file_bytes import HELD_BYTES, FileBytes
from ..folders import (
    SIDECAR,
    Folders,
    fsync_directory,
    is_no_folder,
    is_sidecar,
    low_space,
    sidecar_of,
)
from ..formats.text import escape
from ..growth import Beginnings, Hashing, Prefix
from ..models import Raw
from .files import has_writer, is_synced, opened, read_chunks
from .sidecar import read_sidecar

# So often is a file read anew that was written to meanwhile; then others have their turn.
_READS = 5

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW

_LAST_MOMENT = 253_402_300_799.0  # the end of the year 9999


@dataclass(frozen=True, slots=True)
class Claim:
    """A file that is ours: its place in flight, and the name it was dropped under."""

    claim_id: uuid.UUID
    path: Path

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a claimed file, and how the file looked when they were read.

    ``prefix`` is the longest beginning of it that was known.
    """

    raw: Raw
    sha256: str
    modified_at: datetime
    signature: tuple[int, ...]
    prefix: Prefix | None = None


class Intake:
    """The drop folder and the files in flight of one memory folder."""

    def __init__(self, folders: Folders, max_file_bytes: int, disk_reserve_bytes: int) -> None:
        self._folders = folders
        self._max_file_bytes = max_file_bytes
        self._disk_reserve_bytes = disk_reserve_bytes

    def check_space(self) -> None:
        """Raise ``DiskTrouble`` while the disk has less free than is kept in reserve."""
        if trouble := low_space(self._folders, self._disk_reserve_bytes):
            raise DiskTrouble(trouble)

    def claim(self, path: Path) -> Claim | None:
        """Take a dropped file; None when it is gone, because another took it."""
        place = self.place()
        try:
            claim = self.take(path, place)
        except DiskTrouble:
            _tidy(place)
            raise
        self.make_durable(place, {path: claim} if claim else {})
        return claim

    def place(self) -> Path:
        """A place in flight for files that are claimed together."""
        place = self._folders.inflight / str(uuid.uuid4())
        reach("claim.begin")
        try:
            place.mkdir(mode=0o700)
        except OSError as error:
            # Without the place's id: what waits is told once, for it has the same reason.
            raise DiskTrouble(
                f"{place.parent}: no folder can be made there ({error.strerror})"
            ) from error
        reach("claim.place")
        return place

    def take(self, path: Path, place: Path) -> Claim | None:
        """Into a place where no file has its name; ``make_durable`` is to follow."""
        try:
            with self._folder_of(path) as source:
                os.rename(path.name, place / path.name, src_dir_fd=source)
                reach("claim.renamed")
                self._take_along(sidecar_of(path), source, place)
                reach("claim.sidecar")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DiskTrouble(f"{path}: cannot be claimed ({error.strerror})") from error
        return _claim(place / path.name)

    def make_durable(self, place: Path, claims: Mapping[Path, Claim]) -> None:
        """See to it that files which were taken from these paths into a place stay there."""
        if not claims:
            _tidy(place)
            return
        try:
            fsync_directory(place)
            fsync_directory(self._folders.inflight)
            for path in {path.parent: path for path in claims}.values():
                gone = suppress(FileNotFoundError, NotADirectoryError)  # the folder, since
                with gone, self._folder_of(path) as source:
                    os.fsync(source)
        except OSError as error:
            raise DiskTrouble(
                f"{self._folders.inflight}: a claim cannot be made durable ({error.strerror})"
            ) from error
        reach("claim.durable")

    @contextmanager
    def _folder_of(self, path: Path) -> Iterator[int]:
        """The folder of a dropped file, opened: on the way down no link is followed.

        A folder may have become a link since its file was seen, and lead anywhere.
        """
        folder = os.open(self._folders.exports, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in path.parent.relative_to(self._folders.exports).parts:
                above, folder = folder, os.open(name, _FOLDER, dir_fd=folder)
                os.close(above)
            yield folder
        finally:
            os.close(folder)

    @staticmethod
    def _take_along(sidecar: Path, source: int, place: Path) -> None:
        """After its file: what a kill, or the disk, leaves behind counts as a late one.

        A folder of that name is no sidecar, and a long name has no room for one.
        """
        with suppress(OSError):
            if is_no_folder(sidecar):
                os.rename(sidecar.name, place / sidecar.name, src_dir_fd=source)

    def sweep(self) -> Iterator[Claim]:
        """Claims that an earlier process left; empty ones are tidied away.

        Raises ``DiskTrouble``, after all others, where one cannot be looked for.
        """
        trouble: OSError | None = None
        try:
            places = sorted(self._folders.inflight.iterdir())
        except FileNotFoundError:  # somebody tidied up, or the memory folder is gone
            with suppress(FileNotFoundError):
                self._folders.inflight.mkdir(mode=0o700)
            return
        except OSError as error:
            places, trouble = [], error
        for place in places:
            try:
                if not _is_place(place) or not place.is_dir():
                    continue
                files = {path.name: path for path in sorted(place.iterdir())}
            except OSError as error:
                trouble = error
                continue
            for name, path in files.items():
                if not is_sidecar(name) or name.removesuffix(SIDECAR) not in files:
                    yield _claim(path)
            if not files:
                _tidy(place)
        if trouble:
            raise DiskTrouble(f"{trouble.filename}: cannot be looked into ({trouble.strerror})")

    def read(self, claim: Claim, beginnings: Beginnings | None = None) -> Content:
        """The content, durable on disk, with its SHA-256; held if it is not large.

        ``beginnings`` are those that are known of files.

        Raises ``UnreadableFile`` when it is no regular file or may not be read, and
        ``PermanentError`` when it is too large. A file that grows meanwhile is read
        anew; one that does not hold still is ``TransientError``.
        """
        reach("read.begin")
        for _ in range(_READS):
            with opened(claim.path) as file:
                before = os.fstat(file.fileno())
                self._check_size(before.st_size)
                if before.st_nlink == 1:  # under another name it is not ours alone
                    with suppress(OSError):
                        os.fchmod(file.fileno(), 0o600)
                if not is_synced(file, claim.path):
                    continue
                reach("read.synced")
                hashing, held = Hashing(beginnings), bytearray()
                is_large = before.st_size > HELD_BYTES
                for chunk in read_chunks(file):
                    hashing.update(chunk)
                    if not is_large:
                        held += chunk
                after = os.fstat(file.fileno())
            if _signature(before) == _signature(after):
                modified_at = _moment(after.st_mtime)
                raw = FileBytes(claim.path, after.st_size) if is_large else bytes(held)
                reach("read.hashed")
                sha256 = hashing.digest.hexdigest()
                return Content(raw, sha256, modified_at, _signature(after), hashing.prefix)
        raise TransientError("a program writes to it")

    def in_use(self, claim: Claim) -> bool:
        """Whether a program still has the file, or its sidecar, open for writing."""
        return has_writer(claim.path) or has_writer(sidecar_of(claim.path))

    def changed(self, claim: Claim, content: Content) -> bool:
        """Whether the file is no longer what was read: somebody still had it open."""
        return _signature(claim.path.lstat()) != content.signature

    def session_id(self, claim: Claim) -> str | None:
        """The conversation that the file's sidecar names; None without a sidecar."""
        sidecar = sidecar_of(claim.path)
        return read_sidecar(sidecar) if os.path.lexists(sidecar) else None

    def forget(self, claim: Claim) -> None:
        """Remove the place of a claim whose file has gone on, and the sidecar with it.

        It stays while another file of a group lies there.

        What the disk does not let go, the next start's sweep tidies away.
        """
        reach("forget.begin")
        with suppress(OSError):  # it may have none, or a name too long for one
            sidecar_of(claim.path).unlink()
        reach("forget.sidecar")
        _tidy(claim.path.parent)
        reach("forget.done")

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_file_bytes:
            raise PermanentError(
                f"the file has {size_bytes:,} bytes; exportd reads files of at most "
                f"{self._max_file_bytes:,}"
            )


def _moment(seconds: float) -> datetime:
    """A file's time, within the years that a calendar has."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LAST_MOMENT), UTC)


def _tidy(place: Path) -> None:
    """Remove an empty place; what the disk does not let go, a later sweep finds again."""
    with suppress(OSError):
        place.rmdir()


def _is_place(place: Path) -> bool:
    try:
        uuid.UUID(place.name)
    except ValueError:
        return False
    return True


def _claim(path: Path) -> Claim:
    """The same for the same file in flight, after a crash, too."""
    return Claim(uuid.uuid5(uuid.UUID(path.parent.name), escape(path.name)), path)


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_size, status.st_mtime_ns
