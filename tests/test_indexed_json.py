"""Indexed JSON of browser extensions: both shapes, and what breaks the rules."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exportd.errors import MalformedExport
from exportd.fingerprint import fingerprint
from exportd.formats.indexed_json import detect, parse
from exportd.formats.text import count_escaped, unescape
from exportd.models import Kind, Message, Region, Role, Transcript


def _export(*records: Any, **header: Any) -> bytes:
    facts = {"exported_at": "2024-03-19 16:03:09", **header, "messages": list(records)}
    return json.dumps(facts).encode()


def _record(index: int = 0, said: str = "prompt", message: Any = "hello") -> dict[str, Any]:
    return {"index": index, "type": said, "message": message}


def _texts(raw: bytes) -> list[str]:
    return [message.text for message in parse(raw, "chat.json").messages]


def _partition(raw: bytes, transcript: Transcript) -> None:
    parts: list[Message | Region] = [*transcript.messages, *transcript.regions]
    spans = sorted((part.span.start, part.span.end) for part in parts)
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == len(raw)


def test_both_shapes_give_the_same_messages() -> None:
    records = [_record(), _record(1, "response", [{"type": "p", "data": "Hi"}])]
    flat = _export(*records, title="t")
    nested = json.dumps({"meta": {"title": "t"}, "chats": records}).encode()
    one, other = parse(flat, "a"), parse(nested, "b")
    assert [(m.role, m.kind, m.text, m.source_index) for m in one.messages] == [
        (m.role, m.kind, m.text, m.source_index) for m in other.messages
    ]
    assert one.title == other.title == "t"


@pytest.mark.parametrize(
    ("said", "role", "kind"),
    [
        ("prompt", Role.USER, Kind.PROMPT),
        ("user", Role.USER, Kind.PROMPT),
        ("human", Role.USER, Kind.PROMPT),
        ("response", Role.ASSISTANT, Kind.TEXT),
        ("assistant", Role.ASSISTANT, Kind.TEXT),
        ("system", Role.SYSTEM, Kind.TEXT),
        ("tool", Role.TOOL, Kind.TOOL_RESULT),
    ],
)
def test_the_type_tells_the_role(said: str, role: Role, kind: Kind) -> None:
    (message,) = parse(_export(_record(0, said)), "a").messages
    assert (message.role, message.kind) == (role, kind)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("plain", "plain"),
        (["one", "two"], "one\n\ntwo"),
        ([{"type": "p", "data": "a"}, "b"], "a\n\nb"),
        ([{"type": "pre", "data": "x = 1", "language": "python"}], "```python\nx = 1\n```"),
        ([{"type": "pre", "data": "x"}], "```\nx\n```"),
        ([{"type": "ul", "data": ["a", "b"]}], "- a\n- b"),
        ([{"type": "ol", "data": ["a", "b"]}], "1. a\n2. b"),
        ([{"type": "text", "text": "a"}], "a"),
        ({"type": "p", "data": "alone"}, "alone"),
        ([], ""),
    ],
)
def test_elements_of_a_page_become_markdown(body: Any, text: str) -> None:
    assert _texts(_export(_record(message=body))) == [text]


@pytest.mark.parametrize(
    "item", [{"type": "table", "data": [["a"], ["b"]]}, {"type": "new", "x": "é"}, 7, None]
)
def test_an_unknown_element_stays_as_json(item: Any) -> None:
    (text,) = _texts(_export(_record(message=["before", item])))
    assert json.loads(text.removeprefix("before\n\n")) == item


def test_all_else_that_a_record_carries_is_kept() -> None:
    record = {**_record(), "model": "m", "likes": {"up": 1}}
    (message,) = parse(_export(record), "a").messages
    assert message.extra == {"model": "m", "likes": {"up": 1}}


def test_all_else_that_the_file_carries_is_kept() -> None:
    transcript = parse(_export(_record(), source="page"), "a")
    assert transcript.header == {"exported_at": "2024-03-19 16:03:09", "source": "page"}


def test_gaps_in_the_index_are_kept() -> None:
    raw = _export(_record(0), _record(4, "response"), _record(9))
    assert [m.source_index for m in parse(raw, "a").messages] == [0, 4, 9]


@pytest.mark.parametrize("indices", [(0, 0), (1, 0), (0, 2, 1)])
def test_an_index_that_does_not_grow_is_refused(indices: tuple[int, ...]) -> None:
    with pytest.raises(MalformedExport, match="expected indices that only grow"):
        parse(_export(*map(_record, indices)), "a")


@pytest.mark.parametrize("index", [None, "0", -1, 1.5, True, 2**31])
def test_an_index_that_is_no_whole_number_is_refused(index: Any) -> None:
    with pytest.raises(MalformedExport, match="message 0 has no usable index"):
        parse(_export(_record(index)), "a")


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ("text", "message 0 is a str"),
        ({"index": 0, "message": "x"}, "no usable type"),
        ({"index": 0, "type": "shout", "message": "x"}, "no usable type"),
        ({"index": 0, "type": "prompt"}, "no usable message"),
    ],
)
def test_a_broken_record_is_named(record: Any, complaint: str) -> None:
    with pytest.raises(MalformedExport, match=complaint):
        parse(_export(record), "a")


@pytest.mark.parametrize("said", [[], {}])
def test_a_type_that_is_no_string_is_refused(said: Any) -> None:
    with pytest.raises(MalformedExport):
        parse(_export({"index": 0, "type": said, "message": "x"}), "a")


def test_broken_json_is_refused_with_its_place() -> None:
    with pytest.raises(
        MalformedExport, match=r"broken or truncated JSON at line 2 of 2, column 22: "
    ):
        parse(b'{"messages": [\n{"index": 0, "type": ', "a")


@given(st.integers(min_value=1))
def test_a_truncated_file_is_refused_wherever_it_ends(cut: int) -> None:
    raw = _export(_record(), _record(1, "response", [{"type": "p", "data": "Hi"}]))
    with pytest.raises(MalformedExport):
        parse(raw[: cut % len(raw)], "a")


def test_text_behind_the_object_is_refused() -> None:
    with pytest.raises(MalformedExport, match="Text after the end of the object"):
        parse(_export(_record()) + b" {}", "a")


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(MalformedExport):
        parse(b'{"messages": ' + b"[" * 200_000, "a")


def test_deep_lists_of_a_page_are_refused() -> None:
    deep: Any = "x"
    for _ in range(450):
        deep = {"type": "ul", "data": [deep]}
    with pytest.raises(MalformedExport):
        parse(_export(_record(message=deep)), "a")


def test_an_absurd_number_is_refused() -> None:
    with pytest.raises(MalformedExport):
        parse(b'{"messages": [{"index": 1' + b"0" * 5000 + b"}]}", "a")


def test_trailing_commas_are_forgiven() -> None:
    raw = b'{"messages": [{"index": 0, "type": "prompt", "message": "a"},], "title": "t",}'
    assert _texts(raw) == ["a"]


def test_a_byte_order_mark_is_no_message() -> None:
    raw = b"\xef\xbb\xbf" + _export(_record())
    transcript = parse(raw, "a")
    assert [m.text for m in transcript.messages] == ["hello"]
    _partition(raw, transcript)


def test_no_messages_are_an_empty_transcript() -> None:
    assert parse(_export(), "a").messages == ()


# -- characters --------------------------------------------------------------------------


def test_nul_and_lone_surrogates_from_escapes_are_stored_escaped() -> None:
    raw = _export({**_record(message="a\0b \ud800 ␛"), "note": "\0"}, title="\0")
    transcript = parse(raw, "a")
    assert transcript.messages[0].text == "a␛0000b ␛D800 ␛241B"
    assert transcript.messages[0].extra == {"note": "␛0000"}
    assert transcript.title == "␛0000"


@pytest.mark.parametrize("char", ["␛", "\0"])
def test_a_raw_character_and_its_json_escape_are_one_text(char: str) -> None:
    escaped = _export(_record(message=f"a{char}b"))
    raw = escaped.replace(json.dumps(char)[1:-1].encode(), char.encode())
    assert raw != escaped
    assert _texts(raw) == _texts(escaped)


def test_a_broken_byte_is_escaped_once_and_counted() -> None:
    raw = _export(_record(message="a#b")).replace(b"#", b"\xff")
    (text,) = _texts(raw)
    assert unescape(text) == "a\udcffb"
    assert count_escaped(text) == 1


def test_keys_are_stored_escaped() -> None:
    transcript = parse(_export({**_record(), "k\0": 1}, **{"h\0": 1}), "a")
    assert set(transcript.messages[0].extra) == {"k␛0000"}
    assert "h␛0000" in transcript.header


def test_what_is_kept_of_a_record_is_valid_json() -> None:
    raw = _export({**_record(), "score": 1}).replace(b'"score": 1', b'"score": 1e999')
    (message,) = parse(raw, "a").messages
    assert json.dumps(dict(message.extra), allow_nan=False) == '{"score": "1e999"}'


def test_a_number_of_too_many_digits_is_kept_as_text() -> None:
    digits = "9" * 5000
    raw = _export({**_record(), "score": 1}).replace(
        b'"score": 1', f'"score": {digits}'.encode()
    )
    assert parse(raw, "a").messages[0].extra == {"score": digits}


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_json_has_no_number_for_is_refused(word: str) -> None:
    raw = _export({**_record(), "score": 1}).replace(b'"score": 1', f'"score": {word}'.encode())
    with pytest.raises(MalformedExport, match=f"^{word} is no JSON"):
        parse(raw, "a")


def test_a_title_of_the_file_comes_before_that_of_its_meta() -> None:
    assert (
        parse(_export(_record(), meta={"title": "inner"}, title="outer"), "a").title == "outer"
    )
    assert parse(_export(_record(), meta={"title": "inner"}), "a").title == "inner"
    assert parse(_export(_record(), meta=["no object"]), "a").title is None


# -- laws --------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(
    st.tuples(st.sampled_from(["prompt", "response"]), st.one_of(st.text(), JSON)), max_size=5
).map(lambda said: [_record(2 * n, kind, body) for n, (kind, body) in enumerate(said)])
SPACES = st.sampled_from([None, 1, "\t"])


@given(RECORDS, st.booleans(), SPACES, st.sampled_from([b"", b"\n", b" \r\n"]))
def test_messages_and_regions_partition_any_export(
    records: list[dict[str, Any]],
    ascii_only: bool,  # noqa: FBT001
    indent: int | str | None,
    tail: bytes,
) -> None:
    records = [r for r in records if r["message"] is not None]
    facts = {"title": "ü␛", "messages": records, "é": 1}
    text = json.dumps(facts, ensure_ascii=ascii_only, indent=indent)
    raw = text.encode("utf-8", "surrogatepass") + tail
    transcript = parse(raw, "a")
    assert len(transcript.messages) == len(records)
    _partition(raw, transcript)
    for message, record in zip(transcript.messages, records, strict=True):
        assert json.loads(raw[message.span.start : message.span.end]) == record


@given(st.text())
def test_the_text_of_a_message_can_be_given_back(said: str) -> None:
    (message,) = parse(_export(_record(message=said)), "a").messages
    assert unescape(message.text) == said
    assert "\0" not in message.text


@given(st.text())
def test_the_form_of_the_file_does_not_change_a_fingerprint(said: str) -> None:
    said = said.replace("␛", "").replace("\0", "")
    pretty = json.dumps({"chats": [_record(message=[said])]}, indent=2, ensure_ascii=False)
    one, other = _texts(_export(_record(message=said))), _texts(pretty.encode())
    assert fingerprint(Role.USER, one[0]) == fingerprint(Role.USER, other[0])


@given(st.binary())
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    detect(raw, "a")
    for content in (raw, b'{"messages":[' + raw, b'{"messages":[{"index":0,"type":"' + raw):
        with suppress(MalformedExport):
            _partition(content, parse(content, "a"))
