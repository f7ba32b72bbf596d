"""README, docs/reference/formats.md and ``exportd formats`` say the same of the formats.

``TEST_REGENERATE=1 pytest tests/test_format_docs.py`` writes both tables anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from conftest import Command

from exportd.containers import CONTAINERS
from exportd.formats import FORMATS

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- formats -->\n", "<!-- end of formats -->"


def _readme() -> str:
    rows = [(module.TITLE, module.DETECTED_BY) for module in FORMATS]
    rows += [(container.TITLE, container.DETECTED_BY) for container in CONTAINERS]
    lines = [f"| {title} | {by} |\n" for title, by in rows]
    return "".join(["| format | recognised by |\n", "|---|---|\n", *lines])


def _docs() -> str:
    rows = [(m.NAME, m.TITLE, m.DETECTED_BY, m.VERSIONS) for m in FORMATS]
    rows += [(c.NAME, c.TITLE, c.DETECTED_BY, "") for c in CONTAINERS]
    lines = [f"| `{name}` | {title} | {by} | {seen} |\n" for name, title, by, seen in rows]
    head = ["| name | what | recognised by | versions seen |\n", "|---|---|---|---|\n"]
    return "".join([*head, *lines])


@pytest.mark.parametrize(
    ("path", "table"), [("README.md", _readme()), ("docs/reference/formats.md", _docs())]
)
def test_the_documents_list_every_format_as_it_is(path: str, table: str) -> None:
    before, rest = (ROOT / path).read_text().split(BEGIN)
    found, after = rest.split(END)
    if "TEST_REGENERATE" in os.environ:
        (ROOT / path).write_text(f"{before}{BEGIN}{table}{END}{after}")
        return
    assert found == table, "TEST_REGENERATE=1 writes it anew"


def test_the_docs_say_of_every_format_what_identifies_a_message() -> None:
    text = (ROOT / "docs/reference/formats.md").read_text()
    identified = text.split("## What identifies a message")[1].split("\n## ")[0]
    for module in FORMATS:
        if module.NAME != "checkpoint-summary":
            assert f"| `{module.NAME}` |" in identified


def test_the_docs_say_of_every_format_what_is_read_in_the_order_of_the_table() -> None:
    text = (ROOT / "docs/reference/formats.md").read_text()
    told = text.split("## What is read of each")[1].split("\n## ")[0].split("\n### ")[1:]
    assert [one.splitlines()[0] for one in told] == [f"`{module.NAME}`" for module in FORMATS]
    assert all(one.partition("\n")[2].strip() for one in told)


def test_the_command_lists_them(exportd: Command) -> None:
    listed = json.loads(exportd("formats", "--json").stdout)
    expected = [*(module.NAME for module in FORMATS), *(one.NAME for one in CONTAINERS)]
    assert [one["name"] for one in listed] == expected
    told = exportd("formats").stdout
    assert all(f"{one['name']}: {one['title']}" in told for one in listed)
