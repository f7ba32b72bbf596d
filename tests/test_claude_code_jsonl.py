"""How lines of Claude Code become messages: ids, parents, tokens, and what is told apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exportd import formats
from exportd.errors import MalformedExport, UnknownFormat
from exportd.formats import claude_code_jsonl
from exportd.models import Kind, Message, Role, Transcript

SESSION = "5e551000-0000-4000-8000-00000000beef"
PIXELS = "QUJD" * 100


def _line(uuid: str | None, content: Any = "hello", **facts: Any) -> dict[str, Any]:
    kind = facts.pop("type", "user")
    said = {"role": kind, "content": content, **facts.pop("said", {})}
    own = {} if uuid is None else {"uuid": uuid}
    return {
        "type": kind, "sessionId": SESSION, "timestamp": "2026-03-01T08:00:00.000Z",
        "message": said, **own, **facts,
    }  # fmt: skip


def _answer(uuid: str, answer: str, output: int, *blocks: Any, **facts: Any) -> dict[str, Any]:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 10, "output_tokens": output}
    said = {"id": answer, "model": "claude-x", "type": "message", "usage": usage}
    content = list(blocks) or [{"type": "text", "text": "an answer"}]
    return _line(uuid, content, type="assistant", said=said, **facts)


def _raw(*records: Any) -> bytes:
    return b"".join(
        (record if isinstance(record, str) else json.dumps(record)).encode() + b"\n"
        for record in records
    )


def _parse(*records: Any) -> Transcript:
    transcript = claude_code_jsonl.parse(_raw(*records), "session.jsonl")
    _check(transcript, len(_raw(*records)))
    return transcript


def _check(transcript: Transcript, size: int) -> None:
    """Every byte is told of once, every id is given out once."""
    spans = [
        *(message.span for message in transcript.messages),
        *(region.span for region in transcript.regions),
        *(fault.span for fault in transcript.faults),
    ]
    edges = sorted((span.start, span.end) for span in spans)
    assert [0, *(end for _, end in edges)] == [*(start for start, _ in edges), size]
    ids = [message.source_id for message in transcript.messages]
    assert len(ids) == len(set(ids))


def _only(*records: Any) -> Message:
    (message,) = _parse(*records).messages
    return message


def _ids(transcript: Transcript) -> list[str | None]:
    return [message.source_id for message in transcript.messages]


# -- what is a message, and what it is called ----------------------------------------


def test_blocks_of_a_line_are_messages_that_follow_one_another() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "Read", "input": {"path": "a"}}
    blocks = [{"type": "text", "text": "I read."}, call]
    found = _parse(_line("u"), _answer("a", "m", 5, *blocks, parentUuid="u")).messages
    assert [(m.source_id, m.parent_id) for m in found] == [
        ("u", None), ("a", "u"), ("a/1", "a"),
    ]  # fmt: skip
    assert found[2].text == 'Read({"path": "a"})'
    assert (found[2].role, found[2].kind) == (Role.ASSISTANT, Kind.TOOL_CALL)
    assert found[2].span.start == found[2].span.end == found[1].span.end


def test_every_line_with_an_id_is_a_message_so_that_the_chain_has_no_hole() -> None:
    aside = {"sessionId": SESSION, "timestamp": "2026-03-01T08:00:00Z"}
    found = _parse(
        _line("u"),
        {**aside, "type": "system", "subtype": "turn_duration", "uuid": "s", "durationMs": 7},
        {**aside, "type": "attachment", "attachment": {"type": "diary"}, "uuid": "f"},
        {**aside, "type": "system", "subtype": "local_command", "content": "/x", "uuid": "c"},
        {**aside, "type": "progress", "subtype": "hook", "uuid": "p"},
        _line("m", "told by a hook", isMeta=True),
    )
    assert [(m.source_id, m.role, m.kind) for m in found.messages] == [
        ("u", Role.USER, Kind.PROMPT),
        ("s", Role.SYSTEM, Kind.NOTICE),
        ("f", Role.SYSTEM, Kind.ATTACHMENT),
        ("c", Role.USER, Kind.COMMAND),
        ("p", Role.SYSTEM, Kind.NOTICE),
        ("m", Role.USER, Kind.NOTICE),
    ]
    assert found.messages[1].extra["raw"]["durationMs"] == 7
    assert found.messages[4].extra["raw"]["type"] == "progress"


def test_lines_without_an_id_are_no_talk_and_say_why() -> None:
    found = _parse(
        {"type": "permission-mode", "permissionMode": "plan", "sessionId": SESSION},
        {"type": "queue-operation", "operation": "enqueue", "sessionId": SESSION},
        _line("u"),
    )
    assert _ids(found) == ["u"]
    assert [(r.label, r.reason) for r in found.regions] == [
        ("ignored", "permission-mode is no part of the talk"),
        ("ignored", "queue-operation is no part of the talk"),
    ]


@pytest.mark.parametrize(
    ("text", "facts", "kind"),
    [
        ("Which flour?", {}, Kind.PROMPT),
        ("<command-name>/compact</command-name>", {}, Kind.COMMAND),
        ("<local-command-stdout>done</local-command-stdout>", {}, Kind.COMMAND),
        ("<bash-input>ls</bash-input>", {}, Kind.COMMAND),
        ("[Request interrupted by user for tool use]", {}, Kind.NOTICE),
        ("<task-notification>over</task-notification>", {}, Kind.NOTICE),
        ("This session is continued", {"isCompactSummary": True}, Kind.NOTICE),
    ],
)
def test_only_what_a_person_wrote_is_a_prompt(
    text: str, facts: dict[str, Any], kind: Kind
) -> None:
    assert _only(_line("u", text, **facts)).kind is kind
    assert _only(_line("u", [{"type": "text", "text": text}], **facts)).kind is kind


def test_an_identical_line_is_the_same_line_again_however_often() -> None:
    first, other = _line("u"), _line("u", "changed")
    found = _parse(first, other, first, other, other)
    assert _ids(found) == ["u", "u~2"]
    assert [r.reason for r in found.regions] == ["the same line again"] * 3


def test_the_id_of_a_later_block_may_be_taken() -> None:
    two = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    found = _parse(_line("u/1"), _line("u~2"), _line("u", two), _line("u", "changed"))
    assert _ids(found) == ["u/1", "u~2", "u", "u/1~2", "u~3"]


def test_agents_in_one_file_may_have_the_same_ids() -> None:
    found = _parse(
        _line("u", agentId="one", isSidechain=False), _line("u", agentId="two"), _line("u")
    )
    assert _ids(found) == ["u", "u~2", "u~3"]
    assert [m.extra.get("agent") for m in found.messages] == ["one", "two", None]


def test_lines_without_any_id_get_one_from_their_content_that_stays() -> None:
    said = [_line(None, text) for text in ("a", "b", "c")]
    ids = _ids(_parse(*said))
    assert ids[1:] == _ids(_parse(*said[1:]))


def test_the_same_words_without_id_and_time_are_said_twice() -> None:
    bare = {"type": "user", "message": {"content": "continue"}}
    assert len(_parse(bare, bare).messages) == 2
    assert len(_parse(_line(None), _line(None)).messages) == 1


# -- tokens --------------------------------------------------------------------------


def test_tokens_stand_once_at_the_first_message_of_an_answer() -> None:
    found = _parse(
        _answer("a", "m1", 1, {"type": "thinking", "thinking": "hm"}),
        _answer("b", "m1", 40),
        _answer("c", "m2", 7),
    ).messages
    assert [m.tokens and m.tokens["output"] for m in found] == [40, None, 7]
    assert found[0].tokens == {"input": 3, "cache_read": 10, "output": 40, "total": 53}
    assert [m.extra["api_message_id"] for m in found] == ["m1", "m1", "m2"]


def test_an_old_line_written_again_does_not_take_tokens_back() -> None:
    early, late = _answer("a", "m1", 1), _answer("b", "m1", 40)
    again = {**early, "parentUuid": "z"}
    found = _parse(early, late, again, late)
    assert [m.tokens and m.tokens["output"] for m in found.messages] == [40, None, None]


def test_an_answer_without_id_is_told_by_its_request() -> None:
    lines = [_answer(uuid, "", 5, requestId="r1") for uuid in ("a", "b")]
    assert [bool(m.tokens) for m in _parse(*lines).messages] == [True, False]


@pytest.mark.parametrize("usage", [None, "many", [], {"output_tokens": "7"}, {"x": 1}])
def test_a_usage_that_is_none_counts_nothing(usage: Any) -> None:
    line = _line("a", type="assistant", said={"usage": usage})
    assert _only(line).tokens is None


# -- nothing is lost, nothing twice --------------------------------------------------


def test_what_a_block_says_beside_its_text_is_kept() -> None:
    found = _parse(
        _answer(
            "a", "m", 1,
            {"type": "text", "text": "so", "citations": [{"url": "x"}]},
            {"type": "thinking", "thinking": "hm", "signature": "s" * 900},
            {"type": "tool_use", "id": "t", "name": "B", "input": {}, "caller": {"type": "d"}},
            {"type": "server_tool_use", "id": "w", "name": "search", "input": {"q": "rye"}},
            {"type": "redacted_thinking", "data": "abc"},
        )
    ).messages  # fmt: skip
    assert [m.extra.get("block") for m in found] == [
        {"citations": [{"url": "x"}]},
        {"signature": "[900 characters]"},
        {"caller": {"type": "d"}},
        {"type": "server_tool_use"},
        {"data": "abc"},
    ]
    assert [m.kind for m in found] == [
        Kind.TEXT, Kind.THINKING, Kind.TOOL_CALL, Kind.TOOL_CALL, Kind.THINKING,
    ]  # fmt: skip


def test_the_input_of_a_call_is_whole_though_it_looks_like_data() -> None:
    given = {"signature": "f(x)", "data": PIXELS}
    call = {"type": "tool_use", "id": "t", "name": "Write", "input": given}
    assert _only(_answer("a", "m", 1, call)).extra["input"] == given


def test_of_a_picture_its_kind_and_size_are_kept_and_not_its_content() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXELS}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [
        {"type": "text", "text": "seen"}, {"type": "image", "source": source},
    ]}  # fmt: skip
    structured = {"type": "image", "file": {"base64": PIXELS, "originalSize": 300}}
    found = _parse(
        _line("u", [{"type": "image", "source": source}]),
        _line("r", [result], toolUseResult=structured),
    ).messages
    assert [m.text for m in found] == ["[image]", "seen\n[image]"]
    size = f"[{len(PIXELS)} characters of base64]"
    kept = {"type": "base64", "media_type": "image/png", "data": size}
    assert found[0].extra["block"] == {"type": "image", "source": kept}
    assert found[1].extra["block"] == {"content": [{"type": "image", "source": kept}]}
    file = found[1].extra["raw"]["toolUseResult"]["file"]
    assert file == {"base64": size, "originalSize": 300}
    assert PIXELS not in repr(found)


def test_long_text_under_a_key_that_may_hold_data_is_kept() -> None:
    long = "not a picture, but words " * 40
    message = _only(_line("u", toolUseResult={"data": long}))
    assert message.extra["raw"]["toolUseResult"]["data"] == long


def test_a_result_is_of_the_tool_and_tells_of_an_error() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": "no", "is_error": True}
    message = _only(_line("u", [result]))
    assert (message.role, message.kind, message.text) == (Role.TOOL, Kind.TOOL_RESULT, "no")
    assert (message.extra["call_id"], message.extra["is_error"]) == ("t", True)


def test_values_of_the_wrong_type_are_kept_as_they_stood() -> None:
    line = _line("u", parentUuid=7, isSidechain="yes", timestamp="1969-12-31T23:00:00Z")
    line["message"]["role"] = "narrator"
    message = _only(line)
    assert (message.parent_id, message.occurred_at) == (None, None)
    assert message.extra["raw"] == {
        "parentUuid": 7,
        "isSidechain": "yes",
        "timestamp": "1969-12-31T23:00:00Z",
        "message": {"role": "narrator"},
    }


@pytest.mark.parametrize("stamp", ["9999-12-31T23:59:59Z", "yesterday", 1e300, -1, True])
def test_a_time_that_cannot_be_is_none_and_stays_in_raw(stamp: Any) -> None:
    message = _only(_line("u", timestamp=stamp))
    assert message.occurred_at is None
    assert message.extra["raw"]["timestamp"] == stamp


# -- the session ---------------------------------------------------------------------


def test_the_session_is_told_by_its_first_lines_and_others_name_theirs() -> None:
    found = _parse(_line("u", cwd="/a", version="2.1"), _line("v", sessionId="other", cwd="/b"))
    assert (found.session_id, found.cwd) == (SESSION, "/a")
    assert found.messages[1].extra == {"cwd": "/b", "raw": {"sessionId": "other"}}
    assert found.messages[0].extra == {}


def test_a_sub_agents_file_is_a_session_of_its_own() -> None:
    found = _parse(_line("u", agentId="a1", isSidechain=True, parentUuid="elsewhere"))
    assert found.session_id == f"{SESSION}-agent-a1"
    assert found.messages[0].parent_id is None
    assert found.messages[0].extra["caller_id"] == "elsewhere"


def test_sub_agents_of_old_versions_are_told_apart_in_the_file_of_the_session() -> None:
    found = _parse(_line("u", isSidechain=False), _line("v", isSidechain=True))
    assert found.session_id == SESSION
    assert [m.extra.get("agent") for m in found.messages] == [None, "sidechain"]


def test_a_missing_parent_is_left_missing() -> None:
    assert _only(_line("u", parentUuid="gone")).parent_id == "gone"


def test_a_title_given_by_hand_comes_before_a_summary() -> None:
    by_hand = {"type": "custom-title", "customTitle": "Rye", "sessionId": SESSION}
    summaries = [{"type": "summary", "summary": s, "leafUuid": "u"} for s in ("old", "new")]
    assert _parse(by_hand, _line("u"), *summaries).title == "Rye"
    assert _parse(_line("u"), *summaries).title == "new"
    assert _parse(_line("u")).title is None


def test_a_call_at_the_end_waits_for_its_result() -> None:
    call = _answer("a", "m", 1, {"type": "tool_use", "id": "t", "name": "B", "input": {}})
    result = _line("r", [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}])
    assert [m.in_flight for m in _parse(_line("u"), call).messages] == [False, True]
    assert not any(m.in_flight for m in _parse(call, result).messages)
    assert not any(m.in_flight for m in _parse(result, call).messages)


# -- damage --------------------------------------------------------------------------


def test_a_damaged_line_is_a_fault_and_costs_no_other() -> None:
    deep = '{"type": "user", "uuid": "d", "message": {"content": ' + "[" * 10_000
    bad = ["{", "7", "[]", '{"type": 5}', '{"type": "user"}', '{"type": NaN}', deep]
    found = _parse(_line("u"), *bad, _line("v"))
    assert _ids(found) == ["u", "v"]
    assert [fault.line for fault in found.faults] == [2, 3, 4, 5, 6, 7, 8]
    assert found.flags == ()


def test_only_a_last_line_without_an_end_is_cut() -> None:
    whole = _raw(_line("u"), _line("v"))
    cut = claude_code_jsonl.parse(whole[:-9], "x")
    assert (_ids(cut), cut.flags) == (["u"], ("truncated_tail",))
    assert cut.faults[0].line == 2
    damaged = claude_code_jsonl.parse(whole[:-9] + b"\n", "x")
    assert (len(damaged.faults), damaged.flags) == (1, ())
    assert claude_code_jsonl.parse(whole[:-1], "x").flags == ()


def test_a_file_of_which_nothing_can_be_read_is_refused_with_its_line() -> None:
    with pytest.raises(MalformedExport, match="line 1 is type user without a message"):
        _parse('{"type": "user"}', "{")


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_change_nothing() -> None:
    plain = _raw(_line("u"), _line("v"))
    odd = b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n\r\n")
    found = formats.parse(odd, "x")
    _check(found, len(odd))
    assert [m.text for m in found.messages] == ["hello", "hello"]
    assert found.faults == ()


def test_what_no_database_holds_as_text_is_escaped_everywhere() -> None:
    line = _line("u\x00", "a\ud800", cwd="/\x00", sessionId="\udfff", slug="\x00")
    found = _parse(json.dumps(line))
    json.dumps([dict(m.extra) for m in found.messages], ensure_ascii=False).encode()
    assert (_ids(found), found.session_id, found.cwd) == (["u␛0000"], "␛DFFF", "/␛0000")


# -- detection, and the form of the web ----------------------------------------------


def test_a_session_that_begins_with_many_summaries_is_claimed() -> None:
    summaries = [{"type": "summary", "summary": f"s{n}", "leafUuid": "x"} for n in range(60)]
    assert formats.recognise(_raw(*summaries, _line("u")), "x") is claude_code_jsonl
    assert formats.recognise(_raw(*summaries), "x") is claude_code_jsonl


def test_the_log_of_prompts_is_no_session() -> None:
    prompt = {"display": "hi", "pastedContents": {}, "timestamp": 1, "project": "/a"}
    for log in (prompt, {**prompt, "sessionId": SESSION}):
        with pytest.raises(UnknownFormat):
            formats.recognise(_raw(log, log), "history.jsonl")


def test_the_form_of_the_web_has_the_same_messages() -> None:
    lines = [_line("u"), _answer("a", "m", 4), _line("u", "changed")]
    document = {"loglines": [*lines, 7], "branch": "main"}
    raw = json.dumps(document, indent=1).encode()
    found = formats.parse(raw, "session.json")
    _check(found, len(raw))
    assert _ids(found) == ["u", "a", "u~2"]
    assert [m.tokens for m in found.messages] == [m.tokens for m in _parse(*lines).messages]
    assert found.header["document"] == {"branch": "main"}
    assert [fault.reason for fault in found.faults] == [
        "element 3 is a int, expected an object"
    ]
