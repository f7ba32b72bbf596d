"""The archive, read back: what lies there, and whether it is a file of bytes at all."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DiskTrouble
from .file_bytes import FileBytes
from .folders import is_plain
from .models import Raw
from .packed import NO_LIMIT, Damaged, is_packed, opened, packed_name, size_of, unpacked

NOTHING = "no such file"
_SIGNS = {errno.ENOENT: NOTHING, errno.ELOOP: "a symbolic link"}


def read_raw(folder: Path, name: str) -> bytes | str:
    """The bytes of a regular file of ``folder``, or, in words, what stands there instead.

    No symbolic link is followed and no name leaves the folder: neither could vouch for
    what was archived.
    """
    if not is_plain(name):
        return "a name that is no file name"
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(folder / name, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return "a special file"
            return file.read()
    except IsADirectoryError:
        return "a folder"
    except OSError as error:
        return _SIGNS.get(error.errno or 0, f"a file that cannot be read ({error.strerror})")


def kind_of(folder: Path, name: str) -> str | None:
    """What stands there instead of a file of bytes, in words; None where one does."""
    try:
        with opened(folder / name) as file:
            is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            return None if is_file else "a special file"
    except IsADirectoryError:
        return "a folder"
    except OSError as error:
        return _SIGNS.get(error.errno or 0, f"a file that cannot be read ({error.strerror})")


def read_packed(folder: Path, name: str, most: int) -> bytes | str:
    """The bytes of the packed file of ``name``, as ``read_raw`` tells them.

    What unpacks to more than ``most`` bytes is not read further: it is not what it was.
    """
    other = packed_name(name) if is_plain(name) else None
    if other is None:
        return NOTHING
    try:
        with opened(folder / other) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return "a special file"
            return b"".join(unpacked(file, most))
    except Damaged as error:
        return str(error)
    except OSError as error:
        return _SIGNS.get(error.errno or 0, f"a file that cannot be read ({error.strerror})")


@contextmanager
def as_raw(path: Path, scratch: Path) -> Iterator[Raw]:
    """The bytes of an archived file, which may be too many to be held.

    A packed one is unpacked into ``scratch``, under a hidden name, as long as it is needed.
    ``DiskTrouble`` where there is no room for that.
    """
    if not is_packed(path):
        yield FileBytes(path, path.stat().st_size)
        return
    temporary = scratch / f".{uuid.uuid4().hex}.tmp"
    try:
        size_bytes = _unpack(path, temporary)
        yield FileBytes(temporary, size_bytes)
    finally:
        temporary.unlink(missing_ok=True)


def _unpack(path: Path, place: Path) -> int:
    try:
        with opened(path) as file, place.open("xb") as out:
            size_bytes = size_of(path)
            for piece in unpacked(file, NO_LIMIT if size_bytes is None else size_bytes):
                out.write(piece)
            return out.tell()
    except OSError as error:
        raise DiskTrouble(f"{path}: cannot be unpacked ({error.strerror})") from error


def names(folder: Path) -> list[str]:
    """Everything that lies in a folder, hidden files excepted; nothing if it is not there."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except FileNotFoundError:
        return []
