"""A line under a heading of a README; every other byte stays as it is. Pure."""

from __future__ import annotations

import re

HEADING = b"Checkpoints"

_HEADING = re.compile(rb" {0,3}#{1,6}[ \t]+" + HEADING + rb"[ \t]*#*[ \t]*")
_UNDERLINE = re.compile(rb" {0,3}(?:=+|-+)[ \t]*")
_FENCE = re.compile(rb" {0,3}(`{3,}|~{3,})")


def with_reference(text: bytes, line: bytes) -> bytes:
    """``text`` with ``line`` as the first one under the heading "Checkpoints".

    The heading is made at the end where there is none; a line that is there stays alone.
    """
    newline = b"\r\n" if b"\r\n" in text else b"\n"
    lines = text.splitlines(keepends=True) if text else []
    if any(one.strip(b" \t\r\n") == line for one in lines):
        return text
    at = _under_heading(lines)
    if at is None:
        start = text if not text or text.endswith((b"\n", b"\r")) else text + newline
        gap = newline if start else b""
        return start + gap + b"## " + HEADING + newline * 2 + line + newline
    before = b"".join(lines[:at])
    if not before.endswith((b"\n", b"\r")):
        before += newline
    rest = lines[at:]
    if rest and not rest[0].strip():  # the empty line between heading and list
        before, rest = before + rest[0], rest[1:]
    else:
        before += newline
    is_list = bool(rest) and rest[0].lstrip(b" ")[:2] in (b"- ", b"* ", b"+ ")
    after = b"".join(rest)
    gap = b"" if is_list or not after.strip() else newline
    return before + line + newline + gap + after


def _under_heading(lines: list[bytes]) -> int | None:
    """The place behind the heading, of either kind (CommonMark 4.2, 4.3); none in a fence."""
    fence = b""
    for number, raw in enumerate(lines):
        line = raw.rstrip(b"\r\n")
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip().strip(fence[:1]):
                fence = b""
            continue
        if mark:
            fence = mark[1]
        elif _HEADING.fullmatch(line):
            return number + 1
        elif line.strip() == HEADING and _UNDERLINE.fullmatch(_line(lines, number + 1)):
            return number + 2
    return None


def _line(lines: list[bytes], number: int) -> bytes:
    return lines[number].rstrip(b"\r\n") if number < len(lines) else b""
