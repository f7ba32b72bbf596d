"""docs/reference/exit-codes.md: the one table of them."""

from __future__ import annotations

from exportd.exit_codes import EXIT_CODES

from . import code, page, prose, table


def exit_codes_page() -> str:
    body = [
        (
            str(one.number),
            code(one.name) if one.name else "",
            one.meaning,
            prose(one.what_to_do),
        )
        for one in EXIT_CODES
    ]
    return page(
        "Exit codes",
        "Every command ends with one of these; the names are those of `sysexits.h`. Which of "
        "them a command has and why stands in its `--help`, and behind which message it comes "
        "on [the page of errors](fates.md#errors). `exportd db psql` ends as psql does: it may "
        "have 1 to 3, too.\n",
        table(("code", "name", "meaning", "what to do"), body),
        "\nUnder systemd the codes 64, 73, 77 and 78 are not tried again "
        "([units](../how-to/systemd.md)). In a script:\n\n"
        "```sh\n"
        "exportd run --once || case $? in\n"
        "    75) echo 'later' ;;       # files wait; nothing is lost\n"
        "    *) exit 1 ;;\n"
        "esac\n"
        "```\n",
    )
