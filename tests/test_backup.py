"""``exportd backup`` and ``restore``: nothing is lost, whatever is damaged or killed when."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from conftest import EXAMPLES, SAMPLES, Command, execute, rows, wait_until
from psycopg2.extensions import make_dsn
from schemas import conforming
from test_pipeline import Road, talk

from exportd.backup import folder as backups
from exportd.backup import restoring
from exportd.backup.checking import Reader
from exportd.backup.folder import Backup
from exportd.backup.listing import FORMAT, Entry, Listing, decode, encode
from exportd.backup.making import Order, make
from exportd.backup.programs import dump
from exportd.embedded import binary
from exportd.errors import DamagedBackup, DiskTrouble, FolderInUse, RefusedRequest
from exportd.folders import Folders
from exportd.store import Store, fingerprint
from exportd.store.backing import export_snapshot, read_backed_up, read_place

migrations = import_module("exportd.store.migrate")
DEBIAN = Path("/usr/lib/postgresql/15/bin")
TAKEN = (
    "box-1.0.txt", "chatgpt.json", "claude-ai.json", "claude-code-jsonl.jsonl", "deck-1.txt",
    "deck-2.txt", "deck-3-other-directory.txt", "in-flight.txt", "indexed-messages.json",
)  # fmt: skip
NOW = datetime(2026, 11, 26, 16, tzinfo=UTC)


def run(exportd: Command, *arguments: str, code: int = 0, **environment: str) -> str:
    done = exportd(*arguments, **environment)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout if code in (0, 65) and done.stdout else done.stderr


def dumped(exportd: Command) -> list[str]:
    """The canonical dump, as ``exportd export --all --format jsonl`` prints it."""
    lines: list[str] = []
    with closing(Store(exportd.environment["EXPORTD_DATABASE_URL"])) as store:
        store.dump(None, lambda record: lines.append(json.dumps(record, ensure_ascii=False)))
    return lines


def files_of(folder: Path) -> dict[str, str]:
    """Every file by its path, with a hash; but the server's, and what a start may touch."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "postgres" not in str(path) and path.name != "lock"
    }


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, server_url: str) -> Iterator[Command]:
    """Examples and samples ingested, dead letters among them, and files that wait."""
    name = f"exportd_{uuid.uuid4().hex[:12]}"
    execute(server_url, f"CREATE DATABASE {name} TEMPLATE exportd_template")
    memory = tmp_path_factory.mktemp("backed-up") / "MEMORY-CONTEXT"
    exports = memory / "exports"
    exports.mkdir(parents=True)
    for path in (*EXAMPLES.iterdir(), *(SAMPLES / name for name in TAKEN)):
        shutil.copy(path, exports / path.name)
    with zipfile.ZipFile(exports / "packed.zip", "w") as packed:
        packed.write(SAMPLES / "opencode.json", "opencode.json")
    (exports / "notes.md").write_text("# nothing of ours\n")
    (exports / "named.txt").write_text(talk("whose", "mine", "is", "it"))
    (exports / "named.txt.session").write_text("garden-planner\n")
    odd = os.fsdecode(b"odd \\ \xff\n name.txt")
    (exports / odd).write_text(talk("an", "odd", "name", "indeed"))
    exportd = Command(memory, make_dsn(server_url, dbname=name))
    done = exportd("run", "--once")
    assert done.returncode == 0, done.stderr
    assert list((memory / "exports-failed").glob("notes.md"))
    (exports / "waiting.txt.part").write_text("not whole yet")
    (exports / "below").mkdir()
    (exports / "below" / "link.txt").symlink_to("/etc/hostname")
    yield exportd
    execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def made(filled: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it that no test changes; the folder that holds it."""
    into = tmp_path_factory.mktemp("backups")
    run(filled, "backup", str(into))
    return into


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """The backup itself, to be damaged."""
    (name,) = backups.names(made)
    shutil.copytree(made / name, tmp_path / "copy" / name)
    return tmp_path / "copy" / name


@pytest.fixture
def elsewhere(tmp_path: Path, empty_database_url: str) -> Command:
    """The command on an empty place: no memory folder, an empty database."""
    return Command(tmp_path / "elsewhere" / "MEMORY-CONTEXT", empty_database_url)


# -- the drill ---------------------------------------------------------------------------


def test_the_drill_a_backup_beside_a_working_daemon_gives_everything_back(
    filled: Command, elsewhere: Command, tmp_path: Path, server_url: str
) -> None:
    memory, into = tmp_path / "MEMORY-CONTEXT", tmp_path / "backups"
    shutil.copytree(filled.memory_dir, memory, symlinks=True)
    database = f"exportd_{uuid.uuid4().hex[:12]}"
    template = rows(filled.environment["EXPORTD_DATABASE_URL"], "SELECT current_database()")
    execute(server_url, f"CREATE DATABASE {database} TEMPLATE {template[0][0]}")
    exportd = Command(memory, make_dsn(server_url, dbname=database))
    execute(
        make_dsn(server_url, dbname=database), "UPDATE drops SET memory_dir = %s", str(memory)
    )
    before = dumped(exportd)
    stop = threading.Event()

    def drop_files() -> None:
        for number in range(1000):
            text = talk(f"{number} one", "two", f"three {number}", "four")
            (memory / "exports" / f".{number}.tmp").write_text(text)
            place = memory / "exports" / f"2026-01-01-EXPORT-NEW-{number}.txt"
            (memory / "exports" / f".{number}.tmp").rename(place)
            if stop.wait(0.15):
                return

    with exportd.running(EXPORTD_SETTLE_TIME="0.05"):
        dropper = threading.Thread(target=drop_files)
        dropper.start()
        wait_until(lambda: list((memory / "exports-archive").glob("*NEW-3.txt")))
        dropped = [path.name for path in (memory / "exports-archive").glob("*NEW*")]
        first = conforming("backup", run(exportd, "backup", str(into), "--json"))
        stop.set()
        dropper.join()
        second = conforming(
            "backup", run(exportd, "backup", str(into), "--json", "--keep", "1")
        )
    assert not first["missing"] + first["damaged"] + second["missing"] + second["damaged"]
    assert second["removed"] == [Path(first["backup"]).name]
    assert second["new_files"] < len(dropped) + 1000 < second["files"] + 1000
    assert any("link.txt: a symbolic link" in one for one in second["skipped"])
    assert {one["place"] for one in second["places"]} >= {"", "exports", "exports-failed"}

    facts = conforming("restore", run(elsewhere, "restore", str(into), "--json"))
    assert facts["healthy"] is True
    assert facts["moved_from"] == str(memory)
    after = run(elsewhere, "export", "--all", "--format", "jsonl").splitlines()
    kept = [line for line in after if line in set(before)]
    assert kept == before  # byte for byte, and in their order
    assert "✓ healthy" in run(elsewhere, "verify", "--deep")
    restored = elsewhere.memory_dir
    assert {path.stat().st_mode & 0o777 for path in restored.glob("exports*/*.txt")} == {0o600}
    assert (restored / "exports-archive").stat().st_mode & 0o777 == 0o700
    assert (restored / "exports" / "waiting.txt.part").read_text() == "not whole yet"
    assert {path.name for path in (restored / "sessions").glob("*.md")} == {
        f"{json.loads(line)['conversation_id']}.md" for line in after
    }
    run(elsewhere, "run", "--once")
    assert set(dropped) <= {path.name for path in (restored / "exports-archive").iterdir()}
    execute(server_url, f"DROP DATABASE {database} WITH (FORCE)")


# -- files that move meanwhile -------------------------------------------------------------


@pytest.fixture
def road(tmp_path: Path, database_url: str) -> Iterator[Road]:
    made = Road(tmp_path / "MEMORY-CONTEXT", database_url)
    yield made
    made.store.close()


def backed_up(
    road: Road, into: Path, meanwhile: Callable[[int, int | None], None], **how: Any
) -> Backup:
    into.mkdir(exist_ok=True)
    order = Order(road.folders, road.url, into, True, how.get("link", True), True, 0)
    with closing(Store(road.url)) as store:
        done = make(order, store, how.get("now", NOW), threading.Event(), meanwhile)
    backup = backups.opened(done.path)
    assert Reader(threading.Event()).damages(backup, lambda _done, _all: None) == []
    return backup


def paths(backup: Backup) -> set[str]:
    return {e.path for e in backup.listing.files if "manifest" not in e.path} - {
        "export-dedup-status.txt", "exports-archive/.exportd-archive",
    }  # fmt: skip


def test_what_moves_on_or_back_while_it_is_copied_is_in_the_backup_once(
    road: Road, tmp_path: Path
) -> None:
    road.drop("known.txt", talk("what", "was", "known", "before"))
    road.drop("bad.md", "# nothing of ours\n")
    for name in ("late.txt", "later.txt", "stays.txt"):
        (road.folders.exports / name).write_text(talk(name, "a", "b", f"c {name}"))
    (road.folders.exports / "late.txt.session").write_text("somebody\n")
    steps: list[Callable[[], object]] = [
        # exports/ is seen to its end before anything else: what is ingested now was seen.
        lambda: road.pipeline.ingest(road.folders.exports / "late.txt"),
        lambda: None,
        lambda: None,
        lambda: None,
        # And this one is moved back behind the walker's back.
        lambda: (road.folders.failed / "bad.md").rename(road.folders.exports / "bad.md"),
    ]

    def meanwhile(_done: int, _all: int | None) -> None:
        if steps:
            steps.pop(0)()

    backup = backed_up(road, tmp_path / "backups", meanwhile)
    assert paths(backup) >= {
        "exports-archive/known.txt",
        "exports/stays.txt",
        "exports/later.txt",
        "exports/late.txt",  # the dump does not know it: it waits
        "exports/late.txt.session",
        "exports/bad.md",
    }
    assert "exports-archive/late.txt" not in paths(backup)
    told = backup.path / "memory" / "exports" / "late.txt.session"
    assert told.read_text() == "somebody\n"
    assert backup.listing.exports == 1
    assert not backup.listing.missing


def test_a_later_backup_costs_what_is_new_and_survives_the_one_before(
    road: Road, tmp_path: Path
) -> None:
    into = tmp_path / "backups"

    def nothing(_done: int, _all: int | None) -> None:
        pass

    road.drop("one.txt", talk("one", "a", "b", "c"))
    road.drop("moved.txt", talk("two", "a", "b", "d"))
    first = backed_up(road, into, nothing)
    os.utime(road.folders.archive / "moved.txt")  # seen anew, and found to be the same
    road.drop("three.txt", talk("three", "a", "b", "e"))
    second = backed_up(road, into, nothing)
    inode = {
        name: {
            (backup.path / "memory" / "exports-archive" / name).stat().st_ino
            for backup in (first, second)
        }
        for name in ("one.txt", "moved.txt")
    }
    assert {name: len(found) for name, found in inode.items()} == {"one.txt": 1, "moved.txt": 1}
    assert second.path.name == "exportd-20261126T160001Z"
    live = road.folders.archive / "one.txt"
    assert live.stat().st_ino not in inode["one.txt"]  # never linked to what exportd works on
    backups.remove(first)
    assert Reader(threading.Event()).damages(second, nothing) == []
    third = backed_up(road, into, nothing, link=False)
    place = third.path / "memory" / "exports-archive" / "one.txt"
    assert place.stat().st_ino not in inode["one.txt"]


def test_an_archive_that_lacks_or_changed_a_file_is_backed_up_and_told(
    road: Road, tmp_path: Path
) -> None:
    road.drop("lost.txt", talk("one", "a", "b", "c"))
    road.drop("changed.txt", talk("two", "a", "b", "d"))
    road.drop("packed.txt", talk("three", "a", "b", "e"))
    (road.folders.archive / "lost.txt").unlink()
    (road.folders.archive / "changed.txt").write_text("else")
    (road.folders.archive / "packed.txt").rename(road.folders.archive / "packed.txt.zst")
    exportd = Command(road.folders.memory, road.url)
    told = run(exportd, "backup", str(tmp_path / "backups"), code=65)
    assert "✗ missing in the archive: lost.txt" in told
    assert "than were ingested: changed.txt" in told
    (found,) = backups.whole(tmp_path / "backups")
    assert found.listing.missing == ("lost.txt",)
    assert "exports-archive/packed.txt.zst" in paths(found)


# -- damage --------------------------------------------------------------------------------


KINDS = {
    "database.dump": "database.dump",
    "an archived file": "memory/exports-archive/box-1.0.txt",
    "the manifest": "memory/exports-archive/manifest.jsonl",
    "a dead letter": "memory/exports-failed/notes.md",
    "its reason": "memory/exports-failed/notes.md.reason.txt",
    "a file that waits": "memory/exports/waiting.txt.part",
    "the status log": "memory/export-dedup-status.txt",
    "the list": "backup.json",
    "the sums": "SHA256SUMS",
}


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def test_one_byte_of_any_file_is_found_and_the_file_is_named(copied: Path) -> None:
    for name in KINDS.values():
        at = (copied / name).stat().st_size // 2
        flip(copied / name, at)
        found = said_of(copied)
        assert name in found[0]
        assert len(found) == 1 or name == "backup.json"  # it may have been a hash in it
        flip(copied / name, at)
    assert said_of(copied) == []


def said_of(backup: Path) -> list[str]:
    try:
        opened = backups.opened(backup)
    except DamagedBackup as error:
        return [str(error)]
    return [one.path for one in Reader(threading.Event()).damages(opened, lambda _d, _a: None)]


def test_restore_refuses_damage_names_it_and_says_what_can_be_done(
    copied: Path, elsewhere: Command, filled: Command
) -> None:
    flip(copied / "database.dump", 1000)
    told = run(elsewhere, "restore", str(copied), code=65)
    assert "database.dump: other bytes than were written" in told
    assert "--from-archive" in told
    assert not elsewhere.memory_dir.exists()
    assert read_tables(elsewhere) == ()
    checked = conforming(
        "backup", run(filled, "backup", "--check", str(copied), "--json", code=65)
    )
    assert checked["checked"][0]["damaged"][0]["path"] == "database.dump"

    lost = copied / "memory" / "exports-archive" / "box-1.0.txt"
    lost.unlink()
    told = run(elsewhere, "restore", str(copied), "--from-archive", code=65)
    assert "box-1.0.txt: no such file" in told
    assert "database.dump" not in told
    facts = run(elsewhere, "restore", str(copied), "--from-archive", "--skip-damaged", "--json")
    assert conforming("restore", facts)["left_out"] == ["exports-archive/box-1.0.txt"]
    assert conforming("restore", facts)["next"] == ["exportd reindex"]
    run(elsewhere, "reindex")
    restored = set(dumped(elsewhere))
    lines = [line for line in dumped(filled) if '"garden-planner"' in line]
    assert [
        line for line in lines if '"type": "message"' in line and line not in restored
    ] == []


def read_tables(exportd: Command) -> tuple[str, ...]:
    with closing(Store(exportd.environment["EXPORTD_DATABASE_URL"])) as store:
        return store.run(read_place).tables


def test_a_list_that_leads_out_of_the_folder_is_refused(copied: Path) -> None:
    listing = backups.opened(copied).listing
    for path in (
        "../outside", "/etc/passwd", "exports/../../x", "sessions/x.md", ".exportd/lock",
        ".exportd/inflight", "exports//x", ".exportd/postgres/PG_VERSION",
    ):  # fmt: skip
        bad = replace(listing, files=(Entry(path, 0, "0" * 64),))
        with pytest.raises(DamagedBackup):
            decode(encode(bad), "x")
    late = replace(listing.files[0], modified_ns=2**63)
    for bad in (
        replace(listing, files=(late,)),
        replace(listing, created_at=listing.created_at.replace(tzinfo=None)),
    ):
        with pytest.raises(DamagedBackup):
            decode(encode(bad), "x")
    with pytest.raises(RefusedRequest, match="newer"):
        decode(encode(replace(listing, format=FORMAT + 1)), "x")


# -- kill -9 -------------------------------------------------------------------------------


def test_a_backup_that_is_killed_at_any_step_leaves_nothing_that_could_be_taken_for_one(
    filled: Command, tmp_path: Path
) -> None:
    into = tmp_path / "backups"
    before = files_of(filled.memory_dir)
    for point in ("backup.dumped", "backup.copied", "backup.written", "backup.done"):
        run(filled, "backup", str(into), code=-signal.SIGKILL, EXPORTD_CRASH_AT=point)
        whole = backups.whole(into)
        assert len(whole) == (point == "backup.done")
        assert list(into.glob(".*.part")) or whole
    run(filled, "backup", str(into))
    assert list(into.glob(".*.part")) == []
    assert len(backups.whole(into)) == 2
    run(filled, "backup", "--check", str(into))
    assert files_of(filled.memory_dir) == before


def test_a_restore_that_is_killed_at_any_step_goes_on_where_it_stopped(
    filled: Command, elsewhere: Command, made: Path
) -> None:
    for point in ("restore.marked", "restore.files", "restore.loaded", "restore.told"):
        run(elsewhere, "restore", str(made), code=-signal.SIGKILL, EXPORTD_CRASH_AT=point)
    told = run(elsewhere, "run", "--once", code=os.EX_CONFIG)
    assert "an interrupted restore lies here; run 'exportd restore' again" in told
    run(elsewhere, "restore", str(made))
    assert dumped(elsewhere) == dumped(filled)
    (name,) = backups.names(made)
    there = files_of(made / name / "memory")
    restored = files_of(elsewhere.memory_dir)
    assert {path: restored[path] for path in there} == there
    assert "exportd_restoring" not in read_tables(elsewhere)
    told = run(elsewhere, "restore", str(made), code=os.EX_USAGE)
    assert "expected an empty folder, or none, found" in told


@pytest.mark.skipif("TEST_SLOW" not in os.environ, reason="slow: set TEST_SLOW=1")
def test_kills_at_any_moment_harm_neither_backup_nor_restore(
    filled: Command, elsewhere: Command, tmp_path: Path
) -> None:
    into = tmp_path / "backups"
    before = files_of(filled.memory_dir)
    for number in range(40):
        killed(filled, 0.3 + number * 0.02, "backup", str(into))
    run(filled, "backup", str(into))
    run(filled, "backup", "--check", str(into))
    for number in range(40):
        killed(elsewhere, 0.3 + number * 0.03, "restore", str(into))
        if (
            elsewhere.memory_dir.exists()
            and not Folders(elsewhere.memory_dir).restoring.exists()
        ):
            break
    else:
        run(elsewhere, "restore", str(into))
    assert dumped(elsewhere) == dumped(filled)
    assert "✓ healthy" in run(elsewhere, "verify", "--deep")
    assert files_of(filled.memory_dir) == before


def killed(exportd: Command, after_s: float, *arguments: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "exportd", *arguments],
        env=exportd.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after_s)
    process.kill()
    process.wait()


# -- what is refused -----------------------------------------------------------------------


def test_a_backup_goes_nowhere_where_it_would_do_harm(
    filled: Command, tmp_path: Path, elsewhere: Command
) -> None:
    inside = filled.memory_dir / "backups"
    (tmp_path / "link").symlink_to(filled.memory_dir)
    folders = Folders(filled.memory_dir)
    for place in (inside, filled.memory_dir, tmp_path / "link" / "x"):
        with pytest.raises(RefusedRequest, match="lies in the memory folder"):
            backups.refuse_unfit(place, folders)
    assert not inside.exists()
    (tmp_path / "file").write_text("")
    told = run(filled, "backup", str(tmp_path / "none" / "x"), code=os.EX_CONFIG)
    assert "expected a folder for backups" in told
    assert "found none" in run(elsewhere, "backup", str(tmp_path / "x"), code=os.EX_CONFIG)
    for holding in (backups.turn, backups.reading):
        with holding(tmp_path / "turn"), pytest.raises(FolderInUse):
            backups.turn(tmp_path / "turn").__enter__()


def test_a_full_disk_or_a_stop_leaves_no_half_of_a_backup(road: Road, tmp_path: Path) -> None:
    road.drop("one.txt", talk("one", "a", "b", "c"))
    into = tmp_path / "backups"
    into.mkdir()
    order = Order(road.folders, road.url, into, True, True, True, 1 << 60)
    stopping = threading.Event()
    with closing(Store(road.url)) as store:
        with pytest.raises(DiskTrouble, match="no backup was made"):
            make(order, store, NOW, stopping, lambda _done, _all: None)
        with pytest.raises(Exception, match="stopped by a signal"):
            make(
                replace(order, reserve_bytes=0), store, NOW, stopping,
                lambda _done, _all: stopping.set(),
            )  # fmt: skip
    assert list(into.iterdir()) == []


def test_a_restore_goes_into_empty_places_alone(
    made: Path, copied: Path, elsewhere: Command, empty_database_url: str
) -> None:
    elsewhere.memory_dir.mkdir(parents=True)
    stray = elsewhere.memory_dir / "mine.txt"
    stray.write_text("mine")
    told = run(elsewhere, "restore", str(made), code=os.EX_USAGE)
    assert "found mine.txt; move it away" in told
    stray.unlink()
    archive = elsewhere.memory_dir.parent / "disk"
    archive.mkdir()
    (archive / "manifest.jsonl").write_text("of later days")
    link = elsewhere.memory_dir / "exports-archive"
    link.symlink_to(archive)
    told = run(elsewhere, "restore", str(made), code=os.EX_USAGE)
    assert "found exports-archive/manifest.jsonl; move it away" in told
    link.unlink()
    execute(empty_database_url, "CREATE TABLE theirs (id int)")
    told = run(elsewhere, "restore", str(made), code=os.EX_USAGE)
    assert "the database is not empty" in told
    assert "theirs" in told
    execute(empty_database_url, "DROP TABLE theirs")
    backup = backups.opened(copied)
    newer = replace(backup.listing, migrations=(*backup.listing.migrations, "9999.later"))
    with pytest.raises(RefusedRequest, match=r"9999\.later"):
        restoring.refuse_newer(newer)
    run(elsewhere, "restore", str(made), "--dry-run")
    assert list(elsewhere.memory_dir.iterdir()) == []
    folders = Folders(elsewhere.memory_dir)
    folders.create()
    folders.restoring.write_text("exportd-20200101T000000Z 0123456789abcdef\n")
    with pytest.raises(RefusedRequest, match="interrupted restore of exportd-2020"):
        restoring.check_folder(folders, backup)
    told = run(elsewhere, "restore", str(elsewhere.memory_dir.parent), code=os.EX_USAGE)
    assert "there is no backup in" in told


# -- retention -----------------------------------------------------------------------------


def test_the_oldest_go_and_never_the_last_good_one() -> None:
    blank = Listing(
        1, "0", "", NOW, "/m", None, "public", (), 150000, 0, 0, 0, Entry("", 0, ""), ()
    )
    found = [
        Backup(Path(f"/b/{n}"), replace(blank, created_at=NOW - timedelta(days=9 - n)))
        for n in range(10)
    ]

    def gone(all_of: list[Backup], keep: int | None, days: int | None) -> str:
        removed = backups.to_remove(all_of, keep, days, NOW)
        return "".join(one.path.name for one in removed)

    assert gone(found, 3, None) == "0123456"
    assert gone(found, 100, None) == ""
    assert gone(found, None, 2) == "0123456"
    assert gone(found[:5], None, 2) == "0123"  # the newest, however old
    flawed = [replace(one, listing=replace(one.listing, missing=("x",))) for one in found[5:]]
    assert gone([*found[:5], *flawed], 2, None) == "0123567"
    assert gone([], 1, None) == ""


def test_what_is_no_backup_of_this_folder_stays(filled: Command, tmp_path: Path) -> None:
    into = tmp_path / "backups"
    for name in ("exportd-20200101T000000Z", "notes", ".exportd-20200101T000000Z.part"):
        (into / name).mkdir(parents=True)
        (into / name / "a.txt").write_text("mine")
    run(filled, "backup", str(into), "--keep", "1")
    run(filled, "backup", str(into), "--keep", "1")
    assert len(backups.whole(into)) == 1
    there = {path.name for path in into.iterdir()} - {".exportd-backup.lock"}
    assert sorted(there) == [
        "exportd-20200101T000000Z", backups.whole(into)[0].path.name, "notes",
    ]  # fmt: skip


# -- other servers, older schemas, other places --------------------------------------------


def test_an_older_schema_is_brought_up_to_date_and_the_rows_follow_the_folder(
    road: Road, tmp_path: Path, empty_database_url: str
) -> None:
    road.drop("one.txt", talk("one", "a", "b", "c"))
    road.drop("bad.md", "# nothing of ours\n")
    old = str(road.folders.memory)
    for subject in (old, f"{old}/slack"):
        execute(
            road.url,
            "INSERT INTO alerts (fingerprint, kind, severity, title, body, memory_dir) "
            "VALUES (%s, 'damage', 'critical', 't', 'b', %s)",
            fingerprint("damage", subject), old,
        )  # fmt: skip
    for statement in (
        "INSERT INTO alert_channels (memory_dir, channel) VALUES (%s, 'slack')",
        (
            "INSERT INTO alert_silences (kind, until, comment, created_by, memory_dir) "
            "VALUES ('damage', now(), '', '', %s)"
        ),
        (
            "INSERT INTO alert_messages (message_id, memory_dir, channel, group_key) "
            "VALUES (gen_random_uuid(), %s, 'slack', '')"
        ),
    ):
        execute(road.url, statement, old)
    with migrations._locked(road.url) as backend:
        backend.rollback_migrations(backend.to_rollback(migrations._migrations())[:1])
    latest = migrations.known_migrations()[-1]
    into = tmp_path / "backups"
    backed_up(road, into, lambda _done, _all: None)
    elsewhere = Command(tmp_path / "other" / "place", empty_database_url)
    facts = conforming("restore", run(elsewhere, "restore", str(into), "--json"))
    assert facts["migrated"] == [latest]
    new = str(elsewhere.memory_dir)
    assert tables_with(empty_database_url, old) == []  # of all tables that name a folder
    assert {"alerts", "dead_letters", "drops"} <= set(tables_with(empty_database_url, new))
    told = rows(
        empty_database_url,
        "SELECT fingerprint FROM alerts WHERE kind = 'damage' AND memory_dir = %s", new,
    )  # fmt: skip
    assert {f for (f,) in told} == {fingerprint("damage", s) for s in (new, f"{new}/slack")}
    with closing(Store(empty_database_url)) as store:
        assert store.is_guarded()  # rights that no dump has
    (elsewhere.memory_dir / "exports-failed" / "bad.md").unlink()
    assert "dead_letter_missing" in run(elsewhere, "verify")


def test_a_server_that_lacks_the_role_gets_it_from_a_restore_and_from_migrate(
    made: Path, tmp_path: Path
) -> None:
    exportd = Command(tmp_path / "alone" / "MEMORY-CONTEXT", None)
    assert run(exportd, "restore", str(made), "--json")
    assert "✓ role: " in run(exportd, "doctor")
    lose = "DROP OWNED BY exportd_app; DROP ROLE exportd_app"
    run(exportd, "db", "psql", "-c", lose)
    done = exportd("doctor")
    assert done.returncode == os.EX_TEMPFAIL
    assert "✗ role: exportd works without the role exportd_app" in done.stdout
    assert run(exportd, "migrate") == "The schema is up to date.\n"
    assert "✓ role: " in run(exportd, "doctor")
    run(exportd, "db", "psql", "-c", lose)
    done = exportd("run", "--once")
    assert done.returncode == 0
    assert "store.unguarded" not in done.stderr
    denied = exportd("db", "psql", "-c", "SET ROLE exportd_app; DELETE FROM messages")
    assert "permission denied for table messages" in denied.stderr


def tables_with(url: str, memory_dir: str) -> list[str]:
    """The tables in which rows of a memory folder are."""
    named = "SELECT table_name FROM information_schema.columns WHERE column_name = 'memory_dir'"
    return [
        name
        for (name,) in rows(url, named)
        if rows(url, f"SELECT 1 FROM {name} WHERE memory_dir = %s LIMIT 1", memory_dir)  # noqa: S608
    ]


@contextmanager
def debian_server(folder: Path) -> Iterator[str]:
    """PostgreSQL 15, with passwords; the URL of a user who owns a schema and no more."""
    if os.geteuid() or not (DEBIAN / "initdb").exists():
        pytest.skip("needs root and Debian's PostgreSQL 15")
    folder.mkdir()
    shutil.chown(folder, "postgres", "postgres")
    for above in folder.parents[:-1]:
        above.chmod(above.stat().st_mode | 0o011)
    (folder / "password").write_text("secret-word")
    shutil.chown(folder / "password", "postgres")

    def do(program: str, *arguments: str) -> None:
        subprocess.run(
            [DEBIAN / program, *arguments], user="postgres", check=True, capture_output=True
        )

    data = f"{folder}/data"
    do("initdb", "-A", "scram-sha-256", f"--pwfile={folder}/password", "-N", "-D", data)
    options = f"-p 6015 -k {folder} -c listen_addresses= -c fsync=off"
    do("pg_ctl", "-w", "-D", data, "-o", options, "-l", f"{folder}/log", "start")
    try:
        root = f"host={folder} port=6015 user=postgres password=secret-word"
        execute(f"{root} dbname=postgres", "CREATE ROLE me LOGIN PASSWORD 'secret-word'")
        execute(
            f"{root} dbname=postgres",
            "CREATE DATABASE mine OWNER me ENCODING 'UTF8' TEMPLATE template0",
        )
        url = f"host={folder} port=6015 user=me password=secret-word dbname=mine"
        execute(url, 'CREATE SCHEMA "My Notes"')
        yield url
    finally:
        with suppress(subprocess.CalledProcessError):
            do("pg_ctl", "-D", data, "-m", "immediate", "stop")


def test_a_server_of_ones_own_older_than_the_embedded_one_there_and_back(
    made: Path, filled: Command, tmp_path: Path, empty_database_url: str
) -> None:
    with debian_server(tmp_path / "15") as url:
        own = Command(tmp_path / "own" / "MEMORY-CONTEXT", url)
        run(own, "restore", str(made))
        assert dumped(own) == dumped(filled)
        # And one whose tables are in a schema of the URL's.
        notes = make_dsn(url, options='-csearch_path="My\\ Notes"')
        other = Command(tmp_path / "other" / "MEMORY-CONTEXT", notes)
        told = run(other, "restore", str(made), code=os.EX_USAGE)
        assert "the backup is of the schema public, and the URL leads to My Notes" in told
        (other.memory_dir / "exports").mkdir(parents=True)
        (other.memory_dir / "exports" / "a.txt").write_text(talk("one", "a", "b", "c"))
        run(other, "run", "--once")
        seen = command_lines()
        run(other, "backup", str(tmp_path / "backups"))
        assert not any("secret-word" in line for line in seen())
        assert any("pg_dump" in line for line in seen())
        before = dumped(other)
    execute(empty_database_url, 'CREATE SCHEMA "My Notes"')
    back = Command(
        tmp_path / "back" / "MEMORY-CONTEXT",
        make_dsn(empty_database_url, options='-csearch_path="My\\ Notes"'),
    )
    run(back, "restore", str(tmp_path / "backups"))
    assert dumped(back) == before


def command_lines() -> Callable[[], set[str]]:
    """Watches what ``ps`` would show, until it is asked."""
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(path.read_text(errors="replace"))

    thread = threading.Thread(target=watch)
    thread.start()

    def result() -> set[str]:
        stop.set()
        thread.join()
        return seen

    return result


def test_the_dump_is_of_the_moment_of_the_snapshot(road: Road, tmp_path: Path) -> None:
    """What is committed behind the snapshot is not in it, though it is there when it dumps."""
    road.drop("one.txt", talk("one", "a", "b", "c"))

    def work(tx: Any) -> int:
        snapshot = export_snapshot(tx)
        road.drop("two.txt", talk("two", "a", "b", "d"))
        dump(road.url, "public", snapshot, tmp_path / "d", 180000, threading.Event())
        return read_backed_up(tx.rows).exports

    with closing(Store(road.url)) as store:
        assert store.run(work) == 1
    program: list[str | Path] = [
        binary("pg_restore"),
        "--data-only",
        "--table=exports",
        "--file=-",
    ]
    done = subprocess.run(
        [*map(str, program), str(tmp_path / "d")], capture_output=True, text=True, check=True
    )
    assert "one.txt" in done.stdout
    assert "two.txt" not in done.stdout
