"""The manual page exportd(1), from the help of the commands: roff with the macros of man(7)."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from datetime import date
from textwrap import wrap

import click

from ..exit_codes import EXIT_CODES

_VERBATIM = "\b"  # click's mark on a paragraph whose lines stay as they are

_ENVIRONMENT = (
    ("EXPORTD_CONFIG", "The settings file, where --config names none."),
    ("EXPORTD_…", "Any setting; 'exportd check-config' lists them. Wins over the file."),
    ("NO_COLOR", "When it is not empty, nothing is coloured."),
    ("PAGER", "Shows what is long, on a terminal."),
)
_FILES = (
    ("exportd.toml", "Settings, in the folder that exportd is called from."),
    ("MEMORY-CONTEXT/exports/", "The drop folder."),
    ("MEMORY-CONTEXT/exports-archive/", "Every file that was ingested, byte for byte."),
    ("MEMORY-CONTEXT/exports-failed/", "What could not be ingested, with the reason."),
    ("MEMORY-CONTEXT/sessions/", "One Markdown file per conversation."),
    ("MEMORY-CONTEXT/export-dedup-status.txt", "A report on every batch."),
)


def manual(root: click.Command, version: str, day: date) -> str:
    """The whole page; ``root`` is the group of all commands."""
    context = click.Context(root, info_name="exportd")
    summary, *paragraphs = _paragraphs(root)
    lines = [
        ".nr HY 0",  # names of files and options stay whole
        f'.TH EXPORTD 1 "{day.isoformat()}" "exportd {version}" "User commands"',
        ".ad l",
        ".SH NAME",
        f"exportd \\- {_text(summary.rstrip('.'))}",
        ".SH SYNOPSIS",
        *_usage(context),
        ".SH DESCRIPTION",
        *_body(paragraphs),
        ".SH OPTIONS",
        *_options(context),
        ".SH COMMANDS",
        *_commands(context),
        ".SH EXIT STATUS",
        *_list(
            (str(code.number), f"{code.name} {code.meaning}".strip()) for code in EXIT_CODES
        ),
        ".SH ENVIRONMENT",
        *_list(_ENVIRONMENT),
        ".SH FILES",
        *_list(_FILES),
    ]
    return "\n".join(lines) + "\n"


def _commands(parent: click.Context) -> Iterator[str]:
    """Each command of the group, and of the groups in it, in the order of --help."""
    for context in _children(parent):
        command = context.command
        yield f".SS {_text(context.command_path)}"
        yield from _usage(context)
        yield ".PP"
        yield from _body(_paragraphs(command))
        yield from _options(context)
        yield from _commands(context)


def _children(parent: click.Context) -> Iterator[click.Context]:
    """None of a command that is no group."""
    if isinstance(group := parent.command, click.Group):
        for name in group.list_commands(parent):
            if (command := group.get_command(parent, name)) and not command.hidden:
                yield click.Context(command, info_name=name, parent=parent)


def _usage(context: click.Context) -> Iterator[str]:
    yield f".B {_text(context.command_path)}"
    yield _text(" ".join(context.command.collect_usage_pieces(context)))


def _options(context: click.Context) -> Iterator[str]:
    """All but --help, which every command has."""
    options = [
        one for one in context.command.get_params(context) if isinstance(one, click.Option)
    ]
    records = [one.get_help_record(context) for one in options if "--help" not in one.opts]
    yield from _list(filter(None, records))


def _paragraphs(command: click.Command) -> list[str]:
    text = inspect.cleandoc(command.help or "").partition("\f")[0]
    return [paragraph for paragraph in text.split("\n\n") if paragraph.strip()]


def _body(paragraphs: list[str]) -> Iterator[str]:
    for number, paragraph in enumerate(paragraphs):
        if number:
            yield ".PP"
        if paragraph.startswith(_VERBATIM):
            yield from (".RS 2", ".EX")
            yield from map(_text, paragraph.removeprefix(_VERBATIM).strip("\n").split("\n"))
            yield from (".EE", ".RE")
        else:
            yield from _filled(paragraph)


def _list(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, what in items:
        yield ".TP"
        yield f".B {_text(name)}"
        yield from _filled(what)


def _filled(text: str) -> Iterator[str]:
    """Source lines that an editor shows; roff fills them anew."""
    return map(_text, wrap(text, 72, break_long_words=False, break_on_hyphens=False))


def _text(line: str) -> str:
    """A line that roff takes for text: no request, no escape, hyphens as typed."""
    escaped = line.rstrip().replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    plain = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in escaped)
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain
