"""The summary of a day: an alert for information that every channel tells."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from .alerts.rules import RULES
from .models import RiskLevel
from .render.wording import some
from .store import DayFacts, NewAlert, Store, fingerprint

_MOST_NAMES = 10


def write_digest(store: Store, memory_dir: str, at: time, now: datetime, waiting: int) -> bool:
    """Write today's, unless it is written or its time has not come; whether it was now.

    ``now`` is local time, with its zone; ``waiting`` files are in the drop folder. On the
    day of the first export there is nothing to sum up.
    """
    subject = f"{memory_dir}/{now:%Y-%m-%d}"
    if now.time() < at or store.knows_alert(fingerprint("daily_summary", subject)):
        return False
    facts = store.day_facts(memory_dir, now - timedelta(days=1))
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if facts.first_drop is None or facts.first_drop >= midnight:
        return False
    at_risk = [
        one.conversation_id
        for one in store.statistics()
        if one.risk.level in (RiskLevel.MEDIUM, RiskLevel.HIGH)
    ]
    rule = RULES["daily_summary"]
    body = "\n".join(summary(facts, at_risk, waiting))
    store.run(
        lambda tx: tx.alert(NewAlert(rule.kind, rule.severity, body, subject, memory_dir))
    )
    return True


def summary(facts: DayFacts, at_risk: list[str], waiting: int) -> list[str]:
    """What a person wants to know of a day, a line each; what did not happen is left out."""
    told = []
    if facts.exports:
        told.append(f"{some(facts.exports, 'file')} dropped, {some(facts.new, 'new message')}")
        known = facts.seen - facts.new
        if known:
            share = f"{known / facts.seen:.0%}"
            told.append(
                f"{known:,} of {some(facts.seen, 'message')} ({share}) were stored before"
            )
    else:
        told.append("No file was dropped.")
    if facts.dead_letters:
        told.append(f"{some(facts.dead_letters, 'file')} could not be ingested")
    if waiting:
        told.append(f"{some(waiting, 'file')} waiting in exports/")
    if facts.firing:
        told.append(f"{some(facts.firing, 'open alert')}: exportd alerts list")
    if at_risk:
        names = ", ".join(at_risk[:_MOST_NAMES]) + (" …" if len(at_risk) > _MOST_NAMES else "")
        told.append(f"{some(len(at_risk), 'conversation')} at risk of data loss: {names}")
    return told
