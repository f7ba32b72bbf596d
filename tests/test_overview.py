"""``exportd status``: how it stands, from outside the daemon."""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import Command, wait_until

from exportd.folders import Folders
from exportd.lifecycle import held, holder
from exportd.overview import Disk, Overview, Waiting
from exportd.render.overview import overview

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TALK = "> one\n\n⏺ two\n\n> three\n\n⏺ four\n"
COMPACTED = "✻ Conversation compacted · ctrl+o for history\n\n> five\n\n⏺ six\n"


@pytest.fixture
def exports(memory_dir: Path) -> Path:
    return memory_dir / "exports"


def test_while_the_daemon_runs_it_is_named_and_the_last_files_are(
    exportd: Command, exports: Path
) -> None:
    with exportd.running() as daemon:
        (exports / "2026-01-01-EXPORT-A.txt").write_text(TALK)
        wait_until((exports.parent / "sessions/a.md").exists)
        (exports / "2026-01-02-EXPORT-A.txt").write_text(f"{TALK}\n> five\n")
        (exports / "build.log").write_text("make: nothing to be done\n")
        wait_until((exports.parent / "exports-failed/build.log.reason.txt").exists)
        done = exportd("status")
    assert done.returncode == 0
    for line in (
        f"✓ Daemon        process {daemon.pid} on ",
        "no file waits",
        "✓ Database      5 messages in 1 conversation",
        "✗ Alerts        1 firing, 0 acknowledged",
        "🟠 A file could not be ingested · build.log: ",
        "✓ At risk       no conversation",
        "✗ Dead letters  1 file: build.log",
        "✓ ingested: 2026-01-02-EXPORT-A.txt → a, 1 new of 5 messages",
        "✗ dead_letter: build.log",
        "  - read why files were set aside: exports-failed/build.log.reason.txt; mend ",
        " mend the cause, then: exportd retry build.log\n",
        "· Channels      none is set",
    ):
        assert line in done.stdout
    assert "start the daemon" not in done.stdout


def test_without_a_daemon_it_says_what_waits_and_how_to_begin(
    exportd: Command, exports: Path
) -> None:
    assert exportd("run", "--once").returncode == 0
    assert exportd("status").stdout.endswith("exportd run\n")
    (exports / "a.txt").write_text(TALK)
    found = json.loads(exportd("status", "--json").stdout)
    assert found["daemon"] is None
    assert found["waiting"]["files"] == 1
    assert found["stored"] == {
        "conversations": 0, "messages": 0, "recent": [], "at_risk": [], "alerts": [],
        "parked": {}, "unsearchable": 0,
    }  # fmt: skip
    assert found["next_steps"] == [
        "start the daemon, for nothing is ingested until then: exportd run"
    ]


def test_what_may_be_lost_is_named_with_the_command_that_says_why(
    exportd: Command, exports: Path
) -> None:
    (exports / "2026-01-01-EXPORT-A.txt").write_text(TALK)
    os.utime(exports / "2026-01-01-EXPORT-A.txt", (time.time() - 60,) * 2)
    (exports / "2026-01-02-EXPORT-A.txt").write_text(COMPACTED)
    exportd("run", "--once")
    told = exportd("status").stdout
    assert "✗ At risk       1 conversation: a (medium)" in told
    assert "drop an export that has what is missing: exportd stats a" in told


def test_without_a_database_the_rest_is_told_and_the_exit_code_says_so(
    exportd: Command, exports: Path
) -> None:
    exportd("run", "--once")
    (exports / "a.txt").write_text(TALK)
    url = "postgresql://nobody:SENTINEL@127.0.0.1:1/nothing"
    done = exportd("status", EXPORTD_DATABASE_URL=url)
    assert done.returncode == os.EX_TEMPFAIL
    assert "✗ Database " in done.stdout
    assert "1 file waiting, the oldest for" in done.stdout
    assert "nothing is lost meanwhile" in done.stdout
    assert "SENTINEL" not in done.stdout + done.stderr


def test_where_no_memory_folder_is_it_says_so(exportd: Command, tmp_path: Path) -> None:
    del exportd.environment["EXPORTD_DATABASE_URL"]
    done = exportd("status", EXPORTD_MEMORY_DIR=str(tmp_path / "nowhere"))
    assert done.returncode == os.EX_CONFIG
    assert "expected a memory folder of exportd, found none" in done.stderr


def test_asking_who_works_here_never_keeps_a_daemon_from_starting(memory_dir: Path) -> None:
    folders = Folders(memory_dir)
    folders.create()
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            holder(folders)
            time.sleep(0.001)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    try:
        for _ in range(200):
            with held(folders):
                assert str(os.getpid()) in str(holder(folders))
    finally:
        over.set()
        for thread in asking:
            thread.join()


def test_names_with_control_characters_are_shown_escaped() -> None:
    bare = Overview(
        "/m",
        "/m/exports",
        None,
        Waiting(2, NOW - timedelta(hours=3), 1),
        ("\x1b[2Jx.log",),
        (Disk(".exportd", 10**9, 10**11), Disk("exports-archive", 2 * 10**6, 10**9)),
        ("less than 1 % of the disk of /m is free",),
        (),
        None,
        "it does not answer",
    )
    text = overview(bare, NOW)
    assert "\x1b" not in text
    assert "2 files waiting, the oldest for 3 hours, 1 file being ingested" in text
    assert "1.0 GB free of 100.0 GB for .exportd/" in text
    assert "make the room" in text
