"""``exportd completion``: the script by which a shell completes commands."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

_SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
_VARIABLE = "_EXPORTD_COMPLETE"  # what click looks for when the shell asks


@click.command("completion")
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@click.pass_context
def command(ctx: click.Context, *, shell: str) -> int:
    """Print the script that completes exportd in your shell.

    Commands, options and their values are completed, and the ids of conversations, as the
    sessions/ folder has them; the database is not asked.

    \b
    eval "$(exportd completion bash)"    in this shell alone; or in ~/.bashrc
    eval "$(exportd completion zsh)"     likewise, in ~/.zshrc behind compinit
    exportd completion fish | source     likewise

    Or once for all shells to come, bash, zsh (a folder of $fpath) and fish:

    \b
    cd ~/.local/share/bash-completion/completions
    exportd completion bash > exportd
    exportd completion zsh > ~/.zfunc/_exportd
    exportd completion fish > ~/.config/fish/completions/exportd.fish
    """
    script = _SHELLS[shell](ctx.find_root().command, {}, "exportd", _VARIABLE)
    click.echo(script.source(), nl=False)
    return 0
