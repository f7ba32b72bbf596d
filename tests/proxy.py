"""A TCP port before a PostgreSQL server that can be told to misbehave.

It speaks no PostgreSQL: it only knows that a statement of libpq begins with ``Q``, its
length, and its text, and that a client waits for the answer before it sends another.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

from psycopg2.extensions import make_dsn, parse_dsn

Deed = Literal["pass", "cut", "swallow"]


class Proxy:
    """Passes everything on, but what it is told to hold up, cut off or swallow.

    ``deed`` is asked about every statement: "cut" closes the connection before the server
    sees it, "swallow" does when the server has answered, so that the answer is lost.
    """

    def __init__(self, url: str, host: str = "127.0.0.1") -> None:
        self._server = parse_dsn(url)
        self._listener = socket.create_server((host, 0))
        self._open: set[socket.socket] = set()
        self._flows = threading.Event()
        self._flows.set()
        self.accepted = 0
        self.deed: Callable[[str], Deed] = lambda _statement: "pass"
        self.is_refusing = False
        self.port = self._listener.getsockname()[1]
        self.url = str(make_dsn(url, host=host, port=str(self.port)))

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._flows.set()
        self.cut()

    def hang(self) -> None:
        """From now on nothing is passed on; connections are accepted all the same."""
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        for end in list(self._open):
            _close(end)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                if self.is_refusing:
                    _close(client)
                    continue
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        self._open.add(client)
        self._flows.wait()
        try:
            server = self._connect()
        except OSError:
            _close(client)
            return
        self._open.add(server)
        swallow = threading.Event()
        answers = threading.Thread(
            target=self._answers, args=(server, client, swallow), daemon=True
        )
        answers.start()
        self._requests(client, server, swallow)
        for end in (client, server):
            _close(end)
        answers.join()
        self._open -= {client, server}

    def _connect(self) -> socket.socket:
        host, port = self._server.get("host", "localhost"), self._server.get("port", "5432")
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)))
        made = socket.socket(socket.AF_UNIX)
        made.connect(f"{host}/.s.PGSQL.{port}")
        return made

    def _requests(
        self, client: socket.socket, server: socket.socket, swallow: threading.Event
    ) -> None:
        with suppress(OSError):
            while sent := client.recv(1 << 16):
                self._flows.wait()
                if sent[:1] == b"Q":
                    deed = self.deed(sent[5:-1].decode())
                    if deed == "cut":
                        return
                    if deed == "swallow":
                        swallow.set()
                server.sendall(sent)

    def _answers(
        self, server: socket.socket, client: socket.socket, swallow: threading.Event
    ) -> None:
        with suppress(OSError):
            while answer := server.recv(1 << 16):
                self._flows.wait()
                if swallow.is_set():
                    break
                client.sendall(answer)
        _close(client)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
