"""The database is down, hangs, is full, read-only, crowded or wrong, and comes back.

What is written goes through a real server; between it and exportd stands a proxy where an
answer has to be lost or delayed. The oracle is that of ``test_daemon``. Hours of outage and
a real standby: ``TEST_SLOW=1 pytest tests/test_database_trouble.py``.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg2
import pytest
from conftest import Command, execute, rows, wait_until
from proxy import Deed, Proxy
from psycopg2.extensions import make_dsn, parse_dsn
from pydantic import SecretStr
from test_daemon import (
    HANGS,
    archived,
    assert_nothing_lost_or_doubled,
    expected,
    files_of,
    held_up,
    messages,
    slow,
    talk,
)
from test_pipeline import Road

from exportd import formats
from exportd.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    PermanentError,
    TransientError,
)
from exportd.fingerprint import places
from exportd.models import Fate
from exportd.placement import head_hash
from exportd.service import Service
from exportd.settings import DatabaseSettings, Settings
from exportd.store import Store, Transaction, line, server
from exportd.store.border import DatabaseMisconfigured
from exportd.workplace import workplace

WAITING = (
    "SELECT 1 FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event = 'advisory'"
)
MEMBERS = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = 'exportd'"


@pytest.fixture
def exports(exportd: Command) -> Path:
    return exportd.memory_dir / "exports"


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    with Proxy(database_url) as made:
        yield made


def drop(exports: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (exports / name).write_text(text)


def log_lines(exportd: Command) -> list[dict[str, object]]:
    logs = sorted(exportd.memory_dir.parent.glob("daemon-*.log"))
    return [json.loads(text) for log in logs for text in log.read_text().splitlines()]


def events(exportd: Command, name: str) -> list[dict[str, object]]:
    return [told for told in log_lines(exportd) if told["event"] == name]


def in_flight(exportd: Command) -> list[Path]:
    return list((exportd.memory_dir / ".exportd" / "inflight").iterdir())


def database_name(url: str) -> str:
    return str(parse_dsn(url)["dbname"])


# -- lost at every statement ----------------------------------------------------------


@pytest.mark.parametrize("deed", ["cut", "swallow"])
def test_a_connection_lost_at_any_statement_loses_and_doubles_nothing(
    tmp_path: Path, proxy: Proxy, database_url: str, deed: Deed
) -> None:
    """Before the server saw the statement, and after it answered; COMMITs among them."""
    road = Road(tmp_path / "MEMORY-CONTEXT", proxy.url)
    files: dict[str, str] = {}
    lost: list[str] = []
    whole = 0  # files in a row whose road had fewer statements
    for number in count():
        seen, before = count(), len(lost)

        def at(statement: str, seen: Iterator[int] = seen, number: int = number) -> Deed:
            if next(seen) != number:
                return "pass"
            lost.append(statement)
            return deed

        name = f"2025-01-{1 + number % 28:02}-EXPORT-S{number // 4}.txt"
        files[name] = talk(
            *(f"turn {n} of session {number // 4}" for n in range(4 + number % 4))
        )
        path = road.folders.exports / name
        path.write_text(files[name])
        proxy.deed = at
        report = road.pipeline.ingest(path)
        proxy.deed = lambda _statement: "pass"
        whole = whole + 1 if len(lost) == before else 0
        if whole == 4:
            break  # a session of files of every length
        assert report is not None
        if path.exists():
            assert report.fate is Fate.DEFERRED
            report = road.pipeline.ingest(path)
        for claim in road.intake.sweep():
            report = road.pipeline.resume(claim)
        assert report is not None
        assert report.fate is not Fate.DEFERRED, report
    road.store.close()
    assert len(lost) > 20
    assert lost.count("COMMIT") >= 4
    assert rows(database_url, "SELECT DISTINCT attempts FROM exports") == [(1,)]
    assert messages(database_url) == expected(files)
    assert road.archived() == files
    assert rows(database_url, "SELECT count(*) FROM deduplication_log") == [(len(files),)]
    assert rows(database_url, "SELECT count(*) FROM drops WHERE outcome IS NULL") == [(0,)]


def test_answers_to_commits_that_are_lost_are_read_back_by_the_daemon(
    exportd: Command, exports: Path, proxy: Proxy, database_url: str
) -> None:
    commits, lost = count(1), []

    def deed(statement: str) -> Deed:
        if statement == "COMMIT" and next(commits) % 7 == 0:
            lost.append(statement)
            return "swallow"
        return "pass"

    files = files_of(8)
    with exportd.running(EXPORTD_DATABASE_URL=proxy.url):
        wait_until(lambda: events(exportd, "service.ready"))
        proxy.deed = deed
        names = list(files)
        for wave in (names[:4], *([name] for name in names[4:])):  # a group, and files alone
            drop(exports, {name: files[name] for name in wave})
            wait_until(lambda wave=wave: archived(exportd).keys() >= set(wave), 40)  # type: ignore[misc]
        wait_until(lambda: not in_flight(exportd), 40)
        proxy.deed = lambda _statement: "pass"
    assert len(lost) >= 2
    assert_nothing_lost_or_doubled(exportd, database_url, files)


# -- hanging --------------------------------------------------------------------------


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Processes that do nothing until the block ends."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def backends(url: str) -> list[int]:
    return [pid for (pid,) in rows(url, MEMBERS, database_name(url))]


def fails_in_time(store: Store, work: Callable[[Transaction], object]) -> None:
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="did not answer within"):
        store.run(work)
    assert time.monotonic() - started < 3


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "_GRACE_S", 0.1)


def test_a_server_that_accepts_and_never_answers_is_given_up(
    proxy: Proxy, database_url: str, hurried: None
) -> None:
    """And the work is not done after all when the server answers at last."""
    proxy.hang()
    store = Store(proxy.url, timeout_s=0.5)
    fails_in_time(store, lambda tx: tx.ensure_conversation("too late"))
    assert store.server.errors == {"08": 1}
    assert not store.server.is_up
    proxy.flow()
    store.ping()
    assert store.server.is_up
    store.close()
    wait_until(lambda: backends(database_url) == [])
    assert rows(database_url, "SELECT * FROM conversations") == []


def test_a_ping_is_not_waited_for_as_long_as_a_transaction(
    proxy: Proxy, hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exportd.store.PING_S", 0.3)
    proxy.hang()
    with pytest.raises(DatabaseUnavailable, match=r"within 0\.3 s"):
        Store(proxy.url, timeout_s=300).ping()


@pytest.mark.parametrize("statement", ["ensure_conversation", "COMMIT"])
def test_a_server_that_falls_silent_in_a_transaction_is_given_up(
    proxy: Proxy, database_url: str, hurried: None, statement: str
) -> None:
    def work(tx: Transaction) -> None:
        tx.execute("greet")
        if statement != "COMMIT":
            proxy.hang()
        tx.ensure_conversation("half")
        proxy.hang()

    store = Store(proxy.url, timeout_s=0.5)
    fails_in_time(store, work)
    proxy.cut()
    proxy.flow()
    store.ping()
    store.close()
    assert rows(database_url, "SELECT * FROM conversations") == []


def test_a_backend_that_hangs_behind_a_unix_socket_is_given_up(
    database_url: str, hurried: None
) -> None:
    store = Store(database_url, timeout_s=0.5)
    store.ping()
    with stopped(*backends(database_url)):
        fails_in_time(store, lambda tx: tx.rows("greet"))
        store.ping()  # on another connection
    store.close()


def test_more_than_the_socket_holds_does_not_hang_either(
    database_url: str, hurried: None
) -> None:
    """A COPY that nobody reads, so that libpq waits until it may write."""
    big = "x" * 8_000_000

    def work(tx: Transaction) -> None:
        pid = tx._cursor.connection.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        try:
            facts = ("x", 1, "ab" * 32, "user", big, "{}", 1, "prompt", None, None, None, False)
            tx.copy("copy_messages", [facts])
        finally:
            os.kill(pid, signal.SIGCONT)

    store = Store(database_url, timeout_s=0.5)
    fails_in_time(store, work)
    store.ping()
    store.close()


def test_a_statement_that_takes_too_long_is_ended_by_the_server_and_the_line_is_kept(
    database_url: str,
) -> None:
    store = Store(database_url, timeout_s=0.3)
    store.ping()
    before = backends(database_url)
    with pytest.raises(TransientError, match="statement timeout") as caught:
        store.run(lambda tx: tx._cursor.execute("SELECT pg_sleep(10)"))
    assert not isinstance(caught.value, DatabaseUnavailable)
    store.ping()
    assert backends(database_url) == before
    store.close()


def test_after_the_stop_signal_no_call_waits_for_a_server_that_hangs(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "STOP_S", 0.5)
    stopping = threading.Event()
    store = Store(proxy.url, timeout_s=300, stopping=stopping)
    store.ping()
    proxy.hang()
    threading.Timer(0.2, stopping.set).start()
    fails_in_time(store, lambda tx: tx.rows("greet"))
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="stop signal"):
        store.ping()
    store.close()
    assert time.monotonic() - started < 0.2


def test_a_transaction_that_was_given_up_stores_nothing_when_its_work_comes_back(
    database_url: str, hurried: None
) -> None:
    goes_on, ended = threading.Event(), threading.Event()

    def work(tx: Transaction) -> None:
        tx.ensure_conversation("too late")
        goes_on.wait(10)
        ended.set()

    store = Store(database_url)  # without a timeout, so that the server does not help
    with pytest.raises(DatabaseUnavailable, match="did not answer within"):
        store.server.transact(work, 0.3)
    goes_on.set()
    assert ended.wait(5)
    time.sleep(0.3)
    assert rows(database_url, "SELECT * FROM conversations") == []
    store.close()


@slow
def test_a_daemon_before_a_hanging_server_lets_files_wait_and_goes_on_afterwards(
    exportd: Command, exports: Path, proxy: Proxy, database_url: str
) -> None:
    files = files_of(8)
    first, rest = dict(list(files.items())[:4]), dict(list(files.items())[4:])
    with exportd.running(
        EXPORTD_DATABASE_URL=proxy.url, EXPORTD_DATABASE_TIMEOUT="0.5"
    ) as process:
        drop(exports, first)
        wait_until(lambda: len(archived(exportd)) == len(first))
        proxy.hang()
        drop(exports, rest)
        wait_until(lambda: events(exportd, "database.unavailable"))
        assert process.poll() is None
        assert len(list(exports.glob("[!.]*"))) == len(rest)
        proxy.cut()
        proxy.flow()
        wait_until(lambda: len(archived(exportd)) == len(files) and not in_flight(exportd), 40)
    assert "did not answer within 0.5 s" in str(events(exportd, "database.unavailable")[0])
    assert_nothing_lost_or_doubled(exportd, database_url, files)


@slow
def test_a_daemon_whose_server_hangs_hears_sigterm_and_leaves_the_file_for_the_next(
    exportd: Command, exports: Path, database_url: str
) -> None:
    """A whole hanging transaction on a Unix socket, with the default time limits."""
    files = {"a.txt": talk("one", "two", "three")}
    with held_up(database_url, "AFTER INSERT ON messages"), exportd.running() as process:
        drop(exports, files)
        wait_until(lambda: rows(database_url, HANGS))
        with stopped(*backends(database_url)):
            started = time.monotonic()
            process.terminate()
            assert process.wait(timeout=20) == 0
            assert time.monotonic() - started < 15
    assert len(in_flight(exportd)) == 1
    assert exportd("run", "--once").returncode == 0
    assert [row[3] for row in messages(database_url)] == ["one", "two", "three"]
    assert archived(exportd) == files


@slow
def test_a_link_that_goes_down_is_noticed_in_time(database_url: str, tmp_path: Path) -> None:
    """A client in a network namespace of its own; nothing tells it that its packets vanish."""
    program = (
        "import sys, time\n"
        "from exportd.errors import DatabaseUnavailable\n"
        "from exportd.store import Store\n"
        "store = Store(sys.argv[1], timeout_s=1)\n"
        "store.ping()\n"
        "print('up', flush=True)\n"
        "sys.stdin.readline()\n"
        "started = time.monotonic()\n"
        "for _ in range(2):\n"
        "    try:\n"
        "        store.ping()\n"
        "    except DatabaseUnavailable as error:\n"
        "        print(error, flush=True)\n"
        "print(time.monotonic() - started)\n"
    )
    name = f"x{os.getpid()}"
    with (
        namespace(name),
        Proxy(database_url, "10.213.0.1") as proxy,
        subprocess.Popen(
            ["ip", "netns", "exec", name, sys.executable, "-c", program, proxy.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as client,
    ):
        assert client.stdout is not None
        assert client.stdout.readline() == "up\n"
        ip("link", "set", name, "down")
        said, _ = client.communicate("\n", timeout=30)
    *errors, took_s = said.splitlines()
    assert len(errors) == 2, said
    assert float(took_s) < 6


def ip(*arguments: str) -> int:
    return subprocess.run(["ip", *arguments], capture_output=True, check=False).returncode


@contextmanager
def namespace(name: str) -> Iterator[None]:
    """A network namespace whose only way out is a cable to 10.213.0.1."""
    if os.geteuid() or not shutil.which("ip") or ip("netns", "add", name):
        pytest.skip("a network namespace needs root and iproute2")
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", "10.213.0.1/24", "dev", name)
        ip("link", "set", name, "up")
        ip("-n", name, "addr", "add", "10.213.0.2/24", "dev", "eth0")
        if ip("-n", name, "link", "set", "eth0", "up"):
            pytest.skip("no virtual cable can be laid here")
        yield
    finally:
        ip("netns", "del", name)


# -- gone for long ----------------------------------------------------------------------


def resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@pytest.mark.parametrize("number", [50, pytest.param(2000, marks=slow)])
def test_files_wait_for_a_server_that_is_gone_in_bounded_memory_and_without_a_storm(
    exportd: Command, exports: Path, proxy: Proxy, database_url: str, number: int
) -> None:
    files = files_of(number)
    with exportd.running(EXPORTD_DATABASE_URL=proxy.url) as process:
        wait_until(lambda: events(exportd, "service.ready"))
        proxy.is_refusing = True
        proxy.cut()
        before_kb = resident_kb(process.pid)
        drop(exports, files)
        wait_until(lambda: events(exportd, "database.unavailable"))
        asked = proxy.accepted
        time.sleep(1.5)
        assert sorted(path.name for path in exports.glob("[!.]*")) == sorted(files)
        assert in_flight(exportd) == []
        grown_kb = resident_kb(process.pid) - before_kb
        assert grown_kb < 10_000 + 5 * number, grown_kb
        assert len(log_lines(exportd)) < 20
        assert 1 <= proxy.accepted - asked < 15  # ever more seldom
        proxy.is_refusing = False
        wait_until(lambda: len(archived(exportd)) == number and not in_flight(exportd), 180)
    assert_nothing_lost_or_doubled(exportd, database_url, files)
    assert rows(database_url, "SELECT max(attempts) FROM exports") == [(1,)]


def test_a_daemon_that_starts_before_its_database_waits_and_then_works(
    exportd: Command, exports: Path, proxy: Proxy, database_url: str
) -> None:
    files = files_of(4)
    drop(exports, files)
    proxy.is_refusing = True
    with exportd.running(EXPORTD_DATABASE_URL=proxy.url):
        wait_until(lambda: events(exportd, "database.unavailable"))
        assert len(list(exports.glob("[!.]*"))) == len(files)
        proxy.is_refusing = False
        wait_until(lambda: len(archived(exportd)) == len(files) and not in_flight(exportd))
    assert_nothing_lost_or_doubled(exportd, database_url, files)


def test_files_in_flight_are_not_all_tried_on_a_server_that_is_gone(
    settings: Settings, proxy: Proxy
) -> None:
    """Each could take as long as a connection may take to be refused."""
    url = DatabaseSettings(url=SecretStr(proxy.url))
    with workplace(settings.model_copy(update={"database": url}), threading.Event()) as place:
        place.prepare()
        for number in range(30):
            (place.folders.exports / f"{number}.txt").write_text(
                talk(f"number {number}", "yes")
            )
            place.intake.claim(place.folders.exports / f"{number}.txt")
        proxy.is_refusing = True
        proxy.cut()
        before = proxy.accepted
        service = Service(place)
        service._resume()
        assert proxy.accepted - before < 6
        proxy.is_refusing = False
        service._resume()
        assert list(place.intake.sweep()) == []
        place.store.close()


# -- it answers, and does not take what is written ------------------------------------------


def refused_then_mended(
    exportd: Command,
    url: str,
    spoil: Callable[[], object],
    mend: Callable[[], object],
    files: dict[str, str],
    hold_s: float = 0.5,
) -> str:
    """Files dropped before and after ``spoil`` are stored after ``mend``; the reason told."""
    first, rest = dict(list(files.items())[:4]), dict(list(files.items())[4:])
    exports = exportd.memory_dir / "exports"
    with exportd.running() as process:
        drop(exports, first)
        wait_until(lambda: len(archived(exportd)) == len(first) and not in_flight(exportd))
        spoil()
        drop(exports, rest)
        wait_until(lambda: events(exportd, "database.unavailable"))
        time.sleep(hold_s)
        assert process.poll() is None
        assert len(in_flight(exportd)) <= 2  # what was claimed together, and what is next
        claimed = list((exportd.memory_dir / ".exportd" / "inflight").glob("*/*"))
        assert len(list(exports.glob("[!.]*")) + claimed) >= len(rest) - 1
        mend()
        wait_until(lambda: len(archived(exportd)) == len(files) and not in_flight(exportd), 40)
    assert_nothing_lost_or_doubled(exportd, url, files)
    assert rows(url, "SELECT max(attempts) FROM exports") == [(1,)]
    return str(events(exportd, "database.unavailable")[0]["reason"])


def test_a_server_that_became_a_standby_is_not_asked_twice_on_the_same_connection(
    database_url: str, server_url: str
) -> None:
    setting = f"ALTER DATABASE {database_name(database_url)} SET default_transaction_read_only"
    store = Store(database_url)
    execute(server_url, f"{setting} = on")
    with pytest.raises(DatabaseUnavailable, match="the database is read-only"):
        store.ping()
    execute(server_url, f"{setting} = off")
    store.ping()
    store.close()


def test_files_wait_while_the_database_is_read_only_and_the_connection_is_renewed(
    exportd: Command, database_url: str, server_url: str
) -> None:
    name = database_name(database_url)
    setting = f"ALTER DATABASE {name} SET default_transaction_read_only"

    def fail_over() -> None:
        execute(server_url, f"{setting} = on")
        for pid in backends(database_url):
            execute(server_url, "SELECT pg_terminate_backend(%s)", pid)

    def fail_back() -> None:
        assert in_flight(exportd) == []
        execute(server_url, f"{setting} = off")

    assert "read-only" in refused_then_mended(
        exportd, database_url, fail_over, fail_back, files_of(8)
    )


@slow
def test_a_table_that_is_gone_for_a_while_does_not_end_the_daemon(
    exportd: Command, database_url: str
) -> None:
    """As when a backup is restored; by exit code 78 systemd would never start it again."""
    told = refused_then_mended(
        exportd,
        database_url,
        lambda: execute(database_url, "ALTER TABLE messages RENAME TO elsewhere"),
        lambda: execute(database_url, "ALTER TABLE elsewhere RENAME TO messages"),
        files_of(8),
        hold_s=8,
    )
    assert "not set up for exportd" in told


DEBIAN = Path("/usr/lib/postgresql/15/bin")


@contextmanager
def two_servers() -> Iterator[tuple[str, Callable[[], None]]]:
    """A primary and its synchronous standby; their URL, and what fails over."""
    if os.geteuid() or not (DEBIAN / "pg_basebackup").exists():
        pytest.skip("a standby needs root and Debian's PostgreSQL 15")
    folder = Path(tempfile.mkdtemp(prefix="two"))
    shutil.chown(folder, "postgres", "postgres")

    def do(program: str, *arguments: str) -> None:
        subprocess.run(
            [DEBIAN / program, *arguments], user="postgres", check=True, capture_output=True
        )

    def start(name: str, port: int) -> None:
        options = f"-p {port} -k {folder} -c listen_addresses="
        told = ("-o", options, "-l", f"{folder}/{name}.log")
        do("pg_ctl", "-w", "-D", f"{folder}/{name}", *told, "start")

    def fail_over() -> None:
        do("pg_ctl", "-D", f"{folder}/one", "-m", "immediate", "stop")
        do("pg_ctl", "-w", "-D", f"{folder}/two", "promote")

    do("initdb", "-A", "trust", "-D", f"{folder}/one", "-E", "UTF8")
    start("one", 6001)
    do("pg_basebackup", "-h", str(folder), "-p", "6001", "-R", "-D", f"{folder}/two")
    start("two", 6002)
    one = f"host={folder} port=6001 user=postgres dbname=postgres"
    execute(one, "ALTER SYSTEM SET synchronous_standby_names = '*'")
    execute(one, "SELECT pg_reload_conf()")
    try:
        # The standby first: whoever takes the first server that answers cannot write.
        yield f"host={folder},{folder} port=6002,6001 user=postgres dbname=postgres", fail_over
    finally:
        for name in ("one", "two"):
            with suppress(subprocess.CalledProcessError):
                do("pg_ctl", "-D", f"{folder}/{name}", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@slow
def test_after_a_failover_the_daemon_writes_to_the_server_that_was_promoted(
    memory_dir: Path,
) -> None:
    files = files_of(8)
    with two_servers() as (url, fail_over):
        exportd = Command(memory_dir, url)
        with exportd.running():
            drop(memory_dir / "exports", dict(list(files.items())[:4]))
            wait_until(lambda: len(archived(exportd)) == 4 and not in_flight(exportd))
            fail_over()
            drop(memory_dir / "exports", files_left := dict(list(files.items())[4:]))
            wait_until(lambda: len(archived(exportd)) == 8 and not in_flight(exportd), 40)
        assert len(files_left) == 4
        assert_nothing_lost_or_doubled(exportd, url, files)


def member(url: str) -> str:
    """A role that may do what the daemon does, and is no superuser."""
    role = f"member_{database_name(url)}"
    execute(url, f"CREATE ROLE {role} LOGIN")
    execute(url, f"GRANT ALL ON SCHEMA public TO {role}")
    for what in ("TABLES", "SEQUENCES"):
        execute(url, f"GRANT ALL ON ALL {what} IN SCHEMA public TO {role}")
    return role


@contextmanager
def as_member(exportd: Command, url: str) -> Iterator[str]:
    role = member(url)
    exportd.environment["EXPORTD_DATABASE_URL"] = make_dsn(url, user=role)
    try:
        yield role
    finally:
        for pid in backends(url):
            execute(url, "SELECT pg_terminate_backend(%s)", pid)
        execute(url, f"DROP OWNED BY {role}")
        execute(url, f"DROP ROLE {role}")


@slow
def test_rights_that_are_taken_away_for_a_while_do_not_end_the_daemon(
    exportd: Command, database_url: str
) -> None:
    with as_member(exportd, database_url) as role:
        told = refused_then_mended(
            exportd,
            database_url,
            lambda: execute(database_url, f"REVOKE ALL ON messages FROM {role}"),
            lambda: execute(database_url, f"GRANT ALL ON messages TO {role}"),
            files_of(8),
        )
    assert "permission denied" in told


@slow
def test_a_crowded_server_lets_files_wait(exportd: Command, database_url: str) -> None:
    """SQLSTATE 53300, for this role alone."""
    with as_member(exportd, database_url) as role:

        def crowd() -> None:
            execute(database_url, f"ALTER ROLE {role} CONNECTION LIMIT 0")
            for pid in backends(database_url):
                execute(database_url, "SELECT pg_terminate_backend(%s)", pid)

        told = refused_then_mended(
            exportd,
            database_url,
            crowd,
            lambda: execute(database_url, f"ALTER ROLE {role} CONNECTION LIMIT -1"),
            files_of(8),
        )
    assert "too many connections" in told


@contextmanager
def small_tablespace(url: str, folder: Path) -> Iterator[str]:
    """A tablespace of few megabytes on a file system of its own; its name."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    try:
        owner = Path(rows(url, "SHOW data_directory")[0][0]).stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        for parent in folder.parents[:3]:
            parent.chmod(0o755)
        name = f"small_{os.getpid()}"
        execute(url, f"CREATE TABLESPACE {name} LOCATION '{folder}'")
        yield name
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_of_the_server_lets_files_wait_until_there_is_room(
    exportd: Command, database_url: str, server_url: str, tmp_path: Path
) -> None:
    """SQLSTATE 53100, on a tmpfs that holds the whole database."""
    ballast = tmp_path / "full" / "ballast"
    noise = random.Random(1).randbytes(20_000).hex()  # noqa: S311
    large = {name: text.replace("turn", noise) for name, text in files_of(8).items()}
    name = database_name(database_url)

    def fill() -> None:
        execute(database_url, "CHECKPOINT")
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(b"x" * 4096):
                pass

    with small_tablespace(server_url, tmp_path / "full") as tablespace:
        move = f"ALTER DATABASE {name} SET TABLESPACE"
        execute(server_url, f"{move} {tablespace}")
        try:
            told = refused_then_mended(exportd, database_url, fill, ballast.unlink, large)
            assert "No space left on device" in told
            assert "PostgreSQL cannot work now" in told
        finally:
            ballast.unlink(missing_ok=True)
            for pid in backends(database_url):
                execute(server_url, "SELECT pg_terminate_backend(%s)", pid)
            execute(server_url, f"{move} pg_default")
            execute(server_url, f"DROP TABLESPACE {tablespace}")


# -- every SQLSTATE ---------------------------------------------------------------------

UNAVAILABLE, REFUSES = "DatabaseUnavailable", "DatabaseRefuses"
MISCONFIGURED, WAITS, STALE = "DatabaseMisconfigured", "TransientError", "StalePlan"
STATES = {
    "08006": UNAVAILABLE, "08P01": UNAVAILABLE, "0A000": MISCONFIGURED, "0LP01": MISCONFIGURED,
    "22001": "PermanentError", "22003": "PermanentError", "22021": "CharacterNotInRepertoire",
    "23502": "NotNullViolation", "23503": STALE, "23505": STALE, "23514": "CheckViolation",
    "25006": REFUSES, "25P02": UNAVAILABLE, "25P03": UNAVAILABLE, "28000": MISCONFIGURED,
    "28P01": MISCONFIGURED, "3D000": MISCONFIGURED, "3F000": MISCONFIGURED, "40001": STALE,
    "40003": STALE, "40P01": STALE, "42501": MISCONFIGURED, "42601": MISCONFIGURED,
    "42703": MISCONFIGURED, "42883": MISCONFIGURED, "42P01": MISCONFIGURED,
    "42P10": MISCONFIGURED, "53000": REFUSES, "53100": REFUSES, "53200": REFUSES,
    "53300": REFUSES, "53400": REFUSES, "54000": "PermanentError", "54001": "PermanentError",
    "55006": WAITS, "55P03": WAITS, "57014": WAITS, "57P01": UNAVAILABLE,
    "57P02": UNAVAILABLE, "57P03": UNAVAILABLE, "57P05": UNAVAILABLE, "58000": REFUSES,
    "58030": REFUSES, "58P01": REFUSES, "72000": UNAVAILABLE, "F0000": UNAVAILABLE,
    "XX000": WAITS, "XX001": WAITS, "XX002": WAITS, "ZZ999": UNAVAILABLE,
}  # fmt: skip


def test_every_sqlstate_is_the_surroundings_or_the_content(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raised by a real server; what is no error of ours is a bug, and counted as one."""
    monkeypatch.setattr(server, "_REST_S", 0)
    found, counts = {}, {}
    store = Store(database_url)

    def kind(state: str) -> str:
        raising = f"DO $$ BEGIN RAISE 'x' USING ERRCODE = '{state}'; END $$"
        try:
            store.server.transact(lambda tx: tx._cursor.execute(raising))
        except Exception as error:
            return type(error).__name__
        return "nothing"

    for state in STATES:
        store.server.errors.clear()
        found[state], counts[state] = kind(state), dict(store.server.errors)
        store.ping()
    store.close()
    assert found == STATES
    bugs = {"22021", "23502", "23514"}
    assert counts == {state: {} if state in bugs else {state[:2]: 1} for state in STATES}


def test_what_is_misconfigured_is_78_for_a_command_and_waits_in_a_daemon() -> None:
    assert issubclass(DatabaseMisconfigured, ConfigurationError)
    assert issubclass(DatabaseMisconfigured, DatabaseUnavailable)
    assert not issubclass(DatabaseMisconfigured, PermanentError)


def test_a_refusal_holds_for_a_while_and_is_not_asked_for_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(database_url)
    full = "DO $$ BEGIN RAISE 'could not extend file' USING ERRCODE = '53100'; END $$"
    with pytest.raises(DatabaseUnavailable, match="could not extend file"):
        store.run(lambda tx: tx._cursor.execute(full))
    with pytest.raises(DatabaseUnavailable, match="could not extend file"):
        store.ping()
    assert store.server.errors == {"53": 1}
    monkeypatch.setattr(server, "_REST_S", 0)
    store.ping()
    store.close()


@pytest.mark.parametrize("wrong", ["\0", "\ud800"])
def test_what_the_driver_itself_cannot_send_leaves_the_store_usable(
    database_url: str, wrong: str
) -> None:
    """Finding 7: neither is an error of psycopg2."""
    store = Store(database_url)

    def work(tx: Transaction) -> None:
        tx.ensure_conversation("half")
        tx.ensure_conversation(wrong)

    with pytest.raises(ValueError, match=r"NUL|surrogates"):
        store.run(work)
    store.ping()
    store.close()
    assert rows(database_url, "SELECT * FROM conversations") == []


def test_a_server_that_nobody_can_log_in_to_is_waited_for(database_url: str) -> None:
    for wrong in ({"user": "nobody_of_this_name"}, {"dbname": "nothing_of_this_name"}):
        with pytest.raises(DatabaseUnavailable, match="does not exist") as caught:
            Store(make_dsn(database_url, **wrong)).ping()
        assert not isinstance(caught.value, ConfigurationError)


def test_a_server_notices_when_exportd_is_gone_and_frees_what_it_held(proxy: Proxy) -> None:
    store = Store(proxy.url, timeout_s=7)

    def shown(tx: Transaction) -> list[str]:
        names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        return [
            tx._cursor.execute(f"SHOW {name}") or str(tx._cursor.fetchone()[0])  # type: ignore[func-returns-value,index]
            for name in names
        ]

    assert store.run(shown) == ["5s", "7s", "7s"]
    store.close()


# -- many at once -----------------------------------------------------------------------


def test_eight_writers_of_the_same_sessions_store_what_one_would(
    tmp_path: Path, database_url: str
) -> None:
    """Every writer has every second file of every session, in an order of its own."""
    files = files_of(12)
    start = threading.Barrier(8)
    left: list[str] = []

    def write(number: int) -> None:
        road = Road(tmp_path / f"memory-{number}", database_url)
        chance = random.Random(number)  # noqa: S311
        mine = [name for name in sorted(files) if chance.random() < 0.7]
        chance.shuffle(mine)
        for name in mine:
            (road.folders.exports / name).write_text(files[name])
        start.wait(20)
        for name in mine:
            road.pipeline.ingest(road.folders.exports / name)
        for _ in range(20):
            for claim in road.intake.sweep():
                road.pipeline.resume(claim)
        left.extend(path.name for path in road.folders.exports.glob("[!.]*"))
        left.extend(claim.name for claim in road.intake.sweep())
        road.store.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert left == []
    assert messages(database_url) == expected(files)


def test_the_same_bytes_in_two_folders_at_once_are_ingested_once(
    tmp_path: Path, database_url: str
) -> None:
    """Both are read before either is stored; the slower one finds a duplicate file."""
    text = talk("one", "two")
    head = head_hash(places(formats.parse(text.encode(), "EXPORT-A.txt").messages))
    roads = [Road(tmp_path / name, database_url) for name in "ab"]
    for road in roads:
        (road.folders.exports / "EXPORT-A.txt").write_text(text)
    with closing(psycopg2.connect(database_url)) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (head,))
        with ThreadPoolExecutor() as pool:
            futures = [
                pool.submit(road.pipeline.ingest, road.folders.exports / "EXPORT-A.txt")
                for road in roads
            ]
            wait_until(lambda: len(rows(database_url, WAITING)) == 2)
            other.commit()
        reports = [future.result() for future in futures]
    fates = sorted(report.fate for report in reports if report)
    assert fates == [Fate.DUPLICATE_FILE, Fate.INGESTED]
    assert rows(database_url, "SELECT count(*) FROM deduplication_log") == [(1,)]
    assert messages(database_url) == expected({"EXPORT-A.txt": text})
    for road in roads:
        assert road.archived() == {"EXPORT-A.txt": text}
        road.store.close()


def test_two_daemons_of_two_folders_that_are_killed_store_what_one_would(
    tmp_path: Path, database_url: str
) -> None:
    seed = int(os.environ.get("TEST_SEED", random.randrange(2**32)))  # noqa: S311
    chance = random.Random(seed)  # noqa: S311
    files = files_of(24)
    daemons = [Command(tmp_path / name / "MEMORY-CONTEXT", database_url) for name in "ab"]

    for daemon in daemons:
        (daemon.memory_dir / "exports").mkdir(parents=True)
    with daemons[0].running() as one, daemons[1].running() as other:
        for name, text in files.items():
            for daemon in daemons:
                (daemon.memory_dir / "exports" / name).write_text(text)
        time.sleep(chance.uniform(0.3, 1.5))
        one.kill()
        other.kill()
    for daemon in daemons:
        done = daemon("run", "--once")
        assert done.returncode == 0, (seed, done.stderr)
        assert archived(daemon) == files
        assert in_flight(daemon) == []
    assert messages(database_url) == expected(files), seed


def test_a_daemon_that_stands_still_keeps_its_folder(
    exportd: Command, exports: Path, database_url: str
) -> None:
    """SIGSTOP, a second one tries, SIGCONT: there is no lease that could run out."""
    files = files_of(4)
    with exportd.running() as process:
        with stopped(process.pid):
            second = exportd("run", "--once")
            drop(exports, files)
        assert second.returncode == 73
        assert f"process {process.pid} on {os.uname().nodename} since 20" in second.stderr
        lock = exportd.memory_dir / ".exportd" / "lock"
        assert lock.read_text().startswith(f"{process.pid} on ")
        wait_until(lambda: len(archived(exportd)) == len(files) and not in_flight(exportd))
    assert_nothing_lost_or_doubled(exportd, database_url, files)
