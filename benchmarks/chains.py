"""Files that depend on each other, and every order in which they may come.

The orders of a whole folder are too many to try; those of a chain are not. Each is
taken by the very code of ``exportd run --once``, in this process and into a database of
its own: an empty one, cloned from a template on one embedded server.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count, islice, permutations
from math import factorial
from pathlib import Path
from typing import TypeVar

import psycopg2
from psycopg2.extensions import make_dsn
from pydantic import SecretStr

from exportd.embedded import embedded_server
from exportd.log import configure
from exportd.once import run_once
from exportd.settings import DatabaseSettings, Settings
from exportd.store import Store, migrate
from exportd.workplace import workplace

from .running import check_taken, drop, dump, query

_T = TypeVar("_T")

MAX_TRIED_WHOLLY = 6
RANDOM_ORDERS = 100


def chains(files: Sequence[Path], memory: Path) -> list[list[Path]]:
    """Groups of files that became one segment, are the same bytes, or mention each other.

    ``memory`` is where all of ``files`` were dropped.
    """
    groups = {path: [path] for path in files}
    for related in _related(files, memory):
        joined = [
            path for group in _distinct(groups[path] for path in related) for path in group
        ]
        groups.update(dict.fromkeys(joined, joined))
    return [sorted(group) for group in _distinct(groups.values()) if len(group) > 1]


def conversations(files: Sequence[Path], memory: Path) -> list[list[Path]]:
    """Groups of files that became one conversation of several segments."""
    of_sha256 = _of_sha256(files)
    records = map(json.loads, dump(memory).splitlines())
    return [
        sorted(
            path
            for s in record["segments"]
            for e in s["exports"]
            for path in of_sha256[e["sha256"]]
        )
        for record in records
        if record["type"] == "conversation" and len(record["segments"]) > 1
    ]


def _related(files: Sequence[Path], memory: Path) -> Iterator[list[Path]]:
    of_sha256, of_name = _of_sha256(files), _of_name(files)
    yield from of_sha256.values()
    for (together,) in query(memory, _TOGETHER):
        yield [path for sha256 in together.split() for path in of_sha256[sha256]]
    for sha256, mentioned in query(memory, _MENTIONED):
        yield [*of_sha256[sha256], *of_name.get(mentioned, [])]


def _of_sha256(files: Sequence[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in files:
        found.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), []).append(path)
    return found


def _of_name(files: Sequence[Path]) -> dict[str, list[Path]]:
    """By their names without spaces: a name that is mentioned may be wrapped."""
    found: dict[str, list[Path]] = {}
    for path in files:
        found.setdefault("".join(path.name.split()), []).append(path)
    return found


def _distinct(groups: Iterable[_T]) -> list[_T]:
    return list({id(group): group for group in groups}.values())


def orders_of(group: Sequence[Path], seed: int) -> list[tuple[Path, ...]]:
    """All orders of a small group, random ones of a larger; the given one comes first."""
    if len(group) <= MAX_TRIED_WHOLLY:
        return list(permutations(group))
    dice = random.Random(f"{seed} {group[0].name}")  # noqa: S311
    shuffled = (tuple(dice.sample(group, len(group))) for _ in count())
    return [tuple(group), *islice(shuffled, min(RANDOM_ORDERS, factorial(len(group))))]


@contextmanager
def laboratory(folder: Path) -> Iterator[Callable[[Sequence[Path]], str]]:
    """A function that drops files in an order, on their own, and returns the dump."""
    configure("critical", "json")
    folder.mkdir()
    with embedded_server(folder) as server, closing(psycopg2.connect(server.url)) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            # Nothing here is to survive a power cut.
            cursor.execute("ALTER SYSTEM SET fsync = off")
            cursor.execute("SELECT pg_reload_conf()")
            cursor.execute("CREATE DATABASE empty ENCODING 'UTF8' TEMPLATE template0")
            migrate(make_dsn(server.url, dbname="empty"))

            def dumped(order: Sequence[Path]) -> str:
                cursor.execute("CREATE DATABASE tried TEMPLATE empty")
                try:
                    url = make_dsn(server.url, dbname="tried")
                    return _dropped(order, folder / "memory", url)
                finally:
                    cursor.execute("DROP DATABASE tried WITH (FORCE)")

            yield dumped


def _dropped(order: Sequence[Path], memory: Path, url: str) -> str:
    drop(order, memory)
    settings = Settings(memory_dir=memory, database=DatabaseSettings(url=SecretStr(url)))
    with workplace(settings, threading.Event()) as place:
        _, reports, _ = run_once(place)
    check_taken([report.name for report in reports], order)
    lines: list[str] = []
    store = Store(url)
    store.dump(None, lambda record: lines.append(json.dumps(record, ensure_ascii=False)))
    store.close()
    shutil.rmtree(memory)
    return "\n".join(lines)


_TOGETHER = """
SELECT string_agg(e.sha256, ' ') FROM export_segments JOIN exports e USING (export_id)
GROUP BY segment_id ORDER BY segment_id
"""
_MENTIONED = """
SELECT e.sha256, mentioned
FROM exports e, jsonb_array_elements_text(e.metadata -> 'lineage') AS mentioned
ORDER BY 1, 2
"""
