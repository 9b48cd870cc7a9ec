"""Events of live sessions: what is told when, and what events start and stop."""

from __future__ import annotations

import json
import socket
import time

import pytest
from peers import (
    ALIVE,
    Peer,
    Router,
    announcement,
    bgpipe,
    greeting,
    kind,
    place,
    proxy,
    push,
    sentinel,
    updates,
)

from bgpipe.wire.message import NOTIFICATION, UPDATE, Message

EOR4 = Message(UPDATE, bytes(4)).octets
EOR6 = Message(UPDATE, bytes.fromhex("0000000680 0f 03 0002 01".replace(" ", ""))).octets
BROKEN = Message(UPDATE, bytes.fromhex("0000 0004 40010107 18cb0071".replace(" ", ""))).octets
"""ORIGIN 7, for 203.0.113.0/24."""
LOOK = ("grep", "-LR", "!update || as_path || !as_path")


def hear_type(peer: Peer, type_code: int) -> bytes:
    """The next message of a type; those before it are passed over."""
    while (message := peer.hear()) and kind(message) != type_code:
        pass
    return message


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
        names = [line["message"].removeprefix("event ") for line in running.told()]
        assert names[0] == "bgpfix/pipe.START"
        assert names[1:4] == ["grep/PREPARE", "grep/READY", "listen/PREPARE"]  # the last of a batch first
        starting = ["listen/READY", "grep/START", "listen/START", "connect/PREPARE", "connect/READY", "connect/START"]
        assert [name for name in names if name in starting] == sorted(starting, key=names.index)
        assert names.index("connect/PREPARE") > names.index("listen/READY")
        for name in ("OPEN", "ALIVE", "UPDATE"):
            (right_one, *_), (left_one, *_) = (
                [line for line in running.told(f"bgpfix/pipe.{name}") if line["evdir"] == direction]
                for direction in "RL"
            )
            for line in (right_one, left_one):
                assert line["level"] == "info"
                assert abs(int(line["vals"]) - time.time()) < 60
                assert json.loads(line["msg"])[0] == line["evdir"]
        (established,) = running.told("bgpfix/pipe.ESTABLISHED")
        assert json.loads(established["msg"])[3] == "KEEPALIVE"
        families = running.told("bgpfix/pipe.EOR_AF")
        assert [(line["evdir"], line["vals"]) for line in families] == [("R", "1,1"), ("R", "2,1"), ("L", "2,1")]
        (end,) = running.told("bgpfix/pipe.EOR")
        assert end["evdir"] == "R"
        (malformed,) = running.told("bgpfix/pipe.MALFORMED")
        assert malformed["level"] == "error"
        assert malformed["stage"] == "[1] listen"
        assert "ORIGIN" in malformed["error"]
        (parse,) = running.told("bgpfix/pipe.PARSE")
        assert "203.0.113.0/24" in parse["msg"]
        assert {"bgpfix/pipe.STOP", "listen/STOP", "grep/STOP", "connect/STOP"} <= set(names)
        numbers = [line["evseq"] for line in running.told()]
        assert numbers == sorted(set(numbers))


def test_open_alive_and_update_are_told_once_a_second():
    with proxy(options=("--log-format", "json", "-e", "UPDATE,ALIVE,OPEN")) as (running, router):
        left, right = running.session(router)
        begun = time.time()
        left.say(*updates(2000), ALIVE, ALIVE, sentinel())
        right.hear_until(sentinel())
        seconds = int(time.time()) - int(begun) + 1
        for name in ("UPDATE", "ALIVE", "OPEN"):
            found = [line for line in running.told(f"bgpfix/pipe.{name}") if line["evdir"] == "R"]
            assert 1 <= len(found) <= seconds + 1
            assert len({line["vals"] for line in found}) == len(found)


def test_slow():
    """A router that reads nothing: what waits for it is bounded, and told; when it reads on, all is there."""
    octets = b"".join(updates(20_000))
    with proxy(options=("--log-format", "json", "-e", "SLOW"), buffer=4096) as (running, router):
        left, right = running.session(router)
        left.socket.setblocking(False)
        sent = 0
        while not running.told("bgpfix/pipe.SLOW"):
            assert sent < 400 << 20, "nobody is told that the router is slow"
            sent += push(left.socket, octets, sent % len(octets))
        (slow,) = running.told("bgpfix/pipe.SLOW")
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


def test_reconnect_when_nobody_listens_yet():
    host, port = place()
    words = ("--log-format", "json", "-e", "RECONNECT,connect", "connect", "--retry", f"{host}:{port}")
    with bgpipe(*words) as running:
        running.waits_for_log("event bgpfix/pipe.RECONNECT")
        first = running.told("bgpfix/pipe.RECONNECT")[0]
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
        assert running.wait() == 2
        text = "no stage is called 'established' (names of events have upper-case letters), did you mean ESTABLISHED?"
        assert text in running.log


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
