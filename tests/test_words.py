"""How alerts read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from notices import notice, over, storm, told
from test_architecture import IMPURE, _imports

from exportd.alerts import plain, words
from exportd.alerts.notice import Event
from exportd.alerts.plain import clean, cut, one_line
from exportd.alerts.rules import RULES
from exportd.alerts.words import headline, left_out, text
from exportd.channels import blocks, letter, slack_answers


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("database_unreachable", "🔴 The database does not answer"),
        ("index_gap", "🟠 Messages are missing · rollout-master"),
        ("new_conversation", "🔵 A new conversation · install-coditect"),
    ],
)
def test_a_headline_says_how_bad_what_and_where(kind: str, line: str) -> None:
    assert headline(notice(kind)) == line


def test_a_headline_of_several_counts_them_the_worst_first() -> None:
    assert headline(storm()) == (
        "🔴 10,000 alerts: The database does not answer, Messages are missing (9,719), "
        "A file could not be ingested (280)"
    )


def test_a_headline_of_several_names_the_conversation_that_they_share() -> None:
    assert headline(notice("index_gap", "index_gap")) == (
        "🟠 2 alerts: Messages are missing (2) · rollout-master"
    )
    assert "rollout-master" not in headline(notice("index_gap", "dead_letter"))


def test_what_is_over_bears_its_sign() -> None:
    gap = over(told("index_gap"), "It was filled.")
    assert headline(notice(gap)) == "✅ Over: Messages are missing · rollout-master"
    assert headline(notice(gap, gap)).startswith("✅ 2 alerts are over: ")
    # The sign is that of the worst that goes on.
    outage = over(told("database_unreachable"), "It answers.")
    assert headline(notice(outage, "dead_letter")).startswith("🟠 2 alerts, 1 of them over: ")


def test_a_reminder_and_an_escalation_say_what_they_are() -> None:
    outage = told("database_unreachable")
    reminder = notice(replace(outage, event=Event.REMINDER))
    escalation = notice(replace(outage, event=Event.ESCALATED))
    assert headline(reminder) == "🔴 Still: The database does not answer"
    assert headline(escalation) == "🔴 Nobody acknowledged: The database does not answer"


def test_a_possible_repeat_is_marked_however_long_the_headline() -> None:
    long = replace(told("index_gap"), conversation_id="c" * 255)
    line = headline(replace(notice(long), is_repeat_possible=True))
    assert line.endswith("c… (possible repeat)")
    assert len(line) <= 140


def test_a_text_says_what_where_how_bad_what_to_do_and_since_when() -> None:
    gap = replace(told("index_gap"), occurrences=3)
    assert text(notice(gap)) == (
        "🟠 Messages are missing\n"
        "Conversation: rollout-master\n"
        "Warning · since 2026-11-25 21:03 UTC · seen 3 times\n"
        "\n"
        f"{gap.body}\n"
        "\n"
        "What to do: Export the conversation again from its beginning, and drop the file.\n"
        "\n"
        "When you see to it: exportd alerts ack 12\n"
        "\n"
        "--\n"
        "exportd · atlas, /srv/project/MEMORY-CONTEXT\n"
    )


def test_a_resolution_says_what_it_was_why_it_is_over_and_how_long_it_lasted() -> None:
    gap = told("index_gap")
    said = text(notice(over(gap, "A later export has all 29 messages.")))
    assert gap.body in said
    assert "Why it is over: A later export has all 29 messages." in said
    assert "2026-11-25 21:03 to 23:10 UTC · lasted 2 h 7 min" in said
    assert "What to do" not in said
    assert "ack" not in said


def test_what_was_over_before_it_was_told_says_so() -> None:
    gap = replace(over(told("index_gap"), "It was filled."), event=Event.FIRING)
    assert "It was filled. (It was over before it could be told.)" in text(notice(gap))


@pytest.mark.parametrize(
    ("lasted", "words"),
    [
        (timedelta(seconds=-3), "0 s"),
        (timedelta(seconds=35), "35 s"),
        (timedelta(minutes=12), "12 min"),
        (timedelta(hours=3), "3 h"),
        (timedelta(hours=3, minutes=5), "3 h 5 min"),
        (timedelta(days=1, hours=2), "1 day 2 h"),
        (timedelta(days=40, minutes=3), "40 days"),
    ],
)
def test_a_duration_has_two_units_at_most(lasted: timedelta, words: str) -> None:
    resolved = over(told("disk_low"), "24 GB are free.", lasted)
    assert text(notice(resolved)).splitlines()[1].endswith(f"lasted {words}")


def test_a_daily_summary_shows_its_lines_as_they_are() -> None:
    summary = told("daily_summary")
    said = text(notice(summary))
    assert summary.body in said
    assert "What to do" not in said
    assert "ack" not in said
    assert "since" not in said.replace("What happened since yesterday", "")


def test_information_needs_no_acknowledgement() -> None:
    assert "ack" not in text(notice("new_conversation"))


def test_what_is_left_out_is_counted() -> None:
    said = text(storm())
    assert "  9,714 × Messages are missing\n  280 × A file could not be ingested" in said
    assert "All of them: exportd alerts list" in said
    assert left_out(storm(), shown=2)[0] == "9,718 × Messages are missing"


def test_what_to_do_is_told_once() -> None:
    said = text(storm())
    assert said.count(RULES["index_gap"].todo) == 1
    assert said.count("What to do: as above.") == 4


@pytest.mark.parametrize("module", [plain, words, blocks, letter, slack_answers])
def test_how_a_message_reads_is_pure(module: ModuleType) -> None:
    path = Path(module.__file__ or "")
    assert not _imports(path) & (IMPURE | {"slack_sdk", "smtplib", "ssl", "urllib"})


@settings(max_examples=40, deadline=None)
@given(st.text(), st.text(), st.text())
def test_no_name_from_outside_breaks_a_line(title: str, where: str, place: str) -> None:
    alert = replace(told("index_gap"), title=title, conversation_id=where)
    message = replace(notice(alert), place=place)
    line = headline(message)
    assert line.splitlines() == [line]
    assert len(line) <= 140
    text(message).encode()  # a lone surrogate could not be sent
    assert len(text(message).splitlines()) <= len(text(notice(told("index_gap"))).splitlines())


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters()))
def test_clean_text_has_no_controls_but_line_feeds(words: str) -> None:
    assert not set(clean(words)) & {chr(n) for n in range(32) if n != 10}
    assert clean(clean(words)) == clean(words)


def test_the_direction_of_writing_cannot_be_turned() -> None:
    assert one_line("invoice\u202egnp.exe") == "invoice�gnp.exe"


@settings(max_examples=40, deadline=None)
@given(st.text(), st.integers(min_value=1, max_value=50))
def test_what_is_cut_is_marked_and_within_its_limit(words: str, limit: int) -> None:
    assert len(cut(words, limit)) <= limit
    assert cut(words, limit) == words or cut(words, limit).endswith("…")
