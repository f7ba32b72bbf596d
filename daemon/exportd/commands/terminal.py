"""What commands show on a terminal and nowhere else: progress, colours, a pager."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from ..log import shows_colours

# What is done sooner needs no progress bar.
_SOON_S = 1.0

# How many are done, and of how many; None where nobody knows.
Show = Callable[[int, int | None], None]


@contextmanager
def bar(what: str) -> Iterator[Show]:
    """A progress bar on stderr, on a terminal alone.

    None with --quiet, and none for what is done at once.
    """
    if is_quiet() or not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    # Loaded where it is needed: it takes longer than most commands.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    started = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, visible=False)

        def show(done: int, total: int | None) -> None:
            late = time.monotonic() - started > _SOON_S
            progress.update(task, completed=done, total=total, visible=late)

        yield show


def is_quiet() -> bool:
    """Whether --quiet was said."""
    context = click.get_current_context(silent=True)
    return bool(context and context.find_root().params.get("quiet"))


def is_colourful() -> bool:
    """Whether stdout shows colours: a terminal, and nobody set NO_COLOR (no-color.org)."""
    return shows_colours(sys.stdout)


def note(text: str) -> None:
    """On stderr what is good to know, and no error; nothing with --quiet."""
    if not is_quiet():
        click.echo(text, err=True)


def page(pieces: Iterator[str]) -> None:
    """Through $PAGER on a terminal, as they are elsewhere."""
    if sys.stdout.isatty() and not is_quiet():
        # As git does: what fits on the screen is printed, and less ends.
        os.environ.setdefault("LESS", "FRX")
        click.echo_via_pager(pieces, color=is_colourful())
    else:
        sys.stdout.writelines(pieces)
