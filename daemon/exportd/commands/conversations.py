"""What commands share that take the id of a conversation."""

from __future__ import annotations

import difflib
import getpass
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import click

from ..config import load
from ..errors import ConfigurationError, UnknownConversation
from ..folders import Folders
from ..formats.text import escape, printable
from ..identity import safe_id
from ..lifecycle import database
from ..settings import Settings
from ..statuslog import StatusLog
from ..store import Store, listing
from ..teller import Teller

_MOST = 5  # of names in an error


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """The store of the memory folder that is set; closed in the end."""
    with database(settings, Folders(settings.memory_dir.absolute())) as found:
        store = Store(found.url)
        try:
            yield store
        finally:
            store.close()


def who() -> str:
    """Who gives the command."""
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return "unknown"


def named(store: Store, name: str) -> str:
    """The conversation with this id or alias; ``UnknownConversation`` says what is near."""
    name = escape(name)  # an argument may be no text at all
    found = store.conversations_named(name)
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownConversation(
            f"{printable(name)} is another name of {len(found)} conversations: "
            f"{', '.join(found[:_MOST])}{', …' if len(found) > _MOST else ''}; say which"
        )
    names = store.run(listing.names)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    near = " or ".join(map(printable, close))
    hint = f"; did you mean {near}?" if close else "; 'exportd sessions' lists them"
    raise UnknownConversation(f"there is no conversation {printable(name)}{hint}")


def complete_ids(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """What the shell offers for an id: the session files' names; the database is not asked."""
    given = ctx.find_root().params
    memory_dir = given.get("memory_dir")
    try:
        settings = load(given.get("config"), {"memory_dir": memory_dir} if memory_dir else {})
    except ConfigurationError:
        return []
    files = Folders(settings.memory_dir.absolute()).sessions.glob("*.md")
    return sorted(
        path.stem
        for path in files
        if path.stem.startswith(incomplete) and path.stem == safe_id(path.stem)
    )


def write_sessions(
    settings: Settings, folders: Folders, store: Store, conversation_ids: Iterable[str]
) -> int:
    """Write the session files of what changed; 75 when the disk refused, and words."""
    log = StatusLog(
        folders.status_log, settings.status_log_max_bytes, settings.status_log_backups
    )
    teller = Teller(folders, store, log)
    teller.add_changed(conversation_ids)
    teller.tell()
    if not teller.is_behind:
        return 0
    click.echo(
        f"It is stored, but {folders.sessions} cannot be written now; the next start of "
        "exportd writes the session files.",
        err=True,
    )
    return os.EX_TEMPFAIL
