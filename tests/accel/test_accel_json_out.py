"""Accel's JSON lines, against lines written by hand. test_accel_differential.py has the rest."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from random import Random

import pytest
from accel_records import KEEPALIVE, NOTIFICATION, OPEN, TIME, attribute, block, join, message, peer, update

from bgpipe import accel
from bgpipe.formats.json import JsonEncoder
from bgpipe.formats.json_go import GoEncoder
from bgpipe.wire.block import ENTRY
from bgpipe.wire.ext_community import format_ext_community
from bgpipe.wire.flags import (
    FLAG_ADD_PATH,
    FLAG_ADD_PATH_IPV4,
    FLAG_ADD_PATH_IPV6,
    FLAG_AS4,
    FLAG_CHECKED,
    FLAG_LEFT,
    FLAG_RIB,
    FLAG_RIGHT,
)
from cases import all_cases

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
if accel.AVAILABLE:
    from bgpipe.accel.json_out import encode

T, OT, O, P, X = 0x40, 0xC0, 0x80, 0x20, 0x10  # noqa: E741
BODY = len('["R",1,"2026-01-02T03:04:05.000","UPDATE",')


def line(octets: bytes, **how: object) -> str:
    """The one line of a block of one message."""
    one = block(octets, **how)
    text, position = encode(one.octets, one.index, 0)
    assert position == 1
    return text.decode()


def body(octets: bytes, flags: int = FLAG_AS4 | FLAG_RIGHT) -> str:
    """Element [4] of the line of an UPDATE."""
    return line(octets, flags=flags)[BODY:].rpartition(",{")[0]


def declined(octets: bytes, flags: int = FLAG_AS4 | FLAG_RIGHT) -> bool:
    one = block(octets, flags)
    return encode(one.octets, one.index, 0) == (b"", 0)


def value(attribute_octets: bytes, flags: int = FLAG_AS4 | FLAG_RIGHT) -> str:
    """`"NAME":{..}` of an UPDATE with one attribute."""
    return body(update(attribute_octets), flags)[len('{"attrs":{') : -len("}}")]


def test_octets_in_hexadecimal_beside_path_identifiers():
    """WIRE then says that there are path identifiers, and of which families."""
    prefix, plain = bytes.fromhex("00000007 18c63364"), bytes.fromhex("18c63364")
    hexadecimal, target = attribute(OT, 16, "4355000000000001"), attribute(OT, 16, "0002fde900000001")
    both = FLAG_ADD_PATH_IPV4 | FLAG_ADD_PATH_IPV6
    for flags, reach, said in (
        (FLAG_ADD_PATH, prefix, "ADDPATH"),
        (FLAG_ADD_PATH_IPV4, prefix, "ADDPATH:IPV4/UNICAST"),
        (FLAG_ADD_PATH_IPV6, plain, "ADDPATH:IPV6/UNICAST"),
        (both, prefix, "ADDPATH:IPV4/UNICAST,IPV6/UNICAST"),
    ):
        assert line(update(hexadecimal, reach=reach), flags=FLAG_AS4 | flags).endswith(f',{{"WIRE":"{said}"}}]\n')
        assert line(update(hexadecimal, reach=reach), flags=flags).endswith(f',{{"WIRE":"AS2|{said}"}}]\n')
        assert line(update(target, reach=reach), flags=FLAG_AS4 | flags).endswith(",{}]\n")


def test_a_whole_line():
    octets = update(
        attribute(T, 1, "00"),
        attribute(T, 2, "0202 0000fde9 00010000 0102 00000001 ffffffff"),
        attribute(T, 3, "c0000201"),
        attribute(O, 4, "00000064"),
        attribute(OT, 8, "fde90001 ffff029a"),
        reach=bytes.fromhex("18c63364 00 20cb007101"),
        withdrawn=bytes.fromhex("0a0ac0"),
    )
    assert line(octets, header=peer(interface=3), seq=42) == (
        '["R",42,"2026-01-02T03:04:05.000","UPDATE",'
        '{"reach":["198.51.100.0/24","0.0.0.0/0","203.0.113.1/32"],"unreach":["10.192.0.0/10"],"attrs":{'
        '"ORIGIN":{"flags":"T","value":"IGP"},'
        '"ASPATH":{"flags":"T","value":[65001,65536,[1,4294967295]]},'
        '"NEXTHOP":{"flags":"T","value":"192.0.2.1"},'
        '"MED":{"flags":"O","value":100},'
        '"COMMUNITY":{"flags":"OT","value":["65001:1","65535:666"]}}},'
        '{"PEER_AS":"65001","PEER_IP":"192.0.2.1","LOCAL_AS":"65002","LOCAL_IP":"192.0.2.2","INTERFACE":"3"}]\n'
    )


def test_the_envelope():
    keepalive = message(b"", KEEPALIVE)
    for flags, direction in ((0, "?"), (FLAG_LEFT, "L"), (FLAG_RIGHT, "R"), (FLAG_LEFT | FLAG_RIGHT, "LR")):
        assert line(keepalive, flags=flags, seq=0, time=0) == (
            f'["{direction}",0,"1970-01-01T00:00:00.000","KEEPALIVE",null,{{}}]\n'
        )


@pytest.mark.parametrize("seq", [1, 999, 1000, 1001, 999_999, 1_000_000, 4_294_967_296, 1_000_000_007_000_009])
def test_sequence_numbers(seq):
    assert line(message(b"", KEEPALIVE), seq=seq).startswith(f'["R",{seq},"')


def test_times():
    random = Random(7)
    months = [
        int(datetime(year, month, 1, tzinfo=UTC).timestamp())
        for year in (1972, 2000, 2026, 2100)
        for month in range(1, 13)
    ]
    seconds = [random.randrange(2**32) for _ in range(300)]
    for second in [0, 2**32 - 1, TIME, *seconds, *months, *(month - 1 for month in months)]:
        text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        for micros, fraction in ((0, "000"), (7000, "007"), (999_000, "999"), (1, "000001"), (678_901, "678901")):
            shown = line(message(b"", KEEPALIVE), time=second * 1_000_000 + micros)
            assert shown == f'["R",1,"{text}.{fraction}","KEEPALIVE",null,{{}}]\n'


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        (
            peer(as4=True, ipv6=True),
            '"PEER_AS":"65001","PEER_IP":"2001:db8::1","LOCAL_AS":"65002","LOCAL_IP":"2001:db8::2"',
        ),
        (peer(0, 0), '"PEER_IP":"192.0.2.1","LOCAL_IP":"192.0.2.2"'),
        (peer()[:12] + bytes(8), '"PEER_AS":"65001","LOCAL_AS":"65002"'),
        (bytes(10) + b"\0\1" + bytes(8), ""),
        (peer(4200000001)[:16] + bytes(4), '"PEER_AS":"4200000001","PEER_IP":"192.0.2.1","LOCAL_AS":"65002"'),
    ],
)
def test_tags(header, tags):
    assert line(message(b"", KEEPALIVE), header=header).endswith(f"null,{{{tags}}}]\n")


def test_tags_of_more_peers_than_are_remembered():
    keepalive = message(b"", KEEPALIVE)
    headers = [peer(65001 + number, ipv6=number % 3 == 0) for number in range(700)] * 2
    all_peers = join(*(block(keepalive, header=header) for header in headers))
    text, position = encode(all_peers.octets, all_peers.index, 0)
    assert position == 1400
    assert text.decode() == "".join(line(keepalive, header=header) for header in headers)


GLOBAL, LINK_LOCAL = "20010db8000000000000000000000001", "fe800000000000000000000000000001"
ATTRIBUTES = [
    (T, 1, "01", "ORIGIN", "T", '"EGP"'),
    (T, 1, "02", "ORIGIN", "T", '"INCOMPLETE"'),
    (T | X, 1, "00", "ORIGIN", "TX", '"IGP"'),
    (T, 2, "", "ASPATH", "T", "[]"),
    (T, 2, "0101 00000005 0101 00000006", "ASPATH", "T", "[[5],[6]]"),
    (T, 2, "0101 00000005 0201 00000006", "ASPATH", "T", "[[5],6]"),
    (T, 5, "ffffffff", "LOCALPREF", "T", "4294967295"),
    (T, 6, "", "AGGREGATE", "T", "true"),
    (OT, 7, "00010000 c0000201", "AGGREGATOR", "OT", '{"asn":65536, "addr":"192.0.2.1"}'),
    (OT | P, 8, "00000000", "COMMUNITY", "OTP", '["0:0"]'),
    (O, 9, "c0000201", "ORIGINATOR", "O", '"192.0.2.1"'),
    (O, 10, "c0000201 00000000", "CLUSTER_LIST", "O", '["192.0.2.1","0.0.0.0"]'),
    (
        O,
        14,
        f"000201 10 {GLOBAL} 00 00 20 20010db8 80 20010db8000000000000000100000001",
        "MP_REACH",
        "O",
        '{"af":"IPV6/UNICAST","nexthop":"2001:db8::1","prefixes":["::/0","2001:db8::/32","2001:db8::1:0:1/128"]}',
    ),
    (
        O,
        14,
        f"000202 20 {GLOBAL} {LINK_LOCAL} 00",
        "MP_REACH",
        "O",
        '{"af":"IPV6/MULTICAST","nexthop":"2001:db8::1","link-local":"fe80::1","prefixes":[]}',
    ),
    (
        O | X,
        14,
        "000101 04 c0000201 00 08 0a",
        "MP_REACH",
        "OX",
        '{"af":"IPV4/UNICAST","nexthop":"192.0.2.1","prefixes":["10.0.0.0/8"]}',
    ),
    (
        O,
        14,
        f"000102 10 {GLOBAL} 00 08 0a",
        "MP_REACH",
        "O",
        '{"af":"IPV4/MULTICAST","nexthop":"2001:db8::1","prefixes":["10.0.0.0/8"]}',
    ),
    (O, 15, "000201", "MP_UNREACH", "O", '{"af":"IPV6/UNICAST","prefixes":[]}'),
    (O, 15, "000101 0aff80", "MP_UNREACH", "O", '{"af":"IPV4/UNICAST","prefixes":["255.128.0.0/10"]}'),
    (
        OT,
        16,
        "0002 fde9 ffffffff 0003 0001 00000002",
        "EXT_COMMUNITY",
        "OT",
        '[{"type":"TARGET","value":"65001:4294967295"},{"type":"ORIGIN","value":"1:2"}]',
    ),
    (
        OT,
        16,
        "0102 c0000201 0064 0103 c0000201 0065",
        "EXT_COMMUNITY",
        "OT",
        '[{"type":"IP4_TARGET","value":"192.0.2.1:100"},{"type":"IP4_ORIGIN","value":"192.0.2.1:101"}]',
    ),
    (
        OT,
        16,
        "0202 00010000 0064 0203 00010000 0065",
        "EXT_COMMUNITY",
        "OT",
        '[{"type":"AS4_TARGET","value":"65536:100"},{"type":"AS4_ORIGIN","value":"65536:101"}]',
    ),
    (
        OT,
        16,
        "4355 000000000001 0356 ffff00abcdef 0657 000000000000 4002 0001 00000002",
        "EXT_COMMUNITY",
        "OT",
        '[{"type":"0x4355","value":"0x1","nontransitive":true},{"type":"0x356","value":"0xffff00abcdef"},'
        '{"type":"0x657","value":"0x0"},{"type":"TARGET","value":"1:2","nontransitive":true}]',
    ),
    (
        OT,
        16,
        "0055 0001 00000002 0110 c0000201 0003 0256 00010000 0004 0355 000012340000",
        "EXT_COMMUNITY",
        "OT",
        '[{"type":"0x55","value":"1:2"},{"type":"0x110","value":"192.0.2.1:3"},{"type":"0x256","value":"65536:4"},'
        '{"type":"0x355","value":"0x12340000"}]',
    ),
    (OT, 17, "0201 00010000", "AS4PATH", "OT", "[65536]"),
    (OT, 18, "00010000 c0000201", "AS4AGGREGATOR", "OT", '{"asn":65536, "addr":"192.0.2.1"}'),
    (OT, 32, "00010000 00000000 ffffffff", "LARGE_COMMUNITY", "OT", '["65536:0:4294967295"]'),
    (OT, 35, "0000fde9", "OTC", "OT", "65001"),
]


@all_cases(("flags", "code", "octets", "name", "letters", "text"), ATTRIBUTES)
def test_attributes(flags, code, octets, name, letters, text):
    assert value(attribute(flags, code, octets)) == f'"{name}":{{"flags":"{letters}","value":{text}}}'


def test_extended_communities_of_all_types_are_as_python_shows_them():
    """Those that have a name are declined, but for route targets and origins."""
    for kind in range(1 << 16):
        one = block(update(attribute(OT, 16, f"{kind:04x} 0001c0000201")))
        text, position = encode(one.octets, one.index, 0)
        shown = format_ext_community(kind << 48 | 0x0001C0000201)
        assert position == 0 or shown.encode() in text
        if kind & 0xBF00 < 0x0300 and kind & 0xFF in (2, 3):
            assert position == 1


def test_attributes_keep_their_order():
    assert body(update(attribute(OT, 35, "00000001"), attribute(T, 1, "00"))) == (
        '{"attrs":{"OTC":{"flags":"OT","value":1},"ORIGIN":{"flags":"T","value":"IGP"}}}'
    )


def test_two_octet_as_numbers():
    assert value(attribute(T, 2, "0202 fde9 5ba0 0101 0001"), 0) == '"ASPATH":{"flags":"T","value":[65001,23456,[1]]}'
    assert value(attribute(OT, 7, "fde9 c0000201"), 0) == (
        '"AGGREGATOR":{"flags":"OT","value":{"asn":65001, "addr":"192.0.2.1"}}'
    )
    assert value(attribute(OT, 17, "0201 00010000"), 0) == '"AS4PATH":{"flags":"OT","value":[65536]}'


@pytest.mark.parametrize("flags", [0, FLAG_AS4])
@pytest.mark.parametrize("header", [None, peer(), peer(interface=3)])
@pytest.mark.parametrize(
    "path", [attribute(OT, 17, "0201 00010000"), attribute(OT, 18, "00010000 c0000201"), attribute(O, 4, "00000064")]
)
def test_the_width_of_as_numbers_is_said_where_the_line_does_not_show_it(flags, header, path):
    how = {"flags": flags | FLAG_RIGHT} | ({"header": header} if header else {})
    one = block(update(path), **how)
    text, _ = encode(one.octets, one.index, 0)
    assert text == JsonEncoder().encode(one.message(0))
    said = b'"WIRE":"AS2"' if not flags else b'"WIRE":"AS4"'
    assert (said in text) == (not flags or path[1] != 4)
    how["flags"] |= FLAG_RIB
    one = block(update(path), **how)
    text, _ = encode(one.octets, one.index, 0)
    assert text == JsonEncoder().encode(one.message(0))
    assert b'RIB"}]' in text
    short, _ = encode(one.octets, one.index, 0, True)
    assert short == GoEncoder().encode(one.message(0))
    assert b"RIB" not in short


def test_times_in_milliseconds():
    one = block(message(b"", KEEPALIVE), time=1_700_000_000_123_999)
    assert b"T22:13:20.123999" in encode(one.octets, one.index, 0)[0]
    assert b'T22:13:20.123"' in encode(one.octets, one.index, 0, True)[0]


def test_path_identifiers():
    octets = update(
        attribute(O, 15, "000201 00000007 20 20010db8"),
        reach=bytes.fromhex("00000000 08 0a ffffffff 00"),
        withdrawn=bytes.fromhex("00000001 08 0b"),
    )
    assert body(octets, FLAG_AS4 | FLAG_ADD_PATH | FLAG_RIGHT) == (
        '{"reach":["#0#10.0.0.0/8","#4294967295#0.0.0.0/0"],"unreach":["#1#11.0.0.0/8"],'
        '"attrs":{"MP_UNREACH":{"flags":"O","value":{"af":"IPV6/UNICAST","prefixes":["#7#2001:db8::/32"]}}}}'
    )


def test_an_empty_update():
    assert body(update()) == "{}"


def test_addresses_look_as_the_standard_library_writes_them():
    random = Random(6)
    for _ in range(2000):
        words = [random.choice((0, 0, 0, 1, 0xA, 0x1B, 0x12C, 0xFFFF, random.randrange(65536))) for _ in range(8)]
        words[random.randrange(5)] |= 0x2000  # no address with an IPv4 one inside
        octets = b"".join(word.to_bytes(2, "big") for word in words)
        length = random.randrange(129)
        mask = (1 << 128) - (1 << (128 - length))
        masked = ipaddress.IPv6Address(int.from_bytes(octets, "big") & mask)
        if length < 96 or words[:5] == [0] * 5:
            continue
        nlri = bytes((length,)) + octets[: (length + 7) // 8]
        text = f'"MP_UNREACH":{{"flags":"O","value":{{"af":"IPV6/UNICAST","prefixes":["{masked}/{length}"]}}}}'
        assert value(attribute(O, 15, b"\0\2\1" + nlri)) == text


@pytest.mark.parametrize(
    ("nlri", "text"),
    [
        ("00", "::/0"),
        ("10 0000", "::/16"),
        ("80" + "00" * 16, "::/128"),
        ("80" + "00" * 15 + "01", "::1/128"),
        ("80" + "00" * 10 + "ffffc0000201", "::ffff:192.0.2.1/128"),
        ("60" + "00" * 10 + "ffff", "::ffff:0.0.0.0/96"),
        ("80 0000 0001 0000 0000 0002 0000 0000 0003", "0:1::2:0:0:3/128"),
        ("80 0001 0000 0000 0002 0000 0000 0000 0000", "1:0:0:2::/128"),
        ("80 0001 0000 0002 0003 0004 0005 0006 0007", "1:0:2:3:4:5:6:7/128"),
    ],
)
def test_addresses_with_zeros(nlri, text):
    shown = value(attribute(O, 15, "000201" + nlri))
    assert shown == f'"MP_UNREACH":{{"flags":"O","value":{{"af":"IPV6/UNICAST","prefixes":["{text}"]}}}}'


DECLINED = {
    "unknown attribute": attribute(OT, 99, "0102"),
    "reserved attribute": attribute(OT, 0, ""),
    "code above 63": attribute(OT, 128, "00000001"),
    "optional ORIGIN": attribute(OT, 1, "00"),
    "partial MED": attribute(O | P, 4, "00000001"),
    "non-transitive COMMUNITY": attribute(O, 8, "00000001"),
    "low flag bit": attribute(T | 1, 1, "00"),
    "undefined ORIGIN": attribute(T, 1, "03"),
    "long ORIGIN": attribute(T, 1, "0000"),
    "empty ORIGIN": attribute(T, 1, ""),
    "long NEXT_HOP": attribute(T, 3, "c000020100"),
    "short MED": attribute(O, 4, "000001"),
    "ATOMIC_AGGREGATE with a value": attribute(T, 6, "00"),
    "short AGGREGATOR": attribute(OT, 7, "fde9c0000201"),
    "empty COMMUNITY": attribute(OT, 8, ""),
    "odd COMMUNITY": attribute(OT, 8, "0000000100"),
    "odd CLUSTER_LIST": attribute(O, 10, "000001"),
    "odd EXT_COMMUNITY": attribute(OT, 16, "0002fde90000"),
    "FlowSpec action": attribute(OT, 16, "8007000000000005"),
    "FlowSpec redirect": attribute(OT, 16, "0800000000000001"),
    "EXT_COMMUNITY with an odd name": attribute(OT, 16, "0000000000000001"),
    "another one": attribute(OT, 16, "40ff000000000001"),
    "odd LARGE_COMMUNITY": attribute(OT, 32, "0000000100000002"),
    "empty AS4_PATH": attribute(OT, 17, ""),
    "segment type": attribute(T, 2, "0501 00000001"),
    "confederation": attribute(T, 2, "0301 00000001"),
    "empty segment": attribute(T, 2, "0200"),
    "cut segment": attribute(T, 2, "0202 00000001"),
    "half a segment header": attribute(T, 2, "0201 00000001 02"),
    "sequence after sequence": attribute(T, 2, "0201 00000001 0201 00000002"),
    "family without a form": attribute(O, 15, "000187"),
    "AFI": attribute(O, 15, "000301"),
    "short MP_UNREACH": attribute(O, 15, "0001"),
    "short MP_REACH": attribute(O, 14, "000201 10 20010db8"),
    "next hop with a route distinguisher": attribute(O, 14, "000201 18" + "00" * 23 + "01 00"),
    "IPv4 next hop of IPv6": attribute(O, 14, "000201 04 c0000201 00"),
    "reserved octet": attribute(O, 14, "000101 04 c0000201 01"),
    "no reserved octet": attribute(O, 14, "000101 04 c0000201"),
    "long prefix in MP_UNREACH": attribute(O, 15, "000101 21 0000000000"),
    "long IPv6 prefix": attribute(O, 15, "000201 81" + "00" * 17),
    "cut prefix in MP_UNREACH": attribute(O, 15, "000201 20 20010d"),
    "IPv4-compatible IPv6 address": attribute(O, 15, "000201 80" + "00" * 12 + "c0000201"),
}


@all_cases("octets", DECLINED.values(), ids=DECLINED.keys())
def test_what_is_rare_or_wrong_is_left_to_python(octets):
    assert declined(update(attribute(T, 5, "00000001"), octets))


@pytest.mark.parametrize(
    "octets",
    [
        update(attribute(T, 1, "00"), attribute(T, 1, "00")),
        update(reach=b"\x21\0\0\0\0\0"),
        update(reach=b"\x18\x0a\0"),
        update(withdrawn=b"\x18\x0a\0"),
        message(b"\0\5\x18\x0a\0\0"),
        message(b"\0\0\0\5\x40\1\1\0"),
        message(b"\0\0\0\3\x40\1\1"),
        message(b"\0\0\0\1\x40"),
        message(b"\0\0\0\3\x50\1\1"),
        message(b"\x04\0\x5a\0\xb4\x0a\0\0\1\0", OPEN),
        message(b"\6\4", NOTIFICATION),
    ],
)
def test_other_messages_are_left_to_python(octets):
    assert declined(octets)


def test_it_stops_before_what_it_declines_and_goes_on_behind():
    keepalive, notification = message(b"", KEEPALIVE), message(b"\6\4", NOTIFICATION)
    three = join(block(keepalive), block(notification), block(keepalive))
    first, position = encode(three.octets, three.index, 0)
    assert (first.decode(), position) == (line(keepalive), 1)
    assert encode(three.octets, three.index, 1) == (b"", 1)
    assert encode(three.octets, three.index, 2) == (first, 3)
    assert encode(three.octets, three.index, 3) == (b"", 3)
    assert encode(three.octets, three.index, 9) == (b"", 9)


def test_an_index_that_points_outside_is_declined():
    keepalive = message(b"", KEEPALIVE)
    for octets in (b"", keepalive[:-1]):
        assert encode(octets, block(keepalive).index, 0) == (b"", 0)
    inside = block(keepalive, header=peer())
    seq, time, offset, _, *rest = ENTRY.unpack(inside.index)
    outside = ENTRY.pack(seq, time, offset, len(inside.octets) - 10, *rest)
    assert encode(inside.octets, outside, 0) == (b"", 0)


@pytest.mark.parametrize(
    ("nlri", "text"),
    [(b"\0", '"0.0.0.0/0"'), (b"\1\x80", '"128.0.0.0/1"'), (b"\x20" + b"\xff" * 4, '"255.255.255.255/32"')],
)
def test_the_longest_text_for_an_octet_has_room(nlri, text):
    count = 65_000 // len(nlri)
    assert body(update(reach=nlri * count)) == f'{{"reach":[{",".join([text] * count)}]}}'


def test_blocks_in_threads_do_not_disturb_each_other():
    from concurrent.futures import ThreadPoolExecutor

    blocks = [
        block(update(attribute(T, 5, number.to_bytes(4, "big"))), header=peer(number)) for number in range(1, 200)
    ]
    alone = [encode(one.octets, one.index, 0) for one in blocks]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda one: encode(one.octets, one.index, 0), blocks)) == alone


def test_the_index_may_be_any_buffer_of_octets():
    one = block(message(b"", KEEPALIVE))
    assert encode(one.octets, bytes(one.index), 0) == encode(one.octets, one.index, 0)


def test_messages_that_may_be_malformed_are_declined_if_they_have_no_verdict():
    loopback = attribute(T, 1, "00"), attribute(T, 2, "0201 0000fde9"), attribute(T, 3, "7f000001")
    one = block(update(*loopback, reach=bytes.fromhex("18cb0071")), FLAG_AS4 | FLAG_RIGHT)
    assert encode(one.octets, one.index, 0)[1] == 1
    assert encode(one.octets, one.index, 0, checks=True) == (b"", 0)
    text, unchecked = JsonEncoder().encode_unchecked(one)
    assert text == JsonEncoder().encode(one)
    assert [message.body for message in unchecked] == [one.message(0).body]
    known = block(update(*loopback, reach=bytes.fromhex("18cb0071")), FLAG_AS4 | FLAG_RIGHT | FLAG_CHECKED)
    assert encode(known.octets, known.index, 0, checks=True)[1] == 1
