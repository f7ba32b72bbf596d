"""Made-up talk of people with a coding assistant, seeded: what is said, before any rendering.

Words are invented and as frequent as in a language; lengths have the long tails of real
sessions: half of the results are below 200 bytes, one in a hundred is above 10 kB. Made of
slices of prepared lines, so that a gigabyte takes seconds and not minutes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import TypeVar

_T = TypeVar("_T")

REPEATS = 0.16  # share of blocks that say what was said before in the same session
_CALLS = 7.2  # of tools in a turn, in the mean
_PROSE_BEFORE_CALL = 0.44
_THINKS = 0.25  # share of calls before which the assistant thinks
_MOST_BYTES = 60_000
_LINES = 40_000
# Of texts, in bytes: the median, and the standard deviation of its logarithm.
_LENGTHS = {
    "prompt": (71, 1.8),
    "prose": (107, 1.7),
    "thought": (200, 1.0),
    "result": (290, 1.9),
    "change": (600, 1.5),
}
_TOOLS = ("Bash", "Read", "Grep", "Edit", "Write")
_TOOL_WEIGHTS = (50, 17, 8, 20, 5)


@dataclass(frozen=True, slots=True)
class Step:
    """A call of a tool and its result. ``lines`` are what it wrote or changed, else empty."""

    thought: list[str]
    prose: list[str]
    tool: str
    target: str
    lines: list[str]
    result: list[str]


@dataclass(frozen=True, slots=True)
class Turn:
    """From a prompt to the answer; every text in lines of at most 74 characters."""

    prompt: list[str]
    steps: list[Step]
    answer: list[str]


def turns(seed: str, repeats: float = REPEATS) -> Iterator[Turn]:
    """One session, without end; the same for the same seed."""
    return _Speaker(seed, repeats).turns()


class _Speaker:
    def __init__(self, seed: str, repeats: float) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._repeats = repeats
        self._prose, self._code = _pools()
        self._prompts: list[list[str]] = []
        self._said: list[list[str]] = []
        self._steps: list[Step] = []

    def turns(self) -> Iterator[Turn]:
        while True:
            prompt = self._again(self._prompts) or self._new(self._prompts, "prompt")
            calls = min(int(self._random.expovariate(1 / _CALLS) + 0.5), 60)
            yield Turn(prompt, [self._step() for _ in range(calls)], self._speak())

    def _step(self) -> Step:
        if step := self._again(self._steps):
            return step
        chance = self._random.random
        thought = self._take("thought") if chance() < _THINKS else []
        prose = self._speak() if chance() < _PROSE_BEFORE_CALL else []
        (tool,) = self._random.choices(_TOOLS, _TOOL_WEIGHTS)
        target = self._random.choice(self._code).strip()
        if tool == "Bash":
            words = self._random.choice(self._prose)[: int(10 + chance() * 120)]
            target = f"grep -rn '{words}' src/{_path(target)} | head -{int(chance() * 90)}"
        elif tool != "Grep":
            target = f"src/{_path(target)}_{int(chance() * 9_000)}.py"
        lines = self._take("change") if tool in ("Edit", "Write") else []
        step = Step(thought, prose, tool, target, lines, [] if lines else self._take("result"))
        # What is said again bare: one looks twice, but does not think and speak the same.
        self._steps.append(Step([], [], tool, target, lines, step.result))
        return step

    def _speak(self) -> list[str]:
        return self._again(self._said) or self._new(self._said, "prose")

    def _new(self, said: list[list[str]], what: str) -> list[str]:
        said.append(self._take(what))
        return said[-1]

    def _again(self, said: list[_T]) -> _T | None:
        """Something that was said before, of the last hundred."""
        if said and self._random.random() < self._repeats:
            return said[-1 - int(self._random.random() * min(len(said), 100))]
        return None

    def _take(self, what: str) -> list[str]:
        median, deviation = _LENGTHS[what]
        size = int(self._random.lognormvariate(0, deviation) * median)
        size = max(4, min(size, _MOST_BYTES))
        pool = self._code if what in ("result", "change") else self._prose
        at = int(self._random.random() * (_LINES - size // 20 - 2))
        taken = []
        while size > 0:
            taken.append(pool[at][:size])
            size -= len(taken[-1]) + 1
            at += 1
        return taken


def _path(line: str) -> str:
    return "".join(c if c.isalpha() else "_" for c in line[:12]).strip("_")


@cache
def _pools() -> tuple[list[str], list[str]]:
    """Lines of prose, and lines that look like code and its output."""
    chance = random.Random("pools")  # noqa: S311
    words = _words(chance)
    weights = list(accumulate(1 / (rank + 3) for rank in range(len(words))))
    said = iter(chance.choices(words, cum_weights=weights, k=_LINES * 16))
    prose = [_prose_line(said, chance) for _ in range(_LINES)]
    return prose, [_code_line(said, chance) for _ in range(_LINES)]


def _words(chance: random.Random) -> list[str]:
    onsets = ["b", "c", "d", "f", "g", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "pl"]
    nuclei = ["a", "e", "i", "o", "u", "ea", "ou"]
    ends = ["", "", "n", "r", "s", "t", "l", "nd", "st"]
    made: dict[str, None] = {}
    while len(made) < 8_000:
        syllables = min(1 + len(made) // 500, 1 + int(chance.random() * 3.5))
        made["".join(
            chance.choice(onsets) + chance.choice(nuclei) + chance.choice(ends)
            for _ in range(syllables)
        )] = None  # fmt: skip
    return list(made)


def _prose_line(words: Iterator[str], chance: random.Random) -> str:
    line = next(words).capitalize()
    while len(line) < 56:
        line += (", " if chance.random() < 0.06 else " ") + next(words)
    return line + "." if chance.random() < 0.3 else line


def _code_line(words: Iterator[str], chance: random.Random) -> str:
    a, b, c = next(words), next(words), next(words)
    number = int(chance.random() * 10_000)
    form = int(chance.random() * 5)
    indent = " " * (4 * int(chance.random() * 3))
    return (
        f"{indent}self.{a} = {b}({c}, {number})",
        f"{indent}if {a}_{b} is None or {c} > {number}:",
        f'{indent}return [{a} for {a} in {b} if "{c}" in {a}]',
        f"src/{a}/{b}.py:{number}: {c} is not what {a} expected",
        f"{indent}{a} {b} {number} {c}",
    )[form]
