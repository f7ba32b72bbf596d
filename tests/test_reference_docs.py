"""The reference says what the program is; ``TEST_REGENERATE=1 pytest`` of this file writes it.

The schema is that of a migrated database, the metrics those of a daemon's own registry.
"""

from __future__ import annotations

import difflib
import os
import threading

import click
import pytest
from pages import DOCS, commands, exit_codes, fates, index, json_output, schema
from pages import metrics as metrics_docs
from pages import settings as settings_docs

from exportd.models import Fate, Report
from exportd.secret_files import variable
from exportd.service import Service
from exportd.settings import Settings
from exportd.workplace import workplace


def _is_as(name: str, expected: str, *, marks: str | None = None) -> None:
    """The page has this text, between two marks where they are named."""
    path = DOCS / name
    before = after = ""
    found = path.read_text() if path.exists() else ""
    if marks:
        before, _, rest = found.partition(f"<!-- {marks} -->\n")
        found, _, after = rest.partition(f"<!-- end of {marks} -->\n")
        before += f"<!-- {marks} -->\n"
        after = f"<!-- end of {marks} -->\n{after}"
    if "TEST_REGENERATE" in os.environ:
        path.write_text(f"{before}{expected}{after}")
        return
    if found != expected:
        pair = (found.splitlines(), expected.splitlines())
        changed = "\n".join(difflib.unified_diff(*pair, "page", "program", lineterm="", n=1))
        pytest.fail(f"docs/{name}: TEST_REGENERATE=1 writes it anew\n{changed}", pytrace=False)


def test_every_command_is_told_with_all_of_its_options() -> None:
    for name, command in commands.all_commands():
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.opts[-1]} has no help"
    _is_as("reference/commands.md", commands.commands_page())


def test_every_setting_is_told_with_its_variable_and_default() -> None:
    page = settings_docs.settings_page()
    for name in settings_docs.all_settings():
        assert f"`{variable(name)}`" in page, f"config.example.toml has no {name}"
    _is_as("reference/settings.md", page)


def test_every_metric_of_a_daemon_is_told(settings: Settings) -> None:
    with workplace(settings, threading.Event()) as place:
        metrics = Service(place)._metrics
        for fate in Fate:
            metrics.note(Report("a.txt", fate))
        page = metrics_docs.metrics_page(metrics.registry)
    _is_as("reference/metrics.md", page)


def test_every_table_and_column_is_told_and_says_what_it_holds(database_url: str) -> None:
    assert schema.undescribed(database_url) == [], "add COMMENT ON … to the migration"
    _is_as("reference/schema.md", schema.schema_page(database_url))


def test_every_schema_of_what_is_printed_as_json_is_told() -> None:
    for name, found in json_output.all_schemas().items():
        for path, _, what in json_output._properties(found, found):
            assert what, f"{name}.schema.json: {path} has no description"
    _is_as("reference/json.md", json_output.json_page())


def test_every_fate_and_error_is_told() -> None:
    _is_as("reference/fates.md", fates.fates_page())


def test_every_exit_code_is_told() -> None:
    _is_as("reference/exit-codes.md", exit_codes.exit_codes_page())


def test_the_index_lists_every_page() -> None:
    _is_as("index.md", index.index_part(), marks="pages")
    text = (DOCS / "index.md").read_text()
    assert all(f"]({page.name})" in text for page in DOCS.glob("*.md") if page.stem != "index")
