"""Writers that drop generated sessions in every way that programs write files."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

# So often is a session exported; and so often, of these, with nothing new in it.
EXPORTS_A_SESSION = 8
SAME_AGAIN = 0.1


@dataclass
class Truth:
    """What was dropped: the turns of each session, and every distinct content."""

    sessions: dict[str, list[str]] = field(default_factory=dict)
    contents: set[str] = field(default_factory=set)
    drops: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def message_count(self) -> int:
        return sum(map(len, self.sessions.values()))

    def note(self, session: str, turns: list[str], text: str) -> None:
        """One drop, complete in the folder."""
        with self.lock:
            self.drops += 1
            self.contents.add(text)
            if len(turns) > len(self.sessions.get(session, [])):
                self.sessions[session] = turns


class Writers:
    """So many threads, which drop so many files within so many seconds.

    ``quiet`` makes them pause between two files: for faults that would hurt a writer.
    """

    def __init__(
        self, exports: Path, truth: Truth, files: int, seconds: float, threads: int, seed: int
    ) -> None:
        self._exports = exports
        self._truth = truth
        self._pause_s = seconds * threads / max(files, 1)
        self._stopping = threading.Event()
        self._turns = [threading.Lock() for _ in range(threads)]
        self._threads = [
            threading.Thread(target=self._write, args=(number, files // threads, seed))
            for number in range(threads)
        ]

    @property
    def are_busy(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Between two files of every writer."""
        with ExitStack() as turns:
            for turn in self._turns:
                turns.enter_context(turn)
            yield

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int, files: int, seed: int) -> None:
        chance = random.Random(f"{seed} {number}")  # noqa: S311
        session = _Session("", [], EXPORTS_A_SESSION)
        for _ in range(files):
            if self._stopping.wait(chance.uniform(0, 2 * self._pause_s)):
                return
            if session.exports == EXPORTS_A_SESSION:
                session = _Session(f"{number}-{chance.getrandbits(64):016x}", [], 0)
            session.exports += 1
            if not session.turns or chance.random() > SAME_AGAIN:
                session.turns = [*session.turns, *_said(chance, session)]
            name = f"2025-01-{session.exports:02}-EXPORT-{session.name}.txt"
            text = _rendered(session.turns)
            with self._turns[number]:
                chance.choice(WAYS)(self._exports, name, text, chance)
                self._truth.note(session.name, session.turns, text)


@dataclass
class _Session:
    name: str
    turns: list[str]
    exports: int


def _said(chance: random.Random, session: _Session) -> list[str]:
    """An even number of turns more; but for the first ones, some repeat what was said."""
    before, said = len(session.turns), []
    for n in range(before, before + 2 * chance.randint(1, 12)):
        repeats = n > 3 and chance.random() < 0.2
        said.append("continue" if repeats else f"turn {n} of {session.name} {chance.random()}")
    return said


def _rendered(turns: list[str]) -> str:
    return "\n".join(f"{'⏺' if n % 2 else '>'} {turn}\n" for n, turn in enumerate(turns))


def _plain(exports: Path, name: str, text: str, _chance: random.Random) -> None:
    (exports / name).write_text(text)


def _slow(exports: Path, name: str, text: str, chance: random.Random) -> None:
    """In pieces, with pauses longer than the settle time now and then, never closed."""
    with (exports / name).open("w") as file:
        for start in range(0, len(text), 1 + len(text) // 3):
            file.write(text[start : start + 1 + len(text) // 3])
            file.flush()
            time.sleep(chance.choice((0.05, 0.2, 0.8)))


def _renamed(exports: Path, name: str, text: str, _chance: random.Random) -> None:
    (exports / f"{name}.part").write_text(text)
    (exports / f"{name}.part").rename(exports / name)


def _linked(exports: Path, name: str, text: str, _chance: random.Random) -> None:
    (exports / f".{name}").write_text(text)
    (exports / name).hardlink_to(exports / f".{name}")
    (exports / f".{name}").unlink()


def _moved(exports: Path, name: str, text: str, _chance: random.Random) -> None:
    """A folder made elsewhere on the same disk, moved in whole."""
    folder = exports.parent.parent / f"outside-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    (folder / name).write_text(text)
    folder.rename(exports / folder.name)


WAYS: tuple[Callable[[Path, str, str, random.Random], None], ...] = (
    _plain, _plain, _plain, _slow, _renamed, _linked, _moved,
)  # fmt: skip
