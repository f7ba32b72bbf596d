"""The identity of a text: equal for every rendering, different for every other text."""

from __future__ import annotations

import hashlib
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exportd.fingerprint import (
    anchors,
    compact,
    continues,
    equal_places,
    fingerprint,
    is_anchor,
    matching,
    places,
)
from exportd.models import Kind, Message, Place, Role, Span

WORDS = st.lists(st.text(min_size=1), min_size=1, max_size=8)
GAPS = st.text(alphabet=" \t\n\r\u00a0\u2003\x0b\x0c", max_size=4)


def _place(text: str, role: Role = Role.USER, kind: Kind = Kind.PROMPT) -> Place:
    return Place(role, kind, None, frozenset({fingerprint(role, text)}), text)


def test_fingerprint_is_sha256_of_role_nul_and_compact_text() -> None:
    expected = hashlib.sha256(b"user\0helloworld").hexdigest()
    assert fingerprint(Role.USER, " hello\n  world ") == expected


@given(st.text())
def test_compact_text_has_no_whitespace_and_stays_as_it_is(text: str) -> None:
    bare = compact(text)
    assert not any(char.isspace() for char in bare)
    assert compact(bare) == bare


@given(WORDS, st.data())
def test_whitespace_anywhere_does_not_change_a_fingerprint(
    words: list[str], data: st.DataObject
) -> None:
    gaps = [data.draw(GAPS) for _ in words]
    wrapped = "".join(gap + word for gap, word in zip(gaps, words, strict=True))
    assert fingerprint(Role.TOOL, wrapped) == fingerprint(Role.TOOL, "".join(words))


@given(st.text())
def test_composed_and_decomposed_letters_have_one_fingerprint(text: str) -> None:
    forms = {
        fingerprint(Role.USER, unicodedata.normalize(form, text)) for form in ("NFC", "NFD")
    }
    assert forms == {fingerprint(Role.USER, text)}


@given(st.text(), st.text())
def test_other_words_have_another_fingerprint(one: str, other: str) -> None:
    same = fingerprint(Role.USER, one) == fingerprint(Role.USER, other)
    assert same == (compact(one) == compact(other))


def test_the_same_words_of_another_role_are_another_message() -> None:
    assert len({fingerprint(role, "continue") for role in Role}) == len(Role)


def test_case_and_punctuation_count() -> None:
    assert len({fingerprint(Role.USER, text) for text in ("yes", "Yes", "yes.")}) == 3


def test_compatibility_forms_stay_apart() -> None:
    assert fingerprint(Role.USER, "x²") != fingerprint(Role.USER, "x2")


def test_places_hold_what_alignment_looks_at() -> None:
    message = Message(
        Role.TOOL,
        Kind.TOOL_RESULT,
        "Running…",
        Span(0, 9),
        source_index=3,
        in_flight=True,
        extra={"tool": "Bash"},
    )
    hashes = frozenset({fingerprint(Role.TOOL, "Running…")})
    assert places([message]) == [
        Place(Role.TOOL, Kind.TOOL_RESULT, "Bash", hashes, "Running…", 3, in_flight=True)
    ]


@pytest.mark.parametrize(
    ("role", "kind", "expected"),
    [
        (Role.USER, Kind.PROMPT, True),
        (Role.USER, Kind.COMMAND, True),
        (Role.ASSISTANT, Kind.TEXT, True),
        (Role.ASSISTANT, Kind.THINKING, False),
        (Role.ASSISTANT, Kind.TOOL_CALL, False),
        (Role.TOOL, Kind.TOOL_RESULT, False),
        (Role.SYSTEM, Kind.NOTICE, False),
        (Role.SYSTEM, Kind.TEXT, False),
    ],
)
def test_only_prompts_and_prose_are_anchors(role: Role, kind: Kind, expected: bool) -> None:  # noqa: FBT001
    assert is_anchor(_place("x", role, kind)) is expected


def test_anchors_keep_their_order() -> None:
    run = [_place("b"), _place("r", Role.TOOL, Kind.TOOL_RESULT), _place("a")]
    assert anchors(run) == [run[0], run[2]]


def test_a_text_continues_in_its_longer_form_whatever_its_wrapping() -> None:
    assert continues(_place("I'll re\nad"), _place("I'll read the plan"))
    assert not continues(_place("I'll read the plan"), _place("I'll read"))
    assert not continues(_place("plan"), _place("the plan"))
    assert not continues(_place("I'll"), _place("I'll go", Role.ASSISTANT, Kind.TEXT))


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_matching_pairs_equal_elements_in_ascending_order(a: list[str], b: list[str]) -> None:
    pairs = matching(a, b)
    assert all(a[i] == b[j] for i, j in pairs)
    assert all(i < k and j < m for (i, j), (k, m) in pairwise(pairs))


@given(st.lists(st.sampled_from("abcd")))
def test_a_run_matches_itself_whole(run: list[str]) -> None:
    assert matching(run, run) == [(n, n) for n in range(len(run))]


HASHED = st.lists(
    st.frozensets(st.sampled_from(["h1", "h2", "h3", "h4"]), min_size=1, max_size=2),
    max_size=5,
)


def _hashed(hashes: frozenset[str]) -> Place:
    return Place(Role.USER, Kind.PROMPT, None, hashes, "")


@given(HASHED, HASHED)
@example([frozenset({"h1"}), frozenset({"h2"}), frozenset({"h1", "h2"})], [frozenset({"h2"})])
def test_only_places_that_share_a_rendering_are_equal(
    a: list[frozenset[str]], b: list[frozenset[str]]
) -> None:
    for i, j in equal_places([_hashed(h) for h in a], [_hashed(h) for h in b]):
        assert a[i] & b[j]


def test_a_place_is_found_by_any_of_its_renderings() -> None:
    stored = [_hashed(frozenset({"wide", "narrow"})), _hashed(frozenset({"other"}))]
    for seen in ("wide", "narrow"):
        assert equal_places(stored, [_hashed(frozenset({seen}))]) == [(0, 0)]
