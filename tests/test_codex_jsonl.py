"""How lines of Codex become messages: said twice, stored once; tokens; forks; damage."""

from __future__ import annotations

import json
from itertools import accumulate
from typing import Any

import pytest

from exportd import formats
from exportd.errors import MalformedExport, UnknownFormat
from exportd.formats import codex_jsonl
from exportd.models import Kind, Message, Role, Transcript

SESSION = "019d0000-0000-7000-8000-00000000beef"
PIXELS = "data:image/png;base64," + "QUJD" * 100


def _line(type_: str, payload: Any, at: int = 0) -> dict[str, Any]:
    stamp = f"2026-03-01T08:{at // 60:02}:{at % 60:02}.000Z"
    return {"timestamp": stamp, "type": type_, "payload": payload}


def _meta(**facts: Any) -> dict[str, Any]:
    return _line("session_meta", {"id": SESSION, "cwd": "/a", "cli_version": "0.98.0", **facts})


def _event(kind: str, **facts: Any) -> dict[str, Any]:
    return _line("event_msg", {"type": kind, **facts})


def _item(kind: str, **facts: Any) -> dict[str, Any]:
    return _line("response_item", {"type": kind, **facts})


def _said(role: str, *texts: str) -> dict[str, Any]:
    part = "output_text" if role == "assistant" else "input_text"
    return _item("message", role=role, content=[{"type": part, "text": t} for t in texts])


def _user(text: str) -> list[dict[str, Any]]:
    return [_said("user", text), _event("user_message", message=text, images=[])]


def _agent(text: str) -> list[dict[str, Any]]:
    return [_event("agent_message", message=text), _said("assistant", text)]


def _count(last: int, total: int | None) -> dict[str, Any]:
    info: dict[str, Any] = {"last_token_usage": _usage(last)}
    if total is not None:
        info["total_token_usage"] = _usage(total)
    return _event("token_count", info=info)


def _usage(total: int) -> dict[str, int]:
    return {
        "input_tokens": total - 2, "cached_input_tokens": 1, "output_tokens": 2,
        "reasoning_output_tokens": 1, "total_tokens": total,
    }  # fmt: skip


def _raw(*records: Any) -> bytes:
    return b"".join(
        (record if isinstance(record, str) else json.dumps(record)).encode() + b"\n"
        for record in records
    )


def _parse(*records: Any) -> Transcript:
    return _read(_raw(*records))


def _read(raw: bytes) -> Transcript:
    transcript = codex_jsonl.parse(raw, "rollout.jsonl")
    spans = [
        *(message.span for message in transcript.messages),
        *(region.span for region in transcript.regions),
        *(fault.span for fault in transcript.faults),
    ]
    edges = sorted((span.start, span.end) for span in spans)
    assert [0, *(end for _, end in edges)] == [*(start for start, _ in edges), len(raw)]
    ids = [message.source_id for message in transcript.messages]
    assert len(ids) == len(set(ids))
    return transcript


def _only(*records: Any) -> Message:
    (message,) = _parse(_meta(), *records).messages
    return message


def _shown(transcript: Transcript) -> list[tuple[str | None, str]]:
    return [(message.source_id, message.text) for message in transcript.messages]


# -- said twice, stored once ---------------------------------------------------------


def test_what_stands_twice_is_one_message_with_the_first_lines_number() -> None:
    found = _parse(_meta(), *_user("How hot?"), *_agent("240 °C."))
    assert _shown(found) == [("line-2", "How hot?"), ("line-4", "240 °C.")]
    assert [r.reason for r in found.regions[1:]] == ["said by another line, too"] * 2


def test_what_only_an_event_says_is_kept() -> None:
    found = _parse(_meta(), _event("user_message", message="a"), *_user("b"))
    assert _shown(found) == [("line-2", "a"), ("line-3", "b")]


def test_the_same_words_again_are_said_again() -> None:
    found = _parse(_meta(), *_user("continue"), *_agent("ok"), *_user("continue"))
    assert _shown(found) == [("line-2", "continue"), ("line-4", "ok"), ("line-6", "continue")]


def test_a_text_without_a_copy_is_not_taken_for_a_copy_of_a_later_one() -> None:
    alone = _event("user_message", message="yes")
    found = _parse(_meta(), alone, *_agent("first"), *_user("yes"), *_agent("second"))
    assert _shown(found) == [
        ("line-2", "yes"), ("line-3", "first"), ("line-5", "yes"), ("line-7", "second"),
    ]  # fmt: skip


def test_a_thought_that_was_broken_off_is_no_copy_of_one_in_the_next_turn() -> None:
    thought = _event("agent_reasoning", text="Looking")
    item = _item("reasoning", summary=[{"type": "summary_text", "text": "Looking"}])
    ended = _event("turn_aborted", reason="interrupted")
    found = _parse(_meta(), thought, ended, item, thought)
    assert [m.source_id for m in found.messages] == ["line-2", "line-3", "line-4"]


def test_one_item_may_hold_what_several_events_said() -> None:
    texts = ("One", "Two")
    events = [_event("agent_reasoning", text=text) for text in texts]
    summary = [{"type": "summary_text", "text": text} for text in texts]
    item = _item("reasoning", summary=summary, encrypted_content="x" * 40)
    message = _only(*events, _count(5, 5), item)
    assert (message.source_id, message.text, message.kind) == (
        "line-2", "One\n\nTwo", Kind.THINKING,
    )  # fmt: skip
    assert message.tokens
    assert message.tokens["total"] == 5
    assert message.extra["raw"] == {"encrypted_content": "[40 characters, encrypted]"}


@pytest.mark.parametrize("around", [[], ["<image name=[Image #1]>", "</image>"]])
def test_a_prompt_with_a_picture_is_one_message(around: list[str]) -> None:
    signs = [{"type": "input_text", "text": sign} for sign in around]
    picture = {"type": "input_image", "image_url": PIXELS}
    words = {"type": "input_text", "text": "What bread is it?"}
    content = [*signs[:1], picture, *signs[1:], words]
    item = _item("message", role="user", content=content)
    event = _event("user_message", message="What bread is it?", images=[PIXELS])
    for lines in ([item, event], [event, item]):
        message = _only(*lines)
        assert "[image]" in message.text
        assert message.text.endswith("What bread is it?")
        size = f"[{len(PIXELS)} characters of base64, image/png]"
        assert message.extra["raw"]["content"] == [{"type": "input_image", "image_url": size}]
        assert PIXELS not in repr(message)


def test_a_file_that_grows_keeps_the_ids_of_its_messages() -> None:
    lines = [
        _meta(), *_user("a"), _event("agent_reasoning", text="t"),
        _item("reasoning", summary=[{"type": "summary_text", "text": "t"}]), *_agent("b"),
        *_user("a"), _event("turn_aborted", reason="x"), *_user("a"), *_agent("b"),
    ]  # fmt: skip
    earlier: list[tuple[str | None, str]] = []
    for end in accumulate(len(_raw(line)) for line in lines):
        shown = _shown(_read(_raw(*lines)[:end]))
        assert shown[: len(earlier)] == earlier
        earlier = shown


# -- roles ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "<environment_context><cwd>/a</cwd></environment_context>",
        "<user_instructions>\n\nBe short.\n\n</user_instructions>",
        "# AGENTS.md instructions for /a\n\n<INSTRUCTIONS>",
    ],
)
def test_what_is_put_in_for_the_user_is_of_the_system(text: str) -> None:
    first, *_ = _parse(_meta(), _said("user", text), *_user("a")).messages
    assert (first.role, first.kind, first.text) == (Role.SYSTEM, Kind.NOTICE, text)


def test_a_session_in_which_nobody_spoke_has_no_message() -> None:
    found = _parse(_meta(), _said("user", "<environment_context>x</environment_context>"))
    assert found.messages == ()
    assert [r.reason for r in found.regions] == [
        "what the session is", "context of a session in which nobody spoke",
    ]  # fmt: skip


def test_an_unknown_item_is_a_notice_that_keeps_all() -> None:
    message = _only(_item("ghost_snapshot", commit="abc"))
    assert (message.role, message.text) == (Role.SYSTEM, "[ghost_snapshot]")
    assert message.extra == {"raw": {"commit": "abc"}}


def test_a_compaction_is_one_notice_and_keeps_the_history_behind_it() -> None:
    history = [{"type": "message", "role": "user", "content": "before"}]
    line = _line("compacted", {"message": "In short.", "replacement_history": history})
    for lines in ([line, _event("context_compacted")], [_event("context_compacted"), line]):
        message = _only(*lines)
        assert (message.role, message.kind, message.text) == (
            Role.SYSTEM, Kind.NOTICE, "In short.",
        )  # fmt: skip
        assert message.extra == {"raw": {"replacement_history": history}}


# -- calls ---------------------------------------------------------------------------


def test_a_call_and_its_result() -> None:
    call = _item("function_call", name="shell", arguments='{"n": 1}', call_id="c")
    packed = {"output": "rye\n", "metadata": {"exit_code": 2, "duration_seconds": 0.25}}
    result = _item("function_call_output", call_id="c", output=json.dumps(packed))
    first, second = _parse(_meta(), call, result).messages
    assert (first.role, first.kind, first.text) == (
        Role.ASSISTANT, Kind.TOOL_CALL, 'shell({"n": 1})',
    )  # fmt: skip
    assert first.extra == {"tool": "shell", "input": {"n": 1}, "call_id": "c"}
    assert (second.role, second.kind, second.text) == (Role.TOOL, Kind.TOOL_RESULT, "rye\n")
    assert second.extra == {
        "call_id": "c",
        "is_error": True,
        "latency_ms": 250,
        "raw": {"output": {"metadata": packed["metadata"]}},
    }


@pytest.mark.parametrize(
    "output",
    [
        '{"output": "what a command printed"}', '{"output": 7, "metadata": {}}', "{", "[1]",
        '{"metadata": ' + "[" * 900 + "]" * 900 + "}",
    ],
)  # fmt: skip
def test_a_result_that_only_looks_packed_stays_as_it_is(output: str) -> None:
    message = _only(_item("function_call_output", call_id="c", output=output))
    assert (message.text, message.extra) == (output, {"call_id": "c"})


@pytest.mark.parametrize("seconds", [1e308, -1, "1", None, [], True])
def test_a_time_that_no_command_takes_is_no_latency(seconds: Any) -> None:
    packed = {"output": "x", "metadata": {"duration_seconds": seconds}}
    message = _only(_item("function_call_output", call_id="c", output=json.dumps(packed)))
    assert "latency_ms" not in message.extra


def test_other_calls_say_what_they_are() -> None:
    patch = _item("custom_tool_call", name="apply_patch", input="*** Begin", call_id="c")
    done = _item(
        "custom_tool_call_output", call_id="c", output={"content": "no", "success": False}
    )
    web = _item("web_search_call", action={"query": "rye"}, status="completed")
    found = _parse(_meta(), patch, done, web).messages
    assert [m.text for m in found] == [
        "apply_patch(*** Begin)", "no", 'web_search_call({"query": "rye"})',
    ]  # fmt: skip
    assert found[1].extra["is_error"] is True
    assert found[2].extra["status"] == "completed"
    assert found[0].extra["raw"] == {"type": "custom_tool_call"}
    assert not any(m.in_flight for m in found)


def test_a_call_at_the_end_waits_for_its_result() -> None:
    call = _item("function_call", name="shell", arguments="{}", call_id="c")
    assert _only(call).in_flight
    assert _only(call).extra["input"] == {}


@pytest.mark.parametrize("levels", [90, 900, 10_000])
def test_an_input_nested_too_deeply_to_be_stored_stays_text(levels: int) -> None:
    given = '{"a": ' + "[" * levels + "]" * levels + "}"
    message = _only(_item("function_call", name="shell", arguments=given, call_id="c"))
    assert message.extra["input"] == given
    assert message.text == f"shell({given})"


# -- tokens --------------------------------------------------------------------------


def _total(transcript: Transcript, key: str = "total") -> int:
    return sum(m.tokens.get(key, 0) for m in transcript.messages if m.tokens)


def test_counts_belong_to_what_the_model_said_last_and_add_up_to_the_total() -> None:
    found = _parse(
        _meta(), *_user("a"), *_agent("b"), _count(10, 10), _count(10, 10), *_user("c"),
        _count(10, 10), *_agent("d"), _count(20, 30), _count(5, 35),
    )  # fmt: skip
    assert [m.tokens and m.tokens["total"] for m in found.messages] == [None, 10, None, 25]
    assert (_total(found), _total(found, "output"), _total(found, "reasoning")) == (35, 6, 3)
    assert _total(found, "input") + _total(found, "cache_read") == 35 - 6


def test_a_count_between_the_two_copies_stays_with_the_message() -> None:
    event, item = _agent("b")
    message = _only(event, _count(10, 10), item, _count(7, 17))
    assert message.tokens
    assert message.tokens["total"] == 17


def test_counts_before_the_first_answer_and_without_a_total_are_not_lost() -> None:
    found = _parse(_meta(), _count(4, None), _count(4, None), *_user("a"), *_agent("b"))
    assert [m.tokens and m.tokens["total"] for m in found.messages] == [None, 8]


@pytest.mark.parametrize("info", [None, 7, {}, {"last_token_usage": "many"}])
def test_a_count_that_is_none_counts_nothing(info: Any) -> None:
    assert _total(_parse(_meta(), *_agent("b"), _event("token_count", info=info))) == 0


def test_answers_name_the_model_of_their_turn() -> None:
    turns = [_line("turn_context", {"model": name}) for name in ("one", "two")]
    found = _parse(_meta(), turns[0], *_user("a"), *_agent("b"), turns[1], *_agent("c"))
    assert [m.model for m in found.messages] == [None, "one", "two"]


# -- the session ---------------------------------------------------------------------


def test_a_fork_is_a_session_of_its_own_and_names_its_origin() -> None:
    origin = _line("session_meta", {"id": "origin", "cwd": "/b"})
    found = _parse(_meta(forked_from_id="origin"), origin, *_user("a"))
    assert (found.session_id, found.cwd) == (SESSION, "/a")
    assert found.header["forked_from_id"] == "origin"


@pytest.mark.parametrize("first", ["{", '{"type": "session_meta", "payload": {"id": 7}}'])
def test_a_fork_whose_first_line_is_damaged_does_not_take_the_id_of_its_origin(
    first: str,
) -> None:
    found = _parse(first, _line("session_meta", {"id": "origin"}), *_user("a"))
    assert found.session_id is None
    assert [m.text for m in found.messages] == ["a"]


def test_the_header_tells_of_the_session_and_not_what_the_model_was_told() -> None:
    found = _parse(
        _meta(originator="tui", git={"branch": "main"}, base_instructions={"text": "long"}),
        *_user("a"),
    )
    assert found.header == {
        "cwd": "/a", "cli_version": "0.98.0", "originator": "tui", "git": {"branch": "main"},
    }  # fmt: skip


# -- damage --------------------------------------------------------------------------


def test_a_damaged_line_is_a_fault_and_costs_no_other() -> None:
    deep = '{"type": "response_item", "payload": ' + "[" * 10_000
    bad = ["{", "7", "[]", '{"type": 5, "payload": {}}', '{"type": "event_msg"}', deep, "NaN"]
    found = _parse(_meta(), *_user("a"), *bad, *_agent("b"))
    assert [m.text for m in found.messages] == ["a", "b"]
    assert [fault.line for fault in found.faults] == [4, 5, 6, 7, 8, 9, 10]
    assert found.flags == ()


def test_only_a_last_line_without_an_end_is_cut() -> None:
    whole = _raw(_meta(), *_user("a"), _said("assistant", "b"))
    assert _read(whole[:-9]).flags == ("truncated_tail",)
    assert _read(whole[:-9]).faults[0].line == 4
    assert _read(whole[:-9] + b"\n").flags == ()
    assert _read(whole[:-1]).flags == ()


def test_a_cut_start_keeps_its_context_so_that_the_fault_is_told() -> None:
    context = _said("user", "<environment_context>x</environment_context>")
    found = _read(_raw(_meta(), context) + b'{"timestamp": "2026')
    assert (len(found.messages), len(found.faults)) == (1, 1)


def test_a_file_of_which_nothing_can_be_read_is_refused_with_its_line() -> None:
    with pytest.raises(MalformedExport, match="line 1 is not JSON"):
        _parse("{", "{}")


@pytest.mark.parametrize("stamp", ["1969-12-31T23:00:00Z", "9999-12-31T23:59:59Z", 1e300, []])
def test_a_time_that_cannot_be_is_none_and_stays_in_raw(stamp: Any) -> None:
    message = _only({**_said("user", "a"), "timestamp": stamp})
    assert message.occurred_at is None
    assert message.extra["raw"]["timestamp"] == stamp


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_change_nothing() -> None:
    raw = b"\xef\xbb\xbf" + _raw(_meta(), *_user("a")).replace(b"\n", b"\r\n\r\n")
    assert formats.recognise(raw, "x") is codex_jsonl
    assert [m.text for m in _read(raw).messages] == ["a"]


def test_what_no_database_holds_as_text_is_escaped_everywhere() -> None:
    found = _parse(_meta(id="\x00", cwd="\ud800"), _item("\udfff", name="\x00"), *_user("\x00"))
    json.dumps([dict(m.extra) for m in found.messages], ensure_ascii=False).encode()
    assert [m.text for m in found.messages] == ["[␛DFFF]", "␛0000"]
    assert (found.session_id, found.cwd) == ("␛0000", "␛D800")


def test_the_log_of_prompts_is_no_rollout() -> None:
    with pytest.raises(UnknownFormat):
        formats.recognise(_raw({"session_id": SESSION, "ts": 1, "text": "hi"}), "history.jsonl")
