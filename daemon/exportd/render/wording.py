"""Numbers in words, the same everywhere that people read them."""

from __future__ import annotations


def some(count: int, what: str) -> str:
    """``1 file``, ``2 files``: a count with its noun, whose plural ends in an s."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def size(size_bytes: int) -> str:
    """Bytes as such below 1 KB, which is 1,000 of them."""
    if size_bytes < 1e3:
        return some(size_bytes, "byte")
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:,.1f} GB"
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:,.1f} KB"
