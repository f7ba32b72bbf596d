"""``exportd show``: a conversation, for reading."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial

import click

from ..errors import RefusedRequest, UnknownConversation
from ..listed import Part, plain
from ..models import Kind, Role, StoredConversation, StoredMessage
from ..render.show import conversation_text
from ..settings import Settings
from ..store import Store, listing
from .conversations import complete_ids, named, opened
from .terminal import is_colourful, page


@click.command("show")
@click.argument("name", metavar="ID", shell_complete=complete_ids)
@click.option("--last", type=click.IntRange(min=1), help="The last so many messages.")
@click.option(
    "--around", type=click.IntRange(min=0), help="This message and five on each side."
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice([role.value for role in Role]),
    help="Said by these alone; may be given again.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([kind.value for kind in Kind]),
    help="Of these kinds alone; may be given again.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, texts whole.")
@click.pass_obj
def command(
    settings: Settings,
    *,
    name: str,
    last: int | None,
    around: int | None,
    roles: tuple[str, ...],
    kinds: tuple[str, ...],
    as_json: bool,
) -> int:
    """Read a conversation; what tools were asked and answered is shortened.

    \b
    exportd show rollout-master
    exportd show rollout-master --last 20 --role user --role assistant
    exportd show rollout-master --around 117
    exportd show rollout-master --kind tool_call --json | jq -r '.messages[].text'

    Whole, as a file: 'exportd export'. An alias of a conversation will do, too.
    """
    if last is not None and around is not None:
        raise click.UsageError("expected either --last or --around")
    with opened(settings) as store:
        conversation = _conversation(store, named(store, name))
        part = Part(last, _existing(conversation, around), roles=roles, kinds=kinds)
        messages = listing.excerpt(partial(_fetch, store), conversation, part)
        if as_json:
            _print(conversation, messages)
        else:
            page(conversation_text(conversation, messages, colourful=is_colourful()))
    return 0


def _conversation(store: Store, conversation_id: str) -> StoredConversation:
    found = store.conversation(conversation_id)
    if found is None:  # since it was named
        raise UnknownConversation(f"there is no conversation {conversation_id} any more")
    return found


def _existing(of: StoredConversation, index: int | None) -> int | None:
    total = sum(of.roles.values())
    if index is not None and index >= total:
        raise RefusedRequest(
            f"{of.conversation_id} has no message {index}; its messages are numbered from 0 to "
            f"{total - 1}"
        )
    return index


def _fetch(store: Store, statement: str, **parameters: object) -> list[tuple[object, ...]]:
    return store.run(lambda tx: tx.rows(statement, **parameters))


def _print(of: StoredConversation, messages: Iterable[StoredMessage]) -> None:
    """One object, its messages written as they are read."""
    facts = json.dumps(_facts(of), ensure_ascii=False)
    click.echo(f'{facts[:-1]}, "messages": [', nl=False)
    for piece in _joined(messages):
        click.echo(piece, nl=False)
    click.echo("]}")


def _facts(of: StoredConversation) -> dict[str, object]:
    return {
        "conversation_id": of.conversation_id,
        "title": of.title,
        "named_by": of.reason,
        "aliases": list(of.aliases),
        "first_at": of.first_at.isoformat() if of.first_at else None,
        "last_at": of.last_at.isoformat() if of.last_at else None,
        "roles": dict(of.roles),
        "risk": {"level": of.risk.level.value, "reasons": list(of.risk.reasons)},
        "segments": [plain(segment) for segment in of.segments],
    }


def _joined(messages: Iterable[StoredMessage]) -> Iterator[str]:
    for number, message in enumerate(messages):
        yield (", " if number else "") + json.dumps(plain(message), ensure_ascii=False)
