"""Pages speak of commands and options that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from fences import ROOT, fences, pages

from exportd.cli import cli

_SPAN = re.compile(r"(?<!`)`(exportd [^`\n]+)`(?!`)")
# At the beginning, behind another command or a variable, or by its path.
_TYPED = re.compile(r"(?:^\s*|[;|(] ?|&& |/bin/|^\s*\w+=\S+ )(exportd [^/\"'].*)")
_END = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>&1", "#", "…"}


def _lines(page: str) -> Iterator[tuple[str, str]]:
    """Where, and what somebody may type: in code that is set apart, and within a line."""
    shown = list(fences(page))
    for fence in shown:
        if fence.language == "sh" and not (fence.not_run or "").startswith(
            "there is no exportd"
        ):
            for number, line in enumerate(fence.code.replace("\\\n", " ").splitlines()):
                if match := _TYPED.search(line):
                    yield f"{page}:{fence.line + number}", match[1]
    text = re.sub(
        r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL
    )
    for match in _SPAN.finditer(text):
        yield f"{page}: `{match[1]}`", match[1]


def _words(line: str) -> list[str]:
    """Up to where the command ends; options as they are named, ``--a|--b`` as two."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a quote that ends on another line
        words = line.split()
    end = next((n for n, word in enumerate(words) if word in _END), len(words))
    return words[1:end]


def _problem(words: list[str]) -> str | None:
    group: click.Command = cli
    known = _options(cli)
    takes_value = False
    for word in words:
        if word.startswith("--"):
            option = known.get(word.partition("=")[0].rstrip(",.;:"))
            if option is None:
                return f"there is no option {word}"
            takes_value = not option.is_flag and "=" not in word
        elif takes_value:
            takes_value = False
        elif isinstance(group, click.Group) and re.fullmatch(r"[a-z][a-z|-]*", word):
            for name in word.split("|"):
                found = group.get_command(click.Context(group), name)
                if found is None:
                    return f"there is no command {name}"
            assert found is not None
            group = found
            known = {**known, **_options(group)}
    return None


def _options(command: click.Command) -> dict[str, click.Option]:
    found = [one for one in command.params if isinstance(one, click.Option)]
    return {
        "--help": click.Option(["--help"], is_flag=True),
        **{name: one for one in found for name in (*one.opts, *one.secondary_opts)},
    }


@pytest.mark.parametrize("page", [*pages(), "CONTRIBUTING.md"])
def test_commands_and_options_that_a_page_names_are_there(page: str) -> None:
    for where, line in _lines(page):
        problem = _problem(_words(line))
        assert problem is None, f"{where}: {problem}\n    {line}"
