"""What people decide about sessions holds for what comes later, and can be undone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from conftest import Command, rows
from hypothesis import given
from hypothesis import strategies as st
from test_pipeline import Road, another, assert_sound, road, talk

from exportd import sessions
from exportd.errors import RefusedRequest, UnknownConversation
from exportd.sessions import Change
from exportd.store import Store, Transaction
from exportd.suggestions import ExportSeen, suggest

__all__ = ["another", "road"]

NOW = datetime(2026, 1, 10, tzinfo=UTC)


def decided(road: Road, work: Callable[[Transaction], Change]) -> Change:
    change = road.store.run(work)
    assert_sound(road.url)
    return change


def rename(road: Road, old: str, new: str) -> Change:
    return decided(road, lambda tx: sessions.rename(tx, old, new, "ada"))


def merge(road: Road, source: str, into: str) -> Change:
    return decided(road, lambda tx: sessions.merge(tx, source, into, "ada"))


def split(road: Road, source: str, ordinals: list[int], into: str) -> Change:
    return decided(road, lambda tx: sessions.split(tx, source, ordinals, into, "ada"))


def undo(road: Road, change: Change) -> Change:
    return decided(road, lambda tx: sessions.undo(tx, change.override.override_id))


def homes(road: Road) -> dict[str, list[str]]:
    """Every conversation with its messages."""
    found: dict[str, list[str]] = {}
    for conversation_id, content in rows(
        road.url,
        "SELECT conversation_id, content FROM messages ORDER BY conversation_id, message_index",
    ):
        found.setdefault(conversation_id, []).append(content)
    return found


def dumped(road: Road) -> list[dict[str, object]]:
    records: list[dict[str, object]] = []
    road.store.dump(None, records.append)
    return records


def two_sessions(road: Road) -> None:
    road.drop("2026-01-01-EXPORT-A.txt", talk("one", "1", "two", "2"))
    road.drop("2026-01-02-EXPORT-B.txt", talk("three", "3", "four", "4"))


def test_a_renamed_conversation_keeps_all_and_its_old_id_as_alias(road: Road) -> None:
    two_sessions(road)
    change = rename(road, "a", "My Garden")
    assert change.changed == {"a", "my-garden"}
    assert set(homes(road)) == {"my-garden", "b"}
    assert road.store.conversations_named("a") == ["my-garden"]


def test_what_arrives_later_under_the_old_name_follows(road: Road) -> None:
    two_sessions(road)
    rename(road, "a", "garden")
    road.drop("2026-01-03-EXPORT-A.txt", talk("five", "5", "six", "6"))
    assert homes(road)["garden"] == ["one", "1", "two", "2", "five", "5", "six", "6"]
    assert "a" not in homes(road)


def test_merged_conversations_lie_in_the_order_of_their_dates(road: Road) -> None:
    two_sessions(road)
    merge(road, "a", "b")
    assert homes(road) == {"b": ["one", "1", "two", "2", "three", "3", "four", "4"]}


def test_split_segments_get_a_conversation_of_their_own_and_keep_growing_there(
    road: Road,
) -> None:
    two_sessions(road)
    merge(road, "a", "b")
    split(road, "b", [2], "c")
    assert homes(road) == {"b": ["one", "1", "two", "2"], "c": ["three", "3", "four", "4"]}
    road.drop("2026-01-02-EXPORT-B2.txt", talk("three", "3", "four", "4", "five", "5"))
    assert homes(road)["c"] == ["three", "3", "four", "4", "five", "5"]


@pytest.mark.parametrize("decide", ["rename", "merge", "split"])
def test_an_undone_decision_leaves_no_trace_but_the_record(road: Road, decide: str) -> None:
    two_sessions(road)
    if decide == "split":
        road.drop("2026-01-05-EXPORT-A.txt", talk("five", "5", "six", "6"))
    before = dumped(road)
    change = {
        "rename": lambda: rename(road, "a", "garden"),
        "merge": lambda: merge(road, "a", "b"),
        "split": lambda: split(road, "a", [2], "garden"),
    }[decide]()
    assert dumped(road) != before
    undo(road, change)
    assert dumped(road) == before
    (override,) = road.store.run(sessions.history)
    assert override.undone_at is not None
    assert override.made_by == "ada"


def test_decisions_are_undone_in_any_order_that_makes_sense(road: Road) -> None:
    two_sessions(road)
    before = dumped(road)
    first = merge(road, "a", "b")
    second = rename(road, "b", "garden")
    undo(road, first)
    assert set(homes(road)) == {"a", "garden"}
    undo(road, second)
    assert dumped(road) == before


def test_a_split_of_a_split_is_undone_from_its_end(road: Road) -> None:
    two_sessions(road)
    merge(road, "a", "b")
    first = split(road, "b", [2], "c")
    road.drop("2026-01-07-EXPORT-D.txt", talk("seven", "7", "eight", "8"))
    merge(road, "d", "c")
    second = split(road, "c", [1], "e")
    with pytest.raises(RefusedRequest, match="undo that one first"):
        undo(road, first)
    undo(road, second)
    undo(road, first)
    assert set(homes(road)) == {"b", "c"}


def test_what_makes_no_sense_is_refused_with_the_way_out(road: Road) -> None:
    two_sessions(road)
    cases: dict[Callable[[], object], str] = {
        (lambda: rename(road, "a", "b")): "sessions merge a --into b",
        (lambda: rename(road, "a", "A")): "sessions merge|that conversation already",
        (lambda: merge(road, "a", "a")): "that conversation already",
        (lambda: split(road, "a", [2], "c")): "has no segment 2",
        (lambda: split(road, "a", [1], "c")): "sessions rename",
        (lambda: decided(road, lambda tx: sessions.undo(tx, 99))): "no decision 99",
    }
    for wrong, why in cases.items():
        with pytest.raises(RefusedRequest, match=why):
            wrong()
    with pytest.raises(UnknownConversation):
        merge(road, "a", "nowhere")
    change = rename(road, "a", "c")
    with pytest.raises(RefusedRequest, match="undo that first"):
        rename(road, "c", "a")
    undo(road, change)
    with pytest.raises(RefusedRequest, match="was undone"):
        undo(road, change)


def test_the_order_of_arrival_does_not_matter_to_a_decision(
    another: Callable[[], Road],
) -> None:
    drops = [
        ("2026-01-01-EXPORT-A.txt", talk("one", "1", "two", "2")),
        ("2026-01-02-EXPORT-B.txt", talk("three", "3", "four", "4")),
        ("2026-01-03-EXPORT-A.txt", talk("five", "5", "six", "6")),
    ]
    first, second = another(), another()
    for name, text in drops:
        first.drop(name, text)
    merge(first, "a", "b")
    second.drop(*drops[0])
    second.drop(*drops[1])
    merge(second, "a", "b")
    second.drop(*drops[2])
    assert homes(first) == homes(second)


def test_the_command_decides_tells_and_undoes(exportd: Command) -> None:
    exports = exportd.memory_dir / "exports"
    (exports / "2026-01-01-EXPORT-A.txt").write_text(talk("one", "1", "two", "2"))
    (exports / "2026-01-02-EXPORT-B.txt").write_text(talk("three", "3", "four", "4"))
    assert exportd("run", "--once").returncode == 0
    done = exportd("sessions", "merge", "a", "--into", "b")
    assert done.returncode == 0, done.stderr
    assert "a is part of b" in done.stdout
    assert "exportd sessions undo 1" in done.stdout
    files = {path.name for path in (exportd.memory_dir / "sessions").iterdir()}
    assert files == {"b.md"}
    manifest = (exportd.memory_dir / "exports-archive" / "manifest.jsonl").read_text()
    assert [json.loads(line)["type"] for line in manifest.splitlines()][-1] == "override"
    undone = exportd("sessions", "undo", "1")
    assert (undone.returncode, undone.stdout) == (
        0,
        "Undone: decision 1, the merge of a into b\n",
    )
    assert {path.name for path in (exportd.memory_dir / "sessions").iterdir()} == {
        "a.md",
        "b.md",
    }
    (record,) = json.loads(exportd("sessions", "history", "--json").stdout)
    assert record["undone_at"]
    wrong = exportd("sessions", "merge", "a", "--into", "x")
    assert (wrong.returncode, wrong.stdout) == (64, "")
    assert "there is no conversation x" in wrong.stderr
    assert "Nothing to suggest" in exportd("sessions", "suggest").stdout


def test_the_command_says_what_was_split_and_how_an_id_is_written(exportd: Command) -> None:
    exports = exportd.memory_dir / "exports"
    slug = "please-sort-the-seeds-in-the-drawer"
    (exports / f"2026-01-01-{slug}.txt").write_text(talk("one", "1", "two", "2"))
    (exports / f"2026-01-02-{slug}.txt").write_text(talk("three", "3", "four", "4"))
    assert exportd("run", "--once").returncode == 0
    done = exportd("sessions", "split", slug, "--segment", "2", "--into", "My Seeds")
    assert done.stdout.startswith(f"1. segment 2 of {slug} belongs to my-seeds (decided by ")
    assert done.stdout.endswith("'My Seeds' is written my-seeds\n")
    assert (
        f"1. what 1 export of {slug} shows belongs to" in exportd("sessions", "history").stdout
    )
    assert "Nothing to suggest" in exportd("sessions", "suggest").stdout
    assert exportd("sessions", "rename", "my-seeds", "shed").returncode == 0
    assert "Nothing to suggest" in exportd("sessions", "suggest").stdout
    assert exportd("sessions", "undo", "2").returncode == 0
    merged = exportd("sessions", "merge", "my-seeds", "--into", slug)
    assert merged.returncode == 0, merged.stderr
    for empty in ("", "  "):
        refused = exportd("sessions", "rename", slug, empty)
        assert (refused.returncode, refused.stdout) == (64, "")
        assert f"expected the id of a conversation, found {empty!r}" in refused.stderr


# -- suggest -----------------------------------------------------------------------------


def seen(
    conversation_id: str, name: str, day: int = 0, cwd: str = "", *, compacted: bool = False
) -> ExportSeen:
    return ExportSeen(conversation_id, 0, name, cwd, compacted, NOW + timedelta(days=day))


def test_names_that_end_in_the_same_slug_are_suggested() -> None:
    slug = "please-sort-the-seeds-in-the-drawer"
    (found,) = suggest(
        [
            seen("b", f"EXPORT-LABELS-{slug}.txt", 1),
            seen(slug, f"2026-01-02-{slug}.txt"),
            seen("c", "2026-01-03-EXPORT-OTHER.txt"),
        ]
    )
    assert found.conversation_ids == (slug, "b")
    assert "the-seeds-in-the-drawer" in found.evidence


@pytest.mark.parametrize(
    "slug",
    [
        "this-session-is-being-continued-from-a-previous-co",
        "caveat-the-messages-below-were-generated-by-the-u",
        "a-b-c-d-e",
    ],
)
def test_slugs_that_say_nothing_suggest_nothing(slug: str) -> None:
    names = [f"2026-01-02-{slug}.txt", f"2026-01-03-EXPORT-X-{slug}.txt"]
    assert suggest([seen(f"{n}", name) for n, name in enumerate(names)]) == []


def test_what_a_person_split_is_not_suggested_again() -> None:
    slug = "please-sort-the-seeds-in-the-drawer"
    exports = [seen(c, f"EXPORT-{c}-{slug}.txt", day) for day, c in enumerate("abc")]
    (found,) = suggest(exports, [frozenset("ab")])
    assert found.conversation_ids == ("a", "c")
    assert found.evidence.startswith("the names of 2 exports end in")
    assert suggest(exports[:2], [frozenset("ab")]) == []
    followed = [
        seen("a", "EXPORT-A.txt", 0, "/mill"),
        seen("b", "EXPORT-B.txt", 1, "/mill", compacted=True),
    ]
    assert suggest(followed)
    assert suggest(followed, [frozenset("ab")]) == []


def test_what_begins_after_a_compaction_follows_the_last_export_in_its_folder() -> None:
    (found,) = suggest(
        [
            seen("a", "EXPORT-A.txt", 0, "/mill"),
            seen("b", "EXPORT-B.txt", 1, "/mill"),
            seen("c", "EXPORT-C.txt", 2, "/mill", compacted=True),
            seen("d", "EXPORT-D.txt", 2, "/deck", compacted=True),
            seen("e", "EXPORT-E.txt", 9, "/mill", compacted=True),
        ]
    )
    assert found.conversation_ids == ("b", "c")
    assert "after a compaction in /mill" in found.evidence


@given(st.permutations([seen(c, f"EXPORT-{c}.txt", 0, "/mill", compacted=True) for c in "abc"]))
def test_suggestions_do_not_depend_on_the_order(exports: list[ExportSeen]) -> None:
    assert suggest(exports) == suggest(sorted(exports, key=lambda e: e.name))


def test_session_files_follow_a_decision_that_was_killed_before_it_was_told(
    exportd: Command, database_url: str
) -> None:
    for name in ("a", "b"):
        (exportd.memory_dir / "exports" / f"{name}.txt").write_text(talk(f"{name} one", "1"))
    assert exportd("run", "--once").returncode == 0
    store = Store(database_url)
    store.run(lambda tx: sessions.merge(tx, "a", "b", "ada"))  # and killed there
    store.close()
    assert exportd("run", "--once").returncode == 0
    found = {
        path.name: path.read_text() for path in (exportd.memory_dir / "sessions").iterdir()
    }
    assert set(found) == {"b.md"}
    assert "a one" in found["b.md"]


def test_a_decision_whose_session_files_cannot_be_written_says_so(
    exportd: Command,
) -> None:
    exports = exportd.memory_dir / "exports"
    (exports / "2026-01-01-EXPORT-A.txt").write_text(talk("one", "1", "two", "2"))
    assert exportd("run", "--once").returncode == 0
    session = exportd.memory_dir / "sessions" / "b.md"
    session.mkdir()  # root may write anywhere but over a folder
    done = exportd("sessions", "rename", "a", "b")
    assert done.returncode == 75
    assert "It is stored, but" in done.stderr
    session.rmdir()
    assert exportd("run", "--once").returncode == 0
    assert session.is_file()
