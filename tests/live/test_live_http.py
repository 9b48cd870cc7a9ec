"""What can be seen of live sessions over HTTP, and that looking harms none of them."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress

import pytest
from peers import (
    ALIVE,
    Peer,
    Router,
    StatusServer,
    announcement,
    bgpipe,
    greeting,
    notification,
    place,
    sentinel,
    updates,
    wait_until,
    watched,
)
from yardstick import Yardstick

from bgpipe.wire.message import NOTIFICATION, UPDATE, Message
from bgpipe.wire.notification import Notification

BROKEN = Message(UPDATE, bytes.fromhex("000000044001010718cb0071")).octets
"""ORIGIN 7, for 203.0.113.0/24."""


def talk(left: Peer, right: Peer, *messages: bytes, number: int = 0) -> None:
    left.say(*messages, sentinel(number))
    right.hear_until(sentinel(number))


def test_a_full_disk_ends_no_session():
    """Routers go on without their archive; who looks sees it, and the exit code says it."""
    with watched("write", "--format", "json", "/dev/full") as (running, router, server):
        left, right = running.session(router)
        running.waits_for_log("the output has failed: it misses messages .*no space left on the device")
        talk(left, right, *updates(1000), number=1)
        talk(right, left, sentinel(2), number=3)
        health = server.json("hc")
        assert health["status"] == "degraded"
        assert health["trouble"] == ["[2] write: the output has failed"]
        talk(*running.session(router), number=4)
        running.signal()
        for peer in running.peers + router.peers:
            peer.close()
        assert running.wait() == 1
        assert "bgpipe: /dev/full: no space left on the device" in running.log


def test_a_session_from_its_beginning_to_its_end():
    with watched("drop", "prefix ~ 203.0.113.0/24", many=False, options=("-e", "all")) as (running, router, server):
        running.waits_for_log("listening on")
        assert server.get("livez") == (200, "ok\n")
        assert server.get("readyz") == (503, "[1] listen is not up\n")
        assert server.json("sessions")["sessions"][0]["state"] == "connecting"
        left = running.dial()
        left.say(greeting(), ALIVE)
        right = router.accept()
        running.waits_for_log("event connect/START")
        assert server.get("readyz") == (503, "the session is not established\n")
        assert server.json("sessions")["sessions"][0]["state"] == "connected"
        right.say(greeting(65002), ALIVE)
        running.waits_for_log("event bgpfix/pipe.ESTABLISHED")
        assert server.get("readyz") == (200, "ok\n")
        talk(left, right, announcement("203.0.113.0/24"), announcement("198.51.100.0/24"), BROKEN)
        (session,) = server.json("sessions")["sessions"]
        assert session["state"] == "established"
        assert session["malformed"] == 1
        assert session["stages"]["drop"] == {"filter": "prefix ~ 203.0.113.0/24", "dropped": 2}
        at_left, at_right = session["left"], session["right"]
        assert at_left["peer"] == {"asn": 65001, "id": "192.0.2.1", "hold": 90}
        assert at_right["peer"]["asn"] == 65002
        assert at_left["received"] == {"OPEN": 1, "UPDATE": 4, "KEEPALIVE": 1}
        assert at_right["sent"] == {"OPEN": 1, "UPDATE": 2, "KEEPALIVE": 1}
        assert at_right["received"] == at_left["sent"] == {"OPEN": 1, "KEEPALIVE": 1}
        assert at_left["capabilities"]["MP"] == ["IPV4/UNICAST", "IPV6/UNICAST"]
        assert at_left["remote"] == f"127.0.0.1:{left.socket.getsockname()[1]}"
        assert at_right["sent_bytes"] == len(right.seen)
        assert at_left["queue_bytes"] == 0
        assert server.json("stage/listen/")["received_bytes"] == at_left["received_bytes"]
        status, page = server.get("")
        assert status == 200
        assert "ready" in page
        assert "AS65001" in page
        assert server.json("hc")["stages"] == 3


def test_metrics_are_what_was_sent():
    """Numbers of two sessions, of which one has ended, against what the peers know."""
    many = updates(2000)
    with watched() as (running, router, server):
        one, other = running.session(router), running.session(router)
        talk(*one, *many)
        talk(*other, *many, ALIVE)
        talk(other[1], other[0], announcement("203.0.113.0/24"))
        one[0].say(Message(NOTIFICATION, Notification.shutdown().encode()).octets)
        one[0].close()
        one[1].hear_end()
        running.waits_for_log("session ended")
        total = 2 * (len(many) + 1)
        for way, side in (("received", "left"), ("sent", "right")):
            name = f'bgpipe_messages_{way}_total{{side="{side}"'
            assert server.number(f'{name},type="update"}}') == total
            assert server.number(f'{name},type="keepalive"}}') == 3
            assert server.number(f'{name},type="open"}}') == 2
            assert server.number(f'{name},type="notify"}}') == 1
        assert server.number('bgpipe_messages_sent_total{side="left",type="update"}') == 2
        assert server.number('bgpipe_sent_bytes_total{side="right"}') == len(one[1].seen) + len(other[1].seen)
        assert server.number('bgpipe_sent_bytes_total{side="left"}') == len(one[0].seen) + len(other[0].seen)
        assert server.number('bgpipe_line_left_total{dir="right"}') == total + 3 + 2 + 1
        assert server.number('bgpipe_sessions{state="established"}') == 1
        assert server.number("bgpipe_sessions_started_total") == 2
        assert server.number('bgpipe_sessions_ended_total{reason="notification"}') == 1
        for peer in (f'side="right",peer="{router.host}",asn="65002"', 'side="left",peer="127.0.0.1",asn="65001"'):
            assert server.number(f"bgpipe_session_up{{{peer}}}") == 1
            assert server.number(f'bgpipe_session_last_end{{{peer},reason="notification"}}') == 1
        assert server.number('bgpipe_events_total{event="bgpfix/pipe.ESTABLISHED"}') == 2
        assert server.number('bgpipe_latency_seconds_count{side="left"}') >= 6
        assert 0 < server.number('bgpipe_latency_seconds_sum{side="left"}') < 10
        assert server.number("bgpipe_ready") == 1
        sessions = server.json("sessions")
        assert [session["session"] for session in sessions["sessions"]] == [2]
        assert "Cease/Administrative Shutdown" in sessions["ended"][0]["reason"]
        assert server.json("stage/connect/")["sessions"].keys() == {"2"}


REASONS = {
    "closed": lambda left, right: left.close(),
    "reset": lambda left, right: right.reset(),
    "notification": lambda left, right: (right.say(Message(NOTIFICATION, b"\6\4").octets), right.close()),
    "refused": lambda left, right: left.say(bytes(19)),
    "killed": lambda left, right: left.say(
        Message(UPDATE, bytes(4)).octets, Message(UPDATE, bytes.fromhex("00000006800f03000201")).octets
    ),
}


@pytest.mark.parametrize("reason", REASONS)
def test_why_sessions_end(reason):
    with watched(options=("--kill", "EOR")) as (running, router, server):
        left, right = running.session(router)
        talk(left, right)
        REASONS[reason](left, right)
        running.waits_for_log("session ended")
        assert server.number(f'bgpipe_sessions_ended_total{{reason="{reason}"}}') == 1
        assert server.json("sessions")["ended"][0]["session"] == 1
        left, right = running.session(router)  # and the next one is not harmed
        talk(left, right, number=1)


def test_no_open_is_a_timeout():
    router = Router()
    host, port = place()
    seen = place()
    words = ("--http", "%s:%d" % seen, "--http-open", "listen", "--many", "--open-timeout", "100ms", f"{host}:{port}")
    try:
        with bgpipe(*words, "--", "connect", "-W", "listen", router.address) as running:
            assert [notification(each) for each in running.dial().hear_end()] == [(4, 0)]
            running.waits_for_log("no OPEN within 0.1 s")
            server = StatusServer("%s:%d" % seen)
            assert server.number('bgpipe_connections_refused_total{reason="timeout"}') == 1
            assert server.number("bgpipe_connections_waiting") == 0
            assert server.number("bgpipe_sessions_started_total") == 0, "a connection without an OPEN is no session"
    finally:
        router.close()


SPEAKER = {
    "timeout": b"",
    "notification": Message(NOTIFICATION, b"\6\4").octets,
    "refused": bytes(19),
}


@pytest.mark.parametrize("reason", SPEAKER)
def test_a_speaker(reason):
    """A session of our own, with its state; it ends as others do."""
    host, port = place()
    seen = "%s:%d" % place()
    words = ("--http", seen, "--http-open", "-e", "ESTABLISHED", "speaker", "--asn", "65002", "--hold", "3")
    with bgpipe(*words, "--", "listen", "--many", f"{host}:{port}") as running:
        peer = running.dial()
        peer.say(greeting(hold_time=3), ALIVE)
        running.waits_for_log("event bgpfix/pipe.ESTABLISHED")
        server = StatusServer(seen)
        assert server.get("readyz") == (200, "ok\n")
        (session,) = server.json("sessions")["sessions"]
        assert session["state"] == "established"
        assert session["stages"]["speaker"]["state"] == "Established"
        assert session["stages"]["speaker"]["hold"] == 3
        assert session["right"]["peer"]["asn"] == 65001
        peer.say(SPEAKER[reason])
        peer.hear_end()
        running.waits_for_log("session ended")
        assert server.number(f'bgpipe_sessions_ended_total{{reason="{reason}"}}') == 1


def test_a_slow_peer_can_be_seen():
    octets = b"".join(updates(20_000))
    with watched(options=("-e", "SLOW"), buffer=4096) as (running, router, server):
        left, right = running.session(router)
        threading.Thread(target=push, args=(left.socket, octets), daemon=True).start()
        running.waits_for_log("event bgpfix/pipe.SLOW")
        (session,) = server.json("sessions")["sessions"]
        assert session["right"]["queue_bytes"] > 1 << 20
        assert server.number('bgpipe_queue_bytes{side="right"}') > 1 << 20
        assert server.number('bgpipe_line_held{dir="right"}') == 1
        right.reset()
        running.waits_for_log("session ended")
        assert server.number('bgpipe_queue_bytes{side="right"}') == 0


def push(to: socket.socket, octets: bytes) -> None:
    try:
        while True:
            to.sendall(octets)
    except OSError:
        pass


def test_credentials():
    router = Router()
    host, port = place()
    seen = "%s:%d" % place()
    try:
        with bgpipe(
            "--http",
            seen,
            "--http-auth",
            "ops:k-e-y",
            "listen",
            f"{host}:{port}",
            "--",
            "connect",
            "-W",
            "listen",
            "--md5",
            "k-e-y",
            router.address,
        ) as running:
            running.waits_for_log("http on")
            for path in ("", "hc", "livez", "readyz", "metrics", "sessions", "stage/listen/", "nothing"):
                assert StatusServer(seen).get(path) == (401, "unauthorized\n")
            request = urllib.request.Request(f"http://{seen}/", headers={"Authorization": "Basic b3BzOmstZS15"})
            with urllib.request.urlopen(request, timeout=10) as answer:
                page = answer.read().decode()
            assert "--md5 ***" in page
            assert "k-e-y" not in page + running.log
    finally:
        router.close()


def test_an_address_that_is_taken():
    with socket.create_server(place()) as taken:
        address = "%s:%d" % taken.getsockname()
        with bgpipe("--http", address, "--http-open", "listen", "127.85.0.2:18599", fails=True) as running:
            assert running.wait() == 1
            assert f"bgpipe: --http: can't listen on {address}: Address already in use\n" in running.log


def test_not_ready_once_it_stops():
    """From the signal on, while a peer still takes what waits for it."""
    octets = b"".join(updates(20_000))
    router = Router(4096)
    host, port = place()
    seen = "%s:%d" % place()
    words = ("--http", seen, "--http-open", "-e", "SLOW", "listen", f"{host}:{port}")
    try:
        with bgpipe(*words, "--", "connect", "--closed-timeout", "1h", "-W", "listen", router.address) as running:
            left, _ = running.session(router)
            assert StatusServer(seen).get("readyz") == (200, "ok\n")
            threading.Thread(target=push, args=(left.socket, octets), daemon=True).start()
            running.waits_for_log("event bgpfix/pipe.SLOW")
            running.signal()
            running.waits_for_log("signal received")
            assert StatusServer(seen).get("readyz") == (503, "stopping\n")
            assert running.wait(5) == 0
    finally:
        router.close()


ABUSE = {
    "slow heads": lambda number: b"GET / HTTP/1.1\r\nX-%d" % number,
    "long heads": lambda number: b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000,
    "many headers": lambda number: b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000,
    "no HTTP": lambda number: ALIVE * 100,
    "long bodies": lambda number: b"GET /metrics HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n" + bytes(200_000),
}


@pytest.mark.parametrize("what", ABUSE)
def test_sessions_do_not_notice_abuse(what):
    """500 of them, with UPDATEs meanwhile: the session goes on as it was, and memory is bounded."""
    with Yardstick() as yardstick, watched() as (running, router, server):
        left, right = running.session(router)
        talk(left, right, *updates(500))
        before = running.resident
        host, _, port = server.address.rpartition(":")
        abusers = []
        slowest = 0.0
        try:
            for number in range(500):
                abuser = socket.create_connection((host, int(port)))
                abuser.setblocking(False)
                abusers.append(abuser)
                with suppress(OSError):
                    abuser.send(ABUSE[what](number))
                if number % 10 == 0:
                    begun = time.monotonic()
                    talk(left, right, announcement("203.0.113.0/24"), number=number)
                    slowest = max(slowest, time.monotonic() - begun)
                    yardstick.measure(1)
            assert yardstick.allows(slowest, 0.5)
            assert running.resident - before < 50 << 20
        finally:
            for abuser in abusers:
                abuser.close()
        wait_until("it answers again", lambda: answers(server))
        talk(left, right, number=9999)


def answers(server: StatusServer) -> bool:
    try:
        return server.get("livez")[0] == 200
    except OSError:
        return False
