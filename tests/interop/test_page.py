"""The pages of the route server in a browser, with scripts and without, in both languages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent.parent / folder) for folder in ("routeserver", "live")]

from bgplite import BgpLite, bgplite  # noqa: E402
from browser import Browser, chromedriver  # noqa: E402
from daemons import wait_until  # noqa: E402
from processes import REQUIRED  # noqa: E402

pytestmark = pytest.mark.interop
LISTS = """\
DefaultPrefixSource: base
PrefixSources:
  - {Name: base, Path: base.txt, Description: for all}
  - {Name: cloud, Path: cloud.txt, Community: 65000:300}
"""


@pytest.fixture(scope="module")
def driver() -> Iterator[str]:
    try:
        with chromedriver() as url:
            yield url
    except FileNotFoundError as error:
        if REQUIRED:
            raise
        pytest.skip(str(error))


@pytest.fixture
def server(tmp_path) -> Iterator[BgpLite]:
    (tmp_path / "base.txt").write_text("10.64.0.0/16\n")
    (tmp_path / "cloud.txt").write_text("11.1.0.0/24\n11.2.0.0/24\n2606:4700::/32\n")
    with bgplite(tmp_path, LISTS, bgp="  UnknownPeers: pending\n") as running:
        wait_until("the lists are read", lambda: running.call("GET", "/readyz")[0] == 200)
        yield running


def browser(driver: str, *, scripts: bool = True, language: str = "en") -> Browser:
    return Browser(driver, scripts=scripts, language=language)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_peer_subscribes(driver: str, server: BgpLite, scripts: bool) -> None:
    page = browser(driver, scripts=scripts)
    try:
        page.open(f"http://{server.address[0]}:{server.api_port}/")
        page.write("input[name=asn]", "65003")
        page.press("Add")
        page.until("AS65003")
        page.click("input[value=cloud]")
        page.write("textarea[name=custom_prefixes]", "203.0.113.0/24")
        page.write("textarea[name=exclude]", "11.2.0.0/24")
        page.press("Show what would change")
        page.until("3 would be announced: 3 would come, 1 would go")
        assert server.get("/api/me")["peers"][0]["lists"] == []  # nothing is stored yet
        page.press("Save")
        page.until("Stored")
        stored = server.get("/api/me")["peers"][0]
        assert (stored["lists"], stored["customPrefixes"], stored["exclude"]) == (
            ["cloud"],
            ["203.0.113.0/24"],
            ["11.2.0.0/24"],
        )
        page.click("form details summary")
        page.write("input[name=max_routes]", "20")
        page.press("Save")
        wait_until("the limit is stored", lambda: server.get("/api/me")["peers"][0]["maxRoutes"] == 20)
        page.until("Stored")
        page.write("textarea[name=custom_prefixes]", "nonsense")
        page.press("Save")
        page.until("nonsense")
        assert server.get("/api/me")["peers"][0]["customPrefixes"] == ["203.0.113.0/24"]
    finally:
        page.close()


def test_an_operator_approves(driver: str, server: BgpLite) -> None:
    client = server.client(65077)
    server.waits_for_log("connected")
    page = browser(driver)
    try:
        page.open(f"http://{server.address[0]}:{server.api_port}/")
        page.until("pending")
        page.press("Approve")
        wait_until("the peer's own page", lambda: "/peers/" in page.url)
        client.until("its routes", lambda: "10.64.0.0/16" in client.routes)
        page.open(f"http://{server.address[0]}:{server.api_port}/search?target=11.1.0.9")
        page.until("11.1.0.0/24")
    finally:
        page.close()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_an_operator_refuses(driver: str, server: BgpLite, scripts: bool) -> None:
    server.client(65076)
    server.waits_for_log("connected")
    page = browser(driver, scripts=scripts, language="ru-RU,ru")
    try:
        page.open(f"http://{server.address[0]}:{server.api_port}/")
        page.until("ждёт одобрения")
        page.press("Отклонить")
        page.until("Пир заблокирован")
        assert server.get("/api/peers")[0]["status"] == "barred"
        page.press("Одобрить")
        wait_until("it is let in", lambda: server.get("/api/peers")[0]["status"] == "inactive")
    finally:
        page.close()


def test_what_changes_is_shown_without_a_reload(driver: str, server: BgpLite) -> None:
    page = browser(driver)
    try:
        page.open(f"http://{server.address[0]}:{server.api_port}/")
        assert "65078" not in page.text
        server.client(65078)
        page.until("65078")
    finally:
        page.close()


def test_in_russian(driver: str, server: BgpLite) -> None:
    page = browser(driver, language="ru-RU,ru")
    try:
        page.open(f"http://{server.address[0]}:{server.api_port}/")
        page.until("Сервер маршрутов")
        page.press("English")
        page.until("Route server")
        page.open(f"http://{server.address[0]}:{server.api_port}/search")
        page.until("Search")  # the choice is kept
    finally:
        page.close()
