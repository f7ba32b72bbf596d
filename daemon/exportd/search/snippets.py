"""The part of a message that shows why it was found. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from .query import Query, Term

WIDTH = 240  # characters
_LEAD = 60  # of these before the first match
_MOST_SPANS = 1_000  # of one message
_GAP = r"[\W_]+"
_BEFORE, _AFTER, _REST = r"(?<![^\W_])", r"(?![^\W_])", r"[^\W_]*"
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of a snippet; ``is_match``: it is what was looked for."""

    text: str
    is_match: bool


def words_pattern(query: Query, endings: Mapping[str, Collection[str]]) -> re.Pattern[str]:
    """Where the terms of a query stand; ``endings``: other words that will do for one.

    A group for each term.
    """
    terms = dict.fromkeys(
        term for terms in query.alternatives for term in terms if not term.is_excluded
    )
    return re.compile("|".join(f"({_pattern(term, endings)})" for term in terms), re.IGNORECASE)


def literal_pattern(text: str) -> re.Pattern[str]:
    """Where a text stands, whatever the white space in it."""
    parts = (re.escape(part) for part in text.split())
    return re.compile(f"({r' '.join(parts)})", re.IGNORECASE)


def similar_words(texts: Iterable[str], words: Iterable[str], most: int) -> list[str]:
    """Words of texts that may have the same stem as one of ``words``."""
    begins = tuple({word[:1].lower() for word in words})
    found = dict.fromkeys(
        word.lower()
        for text in texts
        for word in _WORD.findall(text)
        if word.isascii() and word.isalpha() and word.lower().startswith(begins)
    )
    return list(found)[:most]


def snippet(text: str, pattern: re.Pattern[str], width: int = WIDTH) -> tuple[Piece, ...]:
    """The stretch of at most ``width`` characters with most of what was looked for.

    White space is one space. Without a match it is the beginning.
    """
    line = " ".join(text.split())
    spans = [
        (match.lastindex or 0, match.start(), match.end())
        for match, _ in zip(pattern.finditer(line), range(_MOST_SPANS), strict=False)
    ]
    start = _start(line, spans, width)
    end = _end(line, start, width)
    pieces, at = [Piece("… ", is_match=False)] if start else [], start
    for _, first, last in spans:
        if start <= first < end:
            pieces.append(Piece(line[at:first], is_match=False))
            pieces.append(Piece(line[first : min(last, end)], is_match=True))
            at = min(last, end)
    pieces.append(Piece(line[at:end] + (" …" if end < len(line) else ""), is_match=False))
    return tuple(piece for piece in pieces if piece.text)


def _start(line: str, spans: list[tuple[int, int, int]], width: int) -> int:
    """So that most different terms, then most matches, are in sight, as early as may be."""
    room = width - _LEAD
    best, first_at, last = (0, 0), 0, 0
    seen: Counter[int] = Counter()
    for place, (term, first, _) in enumerate(spans):
        while last < len(spans) and (last == place or spans[last][2] <= first + room):
            seen[spans[last][0]] += 1
            last += 1
        score = (len(+seen), seen.total())
        if score > best:
            best, first_at = score, first
        seen[term] -= 1
    start = max(min(first_at - _LEAD, len(line) - width), 0)
    if start == 0:
        return 0
    space = line.find(" ", start, first_at)  # a word is not cut, where there are words
    return start if space < 0 else space + 1


def _end(line: str, start: int, width: int) -> int:
    end = start + width
    if end >= len(line):
        return len(line)
    space = line.rfind(" ", start + width // 2, end)
    return end if space < 0 else space


def _pattern(term: Term, endings: Mapping[str, Collection[str]]) -> str:
    if term.has_endings:
        word = term.words[0]
        forms = sorted({word, *endings.get(word, ())}, key=len, reverse=True)
        told = f"(?:{'|'.join(map(re.escape, forms))})"
    else:
        told = _GAP.join(map(re.escape, term.words))
    return f"{_BEFORE}{told}{_REST if term.is_prefix else ''}{_AFTER}"
