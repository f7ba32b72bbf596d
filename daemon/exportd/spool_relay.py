"""Alerts while the database is away: told from the spool, and taken into the outbox after."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from time import monotonic

import structlog

from .alerts import routing
from .alerts.notice import Channel, Event, Notice, NotNow, NotSent, Told, Unclear
from .alerts.routing import Policy, Route
from .alerts.rules import RULES
from .crash import reach
from .spool import SENDING, SENT, Spool, Spooled
from .store import NewAlert, Outbox

log = structlog.get_logger()


class SpoolRelay:
    """The spool's half of the relay; ``outcomes`` counts sends, as the relay does."""

    def __init__(
        self,
        spool: Spool,
        memory_dir: str,
        place: str,
        channels: Mapping[str, Channel],
        routes: Sequence[Route],
        outcomes: Counter[tuple[str, str]],
        policy: Policy,
    ) -> None:
        self._spool = spool
        self._memory_dir = memory_dir
        self._place = place
        self._channels = channels
        self._routes = routes
        self._outcomes = outcomes
        self._policy = policy
        # Of channels that do not take messages: the failures in a row, and when to try again.
        self._failures: Counter[str] = Counter()
        self._again_at: dict[str, float] = {}

    def take_in(self, within: Callable[[Callable[[Outbox], None]], None]) -> None:
        """What was told without the database is in the outbox from now on."""
        for entry in self._spool.entries():
            within(partial(self._import, entry))
            reach("relay.spooled")
            self._spool.remove(entry)

    def _import(self, entry: Spooled, outbox: Outbox) -> None:
        rule = RULES[entry.kind]
        alert_id = outbox.spooled(entry.spool_id)
        if alert_id is None:
            alert_id = outbox.take_in(
                NewAlert(
                    entry.kind,
                    rule.severity,
                    entry.body,
                    subject=self._memory_dir,
                    memory_dir=self._memory_dir,
                    details={"spool_id": entry.spool_id},
                ),
                entry.began_at,
            )
            for channel, state in entry.told.items():
                outbox.was_told(
                    alert_id, channel, entry.references.get(channel, {}), is_sure=state == SENT
                )
            rest = set(routing.channels(rule, rule.severity, self._routes)) - set(entry.told)
            if entry.told:
                outbox.deliver((alert_id, channel, Event.FIRING) for channel in rest)
                outbox.routed([alert_id])
        if entry.over_at:
            outbox.resolve(entry.kind, self._memory_dir, "it is over")

    def tell(self) -> None:
        """Each spooled alert, once, on each channel that it reaches."""
        for entry in self._spool.entries():
            if entry.kind not in self._policy.disabled:
                self._tell_all(entry)

    def _tell_all(self, entry: Spooled) -> None:
        rule = RULES[entry.kind]
        sure = [channel for channel, state in entry.told.items() if state == SENT]
        age = datetime.now(UTC) - entry.began_at
        first = routing.channels(rule, rule.severity, self._routes)
        for channel in routing.spool_channels(
            rule, self._routes, sure, age, self._policy.escalate_after
        ):
            is_due = monotonic() >= self._again_at.get(channel, 0.0)
            if is_due and channel not in sure:
                is_first = channel in first or not sure
                self._tell_one(entry, channel, Event.FIRING if is_first else Event.ESCALATED)

    def _tell_one(self, entry: Spooled, channel: str, event: Event) -> None:
        rule = RULES[entry.kind]
        told = Told(
            0,
            entry.kind,
            rule.severity,
            rule.title,
            entry.body,
            rule.todo,
            entry.began_at,
            event,
        )
        before = entry.told.get(channel, "")
        notice = Notice(
            entry.spool_id,
            entry.kind,
            self._place,
            (told,),
            is_repeat_possible=before == SENDING,
        )
        state = SENDING
        reference: dict[str, str] = {}
        self._spool.note(entry.spool_id, channel, state, reference)
        try:
            reach("relay.spool_sending")
            sent = self._channels[channel].send(notice)
            state, reference = SENT, dict(sent.reference)
            self._failures[channel] = 0
        except NotSent as error:
            if not isinstance(error, Unclear):
                state = before  # this time it did not arrive
            self._rest(channel, error)
            log.warning("alert.not_sent", channel=channel, reason=str(error))
        self._spool.note(entry.spool_id, channel, state, reference)
        self._outcomes[channel, state or "not sent"] += 1

    def _rest(self, channel: str, error: NotSent) -> None:
        self._failures[channel] += 1
        wait_s = routing.backoff(self._failures[channel], random.random()).total_seconds()  # noqa: S311
        if isinstance(error, NotNow) and error.wait_s is not None:
            wait_s = max(min(error.wait_s, 3600.0), 1.0)
        self._again_at[channel] = monotonic() + wait_s
