"""Killed at every step, before and after, and started again (HAZARDS 40, DESIGN 2.1).

The real command dies by SIGKILL at the point that ``EXPORTD_CRASH_AT`` names, the next
start may die somewhere else, and the last one goes to its end. What there is afterwards is
compared with what was generated. Every point, once, in the usual run; more:
``TEST_SEEDS=20 pytest tests/test_crash_points.py`` (a failure names its seed).
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import OURS, Command, rows

from exportd.crash import POINTS

SEEDS = int(os.environ.get("TEST_SEEDS", "1"))
LOG_BYTES = 10_000


@dataclass
class Scene:
    """Files in a drop folder, and what there must be when each has met its fate."""

    messages: dict[str, list[str]] = field(default_factory=dict)
    archived: set[str] = field(default_factory=set)
    drops: int = 0

    def export(self, path: Path, conversation_id: str, turns: int) -> None:
        said = [f"turn {n} of {conversation_id}" for n in range(turns)]
        text = "\n".join(f"{'⏺' if n % 2 else '>'} {turn}\n" for n, turn in enumerate(said))
        path.write_text(text)
        self.archived.add(text)
        self.drops += 1
        self.messages[conversation_id] = max(
            self.messages.get(conversation_id, []), said, key=len
        )


def scene(memory_dir: Path, seed: int) -> Scene:
    """Grown exports, the same bytes twice, sidecars, a hard link, and a file that is junk."""
    chance, made, exports = random.Random(seed), Scene(), memory_dir / "exports"  # noqa: S311
    for session in range(chance.randint(1, 3)):
        days = chance.sample(range(1, 28), chance.randint(2, 4))
        for day in days:
            name = f"2025-01-{day:02}-EXPORT-S{session}.txt"
            made.export(exports / name, f"s{session}", 2 + 2 * day)
    made.export(exports / "again.txt", "s0", len(made.messages["s0"]))
    made.export(exports / "called.txt", "chosen-by-hand", 4)
    (exports / "called.txt.session").write_text("chosen-by-hand\n")
    made.export(exports / "linked.txt", "linked", 3)  # copied: it has another name
    os.link(exports / "linked.txt", memory_dir / "other-name.txt")
    (exports / "junk.log").write_text("make: nothing to be done\n")
    (exports / "junk.log.session").write_text("of-no-use\n")
    # So full that the first report rotates it.
    (memory_dir / "export-dedup-status.txt").write_text("x" * (LOG_BYTES - 1) + "\n")
    return made


def assert_as_if_nothing_had_happened(exportd: Command, url: str, made: Scene) -> None:
    memory = exportd.memory_dir
    stored: dict[str, list[str]] = {}
    for conversation_id, content in rows(
        url, "SELECT conversation_id, content FROM messages ORDER BY 1, message_index"
    ):
        stored.setdefault(conversation_id, []).append(content)
    assert stored == made.messages
    raw = Counter(
        path.read_text()
        for path in (memory / "exports-archive").iterdir()
        if path.name not in OURS
    )
    assert raw == Counter(made.archived)
    failed = {path.name for path in (memory / "exports-failed").iterdir()}
    # A kill between the two may leave the sidecar to come alone: what it says is noted then.
    assert failed | {"junk.log.session"} == {
        "junk.log", "junk.log.reason.txt", "junk.log.session",
    }  # fmt: skip
    for folder in ("exports", ".exportd/inflight"):
        assert [p for p in (memory / folder).iterdir() if not p.name.startswith(".")] == []
    assert not list(memory.glob("*/.*.tmp"))
    assert rows(
        url, "SELECT title, count(*) FROM alerts WHERE severity <> 'info' GROUP BY 1"
    ) == [("dead letter", 1)]
    assert rows(url, "SELECT count(*) FROM dead_letters") == [(1,)]
    assert rows(url, "SELECT count(*) FROM drops WHERE outcome IS NULL") == [(0,)]
    assert rows(
        url, "SELECT count(*) FROM exports WHERE state = 'ingested' AND archive_name IS NULL"
    ) == [(0,)]
    assert rows(url, "SELECT count(*) FROM drops") == [(made.drops + 1,)]
    assert rows(url, "SELECT count(*) FROM deduplication_log") == [(len(made.archived),)]
    assert {path.stem for path in (memory / "sessions").glob("*.md")} == set(made.messages)
    for conversation_id, said in made.messages.items():
        text = (memory / "sessions" / f"{conversation_id}.md").read_text()
        assert all(turn in text for turn in said)
    verified = exportd("verify")
    assert verified.returncode == 0, verified.stdout


# Those of the relay need a channel, those of members a container, others dead letters, a
# backup, a purge, or files to pack: see test_alerting, test_every_format, test_dead_letters,
# test_backup, test_purge and test_packing.
ELSEWHERE = (
    "relay.", "members.", "settle.", "retry.", "backup.", "restore.", "purge.", "pack.",
)  # fmt: skip
ON_A_FILE_S_ROAD = [p for p in POINTS if not p.startswith(ELSEWHERE)]


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("point", ON_A_FILE_S_ROAD)
def test_a_kill_at_a_crash_point_loses_nothing_and_stores_nothing_twice(
    exportd: Command, database_url: str, point: str, seed: int
) -> None:
    made = scene(exportd.memory_dir, seed)
    exportd.environment |= {
        "EXPORTD_SETTLE_TIME": "0.05",
        "EXPORTD_STATUS_LOG_MAX_BYTES": str(LOG_BYTES),
    }
    chance = random.Random(f"{point} {seed}")  # noqa: S311
    first = exportd("run", "--once", EXPORTD_CRASH_AT=point)
    assert first.returncode == -signal.SIGKILL, first.stderr
    for _ in range(chance.randint(0, 2)):  # and again, while it recovers
        again = chance.choice(ON_A_FILE_S_ROAD)
        exportd("run", "--once", EXPORTD_CRASH_AT=f"{again}:{seed + 1}")
    last = exportd("run", "--once")
    assert last.returncode == 0, last.stderr
    assert_as_if_nothing_had_happened(exportd, database_url, made)


@pytest.mark.parametrize(
    "point",
    [
        *(point for point in POINTS if point.startswith("dead_letter.")),
        *("archive.linked:1", "archive.linked:2", "archive.durable:2", "archive.done:2"),
        *("tell.written", "forget.sidecar"),
    ],
)
def test_a_dead_letter_is_set_aside_once_whenever_it_is_killed(
    exportd: Command, database_url: str, point: str
) -> None:
    (exportd.memory_dir / "exports" / "junk.log").write_text("make: nothing to be done\n")
    (exportd.memory_dir / "exports" / "junk.log.session").write_text("of-no-use\n")
    killed = exportd("run", "--once", EXPORTD_CRASH_AT=point)
    assert killed.returncode == -signal.SIGKILL
    assert exportd("run", "--once").returncode == 0
    failed = {path.name for path in (exportd.memory_dir / "exports-failed").iterdir()}
    assert failed == {"junk.log", "junk.log.reason.txt", "junk.log.session"}
    assert not list((exportd.memory_dir / ".exportd" / "inflight").iterdir())
    told = rows(
        database_url,
        "SELECT (SELECT count(*) FROM dead_letters), count(*) FROM alerts "
        "WHERE severity <> 'info'",
    )
    assert told == [(1, 1)]


def test_every_crash_point_stands_in_the_code_once_and_is_listed() -> None:
    package = Path(__file__).parent.parent / "daemon" / "exportd"
    code = "\n".join(
        path.read_text() for path in package.rglob("*.py") if path.name != "crash.py"
    )
    assert {point: code.count(f'reach("{point}")') for point in POINTS} == dict.fromkeys(
        POINTS, 1
    )
    assert code.count("reach(") == len(POINTS)


def test_a_crash_point_that_is_none_is_refused(exportd: Command) -> None:
    for wrong in ("store.comitted", "store.committed:0", "store.committed:x"):
        done = exportd("run", "--once", EXPORTD_CRASH_AT=wrong)
        assert done.returncode == os.EX_CONFIG
        assert "--crash-points" in done.stderr
