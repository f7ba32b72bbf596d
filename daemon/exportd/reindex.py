"""The database anew from the archive: after a disaster, or with a better parser.

Every archived file takes the road of a drop once more, into a second store beside the
first, which takes its place at the end. What people decided and what files were called
stands in the archive's manifest, and in the database while there is one.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from . import containers, formats, manifest, version
from .anomalies import Thresholds
from .archived import as_raw
from .errors import DiskTrouble, PermanentError, RefusedRequest
from .fingerprint import places
from .folders import Folders, is_unfinished
from .formats.text import escape, printable
from .identity import first_name, parse_name
from .ingest import Reading, ingest
from .limits import Limits, check_content, check_size, check_transcript
from .manifest import Manifest
from .members import Members
from .models import Fate, Raw, Report, Transcript
from .packed import digest_of, plain_name
from .residence import recognise_again
from .sessions import decisions, replay
from .store import Attempt, Drop, Store, prepare_staging, purging, staging_url

# Names a drop that is made up for an archived file, the same one in every attempt.
_NAMESPACE = uuid.UUID("9b1f4c52-3f0e-4a5e-8d0b-6f2a1c7e9d31")


@dataclass(frozen=True, slots=True)
class Seen:
    """One name under which a content arrived; what people assigned it to, if they did."""

    name: str
    modified_at: datetime
    explicit_id: str | None = None


@dataclass(frozen=True, slots=True)
class Archived:
    """One archived content: where it lies, and the names it was dropped under.

    ``is_known``: manifest or database say that it was ingested once.
    """

    sha256: str
    path: Path
    seen: tuple[Seen, ...]
    is_known: bool

    @property
    def taken_at(self) -> tuple[datetime, str]:
        name = first_name(seen.name for seen in self.seen)
        earliest = min(seen.modified_at for seen in self.seen)
        return parse_name(name).dated or earliest, name


@dataclass(frozen=True, slots=True)
class Problem:
    """An archived file that cannot be read, and why; ``is_known``: it could be once."""

    name: str
    reason: str
    is_known: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """A conversation that the second store has otherwise; no text of it."""

    conversation_id: str
    before: int
    after: int
    what: str


def inventory(folders: Folders, store: Store) -> list[Archived]:
    """Every archived content with all that is known of it, in the order of its taking.

    ``RefusedRequest`` when the database knows exports that are not in this archive: a
    store rebuilt without them would be poorer.
    """
    paths = _contents(folders.archive)
    known = store.run(lambda tx: tx.rows("archived_exports"))
    missing = [row for row in known if row[0] not in paths]
    if missing:
        names = ", ".join(printable(row[3]) for row in missing[:3])
        raise RefusedRequest(
            f"{len(missing)} exports of the database are not in {folders.archive} ({names}"
            f"{', …' if len(missing) > 3 else ''}); a rebuilt database would lack them. Bring "
            "their files there, or drop them again; what is in flight is archived by 'exportd "
            "run --once'"
        )
    purged = store.run(purging.purged_contents)
    seen, listed = _seen(Manifest(folders.archive), known)
    purged |= listed
    found = [
        Archived(
            sha256,
            path,
            tuple(seen.get(sha256, {}).values()) or (_as_file(path),),
            is_known=sha256 in seen,
        )
        for sha256, path in paths.items()
        if sha256 not in purged
    ]
    return sorted(found, key=lambda content: (*content.taken_at, content.sha256))


def _contents(archive: Path) -> dict[str, Path]:
    """SHA-256 to path of every regular file in the archive but our own."""
    found: dict[str, Path] = {}
    for path in sorted(archive.iterdir()):
        if path.name == manifest.NAME or is_unfinished(path.name):
            continue
        if path.is_symlink() or not path.is_file():
            continue
        try:
            found.setdefault(digest_of(path), path)
        except OSError as error:
            raise DiskTrouble(
                f"{printable(escape(str(path)))}: cannot be read ({error.strerror}); a "
                "database rebuilt without it would be poorer"
            ) from error
    return found


def _as_file(path: Path) -> Seen:
    return Seen(escape(plain_name(path)), datetime.fromtimestamp(path.stat().st_mtime, UTC))


def _seen(
    listed: Manifest, known: Iterable[tuple[Any, ...]]
) -> tuple[dict[str, dict[str, Seen]], set[str]]:
    """By SHA-256 and name: from the manifest, then from the database, which knows best.

    And what was purged, by the manifest, and not dropped again later.
    """
    found: dict[str, dict[str, Seen]] = {}
    purged: set[str] = set()
    for record in listed.records():
        if record["type"] == "drop":
            purged.discard(record["sha256"])
            _add(found, record["sha256"], _from_record(record))
        elif record["type"] == "purge":
            purged |= set(record["contents"])
    for sha256, _, explicit_id, name, modified_at, names in known:
        purged.discard(sha256)
        for other in {name, *names}:
            _add(found, sha256, Seen(other, modified_at, explicit_id))
    return found, purged


def _add(found: dict[str, dict[str, Seen]], sha256: str, seen: Seen) -> None:
    """Of one name seen twice: the earlier time, and the later word of a person."""
    names = found.setdefault(sha256, {})
    if before := names.get(seen.name):
        seen = Seen(
            seen.name,
            min(before.modified_at, seen.modified_at),
            seen.explicit_id or before.explicit_id,
        )
    names.pop(seen.name, None)
    names[seen.name] = seen


def _from_record(record: Mapping[str, Any]) -> Seen:
    return Seen(record["name"], record["modified_at"], record.get("session_id"))


def rebuild(
    url: str,
    contents: Sequence[Archived],
    folders: Folders,
    stored: Store,
    done: Callable[[], object],
    limits: Limits,
) -> list[Problem]:
    """Fill the second store; returns what could not be read.

    Goes on where an interrupted run with the same code stopped. ``done`` is called after
    every content. ``limits`` are those under which the members of containers were ingested.
    """
    overrides = decisions(stored, Manifest(folders.archive))
    prepare_staging(url, _signature(overrides, contents, folders))
    staging = Store(staging_url(url))
    problems = []
    for content in contents:
        try:
            with as_raw(content.path, folders.state) as raw:
                _take(staging, content, raw, escape(str(folders.memory)), limits)
        except PermanentError as error:
            name = printable(escape(content.path.name))
            problems.append(Problem(name, printable(str(error)), content.is_known))
        done()
    for record in overrides:
        staging.run(partial(replay, record=record))
    staging.close()
    return problems


def _signature(
    overrides: Sequence[Mapping[str, Any]], contents: Sequence[Archived], folders: Folders
) -> str:
    """What a second store is made of: anything else makes another one.

    One that an interrupted run left must not bring back what was removed since, nor what
    people said before they said otherwise.
    """
    parsers = (f"{module.NAME} {module.PARSER_VERSION}" for module in formats.FORMATS)
    decided = repr([(str(o["uuid"]), o["undone_at"] is None) for o in overrides])
    digest = hashlib.sha256(decided.encode()).hexdigest()[:12]
    facts = repr([folders.memory, *((c.sha256, c.path.name, c.seen) for c in contents)])
    material = hashlib.sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return ", ".join(
        [f"exportd {version()}", *parsers, f"decisions {digest}", f"archive {material}"]
    )


def _take(staging: Store, content: Archived, raw: Raw, memory_dir: str, limits: Limits) -> None:
    for seen in content.seen:
        drop = Drop(
            uuid.uuid5(_NAMESPACE, f"{content.sha256}/{seen.name}"),
            seen.name,
            memory_dir,
            content.sha256,
            len(raw),
            seen.modified_at,
            seen.explicit_id,
        )
        attempt = staging.begin(drop)
        if attempt.outcome is not None:
            continue  # before an interruption
        if attempt.state == "ingested":
            staging.run(partial(recognise_again, drop=drop, attempt=attempt))
        else:
            _ingest(staging, drop, attempt, raw, limits)
    staging.mark_archived(attempt.export_id, escape(plain_name(content.path)))


def _ingest(staging: Store, drop: Drop, attempt: Attempt, raw: Raw, limits: Limits) -> None:
    container = None if drop.is_part else containers.recognise(raw, drop.name)
    if container:
        take = partial(_take_member, staging, limits)
        Members(staging, limits.bounds, take, lambda _attempt, _error: None).ingest(
            drop, raw, attempt, container
        )
        return
    started = time.monotonic()
    transcript = _parse(drop, raw, limits)
    if not transcript.messages:
        staging.finish_empty(drop, attempt.export_id, transcript)
        return
    read = Reading(
        drop, attempt, transcript, places(transcript.messages), started, Thresholds()
    )
    staging.run(partial(ingest, read=read))


def _parse(drop: Drop, raw: Raw, limits: Limits) -> Transcript:
    """A whole file was within the limits once; a member that was not is archived, too."""
    if drop.parent_export_id is None:
        return formats.parse(raw[:], drop.name)
    check_size(raw, limits)
    held = raw[:]
    check_content(held, limits)
    transcript = formats.parse(held, drop.name)
    check_transcript(transcript, limits)
    return transcript


def _take_member(
    staging: Store, limits: Limits, drop: Drop, raw: Raw, attempt: Attempt
) -> Report:
    if attempt.outcome is not None:  # before an interruption
        return Report(drop.name, attempt.outcome)
    if attempt.state == "ingested":
        staging.run(partial(recognise_again, drop=drop, attempt=attempt))
        return Report(drop.name, Fate.DUPLICATE_FILE)
    _ingest(staging, drop, attempt, raw, limits)
    return Report(drop.name, Fate.INGESTED)


def differences(stored: Store, staging: Store) -> Iterator[Difference]:
    """Every conversation that the two stores do not have alike, one at a time."""
    ids = {*stored.conversation_ids(), *staging.conversation_ids()}
    for conversation_id in sorted(ids):
        before, after = (_dumped(store, conversation_id) for store in (stored, staging))
        if before != after:
            counts = [sum(r["type"] == "message" for r in dump) for dump in (before, after)]
            what = _what(before, after)
            yield Difference(conversation_id, counts[0], counts[1], what)


def _dumped(store: Store, conversation_id: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    store.dump([conversation_id], records.append)
    return records


def _what(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> str:
    if not before or not after:
        return "new" if not before else "gone"
    pairs = zip_longest(before[1:], after[1:])
    changed = [n for n, (a, b) in enumerate(pairs) if a != b]
    told = sorted(key for key in before[0] if before[0][key] != after[0][key])
    if changed:
        return f"{len(changed)} messages differ, from index {changed[0]} on"
    return f"other {', '.join(told)}"
