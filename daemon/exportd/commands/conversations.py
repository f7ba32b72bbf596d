"""What commands share that take the id of a conversation."""

from __future__ import annotations

import difflib

from ..errors import UnknownConversation
from ..formats.text import escape, printable
from ..store import Store


def named(store: Store, name: str) -> str:
    """The conversation with this id or alias; ``UnknownConversation`` says what is near."""
    name = escape(name)  # an argument may be no text at all
    found = store.conversations_named(name)
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownConversation(
            f"{printable(name)} is another name of {len(found)} conversations: "
            f"{', '.join(found)}; say which"
        )
    close = difflib.get_close_matches(name, store.conversation_ids(), n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(close)}?" if close else "; 'exportd stats' lists them"
    raise UnknownConversation(f"there is no conversation {printable(name)}{hint}")
