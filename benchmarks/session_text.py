"""Made-up talk as Claude Code's ``/export`` shows it on a screen of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from .talk import Step, Turn

_SHOWN_LINES = 3  # of the output of a command
_SHOWN_CHANGE = 110  # lines of a change
_SHOWN_TARGET = 170


def text_pieces(
    of: Iterator[Turn], *, client: int = 0, compacted: bool = False
) -> Iterator[tuple[bytes, int]]:
    """The header, then turn after turn, each with the messages that it shows.

    Clients of even number are 2.0 on macOS, the others 2.1, which pads prompts.
    """
    screen = (_Mac if client % 2 == 0 else _Linux)(client, compacted=compacted)
    yield screen.header().encode(), int(compacted)
    for turn in of:
        lines, messages = screen.turn(turn)
        yield "\n".join([*lines, ""]).encode(), messages


class _Mac:
    """2.0.50: continuations of a prompt stand in column 0."""

    glyph = "⏺"
    logo = "▗ ▗   ▖ ▖  Claude Code v2.0.50\n           Sonnet 4.5 · Claude Max\n  ▘▘ ▝▝    "

    def __init__(self, number: int, *, compacted: bool) -> None:
        self._number, self._compacted = number, compacted

    def header(self) -> str:
        bar = f"{' Conversation compacted · ctrl+o for history ':═^80}\n"
        read = "  ⎿  Read src/mill.py (85 lines)\n\n"
        cwd = f"~/work/project-{self._number:05}\n"
        return f"{self.logo}{cwd}{bar + read if self._compacted else chr(10)}"

    def turn(self, turn: Turn) -> tuple[list[str], int]:
        """Lines of a turn, the last one empty, and its messages."""
        lines, messages = self.prompt(turn.prompt), 2
        for step in turn.steps:
            if step.prose:
                lines += self._prose(step.prose)
                messages += 1
            lines += self._step(step)
            messages += 2
        return lines + self._prose(turn.answer), messages

    def prompt(self, said: list[str]) -> list[str]:
        return [f"> {said[0]}", *said[1:], ""]

    def _prose(self, said: list[str]) -> list[str]:
        return [f"{self.glyph} {said[0]}", *(f"  {line}" for line in said[1:]), ""]

    def _step(self, step: Step) -> list[str]:
        target = step.target[:_SHOWN_TARGET]
        lines = [f"{self.glyph} {step.tool}({target})"]
        if step.tool == "Read":
            shown = [f"Read {len(step.result)} lines (ctrl+o to expand)"]
        elif step.lines:
            shown = [f"Updated {target} with {len(step.lines)} additions"]
            changed = step.lines[:_SHOWN_CHANGE]
            shown += (f" {number:>4} + {line}" for number, line in enumerate(changed, 7))
        else:
            shown = step.result[:_SHOWN_LINES]
            if (more := len(step.result) - _SHOWN_LINES) > 0:
                shown.append(f"… +{more} lines (ctrl+o to expand)")
        lines.append(f"  ⎿  {shown[0].lstrip()}")
        return [*lines, *(f"     {line}" for line in shown[1:]), ""]


class _Linux(_Mac):
    """2.1.120: a prompt is padded to the width of the screen, and indented."""

    glyph = "●"
    logo = " ▐▛███▜▌   Claude Code v2.1.120\n▝▜█████▛▘  Opus 4.6 · Claude Pro\n  ▘▘ ▝▝    "

    def prompt(self, said: list[str]) -> list[str]:
        return [f"❯ {said[0]:<78}", *(f"  {line:<78}" for line in said[1:]), ""]
