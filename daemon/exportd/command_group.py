"""The group of all commands: loads each when it is asked for, lists them by purpose."""

from __future__ import annotations

from importlib import import_module

import click

from .commands import COMMANDS, by_purpose
from .exit_codes import EXIT_CODES

_WHOLE = 1000  # characters of a summary; what does not fit on a line is wrapped, not cut


class Commands(click.Group):
    """Loads a command's module when it is asked for: all together take half a second."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's
        return [name for _, names in by_purpose() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f".commands.{cmd_name.replace('-', '_')}", __package__)
        found: click.Command = module.command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A section for each purpose, with names in columns of one width."""
        width = max(map(len, COMMANDS))
        for purpose, names in by_purpose():
            with formatter.section(purpose):
                formatter.write_dl(
                    [(f"{name:<{width}}", self._told(ctx, name)) for name in names]
                )

    def _told(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        return command.get_short_help_str(_WHOLE) if command else ""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Exit codes"):
            formatter.write_dl([(f"{code.number:<3}", code.meaning) for code in EXIT_CODES])
