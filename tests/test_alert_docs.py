"""docs/reference/alerts.md has every rule, with an example of its message as it is sent.

``TEST_REGENERATE=1 pytest tests/test_alert_docs.py`` writes that part anew. Read it then.
"""

from __future__ import annotations

import os
from pathlib import Path

from notices import notice, over, told

from exportd.alerts.rules import RULES, Rule
from exportd.alerts.words import text

DOCS = Path(__file__).parent.parent / "docs" / "reference" / "alerts.md"
BEGIN, END = "<!-- rules -->\n", "<!-- end of rules -->"


def _section(rule: Rule) -> str:
    how = "until it is over" if rule.lasts else "once"
    head = f"### `{rule.kind}`\n\n{rule.severity.value}, told {how}"
    if rule.after:
        head += f"; not while one of {', '.join(f'`{kind}`' for kind in rule.after)} fires"
    if rule.everywhere:
        head += ", by every channel"
    return f"{head}\n\n```text\n{text(notice(rule.kind)).rstrip()}\n```\n"


def test_every_rule_is_documented_with_an_example_of_its_message() -> None:
    end = over(
        told("index_gap"), "2026-11-26-EXPORT-ROLLOUT-MASTER.json has the missing messages"
    )
    sections = [_section(rule) for rule in RULES.values()]
    resolved = f"### When it is over\n\n```text\n{text(notice(end)).rstrip()}\n```\n"
    expected = "\n".join([*sections, resolved])
    whole = DOCS.read_text()
    before, rest = whole.split(BEGIN)
    found, after = rest.split(END)
    if "TEST_REGENERATE" in os.environ:
        DOCS.write_text(f"{before}{BEGIN}{expected}{END}{after}")
        return
    assert found == expected, "TEST_REGENERATE=1 writes it anew"
