"""The daemon: its loop, from the first scan to the stop signal."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import structlog

from .errors import DatabaseUnavailable, DiskTrouble, TransientError
from .health import Answer, Health, told
from .housekeeping import Housekeeping
from .lookout import Lookout
from .metrics import Metrics
from .models import Report, is_deferred
from .notify import Notifier, notify
from .progress import Progress
from .turn_thread import TurnThread
from .waits import Waits, growing
from .watcher import Watcher
from .workplace import Workplace

log = structlog.get_logger()

# While files keep coming, people are told at least this often.
TELL_EVERY_S = 5.0

# So long files are taken before anything else has its turn.
TURN_S = 2.0

# How often the surroundings are looked at, and how long the database may be away unnoticed.
PING_EVERY_S = 10.0
UNREACHABLE_S = 60.0

# The watcher's thread moves twice a second; a scan of a large folder takes it longer.
WATCHER_S = 60.0

# The relay waits for a channel, then for the database.
RELAY_S = 180.0
INDEXER_S = 180.0

# A message to people that is under way when the daemon stops has so long to arrive; else it is
# sent again after the next start, and says so. With a database and an embedded server that
# hang, too, the end still comes within 20 s of the signal.
RELAY_STOP_S = 4.0

# A turn takes a fraction of that, and one that is cut off is done again.
INDEXER_STOP_S = 1.0


class Service:
    """Takes settled files through the pipeline, one after the other."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._stopping = place.stopping
        self._waits = Waits()
        self._told_deferred: dict[str, set[str]] = {}
        self._watcher = Watcher(
            place.folders.exports, place.settling, place.settings.rescan_interval
        )
        self._lookout = Lookout(place, self._watcher)
        self._conditions = self._lookout.conditions
        self._housekeeping = Housekeeping(place)
        relay = place.relay()
        self._relay = TurnThread("relay", relay, self._stopping, RELAY_STOP_S)
        indexer = place.indexer(lambda: self._watcher.pending > 0)
        self._indexer = TurnThread("indexer", indexer, self._stopping, INDEXER_STOP_S)
        self._pinged_at = 0.0
        self._pulls = True
        self._is_prepared = False
        settings = place.settings
        self._progress = Progress(
            watcher=WATCHER_S,
            # Nothing in between beats: one file is read, stored, and told of.
            worker=settings.parse_timeout + 2 * settings.database.timeout + WATCHER_S,
            relay=RELAY_S,
            indexer=INDEXER_S,
        )
        self._metrics = Metrics(place.folders, self._watcher, place.store, relay, indexer)
        self._health = Health(
            settings.http,
            {
                "/livez": lambda: told(self._hanging()),
                "/readyz": lambda: told(self._not_ready()),
                "/metrics": self._metrics_page,
            },
        )
        place.pipeline.members.moving = lambda: self._progress.beat("worker")
        self._notifier = Notifier(self._hanging, self._status)

    def run(self) -> int:
        """Watch, ingest and tell until a signal comes; the exit code."""
        self._watcher.start()
        try:
            log.info("service.started", memory_dir=str(self._place.folders.memory))
            self._health.start()
            self._relay.start()
            self._indexer.start()
            self._watcher.scanned.wait(WATCHER_S)
            notify(READY="1", STATUS="waits for PostgreSQL")
            self._notifier.start()
            self._wait_for_database(self._prepare)
            if not self._stopping.is_set():
                log.info("service.ready", drop_files_into=str(self._place.folders.exports))
                self._resume()
                self._work()
        finally:
            log.info("service.stopping")
            notify(STOPPING="1", STATUS="stops after the file in hand")
            self._watcher.stop()
            self._place.teller.tell()
            self._place.store.close()
            self._indexer.stop()
            self._relay.stop()
            self._notifier.stop()
            self._health.stop()
        log.info("service.stopped")
        return os.EX_OK

    def _prepare(self) -> None:
        self._place.prepare()
        self._is_prepared = True

    def _hanging(self) -> list[str]:
        """Which part has made no progress for longer than it may take."""
        self._progress.beat_at("watcher", self._watcher.beat_at)
        self._progress.beat_at("relay", self._relay.beat_at)
        self._progress.beat_at("indexer", self._indexer.beat_at)
        return self._progress.hanging()

    def _not_ready(self) -> list[str]:
        """What keeps a file that is dropped now from being taken soon."""
        reasons = [*self._hanging(), *self._conditions.reasons]
        if not self._is_prepared:
            reasons.append("the database was not reached yet")
        elif not self._place.store.server.is_up:
            reasons.append("PostgreSQL does not answer")
        return reasons

    def _status(self) -> str:
        reasons = self._not_ready()
        waiting = f"{self._watcher.pending} files wait"
        return f"degraded: {'; '.join(reasons)}; {waiting}" if reasons else waiting

    def _metrics_page(self) -> Answer:
        return HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", self._metrics.text()

    def _work(self) -> None:
        told_at, watcher = time.monotonic(), self._watcher
        while not self._stopping.is_set():
            self._look_around()
            if self._waits.due():
                self._try_again()
            found = deferred = False
            for _, report in self._place.pipeline.ingest_all(self._settled()):
                self._progress.beat("worker")
                found = True
                if report:
                    self._note(report)
                deferred |= is_deferred(report)
                self._pulls = not deferred
            if not found:
                self._housekeeping.step(time.monotonic(), self._is_idle)
                continue
            late = time.monotonic() - told_at > TELL_EVERY_S
            if watcher.ready.empty() or late:
                self._place.teller.tell()
                told_at = time.monotonic()
                if self._place.teller.is_behind:
                    self._waits.begin()
            if deferred and not self._place.answers():
                self._wait_for_database(self._proceed)
                watcher.rescan()
            if deferred:
                self._waits.begin()

    def _settled(self) -> Iterator[Path]:
        """Settled files as they come, until none waits, one had to, or others are due."""
        self._pulls, until = True, time.monotonic() + TURN_S
        with suppress(queue.Empty):
            path = self._watcher.ready.get(timeout=0.5)
            while True:
                self._watcher.done(path)  # first: a new file of this name is seen meanwhile
                yield path
                if not self._pulls or self._stopping.is_set() or time.monotonic() > until:
                    return
                path = self._watcher.ready.get_nowait()

    def _is_idle(self) -> bool:
        self._progress.beat("worker")
        return self._watcher.ready.empty() and not self._stopping.is_set()

    def _look_around(self) -> None:
        """What is wrong with the surroundings, told to the database while it answers."""
        now = time.monotonic()
        self._progress.beat("worker")
        self._lookout.look(now)
        is_day_told = self._lookout.look_at_the_days(now)
        self._conditions.write()  # after all was looked at: what is not seen is over
        if is_day_told:
            self._relay.wake()
        if now >= self._pinged_at + PING_EVERY_S:
            self._pinged_at = now
            self._look_for_database()

    def _look_for_database(self) -> None:
        """Where no file comes for hours, nothing else would notice that it is gone."""
        try:
            self._place.store.ping()
        except TransientError:
            if not self._place.answers():
                self._wait_for_database(self._proceed)
                self._watcher.rescan()

    def _try_again(self) -> None:
        """What was deferred: files in flight, and such that could not be claimed."""
        self._waits.end()
        if self._place.answers():
            self._resume()
            self._watcher.rescan()
        else:
            self._waits.begin()

    def _proceed(self) -> None:
        """What is in flight proves that the database works again, before more is claimed."""
        self._place.store.ping()
        self._resume()
        self._place.store.ping()

    def _resume(self) -> None:
        """Every file in flight goes on; what is deferred again waits a little longer."""
        reports = []
        try:
            for claim in self._place.intake.sweep():
                if self._stopping.is_set():
                    break
                self._progress.beat("worker")
                reports.append(self._place.pipeline.resume(claim))
                self._note(reports[-1])
                if is_deferred(reports[-1]) and not self._place.answers():
                    break
        except DiskTrouble as error:
            log.warning("sweep.deferred", reason=str(error))
            self._waits.begin()
        self._place.teller.tell()
        if any(map(is_deferred, reports)) or self._place.teller.is_behind:
            self._waits.begin()

    def _note(self, report: Report) -> None:
        """For the status log; what waits is told once, however often it is tried."""
        self._metrics.note(report)
        self._relay.wake()
        if not is_deferred(report):
            self._indexer.wake()
            self._waits.start_short()
            self._told_deferred.pop(report.name, None)
            self._place.teller.add(report)
        elif report.reason not in self._told_deferred.setdefault(report.name, set()):
            self._told_deferred[report.name].add(report.reason)
            self._place.teller.add(report)

    def _wait_for_database(self, ready: Callable[[], None]) -> None:
        """Return when ``ready`` succeeds, or a signal comes; nothing is claimed before."""
        since = time.monotonic()
        for wait_s in growing():
            self._progress.beat("worker")
            self._lookout.look(time.monotonic())
            self._conditions.keep()
            try:
                ready()
            except TransientError as error:
                is_away = isinstance(error, DatabaseUnavailable)
                if is_away and time.monotonic() > since + UNREACHABLE_S:
                    self._conditions.see("database_unreachable", str(error))
                event = "database.unavailable" if is_away else "disk.unavailable"
                log.warning(event, reason=str(error), wait_s=wait_s)
                for report in self._place.left(str(error)):
                    self._note(report)
                self._place.teller.tell()
            else:
                self._conditions.see("database_unreachable", None)
                return
            if self._stopping.wait(wait_s):
                return
            self._place.answers()
