"""The relay's thread: it tells people while the worker works."""

from __future__ import annotations

import threading
import time

import structlog

from .relay import Relay

log = structlog.get_logger()

# A message that is under way when the daemon stops has so long to arrive; else it is sent
# again after the next start, and says so. With a database and an embedded server that hang,
# too, the end still comes within 20 s of the signal.
STOP_S = 4.0
_BUG_S = 5.0


class RelayThread:
    """Takes turns until it is stopped; ``beat_at`` says when the last one began."""

    def __init__(self, relay: Relay, stopping: threading.Event) -> None:
        self.beat_at = time.monotonic()
        self._relay = relay
        self._stopping = stopping
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something was written that people may have to be told."""
        self._relay.wake()

    def stop(self) -> None:
        self._stopping.set()
        self._relay.wake()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        if not self._thread.is_alive():  # one that hangs holds its connection, too
            self._relay.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.beat_at = time.monotonic()
            try:
                wait_s = self._relay.turn()
            except Exception:
                log.exception("relay.bug")
                wait_s = _BUG_S
            self._relay.wait(wait_s)
