"""The archive alone is enough to have everything back, whatever became of the database."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from conftest import EXAMPLES, Command, execute, rows
from psycopg2.extensions import make_dsn
from test_pipeline import talk

from exportd import reindex, sessions
from exportd.errors import ConfigurationError, RefusedRequest
from exportd.folders import Folders
from exportd.manifest import Manifest
from exportd.settings import Settings
from exportd.store import Store, prepare_staging, sole_staging, swap
from exportd.workplace import limits

SCHEMA = "SELECT count(*) FROM pg_namespace WHERE nspname = 'exportd_reindex'"


def put(exportd: Command, name: str, text: str, session: str | None = None) -> None:
    exports = exportd.memory_dir / "exports"
    if session:
        (exports / f"{name}.session").write_text(session)
    (exports / name).write_text(text)


def drop(exportd: Command, name: str, text: str) -> None:
    put(exportd, name, text)
    assert exportd("run", "--once").returncode == 0


def dump(exportd: Command) -> str:
    done = exportd("export", "--all", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def filled(exportd: Command, database_url: str) -> Command:
    """A store with re-exports, other names, a sidecar, decisions and an empty export."""
    for path in EXAMPLES.iterdir():
        put(exportd, path.name, path.read_text())
    garden = (EXAMPLES / "2026-01-12-EXPORT-GARDEN-PLANNER.txt").read_text()
    put(exportd, "2025-01-01-EXPORT-EARLIER.txt", garden)
    put(exportd, "2026-02-01-EXPORT-A.txt", talk("one", "1", "two", "2"))
    put(exportd, "2026-02-02-EXPORT-B.txt", talk("three", "3", "four", "4"))
    put(exportd, "note.txt", talk("five", "5", "six", "6"), "My Notes")
    put(exportd, "2026-02-03-EXPORT-E.json", '{"exported_at": "x", "messages": []}')
    assert exportd("run", "--once").returncode == 0
    store = Store(database_url)
    store.run(lambda tx: sessions.merge(tx, "a", "b", "ada"))
    store.run(lambda tx: sessions.rename(tx, "sourdough", "bread", "ada"))
    store.run(lambda tx: sessions.undo(tx, 2))
    store.run(lambda tx: sessions.split(tx, "b", [2], "c", "ada"))
    sessions.write_down(store, Manifest(exportd.memory_dir / "exports-archive"))
    store.close()
    return exportd


def elsewhere(filled: Command, folder: Path, url: str) -> Command:
    """A memory folder with nothing but a copy of the archive, times not kept."""
    other = Command(folder / "restored", url)
    shutil.copytree(
        filled.memory_dir / "exports-archive",
        other.memory_dir / "exports-archive",
        copy_function=shutil.copyfile,
    )
    return other


def test_the_archive_alone_gives_the_same_store(
    filled: Command, tmp_path: Path, empty_database_url: str
) -> None:
    other = elsewhere(filled, tmp_path, empty_database_url)
    done = other("reindex")
    assert done.returncode == 0, done.stderr
    assert "is rebuilt" in done.stdout
    assert dump(other) == dump(filled)
    files = {path.name for path in (other.memory_dir / "sessions").iterdir()}
    assert {"earlier.md", "garden-planner.md", "b.md", "c.md", "my-notes.md"} < files
    drop(other, "2026-02-03-EXPORT-A.txt", talk("seven", "7", "eight", "8"))
    counts = rows(
        empty_database_url, "SELECT conversation_id, total_messages FROM conversations"
    )
    assert dict(counts)["b"] == 8


def test_in_its_own_database_nothing_changes_and_history_stays(
    filled: Command, database_url: str
) -> None:
    facts = (
        "SELECT drop_id, outcome FROM drops ORDER BY 1",
        "SELECT conversation_id, message_index, created_at FROM messages ORDER BY 1, 2",
        "SELECT operation, undone_at, made_by FROM overrides ORDER BY override_id",
        "SELECT sha256, archive_name, explicit_id FROM exports ORDER BY 1",
        "SELECT count(*) FROM alerts",
    )
    before = [dump(filled), *(rows(database_url, sql) for sql in facts)]
    done = filled("reindex")
    assert done.returncode == 0, done.stderr
    assert "exactly what is stored" in done.stdout
    assert [dump(filled), *(rows(database_url, sql) for sql in facts)] == before
    drop(filled, "2026-03-01-EXPORT-NEW.txt", talk("nine", "9", "ten", "10"))
    assert filled("sessions", "undo", "3").returncode == 0


def test_what_an_older_parser_read_otherwise_is_shown_then_replaced(
    filled: Command, database_url: str
) -> None:
    good = dump(filled)
    execute(database_url, "UPDATE exports SET parser_version = 0")
    execute(database_url, "UPDATE messages SET kind = 'text' WHERE kind = 'tool_call'")
    (filled.memory_dir / "exports" / "x.txt").write_text(talk("a", "b", "c", "d"))
    assert "store.outdated" in filled("run", "--once").stderr
    dry = filled("reindex", "--dry-run")
    assert "garden-planner" in dry.stdout
    assert "messages differ, from index" in dry.stdout
    assert rows(database_url, SCHEMA) == [(0,)]
    assert '"kind": "tool_call"' not in dump(filled)
    assert filled("reindex").returncode == 0
    assert '"kind": "tool_call"' in dump(filled)
    assert set(good.splitlines()) <= set(dump(filled).splitlines())
    assert "store.outdated" not in filled("run", "--once").stderr


def test_without_all_its_files_it_refuses_and_leaves_everything(filled: Command) -> None:
    before = dump(filled)
    archived = filled.memory_dir / "exports-archive" / "2026-02-02-EXPORT-B.txt"
    archived.unlink()
    done = filled("reindex")
    assert done.returncode == 64
    assert "1 exports of the database are not in" in done.stderr
    assert "2026-02-02-EXPORT-B.txt" in done.stderr
    assert dump(filled) == before


def test_a_file_that_nobody_dropped_is_left_out_and_told(filled: Command) -> None:
    stray = filled.memory_dir / "exports-archive" / "stray.txt"
    stray.write_text("a shopping list\n")
    (filled.memory_dir / "exports-archive" / "link.txt").symlink_to("/etc/passwd")
    before = dump(filled)
    done = filled("reindex")
    assert done.returncode == 0, done.stderr
    assert "stray.txt cannot be read" in done.stdout
    assert "link.txt" not in done.stdout
    assert dump(filled) == before


def test_a_file_that_was_readable_once_and_is_not_now_changes_nothing(
    filled: Command, tmp_path: Path, empty_database_url: str
) -> None:
    other = elsewhere(filled, tmp_path, empty_database_url)
    broken = b"a shopping list\n"
    (other.memory_dir / "exports-archive" / "broken.txt").write_bytes(broken)
    with (other.memory_dir / "exports-archive" / "manifest.jsonl").open("a") as file:
        sha256 = hashlib.sha256(broken).hexdigest()
        record = {"type": "drop", "sha256": sha256, "name": "broken.txt"}
        file.write(json.dumps({**record, "modified_at": "2026-01-01T00:00:00+00:00"}) + "\n")
    done = other("reindex")
    assert done.returncode == 65
    assert "broken.txt cannot be read" in done.stdout
    assert rows(empty_database_url, "SELECT count(*) FROM messages") == [(0,)]


def test_a_killed_run_changes_nothing_and_the_next_goes_on(
    filled: Command, database_url: str
) -> None:
    before = dump(filled)
    for wait_s in (0.6, 0.8, 1.0, 1.2):
        process = subprocess.Popen(
            [sys.executable, "-m", "exportd", "reindex"],
            env=filled.environment,
            stdout=subprocess.DEVNULL,
        )
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert dump(filled) == before
    assert filled("reindex").returncode == 0
    assert dump(filled) == before
    assert rows(database_url, SCHEMA) == [(0,)]


def test_a_folder_without_an_archive_is_refused_and_not_made(
    exportd: Command, tmp_path: Path
) -> None:
    done = exportd("--memory-dir", str(tmp_path / "typo"), "reindex")
    assert done.returncode == 64
    assert "there is no" in done.stderr
    assert not (tmp_path / "typo").exists()


def test_former_ids_still_find_their_conversation(filled: Command, database_url: str) -> None:
    execute(
        database_url,
        "INSERT INTO conversation_aliases VALUES ('once', 'garden-planner', 'x', now(), TRUE)",
    )
    assert filled("export", "note").returncode == 0  # its name, though it was assigned
    assert filled("reindex").returncode == 0
    assert filled("export", "once").returncode == 0
    assert filled("export", "note").returncode == 0


def test_while_a_daemon_works_in_the_folder_it_is_refused(filled: Command) -> None:
    with filled.running():
        assert filled("reindex").returncode == 73


def test_a_deep_verification_compares_with_what_the_archive_gives(
    filled: Command, database_url: str
) -> None:
    healthy = filled("verify", "--deep")
    assert healthy.returncode == 0, healthy.stdout
    execute(database_url, "UPDATE conversation_aliases SET alias = 'x' WHERE NOT former")
    noted = filled("verify", "--deep")
    assert noted.returncode == 0
    assert "note: rebuilt_otherwise" in noted.stdout
    assert "other aliases" in noted.stdout
    execute(database_url, "UPDATE messages SET kind = 'text' WHERE kind = 'tool_call'")
    done = filled("verify", "--deep")
    assert done.returncode == 65
    assert "damage: rebuilt_otherwise" in done.stdout
    assert rows(database_url, SCHEMA) == [(0,)]
    assert filled("reindex").returncode == 0
    assert "rebuilt_otherwise" not in filled("verify", "--deep").stdout


def second_store(exportd: Command, url: str) -> Store:
    """What an interrupted run leaves: built, and not put in place."""
    folders, store = Folders(exportd.memory_dir), Store(url)
    contents = reindex.inventory(folders, store)
    assert (
        reindex.rebuild(url, contents, folders, store, lambda: None, limits(Settings())) == []
    )
    return store


def test_what_people_said_after_an_interrupted_run_counts(
    filled: Command, database_url: str
) -> None:
    second_store(filled, database_url).close()
    (filled.memory_dir / "exports" / "note.txt.session").write_text("elsewhere")
    assert filled("run", "--once").returncode == 0
    before = dump(filled)
    assert '"conversation_id": "elsewhere"' in before
    assert filled("reindex").returncode == 0
    assert dump(filled) == before


def test_a_decision_made_meanwhile_is_not_lost(filled: Command, database_url: str) -> None:
    store = second_store(filled, database_url)
    store.run(lambda tx: sessions.rename(tx, "sourdough", "bread", "ada"))
    before = dump(filled)
    with pytest.raises(RefusedRequest, match="1 decisions"):
        store.run(swap)
    assert dump(filled) == before


def test_one_process_at_a_time_has_the_second_store(filled: Command, database_url: str) -> None:
    with sole_staging(database_url):
        done = filled("reindex")
    assert (done.returncode, done.stdout) == (75, "")
    assert "another 'exportd reindex'" in done.stderr


def test_two_decisions_in_a_circle_end_with_the_later_one(
    filled: Command, tmp_path: Path, empty_database_url: str
) -> None:
    manifest = Manifest(filled.memory_dir / "exports-archive")
    for day, names in ((1, ("sourdough", "bread")), (2, ("bread", "sourdough"))):
        override = {"type": "override", "uuid": str(uuid.uuid4()), "operation": "rename"}
        override |= {"from_id": names[0], "into_id": names[1], "made_by": "ada"}
        made = f"2027-01-0{day}T00:00:00+00:00"
        manifest.append({**override, "exports": {}, "created_at": made})
    other = elsewhere(filled, tmp_path / "other", empty_database_url)
    done = other("reindex")
    assert done.returncode == 0, done.stderr
    assert "manifest.undo_missing" in done.stderr
    assert dump(other) == dump(filled)


def test_a_manifest_that_is_no_file_is_not_taken_for_an_empty_one(filled: Command) -> None:
    manifest = filled.memory_dir / "exports-archive" / "manifest.jsonl"
    manifest.unlink()
    os.mkfifo(manifest)
    done = filled("reindex")
    assert (done.returncode, done.stdout) == (75, "")
    manifest.unlink()
    assert "There is no exports-archive/manifest.jsonl" in filled("reindex").stderr


def test_a_role_that_may_make_no_schema_is_told_what_it_lacks(
    server_url: str, database_url: str
) -> None:
    role = f"clerk_{uuid.uuid4().hex[:8]}"
    execute(server_url, f"CREATE ROLE {role} LOGIN")
    try:
        with pytest.raises(ConfigurationError, match="GRANT CREATE ON DATABASE"):
            prepare_staging(make_dsn(database_url, user=role), "x")
    finally:
        execute(server_url, f"DROP ROLE {role}")
