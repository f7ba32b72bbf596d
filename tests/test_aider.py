"""Aider's history: whose a line is, where a message ends, and what a run says of its time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exportd import formats
from exportd.errors import UnknownFormat
from exportd.formats import aider
from exportd.models import Message, Region

START = "# aider chat started at 2026-01-09 07:15:00\n"


def _told(text: str) -> list[tuple[str, str, str]]:
    read = aider.parse((START + text).encode(), "any").messages
    assert (read[0].role, read[0].kind, read[0].text) == ("system", "notice", START.strip())
    return [(m.role, m.kind, m.text) for m in read[1:]]


def test_every_line_says_by_its_sign_whose_it_is() -> None:
    assert _told("\n#### bake  \n\n> Added oven.py  \n\nDone.\n") == [
        ("user", "prompt", "bake"),
        ("tool", "tool_result", "Added oven.py"),
        ("assistant", "text", "Done."),
    ]


def test_lines_of_the_user_that_follow_one_another_are_one_prompt() -> None:
    assert _told("#### one  \n####   \n####   indented\n\n#### another\n") == [
        ("user", "prompt", "one\n\n  indented"),
        ("user", "prompt", "another"),
    ]


def test_markdown_of_the_model_keeps_its_blank_lines_and_indentation() -> None:
    said = "# Rye\n\n    flour\n\n##### water\n>no quote\n####no prompt"
    assert _told(f"\n{said}\n\n\n") == [("assistant", "text", said)]


def test_what_is_output_is_cut_where_other_words_begin() -> None:
    assert _told("> a\n>\n> b\nc\n> d\n") == [
        ("tool", "tool_result", "a\n\nb"),
        ("assistant", "text", "c"),
        ("tool", "tool_result", "d"),
    ]


def test_every_run_begins_with_its_local_time_and_no_message_claims_a_zone() -> None:
    raw = f"{START}#### a\n{START.replace('07', '08')}#### b\n".encode()
    read = aider.parse(raw, "any").messages
    assert [m.extra for m in read if m.kind == "notice"] == [
        {"started_at": "2026-01-09 07:15:00"},
        {"started_at": "2026-01-09 08:15:00"},
    ]
    assert all(m.occurred_at is None and m.source_id is None for m in read)


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_line_breaks_of_every_system_say_the_same(line_break: str) -> None:
    text = f"{START}#### a\n#### b\n\n> c\n> d\n\ne\n"
    raw = text.replace("\n", line_break).encode()
    told = [m.text for m in aider.parse(raw, "any").messages]
    assert told == [START.strip(), "a\nb", "c\nd", "e"]


@pytest.mark.parametrize("before", ["", "\n\n", "\ufeff", "\ufeff\n"])
def test_a_history_begins_with_the_line_that_starts_a_run(before: str) -> None:
    raw = f"{before}{START}\n#### a\n".encode()
    assert formats.recognise(raw, "any") is aider
    assert [m.kind for m in formats.parse(raw, "any").messages] == ["notice", "prompt"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"# Notes\n\n{START}#### a\n", "has other text before its first line # aider"),
        ("# aider chat started at noon\n", "has no time in its first line # aider"),
        ("# aider chat started at 2026-01-09 07:15:00 sharp\n", "has no time in its first"),
    ],
)
def test_what_comes_near_is_told_what_it_misses(text: str, why: str) -> None:
    with pytest.raises(UnknownFormat, match=why):
        formats.parse(text.encode(), "any")


LINES = st.sampled_from(
    [
        START.encode(),
        b"#### a\n",
        b"####\n",
        b"> b\r\n",
        b">\n",
        b"c\n",
        b"\n",
        b" \r",
        b"\xff\0",
    ]
)


@given(st.lists(LINES | st.binary(max_size=8)).map(b"".join))
def test_any_bytes_are_read_to_the_last(raw: bytes) -> None:
    raw = START.encode() + raw
    read = aider.parse(raw, "any")
    parts: list[Message | Region] = [*read.messages, *read.regions]
    edges = sorted((part.span.start, part.span.end) for part in parts)
    assert [0, *(end for _, end in edges)] == [*(start for start, _ in edges), len(raw)]
    assert all(message.text.strip() or message.role != "assistant" for message in read.messages)


@given(st.lists(LINES, max_size=12), st.integers(0, 12))
def test_a_history_that_grew_begins_with_what_it_was(lines: list[bytes], size: int) -> None:
    """Append-only: only the last message may have become longer."""
    earlier = aider.parse(START.encode() + b"".join(lines[:size]), "any").messages
    later = aider.parse(START.encode() + b"".join(lines), "any").messages
    assert earlier[:-1] == later[: len(earlier) - 1]
    assert later[len(earlier) - 1].text.startswith(earlier[-1].text)
