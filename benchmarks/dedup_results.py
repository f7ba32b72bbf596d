"""Measure what exportd makes of a folder of exports, and write it up.

    python -m benchmarks.dedup_results FOLDER [--output PAGE] [--names]

Every file below FOLDER is dropped, once and in the order of the paths, into a fresh
memory folder with an embedded server. The page holds numbers only: no text of a message
and, without ``--names``, no name. Exit code 1 when files of one segment share no text
(a false merge), or a message of a file has no place in the store.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import click

from .measured import Measured, measure
from .results_page import Machine, page
from .running import drop, dump, exportd, files_below, query, run
from .stored import read_stored


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("docs/explanation/dedup-results.md"),
    show_default=True,
)
@click.option("--names", is_flag=True, help="Names of files instead of numbers, for your eyes.")
def main(folder: Path, *, output: Path, names: bool) -> None:
    """Write down what exportd stores of all files below FOLDER."""
    files = files_below(folder)
    with tempfile.TemporaryDirectory(prefix="exportd-results-") as temporary:
        memory = Path(temporary) / "memory"
        drop(files, memory)
        started = time.monotonic()
        reports = run(memory)
        machine = _machine(memory, time.monotonic() - started)
        stored = read_stored(files, dump(memory))
        measured = measure(reports, stored, _risks(memory))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page(measured, machine, names=names), encoding="utf-8")
    click.echo(f"{output}: written")
    sys.exit(_verdict(measured))


def _risks(memory: Path) -> list[str]:
    """The risk of every conversation."""
    found = json.loads(exportd(memory, "stats", "--json"))["conversations"]
    return [conversation["risk"]["level"] for conversation in found]


def _machine(memory: Path, elapsed_s: float) -> Machine:
    server = query(memory, "SHOW server_version")[0][0].split()[0]
    python = platform.python_version()
    return Machine(platform.system(), os.cpu_count() or 1, python, server, elapsed_s)


def _verdict(measured: Measured) -> int:
    for what, count in (
        ("pairs of files in one segment share little text", len(measured.false_merges)),
        ("messages have no place in the store", measured.unplaced),
    ):
        if count:
            click.echo(f"{count} {what}", err=True)
    return 1 if measured.false_merges or measured.unplaced else 0


if __name__ == "__main__":
    main()
