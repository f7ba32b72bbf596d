"""Where an export goes; and that laying out indices never loses or doubles a message.

``carry_out`` applies slots and moves to a dict, as one SQL statement does to rows: all
moves at once, from the indices as they were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exportd import formats
from exportd.alignment import align
from exportd.fingerprint import compact, fingerprint, places
from exportd.identity import ExportFact
from exportd.models import Kind, Place, Role
from exportd.placement import (
    NEW_SEGMENT,
    Candidate,
    Move,
    Placement,
    SegmentFact,
    Slot,
    arrange,
    head_hash,
    place,
    unchanged,
)

DAY = datetime(2025, 11, 1, tzinfo=UTC)


def _place(role: Role, kind: Kind, text: str) -> Place:
    return Place(role, kind, None, frozenset({fingerprint(role, text)}), text)


def said(*texts: str) -> tuple[Place, ...]:
    forms = ((Role.USER, Kind.PROMPT), (Role.ASSISTANT, Kind.TEXT))
    return tuple(_place(*forms[n % 2], text) for n, text in enumerate(texts))


def _exports(day: int, count: int, name: str = "EXPORT-A.txt") -> tuple[ExportFact, ...]:
    return (ExportFact(name, count, DAY + timedelta(days=day)),)


def _segment(
    number: int, count: int, conversation: str = "a", first: int = 0, day: int | None = None
) -> SegmentFact:
    exports = _exports(number if day is None else day, count)
    return SegmentFact(number, conversation, first, count, exports)


def _candidate(number: int, run: tuple[Place, ...]) -> Candidate:
    return Candidate(_segment(number, len(run)), run)


@pytest.mark.parametrize(
    ("stored", "incoming", "joins"),
    [
        ("one", "one", True),
        ("one", "two", False),
        ("one", None, True),
        (None, "two", True),
        (None, None, True),
    ],
)
def test_two_sessions_with_ids_of_their_own_are_never_one_segment(
    stored: str | None,
    incoming: str | None,
    joins: bool,  # noqa: FBT001
) -> None:
    run = said("a garden", "yes", "three beds", "here they are")
    facts = replace(_exports(0, 4)[0], session_id=stored)
    known = Candidate(replace(_segment(1, 4), exports=(facts,)), run)
    placed = place([known], run, session_id=incoming)
    assert (placed.segment is not None) is joins
    assert placed.parted_from is None or joins


def test_a_session_with_an_id_of_its_own_needs_no_anchor_to_grow() -> None:
    run = tuple(_place(Role.SYSTEM, Kind.TEXT, text) for text in ("a", "b", "c"))
    facts = replace(_exports(0, 2)[0], session_id="one")
    known = Candidate(replace(_segment(1, 2), exports=(facts,)), run[:2])
    assert place([known], run, session_id="one").segment is known.segment
    assert place([known], run).segment is None
    assert place([known], run[1:], session_id="one").segment is None


# -- place -------------------------------------------------------------------------------


def test_an_export_without_candidates_is_a_new_segment() -> None:
    run = said("count", "52.")
    placement = place([], run)
    assert placement.segment is None
    assert placement.plan == align((), run)
    assert placement.head_hash == head_hash(run)


def test_the_candidate_with_the_strongest_evidence_is_taken() -> None:
    weak, strong = said("count", "52."), said("count", "52.", "why?", "I counted.")
    incoming = (*strong, *said("thanks"))
    for candidates in ([(1, weak), (2, strong)], [(2, strong), (1, weak)]):
        placement = place([_candidate(*c) for c in candidates], incoming)
        assert placement.segment is not None
        assert placement.segment.segment_id == 2
        assert placement.plan == align(strong, incoming)
        assert "4 anchors" in placement.reason


def test_of_equal_evidence_the_older_segment_is_taken() -> None:
    run = said("count", "52.")
    placement = place([_candidate(7, run), _candidate(3, run)], run)
    assert placement.segment is not None
    assert placement.segment.segment_id == 3


def test_a_candidate_without_evidence_is_not_taken() -> None:
    placement = place([_candidate(1, said("yes"))], said("yes", "I go on.", "ok", "Done."))
    assert placement.segment is None
    assert len(placement.plan.order) == 4


def test_a_segment_is_found_by_its_first_anchor() -> None:
    result = _place(Role.TOOL, Kind.TOOL_RESULT, "Read mill.py")
    run = said("count", "52.")
    assert head_hash((result, *run)) == head_hash(run) == min(run[0].hashes)


def test_a_run_without_anchors_is_found_by_its_first_message() -> None:
    result = _place(Role.TOOL, Kind.TOOL_RESULT, "Read mill.py")
    assert head_hash([result, result]) == min(result.hashes)
    assert head_hash([]) is None


def test_a_segment_keeps_the_head_it_is_found_by() -> None:
    run = said("count", "52.")
    stored = Candidate(replace(_segment(1, 2), head_hash="stored"), run)
    assert place([stored], (*run, *said("thanks"))).head_hash == "stored"


def test_what_now_stands_before_the_head_becomes_the_head() -> None:
    one, two, three = (
        replace(p, source_index=n) for n, p in enumerate(said("count", "52.", "thanks"))
    )
    stored = Candidate(replace(_segment(1, 2), head_hash="stored"), (two, three))
    assert place([stored], (one, two, three)).head_hash == min(one.hashes)


def test_a_segment_that_only_moves_changes_nothing_in_itself() -> None:
    segment = replace(_segment(4, 3), head_hash="stored")
    placement = unchanged(segment)
    assert (placement.plan.order, placement.message_count) == ((), 3)
    assert (placement.segment, placement.head_hash) == (segment, "stored")
    slots, moves = arrange(placement, replace(segment, conversation_id="b"), [])
    assert slots == [Slot(4, "b", 0, 0, 3)]
    assert moves == [Move("a", 0, 2, 0, "b")]


SAMPLES = [
    (path.name, tuple(places(formats.parse(path.read_bytes(), path.name).messages)))
    for path in sorted((Path(__file__).parent / "samples").iterdir())
    if path.suffix in (".txt", ".md")
]


def _ingest_all(exports: Sequence[tuple[Place, ...]]) -> list[list[str]]:
    """The segments, as texts, after these exports: each placed among all before it."""
    segments: list[list[Place]] = []
    for run in exports:
        found = place([_candidate(n, tuple(held)) for n, held in enumerate(segments)], run)
        held = segments[found.segment.segment_id] if found.segment else []
        merged = list(held)
        for step in found.plan.steps:
            if step.known is not None:
                old, new = held[step.known], run[step.incoming]
                content = new if step.replace else old
                merged[step.known] = replace(content, hashes=old.hashes | new.hashes)
        whole = [merged[n] if n >= 0 else run[-1 - n] for n in found.plan.order]
        if found.segment:
            segments[found.segment.segment_id] = whole
        else:
            segments.append(whole)
    return sorted([compact(held.text) for held in segment] for segment in segments)


@settings(max_examples=25)
@given(st.permutations([run for _, run in SAMPLES]))
def test_any_order_of_arrival_gives_the_same_segments(
    exports: list[tuple[Place, ...]],
) -> None:
    segments = _ingest_all(exports)
    series = [name for name, _ in SAMPLES if name.startswith("deck-")]
    assert len(segments) == len(SAMPLES) - len(series) + 1
    assert segments == _ingest_all([run for _, run in SAMPLES])
    assert segments == _ingest_all([*exports, *exports])


# -- place: headers and branches ---------------------------------------------------------

HEADER = {"cwd": "~/engine", "version": "2.0.50"}


def _below(number: int, run: tuple[Place, ...], *headers: dict[str, str]) -> Candidate:
    exports = tuple(
        ExportFact(f"EXPORT-{n}.txt", len(run), DAY, header=header)
        for n, header in enumerate(headers)
    )
    return Candidate(SegmentFact(number, "a", 0, len(run), exports), run)


def test_a_run_of_one_prompt_is_joined_below_an_equal_header() -> None:
    stored, run = said("yes"), said("yes", "I go on.", "ok", "Done.")
    placement = place([_below(1, stored, {"cwd": "~/mill"}, HEADER)], run, dict(HEADER))
    assert placement.segment is not None
    assert placement.plan == align(stored, run)
    back = place([_below(1, run, HEADER)], stored, HEADER)
    assert back.segment is not None
    assert back.plan.order == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("stored", "incoming"),
    [
        (HEADER, {**HEADER, "version": "2.0.51"}),
        (HEADER, {"cwd": "~/engine"}),
        (HEADER, {}),
        (HEADER, None),
        ({}, HEADER),
        ({}, {}),
        ({}, None),
    ],
)
def test_a_run_of_one_prompt_is_not_joined_below_another_header_or_none(
    stored: dict[str, str], incoming: dict[str, str] | None
) -> None:
    run = said("yes", "I go on.", "ok", "Done.")
    assert place([_below(1, said("yes"), stored)], run, incoming).segment is None


def test_each_candidate_is_judged_by_its_own_header() -> None:
    candidates = [_below(1, said("yes"), {"cwd": "~/mill"}), _below(2, said("yes"), HEADER)]
    found = place(candidates, said("yes", "I go on."), HEADER).segment
    assert found is not None
    assert found.segment_id == 2


def test_a_rewound_session_parted_from_the_one_it_begins_like() -> None:
    stored = said("count", "52.", "why?", "I counted.")
    placement = place([_candidate(3, stored)], said("count", "52.", "thanks", "Welcome."))
    assert placement.segment is None
    assert placement.parted_from == (3, 2)
    assert "segment 3" in placement.reason
    assert placement.plan.order == (-1, -2, -3, -4)


def test_a_session_parted_from_what_it_shares_most_with() -> None:
    two = said("count", "52.", "why?", "I counted.", "ok", "Well.")
    four = said("count", "52.", "thanks", "Welcome.", "ok", "Fine.")
    incoming = said("count", "52.", "thanks", "Welcome.", "go on", "I do.")
    for candidates in ([(1, two), (2, four)], [(2, four), (1, two)]):
        placement = place([_candidate(*c) for c in candidates], incoming)
        assert placement.parted_from == (2, 4)


@pytest.mark.parametrize(
    "stored",
    [
        said("ring", "It rings.", "why?", "I rang."),
        said("count", "There are 52.", "why?", "I counted."),
        said("see below", "52.", "count", "52."),
    ],
)
def test_unrelated_sessions_did_not_part(stored: tuple[Place, ...]) -> None:
    placement = place([_candidate(1, stored)], said("count", "52.", "thanks", "Welcome."))
    assert placement.segment is None
    assert placement.parted_from is None
    assert placement.reason == "new beginning"


def test_a_session_that_is_joined_parted_from_none() -> None:
    run = said("count", "52.", "thanks", "Welcome.")
    other = said("count", "52.", "why?", "I counted.")
    placement = place([_candidate(1, other), _candidate(2, run)], (*run, *said("ok")))
    assert placement.segment is not None
    assert placement.parted_from is None
    assert place([], run).parted_from is None


def test_no_sample_parted_from_another() -> None:
    for number, (name, run) in enumerate(SAMPLES):
        others = [_candidate(n, r) for n, (_, r) in enumerate(SAMPLES) if n != number]
        assert place(others, run).parted_from is None, name


# -- arrange: examples -------------------------------------------------------------------


def _appended(stored: SegmentFact | None, known: int, new: int) -> Placement:
    run = said(*(f"m{n}" for n in range(known + new)))
    return Placement(stored, "", align(run[:known], run), None)


def test_a_first_segment_starts_at_0() -> None:
    slots, moves = arrange(_appended(None, 0, 3), _segment(NEW_SEGMENT, 3, day=0), [])
    assert slots == [Slot(None, "a", 0, 0, 3)]
    assert moves == []


def test_a_grown_segment_pushes_later_ones_back() -> None:
    stored, later = _segment(1, 4), _segment(2, 5, first=4)
    slots, moves = arrange(_appended(stored, 4, 2), _segment(1, 6), [later])
    assert slots == [Slot(1, "a", 0, 0, 6), Slot(2, "a", 1, 6, 5)]
    assert moves == [Move("a", 4, 8, 2, "a")]


def test_an_earlier_segment_that_arrives_late_stands_first() -> None:
    later = _segment(1, 5, day=9)
    slots, moves = arrange(_appended(None, 0, 3), _segment(NEW_SEGMENT, 3, day=2), [later])
    assert slots == [Slot(None, "a", 0, 0, 3), Slot(1, "a", 1, 3, 5)]
    assert moves == [Move("a", 0, 4, 3, "a")]


def test_a_segment_that_grows_at_its_end_moves_nothing() -> None:
    assert arrange(_appended(_segment(1, 4), 4, 2), _segment(1, 6), [])[1] == []


def test_a_message_in_the_middle_moves_only_what_follows() -> None:
    whole = said("a", "b", "c", "d")
    known = (whole[0], whole[1], whole[3])
    placement = Placement(_segment(1, 3), "", align(known, whole), None)
    assert arrange(placement, _segment(1, 4), [])[1] == [Move("a", 2, 2, 1, "a")]


def test_a_segment_moves_to_another_conversation_and_closes_the_gap() -> None:
    stored, left = _segment(1, 4, "old"), _segment(2, 3, "old", first=4)
    there = _segment(3, 2, "new", day=0)
    slots, moves = arrange(_appended(stored, 4, 1), _segment(1, 5, "new"), [left, there])
    assert slots == [
        Slot(3, "new", 0, 0, 2),
        Slot(1, "new", 1, 2, 5),
        Slot(2, "old", 0, 0, 3),
    ]
    assert moves == [Move("old", 0, 3, 2, "new"), Move("old", 4, 6, -4, "old")]


# -- arrange: laws -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """A stored world, and an export that changes one segment or brings a new one."""

    rows: dict[tuple[str, int], str]
    placement: Placement
    facts: SegmentFact
    others: list[SegmentFact]
    incoming: tuple[Place, ...]


TEXTS = st.lists(st.sampled_from(["a", "b", "continue", "yes", "done"]), max_size=5)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    stored: list[tuple[SegmentFact, tuple[Place, ...]]] = []
    for conversation in ("a", "b"):
        first = 0
        for _ in range(draw(st.integers(0, 3))):
            run = said(*draw(TEXTS.filter(bool)))
            number, day = len(stored) + 1, draw(st.integers(0, 3))
            stored.append((_segment(number, len(run), conversation, first, day), run))
            first += len(run)
    incoming = said(*draw(TEXTS.filter(bool)))
    chosen = draw(st.one_of(st.none(), st.sampled_from(stored))) if stored else None
    target = draw(st.sampled_from(["a", "b", "c"]))
    known = chosen[1] if chosen else ()
    placement = Placement(chosen[0] if chosen else None, "", align(known, incoming), None)
    facts = SegmentFact(
        chosen[0].segment_id if chosen else NEW_SEGMENT,
        target,
        chosen[0].first_index if chosen else 0,
        len(placement.plan.order),
        (*(chosen[0].exports if chosen else ()), *_exports(draw(st.integers(0, 3)), 2)),
    )
    touched = {target, chosen[0].conversation_id if chosen else target}
    others = [s for s, _ in stored if s.conversation_id in touched]
    rows = {
        (s.conversation_id, s.first_index + n): f"{s.segment_id}:{n}"
        for s, run in stored
        for n in range(len(run))
    }
    others = [s for s in others if s.segment_id != facts.segment_id]
    return Case(rows, placement, facts, draw(st.permutations(others)), incoming)


def carry_out(
    case: Case, slots: Sequence[Slot], moves: Sequence[Move]
) -> Counter[tuple[str, int]]:
    """How many messages stand at each index afterwards, new ones included."""
    placed = Counter(_after(key, moves) for key in case.rows)
    own = _own(case, slots)
    placed.update(
        (own.conversation_id, own.first_index + position)
        for position, number in enumerate(case.placement.plan.order)
        if number < 0
    )
    return placed


def _after(key: tuple[str, int], moves: Sequence[Move]) -> tuple[str, int]:
    conversation_id, index = key
    hits = [m for m in moves if m.conversation_id == conversation_id and m.lo <= index <= m.hi]
    assert len(hits) <= 1
    return (hits[0].to_conversation_id, index + hits[0].delta) if hits else key


def _own(case: Case, slots: Sequence[Slot]) -> Slot:
    segment_id = case.placement.segment.segment_id if case.placement.segment else None
    (own,) = [slot for slot in slots if slot.segment_id == segment_id]
    return own


@settings(max_examples=300)
@given(cases())
def test_no_message_is_lost_or_doubled_and_indices_are_dense(case: Case) -> None:
    slots, moves = arrange(case.placement, case.facts, case.others)
    placed = carry_out(case, slots, moves)
    assert set(placed.values()) <= {1}
    new = sum(number < 0 for number in case.placement.plan.order)
    assert placed.total() == len(case.rows) + new
    for conversation_id in {conversation_id for conversation_id, _ in placed}:
        indices = sorted(index for c, index in placed if c == conversation_id)
        assert indices == list(range(len(indices))), conversation_id


@settings(max_examples=300)
@given(cases())
def test_every_message_stands_in_the_slot_of_its_segment(case: Case) -> None:
    slots, moves = arrange(case.placement, case.facts, case.others)
    at = {slot.segment_id: slot for slot in slots}
    own = _own(case, slots)
    for key, label in case.rows.items():
        segment_id, position = map(int, label.split(":"))
        if segment_id not in at:
            assert _after(key, moves) == key  # of a conversation that is not touched
            continue
        slot = at[segment_id]
        if slot == own:
            position = case.placement.plan.order.index(position)
        assert _after(key, moves) == (slot.conversation_id, slot.first_index + position)


@given(cases())
def test_slots_follow_each_other_without_gap_or_overlap(case: Case) -> None:
    slots, _ = arrange(case.placement, case.facts, case.others)
    assert len(slots) == len(case.others) + 1
    for conversation_id in {slot.conversation_id for slot in slots}:
        own = [slot for slot in slots if slot.conversation_id == conversation_id]
        assert [slot.ordinal for slot in own] == list(range(len(own)))
        ends = [slot.first_index + slot.message_count for slot in own]
        assert [slot.first_index for slot in own] == [0, *ends[:-1]]


@given(cases())
def test_the_order_in_which_segments_are_given_does_not_matter(case: Case) -> None:
    one = arrange(case.placement, case.facts, case.others)
    other = arrange(case.placement, case.facts, case.others[::-1])
    assert one[0] == other[0]
    assert set(one[1]) == set(other[1])


@given(cases())
def test_no_move_stands_still(case: Case) -> None:
    for move in arrange(case.placement, case.facts, case.others)[1]:
        assert move.lo <= move.hi
        assert move.delta or move.conversation_id != move.to_conversation_id


@pytest.mark.parametrize("day", [0, 1, 2])
def test_segments_of_one_day_stand_in_a_fixed_order(day: int) -> None:
    others = [_segment(n, 2, first=2 * n - 2, day=1) for n in (1, 2)]
    slots, _ = arrange(_appended(None, 0, 2), _segment(NEW_SEGMENT, 2, day=day), others)
    order = [slot.segment_id for slot in slots]
    assert order == {0: [None, 1, 2], 1: [1, 2, None], 2: [1, 2, None]}[day]
