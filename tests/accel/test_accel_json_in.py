"""JSON lines by accel: the same messages as the Python decoder reads, or the line is left to that."""

from __future__ import annotations

import bz2
from random import Random

import pytest
from accel_records import MARKER
from broken_lines import break_line
from hypothesis import given
from hypothesis import strategies as st
from mutants import rare_records, sample_records

from bgpipe import accel
from bgpipe.formats import json, json_encoder, mrt
from bgpipe.wire.address import format_address
from bgpipe.wire.block import Block
from cases import all_cases

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)

ATTRIBUTES = [
    '"ORIGIN":{"flags":"T","value":"IGP"}',
    '"ORIGIN":{"flags":"T","value":"EGP"}',
    '"ORIGIN":{"flags":"TX","value":"INCOMPLETE"}',
    '"ASPATH":{"flags":"T","value":[]}',
    '"ASPATH":{"flags":"T","value":[65001]}',
    '"ASPATH":{"flags":"T","value":[0,4294967295,[3,4],[5],6,[7]]}',
    '"ASPATH":{"flags":"T","value":[%s]}' % ",".join(map(str, range(600))),
    '"ASPATH":{"flags":"T","value":[1,[%s]]}' % ",".join(map(str, range(255))),
    '"NEXTHOP":{"flags":"T","value":"192.0.2.1"}',
    '"MED":{"flags":"O","value":0}',
    '"LOCALPREF":{"flags":"T","value":4294967295}',
    '"AGGREGATE":{"flags":"T","value":true}',
    '"AGGREGATOR":{"flags":"OTP","value":{"asn":65001, "addr":"192.0.2.1"}}',
    '"COMMUNITY":{"flags":"OT","value":["65001:1","0:65535"]}',
    '"COMMUNITY":{"flags":"OT","value":["1:1"%s]}' % (',"2:2"' * 100),
    '"ORIGINATOR":{"flags":"O","value":"192.0.2.1"}',
    '"CLUSTER_LIST":{"flags":"O","value":["192.0.2.1","192.0.2.2"]}',
    '"MP_REACH":{"flags":"O","value":{"af":"IPV6/UNICAST","nexthop":"2001:db8::1","prefixes":["2001:db8::/32","::/0"]}}',
    '"MP_REACH":{"flags":"OX","value":{"af":"IPV6/MULTICAST","nexthop":"2001:db8::1","link-local":"fe80::1",'
    '"prefixes":["2001:db8:1:2:3:4:5:6/128"]}}',
    '"MP_REACH":{"flags":"O","value":{"af":"IPV4/UNICAST","nexthop":"::ffff:192.0.2.1","prefixes":["192.0.2.0/24"]}}',
    '"MP_REACH":{"flags":"O","value":{"af":"IPV4/MULTICAST","nexthop":"192.0.2.1","prefixes":["0.0.0.0/0"]}}',
    '"MP_UNREACH":{"flags":"O","value":{"af":"IPV6/UNICAST","prefixes":[]}}',
    '"MP_UNREACH":{"flags":"O","value":{"af":"IPV4/UNICAST","prefixes":["192.0.2.0/24"]}}',
    '"EXT_COMMUNITY":{"flags":"OT","value":[{"type":"TARGET","value":"65001:1"},{"type":"ORIGIN","value":"1:4294967295"},'
    '{"type":"IP4_TARGET","value":"192.0.2.1:1"},{"type":"IP4_ORIGIN","value":"192.0.2.1:65535"},'
    '{"type":"AS4_TARGET","value":"4200000001:1"},{"type":"AS4_ORIGIN","value":"4200000001:2"}]}',
    '"LARGE_COMMUNITY":{"flags":"OT","value":["4200000001:1:2","0:0:0"]}',
    '"OTC":{"flags":"OT","value":65001}',
    '"MED":{"flags":"OX","value":7},"ASPATH":{"flags":"T","value":[1]},"ORIGIN":{"flags":"T","value":"IGP"}',
]


def line(update: str = "{}", tags: str = "{}", time: str = "2026-01-02T03:04:05.678", start: str = '"R",1') -> bytes:
    return f'[{start},"{time}","UPDATE",{update},{tags}]\n'.encode()


TAKEN = [
    *(line(f'{{"reach":["192.0.2.0/24"],"attrs":{{{text}}}}}') for text in ATTRIBUTES),
    line(),
    line('{"reach":["10.0.0.0/8","10.128.0.0/9","0.0.0.0/0","192.0.2.1/32"]}'),
    line('{"unreach":["10.0.0.0/8"]}'),
    line('{"reach":["10.0.0.0/8"],"unreach":["10.0.0.0/8","172.16.0.0/12"]}'),
    line('{"reach":["10.255.255.255/8"]}'),
    line('{"reach":[],"unreach":[]}'),
    line(start='"L",0'),
    line(start='"LR",999999999999999999'),
    line(start='"?",7'),
    line(time="1970-01-01T00:00:00.000"),
    line(time="2024-02-29T23:59:59.999"),
    line(time="2000-02-29T23:59:59.999"),
    line(time="9999-12-31T23:59:59.123456"),
    line(tags='{"PEER_AS":"65001"}'),
    line(
        tags='{"PEER_AS":"4294967295","PEER_IP":"2001:db8::1","LOCAL_AS":"1","LOCAL_IP":"::1:0:0:2","INTERFACE":"65535"}'
    ),
    line(tags='{"PEER_AS":"1","PEER_IP":"192.0.2.1","LOCAL_AS":"2","LOCAL_IP":"192.0.2.2","INTERFACE":"1"}'),
    line(tags='{"LOCAL_IP":"192.0.2.2"}'),
    line(tags='{"LOCAL_IP":"2001:db8::2"}'),
    b'["L",5,"2026-01-02T03:04:05.678","KEEPALIVE",null,{}]\n',
    *(
        line('{"attrs":{"ASPATH":{"flags":"T","value":[1,23456,[65535]]},%s}}' % text, tags=tags)
        for text in (
            '"AS4PATH":{"flags":"OT","value":[4200000001,[1,2]]}',
            '"AGGREGATOR":{"flags":"OT","value":{"asn":1, "addr":"192.0.2.1"}}',
            '"AS4AGGREGATOR":{"flags":"OT","value":{"asn":4200000001, "addr":"192.0.2.1"}}',
        )
        for tags in (
            '{"WIRE":"AS2"}',
            '{"WIRE":"AS4"}',
            '{"PEER_AS":"1","WIRE":"AS2"}',
            '{"WIRE":"AS2|RIB"}',
            '{"PEER_AS":"1","WIRE":"AS4|RIB"}',
        )
    ),
    line(tags='{"WIRE":"RIB"}'),
    line(tags='{"PEER_AS":"1","WIRE":"RIB"}'),
    b'["L",5,"2026-01-02T03:04:05.678","KEEPALIVE",null,{"WIRE":"RIB"}]\n',
]

ORIGIN = '{"attrs":{"ORIGIN":%s}}'
MP_REACH = '{"attrs":{"MP_REACH":{"flags":"O","value":%s}}}'
RESPELLED = [
    line()[:-1] + b"\r\n",
    b" " + line(),
    line().replace(b",", b", "),
    b'["R",1,"2026-01-02T03:04:05.678","UPDATE",{}]\n',
    line('{"unreach":["10.0.0.0/8"],"reach":["10.0.0.0/8"]}'),
    line(ORIGIN % '{"value":"IGP","flags":"T"}'),
    line('{"attrs":{"AGGREGATOR":{"flags":"OT","value":{"asn":1,"addr":"192.0.2.1"}}}}'),
    line(tags="null"),
    line(tags='{"PEER_IP":"192.0.2.1","PEER_AS":"1"}'),
    line().replace(b",", b" ,\t"),
    line('{ "attrs" : { "MP_REACH" : { "value" : { "prefixes" : [ "2001:db8::/32" , "::/0" ] , '
         '"nexthop" : "2001:db8::1" , "link-local" : "fe80::1" , "af" : "IPV6/UNICAST" } , "flags" : "O" } } }'),
    line('{"attrs":{"EXT_COMMUNITY":{"value":[{"value":"1:2","type":"TARGET"}, {"type":"ORIGIN", "value":"3:4"}],'
         '"flags":"OT"}},"unreach":["10.0.0.0/8"],"reach":["10.0.0.0/8"]}'),
    line('{"attrs":{"AGGREGATOR":{"flags":"OT","value":{"addr":"192.0.2.1","asn":1}}}}'),
    line('{"attrs": {"ASPATH": {"flags": "T", "value": [1, 2, [3, 4], 5]}, "MED": {"value": 5, "flags": "O"}}}'),
    line(tags='{"OTHER":"1"}'),
    line(tags='{"OTHER":"RIB"}'),
    line(tags='{"WIRE":"RIB","OTHER":"RIB"}'),
    line(tags='{"rov/status":"VALID","PEER_AS":"1","x y":"#:,{}[]~"}'),
    line(tags='{"PEER_AS":"1","a":"1","b":"2","WIRE":"AS2"}'),
    line(tags='{ "b" : "2" , "WIRE" : "AS4" , "a" : "1" , "LOCAL_IP" : "192.0.2.2" }'),
    line(tags="{" + ",".join(f'"T{n}":"1"' for n in range(20)) + "}"),
    line(tags='{"INTERFACE":"1","LOCAL_IP":"192.0.2.2","LOCAL_AS":"2","PEER_IP":"192.0.2.1","PEER_AS":"1"}'),
    line('{"attrs":{"ASPATH":{"flags":"T","value":[1,23456]}}}', tags='{"WIRE":"AS2","PEER_AS":"1"}'),
    line('{"attrs": {"ASPATH": {"flags": "T", "value": [1, 23456]}}}', tags='{"WIRE": "AS2"}'),
]  # fmt: skip
"""Other spellings of lines that are taken too."""
DECLINED = [
    b"\n",
    line(time="\0" + "026-01-02T03:04:05.678"),  # the second of the line before, but for a NUL
    line(time="\0" * 19 + ".678"),
    b"# comment\n",
    line()[:-1],
    line()[:-2] + b"\n",
    line()[:-2] + b",1]\n",
    b'{"reach":["10.0.0.0/8"]}\n',
    b'["R",1,"2026-01-02T03:04:05.678","UPDATE"]\n',
    b'["R",1,"2026-01-02T03:04:05.678","update",{},{}]\n',
    b'["R",1,"2026-01-02T03:04:05.678","REFRESH","0x00010001",{}]\n',
    b'["R",1,"2026-01-02T03:04:05.678","UPDATE","0x00000000",{}]\n',
    b'["R",1,"2026-01-02T03:04:05.678","STATE",{"old":"IDLE","new":"ESTABLISHED"},{}]\n',
    line(start='"RL",1'),
    line(start='"r",1'),
    line(start='"R",01'),
    line(start='"R",-1'),
    line(start='"R",1.0'),
    line(start='"R",9223372036854775807'),
    line(start='"R",null'),
    line(time="2026-02-29T03:04:05.678"),
    line(time="1900-02-29T03:04:05.678"),
    line(time="1969-12-31T23:59:59.999"),
    line(time="2026-00-02T03:04:05.678"),
    line(time="2026-13-02T03:04:05.678"),
    line(time="2026-04-31T03:04:05.678"),
    line(time="2026-01-00T03:04:05.678"),
    line(time="2026-01-02T24:00:00.000"),
    line(time="2026-01-02T03:60:05.678"),
    line(time="2026-01-02T03:04:60.678"),
    line(time="2026-01-02T03:04:05.6789"),
    line(time="2026-01-02 03:04:05.678"),
    line(time="2026-01-02T03:04:05"),
    line(time=""),
    line('{"reach":["10.0.0.0/33"]}'),
    line('{"reach":["10.0.0.0"]}'),
    line('{"reach":["10.0.0/8"]}'),
    line('{"reach":["10.0.0.256/8"]}'),
    line('{"reach":["010.0.0.0/8"]}'),
    line('{"reach":["10.0.0.0/08"]}'),
    line('{"reach":["#7#10.0.0.0/8"]}'),
    line('{"reach":["2001:db8::/32"]}'),
    line('{"reach":["10.0.0.0/8",]}'),
    line('{"reach":["10.0.0.0/8"'),
    line('{"reach":"10.0.0.0/8"}'),
    line('{"reach":["10.0.0.0/8"],"reach":["10.0.0.0/8"]}'),
    line('{"reach":["10.0.0.0/8"],}'),
    line('{"attrs":{}}'),
    line('{"attrs":"0x400101"}'),
    line(ORIGIN % '"IGP"'),
    line(ORIGIN % '{"flags":"T","value":"igp"}'),
    line(ORIGIN % '{"flags":"T","value":"0x00"}'),
    line(ORIGIN % '{"flags":"T","value":0}'),
    line(ORIGIN % '{"flags":"TO","value":"IGP"}'),
    line(ORIGIN % '{"flags":"TT","value":"IGP"}'),
    line(ORIGIN % '{"flags":"T1","value":"IGP"}'),
    line('{"attrs":{"ORIGIN":{"flags":"T","value":"IGP"},"ORIGIN":{"flags":"T","value":"EGP"}}}'),
    line('{"attrs":{"origin":{"flags":"T","value":"IGP"}}}'),
    line('{"attrs":{"ATTR_99":{"flags":"OT","value":"0x01"}}}'),
    line('{"attrs":{"ASPATH":{"flags":"T","value":[[]]}}}'),
    line('{"attrs":{"ASPATH":{"flags":"T","value":[[1],[%s]]}}}' % ",".join(["1"] * 256)),
    line('{"attrs":{"ASPATH":{"flags":"T","value":[4294967296]}}}'),
    line('{"attrs":{"ASPATH":{"flags":"T","value":["1"]}}}'),
    line('{"attrs":{"ASPATH":{"flags":"T","value":[{"confed_set":[1]}]}}}'),
    line('{"attrs":{"ASPATH":{"flags":"T","value":[%s]}}}' % ",".join("1" * 1100)),
    line('{"attrs":{"ASPATH":{"flags":"T","value":[%s]}}}' % ",".join("1" * 32_000)),
    line('{"attrs":{"ASPATH":{"flags":"T","value":[%s]}}}' % ",".join(["1,[1]"] * 10_000)),
    line('{"attrs":{"LARGE_COMMUNITY":{"flags":"OT","value":[%s]}}}' % ",".join(['"1:1:1"'] * 7_000)),
    line('{"attrs":{"COMMUNITY":{"flags":"OT","value":[]}}}'),
    line('{"attrs":{"COMMUNITY":{"flags":"OT","value":["65536:1"]}}}'),
    line('{"attrs":{"COMMUNITY":{"flags":"OT","value":["1:1:1"]}}}'),
    line('{"attrs":{"AGGREGATE":{"flags":"T","value":false}}}'),
    line('{"attrs":{"EXT_COMMUNITY":{"flags":"OT","value":[{"type":"TARGET","value":"65536:1"}]}}}'),
    line('{"attrs":{"EXT_COMMUNITY":{"flags":"OT","value":[{"type":"TARGET","value":"1:1","nontransitive":true}]}}}'),
    line(MP_REACH % '{"af":"IPV6/UNICAST","prefixes":[]}'),
    line(MP_REACH % '{"af":"IPV6/UNICAST","nexthop":"192.0.2.1","prefixes":[]}'),
    line(MP_REACH % '{"af":"IPV6/UNICAST","nexthop":"2001:DB8::1","prefixes":[]}'),
    line(MP_REACH % '{"af":"IPV6/UNICAST","nexthop":"2001:db8::1","prefixes":["10.0.0.0/8"]}'),
    line(MP_REACH % '{"af":"IPV6/UNICAST","nexthop":"2001:db8::1","prefixes":["2001:db8::/129"]}'),
    line(MP_REACH % '{"af":"L2VPN/EVPNS","data":"0x00"}'),
    line('{"reach":[%s]}' % ",".join(['"10.0.0.1/32"'] * 900)),
    line(tags='{"PEER_AS":65001}'),
    line(tags='{"PEER_AS":"0"}'),
    line(tags='{"PEER_AS":"007"}'),
    line(tags='{"PEER_AS":""}'),
    line(tags='{"PEER_AS":"4294967296"}'),
    line(tags='{"PEER_AS":"1","PEER_AS":"2"}'),
    line(tags='{"PEER_IP":"0.0.0.0"}'),
    line(tags='{"PEER_IP":"::"}'),
    line(tags='{"PEER_IP":"2001:db8:0::1"}'),
    line(tags='{"PEER_IP":"::ffff:192.0.2.1"}'),
    line(tags='{"PEER_IP":"::1.2.3.4"}'),
    line(tags='{"PEER_IP":"192.0.2.1","LOCAL_IP":"2001:db8::1"}'),
    line(tags='{"INTERFACE":"65536"}'),
    line(tags='{"ACTION":"DROP"}'),
    line(tags='{"a":"1","ACTION":"DROP"}'),
    line(tags='{"a":"1","a":"2"}'),
    line(tags='{"a":"1","b":"2", "a":"1"}'),
    line(tags='{"a":""}'),
    line(tags='{"":"a"}'),
    line(tags='{"a":1}'),
    line(tags='{"a":null}'),
    line(tags='{"a":"\\u0041"}'),
    line(tags='{"a":"\u00e9"}'),
    line(tags='{"a":"\x7f"}'),
    line(tags='{"a":"1"'),
    line(tags='{"a":"1}'),
    line(tags='{"PEER_AS":"0","a":"1"}'),
    line(tags='{"value":"1"}'),
    line(tags='{"WIRE":"AS3"}'),
    line(tags='{"WIRE":"as2"}'),
    line(tags='{"WIRE":"AS2|ADDPATH"}'),
    line(tags='{"WIRE":"RIB|AS2"}'),
    line(tags='{"WIRE":"AS2|"}'),
    line(tags='{"WIRE":""}'),
    line('{"attrs":{"AS4PATH":{"flags":"OT","value":[4200000001]}}}', tags='{"WIRE":"RIB"}'),
    line('{"attrs":{"ASPATH":{"flags":"T","value":[65536]}}}', tags='{"WIRE":"AS2"}'),
    line('{"attrs":{"AS4PATH":{"flags":"OT","value":[4200000001]}}}'),
    line('{"attrs":{"AS4AGGREGATOR":{"flags":"OT","value":{"asn":1, "addr":"192.0.2.1"}}}}'),
    line('{"reach":["10.0.0.0/8"] "unreach":[]}'),
    line('{"reach":["10.0.0.0/8"], "reach":["10.0.0.0/8"]}'),
    line('{"reach":["10.0.0.0/8",  ]}'),
    line(ORIGIN % '{"flags":"T","value":"IGP", "flags":"T"}'),
    line(ORIGIN % '{"flags":"T","value":"I GP"}'),
    line(ORIGIN % '{"flags":"T","value":"IGP", "note":"x"}'),
    line('{"attrs":{"ASPATH":{"flags":"T","value":[1 2]}}}'),
    line(tags='{"PEER_AS" "1"}'),
    line(tags='{"PEER_AS":"1" "PEER_IP":"192.0.2.1"}'),
    line(tags='{"PEER_AS":"1\\"}'),
    line(tags="{" * 40 + "}" * 40),
    line(tags="{" + ",".join(f'"T{n}":"1"' for n in range(40)) + "}"),
]  # fmt: skip


def decode(lines: bytes, size: int = 1 << 20) -> tuple[list[tuple], list[str], str]:
    damages: list[str] = []
    decoder = json.JsonDecoder(on_damage=lambda damage: damages.append(str(damage)))
    messages = []
    pieces = [decoder.feed(lines[pos : pos + size]) for pos in range(0, len(lines), size)]
    for part in (*pieces, decoder.end()):
        for item in part:
            messages += item if isinstance(item, Block) else [item]
    found = [
        (m.direction, m.seq, m.time, m.type_code, m.body, repr(m.context), list(m.tags.items()), m.action)
        for m in messages
    ]
    return found, damages, repr(decoder.counts)


def decode_in_python(lines: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[list[tuple], list[str], str]:
    with monkeypatch.context() as patch:
        patch.setattr(json, "_json_in", None)
        return decode(lines)


def encode(records: bytes) -> bytes:
    """The JSON of an archive."""
    decoder, encoder = mrt.MrtDecoder(), json.JsonEncoder()
    seq = 1
    lines = []
    for part in (decoder.feed(records), decoder.end()):
        for item in part:
            if isinstance(item, Block):
                seq = item.stamp("R", seq)
            lines.append(encoder.encode(item))
    return b"".join(lines)


@all_cases("text", TAKEN + RESPELLED, ids=lambda text: text.decode()[:120])
def test_our_own_lines_are_taken(text, monkeypatch):
    octets, index, end, _ = accel.json_in.decode(b"#\n" + text, 2)
    assert end == len(text) + 2
    assert len(Block(octets, index)) == 1
    assert octets.startswith(MARKER)
    assert decode(text) == decode_in_python(text, monkeypatch)


@all_cases("text", DECLINED, ids=lambda text: text.decode()[:120])
def test_other_lines_are_left_to_python(text, monkeypatch):
    assert accel.json_in.decode(text, 0) == (b"", bytearray(), 0, b"")
    assert accel.json_in.decode(line() + text + line(), 0)[2] == len(line())
    around = line() + text + b"\n" + line()
    assert decode(around) == decode_in_python(around, monkeypatch)


def test_equal_tags_share_their_text():
    lines = b"".join(line(tags=f'{{"PEER_AS":"{1 + n % 3}","a":"{n % 2}"}}') for n in range(600))
    octets, index, end, tags = accel.json_in.decode(lines, 0)
    assert end == len(lines)
    assert len(tags) == 6 * (4 + len('"PEER_AS":"1","a":"0"'))
    block = Block(octets, index, tags)
    assert [message.tags for message in block] == [{"PEER_AS": str(1 + n % 3), "a": str(n % 2)} for n in range(600)]
    assert json.JsonEncoder().encode(block) == lines


def test_many_different_tags():
    lines = b"".join(line(tags=f'{{"PEER_AS":"1","note":"{n}{"x" * (n % 90)}"}}') for n in range(3000))
    octets, index, end, tags = accel.json_in.decode(lines, 0)
    assert end == len(lines)
    assert json.JsonEncoder().encode(Block(octets, index, tags)) == lines


@pytest.mark.parametrize("records", [sample_records, rare_records])
def test_what_our_encoder_wrote(records, monkeypatch):
    lines = encode(b"".join(records()))
    assert decode(lines, 10_000) == decode_in_python(lines, monkeypatch)


@pytest.mark.parametrize("name", ["updates.20190101.0000", "updates.20260222.1530", "rib6.20151101.0600.cut"])
def test_real_archives(name, data, monkeypatch):
    with bz2.open(data / f"{name}.bz2") as stream:
        lines = encode(stream.read(700_000))
    result = decode(lines)
    assert result == decode_in_python(lines, monkeypatch)
    assert len(result[0]) > 1000


def test_all_updates_of_the_sample_are_taken():
    """But for those with path identifiers."""
    every = encode(b"".join(sample_records())).splitlines(keepends=True)
    lines = b"".join(line for line in every if b'"UPDATE"' in line and b'"#' not in line)
    pos = declined = 0
    while pos < len(lines):
        pos = accel.json_in.decode(lines, pos)[2]
        if pos < len(lines):
            declined += 1
            pos = lines.index(b"\n", pos) + 1
    assert lines.count(b"\n") > 1000
    assert declined == 0


def test_broken_lines(monkeypatch):
    good = [*encode(b"".join(sample_records()[::20])).splitlines(keepends=True), *TAKEN]
    for seed in range(20):
        rng = Random(seed)
        lines = b"".join(break_line(rng.choice(good), rng) for _ in range(40))
        assert decode(lines, 777) == decode_in_python(lines, monkeypatch)


@given(st.integers(0, 253402300799_999_999))
def test_times(time):
    text = json_encoder.format_time(time)
    octets, index, *_ = accel.json_in.decode(line(time=text), 0)
    assert [message.time for message in Block(octets, index)] == [time]


WORDS = st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF, 0x2001]) | st.integers(0, 0xFFFF), min_size=8, max_size=8)


@given(WORDS)
def test_ipv6_addresses(words):
    address = b"".join(word.to_bytes(2, "big") for word in words)
    text = format_address(address)
    update = MP_REACH % ('{"af":"IPV6/UNICAST","nexthop":"2001:db8::1","prefixes":["%s/128"]}' % text)
    octets, index, *_ = accel.json_in.decode(line(update), 0)
    if "." in text:
        assert not index
    else:
        assert [message.body[-16:] for message in Block(octets, index)] == [address]


@given(st.text("0123456789abcf:", max_size=24))
def test_other_ipv6_texts(text):
    update = MP_REACH % ('{"af":"IPV6/UNICAST","nexthop":"2001:db8::1","prefixes":["%s/128"]}' % text)
    octets, index, *_ = accel.json_in.decode(line(update), 0)
    for message in Block(octets, index):
        assert format_address(message.body[-16:]) == text


def test_only_from_inside():
    with pytest.raises(ValueError, match="before the first"):
        accel.json_in.decode(line(), -1)
    assert accel.json_in.decode(b"", 0) == (b"", bytearray(), 0, b"")
    assert accel.json_in.decode(line(), 10_000) == (b"", bytearray(), 10_000, b"")
