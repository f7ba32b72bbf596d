"""Run the real command over a folder of exports and check that nothing is lost or doubled.

    python -m benchmarks.corpus FOLDER

Every file below FOLDER is dropped, as it is, into a fresh memory folder with an embedded
server. Checked are the promises that can be checked without knowing the files: bytes
kept, nothing new when dropped again, dense indices, every prompt found in the database,
and for every pair of text files of which one begins with the other: A then B stores
exactly what B alone stores. Exit code 1 when a promise is broken.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from .running import drop, files_below, query, run

# Independent of the parser on purpose: a line that starts a prompt, and nothing else.
_PROMPT = re.compile(rb"^(?:>|\xe2\x9d\xaf)(?: |\xc2\xa0)(.*)$", re.MULTILINE)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--pairs/--no-pairs", default=True, help="Also A then B against B alone.")
def main(folder: Path, *, pairs: bool) -> None:
    """Check exportd's promises on every file below FOLDER."""
    files = files_below(folder)
    with tempfile.TemporaryDirectory(prefix="exportd-corpus-") as temporary:
        broken = _check_all(files, Path(temporary) / "all")
        if pairs:
            broken += _check_pairs(files, Path(temporary))
    click.echo("\n".join(broken) or "every promise held")
    sys.exit(1 if broken else 0)


def _check_all(files: list[Path], memory: Path) -> list[str]:
    started = time.monotonic()
    drop(files, memory)
    dropped = time.monotonic()
    first = run(memory)
    elapsed_s = time.monotonic() - dropped
    size_mb = sum(path.stat().st_size for path in files) / 1e6
    click.echo(f"{len(files)} files, {size_mb:.1f} MB, copied in {dropped - started:.1f} s")
    click.echo(f"run --once: {elapsed_s:.1f} s, server start included")
    click.echo(f"fates: {dict(Counter(report['fate'] for report in first))}")
    for report in first:
        if report["fate"] == "dead_letter":
            click.echo(f"  dead letter: {report['name']}: {report['reason']}")
    broken = list(_bytes_kept(files, memory))
    broken += _found_prompts(files, memory)
    drop(files, memory)
    again = run(memory)
    if new := sum(report["new"] for report in again):
        broken.append(f"dropped again: {new} new messages, expected 0")
    facts = query(memory, _FACTS)[0]
    click.echo("segments {}, conversations {}, messages {}, renderings {}".format(*facts[:4]))
    broken += [f"{name}: {n}" for name, n in zip(_BROKEN, facts[4:], strict=True) if n != "0"]
    return broken


def _bytes_kept(files: list[Path], memory: Path) -> Iterator[str]:
    kept = {
        hashlib.sha256(path.read_bytes()).digest()
        for name in ("exports-archive", "exports-failed")
        for path in (memory / name).iterdir()
    }
    for path in files:
        if hashlib.sha256(path.read_bytes()).digest() not in kept:
            yield f"{path.name}: its bytes are neither archived nor in exports-failed"


def _found_prompts(files: list[Path], memory: Path) -> Iterator[str]:
    """Every prompt of every ingested file, as often as the file shows it."""
    stored: dict[str, list[list[str]]] = {}
    for sha256, *renderings in query(memory, _PROMPTS):
        stored.setdefault(sha256, []).append([_bare(text) for text in renderings])
    total = 0
    for path in files:
        raw = path.read_bytes()
        found = stored.get(hashlib.sha256(raw).hexdigest())
        if found is None:
            continue
        shown = Counter(_bare(p.decode("utf-8", "replace")) for p in _PROMPT.findall(raw))
        total += shown.total()
        for prompt, count in shown.items():
            kept = sum(any(text.startswith(prompt) for text in texts) for texts in found)
            if kept < count:
                yield f"{path.name}: a prompt stands {count} times, stored {kept}"
    click.echo(f"prompts looked for: {total}")


def _bare(text: str) -> str:
    return "".join(text.split())


def _check_pairs(files: list[Path], temporary: Path) -> Iterator[str]:
    texts = {
        path: path.read_bytes().rstrip() for path in files if path.suffix in (".txt", ".md")
    }
    pairs = [
        (a, b)
        for a in texts
        for b in texts
        if a != b and len(texts[a]) < len(texts[b]) and texts[b].startswith(texts[a])
    ]
    click.echo(f"pairs of which one file begins with the other: {len(pairs)}")
    for number, (a, b) in enumerate(pairs):
        both, alone = temporary / f"both-{number}", temporary / f"alone-{number}"
        for path in (a, b):
            drop([path], both)
            run(both)
        drop([b], alone)
        run(alone)
        if query(both, _MESSAGES) != query(alone, _MESSAGES):
            yield f"{a.name} then {b.name}: differs from {b.name} alone"
        shutil.rmtree(both)
        shutil.rmtree(alone)


_FACTS = """
SELECT (SELECT count(*) FROM segments), (SELECT count(*) FROM conversations),
       (SELECT count(*) FROM messages), (SELECT count(*) FROM message_renderings),
       (SELECT count(*) FROM (SELECT 1 FROM messages GROUP BY conversation_id
        HAVING min(message_index) <> 0 OR max(message_index) <> count(*) - 1) x),
       (SELECT count(*) FROM conversations c LEFT JOIN watermarks w USING (conversation_id)
        WHERE w.highest_index IS DISTINCT FROM c.total_messages - 1),
       (SELECT count(*) FROM conversations c WHERE c.total_messages <>
        (SELECT count(*) FROM messages m WHERE m.conversation_id = c.conversation_id)),
       (SELECT count(*) FROM segments s WHERE s.message_count <>
        (SELECT count(*) FROM messages m WHERE m.segment_id = s.segment_id))
"""
_BROKEN = (
    "conversations with gaps in message_index",
    "wrong watermarks",
    "wrong total_messages",
    "wrong segment counts",
)
_PROMPTS = """
SELECT e.sha256, m.content, coalesce(string_agg(r.content, chr(31)), '')
FROM exports e JOIN export_segments USING (export_id) JOIN messages m USING (segment_id)
LEFT JOIN message_renderings r USING (message_id)
WHERE m.role = 'user' GROUP BY e.sha256, m.message_id
"""
_MESSAGES = """
SELECT message_index, content_hash, role, kind, content FROM messages ORDER BY message_index
"""

if __name__ == "__main__":
    main()
