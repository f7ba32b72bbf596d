"""The identity of a text: what stays the same when a rendering changes."""

from __future__ import annotations

import hashlib
import unicodedata
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import accumulate

from .models import Kind, Message, Place, Role

# How many elements and pairs of equal ones the search for long runs may look at, for each
# element of both: a look takes up to 0.4 microseconds. Real sessions need 50 at most.
MAX_LOOKS = 300
FAR = 1_000
_SPACES = bytes(code for code in range(128) if chr(code).isspace())


def compact(text: str) -> str:
    """``text`` in NFC without any whitespace.

    A hard-wrapped rendering eats the space at the break in prose and not elsewhere,
    so un-wrapping is ambiguous and whitespace means nothing (FORMATS 1.4).
    """
    if text.isascii():
        return text.encode().translate(None, _SPACES).decode()
    bare = "".join(text.split())
    return bare if bare.isascii() else unicodedata.normalize("NFC", bare)


def fingerprint(role: Role, text: str) -> str:
    """SHA-256 over role, NUL and compact text, in hex (DESIGN 4.1)."""
    return hashlib.sha256(f"{role}\0{compact(text)}".encode()).hexdigest()


def places(messages: Sequence[Message]) -> list[Place]:
    """Messages as alignment sees them."""
    return [
        Place(
            role=message.role,
            kind=message.kind,
            tool=message.extra.get("tool"),
            hashes=frozenset({fingerprint(message.role, message.text)}),
            text=message.text,
            source_index=message.source_index,
            in_flight=message.in_flight,
            source_id=message.source_id,
            occurred_at=message.occurred_at,
        )
        for message in messages
    ]


def is_anchor(place: Place) -> bool:
    """Prompts and prose survive a change of directory, client or width (DESIGN 4.1)."""
    if place.role is Role.USER:
        return True
    return place.role is Role.ASSISTANT and place.kind is Kind.TEXT


def anchors(of: Sequence[Place]) -> list[Place]:
    return [place for place in of if is_anchor(place)]


def continues(part: Place, whole: Place) -> bool:
    """Whether ``whole`` says what ``part`` began to say: the same text, grown.

    One end is compared with many others, and may have 100 MB.
    """
    if part.role is not whole.role:
        return False
    return _compact_end(whole.text).startswith(_compact_end(part.text))


_compact_end = lru_cache(maxsize=2)(compact)


def forget_texts() -> None:
    """Let go of the texts that were compared last."""
    _compact_end.cache_clear()


def equal_places(a: Sequence[Place], b: Sequence[Place]) -> list[tuple[int, int]]:
    """Places of ``a`` and ``b`` with an equal rendering, paired in order."""
    keys = _keys(a, b)
    pairs = matching(keys[: len(a)], keys[len(a) :])
    return [(n, m) for n, m in pairs if a[n].hashes & b[m].hashes]


def matching(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Indices of equal elements, ascending in both, long equal runs first.

    Where the same few elements come again and again, or no two of the equal ones stand side
    by side, that search takes hours for a file of a megabyte, so that a hostile one would stop
    all others. What it has not found when it has looked often enough is paired in turn.
    """
    matcher: SequenceMatcher[str] = SequenceMatcher(a=a, b=b, autojunk=False)
    counts = Counter(b)
    looks = list(accumulate((1 + counts[element] for element in a), initial=0))
    left = MAX_LOOKS * (len(a) + len(b))
    ranges = deque([(0, len(a), 0, len(b))])
    pairs: list[tuple[int, int]] = []
    while ranges:
        a0, a1, b0, b1 = ranges.popleft()
        if a0 == a1 or b0 == b1:
            continue
        left -= looks[a1] - looks[a0]
        if left < 0:
            pairs += ((a0 + n, b0 + m) for n, m in _in_turn(a[a0:a1], b[b0:b1]))
        elif (run := matcher.find_longest_match(a0, a1, b0, b1)).size:
            pairs += ((run.a + n, run.b + n) for n in range(run.size))
            ranges.append((a0, run.a, b0, run.b))
            ranges.append((run.a + run.size, a1, run.b + run.size, b1))
    return sorted(pairs)


def _in_turn(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Each element with the next equal one, unless that is far away; linear."""
    places: dict[str, list[int]] = {}
    for n, element in enumerate(b):
        places.setdefault(element, []).append(n)
    last = -1
    for n, element in enumerate(a):
        found = places.get(element, [])
        at = bisect_right(found, last)
        if at < len(found) and found[at] - last <= FAR:
            last = found[at]
            yield n, last


def _keys(*runs: Sequence[Place]) -> list[str]:
    """One comparable key per place, equal where any of the renderings are equal."""
    key_of: dict[str, str] = {}
    keys = []
    for place in (place for run in runs for place in run):
        shared = [key_of[h] for h in place.hashes if h in key_of]
        keys.append(min(shared, default=min(place.hashes)))
        key_of.update(dict.fromkeys(place.hashes, keys[-1]))
    return keys
