"""HEALTHCHECK of the image: whether /livez answers that watcher, worker and relay move."""

from __future__ import annotations

import os
import sys
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

TIMEOUT_S = 5


def main() -> int:
    """0 when it is alive; else 1, with the reason for `docker inspect`."""
    address = os.environ.get("EXPORTD_HTTP_ADDRESS") or "127.0.0.1:9467"
    if address == "off":
        print("EXPORTD_HTTP_ADDRESS is off: nothing to ask; run with --no-healthcheck")
        return 1
    host, _, port = address.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104  # asked, not bound
    try:
        direct = build_opener(ProxyHandler({}))  # what is asked is this container itself
        with direct.open(f"http://{host}:{port}/livez", timeout=TIMEOUT_S) as answer:
            print(answer.read().decode().strip())
    except (URLError, OSError) as error:
        print(error.read().decode().strip() if hasattr(error, "read") else error)
        return 1
    return 0


sys.exit(main())
