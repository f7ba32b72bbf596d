"""``exportd archive``: pack old files of the archive, and read any of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import click

from ..errors import RefusedRequest
from ..folders import Folders
from ..formats.text import escape, printable
from ..housekeeping import LEAST_BYTES, not_packable, packable
from ..lifecycle import database, held
from ..packing import Packed, Packing
from ..render.wording import size, some
from ..settings import Settings
from ..store import Store
from ..store import checking as read
from ..whereabouts import Amiss, Whereabouts
from .terminal import bar

_MOST_SHOWN = 20


@click.group("archive")
def command() -> None:
    """Pack old files of exports-archive/, and read any of them.

    \b
    exportd archive compress --older-than 90 --dry-run
    exportd archive cat 2026-01-12-EXPORT-GARDEN-PLANNER.txt

    With compress_after in the settings the daemon packs by itself, once a day.
    """


@command.command("compress")
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(0, 36_500),
    metavar="DAYS",
    help="Archived so many days ago [default: compress_after of the settings].",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be packed.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
@click.pass_obj
def compress(settings: Settings, *, days: float | None, dry_run: bool, as_json: bool) -> int:
    """Pack archived files with zstd, as NAME.zst.

    \b
    exportd archive compress --older-than 90
    exportd archive compress --older-than 0 --json

    Everything reads a packed file as before, and `zstd -d` unpacks it. The packed bytes are
    compared with the file before it goes. Zip and gzip files, and small ones, stay as they
    are. No daemon may work in the memory folder meanwhile (73).
    """
    days = settings.compress_after or None if days is None else days
    if days is None:
        raise click.UsageError("expected --older-than DAYS, or compress_after in the settings")
    with _store(settings) as (folders, store):
        all_due = packable(store, days)
        due = [one for one in all_due if (folders.archive / one[0]).is_file()]
        small, came_packed = not_packable(store, days)
        done = [Packed(name, size_bytes) for name, _, size_bytes in due]
        if not dry_run:
            with held(folders), bar("Packing") as show:
                done = list(_packed(Packing(folders.archive), due, show))
    report = _report(done, days, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
    else:
        click.echo(_text(report, small, came_packed + len(all_due) - len(due)))
    return 0


@command.command("cat")
@click.argument("name", metavar="NAME|SHA256")
@click.pass_obj
def cat(settings: Settings, *, name: str) -> int:
    """Write the bytes of an export to stdout, as they were dropped.

    \b
    exportd archive cat 2026-01-12-EXPORT-GARDEN-PLANNER.txt > garden.txt
    exportd archive cat 7cde32bb9f7f > garden.txt

    Packed or not, and also what lies inside of a zip or a list of conversations. NAME as it
    was dropped or is archived, or the SHA-256, of which the first eight digits will do.
    """
    with _store(settings) as (folders, store):
        found = store.run(lambda tx: tx.rows("contents_called", name=escape(name)))
        if len(found) != 1:
            raise RefusedRequest(_not_one(name, found))
        export = store.run(lambda tx: read.read_content(tx.rows, found[0][0]))
        if export is None:
            raise RefusedRequest(f"{printable(name)} is gone meanwhile")
        places = Whereabouts(folders, store, alone=settings.database.url is None)
        raw = places.bytes_of(export)
        if isinstance(raw, Amiss):
            raise RefusedRequest(f"{printable(raw.file)}: {printable(raw.found)}")
    sys.stdout.buffer.write(raw)
    sys.stdout.buffer.flush()
    return 0


@contextmanager
def _store(settings: Settings) -> Iterator[tuple[Folders, Store]]:
    folders = Folders(settings.memory_dir.absolute())
    with database(settings, folders) as found, closing(Store(found.url)) as store:
        yield folders, store


def _packed(packing: Packing, due: list[tuple[str, str, int]], show: Any) -> Iterator[Packed]:
    for number, (name, sha256, _) in enumerate(due, start=1):
        if done := packing.pack(name, sha256):
            yield done
        show(number, len(due))


def _report(done: list[Packed], days: float, *, dry_run: bool) -> dict[str, Any]:
    packed = [one for one in done if not one.why_not]
    return {
        "dry_run": dry_run,
        "older_than_days": days,
        "packed": [
            {
                "name": escape(one.name),
                "before_bytes": one.before_bytes,
                "after_bytes": None if dry_run else one.after_bytes,
            }
            for one in packed
        ],
        "not_packed": [
            {"name": escape(one.name), "reason": escape(one.why_not)}
            for one in done
            if one.why_not
        ],
        "before_bytes": sum(one.before_bytes for one in packed),
        "after_bytes": None if dry_run else sum(one.after_bytes for one in packed),
    }


def _text(report: dict[str, Any], small: int, packed_before: int) -> str:
    packed, left = report["packed"], report["not_packed"]
    before, after = report["before_bytes"], report["after_bytes"]
    lines = [f"  {printable(one['name'])}  {size(one['before_bytes'])}" for one in packed]
    more = len(lines) - _MOST_SHOWN
    lines = [*lines[:_MOST_SHOWN], *([f"  … and {more:,} more"] if more > 0 else [])]
    lines += [f"  not {printable(one['name'])}: {printable(one['reason'])}" for one in left]
    if not packed:
        told = _nothing(report["older_than_days"], len(left), small, packed_before)
    elif after is None:
        told = f"{some(len(packed), 'file')}, {size(before)}, would be packed (--dry-run)."
    else:
        told = (
            f"{some(len(packed), 'file')} packed: {size(before)} became {size(after)}, "
            f"{before / max(after, 1):.1f} times smaller."
        )
    return "\n".join([*lines, told])


def _nothing(days: float, left: int, small: int, packed_before: int) -> str:
    """Why nothing is packed, by how many files; ``left`` are told one by one."""
    counts = [f"{some(small, 'file')} smaller than {LEAST_BYTES:,} bytes"] if small else []
    counts += [f"{some(packed_before, 'file')} packed already"] if packed_before else []
    if not counts and not left:
        return f"Nothing to pack: no file that is older than {days:g} days."
    what = f" Left as they are: {', '.join(counts)}." if counts else ""
    return f"Nothing to pack that is older than {days:g} days.{what}"


def _not_one(name: str, found: list[tuple[Any, ...]]) -> str:
    if not found:
        return f"no export is called {printable(name)}, or has such a SHA-256"
    which = ", ".join(sha256[:12] for sha256, _ in found[:_MOST_SHOWN])
    return f"{len(found)} exports are called {printable(name)}; say which: {which}"
