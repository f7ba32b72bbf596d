"""The rows of ``python -m benchmarks``: each a function from a folder and sizes to rows."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import connection

from .generator import GROWTH, Growing, Made, sessions, texts
from .measuring import (
    MB,
    Row,
    bare_copy,
    command,
    committed_s,
    cpu_s,
    daemon,
    fresh,
    number,
    process,
    repeated,
    resident_mb,
    sha256sum,
    wait_for,
)  # fmt: skip
from .session_jsonl import jsonl_pieces
from .session_text import text_pieces
from .talk import turns

_SESSION_ID = "5b1f0c3e-0000-4c4c-8a8a-000000000002"
_INGESTED = "SELECT count(*) FROM exports WHERE state = 'ingested'"
_TEXT = "SELECT sum(octet_length(content)) FROM messages"
_TABLES = """
SELECT sum(pg_total_relation_size(oid)) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""
_SEARCH = "SELECT pg_total_relation_size('message_search')"


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the rows are measured on, in bytes, files and seconds."""

    text: int = 50 * MB
    jsonl: int = 100 * MB
    grown_text: int = MB
    grown_jsonl: tuple[int, ...] = (5 * MB, 100 * MB)
    drops: int = 100
    backlog: int = 10_000
    idle_s: int = 60


QUICK = Sizes(200_000, 300_000, 100_000, (200_000,), 3, 20, 1)


def cold_text(place: Path, sizes: Sizes) -> list[Row]:
    """Hundreds of text exports into an empty database."""
    return _cold(place, "text exports", texts(place / "cold", sizes.text))


def cold_jsonl(place: Path, sizes: Sizes) -> list[Row]:
    """Session files into an empty database."""
    return _cold(place, "session files", sessions(place / "cold", sizes.jsonl))


def _cold(place: Path, what: str, made: Made) -> list[Row]:
    peaks: list[float] = []
    bare: list[float] = []
    committed: list[float] = []
    disk: list[tuple[int, int, int]] = []

    def once() -> float:
        with fresh(place) as (memory, database):
            for path in made.files:
                shutil.copyfile(path, memory / "exports" / path.name)
            started = time.time()
            took, peak = process([*command(memory), "run", "--once"])
            if number(database, _INGESTED) != len(made.files):
                raise ValueError(f"expected {len(made.files)} files to be ingested")
            committed.append(_last_commit(database) - started)
            peaks.append(peak)
            if not bare:
                stored = number(database, "SELECT count(*) FROM messages")
                if stored != made.messages:
                    raise ValueError(f"expected {made.messages} messages, found {stored}")
                disk.append(
                    (
                        number(database, _TABLES),
                        number(database, _SEARCH),
                        number(database, _TEXT),
                    )
                )
                bare.extend(bare_copy(database, place))
        return took

    ours = repeated(once)
    shutil.rmtree(place / "cold")
    row = Row(
        f"cold ingest, {what}", ours, bare, "bare COPY", made.size_bytes, made.messages,
        max(peaks), f"{len(made.files):,} files; the last was committed after "
        f"{statistics.median(committed):.1f} s", "≤ 1.5× bare COPY",
    )  # fmt: skip
    tables, search, text = disk[0]
    return [
        _met(row, row.ratio <= 1.5),
        Row(
            f"disk, {what}", told=f"{tables / text:.2f} bytes on disk a byte of text, "
            f"{(tables - search) / text:.2f} without the words of the search",
            goal="≤ 2.5", met=tables / text <= 2.5,
        ),
    ]  # fmt: skip


def _last_commit(database: connection) -> float:
    with database.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM max(ingested_at)) FROM exports")
        found = cursor.fetchone()
    return float(found[0]) if found else 0.0


def _met(row: Row, met: bool) -> Row:  # noqa: FBT001
    values = {name: getattr(row, name) for name in row.__slots__}
    return Row(**(values | {"met": met}))


def grown_text(place: Path, sizes: Sizes) -> list[Row]:
    """A text export again, 5 % larger."""
    export = Growing(text_pieces(turns("grown text")))
    return [_grown(place, export, sizes.grown_text, lambda n: f"2026-01-{n:02}-EXPORT-G.txt")]


def grown_jsonl(place: Path, sizes: Sizes) -> list[Row]:
    """A session file again, 5 % larger."""

    def export() -> Growing:
        return Growing(jsonl_pieces(turns("grown jsonl"), _SESSION_ID))

    return [
        _grown(place, export(), size, lambda _: f"{_SESSION_ID}.jsonl")
        for size in sizes.grown_jsonl
    ]


def _grown(place: Path, export: Growing, size: int, name: Callable[[int], str]) -> Row:
    """Four exports, each 5 % larger; the last three are measured, the daemon running."""
    ours, hashed, new = [], [], 0
    with fresh(place) as (memory, database), daemon(memory):
        for step in range(4):
            before, source = export.messages, place / name(step + 1)
            source.write_bytes(export.until(int(size * GROWTH ** (step - 3))))
            took = committed_s(memory, database, source)
            if step:
                ours.append(took)
                hashed.append(sha256sum(source))
                new = export.messages - before
        if number(database, "SELECT count(*) FROM messages") != export.messages:
            raise ValueError(f"expected {export.messages} messages")
        final = source.stat().st_size
        for made in place.glob(f"*{source.suffix}"):
            made.unlink()
    bare, took = statistics.median(hashed), statistics.median(ours)
    return Row(
        f"grown by 5 %, {source.suffix[1:]} of {final / MB:,.1f} MB", ours, hashed, "sha256sum",
        final, new, told="drop → committed; messages/s are of the new ones",
        goal="≤ 2× sha256sum + 20 ms", met=took <= 2 * bare + 0.02,
    )  # fmt: skip


def drops(place: Path, sizes: Sizes) -> list[Row]:
    """From the rename into the folder to the commit, of exports of 50 KB."""
    took = []
    with fresh(place) as (memory, database), daemon(memory):
        for number_ in range(sizes.drops + 1):
            source = place / f"2026-01-01-EXPORT-DROP-{number_:04}.txt"
            pieces = text_pieces(turns(f"drop {number_}"), client=number_)
            source.write_bytes(Growing(pieces).until(50_000))
            took.append(committed_s(memory, database, source))
            source.unlink()
    took = sorted(took[1:])  # the first one waits for the daemon to start
    p50, p99 = (took[min(len(took) - 1, int(len(took) * p))] for p in (0.5, 0.99))
    return [
        Row(
            "drop → committed, 50 KB", took, size_bytes=50_000,
            told=f"{len(took)} drops: p50 {p50 * 1000:,.0f} ms, p99 {p99 * 1000:,.0f} ms",
            goal="p50 ≤ 150 ms, p99 ≤ 500 ms", met=p50 <= 0.15 and p99 <= 0.5,
        )
    ]  # fmt: skip


def backlog(place: Path, sizes: Sizes) -> list[Row]:
    """Small files at start; one more is dropped when half are stored."""
    files = [place / f"2026-01-01-EXPORT-SMALL-{n:05}.txt" for n in range(sizes.backlog)]
    for n, path in enumerate(files):
        path.write_bytes(Growing(text_pieces(turns(f"small {n}"), client=n)).until(1))
    live = place / "2026-01-01-EXPORT-LIVE.txt"
    live.write_bytes(Growing(text_pieces(turns("live"))).until(50_000))
    with fresh(place) as (memory, database):
        for path in files:
            shutil.copyfile(path, memory / "exports" / path.name)
        started = time.monotonic()
        with daemon(memory):
            wait_for(database, _INGESTED, lambda found: found >= len(files) // 2)
            shutil.copyfile(live, memory / live.name)
            dropped = time.monotonic()
            (memory / live.name).rename(memory / "exports" / live.name)
            seen = f"SELECT 1 FROM exports WHERE name = '{live.name}' AND state = 'ingested'"  # noqa: S608
            wait_for(database, seen, bool)
            served = time.monotonic() - dropped
            wait_for(database, _INGESTED, lambda found: found == len(files) + 1)
            took = time.monotonic() - started
    rate = len(files) / took
    size = sum(path.stat().st_size for path in files)
    for path in (*files, live):
        path.unlink()
    return [
        Row(
            f"backlog of {len(files):,} files", [took], size_bytes=size,
            told=f"{rate:,.0f} files/s, start of the daemon included; nothing lost; one "
            f"dropped in the middle was committed after {served:.2f} s",
            goal="≥ 200 files/s", met=rate >= 200,
        )
    ]  # fmt: skip


def idle(place: Path, sizes: Sizes) -> list[Row]:
    """What the daemon and its server take while nothing happens."""
    with fresh(place) as (memory, _), daemon(memory) as pid:
        time.sleep(min(10, sizes.idle_s))  # the start is over
        postmaster = memory / ".exportd" / "postgres" / "postmaster.pid"
        server = int(postmaster.read_text().split()[0])
        before = cpu_s(pid), cpu_s(server)
        time.sleep(sizes.idle_s)
        ours, its = (
            100 * (cpu_s(process_id) - was) / sizes.idle_s
            for process_id, was in zip((pid, server), before, strict=True)
        )
        resident = resident_mb(pid)
    return [
        Row(
            "idle", peak_mb=resident, told=f"{ours:.2f} % of a processor, its PostgreSQL "
            f"{its:.2f} %, in {sizes.idle_s} s", goal="< 0.2 %, < 80 MB",
            met=ours < 0.2 and resident < 80,
        )
    ]  # fmt: skip


ROWS: dict[str, Callable[[Path, Sizes], list[Row]]] = {
    "cold-text": cold_text,
    "cold-jsonl": cold_jsonl,
    "grown-text": grown_text,
    "grown-jsonl": grown_jsonl,
    "drops": drops,
    "backlog": backlog,
    "idle": idle,
}
