"""What the daemon does for the archive when nothing else is to be done, once a day.

Off by default. Nothing is lost by it: packing keeps the bytes, and only a person may decide
that files which could not be ingested go after so many days.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import timedelta

import structlog

from .containers import Gzip, Zip
from .errors import TransientError
from .formats.text import escape, unescape
from .packed import Interrupted
from .packing import Packed, Packing
from .store import Store
from .workplace import Workplace

# A smaller file would not take less room on a disk.
LEAST_BYTES = 4096

_EVERY_S = 86_400.0
# After trouble, which is told, so long is waited.
_AGAIN_S = 3_600.0

log = structlog.get_logger()


def packable(store: Store, days: float) -> list[tuple[str, str, int]]:
    """Names in the archive, with SHA-256 and size, of what was archived so long ago."""
    rows = store.run(lambda tx: tx.rows("packable", **_due(days)))
    return [(unescape(name), sha256, size_bytes) for name, sha256, size_bytes in rows]


def not_packable(store: Store, days: float) -> tuple[int, int]:
    """How many of them are too small to be packed, and how many are a zip or gzip."""
    ((small, came_packed),) = store.run(lambda tx: tx.rows("not_packable", **_due(days)))
    return small, came_packed


def _due(days: float) -> dict[str, object]:
    return {
        "age": timedelta(days=days),
        "but": [Zip.NAME, Gzip.NAME],
        "least": LEAST_BYTES,
    }


class Housekeeping:
    """Goes through what is due, one file at a time; whoever calls may stop it after each."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._packing = Packing(place.folders.archive)
        self._due_at = 0.0
        self._left: deque[tuple[str, str, int]] | None = None
        self._packed: list[Packed] = []

    @property
    def is_on(self) -> bool:
        settings = self._place.settings
        return bool(settings.compress_after or settings.keep_failed_days)

    def step(self, now: float, go_on: Callable[[], bool]) -> None:
        """Do a little, in monotonic seconds; soon after ``go_on`` says no it ends."""
        if not self.is_on or now < self._due_at:
            return
        try:
            if self._left is None:
                self._place.archive.check()
                self._remove_failed()
                self._left = self._packable()
            self._pack(self._left, go_on)
        except Interrupted:
            return
        except TransientError as error:
            log.warning("housekeeping.deferred", reason=str(error))
            self._due_at = now + _AGAIN_S
        else:
            self._tell()
            self._due_at = now + _EVERY_S
        self._left = None

    def _packable(self) -> deque[tuple[str, str, int]]:
        days = self._place.settings.compress_after
        return deque(packable(self._place.store, days) if days else [])

    def _pack(self, left: deque[tuple[str, str, int]], go_on: Callable[[], bool]) -> None:
        """One that is interrupted is the first of the next time."""
        while left:
            if not go_on():
                raise Interrupted("a file came")
            self._pack_one(*left[0], go_on)
            left.popleft()

    def _pack_one(
        self, name: str, sha256: str, _size_bytes: int, go_on: Callable[[], bool]
    ) -> None:
        self._place.intake.check_space()
        done = self._packing.pack(name, sha256, go_on)
        if done is None:
            return
        if done.why_not:
            log.info("housekeeping.not_packed", file=escape(name), reason=done.why_not)
        else:
            self._packed.append(done)

    def _tell(self) -> None:
        if self._packed:
            log.info(
                "housekeeping.packed",
                files=len(self._packed),
                before_bytes=sum(done.before_bytes for done in self._packed),
                after_bytes=sum(done.after_bytes for done in self._packed),
            )
        self._packed = []

    def _remove_failed(self) -> None:
        """Files that could not be ingested, where a setting says that they go."""
        days = self._place.settings.keep_failed_days
        if not days:
            return
        memory_dir = escape(str(self._place.folders.memory))
        store = self._place.store
        rows = store.run(
            lambda tx: tx.rows(
                "old_dead_letters", memory_dir=memory_dir, age=timedelta(days=days)
            )
        )
        for dead_letter_id, name in rows:
            self._place.archive.remove_failed(unescape(name))
            store.run(
                lambda tx, one=dead_letter_id: tx.execute(  # type: ignore[misc]
                    "forget_failed_file", dead_letter_id=one
                )
            )
        if rows:
            log.info("housekeeping.removed", dead_letters=len(rows), after_days=days)
