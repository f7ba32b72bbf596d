"""``NAME.session``: one line that names the conversation that ``NAME`` belongs to."""

from __future__ import annotations

from pathlib import Path

from ..errors import PermanentError
from ..folders import SIDECAR
from ..formats.text import printable
from .files import opened

_SIDECAR_BYTES = 4096


def read_sidecar(path: Path) -> str:
    """The conversation id in a file ``NAME.session``: its one line, as it was written."""
    with opened(path) as file:
        raw = file.read(_SIDECAR_BYTES + 1)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    if not is_clear(text):
        raise PermanentError(
            f"{printable(path.name)} should hold one line of text, the id of the conversation "
            f"that {printable(path.name.removesuffix(SIDECAR))} belongs to; mend it and drop "
            "both again"
        )
    return text.strip()


def is_clear(text: str) -> bool:
    """Whether a sidecar may say this: one line that is not blank, and not too long."""
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        return False
    told = [line for line in text.split("\n") if line.strip()]
    return len(told) == 1 and size_bytes < _SIDECAR_BYTES and "\0" not in text
