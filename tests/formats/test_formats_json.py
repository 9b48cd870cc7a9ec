"""JSON lines: the envelope both ways, tolerance, damage, and the promise that every line gives the same octets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.formats.base import Damage
from bgpipe.formats.json import JsonDecoder, JsonEncoder, parse_time
from bgpipe.formats.json_encoder import format_time
from bgpipe.formats.json_meta import ACCEPT, BORROW, DROP
from bgpipe.wire.block import ENTRY, Block
from bgpipe.wire.context import AS2, AS4, AS4_ADD_PATH
from bgpipe.wire.errors import TextError
from bgpipe.wire.flags import DIRECTION_FLAGS, FLAG_AS4, FLAG_PEER_AS4
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, OPEN, ROUTE_REFRESH, UPDATE, Message
from bgpipe.wire.state import StateChange
from cases import all_cases

PEER = bytes.fromhex("0000fde8 0000fde9 0000 0001 c0000201 c0000202".replace(" ", ""))
TIME = 1767323045_678000  # 2026-01-02T03:04:05.678


def encode(message: Message) -> str:
    line = JsonEncoder().encode(message).decode("ascii")
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    return line[:-1]


def decode_all(text: str | bytes, size: int | None = None) -> tuple[list[Message], list[Damage], JsonDecoder]:
    """Messages and damage of a text, fed in pieces of `size` octets."""
    octets = text.encode() if isinstance(text, str) else text
    damage: list[Damage] = []
    decoder = JsonDecoder(on_damage=damage.append)
    messages: list[Message] = []
    size = size or len(octets) or 1
    for pos in range(0, len(octets), size):
        for item in decoder.feed(octets[pos : pos + size]):
            messages += [item] if isinstance(item, Message) else item
    for item in decoder.end():
        messages += [item] if isinstance(item, Message) else item
    return messages, damage, decoder


def decode(text: str | bytes) -> Message:
    messages, damage, _ = decode_all(text)
    assert damage == []
    assert len(messages) == 1
    return messages[0]


def refused(text: str | bytes) -> str:
    """Why a line is refused; the one after it is read all the same."""
    octets = text.encode() if isinstance(text, str) else text
    messages, damage, decoder = decode_all(octets + b'\n["R",7]\n')
    assert [message.seq for message in messages] == [7]
    assert decoder.counts.damaged == len(damage) == 1
    assert damage[0].line == 1
    return damage[0].text


# Output


def test_the_envelope_is_that_of_the_original() -> None:
    message = Message(KEEPALIVE, direction="R", seq=1, time=TIME, tags={"PEER_AS": "65001", "EMPTY": ""})
    assert encode(message) == '["R",1,"2026-01-02T03:04:05.678","KEEPALIVE",null,{"PEER_AS":"65001"}]'


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (Message(KEEPALIVE), '["?",0,"1970-01-01T00:00:00.000","KEEPALIVE",null,{}]'),
        (
            Message(ROUTE_REFRESH, b"\0\1\0\1", direction="LR", seq=3),
            '["LR",3,"1970-01-01T00:00:00.000","REFRESH",{"af":"IPV4/UNICAST"},{}]',
        ),
        (Message(0), '["?",0,"1970-01-01T00:00:00.000","INVALID","0x",{}]'),
        (Message(9, b"\1"), '["?",0,"1970-01-01T00:00:00.000","Type(9)","0x01",{}]'),
        (Message(KEEPALIVE, b"\1"), '["?",0,"1970-01-01T00:00:00.000","KEEPALIVE","0x01",{}]'),
        (Message(OPEN, b"\4"), '["?",0,"1970-01-01T00:00:00.000","OPEN","0x04",{}]'),
        (Message(NOTIFICATION), '["?",0,"1970-01-01T00:00:00.000","NOTIFY","0x",{}]'),
        (Message(UPDATE, b"\0\0\0\1"), '["?",0,"1970-01-01T00:00:00.000","UPDATE","0x00000001",{}]'),
        (Message(UPDATE, bytes(4)), '["?",0,"1970-01-01T00:00:00.000","UPDATE",{},{}]'),
        (
            Message(KEEPALIVE, peer=PEER),
            '["?",0,"1970-01-01T00:00:00.000","KEEPALIVE",null,'
            '{"PEER_AS":"65000","PEER_IP":"192.0.2.1","LOCAL_AS":"65001","LOCAL_IP":"192.0.2.2"}]',
        ),
        (
            Message(KEEPALIVE, tags={'a"\\\n': "\x00\x7f\u2028\U0001f600"}, action=DROP | ACCEPT),
            '["?",0,"1970-01-01T00:00:00.000","KEEPALIVE",null,'
            '{"a\\"\\\\\\n":"\\u0000\\u007f\\u2028\\ud83d\\ude00","ACTION":"DROP|ACCEPT"}]',
        ),
        (
            Message(KEEPALIVE, peer=bytes(20), action=BORROW),
            '["?",0,"1970-01-01T00:00:00.000","KEEPALIVE",null,{"ACTION":"BORROW"}]',
        ),
        (
            StateChange(6, 99, peer=bytes(20)),
            '["?",0,"1970-01-01T00:00:00.000","STATE",{"old":"ESTABLISHED","new":99},{}]',
        ),
    ],
)
def test_lines_both_ways(message: Message, line: str) -> None:
    assert encode(message) == line
    back = decode(line)
    assert type(back) is type(message)
    assert (back.type_code, back.octets, back.body) == (message.type_code, message.octets, message.body)
    assert (back.direction, back.seq, back.time) == (message.direction, message.seq, message.time)
    assert (back.tags, back.action) == (message.tags, message.action)
    assert encode(back) == line


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0, "1970-01-01T00:00:00.000"),
        (TIME, "2026-01-02T03:04:05.678"),
        (TIME + 1, "2026-01-02T03:04:05.678001"),
        (TIME // 1_000_000 * 1_000_000 + 9, "2026-01-02T03:04:05.000009"),
        (0xFFFFFFFF * 1_000_000, "2106-02-07T06:28:15.000"),
    ],
)
def test_times(time: int, text: str) -> None:
    assert format_time(time) == text
    assert parse_time(text) == time
    assert decode(f'["R",1,"{text}"]').time == time
    encoder = JsonEncoder()
    for each in (time, time + 1, time):
        assert format_time(each).encode() in encoder.encode(Message(KEEPALIVE, time=each))


def test_times_before_1970_are_no_time() -> None:
    assert parse_time("0001-01-01T00:00:00.000") == 0


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-01-02T03:04:05.678Z",
        "2026-01-02T03:04:05.67",
        "2026-01-02T03:04:05.6789",
        "2026-01-02 03:04:05.678",
        "2026-13-02T03:04:05.678",
        "2026-01-02T03:04:60.678",
        "2026-01-02T03:04:05.\u0661\u0662\u0663",
        "now",
    ],
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(TextError):
        parse_time(text)
    assert "YYYY-MM-DDTHH:MM:SS.mmm" in refused(f'["R",1,"{text}"]')


def test_a_wrong_time_in_the_second_of_the_last_one_is_refused() -> None:
    good = '["R",1,"2026-01-02T03:04:05.678"]\n'
    for wrong in ("2026-01-02T03:04:05x678", "2026-01-02T03:04:05.6_8", "2026-01-02T03:04:05. 78"):
        messages, damage, _ = decode_all(good + good.replace("2026-01-02T03:04:05.678", wrong) + good)
        assert len(messages) == 2
        assert len(damage) == 1


def test_a_block_is_the_same_as_its_messages() -> None:
    messages = [
        Message(KEEPALIVE, direction="R", seq=1, time=TIME, peer=PEER),
        Message(UPDATE, bytes(4), direction="L", seq=2, time=TIME + 1, peer=PEER),
        Message(NOTIFICATION, b"\6\2", direction="?", seq=3, time=TIME, peer=PEER),
        Message(UPDATE, b"\0\0\0\1", direction="?", seq=4, time=TIME, peer=PEER),
    ]
    octets, index = bytearray(PEER), bytearray()
    for message in messages:
        flags = FLAG_AS4 | FLAG_PEER_AS4 | DIRECTION_FLAGS[message.direction]
        index += ENTRY.pack(message.seq, message.time, len(octets), 0, len(message.octets), flags, 0)
        octets += message.octets
    lines = JsonEncoder().encode(Block(bytes(octets), index))
    assert lines == b"".join(map(JsonEncoder().encode, messages))
    assert len(decode_all(lines)[0]) == 4


# Input


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('["R",1,"2026-01-02T03:04:05.678","KEEPALIVE",null,{}]', ("R", 1, TIME, KEEPALIVE, "")),
        ("[]", ("?", 0, 0, KEEPALIVE, "")),
        ('["r"]', ("R", 0, 0, KEEPALIVE, "")),
        ('["RL",null,null,null]', ("LR", 0, 0, KEEPALIVE, "")),
        ('["",5,"","keepalive"]', ("?", 5, 0, KEEPALIVE, "")),
        ('[null,"5",null,"Refresh","00010001"]', ("?", 0, 0, ROUTE_REFRESH, "00010001")),
        ('["L",-1,null,5,"0X0001ffFF",null,"more",[]]', ("L", 0, 0, ROUTE_REFRESH, "0001ffff")),
        ('["L",1.5,null,"notification",{"code":4}]', ("L", 0, 0, NOTIFICATION, "0400")),
        ('["L",2,null,"NOTIFY","0x0602"]', ("L", 2, 0, NOTIFICATION, "0602")),
        ('["L",2,null,"Type(9)","01"]', ("L", 2, 0, 9, "01")),
        ('["L",2,null,"0xff"]', ("L", 2, 0, 255, "")),
        ('["L",123456789012345678901234567890]', ("L", 0, 0, KEEPALIVE, "")),
        ('  \t["lr", 1 , null,"UPDATE",{}] \r', ("LR", 1, 0, UPDATE, "00000000")),
        ('["L",2,null,"UPDATE"]', ("L", 2, 0, UPDATE, "00000000")),
        ('["L",2,null,"UPDATE",""]', ("L", 2, 0, UPDATE, "")),
        ("{}", ("?", 0, 0, UPDATE, "00000000")),
        ('{"unreach":["192.0.2.0/24"]}', ("?", 0, 0, UPDATE, "000418c000020000")),
        ('\ufeff{"unreach":["192.0.2.0/24"]}', ("?", 0, 0, UPDATE, "000418c000020000")),
    ],
)
def test_what_is_read(line: str, expected: tuple[str, int, int, int, str]) -> None:
    message = decode(line)
    assert (message.direction, message.seq, message.time, message.type_code, message.body.hex()) == expected
    assert (message.tags, message.action) == ({}, 0)


def test_tags_that_are_no_strings_become_their_text() -> None:
    message = decode('["R",1,null,"KEEPALIVE",null,{"a":1.50,"b":true,"c":"\\"\\\\\\u00e9","d":[1, 2],"e":null}]')
    assert message.tags == {"a": "1.50", "b": "true", "c": '"\\\u00e9', "d": "[1, 2]", "e": ""}
    assert '"a":"1.50"' in encode(message)
    assert decode(encode(message)).tags == {key: text for key, text in message.tags.items() if text}


@pytest.mark.parametrize(
    ("text", "action"),
    [('"DROP"', DROP), ('"borrow|ACCEPT"', BORROW | ACCEPT), ("2", DROP), ('""', 0), ("null", 0), ("0", 0)],
)
def test_actions(text: str, action: int) -> None:
    message = decode(f'["R",1,null,"KEEPALIVE",null,{{"ACTION":{text},"a":"b"}}]')
    assert (message.action, message.tags) == (action, {"a": "b"})


def test_what_is_no_message_is_skipped() -> None:
    text = '\n  \n# ["R"]\n["R",1]\r\n\r\n   # more\n["R",2]'
    for size in (1, 2, 7, None):
        messages, damage, decoder = decode_all(text, size)
        assert [message.seq for message in messages] == [1, 2]
        assert damage == []
        assert (decoder.counts.records, decoder.counts.messages) == (2, 2)


@all_cases(
    ("line", "why"),
    [
        ("R", "neither an array nor an object"),
        ('"R"', "neither an array nor an object"),
        ('["R"', "not JSON"),
        ('["R",1]]', "not JSON"),
        ('["R",1] ["R",2]', "not JSON"),
        ('["R",NaN]', "not JSON"),
        ('["R",-Infinity]', "not JSON"),
        ('["R",01]', "not JSON"),
        ('["R",1,]', "not JSON"),
        ("['R']", "not JSON"),
        ('["R\x01"]', "not JSON"),
        ('["\\ud800"]', "not JSON"),
        (b'["\xff"]', "not JSON"),
        (b'["R",1,null,"KEEPALIVE",null,{"a":"\xc3"}]', "not JSON"),
        ('["R",1e999]', "out of range"),
        ("[" * 1_000_000, ""),
        ('["R",1,null,"UPDATE",' + "[" * 1_000_000, "nested too deeply"),
        ('["R",1,null,"UPDATE",' + '{"a":' * 5000 + "1" + "}" * 5001 + "]", "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('["R",1,null,"UPDATE",' + "[" * 500 + "]" * 501, "not an object"),
        ('["X"]', "direction 'X'"),
        ("[5]", "must be a string"),
        ('["R",1,null,"NOTIFY",{"code":1,"code":4}]', "'code' comes twice"),
        ('["R",1,null,"UPDATE",{},{"a":"1","a":"2"}]', "'a' comes twice"),
        ('["R",1,null,"UPDATE",{ "reach" : [], "reach" : [] }]', "'reach' comes twice"),
        ('{"attrs":{"MED":1,"MED":2}}', "'MED' comes twice"),
        ('["R",1,null,"UPDATE",{},{"WIRE":"AS3"}]', "WIRE 'AS3'"),
        ('["R",1,null,"UPDATE",{},{"WIRE":"ADDPATH:IPV4"}]', "IPV4"),
        ('["R",1,null,true]', "type"),
        ('["R",1,null,[]]', "type"),
        ('["R",1,null,256]', "type 256"),
        ('["R",1,null,-1]', "type -1"),
        ('["R",1,null,"HELLO"]', "unknown message type 'HELLO'"),
        ('["R",1,null,"Type(256)"]', "unknown message type"),
        ('["R",1,null,"KEEPALIVE",null,[]]', "meta"),
        ('["R",1,null,"KEEPALIVE",null,{"ACTION":"EXPLODE"}]', "ACTION"),
        ('["R",1,null,"KEEPALIVE",5]', "KEEPALIVE"),
        ('["R",1,null,"REFRESH",{}]', "REFRESH"),
        ('["R",1,null,"REFRESH","0x0"]', "hexadecimal"),
        ('["R",1,null,"REFRESH","0x00 01"]', "hexadecimal"),
        ('["R",1,null,"OPEN"]', "OPEN"),
        ('["R",1,null,"NOTIFY",""]', "NOTIFY"),
        ('["R",1,null,"NOTIFY","bye"]', "hexadecimal"),
        ('["R",1,null,"UPDATE",5]', ""),
        ('["R",1,null,"UPDATE",{"reach":5}]', "reach"),
        ('["R",1,null,"UPDATE",{"reach":["#1#10.0.0.0/8"],"attrs":{"MP_REACH":{"value":{"af":"?"}}}}]', ""),
        ('["R",1,null,"STATE",null]', "STATE"),
        ('["R",1,null,"STATE",{"old":"UP","new":1}]', "state"),
        ('["R",1,"not a time"]', "not a time"),
        ('["R",1,null,"UPDATE","0x' + "00" * 65517 + '"]', "more than a message can hold"),
        ('["R",1,null,"UPDATE",{"reach":[' + ",".join(['"192.0.2.1/32"'] * 13200) + "]}]", "66004 octets"),
        ('["R",1,null,"KEEPALIVE","0x' + "00" * 65517 + '"]', "more than a message can hold"),
    ],
)
def test_a_bad_line_costs_one_line(line: str | bytes, why: str) -> None:
    text = refused(line)
    assert why in text
    assert text.endswith("the line is left out")
    assert len(text) < 300


def test_a_line_that_is_too_long_costs_one_line_and_no_memory() -> None:
    damage: list[Damage] = []
    decoder = JsonDecoder(on_damage=damage.append, max_line=100)
    messages = []
    pieces = [b'["R",1]\n', b'["R",2,', *[b" " * 30] * 1000, b"]\n", b'["R",3]\n[', b" " * 99, b']\n["R",', b"4]"]
    for piece in pieces:
        messages += list(decoder.feed(piece))
        assert sum(map(len, decoder._held)) <= 100
    messages += list(decoder.end())
    assert [item.seq for item in messages if isinstance(item, Message)] == [1, 3, 4]
    assert [(each.line, "longer than 100 octets" in each.text) for each in damage] == [(2, True), (4, True)]


def test_path_identifiers_are_written_for_the_families_that_have_them() -> None:
    update: dict[str, Any] = {
        "reach": ["#5#198.51.100.0/24"],
        "attrs": {"mp_unreach": {"af": "IPV6/UNICAST", "prefixes": ["2001:db8::/32"]}},
    }
    message = decode(json.dumps(["R", 1, None, "UPDATE", update]))
    assert message.body.endswith(bytes.fromhex("0000000518c63364"))
    assert message.body.count(bytes.fromhex("0002012020010db8")) == 1
    assert json.loads(message.format_json())["reach"] == update["reach"]

    update = {"attrs": {"MP_UNREACH": {"flags": "O", "value": {"af": "IPV6/UNICAST", "prefixes": ["#7#::/0"]}}}}
    message = decode(json.dumps(update))
    assert message.body.endswith(bytes.fromhex("0002010000000700"))
    assert json.loads(message.format_json()) == update


def test_the_width_of_as_numbers_is_said_by_who_reads() -> None:
    line = b'["R",1,null,"UPDATE",{"attrs":{"ASPATH":[65001]}}]\n'
    (wide,) = JsonDecoder(context=AS4).feed(line)
    (narrow,) = JsonDecoder(context=AS2).feed(line)
    assert isinstance(wide, Message)
    assert isinstance(narrow, Message)
    assert wide.body.hex() == "0000000940020602010000fde9"
    assert narrow.body.hex() == "000000074002040201fde9"
    assert wide.format_json() == narrow.format_json()


# The promise: every message gives one line of strict JSON, and the line gives the same octets

tag_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
bodies = st.one_of(
    st.tuples(st.just(KEEPALIVE), st.just(b"")),
    st.tuples(st.just(ROUTE_REFRESH), st.binary(max_size=30)),
    st.tuples(st.just(NOTIFICATION), st.binary(max_size=30)),
    st.tuples(st.just(NOTIFICATION), tag_text.map(lambda text: b"\6\2" + bytes((len(text.encode()),)) + text.encode())),
    st.tuples(st.just(OPEN), st.binary(max_size=20).map(lambda octets: b"\4" + octets)),
    st.tuples(st.integers(0, 255).filter(lambda code: code not in (OPEN, UPDATE)), st.binary(max_size=30)),
    st.tuples(st.just(UPDATE), st.binary(max_size=3)),
)


@given(
    bodies,
    st.sampled_from(sorted(DIRECTION_FLAGS)),
    st.integers(0, (1 << 63) - 1),
    st.integers(0, 0xFFFFFFFF * 1_000_000),
    st.dictionaries(tag_text.filter(lambda key: key != "ACTION"), tag_text.filter(bool), max_size=3),
    st.integers(0, 7),
)
def test_every_message_comes_back(
    body: tuple[int, bytes], direction: str, seq: int, time: int, tags: dict[str, str], action: int
) -> None:
    message = Message(*body, direction=direction, seq=seq, time=time, tags=tags, action=action)
    line = encode(message)
    array = json.loads(line, parse_constant=pytest.fail)
    assert array[:4] == [direction, seq, format_time(time), message.type]
    back = decode(line)
    assert back.octets == message.octets
    assert (back.direction, back.seq, back.time) == (direction, seq, time)
    assert (back.tags, back.action) == (tags, action)


@given(st.binary(max_size=60), st.booleans())
def test_any_update_body_comes_back(body: bytes, add_path: bool) -> None:
    """In AS4 sessions, since JSON does not say the width of AS numbers."""
    message = Message(UPDATE, body, context=AS4_ADD_PATH if add_path else AS4)
    line = encode(message)
    json.loads(line, parse_constant=pytest.fail)
    assert decode(line).octets == message.octets


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_nothing_crashes_the_decoder(octets: bytes) -> None:
    _, damage, decoder = decode_all(b"[" + octets)
    assert decoder.counts.damaged == len(damage)
    assert decoder.counts.records == decoder.counts.messages + decoder.counts.damaged


KEYS = ["reach", "unreach", "attrs", "ORIGIN", "ASPATH", "MP_REACH", "flags", "value", "af", "prefixes", "caps", "MP"]
KEYS += ["AS4", "ADDPATH", "FQDN", "ROLE", "params", "asn", "id", "hold", "code", "subcode", "data", "text", "reset"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            children,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(["UPDATE", "OPEN", "NOTIFY", "REFRESH", "STATE", "KEEPALIVE"]), json_values, json_values)
def test_any_json_is_a_message_or_one_damage(kind: str, body: object, meta: object) -> None:
    messages, damage, _ = decode_all(json.dumps(["R", 1, None, kind, body, meta]))
    assert len(messages) + len(damage) == 1
    for message in messages:
        assert decode(encode(message)).octets == message.octets
