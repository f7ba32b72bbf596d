"""One message: what was said stands open, what a machine did is folded into a line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from ...dumped import MessageRecord, RenderingRecord
from ..wording import some
from .calls import call_body, call_line, tool_of
from .code import preformatted
from .markup import Markup, element
from .prose import prose
from .visible import beginning

_LINE = 160  # characters
_SPOKEN = {("user", "prompt"), ("user", "text"), ("assistant", "text"), ("assistant", "prompt")}
_FOLDED = {
    "tool_call": "Tool",
    "tool_result": "Result",
    "thinking": "Thinking",
    "notice": "Notice",
    "command": "Command",
    "attachment": "Attachment",
}
# How Claude Code writes down what the user called.
_NAME = re.compile(r"<command-name>([^<]{1,200})</command-name>")
_GIVEN = re.compile(r"<command-args>([^<]{1,2000})</command-args>")
_TOKENS = {
    "input": "input",
    "cache_read": "read from cache",
    "cache_write": "written to cache",
    "output": "output",
    "reasoning": "of it reasoning",
    "total": "in all",
}


def message(record: MessageRecord, *, speaker: str, model: str) -> Markup:
    """``speaker`` and ``model`` are those of the message before: said where they change."""
    if (record["role"], record["kind"]) in _SPOKEN:
        return _spoken(record, speaker, model)
    return _folded(record)


def speaker_of(record: MessageRecord) -> str:
    """Who has the word; empty for what a machine did."""
    is_spoken = (record["role"], record["kind"]) in _SPOKEN
    return record["role"].capitalize() if is_spoken else ""


def model_of(record: MessageRecord) -> str:
    found = record["metadata"].get("model")
    return found if isinstance(found, str) else ""


def moment(when: datetime) -> Markup:
    """UTC until the page's script puts it into the reader's own zone."""
    utc = when.astimezone(UTC)
    return element(
        "time",
        f"{utc:%Y-%m-%d %H:%M} UTC",
        datetime=f"{utc:%Y-%m-%dT%H:%M:%SZ}",
        title=f"{utc:%Y-%m-%d %H:%M:%S} UTC",
    )


def _spoken(record: MessageRecord, speaker: str, model: str) -> Markup:
    who = speaker_of(record)
    is_prompt = record["kind"] == "prompt"
    body = preformatted(record["content"]) if is_prompt else prose(record["content"])
    goes_on = who == speaker and not is_prompt
    return element(
        "article",
        element(
            "header",
            element("h3", who, class_="unseen" if goes_on else None),
            _model(record, model),
            _meta(record),
        ),
        element("div", body, class_="t"),
        *_notes(record),
        id=f"m{record['message_index']}",
        class_=f"m {'prompt' if is_prompt else 'text'}",
    )


def _model(record: MessageRecord, before: str) -> Markup | None:
    found = model_of(record)
    return element("span", found, class_="model") if found and found != before else None


def _folded(record: MessageRecord) -> Markup:
    kind = record["kind"]
    label, line = _label(record)
    body = {"tool_call": call_body, "thinking": _thought}.get(kind, _printed)(record)
    summary = element(
        "summary",
        element("span", label, class_="label t"),
        element("span", line, class_="line") if line else None,
    )
    return element(
        "div",
        element("details", summary, element("div", body, class_="t body"), *_notes(record)),
        _meta(record),
        id=f"m{record['message_index']}",
        class_=f"m aside {kind if kind in _FOLDED else 'other'}",
    )


def _label(record: MessageRecord) -> tuple[str, str]:
    kind = record["kind"]
    if kind == "tool_call":
        return tool_of(record) or _FOLDED[kind], call_line(record)
    if kind == "command" and (name := _NAME.search(record["content"])):
        given = _GIVEN.search(record["content"])
        return _FOLDED[kind], beginning(f"{name[1]} {given[1] if given else ''}", _LINE)
    lines = record["content"].count("\n") + 1
    line = beginning(record["content"].lstrip(), _LINE) or "(empty)"
    if kind == "tool_result" and lines > 1:
        line = f"{line} ({lines:,} lines)"
    if record["metadata"].get("is_error"):
        return "Error", line
    return _FOLDED.get(kind, f"{record['role']} {kind}".capitalize()), line


def _thought(record: MessageRecord) -> Markup:
    return prose(record["content"])


def _printed(record: MessageRecord) -> Markup:
    return preformatted(record["content"])


def _meta(record: MessageRecord) -> Markup:
    index = record["message_index"]
    when = record["occurred_at"]
    return element(
        "div",
        _tokens(record["metadata"].get("tokens")),
        moment(datetime.fromisoformat(when)) if when else None,
        element(
            "a", f"#{index}", href=f"#m{index}", class_="link", title="Link to this message"
        ),
        class_="meta",
    )


def _tokens(found: object) -> Markup | None:
    if not isinstance(found, Mapping):
        return None
    counts: dict[str, int] = {k: v for k, v in found.items() if isinstance(v, int)}
    total = counts.get("total") or sum(counts.get(key, 0) for key in ("input", "output"))
    if not total:
        return None
    told = ", ".join(f"{counts[k]:,} {words}" for k, words in _TOKENS.items() if counts.get(k))
    return element("span", some(total, "token"), title=told, class_="tokens")


def _notes(record: MessageRecord) -> Iterator[Markup]:
    """What exports do not agree about, and what was not complete when the last was taken."""
    if record["in_flight"]:
        yield element("p", "It was still running when it was last exported.", class_="note")
    if record["renderings"]:
        yield _renderings(record["renderings"])


def _renderings(found: list[RenderingRecord]) -> Markup:
    count = len(found)
    what = "another rendering" if count == 1 else f"{count} other renderings"
    return element(
        "details",
        element("summary", f"Exports have {what} of this message"),
        *(element("div", preformatted(one["content"]), class_="t body") for one in found),
        class_="renderings",
    )
