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
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from uuid import UUID

import structlog

from .archive import Archive
from .backlog import ingest_all
from .crash import reach
from .errors import DiskTrouble, ExportdError
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
    """The parts of a pipeline, for many files at once.

    ``owe`` does what is to be noted, now or as soon as the database takes it.
    """

    def __init__(
        self,
        folders: Folders,
        intake: Intake,
        store: Store,
        archive: Archive,
        manifest: Manifest,
        storing: Storing,
        owe: Callable[[Callable[[], None]], None],
    ) -> None:
        self._folders = folders
        self._intake = intake
        self._store = store
        self._archive = archive
        self._manifest = manifest
        self._storing = storing
        self._owe = owe

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
        changed: dict[UUID, Attempt] = {}
        try:
            self._store_all(members, coming)
            stored = [one for one in members if one.report]
            for one in stored:
                if one.attempt and self._has_changed(one):
                    changed[one.claim.claim_id] = one.attempt
            done = [one for one in stored if one.claim.claim_id not in changed]
            kept = self._archive_all(done)
        except (ExportdError, OSError) as error:
            log.info("group.dissolved", files=len(members), error_class=type(error).__name__)
            return {}, changed
        except Exception:
            log.exception("group.bug", files=len(members))
            return {}, changed
        each_s = (time.monotonic() - started) / max(len(kept), 1)
        return {own: replace(one, duration_s=each_s) for own, one in kept.items()}, changed

    def release(self, held: Held) -> None:
        """Nobody goes on with them now: they lie in flight as if they had just been claimed."""
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
            self._owe(partial(self._store.refund_attempt, *begun))

    def _has_changed(self, member: _Member) -> bool:
        claim = member.claim
        return self._intake.in_use(claim) or self._intake.changed(claim, member.content)

    def _archive_all(self, members: Sequence[_Member]) -> dict[UUID, Report]:
        """Step 9; what the disk refuses is left to the pipeline."""
        if not members:
            return {}
        self._archive.check()
        drops = [one.drop for one in members]
        self._manifest.append(
            *(drop_record(one.sha256, one.name, one.modified_at, None) for one in drops)
        )
        names: dict[int, str] = {}
        reports: dict[UUID, Report] = {}
        for one, new_name in zip(members, self._keep_new(members), strict=True):
            name = new_name or self._keep(one)
            if name is None or one.attempt is None or one.report is None:
                continue
            names[one.attempt.export_id] = escape(name)
            kept_as = f"{self._folders.archive.name}/{escape(name)}"
            reports[one.claim.claim_id] = replace(one.report, kept_as=kept_as)
        reach("group.archived")
        self._owe(partial(self._store.mark_all_archived, names))
        reach("group.noted")
        for one in members:
            if one.claim.claim_id in reports:
                self._intake.forget(one.claim)
        return reports

    def _keep_new(self, members: Sequence[_Member]) -> list[str | None]:
        try:
            return self._archive.keep_new([one.claim.path for one in members])
        except DiskTrouble:
            return [None] * len(members)

    def _keep(self, member: _Member) -> str | None:
        """Its name in the archive where that was not free; None where the disk refuses."""
        path, sha256 = member.claim.path, member.drop.sha256
        try:
            if os.path.lexists(path):
                return self._archive.keep(path, sha256)
            return self._archive.find(path.name, sha256)  # it was moved before the trouble
        except DiskTrouble:
            return None


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
    is_small = stat.S_ISREG(status.st_mode) and 0 < status.st_size <= MOST_BYTES // 4
    return status.st_size if is_small else None
