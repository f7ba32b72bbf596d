"""Checkpoint summaries are known, and set aside only where nobody's words are in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exportd import formats
from exportd.errors import MalformedExport, UnknownFormat
from exportd.formats import checkpoint_summary, role_messages
from exportd.models import NOT_A_CONVERSATION, Region, Span

SUMMARY = {"role": "system", "content": "Session summary", "sections": {"Done": "The oven"}}


def _file(*records: Any, **metadata: Any) -> bytes:
    facts = {"checkpoint_file": "oven.md", **metadata}
    return json.dumps({"metadata": facts, "conversation": [SUMMARY, *records]}).encode()


def test_the_whole_file_is_set_aside_with_its_reason() -> None:
    raw = _file()
    assert formats.recognise(raw, "any") is checkpoint_summary
    read = formats.parse(raw, "any")
    reason = "a generated checkpoint summary holds no messages"
    assert read.regions == (Region(Span(0, len(raw)), "ignored", reason),)
    assert (read.messages, read.faults, read.flags) == ((), (), (NOT_A_CONVERSATION,))


def test_the_order_of_the_keys_does_not_matter() -> None:
    document = json.loads(_file(tags=["a"]))
    raw = json.dumps(dict(reversed(document.items()))).encode()
    assert formats.recognise(b"\xef\xbb\xbf" + raw, "any") is checkpoint_summary


@pytest.mark.parametrize("role", ["user", "assistant", None, 7])
def test_a_summary_in_which_someone_speaks_is_not_set_aside(role: object) -> None:
    with pytest.raises(MalformedExport, match="with 1 records of another role than system"):
        formats.parse(_file({"role": role, "content": "Is it hot?"}), "any")


def test_a_cut_off_summary_says_where() -> None:
    with pytest.raises(MalformedExport, match="truncated JSON at line 1 of 1, column"):
        formats.parse(_file()[:-4], "any")


def test_its_keys_in_a_tool_call_claim_nothing() -> None:
    used = {"type": "tool_use", "name": "save", "input": json.loads(_file())}
    document = {"metadata": {}, "messages": [{"role": "assistant", "content": [used]}]}
    assert formats.recognise(json.dumps(document).encode(), "any") is role_messages


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"metadata": {"checkpoint_file": "a"}}, "JSON without a conversation of sections"),
        ({"metadata": {}, "conversation": [SUMMARY]}, "JSON without a checkpoint_file in its"),
    ],
)
def test_what_comes_near_is_told_what_it_misses(document: dict[str, Any], why: str) -> None:
    with pytest.raises(UnknownFormat, match=why):
        formats.parse(json.dumps(document).encode(), "any")
