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
from ..folders import SIDECAR, Folders, fsync_directory, is_plain, with_suffix_before_extension
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
from .judging import damaged, strangers
from .judging import missing as missing_in
from .listing import Entry, Listing
from .programs import dump
from .tree import walk

# A file that somebody moves back is looked for again, so often.
_PASSES = 10


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
        missing = missing_in(contents, copier.entries)
        if missing and self._changed(contents):
            # Taken out of the archive between dump and copy: of one moment, once more.
            facts, contents, copier = self._gather()
            missing = missing_in(contents, copier.entries)
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
            tuple(damaged(contents, copier.entries)),
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
        strange = strangers(contents, copier.entries)
        late = set[str]()
        if strange:
            hashes = [entry.sha256 for entry in strange]
            late = self._store.run(lambda tx: read_ingested(tx.rows, hashes))
        if not late:
            return
        listed = Manifest(self._order.folders.archive).records()
        records = {r["sha256"]: r for r in listed if r["type"] == "drop"}
        for entry in strange:
            if entry.sha256 in late:
                self._send_back(entry, records.get(entry.sha256, {}), copier)

    def _send_back(self, entry: Entry, record: dict[str, object], copier: Copier) -> None:
        """Under the name that it was dropped under, with the sidecar that it came with."""
        exports = self._order.folders.exports.name
        name = unescape(str(record.get("name")))
        if not is_plain(name) or "name" not in record:
            name = entry.parts[-1]
        path = escape(f"{exports}/{name}")
        if path in copier.entries:
            path = escape(f"{exports}/{with_suffix_before_extension(name, entry.sha256[:12])}")
        copier.rename(entry.path, path)
        if session_id := record.get("session_id"):
            told = unescape(str(session_id)).encode("utf-8", "surrogateescape")
            copier.write(path + SIDECAR, told + b"\n")

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
                    f"{path.name}: the copy, read back, differs from what was written; no "
                    f"backup was made: check the disk of {self._order.into}"
                )
            self._show(number, len(new))
        raw = lists.encode(listing)
        sums = lists.sums(listing, hashlib.sha256(raw).hexdigest())
        for name, content in ((lists.NAME, raw), (lists.SUMS, sums)):
            (self._place / name).write_bytes(content)
            read_back(self._place / name, compare=False, stopping=self._stopping)
        make_durable(self._place)


def _archive_id(folders: Folders) -> str | None:
    raw = read_raw(folders.archive, MARK)
    return raw.decode("ascii", "replace").strip() if isinstance(raw, bytes) else None
