"""Codex CLI rollouts (FORMATS 6): lines that are only ever added, so a line is its number.

What is said stands twice, as the event that a screen shows and as the item that the model
gets: the two are paired by their text, one message is made of them, and it has the number
and time of the line that came first. So a file that ends between the two makes no second one.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field, replace
from typing import Any

from ..models import Fault, Kind, Message, Region, Role, Transcript
from . import jsonl
from .base import Confidence
from .jsonl import Line
from .text import escape, escape_value
from .values import call, dropped, moment, text_in, tokens, without_data

NAME = "codex-jsonl"
TITLE = "Codex CLI rollout"
PARSER_VERSION = 1
DETECTED_BY = "lines with `timestamp`, `type` and `payload`, such as `session_meta`"
VERSIONS = "0.47 to 0.104"

_TYPES = {"session_meta", "turn_context", "response_item", "event_msg", "compacted"}
_EVENTS = {
    "user_message": (Role.USER, Kind.PROMPT, "message"),
    "agent_message": (Role.ASSISTANT, Kind.TEXT, "message"),
    "agent_reasoning": (Role.ASSISTANT, Kind.THINKING, "text"),
}
_CALLS = ("function_call", "custom_tool_call", "local_shell_call", "web_search_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_INJECTED = (
    "<environment_context>", "<user_instructions>", "# AGENTS.md instructions",
    "<INSTRUCTIONS>", "<permissions instructions>", "<collaboration_mode>",
    "<skills_instructions>",
)  # fmt: skip
_HEADER = (
    "originator", "cli_version", "source", "model_provider", "git", "forked_from_id", "cwd",
)  # fmt: skip
_TWICE = "said by another line, too"

_Key = tuple[Role, Kind, str]


def detect(head: bytes, name: str) -> Confidence:
    """Certain by a line of one of the types, with a payload."""
    for record in jsonl.first_records(head):
        if str(record.get("type")) in _TYPES and isinstance(record.get("payload"), dict):
            return Confidence(certain=True, reason="lines with type and payload")
    start = head[:4096]
    if b'"payload"' in start and b'"session_meta"' in start:
        return Confidence(certain=True, reason="a long first line of type session_meta")
    return Confidence(certain=False, reason="no line with type and payload of Codex")


def parse(raw: bytes, name: str) -> Transcript:
    """Read a whole rollout; a damaged line is a fault, and costs no other."""
    reader = _Reader()
    for line in jsonl.lines(raw):
        if isinstance(line, Line):
            reader.line(line)
        else:
            reader.parts.append(line)
    if error := jsonl.unread(reader.parts, raw, "a Codex rollout"):
        raise error
    messages = [part for part in reader.parts if isinstance(part, Message)]
    if messages and messages[-1].extra.get("call_id") and messages[-1].kind is Kind.TOOL_CALL:
        messages[-1] = replace(messages[-1], in_flight=True)
    faults = tuple(part for part in reader.parts if isinstance(part, Fault))
    cut = bool(faults) and faults[-1].span.end == len(raw)
    return Transcript(
        format=NAME,
        parser_version=PARSER_VERSION,
        messages=tuple(messages),
        regions=tuple(part for part in reader.parts if isinstance(part, Region)),
        cwd=reader.header.get("cwd"),
        flags=("truncated_tail",) if cut else (),
        header=reader.header,
        session_id=reader.session_id,
        faults=faults,
    )


@dataclass(slots=True)
class _Reader:
    parts: list[Message | Region | Fault] = field(default_factory=list)
    session_id: str | None = None
    header: dict[str, Any] = field(default_factory=dict)
    _model: str | None = None
    _counted: object = None
    # What was said once so far: places in ``parts``, by what is said, apart for both kinds.
    _events: dict[_Key, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    _items: dict[_Key, deque[int]] = field(default_factory=lambda: defaultdict(deque))

    def line(self, line: Line) -> None:
        kind, payload = line.record.get("type"), line.record.get("payload")
        if not isinstance(kind, str) or not isinstance(payload, dict):
            self.parts.append(Fault(line.span, "no type and payload", line.number))
        elif kind == "session_meta":
            self._session(payload)
            self._ignore(line, "header", "what the session is")
        elif kind == "turn_context":
            model = payload.get("model")
            self._model = escape(model) if isinstance(model, str) else self._model
            self._ignore(line, "ignored", "settings of a turn")
        elif kind == "response_item":
            self._item(line, payload)
        elif kind == "compacted":
            text = payload.get("message")
            rest = {
                k: v for k, v in payload.items() if k not in ("message", "replacement_history")
            }
            self._add(line, Role.SYSTEM, Kind.NOTICE, text_in(text) or "[compacted]", rest)
        else:
            self._event(line, payload)

    def _session(self, payload: dict[str, Any]) -> None:
        """The first one counts: a fork has those of its origin behind it."""
        own = payload.get("id")
        if self.session_id is None and isinstance(own, str) and own:
            self.session_id = escape(own)
            known = {key: payload.get(key) for key in _HEADER}
            self.header |= escape_value(dropped(known))

    def _ignore(self, line: Line, label: str, reason: str) -> None:
        self.parts.append(Region(line.span, label, reason))

    def _add(
        self,
        line: Line,
        role: Role,
        kind: Kind,
        text: str,
        rest: dict[str, Any],
        extra: dict[str, Any] | None = None,
    ) -> None:
        at = moment(line.record.get("timestamp"))
        stamp = {} if at else {"timestamp": line.record.get("timestamp")}
        raw = without_data(dropped({**rest, **stamp}))
        facts = escape_value({**(extra or {}), **({"raw": raw} if raw else {})})
        self.parts.append(
            Message(
                role,
                kind,
                escape(text),
                line.span,
                source_id=f"line-{line.number}",
                occurred_at=at,
                model=self._model if role is Role.ASSISTANT else None,
                extra=facts,
            )
        )

    def _event(self, line: Line, payload: dict[str, Any]) -> None:
        kind = str(payload.get("type"))
        if kind in _EVENTS:
            role, what, key = _EVENTS[kind]
            text = text_in(payload.get(key))
            said = (role, what, "".join(text.split()))
            if self._items[said]:
                self._items[said].popleft()
                self._ignore(line, "ignored", _TWICE)
                return
            self._events[said].append(len(self.parts))
            rest = {k: v for k, v in payload.items() if k not in ("type", key) and v}
            self._add(line, role, what, text, rest)
        elif kind == "token_count":
            self._count(payload.get("info"))
            self._ignore(line, "ignored", "a count of tokens")
        elif kind in ("turn_aborted", "error", "warning", "context_compacted"):
            rest = {k: v for k, v in payload.items() if k != "type"}
            said_text = text_in(payload.get("message") or payload.get("reason"))
            text = f"[{kind}] {said_text}".strip()
            self._add(line, Role.SYSTEM, Kind.NOTICE, text, rest)
        else:
            self._ignore(line, "ignored", "progress that the screen shows")

    def _count(self, info: Any) -> None:
        """The same count is told several times; it belongs to what the model said last."""
        if not isinstance(info, dict) or info.get("total_token_usage") == self._counted:
            return
        self._counted = info.get("total_token_usage")
        used = _tokens(info.get("last_token_usage"))
        for place in range(len(self.parts) - 1, -1, -1):
            part = self.parts[place]
            if isinstance(part, Message) and part.role is Role.ASSISTANT:
                if part.tokens and used:
                    used = {k: part.tokens.get(k, 0) + used.get(k, 0) for k in used}
                self.parts[place] = replace(part, tokens=used)
                return

    def _item(self, line: Line, payload: dict[str, Any]) -> None:
        kind = payload.get("type")
        if kind is not None and not isinstance(kind, str):
            kind = "item"
        if kind in ("message", None) and isinstance(payload.get("role"), str):
            self._message(line, payload)
        elif kind == "reasoning":
            self._reasoning(line, payload)
        elif kind in _CALLS:
            tool = payload.get("name") if isinstance(payload.get("name"), str) else str(kind)
            given = payload.get("arguments", payload.get("input", payload.get("action")))
            facts = {"tool": tool, "input": given, "call_id": payload.get("call_id")}
            used = ("type", "name", "arguments", "input", "action", "call_id", "status")
            facts["status"] = payload.get("status")
            rest = {k: v for k, v in payload.items() if k not in used}
            text = call(str(tool), "" if given is None else given)
            self._add(line, Role.ASSISTANT, Kind.TOOL_CALL, text, rest, dropped(facts))
        elif kind in _OUTPUTS:
            rest = {k: v for k, v in payload.items() if k not in ("type", "output", "call_id")}
            extra = dropped({"call_id": payload.get("call_id")})
            text = text_in(payload.get("output"))
            self._add(line, Role.TOOL, Kind.TOOL_RESULT, text, rest, extra)
        else:
            rest = {k: v for k, v in payload.items() if k != "type"}
            self._add(line, Role.SYSTEM, Kind.NOTICE, f"[{kind}]", rest)

    def _message(self, line: Line, payload: dict[str, Any]) -> None:
        text, speaker = text_in(payload.get("content")), payload["role"]
        used = ("type", "role", "content")
        rest = {k: v for k, v in payload.items() if k not in used}
        if speaker == "assistant":
            role, kind = Role.ASSISTANT, Kind.TEXT
        elif speaker == "user" and not text.lstrip().startswith(_INJECTED):
            role, kind = Role.USER, Kind.PROMPT
        else:
            role, kind = Role.SYSTEM, Kind.NOTICE
        self._add(line, role, kind, text, rest)
        self._pair([(role, kind, "".join(text.split()))])

    def _reasoning(self, line: Line, payload: dict[str, Any]) -> None:
        summary = payload.get("summary")
        texts = [text_in([one]) for one in summary] if isinstance(summary, list) else []
        content = payload.get("content")
        text = text_in(content) if content else "\n\n".join(texts)
        used = ("type", "summary", "content", "encrypted_content")
        rest = {k: v for k, v in payload.items() if k not in used}
        if isinstance(hidden := payload.get("encrypted_content"), str):
            rest["encrypted_content"] = f"[{len(hidden)} characters, encrypted]"
        self._add(line, Role.ASSISTANT, Kind.THINKING, text, rest)
        self._pair([(Role.ASSISTANT, Kind.THINKING, "".join(one.split())) for one in texts])

    def _pair(self, said: list[_Key]) -> None:
        """The item added last takes the place of the events that said the same before."""
        own = len(self.parts) - 1
        item = self.parts[own]
        for key in said:
            if not self._events[key]:
                self._items[key].append(own)
                continue
            place = self._events[key].popleft()
            event = self.parts[place]
            if isinstance(event, Message) and isinstance(item, Message):
                if key is said[0]:
                    item = replace(
                        item,
                        source_id=event.source_id,
                        occurred_at=event.occurred_at,
                        tokens=event.tokens,
                    )
                self.parts[place] = Region(event.span, "ignored", _TWICE)
        self.parts[own] = item


def _tokens(usage: Any) -> dict[str, int] | None:
    """``input_tokens`` of Codex counts what came from the cache, too."""
    if not isinstance(usage, dict):
        return None
    read, cached = usage.get("input_tokens"), usage.get("cached_input_tokens")
    if isinstance(read, int) and isinstance(cached, int) and 0 <= cached <= read:
        read -= cached
    return tokens(
        input=read,
        cache_read=cached,
        output=usage.get("output_tokens"),
        reasoning=usage.get("reasoning_output_tokens"),
        total=usage.get("total_tokens"),
    )
