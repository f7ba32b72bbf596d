"""Real parts for the tests: a PostgreSQL server, a memory folder, the real command.

The server is the embedded one, started once per session under a temporary folder; set
TEST_DATABASE_URL (a role that may create databases) to use another. Every test that
asks for ``database_url`` gets a database of its own, cloned from a migrated template.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn
from pydantic import SecretStr

from exportd.embedded import embedded_server
from exportd.settings import DatabaseSettings, Settings
from exportd.store import migrate

SAMPLES = Path(__file__).parent / "samples"
OURS = {"manifest.jsonl", ".exportd-archive"}  # in exports-archive/, beside the files
FAULTS = Path(__file__).parent / "faults" / "fault.c"
EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("EXPORTD_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _same_umask() -> Iterator[None]:
    """The command sets its own, and some tests call it within their process."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running server; its database ``exportd_template`` has the current schema."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield _with_template(given)
        return
    with embedded_server(tmp_path_factory.mktemp("server")) as server:
        # What is durable is tested elsewhere; here a thousand commits should be fast.
        execute(server.url, "ALTER SYSTEM SET fsync = off")
        execute(server.url, "SELECT pg_reload_conf()")
        yield _with_template(server.url)


def _with_template(url: str) -> str:
    execute(url, "DROP DATABASE IF EXISTS exportd_template")
    execute(url, "CREATE DATABASE exportd_template ENCODING 'UTF8' TEMPLATE template0")
    migrate(make_dsn(url, dbname="exportd_template"))
    return url


@pytest.fixture
def database_url(server_url: str) -> Iterator[str]:
    """An empty database of the current schema, for one test."""
    name = f"exportd_{uuid.uuid4().hex[:12]}"
    execute(server_url, f"CREATE DATABASE {name} TEMPLATE exportd_template")
    yield make_dsn(server_url, dbname=name)
    execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """A database without any schema, for one test."""
    name = f"exportd_{uuid.uuid4().hex[:12]}"
    execute(server_url, f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
    yield make_dsn(server_url, dbname=name)
    execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def memory_dir(tmp_path: Path) -> Path:
    """A memory folder with an empty drop folder."""
    folder = tmp_path / "MEMORY-CONTEXT"
    (folder / "exports").mkdir(parents=True)
    return folder


@pytest.fixture
def settings(memory_dir: Path, database_url: str) -> Settings:
    """Settings for one memory folder and database; files settle fast."""
    return Settings(
        memory_dir=memory_dir,
        settle_time=0.1,
        database=DatabaseSettings(url=SecretStr(database_url)),
    )


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    library = tmp_path_factory.mktemp("faults") / "fault.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(FAULTS), "-ldl"],
        check=True,
    )
    return library


def execute(url: str, sql: str, *parameters: Any) -> None:
    """Run one statement outside a transaction."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)


def rows(url: str, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of one query."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.fetchall()


def wait_until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Return as soon as ``condition()`` is true; fail the test when it never is."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"did not come true within {timeout_s} s")
        time.sleep(0.02)


@contextmanager
def out_of_reach(folder: Path) -> Iterator[Path]:
    """A folder in ``folder`` with a file so deep down that no path leads to it.

    The system refuses to look into it for root, too, as it does for others by EACCES.
    """
    name = "d" * 250
    place = os.open(folder, os.O_DIRECTORY)
    for _ in range(17):
        os.mkdir(name, dir_fd=place)
        above, place = place, os.open(name, os.O_DIRECTORY, dir_fd=place)
        os.close(above)
    with open("a.txt", "w", opener=partial(os.open, dir_fd=place)) as file:
        file.write("> hi")
    os.close(place)
    try:
        yield folder / name
    finally:
        subprocess.run(["sh", "-c", f'rm -rf "{folder}"/*'], check=True)


class Command:
    """The real command ``exportd`` as a process, on one memory folder and database."""

    def __init__(self, memory_dir: Path, database_url: str | None) -> None:
        self.memory_dir = memory_dir
        self.environment = {
            **os.environ,
            "EXPORTD_MEMORY_DIR": str(memory_dir),
            "EXPORTD_SETTLE_TIME": "0.2",
            "EXPORTD_LOG_FORMAT": "json",
            "EXPORTD_HTTP_ADDRESS": "off",
        }
        if database_url is not None:
            self.environment["EXPORTD_DATABASE_URL"] = database_url

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run to the end; stdout and stderr as text."""
        return subprocess.run(
            [sys.executable, "-m", "exportd", *arguments],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextmanager
    def running(self, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """The daemon, until the block ends; wait for it to watch first."""
        log = self.memory_dir.parent / f"daemon-{uuid.uuid4().hex[:6]}.log"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "exportd", "run"],
                env={**self.environment, **environment},
                stderr=stderr,
                text=True,
            )
            try:
                told = Path(environment.get("EXPORTD_LOG_FILE", log))
                wait_until(
                    lambda: (
                        process.poll()
                        or (told.exists() and "service.started" in told.read_text())
                    )
                )
                assert process.poll() is None, log.read_text()
                yield process
            finally:
                if process.poll() is None:
                    process.terminate()
                process.wait(timeout=30)


@pytest.fixture
def exportd(memory_dir: Path, database_url: str) -> Command:
    """The real command on the test's own memory folder and database."""
    return Command(memory_dir, database_url)
