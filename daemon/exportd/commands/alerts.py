"""``exportd alerts``: what people are told, and their answers."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import click

from ..alerts.notice import Notice, NotSent, Told
from ..channels import connected
from ..errors import RefusedRequest
from ..models import Severity
from ..render import alerts as render
from ..settings import Settings
from ..store import desk
from .alert_answers import (
    ANSWERS,
    alert_number,
    alert_store,
    here,
    json_option,
    known,
    print_json,
)
from .parameters import number


@click.group("alerts")
def command() -> None:
    """List alerts, answer them, and try the channels.

    \b
    exportd alerts test      a real message through every channel
    exportd alerts list      what is wrong now
    exportd alerts ack 12    seen: no more reminders
    exportd alerts silence --kind shared_name --for 7d
    """


for answer in ANSWERS:
    command.add_command(answer)


@command.command("list")
@click.option(
    "--all", "everything", is_flag=True, help="Also what is over, and mere information."
)
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=number("how many alerts to list, 1 or more"),
    help="List so many at most.",
)
@json_option
@click.pass_obj
def list_(settings: Settings, *, everything: bool, limit: int, as_json: bool) -> int:
    """List what is wrong now; the newest first.

    \b
    exportd alerts list
    exportd alerts list --all --limit 500
    exportd alerts list --json | jq '.alerts[].body'
    """
    states = None if everything else ["firing", "acknowledged"]
    with alert_store(settings) as store:
        alerts = store.run(
            lambda tx: desk.list_alerts(tx, limit, states, no_info=not everything)
        )
        silences = store.run(desk.silences)
    if as_json:
        print_json(
            {
                "alerts": [a.as_dict() for a in alerts],
                "silences": [s.as_dict() for s in silences],
            }
        )
    else:
        click.echo(render.table(alerts, silences, here(settings)), nl=False)
    return 0


@command.command("show")
@click.argument("alert_id", type=alert_number, metavar="ID")
@json_option
@click.pass_obj
def show(settings: Settings, *, alert_id: int, as_json: bool) -> int:
    """Show one alert, and who was told of it when.

    \b
    exportd alerts show 12
    """
    with alert_store(settings) as store:
        alert = known(store, [alert_id])[0]
        told = store.run(lambda tx: desk.history(tx, alert_id))
    if as_json:
        print_json({**alert.as_dict(), "deliveries": [one.as_dict() for one in told]})
    else:
        click.echo(render.one(alert, told, here(settings)), nl=False)
    return 0


@command.command("test")
@json_option
@click.pass_obj
def test(settings: Settings, *, as_json: bool) -> int:
    """Send a real message through every channel.

    Says what each server answered. Exit code 75: one did not take it.

    \b
    exportd alerts test
    exportd alerts test --json | jq .slack.said
    """
    channels = connected(settings)
    if not channels:
        raise RefusedRequest(
            "nobody can be reached: expected token or webhook_url in [slack], host in [mail], "
            "or url in [webhook]; see config.example.toml"
        )
    results = {name: _try(channel) for name, (channel, _) in channels.items()}
    if as_json:
        print_json({n: {"accepted": ok, "said": said} for n, (ok, said) in results.items()})
    else:
        for name, (ok, said) in results.items():
            click.echo(f"{'✓' if ok else '✗'} {name}: {said}")
    return 0 if all(ok for ok, _ in results.values()) else os.EX_TEMPFAIL


def _try(channel: Any) -> tuple[bool, str]:
    told = Told(
        0,
        "test",
        Severity.INFO,
        "A test of this channel",
        "exportd can reach you here. Nothing is wrong.",
        "",
        datetime.now(UTC),
    )
    try:
        return True, channel.send(
            Notice(str(uuid4()), "test", os.uname().nodename, (told,))
        ).said
    except NotSent as error:
        return False, str(error)
