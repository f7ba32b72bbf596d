"""The files of a memory folder, in the order in which a daemon moves them on.

A file goes from exports/ into flight, and from there to the archive or the dead letters.
Whoever looks in that order, and sees a folder to its end before the next, may see a file
twice, but never between two folders.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import manifest
from ..folders import Folders

_TEMPORARY = re.compile(r"\.[0-9a-f-]{32,36}\.tmp")


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file, or what is no regular file and why that is left out."""

    parts: tuple[str, ...]
    path: Path
    status: os.stat_result | None
    unfit: str | None = None


def walk(folders: Folders) -> Iterator[Found]:
    """Everything but what is derived (session files) and exportd's own state.

    The manifest comes last: it is to have a line for every file of the archive.
    """
    areas = (folders.exports, folders.inflight, folders.failed, folders.archive)
    for area in areas:
        yield from _below(area, area.relative_to(folders.memory).parts)
    apart = {area.name for area in areas} | {folders.sessions.name, folders.state.name}
    for name in _names(folders.memory):
        if name not in apart:
            yield from _one(folders.memory / name, (name,))
    listed = folders.archive / manifest.NAME
    yield from _one(listed, listed.relative_to(folders.memory).parts)


def _below(folder: Path, parts: tuple[str, ...]) -> Iterator[Found]:
    try:
        names = _names(folder)
    except OSError as error:
        yield Found(parts, folder, None, f"cannot be looked into ({error.strerror})")
        return
    for name in names:
        if name != manifest.NAME or parts != ("exports-archive",):
            yield from _one(folder / name, (*parts, name))


def _one(path: Path, parts: tuple[str, ...]) -> Iterator[Found]:
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return  # gone meanwhile
    except OSError as error:
        yield Found(parts, path, None, f"cannot be looked at ({error.strerror})")
        return
    if stat.S_ISDIR(status.st_mode):
        yield from _below(path, parts)
    elif not stat.S_ISREG(status.st_mode):
        link = stat.S_ISLNK(status.st_mode)
        yield Found(parts, path, None, "a symbolic link" if link else "a special file")
    elif not _TEMPORARY.fullmatch(path.name):
        yield Found(parts, path, status)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
