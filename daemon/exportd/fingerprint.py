"""The identity of a text: what stays the same when a rendering changes."""

from __future__ import annotations

import hashlib
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from .models import Kind, Message, Place, Role

# Two files of 3,000 messages each that all say one of two things have about as many pairs
# of equal messages; real ones have a hundredth of that.
MAX_PAIRINGS = 5_000_000
FAR = 1_000


def compact(text: str) -> str:
    """``text`` in NFC without any whitespace.

    A hard-wrapped rendering eats the space at the break in prose and not elsewhere,
    so un-wrapping is ambiguous and whitespace means nothing (FORMATS 1.4).
    """
    bare = "".join(text.split())
    return bare if bare.isascii() else unicodedata.normalize("NFC", bare)


def fingerprint(role: Role, text: str) -> str:
    """SHA-256 over role, NUL and compact text, in hex (DESIGN 4.1)."""
    return hashlib.sha256(f"{role.value}\0{compact(text)}".encode()).hexdigest()


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
    """Whether ``whole`` says what ``part`` began to say: the same text, grown."""
    return part.role is whole.role and compact(whole.text).startswith(compact(part.text))


def equal_places(a: Sequence[Place], b: Sequence[Place]) -> list[tuple[int, int]]:
    """Places of ``a`` and ``b`` with an equal rendering, paired in order."""
    keys = _keys(a, b)
    pairs = matching(keys[: len(a)], keys[len(a) :])
    return [(n, m) for n, m in pairs if a[n].hashes & b[m].hashes]


def matching(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Indices of equal elements, ascending in both, long equal runs first.

    Where little but the same few elements stands in both, that search takes hours for a file
    of a megabyte, so that a hostile one would stop all others: in turn, then.
    """
    counts_a, counts_b = Counter(a), Counter(b)
    if sum(count * counts_b[element] for element, count in counts_a.items()) > MAX_PAIRINGS:
        return list(_in_turn(a, b))
    matcher: SequenceMatcher[str] = SequenceMatcher(a=a, b=b, autojunk=False)
    blocks = matcher.get_matching_blocks()
    return [(block.a + n, block.b + n) for block in blocks for n in range(block.size)]


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
