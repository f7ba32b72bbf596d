"""What is set aside, for a terminal: what it is, why, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from textwrap import fill

from .. import cures
from ..formats.text import printable
from ..listed import DeadLetter
from .wording import size

_SETTLED = {
    "ingested": "ingested after all",
    "retried": "put back",
    "replaced": "a later one took its name",
    "forgotten": "given up",
}


def listing(letters: Sequence[DeadLetter], width: int) -> str:
    """An entry of a few lines each, and the commands that end it."""
    if not letters:
        return "Nothing is set aside.\n"
    lines = [line for letter in letters for line in (*_entry(letter, width), "")]
    return "\n".join([*lines, *_todo(letters)]).rstrip("\n") + "\n"


def _entry(letter: DeadLetter, width: int) -> Iterator[str]:
    sign = "✓" if letter.settlement else "✗"
    told = "" if letter.size_bytes is None else f" ({size(letter.size_bytes)})"
    yield f"{sign} {printable(letter.name)}{told}"
    facts = [_moment(letter.set_aside_at)] if letter.set_aside_at else []
    if letter.inside:
        facts.append(f"lies in {printable(letter.inside)}, which is archived")
    if letter.place == "gone" and not letter.settlement:
        facts.append("its file is gone from exports-failed/")
    if letter.settlement:
        by = f" by {printable(letter.settled_by)}" if letter.settled_by else ""
        at = f", {_moment(letter.settled_at)}" if letter.settled_at else ""
        facts.append(f"{_SETTLED.get(letter.settlement, letter.settlement)}{by}{at}")
    for line in (", ".join(facts), printable(letter.reason)):
        if line:
            yield fill(
                line,
                max(width, 40),
                initial_indent="    ",
                subsequent_indent="    ",
                break_on_hyphens=False,
                break_long_words=False,
            )


def _todo(letters: Sequence[DeadLetter]) -> Iterator[str]:
    """By the first of each kind; of all there is an option, or one more name."""
    files = [one for one in letters if one.what == "file" and not one.settlement]
    there = [one for one in files if one.place == "there" and one.size_bytes is not None]
    gone = [one for one in files if one.place == "gone"]
    if there:
        yield f"Mend the cause, then: {cures.retry(there[0].name)}"
        yield f"No conversation? Delete it, then: {cures.forget(there[0].name)}"
    if gone:
        yield f"If you deleted it: {cures.forget(gone[0].name)}"


def _moment(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else ""
