"""Conversations for programs: one JSON document, or a line for each record.

Both have everything that is stored and depend on nothing else: the same exports give the
same bytes. Written message by message: none but one is held.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..dumped import Dumped

# Raised when a program that reads the document would have to be changed.
VERSION = 1

# What a place in the document says already.
_SAID = ("type", "conversation_id")


def json_lines(conversations: Iterable[Dumped]) -> Iterator[str]:
    """A conversation's line comes before the lines of its messages."""
    for dumped in conversations:
        yield f"{_text(dumped.conversation)}\n"
        for message in dumped.messages:
            yield f"{_text(message)}\n"


def json_document(conversations: Iterable[Dumped]) -> Iterator[str]:
    """One object; each message on a line of its own, so that ``grep`` and ``diff`` work."""
    yield f'{{"format": "exportd", "version": {VERSION}, "conversations": ['
    for number, dumped in enumerate(conversations):
        head = {k: v for k, v in dumped.conversation.items() if k != "type"}
        yield f'{"," if number else ""}\n{_text(head)[:-1]}, "messages": ['
        for place, message in enumerate(dumped.messages):
            told = {k: v for k, v in message.items() if k not in _SAID}
            yield f"{',' if place else ''}\n{_text(told)}"
        yield "\n]}"
    yield "\n]}\n"


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
