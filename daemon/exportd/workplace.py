"""Everything that works in one memory folder, wired up: with the commands, the only
place that constructs things.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog

from .alerts.routing import Policy, QuietHours
from .anomalies import Thresholds
from .archive import Archive
from .channels import chosen, connected
from .containers import Bounds
from .crash import reach
from .errors import ConfigurationError, DatabaseUnavailable
from .folders import Folders
from .formats import FORMATS
from .formats.text import escape, printable, unescape
from .indexer import Indexer
from .intake import Intake
from .intake.files import has_writer
from .late_sidecars import LateSidecars
from .lifecycle import Database, database, held
from .limits import MAX_FILE_BYTES, Limits
from .manifest import Manifest
from .models import Fate, Report
from .pipeline import Pipeline
from .purge import Parts, finish
from .relay import Relay
from .sessions import write_down
from .settings import Settings, hours, names
from .spool import Spool
from .statuslog import StatusLog
from .store import Store
from .store.purging import vacuum
from .teller import Teller
from .waiting import Patience
from .watcher import scan
from .watcher.settling import Settling

log = structlog.get_logger()

# The relay and the indexer ask for little at a time.
RELAY_TIMEOUT_S = 30.0


@contextmanager
def workplace(settings: Settings, stopping: threading.Event) -> Iterator[Workplace]:
    """The folder held and the database found; nothing runs yet."""
    folders = Folders(settings.memory_dir.absolute())
    folders.create()
    elsewhere = "stop it or set another memory_dir"
    with (
        held(folders, or_else=elsewhere, channels=chosen(settings)),
        database(settings, folders, stopping) as found,
    ):
        reach("start.locked")
        yield Workplace(settings, folders, found, stopping)


class Workplace:
    """The parts, and what every way of working with them begins with."""

    def __init__(
        self,
        settings: Settings,
        folders: Folders,
        found: Database,
        stopping: threading.Event,
    ) -> None:
        self.settings = settings
        self.folders = folders
        self.stopping = stopping
        self.store = Store(found.url, settings.database.timeout, stopping)
        self.intake = Intake(folders, MAX_FILE_BYTES, settings.disk_reserve_bytes)
        self.manifest = Manifest(folders.archive)
        self._database = found
        self.archive = Archive(folders)
        self.pipeline = Pipeline(
            folders,
            self.intake,
            self.store,
            self.archive,
            self.manifest,
            limits(settings),
            LateSidecars(
                folders, self.store, self.archive, self.manifest, settings.empty_timeout
            ),
        )
        self.teller = Teller(folders, self.store, _status_log(settings, folders))
        self.spool = Spool(folders.spool)
        self.patience = Patience(settings.settle_time, settings.empty_timeout)
        self.settling = Settling(settings.settle_time, settings.empty_timeout, has_writer)

    def prepare(self) -> None:
        """The schema is brought up to date, or must be so; what a kill left is mended."""
        self._migrate()
        reach("start.migrated")
        if not self.store.is_guarded():
            log.warning(
                "store.unguarded", lacks="role exportd_app", see="docs/how-to/server.md"
            )
        self.archive.check()
        self.archive.tidy()
        reach("start.tidied")
        finish(self.purge_parts())
        for export_id, sha256, name in self.store.unarchived(escape(str(self.folders.memory))):
            if found := self.archive.find(unescape(name), sha256):
                self.store.mark_archived(export_id, escape(found))
        self.pipeline.dead_letters.take_up()
        write_down(self.store, self.manifest)
        reach("start.mended")
        if outdated := self.store.outdated({m.NAME: m.PARSER_VERSION for m in FORMATS}):
            log.warning("store.outdated", exports=outdated, run="exportd reindex")
        self.teller.take_up()

    @property
    def url(self) -> str:
        """Of the database; it may hold a password."""
        return self._database.url

    def purge_parts(self) -> Parts:
        """What a purge works with."""
        return purge_parts(self.settings, self.folders, self.store, self._database.url)

    def relay(self, group_wait_s: float | None = None) -> Relay:
        """What tells people of alerts, with a connection of its own."""
        alerts = self.settings.alerts
        quiet = hours(alerts.quiet_hours)
        return Relay(
            self._small_store(),
            self.spool,
            escape(str(self.folders.memory)),
            f"{socket.gethostname()}, {printable(escape(str(self.folders.memory)))}",
            connected(self.settings),
            Policy(
                timedelta(seconds=alerts.group_wait if group_wait_s is None else group_wait_s),
                timedelta(seconds=alerts.repeat_interval),
                timedelta(seconds=alerts.escalate_after),
                QuietHours(*quiet) if quiet else None,
                frozenset(names(alerts.disabled)),
            ),
        )

    def indexer(self, is_busy: Callable[[], bool]) -> Indexer:
        """What makes searchable what is stored, with a connection of its own."""
        return Indexer(self._small_store(), self.stopping, is_busy)

    def _small_store(self) -> Store:
        """For a thread of its own that asks for little at a time."""
        timeout_s = min(self.settings.database.timeout, RELAY_TIMEOUT_S)
        return Store(self._database.url, timeout_s, self.stopping)

    def _migrate(self) -> None:
        if self.settings.database.auto_migrate:
            applied = self.store.migrate()
            if applied:
                log.info("database.migrated", migrations=applied)
        elif missing := self.store.pending():
            raise ConfigurationError(
                f"the database lacks {', '.join(missing)} and auto_migrate is off; run "
                "'exportd migrate'"
            )

    def answers(self) -> bool:
        """Whether the database does, after a server of our own was brought back to life."""
        try:
            self._database.revive()
            self.store.ping()
        except DatabaseUnavailable:
            return False
        return True

    def left(self, why: str) -> Iterator[Report]:
        """What stays in the drop folder this time; ``why`` is the reason for most."""
        unseen: dict[Path, str] = {}
        for path in scan(self.folders.exports, unseen):
            try:
                status = path.lstat()
            except OSError:
                continue  # gone meanwhile
            reason = self.patience.reason(path, status) or why
            yield Report(escape(path.name), Fate.DEFERRED, status.st_size, reason)
        for folder, reason in unseen.items():
            yield Report(escape(folder.name), Fate.DEFERRED, reason=reason)


def purge_parts(settings: Settings, folders: Folders, store: Store, url: str) -> Parts:
    """What a purge works with, and what finishes one."""
    return Parts(
        folders,
        store,
        Archive(folders),
        Manifest(folders.archive),
        _status_log(settings, folders),
        partial(vacuum, url, full=False),
        alone=settings.database.url is None,
    )


def _status_log(settings: Settings, folders: Folders) -> StatusLog:
    return StatusLog(
        folders.status_log, settings.status_log_max_bytes, settings.status_log_backups
    )


def limits(settings: Settings) -> Limits:
    """How much one file may ask for, by the settings."""
    return Limits(
        settings.max_line_bytes,
        settings.max_json_depth,
        settings.max_messages,
        settings.parse_timeout,
        settings.max_attempts,
        Thresholds(
            settings.alerts.large_export_bytes,
            settings.alerts.slow_ingest,
            settings.alerts.low_deduplication,
        ),
        Bounds(max_bytes=settings.max_export_bytes),
    )
