"""The schema comes, goes and comes again; daemons that start together take turns."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import pytest
from conftest import Command, execute, rows, wait_until
from psycopg2.extensions import make_dsn

from exportd.errors import ConfigurationError, DatabaseUnavailable
from exportd.store import migrate, pending, rollback

ALL = [
    "0001.schema",
    "0002.overrides",
    "0003.application-role",
    "0004.outbox",
    "0005.silences",
    "0006.members",
    "0007.times",
    "0008.search",
    "0009.purges",
    "0011.comments",
    "0012.dead-letters",
    "0014.growth",
    "0015.search-index",
    "0016.content-hash",
]

TABLES = {
    "alerts", "anomalies", "conversation_aliases", "conversations", "dead_letters",
    "deduplication_log", "drops", "export_segments", "exports", "message_renderings",
    "message_search", "messages", "overrides", "search_queue", "segments", "watermarks",
}  # fmt: skip

# What the specification names, and what people's own queries rely on.
SPECIFIED = {
    "conversations": "conversation_id created_at last_updated total_messages metadata",
    "messages": "message_id conversation_id message_index content_hash role content "
    "created_at metadata",
    "watermarks": "conversation_id highest_index last_updated",
    "deduplication_log": "log_id conversation_id operation messages_processed "
    "duplicates_filtered storage_savings_pct processing_time_ms created_at metadata",
}


@pytest.fixture
def memory_command(memory_dir: Path, empty_database_url: str) -> Command:
    return Command(memory_dir, empty_database_url)


def tables(url: str) -> set[str]:
    """Tables, views and sequences; yoyo's own bookkeeping stays."""
    found = rows(
        url,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND relkind IN ('r', 'v', 'm', 'S', 'p')",
    )
    return {name for (name,) in found if "yoyo" not in name}


def leftovers(url: str) -> list[tuple[object, ...]]:
    """Functions, types, triggers and parts of the search that a rollback forgot."""
    return rows(
        url,
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
        "UNION SELECT tgname FROM pg_trigger WHERE NOT tgisinternal "
        "UNION SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace "
        "AND typrelid = 0 AND typelem = 0 AND typname NOT LIKE '%%yoyo%%' "
        "UNION SELECT cfgname FROM pg_ts_config WHERE cfgnamespace = 'public'::regnamespace "
        "UNION SELECT dictname FROM pg_ts_dict WHERE dictnamespace = 'public'::regnamespace",
    )


def test_a_new_database_gets_the_whole_schema_once(empty_database_url: str) -> None:
    assert pending(empty_database_url) == ALL
    assert migrate(empty_database_url) == ALL
    assert tables(empty_database_url) >= TABLES
    assert migrate(empty_database_url) == []
    assert pending(empty_database_url) == []


def test_the_schema_rolls_back_to_nothing_and_comes_again(empty_database_url: str) -> None:
    migrate(empty_database_url)
    assert sorted(rollback(empty_database_url)) == ALL
    assert tables(empty_database_url) == set()
    assert leftovers(empty_database_url) == []
    assert migrate(empty_database_url) == ALL
    assert tables(empty_database_url) >= TABLES


def test_a_rollback_takes_stored_messages_with_it(empty_database_url: str) -> None:
    migrate(empty_database_url)
    execute(empty_database_url, "INSERT INTO conversations (conversation_id) VALUES ('x')")
    rollback(empty_database_url)
    migrate(empty_database_url)
    assert rows(empty_database_url, "SELECT * FROM conversations") == []


def test_specified_tables_have_the_specified_columns(database_url: str) -> None:
    for table, columns in SPECIFIED.items():
        found = rows(
            database_url,
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s",
            table,
        )
        assert {name for (name,) in found} >= set(columns.split()), table


def test_every_time_has_a_zone(database_url: str) -> None:
    assert not rows(
        database_url,
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name NOT LIKE '%%yoyo%%' "
        "AND data_type = 'timestamp without time zone'",
    )


def test_four_daemons_that_start_together_migrate_once(empty_database_url: str) -> None:
    start = threading.Barrier(4)
    applied: list[list[str]] = []

    def begin() -> None:
        start.wait()
        applied.append(migrate(empty_database_url))

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(applied) == [[], [], [], ALL]


def test_a_daemon_that_is_there_before_its_database_sets_it_up(
    memory_dir: Path, server_url: str
) -> None:
    """Compose, a reboot: nobody promises which of two comes first."""
    name = f"exportd_{uuid.uuid4().hex[:12]}"
    url = make_dsn(server_url, dbname=name)
    with Command(memory_dir, url).running():
        log = next(memory_dir.parent.glob("daemon-*.log"))
        wait_until(lambda: "does not exist" in log.read_text())
        execute(server_url, f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        wait_until(lambda: "service.ready" in log.read_text())
    assert pending(url) == []
    execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def test_the_lock_of_a_killed_migration_is_broken(empty_database_url: str) -> None:
    pending(empty_database_url)  # makes yoyo's tables
    execute(
        empty_database_url,
        "INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 99999)",
    )
    assert migrate(empty_database_url) == ALL


def test_a_database_in_another_encoding_is_refused_with_a_remedy(server_url: str) -> None:
    name = f"exportd_{uuid.uuid4().hex[:12]}"
    execute(
        server_url,
        f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' "
        "TEMPLATE template0",
    )
    try:
        with pytest.raises(ConfigurationError, match="CREATE DATABASE exportd ENCODING 'UTF8'"):
            migrate(make_dsn(server_url, dbname=name))
    finally:
        execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def test_a_read_only_database_is_unavailable_and_not_wrong(
    server_url: str, empty_database_url: str
) -> None:
    name = rows(empty_database_url, "SELECT current_database()")[0][0]
    execute(server_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        migrate(empty_database_url)


def test_the_command_names_what_is_missing_applies_it_and_says_when_there_is_nothing(
    memory_command: Command,
) -> None:
    outputs = [memory_command("migrate", *more).stdout for more in (["--pending"], [], [])]
    assert outputs == [
        "".join(f"missing: {name}\n" for name in ALL),
        "".join(f"applied: {name}\n" for name in ALL),
        "The schema is up to date.\n",
    ]


def test_with_auto_migrate_off_a_missing_schema_is_a_setting_to_correct(
    memory_command: Command,
) -> None:
    waiting = memory_command.memory_dir / "exports" / "a.txt"
    waiting.write_text("> hi\n\n⏺ Hello\n")
    done = memory_command("run", "--once", EXPORTD_DATABASE_AUTO_MIGRATE="false")
    assert done.returncode == 78
    assert "0001.schema" in done.stderr
    assert "exportd migrate" in done.stderr
    assert waiting.exists()
