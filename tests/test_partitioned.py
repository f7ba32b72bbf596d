"""exportd works on messages that are partitioned by conversation."""

from __future__ import annotations

import re
from pathlib import Path

from conftest import Command, execute, rows

from exportd.store.queries import _all

SQL = Path(__file__).parents[1] / "docs" / "how-to" / "samples" / "partition-messages.sql"
TALK = "> What about the oven?\n\n⏺ It is hot: 230 degrees.\n\n"
LATER = TALK + "> And the flour?\n\n⏺ Rye, from the shelf.\n\n"


def take(exportd: Command, **texts: str) -> None:
    for name, text in texts.items():
        (exportd.memory_dir / "exports" / f"2026-01-05-EXPORT-{name}.txt").write_text(text)
    done = exportd("run", "--once")
    assert done.returncode == 0, done.stderr


def test_what_is_stored_and_what_comes_is_the_same_in_partitions(
    exportd: Command, database_url: str
) -> None:
    take(exportd, A=TALK, B=TALK.replace("oven", "tray"))
    before = exportd("export", "--all", "--format", "jsonl").stdout
    execute(database_url, SQL.read_text())
    assert rows(
        database_url, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'messages'::regclass"
    ) == [(16,)]
    assert exportd("export", "--all", "--format", "jsonl").stdout == before
    take(exportd, A=LATER, C=LATER.replace("oven", "dough"))
    renamed = exportd("sessions", "rename", "a", "another")
    assert renamed.returncode == 0, renamed.stderr
    assert exportd("verify", "--deep").returncode == 0
    assert "another" in exportd("search", "flour oven OR rye").stdout
    dumped = exportd("export", "--all", "--format", "jsonl").stdout
    assert exportd("reindex").returncode == 0
    assert exportd("export", "--all", "--format", "jsonl").stdout == dumped
    found = "SELECT count(*), (SELECT count(*) FROM message_search) FROM messages"
    assert rows(database_url, found) == [(10, 10)]


def test_what_is_deleted_is_no_longer_found_in_partitions(
    exportd: Command, database_url: str
) -> None:
    execute(database_url, SQL.read_text())
    take(exportd, A=LATER)
    execute(database_url, "DELETE FROM messages WHERE message_index = 3")
    left = rows(database_url, "SELECT count(*) FROM message_search")
    assert left == [(3,)]


def test_statements_on_messages_name_their_conversation_or_stand_in_the_page() -> None:
    of_messages = re.compile(r"\b(FROM|JOIN|UPDATE|INTO|COPY)\s+messages\b")
    without = {
        name
        for name, statement in _all().items()
        if of_messages.search(statement) and "conversation_id" not in statement
    }
    page = (SQL.parents[1] / "partition.md").read_text()
    table = page.split("| statement | why |")[1]
    assert set(re.findall(r"`(\w+)`", table)) - {"message_id"} == without
