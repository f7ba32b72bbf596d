"""``exportd check-config``: the settings in force, or everything wrong with them."""

from __future__ import annotations

import click

from ..config import Settings, setting_names, variable


@click.command("check-config")
@click.pass_obj
def command(settings: Settings) -> int:
    """Print every setting that is in force; exit 78 when one is unknown or wrong."""
    values = settings.model_dump()
    for name in setting_names():
        value = values
        for part in name.split("."):
            value = value[part]
        click.echo(f"{name} = {value!s}  ({variable(name)})")
    return 0
