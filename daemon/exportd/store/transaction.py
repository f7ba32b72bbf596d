"""One transaction: gather what a decision needs, then write the decision."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from psycopg2.extensions import cursor
from psycopg2.extras import Json, execute_batch, execute_values

from ..growth import Point
from ..identity import ExportFact
from ..models import Fate, Kind, Place, Role, Severity
from ..placement import Candidate, SegmentFact
from .copy import copy_text
from .queries import query
from .rows import Asked, Attempt, Drop, Gathered, NewAlert, Touched

_VALUES = re.compile(r"^VALUES (\(.*?\))$", re.DOTALL | re.MULTILINE)


class Transaction:
    """The statements of one open transaction; the store commits or rolls back."""

    def __init__(self, cursor: cursor) -> None:
        self._cursor = cursor

    def execute(self, statement: str, /, **parameters: Any) -> int:
        """Run a named statement; returns how many rows it touched."""
        self._cursor.execute(query(statement), parameters)
        return self._cursor.rowcount

    def rows(self, statement: str, /, **parameters: Any) -> list[tuple[Any, ...]]:
        self.execute(statement, **parameters)
        return self._cursor.fetchall()

    def each(self, statement: str, of: Sequence[Mapping[str, Any]]) -> None:
        """Run a named statement for each of these parameters, in one round trip."""
        if of:
            execute_batch(self._cursor, query(statement), of, len(of))

    def insert(self, statement: str, of: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """All of these rows by one named INSERT of one row; what it returns, in any order."""
        if not of:
            return []
        sql = query(statement)
        row = _VALUES.search(sql)
        if row is None:
            raise ValueError(f"{statement} inserts no row of values")
        many = f"{sql[: row.start(1)]}%s{sql[row.end(1) :]}"
        execute_values(self._cursor, many, of, row[1], len(of))
        return self._cursor.fetchall() if self._cursor.description else []

    def copy(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Send rows to a named COPY statement."""
        self._cursor.copy_expert(query(statement), copy_text(rows))

    @staticmethod
    def json(value: Mapping[str, Any]) -> object:
        """A parameter of type jsonb."""
        return Json(dict(value))

    def as_owner(self) -> None:
        """From here on with all rights: for the deliberate exceptions to append-only."""
        self.execute("owner_role")

    # -- a drop arrives ----------------------------------------------------------

    def begin(self, drop: Drop) -> Attempt:
        attempt = _attempt(self.rows("begin_export", **_content(drop))[0])
        outcome = self._begin_drop(drop, attempt.export_id)
        return replace(attempt, outcome=Fate(outcome) if outcome else None)

    def begin_all(self, drops: Sequence[Drop]) -> list[Attempt]:
        """The same for new drops of different contents, in their order."""
        # In one order, so that two daemons with the same contents do not wait for each other.
        ordered = sorted(drops, key=lambda drop: drop.sha256)
        begun = self.insert("begin_export", [_content(drop) for drop in ordered])
        attempts = {row[-1]: _attempt(row) for row in begun}
        self.insert(
            "begin_drop",
            [_arrival(drop, attempts[drop.sha256].export_id) for drop in drops],
        )
        return [attempts[drop.sha256] for drop in drops]

    def _begin_drop(self, drop: Drop, export_id: int | None) -> str | None:
        _, outcome = self.rows("begin_drop", **_arrival(drop, export_id))[0]
        return str(outcome) if outcome else None

    def dead_letter(
        self,
        drop: Drop,
        export_id: int | None,
        failed_name: str | None,
        reason: str,
        error_class: str,
    ) -> None:
        self.execute("fail_export", export_id=export_id)
        if export_id is None:
            self._begin_drop(drop, None)
        self.execute("finish_drop", claim_id=drop.claim_id, outcome=Fate.DEAD_LETTER.value)
        added = self.execute(
            "add_dead_letter",
            export_id=export_id,
            claim_id=drop.claim_id,
            original_name=drop.name,
            failed_name=failed_name,
            reason=reason,
            error_class=error_class,
            memory_dir=drop.memory_dir,
        )
        if failed_name is not None:
            self.execute(
                "replace_dead_letters",
                memory_dir=drop.memory_dir,
                failed_name=failed_name,
                claim_id=drop.claim_id,
            )
        # Not when a kill came between this and the move of the file. What lies in a container
        # is told with it: a file has one alert.
        if added and drop.parent_export_id is None:
            self.alert(
                NewAlert(
                    "dead_letter",
                    Severity.WARNING,
                    f"{drop.name}: {reason}",
                    subject=str(export_id or drop.claim_id),
                    memory_dir=drop.memory_dir,
                    export_id=export_id,
                )
            )

    # -- gather ------------------------------------------------------------------

    def candidates(
        self,
        head_hash: str | None,
        format_name: str,
        conversation_id: str | None,
        session_id: str | None = None,
        touched: Touched | None = None,
    ) -> Gathered:
        """Segments that start like an export, or bear its name where indices count.

        None of another session, by an id of its own: thousands may begin with one prompt.
        Their messages from the first one that can be ``touched``; all of them without it.
        """
        facts = (format_name, head_hash, conversation_id, session_id)
        segments = self._locked_segments(*facts)
        candidates, message_ids = [], {}
        for segment in segments:
            before = self._untouched(segment, touched) if touched else 0
            ids, places = self._places(segment, before, touched)
            candidates.append(Candidate(segment, places, before))
            message_ids[segment.segment_id] = ids
        return Gathered(tuple(candidates), message_ids)

    def behind(self, point: Point, format_name: str) -> Gathered | None:
        """The segment of a point, with its messages from there on.

        None where another segment begins alike, or the point does not hold any more.
        """
        segments = self._locked_segments(format_name, point.head_hash)
        holds = self.rows(
            "holds_resume_point", segment_id=point.segment_id, sha256=point.sha256
        )
        if [s.segment_id for s in segments] != [point.segment_id] or not holds:
            return None
        before = point.known.before.messages
        ids, places = self._places(segments[0], before, None)
        return Gathered(
            (Candidate(segments[0], places, before),), {segments[0].segment_id: ids}
        )

    def behind_part(self, sha256: str) -> Gathered | None:
        """The segment of a part of a long export, with the messages behind that part's."""
        for segment_id, _ in self.rows("part_end", sha256=sha256):
            self.lock({segment.conversation_id for segment in self.segments([segment_id])})
            segment = self.segments([segment_id])[0]
            before = int(self.rows("part_end", sha256=sha256)[0][1])
            ids, places = self._places(segment, before, None)
            candidate = Candidate(segment, places, before)
            return Gathered((candidate,), {segment_id: ids}, is_behind=True)
        return None

    def _locked_segments(
        self,
        format_name: str,
        head_hash: str | None,
        conversation_id: str | None = None,
        session_id: str | None = None,
    ) -> list[SegmentFact]:
        """The candidates, and their conversations locked."""
        self.execute("lock_head", head=head_hash or "")
        if conversation_id is not None:  # two parts of one new session may begin otherwise
            self.execute("lock_head", head=f"{format_name}/{conversation_id}")
        segments = self._segments(
            "candidates",
            format=format_name,
            head_hash=head_hash,
            conversation_id=conversation_id,
            session_id=session_id,
        )
        if not segments:
            return []
        # The segments' indices hold still only while their conversations are locked.
        self.lock({segment.conversation_id for segment in segments})
        return self._segments(
            "candidates",
            format=format_name,
            head_hash=head_hash,
            conversation_id=conversation_id,
            session_id=session_id,
        )

    def _untouched(self, segment: SegmentFact, touched: Touched) -> int:
        """How many messages lie before the first that can be touched."""
        first = self.rows(
            "first_touched",
            conversation_id=segment.conversation_id,
            first=segment.first_index,
            last=segment.first_index + segment.message_count - 1,
            source_ids=list(touched.ids),
            since=touched.since,
        )[0][0]
        return segment.message_count if first is None else int(first) - segment.first_index

    def source_ids(self, segment: SegmentFact | None, of: Iterable[str]) -> frozenset[str]:
        """Those of some native ids that a segment has stored; none where it is new."""
        asked = list(of)
        if segment is None or not asked:
            return frozenset()
        found = self.rows(
            "stored_source_ids",
            conversation_id=segment.conversation_id,
            first=segment.first_index,
            last=segment.first_index + segment.message_count - 1,
            source_ids=asked,
        )
        return frozenset(source_id for (source_id,) in found)

    def is_ingested(self, export_id: int) -> bool:
        """Whether an export is stored: another daemon may have had the same bytes."""
        return bool(self.rows("is_ingested", export_id=export_id)[0][0])

    def lock(self, conversation_ids: Iterable[str]) -> None:
        self.execute("lock_conversations", conversation_ids=sorted(conversation_ids))

    def segments_of(self, conversation_ids: Iterable[str]) -> list[SegmentFact]:
        return self._segments("conversation_segments", conversation_ids=list(conversation_ids))

    def ensure_conversation(self, conversation_id: str) -> bool:
        """Make sure that it exists; True when it is new."""
        return self.execute("ensure_conversation", conversation_id=conversation_id) == 1

    def related(self, asked: Mapping[int, Asked]) -> set[int]:
        """Which of these exports have to do with what is stored.

        Stored itself, a segment that begins like it or bears its name, or an export that
        mentions its name. Nobody else stores such a segment before the transaction ends.
        """
        of = list(asked.values())
        locks = {one.head_hash or "" for one in of}
        locks |= {f"{one.format}/{one.conversation_id}" for one in of if one.conversation_id}
        self.execute("lock_heads", heads=sorted(locks))
        found = self.rows(
            "related_exports",
            numbers=list(asked),
            export_ids=[one.export_id for one in of],
            formats=[one.format for one in of],
            heads=[one.head_hash for one in of],
            conversation_ids=[one.conversation_id for one in of],
            names=[one.name for one in of],
        )
        return {int(n) for (n,) in found}

    def begin_conversations(self, conversation_ids: Sequence[str]) -> list[str]:
        """Those that were not there before; they are locked then."""
        rows = self.rows("begin_conversations", conversation_ids=list(conversation_ids))
        return [str(conversation_id) for (conversation_id,) in rows]

    def segments_mentioning(self, names: Sequence[str]) -> list[SegmentFact]:
        """Segments with an export that says it continues one of ``names``."""
        return self._segments("segments_mentioning", names=list(names))

    def segments(self, segment_ids: Sequence[int]) -> list[SegmentFact]:
        return self._segments("segments", segment_ids=list(segment_ids))

    def segments_of_contents(self, sha256s: Sequence[str]) -> list[SegmentFact]:
        return self._segments("segments_of_contents", sha256s=list(sha256s))

    def segments_of_export(self, export_id: int) -> list[SegmentFact]:
        return self._segments("segments_of_export", export_id=export_id)

    def redirects(self) -> dict[str, str]:
        """Ids of conversations that people renamed or merged, each with what it became."""
        return {str(source): str(target) for source, target in self.rows("redirects")}

    def exports_named(
        self, names: Sequence[str], segment_id: int | None
    ) -> list[tuple[str, str]]:
        """Exports of other segments with one of ``names``, and their conversations."""
        if not names:
            return []
        rows = self.rows("exports_named", names=list(names), segment_id=segment_id)
        return [(name, conversation_id) for name, conversation_id in rows]

    def _segments(self, statement: str, /, **parameters: Any) -> list[SegmentFact]:
        rows = self.rows(statement, **parameters)
        if not rows:
            return []
        exports = self.rows("segment_exports", segment_ids=[row[0] for row in rows])
        facts: dict[int, list[ExportFact]] = {}
        for segment_id, name, count, modified_at, header, given, lineage, *more in exports:
            session_id, title, names = more
            fact = ExportFact(
                name,
                count,
                modified_at,
                header,
                given,
                tuple(lineage),
                session_id,
                title,
                tuple(names),
            )
            facts.setdefault(segment_id, []).append(fact)
        return [
            SegmentFact(
                segment_id, conversation_id, first, count, tuple(facts[segment_id]), head
            )
            for segment_id, conversation_id, first, count, head in rows
        ]

    def _places(
        self, segment: SegmentFact, before: int, touched: Touched | None
    ) -> tuple[tuple[int, ...], tuple[Place, ...]]:
        """Without the texts of what is not touched: it stays as it is."""
        where = {
            "conversation_id": segment.conversation_id,
            "first": segment.first_index + before,
            "last": segment.first_index + segment.message_count - 1,
        }
        others: dict[int, set[str]] = {}
        for message_id, content_hash in self.rows("segment_renderings", **where):
            others.setdefault(message_id, set()).add(content_hash)
        touched_ids = list(touched.ids) if touched else None
        rows = self.rows("segment_messages", **where, touched_ids=touched_ids)
        return tuple(row[0] for row in rows), tuple(
            _place(frozenset({row[4], *others.get(row[0], ())}), *row[1:4], *row[5:])
            for row in rows
        )

    def alert(self, *alerts: NewAlert) -> None:
        """Of one kind about one subject there is one open alert; it is seen once more then."""
        self.each(
            "add_alert",
            [
                {
                    "fingerprint": fingerprint(alert.kind, alert.subject),
                    "kind": alert.kind,
                    "severity": alert.severity.value,
                    "body": alert.body,
                    "memory_dir": alert.memory_dir,
                    "conversation_id": alert.conversation_id,
                    "export_id": alert.export_id,
                    "details": self.json(alert.details),
                }
                for alert in alerts
            ],
        )

    def resolve_alert(self, kind: str, subject: str, resolution: str) -> None:
        """What was firing is over, and why."""
        self.execute(
            "resolve_alert", fingerprint=fingerprint(kind, subject), resolution=resolution
        )


def _attempt(row: tuple[Any, ...]) -> Attempt:
    export_id, state, attempts, parser_version, message_count, archive_name, name, _ = row
    return Attempt(
        export_id, state, attempts, parser_version, message_count, archive_name, name, None
    )


def _content(drop: Drop) -> dict[str, Any]:
    return {
        "sha256": drop.sha256,
        "size_bytes": drop.size_bytes,
        "name": drop.name,
        "modified_at": drop.modified_at,
        "explicit_id": drop.explicit_id,
    }


def _arrival(drop: Drop, export_id: int | None) -> dict[str, Any]:
    return {
        "claim_id": drop.claim_id,
        "export_id": export_id,
        "original_name": drop.name,
        "memory_dir": drop.memory_dir,
        "parent_export_id": drop.parent_export_id,
        "locator": drop.locator,
    }


def fingerprint(kind: str, subject: str) -> str:
    """What tells an alert from every other one that may be open beside it."""
    return hashlib.sha256(f"{kind}\0{subject}".encode()).hexdigest()


def _place(
    hashes: frozenset[str], role: str, kind: str, tool: str | None, text: str, *more: Any
) -> Place:
    index, in_flight, source_id, occurred_at = more
    return Place(
        Role(role), Kind(kind), tool, hashes, text, index, in_flight, source_id, occurred_at
    )
