"""The outbox: which alert is told where, and what became of each message.

Times are the database's own, so that several daemons agree on them. A message is leased
before it is sent; a lease that ran out means that nobody knows whether it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from psycopg2.extras import Json

from ..alerts.notice import Event, Told
from ..alerts.routing import SEVERAL, Draft, Silence, Waiting, group_key
from ..alerts.rules import RULES
from ..models import Severity
from .rows import NewAlert
from .transaction import Transaction, fingerprint

# So many alerts of a message are told in full, the others by number.
MOST_TOLD = 10

_LASTING = [rule.kind for rule in RULES.values() if rule.lasts]


@dataclass(frozen=True, slots=True)
class Untold:
    """An alert that the relay has not routed yet; ``was_held`` when it was put off before."""

    alert_id: int
    kind: str
    severity: Severity
    conversation_id: str | None
    is_over: bool
    event: Event
    was_held: bool


@dataclass(frozen=True, slots=True)
class Leased:
    """A message that is ours to send now; ``thread`` is what the channel calls its root."""

    message_id: UUID
    group_key: str
    attempts: int
    unclear_attempts: int
    thread: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for a message on one channel, at the database's ``now``."""

    count: int
    oldest: datetime
    worst: Severity
    sent: tuple[datetime, ...]
    now: datetime


class Outbox:
    """The outbox of one memory folder, within a transaction."""

    def __init__(self, tx: Transaction, memory_dir: str) -> None:
        self._tx = tx
        self._where = {"memory_dir": memory_dir}

    # -- who is told ------------------------------------------------------------------

    def untold(self) -> list[Untold]:
        """Alerts to route, locked; the oldest first."""
        return [
            Untold(
                alert_id,
                kind,
                Severity(severity),
                conversation_id,
                state == "resolved",
                Event(untold),
                was_held,
            )
            for alert_id, kind, severity, conversation_id, state, untold, was_held in (
                self._tx.rows("untold_alerts", **self._where)
            )
        ]

    def firing_kinds(self) -> set[str]:
        return {kind for (kind,) in self._tx.rows("firing_kinds", **self._where)}

    def silences(self) -> list[Silence]:
        rows = self._tx.rows("silences", **self._where)
        return [Silence(until, kind, conversation) for kind, conversation, until in rows]

    def hold(self, alert_ids: Sequence[int]) -> None:
        """Nobody is told of these for now; they are looked at again in a minute."""
        self._tx.execute("hold_alerts", alert_ids=list(alert_ids))

    def deliver(self, told: Iterable[tuple[int, str, Event]]) -> None:
        """These alerts are to be told on these channels."""
        if rows := list(told):
            alert_ids, channels, events = zip(*rows, strict=True)
            self._tx.execute(
                "deliver",
                alert_ids=list(alert_ids),
                channels=list(channels),
                events=[event.value for event in events],
            )

    def deliver_end(self, alert_ids: Sequence[int]) -> None:
        """Who was told that these fire is told that they are over."""
        self._tx.execute("deliver_resolved", alert_ids=list(alert_ids))

    def routed(self, alert_ids: Sequence[int]) -> None:
        """Done with these, until something new happens to them."""
        self._tx.execute("routed", alert_ids=list(alert_ids))

    def unsent(self) -> list[tuple[str, str, int, float]]:
        """Channel, state and number of what is not told yet, and the oldest one's age in s."""
        rows = self._tx.rows("outbox", **self._where)
        return [(channel, state, count, float(age)) for channel, state, count, age in rows]

    def begin(self) -> None:
        """What an earlier process had under way is ours now."""
        self._tx.execute("end_leases", **self._where)

    def route_untold(self) -> None:
        """What fires and no channel ever took is routed anew: there may be one now."""
        self._tx.execute("route_untold", **self._where)

    def close_old(self, interval: timedelta) -> None:
        """Alerts that do not last, and were told so long ago, leave the list."""
        self._tx.execute("close_events", lasting=_LASTING, interval=interval, **self._where)

    def remind(self, interval: timedelta, disabled: Iterable[str] = ()) -> None:
        """What still fires, and was told last so long ago, is told again."""
        self._tx.execute(
            "remind",
            lasting=_LASTING,
            interval=interval,
            disabled=list(disabled),
            **self._where,
        )

    def to_escalate(
        self, interval: timedelta, disabled: Iterable[str] = ()
    ) -> list[tuple[int, list[str]]]:
        """Critical alerts that nobody acknowledged in time, and the channels that told them."""
        rows = self._tx.rows(
            "to_escalate", interval=interval, disabled=list(disabled), **self._where
        )
        return [(alert_id, list(channels)) for alert_id, channels in rows]

    def cry(self, alert: NewAlert) -> None:
        """One more alert, in the same transaction."""
        self._tx.alert(alert)

    def resolve(self, kind: str, subject: str, resolution: str) -> None:
        """What was firing is over, and why."""
        self._tx.resolve_alert(kind, subject, resolution)

    # -- in which message -------------------------------------------------------------

    def backlog(self, channel: str, *, no_info: bool) -> Backlog | None:
        """What waits on a channel; ``no_info`` leaves mere information out."""
        where = {"channel": channel, **self._where}
        count, oldest, worst, now = self._tx.rows(
            "waiting_deliveries", no_info=no_info, **where
        )[0]
        if not count:
            return None
        sent = tuple(row[0] for row in reversed(self._tx.rows("last_messages", **where)))
        return Backlog(count, oldest, list(Severity)[worst], sent, now)

    def take_waiting(self, channel: str, *, no_info: bool) -> list[Waiting]:
        """All that waits on a channel, locked."""
        return [
            Waiting(
                delivery_id,
                Severity(severity),
                group_key(kind, conversation_id),
                str(root) if root else None,
            )
            for delivery_id, severity, kind, conversation_id, root in self._tx.rows(
                "take_waiting", channel=channel, no_info=no_info, **self._where
            )
        ]

    def compose(self, channel: str, draft: Draft) -> None:
        """Make a message of these deliveries."""
        message_id = uuid4()
        self._tx.execute(
            "add_message",
            message_id=message_id,
            channel=channel,
            group_key=draft.group_key,
            root_id=self._root(channel, draft),
            delivery_ids=list(draft.delivery_ids),
            **self._where,
        )
        self._tx.execute(
            "assign_deliveries", message_id=message_id, delivery_ids=list(draft.delivery_ids)
        )

    def _root(self, channel: str, draft: Draft) -> UUID | None:
        """The message in whose thread it belongs: of the same alert, else of the same group."""
        if draft.root is not None:
            return UUID(draft.root)
        if draft.group_key == SEVERAL:
            return None
        found = self._tx.rows(
            "open_thread", channel=channel, group_key=draft.group_key, **self._where
        )
        return found[0][0] if found else None

    # -- what became of it ------------------------------------------------------------

    def lease(self, channel: str, lease: timedelta) -> Leased | None:
        """A message that is due, ours for so long; None when there is none."""
        rows = self._tx.rows("lease_message", channel=channel, lease=lease, **self._where)
        return Leased(*rows[0]) if rows else None

    def told(self, message_id: UUID) -> tuple[tuple[Told, ...], dict[str, int]]:
        """The alerts of a message, worst first, and how many more there are of each kind."""
        rows = self._tx.rows("message_alerts", message_id=message_id, most=MOST_TOLD)
        told = tuple(_told(*row) for row in rows)
        kinds = dict(self._tx.rows("message_kinds", message_id=message_id))
        for one in told:
            kinds[one.kind] -= 1
        return told, {kind: count for kind, count in kinds.items() if count}

    def sent(self, message_id: UUID, reference: Mapping[str, str]) -> None:
        self._tx.execute("message_sent", message_id=message_id, reference=Json(dict(reference)))

    def postpone(self, message_id: UUID, wait: timedelta, error: str, *, unclear: bool) -> None:
        """It is tried again later; ``unclear`` when it may have arrived."""
        self._tx.execute(
            "message_postponed",
            message_id=message_id,
            wait=wait,
            error=error,
            unclear=int(unclear),
        )

    def give_up(self, message_id: UUID, error: str) -> None:
        """What it should have told waits again, for another message or channel."""
        self._tx.execute("message_given_up", message_id=message_id, error=error)

    def give_up_old(self, channel: str, patience: timedelta) -> bool:
        """What was tried for so long in vain waits as alerts again; whether there is any."""
        rows = self._tx.rows(
            "overdue_messages", channel=channel, patience=patience, **self._where
        )
        for message_id, error in rows:
            self.give_up(message_id, error)
        return bool(rows)

    def refuse(self, message_id: UUID, error: str) -> None:
        """The channel will not take it, now or later."""
        self._tx.execute("message_refused", message_id=message_id, error=error)

    def fail_over(
        self, channel: str, others: Sequence[str], message_id: UUID | None = None
    ) -> bool:
        """What waits on a channel, or what it refused of a message, is told on another one.

        The first of ``others`` that was tried least; what all of them refused stays. Whether
        something goes there.
        """
        moved = self._tx.execute(
            "fail_over",
            channel=channel,
            others=list(others),
            message_id=message_id,
            **self._where,
        )
        return moved > 0

    def park(self, channel: str, pause: timedelta, reason: str) -> None:
        """Send nothing there for so long; messages under way wait as alerts again."""
        where = {"channel": channel, **self._where}
        self._tx.execute("park_channel", pause=pause, reason=reason, **where)
        self.release(channel, reason)

    def release(self, channel: str, reason: str) -> None:
        """Messages under way on a channel wait as alerts again."""
        where = {"channel": channel, **self._where}
        for (message_id,) in self._tx.rows("unfinished_messages", **where):
            self.give_up(message_id, reason)

    def unset(self, channels: Iterable[str]) -> list[str]:
        """What is none of these channels, and still has something waiting for it."""
        rows = self._tx.rows("unset_channels", channels=list(channels), **self._where)
        return [channel for (channel,) in rows]

    def try_anew(self) -> None:
        """The pause of every channel that refused is over."""
        self._tx.execute("try_channels_anew", **self._where)

    def unpark(self, channel: str) -> bool:
        """It accepts messages; whether it did not before."""
        return self._tx.execute("unpark_channel", channel=channel, **self._where) > 0

    def parked(self) -> dict[str, tuple[bool, str]]:
        """Channels that refused: whether their pause still lasts, and why."""
        rows = self._tx.rows("parked_channels", **self._where)
        return {channel: (lasts, reason) for channel, lasts, reason in rows}

    # -- what was told without the database -------------------------------------------

    def spooled(self, spool_id: str) -> int | None:
        """The alert that an entry of the spool became already."""
        rows = self._tx.rows("spooled", spool_id=spool_id, **self._where)
        return int(rows[0][0]) if rows else None

    def take_in(self, alert: NewAlert, since: datetime) -> int:
        """An alert from the spool; the one that is open of its kind, where there is one."""
        self._tx.alert(alert)
        return int(
            self._tx.rows(
                "took_in",
                fingerprint=fingerprint(alert.kind, alert.subject),
                since=since,
                spool_id=alert.details["spool_id"],
            )[0][0]
        )

    def was_told(
        self, alert_id: int, channel: str, reference: Mapping[str, str], *, is_sure: bool
    ) -> None:
        """A message that was sent without the outbox; where unsure, it is sent once more."""
        self._tx.execute(
            "add_told_message",
            message_id=uuid4(),
            channel=channel,
            alert_id=alert_id,
            reference=Json(dict(reference)),
            is_sure=is_sure,
            **self._where,
        )


def _told(
    alert_id: int, kind: str, severity: str, body: str, since: datetime, *more: Any
) -> Told:
    event, conversation_id, resolution, resolved_at, occurrences, fingerprint = more
    rule = RULES.get(kind)
    return Told(
        alert_id,
        kind,
        Severity(severity),
        rule.title if rule else kind.replace("_", " "),
        body,
        rule.todo if rule else "",
        since,
        Event(event),
        conversation_id,
        resolution or "",
        resolved_at,
        occurrences,
        fingerprint,
    )
