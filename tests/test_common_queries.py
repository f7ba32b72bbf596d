"""The eight common queries of the specification, unchanged, give right answers."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from conftest import Command, rows

EXPORTS = {
    "2025-01-01-EXPORT-ROLLOUT-MASTER.txt": 20,
    "2025-01-02-EXPORT-ROLLOUT-MASTER.txt": 30,
}


def turn(n: int) -> str:
    if n == 7:
        return "How does deduplication save storage?"
    return f"{'answer' if n % 2 else 'question'} number {n} of the rollout"


def export(count: int) -> str:
    return "\n".join(f"{'⏺' if n % 2 else '>'} {turn(n)}\n" for n in range(count))


@pytest.fixture
def url(exportd: Command, database_url: str) -> str:
    """A database with 30 messages of ``rollout-master``, seen in two exports."""
    for name, count in EXPORTS.items():
        (exportd.memory_dir / "exports" / name).write_text(export(count))
        assert exportd("run", "--once").returncode == 0
    return database_url


WATERMARK = """
SELECT highest_index
FROM watermarks
WHERE conversation_id = 'rollout-master';
"""

ALL_MESSAGES = """
SELECT message_index, role, content, created_at
FROM messages
WHERE conversation_id = 'rollout-master'
ORDER BY message_index ASC;
"""

INDEX_EXISTS = """
SELECT EXISTS (
    SELECT 1 FROM messages
    WHERE conversation_id = 'rollout-master'
      AND message_index = 25
);
"""

HASH_EXISTS = """
SELECT EXISTS (
    SELECT 1 FROM messages
    WHERE conversation_id = 'rollout-master'
      AND content_hash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
);
"""

STATISTICS = """
SELECT
    conversation_id,
    SUM(messages_processed) as total_processed,
    SUM(duplicates_filtered) as total_duplicates,
    AVG(storage_savings_pct) as avg_savings_pct,
    AVG(processing_time_ms) as avg_processing_time_ms
FROM deduplication_log
GROUP BY conversation_id;
"""

LATEST_MESSAGES = """
SELECT message_index, role, content, created_at
FROM messages
WHERE conversation_id = 'rollout-master'
ORDER BY message_index DESC
LIMIT 10;
"""

FULL_TEXT = """
SELECT message_index, role, content
FROM messages
WHERE conversation_id = 'rollout-master'
  AND to_tsvector('english', content) @@ to_tsquery('english', 'deduplication & storage');
"""

SUMMARY = """
SELECT
    c.conversation_id,
    c.total_messages,
    c.created_at,
    c.last_updated,
    w.highest_index,
    (SELECT COUNT(*) FROM deduplication_log WHERE conversation_id = c.conversation_id) as export_count
FROM conversations c
LEFT JOIN watermarks w ON c.conversation_id = w.conversation_id
WHERE c.conversation_id = 'rollout-master';
"""  # noqa: E501


def test_the_eight_common_queries_run_unchanged_and_are_right(url: str) -> None:
    assert rows(url, WATERMARK) == [(29,)]

    messages = rows(url, ALL_MESSAGES)
    roles = ["user", "assistant"]
    assert [row[:3] for row in messages] == [(n, roles[n % 2], turn(n)) for n in range(30)]
    now = datetime.now(UTC)
    assert all(abs((now - created_at).total_seconds()) < 600 for *_, created_at in messages)

    assert rows(url, INDEX_EXISTS) == [(True,)]
    assert rows(url, INDEX_EXISTS.replace("25", "30")) == [(False,)]

    assert rows(url, HASH_EXISTS) == [(False,)]
    bare = "".join(turn(7).split())
    known = hashlib.sha256(f"assistant\0{bare}".encode()).hexdigest()
    empty = hashlib.sha256(b"").hexdigest()
    assert rows(url, HASH_EXISTS.replace(empty, known)) == [(True,)]

    ((conversation_id, processed, duplicates, savings_pct, time_ms),) = rows(url, STATISTICS)
    assert (conversation_id, processed, duplicates) == ("rollout-master", 50, 20)
    assert Decimal(30) < savings_pct < Decimal(35)  # of 0 % and about two thirds
    assert time_ms >= 0

    assert rows(url, LATEST_MESSAGES) == messages[:-11:-1]

    assert rows(url, FULL_TEXT) == [(7, "assistant", turn(7))]

    ((conversation_id, total, created_at, last_updated, highest, exports),) = rows(url, SUMMARY)
    assert (conversation_id, total, highest, exports) == ("rollout-master", 30, 29, 2)
    assert created_at < last_updated
