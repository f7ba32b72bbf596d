"""The daemon as an operator sees it: health, metrics, service manager, signals, log."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import Command, rows, wait_until
from proxy import Proxy

TALK = "> one\n\n⏺ two\n"


@pytest.fixture
def exports(exportd: Command) -> Path:
    return exportd.memory_dir / "exports"


def log_of(exportd: Command) -> str:
    (log,) = exportd.memory_dir.parent.glob("daemon-*.log")
    return log.read_text()


@contextmanager
def listening(exportd: Command, **environment: str) -> Iterator[str]:
    """A daemon with its health pages; the address of them."""
    with exportd.running(EXPORTD_HTTP_ADDRESS="127.0.0.1:0", **environment):
        wait_until(lambda: "http.listening" in log_of(exportd))
        port = re.search(r'"port": (\d+)', log_of(exportd))
        assert port
        yield f"http://127.0.0.1:{port[1]}"


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def value(metrics: str, name: str) -> float:
    (found,) = [line for line in metrics.splitlines() if line.startswith(f"{name} ")]
    return float(found.split()[-1])


# -- health and metrics -----------------------------------------------------------------


def test_a_daemon_that_works_is_live_and_ready_and_counts(
    exportd: Command, exports: Path
) -> None:
    with listening(exportd) as address:
        wait_until(lambda: get(f"{address}/readyz")[0] == 200)
        assert get(f"{address}/livez") == (200, '{"ok": true, "reasons": []}\n')
        for name in ("a.txt", "b.txt"):
            (exports / name).write_text(TALK)
        (exports / "junk.log").write_text("make: done\n")

        def counted(outcome: str) -> float:
            return value(
                get(f"{address}/metrics")[1], f'exportd_files_total{{outcome="{outcome}"}}'
            )

        wait_until(lambda: counted("dead_letter") == 1)
        wait_until(lambda: counted("ingested") + counted("duplicate_file") == 2)
        status, metrics = get(f"{address}/metrics")
        assert status == 200
        assert value(metrics, 'exportd_messages_total{result="new"}') == 2
        assert value(metrics, 'exportd_files_discovered_total{source="event"}') == 3
        assert value(metrics, "exportd_scan_missed_by_events_total") == 0
        assert value(metrics, "exportd_db_up") == 1
        assert value(metrics, "exportd_dead_letters") == 1
        assert value(metrics, "exportd_pending_files") == 0
        assert value(metrics, "exportd_oldest_pending_age_seconds") == 0
        assert value(metrics, 'exportd_fs_free_bytes{fs="archive"}') > 0
        assert abs(value(metrics, "exportd_last_success_timestamp_seconds") - time.time()) < 30
        assert "a.txt" not in metrics
        assert get(f"{address}/etc/passwd")[0] == 404


def test_without_the_database_it_is_live_and_not_ready(memory_dir: Path) -> None:
    exportd = Command(memory_dir, "postgresql://exportd@127.0.0.1:1/exportd")
    with listening(exportd) as address:
        assert get(f"{address}/livez")[0] == 200
        status, body = get(f"{address}/readyz")
        assert status == 503
        assert json.loads(body)["reasons"] == ["the database was not reached yet"]
        assert value(get(f"{address}/metrics")[1], "exportd_db_up") == 0


def test_a_database_that_goes_away_while_no_file_comes_is_noticed(
    exportd: Command, database_url: str
) -> None:
    with Proxy(database_url) as proxy:
        exportd.environment["EXPORTD_DATABASE_URL"] = proxy.url
        with listening(exportd) as address:
            wait_until(lambda: get(f"{address}/readyz")[0] == 200)
            proxy.hang()
            proxy.cut()
            wait_until(lambda: "PostgreSQL does not answer" in get(f"{address}/readyz")[1], 40)
            proxy.flow()
            wait_until(lambda: get(f"{address}/readyz")[0] == 200, 60)


def test_readiness_tells_when_the_folder_is_gone(exportd: Command, exports: Path) -> None:
    with listening(exportd) as address:
        wait_until(lambda: get(f"{address}/readyz")[0] == 200)
        away = exportd.memory_dir.with_name("away")
        exportd.memory_dir.rename(away)
        wait_until(lambda: "is not the folder" in get(f"{address}/readyz")[1])
        away.rename(exportd.memory_dir)
        wait_until(lambda: get(f"{address}/readyz")[0] == 200)


def test_clients_that_say_nothing_keep_nobody_from_being_answered_for_long(
    exportd: Command, exports: Path, database_url: str
) -> None:
    with listening(exportd) as address:
        port = int(address.rpartition(":")[2])
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
        (exports / "a.txt").write_text(TALK)
        wait_until(lambda: rows(database_url, "SELECT 1 FROM messages"))

        def answers() -> bool:
            try:
                return get(f"{address}/livez")[0] == 200
            except OSError:
                return False

        wait_until(answers, 15)
        for client in silent:
            client.close()


def test_clients_that_say_a_byte_now_and_then_are_not_waited_for(exportd: Command) -> None:
    with listening(exportd) as address:
        port = int(address.rpartition(":")[2])
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]

        def answers() -> bool:
            for client in slow:
                with suppress(OSError):
                    client.send(b"G")
            time.sleep(0.2)
            try:
                return get(f"{address}/livez")[0] == 200
            except OSError:
                return False

        assert not answers()
        wait_until(answers, 15)
        for client in slow:
            client.close()


def test_a_port_that_is_taken_is_told_and_lived_without(
    exportd: Command, exports: Path, database_url: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with exportd.running(EXPORTD_HTTP_ADDRESS=address):
            (exports / "a.txt").write_text(TALK)
            wait_until(lambda: rows(database_url, "SELECT 1 FROM messages"))
            assert "http.unavailable" in log_of(exportd)


@pytest.mark.parametrize(
    "wrong", ["9467", "localhost", "127.0.0.1:99999", "::1:80", "http://x:1"]
)
def test_an_address_that_is_none_is_refused(exportd: Command, wrong: str) -> None:
    done = exportd("check-config", EXPORTD_HTTP_ADDRESS=wrong)
    assert done.returncode == os.EX_CONFIG
    assert "HOST:PORT" in done.stderr


# -- the service manager ----------------------------------------------------------------


@contextmanager
def service_manager(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A socket as systemd's, and what was said to it; read by ``heard``."""
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.setblocking(False)
        said: list[str] = []
        listeners[str(path)] = manager
        yield str(path), said


listeners: dict[str, socket.socket] = {}


def heard(path: str, said: list[str]) -> list[str]:
    while True:
        try:
            said += listeners[path].recv(4096).decode().splitlines()
        except BlockingIOError:
            return said


def test_the_service_manager_hears_ready_watchdog_status_and_stopping(
    exportd: Command, exports: Path, tmp_path: Path
) -> None:
    with service_manager(tmp_path) as (path, said):
        with exportd.running(NOTIFY_SOCKET=path, WATCHDOG_USEC="600000") as process:
            wait_until(lambda: "READY=1" in heard(path, said))
            wait_until(lambda: heard(path, said).count("WATCHDOG=1") > 2)
            wait_until(lambda: "STATUS=0 files wait" in heard(path, said))
            process.terminate()
            assert process.wait(20) == 0
        assert "STOPPING=1" in heard(path, said)


def test_it_is_ready_without_a_database_and_says_so(memory_dir: Path, tmp_path: Path) -> None:
    exportd = Command(memory_dir, "postgresql://exportd@127.0.0.1:1/exportd")
    with (
        service_manager(tmp_path) as (path, said),
        exportd.running(NOTIFY_SOCKET=path, WATCHDOG_USEC="600000"),
    ):
        wait_until(lambda: "READY=1" in heard(path, said))
        wait_until(lambda: any("degraded" in line for line in heard(path, said)))
        assert "WATCHDOG=1" in heard(path, said)  # it waits, which is work


HANGING = """
import sys, time
import exportd.service
from exportd.cli import main
from exportd.intake import Intake
exportd.service.WATCHER_S = 1.0
Intake.read = lambda *_: time.sleep(60)
sys.argv = ["exportd", "run"]
main()
"""


def test_a_worker_that_hangs_feeds_no_watchdog(
    exportd: Command, exports: Path, tmp_path: Path
) -> None:
    """The real daemon with one defect: it never comes back from reading a file."""
    environment = {
        **exportd.environment,
        "WATCHDOG_USEC": "300000",
        "EXPORTD_PARSE_TIMEOUT": "0.1",
        "EXPORTD_DATABASE_TIMEOUT": "0.5",
    }
    with (
        service_manager(tmp_path) as (path, said),
        subprocess.Popen(
            [sys.executable, "-c", HANGING], env={**environment, "NOTIFY_SOCKET": path}
        ) as process,
    ):
        try:
            wait_until(lambda: "STATUS=0 files wait" in heard(path, said))
            (exports / "a.txt").write_text(TALK)
            wait_until(lambda: any("hangs: the worker" in line for line in heard(path, said)))
            fed = heard(path, said).count("WATCHDOG=1")
            time.sleep(1)
            assert heard(path, said).count("WATCHDOG=1") == fed
        finally:
            process.kill()


# -- signals and the log ----------------------------------------------------------------


def test_a_hangup_opens_the_log_anew_and_ends_nothing(
    exportd: Command, exports: Path, database_url: str, tmp_path: Path
) -> None:
    log, rotated = tmp_path / "exportd.log", tmp_path / "exportd.log.1"
    environment = {**exportd.environment, "EXPORTD_LOG_FILE": str(log)}
    with subprocess.Popen([sys.executable, "-m", "exportd", "run"], env=environment) as process:
        try:
            wait_until(lambda: log.exists() and "service.ready" in log.read_text())
            assert log.stat().st_mode & 0o777 == 0o600
            log.rename(rotated)
            process.send_signal(signal.SIGHUP)
            (exports / "a.txt").write_text(TALK)
            wait_until(lambda: log.exists() and "ingest.finished" in log.read_text())
            assert "ingest.finished" not in rotated.read_text()
            process.terminate()
            assert process.wait(20) == 0
            assert all(json.loads(line)["event"] for line in log.read_text().splitlines())
        finally:
            process.kill()


def test_a_log_file_that_cannot_be_written_is_refused(exportd: Command, tmp_path: Path) -> None:
    done = exportd("run", "--once", EXPORTD_LOG_FILE=str(tmp_path / "none" / "x.log"))
    assert done.returncode == os.EX_CONFIG
    assert "log_file" in done.stderr


def test_streams_that_a_parent_closed_keep_nothing_from_working(
    exportd: Command, exports: Path
) -> None:
    (exports / "a.txt").write_text(TALK)
    done = subprocess.run(
        ["sh", "-c", '"$0" -m exportd run --once <&- >&- 2>&-', sys.executable],
        env=exportd.environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert not list(exports.iterdir())


def test_more_signals_than_one_make_the_end_no_worse(exportd: Command) -> None:
    with exportd.running() as process:
        for _ in range(50):
            process.terminate()
            time.sleep(0.02)
            if process.poll() is not None:
                break
        assert process.wait(20) == 0


def test_time_zones_and_their_changes_leave_no_trace(
    exportd: Command, exports: Path, database_url: str
) -> None:
    """A file of the hour that comes twice in autumn, and one of the far future."""
    for name, moment in (("a.txt", 1_761_442_200), ("b.txt", 4_102_444_800)):
        (exports / name).write_text(TALK.replace("one", name))
        os.utime(exports / name, (moment, moment))
    with exportd.running(TZ="Europe/Berlin"):
        wait_until(lambda: rows(database_url, "SELECT count(*) FROM messages") == [(4,)])
    found = rows(
        database_url,
        "SELECT extract(epoch FROM modified_at)::bigint FROM exports ORDER BY 1",
    )
    assert found == [(1_761_442_200,), (4_102_444_800,)]
