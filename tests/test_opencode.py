"""Sessions of opencode: parts that change keep their ids, and every count is told once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exportd import formats
from exportd.errors import MalformedExport
from exportd.formats import opencode
from exportd.models import Kind, Message, Role, Transcript

AT = 1_770_000_000_000


def _said(own: str, *parts: Any, role: str = "assistant", **more: Any) -> dict[str, Any]:
    info = {"id": own, "role": role, "time": {"created": AT}, "modelID": "m-1", **more}
    return {"info": info, "parts": list(parts)}


def _part(own: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"id": own, "sessionID": "ses", "messageID": "msg", "type": kind, **more}


def _tool(own: str, status: str, **state: Any) -> dict[str, Any]:
    given = {"status": status, "input": {"file": "a"}, **state}
    return _part(own, "tool", tool="read", callID=f"call-{own}", state=given)


def _raw(*messages: Any, **info: Any) -> bytes:
    session = {"id": "ses", "projectID": "p", "title": "Dye", "directory": "/d", **info}
    return json.dumps({"info": session, "messages": list(messages)}).encode()


def _parse(*messages: Any, **info: Any) -> Transcript:
    return opencode.parse(_raw(*messages, **info), "x.json")


def _only(*parts: Any, **more: Any) -> Message:
    (message,) = _parse(_said("m", *parts, **more)).messages
    return message


def test_an_object_is_claimed_and_a_list_of_them_is_not() -> None:
    raw = _raw(_said("m"))
    assert formats.recognise(raw, "x") is opencode
    assert not opencode.detect(b"[" + raw + b"]", "x").certain


def test_a_part_is_a_message_by_its_id_and_the_first_has_that_of_its_message() -> None:
    """The first keeps its own id as ``part_id``: what follows a message names the message."""
    found = _parse(
        _said("m1", _part("p1", "text", text="Blue?"), role="user"),
        _said("m2", _part("p2", "reasoning", text="Hm"), _tool("p3", "completed", output="x"),
              _part("p4", "text", text="Yes"), parentID="m1"),
    ).messages  # fmt: skip
    assert [(m.source_id, m.parent_id) for m in found] == [
        ("m1", None), ("m2", "m1"), ("p3", "m2"), ("p3/result", "p3"), ("p4", "p3/result"),
    ]  # fmt: skip
    assert [m.extra.get("part_id") for m in found[:3]] == ["p1", "p2", None]
    assert [m.kind for m in found] == [
        Kind.PROMPT, Kind.THINKING, Kind.TOOL_CALL, Kind.TOOL_RESULT, Kind.TEXT,
    ]  # fmt: skip
    assert found[3].role is Role.TOOL


@pytest.mark.parametrize("status", ["pending", "running"])
def test_a_tool_that_runs_is_in_flight_and_keeps_its_state(status: str) -> None:
    call = _only(_tool("p", status, title="Reading", time={"start": AT}))
    assert (call.in_flight, call.text) == (True, 'read({"file": "a"})')
    assert call.extra["status"] == status
    assert call.extra["raw_part"] == {"state": {"title": "Reading"}}


def test_a_tool_that_ended_has_a_result_under_the_same_id_as_ever() -> None:
    before = _parse(_said("m", _part("p0", "text", text="Wait"), _tool("p", "running")))
    after = _parse(
        _said("m", _part("p0", "text", text="Wait"), _tool("p", "completed", output="blue"))
    )
    assert [m.source_id for m in before.messages] == ["m", "p"]
    assert [m.source_id for m in after.messages] == ["m", "p", "p/result"]
    assert not any(m.in_flight for m in after.messages)


def test_a_tool_that_failed_says_why_and_how_long_it_took() -> None:
    times = {"start": AT, "end": AT + 40, "compacted": AT + 90}
    _, result = _parse(_said("m", _tool("p", "error", error="gone", time=times))).messages
    assert (result.text, result.extra["is_error"]) == ("gone", True)
    assert result.extra["latency_ms"] == 40
    assert result.extra["raw_part"]["time"] == times


def test_times_of_a_tool_that_are_none_are_kept() -> None:
    _, result = _parse(_said("m", _tool("p", "completed", output="x", time=7))).messages
    assert result.extra["raw_part"] == {"time": 7}


def test_tokens_and_cost_stand_once_at_the_first_of_a_message() -> None:
    counts = {"input": 5, "output": 7, "reasoning": 2, "cache": {"read": 11, "write": 13}}
    first, second = _parse(
        _said("m", _part("p1", "step-start"),
              _part("p2", "step-finish", cost=0.5, tokens=counts), cost=0.5, tokens=counts,
              finish="stop", agent="build"),
    ).messages  # fmt: skip
    assert first.tokens == {
        "input": 5, "cache_read": 11, "cache_write": 13, "output": 7, "reasoning": 2,
        "total": 36,
    }  # fmt: skip
    assert (first.extra["cost_usd"], first.extra["stop_reason"]) == (0.5, "stop")
    assert "tokens" not in first.extra["raw"]
    assert second.tokens is None
    assert (second.kind, second.text) == (Kind.NOTICE, "[step-finish]")
    assert second.extra["raw_part"] == {"cost": 0.5, "tokens": counts}


def test_counts_that_are_none_stay_as_they_were_written() -> None:
    odd = {"input": -1, "output": 7, "later": 3}
    message = _only(tokens=odd)
    assert message.tokens == {"output": 7, "total": 7}
    assert message.extra["raw"]["tokens"] == odd


@pytest.mark.parametrize(
    "part",
    [
        _part("p", "patch", hash="h", files=["a"]),
        _part("p", "snapshot", snapshot="s"),
        _part("p", "subtask", text="T", state=7, tool="t"),
        _part("p", "text", text=7),
        _part("p", "tool", tool=7, state={"a": 1}, callID="c"),
    ],
)
def test_a_part_of_any_other_kind_is_a_notice_with_all_it_says(part: dict[str, Any]) -> None:
    message = _only(part)
    assert message.kind is Kind.NOTICE
    ids = ("id", "sessionID", "messageID", "type")
    assert message.extra["raw_part"] == {k: v for k, v in part.items() if k not in ids}


def test_a_file_is_named_and_not_stored_again() -> None:
    data = "data:image/png;base64," + "A" * 400
    message = _only(_part("p", "file", mime="image/png", filename="vat.png", url=data))
    assert (message.kind, message.text) == (Kind.ATTACHMENT, "[file]")
    (file,) = message.extra["files"]
    assert (file["filename"], file["url"]) == ("vat.png", "[422 characters of base64]")


def test_what_stands_beside_info_and_parts_is_kept() -> None:
    raw = json.dumps(
        {"info": {"projectID": "p"}, "messages": [{"info": {"id": "m"}, "parts": "P", "z": 1}]}
    )
    (message,) = opencode.parse(raw.encode(), "x").messages
    assert message.extra["raw"]["record"] == {"parts": "P", "z": 1}


def test_the_same_record_again_is_ignored_and_other_content_is_not() -> None:
    one, two = (_said("m", _part("p", "text", text=t)) for t in ("one", "two"))
    transcript = _parse(one, two, two, one)
    assert [(m.source_id, m.text) for m in transcript.messages] == [
        ("m", "one"),
        ("m~2", "two"),
    ]
    again = [r.reason for r in transcript.regions if r.label == "ignored"]
    assert again == ["the same record again"] * 2


@pytest.mark.parametrize("odd", [7, {"parts": []}, {"info": {"role": "user"}, "parts": []}])
def test_a_record_that_is_no_message_is_a_fault_and_costs_no_other(odd: Any) -> None:
    transcript = _parse(odd, _said("m"))
    assert [m.source_id for m in transcript.messages] == ["m"]
    assert len(transcript.faults) == 1


@pytest.mark.parametrize("when", [-1, 253_402_300_799_000, "never"])
def test_a_time_that_no_tool_wrote_stays_as_it_was_written(when: Any) -> None:
    message = _only(time={"created": when})
    assert message.occurred_at is None
    assert message.extra["raw"]["time"]["created"] == when


def test_what_the_session_says_of_itself_is_its_header() -> None:
    transcript = _parse(version="1.17.18", time={"created": AT})
    assert (transcript.session_id, transcript.title, transcript.cwd) == ("ses", "Dye", "/d")
    assert transcript.header["version"] == "1.17.18"
    assert transcript.header["time"] == {"created": AT}


def test_what_is_cut_off_or_has_no_messages_is_refused() -> None:
    with pytest.raises(MalformedExport, match="line 1 of 1, column"):
        opencode.parse(_raw(_said("m"))[:-2], "x")
    with pytest.raises(MalformedExport, match="expected a list of messages, found dict"):
        opencode.parse(b'{"info": {"projectID": "p"}, "messages": {}}', "x")
