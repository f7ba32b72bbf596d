"""Slack, by slack_sdk's own client and a local server that speaks its API."""

from __future__ import annotations

import logging
import re
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import trustme
from http_server import Answer, HttpServer, as_json
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_server import tls_of
from notices import notice, over, storm, told

from exportd.alerts.notice import (
    Channel,
    ChannelRefuses,
    MessageRefused,
    NotNow,
    NotSent,
    Unclear,
)
from exportd.channels.blocks import blocks, escaped, fallback
from exportd.channels.slack import SlackBot, SlackWebhook
from exportd.errors import ConfigurationError

TOKEN = "xoxb-SENTINEL-token"  # noqa: S105  # and looked for in every output
PATH = "/services/T000/B000/SENTINELpath"
OK = as_json({"ok": True, "channel": "C0OPS", "ts": "1764104597.000200"})
PATIENT_S, HASTY_S = 10.0, 0.3  # a busy machine may be slow; hasty where a server is


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def slack() -> Iterator[HttpServer]:
    with HttpServer(OK) as server:
        yield server


@pytest.fixture
def hook() -> Iterator[HttpServer]:
    with HttpServer(Answer(body=b"ok")) as server:
        yield server


def bot(server: HttpServer, timeout_s: float = PATIENT_S) -> SlackBot:
    return SlackBot(TOKEN, "#ops", base_url=f"{server.url}/api/", timeout_s=timeout_s)


def webhook(server: HttpServer, timeout_s: float = PATIENT_S) -> SlackWebhook:
    return SlackWebhook(server.url + PATH, timeout_s=timeout_s)


def refused(error: str, **more: Any) -> Answer:
    return as_json({"ok": False, "error": error}, **more)


# -- what is sent -------------------------------------------------------------------------


def test_a_message_is_posted_with_blocks_and_a_fallback_text(slack: HttpServer) -> None:
    sent = bot(slack).send(notice("index_gap"))
    assert sent.reference == {"channel": "C0OPS", "ts": "1764104597.000200"}
    assert sent.said == "ok, in C0OPS as 1764104597.000200"
    [request] = slack.requests
    assert request.path == "/api/chat.postMessage"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    body = request.json
    assert body["channel"] == "#ops"
    assert body["text"] == fallback(notice("index_gap"))
    assert body["blocks"] == blocks(notice("index_gap"))
    assert body["unfurl_links"] is False
    assert "thread_ts" not in body


def test_a_reply_goes_into_its_thread_and_what_is_new_into_the_channel_too(
    slack: HttpServer,
) -> None:
    thread = {"channel": "C0OPS", "ts": "1764100000.000100"}
    end = over(told("index_gap"), "a later export has them")
    for one in (told("index_gap"), end):
        sent = bot(slack).send(replace(notice(one), thread=thread))
        assert sent.reference["ts"] == thread["ts"]
    posted = [request.json for request in slack.requests]
    assert [one["thread_ts"] for one in posted] == [thread["ts"]] * 2
    assert [one["reply_broadcast"] for one in posted] == [True, False]


def test_a_critical_reply_is_shown_in_the_channel_too(slack: HttpServer) -> None:
    outage = replace(notice("database_unreachable"), thread={"ts": "1764100000.000100"})
    bot(slack).send(outage)
    assert slack.requests[0].json["reply_broadcast"] is True


def test_a_reply_whose_thread_is_gone_is_a_message_of_its_own(slack: HttpServer) -> None:
    slack.next(refused("thread_not_found"))
    sent = bot(slack).send(replace(notice("index_gap"), thread={"ts": "1.1"}))
    assert "thread_ts" not in slack.requests[1].json
    assert sent.reference["ts"] == "1764104597.000200"


def test_a_webhook_gets_the_same_without_thread(hook: HttpServer) -> None:
    sent = webhook(hook).send(replace(notice("index_gap"), thread={"ts": "1.1"}))
    assert sent.reference == {}
    [request] = hook.requests
    assert request.path == PATH
    assert request.json["blocks"] == blocks(notice("index_gap"))
    assert request.json["text"] == fallback(notice("index_gap"))
    assert "thread_ts" not in request.json


# -- what Slack says ----------------------------------------------------------------------

PEOPLE = [
    ("invalid_auth", "the token is not valid"),
    ("not_authed", "no token"),
    ("account_inactive", "removed"),
    ("token_revoked", "revoked"),
    ("token_expired", "expired"),
    ("missing_scope", "chat:write"),
    ("no_permission", "chat:write"),
    ("channel_not_found", "the channel's id or name"),
    ("not_in_channel", "invite the bot to #ops: /invite @exportd"),
    ("is_archived", "unarchive"),
]


@pytest.mark.parametrize(("error", "advice"), PEOPLE)
def test_what_needs_a_person_says_what_to_do(
    slack: HttpServer, error: str, advice: str
) -> None:
    slack.next(refused(error))
    with pytest.raises(ChannelRefuses, match=re.escape(advice)) as raised:
        bot(slack).send(notice("index_gap"))
    assert str(raised.value).startswith(f"Slack said {error}: ")
    assert len(slack.requests) == 1


@pytest.mark.parametrize(
    ("status", "said", "advice"),
    [
        (403, "invalid_token", "a new incoming webhook"),
        (403, "action_prohibited", "administrator"),
        (404, "no_service", "a new incoming webhook"),
        (404, "channel_not_found", "the channel's id or name"),
        (410, "channel_is_archived", "unarchive"),
        (404, "<html>nothing here</html>", "404 Not Found"),
    ],
)
def test_a_webhook_that_needs_a_person_says_what_to_do(
    hook: HttpServer, status: int, said: str, advice: str
) -> None:
    hook.next(Answer(status, said.encode()))
    with pytest.raises(ChannelRefuses, match=advice):
        webhook(hook).send(notice("index_gap"))
    assert len(hook.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(429, b"", {"Retry-After": "7"}),
        Answer(429, b"slow down", {"retry-after": "7"}),
        refused("ratelimited", status=429, headers={"Retry-After": "7"}),
        refused("ratelimited", headers={"Retry-After": "7"}),
    ],
)
def test_a_rate_limit_says_how_long_to_wait(slack: HttpServer, answer: Answer) -> None:
    slack.next(answer, answer)
    for channel in (bot(slack), webhook(slack)):
        with pytest.raises(NotNow) as raised:
            channel.send(notice("index_gap"))
        assert raised.value.wait_s == 7
    assert len(slack.requests) == 2


@pytest.mark.parametrize("error", ["msg_too_long", "invalid_blocks", "no_text"])
def test_blocks_that_are_refused_are_sent_as_plain_text(slack: HttpServer, error: str) -> None:
    slack.next(refused(error))
    assert bot(slack).send(notice("index_gap")).said.startswith("ok")
    assert "blocks" not in slack.requests[1].json
    assert slack.requests[1].json["text"] == fallback(notice("index_gap"))
    slack.next(refused(error), refused(error))
    with pytest.raises(MessageRefused, match=f"Slack said {error}"):
        bot(slack).send(notice("index_gap"))
    assert len(slack.requests) == 4


def test_a_webhook_that_refuses_blocks_gets_plain_text(hook: HttpServer) -> None:
    hook.next(Answer(400, b"invalid_blocks"))
    webhook(hook).send(notice("index_gap"))
    assert "blocks" not in hook.requests[1].json
    hook.next(Answer(400, b"invalid_blocks"), Answer(400, b"invalid_payload"))
    with pytest.raises(MessageRefused):
        webhook(hook).send(notice("index_gap"))


def test_an_error_that_is_not_known_is_tried_in_plain_text_and_then_needs_a_person(
    slack: HttpServer,
) -> None:
    slack.next(refused("brand_new_error"), refused("brand_new_error"))
    with pytest.raises(ChannelRefuses, match="brand_new_error"):
        bot(slack).send(notice("index_gap"))
    assert len(slack.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(502, b"<html>bad gateway</html>"),
        Answer(503, b"x", {"Content-Type": "text/plain; charset=klingon"}),
        Answer(504, b"{}"),
        Answer(is_dropped=True),
        Answer(body=b"ok", delay_s=5),
        Answer(body=b'{"ok": tru'),
        Answer(body=b"<html>log in to this network</html>"),
        Answer(body=b"[1, 2]"),
        Answer(body=b"\xff\xfe", headers={"Content-Type": "application/json"}),
        Answer(body=b'{"ok"', headers={"Content-Length": "400"}),
        as_json({"ok": False}),
        refused("internal_error"),
        refused("fatal_error"),
    ],
)
def test_an_answer_that_leaves_it_open_is_unclear(slack: HttpServer, answer: Answer) -> None:
    slack.next(answer)
    with pytest.raises(Unclear):
        bot(slack, HASTY_S if answer.delay_s else PATIENT_S).send(notice("index_gap"))
    assert len(slack.requests) == 1  # a second one might be a repeat


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, b"rollup_error"),
        Answer(is_dropped=True),
        Answer(body=b"ok", delay_s=5),
        Answer(body=b"<html>log in to this network</html>"),
    ],
)
def test_an_answer_of_a_webhook_that_leaves_it_open_is_unclear(
    hook: HttpServer, answer: Answer
) -> None:
    hook.next(answer)
    with pytest.raises(Unclear):
        webhook(hook, HASTY_S if answer.delay_s else PATIENT_S).send(notice("index_gap"))
    assert len(hook.requests) == 1


def test_a_server_that_drips_cannot_hold_the_relay(slack: HttpServer) -> None:
    slack.next(replace(OK, drip_s=0.1))
    began = time.monotonic()
    with pytest.raises(Unclear, match="did not come to an end within"):
        bot(slack, HASTY_S).send(notice("index_gap"))
    assert time.monotonic() - began < PATIENT_S


def test_without_a_connection_it_is_not_now(slack: HttpServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{taken.getsockname()[1]}"
        for address, words in [
            (f"http://{closed}", "Connection refused"),
            ("http://nowhere.invalid", "its name cannot be resolved"),
            (slack.url.replace("http", "https"), "no TLS connection"),
        ]:
            channels: list[Channel] = [
                SlackBot(TOKEN, "#ops", base_url=address, timeout_s=PATIENT_S),
                SlackWebhook(address + PATH, timeout_s=PATIENT_S),
            ]
            for channel in channels:
                with pytest.raises(NotNow, match=words) as raised:
                    channel.send(notice("index_gap"))
                assert raised.value.wait_s is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(slack: HttpServer, status: int) -> None:
    with HttpServer(Answer(body=b"ok")) as elsewhere:
        redirect = Answer(status, headers={"Location": elsewhere.url + PATH})
        slack.next(redirect, redirect)
        for channel in (bot(slack), webhook(slack)):
            with pytest.raises(ChannelRefuses, match="no redirect is followed"):
                channel.send(notice("index_gap"))
        assert elsewhere.requests == []


def test_a_server_whose_certificate_nobody_knows_gets_nothing() -> None:
    with HttpServer(OK, tls=tls_of(trustme.CA())) as impostor:
        for channel in (bot(impostor), webhook(impostor)):
            with pytest.raises(NotNow, match="certificate is not trusted"):
                channel.send(notice("index_gap"))
        assert impostor.requests == []


# -- secrets ------------------------------------------------------------------------------

TROUBLE: list[Answer] = [
    OK,
    Answer(429, headers={"Retry-After": "1"}),
    Answer(500, f"{TOKEN} {PATH}".encode()),
    Answer(403, f"{TOKEN} {PATH}".encode()),
    Answer(404, b"no_service"),
    Answer(302, headers={"Location": "/elsewhere" + PATH}),
    Answer(is_dropped=True),
    Answer(body=f"{TOKEN} {PATH}".encode()),
    refused(TOKEN),
    refused("invalid_auth"),
    refused("invalid_blocks"),
]


@pytest.mark.parametrize("make", [bot, webhook])
def test_no_secret_is_in_any_log_or_error(
    slack: HttpServer, make: Callable[[HttpServer], Channel], caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with caplog.at_level(logging.DEBUG):
        channel = make(slack)
        assert "SENTINEL" not in repr(channel)
        for answer in TROUBLE:
            slack.next(answer)
            try:
                said = str(channel.send(notice("index_gap")))
            except NotSent as error:
                said = "".join(traceback.format_exception(error))
            assert "SENTINEL" not in said, answer
    output = capfd.readouterr()
    assert "SENTINEL" not in caplog.text + output.out + output.err
    assert "slack" not in caplog.text  # messages are no log lines either


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/SENTINEL",
        "https://SENTINEL",
        "https://user:SENTINEL@hooks.slack.com/services",
        "https://hooks.slack.com:SENTINEL/services",
        "https://hooks.slack.com/a b/SENTINEL",
        "https://hooks.slack.com/\nSENTINEL",
        "https:///services/SENTINEL",
        "hooks.slack.com/services/SENTINEL",
        "https://[SENTINEL/services",
        "",
    ],
)
def test_an_address_that_is_none_is_refused_and_not_quoted(url: str) -> None:
    if url == "https://SENTINEL":  # good: what would be secret in it is its path
        SlackWebhook(url)
        return
    with pytest.raises(ConfigurationError) as raised:
        SlackWebhook(url)
    assert "SENTINEL" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("token", ["", "SENTINEL\nX-Evil: 1", "SENTINEL ä"])
def test_a_token_that_cannot_be_one_is_refused_and_not_quoted(token: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        SlackBot(token, "#ops")
    assert "SENTINEL" not in str(raised.value)


# -- text in Slack ------------------------------------------------------------------------

HOSTILE = "<!here> <!channel> <@U012AB3CD> <#C012AB3CD> <http://evil.test|click> @channel &lt;"


def test_nothing_in_a_message_calls_people_or_makes_links(slack: HttpServer) -> None:
    alert = replace(
        told("index_gap"), title=HOSTILE, body=HOSTILE, todo=HOSTILE, conversation_id=HOSTILE
    )
    message = replace(notice(alert, over(alert, HOSTILE)), place=HOSTILE, left_out={HOSTILE: 3})
    bot(slack).send(message)
    body = slack.requests[0].json
    for words in [*_mrkdwn(body["blocks"]), body["text"]]:
        assert not set(words) & set("<>")
        assert "@channel" not in words
        assert re.search(r"&(?!(amp|lt|gt);)", words) is None
    assert body["parse"] == "none"
    assert body["link_names"] is False


def test_a_conversation_is_named_below_the_header_where_that_is_cut() -> None:
    assert _mrkdwn(blocks(notice("index_gap")))[0] == told("index_gap").body
    long = replace(told("index_gap"), conversation_id="c" * 200)
    assert _mrkdwn(blocks(notice(long)))[0].startswith(f"`{'c' * 200}`\n")


@settings(max_examples=40, deadline=None)
@given(st.text(st.sampled_from("a&<>@channelhr \n")), st.integers(min_value=8, max_value=60))
def test_escaped_text_stays_within_its_limit_and_whole(words: str, limit: int) -> None:
    safe = escaped(words, limit)
    assert len(safe) <= limit
    assert re.search(r"&(?!(amp|lt|gt);)", safe) is None
    assert "<" not in safe
    assert "@channel" not in safe


def test_the_longest_message_stays_within_the_limits_of_slack() -> None:
    long = replace(
        told("index_gap"),
        title="<" * 500,
        body="&" * 50_000,
        todo="é" * 5000,
        conversation_id="c`" * 125,
    )
    message = replace(
        notice(*[long] * 60),
        place="p" * 5000,
        left_out={f"{n} " + "t" * 500: n for n in range(1, 100)},
        is_repeat_possible=True,
    )
    for shape in (message, notice(long), notice(*["new_conversation"] * 200), storm()):
        found = blocks(shape)
        assert len(found) <= 50
        assert len(found[0]["text"]["text"]) <= 150
        assert all(1 <= len(words) <= 3000 for words in _mrkdwn(found))
        assert len(str(found)) < 13_000
        assert len(fallback(shape)) <= 40_000


def test_what_the_blocks_do_not_show_is_counted() -> None:
    words = "\n".join(_mrkdwn(blocks(notice(*["index_gap"] * 200))))
    shown = words.count("acknowledge: ")
    assert 5 < shown < 15
    assert f"• {200 - shown} × Messages are missing" in words


def _mrkdwn(value: Any) -> list[str]:
    """All texts that Slack reads as markup; each says that it is verbatim."""
    if isinstance(value, dict):
        if value.get("type") == "mrkdwn":
            assert value["verbatim"] is True
            return [value["text"]]
        value = list(value.values())
    if isinstance(value, list):
        return [words for one in value for words in _mrkdwn(one)]
    return []
