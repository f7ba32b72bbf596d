"""From the outbox to people, on a real PostgreSQL; the channel writes down what it is given.

Real Slack, mail and HTTP stand in test_slack, test_email, test_webhook and test_alerting; here
the question is what is sent when. Time passes by moving what is stored into the past.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import Command, execute, rows
from test_pipeline import Road, indexed

from exportd.alerts.notice import (
    Channel,
    ChannelRefuses,
    Event,
    MessageRefused,
    Notice,
    NotNow,
    NotSent,
    Sent,
    Unclear,
)
from exportd.alerts.routing import Policy
from exportd.alerts.rules import RULES
from exportd.conditions import Conditions
from exportd.models import Severity
from exportd.relay import BUSY_S, Relay
from exportd.spool import SENDING, Spool
from exportd.store import NewAlert, Store, Transaction, desk

MEMORY = "/memory"


@dataclass
class Paper:
    """A channel that writes down what it is given, and answers as it is told to."""

    name: str
    sent: list[Notice] = field(default_factory=list)
    tried: list[Notice] = field(default_factory=list)
    answers: deque[NotSent] = field(default_factory=deque)

    def send(self, notice: Notice) -> Sent:
        self.tried.append(notice)
        if self.answers:
            raise self.answers.popleft()
        self.sent.append(notice)
        return Sent({"ts": f"{self.name}-{len(self.sent)}"}, "ok")


@dataclass
class Office:
    """A relay with two channels; a third one is told only what is escalated."""

    url: str
    spool: Spool
    slack: Paper = field(default_factory=lambda: Paper("slack"))
    mail: Paper = field(default_factory=lambda: Paper("mail"))
    pager: Paper = field(default_factory=lambda: Paper("pager"))
    memory_dir: str = MEMORY
    disabled: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.store = Store(self.url)
        self.channels: dict[str, tuple[Channel, Severity | None]] = {
            "slack": (self.slack, Severity.INFO),
            "mail": (self.mail, Severity.WARNING),
            "pager": (self.pager, None),
        }
        self.relay = self.hire()

    def hire(self) -> Relay:
        """A relay, as after a start."""
        return Relay(
            self.store,
            self.spool,
            self.memory_dir,
            "host:/memory",
            self.channels,
            Policy(
                group_wait=timedelta(),
                repeat_interval=timedelta(hours=24),
                escalate_after=timedelta(minutes=15),
                disabled=self.disabled,
                look_back=timedelta(),
            ),
        )

    def cry(self, kind: str, subject: str = "", conversation: str | None = None) -> None:
        severity = RULES[kind].severity
        alert = NewAlert(
            kind, severity, f"{kind} {subject}", subject, self.memory_dir, conversation
        )
        self.store.run(lambda tx: tx.alert(alert))

    def cry_all(self, kind: str, subjects: list[str]) -> None:
        """One alert each, of a conversation of its own, in one transaction."""

        def work(tx: Transaction) -> None:
            for name in subjects:
                alert = NewAlert(
                    kind, Severity.WARNING, f"{kind} {name}", name, self.memory_dir, name
                )
                tx.alert(alert)

        self.store.run(work)

    def over(self, kind: str, subject: str = "") -> None:
        self.store.run(lambda tx: tx.resolve_alert(kind, subject, "it is mended"))

    def later(self, **time: float) -> None:
        """All that is stored moves into the past."""
        by = timedelta(**time)
        for table, columns in {
            "alerts": ("created_at", "tell_at", "acknowledged_at", "resolved_at"),
            "alert_deliveries": ("created_at",),
            "alert_messages": ("created_at", "due_at", "lease_until", "sent_at"),
            "alert_channels": ("parked_until",),
            "alert_silences": ("until",),
        }.items():
            for column in columns:
                execute(self.url, f"UPDATE {table} SET {column} = {column} - %s", by)  # noqa: S608

    def alerts(self, state: str = "firing") -> list[str]:
        found = self.store.run(lambda tx: desk.list_alerts(tx, 20_000, [state]))
        return [alert.kind for alert in found]


@pytest.fixture
def office(database_url: str, tmp_path: Path) -> Iterator[Office]:
    made = Office(database_url, Spool(tmp_path))
    yield made
    made.store.close()


def events(paper: Paper) -> list[tuple[str, Event]]:
    return [(told.kind, told.event) for notice in paper.sent for told in notice.told]


# -- told, and over ---------------------------------------------------------------------


def test_a_gap_is_told_once_and_its_end_in_the_same_thread(
    tmp_path: Path, database_url: str
) -> None:
    road = Road(tmp_path / "MEMORY-CONTEXT", database_url)
    office = Office(database_url, Spool(tmp_path), memory_dir=str(road.folders.memory))
    road.drop("page.json", indexed(0, 4))
    road.drop("later.json", indexed(0, 4))
    office.relay.turn()
    assert [kind for kind, _ in events(office.slack)] == ["new_conversation"]
    office.later(minutes=5)
    road.drop("gap.json", _with_gap())
    for _ in range(3):
        office.relay.turn()
    (gap,) = [notice for notice in office.slack.sent if notice.told[0].kind == "index_gap"]
    assert "messages 4 to 7" in gap.told[0].body
    assert len(office.mail.sent) == 1
    office.later(minutes=5)
    road.drop("whole.json", indexed(0, 10))
    office.relay.turn()
    end = office.slack.sent[-1]
    assert (end.told[0].event, end.told[0].kind) == (Event.RESOLVED, "index_gap")
    assert end.told[0].resolution == "whole.json has the missing messages"
    assert end.thread == {"ts": f"slack-{len(office.slack.sent) - 1}"}
    assert len(office.mail.sent) == 2
    assert "index_gap" not in office.alerts()
    office.store.close()
    road.store.close()


def _with_gap() -> str:
    page = json.loads(indexed(0, 10))
    page["messages"] = [m for m in page["messages"] if not 4 <= m["index"] <= 7]
    return json.dumps(page)


def test_a_gap_that_is_filled_in_part_is_over_and_the_rest_is_one_of_its_own(
    tmp_path: Path, database_url: str
) -> None:
    road = Road(tmp_path / "MEMORY-CONTEXT", database_url)
    road.drop("gap.json", _with_gap())
    page = json.loads(indexed(0, 10))
    page["messages"] = [m for m in page["messages"] if m["index"] not in (5, 6)]
    road.drop("less.json", json.dumps(page))
    found = rows(
        database_url,
        "SELECT state, resolution, details ->> 'from' FROM alerts WHERE kind = 'index_gap' "
        "ORDER BY 1",
    )
    assert found == [
        ("firing", None, "5"),
        (
            "resolved",
            "less.json has 2 of the 4 missing messages; the rest is told apart",
            "4",
        ),
    ]
    road.store.close()


def test_what_does_not_last_is_told_once_and_has_no_end(office: Office) -> None:
    office.cry("dead_letter", "1")
    office.relay.turn()
    office.later(days=3)
    office.relay.turn()
    assert office.alerts() == ["dead_letter"]
    office.later(days=5)
    office.relay.turn()
    assert events(office.slack) == [("dead_letter", Event.FIRING)]
    assert office.alerts() == []


def test_what_is_seen_again_while_it_is_open_is_counted_and_not_told_again(
    office: Office,
) -> None:
    for _ in range(3):
        office.cry("disk_low")
        office.relay.turn()
    assert events(office.slack) == [("disk_low", Event.FIRING)]
    assert rows(office.url, "SELECT occurrences FROM alerts") == [(3,)]


def test_what_was_over_before_it_could_be_told_is_told_with_its_end(office: Office) -> None:
    office.cry("disk_low")
    office.over("disk_low")
    office.relay.turn()
    ((told,),) = [notice.told for notice in office.slack.sent]
    assert (told.event, told.resolution) == (Event.FIRING, "it is mended")
    assert told.resolved_at is not None
    office.relay.turn()
    assert len(office.slack.sent) == 1


def test_ten_thousand_alerts_are_three_messages_and_all_are_listed(office: Office) -> None:
    for fifth in range(5):  # of a minute
        for n in range(4):
            names = [f"{fifth}/{n}/{m}" for m in range(500)]
            office.cry_all("shared_name", names)
            office.relay.turn()
        office.later(seconds=12)
    for _ in range(8):
        office.relay.turn()
        office.later(seconds=45)
    for paper in (office.slack, office.mail):
        assert 0 < len(paper.sent) <= 3
        assert sum(notice.count for notice in paper.sent) == 10_000
        assert all(len(notice.told) <= 10 for notice in paper.sent)
    found = office.store.run(lambda tx: desk.list_alerts(tx, 20_000))
    assert len({alert.body for alert in found}) == 10_000


def test_the_end_of_what_is_resent_at_once_is_in_the_message_once(office: Office) -> None:
    office.cry("disk_low")
    office.relay.turn()
    (alert,) = office.store.run(lambda tx: desk.list_alerts(tx, 10))
    office.store.run(lambda tx: desk.resolve(tx, [alert.alert_id], "mended"))
    office.store.run(lambda tx: desk.resend(tx, [alert.alert_id]))
    office.later(minutes=5)
    office.relay.turn()
    assert events(office.slack) == [("disk_low", Event.FIRING), ("disk_low", Event.RESOLVED)]
    assert office.slack.sent[1].count == 1


def test_what_ends_while_it_waits_for_its_message_is_told_once_with_its_end(
    office: Office,
) -> None:
    for name in "abc":
        office.cry("dead_letter", name)
        office.relay.turn()
    office.cry("index_gap", "x", "one")
    office.relay.turn()
    office.over("index_gap", "x")
    office.relay.turn()
    office.later(minutes=5)
    for _ in range(2):
        office.relay.turn()
    (told,) = [t for n in office.slack.sent for t in n.told if t.kind == "index_gap"]
    assert told.resolved_at is not None


# -- who is told ------------------------------------------------------------------------


def test_mere_information_goes_where_it_is_wanted(office: Office) -> None:
    office.cry("new_conversation", "a")
    office.relay.turn()
    assert (len(office.slack.sent), len(office.mail.sent), len(office.pager.sent)) == (1, 0, 0)


def test_a_rule_that_is_switched_off_is_listed_and_not_told(
    database_url: str, tmp_path: Path
) -> None:
    office = Office(database_url, Spool(tmp_path), disabled=frozenset({"disk_low"}))
    office.cry("disk_low")
    office.relay.turn()
    assert office.slack.sent == []
    assert office.alerts() == ["disk_low"]
    office.store.close()


def test_a_rule_that_is_switched_off_explains_nothing(
    database_url: str, tmp_path: Path
) -> None:
    office = Office(database_url, Spool(tmp_path), disabled=frozenset({"disk_low"}))
    office.cry("disk_low")
    office.cry("files_waiting")
    office.relay.turn()
    assert events(office.slack) == [("files_waiting", Event.FIRING)]
    office.store.close()


def test_what_a_lost_database_explains_is_told_when_it_is_back_and_it_is_still_so(
    office: Office,
) -> None:
    office.cry("database_unreachable")
    office.cry("files_waiting")
    office.relay.turn()
    assert events(office.mail) == [("database_unreachable", Event.FIRING)]
    office.over("database_unreachable")
    office.later(minutes=2)
    office.relay.turn()
    assert ("files_waiting", Event.FIRING) in events(office.mail)


def test_what_was_explained_and_is_over_is_not_told_at_all(office: Office) -> None:
    office.cry("database_unreachable")
    office.cry("files_waiting")
    office.relay.turn()
    office.over("files_waiting")
    office.over("database_unreachable")
    office.later(minutes=2)
    office.relay.turn()
    assert [kind for kind, _ in events(office.mail)] == ["database_unreachable"] * 2


def test_what_is_silenced_is_told_when_the_silence_ends(office: Office) -> None:
    hour = timedelta(hours=1)
    office.store.run(lambda tx: desk.silence(tx, "disk_low", None, hour, "known", "anna"))
    office.cry("disk_low")
    office.relay.turn()
    office.later(minutes=30)
    office.relay.turn()
    assert office.slack.sent == []
    office.later(minutes=31)
    office.relay.turn()
    assert events(office.slack) == [("disk_low", Event.FIRING)]


def test_what_was_silenced_for_a_month_is_not_over_by_then(office: Office) -> None:
    month = timedelta(days=30)
    office.store.run(lambda tx: desk.silence(tx, "dead_letter", None, month, "", "anna"))
    office.cry("dead_letter", "1")
    office.relay.turn()
    office.later(days=31)
    office.relay.turn()
    ((told,),) = [notice.told for notice in office.slack.sent]
    assert (told.event, told.resolved_at) == (Event.FIRING, None)
    office.later(days=8)
    office.relay.turn()
    assert office.alerts() == []


def test_the_end_of_what_was_told_is_told_though_it_is_silenced_by_now(office: Office) -> None:
    office.cry("disk_low")
    office.relay.turn()
    hour = timedelta(hours=1)
    office.store.run(lambda tx: desk.silence(tx, "disk_low", None, hour, "known", "anna"))
    office.over("disk_low")
    office.relay.turn()
    assert events(office.slack) == [("disk_low", Event.FIRING), ("disk_low", Event.RESOLVED)]


def test_nobody_acknowledges_so_the_next_channel_is_told_and_the_others_reminded(
    office: Office,
) -> None:
    office.cry("disk_low")
    office.relay.turn()
    office.later(minutes=16)
    office.relay.turn()
    office.relay.turn()
    assert events(office.pager) == [("disk_low", Event.ESCALATED)]
    office.later(hours=25)
    office.relay.turn()
    assert events(office.slack) == [("disk_low", Event.FIRING), ("disk_low", Event.REMINDER)]
    office.over("disk_low")
    office.later(minutes=5)
    office.relay.turn()
    assert events(office.pager)[-1] == ("disk_low", Event.RESOLVED)


def test_what_no_channel_is_told_of_is_escalated_as_well(office: Office) -> None:
    office.channels = {"pager": (office.pager, None)}
    office.relay = office.hire()
    office.cry("disk_low")
    office.relay.turn()
    office.later(minutes=16)
    office.relay.turn()
    assert events(office.pager) == [("disk_low", Event.ESCALATED)]


def test_what_is_acknowledged_is_neither_escalated_nor_repeated(office: Office) -> None:
    office.cry("disk_low")
    office.relay.turn()
    (alert,) = office.store.run(lambda tx: desk.list_alerts(tx, 10))
    assert office.store.run(lambda tx: desk.acknowledge(tx, [alert.alert_id], "anna")) == [
        alert.alert_id
    ]
    office.later(days=2)
    office.relay.turn()
    assert office.pager.sent == []
    assert len(office.slack.sent) == 1
    office.over("disk_low")
    office.relay.turn()
    assert events(office.slack)[-1] == ("disk_low", Event.RESOLVED)


def test_what_is_silenced_is_neither_escalated_nor_repeated(office: Office) -> None:
    office.cry("disk_low")
    office.relay.turn()
    month = timedelta(days=30)
    office.store.run(lambda tx: desk.silence(tx, "disk_low", None, month, "known", "anna"))
    office.later(days=2)
    office.relay.turn()
    assert office.pager.sent == []
    assert events(office.slack) == [("disk_low", Event.FIRING)]
    office.later(days=29)
    for _ in range(2):
        office.relay.turn()
    assert ("disk_low", Event.ESCALATED) in events(office.pager)
    assert ("disk_low", Event.REMINDER) in events(office.slack)


def test_a_silence_of_another_conversation_holds_nothing_back(office: Office) -> None:
    office.cry("index_gap", "x", "one")
    office.relay.turn()
    month = timedelta(days=30)
    office.store.run(lambda tx: desk.silence(tx, "index_gap", "two", month, "", "anna"))
    office.store.run(lambda tx: desk.silence(tx, "disk_low", None, month, "", "anna"))
    office.later(days=2)
    office.relay.turn()
    assert ("index_gap", Event.REMINDER) in events(office.slack)


def test_a_silence_of_another_memory_folder_holds_nothing_back(office: Office) -> None:
    month = timedelta(days=30)
    for folder, kind in (
        ("/elsewhere", "disk_low"),
        (MEMORY, "watcher_blind"),
        (None, "damage"),
    ):
        office.store.run(
            lambda tx, kind=kind, folder=folder: desk.silence(  # type: ignore[misc]
                tx, kind, None, month, "", "anna", folder
            )
        )
        office.cry(kind)
    office.relay.turn()
    assert events(office.slack) == [("disk_low", Event.FIRING)]
    office.later(days=2)
    for _ in range(2):
        office.relay.turn()
    assert events(office.pager) == [("disk_low", Event.ESCALATED)]
    assert ("disk_low", Event.REMINDER) in events(office.slack)


def test_a_silence_is_meant_for_the_folder_and_another_folder_is_named(
    exportd: Command, database_url: str
) -> None:
    refused = exportd("alerts", "silence", "--kind", "dead_letter")
    assert refused.returncode == os.EX_USAGE
    assert "knows no memory folder" in refused.stderr
    (exportd.memory_dir / "exports" / "junk.log").write_text("make: ***\n")
    assert exportd("run", "--once").returncode == 0
    there = NewAlert("disk_low", Severity.CRITICAL, "full", "x", "/elsewhere")
    with closing(Store(database_url)) as store:
        store.run(lambda tx: tx.alert(there))
    assert exportd("alerts", "silence", "--kind", "dead_letter").returncode == 0
    done = exportd("alerts", "silence", "--kind", "damage", "--everywhere")
    assert done.returncode == 0
    silenced = rows(database_url, "SELECT memory_dir FROM alert_silences ORDER BY silence_id")
    assert silenced == [(str(exportd.memory_dir),), (None,)]
    listed = exportd("alerts", "list").stdout
    assert listed.count(", in /elsewhere") == 1
    assert str(exportd.memory_dir) not in listed
    held, other = (
        next(line for line in listed.splitlines() if line.lstrip().startswith(severity))
        for severity in ("warning, ", "critical, ")
    )
    assert re.search(r"warning, silenced until \d{4}-\d\d-\d\d \d\d:\d\d UTC, since ", held)
    assert "critical, firing, " in other
    alerts = json.loads(exportd("alerts", "list", "--json").stdout)["alerts"]
    assert {one["kind"]: one["is_held"] for one in alerts} == {
        "dead_letter": True,
        "disk_low": False,
    }
    assert exportd("alerts", "silence", "--end", "1").returncode == 0
    assert "silenced until" not in exportd("alerts", "list").stdout


def test_what_was_told_before_its_rule_was_switched_off_is_not_repeated(office: Office) -> None:
    office.cry("disk_low")
    office.relay.turn()
    office.disabled = frozenset({"disk_low"})
    office.relay = office.hire()
    office.later(days=2)
    office.relay.turn()
    assert office.pager.sent == []
    assert events(office.slack) == [("disk_low", Event.FIRING)]


def test_what_waits_for_a_channel_that_is_set_no_more_is_told_by_another_one(
    office: Office,
) -> None:
    office.slack.answers.extend([NotNow("busy")] * 3)
    office.cry("new_conversation", "a")  # for Slack alone
    office.cry("disk_low")
    office.relay.turn()
    execute(office.url, "INSERT INTO alert_channels VALUES (%s, 'slack', now(), 'no')", MEMORY)
    channels = {"mail": (office.mail, Severity.WARNING), "pager": (office.pager, None)}
    office.relay = Relay(
        office.store, office.spool, MEMORY, "host:/memory", channels, office.relay._policy
    )
    office.later(minutes=5)
    office.relay.turn()
    office.relay.turn()
    assert ("new_conversation", Event.FIRING) in events(office.mail)
    assert events(office.mail).count(("disk_low", Event.FIRING)) == 1
    assert rows(office.url, "SELECT * FROM alert_channels") == []


def test_the_alerts_of_another_memory_folder_are_not_ours_to_tell(office: Office) -> None:
    other = NewAlert("disk_low", Severity.CRITICAL, "there", "x", "/elsewhere")
    office.store.run(lambda tx: tx.alert(other))
    office.relay.turn()
    assert office.slack.sent == []


# -- what may go wrong ------------------------------------------------------------------


def test_a_channel_that_refuses_is_parked_and_the_other_one_tells_it(office: Office) -> None:
    office.slack.answers.append(ChannelRefuses("invalid_auth: the token is wrong"))
    office.cry("new_conversation", "a")  # for Slack alone
    office.relay.turn()
    office.relay.turn()
    kinds = {kind for kind, _ in events(office.mail)}
    assert kinds == {"new_conversation", "channel_refuses"}
    assert any("invalid_auth" in t.body for n in office.mail.sent for t in n.told)
    assert len(office.slack.tried) == 1
    assert office.relay.refusals == {"slack": "invalid_auth: the token is wrong"}
    office.later(minutes=59)
    office.cry("disk_low")
    office.relay.turn()
    assert len(office.slack.tried) == 1
    office.later(minutes=2)
    office.cry("watcher_blind")
    office.relay.turn()
    office.relay.turn()
    assert ("watcher_blind", Event.FIRING) in events(office.slack)
    assert "channel_refuses" not in office.alerts()
    assert office.relay.refusals == {}


def test_a_start_tries_a_parked_channel_anew(office: Office) -> None:
    office.slack.answers.append(ChannelRefuses("channel_not_found"))
    office.cry("disk_low")
    office.relay.turn()
    office.cry("watcher_blind")
    office.relay = office.hire()
    office.relay.turn()
    assert ("watcher_blind", Event.FIRING) in events(office.slack)


def test_what_is_told_later_waits_as_long_as_the_server_says(office: Office) -> None:
    office.slack.answers.append(NotNow("429", wait_s=30))
    office.cry("disk_low")
    office.relay.turn()
    office.later(seconds=20)
    office.relay.turn()
    assert office.slack.sent == []
    office.later(seconds=11)
    office.relay.turn()
    assert [n.is_repeat_possible for n in office.slack.sent] == [False]
    assert office.slack.tried[0].message_id == office.slack.tried[1].message_id


def test_a_message_that_may_have_arrived_is_sent_again_and_says_so(office: Office) -> None:
    office.mail.answers.append(Unclear("no answer"))
    office.cry("disk_low")
    office.relay.turn()
    office.later(minutes=1)
    office.relay.turn()
    (again,) = office.mail.sent
    assert again.is_repeat_possible
    assert again.message_id == office.mail.tried[0].message_id


def test_after_three_minutes_without_success_another_channel_tells_it(office: Office) -> None:
    office.slack.answers.extend([NotNow("refused")] * 20)
    office.cry("new_conversation", "a")
    for _ in range(12):
        office.relay.turn()
        office.later(seconds=30)
    assert events(office.mail) == [("new_conversation", Event.FIRING)]


def test_a_channel_that_hangs_holds_the_others_up_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    office.slack.answers.extend([Unclear("no answer")] * 2)
    for paper in (office.slack, office.mail):
        noting = _noting(paper.send, paper.name, order)
        monkeypatch.setattr(paper, "send", noting)
    office.cry("disk_low")
    office.cry("watcher_blind")
    assert office.relay.turn() == BUSY_S
    assert order == ["slack", "mail", "mail"]
    office.relay.turn()
    assert order[3:] == ["slack"]
    office.later(minutes=1)
    office.relay.turn()
    assert {kind for kind, _ in events(office.slack)} == {"disk_low", "watcher_blind"}


def test_after_its_time_a_turn_sends_nothing_more(office: Office) -> None:
    office.cry("disk_low")
    office.relay.turn(time.monotonic())
    assert office.slack.tried == []
    office.relay.turn()
    assert len(office.slack.sent) == 1


def _noting(
    send: Callable[[Notice], Sent], name: str, order: list[str]
) -> Callable[[Notice], Sent]:
    def noting(notice: Notice) -> Sent:
        order.append(name)
        return send(notice)

    return noting


def test_what_comes_back_to_a_channel_that_may_have_told_it_says_so(office: Office) -> None:
    office.slack.answers.extend([Unclear("no answer")] * 6)
    for paper in (office.mail, office.pager):
        paper.answers.extend([NotNow("refused")] * 20)
    office.cry("new_conversation", "a")
    for _ in range(25):
        office.relay.turn()
        office.later(seconds=30)
    assert len({notice.message_id for notice in office.slack.tried}) == 2
    assert [notice.is_repeat_possible for notice in office.slack.sent] == [True]
    office.cry("new_conversation", "b")
    office.relay.turn()
    assert [notice.is_repeat_possible for notice in office.slack.sent] == [True, False]


def test_a_message_that_nobody_takes_is_in_the_list_alone(office: Office) -> None:
    papers = (office.slack, office.mail, office.pager)
    for paper in papers:
        paper.answers.extend([MessageRefused("too long")] * 50)
    office.cry("disk_low")
    for _ in range(20):
        office.relay.turn()
        office.later(seconds=30)
    assert [len(paper.tried) for paper in papers] == [1, 1, 1]
    assert office.alerts() == ["disk_low"]


def test_what_two_channels_refuse_is_told_by_the_third(office: Office) -> None:
    for paper in (office.slack, office.mail):
        paper.answers.append(MessageRefused("too long"))
    office.cry("new_conversation", "a")
    for _ in range(3):
        office.relay.turn()
    assert events(office.pager) == [("new_conversation", Event.FIRING)]


@pytest.mark.parametrize("how", [NotNow("busy"), MessageRefused("too long")])
def test_where_the_next_channel_does_not_take_it_either_the_third_is_tried(
    office: Office, how: NotSent
) -> None:
    office.slack.answers.extend([NotNow("busy")] * 50)
    office.mail.answers.extend([how] * 50)
    office.cry("new_conversation", "a")
    for _ in range(20):
        office.relay.turn()
        office.later(seconds=30)
    assert events(office.pager) == [("new_conversation", Event.FIRING)]


def test_a_parked_channel_keeps_what_the_others_refused(office: Office) -> None:
    office.slack.answers.append(ChannelRefuses("invalid_auth"))
    for paper in (office.mail, office.pager):
        paper.answers.extend([MessageRefused("no")] * 2)
    office.cry("new_conversation", "a")
    for _ in range(5):
        office.relay.turn()
    assert ("new_conversation", Event.FIRING) not in events(office.slack)
    office.later(minutes=61)
    for _ in range(2):
        office.relay.turn()
    assert ("new_conversation", Event.FIRING) in events(office.slack)


def test_where_all_channels_refused_the_first_whose_pause_is_over_tells_it(
    office: Office,
) -> None:
    """What it is told is nothing of its own, so it would not be tried otherwise."""
    office.channels = {"slack": (office.slack, Severity.INFO), "pager": (office.pager, None)}
    office.relay = office.hire()
    office.pager.answers.append(ChannelRefuses("no"))
    office.cry("disk_low")
    office.relay.turn()
    office.later(minutes=16)
    for _ in range(3):
        office.relay.turn()
    assert len(office.pager.tried) == 1
    office.later(hours=2)
    office.slack.answers.append(ChannelRefuses("no"))
    office.cry("new_conversation", "a")
    for _ in range(3):
        office.relay.turn()
    assert ("new_conversation", Event.FIRING) in events(office.pager)
    assert list(office.relay.refusals) == ["slack"]


def test_a_channel_that_refuses_at_every_start_is_told_once(office: Office) -> None:
    """As by ``run --once`` every few minutes: that it refuses is not over by a start."""
    office.slack.answers.extend([ChannelRefuses("invalid_auth")] * 4)
    for n in range(5):
        office.relay = office.hire()
        office.cry("new_conversation", str(n))
        for _ in range(4):
            office.relay.turn()
            office.later(minutes=2)
    about = [event for kind, event in events(office.mail) if kind == "channel_refuses"]
    assert about == [Event.FIRING, Event.RESOLVED]
    assert len(office.slack.tried) >= 5


def test_who_asks_to_come_again_in_an_hour_does_not_keep_it_from_the_others(
    office: Office,
) -> None:
    office.slack.answers.append(NotNow("429", wait_s=3600))
    office.cry("new_conversation", "a")
    office.relay.turn()
    office.later(minutes=2)
    office.relay.turn()
    assert office.mail.sent == []
    office.later(minutes=2)
    office.relay.turn()
    assert events(office.mail) == [("new_conversation", Event.FIRING)]


def test_a_parked_channel_loses_no_reminder(office: Office) -> None:
    office.channels = {
        "slack": (office.slack, Severity.WARNING),
        "mail": (office.mail, Severity.CRITICAL),
        "pager": (office.pager, None),
    }
    office.relay = office.hire()
    office.cry("index_gap", "x", "one")
    office.relay.turn()
    office.slack.answers.extend([ChannelRefuses("no")] * 100)
    for _ in range(3):
        office.later(hours=25)
        for _ in range(3):
            office.relay.turn()
        office.later(minutes=10)
        office.relay.turn()
    reminded = [event for kind, event in events(office.mail) if kind == "index_gap"]
    assert reminded == [Event.REMINDER] * 3
    assert office.pager.tried == []


@pytest.mark.parametrize("how", [ChannelRefuses("no"), MessageRefused("no")])
def test_what_goes_to_a_channel_that_had_its_turn_is_sent_before_a_run_ends(
    office: Office, how: NotSent
) -> None:
    office.channels = {"slack": (office.slack, None), "mail": (office.mail, Severity.INFO)}
    office.relay = office.hire()
    office.mail.answers.append(how)
    office.cry("new_conversation", "a")
    while office.relay.turn() == BUSY_S:  # as run --once does
        pass
    assert ("new_conversation", Event.FIRING) in events(office.slack)


def test_what_goes_to_a_channel_that_is_set_no_more_is_told_by_another_one(
    office: Office,
) -> None:
    office.cry("disk_low")
    office.relay.turn()
    office.channels = {"slack": (office.slack, Severity.INFO)}
    office.relay = office.hire()
    office.relay.turn()
    (alert,) = office.store.run(lambda tx: desk.list_alerts(tx, 10))
    office.store.run(lambda tx: desk.resend(tx, [alert.alert_id]))
    office.later(minutes=5)
    for _ in range(2):
        office.relay.turn()
    assert office.relay.outbox == []


def test_several_alerts_that_are_told_apart_after_all_say_that_they_may_be_repeats(
    office: Office,
) -> None:
    office.slack.answers.extend([Unclear("no answer"), ChannelRefuses("invalid_auth")])
    for paper in (office.mail, office.pager):
        paper.answers.extend([ChannelRefuses("no")] * 50)
    for name in "abc":
        office.cry("index_gap", name, name)
    office.relay.turn()
    assert office.slack.tried[0].group_key == "several"
    office.later(minutes=1)
    office.relay.turn()
    execute(
        office.url,
        "DELETE FROM alert_deliveries d USING alerts a "
        "WHERE a.alert_id = d.alert_id AND a.conversation_id IS DISTINCT FROM 'a'",
    )
    execute(office.url, "DELETE FROM alert_deliveries WHERE channel <> 'slack'")
    for name in "ad":
        office.later(minutes=61)
        office.cry("index_gap", name, name)
        for _ in range(2):
            office.relay.turn()
    told = {n.told[0].conversation_id: n.is_repeat_possible for n in office.slack.sent}
    assert told["a"]
    assert not told["d"]


def test_a_message_whose_sender_died_is_sent_again_and_says_so(office: Office) -> None:
    """Leased and never noted: nobody knows whether it arrived."""
    office.cry("disk_low")

    class Died(BaseException):
        pass

    def die(_notice: Notice) -> Sent:
        raise Died

    send, office.slack.send = office.slack.send, die  # type: ignore[method-assign, assignment]
    with pytest.raises(Died):
        office.relay.turn()
    office.slack.send = send  # type: ignore[method-assign]
    office.relay.turn()
    assert office.slack.sent == []  # its lease has not run out
    office.relay = office.hire()  # but who comes after it knows that it is gone
    office.relay.turn()
    assert [n.is_repeat_possible for n in office.slack.sent] == [True]


# -- without the database ---------------------------------------------------------------


def spooled(office: Office) -> Conditions:
    conditions = Conditions(office.store, office.spool, MEMORY)
    conditions.see("database_unreachable", "PostgreSQL does not answer")
    conditions.keep()
    return conditions


@pytest.fixture
def away(office: Office) -> Iterator[Callable[[], None]]:
    """The database does not answer until this is called."""
    there, office.relay._store = office.store, Store("postgresql://nobody@127.0.0.1:1/nowhere")

    def back() -> None:
        office.relay._store = there

    yield back
    back()


def test_an_outage_is_told_from_the_spool_and_its_end_from_the_outbox(
    office: Office, away: Callable[[], None]
) -> None:
    conditions = spooled(office)
    for _ in range(3):
        office.relay.turn()
    for paper in (office.slack, office.mail):
        assert events(paper) == [("database_unreachable", Event.FIRING)]
    away()
    conditions.see("database_unreachable", None)
    conditions.write()
    office.relay.turn()
    office.later(minutes=5)
    office.relay.turn()
    for paper in (office.slack, office.mail):
        assert events(paper) == [
            ("database_unreachable", Event.FIRING),
            ("database_unreachable", Event.RESOLVED),
        ]
        assert paper.sent[1].thread == {"ts": f"{paper.name}-1"}
    assert office.spool.entries() == []
    assert office.alerts() == []


def test_what_the_spool_could_not_tell_surely_is_told_again_and_says_so(
    office: Office, away: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    office.slack.answers.append(Unclear("no answer"))
    office.mail.answers.append(NotNow("refused"))
    spooled(office)
    office.relay.turn()
    assert (office.slack.sent, office.mail.sent) == ([], [])
    monkeypatch.setattr("exportd.spool_relay.monotonic", lambda: time.monotonic() + 60)
    office.relay.turn()
    assert [n.is_repeat_possible for n in office.mail.sent] == [False]  # it had not arrived
    assert [n.is_repeat_possible for n in office.slack.sent] == [True]  # it may have
    away()
    office.relay.turn()
    assert (len(office.slack.sent), len(office.mail.sent)) == (1, 1)


def test_what_a_killed_process_was_telling_from_the_spool_is_told_again_and_says_so(
    office: Office, away: Callable[[], None]
) -> None:
    spooled(office)
    (entry,) = office.spool.entries()
    office.spool.note(entry.spool_id, "slack", SENDING, {})
    office.slack.answers.append(NotNow("busy"))
    office.relay.turn()
    assert [n.is_repeat_possible for n in office.mail.sent] == [False]
    away()
    office.relay.turn()
    assert [n.is_repeat_possible for n in office.slack.sent] == [True]


def test_during_an_outage_what_nobody_acknowledges_goes_to_the_next_channel(
    office: Office, away: Callable[[], None]
) -> None:
    spooled(office)
    office.relay.turn()
    _older(office, minutes=16)
    for _ in range(2):
        office.relay.turn()
    assert events(office.pager) == [("database_unreachable", Event.ESCALATED)]
    assert len(office.slack.sent) == 1
    away()
    for _ in range(2):
        office.relay.turn()
    assert [len(paper.sent) for paper in (office.slack, office.mail, office.pager)] == [1, 1, 1]


def test_during_an_outage_another_channel_tells_what_the_first_ones_refuse(
    office: Office, away: Callable[[], None]
) -> None:
    for paper in (office.slack, office.mail):
        paper.answers.extend([ChannelRefuses("no")] * 50)
    spooled(office)
    office.relay.turn()
    assert office.pager.sent == []
    _older(office, minutes=4)
    office.relay.turn()
    assert events(office.pager) == [("database_unreachable", Event.FIRING)]


def _older(office: Office, minutes: float) -> None:
    (entry,) = office.spool.entries()
    since = datetime.now(UTC) - timedelta(minutes=minutes)
    office.spool.add(replace(entry, since=since.isoformat()))


def test_a_start_during_an_outage_tells_it_no_second_time(
    office: Office, away: Callable[[], None]
) -> None:
    for _ in range(3):
        spooled(office)
        office.relay.turn()
    assert len(office.slack.sent) == 1
    away()
    conditions = Conditions(office.store, office.spool, MEMORY)
    conditions.see("database_unreachable", "still away, a moment ago")
    conditions.write()
    conditions.see("database_unreachable", None)
    conditions.write()
    office.relay.turn()
    office.later(minutes=5)
    office.relay.turn()
    assert [event for _, event in events(office.slack)] == [Event.FIRING, Event.RESOLVED]


def test_what_a_killed_process_spooled_is_over_after_the_next_start_where_it_is(
    office: Office, away: Callable[[], None]
) -> None:
    spooled(office)
    office.relay.turn()
    away()
    Conditions(office.store, office.spool, MEMORY).write()
    for _ in range(2):
        office.relay.turn()
    office.later(minutes=5)
    office.relay.turn()
    assert office.alerts() == []
    assert events(office.mail)[-1] == ("database_unreachable", Event.RESOLVED)


def test_where_the_disk_refuses_the_spool_people_are_told_from_memory(
    office: Office, away: Callable[[], None], tmp_path: Path
) -> None:
    office.spool = Spool(tmp_path / "not there")
    office.relay = office.hire()
    there, office.relay._store = office.store, Store("postgresql://nobody@127.0.0.1:1/nowhere")
    conditions = spooled(office)
    for _ in range(3):
        office.relay.turn()
    assert events(office.slack) == [("database_unreachable", Event.FIRING)]
    office.relay._store = there
    conditions.see("database_unreachable", None)
    conditions.write()
    for _ in range(2):
        office.relay.turn()
    office.later(minutes=5)
    office.relay.turn()
    assert events(office.slack)[1:] == [("database_unreachable", Event.RESOLVED)]
    assert office.spool.entries() == []


def test_a_disk_that_fills_up_while_the_spool_is_told_keeps_nobody_from_it(
    office: Office, away: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, f"no space for {len(text)} characters", str(path))

    spooled(office)
    with monkeypatch.context() as patched:
        patched.setattr("exportd.spool.write_file", full)
        for _ in range(2):
            office.relay.turn()
    assert len(office.slack.sent) == 1
    away()
    office.relay.turn()
    assert len(office.slack.sent) == 1
    assert not list(tmp_path.glob("*.json"))


def test_an_outage_that_was_never_told_is_told_with_its_end(
    office: Office, away: Callable[[], None]
) -> None:
    conditions = spooled(office)
    away()
    conditions.see("database_unreachable", None)
    conditions.write()
    office.relay.turn()
    ((told,),) = [notice.told for notice in office.slack.sent]
    assert told.resolved_at is not None
    assert datetime.now(UTC) - told.since < timedelta(minutes=1)


def test_what_the_spool_cannot_tell_is_tried_less_and_less_often(
    office: Office, away: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from the outbox: an outage of a night is not ten thousand requests."""
    seconds = 0.0
    monkeypatch.setattr("exportd.spool_relay.monotonic", lambda: seconds)
    office.slack.answers.extend([ChannelRefuses("invalid_auth")] * 10_000)
    office.mail.answers.append(NotNow("busy", wait_s=600))
    spooled(office)
    for _ in range(610):
        office.relay.turn()
        seconds += 1
    assert 4 <= len(office.slack.tried) <= 10
    assert len(office.mail.tried) == 2
    assert len(office.mail.sent) == 1


def test_a_rule_that_is_switched_off_is_not_told_from_the_spool_either(
    office: Office, away: Callable[[], None]
) -> None:
    office.disabled = frozenset({"database_unreachable"})
    office.relay = office.hire()
    office.relay._store = Store("postgresql://nobody@127.0.0.1:1/nowhere")
    spooled(office)
    office.relay.turn()
    office.relay._store = office.store
    office.relay.turn()
    assert office.slack.tried == []
    assert office.alerts() == ["database_unreachable"]


def test_a_kill_between_outbox_and_spool_takes_nothing_in_twice(
    office: Office, away: Callable[[], None]
) -> None:
    spooled(office)
    office.relay.turn()
    away()
    (entry,) = office.spool.entries()
    office.relay.turn()
    office.spool.add(entry)  # as if the file had stayed
    office.relay.turn()
    assert rows(office.url, "SELECT count(*) FROM alerts") == [(1,)]
    assert len(office.slack.sent) == 1


_GOOD: dict[str, object] = {
    "kind": "disk_low",
    "body": "full",
    "since": "2026-11-25T21:03:17+00:00",
    "over_at": None,
    "spool_id": "x",
    "told": {},
    "references": {},
}


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "of_a_newer_exportd"},
        {"since": "yesterday"},
        {"since": "2026-11-25T21:03:17"},
        {"over_at": 7},
        {"spool_id": "../x"},
        {"told": ["slack"]},
        {"references": {"slack": {"ts": "\x00"}}},
        {"body": "half \ud800"},
        {"body": "\x00"},
        {"body": "x" * 1_000_000},
    ],
    ids=str,
)
def test_a_file_in_the_spool_that_cannot_be_told_keeps_nobody_from_the_others(
    office: Office, tmp_path: Path, change: dict[str, object]
) -> None:
    (tmp_path / "x.json").write_text(json.dumps(_GOOD | change))
    office.cry("watcher_blind")
    office.relay.turn()
    assert events(office.slack) == [("watcher_blind", Event.FIRING)]
    assert (tmp_path / "x.json").exists()


def test_what_is_no_file_in_the_spool_is_left_alone(office: Office, tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps(_GOOD | {"spool_id": "good"}))
    (tmp_path / "link.json").symlink_to("good.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "deep.json").write_text("[" * 90_000)
    os.mkfifo(tmp_path / "pipe.json")
    office.relay.turn()
    assert events(office.slack) == [("disk_low", Event.FIRING)]
    assert not (tmp_path / "good.json").exists()
