"""A conversation that is purged is gone everywhere, for good, and nothing else is."""

from __future__ import annotations

import errno
import gzip
import io
import json
import shutil
import subprocess
import uuid
import zipfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import EXAMPLES, SAMPLES, Command, execute, rows
from desk import at, drop, dumped, findings, killed_at
from psycopg2.extensions import make_dsn
from schemas import conforming

from exportd import containers, purge
from exportd.containers import Bounds
from exportd.crash import POINTS
from exportd.errors import DiskTrouble, RefusedRequest
from exportd.file_bytes import sha256
from exportd.folders import Folders
from exportd.lifecycle import held
from exportd.purge_plan import Content, Inside, closure, decisions_about
from exportd.render.redaction import STRUCK, redacted
from exportd.rewriting import Rewriting
from exportd.sessions import merge, split, write_down
from exportd.store import purging

CLAUDE = "c1a0de00-0000-4000-8000-000000000001"
CHATGPT = "6770aaaa-0000-8000-8000-000000000001"


def account(*samples: str) -> bytes:
    return b"[" + b",\n ".join((SAMPLES / name).read_bytes() for name in samples) + b"]\n"


def zipped(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in members.items():
            archive.writestr(name.replace("__", "."), raw)
    return packed.getvalue()


def garden(exportd: Command) -> None:
    for path in EXAMPLES.glob("*GARDEN*"):
        shutil.copy2(path, exportd.memory_dir / "exports")


def reindexed(exportd: Command) -> None:
    done = exportd("reindex")
    assert done.returncode == 0, done.stdout + done.stderr


def everything(url: str) -> str:
    """Every row of every table, as text."""
    tables = rows(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return "\n".join(
        str(row)
        for (table,) in tables
        for row in rows(url, f"SELECT * FROM {table}")  # noqa: S608
    )


def fill(exportd: Command) -> None:
    """The conversation alone, in a list, in a zip with a list, packed; and others."""
    garden(exportd)
    drop(
        exportd,
        claude__json=(SAMPLES / "claude-ai.json").read_bytes(),
        conversations__json=account("chatgpt.json", "claude-ai.json", "opencode.json"),
        packed__gz=gzip.compress(account("claude-ai.json", "chatgpt.json"), mtime=0),
        alone__json=account("claude-ai.json"),
        data__zip=zipped(
            conversations__json=account("claude-ai.json", "chatgpt.json"), users__json=b"[{}]"
        ),
        rest__zip=zipped(c__json=(SAMPLES / "claude-ai.json").read_bytes(), u__txt=b"Ann"),
    )


def test_what_is_purged_is_gone_everywhere_and_all_else_stays(
    exportd: Command, database_url: str
) -> None:
    fill(exportd)
    memory = exportd.memory_dir
    before = dumped(exportd, CLAUDE)
    kept = {path.name for path in (memory / "exports-archive").iterdir()}
    shown = conforming("purge", exportd("purge", CLAUDE, "--dry-run", "--json").stdout)
    assert (shown["purged"], shown["rows"]["messages"]) == (False, 10)
    fates = {file["path"].rpartition("/")[2]: file["fate"] for file in shown["files"]}
    assert fates == {
        "claude.json": "removed", "conversations.json": "written_anew",
        "packed.gz": "written_anew", "alone.json": "removed", "data.zip": "written_anew",
        "rest.zip": "set_aside", f"{CLAUDE}.md": "removed",
    }  # fmt: skip
    assert dumped(exportd, CLAUDE) == before
    assert CLAUDE in everything(database_url)

    refused = exportd("purge", CLAUDE)
    assert (refused.returncode, "--yes" in refused.stderr) == (64, True)
    done = exportd("purge", CLAUDE, "--yes", "--json", "--reason", "asked for")
    told = conforming("purge", done.stdout)
    assert told["purged"], done.stderr
    for file in told["files"]:
        assert not (memory / file["path"]).exists()
        assert file["becomes"] is None or (memory / file["becomes"]).is_file()
    assert dumped(exportd) == before
    deep = exportd("verify", "--deep", "--json")
    assert json.loads(deep.stdout)["findings"] == [], deep.stdout
    assert CLAUDE not in everything(database_url)
    found = subprocess.run(["grep", "-rlE", f"{CLAUDE}|claude.json", memory], check=False)
    assert found.returncode == 1  # none
    rest = list((memory / "exports-failed").glob("rest.*.zip"))
    assert [zipfile.ZipFile(path).namelist() for path in rest] == [["u.txt"]]
    assert {p.name for p in (memory / "exports-archive").glob("*GARDEN*")} <= kept
    note = rows(database_url, "SELECT reason, made_by <> '', counts ->> 'messages' FROM purges")
    assert note == [("asked for", True, "10")]
    assert CLAUDE + " was purged at" in exportd("purge", CLAUDE, "--yes").stderr

    execute(database_url, "DROP SCHEMA public CASCADE")
    execute(database_url, "CREATE SCHEMA public")
    reindexed(exportd)
    assert dumped(exportd) == before
    assert rows(database_url, "SELECT reason FROM purges") == [("asked for",)]


def test_the_same_bytes_are_a_new_decision_and_old_files_in_the_archive_are_none(
    exportd: Command, database_url: str
) -> None:
    garden(exportd)
    drop(exportd, list__json=account("chatgpt.json", "claude-ai.json"))
    archive = exportd.memory_dir / "exports-archive"
    saved = exportd.memory_dir.parent / "saved"
    shutil.copytree(archive, saved)
    assert exportd("purge", "garden-planner", "--yes").returncode == 0
    assert exportd("purge", CLAUDE, "--yes").returncode == 0
    after = dumped(exportd)
    for path in saved.glob("[!.m]*"):
        shutil.copy2(path, archive)  # a backup of the files came back, and the list did not
    assert {finding.kind for finding in findings(exportd)} == {"archive_purged"}
    reindexed(exportd)
    assert dumped(exportd) == after

    later = EXAMPLES / "2026-01-13-EXPORT-GARDEN-PLANNER.txt"
    drop(exportd, **{later.name.replace(".", "__"): later.read_bytes()})
    again = dumped(exportd)
    assert any(record["conversation_id"] == "garden-planner" for record in again)
    for path in saved.glob("[!.m]*"):
        (archive / path.name).unlink(missing_ok=path.name != later.name)
    shutil.copy2(later, archive)
    reindexed(exportd)
    assert dumped(exportd) == again


def test_a_purge_is_refused_where_it_would_do_harm(exportd: Command) -> None:
    drop(exportd, list__json=account("chatgpt.json", "claude-ai.json"))
    memory = exportd.memory_dir
    with held(Folders(memory)):
        assert exportd("purge", CLAUDE, "--yes").returncode == 73
    flying = memory / ".exportd" / "inflight" / str(uuid.uuid4())
    flying.mkdir()
    (flying / "a.txt").touch()
    assert "in flight" in exportd("purge", CLAUDE, "--dry-run").stderr
    shutil.rmtree(flying)
    (memory / "exports-archive" / "list.json").write_bytes(account("chatgpt.json"))
    done = exportd("purge", CLAUDE, "--yes")
    assert (done.returncode, "Restore it" in done.stderr) == (64, True)
    assert exportd("purge", "nobody", "--yes").returncode == 64


def test_decisions_go_too_but_for_those_that_others_rest_on(
    exportd: Command, database_url: str
) -> None:
    garden(exportd)
    drop(exportd, x__json=(SAMPLES / "claude-ai.json").read_bytes())
    with at(exportd) as place:
        place.store.run(lambda tx: split(tx, "garden-planner", [2], "greenhouse", "ann"))
        place.store.run(lambda tx: merge(tx, CLAUDE, "garden-planner", "ann"))
        write_down(place.store, place.manifest)
    before = dumped(exportd, "garden-planner")
    done = exportd("purge", "garden-planner", "--yes", "--json")
    told = conforming("purge", done.stdout)
    assert told["decisions"] == {"removed": [2], "renamed": [1]}
    found = rows(database_url, "SELECT from_id LIKE 'purged-%%', into_id FROM overrides")
    assert found == [(True, "greenhouse")]
    assert (
        "garden-planner"
        not in (exportd.memory_dir / "exports-archive" / "manifest.jsonl").read_text()
    )
    assert dumped(exportd) == before
    assert findings(exportd) == []
    execute(database_url, "DROP SCHEMA public CASCADE")
    execute(database_url, "CREATE SCHEMA public")
    reindexed(exportd)
    after = dumped(exportd)
    assert [r["conversation_id"] for r in after] == [r["conversation_id"] for r in before]


def test_files_in_another_memory_folder_go_at_its_next_start(
    exportd: Command, database_url: str, tmp_path: Path
) -> None:
    other = Command(tmp_path / "OTHER", database_url)
    (other.memory_dir / "exports").mkdir(parents=True)
    raw = (SAMPLES / "claude-ai.json").read_bytes()
    drop(exportd, here__json=raw)
    drop(other, there__json=raw, shared__json=account("claude-ai.json", "chatgpt.json"))
    assert "purge it there" in exportd("purge", CLAUDE, "--yes").stderr
    done = conforming("purge", other("purge", CLAUDE, "--yes", "--json").stdout)
    assert done["other_folders"] == [str(exportd.memory_dir)]
    assert (exportd.memory_dir / "exports-archive" / "here.json").exists()
    drop(exportd)
    assert not (exportd.memory_dir / "exports-archive" / "here.json").exists()
    assert not (exportd.memory_dir / "sessions" / f"{CLAUDE}.md").exists()
    assert findings(exportd) == findings(other) == []


def test_killed_anywhere_a_purge_is_done_whole_or_not_at_all(
    memory_dir: Path, database_url: str
) -> None:
    exportd = Command(memory_dir, database_url)
    drop(
        exportd,
        claude__json=(SAMPLES / "claude-ai.json").read_bytes(),
        conversations__json=account("chatgpt.json", "claude-ai.json"),
    )
    saved = memory_dir.parent / "saved"
    shutil.copytree(memory_dir, saved)
    kept = rows(database_url, "SELECT content FROM messages WHERE conversation_id = %s "
                "ORDER BY message_index", CHATGPT)  # fmt: skip
    name = rows(database_url, "SELECT current_database()")[0][0]
    for point in (point for point in POINTS if point.startswith("purge.")):
        shutil.rmtree(memory_dir)
        shutil.copytree(saved, memory_dir)
        copy = f"{name}_{point.replace('.', '_')}"
        execute(make_dsn(database_url, dbname="postgres"),
                f"CREATE DATABASE {copy} TEMPLATE {name}")  # fmt: skip
        url = make_dsn(database_url, dbname=copy)
        try:
            copied = Command(memory_dir, url)
            killed_at(point, purge, partial(purged, copied))
            assert_whole_or_not_at_all(copied, kept)
        finally:
            execute(database_url, f"DROP DATABASE {copy} WITH (FORCE)")


def purged(exportd: Command) -> None:
    with at(exportd) as place:
        parts = place.purge_parts()
        purge.purge(parts, purge.plan(parts, CLAUDE), Bounds(), "ann", None)


def assert_whole_or_not_at_all(exportd: Command, kept: list[Any]) -> None:
    """After the next start; and the next purge, where the first one had not begun."""
    memory_dir, url = exportd.memory_dir, exportd.environment["EXPORTD_DATABASE_URL"]
    drop(exportd)
    left = rows(url, "SELECT count(*) FROM messages WHERE conversation_id = %s", CLAUDE)[0][0]
    archive = memory_dir / "exports-archive"
    if left:
        assert left == 10
        assert (archive / "claude.json").exists()
        assert rows(url, "SELECT count(*) FROM purges") == [(0,)]
        purged(exportd)
    assert rows(url, "SELECT content FROM messages ORDER BY message_index") == kept
    assert rows(url, "SELECT count(*) FROM purge_folders WHERE finished_at IS NULL") == [(0,)]
    assert len(list(archive.glob("[!.]*"))) == 2, list(archive.iterdir())
    assert not list(memory_dir.glob("*/.*.tmp"))
    assert not (memory_dir / "sessions" / f"{CLAUDE}.md").exists()
    assert CLAUDE not in (memory_dir / "export-dedup-status.txt").read_text()
    assert findings(exportd) == []


# -- the core ---------------------------------------------------------------------------


def content(number: int, others: int = 0) -> Content:
    return Content(
        number, f"{number:064}", 1, "n", None, None, None, datetime.now(UTC), others, (), (), ()
    )


def inside(holder: int, export: int) -> Inside:
    return Inside(export, holder, export, "0", f"{export:064}", "ingested", None)


def test_a_holder_goes_when_all_that_is_in_it_goes() -> None:
    lies = [inside(10, 1), inside(10, 2), inside(20, 10), inside(30, 1), inside(30, 3)]
    holders = [content(20), content(10), content(30), content(40, others=1)]
    assert closure({1, 2}, holders, [*lies, inside(40, 1)]) == {1, 2, 10, 20}
    assert closure({1}, holders, lies) == {1}


def test_decisions_are_followed_to_their_source() -> None:
    decided = [
        (1, "merge", "a", "b", False), (2, "rename", "b", "c", False),
        (3, "split", "c", "d", False), (4, "merge", "x", "y", False),
        (5, "split", "e", "c", False), (6, "merge", "c", "z", True),
    ]  # fmt: skip
    assert decisions_about("c", decided) == ({1, 2, 5, 6}, {3})


def test_a_status_log_loses_the_files_of_a_conversation_and_its_name() -> None:
    log = (
        "====\nMemory folder: /garden\n====\n\n"
        "✓ ingested: a.txt (1.2 KB)\n    Session: garden\n    Messages: 1 in the file\n\n"
        "✓ ingested: b.txt (3 bytes)\n    Session: gardening\n    Also changed: garden, x\n\n"
        "✓ duplicate_file: c (1).txt (1 byte)\n    Why: the same bytes\n\n"
        "Status: ❌ FAILED\n  dead_letter: c (1).txt: no\nFiles: 3\n"
    )
    after = redacted(log, ["garden"], ["c (1).txt"])
    assert after.count("– purged:") == 2
    assert "a.txt" not in after
    assert f"Session: gardening\n    Also changed: {STRUCK}, x" in after
    assert f"dead_letter: {STRUCK}: no" in after
    assert "/garden" in after


@pytest.mark.parametrize("gone", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2)])
def test_a_list_and_a_zip_are_written_anew_with_the_same_members(
    gone: tuple[int, ...], tmp_path: Path
) -> None:
    names = ("chatgpt.json", "claude-ai.json")
    samples = [(SAMPLES / name).read_bytes().strip() for name in names]
    parts = [*samples, samples[0].replace(b"6770aaaa", b"6770aaab")]
    listed = b"\n[ " + b" ,\n".join(parts) + b" ]\n"
    packed = zipped(a__json=parts[0], b__json=listed, c__txt=b"x", d__json=parts[2])
    for raw in (listed, packed, gzip.compress(listed, mtime=0)):
        leaves = {sha256(parts[number]) for number in gone}
        rewriting = Rewriting(tmp_path, leaves, {sha256(listed)}, Bounds())
        anew = rewriting.write(raw, "n", sha256(raw))
        content = anew.path.read_bytes()
        container = containers.recognise(content, "n")
        assert container is not None
        found = {sha256(m.raw) for m in container.members(content, "n", Bounds())}
        assert not leaves & found
        assert raw is not listed or len(json.loads(content)) == 3 - len(gone)


def test_a_zip_that_cannot_be_written_anew_whole_is_refused(tmp_path: Path) -> None:
    good = (SAMPLES / "chatgpt.json").read_bytes()
    raw = bytearray(zipped(a__json=good, b__json=good.replace(b"6770aaaa", b"6770aaab")))
    at = raw.find(b"PK\x03\x04", 10)
    raw[at + 60] ^= 255  # the second one is damaged
    rewriting = Rewriting(tmp_path, {sha256(good)}, set(), Bounds())
    with pytest.raises(RefusedRequest, match="cannot be written anew"):
        rewriting.write(bytes(raw), "n.zip", "x")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_purges_nothing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [
        (SAMPLES / name).read_bytes().strip() for name in ("chatgpt.json", "claude-ai.json")
    ]
    raw = b"[" + b", ".join(parts) + b"]"

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskTrouble, match="No space left"):
        Rewriting(tmp_path, {sha256(parts[0])}, set(), Bounds()).write(raw, "n", "x")
    assert list(tmp_path.iterdir()) == []


def test_full_writes_every_table_anew_that_may_hold_something_of_it(database_url: str) -> None:
    told = (
        "SELECT relname, pg_relation_filenode(oid) FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
        "OR oid = 'pg_statistic'::regclass"
    )
    before = set(rows(database_url, told))
    purging.vacuum(database_url, full=True)
    same = {name for name, _ in before & set(rows(database_url, told)) if "yoyo" not in name}
    assert same == {"alert_channels", "purges", "purged_contents"}
