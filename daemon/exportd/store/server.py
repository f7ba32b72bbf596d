"""The database server as the store meets it: there, gone, hanging, or refusing."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from psycopg2.extensions import connection, cursor

from ..errors import DatabaseUnavailable, ExportdError
from .border import DatabaseRefuses, sqlstate_class, translated
from .line import Line, Patience
from .queries import query
from .transaction import Transaction

_T = TypeVar("_T")

# A server that refuses the work is left alone for so long before it is asked again.
_REST_S = 2.0

# What costs a server that works no time at all.
PING_S = 10.0


class Server:
    """One line to it at a time; another one after any trouble.

    A ``rehearsal`` does all its transactions as one that is never committed: each sees what
    those before it did, nobody else sees any of it, and the end undoes it.

    ``errors`` counts by class of the SQLSTATE (08: no connection), ``is_up`` says whether
    the last transaction was answered.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float | None,
        stopping: threading.Event | None,
        *,
        rehearsal: bool = False,
    ) -> None:
        self.errors: Counter[str] = Counter()
        self.is_up = False
        self._url = url
        self._patience = Patience(timeout_s, stopping or threading.Event())
        self._line: Line | None = None
        self._refusal: tuple[float, DatabaseRefuses] | None = None
        self._is_rehearsal = rehearsal

    def transact(
        self,
        work: Callable[[Transaction], _T],
        within_s: float = math.inf,
        meanwhile: Callable[[], None] | None = None,
    ) -> _T:
        """Do ``work`` in one transaction; ``within_s`` if that is less than the timeout.

        ``meanwhile`` is done beside it, and waited for.
        """
        self._respect_refusal()
        line = self._line = self._line or Line(self._url, self._patience)

        def transaction() -> _T:
            with translated(), self._bounds(line.connected()) as cursor:
                return work(Transaction(cursor))

        try:
            result = line.call(transaction, within_s, meanwhile)
        except ExportdError as error:
            self._note(error)
            raise
        self.is_up = True
        return result

    def patiently(self, work: Callable[[], _T]) -> _T:
        """Do ``work``, on connections of its own, however long it takes.

        The server is seen to answer first; a stop signal ends it. That it refused before is
        no matter: this may be what puts it right, as migrations do.
        """
        self._refusal = None
        self.transact(lambda tx: tx.rows("greet"), PING_S)
        line = Line(self._url, self._patience.without_timeout())
        try:
            return line.call(work)
        finally:
            line.cut()

    def leave(self) -> None:
        """Throw the connection away: another one may lead to another server."""
        if self._line is not None:
            self._line.cut()
            self._line = None

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    @contextmanager
    def _bounds(self, connection: connection) -> Iterator[cursor]:
        """Committed at the end, undone after an error."""
        if not self._is_rehearsal:
            with connection, connection.cursor() as cursor:
                yield cursor
            return
        with connection.cursor() as cursor:
            cursor.execute(query("begin_part"))
            try:
                yield cursor
            except BaseException:
                cursor.execute(query("undo_part"))
                raise
            cursor.execute(query("end_part"))

    def _respect_refusal(self) -> None:
        """A refusal holds for a while: each file would be claimed only to fail as well."""
        if self._refusal and time.monotonic() - self._refusal[0] < _REST_S:
            refused = self._refusal[1]
            raise type(refused)(str(refused))

    def _note(self, error: ExportdError) -> None:
        if state := sqlstate_class(error):
            self.errors[state] += 1
        if isinstance(error, DatabaseUnavailable):
            self.is_up = False
            self.leave()
        if isinstance(error, DatabaseRefuses):
            self._refusal = time.monotonic(), type(error)(str(error))
