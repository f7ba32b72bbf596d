"""The rows of ``python -m benchmarks``: each a function from a folder and sizes to rows."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import connection

from .generator import GROWTH, Growing, Made, sessions, texts
from .live import Live
from .measuring import (
    MB,
    PATIENCE_S,
    Row,
    Took,
    at_s,
    bare_copy,
    command,
    committed_s,
    cpu_s,
    daemon,
    daemon_told,
    events,
    fresh,
    memory_mb,
    number,
    process,
    repeated,
    sha256sum,
)  # fmt: skip
from .session_jsonl import jsonl_pieces
from .session_text import text_pieces
from .talk import turns

_SESSION_ID = "5b1f0c3e-0000-4c4c-8a8a-000000000002"
_INGESTED = "SELECT count(*) FROM exports WHERE state = 'ingested'"
_ARCHIVED = "SELECT count(*) FROM exports WHERE archived_at IS NOT NULL AND name !~ 'LIVE'"
_MESSAGES = "SELECT count(*) FROM messages"
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
    repeats: int = 3
    growths: int = 3


QUICK = Sizes(200_000, 300_000, 100_000, (200_000,), 2, 20, 1, repeats=1, growths=1)
_SMALL = 3_000  # a file of a backlog has a little more


def cold_text(place: Path, sizes: Sizes) -> list[Row]:
    """Hundreds of text exports into an empty database."""
    return _cold(place, "text exports", texts(place / "cold", sizes.text), sizes)


def cold_jsonl(place: Path, sizes: Sizes) -> list[Row]:
    """Session files into an empty database."""
    return _cold(place, "session files", sessions(place / "cold", sizes.jsonl), sizes)


def _cold(place: Path, what: str, made: Made, sizes: Sizes) -> list[Row]:
    runs: list[_Cold] = []
    bare: list[float] = []
    disk: list[Row] = []

    def once() -> float:
        with fresh(place) as (memory, database):
            _wait_there(made.files, memory)
            stop = len(made.files) if runs else None  # what comes behind takes longer: once
            took = process([*command(memory), "run", "--once"], stopped_after=stop)
            runs.append(_timed(took))
            _check(database, len(made.files), made.messages)
            if not bare:
                disk.append(_disk(database, what))
                bare.extend(bare_copy(memory, database, place, sizes.repeats))
        return runs[-1].stored_s

    ours = repeated(once, sizes.repeats)
    shutil.rmtree(place / "cold")
    first = runs[0]
    ratio = statistics.median(ours) / statistics.median(bare)
    told = (
        f"{len(made.files):,} files; session files, report and words for the search took "
        f"{first.after_s:.1f} s more; with Python's start and making the tables the command "
        f"took {first.whole_s:.1f} s"
    )
    return [
        Row(
            f"cold ingest, {what}", ours, bare, "bare COPY", made.size_bytes, made.messages,
            first.cpu_s, first.peak_mb, told, "≤ 1.5× bare COPY", ratio <= 1.5,
        ),
        *disk,
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Cold:
    """``stored_s`` until the last file was ingested and archived, ``after_s`` from then on."""

    stored_s: float
    after_s: float
    whole_s: float
    cpu_s: float
    peak_mb: float


def _timed(took: Took) -> _Cold:
    log = events(took.log)
    (began,) = (at_s(line) for line in log if line["event"] == "database.migrated")
    ended = max(at_s(line) for line in log if line["event"] == "ingest.finished")
    after_s = took.ended_s - ended
    return _Cold(ended - began, after_s, took.wall_s, took.cpu_s, took.peak_mb)


def _wait_there(files: Sequence[Path], memory: Path) -> None:
    """Files that were dropped an hour ago: none of them has to settle first."""
    an_hour_ago = time.time() - 3_600
    for path in files:
        target = memory / "exports" / path.name
        shutil.copyfile(path, target)
        os.utime(target, (an_hour_ago, an_hour_ago))


def _check(database: connection, files: int, messages: int) -> None:
    for what, expected, sql in (("files", files, _INGESTED), ("messages", messages, _MESSAGES)):
        if (found := number(database, sql)) != expected:
            raise ValueError(f"expected {expected:,} {what} to be stored, found {found:,}")


def _disk(database: connection, what: str) -> Row:
    tables, search, text = (number(database, sql) for sql in (_TABLES, _SEARCH, _TEXT))
    return Row(
        f"disk, {what}", told=f"{tables / text:.2f} bytes on disk a byte of stored text, "
        f"{(tables - search) / text:.2f} without the words of the search",
        goal="≤ 2.5", met=tables / text <= 2.5,
    )  # fmt: skip


def grown_text(place: Path, sizes: Sizes) -> list[Row]:
    """Text exports again, 5 % larger."""

    def export(number_: int) -> Growing:
        return Growing(text_pieces(turns(f"grown text {number_}"), client=number_))

    def name(number_: int, step: int) -> str:
        return f"2026-01-{step + 1:02}-EXPORT-GROWN-{number_}.txt"

    return [_grown(place, sizes, sizes.grown_text, export, name)]


def grown_jsonl(place: Path, sizes: Sizes) -> list[Row]:
    """Session files again, 5 % larger."""

    def export(number_: int) -> Growing:
        of = turns(f"grown jsonl {number_}")
        return Growing(jsonl_pieces(of, f"{_SESSION_ID[:-1]}{number_}"))

    def name(number_: int, _: int) -> str:
        return f"{_SESSION_ID[:-1]}{number_}.jsonl"

    return [_grown(place, sizes, size, export, name) for size in sizes.grown_jsonl]


def _grown(
    place: Path, sizes: Sizes, size: int, export: Callable[[int], Growing],
    name: Callable[[int, int], str],
) -> Row:  # fmt: skip
    """Each session four times, the last time of that size; a large session alone.

    The first export of a session is not measured.
    """
    ours, hashed, seen, new, total = [], [], [], 0, 0
    with fresh(place) as (memory, database), daemon(memory):
        for session in range(1 if size > 10 * MB else sizes.repeats):
            made, before = export(session), 0
            for step in range(sizes.growths + 1):
                source = place / name(session, step)
                source.write_bytes(made.until(int(size * GROWTH ** (step - sizes.growths))))
                took = committed_s(memory, database, source)
                total += 1
                finished = daemon_told(memory, "ingest.finished", total)[-1]
                if finished["new"] != made.messages - before:
                    raise ValueError(f"expected {made.messages - before} new: {finished}")
                if step:
                    ours.append(finished["duration_s"])
                    hashed.append(sha256sum(source))
                    seen.append(took)
                    new, final = finished["new"], source.stat().st_size
                source.unlink()
                before = made.messages
    bare, took = statistics.median(hashed), statistics.median(ours)
    return Row(
        f"grown by 5 %, {source.suffix[1:]} of {final / MB:,.1f} MB", ours, hashed, "sha256sum",
        final, new, told=f"messages/s are of the new ones; drop → committed in "
        f"{statistics.median(seen) * 1000:,.0f} ms",
        goal="≤ 2× sha256sum + 20 ms", met=took <= 2 * bare + 0.02,
    )  # fmt: skip


def drops(place: Path, sizes: Sizes) -> list[Row]:
    """From the rename into the folder to the commit, of exports of 50 KB."""
    took = []
    with fresh(place) as (memory, database), daemon(memory):
        for number_ in range(sizes.drops):
            source = place / f"2026-01-01-EXPORT-DROP-{number_:04}.txt"
            pieces = text_pieces(turns(f"drop {number_}"), client=number_)
            source.write_bytes(Growing(pieces).until(50_000))
            took.append(committed_s(memory, database, source))
            source.unlink()
    took.sort()
    p50, p99 = (took[min(len(took) - 1, int(len(took) * p))] for p in (0.5, 0.99))
    return [
        Row(
            "drop → committed, 50 KB", took, size_bytes=50_000,
            told=f"{len(took)} drops: p50 {p50 * 1000:,.0f} ms, p99 {p99 * 1000:,.0f} ms",
            goal="p50 ≤ 150 ms, p99 ≤ 500 ms", met=p50 <= 0.15 and p99 <= 0.5,
        )
    ]  # fmt: skip


def backlog(place: Path, sizes: Sizes) -> list[Row]:
    """Small files at the start of the daemon, and one more every three seconds."""
    made = [Growing(text_pieces(turns(f"small {n}"), client=n)) for n in range(sizes.backlog)]
    messages = size = 0
    with fresh(place) as (memory, database):
        files = [place / f"2026-01-01-EXPORT-SMALL-{n:05}.txt" for n in range(len(made))]
        for path, export in zip(files, made, strict=True):
            path.write_bytes(export.until(_SMALL))
            messages, size = messages + export.messages, size + path.stat().st_size
        _wait_there(files, memory)
        started = time.monotonic()
        with daemon(memory):
            ready_s = time.monotonic() - started
            live = Live(place, memory, database)
            while (found := number(database, _ARCHIVED)) < len(files):
                live.turn()
                if time.monotonic() > started + PATIENCE_S:
                    raise TimeoutError(f"{found:,} of {len(files):,} files in {PATIENCE_S} s")
            took = time.monotonic() - started
            live.finish()
        _check(database, len(files) + len(live.served), messages + live.messages)
    for path in files:
        path.unlink()
    rate = len(files) / took
    return [
        Row(
            f"backlog of {len(files):,} files", [took], size_bytes=size, messages=messages,
            told=f"{rate:,.0f} files/s from the start of the process, which was ready after "
            f"{ready_s:.1f} s; nothing lost; {live.told()}", goal="≥ 200 files/s",
            met=rate >= 200,
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
        resident = memory_mb(pid, "VmRSS")
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
