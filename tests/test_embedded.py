"""The embedded server: joined by many, stopped by the last, survives every kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
from conftest import Command, execute, rows, wait_until

from exportd.embedded import binary, embedded_server
from exportd.errors import DatabaseUnavailable


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a server's data; whatever a test did, its server is stopped."""
    made = tmp_path / "state"
    made.mkdir()
    yield made
    if server_pid(made):
        with embedded_server(made):
            pass


def server_pid(folder: Path) -> int | None:
    try:
        pid = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None
    return pid


@contextmanager
def user(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses the server until it is killed or told to leave."""
    program = (
        "import sys; from pathlib import Path; from exportd.embedded import embedded_server\n"
        "with embedded_server(Path(sys.argv[1])) as server:\n"
        "    print(server.url, flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "postgres" in process.stdout.readline()
        yield process
        process.kill()


def test_the_server_answers_keeps_its_data_and_is_gone_in_the_end(folder: Path) -> None:
    with embedded_server(folder) as server:
        execute(server.url, "CREATE TABLE t AS SELECT 42 AS n")
        assert server_pid(folder)
    assert server_pid(folder) is None
    with embedded_server(folder) as server:
        assert rows(server.url, "SELECT n FROM t") == [(42,)]
        assert rows(server.url, "SHOW fsync") == [("on",)]
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(server.url)


def test_the_last_of_several_users_stops_it(folder: Path) -> None:
    with embedded_server(folder) as server:
        pid = server_pid(folder)
        with user(folder) as other:
            assert server_pid(folder) == pid
            other.communicate("leave\n", timeout=30)
        assert rows(server.url, "SELECT 1") == [(1,)]
    assert server_pid(folder) is None


def test_a_user_that_was_killed_is_no_user_any_more(folder: Path) -> None:
    with user(folder) as killed:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert server_pid(folder)  # nobody was there to stop it
    with embedded_server(folder) as server:
        assert rows(server.url, "SELECT 1") == [(1,)]
    assert server_pid(folder) is None


def test_a_server_that_was_killed_starts_again_with_all_that_was_committed(
    folder: Path,
) -> None:
    with user(folder) as first:
        with embedded_server(folder) as server:
            execute(server.url, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
        pid = server_pid(folder)
        assert pid
        os.kill(pid, signal.SIGKILL)
        first.kill()
    wait_until(lambda: server_pid(folder) is None)
    time.sleep(0.5)  # its children notice within moments
    with embedded_server(folder) as server:
        assert rows(server.url, "SELECT count(*) FROM t") == [(1000,)]


@pytest.mark.parametrize("what", ["another program", "a zombie"])
def test_a_killed_server_whose_process_id_lives_on_starts_again(
    folder: Path, what: str
) -> None:
    """The id is another program's after a power cut; nobody buries it below process 1."""
    with user(folder) as first:
        pid = server_pid(folder)
        assert pid
        os.kill(pid, signal.SIGKILL)
        first.kill()
    wait_until(lambda: server_pid(folder) is None)
    time.sleep(0.5)  # its children notice within moments
    lock = folder / "postgres" / "postmaster.pid"
    _, _, _, port, sockets, *_ = lock.read_text().splitlines()
    program = ["sleep", "60"] if what == "another program" else ["true"]
    with subprocess.Popen(program) as other:
        if what == "a zombie":
            os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        for place in (lock, Path(sockets, f".s.PGSQL.{port}.lock")):
            place.write_text(place.read_text().replace(str(pid), str(other.pid), 1))
        with embedded_server(folder) as server:
            assert rows(server.url, "SELECT 1") == [(1,)]
        other.kill()


def test_the_server_log_never_holds_message_text(folder: Path) -> None:
    with embedded_server(folder) as server:
        for statement in (
            "SELECT 'SENTINEL'::jsonb",
            "CREATE TABLE t (a text UNIQUE); INSERT INTO t VALUES ('SENTINEL'), ('SENTINEL')",
            "SELECT 'SENTINEL' FROM nowhere",
        ):
            with pytest.raises(psycopg2.Error):
                execute(server.url, statement)
    log = (folder / "postgres" / "log").read_text()
    assert "duplicate key" in log
    assert "SENTINEL" not in log


@contextmanager
def broken(folder: Path, line: str) -> Iterator[Path]:
    """Data that no server starts on, until the block ends; its log has an old failure."""
    with embedded_server(folder):
        pass
    data = folder / "postgres"
    with (data / "log").open("a") as log:
        log.write("FATAL:  a failure of last year\n")
    settings = (data / "postgresql.conf").read_text()
    (data / "postgresql.conf").write_text(f"{settings}\n{line}\n")
    yield data
    (data / "postgresql.conf").write_text(settings)


def test_a_server_that_does_not_start_says_what_this_start_said(folder: Path) -> None:
    with broken(folder, "no_such_setting = 1"):
        with pytest.raises(DatabaseUnavailable) as failed, embedded_server(folder):
            pass
        assert "FATAL" in str(failed.value)
        assert "last year" not in str(failed.value)
        assert "Free disk space" in str(failed.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_data_of_another_user_is_named_as_the_cause(folder: Path) -> None:
    with broken(folder, "no_such_setting = 1") as data:
        owner = (data / "PG_VERSION").stat().st_uid
        os.chown(data / "PG_VERSION", 0, -1)
        with pytest.raises(DatabaseUnavailable) as failed, embedded_server(folder):
            pass
        told = (
            "PG_VERSION belongs to root, but pgserver must run the server: chown -R pgserver "
        )
        assert f"{told}{data}" in str(failed.value)
        os.chown(data / "PG_VERSION", owner, -1)


def test_nobody_else_may_use_the_socket_or_read_the_data(folder: Path) -> None:
    with embedded_server(folder) as server:
        assert rows(server.url, "SHOW unix_socket_permissions") == [("0700",)]
        assert rows(server.url, "SHOW listen_addresses") == [("",)]
        assert (folder / "postgres").stat().st_mode & 0o077 == 0
    assert binary("psql").exists()


def test_without_any_setting_the_command_works_and_leaves_no_server(memory_dir: Path) -> None:
    exportd = Command(memory_dir, None)
    (memory_dir / "exports" / "a.txt").write_text("> hi\n\n⏺ Hello\n")
    done = exportd("run", "--once")
    assert done.returncode == 0, done.stderr
    assert server_pid(memory_dir / ".exportd") is None
    said = exportd("db", "psql", "-Atc", "SELECT count(*) FROM messages")
    assert said.stdout == "2\n", said.stderr
    assert server_pid(memory_dir / ".exportd") is None


def test_a_ctrl_c_while_the_server_is_made_ends_the_daemon_as_any_other(
    memory_dir: Path,
) -> None:
    """A terminal sends SIGINT to the whole group, initdb included."""
    exportd = Command(memory_dir, None)
    data = memory_dir / ".exportd" / "postgres"
    with subprocess.Popen(
        [sys.executable, "-m", "exportd", "run"],
        env=exportd.environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_until((data / "base").exists)
        while process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.05)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 0, told
    assert "Free disk space" not in told
    assert exportd("run", "--once").returncode == 0


@pytest.mark.skipif("TEST_SLOW" not in os.environ, reason="slow: set TEST_SLOW=1")
def test_a_server_that_hangs_does_not_keep_the_daemon_from_ending(memory_dir: Path) -> None:
    """All of it stands still, as on a disk that does not answer; 20 s is what systemd gives."""
    exportd = Command(memory_dir, None)
    with exportd.running() as process:
        wait_until(lambda: server_pid(memory_dir / ".exportd"))
        wait_until(lambda: "service.ready" in log_of(exportd))
        pid = server_pid(memory_dir / ".exportd")
        assert pid
        server = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        for one in server:
            os.kill(one, signal.SIGSTOP)
        (memory_dir / "exports" / "a.txt").write_text("> hi\n\n⏺ Hello\n")
        time.sleep(1)
        started = time.monotonic()
        process.terminate()
        code = process.wait(timeout=30)
        took_s = time.monotonic() - started
        for one in server:
            os.kill(one, signal.SIGCONT)
    assert code == 0
    assert took_s < 20
    assert exportd("run", "--once").returncode == 0
    assert len(list((memory_dir / "exports-archive").glob("a.txt"))) == 1


def log_of(exportd: Command) -> str:
    return "".join(log.read_text() for log in exportd.memory_dir.parent.glob("daemon-*.log"))
