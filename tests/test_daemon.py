"""The real daemon as a process: files arrive, databases go away, processes are killed.

The oracle after every crash test: the stored messages are those of an undisturbed run,
every raw file lies in the archive byte for byte and once, nothing is in flight.

More kills than in the usual run: ``TEST_KILLS=500 pytest tests/test_daemon.py -k kills``
(a failure prints its seed; ``TEST_SEED`` repeats it). The slower tests, too:
``TEST_SLOW=1 pytest tests/test_daemon.py tests/test_watcher.py``.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
from conftest import OURS, Command, execute, rows, wait_until
from psycopg2.extensions import make_dsn, parse_dsn

from exportd.embedded import embedded_server

KILLS = int(os.environ.get("TEST_KILLS", "25"))

slow = pytest.mark.skipif("TEST_SLOW" not in os.environ, reason="slow: set TEST_SLOW=1")


@pytest.fixture
def exports(exportd: Command) -> Path:
    return exportd.memory_dir / "exports"


def talk(*turns: str) -> str:
    return "\n".join(f"{'⏺' if n % 2 else '>'} {turn}\n" for n, turn in enumerate(turns))


def files_of(count: int) -> dict[str, str]:
    """Sessions of four growing exports each: names in order of time, and contents."""
    return {
        f"2025-01-{1 + n % 4:02}-EXPORT-S{n // 4}.txt": talk(
            *(f"turn {turn} of session {n // 4}" for turn in range(4 + 6 * (n % 4)))
        )
        for n in range(count)
    }


def messages(url: str) -> list[tuple[object, ...]]:
    return rows(
        url,
        "SELECT conversation_id, message_index, role, content FROM messages ORDER BY 1, 2",
    )


def counted(url: str) -> int:
    return int(rows(url, "SELECT count(*) FROM messages")[0][0])


def archived(exportd: Command) -> dict[str, str]:
    folder = exportd.memory_dir / "exports-archive"
    files = (path for path in folder.iterdir() if path.suffix != ".tmp")
    return {path.name: path.read_text() for path in files if path.name not in OURS}


def expected(files: dict[str, str]) -> list[tuple[object, ...]]:
    """What the longest export of each session says."""
    longest: dict[str, str] = {}
    for name, text in files.items():
        session = name.split("EXPORT-")[1].removesuffix(".txt").lower()
        longest[session] = max(text, longest.get(session, ""), key=len)
    return sorted(
        (session, n, "assistant" if n % 2 else "user", line[2:])
        for session, text in longest.items()
        for n, line in enumerate(text.split("\n")[::2])
        if line
    )


def assert_nothing_lost_or_doubled(exportd: Command, url: str, files: dict[str, str]) -> None:
    assert messages(url) == expected(files)
    assert archived(exportd) == files
    for folder in ("exports", "exports-failed", ".exportd/inflight"):
        assert list((exportd.memory_dir / folder).iterdir()) == []
    assert rows(
        url,
        "SELECT count(*) FROM exports WHERE state = 'ingested'"
        " AND EXISTS (SELECT FROM deduplication_log l WHERE l.export_id = exports.export_id)",
    ) == [(len(files),)]
    assert rows(url, "SELECT count(*) FROM deduplication_log") == [(len(files),)]
    dense = rows(
        url,
        "SELECT c.conversation_id FROM conversations c "
        "JOIN watermarks w USING (conversation_id) "
        "JOIN messages m USING (conversation_id) "
        "GROUP BY 1, total_messages, highest_index "
        "HAVING count(*) <> total_messages OR max(message_index) <> highest_index "
        "OR highest_index <> total_messages - 1",
    )
    assert dense == []


# -- life ---------------------------------------------------------------------------


def test_files_are_picked_up_while_the_daemon_runs(
    exportd: Command, exports: Path, database_url: str, tmp_path: Path
) -> None:
    (exports / "present.txt").write_text(talk("present at start", "yes"))
    with exportd.running():
        (exports / "dropped.txt").write_text(talk("dropped", "yes"))
        (tmp_path / "moved.txt").write_text(talk("moved in", "yes"))
        (tmp_path / "moved.txt").rename(exports / "moved.txt")
        (exports / "renamed.txt.tmp").write_text(talk("renamed", "yes"))
        (exports / "renamed.txt.tmp").rename(exports / "renamed.txt")
        (tmp_path / "batch").mkdir()
        (tmp_path / "batch" / "inside.txt").write_text(talk("in a folder", "yes"))
        (tmp_path / "batch").rename(exports / "batch")
        wait_until(lambda: counted(database_url) == 10)
        with (exports / "chunked.txt").open("w") as file:
            for n in range(4):
                file.write(f"> chunk {n}\n\n⏺ yes {n}\n\n")
                file.flush()
                time.sleep(0.3)
                assert counted(database_url) == 10
        wait_until(lambda: counted(database_url) == 18)
        session = exportd.memory_dir / "sessions" / "chunked.md"
        wait_until(lambda: session.exists() and "chunk 3" in session.read_text())
    assert len(archived(exportd)) == 6


def test_a_bad_file_does_not_stop_the_next_one(
    exportd: Command, exports: Path, database_url: str
) -> None:
    with exportd.running():
        os.mkfifo(exports / "a-pipe")
        (exports / "b.log").write_text("make: done\n")
        (exports / "c.txt").write_text(talk("after all that", "yes"))
        wait_until(lambda: counted(database_url) == 2)
        wait_until(lambda: len(list((exportd.memory_dir / "exports-failed").iterdir())) == 4)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_soon(
    exportd: Command, exports: Path, signum: signal.Signals
) -> None:
    with exportd.running() as process:
        started = time.monotonic()
        process.send_signal(signum)
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - started < 5


@slow
def test_a_signal_under_load_leaves_the_rest_for_the_next_start(
    exportd: Command, exports: Path, database_url: str
) -> None:
    files = files_of(200)
    for name, text in files.items():
        (exports / name).write_text(text)
    with exportd.running() as process:
        wait_until(lambda: counted(database_url) > 0)
        process.terminate()
        assert process.wait(timeout=20) == 0
    assert list((exportd.memory_dir / ".exportd/inflight").iterdir()) == []
    assert exportd("run", "--once").returncode == 0
    assert_nothing_lost_or_doubled(exportd, database_url, files)


def test_a_signal_while_the_database_is_down_is_heard(memory_dir: Path) -> None:
    exportd = Command(memory_dir, "postgresql://exportd@127.0.0.1:1/exportd")
    with exportd.running() as process:
        time.sleep(1)
        process.terminate()
        assert process.wait(timeout=20) == 0


# -- kills --------------------------------------------------------------------------


STEPS = {
    "the attempt is counted": "BEFORE INSERT ON exports",
    "the drop is noted": "BEFORE INSERT ON drops",
    "the conversation is made": "BEFORE INSERT ON conversations",
    "the messages are copied": "AFTER INSERT ON messages",
    "the export is finished": "BEFORE UPDATE OF state ON exports",
    "the drop has its fate": "AFTER UPDATE OF outcome ON drops",
    "the archiving is noted": "BEFORE UPDATE OF archive_name ON exports",
    "the telling is noted": "BEFORE UPDATE OF told_at ON drops",
    "the dead letter is noted": "BEFORE INSERT ON dead_letters",
}


@contextmanager
def held_up(url: str, where: str) -> Iterator[None]:
    """Statements ``where`` the trigger says hang, until the block ends."""
    execute(
        url,
        "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_sleep(600); RETURN NEW; END'",
    )
    execute(url, f"CREATE TRIGGER hang {where} FOR EACH STATEMENT EXECUTE FUNCTION hang()")
    try:
        yield
    finally:
        execute(url, END_CONNECTIONS)
        execute(url, "DROP FUNCTION hang CASCADE")


END_CONNECTIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
HANGS = (
    "SELECT 1 FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event = 'PgSleep'"
)


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_just_before_a_step_is_made_good_by_the_next_start(
    exportd: Command, exports: Path, database_url: str, step: str
) -> None:
    good, junk = talk("one", "two", "three"), "make: nothing to be done\n"
    (exports / "a.txt").write_text(good)
    if "dead letter" in step:
        (exports / "a.txt").write_text(junk)
    with held_up(database_url, STEPS[step]):
        process = subprocess.Popen(
            [sys.executable, "-m", "exportd", "run", "--once"],
            env=exportd.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: rows(database_url, HANGS))
        process.kill()
        process.wait()
    done = exportd("run", "--once")
    assert done.returncode == 0, done.stderr
    assert list(exports.iterdir()) == []
    assert list((exportd.memory_dir / ".exportd/inflight").iterdir()) == []
    if "dead letter" in step:
        failed = exportd.memory_dir / "exports-failed"
        assert sorted(path.name for path in failed.iterdir()) == ["a.txt", "a.txt.reason.txt"]
        assert (failed / "a.txt").read_text() == junk
        assert rows(database_url, "SELECT failed_name FROM dead_letters") == [("a.txt",)]
        assert rows(database_url, "SELECT count(*) FROM alerts WHERE severity <> 'info'") == [
            (1,)
        ]
        return
    assert [row[3] for row in messages(database_url)] == ["one", "two", "three"]
    assert archived(exportd) == {"a.txt": good}
    assert rows(database_url, "SELECT count(*) FROM deduplication_log") == [(1,)]
    assert (exportd.memory_dir / "sessions" / "a.md").exists()
    if "archiving" not in step:
        assert rows(database_url, "SELECT archive_name FROM exports") == [("a.txt",)]


def test_a_kill_after_archiving_does_not_leave_the_export_without_its_archive_name(
    exportd: Command, exports: Path, database_url: str
) -> None:
    test_a_kill_just_before_a_step_is_made_good_by_the_next_start(
        exportd, exports, database_url, "the archiving is noted"
    )
    assert rows(database_url, "SELECT archive_name FROM exports") == [("a.txt",)]


def test_kills_at_random_moments_lose_and_double_nothing(
    exportd: Command, exports: Path, database_url: str
) -> None:
    files = files_of(max(60, 3 * KILLS))
    seed = int(os.environ.get("TEST_SEED", random.randrange(2**32)))  # noqa: S311
    chance = random.Random(seed)  # noqa: S311
    names = list(files)
    chance.shuffle(names)
    environment = {
        **exportd.environment,
        "EXPORTD_MAX_ATTEMPTS": "100",
        "EXPORTD_SETTLE_TIME": "0.01",
    }
    for number in range(KILLS):
        for name in names[number::KILLS]:
            (exports / name).write_text(files[name])
        with subprocess.Popen(
            [sys.executable, "-m", "exportd", "run"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if '"service.started"' in line or chance.random() < 0.05:
                    break
            time.sleep(chance.uniform(0, 0.3))
            process.kill()
    # An ended process may have left a transaction that the server has yet to undo.
    execute(database_url, END_CONNECTIONS)
    done = exportd("run", "--once", EXPORTD_MAX_ATTEMPTS="100")
    assert done.returncode == 0, (seed, done.stderr)
    assert_nothing_lost_or_doubled(exportd, database_url, files)
    told = {path.stem for path in (exportd.memory_dir / "sessions").glob("*.md")}
    assert told == {row[0] for row in messages(database_url)}


def test_what_a_kill_left_half_written_is_tidied_away(exportd: Command, exports: Path) -> None:
    exportd("run", "--once")
    old = time.time() - 7 * 86_400
    half = [
        exportd.memory_dir / folder / f".{uuid.uuid4().hex}.tmp"
        for folder in ("sessions", "exports-archive", "exports-failed")
    ]
    for path in half:
        path.write_text("half")
        os.utime(path, (old, old))
    exportd("run", "--once")
    assert [path for path in half if path.exists()] == []


# -- the database goes away -----------------------------------------------------------


def test_a_database_that_comes_back_is_used_again_without_a_restart(
    exportd: Command, exports: Path, database_url: str, server_url: str
) -> None:
    name = parse_dsn(database_url)["dbname"]
    files = files_of(12)
    first, rest = list(files)[:4], list(files)[4:]
    with exportd.running() as process:
        for file in first:
            (exports / file).write_text(files[file])
        wait_until(lambda: len(archived(exportd)) == 4)
        execute(server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        execute(
            server_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            name,
        )
        for file in rest:
            (exports / file).write_text(files[file])
        time.sleep(1.5)
        assert sorted(path.name for path in exports.glob("[!.]*")) == sorted(rest)
        assert process.poll() is None
        execute(server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        wait_until(lambda: len(archived(exportd)) == 12, 40)
    assert_nothing_lost_or_doubled(exportd, database_url, files)
    assert rows(database_url, "SELECT max(attempts) FROM exports") == [(1,)]


@slow
def test_a_server_that_is_stopped_at_once_and_started_later_loses_nothing(
    tmp_path: Path,
) -> None:
    """A server of its own, killed under load with SIGKILL and started again."""
    memory, state = tmp_path / "MEMORY-CONTEXT", tmp_path / "server"
    (memory / "exports").mkdir(parents=True)
    state.mkdir()
    files = files_of(80)
    with embedded_server(state) as server:
        execute(server.url, "CREATE DATABASE exportd")
        url = make_dsn(server.url, dbname="exportd")
        exportd = Command(memory, url)
        with exportd.running():
            for name, text in files.items():
                (memory / "exports" / name).write_text(text)
            wait_until(lambda: any((memory / "exports-archive").iterdir()))
            pid = int((state / "postgres" / "postmaster.pid").read_text().split()[0])
            os.kill(pid, signal.SIGQUIT)  # immediate shutdown: recovery at the next start
            time.sleep(1.0)
            server.revive()
            wait_until(lambda: len(archived(exportd)) == 80, 60)
        assert_nothing_lost_or_doubled(exportd, url, files)


@slow
def test_connections_that_are_ended_at_random_lose_and_double_nothing(
    exportd: Command, exports: Path, database_url: str, server_url: str
) -> None:
    name = parse_dsn(database_url)["dbname"]
    files = files_of(60)
    stop = threading.Event()

    def cut() -> None:
        while not stop.wait(0.07):
            execute(
                server_url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = %s AND application_name = 'exportd'",
                name,
            )

    cutting = threading.Thread(target=cut)
    with exportd.running():
        cutting.start()
        for file, text in files.items():
            (exports / file).write_text(text)
        time.sleep(3)
        stop.set()
        cutting.join()
        wait_until(lambda: len(archived(exportd)) == 60, 60)
        wait_until(lambda: not any((exportd.memory_dir / ".exportd/inflight").iterdir()))
    assert_nothing_lost_or_doubled(exportd, database_url, files)


# -- one file that cannot go on ---------------------------------------------------------


def test_a_file_that_only_itself_is_in_trouble_does_not_hold_up_the_others(
    exportd: Command, exports: Path, database_url: str
) -> None:
    """The first can be no dead letter, for the folder for them is gone; the second is fine."""
    failed = exportd.memory_dir / "exports-failed"
    with exportd.running():
        failed.rmdir()
        failed.touch()
        (exports / "a.log").write_text("make: done\n")
        wait_until(lambda: not (exports / "a.log").exists())
        (exports / "b.txt").write_text(talk("next please", "yes"))
        try:
            wait_until(lambda: counted(database_url) == 2, 3)
        finally:
            failed.unlink()


@slow
def test_a_file_that_cannot_be_claimed_is_tried_ever_more_seldom(
    exportd: Command, exports: Path
) -> None:
    """A file system that is mounted inside the drop folder: no rename leads out of it."""
    (exports / "mounted").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(exports / "mounted")]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount")
    try:
        (exports / "mounted" / "a.txt").write_text(talk("stuck", "yes"))
        with exportd.running():
            time.sleep(5)
        logs = exportd.memory_dir.parent.glob("daemon-*.log")
        tries = "".join(log.read_text() for log in logs).count('"deferred"')
    finally:
        subprocess.run(["umount", exports / "mounted"], check=True)
    assert 1 <= tries <= 6


@slow
def test_a_lock_that_another_holds_does_not_make_it_deaf_to_sigterm(
    exportd: Command, exports: Path, database_url: str
) -> None:
    """Someone left a transaction open in psql; systemd would kill after its timeout."""
    (exports / "a.txt").write_text(talk("one", "two", "three", "four"))
    assert exportd("run", "--once").returncode == 0
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM conversations FOR UPDATE")
        with exportd.running() as process:
            (exports / "a.txt").write_text(talk("one", "two", "three", "four", "five"))
            wait_until(lambda: any((exportd.memory_dir / ".exportd/inflight").iterdir()))
            time.sleep(0.5)
            process.terminate()
            try:
                assert process.wait(timeout=20) == 0
            finally:
                connection.rollback()
