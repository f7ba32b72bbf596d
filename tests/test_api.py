"""``from exportd import SessionExportManager``: what a script of one's own gets back."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import EXAMPLES, SAMPLES, Command

from exportd import SessionExportManager
from exportd.errors import ConfigurationError, PermanentError, RefusedRequest, TransientError

FIRST = EXAMPLES / "2026-01-12-EXPORT-GARDEN-PLANNER.txt"
SECOND = EXAMPLES / "2026-01-13-EXPORT-GARDEN-PLANNER.txt"


@pytest.fixture
def manager(
    memory_dir: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> SessionExportManager:
    monkeypatch.setenv("EXPORTD_DATABASE_URL", database_url)
    return SessionExportManager(memory_dir.parent, timeout_s=20)


def test_an_export_is_imported_with_the_keys_of_the_specification(
    manager: SessionExportManager, memory_dir: Path
) -> None:
    assert manager.import_export(FIRST) == {
        "session_id": "garden-planner",
        "total_messages": 13,
        "new_messages": 13,
        "duplicates_filtered": 0,
        "storage_savings_pct": 0.0,
        "session_file": "MEMORY-CONTEXT/sessions/garden-planner.md",
    }
    assert FIRST.exists()  # a copy was taken
    shutil.copy(SECOND, memory_dir / "exports")
    grown = manager.import_export(f"MEMORY-CONTEXT/exports/{SECOND.name}")
    assert (grown["total_messages"], grown["new_messages"]) == (21, 8)
    assert grown["duplicates_filtered"] == 13
    assert 50 < grown["storage_savings_pct"] < 80
    assert not (memory_dir / "exports" / SECOND.name).exists()  # this one was dropped
    again = manager.import_export(SECOND)
    assert (again["new_messages"], again["storage_savings_pct"]) == (0, 100.0)
    assert again["total_messages"] == 21
    assert "every vegetable now" in (memory_dir.parent / str(again["session_file"])).read_text()
    assert list((memory_dir / "exports").iterdir()) == []


def test_a_session_id_may_be_given_and_no_other_file_is_touched(
    manager: SessionExportManager, memory_dir: Path, tmp_path: Path
) -> None:
    shutil.copy(SECOND, memory_dir / "exports")
    assert manager.import_export(FIRST, session_id="mine")["session_id"] == "mine"
    assert [path.name for path in (memory_dir / "exports").iterdir()] == [SECOND.name]
    dropped = memory_dir / "exports" / SECOND.name
    assert manager.import_export(dropped, "mine")["new_messages"] == 8
    packed = tmp_path / "account.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for name in ("claude-ai.json", "chatgpt.json"):
            file.write(SAMPLES / name, name)
    held = manager.import_export(packed)
    assert len(held["sessions"]) == 2
    assert held["session_id"] == held["sessions"][0]["session_id"]
    assert held["new_messages"] == held["total_messages"] > 10
    assert manager.import_export(packed)["new_messages"] == 0


def test_what_cannot_be_ingested_is_raised(
    manager: SessionExportManager, memory_dir: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("nothing of ours")
    with pytest.raises(PermanentError, match=r"notes.txt: .*no conversation export"):
        manager.import_export(notes)
    empty = memory_dir / "exports" / "empty.txt"
    empty.touch()
    with pytest.raises(TransientError, match=r"empty.txt: it is empty; it waits"):
        manager.import_export(empty)
    assert empty.exists()
    with empty.open("a") as written:
        written.write("> hello\n\n⏺ hi\n")
        written.flush()
        with pytest.raises(TransientError, match="has it open for writing"):
            manager.import_export(empty)
    for wrong in ("none.txt", "MEMORY-CONTEXT/exports/none.txt", tmp_path):
        with pytest.raises(RefusedRequest):
            manager.import_export(wrong)
    with pytest.raises(RefusedRequest, match="one line"):
        manager.import_export(FIRST, session_id="two\nlines")


def test_a_daemon_in_the_folder_takes_the_file_and_is_waited_for(
    manager: SessionExportManager, exportd: Command, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("nothing of ours")
    with exportd.running() as daemon:
        assert manager.import_export(FIRST)["new_messages"] == 13
        assert (exportd.memory_dir / "sessions" / "garden-planner.md").exists()
        dropped = exportd.memory_dir / "exports" / SECOND.name
        shutil.copy(SECOND, dropped)
        assert manager.import_export(dropped)["new_messages"] == 8
        assert manager.import_export(dropped)["new_messages"] == 8  # the daemon was faster
        assert manager.import_export(SECOND)["new_messages"] == 0
        with pytest.raises(PermanentError, match="no conversation export"):
            manager.import_export(notes)
        daemon.send_signal(signal.SIGSTOP)
        hasty = SessionExportManager(exportd.memory_dir.parent, timeout_s=0.5)
        with pytest.raises(TransientError, match=r"handed to the daemon .* within 0.5 s"):
            hasty.import_export(EXAMPLES / "2026-01-14-EXPORT-GARDEN-PLANNER.txt")
        with ThreadPoolExecutor() as pool:
            later = pool.submit(manager.import_export, SAMPLES / "aider.md")
            time.sleep(0.3)
            daemon.kill()  # then the work is ours
            assert later.result()["new_messages"] > 0
    assert list((exportd.memory_dir / "exports").iterdir()) != []  # what only waited, waits


def test_the_package_is_cheap_until_the_api_is_asked_for() -> None:
    script = (
        "import sys, exportd; assert not {'psycopg2', 'pydantic'} & set(sys.modules);"
        "from exportd import SessionExportManager; assert 'psycopg2' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = getattr(__import__("exportd"), "Nothing")  # noqa: B009


def test_a_project_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="found none"):
        SessionExportManager(tmp_path / "gardn")
    assert not (tmp_path / "gardn").exists()
