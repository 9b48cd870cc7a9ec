"""What accel knows of path attributes is what the table of bgpipe.wire.attrs says: codes, names and flags."""

from __future__ import annotations

import json

import pytest
from accel_records import attribute, block, update

from bgpipe import accel
from bgpipe.wire.attrs import OPTIONAL, PARTIAL, TABLE, TRANSITIVE

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason="no accel")

VALUES = {
    1: "00",
    2: "0201 0000fde9",
    3: "c0000201",
    4: "00000064",
    5: "00000064",
    6: "",
    7: "0000fde9 c0000201",
    8: "fde90001",
    9: "c0000201",
    10: "c0000201",
    14: "000201 10 20010db8000000000000000000000001 00 20 20010db8",
    15: "000201 20 20010db8",
    16: "0002fde900000001",
    17: "0201 0000fde9",
    18: "0000fde9 c0000201",
    32: "0000fde9 00000001 00000002",
    35: "0000fde9",
}
"""A value of each attribute that accel knows."""


def encode(code: int, flags: int, value: str) -> bytes:
    one = block(update(attribute(flags, code, value)))
    lines, _ = accel.json_out.encode(one.octets, one.index, 0)
    return bytes(lines)


@pytest.mark.parametrize("code", VALUES)
def test_names_and_flags(code):
    row = TABLE[code]
    text = encode(code, row.required, VALUES[code])
    assert list(json.loads(text)[4]["attrs"]) == [row.name]
    octets, _, end, *_ = accel.json_in.decode(text, 0)
    assert end == len(text)
    assert bytes((row.required, code)) in octets
    both = OPTIONAL | TRANSITIVE
    for flags in (0, OPTIONAL, TRANSITIVE, both, row.required | PARTIAL):
        usual = flags == row.required or (flags == both | PARTIAL and row.required == both)
        assert (encode(code, flags, VALUES[code]) != b"") is usual


def test_all_others_are_left_to_python():
    for code in set(range(256)) - VALUES.keys():
        for value in ("", "00", "00000064", "0000fde9 c0000201"):
            assert all(encode(code, flags, value) == b"" for flags in (0, OPTIONAL, TRANSITIVE, OPTIONAL | TRANSITIVE))
