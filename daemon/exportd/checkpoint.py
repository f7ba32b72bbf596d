"""``exportd checkpoint``: how a project stands, written down beside its exports.

First the exports that wait are ingested, by us or by the daemon that works there; then git
and the task lists are looked at; then the checkpoint is written, the README leads to it, and
what was written is committed where that was asked for. Trouble with one of these is told in
the checkpoint and keeps none of the others from being done.
"""

from __future__ import annotations

import os
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from .errors import DiskTrouble, FolderInUse, TransientError
from .folders import Folders
from .formats.text import escape
from .lifecycle import database
from .models import is_deferred
from .once import run_once
from .outcome import drained
from .project import readme_of, refer, task_lists, write_new
from .render.checkpoint import checkpoint, reference
from .repository import GitTrouble, Repository
from .settings import Settings
from .standing import Mark, Standing, Waiting, file_name, last_mark, with_sessions
from .store import Store
from .workplace import workplace

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_END_BYTES = 500  # in which the mark of a checkpoint stands


@dataclass(frozen=True, slots=True)
class Taken:
    """A checkpoint that was written, and what was done with it; paths are absolute.

    ``readme`` is None where it does not lead there, ``readme_trouble`` says why. ``commit`` is
    the id of the commit of ``committed``; ``left_out`` says of each other path why it is none.
    """

    standing: Standing
    file: Path
    readme: Path | None
    readme_trouble: str = ""
    commit: str = ""
    committed: tuple[Path, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    commit_trouble: str = ""


@dataclass(frozen=True, slots=True)
class Committing:
    """What is to be committed beside the checkpoint: the session files, or not."""

    with_sessions: bool = False


def take_checkpoint(
    settings: Settings,
    root: Path,
    title: str,
    committing: Committing | None,
    timeout_s: float,
    stopping: threading.Event,
) -> Taken:
    """Take and write it; ``timeout_s`` is what a daemon gets for the exports that wait.

    Raises ``DiskTrouble`` where it cannot be written.
    """
    folders = Folders(settings.memory_dir)
    folders.create()
    taken_at = datetime.now(UTC).replace(microsecond=0)
    last = _last(folders)
    standing = Standing(title, taken_at, root.resolve().name, last.until if last else None)
    standing = _with_exports(standing, settings, folders, timeout_s, stopping)
    standing = replace(standing, task_lists=tuple(task_lists(root, folders.memory)))
    repository: Repository | None = None
    try:
        repository = Repository(root)
        standing = replace(standing, git=repository.status(last))
    except GitTrouble as error:
        standing = replace(standing, git_trouble=str(error))
    return _written(standing, folders, root, repository, committing)


def _last(folders: Folders) -> Mark | None:
    """What the latest checkpoint left for this one."""
    for path in sorted(folders.checkpoints.glob("*.md"), reverse=True):
        with suppress(OSError), path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(file.tell() - _END_BYTES, 0))
            if mark := last_mark(path.name, file.read().decode("utf-8", "replace")):
                return mark
    return None


def _with_exports(
    standing: Standing,
    settings: Settings,
    folders: Folders,
    timeout_s: float,
    stopping: threading.Event,
) -> Standing:
    waiting: list[tuple[str, str]] = []
    try:
        try:
            with workplace(settings, stopping) as place:
                reports = run_once(place)[1]
                waiting = [(r.name, r.reason) for r in reports if is_deferred(r)]
                with closing(place.store):
                    standing = _stored(standing, place.store, folders)
        except FolderInUse:
            waiting = drained(folders, timeout_s)
            with (
                database(settings, folders, stopping) as found,
                closing(Store(found.url, settings.database.timeout)) as store,
            ):
                standing = _stored(standing, store, folders)
    except TransientError as error:
        standing = replace(standing, export_trouble=str(error))
        waiting = waiting or drained(folders, 0)
    return replace(standing, waiting=tuple(Waiting(*one) for one in waiting))


def _stored(standing: Standing, store: Store, folders: Folders) -> Standing:
    until = store.clock()
    since = standing.since or _EVER
    arrivals = store.arrivals(escape(str(folders.memory)), since)
    arrivals = [one for one in arrivals if one.arrived_at <= until and one.outcome]
    standing = replace(standing, exports=tuple(arrivals), until=until)
    found = store.statistics()
    facts = {f.conversation_id: (f.amounts.unique_messages, f.risk.level.value) for f in found}
    stored = len(found), sum(f.amounts.unique_messages for f in found)
    return with_sessions(replace(standing, stored=stored), facts)


def _written(
    standing: Standing,
    folders: Folders,
    root: Path,
    repository: Repository | None,
    committing: Committing | None,
) -> Taken:
    readme, trouble = readme_of(root, folders.memory)
    is_ours = _is_ours(repository, readme) if committing else False
    try:
        folders.checkpoints.mkdir(mode=0o700, exist_ok=True)
        sessions = os.path.relpath(folders.sessions, folders.checkpoints)
        text = "".join(checkpoint(standing, sessions))
        file = write_new(
            folders.checkpoints, file_name(standing.title, standing.taken_at), text
        )
    except OSError as error:
        raise DiskTrouble(
            f"{error.filename or folders.checkpoints}: cannot be written ({error.strerror})"
        ) from error
    if not trouble:
        target = os.path.relpath(file, readme.parent)
        trouble = refer(readme, reference(standing, target))
    taken = Taken(standing, file, None if trouble else readme, trouble)
    if committing is None:
        return taken
    if repository is None:
        return replace(taken, commit_trouble=standing.git_trouble)
    return _committed(taken, folders, repository, committing, is_ours=is_ours)


def _is_ours(repository: Repository | None, readme: Path) -> bool:
    """Whether the README has no change yet that is not committed: ours is the only one."""
    try:
        return repository is not None and not repository.changed(readme)
    except GitTrouble:
        return False


def _committed(
    taken: Taken,
    folders: Folders,
    repository: Repository,
    committing: Committing,
    *,
    is_ours: bool,
) -> Taken:
    """The checkpoint, the README where our line is its only change, and session files."""
    wanted = [taken.file]
    left_out: list[tuple[str, str]] = []
    if taken.readme and is_ours:
        wanted.append(taken.readme)
    elif taken.readme:
        left_out.append((str(taken.readme), "it has other changes that are not committed"))
    try:
        if committing.with_sessions:
            wanted += [
                one for one in repository.changed(folders.sessions) if one.suffix == ".md"
            ]
        ignored = {path for path in wanted if repository.is_ignored(path)}
        left_out += [(str(path), "git is told to ignore it") for path in sorted(ignored)]
        paths = tuple(path for path in wanted if path not in ignored)
        commit = repository.commit(paths, f"Checkpoint: {taken.standing.title}\n")
    except GitTrouble as error:
        return replace(taken, left_out=tuple(left_out), commit_trouble=str(error))
    return replace(taken, commit=commit, committed=paths, left_out=tuple(left_out))
