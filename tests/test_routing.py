"""Who is told, when, and in how few messages; clocks are arguments."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exportd.alerts import routing
from exportd.alerts.routing import QuietHours, Route, Silence, Waiting
from exportd.alerts.rules import RULES
from exportd.models import Severity

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WAIT = timedelta(seconds=5)
ROUTES = [
    Route("slack", Severity.WARNING),
    Route("mail", Severity.CRITICAL),
    Route("webhook", None),
]


def at(*seconds: float) -> list[datetime]:
    return [NOW + timedelta(seconds=s) for s in seconds]


def test_an_alert_goes_to_the_channels_whose_threshold_it_reaches() -> None:
    gap, blind = RULES["index_gap"], RULES["watcher_blind"]
    assert routing.channels(gap, Severity.INFO, ROUTES) == ()
    assert routing.channels(gap, Severity.WARNING, ROUTES) == ("slack",)
    assert routing.channels(blind, Severity.CRITICAL, ROUTES) == ("slack", "mail")
    summary = RULES["daily_summary"]
    assert routing.channels(summary, Severity.INFO, ROUTES) == ("slack", "mail")


def test_what_nobody_acknowledged_goes_to_the_next_channel_until_all_know() -> None:
    assert routing.next_channel(["slack"], ROUTES) == "mail"
    assert routing.next_channel(["slack", "mail"], ROUTES) == "webhook"
    assert routing.next_channel(["slack", "mail", "webhook"], ROUTES) is None


def test_a_first_alert_waits_for_what_belongs_to_it_and_a_critical_one_does_not() -> None:
    assert routing.may_tell_at([], NOW, Severity.WARNING, WAIT) == NOW + WAIT
    assert routing.may_tell_at([], NOW, Severity.CRITICAL, WAIT) == NOW


def test_after_two_messages_the_rest_waits_for_the_window_and_what_is_critical_does_not() -> (
    None
):
    sent = at(-20, -10)
    later = NOW - timedelta(seconds=20) + routing.WINDOW
    assert routing.may_tell_at(sent, NOW, Severity.WARNING, WAIT) == later
    assert routing.may_tell_at(sent, NOW, Severity.CRITICAL, WAIT) == NOW
    full = at(-30, -20, -10)
    assert routing.may_tell_at(full, NOW, Severity.CRITICAL, WAIT) == full[0] + routing.WINDOW


@given(
    st.lists(st.floats(0, 60), min_size=1, max_size=200),
    st.sampled_from([Severity.INFO, Severity.WARNING]),
)
def test_a_minute_of_alerts_makes_three_messages_at_most(
    moments: list[float], severity: Severity
) -> None:
    """Played through: a message takes all that waits when it is made."""
    sent: list[datetime] = []
    waiting = at(*sorted(moments))
    while waiting:
        due = routing.may_tell_at(sent, waiting[0], severity, WAIT)
        sent.append(due)
        waiting = [moment for moment in waiting if moment > due]
    assert len(sent) <= routing.MAX_MESSAGES
    assert all(due - NOW < timedelta(minutes=5) for due in sent)


def one(delivery_id: int, group_key: str, root: str | None = None) -> Waiting:
    return Waiting(delivery_id, Severity.WARNING, group_key, root)


def test_each_group_has_a_message_as_long_as_there_are_enough() -> None:
    found = routing.drafts([one(1, "a"), one(2, "b"), one(3, "a")], sent=0)
    assert {draft.group_key: draft.delivery_ids for draft in found} == {"a": (1, 3), "b": (2,)}


def test_more_groups_than_messages_share_one() -> None:
    many = [one(n, f"group {n}") for n in range(10_000)]
    (draft,) = routing.drafts(many, sent=0)
    assert (draft.group_key, len(draft.delivery_ids), draft.root) == ("several", 10_000, None)
    (draft,) = routing.drafts(many[:2], sent=1)
    assert draft.delivery_ids == (0, 1)


def test_the_end_of_an_alert_belongs_into_the_thread_that_told_of_it() -> None:
    found = routing.drafts([one(1, "a", "root-1"), one(2, "a")], sent=0)
    assert {(draft.root, draft.delivery_ids) for draft in found} == {
        ("root-1", (1,)),
        (None, (2,)),
    }


def test_what_another_alert_explains_is_held_and_so_is_what_is_silenced() -> None:
    waiting, gap = RULES["files_waiting"], RULES["index_gap"]
    assert routing.is_held(waiting, None, {"database_unreachable"}, [], NOW)
    assert not routing.is_held(waiting, None, {"index_gap"}, [], NOW)
    hour = NOW + timedelta(hours=1)
    for silence, held in (
        (Silence(hour, kind="index_gap"), True),
        (Silence(hour, conversation_id="garden"), True),
        (Silence(hour, "index_gap", "cellar"), False),
        (Silence(NOW, kind="index_gap"), False),
    ):
        assert routing.is_held(gap, "garden", set(), [silence], NOW) is held


@pytest.mark.parametrize(
    ("start", "end", "quiet", "loud"),
    [(22, 7, (22, 23, 0, 6), (7, 12, 21)), (9, 17, (9, 16), (8, 17, 23))],
)
def test_quiet_hours_may_pass_midnight(
    start: int, end: int, quiet: tuple[int, ...], loud: tuple[int, ...]
) -> None:
    hours = QuietHours(time(start), time(end))
    assert all(hours.covers(NOW.replace(hour=hour)) for hour in quiet)
    assert not any(hours.covers(NOW.replace(hour=hour)) for hour in loud)


def test_waits_grow_to_ten_minutes_and_are_spread() -> None:
    waits = [routing.backoff(n, 0.5).total_seconds() for n in range(1, 12)]
    assert waits[:3] == [5, 10, 20]
    assert waits[-1] == 600
    assert routing.backoff(1, 0) < routing.backoff(1, 1)
