"""What Claude Code runs as a hook: a session's file, copied into the drop folder.

``python3 -P -m exportd.hook --memory-dir DIR`` with the event as JSON on standard input. It
loads nothing but the standard library, says nothing on standard output and ends with 0
whatever happens: Claude must not wait, and must not fail. What went wrong stands in
``.exportd/claude-code-hook.log`` of the memory folder.

A copy appears whole, under a name that is free. What did not change since its last copy is
not copied again. Behind the last complete line nothing is copied: Claude may be writing.
``--session ID`` stands for an event, and then it is said what was done.
"""

import json
import os
import re
import stat
import sys
import time

_EVENT_BYTES = 4 << 20
_LOG_BYTES = 256 << 10
_CHUNK = 1 << 20
_TAIL_BYTES = 64 << 20  # a line that is longer is not looked at for being complete
_HEAD_BYTES = 64 << 10
_TMP = ".exportd-hook-"
_LOG = "claude-code-hook.log"
_STALE_S = 3600.0
_MOST_WAITING = 1_000  # copies of one session, while nobody takes them

# After an answer a file is copied when it is small, or grew by a quarter: all copies together
# are then at most five times as large as the last.
_SMALL_BYTES = 1 << 20
_GROWTH = 1.25

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_AGENT = re.compile(r"agent-[A-Za-z0-9_-]{1,99}\.jsonl")


class _Unfit(Exception):
    """The event, or a file, is not what was expected."""


def main(arguments: list[str]) -> int:
    """Always 0."""
    memory_dir = ""
    try:
        options = dict(zip(arguments[::2], arguments[1::2], strict=True))
        memory_dir = options["--memory-dir"]
        if "--session" in options:
            print(_of_session(memory_dir, options["--session"]))  # noqa: T201  # its purpose
        else:
            _of_event(memory_dir, _event(sys.stdin.buffer.read(_EVENT_BYTES)))
    except BaseException as error:  # Claude must not fail
        if "--session" in arguments:
            print(f"exportd could not copy this session: {str(error)!a}")  # noqa: T201
        else:
            _log(memory_dir, f"{type(error).__name__}: {error}")
    return 0


def _event(raw: bytes) -> dict[str, object]:
    event = json.loads(raw)
    if not isinstance(event, dict):
        raise _Unfit("expected an event as a JSON object on standard input")
    return event


def _of_event(memory_dir: str, event: dict[str, object]) -> list[str]:
    """The names that were dropped, for a person to read."""
    path = event.get("transcript_path")
    if not isinstance(path, str) or not path:
        raise _Unfit("the event has no transcript_path")
    path = os.path.expanduser(path)
    name = os.path.basename(path)
    session_id = event.get("session_id")
    if not isinstance(session_id, str) or not _ID.fullmatch(session_id):
        session_id = name.removesuffix(".jsonl")
    if not _ID.fullmatch(session_id) or not name.endswith(".jsonl"):
        raise _Unfit(f"transcript_path {path!a}: expected the file of a session, *.jsonl")
    exports = os.path.join(memory_dir, "exports")
    if not os.path.isdir(exports):
        raise _Unfit(f"{exports!a} is no folder; 'exportd integrate' makes it")
    _tidy(exports)
    is_answer = event.get("hook_event_name") in ("Stop", "SubagentStop")
    dropped = []
    for source, drop in _sources(path, session_id):
        try:
            if copied := _copy(source, exports, drop, memory_dir, is_answer=is_answer):
                dropped.append(copied)
        except (OSError, _Unfit) as error:  # the others are copied all the same
            _log(memory_dir, f"{source!a}: {error}")
            if source == path and "hook_event_name" not in event:
                raise _Unfit("see .exportd/" + _LOG) from error
    return dropped


def _of_session(memory_dir: str, session_id: str) -> str:
    if not _ID.fullmatch(session_id):
        return "exportd was not told which session this is."
    root = os.environ.get("CLAUDE_CONFIG_DIR") or os.path.expanduser("~/.claude")
    projects = os.path.join(root, "projects")
    for project in sorted(os.listdir(projects)):
        path = os.path.join(projects, project, f"{session_id}.jsonl")
        if os.path.isfile(path):
            event: dict[str, object] = {"transcript_path": path, "session_id": session_id}
            dropped = _of_event(memory_dir, event)
            if dropped:
                return f"Handed to exportd: {', '.join(dropped)}."
            return "Nothing has changed since exportd was given this session."
    return f"exportd found no file of session {session_id} in {projects!a}."


def _sources(path: str, session_id: str) -> list[tuple[str, str]]:
    """The session's file and those of its sub-agents, each with the name of its drop."""
    found = [(path, f"{session_id}.jsonl")]
    beside = os.path.dirname(path)
    own = os.path.join(path.removesuffix(".jsonl"), "subagents")
    for folder, is_shared in ((own, False), (beside, True)):
        try:
            names = sorted(filter(_AGENT.fullmatch, os.listdir(folder)))
        except OSError:
            continue
        for name in names:
            agent = os.path.join(folder, name)
            if not is_shared or _is_of(agent, session_id):
                found.append((agent, f"{session_id}-{name}"))
    return found


def _is_of(agent: str, session_id: str) -> bool:
    """Whether its first line names the session; older versions keep all in one folder."""
    try:
        descriptor, _ = _opened(agent)
    except (OSError, _Unfit):
        return False
    with os.fdopen(descriptor, "rb") as file:
        try:
            first = json.loads(file.readline(_HEAD_BYTES))
        except ValueError:
            return False
    return isinstance(first, dict) and first.get("sessionId") == session_id


def _opened(path: str) -> tuple[int, os.stat_result]:
    """A regular file, and no link to one."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise _Unfit("is no regular file")
    return descriptor, status


def _copy(source: str, exports: str, drop: str, memory_dir: str, *, is_answer: bool) -> str:
    """The name that it was dropped under; empty where there is nothing new in it."""
    descriptor, status = _opened(source)
    try:
        noted = os.path.join(memory_dir, ".exportd", "claude-code", drop)
        seen = [status.st_ino, status.st_size, status.st_mtime_ns]
        before = _noted(noted)
        if before[:3] == seen:
            return ""
        end = _complete(descriptor, status.st_size)
        grew = before[3] <= end and before[0] == status.st_ino
        if not end or (grew and before[3] == end):
            return ""
        if is_answer and grew and _SMALL_BYTES < end < before[3] * _GROWTH:
            return ""
        temporary = os.path.join(exports, f"{_TMP}{os.urandom(8).hex()}.tmp")
        try:
            _write(descriptor, end, temporary, status)
            name = _shown(temporary, exports, drop)
        finally:
            _remove(temporary)
        _note(noted, [*seen, end])
        return name
    finally:
        os.close(descriptor)


def _complete(descriptor: int, size: int) -> int:
    """Where the last complete line ends; one without a line break may be complete, too."""
    tail, length = b"", _HEAD_BYTES
    while b"\n" not in tail and len(tail) < size:
        if length > _TAIL_BYTES:
            return size
        start = max(size - length, 0)
        tail = os.pread(descriptor, size - start, start)
        length *= 4
    last = tail[tail.rfind(b"\n") + 1 :]
    try:
        json.loads(last)
    except ValueError:
        return size - len(last)
    return size


def _write(descriptor: int, size: int, temporary: str, status: os.stat_result) -> None:
    copy = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        left = size
        while left:
            chunk = os.read(descriptor, min(_CHUNK, left))
            if not chunk:
                raise _Unfit("became shorter while it was copied")
            left -= len(chunk)
            while chunk:
                chunk = chunk[os.write(copy, chunk) :]
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    finally:
        os.close(copy)


def _shown(temporary: str, exports: str, drop: str) -> str:
    """Under its name, or with a number where a file of that name still waits.

    The names sort in the order in which the copies were made, and so they are ingested.
    """
    for number in range(1, _MOST_WAITING + 1):
        name = f"{drop[:-6]}_{number:04}.jsonl" if number > 1 else drop
        try:
            os.link(temporary, os.path.join(exports, name))
        except FileExistsError:
            continue
        return name
    raise _Unfit(f"{_MOST_WAITING} copies of it wait already; is exportd running?")


def _noted(path: str) -> list[int]:
    """What was copied last: inode, size, time, and up to where; zeros for nothing."""
    try:
        with open(path, encoding="ascii") as file:
            found = [int(word) for word in file.read(200).split()]
    except (OSError, ValueError):
        found = []
    return found if len(found) == 4 else [0, 0, 0, 0]


def _note(path: str, facts: list[int]) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.urandom(4).hex()}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(" ".join(map(str, facts)))
        os.replace(temporary, path)
    finally:
        _remove(temporary)


def _tidy(exports: str) -> None:
    """What a hook left behind that was killed while it copied."""
    with os.scandir(exports) as entries:
        for entry in entries:
            if entry.name.startswith(_TMP):
                try:
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE_S:
                        _remove(entry.path)
                except OSError:
                    continue


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return


def _log(memory_dir: str, trouble: str) -> None:
    """One line in the memory folder, or else on standard error; it never fails."""
    line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {ascii(trouble)[1:-1]}\n"
    path = os.path.join(memory_dir, ".exportd", _LOG)
    try:
        try:
            if os.stat(path).st_size > _LOG_BYTES:
                os.replace(path, f"{path}.1")
        except FileNotFoundError:
            pass
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o600), "a", encoding="ascii") as file:
            file.write(line)
    except OSError:
        try:
            sys.stderr.write(f"exportd: {line}")
        except OSError:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
