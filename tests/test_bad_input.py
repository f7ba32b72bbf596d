"""Damaged exports of every format: something is read, or a reason is told; never anything else.

``TEST_SEEDS=50 pytest tests/test_bad_input.py`` damages every sample 50 times in each way.
Long: ``python -m benchmarks.fuzz``.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from exportd import containers, formats
from exportd.containers import Bounds
from exportd.errors import PermanentError
from exportd.formats.text import escape
from exportd.models import Transcript

SAMPLES = Path(__file__).parent / "samples"
NAMES = sorted(p.name for p in SAMPLES.iterdir() if not p.name.endswith(".golden.json"))
# One has commas that JSON forbids, and is read all the same.
JSONS = [n for n in NAMES if n.endswith((".json", ".jsonl")) and n != "indexed-chats.json"]
SEEDS = int(os.environ.get("TEST_SEEDS", "8"))


def read(raw: bytes, name: str) -> list[Transcript]:
    """What is read of a content; checked: every byte is told of, and the text can be stored."""
    found = []
    try:
        if container := containers.recognise(raw, name):
            for member in container.members(raw, name, Bounds()):
                if not member.fault:
                    found += read(member.raw[:], member.name)
            return found
        transcript = formats.parse(raw, name)
    except PermanentError:
        return []
    parts = [
        *(m.span for m in transcript.messages),
        *(r.span for r in transcript.regions),
        *(f.span for f in transcript.faults),
    ]
    edges = sorted((span.start, span.end) for span in parts)
    assert [0, *(end for _, end in edges)] == [*(start for start, _ in edges), len(raw)]
    ids = [m.source_id for m in transcript.messages if m.source_id is not None]
    assert len(ids) == len(set(ids))
    for message in transcript.messages:
        json.dumps(dict(message.extra), ensure_ascii=False).encode()
        message.text.encode()
        assert escape(message.text) == message.text or "␛" in message.text
        assert message.occurred_at is None or 1970 <= message.occurred_at.year < 2200
    return [transcript]


@pytest.mark.parametrize("name", NAMES)
def test_cut_off_anywhere(name: str) -> None:
    raw, chance = (SAMPLES / name).read_bytes(), random.Random(name)  # noqa: S311
    for _ in range(SEEDS):
        read(raw[: chance.randrange(len(raw))], name)


@pytest.mark.parametrize("name", NAMES)
def test_fifty_bytes_changed(name: str) -> None:
    whole, chance = (SAMPLES / name).read_bytes(), random.Random(name)  # noqa: S311
    for _ in range(SEEDS):
        raw = bytearray(whole)
        for _ in range(50):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        read(bytes(raw), name)


def _values(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside of one."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [p for key, one in inner for p in [(*path, key), *_values(one, (*path, key))]]


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    copy = json.loads(json.dumps(value))
    at = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return copy


ODD: list[Any] = [
    None, True, -1, 10**30, 1.5e300, "", "\ud800\x00", [], {}, [[]], {"a": None}, [None, 7, {}],
    "1969-12-31T23:59:59Z", "9999-12-31T23:59:59.999999-23:59", -1.0, 2.6e11, "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("name", JSONS)
def test_a_value_of_the_wrong_type_anywhere(name: str) -> None:
    """Every value of every record is made each of the odd ones, as many as seeds allow."""
    raw, chance = (SAMPLES / name).read_bytes(), random.Random(name)  # noqa: S311
    is_lines = name.endswith(".jsonl")
    documents = filter(bytes.strip, raw.splitlines()) if is_lines else [raw]
    records = [json.loads(document) for document in documents]
    cases = [(n, path) for n, record in enumerate(records) for path in _values(record)]
    for number, path in chance.sample(cases, min(len(cases), 12 * SEEDS)):
        changed = [*records]
        changed[number] = _with(records[number], path, chance.choice(ODD))
        text = "\n".join(json.dumps(record) for record in changed)
        read(text.encode(), name)
        read(f"[{text}]".encode() if not is_lines else text.encode(), name)


@pytest.mark.parametrize("name", JSONS)
@pytest.mark.parametrize("levels", [300, 900, 10_000])
def test_nested_deeply(name: str, levels: int) -> None:
    """Read, or refused; what is too deep to be stored is refused behind the parser."""
    raw = (SAMPLES / name).read_bytes()
    deep = b"[" * levels + b"]" * levels
    for sign in (b'"content":', b'"input":', b'"message":', b'"args":', b'"sections":'):
        for found in {raw.find(sign), raw.rfind(sign)} - {-1}:
            at = found + len(sign)
            end = raw.find(b"\n", at)
            read(raw[:at] + deep + b"," + raw[at:end] + raw[end:], name)
            read(raw[:at] + deep + b', "x":' + raw[at:], name)


@pytest.mark.parametrize("name", JSONS)
def test_everything_twice(name: str) -> None:
    """Duplicate ids: nothing is dropped unseen, and every id is one message's."""
    raw = (SAMPLES / name).read_bytes()
    if name.endswith(".jsonl"):
        read(raw + raw, name)
        return
    document = json.loads(raw)
    for key in ("messages", "chat_messages", "loglines"):
        if isinstance(document.get(key), list):
            document[key] = document[key] * 2
    read(json.dumps(document).encode(), name)


@pytest.mark.parametrize("name", JSONS)
def test_a_line_of_megabytes(name: str) -> None:
    raw = (SAMPLES / name).read_bytes()
    start = raw.rfind(b'"text"') if b'"text"' in raw else raw.rfind(b'": "')
    at = raw.find(b'"', raw.find(b":", start)) + 1
    megabytes = 50 if SEEDS >= 50 else 3
    read(raw[:at] + b"long " * (200_000 * megabytes) + raw[at:], name)
