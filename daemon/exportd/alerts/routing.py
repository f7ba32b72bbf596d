"""Who is told of an alert, when, and in how few messages. Pure: clocks are arguments.

An alert goes to every channel whose threshold it reaches. What belongs together is told
together; a storm becomes ``MAX_MESSAGES`` messages on each channel, the last of which tells
the rest by numbers (HAZARDS 48).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from ..models import Severity
from .rules import Rule

# So many messages a channel gets within so long; with the wait that makes less than the five
# minutes within which people are to be told.
MAX_MESSAGES = 3
WINDOW = timedelta(seconds=240)

# After so long without success an alert is told by another channel, if there is one.
PATIENCE = timedelta(minutes=3)

# Below the highest severity, the last message of a window waits for what else comes.
_PROMPT_MESSAGES = 2

# The group of a message that tells of several groups.
SEVERAL = "several"


@dataclass(frozen=True, slots=True)
class Route:
    """A channel, and the least severity that it is told of; None: only what is escalated."""

    channel: str
    least: Severity | None

    def takes(self, severity: Severity) -> bool:
        """Whether an alert of this severity is told there at once."""
        return self.least is not None and _rank(severity) >= _rank(self.least)


@dataclass(frozen=True, slots=True)
class Silence:
    """No word about alerts of ``kind``, or of a conversation, until then."""

    until: datetime
    kind: str | None = None
    conversation_id: str | None = None

    def covers(self, kind: str, conversation_id: str | None, now: datetime) -> bool:
        """Whether an alert is silenced at this moment."""
        return (
            now < self.until
            and self.kind in (None, kind)
            and self.conversation_id in (None, conversation_id)
        )


@dataclass(frozen=True, slots=True)
class Waiting:
    """An alert that waits for a message on one channel; ``root`` is the message above it."""

    delivery_id: int
    severity: Severity
    group_key: str
    root: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be: its deliveries, and the message in whose thread it belongs."""

    group_key: str
    delivery_ids: tuple[int, ...]
    root: str | None


def channels(rule: Rule | None, severity: Severity, routes: Iterable[Route]) -> tuple[str, ...]:
    """The channels that are told of an alert at once."""
    if rule is not None and rule.everywhere:
        return tuple(route.channel for route in routes if route.least is not None)
    return tuple(route.channel for route in routes if route.takes(severity))


def spool_channels(
    rule: Rule,
    routes: Sequence[Route],
    told: Iterable[str],
    age: timedelta,
    escalate: timedelta,
) -> tuple[str, ...]:
    """The channels that are told of an alert so old, while nobody can acknowledge it.

    One more after each ``PATIENCE`` in which nobody was ``told``; one more after each
    ``escalate``, where it is critical.
    """
    first = channels(rule, rule.severity, routes)
    rest = [route.channel for route in routes if route.channel not in first]
    if not set(told):
        more = age // PATIENCE
    else:
        more = age // escalate if rule.severity is Severity.CRITICAL else 0
    return (*first, *rest[: max(more, 0)])  # a clock may be set back


def next_channel(told: Iterable[str], routes: Iterable[Route]) -> str | None:
    """Where a critical alert goes that nobody acknowledged; None when all know of it."""
    known = set(told)
    return next((route.channel for route in routes if route.channel not in known), None)


def is_held(
    rule: Rule | None,
    conversation_id: str | None,
    firing: Iterable[str],
    silences: Iterable[Silence],
    now: datetime,
) -> bool:
    """Whether nobody is told for now: it is silenced, or another alert explains it."""
    if rule is None:
        return False
    explained = bool(set(rule.after) & set(firing))
    return explained or any(s.covers(rule.kind, conversation_id, now) for s in silences)


def group_key(kind: str, conversation_id: str | None) -> str:
    """Alerts with equal keys are told in one message, and in one thread."""
    return f"{kind}/{conversation_id}" if conversation_id else kind


def may_tell_at(
    sent: Sequence[datetime], oldest: datetime, worst: Severity, wait: timedelta
) -> datetime:
    """When the next message of a channel may be made.

    ``sent`` are the times of its last messages, in order, ``oldest`` since when the oldest
    alert waits. ``wait`` lets those come together that belong together.
    """
    ready = oldest + (timedelta() if worst is Severity.CRITICAL else wait)
    prompt = MAX_MESSAGES if worst is Severity.CRITICAL else _PROMPT_MESSAGES
    recent = [moment for moment in sent if moment > ready - WINDOW]
    if len(recent) < prompt:
        return ready
    return max(ready, recent[-MAX_MESSAGES:][0] + WINDOW)


def drafts(waiting: Sequence[Waiting], sent: int) -> list[Draft]:
    """Messages for what waits on a channel that got ``sent`` within the window.

    Each group has one, as long as there are enough left; else all share a single one.
    """
    groups: dict[tuple[str | None, str], list[Waiting]] = defaultdict(list)
    for one in waiting:
        groups[one.root, one.group_key].append(one)
    left = max(_PROMPT_MESSAGES - sent, 1)
    if len(groups) > left:
        return [Draft(SEVERAL, tuple(one.delivery_id for one in waiting), None)]
    return [
        Draft(key, tuple(one.delivery_id for one in members), root)
        for (root, key), members in groups.items()
    ]


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From ``start`` to ``end``, local time, people are not told what is mere information."""

    start: time
    end: time

    def covers(self, local: datetime) -> bool:
        """Whether a local time is within; hours that pass midnight do."""
        now = local.time()
        if self.start <= self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of ``[alerts]`` that decide who is told when."""

    group_wait: timedelta
    repeat_interval: timedelta
    escalate_after: timedelta
    quiet: QuietHours | None = None
    disabled: frozenset[str] = frozenset()
    look_back: timedelta = timedelta(seconds=30)


def worst(severities: Iterable[Severity]) -> Severity:
    """The highest of them."""
    return max(severities, key=_rank)


def backoff(attempts: int, chance: float) -> timedelta:
    """How long to wait after so many failed attempts: 5 s, growing to 10 minutes.

    ``chance`` from 0 to 1 spreads those that failed together.
    """
    return timedelta(seconds=min(5 * 2 ** min(attempts - 1, 7), 600) * (0.75 + chance / 2))


def titles(left_out: Mapping[str, int], rules: Mapping[str, Rule]) -> dict[str, int]:
    """Counts by kind as counts by title."""
    return {rules[kind].title if kind in rules else kind: n for kind, n in left_out.items()}


def _rank(severity: Severity) -> int:
    return list(Severity).index(severity)
