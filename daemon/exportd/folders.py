"""The folder an operator sees, and names that are safe in it."""

from __future__ import annotations

import errno
import os
import pwd
import stat
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from .crash import reach
from .errors import ConfigurationError, DiskTrouble, NotPermitted
from .formats.text import printable

# Names of files that other programs have not finished (FORMATS, HAZARDS 3).
_EXTENSION_BYTES = 32  # what is longer is no extension
_DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
SIDECAR = ".session"  # NAME.session names the conversation that NAME belongs to
UNFINISHED = (".part", ".partial", ".tmp", ".swp", ".crdownload", "~")


@dataclass(frozen=True, slots=True)
class Folders:
    """Paths under one memory folder (DESIGN 1)."""

    memory: Path

    @property
    def exports(self) -> Path:
        return self.memory / "exports"

    @property
    def archive(self) -> Path:
        return self.memory / "exports-archive"

    @property
    def failed(self) -> Path:
        return self.memory / "exports-failed"

    @property
    def backups(self) -> Path:
        return self.memory / "backups"

    @property
    def sessions(self) -> Path:
        return self.memory / "sessions"

    @property
    def checkpoints(self) -> Path:
        return self.memory / "checkpoints"

    @property
    def status_log(self) -> Path:
        return self.memory / "export-dedup-status.txt"

    @property
    def state(self) -> Path:
        return self.memory / ".exportd"

    @property
    def inflight(self) -> Path:
        return self.state / "inflight"

    @property
    def restoring(self) -> Path:
        """Says which backup is being restored here, until that is done."""
        return self.state / "restoring"

    @property
    def spool(self) -> Path:
        return self.state / "spool"

    def relative(self, path: Path) -> str:
        """``path`` as it is shown to people: from the memory folder on."""
        return str(path.relative_to(self.memory))

    def create(self) -> None:
        """Make what is missing, for the eyes of its owner only.

        What is there keeps its mode. Raises ``ConfigurationError`` where it is impossible.
        """
        try:
            self.memory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (
                self.exports, self.state, self.archive, self.failed, self.sessions,
                self.inflight, self.spool,
            ):  # fmt: skip
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            if isinstance(error, PermissionError) and os.access(self.memory, os.F_OK):
                raise not_permitted(error) from error
            if error.errno in _DISK_TROUBLE:
                raise DiskTrouble(
                    f"{error.filename}: cannot be made ({error.strerror})"
                ) from error
            raise ConfigurationError(
                f"{error.filename}: cannot be made ({error.strerror}); expected a folder that "
                "exportd may write to, see memory_dir"
            ) from error
        self._check_owner()
        self._hide_from_git()
        if self.exports.stat().st_dev != self.inflight.stat().st_dev:
            raise ConfigurationError(
                f"{self.exports} and {self.inflight} are on different file systems; a file is "
                "claimed by renaming it, so both must be on one"
            )

    def _hide_from_git(self) -> None:
        """What is a server's, or in flight, is nothing for a repository; all else may be."""
        place = self.state / ".gitignore"
        if os.path.lexists(place):
            return
        with suppress(OSError):
            try:
                place.write_text("*\n")
            except OSError:
                place.unlink()  # half of it would never be mended
                raise

    def _check_owner(self) -> None:
        """A folder is one user's: another one's files could not be read by the first.

        On a file system with a fixed owner, what is written now has the same one.
        """
        owner = self.state.stat().st_uid
        if owner == os.geteuid():
            return
        try:
            with tempfile.TemporaryFile(dir=self.state) as written:
                mine = os.fstat(written.fileno()).st_uid
        except PermissionError as error:
            error.filename = self.state
            raise not_permitted(error) from error
        except OSError:
            return  # a full disk is told where it matters
        if mine != owner:
            raise _of_another(self.state, owner)


def not_permitted(error: PermissionError) -> NotPermitted:
    """Whose the file is that another user may not use, and what helps."""
    path = Path(os.fsdecode(error.filename))
    for place in (path, *path.parents):
        with suppress(OSError):
            return _of_another(path, place.stat().st_uid)
    return NotPermitted(f"{printable(str(path))}: {error.strerror}")


def _of_another(path: Path, owner: int) -> NotPermitted:
    us = user_name(os.geteuid())
    return NotPermitted(
        f"{printable(str(path))} is {user_name(owner)}'s, and exportd runs as {us}, who "
        f"may not work there; run exportd as {user_name(owner)}, or stop it and let root say: "
        f"chown -R {us} the memory folder"
    )


def user_name(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def free_bytes(folder: Path) -> int:
    """What a user other than root may still write on the folder's disk."""
    return disk_bytes(folder)[0]


def disk_bytes(folder: Path) -> tuple[int, int]:
    """What such a user may still write on the folder's disk, and how large the disk is."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def low_space(folders: Folders, reserve_bytes: int) -> str | None:
    """Why nothing should be written now; None while the reserve is free everywhere.

    The words are the same however little is free, so that they are told once.
    """
    for folder in (folders.state, folders.archive):
        try:
            low = free_bytes(folder) < reserve_bytes
        except OSError:
            continue  # another check says that the folder is gone
        if low:
            return (
                f"less than {reserve_bytes:,} bytes are free on the disk of {folder} (setting "
                "disk_reserve_bytes); files wait until there is more"
            )
    return None


def filling(folders: Folders, percent: float) -> str | None:
    """Which disk has less than this free; None when none has."""
    for folder in (folders.state, folders.archive):
        try:
            found = os.statvfs(folder)
        except OSError:
            continue  # another check says that the folder is gone
        if found.f_blocks and 100 * found.f_bavail < percent * found.f_blocks:
            return f"less than {percent:g} % of the disk of {folder} is free"
    return None


def is_unfinished(name: str) -> bool:
    """Whether a name says that its file is hidden or not yet complete."""
    return name.startswith(".") or name.lower().endswith(UNFINISHED)


def is_sidecar(name: str) -> bool:
    """Whether a file only says which conversation the file beside it belongs to."""
    return name.endswith(SIDECAR) and name != SIDECAR


def sidecar_of(path: Path) -> Path:
    """Where the sidecar of a file lies, if it has one."""
    return path.with_name(path.name + SIDECAR)


def is_plain(name: str) -> bool:
    """Whether a name names something right inside a folder."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return bool(name) and not set(name) & {"/", "\0"} and name not in (".", "..")


def is_no_folder(path: Path) -> bool:
    """Whether anything but a folder lies there; a name may be too long for that."""
    try:
        return not stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def with_suffix_before_extension(name: str, suffix: str) -> str:
    """``NAME.txt`` and ``1a2b`` as ``NAME.1a2b.txt``, within the 255 bytes of a name."""
    stem, dot, extension = name.rpartition(".")
    if not stem or len(os.fsencode(extension)) > _EXTENSION_BYTES:
        stem, dot, extension = name, "", ""
    tail = f".{suffix}{dot}{extension}"
    room = 255 - len(os.fsencode(tail))
    return os.fsdecode(os.fsencode(stem)[: max(room, 0)]) + tail


def write_file(path: Path, pieces: Iterable[str]) -> None:
    """Write a file whole or not at all: a temporary one, made durable, then renamed."""
    with written(path) as file:
        file.writelines(pieces)


@contextmanager
def written(path: Path, *, replace: bool = True) -> Iterator[TextIO]:
    """A file to write into; it gets its name at the end, whole, or not at all.

    ``FileExistsError`` when the name is taken and not to be replaced.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        reach("tell.written")
        put(temporary, path, replace=replace)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def put(temporary: Path, path: Path, *, replace: bool) -> None:
    """Give a file its name; ``FileExistsError`` where that is taken, unless ``replace``."""
    if replace:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # no hard links here: FAT
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.rename(path)
    else:
        temporary.unlink()


def replace_file(path: Path, raw: bytes, new_mode: int) -> None:
    """Write a file whole or not at all; one that is there already keeps its mode and owner."""
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(raw)
            if path.exists():
                was = path.stat()
                with suppress(OSError):
                    os.fchown(file.fileno(), was.st_uid, was.st_gid)
                new_mode = was.st_mode & 0o7777
            os.fchmod(file.fileno(), new_mode)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_directory(path.parent)


def fsync_directory(folder: Path) -> None:
    """Make renames in ``folder`` survive a power cut (HAZARDS 41)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
