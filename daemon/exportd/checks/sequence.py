"""Whether an export's messages stand, in order, among the stored ones.

A place matches by fingerprint, of the content or of a rendering. The leftmost and the
rightmost way to embed the export say for every message between which rows it can stand;
together they decide what any way to embed it could show.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

from ..fingerprint import fingerprint
from ..models import Message, Role
from .facts import MessageRow

Shape = tuple[str, str, str | None]  # role, kind, tool


@dataclass(frozen=True, slots=True)
class Shown:
    """A message as an export shows it."""

    role: str
    kind: str
    content_hash: str
    text: str
    metadata: Mapping[str, Any]
    in_flight: bool

    @property
    def shape(self) -> Shape:
        return self.role, self.kind, self.metadata.get("tool")


def shown(message: Message) -> Shown:
    return Shown(
        message.role.value,
        message.kind.value,
        fingerprint(message.role, message.text),
        message.text,
        _metadata(message),
        message.in_flight,
    )


def _metadata(message: Message) -> dict[str, Any]:
    """What ``messages.metadata`` holds; reckoned here anew, so that it is checked."""
    facts = dict(message.extra)
    if message.model:
        facts["model"] = message.model
    if message.tokens:
        facts["tokens"] = dict(message.tokens)
    if message.parent_id:
        facts["parent_id"] = message.parent_id
    return facts


def is_shown(row: MessageRow, message: Shown) -> bool:
    """Whether a row is exactly what an export shows: to the last space."""
    return not any(differences(row, message))


def differences(row: MessageRow, message: Shown) -> Iterator[str]:
    """The columns in which a row is not what an export shows."""
    if row.text != message.text:
        yield "content"
    if row.role != message.role:
        yield "role"
    if row.kind != message.kind:
        yield "kind"
    if row.in_flight != message.in_flight:
        yield "in_flight"
    same = row.metadata == message.metadata
    if not same and _exact(row.metadata) != _exact(message.metadata):
        yield "metadata"


def _exact(value: Any) -> Any:
    """JSON with numbers as PostgreSQL knows them: 1e23 is 10**23, as a float it is not."""
    if isinstance(value, Mapping):
        return {str(key): _exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(repr(value))
    return value


def is_hash_of(content_hash: str, text: str) -> bool:
    """Whether it is the fingerprint of a text; who spoke may differ between renderings."""
    return any(fingerprint(role, text) == content_hash for role in Role)


class Rows:
    """The stored rows of a segment, to be searched by place."""

    def __init__(self, rows: Sequence[MessageRow]) -> None:
        self.rows = rows
        self.own = [_own_hash(row) for row in rows]
        self.hashes = [
            {
                own,
                *(r.content_hash for r in row.renderings if is_hash_of(r.content_hash, r.text)),
            }
            for own, row in zip(self.own, rows, strict=True)
        ]
        self._with_hash: dict[str, list[int]] = defaultdict(list)
        self._with_shape: dict[Shape, list[int]] = defaultdict(list)
        for position, row in enumerate(rows):
            for content_hash in self.hashes[position]:
                self._with_hash[content_hash].append(position)
            self._with_shape[shape_of(row)].append(position)

    def __len__(self) -> int:
        return len(self.rows)

    def leftmost(self, run: Sequence[Shown]) -> list[int] | None:
        """The earliest row for every message, in order; None when one finds none."""
        at = -1
        places = []
        for message in run:
            found = [
                rows[n]
                for rows in self._candidates(message)
                if (n := bisect_right(rows, at)) < len(rows)
            ]
            if not found:
                return None
            places.append(at := min(found))
        return places

    def rightmost(self, run: Sequence[Shown]) -> list[int]:
        """The latest row for every message of a run that :meth:`leftmost` found."""
        at = len(self.rows)
        places = []
        for message in reversed(run):
            found = [
                rows[n - 1]
                for rows in self._candidates(message)
                if (n := bisect_left(rows, at)) > 0
            ]
            places.append(at := max(found))
        return places[::-1]

    def between(self, message: Shown, low: int, high: int) -> Iterator[int]:
        """Rows from ``low`` to ``high`` that have a rendering of a message."""
        rows = self._with_hash.get(message.content_hash, [])
        yield from rows[bisect_left(rows, low) : bisect_right(rows, high)]

    def repeats(self) -> list[range]:
        """Runs of rows that are equal in everything, where no native index tells them apart."""
        runs: list[range] = []
        for position, (before, row) in enumerate(pairwise(self.rows), 1):
            if row.source_index is None and replace(before, index=row.index) == row:
                start = runs.pop().start if runs and runs[-1].stop == position else position - 1
                runs.append(range(start, position + 1))
        return runs

    def alike(self) -> dict[str, str]:
        """One name for all fingerprints that stand, anywhere, for the same message."""
        name_of: dict[str, str] = {}
        for hashes in self.hashes:
            name = min((name_of[h] for h in hashes if h in name_of), default=min(hashes))
            name_of.update(dict.fromkeys(hashes, name))
        return name_of

    def _candidates(self, message: Shown) -> tuple[Sequence[int], ...]:
        """A placeholder is kept nowhere once it was completed: its place shows no text."""
        equal = self._with_hash.get(message.content_hash, [])
        if not message.in_flight:
            return (equal,)
        return equal, self._with_shape.get(message.shape, [])


def shape_of(row: MessageRow) -> Shape:
    return row.role, row.kind, row.metadata.get("tool")


def _own_hash(row: MessageRow) -> str:
    """The fingerprint reckoned from role and text; none where the role is no role."""
    return fingerprint(Role(row.role), row.text) if row.role in set(Role) else ""
