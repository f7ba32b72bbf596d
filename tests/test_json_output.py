"""``--json``: every command that has it has a schema, and real output is as it says."""

from __future__ import annotations

import ast
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import EXAMPLES, SAMPLES, Command, execute
from jsonschema import ValidationError
from pages.commands import all_commands
from schemas import SCHEMAS, conforming

_SCHEMAS = sorted(SCHEMAS.glob("*.schema.json"))
_NAMES = {path.name.removesuffix(".schema.json") for path in _SCHEMAS}

# A command whose output is told by the schema of another.
_DECISIONS = ("rename", "merge", "split", "undo")
_ALSO = {
    "archive-compress": "archive",
    "run": "ingest",
    "sessions-list": "sessions",
    **{f"sessions-{name}": "sessions-decision" for name in _DECISIONS},
}


def test_every_command_with_json_has_a_schema() -> None:
    names = [
        name.removeprefix("exportd ").replace(" ", "-")
        for name, command in all_commands()
        if any("--json" in parameter.opts for parameter in command.params)
    ]
    assert {_ALSO.get(name, name) for name in names} - _NAMES == set()


def test_every_schema_is_held_against_real_output_by_a_test() -> None:
    """By a call ``conforming("NAME", …)`` somewhere in the tests."""
    assert _NAMES - set(_held()) == set()


def _held() -> Iterator[str]:
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(ast.Name("conforming"), [ast.Constant(str(name)), *_]):
                    yield name


@pytest.mark.parametrize("path", _SCHEMAS, ids=lambda path: path.stem)
def test_a_schema_knows_every_property_and_takes_no_other(path: Path) -> None:
    for name, part in _parts(json.loads(path.read_text(encoding="utf-8")), ()):
        if "properties" in part and name[-1:] != ("properties",):
            assert part.get("additionalProperties") is False, name
        if name[-2:-1] == ("properties",):
            assert part.get("description") or "$ref" in part, name


_Part = tuple[tuple[str, ...], dict[str, object]]


def _parts(part: object, name: tuple[str, ...]) -> Iterator[_Part]:
    if isinstance(part, dict):
        yield name, part
        for key, inner in part.items():
            yield from _parts(inner, (*name, key))


def test_the_helper_refuses_what_no_schema_has() -> None:
    with pytest.raises(ValidationError):
        conforming("migrate", '{"applied": [], "missing": [], "more": 1}')
    with pytest.raises(ValidationError):
        conforming("migrate", '{"applied": []}')


# -- real output ------------------------------------------------------------------------


@pytest.fixture
def filled(exportd: Command) -> Command:
    """The examples, a container, a file with a gap, junk, and an empty one."""
    exports = exportd.memory_dir / "exports"
    for example in EXAMPLES.iterdir():
        shutil.copy(example, exports)
    with zipfile.ZipFile(exports / "decks.zip", "w") as archive:
        for sample in SAMPLES.glob("deck-?.txt"):
            archive.write(sample, sample.name)
    shutil.copy(SAMPLES / "indexed-messages.json", exports)
    (exports / "junk.bin").write_bytes(b"\0junk")
    (exports / "empty.txt").touch()
    done = exportd("run", "--once", "--json")
    assert done.returncode == os.EX_TEMPFAIL, done.stderr
    reports = conforming("ingest", done.stdout)["files"]
    assert {report["fate"] for report in reports} >= {"ingested", "dead_letter", "deferred"}
    return exportd


def test_what_is_stored_is_told(filled: Command) -> None:
    everything = conforming("stats", filled("stats", "--json").stdout)
    one = conforming("stats-one", filled("stats", "garden-planner", "--json").stdout)
    assert one in everything["conversations"]
    verified = conforming("verify", filled("verify", "--json").stdout)
    exports = everything["total"]["exports"]
    assert exports == verified["checked"]["exports"] - verified["checked"]["containers"]
    assert f"{exports} exports and 1 container" in filled("verify").stdout
    found = conforming("reindex", filled("reindex", "--dry-run", "--json").stdout)
    assert found["archived_files"] == len(list(EXAMPLES.iterdir())) + 2
    assert (found["differences"], found["is_changed"]) == ([], False)
    (filled.memory_dir / "exports-archive" / "2026-01-12-EXPORT-SOURDOUGH.json").write_text("{")
    damaged = filled("verify", "--json")
    assert damaged.returncode == os.EX_DATAERR
    assert conforming("verify", damaged.stdout)["findings"][0]["severity"] == "damage"


def test_alerts_and_answers_are_told(filled: Command) -> None:
    def said(*arguments: str) -> str:
        return filled("alerts", *arguments, "--json").stdout

    alerts = conforming("alerts-list", said("list", "--all"))["alerts"]
    assert {one["kind"] for one in alerts} >= {"index_gap", "dead_letter", "new_conversation"}
    number = str(next(one["alert_id"] for one in alerts if one["kind"] == "index_gap"))
    assert conforming("alerts-show", said("show", number))["deliveries"] == []
    assert conforming("alerts-ack", said("ack", number))["done"] == [int(number)]
    again = conforming("alerts-ack", said("ack", number))
    assert filled("alerts", "ack", number, "--json").returncode == os.EX_USAGE
    for answer, why in (("ack", "was not firing"), ("resend", "was never told")):
        done = filled("alerts", answer, number)
        assert (done.returncode, done.stdout) == (os.EX_USAGE, "")
        assert f"{number} {why}\n" in done.stderr
    assert (again["left"], again["reason"]) == ([int(number)], "was not firing")
    assert conforming("alerts-resend", said("resend", number))["left"] == [int(number)]
    assert conforming("alerts-resolve", said("resolve", number))["done"] == [int(number)]
    made = conforming("alerts-silence", said("silence", "--kind", "damage"))
    (silence,) = conforming("alerts-list", said("list"))["silences"]
    assert silence["silence_id"] == made["silence_id"]
    ended = said("silence", "--end", str(made["silence_id"]))
    assert conforming("alerts-silence", ended)["until"] is None


def test_settings_schema_and_surroundings_are_told(exportd: Command, database_url: str) -> None:
    conforming("formats", exportd("formats", "--json").stdout)
    conforming("doctor-crash-points", exportd("doctor", "--crash-points", "--json").stdout)
    checks = conforming("doctor", exportd("doctor", "--json").stdout)
    assert [one["is_well"] for one in checks if one["name"] == "database"] == [True]
    told = conforming(
        "check-config",
        exportd(
            "check-config", "--json", EXPORTD_SLACK_WEBHOOK_URL="https://a/SENTINEL"
        ).stdout,
    )["settings"]
    assert told["slack.webhook_url"] == {"value": "…", "origin": "EXPORTD_SLACK_WEBHOOK_URL"}
    assert conforming("db-url", exportd("db", "url", "--json").stdout) == {
        "url": database_url,
        "is_embedded": False,
    }
    up_to_date = conforming("migrate", exportd("migrate", "--pending", "--json").stdout)
    assert (up_to_date["applied"], up_to_date["missing"]) == ([], [])
    execute(database_url, "DROP SCHEMA public CASCADE")
    execute(database_url, "CREATE SCHEMA public")
    missing = conforming("migrate", exportd("migrate", "--pending", "--json").stdout)
    assert missing["missing"]
    applied = conforming("migrate", exportd("migrate", "--json").stdout)
    assert applied == {"applied": missing["missing"], "missing": []}
