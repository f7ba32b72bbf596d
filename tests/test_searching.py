"""What is stored is found: soon, whatever happens to it, and whatever is killed when."""

from __future__ import annotations

import itertools
import json
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import psycopg2
import pytest
from conftest import EXAMPLES, Command, execute, rows, wait_until
from psycopg2.extensions import make_dsn
from schemas import conforming

from exportd.commands.search import _filters
from exportd.errors import RefusedRequest, TransientError
from exportd.lookup import Request, look_up
from exportd.search.hits import Filters
from exportd.search.query import parse
from exportd.store import Store
from exportd.store.searching import TEXT_BYTES, begin_anew, index_some, lag, stems

TALK = """> Why does the migration of daemon/exportd/store/staging.py fail?

⏺ Bash(cat daemon/exportd/store/staging.py)
  ⎿  class StalePlan(TransientError)

⏺ The plans went stale: permission denied. Größe of ÜBERMUT is 3.14, see <div class="x">.
"""
CHOSEN = ("-c", "a", "--role", "assistant", "--kind", "text", "--since", "2026-01-01")
LATER = TALK + "\n> Then retry the stale plan with my_snake_case and v1.2.3\n"


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with closing(Store(database_url)) as store:
        yield store


def ingest(exportd: Command, **texts: str) -> None:
    for name, text in texts.items():
        (exportd.memory_dir / "exports" / f"2026-01-0{len(name)}-EXPORT-{name}.txt").write_text(
            text
        )
    done = exportd("run", "--once")
    assert done.returncode == 0, done.stderr


def say(url: str, *contents: str, conversation_id: str = "c", queued: bool = True) -> None:
    """Messages, stored as the ingest stores them."""
    execute(
        url, "INSERT INTO conversations VALUES (%s) ON CONFLICT DO NOTHING", conversation_id
    )
    execute(
        url,
        """
        WITH given AS (
            INSERT INTO messages (conversation_id, message_index, content_hash, role, content,
                                  segment_id, kind)
            SELECT %s, (SELECT count(*) FROM messages) + n - 1, '', 'user', content, 1, 'prompt'
            FROM unnest(%s::text[]) WITH ORDINALITY AS t (content, n)
            RETURNING message_id)
        INSERT INTO search_queue (first_id, last_id, messages)
        SELECT min(message_id), max(message_id), count(*) FROM given WHERE %s
        HAVING count(*) > 0
        """,
        conversation_id,
        list(contents),
        queued,
    )


def found(store: Store, text: str, limit: int = 50, **options: bool) -> list[int]:
    """Indices of the messages found, in the order of the hits."""
    request = Request(text, Filters(), limit, **options)
    return [hit.message.message_index for hit in look_up(store, request).hits]


def index(store: Store) -> None:
    while store.run(lag):
        assert store.run(index_some)


@contextmanager
def no_indexing(url: str) -> Iterator[None]:
    """Another process has its turn, and does not end it."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext('exportd search'))")
        yield
        cursor.execute("SELECT pg_advisory_unlock(hashtext('exportd search'))")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


# -- what is found --------------------------------------------------------------------------


@pytest.fixture
def talk(exportd: Command, store: Store) -> Store:
    ingest(exportd, A=LATER)
    assert store.run(lag) == 0
    return store


def test_words_are_found_by_every_way_of_asking(talk: Store) -> None:
    for text, indices in {
        "stale": [3, 4],  # "stale plan" stands in both
        "plan": [3, 4],  # "plans", too
        "migrations": [0],
        '"plans went"': [3],
        '"went plans"': [],
        '"stale plans"': [],
        "stale -retry": [3],
        "STALEPLAN": [2],
        "stalep*": [2],
        "staging.py": [0, 1],
        "store/staging.py": [0, 1],
        "/exportd/store": [0, 1],
        "staging.pyc": [],
        "snake": [4],
        "my_snake_case": [4],
        "v1.2.3 OR 3.14": [3, 4],
        "übermut größe": [3],
        "class": [2, 3],  # an attribute of a tag is text
        "not and to be": [],
    }.items():
        assert sorted(found(talk, text)) == indices, text
    for text, indices in {
        "alepl": [2],
        "Übermut": [3],
        "<DIV class=": [3],
        "100%": [],
        "stale_plan": [],
        "v1.2.": [4],
    }.items():
        assert found(talk, text, literal=True) == indices, text
    with pytest.raises(RefusedRequest, match="--literal"):
        found(talk, "⏺ →")


def test_filters_go_together_and_the_best_or_the_newest_comes_first(talk: Store) -> None:
    def asked(text: str, **filters: object) -> list[int]:
        both = [
            [h.message.message_index for h in look_up(talk, Request(text, f, 9, how)).hits]
            for f in [Filters(**filters)]  # type: ignore[arg-type]
            for how in (False, True)
        ]
        assert sorted(both[0]) == sorted(both[1])
        return sorted(both[0])

    now = datetime.now(UTC)
    assert asked("staging.py", roles=["user"]) == [0]
    assert asked("staging.py", kinds=["tool_call"], tools=["bash"]) == [1]
    assert asked("staging.py", tools=["read"]) == []
    assert asked("staging.py", conversation_ids=["a"]) == [0, 1]
    assert asked("staging.py", conversation_ids=["b"]) == []
    assert asked("staging.py", since=now) == []
    assert asked("staging.py", until=now) == [0, 1]
    assert found(talk, "stale plan") == [4, 3]  # as it was typed, then with other endings
    assert found(talk, "stale plan", newest=True) == [4, 3]
    some = look_up(talk, Request("stale OR staging", Filters(), 1))
    assert (len(some.hits), some.total) == (1, 4)


def test_the_command_prints_places_snippets_and_json_and_exits_as_grep_does(
    exportd: Command,
) -> None:
    ingest(exportd, A=TALK)
    done = exportd("search", "permission", "denied")
    assert done.returncode == 0
    assert re.fullmatch(
        r"a 3  assistant, text, stored \d{4}-\d\d-\d\d\n"
        r"    The plans went stale: permission denied\. Größe .*\n\n1 message\.\n",
        done.stdout,
    )
    assert done.stderr == ""
    facts = conforming("search", exportd("search", "plan", "--json", *CHOSEN).stdout)
    (hit,) = facts["hits"]
    assert (facts["total"], hit["conversation_id"], hit["message_index"]) == (1, "a", 3)
    assert [hit["snippet"][a:b] for a, b in hit["highlights"]] == ["plans"]
    nothing = exportd("search", "nowhere")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr.startswith("Nothing found.\n--literal ")
    for arguments, told in {
        ("...",): "--literal finds",
        ("x", "-c", "b"): "there is no conversation b",
        ("x", "--role", "robot"): "'robot' is not one of",
    }.items():
        refused = exportd("search", *arguments)
        assert (refused.returncode, refused.stdout) == (64, "")
        assert told in refused.stderr


def test_dates_are_days_or_moments_and_others_are_refused(store: Store) -> None:
    def period(since: str | None, until: str | None) -> tuple[object, object]:
        asked = _filters(store, ids=(), roles=(), kinds=(), tools=(), since=since, until=until)
        return asked.since, asked.until

    day = datetime(2026, 1, 12, tzinfo=UTC)
    assert period("2026-01-12", "2026-01-12") == (day, day + timedelta(days=1))
    assert period("2026-01-12T01:00+01:00", "2026-01-12T10:30") == (
        day, day.replace(hour=10, minute=30)
    )  # fmt: skip
    for since, until, told in (
        ("yesterday", None, "--since: expected a date such as .*, found yesterday"),
        (None, "2026-02-30", "--until: expected"),
        ("", None, "--since: expected"),
        (None, "9999-12-31", "--until: expected"),
        ("2026-02-02", "2026-02-01", "--since before --until"),
    ):
        with pytest.raises(RefusedRequest, match=told):
            period(since, until)


# -- what is stored gets there --------------------------------------------------------------


def test_the_daemon_indexes_within_seconds_and_again_after_it_was_killed_in_between(
    exportd: Command, database_url: str, store: Store
) -> None:
    exports, session = exportd.memory_dir / "exports", exportd.memory_dir / "sessions/a.md"
    port = free_port()
    web = {"EXPORTD_HTTP_ADDRESS": f"127.0.0.1:{port}"}

    def metric() -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            return bytes(page.read())

    with exportd.running(**web) as daemon, no_indexing(database_url):
        (exports / "2026-01-01-EXPORT-A.txt").write_text(TALK)
        wait_until(session.exists)
        wait_until(lambda: b"exportd_search_lag_messages 4.0" in metric())
        daemon.kill()
        daemon.wait()
        assert json.loads(exportd("status", "--json").stdout)["stored"]["unsearchable"] == 4
        assert "4 messages in 1 conversation, 4 not searchable yet" in exportd("status").stdout
        assert rows(database_url, "SELECT count(*) FROM message_search") == [(0,)]
        late = exportd("search", "stale")
        assert late.returncode == 1
        assert "4 stored messages cannot be searched yet" in late.stderr
    with exportd.running(**web):
        wait_until(lambda: store.run(lag) == 0)
        assert found(store, "stale") == [3]
        (exports / "2026-01-02-EXPORT-A.txt").write_text(LATER)
        wait_until(lambda: len(found(store, "stale")) == 2)
        wait_until(lambda: b"exportd_search_lag_messages 0.0" in metric())


def test_a_search_indexes_a_small_rest_itself_where_it_may_write(
    exportd: Command, database_url: str
) -> None:
    say(database_url, "alpha", "beta")
    reader = Command(
        exportd.memory_dir,
        make_dsn(database_url, options="-c default_transaction_read_only=on"),
    )
    late = reader("search", "beta")
    assert (late.returncode, late.stdout) == (1, "")
    assert "2 stored messages cannot be searched yet" in late.stderr
    assert reader("search", "--literal", "bet").stdout.startswith("c 1  user, prompt")
    done = exportd("search", "beta")
    assert (done.returncode, done.stderr) == (0, "")
    assert reader("search", "beta").returncode == 0


def test_a_message_that_changes_moves_or_goes_is_found_as_it_is(
    exportd: Command, database_url: str, store: Store
) -> None:
    running = TALK + "\n> go\n\n⏺ Bash(make)\n  ⎿  Running…\n"
    ingest(exportd, A=running)
    assert found(store, "running") == [6]
    ingest(exportd, A=running.replace("Running…", "nineteen tests passed"))
    assert found(store, "nineteen") == [6]
    assert found(store, "running") == []
    renamed = exportd("sessions", "rename", "a", "b")
    assert renamed.returncode == 0, renamed.stderr
    (hit,) = look_up(store, Request("nineteen", Filters(["b"]), 9)).hits
    assert hit.message.conversation_id == "b"
    before = rows(database_url, "SELECT message_id FROM message_search ORDER BY 1")
    assert exportd("reindex").returncode == 0
    assert found(store, "nineteen") == [6]
    assert len(rows(database_url, "SELECT 1 FROM message_search")) == len(before)
    execute(database_url, "DELETE FROM message_renderings")
    execute(database_url, "DELETE FROM messages WHERE message_index = 6")
    assert len(rows(database_url, "SELECT 1 FROM message_search")) == len(before) - 1


def test_verify_notes_what_is_missing_from_the_index_and_one_command_makes_it_anew(
    exportd: Command, database_url: str
) -> None:
    ingest(exportd, A=TALK)
    execute(database_url, "DELETE FROM message_search WHERE message_id % 2 = 0")
    noted = exportd("verify", "--json")
    assert noted.returncode == 0
    (finding,) = json.loads(noted.stdout)["findings"]
    assert (finding["severity"], finding["kind"]) == ("note", "search_index")
    assert finding["found"].startswith("2 messages")
    rebuilt = exportd("search", "--rebuild")
    assert (rebuilt.returncode, rebuilt.stdout) == (
        0, "The index is made anew: 4 messages.\n"
    )  # fmt: skip
    assert json.loads(exportd("verify", "--json").stdout)["findings"] == []


def test_what_was_stored_before_there_was_a_search_waits_for_it(
    database_url: str, store: Store
) -> None:
    migrations = files("exportd.store") / "sql" / "migrations"
    say(database_url, "alpha", "beta")
    for name in ("0015.search-index.rollback", "0015.search-index"):
        execute(database_url, (migrations / f"{name}.sql").read_text())
    with closing(psycopg2.connect(database_url)) as owner, owner.cursor() as cursor:
        cursor.execute("GRANT ALL ON message_search, search_queue TO exportd_app")
        owner.commit()
    assert store.run(lag) == 2
    index(store)
    assert found(store, "beta") == [1]


# -- how it gets there ----------------------------------------------------------------------


def test_a_turn_is_bounded_and_goes_on_where_the_last_one_stopped(
    database_url: str, store: Store
) -> None:
    for start in range(0, 2_600, 650):
        say(database_url, *(f"word{n}" for n in range(start, start + 650)))
    say(database_url, "never queued", queued=False)
    done = [store.run(index_some) for _ in range(4)]
    assert [(turn.messages, turn.remaining) for turn in done if turn] == [
        (1_000, 1_600), (1_000, 600), (600, 0), (0, 0),
    ]  # fmt: skip
    assert found(store, "word0 OR word999 OR word1000 OR word2599", newest=True) == [
        2599, 1000, 999, 0,
    ]  # fmt: skip
    assert rows(database_url, "SELECT count(*) FROM message_search") == [(2_600,)]
    assert store.run(begin_anew) == 2_601


def test_the_longest_texts_are_indexed_as_far_as_a_vector_holds_them(
    database_url: str, store: Store
) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    latin = " ".join(map("".join, itertools.product(letters, repeat=3)))
    digits = " ".join(f"{n:x}q" for n in range(16**4))
    chinese = (
        " ".join(chr(0x4E00 + n) for n in range(20_000))
        + " "
        + " ".join(chr(0x4E00 + n) + chr(0x4E00 + m) for n in range(100) for m in range(600))
    )
    say(
        database_url,
        f"first {latin} {digits} last",
        f"first {chinese} last",
        "first " + "İ" * 2_000 + " last",
        "first " + "x" * 400_000 + " last",
    )
    index(store)
    assert sorted(found(store, "first")) == [0, 1, 2, 3]
    assert sorted(found(store, "last")) == [2]
    assert sorted(found(store, "last", literal=True)) == [0, 1, 2, 3]
    partial = "SELECT message_index FROM message_search JOIN messages USING (message_id) "
    assert rows(database_url, f"{partial} WHERE is_partial ORDER BY 1") == [(0,), (1,), (3,)]
    assert rows(database_url, "SELECT max(length(content)) FROM messages") > [(TEXT_BYTES,)]
    told = look_up(store, Request("first", Filters(), 1))
    assert told.partly_indexed == 3


@pytest.mark.parametrize(
    "text",
    [
        '"stale plan"', "store/staging.py", '"plan stale" OR "stale plan"',
        'plan -"stale plan"',
        '"stale pl*', "stale/plan*", '"the stale plan" stag*', '"12 3d"', '"über plan"',
        '-"plan stale" stale "stale plan"', '"stale—plan"', 'stale -"a b"', '"3d stale"',
    ],
)  # fmt: skip
def test_the_order_of_words_is_found_as_in_the_whole_vector(
    database_url: str, store: Store, text: str
) -> None:
    said = (
        "stale",
        "plan",
        "STALE",
        "the",
        "3d",
        "12",
        "über",
        "staging.py",
        "store",
        "a",
        "b",
    )
    marks = (" ", "/", "—", "\n", "…", "._", " — ", "x")
    words = [word + mark for word, mark in itertools.product(said, marks)]
    say(
        database_url,
        *(
            f"{one}{two}stale plan"
            for one, two in zip(words, words[7:] + words[:7], strict=True)
        ),
    )
    say(
        database_url, *(f"{one}{two}" for one, two in itertools.product(words[::3], words[::5]))
    )
    index(store)
    query = parse(text)
    whole = query.tsquery(store.run(lambda tx: stems(tx, query.stemmed))).query
    expected = rows(
        database_url,
        "SELECT message_index FROM messages WHERE message_words(message_id) "
        "@@ to_tsquery('simple', %s) ORDER BY 1",
        whole,
    )
    assert sorted(found(store, text, limit=5_000)) == [index_of for (index_of,) in expected]


def test_whoever_holds_a_message_goes_first(database_url: str, store: Store) -> None:
    say(database_url, "alpha")
    with closing(psycopg2.connect(database_url)) as other, other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM messages FOR UPDATE")
        started = time.monotonic()
        with pytest.raises(TransientError):
            store.run(index_some)
        assert time.monotonic() - started < 4  # for others it is 5 s
        assert store.run(lag) == 1
    with no_indexing(database_url):
        assert store.run(index_some) is None
    index(store)
    assert found(store, "alpha") == [0]


def test_an_index_that_is_made_while_texts_change_ends_up_right(
    database_url: str, store: Store
) -> None:
    say(database_url, *(f"number{n} round0" for n in range(40)))
    stop = threading.Event()

    def keep_indexing() -> None:
        with closing(Store(database_url)) as mine:
            while not stop.is_set():
                mine.run(index_some)

    threads = [threading.Thread(target=keep_indexing) for _ in range(2)]
    for thread in threads:
        thread.start()
    for n in range(1, 60):
        with closing(psycopg2.connect(database_url)) as writer, writer.cursor() as cursor:
            cursor.execute(
                "UPDATE messages SET content = replace(content, %s, %s) "
                "WHERE message_index %% 7 = %s",
                (f"round{(n - 1) // 7}", f"round{(n - 1) // 7 + 1}", n % 7),
            )
            cursor.execute(
                "INSERT INTO search_queue (first_id, last_id, messages) "
                "SELECT message_id, message_id, 1 FROM messages WHERE message_index %% 7 = %s",
                (n % 7,),
            )
            writer.commit()
    stop.set()
    for thread in threads:
        thread.join()
    index(store)
    for index_of, content in rows(database_url, "SELECT message_index, content FROM messages"):
        assert found(store, content) == [index_of]
        assert found(store, content.replace(" round", " -round")) == []


def test_the_examples_are_found_by_what_is_said_in_them(exportd: Command, store: Store) -> None:
    for path in sorted(EXAMPLES.iterdir()):
        (exportd.memory_dir / "exports" / path.name).write_bytes(path.read_bytes())
    assert exportd("run", "--once").returncode == 0
    missed = []
    for (content,) in rows(str(store._url), "SELECT content FROM messages"):
        for word in re.findall(r"[^\W_]+", content):
            hits = look_up(store, Request(f'"{word}"', Filters(), 1000)).hits
            if content not in [hit.message.text for hit in hits]:
                missed.append((word, content))
    assert missed == []
