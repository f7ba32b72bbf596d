"""What one message to people holds, and how an attempt to send it may end.

Pure values: channels render and send them, the relay notes what became of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from ..models import Severity


class Event(StrEnum):
    """What happened to an alert that people are told of."""

    FIRING = "firing"
    RESOLVED = "resolved"
    REMINDER = "reminder"  # nobody acknowledged it, and it is still so
    ESCALATED = "escalated"  # nobody acknowledged it elsewhere


@dataclass(frozen=True, slots=True)
class Told:
    """One alert in a message.

    ``title`` says what is wrong in a few words, ``body`` in sentences, ``todo`` what helps.
    ``resolution`` says why it is over, where it is. ``resolved_at`` may be set though the
    event is FIRING: it was over before it could be told.
    """

    alert_id: int
    kind: str
    severity: Severity
    title: str
    body: str
    todo: str
    since: datetime
    event: Event = Event.FIRING
    conversation_id: str | None = None
    resolution: str = ""
    resolved_at: datetime | None = None
    occurrences: int = 1
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message on one channel.

    ``message_id`` is a UUID as text, the same at every attempt. ``told`` are the alerts that
    are told in full, worst first; ``left_out`` counts further ones by their title. ``place``
    names the machine and the memory folder. ``thread`` is the reference that the channel
    returned for the message under which this one belongs.
    """

    message_id: str
    group_key: str
    place: str
    told: tuple[Told, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    thread: Mapping[str, str] | None = None
    is_repeat_possible: bool = False

    @property
    def severity(self) -> Severity:
        """That of the worst alert in it."""
        return max((one.severity for one in self.told), key=list(Severity).index)

    @property
    def count(self) -> int:
        """All alerts that it tells of."""
        return len(self.told) + sum(self.left_out.values())

    @property
    def is_over(self) -> bool:
        """Whether everything that it tells in full is over."""
        return all(one.resolved_at is not None for one in self.told)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message was accepted.

    ``reference`` is what the channel needs to put another message under this one; ``said``
    is the server's answer in a few words, for ``exportd alerts test``.
    """

    reference: Mapping[str, str]
    said: str


class NotSent(Exception):
    """A message was not accepted; the text says why, without any secret in it."""


class ChannelRefuses(NotSent):
    """It will accept no message until somebody changes something: a token, a name."""


class MessageRefused(NotSent):
    """It will not accept this message, and may accept the next."""


class NotNow(NotSent):
    """The message is not there and may be sent again, after ``wait_s`` where that is known."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class Unclear(NotSent):
    """The message may have arrived: it was handed over, and no answer came."""


class Channel(Protocol):
    """A way to reach people; ``send`` returns, or raises one of the errors above."""

    name: str

    def send(self, notice: Notice) -> Sent:
        """Send one message, within a bounded time."""
        ...
