"""The store on a real server: connections die, plans go stale, nothing is half stored."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from conftest import SAMPLES, Command, execute, rows
from psycopg2.extensions import make_dsn

from exportd.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    PermanentError,
    TransientError,
)
from exportd.models import Fate
from exportd.store import Drop, Store, Transaction, connection_variables, prepare_staging
from exportd.store.queries import _all

# Statements that PostgreSQL cannot explain; they are run for real below.
UTILITY = {
    "analyze", "begin_part", "check_indices", "clear_search", "clear_stored", "copy_messages",
    "create_application_role", "create_staging", "defer_indices", "discard_staging",
    "end_part", "grant_application", "lock_stored", "lookup_snapshot", "owner_role",
    "rewrite_purged",
    "sign_staging", "snapshot", "undo_part", "unmark_restoring", "vacuum_purged",
}  # fmt: skip


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    made = Store(database_url)
    yield made
    made.close()


def drop(sha256: str = "ab" * 32, name: str = "a.txt") -> Drop:
    return Drop(uuid.uuid4(), name, "/memory", sha256=sha256, size_bytes=3)


def end_connections(url: str) -> int:
    """Terminate every connection of exportd to this database; how many there were."""
    return len(
        rows(
            url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'exportd'",
        )
    )


class _Null(dict[str, None]):
    def __missing__(self, key: str) -> None:
        return None


def test_every_named_query_is_understood_by_the_server(store: Store, database_url: str) -> None:
    prepare_staging(database_url, "test")
    execute(database_url, "CREATE TABLE exportd_restoring (backup TEXT)")  # of a restore

    def explain(name: str) -> str:
        def work(tx: Transaction) -> None:
            tx.as_owner()
            tx._cursor.execute("EXPLAIN " + _all()[name], _Null())

        try:
            store.run(work)
        except Exception as error:
            return repr(error.__cause__ or error)
        return ""

    made = {*UTILITY, "mark_restoring"}
    wrong = {name: why for name in _all() if name not in made and (why := explain(name))}
    assert wrong == {}


def test_the_statements_that_cannot_be_explained_run(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.execute("defer_indices")
        tx.execute("check_indices")
        tx.copy("copy_messages", [])

    store.run(work)
    store.run(lambda tx: tx.execute("snapshot"))


def test_a_connection_lost_in_a_transaction_leaves_nothing_of_it(
    store: Store, database_url: str
) -> None:
    def work(tx: Transaction) -> None:
        tx.execute("ensure_conversation", conversation_id="half", metadata=None)
        assert end_connections(database_url) == 1
        tx.execute("ensure_conversation", conversation_id="other half", metadata=None)

    with pytest.raises(DatabaseUnavailable, match=r"terminating|server closed"):
        store.run(work)
    store.ping()
    assert rows(database_url, "SELECT * FROM conversations") == []


def test_a_connection_lost_between_two_calls_costs_one_call(
    store: Store, database_url: str
) -> None:
    store.ping()
    end_connections(database_url)
    with pytest.raises(DatabaseUnavailable):
        store.ping()
    store.ping()


def test_a_server_that_is_not_there_is_unavailable_and_told_in_one_line() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        Store("postgresql://exportd@127.0.0.1:1/exportd").ping()
    assert "refused" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_that_is_not_there_is_unavailable(database_url: str) -> None:
    with pytest.raises(TransientError, match="does not exist"):
        Store(make_dsn(database_url, dbname="no_such_database")).ping()


def test_a_database_without_the_schema_says_what_to_run(empty_database_url: str) -> None:
    store = Store(empty_database_url)
    with pytest.raises(ConfigurationError, match="exportd migrate"):
        store.total_messages()
    store.close()


def test_a_stale_plan_is_done_again_from_its_beginning(store: Store, database_url: str) -> None:
    tries: list[int] = []

    def work(tx: Transaction) -> None:
        tries.append(len(tries))
        tx.execute("ensure_conversation", conversation_id=f"try {len(tries)}", metadata=None)
        if len(tries) < 3:
            tx.copy("copy_messages", [_message("try 1", 0), _message("try 1", 0)])

    store.run(work)
    assert len(tries) == 3
    assert rows(database_url, "SELECT conversation_id FROM conversations") == [("try 3",)]


def test_a_plan_that_is_stale_for_ever_is_given_up_and_deferred(
    store: Store, database_url: str
) -> None:
    tries: list[int] = []

    def work(tx: Transaction) -> None:
        tries.append(len(tries))
        tx.execute("ensure_conversation", conversation_id="x", metadata=None)
        tx.copy("copy_messages", [_message("x", 0), _message("x", 0)])

    with pytest.raises(TransientError, match="another worker"):
        store.run(work)
    assert 3 <= len(tries) <= 20
    assert rows(database_url, "SELECT * FROM conversations") == []
    store.ping()


def test_two_that_lock_each_other_out_both_finish(database_url: str) -> None:
    for name in ("a", "b"):
        execute(database_url, "INSERT INTO conversations (conversation_id) VALUES (%s)", name)
    meet = threading.Barrier(2)
    done: list[str] = []

    def change(first: str, second: str) -> None:
        tries: list[int] = []

        def work(tx: Transaction) -> None:
            tries.append(1)
            for name in (first, second):
                tx.execute("describe_conversation", conversation_id=name, metadata="{}")
                if len(tries) == 1 and name == first:
                    meet.wait(10)

        store = Store(database_url)
        store.run(work)
        store.close()
        done.append(first)

    threads = [threading.Thread(target=change, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(done) == ["a", "b"]


def test_what_the_server_can_never_hold_is_the_content_s_fault(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.execute("ensure_conversation", conversation_id="x" * 256, metadata=None)

    with pytest.raises(PermanentError, match="PostgreSQL cannot hold this export"):
        store.run(work)
    store.ping()


def test_every_attempt_is_counted_until_the_content_is_stored(
    store: Store, database_url: str
) -> None:
    one = drop()
    assert [store.begin(one).attempts for _ in range(3)] == [1, 2, 3]
    store.refund_attempt(store.begin(one).export_id)
    assert store.begin(one).attempts == 4
    execute(database_url, "UPDATE exports SET state = 'ingested'")
    assert [store.begin(one).attempts for _ in range(2)] == [4, 4]
    assert rows(database_url, "SELECT count(*) FROM drops") == [(1,)]


def test_the_same_content_dropped_twice_is_one_export_and_two_drops(
    store: Store, database_url: str
) -> None:
    first, second = store.begin(drop(name="a.txt")), store.begin(drop(name="b.txt"))
    assert first.export_id == second.export_id
    assert second.first_name == "a.txt"
    assert rows(database_url, "SELECT original_name FROM drops ORDER BY drop_id") == [
        ("a.txt",),
        ("b.txt",),
    ]


def test_an_outcome_is_found_by_the_same_drop_and_by_no_other(store: Store) -> None:
    one = drop()
    store.begin(one)
    store.run(
        lambda tx: tx.execute("finish_drop", claim_id=one.claim_id, outcome=Fate.INGESTED.value)
    )
    assert store.begin(one).outcome is Fate.INGESTED
    assert store.begin(replace(one, claim_id=uuid.uuid4())).outcome is None


def test_a_dead_letter_and_its_alert_are_told_once_however_often_it_is_tried(
    store: Store, database_url: str
) -> None:
    unreadable = drop(sha256="")
    for _ in range(2):
        store.add_dead_letter(unreadable, None, "a.txt", "it is a pipe", "UnreadableFile")
    assert store.dead_letter_reason(unreadable.claim_id) == "it is a pipe"
    assert rows(database_url, "SELECT outcome FROM drops") == [("dead_letter",)]
    assert rows(database_url, "SELECT count(*) FROM dead_letters") == [(1,)]
    assert rows(database_url, "SELECT count(*) FROM alerts") == [(1,)]


def test_a_dead_letter_dropped_again_has_all_its_attempts(store: Store) -> None:
    one = drop()
    attempts = [store.begin(one) for _ in range(4)]
    store.add_dead_letter(one, attempts[0].export_id, "a.txt", "broken", "MalformedExport")
    again = store.begin(drop())
    assert (again.state, again.attempts, again.outcome) == ("dead_letter", 1, None)


TEXTS = [
    r"\.",
    r"\N",
    "\\",
    "tab\tnewline\nreturn\rboth\r\n",
    "\\t\\n\\r\\x41\\101",
    "",
    "\x01\x08\x0b\x7f\x85\u2028\u2029\ufeff\uffff",
    "😀 e\u0301 ﷽",
    "'; DROP TABLE messages; --",
    "%(name)s %s {} ${x}",
]


def test_every_text_comes_back_as_it_went_in(store: Store, database_url: str) -> None:
    def work(tx: Transaction) -> None:
        tx.execute("ensure_conversation", conversation_id="x", metadata=None)
        tx.copy("copy_messages", [_message("x", n, text) for n, text in enumerate(TEXTS)])

    store.run(work)
    stored = rows(database_url, "SELECT content FROM messages ORDER BY message_index")
    assert [text for (text,) in stored] == TEXTS


def test_a_url_becomes_variables_so_that_no_password_stands_in_arguments() -> None:
    found = connection_variables("postgresql://me:S3CRET@db:5433/x?sslmode=require")
    assert (
        found.items()
        >= {
            "PGUSER": "me",
            "PGPASSWORD": "S3CRET",
            "PGHOST": "db",
            "PGPORT": "5433",
            "PGDATABASE": "x",
            "PGSSLMODE": "require",
            "PGCONNECT_TIMEOUT": "10",
        }.items()
    )


def _message(conversation_id: str, index: int, text: str = "hi") -> tuple[Any, ...]:
    """A row of copy_messages."""
    facts = (conversation_id, index, "ab" * 32, "user", text, "{}", 1, "prompt")
    return (*facts, None, None, None, False)


def test_a_recent_drop_tells_what_lies_in_its_container(exportd: Command) -> None:
    """A second account export brings what it has more than the first one."""
    exports = exportd.memory_dir / "exports"
    first = [json.loads((SAMPLES / "claude-ai.json").read_text())]
    other = json.loads((SAMPLES / "claude-ai.json").read_text())
    other["uuid"] = "0e0e0e0e-0000-4000-8000-000000000009"
    (exports / "1.json").write_text(json.dumps(first))
    assert exportd("run", "--once").returncode == 0
    (exports / "2.json").write_text(json.dumps([*first, other]))
    (exports / "3.json").write_text(json.dumps(first))
    assert exportd("run", "--once").returncode == 0
    with closing(Store(exportd.environment["EXPORTD_DATABASE_URL"])) as store:
        found = store.recent_drops(str(exportd.memory_dir), 10)
    count = found[-1].messages
    assert count == 10
    assert sorted((one.name, one.messages, one.new) for one in found) == [
        ("1.json", count, count), ("2.json", 2 * count, count), ("3.json", count, 0),
    ]  # fmt: skip
