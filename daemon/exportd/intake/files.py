"""A file that came from anywhere: opened without harm, read, made durable."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import DiskTrouble, UnreadableFile
from ..folders import fsync_directory

_CHUNK_BYTES = 1 << 20

# fcntl(2); not all of them have a name in Python's module.
_F_SETSIG, _SIGURG = 10, 23


def opened(path: Path) -> BinaryIO:
    """Open for reading what is a regular file and nothing else; never wait for it."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFile(
            f"this is {_kind(status.st_mode)}; exportd reads regular files alone: drop a "
            "copy of the file itself"
        )
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except PermissionError as error:
        raise UnreadableFile(
            f"exportd may not read it (mode {stat.filemode(status.st_mode)}, owner "
            f"{status.st_uid}); make it readable for the user that runs exportd and drop "
            "it again"
        ) from error
    return os.fdopen(descriptor, "rb")


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
    }
    return kinds.get(stat.S_IFMT(mode), "a special file")


def read_chunks(file: BinaryIO) -> Iterator[bytes]:
    try:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise UnreadableFile(
            f"it cannot be read to its end ({error.strerror}); check the disk"
        ) from error


def is_synced(file: BinaryIO, path: Path) -> bool:
    """Make a file durable; False when it was written anew instead, as another file.

    After a failed fsync the kernel takes what it could not write for written: a second
    fsync of the same file would succeed and mean nothing. A copy is written anew.
    """
    try:
        os.fsync(file.fileno())
    except OSError as error:
        _write_anew(file, path, error)
        return False
    return True


def _write_anew(file: BinaryIO, path: Path, cause: OSError) -> None:
    place = path.parent.parent / f".{path.parent.name}.tmp"  # a claim's place has files only
    try:
        with place.open("wb") as copy:
            shutil.copyfileobj(file, copy)
            copy.flush()
            os.fsync(copy.fileno())
        shutil.copystat(path, place)
        place.replace(path)
        fsync_directory(path.parent)
    except OSError as error:
        with suppress(OSError):
            place.unlink()
        reason = error.strerror or cause.strerror
        raise DiskTrouble(f"{path}: cannot be made durable ({reason})") from error


def has_writer(path: Path) -> bool:
    """Whether some process has a file open for writing, as far as the kernel tells.

    A read lease is granted only on a file that nobody writes to (fcntl(2), local file
    systems, own files). Should a writer come while we hold it, the kernel's signal is
    SIGURG, which is ignored by default, and not the deadly SIGIO.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.fcntl(descriptor, _F_SETSIG, _SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
