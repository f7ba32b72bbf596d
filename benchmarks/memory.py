"""How much memory a large file takes: ``python -m benchmarks.memory [--megabytes 1024]``.

A Claude Code session, a text export and a ``conversations.json`` of that size are made up,
dropped into a folder of their own and ingested by the real command; session and text once
more, grown by a turn, and the conversations in a zip, into another folder. Printed is what
was stored, and the most memory that the command had resident (VmHWM; the database server is
a process of its own).
Status 1 when something that was made up is not stored, or was stored twice, or when it took
more than 200 MB.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.running import own_settings_alone, running_server

_WORDS = ("oven", "flour", "dough", "bake", "shelf", "price", "crumb", "tray", "yeast", "salt")
_BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)
_AT_MOST_MB = 200
_CALLS = 12  # of tools, in a turn


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--megabytes", type=int, default=1024, help="of each file [1024]")
    parser.add_argument("--folder", type=Path, help="where all files lie meanwhile")
    options = parser.parse_args()
    size = options.megabytes * 1024 * 1024
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        good = _session(Path(place), size)
        good &= _text(Path(place), size)
        good &= _conversations(Path(place), size)
    return int(not good)


def _session(place: Path, size: int) -> bool:
    return _grown(place / "session.jsonl", _Chance(1).turn, size, b"")


def _text(place: Path, size: int) -> bool:
    header = "╭─── Claude Code v2.0.42 ───╮\n\n".encode()
    return _grown(place / "2026-01-05-talk.txt", _Chance(3).blocks, size, header)


def _grown(source: Path, turn_of: Callable[[int], list[bytes]], size: int, head: bytes) -> bool:
    """Of a size, and grown by a turn: a list of messages."""
    place = source.parent
    turns = messages = 0
    with source.open("wb") as file:
        file.write(head)
        while file.tell() < size:
            turn = turn_of(turns)
            file.write(b"".join(turn))
            turns, messages = turns + 1, messages + len(turn)
    with running_server(place / source.stem) as memory:
        good = _run(memory, source, messages, messages)
        turn = turn_of(turns)
        with source.open("ab") as file:
            file.write(b"".join(turn))
        good &= _run(memory, source, messages + len(turn), len(turn))
    shutil.rmtree(place / source.stem)
    source.unlink()
    return good


def _conversations(place: Path, size: int) -> bool:
    source, chance = place / "conversations.json", _Chance(2)
    messages = number = 0
    with source.open("wb") as file:
        while file.tell() < size:
            said = chance.random.randrange(2, 200)
            record = chance.conversation(number, said)
            file.write((b"[" if number == 0 else b",\n") + json.dumps(record).encode())
            number, messages = number + 1, messages + said
        file.write(b"]\n")
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


class _Chance:
    """Made-up talk; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self._text = " ".join(self.random.choices(_WORDS, k=300_000))
        self._last: str | None = None
        self._at = _BEGIN

    def _id(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def _say(self, most: int) -> str:
        begin, length = self.random.randrange(1_000_000), self.random.randrange(20, most)
        return self._text[begin : begin + length]

    def turn(self, number: int) -> list[bytes]:
        """The lines of a prompt, calls of tools with their results, and an answer."""
        lines = [self._line("user", {"content": f"{number}: {self._say(400)}"})]
        for call in range(_CALLS):
            call_id = f"toolu_{number}_{call}"
            content: list[dict[str, Any]] = [
                {"type": "tool_use", "id": call_id, "name": "Bash",
                 "input": {"command": self._say(300)}}
            ]  # fmt: skip
            lines.append(self._line("assistant", self._answer(f"{number}_{call}", content)))
            size = 60_000 if self.random.random() < 0.02 else 3_000
            content = [
                {"type": "tool_result", "tool_use_id": call_id, "content": self._say(size)}
            ]
            lines.append(self._line("user", {"content": content}))
        content = [{"type": "text", "text": self._say(2_000)}]
        return [*lines, self._line("assistant", self._answer(f"{number}", content))]

    def blocks(self, number: int) -> list[bytes]:
        """The same in an ``/export`` text."""
        blocks = [f"> {number}: {self._say(400)}\n\n"]
        for _ in range(_CALLS):
            size = 60_000 if self.random.random() < 0.02 else 3_000
            blocks.append(f"⏺ Bash({self._say(300)})\n")
            blocks.append(f"  ⎿  {self._wrapped(size)}\n\n")
        return [block.encode() for block in [*blocks, f"⏺ {self._wrapped(2_000)}\n\n"]]

    def _wrapped(self, most: int) -> str:
        said = self._say(most)
        return "\n     ".join(said[n : n + 100] for n in range(0, len(said), 100))

    @staticmethod
    def _answer(name: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        usage = {"input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 30}
        return {"id": f"msg_{name}", "model": "claude-x", "content": content, "usage": usage}

    def _line(self, role: str, said: dict[str, Any]) -> bytes:
        own, self._at = self._id(), self._at + timedelta(seconds=1)
        record = {
            "parentUuid": self._last, "isSidechain": False, "cwd": "/home/ana/bakery",
            "sessionId": "5b1f0c3e-0000-4c4c-8a8a-000000000001", "version": "2.1.0",
            "gitBranch": "main", "type": role, "message": {"role": role, **said}, "uuid": own,
            "timestamp": self._at.isoformat(),
        }  # fmt: skip
        self._last = own
        return json.dumps(record).encode() + b"\n"

    def conversation(self, number: int, messages: int) -> dict[str, Any]:
        """One of an account export of claude.ai."""
        at = _BEGIN + timedelta(hours=number)
        return {
            "uuid": self._id(), "name": f"talk {number}", "created_at": at.isoformat(),
            "updated_at": at.isoformat(), "account": {"uuid": "ac"},
            "chat_messages": [
                {
                    "uuid": self._id(), "sender": ("human", "assistant")[turn % 2],
                    "text": (text := self._say(3_000)),
                    "content": [{"type": "text", "text": text}],
                    "created_at": (at + timedelta(seconds=turn)).isoformat(),
                    "attachments": [], "files": [],
                }
                for turn in range(messages)
            ],
        }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
