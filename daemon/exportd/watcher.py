"""From a folder to settled paths: events are hints, a scan is the authority.

Events may be lost, late or wrong (HAZARDS, findings 1 to 3), so they only say where to
look. A path becomes ready when its file has settled: it is complete as far as anybody
can tell (DESIGN 2.1, steps 1 and 2).
"""

from __future__ import annotations

import os
import queue
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

from .folders import is_no_folder, is_sidecar, is_unfinished

# After a closed-after-write event one look more, this much later, is enough.
RECHECK_S = 0.02

# More paths than this wait in the folder itself; a scan finds them again.
MAX_WAITING = 10_000
MAX_READY = 1_000

# How often the folder is scanned when the kernel sends no events.
BLIND_RESCAN_S = 5.0

log = structlog.get_logger()

# A file that leaves the folder holds back all later events for as long as its new place
# may still be told, half a second by default. Every claim is such a leave.
InotifyMoveEventGrouper.delay = 0.01


@dataclass(slots=True)
class _Waiting:
    """A path that was seen and has not settled yet. Times are monotonic seconds."""

    signature: tuple[int, ...] | None
    due: float
    closed: bool = False


class Settling:
    """Paths on their way from seen to settled; no thread, no event, no clock of its own.

    ``is_open`` tells whether a process has a file open for writing.
    """

    def __init__(
        self, settle_s: float, empty_timeout_s: float, is_open: Callable[[Path], bool]
    ) -> None:
        self._settle_s = settle_s
        self._empty_timeout_s = empty_timeout_s
        self._is_open = is_open
        self._waiting: dict[Path, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def see(self, path: Path, now: float, *, closed: bool = False) -> None:
        """Look at a path soon: at once, or a moment after a writer closed it."""
        if is_unfinished(path.name):
            return
        waiting = self._waiting.setdefault(path, _Waiting(None, now))
        if closed:
            waiting.closed = True
            waiting.due = min(waiting.due, now)

    def next_due(self) -> float | None:
        """When the next look is worth it; None when nothing waits."""
        return min((waiting.due for waiting in self._waiting.values()), default=None)

    def settled(self, now: float, wall: float) -> Iterator[Path]:
        """Paths that have settled by ``now`` (monotonic) and ``wall`` (epoch seconds)."""
        for path in [path for path, waiting in self._waiting.items() if waiting.due <= now]:
            if self._look(path, self._waiting[path], now, wall):
                del self._waiting[path]
                yield path

    def _look(self, path: Path, waiting: _Waiting, now: float, wall: float) -> bool:
        try:
            status = path.lstat()
        except OSError:
            del self._waiting[path]
            return False
        if not stat.S_ISREG(status.st_mode):
            return True  # no writer will ever finish it; intake says what it is
        age_s = wall - status.st_mtime
        signature = (status.st_ino, status.st_size, status.st_mtime_ns)
        still = waiting.signature == signature
        waiting.signature = signature
        if status.st_size == 0:
            waiting.due = now + self._settle_s
            return age_s >= self._empty_timeout_s
        if is_sidecar(path.name) and is_no_folder(path.with_suffix("")):
            waiting.due = now + self._settle_s  # the claim of its file takes it along
            return False
        if (still or age_s >= self._settle_s) and not self._is_open(path):
            return True
        closed, waiting.closed = waiting.closed, False
        waiting.due = now + (RECHECK_S if closed else self._settle_s)
        return False


class Watcher:
    """Watches a folder in a thread of its own and hands out settled paths.

    ``ready`` holds each path once; tell ``done`` when a path is taken from it.
    """

    def __init__(self, folder: Path, settling: Settling, rescan_s: float) -> None:
        self.ready: queue.Queue[Path] = queue.Queue(MAX_READY)
        self.scanned = threading.Event()
        self._folder = folder
        self._settling = settling
        self._rescan_s = rescan_s
        self._hints: queue.Queue[tuple[Path, bool]] = queue.Queue(MAX_WAITING)
        self._queued: set[Path] = set()
        self._overflowed = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._observer = Observer()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Watch first, then scan: what arrives in between is seen twice, not never.

        Without events (watch limit reached, a file system that has none) scans go on,
        more often; ``OSError`` never reaches the caller.
        """
        try:
            self._observe()
        except OSError as error:
            self._rescan_s = min(self._rescan_s, BLIND_RESCAN_S)
            log.warning(
                "watcher.blind", reason=error.strerror, rescan_interval_s=self._rescan_s
            )
        self._thread.start()

    def _observe(self) -> None:
        self._observer.schedule(
            _Hints(self._hint),
            str(self._folder),
            recursive=True,
            event_filter=[
                FileCreatedEvent,
                FileModifiedEvent,
                FileClosedEvent,
                FileMovedEvent,
                DirCreatedEvent,
                DirMovedEvent,
            ],
        )
        self._observer.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()
        self._thread.join()

    def rescan(self) -> None:
        """Look at the whole folder soon."""
        self._overflowed.set()

    def done(self, path: Path) -> None:
        """A path was taken from ``ready``; it may come again."""
        with self._lock:
            self._queued.discard(path)

    def _hint(self, path: Path, closed: bool) -> None:  # noqa: FBT001
        try:
            self._hints.put_nowait((path, closed))
        except queue.Full:
            self._overflowed.set()

    def _run(self) -> None:
        next_scan = time.monotonic()
        while not self._stopping.is_set():
            try:
                next_scan = self._pass(next_scan)
            except Exception:
                # Whatever it was, the folder is looked at again: a watcher must not end.
                log.exception("watcher.bug")
                self._overflowed.set()
                self._stopping.wait(1)

    def _pass(self, next_scan: float) -> float:
        """Scan if it is time, hand out what has settled, take hints; the next scan's time."""
        now = time.monotonic()
        missed = self._overflowed.is_set() and len(self._settling) < MAX_WAITING // 2
        if now >= next_scan or missed:
            self._overflowed.clear()
            self._see_all(self._folder, now)
            self.scanned.set()
            next_scan = now + self._rescan_s
        self._pass_on()
        self._check_events()
        due = self._settling.next_due()
        self._take_hints(min(next_scan, due if due is not None else next_scan))
        return next_scan

    def _check_events(self) -> None:
        """A dead event thread says nothing; scans take over, more often."""
        emitters = self._observer.emitters
        if self._rescan_s > BLIND_RESCAN_S and not all(e.is_alive() for e in emitters):
            self._rescan_s = BLIND_RESCAN_S
            log.warning(
                "watcher.blind", reason="events stopped", rescan_interval_s=self._rescan_s
            )

    def _take_hints(self, until: float) -> None:
        """Wait for a hint, at most until the next look is due, and take all there are."""
        timeout_s = min(max(until - time.monotonic(), 0.001), 0.5)
        try:
            path, closed = self._hints.get(timeout=timeout_s)
        except queue.Empty:
            return
        while True:
            now = time.monotonic()
            if self._is_hidden(path):
                pass
            elif os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114
                self._see_all(path, now)
            else:
                self._see(path, now, closed=closed)
            try:
                path, closed = self._hints.get_nowait()
            except queue.Empty:
                return

    def _is_hidden(self, path: Path) -> bool:
        """Whether a folder on the way is hidden: other programs keep their own there."""
        return any(part.startswith(".") for part in path.relative_to(self._folder).parts)

    def _see_all(self, folder: Path, now: float) -> None:
        for path in scan(folder):
            self._see(path, now)

    def _see(self, path: Path, now: float, *, closed: bool = False) -> None:
        if len(self._settling) >= MAX_WAITING:
            self._overflowed.set()
            return
        with self._lock:
            if path in self._queued:
                return
        self._settling.see(path, now, closed=closed)

    def _pass_on(self) -> None:
        for path in self._settling.settled(time.monotonic(), time.time()):
            with self._lock:
                self._queued.add(path)
            while not self._stopping.is_set():
                try:
                    self.ready.put(path, timeout=0.2)
                    break
                except queue.Full:
                    continue


class _Hints(FileSystemEventHandler):
    def __init__(self, hint: Callable[[Path, bool], None]) -> None:
        self._hint = hint

    def on_any_event(self, event: FileSystemEvent) -> None:
        path = event.dest_path or event.src_path
        self._hint(Path(os.fsdecode(path)), isinstance(event, FileClosedEvent | FileMovedEvent))


def scan(folder: Path) -> Iterator[Path]:
    """Everything under ``folder`` that is no folder and not hidden, by name."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith("."):
                yield from scan(Path(entry.path))
        elif not is_unfinished(entry.name):
            yield Path(entry.path)
