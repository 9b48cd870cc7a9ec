"""Steps of a session's life, from the first name that is resolved."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

from peers import (
    ALIVE,
    CLOSE_TIMEOUT,
    Bgpipe,
    Peer,
    Router,
    another_id,
    greeting,
    kind,
    pour,
    sentinel,
    updates,
)
from points import Ready, between, full_listener, hanging_names, point, router, start, where

from bgpipe.wire.message import UPDATE

# before there is a session


@point("resolving the name of listen")
def _(folder: Path, stack: ExitStack) -> Ready:
    hanging_names(stack, folder)
    running = start(stack, "--", "listen", "hangs.example:179", "--", "grep", "ipv6")
    running.waits_for_log("resolving")
    return Ready(running)


@point("resolving the name of listen --many")
def _(folder: Path, stack: ExitStack) -> Ready:
    hanging_names(stack, folder)
    running = start(stack, "--", "listen", "--many", "hangs.example:179", "--", "grep", "ipv6")
    running.waits_for_log("resolving")
    return Ready(running)


@point("resolving the name of connect", quick=True)
def _(folder: Path, stack: ExitStack) -> Ready:
    hanging_names(stack, folder)
    running = start(stack, "--", "connect", "hangs.example", "--", "grep", "ipv6")
    running.waits_for_log("resolving")
    return Ready(running)


@point("resolving the name of a WebSocket")
def _(folder: Path, stack: ExitStack) -> Ready:
    hanging_names(stack, folder)
    running = start(stack, "--", "listen", where(), "--", "websocket", "-LR", "ws://hangs.example/bgp")
    running.waits_for_log("resolving")
    return Ready(running)


@point("resolving the name of a URL")
def _(folder: Path, stack: ExitStack) -> Ready:
    hanging_names(stack, folder)
    path = folder / "out.json"
    running = start(stack, "read", "http://hangs.example/updates.gz", "--", "write", path)
    running.waits_for_log("resolving")
    return Ready(running)


@point("resolving the name of --http")
def _(folder: Path, stack: ExitStack) -> Ready:
    hanging_names(stack, folder)
    running = start(stack, "--http", "hangs.example:8080", "--http-open", "--", "listen", where(), "--", "grep", "ipv6")
    running.waits_for_log("resolving")
    return Ready(running)


@point("listening")
def _(folder: Path, stack: ExitStack) -> Ready:
    running = start(stack, "--", "listen", where(), "--", "grep", "ipv6")
    running.waits_for_log("listening on")
    return Ready(running)


@point("connecting")
def _(folder: Path, stack: ExitStack) -> Ready:
    running = start(stack, "--", "connect", stack.enter_context(full_listener()), "--", "grep", "ipv6")
    running.waits_for_log("dialing")
    return Ready(running)


@point("waiting before the next attempt")
def _(folder: Path, stack: ExitStack) -> Ready:
    running = start(stack, "--", "connect", "--retry", where(), "--", "grep", "ipv6")
    running.waits_for_log("next attempt")
    return Ready(running)


@point("TLS handshake of connect")
def _(folder: Path, stack: ExitStack) -> Ready:
    other = router(stack)
    running = start(stack, "--", "connect", "--tls", "--insecure", other.address, "--", "grep", "ipv6")
    silent = other.accept()
    assert silent.socket.recv(1) == b"\x16"  # ClientHello
    return Ready(running)


@point("TLS handshake of listen")
def _(folder: Path, stack: ExitStack) -> Ready:
    from certificates import Authority

    cert, key = Authority(folder / "ca", "authority").issue("router", "127.0.0.1")
    running = start(stack, "--", "listen", "--tls", "--cert", str(cert), "--key", str(key), where(), "--", "speaker")
    running.dial()
    return Ready(running)


# until it is established


@point("waiting for the OPEN")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, _ = between(stack, listen=("--many",))
    return Ready(running, untold=[running.dial()])


@point("the OPEN is passed on")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, other = between(stack)
    left = running.dial()
    left.say(greeting())
    right = other.accept()
    assert right.hear() == greeting()
    return Ready(running, told=[right], untold=[left])


@point("OPEN sent")
def _(folder: Path, stack: ExitStack) -> Ready:
    other = router(stack)
    running = start(stack, "--", "speaker", "--active", "--", "connect", other.address)
    peer = other.accept()
    assert kind(peer.hear()) == 1
    return Ready(running, told=[peer])


@point("OpenConfirm", quick=True)
def _(folder: Path, stack: ExitStack) -> Ready:
    other = router(stack)
    running = start(stack, "--", "speaker", "--active", "--", "connect", other.address)
    peer = other.accept()
    peer.hear()
    peer.say(greeting())
    assert peer.hear() == ALIVE
    return Ready(running, told=[peer])


# established


@point("established", quick=True)
def _(folder: Path, stack: ExitStack) -> Ready:
    path = folder / "out.json"
    running, other = between(stack, "write", "-LR", path)
    left, right = running.session(other)
    left.say(sentinel())
    right.hear_until(sentinel())

    def check() -> None:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert [line[3] for line in lines].count("UPDATE") == 1
        assert lines[-1][3] in ("KEEPALIVE", "UPDATE", "NOTIFY")

    return Ready(running, told=[left, right], check=check)


@point("many sessions")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, other = between(stack, listen=("--many",))
    pairs = [running.session(other) for _ in range(3)]
    return Ready(running, told=[peer for pair in pairs for peer in pair])


@point("under load")
def _(folder: Path, stack: ExitStack) -> Ready:
    path = folder / "out.json"
    running, other = between(stack, "write", "-R", path)
    left, right = running.session(other)
    pouring = pour(left, b"".join(updates(1700)) * 20)
    for _ in range(1000):
        right.hear()
    heard = sum(message[18] == UPDATE for message in messages(right)[1:])

    def check() -> None:
        lines = path.read_text().splitlines()
        assert [json.loads(line) for line in lines[-50:]]
        assert sum('"UPDATE"' in line for line in lines) >= heard
        pouring.join(CLOSE_TIMEOUT)

    return Ready(running, told=[left, right], check=check)


def messages(peer: Peer) -> list[bytes]:
    """All messages that a peer was given so far."""
    found, at = [], 0
    while at + 19 <= peer.taken:
        length = int.from_bytes(peer.seen[at + 16 : at + 18], "big")
        found.append(bytes(peer.seen[at : at + length]))
        at += length
    return found


@point("a peer that takes nothing")
def _(folder: Path, stack: ExitStack) -> Ready:
    other = router(stack, 4096)
    words = ("-e", "SLOW", "--", "listen", where(), "--", "connect", "-W", "listen", other.address)
    running = start(stack, *words)
    left, _ = running.session(other)
    pour(left, b"".join(updates(20_000)) * 10)
    running.waits_for_log(r"pipe\.SLOW")
    return Ready(running)


@point("a peer that does not close")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, other = between(stack)
    left, right = running.session(other)
    right.hear_end = lambda seconds=0: [right.hear()]  # type: ignore[method-assign]
    return Ready(running, told=[left, right])


@point("the session before is ending, --again")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, other = between(stack, listen=("--again",))
    running.session(other)[0].close()
    running.waits_for_log("connection closed")
    return Ready(running)


def after_a_session(stack: ExitStack) -> tuple[Bgpipe, Router]:
    """A bgpipe with --again whose first session has ended, and the router that it calls."""
    running, other = between(stack, listen=("--again",))
    left, right = running.session(other)
    left.close()
    right.hear_end()
    running.waits_for_log("session ended")
    return running, other


@point("waiting for the next peer, --again")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, _ = after_a_session(stack)
    return Ready(running)


@point("the second session, --again")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, other = after_a_session(stack)
    again = another_id()
    left = running.dial()
    left.say(greeting(65001, 90, again))
    right = other.accept()
    right.hear()
    right.say(greeting(65002))
    left.hear()
    return Ready(running, told=[left, right])


@point("waiting to connect again, --retry")
def _(folder: Path, stack: ExitStack) -> Ready:
    other = router(stack)
    running = start(stack, "--", "speaker", "--active", "--", "connect", "--retry", other.address)
    peer = other.accept()
    peer.hear()
    peer.say(greeting(), ALIVE)
    peer.hear()
    peer.close()
    running.waits_for_log("next session in")
    return Ready(running)
