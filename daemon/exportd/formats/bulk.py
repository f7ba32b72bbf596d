"""Bulk that only the raw file keeps: pictures as base64, and what is encrypted."""

from __future__ import annotations

import re
from typing import Any

_DATA_KEYS = ("data", "base64", "image_url", "url")
_BASE64 = re.compile(r"(?:data:[^,]{0,100},)?[A-Za-z0-9+/_=\r\n-]{200}")
_MAY_HOLD = (str, dict, list)
_ENCRYPTED = "encrypted_content"


def without_bulk(value: Any) -> Any:
    """A value in which long base64, and what is encrypted, is replaced by its length.

    Base64 counts only under a key that holds data, or as a ``data:`` URL; text stays.
    """
    if isinstance(value, dict):
        return {
            key: _member(key, inner) if isinstance(inner, _MAY_HOLD) else inner
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [without_bulk(inner) for inner in value]
    if isinstance(value, str) and value.startswith("data:"):
        return _shortened(value)
    return value


def _member(key: str, inner: Any) -> Any:
    if key == _ENCRYPTED and isinstance(inner, str):
        return f"[{len(inner)} characters, encrypted]"
    if key in _DATA_KEYS and isinstance(inner, str):
        return _shortened(inner)
    return without_bulk(inner)


def _shortened(text: str) -> str:
    if not _BASE64.match(text):
        return text
    kind = re.match(r"data:([\w/.+-]{1,60})", text)
    return f"[{len(text)} characters of base64{f', {kind[1]}' if kind else ''}]"
