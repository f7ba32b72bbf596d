"""How a message to people reads: its headline, its text, and its parts for richer forms.

Pure. Everything that is shown is made plain first: names of files and conversations come
from outside.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, timedelta

from ..models import Severity
from .notice import Event, Notice, Told
from .plain import clean, cut, one_line

OVER = "✅"
SIGNS = {Severity.CRITICAL: "🔴", Severity.WARNING: "🟠", Severity.INFO: "🔵"}
SUMMARY = "daily_summary"
LIST_ALL = "exportd alerts list"
AS_ABOVE = "as above."

_HEADLINE = 140  # a Slack header takes 150; a phone shows the first 40
_BODY = 20_000
_TITLES = 20
_TIME = "%Y-%m-%d %H:%M"
_GRADES = {
    Severity.CRITICAL: "Critical",
    Severity.WARNING: "Warning",
    Severity.INFO: "For information",
}
_PREFIXES = {
    Event.FIRING: "",
    Event.RESOLVED: "",  # told as over, whatever the event
    Event.REMINDER: "Still: ",
    Event.ESCALATED: "Nobody acknowledged: ",
}


@dataclass(frozen=True, slots=True)
class Words:
    """One alert, part by part and without markup; a part that it lacks is empty.

    ``ack`` is the command that acknowledges it, ``over`` says why it is over.
    """

    sign: str
    title: str
    conversation: str
    body: str
    over: str
    todo: str
    facts: str
    ack: str


def headline(notice: Notice) -> str:
    """One line: how bad, what, and which conversation; fit for a subject."""
    if notice.count == 1:
        words = words_of(notice.told[0])
        line = f"{words.sign} {words.title}"
    else:
        line = f"{_sign(notice)} {_how_many(notice)}: {_titles(notice)}"
    shared = {one.conversation_id for one in notice.told}
    where = one_line(shared.pop() or "") if len(shared) == 1 and not notice.left_out else ""
    # The mark must not be what is cut off.
    mark = " (possible repeat)" if notice.is_repeat_possible else ""
    return cut(f"{line} · {where}" if where else line, _HEADLINE - len(mark)) + mark


def text(notice: Notice) -> str:
    """The message as plain text, its headline first."""
    parts = [] if notice.count == 1 else [headline(notice)]
    parts += [_paragraphs(words) for words in all_words(notice)]
    if further := left_out(notice):
        parts.append("\n".join(["Left out here:", *(f"  {line}" for line in further)]))
        parts.append(f"All of them: {LIST_ALL}")
    if note := repeat_note(notice):
        parts.append(note)
    return "\n\n".join(parts) + f"\n\n--\n{footer(notice)}\n"


def all_words(notice: Notice) -> list[Words]:
    """How each alert reads; what to do is told once, and below it is "as above"."""
    found: list[Words] = []
    told: set[str] = set()
    for words in map(words_of, notice.told):
        found.append(replace(words, todo=AS_ABOVE) if words.todo in told else words)
        told |= {words.todo} - {""}
    return found


def words_of(told: Told) -> Words:
    """How one alert reads."""
    over = is_over(told)
    asks = not over and told.kind != SUMMARY
    # What is told for information needs nobody to say that they see to it.
    takes_ack = asks and told.severity is not Severity.INFO
    prefix = "Over: " if over else _PREFIXES[told.event]
    return Words(
        sign=OVER if over else SIGNS[told.severity],
        title=prefix + one_line(told.title),
        conversation=one_line(told.conversation_id or ""),
        body=cut(clean(told.body), _BODY),
        over=_why_over(told) if over else "",
        todo=clean(told.todo) if asks else "",
        facts="" if told.kind == SUMMARY else _facts(told),
        ack=f"exportd alerts ack {told.alert_id}" if takes_ack else "",
    )


def left_out(notice: Notice, shown: int | None = None) -> list[str]:
    """A line for each title of which alerts are left out; ``shown`` are told in full."""
    counts = Counter({one_line(title): n for title, n in notice.left_out.items() if n})
    if shown is not None:
        counts.update(one_line(one.title) for one in notice.told[shown:])
    most = counts.most_common()
    lines = [f"{count:,} × {title}" for title, count in most[:_TITLES]]
    if rest := sum(count for _, count in most[_TITLES:]):
        lines.append(f"{rest:,} × others")
    return lines


def footer(notice: Notice) -> str:
    """Who speaks: the program, and the machine and folder it watches."""
    return f"exportd · {one_line(notice.place)}"


def repeat_note(notice: Notice) -> str:
    """Empty where it is no possible repeat."""
    if not notice.is_repeat_possible:
        return ""
    return "Possible repeat: this was sent before, but whether it arrived is not known."


def is_over(told: Told) -> bool:
    return told.resolved_at is not None or told.event is Event.RESOLVED


def _sign(notice: Notice) -> str:
    """That of the worst alert that goes on."""
    going_on = [one.severity for one in notice.told if not is_over(one)]
    return SIGNS[max(going_on, key=list(Severity).index)] if going_on else OVER


def _how_many(notice: Notice) -> str:
    over = sum(is_over(one) for one in notice.told)
    if over == notice.count:
        return f"{over:,} alerts are over"
    return f"{notice.count:,} alerts" + (f", {over:,} of them over" if over else "")


def _titles(notice: Notice) -> str:
    """Every title once, the worst first, with how often it comes."""
    counts = Counter(one_line(one.title) for one in notice.told)
    counts.update({one_line(title): count for title, count in notice.left_out.items()})
    return ", ".join(
        f"{title} ({count:,})" if count > 1 else title for title, count in counts.items()
    )


def _paragraphs(words: Words) -> str:
    head = [f"{words.sign} {words.title}", words.facts]
    if words.conversation:
        head.insert(1, f"Conversation: {words.conversation}")
    parts = ["\n".join(filter(None, head)), words.body]
    parts += [f"Why it is over: {words.over}"] if words.over else []
    parts += [f"What to do: {words.todo}"] if words.todo else []
    parts += [f"When you see to it: {words.ack}"] if words.ack else []
    return "\n\n".join(filter(None, parts))


def _why_over(told: Told) -> str:
    why = clean(told.resolution) or "it is as it should be again."
    if told.event is Event.RESOLVED:
        return why
    return f"{why} (It was over before it could be told.)"


def _facts(told: Told) -> str:
    facts = [_GRADES[told.severity], _period(told)]
    if told.resolved_at is not None:
        facts.append(f"lasted {_duration(told.resolved_at - told.since)}")
    if told.occurrences > 1:
        facts.append(f"seen {told.occurrences:,} times")
    return " · ".join(facts)


def _period(told: Told) -> str:
    began = told.since.astimezone(UTC)
    if told.resolved_at is None:
        word = "" if told.severity is Severity.INFO else "since "
        return f"{word}{began:{_TIME}} UTC"
    ended = told.resolved_at.astimezone(UTC)
    form = "%H:%M" if ended.date() == began.date() else _TIME
    return f"{began:{_TIME}} to {ended:{form}} UTC"


def _duration(lasted: timedelta) -> str:
    """Two units at most: ``35 s``, ``12 min``, ``3 h 5 min``, ``4 days 3 h``."""
    seconds = max(int(lasted.total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if not minutes:
        return f"{seconds} s"
    if not hours:
        return f"{minutes} min"
    if not days:
        return _two(f"{hours} h", minutes % 60, "min")
    return _two("1 day" if days == 1 else f"{days:,} days", hours % 24, "h")


def _two(first: str, count: int, unit: str) -> str:
    return f"{first} {count} {unit}" if count else first
