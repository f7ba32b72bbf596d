"""Mail, by a real SMTP server with STARTTLS and logins."""

from __future__ import annotations

import logging
import socket
import threading
import traceback
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_server import DROP, SLOW, MailServer
from notices import MESSAGE_ID, SINCE, notice, over, storm, told

from exportd.alerts.notice import ChannelRefuses, MessageRefused, NotNow, NotSent, Unclear
from exportd.alerts.words import headline, text
from exportd.channels.email import Mail
from exportd.channels.letter import address, letter, page
from exportd.errors import ConfigurationError

USER, PASSWORD = "exportd", "SENTINEL-password"  # looked for in every output
SENDER = "exportd <alerts@example.org>"
TO = ("ops@example.org",)
PATIENT_S, HASTY_S = 10.0, 0.2  # a busy machine may be slow; hasty where a server is


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def server() -> Iterator[MailServer]:
    """Plain, without login: what is tested with it has nothing to do with either."""
    with MailServer() as running:
        yield running


@pytest.fixture
def safe(authority: trustme.CA) -> Iterator[MailServer]:
    with MailServer("starttls", authority, (USER, PASSWORD)) as running:
        yield running


def mail(server: MailServer, **settings: Any) -> Mail:
    given: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "security": server.security,
        "user": server.login[0] if server.login else None,
        "password": server.login[1] if server.login else None,
        "sender": SENDER,
        "recipients": TO,
        "timeout_s": PATIENT_S,
    }
    return Mail(**(given | settings))


# -- what is sent -------------------------------------------------------------------------


def test_a_mail_is_sent_over_starttls_with_a_login(safe: MailServer, ca_file: Path) -> None:
    sent = mail(safe, ca_file=ca_file).send(notice("index_gap"))
    assert sent.reference == {"message_id": f"<{MESSAGE_ID}@example.org>"}
    assert sent.said == "250 2.0.0 queued as 1"
    [mailed] = safe.mails
    assert mailed.is_encrypted
    assert mailed.login == USER
    assert mailed.sender == "alerts@example.org"
    assert mailed.recipients == ["ops@example.org"]


def test_a_mail_is_sent_over_tls_from_the_start(authority: trustme.CA, ca_file: Path) -> None:
    with MailServer("ssl", authority, (USER, PASSWORD)) as server:
        mail(server, ca_file=ca_file).send(notice("index_gap"))
        assert server.mails[0].is_encrypted
        assert server.mails[0].login == USER


def test_a_mail_has_its_text_and_the_same_in_html(server: MailServer) -> None:
    mail(server).send(notice("index_gap"))
    message = server.mails[0].message
    assert message["Subject"] == headline(notice("index_gap"))
    assert message["From"] == "exportd <alerts@example.org>"
    assert message["To"] == "ops@example.org"
    assert message["Message-ID"] == f"<{MESSAGE_ID}@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert parsedate_to_datetime(message["Date"]).utcoffset() is not None
    assert "In-Reply-To" not in message
    assert [part.get_content_type() for part in message.iter_parts()] == [
        "text/plain",
        "text/html",
    ]
    plain, html = message.iter_parts()
    assert plain.get_content().splitlines() == text(notice("index_gap")).splitlines()
    assert html.get_content().splitlines() == page(notice("index_gap")).splitlines()


def test_a_mail_stands_under_the_one_that_it_belongs_to(server: MailServer) -> None:
    first = mail(server).send(notice("index_gap"))
    gap = replace(notice(over(told("index_gap"), "Filled.")), message_id="another")
    mail(server).send(replace(gap, thread=first.reference))
    message = server.mails[1].message
    assert message["In-Reply-To"] == message["References"] == f"<{MESSAGE_ID}@example.org>"
    assert message["Message-ID"] == "<another@example.org>"


def test_every_attempt_has_the_same_message_id(server: MailServer) -> None:
    for _ in range(2):
        mail(server).send(notice("index_gap"))
    assert len({mailed.message["Message-ID"] for mailed in server.mails}) == 1


def test_any_language_passes_a_server_that_takes_ascii_alone(server: MailServer) -> None:
    words = "Größe 会話 مرحبا 🧵 𝔘𝔫𝔦"
    alert = replace(told("index_gap"), title=words, body=words * 50, conversation_id=words)
    mail(server, sender="Größe <a@bücher.example>").send(notice(alert))
    [mailed] = server.mails
    assert mailed.raw.isascii()
    assert max(map(len, mailed.raw.splitlines())) <= 998
    assert mailed.message["Subject"] == f"🟠 {words} · {words}"
    assert words * 50 in mailed.message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert mailed.sender == "a@xn--bcher-kva.example"


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_no_name_adds_a_header(title: str, where: str) -> None:
    alert = replace(told("index_gap"), title=title, conversation_id=where)
    thread = {"message_id": f"<x>\r\nBcc: {title}"}
    message = replace(notice(alert), message_id=f"x\r\nBcc: {where}", thread=thread)
    written = letter(message, address(SENDER), [address(TO[0])], SINCE).as_bytes()
    head = written.split(b"\r\n\r\n")[0]
    names = {line.split(b":")[0] for line in head.split(b"\r\n") if not line[:1].isspace()}
    assert names == {
        b"Subject", b"From", b"To", b"Date", b"Message-ID", b"In-Reply-To", b"References",
        b"Auto-Submitted", b"X-Auto-Response-Suppress", b"MIME-Version", b"Content-Type",
    }  # fmt: skip
    assert written.isascii()


def test_html_is_escaped_and_fetches_nothing() -> None:
    hostile = '<img src="http://evil.test/x"><script>alert(1)</script>&"'
    alert = replace(told("index_gap"), title=hostile, body=hostile, conversation_id=hostile)
    shown = page(replace(storm(), told=(alert,), place=hostile, left_out={hostile: 2}))
    assert "<img" not in shown
    assert "<script" not in shown
    assert "src=" not in page(storm())
    assert "http" not in page(storm())


# -- what the server says -----------------------------------------------------------------


def test_without_starttls_nothing_is_sent(server: MailServer) -> None:
    with pytest.raises(ChannelRefuses, match="the server offers no STARTTLS"):
        mail(server, security="starttls", user=USER, password=PASSWORD).send(
            notice("index_gap")
        )
    assert {command.split()[0] for command in server.commands} == {"EHLO"}


def test_starttls_that_is_refused_is_not_gone_around(safe: MailServer, ca_file: Path) -> None:
    safe.next("STARTTLS", "454 4.7.0 not available", "502 5.5.1 not implemented")
    with pytest.raises(NotNow, match="454"):
        mail(safe, ca_file=ca_file).send(notice("index_gap"))
    with pytest.raises(ChannelRefuses, match="502"):
        mail(safe, ca_file=ca_file).send(notice("index_gap"))
    assert not safe.logins
    assert not safe.mails


def test_a_certificate_of_nobody_known_is_not_trusted(safe: MailServer) -> None:
    with pytest.raises(NotNow, match="certificate is not trusted"):
        mail(safe).send(notice("index_gap"))
    assert not safe.logins
    assert not safe.mails


def test_a_certificate_for_another_name_is_not_trusted(ca_file: Path, authority: Any) -> None:
    with MailServer("ssl", authority, names=("mail.example.org",)) as server:
        with pytest.raises(NotNow, match="certificate is not trusted"):
            mail(server, ca_file=ca_file).send(notice("index_gap"))
        assert not server.mails


def test_a_ca_file_that_is_none_needs_a_person(safe: MailServer, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate\n")
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(ChannelRefuses, match="cannot be read as certificates"):
            mail(safe, ca_file=tmp_path / name).send(notice("index_gap"))


def test_a_wrong_login_needs_a_person(safe: MailServer, ca_file: Path) -> None:
    wrong = mail(safe, ca_file=ca_file, password="another")  # noqa: S106
    with pytest.raises(ChannelRefuses, match=r"check user and password \(535"):
        wrong.send(notice("index_gap"))
    assert not safe.mails


def test_a_login_that_is_not_offered_needs_a_person(server: MailServer) -> None:
    with pytest.raises(ChannelRefuses, match="offers no login"):
        mail(server, user=USER, password=PASSWORD).send(notice("index_gap"))


@pytest.mark.parametrize(
    ("command", "words"),
    [("CONNECT", "no connection"), ("MAIL", "check sender"), ("RCPT", "check recipients")],
)
def test_a_5xx_before_the_mail_needs_a_person(
    server: MailServer, command: Any, words: str
) -> None:
    server.next(command, "550 5.7.1 not from you")
    with pytest.raises(ChannelRefuses, match=rf"{words} \(550 5.7.1 not from you\)"):
        mail(server).send(notice("index_gap"))


@pytest.mark.parametrize("command", ["CONNECT", "MAIL", "RCPT", "DATA", "MAIL DATA"])
@pytest.mark.parametrize("answer", ["451 4.3.0 later", "421 4.3.2 closing"])
def test_a_4xx_is_not_now(server: MailServer, command: Any, answer: str) -> None:
    server.next(command, answer)
    with pytest.raises(NotNow, match=answer) as raised:
        mail(server).send(notice("index_gap"))
    assert raised.value.wait_s is None


def test_a_4xx_at_the_login_is_not_now(safe: MailServer, ca_file: Path) -> None:
    safe.next("AUTH", *["454 4.7.0 try later"] * 3)  # smtplib tries every kind that is offered
    with pytest.raises(NotNow, match="454"):
        mail(safe, ca_file=ca_file).send(notice("index_gap"))


@pytest.mark.parametrize("command", ["DATA", "MAIL DATA"])
def test_a_5xx_at_the_mail_refuses_this_mail(server: MailServer, command: Any) -> None:
    server.next(command, "554 5.7.1 looks like spam")
    with pytest.raises(MessageRefused, match="looks like spam"):
        mail(server).send(notice("index_gap"))
    mail(server).send(notice("index_gap"))
    assert len(server.mails) == 1


@pytest.mark.parametrize("command", ["CONNECT", "EHLO", "MAIL", "RCPT"])
@pytest.mark.parametrize("answer", [DROP, SLOW])
def test_a_connection_lost_before_the_mail_is_not_now(
    server: MailServer, command: Any, answer: str
) -> None:
    server.next(command, answer)
    with pytest.raises(NotNow):
        mail(server, timeout_s=HASTY_S if answer == SLOW else PATIENT_S).send(
            notice("index_gap")
        )


@pytest.mark.parametrize("answer", [DROP, SLOW, "what"])
def test_a_connection_lost_after_the_mail_is_unclear(server: MailServer, answer: str) -> None:
    server.next("MAIL DATA", answer)
    with pytest.raises(Unclear):
        mail(server, timeout_s=HASTY_S if answer == SLOW else PATIENT_S).send(
            notice("index_gap")
        )


def test_without_a_connection_it_is_not_now(server: MailServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = taken.getsockname()[1]
        with pytest.raises(NotNow, match="Connection refused"):
            mail(server, port=closed).send(notice("index_gap"))
    with pytest.raises(NotNow, match="its name cannot be resolved"):
        mail(server, host="nowhere.invalid").send(notice("index_gap"))
    with pytest.raises(NotNow, match=r"no TLS connection|connection was lost|in time"):
        mail(server, security="ssl").send(notice("index_gap"))


def test_some_recipients_that_are_refused_are_named(server: MailServer) -> None:
    server.next("RCPT", "250 ok", "550 5.1.1 no such user", "450 4.2.1 full")
    names = [f"{n}@example.org" for n in "abcd"]
    sent = mail(server, recipients=names).send(notice("index_gap"))
    assert sent.said == (
        "250 2.0.0 queued as 1; 2 of 4 recipients refused (b@example.org: 550 5.1.1 no such "
        "user; c@example.org: 450 4.2.1 full)"
    )
    assert "d@example.org" in server.mails[0].recipients


def test_all_recipients_refused_may_pass_where_one_is_refused_for_now(
    server: MailServer,
) -> None:
    server.next("RCPT", "550 5.1.1 no such user", "450 4.2.1 full")
    with pytest.raises(NotNow, match="full"):
        mail(server, recipients=["a@example.org", "b@example.org"]).send(notice("index_gap"))
    server.next("RCPT", *["550 5.1.1 no such user"] * 2)
    with pytest.raises(ChannelRefuses, match="check recipients"):
        mail(server, recipients=["a@example.org", "b@example.org"]).send(notice("index_gap"))
    assert not server.mails


def test_a_goodbye_that_fails_does_not_unsend_a_mail(server: MailServer) -> None:
    server.next("QUIT", DROP)
    assert mail(server).send(notice("index_gap")).said.startswith("250")


def test_no_send_leaves_a_thread_behind(server: MailServer) -> None:
    before = threading.active_count()
    mail(server).send(notice("index_gap"))
    assert threading.active_count() == before


# -- secrets and settings -----------------------------------------------------------------


def test_no_secret_is_in_any_log_or_error(
    safe: MailServer,
    ca_file: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    channel = mail(safe, ca_file=ca_file)
    forms = [PASSWORD, b64encode(PASSWORD.encode()).decode()]
    forms.append(b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode())
    echo = " ".join(forms)
    with caplog.at_level(logging.DEBUG, "exportd"):
        for command, answer in [
            ("AUTH", f"535 5.7.8 bad {echo}"),
            ("MAIL", f"550 {echo}"),
            ("RCPT", f"450 {echo}"),
            ("MAIL DATA", f"554 {'x' * 150} {echo}"),
            ("MAIL DATA", f"250 {echo}"),
            ("MAIL DATA", DROP),
        ]:
            safe.next(command, *[answer] * (3 if command == "AUTH" else 1))  # type: ignore[arg-type]
            try:
                said = str(channel.send(notice("index_gap")))
            except NotSent as error:
                said = "".join(traceback.format_exception(error))
            for form in forms:
                assert form not in said
                assert form[:12] not in said
    output = capfd.readouterr()
    assert PASSWORD not in repr(channel) + caplog.text + output.out + output.err


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "nobody",
        "@example.org",
        "a@",
        "größe@example.org",
        "a@b\r\nBcc: c@d",
        "a@..",
        "a@b.c, d@e.f",
    ],
)
def test_an_address_that_is_none_is_refused(server: MailServer, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="expected an address"):
        mail(server, sender=wrong)
    with pytest.raises(ConfigurationError, match="expected an address"):
        mail(server, recipients=[TO[0], wrong])


def test_settings_that_cannot_work_are_refused(server: MailServer) -> None:
    with pytest.raises(ConfigurationError, match="one recipient or more"):
        mail(server, recipients=[])
    with pytest.raises(ConfigurationError) as raised:
        mail(server, user=USER, password="SENTINELß")  # noqa: S106
    assert "SENTINEL" not in str(raised.value)
