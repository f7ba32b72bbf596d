"""Every example of README.md and docs/ runs, from the first to the last of a page.

``tests/fences.py`` tells of the comments that steer this. Each page has a scratch clone, a
database and a HOME of its own; ``exportd run`` is started beside, as in a second terminal.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from fences import LANGUAGES, ROOT, Fence, fences, pages
from page_shell import Failed, PageShell, missing_lines, page_shell

from exportd.config import setting_names

_RUN = ("sh", "python", "sql")


def _runs(page: str) -> bool:
    return any(one.language in _RUN and one.not_run is None for one in fences(page))


@pytest.mark.parametrize("page", [page for page in pages() if _runs(page)])
def test_every_example_of_a_page_runs(page: str, tmp_path: Path, database_url: str) -> None:
    told = ""
    try:
        with page_shell(tmp_path, database_url) as shell:
            _read(page, shell, database_url)
    except Failed as error:
        told = str(error)
    if told:  # not within the except: pytest would print it twice, with its traceback
        pytest.fail(told, pytrace=False)


def _read(page: str, shell: PageShell, database_url: str) -> None:
    printed = ""
    for fence in fences(page):
        for line, code in fence.setups:
            printed = shell.run(Fence(page, line, "sh", code))
        if fence.is_output:
            _compare(fence, printed)
        elif fence.not_run is not None:
            printed = ""
        elif fence.language == "sql":
            _query(fence, database_url)
        elif fence.language in _RUN:
            printed = shell.run(fence)


def _compare(fence: Fence, printed: str) -> None:
    if missing := missing_lines(fence.code, printed):
        raise Failed(
            f"{fence.where}: the example before it does not print\n\n    "
            + "\n    ".join(missing)
            + f"\n\nbut\n\n{printed}"
        )


def _query(fence: Fence, database_url: str) -> None:
    """In a transaction that is taken back: roles would be the whole server's."""
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(fence.code.replace("%", "%%"))
        except psycopg2.Error as error:
            raise Failed(f"{fence.where}: {error}\n{fence.code}") from error
        connection.rollback()


@pytest.mark.parametrize("page", pages())
def test_what_is_not_run_says_why_and_what_is_shown_is_what_it_claims(page: str) -> None:
    for fence in fences(page):
        assert fence.language in LANGUAGES, (
            f"{fence.where}: ```{fence.language}; expected one of {sorted(LANGUAGES)}"
        )
        assert fence.not_run is None or len(fence.not_run) > 5, f"{fence.where}: say why"
        assert not fence.is_output or fence.language == "text", fence.where
        if fence.in_source:
            _stands_in(fence, ROOT / fence.in_source)
        if fence.language == "toml":
            _has_only_settings(fence)
        elif fence.language == "json" and fence.not_run is None:
            for line in _documents(fence.code):
                json.loads(line)


def _stands_in(fence: Fence, source: Path) -> None:
    """Each part of the message, between what differs, is in a string of that module."""
    strings = "\n".join(_strings(ast.parse(source.read_text(encoding="utf-8"))))
    for part in filter(None, map(str.strip, re.split(r"…|\n", fence.code))):
        assert part in strings, f"{fence.where}: {fence.in_source} does not say {part!r}"


def _strings(tree: ast.AST) -> Iterator[str]:
    """Whole, however they are wrapped; what is put into them is "…"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(one.value) if isinstance(one, ast.Constant) else "…" for one in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _has_only_settings(fence: Fence) -> None:
    for key, value in tomllib.loads(fence.code).items():
        names = {f"{key}.{name}" for name in value} if isinstance(value, dict) else {key}
        assert names <= set(setting_names()), f"{fence.where}: {names}"


def _documents(code: str) -> list[str]:
    """One object, or one for each line."""
    lines = code.splitlines()
    return (
        lines if all(line.startswith("{") and line.endswith("}") for line in lines) else [code]
    )
