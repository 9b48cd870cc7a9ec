"""What accel knows of path attributes is what the table of bgpipe.wire.attrs says: codes, names, flags and lengths."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from accel_records import attribute, block, update

from bgpipe import accel
from bgpipe.wire import attrs
from bgpipe.wire.attrs import OPTIONAL, PARTIAL, TABLE, TRANSITIVE
from bgpipe.wire.attrs.attribute import Attribute
from bgpipe.wire.block import FLAGS
from bgpipe.wire.context import AS2, AS4
from bgpipe.wire.errors import WireError
from bgpipe.wire.flags import FLAG_AS4
from cases import all_cases

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


CHANGED_TABLE = """
from bgpipe import accel
learn = accel.attributes.learn
told = []
accel.attributes.learn = told.extend
from bgpipe.wire import attrs
from bgpipe.wire.block import Block
from bgpipe.wire.message import Message
rows = {row[0]: row for row in told}
rows[attrs.MED] = (attrs.MED, "METRIC", attrs.OPTIONAL | attrs.TRANSITIVE, False, attrs.Lengths(4, many=True))
learn(list(rows.values()))
for flags, value in ((0xC0, b"1234"), (0xC0, b"12345678"), (0xC0, b"123"), (0x80, b"1234")):
    section = bytes((flags, attrs.MED, len(value))) + value
    octets = Message(2, bytes((0, 0, 0, len(section))) + section).octets
    entry = (0).to_bytes(8, "little") * 2 + (0).to_bytes(4, "little") + b"\\xff" * 4
    index = entry + len(octets).to_bytes(2, "little") + (1).to_bytes(2, "little") + bytes(4)
    text = accel.json_out.encode(octets, index, 0)[0].decode()
    print("METRIC" in text, "MED" in text)
"""


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


def test_the_constants_of_accel_are_those_of_the_table():
    for name, code in accel.attributes.CODES.items():
        assert code == getattr(attrs, name)
    assert set(accel.attributes.CODES.values()) == VALUES.keys()
    assert {code: TABLE[code].name.encode() for code in VALUES} == accel.attributes.NAMES


@all_cases("code", [code for code in VALUES if TABLE[code].lengths])
@all_cases(("context", "flags"), [(AS2, 0), (AS4, FLAG_AS4)])
def test_lengths(code, context, flags):
    row = TABLE[code]
    for length in range(50):
        one = Attribute(row.required, code, bytes(length), context)
        try:
            possible = one.value is not None and (length > 0 or row.empty)
        except WireError:
            possible = False
        carrier = block(update(attribute(row.required, code, bytes(length).hex())))
        FLAGS.fill(carrier.index, flags)
        assert (accel.frame.families(carrier.octets, carrier.index) is not None) is possible, length


def test_a_changed_table_changes_what_accel_takes():
    result = subprocess.run([sys.executable, "-c", CHANGED_TABLE], capture_output=True, text=True, check=True)
    assert result.stdout.split("\n")[:4] == ["True False", "True False", "False False", "False False"]


def test_a_table_that_says_too_little_is_refused():
    rows = [(row.code, row.name, row.required, row.empty, row.lengths) for row in TABLE[:16]]
    with pytest.raises(ValueError, match="code 16"):
        accel.attributes.learn(rows)
    with pytest.raises(ValueError, match=r"code 1$"):
        accel.attributes.learn([(1, "ORIGIN", None, False, None)])


def test_all_others_are_left_to_python():
    for code in set(range(256)) - VALUES.keys():
        for value in ("", "00", "00000064", "0000fde9 c0000201"):
            assert all(encode(code, flags, value) == b"" for flags in (0, OPTIONAL, TRANSITIVE, OPTIONAL | TRANSITIVE))
