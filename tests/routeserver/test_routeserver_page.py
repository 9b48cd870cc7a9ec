"""The pages as a browser without scripts has them: who sees what, forms, and what other sites can't do."""

from __future__ import annotations

import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import pytest
from bgplite import BgpLite, bgplite
from peers import kind, wait_until

from bgpipe.routeserver.page.pages import PAGES
from bgpipe.routeserver.snippets import KINDS
from bgpipe.wire.message import NOTIFICATION

OPERATOR, READER = "an-operator-for-tests", "a-reader-for-tests"
CONFIG = f"""\
DefaultPrefixSource: base
TrustedProxies: [127.0.0.0/8]
PeersByAddress: true
PrefixSources:
  - {{Name: base, Path: base.txt, Description: <b>for all</b>}}
  - {{Name: cloud, Path: cloud.txt}}
Tokens:
  - {{Name: operator, Role: operator, Token: {OPERATOR}}}
  - {{Name: reader, Role: reader, Token: {READER}}}
Peers:
  - {{Address: 127.99.8.1, RemoteAsn: 65008, Lists: [cloud], Md5Password: planted-key}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[BgpLite]:
    with serving(tmp_path_factory.mktemp("page")) as running:
        yield running


@contextmanager
def serving(folder: Path) -> Iterator[BgpLite]:
    (folder / "base.txt").write_text("10.64.0.0/16\n")
    (folder / "cloud.txt").write_text("11.1.0.0/24\n11.2.0.0/24\n")
    with bgplite(folder, CONFIG, bgp="  UnknownPeers: pending\n") as running:
        wait_until("the lists are read", lambda: running.call("GET", "/readyz")[0] == 200)
        yield running


class Visitor:
    """A browser without scripts at an address, as a trusted proxy tells it."""

    def __init__(self, server: BgpLite, address: str) -> None:
        self.address = address
        self.url = f"http://{server.address[0]}:{server.api_port}"
        self.cookies = CookieJar(DefaultCookiePolicy(allowed_domains=None))
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self.text = ""
        self.place = ""
        self.headers: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> int:
        return self._open(urllib.request.Request(self.url + path, headers=self._headers(headers)))

    def post(self, path: str, *, mark: str | None = None, **fields: str | list[str]) -> int:
        """Sends a form with the mark of the page that is shown, or with another one."""
        found = re.search('name="mark" value="(.*?)"', self.text)
        known = (found[1] if found else "") if mark is None else mark
        data = urllib.parse.urlencode({"mark": known} | fields, doseq=True).encode()
        return self._open(urllib.request.Request(self.url + path, data, self._headers({})))

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        return {"X-Forwarded-For": self.address} | more

    def _open(self, request: urllib.request.Request) -> int:
        try:
            with self._opener.open(request, timeout=20) as answer:
                return self._take(answer.status, answer)
        except urllib.error.HTTPError as error:
            return self._take(error.code, error)

    def _take(self, status: int, answer) -> int:
        self.text, self.headers = answer.read().decode(), dict(answer.headers)
        self.place = urllib.parse.urlsplit(answer.url).path
        return status


def operator(server: BgpLite, token: str = OPERATOR) -> Visitor:
    visitor = Visitor(server, "127.99.9.9")
    assert visitor.get("/") == 200
    assert visitor.post("/login", token=token) == 200
    return visitor


def test_who_has_no_peer_and_no_token_sees_nothing(server):
    visitor = Visitor(server, "127.99.7.1")
    assert visitor.get("/") == 200
    assert "No peer is known at your address" in visitor.text
    assert "cloud" not in visitor.text
    assert "127.99.8.1" not in visitor.text
    assert visitor.get("/search?target=11.1.0.1") == 401
    assert "A token is needed" in visitor.text or "a token is needed" in visitor.text


def test_a_peer_on_its_own_page(server):
    visitor = Visitor(server, "127.99.7.2")
    visitor.get("/")
    assert visitor.post("/peers", asn="65072") == 200
    assert "The peer waits for approval" in visitor.text
    place = visitor.place
    assert visitor.post(place, action="preview", lists=["cloud"], exclude="11.2.0.0/24", description="<script>") == 200
    assert "11.1.0.0/24" in visitor.text  # what it would have once it is approved
    assert 'value="cloud" checked' in visitor.text
    assert "<script>" not in visitor.text.replace("<script src", "")
    assert visitor.post(place, action="save", lists=["cloud"], exclude="11.2.0.0/24", description="<script>") == 200
    assert "Stored" in visitor.text
    assert "&lt;script&gt;" in visitor.text
    assert "&lt;b&gt;for all&lt;/b&gt;" in visitor.text
    assert visitor.get(f"{place}?router=mikrotik&gateway=10.0.0.1") == 200
    assert "set gw 10.0.0.1" in visitor.text
    assert visitor.get(f"{place}?router=mikrotik&gateway=%22;") == 400
    assert visitor.post(f"{place}/approve") == 401  # that is for an operator
    other = Visitor(server, "127.99.7.3")
    assert other.get(place) == 404
    assert other.post(place, lists=["base"]) == 404


def test_what_is_wrong_in_a_form_is_told_and_kept(server):
    visitor = operator(server)
    visitor.post("/peers", ip="127.99.7.4", asn="65074")
    place = visitor.place
    status = visitor.post(place, action="save", lists=["cloud"], custom_prefixes="192.0.2.0/24\n192.0.2.300")
    assert status == 400
    assert "192.0.2.300" in visitor.text
    assert 'value="cloud" checked' in visitor.text  # what was typed is not lost
    visitor.get(place)
    assert 'value="cloud" checked' not in visitor.text
    assert visitor.post("/peers", ip="127.99.7.4", asn="many") == 400
    assert visitor.post("/peers", ip="224.0.0.1", asn="65074") == 400


def test_a_preview_changes_nothing(server):
    visitor = operator(server)
    visitor.post("/peers", ip="127.99.7.5", asn="65075")
    place = visitor.place
    assert visitor.post(place, action="preview", lists=["cloud"], custom_prefixes="203.0.113.0/24") == 200
    assert "3 would be announced: 3 would come, 1 would go" in visitor.text
    assert "203.0.113.0/24" in visitor.text
    visitor.get(place)
    assert "203.0.113.0/24" not in visitor.text


def test_limits_and_what_is_said_of_a_prefix_stay_in_the_form(server):
    visitor = operator(server)
    visitor.post("/peers", ip="127.99.7.6", asn="65076")
    place = visitor.place
    entry = "203.0.113.0/24 community=65000:7 expires=2036-01-01T00:00:00Z"
    limits = {"max_routes": "20", "max_length_ipv4": "28", "union": "no", "max_routes_action": ""}
    assert visitor.post(place, action="save", custom_prefixes=entry, **limits) == 200
    assert entry in visitor.text
    assert 'name="max_routes" value="20"' in visitor.text
    assert '<option value="no" selected>' in visitor.text
    id = place.rpartition("/")[2]
    token = {"Authorization": f"Bearer {OPERATOR}"}
    peer = server.call("GET", f"/api/peers/{id}", **token)[1]
    assert (peer["maxRoutes"], peer["maxLengthIpv4"], peer["union"], peer["maxRoutesAction"]) == (20, 28, False, None)
    assert peer["customPrefixes"][0]["communities"] == ["65000:7"]
    assert visitor.post(place, action="save", custom_prefixes=entry, **dict.fromkeys(limits, "")) == 200
    assert 'name="max_routes" value=""' in visitor.text
    peer = server.call("GET", f"/api/peers/{id}", **token)[1]
    assert (peer["maxRoutes"], peer["maxLengthIpv4"], peer["union"]) == (None, None, None)
    assert visitor.post(place, action="save", max_routes="many") == 400
    assert "a number is expected" in visitor.text


def test_a_network_and_a_peer_in_it(server):
    token = {"Authorization": f"Bearer {OPERATOR}"}
    made = server.call("POST", "/api/peers", {"ip": "127.98.0.0/16", "asn": 0, "lists": ["cloud"]}, **token)[1]
    client = server.client(65003, source="127.98.1.1")
    client.until_complete()
    visitor = operator(server)
    assert "127.98.0.0/16</a></td><td>any</td>" in visitor.text
    visitor.get(f"/peers/{made['id']}")
    assert "This network stands for all other peers in it" in visitor.text
    assert "Configuration for your router" not in visitor.text
    assert visitor.post(visitor.place, action="save", lists=["base"]) == 200
    client.until("the other list", lambda: client.routes.keys() == {"10.64.0.0/16"})
    (peer,) = server.call("GET", "/api/peers?ip=127.98.1.1", **token)[1]
    visitor.get(f"/peers/{peer['id']}")
    assert f'is changed there: <a href="/peers/{made["id"]}">127.98.0.0/16</a>' in visitor.text
    assert "<fieldset disabled>" in visitor.text
    assert visitor.post(f"/peers/{made['id']}/delete") == 200


def test_an_operator_sees_all_and_a_reader_changes_nothing(server):
    visitor = operator(server)
    assert "127.99.8.1" in visitor.text
    assert "planted-key" not in visitor.text
    assert visitor.post("/lists/cloud/refresh") == 200
    assert visitor.post("/lists/nothing/refresh") == 404
    reader = operator(server, READER)
    assert "127.99.8.1" in reader.text
    assert reader.post("/lists/cloud/refresh") == 403
    assert reader.get("/search?target=11.1.0.77") == 200
    assert "11.1.0.0/24" in reader.text
    assert reader.get("/search?target=nonsense") == 400
    assert reader.get("/search") == 200
    reader.get("/")
    assert reader.post("/logout") == 200
    assert "127.99.8.1" not in reader.text


def test_an_operator_refuses_a_peer_and_lets_it_in_after_all(server):
    client = server.client(65090, source="127.99.8.90")
    boss = operator(server)
    wait_until("it waits for approval", lambda: boss.get("/") and "127.99.8.90" in boss.text)
    peer = next(each for each in page_peers(server) if each["ip"] == "127.99.8.90")
    assert boss.get(f"/peers/{peer['id']}") == 200
    assert "The peer waits for approval" in boss.text
    assert boss.post(f"/peers/{peer['id']}/bar") == 200
    assert "The peer is barred" in boss.text
    while kind(client.hear()) != NOTIFICATION:
        pass
    again = server.client(65090, source="127.99.8.90")
    assert kind(again.last) == NOTIFICATION
    assert boss.post(f"/peers/{peer['id']}/approve") == 200
    assert "barred" not in boss.text
    server.client(65090, source="127.99.8.90").until_complete()


def page_peers(server: BgpLite) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.call("GET", "/api/peers", Authorization=f"Bearer {OPERATOR}")[1]
    return found


def test_a_wrong_token(server):
    visitor = Visitor(server, "127.99.9.8")
    visitor.get("/")
    assert visitor.post("/login", token="nonsense") == 403
    assert not list(visitor.cookies)


def test_a_token_in_a_cookie_is_kept_from_scripts_and_from_other_sites(server):
    visitor = operator(server)
    cookie = next(iter(visitor.cookies))
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "Strict"
    # the API takes it for questions, so that links work, and not for changes, which another site might send
    assert visitor.get("/api/peers") == 200
    request = urllib.request.Request(
        f"{visitor.url}/api/peers", b'{"ip":"127.99.7.9","asn":65079}', {"Content-Type": "application/json"}
    )
    assert visitor._open(request) in (401, 403)


@pytest.mark.parametrize("page", [each for each in PAGES if each.changes], ids=lambda each: each.path)
def test_a_form_that_was_not_made_here(server, page):
    visitor = operator(server)
    peer = next(each for each in (server.call("GET", "/api/peers", Authorization=f"Bearer {READER}")[1]))
    path = page.path.replace("{id}", peer["id"]).replace("{name}", "cloud")
    for mark in ("", "0" * 64, "\u00e4"):
        assert visitor.post(path, mark=mark, token=OPERATOR, asn="65001") == 403
        assert "was not made here" in visitor.text


def test_headers(server):
    visitor = Visitor(server, "127.99.7.1")
    visitor.get("/")
    policy = visitor.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert visitor.headers["Cache-Control"] == "no-store"
    assert "style=" not in visitor.text  # which that policy would not let through
    assert visitor.get("/static/style.css") == 200
    assert visitor.get("/static/events.js") == 200
    assert visitor.get("/static/pages.py") == 404
    assert visitor.get("/static/..%2fpages.py") == 404


def test_in_russian(server):
    visitor = Visitor(server, "127.99.7.1")
    visitor.get("/", **{"Accept-Language": "ru-RU"})
    assert "Сервер маршрутов" in visitor.text
    assert '<html lang="ru">' in visitor.text
    visitor.get("/?lang=en", **{"Accept-Language": "ru-RU"})
    assert "Route server" in visitor.text
    visitor.get("/search", **{"Accept-Language": "ru-RU"})
    assert '<html lang="en">' in visitor.text  # the choice is kept


WORDS = """
    API AS Description English Established IP IPv4 IPv6 MED MaxForeign MaxRoutes active admin all base bgplite cloud
    communities community customAsns customPrefixes description exclude expires export file for gt hold http lists lt
    maxRoutes med minLengthIpv4 no nonsense operator peer prepends quot reader rt self set union widen yes
"""
NAMES = frozenset((*WORDS.split(), *KINDS))
"""What is not translated: names, words of configurations and of protocols, and what the test itself has written."""


def test_no_english_on_a_page_in_russian(tmp_path):
    with serving(tmp_path) as server:  # on which nobody else has written something
        found = words_in_russian(server)
    assert {word for word in found if not re.fullmatch("AS[0-9]+", word)} - NAMES == set()


def words_in_russian(server: BgpLite) -> set[str]:
    """The words in Latin letters on all pages in Russian, and on those that refuse something."""
    russian = {"Accept-Language": "ru-RU"}
    stranger = Visitor(server, "127.99.6.9")
    boss = operator(server)
    shown: list[str] = []

    def look(visitor: Visitor) -> None:
        text = re.sub("<style.*?</style>|<script.*?</script>|<textarea.*?</textarea>|<pre.*?</pre>", "", visitor.text)
        shown.append(re.sub("<[^>]*>", " ", re.sub("<[^>]* lang=.en.*?</a>", "", text)))

    for path in ("/", "/search", "/peers/nobody"):
        stranger.get(path, **russian)
        look(stranger)
    boss.get("/", **russian)
    look(boss)
    boss.get("/?lang=ru")
    boss.post("/peers", ip="127.99.6.10", asn="65061")
    look(boss)
    for fields in (
        {"exclude": "1.2.3.0/33"}, {"exclude": "0.0.0.0/0"}, {"custom_prefixes": "nonsense"}, {"custom_asns": "x"},
        {"custom_asns": "0"}, {"max_routes": "x"}, {"min_length_ipv4": "99"}, {"communities": "x"},
        {"lists": "nonsense"}, {"action": "preview", "lists": "cloud"}, {"description": 600 * "7"}, {"union": "7"},
    ):  # fmt: skip
        boss.post(boss.place, **fields)
        look(boss)
    boss.get(f"{boss.place}?router=nonsense")
    look(boss)
    server.client(65062, source="127.99.6.11")
    wait_until("it waits for approval", lambda: "127.99.6.11" in str(boss.get("/")) + boss.text)
    look(boss)
    for target in ("11.1.0.9", "203.0.113.1", "nonsense"):
        boss.get(f"/search?target={target}")
        look(boss)
    return {word for text in shown for word in re.findall(r"[A-Za-z]{2,}[A-Za-z0-9]*", text)}
