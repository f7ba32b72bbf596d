"""Wiring and lifecycle: the only place, with the commands, that constructs things."""

from __future__ import annotations

import fcntl
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import FrameType

import structlog

from .archive import Archive
from .config import Settings
from .embedded import embedded_server
from .errors import ConfigurationError, DatabaseUnavailable, FolderInUse
from .folders import Folders
from .formats.text import escape
from .intake import Intake, has_writer
from .models import Fate, Report
from .pipeline import Pipeline
from .statuslog import StatusLog
from .store import Store, migrate, pending
from .teller import Teller
from .watcher import Settling, Watcher, scan

log = structlog.get_logger()

EX_OK = 0
EX_TEMPFAIL = 75

# While files keep coming, people are told at least this often.
TELL_EVERY_S = 5.0

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0


@dataclass(frozen=True, slots=True)
class Database:
    """Where the database is; ``revive`` brings a server of our own back to life."""

    url: str
    revive: Callable[[], object] = lambda: None


@contextmanager
def database(settings: Settings, folders: Folders) -> Iterator[Database]:
    """The database that is set, or the embedded server, started."""
    if settings.database.url is not None:
        yield Database(settings.database.url.get_secret_value())
    elif not folders.state.is_dir():
        raise ConfigurationError(
            f"{folders.memory}: expected a memory folder of exportd, found none; start "
            "'exportd run' once, set memory_dir, or set EXPORTD_DATABASE_URL"
        )
    else:
        with embedded_server(folders.state) as server:
            yield Database(server.url, server.revive)


@contextmanager
def held(folders: Folders) -> Iterator[None]:
    """The memory folder, for one daemon at a time; ``FolderInUse`` says who has it."""
    with (folders.state / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise FolderInUse(
                f"{folders.memory}: process {holder} works in this folder already; stop it "
                "or set another memory_dir"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextmanager
def service(settings: Settings) -> Iterator[Service]:
    """Everything that works in one memory folder, wired up; nothing runs yet."""
    folders = Folders(settings.memory_dir.absolute())
    folders.create()
    with held(folders), database(settings, folders) as found:
        yield Service(settings, folders, found)


class Service:
    """Takes settled files through the pipeline, one after the other."""

    def __init__(self, settings: Settings, folders: Folders, found: Database) -> None:
        self._settings = settings
        self._folders = folders
        self._database = found
        self._stopping = threading.Event()
        self._store = Store(found.url)
        self._intake = Intake(folders, settings.max_export_bytes)
        self._pipeline = Pipeline(
            folders,
            self._intake,
            self._store,
            Archive(folders),
            max_attempts=settings.max_attempts,
        )
        status_log = StatusLog(
            folders.status_log, settings.status_log_max_bytes, settings.status_log_backups
        )
        self._teller = Teller(folders, self._store, status_log)
        self._settling = Settling(settings.settle_time, settings.empty_timeout, has_writer)

    def stop_on_signals(self) -> None:
        """SIGTERM and SIGINT end the work after the file that is being ingested."""

        def stop(_signum: int, _frame: FrameType | None) -> None:
            self._stopping.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)

    # -- exportd run -------------------------------------------------------------

    def run(self) -> int:
        """Watch, ingest and tell until a signal comes; the exit code."""
        watcher = Watcher(self._folders.exports, self._settling, self._settings.rescan_interval)
        watcher.start()
        try:
            log.info("service.started", memory_dir=str(self._folders.memory))
            if self._ready():
                log.info("service.ready", drop_files_into=str(self._folders.exports))
                self._work(watcher)
        finally:
            log.info("service.stopping")
            watcher.stop()
            self._teller.tell()
            self._store.close()
        log.info("service.stopped")
        return EX_OK

    def _work(self, watcher: Watcher) -> None:
        told_at = time.monotonic()
        while not self._stopping.is_set():
            try:
                path = watcher.ready.get(timeout=0.5)
            except queue.Empty:
                continue
            watcher.done(path)  # first, so that a new file of this name is seen meanwhile
            report = self._pipeline.ingest(path)
            if report:
                self._teller.add(report)
            late = time.monotonic() - told_at > TELL_EVERY_S
            if watcher.ready.empty() or late or _is_deferred(report):
                self._teller.tell()
                told_at = time.monotonic()
            if _is_deferred(report):
                self._recover()
                watcher.rescan()

    def _ready(self) -> bool:
        """Wait until the database is there and up to date, then finish what was begun."""
        for wait_s in _growing():
            try:
                self._prepare()
                break
            except DatabaseUnavailable as error:
                log.warning("database.unavailable", reason=str(error), wait_s=wait_s)
                if wait_s == _FIRST_WAIT_S:
                    self._tell_waiting(str(error))
            self._answers()
            if self._stopping.wait(wait_s):
                return False
        self._recover()
        return True

    def _tell_waiting(self, why: str) -> None:
        for report in self._left(why):
            self._teller.add(report)
        self._teller.tell()

    def _prepare(self) -> None:
        """The schema is brought up to date, or must be so already."""
        if self._settings.database.auto_migrate:
            applied = migrate(self._database.url)
            if applied:
                log.info("database.migrated", migrations=applied)
        elif missing := pending(self._database.url):
            raise ConfigurationError(
                f"the database lacks {', '.join(missing)} and auto_migrate is off; run "
                "'exportd migrate'"
            )
        self._store.ping()
        self._teller.take_up()

    def _recover(self) -> None:
        """Every file in flight goes on, for as long as it takes, before new ones come."""
        for wait_s in _growing():
            answers = self._answers()
            reports = [self._pipeline.resume(claim) for claim in self._intake.sweep()]
            for report in reports:
                if not _is_deferred(report):
                    self._teller.add(report)
            self._teller.tell()
            if answers and not any(map(_is_deferred, reports)):
                return
            if self._stopping.wait(wait_s):
                return

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
        self._prepare()
        reports = []
        for report in self._once():
            self._teller.add(report)
            reports.append(report)
        text = self._teller.tell() or "Nothing to do: no file waits.\n"
        self._store.close()
        return EX_TEMPFAIL if any(map(_is_deferred, reports)) else EX_OK, reports, text

    def _once(self) -> Iterator[Report]:
        """What was in flight, what waits and what arrives meanwhile; at last what stays."""
        why = "it did not settle in time; another run takes it"
        for report in chain(map(self._pipeline.resume, self._intake.sweep()), self._drain()):
            if _is_deferred(report) and any(scan(self._folders.exports)):
                why = report.reason  # told below, of each file that stays
                break
            yield report
            if _is_deferred(report) or self._stopping.is_set():
                why = report.reason or "exportd was stopped before its turn came"
                break
        yield from self._left(why)

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
                if report := self._pipeline.ingest(path):
                    yield report
                seen.discard(path)
            if not len(self._settling) or (not settled and time.monotonic() > deadline):
                return
            if not settled:
                self._stopping.wait(0.02)

    def _left(self, why: str) -> Iterator[Report]:
        """What stays in the drop folder this time; ``why`` is the reason for most."""
        for path in scan(self._folders.exports):
            size_bytes = path.lstat().st_size
            if not size_bytes:
                minutes = self._settings.empty_timeout / 60
                reason = f"it is empty; it becomes a dead letter when {minutes:g} minutes old"
            elif has_writer(path):
                reason = "a program has it open for writing"
            else:
                reason = why
            yield Report(escape(path.name), Fate.DEFERRED, size_bytes, reason)


def _growing() -> Iterator[float]:
    """Ever longer waits, in seconds, without end."""
    wait_s = _FIRST_WAIT_S
    while True:
        yield wait_s
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


def _is_deferred(report: Report | None) -> bool:
    return report is not None and report.fate is Fate.DEFERRED
