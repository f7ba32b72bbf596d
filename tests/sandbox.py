"""Run a command under the restrictions of a systemd unit, as far as a machine can without it.

    unshare --mount --propagation private python sandbox.py '{"unit": …}' COMMAND…

Real mounts, a real user, a real seccomp filter: what the unit forbids fails here as well. For
tests, which run as root; a request is JSON with the fields of ``Request``.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_RDONLY, _REMOUNT, _BIND, _REC = 1, 32, 4096, 16384
_NO_NEW_PRIVS, _SET_MDWE, _CAPBSET_DROP = 38, 65, 24
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


@dataclass(frozen=True, slots=True)
class Request:
    """Who runs, and what is there: ``unit`` brings the restrictions of a unit file."""

    uid: int
    keep: list[str]  # stays where it is while /tmp and homes are covered
    write: list[str]  # may be written to
    unit: str | None = None
    limits: dict[str, int] | None = None


def main() -> None:
    request = Request(**json.loads(sys.argv[1]))
    unit = settings_of(Path(request.unit)) if request.unit else {}
    os.umask(0o022)  # whatever the test's own was made
    homes = [sys.base_prefix, *request.keep, *request.write]
    _cover("/root", homes)
    if unit.get("PrivateTmp") == ["yes"]:
        _cover("/tmp", homes)  # noqa: S108
    if unit.get("ProtectSystem") == ["strict"]:
        _read_only(request.write)
    for name, limit in (request.limits or {}).items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))
    os.umask(int(unit.get("UMask", ["022"])[-1], 8))
    _become(request.uid, no_capabilities=unit.get("CapabilityBoundingSet") == [""])
    if unit.get("NoNewPrivileges") == ["yes"]:
        _check(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
    if unit.get("MemoryDenyWriteExecute") == ["yes"]:
        _check(_libc.prctl(_SET_MDWE, 1, 0, 0, 0))
    if "SystemCallFilter" in unit:
        _filter(unit["SystemCallFilter"], unit["RestrictAddressFamilies"])
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606


def settings_of(unit: Path) -> dict[str, list[str]]:
    """Every setting of a unit file, by name, as often as it stands there."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    arguments = (text.encode() or None for text in (source, target, kind))
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() or None))


def _cover(folder: str, keep: list[str]) -> None:
    """An empty folder in the place of one, with what is to stay of it."""
    inside = sorted({path for path in keep if Path(path).is_relative_to(folder)}, key=len)
    held = {path: os.open(path, os.O_PATH) for path in inside}
    _mount("none", folder, "tmpfs", 0, "mode=1777" if folder == "/tmp" else "mode=755")  # noqa: S108
    for path, descriptor in held.items():
        Path(path).mkdir(parents=True, exist_ok=True)
        _mount(f"/proc/self/fd/{descriptor}", path, "", _BIND | _REC)
        os.close(descriptor)


def _read_only(write: list[str]) -> None:
    for path in write:
        _mount(path, path, "", _BIND)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = line.split()[4]
        if place in {*write, "/tmp"} or place.startswith(("/proc", "/sys", "/dev")):  # noqa: S108
            continue
        if not os.path.lexists(place):  # below a folder that is hidden by now
            continue
        _mount("", place, "", _REMOUNT | _BIND | _RDONLY)


def _become(uid: int, *, no_capabilities: bool) -> None:
    if no_capabilities:
        last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
        for capability in range(last + 1):
            _check(_libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _filter(lists: list[str], families: list[str]) -> None:
    """SystemCallFilter= and RestrictAddressFamilies=, by systemd's own lists and libseccomp."""
    allowed = _system_calls(lists)
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(_ERRNO | errno.EPERM))
    for name in allowed - {"socket"}:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            assert not seccomp.seccomp_rule_add_array(context, _ALLOW, number, 0, None)
    number = seccomp.seccomp_syscall_resolve_name(b"socket")
    for family in " ".join(families).split():
        equal = (ctypes.c_uint32 * 6)(0, 4, _FAMILIES[family], 0, 0, 0)  # argument 0, EQ
        assert not seccomp.seccomp_rule_add_array(context, _ALLOW, number, 1, equal)
    assert not seccomp.seccomp_load(context)


def _system_calls(lists: list[str]) -> set[str]:
    sets = _sets()

    def members(name: str) -> set[str]:
        if not name.startswith("@"):
            return {name}
        return {call for inner in sets[name] for call in members(inner)}

    calls = members("@default")
    for text in lists:
        for name in text.removeprefix("~").split():
            calls = calls - members(name) if text.startswith("~") else calls | members(name)
    return calls


def _sets() -> dict[str, list[str]]:
    told = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found: dict[str, list[str]] = {}
    name = ""
    for line in told.splitlines():
        if line.startswith("@"):
            name = line.strip()
            found[name] = []
        elif name and line.startswith("    ") and not line.strip().startswith("#"):
            found[name].append(line.strip())
    return found


if __name__ == "__main__":
    main()
