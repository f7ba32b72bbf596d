"""Made-up talk as a session file of Claude Code: one JSON object a line."""

from __future__ import annotations

import base64
import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from .talk import Step, Turn

_BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)
_MODEL = "claude-opus-4-6"


def jsonl_pieces(
    of: Iterator[Turn], session_id: str, *, compact_every: int = 60
) -> Iterator[tuple[bytes, int]]:
    """The first line, then turn after turn, each with the messages that it shows."""
    session = _Session(session_id)
    yield session.head(), 0
    for number, turn in enumerate(of, 1):
        yield session.turn(turn)
        if compact_every and number % compact_every == 0:
            yield session.compaction(turn)


class _Session:
    def __init__(self, session_id: str) -> None:
        self._random = random.Random(session_id)  # noqa: S311
        self._session_id = session_id
        self._last: str | None = None
        self._at = _BEGIN + timedelta(minutes=self._random.randrange(400_000))
        self._lines: list[str] = []
        self._messages = 0

    def head(self) -> bytes:
        mode = {
            "type": "permission-mode",
            "permissionMode": "default",
            "sessionId": self._session_id,
        }
        self._lines.append(json.dumps(mode))
        return self._taken()[0]

    def turn(self, turn: Turn) -> tuple[bytes, int]:
        self._user("\n".join(turn.prompt), promptSource="typed")
        self._snapshot()
        for step in turn.steps:
            self._step(step)
        self._answer({"type": "text", "text": "\n".join(turn.answer)})
        self._line("system", subtype="turn_duration", durationMs=self._random.randrange(90_000))
        return self._taken()

    def compaction(self, turn: Turn) -> tuple[bytes, int]:
        """The boundary, and the summary from which the session goes on."""
        before, self._last = self._last, None
        self._line(
            "system", subtype="compact_boundary", content="Conversation compacted",
            logicalParentUuid=before, isMeta=False, level="info",
            compactMetadata={"trigger": "auto", "preTokens": 155_000},
        )  # fmt: skip
        summary = "This session is being continued from a previous conversation.\n"
        self._user(
            summary + "\n".join(turn.answer), isCompactSummary=True,
            isVisibleInTranscriptOnly=True,
        )  # fmt: skip
        return self._taken()

    def _step(self, step: Step) -> None:
        if step.thought:
            thought = {"type": "thinking", "thinking": "\n".join(step.thought)}
            self._answer({**thought, "signature": self._signature()})
        if step.prose:
            self._answer({"type": "text", "text": "\n".join(step.prose)})
        call_id = f"toolu_{self._random.getrandbits(96):024x}"
        call = {"type": "tool_use", "id": call_id, "name": step.tool, "input": _input(step)}
        self._answer(call)
        text = "\n".join(step.result) or f"The file {step.target} has been updated."
        result = {"type": "tool_result", "tool_use_id": call_id, "content": text}
        told: dict[str, Any] = {"stdout": text, "stderr": "", "interrupted": False}
        if step.tool != "Bash":
            told = {"filePath": step.target, "numLines": len(step.result or step.lines)}
        self._user([{**result, "is_error": False}], toolUseResult=told)

    def _user(self, content: str | list[dict[str, Any]], **more: Any) -> None:
        self._line("user", message={"role": "user", "content": content}, **more)

    def _answer(self, block: dict[str, Any]) -> None:
        count = self._random.randrange
        usage = {
            "input_tokens": count(20), "cache_creation_input_tokens": count(9_000),
            "cache_read_input_tokens": count(150_000), "output_tokens": count(2_000),
            "service_tier": "standard",
        }  # fmt: skip
        message = {
            "id": f"msg_{self._random.getrandbits(96):024x}", "type": "message",
            "role": "assistant", "model": _MODEL, "content": [block], "stop_reason": None,
            "stop_sequence": None, "usage": usage,
        }  # fmt: skip
        self._line("assistant", message=message, requestId=f"req_{message['id']}")

    def _snapshot(self) -> None:
        record: dict[str, Any] = {
            "type": "file-history-snapshot", "messageId": self._last, "isSnapshotUpdate": False,
            "snapshot": {"messageId": self._last, "trackedFileBackups": {}},
        }  # fmt: skip
        self._lines.append(json.dumps(record))

    def _line(self, kind: str, **more: Any) -> None:
        own = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        self._at += timedelta(milliseconds=self._random.randrange(200, 20_000))
        record: dict[str, Any] = {
            "parentUuid": self._last, "isSidechain": False, "userType": "external",
            "cwd": "/home/ana/bakery", "sessionId": self._session_id, "version": "2.1.150",
            "gitBranch": "main", "type": kind, **more, "uuid": own,
            "timestamp": f"{self._at:%Y-%m-%dT%H:%M:%S}.{self._at.microsecond // 1000:03}Z",
        }  # fmt: skip
        self._lines.append(json.dumps(record, separators=(",", ":"), ensure_ascii=False))
        self._last = own
        self._messages += 1

    def _signature(self) -> str:
        at = self._random.randrange(900_000)
        return _noise()[at : at + self._random.randrange(200, 900)]

    def _taken(self) -> tuple[bytes, int]:
        taken = "\n".join([*self._lines, ""]).encode(), self._messages
        self._lines, self._messages = [], 0
        return taken


def _input(step: Step) -> dict[str, str]:
    text = "\n".join(step.lines)
    match step.tool:
        case "Bash":
            return {"command": step.target, "description": "Look for it"}
        case "Grep":
            return {"pattern": step.target, "output_mode": "content"}
        case "Read":
            return {"file_path": step.target}
        case "Edit":
            half = len(text) // 2
            return {"file_path": step.target, "old_string": text[:half], "new_string": text}
        case _:
            return {"file_path": step.target, "content": text}


@cache
def _noise() -> str:
    """A megabyte that does not compress, as signatures are."""
    return base64.b64encode(random.Random("noise").randbytes(750_000)).decode()  # noqa: S311
