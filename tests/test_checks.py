"""The checks of ``exportd verify``, on plain values: whatever is damaged is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exportd.checks import layout, spans
from exportd.checks.facts import (
    ConversationRow,
    ExportRow,
    Finding,
    MessageRow,
    Rendering,
    Run,
    SegmentRow,
)
from exportd.checks.segment import SegmentCheck
from exportd.fingerprint import fingerprint
from exportd.models import Kind, Message, Region, Role, Span, Transcript

SHAPES: tuple[tuple[Role, Kind, dict[str, str]], ...] = (
    (Role.USER, Kind.PROMPT, {}),
    (Role.ASSISTANT, Kind.TEXT, {}),
    (Role.ASSISTANT, Kind.TOOL_CALL, {"tool": "Bash", "input": "make"}),
    (Role.TOOL, Kind.TOOL_RESULT, {"tool": "Bash"}),
)
PLACEHOLDER = Message(
    Role.TOOL, Kind.TOOL_RESULT, "Running…", Span(0, 0), in_flight=True, extra={"tool": "Bash"}
)


def message(text: str, shape: int = 0) -> Message:
    role, kind, extra = SHAPES[shape]
    return Message(role, kind, text, Span(0, 0), extra=extra)


def row(shown: Message, *renderings: str) -> MessageRow:
    """The row that stores a message; its index is set by ``stored``."""
    return MessageRow(
        index=0,
        segment_id=1,
        role=shown.role.value,
        kind=shown.kind.value,
        content_hash=fingerprint(shown.role, shown.text),
        text=shown.text,
        metadata=dict(shown.extra),
        in_flight=shown.in_flight,
        renderings=tuple(Rendering(fingerprint(shown.role, r), r) for r in renderings),
    )


def head_of(rows: Sequence[MessageRow]) -> str | None:
    anchors = [r for r in rows if r.role == "user" or r.kind == "text"]
    return next((r.content_hash for r in (*anchors, *rows)), None)


def findings(
    rows: Sequence[MessageRow],
    *exports: Sequence[Message],
    head: str | None = None,
    complete: bool = True,
) -> list[Finding]:
    numbered = [replace(r, index=n) for n, r in enumerate(rows)]
    segment = SegmentRow(1, "c", 0, 0, len(rows), head or head_of(rows))
    check = SegmentCheck(segment, numbered)
    for number, export in enumerate(exports):
        check.compare(f"export {number}", export)
    return list(check.findings(complete=complete))


def kinds(*args: Sequence[MessageRow] | Sequence[Message]) -> list[str]:
    return [finding.kind for finding in findings(*args)]  # type: ignore[arg-type]


# -- any damage of any small store ---------------------------------------------------


@dataclass(frozen=True)
class Small:
    """A segment, and the exports that made it: cuts of one run, some rendered anew."""

    rows: tuple[MessageRow, ...]
    exports: tuple[tuple[Message, ...], ...]


@st.composite
def smalls(draw: st.DrawFn) -> Small:
    texts = st.sampled_from(["continue", "done", "git status", "a b", "ab"])
    run = draw(st.lists(st.builds(message, texts, st.integers(0, 3)), min_size=1, max_size=9))
    rows = [row(shown) for shown in run]
    exports = [tuple(run)]
    for cut in draw(st.lists(st.integers(1, len(run)), max_size=3)):
        export = run[:cut]
        if export[-1].kind is Kind.TOOL_RESULT and draw(st.booleans()):
            export[-1] = PLACEHOLDER
        elif draw(st.booleans()):
            at = draw(st.integers(0, cut - 1))
            other = replace(export[at], text=f"{export[at].text}, shortened at {at}")
            export[at] = other
            rows[at] = row(run[at], other.text)
            exports = [e for e in exports if not any("shortened" in m.text for m in e)]
        exports.append(tuple(export))
    shown = {m.text for export in exports for m in export}
    rows = [
        replace(r, renderings=tuple(x for x in r.renderings if x.text in shown)) for r in rows
    ]
    return Small(tuple(rows), tuple(draw(st.permutations(exports))))


Damage = Callable[[list[MessageRow], int], list[MessageRow]]


def _at(change: Callable[[MessageRow], MessageRow]) -> Damage:
    return lambda rows, n: [*rows[:n], change(rows[n]), *rows[n + 1 :]]


def _retold(text: Callable[[str], str]) -> Callable[[MessageRow], MessageRow]:
    """The text is changed, and the hash to match."""
    return lambda r: replace(
        r, text=text(r.text), content_hash=fingerprint(Role(r.role), text(r.text))
    )


def _rendering(change: Callable[[Rendering], tuple[Rendering, ...]]) -> Damage:
    def damage(rows: list[MessageRow], n: int) -> list[MessageRow]:
        with_renderings = [k for k, r in enumerate(rows) if r.renderings]
        assume(with_renderings)
        at = with_renderings[n % len(with_renderings)]
        first, *others = rows[at].renderings
        changed = replace(rows[at], renderings=(*change(first), *others))
        return [*rows[:at], changed, *rows[at + 1 :]]

    return damage


def _swapped(rows: list[MessageRow], n: int) -> list[MessageRow]:
    """Two messages that say the same are told apart by nothing but their renderings."""
    assume(n + 1 < len(rows))
    assume(replace(rows[n], renderings=()) != replace(rows[n + 1], renderings=()))
    return [*rows[:n], rows[n + 1], rows[n], *rows[n + 2 :]]


def _other_role(r: MessageRow) -> MessageRow:
    return replace(r, role="user" if r.role != "user" else "system")


def _with_other_role_and_hash(r: MessageRow) -> MessageRow:
    other = _other_role(r)
    return replace(other, content_hash=fingerprint(Role(other.role), other.text))


STRANGE = Rendering(fingerprint(Role.USER, "strange"), "strange")
DAMAGES: dict[str, Damage] = {
    "deleted": lambda rows, n: rows[:n] + rows[n + 1 :],
    "swapped": _swapped,
    "inserted": lambda rows, n: [*rows[:n], row(message("strange")), *rows[n:]],
    "doubled": lambda rows, n: [*rows[:n], replace(rows[n], renderings=()), *rows[n:]],
    "content": _at(lambda r: replace(r, text=r.text + "!")),
    "content and hash": _at(_retold(lambda text: text + "!")),
    "a space": _at(_retold(lambda text: text + " ")),
    "hash": _at(lambda r: replace(r, content_hash="f" * 64)),
    "role": _at(_other_role),
    "role and hash": _at(_with_other_role_and_hash),
    "no role": _at(lambda r: replace(r, role="")),
    "kind": _at(lambda r: replace(r, kind="notice")),
    "metadata": _at(lambda r: replace(r, metadata={**r.metadata, "tool": "Read"})),
    "in flight": _at(lambda r: replace(r, in_flight=not r.in_flight)),
    "rendering deleted": _rendering(lambda _: ()),
    "rendering changed": _rendering(lambda r: (replace(r, text=r.text + "!"),)),
    "rendering, a space": _rendering(lambda r: (replace(r, text=r.text + " "),)),
    "rendering and hash": _rendering(lambda _: (STRANGE,)),
    "rendering inserted": _at(lambda r: replace(r, renderings=(*r.renderings, STRANGE))),
}


@given(smalls())
def test_what_the_exports_show_is_healthy(small: Small) -> None:
    assert findings(small.rows, *small.exports) == []


@settings(max_examples=300)
@given(smalls(), st.sampled_from(sorted(DAMAGES)), st.integers(0, 8))
def test_any_damage_of_a_segment_is_found(small: Small, what: str, n: int) -> None:
    damaged = DAMAGES[what](list(small.rows), n % len(small.rows))
    assume(damaged != list(small.rows))
    head = head_of(small.rows)
    assert findings(damaged, *small.exports, head=head), what


# -- segments, by example ------------------------------------------------------------

A, B, C, D = (message(text, n % 2) for n, text in enumerate(("one", "two", "three", "four")))


def test_a_finding_says_what_was_expected_where_and_what_to_do() -> None:
    (found,) = findings([row(A), row(replace(B, text="other")), row(C)], [A, B, C])
    assert (found.kind, found.conversation_id, found.message_index) == (
        "message_changed",
        "c",
        1,
    )
    assert found.file == "export 0"
    assert found.expected.startswith("assistant text of 3 characters, hash ")
    assert found.found.startswith("assistant text of 5 characters, hash ")
    assert "reindex" in found.what_to_do


def test_a_lost_message_is_told_once_however_many_exports_show_it() -> None:
    (found,) = findings([row(A), row(C)], [A, B], [A, B, C], [A, B, C])
    assert (found.kind, found.message_index, found.file) == ("message_missing", 0, "export 0")
    assert "show it there, too: 2" in found.expected


def test_a_swapped_message_is_said_to_stand_elsewhere() -> None:
    (found,) = findings([row(A), row(C), row(B), row(D)], [A, B, C, D])
    assert found.kind == "message_missing"
    assert "the same content stands at index" in found.found


def test_branches_of_a_segment_are_healthy_side_by_side() -> None:
    rows = [row(m) for m in (A, B, C, D)]
    assert findings(rows, [A, B, D], [A, C, D]) == []


def test_equal_texts_of_different_exports_may_stand_side_by_side() -> None:
    """Two exports with gaps showed different ones of two messages that say the same."""
    first, second = replace(A, text="a b"), replace(A, text="ab")
    rows = [row(m) for m in (B, first, second, D)]
    assert findings(rows, [B, first, D], [B, second, D], [B, first, second, D]) == []
    assert findings(rows, [B, first, D, C], [B, second, D, C]) != []


def test_equal_rows_side_by_side_are_as_many_as_one_export_shows() -> None:
    branches = [A, B, C], [A, B, D]
    assert findings([row(m) for m in (A, B, C, D)], *branches) == []
    (found,) = findings([row(m) for m in (A, B, B, C, D)], *branches)
    assert (found.kind, found.message_index) == ("message_unknown", 2)
    assert findings([row(m) for m in (A, B, B, C, D)], [A, B, B, C], [A, B, D]) == []
    indexed = [replace(row(m), source_index=n) for n, m in enumerate((A, B, B, C, D))]
    assert findings(indexed, *branches) == []


def test_a_placeholder_may_stand_for_any_result_of_its_tool_and_no_other() -> None:
    call, result = message("make", 2), message("everything is built", 3)
    exports = [A, call, PLACEHOLDER], [A, call, result, B]
    assert findings([row(m) for m in (A, call, result, B)], *exports) == []
    of_read = replace(result, extra={"tool": "Read"})
    assert findings([row(m) for m in (A, call, of_read, B)], exports[0]) != []


def test_a_placeholder_that_was_never_completed_is_stored_itself() -> None:
    assert findings([row(A), row(PLACEHOLDER)], [A, PLACEHOLDER]) == []
    assert kinds([row(A)], [A, PLACEHOLDER]) == ["message_missing"]


def test_while_an_export_cannot_be_read_its_messages_are_not_called_unknown() -> None:
    rows = [row(m) for m in (A, B, C)]
    assert findings(rows, [A, B], complete=False) == []
    assert [f.kind for f in findings(rows, [A, B])] == ["message_unknown"]
    changed = [row(A), replace(row(B), text="x"), row(C)]
    assert [f.kind for f in findings(changed, [A, B], complete=False)] == ["message_changed"]


def test_numbers_in_metadata_are_compared_as_postgresql_keeps_them() -> None:
    shown = replace(A, extra={"n": 1e23, "m": [1.0, {"x": -0.0}]})
    stored = replace(row(shown), metadata={"n": 10**23, "m": [1, {"x": 0.0}]})
    assert findings([stored], [shown]) == []
    assert findings([replace(stored, metadata={"n": 10**23 + 1, "m": [1, {"x": 0}]})], [shown])


def test_a_head_hash_that_is_no_message_s_is_found_where_there_is_an_anchor() -> None:
    assert [f.kind for f in findings([row(A)], [A], head="0" * 64)] == ["segment_head"]
    assert findings([row(PLACEHOLDER)], [PLACEHOLDER], head="0" * 64) == []


# -- layout --------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    conversations: tuple[ConversationRow, ...]
    segments: tuple[SegmentRow, ...]
    runs: tuple[Run, ...]

    def findings(self) -> list[Finding]:
        order = sorted(
            self.segments, key=lambda s: (s.conversation_id, s.ordinal, s.segment_id)
        )
        return list(layout.conversations(self.conversations, order, self.runs))


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    conversations: list[ConversationRow] = []
    segments: list[SegmentRow] = []
    runs: list[Run] = []
    for name in "ab"[: draw(st.integers(1, 2))]:
        counts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
        conversations.append(ConversationRow(name, sum(counts), sum(counts) - 1))
        firsts = [0, *accumulate(counts)]
        for ordinal, (first, end) in enumerate(pairwise(firsts)):
            number = len(segments) + 1
            segments.append(SegmentRow(number, name, ordinal, first, end - first, None))
            runs.append(Run(name, number, end - first, first, end - 1))
    return Layout(tuple(conversations), tuple(segments), tuple(runs))


@given(layouts())
def test_a_right_layout_is_healthy(right: Layout) -> None:
    assert right.findings() == []


@given(layouts(), st.data())
def test_any_wrong_number_in_a_layout_is_found(right: Layout, data: st.DataObject) -> None:
    of, name = data.draw(
        st.sampled_from(
            [
                ("conversations", "total_messages"),
                ("conversations", "highest_index"),
                ("segments", "ordinal"),
                ("segments", "first_index"),
                ("segments", "message_count"),
                ("segments", "segment_id"),
                ("runs", "count"),
                ("runs", "lowest"),
                ("runs", "highest"),
                ("runs", "segment_id"),
            ]
        )
    )
    rows = list(getattr(right, of))
    at = data.draw(st.integers(0, len(rows) - 1))
    by = data.draw(st.sampled_from([-3, -2, -1, 1, 2, 3, 99]))
    rows[at] = replace(rows[at], **{name: getattr(rows[at], name) + by})
    assert replace(right, **{of: tuple(rows)}).findings()


@given(layouts(), st.sampled_from(["segments", "runs"]), st.integers(0, 5))
def test_any_lost_segment_or_run_is_found(right: Layout, of: str, at: int) -> None:
    rows = list(getattr(right, of))
    del rows[at % len(rows)]
    assert replace(right, **{of: tuple(rows)}).findings()


def test_a_conversation_without_a_watermark_is_found_unless_it_is_empty() -> None:
    right = Layout(
        (ConversationRow("a", 2, 1),),
        (SegmentRow(1, "a", 0, 0, 2, None),),
        (Run("a", 1, 2, 0, 1),),
    )
    assert right.findings() == []
    (found,) = replace(right, conversations=(ConversationRow("a", 2, None),)).findings()
    assert (found.kind, found.found) == ("watermark", "no row")
    assert Layout((ConversationRow("a", 0, None),), (), ()).findings() == []
    assert Layout((ConversationRow("a", 0, -1),), (), ()).findings() == []


def export_row(
    message_count: int = 3, size_bytes: int = 0, link: tuple[int, int] | None = None
) -> ExportRow:
    return ExportRow(
        1, "0" * 64, size_bytes, "e.txt", "claude-code-text", 1, message_count, "e.txt", None,
        link=link,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("link", "kinds"),
    [
        ((0, 3), []),
        ((2, 3), []),
        ((3, 3), ["export_run"]),
        ((-1, 3), ["export_run"]),
        ((0, 2), ["export_run"]),
        (None, ["export_unlinked"]),
    ],
)
def test_the_run_of_an_export_lies_inside_its_segment(
    link: tuple[int, int] | None, kinds: list[str]
) -> None:
    segment = SegmentRow(1, "a", 0, 0, 5, None)
    assert [f.kind for f in layout.link(export_row(link=link), segment)] == kinds


def test_only_an_export_without_messages_may_be_of_no_segment() -> None:
    assert list(layout.unlinked(export_row(message_count=0))) == []
    assert [f.kind for f in layout.unlinked(export_row())] == ["export_unlinked"]


# -- spans ---------------------------------------------------------------------------


def transcript(edges: Sequence[int]) -> Transcript:
    """Messages and regions in turn, between these edges."""
    cuts = [Span(start, end) for start, end in pairwise(edges)]
    return Transcript(
        "claude-code-text",
        1,
        tuple(replace(A, span=span) for span in cuts[::2]),
        tuple(Region(span, "ignored", "a picture") for span in cuts[1::2]),
    )


@given(st.lists(st.integers(1, 5), min_size=2, max_size=8), st.data())
def test_any_byte_that_is_not_accounted_for_once_is_found(
    sizes: list[int], data: st.DataObject
) -> None:
    edges = [0, *accumulate(sizes)]
    right = transcript(edges)
    export = export_row(size_bytes=edges[-1])
    assert list(spans.unaccounted(right, export)) == []
    totals = spans.byte_totals(right)
    assert totals == {"messages": sum(sizes[::2]), "ignored: a picture": sum(sizes[1::2])}
    at = data.draw(st.integers(0, len(right.messages) - 1))
    span = right.messages[at].span
    by = data.draw(st.sampled_from([-1, 1]))
    wrong = data.draw(
        st.sampled_from([Span(span.start + by, span.end), Span(span.start, span.end + by)])
    )
    messages = list(right.messages)
    messages[at] = replace(messages[at], span=wrong)
    assert list(spans.unaccounted(replace(right, messages=tuple(messages)), export))
    del messages[at]
    assert list(spans.unaccounted(replace(right, messages=tuple(messages)), export))
    assert list(spans.unaccounted(right, replace(export, size_bytes=edges[-1] + 1)))


def test_an_export_of_another_parser_is_told_from_one_that_counts_wrong() -> None:
    read = transcript([0, 1, 2, 3, 4, 5])
    assert spans.is_parsed_alike(read, export_row())
    assert not spans.is_parsed_alike(read, replace(export_row(), parser_version=2))
    assert not spans.is_parsed_alike(read, replace(export_row(), format="indexed-json"))
    assert list(spans.misparsed(read, export_row())) == []
    assert [f.kind for f in spans.misparsed(read, export_row(message_count=4))] == [
        "export_count"
    ]
