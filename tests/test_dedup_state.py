"""One conversation of the earlier scripts' log: lines become messages, bytes add up."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exportd import formats
from exportd.errors import MalformedExport
from exportd.formats import dedup_state, indexed_json
from exportd.formats.dedup_state import Fault, detect, parse, summary
from exportd.models import Kind, Message, Region, Role, Transcript


def line(index: object = 0, body: Any = "hello", **other: Any) -> bytes:
    """One line of the log; ``other`` replaces or adds members of the line."""
    message = {"index": index, "role": "user", "content": body}
    facts = {
        "conversation_id": "garden",
        "timestamp": "2025-11-17T10:00:00Z",
        "content_hash": "e3b0c442",
        "message": message,
    }
    return json.dumps({**facts, **other}).encode() + b"\n"


def only(raw: bytes) -> Message:
    (message,) = parse(raw, "x.jsonl").messages
    return message


def partition(raw: bytes, transcript: Transcript) -> None:
    parts: list[Message | Region] = [*transcript.messages, *transcript.regions]
    spans = sorted((part.span.start, part.span.end) for part in parts)
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == len(raw)


def refusal(raw: bytes) -> str:
    with pytest.raises(MalformedExport) as caught:
        parse(raw, "x.jsonl")
    return str(caught.value)


# -- one line -----------------------------------------------------------------------


@pytest.mark.parametrize("key", ["role", "type"])
@pytest.mark.parametrize(
    ("said", "role", "kind"),
    [
        ("user", Role.USER, Kind.PROMPT),
        ("prompt", Role.USER, Kind.PROMPT),
        ("assistant", Role.ASSISTANT, Kind.TEXT),
        ("response", Role.ASSISTANT, Kind.TEXT),
        ("tool", Role.TOOL, Kind.TOOL_RESULT),
        ("system", Role.SYSTEM, Kind.TEXT),
    ],
)
def test_the_role_is_what_role_or_type_says(
    key: str, said: str, role: Role, kind: Kind
) -> None:
    message = only(line(message={"index": 0, key: said, "content": "x"}))
    assert (message.role, message.kind) == (role, kind)


@pytest.mark.parametrize("said", ["unknown", "", None, 7, ["user"]])
def test_an_unknown_role_is_system_and_kept(said: object) -> None:
    message = only(line(message={"index": 0, "role": said, "content": "x"}))
    assert message.role is Role.SYSTEM
    assert message.extra["message"]["role"] == said


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        (["a", {"type": "p", "data": "b"}], "a\n\nb"),
        ([{"type": "pre", "data": "x = 1", "language": "py"}], "```py\nx = 1\n```"),
        ([], ""),
        ({"exit": 0}, '{"exit": 0}'),
        (None, "null"),
        (3.5, "3.5"),
        (True, "true"),
        ("\x00\ud800", "␛0000␛D800"),
    ],
)
@pytest.mark.parametrize("key", ["content", "message"])
def test_a_body_of_any_shape_becomes_text(key: str, body: object, text: str) -> None:
    assert only(line(message={"index": 0, "role": "user", key: body})).text == text


def test_a_message_without_a_body_is_an_empty_one() -> None:
    message = only(line(message={"index": 4, "role": "user", "note": "cut"}))
    assert (message.text, message.source_index) == ("", 4)
    assert message.extra["message"] == {"index": 4, "note": "cut"}


def test_what_is_not_used_is_kept() -> None:
    raw = line(checkpoint="sprint-1", message={"index": 2, "role": "user", "content": "x",
                                               "message": "y", "tool": {"a": 1}})  # fmt: skip
    message = only(raw)
    assert message.text == "y"
    assert message.extra == {
        "line": {"content_hash": "e3b0c442", "checkpoint": "sprint-1"},
        "message": {"index": 2, "content": "x", "tool": {"a": 1}},
    }


@pytest.mark.parametrize(
    ("stamp", "moment", "kept"),
    [
        ("2025-11-17T10:00:00Z", datetime(2025, 11, 17, 10, tzinfo=UTC), None),
        ("2025-11-17T10:00:00+02:00", datetime(2025, 11, 17, 8, tzinfo=UTC), None),
        ("2025-11-17", datetime(2025, 11, 17, tzinfo=UTC), "UTC, for it names no time zone"),
        ("2025-11-17T10:00:00.5", datetime(2025, 11, 17, 10, 0, 0, 500_000, UTC),
         "UTC, for it names no time zone"),
        ("yesterday", None, None),
        ("0001-01-01T00:00:00+05:00", None, None),
        (1763373600, None, None),
        (None, None, None),
    ],
)  # fmt: skip
def test_the_time_is_utc_and_what_was_assumed_is_said(
    stamp: object, moment: datetime | None, kept: str | None
) -> None:
    message = only(line(timestamp=stamp))
    assert message.occurred_at == moment
    assert message.extra["line"].get("timestamp_read_as") == kept
    understood = moment is not None and kept is None
    assert ("timestamp" in message.extra["line"]) is not understood


# -- the whole file -----------------------------------------------------------------


def test_indices_that_grow_are_places() -> None:
    transcript = parse(line(0) + line(1) + line(7), "x.jsonl")
    assert [m.source_index for m in transcript.messages] == [0, 1, 7]
    assert transcript.flags == ()


@pytest.mark.parametrize(
    "indices",
    [(0, 0), (0, 2, 1), (0, None), (0, "1"), (0, True), (0, -1), (0, 2**31), (0, 1.0)],
)
def test_indices_that_do_not_grow_count_for_nothing_and_are_kept(
    indices: tuple[object, ...],
) -> None:
    transcript = parse(b"".join(map(line, indices)), "x.jsonl")
    assert {m.source_index for m in transcript.messages} == {None}
    assert transcript.flags == ("indices_not_growing",)
    assert [m.extra["message"]["index"] for m in transcript.messages] == list(indices)


def test_the_conversation_names_itself() -> None:
    transcript = parse(line(conversation_id="Rollout \ud800/Master"), "other-name.jsonl")
    assert transcript.session_id == "Rollout ␛D800/Master"
    assert transcript.header == {"conversation_id": "Rollout ␛D800/Master"}


@pytest.mark.parametrize(
    "raw",
    [
        line(0) + line(1),
        (line(0) + line(1)).removesuffix(b"\n"),
        line(0) + b"\n  \n" + line(1) + b"\r\n",
        b"\xef\xbb\xbf" + line(0) + line(1),
        b"\xef\xbb\xbf" + line(0) + b"\xef\xbb\xbf" + line(1),
        (line(0) + line(1)).replace(b"\n", b"\r\n"),
        b"\n\n" + line(0) + line(1),
    ],
)
def test_spans_partition_the_file(raw: bytes) -> None:
    transcript = parse(raw, "x.jsonl")
    assert len(transcript.messages) == 2
    partition(raw, transcript)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"conversation_id": "garden", "mess\n', "line 2: not JSON (cut off or damaged)"),
        (b'{"conversation_id": "\xff"}\n', "line 2: not UTF-8"),
        (b"[1, 2]\n", "line 2: no JSON object"),
        (b'"text"\n', "line 2: no JSON object"),
        (line(conversation_id=None), "line 2: no conversation_id"),
        (line(conversation_id=""), "line 2: no conversation_id"),
        (line(conversation_id=5), "line 2: no conversation_id"),
        (line(message="text"), "line 2: no message object"),
        (line(message=None), "line 2: no message object"),
        (line(0).replace(b"0,", b"NaN,", 1), "line 2: NaN is no JSON"),
        (line(0).replace(b'"hello"', b"[" * 100_000), "line 2: JSON nested too deeply"),
    ],
)
def test_a_corrupt_line_is_named_with_the_way_out(bad: bytes, reason: str) -> None:
    told = refusal(line(0) + bad + line(1))
    assert told.startswith(reason)
    assert "exportd import-state" in told


def test_a_log_of_several_conversations_is_refused_with_the_way_out() -> None:
    told = refusal(line(0) + line(1, conversation_id="kitchen"))
    assert told == (
        "2 conversations in one file (line 1 is of garden, line 2 of kitchen); expected one: "
        "take the folder over with 'exportd import-state DIR'"
    )


def test_a_summary_names_every_line_once() -> None:
    faults = [Fault(n, "not UTF-8" if n == 9 else "no JSON object") for n in (3, 7, 8, 9, 12)]
    assert summary(faults) == "lines 3, 7 to 8, 12: no JSON object; line 9: not UTF-8"


# -- which files --------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        line(0),
        line(0).removesuffix(b"\n"),
        b"\xef\xbb\xbf" + line(0),
        b"\n" + line(0),
        b"torn\n" + line(0),
        line(0, "x" * 200_000),
        line(0, {"messages": [{"index": 0, "type": "prompt", "message": "x"}]}),
        line(0, '{"messages": [{"index": 0}]}'),
        line(0, "> a\n\n⏺ b\n  ⎿  c\n"),
    ],
)
def test_a_log_is_claimed_by_this_format_alone(raw: bytes) -> None:
    assert formats.recognise(raw[: formats.HEAD_BYTES], "any.txt") is dedup_state


@pytest.mark.parametrize(
    "raw",
    [
        b'{"title": "t", "mapping": {"message": {}}, "conversation_id": "x"}\n',
        b'{"sessionId": "x", "type": "user", "message": {"role": "user"}}\n',
        b'{"conversation_id": "x"}\n',
        b'{"a": {"conversation_id": "x", "message": {}}}\n',
        b'{"a": "\\"conversation_id\\" \\"message\\"',
        b"conversation_id message\n",
    ],
)
def test_what_only_looks_like_it_is_not_claimed(raw: bytes) -> None:
    why = detect(raw, "conversation_log.jsonl")
    assert not why.certain
    assert why.reason == "no line has conversation_id and message"


def test_an_indexed_export_is_known_by_its_own_list_and_not_by_one_inside() -> None:
    inside = b'{"a": {"messages": [{"index": 0}]}}'
    assert not indexed_json.detect(inside, "x.json").certain
    both = b'{"meta": {"messages": [1]}, "messages": [{"index": 0, "type": "prompt"}]}'
    assert indexed_json.detect(both, "x.json").certain


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.lists(st.tuples(_VALUES, _VALUES, _VALUES), min_size=1, max_size=5))
def test_any_values_are_read_and_every_byte_is_accounted_for(
    rows: list[tuple[Any, Any, Any]],
) -> None:
    raw = b"".join(
        line(index, body, timestamp=stamp, message={"index": index, "type": stamp, "x": body})
        for index, body, stamp in rows
    )
    transcript = parse(raw, "x.jsonl")
    assert len(transcript.messages) == len(rows)
    partition(raw, transcript)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_with_a_line_number(raw: bytes) -> None:
    with suppress(MalformedExport):
        partition(line(0) + raw, parse(line(0) + raw, "x.jsonl"))


@pytest.mark.parametrize(
    ("raw", "near"),
    [
        (b'{"conversation_id": "x", "content_hash": "e3", "message": 7}\n', True),
        (b'{"conversation_id": "x", "content_hash": "e3"}\n', True),
        (b'{"title": "t", "mapping": {"message": {}}, "conversation_id": "x"}\n', False),
        (b'{"message": "a"}\n', False),
    ],
)
def test_a_log_of_unusable_lines_comes_near_and_a_chatgpt_conversation_does_not(
    raw: bytes,
    near: bool,  # noqa: FBT001
) -> None:
    assert (detect(raw, "any").certain, detect(raw, "any").is_near) == (False, near)
