"""The HTML export as text: what it holds, and that nothing in it can act."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shown import HOSTILE, conversation, html, said

from exportd.dumped import MessageRecord
from exportd.render.html import page
from exportd.render.html.markup import Markup, element, joined

_SPOKEN = ("prompt", "text", "thinking", "tool_call", "tool_result", "notice", "attachment")


class _Page(HTMLParser):
    """The elements of a page, and that they close in the order in which they open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "hr", "input"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in {"style", "script"}:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def _inert(text: str) -> _Page:
    found = _Page(text)
    names = [tag for tag, _ in found.tags]
    assert names.count("script") == names.count("style") == names.count("h1") == 1
    assert not {"img", "iframe", "object", "embed", "base", "form", "link", "svg"} & set(names)
    for _, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert "src" not in attributes
        href = attributes.get("href") or "#"
        assert re.match(r"#|https?://|mailto:", href, re.IGNORECASE), href
    return found


@given(
    st.lists(
        st.tuples(
            st.sampled_from(_SPOKEN),
            st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20)), max_size=4),
        ),
        max_size=4,
    )
)
@settings(max_examples=60, deadline=None)
def test_whatever_was_said_nothing_acts_and_every_element_closes(
    given_messages: list[tuple[str, list[str]]],
) -> None:
    messages = [
        said("user" if kind == "prompt" else "assistant", kind, text := "\n".join(parts),
             tool=text, input={text: text, "path": text}, model=text)
        for kind, parts in given_messages
    ]  # fmt: skip
    found = _inert(html(messages, metadata={"title": " ".join(HOSTILE)}))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", found.text)


def test_what_would_act_or_hide_is_spelled_out() -> None:
    shown = _inert(
        html(
            [said("tool", "tool_result", "\x1b[1mA\x1b[0m\x1b]0;B\x07 \u202eC ␛0000␛241B\r\nD")]
        )
    )
    assert "A\\x1b]0;B\\x07 \\u202eC \\x00␛\nD" in shown.text


def test_markup_is_escaped_unless_it_is_markup() -> None:
    assert element("b", "<i>", class_='"x') == '<b class="&quot;x">&lt;i&gt;</b>'
    assert element("b", element("i", "a & b")) == "<b><i>a &amp; b</i></b>"
    formatted = f"{element('i')} and more"
    assert not isinstance(formatted, Markup)
    assert joined([formatted]) == "&lt;i&gt;&lt;/i&gt; and more"


def test_the_policy_names_the_only_script_and_style_by_their_hashes() -> None:
    text = html([said("user", "prompt", "hi")])
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    for tag in ("script", "style"):
        inline = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(inline) == 1
        digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
        assert f"{tag}-src &#x27;sha256-{digest}&#x27;" in policy[1]
    assert policy[1].startswith("default-src &#x27;none&#x27;; ")
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_markdown_of_the_assistant_is_rendered_and_prompts_stay_as_they_were() -> None:
    told = (
        "# Title\n\n**bold** ~~gone~~ [a](https://a.example/?q=1&r) [b](garden/b.py)\n\n"
        "![chart](https://b.example/c.png)\n\n```py\nreturn None\n```\n"
    )
    text = html([said("assistant", "text", told), said("user", "prompt", "**as I said**")])
    assert '<h4 class="h1">Title</h4>' in text
    assert "<strong>bold</strong> <s>gone</s>" in text
    rel = 'rel="noopener noreferrer nofollow" target="_blank"'
    assert f'<a href="https://a.example/?q=1&amp;r" {rel}>a</a>' in text
    assert "[b](garden/b.py)" in text
    assert f'<a href="https://b.example/c.png" {rel} class="picture">🖼 chart</a>' in text
    assert '<div class="info">py</div><pre dir="ltr"><code><span class="ck">return None' in text
    assert ">**as I said**</pre>" in text


def test_an_edit_shows_what_went_and_what_came() -> None:
    edit = {"file_path": "a.py", "old_string": "one\ntwo\nfour", "new_string": "one\n3\nfour"}
    text = html([said("assistant", "tool_call", "Edit", tool="Edit", input=edit)])
    change = (
        r'  one\n<span class="cd">- two\n</span><span class="ci">\+ 3\n *</span> *four</pre>'
    )
    assert re.search(change, text)
    grown = {"path": "a.py", "oldString": "one", "newString": "one\ntwo"}
    text = html([said("assistant", "tool_call", "edit", tool="edit", input=grown)])
    assert '<pre dir="auto">  one\n<span class="ci">+ two</span></pre>' in text


def test_merged_exports_and_other_renderings_are_told() -> None:
    def segment(ordinal: int, first: int, count: int, *names: str) -> dict[str, object]:
        return {
            "ordinal": ordinal, "first_index": first, "message_count": count,
            "starts_compacted": ordinal > 0, "format": "claude-code-text",
            "exports": [
                {"name": name, "sha256": name, "size_bytes": 1200, "message_count": count,
                 "modified_at": "2026-01-12T10:00:00+00:00"} for name in names
            ],
        }  # fmt: skip

    found = _inert(
        html(
            [
                said("user", "prompt", "mend it"),
                said(
                    "tool", "tool_result", "run", in_flight=True, renderings=[
                        {"content_hash": "1", "content": "first <b>"},
                        {"content_hash": "2", "content": "second"},
                    ],
                ),
                said("assistant", "text", "done", segment=1, tokens={"input": 2, "output": 3}),
            ],
            segments=[segment(0, 0, 2, "a.txt", "b.txt"), segment(1, 2, 1, "c.txt")],
            risk={"level": "high", "reasons": [f"reason {n}" for n in range(7)]},
            aliases=["old <name>"],
        )
    )  # fmt: skip
    for words in (
        "Risk of data loss: high", "reason 6", "2 more", "Merged from 3 exports",
        "Segment 1: messages 0 to 1", "a.txt 2 messages, 1.2 KB, 2026-01-12 10:00 UTC",
        "Messages 0 to 1, from a.txt, b.txt", "Segment 2 of 2It begins after a compaction",
        "Exports have 2 other renderings of this message", "first <b>", "5 tokens",
        "It was still running when it was last exported.", "Also known asold <name>",
    ):  # fmt: skip
        assert words in found.text, words


def test_an_empty_conversation_and_odd_metadata_make_a_page() -> None:
    assert "Messages0" in _inert(html([], segments=[])).text
    odd = [
        said("assistant", "text", "", model=7, tokens=[1], segment=None),
        said("assistant", "text", "x", tokens={"input": "many", "total": None}),
        said("assistant", "tool_call", "", tool=3, input=[1]),
        said("assistant", "tool_call", "", input={"path": None, "file_path": 3}),
        said("assistant", "tool_call", "", tool="shell", input={"command": ["ls", "-l"]}),
        said("nobody", "unheard", "of"),
    ]
    found = _inert(html(odd, metadata={"title": 3, "cwd": []}))
    assert "Nobody unheard" in found.text
    assert "ls -l" in found.text


def test_no_word_is_lost_to_markdown() -> None:
    told = (
        "[first]: https://second.example 'third'\n\n<!-- fourth -->\n\n```py fifth\n```\n\n"
        "[sixth](https://seventh.example 'eighth') ![ninth](https://tenth.ex 'eleventh')\n\n"
        + "- " * 200 + "twelfth\n\n" + "> - " * 99 + "13th\n\n<fourteenth>&fifteenth;\n"
    )  # fmt: skip
    for part in (told, told[: told.index("- - ")]):
        shown = html([said("assistant", "text", part)])
        for word in re.findall(r"\w+th\b|first|second|third", part):
            assert word in shown, word


@pytest.mark.parametrize("piece", ["[", "![", "|a", "`a ", "[a](", "_a*b"])
def test_a_message_made_to_be_slow_is_not(piece: str) -> None:
    """Where a parser looks through the rest for each of these, it takes minutes."""
    text = piece * (20_000 // len(piece))
    assert len(html([said("assistant", "text", text)])) > len(text)


def test_messages_are_written_one_by_one() -> None:
    asked: list[int] = []

    def counted(messages: Iterator[MessageRecord]) -> Iterator[MessageRecord]:
        for message in messages:
            asked.append(message["message_index"])
            yield message

    dumped = conversation([said("user", "prompt", "x" * 100)] * 10)
    pieces = page([replace(dumped, messages=counted(dumped.messages))])
    seen = [len(asked) for piece in pieces if 'class="m prompt"' in piece]
    assert seen == list(range(1, 11))
