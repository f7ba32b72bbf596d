"""Archived files are packed, and unpacked again; at every instant the bytes are there whole.

The packed file is written under a hidden name, made durable, unpacked to compare, and only
then gets its name; only when that is durable, too, the other one goes. After a kill both may
be there, and the next time completes it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .crash import reach
from .errors import DiskTrouble
from .folders import fsync_directory
from .packed import (
    Damaged,
    digest_of,
    opened,
    pack,
    packed_name,
    unpacked,
    unpacked_digest,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Packed:
    """A file that was packed; ``why_not`` it stays as it is, in words."""

    name: str
    before_bytes: int
    after_bytes: int = 0
    why_not: str = ""


class Packing:
    """Packs the files of one archive."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive

    def pack(
        self, name: str, sha256: str, go_on: Callable[[], bool] = lambda: True
    ) -> Packed | None:
        """Pack a file with these bytes; None where no plain one of this name is here.

        ``Interrupted`` when ``go_on`` says no, ``DiskTrouble`` when the disk does.
        """
        path, other = self._archive / name, packed_name(name)
        if other is None or not _is_file(path):
            return None
        place = self._archive / other
        try:
            status = path.lstat()
            if not os.path.lexists(place):
                why_not = self._write(path, place, status, sha256, go_on)
            else:  # of an earlier time that was killed, or it is something else
                why_not = _why_not(path, place, sha256)
            if why_not:
                return Packed(name, status.st_size, why_not=why_not)
            path.unlink()
            fsync_directory(self._archive)
            reach("pack.done")
            return Packed(name, status.st_size, place.lstat().st_size)
        except OSError as error:
            raise _trouble(path, error) from error

    def unpack(self, name: str) -> None:
        """Make a file what it was, if it is packed."""
        path, other = self._archive / name, packed_name(name)
        if other is None or os.path.lexists(path):
            return
        place = self._archive / other
        temporary = self._archive / f".{uuid.uuid4().hex}.tmp"
        try:
            with opened(place) as file, temporary.open("xb") as out:
                for piece in unpacked(file, 2**63):
                    out.write(piece)
                out.flush()
                os.fsync(out.fileno())
            self._show(temporary, path, place.lstat())
            place.unlink()
            fsync_directory(self._archive)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _trouble(place, error) from error
        finally:
            temporary.unlink(missing_ok=True)

    def _write(
        self,
        path: Path,
        place: Path,
        status: os.stat_result,
        sha256: str,
        go_on: Callable[[], bool],
    ) -> str:
        """The packed file beside the other; why not, if it is not there then."""
        temporary = self._archive / f".{uuid.uuid4().hex}.tmp"
        try:
            with opened(path) as file, temporary.open("xb") as out:
                if pack(file, status.st_size, out, go_on) != sha256:
                    return _CHANGED
                out.flush()
                os.fsync(out.fileno())
                if out.tell() >= status.st_size:
                    return "it would not get smaller"
            _check(temporary, place, status.st_size, sha256)
            reach("pack.written")
            self._show(temporary, place, status)
            reach("pack.linked")
        finally:
            temporary.unlink(missing_ok=True)
        return ""

    def _show(self, temporary: Path, place: Path, like: os.stat_result) -> None:
        """Under its name, in the place of nothing, with the times of the other one."""
        temporary.chmod(0o600)
        os.utime(temporary, ns=(like.st_atime_ns, like.st_mtime_ns))
        try:
            os.link(temporary, place)
        except FileExistsError:
            raise
        except OSError:
            temporary.rename(place)  # hard links are refused here: FAT
        fsync_directory(self._archive)


_CHANGED = "it is not what was archived; see exportd verify"


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _check(temporary: Path, place: Path, size_bytes: int, sha256: str) -> None:
    try:
        found = unpacked_digest(temporary, size_bytes)
    except Damaged:
        found = ""
    if found != sha256:
        raise DiskTrouble(f"{place}: what was written differs from the file; check the disk")


def _why_not(path: Path, place: Path, sha256: str) -> str:
    if digest_of(path) != sha256:
        return _CHANGED
    return "" if digest_of(place) == sha256 else f"{place.name} is another file"


def _trouble(path: Path, error: OSError) -> DiskTrouble:
    return DiskTrouble(f"{path}: cannot be packed ({error.strerror})")
