"""A bound on how long sending may take as a whole.

Timeouts of sockets hold for one read or write each: a server that sends a byte now and then
could hold the relay for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..alerts.notice import Sent, Unclear


def within(limit_s: float, send: Callable[[], Sent], host: str) -> Sent:
    """What ``send`` returns or raises, or ``Unclear`` after ``limit_s``.

    A send that is given up goes on in its thread until its server lets go: it may yet succeed.
    """
    ended: list[Sent | BaseException] = []

    def run() -> None:
        try:
            ended.append(send())
        except BaseException as error:  # raised again in the thread that waits
            ended.append(error)

    thread = threading.Thread(target=run, name="send", daemon=True)
    thread.start()
    thread.join(limit_s)
    match ended:
        case [Sent() as sent]:
            return sent
        case [BaseException() as error]:
            raise error
        case _:
            raise Unclear(f"{host}: it did not come to an end within {limit_s:g} s")
