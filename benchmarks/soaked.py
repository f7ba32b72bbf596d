"""What a soak left behind, against what was dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import zip_longest
from pathlib import Path

import psycopg2

from .writers import Truth

_MESSAGES = "SELECT conversation_id, content FROM messages ORDER BY 1, message_index"
_NOT_DONE = """
SELECT 'a drop without a fate' FROM drops WHERE outcome IS NULL
UNION ALL SELECT 'an export that is not ingested' FROM exports WHERE state <> 'ingested'
UNION ALL SELECT 'an export without its archived name' FROM exports WHERE archive_name IS NULL
UNION ALL SELECT 'a dead letter: ' || reason FROM dead_letters
"""


def differences(memory: Path, url: str, truth: Truth) -> list[str]:
    """A line for everything that is lost, doubled or left over; names and counts, no text."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(_MESSAGES)
        stored: dict[str, list[str]] = {}
        for conversation_id, content in cursor:
            stored.setdefault(conversation_id, []).append(content)
        cursor.execute(_NOT_DONE)
        not_done = [line for (line,) in cursor]
    return [
        *_in_messages(stored, truth.sessions),
        *_in_archive(memory / "exports-archive", truth.contents),
        *not_done,
        *(f"left over: {path.relative_to(memory)}" for path in _left_over(memory)),
    ]


def _in_messages(stored: dict[str, list[str]], said: dict[str, list[str]]) -> Iterator[str]:
    for session in sorted(stored.keys() | said.keys()):
        found, expected = stored.get(session, []), said.get(session, [])
        if found == expected:
            continue
        pairs = enumerate(zip_longest(found, expected))
        first = next(n for n, (one, other) in pairs if one != other)
        yield (
            f"{session}: {len(found)} messages stored, {len(expected)} dropped; they differ "
            f"from message {first} on"
        )


def _in_archive(archive: Path, contents: set[str]) -> Iterator[str]:
    ours = ("manifest.jsonl", ".exportd-archive")
    archived = Counter(path.read_text() for path in archive.iterdir() if path.name not in ours)
    if lost := contents - archived.keys():
        yield f"{len(lost)} contents are not archived"
    if foreign := archived.keys() - contents:
        yield f"{len(foreign)} archived files were never dropped"
    if doubled := [text for text, count in archived.items() if count > 1]:
        yield f"{len(doubled)} contents are archived more than once"


def _left_over(memory: Path) -> Iterator[Path]:
    for path in (memory / "exports").rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            yield path
    yield from (memory / ".exportd" / "inflight").iterdir()
    yield from memory.glob("*/.*.tmp")
    yield from (memory / "exports-failed").iterdir()
