"""How much text two files share, found without exportd: by runs of words.

Eight words in a row are the same eight words at any width of the window, so that a
rendering that was wrapped anew still shares its runs. What stands in many groups of
files (a banner, a summary's first sentence) tells nothing and is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

RUN_WORDS = 8
COMMON_GROUPS = 20


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two texts by their numbers; ``share`` is of the runs of the one that has fewer."""

    a: int
    b: int
    shared: int
    smaller: int

    @property
    def share(self) -> float:
        return self.shared / self.smaller if self.smaller else 0.0


def overlaps(texts: Sequence[str], groups: Sequence[int]) -> list[Overlap]:
    """All pairs of texts that share a run; ``groups`` says to which group each belongs.

    Pairs of one group are there even when they share nothing.
    """
    holders: dict[int, list[int]] = {}
    for number, text in enumerate(texts):
        for run in _runs(text):
            holders.setdefault(run, []).append(number)
    telling = [h for h in holders.values() if len({groups[n] for n in h}) <= COMMON_GROUPS]
    sizes = Counter(number for numbers in telling for number in numbers)
    shared = Counter(pair for numbers in telling for pair in combinations(numbers, 2))
    shared.update(dict.fromkeys(_within(groups), 0))
    return [Overlap(a, b, n, min(sizes[a], sizes[b])) for (a, b), n in sorted(shared.items())]


def _runs(text: str) -> set[int]:
    words = text.split()
    return {hash(tuple(words[n : n + RUN_WORDS])) for n in range(len(words) - RUN_WORDS + 1)}


def _within(groups: Sequence[int]) -> Iterator[tuple[int, int]]:
    members: dict[int, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    for numbers in members.values():
        yield from combinations(numbers, 2)
