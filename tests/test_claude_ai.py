"""Conversations of claude.ai: what becomes a message, and that nothing else is lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from exportd import formats
from exportd.errors import MalformedExport
from exportd.formats import claude_ai
from exportd.models import Kind, Message, Role, Transcript


def _said(uuid: str, *blocks: Any, sender: str = "assistant", **more: Any) -> dict[str, Any]:
    return {
        "uuid": uuid, "sender": sender, "created_at": "2026-03-01T07:00:00+02:00",
        "content": list(blocks), **more,
    }  # fmt: skip


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _conversation(*messages: Any, **more: Any) -> bytes:
    talk = {"uuid": "talk", "name": "Leek soup", **more, "chat_messages": list(messages)}
    return json.dumps(talk).encode()


def _parse(*messages: Any, **more: Any) -> Transcript:
    return claude_ai.parse(_conversation(*messages, **more), "x.json")


def _only(*messages: Any) -> Message:
    (message,) = _parse(*messages).messages
    return message


def test_an_object_is_claimed_and_a_list_of_them_is_not() -> None:
    raw = _conversation(_said("a", _text("Hi")))
    assert formats.recognise(raw, "x") is claude_ai
    assert not claude_ai.detect(b"[" + raw + b"]", "x").certain
    assert not claude_ai.detect(b'{"a": ' + raw + b"}", "x").certain


def test_blocks_of_a_message_follow_one_another_at_its_end() -> None:
    found = _parse(
        _said("a", {"type": "thinking", "thinking": "Hm."}, _text("Two leeks.")),
        _said("b", _text("Thanks"), sender="human", parent_message_uuid="a"),
    ).messages
    assert [(m.source_id, m.parent_id) for m in found] == [
        ("a", None), ("a/1", "a"), ("b", "a"),
    ]  # fmt: skip
    assert [m.kind for m in found] == [Kind.THINKING, Kind.TEXT, Kind.PROMPT]
    assert found[1].span.start == found[1].span.end == found[0].span.end
    assert found[0].occurred_at == datetime(2026, 3, 1, 5, tzinfo=UTC)


def test_a_tool_has_its_id_at_the_call_and_at_the_result() -> None:
    call, result = _parse(
        _said(
            "a",
            {"type": "tool_use", "name": "weigh", "input": {"g": 3}, "id": "t1"},
            {
                "type": "tool_result", "name": "weigh", "tool_use_id": "t1", "content": "3",
                "is_error": True,
            },
        )
    ).messages  # fmt: skip
    assert (call.text, call.extra["call_id"]) == ('weigh({"g": 3})', "t1")
    assert (result.role, result.text) == (Role.TOOL, "3")
    assert result.extra == {"tool": "weigh", "call_id": "t1", "is_error": True}


def test_only_a_call_at_the_end_is_in_flight() -> None:
    call = {"type": "tool_use", "name": "weigh", "input": {}}
    found = _parse(_said("a", call, _text("and")), _said("b", call)).messages
    assert [m.in_flight for m in found] == [False, False, True]


def test_a_file_with_text_is_a_message_and_one_without_is_named() -> None:
    prompt, attachment = _parse(
        _said(
            "a",
            _text("See"),
            sender="human",
            attachments=[
                {"file_name": "list.txt", "extracted_content": "leeks"},
                {"file_name": "scan.pdf", "extracted_content": ""},
            ],
            files=[{"file_name": "pot.jpg"}],
        )
    ).messages
    assert [file["file_name"] for file in prompt.extra["files"]] == ["scan.pdf", "pot.jpg"]
    assert (attachment.kind, attachment.role) == (Kind.ATTACHMENT, Role.USER)
    assert attachment.text == "leeks"
    assert attachment.extra == {"files": [{"file_name": "list.txt"}]}


def test_what_blocks_hold_beside_their_text_is_kept() -> None:
    thought = _only(_said("a", {"type": "thinking", "thinking": "Hm", "signature": "sig"}))
    assert thought.extra == {"block": {"signature": "sig"}}
    budget = _only(_said("a", {"type": "token_budget", "left": 7}))
    assert (budget.role, budget.kind) == (Role.ASSISTANT, Kind.NOTICE)
    assert budget.extra["block"]["left"] == 7


def test_a_text_that_its_blocks_do_not_say_is_kept_beside_them() -> None:
    assert _only(_said("a", _text("one"), text="one\n")).extra == {}
    assert _only(_said("a", _text("one"), text="two")).extra == {"raw": {"text": "two"}}
    assert _only(_said("a", text="two")).text == "two"
    assert _only(_said("a") | {"content": "plain"}).text == "plain"
    assert _only(_said("a")).text == ""


def test_the_same_record_again_is_ignored_and_other_content_is_not() -> None:
    one, two = _said("a", _text("one")), _said("a", _text("two"))
    transcript = _parse(one, two, two, one)
    assert [(m.source_id, m.text) for m in transcript.messages] == [
        ("a", "one"),
        ("a~2", "two"),
    ]
    again = [r.reason for r in transcript.regions if r.label == "ignored"]
    assert again == ["the same record again"] * 2


@pytest.mark.parametrize(
    "ids", [["a", "a", "a~2"], ["a~2", "a", "a"], ["a", "a/1"], ["a/1", "a"]]
)
def test_an_id_is_given_out_once_whatever_records_are_called(ids: list[str]) -> None:
    found = _parse(
        *(_said(uuid, _text(f"{n}"), _text("more")) for n, uuid in enumerate(ids))
    ).messages
    assert len({m.source_id for m in found}) == len(found) == 2 * len(ids)


@pytest.mark.parametrize("odd", [7, {"sender": "human"}, {"uuid": "x", "sender": "robot"}])
def test_a_record_that_is_no_message_is_a_fault_and_costs_no_other(odd: Any) -> None:
    transcript = _parse(odd, _said("a", _text("one")))
    assert [m.text for m in transcript.messages] == ["one"]
    assert len(transcript.faults) == 1


@pytest.mark.parametrize(
    "when", ["1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "soon", 1e400]
)
def test_a_time_that_no_tool_wrote_stays_as_it_was_written(when: Any) -> None:
    message = _only(_said("a", _text("x"), created_at="WHEN"))
    assert message.occurred_at is None
    raw = _conversation(_said("a", _text("x"), created_at="WHEN"))
    written = b"1e400" if when == float("inf") else json.dumps(when).encode()
    (message,) = claude_ai.parse(raw.replace(b'"WHEN"', written), "x").messages
    assert message.occurred_at is None
    assert message.extra["raw"]["created_at"] == written.decode().strip('"')


def test_what_the_conversation_says_of_itself_is_its_header() -> None:
    transcript = _parse(created_at="2026-03-01T05:00:00Z", is_starred=True)
    assert (transcript.session_id, transcript.title) == ("talk", "Leek soup")
    assert transcript.header == {"created_at": "2026-03-01T05:00:00Z", "is_starred": True}


def test_what_is_cut_off_is_refused_with_its_place() -> None:
    raw = _conversation(_said("a", _text("one")))[:-4]
    with pytest.raises(MalformedExport, match="line 1 of 1, column"):
        claude_ai.parse(raw, "x")
