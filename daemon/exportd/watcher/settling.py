"""When a seen file is safe to read: complete as far as anybody can tell (DESIGN 2.1, step 2).

No thread, no event, no clock of its own; ``watcher`` says when to look.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..folders import is_no_folder, is_sidecar, is_unfinished

# After a closed-after-write event one look more, this much later, is enough.
RECHECK_S = 0.02

# For so many settle times a path that was handed out gets no such shortcut; and so many
# paths are remembered for that.
REMEMBERED = 10
MAX_REMEMBERED = 10_000


@dataclass(slots=True)
class _Waiting:
    """A path that was seen and has not settled yet. Times are monotonic seconds."""

    signature: tuple[int, ...] | None
    due: float
    changed_at: float = 0.0  # known by the file's own time at the first look alone
    closed: bool = False
    rechecked: bool = False
    told: bool = False  # by an event: it came just now
    patient: bool = False  # no shortcut: its writer opens it again and again


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
        self._handed_out: dict[Path, float] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def see(self, path: Path, now: float, *, closed: bool = False, told: bool = False) -> bool:
        """Look at a path soon: at once, or a moment after a writer closed it.

        A program that appends and closes again and again gets no such moment: its file has
        been closed before, or its first part was handed out under this name just now.
        Returns whether the path did not wait yet.
        """
        if is_unfinished(path.name):
            return False
        is_new = path not in self._waiting
        waiting = self._waiting.setdefault(path, _Waiting(None, now))
        waiting.told |= told
        handed_out = self._handed_out.get(path)
        if handed_out is not None and now - handed_out < REMEMBERED * self._settle_s:
            waiting.patient = True
        if closed and not waiting.patient:
            waiting.due = min(waiting.due, now)
            waiting.patient, waiting.closed = waiting.closed, True
        return is_new

    def next_due(self) -> float | None:
        """When the next look is worth it; None when nothing waits."""
        return min((waiting.due for waiting in self._waiting.values()), default=None)

    def settled(self, now: float, wall: float) -> Iterator[Path]:
        """Paths that have settled by ``now`` (monotonic) and ``wall`` (epoch seconds).

        Those that an event told of come before what lay there already.
        """
        due = [path for path, waiting in self._waiting.items() if waiting.due <= now]
        for path in sorted(due, key=lambda path: not self._waiting[path].told):
            if self._look(path, self._waiting[path], now, wall):
                del self._waiting[path]
                self._remember(path, now)
                yield path

    def _look(self, path: Path, waiting: _Waiting, now: float, wall: float) -> bool:
        try:
            status = path.lstat()
        except OSError:
            del self._waiting[path]
            return False
        if not stat.S_ISREG(status.st_mode):
            return True  # no writer will ever finish it; intake says what it is
        signature = (status.st_ino, status.st_size, status.st_mtime_ns)
        still = waiting.signature == signature
        if waiting.signature is None:
            waiting.changed_at = now - max(wall - status.st_mtime, 0)
        elif not still:
            waiting.changed_at = now
        waiting.signature = signature
        age_s = now - waiting.changed_at  # whatever the clock is set to meanwhile
        if status.st_size == 0:
            waiting.due = now + self._settle_s
            return age_s >= self._empty_timeout_s
        if is_sidecar(path.name) and is_no_folder(path.with_suffix("")):
            waiting.due = now + self._settle_s  # the claim of its file takes it along
            return False
        if (still or age_s >= self._settle_s) and not self._is_open(path):
            return True
        soon = waiting.closed and not waiting.patient and not waiting.rechecked
        waiting.rechecked = waiting.rechecked or soon
        waiting.due = now + (RECHECK_S if soon else self._settle_s)
        return False

    def _remember(self, path: Path, now: float) -> None:
        """What was handed out moments ago; the rest is forgotten when there is much."""
        self._handed_out[path] = now
        if len(self._handed_out) > MAX_REMEMBERED:
            oldest = now - REMEMBERED * self._settle_s
            recent = {p: at for p, at in self._handed_out.items() if at > oldest}
            self._handed_out = recent if len(recent) < MAX_REMEMBERED else {}
