"""What a tool was asked to do: one line that says it, and the whole of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ...dumped import MessageRecord
from .code import language_of, preformatted
from .markup import Markup, element, joined
from .visible import beginning

_LINE = 160  # characters
_SHORT = 200  # characters: what stands beside its name

# What tells most about a call, of the inputs that the tools of several clients have.
_TELLING = (
    "command", "cmd", "file_path", "filePath", "notebook_path", "path", "pattern", "query",
    "url", "description", "prompt", "skill", "subject",
)  # fmt: skip
_PATHS = ("file_path", "filePath", "notebook_path", "path")
_SHELLS = {"bash", "shell", "exec_command", "run_shell_command", "local_shell"}
_OLD, _NEW = ("old_string", "oldString"), ("new_string", "newString")


def tool_of(message: MessageRecord) -> str:
    """The name of the tool, empty where the export has none."""
    tool = message["metadata"].get("tool")
    return tool if isinstance(tool, str) else ""


def call_line(message: MessageRecord) -> str:
    given = message["metadata"].get("input")
    if isinstance(given, Mapping):
        return beginning(_telling(given), _LINE)
    if isinstance(given, str):
        return beginning(given, _LINE)
    line = beginning(message["content"], _LINE)
    return "" if line == tool_of(message) else line


def call_body(message: MessageRecord) -> Markup:
    """The input, argument by argument; an edit as what went and what came."""
    given = message["metadata"].get("input")
    tool = tool_of(message)
    if isinstance(given, Mapping) and given:
        return element("div", *_arguments(tool, given), class_="arguments")
    text = given if isinstance(given, str) and given else message["content"]
    return preformatted(text, "bash" if tool.lower() in _SHELLS else "")


def _telling(given: Mapping[str, Any]) -> str:
    for key in _TELLING:
        if value := given.get(key):
            return _text(value)
    return next((_text(value) for value in given.values() if value), "")


def _arguments(tool: str, given: Mapping[str, Any]) -> Iterator[Markup]:
    language = next((language_of(str(given[key])) for key in _PATHS if key in given), "")
    old, new = (
        next((k for k in keys if isinstance(given.get(k), str)), "") for keys in (_OLD, _NEW)
    )
    for key, value in given.items():
        if old and new and key in (old, new):
            if key == old:
                yield _argument("change", _change(given[old], given[new]))
        else:
            is_shell = key in ("command", "cmd") and tool.lower() in _SHELLS
            text, known = _text(value), "bash" if is_shell else _language(value, language)
            is_short = not is_shell and len(text) <= _SHORT and "\n" not in text
            yield _argument(key, preformatted(text, known), is_short=is_short)


def _argument(name: str, body: Markup, *, is_short: bool = False) -> Markup:
    class_ = "argument short" if is_short else "argument"
    return element("div", element("div", name, class_="name"), body, class_=class_)


def _language(value: object, of_file: str) -> str:
    """That of the file for what is more than a line, JSON for what is no text."""
    if not isinstance(value, str):
        return "json"
    return of_file if "\n" in value else ""


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        return " ".join(value)
    return json.dumps(value, ensure_ascii=False, indent=2)


def _change(old: str, new: str) -> Markup:
    """Lines that went and lines that came, between those that stayed."""
    gone, come = old.splitlines(), new.splitlines()
    head = 0
    while head < min(len(gone), len(come)) and gone[head] == come[head]:
        head += 1
    tail = 0
    while tail < min(len(gone), len(come)) - head and gone[-1 - tail] == come[-1 - tail]:
        tail += 1
    lines = [
        *(f"  {line}" for line in gone[:head]),
        *(f"- {line}" for line in gone[head : len(gone) - tail]),
        *(f"+ {line}" for line in come[head : len(come) - tail]),
        *(f"  {line}" for line in gone[len(gone) - tail :]),
    ]
    return joined([preformatted("\n".join(lines), "diff")])
