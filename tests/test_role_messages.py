"""API transcripts and chat exporters: whose a message is, and that nothing of it is lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exportd import formats
from exportd.errors import MalformedExport, UnknownFormat
from exportd.formats import role_messages
from exportd.models import Fault, Message, Region, Transcript

BASE64 = "QUJD" * 100
URL = f"data:image/png;base64,{BASE64}"
PICTURE = {"type": "image", "source": {"type": "base64", "data": BASE64}}
FLOUR = "flour " * 50
USER = {"role": "user", "content": "hello"}


def _read(*records: Any, **facts: Any) -> Transcript:
    raw = json.dumps({**facts, "messages": list(records)}).encode()
    assert formats.recognise(raw, "any") is role_messages
    return role_messages.parse(raw, "any")


def _one(**record: Any) -> Message:
    (message,) = _read({"role": "assistant", **record}).messages
    return message


def _told(transcript: Transcript) -> list[tuple[str, str, str]]:
    return [(m.role, m.kind, m.text) for m in transcript.messages]


@pytest.mark.parametrize(
    ("block", "role", "kind", "text", "extra"),
    [
        ({"type": "text", "text": "a"}, "assistant", "text", "a", {}),
        (
            {"type": "text", "text": "a", "citations": [{"url": "u"}]},
            "assistant", "text", "a", {"block": {"citations": [{"url": "u"}]}},
        ),
        (
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            "assistant", "thinking", "hm", {"block": {"signature": "s"}},
        ),
        (
            {"type": "redacted_thinking", "data": "enc"},
            "assistant", "thinking", "[redacted thinking]",
            {"block": {"type": "redacted_thinking", "data": "enc"}},
        ),
        (
            {"type": "tool_use", "id": "c", "name": "Bake", "input": {"at": 230}},
            "assistant", "tool_call", 'Bake({"at": 230})',
            {"tool": "Bake", "input": {"at": 230}, "call_id": "c"},
        ),
        (
            {"type": "server_tool_use", "id": "c", "name": "web_search", "input": {"q": "rye"}},
            "assistant", "tool_call", 'web_search({"q": "rye"})',
            {"tool": "web_search", "input": {"q": "rye"}, "call_id": "c",
             "block": {"type": "server_tool_use"}},
        ),
        (
            {"type": "tool_result", "tool_use_id": "c", "content": "burnt", "is_error": True},
            "tool", "tool_result", "burnt", {"call_id": "c", "is_error": True},
        ),
        (
            {"type": "mcp_tool_result", "tool_use_id": "c",
             "content": [{"type": "text", "text": "x"}]},
            "tool", "tool_result", "x", {"call_id": "c", "block": {"type": "mcp_tool_result"}},
        ),
        (
            {"type": "document", "title": "T", "source": {"type": "text", "data": FLOUR}},
            "assistant", "attachment", FLOUR,
            {"block": {"type": "document", "title": "T", "source": {"type": "text"}}},
        ),
        ({"type": "novel", "n": 1}, "assistant", "attachment", '{"type": "novel", "n": 1}',
         {"block": {"type": "novel", "n": 1}}),
        (7, "assistant", "attachment", "7", {"block": 7}),
    ],
)  # fmt: skip
def test_a_block_is_shown_as_what_it_is_and_keeps_the_rest(
    block: Any, role: str, kind: str, text: str, extra: dict[str, Any]
) -> None:
    message = _one(content=[block])
    assert (message.role, message.kind, message.text) == (role, kind, text)
    assert message.extra == extra


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (PICTURE, "[image]"),
        ({"type": "image_url", "image_url": {"url": URL}}, "[image]"),
        ({"type": "document", "source": {"type": "base64", "data": BASE64}}, "[document]"),
        ({"type": "input_audio", "input_audio": {"data": BASE64}}, "[audio]"),
        ({"type": "tool_result", "content": [PICTURE]}, "[image]"),
    ],
)  # fmt: skip
def test_a_picture_is_named_and_its_base64_is_kept_out(block: Any, text: str) -> None:
    message = _one(content=[block])
    assert message.text == text
    assert BASE64 not in json.dumps(message.extra)
    assert "characters of base64]" in json.dumps(message.extra)


def test_the_first_message_of_a_record_has_its_place_and_its_facts() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    first, second = _read(
        {"role": "assistant", "content": content, "id": "m", "mood": 1}
    ).messages
    assert first.span.start < first.span.end == second.span.start == second.span.end
    assert first.extra == {"api_message_id": "m", "raw": {"mood": 1}}
    assert second.extra == {}
    assert first.source_id is second.source_id is None


def test_an_openai_conversation_with_calls_and_their_results() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    read = _read(
        {"role": "developer", "content": "be brief"},
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
        {"role": "assistant", "function_call": {"name": "old", "arguments": "{}"}},
        {"role": "function", "name": "old", "content": "2"},
        {"role": "assistant", "reasoning_content": "sum", "content": "3"},
    )
    assert _told(read) == [
        ("system", "notice", "be brief"),
        ("user", "prompt", "hello"),
        ("assistant", "tool_call", 'f({"a": 1})'),
        ("tool", "tool_result", "1"),
        ("assistant", "tool_call", "old({})"),
        ("tool", "tool_result", "2"),
        ("assistant", "thinking", "sum"),
        ("assistant", "text", "3"),
    ]
    assert [dict(m.extra) for m in read.messages[2:6]] == [
        {"tool": "f", "input": '{"a": 1}', "call_id": "c"},
        {"call_id": "c"},
        {"tool": "old", "input": "{}"},
        {"tool": "old"},
    ]


@pytest.mark.parametrize("calls", [[None], [7], [{"function": []}], [{"custom": {"name": 1}}]])
def test_a_call_that_names_no_tool_is_kept_as_it_stands(calls: list[Any]) -> None:
    message = _one(content=None, tool_calls=calls)
    assert message.kind == "tool_call"
    assert message.text == json.dumps(calls[0])


def test_tokens_from_the_cache_are_not_counted_as_new() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 80},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    message = _one(content="a", usage=usage)
    assert message.tokens == {
        "input": 20, "cache_read": 80, "output": 50, "reasoning": 30, "total": 150,
    }  # fmt: skip
    assert message.extra["raw"] == {"usage": usage}


@pytest.mark.parametrize("odd", [-5, True, "80", 10**30, None, [], {}])
def test_an_odd_count_is_no_count(odd: Any) -> None:
    details = {"cached_tokens": odd}
    message = _one(content="a", usage={"prompt_tokens": 100, "prompt_tokens_details": details})
    assert message.tokens == {"input": 100, "total": 100}


def test_the_first_time_that_can_be_read_counts_and_others_are_kept() -> None:
    message = _one(content="a", timestamp="soon", created_at="2026-01-02T03:04:05+01:00")
    assert message.occurred_at == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert message.extra == {"raw": {"timestamp": "soon"}}


@pytest.mark.parametrize("empty", [None, "", [], [None, ""]])
def test_an_answer_without_a_word_is_an_empty_message(empty: Any) -> None:
    message = _one(content=empty)
    assert (message.kind, message.text, message.extra) == ("text", "", {})


def test_what_has_two_bodies_keeps_both() -> None:
    assert _one(content="a", say="b").extra == {"raw": {"say": "b"}}
    assert _one(content=None, say="b").text == "b"


def test_a_role_beside_the_messages_hides_none() -> None:
    """As saved by tools that note who the file is about; it was read as a lone response."""
    read = _read(USER, role="baker", type="message")
    assert _told(read) == [("user", "prompt", "hello")]
    assert read.header == {"role": "baker", "type": "message"}


def test_what_the_model_was_told_first_comes_first() -> None:
    told = [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}]
    read = _read(USER, system=told, title={"odd": 1}, tools=[{"name": "f"}])
    assert _told(read) == [("system", "notice", "be kind"), ("user", "prompt", "hello")]
    assert read.messages[0].extra == {"block": told}
    assert (read.title, read.header) == (None, {"title": {"odd": 1}, "tools": [{"name": "f"}]})


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (5, "element 1 is a int, expected an object"),
        ({"role": "alien", "content": "b"}, 'a message without a usable role ("alien")'),
        ({"content": "b"}, "a message without a usable role (none)"),
        ({"role": ["user"], "content": "b"}, 'a message without a usable role (["user"])'),
        ({"role": "user"}, "a message without a usable content"),
        (
            {"role": "user", "content": 7},
            "a message whose content is a int, expected text or blocks",
        ),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_read_costs_no_other(record: Any, reason: str) -> None:
    raw = json.dumps({"messages": [USER, record, USER]}, indent=0).encode()
    read = role_messages.parse(raw, "any")
    assert [m.text for m in read.messages] == ["hello", "hello"]
    (fault,) = read.faults
    assert fault.reason == reason
    assert json.loads(raw[fault.span.start : fault.span.end]) == record
    assert fault.line == 1 + raw[: fault.span.start].count(b"\n")


def test_a_file_of_which_no_message_can_be_read_is_refused() -> None:
    with pytest.raises(MalformedExport, match=r"none of 2 messages .* content is a int"):
        _read({"role": "user", "content": 7}, None)


def test_a_damaged_first_record_does_not_hide_the_format() -> None:
    assert len(_read({"role": "alien"}, 3, USER).messages) == 1


def test_a_cut_off_document_says_where() -> None:
    with pytest.raises(MalformedExport, match="line 2 of 2, column 11"):
        role_messages.parse(
            b'{"messages": [{"role": "user", "content": "a"},\n {"role": "as', "any"
        )


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"messages": [{"role": "alien", "content": "a"}]}, "no known role with content"),
        ({"messages": [{"role": "user", "parts": []}]}, "no known role with content"),
        ({"model": "m", "tools": [], "text": ["x"]}, "no list messages near its beginning"),
    ],
)
def test_what_comes_near_is_told_what_it_misses(document: dict[str, Any], why: str) -> None:
    with pytest.raises(UnknownFormat, match=why):
        formats.parse(json.dumps(document).encode(), "any")


@pytest.mark.parametrize(
    "document",
    [
        {"uuid": "u", "chat_messages": [{"uuid": "m", "text": "a", "sender": "human"}]},
        {"mapping": {"n": {"message": None, "parent": None, "children": []}}},
        {"info": {"id": "s"}, "messages": [{"info": {"id": "m", "role": "user"}, "parts": []}]},
        {"sessionId": "s", "messages": [{"id": "m", "type": "user", "content": "a"}]},
        {"messages": [{"index": 0, "role": "user", "content": "a"}]},
        {"messages": [{"index": 0, "type": "prompt", "message": "a"}]},
        {"x": {"messages": [USER]}},
        {"uuid": "u", "chat_messages": [], "messages": [USER]},
        {"mapping": {}, "messages": [USER]},
        {"type": "user", "message": USER, "messages": [USER]},
        {"type": "message", "role": "user", "content": []},
    ],
)  # fmt: skip
def test_exports_of_other_tools_are_left_to_them(document: dict[str, Any]) -> None:
    assert not role_messages.detect(json.dumps(document).encode(), "any").certain


@given(
    st.recursive(
        st.sampled_from([None, True, 7, 1e300, "text", "\ud800\0", "tool_use", "tool_result"]),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "source", "data", "name", "input", "id",
                             "function", "custom", "arguments", "thinking", "usage"]),
            inner, max_size=4,
        ),
        max_leaves=12,
    )
)  # fmt: skip
def test_any_content_is_read_to_the_last_byte_or_refused(value: Any) -> None:
    record = {"role": "assistant", "content": value, "tool_calls": value, "usage": value}
    raw = json.dumps({"system": value, "messages": [USER, record]}).encode()
    read = role_messages.parse(raw, "any")
    parts: list[Message | Region | Fault] = [*read.messages, *read.regions, *read.faults]
    spans = [part.span for part in parts]
    edges = sorted((span.start, span.end) for span in spans)
    assert [0, *(end for _, end in edges)] == [*(start for start, _ in edges), len(raw)]
    json.dumps([dict(m.extra) for m in read.messages], ensure_ascii=False).encode()
