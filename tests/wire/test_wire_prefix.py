"""Prefixes between octets and text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.wire import prefix as module
from bgpipe.wire.errors import TextError, WireError
from bgpipe.wire.prefix import (
    Prefix,
    decode_prefixes,
    encode_prefix,
    encode_prefixes,
    format_prefixes,
    parse_prefix,
    split_prefixes,
)


def prefixes(afi: int) -> st.SearchStrategy[Prefix]:
    bits = module.AFI_BITS[afi]

    def masked(address: int, length: int, path_id: int | None) -> Prefix:
        return Prefix(afi, address >> (bits - length) << (bits - length), length, path_id)

    return st.builds(
        masked, st.integers(0, (1 << bits) - 1), st.integers(0, bits), st.none() | st.integers(0, 0xFFFFFFFF)
    )


@pytest.mark.parametrize("afi", [1, 2])
@given(data=st.data(), add_path=st.booleans())
def test_octets_and_text_come_back(afi, data, add_path):
    wanted = [
        prefix._replace(path_id=(prefix.path_id or 0) if add_path else None)
        for prefix in data.draw(st.lists(prefixes(afi), max_size=5))
    ]
    octets = encode_prefixes(wanted, afi, add_path)
    assert decode_prefixes(octets, afi, add_path) == wanted
    texts = format_prefixes(octets, afi, add_path)
    assert texts == [str(prefix) for prefix in wanted]
    assert [parse_prefix(text) for text in texts] == wanted
    assert encode_prefixes(texts, afi, add_path) == octets


def test_a_part_of_the_octets():
    octets = bytes.fromhex("ffff" + "180a0000" + "08" + "0b")
    assert format_prefixes(octets, 1, pos=2, end=6) == ["10.0.0.0/24"]
    assert format_prefixes(octets, 1, pos=2) == ["10.0.0.0/24", "11.0.0.0/8"]
    for end in (5, 7):
        with pytest.raises(WireError, match="cut short"):
            format_prefixes(octets, 1, pos=2, end=end)
        with pytest.raises(WireError, match="cut short"):
            decode_prefixes(octets, 1, pos=2, end=end)


@pytest.mark.parametrize("read", [split_prefixes, decode_prefixes, format_prefixes])
@pytest.mark.parametrize(
    ("octets", "afi", "add_path"),
    [
        ("21" + "00" * 5, 1, False),
        ("81" + "00" * 17, 2, False),
        ("ff", 1, False),
        ("18c000", 1, False),
        ("00000007", 1, True),
        ("0000", 2, True),
        ("0000000718c000", 1, True),
        ("0000000721" + "00" * 5, 1, True),
    ],
)
def test_bad_nlri(read, octets, afi, add_path):
    """RFC 7606 section 5.3: 3/10."""
    with pytest.raises(WireError) as caught:
        read(bytes.fromhex(octets), afi, add_path)
    assert (caught.value.code, caught.value.subcode) == (3, 10)


def test_bits_behind_the_mask_are_cleared():
    assert format_prefixes(bytes.fromhex("110a0203"), 1) == ["10.2.0.0/17"]
    assert decode_prefixes(bytes.fromhex("110a02ff"), 1) == [Prefix(1, 0x0A028000, 17)]
    assert parse_prefix("10.2.3.4/17") == Prefix(1, 0x0A020000, 17)


def test_texts():
    assert str(Prefix(1, 0, 0)) == "0.0.0.0/0"
    assert str(Prefix(2, 1 << 96, 128, 7)) == "#7#0:1::/128"
    assert Prefix(2, 0x20010DB8 << 96, 32).network == "2001:db8::"
    assert encode_prefix(parse_prefix("#9#10.0.0.0/8")).hex() == "080a"
    assert encode_prefix(parse_prefix("10.0.0.0/8"), add_path=True).hex() == "00000000080a"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/8",
        "10.0.0.0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/8 ",
        "10.0.0/8",
        "10.0.0.0/٣",
        "::/129",
        "::/-1",
        "::/1e1",
        "fe80::1%eth0/64",
        "#10.0.0.0/8",
        "##10.0.0.0/8",
        "#x#10.0.0.0/8",
        "#٣#10.0.0.0/8",
        "#4294967296#10.0.0.0/8",
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(TextError):
        parse_prefix(text)


def test_prefixes_of_the_other_family_are_refused():
    with pytest.raises(TextError, match="not an IPv6 prefix"):
        encode_prefixes(["10.0.0.0/8"], 2)
    with pytest.raises(TextError, match="not an IPv4 prefix"):
        encode_prefixes([parse_prefix("::/0")], 1)


def test_remembered_texts_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "_CACHE_SIZE", 10)
    module._texts[1].clear()
    octets = b"".join(bytes((24, 10, 0, number)) for number in range(100))
    assert format_prefixes(octets, 1) == [f"10.0.{number}.0/24" for number in range(100)]
    assert len(module._texts[1]) <= 10
