"""Invented sessions and their exports: what was really said, and how a screen shows it.

Independent of the product on purpose: nothing here imports exportd. FORMATS 1 is the
source of every form.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from textwrap import wrap
from typing import Any

HOME = "/home/ann"
PLACEHOLDERS = ("Running…", "Initializing…")


@dataclass(frozen=True, slots=True)
class Said:
    """One message as it was said; ``{path}`` in its text is shown by the directory.

    ``later`` is what a restarted client shows of it, ``age`` how often the client had
    been restarted when it was said. ``telling``: nobody else says this.
    """

    form: str  # prompt, prose, call or result
    text: str
    path: str = ""
    later: str = ""
    age: int = 0
    telling: bool = False

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:  # noqa: FBT001
        """How Hypothesis prints it: short."""
        printer.text(f"{self.form}({self.text!r})")

    @property
    def role(self) -> str:
        return {"prompt": "user", "result": "tool"}.get(self.form, "assistant")

    @property
    def is_anchor(self) -> bool:
        return self.form in ("prompt", "prose")


@dataclass(slots=True)
class Segment:
    """What a session said from one compaction to the next, in order."""

    number: int
    session: Session
    said: list[Said] = field(default_factory=list)
    shown_whole: int = 0  # so many messages were exported complete


@dataclass(slots=True)
class Session:
    """A session with one client, which shows it in one directory and at one width."""

    project: str
    cwd: str
    width: int = 80
    age: int = 0
    segments: list[Segment] = field(default_factory=list)

    @property
    def present(self) -> Segment:
        return self.segments[-1]


@dataclass(frozen=True, slots=True)
class Shown:
    """One message as an export shows it; not ``complete``: running, or cut short."""

    role: str
    text: str
    complete: bool = True


def show(session: Session, said: Said) -> str:
    """The text of a message as the client shows it now."""
    text = said.later if said.later and said.age < session.age else said.text
    return text.replace("{path}", _seen_from(session.cwd, said.path))


def _seen_from(cwd: str, path: str) -> str:
    if path.startswith(f"{cwd}/"):
        return path.removeprefix(f"{cwd}/")
    return path.replace(HOME, "~", 1)


def export_text(session: Session, shown: list[Shown]) -> str:
    """The present segment as ``/export`` writes it (FORMATS 1.2 to 1.4)."""
    blocks = [_header(session)]
    if len(session.segments) > 1:
        blocks.append(f"{' Conversation compacted · ctrl+o for history ':═^{session.width}}")
    forms = [said.form for said in session.present.said]
    blocks += [
        _block(form, message.text, session.width)
        for form, message in zip(forms, shown, strict=False)
    ]
    return "\n\n".join(blocks) + "\n"


def _header(session: Session) -> str:
    cwd = session.cwd.replace(HOME, "~", 1)
    return (
        f" ▐▛███▜▌   Claude Code v2.0.{42 + session.age}\n▝▜█████▛▘  Sonnet 4.5 · Claude Max\n"
        f"  ▘▘ ▝▝    {cwd}"
    )


def _block(form: str, text: str, width: int) -> str:
    if form == "prompt":
        return "\n".join(wrap(f"> {text}", width))
    if form == "prose":
        return "\n".join(wrap(f"⏺ {text}", width, subsequent_indent="  "))
    if form == "call":
        return _hard(f"⏺ {text}", width, "      ")
    return _hard(f"  ⎿  {text}", width, "     ")


def _hard(text: str, width: int, indent: str) -> str:
    """Paths, commands and output break in the middle of words."""
    lines: list[str] = []
    for line in text.split("\n"):
        rest = line if not lines else indent + line
        while len(rest) > width:
            lines.append(rest[:width])
            rest = indent + rest[width:]
        lines.append(rest)
    return "\n".join(lines)


def bare(text: str) -> str:
    """What stays of a text when widths differ."""
    return "".join(text.split())


def aged(said: Said, session: Session, number: int) -> Said:
    """``said`` now, in this session; ``{n}`` makes it unlike everything else."""
    text = said.text.replace("{n}", str(number))
    return replace(said, text=text, age=session.age, telling=text != said.text)
