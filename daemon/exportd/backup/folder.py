"""The folder that holds backups: whose turn it is, which are whole, which may go."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..archived import read_raw
from ..errors import ConfigurationError, DamagedBackup, DiskTrouble, FolderInUse, RefusedRequest
from ..folders import Folders, fsync_directory, not_permitted
from ..formats.text import printable
from . import listing as lists
from .listing import Listing

_NAME = re.compile(r"exportd-\d{8}T\d{6}Z")
_LEFT = re.compile(r"\.exportd-\d{8}T\d{6}Z\.(?:part|old)")
_LOCK = ".exportd-backup.lock"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that is there, and its list."""

    path: Path
    listing: Listing


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """The folder, made if need be, for one backup at a time."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = (folder / _LOCK).open("a")
    except PermissionError as error:
        raise not_permitted(error) from error
    except (FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        raise ConfigurationError(
            f"{printable(str(folder))}: expected a folder for backups, or one above that it "
            f"can be made in ({error.strerror})"
        ) from error
    except OSError as error:
        raise DiskTrouble(
            f"{printable(str(folder))}: cannot be written to ({error.strerror})"
        ) from error
    with lock:
        _lock(lock.fileno(), fcntl.LOCK_EX, folder)
        yield


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """No backup is made, and none removed, while one is read; as far as that can be said."""
    try:
        lock = (folder / _LOCK).open()
    except OSError:
        yield  # a copy of a backup elsewhere
        return
    with lock:
        _lock(lock.fileno(), fcntl.LOCK_SH, folder)
        yield


def _lock(descriptor: int, how: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FolderInUse(
            f"{printable(str(folder))}: a backup is being made, checked or restored there; "
            "wait for its end"
        ) from error


def refuse_unfit(folder: Path, folders: Folders) -> None:
    """A backup in the folder that it is of would hold itself, and be lost with it."""
    place, memory = folder.resolve(), folders.memory.resolve()
    if place == memory or place.is_relative_to(memory):
        raise RefusedRequest(
            f"{printable(str(folder))} lies in the memory folder {folders.memory}; "
            "give a folder outside of it, best on another disk"
        )


def tidy(folder: Path) -> None:
    """Remove what a backup that was killed, or a removal, left."""
    for path in folder.iterdir():
        if _LEFT.fullmatch(path.name) and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def new_name(folder: Path, now: datetime) -> tuple[str, datetime]:
    """A name that is free, and its time: two backups of one second are a second apart."""
    moment = now.astimezone(UTC).replace(microsecond=0)
    while os.path.lexists(folder / (name := f"exportd-{moment:%Y%m%dT%H%M%SZ}")):
        moment += timedelta(seconds=1)
    return name, moment


def names(folder: Path) -> list[str]:
    """The backups in a folder, by name alone, the oldest first."""
    try:
        return sorted(
            path.name
            for path in folder.iterdir()
            if _NAME.fullmatch(path.name) and path.is_dir()
        )
    except (FileNotFoundError, NotADirectoryError):
        return []


def opened(path: Path) -> Backup:
    """``DamagedBackup`` when its list is not as it was written; no other file is read."""
    where = printable(f"{path.name}/{lists.NAME}")
    raw = read_raw(path, lists.NAME)
    if isinstance(raw, str):
        raise DamagedBackup(f"{where}: expected the list of a backup, found {raw}")
    return Backup(path, lists.decode(raw, where))


def chosen(path: Path) -> Backup:
    """The backup at ``path``, or the newest in there; ``RefusedRequest`` without one."""
    if os.path.lexists(path / lists.NAME) or _NAME.fullmatch(path.absolute().name):
        if not path.is_dir():
            raise RefusedRequest(f"there is no backup {printable(str(path))}")
        return opened(path)
    found = names(path)
    if not found:
        raise RefusedRequest(
            f"there is no backup in {printable(str(path))}; expected a folder "
            "exportd-YYYYMMDDTHHMMSSZ, or one that holds some"
        )
    return opened(path / found[-1])


def whole(folder: Path, memory: Listing | None = None) -> list[Backup]:
    """The backups whose lists can be read, the oldest first; of one memory folder, if given."""
    found = []
    for name in names(folder):
        try:
            backup = opened(folder / name)
        except (DamagedBackup, RefusedRequest):
            continue  # not for us to judge: it stays
        if memory is None or _is_of(backup.listing, memory):
            found.append(backup)
    return found


def _is_of(listing: Listing, other: Listing) -> bool:
    """Whether both are of one store, wherever it was moved."""
    if listing.archive_id and other.archive_id:
        return listing.archive_id == other.archive_id
    return listing.memory_dir == other.memory_dir


def to_remove(
    backups: list[Backup], keep: int | None, keep_days: int | None, now: datetime
) -> list[Backup]:
    """Which may go, the oldest first: never the newest, nor the newest that lacks nothing."""
    if not backups:
        return []
    good = [backup for backup in backups if not backup.listing.missing]
    safe = {backups[-1].path, *(backup.path for backup in good[-1:])}
    old = backups[:-keep] if keep else []
    if keep_days:
        limit = now - timedelta(days=keep_days)
        old = [backup for backup in backups if backup.listing.created_at < limit]
    return [backup for backup in old if backup.path not in safe]


def remove(backup: Backup) -> None:
    """Under another name first: half of a backup is not to be taken for one."""
    aside = backup.path.with_name(f".{backup.path.name}.old")
    backup.path.rename(aside)
    fsync_directory(aside.parent)
    shutil.rmtree(aside, ignore_errors=True)
