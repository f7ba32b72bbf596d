"""What is wrong with the surroundings: told when it begins, and when it is over.

A condition is an alert that the world fires, not a file. It is written into the table
``alerts`` as soon as the database answers, be that when it is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from .errors import TransientError
from .models import Severity
from .store import Store

log = structlog.get_logger()

# What can be wrong, and how bad that is (DESIGN 6).
KINDS = {
    "database_unreachable": Severity.CRITICAL,
    "watcher_blind": Severity.CRITICAL,
    "archive_absent": Severity.CRITICAL,
    "disk_low": Severity.CRITICAL,
}


@dataclass(slots=True)
class _Condition:
    reason: str
    since: datetime
    is_written: bool = False
    is_over: bool = False


class Conditions:
    """The conditions of one memory folder; at most one of each kind waits to be written."""

    def __init__(self, store: Store, memory_dir: str) -> None:
        self._store = store
        self._memory_dir = memory_dir
        self._found: dict[str, _Condition] = {}
        self._is_new = True

    @property
    def reasons(self) -> list[str]:
        """What is wrong now, a sentence each."""
        return [found.reason for found in [*self._found.values()] if not found.is_over]

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

    def write(self) -> None:
        """Put what is new into the database; what cannot be written waits for the next call.

        What an earlier process left firing, and is not wrong now, is over.
        """
        try:
            if self._is_new:
                for kind in KINDS.keys() - self._found.keys():
                    self._resolve(kind)
                self._is_new = False
            for kind, found in list(self._found.items()):
                if not found.is_written or found.is_over:
                    self._write(kind, found)
        except TransientError as error:
            log.debug("condition.deferred", reason=str(error))

    def _write(self, kind: str, found: _Condition) -> None:
        if not found.is_written:
            body = f"{found.reason} (since {found.since:%Y-%m-%d %H:%M:%S} UTC)"
            self._store.run(
                lambda tx: tx.alert(kind, KINDS[kind], body, subject=self._memory_dir)
            )
            found.is_written = True
        if found.is_over:
            self._resolve(kind)
            del self._found[kind]

    def _resolve(self, kind: str) -> None:
        self._store.run(lambda tx: tx.resolve_alert(kind, self._memory_dir))
