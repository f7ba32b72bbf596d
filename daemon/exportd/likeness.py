"""How alike two texts are that may be renderings of one message."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from .fingerprint import compact, is_anchor
from .models import Place

_COMPARED_CHARS = 400


def alike(a: Place, b: Place) -> float:
    """How much of the texts stands in both, by runs of three characters; 0 to 1.

    A path may grow in a tool call, so the shorter text counts there. Prompts and prose
    keep their length, and templates differ at their ends.
    """
    (head_a, tail_a), (head_b, tail_b) = _trigrams(a.text), _trigrams(b.text)
    if not head_a or not head_b:
        return 0.0
    common = (head_a & head_b).total()
    if not is_anchor(a):
        return common / min(head_a.total(), head_b.total())
    common = min(common, (tail_a & tail_b).total())
    return common / max(head_a.total(), head_b.total())


@lru_cache(maxsize=1024)
def _trigrams(text: str) -> tuple[Counter[str], Counter[str]]:
    """The runs of three characters at the beginning and at the end of a compact text."""
    whole = compact(text)
    parts = (whole[:_COMPARED_CHARS], whole[-_COMPARED_CHARS:])
    head, tail = (Counter(part[n : n + 3] for n in range(len(part))) for part in parts)
    return head, tail


def forget_likenesses() -> None:
    """Let go of the texts that were compared last."""
    _trigrams.cache_clear()
