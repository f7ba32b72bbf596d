"""``exportd run --once``: drains the folder, reports what became of each file, exits."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Command, out_of_reach, rows

OLD = time.time() - 86_400


@pytest.fixture
def exports(exportd: Command) -> Path:
    return exportd.memory_dir / "exports"


def talk(*turns: str) -> str:
    return "\n".join(f"{'⏺' if n % 2 else '>'} {turn}\n" for n, turn in enumerate(turns))


def drop(exports: Path, name: str, text: str, age_s: float = 60) -> None:
    (exports / name).write_text(text)
    os.utime(exports / name, (time.time() - age_s,) * 2)


def told(exportd: Command) -> tuple[int, dict[str, Any]]:
    """Exit code of a drain and its JSON report, by file name."""
    done = exportd("run", "--once", "--json")
    return done.returncode, {file["name"]: file for file in json.loads(done.stdout)["files"]}


def test_an_empty_folder_is_nothing_to_do(exportd: Command) -> None:
    done = exportd("run", "--once")
    assert (done.returncode, done.stdout) == (0, "Nothing to do: no file waits.\n")
    assert exportd("run", "--once", "--json").stdout == '{"files": []}\n'


def test_every_fate_is_named_and_dead_letters_do_not_fail_the_command(
    exportd: Command, exports: Path
) -> None:
    drop(exports, "2025-01-01-EXPORT-A.txt", talk("one", "two", "three", "four"), 100)
    assert exportd("run", "--once").returncode == 0
    drop(exports, "2025-01-01-EXPORT-A.txt", talk("one", "two", "three", "four"))
    drop(exports, "2025-01-02-EXPORT-A.txt", talk("one", "two", "three", "four", "five"))
    drop(exports, "2025-01-03-EXPORT-A.txt", talk("one", "two", "three"))
    drop(exports, "build.log", "make: nothing to be done\n")
    done = exportd("run", "--once")
    assert done.returncode == 0, done.stderr
    for line in (
        "✓ duplicate_file: 2025-01-01-EXPORT-A.txt",
        "✓ ingested: 2025-01-02-EXPORT-A.txt",
        "    Messages: 5 in the file, 1 new, 4 duplicates",
        "✓ unchanged: 2025-01-03-EXPORT-A.txt",
        "    Messages: 3 in the file, 0 new, 3 duplicates",
        "✗ dead_letter: build.log",
        "    Kept in: exports-failed/build.log",
        "    Session file: sessions/a.md",
        "Status: ❌ FAILED (1 of 4 files could not be ingested)",
        "💾 Total Unique Messages in Storage: 5",
    ):
        assert line in done.stdout
    assert done.stdout in (exportd.memory_dir / "export-dedup-status.txt").read_text()


def test_the_report_as_json_has_the_same_facts(exportd: Command, exports: Path) -> None:
    drop(exports, "2025-01-01-EXPORT-A.txt", talk("one", "two", "three"))
    drop(exports, "notes.md", "# nothing of ours\n")
    code, files = told(exportd)
    assert code == 0
    ingested, failed = files["2025-01-01-EXPORT-A.txt"], files["notes.md"]
    assert {k: ingested[k] for k in ("fate", "conversation_id", "total", "new", "kept_as")} == {
        "fate": "ingested",
        "conversation_id": "a",
        "total": 3,
        "new": 3,
        "kept_as": "exports-archive/2025-01-01-EXPORT-A.txt",
    }
    assert failed["fate"] == "dead_letter"
    assert "that exportd reads" in failed["reason"]


def test_the_report_as_json_names_the_session_file(exportd: Command, exports: Path) -> None:
    drop(exports, "2025-01-01-EXPORT-A.txt", talk("one", "two", "three"))
    _, files = told(exportd)
    assert files["2025-01-01-EXPORT-A.txt"]["session_file"] == "sessions/a.md"


def test_a_success_can_be_searched_for(exportd: Command, exports: Path) -> None:
    drop(exports, "a.txt", talk("one", "two"))
    assert "Status: ✅ SUCCESS" in exportd("run", "--once").stdout


def test_an_empty_file_that_is_young_waits_and_makes_it_75(
    exportd: Command, exports: Path
) -> None:
    drop(exports, "empty.txt", "", age_s=1)
    drop(exports, "a.txt", talk("one", "two"))
    code, files = told(exportd)
    assert code == 75
    assert files["empty.txt"]["fate"] == "deferred"
    assert "it is empty" in files["empty.txt"]["reason"]
    assert files["a.txt"]["fate"] == "ingested"
    assert (exports / "empty.txt").exists()


def test_a_file_that_is_being_written_waits_and_makes_it_75(
    exportd: Command, exports: Path
) -> None:
    drop(exports, "a.txt", talk("one", "two"))
    with (exports / "slow.txt").open("w") as file:
        file.write("> half a pro")
        file.flush()
        code, files = told(exportd)
        assert code == 75
        assert files["slow.txt"]["reason"] == "a program has it open for writing"
        assert files["a.txt"]["fate"] == "ingested"
        file.write("mpt\n\n⏺ and an answer\n")
    code, files = told(exportd)
    assert (code, files["slow.txt"]["new"]) == (0, 2)


def test_without_a_database_nothing_is_claimed_and_it_is_75(memory_dir: Path) -> None:
    exportd = Command(memory_dir, "postgresql://exportd@127.0.0.1:1/exportd")
    drop(memory_dir / "exports", "a.txt", talk("one", "two"))
    done = exportd("run", "--once")
    assert done.returncode == 75
    assert "try again later" in done.stderr
    assert (memory_dir / "exports" / "a.txt").exists()


def test_a_folder_that_a_daemon_holds_is_73_and_says_who(
    exportd: Command, exports: Path
) -> None:
    with exportd.running() as daemon:
        done = exportd("run", "--once")
        assert done.returncode == 73
        assert f"process {daemon.pid}" in done.stderr
    assert exportd("run", "--once").returncode == 0


def test_what_an_earlier_process_claimed_is_finished_first(
    exportd: Command, exports: Path, database_url: str
) -> None:
    claim = exportd.memory_dir / ".exportd/inflight/0f0e0d0c-0b0a-4908-8706-050403020100"
    claim.mkdir(parents=True)
    drop(claim, "a.txt", talk("one", "two"))
    code, files = told(exportd)
    assert (code, files["a.txt"]["fate"]) == (0, "ingested")
    assert not claim.exists()
    assert rows(database_url, "SELECT content FROM messages ORDER BY message_index") == [
        ("one",),
        ("two",),
    ]


def test_files_in_folders_are_drained_too_and_hidden_ones_are_not(
    exportd: Command, exports: Path
) -> None:
    for folder in ("batch/deep", ".hidden"):
        (exports / folder).mkdir(parents=True)
        drop(exports / folder, f"{folder.strip('.')[:5]}.txt", talk(folder, "yes"))
    _, files = told(exportd)
    assert list(files) == ["batch.txt"]


def test_a_file_that_arrives_while_the_folder_is_drained_is_taken_or_left_whole(
    exportd: Command, exports: Path
) -> None:
    for n in range(50):
        drop(exports, f"{n}.txt", talk(f"number {n}", "yes"))
    code, files = told(exportd)
    assert (code, len(files)) == (0, 50)
    assert list(exports.iterdir()) == []


def test_wrong_usage_is_64(exportd: Command) -> None:
    assert exportd("run", "--no-such-option").returncode == 64
    assert exportd("run", "--json").returncode == 64


def test_a_folder_that_cannot_be_looked_into_is_no_clean_end(
    exportd: Command, exports: Path
) -> None:
    with out_of_reach(exports) as folder:
        code, files = told(exportd)
    assert code == os.EX_TEMPFAIL
    assert "cannot be looked into" in files[folder.name]["reason"]
