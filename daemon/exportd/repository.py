"""The git repository that a project lies in: the only module that runs git.

git is run with arguments, never by a shell, with an end in time, and reads paths as they are
(NUL between them, no patterns). Which repository it is, the project's folder says, and not
variables that a git hook left behind. What a repository's own configuration may start is
switched off where git has a switch: the file system monitor, pagers, signatures in the log,
network. Its filters run as in any ``git status``; whose repository is trusted, git decides
by itself (``safe.directory``).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from .errors import ExportdError
from .standing import Change, Commit, GitStatus, Mark

_READ_S = 60.0
_COMMIT_S = 600.0  # hooks may run tests
_MOST_COMMITS = 50
_FIRST_COMMITS = 20  # so many are told where no checkpoint was before

_SAFE = (
    "--no-pager", "--literal-pathspecs",
    "-c", "core.fsmonitor=false",
    "-c", "core.quotePath=false",
    "-c", "log.showSignature=false",
    "-c", "submodule.recurse=false",
)  # fmt: skip
# They would lead to another repository, or contradict what we ask for.
_MISLEADING = {
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX",
    "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
    "GIT_LITERAL_PATHSPECS", "GIT_EXTERNAL_DIFF",
}  # fmt: skip
_COMMIT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class GitTrouble(ExportdError):
    """git is missing, refuses, or takes too long; the message is one line."""


class Repository:
    """The work tree around ``folder``; ``GitTrouble`` where there is none."""

    def __init__(self, folder: Path) -> None:
        found = shutil.which("git")
        if found is None:
            raise GitTrouble("git is not installed")
        self._git_path = found
        self._folder = folder
        top = self._git("rev-parse", "--show-toplevel").removesuffix(b"\n")
        if not top:
            raise GitTrouble("no work tree of git")
        self.top = Path(os.fsdecode(top))

    def status(self, last: Mark | None) -> GitStatus:
        """Branch, commit, changed files, and the commits since the last checkpoint."""
        out = self._git(
            "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal",
            "--ignore-submodules=dirty",
        )  # fmt: skip
        facts: dict[str, str] = {}
        changes = tuple(_changes(out, facts))
        head = facts.get("branch.oid", "")
        branch = facts.get("branch.head", "")
        status = GitStatus(
            "" if branch == "(detached)" else branch,
            head if _COMMIT_ID.fullmatch(head) else "",
            changes,
        )
        return self._with_commits(status, last) if status.head else status

    def _with_commits(self, status: GitStatus, last: Mark | None) -> GitStatus:
        most = _MOST_COMMITS if last else _FIRST_COMMITS
        which = ["HEAD"]
        if last and self._has(last.head):
            which += [f"^{last.head}"]
        elif last:
            which = [f"--since={last.until.isoformat()}", "HEAD"]
        form = "--format=%H%x00%cI%x00%s"
        out = self._git("log", "-z", "--encoding=UTF-8", f"--max-count={most}", form, *which)
        count = int(self._git("rev-list", "--count", *which))
        return GitStatus(
            status.branch, status.head, status.changes, tuple(_commits(out)), count
        )

    def _has(self, commit_id: str) -> bool:
        if not _COMMIT_ID.fullmatch(commit_id):
            return False
        try:
            self._git("cat-file", "-e", f"{commit_id}^{{commit}}")
        except GitTrouble:
            return False
        return True

    def changed(self, *paths: Path) -> list[Path]:
        """Files at or below these paths that differ from the last commit; ignored ones not."""
        out = self._git(
            "status", "--porcelain=v2", "-z", "--untracked-files=all",
            "--ignore-submodules=all", "--", *map(str, paths),
        )  # fmt: skip
        return [self.top / one.path for one in _changes(out, {})]

    def is_ignored(self, path: Path) -> bool:
        """Whether git is told to leave this file alone, which it does not know yet."""
        return self._run(["check-ignore", "-q", "--", str(path)], b"").returncode == 0

    def commit(self, paths: Sequence[Path], message: str) -> str:
        """Commit these files and nothing else; returns the commit's id.

        What else is in the index stays there. Hooks run. ``GitTrouble`` when git or a hook
        refuses: then nothing is committed, and the index is as it was.
        """
        if not paths:
            raise GitTrouble("git is told to ignore everything that was written")
        names = [str(path) for path in paths]
        known = self._git("ls-files", "-z", "--", *names).split(b"\0")
        unknown = [
            name
            for name in names
            if os.fsencode(os.path.relpath(name, self._folder)) not in known
        ]
        try:
            if unknown:
                self._git("add", "--", *unknown)
            self._git(
                "commit", "--quiet", "--only", "--file=-", "--", *names,
                stdin=message.encode("utf-8", "replace"), timeout_s=_COMMIT_S,
            )  # fmt: skip
        except GitTrouble:
            if unknown:
                self._run(["rm", "--cached", "--quiet", "--", *unknown], b"")
            raise
        return self._git("rev-parse", "HEAD").decode().strip()

    def _git(self, *arguments: str, stdin: bytes = b"", timeout_s: float = _READ_S) -> bytes:
        done = self._run(list(arguments), stdin, timeout_s)
        if done.returncode:
            raise GitTrouble(f"git {arguments[0]}: {_last_words(done)}")
        return done.stdout

    def _run(
        self, arguments: list[str], stdin: bytes, timeout_s: float = _READ_S
    ) -> subprocess.CompletedProcess[bytes]:
        kept = {name: text for name, text in os.environ.items() if name not in _MISLEADING}
        quiet = {
            "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true",
            "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0",
        }  # fmt: skip
        try:
            return subprocess.run(  # noqa: S603  # arguments, and no shell
                [self._git_path, *_SAFE, *arguments],
                cwd=self._folder,
                env={**kept, **quiet},
                input=stdin,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise GitTrouble(f"git {arguments[0]} took longer than {timeout_s:g} s") from error
        except OSError as error:
            raise GitTrouble(f"git cannot be run ({error.strerror})") from error


def _last_words(done: subprocess.CompletedProcess[bytes]) -> str:
    """What git or a hook said, on one line; the first word of it counts most."""
    said = (done.stderr.strip() or done.stdout.strip()).decode("utf-8", "backslashreplace")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " / ".join(lines[:3]).removeprefix("fatal: ")[:500] or f"exit code {done.returncode}"


def _changes(out: bytes, facts: dict[str, str]) -> Iterator[Change]:
    """The records of ``git status --porcelain=v2 -z``; its headers go into ``facts``."""
    records = iter(out.split(b"\0"))
    for record in records:
        kind, _, rest = record.partition(b" ")
        if kind == b"#":
            key, _, value = rest.decode("utf-8", "surrogateescape").partition(" ")
            facts[key] = value
        elif kind == b"?":
            yield Change("??", os.fsdecode(rest))
        elif kind in (b"1", b"2", b"u"):
            fields = rest.split(b" ", {b"1": 7, b"2": 8, b"u": 9}[kind])
            if kind == b"2":
                next(records, None)  # what it was called before
            yield Change(fields[0].decode(), os.fsdecode(fields[-1]))


def _commits(out: bytes) -> Iterator[Commit]:
    fields = out.decode("utf-8", "surrogateescape").split("\0")
    for commit_id, at, subject in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        yield Commit(commit_id, datetime.fromisoformat(at), subject)
