"""Who may read what exportd writes, and whose the folder is (HAZARDS 36)."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import EXAMPLES, Command, wait_until

EX_NOPERM = 77
NOBODY = 65534

as_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="needs root and setpriv, to work as another user",
)


def readable_by_others(folder: Path) -> dict[str, str]:
    """Everything below that the group or others may read, write, or, of files, execute."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISSOCK(mode) or stat.S_ISLNK(mode):
            continue
        if mode & (0o066 if stat.S_ISDIR(mode) else 0o077):
            found[str(path.relative_to(folder))] = stat.filemode(mode)
    return found


def dropped(memory: Path) -> None:
    """As programs leave them: readable by everybody."""
    for name in ("2026-01-12-EXPORT-GARDEN-PLANNER.txt", "2026-01-12-EXPORT-SOURDOUGH.json"):
        (memory / "exports" / name).write_bytes((EXAMPLES / name).read_bytes())
    (memory / "exports" / "junk.log").write_text("make: done\n")
    for path in (memory / "exports").iterdir():
        path.chmod(0o644)


def as_user(uid: int, command: Command, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command with the rights of another user, who can read the code."""
    return subprocess.run(
        ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs",
         sys.executable, "-m", "exportd", *arguments],
        env={**command.environment, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},  # noqa: S108
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def passable(tmp_path: Path) -> Path:
    """A folder that other users reach, and may write to."""
    if os.geteuid() == 0:
        for folder in (tmp_path, *tmp_path.parents):
            folder.chmod(folder.stat().st_mode | 0o011)
        for place in (sys.executable, __file__):
            probe = subprocess.run(
                ["setpriv", f"--reuid={NOBODY}", "--clear-groups", "test", "-r", place],
                check=False,
            )
            if probe.returncode:
                pytest.skip(f"other users may not read {place}")
    tmp_path.chmod(0o777)
    return tmp_path


@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_nothing_that_exportd_makes_is_for_other_eyes(tmp_path: Path, umask: int) -> None:
    memory = tmp_path / "MEMORY-CONTEXT"
    exportd = Command(memory, None)
    before = os.umask(umask)
    try:
        assert exportd("run", "--once").returncode == 0  # makes the folders
        dropped(memory)
        log_file = tmp_path / "exportd.log"
        with exportd.running(EXPORTD_LOG_FILE=str(log_file)) as daemon:
            wait_until(lambda: not any((memory / "exports").glob("[!.]*")))
            wait_until((memory / "sessions" / "garden-planner.md").exists)
            daemon.terminate()
        assert exportd("sessions", "rename", "garden-planner", "garden").returncode == 0
        assert exportd("reindex").returncode == 0
        assert exportd("verify").returncode == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(log_file.stat().st_mode) == 0o600
    assert len(list(memory.rglob("*.reason.txt"))) == 1
    # Run by root, the way to the embedded server's data is open; it holds no secret.
    way = {".", ".exportd", ".exportd/postgres/exportd.conf"} if os.geteuid() == 0 else set()
    assert readable_by_others(memory).keys() - way == set()


@as_root
@pytest.mark.parametrize(
    "arguments", [("run", "--once"), ("verify",), ("stats",), ("db", "url")]
)
def test_a_folder_of_root_is_refused_to_others_with_what_helps(
    passable: Path, arguments: tuple[str, ...]
) -> None:
    exportd = Command(passable / "MEMORY-CONTEXT", None)
    exportd.environment["EXPORTD_HTTP_ADDRESS"] = "off"
    exportd.memory_dir.mkdir()
    (exportd.memory_dir / ".exportd").mkdir(mode=0o711)
    for name in ("lock", "postgres.users", "postgres.turn"):
        (exportd.memory_dir / ".exportd" / name).touch(0o600)
    done = as_user(NOBODY, exportd, *arguments)
    assert done.returncode == EX_NOPERM, done.stderr
    assert "is root's, and exportd runs as nobody" in done.stderr
    assert "chown -R nobody" in done.stderr
    assert "Traceback" not in done.stderr


@as_root
def test_a_folder_of_another_user_is_refused_to_root_which_leaves_nothing_there(
    passable: Path, database_url: str
) -> None:
    exportd = Command(passable / "MEMORY-CONTEXT", database_url)
    (exportd.memory_dir / ".exportd").mkdir(parents=True)
    for path in (exportd.memory_dir, exportd.memory_dir / ".exportd"):
        os.chown(path, NOBODY, NOBODY)
    done = exportd("run", "--once")
    assert done.returncode == EX_NOPERM, done.stderr
    assert "is nobody's, and exportd runs as root" in done.stderr
    assert list((exportd.memory_dir / ".exportd").glob("[!i]*")) == []


@as_root
def test_after_the_advice_the_other_user_works_there(passable: Path) -> None:
    exportd = Command(passable / "MEMORY-CONTEXT", None)
    assert exportd("run", "--once").returncode == 0
    assert as_user(NOBODY, exportd, "run", "--once").returncode == EX_NOPERM
    subprocess.run(["chown", "-R", "nobody", exportd.memory_dir], check=True)
    dropped(exportd.memory_dir)
    subprocess.run(["chown", "-R", "nobody", exportd.memory_dir], check=True)
    done = as_user(NOBODY, exportd, "run", "--once")
    assert done.returncode == 0, done.stderr
    assert (exportd.memory_dir / "sessions" / "garden-planner.md").exists()


@as_root
def test_a_folder_that_may_not_be_looked_into_is_one_without_settings(
    passable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``sudo -u exportd exportd stats``, called from one's own home."""
    home = passable / "home"
    home.mkdir(mode=0o700)
    monkeypatch.chdir(home)
    told = as_user(NOBODY, Command(passable / "MEMORY-CONTEXT", None), "check-config")
    assert told.returncode == 0, told.stderr
