"""A real SMTP server for the tests of the channels: it keeps what comes and answers as told.

with MailServer(security="starttls", authority=trustme.CA()) as server:
    server.next("RCPT", "550 5.1.1 no such user")
    ...  # the next RCPT gets that, further ones are accepted
    assert server.mails[0].message["Subject"]
"""

# ruff: noqa: N802  # aiosmtpd finds its methods by the names of commands

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import threading
from collections import defaultdict, deque
from dataclasses import dataclass
from email.message import EmailMessage
from types import TracebackType
from typing import AnyStr, Literal, Self, cast

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

DROP = "drop"  # an answer: none, and the connection ends
SLOW = "slow"  # an answer: none, and the connection stays

Command = Literal[
    "CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "MAIL DATA", "QUIT"
]  # fmt: skip


@dataclass(frozen=True)
class Mailed:
    """One mail that was accepted."""

    sender: str
    recipients: list[str]
    raw: bytes
    is_encrypted: bool
    login: str | None

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.raw, policy=email.policy.default)


class MailServer:
    """Listens on the loopback; ``login`` is the one user and password that it knows.

    ``next(command, answer)``: the command's next answer instead of its own. "MAIL DATA" is
    the mail itself, after DATA was answered by 354. ``commands`` are all that came, and
    ``logins`` all that were tried.
    """

    def __init__(
        self,
        security: Literal["none", "starttls", "ssl"] = "none",
        authority: trustme.CA | None = None,
        login: tuple[str, str] | None = None,
        names: tuple[str, ...] = ("127.0.0.1", "localhost"),
    ) -> None:
        self.mails: list[Mailed] = []
        self.commands: list[str] = []
        self.logins: list[tuple[str, str]] = []
        self.security = security
        self.login = login
        self._tls = tls_of(authority, names) if authority else None
        self._next: dict[str, deque[str]] = defaultdict(deque)
        self._sessions: list[_Session] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.port = 0

    def next(self, command: Command, *answers: str) -> None:
        """The next answers to a command, one each."""
        self._next[command].extend(answers)

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> int:
        self._server = await self._loop.create_server(
            self._session, "127.0.0.1", 0, ssl=self._tls if self.security == "ssl" else None
        )
        return int(self._server.sockets[0].getsockname()[1])

    def _session(self) -> _Session:
        session = _Session(self, self._tls if self.security == "starttls" else None)
        self._sessions.append(session)
        return session

    async def _close(self) -> None:
        self._server.close()
        for session in self._sessions:
            if session.transport is not None:
                cast("asyncio.Transport", session.transport).abort()
        ours = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not ours]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed in the loop's next turn

    async def reply(self, session: SMTP, command: Command) -> str | None:
        """What was set for the command, if anything was."""
        answer = self._next[command].popleft() if self._next[command] else None
        if answer == DROP:
            cast("asyncio.Transport", session.transport).abort()
        if answer in (DROP, SLOW):
            await asyncio.sleep(60)  # cancelled when the server is closed
        return answer


class _Session(SMTP):
    """One connection; every command can be answered otherwise."""

    def __init__(self, server: MailServer, tls: ssl.SSLContext | None) -> None:
        self._ours = server
        super().__init__(
            _Handler(server),
            hostname="mail.test",
            tls_context=tls,
            require_starttls=tls is not None,
            auth_require_tls=False,
            auth_exclude_mechanism=None if server.login else ["PLAIN", "LOGIN"],
            authenticator=self._log_in,
            loop=server._loop,
        )

    async def push(self, status: AnyStr) -> None:
        is_greeting = isinstance(status, str) and status.startswith("220 mail.test")
        if is_greeting and (answer := await self._ours.reply(self, "CONNECT")):
            await super().push(answer)
        else:
            await super().push(status)

    async def _call(self, command: Command, method: str, arg: str) -> None:
        self._ours.commands.append(f"{command} {arg or ''}".strip())
        if answer := await self._ours.reply(self, command):
            await self.push(answer)
        else:
            await getattr(super(), method)(arg)

    async def smtp_EHLO(self, hostname: str) -> None:
        await self._call("EHLO", "smtp_EHLO", hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:
        await self._call("STARTTLS", "smtp_STARTTLS", arg)

    async def smtp_QUIT(self, arg: str) -> None:
        await self._call("QUIT", "smtp_QUIT", arg)

    async def smtp_AUTH(self, arg: str) -> None:
        await self._call("AUTH", "smtp_AUTH", arg)

    async def smtp_MAIL(self, arg: str) -> None:
        await self._call("MAIL", "smtp_MAIL", arg)

    async def smtp_RCPT(self, arg: str) -> None:
        await self._call("RCPT", "smtp_RCPT", arg)

    async def smtp_DATA(self, arg: str) -> None:
        await self._call("DATA", "smtp_DATA", arg)

    def _log_in(self, *given: object) -> AuthResult:
        """aiosmtpd gives the login last, after four parts of the session."""
        data = cast("LoginPassword", given[-1])
        login = data.login.decode(), data.password.decode()
        self._ours.logins.append(login)
        return AuthResult(success=login == self._ours.login, handled=False, auth_data=login[0])


class _Handler:
    """Keeps the mails."""

    def __init__(self, ours: MailServer) -> None:
        self._ours = ours

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if answer := await self._ours.reply(server, "MAIL DATA"):
            return answer
        raw = cast("bytes", envelope.content)
        self._ours.mails.append(
            Mailed(
                sender=envelope.mail_from or "",
                recipients=list(envelope.rcpt_tos),
                raw=raw,
                is_encrypted=session.ssl is not None or self._ours.security == "ssl",
                login=str(session.auth_data) if session.auth_data else None,
            )
        )
        return f"250 2.0.0 queued as {len(self._ours.mails)}"


def tls_of(
    authority: trustme.CA, names: tuple[str, ...] = ("127.0.0.1", "localhost")
) -> ssl.SSLContext:
    """What a server by these names needs to speak TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context
