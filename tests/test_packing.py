"""A packed archive is the archive: every byte of it is read, checked and found as before."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from conftest import SAMPLES, Command, execute, rows, wait_until
from desk import at, drop, dumped, findings, killed_at
from schemas import conforming

from exportd import packed, packing
from exportd.crash import POINTS
from exportd.housekeeping import Housekeeping
from exportd.models import Fate
from exportd.packed import SUFFIX, Interrupted
from exportd.packing import Packing

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LONG = "".join(
    f"> question {n}\n\n⏺ answer {n}, which is as long as answers are\n\n" for n in range(99)
).encode()
PARTS = [(SAMPLES / name).read_bytes().strip() for name in ("claude-ai.json", "chatgpt.json")]
LIST = b"[" + b", ".join(PARTS) + b"]"


def pack_all(exportd: Command) -> None:
    with at(exportd, compress_after=1e-9) as place:
        Housekeeping(place).step(1.0, lambda: True)


def test_what_is_packed_is_read_checked_rebuilt_and_found_as_before(
    exportd: Command,
) -> None:
    raws = {
        "long.txt": LONG,
        "list.json": LIST,
        "small.txt": b"> hi\n\n\xe2\x8f\xba Hello\n",
        "packed.gz": gzip.compress((SAMPLES / "codex-jsonl.jsonl").read_bytes() * 9, mtime=0),
    }
    drop(exportd, **{name.replace(".", "__"): raw for name, raw in raws.items()})
    archive = exportd.memory_dir / "exports-archive"
    before = dumped(exportd)
    say = ("archive", "compress", "--older-than", "0", "--json")
    shown = conforming("archive", exportd(*say, "--dry-run").stdout)
    assert (shown["dry_run"], shown["after_bytes"]) == (True, None)
    done = conforming("archive", exportd(*say).stdout)
    assert {one["name"] for one in done["packed"]} == {"long.txt", "list.json"}
    again = exportd("archive", "compress", "--older-than", "0").stdout
    assert again == (
        "Nothing to pack that is older than 0 days. Left as they are: 2 files smaller than "
        "4,096 bytes, 2 files packed already.\n"
    )
    assert done["after_bytes"] * 3 < done["before_bytes"] == len(LONG) + len(LIST)
    assert {path.name for path in archive.glob("[!.m]*")} == {
        "long.txt.zst", "list.json.zst", "small.txt", "packed.gz",
    }  # fmt: skip
    assert (archive / "long.txt.zst").stat().st_mtime == 1_770_000_000
    assert zstd.decompress((archive / "long.txt.zst").read_bytes()) == LONG

    deep = exportd("verify", "--deep")
    assert deep.returncode == 0, deep.stdout
    assert findings(exportd) == []
    reindex = exportd("reindex")
    assert "exactly what is stored" in reindex.stdout, reindex.stdout + reindex.stderr
    assert dumped(exportd) == before
    member = next(r for r in before if r["conversation_id"].startswith("6770aaaa"))
    sha256 = member["segments"][0]["exports"][0]["sha256"]
    assert exportd("archive", "cat", "long.txt").stdout.encode() == LONG
    inside = exportd("archive", "cat", sha256[:12]).stdout.encode()
    assert inside == PARTS[1]
    assert exportd("archive", "cat", "none.txt").returncode == 64

    assert [r.fate for r in drop(exportd, again__txt=LONG)] == [Fate.DUPLICATE_FILE]
    grown = LONG + b"> one more question\n"
    assert [r.new for r in drop(exportd, long__txt=grown)] == [1]
    assert not (archive / "again.txt").exists()
    assert not (archive / "long.txt").exists()  # it would be taken for the packed one
    assert findings(exportd) == []
    pack_all(exportd)
    assert findings(exportd) == []
    assert rows(
        exportd.environment["EXPORTD_DATABASE_URL"],
        "SELECT count(*) FROM exports WHERE archive_name LIKE '%%.zst'",
    ) == [(0,)]


def test_a_packed_conversation_is_purged_and_what_shares_its_file_stays(
    exportd: Command,
) -> None:
    drop(exportd, list__json=LIST, alone__json=(SAMPLES / "claude-ai.json").read_bytes())
    pack_all(exportd)
    name = "c1a0de00-0000-4000-8000-000000000001"
    before = dumped(exportd, name)
    done = exportd("purge", name, "--yes")
    assert done.returncode == 0, done.stderr
    assert dumped(exportd) == before
    assert findings(exportd) == []
    assert not (exportd.memory_dir / "exports-archive" / "list.json.zst").exists()


def test_a_file_that_another_zstd_packed_in_a_pipe_is_read_and_purged(
    exportd: Command,
) -> None:
    drop(exportd, claude__json=(SAMPLES / "claude-ai.json").read_bytes(), long__txt=LONG)
    archive = exportd.memory_dir / "exports-archive"
    for path in (archive / "claude.json", archive / "long.txt"):
        packer = zstd.ZstdCompressor()
        raw = packer.compress(path.read_bytes()) + packer.flush()
        path.with_name(f"{path.name}.zst").write_bytes(raw)
        path.unlink()
    assert packed.size_of(archive / "claude.json.zst") is None
    assert findings(exportd) == []
    assert exportd("reindex").returncode == 0
    assert exportd("purge", "c1a0de00-0000-4000-8000-000000000001", "--yes").returncode == 0
    assert {path.name for path in archive.glob("*.zst")} == {"long.txt.zst"}


def test_killed_anywhere_the_bytes_are_there_and_the_next_time_completes_it(
    exportd: Command,
) -> None:
    drop(exportd, long__txt=LONG)
    archive = exportd.memory_dir / "exports-archive"
    place = Packing(archive)
    for point in (point for point in POINTS if point.startswith("pack.")):
        killed_at(point, packing, partial(pack_all, exportd))
        there = [path.name for path in archive.glob("long.txt*")]
        assert there, point
        assert findings(exportd) == []
        if point != "pack.done":
            drop(exportd)  # a start tidies up
            assert not list(archive.glob(".*.tmp"))
        pack_all(exportd)
        assert [path.name for path in archive.glob("long.txt*")] == ["long.txt.zst"]
        assert findings(exportd) == []
        place.unpack("long.txt")
        assert [path.name for path in archive.glob("long.txt*")] == ["long.txt"]
        assert (archive / "long.txt").read_bytes() == LONG


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda raw: raw[:-9], "damaged or cut off"),
        (lambda raw: b"junk" + raw, "damaged or cut off"),
        (lambda _raw: zstd.compress(bytes(300_000_000)), "unpacks to more than"),
        (lambda _raw: zstd.compress(LONG.replace(b"9", b"8")), "SHA-256"),
    ],
)
def test_a_packed_file_that_was_changed_is_damage_and_no_bomb(
    exportd: Command, change: object, told: str
) -> None:
    drop(exportd, long__txt=LONG)
    pack_all(exportd)
    path = exportd.memory_dir / "exports-archive" / "long.txt.zst"
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    (found,) = (one for one in findings(exportd) if one.severity == "damage")
    assert told in found.found
    assert found.file == "exports-archive/long.txt.zst"
    assert "are not in" in exportd("reindex").stderr
    path.unlink()
    (found,) = findings(exportd)
    assert (found.kind, found.file) == ("archive_missing", "exports-archive/long.txt")


def test_what_is_not_what_it_was_or_has_no_free_name_is_not_packed(exportd: Command) -> None:
    drop(exportd, long__txt=LONG, other__txt=LONG.replace(b"9", b"8"))
    archive = exportd.memory_dir / "exports-archive"
    (archive / "long.txt").write_bytes(LONG.upper())
    (archive / "other.txt.zst").write_text("mine")
    done = conforming(
        "archive", exportd("archive", "compress", "--older-than", "0", "--json").stdout
    )
    reasons = {one["name"]: one["reason"] for one in done["not_packed"]}
    assert "not what was archived" in reasons["long.txt"]
    assert "another file" in reasons["other.txt"]
    assert (archive / "long.txt").read_bytes() == LONG.upper()
    assert (archive / "other.txt").exists()
    assert (archive / "other.txt.zst").read_text() == "mine"
    assert exportd("archive", "compress").returncode == 64


def test_the_daemon_packs_when_idle_once_a_day_and_gives_way(exportd: Command) -> None:
    drop(exportd, long__txt=LONG, other__txt=LONG.replace(b"9", b"8"))
    archive = exportd.memory_dir / "exports-archive"
    with at(exportd, compress_after=1e-9) as place:
        work = Housekeeping(place)
        work.step(1.0, lambda: False)
        assert not list(archive.glob("*.zst"))
        steps = iter([True, True, False])
        work.step(2.0, lambda: next(steps, False))
        assert len(list(archive.glob("*.zst"))) == 1
        work.step(3.0, lambda: True)
        assert len(list(archive.glob("*.zst"))) == 2
        Packing(archive).unpack("long.txt")
        work.step(4.0, lambda: True)
        assert (archive / "long.txt").exists()
        work.step(4.0 + 86_400, lambda: True)
        assert not (archive / "long.txt").exists()
    with at(exportd) as place:
        Packing(archive).unpack("long.txt")
        Housekeeping(place).step(1.0, lambda: True)  # off by default
        assert (archive / "long.txt").exists()
    with exportd.running(EXPORTD_COMPRESS_AFTER="0.0000001"):
        wait_until(lambda: not (archive / "long.txt").exists())
        busy = exportd("archive", "compress", "--older-than", "0")
        assert busy.returncode == 73, busy.stderr
    assert findings(exportd) == []


def test_dead_letters_go_after_so_many_days_only_where_that_is_set(
    exportd: Command, database_url: str
) -> None:
    drop(exportd, junk__log=b"make: nothing to be done\n", old__log=b"make: none\n")
    execute(
        database_url,
        "UPDATE dead_letters SET created_at = created_at - interval '10 days' "
        "WHERE original_name = 'old.log'",
    )
    failed = exportd.memory_dir / "exports-failed"
    with at(exportd) as place:
        Housekeeping(place).step(1.0, lambda: True)
    assert len(list(failed.iterdir())) == 4
    with at(exportd, keep_failed_days=9) as place:
        Housekeeping(place).step(1.0, lambda: True)
    assert {path.name for path in failed.iterdir()} == {"junk.log", "junk.log.reason.txt"}
    assert rows(database_url, "SELECT count(*) FROM dead_letters") == [(2,)]
    assert findings(exportd) == []


def test_packing_stops_in_the_middle_of_a_file(tmp_path: Path) -> None:
    raw = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(raw)
    pieces = iter([True, True, False])
    sha256 = packed.digest_of(tmp_path / "a")
    with pytest.raises(Interrupted):
        Packing(tmp_path).pack("a", sha256, lambda: next(pieces))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    done = Packing(tmp_path).pack("a", sha256)
    assert done is not None
    assert done.why_not == "it would not get smaller"
    (tmp_path / "link").symlink_to("a")
    assert Packing(tmp_path).pack("link", sha256) is None
    (tmp_path / ("b" * 253)).write_bytes(raw)
    assert Packing(tmp_path).pack("b" * 253, sha256) is None


def test_the_command_zstd_unpacks_it(tmp_path: Path) -> None:
    if shutil.which("zstd") is None:
        pytest.skip("no zstd here")
    (tmp_path / "a").write_bytes(LONG)
    Packing(tmp_path).pack("a", packed.digest_of(tmp_path / "a"))
    found = subprocess.run(
        ["zstd", "-dc", tmp_path / f"a{SUFFIX}"], capture_output=True, check=True
    )
    assert found.stdout == LONG
