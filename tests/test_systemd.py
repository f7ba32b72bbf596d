"""The units: hardened, and exportd works inside (HAZARDS 36, "Unit" and "Hardening")."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import EXAMPLES, Command, wait_until
from sandbox import settings_of

from exportd.store.line import STOP_S

ROOT = Path(__file__).parent.parent
SYSTEMD = ROOT / "systemd"
SERVICES = (
    "exportd.service", "exportd@.service", "exportd-verify.service", "exportd-backup.service",
)  # fmt: skip
DAEMONS = ("exportd.service", "exportd@.service")
NOBODY = 65534

in_sandbox = pytest.mark.skipif(
    os.geteuid() != 0
    or any(shutil.which(name) is None for name in ("unshare", "systemd-analyze")),
    reason="needs root, unshare and systemd-analyze, for mounts, another user and seccomp",
)
with_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze"
)


def unit(name: str) -> dict[str, list[str]]:
    return settings_of(SYSTEMD / name)


# -- what the units say -----------------------------------------------------------------


@pytest.mark.parametrize("name", DAEMONS)
def test_a_daemon_is_watched_and_started_again_unless_that_is_in_vain(name: str) -> None:
    said = unit(name)
    assert said["Type"] == ["notify"]
    assert said["NotifyAccess"] == ["main"]
    assert int(said["WatchdogSec"][0]) >= 30
    assert said["Restart"] == ["on-failure"]
    in_vain = {os.EX_USAGE, os.EX_CANTCREAT, os.EX_NOPERM, os.EX_CONFIG}
    assert set(map(int, said["RestartPreventExitStatus"][0].split())) == in_vain
    assert said["StartLimitIntervalSec"] == ["0"]
    assert said["KillMode"] == ["mixed"]
    assert int(said["TimeoutStopSec"][0]) > 20 + STOP_S
    assert "Requires" not in said


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_works_as_a_user_with_nothing_but_what_it_needs(name: str) -> None:
    said = unit(name)
    assert said["User"] == ["%i" if "@" in name else "exportd"]
    assert said["UMask"] == ["0077"]
    assert said["CapabilityBoundingSet"] == [""]
    hardening = {k: v for k, v in unit("exportd.service").items() if k not in _OF_EACH}
    assert {k: v for k, v in said.items() if k in hardening} == hardening


_OF_EACH = {
    "After", "Description", "Environment", "ExecStart", "Group", "KillMode", "LoadCredential",
    "NotifyAccess", "OOMPolicy", "ProtectHome", "RequiresMountsFor", "Restart",
    "RestartPreventExitStatus", "RestartSec", "StartLimitIntervalSec", "StateDirectory",
    "StateDirectoryMode", "TimeoutStartSec", "TimeoutStopSec", "Type", "User", "WantedBy",
    "WatchdogSec",
}  # fmt: skip


def test_an_instance_sees_of_all_homes_its_memory_folder_alone() -> None:
    said = unit("exportd@.service")
    assert said["ProtectHome"] == ["tmpfs"]
    assert said["BindPaths"] == ["/home/%i/MEMORY-CONTEXT"]
    assert "EXPORTD_MEMORY_DIR=/home/%i/MEMORY-CONTEXT" in said["Environment"]


@pytest.mark.parametrize("name", SERVICES)
def test_the_command_that_a_unit_starts_is_one(name: str, tmp_path: Path) -> None:
    program, *arguments = unit(name)["ExecStart"][0].split()
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert Path(program).name in scripts
    assert Command(tmp_path, None)(*arguments, "--help").returncode == 0


@with_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_systemd_rates_the_exposure_at_2_of_10_or_less(name: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", SYSTEMD / name],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Overall exposure level" in done.stdout


@with_systemd
@pytest.mark.parametrize("name", [*SERVICES, "exportd-verify.timer", "exportd-backup.timer"])
def test_systemd_finds_no_fault_in_a_unit(name: str, tmp_path: Path) -> None:
    for path in SYSTEMD.glob("exportd*"):
        text = path.read_text().replace("/opt/exportd/bin/exportd", "/bin/true")
        (tmp_path / path.name.replace("@", "@alice")).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / name.replace("@", "@alice")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="needs systemd-sysusers")
def test_the_user_of_the_unit_is_made() -> None:
    done = subprocess.run(
        ["systemd-sysusers", "--dry-run", SYSTEMD / "sysusers.d" / "exportd.conf"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "exportd" in done.stderr + done.stdout


# -- what works inside ------------------------------------------------------------------


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    folder = tmp_path / "MEMORY-CONTEXT"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    return folder


@pytest.fixture
def told() -> Iterator[socket.socket]:
    """The service manager's ear: what sd_notify says arrives here."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0exportd-test-{uuid.uuid4().hex}")
        listener.setblocking(False)
        yield listener


def inside(
    memory: Path, *command: str, name: str = "exportd.service", write: tuple[Path, ...] = ()
) -> list[str]:
    """The command as a unit would run it in a memory folder, and where else it writes."""
    request = {
        "uid": NOBODY,
        "keep": [sys.prefix, str(ROOT)],
        "write": [str(memory), *map(str, write)],
        "unit": str(SYSTEMD / name),
        "limits": {"NOFILE": 1024, "NPROC": 64, "AS": 2 << 30},
    }
    sandbox = [sys.executable, str(Path(__file__).with_name("sandbox.py")), json.dumps(request)]
    return ["unshare", "--mount", "--propagation", "private", *sandbox, *command]


def environment(memory: Path, **more: str) -> dict[str, str]:
    return {
        **Command(memory, None).environment,
        "HOME": "/nonexistent",
        "EXPORTD_HTTP_ADDRESS": "off",
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


@in_sandbox
def test_the_daemon_works_under_the_restrictions_of_its_unit(
    memory: Path, tmp_path: Path, told: socket.socket
) -> None:
    heard = ""

    def hears(text: str) -> bool:
        nonlocal heard
        try:
            while True:
                heard += told.recv(65536).decode() + "\n"
        except BlockingIOError:
            return text in heard

    address = "@" + told.getsockname()[1:].decode()
    log = tmp_path / "log"
    with log.open("w") as stderr:
        daemon = subprocess.Popen(
            inside(memory, sys.executable, "-m", "exportd", "run"),
            env=environment(memory, NOTIFY_SOCKET=address, WATCHDOG_USEC="600000"),
            stderr=stderr,
            cwd="/",
        )
    try:
        wait_until(lambda: hears("READY=1") or daemon.poll() is not None, 60)
        assert daemon.poll() is None, log.read_text()
        for name in (
            "2026-01-12-EXPORT-GARDEN-PLANNER.txt",
            "2026-01-12-EXPORT-SOURDOUGH.json",
        ):
            (memory / "exports" / name).write_bytes((EXAMPLES / name).read_bytes())
        wait_until((memory / "sessions" / "garden-planner.md").exists)
        wait_until((memory / "sessions" / "sourdough.md").exists)
        wait_until(lambda: hears("WATCHDOG=1"))
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0, log.read_text()
        assert hears("STOPPING=1")
    finally:
        daemon.kill()
        daemon.wait()
    assert {path.stat().st_uid for path in (memory / ".exportd").rglob("*")} == {NOBODY}
    server_log = (memory / ".exportd" / "postgres" / "log").read_text()
    assert "database system is ready" in server_log
    assert "Operation not permitted" not in server_log


@in_sandbox
def test_a_server_elsewhere_is_asked_from_inside(memory: Path) -> None:
    done = subprocess.run(
        inside(memory, sys.executable, "-m", "exportd", "run", "--once"),
        env=environment(memory, EXPORTD_DATABASE_URL="postgresql://x@localhost:1/x"),
        capture_output=True, text=True, timeout=60, check=False, cwd="/",
    )  # fmt: skip
    assert done.returncode == os.EX_TEMPFAIL, done.stderr
    assert "refused" in done.stderr


@in_sandbox
def test_a_backup_is_made_under_the_restrictions_of_its_unit(
    memory: Path, tmp_path: Path
) -> None:
    into = tmp_path / "backups"
    into.mkdir(mode=0o700)
    os.chown(into, NOBODY, NOBODY)
    (memory / "exports").mkdir()
    (memory / "exports" / "a.txt").write_text("> one\n\n⏺ two\n")
    for path in (memory / "exports", memory / "exports" / "a.txt"):
        os.chown(path, NOBODY, NOBODY)
    for arguments in (("run", "--once"), ("backup", str(into), "--keep", "14")):
        done = subprocess.run(
            inside(
                memory, sys.executable, "-m", "exportd", *arguments,
                name="exportd-backup.service", write=(into,),
            ),
            env=environment(memory), capture_output=True, text=True, timeout=60, check=False,
            cwd="/",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert "2 messages of 1 conversation" in done.stdout
    assert {path.stat().st_uid for path in into.rglob("*")} == {NOBODY}
    assert {path.stat().st_mode & 0o077 for path in into.rglob("*")} == {0}


FORBIDDEN = {
    "write elsewhere": "open('/var/tmp/exportd-test', 'w')",
    "see the /tmp of others": "os.stat({memory!r} + '/..' + '/log')",
    "make memory executable": "mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)",
    "become root": "os.setuid(0)",
    "mount": "os.chroot('/')",
    "speak netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
    "open more files": "[os.dup(0) for _ in range(2000)]",
}


@in_sandbox
@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_sandbox_of_these_tests_is_one(memory: Path, what: str) -> None:
    """What is tried works outside, at least as root, so that it is the sandbox that forbids."""
    code = f"import mmap, os, socket\n{FORBIDDEN[what].format(memory=str(memory))}"
    (memory.parent / "log").touch()
    outside = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    Path("/var/tmp/exportd-test").unlink(missing_ok=True)  # noqa: S108
    within = subprocess.run(
        inside(memory, sys.executable, "-c", code), capture_output=True, text=True, check=False
    )
    assert outside.returncode == 0 or what == "open more files", outside.stderr
    assert within.returncode == 1, within.stderr
    assert within.stderr.splitlines()[-1].split(":")[0] in {
        "OSError", "PermissionError", "FileNotFoundError",
    }  # fmt: skip
