"""Slack: a bot that posts to a channel, or an incoming webhook.

Nothing is tried again here but a message that Slack refuses as such, once, in plain text:
the relay decides when to send again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.request import Request

from slack_sdk import WebClient, WebhookClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookResponse

from ..alerts.notice import Event, Notice, Sent
from ..models import Severity
from .blocks import blocks, fallback
from .http import checked_secret, checked_url, exchange, failure, host_of, wait_s
from .patience import within
from .slack_answers import Answer, code_in, refusal

API = "https://slack.com/api/"

# slack_sdk writes the URL of a webhook and whole messages into its logger; this one stands
# outside of the tree of loggers and lets nothing through.
_SILENT = logging.Logger("silent", logging.CRITICAL + 1)  # noqa: LOG001  # therefore
_SILENT.disabled = True

# What may come out of slack_sdk: of the connection, of HTTP, of decoding, and of JSON that is
# no object (AttributeError).
_FAILURES = (OSError, HTTPException, ValueError, AttributeError)


class _Web(WebClient):
    """A client that follows no redirect; slack_sdk has no setting for that."""

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:  # noqa: ARG002
        status, headers, body = exchange(req, self.timeout)
        return {"status": status, "headers": headers, "body": body.decode()}


class _Hook(WebhookClient):
    """The same for a webhook."""

    def _perform_http_request_internal(self, url: str, req: Request) -> WebhookResponse:
        status, headers, body = exchange(req, self.timeout)
        return WebhookResponse(url=url, status_code=status, body=body.decode(), headers=headers)


class SlackBot:
    """Posts to ``channel`` (its id, or its name) with a bot token that may ``chat:write``."""

    name = "slack"

    def __init__(
        self, token: str, channel: str, *, base_url: str = API, timeout_s: float = 15.0
    ) -> None:
        self._channel = channel
        self._host = host_of(checked_url(base_url, "Slack's base_url"))
        self._limit_s = 3 * timeout_s
        self._client = _Web(
            checked_secret(token.strip(), "Slack's token"),
            base_url,
            timeout=timeout_s,  # type: ignore[arg-type]  # urllib takes parts of a second
            logger=_SILENT,
            retry_handlers=[],
        )

    def send(self, notice: Notice) -> Sent:
        """Post it, in its thread where it has one; the reference is that of the thread."""
        return within(self._limit_s, lambda: self._send(notice), self._host)

    def _send(self, notice: Notice) -> Sent:
        root = (notice.thread or {}).get("ts", "")
        message = _message(notice) | (_in_thread(root, notice) if root else {})
        answer = self._post(message)
        if answer.is_about_thread and root:
            # The message above was removed, or is in a channel that was set before.
            root, message = "", _message(notice)
            answer = self._post(message)
        if answer.is_about_message:
            del message["blocks"]
            answer = self._post(message)
        if not answer.is_ok:
            raise refusal(answer, self._channel)
        # A message under a reply needs the ts of the thread's first one, too.
        reference = {"channel": answer.channel, "ts": root or answer.ts}
        return Sent(reference, f"ok, in {answer.channel} as {answer.ts}")

    def _post(self, message: Mapping[str, Any]) -> Answer:
        try:
            response = self._client.chat_postMessage(
                channel=self._channel, parse="none", link_names=False, **message
            )
        except SlackApiError as error:
            response = error.response
        except _FAILURES as error:
            raise failure(error, self._host) from None
        data = response.data if isinstance(response.data, dict) else {}
        return Answer(
            status=response.status_code,
            code="ok" if data.get("ok") is True else code_in(data.get("error")),
            wait_s=wait_s(response.headers),
            channel=str(data.get("channel", self._channel)),
            ts=str(data.get("ts", "")),
        )


class SlackWebhook:
    """An incoming webhook of Slack, or of what answers "ok" like it; it has no threads."""

    name = "slack"

    def __init__(self, url: str, *, timeout_s: float = 15.0) -> None:
        self._host = host_of(checked_url(url, "Slack's webhook URL"))
        self._limit_s = 3 * timeout_s
        self._client = _Hook(
            url,
            timeout=timeout_s,  # type: ignore[arg-type]  # urllib takes parts of a second
            logger=_SILENT,
            retry_handlers=[],
        )

    def send(self, notice: Notice) -> Sent:
        """Post it; the reference is empty."""
        return within(self._limit_s, lambda: self._send(notice), self._host)

    def _send(self, notice: Notice) -> Sent:
        message = _message(notice)
        answer = self._post(message)
        if answer.is_about_message:
            del message["blocks"]
            answer = self._post(message)
        if not answer.is_ok:
            raise refusal(answer, "the webhook's channel")
        return Sent({}, "ok")

    def _post(self, message: Mapping[str, Any]) -> Answer:
        try:
            response = self._client.send(**message)
        except _FAILURES as error:
            raise failure(error, self._host) from None
        return Answer(
            status=response.status_code,
            code=code_in(response.body.strip()) or _code_in_json(response.body),
            wait_s=wait_s(response.headers),
        )


def _message(notice: Notice) -> dict[str, Any]:
    return {
        "text": fallback(notice),
        "blocks": blocks(notice),
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _in_thread(root: str, notice: Notice) -> dict[str, Any]:
    """What is new is shown in the channel, too: nobody is told of replies in a thread."""
    is_new = any(one.event in (Event.FIRING, Event.ESCALATED) for one in notice.told)
    is_broadcast = is_new or notice.severity is Severity.CRITICAL
    return {"thread_ts": root, "reply_broadcast": is_broadcast}


def _code_in_json(body: str) -> str:
    """Slack's newer webhooks (of workflows) answer with an object."""
    try:
        data = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(data, dict):
        return ""
    return "ok" if data.get("ok") is True else code_in(data.get("error"))
