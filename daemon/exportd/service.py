"""Wiring and lifecycle: the only place, with the commands, that constructs things."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import structlog

from .archive import Archive
from .config import Settings
from .errors import ConfigurationError, DatabaseUnavailable
from .folders import Folders
from .formats import FORMATS
from .formats.text import escape, unescape
from .intake import Intake, has_writer
from .lifecycle import Database, database, held
from .manifest import Manifest
from .models import Fate, Report
from .pipeline import Pipeline
from .sessions import write_down
from .statuslog import StatusLog
from .store import Store, migrate, pending
from .teller import Teller
from .waits import Waits, growing
from .watcher import Settling, Watcher, scan

log = structlog.get_logger()

# While files keep coming, people are told at least this often.
TELL_EVERY_S = 5.0


@contextmanager
def service(settings: Settings, stopping: threading.Event) -> Iterator[Service]:
    """Everything that works in one memory folder, wired up; nothing runs yet."""
    folders = Folders(settings.memory_dir.absolute())
    folders.create()
    with held(folders), database(settings, folders) as found:
        yield Service(settings, folders, found, stopping)


class Service:
    """Takes settled files through the pipeline, one after the other."""

    def __init__(
        self,
        settings: Settings,
        folders: Folders,
        found: Database,
        stopping: threading.Event,
    ) -> None:
        self._settings = settings
        self._folders = folders
        self._database = found
        self._stopping = stopping
        self._store = Store(found.url)
        self._intake = Intake(folders, settings.max_export_bytes)
        self._archive = Archive(folders)
        self._manifest = Manifest(folders.archive)
        self._pipeline = Pipeline(
            folders,
            self._intake,
            self._store,
            self._archive,
            self._manifest,
            max_attempts=settings.max_attempts,
            sidecar_timeout_s=settings.empty_timeout,
        )
        status_log = StatusLog(
            folders.status_log, settings.status_log_max_bytes, settings.status_log_backups
        )
        self._teller = Teller(folders, self._store, status_log)
        self._settling = Settling(settings.settle_time, settings.empty_timeout, has_writer)
        self._waits = Waits()
        self._told_deferred: set[tuple[str, str]] = set()

    # -- exportd run -------------------------------------------------------------

    def run(self) -> int:
        """Watch, ingest and tell until a signal comes; the exit code."""
        watcher = Watcher(self._folders.exports, self._settling, self._settings.rescan_interval)
        watcher.start()
        try:
            log.info("service.started", memory_dir=str(self._folders.memory))
            self._wait_for_database(self.prepare)
            if not self._stopping.is_set():
                log.info("service.ready", drop_files_into=str(self._folders.exports))
                self._resume()
                self._work(watcher)
        finally:
            log.info("service.stopping")
            watcher.stop()
            self._teller.tell()
            self._store.close()
        log.info("service.stopped")
        return os.EX_OK

    def _work(self, watcher: Watcher) -> None:
        told_at = time.monotonic()
        while not self._stopping.is_set():
            if self._waits.due():
                self._try_again(watcher)
            try:
                path = watcher.ready.get(timeout=0.5)
            except queue.Empty:
                continue
            watcher.done(path)  # first, so that a new file of this name is seen meanwhile
            report = self._pipeline.ingest(path)
            if report:
                self._note(report)
            late = time.monotonic() - told_at > TELL_EVERY_S
            if watcher.ready.empty() or late or _is_deferred(report):
                self._teller.tell()
                told_at = time.monotonic()
                if self._teller.is_behind:
                    self._waits.begin()
            if _is_deferred(report) and not self._answers():
                self._wait_for_database(self._store.ping)
                watcher.rescan()
            if _is_deferred(report):
                self._waits.begin()

    def _try_again(self, watcher: Watcher) -> None:
        """What was deferred: files in flight, and such that could not be claimed."""
        self._waits.end()
        if self._answers():
            self._resume()
            watcher.rescan()
        else:
            self._waits.begin()

    def _resume(self) -> None:
        """Every file in flight goes on; what is deferred again waits a little longer."""
        reports = []
        for claim in self._intake.sweep():
            if self._stopping.is_set():
                break
            reports.append(self._pipeline.resume(claim))
            self._note(reports[-1])
        self._teller.tell()
        if any(map(_is_deferred, reports)) or self._teller.is_behind:
            self._waits.begin()

    def _note(self, report: Report) -> None:
        """For the status log; what waits is told once, however often it is tried."""
        key = (report.name, report.reason)
        if not _is_deferred(report):
            self._waits.start_short()
            self._told_deferred = {told for told in self._told_deferred if told[0] != key[0]}
            self._teller.add(report)
        elif key not in self._told_deferred:
            self._told_deferred.add(key)
            self._teller.add(report)

    def _wait_for_database(self, ready: Callable[[], None]) -> None:
        """Return when ``ready`` succeeds, or a signal comes; nothing is claimed before."""
        for wait_s in growing():
            try:
                ready()
            except DatabaseUnavailable as error:
                log.warning("database.unavailable", reason=str(error), wait_s=wait_s)
                for report in self._left(str(error)):
                    self._note(report)
                self._teller.tell()
            else:
                return
            if self._stopping.wait(wait_s):
                return
            self._answers()

    def prepare(self) -> None:
        """The schema is brought up to date, or must be so; what a kill left is mended."""
        if self._settings.database.auto_migrate:
            applied = migrate(self._database.url)
            if applied:
                log.info("database.migrated", migrations=applied)
        elif missing := pending(self._database.url):
            raise ConfigurationError(
                f"the database lacks {', '.join(missing)} and auto_migrate is off; run "
                "'exportd migrate'"
            )
        self._archive.tidy()
        for export_id, sha256, name in self._store.unarchived(
            escape(str(self._folders.memory))
        ):
            if found := self._archive.find(unescape(name), sha256):
                self._store.mark_archived(export_id, escape(found))
        write_down(self._store, self._manifest)
        if outdated := self._store.outdated({m.NAME: m.PARSER_VERSION for m in FORMATS}):
            log.warning("store.outdated", exports=outdated, run="exportd reindex")
        self._teller.take_up()

    def _answers(self) -> bool:
        try:
            self._database.revive()
            self._store.ping()
        except DatabaseUnavailable:
            return False
        return True

    # -- exportd run --once ------------------------------------------------------

    def run_once(self) -> tuple[int, list[Report], str]:
        """Drain the folder: exit code, what became of each file, and the status report.

        75 when something had to be deferred; dead letters are a fate, and 0.
        """
        self.prepare()
        reports = [self._teller.add(report) for report in self._once()]
        text = self._teller.tell() or "Nothing to do: no file waits.\n"
        self._store.close()
        return os.EX_TEMPFAIL if any(map(_is_deferred, reports)) else os.EX_OK, reports, text

    def take(self, paths: Iterable[Path]) -> Iterator[Report]:
        """What was in flight, then these dropped files and no others, each to its fate.

        Ends early at a stop signal, and when the database does not answer.
        """
        self.prepare()
        dropped = filter(None, map(self._pipeline.ingest, paths))
        try:
            for report in chain(map(self._pipeline.resume, self._intake.sweep()), dropped):
                yield self._teller.add(report)
                if self._stopping.is_set() or (_is_deferred(report) and not self._answers()):
                    break
        finally:
            self._teller.tell()
            self._store.close()

    def _once(self) -> Iterator[Report]:
        """What was in flight, what waits and what arrives meanwhile; at last what stays."""
        why = "it did not settle in time; another run takes it"
        told: set[str] = set()
        for report in chain(map(self._pipeline.resume, self._intake.sweep()), self._drain()):
            yield report
            if _is_deferred(report):
                told.add(report.name)
                why = report.reason
                if not self._answers():
                    break
            if self._stopping.is_set():
                why = "exportd was stopped before its turn came"
                break
        yield from (report for report in self._left(why) if report.name not in told)

    def _drain(self) -> Iterator[Report]:
        """Settled files until none waits, or what waits does not settle in time."""
        deadline = time.monotonic() + 2 * self._settings.settle_time
        seen: set[Path] = set()
        while True:
            for path in scan(self._folders.exports):
                if path not in seen:
                    self._settling.see(path, time.monotonic())
                    seen.add(path)
            settled = list(self._settling.settled(time.monotonic(), time.time()))
            for path in settled:
                report = self._pipeline.ingest(path)
                if report:
                    yield report
                if not _is_deferred(report):
                    seen.discard(path)  # another file may come under this name
            if not len(self._settling) or (not settled and time.monotonic() > deadline):
                return
            if not settled:
                self._stopping.wait(0.02)

    def _left(self, why: str) -> Iterator[Report]:
        """What stays in the drop folder this time; ``why`` is the reason for most."""
        for path in scan(self._folders.exports):
            try:
                size_bytes = path.lstat().st_size
            except OSError:
                continue  # gone meanwhile
            if not size_bytes:
                minutes = self._settings.empty_timeout / 60
                reason = f"it is empty; it becomes a dead letter when {minutes:g} minutes old"
            elif has_writer(path):
                reason = "a program has it open for writing"
            else:
                reason = why
            yield Report(escape(path.name), Fate.DEFERRED, size_bytes, reason)


def _is_deferred(report: Report | None) -> bool:
    return report is not None and report.fate is Fate.DEFERRED
