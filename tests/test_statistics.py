"""Statistics: honest numbers, from the formulas to what the command prints."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import permutations

import pytest
from conftest import EXAMPLES, Command, rows
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len
from test_pipeline import Road, road

from exportd.errors import UnknownConversation
from exportd.models import Risk, RiskLevel
from exportd.render.stats import one, table
from exportd.statistics import Amounts, Statistics, total

__all__ = ["road"]

AMOUNTS = Amounts(
    segments=2,
    exports=3,
    drops=4,
    unique_messages=25,
    messages_seen=100,
    messages_dropped=125,
    stored_bytes=2_000,
    unique_bytes=8_000,
    raw_bytes=10_000,
)
DECK = Statistics("deck", 24, AMOUNTS, Risk(RiskLevel.HIGH, ("message 3 was lost",)), ((3, 3),))


# -- formulas --------------------------------------------------------------------------


def test_savings_by_count_and_bytes_on_distinct_contents_and_all_drops() -> None:
    assert AMOUNTS.duplicates == 75
    assert AMOUNTS.count_savings_pct == 75.0
    assert AMOUNTS.count_savings_all_drops_pct == 80.0
    assert AMOUNTS.byte_savings_pct == 75.0
    assert AMOUNTS.byte_savings_all_drops_pct == 80.0


def test_a_share_of_nothing_is_none() -> None:
    nothing = Amounts()
    assert nothing.count_savings_pct is None
    assert nothing.count_savings_all_drops_pct is None
    assert nothing.byte_savings_pct is None
    assert nothing.byte_savings_all_drops_pct is None


def test_what_takes_more_than_it_saves_is_negative() -> None:
    assert Amounts(stored_bytes=110, unique_bytes=100).byte_savings_pct == -10.0


def test_the_keys_of_the_specification_keep_their_meaning() -> None:
    facts = DECK.as_dict()
    assert facts["watermark"] == 24
    assert facts["unique_messages"] == facts["total_messages"] == 25
    assert facts["storage_savings_pct"] == 75.0
    assert facts["gaps"] == [[3, 3]]
    assert facts["risk"] == {"level": "high", "reasons": ["message 3 was lost"]}


@given(st.lists(st.builds(Amounts, *[st.integers(0, 10**9)] * 9), max_size=4))
def test_a_total_is_the_sum_of_every_column(amounts: list[Amounts]) -> None:
    together = total(amounts)
    assert together.drops == sum(a.drops for a in amounts)
    assert together.raw_bytes == sum(a.raw_bytes for a in amounts)
    assert together.duplicates == sum(a.duplicates for a in amounts)


# -- rendering -------------------------------------------------------------------------


def test_one_conversation_is_an_aligned_list() -> None:
    text = one(DECK)
    assert text.startswith("deck\n\nRisk of data loss   high\n")
    facts = text.splitlines()[2:]
    assert len({len(line) - len(line[19:].lstrip()) for line in facts}) == 1
    for line in (
        "                    - message 3 was lost",
        "Missing messages    3 by the export's own count",
        "Messages stored     25",
        "Messages seen       100 in 3 distinct exports, 75.0 % of them saved",
        "                    125 in 4 drops, 80.0 % of them saved",
        "Text stored         2.0 KB, without glyphs, padding and headers",
        "Bytes of the files  8.0 KB in 3 distinct exports",
        "                    10.0 KB in 4 drops",
    ):
        assert line in facts


def _cells(text: str) -> list[list[str]]:
    """The rows of the table as a Markdown reader sees them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    opened = [n for n, token in enumerate(tokens) if token.type == "tr_open"]
    closed = [n for n, token in enumerate(tokens) if token.type == "tr_close"]
    return [
        [token.content for token in tokens[a:b] if token.type == "inline"]
        for a, b in zip(opened, closed, strict=True)
    ]


def test_many_are_a_markdown_table_with_a_total() -> None:
    other = Statistics("mill", 9, Amounts(1, 1, 1, 10, 10, 10, 50, 100, 100), Risk())
    assert _cells(table([DECK, other])) == [
        ["Conversation", "Risk", "Segments", "Gaps", "Exports", "Drops", "Seen", "Stored",
         "Saved"],
        ["deck", "high", "2", "1", "3", "4", "100", "25", "75.0 %"],
        ["mill", "none", "1", "0", "1", "1", "10", "10", "0.0 %"],
        ["**Total**", "high", "3", "1", "4", "5", "110", "35", "68.2 %"],
    ]  # fmt: skip


def test_the_table_of_an_empty_store_claims_nothing() -> None:
    text = table([])
    assert _cells(text)[1:] == [["**Total**", "none", *["0"] * 6, "-"]]
    assert text.endswith(
        "- Conversations: 0. Risk of data loss: 0 high, 0 medium, 0 low, 0 none.\n"
    )


IDS = st.text(st.sampled_from("abcäß中-1"), min_size=1, max_size=60)


@given(st.lists(IDS, min_size=1, max_size=6, unique=True), st.integers(20, 200))
def test_rows_are_as_wide_as_the_terminal_and_no_two_look_alike(
    ids: list[str], width: int
) -> None:
    text = table([Statistics(name, 0, AMOUNTS, Risk()) for name in ids], width)
    lines = text.split("\n\n")[0].splitlines()
    names = [row[0] for row in _cells(text)[1:-1]]
    assert len(set(names)) == len(ids)
    whole = [name in ids for name in names]
    for line, is_whole in zip(lines[2:], whole, strict=False):
        assert is_whole or cell_len(line) == cell_len(lines[0]) <= max(width, 77)
    assert all(name in ids or "…" in name for name in names)
    assert [row[0] for row in _cells(table([Statistics(ids[0], 0, AMOUNTS, Risk())]))][
        1
    ] == ids[0]


def test_on_a_terminal_of_80_columns_no_line_wraps() -> None:
    large = replace(AMOUNTS, messages_seen=100_000, unique_messages=100_000)
    many = [
        Statistics("rollout-master", 24, AMOUNTS, DECK.risk, ((3, 3),)),
        Statistics(f"{'c' * 40}-{'d' * 40}", 0, large, Risk(RiskLevel.MEDIUM)),
    ]
    text = table(many, 80)
    assert max(map(cell_len, text.splitlines())) <= 80
    assert _cells(text)[0] == [
        "Conversation", "Risk", "Segments", "Exports", "Seen", "Stored", "Saved",
    ]  # fmt: skip
    assert "Drops" in _cells(table(many, 120))[0]


def test_ids_that_would_look_alike_stay_whole() -> None:
    alike = [f"{'a' * 40}-{n}-{'b' * 40}" for n in range(2)]
    other = f"{'c' * 40}-{'d' * 40}"
    text = table([Statistics(name, 0, AMOUNTS, Risk()) for name in (*alike, other)], 120)
    *names, last, _ = (row[0] for row in _cells(text)[1:])
    assert names == alike
    assert last.startswith("ccc")
    assert "…" in last


# -- from a real store -----------------------------------------------------------------


FIRST = EXAMPLES / "2026-01-12-EXPORT-GARDEN-PLANNER.txt"
GROWN = EXAMPLES / "2026-01-13-EXPORT-GARDEN-PLANNER.txt"
COMPACTED = EXAMPLES / "2026-01-14-EXPORT-GARDEN-PLANNER.txt"


def test_the_numbers_are_those_of_the_files_and_the_database(road: Road) -> None:
    for path, name in ((FIRST, FIRST.name), (GROWN, GROWN.name), (GROWN, "EXPORT-BEDS.txt")):
        road.drop(name, path.read_bytes())
    (found,) = road.store.statistics()
    ((messages, text_bytes),) = rows(
        road.url, "SELECT count(*), sum(octet_length(content)) FROM messages"
    )
    first, grown = FIRST.stat().st_size, GROWN.stat().st_size
    assert found.amounts == Amounts(
        segments=1,
        exports=2,
        drops=3,
        unique_messages=messages,
        messages_seen=13 + 21,
        messages_dropped=13 + 21 + 21,
        stored_bytes=text_bytes,
        unique_bytes=first + grown,
        raw_bytes=first + grown + grown,
    )
    assert messages == 21
    assert found.watermark == 20
    assert found.risk == Risk()
    assert road.store.get_statistics("garden-planner") == found.as_dict()
    assert road.store.get_statistics("beds") == found.as_dict()
    with pytest.raises(UnknownConversation, match="called mill, found 0"):
        road.store.get_statistics("mill")


def test_other_renderings_are_stored_text_too(road: Road) -> None:
    shown = "> grind the corn\n\n⏺ It is ground.\n\n⏺ Bash(ls {})\n\n⏺ That is all there is.\n"
    road.drop("2026-01-01-EXPORT-MILL.txt", shown.format("/home/me/mill"))
    road.drop("2026-01-02-EXPORT-MILL.txt", shown.format("~/mill"))
    ((contents, renderings),) = rows(
        road.url,
        "SELECT (SELECT sum(octet_length(content)) FROM messages),"
        " (SELECT sum(octet_length(content)) FROM message_renderings)",
    )
    assert renderings > 0
    assert road.store.statistics()[0].amounts.stored_bytes == contents + renderings


def test_what_belongs_to_no_conversation_is_not_counted(road: Road) -> None:
    road.drop("EXPORT-NOISE.txt", "no export at all\n")
    assert road.store.statistics() == []


def _page(*indices: int, **texts: str) -> str:
    return json.dumps(
        {
            "messages": [
                {
                    "index": n,
                    "type": "response" if n % 2 else "prompt",
                    "message": texts.get(f"m{n}", f"what is said at place {n}"),
                }
                for n in indices
            ]
        }
    )


PAGES = {
    "2026-01-01-EXPORT-MILL.json": _page(0, 1, 2, 3, 8, 9),
    "2026-01-02-EXPORT-MILL.json": _page(0, 1, 2, 3, 4, 8, 9, m2="quite another text"),
    "2026-01-03-EXPORT-MILL.json": _page(
        2, 3, 4, 8, 9, 12, m9="what is said at place 9, and on"
    ),
}


@pytest.mark.parametrize("names", list(permutations(PAGES)))
def test_gaps_and_contradictions_are_found_in_any_order_of_arrival(
    road: Road, names: tuple[str, ...]
) -> None:
    for name in names:
        road.drop(name, PAGES[name])
    (found,) = road.store.statistics()
    assert found.gaps == ((5, 7), (10, 11))
    assert found.risk == Risk(
        RiskLevel.HIGH,
        (
            "messages 5 to 7 by the export's own count were in no export",
            "messages 10 to 11 by the export's own count were in no export",
            "exports contradict each other in message 2 by their own count",
        ),
    )
    session = (road.folders.sessions / "mill.md").read_text()
    assert (
        "- **Risk of data loss:** high: messages 5 to 7 by the export's own count " in session
    )


def test_every_segment_counts_its_indices_from_0(road: Road) -> None:
    road.drop("2026-01-01-EXPORT-MILL.json", _page(0, 1, 2, 3, 4))
    other = {f"m{n}": f"of another session, number {n}" for n in range(5)}
    road.drop("2026-01-02-EXPORT-MILL.json", _page(0, 1, 2, 4, **other))
    (found,) = road.store.statistics()
    assert found.gaps == ((3, 3),)
    (reason,) = found.risk.reasons
    assert reason == "message 3 of segment 2 by the export's own count was in no export"


@pytest.mark.parametrize("names", [("WITH", "WITHOUT"), ("WITHOUT", "WITH")])
def test_a_compaction_bar_that_one_export_lacks_is_a_risk_in_any_order(
    road: Road, names: tuple[str, ...]
) -> None:
    talk = "> grind the corn in both mills\n\n⏺ It is ground, and the flour is white.\n"
    bar = "═══ Conversation compacted · ctrl+o for history ═══\n\n"
    texts = {"WITH": bar + talk, "WITHOUT": talk + "\n> sweep the floor\n"}
    for name in names:
        road.drop(f"2026-01-01-EXPORT-{name}.txt", texts[name])
    (found,) = road.store.statistics()
    assert found.amounts.segments == 1
    assert found.risk.level is RiskLevel.MEDIUM


def test_what_stays_unfinished_is_a_risk_until_it_is_exported_whole(road: Road) -> None:
    header = "╭──╮\n│ ✻ Welcome to Claude Code! │\n│   cwd: /mill │\n╰──╯\n\n"
    cut = f"{header}> grind the first sack of corn\n\n⏺ It is ground, and the flo"
    running = f"{cut}ur is white\n\n⏺ Bash(make)\n  ⎿  Running…\n"

    def risk_after(name: str, text: str) -> Risk:
        road.drop(name, text)
        return road.store.statistics(["mill"])[0].risk

    assert risk_after("2026-01-01-EXPORT-MILL.txt", cut).reasons == (
        "2026-01-01-EXPORT-MILL.txt was cut, so message 1 may be incomplete",
    )
    assert risk_after("2026-01-02-EXPORT-MILL.txt", running) == Risk(
        RiskLevel.LOW, ("message 3 was still running when last exported",)
    )
    done = running.replace("Running…", "done, 2 files written")
    assert risk_after("2026-01-03-EXPORT-MILL.txt", done) == Risk()


def test_the_command_prints_a_list_a_table_and_json(exportd: Command) -> None:
    for path in sorted(EXAMPLES.iterdir()):
        shutil.copy2(path, exportd.memory_dir / "exports" / path.name)
    shutil.copy2(FIRST, exportd.memory_dir / "exports" / "2026-01-13-EXPORT-BEDS.txt")
    assert exportd("run", "--once").returncode == 0
    by_id, by_alias = exportd("stats", "garden-planner"), exportd("stats", "beds")
    assert by_id.stdout.startswith("garden-planner\n\nRisk of data loss   medium\n")
    compaction = "compaction between 2026-01-13 and 2026-01-14 with no overlap (at message 21)"
    assert f"- {compaction}: extent unknown\n" in by_id.stdout
    assert by_alias.stdout == by_id.stdout
    names = [row[0] for row in _cells(exportd("stats").stdout)]
    assert names == ["Conversation", "garden-planner", "sourdough", "**Total**"]
    everything = json.loads(exportd("stats", "--json").stdout)
    (planner, _) = everything["conversations"]
    assert planner == json.loads(exportd("stats", "beds", "--json").stdout)
    assert everything["total"]["unique_messages"] == 34
    unknown = exportd("stats", "garden-plan")
    assert (unknown.returncode, unknown.stdout) == (64, "")
    assert "did you mean garden-planner?" in unknown.stderr


def test_the_gap_of_a_week_and_a_shrunk_export_are_found_on_the_road(road: Road) -> None:
    road.drop(GROWN.name, GROWN.read_bytes())
    road.drop("2026-01-20-EXPORT-GARDEN-PLANNER.txt", FIRST.read_bytes())
    road.drop("2026-02-14-EXPORT-GARDEN-PLANNER.txt", COMPACTED.read_bytes())
    found = dict(rows(road.url, "SELECT kind, message FROM anomalies"))
    assert "shows 13 messages" in found["shrunk_export"]
    assert "for 25 days" in found["time_gap"]
    assert "compaction between 2026-01-20 and 2026-02-14" in found["compaction_without_overlap"]


def test_a_segment_that_comes_late_finds_its_neighbours(road: Road) -> None:
    road.drop(GROWN.name, GROWN.read_bytes())
    road.drop("2026-02-14-EXPORT-GARDEN-PLANNER.txt", COMPACTED.read_bytes())
    road.drop(
        "2026-01-30-EXPORT-GARDEN-PLANNER.txt",
        "> begin anew with a greenhouse\n\n⏺ It stands.\n",
    )
    gaps = rows(road.url, "SELECT metadata ->> 'days' FROM anomalies WHERE kind = 'time_gap'")
    assert [days for (days,) in gaps] == ["32", "17", "15"]
