"""Steps 5 to 7: what is known stays, what is new is parsed and stored (DESIGN 2.1)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from . import containers, formats
from .containers import Container, JsonlParts, TextParts
from .crash import reach
from .errors import PermanentError, TransientError
from .fingerprint import places
from .growth import Point, Prefix, Source, beginning, head_of
from .ingest import Doubtful, Reading, ingest
from .limits import Limits, check_content, check_size, check_transcript, within
from .members import Members
from .models import NOT_A_CONVERSATION, Fate, Raw, Report, Transcript
from .residence import recognise_again
from .store import Attempt, Drop, Part, Store, known_parts, parts


class Storing:
    """The bytes of a drop into the store, whatever they came in.

    ``refund`` takes an attempt back that the surroundings made fail.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        refund: Callable[[Attempt, TransientError], None],
    ) -> None:
        self._store = store
        self._limits = limits
        self._coming: tuple[Drop, Raw, Attempt] | None = None
        self._ahead: tuple[UUID, Reading] | None = None
        expect = self._expect if limits.max_attempts > 1 else None
        self.members = Members(store, limits.bounds, self.store, refund, expect)

    def store(
        self, drop: Drop, raw: Raw, attempt: Attempt, prefix: Prefix | None = None
    ) -> Report:
        """What became of it: ``ingested``, ``unchanged`` or ``duplicate_file``.

        ``prefix`` is the longest beginning of it that was stored before, of a file of its own.

        ``PermanentError``: it is a dead letter; ``TransientError``: it has to wait.
        """
        if attempt.outcome is Fate.DEAD_LETTER:
            raise PermanentError(self._store.dead_letter_reason(drop.claim_id))
        if attempt.state == "ingested":
            return self._known(drop, attempt)
        if attempt.attempts > self._limits.max_attempts:
            raise PermanentError(
                f"exportd died {self._limits.max_attempts} times over this file, or gave it up "
                "because storing it took longer than timeout in [database]; it was set aside "
                "so that others can be read. Please report it"
            )
        reach("parse.begin")
        known_bytes = prefix.size_bytes if prefix else 0
        container = None if drop.is_part else containers.recognise(raw, drop.name, known_bytes)
        if container:
            known = self._known_parts(drop, prefix) if prefix else []
            held = self.members.ingest(drop, raw, attempt, container, known)
            self._keep_parts(drop, raw, attempt, container, prefix)
            return held
        read = self._read_before(drop)
        if read is None:
            point = self._store.point(prefix.sha256) if prefix else None
            read = self._read(drop, raw, attempt, prefix, point)
            if not read.transcript.messages:
                return self._empty(drop, attempt, read.transcript)
        reach("parse.done")
        reach("store.begin")
        try:
            report = self._ingest(read, self._read_ahead)
        except Doubtful:
            report = self._ingest(self._read(drop, raw, attempt, prefix))
        reach("store.committed")
        return report or self._known(drop, self._store.begin(drop))

    def reading(self, drop: Drop, raw: Raw, attempt: Attempt) -> Reading | None:
        """A first attempt on a content, parsed; None where ``store`` has to see to it."""
        if (attempt.state, attempt.attempts) != ("claimed", 1) or attempt.outcome:
            return None
        if containers.recognise(raw, drop.name):
            return None
        try:
            read = self._read(drop, raw, attempt)
        except PermanentError:
            return None
        return read if read.transcript.messages else None

    def _ingest(
        self, read: Reading, meanwhile: Callable[[], None] | None = None
    ) -> Report | None:
        return self._store.run(lambda tx: ingest(tx, read), meanwhile)

    def _expect(self, drop: Drop, raw: Raw, attempt: Attempt) -> None:
        """What comes behind the next one, and is read while that one is stored."""
        self._coming = drop, raw, attempt

    def _read_ahead(self) -> None:
        if self._coming is None:
            return
        (drop, raw, attempt), self._coming, began = self._coming, None, time.monotonic()
        with suppress(Exception):  # it will be read again in its turn, and told then
            if read := self.reading(drop, raw, attempt):
                took_s = time.monotonic() - began
                self._ahead = drop.claim_id, replace(read, started=took_s)

    def _read_before(self, drop: Drop) -> Reading | None:
        """What was read ahead of this drop; what it took counts as if it was read now."""
        ahead, self._ahead = self._ahead, None
        if self._coming and self._coming[0].claim_id == drop.claim_id:
            self._coming = None  # what stood before it was not stored
        if ahead is None or ahead[0] != drop.claim_id:
            return None
        return replace(ahead[1], started=time.monotonic() - ahead[1].started)

    def _read(
        self,
        drop: Drop,
        raw: Raw,
        attempt: Attempt,
        prefix: Prefix | None = None,
        point: Point | None = None,
    ) -> Reading:
        """The parsed content: all of it, or what stands behind ``point`` alone."""
        started = time.monotonic()
        check_size(raw, self._limits)
        with within(self._limits.parse_timeout_s):
            held = raw[:]
            check_content(held, self._limits)
            transcript = None
            if point:
                transcript = formats.parse_on(held, drop.name, point.known, point.offset)
            if transcript is None:
                point, transcript = None, formats.parse(held, drop.name)
            check_transcript(transcript, self._limits)
        return Reading(
            drop,
            attempt,
            transcript,
            places(transcript.messages),
            started,
            self._limits.thresholds,
            None if drop.is_part or not isinstance(raw, bytes) else _source(raw, prefix, point),
            point,
        )

    def _known_parts(self, drop: Drop, prefix: Prefix) -> list[Part]:
        """The parts of the file that this one begins like; none where one may say more.

        Of other names and times of the same bytes the earliest count.
        """
        found = self._store.run(lambda tx: known_parts(tx, prefix.sha256))
        is_same = drop.explicit_id is None and all(
            part.state == "ingested"
            and part.name == drop.name
            and part.modified_at <= drop.modified_at
            for part in found[:-1]
        )
        return found if is_same else []

    def _keep_parts(
        self,
        drop: Drop,
        raw: Raw,
        attempt: Attempt,
        container: Container,
        prefix: Prefix | None,
    ) -> None:
        """From where the file can be gone on: the beginning of its last part."""
        if not isinstance(container, JsonlParts | TextParts) or drop.parent_export_id:
            return
        found = self._store.run(lambda tx: parts(tx, attempt.export_id))
        size_bytes = int(found[-1].locator.partition("-")[0])
        if size_bytes and all(part.state == "ingested" for part in found):
            facts = {"head": head_of(raw), "sha256": beginning(raw, size_bytes, prefix)}
            self._store.run(
                lambda tx: tx.execute(
                    "set_part_point",
                    export_id=attempt.export_id,
                    size_bytes=size_bytes,
                    **facts,
                )
            )

    def _known(self, drop: Drop, attempt: Attempt) -> Report:
        """These bytes are stored: dropped before, or by this very drop before a crash."""
        also_changed: set[str] = set()
        if attempt.outcome is None:
            also_changed = self._store.run(lambda tx: recognise_again(tx, drop, attempt))
            reason = f"the same bytes were ingested before, as {attempt.first_name}"
        else:
            reason = "stored before an interruption; only its archiving was left to do"
        conversation_id, total, duplicates = self._store.ingested(attempt.export_id)
        if conversation_id in also_changed:
            reason += f"; it belongs to {conversation_id} now"
        return Report(
            drop.name,
            attempt.outcome or Fate.DUPLICATE_FILE,
            drop.size_bytes,
            reason,
            conversation_id,
            tuple(sorted(also_changed)),
            total=total,
            new=total - duplicates if attempt.outcome else 0,
        )

    def _empty(self, drop: Drop, attempt: Attempt, transcript: Transcript) -> Report:
        """An export without a message belongs to no conversation; it is archived."""
        self._store.finish_empty(drop, attempt.export_id, transcript)
        reason = "a known format, but no message in it"
        if NOT_A_CONVERSATION in transcript.flags:
            reason = f"not a conversation: {transcript.regions[0].reason}"
        return Report(drop.name, Fate.UNCHANGED, drop.size_bytes, reason)


def _source(raw: bytes, prefix: Prefix | None, point: Point | None) -> Source:
    return Source(raw, prefix, point.offset if point else 0)
