"""Steps 5 to 7: what is known stays, what is new is parsed and stored (DESIGN 2.1)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from . import containers, formats
from .crash import reach
from .errors import PermanentError, TransientError
from .fingerprint import places
from .ingest import Reading, ingest
from .limits import Limits, check_content, check_size, check_transcript, within
from .members import Members
from .models import NOT_A_CONVERSATION, Fate, Raw, Report, Transcript
from .residence import recognise_again
from .store import Attempt, Drop, Store


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

    def store(self, drop: Drop, raw: Raw, attempt: Attempt) -> Report:
        """What became of it: ``ingested``, ``unchanged`` or ``duplicate_file``.

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
        started = time.monotonic()
        reach("parse.begin")
        container = None if drop.is_part else containers.recognise(raw, drop.name)
        if container:
            return self.members.ingest(drop, raw, attempt, container)
        before = self._read_before(drop)
        transcript = before.transcript if before else self._parse(drop, raw)
        reach("parse.done")
        if not transcript.messages:
            return self._empty(drop, attempt, transcript)
        read = before or self._reading(drop, attempt, transcript, started)
        reach("store.begin")
        report = self._store.run(lambda tx: ingest(tx, read), self._read_ahead)
        reach("store.committed")
        return report or self._known(drop, self._store.begin(drop))

    def reading(self, drop: Drop, raw: Raw, attempt: Attempt) -> Reading | None:
        """A first attempt on a content, parsed; None where ``store`` has to see to it."""
        if (attempt.state, attempt.attempts) != ("claimed", 1) or attempt.outcome:
            return None
        if containers.recognise(raw, drop.name):
            return None
        started = time.monotonic()
        try:
            transcript = self._parse(drop, raw)
        except PermanentError:
            return None
        if not transcript.messages:
            return None
        return self._reading(drop, attempt, transcript, started)

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

    def _parse(self, drop: Drop, raw: Raw) -> Transcript:
        check_size(raw, self._limits)
        with within(self._limits.parse_timeout_s):
            held = raw[:]
            check_content(held, self._limits)
            transcript = formats.parse(held, drop.name)
            del held
            check_transcript(transcript, self._limits)
        return transcript

    def _reading(
        self, drop: Drop, attempt: Attempt, transcript: Transcript, started: float
    ) -> Reading:
        run, thresholds = places(transcript.messages), self._limits.thresholds
        return Reading(drop, attempt, transcript, run, started, thresholds)

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
