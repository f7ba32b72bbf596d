"""``exports-failed/``: what lies there, the way back into ``exports/``, and out of sight.

A name never leaves its folder and no link is followed. The row in the database says why a
file is set aside; that it is, its lying here says.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from datetime import UTC, datetime

from .crash import reach
from .errors import DiskTrouble
from .folders import (
    SIDECAR,
    Folders,
    fsync_directory,
    is_no_folder,
    is_plain,
    sidecar_of,
)
from .formats.text import escape, printable
from .listed import DeadLetter
from .moves import REASON, disk_trouble, drop, holds, is_same, move, with_end

_WHY = re.compile(r"^Why: +(.*)$", re.MULTILINE)
_WHEN = re.compile(r"^When: +(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC$", re.MULTILINE)
_NOTE_BYTES = 65_536
_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder"}


class Failed:
    """The dead letters of one memory folder, as files."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._here = folders.failed

    def names(self) -> list[str]:
        """Every file that is set aside; not their notes and sidecars, and nothing hidden.

        ``DiskTrouble`` where the folder cannot be looked into.
        """
        try:
            found = {name for name in os.listdir(self._here) if not name.startswith(".")}  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise DiskTrouble(
                f"{self._here}: cannot be looked into ({error.strerror})"
            ) from error
        ends = (REASON, SIDECAR)
        return sorted(n for n in found if with_end(n, REASON) in found or not n.endswith(ends))

    def notes(self) -> list[str]:
        """The names that a note speaks of, whether a file lies there or not."""
        files = set(self.names())
        with suppress(FileNotFoundError):
            found = {path.name for path in self._here.glob(f"*{REASON}")} - files
            return sorted(name.removesuffix(REASON) for name in found)
        return []

    def is_there(self, name: str) -> bool:
        return is_plain(name) and os.path.lexists(self._here / name)

    def size_bytes(self, name: str) -> int | None:
        """None where nothing lies, or what has no bytes of its own."""
        with suppress(OSError):
            status = (self._here / name).lstat()
            return status.st_size if stat.S_ISREG(status.st_mode) else None
        return None

    def unknown(self, name: str) -> DeadLetter:
        """A file that the database does not know, by what its note says."""
        text = ""
        with suppress(OSError):
            descriptor = os.open(
                self._here / with_end(name, REASON), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            )
            with os.fdopen(descriptor, "rb") as file:
                text = file.read(_NOTE_BYTES).decode(errors="backslashreplace")
        why, when, at = _WHY.search(text), _WHEN.search(text), None
        with suppress(ValueError):  # a note may be anybody's
            at = datetime.strptime(when[1] if when else "", "%Y-%m-%d %H:%M:%S").replace(
                tzinfo=UTC
            )
        reason = why[1].strip() if why else "nobody knows: no note, and no row in the database"
        shown = escape(name)
        return DeadLetter(None, None, shown, shown, "file", None, at, reason, None, None, None)

    def obstacle(self, name: str, original: str) -> tuple[str, bool] | None:
        """Why a file cannot be put back, and whether that passes; None when it can be."""
        if not (is_plain(name) and is_plain(original)):
            return "its name is none of a file in a folder", False
        try:
            mode = (self._here / name).lstat().st_mode
        except OSError as error:
            return f"it does not lie in {self._here.name}/ ({error.strerror})", False
        if not stat.S_ISREG(mode):
            kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
            return f"it is {kind}; drop a copy of the file itself", False
        place = self._folders.exports / original
        if os.path.lexists(place) and not is_same(self._here / name, place):
            shown = f"{self._folders.exports.name}/{printable(escape(original))}"
            return f"{shown} is another file, which is to be taken first", True
        return None

    def put_back(self, name: str, original: str) -> None:
        """Move a file back into the drop folder, its sidecar first: both are taken together.

        Durable, replaces nothing; a kill in between leaves it to be done again.
        Raises ``DiskTrouble``.
        """
        file, place = self._here / name, self._folders.exports / original
        sidecar = self._here / with_end(name, SIDECAR)
        try:
            if is_no_folder(sidecar) and not is_sidecar_of_none(original):
                move(sidecar, sidecar_of(place), None)
            reach("retry.sidecar")
            if not move(file, place, None):
                raise DiskTrouble(f"{place}: exists already")
            reach("retry.moved")
        except OSError as error:
            raise disk_trouble(file, self._folders.exports, error) from error

    def clear(self, name: str) -> None:
        """Remove the note of a file that is settled; what it says is in the database."""
        self._remove(with_end(name, REASON))

    def clear_sidecar(self, name: str) -> None:
        self._remove(with_end(name, SIDECAR))

    def has_sidecar(self, name: str) -> bool:
        return os.path.lexists(self._here / with_end(name, SIDECAR))

    def is_copy(self, name: str, sha256: str | None, archived_as: str | None) -> bool:
        """Whether these very bytes lie here, and in the archive as well."""
        return (
            sha256 is not None
            and archived_as is not None
            and is_plain(archived_as)
            and holds(self._folders.archive / archived_as, sha256)
            and holds(self._here / name, sha256)
        )

    def remove_copy(self, name: str) -> None:
        """Remove a file of which ``is_copy`` was true."""
        with suppress(OSError):
            drop(self._here / name)

    def _remove(self, name: str) -> None:
        with suppress(OSError):
            (self._here / name).unlink()
            fsync_directory(self._here)


def is_sidecar_of_none(original: str) -> bool:
    """Whether a name leaves no room for that of a sidecar."""
    return len(os.fsencode(original)) + len(SIDECAR) > 255
