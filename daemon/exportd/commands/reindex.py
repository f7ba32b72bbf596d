"""``exportd reindex``: the database anew from the archive."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial

import click

from .. import manifest, reindex
from ..errors import RefusedRequest
from ..folders import Folders
from ..indexer import catch_up
from ..lifecycle import database, held
from ..purge import finish
from ..render.wording import some
from ..settings import Settings
from ..store import (
    Store,
    discard_staging,
    migrate,
    searching,
    sole_staging,
    staging_url,
    swap,
)
from ..store.purging import replay_purge
from ..workplace import limits, purge_parts
from .conversations import write_sessions
from .terminal import bar, note


@click.command("reindex")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def command(settings: Settings, *, dry_run: bool, as_json: bool) -> int:
    """Rebuild the database from exports-archive/ alone.

    \b
    exportd reindex --dry-run    read everything again and compare
    exportd reindex              the same, and replace what is stored

    After a lost database, or when a newer exportd reads a format better. Everything is
    built beside what is stored, which stays as it is until the last moment; an interrupted
    run goes on where it stopped. Stop the daemon first (exit code 73 otherwise). Exit code
    65: a file that was ingested once cannot be read, nothing changed.
    """
    folders = Folders(settings.memory_dir.absolute())
    if not folders.archive.is_dir():
        raise RefusedRequest(
            f"there is no {folders.archive}; expected a memory folder with an archive to "
            "rebuild the database from, see --memory-dir"
        )
    folders.create()
    with held(folders), database(settings, folders) as found, sole_staging(found.url):
        migrate(found.url)
        store = Store(found.url)
        finish(purge_parts(settings, folders, store, found.url))
        contents = reindex.inventory(folders, store)
        problems = _read(settings, folders, found.url, store, contents)
        if any(problem.is_known for problem in problems):
            _print(_Rebuilt(len(contents), problems), as_json=as_json)
            return os.EX_DATAERR
        before = set(store.conversation_ids())
        with closing(Store(staging_url(found.url))) as staging:
            changed = list(reindex.differences(store, staging))
            after = set(staging.conversation_ids())
        rebuilt = _Rebuilt(len(contents), problems, len(after), changed)
        if dry_run:
            discard_staging(found.url)
            _print(rebuilt, as_json=as_json)
            return 0
        code = _put_in_place(settings, folders, store, before | after)
        store.close()
    _print(replace(rebuilt, is_changed=True), as_json=as_json)
    return code


def _read(
    settings: Settings,
    folders: Folders,
    url: str,
    store: Store,
    contents: list[reindex.Archived],
) -> list[reindex.Problem]:
    """Everything into the second store; returns what could not be read."""
    if contents and not (folders.archive / manifest.NAME).exists():
        note(
            f"There is no {folders.archive.name}/{manifest.NAME}: names and times are "
            "those of the archived files, and what people decided is known from the "
            "database alone."
        )
    with bar("Reading the archive") as show:
        count = iter(range(1, len(contents) + 1))
        return reindex.rebuild(
            url,
            contents,
            folders,
            store,
            lambda: show(next(count), len(contents)),
            limits(settings),
        )


def _put_in_place(
    settings: Settings, folders: Folders, store: Store, conversation_ids: set[str]
) -> int:
    """The second store for the first; then what is made of it. Returns the exit code."""
    store.run(swap)
    for record in manifest.Manifest(folders.archive).records():
        if record["type"] == "purge":
            store.run(partial(replay_purge, record=record))
    code = write_sessions(settings, folders, store, conversation_ids)
    with bar("Indexing for search") as show:
        total = store.run(searching.lag)
        catch_up(store, show=lambda remaining: show(total - remaining, total))
    return code


@dataclass(frozen=True, slots=True)
class _Rebuilt:
    """``conversations`` and ``differences``: None where a known file cannot be read."""

    archived_files: int
    problems: list[reindex.Problem]
    conversations: int | None = None
    differences: list[reindex.Difference] | None = None
    is_changed: bool = False


def _print(done: _Rebuilt, *, as_json: bool) -> None:
    text = json.dumps(asdict(done), ensure_ascii=False) if as_json else "\n".join(_told(done))
    click.echo(text)


def _told(done: _Rebuilt) -> Iterator[str]:
    for problem in done.problems:
        yield f"{problem.name} cannot be read: {problem.reason}"
    if done.conversations is None or done.differences is None:
        yield "Nothing was changed; what is built so far is kept for the next run."
        return
    gives = "gives" if done.archived_files == 1 else "give"
    conversations = some(done.conversations, "conversation")
    yield f"{some(done.archived_files, 'archived file')} {gives} {conversations}."
    yield from _differences(done.differences)
    yield (
        "The database is rebuilt from the archive."
        if done.is_changed
        else "Nothing was changed (--dry-run)."
    )


def _differences(found: list[reindex.Difference]) -> Iterator[str]:
    if not found:
        yield "They are exactly what is stored."
        return
    differ = "differs" if len(found) == 1 else "differ"
    yield f"{some(len(found), 'conversation')} {differ} from what is stored:"
    width = max(len(difference.conversation_id) for difference in found)
    for one in found:
        noun = "message" if one.after == 1 else "messages"
        yield (
            f"  {one.conversation_id:<{width}}  {one.before:>6,} -> {one.after:>6,} {noun}"
            f"  {one.what}"
        )
