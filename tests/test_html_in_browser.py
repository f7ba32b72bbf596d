"""The HTML export as a reader meets it: in a real Chromium, from a file."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, started
from conftest import EXAMPLES, Command
from selenium.webdriver.common.keys import Keys
from shown import HOSTILE, html, long_session, said

# What is drawn of the two palettes, each text against what lies behind it (WCAG 2.2, 1.4.3).
_FAINT_TEXTS = """
const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const parts = (color) => color.match(/[\\d.]+/g).map(Number);
const behind = (element) => {
  for (let up = element; up; up = up.parentElement) {
    const color = parts(getComputedStyle(up).backgroundColor);
    if (color.length < 4 || color[3] > 0) return color;
  }
  return [255, 255, 255];
};
const found = new Set();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const element = node.parentElement;
  if (!node.data.trim() || !element.checkVisibility()) continue;
  if (element.closest(".unseen, .skip")) continue;
  const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (contrast < 4.5) found.add(`${element.outerHTML.slice(0, 80)} ${contrast}`);
}
return [...found];
"""


_ALL_COLOURS = """
# A

> quoted `code`

[a](https://a.example) ![b](https://b.example)

|a|
|-|
|b|

```python
@a
class B(int):  # c
    def d(self): return len('e') + 1
```
```diff
-a
+b
```
```html
<a href="b">
```
"""
_RENDERINGS = [{"content_hash": "", "content": "another"}]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A real Chromium; skipped where there is none, unless TEST_BROWSER says that there is."""
    with started(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long session with a word in a result that stands nowhere else."""
    messages = long_session(600)
    messages[400] = said("tool", "tool_result", "one line\nthe Needle  of\nthe stack\n" * 40)
    path = tmp_path_factory.mktemp("pages") / "session.html"
    path.write_text(html(messages), encoding="utf-8")
    return path


def test_search_finds_what_is_folded_away_and_jumps_there(
    browser: Browser, session: Path
) -> None:
    browser.open(session)
    browser["body"].send_keys("/")
    browser.driver.switch_to.active_element.send_keys("needle of THE stack")
    browser.until("document.getElementById('count').textContent === '40 hits'")
    assert not browser.run("return document.querySelector('#m400 details').open")
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser["#count"].text == "1 of 40"
    assert browser.run("return document.querySelector('#m400 details').open")
    browser.until("CSS.highlights.get('hits').size > 3")
    here = "[...CSS.highlights.get('here')][0]"
    assert browser.run(f"return {here}.toString()") == "Needle  of\nthe stack"
    browser.settle()
    browser.until(
        f"(box => box.top > 50 && box.bottom < innerHeight)({here}.getBoundingClientRect())"
    )
    browser.run("document.activeElement.blur()")
    browser["body"].send_keys("N")
    assert browser["#count"].text == "40 of 40"
    browser["body"].send_keys("n", "n")
    assert browser["#count"].text == "2 of 40"

    browser["#only"].click()
    shown = (
        "[...document.querySelectorAll('.m')].filter(m => m.checkVisibility()).map(m => m.id)"
    )
    assert browser.run(f"return {shown}") == ["m400"]
    browser["#query"].send_keys(Keys.ESCAPE)
    assert browser.run(f"return {shown}.length") == 600
    assert browser["#count"].text == ""
    browser["#query"].send_keys(".*(", Keys.ENTER)
    assert browser["#count"].text == "no hits"
    assert browser.complaints() == []


def test_folds_open_and_tools_can_be_put_away(browser: Browser, session: Path) -> None:
    browser.open(session)
    opened = "document.querySelectorAll('.aside > details[open]').length"
    assert browser.run(f"return {opened}") == 0
    browser["#m3 summary"].click()
    browser.until(f"{opened} === 1")
    assert "cat wheel-0-0.py | head -40" in browser["#m3 .body"].text
    browser["#m3 summary"].send_keys(Keys.ENTER)
    browser.until(f"{opened} === 0")
    browser["#unfold"].click()
    browser.until(f"{opened} === document.querySelectorAll('.aside').length")
    browser["#unfold"].click()
    browser.until(f"{opened} === 0")

    there = (  # what is laid out on the way moves the rest
        "(m => { m.scrollIntoView(); return Math.abs(m.getBoundingClientRect().top) < 150; })"
        "(document.getElementById('m210'))"
    )
    for _ in range(3):
        browser.until(there)
        time.sleep(0.1)
    browser["#talk"].click()
    browser.until("[...document.querySelectorAll('.aside')].every(m => !m.checkVisibility())")
    assert browser["#talk"].get_attribute("aria-pressed") == "true"
    browser.until(
        "[...document.querySelectorAll('#m208, #m209, #m210, #m211, #m221')]"
        ".some(m => m.checkVisibility() && Math.abs(m.getBoundingClientRect().top) < 900)"
    )
    assert browser.complaints() == []


def test_dark_follows_the_system_until_the_reader_says_otherwise(
    browser: Browser, session: Path
) -> None:
    def page() -> str:
        return str(browser.run("return getComputedStyle(document.body).backgroundColor"))

    try:
        browser.prefer("light")
        browser.open(session)
        light = page()
        browser.prefer("dark")
        dark = page()
        assert light == "rgb(255, 255, 255)" != dark
        assert browser["#dark"].get_attribute("aria-pressed") == "true"
        browser["#dark"].click()
        assert page() == light
        browser.open(session)
        assert page() == light, "it is remembered"
        browser.prefer("dark", "print")
        assert page() == light
        assert not browser["nav"].is_displayed()
        browser.prefer("light")
        browser["#dark"].click()
        assert page() == dark
    finally:
        browser.run("localStorage.clear()")
        browser.prefer("light")


def test_the_outline_leads_to_prompts_and_follows_the_reader(
    browser: Browser, session: Path
) -> None:
    browser.open(session)
    link = "nav a[href='#m308']"
    assert browser[link].text == "Please mend wheel 22. It squeaks when it rains."
    browser[link].click()
    browser.settle()
    browser.until("document.querySelector('nav a[aria-current]')?.hash === '#m308'")
    assert browser.in_view("#m308")
    browser.run("document.getElementById('m490').scrollIntoView()")
    browser.until("document.querySelector('nav a[aria-current]')?.hash === '#m490'")
    assert browser.in_view("nav a[href='#m490']"), "the outline scrolls along"
    try:
        browser.emulate(
            "setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2, mobile=True
        )
        browser.open(session)
        assert not browser["nav"].is_displayed()
        assert browser.run("return document.documentElement.scrollWidth") == 390
        browser["#contents"].click()
        assert browser["#contents"].get_attribute("aria-expanded") == "true"
        browser[link].click()
        assert not browser["nav"].is_displayed()
        browser.until("document.getElementById('m308').getBoundingClientRect().top < 844")
        assert browser.in_view("#m308")
    finally:
        browser.emulate("clearDeviceMetricsOverride")


def test_a_link_to_a_message_opens_it_and_times_are_the_readers(
    browser: Browser, session: Path
) -> None:
    try:
        browser.emulate("setTimezoneOverride", timezoneId="Asia/Kathmandu")
        browser.emulate("setLocaleOverride", locale="en-GB")
        browser.open(session, "#m313")
        assert browser.run("return document.querySelector('#m313 details').open")
        browser.until(
            "document.getElementById('m313').getBoundingClientRect().top < innerHeight / 2"
        )
        assert browser.in_view("#m313")
        assert browser["#m313 .link"].get_attribute("href") == f"{session.as_uri()}#m313"
        told = browser["#m313 time"]
        assert told.get_attribute("title") == "2026-01-12 14:43:00 UTC"
        browser.until("document.querySelector('#m313 time').textContent === '20:28'")
    finally:
        browser.emulate("setTimezoneOverride", timezoneId="")
        browser.emulate("setLocaleOverride")


def test_hostile_content_does_nothing_but_show(browser: Browser, tmp_path: Path) -> None:
    kinds = [
        ("user", "prompt"), ("assistant", "text"), ("assistant", "thinking"),
        ("tool", "tool_result"), ("system", "notice"), ("user", "command"),
    ]  # fmt: skip
    messages = [said(role, kind, text) for text in HOSTILE for role, kind in kinds]
    messages += [
        said(
            "assistant", "tool_call", text, tool=text, model=text,
            input={text: text, "command": text, "file_path": f"{text}.html", "old_string": text,
                   "new_string": text * 2},
            renderings=[{"content_hash": text, "content": text}],
        ) for text in HOSTILE
    ]  # fmt: skip
    path = tmp_path / "hostile.html"
    everything = " ".join(HOSTILE)
    page = html(
        messages,
        metadata={"title": everything, "cwd": everything},
        aliases=list(HOSTILE),
        conversation_id=HOSTILE[0],
        risk={"level": HOSTILE[0], "reasons": list(HOSTILE)},
    )
    path.write_text(page, encoding="utf-8")
    browser.open(path)
    browser["#unfold"].click()
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    browser["#query"].send_keys("<script>", Keys.ENTER)
    assert browser.run("return window.acted") is None
    assert browser.run("return document.scripts.length") == 1
    foreign = "document.querySelector('img, iframe, svg, form, base, link, h1 ~ h1')"
    assert browser.run(f"return {foreign}") is None
    links = browser.run("return [...document.querySelectorAll('main a')].map(a => a.protocol)")
    assert set(links) <= {"file:", "http:", "https:", "mailto:"}
    assert browser.run("return document.querySelectorAll('.m').length") == len(messages)
    assert browser.run("return document.getElementById('dark').tagName") == "BUTTON"
    assert browser.requests() == {path.as_uri()}
    assert browser.complaints() == []

    # And what came through all the same would be stopped by the page's policy.
    made = "document.body.innerHTML = '<b>x</b>'"
    assert browser.run(f"try {{ {made} }} catch (error) {{ return error.name }}") == "TypeError"
    browser.run(
        "const s = document.createElement('style'); s.textContent = 'body { display: none }';"
        "document.head.append(s);"
        "const i = document.createElement('img'); i.src = 'https://evil.example/pixel.png';"
        "document.body.append(i);"
    )
    assert browser.run("return getComputedStyle(document.body).display") == "grid"
    assert browser.requests() == set()
    assert any("Content Security Policy" in told for told in browser.complaints())


def test_a_long_session_opens_in_two_seconds_and_a_line_of_megabytes_opens(
    browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "long.html"
    path.write_text(html(long_session(2500)), encoding="utf-8")
    took_s = min(_opened(browser, path) for _ in range(2))
    print(f"2,500 messages: {took_s:.2f} s")  # noqa: T201  # -rP shows it
    assert took_s < 2
    browser["#query"].send_keys("wheel 177 is quiet", Keys.ENTER)
    assert browser["#count"].text == "1 of 1"
    assert browser.in_view("#m2491")

    large = "x" * 5_000_000 + "needle" + "y" * 5_000_000
    path.write_text(html([said("user", "prompt", large), said("user", "prompt", "end")]))
    assert _opened(browser, path) < 5
    browser["#query"].send_keys("needle", Keys.ENTER)
    assert browser["#count"].text == "1 of 1"
    browser.settle()
    browser.until(
        "(box => box.top > 0 && box.bottom < innerHeight)"
        "([...CSS.highlights.get('here')][0].getBoundingClientRect())"
    )
    assert browser.complaints() == []


def _opened(browser: Browser, path: Path) -> float:
    """Seconds until it is loaded and drawn."""
    browser.leave()
    started_at = time.monotonic()
    browser.driver.get(path.as_uri())
    browser.driver.execute_async_script(
        "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
    )
    return time.monotonic() - started_at


def test_every_text_stands_out_in_both_palettes(browser: Browser, tmp_path: Path) -> None:
    messages = [
        said("assistant", "text", _ALL_COLOURS, model="m", in_flight=True),
        *long_session(15),
        said("tool", "tool_result", "a\nb", is_error=True, renderings=_RENDERINGS),
    ]
    path = tmp_path / "colours.html"
    for level in ("none", "medium", "high"):
        path.write_text(html(messages, aliases=["a"], risk={"level": level, "reasons": ["b"]}))
        for scheme in ("light", "dark"):
            browser.prefer(scheme)
            browser.open(path)
            browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
            browser["#query"].send_keys("wheel", Keys.ENTER)
            browser["#talk"].click()
            assert browser.run(_FAINT_TEXTS) == [], (level, scheme)
    browser.prefer("light")


def test_the_command_writes_a_page_that_shows_what_was_merged(
    browser: Browser, exportd: Command, tmp_path: Path
) -> None:
    for path in sorted(EXAMPLES.glob("*GARDEN*")):
        shutil.copy2(path, exportd.memory_dir / "exports" / path.name)
    assert exportd("run", "--once").returncode == 0
    path = tmp_path / "garden.html"
    done = exportd("export", "garden-planner", "--format", "html", "-o", str(path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    browser.open(path)
    assert browser.driver.title == "garden-planner"
    assert "no overlap" in browser[".risk.medium"].text
    browser[".origin summary"].click()
    assert browser[".origin"].text.splitlines()[:3] == [
        "Merged from 3 exports",
        "Segment 1: messages 0 to 20",
        browser[".origin li"].text,
    ]
    assert browser[".origin li"].text.startswith(
        "2026-01-12-EXPORT-GARDEN-PLANNER.txt 13 messages"
    )
    assert "It begins after a compaction" in browser["section:nth-of-type(2) .break"].text
    assert browser.run("return document.querySelectorAll('.m').length") == 30
    assert browser.requests() == {path.as_uri()}
    assert browser.complaints() == []
