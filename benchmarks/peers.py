"""Other programs on the same session files, each in the way it is meant to be used.

They are installed from PyPI, each version pinned, into an environment of its own below the
user's cache; nothing of exportd depends on them. They get a HOME of their own, a proxy that
does not answer (nothing leaves the machine), and no telemetry and no update checks.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .generator import sessions
from .measuring import Row, Took, fresh, other_database, process, repeated
from .speed import Sizes

_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "exportd-peers"

_ENOUGH_S = 30  # who takes longer is measured once

# What its own server does with what its own daemon sends, without HTTP between them.
_QC_TRACE = """
import asyncio, json, sys
from pathlib import Path
from qc_trace.db.connection import ConnectionPool
from qc_trace.db.migrations import ensure_schema
from qc_trace.db.writer import BatchWriter
from qc_trace.schemas.claude_code import transform_claude_v1

async def main(url, folder):
    async with ConnectionPool(url) as pool, pool.connection() as conn:
        await ensure_schema(conn)
        writer = BatchWriter(conn)
        for path in sorted(Path(folder).rglob("*.jsonl")):
            batch = []
            with path.open() as file:
                for number, line in enumerate(file, 1):
                    batch += transform_claude_v1(json.loads(line), str(path), number)
                    if len(batch) >= 1000:
                        await writer.write(batch)
                        batch = []
            await writer.write(batch)

asyncio.run(main(*sys.argv[1:]))
"""


@dataclass(frozen=True, slots=True)
class _Work:
    """Where a peer finds the session files, and where it may write."""

    projects: Path
    home: Path
    url: str


def _sessionlog(tools: Path, work: _Work) -> list[list[str]]:
    where = f"claude={work.projects}"
    database = str(work.home / "data.sqlite")
    return [[str(tools / "sessionlog"), "ingest", "--sources-dir", where, "--db", database]]


def _claude_code_log(tools: Path, work: _Work) -> list[list[str]]:
    project = str(next(work.projects.iterdir()))
    return [[str(tools / "claude-code-log"), project]]


def _qc_trace(tools: Path, work: _Work) -> list[list[str]]:
    return [[str(tools / "python"), "-c", _QC_TRACE, work.url, str(work.projects)]]


def _agentsview(tools: Path, _work: _Work) -> list[list[str]]:
    return [[str(tools / "agentsview"), "sync"]]


def _agentsview_pg(tools: Path, work: _Work) -> list[list[str]]:
    return [
        *_agentsview(tools, work),
        [str(tools / "agentsview"), "pg", "push", "--no-vectors"],
    ]


_PEERS: dict[str, tuple[str, Callable[[Path, _Work], list[list[str]]], str]] = {
    "sessionlog into SQLite": ("sessionlog==0.1.6", _sessionlog, "`sessionlog ingest`"),
    "claude-code-log into HTML": (
        "claude-code-log==1.7.0", _claude_code_log, "`claude-code-log PROJECT`",
    ),
    "qc-trace into PostgreSQL": (
        "qc-trace==0.4.75", _qc_trace,
        "its parser and its BatchWriter, 1,000 messages at a time, without HTTP between them",
    ),
    "agentsview into SQLite": ("agentsview==0.46.1", _agentsview, "`agentsview sync`"),
    "agentsview into PostgreSQL": (
        "agentsview==0.46.1", _agentsview_pg, "`agentsview sync`, then `agentsview pg push`",
    ),
}  # fmt: skip


def peers(place: Path, sizes: Sizes) -> list[Row]:
    """Every peer on the session files of ``cold-jsonl``; one that fails says so."""
    made = sessions(place / "projects" / "-home-ana-bakery", sizes.jsonl)
    rows = []
    for name, (package, arguments, told) in _PEERS.items():
        runs: list[list[Took]] = []
        try:
            took = repeated(_once(place, package, arguments, runs), sizes.repeats, _ENOUGH_S)
        except (OSError, subprocess.SubprocessError) as error:
            rows.append(Row(name, told=f"{package} FAILED: {_reason(error)}"))
            continue
        cpu_s = statistics.median(sum(one.cpu_s for one in run) for run in runs)
        peak_mb = max(one.peak_mb for run in runs for one in run)
        how = f"{package}: {told}; messages as exportd counts them"
        size, messages = made.size_bytes, made.messages
        rows.append(Row(name, took, (), "", size, messages, cpu_s, peak_mb, how))
    shutil.rmtree(place / "projects")
    return rows


def beside_best(rows: Sequence[Row]) -> list[Row]:
    """Our cold ingest of the same session files beside the fastest peer into PostgreSQL."""
    ours = [row for row in rows if row.what == "cold ingest, session files" and row.ours_s]
    theirs = [row for row in rows if row.what.endswith("into PostgreSQL") and row.ours_s]
    if not ours or not theirs:
        return []
    best = min(theirs, key=lambda row: statistics.median(row.ours_s))
    row = Row(
        "cold ingest beside a peer", ours[0].ours_s, best.ours_s, best.what.split()[0],
        ours[0].size_bytes, ours[0].messages, told="the fastest of them into PostgreSQL, with "
        "its start", goal="≤ 0.5× the best",
    )  # fmt: skip
    return [replace(row, met=row.ratio <= 0.5)]


def _reason(error: Exception) -> str:
    wrote = error.stderr if isinstance(error, subprocess.CalledProcessError) else b""
    lines = (wrote or b"").decode(errors="backslashreplace").splitlines()
    return (lines or [str(error).replace(_QC_TRACE, "…")])[-1][:300]


def _once(
    place: Path, package: str, arguments: Callable[[Path, _Work], list[list[str]]],
    runs: list[list[Took]],
) -> Callable[[], float]:  # fmt: skip
    tools = _installed(package)

    def once() -> float:
        home = place / "home"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        # A copy each time: claude-code-log keeps a cache and its pages beside the sessions.
        shutil.copytree(place / "projects", home / "projects")
        with fresh(place) as (memory, database):
            url = other_database(memory, database, migrated=False)
            work = _Work(home / "projects", home, url)
            measured = [process(one, _alone(work)) for one in arguments(tools, work)]
        runs.append(measured)
        return sum(one.wall_s for one in measured)

    return once


def _alone(work: _Work) -> dict[str, str]:
    nowhere = "http://127.0.0.1:9"
    return {
        "HOME": str(work.home), "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere,
        "http_proxy": nowhere, "https_proxy": nowhere, "DO_NOT_TRACK": "1",
        "CLAUDE_PROJECTS_DIR": str(work.projects), "AGENTSVIEW_DATA_DIR": str(work.home / "av"),
        "AGENTSVIEW_DISABLE_UPDATE_CHECK": "1", "AGENTSVIEW_TELEMETRY_ENABLED": "0",
        "AGENTSVIEW_NO_DAEMON": "1", "AGENTSVIEW_PG_URL": work.url,
    }  # fmt: skip


def _installed(package: str) -> Path:
    """The folder of its commands; installed when it is not there."""
    place = _CACHE / package.replace("==", "-")
    if not (place / "installed").exists():
        for arguments in (
            [sys.executable, "-m", "venv", "--clear", str(place)],
            [str(place / "bin" / "pip"), "install", "-q", package],
        ):
            subprocess.run(arguments, check=True, capture_output=True)  # noqa: S603
        (place / "installed").touch()
    return place / "bin"
