"""What is odd about an export: each rule, and when it stays silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
        export=ExportFact("EXPORT-DECK.txt", len(messages), NOON),
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


def _taken(name: str, count: int = 3, modified_at: datetime = NOON) -> ExportFact:
    return ExportFact(name, count, modified_at)


def _segment(*exports: ExportFact) -> SegmentFact:
    return SegmentFact(1, "deck", 0, 3, exports)


@pytest.mark.parametrize(
    ("before", "name", "told"),
    [
        ("2025-11-17-DECK.txt", "2025-11-18-DECK.txt", "between 2025-11-17 and 2025-11-18 "),
        ("2025-11-18-DECK.txt", "2025-11-18T10-00-DECK.txt", "on 2025-11-18 "),
        ("2025-11-19-DECK.txt", "2025-11-18-DECK.txt", "by 2025-11-18 "),
        ("DECK.txt", "2025-11-18-DECK.txt", "by 2025-11-18 "),
        ("2025-11-17-DECK.txt", "DECK.txt", "since 2025-11-17 "),
        ("DECK.txt", "DECK 2.txt", ""),
    ],
)
def test_a_compaction_is_told_with_the_exports_around_it(
    before: str, name: str, told: str
) -> None:
    of = _compacted(
        replace(_finding(TALK), name=name, export=_taken(name), before=_segment(_taken(before)))
    )
    (found,) = [a for a in find(of) if a.kind == "compaction_without_overlap"]
    assert found.message == (
        f"compaction {told}with no overlap: what was said in deck between {before} and {name} "
        "may be missing, extent unknown"
    )


def test_a_compaction_before_everything_stored_is_told_without_a_neighbour() -> None:
    name = "2025-11-18-DECK.txt"
    of = _compacted(replace(_finding(TALK), name=name, export=_taken(name)))
    (found,) = find(of)
    assert found.message == (
        f"compaction by 2025-11-18 with no overlap: what was said in deck before {name} "
        "may be missing, extent unknown"
    )


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
    (found,) = find(first)
    assert found.kind == "new_conversation"
    assert "begins after a compaction" in found.message
    assert (
        "compaction" not in find(replace(_finding(TALK), conversation_is_new=True))[0].message
    )


def _again(
    name: str, *others: ExportFact, shown: int = 2, modified_at: datetime = NOON
) -> Finding:
    """An export of a segment that ``others`` showed; its last message is not shown."""
    of = _finding(TALK[:shown], TALK)
    return replace(
        of,
        name=name,
        export=_taken(name, shown, modified_at),
        placement=replace(of.placement, segment=_segment(*others)),
    )


def test_fewer_messages_than_an_earlier_export_are_told() -> None:
    earlier, later = _taken("2025-11-17-DECK.txt"), _taken("2025-11-19-DECK.txt", 4)
    (found,) = find(_again("2025-11-18-DECK.txt", earlier, later))
    assert (found.kind, found.severity) == ("shrunk_export", Severity.WARNING)
    assert found.details == {"shown": 2, "before": 3}
    assert "2025-11-18-DECK.txt shows 2 messages of deck" in found.message
    assert "2025-11-17-DECK.txt was taken earlier and shows 3" in found.message


@pytest.mark.parametrize(
    "other",
    [
        _taken("2025-11-19-DECK.txt"),  # the export is late, it has not shrunk
        _taken("2025-11-18-DECK.txt"),
        _taken("2025-11-18T09-00-00Z-DECK.txt"),  # the same day, who knows at what time
        _taken("DECK.txt", modified_at=NOON - timedelta(days=9)),  # a date and a file's time
        _taken("2025-11-17-DECK.txt", 2),
    ],
)
def test_what_is_not_known_to_have_shrunk_is_not_told(other: ExportFact) -> None:
    assert find(_again("2025-11-18-DECK.txt", other)) == []


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (timedelta(hours=1), True),
        (timedelta(seconds=5), False),  # copied together
        (timedelta(), False),
        (-timedelta(hours=1), False),
    ],
)
def test_without_dates_in_the_names_the_time_of_the_file_counts(
    before: timedelta,
    told: bool,  # noqa: FBT001
) -> None:
    of = _again("DECK.txt", _taken("DECK 1.txt", modified_at=NOON - before))
    assert [kind for kind, _ in _kinds(of)] == ["shrunk_export"] * told


def test_a_day_is_not_before_a_time_in_it() -> None:
    assert find(_again("2025-11-18T10-00-00Z-DECK.txt", _taken("2025-11-18-DECK.txt"))) == []


def test_two_times_of_one_day_are_compared() -> None:
    early = _taken("2025-11-18T09-00-00Z-DECK.txt")
    assert _kinds(_again("2025-11-18T10-00-00Z-DECK.txt", early)) == [
        ("shrunk_export", Severity.WARNING)
    ]
    assert find(_again("2025-11-18T08-00-00Z-DECK.txt", early)) == []


def test_fewer_messages_that_reach_the_end_are_only_told_shorter() -> None:
    of = _again("2025-11-18-DECK.txt", _taken("2025-11-17-DECK.txt"))
    shown = (TALK[0], TALK[2])
    collapsed = replace(
        of,
        transcript=replace(of.transcript, messages=shown),
        placement=replace(of.placement, plan=align(places(TALK), places(shown))),
    )
    assert find(collapsed) == []


def test_a_page_that_shows_only_the_later_messages_has_not_shrunk() -> None:
    stored = _messages("a", "b", "c", indices=(0, 1, 2))
    of = _finding(_messages("d", "e", indices=(3, 4)), stored)
    name = "2025-11-18-DECK.txt"
    segment = _segment(_taken("2025-11-17-DECK.txt"))
    later = replace(
        of, export=_taken(name, 2), placement=replace(of.placement, segment=segment)
    )
    assert "shrunk_export" not in [kind for kind, _ in _kinds(later)]


@pytest.mark.parametrize(
    ("before", "name", "days"),
    [
        (["2025-01-01-DECK.txt", "2025-11-10-DECK.txt"], "2025-11-18-DECK.txt", 8),
        (["2025-11-11-DECK.txt"], "2025-11-18-DECK.txt", None),
        (["2025-11-20-DECK.txt"], "2025-11-01-DECK.txt", None),
        (["DECK.txt"], "2025-11-18-DECK.txt", None),
        (["2025-01-01-DECK.txt", "DECK.txt"], "2025-11-18-DECK.txt", None),  # who knows when
    ],
)
def test_more_than_a_week_without_an_export_is_told(
    before: list[str], name: str, days: int | None
) -> None:
    of = replace(_finding(TALK), name=name, export=_taken(name))
    neighbour = _segment(*(_taken(other, modified_at=NOON - timedelta(9)) for other in before))
    found = [a for a in find(replace(of, before=neighbour)) if a.kind == "time_gap"]
    assert [a.details for a in found] == ([{"days": days}] if days else [])
    for anomaly in found:
        assert anomaly.severity is Severity.INFO
        assert f"no export of deck for {days} days" in anomaly.message
        assert f"between {before[-1]} and {name}" in anomaly.message


def test_a_late_segment_tells_of_the_week_behind_it_too() -> None:
    of = replace(_finding(TALK), export=_taken("2025-11-10-DECK.txt"))
    behind = _segment(_taken("2025-12-10-DECK.txt"), _taken("2025-11-20-DECK.txt", 1))
    found = [a for a in find(replace(of, behind=behind)) if a.kind == "time_gap"]
    assert [a.details for a in found] == [{"days": 10}]


def test_a_known_segment_may_rest_for_weeks() -> None:
    of = _again("2025-11-18-DECK.txt", _taken("2025-01-01-DECK.txt"), shown=3)
    assert find(of) == []


def _running(*texts: str) -> tuple[Message, ...]:
    *others, last = _messages(*texts)
    running = replace(last, role=Role.TOOL, kind=Kind.TOOL_RESULT, in_flight=True)
    return (*others, running)


RUNNING = _running("count", "why?", "Running…")


def test_an_end_that_was_still_running_is_told() -> None:
    of = replace(_finding(RUNNING), conversation_is_new=True)
    found = find(of)[1]
    assert (found.kind, found.severity) == ("in_flight_tail", Severity.INFO)
    assert "EXPORT-DECK.txt" in found.message
    assert "export deck again" in found.message


def test_an_end_that_still_runs_is_told_again() -> None:
    further = (*RUNNING[:2], replace(RUNNING[2], text="Running… 20 of 52 cards"))
    for shown in (RUNNING, further):
        assert [kind for kind, _ in _kinds(_finding(shown, RUNNING))] == ["in_flight_tail"]


def test_an_end_that_is_stored_complete_is_not_told() -> None:
    done = (*RUNNING[:2], replace(RUNNING[2], text="52 cards", in_flight=False))
    assert find(_finding(RUNNING, done)) == []
    assert find(_finding(done, RUNNING)) == []


def test_what_was_running_before_the_end_is_not_told() -> None:
    assert find(_finding(RUNNING, (*RUNNING, *_messages("go on", "and so")))) == []
    more = (*RUNNING, *_messages("go on"))
    assert find(_finding(more, more)) == []


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
    for anomaly, (a, b) in zip(told, gaps, strict=True):
        run = f"message {a} of deck" if a == b else f"messages {a} to {b} of deck"
        were = "was" if a == b else "were"
        told_as = f"{run} by the export's own count {were} in no export so far"
        assert anomaly.message.startswith(told_as)


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


def test_a_cut_tail_is_a_warning() -> None:
    transcript = Transcript("f", 1, TALK, (), flags=("truncated_tail",))
    (found,) = find(replace(_finding(TALK, TALK), transcript=transcript))
    assert (found.kind, found.severity) == ("truncated_tail", Severity.WARNING)
    assert "EXPORT-DECK.txt" in found.message


@given(
    st.lists(
        st.sampled_from(["> a\n", "⏺ b\n", "x\n", "> ⏺ c\n", "══ Conversation compacted\n"]),
        min_size=1,
    ),
    st.sampled_from([b"", b"> \xe2\x8f"]),
)
def test_every_flag_of_the_parser_has_its_words(lines: list[str], tail: bytes) -> None:
    transcript = formats.claude_code_text.parse("".join(lines).encode() + tail, "a")
    of = replace(_finding(transcript.messages), transcript=transcript)
    kinds = {anomaly.kind for anomaly in find(of)}
    assert kinds >= set(transcript.flags)
    assert ("truncated_tail" in kinds) == bool(tail)


def test_no_anomaly_quotes_a_message() -> None:
    secret = _messages("hunter2␛0000", "hunter2 b", indices=(0, 7))
    stored = _messages("hunter2 other", "hunter2 b", indices=(0, 1))
    of = _finding(secret, stored)
    parted = _finding(secret, parted_from=(1, 2))
    every = [of, parted, _compacted(parted), replace(parted, conversation_is_new=True)]
    found = [a for f in every for a in find(replace(f, size_bytes=99**9, elapsed_s=99.0))]
    assert len({anomaly.kind for anomaly in found}) >= 8
    assert not any("hunter2" in f"{a.message} {dict(a.details)}" for a in found)
