"""A browser for tests: headless Chromium, driven over WebDriver (W3C), which is JSON over HTTP."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from daemons import wait_until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key under which WebDriver gives an element (W3C WebDriver, section 12)."""


class Browser:
    """A session with chromedriver at a URL."""

    def __init__(self, url: str, *, scripts: bool, language: str) -> None:
        preferences: dict[str, Any] = {"intl.accept_languages": language}
        if not scripts:
            preferences["profile.managed_default_content_settings.javascript"] = 2
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu"], "prefs": preferences}
        self._url = f"{url}/session"
        asked = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self._url += "/" + self._call("POST", "", asked)["sessionId"]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    @property
    def text(self) -> str:
        """What a person sees of the page."""
        return str(self._with("body", "GET", "text"))

    def until(self, text: str) -> None:
        """Waits until the page says something."""
        wait_until(f"the page says {text!r}", lambda: text in self.text)

    @property
    def url(self) -> str:
        return str(self._call("GET", "/url"))

    def _find(self, selector: str) -> str:
        how = "xpath" if selector.startswith("//") else "css selector"
        return str(self._call("POST", "/element", {"using": how, "value": selector})[ELEMENT])

    def _with(self, selector: str, method: str, action: str, body: Any = None) -> Any:
        """Does something with an element; anew, if the page has changed for another one meanwhile."""
        deadline = time.monotonic() + 10
        while True:
            try:
                return self._call(method, f"/element/{self._find(selector)}/{action}", body)
            except AssertionError as error:
                passing = "stale element" in str(error) or "no such element" in str(error)
                if not passing or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def click(self, selector: str) -> None:
        """selector: CSS, or XPath that begins with //."""
        self._with(selector, "POST", "click", {})

    def press(self, label: str) -> None:
        """Clicks the button or the link with this text."""
        self.click(f"//*[self::button or self::a][normalize-space()='{label}']")

    def write(self, selector: str, text: str) -> None:
        """Types into a field, in the place of what is there."""
        self._with(selector, "POST", "clear", {})
        self._with(selector, "POST", "value", {"text": text})

    def close(self) -> None:
        self._call("DELETE", "")


@contextmanager
def chromedriver() -> Iterator[str]:
    """Runs chromedriver, and gives its URL. Raises FileNotFoundError if there is none."""
    program = shutil.which("chromedriver")
    if program is None or not (shutil.which("chromium") or shutil.which("google-chrome")):
        raise FileNotFoundError("Chromium and chromedriver are not installed (on Debian: chromium chromium-driver)")
    with subprocess.Popen([program, "--port=0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = next(
                found[1] for line in process.stdout if (found := re.search(r"successfully on port (\d+)", line))
            )
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
