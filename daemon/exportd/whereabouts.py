"""Where the bytes of an ingested export are, and whether they are still the same."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import containers
from .archived import NOTHING, names, read_packed, read_raw
from .checks.facts import ExportRow
from .errors import MalformedExport
from .folders import Folders, is_plain, with_suffix_before_extension
from .formats.text import escape, unescape
from .packed import packed_name
from .store import Store
from .store.checking import read_content, read_export, read_holders

# A file that exportd moves just now is somewhere else a moment later.
_LOOKS, _BETWEEN_LOOKS_S = 4, 0.25


@dataclass(frozen=True, slots=True)
class Amiss:
    """The bytes are not where they should be: what stands at ``file`` instead.

    ``kind`` is that of the finding. ``unknowable``: nothing can be said from here, and
    ``found`` is why.
    """

    kind: str
    file: str
    found: str
    unknowable: bool = False


class Whereabouts:
    """Finds raw bytes; ``store`` is asked anew, outside of any snapshot.

    ``alone``: the database serves this memory folder and no other, wherever it was moved
    from.
    """

    def __init__(self, folders: Folders, store: Store, *, alone: bool) -> None:
        self._alone = alone
        self._folders = folders
        self._store = store
        self._holder: tuple[int, bytes | None] | None = None
        self.used: set[str] = set()  # names in the archive that stand for an export

    def bytes_of(self, export: ExportRow) -> bytes | Amiss:
        """The very bytes that were ingested; looked for again before they are missed."""
        found = self._look(export, frozenset())
        for look in range(_LOOKS):
            if isinstance(found, bytes) or found.unknowable:
                return found
            if look:
                if not names(self._folders.inflight):
                    break  # nothing is on its way
                time.sleep(_BETWEEN_LOOKS_S)
            found = self._look(self._now(export), frozenset())
        return found

    def _in_container(self, export: ExportRow, seen: frozenset[str]) -> bytes | None:
        """The bytes of a member, out of the file that it came in."""
        for holder_id, locator, name in self._store.run(
            lambda tx: read_holders(tx.rows, export.export_id)
        ):
            container = containers.named(name)
            raw = self._held_in(holder_id, seen | {export.sha256}) if container else None
            if container is None or raw is None:
                continue
            with suppress(MalformedExport):
                found = container.extract(raw, locator.rpartition("/")[2])
                if _is(found, export):
                    return found
        return None

    def _held_in(self, holder_id: int, seen: frozenset[str]) -> bytes | None:
        """The bytes of a container; the last one is kept, for it has the next member, too."""
        if self._holder is None or self._holder[0] != holder_id:
            holder = self._store.run(lambda tx: read_export(tx.rows, holder_id))
            if holder is None or holder.sha256 in seen:
                return None
            raw = self._look(holder, seen)
            self._holder = (holder_id, raw if isinstance(raw, bytes) else None)
        return self._holder[1]

    def _now(self, export: ExportRow) -> ExportRow:
        found = self._store.run(lambda tx: read_export(tx.rows, export.export_id))
        return found or export

    def _look(self, export: ExportRow, seen: frozenset[str]) -> bytes | Amiss:
        if export.archive_name is None and export.grown_into is not None:
            return self._grown(export, export.grown_into, seen | {export.sha256})
        if export.archive_name is None:
            held = self._in_container(export, seen)
            return held if isinstance(held, bytes) else self._on_its_way(export)
        here = self._in_folder(self._folders, export)
        if isinstance(here, bytes) or self._is_ours(export):
            return here
        return self._in_other_folders(export)

    def _is_ours(self, export: ExportRow) -> bool:
        here = escape(str(self._folders.memory))
        return self._alone or not export.memory_dirs or here in export.memory_dirs

    def _in_folder(self, folders: Folders, export: ExportRow) -> bytes | Amiss:
        """Under its name; where several folders have it, maybe under that of its own drop."""
        amiss: Amiss | None = None
        for name, raw in _candidates(folders.archive, export):
            if isinstance(raw, bytes) and hashlib.sha256(raw).hexdigest() == export.sha256:
                if folders is self._folders:
                    self.used.add(name)
                return raw
            file = f"{folders.archive.name}/{escape(name)}"
            if folders is not self._folders:
                file = escape(str(folders.archive / name)) if is_plain(name) else file
            found = _amiss(file, raw)
            if amiss is None or "archive_missing" == amiss.kind != found.kind:
                amiss = found
        return amiss or Amiss("archive_missing", folders.archive.name, "no name to look under")

    def _in_other_folders(self, export: ExportRow) -> bytes | Amiss:
        amiss: Amiss | None = None
        for memory_dir in export.memory_dirs:
            folders = Folders(Path(unescape(memory_dir)))
            if folders.archive.is_dir():
                found = self._in_folder(folders, export)
                if isinstance(found, bytes):
                    return found
                amiss = amiss or found
        why = f"archived under {export.memory_dirs[0]}, which is not on this machine"
        return amiss or Amiss("not_checked", export.name, why, unknowable=True)

    def _on_its_way(self, export: ExportRow) -> bytes | Amiss:
        """Ingested, not archived yet: in flight, or moved and not yet marked so."""
        for claim in names(self._folders.inflight):
            folder = self._folders.inflight / claim
            for name in names(folder) if not folder.is_symlink() and folder.is_dir() else ():
                raw = read_raw(folder, name)
                if isinstance(raw, bytes) and _is(raw, export):
                    return raw
        found = self._in_folder(self._folders, export)
        if isinstance(found, bytes) or self._is_ours(export):
            return found
        return self._in_other_folders(export)

    def _grown(self, export: ExportRow, into: str, seen: frozenset[str]) -> bytes | Amiss:
        """A file that grew while it was read: its bytes are the beginning of another's."""
        grown = None
        if into not in seen:
            grown = self._store.run(lambda tx: read_content(tx.rows, into))
        if grown is None:
            return Amiss("grown_lost", export.name, "no ingested export has that SHA-256")
        found = self._look(grown, seen)
        if isinstance(found, Amiss):
            return found
        raw = found[: export.size_bytes]
        why = "rewritten, not appended to, while it was read"
        return (
            raw if _is(raw, export) else Amiss("not_checked", export.name, why, unknowable=True)
        )


def _is(raw: bytes, export: ExportRow) -> bool:
    return len(raw) == export.size_bytes and hashlib.sha256(raw).hexdigest() == export.sha256


def _candidates(archive: Path, export: ExportRow) -> Iterator[tuple[str, bytes | str]]:
    """What lies under each of its names, plain and packed."""
    for name in _names(export):
        yield name, read_raw(archive, name)
        raw = read_packed(archive, name, export.size_bytes)
        if isinstance(raw, bytes) or raw != NOTHING:
            yield packed_name(name) or name, raw


def _names(export: ExportRow) -> Iterator[str]:
    """As ``archive.find`` looks: by each name it was dropped under, and with its hash."""
    if export.archive_name is not None:
        yield unescape(export.archive_name)
        if len(export.memory_dirs) < 2:
            return
    for name in dict.fromkeys((export.name, *export.dropped_names)):
        yield unescape(name)
        yield with_suffix_before_extension(unescape(name), export.sha256[:12])


def _amiss(file: str, raw: bytes | str) -> Amiss:
    if isinstance(raw, bytes):
        digest = hashlib.sha256(raw).hexdigest()
        return Amiss("archive_changed", file, f"{len(raw)} bytes with SHA-256 {digest}")
    missing = raw == NOTHING
    return Amiss("archive_missing" if missing else "archive_unreadable", file, raw)
