"""Tables of routes: with accel and without, the same octets."""

from __future__ import annotations

from random import Random

import pytest
from differential import DATA
from mutants import make_stream, rare_records, real_records, sample_records
from rib_records import rib_records

from bgpipe import accel
from bgpipe.formats import rib
from bgpipe.formats.mrt import MrtDecoder, MrtEncoder
from bgpipe.wire.errors import TextError
from bgpipe.wire.family import IPV4_UNICAST, IPV6_UNICAST

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
SOURCES = {"sample": sample_records, "rare": rare_records, "rib": rib_records, "real": lambda: real_records(DATA)}


def written(octets: bytes) -> bytes:
    """What the encoder makes of an archive."""
    decoder, encoder = MrtDecoder(states=True), MrtEncoder(on_report=lambda message, error: None)
    return b"".join(map(encoder.encode, (*decoder.feed(octets), *decoder.end())))


def table(octets: bytes, size: int = 1 << 16) -> tuple[bytes, str]:
    made = rib.RibTable()
    for pos in range(0, len(octets), size):
        made.feed(octets[pos : pos + size])
    try:
        return b"".join(made.dump()), made.missing
    except TextError as error:
        return b"", str(error)


def compare(octets: bytes, monkeypatch: pytest.MonkeyPatch) -> bytes:
    stream = written(octets)
    fast = table(stream)
    with monkeypatch.context() as without:
        without.setattr(rib, "_accel", None)
        slow = table(stream)
    assert fast == slow
    return fast[0]


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_well_formed(name, monkeypatch):
    records = SOURCES[name]()
    if not records:
        pytest.skip("no real archives here")
    made = compare(b"".join(records), monkeypatch)
    assert len(made) > 100
    again = compare(made, monkeypatch)  # without the peers that have no routes
    assert compare(again, monkeypatch) == again


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SOURCES)
def test_mutants(name, seed, monkeypatch):
    records = SOURCES[name]()
    if not records:
        pytest.skip("no real archives here")
    for number in range(8):
        compare(make_stream(records, Random(f"{seed}/{number}"), 50), monkeypatch)


PREFIX, OTHER, LONG = b"\x18\x0a\0\1", b"\x19\x0a\0\1\x80", b"\x20\x0a\0\1\x80"


@pytest.fixture(params=["accel", "plain"])
def routes(request):
    """A table of IPv4 unicast without path identifiers, either kind."""
    if request.param == "plain":
        return rib.PlainTable(IPV4_UNICAST, False)
    return accel.rib_out.Table(32, False)


def records(routes, ranks: list[int]) -> bytes:
    return b"".join(octets for octets, _ in routes.records(ranks, 2, b"", 0))


def test_prefixes_come_and_go(routes):
    for number in (7, 3, 5):
        assert routes.announce(PREFIX + OTHER, number, b"\0\0\0\1", b"\0\0")
    assert routes.announce(OTHER, 5, b"\0\0\0\2", b"\0\1x")
    assert len(routes) == 2
    ranks = [0, 0, 0, 2, 0, 1, 0, 0]
    entries = (bytes(1) + bytes((index,)) + b"\0\0\0\1\0\0" for index in range(3))
    assert records(routes, ranks).endswith(b"\0\1\0\0\0\2\0\1x" + b"\0\2\0\0\0\1\0\0")
    assert b"\0\3" + b"".join(entries) in records(routes, ranks)
    for number in (3, 5, 7):
        assert routes.withdraw(PREFIX + LONG, number)
    assert len(routes) == 1
    routes.purge(bytes((0, 0, 0, 1, 0, 0, 0, 1)))
    assert records(routes, ranks).endswith(OTHER + b"\0\1\0\1\0\0\0\2\0\1x")
    routes.purge(bytes((0, 0, 0, 0, 0, 1, 0, 0)))
    assert len(routes) == 0
    assert records(routes, ranks) == b""


@pytest.mark.parametrize("bad", [b"\x21\x0a\0\1\2\3", b"\x18\x0a\0"])
def test_a_prefix_that_can_not_be_told_from_the_next(routes, bad):
    assert not routes.announce(PREFIX + bad, 1, bytes(4), b"\0\0")
    assert len(routes) == 1, "what stands before it counts"
    assert not routes.withdraw(PREFIX + bad, 1)
    assert len(routes) == 0


def test_many_prefixes_in_any_order():
    """The hash table grows, and places of prefixes that are gone are used again."""
    fast, slow = accel.rib_out.Table(128, True), rib.PlainTable(IPV6_UNICAST, True)
    rng = Random(1)
    prefixes = [bytes((0, 0, 0, rng.randrange(3), 48)) + rng.randbytes(6) for _ in range(3000)]
    for step in range(6000):
        prefix, number = rng.choice(prefixes), rng.randrange(5)
        for each in (fast, slow):
            if step % 3:
                each.announce(prefix, number, step.to_bytes(4, "big"), b"\0\1" + bytes((step & 255,)))
            else:
                each.withdraw(prefix, number)
        assert len(fast) == len(slow)
    assert records(fast, [4, 3, 2, 1, 0]) == records(slow, [4, 3, 2, 1, 0]) != b""
