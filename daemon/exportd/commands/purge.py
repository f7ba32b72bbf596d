"""``exportd purge``: take a conversation out for good."""

from __future__ import annotations

import getpass
import json
import os
import sys
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial

import click

from .. import purge
from ..errors import RefusedRequest, UnknownConversation
from ..folders import Folders
from ..formats.text import escape, printable
from ..lifecycle import database, stop_on_signals
from ..purge import Parts
from ..purge_plan import digest
from ..purge_report import outcome, tell
from ..render.purge import Told, as_json, as_text
from ..settings import Settings
from ..store import Store, discard_staging, sole_staging
from ..store.purging import vacuum
from ..workplace import limits, purge_parts, workplace
from .conversations import complete_ids, named

_ELSEWHERE = (
    "Backups, replicas, WAL, log files and what channels were told may still have it: see\n"
    "docs/how-to/purge-and-archive.md. An export of it that is dropped later is stored anew."
)


@click.command("purge")
@click.argument("conversation", metavar="ID", shell_complete=complete_ids)
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.option("--reason", metavar="TEXT", help="Why; kept with the note that stays.")
@click.option(
    "--full", is_flag=True, help="Write the tables anew, so that no deleted row is in a file."
)
@click.option("--json", "as_facts", is_flag=True, help="The report as JSON.")
@click.pass_obj
def command(
    settings: Settings,
    *,
    conversation: str,
    dry_run: bool,
    yes: bool,
    reason: str | None,
    full: bool,
    as_facts: bool,
) -> int:
    """Remove a conversation for good: messages, files, names.

    \b
    exportd purge garden --dry-run
    exportd purge garden --reason "asked for by Ann, 2026-03-02"
    exportd purge garden --yes --json

    A file that holds other conversations as well is written anew without this one. When it
    was purged, by whom and why stays, as a note without its name. No daemon may work in the
    memory folder meanwhile. There is no way back but a backup.

    \b
    0   purged, or with --dry-run shown
    64  there is no such conversation, or something keeps it: the words say what
    73  a daemon has the memory folder: stop it first
    75  something has to wait: the words say whether it is purged already
    """
    if dry_run:
        return _show(settings, conversation, as_facts=as_facts)
    if not yes and (as_facts or not sys.stdin.isatty()):
        raise RefusedRequest(
            "a purge cannot be undone; look at it with --dry-run, then say --yes"
        )
    with workplace(settings, stop_on_signals()) as place:
        place.prepare()
        parts = replace(place.purge_parts(), vacuum=partial(vacuum, place.url, full=full))
        found = purge.plan(parts, _named(parts, conversation))
        told = tell(parts, found)
        if not as_facts:
            click.echo("\n".join(as_text(told)))
        if not yes:
            _confirm(found.conversation_id)
        with sole_staging(place.url):
            discard_staging(place.url)  # an interrupted reindex left it, with texts
            done = purge.purge(
                parts,
                found,
                limits(settings).bounds,
                _who(),
                escape(reason) if reason else None,
            )
        place.teller.add_changed(done.changed)
        place.teller.tell()
        _tell_done(outcome(told, done, place.folders), as_facts=as_facts)
        return os.EX_TEMPFAIL if place.teller.is_behind else 0


def _show(settings: Settings, conversation: str, *, as_facts: bool) -> int:
    folders = Folders(settings.memory_dir.absolute())
    with database(settings, folders) as found, closing(Store(found.url)) as store:
        parts = purge_parts(settings, folders, store, found.url)
        told = tell(parts, purge.plan(parts, _named(parts, conversation)))
    if as_facts:
        click.echo(json.dumps(as_json(told), ensure_ascii=False))
    else:
        click.echo("\n".join(as_text(told)))
        click.echo(f"\n{_ELSEWHERE}\nNothing was changed (--dry-run).")
    return 0


def _named(parts: Parts, conversation: str) -> str:
    """``UnknownConversation`` says when it was purged, to who knows its id."""
    try:
        return named(parts.store, conversation)
    except UnknownConversation as error:
        for _, uuid, its_digest, _, made_by, made_at, _ in parts.store.run(
            lambda tx: tx.rows("purges")
        ):
            if digest(uuid, escape(conversation)) == its_digest:
                raise UnknownConversation(
                    f"{printable(conversation)} was purged at {made_at:%Y-%m-%d %H:%M} by "
                    f"{printable(made_by)}"
                ) from error
        raise


def _confirm(conversation_id: str) -> None:
    typed = click.prompt(
        f"\n{_ELSEWHERE}\nType {conversation_id} to remove it for good",
        default="",
        show_default=False,
    )
    if typed.strip() != conversation_id:
        raise RefusedRequest(f"{printable(typed)!r} was typed; nothing was changed")


def _tell_done(told: Told, *, as_facts: bool) -> None:
    if as_facts:
        click.echo(json.dumps(as_json(told), ensure_ascii=False))
        return
    for file in told.files:
        if file.becomes:
            click.echo(f"What stays of {printable(file.path)} is {printable(file.becomes)}.")
    click.echo(f"\n{told.plan.conversation_id} is purged (purge {told.uuid}).")


def _who() -> str:
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return "unknown"
