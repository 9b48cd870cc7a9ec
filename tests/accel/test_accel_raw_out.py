"""Blocks to raw messages."""

from __future__ import annotations

import pytest
from accel_records import KEEPALIVE, block, join, message, peer, update

from bgpipe import accel

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
if accel.AVAILABLE:
    from bgpipe.accel.raw_out import encode

ROUTE = update(reach=b"\x18\xc6\x33\x64")


def test_messages_stand_one_behind_the_other():
    all_three = join(block(ROUTE, header=peer()), block(message(b"", KEEPALIVE)), block(b"\xff" * 300))
    octets = ROUTE + message(b"", KEEPALIVE) + b"\xff" * 300
    assert encode(all_three.octets, all_three.index, 0) == (octets, 3)
    assert encode(all_three.octets, all_three.index, 1) == (octets[len(ROUTE) :], 3)
    assert encode(all_three.octets, all_three.index, 3) == (b"", 3)


def test_it_grows_as_it_must():
    long = update(reach=b"\0" * 65_000)
    many = join(*[block(long)] * 40)
    assert encode(many.octets, many.index, 0) == (long * 40, 40)


def test_an_index_that_points_outside_is_declined():
    one = block(ROUTE)
    assert encode(one.octets[:-1], one.index, 0) == (b"", 0)
