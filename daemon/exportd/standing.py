"""How a project stands at one moment: plain data for ``exportd checkpoint``. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from .arrivals import Arrival
from .tasks import TaskList

_SLUG_BYTES = 120
_NO_WORD = re.compile(r"[\W_]+")
_NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)-.+\.md")
_MARK = re.compile(r"<!-- exportd checkpoint: head=([0-9a-f]*) until=([0-9T:.+-]+) -->\s*\Z")


@dataclass(frozen=True, slots=True)
class Change:
    """A changed file; ``state`` are git's two letters, ``??`` where it is untracked."""

    state: str
    path: str


@dataclass(frozen=True, slots=True)
class Commit:
    commit_id: str
    at: datetime
    subject: str


@dataclass(frozen=True, slots=True)
class GitStatus:
    """``branch`` is empty on a detached head, ``head`` before the first commit.

    ``commits``: the latest of ``commit_count`` since the last checkpoint, newest first.
    """

    branch: str
    head: str
    changes: tuple[Change, ...] = ()
    commits: tuple[Commit, ...] = ()
    commit_count: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file that could not be ingested yet, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class SessionFact:
    """A session that got exports: messages stored, and its risk of data loss."""

    session_id: str
    messages: int
    risk: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What a checkpoint leaves for the next: the commit, and what it tells exports until."""

    head: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """A project at ``taken_at``; ``since`` is the last checkpoint's end, None for the first.

    ``git`` or ``exports`` are None where they cannot be told, ``git_trouble`` and
    ``export_trouble`` say why. ``stored`` are sessions and messages in the whole database.
    """

    title: str
    taken_at: datetime
    project: str
    since: datetime | None = None
    git: GitStatus | None = None
    git_trouble: str = ""
    task_lists: tuple[TaskList, ...] = ()
    exports: tuple[Arrival, ...] | None = None
    export_trouble: str = ""
    waiting: tuple[Waiting, ...] = ()
    sessions: tuple[SessionFact, ...] = ()
    stored: tuple[int, int] = (0, 0)
    until: datetime | None = None

    @property
    def dead_letters(self) -> list[Arrival]:
        return [export for export in self.exports or () if export.is_dead_letter]

    @property
    def mark(self) -> str:
        """The last line of the checkpoint; ``last_mark`` reads it."""
        head = self.git.head if self.git else ""
        until = (self.until or self.taken_at).isoformat()
        return f"<!-- exportd checkpoint: head={head} until={until} -->\n"

    def counts(self) -> dict[str, Any]:
        """The exports together; the share is by messages, in percent."""
        seen = sum(export.total for export in self.exports or ())
        new = sum(export.new for export in self.exports or ())
        return {
            "exports": len(self.exports or ()),
            "total_messages": seen,
            "new_messages": new,
            "duplicates_filtered": seen - new,
            "duplicates_pct": round(100 * (seen - new) / seen, 2) if seen else None,
        }

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "title": self.title,
            "taken_at": self.taken_at.isoformat(),
            "since": self.since.isoformat() if self.since else None,
            "git": _git_dict(self.git) if self.git else None,
            "git_trouble": self.git_trouble,
            "tasks": [
                {
                    "file": one.path,
                    "open": one.titles(done=False),
                    "done": one.titles(done=True),
                }
                for one in self.task_lists
            ],
            "exports": None
            if self.exports is None
            else [export.as_dict() for export in self.exports],
            "export_trouble": self.export_trouble,
            "waiting": [asdict(one) for one in self.waiting],
            "totals": self.counts(),
            "sessions": [asdict(one) for one in self.sessions],
            "stored": {"sessions": self.stored[0], "messages": self.stored[1]},
        }


def _git_dict(git: GitStatus) -> dict[str, Any]:
    return {
        "branch": git.branch,
        "head": git.head,
        "changes": [asdict(change) for change in git.changes],
        "commits": [
            {"commit": one.commit_id, "at": one.at.isoformat(), "subject": one.subject}
            for one in git.commits
        ],
        "commit_count": git.commit_count,
    }


def with_sessions(standing: Standing, messages: Mapping[str, tuple[int, str]]) -> Standing:
    """The sessions that its exports belong to; ``messages``: stored, and the risk, by id."""
    ids = sorted(
        {name for export in standing.exports or () for name in export.conversation_ids}
    )
    facts = (SessionFact(one, *messages[one]) for one in ids if one in messages)
    return replace(standing, sessions=tuple(facts))


def file_name(title: str, taken_at: datetime) -> str:
    """``2025-11-17T12-00-00Z-Sprint-Complete.md``: words and digits of the title alone."""
    words = _NO_WORD.sub("-", unicodedata.normalize("NFC", title)).strip("-")
    slug = words.encode("utf-8", "ignore")[:_SLUG_BYTES].decode("utf-8", "ignore").strip("-")
    return f"{taken_at:%Y-%m-%dT%H-%M-%SZ}-{slug or 'checkpoint'}.md"


def taken_at(name: str) -> datetime | None:
    """When a checkpoint of this file name was taken; None where it is none."""
    found = _NAME.fullmatch(name)
    try:
        return (
            datetime.strptime(found[1], "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC)
            if found
            else None
        )
    except ValueError:
        return None


def last_mark(name: str, end: str) -> Mark | None:
    """The mark at the ``end`` of a checkpoint, else what its name tells."""
    at = taken_at(name)
    if at is None:
        return None
    found = _MARK.search(end)
    try:
        return Mark(found[1], datetime.fromisoformat(found[2])) if found else Mark("", at)
    except ValueError:
        return Mark("", at)
