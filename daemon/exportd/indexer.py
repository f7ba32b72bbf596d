"""What is stored becomes searchable behind the commit, in turns of a fraction of a second."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator

import structlog

from .errors import TransientError
from .store import Store
from .store.searching import index_some, lag

log = structlog.get_logger()

# Without a sign from the worker: other processes store and leave, too.
IDLE_S = 5.0
_RETRY_S = 1.0

# While files wait, the ingest has the server to itself so many times as long as a turn took.
_YIELD = 4.0


class Indexer:
    """Puts what is new into the index; ``lag`` is how many messages waited last.

    ``is_busy`` says whether files wait to be ingested.
    """

    def __init__(
        self, store: Store, stopping: threading.Event, is_busy: Callable[[], bool]
    ) -> None:
        self.lag = 0
        self._store = store
        self._stopping = stopping
        self._is_busy = is_busy

    def turn(self) -> float:
        """Index a little; returns after how many seconds more may wait."""
        started = time.monotonic()
        try:
            done = self._store.run(index_some)
            self.lag = self._store.run(lag) if done is None else done.remaining
        except TransientError as error:
            log.debug("indexer.deferred", reason=str(error))
            return _RETRY_S
        if done is None:
            return _RETRY_S
        if self._is_busy():
            self._stopping.wait(_YIELD * (time.monotonic() - started))
        return 0 if done.remaining else IDLE_S

    def close(self) -> None:
        self._store.close()


def catch_up(
    store: Store,
    within_s: float = math.inf,
    stopping: threading.Event | None = None,
    show: Callable[[int], object] = lambda _remaining: None,
) -> None:
    """Index what waits, without a daemon, as far as it is done in so long.

    ``show`` is told how many messages remain. What is left when the time is over, or the
    database away, stays in the queue, for a daemon or the next command.
    """
    deadline = time.monotonic() + within_s
    try:
        for remaining in indexing(store):
            show(remaining)
            if time.monotonic() > deadline or (stopping and stopping.is_set()):
                return
    except TransientError as error:
        log.debug("indexer.deferred", reason=str(error))


def indexing(store: Store) -> Iterator[int]:
    """Index all that waits; yields how many messages do so after each turn."""
    remaining = 1
    while remaining:
        done = store.run(index_some)
        if done is None:  # another process is at it
            time.sleep(0.05)
        remaining = store.run(lag) if done is None else done.remaining
        yield remaining
