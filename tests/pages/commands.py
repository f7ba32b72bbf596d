"""docs/reference/commands.md: every command and option, from click."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from exportd.cli import cli

from . import DOCS, code, page, prose, table


def all_commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and subcommand by its full name, in the order of --help."""
    yield from _below("exportd", cli)


def _below(name: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for one in group.list_commands(context):
        command = group.get_command(context, one)
        assert command is not None, one
        if command.hidden:
            continue
        yield f"{name} {one}", command
        if isinstance(command, click.Group):
            yield from _below(f"{name} {one}", command)


def commands_page() -> str:
    found = list(all_commands())
    overview = [
        (f"[`{name}`](#{_anchor(name)})", _first_line(command)) for name, command in found
    ]
    return page(
        "Commands",
        "Every command with all of its options, as `--help` tells it. `-h` and `--help` "
        f"work everywhere. What an exit code means: {_exit_codes()}.\n",
        table(("command", "what it does"), overview),
        "\n## `exportd`\n\n",
        _described(cli),
        "These options come before the command:\n\n",
        _options(cli),
        *(_command(name, command) for name, command in found),
    )


def _exit_codes() -> str:
    page = DOCS / "reference" / "exit-codes.md"
    return "[exit codes](exit-codes.md)" if page.exists() else "[errors](fates.md#errors)"


def _anchor(name: str) -> str:
    return re.sub(r"[^\w-]", "", name.lower().replace(" ", "-"))


def _first_line(command: click.Command) -> str:
    text = inspect.cleandoc(command.help or "").partition("\n\n")[0]
    return prose(text.partition(";")[0] if len(text) > 96 else text)


def _command(name: str, command: click.Command) -> str:
    level = "##" if name.count(" ") == 1 else "###"
    usage = " ".join([name, *_usage(command)])
    told = f"```text\n{usage}\n```\n\n{_described(command)}{_options(command)}"
    return f"\n{level} `{name}`\n\n{told.rstrip()}\n"


def _usage(command: click.Command) -> Iterator[str]:
    if any(isinstance(one, click.Option) and not one.required for one in command.params):
        yield "[OPTIONS]"
    for one in command.params:
        if isinstance(one, click.Option) and one.required:
            yield f"{one.opts[-1]} {_value(one)}".rstrip()
    for one in command.params:
        if isinstance(one, click.Argument):
            name = one.metavar or (one.name or "").upper() + ("…" if one.nargs == -1 else "")
            name = name.replace("...", "…")
            yield name if one.required or name.startswith("[") else f"[{name}]"
    if isinstance(command, click.Group):
        yield "COMMAND"


def _described(command: click.Command) -> str:
    """The help: paragraphs as they are, what stands behind ``\\b`` as it is laid out."""
    parts = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            parts.append(f"```text\n{paragraph.removeprefix(chr(8)).strip()}\n```\n\n")
        else:
            parts.append(f"{prose(paragraph)}\n\n")
    return "".join(parts)


def _options(command: click.Command) -> str:
    body = [
        (_names(one), prose(_help(one)))
        for one in command.params
        if isinstance(one, click.Option) and not one.hidden and "--help" not in one.opts
    ]
    return table(("option", "what"), body) if body else ""


def _names(option: click.Option) -> str:
    value = _value(option)
    names = [*option.opts, *option.secondary_opts]
    return ", ".join(code(f"{name} {value}".strip()) for name in names)


def _value(option: click.Option) -> str:
    if option.is_flag or option.count:
        return ""
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        # What grows with the program (rules, formats) has a page of its own.
        few = len(option.type.choices) <= 8
        return "|".join(map(str, option.type.choices)) if few else "NAME"
    if isinstance(option.type, (click.IntRange, click.FloatRange)) or option.type in (
        click.INT,
        click.FLOAT,
    ):
        return "NUMBER"
    if isinstance(option.type, click.Path):
        return "DIR" if not option.type.file_okay else "FILE"
    return "TEXT"


def _help(option: click.Option) -> str:
    text = option.help or ""
    if option.show_default and not option.is_flag and option.default is not None:
        text += f" [default: {option.default}]"
    if option.required:
        text += " [required]"
    return text.strip()
