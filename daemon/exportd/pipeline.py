"""One file, from dropped to told: the order of effects (DESIGN 2.1).

The drop is claimed by a rename, an attempt on its content is counted, it is parsed,
placed and stored in one transaction (``storing``, ``ingest``), the raw file is archived, and
people are told. At every step a kill leaves the bytes under exactly one folder and the next
start goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from .archive import Archive
from .crash import reach
from .dead_letters import DeadLetters
from .errors import DiskTrouble, ExportdError, PermanentError, TookTooLong, TransientError
from .folders import SIDECAR, Folders, is_sidecar
from .formats.text import escape, printable, unescape
from .group import Group, Held, grouped
from .intake import Claim, Intake
from .intake.sidecar import read_sidecar
from .late_sidecars import LateSidecars
from .limits import Limits
from .log import logged
from .manifest import Manifest, drop_record
from .members import Members, bug
from .models import Fate, Report, is_deferred
from .store import Attempt, Drop, Store
from .storing import Storing

# So often is a file taken again that changed while it was stored; then others go first.
_ROUNDS = 5

log = structlog.get_logger()


@dataclass(slots=True)
class _Claimed:
    """A group of dropped files, each with its claim, or why it has to wait."""

    claims: dict[Path, Claim | None]
    deferred: dict[Path, TransientError] = field(default_factory=dict)
    held: Held = field(default_factory=Held)


class Pipeline:
    """The road of a file through one memory folder into one database."""

    def __init__(
        self,
        folders: Folders,
        intake: Intake,
        store: Store,
        archive: Archive,
        manifest: Manifest,
        limits: Limits,
        sidecars: LateSidecars,
    ) -> None:
        self._folders = folders
        self._intake = intake
        self._store = store
        self._archive = archive
        self._manifest = manifest
        self._sidecars = sidecars
        self.dead_letters = DeadLetters(folders, store)
        self._storing = Storing(store, limits, self._refund)
        self._group = Group(folders, intake, store, archive, manifest, self._storing, self._owe)
        self._owed: list[Callable[[], None]] = []

    @property
    def members(self) -> Members:
        """What takes containers apart."""
        return self._storing.members

    def ingest(self, path: Path) -> Report | None:
        """A dropped file to its fate; None when another worker took it.

        Nothing is claimed while the database does not answer: the folder is the queue.
        """
        try:
            self._store.ping()
            self._intake.check_space()
            if is_sidecar(path.name):
                if report := self._sidecars.assign(path):
                    return logged(report)
                self._sidecars.wait(path)
            claim = self._intake.claim(path)
        except TransientError as error:
            return logged(_deferred(escape(path.name), error))
        return self.resume(claim) if claim else None

    def ingest_all(self, paths: Iterable[Path]) -> Iterator[tuple[Path, Report | None]]:
        """Dropped files to their fates, in their order; small ones in groups.

        The next group is claimed, and parsed, while one is stored.
        """
        held: _Claimed | None = None
        try:
            for group in grouped(paths):
                done, held = held, self._claim(group) if len(group) > 1 else None
                if done:
                    yield from self._finish(done, held)
                if held is None:
                    yield group[0], self.ingest(group[0])
            if held:
                done, held = held, None
                yield from self._finish(done, None)
        finally:
            if held:
                self._group.release(held.held)

    def _claim(self, paths: Sequence[Path]) -> _Claimed:
        claimed = _Claimed(dict.fromkeys(paths))
        try:
            self._store.ping()
            self._repay()
            self._intake.check_space()
            place = self._intake.place()
            for path in paths:
                try:
                    claimed.claims[path] = self._intake.take(path, place)
                except TransientError as error:
                    claimed.deferred[path] = error
            ours = {path: claim for path, claim in claimed.claims.items() if claim}
            self._intake.make_durable(place, ours)
        except TransientError as error:
            claimed.deferred = dict.fromkeys(paths, error)
        else:
            claimed.held = self._group.begin(list(ours.values()))
        return claimed

    def _finish(
        self, claimed: _Claimed, coming: _Claimed | None
    ) -> Iterator[tuple[Path, Report | None]]:
        reports, grown = self._group.take(claimed.held, coming.held if coming else None)
        self._end_all_dead_letters(reports.values())
        away: TransientError | None = None
        for path, claim in claimed.claims.items():
            if error := claimed.deferred.get(path):
                yield path, logged(_deferred(escape(path.name), error))
            elif claim is None:
                yield path, None
            elif report := reports.get(claim.claim_id):
                yield path, logged(report)
            elif away:
                yield path, logged(_deferred(escape(path.name), away))
            else:
                report = self.resume(claim, grown.get(claim.claim_id))
                away = self._trouble() if is_deferred(report) else None
                yield path, report

    def _trouble(self) -> TransientError | None:
        """Why no other file need be tried now: a server that hangs would let each wait."""
        try:
            self._store.ping()
        except TransientError as error:
            return error
        return None

    @property
    def _memory_dir(self) -> str:
        return escape(str(self._folders.memory))

    def resume(self, claim: Claim, grown: Attempt | None = None) -> Report:
        """A claimed file to its fate; the sweep at start enters here.

        ``grown``: the attempt on what it was before it changed, if that was stored.
        """
        started = time.monotonic()
        try:
            self._repay()
            self._intake.check_space()
            report = self._left_behind(claim) or self._to_fate(claim, grown)
        except TransientError as error:
            report = _deferred(escape(claim.name), error)
        return logged(replace(report, duration_s=time.monotonic() - started))

    def _left_behind(self, claim: Claim) -> Report | None:
        """A sidecar that was claimed with a file which has gone on: it is done with, too."""
        report = self._sidecars.assign(claim.path) if is_sidecar(claim.name) else None
        if report:
            self._intake.forget(claim)
        return report

    def _to_fate(self, claim: Claim, attempt: Attempt | None) -> Report:
        drop = Drop(claim.claim_id, escape(claim.name), self._memory_dir)
        report: Report | None = None
        rounds = 0
        try:
            with _disk(claim.path):
                while True:
                    rounds += 1
                    grown = attempt
                    self._wait_for_writer(claim, rounds)
                    content = self._intake.read(claim, self._store.beginnings)
                    drop = replace(
                        drop,
                        explicit_id=self._session_id(claim),
                        sha256=content.sha256,
                        size_bytes=len(content.raw),
                        modified_at=content.modified_at,
                    )
                    reach("attempt.begin")
                    attempt = self._store.begin(drop)
                    reach("attempt.counted")
                    if grown and grown.export_id != attempt.export_id:
                        self._store.mark_grown(grown.export_id, drop.sha256)
                    report = self._storing.store(drop, content.raw, attempt, content.prefix)
                    self._wait_for_writer(claim)
                    if not self._intake.changed(claim, content):
                        reach("recheck.done")
                        return self._archived(claim, drop, attempt, report)
        except TransientError as error:
            if attempt is not None:
                self._refund(attempt, error)
            raise
        except PermanentError as error:
            return self._dead_letter(claim, drop, attempt, str(error), error)
        except ExportdError:
            raise
        except Exception as error:
            log.exception("ingest.bug", file=printable(claim.name))
            if report is not None:
                raise TransientError("it is stored; archiving it brought out a bug") from error
            return self._dead_letter(claim, drop, attempt, bug(error), error)

    def _refund(self, attempt: Attempt, error: TransientError) -> None:
        if not self._is_its_own(error):
            self._owe(partial(self._store.refund_attempt, attempt.export_id))

    def _is_its_own(self, error: TransientError) -> bool:
        """Whether storing took too long though the server answers: then the attempt counts.

        Else a file whose storing is too much would be tried again for ever.
        """
        if not isinstance(error, TookTooLong):
            return False
        try:
            self._store.ping()
        except TransientError:
            return False
        return True

    def _session_id(self, claim: Claim) -> str | None:
        if is_sidecar(claim.name):
            read_sidecar(claim.path)  # one that says nothing is told so
            raise PermanentError(
                f"no file {printable(claim.name.removesuffix(SIDECAR))} was dropped that this "
                "one could name the conversation of; drop both together"
            )
        session_id = self._intake.session_id(claim)
        return escape(session_id) if session_id else None

    def _wait_for_writer(self, claim: Claim, rounds: int = 0) -> None:
        """A file is read, and archived, only when nobody writes to it any more.

        Where the kernel does not tell, one that changed in each round is still written.
        """
        if self._intake.in_use(claim) or rounds > _ROUNDS:
            raise TransientError("a program has it open for writing")

    def _archived(self, claim: Claim, drop: Drop, attempt: Attempt, report: Report) -> Report:
        """Step 9: the raw bytes move into the archive, byte for byte."""
        archived_as = unescape(attempt.archive_name) if attempt.archive_name else None
        self._archive.check()
        self._manifest.append(
            drop_record(drop.sha256, drop.name, drop.modified_at, drop.explicit_id)
        )
        name = self._archive.keep(claim.path, drop.sha256, archived_as)
        self._owe(partial(self._store.mark_archived, attempt.export_id, escape(name)))
        reach("archive.noted")
        self._end_dead_letters(drop, attempt, report)
        self._intake.forget(claim)
        return replace(report, kept_as=f"{self._folders.archive.name}/{escape(name)}")

    def _end_dead_letters(self, drop: Drop, attempt: Attempt, report: Report) -> None:
        """What was set aside of these bytes, or under this name, was mended by this file."""
        if any(anomaly.kind == "dead_letter" for anomaly in report.anomalies):
            self.dead_letters.note()
        self._owe(partial(self.dead_letters.settle, drop.name, attempt.export_id))

    def _end_all_dead_letters(self, reports: Collection[Report]) -> None:
        """The same for a group: what is open is looked through once."""
        if any(one.kind == "dead_letter" for report in reports for one in report.anomalies):
            self.dead_letters.note()
        if reports:
            self._owe(self.dead_letters.settle)

    def _dead_letter(
        self,
        claim: Claim,
        drop: Drop,
        attempt: Attempt | None,
        reason: str,
        error: Exception,
    ) -> Report:
        """The row first, so that a crash here is taken up again; then the file."""
        reach("dead_letter.begin")
        self.dead_letters.note()
        name = self._archive.failed_name(claim.path, claim.claim_id)
        export_id = attempt.export_id if attempt else None
        if attempt is None or attempt.outcome is not Fate.DEAD_LETTER:
            self._store.add_dead_letter(
                drop, export_id, escape(name), reason, type(error).__name__
            )
        reach("dead_letter.noted")
        self._archive.fail(claim.path, name, reason, datetime.now(UTC))
        reach("dead_letter.done")
        self._intake.forget(claim)
        kept_as = f"{self._folders.failed.name}/{escape(name)}"
        return Report(drop.name, Fate.DEAD_LETTER, drop.size_bytes, reason, kept_as=kept_as)

    def _owe(self, note: Callable[[], None]) -> None:
        """What is to be noted, but does not change the file's fate.

        A refunded attempt: it failed by the surroundings, the content is innocent. The
        archived name: the file has it. The database may be what failed, so what cannot be
        noted now comes before the next attempt.
        """
        self._owed.append(note)
        with suppress(TransientError):
            self._repay()

    def _repay(self) -> None:
        while self._owed:
            self._owed[0]()
            self._owed.pop(0)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """What the system refuses is no fault of the file: its disk went away, say."""
    try:
        yield
    except OSError as error:
        raise DiskTrouble(f"{path}: {error.strerror}") from error


def _deferred(name: str, error: Exception) -> Report:
    return Report(name, Fate.DEFERRED, reason=str(error))
