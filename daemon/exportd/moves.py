"""Durable moves: at every instant the bytes exist under a name that survives a power cut.

Nothing is ever replaced, and the new name is durable before the old one goes (DESIGN 2.1,
step 9).
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from .crash import reach
from .errors import DiskTrouble
from .folders import fsync_directory

REASON = ".reason.txt"  # NAME.reason.txt says why NAME was set aside


def with_end(name: str, end: str) -> str:
    """``name`` with ``end`` behind it; a long name is cut, so that there is room."""
    return os.fsdecode(os.fsencode(name)[: 255 - len(end)]) + end


def holds(path: Path, sha256: str) -> bool:
    """Whether a regular file with exactly these bytes lies at ``path``."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def move(path: Path, place: Path, sha256: str | None) -> bool:
    """Move without replacing; False when ``place`` is taken."""
    if sha256 is not None and path.lstat().st_nlink > 1:
        return _copy(path, place, sha256)  # under its other name it could be changed
    try:
        if not is_same(path, place):
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
    unlink_durably([(path, place)])
    return True


def move_new(pairs: Sequence[tuple[Path, Path]]) -> list[bool]:
    """Move files to places of one folder, with what is made durable made so for all at once.

    False where that is not simple: the place is taken, the file has another name, or hard
    links are refused; ``move`` sees to it then.
    """
    moved = []
    for path, place in pairs:
        try:
            is_simple = path.lstat().st_nlink == 1
            if is_simple:
                os.link(path, place, follow_symlinks=False)
        except OSError:
            is_simple = False
        moved.append(is_simple)
    unlink_durably([pair for pair, is_moved in zip(pairs, moved, strict=True) if is_moved])
    return moved


def unlink_durably(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Each file has both names: the second ones are made durable, then the first ones go."""
    reach("archive.linked")
    for folder in {place.parent for _, place in pairs}:
        fsync_directory(folder)
    reach("archive.durable")
    for path, _ in pairs:
        path.unlink()
    for folder in {path.parent for path, _ in pairs}:
        fsync_directory(folder)
    reach("archive.done")


def is_same(path: Path, place: Path) -> bool:
    """Whether both are one file: a kill came before the old name was gone."""
    try:
        return os.path.samestat(path.lstat(), place.lstat())
    except FileNotFoundError:
        return False


def is_taken(path: Path, place: Path) -> bool:
    """Whether something else lies where this is to go."""
    both = os.path.lexists(path) and os.path.lexists(place)
    return both and not is_same(path, place)


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
        return move(temporary, place, sha256) and drop(path)
    finally:
        temporary.unlink(missing_ok=True)


def drop(path: Path) -> bool:
    path.unlink()
    fsync_directory(path.parent)
    return True


def disk_trouble(path: Path, folder: Path, error: OSError) -> DiskTrouble:
    return DiskTrouble(f"{path.name}: cannot be moved to {folder} ({error.strerror})")
