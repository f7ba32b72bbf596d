"""A real Chromium without a window, for the pages that exportd writes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)


class Browser:
    """One window; everything that a page asked for or complained about is on record."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, path: Path, fragment: str = "") -> None:
        """Show a page anew; what earlier pages left on record is forgotten."""
        self.leave()
        self.driver.get(path.as_uri() + fragment)

    def leave(self) -> None:
        self.driver.get("about:blank")
        self.complaints()
        self.requests()

    def run(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(script, *values)

    def __getitem__(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def in_view(self, selector: str) -> bool:
        """Whether it shows below the bar, in the window."""
        self.settle()
        return bool(
            self.run(
                "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
                "const bar = document.querySelector('.bar').getBoundingClientRect();"
                "return box.height > 0 && box.bottom > bar.bottom && box.top < innerHeight",
                selector,
            )
        )

    def settle(self) -> None:
        """Wait until what a jump does frame by frame is done."""
        self.driver.execute_async_script(
            "let left = 8; const step = () => left-- ? requestAnimationFrame(step)"
            " : arguments[0](); step()"
        )

    def until(self, script: str, *values: Any) -> None:
        """Wait until an expression is true in the page."""
        WebDriverWait(self.driver, 10, 0.02).until(
            lambda _: self.run(f"return {script}", *values)
        )

    def emulate(self, command: str, **values: Any) -> None:
        self.driver.execute_cdp_cmd(f"Emulation.{command}", values)

    def prefer(self, scheme: str, media: str = "") -> None:
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.emulate("setEmulatedMedia", media=media, features=[feature])

    def _log(self, kind: str) -> list[dict[str, Any]]:
        return list(self.driver.get_log(kind))  # type: ignore[no-untyped-call]

    def complaints(self) -> list[str]:
        """Errors of scripts, and what the policy of the page refused."""
        return [entry["message"] for entry in self._log("browser")]

    def requests(self) -> set[str]:
        """Everything that was fetched, or tried to be, and not refused by the policy."""
        events = [json.loads(e["message"])["message"] for e in self._log("performance")]
        refused = {
            event["params"]["requestId"]
            for event in events
            if event["params"].get("blockedReason") == "csp"
        }
        return {
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
            and event["params"]["requestId"] not in refused
        }


@contextmanager
def started(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile, ended at the end."""
    found, driver = (
        next(filter(None, map(shutil.which, _NAMES)), None),
        shutil.which("chromedriver"),
    )
    if not found or not driver:
        missing = "no chromium with its chromedriver (Debian: chromium chromium-driver) is here"
        if os.environ.get("TEST_BROWSER"):
            pytest.fail(missing)
        pytest.skip(missing)
    options = webdriver.ChromeOptions()
    options.binary_location = found
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield Browser(chrome)
    finally:
        chrome.quit()
