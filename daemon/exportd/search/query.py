"""What people type, as PostgreSQL's tsquery. Pure.

stale plan        both words, in any order; English endings do not matter
"stale plan"      these words in this order
store/staging.py  likewise: what punctuation joins stays together
stag*             words that begin so
-plan             not this word
stale OR plan     one of them
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..errors import RefusedRequest

# What separates words, in messages and in what is looked for.
MARKS = string.punctuation
BLANKS = " " * len(MARKS)

_MOST_CHARS = 4_000
_MOST_WORD_BYTES = 2_000  # PostgreSQL: 2,046

_TERM = re.compile(r'(?P<minus>-?)"(?P<phrase>[^"]*)"(?P<star>\*?)|(?P<bare>\S+)')
_BLANKED = str.maketrans(MARKS, BLANKS)


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand one behind the other; ``is_prefix``: the last may be longer."""

    words: tuple[str, ...]
    is_exact: bool = False
    is_prefix: bool = False
    is_excluded: bool = False

    @property
    def has_endings(self) -> bool:
        """Whether other endings of the word will do as well."""
        (word, *more) = self.words
        is_plain = not (more or self.is_exact or self.is_prefix or self.is_excluded)
        return is_plain and word.isascii() and word.isalpha()


@dataclass(frozen=True, slots=True)
class TsQuery:
    """For ``to_tsquery('simple', …)``; ``loose`` is the same, whatever the order of words.

    All that matches matches the regular expression ``pattern``, too.
    """

    query: str
    loose: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Query:
    """One of the alternatives is to be found, of it all terms."""

    alternatives: tuple[tuple[Term, ...], ...]

    @property
    def stemmed(self) -> list[str]:
        """The words of which other endings will do."""
        terms = (term for terms in self.alternatives for term in terms)
        return sorted({term.words[0] for term in terms if term.has_endings})

    def tsquery(self, stems: Mapping[str, str | None]) -> TsQuery:
        """``stems`` are those of the ``stemmed`` words."""
        return TsQuery(
            _either([_tsquery(term, stems) for term in terms] for terms in self.alternatives),
            _either(
                [_tsquery(term, stems, " & ") for term in terms if not _is_not_phrase(term)]
                for terms in self.alternatives
            ),
            self._pattern(),
        )

    def _pattern(self) -> str:
        """Where all that matches has a phrase of plain words, that phrase."""
        (terms, *others) = self.alternatives
        phrases = (t.words for t in terms if len(t.words) > 1 and not t.is_excluded)
        plain = (words for words in phrases if all(map(_is_plain, words)))
        return "" if others else "[^[:alnum:]]+".join(next(plain, ()))


def parse(text: str) -> Query:
    """``RefusedRequest`` where nothing is left to look for."""
    check(text)
    alternatives: list[list[Term]] = [[]]
    for match in _TERM.finditer(text):
        if match["bare"] == "OR":
            alternatives.append([])
        elif term := _term(match):
            alternatives[-1].append(term)
    told = [tuple(terms) for terms in alternatives if terms]
    if not told:
        raise RefusedRequest(NO_WORD)
    for terms in told:
        if all(term.is_excluded for term in terms):
            raise RefusedRequest(
                f"-{' '.join(terms[0].words)} says what is not to be found; expected a word "
                "beside it that is"
            )
    return Query(tuple(told))


NO_WORD = (
    "expected a word to look for, found none; --literal finds any text, punctuation included"
)


def check(text: str) -> None:
    """What no search can be made of: nothing, a NUL, a book."""
    if not text.strip():
        raise RefusedRequest("expected a word to look for, found nothing")
    if "\x00" in text:
        raise RefusedRequest("expected text, found a NUL character in it")
    if len(text) > _MOST_CHARS:
        raise RefusedRequest(
            f"expected at most {_MOST_CHARS:,} characters to look for, found {len(text):,}"
        )


def like(text: str) -> str:
    """The LIKE pattern of what contains ``text``."""
    escaped = re.sub(r"([\\%_])", r"\\\1", text)
    return f"%{escaped}%"


def _term(match: re.Match[str]) -> Term | None:
    bare = match["bare"]
    if bare is None:
        words = _words(match["phrase"])
        is_exact, is_excluded, is_prefix = True, bool(match["minus"]), bool(match["star"])
    else:
        words = _words(bare)
        # "--limit" is something that people look for.
        is_exact, is_excluded = False, bare.startswith("-") and not bare.startswith("--")
        is_prefix = bare.endswith("*") and bare[-2:-1] not in MARKS
    return Term(words, is_exact, is_prefix, is_excluded) if words else None


def _words(text: str) -> tuple[str, ...]:
    words = tuple(text.translate(_BLANKED).split())
    for word in words:
        if len(word.encode()) > _MOST_WORD_BYTES:
            raise RefusedRequest(
                f"expected words of at most {_MOST_WORD_BYTES:,} bytes, found one of "
                f"{len(word.encode()):,}; --literal finds it"
            )
    return words


def _either(alternatives: Iterable[list[str]]) -> str:
    return " | ".join(f"({' & '.join(terms)})" for terms in alternatives)


def _is_plain(word: str) -> bool:
    """Whether it is one word to PostgreSQL's parser, whatever stands around it."""
    return word.isascii() and word.isalnum() and word[0].isalpha()


def _is_not_phrase(term: Term) -> bool:
    """Whether it says nothing when the order of words does not count."""
    return term.is_excluded and len(term.words) > 1


def _tsquery(term: Term, stems: Mapping[str, str | None], then: str = " <-> ") -> str:
    # Words have no quotation mark and no backslash: those are punctuation.
    *first, last = (f"'{word}'" for word in term.words)
    if term.is_prefix:
        last += ":*"
    elif term.has_endings and (stem := stems.get(term.words[0])):
        last = f"({last} | '{stem}')"
    told = f"({then.join([*first, last])})"
    return f"!{told}" if term.is_excluded else told
