"""What a service manager is told: sd_notify(3), a datagram to $NOTIFY_SOCKET."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()

# How often the status line is told where no watchdog asks more often.
STATUS_EVERY_S = 10.0


def notify(**facts: str) -> None:
    """Tell ``NAME=value`` lines; nothing where no service manager listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    lines = "\n".join(f"{name}={_one_line(value)}" for name, value in facts.items())
    place = f"\0{address[1:]}" if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
            speaker.settimeout(1)
            speaker.sendto(lines.encode(errors="backslashreplace"), place)
    except OSError as error:
        log.debug("notify.failed", reason=error.strerror)


class Notifier:
    """Keeps the watchdog fed as long as ``hanging`` names nobody, and the status line true."""

    def __init__(self, hanging: Callable[[], list[str]], status: Callable[[], str]) -> None:
        self._hanging = hanging
        self._status = status
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        if os.environ.get("NOTIFY_SOCKET"):
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        told: list[str] = []
        while not self._stopping.wait(interval_s()):
            hanging = self._hanging()
            if hanging:
                notify(STATUS="hangs: " + "; ".join(hanging))
                if not told:
                    log.error("service.hangs", reasons=hanging)
            else:
                notify(STATUS=self._status(), WATCHDOG="1")
            told = hanging


def interval_s() -> float:
    """A third of the service manager's patience, as its manual advises a half at most."""
    patience_us = os.environ.get("WATCHDOG_USEC", "")
    meant_for = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not patience_us.isdecimal() or meant_for != str(os.getpid()):
        return STATUS_EVERY_S
    return min(int(patience_us) / 3e6, STATUS_EVERY_S)


def _one_line(text: str) -> str:
    return " ".join(text.split())
