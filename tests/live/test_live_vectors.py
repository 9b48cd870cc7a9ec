"""One bad route costs one route.

What other projects' suites and incidents have of malformed UPDATEs, sent to a live session with a stage in between that
looks; behind it a good route, whose arrival proves that the session is up and that all before it was handled. What
comes out at the other side is what was done about it. Where we differ from others, docs/rfc7606.md names the clause.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers import ALIVE, Bgpipe, Peer, Router, another_id, greeting, kind, notification, proxy, sentinel

from bgpipe.wire.context import AS4
from bgpipe.wire.errors import WireError
from bgpipe.wire.message import HEADER, UPDATE
from bgpipe.wire.open import Open
from bgpipe.wire.update import Update
from vectors import Row, load, parametrize

ROWS = [row for suite in ("frr_rfc7606", "openbgpd_attr_errors", "cve_messages") for row in load(suite, "update")]
STAY_UP = [row for row in ROWS if row["session_must"] == "stay-up"]
AGREED = {
    "accept": {"accept"},
    "attribute-discard": {"attribute-discard"},
    "accept-or-attribute-discard": {"accept", "attribute-discard"},
    "treat-as-withdraw": {"treat-as-withdraw"},
    "session-reset": {"session-reset"},
}
LOOKING = {"drop": (("drop", "-LR", "as_origin == 4200000001"), ()), "-o": ((), ("-o",))}
PAGE = Path(__file__).resolve().parents[2] / "docs" / "rfc7606.md"


@pytest.fixture(scope="module", params=LOOKING)
def between(request) -> Iterator[tuple[Bgpipe, Router]]:
    if not ROWS:
        pytest.skip("no vectors")
    stages, options = LOOKING[request.param]
    with proxy(*stages, options=options) as running:
        yield running


def session(between: tuple[Bgpipe, Router], kind_of_peer: str) -> tuple[Peer, Peer]:
    """OPENs say whether the peer is internal; one of another AS of the same company (OAD) counts as such."""
    running, router = between
    return running.session(
        router, greeting(65001, 90, another_id()), greeting(65002 if kind_of_peer == "ebgp" else 65001)
    )


def sent(row: Row) -> bytes:
    return bytes.fromhex(row["hex"])


def outcome(message: bytes, heard: list[bytes]) -> str:
    """What was done about a message, by what has come instead of it."""
    if heard == [message]:
        return "accept"
    assert heard
    bodies = [Update.decode(each[HEADER:], AS4) for each in heard if kind(each) == UPDATE]
    assert len(bodies) == len(heard)
    for each in bodies:
        assert not each.errors
    if any(each.reach for each in bodies):
        before = Update.decode(message[HEADER:], AS4)
        assert len(bodies) == 1
        assert bodies[0].attrs.keys() <= before.attrs.keys()
        assert bodies[0].reach == before.reach
        return "attribute-discard"
    assert not any(each.attrs.keys() - {15} for each in bodies)
    return "treat-as-withdraw"


def wanted(row: Row) -> set[str]:
    if row["basis"] == "rfc" and row["consensus"] == "agree":
        return AGREED[row["expected"]]
    ours = listed().get((row["name"], PEERS[row["session"]["peer"]]))
    return {ours} if ours else AGREED[row["expected"]]


PEERS = {"ebgp": "ebgp", "ibgp": "ibgp", "ebgp-oad": "OAD"}


def listed() -> dict[tuple[str, str], str]:
    """What docs/rfc7606.md says that we do, by case and peer."""
    rows = re.findall(r"^\| `(.+?)` \| ([a-zA-Z ]+) \| ([a-z-]+) \|", PAGE.read_text(), re.M)
    return {(case, peer): done for case, peers, done in rows for peer in peers.split()}


def test_all_suites_have_their_part() -> None:
    """So that vectors that are gone are no vectors that pass."""
    if not ROWS:
        pytest.skip("no vectors")
    agreed = [row for row in ROWS if row["basis"] == "rfc" and row["consensus"] == "agree"]
    assert {row["session"]["peer"] for row in ROWS} == PEERS.keys()
    assert len(ROWS) >= 130
    assert len(agreed) >= 75


def test_the_page_lists_what_is_disputed() -> None:
    if not ROWS:
        pytest.skip("no vectors")
    disputed = [row for row in STAY_UP if row["basis"] != "rfc" or row["consensus"] != "agree"]
    assert listed().keys() >= {(row["name"], PEERS[row["session"]["peer"]]) for row in disputed}


@parametrize(STAY_UP)
def test_one_bad_route_costs_one_route(row: Row, between) -> None:
    left, right = session(between, row["session"]["peer"])
    left.say(sent(row), sentinel())
    assert outcome(sent(row), right.hear_until(sentinel())) in wanted(row)
    right.say(sentinel(1))
    assert left.hear() == sentinel(1)


@parametrize([row for row in ROWS if row["session_must"] == "reset"])
def test_what_can_not_be_told_ends_the_session(row: Row, between) -> None:
    """The peer is told why, the other side that it is over, and the next session comes up."""
    left, right = session(between, row["session"]["peer"])
    left.say(sent(row), sentinel())
    told = left.hear_end()
    assert [notification(each)[0] for each in told] == [3]
    assert [notification(each)[0] for each in right.hear_end()] == [6]
    left, right = session(between, "ebgp")
    left.say(sentinel(2))
    assert right.hear() == sentinel(2)


@pytest.mark.parametrize("peer", ["ebgp", "ibgp"])
def test_groups_in_one_session(peer: str, between) -> None:
    """All of them at full speed on one session, each with a sentinel behind it."""
    rows = [row for row in STAY_UP if (row["session"]["peer"] == "ebgp") == (peer == "ebgp")]
    if not rows:
        pytest.skip("no vectors")
    left, right = session(between, peer)
    for number, row in enumerate(rows):
        left.say(sent(row), sentinel(number))
    for number, row in enumerate(rows):
        heard = right.hear_until(sentinel(number))
        assert outcome(sent(row), heard) in wanted(row)
    left.say(ALIVE)
    assert right.hear() == ALIVE


def test_nobody_looks() -> None:
    """With no stage between, malformed messages pass: to judge them is the routers' business."""
    if not ROWS:
        pytest.skip("no vectors")
    with proxy() as between:
        left, right = session(between, "ebgp")
        left.say(*map(sent, ROWS), sentinel())
        assert right.hear_until(sentinel()) == list(map(sent, ROWS))


@parametrize(load("cve_messages", "open"))
def test_bad_open(row: Row) -> None:
    """What an OPEN says is for the routers to judge; it passes, unless it can't be read, and others' sessions go on."""
    with proxy(*LOOKING["drop"][0]) as between:
        good, other = session(between, "ebgp")
        running, router = between
        left = running.dial()
        left.say(sent(row))
        try:
            Open.decode(sent(row)[HEADER:], strict=False)
            readable = True
        except WireError:
            readable = False
        if readable:
            assert router.accept().hear() == sent(row)
        else:
            assert notification(left.hear())[0] in (1, 2)
        good.say(sentinel())
        assert other.hear() == sentinel()
