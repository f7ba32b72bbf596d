"""The webhook, on a local HTTP server."""

from __future__ import annotations

import logging
import socket
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme
from http_server import Answer, HttpServer
from mail_server import tls_of
from notices import MESSAGE_ID, PLACE, notice, over, storm, told

from exportd.alerts.notice import ChannelRefuses, MessageRefused, NotNow, NotSent, Unclear
from exportd.channels.webhook import Webhook
from exportd.errors import ConfigurationError

TOKEN = "SENTINEL-token"  # noqa: S105  # and looked for in every output
PATH = "/hook/SENTINEL?key=SENTINEL"
PATIENT_S, HASTY_S = 10.0, 0.3  # a busy machine may be slow; hasty where a server is


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer(Answer(204)) as running:
        yield running


def webhook(
    server: HttpServer, token: str | None = TOKEN, timeout_s: float = PATIENT_S
) -> Webhook:
    return Webhook(server.url + PATH, token=token, timeout_s=timeout_s)


def test_an_alert_is_posted_as_alertmanager_posts_it(server: HttpServer) -> None:
    sent = webhook(server).send(notice("index_gap"))
    assert (sent.reference, sent.said) == ({}, "204 No Content")
    [request] = server.requests
    assert (request.method, request.path) == ("POST", PATH)
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["Idempotency-Key"] == MESSAGE_ID
    gap = told("index_gap")
    labels = {
        "alertname": "index_gap",
        "severity": "warning",
        "conversation_id": "rollout-master",
        "memory": PLACE,
    }
    annotations = {
        "summary": "Messages are missing",
        "description": gap.body,
        "todo": gap.todo,
        "acknowledge": "exportd alerts ack 12",
    }
    assert request.json == {
        "version": "4",
        "receiver": "exportd",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": labels,
                "annotations": annotations,
                "startsAt": "2026-11-25T21:03:17Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": "index_gap-12",
            }
        ],
        "groupKey": "atlas/index_gap",
        "truncatedAlerts": 0,
        "groupLabels": {"alertname": "index_gap"},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
    }


def test_what_is_over_is_resolved(server: HttpServer) -> None:
    webhook(server, token=None).send(notice(over(told("index_gap"), "It was filled.")))
    [request] = server.requests
    assert "Authorization" not in request.headers
    assert request.json["status"] == "resolved"
    [alert] = request.json["alerts"]
    assert alert["status"] == "resolved"
    assert alert["endsAt"] == "2026-11-25T23:10:17Z"
    assert alert["annotations"]["resolution"] == "It was filled."
    assert alert["fingerprint"] == "index_gap-12"  # the same as when it fired


def test_several_alerts_share_what_they_have_in_common(server: HttpServer) -> None:
    webhook(server).send(storm())
    body = server.requests[0].json
    assert body["truncatedAlerts"] == 9994
    assert len(body["alerts"]) == 6
    assert body["groupLabels"] == {}
    assert body["commonLabels"] == {"memory": PLACE}
    assert body["commonAnnotations"] == {}


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_2xx_is_sent(server: HttpServer, status: int) -> None:
    server.next(Answer(status))
    assert webhook(server).send(notice("index_gap")).said.startswith(f"{status} ")


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(server: HttpServer, status: int) -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    for given, least, most in [("7", 7, 7), (in_a_minute, 50, 60), ("9999999", 3600, 3600)]:
        server.next(Answer(status, headers={"Retry-After": given}))
        with pytest.raises(NotNow) as raised:
            webhook(server).send(notice("index_gap"))
        assert least <= (raised.value.wait_s or 0) <= most


@pytest.mark.parametrize("given", ["soon", "nan", "inf", ""])
def test_a_retry_after_that_makes_no_sense_is_none(server: HttpServer, given: str) -> None:
    server.next(Answer(429, headers={"Retry-After": given}))
    with pytest.raises(NotNow) as raised:
        webhook(server).send(notice("index_gap"))
    assert raised.value.wait_s is None


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_needs_a_person_parks_the_channel(server: HttpServer, status: int) -> None:
    server.next(Answer(status))
    with pytest.raises(ChannelRefuses, match=rf"127.0.0.1 said {status} \w+.*: .*"):
        webhook(server).send(notice("index_gap"))


@pytest.mark.parametrize("status", [400, 413, 422])
def test_another_4xx_refuses_the_message(server: HttpServer, status: int) -> None:
    server.next(Answer(status))
    with pytest.raises(MessageRefused, match=str(status)):
        webhook(server).send(notice("index_gap"))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(502),
        Answer(503),
        Answer(599),
        Answer(is_dropped=True),
        Answer(delay_s=5),
    ],
)
def test_what_leaves_it_open_is_unclear(server: HttpServer, answer: Answer) -> None:
    server.next(answer)
    with pytest.raises(Unclear):
        webhook(server, timeout_s=HASTY_S if answer.delay_s else PATIENT_S).send(
            notice("index_gap")
        )
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(server: HttpServer, status: int) -> None:
    with HttpServer() as elsewhere:
        server.next(Answer(status, headers={"Location": elsewhere.url + PATH}))
        with pytest.raises(ChannelRefuses, match="redirect"):
            webhook(server).send(notice("index_gap"))
        assert elsewhere.requests == []


def test_without_a_connection_it_is_not_now(server: HttpServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}{PATH}"
        no_tls = server.url.replace("http", "https") + PATH
        for url in (closed, no_tls, "http://nowhere.invalid" + PATH):
            with pytest.raises(NotNow) as raised:
                Webhook(url, token=TOKEN, timeout_s=PATIENT_S).send(notice("index_gap"))
            assert raised.value.wait_s is None


def test_a_server_whose_certificate_nobody_knows_gets_nothing() -> None:
    with HttpServer(tls=tls_of(trustme.CA())) as impostor:
        with pytest.raises(NotNow, match="certificate is not trusted"):
            webhook(impostor).send(notice("index_gap"))
        assert impostor.requests == []


def test_no_secret_is_in_any_log_or_error(
    server: HttpServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    channel = webhook(server, timeout_s=HASTY_S)
    assert "SENTINEL" not in repr(channel)
    with caplog.at_level(logging.DEBUG):
        for status in (200, 302, 400, 401, 404, 429, 500):
            echo = {"Location": PATH, "X-Echo": TOKEN}
            server.next(Answer(status, f"{TOKEN} {PATH}".encode(), echo))
        server.next(Answer(is_dropped=True), Answer(delay_s=5))
        for _ in range(9):
            try:
                said = str(channel.send(notice("index_gap")))
            except NotSent as error:
                said = "".join(traceback.format_exception(error))
            assert "SENTINEL" not in said
    output = capfd.readouterr()
    assert "SENTINEL" not in caplog.text + output.out + output.err


@pytest.mark.parametrize("url", ["ftp://host/SENTINEL", "file:///SENTINEL", "http:SENTINEL"])
def test_nothing_but_http_is_spoken(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Webhook(url)
    assert "SENTINEL" not in str(raised.value)


def test_a_header_cannot_be_injected(server: HttpServer) -> None:
    with pytest.raises(ConfigurationError):
        webhook(server, token="SENTINEL\r\nX-Evil: 1")  # noqa: S106
    webhook(server).send(replace(notice("index_gap"), place="a\r\nX-Evil: 1"))
    assert "X-Evil" not in server.requests[0].headers
