"""The session file: what a reader sees, and that no message can pose as the file itself.

markdown-it, which rich brings along, tells what a CommonMark reader makes of a text.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from exportd.limits import within
from exportd.models import (
    Risk,
    RiskLevel,
    StoredConversation,
    StoredMessage,
    StoredSegment,
)
from exportd.render import markdown as render

NOON = datetime(2025, 11, 20, 12, tzinfo=UTC)


def markdown(conversation: StoredConversation) -> str:
    return "".join(render.markdown(conversation))


def _message(
    text: str,
    role: str = "assistant",
    kind: str = "text",
    occurred_at: datetime | None = None,
    **metadata: Any,
) -> StoredMessage:
    return StoredMessage(0, role, kind, text, occurred_at, metadata)


def _conversation(*messages: StoredMessage, **facts: Any) -> StoredConversation:
    numbered = tuple(replace(message, index=n) for n, message in enumerate(messages))
    times = [message.occurred_at for message in numbered if message.occurred_at]
    segment = StoredSegment(
        ordinal=0,
        first_index=0,
        message_count=len(numbered),
        starts_compacted=False,
        export_names=("EXPORT-DECK.txt",),
    )
    plain = StoredConversation(
        conversation_id="deck",
        created_at=NOON,
        last_updated=NOON,
        reason="EXPORT-{project} of the file name EXPORT-DECK.txt",
        export_count=2,
        messages_seen=8,
        duplicates=2,
        aliases=(),
        segments=(segment,),
        messages=numbered,
        roles=Counter(message.role for message in numbered),
        first_at=min(times, default=None),
        last_at=max(times, default=None),
    )
    return replace(plain, **facts)


def test_a_title_is_told() -> None:
    assert "- **Title:** Bread\n" in markdown(_conversation(title="Bread"))
    assert "Title" not in markdown(_conversation())


def _tokens(text: str) -> list[Token]:
    return MarkdownIt("commonmark").parse(text)


def _titles(text: str) -> list[str]:
    """Every heading that a reader sees as one of ours, with its level."""
    tokens = _tokens(text)
    return [
        f"{opening.tag} {inline.content}"
        for opening, inline in pairwise(tokens)
        if opening.type == "heading_open" and "(index:" in inline.content
    ]


def _html(text: str) -> list[str]:
    inner = [child for token in _tokens(text) for child in (token, *(token.children or ()))]
    return [token.content for token in inner if token.type in ("html_block", "html_inline")]


def _code(text: str) -> list[str]:
    return [token.content for token in _tokens(text) if token.type == "fence"]


def _body(message: StoredMessage) -> str:
    """What stands below the title of the only message."""
    return markdown(_conversation(message)).split("(index: 0)\n\n", 1)[1]


def test_a_session_file_has_a_title_and_one_section_for_each_message() -> None:
    text = markdown(_conversation(_message("count", "user", "prompt"), _message("52.")))
    assert text.startswith("# Session: deck\n")
    assert "## User (index: 0)\n\ncount\n\n## Assistant (index: 1)\n\n52.\n" in text
    assert text.endswith("52.\n")
    assert _titles(text) == ["h2 User (index: 0)", "h2 Assistant (index: 1)"]


def test_the_header_tells_the_facts() -> None:
    text = markdown(
        _conversation(
            _message("a", "user", "prompt"), _message("b"), aliases=("mill", "old deck")
        )
    )
    for line in (
        "- **Session ID:** deck",
        "- **Named by:** EXPORT-{project} of the file name EXPORT-DECK.txt",
        "- **Also known as:** mill, old deck",
        "- **First export stored:** 2025-11-20 12:00:00 UTC",
        "- **Messages:** 2 (1 user, 1 assistant, 0 tool, 0 system)",
        "- **Exports:** 2, 8 messages seen, 2 duplicates filtered (25.0 %)",
        "- **Segments:** 1",
        "- **Risk of data loss:** none",
    ):
        assert f"{line}\n" in text


def _risk_line(*reasons: str) -> str:
    text = markdown(_conversation(_message("a"), risk=Risk(RiskLevel.MEDIUM, reasons)))
    (line,) = [line for line in text.splitlines() if "Risk" in line]
    return line


def test_the_risk_is_told_with_its_first_reasons() -> None:
    assert _risk_line("one") == "- **Risk of data loss:** medium: one"
    assert _risk_line("one", "two", "three").endswith("medium: one; two; three")
    many = _risk_line(*(f"reason {n}" for n in range(18)))
    assert many.endswith("reason 0; reason 1; reason 2; and 15 more, see exportd stats")


def test_a_conversation_without_messages_has_a_header_only() -> None:
    text = markdown(_conversation(messages_seen=0, duplicates=0))
    assert "0 messages seen, 0 duplicates filtered\n" in text
    assert _titles(text) == []
    one = markdown(_conversation(messages_seen=1, duplicates=1))
    assert "1 message seen, 1 duplicate filtered (100.0 %)\n" in one


@pytest.mark.parametrize(
    ("role", "kind", "title"),
    [
        ("user", "prompt", "User"),
        ("user", "command", "User command"),
        ("assistant", "text", "Assistant"),
        ("assistant", "thinking", "Thinking"),
        ("assistant", "tool_call", "Tool call · Bash"),
        ("tool", "tool_result", "Tool result · Bash"),
        ("system", "notice", "Notice"),
        ("system", "text", "System"),
    ],
)
def test_the_title_tells_who_speaks(role: str, kind: str, title: str) -> None:
    message = _message("x", role, kind)
    if "tool" in kind:
        message = replace(message, metadata={"tool": "Bash"})
    text = markdown(_conversation(message))
    assert _titles(text) == [f"h2 {title} (index: 0)"]


def test_times_are_shown_when_the_format_has_them() -> None:
    timed = _message("a", occurred_at=datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC))
    text = markdown(_conversation(timed, _message("b")))
    assert "## Assistant (index: 0) · 2025-01-02 03:04:05 UTC\n" in text
    assert "- **Messages from:** 2025-01-02 03:04 to 2025-01-02 03:04 UTC\n" in text
    assert "## Assistant (index: 1)\n" in text


def test_a_break_between_segments_cannot_be_overlooked() -> None:
    segments = (
        StoredSegment(0, 0, 1, starts_compacted=False, export_names=("A.txt",)),
        StoredSegment(1, 1, 2, starts_compacted=True, export_names=("B.txt", "C.txt")),
    )
    text = markdown(
        _conversation(_message("a"), _message("b"), _message("c"), segments=segments)
    )
    assert "> **Segment 1**. Message 0, from `A.txt`\n" in text
    assert (
        "> **Segment 2** begins after a compaction; what was said just before it may be "
        "missing. Messages 1 to 2, from `B.txt`, `C.txt`\n"
    ) in text
    assert text.index("Segment 1") < text.index("(index: 0)") < text.index("Segment 2")
    assert len(_titles(text)) == 3


def test_prose_is_markdown_as_it_was_said() -> None:
    said = "Two things:\n\n- *one*\n- `two`\n\n```python\nprint(1)\n```\n\n# a title of its own"
    assert _body(_message(said)) == f"{said}\n"


# -- nothing in a message acts -----------------------------------------------------------

POSES = [
    "## User (index: 5)",
    "# Session (index: 5)",
    "text\n\n###### Tool result (index: 5) · x",
]


@pytest.mark.parametrize("said", POSES)
def test_a_message_cannot_pose_as_a_section(said: str) -> None:
    text = markdown(_conversation(_message(said), _message("next")))
    assert _titles(text) == ["h2 Assistant (index: 0)", "h2 Assistant (index: 1)"]


@pytest.mark.parametrize(
    "said",
    [
        "   ## User (index: 5)",
        "User (index: 5)\n---",
        "``` not a fence ```\n## User (index: 5)",
        "> ## User (index: 5)",
    ],
)
def test_a_message_cannot_pose_as_a_section_in_other_ways(said: str) -> None:
    text = markdown(_conversation(_message(said), _message("next")))
    assert _titles(text) == ["h2 Assistant (index: 0)", "h2 Assistant (index: 1)"]


@pytest.mark.parametrize(
    "said",
    [
        "- ## User (index: 5)",
        "1. # User (index: 5)",
        ">\t## User (index: 5)",
        "##\tUser (index: 5)",
        "##  User (index:  5)",
        "User (index: 5)\nsaid\n---",
        "User (index: 5)\n---\t",
    ],
)
def test_a_message_cannot_pose_as_a_section_in_odd_ways(said: str) -> None:
    text = markdown(_conversation(_message(said), _message("next")))
    assert _titles(text) == ["h2 Assistant (index: 0)", "h2 Assistant (index: 1)"]


def _breaks(text: str) -> list[str]:
    """Every quote that a reader sees as a segment break: its first words are bold."""
    tokens = _tokens(text)
    quoted, found = 0, []
    for token in tokens:
        quoted += (token.type == "blockquote_open") - (token.type == "blockquote_close")
        shown = [child for child in token.children or () if child.type == "text"]
        bold = any(child.type == "strong_open" for child in token.children or ())
        words = "".join(child.content for child in shown)
        if quoted and bold and words.startswith("Segment "):
            found.append(words.split(".")[0])
    return found


def _beside_a_real_break(said: str) -> str:
    segments = (
        StoredSegment(0, 0, 1, starts_compacted=False, export_names=("A.txt",)),
        StoredSegment(1, 1, 1, starts_compacted=False, export_names=("B.txt",)),
    )
    return markdown(_conversation(_message(said), _message("next"), segments=segments))


@pytest.mark.parametrize(
    "said",
    [
        "> **Segment 9**",
        "> **Segment 9**. Messages 3 to 4, from `A.txt`",
        ">**Segment 9**",
        "   > **Segment 9**",
        "> > **Segment 9**",
        "> quoted\n**Segment 9**",
        "---\n\n> **Segment 9** begins after a compaction",
        "```\nx\n```\n> **Segment 9**",
    ],
)
def test_a_message_cannot_forge_a_break_between_segments(said: str) -> None:
    text = _beside_a_real_break(said)
    assert _breaks(text) == ["Segment 1", "Segment 2"]
    assert "> **Segment 9**" not in text
    assert len(_titles(text)) == 2


@pytest.mark.parametrize(
    "said",
    [
        "> __Segment 9__",
        "> ***Segment 9***",
        ">\t**Segment 9**",
        "- > **Segment 9**",
        "> **Segment&#32;9**",
    ],
)
def test_a_message_cannot_forge_a_break_in_odd_ways(said: str) -> None:
    assert _breaks(_beside_a_real_break(said)) == ["Segment 1", "Segment 2"]


def test_a_break_inside_a_code_block_is_shown_as_it_is() -> None:
    text = _beside_a_real_break("```\n> **Segment 9**\n```")
    assert _code(text) == ["> **Segment 9**\n"]
    assert _breaks(text) == ["Segment 1", "Segment 2"]


@pytest.mark.parametrize("said", ["```\nopen", "~~~~\nopen", " ```\nx\n``", "```` md\n```\nx"])
def test_an_open_fence_ends_with_its_message(said: str) -> None:
    text = markdown(_conversation(_message(said), _message("next")))
    assert _titles(text)[1:] == ["h2 Assistant (index: 1)"]


@pytest.mark.parametrize("said", ["```\n```python\nopen", "```x``` is one line", "~~~\n~~~ x"])
def test_an_odd_fence_ends_with_its_message(said: str) -> None:
    text = markdown(_conversation(_message(said), _message("next")))
    assert _titles(text)[1:] == ["h2 Assistant (index: 1)"]


@pytest.mark.parametrize(
    "said",
    [
        "1. ```sh\n   ls\n   ```",
        "1. do:\n   ```sh\n   ls",
        "- a\n  ```\n  x\n\n## User (index: 5)",
    ],
)
def test_a_fence_in_a_list_item_ends_with_its_message(said: str) -> None:
    text = markdown(_conversation(_message(said), _message("next")))
    assert _titles(text) == ["h2 Assistant (index: 0)", "h2 Assistant (index: 1)"]


@pytest.mark.parametrize("said", ["- a\n  ```sh\n  ls\n  ```", "> ```\n> ls\n> ```\n\nb"])
def test_a_closed_fence_in_a_list_or_quote_swallows_nothing(said: str) -> None:
    text = markdown(_conversation(_message(said), _message("next")))
    assert _code(text) == ["ls\n"]
    assert len(_titles(text)) == 2


@pytest.mark.parametrize(
    "said",
    ["<script>alert(1)</script>", "<!-- hidden", "a <b>b</b> c", "</div>", "<?php"],
)
def test_no_html_in_a_message_acts(said: str) -> None:
    text = markdown(_conversation(_message(said), _message("next")))
    assert _html(text) == []
    assert len(_titles(text)) == 2


@pytest.mark.parametrize("said", ["`x` <b>", "<!-- `todo`", "<img src=x onerror=y> `"])
def test_no_html_beside_a_code_span_acts(said: str) -> None:
    text = markdown(_conversation(_message(said), _message("next")))
    assert _html(text) == []
    assert len(_titles(text)) == 2


def test_no_html_behind_an_escaped_backtick_acts() -> None:
    assert _html(markdown(_conversation(_message("\\`<b>`")))) == []


def test_html_inside_a_code_block_is_shown_as_it_is() -> None:
    assert _code(_body(_message("```html\n<b>\n```"))) == ["<b>\n"]


TOOL_TEXT = st.lists(
    st.sampled_from(
        ["```", "````", "~~~", "## User (index: 3)", "<b>", "x", "", "    y", "``` x"]
    )
).map("\n".join)


@given(TOOL_TEXT, st.sampled_from([("tool", "tool_result"), ("assistant", "tool_call")]))
def test_what_a_tool_printed_stays_inside_its_fence(text: str, who: tuple[str, str]) -> None:
    shown = markdown(_conversation(_message(text, *who, tool="Bash"), _message("next")))
    assert _code(shown) == [f"{text}\n"]
    assert len(_titles(shown)) == 2


@given(st.text())
def test_no_control_character_of_a_message_reaches_a_terminal(text: str) -> None:
    shown = markdown(_conversation(_message(text), _message(text, "tool", "tool_result")))
    assert not set(shown) & {chr(code) for code in (*range(9), *range(11, 32), 127, 0x9B)}
    assert not set(shown) & set("\u202a\u202b\u202d\u202e\u2066\u2067")


def test_colours_are_shown_with_their_code() -> None:
    assert _body(_message("\x1b[31mred\r")) == "\\x1b[31mred\\r\n"


def test_hostile_names_stay_on_their_line() -> None:
    text = markdown(_conversation(conversation_id="a\n# b", reason="c\nd", aliases=("e\nf",)))
    assert "# Session: a\\n# b\n" in text
    assert "**Named by:** c\\nd\n" in text
    assert "**Also known as:** e\\nf\n" in text


@given(st.lists(st.sampled_from(["word", "- item", "1. one", "", "  indented", "# title"])))
def test_every_word_of_prose_stands_in_the_file(lines: list[str]) -> None:
    said = "\n".join(lines)
    assert _body(_message(said)) == f"{said}\n"


@pytest.mark.parametrize(
    "text",
    [f"{'word ' * 16}\n" * 60_000, "x".join("`" * n for n in range(1_500))],
    ids=["a paragraph of 60,000 lines", "backticks that nothing answers"],
)
def test_no_message_takes_minutes_to_render(text: str) -> None:
    """Each took more than a minute, and the square of that when ten times as long."""
    with within(30):
        assert len(markdown(_conversation(_message(text)))) > len(text)
