"""The stage aspa: what becomes of routes by their path, for messages and blocks alike, and when ASPAs change."""

from __future__ import annotations

from typing import Any

import pytest
from sessions import between, make_open

from bgpipe.pipeline.errors import ConfigError
from bgpipe.rpki.snapshot import EMPTY, Snapshot
from bgpipe.stages.aspa import Aspa
from bgpipe.wire import caps
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.caps import Capability
from bgpipe.wire.flags import FLAG_AS4, FLAG_PEER_AS4
from bgpipe.wire.message import UPDATE, Message
from bgpipe.wire.peer import make_peer
from bgpipe.wire.update import Update
from playbook import Feeder, begin, feed, stage

ASPAS = Snapshot.of(aspas={65003: [65002], 65002: [65001], 65004: [0]})
UP = [65001, 65002, 65003]
LEAK = [65001, 65004, 65003]


def announce(path: list[Any], *reach: str, **more: Any) -> Message:
    attributes = {"ORIGIN": "IGP", "ASPATH": path} | more
    made = Update.make(reach=reach or ["10.0.0.0/8"], attrs=attributes, next_hop="192.0.2.1")
    return Message(UPDATE, made.body, direction="R")


class Bench:
    def __init__(self, words: str, blocks: bool, snapshot: Snapshot = ASPAS) -> None:
        self.source = stage(Feeder, "-LR --new first")
        self.stage = stage(Aspa, words)
        self.blocks = blocks
        self.pipeline = begin(self.source, self.stage)
        self.pipeline.shared.rpki.replace(snapshot)
        self.left: list[Message] = []
        for line in self.pipeline.lines.values():
            line.outputs.append(lambda item: self.left.extend([item] if isinstance(item, Message) else list(item)))

    def send(self, message: Message, peer: int = 65001) -> list[Message]:
        self.left.clear()
        header = make_peer(peer, bytes((192, 0, 2, 1)))
        if self.blocks:
            flags = FLAG_AS4 | FLAG_PEER_AS4
            entry = ENTRY.pack(0, 0, len(header), 0 if peer else NO_PEER, len(message.octets), flags, 0)
            feed(self.source.inlet, Block(header + message.octets, bytearray(entry)))
        else:
            if peer:
                message = Message(UPDATE, message.body, peer=header)
            feed(self.source.inlet, message)
        return list(self.left)


@pytest.fixture(params=["messages", "blocks"])
def make(request):
    return lambda words, snapshot=ASPAS: Bench(words, request.param == "blocks", snapshot)


def test_verdicts_and_tags(make):
    bench = make("-R --role customer --peer-tag PEER_AS --invalid keep")
    for path, status, hop in (
        (UP, "VALID", None),
        ([65001, 65005], "UNKNOWN", None),
        (LEAK, "INVALID", "65004 65001"),
        ([65002, 65003], "INVALID", None),
        ([65001, 65002, [65003]], "INVALID", None),
        ([], "INVALID", None),
        ([{"confed_sequence": [65001]}], "INVALID", None),
        ([65001, 65001, 65002, 65002, 65003], "VALID", None),
    ):
        (left,) = bench.send(announce(path))
        assert left.tags["aspa/status"] == status, path
        assert left.tags.get("aspa/invalid-hop") == hop, path
    assert bench.stage.status()["metrics"] == {"messages": 8, "valid": 2, "invalid": 5, "unknown": 1}
    assert bench.stage.status()["aspa_entries"] == 3


def test_what_the_neighbor_is(make):
    down = [65002, 65001, 65009]
    for role, status in (("provider", "VALID"), ("customer", "UNKNOWN"), ("peer", "UNKNOWN"), ("rs", "UNKNOWN")):
        (left,) = make(f"-R --role {role} --peer-tag PEER_AS --invalid keep").send(announce(down), 65002)
        assert left.tags["aspa/status"] == status, role
    (left,) = make("-R --role rs --peer-tag PEER_AS --invalid keep").send(announce(UP), 65555)
    assert left.tags["aspa/status"] == "VALID"
    (left,) = make("-R --role peer --peer-tag PEER_AS --invalid keep --first-hop=false").send(announce(UP), 65555)
    assert left.tags["aspa/status"] == "VALID"


def test_invalid_routes_are_withdrawn(make):
    words = "-R --role customer --peer-tag PEER_AS"
    (left,) = make(words).send(announce(LEAK, "10.0.0.0/8", "10.0.0.0/9", MED=3))
    assert [*map(str, left.update.withdrawn)] == ["10.0.0.0/8", "10.0.0.0/9"]
    assert not left.update.attrs
    assert left.tags["aspa/invalid-hop"] == "65004 65001"
    assert make(f"{words} --invalid drop").send(announce(LEAK)) == []
    bench = make(f"{words} --event LEAK --invalid keep")
    bench.send(announce(LEAK))
    assert bench.pipeline.events["aspa/LEAK"] == 1


def test_what_is_not_judged_passes_without_tags(make):
    words = "-R --role customer --peer-tag PEER_AS"
    for message, bench in (
        (announce(LEAK), make(words, EMPTY)),
        (announce(LEAK), make("-R")),  # nobody says what the neighbor is
        (announce(LEAK), make("-R --role customer --peer-tag OTHER")),
        (Message(UPDATE, Update.make(withdrawn=["10.0.0.0/8"]).body), make(words)),
    ):
        (left,) = bench.send(message)
        assert left.body == message.body
        assert not any(key.startswith("aspa/") for key in left.tags)


@pytest.mark.parametrize("words", ["-LR --role peer", "-R --peer-tag PEER_AS"])
def test_options_that_do_not_fit(words):
    with pytest.raises(ConfigError):
        begin(stage(Feeder, "-LR --new first"), stage(Aspa, words))


@pytest.mark.parametrize("role", [3, None])
async def test_a_leak_is_taken_back_and_comes_again(role):
    """role: what the peer on the left says in its OPEN; without it --role says that it is a customer."""
    words = "aspa -R --no-wait" if role is not None else "aspa -R --no-wait --role customer"
    async with between(*words.split()) as session:
        rpki = session.pipeline.pipeline.shared.rpki
        given = [Capability(caps.ROLE, bytes((role,)))] if role is not None else []
        await session.establish(make_open(65001, *given), make_open(65009, Capability(caps.ROLE, b"\0")))
        kept = session.pipeline.stage("aspa").revalidations["R"]
        last = announce([65001], "192.0.2.0/24")
        session.left.send(announce(UP, "10.1.0.0/16"), announce(LEAK, "10.2.0.0/16"), last)
        await session.right.until(last)
        withdrawn = Message(UPDATE, Update.make(withdrawn=["10.2.0.0/16"]).body)
        for snapshot, expected in ((ASPAS, withdrawn), (EMPTY, announce(LEAK, "10.2.0.0/16"))):
            rpki.replace(snapshot)
            assert (await session.right.until(expected))[:-1] == []
            await session.pipeline.until(lambda: not kept.busy)
        assert (kept.withdrawn, kept.announced) == (1, 1)
