"""The exports inside one file: each takes the road of a drop of its own.

What the container holds is claimed, attempted, stored and told one by one, by an id that
follows from the container's: after a crash what is done is done. The bytes stay in the
container, which is archived as it came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from uuid import UUID, uuid5

import structlog

from . import containers, formats
from .containers import Bounds, Container, JsonlParts, Member, TextParts
from .containers.jsonl_parts import LONG_BYTES
from .crash import reach
from .errors import MalformedExport, PermanentError, TransientError, UnknownFormat
from .file_bytes import sha256
from .formats.text import printable
from .models import Anomaly, Fate, Raw, Report, Severity, Transcript
from .render.wording import some
from .store import Attempt, Drop, Part, Store, take_parts

MAX_DEPTH = 3  # a zip in a zip in a zip
_MOST_NAMES = 5

log = structlog.get_logger()


@dataclass(slots=True)
class _Sum:
    """What became of the members so far; ``what`` they are called."""

    what: str
    reports: Counter[Fate] = field(default_factory=Counter)
    total: int = 0
    new: int = 0
    rerendered: int = 0
    completed: int = 0
    conversations: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    anomalies: list[Anomaly] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    first_fault: str = ""

    def add(self, report: Report) -> None:
        self.reports[report.fate] += 1
        self.total += report.total
        self.new += report.new
        self.rerendered += report.rerendered
        self.completed += report.completed
        if report.conversation_id:
            self.conversations.add(report.conversation_id)
        if report.fate is Fate.INGESTED and report.conversation_id:
            self.changed.add(report.conversation_id)
        self.changed |= set(report.also_changed)
        self.anomalies += report.anomalies
        if report.fate is Fate.DEAD_LETTER:
            text = f"{report.name} in it could not be ingested: {report.reason}"
            self.anomalies.append(Anomaly("dead_letter", Severity.WARNING, printable(text)))

    @property
    def lost(self) -> str:
        """What could not be ingested, in containers inside of it, too; empty if all was."""
        lost = [one.message for one in self.anomalies if one.kind == "dead_letter"]
        first = f"the first: {lost[0]}" if len(lost) > 1 else "".join(lost)
        return f"{some(len(lost), self.what)} could not be ingested; {first}" if lost else ""

    @property
    def fate(self) -> Fate:
        return Fate.INGESTED if self.reports[Fate.INGESTED] else Fate.UNCHANGED

    @property
    def told(self) -> str:
        """In words: the conversations, and what else lay in the container."""
        parts = [f"{some(self.reports.total(), self.what)} in it"]
        words = {
            Fate.INGESTED: "with news",
            Fate.DEAD_LETTER: "could not be ingested",
        }
        parts += [
            f"{self.reports[fate]:,} {what}"
            for fate, what in words.items()
            if self.reports[fate]
        ]
        if self.others:
            names = ", ".join(map(printable, self.others[:_MOST_NAMES]))
            more = ", …" if len(self.others) > _MOST_NAMES else ""
            parts.append(f"{some(len(self.others), 'member')} of another kind ({names}{more})")
        return ", ".join(parts)


class Members:
    """Takes containers apart. ``take`` ingests the bytes of one drop and is told its attempt.

    ``refund`` takes an attempt back that the surroundings made fail, ``moving`` hears of
    every member, for a container may hold thousands. ``expect`` is told of a part of a long
    session, and of its attempt, before the part in front of it is taken.
    """

    def __init__(
        self,
        store: Store,
        bounds: Bounds,
        take: Callable[[Drop, Raw, Attempt], Report],
        refund: Callable[[Attempt, TransientError], None],
        expect: Callable[[Drop, Raw, Attempt], None] | None = None,
    ) -> None:
        self._store = store
        self._expect = expect
        self._begun: dict[UUID, Attempt] = {}
        self._bounds = bounds
        self._take = take
        self._refund = refund
        self.moving: Callable[[], None] = lambda: None

    def ingest(
        self,
        drop: Drop,
        raw: Raw,
        attempt: Attempt,
        container: Container,
        known: list[Part] | None = None,
    ) -> Report:
        """Every member to its fate; then the container is done with.

        ``known`` are the parts of one that this one begins like; in the last it may differ.

        Raises ``PermanentError`` where none of them is a conversation.
        """
        depth = (drop.locator or "").count("/") + 1
        if depth > MAX_DEPTH:
            raise PermanentError(f"containers inside of containers, more than {MAX_DEPTH} deep")
        if drop.explicit_id and not container.HOLDS_ONE:
            raise PermanentError(
                f"a .session file names one conversation, and a {container.TITLE} holds any "
                "number; take it away, or drop the one conversation alone"
            )
        self._begun.clear()
        # A member that kills the process is found by its own attempts.
        self._store.refund_attempt(attempt.export_id)
        found = _Sum(container.MEMBER)
        news = self._news(drop, raw, attempt, container, known, found)
        for member, behind in self._in_turn(news, container):
            self.moving()
            self._member(drop, attempt.export_id, member, container, found, behind)
        if not found.reports:
            names = ", ".join(map(printable, found.others[:_MOST_NAMES])) or "nothing"
            raise UnknownFormat(f"no conversation export is in this {container.TITLE}: {names}")
        if found.reports[Fate.DEAD_LETTER] == found.reports.total():
            raise PermanentError(
                f"not one of {some(found.reports.total(), container.MEMBER)} in this "
                f"{container.TITLE} could be ingested; the first: {found.first_fault}"
            )
        reach("members.done")
        header = {"members": found.reports.total(), "others": len(found.others)}
        shell = Transcript(container.NAME, 1, (), (), header=header)
        self._store.finish_container(drop, attempt.export_id, shell, found.fate, found.lost)
        return Report(
            drop.name,
            found.fate,
            drop.size_bytes,
            found.told,
            min(found.conversations) if len(found.conversations) == 1 else None,
            tuple(sorted(found.changed)),
            total=found.total,
            new=found.new,
            rerendered=found.rerendered,
            completed=found.completed,
            anomalies=tuple(found.anomalies),
        )

    def _news(
        self,
        drop: Drop,
        raw: Raw,
        attempt: Attempt,
        container: Container,
        known: list[Part] | None,
        into: _Sum,
    ) -> Iterator[Member]:
        """All members but the parts that are known to be in it; those are only counted."""
        if not known or not isinstance(container, JsonlParts | TextParts):
            return container.members(raw, drop.name, self._bounds)
        *others, last = known
        self._store.run(lambda tx: take_parts(tx, drop, attempt.export_id, others))
        into.reports[Fate.DUPLICATE_FILE] += len(others)
        into.total += sum(part.message_count or 0 for part in others)
        into.conversations |= {p.conversation_id for p in others if p.conversation_id}
        return container.members_from(raw, drop.name, self._bounds, last.locator)

    def _member(
        self,
        parent: Drop,
        export_id: int,
        member: Member,
        holder: Container,
        into: _Sum,
        behind: Member | None,
    ) -> None:
        try:
            if not member.fault and not is_export(member.raw, member.name):
                into.others.append(member.name)
                return
            drop = member_drop(parent, export_id, member, holder)
        except MalformedExport as damage:  # which shows when it is unpacked
            member = replace(member, raw=b"", fault=str(damage))
            drop = member_drop(parent, export_id, member, holder)
        attempt = self._begun.pop(drop.claim_id, None) or self._store.begin(drop)
        reach("members.counted")
        try:
            if behind and _is_first(attempt):
                self._begin_ahead(member_drop(parent, export_id, behind, holder), behind)
            into.add(self._taken(drop, member, attempt))
        except TransientError as error:
            for counted in (attempt, *self._begun.values()):
                self._refund(counted, error)
            self._begun.clear()
            raise
        except PermanentError as error:
            into.first_fault = into.first_fault or str(error)
            into.add(self._dead_letter(drop, attempt, _inside(parent, error), error))
        except Exception as error:
            log.exception("ingest.bug", file=printable(drop.name))
            into.add(self._dead_letter(drop, attempt, bug(error), error))

    def _in_turn(
        self, members: Iterator[Member], holder: Container
    ) -> Iterator[tuple[Member, Member | None]]:
        """Each, with the part behind it where that may be read while this one is stored."""
        if self._expect is None or not isinstance(holder, JsonlParts | TextParts):
            yield from ((member, None) for member in members)
            return
        for member, behind in pairwise(chain(members, (None,))):
            if member is not None:
                small = behind and not behind.fault and len(behind.raw) <= LONG_BYTES
                yield member, behind if small and len(member.raw) <= LONG_BYTES else None

    def _begin_ahead(self, drop: Drop, member: Member) -> None:
        """Count the attempt on the part behind one that is stored for the first time.

        A kill counts for both then, but only once: after it each is read in its own turn.
        """
        attempt = self._begun[drop.claim_id] = self._store.begin(drop)
        if self._expect and _is_first(attempt):
            self._expect(drop, member.raw, attempt)

    def _taken(self, drop: Drop, member: Member, attempt: Attempt) -> Report:
        if member.fault:
            raise MalformedExport(member.fault)
        return self._take(drop, member.raw, attempt)

    def _dead_letter(
        self, drop: Drop, attempt: Attempt, reason: str, error: Exception
    ) -> Report:
        if attempt.outcome is not Fate.DEAD_LETTER:
            self._store.add_dead_letter(
                drop, attempt.export_id, None, reason, type(error).__name__
            )
        return Report(drop.name, Fate.DEAD_LETTER, drop.size_bytes, reason)


def _is_first(attempt: Attempt) -> bool:
    return (attempt.state, attempt.attempts) == ("claimed", 1)


def member_drop(parent: Drop, export_id: int, member: Member, holder: Container) -> Drop:
    """A drop of its own, with the container as its parent."""
    locator = f"{parent.locator}/{member.locator}" if parent.locator else member.locator
    content: Raw = member.raw or f"{parent.sha256} {member.locator}".encode()  # of a fault
    return replace(
        parent,
        claim_id=uuid5(parent.claim_id, member.locator),
        name=member.name,
        sha256=sha256(content),
        size_bytes=len(member.raw),
        explicit_id=parent.explicit_id if holder.HOLDS_ONE else None,
        is_part=isinstance(holder, JsonlParts | TextParts),
        parent_export_id=export_id,
        locator=locator,
    )


def _inside(parent: Drop, error: PermanentError) -> str:
    return f"{error}; it lies in {parent.name}, which is archived whole"


def is_export(raw: Raw, name: str) -> bool:
    """Whether a member is in a known format, or is a container itself."""
    if containers.recognise(raw, name):
        return True
    try:
        formats.recognise(raw[: formats.HEAD_BYTES], name)
    except UnknownFormat:
        return False
    except PermanentError:  # two formats claim it: that is to be told
        return True
    return True


def bug(error: Exception) -> str:
    """What people are told of a bug that a file brings out."""
    return (
        f"exportd has a bug that this file brings out ({type(error).__name__}); please "
        "report it, with the traceback from the log"
    )
