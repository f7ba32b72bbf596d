"""Every sample export is parsed to what its golden file says.

``samples/NAME.golden.json`` is the parsed transcript of ``samples/NAME``. After a wanted
change write all of them anew, and read the difference before it is committed:

    TEST_REGENERATE=1 python -m pytest tests/test_golden.py
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from exportd import formats
from exportd.fingerprint import places
from exportd.formats import claude_code_text
from exportd.formats.text import encode
from exportd.models import Fault, Message, Region, Transcript

SAMPLES = Path(__file__).parent / "samples"
NAMES = sorted(p.name for p in SAMPLES.iterdir() if not p.name.endswith(".golden.json"))
TEXTS = [
    name
    for name in NAMES
    if formats.recognise((SAMPLES / name).read_bytes(), name) is claude_code_text
]
_REGENERATE = os.environ.get("TEST_REGENERATE") == "1"


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_parsed_to_its_golden_transcript(name: str) -> None:
    parsed = golden(formats.parse((SAMPLES / name).read_bytes(), name))
    path = SAMPLES / f"{name}.golden.json"
    if _REGENERATE:
        path.write_text(parsed, encoding="utf-8")
    assert parsed == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_messages_and_regions_of_a_sample_partition_its_bytes(name: str) -> None:
    raw = (SAMPLES / name).read_bytes()
    transcript = formats.parse(raw, name)
    parts: list[Message | Region | Fault] = [
        *transcript.messages, *transcript.regions, *transcript.faults
    ]  # fmt: skip
    spans = sorted((part.span.start, part.span.end) for part in parts)
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == len(raw)
    assert all(start <= end for start, end in spans)


@pytest.mark.parametrize("name", TEXTS)
def test_every_word_of_a_message_stands_in_its_text(name: str) -> None:
    raw = (SAMPLES / name).read_bytes()
    for message in formats.parse(raw, name).messages:
        source = _bare(raw[message.span.start : message.span.end])
        text = _bare(encode(message.text))
        assert source.removesuffix(text) in _GLYPHS, (source, text)


_GLYPHS = {glyph.encode() for glyph in ("", ">", "❯", "⏺", "●", "⎿", "✻", "∴")}


def _bare(raw: bytes) -> bytes:
    return b"".join(raw.replace("\xa0".encode(), b" ").split())


def test_every_format_has_a_sample() -> None:
    read = {formats.recognise((SAMPLES / name).read_bytes(), name).NAME for name in NAMES}
    assert read == {module.NAME for module in formats.FORMATS}


def test_every_golden_file_has_its_sample() -> None:
    goldens = {p.name.removesuffix(".golden.json") for p in SAMPLES.glob("*.golden.json")}
    assert goldens == set(NAMES)


def test_the_same_sample_parses_to_the_same_places_each_time() -> None:
    for name in NAMES:
        raw = (SAMPLES / name).read_bytes()
        first, second = (formats.parse(raw, name) for _ in range(2))
        assert first == second
        assert places(first.messages) == places(second.messages)


def golden(transcript: Transcript) -> str:
    """A transcript as JSON for people: what is empty is left out, a span is one line."""
    facts = asdict(replace(transcript, marks=()))
    del facts["before"]
    facts["messages"] = [_record(message) for message in facts["messages"]]
    facts["regions"] = [_record(region) for region in facts["regions"]]
    facts["faults"] = [_record(fault) for fault in facts["faults"]]
    return json.dumps(_without_empty(facts), ensure_ascii=False, indent=1, default=str) + "\n"


def _record(part: dict[str, Any]) -> dict[str, Any]:
    span = part.pop("span")
    return {"span": f"{span['start']}-{span['end']}", **_without_empty(part)}


def _without_empty(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in facts.items() if value not in (None, (), [], {}, False)
    }
