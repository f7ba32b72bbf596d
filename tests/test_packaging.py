"""The image, compose.yaml, the workflow and the packages: no Docker runs here, so what they
name is looked at one by one, and what can run without it runs."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import EXAMPLES, Command, wait_until
from http_server import HttpServer, as_json
from test_systemd import in_sandbox

from exportd.commands import COMMANDS
from exportd.config import setting_names
from exportd.secret_files import SECRETS, variable

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
TOOLS = Path(sys.executable).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions() -> list[list[tuple[str, str]]]:
    """The Dockerfile's stages, each a list of (instruction, its arguments)."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    stages: list[list[tuple[str, str]]] = []
    for line in text.replace("\\\n", " ").splitlines():
        name, _, arguments = line.strip().partition(" ")
        if name == "FROM":
            stages.append([])
        if stages:
            stages[-1].append((name, arguments.strip()))
    return stages


def compose() -> Any:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def final(name: str) -> list[str]:
    return [arguments for found, arguments in instructions()[-1] if found == name]


# -- linters ----------------------------------------------------------------------------

LINTERS = {
    "the Dockerfile": ["hadolint", "Dockerfile"],
    "the scripts": ["shellcheck", "docker/secrets.sh", "docker/slim.sh"],
    "compose.yaml": [
        "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml",
    ],
    "the workflow": [
        "check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(WORKFLOW),
    ],
    "the workflow's security": ["zizmor", "--offline", "--quiet", str(WORKFLOW)],
}  # fmt: skip


@pytest.mark.parametrize("what", LINTERS)
def test_linters_find_no_fault(what: str) -> None:
    program, *arguments = LINTERS[what]
    if not (TOOLS / program).exists():
        pytest.skip(f"no {program} here")
    done = subprocess.run(
        [TOOLS / program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# -- the image --------------------------------------------------------------------------


def test_what_the_image_copies_is_there_and_let_in() -> None:
    names = {arguments.split()[-1] for stage in instructions() for _, arguments in stage[:1]}
    let_in = _let_in()
    for stage in instructions():
        for name, arguments in stage:
            words = arguments.split()
            if name != "COPY":
                continue
            if words[0].startswith("--from="):
                assert words[0].removeprefix("--from=") in names
                continue
            for source in words[:-1]:
                assert (ROOT / source).exists(), source
                assert any(fnmatch.fnmatch(source, allowed) for allowed in let_in), source


def _let_in() -> list[str]:
    """What .dockerignore excepts from the exclusion of everything."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    return [rule[1:] for rule in rules if rule.startswith("!")]


def test_what_the_wheel_needs_is_copied_before_it_is_built() -> None:
    """The project's own metadata name files; without one of them there is no wheel."""
    build = instructions()[0]
    copied = {word for name, arguments in build if name == "COPY" for word in arguments.split()}
    assert {"pyproject.toml", "daemon", PROJECT["readme"], *PROJECT["license-files"]} <= copied


def test_the_image_runs_the_daemon_as_a_user_without_rights_and_asks_how_it_is() -> None:
    (entry,), (command,), (check,) = final("ENTRYPOINT"), final("CMD"), final("HEALTHCHECK")
    assert json.loads(entry) == list(PROJECT["scripts"])
    assert json.loads(command) == ["run"]
    assert "run" in COMMANDS
    _, script = json.loads(check.partition("CMD ")[2])
    assert script in {arguments.split()[-1] for arguments in final("COPY")}
    assert final("USER") == ["1000"]
    assert "useradd --uid 1000" in " ".join(final("RUN"))
    assert final("STOPSIGNAL") == ["SIGTERM"]
    assert not any("build" in run or "pip" in run for run in final("RUN"))
    for setting in re.findall(r"(EXPORTD_\w+)=", " ".join(final("ENV"))):
        assert setting in {variable(name) for name in setting_names()}
    for stage in instructions():
        image = stage[0][1].split()[0]
        assert re.fullmatch(r"python:\$\{PYTHON\}-slim", image), image


# -- compose ----------------------------------------------------------------------------


def test_the_services_have_what_they_name() -> None:
    whole = compose()
    services = whole["services"]
    for service in services.values():
        assert set(service["secrets"]) <= set(whole["secrets"])
        for name in service.get("depends_on", ()):
            assert services[name]["healthcheck"]["test"]
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert source.startswith("./") or source in whole["volumes"]
    exportd = services["daemon"]
    known = {variable(name) for name in setting_names()}
    known |= {f"{variable(name)}_FILE" for name in SECRETS}
    assert set(exportd["environment"]) <= known
    assert exportd["volumes"] == [f"./MEMORY-CONTEXT:{final('VOLUME')[0]}"]
    for name, file in exportd["environment"].items():
        if name.endswith("_FILE"):
            assert Path(file).name in exportd["secrets"]
            assert Path(file).parent == Path("/run/secrets")
    grace = int(exportd["stop_grace_period"].removesuffix("s"))
    unit = (ROOT / "systemd" / "exportd.service").read_text()
    assert f"TimeoutStopSec={grace}\n" in unit


def test_exportd_has_no_more_rights_than_it_needs() -> None:
    exportd = compose()["services"]["daemon"]
    assert exportd["read_only"]
    assert exportd["init"]
    assert exportd["cap_drop"] == ["ALL"]
    assert exportd["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in exportd
    assert exportd["user"].startswith("${EXPORTD_UID:-1000}")


def test_the_secrets_are_made_once_and_belong_together(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    script = ["sh", str(ROOT / "docker" / "secrets.sh"), str(folder)]
    subprocess.run(script, check=True, capture_output=True)
    files = {Path(secret["file"]).name for secret in compose()["secrets"].values()}
    assert {path.name for path in folder.iterdir()} == files
    assert {path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())} == {
        0o700,
        0o600,
    }
    password = (folder / "postgres_password").read_text().strip()
    server = compose()["services"]["postgres"]["environment"]
    url = f"postgresql://{server['POSTGRES_USER']}:{password}@postgres/{server['POSTGRES_DB']}"
    assert (folder / "database_url").read_text().strip() == url
    assert len(password) == 48
    subprocess.run(script, check=True, capture_output=True)
    assert (folder / "postgres_password").read_text().strip() == password


def test_the_url_of_the_secrets_is_taken_as_a_setting(tmp_path: Path) -> None:
    script = ROOT / "docker" / "secrets.sh"
    subprocess.run(["sh", script, tmp_path / "s"], check=True, capture_output=True)
    done = Command(tmp_path, None)(
        "check-config", EXPORTD_DATABASE_URL_FILE=str(tmp_path / "s" / "database_url")
    )
    assert 'database.url = "postgresql://exportd@postgres/exportd"' in done.stdout


# -- the health check -------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def health(address: str) -> subprocess.CompletedProcess[str]:
    """The HEALTHCHECK's own command."""
    return subprocess.run(
        [sys.executable, ROOT / "docker" / "healthcheck.py"],
        env={"EXPORTD_HTTP_ADDRESS": address, "http_proxy": "http://127.0.0.1:9"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_the_health_check_is_well_as_long_as_the_daemon_is(exportd: Command) -> None:
    port = free_port()
    with exportd.running(EXPORTD_HTTP_ADDRESS=f"127.0.0.1:{port}") as daemon:
        wait_until(lambda: health(f"0.0.0.0:{port}").returncode == 0)
        daemon.kill()
        daemon.wait()
        dead = health(f"127.0.0.1:{port}")
    assert dead.returncode == 1
    assert "refused" in dead.stdout


def test_the_health_check_says_what_is_wrong(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.default = as_json({"ok": False, "reasons": ["the worker stands still"]}, 503)
        sick = health(server.url.partition("//")[2].partition("/")[0])
    assert sick.returncode == 1
    assert "the worker stands still" in sick.stdout
    assert health("off").returncode == 1


# -- the workflow -----------------------------------------------------------------------


def steps() -> list[dict[str, Any]]:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def test_every_file_and_command_of_the_workflow_is_there() -> None:
    scripts = "\n".join(step["run"] for step in steps() if "run" in step)
    for path in re.findall(r"(?<![\w./-])((?:docker|examples|tests|\.ci)/[\w.-]+)", scripts):
        assert (ROOT / path).exists(), path
    commands = re.findall(r"\bexportd ([a-z][\w-]+)$", scripts, re.MULTILINE)
    assert commands
    assert set(commands) - {"exportd"} <= set(COMMANDS)
    ours = (ROOT / ".ci" / "run").read_text()
    for command in ("ruff check", "ruff format --check", "mypy"):
        assert command in scripts
        assert command in ours


def test_the_workflow_tests_every_version_that_is_promised() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    prefix = "Programming Language :: Python :: 3."
    promised = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if c.startswith(prefix)]
    assert jobs["test"]["strategy"]["matrix"]["python"] == promised
    assert jobs["postgres"]["strategy"]["matrix"]["postgres"] == ["14", "15", "16", "17", "18"]
    assert set(jobs["release"]["needs"]) == set(jobs) - {"release"}


def test_the_workflow_may_do_little_and_runs_what_is_pinned() -> None:
    whole = yaml.safe_load(WORKFLOW.read_text())
    assert whole["permissions"] == {}
    for name, job in whole["jobs"].items():
        expected = {"id-token": "write"} if name == "release" else {"contents": "read"}
        assert job["permissions"] == expected
        assert job["timeout-minutes"] <= 60
    for step in steps():
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]


# -- all of it, without Docker ----------------------------------------------------------

DEBIAN = Path("/usr/lib/postgresql/15/bin")
SOMEBODY = 54321  # a user id without a name, as compose's `user:` may be


@pytest.mark.skipif("TEST_SLOW" not in os.environ, reason="slow: set TEST_SLOW=1")
@pytest.mark.skipif(not DEBIAN.exists(), reason="needs Debian's PostgreSQL 15")
@in_sandbox
def test_what_the_image_holds_works_with_a_server_that_comes_later(tmp_path: Path) -> None:
    """The stages' own commands, then the daemon as the image starts it: on a read-only disk,
    as a user without a name, with the URL in a file, before its database is there."""
    prefix, data = tmp_path / "opt" / "exportd", tmp_path / "data"
    _install(tmp_path, prefix)
    data.mkdir(mode=0o700)
    port = free_port()
    url = tmp_path / "secrets" / "database_url"
    url.parent.mkdir()
    url.write_text(f"postgresql://exportd:geheim@127.0.0.1:{port}/exportd\n")
    for path in (data, url.parent, url):
        os.chown(path, SOMEBODY, SOMEBODY)
    box = tmp_path / "box.service"
    box.write_text(
        "ProtectSystem=strict\nPrivateTmp=yes\nNoNewPrivileges=yes\nCapabilityBoundingSet=\n"
    )
    request = {
        "uid": SOMEBODY,
        "keep": [str(prefix), str(url.parent), str(ROOT)],
        "write": [str(data)],
        "unit": str(box),
    }
    inside = [
        "unshare", "--mount", "--propagation", "private",
        sys.executable, str(ROOT / "tests" / "sandbox.py"), json.dumps(request),
    ]  # fmt: skip
    environment = {
        "PATH": f"{prefix}/bin:/usr/bin:/bin", "HOME": "/", "PYTHONDONTWRITEBYTECODE": "1",
        "EXPORTD_MEMORY_DIR": str(data), "EXPORTD_DATABASE_URL_FILE": str(url),
        "EXPORTD_HTTP_ADDRESS": f"127.0.0.1:{free_port()}",
    }  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        daemon = subprocess.Popen([*inside, "exportd", "run"], env=environment, stderr=log)
    try:
        wait_until(lambda: health(environment["EXPORTD_HTTP_ADDRESS"]).returncode == 0, 60)
        with _server(port):
            example = EXAMPLES / "2026-01-12-EXPORT-GARDEN-PLANNER.txt"
            shutil.copy(example, data / "exports")
            wait_until((data / "sessions" / "garden-planner.md").exists, 60)
            told = subprocess.run(
                [*inside, "exportd", "db", "psql", "-Atc", "SELECT count(*) FROM messages"],
                env=environment, capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert told.stdout == "13\n"
        daemon.terminate()
        assert daemon.wait(45) == 0, (tmp_path / "log").read_text()
    finally:
        daemon.kill()
        daemon.wait()


def _install(tmp_path: Path, prefix: Path) -> None:
    """What the Dockerfile's first stage does, with this machine's Python."""
    source, wheels = tmp_path / "src", tmp_path / "wheels"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "daemon", source / "daemon")
    runs = [arguments for name, arguments in instructions()[0] if name == "RUN"]
    assert runs[0] == 'pip install --no-cache-dir "build>=1.2"'
    script = " && ".join(runs[1:])
    for there, here in {
        "/opt/exportd": prefix, "/wheels": wheels, "slim.sh": ROOT / "docker" / "slim.sh",
    }.items():  # fmt: skip
        script = script.replace(there, str(here))
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "tools"], check=True)
    tools = tmp_path / "tools" / "bin"
    subprocess.run([tools / "pip", "install", "-q", "build"], check=True, capture_output=True)
    path = f"{tools}:{os.environ['PATH']}"
    subprocess.run(
        ["sh", "-c", script],
        cwd=source,
        env={**os.environ, "PATH": path},
        check=True,
        capture_output=True,
    )
    assert not (prefix / "bin" / "pip").exists()


@contextmanager
def _server(port: int) -> Iterator[None]:
    """PostgreSQL with a password, as compose.yaml's service has it."""
    folder = Path(tempfile.mkdtemp(prefix="server"))  # where the user postgres gets to
    secret = folder / "password"
    secret.write_text("geheim\n")
    for path in (folder, secret):
        shutil.chown(path, "postgres", "postgres")
    data = folder / "data"
    subprocess.run(
        [DEBIAN / "initdb", "-U", "exportd", "-A", "scram-sha-256", "--pwfile", secret,
         "-E", "UTF8", "-D", data],
        user="postgres", check=True, capture_output=True,
    )  # fmt: skip
    server = subprocess.Popen(
        [DEBIAN / "postgres", "-D", data, "-p", str(port), "-k", ""],
        user="postgres", stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"postgresql://exportd:geheim@127.0.0.1:{port}/postgres"
    make = ["psql", url, "-c", "CREATE DATABASE exportd"]

    def is_made() -> bool:
        return subprocess.run(make, capture_output=True, check=False).returncode == 0

    try:
        wait_until(is_made, 30)
        yield
    finally:
        server.send_signal(signal.SIGINT)  # without waiting for who is connected
        server.wait(30)
        shutil.rmtree(folder)
