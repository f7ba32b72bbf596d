"""Make a backup: the database first, then the files, then what came in between.

What the dump knows as archived lies in the archive from then on, so files that are copied
behind the dump are all that it needs. A file that was ingested after the dump is of no
use in the archive of the backup: there it waits in exports/, to be ingested again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from .. import version
from ..archive import MARK
from ..archived import read_raw
from ..crash import reach
from ..errors import DiskTrouble
from ..folders import Folders, fsync_directory, sidecar_of, with_suffix_before_extension
from ..formats.text import escape, unescape
from ..manifest import Manifest
from ..store import Store, Transaction
from ..store.backing import (
    BackedUp,
    Content,
    export_snapshot,
    read_backed_up,
    read_contents,
    read_ingested,
)
from . import listing as lists
from .checking import Show, read_back
from .copying import Copier, Earlier, check_stop, make_durable
from .folder import new_name, whole
from .listing import Entry, Listing
from .programs import dump
from .tree import walk

# A file that somebody moves back is looked for again, so often.
_PASSES = 10
_PACKED = ".zst"  # an archived file that was compressed since


@dataclass(frozen=True, slots=True)
class Order:
    """What to back up, where to, and how."""

    folders: Folders
    url: str
    into: Path
    alone: bool  # the database serves this memory folder and no other
    link: bool
    verify: bool
    reserve_bytes: int


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made: where, what is in it, and what of that is new there."""

    path: Path
    listing: Listing
    new_files: int
    new_bytes: int


def make(
    order: Order, store: Store, now: datetime, stopping: threading.Event, show: Show
) -> Made:
    """Write one, under a name that is given at the very end; nothing is left of a failure."""
    name, moment = new_name(order.into, now)
    temporary = order.into / f".{name}.part"
    try:
        made = _Making(order, store, temporary, name, moment, stopping, show).run()
        reach("backup.written")
        temporary.rename(order.into / name)
        fsync_directory(order.into)
    except OSError as error:
        raise DiskTrouble(
            f"{order.into}: no backup was made ({error.strerror}: {error.filename})"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    reach("backup.done")
    return replace(made, path=order.into / name)


class _Making:
    """One backup on its way."""

    def __init__(
        self,
        order: Order,
        store: Store,
        place: Path,
        name: str,
        moment: datetime,
        stopping: threading.Event,
        show: Show,
    ) -> None:
        self._order = order
        self._store = store
        self._place = place
        self._name = name
        self._moment = moment
        self._stopping = stopping
        self._show = show
        self._memory_dir = None if order.alone else escape(str(order.folders.memory))

    def run(self) -> Made:
        facts, contents, copier = self._gather()
        missing = _missing(contents, copier)
        if missing and self._changed(contents):
            # Taken out of the archive between dump and copy: of one moment, once more.
            facts, contents, copier = self._gather()
            missing = _missing(contents, copier)
        copier.drop_moved(self._is_there)
        self._send_back_late(contents, copier)
        listing = Listing(
            lists.FORMAT,
            version(),
            self._name,
            self._moment,
            escape(str(self._order.folders.memory)),
            _archive_id(self._order.folders),
            facts.schema,
            facts.migrations,
            facts.server_version_num,
            facts.conversations,
            facts.messages,
            facts.exports,
            self._dumped(),
            tuple(sorted(copier.entries.values(), key=lambda entry: entry.path)),
            tuple(missing),
            tuple(_damaged(contents, copier)),
            tuple(f"{path}: {why}" for path, why in sorted(copier.skipped.items())),
        )
        self._finish(listing, copier)
        new_bytes = sum(copier.entries[path].size_bytes for path in copier.written)
        new_bytes += listing.database.size_bytes
        return Made(self._place, listing, len(copier.written), new_bytes)

    def _gather(self) -> tuple[BackedUp, list[Content], Copier]:
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir(mode=0o700)
        (self._place / lists.MEMORY).mkdir(mode=0o700)
        facts, contents = self._store.run(self._dump)
        reach("backup.dumped")
        copier = Copier(
            self._place / lists.MEMORY,
            self._earlier(),
            self._order.reserve_bytes,
            self._stopping,
        )
        self._copy(copier, len(contents))
        reach("backup.copied")
        return facts, contents, copier

    def _dump(self, tx: Transaction) -> tuple[BackedUp, list[Content]]:
        snapshot = export_snapshot(tx)
        facts = read_backed_up(tx.rows)
        contents = read_contents(tx.rows, self._memory_dir)
        dump(
            self._order.url,
            facts.schema,
            snapshot,
            self._place / lists.DUMP,
            facts.server_version_num,
            self._stopping,
        )
        return facts, contents

    def _earlier(self) -> Earlier | None:
        """The newest backup of the same store, to link to."""
        if not self._order.link:
            return None
        here = escape(str(self._order.folders.memory))
        archive_id = _archive_id(self._order.folders)
        for backup in reversed(whole(self._order.into)):
            listing = backup.listing
            if listing.archive_id == archive_id if archive_id else listing.memory_dir == here:
                return Earlier(backup.path, listing.files)
        return None

    def _copy(self, copier: Copier, about: int) -> None:
        """Pass after pass, until one finds nothing new."""
        for _ in range(_PASSES):
            is_quiet = True
            for number, found in enumerate(walk(self._order.folders), 1):
                is_quiet &= not copier.take(found)
                self._show(number, max(about, number))
            if is_quiet:
                return

    def _changed(self, contents: Sequence[Content]) -> bool:
        now = self._store.run(lambda tx: read_contents(tx.rows, self._memory_dir))
        before = {(c.sha256, c.archive_name) for c in contents if c.expected}
        return not before <= {(c.sha256, c.archive_name) for c in now if c.expected}

    def _is_there(self, entry: Entry) -> bool:
        return os.path.lexists(self._order.folders.memory.joinpath(*entry.parts))

    def _send_back_late(self, contents: Sequence[Content], copier: Copier) -> None:
        """What was ingested after the dump waits in the backup's exports/."""
        known = {content.sha256 for content in contents}
        names = {content.archive_name for content in contents if content.archive_name}
        archive = f"{self._order.folders.archive.name}/"
        strange = [
            entry
            for path, entry in copier.entries.items()
            if path.startswith(archive)
            and entry.sha256 not in known
            and not names & {path.removeprefix(archive), _unpacked(path.removeprefix(archive))}
        ]
        late = set[str]()
        if strange:
            hashes = [entry.sha256 for entry in strange]
            late = self._store.run(lambda tx: read_ingested(tx.rows, hashes))
        if not late:
            return
        records = {
            r["sha256"]: r
            for r in Manifest(self._order.folders.archive).records()
            if r["type"] == "drop" and r["sha256"] in late
        }
        for entry in strange:
            if entry.sha256 in late:
                self._send_back(entry, records.get(entry.sha256, {}), copier)

    def _send_back(self, entry: Entry, record: dict[str, object], copier: Copier) -> None:
        exports = self._order.folders.exports.name
        name = unescape(str(record.get("name") or entry.parts[-1]))
        path = escape(f"{exports}/{name}")
        if path in copier.entries:
            path = escape(f"{exports}/{with_suffix_before_extension(name, entry.sha256[:12])}")
        copier.rename(entry.path, path)
        if session_id := record.get("session_id"):
            told = unescape(str(session_id)).encode("utf-8", "surrogateescape")
            copier.write(str(sidecar_of(Path(path))), told + b"\n")

    def _dumped(self) -> Entry:
        path = self._place / lists.DUMP
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Entry(lists.DUMP, path.stat().st_size, sha256)

    def _finish(self, listing: Listing, copier: Copier) -> None:
        """Durable, and read back from the disk, before the list vouches for it."""
        new = [(copier.place(path), copier.entries[path].sha256) for path in copier.written]
        new.append((self._place / lists.DUMP, listing.database.sha256))
        for number, (path, sha256) in enumerate(new, 1):
            check_stop(self._stopping)
            found = read_back(path, compare=self._order.verify, stopping=self._stopping)
            if found not in (None, sha256):
                raise DiskTrouble(
                    f"{path.name}: the copy, read back, differs from what was written; no backup "
                    f"was made: check the disk of {self._order.into}"
                )
            self._show(number, len(new))
        raw = lists.encode(listing)
        sums = lists.sums(listing, hashlib.sha256(raw).hexdigest())
        for name, content in ((lists.NAME, raw), (lists.SUMS, sums)):
            (self._place / name).write_bytes(content)
            read_back(self._place / name, compare=False, stopping=self._stopping)
        make_durable(self._place)


def _missing(contents: Sequence[Content], copier: Copier) -> list[str]:
    """Names that the archive should have had; the bytes under another name will do."""
    hashes = {entry.sha256 for entry in copier.entries.values()}
    return sorted(
        str(content.archive_name)
        for content in contents
        if content.expected
        and content.sha256 not in hashes
        and not any(
            f"exports-archive/{content.archive_name}{end}" in copier.entries
            for end in ("", _PACKED)
        )
    )


def _damaged(contents: Sequence[Content], copier: Copier) -> list[str]:
    """Names under which other bytes lay than were ingested."""
    known = {content.sha256 for content in contents}
    names = {c.archive_name for c in contents if c.expected}
    return sorted(
        name
        for name in names
        if name
        and not name.endswith(_PACKED)
        and (entry := copier.entries.get(f"exports-archive/{name}"))
        and entry.sha256 not in known
    )


def _unpacked(name: str) -> str:
    return name.removesuffix(_PACKED)


def _archive_id(folders: Folders) -> str | None:
    raw = read_raw(folders.archive, MARK)
    return raw.decode("ascii", "replace").strip() if isinstance(raw, bytes) else None
