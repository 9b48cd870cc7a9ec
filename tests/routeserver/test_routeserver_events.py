"""What happens is told to who listens: server-sent events, and signed webhooks."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from subprocess import PIPE
from typing import Any, ClassVar

import pytest
from bgplite import BgpLite, bgplite, command
from listserver import serving
from peers import wait_until

from bgpipe.net.http import MAX_LONG_PER_ADDRESS
from bgpipe.routeserver import webhooks
from bgpipe.routeserver.config import Webhook
from bgpipe.routeserver.events import MAX_KEPT, MAX_WAITING, Events
from bgpipe.routeserver.sources.base import SourceError
from bgpipe.routeserver.webhooks import Webhooks
from bgpipe.runtime.log import StderrLog
from bgpipe.tasks import Tasks
from fork_server import Process

SECRET = "a secret of 20 chars"


class Hook(BaseHTTPRequestHandler):
    got: ClassVar[list[tuple[str, str, bytes]]] = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        first = not self.got
        self.got.append((self.path, self.headers[webhooks.SIGNATURE], body))
        self.send_response(503 if first else 204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def hook():
    with serving(Hook) as url:
        yield f"{url}/hook"


@pytest.fixture(scope="module")
def server(tmp_path_factory, hook):
    folder = tmp_path_factory.mktemp("events")
    (folder / "secret").write_text(SECRET.replace(" ", "-") + "\n")
    (folder / "cloud.txt").write_text("1.0.0.0/24\n")
    config = (
        "AllowedNetworks: [127.0.0.0/8]\nPrefixSources:\n  - {Name: cloud, Path: cloud.txt}\n"
        f"Webhooks:\n  - {{Name: chat, Url: '{hook}', Secret: {folder / 'secret'},\n"
        "     Events: [peer.added, peer.deleted]}\n"
        "Tokens:\n  - {Name: own, Role: peer, Token: token-of-one-peer-only, Peer: 127.91.1.1#65001}\n"
        "AnonymousRole: admin\n"
    )
    with bgplite(folder, config) as running:
        wait_until("the list is there", lambda: running.call("GET", "/readyz")[0] == 200)
        yield running


def listen(server: BgpLite, query: str = "", **headers: str) -> Iterator[dict[str, Any]]:
    """The events that come."""
    url = f"http://{server.address[0]}:{server.api_port}/api/events{query}"
    request = urllib.request.Request(url, headers={name.replace("_", "-"): text for name, text in headers.items()})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.readline() == b": bgplite\n"
        yield {}
        fields: dict[str, str] = {}
        while octets := answer.readline():
            line = octets.decode().rstrip("\n")
            name, _, text = line.partition(": ")
            fields[name] = text
            if not line and "data" in fields:
                event = json.loads(fields["data"])
                assert (fields["event"], fields["id"]) == (event["kind"], str(event["id"]))
                yield event
                fields = {}


def add(server: BgpLite, ip: str, asn: int) -> str:
    status, made = server.call("POST", "/api/peers", {"ip": ip, "asn": asn, "lists": ["cloud"]})
    assert status == 200, made
    return made["id"]


def test_events_of_peers_sessions_and_lists(server):
    events = listen(server)
    next(events)
    made = add(server, "127.91.1.2", 65002)
    event = next(events)
    assert (event["kind"], event["peerId"], event["data"]["asn"]) == ("peer.added", made, 65002)
    client = server.client(65002, source="127.91.1.2")
    client.until_complete()
    assert next(events)["kind"] == "session.up"
    server.write("cloud.txt", ["1.0.0.0/24", "1.1.1.0/24"])
    event = next(events)
    assert (event["kind"], event["data"]) == ("list.changed", {"list": "cloud", "prefixes": 2})
    last = event["id"]
    server.call("DELETE", f"/api/peers/{made}")
    assert next(events)["kind"] == "peer.deleted"
    events.close()
    again = listen(server, Last_Event_ID=str(last))
    next(again)
    assert next(again)["kind"] == "peer.deleted"
    again.close()
    again = listen(server, f"?after={last}")
    next(again)
    assert next(again)["kind"] == "peer.deleted"
    again.close()


def test_why_we_have_ended_a_session(server):
    made = add(server, "127.91.1.5", 65005)
    client = server.client(65005, source="127.91.1.5")
    client.until_complete()
    events = listen(server)
    next(events)
    server.call("POST", f"/api/peers/{made}/reset", {})
    event = next(each for each in events if each["kind"] == "session.down")
    why = "an operator has reset this session: it may begin anew"
    assert (event["peerId"], event["data"]["why"]) == (made, why)
    assert server.get(f"/api/peers/{made}/session")["lastEnd"]["why"] == why
    events.close()


@contextmanager
def following(server: BgpLite, *words: str) -> Iterator[Process]:
    """`bgplite events`, which runs."""
    environment = os.environ | {"BGPLITE_API": f"http://{server.address[0]}:{server.api_port}"}
    made = Process(["events", *words], command="bgplite", stdout=PIPE, stderr=PIPE, env=environment)
    assert made.stdout is not None
    assert made.stderr is not None
    with made.stdout, made.stderr:
        yield made
        made.wait(20)


def newest(server: BgpLite) -> int:
    """The number of an event, after which nothing has happened."""
    events = listen(server)
    next(events)
    add(server, "127.91.1.77", 65077)
    number: int = next(events)["id"]
    events.close()
    return number


def test_events_in_the_shell(server):
    after = str(newest(server))
    add(server, "127.91.1.8", 65008)
    server.call("POST", "/api/peers", {"ip": "127.91.1.8", "asn": 65008, "description": "x"})
    done = server.shell("events", "--after", after, "--count", "2")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert re.fullmatch(r'[-\dT:]+Z peer.added 127.91.1.8#65008 status=inactive action="add peer"', first)
    assert " peer.changed 127.91.1.8#65008 " in second
    shown = server.shell("events", "--after", after, "--count", "1", "--kinds", "peer.changed", "--json").stdout
    assert json.loads(shown)["kind"] == "peer.changed"
    done = server.shell("events", "--kinds", "peer.eaten")
    assert (done.returncode, "peer.eaten: there are peer.added," in done.stderr) == (1, True)
    done = command("events", BGPLITE_API="http://127.0.0.1:9")
    assert (done.returncode, "is bgplite running?" in done.stderr) == (1, True)


def test_events_in_the_shell_end_quietly(server):
    after = str(newest(server))
    add(server, "127.91.1.9", 65009)
    with following(server, "--after", after) as interrupted:
        assert b"peer.added" in interrupted.stdout.readline()
        interrupted.send_signal(signal.SIGINT)
        assert (interrupted.wait(20), interrupted.stdout.read(), interrupted.stderr.read()) == (0, b"", b"")
    with following(server, "--after", after) as left:
        assert b"peer.added" in left.stdout.readline()
        left.stdout.close()  # nothing happens that could be written; it ends all the same
        assert (left.wait(20), left.stderr.read()) == (0, b"")


def test_events_in_the_shell_go_on_when_the_server_comes_back(tmp_path):
    with ExitStack() as stack:
        with bgplite(tmp_path) as server:
            shown = stack.enter_context(following(server, "--after", "0"))
            place = server.address, server.api_port
            add_plain(server, "127.91.1.2", 65002)
            assert b"127.91.1.2#65002" in shown.stdout.readline()
            server.stop()
        with bgplite(tmp_path, at=place) as server:
            add_plain(server, "127.91.1.3", 65003)
            assert b"127.91.1.3#65003" in shown.stdout.readline()
            shown.send_signal(signal.SIGINT)
            assert (shown.wait(20), shown.stderr.read()) == (0, b"")


def add_plain(server: BgpLite, ip: str, asn: int) -> None:
    assert server.call("POST", "/api/peers", {"ip": ip, "asn": asn})[0] == 200


def test_a_peer_hears_of_itself_only(server):
    events = listen(server, Authorization="Bearer token-of-one-peer-only")
    with pytest.raises(urllib.error.HTTPError, match="403"):  # there is no such peer yet
        next(events)
    mine = add(server, "127.91.1.1", 65001)
    events = listen(server, Authorization="Bearer token-of-one-peer-only")
    next(events)
    add(server, "127.91.1.3", 65003)
    server.call("PUT", f"/api/peers/{mine}", {"description": "me"})
    event = next(events)
    assert (event["kind"], event["peerId"]) == ("peer.changed", mine)
    events.close()


def test_a_token_that_is_removed_hears_no_more(server):
    _, made = server.call("POST", "/api/tokens", {"name": "short", "role": "reader"})
    events = listen(server, Authorization=f"Bearer {made['token']}")
    next(events)
    add(server, "127.91.1.7", 65007)
    assert next(events)["kind"] == "peer.added"
    server.call("DELETE", "/api/tokens/short")
    add(server, "127.91.1.8", 65008)
    assert list(events) == []


def test_listeners_are_bounded_and_keep_nobody_else_out(server):
    listeners = [listen(server) for _ in range(MAX_LONG_PER_ADDRESS)]
    for each in listeners:
        next(each)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        next(listen(server))
    for _ in range(20):
        assert server.call("GET", "/api/my-ip")[0] == 200
    listeners.pop().close()

    def room() -> bool:
        try:
            next(each := listen(server))
        except urllib.error.HTTPError:
            return False
        each.close()
        return True

    wait_until("there is room for one more", room)
    for each in listeners:
        each.close()


def test_webhooks_are_signed_and_sent_again(server):
    made = add(server, "127.91.1.4", 65004)
    server.call("DELETE", f"/api/peers/{made}")

    def about() -> list[dict[str, Any]]:
        return [event for *_, body in Hook.got if (event := json.loads(body))["peerId"] == made]

    wait_until("both were delivered", lambda: {each["kind"] for each in about()} >= {"peer.added", "peer.deleted"})
    for path, signature, body in Hook.got:
        assert path == "/hook"
        key = SECRET.replace(" ", "-").encode()
        assert signature == "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
        assert json.loads(body)["kind"] in ("peer.added", "peer.deleted")
    first = json.loads(Hook.got[0][2])["id"]
    assert [json.loads(body)["id"] for *_, body in Hook.got].count(first) >= 2  # the first answer was 503
    assert SECRET.replace(" ", "-") not in server.log


async def test_an_event_is_tried_a_number_of_times_and_then_left_out(monkeypatch):
    monkeypatch.setattr(webhooks, "WAITS", (0.0, 0.0))
    tried: list[str] = []

    class Broken:
        async def post(self, url, body, headers, timeout):
            kind = headers["X-Bgplite-Event"]
            tried.append(kind)
            raise SourceError("no", temporary=kind == "session.up")

    events, log = Events(), StderrLog("error")
    tasks = Tasks()
    hooks = Webhooks(events, Broken(), log)
    hooks.start(tasks, [Webhook(name="a", url="https://hooks.example/", secret="x" * 16)])
    await _turns(lambda: bool(events._listeners))
    events.tell("session.up")
    events.tell("session.down")
    await _turns(lambda: hooks.dropped == 2)
    assert tried == ["session.up"] * 3 + ["session.down"]
    hooks.configure([])
    await tasks.close()


async def _turns(happened) -> None:
    for _ in range(10_000):
        if happened():
            return
        await asyncio.sleep(0)
    raise AssertionError("it has not happened")


async def test_a_slow_listener_loses_the_oldest_and_is_told():
    events = Events()
    listener = events.listen()
    for _ in range(MAX_WAITING + 5):
        events.tell("session.up")
    first = await listener.next()
    assert first.missed == 5
    assert (await listener.next()).missed == 0
    assert (await listener.next()).id == first.id + 2
    assert len(events._kept) == MAX_KEPT
