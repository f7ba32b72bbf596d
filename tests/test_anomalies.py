"""What is odd about an export: each rule, and when it stays silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exportd import formats
from exportd.alignment import align
from exportd.anomalies import Finding, find
from exportd.fingerprint import places
from exportd.identity import ExportFact
from exportd.models import Kind, Message, Role, Severity, Span, Transcript
from exportd.placement import Placement, SegmentFact

SAMPLES = Path(__file__).parent / "samples"
NOON = datetime(2025, 11, 20, 12, tzinfo=UTC)


def _messages(*texts: str, indices: tuple[int, ...] = ()) -> tuple[Message, ...]:
    return tuple(
        Message(
            Role.USER,
            Kind.PROMPT,
            text,
            Span(n, n + 1),
            source_index=indices[n] if indices else None,
        )
        for n, text in enumerate(texts)
    )


def _finding(
    messages: tuple[Message, ...],
    stored: tuple[Message, ...] | None = None,
    parted_from: tuple[int, int] | None = None,
) -> Finding:
    """An export of a known conversation; ``stored`` None: a new segment of it."""
    known = stored or ()
    exports = (ExportFact("EXPORT-DECK.txt", len(known), NOON),)
    segment = SegmentFact(1, "deck", 0, len(known), exports) if stored else None
    return Finding(
        name="EXPORT-DECK.txt",
        size_bytes=100,
        transcript=Transcript("f", 1, messages, ()),
        placement=Placement(
            segment, "", align(places(known), places(messages)), None, parted_from
        ),
        known_indices=frozenset(m.source_index for m in known if m.source_index is not None),
        conversation_id="deck",
        reason="EXPORT-{project}",
        conversation_is_new=False,
        elapsed_s=0.1,
    )


def _kinds(of: Finding) -> list[tuple[str, Severity]]:
    return [(anomaly.kind, anomaly.severity) for anomaly in find(of)]


TALK = _messages("count", "why?", "thanks")


def test_a_grown_export_is_nothing_odd() -> None:
    assert find(_finding((*TALK, *_messages("more")), TALK)) == []


def test_a_new_conversation_is_told() -> None:
    (found,) = find(replace(_finding(TALK), conversation_is_new=True))
    assert (found.kind, found.severity) == ("new_conversation", Severity.INFO)
    assert "deck" in found.message
    assert "EXPORT-DECK.txt" in found.message


def _compacted(of: Finding) -> Finding:
    return replace(of, transcript=replace(of.transcript, starts_compacted=True))


def test_a_compacted_segment_without_overlap_may_have_lost_messages() -> None:
    assert _kinds(_compacted(_finding(TALK))) == [
        ("compaction_without_overlap", Severity.WARNING)
    ]


def test_a_compacted_segment_that_is_known_has_lost_nothing() -> None:
    assert find(_compacted(_finding(TALK, TALK))) == []


def test_a_new_segment_without_a_compaction_shares_but_the_name() -> None:
    (found,) = find(_finding(TALK))
    assert (found.kind, found.severity) == ("shared_name", Severity.WARNING)
    assert "deck" in found.message
    assert "EXPORT-DECK.txt" in found.message


def test_a_session_that_parted_from_a_stored_one_is_a_divergence() -> None:
    name, parted = find(_finding(TALK, parted_from=(7, 2)))
    assert name.kind == "shared_name"
    assert (parted.kind, parted.severity) == ("divergence", Severity.WARNING)
    assert parted.details == {"segment_id": 7, "anchors": 2}
    assert "2 prompts and answers" in parted.message
    assert "EXPORT-DECK.txt" in parted.message


def test_a_divergence_is_told_of_a_new_conversation_and_after_a_compaction() -> None:
    of = _finding(TALK, parted_from=(7, 2))
    new = [kind for kind, _ in _kinds(replace(of, conversation_is_new=True))]
    assert new == ["new_conversation", "divergence"]
    compacted = [kind for kind, _ in _kinds(_compacted(of))]
    assert compacted == ["compaction_without_overlap", "divergence"]


def test_a_compacted_first_segment_is_a_new_conversation() -> None:
    first = replace(_compacted(_finding(TALK)), conversation_is_new=True)
    assert [kind for kind, _ in _kinds(first)] == ["new_conversation"]


@pytest.mark.parametrize(("known", "told"), [(0, True), (1, True), (2, False), (4, False)])
def test_less_than_half_recognised_is_low_deduplication(known: int, told: bool) -> None:  # noqa: FBT001
    stored = _messages("alpha", "beta", "gamma", "delta")
    shown = (*stored[:known], *_messages("1", "22", "333", "4444", "55555"))
    found = find(_finding(shown, stored))
    assert [anomaly.kind for anomaly in found] == ["low_deduplication"] * told
    if told:
        assert found[0].details == {"known": known, "shown": known + 5, "stored": 4}


@pytest.mark.parametrize(
    ("indices", "gaps"),
    [
        ((0, 1, 2), []),
        ((0, 1, 5), [(2, 4)]),
        ((0, 2, 4), [(1, 1), (3, 3)]),
        ((3, 4, 5), [(0, 2)]),
    ],
)
def test_every_gap_in_the_indices_is_told(
    indices: tuple[int, ...], gaps: list[tuple[int, int]]
) -> None:
    of = _finding(_messages("a", "b", "c", indices=indices))
    found = find(replace(of, conversation_is_new=True))[1:]
    assert [anomaly.details for anomaly in found] == [{"from": a, "to": b} for a, b in gaps]
    assert {anomaly.kind for anomaly in found} <= {"index_gap"}


def test_a_known_segment_may_start_later() -> None:
    stored = _messages("a", "b", "c", indices=(0, 1, 2))
    shown = _messages("b", "c", "d", indices=(1, 2, 3))
    assert find(_finding(shown, stored)) == []


def test_a_gap_that_the_store_fills_is_no_gap() -> None:
    stored = _messages("a", "b", "c", "d", indices=(0, 1, 2, 3))
    assert find(_finding((stored[0], stored[3]), stored)) == []


def test_a_gap_between_what_is_stored_and_what_is_new_is_told() -> None:
    stored = _messages("a", "b", "c", indices=(0, 1, 4))
    shown = _messages("a", "b", indices=(0, 1))
    late = (*shown, *_messages("x", indices=(9,)))
    assert [a.details for a in find(_finding(late, stored))] == [{"from": 5, "to": 8}]


@pytest.mark.parametrize(
    ("stored", "shown", "gaps"),
    [
        ((0, 1, 4), (0, 1, 4), []),  # told when it was stored
        ((0, 1, 4), (2, 3, 4), []),  # filled
        ((0, 1, 5), (3, 5), [(2, 2), (4, 4)]),  # half filled: what is still open
        ((4, 5), (2, 4), [(0, 1), (3, 3)]),
        ((0, 1), (4, 5), [(2, 3)]),  # a run behind the stored one
        ((0, 1, 2, 9), (0, 3), [(4, 8)]),
        ((0, 9), (0,), []),
        ((0, 9), (), []),
    ],
)
def test_only_gaps_next_to_a_new_index_are_told(
    stored: tuple[int, ...], shown: tuple[int, ...], gaps: list[tuple[int, int]]
) -> None:
    known = _messages(*(f"m{n}" for n in stored), indices=stored)
    found = find(_finding(_messages(*(f"m{n}" for n in shown), indices=shown), known))
    told = [anomaly for anomaly in found if anomaly.kind == "index_gap"]
    assert [a.details for a in told] == [{"from": a, "to": b} for a, b in gaps]
    assert all(
        f"messages {a} to {b} of deck" in t.message
        for t, (a, b) in zip(told, gaps, strict=True)
    )


INDICES = st.frozensets(st.integers(0, 12), max_size=8)


@given(INDICES, INDICES)
def test_every_index_that_is_missing_next_to_a_new_one_is_told_once(
    stored: frozenset[int], shown: frozenset[int]
) -> None:
    of = _finding(_messages(*("m" for _ in shown), indices=tuple(sorted(shown))))
    found = find(replace(of, known_indices=stored))
    told = [
        index
        for anomaly in found
        if anomaly.kind == "index_gap"
        for index in range(anomaly.details["from"], anomaly.details["to"] + 1)
    ]
    assert len(told) == len(set(told))
    assert not set(told) & (stored | shown)
    beside = {index + step for index in shown - stored for step in (-1, 1)}
    missing = beside - stored - shown - {-1, max(shown | stored, default=0) + 1}
    assert missing <= set(told)


def test_an_index_with_other_content_is_told() -> None:
    stored = _messages("a", "b", "c", indices=(0, 1, 2))
    shown = _messages("a", "quite other", "c", indices=(0, 1, 2))
    (found,) = find(_finding(shown, stored))
    assert (found.kind, found.details) == ("index_conflict", {"index": 1})


def test_escaped_characters_are_counted() -> None:
    shown = _messages("a␛0000", "␛DCFF␛DCFE", "literal ␛241B")
    (found,) = find(_finding(shown, shown))
    assert (found.kind, found.severity) == ("escaped_characters", Severity.INFO)
    assert found.details == {"count": 3}


@pytest.mark.parametrize(
    ("size_bytes", "told"), [(10 * 1024**2, False), (10 * 1024**2 + 1, True)]
)
def test_an_export_above_10_mb_is_large(size_bytes: int, told: bool) -> None:  # noqa: FBT001
    found = find(replace(_finding(TALK, TALK), size_bytes=size_bytes))
    assert [anomaly.kind for anomaly in found] == ["large_export"] * told


@pytest.mark.parametrize(("elapsed_s", "told"), [(10.0, False), (10.1, True)])
def test_an_ingest_above_10_s_is_slow(elapsed_s: float, told: bool) -> None:  # noqa: FBT001
    found = find(replace(_finding(TALK, TALK), elapsed_s=elapsed_s))
    assert [(a.kind, a.severity) for a in found] == [("slow_ingest", Severity.WARNING)] * told


def test_the_worst_anomaly_comes_last() -> None:
    of = replace(_compacted(_finding(_messages("a␛0000"))), size_bytes=99**9, elapsed_s=11.0)
    severities = [anomaly.severity for anomaly in find(of)]
    assert len(severities) == 4
    assert severities == sorted(severities, key=list(Severity).index)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("pasted-transcript.txt", {"pasted_transcript"}),
        ("scrollback.md", {"scrollback"}),
        ("logo-2.0.txt", set()),
    ],
)
def test_what_was_read_with_doubt_is_told(name: str, flags: set[str]) -> None:
    transcript = formats.parse((SAMPLES / name).read_bytes(), name)
    of = _finding(transcript.messages, transcript.messages)
    found = find(replace(of, transcript=transcript))
    assert {anomaly.kind for anomaly in found} == flags
    assert {anomaly.severity for anomaly in found} <= {Severity.INFO}


@given(
    st.lists(
        st.sampled_from(["> a\n", "⏺ b\n", "x\n", "> ⏺ c\n", "══ Conversation compacted\n"]),
        min_size=1,
    )
)
def test_every_flag_of_the_parser_has_its_words(lines: list[str]) -> None:
    transcript = formats.claude_code_text.parse("".join(lines).encode(), "a")
    of = replace(_finding(transcript.messages), transcript=transcript)
    kinds = {anomaly.kind for anomaly in find(of)}
    assert kinds >= set(transcript.flags)


def test_no_anomaly_quotes_a_message() -> None:
    secret = _messages("hunter2␛0000", "hunter2 b", indices=(0, 7))
    stored = _messages("hunter2 other", "hunter2 b", indices=(0, 1))
    of = _finding(secret, stored)
    parted = _finding(secret, parted_from=(1, 2))
    every = [of, parted, _compacted(parted), replace(parted, conversation_is_new=True)]
    found = [a for f in every for a in find(replace(f, size_bytes=99**9, elapsed_s=99.0))]
    assert len({anomaly.kind for anomaly in found}) >= 8
    assert not any("hunter2" in f"{a.message} {dict(a.details)}" for a in found)
