"""How much work an ingest is, counted and not timed: committed in work.json.

Round trips to the database, rows written by table, bytes hashed and lines parsed, for each way
that a file can come. More than before fails, and less too: ``TEST_REGENERATE=1 pytest
tests/test_work.py`` writes the table anew, and its difference is to be read.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import rows
from test_growth import Hash
from test_pipeline import Road, road

from exportd import growth
from exportd.formats import claude_code_text, jsonl
from exportd.store import Transaction

__all__ = ["road"]  # a fixture

TABLE = Path(__file__).with_name("work.json")
_HEADER = " ▐▛███▜▌   Claude Code v2.0.42\n▝▜█████▛▘  Sonnet 4.5\n  ▘▘ ▝▝    ~/bakery\n\n"
_WRITTEN = (
    "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables "
    "WHERE n_tup_ins + n_tup_upd + n_tup_del > 0"
)


def text(turns: int, name: str = "bread") -> bytes:
    said = (f"> turn {n} about {name}\n\n⏺ loaf {n}: {'rye ' * 90}\n\n" for n in range(turns))
    return (_HEADER + "".join(said)).encode()


def session(turns: int) -> bytes:
    records = (
        {
            "type": ("user", "assistant")[n % 2],
            "uuid": f"u{n}",
            "parentUuid": f"u{n - 1}" if n else None,
            "sessionId": "5b1f0c3e-0000-4c4c-8a8a-000000000001",
            "timestamp": f"2026-01-05T08:{n // 60:02}:{n % 60:02}Z",
            "message": {"role": ("user", "assistant")[n % 2], "content": f"turn {n} of bread"},
        }
        for n in range(2 * turns)
    )
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@pytest.fixture
def work(road: Road, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], dict[str, Any]]]:
    """What was done since it was asked last."""
    if not rows(road.url, "SELECT to_regproc('pg_stat_force_next_flush') IS NOT NULL")[0][0]:
        pytest.skip("this PostgreSQL does not tell at once what was written")
    counts: Counter[str] = Counter()
    _count_calls(monkeypatch, counts)
    monkeypatch.setattr(growth, "hashlib", SimpleNamespace(sha256=Hash))
    before: Counter[str] = Counter()

    def asked() -> dict[str, Any]:
        nonlocal before
        road.store.run(lambda tx: tx._cursor.execute("SELECT pg_stat_force_next_flush()"))
        written = Counter(dict(rows(road.url, _WRITTEN)))
        found = {
            "round_trips": counts["round_trips"],
            "rows_written": dict(sorted((written - before).items())),
            "bytes_hashed": Hash.size_bytes,
            "lines_parsed": counts["lines"],
        }
        before, Hash.size_bytes = written, 0
        counts.clear()
        return found

    asked()
    yield asked
    Hash.size_bytes = 0


def _count_calls(monkeypatch: pytest.MonkeyPatch, counts: Counter[str]) -> None:
    for name in ("execute", "each", "insert", "copy"):
        whole = getattr(Transaction, name)

        def counted(tx: Transaction, *given: Any, _whole: Any = whole, **more: Any) -> Any:
            counts["round_trips"] += len(given) < 2 or bool(given[1])
            return _whole(tx, *given, **more)

        monkeypatch.setattr(Transaction, name, counted)
    for module, name in ((claude_code_text, "_texts"), (jsonl, "lines")):
        lines = getattr(module, name)

        def each(*given: Any, _lines: Any = lines) -> Iterator[Any]:
            for line in _lines(*given):
                counts["lines"] += 1
                yield line

        monkeypatch.setattr(module, name, each)


def test_each_way_that_a_file_comes_is_as_much_work_as_the_table_says(
    road: Road, work: Callable[[], dict[str, Any]]
) -> None:
    found = {}
    for what, name, raw in (
        ("a new text export of 80 messages", "2026-02-01-talk.txt", text(40)),
        ("the same bytes again", "2026-02-02-again.txt", text(40)),
        ("it has grown by 4 messages", "2026-02-03-talk.txt", text(42)),
        ("a new session file of 80 messages", "session.jsonl", session(40)),
        ("it has grown by 4 messages, too", "session-2.jsonl", session(42)),
    ):
        (road.folders.exports / name).write_bytes(raw)
        assert road.pipeline.ingest(road.folders.exports / name)
        found[what] = work()
    paths = [road.folders.exports / f"2026-03-01-new{n:02}.txt" for n in range(50)]
    for n, path in enumerate(paths):
        path.write_bytes(text(4, f"cake {n}"))
    assert len(list(road.pipeline.ingest_all(paths))) == 50
    found["50 new text exports of 8 messages in a group"] = work()
    if os.environ.get("TEST_REGENERATE"):
        TABLE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert found == json.loads(TABLE.read_text())
