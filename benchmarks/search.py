"""How long a search takes: ``python -m benchmarks.search [--messages 1000000]``.

So many messages of some 300 bytes are made up in a database of their own, with words as
frequent as in a language, and ``exportd search --rebuild`` indexes them. Printed is what that
took, the size of the index, and the time of searches for rare, common and exact words, as the
real functions do them, without the half second in which Python starts.

``--recall MEMORY-CONTEXT`` looks instead for what really stands in a memory folder: file names
of tool calls, and words of prompts; how many of the messages that have them are found, by
PostgreSQL's configuration ``simple`` alone and by exportd's index.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path

import click

from benchmarks.running import exportd, query, running_server
from exportd.embedded import embedded_server
from exportd.lookup import Request, look_up
from exportd.search.hits import Filters
from exportd.store import Store

_MAKE_UP = """
SELECT setseed(0.5);
INSERT INTO conversations (conversation_id) SELECT 'c' || n FROM generate_series(0, 999) n;
INSERT INTO messages (conversation_id, message_index, content_hash, role, content, metadata,
                      segment_id, kind)
SELECT 'c' || n % 1000, n / 1000, md5(n::text),
       CASE WHEN n % 3 = 0 THEN 'user' ELSE 'assistant' END,
       (SELECT string_agg('word' || translate(
                   trunc(power(200000, random()) - 1)::text, '0123456789', 'abcdefghij'), ' ')
        FROM generate_series(1, 20 + n % 41))
       || ' src/part' || n % 500 || '/file' || n || '.py',
       '{}', 1, 'text'
FROM generate_series(0, MESSAGES - 1) n;
INSERT INTO search_queue (first_id, last_id, messages)
SELECT min(message_id), max(message_id), count(*) FROM messages;
ANALYZE messages;
"""

_SIZES = """
SELECT sum(octet_length(content)), pg_table_size('message_search'),
       pg_relation_size('idx_message_search_words'), pg_indexes_size('message_search')
FROM messages
"""

_NAMES = r"""
WITH names AS (
    SELECT DISTINCT (regexp_matches(content, '(?<![\w.-])[A-Za-z0-9_-]+\.'
                                    || '(?:py|ts|tsx|js|md|sh|json)(?![\w.-])', 'g'))[1] AS name
    FROM messages WHERE kind = 'tool_call'
), chosen AS (SELECT name FROM names ORDER BY md5(name) LIMIT 200
), counted AS (
    SELECT name, count(*) AS there,
           count(*) FILTER (WHERE to_tsvector('simple', content)
                                  @@ phraseto_tsquery('simple', name)) AS plain,
           count(*) FILTER (WHERE message_words(message_id) @@ phraseto_tsquery(
               'simple', translate(name, '._-', '   '))) AS ours
    FROM chosen JOIN messages
      ON content ~ ('(?<![\w.-])' || replace(name, '.', '\.') || '(?![\w.-])')
    GROUP BY name
)
SELECT count(*), sum(there), 100.0 * sum(plain) / sum(there), 100.0 * sum(ours) / sum(there)
FROM counted
"""

_WORDS = """
WITH words AS (
    SELECT word FROM ts_stat($$SELECT to_tsvector('simple', content) FROM messages
                               WHERE kind = 'prompt'$$)
    WHERE word ~ '^[a-z]{4,}$' AND nentry >= 3
), chosen AS (SELECT word FROM words ORDER BY md5(word) LIMIT 500
), counted AS (
    SELECT word,
           (SELECT count(*) FROM message_search
            WHERE message_words(message_id)
                  @@ to_tsquery('simple', quote_literal(word))) AS plain,
           (SELECT count(*) FROM message_search
            WHERE message_words(message_id)
                  @@ to_tsquery('simple', quote_literal(word) || '|' || quote_literal(
                      (ts_lexize('exportd_english', word))[1]))) AS ours
    FROM chosen
)
SELECT count(*), sum(ours), avg(100.0 * plain / ours) FROM counted
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the database lies meanwhile")
    parser.add_argument("--recall", type=Path, help="a memory folder to search in")
    options = parser.parse_args()
    if options.recall:
        _recall(options.recall)
        return 0
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as place,
        running_server(Path(place) / "m") as memory,
    ):
        exportd(memory, "migrate")
        query(memory, _MAKE_UP.replace("MESSAGES", str(options.messages)))
        _index(memory, options.messages)
        with (
            embedded_server(memory / ".exportd") as server,
            closing(Store(server.url)) as store,
        ):
            _search(store, options.messages)
    return 0


def _recall(memory: Path) -> None:
    names, there, plain, ours = map(float, query(memory, _NAMES)[0])
    click.echo(
        f"{names:,.0f} file names, {there:,.0f} times in a message: simple finds "
        f"{plain:.1f} %, exportd {ours:.1f} %"
    )
    words, found, exact = map(float, query(memory, _WORDS)[0])
    click.echo(
        f"{words:,.0f} words of prompts, in {found:,.0f} messages with any English ending: the "
        f"word itself finds {exact:.1f} % of them, in the mean"
    )


def _index(memory: Path, messages: int) -> None:
    started = time.monotonic()
    exportd(memory, "search", "--rebuild")
    took_s = time.monotonic() - started
    text, table, words, both = map(int, query(memory, _SIZES)[0])
    click.echo(
        f"{messages:,} messages, {text / 1e6:,.0f} MB of text: indexed in {took_s:,.0f} s "
        f"({messages / took_s:,.0f} a second)"
    )
    click.echo(
        f"table {table / text:.2f}, its indexes {both / text:.2f} bytes a byte of text (of "
        f"these words {words / text:.2f})"
    )


def _search(store: Store, messages: int) -> None:
    middle = messages // 2
    for what, text, literal in (
        ("one path", f"src/part{middle % 500}/file{middle}.py", False),
        ("a rare word", "wordbcdef", False),
        ("a common word", "wordbcd", False),
        ("the most common word", "worda", False),
        ("two common words", "wordbcd wordcbd", False),
        ("a phrase of common words", '"worda wordb"', False),
        ("a beginning", "wordbj*", False),
        ("a literal", f"part{middle % 500}/file{middle}.", True),
    ):
        for newest in (False, True):
            asked = Request(text, Filters(), 20, literal=literal, newest=newest)
            took_s = min(_timed(store, asked) for _ in range(2))
            total = look_up(store, asked).total
            order = "newest" if newest else "best"
            click.echo(f"{what:<26}{order:<8}{total:>9,} found {took_s * 1000:>8,.0f} ms")


def _timed(store: Store, asked: Request) -> float:
    started = time.monotonic()
    look_up(store, asked)
    return time.monotonic() - started


if __name__ == "__main__":
    raise SystemExit(main())
