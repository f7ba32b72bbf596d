"""PostgreSQL: the only package that imports psycopg2.

``Store`` is a connection and the small statements; a ``Transaction`` gathers what a
decision needs, and ``write`` carries it out (DESIGN 2.1, step 7).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import tenacity
from psycopg2.extensions import parse_dsn
from psycopg2.extras import register_uuid

from ..arrivals import Arrival
from ..dumped import Dumped
from ..errors import DatabaseUnavailable, TransientError, UnknownConversation
from ..formats.text import printable
from ..growth import Point
from ..models import Fate, StoredConversation, Transcript
from ..overview import RecentDrop
from ..statistics import Statistics
from .border import StalePlan, translated
from .dump import read_dump
from .facts import read_statistics
from .growing import known_parts, parts, read_point, take_parts
from .line import reachable
from .migrate import READ_ONLY, known_migrations, migrate, pending, rollback
from .outbox import Leased, Outbox, Untold
from .purging import Rewritten, Todo
from .reading import read_conversations
from .recording import finish_container, finish_empty
from .removing import Removed, SharedSegment, forget_archived, remove_segment
from .rows import (
    Asked,
    Attempt,
    DayFacts,
    Decision,
    Drop,
    Gathered,
    NewAlert,
    Part,
    Residence,
    SessionExport,
    Shown,
    Touched,
)
from .server import PING_S, Server
from .staging import discard_staging, prepare_staging, sole_staging, staging_url, swap
from .transaction import Transaction, fingerprint
from .writing import describe, relocate, write, write_beginnings

__all__ = [
    "Asked",
    "Attempt",
    "DayFacts",
    "Decision",
    "Drop",
    "Gathered",
    "Leased",
    "NewAlert",
    "Outbox",
    "Part",
    "Removed",
    "Residence",
    "Rewritten",
    "SessionExport",
    "SharedSegment",
    "Shown",
    "Store",
    "Todo",
    "Touched",
    "Transaction",
    "Untold",
    "connection_variables",
    "describe",
    "discard_staging",
    "fingerprint",
    "known_migrations",
    "known_parts",
    "migrate",
    "parts",
    "pending",
    "prepare_staging",
    "relocate",
    "remove_segment",
    "rollback",
    "sole_staging",
    "staging_url",
    "swap",
    "take_parts",
    "write",
    "write_beginnings",
]

register_uuid()  # type: ignore[no-untyped-call]

_T = TypeVar("_T")


def connection_variables(url: str) -> dict[str, str]:
    """The URL as libpq's environment variables: a password in arguments shows in ``ps``."""
    with translated():
        given = parse_dsn(reachable(url))
    return {_VARIABLES.get(k, f"PG{k.replace('_', '').upper()}"): str(given[k]) for k in given}


# Those that are not called as their parameter (PostgreSQL's manual, "Environment Variables").
_VARIABLES = {
    "application_name": "PGAPPNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "dbname": "PGDATABASE",
}


# A stale plan is made anew; more than this many times in a row is no coincidence.
_MAX_STALE = 8


class Store:
    """One connection to the database; made anew after it was lost.

    Every method raises ``DatabaseUnavailable`` when the server does not answer, and
    then nothing of that call is stored, unless the answer to a COMMIT was lost: ask
    ``begin`` with the same drop.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float | None = None,
        stopping: threading.Event | None = None,
        *,
        rehearsal: bool = False,
    ) -> None:
        """``timeout_s`` bounds each transaction; soon after ``stopping`` none goes on.

        Of a ``rehearsal`` nothing is committed, and ``close`` undoes all of it.
        """
        self.server = Server(url, timeout_s, stopping, rehearsal=rehearsal)
        self._url = url
        self._unanswered: list[tuple[int, int]] = []  # exports, and what was counted of each

    def ping(self) -> None:
        """Return when the database answers and takes what is written."""
        is_read_only, _ = self.server.transact(lambda tx: tx.rows("ping")[0], PING_S)
        if is_read_only:
            self.server.leave()
            raise DatabaseUnavailable(READ_ONLY)

    def migrate(self) -> list[str]:
        """Bring the schema up to date, however long it takes; returns what was applied."""
        applied = self.server.patiently(lambda: migrate(self._url))
        self.server.close()  # the next connection has the role that is there now
        return applied

    def is_guarded(self) -> bool:
        """Whether the database would refuse to delete a message."""
        return bool(self._fetch("is_guarded")[0][0])

    def pending(self) -> list[str]:
        """Ids of the migrations that the database has not seen."""
        return self.server.patiently(lambda: pending(self._url))

    def close(self) -> None:
        self.server.close()

    def begin(self, drop: Drop) -> Attempt:
        """Count an attempt on a drop's content, committed before anything is parsed."""
        return self._begin(lambda tx: [tx.begin(drop)])[0]

    def begin_all(self, drops: Sequence[Drop]) -> list[Attempt]:
        """The same for many; no two with one SHA-256, and none that was begun before."""
        return self._begin(lambda tx: tx.begin_all(drops))

    def _begin(self, count: Callable[[Transaction], list[Attempt]]) -> list[Attempt]:
        """Where the answer to a COMMIT was lost, the next call takes back what it counted.

        Nothing was done with that attempt; three such losses would set a good file aside.
        """
        begun: list[Attempt] = []

        def work(tx: Transaction) -> list[Attempt]:
            lost = [{"export_id": own, "attempts": was} for own, was in self._unanswered]
            tx.each("take_back_attempt", lost)
            begun[:] = count(tx)
            return begun

        try:
            self.run(work)
        except TransientError:
            self._unanswered += [(one.export_id, one.attempts) for one in begun]
            raise
        self._unanswered.clear()
        return begun

    def beginnings(self, head: str) -> list[tuple[int, str]]:
        """Size and SHA-256 of what exports can be gone on from that have this head."""
        return [(size, sha256) for size, sha256 in self._fetch("beginnings", head=head)]

    def point(self, sha256: str) -> Point | None:
        """Where an export that begins with these bytes can be gone on from."""
        return self.run(lambda tx: read_point(tx, sha256))

    def refund_attempt(self, *export_ids: int) -> None:
        """Take an attempt back: it was the surroundings that failed, not the content."""
        self._execute("refund_attempts", export_ids=list(export_ids))

    def run(
        self, work: Callable[[Transaction], _T], meanwhile: Callable[[], None] | None = None
    ) -> _T:
        """Do ``work`` in one transaction; all of it again when its plan went stale.

        ``meanwhile`` is done beside it; beside another try once more.
        """
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(StalePlan),
            stop=tenacity.stop_after_attempt(_MAX_STALE),
            wait=tenacity.wait_random_exponential(multiplier=0.02, max=1),
            reraise=True,
        ):
            with attempt:
                return self.server.transact(work, meanwhile=meanwhile)
        raise AssertionError("tenacity returns or raises")

    def mark_archived(self, export_id: int, archive_name: str) -> None:
        self.mark_all_archived({export_id: archive_name})

    def mark_all_archived(self, names: Mapping[int, str]) -> None:
        """Exports by their ids, with the names that they have in the archive."""
        rows = [{"export_id": own, "archive_name": name} for own, name in names.items()]
        self.run(lambda tx: tx.each("mark_archived", rows))

    def mark_grown(self, export_id: int, sha256: str) -> None:
        """The file grew after it was read: its bytes live on in another export."""
        self._execute("mark_grown", export_id=export_id, sha256=sha256)

    def add_dead_letter(
        self,
        drop: Drop,
        export_id: int | None,
        failed_name: str | None,
        reason: str,
        error_class: str,
    ) -> None:
        """A dead letter, its alert, and the drop's fate, in one transaction."""
        self.run(lambda tx: tx.dead_letter(drop, export_id, failed_name, reason, error_class))

    def dead_letter_reason(self, claim_id: UUID) -> str:
        return str(self._fetch("dead_letter_reason", claim_id=claim_id)[0][0])

    def finish_empty(self, drop: Drop, export_id: int, transcript: Transcript) -> None:
        """An export without a message: stored as an export, part of no conversation."""
        self.run(lambda tx: finish_empty(tx, drop, export_id, transcript))

    def finish_container(
        self, drop: Drop, export_id: int, shell: Transcript, fate: Fate, lost: str = ""
    ) -> None:
        """A container whose members are done: an export without messages of its own."""
        self.run(lambda tx: finish_container(tx, drop, export_id, shell, fate, lost))

    def outdated(self, versions: Mapping[str, int]) -> int:
        """How many exports were read by another version of their format's parser."""
        formats, numbers = list(versions), list(versions.values())
        return int(self._fetch("outdated_exports", formats=formats, versions=numbers)[0][0])

    def unarchived(self, memory_dir: str) -> list[tuple[int, str, str]]:
        """Ingested exports of a folder of which no archive name is known: id, SHA-256, name."""
        rows = self._fetch("unarchived", memory_dir=memory_dir)
        return [(export_id, sha256, name) for export_id, sha256, name in rows]

    def ingested(self, export_id: int) -> tuple[str | None, int, int]:
        """Conversation, messages and, of these, known ones of an ingested export."""
        rows = self._fetch("ingested", export_id=export_id)
        return rows[0] if rows else (None, 0, 0)

    def shown(self, sha256s: Sequence[str]) -> dict[str, Shown]:
        """What is stored of ingested exports, by SHA-256."""
        rows = self._fetch("stored_exports", sha256s=list(sha256s))
        return {sha256: Shown(*facts) for sha256, *facts in rows}

    def session_exports(
        self, format_name: str, session_ids: Sequence[str]
    ) -> list[SessionExport]:
        """Exports of sessions by their own ids; those whose removal is not done, too."""
        rows = self._fetch("session_exports", format=format_name, session_ids=list(session_ids))
        return [SessionExport(*row) for row in rows]

    def forget_archived(
        self,
        export_id: int,
        claim_id: UUID,
        name: str,
        failed_name: str,
        reason: str,
        memory_dir: str,
    ) -> None:
        """A removed export's file lies among the dead letters now."""
        facts = (export_id, claim_id, name, failed_name, reason, memory_dir)
        self.run(lambda tx: forget_archived(tx, *facts))

    def conversation(self, conversation_id: str) -> StoredConversation | None:
        """A conversation, or None when there is none; a long one is read by and by."""
        return next(iter(self.conversations([conversation_id])), None)

    def conversations(self, conversation_ids: Sequence[str]) -> list[StoredConversation]:
        """Those of some conversations that there are."""

        def work(tx: Transaction) -> list[StoredConversation]:
            tx.execute("lookup_snapshot")
            return read_conversations(tx.rows, conversation_ids, self._fetch)

        return self.run(work)

    def dump(
        self, conversation_ids: Sequence[str] | None, take: Callable[[dict[str, Any]], object]
    ) -> None:
        """Hand every record of the canonical dump to ``take``, all of one moment."""

        def each(conversations: Iterator[Dumped]) -> None:
            for dumped in conversations:
                take({**dumped.conversation})
                for message in dumped.messages:
                    take({**message})

        self.dumped(conversation_ids, each)

    def dumped(
        self, conversation_ids: Sequence[str] | None, use: Callable[[Iterator[Dumped]], _T]
    ) -> _T:
        """What ``use`` makes of the conversations, all of one moment."""

        def work(tx: Transaction) -> _T:
            tx.execute("snapshot")
            ids = None if conversation_ids is None else list(conversation_ids)
            return use(read_dump(tx.rows, ids))

        return self.run(work)

    def content_digest(self) -> tuple[int, int]:
        """Equal for two stores with the same messages, wherever these lie in them."""
        count, digest = self._fetch("content_digest")[0]
        return int(count), int(digest)

    def conversation_ids(self) -> list[str]:
        """All conversations, in the order of their ids."""
        return [row[0] for row in self._fetch("dumped_conversations", conversation_ids=None)]

    def conversations_named(self, name: str) -> list[str]:
        """The conversation of this id, else those that have it as an alias."""
        return [row[0] for row in self._fetch("conversation_named", name=name)]

    def statistics(self, conversation_ids: Sequence[str] | None = None) -> list[Statistics]:
        """Of the conversations given, or of all, in the order of their ids."""

        def work(tx: Transaction) -> list[Statistics]:
            tx.execute("snapshot")
            return read_statistics(tx.rows, conversation_ids)

        return self.run(work)

    def get_statistics(self, conversation_id: str) -> dict[str, Any]:
        """The specification's statistics of one conversation, by id or alias.

        ``UnknownConversation`` when there is none, or more than one.
        """
        found = self.statistics(self.conversations_named(conversation_id))
        if len(found) != 1:
            raise UnknownConversation(
                f"expected one conversation called {printable(conversation_id)}, found "
                f"{len(found)}{': ' if found else ''}"
                f"{', '.join(one.conversation_id for one in found)}"
            )
        return found[0].as_dict()

    def total_messages(self) -> int:
        """All unique messages in storage."""
        return int(self._fetch("total_messages")[0][0])

    def knows_alert(self, fingerprint: str) -> bool:
        """Whether there is, or was, an alert of this fingerprint."""
        return bool(self._fetch("had_digest", fingerprint=fingerprint)[0][0])

    def day_facts(self, memory_dir: str, since: datetime) -> DayFacts:
        """What happened in a memory folder since then."""
        return DayFacts(*self._fetch("day_facts", memory_dir=memory_dir, since=since)[0])

    def last_drop(self, memory_dir: str) -> datetime | None:
        """When the last file came."""
        found: datetime | None = self._fetch("last_drop", memory_dir=memory_dir)[0][0]
        return found

    def recent_drops(self, memory_dir: str, most: int) -> list[RecentDrop]:
        """The last files that came, the newest first."""
        rows = self._fetch("recent_drops", memory_dir=memory_dir, most=most)
        return [RecentDrop(*row) for row in rows]

    def clock(self) -> datetime:
        """What time it is for the database: rows have its time."""
        found: datetime = self._fetch("clock")[0][0]
        return found

    def arrivals(
        self, memory_dir: str, since: datetime, name: str | None = None, sha256: str = ""
    ) -> list[Arrival]:
        """Files that came since then, in their order; ``name``: of this name alone.

        And those of the content ``sha256``, whenever they came.
        """
        rows = self._fetch(
            "arrivals", memory_dir=memory_dir, since=since, name=name, sha256=sha256
        )
        return [
            Arrival(at, was, outcome, tuple(ids), total, new, round(savings, 2), told, reason)
            for at, was, outcome, ids, total, new, savings, told, reason in rows
        ]

    def untold(self, memory_dir: str) -> list[str]:
        """Conversations whose session file a crash may have left behind; gone ones, too."""
        gone = self._fetch("gone_by_decision")
        return [row[0] for row in (*self._fetch("untold", memory_dir=memory_dir), *gone)]

    def mark_told(self, memory_dir: str) -> None:
        self._execute("mark_told", memory_dir=memory_dir)

    def _fetch(self, statement: str, /, **parameters: Any) -> list[tuple[Any, ...]]:
        return self.run(lambda tx: tx.rows(statement, **parameters))

    def _execute(self, statement: str, /, **parameters: Any) -> None:
        self.run(lambda tx: tx.execute(statement, **parameters))
