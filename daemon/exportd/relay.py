"""From the outbox to people: the story of an alert after it was written (DESIGN 6).

An alert is routed to the channels that its severity reaches, put into a message with what
belongs to it, and sent under a lease. A kill at any step loses none: what was leased and not
noted is sent again, and says that it may be a repeat. While the database is away the spool
is told instead.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog

from .alerts import routing
from .alerts.notice import (
    Channel,
    ChannelRefuses,
    Event,
    MessageRefused,
    Notice,
    NotNow,
    NotSent,
    Unclear,
)
from .alerts.routing import Policy, Route
from .alerts.rules import RULES
from .crash import reach
from .errors import TransientError
from .models import Severity
from .spool import Spool
from .spool_relay import SpoolRelay
from .store import Leased, NewAlert, Outbox, Store, Untold

log = structlog.get_logger()

_T = TypeVar("_T")

LEASE = timedelta(minutes=2)
PAUSE = timedelta(hours=1)  # of a channel that refuses
# What does not last is listed for so long.
FORGET = timedelta(days=7)
IDLE_S, BUSY_S = 5.0, 1.0


class Relay:
    """Tells people what the outbox of one memory folder holds; ``run`` is its thread."""

    def __init__(
        self,
        store: Store,
        spool: Spool,
        memory_dir: str,
        place: str,
        channels: Mapping[str, tuple[Channel, Severity | None]],
        policy: Policy,
    ) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()  # sends by channel and outcome
        self.refusals: dict[str, str] = {}  # channels that refuse, and why
        # What is not told yet: channel, state, how many, and the age of the oldest in seconds.
        self.outbox: list[tuple[str, str, int, float]] = []
        self._store = store
        self._memory_dir = memory_dir
        self._place = place
        self._channels = {name: channel for name, (channel, _) in channels.items()}
        self._routes = [Route(name, least) for name, (_, least) in channels.items()]
        # Who tells what another one cannot; who is told only what is escalated comes last.
        self._heirs = [r.channel for r in sorted(self._routes, key=lambda r: r.least is None)]
        self._policy = policy
        self._spooled = SpoolRelay(
            spool,
            memory_dir,
            place,
            self._channels,
            self._routes,
            self.outcomes,
            policy,
        )
        self._has_begun = False
        self._look_back_at = 0.0

    def close(self) -> None:
        """Let go of the database."""
        self._store.close()

    def turn(self, until: float = math.inf) -> float:
        """Do what is due now; returns after how many seconds more may be, or is.

        After ``until``, in monotonic seconds, nothing more is begun to be sent.
        """
        try:
            if not self._has_begun:
                self._within(self._begin)
                self._has_begun = True
            self._spooled.take_in(self._within)
            self._within(self._route)
            is_waiting = [self._serve(channel, until) for channel in self._channels]
        except TransientError as error:
            log.debug("relay.deferred", reason=str(error))
            self._spooled.tell()
            return BUSY_S
        return BUSY_S if any(is_waiting) else IDLE_S

    def _begin(self, outbox: Outbox) -> None:
        """A channel may have been mended since it refused: it is tried anew.

        One may have been set since something fired that nobody was told of.
        That it refuses is over when it takes a message, or is set no more.
        """
        outbox.begin()
        outbox.try_anew()
        if self._channels:
            outbox.route_untold()
        for channel in outbox.parked().keys() - self._channels.keys():
            self._accepts(outbox, channel, "it is set no more")

    # -- who is told ------------------------------------------------------------------

    def _route(self, outbox: Outbox) -> None:
        """Every new alert, and every end of one, to the channels that are to tell it."""
        untold = outbox.untold()
        if untold:
            now, firing = datetime.now(UTC), outbox.firing_kinds() - self._policy.disabled
            silences = outbox.silences()
            held = {
                one.alert_id
                for one in untold
                if routing.is_held(
                    RULES.get(one.kind), one.conversation_id, firing, silences, now
                )
            }
            outbox.hold(
                [one.alert_id for one in untold if one.alert_id in held and not one.is_over]
            )
            self._deliver(outbox, [one for one in untold if not self._is_moot(one, held)])
            done = [one.alert_id for one in untold if one.alert_id not in held or one.is_over]
            outbox.routed(done)
        if time.monotonic() >= self._look_back_at:
            self._look_back_at = time.monotonic() + self._policy.look_back.total_seconds()
            self._look_back(outbox)
        reach("relay.routed")

    def _look_back(self, outbox: Outbox) -> None:
        """What was told before, and is still so."""
        for unset in outbox.unset(self._channels) if self._channels else ():
            outbox.release(unset, "it is set no more")
            outbox.fail_over(unset, self._others(unset, outbox.parked()))
        self.outbox = outbox.unsent()
        outbox.close_old(FORGET)
        disabled = self._policy.disabled
        outbox.remind(self._policy.repeat_interval, disabled)
        for alert_id, told in outbox.to_escalate(self._policy.escalate_after, disabled):
            if (channel := routing.next_channel(told, self._routes)) is not None:
                outbox.deliver([(alert_id, channel, Event.ESCALATED)])

    def _is_moot(self, one: Untold, held: set[int]) -> bool:
        """Whether nobody is to hear of it: held, over while it was held, or switched off.

        Whoever was told of an alert hears its end, whatever holds it back by now.
        """
        if one.event is Event.RESOLVED:
            return False
        is_late = one.is_over and one.was_held and one.event is Event.FIRING
        return one.alert_id in held or is_late or one.kind in self._policy.disabled

    def _deliver(self, outbox: Outbox, alerts: Sequence[Untold]) -> None:
        outbox.deliver(
            (one.alert_id, channel, Event.FIRING)
            for one in alerts
            if one.event is Event.FIRING
            for channel in routing.channels(RULES.get(one.kind), one.severity, self._routes)
        )
        outbox.deliver_end([one.alert_id for one in alerts if one.event is Event.RESOLVED])

    # -- in which message -------------------------------------------------------------

    def _serve(self, channel: str, until: float) -> bool:
        """Make the messages that are due, and send them; whether more waits.

        One that does not arrive ends the turn of its channel: a server that hangs would hold
        up the other channels once for each message.
        """
        is_parked, is_waiting = self._within(lambda outbox: self._pass_on(outbox, channel))
        if is_parked:
            return is_waiting
        is_waiting |= self._within(lambda outbox: self._compose(outbox, channel))
        reach("relay.composed")
        while time.monotonic() < until and (
            leased := self._within(lambda outbox: outbox.lease(channel, LEASE))
        ):
            reach("relay.leased")
            outcome = self._send(channel, leased)
            if outcome not in ("sent", MessageRefused.__name__):
                return True
            is_waiting |= outcome != "sent"  # perhaps on a channel that had its turn
        return is_waiting

    def _pass_on(self, outbox: Outbox, channel: str) -> tuple[bool, bool]:
        """What a channel refuses, or does not take in time, goes to another one.

        Whether it gets nothing itself, and whether something goes elsewhere.
        """
        parked = outbox.parked()
        self.refusals = {name: reason for name, (_, reason) in parked.items()}
        is_parked = channel in parked and parked[channel][0]
        others = self._others(channel, parked)
        if not others or not (is_parked or outbox.give_up_old(channel, routing.PATIENCE)):
            return is_parked, False
        return is_parked, outbox.fail_over(channel, others)

    def _others(self, channel: str, parked: Mapping[str, tuple[bool, str]]) -> list[str]:
        """Who may take over from it; those that refused, and may take messages again, last."""
        free = [n for n in self._heirs if n != channel and not (n in parked and parked[n][0])]
        return sorted(free, key=lambda name: name in parked)

    def _compose(self, outbox: Outbox, channel: str) -> bool:
        quiet = self._policy.quiet
        no_info = quiet is not None and quiet.covers(datetime.now().astimezone())
        backlog = outbox.backlog(channel, no_info=no_info)
        if backlog is None:
            return False
        due = routing.may_tell_at(
            backlog.sent, backlog.oldest, backlog.worst, self._policy.group_wait
        )
        if due > backlog.now:
            return True
        recent = sum(moment > backlog.now - routing.WINDOW for moment in backlog.sent)
        waiting = outbox.take_waiting(channel, no_info=no_info)
        for draft in routing.drafts(waiting, recent):
            outbox.compose(channel, draft)
        return False

    # -- sent -------------------------------------------------------------------------

    def _send(self, channel: str, leased: Leased) -> str:
        """One attempt, noted; if the note is lost, repeated. Says what came of it."""
        told, more = self._within(lambda outbox: outbox.told(leased.message_id))
        notice = Notice(
            str(leased.message_id),
            leased.group_key,
            self._place,
            told,
            routing.titles(more, RULES),
            leased.thread,
            is_repeat_possible=leased.unclear_attempts > 0,
        )
        reach("relay.sending")
        outcome = "sent"
        try:
            sent = self._channels[channel].send(notice)
        except NotSent as error:
            outcome = type(error).__name__
            self._failed(channel, leased, error)
        else:
            reach("relay.sent")
            self._within(lambda outbox: outbox.sent(leased.message_id, sent.reference))
            if channel in self.refusals:
                self._within(lambda outbox: self._accepts(outbox, channel))
            log.info("alert.sent", channel=channel, alerts=notice.count)
        reach("relay.noted")
        self.outcomes[channel, outcome] += 1
        return outcome

    def _failed(self, channel: str, leased: Leased, error: NotSent) -> None:
        log.warning(
            "alert.not_sent",
            channel=channel,
            kind=type(error).__name__,
            reason=str(error),
            attempt=leased.attempts,
        )

        def work(outbox: Outbox) -> None:
            if isinstance(error, ChannelRefuses):
                outbox.give_up(leased.message_id, str(error))
                self._refuses(outbox, channel, str(error))
            elif isinstance(error, MessageRefused):
                outbox.refuse(leased.message_id, str(error))
                outbox.fail_over(channel, self._others(channel, {}), leased.message_id)
            else:
                self._again(outbox, leased, error)

        self._within(work)

    def _again(self, outbox: Outbox, leased: Leased, error: NotSent) -> None:
        wait = routing.backoff(leased.attempts, random.random())  # noqa: S311
        if isinstance(error, NotNow) and error.wait_s is not None:
            wait = max(timedelta(seconds=min(error.wait_s, 3600)), timedelta(seconds=1))
        outbox.postpone(leased.message_id, wait, str(error), unclear=isinstance(error, Unclear))

    def _refuses(self, outbox: Outbox, channel: str, reason: str) -> None:
        """Park it, and tell by the others; it is tried again after the pause."""
        outbox.park(channel, PAUSE, reason)
        outbox.cry(
            NewAlert(
                "channel_refuses",
                RULES["channel_refuses"].severity,
                f"{channel} takes no messages: {reason}",
                subject=f"{self._memory_dir}/{channel}",
                memory_dir=self._memory_dir,
            )
        )
        reach("relay.parked")

    def _accepts(
        self, outbox: Outbox, channel: str, why: str = "it takes messages again"
    ) -> None:
        if outbox.unpark(channel):
            outbox.resolve("channel_refuses", f"{self._memory_dir}/{channel}", why)

    def _within(self, work: Callable[[Outbox], _T]) -> _T:
        return self._store.run(lambda tx: work(Outbox(tx, self._memory_dir)))
