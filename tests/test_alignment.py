"""Which messages of an export are new: outcomes per message, and laws for any runs.

``store`` carries a plan out on a list, as the database does on rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exportd import formats
from exportd.alignment import align
from exportd.fingerprint import compact, fingerprint, places
from exportd.models import Kind, Outcome, Place, Plan, Role

SAMPLES = Path(__file__).parent / "samples"
KNOWN = [Outcome.DUPLICATE, Outcome.RERENDERED, Outcome.COMPLETED]


def _place(role: Role, kind: Kind, text: str, tool: str | None = None) -> Place:
    return Place(role, kind, tool, frozenset({fingerprint(role, text)}), text)


def ask(text: str) -> Place:
    return _place(Role.USER, Kind.PROMPT, text)


def say(text: str) -> Place:
    return _place(Role.ASSISTANT, Kind.TEXT, text)


def call(text: str, tool: str = "Bash") -> Place:
    return _place(Role.ASSISTANT, Kind.TOOL_CALL, f"{tool}({text})", tool)


def result(text: str, tool: str = "Bash") -> Place:
    return replace(
        _place(Role.TOOL, Kind.TOOL_RESULT, text, tool), in_flight=text.startswith("Running…")
    )


def numbered(index: int, text: str) -> Place:
    return replace(ask(text), source_index=index)


def store(known: Sequence[Place], incoming: Sequence[Place], plan: Plan) -> list[Place]:
    """What the segment holds after the plan; every rendering seen is remembered."""
    held = list(known)
    for step in plan.steps:
        if step.known is not None:
            content = incoming[step.incoming] if step.replace else held[step.known]
            hashes = held[step.known].hashes | incoming[step.incoming].hashes
            held[step.known] = replace(content, hashes=hashes)
    return [held[number] if number >= 0 else incoming[-1 - number] for number in plan.order]


def add(known: Sequence[Place], incoming: Sequence[Place]) -> list[Place]:
    return store(known, incoming, align(known, incoming))


def texts(run: Sequence[Place]) -> list[tuple[Role, str]]:
    return [(place.role, compact(place.text)) for place in run]


def outcomes(known: Sequence[Place], incoming: Sequence[Place]) -> list[Outcome]:
    return [step.outcome for step in align(known, incoming).steps]


# -- outcomes ----------------------------------------------------------------------------

START = [ask("count the cards"), say("I'll count them."), call("ls | wc -l"), result("52")]


def test_everything_is_new_in_an_empty_segment() -> None:
    plan = align([], START)
    assert [step.outcome for step in plan.steps] == [Outcome.NEW] * 4
    assert plan.order == (-1, -2, -3, -4)


def test_the_same_export_again_adds_nothing() -> None:
    assert outcomes(START, START) == [Outcome.DUPLICATE] * 4
    assert align(START, START).order == (0, 1, 2, 3)


def test_a_grown_export_adds_its_tail() -> None:
    grown = [*START, say("There are 52."), ask("thanks")]
    assert outcomes(START, grown) == [Outcome.DUPLICATE] * 4 + [Outcome.NEW] * 2
    assert add(START, grown) == grown


def test_a_shrunk_export_adds_nothing_and_removes_nothing() -> None:
    assert outcomes(START, START[:2]) == [Outcome.DUPLICATE] * 2
    assert add(START, START[:2]) == START


def test_a_repeated_prompt_at_a_new_place_is_kept() -> None:
    one = [ask("continue"), say("Step 1 done."), ask("continue"), say("Step 2 done.")]
    two = [*one, ask("continue"), say("Step 3 done.")]
    assert outcomes(one, two)[-2:] == [Outcome.NEW, Outcome.NEW]
    assert add(one, two) == two


def test_equal_neighbours_are_each_kept() -> None:
    run = [ask("yes"), ask("yes"), ask("yes")]
    assert add([], run) == run
    assert add(run[:1], run) == run
    assert add(run, [*run, ask("yes")]) == [*run, ask("yes")]


def test_a_result_that_was_in_flight_is_completed() -> None:
    before, after = [*START[:3], result("Running…")], [*START, say("52 cards.")]
    plan = align(before, after)
    assert [step.outcome for step in plan.steps][3:] == [Outcome.COMPLETED, Outcome.NEW]
    assert plan.steps[3].replace
    assert texts(store(before, after, plan)) == texts(after)


def test_a_result_in_flight_never_replaces_a_finished_one() -> None:
    plan = align(START, [*START[:3], result("Running… 100 s of 1000 s, please wait")])
    assert plan.steps[3].outcome is Outcome.RERENDERED
    assert not plan.steps[3].replace


def test_the_last_words_that_were_cut_short_are_completed() -> None:
    before, after = [*START, say("There are fif")], [*START, say("There are fifty-two.")]
    assert outcomes(before, after)[-1] is Outcome.COMPLETED
    assert texts(add(before, after)) == texts(after)


def test_a_cut_text_that_arrives_late_replaces_nothing() -> None:
    whole, cut = [*START, say("There are fifty-two.")], [*START, say("There are fif")]
    plan = align(whole, cut)
    assert plan.steps[-1].outcome is Outcome.RERENDERED
    assert store(whole, cut, plan)[-1].text == "There are fifty-two."


def test_another_wrapping_is_a_duplicate() -> None:
    wrapped = [*START[:1], say("I'll count\nthem."), *START[2:]]
    assert outcomes(START, wrapped) == [Outcome.DUPLICATE] * 4


def _moved(directory: str) -> list[Place]:
    return [
        ask("read the plan"),
        say("I'll read it."),
        call(f"{directory}plan.md", "Read"),
        result("Read 42 lines", "Read"),
        call(f"wc {directory}plan.md"),
        result(f"42 {directory}plan.md"),
        say("The plan has 42 lines."),
    ]


def test_another_directory_renders_anew_and_adds_nothing() -> None:
    plan = align(_moved(""), _moved("../../engine/"))
    assert [step.outcome for step in plan.steps] == [
        Outcome.DUPLICATE,
        Outcome.DUPLICATE,
        Outcome.COMPLETED if plan.steps[2].outcome is Outcome.COMPLETED else Outcome.RERENDERED,
        Outcome.DUPLICATE,
        Outcome.RERENDERED,
        Outcome.RERENDERED,
        Outcome.DUPLICATE,
    ]
    assert plan.order == tuple(range(7))


def test_the_richer_rendering_is_the_content_in_any_order_of_arrival() -> None:
    short, long = _moved(""), _moved("../../engine/")
    assert texts(add(short, long)) == texts(add(long, short)) == texts(long)


def test_any_rendering_seen_before_is_a_duplicate() -> None:
    short, long = _moved(""), _moved("../../engine/")
    both = add(short, long)
    assert set(outcomes(both, short)) == set(outcomes(both, long)) == {Outcome.DUPLICATE}


def test_a_result_that_shows_less_later_is_rendered_anew() -> None:
    full = [*START[:3], result("User rejected update to a.py\n 1 + x"), say("Understood.")]
    less = [*START[:3], result("(No changes)"), say("Understood.")]
    assert outcomes(full, less)[3] is Outcome.RERENDERED
    assert texts(add(full, less)) == texts(full)
    assert texts(add(less, full)) == texts(full)


def test_a_last_result_that_shows_less_later_is_rendered_anew() -> None:
    full = [*START[:3], result("User rejected update to a.py\n 1 + x")]
    less = [*START[:3], result("(No content)"), ask("why?")]
    assert len(add(full, less)) == len(less)


def test_messages_that_one_export_left_out_are_filled_in() -> None:
    without = [ask("one"), say("First."), ask("two"), say("Second.")]
    whole = [ask("one"), call("ls"), result("a"), say("First."), ask("two"), say("Second.")]
    plan = align(without, whole)
    assert plan.count(Outcome.NEW) == 2
    assert store(without, whole, plan) == whole


def test_messages_only_the_store_has_stay_where_they_were() -> None:
    whole = [ask("one"), call("ls"), result("a"), say("First."), ask("two")]
    shown = [ask("one"), say("First."), ask("two"), say("Second.")]
    assert add(whole, shown) == [*whole, say("Second.")]


def test_other_prose_at_the_end_is_another_message() -> None:
    one, two = [*START, say("All is well.")], [*START, say("Nothing works, sorry.")]
    assert outcomes(one, two)[-1] is Outcome.NEW
    assert texts(add(one, two)) == texts([*one, say("Nothing works, sorry.")])


RULES = "Please review this file by the rules. " * 14
SHORT = [
    ("yes", "why are there cards of all eight suits?"),
    ("ok", "look at the other deck first"),
]


@pytest.mark.parametrize(("one", "other"), [*SHORT, (f"{RULES}mill.py", f"{RULES}deck.py")])
def test_a_rewound_prompt_stays_beside_the_one_that_took_its_place(
    one: str, other: str
) -> None:
    stored = add([*START, ask(one)], [*START, ask(other), say("Well.")])
    assert {place.text for place in stored} >= {one, other}
    assert len(stored) == len(START) + 3


@pytest.mark.parametrize(("one", "other"), [*SHORT, ("no", "now ring the bell")])
def test_a_rewound_prompt_before_an_equal_one_stays_beside_the_other(
    one: str, other: str
) -> None:
    end = [ask("continue"), say("All is done.")]
    stored = add([*START, ask(one), *end], [*START, ask(other), *end])
    assert {place.text for place in stored} >= {one, other}


def test_a_tool_call_is_never_taken_for_prose() -> None:
    one, two = [ask("go"), say("ls"), ask("x")], [ask("go"), call("ls"), ask("x")]
    assert outcomes(one, two)[1] is Outcome.NEW


def test_calls_of_other_tools_are_other_messages() -> None:
    one = [ask("go"), call("a", "Read"), ask("x")]
    two = [ask("go"), call("a", "Write"), ask("x")]
    assert outcomes(one, two)[1] is Outcome.NEW


def test_a_result_in_flight_is_not_taken_for_a_later_one_in_flight() -> None:
    before = [*START[:3], result("Running…")]
    later = [*START, call("ls ~"), result("Running…")]
    done = [*START, call("ls ~"), result("cards.txt")]
    assert texts(add(before, later)) == texts(later)
    assert texts(add(add(before, later), done)) == texts(done)


def test_the_second_result_that_shows_less_is_no_new_message() -> None:
    """Calls side by side answer one after the other; the next turn may do the same again."""
    calls = [call("a.py", "Read"), call("b.py", "Read"), result("Read 120 lines", "Read")]
    full = [ask("go"), *calls, result("Read 31 lines", "Read")]
    less = [ask("go"), *calls, result("(No changes)", "Read")]
    again = [*less, *full]
    assert texts(add(full, less)) == texts(add(less, full)) == texts(full)
    assert texts(add(full, again)) == texts(add(again, full)) == texts([*full, *full])


def test_what_follows_the_last_known_anchor_is_not_taken_for_a_later_turn() -> None:
    known = [ask("go"), call("~/mill/a.py", "Read"), result("Read 500 lines", "Read")]
    shown = [ask("go"), call("a.py", "Read"), result("(No changes)", "Read")]
    shown += [ask("go"), call("a.py", "Read"), result("Read 500 lines", "Read")]
    stored = add(known, shown)
    assert texts(stored) == texts([*known, *shown[3:]])
    assert stored[2].hashes == known[2].hashes | shown[2].hashes


@pytest.mark.parametrize("end", [[], [say("All is read.")]])
def test_a_path_that_now_reads_like_its_neighbour_did_stays_at_its_place(
    end: list[Place],
) -> None:
    above = [ask("go"), call("deck.py", "Read"), call("src/deck.py", "Read"), *end]
    below = [ask("go"), call("~/mill/deck.py", "Read"), call("deck.py", "Read"), *end]
    assert outcomes(above, below)[1:3] == [Outcome.COMPLETED, Outcome.RERENDERED] or (
        outcomes(above, below)[1:3] == [Outcome.RERENDERED] * 2
    )
    assert len(add(above, below)) == len(add(below, above)) == len(above)


def test_a_text_that_repeats_later_does_not_move_there() -> None:
    """That all of an export is stored somewhere, in order, does not say that it is there."""
    less = [ask("go"), call("ls"), result("(No content)")]
    full = [ask("go"), call("ls"), result("a\nb")]
    stored = add([*less, *full], full)
    assert [len(place.hashes) for place in stored] == [1, 1, 2, 1, 1, 1]


# -- native indices ----------------------------------------------------------------------


def test_native_indices_are_places() -> None:
    stored = [numbered(0, "a"), numbered(1, "b"), numbered(4, "e")]
    shown = [numbered(1, "b"), numbered(2, "c"), numbered(5, "f")]
    plan = align(stored, shown)
    assert [step.outcome for step in plan.steps] == [
        Outcome.DUPLICATE,
        Outcome.NEW,
        Outcome.NEW,
    ]
    assert [p.source_index for p in store(stored, shown, plan)] == [0, 1, 2, 4, 5]
    assert plan.conflicts == ()


def test_an_index_with_other_content_is_a_conflict_and_adds_no_message() -> None:
    plan = align([numbered(0, "a"), numbered(1, "b")], [numbered(1, "quite other")])
    assert plan.conflicts == (1,)
    assert plan.count(Outcome.NEW) == 0


def test_an_index_whose_text_grew_is_no_conflict() -> None:
    plan = align([numbered(0, "I think")], [numbered(0, "I think so.")])
    assert plan.conflicts == ()
    assert plan.steps[0].outcome is Outcome.COMPLETED


def test_an_equal_text_at_another_index_is_kept() -> None:
    stored = [numbered(0, "continue")]
    assert outcomes(stored, [numbered(0, "continue"), numbered(1, "continue")]) == [
        Outcome.DUPLICATE,
        Outcome.NEW,
    ]


# -- laws --------------------------------------------------------------------------------

NOTICE = _place(Role.SYSTEM, Kind.NOTICE, "✻ Brewed for 2s")
PLACES = st.one_of(
    st.sampled_from(["continue", "yes", "go on", "why?", "yes, but why?", "/export"]).map(ask),
    st.sampled_from(["Done.", "I'll read it.", "I'll read it and count.", "No."]).map(say),
    st.sampled_from(["ls", "git status", "git status --short"]).map(call),
    st.sampled_from(["", "ok", "a\nb", "a\nb\nc", "nothing to commit"]).map(result),
    st.just(NOTICE),
)
RUNS = st.lists(PLACES, max_size=12)


def cut_short(place: Place, length: int) -> Place:
    """The same place as an earlier export showed it, before all was said."""
    text = place.text[:length]
    return replace(place, text=text, hashes=frozenset({fingerprint(place.role, text)}))


@st.composite
def grown(draw: st.DrawFn, exports: int = 2) -> list[list[Place]]:
    """Exports of one growing segment; the last message of each may be cut short."""
    whole = draw(st.lists(PLACES, min_size=1, max_size=12))
    ends = sorted(draw(st.integers(1, len(whole))) for _ in range(exports - 1))
    shown = [[*whole[: end - 1], _maybe_cut(draw, whole[end - 1])] for end in ends]
    return [*shown, whole]


def _maybe_cut(draw: st.DrawFn, last: Place) -> Place:
    if last.kind is Kind.TOOL_RESULT and draw(st.booleans()):
        return result("Running…")
    return cut_short(last, draw(st.integers(1, 30)))


@given(RUNS)
def test_a_run_again_adds_nothing(run: list[Place]) -> None:
    plan = align(run, run)
    assert plan.count(Outcome.DUPLICATE) == len(run)
    assert plan.order == tuple(range(len(run)))
    assert not any(step.replace for step in plan.steps)


@given(RUNS)
def test_repeats_inside_a_run_are_all_kept(run: list[Place]) -> None:
    assert add([], run) == run


@settings(max_examples=400)
@given(grown())
def test_a_growing_segment_is_stored_once_and_whole(exports: list[list[Place]]) -> None:
    before, after = exports
    stored = add(add([], before), after)
    assert texts(stored) == texts(after)
    assert align(stored, after).count(Outcome.NEW) == 0
    assert align(stored, before).count(Outcome.NEW) == 0


@settings(max_examples=400)
@given(grown())
def test_an_earlier_export_that_arrives_late_adds_nothing(exports: list[list[Place]]) -> None:
    before, after = exports
    assert align(after, before).count(Outcome.NEW) == 0
    assert texts(add(after, before)) == texts(after)


@settings(max_examples=200)
@given(grown(exports=3))
def test_any_order_of_arrival_stores_the_same(exports: list[list[Place]]) -> None:
    whole = exports[-1]
    for order in permutations(exports):
        stored: list[Place] = []
        for export in order:
            stored = add(stored, export)
        assert texts(stored) == texts(whole)


@settings(max_examples=300)
@given(RUNS, RUNS)
def test_every_message_has_one_step_and_one_place(
    known: list[Place], incoming: list[Place]
) -> None:
    plan = align(known, incoming)
    assert [step.incoming for step in plan.steps] == list(range(len(incoming)))
    paired = [step.known for step in plan.steps if step.known is not None]
    assert paired == sorted(set(paired))
    assert [n for n in plan.order if n >= 0] == list(range(len(known)))
    new = [step.incoming for step in plan.steps if step.outcome is Outcome.NEW]
    assert [-1 - n for n in plan.order if n < 0] == new
    for step in plan.steps:
        assert (step.known is None) == (step.outcome is Outcome.NEW)
        assert step.outcome in KNOWN or not step.replace


@settings(max_examples=300)
@given(RUNS, RUNS)
def test_the_incoming_run_stands_in_its_order_in_what_is_stored(
    known: list[Place], incoming: list[Place]
) -> None:
    plan = align(known, incoming)
    where = {number: position for position, number in enumerate(plan.order)}
    at = [where[step.known if step.known is not None else -1 - step.incoming]
          for step in plan.steps]  # fmt: skip
    assert at == sorted(set(at))
    stored = store(known, incoming, plan)
    assert all(incoming[n].hashes <= stored[at[n]].hashes for n in range(len(incoming)))


@settings(max_examples=300)
@given(RUNS, RUNS)
def test_only_the_same_role_and_tool_share_a_place(
    known: list[Place], incoming: list[Place]
) -> None:
    for step in align(known, incoming).steps:
        if step.known is not None:
            one, other = known[step.known], incoming[step.incoming]
            assert (one.role, one.kind, one.tool) == (other.role, other.kind, other.tool)


@settings(max_examples=300)
@given(RUNS, RUNS)
@example(
    [say("I'll read it."), NOTICE, say("I'll read it.")],
    [NOTICE, say("I'll read it and count.")],
)
def test_a_stored_branch_adds_nothing_the_second_time(
    branch: list[Place], other: list[Place]
) -> None:
    """Both begin alike, as after a rewind; the same messages in other bytes come again."""
    stored = add([*START, *branch], [*START, *other])
    assert align(stored, [*START, *other]).count(Outcome.NEW) == 0


INDEXED = st.dictionaries(st.integers(0, 8), st.sampled_from("abcd"), max_size=6).map(
    lambda said: [numbered(index, text) for index, text in sorted(said.items())]
)


@given(INDEXED, INDEXED)
def test_indexed_runs_merge_to_ascending_indices_without_loss(
    known: list[Place], incoming: list[Place]
) -> None:
    plan = align(known, incoming)
    stored = store(known, incoming, plan)
    indices = [place.source_index for place in stored]
    assert indices == sorted({p.source_index or 0 for p in (*known, *incoming)})
    shared = {p.source_index: p.text for p in known}
    assert set(plan.conflicts) == {
        p.source_index for p in incoming if shared.get(p.source_index, p.text) != p.text
    }
    assert align(stored, incoming).count(Outcome.NEW) == 0


# -- real renderings ---------------------------------------------------------------------


def _sample(name: str) -> list[Place]:
    return places(formats.parse((SAMPLES / name).read_bytes(), name).messages)


SERIES = ["deck-1.txt", "deck-2.txt", "deck-3-other-directory.txt"]


@pytest.mark.parametrize("order", list(permutations(SERIES)))
def test_a_series_of_exports_is_stored_once_in_any_order(order: tuple[str, ...]) -> None:
    stored: list[Place] = []
    for name in order:
        stored = add(stored, _sample(name))
    longest = _sample(SERIES[-1])
    assert texts(stored) == texts(longest)
    for name in order:
        assert set(outcomes(stored, _sample(name))) <= {Outcome.DUPLICATE, Outcome.RERENDERED}


@pytest.mark.parametrize(
    "name", ["box-1.0.txt", "logo-2.0.txt", "logo-2.1.txt", "local-commands.txt"]
)
def test_an_export_cut_after_any_message_grows_to_the_whole(name: str) -> None:
    raw = (SAMPLES / name).read_bytes()
    messages = formats.parse(raw, name).messages
    whole = places(messages)
    for message in messages:
        before = places(formats.parse(raw[: message.span.end], name).messages)
        assert texts(add(before, whole)) == texts(whole)
        assert align(whole, before).count(Outcome.NEW) == 0


def test_a_long_gap_is_aligned_by_equal_texts_in_bounded_time() -> None:
    one = [ask("go"), *(result(f"{n} one") for n in range(600)), say("Done.")]
    other = [ask("go"), *(result(f"{n + 1} one") for n in range(600)), say("Done.")]
    plan = align(one, other)
    assert plan.count(Outcome.NEW) == 1
    assert len(plan.order) == 603


@example([], [])
@given(RUNS, RUNS)
def test_the_decision_is_the_same_each_time(known: list[Place], incoming: list[Place]) -> None:
    assert align(known, incoming) == align(list(known), list(incoming))


def test_an_end_that_was_cut_is_completed_by_the_next_turn_and_not_by_a_later_one() -> None:
    turn = (ask("count"), call("Task(count)"), result("Done (12 uses)"))
    cut = [*turn, say("There")]
    later = [
        *(*turn[:2], result("Initializing…"), say("There are twelve beds.")),
        *(*turn, say("There")),
    ]
    assert len(align(cut, later).order) == 8
    assert outcomes(cut, later)[3] is Outcome.COMPLETED
