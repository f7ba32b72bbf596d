"""``exportd run``: the daemon, or one drain of the folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import click

from ..errors import DatabaseUnavailable
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

    The daemon ends on SIGTERM or Ctrl-C, after the file in hand; SIGHUP opens log_file
    anew, or ends it too where the log goes to a terminal. Settings come from
    exportd.toml and EXPORTD_…; 'exportd check-config' prints them all.

    \b
    exportd run                the daemon
    exportd run --once         drain the folder and print the report
    exportd run --once --json | jq -r '.files[] | .fate + " " + .name'

    Exit codes of --once: 0 when every file met its fate, dead letters included; 75 when
    something had to be deferred.
    """
    if as_json and not once:
        raise click.UsageError("--json goes with --once")
    stopping = stop_on_signals()
    try:
        with workplace(settings, stopping) as place:
            if not once:
                # Not on top: the metrics alone take a tenth of a second, for others in vain.
                from ..service import Service  # noqa: PLC0415

                return Service(place).run()
            code, reports, text = run_once(place)
    except DatabaseUnavailable:
        if once or not stopping.is_set():
            raise
        return os.EX_OK  # stopped while the embedded server started, as it was told
    click.echo(_json(reports) if as_json else text, nl=as_json)
    return code


def _json(reports: list[Report]) -> str:
    return json.dumps({"files": [asdict(report) for report in reports]}, ensure_ascii=False)
