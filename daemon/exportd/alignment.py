"""Which messages of an export are new: place by place, never text by text.

A stored segment and an incoming run are two renderings of one ordered sequence.
Equal texts at new places are repeats and stay; other texts at the same place are
other renderings. Places are found from the outside in: the equal head, then the
anchors, then what lies between two anchors (DESIGN 4).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from itertools import accumulate
from math import inf

from .fingerprint import compact, continues, equal_places, forget_texts, is_anchor, matching
from .likeness import alike, forget_likenesses
from .models import Kind, Outcome, Place, Plan, Step

# A gap with more cells than this is aligned by equal texts and by kind and tool alone: a
# cell takes some 50 microseconds, so that no gap takes much longer than a second. So are all
# gaps after the first ones that together have MAX_ALL_CELLS: a file may have thousands.
MAX_CELLS = 20_000
MAX_ALL_CELLS = 200_000  # real sessions have a tenth of it
MAX_COARSE_CELLS = 1_000_000
MAX_ANSWERS = 100  # so many results of calls side by side are told apart by their order

# How alike two texts must be to be renderings of one message, as a share of the shorter.
# Between two anchors a tool call's place speaks for itself; behind the last one only
# its text does. Prompts and prose must always be alike.
_ALIKE_ANCHOR = 0.6
_ALIKE_AT_END = 0.5

_SAME_TEXT = 8.0
_SAME_TEXT_GROWN = 6.0
_SAME_PLACE = 2.0
_LEFT_OUT = 1.0

_NO_TIME = datetime.min.replace(tzinfo=UTC)

_Pairs = list[tuple[int, int]]  # (index among the known, index among the incoming)


def align(
    known: Sequence[Place], incoming: Sequence[Place], follows: str | None = None
) -> Plan:
    """The plan that adds ``incoming`` to ``known``: two runs of one segment, in order.

    ``follows`` is the native id of the message that ``incoming`` goes on from, if it is one.
    """
    try:
        return _align(known, incoming, follows)
    finally:
        forget_texts()
        forget_likenesses()


def _align(known: Sequence[Place], incoming: Sequence[Place], follows: str | None) -> Plan:
    if all(place.source_id is not None for place in (*known, *incoming)):
        return _by_id(known, incoming, follows)
    if all(place.source_index is not None for place in (*known, *incoming)):
        return _by_index(known, incoming)
    pairs = _pairs(known, incoming)
    return Plan(
        steps=tuple(_steps(known, incoming, {i: k for k, i in pairs})),
        order=tuple(_order(len(known), len(incoming), pairs)),
    )


def _by_id(known: Sequence[Place], incoming: Sequence[Place], follows: str | None) -> Plan:
    """Native ids are messages; other content under one is another rendering of it."""
    if not known:
        return Plan(
            tuple(Step(Outcome.NEW, number) for number in range(len(incoming))),
            tuple(range(-1, -1 - len(incoming), -1)),
        )
    at = {place.source_id: number for number, place in enumerate(known)}
    pairs = {i: at[p.source_id] for i, p in enumerate(incoming) if p.source_id in at}
    return Plan(
        steps=tuple(_steps(known, incoming, pairs)),
        order=tuple(_order_by_time(known, incoming, pairs, _behind(known, follows))),
    )


def _behind(known: Sequence[Place], follows: str | None) -> int:
    """Where a message ends, with what was spread of its line; 0 where it is not known."""
    own = f"{follows}/"
    found = (n for n, place in enumerate(known) if f"{place.source_id}/".startswith(own))
    return 1 + max(found, default=-1) if follows is not None else 0


def _order_by_time(
    known: Sequence[Place], incoming: Sequence[Place], pairs: Mapping[int, int], begin: int
) -> Iterator[int]:
    """Stored messages keep their order, and new ones the one among themselves.

    Where both sides have something of their own between two shared messages (a branch, a
    session file that was begun anew) it lies by time, so that it lies the same whichever
    came first. A shared message that stands elsewhere in the export counts for no order, nor
    does one before ``begin``: all that is new lies behind that.
    """
    yield from range(begin)
    k, i = begin, 0
    ahead = {incoming_n: n for incoming_n, n in pairs.items() if n >= begin}
    for paired_i, paired_k in [*_rising(ahead), (len(incoming), len(known))]:
        own = [n for n in range(i, paired_i) if n not in pairs]
        yield from _by_time(known, incoming, range(k, paired_k), own)
        if paired_k < len(known):
            yield paired_k
        k, i = paired_k + 1, paired_i + 1


def _by_time(
    known: Sequence[Place], incoming: Sequence[Place], ks: Sequence[int], ins: Sequence[int]
) -> Iterator[int]:
    stored = _timed([(known[k], k) for k in ks])
    new = _timed([(incoming[i], -1 - i) for i in ins])
    yield from (number for *_, number in merge(stored, new))


def _timed(run: Sequence[tuple[Place, int]]) -> list[tuple[datetime, str, int]]:
    """A run with its times, which do not fall: one without a time is as old as the last."""
    times = accumulate((place.occurred_at or _NO_TIME for place, _ in run), max)
    return [
        (time, place.source_id or "", number)
        for time, (place, number) in zip(times, run, strict=True)
    ]


def _rising(pairs: Mapping[int, int]) -> list[tuple[int, int]]:
    """The most pairs, by incoming index, whose stored indices rise as well."""
    ends: list[int] = []  # the least stored index that a run of each length ends with
    last: list[int] = []
    before: dict[int, int | None] = {}
    for i, k in sorted(pairs.items()):
        length = bisect_left(ends, k)
        ends[length : length + 1] = [k]
        last[length : length + 1] = [i]
        before[i] = last[length - 1] if length else None
    found = []
    at = last[-1] if last else None
    while at is not None:
        found.append((at, pairs[at]))
        at = before[at]
    return found[::-1]


def _by_index(known: Sequence[Place], incoming: Sequence[Place]) -> Plan:
    """Native indices are places; other content at one is kept, and a conflict."""
    at = {place.source_index: number for number, place in enumerate(known)}
    pairs = {i: at[p.source_index] for i, p in enumerate(incoming) if p.source_index in at}
    rows = [(p.source_index or 0, k) for k, p in enumerate(known)]
    rows += [(p.source_index or 0, -1 - i) for i, p in enumerate(incoming) if i not in pairs]
    return Plan(
        steps=tuple(_steps(known, incoming, pairs)),
        order=tuple(number for _, number in sorted(rows, key=lambda row: row[0])),
        conflicts=tuple(
            incoming[i].source_index or 0
            for i, k in pairs.items()
            if not _same(known[k], incoming[i]) and not _grown(known[k], incoming[i])
        ),
    )


def _pairs(known: Sequence[Place], incoming: Sequence[Place]) -> _Pairs:
    """Which stored and incoming messages stand at the same place, both ascending."""
    pairs = _pairs_by_place(known, incoming)
    return pairs if len(pairs) == len(incoming) else _held(known, incoming) or pairs


def _held(known: Sequence[Place], incoming: Sequence[Place]) -> _Pairs | None:
    """The pairs when all of ``incoming`` stands, in order, among the known; else None.

    So it is when a branch that was stored is exported again. Texts repeat, so it is asked
    only when something would be new otherwise.
    """
    rest = iter(enumerate(known))
    pairs = []
    for number, place in enumerate(incoming):
        found = next((k for k, stored in rest if _same(stored, place)), None)
        if found is None:
            return None
        pairs.append((found, number))
    return pairs


def _pairs_by_place(known: Sequence[Place], incoming: Sequence[Place]) -> _Pairs:
    head = 0
    for a, b in zip(known, incoming, strict=False):
        if not _same(a, b):
            break
        head += 1
    pairs = [(n, n) for n in range(head)]
    k0 = i0 = head
    cells = 0
    for k1, i1 in _anchor_pairs(known, incoming, head):
        gap = _Gap(known[k0:k1], incoming[i0:i1], closed=True, coarse=cells > MAX_ALL_CELLS)
        cells += gap.cells
        pairs += [(k0 + k, i0 + i) for k, i in gap.pairs()]
        pairs.append((k1, i1))
        k0, i0 = k1 + 1, i1 + 1
    # Anchors do not vanish, so what lies before the next one on either side lies there on
    # both; only a branch or another rendering of the anchor itself has more to pair.
    k1, i1 = _next_anchor(known, k0), _next_anchor(incoming, i0)
    if k1 == len(known) - 1 or i1 == len(incoming) - 1:
        k1, i1 = k1 + 1, i1 + 1  # cut, an end may look like an anchor
    turn = _Gap(known[k0:k1], incoming[i0:i1], closed=False, follows=k0 > 0)
    rest = _Gap(known[k1:], incoming[i1:], closed=False)
    pairs += [(k0 + k, i0 + i) for k, i in turn.pairs()]
    return pairs + [(k1 + k, i1 + i) for k, i in rest.pairs()]


def _next_anchor(run: Sequence[Place], start: int) -> int:
    return next((n for n in range(start, len(run)) if is_anchor(run[n])), len(run))


def _anchor_pairs(known: Sequence[Place], incoming: Sequence[Place], head: int) -> _Pairs:
    ks = [n for n in range(head, len(known)) if is_anchor(known[n])]
    ins = [n for n in range(head, len(incoming)) if is_anchor(incoming[n])]
    equal = equal_places([known[n] for n in ks], [incoming[n] for n in ins])
    # An end that was cut may equal the end of a later turn: what goes on from it comes first.
    if equal and _goes_on_before([known[n] for n in ks], [incoming[n] for n in ins], equal):
        equal.pop()
    return [(ks[k], ins[i]) for k, i in equal]


def _goes_on_before(known: list[Place], incoming: list[Place], pairs: _Pairs) -> bool:
    k0, i0 = pairs[-2] if len(pairs) > 1 else (-1, -1)
    k1, i1 = pairs[-1]
    known_end, incoming_end = k1 == len(known) - 1, i1 == len(incoming) - 1
    return (known_end and any(continues(known[k1], p) for p in incoming[i0 + 1 : i1])) or (
        incoming_end and any(continues(incoming[i1], p) for p in known[k0 + 1 : k1])
    )


@dataclass(frozen=True, slots=True)
class _Gap:
    """Two short runs between paired anchors; the one behind the last is not closed.

    ``follows``: what stands before it in both runs is one message. ``coarse``: its cells are
    not to be looked at one by one.
    """

    known: Sequence[Place]
    incoming: Sequence[Place]
    closed: bool
    follows: bool = False
    coarse: bool = False

    @property
    def cells(self) -> int:
        """How many are looked at one by one."""
        cells = len(self.known) * len(self.incoming)
        return 0 if self.coarse or cells > MAX_CELLS else cells

    def pairs(self) -> _Pairs:
        """The best pairing in order (Needleman-Wunsch).

        To leave out costs something, for messages do not vanish, and paths that another
        directory shows differently may read like their neighbours. It costs nothing at
        the open end, where one run just goes on.
        """
        rows, columns = len(self.known), len(self.incoming)
        if not rows or not columns:
            return []
        if not self.cells:
            return list(self._coarse_pairs())
        score = [[self._score(k, i) for i in range(columns)] for k in range(rows)]
        end = _LEFT_OUT if self.closed else 0.0
        best = [[-end * (columns - i) for i in range(columns + 1)] for _ in range(rows + 1)]
        for k in range(rows - 1, -1, -1):
            best[k][columns] = -end * (rows - k)
            for i in range(columns - 1, -1, -1):
                paired = best[k + 1][i + 1] + score[k][i] if score[k][i] else -inf
                best[k][i] = max(paired, max(best[k + 1][i], best[k][i + 1]) - _LEFT_OUT)
        return list(_walk(best, score))

    def _coarse_pairs(self) -> Iterator[tuple[int, int]]:
        """Too many cells: equal texts first, then what is of one kind and tool between."""
        k0 = i0 = 0
        for k1, i1 in [*equal_places(self.known, self.incoming), (None, None)]:
            known = [_shape(place) for place in self.known[k0:k1]]
            incoming = [_shape(place) for place in self.incoming[i0:i1]]
            if known == incoming:
                shaped = [(n, n) for n in range(len(known))]
            elif len(known) * len(incoming) <= MAX_COARSE_CELLS:
                shaped = matching(known, incoming)
            else:
                shaped = []
            yield from ((k0 + k, i0 + i) for k, i in shaped if self._score(k0 + k, i0 + i) > 0)
            if k1 is not None and i1 is not None:
                yield k1, i1
                k0, i0 = k1 + 1, i1 + 1

    def _score(self, k: int, i: int) -> float:
        """How much speaks for one place; 0 is nothing."""
        a, b = self.known[k], self.incoming[i]
        # "Running…" is like nothing, not even itself: the first that fits is its place.
        running = a.in_flight or b.in_flight
        same = _same(a, b) and not running
        if _shape(a) != _shape(b):  # cut in its name, a tool call looks like prose
            grown = _SAME_TEXT_GROWN if self._provisional(k, i) else 0.0
            return _SAME_TEXT if same else grown
        if a.kind is Kind.TOOL_RESULT and self._answers(k, i):
            return _SAME_TEXT + (1.0 if same else alike(a, b))
        if same or running:
            return _SAME_TEXT if same else _SAME_PLACE
        if self._provisional(k, i):
            return _SAME_TEXT_GROWN
        share = alike(a, b)
        return _SAME_PLACE + 2 * share if share >= self._needed(a) else 0.0

    def _provisional(self, k: int, i: int) -> bool:
        """Whether one is the end of its run and the other says the same and more."""
        if self.closed:
            return False
        a, b = self.known[k], self.incoming[i]
        return (k == len(self.known) - 1 and continues(a, b)) or (
            i == len(self.incoming) - 1 and continues(b, a)
        )

    def _needed(self, a: Place) -> float:
        if is_anchor(a):
            return _ALIKE_ANCHOR if self.closed else 1.0
        return 0.0 if self.closed else _ALIKE_AT_END

    def _answers(self, k: int, i: int) -> bool:
        """Whether both are the same one of the results behind one and the same message."""
        for _ in range(MAX_ANSWERS):
            if k == 0 or i == 0:
                return self.follows and k == i
            k, i = k - 1, i - 1
            if not self.known[k].kind is self.incoming[i].kind is Kind.TOOL_RESULT:
                return self._score(k, i) > 0
        return False


def _shape(place: Place) -> str:
    return f"{place.role}/{place.kind}/{place.tool}"


def _walk(best: list[list[float]], score: list[list[float]]) -> Iterator[tuple[int, int]]:
    k = i = 0
    while k < len(score) and i < len(score[0]):
        if score[k][i] and best[k][i] == best[k + 1][i + 1] + score[k][i]:
            yield k, i
            k, i = k + 1, i + 1
        elif best[k][i] == best[k][i + 1] - _LEFT_OUT:
            i += 1
        else:
            k += 1


def _same(a: Place, b: Place) -> bool:
    return bool(a.hashes & b.hashes)


def _grown(a: Place, b: Place) -> bool:
    return continues(a, b) or continues(b, a)


def _order(known: int, incoming: int, pairs: _Pairs) -> Iterator[int]:
    """Stored messages keep their order; new ones stand behind what they followed."""
    k = i = 0
    for paired_k, paired_i in [*pairs, (known, incoming)]:
        yield from range(k, paired_k)
        yield from (-1 - n for n in range(i, paired_i))
        if paired_k < known:
            yield paired_k
        k, i = paired_k + 1, paired_i + 1


def _steps(
    known: Sequence[Place], incoming: Sequence[Place], pairs: Mapping[int, int]
) -> Iterator[Step]:
    for number, place in enumerate(incoming):
        if number not in pairs:
            yield Step(Outcome.NEW, number)
            continue
        stored = known[pairs[number]]
        replace = _richness(place) > _richness(stored)
        yield Step(_outcome(stored, place, replace=replace), number, pairs[number], replace)


def _outcome(stored: Place, place: Place, *, replace: bool) -> Outcome:
    if _same(stored, place):
        return Outcome.DUPLICATE
    if replace and (stored.in_flight or continues(stored, place)):
        return Outcome.COMPLETED
    return Outcome.RERENDERED


def _richness(place: Place) -> tuple[bool, int, int, str]:
    """A total order, so that any order of arrival ends with the same content."""
    return not place.in_flight, len(compact(place.text)), -place.text.count("\n"), place.text
