"""Bytes to text and back: nothing that was read may be lost (HAZARDS of PostgreSQL)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exportd.formats.text import (
    count_escaped,
    decode,
    encode,
    escape,
    escape_value,
    printable,
    unescape,
)

# Every code point, lone surrogates too, and often what the escape is made of.
ANY_TEXT = st.text(
    st.one_of(
        st.sampled_from("␛0DC8241B\x00\ud800\udcff "),
        st.characters(exclude_categories=()),
    )
)


@given(st.binary())
@example(b"\x00")
@example(b"\xc3\x28 cut: \xe2\x9c")
@example("␛0000 ␛241B".encode())
@example(b"\xed\xa0\x80")  # a surrogate in UTF-8, which is no UTF-8
def test_any_bytes_survive_decoding_and_encoding(raw: bytes) -> None:
    assert encode(decode(raw)) == raw


@given(st.binary())
def test_decoded_text_can_be_stored_by_postgresql(raw: bytes) -> None:
    text = decode(raw)
    assert "\x00" not in text
    text.encode("utf-8")  # raises on a lone surrogate


@given(ANY_TEXT)
def test_any_text_survives_its_escape(text: str) -> None:
    assert unescape(escape(text)) == text


@given(ANY_TEXT)
def test_escaped_text_can_be_stored_by_postgresql(text: str) -> None:
    escaped = escape(text)
    assert "\x00" not in escaped
    escaped.encode("utf-8")


@given(ANY_TEXT, ANY_TEXT)
def test_two_texts_never_share_an_escape(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a\x00b", "a␛0000b"),
        (b"cut \xc3", "cut ␛DCC3"),
        ("literal ␛0000".encode(), "literal ␛241B0000"),
        (b"plain", "plain"),
        ("é ✻ 🔐".encode(), "é ✻ 🔐"),
    ],
)
def test_what_cannot_be_stored_is_written_as_four_hex_digits(raw: bytes, text: str) -> None:
    assert decode(raw) == text


def test_a_decomposed_letter_stays_decomposed() -> None:
    assert decode("e\u0301".encode()) == "e\u0301"


def test_an_escape_that_nobody_wrote_is_left_alone() -> None:
    assert unescape("␛ and ␛12 and ␛dcc3") == "␛ and ␛12 and ␛dcc3"


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        (b"", 0),
        (b"\x00\x00", 2),
        (b"\x00 and \xff", 2),
        ("␛".encode(), 0),
        ("␛0000".encode(), 0),
        ("␛241B".encode(), 0),
        ("␛".encode() + b"\x00", 1),
    ],
)
def test_only_characters_that_could_not_be_stored_are_counted(raw: bytes, count: int) -> None:
    assert count_escaped(decode(raw)) == count


@given(st.binary())
def test_count_is_the_number_of_bytes_that_are_nul_or_no_utf8(raw: bytes) -> None:
    unsafe = [c for c in raw.decode("utf-8", "surrogateescape") if c == "\0" or c > "\ud7ff"]
    lone = [c for c in unsafe if c == "\0" or "\udc80" <= c <= "\udcff"]
    assert count_escaped(decode(raw)) == len(lone)


@given(ANY_TEXT)
def test_printable_text_is_one_line_of_printable_characters(text: str) -> None:
    shown = printable(text)
    assert shown == "" or shown.isprintable()
    assert len(shown.splitlines()) <= 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name.txt", "plain name.txt"),
        ("two\nlines", "two\\nlines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("right\u202eto left", "right\\u202eto left"),
        ("Überblick ✻", "Überblick ✻"),
    ],
)
def test_hostile_names_are_shown_with_their_code(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_every_string_in_a_json_value_is_escaped() -> None:
    value = {"a\0": ["b\ud800", 1, None, {"c": "d\0"}], "e": True, "f": 1.5}
    assert escape_value(value) == {
        "a␛0000": ["b␛D800", 1, None, {"c": "d␛0000"}],
        "e": True,
        "f": 1.5,
    }
