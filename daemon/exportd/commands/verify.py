"""``exportd verify``: prove that nothing is lost and nothing was changed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import asdict

import click

from .. import reindex, verify
from ..alerts.rules import RULES
from ..checks.facts import Finding, Weight
from ..errors import DiskTrouble, ExportdError, RefusedRequest
from ..folders import Folders
from ..formats.text import escape, printable
from ..lifecycle import database, held
from ..limits import Limits
from ..render.verification import verification_report
from ..render.wording import some
from ..settings import Settings
from ..store import NewAlert, Store, discard_staging, sole_staging, staging_url
from ..workplace import limits
from .terminal import bar


@click.command("verify")
@click.option(
    "--deep", is_flag=True, help="Also build everything from the archive anew, and compare."
)
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON.")
@click.pass_obj
def command(settings: Settings, *, deep: bool, as_json: bool) -> int:
    """Check archive against database.

    Every archived file has the bytes that were ingested, each byte accounted for; every
    message of every file stands in the database at its place, and nothing else does;
    counts, indices and watermarks are right. A daemon may run meanwhile, but for --deep,
    which proves that the archive alone gives the same conversations, names included: stop
    it first (exit code 73 otherwise).

    \b
    exportd verify
    exportd verify --deep
    exportd verify --json | jq '.findings[] | .kind'

    Exit code 65: damage was found; every finding says what to do. Counted are exports,
    empty ones included, and the containers that some of them came in.
    """
    folders = Folders(settings.memory_dir.absolute())
    started = time.monotonic()
    if deep:
        folders.create()
    with (
        held(folders) if deep else nullcontext(),
        database(settings, folders) as found,
        sole_staging(found.url) if deep else nullcontext(),
        closing(Store(found.url)) as store,
        closing(Store(found.url)) as live,
        bar("verify") as progress,
    ):
        alone = settings.database.url is None
        most = limits(settings)
        done = verify.verify(store, live, folders, progress, alone=alone, bounds=most.bounds)
        refused: ExportdError | None = None
        if deep:
            try:
                done.findings += _deep(found.url, store, folders, progress, most)
            except (RefusedRequest, DiskTrouble) as error:
                refused = error
            done.findings.sort(key=lambda finding: finding.severity is Weight.NOTE)
        _tell(live, folders, done)
    duration_s = time.monotonic() - started
    click.echo(_json(done, duration_s) if as_json else _text(done, duration_s), nl=as_json)
    if refused is not None and not done.damages:
        raise refused
    return os.EX_DATAERR if done.damages else 0


def _tell(store: Store, folders: Folders, done: verify.Verification) -> None:
    """Damage is an alert; the daemon's relay sends it. No damage ends one."""
    memory_dir = escape(str(folders.memory))
    if done.damages:
        places = some(done.damages, "damaged place")
        body = f"exportd verify found {places}; the first: {_first(done.findings[0])}"
        rule = RULES["damage"]
        alert = NewAlert(rule.kind, rule.severity, body, memory_dir, memory_dir)
        store.run(lambda tx: tx.alert(alert))
    else:
        over = "exportd verify found no damage"
        store.run(lambda tx: tx.resolve_alert("damage", memory_dir, over))


def _first(finding: Finding) -> str:
    what = finding.kind.replace("_", " ")
    where = finding.file or finding.conversation_id
    return f"{what} ({printable(where)})" if where else what


def _deep(
    url: str, store: Store, folders: Folders, progress: verify.Progress, most: Limits
) -> Iterator[Finding]:
    """What the archive alone would give otherwise; nothing stored is touched.

    ``RefusedRequest`` when exports of the database are not in this archive, and
    ``DiskTrouble`` when one cannot be read.
    """
    contents = reindex.inventory(folders, store)
    count = iter(range(1, len(contents) + 1))
    reindex.rebuild(
        url, contents, folders, store, lambda: progress(next(count), len(contents)), most
    )
    staging = Store(staging_url(url))
    # The same messages, only named or ordered otherwise: nothing is lost or doubled.
    same = store.content_digest() == staging.content_digest()
    for difference in reindex.differences(store, staging):
        yield Finding(
            Weight.NOTE if same else Weight.DAMAGE,
            "rebuilt_otherwise",
            expected=f"{difference.after} messages, as the archive gives them",
            found=f"{difference.before} messages; {difference.what}",
            what_to_do="see what other findings say of it; exportd reindex puts it right",
            conversation_id=difference.conversation_id,
        )
    staging.close()
    discard_staging(url)


def _json(done: verify.Verification, duration_s: float) -> str:
    facts = {
        "healthy": not done.damages,
        "checked": {**done.checked, "duration_s": round(duration_s, 3)},
        "bytes": done.bytes,
        "not_checked": done.not_checked,
        "findings": [asdict(finding) for finding in done.findings],
    }
    return json.dumps(facts, ensure_ascii=False)


def _text(done: verify.Verification, duration_s: float) -> str:
    return verification_report(
        done.findings, done.checked, done.bytes, done.not_checked, duration_s
    )
