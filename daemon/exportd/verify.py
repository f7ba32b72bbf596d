"""``exportd verify``: what the archive holds and what is stored are the same.

Everything in the database is read of one moment; files are looked at as they are, and
looked at again before one is missed, so that a daemon may work meanwhile.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from . import containers, cures, formats, manifest
from .archived import kind_of, names
from .checks import layout, spans
from .checks.facts import ExportRow, Finding, Run, SegmentRow, Weight
from .checks.segment import SegmentCheck
from .containers import Bounds, Container
from .errors import MalformedExport, PermanentError
from .file_bytes import sha256 as digest
from .folders import Folders
from .formats.text import escape, printable, unescape
from .members import is_export
from .models import Transcript
from .packed import SUFFIX, digest_of, size_of
from .store import Store, Transaction
from .store import checking as read
from .whereabouts import Amiss, Whereabouts

_RESTORE = (
    "restore the file from a backup, or drop the original export again, and run verify again; "
    "if there is neither, its messages are in the database: exportd export --all"
)

# Names are looked up so many at a time.
_BATCH = 1_000


@dataclass(slots=True)
class Verification:
    """What was found, and how much was looked at.

    ``checked`` counts by what, ``bytes`` the archived bytes by class; ``not_checked``
    counts exports by the reason why nothing can be said about them.
    """

    findings: list[Finding] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    not_checked: Counter[str] = field(default_factory=Counter)

    @property
    def damages(self) -> int:
        return sum(finding.severity is Weight.DAMAGE for finding in self.findings)


Progress = Callable[[int, int], object]
"""Told how many exports were looked at, and of how many."""


def verify(
    store: Store,
    live: Store,
    folders: Folders,
    progress: Progress = lambda _done, _all: None,
    *,
    alone: bool = True,
    bounds: Bounds | None = None,
) -> Verification:
    """Check everything; ``live`` is a second connection, beside the snapshot of ``store``.

    Unless ``alone``, other memory folders may have exports in the database, too.
    Holds the messages of one segment at a time, and a short row for every segment.
    """
    walk = _Walk(live, folders, progress, bounds or Bounds(), alone=alone)
    store.run(walk.database)
    walk.folder()
    order = list(Weight)
    walk.done.findings.sort(key=lambda finding: order.index(finding.severity))
    return walk.done


class _Walk:
    """One verification on its way; findings and counts gather in ``done``."""

    def __init__(
        self, live: Store, folders: Folders, progress: Progress, bounds: Bounds, *, alone: bool
    ) -> None:
        self._bounds = bounds
        self.done = Verification()
        self._live = live
        # Alone, everything came here, wherever the folder was moved from.
        self._memory_dir = None if alone else escape(str(folders.memory))
        self._folders = folders
        self._progress = progress
        self._whereabouts = Whereabouts(folders, live, alone=alone)
        self._conversation_ids: list[str] = []
        self._exports = 0

    # -- the database, of one moment -----------------------------------------------

    def database(self, tx: Transaction) -> None:
        """Every row, and with each segment the archived files of its exports."""
        tx.execute("snapshot")
        conversations = read.read_conversations(tx.rows)
        segments = read.read_segments(tx.rows)
        runs = read.read_runs(tx.rows)
        self._exports = read.read_export_count(tx.rows)
        self._conversation_ids = [row.conversation_id for row in conversations]
        self.done.checked.update(
            conversations=len(conversations), segments=len(segments), exports=0
        )
        self.done.findings += layout.conversations(conversations, segments, runs)
        self.done.findings += layout.logged(read.read_ill_logged(tx.rows))
        lies = {(run.conversation_id, run.segment_id): run for run in runs}
        for segment in segments:
            run = lies.get((segment.conversation_id, segment.segment_id))
            self._segment(tx, segment, run)
        for export in read.read_loose_exports(tx.rows):
            self._loose(export)
        self._stale()
        if not self.done.damages:  # what mends them makes the search index anew
            self.done.findings += layout.searchable(read.read_unsearchable(tx.rows))

    def _segment(self, tx: Transaction, segment: SegmentRow, run: Run | None) -> None:
        messages = read.read_messages(tx.rows, run) if run else []
        self.done.checked["messages"] += len(messages)
        self.done.checked["renderings"] += sum(len(row.renderings) for row in messages)
        check = SegmentCheck(segment, messages)
        exports = read.read_exports(tx.rows, segment)
        complete = True
        for export in exports:
            self.done.findings += layout.link(export, segment)
            transcript = self._transcript(export)
            if transcript is None:
                complete = False
            else:
                check.compare(export.name, transcript.messages)
        if not exports:
            self.done.findings.append(layout.unexported(segment))
        self.done.findings += check.findings(complete=complete and bool(exports))

    def _loose(self, export: ExportRow) -> None:
        """An export of no segment: rightly so when it has no message."""
        self.done.findings += layout.unlinked(export)
        self._transcript(export)

    def _transcript(self, export: ExportRow) -> Transcript | None:
        """An export, read again; None when its messages cannot be compared."""
        self.done.checked["exports"] += 1
        self._progress(self.done.checked["exports"], self._exports)
        raw = self._whereabouts.bytes_of(export)
        if isinstance(raw, Amiss):
            self._amiss(export, raw)
            return None
        self.done.checked["bytes"] += len(raw)
        if container := containers.named(export.format):
            self.done.checked["containers"] += 1
            self.done.findings += self._members(export, container, raw)
            return None
        try:
            transcript = formats.parse(raw, export.name)
        except PermanentError as error:
            self.done.findings.append(_unparsed(export, error))
            return None
        self.done.bytes.update(spans.byte_totals(transcript))
        self.done.findings += spans.unaccounted(transcript, export)
        if not spans.is_parsed_alike(transcript, export):
            self.done.checked["other_parser"] += 1
            return None
        self.done.findings += spans.misparsed(transcript, export)
        return transcript

    def _members(
        self, export: ExportRow, container: Container, raw: bytes
    ) -> Iterator[Finding]:
        """Every conversation in a container is an export of its own, or a dead letter."""
        self.done.bytes["containers"] += len(raw)
        for member in container.members(raw, export.name, self._bounds):
            try:
                if member.fault or not is_export(member.raw, member.name):
                    continue
                sha256 = digest(member.raw)
            except MalformedExport:  # damaged: a dead letter
                continue
            if not self._live.run(lambda tx, s=sha256: read.knows_content(tx.rows, s)):  # type: ignore[misc]
                yield Finding(
                    Weight.DAMAGE,
                    "member_missing",
                    f"an export, or a dead letter, with SHA-256 {sha256}",
                    "none",
                    "run exportd reindex",
                    file=f"{export.name}, {printable(member.name)} at {member.locator}",
                )

    def _amiss(self, export: ExportRow, amiss: Amiss) -> None:
        if amiss.unknowable:
            self.done.not_checked[amiss.found] += 1
            return
        self.done.findings.append(
            Finding(
                Weight.DAMAGE,
                amiss.kind,
                f"the {export.size_bytes} bytes of export {export.name}, with SHA-256 "
                f"{export.sha256}",
                amiss.found,
                _RESTORE,
                file=amiss.file,
            )
        )

    def _stale(self) -> None:
        if count := self.done.checked["other_parser"]:
            self.done.findings.append(
                Finding(
                    Weight.NOTE,
                    "other_parser",
                    "exports that were read by the present version of their parser",
                    f"{count} of another version; their messages were not compared",
                    "run exportd reindex",
                )
            )

    # -- the folder, as it is now ----------------------------------------------------

    def folder(self) -> None:
        """Files that nobody knows, and files that are known and not there: notes."""
        self.done.findings += self._unknown_files()
        self.done.findings += self._sessions()
        self.done.findings += self._dead_letters()

    def _unknown_files(self) -> Iterator[Finding]:
        used = self._whereabouts.used | {manifest.NAME}
        found = [name for name in names(self._folders.archive) if name not in used]
        for some in _batches(found):
            escaped = [escape(one) for name in some for one in (name, _unpacked_name(name))]
            known = self._live.run(lambda tx, e=escaped: read.read_known_names(tx.rows, e))  # type: ignore[misc]
            for name in some:
                if not known & {escape(name), escape(_unpacked_name(name))}:
                    yield from self._unknown_file(name)

    def _unknown_file(self, name: str) -> Iterator[Finding]:
        file = f"{self._folders.archive.name}/{escape(name)}"
        if what := kind_of(self._folders.archive, name):
            todo = "move it away"
            yield _note("archive_stranger", "archived exports alone", what, todo, file)
            return
        try:
            path = self._folders.archive / name
            sha256, size_bytes = digest_of(path), size_of(path)
        except OSError:
            return  # packed, or removed by somebody, at this moment
        twin = self._live.run(lambda tx: read.read_content(tx.rows, sha256))
        if twin is None and self._live.run(lambda tx: read.was_purged(tx.rows, sha256)):
            todo = "run 'exportd run --once', which removes it"
            yield _note("archive_purged", "no file that was purged", "one", todo, file)
        elif twin is None:
            yield _note(
                "archive_unknown",
                "a file that an export is archived as",
                f"{size_bytes} bytes with SHA-256 {sha256}, which no export has",
                f"move it to {self._folders.exports.name}/, so that it is ingested",
                file,
            )
        elif twin.archive_name not in (None, escape(name), escape(_unpacked_name(name))):
            yield _note(
                "archive_copy",
                "every export archived once",
                f"a second copy of {twin.archive_name}",
                "delete it, if you like",
                file,
            )

    def _sessions(self) -> Iterator[Finding]:
        missing = [c for c in self._conversation_ids if not self._has_session(c)]
        for some in _batches(missing):
            told = self._live.run(
                lambda tx, s=some: read.read_told(tx.rows, self._memory_dir, s)  # type: ignore[misc]
            )
            for conversation_id in told:
                if not self._has_session(conversation_id):
                    yield _note(
                        "session_missing",
                        "the session file of a conversation",
                        "no such file",
                        "nothing is lost: it is written anew when an export of the "
                        "conversation is dropped again, and by exportd reindex",
                        f"{self._folders.sessions.name}/{conversation_id}.md",
                        conversation_id,
                    )

    def _has_session(self, conversation_id: str) -> bool:
        return (self._folders.sessions / f"{conversation_id}.md").is_file()

    def _dead_letters(self) -> Iterator[Finding]:
        rows = self._live.run(lambda tx: read.read_dead_letters(tx.rows, self._memory_dir))
        for original_name, failed_name in rows:
            self.done.checked["dead_letters"] += 1
            if not os.path.lexists(self._folders.failed / unescape(failed_name)):
                yield _note(
                    "dead_letter_missing",
                    f"the dead letter {original_name}",
                    "no such file",
                    f"if you deleted it: {cures.forget(failed_name)}; else restore it from "
                    "a backup",
                    f"{self._folders.failed.name}/{failed_name}",
                )


def _unpacked_name(name: str) -> str:
    return name.removesuffix(SUFFIX)


def _note(
    kind: str, expected: str, found: str, todo: str, file: str, conversation: str | None = None
) -> Finding:
    return Finding(Weight.NOTE, kind, expected, found, todo, conversation, file=file)


def _unparsed(export: ExportRow, error: PermanentError) -> Finding:
    return Finding(
        Weight.DAMAGE,
        "export_unreadable",
        f"an export in the format {export.format}, as when it was ingested",
        f"{type(error).__name__}: {error}",
        "the file is unharmed; this is a bug of the parser: please report it",
        file=export.name,
    )


def _batches(items: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(items), _BATCH):
        yield list(items[start : start + _BATCH])
