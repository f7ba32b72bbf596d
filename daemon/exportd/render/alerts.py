"""Alerts for a terminal: a table of many, or one with its history. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from ..alerts.listed import Alert, Delivery, SilenceRow
from ..alerts.rules import RULES
from ..formats.text import printable
from .wording import some

SIGNS = {"critical": "🔴", "warning": "🟠", "info": "🔵"}


def table(alerts: Sequence[Alert], silences: Sequence[SilenceRow], here: str) -> str:
    """An entry of two or three lines each; what is silenced at the end.

    ``here`` is the memory folder of which that is not said.
    """
    lines = [line for alert in alerts for line in (*_entry(alert, here), "")]
    if not alerts:
        lines = ["No alert.", ""]
    for one in silences:
        what = " of ".join(filter(None, (one.kind or "everything", one.conversation_id)))
        why = f" ({one.comment})" if one.comment else ""
        until = f"{_moment(one.until)}{_where(one.memory_dir, here)}"
        lines.append(f"silence {one.silence_id}: {what} until {until}{why}")
    return "\n".join(lines).rstrip("\n") + "\n"


def one(alert: Alert, told: Sequence[Delivery], here: str) -> str:
    """All that is known of an alert."""
    lines = [*_entry(alert, here)]
    rule = RULES.get(alert.kind)
    if rule and rule.todo:
        lines.append(f"    What to do: {rule.todo}")
    lines += ["", "    Told:" if told else "    Nobody was told."]
    for delivery in told:
        when = delivery.sent_at or delivery.created_at
        text = (
            f"      {_moment(when)}  {delivery.channel:<8}{delivery.event:<10}{delivery.state}"
        )
        if (delivery.attempts or 0) > 1:
            text += f", {some(delivery.attempts or 0, 'attempt')}"
        lines.append(text + (f": {delivery.error}" if delivery.error else ""))
    return "\n".join(lines) + "\n"


def _entry(alert: Alert, here: str) -> Iterator[str]:
    rule = RULES.get(alert.kind)
    about = f" · {alert.conversation_id}" if alert.conversation_id else ""
    title = rule.title if rule else alert.kind.replace("_", " ")
    sign = "✅" if alert.state == "resolved" else SIGNS[alert.severity]
    yield f"{alert.alert_id:>5} {sign} {title}{about}"
    since = f"{_moment(alert.created_at)}{_where(alert.memory_dir, here)}"
    times = f", seen {alert.occurrences} times" if alert.occurrences > 1 else ""
    yield f"      {alert.severity}, {_state(alert)}, since {since}{times}"
    yield from (f"      {line}" for line in alert.body.splitlines())


def _where(memory_dir: str | None, here: str) -> str:
    return f", in {printable(memory_dir)}" if memory_dir not in (None, here) else ""


def _state(alert: Alert) -> str:
    if alert.state == "acknowledged":
        return f"acknowledged by {alert.acknowledged_by}"
    if alert.state == "resolved" and alert.resolved_at:
        return f"over at {_moment(alert.resolved_at)} ({alert.resolution})"
    if alert.silenced_until:
        return f"silenced until {_moment(alert.silenced_until)}"
    return "held back" if alert.is_held else alert.state


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
