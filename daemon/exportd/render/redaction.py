"""Names struck from texts that were written long ago. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

from ..formats.text import printable

STRUCK = "(purged)"
_BLOCK = "– purged: a file of a conversation that was purged"
_HEAD = re.compile(r"[✓✗…] \w+: ")
_SUMMARY = re.compile(r"  (?:dead_letter|deferred): ")
_SESSION = "    Session: "
_COUNTS = "    Messages: "


def redacted(log: str, ids: Collection[str], names: Collection[str]) -> str:
    """A status log without the files of the conversations ``ids``, and without ``names``.

    The entry of a file that is one of theirs goes whole; elsewhere the name alone.
    """
    told = {printable(name) for name in (*ids, *names)}
    blocks = log.split("\n\n")
    return "\n\n".join(_block(block, ids, told) for block in blocks)


def _block(block: str, ids: Collection[str], told: Collection[str]) -> str:
    lines = block.split("\n")
    start = next((n for n, line in enumerate(lines) if _HEAD.match(line)), None)
    if start is None:
        return "\n".join(struck(line, told) if _SUMMARY.match(line) else line for line in lines)
    file = lines[start:]
    is_theirs = any(f"{_SESSION}{printable(name)}" in file for name in ids)
    if is_theirs or _name(file[0]) in told:
        return "\n".join([*lines[:start], _BLOCK])
    kept = (line if line.startswith(_COUNTS) else struck(line, told) for line in file[1:])
    return "\n".join([*lines[:start], struck(file[0], told), *kept])


def _name(head: str) -> str:
    """The name in ``✓ ingested: NAME (1.2 KB)``."""
    return re.sub(r" \([^()]* (?:bytes?|[KMG]B)\)$", "", _HEAD.sub("", head, count=1))


def struck(text: str, names: Collection[str]) -> str:
    """``text`` with each of ``names`` struck, where it stands as a word of its own."""
    longest_first = sorted((re.escape(name) for name in names if name), key=len, reverse=True)
    if not longest_first:
        return text
    return re.sub(rf"(?<![\w.-])(?:{'|'.join(longest_first)})(?![\w-])", STRUCK, text)
