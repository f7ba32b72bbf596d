"""No file takes all time or memory; what asks for too much is set aside, with the setting."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Command, rows

from exportd import formats
from exportd.alignment import align
from exportd.errors import PermanentError
from exportd.fingerprint import places
from exportd.limits import Limits, check_content, check_transcript, within

TALK = "> one\n\n⏺ two\n"
SLOW = "TEST_SLOW" in os.environ


def indexed(text: object, **more: object) -> str:
    messages = [{"index": 0, "type": "prompt", "message": text}]
    return json.dumps({"exported_at": "2025-01-01", "messages": messages, **more})


def nested(levels: int) -> object:
    value: object = "deep"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("text", "variable", "value"),
    [
        ("> " + "x" * 2000 + "\n\n⏺ two\n\n⏺ three\n", "max_line_bytes", "1000"),
        (TALK * 10, "max_messages", "19"),
        (indexed("hi", meta={"x": nested(11)}), "max_json_depth", "10"),
        (TALK * 100_000, "parse_timeout", "0.05"),
        (TALK * 10, "max_export_bytes", "100"),
    ],
)
def test_a_file_beyond_a_limit_is_set_aside_with_the_name_of_the_setting(
    exportd: Command, database_url: str, text: str, variable: str, value: str
) -> None:
    (exportd.memory_dir / "exports" / "big.txt").write_text(text)
    (exportd.memory_dir / "exports" / "good.txt").write_text(TALK)
    done = exportd("run", "--once", **{f"EXPORTD_{variable.upper()}": value})
    assert done.returncode == 0, done.stderr
    reason = exportd.memory_dir / "exports-failed" / "big.txt.reason.txt"
    assert variable in reason.read_text()
    assert rows(database_url, "SELECT count(*) FROM messages") == [(2,)]


def test_what_is_just_within_the_limits_is_stored(exportd: Command, database_url: str) -> None:
    (exportd.memory_dir / "exports" / "a.txt").write_text(TALK * 10)
    (exportd.memory_dir / "exports" / "b.json").write_text(indexed("hi", meta={"x": nested(8)}))
    done = exportd("run", "--once", EXPORTD_MAX_MESSAGES="20", EXPORTD_MAX_JSON_DEPTH="10")
    assert done.returncode == 0
    assert rows(database_url, "SELECT count(*) FROM dead_letters") == [(0,)]


def test_lines_are_measured_wherever_they_stand() -> None:
    limits = Limits(1000, 100, 100, 60, 3)
    for raw in (b"x" * 1000, b"x" * 1000 + b"\n", b"\n".join([b"x" * 1000] * 3)):
        check_content(raw, limits)
    for before, number in ((b"", 1), (b"x\n", 2), (b"x\n\n", 3)):
        with pytest.raises(PermanentError, match=f"line {number} "):
            check_content(before + b"y" * 1001, limits)


def test_a_depth_that_recursion_could_not_measure_is_measured() -> None:
    transcript = formats.parse(indexed("hi", meta={"x": nested(400)}).encode(), "a.json")
    with pytest.raises(PermanentError, match="max_json_depth"):
        check_transcript(transcript, Limits(1000, 100, 100, 60, 3))


def test_reading_is_given_up_in_time() -> None:
    started = time.monotonic()
    with pytest.raises(PermanentError, match="parse_timeout"), within(0.05):
        any(n < 0 for n in range(10**8))
    assert time.monotonic() - started < 5
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


HEAD = "> hi\n\n⏺ yes\n\n⏺ Bash(ls)\n  ⎿  x\n\n"
ADVERSARIES = {
    "prompts": "> \n" * 30_000,
    "bullets": "⏺\n" * 30_000,
    "results": "  ⎿\n" * 30_000,
    "one line": "> " + "a" * 1_000_000,
    "spaces": "> " + " " * 1_000_000 + "x",
    "newlines": "> x" + "\n" * 300_000,
    "carriage returns": "> x\r" * 100_000,
    "separators": "─" * 300_000,
    "parentheses": "⏺ Bash(" + "(" * 300_000,
    "an open call": "⏺ A(b" + " \n" * 100_000,
    "tables": "> x\n" + ("|" + " a |" * 2000 + "\n") * 50,
    "headers": "▐▛███▜▌\n" * 20_000,
    "boxes": "╭─╮\n│ > x │\n╰─╯\n" * 10_000,
    "lineage": "> x\n" + "Conversation exported to: " * 20_000,
    "indents": "> x\n" + "".join(" " * (n % 2000) + "y\n" for n in range(500)),
}


@pytest.mark.parametrize("text", ADVERSARIES.values(), ids=ADVERSARIES)
def test_no_content_of_a_megabyte_takes_minutes(text: str) -> None:
    with within(20):
        assert formats.parse((HEAD + text).encode(), "a.txt").messages


def test_sessions_that_say_the_same_few_things_are_aligned_in_time() -> None:
    def session(count: int, kinds: int) -> str:
        calls = (f"⏺ Bash(git status)\n  ⎿  clean {n % kinds}\n\n" for n in range(count))
        return "> begin\n\n⏺ fine\n\n" + "".join(calls)

    short, long = (
        places(formats.parse(session(count, kinds).encode(), "a.txt").messages)
        for count, kinds in ((2_500, 5), (10_000, 7))
    )
    with within(20):
        plan = align(short, long)
    assert len(plan.steps) == len(long)


def interleaved(same: str, other: str, count: int) -> str:
    """Prompts that stand in both sessions, and between them prompts that do not."""
    rows = (f"> {same.format(n)}\n\n> {other} {n}\n\n" for n in range(count))
    return "> begin\n\n⏺ fine\n\n" + "".join(rows)


def rendered_anew(folder: str, gaps: int, calls: int) -> str:
    """Calls that another directory shows differently, between anchors that are equal."""
    rows = (
        f"> anchor {gap}\n\n⏺ Bash(x)\n"
        + "".join(f"  ⎿  {folder}{gap}x{n} in {folder}\n" for n in range(calls))
        for gap in range(gaps)
    )
    return "> begin\n\n⏺ fine\n\n" + "".join(rows)


def long_end(before: int) -> str:
    prompts = "".join(f"> {n}\n\n" for n in range(before))
    return f"> begin\n\n⏺ fine\n\n{prompts}> {'x' * 70}" + "\n  yyyyyyyyyy" * 30_000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (interleaved("go on", "a", 2_200), interleaved("go on", "b", 2_200)),
        (long_end(0), long_end(5_000)),
        pytest.param(
            interleaved("p {}", "a", 20_000),
            interleaved("p {}", "b", 20_000),
            marks=pytest.mark.skipif(not SLOW, reason="slow: set TEST_SLOW=1"),
        ),
        pytest.param(
            rendered_anew("qwe", 150, 140),
            rendered_anew("rty", 150, 140),
            marks=pytest.mark.skipif(not SLOW, reason="slow: set TEST_SLOW=1"),
        ),
    ],
    ids=["one text again and again", "a long end", "no two side by side", "many gaps"],
)
def test_no_two_sessions_take_minutes_to_align(one: str, other: str) -> None:
    """Without a bound each takes more than a minute, and ten times that when twice as long."""
    known, incoming = (places(formats.parse(t.encode(), "a").messages) for t in (one, other))
    with within(60):
        plan = align(known, incoming)
    assert len(plan.steps) == len(incoming)


def test_a_file_that_kills_the_process_is_set_aside_after_three_times(
    exportd: Command, database_url: str
) -> None:
    (exportd.memory_dir / "exports" / "poison.txt").write_text(TALK)
    for _ in range(3):
        done = exportd("run", "--once", EXPORTD_CRASH_AT="parse.begin")
        assert done.returncode == -signal.SIGKILL
    (exportd.memory_dir / "exports" / "good.txt").write_text(TALK.replace("one", "good"))
    assert exportd("run", "--once").returncode == 0
    reason = exportd.memory_dir / "exports-failed" / "poison.txt.reason.txt"
    assert "died 3 times" in reason.read_text()
    assert rows(database_url, "SELECT count(*) FROM messages") == [(2,)]


@pytest.mark.skipif(not SLOW, reason="slow: set TEST_SLOW=1")
def test_a_file_that_takes_all_memory_is_set_aside_and_the_next_one_goes_on(
    exportd: Command, database_url: str
) -> None:
    exportd("run", "--once")
    (exportd.memory_dir / "exports" / "a.txt").write_text(TALK + "⏺ x\n\n" * 3_000_000)
    (exportd.memory_dir / "exports" / "b.txt").write_text(TALK)

    def little_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (500 << 20, 500 << 20))

    done = subprocess.run(
        [sys.executable, "-m", "exportd", "run", "--once"],
        env={**exportd.environment, "EXPORTD_MAX_MESSAGES": "9000000"},
        preexec_fn=little_memory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (
        "MemoryError"
        in (exportd.memory_dir / "exports-failed" / "a.txt.reason.txt").read_text()
    )
    assert rows(database_url, "SELECT count(*) FROM messages") == [(2,)]


@pytest.mark.parametrize("seed", range(20 if not SLOW else 500))
def test_junk_is_a_dead_letter_or_a_conversation_and_nothing_else(seed: int) -> None:
    """Bytes of all kinds, and real files with bytes changed: 20 of each a seed."""
    chance = random.Random(seed)  # noqa: S311
    samples = sorted((Path(__file__).parent / "samples").rglob("*.*"))
    for _ in range(20):
        raw = bytearray(chance.choice(samples).read_bytes()[:20_000])
        for _ in range(chance.randint(1, 30)):
            at = chance.randrange(len(raw) + 1)
            raw[at : at + chance.randint(0, 40)] = chance.randbytes(chance.randint(0, 40))
        for content in (bytes(raw), chance.randbytes(chance.randint(0, 2000))):
            try:
                transcript = formats.parse(content, "a.txt")
            except PermanentError:
                continue
            spans = [message.span for message in transcript.messages]
            spans += [region.span for region in transcript.regions]
            spans += [fault.span for fault in transcript.faults]
            assert sum(span.end - span.start for span in spans) == len(content)
