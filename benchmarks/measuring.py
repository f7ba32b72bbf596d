"""What the rows of ``python -m benchmarks`` are made of: a daemon, a bare COPY, a process."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection

from exportd.embedded import embedded_server

from .running import own_settings_alone, running_server

MB = 1_000_000
_ENOUGH_S = 60  # a row is repeated three times, or for a minute
_PATIENCE_S = 1_800


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
    peak_mb: float = 0
    told: str = ""
    goal: str = ""
    met: bool | None = None

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours_s) / statistics.median(self.beside_s)


@contextmanager
def fresh(place: Path) -> Iterator[tuple[Path, connection]]:
    """A memory folder below ``place`` whose server runs, migrated, and a connection to it."""
    shutil.rmtree(place / "memory", ignore_errors=True)
    with running_server(place / "memory") as memory:
        (memory / "exports").mkdir()
        process([*command(memory), "migrate"])
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


def process(arguments: Sequence[str], **settings: str) -> tuple[float, float]:
    """Run it to its end: seconds of wall time, and its peak resident memory in MB.

    Raises ``subprocess.CalledProcessError``, with what it wrote, when it fails.
    """
    started = time.monotonic()
    running = subprocess.Popen(  # noqa: S603
        arguments, env=own_settings_alone() | settings, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, arguments)
    return time.monotonic() - started, usage.ru_maxrss / 1024


@contextmanager
def daemon(memory: Path) -> Iterator[int]:
    """``exportd run`` with default settings but for its port; its process id."""
    settings = own_settings_alone() | {"EXPORTD_HTTP_ADDRESS": "off"}
    with (memory / "daemon.log").open("ab") as log:
        running = subprocess.Popen(  # noqa: S603
            [*command(memory), "run"], env=settings, stdout=log, stderr=log
        )
        try:
            yield running.pid
        finally:
            running.terminate()
            running.wait(30)


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
    until = time.monotonic() + _PATIENCE_S
    while not enough(number(database, sql)):
        if time.monotonic() > until:
            raise TimeoutError(f"{sql}: not within {_PATIENCE_S} s")
        time.sleep(0.001)


def number(database: connection, sql: str) -> int:
    """The first value of a query, 0 without a row."""
    with database.cursor() as cursor:
        cursor.execute(sql)
        found = cursor.fetchone()
    return int(found[0] or 0) if found else 0


def bare_copy(database: connection, place: Path) -> list[float]:
    """COPY of all rows of ``messages`` into an empty table with the same indexes, thrice."""
    rows, took = place / "rows", []
    with database.cursor() as cursor:
        with rows.open("wb") as file:
            cursor.copy_expert("COPY messages TO STDOUT", file)
        for _ in range(3):
            cursor.execute("CREATE TABLE bare (LIKE messages INCLUDING ALL)")
            cursor.execute("CHECKPOINT")
            started = time.monotonic()
            with rows.open("rb") as file:
                cursor.copy_expert("COPY bare FROM STDIN", file)
            took.append(time.monotonic() - started)
            cursor.execute("DROP TABLE bare")
    rows.unlink()
    return took


def sha256sum(path: Path) -> float:
    """Seconds that ``sha256sum`` takes, the file in the cache as it is for exportd."""
    return process(["sha256sum", str(path)])[0]


def repeated(once: Callable[[], float]) -> list[float]:
    """Three times, or until a minute is over."""
    took: list[float] = []
    while len(took) < 3 and sum(took) < _ENOUGH_S:
        took.append(once())
    return took


def cpu_s(pid: int) -> float:
    """Processor time of a process and of all below it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(cpu_s(int(child)) for child in children)


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
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
