"""How long to wait before something is tried again."""

from __future__ import annotations

import time
from collections.abc import Iterator

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0


class Waits:
    """When to try again what was deferred: soon, then ever later."""

    def __init__(self) -> None:
        self._waits = growing()
        self._at: float | None = None

    def begin(self) -> None:
        if self._at is None:
            self._at = time.monotonic() + next(self._waits)

    def due(self) -> bool:
        return self._at is not None and time.monotonic() >= self._at

    def end(self) -> None:
        self._at = None

    def start_short(self) -> None:
        """Something succeeded: the next wait is a short one again."""
        self._waits = growing()


def growing() -> Iterator[float]:
    """Ever longer waits, in seconds, without end."""
    wait_s = _FIRST_WAIT_S
    while True:
        yield wait_s
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
