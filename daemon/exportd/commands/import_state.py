"""``exportd import-state``: take over the earlier scripts' JSON state, or undo that."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table

from .. import import_state
from ..errors import PermanentError
from ..formats.text import printable
from ..lifecycle import stop_on_signals
from ..log import configure
from ..render.wording import some
from ..settings import Settings
from ..state_report import Progress, RolledBack, Side, TakenOver
from .terminal import is_quiet


@click.command("import-state")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--rollback", is_flag=True, help="Undo the import of DIR.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
@click.pass_obj
def command(settings: Settings, folder: Path, *, rollback: bool, as_json: bool) -> int:
    """Take over the earlier scripts' state.

    DIR holds conversation_log.jsonl, and perhaps watermarks.json and content_hashes.json.
    It is copied to MEMORY-CONTEXT/backups first and never changed. Every line of the log is
    stored as a message or set aside with its number; doing it again stores only what is new.
    No daemon may work in the memory folder meanwhile.

    \b
    exportd import-state MEMORY-CONTEXT/dedup_state
    exportd import-state --rollback MEMORY-CONTEXT/dedup_state

    Exit codes: 0 every line is stored or set aside; 65 something did not arrive, or could
    not be rolled back, and the report says what; 73 a daemon has the memory folder; 75
    something has to wait, run the same command again.
    """
    work = import_state.roll_back if rollback else import_state.take_over
    with _progress() as progress:
        try:
            done = work(folder.absolute(), settings, stop_on_signals(), progress)
        except PermanentError as error:
            raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(_json(done))
    elif isinstance(done, TakenOver):
        _tell(done, folder)
    else:
        _tell_rollback(done)
    return done.code


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal, where log lines would break it; nothing elsewhere."""
    if is_quiet() or not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    configure("warning", "console")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, object] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what)
            bars.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield told


def _tell(done: TakenOver, folder: Path) -> None:
    console = _console()
    if done.sides:
        console.print(_table(done.sides))
    sides = done.sides
    stored = sum(side.stored for side in sides)
    console.print(
        f"{some(done.lines, 'line')} = {stored:,} stored + {done.corrupt_lines:,} corrupt + "
        f"{done.blank_lines:,} blank"
        + (f" + {missing:,} missing" if (missing := _missing(done)) else "")
        + f"; {_new(sum(side.new for side in sides))}.",
        markup=False,
    )
    when = "" if done.backup_is_new else " before"
    _line(console, f"The folder was copied{when} to {printable(done.backup)}.")
    if done.dead_letter:
        _line(console, f"Corrupt lines: {done.dead_letter}, with the reasons beside it.")
    _list(console, "Differences within the earlier state (its log counts):", _notes(done))
    _list(console, "Warnings:", list(done.warnings))
    _list(console, "Did not arrive:", _lost(done))
    _list(console, "Waits:", list(done.waiting))
    _line(console, f"\n{_next(done, folder)}")


def _json(done: TakenOver | RolledBack) -> str:
    """The report's own fields, as the README has them, and the exit code."""
    facts = {**asdict(done), "code": done.code}
    if "sides" in facts:
        facts["conversations"] = facts.pop("sides")
    return json.dumps(facts, ensure_ascii=False)


def _console() -> Console:
    """As wide as the terminal; in a file, where nobody can widen it, wide."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def _table(sides: tuple[Side, ...]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("conversation", overflow="fold")
    for name in ("lines", "stored", "new", "highest", "watermark", "hashes"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for side in sides:
        same = side.conversation_id in ("", side.earlier_id)
        name = side.earlier_id if same else f"{side.earlier_id} → {side.conversation_id}"
        numbers = (side.lines, side.stored, side.new)
        claimed = (side.highest_index, side.watermark, side.hashes)
        table.add_row(
            _plain(name),
            *(f"{number:,}" for number in numbers),
            *("–" if number is None else f"{number:,}" for number in claimed),
            "✓" if side.arrived else "✗",
        )
    return table


def _plain(text: str) -> str:
    """A hostile id on one line, and never as rich's markup."""
    return printable(text).replace("[", r"\[")


def _new(count: int) -> str:
    return f"{some(count, 'message')} {'is' if count == 1 else 'are'} new"


def _missing(done: TakenOver) -> int:
    return sum(side.lines - side.stored for side in done.sides)


def _notes(done: TakenOver) -> list[str]:
    return [f"{printable(s.earlier_id)}: {note}" for s in done.sides for note in s.notes]


def _lost(done: TakenOver) -> list[str]:
    return [
        f"{printable(side.earlier_id)}: {side.stored:,} of {some(side.lines, 'line')} stored"
        + (f" ({printable(side.reason)})" if side.reason else "")
        for side in done.sides
        if not side.arrived
    ]


def _next(done: TakenOver, folder: Path) -> str:
    place = printable(str(folder))
    if done.waiting:
        return f"Not done yet. Run it again: exportd import-state {place}"
    if done.code:
        return "Not complete. Mend what did not arrive, then run the same command again."
    complete = f"Complete; {place} is not needed any more."
    if done.warnings:
        complete = "Everything in the log has arrived."
    return f"{complete} To undo it: exportd import-state --rollback {printable(done.backup)}"


def _tell_rollback(done: RolledBack) -> None:
    console = _console()
    for conversation_id, messages in done.removed.items():
        _line(console, f"{printable(conversation_id)}: {some(messages, 'message')} removed")
    _list(console, "Not removed:", list(done.refused))
    if done.removed or done.exports:
        _line(
            console,
            f"\n{some(sum(done.removed.values()), 'message')} of "
            f"{some(len(done.removed), 'conversation')} removed; {some(done.exports, 'file')} "
            "moved to exports-failed/. Backups and corrupt lines stay where they are.",
        )
    elif not done.refused:
        _line(console, "Nothing of this folder is stored; there is nothing to roll back.")


def _list(console: Console, title: str, lines: list[str]) -> None:
    if lines:
        _line(console, f"\n{title}")
    for line in lines:
        _line(console, f"  {line}")


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
