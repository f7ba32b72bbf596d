"""From a folder to settled paths: events are hints, a scan is the authority.

Events may be lost, late or wrong (HAZARDS, findings 1 to 3), so they only say where to
look. A path becomes ready when its file has settled (DESIGN 2.1, steps 1 and 2).
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import structlog

from ..folders import is_unfinished
from ..formats.text import printable
from .events import Events
from .root import Root, untold_file_system
from .settling import Settling

# More paths than this wait in the folder itself; a scan finds them again.
MAX_WAITING = 10_000
# What is dropped while a backlog is worked off waits behind so many at most. Twice what is
# taken at once: else some group would find but a few of its files.
MAX_READY = 400
ROOM_EVERY_S = 0.1

# How often the folder is scanned when the kernel sends no events.
BLIND_RESCAN_S = 5.0

# How often the folder is looked at itself: whether it is still the one it was.
ROOT_EVERY_S = 1.0

# So long are hints taken in one go.
HINTS_S = 0.5

# An event takes no longer than this; what is older and was not told was missed.
EVENT_S = 2.0

log = structlog.get_logger()


class Watcher:
    """Watches a folder in a thread of its own and hands out settled paths.

    ``ready`` holds each path once; tell ``done`` when a path is taken from it. The other
    public attributes are for health and metrics, and may be read from any thread.
    """

    def __init__(self, folder: Path, settling: Settling, rescan_s: float) -> None:
        self.ready: queue.Queue[Path] = queue.Queue(MAX_READY)
        self.scanned = threading.Event()
        self.beat_at = time.monotonic()  # when its thread last did something
        self.found: Counter[str] = Counter()  # new files by startup, event, scan
        self.missed = 0  # files that a scan found and an event should have told of
        self._folder = folder
        self._settling = settling
        self._rescan_s = rescan_s
        self._root = Root(folder)
        self._root_trouble: str | None = None
        self._unseen: dict[Path, str] = {}  # what the last scan could not look into
        self._next_look = 0.0
        self._hints: queue.Queue[tuple[Path, bool]] = queue.Queue(MAX_WAITING)
        self._events = Events(folder, self._hint, self.rescan)
        self._queued: set[Path] = set()
        self._rescan = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._scanned_at = 0.0  # in epoch seconds, as the times of files
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Watch first, then scan: what arrives in between is seen twice, not never.

        Without events (watch limit reached, a file system that has none) scans go on,
        more often; ``OSError`` never reaches the caller.
        """
        self._root.trouble()
        self._events.start()
        if kind := untold_file_system(self._folder):
            self._rescan_s = min(self._rescan_s, BLIND_RESCAN_S)
            log.info("watcher.polls", file_system=kind, rescan_interval_s=self._rescan_s)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._events.stop()
        self._root.close()

    def rescan(self) -> None:
        """Look at the whole folder soon."""
        self._rescan.set()

    def done(self, path: Path) -> None:
        """A path was taken from ``ready``; it may come again."""
        with self._lock:
            self._queued.discard(path)

    @property
    def trouble(self) -> str | None:
        """What keeps files from being seen, or being seen soon; None when nothing does."""
        unseen = next(iter(self._unseen.values()), None)
        if self._root_trouble or unseen or not self._events.blind:
            return self._root_trouble or unseen
        return (
            f"no events arrive from {self._folder} ({self._events.blind}); it is looked "
            f"through every {BLIND_RESCAN_S:g} seconds instead"
        )

    @property
    def canary_age_s(self) -> float:
        """Seconds since an event was last seen to arrive."""
        return self._events.canary_age_s

    @property
    def restarts(self) -> dict[str, int]:
        """How often the observer was built anew, by reason."""
        return dict(self._events.restarts)

    @property
    def pending(self) -> int:
        """Files that were seen and not handed over yet."""
        return len(self._settling) + self.ready.qsize()

    def _hint(self, path: Path, closed: bool) -> None:  # noqa: FBT001
        try:
            self._hints.put_nowait((path, closed))
        except queue.Full:
            self._rescan.set()

    def _run(self) -> None:
        next_scan = time.monotonic()
        while not self._stopping.is_set():
            try:
                next_scan = self._pass(next_scan)
            except Exception:
                # Whatever it was, the folder is looked at again: a watcher must not end.
                log.exception("watcher.bug")
                self._rescan.set()
                self._stopping.wait(1)

    def _pass(self, next_scan: float) -> float:
        """Scan if it is time, hand out what has settled, take hints; the next scan's time."""
        now = self.beat_at = time.monotonic()
        self._look_at_root(now)
        rescan = self._rescan.is_set() and len(self._settling) < MAX_WAITING // 2
        if now >= next_scan or rescan:
            self._rescan.clear()
            self._scan(now)
            next_scan = now + self._interval_s()
        if self._root_trouble is None:
            self._pass_on()
            self._events.check(now)
        due = now + ROOM_EVERY_S if self.ready.full() else self._settling.next_due()
        self._take_hints(min(next_scan, due if due is not None else next_scan))
        return min(next_scan, time.monotonic() + self._interval_s())

    def _interval_s(self) -> float:
        is_blind = self._events.blind or self._unseen
        return min(self._rescan_s, BLIND_RESCAN_S) if is_blind else self._rescan_s

    def _look_at_root(self, now: float) -> None:
        """Another folder under the name is watched anew; one that is not ours is left alone."""
        if now < self._next_look:
            return
        self._next_look = now + ROOT_EVERY_S
        before, identity = self._root_trouble, self._root.identity
        self._root_trouble = self._root.trouble()
        if before is None and self._root_trouble is not None:
            log.warning("watcher.lost", reason=self._root_trouble)
        if self._root_trouble is None and (before or self._root.identity != identity):
            self._events.restart("folder")

    def _scan(self, now: float) -> None:
        """All that lies there; a file that came since the last scan had an event to tell it."""
        if self._root_trouble is not None:
            self.scanned.set()
            return
        began, missed = time.time(), 0
        unseen: dict[Path, str] = {}
        source = "scan" if self._scanned_at else "startup"
        for path in scan(self._folder, unseen):
            came_at = _came_at(path)
            is_news = source == "startup" or came_at > self._scanned_at
            told_in_time = came_at > began - EVENT_S or self._events.blind
            if self._see(path, now, source=source if is_news else None) and is_news:
                missed += source == "scan" and not told_in_time
        if missed:
            self.missed += missed
            log.warning(
                "watcher.missed", files=missed, reason="a scan found what no event told of"
            )
        if self._unseen and not unseen:
            self._events.restart("folder")  # what could not be entered is not watched either
        self._unseen = unseen
        self._scanned_at = began
        self.scanned.set()

    def _take_hints(self, until: float) -> None:
        """Wait for a hint, at most until the next look is due, and take what there are.

        Not for long: each may be a folder to look through, and there is more to do.
        """
        timeout_s = min(max(until - time.monotonic(), 0.001), 0.5)
        with suppress(queue.Empty):
            path, closed = self._hints.get(timeout=timeout_s)
            enough = time.monotonic() + HINTS_S
            self._follow(path, time.monotonic(), closed=closed)
            while time.monotonic() < enough:
                path, closed = self._hints.get_nowait()
                self._follow(path, time.monotonic(), closed=closed)

    def _follow(self, path: Path, now: float, *, closed: bool) -> None:
        if self._is_hidden(path):
            return
        if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114
            for inside in scan(path):
                self._see(inside, now, source="event")
        else:
            self._see(path, now, closed=closed, source="event")

    def _is_hidden(self, path: Path) -> bool:
        """Whether a folder on the way is hidden: other programs keep their own there."""
        return any(part.startswith(".") for part in path.relative_to(self._folder).parts)

    def _see(self, path: Path, now: float, *, closed: bool = False, source: str | None) -> bool:
        """Let it settle; whether it was not known to wait."""
        is_told = source == "event"
        if len(self._settling) >= (2 * MAX_WAITING if is_told else MAX_WAITING):
            self._rescan.set()
            return False
        with self._lock:
            if path in self._queued:
                return False
        is_new = self._settling.see(path, now, closed=closed, told=is_told)
        if is_new and source:
            self.found[source] += 1
        return is_new

    def _pass_on(self) -> None:
        """As much as there is room for: who waits for room here sees nothing else."""
        room = MAX_READY - self.ready.qsize()
        for path in islice(self._settling.settled(time.monotonic(), time.time()), room):
            with self._lock:
                self._queued.add(path)
            self.ready.put_nowait(path)


def _came_at(path: Path) -> float:
    """When a file came under its name, in epoch seconds: a rename sets this time, too."""
    try:
        return path.lstat().st_ctime
    except OSError:
        return 0.0


def scan(folder: Path, unseen: dict[Path, str] | None = None) -> Iterator[Path]:
    """Everything under ``folder`` that is no folder and not hidden, by name.

    However deep it lies: a call for each level would end at a thousand. Folders that cannot
    be looked into are noted in ``unseen``, with what is wrong.
    """
    levels = [_entries(folder, unseen)]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
        elif entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith("."):
                levels.append(_entries(Path(entry.path), unseen))
        elif not is_unfinished(entry.name):
            yield Path(entry.path)


def _entries(folder: Path, unseen: dict[Path, str] | None) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        os.stat(f"{folder}/.")  # noqa: PTH116  # to list it is one right, to enter another
    except FileNotFoundError:
        return iter(())  # gone meanwhile
    except OSError as error:
        if unseen is not None:
            name = printable(str(folder))
            unseen[folder] = f"{name} cannot be looked into ({error.strerror}); its files wait"
        return iter(())
    return iter(entries)
