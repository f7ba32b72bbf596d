"""The kernel's events on a folder, and the proof that they still arrive.

watchdog's observer may be alive and see nothing (HAZARDS, finding 2). A canary, a hidden file
made in the folder now and then, must come back as an event; when it does not, the observer
is built anew.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
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
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

log = structlog.get_logger()

CANARY = ".exportd-canary"
CANARY_EVERY_S = 30.0
CANARY_WAIT_S = 5.0

# A file that leaves the folder holds back all later events for as long as its new place
# may still be told, half a second by default. Every claim is such a leave.
InotifyMoveEventGrouper.delay = 0.01

# Otherwise a file that is renamed into the folder looks as one that is being written there.
_OPTIONS = {"generate_full_events": True} if sys.platform == "linux" else {}

_KINDS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileClosedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]


class Events:
    """Events of one folder, as hints; ``lost`` is called when some were lost.

    ``blind`` says why none arrive, None while they do. Built anew with growing pauses.
    """

    def __init__(
        self, folder: Path, hint: Callable[[Path, bool], None], lost: Callable[[], None]
    ) -> None:
        self.blind: str | None = None
        self.restarts: Counter[str] = Counter()
        self._folder = folder
        self._hint = hint
        self._lost = lost
        self._observer: BaseObserver | None = None  # the kernel may refuse one
        self._overflow = _Overflow(self._told_of_loss)
        self._sung_at: float | None = None
        self._heard_at = time.monotonic()
        self._next_song = time.monotonic() + CANARY_EVERY_S
        self._unheard = 0

    def start(self) -> None:
        """Watch; where that is impossible ``blind`` says why, and scans must do."""
        logging.getLogger("watchdog.observers").addHandler(self._overflow)
        self._observe()

    def stop(self) -> None:
        logging.getLogger("watchdog.observers").removeHandler(self._overflow)
        self._end_observer()
        if self._sung_at is not None:
            self._silence()

    def restart(self, reason: str) -> None:
        """A new observer on the folder as it is now."""
        self.restarts[reason] += 1
        log.warning("watcher.restarted", reason=reason)
        self._end_observer()
        self._sung_at = None
        self._observe()
        self._lost()

    @property
    def canary_age_s(self) -> float:
        """Seconds since events were last seen to arrive."""
        return time.monotonic() - self._heard_at

    def check(self, now: float) -> None:
        """Notice that events have stopped, and begin anew (monotonic seconds)."""
        if self._sung_at is None:
            if now >= self._next_song:
                self._sing(now)
        elif self._heard_at >= self._sung_at:
            self._silence()
            self._sung_at, self._unheard = None, 0
            self._next_song = now + CANARY_EVERY_S
            if self.blind:
                log.info("watcher.sees", after=self.blind)
            self.blind = None
        elif now > self._sung_at + CANARY_WAIT_S:
            self._not_heard(now)

    def _sing(self, now: float) -> None:
        self._silence()
        try:
            os.close(
                os.open(self._folder / CANARY, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            )
        except OSError:
            self._next_song = now + CANARY_EVERY_S  # a full disk says nothing of events
        else:
            self._sung_at = now

    def _not_heard(self, now: float) -> None:
        self._unheard += 1
        self.restart("canary")
        if self._unheard > 1:
            self._blinded("a file made in the folder brought no event")
        self._next_song = now + min(2**self._unheard, 10 * CANARY_EVERY_S)

    def _silence(self) -> None:
        with suppress(OSError):
            (self._folder / CANARY).unlink()

    def _observe(self) -> None:
        try:
            self._observer = Observer(**_OPTIONS)
            self._observer.schedule(
                _Hints(self._seen), str(self._folder), recursive=True, event_filter=_KINDS
            )
            self._observer.start()
        except OSError as error:
            self._blinded(f"{error.strerror}")
        except RecursionError:
            self._blinded("its folders are too deep")
        self._next_song = min(self._next_song, time.monotonic() + 1)

    def _blinded(self, reason: str) -> None:
        if self.blind is None:
            log.warning("watcher.blind", reason=reason)
        self.blind = reason

    def _end_observer(self) -> None:
        if self._observer is not None and self._observer.is_alive():
            self._observer.stop()
            self._observer.join(timeout=CANARY_WAIT_S)
        self._observer = None

    def _seen(self, path: Path, closed: bool) -> None:  # noqa: FBT001
        if path.name == CANARY and path.parent == self._folder:
            self._heard_at = time.monotonic()
        else:
            self._hint(path, closed)

    def _told_of_loss(self) -> None:
        log.warning("watcher.overflowed", reason="the kernel's queue of events was full")
        self._lost()


class _Overflow(logging.Handler):
    """watchdog tells of lost events in its log and nowhere else."""

    def __init__(self, lost: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._told = lost

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.msg:
            self._told()


class _Hints(FileSystemEventHandler):
    def __init__(self, hint: Callable[[Path, bool], None]) -> None:
        self._hint = hint

    def on_any_event(self, event: FileSystemEvent) -> None:
        if isinstance(event, FileMovedEvent | DirMovedEvent) and not event.dest_path:
            return  # it left the folder, as every claim does
        path = event.dest_path or event.src_path
        self._hint(Path(os.fsdecode(path)), isinstance(event, FileClosedEvent | FileMovedEvent))
