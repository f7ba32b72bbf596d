"""What the channels over HTTP have in common.

How far a request came decides how its failure counts: urllib raises ``URLError`` for all
that goes wrong before the request is handed over in full, and the bare error after that.
"""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from ..alerts.notice import NotNow, NotSent, Unclear
from ..errors import ConfigurationError

_LONGEST_WAIT_S = 3600.0
_LONGEST_BODY = 1_000_000


def checked_url(url: str, what: str) -> str:
    """``url`` as it is; ``ConfigurationError`` where no request could be made of it.

    The error does not quote it: its path, and all of it where it is malformed, is a secret.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
        host = (parts.hostname or "").encode("idna")
        good = parts.scheme in ("http", "https") and bool(host)
    except ValueError:
        good = False
    if not good or "@" in parts.netloc or not _is_plain(url):
        raise ConfigurationError(
            f"{what}: expected http(s)://host/path in plain characters, without a user name"
        )
    return url


def checked_secret(secret: str, what: str) -> str:
    """``secret`` as it can stand in a header; ``ConfigurationError`` does not quote it."""
    if not _is_plain(secret):
        raise ConfigurationError(f"{what}: expected letters, digits and signs, and no spaces")
    return secret


def host_of(url: str) -> str:
    """The one part of a URL that may be told."""
    return urlsplit(url).hostname or "?"


def exchange(request: Request, timeout_s: float) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer, whatever it is; a huge body is cut.

    No redirect is followed: urllib would turn a POST into a GET without its body, take the
    answer to that for the answer, and hand a token to another host.
    """
    opener = OpenerDirector()  # only what is added here is spoken: no files, no FTP
    for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler()):
        opener.add_handler(handler)
    with opener.open(request, timeout=timeout_s) as response:
        return response.status, dict(response.headers), response.read(_LONGEST_BODY)


def failure(error: Exception, host: str) -> NotSent:
    """How a request counts that ended without an answer."""
    if isinstance(error, URLError):
        return NotNow(f"{host}: {reason(error.reason)}")
    if isinstance(error, TimeoutError):
        return Unclear(f"{host}: no answer in time after the message was handed over")
    if isinstance(error, ssl.SSLError | ConnectionError):
        return Unclear(f"{host}: the connection was lost before an answer came")
    return Unclear(f"{host}: the answer makes no sense ({type(error).__name__})")


def reason(error: object) -> str:
    """Why there is no connection, in plain words."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message})"
        case ssl.SSLError():
            return f"no TLS connection ({error.reason or 'broken off'})"
        case socket.gaierror():
            return "its name cannot be resolved"
        case TimeoutError():
            return "no connection in time"
        case OSError(strerror=str() as words):
            return words
        case _:
            return f"no connection ({type(error).__name__})"


def wait_s(headers: Mapping[str, str]) -> float | None:
    """The seconds of ``Retry-After`` (RFC 9110 10.2.3), an hour at most; None without it."""
    given = next((v for name, v in headers.items() if name.lower() == "retry-after"), "")
    try:
        seconds = float(given)
    except ValueError:
        seconds = _seconds_until(given)
    return min(max(seconds, 0.0), _LONGEST_WAIT_S) if math.isfinite(seconds) else None


def _seconds_until(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return math.nan
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime.now(UTC)).total_seconds()


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text and bool(text)
