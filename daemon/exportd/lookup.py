"""The story of a search: what was typed, what is stored of it, and the part to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import RefusedRequest
from .search import query as queries
from .search import snippets
from .search.hits import Filters, Found, Hit, Message
from .store import Store, Transaction, searching

# Words of the hits that are looked at for another ending of what was looked for.
_MOST_SIMILAR = 20_000


@dataclass(frozen=True, slots=True)
class Request:
    """What is looked for, and how many hits are wanted at most.

    ``literal``: the text as it stands, part of a word or punctuation.
    """

    text: str
    filters: Filters
    limit: int
    literal: bool = False
    newest: bool = False


def look_up(store: Store, request: Request) -> Found:
    """The hits, best or newest first; ``RefusedRequest`` where nothing can be looked for."""
    if request.literal:
        queries.check(request.text)
        return store.run(lambda tx: _by_text(tx, request))
    query = queries.parse(request.text)
    return store.run(lambda tx: _by_words(tx, request, query))


def _by_text(tx: Transaction, request: Request) -> Found:
    total, messages = searching.by_text(tx, request.text, request.filters, request.limit)
    pattern = snippets.literal_pattern(request.text)
    hits = (Hit(message, snippets.snippet(message.text, pattern)) for message in messages)
    return Found(tuple(hits), total)


def _by_words(tx: Transaction, request: Request, query: queries.Query) -> Found:
    stems = searching.stems(tx, query.stemmed)
    asked = query.tsquery(stems)
    if not searching.is_searchable(tx, asked.query):
        raise RefusedRequest(queries.NO_WORD)
    total, messages = searching.by_words(
        tx, asked, request.filters, request.limit, newest=request.newest
    )
    pattern = snippets.words_pattern(query, _endings(tx, messages, stems))
    hits = (Hit(message, snippets.snippet(message.text, pattern)) for message in messages)
    return Found(tuple(hits), total, searching.lag(tx), searching.partly_indexed(tx))


def _endings(
    tx: Transaction, messages: Sequence[Message], stems: dict[str, str | None]
) -> dict[str, list[str]]:
    """The words in some messages that have the stem of one that was looked for."""
    texts = (message.text for message in messages)
    similar = snippets.similar_words(texts, stems, _MOST_SIMILAR)
    same: dict[str | None, list[str]] = {}
    for word, stem in searching.stems(tx, similar).items():
        same.setdefault(stem, []).append(word)
    return {word: same.get(stem, []) for word, stem in stems.items()}
