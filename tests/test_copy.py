"""COPY's text format: the same as escaping sign by sign, in pieces of any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exportd.fingerprint import compact
from exportd.store.copy import CopyText

_SIGNS = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_TEXTS = st.text(st.sampled_from("ab\\\t\n\r é␛"), max_size=20)


@given(rows=st.lists(st.tuples(_TEXTS, st.none() | st.booleans())), size=st.integers(1, 9))
def test_rows_are_read_in_pieces_as_they_are_escaped_sign_by_sign(
    rows: list[tuple[str, bool | None]], size: int
) -> None:
    text = CopyText(rows)
    read = b""
    while piece := text.read(size):
        assert len(piece) <= size
        read += piece
    said = {None: r"\N", True: "t", False: "f"}
    assert read.decode() == "".join(f"{t.translate(_SIGNS)}\t{said[b]}\n" for t, b in rows)


def test_what_is_wrong_with_a_row_is_told() -> None:
    text = CopyText([("\ud800",)])
    with pytest.raises(UnicodeEncodeError):
        text.read()
    assert isinstance(text.error, UnicodeEncodeError)


@given(st.text(st.characters(max_codepoint=127)))
def test_plain_text_is_compact_without_what_split_takes_for_space(text: str) -> None:
    assert compact(text) == "".join(text.split())
