"""What JSON formats share: numbers as they are stored."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from exportd.formats.records import DECODER, decode


@given(
    before=st.text("0a ", max_size=250),
    sign=st.sampled_from(["", "-"]),
    digits=st.sampled_from([1, 20, 299, 300, 301, 302, 5000]),
    end=st.sampled_from(["", ".5", "e3", "e999"]),
    after=st.text("0a ", max_size=250),
)
def test_long_numbers_are_read_alike_wherever_they_stand(
    before: str, sign: str, digits: int, end: str, after: str
) -> None:
    number = f"{sign}{'9' * digits}{end}"
    text = f'{{"a": {json.dumps(before)}, "n": [{number}], "b": {json.dumps(after)}}}'
    assert repr(decode(text)) == repr(DECODER.decode(text))
