"""``exportd man``: the manual page, made of what --help says."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from .. import version
from ..render.man import manual


@click.command("man")
@click.pass_context
def command(ctx: click.Context) -> int:
    """Print the manual page.

    \b
    exportd man | man -l -
    exportd man > ~/.local/share/man/man1/exportd.1    then: man exportd
    """
    root = ctx.find_root()
    click.echo(manual(root.command, version(), datetime.now(UTC).date()), nl=False)
    return 0
