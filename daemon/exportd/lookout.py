"""The daemon's look at its surroundings: what is wrong becomes a condition."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from .conditions import Conditions
from .digest import write_digest
from .errors import TransientError
from .folders import filling, low_space
from .formats.text import escape
from .render.wording import some
from .waiting import late_files
from .watcher import Watcher
from .workplace import Workplace

# How often each is looked at: the last two ask the folder for every file, and the database.
LOOK_EVERY_S, FILES_EVERY_S, DAYS_EVERY_S = 1.0, 30.0, 60.0


class Lookout:
    """What the worker looks at between two files, none of it more often than needed."""

    def __init__(self, place: Workplace, watcher: Watcher) -> None:
        self.conditions = Conditions(
            place.store, place.spool, escape(str(place.folders.memory))
        )
        self._place = place
        self._watcher = watcher
        self._memory_dir = escape(str(place.folders.memory))
        self._looked_at = self._files_at = self._days_at = -DAYS_EVERY_S
        self._oldest_s = 0.0

    def look(self, now: float) -> None:
        """Look at what is due, in monotonic seconds."""
        if now < self._looked_at + LOOK_EVERY_S:
            return
        self._looked_at = now
        place, see = self._place, self.conditions.see
        see("watcher_blind", self._watcher.trouble)
        see("archive_absent", place.archive.trouble())
        see("disk_low", low_space(place.folders, place.settings.disk_reserve_bytes))
        if now >= self._files_at + FILES_EVERY_S:
            self._files_at = now
            see("files_waiting", self._waiting())
            percent = place.settings.alerts.disk_free_percent
            see("disk_filling", filling(place.folders, percent))

    def look_at_the_days(self, now: float) -> bool:
        """What only the database knows; whether something was written."""
        if now < self._days_at + DAYS_EVERY_S:
            return False
        self._days_at = now
        with suppress(TransientError):
            self.conditions.see("no_export", self._silence())
            return self._digest()
        return False

    def _waiting(self) -> str | None:
        after = self._place.settings.alerts.files_waiting_after
        late = late_files(self._place.folders.exports, self._place.patience, after)
        if not late:
            return None
        wait = "waits" if late == 1 else "wait"
        return f"{some(late, 'file')} {wait} in exports/ for more than {after:g} s"

    def _silence(self) -> str | None:
        days = self._place.settings.alerts.no_export_days
        last = self._place.store.last_drop(self._memory_dir) if days else None
        if last is None or datetime.now(UTC) - last < timedelta(days=days):
            return None
        return f"nothing was dropped since {last:%Y-%m-%d}"

    def _digest(self) -> bool:
        at = self._place.settings.alerts.digest_at
        if at is None:
            return False
        return write_digest(
            self._place.store,
            self._memory_dir,
            at,
            datetime.now().astimezone(),
            self._watcher.pending,
        )
