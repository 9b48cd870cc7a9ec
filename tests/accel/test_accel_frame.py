"""What a live session asks of accel: which UPDATEs are beyond doubt, so that nobody has to judge them."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from accel_records import attribute, update

from bgpipe import accel
from bgpipe.wire.context import AS2, AS4
from bgpipe.wire.flags import FLAG_AS4
from bgpipe.wire.message import HEADER
from bgpipe.wire.update import Update

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason="no accel")

ORIGIN, NEXT_HOP = attribute(0x40, 1, "00"), attribute(0x40, 3, "c0000201")
PATH4, PATH2 = attribute(0x40, 2, "0202 0000fde9 0000fdea"), attribute(0x40, 2, "0202 fde9 fdea")
REACH = bytes.fromhex("18cb0071")
V6 = attribute(0x80, 14, "000201 10 20010db8000000000000000000000001 00 20 20010db8")
ODD = {
    "no origin": update(PATH4, NEXT_HOP, reach=REACH),
    "no path": update(ORIGIN, NEXT_HOP, reach=REACH),
    "no next hop": update(ORIGIN, PATH4, reach=REACH),
    "no origin of IPv6": update(PATH4, V6),
    "no path of IPv6": update(ORIGIN, V6),
    "next hop 0.0.0.0": update(ORIGIN, PATH4, attribute(0x40, 3, "00000000"), reach=REACH),
    "next hop 127.0.0.1": update(ORIGIN, PATH4, attribute(0x40, 3, "7f000001"), reach=REACH),
    "next hop 224.0.0.5": update(ORIGIN, PATH4, attribute(0x40, 3, "e0000005"), reach=REACH),
    "AS 0": update(ORIGIN, attribute(0x40, 2, "0202 0000fde9 00000000"), NEXT_HOP, reach=REACH),
    "AS 0 in AS4_PATH": update(ORIGIN, PATH4, NEXT_HOP, attribute(0xC0, 17, "0101 00000000"), reach=REACH),
    "aggregator AS 0": update(ORIGIN, PATH4, NEXT_HOP, attribute(0xC0, 7, "00000000 c0000201"), reach=REACH),
    "AS4 aggregator AS 0": update(ORIGIN, PATH4, NEXT_HOP, attribute(0xC0, 18, "00000000 c0000201"), reach=REACH),
    "OTC AS 0": update(ORIGIN, PATH4, NEXT_HOP, attribute(0xC0, 35, "00000000"), reach=REACH),
}


def needs_check(messages: Iterable[bytes], flags: int = FLAG_AS4) -> list[int]:
    octets = b"".join(messages)
    index, end = accel.frame.frame(octets, 0, len(octets), flags, 1, 4096, False)
    assert end == len(octets)
    return list(accel.frame.check(octets, index))


@pytest.mark.parametrize("message", ODD.values(), ids=ODD)
def test_what_is_well_formed_but_may_not_be_is_for_python(message: bytes) -> None:
    good = update(ORIGIN, PATH4, NEXT_HOP, reach=REACH)
    assert needs_check([good, message, good]) == [1]
    assert Update.decode(message[HEADER:], AS4).errors


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("path", "context", "flags"), [(PATH4, AS4, FLAG_AS4), (PATH2, AS2, 0)], ids=["as4", "as2"])
def test_nothing_malformed_is_beyond_doubt(seed: int, path: bytes, context, flags: int) -> None:
    """Octets of a good UPDATE are changed; what Python then has something against, accel must have found odd."""
    rng = Random(seed)
    more = [attribute(0xC0, 8, "fde9029a"), attribute(0xC0, 35, "0000fde9"), attribute(0x80, 4, "00000064"), V6]
    messages = []
    for _ in range(4000):
        good = bytearray(update(ORIGIN, path, NEXT_HOP, *rng.sample(more, 2), reach=REACH))
        for _ in range(rng.randrange(3)):
            good[rng.randrange(HEADER, len(good))] = rng.choice((0, 1, 2, 4, 64, 128, 224, rng.randrange(256)))
        messages.append(bytes(good))
    found = set(needs_check(messages, flags))
    malformed = {number for number, each in enumerate(messages) if Update.decode(each[HEADER:], context).errors}
    assert 1000 < len(malformed) < 3999
    assert malformed <= found
