"""Our hooks in a ``settings.json`` of Claude Code: put in, and taken out. Pure.

The form is that of the hooks reference, https://code.claude.com/docs/en/hooks (as of 2026-07):
``hooks``, an object of events, each a list of groups with a list ``hooks`` of handlers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .errors import RefusedRequest
from .json_edit import Member, cut, insert, member, members, top

OURS = "-m exportd.hook "
_TIMEOUT_S = 60  # also what a session's end may take; without, Claude Code kills after 1.5 s


def checked(text: str, name: str) -> dict[str, Any]:
    """What is in the settings; ``RefusedRequest`` says where they are not as they should be."""
    try:
        found = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise RefusedRequest(
            f"{name}: is not JSON: {error.msg} in line {error.lineno}, column {error.colno}; "
            "mend it first, nothing was changed"
        ) from error
    except RecursionError as error:
        raise RefusedRequest(f"{name}: is nested too deep") from error
    except ValueError as error:
        raise RefusedRequest(f"{name}: {error}; mend it first, nothing was changed") from error
    if not isinstance(found, dict):
        raise RefusedRequest(f"{name}: expected a JSON object, found something else")
    hooks = found.get("hooks", {})
    if not isinstance(hooks, dict) or not all(isinstance(v, list) for v in hooks.values()):
        raise RefusedRequest(f'{name}: expected "hooks" to be an object of lists')
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def with_hooks(text: str, events: Sequence[str], command: str) -> tuple[str, list[str]]:
    """The settings with one hook for each event, and what had to be made for that.

    ``hooks`` is the object of all hooks, ``hooks/EVENT`` the list of one event.
    """
    made = []
    if member(text, top(text), "hooks") is None:
        text = insert(text, top(text), 0, "hooks", {})
        made.append("hooks")
    handler = {"type": "command", "command": command, "timeout": _TIMEOUT_S}
    for event in events:
        if member(text, _hooks(text).value, event) is None:
            text = insert(text, _hooks(text).value, 1, event, [])
            made.append(f"hooks/{event}")
        at = _event(text, event).value
        text = insert(text, at, 2, None, {"hooks": [handler]})
    return text, made


def without_hooks(text: str, made: Sequence[str] | None) -> str:
    """The settings without our hooks; what was ``made`` for them goes when it is empty.

    None: nobody knows what was made, and so whatever became empty goes.
    """
    if member(text, top(text), "hooks") is None:
        return text
    as_it_was = text
    for event in [one.key for one in members(text, _hooks(text).value) if one.key]:
        before = text
        text = _without_handlers(text, event)
        may_go = f"hooks/{event}" in made if made is not None else text != before
        if may_go and not members(text, _event(text, event).value):
            at = _hooks(text).value
            names = [one.key for one in members(text, at)]
            text = cut(text, at, 1, names.index(event))
    may_go = "hooks" in made if made is not None else text != as_it_was
    if may_go and not members(text, _hooks(text).value):
        names = [one.key for one in members(text, top(text))]
        text = cut(text, top(text), 0, names.index("hooks"))
    return text


def _without_handlers(text: str, event: str) -> str:
    while True:
        at = _event(text, event).value
        found = _first_of_ours(text, at)
        if found is None:
            return text
        group, handlers, index = found
        if len(members(text, handlers)) > 1:
            text = cut(text, handlers, 4, index)
        else:
            text = cut(text, at, 2, group)


def _first_of_ours(text: str, at: int) -> tuple[int, int, int] | None:
    """A handler of ours: its group, where the list of handlers begins, its place in there."""
    for number, group in enumerate(members(text, at)):
        found = member(text, group.value, "hooks") if text[group.value] == "{" else None
        if found and text[found.value] == "[":
            for index, handler in enumerate(members(text, found.value)):
                if _is_ours(json.loads(text[handler.value : handler.end])):
                    return number, found.value, index
    return None


def _is_ours(handler: Any) -> bool:
    return isinstance(handler, dict) and OURS in str(handler.get("command"))


def _hooks(text: str) -> Member:
    found = member(text, top(text), "hooks")
    assert found  # noqa: S101  # whoever asks has looked
    return found


def _event(text: str, event: str) -> Member:
    found = member(text, _hooks(text).value, event)
    assert found  # noqa: S101  # whoever asks has looked
    return found
