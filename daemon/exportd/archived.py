"""The archive, read back: what lies there, and whether it is a file of bytes at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from .folders import is_plain

_SIGNS = {errno.ENOENT: "no such file", errno.ELOOP: "a symbolic link"}


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


def names(folder: Path) -> list[str]:
    """Everything that lies in a folder, hidden files excepted; nothing if it is not there."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except FileNotFoundError:
        return []
