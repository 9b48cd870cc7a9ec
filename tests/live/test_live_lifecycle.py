"""The ends of live sessions: what signals do, and what the log says."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import pytest
from peers import (
    ALIVE,
    Bgpipe,
    Router,
    announcement,
    bgpipe,
    notification,
    place,
    proxy,
    push,
    sentinel,
    updates,
)

from bgpipe.wire.message import NOTIFICATION, Message
from bgpipe.wire.notification import Notification

CEASE_SHUTDOWN = (6, 2)


# signals

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("many", [False, True])
def test_a_signal_tells_both_peers_and_drains(number, many, tmp_path):
    """Cease/Administrative Shutdown to both sides after all that was on its way; outputs are whole; exit code 0."""
    path = tmp_path / "all.json"
    with proxy("write", "-LR", str(path), many=many) as (running, router):
        left, right = running.session(router)
        messages = updates(3000)
        left.say(*messages, sentinel())
        heard = right.hear_until(sentinel())
        assert b"".join(heard) == b"".join(messages)
        begun = time.monotonic()
        running.signal(number)
        for peer in (left, right):
            (last,) = peer.hear_end()
            assert notification(last) == CEASE_SHUTDOWN
        assert running.wait(5) == 0
        assert time.monotonic() - begun < 5
        shown = [json.loads(line) for line in path.read_text().splitlines()]
        assert sum(line[3] == "UPDATE" for line in shown) == len(messages) + 1
        assert "signal received, stopping..." in running.log
        assert "reason=stopped" in running.log


def test_a_signal_when_a_peer_takes_nothing():
    """Both are told, if they still read; who does not read is not waited for."""
    octets = b"".join(updates(20_000))
    with proxy(options=("-e", "SLOW"), many=False, buffer=4096) as (running, router):
        left, _ = running.session(router)
        left.socket.setblocking(False)
        sent = 0
        while "bgpfix/pipe.SLOW" not in running.log:
            sent += push(left.socket, octets, sent % len(octets))
        begun = time.monotonic()
        running.signal()
        assert running.wait(5) == 0
        assert time.monotonic() - begun < 5


WAITING = {
    "listening": (),
    "dialing for ever": ("connect", "--retry"),
    "many": ("listen", "--many"),
    "again": ("listen", "--again"),
}


@pytest.mark.parametrize("what", WAITING)
def test_a_signal_while_there_is_no_session(what):
    host, port = place()
    words = WAITING[what] or ("listen",)
    with bgpipe(*words, f"{host}:{port}", "--", "grep", "ipv6") as running:
        running.waits_for_log("next attempt" if words[0] == "connect" else "listening on")
        begun = time.monotonic()
        running.signal()
        assert running.wait(5) == 0
        assert time.monotonic() - begun < 3  # with nothing to finish, it takes none of the time that it may take


@pytest.mark.parametrize("number", SIGNALS)
def test_the_second_signal_ends_it_at_once(number):
    """Also while the first one has it wait for a peer that takes nothing."""
    octets = b"".join(updates(20_000))
    words = ("-e", "SLOW")
    router = Router(4096)
    host, port = place()
    connect = ("connect", "--closed-timeout", "1h", "-W", "listen", router.address)
    try:
        with bgpipe(*words, "--", "listen", f"{host}:{port}", "--", *connect, fails=True) as running:
            left, _ = running.session(router)
            left.socket.setblocking(False)
            sent = 0
            while "bgpfix/pipe.SLOW" not in running.log:
                sent += push(left.socket, octets, sent % len(octets))
            running.signal(number)
            running.waits_for_log("signal received")
            begun = time.monotonic()
            running.signal(number)
            assert running.wait(5) == -number
            assert time.monotonic() - begun < 3  # what the first signal leaves it
    finally:
        router.close()


# how sessions end, and what the log says of it


def closing(running: Bgpipe) -> dict[str, Any]:
    """What the log says of the connections: by stage, the last line."""
    lines = running.records
    return {line["stage"]: line for line in lines if line["message"] == "connection closed"}


def test_the_log_of_a_session():
    """Connected, negotiated, closed: one line each, with what an operator needs."""
    with proxy(options=("--log-format", "json", "-e", "")) as (running, router):
        left, right = running.session(router)
        left.say(announcement("203.0.113.0/24"), sentinel())
        right.hear_until(sentinel())
        left.say(Message(NOTIFICATION, Notification.shutdown("maintenance").encode()).octets)
        assert notification(right.hear()) == CEASE_SHUTDOWN
        left.close()
        running.waits_for_log("session ended")
        lines = running.records
        assert [line["message"].split(" on ")[0].split(" 127.")[0] for line in lines] == [
            "listening",
            "connected",
            "dialing",
            "connected",
            "negotiated session capabilities",
            "connection closed",
            "connection closed",
            lines[-1]["message"],
        ]
        assert all(line["session"] == 1 for line in lines[1:])
        assert lines[-1]["message"].startswith("session ended: [1] listen: peer sent Cease")
        negotiated = lines[4]
        assert negotiated["caps"]["AS4"] == 65001
        assert negotiated["left"] == lines[1]["remote"]
        assert negotiated["right"] == router.address
        assert negotiated["caps"]["MP"] == ["IPV4/UNICAST", "IPV6/UNICAST"]
        ends = closing(running)
        assert "peer sent Cease/Administrative Shutdown: maintenance" in ends["[1] listen"]["reason"]
        assert ends["[1] listen"]["received"] == {"OPEN": 1, "UPDATE": 2, "NOTIFY": 1, "KEEPALIVE": 1}
        assert ends["[1] listen"]["sent"] == {"OPEN": 1, "KEEPALIVE": 1}
        assert ends["[2] connect"]["reason"] == "notification"
        assert ends["[2] connect"]["wrote"] == ends["[1] listen"]["read"]
        assert {line["level"] for line in lines[:-1]} == {"info"}
        assert lines[-1]["level"] == "warn", "nobody here has asked for it"


def test_nothing_is_logged_per_message():
    with proxy() as (running, router):
        left, right = running.session(router)
        before = len(running.log)
        left.say(*updates(1000), *[ALIVE] * 100, sentinel())
        right.hear_until(sentinel())
        assert len(running.log) == before


def test_text_of_the_other_side_is_one_line():
    """Control characters of a shutdown communication don't get into the log."""
    with proxy() as (running, router):
        left, right = running.session(router)
        left.say(Message(NOTIFICATION, Notification.shutdown("bye\n\x1b[31m2026 ERR").encode()).octets)
        left.close()
        right.hear_end()
        running.waits_for_log("session ended")
        assert "\x1b" not in running.log
        assert "bye\\n\\x1b[31m2026 ERR" in running.log.replace("\\\\", "\\")


# SIGHUP


@pytest.mark.parametrize("many", [False, True])
def test_a_hangup_ends_nothing(many, tmp_path):
    """Neither before a session, nor in one, nor after it; with nothing to reload, and with something."""
    policy = tmp_path / "policy.py"
    policy.write_text("def update(m): return True\n")
    with proxy("py", "-LR", str(policy), many=many) as (running, router):
        running.waits_for_log("listening on")
        running.signal(signal.SIGHUP)
        running.waits_for_log("there is nothing to reload|loaded .* anew")
        left, right = running.session(router)
        running.signal(signal.SIGHUP)
        running.waits_for_log(r"loaded .*policy.py anew")
        policy.write_text("def update(m: return True\n")
        running.signal(signal.SIGHUP)
        running.waits_for_log("not loaded, the old one stays")
        left.say(sentinel())
        assert right.hear_until(sentinel()) == []
        running.signal()
        assert running.wait(5) == 0


# Standard output that nobody reads


def test_a_session_goes_on_without_the_reader_of_its_log():
    reader, writer = os.pipe()
    with proxy(options=("-o",), stdout=writer) as (running, router):
        os.close(writer)
        left, right = running.session(router)
        left.say(sentinel())
        assert right.hear_until(sentinel()) == []
        os.close(reader)
        for message in updates(30)[:3]:
            left.say(message, sentinel())
            assert right.hear_until(sentinel()) == [message]
        running.waits_for_log("nobody reads the output any more: it misses messages")
        running.signal()
        assert running.wait(5) == 0
