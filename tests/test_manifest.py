"""The archive's manifest: whole lines, durable, whatever cut the last one short."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from pathlib import Path

import pytest

from exportd.errors import DiskTrouble
from exportd.manifest import NAME, Manifest

SHA256 = "0" * 64
MOMENT = "2026-01-02T03:04:05+00:00"
DROP = {"type": "drop", "sha256": SHA256, "name": "a.txt", "modified_at": MOMENT}
OVERRIDE = {
    "type": "override",
    "uuid": "9b1f4c52-3f0e-4a5e-8d0b-6f2a1c7e9d31",
    "operation": "rename",
    "from_id": "garden",
    "into_id": "orchard",
    "exports": {},
    "made_by": "ada",
    "created_at": MOMENT,
}


def names(manifest: Manifest) -> list[str]:
    return [record["name"] for record in manifest.records()]


def test_lines_come_back_in_the_order_of_writing(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    assert list(manifest.records()) == []
    written = [f"a\n{n}␛0000" for n in range(3)]
    for name in written:
        manifest.append({**DROP, "name": name})
    assert names(manifest) == written
    assert {r["modified_at"] for r in manifest.records()} == {datetime.fromisoformat(MOMENT)}
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_a_line_cut_short_costs_no_other_line(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.append({**DROP, "name": "1"})
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"type": "drop", "na')
    assert names(manifest) == ["1"]
    manifest.append({**DROP, "name": "3"})
    assert names(manifest) == ["1", "3"]


def test_bytes_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    line = json.dumps(DROP).encode()
    (tmp_path / NAME).write_bytes(b"\xff\xfe\n[1]\n" + b"[" * 100_000 + b"\n" + line)
    assert names(Manifest(tmp_path)) == ["a.txt"]


@pytest.mark.parametrize(
    ("record", "key", "value"),
    [
        (DROP, "type", "fish"),
        (DROP, "type", ["drop"]),
        (DROP, "sha256", None),
        (DROP, "sha256", "A" * 64),
        (DROP, "name", 7),
        (DROP, "name", "a\0b"),
        (DROP, "name", "\ud800"),
        (DROP, "modified_at", "yesterday"),
        (DROP, "modified_at", "2026-01-02T03:04:05"),
        (DROP, "modified_at", "0001-01-01T00:00:00+23:59"),
        (DROP, "session_id", {"a": 1}),
        (OVERRIDE, "uuid", "nope"),
        (OVERRIDE, "operation", "explode"),
        (OVERRIDE, "into_id", "../../evil"),
        (OVERRIDE, "into_id", "x" * 300),
        (OVERRIDE, "into_id", "garden"),
        (OVERRIDE, "exports", [1]),
        (OVERRIDE, "exports", {SHA256: 1}),
        (OVERRIDE, "made_by", None),
        (OVERRIDE, "created_at", 5),
    ],
)
def test_a_line_that_exportd_never_writes_is_not_believed(
    tmp_path: Path, record: dict[str, object], key: str, value: object
) -> None:
    manifest = Manifest(tmp_path)
    manifest.append(record)
    with (tmp_path / NAME).open("a") as file:
        file.write(json.dumps({**record, key: value}))
    assert len(list(manifest.records())) == 1


def test_a_symbolic_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    (tmp_path / NAME).symlink_to(other)
    with pytest.raises(DiskTrouble, match=NAME):
        Manifest(tmp_path).append(DROP)
    with pytest.raises(DiskTrouble, match=NAME):
        list(Manifest(tmp_path).records())
    assert not other.exists()


def test_many_writers_do_not_write_into_each_other_s_lines(tmp_path: Path) -> None:
    def write(n: int) -> None:
        for m in range(50):
            Manifest(tmp_path).append({**DROP, "name": f"{n} {m} {'x' * 500}"})

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {f"{n} {m} {'x' * 500}" for n in range(4) for m in range(50)}
    assert set(names(Manifest(tmp_path))) == expected
