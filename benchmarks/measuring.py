"""What the rows of ``python -m benchmarks`` are made of: a daemon, a bare COPY, a process."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import psycopg2
from psycopg2.extensions import connection, make_dsn, parse_dsn

from exportd.embedded import embedded_server

from .running import own_settings_alone, running_server

MB = 1_000_000
PATIENCE_S = 300


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``beside`` is the bare time that ``ours_s`` is compared with.

    All times in seconds, one for each repeat. ``met`` is None where there is no goal.
    """

    what: str
    ours_s: Sequence[float] = ()
    beside_s: Sequence[float] = ()
    beside: str = ""
    size_bytes: int = 0
    messages: int = 0
    cpu_s: float = 0
    peak_mb: float = 0
    told: str = ""
    goal: str = ""
    met: bool | None = None

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours_s) / statistics.median(self.beside_s)


@dataclass(frozen=True, slots=True)
class Took:
    """What a process took, without the server's part, when it ended (epoch), and its log."""

    wall_s: float
    ended_s: float
    cpu_s: float
    peak_mb: float
    log: bytes


@contextmanager
def fresh(place: Path) -> Iterator[tuple[Path, connection]]:
    """A memory folder below ``place`` whose server runs, and a connection to it.

    The database is empty: the first command makes the tables.
    """
    shutil.rmtree(place / "memory", ignore_errors=True)
    with running_server(place / "memory") as memory:
        (memory / "exports").mkdir()
        with (
            embedded_server(memory / ".exportd") as server,
            closing(psycopg2.connect(server.url)) as database,
        ):
            database.autocommit = True
            yield memory, database
    shutil.rmtree(place / "memory")


def command(memory: Path) -> list[str]:
    """How exportd is called for this folder, before the name of a subcommand."""
    return [sys.executable, "-m", "exportd", "--memory-dir", str(memory)]


def process(
    arguments: Sequence[str],
    settings: Mapping[str, str] | None = None,
    *,
    stopped_after: int | None = None,
) -> Took:
    """Run it to its end, or stop it when its log tells of so many files that are finished.

    Raises ``subprocess.CalledProcessError`` with what it wrote when it fails by itself.

    The peak is VmHWM, looked at every 10 ms: that of ``wait4`` counts what this process had
    resident when it started the other.
    """
    with tempfile.TemporaryFile() as wrote:
        started = time.monotonic()
        running = subprocess.Popen(  # noqa: S603
            arguments, env=own_settings_alone() | dict(settings or {}),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=wrote,
        )  # fmt: skip
        peak_mb, ended, status, is_stopped = 0.0, 0, 0, False
        while not ended:
            peak_mb = max(peak_mb, memory_mb(running.pid, "VmHWM"))
            time.sleep(0.01)
            if stopped_after and _finished(wrote) >= stopped_after:
                running.terminate()
                stopped_after = None
                is_stopped = True
            ended, status, usage = os.wait4(running.pid, os.WNOHANG)
        wall_s, ended_s = time.monotonic() - started, time.time()
        wrote.seek(0)
        text = wrote.read()
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode and not is_stopped:
        raise subprocess.CalledProcessError(running.returncode, arguments, stderr=text[-500:])
    return Took(wall_s, ended_s, usage.ru_utime + usage.ru_stime, peak_mb, text)


def _finished(log: IO[bytes]) -> int:
    """How many files a log that is being written tells of."""
    return os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0).count(b"ingest.finished")


def events(log: bytes) -> list[Mapping[str, Any]]:
    """The events in a log of exportd."""
    return [json.loads(line) for line in log.splitlines() if line.startswith(b'{"')]


def at_s(event: Mapping[str, Any]) -> float:
    """When it was logged, seconds since the epoch."""
    return datetime.fromisoformat(event["ts"]).timestamp()


@contextmanager
def daemon(memory: Path) -> Iterator[int]:
    """``exportd run`` with default settings but for its port, once it is ready; its id."""
    settings = own_settings_alone() | {"EXPORTD_HTTP_ADDRESS": "off"}
    with (memory / "daemon.log").open("ab") as log:
        running = subprocess.Popen(  # noqa: S603
            [*command(memory), "run"], env=settings, stdout=log, stderr=log
        )
        try:
            daemon_told(memory, "service.ready", 1)
            yield running.pid
        finally:
            running.terminate()
            running.wait(30)


def daemon_told(memory: Path, event: str, count: int) -> list[Mapping[str, Any]]:
    """These events of the daemon's log, as soon as there are so many."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        log = events((memory / "daemon.log").read_bytes())
        if len(found := [line for line in log if line["event"] == event]) >= count:
            return found
        time.sleep(0.02)
    raise TimeoutError(f"the daemon did not tell of {count} {event} within {PATIENCE_S} s")


def committed_s(memory: Path, database: connection, source: Path) -> float:
    """Copy a file beside the drop folder, rename it in; until another connection sees it."""
    beside = memory / source.name
    shutil.copyfile(source, beside)
    with database.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(export_id), 0) FROM exports")
        (before,) = cursor.fetchone() or (0,)
        started = time.monotonic()
        beside.rename(memory / "exports" / source.name)
        wait_for(
            database,
            f"SELECT 1 FROM exports WHERE export_id > {before} AND state = 'ingested'",  # noqa: S608
            bool,
        )
    return time.monotonic() - started


def wait_for(database: connection, sql: str, enough: Callable[[int], bool]) -> None:
    """Ask every millisecond until the first value of ``sql`` (or 0) is enough."""
    until = time.monotonic() + PATIENCE_S
    while not enough(number(database, sql)):
        if time.monotonic() > until:
            raise TimeoutError(f"{sql}: not within {PATIENCE_S} s")
        time.sleep(0.001)


def number(database: connection, sql: str) -> int:
    """The first value of a query, 0 without a row."""
    with database.cursor() as cursor:
        cursor.execute(sql)
        found = cursor.fetchone()
    return int(found[0] or 0) if found else 0


def bare_copy(memory: Path, database: connection, place: Path, times: int) -> list[float]:
    """COPY of all rows of ``messages`` from a file into another database of this server.

    It has the same tables, made by the same migrations, and before the first COPY all rows
    that messages refer to. Between two COPYs the tables are emptied and the server's log is
    written away.
    """
    took = []
    with closing(psycopg2.connect(other_database(memory, database))) as bare:
        bare.autocommit = True
        with bare.cursor() as cursor, database.cursor() as stored:
            for table in ("exports", "conversations", "segments", "messages"):
                with (place / table).open("w+b") as rows:
                    stored.copy_expert(f"COPY {table} TO STDOUT", rows)
                    if table != "messages":
                        rows.seek(0)
                        cursor.copy_expert(f"COPY {table} FROM STDIN", rows)
            for _ in range(times):
                cursor.execute("TRUNCATE messages CASCADE")
                cursor.execute("CHECKPOINT")
                with (place / "messages").open("rb") as rows:
                    started = time.monotonic()
                    cursor.copy_expert("COPY messages FROM STDIN", rows)
                    took.append(time.monotonic() - started)
    return took


def other_database(memory: Path, database: connection, *, migrated: bool = True) -> str:
    """The URL of a new database in the same server."""
    with database.cursor() as cursor:
        cursor.execute("CREATE DATABASE other")
    options = parse_dsn(make_dsn(database.dsn, dbname="other"))
    url = f"postgresql://{options['user']}@/other?host={options['host']}&sslmode=disable"
    if migrated:
        process([*command(memory), "migrate"], {"EXPORTD_DATABASE_URL": url})
    return url


def sha256sum(path: Path) -> float:
    """Seconds that ``sha256sum`` takes, the file in the cache as it is for exportd."""
    started = time.monotonic()
    subprocess.run(["sha256sum", path], check=True, stdout=subprocess.DEVNULL)  # noqa: S603, S607
    return time.monotonic() - started


def repeated(once: Callable[[], float], times: int, enough_s: float = 75) -> list[float]:
    """So many times, or until so many seconds are over."""
    took: list[float] = []
    until = time.monotonic() + enough_s
    while len(took) < times and time.monotonic() < until:
        took.append(once())
    return took


def cpu_s(pid: int) -> float:
    """Processor time of a process and of all below it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(cpu_s(int(child)) for child in children)


def memory_mb(pid: int, what: str) -> float:
    """VmRSS or VmHWM of a process, 0 when it has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    return 0.0


def machine(place: Path, postgresql: str) -> str:
    """In words: processor, cores, memory, kind of disk, versions."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{cpu}, {os.cpu_count()} cores, {ram:.0f} GB of RAM, {_fsync_ms(place):.1f} ms for an "
        f"fsync of its disk, {platform.system()}, Python {platform.python_version()}, "
        f"PostgreSQL {postgresql} (embedded)"
    )


def _fsync_ms(place: Path) -> float:
    took = []
    with (place / "fsync").open("wb") as file:
        for _ in range(20):
            started = time.monotonic()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            took.append(time.monotonic() - started)
    (place / "fsync").unlink()
    return 1_000 * statistics.median(took)
