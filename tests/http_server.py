"""A real HTTP server for the tests of the channels: it keeps what comes and answers as told.

with HttpServer() as server:
    server.next(Answer(429, headers={"Retry-After": "7"}))
    ...  # the next request gets that, further ones ``server.default``
    assert server.requests[0].json["text"]
"""

from __future__ import annotations

import json
import ssl
import threading
from collections import deque
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Answer:
    """What a request gets: after ``delay_s``; nothing at all where it is dropped."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    is_dropped: bool = False
    drip_s: float = 0.0  # between two bytes of the body


def as_json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(
        status,
        json.dumps(value).encode(),
        {"Content-Type": "application/json; charset=utf-8", **(headers or {})},
    )


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class HttpServer:
    """Listens on the loopback; ``default`` answers what no other answer was set for.

    With ``tls`` it speaks https, and ``url`` says so.
    """

    def __init__(
        self, default: Answer | None = None, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._is_tls = tls is not None
        self.default = default or Answer()
        self.requests: list[Received] = []
        self._next: deque[Answer] = deque()
        self._stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False  # joined at the end: none outlives its test
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"{'https' if self._is_tls else 'http'}://127.0.0.1:{self.port}"

    def next(self, *answers: Answer) -> None:
        """The answers to the next requests, one each."""
        self._next.extend(answers)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _taken(self, received: Received) -> Answer:
        self.requests.append(received)
        return self._next.popleft() if self._next else self.default

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                received = Received(self.command, self.path, self.headers, body)
                self.close_connection = True
                server._answer(self, server._taken(received))

            do_GET = do_POST  # noqa: N815  # the name is the library's

            def log_message(self, *_: object) -> None:
                """Tests look at ``requests`` instead."""

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        self._stopping.wait(answer.delay_s)
        if answer.is_dropped:
            return
        try:
            handler.send_response(answer.status)
            headers = {"Content-Length": str(len(answer.body)), **answer.headers}
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            self._write(handler, answer)
        except OSError:
            pass  # the client has given up

    def _write(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        if not answer.drip_s:
            handler.wfile.write(answer.body)
            return
        for byte in answer.body:
            if self._stopping.wait(answer.drip_s):
                return
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
