"""The summary of a day: an alert for information that every channel tells."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from .alerts.rules import RULES
from .models import RiskLevel
from .render.wording import some
from .store import NewAlert, Store, fingerprint


def write_digest(store: Store, memory_dir: str, at: time, now: datetime, waiting: str) -> bool:
    """Write today's, unless it is written or its time has not come; whether it was now.

    ``now`` is local time; ``waiting`` says what waits in the drop folder.
    """
    if now.time() < at:
        return False
    subject = f"{memory_dir}/{now:%Y-%m-%d}"
    if store.knows_alert(fingerprint("daily_summary", subject)):
        return False
    since = now.astimezone() - timedelta(days=1)
    facts = store.digest_facts(memory_dir, since)
    at_risk = [one.conversation_id for one in store.statistics() if _is_at_risk(one.risk.level)]
    body = "\n".join(_lines(facts, at_risk, waiting))
    rule = RULES["daily_summary"]
    store.run(
        lambda tx: tx.alert(NewAlert(rule.kind, rule.severity, body, subject, memory_dir))
    )
    return True


def _is_at_risk(level: RiskLevel) -> bool:
    return level in (RiskLevel.MEDIUM, RiskLevel.HIGH)


def _lines(facts: tuple[int, ...], at_risk: list[str], waiting: str) -> list[str]:
    exports, dead_letters, seen, new, firing = facts
    told = [
        f"{some(exports, 'export')}, {some(new, 'new message')}",
        f"{some(seen - new, 'message')} of {seen:,} were stored before"
        if seen
        else "nothing was exported",
        f"{some(dead_letters, 'file')} could not be ingested",
        f"{some(firing, 'alert')} firing",
        waiting,
    ]
    if at_risk:
        names = ", ".join(at_risk[:10]) + (" …" if len(at_risk) > 10 else "")
        told.append(f"at risk of data loss: {names} (exportd stats says why)")
    return told
