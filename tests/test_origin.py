"""Project and developer, by a directory or a repository."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exportd.origin import developer, project


@pytest.mark.parametrize(
    ("cwd", "repository", "expected"),
    [
        ("/home/ana/bakery", None, ("bakery", "ana")),
        ("/Users/ana/work/bakery/", None, ("bakery", "ana")),
        ("C:\\Users\\ana\\bakery", None, ("bakery", "ana")),
        ("~/engine", None, ("engine", None)),
        ("~/…/engine/mill", None, ("mill", None)),
        ("/mnt/d/engine", None, ("engine", None)),
        ("/home/ana", None, (None, "ana")),
        ("~", None, (None, None)),
        ("/", None, (None, None)),
        ("C:\\", None, (None, None)),
        (None, None, (None, None)),
        ("/home/ana/x", "git@github.com:corner/bakery.git", ("corner/bakery", "ana")),
        (None, "https://user:pw@host/corner/bakery", ("corner/bakery", None)),
        (None, "https://host/group/sub/bakery.git/", ("sub/bakery", None)),
        ("/srv/x", "no url", ("x", None)),
        ("/home/../../etc/..", None, ("etc", None)),
        (None, "git@host:../../..", (None, None)),
        ("/srv/a\x1b[31mb", None, ("a\\x1b[31mb", None)),
    ],
)
def test_names_are_found(
    cwd: str | None, repository: str | None, expected: tuple[str | None, str | None]
) -> None:
    assert (project(cwd, repository), developer(cwd)) == expected


@given(
    cwd=st.text("/\\.~ab:\0\n…C@"), repository=st.text("/\\.:@ab\n") | st.just("https://a/../b")
)
def test_no_name_leads_anywhere(cwd: str, repository: str) -> None:
    for name in (project(cwd, repository), developer(cwd)):
        parts = name.split("/") if name else []
        assert len(parts) <= 2
        assert not {"", ".", ".."} & set(parts)
        assert (
            not set(name or "") & set("\\\0\n") or "\\x" in (name or "") or "\\n" in str(name)
        )
