"""The picture in the README shows the report that the examples give today."""

from __future__ import annotations

import re

import pytest
from benchmarks.picture import PICTURE, picture, report


def test_the_picture_in_the_readme_is_of_todays_report(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``python -m benchmarks.picture`` makes it anew."""
    monkeypatch.setenv("EXPORTD_DATABASE_URL", database_url)
    shown, found = PICTURE.read_text(encoding="utf-8"), picture(report())
    texts = [re.findall(r">([^<]*)</text>", svg) for svg in (shown, found)]
    assert texts[0] == texts[1]
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg|<!--.*?-->", "", shown)
