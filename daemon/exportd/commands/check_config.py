"""``exportd check-config``: the settings in force, or everything wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import click
from pydantic import SecretStr

from ..config import setting_names, sources
from ..settings import Settings

_HIDDEN = "…"


@click.command("check-config")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> int:
    """Print the settings in force, each with its origin.

    Passwords and tokens are not shown. Exit code 78: something is wrong; all that is, is
    named.

    \b
    exportd check-config
    exportd check-config | grep alerts
    exportd --config other.toml check-config
    """
    settings: Settings = ctx.obj
    _ = settings.memory_dir  # wrong settings are told here, before their origin is looked for
    parent = ctx.parent.params if ctx.parent else {}
    found = sources(parent.get("config"))
    if parent.get("memory_dir"):
        found["memory_dir"] = "--memory-dir"
    values = {name: _value(settings, name) for name in setting_names()}
    if as_json:
        records = {
            name: {"value": _plain(name, value), "origin": found[name]}
            for name, value in values.items()
        }
        click.echo(json.dumps({"settings": records}, ensure_ascii=False))
        return 0
    for name, value in values.items():
        click.echo(_line(name, value, found[name]))
    return 0


def _line(name: str, value: object, origin: str) -> str:
    """As TOML has it; what is not shown whole is a comment, which may be pasted back."""
    if value is None:
        return f"{name} = not set  # {origin}"
    shown = _plain(name, value)
    if not isinstance(value, SecretStr) or shown == value.get_secret_value():
        return f"{name} = {json.dumps(shown)}  # {origin}"
    if shown == _HIDDEN:
        return f"# {name} = (set, from {origin}; not shown)"
    return f"# {name} = {json.dumps(shown)}  # {origin}; its password is not shown"


def _value(settings: Settings, name: str) -> object:
    value: object = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _plain(name: str, value: object) -> object:
    """For JSON, which is also how TOML writes it; a secret is not shown.

    Of the database's URL all but the password; that of a webhook is a secret as a whole.
    """
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, SecretStr):
        shown = _without_password if name == "database.url" else _hidden
        return shown(value.get_secret_value())
    return value


def _hidden(_: str) -> str:
    return _HIDDEN


def _without_password(url: str) -> str:
    """A URL was checked and has its password in one place; a key=value form is not shown."""
    if "://" not in url or "passw" in url.partition("?")[2]:
        return _HIDDEN
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{name}@{host}" if user else host))
