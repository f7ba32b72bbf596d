"""The direction of imports, as CONTRIBUTING tells it; read from the source itself."""

from __future__ import annotations

import ast
from pathlib import Path

import click
import pytest

import exportd
from exportd.cli import cli
from exportd.commands import COMMANDS

PACKAGE = Path(exportd.__file__).parent
CORE = {
    "alerts", "alignment", "anomalies", "arrivals", "checks", "claude_settings", "containers",
    "cures", "dumped", "errors", "exit_codes", "fingerprint", "formats", "growth", "identity",
    "json_edit", "likeness", "listed", "models", "origin", "overview", "placement",
    "purge_plan", "render", "reports", "risk", "search", "standing", "statistics",
    "suggestions", "taken", "tasks",
}  # fmt: skip
RIM = {
    "archive", "archived", "channels", "earlier_state", "embedded", "failed", "intake",
    "manifest", "packing", "project", "repository", "spool", "statuslog", "store", "watcher",
}  # fmt: skip
# What a value-in, value-out module has no use for.
IMPURE = {
    "datetime.now", "logging", "os", "pathlib", "psycopg2", "random", "socket", "structlog",
    "subprocess", "time", "uuid",
}  # fmt: skip
# Names and errors that every module may use; no state, no effect.
SHARED = {
    "alerts",
    "crash",
    "cures",
    "errors",
    "models",
    "folders",
    "formats",
    "growth",
    "identity",
    "placement",
    "log",
}


def _modules() -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        top = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        found.setdefault(top, []).append(path)
    return found


def _imports(path: Path) -> set[str]:
    """Foreign modules by name, our own as ``.name`` of the top level of the package."""
    depth = len(path.relative_to(PACKAGE).parts) - 1
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.level == depth + 1:
            targets = [node.module] if node.module else [alias.name for alias in node.names]
            names |= {f".{target.split('.')[0]}" for target in targets if target}
    return names


@pytest.mark.parametrize("module", sorted(CORE))
def test_the_core_is_pure(module: str) -> None:
    for path in _modules()[module]:
        imported = _imports(path)
        assert not imported & IMPURE, path
        assert {name for name in imported if name.startswith(".")} <= {f".{m}" for m in CORE}, (
            path
        )


@pytest.mark.parametrize("module", sorted(RIM))
def test_rim_modules_do_not_import_each_other(module: str) -> None:
    for path in _modules()[module]:
        others = {f".{name}" for name in RIM - {module}}
        assert not _imports(path) & others, path


def test_only_the_store_imports_psycopg2() -> None:
    importers = {
        name
        for name, paths in _modules().items()
        if any("psycopg2" in _imports(p) for p in paths)
    }
    assert importers == {"store"}


def test_sql_stands_in_sql_files_alone() -> None:
    for paths in _modules().values():
        for path in paths:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    words = node.value.split()
                    assert not (
                        words and words[0] in {"SELECT", "INSERT", "UPDATE", "DELETE"}
                    ), (
                        path,
                        node.value,
                    )


def test_every_module_is_on_the_map() -> None:
    wiring = {
        "__init__", "__main__", "api", "backlog", "backup", "checkpoint", "claude_code",
        "cli", "command_group", "commands", "conditions", "config", "crash", "dead_letters",
        "digest", "file_bytes", "folders", "group", "handover", "health", "hook",
        "housekeeping", "import_state", "indexer", "ingest", "late_sidecars", "lifecycle",
        "limits", "log", "lookout", "lookup", "members", "metrics", "moves", "notify",
        "once", "outcome", "outlet", "packed", "pipeline", "progress", "purge",
        "purge_report", "rehearsal", "reindex", "relay", "residence", "rewriting",
        "secret_files", "service", "sessions", "settings", "spool_relay", "state_report",
        "state_rollback", "storing", "teller", "turn_thread", "verify", "waiting", "waits",
        "whereabouts", "workplace",
    }  # fmt: skip
    assert set(_modules()) == CORE | RIM | wiring


def test_every_command_has_a_module_of_its_name() -> None:
    there = {path.stem.replace("_", "-") for path in (PACKAGE / "commands").glob("[!_]*.py")}
    shared = {"alert-answers", "conversations", "parameters", "session-list", "terminal"}
    assert there - shared == set(COMMANDS)
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert command.name == name
