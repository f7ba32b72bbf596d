"""Claude Code's text exports: the grammar of FORMATS 1, and laws for any bytes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exportd.fingerprint import compact, fingerprint
from exportd.formats.claude_code_text import detect, exported_name, parse
from exportd.models import Kind, Message, Region, Role, Span, Transcript

N = "\xa0"
HEADER = (
    "\n ▐▛███▜▌   Claude Code v2.0.50\n▝▜█████▛▘  Sonnet 4.5 · Claude Max\n"
    "  ▘▘ ▝▝    ~/engine\n"
)


def _parse(text: str) -> Transcript:
    return parse(text.encode("utf-8", "surrogatepass"), "any.txt")


def _messages(text: str) -> list[tuple[Kind, str]]:
    return [(message.kind, message.text) for message in _parse(text).messages]


def _only(text: str) -> Message:
    (message,) = _parse(text).messages
    return message


# -- prompts ---------------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["> ", "❯ ", f">{N}", f"❯{N}"])
def test_every_prompt_sign_opens_a_prompt(sign: str) -> None:
    message = _only(f"{sign}count the cards\n")
    assert (message.role, message.kind) == (Role.USER, Kind.PROMPT)
    assert message.text == "count the cards"


def test_a_prompt_runs_over_paragraphs_in_column_0() -> None:
    text = "> first\n\n# title\n- item\n\nlast paragraph\n\n⏺ answer\n"
    assert _messages(text) == [
        (Kind.PROMPT, "first\n\n# title\n- item\n\nlast paragraph"),
        (Kind.TEXT, "answer"),
    ]


def test_a_prompt_indented_by_two_spaces_loses_the_indentation() -> None:
    assert _only("> first\n  second\n\n    code\n").text == "first\nsecond\n\n  code"


def test_padding_to_the_width_of_the_screen_is_no_text() -> None:
    assert _only("❯ count" + " " * 73 + "\n  cards" + N * 73 + "\n").text == "count\ncards"


def test_an_empty_prompt_is_a_message() -> None:
    assert _messages(">\n\n⏺ What next?\n") == [(Kind.PROMPT, ""), (Kind.TEXT, "What next?")]


@pytest.mark.parametrize(
    "text", ["/compact", "/export a b.txt", "! ls -l", "/loop is running…"]
)
def test_slash_commands_and_bash_mode_are_commands(text: str) -> None:
    message = _only(f"> {text}\n")
    assert (message.role, message.kind, message.text) == (Role.USER, Kind.COMMAND, text)


def test_a_memory_note_is_a_prompt() -> None:
    assert _only("> # ring once\n").kind is Kind.PROMPT


def test_a_sign_without_a_gap_opens_nothing() -> None:
    assert _messages("> a\n>b\n❯c\n⏺d\n●e\n") == [(Kind.PROMPT, "a\n>b\n❯c\n⏺d\n●e")]


# -- assistant -------------------------------------------------------------------------


@pytest.mark.parametrize("glyph", ["⏺ ", "● ", f"⏺{N}", f"●{N}"])
def test_both_glyphs_open_prose_of_several_paragraphs(glyph: str) -> None:
    message = _only(f"{glyph}first\n\n  second\n    indented\n")
    assert (message.role, message.kind) == (Role.ASSISTANT, Kind.TEXT)
    assert message.text == "first\n\nsecond\n  indented"


def test_quotes_inside_prose_are_no_prompts() -> None:
    assert _messages("⏺ He said:\n\n  > ring it\n  ● once\n") == [
        (Kind.TEXT, "He said:\n\n> ring it\n● once")
    ]


@pytest.mark.parametrize(
    ("text", "tool", "given_input"),
    [
        ("Bash(git status)", "Bash", "git status"),
        ("Web Search(cards)", "Web Search", "cards"),
        ("store - query tables (MCP)(limit: 3)", "store - query tables (MCP)", "limit: 3"),
        ("codi-documentation-writer(Write it)", "codi-documentation-writer", "Write it"),
        ("mcp__store__query(x)", "mcp__store__query", "x"),
        ("Bash(echo (1))", "Bash", "echo (1)"),
        ("Read()", "Read", ""),
    ],
)
def test_a_name_with_parentheses_is_a_tool_call(text: str, tool: str, given_input: str) -> None:
    message = _only(f"● {text}\n")
    assert (message.kind, message.text) == (Kind.TOOL_CALL, text)
    assert message.extra == {"tool": tool, "input": given_input}


def test_a_wrapped_tool_call_is_one_message() -> None:
    message = _only("● Bash(python -m pytest\n      --maxfail=1 | tail…)\n")
    assert message.kind is Kind.TOOL_CALL
    assert compact(message.text) == "Bash(python-mpytest--maxfail=1|tail…)"


def test_the_todo_list_is_a_tool_call_without_input() -> None:
    call, result = _parse("● Update Todos\n  ⎿  ☒ done\n     ☐ open\n").messages
    assert (call.kind, call.extra) == (Kind.TOOL_CALL, {"tool": "Update Todos"})
    assert (result.text, result.extra) == ("☒ done\n☐ open", {"tool": "Update Todos"})


@pytest.mark.parametrize(
    ("said", "tool"),
    [
        ("codi-writer(Write it) timeout: 2m 0s", "codi-writer"),
        ("codi-writer(Write\n      it)", "codi-writer"),
        ("codi-writer(Write it", None),
        ("wrap(text) is what I call", None),
        ("deck.count(cards) counts them.", None),
        ("Bash(echo cut…", "Bash"),
    ],
)
def test_a_lower_case_name_is_called_only_where_the_call_ends(
    said: str, tool: str | None
) -> None:
    message = _only(f"● {said}\n")
    assert message.kind is (Kind.TOOL_CALL if tool else Kind.TEXT)
    assert message.extra.get("tool") == tool


@pytest.mark.parametrize("prose", ["I'll call it (now).", "Done.", "Let me run git (again)"])
def test_prose_with_parentheses_stays_prose(prose: str) -> None:
    assert _only(f"⏺ {prose}\n").kind is Kind.TEXT


@pytest.mark.parametrize("sign", ["✻", "∴"])
def test_thinking_is_the_assistants(sign: str) -> None:
    message = _only(f"{sign} Thinking…\n\n  Cards are read one by one.\n")
    assert (message.role, message.kind) == (Role.ASSISTANT, Kind.THINKING)
    assert message.text == "Thinking…\n\nCards are read one by one."


# -- results ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "opening", [f"  ⎿ {N}", "  ⎿ ", "  ⎿  ", f"{N}{N}⎿ {N}", "  ⎿\n     ", "⎿ "]
)
def test_every_form_of_result_is_read(opening: str) -> None:
    call, result = _parse(f"⏺ Bash(ls)\n{opening}bell.py\n     deck.py\n").messages
    assert call.kind is Kind.TOOL_CALL
    assert (result.role, result.kind) == (Role.TOOL, Kind.TOOL_RESULT)
    assert result.text.split() == ["bell.py", "deck.py"]
    assert result.extra == {"tool": "Bash"}


def test_a_result_below_a_bare_sign_loses_its_indentation() -> None:
    assert _parse("⏺ Task(x)\n  ⎿\n     a\n       b\n").messages[1].text == "a\n  b"


def test_several_results_of_one_call_are_messages_of_their_own() -> None:
    text = "⏺ Task(x)\n  ⎿  Read(a)\n     +3 more tool uses\n  ⎿  Done\n  ⎿  Hook finished\n"
    assert _messages(text)[1:] == [
        (Kind.TOOL_RESULT, "Read(a)\n+3 more tool uses"),
        (Kind.TOOL_RESULT, "Done"),
        (Kind.TOOL_RESULT, "Hook finished"),
    ]


def test_a_deeper_result_belongs_to_its_sub_agent() -> None:
    text = "⏺ Task(x)\n  ⎿  Read(a)\n       ⎿  42 lines\n"
    assert _messages(text)[1:] == [(Kind.TOOL_RESULT, "Read(a)\n  ⎿  42 lines")]


def test_a_result_of_a_command_has_no_tool() -> None:
    prompt, result = _parse("> /memory\n  ⎿  Opened\n     > To use another editor\n").messages
    assert prompt.kind is Kind.COMMAND
    assert (result.text, result.extra) == ("Opened\n> To use another editor", {})


def test_a_result_after_prose_is_not_a_tools() -> None:
    messages = _parse("⏺ Bash(ls)\n  ⎿  a\n\n⏺ prose\n  ⎿  Interrupted by user\n").messages
    assert messages[-1].extra == {}


def test_a_progress_bar_of_carriage_returns_stays_in_its_result() -> None:
    text = "⏺ Bash(pull)\n  ⎿  10%\r 50%\r100%\nand column 0\n\n⏺ Done\n"
    assert _messages(text)[1:] == [
        (Kind.TOOL_RESULT, "10%\r 50%\r100%\nand column 0"),
        (Kind.TEXT, "Done"),
    ]


@pytest.mark.parametrize("text", ["Running…", "Waiting…", "Initializing…", "Running… (10s)"])
def test_a_result_that_still_runs_is_in_flight(text: str) -> None:
    assert _parse(f"⏺ Bash(x)\n  ⎿  {text}\n").messages[1].in_flight


@pytest.mark.parametrize("text", ["Running tests", "not Running…", "done", ""])
def test_other_results_are_not_in_flight(text: str) -> None:
    assert not _parse(f"⏺ Bash(x)\n  ⎿  {text}\n").messages[1].in_flight


# -- notices ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "notice",
    [
        "✻ Brewed for 2m 46s",
        "※ recap: the bell rings once",
        "✻ Conversation compacted (ctrl+o for history)",
        "  Read 4 files (ctrl+o to expand)",
        "  Searched for 1 pattern, read 4 files, listed 1 directory (ctrl+o to expand)",
    ],
)
def test_a_notice_is_a_system_message(notice: str) -> None:
    first, told, last = _parse(f"⏺ one\n\n{notice}\n\n⏺ two\n").messages
    assert (told.role, told.kind) == (Role.SYSTEM, Kind.NOTICE)
    assert told.text.strip() == notice.strip()
    assert (first.text, last.text) == ("one", "two")


def test_collapsed_calls_right_after_a_prompt_are_not_part_of_it() -> None:
    text = "❯ yes" + " " * 75 + "\n\n  Read 1 file, listed 1 directory (ctrl+o to expand)\n"
    assert [kind for kind, _ in _messages(text)] == [Kind.PROMPT, Kind.NOTICE]


@pytest.mark.parametrize(
    "line",
    [
        "Read 4 files (ctrl+o to expand)",
        "  Read 4 files",
        "  read 4 files (ctrl+o to expand)",
        "  Read the files (ctrl+o to expand)",
    ],
)
def test_other_lines_stay_in_their_prompt(line: str) -> None:
    assert [kind for kind, _ in _messages(f"> do this:\n{line}\n")] == [Kind.PROMPT]


def test_a_result_glued_to_a_notice_is_read_as_two() -> None:
    glued = "✻ Claude resuming /loop wakeup (now)  ⎿  Interrupted · What next?\n"
    notice, result = _parse(glued).messages
    assert (notice.text, result.text) == (
        "✻ Claude resuming /loop wakeup (now)",
        "Interrupted · What next?",
    )
    raw = glued.encode()
    assert raw[notice.span.start : notice.span.end].decode() == notice.text
    assert raw[result.span.start : result.span.end].decode().lstrip().startswith("⎿")


# -- header and compaction ----------------------------------------------------------------


def test_a_bar_at_the_head_says_that_the_segment_starts_compacted() -> None:
    bars = [
        "═══════ Conversation compacted · ctrl+o for history ═══════",
        "═══════ Conversation compacted · ctrl+r for history ═══════",
        "✻ Conversation compacted (ctrl+o for history)",
        "● Compact summary (ctrl+r to expand)",
        "⏺ Compact summary (ctrl+r to expand)",
    ]
    for bar in bars:
        transcript = _parse(f"{HEADER}{bar}\n  ⎿  Read mill.py (3 lines)\n\n⏺ On.\n")
        assert transcript.starts_compacted, bar
        assert [message.text for message in transcript.messages] == [
            "Read mill.py (3 lines)",
            "On.",
        ]
        assert transcript.flags == ()


def test_an_export_without_a_bar_does_not_start_compacted() -> None:
    assert not _parse(f"{HEADER}\n> hello\n").starts_compacted


def test_a_notice_before_the_bar_does_not_hide_it() -> None:
    text = f"{HEADER}\n※ recap: cards\n\n✻ Conversation compacted (ctrl+o)\n\n⏺ On.\n"
    transcript = _parse(text)
    assert transcript.starts_compacted
    assert transcript.flags == ()


def test_a_bar_in_the_middle_is_a_notice_of_a_scrollback_copy() -> None:
    transcript = _parse("> a\n\n══ Conversation compacted · ctrl+o ══\n\n> b\n")
    assert not transcript.starts_compacted
    assert transcript.flags == ("scrollback",)
    assert [m.kind for m in transcript.messages] == [Kind.PROMPT, Kind.NOTICE, Kind.PROMPT]


def test_text_before_the_first_block_is_kept_when_there_is_no_header() -> None:
    transcript = _parse("  a line before\n\n> prompt\n\n⏺ answer\n")
    assert transcript.flags == ("headless",)
    first = transcript.messages[0]
    assert (first.role, first.text) == (Role.SYSTEM, "  a line before")


@pytest.mark.parametrize(
    ("line", "cwd"),
    [
        ("  ▘▘ ▝▝    ~/engine", "~/engine"),
        ("  ▘▘ ▝▝    /a/b c/d", "/a/b c/d"),
        ("  ▘▘ ▝▝    /…/tail/of", "/…/tail/of"),
        ("  ▘▘ ▝▝    ~\\engine", "~\\engine"),
        ("  ▘▘ ▝▝    C:\\Users\\ada", "C:\\Users\\ada"),
        (" *  ▘▘ ▝▝  *   /mnt/d/x", "/mnt/d/x"),
        ("│   cwd: /home/ada/engine    │", "/home/ada/engine"),
        ("   cwd: /home/ada/engine", "/home/ada/engine"),
        ("│   /Users/ada/engine   │", "/Users/ada/engine"),
        ("│  ~/x  │ Tips │", "~/x"),
    ],
)
def test_the_header_tells_the_directory(line: str, cwd: str) -> None:
    transcript = _parse(f"╭─── Claude Code v2.0.1 ───╮\n{line}\n\n> hello\n")
    assert transcript.cwd == cwd
    assert transcript.header["cwd"] == cwd
    assert transcript.header["version"] == "2.0.1"


def test_the_header_is_a_region_and_no_message() -> None:
    transcript = _parse(f"{HEADER}\n ▎ news\n\n> hello\n")
    assert [message.text for message in transcript.messages] == ["hello"]
    assert transcript.regions[0].label == "header"


# -- lineage ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        ("deck.txt", "deck.txt"),
        ("2025-11-20-coun\n     t-cards.txt", "2025-11-20-count-cards.txt"),
        ("a\n     b\n     c.txt", "abc.txt"),
        ("/home/ada/deck.txt", "deck.txt"),
        ("C:\\ada\\deck.txt", "deck.txt"),
        ("two words.txt", "twowords.txt"),
    ],
)
def test_the_name_of_an_earlier_export_is_unwrapped(shown: str, name: str) -> None:
    transcript = _parse(f"> /export\n  ⎿ {N}Conversation exported to: {shown}\n\n⏺ Hi\n")
    assert transcript.lineage == (name,)


def test_every_earlier_export_is_named_in_order() -> None:
    line = "> /export\n  ⎿  Conversation exported to: {}\n\n"
    assert _parse(line.format("a.txt") + line.format("b.txt")).lineage == ("a.txt", "b.txt")


def test_an_exported_name_is_compared_without_spaces_and_folders() -> None:
    assert exported_name(" ~/x/my deck.txt ") == "mydeck.txt"


# -- pasted ------------------------------------------------------------------------------


@pytest.mark.parametrize("pasted", ["⏺ Bash(ls)", "● I'll start", "> /export", "⎿  API Error"])
def test_a_prompt_that_opens_with_a_glyph_is_flagged(pasted: str) -> None:
    transcript = _parse(f"> {pasted}\n\n⏺ answer\n")
    assert transcript.flags == ("pasted_transcript",)
    assert transcript.messages[0].text == pasted


def test_a_prompt_that_quotes_a_glyph_further_on_is_not_flagged() -> None:
    assert _parse("> what is ⏺ for?\n").flags == ()


# -- bytes -------------------------------------------------------------------------------

DIALOGUE = "> count\nthe cards\n\n⏺ Bash(ls)\n  ⎿  a\n     b\n\n⏺ Done.\n"


def test_windows_line_ends_give_the_same_messages() -> None:
    unix = parse(DIALOGUE.encode(), "a")
    windows = parse(DIALOGUE.replace("\n", "\r\n").encode(), "a")
    assert [(m.kind, m.text, m.extra) for m in windows.messages] == [
        (m.kind, m.text, m.extra) for m in unix.messages
    ]


def test_a_missing_final_newline_changes_no_message() -> None:
    whole, cut = _parse(DIALOGUE), _parse(DIALOGUE.rstrip("\n"))
    assert [m.text for m in whole.messages] == [m.text for m in cut.messages]
    assert cut.messages[-1].span.end == len(DIALOGUE.rstrip("\n").encode())


@pytest.mark.parametrize("text", [DIALOGUE, HEADER.lstrip("\n") + "\n" + DIALOGUE])
def test_a_byte_order_mark_changes_no_message(text: str) -> None:
    plain, marked = _parse(text), _parse("\ufeff" + text)
    assert [(m.kind, m.text) for m in marked.messages] == [
        (m.kind, m.text) for m in plain.messages
    ]
    assert marked.cwd == plain.cwd


def test_nul_and_broken_utf8_are_kept_escaped() -> None:
    transcript = parse(b"> a\x00b \xff c\n", "a")
    assert transcript.messages[0].text == "a␛0000b ␛DCFF c"


def test_an_empty_file_has_no_parts() -> None:
    transcript = parse(b"", "a")
    assert (transcript.messages, transcript.regions) == ((), ())


# -- laws --------------------------------------------------------------------------------

LINES = [
    "",
    " ",
    N,
    "> ask",
    "❯ ask",
    f">{N}ask",
    f"❯{N}ask",
    ">",
    "❯",
    "⏺ say",
    "● say",
    f"●{N}say",
    "⏺",
    "⏺ Bash(ls",
    "● Update Todos",
    f"  ⎿ {N}out",
    "  ⎿ out",
    "  ⎿  out",
    "  ⎿",
    "⎿",
    "       ⎿ in",
    "     more",
    "    more",
    "  more",
    "column 0",
    "✻ Thinking…",
    "∴ Thinking…",
    "✻ Brewed for 2s",
    "※ recap: x",
    "✻ Claude resuming (x)  ⎿  Interrupted",
    "✻ a\xa0⎿",
    "══ Conversation compacted · ctrl+o ══",
    "✻ Conversation compacted (ctrl+o)",
    "● Compact summary (ctrl+r to expand)",
    "  Read 4 files (ctrl+o to expand)",
    "  ⎿  Running…",
    "  ⎿  Conversation exported to: a",
    "     b.txt",
    " ▐▛███▜▌   Claude Code v2.0.5",
    "▗ ▗   ▖ ▖  Claude Code v2.0.5",
    "╭─── Claude Code v2.0.5 ───╮",
    "│ ✻ Welcome to Claude Code! │",
    "╰───╯",
    "  ▘▘ ▝▝    ~/x",
    "\ufeff> ask",
    "a\rb",
    "> \x1b[1mbold",
    "> ␛",
    "\x0c",
    "\u2028> no line",
]
ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\n\n", "\r", "\r\r\n"])
EXPORTS = st.builds(
    lambda lines, tail: ("".join(map("".join, lines)) + tail).encode(),
    st.lists(st.tuples(st.sampled_from(LINES), ENDS), max_size=14),
    st.sampled_from(["", *LINES]),
)
# Bytes of the very letters that the grammar is made of, cut anywhere.
FRAGMENTS = st.lists(
    st.one_of(
        st.sampled_from([line.encode() for line in LINES] + [b"\n", b"\r", b"\xe2", b"\x00"]),
        st.binary(max_size=3),
    ),
    max_size=10,
).map(b"".join)


def _spans(transcript: Transcript) -> list[tuple[int, int]]:
    parts: list[Message | Region] = [*transcript.messages, *transcript.regions]
    return sorted((part.span.start, part.span.end) for part in parts)


@given(st.one_of(EXPORTS, FRAGMENTS, st.binary()))
@example(b"\xe2\x9c\xbb \xe2\x8e\xbf\n")
def test_messages_and_regions_partition_any_bytes(raw: bytes) -> None:
    spans = _spans(parse(raw, "any.txt"))
    assert [start for start, _ in spans] == [0, *(end for _, end in spans)][: len(spans)]
    assert (spans[-1][1] if spans else 0) == len(raw)
    assert all(start < end for start, end in spans)


@pytest.mark.parametrize("odd", [b"\x00", b"\xff", "␛".encode()])
def test_a_glued_notice_with_an_escaped_character_ends_before_its_result(odd: bytes) -> None:
    notice = "✻ resuming ".encode() + odd * 9
    transcript = parse(notice + "  ⎿  Interrupted\n\n> next\n".encode(), "any.txt")
    assert transcript.messages[0].span == Span(0, len(notice))
    assert all(start < end for start, end in _spans(transcript))


@given(st.one_of(EXPORTS, FRAGMENTS, st.binary()))
def test_reading_is_deterministic_and_never_fails(raw: bytes) -> None:
    assert parse(raw, "a.txt") == parse(raw, "b.txt")


@given(st.one_of(EXPORTS, FRAGMENTS))
def test_messages_stand_in_the_order_of_the_file(raw: bytes) -> None:
    starts = [message.span.start for message in parse(raw, "any.txt").messages]
    assert starts == sorted(starts)


@given(st.one_of(EXPORTS, FRAGMENTS, st.binary()))
def test_detection_never_fails(raw: bytes) -> None:
    assert detect(raw, "any.txt").reason


@given(EXPORTS)
def test_what_is_separator_is_blank(raw: bytes) -> None:
    for region in parse(raw, "any.txt").regions:
        shown = raw[region.span.start : region.span.end].decode("utf-8", "replace")
        assert (region.label == "separator") == (not shown.strip())


@given(EXPORTS, st.sampled_from(["> next", "⏺ next", "  ⎿  next"]))
def test_what_follows_does_not_change_what_was_said_before(raw: bytes, opening: str) -> None:
    """Byte prefix means message prefix: the ground on which a grown export is known."""
    before = parse(raw, "a").messages
    after = parse(raw + b"\n" + opening.encode() + b"\n", "a").messages
    assert [(m.role, m.kind, m.text) for m in after[: len(before)]] == [
        (m.role, m.kind, m.text) for m in before
    ]
    assert [m.text for m in after[len(before) :]] == ["next"]


@given(st.lists(st.text("abc ", min_size=1).filter(str.strip), min_size=1, max_size=5))
def test_rewrapping_a_prompt_keeps_its_fingerprint(words: list[str]) -> None:
    wide = _only("> " + " ".join(words) + "\n")
    narrow = _only("> " + "\n".join(words) + "\n")
    assert fingerprint(wide.role, wide.text) == fingerprint(narrow.role, narrow.text)


# -- a tail that was cut ---------------------------------------------------------------

OLD_BOX = "╭──╮\n│ ✻ Welcome to Claude Code! │\n│   cwd: /home/me/engine │\n╰──╯\n\n"


@pytest.mark.parametrize("header", [HEADER, OLD_BOX])
def test_a_client_up_to_2_0_ends_with_a_line_break_or_was_cut(header: str) -> None:
    assert _parse(f"{header}\n> count\n\n⏺ 52 ca").flags == ("truncated_tail",)
    assert _parse(f"{header}\n> count\n\n⏺ 52 cards\n").flags == ()
    assert _parse(f"{header}\n> count\n\n⏺ 52 cards\n\n\n").flags == ()


@pytest.mark.parametrize("version", ["2.1.114", "2.10.0", "3.0"])
def test_newer_clients_end_without_a_line_break(version: str) -> None:
    assert _parse(f"{HEADER.replace('2.0.50', version)}\n> count\n\n⏺ 52 ca").flags == ()


def test_without_a_header_nobody_knows_how_the_client_ends() -> None:
    assert _parse("> count\n\n⏺ 52 ca").flags == ()


def test_a_copy_of_a_terminal_may_end_anywhere() -> None:
    text = f"{HEADER}\n> count\n\n══ Conversation compacted\n\n⏺ 52 ca"
    assert "truncated_tail" not in _parse(text).flags


@pytest.mark.parametrize("sign", ["é", "…", "🃏"])
def test_a_tail_inside_a_character_was_cut(sign: str) -> None:
    whole = f"> count\n\n⏺ 52 {sign}".encode()
    assert parse(whole, "any.txt").flags == ()
    for cut in range(1, len(sign.encode())):
        assert parse(whole[:-cut], "any.txt").flags == ("truncated_tail",)
