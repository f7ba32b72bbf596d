"""Claude Code ``/export`` text: a rendering of the screen (FORMATS 1).

There are no ids, times or roles in the file; only the glyph at the start of a line
tells what a block is. A block runs to the next such line: neither indentation nor an
empty line ends a prompt (FORMATS 1.3). Reading is deterministic, and a transcript
pasted into a prompt is read as the blocks it looks like, and flagged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..errors import MalformedExport
from ..models import Kind, Mark, Message, Region, Role, Span, Transcript
from .base import Confidence
from .text import decode, encode, is_unsafe

NAME = "claude-code-text"
TITLE = "Claude Code /export text"
PARSER_VERSION = 3
DETECTED_BY = (
    "its header; or two of: a `⏺`/`●` block, a `⎿` result, a `>`/`❯` prompt, one of them a "
    "result or in the first line"
)
VERSIONS = "1.0 to 2.1, any platform"

_GAP = r"(?:[ \xa0]|$)"
_PROMPT = re.compile(rf"[>❯]{_GAP}")
_SPEAK = re.compile(rf"[⏺●]{_GAP}")
# Deeper ones belong to the block they stand in: a sub-agent's own calls, a quoted screen.
_RESULT = re.compile(r"[ \xa0]{0,2}⎿")
_THINKING = re.compile(r"[✻∴] (?:Thinking…|Thought for )")
_NOTICE = re.compile(r"[✻※✢✶✳✽] \S")
_GLUED = re.compile(r"([✻※✢✶✳✽] .*?\S)[ \xa0]+⎿")
_COMPACTION = re.compile(
    r"(?:═+ |✻ )Conversation compacted\b|[⏺●] Compact summary \(|✻ Compact summary"
)
# 2.1 shows whole runs of calls as one line without a glyph: "  Read 4 files (ctrl+o …".
_COLLAPSED = re.compile(r"  [A-Z][a-z]+ (?:for )?\d+ [^()]*\(ctrl\+[a-z] to expand\)\s*$")
_HEADER = re.compile(
    r"[ *]{0,3}▐▛███▜▌ .*Claude Code v\d|▗ ▗   ▖ ▖  Claude Code v\d|╭─+ Claude Code v\d"
    r"|│? {1,2}✻ Welcome to Claude Code!"
)
_NOTICE_SIGNS = "✻※✢✶✳✽"
_OPENINGS = (
    ("prompt", ">❯", _PROMPT),
    ("compaction", "═✻⏺●", _COMPACTION),
    ("speak", "⏺●", _SPEAK),
    ("result", " \xa0⎿", _RESULT),
    ("thinking", "✻∴", _THINKING),
    ("notice", _NOTICE_SIGNS, _NOTICE),
)
# By its first character, what a line may open; a header or a collapsed run, too.
_OPENING_SIGNS = {
    sign: tuple((opened, pattern) for opened, signs, pattern in _OPENINGS if sign in signs)
    for sign in " \xa0>❯⏺●⎿✻∴※✢✶✳✽═▗╭│*"
}
_VERSION = re.compile(r"Claude Code v(\d[\w.]*)")
_MODEL = re.compile(r"\b((?:Sonnet|Haiku|Opus|Fable|Claude) [\d.]+|claude-[\w.-]+\d)\b")
_CWD = re.compile(r"cwd: (?P<boxed>\S.*?) *│?$|▘▘ ▝▝ +\*? *(?P<logo>[~/A-Z].*?) *$")
_CWD_BOX = re.compile(r"│ +(?P<path>(?:[~/]|[A-Z]:)\S*) +│")
_TOOL = re.compile(
    r"(?P<tool>[A-Z][A-Za-z]*(?: [A-Z][A-Za-z]*){0,3}|[\w.:-]+|\S.{0,80}? \(MCP\))"
    r"\((?P<input>.*)",
    re.DOTALL,
)
_BARE_TOOLS = ("Update Todos",)
# An agent's name looks like any word before a parenthesis; a call also ends like one.
_CALL_END = re.compile(r"\)(?: timeout: [\w. ]+)?\s*$")
_RESULT_COLUMN = 5
_IN_FLIGHT = re.compile(r"(?:Running|Waiting|Initializing)…")
# Clients up to 2.0 end an export with a line break, 2.1 does not (FORMATS 1).
_ENDS_IN_LINE_BREAK = re.compile(r"[01]\.|2\.0\b")
_CUT_CHARACTER = re.compile(
    rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"
)
# Wrapped anywhere, and a wrapped line loses its space.
_EXPORTED = re.compile(r"Conversation\s+exported\s+to:(.*)", re.DOTALL)

# Ours: what a part of a long export begins with, to say what was said before.
PART = b"exportd-part "

_BOM = b"\xef\xbb\xbf"

# Lines of the header: the logo box and the announcements below it take at most this.
_HEADER_LINES = 25


def detect(head: bytes, name: str) -> Confidence:
    """Certain with a header, or two of: glyph block, result, prompt (FORMATS 1.5).

    Without a header the first line must open a block, and ``>`` with ``●`` alone is
    trusted only there: build logs know both signs.
    """
    if head.startswith(PART):
        return Confidence(certain=True, reason="a part of a long export")
    pieces = head.removeprefix(_BOM).split(b"\n")
    if any(_HEADER.match(decode(piece)) for piece in pieces[:_HEADER_LINES]):
        return Confidence(certain=True, reason="has a Claude Code header")
    lines = [decode(piece) for piece in pieces]
    seen = {
        "a glyph block (⏺ or ●)": any(map(_SPEAK.match, lines)),
        "a result (⎿)": any(map(_RESULT.match, lines)),
        "a prompt (> or ❯)": any(map(_PROMPT.match, lines)),
    }
    found = [what for what, there in seen.items() if there]
    first = next((line for line in lines if line.strip()), "")
    opens = _opens(first, None) is not None
    if len(found) >= 2 and (seen["a result (⎿)"] or opens):
        return Confidence(certain=True, reason=f"has {' and '.join(found)}")
    if not found:
        return Confidence(certain=False, reason="no header, no prompt, no ⏺, ● or ⎿")
    if len(found) >= 2:
        reason = f"{' and '.join(found)}, but no header, no result (⎿), and other text first"
    else:
        reason = f"only {found[0]}, and no header"
    return Confidence(certain=False, reason=reason, is_near=True)


def parse(raw: bytes, name: str) -> Transcript:
    """Read a whole export.

    Spans of messages and regions partition ``raw``; every byte that is not blank or
    header is in some message's text. But not the first bytes of a character that was cut
    off: with them the last message would not be the beginning of what it is later.
    """
    if raw.startswith(PART):
        return _read_part(raw)
    return _read(_Reader(), raw)


def _read_part(raw: bytes) -> Transcript:
    line, _, _ = raw.partition(b"\n")
    try:
        told = json.loads(line.removeprefix(PART))
        before, header, compacted = (told[k] for k in ("before", "header", "starts_compacted"))
    except (ValueError, TypeError, KeyError) as error:
        raise MalformedExport("the first line of a part is damaged") from error
    known = Transcript(NAME, PARSER_VERSION, (), (), starts_compacted=compacted, header=header)
    start = len(line) + 1
    found = _read(_Reader(known), raw, start)
    told_before = Region(Span(0, start), "header", "what was said before this part")
    return replace(found, follows=before, regions=(told_before, *found.regions))


def parse_on(raw: bytes, known: Transcript) -> Transcript:
    """Read what begins at a mark of an export that has grown; spans count from there.

    ``known`` is what was read before the mark, without messages.
    """
    return _read(_Reader(known), raw)


def _read(reader: _Reader, raw: bytes, start: int = 0) -> Transcript:
    cut = _CUT_CHARACTER.search(raw[-3:])
    size_bytes = len(raw) - (len(cut[0]) if cut else 0)
    for block in _blocks(raw[:size_bytes], start):
        reader.take(block)
    reader.end(raw, size_bytes)
    return reader.transcript()


@dataclass(slots=True)
class _Line:
    start: int
    end: int
    text: str

    @property
    def blank(self) -> bool:
        return not self.text.strip()


@dataclass(slots=True)
class _Block:
    """Lines from one opening line to the next; ``opened`` is None before the first."""

    opened: str | None
    lines: list[_Line]


def _blocks(raw: bytes, start: int) -> Iterator[_Block]:
    block = _Block(None, [])
    for line in _lines(raw, start):
        opened = _opens(line.text, block.opened)
        if opened is not None:
            if block.lines:
                yield block
            block = _Block(opened, [])
        block.lines.append(line)
    if block.lines:
        yield block


def _lines(raw: bytes, start: int) -> Iterator[_Line]:
    for size_bytes, line in _texts(raw[start:]):
        text, end = line if start else line.removeprefix("\ufeff"), start + size_bytes
        if text and text[0] in _NOTICE_SIGNS and (glued := _GLUED.match(text)):
            cut = start + len(encode(glued[1]))
            yield _Line(start, cut, glued[1])
            start, text = cut, text[glued.end(1) :]
        yield _Line(start, end, text)
        start = end


def _texts(raw: bytes) -> Iterator[tuple[int, str]]:
    """Each line without its end, and how many bytes it has with it.

    Decoded at once where nothing in it is to be escaped.
    """
    whole = raw.decode("utf-8", "surrogateescape")
    if "\r" in whole or is_unsafe(whole):
        yield from ((len(piece), decode(piece).rstrip("\r\n")) for piece in _split(raw))
        return
    *texts, last = whole.split("\n")
    for text in texts:
        yield (len(text) if text.isascii() else len(text.encode())) + 1, text
    if last:
        yield len(last.encode()), last


def _split(raw: bytes) -> list[bytes]:
    """Lines by LF alone: a bare CR is a progress bar inside a line, not its end."""
    pieces = [piece + b"\n" for piece in raw.split(b"\n")]
    pieces[-1] = pieces[-1][:-1]
    return [piece for piece in pieces if piece]


def _opens(text: str, inside: str | None) -> str | None:
    """What block a line opens, if any, given the kind of block it stands in."""
    if not text or (openings := _OPENING_SIGNS.get(text[0])) is None:
        return None
    for opened, pattern in openings:
        if pattern.match(text):
            return opened
    if inside is not None and "Claude Code" in text and _HEADER.match(text):
        return "header"
    if "(ctrl+" in text and _COLLAPSED.match(text):
        return "notice"
    return None


class _Reader:
    """Turns blocks into messages and regions, one after the other."""

    def __init__(self, known: Transcript | None = None) -> None:
        self._messages: list[Message] = []
        self._regions: list[Region] = []
        self._marks: list[Mark] = []
        self._lineage = list(known.lineage) if known else []
        self._flags = set(known.flags) if known else set()
        self._header = dict(known.header) if known else {}
        self._compacted = known is not None and known.starts_compacted
        self._tool: str | None = None

    def take(self, block: _Block) -> None:
        body, blanks = _without_trailing_blanks(block.lines)
        if body:
            span = Span(body[0].start, body[-1].end)
            self._take_body(block.opened, body, span)
        if blanks:
            span = Span(blanks[0].start, blanks[-1].end)
            self._regions.append(Region(span, "separator", "blank lines"))

    def _take_body(self, opened: str | None, body: list[_Line], span: Span) -> None:
        texts = [line.text for line in body]
        if opened is None and any(map(_HEADER.match, texts)):
            self._header = _header_facts(texts)
            self._regions.append(Region(span, "header", "Claude Code's welcome box"))
        elif opened == "compaction" and all(m.kind is Kind.NOTICE for m in self._messages):
            self._compacted = True
            self._regions.append(Region(span, "notice", "compaction bar"))
        else:
            self._messages.append(self._message(opened, texts, span))

    def _message(self, opened: str | None, texts: list[str], span: Span) -> Message:
        match opened:
            case "prompt":
                return self._prompt(texts, span)
            case "speak":
                return self._speak(texts, span)
            case "result":
                return self._result(texts, span)
            case "thinking":
                text = _dedent([texts[0][2:], *texts[1:]], 2)
                return Message(Role.ASSISTANT, Kind.THINKING, text, span)
            case None:
                self._flags.add("headless")
                return Message(Role.SYSTEM, Kind.TEXT, _dedent(texts, 0), span)
            case _:
                if opened in ("compaction", "header"):
                    self._flags.add("scrollback")
                return Message(Role.SYSTEM, Kind.NOTICE, _dedent(texts, 2).strip(), span)

    def _prompt(self, texts: list[str], span: Span) -> Message:
        self._tool = None
        self._mark(span)
        text = _dedent([texts[0][2:], *texts[1:]], 2)
        if _opens(text.lstrip(), None) is not None:
            self._flags.add("pasted_transcript")
        command = text.startswith(("/", "!"))
        return Message(Role.USER, Kind.COMMAND if command else Kind.PROMPT, text, span)

    def _speak(self, texts: list[str], span: Span) -> Message:
        text = _dedent([texts[0][2:], *texts[1:]], 2)
        call = _TOOL.match(text)
        if call and call["tool"][0].islower() and not _CALL_END.search(text):
            call = None
        if call is None and text not in _BARE_TOOLS:
            self._tool = None
            self._mark(span)
            return Message(Role.ASSISTANT, Kind.TEXT, text, span)
        self._tool = call["tool"] if call else text
        extra = {"tool": self._tool}
        if call:
            extra["input"] = call["input"].removesuffix(")")
        return Message(Role.ASSISTANT, Kind.TOOL_CALL, text, span, extra=extra)

    def _mark(self, span: Span) -> None:
        """What follows is read alike, whatever tool was called before."""
        flags = tuple(sorted(self._flags)) if self._flags else ()
        self._marks.append(Mark(span.start, len(self._messages), len(self._lineage), flags))

    def _result(self, texts: list[str], span: Span) -> Message:
        opening = texts[0].replace("\xa0", " ")
        first = opening.lstrip()[1:].strip()
        column = len(opening) - len(first) if first else _RESULT_COLUMN
        text = _dedent([first, *texts[1:]], column).strip("\n")
        if exported := _EXPORTED.match(text):
            self._lineage.append(exported_name(exported[1]))
        extra: dict[str, Any] = {"tool": self._tool} if self._tool else {}
        in_flight = bool(_IN_FLIGHT.match(text))
        return Message(
            Role.TOOL, Kind.TOOL_RESULT, text, span, in_flight=in_flight, extra=extra
        )

    def end(self, raw: bytes, size_bytes: int) -> None:
        """Flag a cut tail. Who copied a terminal or left no header may have ended anyhow.

        From ``size_bytes`` on there is a character that was cut off.
        """
        known = self._header and "scrollback" not in self._flags
        ends = known and _ENDS_IN_LINE_BREAK.match(self._header.get("version", "1.0"))
        if size_bytes < len(raw):
            what = "the first bytes of a character that was cut off"
            self._regions.append(Region(Span(size_bytes, len(raw)), "ignored", what))
        if size_bytes < len(raw) or (ends and not raw.endswith(b"\n")):
            self._flags.add("truncated_tail")

    def transcript(self) -> Transcript:
        return Transcript(
            format=NAME,
            parser_version=PARSER_VERSION,
            messages=tuple(self._messages),
            regions=tuple(self._regions),
            starts_compacted=self._compacted,
            cwd=self._header.get("cwd"),
            lineage=tuple(self._lineage),
            flags=tuple(sorted(self._flags)),
            header=self._header,
            marks=tuple(self._marks),
        )


def exported_name(text: str) -> str:
    """A file name as it stands after "Conversation exported to:", comparable.

    The rendering wraps it in the middle of words, so whitespace means nothing in it.
    """
    return re.split(r"[/\\]", "".join(text.split()))[-1]


def _without_trailing_blanks(lines: list[_Line]) -> tuple[list[_Line], list[_Line]]:
    end = len(lines)
    while end and lines[end - 1].blank:
        end -= 1
    return lines[:end], lines[end:]


def _dedent(texts: list[str], at_most: int) -> str:
    """First line as it is, the others without padding and the block's indentation.

    ``at_most`` is the column at which the block's text begins; what stands further in
    is indented on purpose.
    """
    rest = [text.replace("\xa0", " ").rstrip() for text in texts[1:]]
    indent = at_most
    for text in filter(None, rest):
        if not indent:
            break
        indent = min(indent, len(text) - len(text.lstrip(" ")))
    return "\n".join([texts[0].replace("\xa0", " ").rstrip(), *(t[indent:] for t in rest)])


def _header_facts(texts: list[str]) -> dict[str, str]:
    whole = "\n".join(texts)
    facts = {}
    if version := _VERSION.search(whole):
        facts["version"] = version[1]
    if model := _MODEL.search(whole):
        facts["model"] = model[1]
    for text in texts:
        if cwd := _CWD.search(text):
            facts["cwd"] = cwd["boxed"] or cwd["logo"]
        elif box := _CWD_BOX.match(text):
            facts["cwd"] = box["path"]
    return facts
