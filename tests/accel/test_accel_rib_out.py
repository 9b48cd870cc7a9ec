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
