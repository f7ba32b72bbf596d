"""The rules that exportd replaces, replayed on the messages that exportd itself reads.

Of the earlier implementation only the decision is replayed, message by message and in
the order of the files: is this a duplicate? Its parser, which mistook roles and knew no
prompts, is not; with it the numbers would be worse.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from exportd.fingerprint import places
from exportd.identity import parse_name

from .stored import Export, Segment, hashes, placed

# Of three messages one is soon lost: the worst session is one of the longer ones.
WORST_OF_MESSAGES = 100


@dataclass(frozen=True, slots=True)
class Rule:
    """When a message counts as a duplicate.

    ``session`` names the session of an export: what is known is known within it. A known
    hash of role and text is a duplicate; with ``watermark`` an index not above the
    highest one kept is one, too.
    """

    title: str
    session: Callable[[Export, Segment], str]
    watermark: bool


def _slug(export: Export, segment: Segment) -> str:
    """The last words of a file name, where they are enough to be a client's default name.

    Such a name ends in the beginning of the session's first prompt.
    """
    project = parse_name(export.path.name).project.lower()
    words = re.split(r"[-_ ]+", project)
    if len(words) < _SLUG_WORDS or _GENERIC.search(project):
        return segment.conversation_id
    return "-".join(words[-_SLUG_WORDS:])


_SLUG_WORDS = 5

# What the client itself puts in the place of a first prompt names no session.
_GENERIC = re.compile(r"session-is-being-continued|caveat-the-messages|command-message")

RULES = (
    Rule(
        "index or hash known; one session for all names that end in the same slug",
        _slug,
        watermark=True,
    ),
    Rule(
        "index or hash known; one session for what exportd calls a conversation",
        lambda _, segment: segment.conversation_id,
        watermark=True,
    ),
    Rule(
        "index or hash known; one session for each file name",
        lambda export, _: export.path.name,
        watermark=True,
    ),
    Rule(
        "hash known anywhere: one pool for all, no order, no sessions",
        lambda *_: "",
        watermark=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Loss:
    """What a rule did, against what exportd stores.

    ``lost`` messages were never kept; of these, ``gone`` have a text that was not kept
    anywhere either. ``doubled`` were kept again, at a place that was kept before.
    ``worst``: of the session that lost the greatest share, messages lost and stored.
    """

    rule: Rule
    kept: int
    filtered: int
    lost: int
    gone: int
    doubled: int
    worst: tuple[int, int]


def losses(segments: Sequence[Segment]) -> list[Loss]:
    """Every rule on the same exports, in the order of their paths."""
    found = {e.number: (e, s, placed(s, e)) for s in segments for e in s.exports}
    exports = [found[number] for number in sorted(found)]
    return [_loss(rule, segments, exports) for rule in RULES]


def unplaced(segments: Sequence[Segment]) -> int:
    """Messages of exports that find no place in the segment they were put into."""
    return sum(at is None for s in segments for e in s.exports for at in placed(s, e))


_Read = tuple[Export, Segment, list[int | None]]
_At = tuple[str, int, int | None]  # conversation, segment, place


def _loss(rule: Rule, segments: Sequence[Segment], exports: Sequence[_Read]) -> Loss:
    kept = list(_kept(rule, exports))
    places_kept = {at for at, _ in kept}
    texts = {text for _, text in kept}
    stored = {(*_key(s), n): m for s in segments for n, m in enumerate(s.messages)}
    lost = [at for at in stored if at not in places_kept]
    seen = sum(len(at) for _, _, at in exports)
    return Loss(
        rule,
        kept=len(kept),
        filtered=seen - len(kept),
        lost=len(lost),
        gone=sum(not hashes(stored[at]) & texts for at in lost),
        doubled=len(kept) - len(places_kept),
        worst=_worst(rule, segments, lost),
    )


def _kept(rule: Rule, exports: Sequence[_Read]) -> Iterator[tuple[_At, str]]:
    """What the rule takes for new, message by message: its place and its hash."""
    sessions: dict[str, _Session] = {}
    for export, segment, at in exports:
        session = sessions.setdefault(rule.session(export, segment), _Session())
        for index, place in enumerate(places(export.transcript.messages)):
            (text,) = place.hashes
            if session.takes(rule, index, text):
                yield (*_key(segment), at[index]), text


def _key(segment: Segment) -> tuple[str, int]:
    return segment.conversation_id, segment.ordinal


def _worst(rule: Rule, segments: Iterable[Segment], lost: Iterable[_At]) -> tuple[int, int]:
    """Of the session that lost the greatest share: messages lost, and stored."""
    session = {_key(s): rule.session(s.exports[-1], s) for s in segments}
    count = Counter(session[at[:2]] for at in lost)
    whole: Counter[str] = Counter()
    for segment in segments:
        whole[session[_key(segment)]] += len(segment.messages)
    worth_telling = [name for name in whole if whole[name] >= WORST_OF_MESSAGES]
    worst = max(worth_telling, key=lambda name: count[name] / whole[name], default="")
    return count[worst], whole[worst]


class _Session:
    """What the earlier rule remembers: the highest index, and the hashes."""

    def __init__(self) -> None:
        self._watermark = -1
        self._hashes: set[str] = set()

    def takes(self, rule: Rule, index: int, text: str) -> bool:
        """Whether a message is new; it is remembered then."""
        if (rule.watermark and index <= self._watermark) or text in self._hashes:
            return False
        self._watermark = index
        self._hashes.add(text)
        return True
