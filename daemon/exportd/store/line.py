"""One connection to the server, used by a thread that can be left behind.

While libpq waits it hears no signal, and for a server that hangs behind a Unix socket, or
a name server that does not answer, it waits without end. So a thread of its own does the
waiting. Whoever asked watches over it, and cuts the connection when it takes too long
(HAZARDS 32).
"""

from __future__ import annotations

import math
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, TypeVar

import psycopg2
from psycopg2.extensions import connection, make_dsn, parse_dsn

from ..errors import DatabaseUnavailable, TookTooLong
from .role import take

_T = TypeVar("_T")

# A peer that is gone without a word is noticed within about half a minute.
_CONNECTION_OPTIONS: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

# Whoever holds a row for longer lets the file wait. The server, too, notices a peer that
# is gone, and frees the rows that it held.
_SESSION_OPTIONS = {
    "lock_timeout": "5s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}

# The server gives a statement up by itself; it has so long to say so.
_GRACE_S = 1.0

# After a stop signal all calls together have so long: the daemon must end within 20 s.
STOP_S = 8.0

_LOOK_S = 0.25
_TURN_S = 0.0005


def reachable(url: str) -> str:
    """The URL with time limits for connecting; what it says itself wins."""
    given = parse_dsn(url)
    options = dict(_CONNECTION_OPTIONS)
    if "," in given.get("host", ""):
        # Of several servers the first that answers may be a standby.
        options["target_session_attrs"] = "read-write"
    return str(make_dsn("", **{**options, **given}))


@contextmanager
def _taking_short_turns() -> Iterator[None]:
    """The line's thread needs the interpreter for moments, between two answers of the server.

    It would wait 5 ms for each of them beside a thread that computes.
    """
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)


class Patience:
    """How long a server may take; for all the lines of one store.

    ``timeout_s`` is for one call; None leaves commands at a terminal all the time.
    """

    def __init__(self, timeout_s: float | None, stopping: threading.Event) -> None:
        self.timeout_s = timeout_s or math.inf
        self._stopping = stopping
        self._end_at: float | None = None

    def without_timeout(self) -> Patience:
        """For work that may take long, and ends at a stop signal all the same."""
        return Patience(None, self._stopping)

    def check(self, waited_s: float, within_s: float) -> None:
        """Raise ``DatabaseUnavailable`` when it is at an end."""
        if self._stopping.is_set():
            if self._end_at is None:
                self._end_at = time.monotonic() + STOP_S
            if time.monotonic() >= self._end_at:
                raise DatabaseUnavailable(
                    f"PostgreSQL did not answer within {STOP_S:g} s of the stop signal"
                )
        limit_s = min(self.timeout_s, within_s)
        if waited_s > limit_s + _GRACE_S:
            raise TookTooLong(f"PostgreSQL did not answer within {limit_s:g} s")


class Line:
    """A connection and its thread; after ``close`` or ``cut`` it is of no more use."""

    def __init__(self, url: str, patience: Patience) -> None:
        self._url = url
        self._patience = patience
        self._asked: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._is_cut = False
        self._connection: connection | None = None
        self._socket: socket.socket | None = None
        threading.Thread(target=self._serve, name="exportd-database", daemon=True).start()

    def call(
        self,
        work: Callable[[], _T],
        within_s: float = math.inf,
        meanwhile: Callable[[], None] | None = None,
    ) -> _T:
        """What ``work`` returns or raises in the line's thread; ``meanwhile`` runs in this one.

        ``DatabaseUnavailable`` when patience ends; the line is cut then, and what the
        server did with the last statement is unknown.
        """
        started = time.monotonic()
        outcome: Future[_T] = Future()
        try:
            self._patience.check(0, within_s)
            self._asked.put((outcome, work))
            if meanwhile:
                with _taking_short_turns():
                    meanwhile()
            while not wait([outcome], _LOOK_S).done:
                self._patience.check(time.monotonic() - started, within_s)
            return outcome.result()
        except BaseException:
            if not outcome.done():
                self.cut()
            raise
        finally:
            del outcome  # it may hold an error, and the error's traceback this frame

    def connected(self) -> connection:
        """The connection, made if there is none; for ``work`` alone."""
        if self._connection is None:
            made = psycopg2.connect(self._dsn())
            with self._lock:
                # Our own handle: libpq may close its own, and another file get the number.
                self._socket = socket.socket(fileno=os.dup(made.fileno()))
                if self._is_cut:
                    raise DatabaseUnavailable("the connection came too late")
            take(made)
            self._connection = made
        return self._connection

    def cut(self) -> None:
        """Give the connection up, whatever its thread waits for."""
        with self._lock:
            self._is_cut = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
        self._asked.put(None)

    def close(self) -> None:
        """Take leave of the server, if it still listens."""
        with suppress(DatabaseUnavailable):
            self.call(self._hang_up)
        self._asked.put(None)

    def _dsn(self) -> str:
        dsn = reachable(self._url)
        session = dict(_SESSION_OPTIONS)
        if self._patience.timeout_s < math.inf:
            limit = f"{1000 * self._patience.timeout_s:.0f}ms"
            session |= {
                "statement_timeout": limit,
                "idle_in_transaction_session_timeout": limit,
            }
        ours = " ".join(f"-c {name}={value}" for name, value in session.items())
        given = parse_dsn(self._url).get("options", "")
        return str(make_dsn(dsn, application_name="exportd", options=f"{ours} {given}".strip()))

    def _serve(self) -> None:
        while (asked := self._asked.get()) is not None:
            outcome, work = asked
            try:
                outcome.set_result(work())
            except BaseException as error:  # raised where it was asked
                outcome.set_exception(error)
            del asked, outcome, work  # what they hold may be large
        self._hang_up()

    def _hang_up(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._socket is not None:
                self._socket.close()
                self._socket = None
