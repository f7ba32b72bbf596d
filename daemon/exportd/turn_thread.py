"""A thread beside the worker's, which takes turns: the relay's, the indexer's."""

from __future__ import annotations

import threading
import time
from typing import Protocol

import structlog

log = structlog.get_logger()

_BUG_S = 5.0


class Turns(Protocol):
    """What is done in turns; each is short enough for a stop signal to be heard."""

    def turn(self) -> float:
        """Do what is due; returns after how many seconds more may be."""

    def close(self) -> None:
        """Let go of the database."""


class TurnThread:
    """Takes turns until it is stopped; ``beat_at`` says when the last one began."""

    def __init__(
        self, name: str, turns: Turns, stopping: threading.Event, stop_s: float
    ) -> None:
        """``stop_s``: what is under way when the daemon stops has so long to end."""
        self.beat_at = time.monotonic()
        self._name = name
        self._turns = turns
        self._stopping = stopping
        self._awake = threading.Event()
        self._stop_s = stop_s
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._awake.set()

    def stop(self) -> None:
        self._stopping.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(self._stop_s)
        if not self._thread.is_alive():  # one that hangs holds its connection, too
            self._turns.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.beat_at = time.monotonic()
            try:
                wait_s = self._turns.turn()
            except Exception:
                log.exception(f"{self._name}.bug")
                wait_s = _BUG_S
            self._awake.wait(wait_s)
            self._awake.clear()
