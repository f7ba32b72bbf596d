"""Sphinx: the Markdown pages and the Python API as one site.

.venv/bin/pip install -e '.[docs]' && .venv/bin/sphinx-build -W docs /tmp/site
"""

from __future__ import annotations

import re
from typing import Any

from exportd import version as installed_version

project = "exportd"
author = "the exportd authors"
release = installed_version()
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinxcontrib.mermaid"]
exclude_patterns = ["reference/schemas/README*"]
html_theme = "furo"
html_title = "exportd"
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False

myst_heading_anchors = 4  # as GitHub makes them, so that the same links work in both
myst_fence_as_directive = ["mermaid"]
# What GitHub shows as a plain block may look like any language.
suppress_warnings = ["misc.highlighting_failure"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
python_use_unqualified_type_names = True

_TREE = """
```{{toctree}}
:hidden:
:caption: {caption}
:glob:

{pages}
```
"""
_TREES = {
    "Start": "tutorial\ntroubleshooting",
    "How to": "how-to/*",
    "Reference": "reference/*",
    "Explanation": "explanation/*",
}
# Links to what is in the repository and not in the site: their text stays.
_OUTSIDE = re.compile(
    r"\[([^\]]+)\]\((?:\.\./)+(?!how-to|reference|explanation|pictures)[^)]*\)"
)
_COMMENTS = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def _for_the_site(_app: Any, page: str, source: list[str]) -> None:
    text = _COMMENTS.sub("", source[0])  # they steer the tests of the pages
    depth = page.count("/")
    text = _OUTSIDE.sub(lambda link: _kept(link, depth), text)
    if page == "index":
        trees = (
            _TREE.format(caption=caption, pages=pages) for caption, pages in _TREES.items()
        )
        text += "".join(trees)
    source[0] = text


def _kept(link: re.Match[str], depth: int) -> str:
    target = link[0].rpartition("(")[2]
    return f"`{link[1]}`" if target.count("../") > depth else link[0]


def setup(app: Any) -> None:
    app.connect("source-read", _for_the_site)
