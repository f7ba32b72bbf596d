"""A backlog: many small files go steps 4 to 9 of the road together (DESIGN 2.1).

Each step is done for all of a group before the next begins, so that a transaction, or what
makes a folder durable, serves for many files; at every step a kill leaves of each what it
leaves of one that comes alone. What is not simple is left to the pipeline, which takes the
file up where the group left it: in flight, and known to the store or not.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import structlog

from .archive import Archive
from .backlog import ingest_all
from .crash import reach
from .errors import ExportdError
from .folders import Folders, is_sidecar, sidecar_of
from .formats.text import escape
from .ingest import Reading
from .intake import Claim, Content, Intake
from .manifest import Manifest, drop_record
from .models import Report
from .store import Attempt, Drop, Store
from .storing import Storing

# A group has at most so many files and bytes: one transaction, which a stop signal waits for.
MOST_FILES = 100
MOST_BYTES = 4 * 1024 * 1024
_READERS = 8

log = structlog.get_logger()


@dataclass(slots=True)
class _Member:
    """One file of a group, and how far it is."""

    claim: Claim
    drop: Drop
    content: Content
    attempt: Attempt | None = None
    is_parsed: bool = False
    read: Reading | None = None
    report: Report | None = None


@dataclass(slots=True)
class Held:
    """What of a group is on its way."""

    members: list[_Member] = field(default_factory=list)


class Group:
    """The parts of a pipeline, for many files at once."""

    def __init__(
        self,
        folders: Folders,
        intake: Intake,
        store: Store,
        archive: Archive,
        manifest: Manifest,
        storing: Storing,
    ) -> None:
        self._folders = folders
        self._intake = intake
        self._store = store
        self._archive = archive
        self._manifest = manifest
        self._storing = storing

    def begin(self, claims: Sequence[Claim]) -> Held:
        """Read them, and count an attempt on each content, before anything is parsed."""
        held = Held()
        try:
            members = list(self._read(claims))
            attempts = self._store.begin_all([one.drop for one in members]) if members else []
        except (ExportdError, OSError) as error:
            log.info("group.dissolved", files=len(claims), error_class=type(error).__name__)
            return held
        reach("group.counted")
        for one, attempt in zip(members, attempts, strict=True):
            one.attempt = attempt
        held.members = members
        return held

    def take(
        self, held: Held, coming: Held | None
    ) -> tuple[dict[UUID, Report], dict[UUID, Attempt]]:
        """What became of those that went the whole way, by their claims.

        And the attempts on contents that were stored, of files that changed meanwhile. All
        others lie in flight, as if they had just been claimed. ``coming`` is parsed while the
        server stores.
        """
        started, members = time.monotonic(), held.members
        held.members = []
        try:
            self._store_all(members, coming)
            stored = [one for one in members if one.report]
            changed = {
                one.claim.claim_id: one.attempt
                for one in stored
                if one.attempt and self._has_changed(one)
            }
            done = [one for one in stored if one.claim.claim_id not in changed]
            kept = self._archive_all(done)
        except (ExportdError, OSError) as error:
            log.info("group.dissolved", files=len(members), error_class=type(error).__name__)
            return {}, {}
        except Exception:
            log.exception("group.bug", files=len(members))
            return {}, {}
        each_s = (time.monotonic() - started) / max(len(kept), 1)
        return {own: replace(one, duration_s=each_s) for own, one in kept.items()}, changed

    def release(self, held: Held) -> None:
        """Nobody goes on with them now: they lie in flight as if they had just been claimed."""
        with suppress(ExportdError):
            self._refund(held.members)
        held.members = []

    def _read(self, claims: Sequence[Claim]) -> Iterator[_Member]:
        """Those that nobody writes to and that can be read; of equal ones the first."""
        seen: set[str] = set()
        memory_dir = escape(str(self._folders.memory))
        with ThreadPoolExecutor(_READERS) as pool:  # a disk makes many durable at once
            contents = list(pool.map(self._content, claims))
        for claim, content in zip(claims, contents, strict=True):
            if content is None or content.sha256 in seen:
                continue
            seen.add(content.sha256)
            drop = Drop(
                claim.claim_id,
                escape(claim.name),
                memory_dir,
                content.sha256,
                len(content.raw),
                content.modified_at,
            )
            yield _Member(claim, drop, content)

    def _content(self, claim: Claim) -> Content | None:
        try:
            if os.path.lexists(sidecar_of(claim.path)) or self._intake.in_use(claim):
                return None  # a sidecar may have come along since it was looked for
            return self._intake.read(claim)
        except (ExportdError, OSError):
            return None  # the pipeline finds the same, and tells it

    def _store_all(self, members: Sequence[_Member], coming: Held | None) -> None:
        """All is parsed, and stored at once."""
        if not members:
            return
        try:
            self._parse(members)
            read = [(one, one.read) for one in members if one.read]
            reach("group.parsed")
            reports = self._store.run(
                lambda tx: ingest_all(tx, [own for _, own in read]),
                lambda: self._parse(coming.members if coming else ()),
            )
        except BaseException:
            with suppress(ExportdError):
                self._refund(members)
            raise
        reach("group.committed")
        for (one, _), report in zip(read, reports, strict=True):
            one.report = report
        self._refund([one for one in members if not one.report])

    def _parse(self, members: Sequence[_Member]) -> None:
        for one in members:
            if one.attempt and not one.is_parsed:
                one.is_parsed = True
                with suppress(Exception):  # the pipeline finds the same, and tells it
                    one.read = self._storing.reading(one.drop, one.content.raw, one.attempt)

    def _refund(self, members: Iterable[_Member]) -> None:
        """The pipeline counts an attempt of its own."""
        begun = [one.attempt.export_id for one in members if one.attempt]
        if begun:
            self._store.refund_attempt(*begun)

    def _has_changed(self, member: _Member) -> bool:
        claim = member.claim
        return self._intake.in_use(claim) or self._intake.changed(claim, member.content)

    def _archive_all(self, members: Sequence[_Member]) -> dict[UUID, Report]:
        """Step 9, for those whose names are free in the archive."""
        if not members:
            return {}
        self._archive.check()
        self._manifest.append(
            *(
                drop_record(d.sha256, d.name, d.modified_at, None)
                for d in (m.drop for m in members)
            )
        )
        names = self._archive.keep_new([one.claim.path for one in members])
        reach("group.archived")
        kept = [(one, escape(name)) for one, name in zip(members, names, strict=True) if name]
        self._store.mark_all_archived(
            {one.attempt.export_id: name for one, name in kept if one.attempt}
        )
        reach("group.noted")
        reports = {}
        for one, name in kept:
            self._intake.forget(one.claim)
            if one.report:
                kept_as = f"{self._folders.archive.name}/{name}"
                reports[one.claim.claim_id] = replace(one.report, kept_as=kept_as)
        return reports


def grouped(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Dropped files in their order, small ones that come without a sidecar in groups.

    No two of a group have one name: they are claimed into one place.
    """
    group: list[Path] = []
    names: set[str] = set()
    size = 0
    for path in paths:
        size_bytes = _size(path)
        if size_bytes is None:
            yield from ([group] if group else [])
            yield [path]
            group, names, size = [], set(), 0
            continue
        is_full = len(group) == MOST_FILES or size + size_bytes > MOST_BYTES
        if is_full or path.name in names:
            yield group
            group, names, size = [], set(), 0
        group.append(path)
        names.add(path.name)
        size += size_bytes
    if group:
        yield group


def _size(path: Path) -> int | None:
    """Of a small regular file that comes alone; None of any other."""
    if is_sidecar(path.name) or sidecar_of(path).exists():
        return None
    try:
        status = path.lstat()
    except OSError:
        return None
    is_small = stat.S_ISREG(status.st_mode) and 0 < status.st_size <= MOST_BYTES // 16
    return status.st_size if is_small else None
