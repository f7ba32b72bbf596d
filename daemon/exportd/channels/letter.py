"""A message as a mail: plain text, and the same in HTML.

Every byte of it is ASCII, so that any server takes it: headers and bodies in other letters
are encoded (RFC 2047, RFC 2045).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from email import policy
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import getaddresses
from html import escape

from ..alerts.notice import Notice
from ..alerts.plain import one_line
from ..alerts.words import (
    LIST_ALL,
    OVER,
    Words,
    all_words,
    footer,
    headline,
    left_out,
    repeat_note,
    text,
)
from ..errors import ConfigurationError

_ASCII = policy.SMTP.clone(cte_type="7bit")
_COMMAND = re.compile(r"`([^`\n]+)`")
_COLOURS = {"🔴": "#d92d20", "🟠": "#dc6803", "🔵": "#2e7cd6", OVER: "#2e8b57"}

# Colours of text and ground are the reader's own, so that a dark screen stays dark.
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<style>:root {{ color-scheme: light dark; }}</style>
<title>{title}</title></head>
<body style="margin:0; padding:16px; font:16px/1.45 system-ui,-apple-system,'Segoe UI',\
Roboto,sans-serif;"><div style="max-width:36em; overflow-wrap:anywhere;">
{content}
</div></body></html>
"""
_CODE_STYLE = "font-family:ui-monospace,Menlo,Consolas,monospace;"
_SMALL = "font-size:14px; opacity:.75;"


def letter(
    notice: Notice, sender: Address, recipients: Sequence[Address], date: datetime
) -> EmailMessage:
    """The mail, with a ``Message-ID`` that is the same at every attempt."""
    mail = EmailMessage(policy=_ASCII)
    mail["Subject"] = headline(notice)
    mail["From"] = sender
    mail["To"] = tuple(recipients)
    mail["Date"] = date
    mail["Message-ID"] = message_id(notice, sender)
    if above := one_line((notice.thread or {}).get("message_id", "")):
        mail["In-Reply-To"] = mail["References"] = above
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence note comes back
    mail["X-Auto-Response-Suppress"] = "All"  # the same for Exchange
    mail.set_content(text(notice))
    mail.add_alternative(page(notice), subtype="html")
    return mail


def message_id(notice: Notice, sender: Address) -> str:
    return f"<{one_line(notice.message_id)}@{sender.domain}>"


def address(text: str) -> Address:
    """An address that any server takes; ``ConfigurationError`` where it is none.

    Its domain may have any letters (IDNA); before the @ stand ASCII characters.
    """
    (name, spec), *others = getaddresses([text]) or [("", "")]
    local, _, domain = spec.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode()
        found = Address(display_name=name, username=local, domain=ascii_domain)
        is_good = bool(local and domain) and local.isascii() and found.addr_spec.isprintable()
    except (ValueError, IndexError, HeaderParseError):
        is_good = False
    if others or not is_good or not text.isprintable():
        raise ConfigurationError(
            f"mail: {text!r}: expected an address as name@example.org, ASCII before the @"
        )
    return found


def page(notice: Notice) -> str:
    """The message in HTML that fetches nothing."""
    title = headline(notice)
    head = f'<p style="margin:0 0 20px; font-size:20px;"><strong>{escape(title)}</strong></p>'
    parts = [] if notice.count == 1 else [head]
    parts += [_card(words) for words in all_words(notice)]
    if further := left_out(notice):
        lines = "".join(f"<li>{escape(line)}</li>" for line in further)
        parts.append(_paragraph("<strong>Left out here</strong>", below=4))
        parts.append(f'<ul style="margin:0 0 12px; padding-left:1.4em;">{lines}</ul>')
        parts.append(_paragraph(f"All of them: {_code(LIST_ALL)}"))
    if note := repeat_note(notice):
        parts.append(_paragraph(f"<em>{escape(note)}</em>"))
    parts.append(f'<p style="margin:24px 0 0; {_SMALL}">{escape(footer(notice))}</p>')
    return _PAGE.format(title=escape(title), content="\n".join(parts))


def _card(words: Words) -> str:
    title = f"<strong>{escape(f'{words.sign} {words.title}')}</strong>"
    parts = [f'<p style="margin:0 0 4px; font-size:18px;">{title}</p>']
    if words.conversation:
        parts.append(_paragraph(_code(words.conversation), below=4))
    if words.facts:
        parts.append(f'<p style="margin:0 0 12px; {_SMALL}">{escape(words.facts)}</p>')
    parts.append(_paragraph(_prose(words.body)))
    if words.over:
        parts.append(_paragraph(f"<strong>Why it is over:</strong> {_prose(words.over)}"))
    if words.todo:
        parts.append(_paragraph(f"<strong>What to do:</strong> {_prose(words.todo)}"))
    if words.ack:
        parts.append(_paragraph(f"When you see to it: {_code(words.ack)}", below=0))
    border = f"border-left:4px solid {_COLOURS[words.sign]}"
    inner = "\n".join(parts)
    return f'<div style="{border}; padding:2px 0 2px 12px; margin:0 0 24px;">\n{inner}\n</div>'


def _paragraph(markup: str, below: int = 12) -> str:
    return f'<p style="margin:0 0 {below}px;">{markup}</p>'


def _prose(words: str) -> str:
    """Escaped, its lines kept, commands between backticks set as such."""
    safe = _COMMAND.sub(
        lambda found: f'<code style="{_CODE_STYLE}">{found[1]}</code>', escape(words)
    )
    return safe.replace("\n", "<br>\n")


def _code(words: str) -> str:
    return f'<code style="{_CODE_STYLE}">{escape(words)}</code>'
