"""Events and the ends of live sessions: what is told when, what starts and stops what, and what signals do."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from typing import Any

import pytest
from peers import (
    ALIVE,
    Bgpipe,
    Peer,
    Router,
    announcement,
    bgpipe,
    greeting,
    kind,
    notification,
    place,
    proxy,
    sentinel,
    updates,
)

from bgpipe.wire.message import NOTIFICATION, UPDATE, Message
from bgpipe.wire.notification import Notification

CEASE_SHUTDOWN = (6, 2)
EOR4 = Message(UPDATE, bytes(4)).octets
EOR6 = Message(UPDATE, bytes.fromhex("0000000680 0f 03 0002 01".replace(" ", ""))).octets
BROKEN = Message(UPDATE, bytes.fromhex("0000 0004 40010107 18cb0071".replace(" ", ""))).octets
"""ORIGIN 7, for 203.0.113.0/24."""
LOOK = ("grep", "-LR", "!update || as_path || !as_path")


def log_of(running: Bgpipe) -> list[dict[str, Any]]:
    """Its lines, of JSON, that are there in full."""
    return [json.loads(line) for line in running.log.rpartition("\n")[0].splitlines()]


def told(running: Bgpipe, *names: str) -> list[dict[str, Any]]:
    """The events of these names (all, if none is named) in a log of JSON, in order."""
    lines = log_of(running)
    found = [line for line in lines if line["message"].startswith("event ")]
    return [line for line in found if not names or line["message"].removeprefix("event ") in names]


def hear_type(peer: Peer, type_code: int) -> bytes:
    """The next message of a type; those before it are passed over."""
    while (message := peer.hear()) and kind(message) != type_code:
        pass
    return message


# events


def test_every_event_of_a_session():
    with proxy(*LOOK, options=("--log-format", "json", "-e", "all"), many=False) as (running, router):
        left, right = running.session(router)
        left.say(announcement("203.0.113.0/24"), EOR4, EOR6, sentinel())
        right.hear_until(sentinel())
        right.say(EOR6, sentinel(1))
        left.hear_until(sentinel(1))
        left.say(BROKEN, sentinel(2))
        right.hear_until(sentinel(2))
        running.signal()
        assert running.wait() == 0
        names = [line["message"].removeprefix("event ") for line in told(running)]
        assert names[0] == "bgpfix/pipe.START"
        assert names[1:4] == ["grep/PREPARE", "grep/READY", "listen/PREPARE"]  # the last of a batch first
        starting = ["listen/READY", "grep/START", "listen/START", "connect/PREPARE", "connect/READY", "connect/START"]
        assert [name for name in names if name in starting] == sorted(starting, key=names.index)
        assert names.index("connect/PREPARE") > names.index("listen/READY")
        for name in ("OPEN", "ALIVE", "UPDATE"):
            (right_one, *_), (left_one, *_) = (
                [line for line in told(running, f"bgpfix/pipe.{name}") if line["evdir"] == direction]
                for direction in "RL"
            )
            for line in (right_one, left_one):
                assert line["level"] == "info"
                assert abs(int(line["vals"]) - time.time()) < 60
                assert json.loads(line["msg"])[0] == line["evdir"]
        (established,) = told(running, "bgpfix/pipe.ESTABLISHED")
        assert json.loads(established["msg"])[3] == "KEEPALIVE"
        families = told(running, "bgpfix/pipe.EOR_AF")
        assert [(line["evdir"], line["vals"]) for line in families] == [("R", "1,1"), ("R", "2,1"), ("L", "2,1")]
        (end,) = told(running, "bgpfix/pipe.EOR")
        assert end["evdir"] == "R"
        (malformed,) = told(running, "bgpfix/pipe.MALFORMED")
        assert malformed["level"] == "error"
        assert malformed["stage"] == "[1] listen"
        assert "ORIGIN" in malformed["error"]
        (parse,) = told(running, "bgpfix/pipe.PARSE")
        assert "203.0.113.0/24" in parse["msg"]
        assert {"bgpfix/pipe.STOP", "listen/STOP", "grep/STOP", "connect/STOP"} <= set(names)
        numbers = [line["evseq"] for line in told(running)]
        assert numbers == sorted(set(numbers))


def test_open_alive_and_update_are_told_once_a_second():
    with proxy(options=("--log-format", "json", "-e", "UPDATE,ALIVE,OPEN")) as (running, router):
        left, right = running.session(router)
        begun = time.time()
        left.say(*updates(2000), ALIVE, ALIVE, sentinel())
        right.hear_until(sentinel())
        seconds = int(time.time()) - int(begun) + 1
        for name in ("UPDATE", "ALIVE", "OPEN"):
            found = [line for line in told(running, f"bgpfix/pipe.{name}") if line["evdir"] == "R"]
            assert 1 <= len(found) <= seconds + 1
            assert len({line["vals"] for line in found}) == len(found)


def test_slow():
    """A router that reads nothing: what waits for it is bounded, and told; when it reads on, all is there."""
    octets = b"".join(updates(20_000))
    with proxy(options=("--log-format", "json", "-e", "SLOW"), buffer=4096) as (running, router):
        left, right = running.session(router)
        left.socket.setblocking(False)
        sent = 0
        while not told(running, "bgpfix/pipe.SLOW"):
            assert sent < 400 << 20, "nobody is told that the router is slow"
            sent += push(left.socket, octets, sent % len(octets))
        (slow,) = told(running, "bgpfix/pipe.SLOW")
        assert slow["stage"] == "[2] connect"
        assert slow["evdir"] == "R"
        left.socket.setblocking(True)
        rest = octets[sent % len(octets) :] if sent % len(octets) else b""
        whole = sent + len(rest)
        before = len(right.seen)
        left.socket.settimeout(0)
        while len(right.seen) - before < whole:
            rest = rest[push(left.socket, rest, 0) :] if rest else b""
            right._read(20)
        assert bytes(right.seen[before : before + len(octets)]) == octets[: len(right.seen) - before]


def push(to: socket.socket, octets: bytes, start: int) -> int:
    """Sends as much as goes at once; how much that was."""
    try:
        return to.send(octets[start : start + (1 << 20)])
    except BlockingIOError:
        return 0


def test_reconnect_when_nobody_listens_yet():
    host, port = place()
    words = ("--log-format", "json", "-e", "RECONNECT,connect", "connect", "--retry", f"{host}:{port}")
    with bgpipe(*words) as running:
        running.waits_for_log("event bgpfix/pipe.RECONNECT")
        first = told(running, "bgpfix/pipe.RECONNECT")[0]
        assert "refused" in first["error"]
        assert first["vals"] == "1"
        with socket.create_server((host, port)) as server:
            server.settimeout(20)
            server.accept()[0].close()
        running.waits_for_log("event bgpfix/pipe.RECONNECT.*vals|next session in")


# --wait and --stop: every form that names an event

NAMES = {
    "ESTABLISHED": 1,
    "pipe.established": 1,
    "bgpfix/pipe.ESTABLISHED": 1,
    "bgpfix/pipe.established": 1,
    "seen/hit": 2,
    "@mark/hit": 3,
}


@pytest.mark.parametrize("name", NAMES)
def test_stages_wait_for_events(name):
    """Until the event a drop lets everything pass, and from then on nothing of what it matches."""
    marks = ("grep", "-LR", "--keep", "--event-match", "hit", "prefix ~ 198.18.0.0/16")
    named = ("@mark", *marks) if name.startswith("@") else ("@seen", *marks)
    name = name.replace("seen/", "@seen/")
    stages = (*named, "--", "drop", "-R", "--wait", name, "prefix ~ 203.0.113.0/24")
    with proxy(*stages) as (running, router):
        left, right = running.session(router)
        if "hit" in name:
            left.say(announcement("203.0.113.0/24"), sentinel())
            assert right.hear_until(sentinel()) == [announcement("203.0.113.0/24")]
        left.say(announcement("203.0.113.0/24"), sentinel(1))
        assert right.hear_until(sentinel(1)) == []


@pytest.mark.parametrize("name", ["@seen/hit", "seen/hit", "all"])
def test_stages_stop_on_events(name):
    named = "@seen" if name.startswith("@") else "grep"
    name = name.replace("seen/", "grep/") if not name.startswith("@") else name
    marks = ("grep", "-LR", "--keep", "--event-match", "hit", "prefix ~ 198.18.0.0/16")
    stages = (
        *((named,) if named != "grep" else ()),
        *marks,
        "--",
        "drop",
        "-R",
        "--stop",
        name,
        "prefix ~ 203.0.113.0/24",
    )
    with proxy(*stages) as (running, router):
        left, right = running.session(router)
        left.say(announcement("203.0.113.0/24"), sentinel())
        heard = right.hear_until(sentinel())
        assert heard == ([announcement("203.0.113.0/24")] if name == "all" else [])
        left.say(announcement("203.0.113.0/24"), sentinel(1))
        assert right.hear_until(sentinel(1)) == [announcement("203.0.113.0/24")]


def test_a_stage_is_waited_for_by_its_name():
    """connect --wait listen, and --wait @name: the router is called when the peer is there, not before."""
    router = Router()
    host, port = place()
    try:
        with bgpipe("@in", "listen", f"{host}:{port}", "--", "connect", "-W", "@in", router.address) as running:
            running.waits_for_log("listening on")
            assert "dialing" not in running.log
            running.session(router)
    finally:
        router.close()


def test_no_stage_of_that_name():
    with bgpipe("listen", "127.85.0.1:18599", "--", "connect", "-W", "established", "127.0.0.1", fails=True) as running:
        assert running.wait() == 1
        assert "no stage is called 'established' (names of events have upper-case letters)" in running.log


# --kill

KILLS = ["ESTABLISHED", "pipe.Established", "bgpfix/pipe.ESTABLISHED", "connect/START", "@in/START", "all", "*"]


@pytest.mark.parametrize("name", KILLS)
def test_kill(name):
    """At once, with exit code 1; nobody is told anything more."""
    router = Router()
    host, port = place()
    words = ("--kill", name, "@in", "listen", f"{host}:{port}", "--", "connect", "-W", "@in", router.address)
    try:
        with bgpipe(*words, fails=True) as running:
            if name in ("all", "*"):
                assert running.wait() == 1
                assert "session killed by event event=bgpfix/pipe.START" in running.log
                return
            left = running.dial()
            left.say(greeting(), ALIVE)
            if name == "@in/START":
                assert running.wait() == 1
                return
            right = router.accept()
            if name != "connect/START":
                right.say(greeting(65002), ALIVE)
            assert running.wait() == 1
            assert NOTIFICATION not in map(kind, [*left.hear_end(), *right.hear_end()])
            event = "connect/START" if name == "connect/START" else "bgpfix/pipe.ESTABLISHED"
            assert f"session killed by event event={event}" in running.log
            assert "connection closed" not in running.log
    finally:
        router.close()


@pytest.mark.parametrize("name", ["connect", "@out", "out/STOP", "@out/STOP", "STOP"])
def test_kill_on_the_stop_of_a_stage(name):
    """A stage's name alone is its STOP."""
    router = Router()
    host, port = place()
    named = ("@out",) if "out" in name else ()
    name = name if name != "out/STOP" else "@out/stop"
    words = ("--kill", name, "listen", f"{host}:{port}", "--", *named, "connect", "-W", "listen", router.address)
    try:
        with bgpipe(*words, fails=True) as running:
            left, _ = running.session(router)
            left.close()
            assert running.wait() == 1
            killed = "session killed by event" in running.log
            assert killed == (name != "@out/stop")  # /stop is another event than /STOP
    finally:
        router.close()


@pytest.mark.parametrize("name", ["limit/session", "grep/hit"])
def test_kill_on_what_a_stage_says(name):
    stages = (
        "limit",
        "-LR",
        "--session",
        "2",
        "--",
        "grep",
        "-R",
        "--keep",
        "--event-match",
        "hit",
        "prefix == 203.0.113.3/32",
    )
    with proxy(*stages, options=("--kill", name), many=False) as (running, router):
        left, right = running.session(router)
        left.say(announcement("203.0.113.1/32"), sentinel())
        right.hear_until(sentinel())
        left.say(Message(UPDATE, bytes.fromhex("0005 20c6120000 0000".replace(" ", ""))).octets)  # without the sentinel
        left.say(announcement("203.0.113.3/32"), announcement("203.0.113.4/32"))
        assert running.wait() == 1
        assert f"session killed by event event={name}" in running.log


def test_kill_ends_only_its_session_of_many():
    with proxy(*LOOK, options=("--kill", "EOR")) as (running, router):
        one = running.session(router)
        other = running.session(router)
        one[0].say(EOR4, EOR6)
        running.waits_for_log("session killed by event session=1 event=bgpfix/pipe.EOR")
        one[0].hear_end()
        one[1].hear_end()
        running.waits_for_log("session ended: killed by bgpfix/pipe.EOR session=1")
        other[0].say(sentinel())
        assert other[1].hear_until(sentinel()) == []


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
    lines = log_of(running)
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
        lines = log_of(running)
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
