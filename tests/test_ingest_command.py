"""``exportd ingest``: a table of what became of the files, and what would become of them."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

from conftest import EXAMPLES, SAMPLES, Command, rows
from schemas import conforming

from exportd.models import Anomaly, Fate, Report, Severity
from exportd.render.batch import batch

TABLES = ("conversations", "messages", "exports", "drops", "segments", "dead_letters", "alerts")


def told(exportd: Command, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code, and the reports without what must differ between two runs."""
    done = exportd("ingest", "--json", *arguments)
    reports = conforming("ingest", done.stdout)["files"]
    leave = ("duration_s", "kept_as", "session_file")
    return done.returncode, [
        {key: value for key, value in report.items() if key not in leave} for report in reports
    ]


def counts(exportd: Command) -> list[int]:
    url = exportd.environment["EXPORTD_DATABASE_URL"]
    return [rows(url, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES]  # noqa: S608


def mixed(folder: Path) -> Path:
    """A session exported twice and after a compaction, an account in a zip, and rubbish."""
    shutil.copytree(EXAMPLES, folder)
    with zipfile.ZipFile(folder / "account.zip", "w") as packed:
        packed.write(SAMPLES / "claude-ai.json", "claude-ai.json")
        packed.writestr("notes.txt", "milk")
    (folder / "build.log").write_text("make: nothing to be done\n")
    return folder


def test_a_rehearsal_says_what_then_happens_and_stores_nothing(
    exportd: Command, tmp_path: Path
) -> None:
    folder = mixed(tmp_path / "from")
    files = sorted(folder.iterdir())
    before = [file.read_bytes() for file in files]
    code, rehearsed = told(exportd, "--dry-run", str(folder))
    assert code == 65  # build.log
    assert {report["fate"] for report in rehearsed} == {"ingested", "dead_letter"}
    assert counts(exportd) == [0] * len(TABLES)
    assert [file.read_bytes() for file in files] == before
    assert not list((exportd.memory_dir / "exports").iterdir())
    assert not (exportd.memory_dir / "export-dedup-status.txt").exists()

    code, done = told(exportd, str(folder))
    assert (code, done) == (65, rehearsed)
    assert all(counts(exportd))
    stored = counts(exportd)

    code, again = told(exportd, "--dry-run", str(folder))
    assert {report["fate"] for report in again} == {"duplicate_file", "dead_letter"}
    assert sum(report["new"] for report in again) == 0
    assert counts(exportd) == stored


def test_beside_a_daemon_a_rehearsal_is_made_and_an_ingest_handed_over(
    exportd: Command,
) -> None:
    example = str(EXAMPLES / "2026-01-12-EXPORT-GARDEN-PLANNER.txt")
    with exportd.running():
        done = exportd("ingest", "--dry-run", example)
        assert done.returncode == 0, done.stderr
        assert "Nothing was stored" in done.stdout
        assert conforming("ingest", exportd("ingest", example, "--json").stdout) == {
            "dry_run": False,
            "handed_over": 1,
            "files": [],
        }


def test_a_new_memory_folder_is_told_and_an_empty_one_gives_nothing_to_ingest(
    exportd: Command, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    done = exportd("ingest", str(tmp_path / "empty"))
    assert done.returncode == 64
    assert "expected files to ingest, found none" in done.stderr
    new = tmp_path / "elsewhere"
    done = exportd("ingest", str(EXAMPLES), EXPORTD_MEMORY_DIR=str(new))
    assert f"a new memory folder: {new}" in done.stderr
    assert "4 files: 4 ingested.\n47 messages: 34 new, 13 known.\n" in done.stdout


def test_a_session_that_a_later_file_names_is_told_by_its_last_name(
    exportd: Command, tmp_path: Path
) -> None:
    """The earliest export names the conversation, and it may come last."""
    source = (EXAMPLES / "2026-01-13-EXPORT-GARDEN-PLANNER.txt").read_text()
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "2026-01-12-EXPORT-B.txt").write_text(source)
    first = (EXAMPLES / "2026-01-12-EXPORT-GARDEN-PLANNER.txt").read_text()
    (tmp_path / "from" / "2026-01-13-EXPORT-C.txt").write_text(first)
    _, reports = told(exportd, str(tmp_path / "from"))
    assert [report["conversation_id"] for report in reports] == ["c", "c"]
    log = (exportd.memory_dir / "export-dedup-status.txt").read_text()
    named = [line.split()[-1] for line in log.splitlines() if "Session file:" in line]
    assert named == ["sessions/c.md"] * 2
    assert (exportd.memory_dir / "sessions" / "c.md").exists()


def test_a_table_has_a_row_for_each_file_and_what_needs_a_look() -> None:
    gap = Anomaly("gap", Severity.WARNING, "messages 2 to 3 are missing")
    seen = Anomaly("new_conversation", Severity.INFO, "a new conversation")
    reports = [
        Report("a.txt", Fate.INGESTED, 10, conversation_id="deck", total=1200, new=1100),
        Report("b.txt", Fate.UNCHANGED, 10, conversation_id="deck", anomalies=(gap, seen)),
        Report("c\x1b[31m.txt", Fate.DEAD_LETTER, 10, "no export"),
        Report("d.txt", Fate.DEAD_LETTER, 10, "no export"),
    ]
    assert batch(reports).splitlines() == [
        "Fate           New  Messages  Session  File",
        "ingested     1,100     1,200  deck     a.txt",
        "unchanged                     deck     b.txt",
        "dead_letter                            c\\x1b[31m.txt",
        "dead_letter                            d.txt",
        "",
        "⚠ b.txt: messages 2 to 3 are missing",
        "✗ c\\x1b[31m.txt, d.txt: no export",
        "",
        "4 files: 1 ingested, 1 unchanged, 2 dead_letter.",
        "1,200 messages: 1,100 new, 100 known.",
    ]


def test_of_many_files_the_sessions_are_told_those_with_most_news_first() -> None:
    reports = [
        Report(f"{n}.txt", Fate.INGESTED, 10, conversation_id=f"s{n % 45}", total=n, new=n)
        for n in range(90)
    ]
    lines = batch(reports).splitlines()
    assert lines[:2] == ["Files  New  Messages  Session", "    2  133       133  s44"]
    assert lines[41].strip() == "and 5 more sessions"
    assert lines[-2:] == ["90 files: 90 ingested.", "4,005 messages: 4,005 new, 0 known."]
