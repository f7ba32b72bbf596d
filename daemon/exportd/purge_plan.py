"""What a purge takes away, and what has to be written anew. Pure.

A conversation's exports go. A file that holds nothing else goes with them; one that holds
something else is written anew without them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Content:
    """One distinct content. ``names`` it arrived under, ``own_names`` as a file of its own.

    ``others`` in it are known to no one; ``memory_dirs`` have it as a file of its own.
    """

    export_id: int
    sha256: str
    size_bytes: int
    name: str
    format: str | None
    archive_name: str | None
    explicit_id: str | None
    modified_at: datetime
    others: int
    names: tuple[str, ...]
    own_names: tuple[str, ...]
    memory_dirs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inside:
    """One arrival of a content inside of a file, its holder."""

    drop_id: int
    holder_id: int
    export_id: int
    locator: str
    sha256: str
    state: str
    format: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows that go, by what they are."""

    messages: int
    renderings: int
    segments: int
    anomalies: int
    alerts: int
    dead_letters: int
    exports: int

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Plan:
    """``gone`` contents, ``rewritten`` ones, and ``inside``, all that lies in these.

    ``names`` are those of files that go, ``ids`` those of the conversation: what is to be
    struck from logs. ``memory_dirs`` are all folders that had a drop of it; ``namesakes`` are
    dead letters that were called as its files. Decisions of people, by number: ``overrides``
    go, of ``reworded`` ones the name is struck.
    """

    conversation_id: str
    counts: Counts
    gone: tuple[Content, ...]
    rewritten: tuple[Content, ...]
    inside: tuple[Inside, ...]
    ids: tuple[str, ...]
    names: tuple[str, ...]
    memory_dirs: tuple[str, ...]
    namesakes: tuple[str, ...]
    overrides: tuple[int, ...]
    reworded: tuple[int, ...]

    @property
    def gone_ids(self) -> list[int]:
        return [content.export_id for content in self.gone]

    def inside_of(self, holder: Content) -> list[Inside]:
        return [one for one in self.inside if one.holder_id == holder.export_id]


def closure(
    export_ids: Collection[int], holders: Iterable[Content], inside: Sequence[Inside]
) -> set[int]:
    """These exports, and every holder in which nothing else is."""
    gone, left = set(export_ids), {holder.export_id: holder for holder in holders}
    while True:
        empty = {
            number
            for number, holder in left.items()
            if not holder.others
            and {one.export_id for one in inside if one.holder_id == number} <= gone
        }
        if not empty:
            return gone
        gone |= empty
        left = {number: holder for number, holder in left.items() if number not in empty}


def is_talk_left(plan: Plan, holder: Content) -> bool:
    """Whether a file that is written anew has a conversation in it still."""
    by_id = {content.export_id: content for content in plan.rewritten}
    gone = set(plan.gone_ids)
    for one in plan.inside_of(holder):
        if one.export_id in by_id:
            if is_talk_left(plan, by_id[one.export_id]):
                return True
        elif one.export_id not in gone and one.state == "ingested":
            return True
    return False


def decisions_about(
    conversation_id: str, overrides: Sequence[tuple[int, str, str, str, bool]]
) -> tuple[set[int], set[int]]:
    """The decisions that go, and those of which the name is struck.

    ``overrides``: number, operation, from, into, and whether it is undone. A split that made
    another conversation of a part stays, for that one is built by it.
    """
    own = {conversation_id}
    while (
        more := {
            source
            for _, operation, source, into, is_undone in overrides
            if operation != "split" and not is_undone and into in own
        }
        - own
    ):
        own |= more
    gone, reworded = set(), set()
    for number, operation, source, into, is_undone in overrides:
        if operation == "split" and source in own and into not in own and not is_undone:
            reworded.add(number)
        elif {source, into} & own:
            gone.add(number)
    return gone, reworded


def digest(uuid: object, conversation_id: str) -> str:
    """By which who knows an id can find its purge, and nobody else the id."""
    return hashlib.sha256(f"{uuid}\0{conversation_id}".encode()).hexdigest()


def struck_split(
    source: str, exports: Mapping[str, Any], ids: Collection[str], alias: str
) -> tuple[str, dict[str, Any]]:
    """A decision without the names of what is purged."""
    return (
        alias if source in ids else source,
        {sha256: None if before in ids else before for sha256, before in exports.items()},
    )


def names_of(contents: Iterable[Content]) -> Iterator[str]:
    """Every name that people may have seen of files that go."""
    for content in contents:
        yield from content.names
        if content.archive_name:
            yield content.archive_name
