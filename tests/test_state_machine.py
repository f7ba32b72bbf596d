"""Any sessions, exported at any moment, dropped in any order: the store equals the truth.

A Hypothesis state machine invents sessions (``invented.py`` says what a screen shows of
them), takes exports of them and drops these. At the end every export has arrived, and
PostgreSQL must hold every segment once, every message at its place, every repeat, every
rendering, in the conversations that DESIGN 4.3 names. The oracle knows what was said; it
uses nothing of ``alignment``, ``identity`` or ``placement``.

Nobody rewinds or edits a session here: an export from before the branch is the beginning
of both, and nothing in it says of which (DESIGN 4.2); so it is with two sessions that say
the same for as long as an export shows.

TEST_EXAMPLES=100000 runs more of it, and TEST_SEED=7 others.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from conftest import execute
from hypothesis import HealthCheck, event, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from invented import (
    HOME,
    PLACEHOLDERS,
    Said,
    Segment,
    Session,
    Shown,
    aged,
    bare,
    export_text,
    show,
)
from psycopg2.extensions import connection, cursor, make_dsn

from exportd import formats
from exportd.anomalies import Thresholds
from exportd.fingerprint import places
from exportd.ingest import Reading, ingest
from exportd.residence import recognise_again
from exportd.store import Drop, Transaction

EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "1200"))

PROJECTS = ("garden", "Kitchen-Plan", "cellar", "attic")
DIRECTORIES = ("/home/ann/garden", "/home/ann/garden/src", "/home/ann", "/srv/attic")


def prompt(text: str) -> Said:
    return Said("prompt", text)


def prose(text: str) -> Said:
    return Said("prose", text)


def call(text: str, path: str = "") -> Said:
    return Said("call", text, path)


def result(text: str, path: str = "", later: str = "") -> Said:
    return Said("result", text, path, later)


BEDS, OTHER_BEDS, WATER, NOTES = (
    "/home/ann/garden/src/beds.py",
    "/home/ann/garden/beds.py",
    "/home/ann/garden/src/deep/water.py",
    "/home/ann/garden/NOTES.md",
)
STATUS = (call("Bash(git status)"), result("nothing to commit, working tree clean"))
# One turn is drawn at a time; most of them repeat within and across sessions.
TURNS: tuple[tuple[Said, ...], ...] = (
    (prompt("continue"), prose("Done.")),
    (prompt("continue"), *STATUS, prose("Done.")),
    (prompt("yes"), *STATUS),
    (prompt("yes"), *STATUS, *STATUS),
    (prompt("yes"),),
    (prompt("git status"), *STATUS, prose("Nothing to commit."), *STATUS),
    (prompt("read the beds"), call("Read({path})", BEDS), result("Read 120 lines")),
    (
        prompt("continue"),
        call("Read({path})", BEDS),
        call("Read({path})", WATER),
        result("Read 120 lines"),
        result("Read 31 lines", later="(No changes)"),
    ),
    (
        prompt("water them"),
        call("Update({path})", WATER),
        result("Updated {path} with 2 additions and 1 removal", WATER, "(No changes)"),
        call("Update({path})", WATER),
        result("Updated {path} with 1 addition", WATER, "(No changes)"),
        prose("Done."),
    ),
    (
        prompt("note it"),
        call("Write({path})", NOTES),
        result("Wrote 3 lines to {path}\n1 tulips\n2 roses\n3 water on Monday", NOTES),
    ),
    (
        prompt("ask somebody"),
        call("Task(Count the beds)"),
        result("Done (12 tool uses · 3k tokens · 1m 2s)", later="Initializing…"),
        prose("There are twelve beds, and all of them want water before noon."),
    ),
    (prompt("what about bed {n}, is there anything left to do in it?"), prose("Done.")),
    (prompt("continue"), prose("Bed {n} is dug over, raked and ready for the seeds.")),
    (prompt("dig bed {n}"), call("Bash(dig --bed {n} --deep)"), result("bed {n}: dug")),
    (prose("I'll look at row {n} first."), *STATUS, call("Read({path})", NOTES)),
    # Seen from another directory the second one reads like the first did.
    (
        prompt("read both"),
        call("Read({path})", BEDS),
        result("Read 120 lines", later="(No changes)"),
        call("Read({path})", OTHER_BEDS),
        result("Read 14 lines"),
    ),
    (
        prompt("continue"),
        call("Read({path})", OTHER_BEDS),
        call("Read({path})", BEDS),
        prose("Done."),
        call("Read({path})", BEDS),
    ),
)
TELLING = prose("This is about plot {n}, and about no other plot.")


@dataclass(slots=True)
class Export:
    """One content and the names it was dropped under."""

    raw: bytes
    segment: Segment
    shown: tuple[Shown, ...]
    modified_at: datetime
    generic: bool
    cwd: str
    names: set[str] = field(default_factory=set)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def anchors(self) -> int:
        forms = self.segment.said[: len(self.shown)]
        return sum(said.is_anchor for said in forms)

    @property
    def name(self) -> str:
        """Of several names that with the earlier date counts (DESIGN 4.3)."""
        return min(self.names, key=lambda name: (_date(name), name))


def _date(name: str) -> str:
    found = re.match(r"(\d{4}-\d\d-\d\d)(?:T(\d\d-\d\d))?", name)
    return f"{found[1]}T{found[2] or '00-00'}" if found else "9999"


class Sessions(RuleBasedStateMachine):
    """What people say and export, and the store that must follow."""

    database: connection

    def __init__(self) -> None:
        super().__init__()
        self.cursor: cursor = self.database.cursor()
        self.sessions: list[Session] = []
        self.segments: list[Segment] = []
        self.pending: list[tuple[Export, str]] = []
        self.contents: dict[bytes, Export] = {}
        self.dropped: list[tuple[Export, str]] = []
        self.now = datetime(2025, 11, 1, 9, 0, tzinfo=UTC)
        self.told = 0

    # -- what people do ------------------------------------------------------------------

    @initialize(where=st.sampled_from(DIRECTORIES), first=st.sampled_from(TURNS))
    def begin(self, where: str, first: tuple[Said, ...]) -> None:
        self.export(0, where, [first], "time", "provisional", generic=False)

    @rule(
        who=st.integers(0, len(PROJECTS) - 1),
        where=st.sampled_from(DIRECTORIES),
        turns=st.lists(st.sampled_from(TURNS), max_size=3),
        style=st.sampled_from(
            ("time", "time", "day", "default", "generic", "renamed", "not exported")
        ),
        ending=st.sampled_from(("whole", "whole", "provisional", 1, 5, 30)),
        generic=st.integers(0, 9).map(lambda n: n == 9),
    )
    def export(
        self,
        who: int,
        where: str,
        turns: list[tuple[Said, ...]],
        style: str,
        ending: str | int,
        generic: bool,  # noqa: FBT001
    ) -> None:
        """Begin a session or go on with one, and write a file; the session tells of it.

        What only repeats what others say, too, is no evidence of anything, so most
        exports show something that is theirs. ``generic`` ones need not, and then only
        the promise is checked that nothing is lost.
        """
        session = self._session(who, where)
        for said in (said for turn in turns for said in turn):
            self._add(session, said)
        if style == "not exported":
            return
        self.now += timedelta(minutes=7)
        segment = session.present
        if not segment.said or not (generic or _tells(segment.said)):
            self._add(session, TELLING)
        shown = _shown(session, ending)
        if not generic and not _tells(_complete(segment, shown)):
            shown = _shown(session, "whole")
        name = self._name(session, style)
        self._write(segment, shown, name)
        known_as = name if style != "renamed" else self._name(session, "time")
        self._add(session, prompt("/export"))
        self._add(session, result(f"Conversation exported to: {known_as}"))

    @rule(who=st.integers(0, 3), late_record=st.booleans())
    def compact(self, who: int, late_record: bool) -> None:  # noqa: FBT001
        """A new segment; sometimes the last export is told of behind the bar only."""
        session = self.sessions[who % len(self.sessions)]
        if not session.present.said:
            return
        self.now += timedelta(days=1)
        record = session.present.said[-2:]
        self._begin_segment(session)
        if late_record and "Conversation exported" in record[-1].text:
            session.segments[-2].said[-2:] = []
            session.present.said.extend(record)

    @rule(who=st.integers(0, 3), to=st.sampled_from((*DIRECTORIES, 40, 60, 200, "restarted")))
    def change_client(self, who: int, to: str | int) -> None:
        """Another directory, another width, or a client that was started anew.

        At fewer than 34 columns "Conversation exported to:" itself is wrapped, and the
        parser does not know it again; real exports have 80 or more.
        """
        session = self.sessions[who % len(self.sessions)]
        if isinstance(to, int):
            session.width = to
        elif to == "restarted":
            session.age += 1
        else:
            session.cwd = to

    # -- what arrives --------------------------------------------------------------------

    @precondition(lambda self: self.pending)
    @rule(which=st.integers(0, 9))
    def drop(self, which: int) -> None:
        self._drop(*self.pending.pop(which % len(self.pending)))

    @precondition(lambda self: self.dropped)
    @rule(
        which=st.integers(0, 9), name=st.sampled_from(("", "", "copy", "2025-12-24-EXPORT-x"))
    )
    def drop_again(self, which: int, name: str) -> None:
        export, as_name = self.dropped[which % len(self.dropped)]
        self._drop(export, f"{name}.txt" if name else as_name)

    def teardown(self) -> None:
        try:
            while self.pending:
                self.now += timedelta(minutes=1)
                which = (self.told * 7 + len(self.pending) * 3) % len(self.pending)
                self._drop(*self.pending.pop(which))
            if self.contents:
                Verdict(self.cursor, list(self.contents.values())).check()
        finally:
            self.database.rollback()
            self.cursor.close()

    # -- helpers -------------------------------------------------------------------------

    def _session(self, who: int, where: str) -> Session:
        """The session ``who``, or a new one."""
        if who < len(self.sessions):
            return self.sessions[who]
        session = Session(PROJECTS[len(self.sessions)], where)
        self.sessions.append(session)
        self._begin_segment(session)
        return session

    def _write(self, segment: Segment, shown: list[Shown], name: str) -> None:
        raw = export_text(segment.session, shown).encode()
        generic = not _tells(_complete(segment, shown))
        new = Export(raw, segment, tuple(shown), self.now, generic, segment.session.cwd)
        self.pending.append((self.contents.setdefault(raw, new), name))
        if shown[-1].complete:
            segment.shown_whole = len(shown)

    def _begin_segment(self, session: Session) -> None:
        session.segments.append(Segment(len(self.segments), session))
        self.segments.append(session.present)

    def _add(self, session: Session, said: Said) -> None:
        self.told += 1
        session.present.said.append(aged(said, session, self.told))
        anchors = [said for said in session.present.said if said.is_anchor]
        if len(anchors) == 8 and not _tells(anchors):
            # Ten equal leading anchors and 70 % make one segment (DESIGN 4.2), so two
            # sessions that only repeat the same small talk for longer cannot be told apart.
            self._add(session, TELLING)

    def _name(self, session: Session, style: str) -> str:
        day, time = f"{self.now:%Y-%m-%d}", f"{self.now:%H-%M}"
        return {
            "time": f"{day}T{time}-EXPORT-{session.project}.txt",
            "day": f"{day}-EXPORT-{session.project}.txt",
            "default": f"{day}-look-at-the-{session.project.lower()}.txt",
            "generic": f"{day}-this-session-is-being-continued-from-a-previous-co.txt",
            "renamed": f"notes on {session.project.lower()} {session.present.number}.txt",
        }[style]

    def _drop(self, export: Export, name: str) -> None:
        """As ``pipeline.py`` does it, inside the one transaction of this example."""
        tx = Transaction(self.cursor)
        drop = Drop(
            uuid.uuid4(), name, "/memory", export.sha256, len(export.raw), export.modified_at
        )
        attempt = tx.begin(drop)
        if attempt.state == "ingested":
            recognise_again(tx, drop, attempt)
        else:
            transcript = formats.parse(export.raw, name)
            read = [(m.role.value, bare(m.text)) for m in transcript.messages]
            assert read == [(shown.role, bare(shown.text)) for shown in export.shown]
            ingest(
                tx,
                Reading(
                    drop, attempt, transcript, places(transcript.messages), 0.0, Thresholds()
                ),
            )
        export.names.add(name)
        self.dropped.append((export, name))


def _tells(said: Sequence[Said]) -> bool:
    """Whether something in it was said nowhere else."""
    return any(one.telling and one.is_anchor for one in said)


def _complete(segment: Segment, shown: Sequence[Shown]) -> list[Said]:
    return [said for said, show in zip(segment.said, shown, strict=False) if show.complete]


def _shown(session: Session, ending: str | int) -> list[Shown]:
    """What an export taken now shows; its last block may be unfinished, once."""
    said = session.present.said
    shown = [Shown(one.role, show(session, one)) for one in said]
    shown = [
        Shown(one.role, one.text, complete=not one.text.startswith(PLACEHOLDERS))
        for one in shown
    ]
    if session.present.shown_whole >= len(said) or ending == "whole":
        return shown
    last = said[-1]
    if last.form == "result":
        shown[-1] = Shown(last.role, "Running…", complete=False)
    elif last.form == "prose" and isinstance(ending, int) and ending < len(last.text):
        shown[-1] = Shown(last.role, last.text[:ending].rstrip(), complete=False)
    return shown


# -- the verdict ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stored:
    """One row of ``messages`` with its other renderings, without whitespace."""

    conversation_id: str
    index: int
    role: str
    content: str
    in_flight: bool
    renderings: frozenset[str]

    @property
    def texts(self) -> frozenset[str]:
        return self.renderings | {self.content}


_MESSAGES = """
    SELECT m.segment_id, m.conversation_id, m.message_index, m.role, m.content, m.in_flight,
           array(SELECT r.content FROM message_renderings r WHERE r.message_id = m.message_id)
    FROM messages m ORDER BY m.conversation_id, m.message_index
"""
_SEGMENTS = """
    SELECT segment_id, conversation_id, first_index, message_count
    FROM segments ORDER BY conversation_id, ordinal
"""
_LINKS = (
    "SELECT e.sha256, es.segment_id FROM exports e JOIN export_segments es USING (export_id)"
)
_COUNTS = """
    SELECT c.conversation_id, c.total_messages, w.highest_index
    FROM conversations c LEFT JOIN watermarks w USING (conversation_id)
"""


class Verdict:
    """What is stored, beside what was exported; every difference is a failure."""

    def __init__(self, cursor: cursor, exports: Sequence[Export]) -> None:
        self._cursor = cursor
        self._exports = exports
        self._runs: dict[int, list[Stored]] = defaultdict(list)
        for segment_id, conversation_id, index, role, content, in_flight, others in self._rows(
            _MESSAGES
        ):
            texts = frozenset(map(bare, others))
            stored = Stored(conversation_id, index, role, bare(content), in_flight, texts)
            self._runs[segment_id].append(stored)
        links: dict[str, list[int]] = defaultdict(list)
        for sha256, segment_id in self._rows(_LINKS):
            links[sha256].append(segment_id)
        self._home = {}
        for export in exports:
            assert len(links[export.sha256]) == 1, f"{export.name} is in {links[export.sha256]}"
            self._home[export.sha256] = links[export.sha256][0]

    def check(self) -> None:
        self._check_sound()
        for export in self._exports:
            self._check_nothing_lost(export)
        claimed: dict[int, Segment] = {}
        for segment, exports in self._of_segments():
            self._check_segment(segment, exports, claimed)
        self._check_conversations(claimed)

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        self._cursor.execute(statement)
        return self._cursor.fetchall()

    def _check_sound(self) -> None:
        """Dense from 0 in each conversation, segment after segment; counts are right."""
        at: Counter[str] = Counter()
        for segment_id, conversation_id, first, count in self._rows(_SEGMENTS):
            run = [(m.conversation_id, m.index) for m in self._runs[segment_id]]
            expected = [(conversation_id, at[conversation_id] + n) for n in range(count)]
            assert (first, run) == (at[conversation_id], expected), segment_id
            at[conversation_id] += count
        counts = {(c, total, highest) for c, total, highest in self._rows(_COUNTS)}
        assert counts == {(c, total, total - 1) for c, total in at.items()}

    def _check_nothing_lost(self, export: Export) -> None:
        """Every message of every export stands in its segment, in the export's order."""
        rest = iter(self._runs[self._home[export.sha256]])
        for shown in export.shown:
            assert any(_holds(stored, shown) for stored in rest), (export.name, shown)

    def _of_segments(self) -> Iterator[tuple[Segment, list[Export]]]:
        """Each segment with its exports, where all that share its home tell whose they are."""
        by_segment: dict[int, list[Export]] = defaultdict(list)
        by_home: dict[int, list[Export]] = defaultdict(list)
        for export in self._exports:
            by_segment[export.segment.number].append(export)
            by_home[self._home[export.sha256]].append(export)
        for exports in by_segment.values():
            homes = {self._home[export.sha256] for export in exports}
            if any(export.generic for home in homes for export in by_home[home]):
                event("not judged: an export that tells nothing of its own")
                continue
            yield exports[0].segment, exports

    def _check_segment(
        self, segment: Segment, exports: list[Export], claimed: dict[int, Segment]
    ) -> None:
        by_home: dict[int, list[Export]] = defaultdict(list)
        for export in exports:
            by_home[self._home[export.sha256]].append(export)
        for home, together in by_home.items():
            assert home not in claimed, f"two segments are stored as {home}"
            claimed[home] = segment
            _check_run(self._runs[home], together)
        apart = sorted(by_home.values(), key=lambda some: -max(e.anchors for e in some))[1:]
        for export in (export for some in apart for export in some):
            # DESIGN 4.2: one anchor is no evidence. It is joined where all of it heads an
            # export of the segment that is stored, and is apart for good otherwise.
            assert export.anchors < 2, f"{export.name} is stored apart"
            event("one anchor, stored apart")
            others = [other.raw for other in exports if other is not export]
            if any(raw.startswith(export.raw.rstrip()) for raw in others):
                event("one anchor, stored apart, though byte for byte another's beginning")

    # -- DESIGN 4.3 ----------------------------------------------------------------------

    def _check_conversations(self, claimed: dict[int, Segment]) -> None:
        if any(home not in claimed for home in self._home.values()):
            event("conversations not judged: some export tells nothing of its own")
            return
        for home, run in self._runs.items():
            assert run[0].conversation_id == self._expected_conversation(home), home
        # The order is known where names and file times agree: no copy has another's date.
        last: dict[tuple[str, str], int] = {}
        for home, conversation_id, *_ in self._rows(_SEGMENTS):
            segment = claimed[home]
            if any(len(export.names) > 1 for export in self._of(home)):
                continue
            before = last.get((conversation_id, segment.session.project), -1)
            assert before <= segment.number, f"segments of {conversation_id} out of order"
            last[conversation_id, segment.session.project] = segment.number

    def _of(self, home: int) -> list[Export]:
        return [e for e in self._exports if self._home[e.sha256] == home]

    def _expected_conversation(self, home: int) -> str:
        """The conversation of the one it says it continues, else what the names say."""
        own = self._of(home)
        records = re.findall(
            r"Conversationexportedto:(\S+)",
            " ".join(bare(s.text) for e in own for s in e.shown),
        )
        known = set(records) - {bare(name) for export in own for name in export.names}
        continued = {
            self._expected_conversation(self._home[export.sha256])
            for export in self._exports
            if export not in own and known & set(map(bare, export.names))
        }
        return continued.pop() if len(continued) == 1 else _named(own)


def _named(exports: list[Export]) -> str:
    first = min(exports, key=lambda e: (len(e.shown), _date(e.name), e.name))
    stem = first.name.removesuffix(".txt")
    if found := re.search(r"EXPORT-(.+)", stem):
        return found[1].lower()
    if "this-session-is-being-continued" in stem:
        folder = first.cwd.rsplit("/", 1)[-1] if first.cwd != HOME else "session"
        opening = next(s for s in first.shown if s.role in ("user", "assistant"))
        whole = f"{opening.role}\0{bare(opening.text)}"
        return f"{folder}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
    return re.sub(r"^\d{4}-\d\d-\d\d-", "", stem).replace(" ", "-")


def _holds(stored: Stored, shown: Shown) -> bool:
    if stored.role != shown.role:
        return False
    if shown.complete:
        return bare(shown.text) in stored.texts
    return shown.role == "tool" or any(t.startswith(bare(shown.text)) for t in stored.texts)


def _check_run(run: list[Stored], exports: list[Export]) -> None:
    """Message by message: what was shown of it, the richest rendering as its content."""
    longest = max((export.shown for export in exports), key=len)
    assert [m.role for m in run] == [shown.role for shown in longest]
    for place, stored in enumerate(run):
        shown = [export.shown[place] for export in exports if place < len(export.shown)]
        complete = {bare(one.text) for one in shown if one.complete}
        partial = {bare(one.text) for one in shown if not one.complete}
        assert complete <= stored.texts <= complete | partial, (place, stored, shown)
        if complete:
            assert len(stored.content) == max(map(len, complete)), (place, stored, shown)
        assert stored.in_flight == (not complete and stored.role == "tool"), (place, stored)


@pytest.fixture(scope="module")
def database(server_url: str) -> Iterator[connection]:
    """One connection for all examples; nothing is ever committed through it."""
    name = f"exportd_{uuid.uuid4().hex[:12]}"
    execute(server_url, f"CREATE DATABASE {name} TEMPLATE exportd_template")
    with closing(psycopg2.connect(make_dsn(server_url, dbname=name))) as made:
        yield made
    execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def test_the_store_equals_what_was_said(database: connection) -> None:
    class OnThisDatabase(Sessions):
        pass

    OnThisDatabase.database = database
    machine: type[Sessions] = OnThisDatabase
    if chosen := os.environ.get("TEST_SEED"):
        machine = seed(int(chosen))(machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
