"""The archive's manifest: whole lines, durable, whatever cut the last one short."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from exportd.errors import DiskTrouble
from exportd.manifest import NAME, Manifest


def test_lines_come_back_in_the_order_of_writing(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    assert list(manifest.records()) == []
    written = [{"type": "drop", "name": f"a\n{n}␛0000"} for n in range(3)]
    for record in written:
        manifest.append(record)
    assert list(manifest.records()) == written
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_a_line_cut_short_costs_no_other_line(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.append({"n": 1})
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"n": 2, "na')
    assert list(manifest.records()) == [{"n": 1}]
    manifest.append({"n": 3})
    assert list(manifest.records()) == [{"n": 1}, {"n": 3}]


def test_bytes_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b'\xff\xfe\n[1]\n{"n": 1}\n')
    assert list(Manifest(tmp_path).records()) == [{"n": 1}]


def test_a_symbolic_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    (tmp_path / NAME).symlink_to(other)
    with pytest.raises(DiskTrouble, match=NAME):
        Manifest(tmp_path).append({"n": 1})
    assert not other.exists()


def test_many_writers_do_not_write_into_each_other_s_lines(tmp_path: Path) -> None:
    def write(n: int) -> None:
        for m in range(50):
            Manifest(tmp_path).append({"n": n, "m": m, "text": "x" * 500})

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {(record["n"], record["m"]) for record in Manifest(tmp_path).records()}
    assert found == {(n, m) for n in range(4) for m in range(50)}
