"""What people type, and the part of a message they are shown. Pure."""

from __future__ import annotations

import re
import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exportd.errors import RefusedRequest
from exportd.render.hits import hits
from exportd.search.hits import Found, Hit, Message
from exportd.search.query import like, parse
from exportd.search.snippets import (
    Piece,
    literal_pattern,
    similar_words,
    snippet,
    words_pattern,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@pytest.mark.parametrize(
    ("text", "tsquery"),
    [
        ("stale plan", "((('stale' | 'stal')) & ('plan'))"),
        ('"stale plans"', "(('stale' <-> 'plans'))"),
        ("store/staging.py", "(('store' <-> 'staging' <-> 'py'))"),
        ("migr* yes", "(('migr':*) & ('yes'))"),
        ("store/sta*", "(('store' <-> 'sta':*))"),
        ("plan -yoyo", "(('plan') & !('yoyo'))"),
        ('plan -"a b"', "(('plan') & !('a' <-> 'b'))"),
        ("plan OR retry wait", "(('plan')) | (('retry') & ('wait'))"),
        ("--limit", "(('limit'))"),
        ("OR plan OR", "(('plan'))"),
        ('"open end', "(('open') & ('end'))"),
        ("plan :*", "(('plan'))"),
        ("a';DROP", "(('a' <-> 'DROP'))"),
    ],
)
def test_what_is_typed_becomes_a_query(text: str, tsquery: str) -> None:
    assert parse(text).tsquery({"stale": "stal", "DROP": "drop"}).query == tsquery


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found nothing"),
        (" \n", "found nothing"),
        ("... --", "--literal"),
        ("-plan", "expected a word beside it"),
        ("plan OR -wait", "expected a word beside it"),
        ("a\x00b", "NUL"),
        ("x" * 2001, "at most 2,000 bytes"),
        ("a " * 2001, "at most 4,000 characters"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(text: str, told: str) -> None:
    with pytest.raises(RefusedRequest, match=re.escape(told)):
        parse(text)


def test_a_like_pattern_has_no_wildcard_of_the_text() -> None:
    assert like(r"50%_\x") == r"%50\%\_\\x%"


def shown(text: str, typed: str, **endings: list[str]) -> str:
    """The snippet, matches in brackets."""
    pieces = snippet(text, words_pattern(parse(typed), endings))
    return "".join(f"[{p.text}]" if p.is_match else p.text for p in pieces)


def test_whole_words_are_highlighted_with_their_endings_phrases_as_such() -> None:
    assert shown("Plans: replan the PLAN", "plan", plan=["plans"]) == (
        "[Plans]: replan the [PLAN]"
    )
    assert shown("in store / staging.py, not staging", "store/staging.py") == (
        "in [store / staging.py], not staging"
    )
    assert shown("migrate immigrate", "migr*") == "[migrate] immigrate"
    assert shown("plan and yoyo", "plan -yoyo") == "[plan] and yoyo"
    assert similar_words(["Plans éplan x1 p"], ["plan"], 9) == ["plans", "p"]


def test_the_snippet_is_where_most_of_the_query_stands() -> None:
    text = "stale " * 20 + "and nothing " * 60 + "the stale plan " + "and so on " * 60
    told = shown(text, "stale plan")
    assert "the [stale] [plan] and" in told
    assert told.startswith("… ")
    assert told.endswith(" …")
    assert len(told) < 260


@given(TEXTS, st.text(string.ascii_letters, min_size=1))
def test_a_snippet_is_a_stretch_of_the_text(text: str, word: str) -> None:
    line = " ".join(text.split())
    pieces = snippet(text, words_pattern(parse(word), {}), width=80)
    told = "".join(piece.text for piece in pieces)
    assert told.removeprefix("… ").removesuffix(" …") in line
    assert len(told) <= 84
    assert all(word.casefold() == p.text.casefold() for p in pieces if p.is_match)


@given(TEXTS, TEXTS.filter(str.strip), TEXTS)
def test_a_literal_is_found_where_it_stands(before: str, text: str, after: str) -> None:
    pieces = snippet(f"{before} {text.strip()} {after}", literal_pattern(text), width=5_000)
    assert any(piece.is_match for piece in pieces)


def test_neither_control_characters_nor_made_up_highlights_reach_the_terminal() -> None:
    moment = datetime(2026, 1, 12, 10, tzinfo=UTC)
    evil = Message("id\x1b[1m", 3, "user", "prompt", "T\x07", moment, moment, "")
    pieces = (Piece("\x1b]0;x\x07<b>", is_match=False), Piece("hit\u202e", is_match=True))
    told = "".join(hits(Found((Hit(evil, pieces),), 1), lambda text: f"\x1b[1m{text}\x1b[0m"))
    assert told.replace("\x1b[1m", "{").replace("\x1b[0m", "}") == (
        "{id\\x1b[1m 3}  user, prompt of T\\x07, 2026-01-12 10:00 UTC\n"
        "    \\x1b]0;x\\x07<b>{hit\\u202e}\n\n1 message.\n"
    )
