"""Signals under load, programs that die, and who never begins TLS."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from peers import (
    ALIVE,
    Peer,
    Router,
    announcement,
    bgpipe,
    greeting,
    kind,
    notification,
    place,
    pour,
    prefixes,
    proxy,
    sentinel,
    updates,
    wait_until,
)

from bgpipe.wire.message import NOTIFICATION, UPDATE, Message
from bgpipe.wire.notification import Notification
from bgpipe.wire.update import Update
from certificates import Authority

SESSIONS = 20


def listen(peer: Peer, heard: list[bytes], told: list[float]) -> None:
    """Notes what comes to the end of the connection, and when a Cease/Administrative Shutdown does."""
    with suppress(OSError):  # if the test is over
        while message := peer.hear(30):
            heard.append(message)
            if notification(message) == (6, 2):
                told.append(time.monotonic())


@pytest.mark.parametrize(
    "busy",
    [
        pytest.param(False, id="at rest"),
        pytest.param(True, id="under load", marks=pytest.mark.slow),
    ],
)
def test_sigterm_drains(busy: bool, tmp_path: Path) -> None:
    """20 sessions with 100,000 routes and an output: all 40 peers are told within 2 s, every message that was read when
    the signal came is in the file, exit code 0 within 5 s."""
    path = tmp_path / "all.json"
    each = updates(1700) * (40 if busy else 3)
    assert SESSIONS * 3 * sum(map(prefixes, updates(1700))) >= 100_000
    with proxy("write", "-LR", str(path), options=("-e", "SLOW")) as (running, router):
        pairs = [running.session(router) for _ in range(SESSIONS)]
        heard: list[list[bytes]] = [[] for _ in pairs]
        told: list[float] = []
        pouring = [pour(left, b"".join(each) + sentinel()) for left, _ in pairs]
        hearing = [
            threading.Thread(target=listen, args=(peer, into, told), daemon=True)
            for (left, right), into in zip(pairs, heard, strict=True)
            for peer, into in ((left, []), (right, into))
        ]
        for thread in hearing:
            thread.start()
        if busy:
            wait_until("messages are on their way", lambda: all(len(into) > 1000 for into in heard), 30)
        else:
            wait_until("all has come", lambda: all(into and into[-1] == sentinel() for into in heard), 60)
        start = time.monotonic()
        running.signal(signal.SIGTERM)
        assert running.wait(8) == 0
        assert time.monotonic() - start < 5
        for thread in (*pouring, *hearing):
            thread.join(10)
        assert len(told) == 2 * SESSIONS
        assert max(told) - start < 2
        lines = path.read_text().splitlines()
        for line in lines[-50:]:
            json.loads(line)
        written = sum('"UPDATE"' in line for line in lines)
        taken = re.findall(r'connection closed .*\[1\] listen.* received=\{.*?"UPDATE":(\d+)', running.log)
        assert len(taken) == SESSIONS
        assert written >= sum(kind(message) == UPDATE for into in heard for message in into)
        assert written == sum(map(int, taken))
        if not busy:
            assert written == SESSIONS * (len(each) + 1)


@pytest.mark.parametrize("many", [True, False], ids=["many", "one"])
def test_what_there_is_no_time_for_is_counted(many: bool, tmp_path: Path) -> None:
    """A limit of rate lets a part of what was read wait longer than a signal leaves it: the log and the exit code say
    so, and how many messages that are."""
    path, router = tmp_path / "all.json", Router()
    host, port = place()
    words = ["listen", *(["--many"] if many else []), "--rate-limit", "20", f"{host}:{port}", "--"]
    words += ["write", "-LR", str(path), "--", "connect", "--wait", "listen", router.address]
    with bgpipe("--", *words, fails=True) as running:
        left, right = running.session(router)
        left.say(*(announcement(f"10.0.{number}.0/24") for number in range(200)))
        right.hear()  # an UPDATE
        running.signal()
        right.hear_end()
        left.hear_end()
        assert running.wait(10) == 1
        log = running.log
    router.close()
    (received,) = re.findall(r'connection closed .*\[1\] listen.* received=\{.*?"UPDATE":(\d+)', log)
    (lost,) = re.findall(r"messages are lost at the end: they were not through in time .*lost=(\d+)", log)
    written = sum('"UPDATE"' in line for line in path.read_text().splitlines())
    assert int(received) == 200
    assert written + int(lost) == 200
    assert f"{lost} messages were lost at the end" in log


@pytest.mark.parametrize("many", [True, False], ids=["many", "one"])
def test_an_output_that_takes_nothing_is_not_waited_for(many: bool, tmp_path: Path) -> None:
    """Nor is it passed over in silence: the exit code says that something is missing, and the log how much."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with proxy("write", "--format", "json", str(path), options=("-e", "SLOW"), many=many, fails=True) as made:
        running, router = made
        left, _ = running.session(router)
        pouring = pour(left, b"".join(updates(1700)) * 40)
        running.waits_for_log(r"event bgpfix/pipe\.SLOW")
        start = time.monotonic()
        running.signal(signal.SIGTERM)
        assert running.wait(10) == 1
        assert time.monotonic() - start < 8
        (lost,) = re.findall(r"^bgpipe: .* (\d+) messages were lost at the end", running.log, re.MULTILINE)
        assert int(lost) > 1000
        pouring.join(10)
    os.close(reader)


@pytest.mark.slow
def test_the_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """20 sessions under load with an output open; a peer that takes nothing, and others that don't close, have to be
    waited for after the first one."""
    words = ("write", "-LR", str(tmp_path / "all.json"))
    with proxy(*words, options=("-e", "SLOW")) as (running, router):
        (stuck, _), *pairs = [running.session(router) for _ in range(SESSIONS)]
        octets = b"".join(updates(20_000))
        pouring = [pour(stuck, octets * 12)]
        running.waits_for_log(r"event bgpfix/pipe\.SLOW")
        heard: list[list[bytes]] = [[] for _ in pairs]
        for (left, right), into in zip(pairs, heard, strict=True):
            pouring.append(pour(left, octets * 4))
            threading.Thread(target=listen, args=(right, into, []), daemon=True).start()
        wait_until("messages are on their way", lambda: all(heard))
        running.signal(signal.SIGTERM)
        running.waits_for_log("signal received")
        start = time.monotonic()
        running.signal(signal.SIGTERM)
        assert running.wait(5) == -signal.SIGTERM
        assert time.monotonic() - start < 3  # what the first signal leaves it
        for thread in pouring:
            thread.join(10)


DYING = {
    "exits at once": "raise SystemExit(3)",
    "is killed": "sys.stdin.readline(); os.kill(os.getpid(), 9)",
    "writes nonsense": "while True: print('nonsense' * 1000, flush=True)",
    "hears nothing": "import time; time.sleep(600)",
}


@pytest.mark.parametrize("dying", DYING.values(), ids=DYING)
def test_a_dying_program_ends_no_other_session(dying: str, tmp_path: Path) -> None:
    """A program that dies in one session, by what its peer says: sessions beside it have programs that live."""
    script = tmp_path / "program.py"
    script.write_text(
        "import os, sys\n"
        "first = sys.stdin.readline()\n"
        "print(first, end='', flush=True)\n"
        "if '192.0.2.66' in first:\n"
        + "".join(f"  {line}\n" for line in dying.splitlines())
        + "for line in sys.stdin: print(line, end='', flush=True)\n"
    )
    with proxy("exec", "-R", "--args", sys.executable, "-SE", str(script), fails=True) as (running, router):
        good = [running.session(router) for _ in range(3)]
        bad = running.dial()
        bad.say(greeting(65001, 90, "192.0.2.66"), ALIVE, *updates(50))
        if "sleep" not in dying:
            running.waits_for_log(r"stage=\"\[2\] exec\"|\[2\] exec: ")
        for number, (left, right) in enumerate(good):
            left.say(announcement("203.0.113.0/24"), sentinel(number))
            assert right.hear_until(sentinel(number)) == [announcement("203.0.113.0/24")]
            right.say(sentinel(number))
            assert left.hear() == sentinel(number)


def test_silence_where_tls_is_wanted(tmp_path: Path) -> None:
    """Who connects and never begins TLS is gone as soon as who sends no OPEN."""
    host, port = place()
    cert, key = Authority(tmp_path, "authority").issue("router", host)
    tls = ["--tls", "--cert", str(cert), "--key", str(key), "--open-timeout", "2s"]
    with bgpipe("--", "listen", "--many", *tls, f"{host}:{port}", "--", "speaker") as running:
        start = time.monotonic()
        peers = [running.dial() for _ in range(5)]
        for peer in peers:
            peer.hear_end(10)
        assert time.monotonic() - start < 6
        assert not re.search("unexpected", running.log)


# a NOTIFICATION is delivered, and says who ended the session


@pytest.mark.parametrize("closes", [True, False], ids=["closes", "waits"])
@pytest.mark.parametrize("where", ["listen", "drop"])
def test_a_notification_does_not_wait_for_a_limit_of_rate(where: str, closes: bool) -> None:
    """500 UPDATEs at 5 a second would take 100 s, and the session would be forgotten before."""
    router = Router()
    host, port = place()
    limit = ("--rate-limit", "5")
    words = ["listen", *(limit if where == "listen" else ()), f"{host}:{port}"]
    middle = ["drop", *limit, "as_origin == 65009", "--"] if where == "drop" else []
    with bgpipe("--", *words, "--", *middle, "connect", "--wait", "listen", router.address, fails=True) as running:
        left, right = running.session(router)
        left.say(*(announcement(f"10.{number}.{low}.0/24") for number in range(2) for low in range(250)), RESET)
        if closes:
            left.close()
        heard = right.hear_until(RESET, 15)
        for peer in (right, left):
            peer.close()
        assert 0 < len(heard) < 100
        assert all(kind(each) == UPDATE for each in heard)
        running.wait(10)
        assert "[1] listen: peer sent Cease/Administrative Reset" in running.log.splitlines()[-1]
        assert "messages that waited before a NOTIFICATION were dropped" in running.log
    router.close()


RESET = Message(NOTIFICATION, Notification.shutdown("", 4).encode()).octets


@pytest.mark.parametrize("first", ["left", "right"])
@pytest.mark.parametrize("teller", ["left", "right"])
def test_who_sent_the_first_notification_ended_the_session(teller: str, first: str) -> None:
    """Whichever side closes its connection first, and though the side that was told answers with one of its own."""
    with proxy(options=("--log-format", "json")) as (running, router):
        left, right = running.session(router)
        peers = {"left": left, "right": right}
        told = peers["right" if teller == "left" else "left"]
        peers[teller].say(RESET)
        assert told.hear() == RESET
        told.say(Message(NOTIFICATION, Notification(6, 5).encode()).octets)
        peers[first].close()
        (ended,) = running.waits_for_log(r'"message":"session ended: ([^"]+)"')
        stage = "[1] listen" if teller == "left" else "[2] connect"
        assert ended == f"{stage}: peer sent Cease/Administrative Reset"


@pytest.mark.parametrize("policy", ["auto", "withdraw", "drop"])
def test_the_option_alone_is_a_firewall(policy: str) -> None:
    """No stage looks: --malformed, given on the stage where it comes in, is enough (RFC 7606)."""
    good = announcement("10.1.0.0/16")
    bad = good.replace(bytes.fromhex("40010100"), bytes.fromhex("40010109"))
    for options, expected in (((), bad), (("--malformed", policy), None)):
        router = Router()
        host, port = place()
        with bgpipe(
            "--", "listen", *options, f"{host}:{port}", "--", "connect", "-W", "listen", router.address
        ) as running:
            left, right = running.session(router)
            left.say(bad, sentinel())
            heard = right.hear_until(sentinel())
            if expected is not None:
                assert heard == [expected]
            elif policy == "drop":
                assert heard == []
            else:
                (withdrawn,) = heard
                assert prefixes(withdrawn) == 1
                assert withdrawn[19:24] == bytes.fromhex("0003100a01")
        router.close()


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_an_update_that_an_edit_made_too_long_withdraws_its_routes(family: str, tmp_path: Path) -> None:
    """The router on the other side has an older route, which must not stay. It is told and counted, and the exit code
    says that something could not be sent."""
    script = tmp_path / "edit.py"
    script.write_text(
        "def update(m):\n"
        "    if m.update.med == 7:\n"
        "        return [m.update.replace(attrs={'COMMUNITY': [f'65000:{number}' for number in range(1200)]})]\n"
    )
    prefix, next_hop = ("10.1.0.0/16", "192.0.2.1") if family == "IPv4" else ("2001:db8:1::/48", "2001:db8::1")

    def route(med: int) -> bytes:
        attrs = {"ORIGIN": "IGP", "ASPATH": [65001], "MED": med}
        return Message(UPDATE, Update.make(reach=[prefix], attrs=attrs, next_hop=next_hop).body).octets

    router = Router()
    host, port = place()
    words = ("listen", f"{host}:{port}", "--", "py", "-R", str(script), "--", "connect", "-W", "listen", router.address)
    with bgpipe("--", *words, fails=True) as running:
        left, right = running.session(router)
        left.say(route(1), route(7), sentinel())
        old, withdrawal = right.hear_until(sentinel())
        assert old == route(1)
        update = Update.decode(withdrawal[19:])
        assert [str(each) for each in update.withdrawn] == [prefix]
        assert not update.reach
        running.waits_for_log("UPDATE can't be sent: its routes are withdrawn instead")
        running.signal()
        assert running.wait(10) == 1
        assert "1 UPDATE could not be sent" in running.log
    router.close()
