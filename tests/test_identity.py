"""Which segment and conversation: the measured rule, names, and safe ids."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exportd import formats
from exportd.fingerprint import fingerprint, places
from exportd.identity import (
    MAX_ID_BYTES,
    MIN_EQUAL_RUN_CHARS,
    ExportFact,
    aliases,
    description,
    exact_id,
    first_name,
    leading_anchors,
    parse_name,
    resolve,
    safe_id,
    same_segment,
    segment_order,
)
from exportd.models import Kind, Place, Role

SAMPLES = Path(__file__).parent / "samples"
NOON = datetime(2025, 11, 20, 12, tzinfo=UTC)


def _place(role: Role, kind: Kind, text: str) -> Place:
    return Place(role, kind, None, frozenset({fingerprint(role, text)}), text)


def ask(text: str) -> Place:
    return _place(Role.USER, Kind.PROMPT, text)


def say(text: str) -> Place:
    return _place(Role.ASSISTANT, Kind.TEXT, text)


def result(text: str) -> Place:
    return _place(Role.TOOL, Kind.TOOL_RESULT, text)


def said(*texts: str) -> list[Place]:
    return [(ask, say)[n % 2](text) for n, text in enumerate(texts)]


def _joined(
    known: Sequence[Place], incoming: Sequence[Place], *, same_header: bool = False
) -> bool:
    one = same_segment(known, incoming, same_header=same_header)
    other = same_segment(incoming, known, same_header=same_header)
    assert (one is None) == (other is None)
    return one is not None


# -- segment -----------------------------------------------------------------------------


def test_two_anchors_at_the_head_are_enough() -> None:
    assert _joined(said("count", "52."), said("count", "52.", "thanks", "Welcome."))


def test_one_anchor_is_no_evidence() -> None:
    assert not _joined(said("yes"), said("yes", "Then I'll go on.", "good", "Done."))


def test_one_other_anchor_of_three_is_another_segment() -> None:
    assert not _joined(said("count", "52.", "why?"), said("count", "52.", "thanks", "Welcome."))


def test_overlap_that_does_not_begin_at_the_head_is_another_segment() -> None:
    pasted = said("count", "52.", "thanks", "Welcome.")
    assert not _joined(pasted, [*said("see below", "I see."), *pasted])


def test_tool_results_between_anchors_do_not_matter() -> None:
    one = [ask("go"), result("12 ms"), say("Done.")]
    other = [ask("go"), result("15 ms"), say("Done."), ask("thanks")]
    assert _joined(one, other)


def test_the_last_anchor_may_have_been_cut_short() -> None:
    assert _joined(said("count", "There are fif"), said("count", "There are fifty.", "ok"))


def test_a_cut_anchor_elsewhere_is_no_evidence() -> None:
    assert not _joined(
        said("cou", "There are fifty.", "ok"), said("count", "There are fifty.", "ok", "x")
    )


def test_runs_without_anchors_are_never_one_segment() -> None:
    run = [result("x" * 300)] * 4
    assert not _joined(run, run)
    assert not _joined([], said("a", "b"))


def test_a_long_equal_run_with_one_anchor_is_enough() -> None:
    run = [result("read " * 30), result("list " * 30), ask("go on")]
    assert _joined(run, [*run, say("I do."), ask("ok")])


def test_a_short_equal_run_with_one_anchor_is_not() -> None:
    run = [result("a"), result("b"), ask("go on")]
    assert not _joined(run, [*run, say("I do."), ask("ok")])


def test_a_first_prompt_whose_call_was_in_flight_is_known_again() -> None:
    prompt = ask("Please count the cards of the deck in the left drawer. " * 5)
    call = _place(Role.ASSISTANT, Kind.TOOL_CALL, "Bash(wc -l cards.txt)")
    running = replace(result("Running…"), in_flight=True)
    assert _joined([prompt, call, running], [prompt, call, result("52"), say("52 cards.")])


@pytest.mark.parametrize(
    ("run", "joined"),
    [
        ([ask("x" * MIN_EQUAL_RUN_CHARS)], False),
        ([ask("x" * (MIN_EQUAL_RUN_CHARS - 1)), result("y")], True),
        ([ask("x" * (MIN_EQUAL_RUN_CHARS - 2)), result("y")], False),
        ([ask("x" * (MIN_EQUAL_RUN_CHARS - 2)), result(" y \n ")], False),
    ],
)
def test_an_equal_run_tells_by_two_messages_and_a_hundred_letters(
    run: list[Place],
    joined: bool,  # noqa: FBT001
) -> None:
    assert _joined(run, [*run, say("I do."), ask("ok")]) is joined


ONE_PROMPT = [
    [ask("yes")],
    [ask("yes"), result("a")],
    [ask("ye")],
    [ask("yes"), replace(result("Running…"), in_flight=True)],
]


@pytest.mark.parametrize("run", ONE_PROMPT)
def test_a_short_equal_run_is_enough_below_an_equal_header(run: list[Place]) -> None:
    grown = [ask("yes"), result("a"), say("I do."), ask("ok")]
    assert _joined(run, grown, same_header=True)
    assert not _joined(run, grown)


@pytest.mark.parametrize(
    "run",
    [
        [ask("no")],
        [ask("yes"), result("b")],
        [ask("ye"), result("a")],
        [result("a")],
        [result("a"), ask("yes")],
        [],
    ],
)
def test_an_equal_header_alone_is_no_evidence(run: list[Place]) -> None:
    grown = [ask("yes"), result("a"), say("I do."), ask("ok")]
    assert not _joined(run, grown, same_header=True)


def test_only_the_leading_equal_anchors_count() -> None:
    whole = said("count", "52.", "why?", "I counted.")
    assert leading_anchors(whole, whole) == 4
    assert leading_anchors(whole, whole[:2]) == 2
    assert leading_anchors(whole, said("count", "52.", "thanks", "I counted.")) == 2
    assert leading_anchors(whole, [result("x"), *whole]) == 4
    assert leading_anchors(whole, whole[1:]) == leading_anchors(whole, []) == 0


def _long(count: int) -> list[Place]:
    return said(*(f"message {n} of a long conversation" for n in range(count)))


@pytest.mark.parametrize(
    ("equal_head", "changed", "joined"),
    [(10, 4, True), (10, 5, False), (9, 1, False), (20, 8, True), (20, 9, False)],
)
def test_a_run_rendered_anew_needs_ten_leading_anchors_and_seventy_percent(
    equal_head: int,
    changed: int,
    joined: bool,  # noqa: FBT001
) -> None:
    whole = _long(equal_head + changed)
    anew = [*whole[:equal_head], *said(*(f"other {n}" for n in range(changed)))]
    assert _joined(whole, [*anew, ask("the end")]) is joined


def _indexed(said: dict[int, str]) -> list[Place]:
    return [replace(ask(text), source_index=index) for index, text in said.items()]


def test_native_indices_need_most_shared_ones_equal() -> None:
    known = _indexed({0: "a", 1: "b", 2: "c", 3: "d"})
    assert _joined(known, _indexed({2: "c", 3: "d", 4: "e"}))
    assert _joined(known, _indexed({0: "a", 1: "b", 2: "c", 3: "changed"}))
    assert not _joined(known, _indexed({0: "x", 1: "y", 2: "c"}))


def test_a_text_that_grew_says_the_same_whichever_comes_first() -> None:
    began, grown = _indexed({0: "a", 1: "count"}), _indexed({0: "a", 1: "count the cards"})
    assert _joined(began, grown)
    assert _joined(grown, began)


@pytest.mark.parametrize(
    ("known", "incoming", "joined"),
    [
        ({0: "a"}, {1: "b"}, True),
        ({0: "a", 1: "b"}, {7: "h", 8: "i"}, True),
        ({0: "a", 2: "c"}, {1: "b"}, False),
        ({0: "a", 2: "c"}, {1: "b", 3: "d"}, False),
    ],
)
def test_native_indices_that_share_none_must_lie_behind_each_other(
    known: dict[int, str],
    incoming: dict[int, str],
    joined: bool,  # noqa: FBT001
) -> None:
    assert _joined(_indexed(known), _indexed(incoming)) is joined


def test_lying_behind_is_the_weakest_evidence() -> None:
    behind = same_segment(_indexed({0: "a"}), _indexed({1: "b"}))
    one_shared = same_segment(_indexed({0: "a", 1: "b"}), _indexed({1: "b"}))
    assert behind is not None
    assert one_shared is not None
    assert behind.strength < one_shared.strength
    assert "from 1 on behind 0" in behind.reason


ANCHORS = st.lists(st.sampled_from(["a", "b", "c", "yes", "continue"]), max_size=12)


@given(ANCHORS, ANCHORS, st.booleans())
def test_the_rule_is_symmetric(
    one: list[str],
    other: list[str],
    same_header: bool,  # noqa: FBT001
) -> None:
    _joined(said(*one), said(*other), same_header=same_header)  # asserts it


@given(ANCHORS, ANCHORS)
def test_an_equal_header_never_parts_what_belongs_together(
    one: list[str], other: list[str]
) -> None:
    if _joined(said(*one), said(*other)):
        assert _joined(said(*one), said(*other), same_header=True)


@given(ANCHORS.filter(bool), ANCHORS)
def test_every_prefix_below_an_equal_header_is_the_same_segment(
    head: list[str], tail: list[str]
) -> None:
    assert _joined(said(*head), said(*head, *tail), same_header=True)


@given(ANCHORS.filter(lambda texts: len(texts) >= 2), ANCHORS)
def test_every_prefix_with_two_anchors_is_the_same_segment(
    head: list[str], tail: list[str]
) -> None:
    assert _joined(said(*head), said(*head, *tail))


@given(ANCHORS, ANCHORS)
def test_runs_that_begin_otherwise_are_never_one_segment(
    one: list[str], other: list[str]
) -> None:
    assert not _joined(said("first", *one), said("other", *other))


def test_exports_of_a_series_are_one_segment() -> None:
    runs = [
        places(formats.parse((SAMPLES / name).read_bytes(), name).messages)
        for name in ("deck-1.txt", "deck-2.txt", "deck-3-other-directory.txt")
    ]
    for one, other in permutations(runs, 2):
        assert _joined(one, other)


def test_no_two_other_samples_are_one_segment() -> None:
    paths = [p for p in SAMPLES.iterdir() if p.suffix in (".txt", ".md")]
    runs = {
        p.name: places(formats.parse(p.read_bytes(), p.name).messages)
        for p in paths
        if not p.name.startswith("deck-")
    }
    assert [
        (one, other) for one, other in permutations(runs, 2) if _joined(runs[one], runs[other])
    ] == []


# -- conversation ------------------------------------------------------------------------


def _fact(name: str, count: int = 5, **more: object) -> ExportFact:
    return replace(ExportFact(name, count, NOON), **more)  # type: ignore[arg-type]


def _named(name: str, cwd: str | None = "/home/ada/engine") -> str:
    return resolve(
        [_fact(name, header={"cwd": cwd})], first_hash="0123456789abcdef"
    ).conversation_id


@pytest.mark.parametrize(
    ("name", "conversation_id"),
    [
        ("2025-11-17-EXPORT-ROLLOUT-MASTER.txt", "rollout-master"),
        ("EXPORT-DECK.txt", "deck"),
        ("2025-11-16T1523-RESTORE-CONTEXT.txt", "restore-context"),
        ("2025-11-16T1523-EXPORT-DECK.txt", "deck"),
        ("2025-11-15T22:34:28-EXPORT-MILL.txt", "mill"),
        ("2025-11-16T20:08:18Z-EXPORT-DAY6.txt", "day6"),
        ("2025-11-18T06-37-24Z-EXPORT-MILL.txt", "mill"),
        ("2025-10=20-EXPORT-SPRINT-2.txt", "sprint-2"),
        ("2025-11-17-EXPRORT-MILL.txt", "mill"),
        ("2025-11-17-EXPORT-MILL-20251123-223618.txt", "mill"),
        ("2025-11-17 EXPORT my deck.txt", "my-deck"),
        ("2025-11-22-count-the-cards-of-the-deck.txt", "count-the-cards-of-the-deck"),
        ("notes.txt", "notes"),
        ("stage-03-session.md", "stage-03-session"),
        ("EXPORT-v1.2.txt", "v1.2"),
        ("2025-11-20-EXPORT-Größe.txt", "größe"),
        ("2025-11-20-exported-cards.txt", "exported-cards"),
    ],
)
def test_the_file_name_names_the_conversation(name: str, conversation_id: str) -> None:
    assert _named(name) == conversation_id


@pytest.mark.parametrize(
    "name",
    [
        "2025-11-20-this-session-is-being-continued-from-a-previous-co.txt",
        "2025-11-20-EXPORT-this-session-is-being-continued-from-a-previous-co.txt",
        "2025-11-20-caveat-the-messages-below-were-generated-by-the-u.txt",
        "2025-11-20-command-messageexport-dedup-is-runningcommand.txt",
        "2025-11-20.txt",
        "2025-11-17-EXPORT.txt",
        "conversation.txt",
    ],
)
def test_a_generic_name_gives_way_to_folder_and_first_message(name: str) -> None:
    assert _named(name) == "engine-01234567"


@pytest.mark.parametrize(
    ("cwd", "conversation_id"),
    [
        ("/home/ada/Engine/", "engine-01234567"),
        ("C:\\ada\\Mill", "mill-01234567"),
        ("~/…/tail/deck", "deck-01234567"),
        ("~", "session-01234567"),
        ("/", "session-01234567"),
        ("", "session-01234567"),
        (None, "session-01234567"),
    ],
)
def test_the_folder_is_the_last_part_of_the_directory(
    cwd: str | None, conversation_id: str
) -> None:
    assert _named("2025-11-20.txt", cwd) == conversation_id


def test_the_earliest_export_names_the_conversation_in_any_order() -> None:
    exports = [
        _fact("2025-11-17-EXPORT-ROLLOUT-MASTER.txt", 56),
        _fact("2025-11-16-MEMORY-CONTEXT-REFACTOR.txt", 248),
        _fact("2025-11-18-EXPORT-THIRD.txt", 57),
    ]
    for order in permutations(exports):
        assert resolve(order, first_hash="x").conversation_id == "rollout-master"


def test_an_export_without_header_has_no_folder() -> None:
    found = resolve([_fact("2025-11-20.txt")], first_hash="0" * 64)
    assert found.conversation_id == "session-00000000"


def test_the_folder_of_the_earliest_export_counts() -> None:
    exports = [
        _fact("2025-11-20.txt", 5, header={"cwd": "/a/mill"}),
        _fact("x.txt", 9, header={"cwd": "/a/deck"}),
    ]
    for order in permutations(exports):
        assert resolve(order, first_hash="0" * 64).conversation_id == "mill-00000000"


def test_of_equally_short_exports_the_earlier_date_then_the_name_decides() -> None:
    exports = [
        _fact("EXPORT-A.txt"),
        _fact("2025-11-18-B.txt"),
        _fact("2025-11-17-EXPORT-C.txt"),
    ]
    for order in permutations(exports):
        assert resolve(order, first_hash="x").conversation_id == "c"
    assert resolve([_fact("b.txt"), _fact("a.txt")], first_hash="x").conversation_id == "a"


def test_the_session_s_own_id_comes_before_names_and_after_an_explicit_id() -> None:
    own = replace(_fact("EXPORT-A.txt", 1), session_id="0199-ab")
    found = resolve([own], first_hash="ab" * 32, lineage=("EXPORT-B.txt", "b"))
    assert (found.conversation_id, found.confidence) == ("0199-ab", "certain")
    assert "own id" in found.reason
    given = replace(_fact("EXPORT-B.txt", 9), explicit_id="chosen")
    assert resolve([own, given], first_hash="ab" * 32).conversation_id == "chosen"


def test_an_explicit_id_comes_before_every_other_rule() -> None:
    exports = [_fact("EXPORT-A.txt", 1), _fact("EXPORT-B.txt", 9, explicit_id="My Id")]
    found = resolve(exports, first_hash="x", lineage=("A.txt", "other"))
    assert (found.conversation_id, found.confidence) == ("my-id", "certain")


def test_lineage_comes_before_the_file_name() -> None:
    found = resolve([_fact("EXPORT-B.txt")], first_hash="x", lineage=("A.txt", "a"))
    assert (found.conversation_id, found.confidence) == ("a", "high")
    assert "A.txt" in found.reason


def test_every_answer_says_why() -> None:
    for name in ("EXPORT-DECK.txt", "2025-11-20-deck.txt", "deck.txt", "2025-11-20.txt"):
        found = resolve([_fact(name)], first_hash="0" * 64)
        assert name in found.reason
    assert parse_name("EXPORT-DECK.txt").confidence == "high"
    assert parse_name("2025-11-20-deck.txt").confidence == "medium"
    assert parse_name("deck.txt").confidence == "low"


def test_every_export_taken_alone_suggests_an_alias() -> None:
    exports = [
        replace(_fact("EXPORT-A.txt"), other_names=("2025-11-20-b.txt",)),
        _fact("2025-11-20.txt", header={"cwd": "/a/mill"}),
    ]
    found = aliases(exports, "0" * 64)
    assert set(found) == {"a", "b", "mill-00000000"}
    assert found["b"] == "date and slug of the file name 2025-11-20-b.txt"
    assert aliases([], "0" * 64) == {}


def test_of_several_names_the_earlier_date_then_the_name_counts() -> None:
    names = ["EXPORT-A.txt", "2025-11-18-B.txt", "2025-11-17-EXPORT-D.txt", "2025-11-17-C.txt"]
    for order in permutations(names):
        assert first_name(order) == "2025-11-17-C.txt"
    assert first_name(["b.txt", "a.txt"]) == "a.txt"
    assert first_name(["0-deck.txt", "2025-11-17-C.txt"]) == "2025-11-17-C.txt"
    assert first_name(["2025-11-17T1523-a.txt", "2025-11-17-b.txt"]) == "2025-11-17-b.txt"


@pytest.mark.parametrize(
    ("name", "dated"),
    [
        ("2025-11-17-EXPORT-A.txt", datetime(2025, 11, 17, tzinfo=UTC)),
        ("2025-11-16T1523-A.txt", datetime(2025, 11, 16, 15, 23, tzinfo=UTC)),
        ("2025-11-15T22:34:28-A.txt", datetime(2025, 11, 15, 22, 34, 28, tzinfo=UTC)),
        ("2025-11-16T19-53-41Z-A.txt", datetime(2025, 11, 16, 19, 53, 41, tzinfo=UTC)),
        ("2025-13-45-A.txt", None),
        ("A-2025-11-17.txt", None),
        ("2025-11-171-A.txt", None),
    ],
)
def test_the_date_stands_at_the_head_of_the_name(name: str, dated: datetime | None) -> None:
    assert parse_name(name).dated == dated


def test_segments_are_ordered_by_their_first_export() -> None:
    early = [_fact("2025-11-17-EXPORT-A.txt", 9), _fact("2025-11-19-EXPORT-A.txt", 5)]
    late = [_fact("2025-11-18-EXPORT-A.txt", 5)]
    undated = [_fact("A.txt", 5, modified_at=datetime(2025, 11, 16, tzinfo=UTC))]
    assert sorted([early, late, undated], key=segment_order) == [undated, late, early]


NAMES = st.one_of(
    st.text(),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "2025-11-17-", "2025-11-17T1523-", "2025-99-99-"]),
        st.sampled_from(["", "EXPORT-", "EXPRORT-", "EXPORT"]),
        st.text(max_size=300),
        st.sampled_from([".txt", "", ".md", "-20251123-223618.txt"]),
    ),
)


@given(NAMES)
@example(".")
@example("..")
@example(".txt")
@example("EXPORT-/../../etc/passwd.txt")
@example("EXPORT-\ud800.txt")
def test_any_file_name_gives_a_safe_id(name: str) -> None:
    _assert_safe(_named(name))


@given(st.text())
@example("\x00")
@example("..")
@example("ß" * 300)
@example("con. ")
def test_any_text_gives_a_safe_id(text: str) -> None:
    _assert_safe(safe_id(text))


def _assert_safe(conversation_id: str) -> None:
    assert conversation_id == Path(conversation_id).name
    assert conversation_id.strip("-._ ") == conversation_id != ""
    assert not any(char.isspace() or char in '/\\:*?"<>|\0' for char in conversation_id)
    assert conversation_id.isprintable()
    assert len(conversation_id.encode("utf-8")) <= MAX_ID_BYTES <= 255


@given(st.text())
def test_an_id_is_its_own_id(text: str) -> None:
    assert safe_id(safe_id(text)) == safe_id(text)


@given(st.text(alphabet="ab -", min_size=250, max_size=260))
def test_two_long_names_stay_two(text: str) -> None:
    assert safe_id("x" + text + "a") != safe_id("x" + text + "b")


@pytest.mark.parametrize(
    ("one", "other"), [("C++", "C#"), ("कि", "कु"), ("a&b", "a|b"), ("🔔 deck", "🔕 deck")]
)
def test_two_projects_that_differ_in_a_sign_stay_two(one: str, other: str) -> None:
    assert safe_id(one) != safe_id(other)


@pytest.mark.parametrize(
    ("text", "conversation_id"),
    [
        ("My Deck", "my-deck"),
        ("a - b", "a-b"),
        ("-deck-", "deck"),
        ("v1.2_rc", "v1.2_rc"),
        ("कि", "कि"),
        ("Größe", "größe"),
    ],
)
def test_a_name_of_safe_signs_needs_no_digest(text: str, conversation_id: str) -> None:
    assert safe_id(text) == conversation_id


@pytest.mark.parametrize("text", ["C++", "a&b", "a/b", "a\tb", "a:b"])
def test_a_digest_stands_for_what_was_left_out(text: str) -> None:
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    assert safe_id(text).endswith(f"-{digest}")


@pytest.mark.parametrize("text", ["rollout-master", "a", "2025-11-17.x_y", "é"])
def test_an_id_that_is_safe_as_it_stands_stays_as_it_is(text: str) -> None:
    assert exact_id(text) == text


_LOOK_ALIKE = ["my plan", "My Plan", "my-plan", "my--plan", "-my-plan", "e\u0301", "é", "É"]


def test_ids_that_look_alike_stay_apart() -> None:
    assert len({exact_id(text) for text in _LOOK_ALIKE}) == len(_LOOK_ALIKE)
    assert {exact_id(text).rsplit("-", 1)[0] for text in _LOOK_ALIKE[:2]} == {"my-plan"}


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_two_ids_stay_two_and_are_safe(one: str, other: str) -> None:
    _assert_safe(exact_id(one))
    assert (exact_id(one) == exact_id(other)) is (one == other)


def test_a_repository_describes_a_conversation_without_its_password() -> None:
    git = {"repository_url": "https://ana:secret@host/corner/bakery.git"}
    fact = _fact("rollout.jsonl", header={"git": git})
    described = description([fact], resolve([fact], first_hash="0"))
    assert described["repository"] == "https://host/corner/bakery.git"
