"""The pages and the Python API build into one site, without a warning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fences import ROOT

pytestmark = pytest.mark.skipif(
    "TEST_SLOW" not in os.environ, reason="ten seconds: TEST_SLOW=1"
)


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    for needed in ("sphinx", "myst_parser", "furo", "sphinxcontrib.mermaid"):
        pytest.importorskip(needed, reason="pip install -e '.[docs]'")
    site = tmp_path / "site"
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", ROOT / "docs", site],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    api = (site / "reference" / "python-api.html").read_text()
    assert 'id="exportd.SessionExportManager.import_export"' in api
    text = "".join(page.read_text() for page in site.rglob("*.html"))
    assert "<!-- setup" not in text, "what steers the tests is not for readers"
    assert "not run:" not in text
