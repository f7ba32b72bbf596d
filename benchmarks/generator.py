"""Made-up exports, as large and as many as one likes.

    python -m benchmarks.generator FOLDER [--format text|jsonl|json] [--megabytes 50]
        [--mean-kb 50] [--seed 1] [--repeats 0.16] [--segments 4] [--growth 0]

The same seed gives the same bytes. A text export shows one segment of a session; with
``--segments N`` a session was compacted up to N - 1 times and is exported once for each
segment (a JSONL session has the compactions within). With ``--growth N`` every export is
followed by N later ones of the same segment, each 5 % larger, the earlier a head of it.
Printed is what was made: files, bytes, messages.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .session_jsonl import jsonl_pieces
from .session_text import text_pieces
from .talk import REPEATS, Turn, turns

GROWTH = 1.05
_BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Made:
    """``messages`` as exportd counts them: those that the files show, known or not."""

    files: list[Path]
    size_bytes: int
    messages: int


class Growing:
    """A file that is written up to a size, and later up to a larger one.

    ``pieces`` are bytes that may stand at the end of a file, and the messages in them: the
    header, then one turn each.
    """

    def __init__(self, pieces: Iterator[tuple[bytes, int]]) -> None:
        self._pieces = pieces
        header, self.messages = next(pieces)
        self._data = bytearray(header)

    def until(self, size_bytes: int) -> bytes:
        """The first ``size_bytes`` or a little more; always a turn more than before."""
        while True:
            data, messages = next(self._pieces)
            self._data += data
            self.messages += messages
            if len(self._data) >= size_bytes:
                return bytes(self._data)


def write(path: Path, pieces: Iterator[tuple[bytes, int]], size_bytes: int) -> int:
    """Append pieces until the file has that size; the messages in them. For huge files."""
    messages = 0
    with path.open("ab") as file:
        while not messages or file.tell() < size_bytes:
            data, more = next(pieces)
            file.write(data)
            messages += more
    return messages


def texts(
    folder: Path, size_bytes: int, *, seed: int = 1, mean_bytes: int = 50_000,
    repeats: float = REPEATS, segments: int = 4, growth: int = 0,
) -> Made:  # fmt: skip
    """Text exports of Claude Code, of that size together, ``mean_bytes`` in the mean."""
    chance = random.Random(f"texts {seed}")  # noqa: S311

    def session(number: int) -> Iterator[tuple[Path, Growing]]:
        for segment in range(chance.randint(1, segments)):
            of = turns(f"text {seed} {number} {segment}", repeats)
            pieces = text_pieces(of, client=number, compacted=segment > 0)
            yield folder / f"EXPORT-PROJECT-{number:05}.txt", Growing(pieces)

    return _fill(folder, size_bytes, session, chance, mean_bytes, growth)


def sessions(
    folder: Path, size_bytes: int, *, seed: int = 1, mean_bytes: int = 500_000,
    repeats: float = REPEATS, compact_every: int = 60, growth: int = 0,
) -> Made:  # fmt: skip
    """Session files of Claude Code; a compaction after every ``compact_every`` turns."""
    chance = random.Random(f"sessions {seed}")  # noqa: S311

    def session(number: int) -> Iterator[tuple[Path, Growing]]:
        of = turns(f"jsonl {seed} {number}", repeats)
        session_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        pieces = jsonl_pieces(of, session_id, compact_every=compact_every)
        yield folder / f"{session_id}.jsonl", Growing(pieces)

    return _fill(folder, size_bytes, session, chance, mean_bytes, growth)


def _fill(
    folder: Path, size_bytes: int, session: Callable[[int], Iterator[tuple[Path, Growing]]],
    chance: random.Random, mean_bytes: int, growth: int,
) -> Made:  # fmt: skip
    """The days in the names of text exports go up, as far as a session goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    size = messages = number = 0
    while size < size_bytes:
        day = 0
        for path, export in session(number):
            wanted = int(mean_bytes * 0.75 * chance.lognormvariate(0, 0.75))
            wanted = max(1_000, min(wanted, size_bytes - size))
            for step in range(growth + 1):
                data = export.until(int(wanted * GROWTH**step))
                files.append(_dated(path, day, step))
                files[-1].write_bytes(data)
                size, messages, day = size + len(data), messages + export.messages, day + 1
            if size >= size_bytes:
                break
        number += 1
    return Made(files, size, messages)


def _dated(path: Path, day: int, step: int) -> Path:
    if path.suffix == ".txt":
        return path.with_name(f"{_BEGIN + timedelta(days=day):%Y-%m-%d}-{path.name}")
    if not step:
        return path
    (path.parent / f"later-{step}").mkdir(exist_ok=True)  # a session file keeps its name
    return path.parent / f"later-{step}" / path.name


def conversations(seed: int = 1) -> Iterator[tuple[bytes, int]]:
    """Records of an account export of claude.ai, without end; they stand in a list."""
    chance = random.Random(f"conversations {seed}")  # noqa: S311
    for number, of in enumerate(iter(lambda: turns(f"json {seed} {chance.random()}"), None)):
        said = chance.randrange(1, 100)
        record = _conversation(chance, number, [next(of) for _ in range(said)])
        yield json.dumps(record).encode(), 2 * said


def write_conversations(path: Path, size_bytes: int, *, seed: int = 1) -> int:
    """An account export of at least that size; its messages."""
    messages = 0
    with path.open("wb") as file:
        for data, more in conversations(seed):
            file.write((b",\n" if messages else b"[") + data)
            messages += more
            if file.tell() >= size_bytes:
                break
        file.write(b"]\n")
    return messages


def _conversation(chance: random.Random, number: int, said: list[Turn]) -> dict[str, Any]:
    at = (_BEGIN + timedelta(hours=number)).isoformat()
    texts = [text for turn in said for text in (turn.prompt, _whole_answer(turn))]
    return {
        "uuid": _id(chance), "name": f"talk {number}", "created_at": at, "updated_at": at,
        "account": {"uuid": "ac"},
        "chat_messages": [
            {
                "uuid": _id(chance), "sender": ("human", "assistant")[place % 2],
                "text": (text := "\n".join(lines)),
                "content": [{"type": "text", "text": text}],
                "created_at": (_BEGIN + timedelta(hours=number, seconds=place)).isoformat(),
                "attachments": [], "files": [],
            }
            for place, lines in enumerate(texts)
        ],
    }  # fmt: skip


def _whole_answer(turn: Turn) -> list[str]:
    """A chat without tools says in its answer what elsewhere stands in results."""
    return [line for step in turn.steps for line in step.prose + step.result] + turn.answer


def _id(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--format", choices=("text", "jsonl", "json"), default="text")
    parser.add_argument("--megabytes", type=float, default=50.0)
    parser.add_argument("--mean-kb", type=float, default=50.0, help="of a file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=float, default=REPEATS)
    parser.add_argument("--segments", type=int, default=4, help="of a text session, at most")
    parser.add_argument("--growth", type=int, default=0, help="later exports of each")
    options = parser.parse_args()
    size = int(options.megabytes * 1_000_000)
    common = {
        "seed": options.seed, "mean_bytes": int(options.mean_kb * 1_000),
        "repeats": options.repeats, "growth": options.growth,
    }  # fmt: skip
    if options.format == "json":
        options.folder.mkdir(parents=True, exist_ok=True)
        file = options.folder / "conversations.json"
        messages = write_conversations(file, size, seed=options.seed)
        made = Made([file], file.stat().st_size, messages)
    elif options.format == "jsonl":
        made = sessions(options.folder, size, **common)
    else:
        made = texts(options.folder, size, segments=options.segments, **common)
    sys.stdout.write(
        f"{len(made.files):,} files, {made.size_bytes:,} bytes, {made.messages:,} messages\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
