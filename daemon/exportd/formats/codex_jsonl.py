"""Codex CLI rollouts (FORMATS 6): lines that are only ever added, so a line is its number.

What is said stands twice, as the event that a screen shows and as the item that the model
gets: the two are paired by their text, one message is made of them, and it has the number
and time of the line that came first. So a file that ends between the two makes no second one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from ..models import TOKENS, Fault, Kind, Message, Region, Role, Transcript
from . import codex_items, jsonl
from .base import Confidence
from .bulk import without_bulk
from .codex_items import Key, Said
from .jsonl import Line
from .text import escape, escape_value
from .values import dropped, moment, tokens

NAME = "codex-jsonl"
TITLE = "Codex CLI rollout"
PARSER_VERSION = 1
DETECTED_BY = "lines with `timestamp`, `type` and `payload`, such as `session_meta`"
VERSIONS = "0.47 to 0.104"

_TYPES = {"session_meta", "turn_context", "response_item", "event_msg", "compacted"}
_NO_FACTS = ("id", "instructions", "base_instructions")  # of the session; long, or told
_TURN_ENDS = ("task_complete", "turn_complete", "turn_aborted")
_NEAR = 50  # lines: the two copies of a text stand a few lines apart
_TWICE = "said by another line, too"


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
    faults = tuple(part for part in reader.parts if isinstance(part, Fault))
    parts = reader.parts if reader.has_talk or faults else list(map(_silent, reader.parts))
    return Transcript(
        format=NAME,
        parser_version=PARSER_VERSION,
        messages=_with_open_call([part for part in parts if isinstance(part, Message)]),
        regions=tuple(part for part in parts if isinstance(part, Region)),
        cwd=reader.header.get("cwd"),
        flags=("truncated_tail",) if jsonl.is_cut(faults, raw) else (),
        header=reader.header,
        session_id=reader.session_id,
        faults=faults,
    )


def _silent(part: Message | Region | Fault) -> Message | Region | Fault:
    """Of a start that was broken off: what was injected is no talk while nobody spoke."""
    if isinstance(part, Message):
        return Region(part.span, "ignored", "context of a session in which nobody spoke")
    return part


def _with_open_call(messages: list[Message]) -> tuple[Message, ...]:
    """A call at the end waits for its output; one without an id gets none."""
    last = messages[-1] if messages else None
    if last and last.kind is Kind.TOOL_CALL and last.extra.get("call_id"):
        messages[-1] = replace(last, in_flight=True)
    return tuple(messages)


class _Copies:
    """What one kind of line has said, and the other kind has not yet, by place in ``parts``."""

    def __init__(self) -> None:
        self._waiting: dict[Role, dict[Key, deque[tuple[int, int]]]] = {}

    def add(self, key: Key, place: int, line: int) -> None:
        of_role = self._waiting.setdefault(key[0], {})
        of_role.setdefault(key, deque()).append((place, line))

    def take(self, key: Key, line: int) -> int | None:
        """The place of the first that is near; one that is far away has no copy."""
        waiting = self._waiting.get(key[0], {}).get(key)
        while waiting:
            place, at = waiting.popleft()
            if line - at <= _NEAR:
                return place
        return None

    def forget(self, role: Role) -> None:
        """The copies of what was said so far, if there were any, have come."""
        self._waiting.pop(role, None)


@dataclass(slots=True)
class _Reader:
    parts: list[Message | Region | Fault] = field(default_factory=list)
    session_id: str | None = None
    header: dict[str, Any] = field(default_factory=dict)
    has_talk: bool = False
    _is_begun: bool = False
    _model: str | None = None
    _counted: object = None
    _last_answer: int | None = None  # its place
    _owed: dict[str, int] | None = None  # counted before the model said a thing
    _events: _Copies = field(default_factory=_Copies)
    _items: _Copies = field(default_factory=_Copies)

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
            self._item(line, codex_items.of_item(payload))
        elif kind == "compacted":
            self._item(line, codex_items.of_compaction(payload))
        else:
            self._event(line, payload)
        self._is_begun = True

    def _session(self, payload: dict[str, Any]) -> None:
        """Only the first line says what the file is: a fork has its origin's behind it."""
        own = payload.get("id")
        if not self._is_begun and not any(isinstance(part, Fault) for part in self.parts):
            self.session_id = escape(own) if isinstance(own, str) and own else None
            facts = {key: value for key, value in payload.items() if key not in _NO_FACTS}
            self.header |= escape_value(without_bulk(dropped(facts)))

    def _ignore(self, line: Line, label: str, reason: str) -> None:
        self.parts.append(Region(line.span, label, reason))

    def _event(self, line: Line, payload: dict[str, Any]) -> None:
        kind = payload.get("type")
        if kind == "token_count":
            self._count(payload.get("info"))
            self._ignore(line, "ignored", "a count of tokens")
            return
        said = codex_items.of_event(payload)
        if said is None:
            self._ignore(line, "ignored", "progress that the screen shows")
        elif any(self._items.take(key, line.number) is not None for key in said.copies):
            self._ignore(line, "ignored", _TWICE)
        else:
            for key in said.copies:
                self._events.add(key, len(self.parts), line.number)
            self._add(line, said)
        if kind in _TURN_ENDS:
            self._forget(Role.USER, Role.ASSISTANT)

    def _item(self, line: Line, said: Said) -> None:
        """An item takes the place of the events that said the same before."""
        place = len(self.parts)
        told: list[Message] = []
        for key in said.copies:
            earlier = self._events.take(key, line.number)
            if earlier is None:
                self._items.add(key, place, line.number)
                continue
            event = self.parts[earlier]
            if isinstance(event, Message):
                told.append(event)
                self.parts[earlier] = Region(event.span, "ignored", _TWICE)
        self._add(line, said)
        item = self.parts[place]
        if told and isinstance(item, Message):
            used = item.tokens
            for event in told:
                used = _sum(used, event.tokens)
            first = told[0]
            self.parts[place] = replace(
                item, source_id=first.source_id, occurred_at=first.occurred_at, tokens=used
            )

    def _add(self, line: Line, said: Said) -> None:
        at = moment(line.record.get("timestamp"))
        raw = {**said.rest, **({} if at else {"timestamp": line.record.get("timestamp")})}
        facts = {**said.extra, "raw": without_bulk(dropped(raw)) or None}
        is_answer = said.role is Role.ASSISTANT
        self.parts.append(
            Message(
                said.role,
                said.kind,
                escape(said.text),
                line.span,
                source_id=f"line-{line.number}",
                occurred_at=at,
                model=self._model if is_answer else None,
                tokens=self._owed if is_answer else None,
                extra=escape_value(dropped(facts)),
            )
        )
        self.has_talk = self.has_talk or not said.is_injected
        if is_answer:
            self._last_answer, self._owed = len(self.parts) - 1, None
            self._forget(Role.USER)

    def _forget(self, *roles: Role) -> None:
        for role in roles:
            self._events.forget(role)
            self._items.forget(role)

    def _count(self, info: Any) -> None:
        """The same count is told several times; it belongs to what the model said last."""
        if not isinstance(info, dict):
            return
        total = info.get("total_token_usage")
        if total is not None and total == self._counted:
            return
        self._counted = total
        used = _tokens(info.get("last_token_usage"))
        if self._last_answer is None:
            self._owed = _sum(self._owed, used)
            return
        answer = self.parts[self._last_answer]
        if isinstance(answer, Message):
            self.parts[self._last_answer] = replace(answer, tokens=_sum(answer.tokens, used))


def _sum(one: Any, other: Any) -> dict[str, int] | None:
    counts = [count for count in (one, other) if count]
    found = {k: sum(c.get(k, 0) for c in counts) for k in TOKENS if any(k in c for c in counts)}
    return found or None


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
