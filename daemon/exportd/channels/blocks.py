"""A message in Slack's Block Kit, and text that Slack takes for text.

Pure. Limits are those of https://docs.slack.dev/reference/block-kit/blocks, and one that is
not told there: all blocks together are refused as ``msg_blocks_too_long`` from about 13,000
characters on (slackapi/bolt-js#2509).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..alerts.notice import Notice
from ..alerts.plain import cut
from ..alerts.words import (
    LIST_ALL,
    Words,
    all_words,
    footer,
    headline,
    left_out,
    repeat_note,
    text,
)

Block = dict[str, Any]

_SECTION = 3000
_HEADER = 150
_TEXT = 40_000
_ALERTS = 14  # of three blocks each at most, beside six others: fewer than 50
_ALL = 9000
_ENTITY = re.compile(r"&[a-z]*$")
_MENTION = re.compile(r"@(?=channel|here|everyone|group)", re.IGNORECASE)


def fallback(notice: Notice) -> str:
    """What a notification shows, and all there is where blocks are refused."""
    return escaped(text(notice), _TEXT)


def blocks(notice: Notice) -> list[Block]:
    """The message in at most 50 blocks; what does not fit is counted."""
    line = headline(notice)
    found: list[Block] = [_header(line)]
    shown = 0
    for words in all_words(notice)[:_ALERTS]:
        parts = list(_alert(words, line if notice.count == 1 else ""))
        if shown and _size(found) + _size(parts) > _ALL:
            break
        found += [{"type": "divider"}, *parts] if shown else parts
        shown += 1
    return found + list(_ending(notice, shown))


def escaped(text: str, limit: int) -> str:
    """``text`` that Slack shows as it stands, cut to ``limit`` characters.

    No mention, link or command can come of it: ``& < >`` are entities, and the words that
    call everybody are parted from their ``@`` by a character without width.
    """
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    safe = _MENTION.sub("@\u200b", safe)
    if len(safe) <= limit:
        return safe
    return _ENTITY.sub("", safe[: limit - 1]) + "…"


def _alert(words: Words, header: str) -> Iterator[Block]:
    """One alert; what stands in the header, where that is its own, is not told again."""
    head = "" if header else f"*{escaped(f'{words.sign} {words.title}', 300)}*\n"
    if words.conversation and words.conversation not in header:
        head += f"{_code(words.conversation)}\n"
    yield _section(head, escaped(words.body, _SECTION - len(head)))
    advice = ""
    if words.over:
        advice += f"*Why it is over:* {escaped(words.over, 1000)}\n"
    if words.todo:
        advice += f"*What to do:* {escaped(words.todo, 1000)}\n"
    if advice:
        yield _section(advice, "")
    ack = f"acknowledge: `{words.ack}`" if words.ack else ""
    if facts := " · ".join(filter(None, [escaped(words.facts, 300), ack])):
        yield _context(facts)


def _ending(notice: Notice, shown: int) -> Iterator[Block]:
    if further := left_out(notice, shown):
        yield {"type": "divider"}
        lines = "\n".join(f"• {escaped(line, 120)}" for line in further)
        yield _section(f"*Left out here*\n{lines}\n", f"All of them: `{LIST_ALL}`")
    if note := repeat_note(notice):
        yield _context(escaped(note, 300))
    yield _context(escaped(footer(notice), 300))


def _header(line: str) -> Block:
    # plain_text knows no mentions and no links; entities would show as they stand.
    title = {"type": "plain_text", "text": cut(line, _HEADER), "emoji": False}
    return {"type": "header", "text": title}


def _section(head: str, rest: str) -> Block:
    return {"type": "section", "text": _mrkdwn(f"{head}{rest}".strip() or "–")}


def _context(line: str) -> Block:
    return {"type": "context", "elements": [_mrkdwn(line)]}


def _mrkdwn(safe: str) -> dict[str, Any]:
    # verbatim: no name of a channel and no address in it becomes a link.
    return {"type": "mrkdwn", "text": safe, "verbatim": True}


def _code(name: str) -> str:
    return f"`{escaped(name.replace('`', 'ˋ'), 300)}`"


def _size(found: list[Block]) -> int:
    return sum(len(str(block)) for block in found)
