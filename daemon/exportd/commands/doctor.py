"""``exportd doctor``: what this machine offers, and where it can be made to crash."""

from __future__ import annotations

import json

import click

from .. import crash


@click.command("doctor")
@click.option("--crash-points", is_flag=True, help="List the points of EXPORTD_CRASH_AT.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(*, crash_points: bool, as_json: bool) -> int:
    """Say what helps to find a fault.

    \b
    exportd doctor --crash-points
    EXPORTD_CRASH_AT=store.written exportd run    dies by SIGKILL at this point
    """
    if not crash_points:
        raise click.UsageError("expected --crash-points")
    if as_json:
        click.echo(json.dumps(crash.POINTS))
        return 0
    width = max(map(len, crash.POINTS))
    for name, where in crash.POINTS.items():
        click.echo(f"{name:<{width}}  {where}")
    return 0
