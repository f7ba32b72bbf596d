"""Rows as PostgreSQL's COPY text format reads them."""

from __future__ import annotations

from collections.abc import Iterable

PIECE_BYTES = 256 * 1024

# The backslash first: it stands in the others. A search each is far faster than translate().
_ESCAPES = (("\\", r"\\"), ("\n", r"\n"), ("\t", r"\t"), ("\r", r"\r"))


class CopyText:
    """A file to read, in UTF-8, of rows in the order of the COPY statement's columns.

    None is NULL. A row is made when it is asked for: the server inserts those before it.
    ``error`` is what went wrong with one; of it psycopg2 only tells the server.
    """

    error: Exception | None = None

    def __init__(self, rows: Iterable[tuple[object, ...]]) -> None:
        self._rows = iter(rows)
        self._held = b""

    def read(self, size: int = PIECE_BYTES) -> bytes:
        """At most ``size`` bytes; none at the end."""
        lines, length = [self._held], len(self._held)
        try:
            while length < size and (row := next(self._rows, None)) is not None:
                line = ("\t".join(map(_field, row)) + "\n").encode()
                lines.append(line)
                length += len(line)
        except Exception as error:
            self.error = error
            raise
        whole = b"".join(lines)
        self._held = whole[size:]
        return whole[:size]


def _field(value: object) -> str:
    if value is None:
        return r"\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    text = str(value)
    for sign, escaped in _ESCAPES:
        if sign in text:
            text = text.replace(sign, escaped)
    return text
