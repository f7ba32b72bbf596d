"""How it is with many messages stored: ``python -m benchmarks.scale [--messages 10000000]``.

A database in a folder of its own is filled with so many generated messages of 300 to 700
bytes, a tenth of them in one conversation, the rest in conversations of 500, each of which came
from an export. New exports of 80 messages, and the same ones grown by 8, are then ingested file
by file, in turns with a database that was empty. Then come searches, in as many of the messages
as ``--searchable`` says, and the eight common queries of the specification. ``--output`` writes
the page with the plans of the server.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
import psycopg2
import structlog

from benchmarks.running import own_settings_alone
from exportd.indexer import catch_up
from exportd.lookup import Request, look_up
from exportd.search.hits import Filters
from exportd.settings import Settings
from exportd.workplace import Workplace, workplace

_SQL = Path(__file__).with_name("scale.sql")
_TEMPLATE = Path(__file__).with_name("scale.template.md")
_PARTITION = Path(__file__).parents[1] / "docs/how-to/samples/partition-messages.sql"
_ROUNDS = 30
_WORDS = ("oven", "flour", "dough", "bake", "shelf", "price", "crumb", "tray", "yeast", "salt")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--searchable", type=int, default=100_000)
    parser.add_argument("--partitioned", action="store_true", help="by conversation")
    parser.add_argument("--folder", type=Path, help="where the databases lie meanwhile")
    parser.add_argument("--output", type=Path, help="the page to write")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    os.environ.clear()
    os.environ.update(own_settings_alone())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        full, empty = (stack.enter_context(_place(folder / name)) for name in ("full", "empty"))
        for place in (full, empty):
            place.prepare()
        if options.partitioned:
            _execute(full.url, _PARTITION.read_text())
        filled_s = _timed(lambda: _fill(full.url, options.messages))
        lines = [f"{options.messages:,} messages, filled in {filled_s:,.0f} s.", ""]
        lines += ["## Ingest", "", *_ingest(full, empty), ""]
        lines += ["## Search", "", *_search(full, options.searchable), ""]
        lines += ["## Disk", "", *_disk(full.url), ""]
        lines += ["## The eight common queries", "", *_plans(full.url)]
    text = "\n".join(lines)
    if options.output:
        options.output.write_text(
            _TEMPLATE.read_text().format(
                date=datetime.now(UTC).date(),
                machine=f"{platform.system()} with {os.cpu_count()} processors",
                results=text,
            )
        )
    click.echo(text)
    return 0


def _place(memory: Path) -> AbstractContextManager[Workplace]:
    return workplace(Settings(memory_dir=memory, log_level="error"), threading.Event())


def _fill(url: str, messages: int) -> None:
    """As a superuser, without the checks of foreign keys."""
    _execute(url, _statement("fill"), {"messages": messages})
    for name in ("vacuum", "checkpoint"):
        took_s = _timed(partial(_execute, url, _statement(name)))
        click.echo(f"{name}: {took_s:,.0f} s", err=True)


def _ingest(full: Workplace, empty: Workplace) -> Iterator[str]:
    yield "| exports | into the full one | into the empty one | ratio |"
    yield "|---|---|---|---|"
    for what, turns in (("new, 80 messages", 20), ("the same, grown by 8", 22)):
        took: list[list[float]] = [[], []]
        for number in range(_ROUNDS):
            for place, times in zip((full, empty), took, strict=True):
                path = place.folders.exports / f"2026-01-05-EXPORT-scale{number}.txt"
                path.write_text(_export(number, turns))
                times.append(_timed(partial(_expect, place, path)))
        much, little = (statistics.median(times) * 1000 for times in took)
        yield f"| {what} | {much:.1f} ms | {little:.1f} ms | {much / little:.2f} |"


def _expect(place: Workplace, path: Path) -> None:
    report = place.pipeline.ingest(path)
    if report is None or not report.new:
        raise click.ClickException(f"{path.name} was not ingested: {report}")


def _export(number: int, turns: int) -> str:
    """A text export; more ``turns`` are the same session, later."""
    chance = random.Random(number)  # noqa: S311
    said = (
        f"> {_said(chance, 20)} {number}.{turn}\n\n⏺ Bash(cat {chance.choice(_WORDS)}.py)\n"
        f"  ⎿  {_said(chance, 40)}\n\n⏺ {_said(chance, 60)}\n\n"
        for turn in range(turns)
    )
    return "".join(said)


def _said(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(_WORDS, k=words))


def _search(full: Workplace, searchable: int) -> Iterator[str]:
    _execute(full.url, _statement("searchable"), {"messages": searchable})
    took_s = _timed(lambda: catch_up(full.store))
    yield f"{searchable:,} messages were indexed in {took_s:,.0f} s."
    yield ""
    yield "| what | found | best | newest |"
    yield "|---|---|---|---|"
    for text in ("oven", "oven flour", '"oven flour"', "message42"):
        asked = [Request(text, Filters(), 20, newest=newest) for newest in (False, True)]
        total = look_up(full.store, asked[0]).total
        best, newest = (
            min(_timed(partial(look_up, full.store, a)) for _ in range(3)) for a in asked
        )
        yield f"| `{text}` | {total:,} | {best * 1000:,.0f} ms | {newest * 1000:,.0f} ms |"


def _disk(url: str) -> Iterator[str]:
    yield "| | bytes a byte of text |"
    yield "|---|---|"
    for name, ratio in _rows(url, _statement("disk")):
        yield f"| `{name}` | {ratio} |"


def _plans(url: str) -> Iterator[str]:
    """Of each query, in a conversation of 500 messages and in the one that has a tenth."""
    for name in _names():
        if not name.startswith("query"):
            continue
        yield f"### {name.removeprefix('query ').capitalize()}"
        for conversation_id in ("c7", "large"):
            plan = _rows(
                url,
                "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) " + _statement(name),
                {"conversation_id": conversation_id},
            )
            yield from ("", f"Conversation `{conversation_id}`:", "", "```text")
            yield from (line for (line,) in plan)
            yield "```"
        yield ""


def _rows(
    url: str, statement: str, given: dict[str, object] | None = None
) -> Sequence[tuple[str, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement, given)
        return cursor.fetchall()


def _execute(url: str, statement: str, given: dict[str, int] | None = None) -> None:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement, given)


def _names() -> list[str]:
    return [part.split(" --\n", 1)[0] for part in _SQL.read_text().split("\n-- : ")[1:]]


def _statement(name: str) -> str:
    parts = (part.split(" --\n", 1) for part in _SQL.read_text().split("\n-- : ")[1:])
    return next(text for found, text in parts if found == name)


def _timed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


if __name__ == "__main__":
    raise SystemExit(main())
