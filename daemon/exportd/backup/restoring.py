"""Bring a backup into an empty memory folder and an empty database.

A mark in each says which backup is on its way, so that an interrupted restore goes on
where it stopped, and nobody works in half of a folder. The dump comes in one transaction.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..crash import reach
from ..errors import DamagedBackup, DiskTrouble, RefusedRequest
from ..folders import Folders, free_bytes, fsync_directory, write_file
from ..formats.text import printable
from ..store import Store, known_migrations, migrate
from ..store.backing import Place, analyze, mark, move, read_backed_up, read_place, unmark
from . import listing as lists
from .checking import Damage, Reader, Show, read_back
from .copying import check_stop, copy
from .folder import Backup
from .listing import Listing
from .programs import load

# What a server, a lock and a container's disk leave in a folder that is empty for us.
_NOTHING = {".gitignore", "lock", "postgres.turn", "postgres.users", "restoring"}
_CHANNELS = ("slack", "mail", "webhook")


def refuse_newer(listing: Listing) -> None:
    """A schema that this exportd does not know cannot be worked with."""
    unknown = [name for name in listing.migrations if name not in known_migrations()]
    if unknown:
        raise RefusedRequest(
            f"the backup is of exportd {listing.exportd} with the schema {unknown[-1]}, which "
            "this version does not know; use that version or a newer one"
        )


def check_folder(folders: Folders, backup: Backup) -> bool:
    """Whether an interrupted restore of this backup is to go on; else the folder is empty.

    ``RefusedRequest`` says what else was found.
    """
    try:
        begun = folders.restoring.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        begun = None
    if begun is not None:
        if begun == _mark(backup):
            return True
        raise RefusedRequest(
            f"{folders.memory}: an interrupted restore of {printable(begun)} lies here; go on "
            "with that one, or remove the folder"
        )
    found = _first_file(folders)
    if found is not None:
        raise RefusedRequest(
            f"{folders.memory}: expected an empty folder, or none, found "
            f"{printable(folders.relative(found))}; move it away, or give another one "
            "(--memory-dir)"
        )
    return False


def _first_file(folders: Folders) -> Path | None:
    """Something in there that is no empty folder and none of the traces of a lock.

    Links are followed: behind one may lie an archive on a disk of its own, and full.
    """
    if os.path.lexists(folders.memory) and not folders.memory.is_dir():
        return folders.memory
    for place, below, files in os.walk(folders.memory, followlinks=True):
        below[:] = [name for name in below if name != "lost+found"]
        for name in sorted(files):
            path = Path(place) / name
            if path.parent != folders.state or name not in _NOTHING:
                return path
    return None


def check_database(place: Place, backup: Backup) -> bool:
    """Whether the dump is there already; ``RefusedRequest`` when anything else is."""
    if place.schema is None:
        raise RefusedRequest(
            f"the database has no schema to restore to; expected {backup.listing.schema}: "
            f"CREATE SCHEMA, and name it in the URL (options=-csearch_path=…)"
        )
    if place.marked is not None and place.marked != _mark(backup):
        raise RefusedRequest(
            f"the database holds an interrupted restore of {printable(place.marked)}; go on "
            "with that one, or give an empty database"
        )
    if place.tables and place.marked is None:
        raise RefusedRequest(
            f"the database is not empty: schema {printable(place.schema)} has "
            f"{len(place.tables)} tables ({', '.join(map(printable, place.tables[:3]))}, …); "
            "create a new one (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0) and give "
            "its URL (EXPORTD_DATABASE_URL)"
        )
    if place.schema != backup.listing.schema:
        raise RefusedRequest(
            f"the backup is of the schema {printable(backup.listing.schema)}, and the URL "
            f"leads to {printable(place.schema)}; create that schema in the new database, and "
            "name it in the URL (options=-csearch_path=…)"
        )
    return bool(place.tables)


def refuse_damage(backup: Backup, damages: Sequence[Damage], *, from_archive: bool) -> None:
    """Say what is damaged, and what can be done all the same."""
    if not damages:
        return
    dump = any(one.path == lists.DUMP for one in damages)
    lines = [f"{backup.path}: {len(damages)} of its files are damaged; nothing was restored"]
    lines += (f"{printable(one.path)}: {printable(one.found)}" for one in damages[:10])
    if len(damages) > 10:
        lines.append(f"… and {len(damages) - 10:,} more: exportd backup --check {backup.path}")
    lines.append(
        "Take another backup, which 'exportd backup --check' finds whole. Without one:"
    )
    if dump and not from_archive:
        lines.append("--from-archive restores the files alone, for exportd reindex")
    if len(damages) > dump or from_archive:
        lines.append(
            "--skip-damaged leaves the damaged files out; exportd verify then names them"
        )
    raise DamagedBackup("\n".join(lines))


def check_room(folders: Folders, backup: Backup) -> None:
    """The files must fit; how much a database takes, nobody knows before."""
    there = next(place for place in (folders.memory, *folders.memory.parents) if place.is_dir())
    if free_bytes(there) < backup.listing.size_bytes:
        raise DiskTrouble(
            f"{folders.memory}: the disk has less free than the backup takes "
            f"({backup.listing.size_bytes:,} bytes); nothing was restored"
        )


def begin(folders: Folders, backup: Backup) -> None:
    """Mark the folder: from here on it is for this restore alone."""
    write_file(folders.restoring, [f"{_mark(backup)}\n"])
    reach("restore.marked")


def bring_files(
    folders: Folders,
    backup: Backup,
    left_out: set[str],
    stopping: threading.Event,
    show: Show,
) -> int:
    """Every file of the backup to its place, durable; returns how many."""
    entries = [entry for entry in backup.listing.files if entry.path not in left_out]
    reader = Reader(stopping)
    places: list[Path] = []
    for number, entry in enumerate(entries, 1):
        check_stop(stopping)
        place = folders.memory.joinpath(*entry.parts)
        if not os.path.lexists(place) or reader.hash(place) != entry.sha256:
            _bring(backup, entry, place, stopping)
        places.append(place)
        show(number, len(entries))
    for place in places:
        read_back(place, compare=False, stopping=stopping)
    for folder in {above for place in places for above in _above(place, folders.memory)}:
        fsync_directory(folder)
    reach("restore.files")
    return len(entries)


def _bring(backup: Backup, entry: lists.Entry, place: Path, stopping: threading.Event) -> None:
    source = backup.path.joinpath(lists.MEMORY, *entry.parts)
    with suppress(FileNotFoundError):
        place.unlink()  # what an interrupted run wrote of it
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(source, flags), "rb", buffering=0) as file:
            sha256, _ = copy(file, place, entry.modified_ns, stopping)
    except OSError as error:
        raise DiskTrouble(f"{source}: cannot be read ({error.strerror})") from error
    if sha256 != entry.sha256:
        raise DamagedBackup(f"{printable(str(source))}: other bytes than a moment ago")


def _above(place: Path, memory: Path) -> list[Path]:
    return [folder for folder in place.parents if folder.is_relative_to(memory)]


def bring_database(
    url: str, store: Store, backup: Backup, stopping: threading.Event
) -> list[str]:
    """Load the dump and bring it up to date; returns the migrations that it lacked."""
    place = store.run(read_place)
    if not check_database(place, backup):
        if place.marked is None:
            store.run(lambda tx: mark(tx, _mark(backup)))
        dump = backup.path / lists.DUMP
        load(url, backup.listing.schema, dump, place.server_version_num, stopping)
    reach("restore.loaded")
    applied = migrate(url)
    store.close()  # the next connection has the role that is there now
    facts = store.run(lambda tx: read_backed_up(tx.rows))
    listing = backup.listing
    found = facts.conversations, facts.messages, facts.exports
    expected = listing.conversations, listing.messages, listing.exports
    if found != expected:
        raise DamagedBackup(
            f"the restored database has {found[1]:,} messages of {found[0]:,} conversations "
            f"and {found[2]:,} exports, not {expected[1]:,} of {expected[0]:,} and "
            f"{expected[2]:,}; remove it and the folder, and restore into a new one that "
            "nobody else uses"
        )
    return applied


def end(store: Store | None, folders: Folders) -> None:
    """Take the marks away: the folder is as any other."""
    reach("restore.told")
    if store is not None and store.run(read_place).marked is not None:
        store.run(unmark)
    folders.restoring.unlink()
    fsync_directory(folders.state)


def move_rows(store: Store, old: str, new: str) -> None:
    """The database follows the folder to its new place; paths are escaped."""
    if old != new:
        store.run(lambda tx: move(tx, old, new, _CHANNELS))
    store.run(analyze)


def _mark(backup: Backup) -> str:
    """A backup's name, and the beginning of its list's hash: of two alike, one is meant."""
    listed = (backup.path / lists.NAME).read_bytes()
    return f"{backup.path.name} {hashlib.sha256(listed).hexdigest()[:16]}"
