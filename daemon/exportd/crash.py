"""Crash points: where a test may kill the process, to prove that nothing is lost.

``EXPORTD_CRASH_AT=name`` kills with SIGKILL when the point is reached, ``name:3`` when it
is reached the third time. Every step of DESIGN 2.1 has one before and one after it. Unset,
``reach`` is an empty function.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

VARIABLE = "EXPORTD_CRASH_AT"

# In the order of a file's road; tests hold this table and the code against each other.
POINTS = {
    "start.locked": "the memory folder is ours, the database is not asked yet",
    "start.migrated": "the schema is up to date",
    "start.tidied": "temporary files of an earlier process are gone",
    "start.mended": "what an earlier process archived without noting it is noted",
    "claim.begin": "a settled file is about to be claimed",
    "claim.place": "its place in flight exists, empty",
    "claim.renamed": "the file is in flight, its sidecar still in the drop folder",
    "claim.sidecar": "both are in flight, the renames not durable yet",
    "claim.durable": "the renames are durable",
    "read.begin": "a claimed file is about to be read",
    "read.synced": "its bytes are durable",
    "read.hashed": "its SHA-256 is known",
    "attempt.begin": "the attempt is about to be counted",
    "attempt.counted": "the attempt is committed",
    "members.counted": "the attempt on an export inside of a container is committed",
    "members.done": "every export inside of a container met its fate, the container did not",
    "parse.begin": "the content is about to be parsed",
    "parse.done": "the transcript is known",
    "store.begin": "the transaction is about to begin",
    "store.gathered": "what the decision needs is read and locked",
    "store.written": "everything is written, nothing committed",
    "store.committed": "the messages are stored",
    "recheck.done": "the file did not grow meanwhile",
    "manifest.begin": "the archive's list is about to get its line",
    "manifest.written": "the line is written, not durable yet",
    "manifest.durable": "the line is durable",
    "archive.begin": "the file is about to be archived",
    "archive.copied": "another file system: a temporary copy is durable there",
    "archive.linked": "the file has its new name and still the old one, not durable yet",
    "archive.durable": "the new name is durable, the old one is still there",
    "archive.done": "the old name is gone",
    "archive.noted": "the database knows the archived name",
    "forget.begin": "the sidecar and the place in flight are about to go",
    "forget.sidecar": "the sidecar is gone, the place in flight is not",
    "forget.done": "nothing is left in flight",
    "group.counted": "attempts on a group of small files are committed",
    "group.parsed": "their transcripts are known",
    "backlog.gathered": "it is known which of them begin conversations of their own",
    "backlog.written": "these are written, nothing committed",
    "group.committed": "the messages of a group are stored",
    "group.archived": "the files of a group have their names in the archive alone",
    "group.noted": "the database knows the archived names of a group",
    "dead_letter.begin": "a dead letter is about to be noted",
    "dead_letter.noted": "the dead letter and its alert are committed",
    "dead_letter.sidecar": "its sidecar lies among the dead letters",
    "dead_letter.reason": "its reason lies there, the file does not",
    "dead_letter.done": "the file lies among the dead letters",
    "settle.noted": "dead letters that were ingested after all are settled, their notes there",
    "retry.begin": "a dead letter is about to be put back",
    "retry.settled": "its row and its alert say that it was put back, it was not",
    "retry.sidecar": "its sidecar is in the drop folder again",
    "retry.moved": "it is in the drop folder again, its note still among the dead letters",
    "retry.done": "nothing of it is left among the dead letters",
    "tell.begin": "people are about to be told",
    "tell.written": "a derived file is written under a temporary name",
    "tell.renamed": "a derived file is in its place, its conversation not marked",
    "tell.marked": "the session files are marked as written",
    "tell.rotated": "the status log was rotated",
    "tell.logged": "the status log has the report",
    "purge.begin": "what a purge takes away is known",
    "purge.rewritten": "files that hold something else as well are written anew in the archive",
    "purge.written": "all is removed from the database, nothing committed",
    "purge.committed": "the removal is committed, every file is still there",
    "purge.listed": "the archive's list has the purge in the place of what went",
    "purge.erased": "the archived files are gone",
    "purge.struck": "session files are gone, and names are struck from the status log",
    "purge.done": "the purge is noted as finished",
    "pack.written": "an archived file is packed under a hidden name, durable and compared",
    "pack.linked": "the packed file has its name, the other one is still there",
    "pack.done": "the packed file alone is there",
    "relay.routed": "it is written on which channels new alerts are told, not committed",
    "relay.composed": "messages are made of alerts",
    "relay.leased": "a message is ours to send",
    "relay.sending": "a message is about to be sent",
    "relay.sent": "the channel accepted a message, which is not noted",
    "relay.noted": "what became of a message is noted",
    "relay.parked": "a channel refuses, which is not committed",
    "relay.spool_sending": "without the database: a message is about to be sent",
    "relay.spooled": "the outbox has an alert of the spool, whose file is still there",
    "backup.dumped": "a backup's dump is written, under the backup's temporary name",
    "backup.copied": "the files of the memory folder are in it, too",
    "backup.written": "all of it is durable, and has its temporary name yet",
    "backup.done": "the backup has its name; older ones are not removed yet",
    "restore.marked": "the empty folder is marked as being restored",
    "restore.files": "the files are in their places, the database is empty",
    "restore.loaded": "the database has what the dump has",
    "restore.told": "everything is restored, the marks are still there",
}


def parse(text: str) -> tuple[str, int]:
    """``name`` or ``name:n`` as the point and how often it is reached; else ``ValueError``."""
    name, _, count = text.partition(":")
    if name not in POINTS or (count and not count.isdecimal()) or count == "0":
        raise ValueError(
            f"expected one of `exportd doctor --crash-points`, or NAME:N, found {text!r}"
        )
    return name, int(count or 1)


def _nothing(_point: str) -> None:
    """No crash is asked for."""


def _killer(text: str) -> Callable[[str], None]:
    wanted, remaining = parse(text)

    def reach(point: str) -> None:
        nonlocal remaining
        if point == wanted:
            remaining -= 1
            if remaining == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reach


def _chosen() -> Callable[[str], None]:
    try:
        return _killer(os.environ[VARIABLE])
    except (KeyError, ValueError):
        return _nothing  # a wrong name is told with the settings


reach = _chosen()
