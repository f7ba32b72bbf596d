"""Conversations for the HTML export, made without a database, and what one may contain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Any

from exportd.dumped import ConversationRecord, Dumped, MessageRecord, Outline
from exportd.render.html import page

START = datetime(2026, 1, 12, 9, 30, tzinfo=UTC)


def said(role: str, kind: str, content: str, **more: Any) -> dict[str, Any]:
    """A message without its place; ``more`` are its metadata and other keys."""
    keys = ("in_flight", "renderings", "segment", "occurred_at")
    return {
        "role": role,
        "kind": kind,
        "content": content,
        **{key: more.pop(key) for key in keys if key in more},
        "metadata": more,
    }


def conversation(messages: Sequence[Mapping[str, Any]], **more: Any) -> Dumped:
    """Of one segment, or of those in ``more``; said a minute apart."""
    records = [_record(index, message) for index, message in enumerate(messages)]
    export = {
        "name": "2026-01-12-EXPORT-MILL.txt",
        "sha256": "0" * 64,
        "size_bytes": 1234,
        "message_count": len(records),
        "modified_at": START.isoformat(),
    }
    segment = {
        "ordinal": 0,
        "first_index": 0,
        "message_count": len(records),
        "starts_compacted": False,
        "format": "claude-code-text",
        "exports": [export],
    }
    head: Any = {
        "type": "conversation",
        "conversation_id": "mill",
        "total_messages": len(records),
        "metadata": {"title": "The mill", "cwd": "/home/ann/mill"},
        "aliases": [],
        "risk": {"level": "none", "reasons": []},
        "segments": [segment],
        **more,
    }
    return Dumped(_typed(head), iter(records), lambda: _outline(records))


# What a page may have no trace of when it is shown: each of these would act where it is not
# escaped, and says so by a global of the page, a dialog or a request.
HOSTILE = (
    "</script><script>window.acted = 1; alert(1)</script>",
    "<img src=x onerror='window.acted = 1; alert(2)'>",
    "<svg onload='window.acted = 1'><style>* { display: none }</style>",
    "</pre></div></details></article></main><h1 id=dark>fallen out</h1>",
    "[link](javascript:acted=1) <javascript:alert(3)> [](data:text/html,<script>1</script>)",
    "[link](java&#115;cript:alert(4)) [link](&#x6A;avascript:alert(5)) [up](//evil.example/x)",
    "![a](https://evil.example/a.png) ![](file:///etc/passwd) ![](data:image/png;base64,AA)",
    '"><b onmouseover=alert(6)>" \' ` ${alert(7)} {{7*7}} <!-- --> ]]> <![CDATA[',
    "```html\n</code></pre><script>window.acted = 1</script>\n```",
    '``` "onload=alert(8) <img>\n</pre>\n```',
    "<base href='https://evil.example/'><meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<link rel=stylesheet href=https://evil.example/x.css><iframe src=https://evil.example></iframe>",
    "<form action=https://evil.example><input name=query autofocus onfocus=alert(9)></form>",
    "\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x07link\x1b]8;;\x07 \x9b2J \x07 \x7f",
    "\u202egnp.exe\u202c \u2066isolated\u2069 \u200f &#x202e;evil",
    "␛0000 ␛DC80 ␛241B \ufeff \u2028 \u2029 \ufffe",
    "| a | b |\n|---|---|\n| <script>window.acted = 1</script> | `</td></table>` |",
    '# <script>window.acted = 1</script>\n\n[a]: javascript:alert(10)\n\n[a] <http://a.example/"onclick=alert(11)>',
)


def html(messages: Sequence[Mapping[str, Any]], **more: Any) -> str:
    return "".join(page([conversation(messages, **more)]))


def long_session(count: int) -> list[dict[str, Any]]:
    """A session as they are: a prompt, some prose, many calls and their results."""
    return list(islice(_turns(), count))


def _turns() -> Iterator[dict[str, Any]]:
    code = "\n".join(
        f"def grind_{n}(corn: int) -> int:\n    return corn * {n}  # fine" for n in range(8)
    )
    for number in cycle(range(1_000_000)):
        yield said("user", "prompt", f"Please mend wheel {number}.\nIt squeaks when it rains.")
        yield said("assistant", "thinking", f"Wheel {number} turns in the race.\n\n" * 4)
        yield said(
            "assistant", "text",
            f"I look at **wheel {number}**.\n\n- axle\n- the `hub`\n\n```python\n{code}\n```\n",
            model="claude-opus-4-1",
            tokens={"input": 12, "output": 345, "total": 357},
        )  # fmt: skip
        for step in range(4):
            yield said(
                "assistant", "tool_call", f"Bash(cat wheel-{number}-{step}.py)",
                tool="Bash", input={"command": f"cat wheel-{number}-{step}.py | head -40"},
            )  # fmt: skip
            yield said("tool", "tool_result", f"{code}\n" * 3, tool="Bash")
        yield said("assistant", "tool_call", "Edit", tool="Edit", input={
            "file_path": "wheel.py", "old_string": code,
            "new_string": code.replace("fine", "coarse"),
        })  # fmt: skip
        yield said("tool", "tool_result", "The file wheel.py has been updated.", tool="Edit")
        yield said(
            "assistant", "text", f"Wheel {number} is quiet now. The fault was the grease."
        )


def _record(index: int, message: Mapping[str, Any]) -> MessageRecord:
    record: Any = {
        "type": "message",
        "conversation_id": "mill",
        "message_index": index,
        "segment": 0,
        "content_hash": "0" * 64,
        "source_id": None,
        "source_index": None,
        "in_flight": False,
        "occurred_at": (START + timedelta(minutes=index)).isoformat(),
        "project": None,
        "developer": None,
        "renderings": [],
        **message,
    }
    found: MessageRecord = record
    return found


def _typed(head: Any) -> ConversationRecord:
    found: ConversationRecord = head
    return found


def _outline(records: Sequence[MessageRecord]) -> Outline:
    roles = [record["role"] for record in records]
    return Outline(
        prompts=tuple(
            (record["message_index"], record["content"][:400])
            for record in records
            if record["kind"] == "prompt"
        ),
        roles={role: roles.count(role) for role in set(roles)},
        first_at=START,
        last_at=START + timedelta(minutes=len(records)),
    )
