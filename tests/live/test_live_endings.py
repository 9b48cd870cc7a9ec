"""Signals under load, programs that die, and who never begins TLS."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from peers import (
    ALIVE,
    Peer,
    announcement,
    bgpipe,
    greeting,
    kind,
    notification,
    place,
    proxy,
    sentinel,
    updates,
    wait_until,
)

from bgpipe.wire.message import HEADER, UPDATE


def pour(peer: Peer, messages: list[bytes], sent: list[int]) -> None:
    with suppress(OSError):
        for start in range(0, len(messages), 100):
            peer.say(*messages[start : start + 100])
            sent[0] += 100


@pytest.mark.parametrize("busy", [False, True], ids=["at rest", "under load"])
def test_sigterm_drains(busy: bool, tmp_path: Path) -> None:
    """20 sessions with 100,000 routes and an output: all are told within 2 s, what was let in is in the file, exit code
    0 within 5 s."""
    path = tmp_path / "all.json"
    each = list(updates(1700))
    routes = sum(len(json_prefixes(message)) for message in each)
    assert 20 * 3 * routes >= 100_000
    with proxy("write", "-LR", str(path), options=("-e", "SLOW")) as (running, router):
        pairs = [running.session(router) for _ in range(20)]
        messages = each * (40 if busy else 3)
        counts = [[0] for _ in pairs]
        threads = [
            threading.Thread(target=pour, args=(left, [*messages, sentinel()], count), daemon=True)
            for (left, _), count in zip(pairs, counts, strict=True)
        ]
        heard: list[list[bytes]] = [[] for _ in pairs]
        told: list[float] = []

        def listen(peer: Peer, into: list[bytes]) -> None:
            while message := peer.hear(30):
                into.append(message)
                if notification(message) == (6, 2):
                    told.append(time.monotonic())

        threads += [
            threading.Thread(target=listen, args=(right, into), daemon=True)
            for (_, right), into in zip(pairs, heard, strict=True)
        ]
        for thread in threads:
            thread.start()
        if busy:
            wait_until("messages are on their way", lambda: all(count[0] > 1000 for count in counts), 30)
        else:
            wait_until("all has come", lambda: all(into and into[-1] == sentinel() for into in heard), 60)
        start = time.monotonic()
        running.signal(signal.SIGTERM)
        assert running.wait(8) == 0
        assert time.monotonic() - start < 5
        for thread in threads:
            thread.join(10)
        assert len(told) == 20
        assert max(told) - start < 2
        lines = path.read_text().splitlines()
        written = sum('"UPDATE"' in line for line in lines)
        for line in lines[-50:]:
            json.loads(line)
        assert written >= sum(kind(message) == UPDATE for into in heard for message in into)
        if not busy:
            assert written == 20 * (len(messages) + 1)


def json_prefixes(message: bytes) -> list[object]:
    from bgpipe.wire.update import Update

    update = Update.decode(message[HEADER:])
    return [*update.reach, *update.withdrawn]


def test_the_second_signal_ends_it_at_once() -> None:
    """Also while it waits for a peer that takes nothing."""
    with proxy("drop", "-LR", "as_origin == 4200000001", options=("-e", "SLOW")) as (running, router):
        left, _ = running.session(router)
        thread = threading.Thread(target=pour, args=(left, list(updates(60_000)) * 4, [0]), daemon=True)
        thread.start()
        running.tells(r"event bgpfix/pipe\.SLOW")
        running.signal(signal.SIGTERM)
        running.tells("signal received")
        start = time.monotonic()
        running.signal(signal.SIGTERM)
        assert running.wait(5) == -signal.SIGTERM
        assert time.monotonic() - start < 1
        left.close()
        thread.join()


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
    with proxy("exec", "-R", "--args", "python3", str(script)) as (running, router):
        good = [running.session(router) for _ in range(3)]
        bad = running.dial()
        router.accept()
        bad.say(greeting(65001, 90, "192.0.2.66"), ALIVE, *updates(50))
        if "sleep" not in dying:
            running.tells(r"stage=\"\[2\] exec\"|\[2\] exec: ")
        for number, (left, right) in enumerate(good):
            left.say(announcement("203.0.113.0/24"), sentinel(number))
            assert right.hear_until(sentinel(number)) == [announcement("203.0.113.0/24")]
            right.say(sentinel(number))
            assert left.hear() == sentinel(number)


def test_silence_where_tls_is_wanted(tmp_path: Path) -> None:
    """Who connects and never begins TLS is gone as soon as who sends no OPEN."""
    import subprocess

    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=router", "-keyout", str(key), "-out", str(cert)]
    if subprocess.run([*words, *names], capture_output=True, check=False).returncode:
        pytest.skip("no openssl")
    host, port = place()
    tls = ["--tls", "--cert", str(cert), "--key", str(key), "--open-timeout", "2s"]
    with bgpipe("--", "listen", "--many", *tls, f"{host}:{port}", "--", "speaker") as running:
        start = time.monotonic()
        peers = [running.dial() for _ in range(5)]
        for peer in peers:
            peer.hear_end(10)
        assert time.monotonic() - start < 6
        assert not re.search("unexpected", running.log)
