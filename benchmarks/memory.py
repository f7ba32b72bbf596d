"""How much memory a large file takes: ``python -m benchmarks.memory [--megabytes 1024]``.

A Claude Code session and a ``conversations.json`` of that size are made up, dropped into a
folder of their own and ingested by the real command; the session once more, grown by a turn,
and the conversations in a zip, into another folder. Printed is what was stored, and the most
memory that the command had resident (VmHWM; the database server is a process of its own).
Status 1 when something that was made up is not stored, or was stored twice, or when it took
more than 200 MB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from benchmarks.generator import write, write_conversations
from benchmarks.running import own_settings_alone, running_server
from benchmarks.session_jsonl import jsonl_pieces
from benchmarks.talk import turns

_SESSION_ID = "5b1f0c3e-0000-4c4c-8a8a-000000000001"
_AT_MOST_MB = 200


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--megabytes", type=int, default=1024, help="of each file [1024]")
    parser.add_argument("--folder", type=Path, help="where all files lie meanwhile")
    options = parser.parse_args()
    size = options.megabytes * 1024 * 1024
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        good = _session(Path(place), size)
        good &= _conversations(Path(place), size)
    return int(not good)


def _session(place: Path, size: int) -> bool:
    source = place / "session.jsonl"
    pieces = jsonl_pieces(turns("memory"), _SESSION_ID)
    messages = write(source, pieces, size)
    with running_server(place / "session") as memory:
        good = _run(memory, source, messages, messages)
        more = write(source, pieces, 0)
        good &= _run(memory, source, messages + more, more)
    shutil.rmtree(place / "session")
    source.unlink()
    return good


def _conversations(place: Path, size: int) -> bool:
    source = place / "conversations.json"
    messages = write_conversations(source, size)
    packed = place / "data.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(source, source.name)
    good = True
    for dropped in (source, packed):
        with running_server(place / dropped.stem) as memory:
            good &= _run(memory, dropped, messages, messages)
        shutil.rmtree(place / dropped.stem)
    return good


def _run(memory: Path, source: Path, shown: int, new: int) -> bool:
    (memory / "exports").mkdir(exist_ok=True)
    shutil.copyfile(source, memory / "exports" / source.name)
    started = time.monotonic()
    with (memory / "said").open("wb") as said, (memory / "log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "exportd", "--memory-dir", memory,
             "run", "--once", "--json"],
            env=own_settings_alone(), stdout=said, stderr=log,
        )  # fmt: skip
        peak_mb = _peak_mb(process)
    seconds = time.monotonic() - started
    report: dict[str, Any] = json.loads((memory / "said").read_bytes())["files"][0]
    size_mb = source.stat().st_size / 1024**2
    good = (report["total"], report["new"]) == (shown, new) and peak_mb <= _AT_MOST_MB
    sys.stdout.write(
        f"{source.name}: {size_mb:,.0f} MB; {report['new']:,} new of {report['total']:,} "
        f"messages, expected {new:,} of {shown:,}; {seconds:,.0f} s, "
        f"{size_mb / seconds:,.1f} MB/s; at most {peak_mb:,.0f} MB resident: "
        f"{'as expected' if good else 'NOT AS EXPECTED, ' + report['reason']}\n"
    )
    sys.stdout.flush()
    return good


def _peak_mb(process: subprocess.Popen[bytes]) -> float:
    """Until it ends."""
    peak_kb = 0
    while process.poll() is None:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                peak_kb = int(line.split()[1])
        time.sleep(0.05)
    return peak_kb / 1024


if __name__ == "__main__":
    sys.exit(main())
