"""Who ends a session, and what each of the two peers is sent: the table in ARCHITECTURE.md, row by row, with raw peers
on both sides."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from peers import (
    ALIVE,
    Bgpipe,
    Peer,
    Router,
    announcement,
    another_id,
    bgpipe,
    greeting,
    kind,
    notification,
    place,
    sentinel,
)

from bgpipe.wire.message import NOTIFICATION, UPDATE, Message
from bgpipe.wire.notification import Notification

RESET = Message(NOTIFICATION, Notification.shutdown("maintenance", 4).encode()).octets
MALFORMED = announcement("10.1.0.0/16").replace(bytes.fromhex("40010100"), bytes.fromhex("40010109"))
"""ORIGIN 9."""
BROKEN = Message(UPDATE, bytes.fromhex("00100000")).octets
"""More withdrawn routes than there are octets."""


class Session(NamedTuple):
    """A proxy with a session that is up: `left` has called it, `right` was called."""

    running: Bgpipe
    router: Router
    left: Peer
    right: Peer


Act = Callable[[Session], object]
Cause = tuple[dict[str, tuple[str, ...]], Act, str, str]
"""Words of the command line: options, what `listen` has, stages; what happens then; what the left and the right peer
are sent: code/subcode, or "" for the end of the connection alone."""


def say(*octets: bytes) -> Act:
    return lambda session: session.left.say(*octets)


def program(text: str) -> tuple[str, ...]:
    return "-A", sys.executable, "-c", text


CAT = "import sys\nfor line in sys.stdin:\n    print(line, end='', flush=True)\n"
CAUSES: dict[str, Cause] = {
    "a stage fails, or a program dies with `--on-exit kill`|a stage": (
        {"stages": ("py", "-R", "--on-error", "kill", "FAILS")},
        say(sentinel()),
        "6/8",
        "6/8",
    ),
    "a stage fails, or a program dies with `--on-exit kill`|a program": (
        {"stages": ("exec", "-LR", "--on-exit", "kill", *program(CAT + "    if '198.18.0.0' in line: sys.exit(3)\n"))},
        say(sentinel()),
        "6/8",
        "6/8",
    ),
    "the peer closes or resets its connection": ({}, lambda session: session.left.close(), "", ""),
    "the peer closes or resets its connection|RST": ({}, lambda session: session.left.reset(), "", ""),
    "the peer sends a NOTIFICATION": ({}, say(RESET), "", "6/4"),
    "a signal, or `head` has seen enough|a signal": (
        {},
        lambda session: session.running.signal(signal.SIGTERM),
        "6/2",
        "6/2",
    ),
    "a signal, or `head` has seen enough|head": ({"stages": ("head", "-R", "-n", "3")}, say(sentinel()), "6/2", "6/2"),
    "the peer sends a header that can't be read": ({}, say(bytes(16) + ALIVE[16:]), "1/1", "6/2"),
    "the peer sends an UPDATE that can't be read, with `--malformed auto`": (
        {"listen": ("--malformed", "auto")},
        say(BROKEN),
        "3/1",
        "6/2",
    ),
    "the peer sends a malformed UPDATE, with `--malformed kill`": (
        {"listen": ("--malformed", "kill")},
        say(MALFORMED),
        "3/6",
        "6/2",
    ),
    "a prefix limit, with `--kill limit/session` or `--on-limit kill`": (
        {"options": ("--kill", "limit/session"), "stages": ("limit", "-R", "--session", "2")},
        say(*(announcement(f"10.{number}.0.0/16") for number in range(4))),
        "6/1",
        "6/2",
    ),
    "`--kill EVENT`, one session": (
        {"options": ("--kill", "EOR")},
        say(Message(UPDATE, bytes(4)).octets, Message(UPDATE, bytes.fromhex("00000006800f03000201")).octets),
        "",
        "",
    ),
    "`--kill EVENT`, one of many sessions": (
        {"options": ("--kill", "EOR"), "listen": ("--many",)},
        say(Message(UPDATE, bytes(4)).octets, Message(UPDATE, bytes.fromhex("00000006800f03000201")).octets),
        "6/8",
        "6/8",
    ),
}
"""Those that end a session that is up."""


def told(peer: Peer) -> str:
    """The NOTIFICATION that it was sent, "" for the end of the connection without one. Then it closes too."""
    if peer.socket.fileno() < 0:  # it has ended it itself
        return ""
    while message := peer.hear():
        if kind(message) == NOTIFICATION:
            peer.close()
            return "%d/%d" % notification(message)
    return ""


QUICK = ("|a stage", "|a program", "the peer sends a NOTIFICATION")
"""The others take a second each."""


@pytest.mark.parametrize(
    "cause", [each if each.endswith(QUICK) else pytest.param(each, marks=pytest.mark.slow) for each in CAUSES]
)
def test_both_peers_are_sent_what_the_table_says(cause: str, tmp_path: Path) -> None:
    words, act, left, right = CAUSES[cause]
    script = tmp_path / "fails.py"
    script.write_text("def update(message):\n    raise ValueError('a bug')\n")
    router = Router()
    host, port = place()
    stages = [str(script) if word == "FAILS" else word for word in words.get("stages", ())]
    line = ["listen", *words.get("listen", ()), f"{host}:{port}", "--", *stages, *(["--"] if stages else [])]
    with ExitStack() as stack:
        stack.callback(router.close)
        connect = ("connect", "-W", "listen", router.address)
        running = stack.enter_context(bgpipe(*words.get("options", ()), "--", *line, *connect, fails=True))
        session = Session(running, router, *running.session(router))
        act(session)
        was_told = {"right": told(session.right), "left": told(session.left)}
        assert was_told == {"left": left, "right": right}, running.log


@contextmanager
def listening(*listen: str, stages: tuple[str, ...] = ()) -> Iterator[tuple[Bgpipe, Router]]:
    """`listen`, and what is called when a peer has come."""
    router = Router()
    host, port = place()
    words = ("--", "listen", *listen, f"{host}:{port}", "--", *(stages or ("connect", "-W", "listen", router.address)))
    try:
        with bgpipe(*words, fails=True) as running:
            yield running, router
            running.peers += router.peers
    finally:
        router.close()


def opened(running: Bgpipe, opening: bytes) -> Peer:
    peer = running.dial()
    peer.say(opening)
    return peer


def no_open_in_time() -> None:
    with listening("--open-timeout", "100ms") as (running, _):
        peer = running.dial()
        assert told(peer) == "4/0"


def not_allowed() -> None:
    with listening("--allow", "192.0.2.1") as (running, _):
        assert told(running.dial()) == "6/5"


def same_router_again() -> None:
    with listening("--many") as (running, router):
        running.session(router, left=greeting())
        assert told(opened(running, greeting())) == "6/7"


def too_many() -> None:
    with listening("--many=1") as (running, router):
        running.session(router)
        assert told(opened(running, greeting(bgp_id=another_id()))) == "6/5"


def malformed_open() -> None:
    with listening(stages=("speaker",)) as (running, _):
        assert told(opened(running, greeting(hold_time=1))) == "2/6"


def no_role() -> None:
    with listening(stages=("otc", "-R", "--strict", "--", "speaker")) as (running, _):
        assert told(opened(running, greeting())) == "2/11"


def nobody_behind() -> None:
    with listening("--many", stages=("connect", "-W", "listen", "127.0.0.1:1")) as (running, _):
        assert told(opened(running, greeting())) == ""


def hold_timer() -> None:
    with listening(stages=("speaker", "--active")) as (running, _):
        peer = opened(running, greeting(hold_time=3))
        peer.say(ALIVE)
        assert told(peer) == "4/0"


ALONE = {
    "no OPEN within `--open-timeout`": (no_open_in_time, "4/0"),
    "an OPEN that `speaker` can't accept": (malformed_open, "2/6"),
    "an OPEN with a role that `otc` refuses": (no_role, "2/11"),
    "a peer that is not in `--allow`, or one more than `--many=N`|allow": (not_allowed, "6/5"),
    "a peer that is not in `--allow`, or one more than `--many=N`|many": (too_many, "6/5"),
    "a router that has a session already (collision)": (same_router_again, "6/7"),
    "the router behind can't be reached": (nobody_behind, ""),
    "the hold timer of `speaker`": (hold_timer, "4/0"),
}
"""Those where there is no second peer, or none any more."""


@pytest.mark.slow
@pytest.mark.parametrize("cause", ALONE)
def test_a_peer_alone_is_sent_what_the_table_says(cause: str) -> None:
    ALONE[cause][0]()


def test_the_table_has_each_cause() -> None:
    text = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()
    section = text.partition("## Who ends a session")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| ")]
    found = {cause: (left.strip("-"), right.partition(" ")[0].strip("-")) for cause, left, right in rows[1:]}
    expected = {cause.partition("|")[0]: (left, right) for cause, (_, _, left, right) in CAUSES.items()}
    expected |= {cause.partition("|")[0]: (code, "") for cause, (_, code) in ALONE.items()}
    assert found == expected
