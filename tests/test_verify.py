"""``exportd verify``: a healthy store is healthy, and every planted damage is found.

One store is built through the pipeline, with everything in it that makes a check wrong
when it is too simple; every test gets a copy of database and folder to damage.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from conftest import Command, execute, rows
from psycopg2.extensions import make_dsn
from test_pipeline import Road, garden, indexed, talk, tools

from exportd import sessions
from exportd.checks.facts import Weight
from exportd.folders import Folders
from exportd.manifest import NAME as MANIFEST
from exportd.models import Fate
from exportd.render.verification import verification_report
from exportd.store import Store
from exportd.verify import Verification, verify

RUNNING = "\n⏺ Bash(make all)\n  ⎿  Running…\n"
BUILT = "\n⏺ Bash(make all)\n  ⎿  everything is built\n\n⏺ Built.\n"
ODD = 'a\x00b \ud800 "quoted" \\N \\. ␛ tab\there'
REPEATS = ("continue", "done", "continue", "done", "git status", "clean", "continue", "done")


def _fill(road: Road) -> None:
    road.drop("2025-01-02-EXPORT-REFACTOR.txt", garden(12))
    road.drop("2025-01-01-EXPORT-ROLLOUT-MASTER.txt", garden(4))
    road.drop("copy of the first.txt", garden(4))
    road.drop("2025-02-01-EXPORT-TOOLS.txt", tools("."))
    road.drop("2025-02-02-EXPORT-TOOLS.txt", tools("~/projects/garden"))
    road.drop("2025-02-03-EXPORT-BUILD.txt", talk("please", "yes", "build", "now") + RUNNING)
    road.drop("2025-02-04-EXPORT-BUILD.txt", talk("please", "yes", "build", "now") + BUILT)
    road.drop("2025-02-05-EXPORT-WAIT.txt", talk("wait", "fine", "for", "it") + RUNNING)
    for part in ("third", "first", "second"):
        day = ("first", "second", "third").index(part) + 1
        said = [f"{part} {word}" for word in ("one", "two", "three", "four")]
        road.drop(f"2025-03-0{day}-EXPORT-PARTS.txt", talk(*said))
    road.drop("2025-03-04-EXPORT-AGAIN.txt", talk(*REPEATS[:5]))
    road.drop("2025-03-05-EXPORT-AGAIN.txt", talk(*REPEATS))
    road.drop("page.json", indexed(0, 10))
    road.drop("page.json", indexed(0, 10, m4="something else altogether"))
    road.drop("page.json", indexed(4, 12))
    road.drop("odd.json", indexed(0, 4, m1=ODD))
    for decide in (
        lambda tx: sessions.rename(tx, "wait", "patience", "a person"),
        lambda tx: sessions.merge(tx, "patience", "build", "a person"),
    ):
        road.teller._changed |= road.store.run(decide).changed
    road.teller.tell()
    assert road.drop("none.json", indexed(0, 0)).fate is Fate.UNCHANGED
    assert road.drop("notes.md", "# nothing of ours\n").fate is Fate.DEAD_LETTER


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, server_url: str) -> Iterator[Road]:
    name = f"exportd_{uuid.uuid4().hex[:12]}"
    execute(server_url, f"CREATE DATABASE {name} TEMPLATE exportd_template")
    road = Road(
        tmp_path_factory.mktemp("filled") / "MEMORY-CONTEXT", make_dsn(server_url, dbname=name)
    )
    _fill(road)
    road.store.close()
    execute(road.url, _KEEP)
    yield road
    execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def memory(filled: Road, tmp_path: Path) -> Path:
    """A copy of the filled memory folder; its drops say that they came here."""
    shutil.copytree(filled.folders.memory, tmp_path / "MEMORY-CONTEXT")
    return tmp_path / "MEMORY-CONTEXT"


@pytest.fixture
def url(filled: Road, memory: Path) -> Iterator[str]:
    """The filled database, for one test to damage: afterwards it is as before."""
    execute(filled.url, "UPDATE drops SET memory_dir = %s", str(memory))
    execute(filled.url, "UPDATE dead_letters SET memory_dir = %s", str(memory))
    yield filled.url
    execute(filled.url, _RESTORE)


# A database per test would take four times as long. Tables in the order in which they
# were made: none refers to a later one.
_KEEP = """
DO $$ DECLARE name text; BEGIN
    CREATE SCHEMA kept;
    FOR name IN SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
                WHERE relkind = 'r' AND nspname = 'public' LOOP
        EXECUTE format('CREATE TABLE kept.%I AS TABLE public.%I', name, name);
    END LOOP;
END $$
"""
_RESTORE = """
DO $$ DECLARE name text; BEGIN
    EXECUTE (SELECT 'TRUNCATE ' || string_agg(format('public.%I', relname), ', ')
             FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
             WHERE relkind = 'r' AND nspname = 'public');
    FOR name IN SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                WHERE relkind = 'r' AND nspname = 'public' ORDER BY c.oid LOOP
        EXECUTE format('INSERT INTO public.%I SELECT * FROM kept.%I', name, name);
    END LOOP;
END $$
"""


def verified(memory: Path, url: str, *, alone: bool = False) -> Verification:
    with closing(Store(url)) as store, closing(Store(url)) as live:
        return verify(store, live, Folders(memory), alone=alone)


def kinds(done: Verification) -> list[str]:
    return [finding.kind for finding in done.findings]


# -- healthy -------------------------------------------------------------------------


def test_a_healthy_store_is_healthy(memory: Path, url: str) -> None:
    done = verified(memory, url)
    assert done.findings == []
    counted = rows(
        url,
        "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM message_renderings), "
        "(SELECT count(*) FROM segments), (SELECT count(*) FROM conversations), "
        "(SELECT count(*) FROM exports WHERE state = 'ingested')",
    )
    names = ("messages", "renderings", "segments", "conversations", "exports")
    assert [tuple(done.checked[name] for name in names)] == counted
    assert done.checked["renderings"] > 4


def test_every_archived_byte_is_counted_in_its_class(memory: Path, url: str) -> None:
    done = verified(memory, url)
    files = set((memory / "exports-archive").iterdir()) - {
        memory / "exports-archive" / MANIFEST,
        memory / "exports-archive" / ".exportd-archive",
    }
    archived = sum(path.stat().st_size for path in files)
    assert sum(done.bytes.values()) == done.checked["bytes"] == archived
    assert {"messages", "separator", "header"} <= set(done.bytes)


def test_the_command_says_that_it_is_healthy(memory: Path, url: str) -> None:
    exportd = Command(memory, url)
    done = exportd("verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("✓ healthy\n")
    told = json.loads(exportd("verify", "--json").stdout)
    assert (told["healthy"], told["findings"], told["not_checked"]) == (True, [], {})
    assert told["checked"]["exports"] == 17


def test_it_starts_the_embedded_server_when_that_is_stopped(tmp_path: Path) -> None:
    exportd = Command(tmp_path / "MEMORY-CONTEXT", None)
    (exportd.memory_dir / "exports").mkdir(parents=True)
    (exportd.memory_dir / "exports" / "2025-01-01-EXPORT-G.txt").write_text(garden(4))
    assert exportd("run", "--once").returncode == 0
    done = exportd("verify", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["checked"]["messages"] == 4


# -- damage in the database ------------------------------------------------------------

# What is done to the database, and which findings tell of it; all of one conversation.
DAMAGES = {
    "a deleted message": (
        "DELETE FROM messages WHERE IN_PARTS AND message_index = 5",
        {"segment_messages", "message_missing"},
    ),
    "a deleted last message, and every counter made to fit": (
        (
            "DELETE FROM messages WHERE IN_PARTS AND message_index = 11;"
            "UPDATE segments SET message_count = 3 WHERE IN_PARTS AND ordinal = 2;"
            "UPDATE conversations SET total_messages = 11 WHERE IN_PARTS;"
            "UPDATE watermarks SET highest_index = 10 WHERE IN_PARTS"
        ),
        {"message_missing", "export_run"},
    ),
    "a changed content": (
        "UPDATE messages SET content = content || '!' WHERE IN_PARTS AND message_index = 5",
        {"message_changed"},
    ),
    "a changed content with its own hash": (
        (
            "UPDATE messages SET content = 'other', content_hash = OTHER_HASH "
            "WHERE IN_PARTS AND message_index = 5"
        ),
        {"message_changed"},
    ),
    "a content in which a space was changed": (
        (
            "UPDATE messages SET content = replace(content, ' ', '  ') "
            "WHERE IN_PARTS AND message_index = 5"
        ),
        {"message_changed"},
    ),
    "a changed hash": (
        (
            "UPDATE messages SET content_hash = repeat('a', 64) "
            "WHERE IN_PARTS AND message_index = 5"
        ),
        {"message_hash"},
    ),
    "a changed role": (
        "UPDATE messages SET role = 'system' WHERE IN_PARTS AND message_index = 5",
        {"message_changed"},
    ),
    "no role": (
        "UPDATE messages SET role = NULL WHERE IN_PARTS AND message_index = 5",
        {"message_changed"},
    ),
    "a changed kind": (
        "UPDATE messages SET kind = 'thinking' WHERE IN_PARTS AND message_index = 5",
        {"message_changed"},
    ),
    "changed metadata": (
        """UPDATE messages SET metadata = '{"a": 1}' WHERE IN_PARTS AND message_index = 5""",
        {"message_changed"},
    ),
    "metadata that are no object": (
        "UPDATE messages SET metadata = '[1]' WHERE IN_PARTS AND message_index = 5",
        {"message_changed"},
    ),
    "a result said to be in flight": (
        "UPDATE messages SET in_flight = true WHERE IN_PARTS AND message_index = 5",
        {"message_changed"},
    ),
    "a swapped pair": (
        (
            "UPDATE messages SET message_index = 11 - message_index "
            "WHERE IN_PARTS AND message_index IN (5, 6)"
        ),
        {"message_missing"},
    ),
    "a swapped pair of two segments": (
        (
            "UPDATE messages SET message_index = 7 - message_index, "
            "segment_id = (SELECT segment_id FROM segments WHERE IN_PARTS "
            "AND first_index = CASE message_index WHEN 3 THEN 4 ELSE 0 END) "
            "WHERE IN_PARTS AND message_index IN (3, 4)"
        ),
        {"message_changed"},
    ),
    "a message that is said to be of another segment": (
        (
            "UPDATE messages SET segment_id = (SELECT segment_id FROM segments "
            "WHERE IN_PARTS AND ordinal = 0) WHERE IN_PARTS AND message_index = 5"
        ),
        {"segment_messages", "message_missing", "message_unknown"},
    ),
    "a message of no segment": (
        "UPDATE messages SET segment_id = 999 WHERE IN_PARTS AND message_index = 5",
        {"segment_messages", "message_missing", "stray_messages"},
    ),
    "an inserted message": (
        "INSERT_ANOTHER",
        {"segment_messages", "message_unknown"},
    ),
    "an inserted message, and every counter made to fit": (
        "INSERT_ANOTHER; COUNT_13",
        {"message_unknown"},
    ),
    "a message that stands twice, and every counter made to fit": (
        "INSERT_AGAIN; COUNT_13",
        {"message_unknown"},
    ),
    "a wrong watermark": (
        "UPDATE watermarks SET highest_index = 12 WHERE IN_PARTS",
        {"watermark"},
    ),
    "no watermark": ("DELETE FROM watermarks WHERE IN_PARTS", {"watermark"}),
    "a wrong total": (
        "UPDATE conversations SET total_messages = 11 WHERE IN_PARTS",
        {"conversation_total"},
    ),
    "a wrong segment count": (
        "UPDATE segments SET message_count = 5 WHERE IN_PARTS AND ordinal = 1",
        {"segment_messages"},
    ),
    "a wrong first index": (
        "UPDATE segments SET first_index = 5 WHERE IN_PARTS AND ordinal = 1",
        {"segment_first_index", "segment_messages"},
    ),
    "a wrong ordinal": (
        "UPDATE segments SET ordinal = 7 WHERE IN_PARTS AND ordinal = 2",
        {"segment_ordinal"},
    ),
    "two segments that changed places": (
        "UPDATE segments SET ordinal = 1 - ordinal WHERE IN_PARTS AND ordinal < 2",
        {"segment_first_index"},
    ),
    "a wrong head": (
        "UPDATE segments SET head_hash = repeat('a', 64) WHERE IN_PARTS AND ordinal = 1",
        {"segment_head"},
    ),
    "a deleted run of an export": (
        (
            "DELETE FROM export_segments WHERE segment_id = "
            "(SELECT segment_id FROM segments WHERE IN_PARTS AND ordinal = 1)"
        ),
        {"export_unlinked"},
    ),
    "a run that ends outside its segment": (
        (
            "UPDATE export_segments SET first_index = 1 WHERE segment_id = "
            "(SELECT segment_id FROM segments WHERE IN_PARTS AND ordinal = 1)"
        ),
        {"export_run"},
    ),
    "a run that another segment has": (
        (
            "UPDATE export_segments SET segment_id = "
            "(SELECT segment_id FROM segments WHERE IN_PARTS AND ordinal = 2) "
            "WHERE segment_id = "
            "(SELECT segment_id FROM segments WHERE IN_PARTS AND ordinal = 1)"
        ),
        {"export_unlinked", "message_missing"},
    ),
}

# The same for what has no conversation of its own to name.
OTHER_DAMAGES = {
    "a deleted row of the log": (
        "DELETE FROM deduplication_log WHERE IN_PARTS AND log_id % 2 = 0",
        {"deduplication_log"},
    ),
    "a doubled row of the log": (
        (
            "INSERT INTO deduplication_log (conversation_id, operation, messages_processed, "
            "duplicates_filtered, export_id, segment_id) "
            "SELECT conversation_id, operation, 0, 0, export_id, segment_id "
            "FROM deduplication_log WHERE IN_PARTS"
        ),
        {"deduplication_log"},
    ),
    "an export that neither segment nor log knows": (
        (
            "DELETE FROM export_segments WHERE export_id = (SELECT min(export_id) FROM "
            "deduplication_log WHERE IN_PARTS); "
            "DELETE FROM deduplication_log WHERE export_id = "
            "(SELECT min(export_id) FROM deduplication_log WHERE IN_PARTS)"
        ),
        {"deduplication_log", "export_unlinked", "segment_unexported"},
    ),
    "a wrong number of messages of an export": (
        "UPDATE exports SET message_count = 5 WHERE name LIKE '2025-03-02%'",
        {"export_count", "export_run", "deduplication_log"},
    ),
}


# What these words stand for in the statements; earlier ones may use later ones.
WORDS = {
    "INSERT_ANOTHER": """
        INSERT INTO messages (conversation_id, message_index, content_hash, role, content,
                              segment_id, kind)
        SELECT conversation_id, 12, OTHER_HASH, 'assistant', 'other', segment_id, kind
        FROM messages WHERE IN_PARTS AND message_index = 11
    """,
    "INSERT_AGAIN": """
        INSERT INTO messages (conversation_id, message_index, content_hash, role, content,
                              segment_id, kind, metadata)
        SELECT conversation_id, 12, content_hash, role, content, segment_id, kind, metadata
        FROM messages WHERE IN_PARTS AND message_index = 11
    """,
    "COUNT_13": """
        UPDATE segments SET message_count = 5 WHERE IN_PARTS AND ordinal = 2;
        UPDATE conversations SET total_messages = 13 WHERE IN_PARTS;
        UPDATE watermarks SET highest_index = 12 WHERE IN_PARTS
    """,
    "IN_PARTS": "conversation_id = 'parts'",
    "A_RENDERING": """
        message_id = (SELECT min(message_id) FROM message_renderings
                      JOIN messages m USING (message_id) WHERE m.conversation_id = 'tools')
    """,
    "OTHER_HASH": f"'{hashlib.sha256(b'assistant' + bytes(1) + b'other').hexdigest()}'",
}


def damage(url: str, sql: str) -> None:
    """Run statements, each of which must change something."""
    for word, meaning in WORDS.items():
        sql = sql.replace(word, meaning)
    with (
        closing(psycopg2.connect(url)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        for statement in sql.split(";"):
            cursor.execute(statement)
            assert cursor.rowcount > 0, f"nothing was damaged by {statement}"


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_of_a_conversation_is_found_and_nothing_else(
    what: str, memory: Path, url: str
) -> None:
    sql, expected = DAMAGES[what]
    damage(url, sql)
    done = verified(memory, url)
    assert set(kinds(done)) == expected
    assert {finding.conversation_id for finding in done.findings} == {"parts"}
    assert done.damages == len(done.findings)


@pytest.mark.parametrize("what", OTHER_DAMAGES)
def test_damage_of_an_export_is_found_and_nothing_else(
    what: str, memory: Path, url: str
) -> None:
    sql, expected = OTHER_DAMAGES[what]
    damage(url, sql)
    done = verified(memory, url)
    assert set(kinds(done)) == expected
    assert done.damages == len(done.findings)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "UPDATE message_renderings SET content = content || 'x' WHERE A_RENDERING",
            "rendering_changed",
        ),
        (
            (
                "UPDATE message_renderings SET content = 'other', content_hash = OTHER_HASH "
                "WHERE A_RENDERING"
            ),
            "rendering_changed",
        ),
        (
            "UPDATE message_renderings SET content = content || ' ' WHERE A_RENDERING",
            "rendering_changed",
        ),
        ("DELETE FROM message_renderings WHERE A_RENDERING", "message_missing"),
        (
            (
                "INSERT INTO message_renderings (message_id, content_hash, content) SELECT "
                "message_id, OTHER_HASH, 'other' FROM messages WHERE conversation_id = 'tools' "
                "AND message_index = 2"
            ),
            "rendering_changed",
        ),
    ],
)
def test_a_damaged_rendering_is_found_and_nothing_else(
    sql: str, expected: str, memory: Path, url: str
) -> None:
    damage(url, sql)
    done = verified(memory, url)
    assert kinds(done) == [expected]
    assert done.findings[0].conversation_id == "tools"


@pytest.mark.parametrize("index", range(8))
def test_a_message_among_repeats_that_was_deleted_is_found(
    index: int, memory: Path, url: str
) -> None:
    sql = "DELETE FROM messages WHERE conversation_id = 'again' AND message_index = %s"
    execute(url, sql, index)
    assert set(kinds(verified(memory, url))) == {"segment_messages", "message_missing"}


def test_no_finding_quotes_a_message(memory: Path, url: str) -> None:
    damage(url, "UPDATE messages SET content = 'SECRET' WHERE IN_PARTS AND message_index > 2")
    exportd = Command(memory, url)
    done = exportd("verify", "--json")
    assert done.returncode == 65
    told = json.loads(done.stdout)
    assert [f["message_index"] for f in told["findings"]] == list(range(3, 12))
    for text in ("SECRET", "second two"):
        assert text not in done.stdout + done.stderr + exportd("verify").stdout


# -- damage in the folder --------------------------------------------------------------

FILE = "2025-03-02-EXPORT-PARTS.txt"


def test_a_flipped_bit_in_the_archive_is_found(memory: Path, url: str) -> None:
    path = memory / "exports-archive" / FILE
    raw = bytearray(path.read_bytes())
    raw[9] ^= 1
    path.write_bytes(raw)
    done = verified(memory, url)
    assert kinds(done) == ["archive_changed"]
    (finding,) = done.findings
    assert finding.file == f"exports-archive/{FILE}"
    assert hashlib.sha256(raw).hexdigest() in finding.found
    assert "backup" in finding.what_to_do


def test_an_archived_file_that_is_missing_is_found(memory: Path, url: str) -> None:
    (memory / "exports-archive" / FILE).unlink()
    assert kinds(verified(memory, url)) == ["archive_missing"]


@pytest.mark.parametrize("how", ["symlink", "folder", "fifo"])
def test_an_archived_file_that_is_no_file_is_found(how: str, memory: Path, url: str) -> None:
    path = memory / "exports-archive" / FILE
    kept = path.rename(memory / "kept")
    if how == "symlink":
        path.symlink_to(kept)
    elif how == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    assert kinds(verified(memory, url)) == ["archive_unreadable"]


@pytest.mark.parametrize("name", ["../kept", "/etc/hostname", "..", ""])
def test_an_archive_name_never_leads_out_of_the_archive(
    name: str, memory: Path, url: str
) -> None:
    (memory / "exports-archive" / FILE).rename(memory / "kept")
    execute(url, "UPDATE exports SET archive_name = %s WHERE archive_name = %s", name, FILE)
    assert kinds(verified(memory, url)) == ["archive_unreadable"]


def test_what_is_lost_of_the_archive_does_not_hide_what_is_wrong_in_the_database(
    memory: Path, url: str
) -> None:
    (memory / "exports-archive" / FILE).unlink()
    damage(url, "UPDATE messages SET content = 'x' WHERE IN_PARTS AND message_index IN (1, 5)")
    done = verified(memory, url)
    assert sorted(kinds(done)) == ["archive_missing", "message_changed", "message_hash"]


# -- notes -----------------------------------------------------------------------------


def test_files_that_no_export_knows_are_notes(memory: Path, url: str) -> None:
    archive = memory / "exports-archive"
    (archive / "stranger.txt").write_text("who knows")
    (archive / "second.txt").write_text(garden(4))
    assert (archive / MANIFEST).exists()
    (archive / f".{uuid.uuid4().hex}.tmp").write_text("a copy that was killed")
    done = verified(memory, url)
    assert [(f.severity, f.kind, f.file) for f in done.findings] == [
        (Weight.NOTE, "archive_copy", "exports-archive/second.txt"),
        (Weight.NOTE, "archive_unknown", "exports-archive/stranger.txt"),
    ]
    assert "exports/" in done.findings[1].what_to_do


def test_a_session_file_and_a_dead_letter_that_are_gone_are_notes(
    memory: Path, url: str
) -> None:
    (memory / "sessions" / "parts.md").unlink()
    (memory / "exports-failed" / "notes.md").unlink()
    done = Command(memory, url)("verify")
    assert done.returncode == 0
    assert done.stdout.startswith("✓ healthy (2 notes)\n")
    assert "sessions/parts.md" in done.stdout
    assert "exports-failed/notes.md" in done.stdout


def test_a_session_file_comes_back_as_the_note_says(
    filled: Road, memory: Path, url: str
) -> None:
    (memory / "sessions" / "parts.md").unlink()
    road = Road(memory, url)
    raw = (memory / "exports-archive" / FILE).read_bytes()
    road.drop(FILE, raw)
    road.store.close()
    assert verified(memory, url).findings == []


def test_exports_of_another_parser_version_are_a_note_and_not_judged(
    memory: Path, url: str
) -> None:
    damage(
        url, "UPDATE exports SET parser_version = 99 WHERE name = '2025-03-05-EXPORT-AGAIN.txt'"
    )
    damage(url, "UPDATE messages SET kind = 'text' WHERE conversation_id = 'again'")
    done = verified(memory, url)
    assert kinds(done).count("other_parser") == 1
    assert "reindex" in done.findings[-1].what_to_do
    assert done.damages == 0


def test_exports_of_a_memory_folder_that_is_not_here_are_not_checked(
    memory: Path, url: str
) -> None:
    (memory / "exports-archive" / FILE).rename(memory / "away")
    sql = "UPDATE drops SET memory_dir = %s WHERE original_name = %s"
    execute(url, sql, "/nowhere/MEMORY-CONTEXT", FILE)
    done = verified(memory, url)
    assert done.findings == []
    assert list(done.not_checked.values()) == [1]
    assert "/nowhere/MEMORY-CONTEXT" in next(iter(done.not_checked))
    told = verification_report([], {}, {}, done.not_checked, 0.0)
    assert told.startswith("✓ no damage found, but 1 export not checked")


def test_what_a_memory_folder_lacks_after_it_was_moved_is_missing(
    memory: Path, url: str
) -> None:
    execute(url, "UPDATE drops SET memory_dir = '/old/place/MEMORY-CONTEXT'")
    assert verified(memory, url, alone=True).findings == []
    (memory / "exports-archive" / FILE).rename(memory / "away")
    assert kinds(verified(memory, url, alone=True)) == ["archive_missing"]
    (memory / "exports-failed" / "notes.md").unlink()
    (memory / "sessions" / "tools.md").unlink()
    found = sorted(kinds(verified(memory, url, alone=True)))
    assert found == ["archive_missing", "dead_letter_missing", "session_missing"]


def test_exports_of_another_memory_folder_on_this_machine_are_checked_there(
    memory: Path, url: str, tmp_path: Path
) -> None:
    there = tmp_path / "other" / "exports-archive"
    there.mkdir(parents=True)
    path = (memory / "exports-archive" / FILE).rename(there / FILE)
    sql = "UPDATE drops SET memory_dir = %s WHERE original_name = %s"
    execute(url, sql, str(tmp_path / "other"), FILE)
    assert verified(memory, url).findings == []
    path.write_bytes(path.read_bytes() + b" ")
    assert kinds(verified(memory, url)) == ["archive_changed"]


# -- on their way ------------------------------------------------------------------------


def test_an_ingested_file_in_flight_is_no_damage(memory: Path, url: str) -> None:
    claim = memory / ".exportd" / "inflight" / str(uuid.uuid4())
    claim.mkdir()
    (memory / "exports-archive" / FILE).rename(claim / FILE)
    execute(url, "UPDATE exports SET archive_name = NULL WHERE archive_name = %s", FILE)
    assert verified(memory, url).findings == []
    (claim / FILE).unlink()
    claim.rmdir()
    assert kinds(verified(memory, url)) == ["archive_missing"]


def test_a_file_that_was_archived_and_not_yet_marked_is_no_damage(
    memory: Path, url: str
) -> None:
    execute(url, "UPDATE exports SET archive_name = NULL WHERE archive_name = %s", FILE)
    assert verified(memory, url).findings == []


def test_a_file_that_grew_while_it_was_read_lives_on_in_what_it_grew_into(
    memory: Path, url: str
) -> None:
    short, long = (hashlib.sha256(garden(n).encode()).hexdigest() for n in (4, 12))
    (name,) = rows(url, "SELECT archive_name FROM exports WHERE sha256 = %s", short)[0]
    (memory / "exports-archive" / name).unlink()
    execute(url, "UPDATE exports SET archive_name = NULL WHERE sha256 = %s", short)
    assert kinds(verified(memory, url)) == ["archive_missing"]
    grown = "UPDATE exports SET metadata = metadata || jsonb_build_object('grown_into', %s) "
    execute(url, grown + "WHERE sha256 = %s", long, short)
    assert verified(memory, url).findings == []
    execute(url, grown + "WHERE sha256 = %s", "0" * 64, short)
    assert kinds(verified(memory, url)) == ["grown_lost"]


def test_what_is_ingested_and_archived_meanwhile_is_no_damage(memory: Path, url: str) -> None:
    """The snapshot was taken before: the file in the archive is unknown to it."""
    road = Road(memory, url)
    with closing(Store(url)) as store, closing(Store(url)) as live:
        dropped: list[int] = []

        def drop_once(done: int, _total: int) -> None:
            if not dropped:
                dropped.append(done)
                road.drop("2025-09-09-EXPORT-LATE.txt", garden(9))
                road.drop("2025-03-09-EXPORT-PARTS.txt", talk("zero", "one", "two", "three"))

        done = verify(store, live, Folders(memory), drop_once)
    road.store.close()
    assert dropped
    assert done.findings == []
    assert verified(memory, url).checked["exports"] == done.checked["exports"] + 2
