"""Which format claims a file, and what a person is told when none does."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exportd import formats
from exportd.errors import AmbiguousFormat, MalformedExport, PermanentError, UnknownFormat
from exportd.formats import claude_code_text, indexed_json
from exportd.formats.base import Confidence

SAMPLES = Path(__file__).parent / "samples"


def _refusal(raw: bytes, name: str = "any.txt") -> str:
    with pytest.raises(UnknownFormat) as caught:
        formats.parse(raw, name)
    return str(caught.value)


def test_names_of_formats_are_unique() -> None:
    names = [module.NAME for module in formats.FORMATS]
    assert len(set(names)) == len(names) > 1
    titles = [module.TITLE for module in formats.FORMATS]
    assert len(set(titles)) == len(titles)
    assert all(titles)


@pytest.mark.parametrize(
    "name", sorted(p.name for p in SAMPLES.iterdir() if not p.name.endswith(".golden.json"))
)
def test_exactly_one_format_claims_each_sample(name: str) -> None:
    head = (SAMPLES / name).read_bytes()[: formats.HEAD_BYTES]
    claims = [module.NAME for module in formats.FORMATS if module.detect(head, name).certain]
    named = [module.NAME for module in formats.FORMATS if name.startswith(module.NAME)]
    older = "indexed-json" if name.endswith(".json") else "claude-code-text"
    assert claims == [max(named, key=len, default=older)]


@pytest.mark.parametrize("name", ["chat.txt", "EXPORT.md", "no-extension", "x.json"])
def test_the_content_and_not_the_name_decides(name: str) -> None:
    raw = (SAMPLES / "logo-2.0.txt").read_bytes()
    assert formats.recognise(raw, name) is claude_code_text


@pytest.mark.parametrize(
    "text",
    [
        "> hello\n\n⏺ Hi!\n",
        "❯ hello\n\n● Hi!\n",
        "⏺ Hi!\n\n> hello\n",
        "> /memory\n  ⎿  Opened\n",
        "noise before\n⏺ Bash(ls)\n  ⎿  a\n",
        " ▐▛███▜▌   Claude Code v2.0.5\n",
        "▗ ▗   ▖ ▖  Claude Code v2.0.5\n",
        " * ▐▛███▜▌ *   Claude Code v2.0.69\n",
        "╭─── Claude Code v2.0.42 ───╮\n",
        "╭───╮\n│ ✻ Welcome to Claude Code! │\n",
        " ✻ Welcome to Claude Code!\n",
    ],
)
def test_a_header_or_two_kinds_of_block_are_enough(text: str) -> None:
    raw = text.encode()
    assert formats.recognise(raw, "any.txt") is claude_code_text
    assert formats.recognise(raw.replace(b"\n", b"\r\n"), "any.txt") is claude_code_text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2025-01-01 INFO started\n", "no header, no prompt"),
        ("dear diary\n\n> quoted\n", "only a prompt"),
        ("npm build\n> engine@1.0 build\n● 2 warnings\n", "other text first"),
        ("● first\n● second\n", "only a glyph block"),
        ("# notes\nClaude Code v2 is out\n", "no header, no prompt"),
        ('[{"index": 0}]', "a JSON list, expected an object"),
        ("hello\n", "no JSON"),
    ],
)
def test_other_texts_are_refused_with_what_was_missed(text: str, reason: str) -> None:
    assert _refusal(text.encode())
    judged = [module.detect(text.encode(), "any.txt") for module in formats.FORMATS]
    assert any(reason in why.reason for why in judged)


def test_a_refusal_names_the_formats_that_came_near_and_what_they_miss() -> None:
    assert "exportd formats" in _refusal(b"hello\n")
    told = _refusal(b'{"messages": [{"text": "hello"}]}')
    assert told.startswith("this looks like an export and is none that exportd reads (")
    assert f"{indexed_json.TITLE}: JSON whose messages have no index" in told
    assert claude_code_text.TITLE not in told


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\x89PNG\r\n", "a PNG picture"),
        (b"\xff\xd8\xff\xe0", "a JPEG picture"),
        (b"GIF89a", "a GIF picture"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x7fELF", "a program"),
        (b"SQLite format 3\x00", "an SQLite database"),
        ("\ufeff> hello".encode("utf-16-le"), "UTF-16"),
        ("\ufeff> hello".encode("utf-16-be"), "UTF-16"),
    ],
)
def test_what_people_drop_by_mistake_is_called_by_its_name(head: bytes, what: str) -> None:
    assert what in _refusal(head)


@pytest.mark.parametrize(("raw", "what"), [(b"", "empty"), (b"\n \n", "blank lines")])
def test_an_empty_file_is_called_empty(raw: bytes, what: str) -> None:
    assert what in _refusal(raw)


@pytest.mark.parametrize(
    ("raw", "certain"),
    [
        (b'{"messages": [{"index": 0', True),
        (b'\xef\xbb\xbf {"meta": {}, "chats" : [ {"index": 0', True),
        (b'{"exported_at": "x", "messages": []}', True),
        (b'{"messages": []}', False),
        (b'{"messages": [{"role": "user"}]}', False),
        (b'{"conversation": [{"index": 0}]}', False),
        (b'[{"messages": [{"index": 0}]}]', False),
        (b"messages: [index: 0]", False),
    ],
)
def test_json_is_claimed_when_its_records_have_an_index(raw: bytes, certain: bool) -> None:  # noqa: FBT001
    assert indexed_json.detect(raw, "any.json").certain is certain


def test_a_truncated_export_is_claimed_and_then_refused() -> None:
    raw = (SAMPLES / "indexed-messages.json").read_bytes()[:200]
    assert formats.recognise(raw, "x.json") is indexed_json
    with pytest.raises(MalformedExport, match="truncated"):
        formats.parse(raw, "x.json")


def test_two_claims_are_an_error_and_not_first_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry itself is exchanged: no two real formats may claim one content."""
    monkeypatch.setattr(formats, "FORMATS", (claude_code_text, claude_code_text))
    with pytest.raises(AmbiguousFormat, match="has a Claude Code header; claude-code-text"):
        formats.parse((SAMPLES / "logo-2.0.txt").read_bytes(), "any.txt")


def test_confidence_is_certain_or_silent() -> None:
    raw = (SAMPLES / "logo-2.0.txt").read_bytes()
    assert claude_code_text.detect(raw, "x") == Confidence(
        certain=True, reason="has a Claude Code header"
    )


@given(
    st.one_of(
        st.binary(),
        st.lists(
            st.sampled_from(
                ["> a\n", "⏺ b\n", "  ⎿  c\n", '{"messages": [', '{"index": 0}', "\n"]
            )
        ).map(lambda parts: "".join(parts).encode()),
    )
)
def test_any_content_is_read_or_refused_with_a_reason(raw: bytes) -> None:
    with suppress(PermanentError):
        transcript = formats.parse(raw, "any")
        assert transcript.format in {module.NAME for module in formats.FORMATS}


def test_the_head_of_an_export_is_enough_to_recognise_it() -> None:
    for path in SAMPLES.glob("*.txt"):
        head = path.read_bytes()[:2000]
        assert formats.recognise(head, path.name) is claude_code_text, path.name
