"""Drop the same exports in many orders and compare what is stored, byte for byte.

    python -m benchmarks.orders FOLDER [--orders 20] [--seed N]

First all files below FOLDER, through the real command with an embedded server, in the
order of their paths and in random ones, at once or in several batches with a run each.
Then every chain on its own, in every order: files that became one segment, are the same
bytes or mention each other, and files that became one conversation. What is compared is
the canonical dump. Exit code 1 when two orders differ, with the conversation and the
field, never a text; ``--seed`` repeats a run.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import click

from .chains import chains, conversations, laboratory, orders_of
from .differences import differences
from .running import check_taken, drop, dump, files_below, run, running_server
from .wording import counted

SHOWN_DIFFERENCES = 12


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--orders", default=20, show_default=True, help="Random orders of all files.")
@click.option("--seed", type=int, help="Repeat the random orders of an earlier run.")
def main(folder: Path, *, orders: int, seed: int | None) -> None:
    """Check that the order in which files arrive leaves no trace."""
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    files = files_below(folder)
    click.echo(f"{len(files)} files, seed {seed}")
    with (
        tempfile.TemporaryDirectory(prefix="exportd-orders-") as temporary,
        running_server(Path(temporary) / "given") as given,
    ):
        differing = _check_all(files, given, orders, seed)
        with laboratory(Path(temporary) / "laboratory") as dumped:
            groups = chains(files, given)
            differing += _check_groups("chain", groups, dumped, seed)
            others = [g for g in conversations(files, given) if g not in groups]
            differing += _check_groups("conversation", others, dumped, seed)
    told = f"{counted(differing, 'order')} gave another store than the first"
    click.echo(told if differing else "every order gave the same")
    sys.exit(1 if differing else 0)


def _check_all(files: list[Path], given: Path, orders: int, seed: int) -> int:
    """All files in their order, which stays in the folder ``given``, and in random ones."""
    expected = _dropped([files], given)
    size_mb = len(expected.encode()) / 1e6
    click.echo(
        f"all in their order: a dump of {expected.count(chr(10)):,} lines, {size_mb:.1f} MB"
    )
    differing = 0
    for number in range(1, orders + 1):
        batches = _random_batches(files, number, random.Random(f"{seed} {number}"))  # noqa: S311
        with (
            tempfile.TemporaryDirectory(dir=given.parent) as temporary,
            running_server(Path(temporary) / "memory") as memory,
        ):
            found = differences(expected, _dropped(batches, memory))
        verdict = "differs" if found else "identical"
        click.echo(f"order {number}, in {counted(len(batches), 'batch', 'es')}: {verdict}")
        _tell(found)
        differing += bool(found)
    return differing


def _random_batches(
    files: Sequence[Path], number: int, dice: random.Random
) -> list[list[Path]]:
    """All files in a random order; every second time cut into two to five batches."""
    order = dice.sample(files, len(files))
    places = range(1, len(files))
    cuts = (
        sorted(dice.sample(places, min(dice.randint(1, 4), len(places)))) if number % 2 else []
    )
    return [order[start:end] for start, end in pairwise([0, *cuts, len(order)])]


def _dropped(batches: Sequence[Sequence[Path]], memory: Path) -> str:
    for batch in batches:
        drop(batch, memory)
        check_taken([report["name"] for report in run(memory)], batch)
    return dump(memory)


def _check_groups(
    kind: str, groups: list[list[Path]], dumped: Callable[[Sequence[Path]], str], seed: int
) -> int:
    """Every group on its own; a difference is told once, with the first order that has it."""
    started, tried, differing = time.monotonic(), 0, 0
    for number, group in enumerate(groups, 1):
        first, *others = orders_of(group, seed)
        expected = dumped(first)
        told: set[str] = set()
        for order in others:
            found = differences(expected, dumped(order))
            differing += bool(found)
            if new := [line for line in found if line not in told]:
                click.echo(f"{kind} {number}: this order of its {len(group)} files differs:")
                click.echo("".join(f"    {path.name}\n" for path in order), nl=False)
                _tell(new)
            told.update(found)
        tried += len(others) + 1
    elapsed_s = time.monotonic() - started
    click.echo(f"{counted(len(groups), kind)}, {tried} orders, {elapsed_s:.0f} s")
    return differing


def _tell(found: Sequence[str]) -> None:
    for line in found[:SHOWN_DIFFERENCES]:
        click.echo(f"  {line}")
    if len(found) > SHOWN_DIFFERENCES:
        click.echo(f"  and {len(found) - SHOWN_DIFFERENCES} more")


if __name__ == "__main__":
    main()
