"""Files that are dropped while a daemon works on a backlog, and how soon they are stored."""

from __future__ import annotations

import hashlib
import statistics
import time
from pathlib import Path

from psycopg2.extensions import connection

from .generator import Growing
from .measuring import PATIENCE_S
from .session_text import text_pieces
from .talk import turns

_EVERY_S = 3.0
_LOOK_S = 0.05
_SIZE = 50_000


class Live:
    """Drops a file of 50 KB every three seconds, by a rename, and asks 20 times a second."""

    def __init__(self, place: Path, memory: Path, database: connection) -> None:
        self.served: list[float] = []
        self.messages = 0
        self._place, self._memory, self._database = place, memory, database
        self._next = time.monotonic()
        self._waiting: tuple[str, float] | None = None

    def turn(self) -> None:
        """Take a look, and drop the next file when it is time and none waits; pause."""
        if self._waiting is None and time.monotonic() >= self._next:
            self._drop()
        time.sleep(_LOOK_S)
        self._look()

    def finish(self) -> None:
        """Wait for what was dropped last; ``TimeoutError`` when it does not come."""
        until = time.monotonic() + PATIENCE_S
        while self._waiting:
            if time.monotonic() > until:
                raise TimeoutError("a file that was dropped meanwhile was not stored")
            time.sleep(_LOOK_S)
            self._look()

    def told(self) -> str:
        middle, most = statistics.median(self.served), max(self.served)
        return (
            f"{len(self.served)} files of 50 KB that were dropped meanwhile were committed "
            f"after {middle:.2f} s in the median, {most:.2f} s at most"
        )

    def _drop(self) -> None:
        number = len(self.served)
        export = Growing(text_pieces(turns(f"live {number}"), client=number))
        data = export.until(_SIZE)
        self.messages += export.messages
        path = self._memory / f"2026-01-01-EXPORT-LIVE-{number:04}.txt"
        path.write_bytes(data)
        self._waiting = hashlib.sha256(data).hexdigest(), time.monotonic()
        path.rename(self._memory / "exports" / path.name)
        self._next = time.monotonic() + _EVERY_S

    def _look(self) -> None:
        if self._waiting is None:
            return
        sha256, dropped = self._waiting
        with self._database.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM exports WHERE sha256 = %s AND state = 'ingested'", (sha256,)
            )
            if cursor.fetchone():
                self.served.append(time.monotonic() - dropped)
                self._waiting = None
