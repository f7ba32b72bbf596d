"""What is stored cannot be deleted by the daemon's own connection (least privilege)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Command, execute, rows
from psycopg2.extensions import make_dsn

from exportd.errors import ExportdError
from exportd.store import Store, migrate, prepare_staging, rollback, staging_url, swap

TALK = "> one\n\n⏺ two\n"
FORBIDDEN = (
    "DELETE FROM messages",
    "TRUNCATE messages CASCADE",
    "DROP TABLE messages CASCADE",
    "ALTER TABLE messages DISABLE TRIGGER ALL",
    "DELETE FROM exports",
    "DELETE FROM drops",
    "DELETE FROM deduplication_log",
    "DELETE FROM overrides",
    "DROP SCHEMA public CASCADE",
    "CREATE TABLE mine (id int)",
)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with closing(Store(database_url)) as store:
        yield store


def say(store: Store, sql: str) -> None:
    store.run(lambda tx: tx._cursor.execute(sql))


def refused(store: Store, sql: str) -> bool:
    """Whether the server refuses it for want of the right; nothing else counts."""
    try:
        say(store, sql)
    except ExportdError as error:
        return "permission denied" in str(error) or "must be owner" in str(error)
    return False


@pytest.fixture
def user(server_url: str, empty_database_url: str) -> Iterator[str]:
    """A user that owns an empty database, and may do nothing else; the URL."""
    name = f"owner_{uuid.uuid4().hex[:8]}"
    database = rows(empty_database_url, "SELECT current_database()")[0][0]
    execute(server_url, f"CREATE ROLE {name} LOGIN")
    execute(server_url, f"ALTER DATABASE {database} OWNER TO {name}")
    execute(empty_database_url, f"ALTER SCHEMA public OWNER TO {name}")
    try:
        yield make_dsn(empty_database_url, user=name)
    finally:
        for statement in ("REASSIGN OWNED BY {} TO CURRENT_USER", "DROP OWNED BY {}"):
            execute(empty_database_url, statement.format(name))
        execute(server_url, f"ALTER DATABASE {database} OWNER TO CURRENT_USER")
        execute(server_url, f"DROP ROLE {name}")


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_the_daemons_connection_cannot_take_away_what_is_stored(store: Store, sql: str) -> None:
    assert refused(store, sql)


def test_neither_can_it_after_it_was_lost_or_something_was_done_as_the_owner(
    store: Store, database_url: str
) -> None:
    assert store.is_guarded()
    execute(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'exportd'",
    )
    with pytest.raises(ExportdError):
        store.total_messages()
    assert store.is_guarded()
    prepare_staging(database_url, "test")
    with closing(Store(staging_url(database_url))) as staging:
        assert refused(staging, "DELETE FROM messages")
    store.run(swap)
    assert store.is_guarded()
    store.run(lambda tx: tx.as_owner())
    assert refused(store, "DELETE FROM messages")


def test_the_role_reaches_every_table(store: Store, database_url: str) -> None:
    tables = rows(
        database_url,
        "SELECT table_name FROM information_schema.tables "
        "WHERE table_schema = 'public' AND table_name NOT LIKE '%%yoyo%%'",
    )
    for (name,) in tables:
        say(store, f"SELECT 1 FROM {name} LIMIT 1")  # noqa: S608
    columns = rows(
        database_url,
        "SELECT pg_get_serial_sequence(table_name, column_name) "
        "FROM information_schema.columns WHERE table_schema = 'public' "
        "AND column_default LIKE 'nextval%%' AND table_name NOT LIKE '%%yoyo%%'",
    )
    assert len(columns) >= 9
    for (sequence,) in columns:
        say(store, f"SELECT nextval('{sequence}')")


def test_tables_in_a_schema_of_the_users_own_name_are_found_as_the_role(user: str) -> None:
    name = rows(user, "SELECT CURRENT_USER")[0][0]
    execute(user, f"CREATE SCHEMA {name}")
    with_role(user)
    migrate(user)
    assert rows(user, "SELECT schemaname FROM pg_tables WHERE tablename = 'messages'") == [
        (name,)
    ]
    with closing(Store(user)) as store:
        assert store.total_messages() == 0
        assert refused(store, "DELETE FROM messages")


def with_role(user: str) -> None:
    """What docs/how-to/server.md tells the administrator of a server to say."""
    administrator = make_dsn(user, user=_administrator(user))
    name = rows(user, "SELECT CURRENT_USER")[0][0]
    if not rows(user, "SELECT 1 FROM pg_roles WHERE rolname = 'exportd_app'"):
        execute(administrator, "CREATE ROLE exportd_app NOLOGIN")
    execute(administrator, f"GRANT exportd_app TO {name}")


def _administrator(url: str) -> str:
    return str(rows(url, "SELECT rolname FROM pg_roles WHERE oid = 10")[0][0])


def test_a_user_that_may_not_create_roles_works_unguarded_and_says_so_until_there_is_one(
    memory_dir: Path, user: str
) -> None:
    exportd = Command(memory_dir, user)
    (memory_dir / "exports" / "a.txt").write_text(TALK)
    done = exportd("run", "--once")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count('"store.unguarded"') == 1
    assert rows(user, "SELECT count(*) FROM messages") == [(2,)]
    with_role(user)
    (memory_dir / "exports" / "b.txt").write_text(TALK + "\n> three\n")
    done = exportd("run", "--once")
    assert done.returncode == 0, done.stderr
    assert "store.unguarded" not in done.stderr
    assert rows(user, "SELECT count(*) FROM messages") == [(3,)]
    assert exportd("reindex").returncode == 0
    assert rows(user, "SELECT count(*) FROM messages") == [(3,)]
    with closing(Store(user)) as store:
        assert refused(store, "DELETE FROM messages")


def test_a_daemon_may_run_as_a_user_with_no_more_rights_than_the_role(
    memory_dir: Path, database_url: str, server_url: str
) -> None:
    name = f"daemon_{uuid.uuid4().hex[:8]}"
    execute(server_url, f"CREATE ROLE {name} LOGIN IN ROLE exportd_app")
    try:
        exportd = Command(memory_dir, make_dsn(database_url, user=name))
        (memory_dir / "exports" / "a.txt").write_text(TALK)
        done = exportd("run", "--once", EXPORTD_DATABASE_AUTO_MIGRATE="false")
        assert done.returncode == 0, done.stderr
        assert "store.unguarded" not in done.stderr
        assert rows(database_url, "SELECT count(*) FROM messages") == [(2,)]
        done = exportd("reindex", EXPORTD_DATABASE_AUTO_MIGRATE="false")
        assert done.returncode == 78
        assert "role that owns" in done.stderr
    finally:
        execute(server_url, f"DROP ROLE {name}")


def test_a_rollback_leaves_the_role_to_other_databases_that_use_it(
    database_url: str, empty_database_url: str
) -> None:
    migrate(empty_database_url)
    rollback(empty_database_url)
    migrate(empty_database_url)
    with closing(Store(empty_database_url)) as store:
        assert store.is_guarded()
    rollback(empty_database_url)
    with closing(Store(database_url)) as store:
        assert store.is_guarded()
