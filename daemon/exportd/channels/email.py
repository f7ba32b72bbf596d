"""Mail by SMTP.

Up to the command DATA, whatever fails leaves no doubt: the mail was not sent. From there on
a lost connection leaves it open. A server's 4xx asks to come again, its 5xx to change
something (RFC 5321 4.2.1).
"""

from __future__ import annotations

import smtplib
import ssl
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ..alerts.notice import (
    ChannelRefuses,
    MessageRefused,
    Notice,
    NotNow,
    NotSent,
    Sent,
    Unclear,
)
from ..alerts.plain import cut, one_line
from ..errors import ConfigurationError
from .http import reason
from .letter import address, letter, message_id
from .patience import within

Security = Literal["starttls", "ssl", "none"]


class Mail:
    """Sends through one server; with "starttls" or "ssl" never over a plain connection.

    With "none" everything travels unprotected, a login too: for a server on this machine.
    Certificates are verified, by the authorities of ``ca_file`` where it is given, else by
    those of the system. Addresses may have a name: ``exportd <alerts@example.org>``.
    """

    name = "email"

    def __init__(  # noqa: PLR0913  # each is a setting of its own
        self,
        host: str,
        port: int,
        security: Security,
        user: str | None,
        password: str | None,
        sender: str,
        recipients: Sequence[str],
        *,
        ca_file: Path | None = None,
        timeout_s: float = 15.0,
    ) -> None:
        self._host, self._port, self._security = host, port, security
        self._user, self._password = user or "", password or ""
        self._sender = address(sender)
        self._recipients = tuple(address(one) for one in recipients)
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        if not self._recipients:
            raise ConfigurationError("mail: expected one recipient or more, found none")
        if not (self._user + self._password).isascii():
            raise ConfigurationError("mail: user and password: expected ASCII characters")

    def send(self, notice: Notice) -> Sent:
        """Send it, under the mail that it belongs to; the reference is its Message-ID."""
        return within(6 * self._timeout_s, lambda: self._send(notice), self._host)

    def _send(self, notice: Notice) -> Sent:
        mail = letter(notice, self._sender, self._recipients, datetime.now(UTC))
        with self._before("no connection"):
            smtp = self._connect()
        try:
            self._introduce(smtp)
            refused = self._address(smtp)
            said = self._hand_over(smtp, mail.as_bytes())
            _leave(smtp, self._timeout_s)
        finally:
            smtp.close()
        return Sent({"message_id": message_id(notice, self._sender)}, said + refused)

    def _connect(self) -> smtplib.SMTP:
        if self._security == "ssl":
            return smtplib.SMTP_SSL(
                self._host, self._port, timeout=self._timeout_s, context=self._context()
            )
        return smtplib.SMTP(self._host, self._port, timeout=self._timeout_s)

    def _introduce(self, smtp: smtplib.SMTP) -> None:
        """Greet, go over to TLS, log in."""
        with self._before("it does not answer the greeting"):
            smtp.ehlo_or_helo_if_needed()
        if self._security == "starttls":
            self._start_tls(smtp)
        if self._user:
            self._log_in(smtp)

    def _start_tls(self, smtp: smtplib.SMTP) -> None:
        if not smtp.has_extn("starttls"):
            raise ChannelRefuses(
                f"{self._host}: the server offers no STARTTLS, and nothing is sent without; "
                f'use its port 587, or 465 with security "ssl", or look who is in between'
            )
        with self._before("STARTTLS failed"):
            smtp.starttls(context=self._context())
            smtp.ehlo_or_helo_if_needed()

    def _log_in(self, smtp: smtplib.SMTP) -> None:
        advice = "the login was refused; check user and password"
        try:
            with self._before(advice):
                smtp.login(self._user, self._password)
        except smtplib.SMTPException:  # no login, or none of a kind that is known
            raise ChannelRefuses(
                f"{self._host}: the server offers no login; leave out user and password, or "
                "use its port for mail programs (587, 465)"
            ) from None

    def _address(self, smtp: smtplib.SMTP) -> str:
        """Name the sender and the recipients; which of these were refused, in words."""
        with self._before("the sender is refused; check sender"):
            _expect(smtp.mail(self._sender.addr_spec))
        refused: dict[str, tuple[int, bytes]] = {}
        with self._before("the recipients are refused; check recipients"):
            for one in self._recipients:
                answer = smtp.rcpt(one.addr_spec)
                if answer[0] == 421:  # it hangs up, whatever it took before
                    _expect(answer)
                if not 200 <= answer[0] < 300:
                    refused[one.addr_spec] = answer
            if len(refused) == len(self._recipients):
                _expect(min(refused.values()))  # a 4xx, where there is one: it may pass
        return self._refused(refused)

    def _refused(self, refused: dict[str, tuple[int, bytes]]) -> str:
        if not refused:
            return ""
        each = "; ".join(f"{name}: {self._words(*said)}" for name, said in refused.items())
        return f"; {len(refused)} of {len(self._recipients)} recipients refused ({each})"

    def _hand_over(self, smtp: smtplib.SMTP, mail: bytes) -> str:
        """The server's answer to the mail; it gets more time, as it may look for spam."""
        if smtp.sock is not None:
            smtp.sock.settimeout(2 * self._timeout_s)
        try:
            code, said = smtp.data(mail)
        except smtplib.SMTPDataError as error:
            code, said = error.smtp_code, _bytes(error.smtp_error)
        except (smtplib.SMTPException, OSError):
            raise Unclear(
                f"{self._host}: the connection was lost, or no answer came, after the mail was "
                "handed over"
            ) from None
        if 200 <= code < 300:
            return self._words(code, said)
        raise self._final(code, said)

    def _final(self, code: int, said: bytes) -> NotSent:
        words = f"{self._host} said {self._words(code, said)}"
        if 400 <= code < 500:
            return NotNow(f"{words}: it may take the mail later")
        if code >= 500:
            return MessageRefused(f"{words}: it does not take this mail")
        return Unclear(f"{words}: whether it took the mail is not known")

    @contextmanager
    def _before(self, what: str) -> Iterator[None]:
        """What fails in here fails before the mail is handed over."""
        try:
            yield
        except smtplib.SMTPResponseException as error:
            words = self._words(error.smtp_code, _bytes(error.smtp_error))
            kind = ChannelRefuses if error.smtp_code >= 500 else NotNow
            raise kind(f"{self._host}: {what} ({words})") from None
        except smtplib.SMTPServerDisconnected:
            raise NotNow(f"{self._host}: {what} (the connection was lost)") from None
        except smtplib.SMTPException:
            raise
        except OSError as error:
            raise NotNow(f"{self._host}: {what} ({reason(error)})") from None

    def _context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except OSError as error:
            raise ChannelRefuses(
                f"{self._ca_file}: cannot be read as certificates ({reason(error)}); expected "
                "those of the authority, as PEM"
            ) from None

    def _words(self, code: int, said: bytes) -> str:
        """What the server said, on one line, without the password should it quote it."""
        words = one_line(said.decode("utf-8", "replace"))
        for secret in _forms(self._user, self._password):
            words = words.replace(secret, "***")
        return cut(f"{code} {words}".strip(), 200)


def _expect(answer: tuple[int, bytes]) -> None:
    if not 200 <= answer[0] < 300:
        raise smtplib.SMTPResponseException(*answer)


def _leave(smtp: smtplib.SMTP, timeout_s: float) -> None:
    """Say goodbye; the mail is there, whatever comes of it."""
    try:
        if smtp.sock is not None:
            smtp.sock.settimeout(timeout_s)
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        pass


def _forms(user: str, password: str) -> list[str]:
    """How a password stands in what is sent, the longest first: AUTH encodes it."""
    if not password:
        return []
    plain = f"\0{user}\0{password}".encode()
    return [b64encode(plain).decode(), b64encode(password.encode()).decode(), password]


def _bytes(said: bytes | str) -> bytes:
    return said if isinstance(said, bytes) else said.encode("utf-8", "replace")
