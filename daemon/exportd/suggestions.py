"""Conversations that may be one session: evidence for a person, never a merge.

Names and folders prove nothing (DESIGN 4.3), so what follows from them is only proposed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .identity import parse_name

# Claude Code's default name ends in a slug of the first prompt, cut at some 50 characters;
# people put words of their own before it (FORMATS 1.1). So many words in common are no
# coincidence.
SLUG_WORDS = 5
SLUG_CHARS = 20

# Who continues a session after a compaction does so soon.
CONTINUED_WITHIN = timedelta(days=2)

_GENERIC = re.compile(
    r"session-is-being-continued|caveat-the-messages|command-(?:message|name)|local-command"
)


@dataclass(frozen=True, slots=True)
class ExportSeen:
    """One export of a conversation: what its name, header and beginning tell."""

    conversation_id: str
    ordinal: int
    name: str
    cwd: str
    starts_compacted: bool
    modified_at: datetime

    @property
    def taken_at(self) -> datetime:
        """The date in the name, else the file's time; naive times do not occur."""
        return parse_name(self.name).dated or self.modified_at


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Conversations that may be one, the earliest first, and what speaks for it."""

    conversation_ids: tuple[str, ...]
    evidence: str


def suggest(
    exports: Sequence[ExportSeen], parted: Collection[frozenset[str]] = ()
) -> list[Suggestion]:
    """What a person may want to merge, the strongest evidence first.

    ``parted``: pairs of conversations that a person split; they are not one.
    """
    by_slug = list(_same_slug(exports, parted))
    told = {frozenset(found.conversation_ids) for found in by_slug}
    together = [set(found.conversation_ids) for found in by_slug]
    followed = [
        found
        for found in _followed(exports)
        if not any(set(found.conversation_ids) <= group for group in together)
        and frozenset(found.conversation_ids) not in told
        and frozenset(found.conversation_ids) not in parted
    ]
    return [*by_slug, *followed]


def _same_slug(
    exports: Sequence[ExportSeen], parted: Collection[frozenset[str]]
) -> Iterator[Suggestion]:
    groups: dict[str, list[ExportSeen]] = {}
    for export in exports:
        if ending := _ending(export.name):
            groups.setdefault(ending, []).append(export)
    for ending, members in sorted(groups.items()):
        ids = _together(_by_time(members), parted)
        count = sum(member.conversation_id in ids for member in members)
        if len(ids) > 1:
            yield Suggestion(ids, f'the names of {count} exports end in "{ending}"')


def _together(ids: Sequence[str], parted: Collection[frozenset[str]]) -> tuple[str, ...]:
    """As many as no person split from each other, the earliest first."""
    kept: list[str] = []
    for name in ids:
        if not any(frozenset({name, other}) in parted for other in kept):
            kept.append(name)
    return tuple(kept)


def _ending(name: str) -> str | None:
    """The last words of a name, where they are enough to be a slug of a first prompt."""
    project = parse_name(name).project.lower()
    words = [word for word in re.split(r"[-_ ]+", project) if word]
    ending = "-".join(words[-SLUG_WORDS:])
    if len(words) < SLUG_WORDS or len(ending) < SLUG_CHARS or _GENERIC.search(project):
        return None
    return ending


def _followed(exports: Sequence[ExportSeen]) -> Iterator[Suggestion]:
    """A conversation that begins after a compaction, and the last one in its folder."""
    first: dict[str, ExportSeen] = {}
    for export in sorted(exports, key=lambda e: (e.ordinal, e.taken_at, e.name)):
        first.setdefault(export.conversation_id, export)
    for begun in sorted(first.values(), key=lambda e: (e.taken_at, e.conversation_id)):
        before = [
            other
            for other in exports
            if other.cwd == begun.cwd
            and other.conversation_id != begun.conversation_id
            and (other.taken_at, other.name) < (begun.taken_at, begun.name)
            and begun.taken_at - other.taken_at <= CONTINUED_WITHIN
        ]
        if begun.starts_compacted and begun.cwd and before:
            last = max(before, key=lambda e: (e.taken_at, e.name))
            yield Suggestion(
                (last.conversation_id, begun.conversation_id),
                f"{begun.conversation_id} begins after a compaction in {begun.cwd} on "
                f"{begun.taken_at:%Y-%m-%d}; {last.conversation_id} was exported there on "
                f"{last.taken_at:%Y-%m-%d}",
            )


def _by_time(members: Sequence[ExportSeen]) -> tuple[str, ...]:
    ordered = sorted(members, key=lambda e: (e.taken_at, e.conversation_id))
    return tuple(dict.fromkeys(export.conversation_id for export in ordered))
