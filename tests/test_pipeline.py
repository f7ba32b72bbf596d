"""One file after the other, in one process: what is stored, and what is never doubled.

The oracle is PostgreSQL itself: after every single file the indices of every
conversation are dense, and its counters tell the truth (``assert_sound``).
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from itertools import permutations
from pathlib import Path

import psycopg2
import pytest
import structlog
from conftest import OURS, execute, rows, wait_until
from psycopg2.extensions import make_dsn

from exportd import formats
from exportd.archive import Archive
from exportd.fingerprint import fingerprint
from exportd.folders import Folders
from exportd.formats.base import Confidence
from exportd.intake import Intake
from exportd.late_sidecars import LateSidecars
from exportd.limits import Limits
from exportd.log import configure
from exportd.manifest import Manifest
from exportd.models import Fate, Report, Role, Transcript
from exportd.pipeline import Pipeline
from exportd.statuslog import StatusLog
from exportd.store import Store
from exportd.teller import Teller


class Road:
    """A memory folder and a database with everything between them."""

    def __init__(self, memory: Path, url: str) -> None:
        self.url = url
        self.folders = Folders(memory)
        self.folders.create()
        self.store = Store(url)
        self.intake = Intake(self.folders, 10_000_000, 0)
        self.archive = Archive(self.folders)
        manifest = Manifest(self.folders.archive)
        self.pipeline = Pipeline(
            self.folders,
            self.intake,
            self.store,
            self.archive,
            manifest,
            Limits(1_000_000, 100, 10_000, 60, max_attempts=3),
            LateSidecars(self.folders, self.store, self.archive, manifest, timeout_s=0.2),
        )
        log = StatusLog(self.folders.status_log, 1_000_000, 1)
        self.teller = Teller(self.folders, self.store, log)

    def drop(self, name: str, text: str | bytes) -> Report:
        """Drop a file, take it to its fate, and see that the database is sound."""
        path = self.folders.exports / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        report = self.pipeline.ingest(path)
        assert report is not None
        self.teller.add(report)
        self.teller.tell()
        assert_sound(self.url)
        return report

    def drop_unchecked(self, name: str, text: str) -> None:
        (self.folders.exports / name).write_text(text)
        self.pipeline.ingest(self.folders.exports / name)

    def archived(self) -> dict[str, str]:
        files = (p for p in self.folders.archive.iterdir() if p.name not in OURS)
        return {p.name: p.read_text() for p in files}


@pytest.fixture
def road(tmp_path: Path, database_url: str) -> Iterator[Road]:
    made = Road(tmp_path / "MEMORY-CONTEXT", database_url)
    yield made
    made.store.close()


@pytest.fixture
def another_here(tmp_path: Path, database_url: str) -> Iterator[Callable[[], Road]]:
    """Makes roads with folders of their own into the test's database."""
    roads: list[Road] = []

    def make() -> Road:
        roads.append(Road(tmp_path / f"memory-{len(roads)}", database_url))
        return roads[-1]

    yield make
    for road in roads:
        road.store.close()


@pytest.fixture
def another(tmp_path: Path, server_url: str) -> Iterator[Callable[[], Road]]:
    """Makes roads with folders and databases of their own, to compare with."""
    roads: list[Road] = []

    def make() -> Road:
        name = f"exportd_{uuid.uuid4().hex[:12]}"
        execute(server_url, f"CREATE DATABASE {name} TEMPLATE exportd_template")
        roads.append(Road(tmp_path / name, make_dsn(server_url, dbname=name)))
        return roads[-1]

    yield make
    for road in roads:
        road.store.close()
        name = road.folders.memory.name
        execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def test_an_export_cut_within_a_character_is_known(road: Road) -> None:
    """A glyph of three bytes, of which one or two are there."""
    whole = talk("bake bread", "which one?", "rye, with caraway", "done").encode()
    road.drop("a.txt", whole)
    end = whole.rindex("⏺".encode())
    for size in (end + 1, end + 2):
        report = road.drop(f"cut-{size}.txt", whole[:size])
        assert (report.new, report.total) == (0, 3)


def talk(*turns: str) -> str:
    """An export in which user and assistant take turns, the user first."""
    return "\n".join(f"{'⏺' if n % 2 else '>'} {turn}\n" for n, turn in enumerate(turns))


def garden(count: int) -> str:
    """The first ``count`` turns of one long conversation."""
    return talk(*(f"turn {n} about the garden, bed number {n * 7}" for n in range(count)))


def indexed(start: int, stop: int, **other: str) -> str:
    """Indexed JSON with the messages ``start`` to ``stop - 1`` of one conversation."""
    messages = [
        {
            "index": n,
            "type": "response" if n % 2 else "prompt",
            "message": other.get(f"m{n}", f"what is said at place {n} of the page"),
        }
        for n in range(start, stop)
    ]
    return json.dumps({"exported_at": "2025-03-01", "title": "T", "messages": messages})


def stored(url: str) -> list[tuple[object, ...]]:
    """All that readers of a conversation see, in order."""
    return rows(
        url,
        "SELECT conversation_id, message_index, role, kind, content, source_index "
        "FROM messages ORDER BY conversation_id, message_index",
    )


def contents(url: str, conversation_id: str) -> list[str]:
    return [row[4] for row in stored(url) if row[0] == conversation_id]  # type: ignore[misc]


def anomalies(url: str) -> set[str]:
    return {kind for (kind,) in rows(url, "SELECT kind FROM anomalies")}


def assert_sound(url: str) -> None:
    """Indices dense, counters and watermarks right, segments partition conversations."""
    unsound = rows(
        url,
        """
        SELECT c.conversation_id, c.total_messages, count(m.*), min(m.message_index),
               max(m.message_index), w.highest_index
        FROM conversations c
        LEFT JOIN messages m USING (conversation_id)
        LEFT JOIN watermarks w USING (conversation_id)
        GROUP BY 1, 2, 6
        HAVING NOT (count(m.*) > 0 AND min(m.message_index) = 0
                    AND max(m.message_index) = count(m.*) - 1
                    AND c.total_messages = count(m.*)
                    AND w.highest_index = count(m.*) - 1)
        """,
    )
    assert unsound == []
    misplaced = rows(
        url,
        """
        SELECT s.segment_id, s.first_index, s.message_count, min(m.message_index), count(m.*)
        FROM segments s LEFT JOIN messages m USING (segment_id)
        GROUP BY s.segment_id
        HAVING NOT (min(m.message_index) = s.first_index AND count(m.*) = s.message_count
                    AND bool_and(m.conversation_id = s.conversation_id))
        """,
    )
    assert misplaced == []
    assert rows(url, "SELECT count(*) FROM watermarks w LEFT JOIN conversations c "
                     "USING (conversation_id) WHERE c IS NULL") == [(0,)]  # fmt: skip


# -- grown, shrunk, again ----------------------------------------------------------


def test_a_grown_export_adds_what_it_has_more(road: Road) -> None:
    assert road.drop("2025-01-01-EXPORT-G.txt", garden(4)).new == 4
    report = road.drop("2025-01-02-EXPORT-G.txt", garden(10))
    assert (report.fate, report.total, report.new, report.duplicates) == (
        Fate.INGESTED, 10, 6, 4,
    )  # fmt: skip
    assert len(contents(road.url, "g")) == 10


def test_a_then_b_stores_what_b_alone_stores(road: Road, another: Callable[[], Road]) -> None:
    road.drop("2025-01-01-EXPORT-G.txt", garden(5))
    road.drop("2025-01-02-EXPORT-G.txt", garden(12))
    alone = another()
    alone.drop("2025-01-02-EXPORT-G.txt", garden(12))
    assert stored(road.url) == stored(alone.url)


def test_b_then_a_adds_nothing(road: Road) -> None:
    road.drop("2025-01-02-EXPORT-G.txt", garden(12))
    before = stored(road.url)
    report = road.drop("2025-01-01-EXPORT-G.txt", garden(5))
    assert (report.fate, report.new, report.total) == (Fate.UNCHANGED, 0, 5)
    assert stored(road.url) == before


def test_the_same_file_twice_is_stored_once_and_archived_once(road: Road) -> None:
    road.drop("a.txt", garden(4))
    before = stored(road.url)
    again = road.drop("a.txt", garden(4))
    other = road.drop("copy of a.txt", garden(4))
    assert [again.fate, other.fate] == [Fate.DUPLICATE_FILE, Fate.DUPLICATE_FILE]
    assert "as a.txt" in other.reason
    assert stored(road.url) == before
    assert road.archived() == {"a.txt": garden(4)}
    assert rows(road.url, "SELECT original_name, outcome FROM drops ORDER BY drop_id") == [
        ("a.txt", "ingested"),
        ("a.txt", "duplicate_file"),
        ("copy of a.txt", "duplicate_file"),
    ]


def test_the_same_name_with_other_content_keeps_both_files(road: Road) -> None:
    road.drop("a.txt", garden(4))
    road.drop("a.txt", garden(6))
    digest = hashlib.sha256(garden(6).encode()).hexdigest()[:12]
    assert road.archived() == {"a.txt": garden(4), f"a.{digest}.txt": garden(6)}


def test_an_archived_copy_that_was_lost_comes_back_with_the_next_drop(road: Road) -> None:
    road.drop("a.txt", garden(4))
    (road.folders.archive / "a.txt").unlink()
    road.drop("b.txt", garden(4))
    assert list(road.archived().values()) == [garden(4)]
    name = rows(road.url, "SELECT archive_name FROM exports")[0][0]
    assert (road.folders.archive / name).exists()


def test_legitimate_repeats_are_all_kept(road: Road) -> None:
    turns = ["continue", "done", "continue", "done", "git status", "clean", "continue", "done"]
    road.drop("2025-01-01-EXPORT-R.txt", talk(*turns[:4]))
    road.drop("2025-01-02-EXPORT-R.txt", talk(*turns))
    assert contents(road.url, "r") == turns


def test_the_counts_of_the_report_are_those_of_the_deduplication_log(road: Road) -> None:
    for n, count in enumerate((3, 7, 5)):
        road.drop(f"2025-01-0{n + 1}-EXPORT-G.txt", garden(count))
    assert rows(
        road.url,
        "SELECT messages_processed, duplicates_filtered FROM deduplication_log ORDER BY log_id",
    ) == [(3, 0), (7, 3), (5, 5)]


# -- order of arrival ---------------------------------------------------------------


def test_a_late_earlier_export_moves_the_segment_to_its_conversation(road: Road) -> None:
    road.drop("2025-01-02-EXPORT-REFACTOR.txt", garden(12))
    assert (road.folders.sessions / "refactor.md").exists()
    report = road.drop("2025-01-01-EXPORT-ROLLOUT-MASTER.txt", garden(4))
    assert (report.conversation_id, report.also_changed) == ("rollout-master", ("refactor",))
    assert len(contents(road.url, "rollout-master")) == 12
    assert rows(road.url, "SELECT conversation_id FROM conversations") == [("rollout-master",)]
    assert ("refactor", "rollout-master") in rows(
        road.url, "SELECT alias, conversation_id FROM conversation_aliases"
    )
    sessions = sorted(path.name for path in road.folders.sessions.iterdir())
    assert sessions == ["rollout-master.md"]
    assert "refactor" in (road.folders.sessions / "rollout-master.md").read_text()


def test_a_move_takes_log_and_anomalies_along_and_leaves_other_segments(road: Road) -> None:
    other = talk("about the cellar", "dry", "about the shelves", "oak")
    road.drop("2025-01-02-EXPORT-REFACTOR.txt", garden(12))
    road.drop("2025-01-03-EXPORT-REFACTOR.txt", other)
    road.drop("2025-01-01-EXPORT-ROLLOUT-MASTER.txt", garden(4))
    assert contents(road.url, "refactor") == [
        "about the cellar", "dry", "about the shelves", "oak",
    ]  # fmt: skip
    assert len(contents(road.url, "rollout-master")) == 12
    assert rows(
        road.url,
        "SELECT conversation_id, messages_processed FROM deduplication_log ORDER BY log_id",
    ) == [("rollout-master", 12), ("refactor", 4), ("rollout-master", 4)]


def test_a_conversation_is_laid_out_by_one_at_a_time(
    road: Road, another_here: Callable[[], Road]
) -> None:
    """A segment leaves a conversation while another of its segments grows."""
    cellar = ["about the cellar", "dry", "about the shelves", "oak"]
    road.drop("2025-01-02-EXPORT-REFACTOR.txt", garden(12))
    road.drop("2025-01-03-EXPORT-REFACTOR.txt", talk(*cellar))
    drops = {
        "2025-01-01-EXPORT-ROLLOUT-MASTER.txt": garden(4),
        "2025-01-04-EXPORT-REFACTOR.txt": talk(*cellar, "about the light", "dim"),
    }
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'exportd' AND wait_event_type = 'Lock'"
    )
    with closing(psycopg2.connect(road.url)) as connection, connection.cursor() as cursor:
        # Where everything is decided, and the first message is about to be moved or added.
        cursor.execute("LOCK TABLE messages IN SHARE MODE")
        for number, (name, text) in enumerate(drops.items(), start=1):
            threading.Thread(target=another_here().drop_unchecked, args=(name, text)).start()
            wait_until(partial(_is, road.url, waiting, number), 4)
    wait_until(lambda: len(contents(road.url, "refactor")) == 6)
    wait_until(lambda: rows(road.url, waiting) == [(0,)])
    assert_sound(road.url)
    assert contents(road.url, "refactor") == [*cellar, "about the light", "dim"]
    assert len(contents(road.url, "rollout-master")) == 12


def _is(url: str, query: str, number: int) -> bool:
    return rows(url, query) == [(number,)]


def test_a_late_export_that_fills_the_middle_renumbers(road: Road) -> None:
    parts = [talk(f"{word} one", f"{word} two", f"{word} three", f"{word} four")
             for word in ("first", "second", "third")]  # fmt: skip
    for day in (3, 1, 2):
        road.drop(f"2025-01-0{day}-EXPORT-P.txt", parts[day - 1])
    assert contents(road.url, "p") == [
        f"{word} {number}"
        for word in ("first", "second", "third")
        for number in ("one", "two", "three", "four")
    ]
    text = (road.folders.sessions / "p.md").read_text()
    assert text.index("first one") < text.index("second one") < text.index("third four")


def test_a_segment_in_the_middle_that_grows_pushes_the_later_ones_on(road: Road) -> None:
    later = talk("the end one", "e two", "the end three", "e four")
    road.drop("2025-01-01-EXPORT-P.txt", garden(4))
    road.drop("2025-01-09-EXPORT-P.txt", later)
    road.drop("2025-01-02-EXPORT-P.txt", garden(8))
    assert contents(road.url, "p")[7:9] == [
        "turn 7 about the garden, bed number 49",
        "the end one",
    ]
    assert len(contents(road.url, "p")) == 12


def test_every_order_of_arrival_ends_the_same(another: Callable[[], Road]) -> None:
    compacted = "═══════ Conversation compacted · ctrl+o for history ═══════\n\n" + talk(
        "after the compaction", "go on", "and then", "done"
    )
    files = [
        ("2025-01-01-EXPORT-ROLLOUT-MASTER.txt", garden(4)),
        ("2025-01-02-EXPORT-REFACTOR.txt", garden(12)),
        ("2025-01-03-EXPORT-REFACTOR.txt", compacted),
        ("2025-01-04-EXPORT-ROLLOUT-MASTER.txt", garden(9)),
    ]
    ends = []
    for order in list(permutations(files))[::3]:
        road = another()
        for name, text in order:
            road.drop(name, text)
        ends.append(stored(road.url))
    assert len(ends[0]) == 16
    assert all(end == ends[0] for end in ends)


# -- other renderings ---------------------------------------------------------------


def tools(folder: str) -> str:
    turns = []
    for n in range(4):
        turns += [
            f"> please change file number {n}\n",
            f"⏺ Read({folder}/src/module_{n}.py)\n  ⎿  Read {10 + n} lines\n",
            f"⏺ I changed what file number {n} says.\n",
        ]
    return "\n".join(turns)


def test_tool_paths_that_a_changed_directory_renders_anew_are_renderings(road: Road) -> None:
    road.drop("2025-01-01-EXPORT-T.txt", tools("~/projects/garden"))
    before = len(stored(road.url))
    report = road.drop("2025-01-02-EXPORT-T.txt", tools("."))
    assert (report.new, report.rerendered) == (0, 4)
    assert len(stored(road.url)) == before
    kept = {text for (text,) in rows(road.url, "SELECT content FROM message_renderings")}
    assert kept == {f"Read(./src/module_{n}.py)" for n in range(4)}
    again = road.drop("2025-01-03-EXPORT-T.txt", tools(".") + "\n> more\n")
    assert (again.new, again.rerendered) == (1, 0)


def test_the_richer_rendering_becomes_the_content_in_any_order(road: Road) -> None:
    road.drop("2025-01-01-EXPORT-T.txt", tools("."))
    road.drop("2025-01-02-EXPORT-T.txt", tools("~/projects/garden"))
    calls = [row[4] for row in stored(road.url) if row[3] == "tool_call"]
    assert calls == [f"Read(~/projects/garden/src/module_{n}.py)" for n in range(4)]
    kept = {text for (text,) in rows(road.url, "SELECT content FROM message_renderings")}
    assert kept == {f"Read(./src/module_{n}.py)" for n in range(4)}


def test_a_result_that_was_still_running_is_completed_in_place(road: Road) -> None:
    begun = garden(4) + "\n⏺ Bash(make all)\n  ⎿  Running…\n"
    ended = garden(4) + "\n⏺ Bash(make all)\n  ⎿  everything is built\n\n⏺ Built.\n"
    road.drop("2025-01-01-EXPORT-T.txt", begun)
    report = road.drop("2025-01-02-EXPORT-T.txt", ended)
    assert (report.new, report.completed) == (1, 1)
    assert contents(road.url, "t")[-3:] == ["Bash(make all)", "everything is built", "Built."]


# -- indexed JSON --------------------------------------------------------------------


def test_indexed_json_that_grew_adds_its_new_indices(road: Road) -> None:
    road.drop("page.json", indexed(0, 4))
    report = road.drop("page (1).json", indexed(0, 10))
    assert (report.new, report.duplicates) == (6, 4)
    assert [row[5] for row in stored(road.url)] == list(range(10))


def test_a_gap_in_the_indices_is_reported_and_filled_by_a_later_export(road: Road) -> None:
    gapped = json.loads(indexed(0, 10))
    gapped["messages"] = [m for m in gapped["messages"] if not 3 <= m["index"] <= 5]
    road.drop("page.json", json.dumps(gapped))
    assert rows(
        road.url, "SELECT metadata FROM anomalies WHERE kind = 'index_gap'"
    ) == [({"from": 3, "to": 5},)]  # fmt: skip
    assert road.drop("page.json", indexed(0, 10)).new == 3
    assert [row[5] for row in stored(road.url)] == list(range(10))


def test_an_index_that_says_something_else_is_a_conflict_and_both_are_kept(
    road: Road,
) -> None:
    road.drop("page.json", indexed(0, 10))
    road.drop("page.json", indexed(0, 10, m4="something else altogether"))
    assert "index_conflict" in anomalies(road.url)
    texts = {row[4] for row in stored(road.url)} | {
        text for (text,) in rows(road.url, "SELECT content FROM message_renderings")
    }
    assert {"something else altogether", "what is said at place 4 of the page"} <= texts
    assert len(stored(road.url)) == 10


def test_a_tool_call_cut_inside_its_name_is_completed_in_place(
    another: Callable[[], Road],
) -> None:
    header = (
        " ▐▛███▜▌   Claude Code v2.0.42\n▝▜█████▛▘  Sonnet 4.5\n  ▘▘ ▝▝    /home/ada/cards\n\n"
    )
    whole = (
        f"{header}> count the cards\n\n⏺ I will count them.\n\n"
        "⏺ Bash(wc -l cards.txt)\n  ⎿  52 cards.txt\n\n⏺ There are 52 cards.\n"
    )
    cut = whole[: whole.index("⏺ Bash") + 4]
    for order in permutations(["EXPORT-A.txt", "EXPORT-B.txt"]):
        road = another()
        for name in order:
            road.drop(name, {"EXPORT-A.txt": cut, "EXPORT-B.txt": whole}[name])
        assert [row[3] for row in stored(road.url)] == [
            "prompt",
            "text",
            "tool_call",
            "tool_result",
            "text",
        ]


def test_an_export_is_found_by_every_name_it_was_dropped_under(
    another: Callable[[], Road],
) -> None:
    drops = [
        ("2026-01-01-EXPORT-GARDEN.txt", garden(4)),
        ("garden-copy.txt", garden(4)),
        (
            "2026-01-02-EXPORT-OTHER.txt",
            talk("what next?", "The greenhouse.", "/export").rstrip()
            + "\n  ⎿  Conversation exported\n     to: garden-copy.txt\n\n"
            + talk("so be it", "Done, as you say."),
        ),
    ]
    for order in permutations(drops):
        road = another()
        for name, text in order:
            road.drop(name, text)
        assert {row[0] for row in stored(road.url)} == {"garden"}


def test_the_richer_of_two_contradicting_messages_brings_its_role_along(road: Road) -> None:
    road.drop("page.json", indexed(0, 10))
    page = json.loads(indexed(0, 10, m4="something else, and much longer than before it was"))
    page["messages"][4]["type"] = "response"
    road.drop("page.json", json.dumps(page))
    ((role, kind, content_hash, content),) = rows(
        road.url,
        "SELECT role, kind, content_hash, content FROM messages WHERE message_index = 4",
    )
    assert (role, kind) == ("assistant", "text")
    assert content_hash == fingerprint(Role.ASSISTANT, content)


def test_both_shapes_of_indexed_json_are_the_same_messages(
    road: Road, another: Callable[[], Road]
) -> None:
    flat = json.loads(indexed(0, 6))
    chats = {"meta": {"exported_at": "2025-03-01", "title": "T"}, "chats": flat["messages"]}
    road.drop("page.json", json.dumps(flat))
    other = another()
    other.drop("page.json", json.dumps(chats))
    assert stored(road.url) == stored(other.url)
    assert road.drop("page.json", json.dumps(chats)).new == 0


def test_an_export_that_starts_later_in_the_page_is_found_by_its_name(road: Road) -> None:
    road.drop("page.json", indexed(0, 6))
    assert road.drop("page.json", indexed(4, 12)).new == 6
    assert [row[5] for row in stored(road.url)] == list(range(12))


def test_what_postgresql_cannot_hold_is_stored_reversibly(road: Road) -> None:
    odd = 'a\x00b \ud800 "quoted" \\N \\. ␛ tab\there'
    report = road.drop("page.json", indexed(0, 4, m1=odd))
    assert report.fate is Fate.INGESTED
    assert contents(road.url, "page")[1] == ('a␛0000b ␛D800 "quoted" \\N \\. ␛241B tab\there')
    assert "escaped_characters" in anomalies(road.url)


# -- surroundings that fail ------------------------------------------------------------


def down(url: str, down: bool) -> None:  # noqa: FBT001
    """Refuse new connections to the database and end those there are, or allow them."""
    server = make_dsn(url, dbname="postgres")
    name = rows(url, "SELECT current_database()")[0][0] if down else url.split("dbname=")[1]
    name = name.split()[0]
    execute(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS {not down}")
    if down:
        execute(
            server,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            name,
        )


def test_while_the_database_is_down_nothing_is_claimed(road: Road) -> None:
    road.store.ping()
    path = road.folders.exports / "a.txt"
    path.write_text(garden(4))
    down(road.url, True)
    for _ in range(5):
        report = road.pipeline.ingest(path)
        assert report is not None
        assert report.fate is Fate.DEFERRED
    assert path.exists()
    assert list(road.folders.inflight.iterdir()) == []
    down(road.url, False)
    report = road.pipeline.ingest(path)
    assert report is not None
    assert report.fate is Fate.INGESTED
    assert rows(road.url, "SELECT attempts FROM exports") == [(1,)]


def test_a_database_lost_in_the_middle_defers_the_file_and_spends_no_attempt(
    road: Road,
) -> None:
    """The server ends the connection that copies messages, five times."""
    execute(
        road.url,
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
        "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END'",
    )
    execute(
        road.url,
        "CREATE TRIGGER die BEFORE INSERT ON messages FOR EACH STATEMENT "
        "EXECUTE FUNCTION die()",
    )
    path = road.folders.exports / "a.txt"
    path.write_text(garden(4))
    report = road.pipeline.ingest(path)
    assert report is not None
    assert report.fate is Fate.DEFERRED
    for _ in range(4):
        (claim,) = road.intake.sweep()
        assert road.pipeline.resume(claim).fate is Fate.DEFERRED
    assert rows(road.url, "SELECT count(*) FROM conversations") == [(0,)]
    assert rows(road.url, "SELECT attempts, state FROM exports") == [(0, "claimed")]
    execute(road.url, "DROP TRIGGER die ON messages")
    (claim,) = road.intake.sweep()
    assert road.pipeline.resume(claim).fate is Fate.INGESTED
    assert road.archived() == {"a.txt": garden(4)}
    assert_sound(road.url)


class Faulty:
    """A format with a bug, whose error quotes what it should not."""

    NAME, TITLE, PARSER_VERSION = "faulty", "Faulty", 1

    @staticmethod
    def detect(head: bytes, name: str) -> Confidence:  # noqa: ARG004
        return Confidence(head.startswith(b"faulty"), "its first word")

    @staticmethod
    def parse(raw: bytes, name: str) -> Transcript:  # noqa: ARG004
        raise ZeroDivisionError(raw.decode())


def test_a_bug_that_a_file_brings_out_costs_that_file_alone_and_quotes_nothing(
    road: Road, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, Faulty))
    configure("info", "json")
    report = road.drop("a.txt", "faulty SENTINEL of what was said in confidence")
    assert (report.fate, "ZeroDivisionError" in report.reason) == (Fate.DEAD_LETTER, True)
    assert road.drop("b.txt", garden(4)).fate is Fate.INGESTED
    log = capsys.readouterr().err
    assert "ingest.bug" in log
    assert "ZeroDivisionError" in log
    told = str(rows(road.url, "SELECT body FROM alerts")) + road.folders.status_log.read_text()
    assert "SENTINEL" not in log + told + report.reason
    structlog.reset_defaults()


def test_a_file_that_killed_exportd_three_times_is_set_aside(road: Road) -> None:
    (road.folders.exports / "a.txt").write_text(garden(4))
    claim = road.intake.claim(road.folders.exports / "a.txt")
    assert claim is not None
    execute(
        road.url,
        "INSERT INTO exports (sha256, size_bytes, name, modified_at, attempts) "
        "VALUES (%s, 1, 'a.txt', now(), 3)",
        hashlib.sha256(garden(4).encode()).hexdigest(),
    )
    report = road.pipeline.resume(claim)
    assert report.fate is Fate.DEAD_LETTER
    assert "died 3 times" in report.reason
    assert (road.folders.failed / "a.txt").read_text() == garden(4)
    assert road.drop("a.txt", garden(4)).fate is Fate.INGESTED


def test_a_file_whose_storing_takes_too_long_does_not_wait_for_ever(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server answers all the while, so it is this file's doing."""
    monkeypatch.setattr("exportd.store.line._GRACE_S", 0.0)
    monkeypatch.setattr("exportd.storing.ingest", lambda _tx, _read: time.sleep(2))
    road.pipeline._store = road.pipeline._storing._store = Store(road.url, 0.5)
    (road.folders.exports / "a.txt").write_text(garden(4))
    fates = [road.pipeline.ingest(road.folders.exports / "a.txt")]
    for _ in range(3):
        fates += [road.pipeline.resume(claim) for claim in road.intake.sweep()]
    told = [(report.fate, report.reason) for report in fates if report]
    assert [fate for fate, _ in told] == [*[Fate.DEFERRED] * 3, Fate.DEAD_LETTER]
    assert "did not answer within 0.5 s" in told[0][1]
    assert "timeout in [database]" in told[3][1]
    assert (road.folders.failed / "a.txt").read_text() == garden(4)
    road.pipeline._store.close()


def test_one_file_that_cannot_be_moved_is_deferred_and_the_next_goes_on(road: Road) -> None:
    """A folder under the archive's name stands for a disk that refuses."""
    road.folders.archive.rmdir()
    road.folders.archive.touch()
    path = road.folders.exports / "a.txt"
    path.write_text(garden(4))
    report = road.pipeline.ingest(path)
    assert report is not None
    assert report.fate is Fate.DEFERRED
    assert "exports-archive" in report.reason
    road.folders.archive.unlink()
    road.folders.archive.mkdir()
    (claim,) = road.intake.sweep()
    done = road.pipeline.resume(claim)
    assert (done.fate, done.new) == (Fate.INGESTED, 4)
    assert road.archived() == {"a.txt": garden(4)}


def test_a_file_that_is_still_written_is_not_archived_before_its_writer_is_done(
    road: Road,
) -> None:
    path = road.folders.exports / "a.txt"
    with path.open("w") as file:
        file.write(garden(4))
        file.flush()
        report = road.pipeline.ingest(path)
        file.write(garden(12)[len(garden(4)) :])
    if report is None or report.fate is Fate.DEFERRED:
        for claim in road.intake.sweep():
            road.pipeline.resume(claim)
    for name, sha256 in rows(road.url, "SELECT archive_name, sha256 FROM exports"):
        raw = (road.folders.archive / name).read_bytes()
        assert hashlib.sha256(raw).hexdigest() == sha256
    assert len(stored(road.url)) == 12


def test_a_claimed_file_whose_disk_goes_away_is_no_dead_letter(road: Road) -> None:
    memory, away = road.folders.memory, road.folders.memory.with_name("away")
    (road.folders.exports / "a.txt").write_text("> hi\n\n⏺ ho\n")
    claim = road.intake.claim(road.folders.exports / "a.txt")
    assert claim is not None
    memory.rename(away)
    assert road.pipeline.resume(claim).fate is Fate.DEFERRED
    assert rows(road.url, "SELECT 1 FROM dead_letters") == []
    away.rename(memory)
    assert road.pipeline.resume(claim).fate is Fate.INGESTED


def test_a_file_that_changes_in_every_round_gives_way_to_others(road: Road) -> None:
    """Touched, so that no lease tells of it: as of no writer on a network's disk."""
    (road.folders.exports / "a.txt").write_text("> hi\n\n⏺ ho\n")
    claim = road.intake.claim(road.folders.exports / "a.txt")
    assert claim is not None
    done = threading.Event()

    def write() -> None:
        while not done.wait(0.0002):
            with suppress(FileNotFoundError):
                os.utime(claim.path)

    writer, end = threading.Thread(target=write), threading.Timer(10, done.set)
    writer.start()
    end.start()
    report = road.pipeline.resume(claim)
    was_first = not done.is_set()
    done.set()
    end.cancel()
    writer.join()
    assert (report.fate, was_first) == (Fate.DEFERRED, True)
    assert road.pipeline.resume(claim).fate is Fate.INGESTED
    assert len(stored(road.url)) == 2
    assert_sound(road.url)


def test_the_sidecar_of_a_dead_letter_is_kept_beside_an_earlier_one(road: Road) -> None:
    """Whoever moved the file back, mended, may have left its first sidecar there."""
    failed = road.folders.failed
    for session_id in ("first", "second"):
        (road.folders.exports / "a.txt.session").write_text(session_id)
        assert road.drop("a.txt", "make: done\n").fate is Fate.DEAD_LETTER
        (failed / "a.txt").unlink(missing_ok=True)
    kept = {path.read_text() for path in failed.glob("*.session")}
    assert kept == {"first", "second"}
