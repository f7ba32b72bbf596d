"""What commands take from people: numbers of things, times and lengths of time."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click

_MAX = 2**63 - 1  # as PostgreSQL counts
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def number(what: str) -> Callable[[object], int]:
    """A whole number from 1 on; ``what`` says of what, in the words of the error."""

    def number(given: object) -> int:
        text = str(given)
        if not re.fullmatch(r"[0-9]{1,19}", text) or not 1 <= int(text) <= _MAX:
            raise click.BadParameter(f"expected {what}, found {text!r}")
        return int(text)

    return number


def duration(text: str) -> timedelta:
    """A time such as 30m, 12h or 7d."""
    match = re.fullmatch(r"([0-9]{1,4})([mhd])", text)
    if match is None or not int(match[1]):
        raise click.BadParameter(f"expected a time such as 30m, 12h or 7d, found {text!r}")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def day(text: str) -> datetime:
    """A day, from its beginning in UTC, or a moment, both in ISO 8601."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"expected a date as 2026-01-31, or 2026-01-31T18:30, found {text!r}"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
