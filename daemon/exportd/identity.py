"""Which segment and which conversation an export belongs to, why, and how sure.

Values in, values out. The rules and their measured grounds are DESIGN 4.2 and 4.3.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from .fingerprint import anchors, compact, continues, equal_places
from .models import Place

# Evidence that two exports begin at the same place. In every true pair of 268 real
# exports all anchors of the shorter head the longer; in every false pair at most two of
# three or more do. One anchor ("yes") is evidence only inside a longer equal run.
MIN_ANCHORS = 2
MIN_EQUAL_RUN = 2
MIN_EQUAL_RUN_CHARS = 100
MIN_RERENDERED_ANCHORS = 10
MIN_RERENDERED_SHARE = 0.7

MAX_ID_BYTES = 200  # a file name may have 255; ".md" and a temporary suffix want room


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why two runs of messages are one segment; ``strength`` orders candidates."""

    reason: str
    strength: int


def same_segment(
    known: Sequence[Place],
    incoming: Sequence[Place],
    *,
    same_header: bool = False,
    same_session: bool = False,
) -> Evidence | None:
    """Evidence that both runs start at the same place of the same segment, or None.

    ``same_header``: the exports they come from name one directory, client and model;
    ``same_session``: one session by an id of its own.
    """
    if _identified(known) and _identified(incoming):
        return _same_ids(known, incoming, same_session=same_session)
    if _indexed(known) and _indexed(incoming):
        return _same_index_space(known, incoming)
    shorter, longer = sorted((known, incoming), key=_length)
    heads, others = anchors(shorter), anchors(longer)
    if not heads and not same_session:
        return None
    if _heads(heads, others, shorter, longer) and len(heads) >= MIN_ANCHORS:
        return _all_head(len(heads))
    if _equal_run(shorter, longer) and (same_header or same_session or _is_telling(shorter)):
        return Evidence(f"all {len(shorter)} messages of the shorter head the longer", 1)
    return _rerendered(heads, others)


def goes_on(known: Sequence[Place], incoming: Sequence[Place], before: int) -> Evidence | None:
    """What ``same_segment`` finds for runs of which an equal head was left out.

    ``before`` anchors are in that head. None also where only the whole runs would tell.
    """
    shorter, longer = sorted((known, incoming), key=_length)
    heads = anchors(shorter)
    count = before + len(heads)
    if count < MIN_ANCHORS or not _heads(heads, anchors(longer), shorter, longer):
        return None
    return _all_head(count)


def _all_head(count: int) -> Evidence:
    return Evidence(f"all {count} anchors of the shorter head the longer", count)


def _length(run: Sequence[Place]) -> tuple[int, int, int]:
    return len(anchors(run)), len(run), len(compact(run[-1].text)) if run else 0


def _heads(heads: list[Place], others: list[Place], *runs: Sequence[Place]) -> bool:
    """Whether all of ``heads`` stand at the head of ``others``; ends are provisional."""
    ends = {id(run[-1]) for run in runs}
    return len(heads) <= len(others) and all(
        a.hashes & b.hashes
        or (id(a) in ends and continues(a, b))
        or (id(b) in ends and continues(b, a))
        for a, b in zip(heads, others, strict=False)
    )


def _equal_run(shorter: Sequence[Place], longer: Sequence[Place]) -> bool:
    """Every message equal, the last one perhaps unfinished; with an equal header it is

    the text form of a byte-identical prefix, which proves a segment outright.
    """
    if len(shorter) > len(longer):
        return False
    last, other = shorter[-1], longer[len(shorter) - 1]
    return all(a.hashes & b.hashes for a, b in zip(shorter[:-1], longer, strict=False)) and (
        continues(last, other)
        or (
            (last.in_flight or other.in_flight)
            and (last.role, last.kind, last.tool) == (other.role, other.kind, other.tool)
        )
    )


def _is_telling(run: Sequence[Place]) -> bool:
    chars = sum(len(compact(place.text)) for place in run)
    return len(run) >= MIN_EQUAL_RUN and chars >= MIN_EQUAL_RUN_CHARS


def _rerendered(heads: list[Place], others: list[Place]) -> Evidence | None:
    """Other width, reflowed lists: most anchors are equal, and so are the first ten."""
    if leading_anchors(heads, others) < MIN_RERENDERED_ANCHORS:
        return None
    equal = len(equal_places(heads, others))
    if equal < MIN_RERENDERED_SHARE * len(heads):
        return None
    return Evidence(f"{equal} of {len(heads)} anchors equal, rendered anew", equal)


def leading_anchors(a: Sequence[Place], b: Sequence[Place]) -> int:
    """How many anchors at the head of two runs are equal."""
    pairs = zip(anchors(a), anchors(b), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0].hashes & pair[1].hashes, pairs))


def _identified(run: Sequence[Place]) -> bool:
    return bool(run) and all(place.source_id is not None for place in run)


def _same_ids(
    known: Sequence[Place], incoming: Sequence[Place], *, same_session: bool
) -> Evidence | None:
    """Where messages have ids, a session is one segment: a compaction leaves them there."""
    ids = {place.source_id for place in known}
    shared = sum(place.source_id in ids for place in incoming)
    if same_session:
        return Evidence(f"the session's own id, and {shared} messages by theirs", 1 + shared)
    return Evidence(f"{shared} messages by their own ids", shared) if shared else None


def _indexed(run: Sequence[Place]) -> bool:
    return bool(run) and all(place.source_index is not None for place in run)


def _same_index_space(known: Sequence[Place], incoming: Sequence[Place]) -> Evidence | None:
    """Native indices count one segment when most of the shared ones say the same.

    Without a shared one they do when one run lies behind the other; such candidates
    bear the same name.
    """
    by_index = {place.source_index: place for place in known}
    shared = [(by_index[p.source_index], p) for p in incoming if p.source_index in by_index]
    equal = sum(
        bool(a.hashes & b.hashes) or continues(a, b) or continues(b, a) for a, b in shared
    )
    if not shared:
        return _one_behind_the_other(known, incoming)
    if equal < MIN_RERENDERED_SHARE * len(shared):
        return None
    return Evidence(f"{equal} of {len(shared)} shared indices say the same", equal)


def _one_behind_the_other(known: Sequence[Place], incoming: Sequence[Place]) -> Evidence | None:
    spans = [[p.source_index or 0 for p in run] for run in (known, incoming)]
    (_, low_end), (high_start, _) = sorted((min(span), max(span)) for span in spans)
    if low_end >= high_start:
        return None
    return Evidence(f"the same name, and indices from {high_start} on behind {low_end}", 0)


@dataclass(frozen=True, slots=True)
class ExportFact:
    """What naming and order look at of one export of a segment."""

    name: str
    message_count: int
    modified_at: datetime
    header: Mapping[str, Any] = field(default_factory=dict)
    explicit_id: str | None = None
    lineage: tuple[str, ...] = ()
    session_id: str | None = None
    title: str | None = None
    other_names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name the content was dropped under, the one that counts first."""
        return self.name, *self.other_names


@dataclass(frozen=True, slots=True)
class Resolution:
    """The conversation of a segment: why this one, and how sure."""

    conversation_id: str
    reason: str
    confidence: str


def resolve(
    exports: Sequence[ExportFact],
    *,
    first_hash: str,
    lineage: tuple[str, str] | None = None,
) -> Resolution:
    """Name a segment's conversation by its exports (DESIGN 4.3, first that applies).

    ``first_hash`` is the fingerprint of the segment's first anchor. ``lineage`` is a
    known export's name that the segment mentions, and that export's conversation.
    The name rules look at the earliest export: fewest messages, then date, then name.
    """
    for export in sorted(exports, key=_earliest):
        if export.explicit_id:
            return Resolution(safe_id(export.explicit_id), "given explicitly", "certain")
    for export in sorted(exports, key=_earliest):
        if export.session_id:
            reason = f"the session's own id in {export.name}"
            return Resolution(exact_id(export.session_id), reason, "certain")
    if lineage:
        name, conversation_id = lineage
        return Resolution(conversation_id, f"continues the export {name}", "high")
    earliest = min(exports, key=_earliest)
    named = parse_name(earliest.name)
    if named.project and not named.generic:
        reason = f"{named.rule} of the file name {earliest.name}"
        return Resolution(safe_id(named.project), reason, named.confidence)
    folder = re.split(r"[/\\]", str(earliest.header.get("cwd") or "").rstrip("/\\"))[-1]
    label = folder if folder.strip("~.… ") else "session"
    return Resolution(
        safe_id(f"{label}-{first_hash[:8]}"),
        f"folder and first message, for {earliest.name} names no project",
        "medium",
    )


def redirected(found: Resolution, redirects: Mapping[str, str]) -> Resolution:
    """Where people renamed or merged a conversation, what belongs to it goes along.

    ``redirects`` maps ids to the ids that took their place; it has no circle.
    """
    conversation_id = found.conversation_id
    while conversation_id in redirects:
        conversation_id = redirects[conversation_id]
    if conversation_id == found.conversation_id:
        return found
    reason = f"{found.conversation_id} was renamed or merged by hand; {found.reason}"
    return Resolution(conversation_id, reason, "certain")


def description(exports: Sequence[ExportFact], found: Resolution) -> dict[str, str]:
    """What a conversation is described by: the earliest export of its first segment."""
    earliest = min(exports, key=_earliest)
    facts = {
        "reason": found.reason,
        "confidence": found.confidence,
        "title": earliest.title,
        "cwd": str(earliest.header.get("cwd") or ""),
        "repository": _repository(earliest.header),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _repository(header: Mapping[str, Any]) -> str:
    git = header.get("git")
    url = git.get("repository_url") if isinstance(git, Mapping) else None
    return _USER.sub("//", url) if isinstance(url, str) else ""  # it may have a password


def aliases(exports: Sequence[ExportFact], first_hash: str) -> dict[str, str]:
    """The ids that a segment's exports suggest, each taken alone, and why.

    What a person or the format says comes on top of what the names say.
    """
    named = [
        replace(export, name=name, explicit_id=None, session_id=None)
        for export in exports
        for name in sorted(set(export.names))
    ]
    alone = (resolve([fact], first_hash=first_hash) for fact in (*named, *exports))
    return {found.conversation_id: found.reason for found in alone}


def first_name(names: Iterable[str]) -> str:
    """The name that counts of a content dropped under several: earlier date, then name."""
    return min(names, key=_dated_name)


def segment_order(exports: Sequence[ExportFact]) -> tuple[datetime, datetime, str]:
    """Sort key of a segment within its conversation: when its first export was taken.

    The date in the file name, else the file's time; then time, then name (DESIGN 4.3).
    """
    first = min(exports, key=_earliest)
    dated = parse_name(first.name).dated
    return dated or first.modified_at, first.modified_at, first.name


def _earliest(export: ExportFact) -> tuple[int, datetime, str]:
    """The export that shows the fewest messages, then the earlier date, then the name."""
    return export.message_count, *_dated_name(export.name)


def _dated_name(name: str) -> tuple[datetime, str]:
    return parse_name(name).dated or datetime.max.replace(tzinfo=UTC), name


@dataclass(frozen=True, slots=True)
class ParsedName:
    """What a file name tells: project or slug, date, and which rule read it."""

    project: str
    rule: str
    confidence: str
    generic: bool
    dated: datetime | None


_USER = re.compile("//[^/]*@")
_DATE = re.compile(
    r"(\d{4})[-=](\d\d)[-=](\d\d)"
    r"(?:T(\d\d)[:-]?(\d\d)(?:[:-]?(\d\d))?Z?)?(?=[-_ .]|$)[-_ ]*"
)
_EXPORT = re.compile(r"(?:^|[-_ ])EXPR?ORT[-_ ]+(?P<project>.+)$")
_ARCHIVE_SUFFIX = re.compile(r"-\d{8}-\d{6}$")
_GENERIC = re.compile(
    r"this-session-is-being-continued|caveat-the-messages-below|command-message|"
    r"command-name|local-command|(?:export|conversation|session|untitled|chat)?$",
    re.IGNORECASE,
)


def parse_name(name: str) -> ParsedName:
    """Read a file name by the rules of FORMATS 1.1 and DESIGN 4.3."""
    stem = name.rsplit(".", 1)[0] if "." in name.strip(".") else name
    stem = _ARCHIVE_SUFFIX.sub("", stem)
    date = _DATE.match(stem)
    dated = _moment(date) if date else None
    if export := _EXPORT.search(stem):
        project, rule, confidence = export["project"], "EXPORT-{project}", "high"
    elif date and dated:
        project, rule, confidence = stem[date.end() :], "date and slug", "medium"
    else:
        project, rule, confidence = stem, "stem", "low"
    generic = _GENERIC.match(project) is not None
    return ParsedName(project, rule, confidence, generic, dated)


def _moment(date: re.Match[str]) -> datetime | None:
    try:
        year, month, day, hour, minute, second = (int(part or 0) for part in date.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def safe_id(text: str) -> str:
    """``text`` as a conversation id: lower case, a safe file name, 200 bytes at most.

    Where something was cut or left out a digest of the whole follows, so that two names
    stay two: ``c++`` and ``c#``.
    """
    whole = unicodedata.normalize("NFC", text).lower()
    kept = "".join(char if _is_safe(char) else "-" for char in whole)
    name = re.sub(r"-{2,}", "-", kept).strip("-._")
    told = all(_is_safe(char) or char in " -" for char in whole)
    if name and told and len(name.encode()) <= MAX_ID_BYTES:
        return name
    return f"{_cut(name) or 'conversation'}-{_digest(text)}"


def exact_id(text: str) -> str:
    """A session's own id as a conversation id: two that differ at all stay two.

    A name may be written in any case; an id may not. So where :func:`safe_id` would bring
    ``A`` and ``a`` together, a digest follows what is no safe id as it stands.
    """
    name = safe_id(text)
    digest = _digest(text)
    if name == text or name.endswith(digest):
        return name
    return f"{_cut(name)}-{digest}"


def is_id(text: str) -> bool:
    """Whether this can be a conversation id: the functions above give no other."""
    return (
        0 < len(text.encode("utf-8", "surrogatepass")) <= MAX_ID_BYTES
        and text[0] not in "-._"
        and all(map(_is_safe, text))
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _cut(name: str) -> str:
    return name.encode()[: MAX_ID_BYTES - 9].decode("utf-8", "ignore")


def _is_safe(char: str) -> bool:
    """Letters, digits and the marks on them, in any script, and ``._-``."""
    return char.isalnum() or char in "._-" or unicodedata.category(char).startswith("M")
