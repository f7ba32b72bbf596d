"""A checkpoint: how a project stands, and what its exports brought, as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..arrivals import Arrival
from ..standing import GitStatus, Standing
from ..tasks import TaskList
from .inline import code, link, plain
from .wording import some

_MOST_CHANGES = 100
_MOST_TASKS = 50
_MOST_EXPORTS = 100

_FATES = {None: "on its way", "duplicate_file": "known file", "dead_letter": "**set aside**"}


def checkpoint(standing: Standing, sessions_dir: str) -> Iterator[str]:
    """The document; ``sessions_dir``: the way from it to the session files."""
    yield f"# Checkpoint: {plain(standing.title)}\n\n"
    yield f"Taken on {standing.taken_at:%Y-%m-%d %H:%M:%S} UTC in {plain(standing.project)}.\n"
    yield from _exports(standing)
    yield from _sessions(standing, sessions_dir)
    yield from _tasks(standing.task_lists)
    yield "\n## Git\n\n"
    if standing.git is None:
        yield f"Nothing to tell: {plain(standing.git_trouble)}.\n"
    else:
        yield from _git(standing.git, is_first=standing.since is None)
    yield f"\n{standing.mark}"


def reference(standing: Standing, target: str) -> str:
    """The line in the README that leads to the checkpoint."""
    return f"- {link(f'{standing.taken_at:%Y-%m-%d %H:%M} UTC: {standing.title}', target)}"


def _exports(standing: Standing) -> Iterator[str]:
    yield "\n## Conversation exports\n\n"
    if standing.exports is None:
        yield f"Not known: {plain(standing.export_trouble)}.\n"
    else:
        yield f"{_since(standing)}: {_summary(standing)}.\n"
        yield from _table(standing.exports)
        sessions, messages = standing.stored
        yield f"\nIn storage: {some(messages, 'message')} of {some(sessions, 'session')}.\n"
    if standing.waiting:
        yield f"\n{some(len(standing.waiting), 'file')} had to wait:\n\n"
        for one in standing.waiting[:_MOST_EXPORTS]:
            yield f"- {code(one.name)}: {plain(one.reason)}\n"
        yield from _more(len(standing.waiting), _MOST_EXPORTS)
    if dead := standing.dead_letters:
        yield f"\n{some(len(dead), 'file')} could not be ingested, see `exports-failed/`:\n\n"
        for export in dead[:_MOST_EXPORTS]:
            yield f"- {code(export.name)}: {plain(export.reason)}\n"
        yield from _more(len(dead), _MOST_EXPORTS)


def _since(standing: Standing) -> str:
    if standing.since is None:
        return "Until now"
    return f"Since the last checkpoint, {standing.since:%Y-%m-%d %H:%M:%S} UTC"


def _summary(standing: Standing) -> str:
    counts = standing.counts()
    if not counts["exports"]:
        return "no export came"
    share = counts["duplicates_pct"]
    return (
        f"{some(counts['exports'], 'export')} with {some(counts['total_messages'], 'message')},"
        f" {counts['new_messages']:,} new and "
        f"{some(counts['duplicates_filtered'], 'duplicate')} filtered"
        + (f" ({share:.1f} %)" if share is not None else "")
    )


def _table(exports: tuple[Arrival, ...]) -> Iterator[str]:
    if not exports:
        return
    yield "\n| export | outcome | session | messages | new | duplicates | savings |\n"
    yield "|---|---|---|--:|--:|--:|--:|\n"
    for one in exports[-_MOST_EXPORTS:]:
        names = ", ".join(map(plain, one.conversation_ids[:3])) or "–"
        more = len(one.conversation_ids) - 3
        yield (
            f"| {code(one.name, in_table=True)} | {_FATES.get(one.outcome, one.outcome)} "
            f"| {names}{f' and {more:,} more' if more > 0 else ''} "
            f"| {one.total:,} | {one.new:,} | {one.duplicates:,} | {one.savings_pct:.1f} % |\n"
        )
    if len(exports) > _MOST_EXPORTS:
        yield f"\nThe last {_MOST_EXPORTS} of {len(exports):,} are shown.\n"


def _sessions(standing: Standing, sessions_dir: str) -> Iterator[str]:
    if not standing.sessions:
        return
    yield "\n## Sessions\n\n"
    for one in standing.sessions[:_MOST_EXPORTS]:
        where = link(one.session_id, f"{sessions_dir}/{one.session_id}.md")
        yield f"- {where}: {some(one.messages, 'message')}, risk of data loss: {one.risk}\n"
    yield from _more(len(standing.sessions), _MOST_EXPORTS)


def _tasks(lists: tuple[TaskList, ...]) -> Iterator[str]:
    yield "\n## Tasks\n"
    if not lists:
        yield "\nNo task list was found.\n"
        return
    for is_done, box in ((False, "[ ]"), (True, "[x]")):
        found = [(one.path, task) for one in lists for task in one.tasks]
        chosen = [(path, task) for path, task in found if task.is_done is is_done]
        yield f"\n### {'Done' if is_done else 'Open'}: {len(chosen):,}\n\n"
        for path, task in chosen[:_MOST_TASKS]:
            yield f"- {box} {plain(task.title)} ({code(f'{path}:{task.line}')})\n"
        yield from _more(len(chosen), _MOST_TASKS)


def _git(git: GitStatus, *, is_first: bool) -> Iterator[str]:
    branch = f"On branch {code(git.branch)}" if git.branch else "On no branch (detached)"
    yield f"{branch}, {f'at {code(git.head)}' if git.head else 'before the first commit'}.\n"
    title = "Latest commits" if is_first else "Commits since the last checkpoint"
    yield f"\n### {title}: {git.commit_count:,}\n\n"
    for one in git.commits:
        yield f"- {code(one.commit_id[:10])} {one.at:%Y-%m-%d} {plain(one.subject)}\n"
    yield from _more(git.commit_count, len(git.commits))
    yield f"\n### Changed and not committed: {len(git.changes):,}\n\n"
    for change in git.changes[:_MOST_CHANGES]:
        yield f"- {_state(change.state)}: {code(change.path)}\n"
    yield from _more(len(git.changes), _MOST_CHANGES)


def _state(letters: str) -> str:
    """Git's two letters, of the index and the work tree, in a word."""
    if letters == "??":
        return "untracked"
    if "U" in letters or letters in ("AA", "DD"):
        return "in conflict"
    for letter, word in (("D", "deleted"), ("R", "renamed"), ("A", "new"), ("C", "new")):
        if letter in letters:
            return word
    return "modified"


def _more(count: int, shown: int) -> Iterator[str]:
    if count > shown:
        yield f"- … and {count - shown:,} more\n"
