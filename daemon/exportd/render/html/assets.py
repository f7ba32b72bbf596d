"""The page's own style and script, and the policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from .markup import Markup, element


@cache
def policy_and_style() -> Markup:
    """What stands first in the head: the policy binds what comes after it.

    It names the script and the style by their hashes. Nothing else is run, applied or
    fetched, and the script cannot make HTML of text.
    """
    style, script = _asset("page.css"), _asset("page.js")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
    meta = element("meta", http_equiv="Content-Security-Policy", content=policy)
    return Markup(f"{meta}\n<style>{style}</style>\n<script>{script}</script>")


def _asset(name: str) -> str:
    """A file beside this module; ours, so that nothing in it has to be escaped."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
