"""Sessions of Gemini CLI: one document, or a log in which the last state of a message holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exportd import formats
from exportd.errors import MalformedExport
from exportd.formats import gemini_cli
from exportd.models import Kind, Message, Role, Transcript

AT = "2026-04-01T10:00:00.000Z"
HEAD = {"sessionId": "ses", "projectHash": "ab", "startTime": AT}
COUNTS = {"input": 100, "output": 20, "cached": 60, "thoughts": 7, "tool": 0, "total": 127}


def _said(own: str, content: Any = "", kind: str = "gemini", **more: Any) -> dict[str, Any]:
    return {"id": own, "timestamp": AT, "type": kind, "content": content, **more}


def _call(own: str, status: str, **more: Any) -> dict[str, Any]:
    return {"id": own, "name": "ls", "args": {"p": "."}, "status": status, **more}


def _document(*messages: Any, **more: Any) -> Transcript:
    raw = json.dumps({**HEAD, **more, "messages": list(messages)}, indent=1).encode()
    return gemini_cli.parse(raw, "x.json")


def _log(*records: Any) -> Transcript:
    raw = "".join(json.dumps(record) + "\n" for record in (HEAD, *records)).encode()
    transcript = gemini_cli.parse(raw, "x.jsonl")
    spans = [m.span for m in transcript.messages] + [r.span for r in transcript.regions]
    spans += [fault.span for fault in transcript.faults]
    edges = sorted((span.start, span.end) for span in spans)
    assert [0, *(end for _, end in edges)] == [*(start for start, _ in edges), len(raw)]
    return transcript


def _only(**more: Any) -> Message:
    (message,) = _document(_said("a", **more)).messages
    return message


def _ignored(transcript: Transcript) -> list[str]:
    return [region.reason for region in transcript.regions if region.label == "ignored"]


@pytest.mark.parametrize("indent", [None, 1])
def test_a_document_is_claimed_and_a_list_of_them_is_not(indent: int | None) -> None:
    talk = {**HEAD, "directories": ["/a"], "messages": [_said("a", "x" * 70_000)]}
    raw = json.dumps(talk, indent=indent).encode()
    assert formats.recognise(raw[: formats.HEAD_BYTES], "x") is gemini_cli
    listed = b"[" + raw + b"]"
    assert not gemini_cli.detect(listed[: formats.HEAD_BYTES], "x").certain


def test_a_message_is_followed_by_its_thoughts_its_calls_and_their_results() -> None:
    found = _document(
        _said("u", "Look", "user"),
        _said(
            "a",
            "Done.",
            thoughts=[{"subject": "S", "description": "D", "timestamp": AT}],
            toolCalls=[_call("t", "success", result=[{"text": "one"}, {"text": "two"}])],
        ),
    ).messages
    assert [(m.source_id, m.kind, m.text) for m in found] == [
        ("u", Kind.PROMPT, "Look"),
        ("a", Kind.TEXT, "Done."),
        ("a/1", Kind.THINKING, "S\nD"),
        ("a/2", Kind.TOOL_CALL, 'ls({"p": "."})'),
        ("a/3", Kind.TOOL_RESULT, "one\ntwo"),
    ]
    assert [m.parent_id for m in found] == [None, None, "a", "a/1", "a/2"]
    assert found[4].role is Role.TOOL


@pytest.mark.parametrize("kind", ["info", "error", "warning"])
def test_what_the_tool_itself_says_is_a_notice(kind: str) -> None:
    message = _document(_said("a", "Update", kind)).messages[0]
    assert (message.role, message.kind) == (Role.SYSTEM, Kind.NOTICE)
    assert message.extra["status"] == kind
    assert message.extra.get("is_error", False) is (kind == "error")


@pytest.mark.parametrize(
    ("status", "in_flight"),
    [("executing", True), ("scheduled", True), ("success", False), ("cancelled", False)],
)
def test_a_call_without_result_runs_until_its_status_ends_it(
    status: str,
    in_flight: bool,  # noqa: FBT001
) -> None:
    call = _document(_said("a", toolCalls=[_call("t", status)])).messages[-1]
    assert (call.kind, call.in_flight) == (Kind.TOOL_CALL, in_flight)


def test_counts_name_what_was_read_anew_and_keep_the_stated_total() -> None:
    message = _only(tokens=COUNTS)
    assert message.tokens == {
        "input": 40, "cache_read": 60, "output": 20, "reasoning": 7, "total": 127,
    }  # fmt: skip
    assert message.extra == {}


@pytest.mark.parametrize("odd", [{**COUNTS, "tool": 3}, {**COUNTS, "input": -1}, [7]])
def test_counts_that_have_no_name_here_stay_as_they_were_written(odd: Any) -> None:
    assert _only(tokens=odd).extra["raw"]["tokens"] == odd


def test_of_a_log_the_last_state_of_a_message_holds_and_counts_once() -> None:
    first = _said("a", "Two.")
    last = {**first, "tokens": COUNTS, "toolCalls": [_call("t", "success", result="x")]}
    transcript = _log(_said("u", "?", "user"), first, {**first, "tokens": COUNTS}, last)
    assert [m.source_id for m in transcript.messages] == ["u", "a", "a/1", "a/2"]
    assert sum((m.tokens or {}).get("total", 0) for m in transcript.messages) == 127
    assert _ignored(transcript) == ["an earlier state of a message"] * 2


def test_a_late_state_moves_no_message() -> None:
    first, other = _said("a", "Two."), _said("b", "Three.")
    before = [m.source_id for m in _log(first, other).messages]
    after = _log(first, other, {**first, "tokens": COUNTS}).messages
    assert [m.source_id for m in after] == before == ["a", "b"]
    assert after[0].tokens


def test_the_same_line_again_is_ignored() -> None:
    assert _ignored(_log(_said("a"), _said("a"))) == ["the same record again"]


def test_one_id_of_two_types_is_two_messages() -> None:
    found = _log(_said("a", "Hi", "user"), _said("a", "Hello")).messages
    assert [m.source_id for m in found] == ["a", "a~2"]


def test_of_a_document_the_same_record_is_ignored_and_other_content_is_not() -> None:
    one, two = _said("a", "one"), _said("a", "two")
    transcript = _document(one, two, two, one)
    assert [(m.source_id, m.text) for m in transcript.messages] == [
        ("a", "one"),
        ("a~2", "two"),
    ]
    assert _ignored(transcript) == ["the same record again"] * 2


def test_what_was_taken_back_is_kept() -> None:
    transcript = _log(_said("a", "one"), {"$rewindTo": "a"}, _said("b", "two"))
    assert [m.text for m in transcript.messages] == ["one", "two"]
    assert not transcript.faults
    assert "notice" in [region.label for region in transcript.regions]


def test_facts_that_are_set_later_are_those_of_the_session() -> None:
    later = {"summary": "Ovens", "directories": ["/b"], "lastUpdated": AT}
    transcript = _log(_said("a"), {"$set": later})
    assert transcript.title == "Ovens"
    assert transcript.header["directories"] == ["/b"]
    assert transcript.header["lastUpdated"] == AT


def test_of_a_rewritten_history_only_what_no_line_has_is_added() -> None:
    history = [_said("sum", [{"text": "So far"}], "user"), _said("b", "masked"), 7, {"id": ""}]
    transcript = _log(_said("a", "one"), _said("b", "two"), {"$set": {"messages": history}})
    assert [(m.source_id, m.text) for m in transcript.messages] == [
        ("a", "one"), ("b", "two"), ("sum", "So far"),
    ]  # fmt: skip
    again = _log(*[{"$set": {"messages": history}}] * 2)
    assert [m.source_id for m in again.messages] == ["sum", "b"]


def test_a_thought_keeps_what_its_text_does_not_say() -> None:
    thought = {"subject": "S", "description": "D", "timestamp": "soon", "depth": 2}
    message = _document(_said("a", thoughts=[thought])).messages[1]
    assert message.extra["raw"] == {"timestamp": "soon", "depth": 2}


def test_values_of_another_type_are_kept() -> None:
    message = _only(thoughts="T", toolCalls={"a": 1}, model=7)
    assert message.extra["raw"] == {"thoughts": "T", "toolCalls": {"a": 1}, "model": 7}


@pytest.mark.parametrize("when", ["1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z", 7, "soon"])
def test_a_time_that_no_tool_wrote_stays_as_it_was_written(when: Any) -> None:
    message = _document({**_said("a"), "timestamp": when}).messages[0]
    assert message.occurred_at is None
    assert message.extra["raw"]["timestamp"] == when


@pytest.mark.parametrize(
    "odd", [{"type": "user"}, {"id": "", "type": "user"}, {"content": "x"}]
)
def test_a_record_that_is_no_message_is_a_fault_and_costs_no_other(odd: Any) -> None:
    for transcript in (_document(odd, _said("a")), _log(odd, _said("a"))):
        assert [m.source_id for m in transcript.messages] == ["a"]
        assert len(transcript.faults) == 1


def test_a_line_that_is_cut_off_costs_no_other_and_a_document_is_refused() -> None:
    lines = [json.dumps(HEAD), json.dumps(_said("a")), json.dumps(_said("b"))[:-9]]
    transcript = gemini_cli.parse("\n".join(lines).encode(), "x")
    assert [m.source_id for m in transcript.messages] == ["a"]
    assert transcript.faults[0].line == 3
    raw = json.dumps({**HEAD, "messages": [_said("a")]}, indent=1).encode()[:-3]
    with pytest.raises(MalformedExport, match="line 12 of 12, column"):
        gemini_cli.parse(raw, "x")
