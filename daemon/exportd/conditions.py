"""What is wrong with the surroundings: told when it begins, and when it is over.

A condition is an alert that the world fires, not a file. It is written into the outbox, or
into the spool while the database does not answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from .alerts.rules import RULES
from .errors import TransientError
from .spool import Spool, Spooled
from .store import NewAlert, Store

log = structlog.get_logger()

# What is looked for; ``alerts.rules`` says how bad each is.
BLOCKING = ("database_unreachable", "watcher_blind", "archive_absent", "disk_low")
KINDS = (*BLOCKING, "disk_filling", "files_waiting", "no_export")
_OVER = "it is over"


@dataclass(slots=True)
class _Condition:
    reason: str
    since: datetime
    is_written: bool = False
    is_over: bool = False
    spool_id: str | None = None

    @property
    def body(self) -> str:
        return f"{self.reason} (since {self.since:%Y-%m-%d %H:%M:%S} UTC)"


class Conditions:
    """The conditions of one memory folder; at most one of each kind waits to be written."""

    def __init__(self, store: Store, spool: Spool, memory_dir: str) -> None:
        self._store = store
        self._spool = spool
        self._memory_dir = memory_dir
        self._found: dict[str, _Condition] = {}
        self._is_new = True

    @property
    def reasons(self) -> list[str]:
        """What keeps files from being taken, a sentence each; may be read from any thread."""
        found = self._found.copy()
        return [
            found[kind].reason for kind in BLOCKING if kind in found and not found[kind].is_over
        ]

    def see(self, kind: str, trouble: str | None) -> None:
        """``trouble`` is what is wrong now, None when nothing is."""
        known = self._found.get(kind)
        is_on = known is not None and not known.is_over
        if trouble and not is_on:
            log.warning("condition.began", kind=kind, reason=trouble)
        if trouble:
            found = self._found.setdefault(kind, _Condition(trouble, datetime.now(UTC)))
            found.reason, found.is_over = trouble, False
        elif known and is_on:
            known.is_over = True
            log.info("condition.over", kind=kind)

    def write(self) -> bool:
        """Put what is new into the outbox, or else into the spool; whether all is written.

        What an earlier process left firing, and is not wrong now, is over.
        """
        try:
            if self._is_new:
                self._adopt()
                self._end_left()
                for kind in set(KINDS) - self._found.keys():
                    self._resolve(kind)
                self._is_new = False
            for kind, found in list(self._found.items()):
                if not found.is_written or found.is_over:
                    self._write(kind, found)
        except TransientError as error:
            log.debug("condition.deferred", reason=str(error))
            self.keep()
            return False
        return True

    def keep(self) -> None:
        """Put what is not written into the spool: the database is known to be away."""
        self._adopt()
        for kind, found in self._found.items():
            if not found.is_written:
                entry = Spooled(kind, found.body, found.since.isoformat())
                self._spool.add(entry)
                found.is_written, found.spool_id = True, entry.spool_id

    def _adopt(self) -> None:
        """What an earlier process spooled, and is still so, is not told anew."""
        if all(found.is_written for found in self._found.values()):
            return
        for entry in self._spool.entries():
            found = self._found.get(entry.kind)
            if found and not found.is_written and entry.over_at is None:
                found.is_written, found.spool_id = True, entry.spool_id

    def _end_left(self) -> None:
        """What an earlier process spooled, and is not so now, is over."""
        for entry in self._spool.entries():
            if entry.kind not in self._found and entry.over_at is None:
                self._spool.end(entry.spool_id, datetime.now(UTC).isoformat())

    def _write(self, kind: str, found: _Condition) -> None:
        if not found.is_written:
            alert = NewAlert(
                kind, RULES[kind].severity, found.body, self._memory_dir, self._memory_dir
            )
            self._store.run(lambda tx: tx.alert(alert))
            found.is_written = True
        if found.is_over:
            now = datetime.now(UTC).isoformat()
            if found.spool_id is None or not self._spool.end(found.spool_id, now):
                self._resolve(kind)
            del self._found[kind]

    def _resolve(self, kind: str) -> None:
        self._store.run(lambda tx: tx.resolve_alert(kind, self._memory_dir, _OVER))
