"""A reader who types what a page says, in a scratch clone, from its first line to its last."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fences import ROOT, Fence

# Variables, functions, aliases and the folder go from one fence to the next; what fails says
# where it stands in the page. A reader whose machine is busy looks again; so does "sleep".
_PRELUDE = """
unset BASH_ENV
shopt -s expand_aliases
[ ! -f "$PAGE_STATE" ] || . "$PAGE_STATE"
sleep() {
    command sleep 1
    for _ in {1..200}; do
        [ -n "$(find MEMORY-CONTEXT/exports MEMORY-CONTEXT/.exportd/inflight -type f 2>&-)" ] ||
            break
        command sleep 0.1
    done
    command sleep 0.3  # for the status log, which is written last
}
set -aeEo pipefail
trap 'echo "$0:$LINENO: failed: $BASH_COMMAND" >&2' ERR
trap '{ export -p; declare -f; alias -p; printf "cd %q\\n" "$PWD"; } >"$PAGE_STATE"' EXIT
"""
# The scratch clone has an environment already.
_INSTALL = re.compile(r"python3 -m venv \.venv && \.venv/bin/pip install [^&\n]*(?:&& )?")
_DAEMON = re.compile(r"(?:^|&& |; )(?:\S*/)?exportd(?: -\S+(?: [^-\s]\S*)?)* run$")
_TIMEOUT_S = 60.0


class Failed(AssertionError):
    """A fence did not do what the page says; the message is for whoever wrote the page."""


class PageShell:
    """Runs the fences of one page in order."""

    def __init__(self, scratch: Path, database_url: str) -> None:
        self._folder = scratch / "exportd"
        self._bin = scratch / "bin"
        # The port of http_address, and the one that pages use for servers of their own.
        self._ports = {"9467": str(_free_port()), "9468": str(_free_port())}
        self._sessions: list[subprocess.Popen[bytes]] = []
        self._clone()
        (scratch / "home").mkdir()
        (scratch / "prelude.sh").write_text(_PRELUDE)
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(scratch / "home"),
            "LC_ALL": "C.UTF-8",
            "TERM": "dumb",
            "PAGER": "cat",
            "BASH_ENV": str(scratch / "prelude.sh"),
            "PAGE_STATE": str(scratch / "state.sh"),
            "EXPORTD_DATABASE_URL": database_url,
            "EXPORTD_SETTLE_TIME": "0.1",
            "EXPORTD_HTTP_ADDRESS": f"127.0.0.1:{self._ports['9467']}",
            **{
                f"GIT_{who}_{what}": value
                for who in ("AUTHOR", "COMMITTER")
                for what, value in (("NAME", "reader"), ("EMAIL", "reader@example.org"))
            },
        }

    def run(self, fence: Fence) -> str:
        """What it prints; raises ``Failed`` where it ends otherwise than the page says."""
        code = _INSTALL.sub("", fence.code)
        for told, free in self._ports.items():
            code = code.replace(told, free)
        is_daemon = _DAEMON.search(code.split("\n")[-1])
        end = self._ready if is_daemon else self._ended
        printed = end(fence, code, *self._start(fence, code))
        for told, free in self._ports.items():
            printed = printed.replace(free, told)
        return printed

    def close(self) -> None:
        """Whatever was started ends now."""
        for number, wait_s in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)):
            for session in self._sessions:
                with suppress(ProcessLookupError):
                    os.killpg(session.pid, number)
            deadline = time.monotonic() + wait_s
            while any(map(_lives, self._sessions)) and time.monotonic() < deadline:
                time.sleep(0.02)

    def _clone(self) -> None:
        """What a clone has, as far as pages use it, and under version control."""
        self._folder.mkdir()
        for name in ("examples", "systemd"):
            shutil.copytree(ROOT / name, self._folder / name)
        for name in ("README.md", "config.example.toml", "pyproject.toml"):
            if (ROOT / name).exists():
                shutil.copy(ROOT / name, self._folder)
        (self._folder / ".venv").symlink_to(sys.prefix)
        git = ["git", "-c", "user.name=reader", "-c", "user.email=reader@example.org"]
        subprocess.run([*git, "init", "-q"], cwd=self._folder, check=True)
        (self._folder / ".git" / "info" / "exclude").write_text(".venv\n")
        for arguments in (["add", "-A"], ["commit", "-qm", "As cloned"]):
            subprocess.run([*git, *arguments], cwd=self._folder, check=True)

    def _start(self, fence: Fence, code: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Blank lines before the code, so that bash counts lines as the page does."""
        script = self._folder.parent / f"{fence.line}.sh"
        output = script.with_suffix(".out")
        script.write_text("\n" * (fence.line - 1) + code + "\n")
        command = ["bash", str(script)]
        if fence.language == "python":
            command = [sys.executable, str(script)]
        with output.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._sessions.append(process)
        return process, output

    def _ended(
        self, fence: Fence, code: str, process: subprocess.Popen[bytes], output: Path
    ) -> str:
        try:
            found = process.wait(_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise _failed(fence, code, output, f"not done after {_TIMEOUT_S:.0f} s") from None
        if found != fence.exits:
            raise _failed(fence, code, output, f"exit code {found}, expected {fence.exits}")
        if not _lives(process):
            self._sessions.remove(process)  # its number may soon be another's
        return _text(output)

    def _ready(
        self, fence: Fence, code: str, process: subprocess.Popen[bytes], output: Path
    ) -> str:
        """A daemon in a terminal of its own, as the reader has it, until the page ends."""
        deadline = time.monotonic() + _TIMEOUT_S
        while "service.ready" not in _text(output):
            if process.poll() is not None or time.monotonic() > deadline:
                raise _failed(fence, code, output, "the daemon did not get ready")
            time.sleep(0.02)
        return _text(output)


@contextmanager
def page_shell(scratch: Path, database_url: str) -> Iterator[PageShell]:
    shell = PageShell(scratch, database_url)
    try:
        yield shell
    finally:
        shell.close()


def missing_lines(expected: str, output: str) -> list[str]:
    """Lines of ``expected`` that ``output`` has not, in their order; "…" is anything."""
    lines = iter(output.splitlines())
    wanted = [line.strip() for line in expected.splitlines() if line.strip(" …")]
    patterns = [(line, ".*".join(map(re.escape, line.split("…")))) for line in wanted]
    return [
        line
        for line, pattern in patterns
        if not any(re.search(pattern, found.strip()) for found in lines)
    ]


def _failed(fence: Fence, code: str, output: Path, what: str) -> Failed:
    told = _text(output).replace(str(output.with_suffix(".sh")), fence.page).rstrip()
    return Failed(
        f"{fence.where}: {what}\n\nThe example\n\n{_indented(code)}\n\n"
        f"printed\n\n{_indented(told) or '    (nothing)'}\n\n"
        "Mend the page or the program. What cannot run here: <!-- not run: REASON -->"
    )


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines()[-60:])


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="backslashreplace")


def _lives(process: subprocess.Popen[bytes]) -> bool:
    """Whether anything of its session is left; what has ended is waited for."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
