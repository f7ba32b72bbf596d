"""/livez, /readyz and /metrics: HTTP for the machine's own eyes.

Nothing here asks the database or waits for the worker: what is told is what these have
published. A client that is slow, or many clients, cost a few threads for seconds.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, SHUT_RDWR, socket
from typing import Any

import structlog

log = structlog.get_logger()

# So long may a client take for its request, and so many may be answered at once.
CLIENT_S = 5.0
MAX_CLIENTS = 8

Answer = tuple[HTTPStatus, str, bytes]


class Health:
    """The server; ``pages`` gives each path's answer.

    A port that is taken is told and lived without: files matter more than their metrics.
    """

    def __init__(
        self, address: tuple[str, int] | None, pages: dict[str, Callable[[], Answer]]
    ) -> None:
        self._address = address
        self._pages = pages
        self._server: _Server | None = None

    @property
    def port(self) -> int | None:
        """Where it listens; None when it does not."""
        return int(self._server.server_address[1]) if self._server else None

    def start(self) -> None:
        if self._address is None:
            return
        try:
            self._server = _Server(self._address, self._pages)
        except OSError as error:
            host, port = self._address
            reason = f"{host}:{port}: {error.strerror}"
            log.warning("http.unavailable", reason=reason, setting="http_address")
            return
        log.info("http.listening", host=self._address[0], port=self.port)
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def told(reasons: list[str]) -> Answer:
    """Well when there is no reason against it."""
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    body = json.dumps({"ok": not reasons, "reasons": reasons}, ensure_ascii=False) + "\n"
    return status, "application/json; charset=utf-8", body.encode(errors="backslashreplace")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, address: tuple[str, int], pages: dict[str, Callable[[], Answer]]
    ) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        self.pages = pages
        self._free = threading.BoundedSemaphore(MAX_CLIENTS)
        self._since: dict[Any, float] = {}
        super().__init__(address, _Handler)

    def process_request(self, request: socket | tuple[bytes, socket], client: Any) -> None:
        """One more is turned away, not queued."""
        if self._free.acquire(blocking=False):
            self._since[request] = time.monotonic()
            super().process_request(request, client)
        else:
            self.shutdown_request(request)

    def process_request_thread(
        self, request: socket | tuple[bytes, socket], client: Any
    ) -> None:
        try:
            super().process_request_thread(request, client)
        finally:
            del self._since[request]
            self._free.release()

    def service_actions(self) -> None:
        """Twice a second: a byte now and then is no reason to be waited for."""
        for request, since in list(self._since.items()):
            if time.monotonic() - since > CLIENT_S:
                with suppress(OSError):  # it has hung up
                    request.shutdown(SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that hangs up in the middle is nobody's trouble."""
        kind = sys.exc_info()[0]
        log.debug("http.failed", error_class=kind.__name__ if kind else "")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = CLIENT_S
    server_version, sys_version = "exportd", ""

    def do_GET(self) -> None:
        """One of the pages, and 404 with their names elsewhere."""
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            names = " ".join(self.server.pages)
            status, kind = HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8"
            body = f"expected one of {names}\n".encode()
        else:
            status, kind, body = page()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Scrapes are no news."""
