"""``exportd formats``: what is read, and by what it is recognised."""

from __future__ import annotations

import json

import click

from ..containers import CONTAINERS
from ..formats import FORMATS


@click.command("formats")
@click.option("--json", "as_json", is_flag=True, help="As a JSON list.")
def command(*, as_json: bool) -> int:
    """List the formats, and by what each is recognised.

    \b
    exportd formats
    exportd formats --json | jq -r '.[].name'
    """
    found = [
        {
            "name": module.NAME,
            "title": module.TITLE,
            "detected_by": module.DETECTED_BY,
            "versions": module.VERSIONS,
        }
        for module in FORMATS
    ]
    found += [
        {"name": c.NAME, "title": c.TITLE, "detected_by": c.DETECTED_BY, "versions": ""}
        for c in CONTAINERS
    ]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return 0
    for one in found:
        click.echo(f"{one['name']}: {one['title']}")
        click.echo(f"    recognised by {one['detected_by']}")
        if one["versions"]:
            click.echo(f"    versions seen: {one['versions']}")
    return 0
