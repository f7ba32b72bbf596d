"""A conversation as one page for a browser: a file that needs nothing but itself.

Everything in it was said by somebody, and some of it was made to do harm: ``markup`` escapes
by construction, ``visible`` spells out what would act, ``prose`` renders Markdown without
HTML and without pictures from elsewhere, and the policy of ``assets`` would stop what came
through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.resources import files

from ...dumped import Dumped
from .assets import policy_and_style
from .head import head, segment_head, title_of
from .markup import Markup, element, opening
from .message import message, model_of, speaker_of
from .outline import outline_of

__all__ = ["page"]

# Messages that a browser lays out together, when they come near: one by one, twenty thousand
# of them take it seconds.
_BATCH = 50


def page(conversations: Iterable[Dumped]) -> Iterator[str]:
    """The pages of conversations, message by message: none but one is held."""
    for dumped in conversations:
        yield from _page(dumped)


def _page(dumped: Dumped) -> Iterator[str]:
    outline = dumped.outline()
    yield "<!doctype html>\n"
    yield opening("html", lang="en")
    yield element(
        "head",
        element("meta", charset="utf-8"),
        policy_and_style(),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="referrer", content="no-referrer"),
        element("title", title_of(dumped.conversation)),
    )
    yield "\n<body>\n"
    yield _bar()
    yield outline_of(outline, dumped.conversation["segments"])
    yield "\n"
    yield opening("main", id="main")
    yield head(dumped.conversation, outline)
    yield from _messages(dumped)
    yield "\n</main>\n</body>\n</html>\n"


def _bar() -> Markup:
    return Markup(files(__package__).joinpath("bar.html").read_text(encoding="utf-8"))


def _messages(dumped: Dumped) -> Iterator[str]:
    """In their segments; one that is in none, if there is such, at the end of the last."""
    segments = {segment["ordinal"]: segment for segment in dumped.conversation["segments"]}
    place: int | None = None
    speaker = model = ""
    ends = ""  # of what is open
    in_batch = 0
    for record in dumped.messages:
        if record["segment"] in segments and record["segment"] != place:
            place = record["segment"]
            yield ends
            yield opening("section", aria_labelledby=f"s{place + 1}")
            yield segment_head(segments[place], len(segments))
            yield opening("div", class_="batch")
            ends, in_batch, speaker = "\n</div></section>\n", 0, ""
        elif in_batch == _BATCH:
            yield f"\n</div>{opening('div', class_='batch')}"
            in_batch = 0
        yield f"\n{message(record, speaker=speaker, model=model)}"
        in_batch += 1
        speaker, model = speaker_of(record) or speaker, model_of(record) or model
    yield ends
