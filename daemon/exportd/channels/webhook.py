"""A webhook that takes what Prometheus' Alertmanager sends, version 4 of its payload.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config tells the fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import reduce
from http.client import HTTPException
from typing import Any
from urllib.request import Request

from ..alerts.notice import (
    ChannelRefuses,
    MessageRefused,
    Notice,
    NotNow,
    NotSent,
    Sent,
    Told,
    Unclear,
)
from ..alerts.plain import clean, one_line, status_in_words
from ..alerts.words import is_over, words_of
from .http import checked_secret, checked_url, exchange, failure, host_of, wait_s
from .patience import within

_NOT_YET = "0001-01-01T00:00:00Z"  # the zero time of Go, as Alertmanager has it
_ADVICE = {
    401: "set the token that it expects",
    403: "set a token that may post there",
    404: "set the URL that it has now",
    405: "set the URL that takes POST",
    407: "the proxy wants a login",
    410: "it was removed; set another URL",
}


class Webhook:
    """Posts to ``url``; ``token`` is sent as a bearer token.

    Of http and https nothing else is spoken, and no redirect is followed.
    """

    name = "webhook"

    def __init__(self, url: str, *, token: str | None = None, timeout_s: float = 15.0) -> None:
        self._url = checked_url(url, "the webhook's URL")
        self._host = host_of(url)
        self._timeout_s = timeout_s
        self._headers = {"Content-Type": "application/json", "User-Agent": "exportd"}
        if token:
            secret = checked_secret(token.strip(), "the webhook's token")
            self._headers["Authorization"] = f"Bearer {secret}"

    def send(self, notice: Notice) -> Sent:
        """Post it; the reference is empty. The message's id is the key of idempotency."""
        return within(3 * self._timeout_s, lambda: self._send(notice), self._host)

    def _send(self, notice: Notice) -> Sent:
        request = Request(  # noqa: S310  # the scheme was checked
            self._url,
            json.dumps(payload(notice)).encode(),
            self._headers | {"Idempotency-Key": notice.message_id},
            method="POST",
        )
        try:
            status, headers, _ = exchange(request, self._timeout_s)
        except (OSError, HTTPException, ValueError) as error:
            raise failure(error, self._host) from None
        if not 200 <= status < 300:
            raise _refusal(status, wait_s(headers), self._host)
        return Sent({}, status_in_words(status))


def payload(notice: Notice) -> dict[str, Any]:
    """The message as Alertmanager would send it."""
    place = one_line(notice.place)
    alerts = [_alert(one, place) for one in notice.told]
    labels = _common(alerts, "labels")
    return {
        "version": "4",
        "receiver": "exportd",
        "status": "resolved" if all(is_over(one) for one in notice.told) else "firing",
        "alerts": alerts,
        "groupKey": notice.group_key,
        "truncatedAlerts": sum(notice.left_out.values()),
        "groupLabels": {name: labels[name] for name in ("alertname",) if name in labels},
        "commonLabels": labels,
        "commonAnnotations": _common(alerts, "annotations"),
        "externalURL": "",
    }


def _alert(told: Told, place: str) -> dict[str, Any]:
    over, words = is_over(told), words_of(told)
    labels = {
        "alertname": told.kind,
        "severity": told.severity.value,
        "conversation_id": words.conversation,
        "memory": place,
    }
    annotations = {
        "summary": one_line(told.title),
        "description": words.body,
        "todo": clean(told.todo),
        "resolution": clean(told.resolution) if over else "",
        "acknowledge": words.ack,
    }
    return {
        "status": "resolved" if over else "firing",
        "labels": _given(labels),
        "annotations": _given(annotations),
        "startsAt": _time(told.since),
        "endsAt": _time(told.resolved_at or told.since) if over else _NOT_YET,
        "generatorURL": "",
        "fingerprint": told.fingerprint or str(told.alert_id),
    }


def _given(values: Mapping[str, str]) -> dict[str, str]:
    """To Prometheus, an empty label is the same as none."""
    return {name: value for name, value in values.items() if value}


def _common(alerts: list[dict[str, Any]], part: str) -> dict[str, str]:
    shared = reduce(lambda a, b: a & b, (alert[part].items() for alert in alerts))
    return dict(sorted(shared))


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _refusal(status: int, wait: float | None, host: str) -> NotSent:
    said = f"{host} said {status_in_words(status)}"
    if status in (408, 425, 429) or (status == 503 and wait is not None):
        return NotNow(f"{said}: it takes no more messages for now", wait)
    if status in _ADVICE:
        return ChannelRefuses(f"{said}: {_ADVICE[status]}")
    if 300 <= status < 400:
        return ChannelRefuses(f"{said}: no redirect is followed; set the URL that it leads to")
    if 400 <= status < 500:
        return MessageRefused(f"{said}: it does not take this message")
    return Unclear(f"{said}: whether the message arrived is not known")
