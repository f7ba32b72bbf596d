"""What stands at which level of a JSON head that is cut anywhere."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exportd import formats
from exportd.errors import UnknownFormat
from exportd.formats import indexed_json, role_messages
from exportd.formats.heads import is_cut, members, records

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON))
def test_the_members_of_a_whole_document_are_its_keys(document: dict[str, object]) -> None:
    text = json.dumps(document)
    found = members(text)
    assert list(found) == [json.dumps(key)[1:-1] for key in document]
    decoder = json.JSONDecoder()
    assert [decoder.raw_decode(text, at)[0] for at in found.values()] == [*document.values()]


@given(st.lists(JSON))
def test_the_records_of_a_list_are_its_objects(elements: list[object]) -> None:
    text = json.dumps(elements)
    expected = [
        [json.dumps(key)[1:-1] for key in one] for one in elements if isinstance(one, dict)
    ]
    assert [list(own) for own in records(text, 0)] == expected


@given(st.dictionaries(st.text(), JSON), st.integers(0, 200))
def test_a_cut_shows_the_keys_before_it_and_no_other(
    document: dict[str, object], size: int
) -> None:
    text = json.dumps(document)
    whole, cut = [*members(text)], [*members(text[:size])]
    assert cut == whole[: len(cut)]


@pytest.mark.parametrize("text", ["", "[1]", '"a"', "nothing", '{"a', "{"])
def test_what_shows_no_key_has_no_members(text: str) -> None:
    assert members(text) == {}
    assert list(records(text, None)) == []


def test_an_index_in_a_tool_call_is_no_index_of_a_message() -> None:
    used = {"type": "tool_use", "name": "cell", "input": {"index": 0}}
    raw = json.dumps({"messages": [{"role": "assistant", "content": [used]}]}).encode()
    assert formats.recognise(raw, "any") is role_messages
    assert not indexed_json.detect(raw, "any").certain


def test_an_index_of_any_message_makes_it_indexed() -> None:
    records = [{"role": "user", "content": "a"}, {"role": "user", "content": "b", "index": 1}]
    raw = json.dumps({"messages": records}).encode()
    assert formats.recognise(raw, "any") is indexed_json


@given(st.dictionaries(st.text(), JSON), st.integers(1, 200))
def test_a_document_is_cut_wherever_it_ends_early(
    document: dict[str, object], end: int
) -> None:
    text = json.dumps(document)
    assert not is_cut(text)
    assert not is_cut(text + "\n" + text[:-1])  # the first one is whole
    assert is_cut(" " + text[: min(end, len(text) - 1)])


def test_json_that_is_cut_off_is_told_so() -> None:
    with pytest.raises(UnknownFormat, match="cut off"):
        formats.parse(b'{"type":"user","sessionId":"x","mess', "a.jsonl")
