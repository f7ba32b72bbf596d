"""What an attack on a running exportd once broke."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from conftest import Command, execute, rows, wait_until

from exportd.alignment import align
from exportd.config import load
from exportd.errors import ConfigurationError
from exportd.fingerprint import places
from exportd.formats.claude_code_text import parse
from exportd.models import Outcome

SHORT = "> what is the time?\n\n⏺ It is noon.\n"


def status_log(exportd: Command) -> Path:
    return exportd.memory_dir / "export-dedup-status.txt"


def many_calls(folder: str, count: int) -> str:
    calls = "".join(
        f"⏺ Read({folder}src/mod{n % 7}/file_{n}.py)\n  ⎿  Read {n + 10} lines\n\n"
        for n in range(count)
    )
    return f"> read it all\n\n⏺ I read every file.\n\n{calls}⏺ That was all of them.\n"


@pytest.mark.parametrize("count", [10, 71, 300, 1000])
def test_any_number_of_calls_rendered_anew_is_stored_once(count: int) -> None:
    here = places(parse(many_calls("", count).encode(), "a").messages)
    there = places(parse(many_calls("../p/gap/", count).encode(), "b").messages)
    plan = align(here, there)
    assert plan.count(Outcome.NEW) == 0
    assert plan.count(Outcome.RERENDERED) == count


def test_a_new_call_behind_many_rendered_anew_is_new() -> None:
    here = places(parse(many_calls("", 200).encode(), "a").messages)
    more = many_calls("../p/gap/", 200) + "\n> thanks\n\n⏺ You are welcome.\n"
    there = places(parse(more.encode(), "b").messages)
    assert align(here, there).count(Outcome.NEW) == 2


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:pa@SENTINEL@127.0.0.1:5599/db",
        "postgresql://user:SENTINEL/x@127.0.0.1:5599/db",
        "postgresql://user:SENTINEL?x@127.0.0.1:5599/db",
        "postgresql://user:SENTINEL#y@127.0.0.1:5599/db",
        "postgresql://u:[SENTINEL@127.0.0.1/db",
    ],
)
@pytest.mark.parametrize("command", ["check-config", "run"])
def test_a_password_with_a_sign_that_means_something_is_never_told(
    exportd: Command, url: str, command: str
) -> None:
    done = exportd(command, EXPORTD_DATABASE_URL=url)
    assert done.returncode == 78
    assert "SENTINEL" not in done.stdout + done.stderr
    assert not status_log(exportd).exists()


def test_what_libpq_quotes_of_a_url_is_not_told(exportd: Command) -> None:
    url = "postgresql://user:SENTINEL%zz@127.0.0.1:5599/db"  # "invalid token: SENTINEL%zz"
    done = exportd("run", "--once", EXPORTD_DATABASE_URL=url)
    assert done.returncode == 78
    assert "the database URL is not understood" in done.stderr
    assert "SENTINEL" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:p%40ss@host:5432/db?sslmode=require",
        "postgres://host/db",
        "postgresql://postgres@/postgres?host=/var/run/postgresql",
        "postgresql://u@[::1]:5432/db",
        "postgresql://u:p@a:1,b:2/db?target_session_attrs=read-write",
        "host=/tmp dbname=x user=y",
    ],
)
def test_every_usual_form_of_a_url_is_accepted(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORTD_DATABASE_URL", url)
    found = load().database.url
    assert found is not None
    assert found.get_secret_value() == url


def test_a_url_of_another_database_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTD_DATABASE_URL", "mysql://u:p@h/x")
    with pytest.raises(ConfigurationError, match="should be postgresql://"):
        load()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing keeps root out of a folder")
def test_a_folder_that_cannot_be_entered_does_not_stop_the_watcher(
    exportd: Command, database_url: str
) -> None:
    exports = exportd.memory_dir / "exports"
    with exportd.running(EXPORTD_RESCAN_INTERVAL="1"):
        for number in range(10):
            folder = exports / f"x{number}" / "y"
            folder.mkdir(parents=True)
            (folder / ("n" * 200)).write_text(SHORT)
            folder.parent.chmod(0)
        (exports / "good.txt").write_text(SHORT)
        wait_until(
            lambda: rows(database_url, "SELECT 1 FROM drops WHERE original_name = 'good.txt'")
        )
    for folder in exports.iterdir():
        folder.chmod(0o700)


def test_files_that_come_and_go_while_the_database_is_down_do_no_harm(
    exportd: Command,
) -> None:
    exports = exportd.memory_dir / "exports"
    nowhere = "postgresql://postgres@127.0.0.1:1/x"
    with exportd.running(EXPORTD_DATABASE_URL=nowhere) as process:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            for number in range(100):
                (exports / f"{number}.txt").write_text(SHORT)
            for number in range(100):
                (exports / f"{number}.txt").unlink(missing_ok=True)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_a_report_that_could_not_be_written_is_written_later(exportd: Command) -> None:
    with exportd.running():
        status_log(exportd).mkdir()
        (exportd.memory_dir / "exports" / "build.log").write_text("make: done\n")
        wait_until(lambda: any((exportd.memory_dir / "exports-failed").glob("*.txt")))
        time.sleep(0.5)
        status_log(exportd).rmdir()
        wait_until(lambda: status_log(exportd).is_file())
        wait_until(lambda: "❌ FAILED" in status_log(exportd).read_text())


def test_a_session_file_that_could_not_be_written_is_written_later(exportd: Command) -> None:
    sessions = exportd.memory_dir / "sessions"
    with exportd.running():
        wait_until(sessions.is_dir)
        sessions.rmdir()
        sessions.touch()
        (exportd.memory_dir / "exports" / "noon.txt").write_text(SHORT)
        wait_until(lambda: status_log(exportd).exists())
        sessions.unlink()
        sessions.mkdir()
        wait_until((sessions / "noon.md").exists)


def test_a_session_file_that_brings_a_bug_out_stops_no_other_one(
    exportd: Command, database_url: str
) -> None:
    """Or takes more memory than there is: a daemon that ends by it does so at each start."""
    sessions, exports = exportd.memory_dir / "sessions", exportd.memory_dir / "exports"
    (exports / "a.txt").write_text(SHORT)
    assert exportd("run", "--once").returncode == 0
    execute(database_url, "UPDATE messages SET metadata = '[]'")
    (exports / "a.txt").write_text(f"{SHORT}\n> thanks\n\n⏺ You are welcome.\n")
    (exports / "b.txt").write_text(SHORT.replace("noon", "midnight"))
    done = exportd("run", "--once")
    assert done.returncode == 0, done.stderr
    assert "session.bug" in done.stderr
    assert (sessions / "b.md").exists()
    execute(database_url, "UPDATE messages SET metadata = '{}'")
    assert exportd("run", "--once").returncode == 0
    assert "You are welcome" in (sessions / "a.md").read_text()


def test_a_server_that_died_is_revived_for_a_file_that_waits(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    with Command(memory, None).running() as process:
        archive = memory / "exports-archive"
        wait_until((memory / ".exportd" / "postgres" / "postmaster.pid").exists)
        (log,) = tmp_path.glob("daemon-*.log")
        wait_until(lambda: "service.ready" in log.read_text())
        archive.rename(memory / "aside")
        archive.touch()  # nothing can be archived
        (memory / "exports" / "noon.txt").write_text(SHORT)
        wait_until(lambda: not (memory / "exports" / "noon.txt").exists())
        time.sleep(0.5)
        postmaster = (memory / ".exportd" / "postgres" / "postmaster.pid").read_text()
        os.kill(int(postmaster.split()[0]), signal.SIGKILL)
        archive.unlink()
        (memory / "aside").rename(archive)
        wait_until((archive / "noon.txt").exists, 40)
        assert process.poll() is None


def test_a_file_time_outside_the_calendar_is_no_bug(
    exportd: Command, database_url: str
) -> None:
    path = exportd.memory_dir / "exports" / "old.txt"
    path.write_text(SHORT)
    os.utime(path, (-1e9, -1e9))
    assert exportd("run", "--once").returncode == 0
    assert rows(database_url, "SELECT outcome FROM drops") == [("ingested",)]


def test_a_full_disk_at_start_is_temporary(tmp_path: Path) -> None:
    """A file system without a free inode, which only root can mount."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    full = tmp_path / "full"
    full.mkdir()
    options = "size=64k,nr_inodes=3"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(full)], check=False
    )
    if mounted.returncode:
        pytest.skip("no tmpfs may be mounted here")
    try:
        done = Command(full / "memory", None)("run", "--once")
        assert done.returncode == 75, done.stderr
        assert "No space left" in done.stderr
    finally:
        subprocess.run(["umount", str(full)], check=True)


def test_closing_the_terminal_ends_the_daemon_and_its_server(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    pid_file = memory / ".exportd" / "postgres" / "postmaster.pid"
    master, slave = os.openpty()
    command = Command(memory, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "exportd", "run"],
        env=command.environment,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0),  # noqa: PLW1509
    )
    os.close(slave)
    wait_until((memory / "sessions").is_dir)
    wait_until(lambda: b"service.ready" in os.read(master, 100_000))
    os.close(master)
    assert process.wait(timeout=30) == 0
    assert not pid_file.exists()
