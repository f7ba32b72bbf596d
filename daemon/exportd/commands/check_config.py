"""``exportd check-config``: the settings in force, or everything wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import click
from pydantic import SecretStr

from ..config import setting_names, sources
from ..settings import Settings


@click.command("check-config")
@click.pass_context
def command(ctx: click.Context) -> int:
    """Print the settings in force.

    Each with where it comes from; exit 78 when one is wrong, with all that is.
    """
    settings: Settings = ctx.obj
    parent = ctx.parent.params if ctx.parent else {}
    found = sources(parent.get("config"))
    if parent.get("memory_dir"):
        found["memory_dir"] = "--memory-dir"
    for name in setting_names():
        value: object = settings
        for part in name.split("."):
            value = getattr(value, part)
        click.echo(f"{name} = {_shown(value)}  # {found[name]}")
    return 0


def _shown(value: object) -> str:
    """A value as TOML writes it; of a URL everything but the password."""
    if isinstance(value, Path):
        return json.dumps(str(value.absolute()))
    if isinstance(value, SecretStr):
        return json.dumps(_without_password(value.get_secret_value()))
    return "not set" if value is None else json.dumps(value)


def _without_password(url: str) -> str:
    """A URL was checked and has its password in one place; a key=value form is not shown."""
    if "://" not in url or "passw" in url.partition("?")[2]:
        return "…"
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{name}@{host}" if user else host))
