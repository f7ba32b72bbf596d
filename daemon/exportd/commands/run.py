"""``exportd run``: the daemon, or one drain of the folder."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from ..lifecycle import stop_on_signals
from ..models import Report
from ..once import run_once
from ..settings import Settings
from ..workplace import workplace


@click.command("run")
@click.option("--once", is_flag=True, help="Ingest what waits, print the report and exit.")
@click.option("--json", "as_json", is_flag=True, help="With --once: the report as JSON.")
@click.pass_obj
def command(settings: Settings, *, once: bool, as_json: bool) -> int:
    """Watch the drop folder and ingest what arrives.

    The daemon ends on SIGTERM or Ctrl-C, after the file in hand.

    \b
    exportd run          the daemon
    exportd run --once   drain the folder; 0: every file met its fate, dead letters
                         included; 75: something had to be deferred
    """
    if as_json and not once:
        raise click.UsageError("--json goes with --once")
    with workplace(settings, stop_on_signals()) as place:
        if not once:
            # Not on top: the metrics alone take a tenth of a second that others need not wait.
            from ..service import Service  # noqa: PLC0415

            return Service(place).run()
        code, reports, text = run_once(place)
    click.echo(_json(reports) if as_json else text, nl=as_json)
    return code


def _json(reports: list[Report]) -> str:
    return json.dumps({"files": [asdict(report) for report in reports]}, ensure_ascii=False)
