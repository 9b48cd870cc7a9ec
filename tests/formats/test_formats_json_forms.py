"""JSON lines of others, what travels with a message through JSON, and the dialect of the Go bgpipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bgpipe
from bgpipe.cli.main import main
from bgpipe.formats import base, find
from bgpipe.formats.json import JsonDecoder, JsonEncoder
from bgpipe.formats.json_go import GoEncoder
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.context import AS2, AS2_ADD_PATH, AS4, AS4_ADD_PATH, WireContext
from bgpipe.wire.family import IPV4_UNICAST, IPV6_UNICAST
from bgpipe.wire.flags import FLAG_RIB
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, OPEN, ROUTE_REFRESH, UPDATE, Message
from bgpipe.wire.open import Open
from bgpipe.wire.state import StateChange
from bgpipe.wire.update import Update

AS2_BODY = bytes.fromhex(
    "0000 0019 40010100 4002060202fde95ba0 400304c0000201 8004040000000a 18c63364".replace(" ", "")
)
MERGED = bytes.fromhex(
    "0000 0023 40010100 4002060202fde95ba0 400304c0000201 c0110a0202 0000fde9 fa56ea00 00 18c63364".replace(" ", "")
)


def read(*lines: str | bytes, context: WireContext = AS4) -> tuple[list[Message], list[str], list[str]]:
    """Messages, damage and notes."""
    damage: list[str] = []
    notes: list[str] = []
    decoder = JsonDecoder(on_damage=lambda each: damage.append(str(each)), on_note=notes.append, context=context)
    text = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
    messages: list[Message] = []
    for part in (decoder.feed(text), decoder.end()):
        for item in part:
            messages += [item] if isinstance(item, Message) else item
    return messages, damage, notes


def again(message: Message) -> Message:
    """What comes back of a message's line."""
    (back,), damage, _ = read(JsonEncoder().encode(message).rstrip())
    assert damage == []
    return back


# What a message needs to be read again

contexts = st.sampled_from(
    [AS2, AS4, AS2_ADD_PATH, AS4_ADD_PATH, WireContext(as4=False, add_path=frozenset({IPV6_UNICAST, IPV4_UNICAST}))]
)


@given(contexts, st.binary(max_size=40), st.booleans())
def test_the_width_of_as_numbers_and_add_path_come_back(context: WireContext, octets: bytes, framed: bool) -> None:
    body = bytes((0, 0, 0, len(octets))) + octets if framed else octets
    message = Message(UPDATE, body, context=context, tags={"PEER_AS": "65001"})
    back = again(message)
    assert back.context.as4 == context.as4
    assert back.tags == message.tags
    if '"0x' in message.format_json():
        assert (IPV4_UNICAST in back.context.add_path) == (IPV4_UNICAST in context.add_path)
        assert back.body == message.body
    assert back.format_json() == message.format_json()


@pytest.mark.parametrize("as4", [False, True])
def test_what_the_line_does_not_show_is_said(as4: bool) -> None:
    update = '{"attrs":{"ASPATH":[1,23456],"AS4PATH":[4200000000]}}'
    (message,), _, _ = read(f'["R",1,null,"UPDATE",{update},{{"WIRE":"AS{4 if as4 else 2}"}}]')
    assert message.context.as4 == as4
    assert message.update.origin_as == (23456 if as4 else 4200000000)
    assert again(message).body == message.body
    assert json.loads(JsonEncoder().encode(message))[5] == {"WIRE": "AS4" if as4 else "AS2"}


@pytest.mark.parametrize("context", [AS2, AS4, AS4_ADD_PATH])
def test_what_is_made_of_a_rib_is_said(context: WireContext) -> None:
    """So that its elements are of type R behind JSON too. The original has no word for it."""
    body = Update.make(reach=["192.0.2.0/24"], context=context).body if not context.add_path else b"\0\0\0\1\xff"
    message = Message(UPDATE, body, context=context, verdict=FLAG_RIB, tags={"PEER_AS": "65001"})
    back = again(message)
    assert back.from_rib
    assert (back.body, back.context.as4) == (body, context.as4)
    assert [elem.elem_type for elem in back.elems()] == [elem.elem_type for elem in message.elems()]
    assert json.loads(JsonEncoder().encode(message))[5]["WIRE"].split("|")[-1] == "RIB"
    assert not again(Message(UPDATE, body, context=context)).from_rib
    assert b"RIB" not in GoEncoder().encode(message)


GUESSED = [
    ("0202 fde9 fdea", "", (65001, 65002)),
    ("0202 fde9 5ba0", "c0 11 06 0201 fa56ea00", (65001, 4200000000)),
    ("0201 0000fde9", "", (65001,)),
    ("", "", ()),
]


@pytest.mark.parametrize(("path", "more", "ases"), GUESSED)
@pytest.mark.parametrize("as4", [False, True])
def test_the_width_that_was_guessed_is_said(path: str, more: str, ases: tuple[int, ...], as4: bool) -> None:
    """Behind JSON nobody guesses, and the answers and octets are the same."""
    octets = bytes.fromhex(path)
    attributes = bytes.fromhex("40 01 01 00 40 02") + bytes((len(octets),)) + octets + bytes.fromhex(more)
    body = bytes((0, 0, 0, len(attributes))) + attributes
    message = Message(UPDATE, body, context=WireContext(as4=as4, guess_as=True))
    assert message.update.as_path is not None
    assert message.update.as_path.ases == ases
    back = again(message)
    assert back.update.as_path == message.update.as_path
    assert back.format_json() == message.format_json()
    assert back.body == body


def test_lines_that_say_nothing_of_it_are_taken_as_their_attributes_are() -> None:
    lines = [
        '{"attrs":{"ASPATH":[65001,23456],"AS4PATH":[65001,4200000000]}}',
        '{"attrs":{"ASPATH":{"flags":"T","value":[65001,23456]},"AS4PATH":{"flags":"OT","value":[65001,4200000000]}}}',
        '{"attrs":{"ASPATH":[65001,65536],"AS4PATH":[65001,4200000000]}}',
        '{"attrs":{"ASPATH":[65001,{"confed_set":[65536]}],"AS4PATH":[65001,4200000000]}}',
        '{"attrs":{"AGGREGATOR":{"asn":65536,"addr":"192.0.2.1"},"AS4AGGREGATOR":{"asn":1,"addr":"192.0.2.1"}}}',
        '{"attrs":{"ASPATH":[65001,23456]}}',
    ]
    messages, damage, _ = read(*lines)
    assert damage == []
    assert [message.context.as4 for message in messages] == [False, False, True, True, True, True]
    assert [message.update.origin_as for message in messages[:2]] == [4200000000, 4200000000]


def test_a_path_that_was_made_too_wide_is_written_wide() -> None:
    (message,), _, _ = read('["R",1,null,"UPDATE",{"attrs":{"ASPATH":[4200000001,1]}},{"WIRE":"AS2"}]')
    assert message.context.as4
    assert message.update.as_path is not None
    assert message.update.as_path.ases == (4200000001, 1)


def test_prefixes_count_more_than_what_is_said_of_them() -> None:
    update = '{"reach":["192.0.2.0/24"],"attrs":{"MP_UNREACH":{"af":"IPV6/UNICAST","prefixes":["#7#::/0"]}}}'
    (message,), _, _ = read(f'["R",1,null,"UPDATE",{update},{{"WIRE":"ADDPATH"}}]')
    assert message.format_json() == again(message).format_json()
    assert [str(prefix) for prefix in message.update.reach] == ["192.0.2.0/24"]
    assert [prefix.path_id for prefix in message.update.withdrawn] == [7]


# Spellings of others


def test_what_says_nothing_is_passed_over() -> None:
    messages, damage, notes = read(
        '["R",1,1700000000,"UPDATE",{"attrs":{"MED":null,"LOCALPREF":100}}]',
        '["R",2,null,"REFRESH",null]',
        '["R",3,true,"KEEPALIVE",null,null]',
        '["R",4,"","UPDATE",{"reach":[null,"192.0.2.0/24"],"attrs":null,"unreach":null}]',
    )
    assert (damage, notes) == ([], [])
    assert [(message.seq, message.time, message.type_code) for message in messages] == [
        (1, 0, UPDATE),
        (2, 0, ROUTE_REFRESH),
        (3, 0, KEEPALIVE),
        (4, 0, UPDATE),
    ]
    assert messages[0].format_json() == '{"attrs":{"LOCALPREF":{"flags":"T","value":100}}}'
    assert messages[1].body == b""
    assert messages[3].format_json() == '{"reach":["192.0.2.0/24"]}'


def test_keys_that_nobody_knows_are_told_once() -> None:
    lines = [
        '["R",1,null,"UPDATE",{"reach":["192.0.2.0/24"],"score":5,"note":"x"}]',
        '["R",2,null,"UPDATE",{"attrs":{"MED":{"flags":"O","value":1,"why":"x"}}}]',
        '["R",3,null,"NOTIFY",{"code":6,"seen":1}]',
    ]
    messages, damage, notes = read(*lines)
    assert [message.seq for message in messages] == [1, 2, 3]
    assert damage == []
    assert notes == ["line 1: unknown key 'score' in a body is ignored; further unknown keys are not reported"]
    for line, key in zip(lines, ("score", "why", "seen"), strict=True):
        assert f"'{key}'" in read(line)[2][0]


def test_a_program_that_annotates_bodies_loses_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text('["R",1,null,"UPDATE",{"reach":["192.0.2.0/24"],"score":5}]\n' * 3)
    assert main(["-o", str(tmp_path / "a.json")]) == 0
    done = capfd.readouterr()
    assert done.out.count('{"reach":["192.0.2.0/24"]}') == 3
    assert done.err.count("unknown key 'score'") == 1


def test_tags_of_a_peer_come_first() -> None:
    (message,), _, _ = read('["R",1,null,"KEEPALIVE",null,{"x":"1","LOCAL_AS":"2","PEER_AS":"1","b":"3"}]')
    assert list(message.tags.items()) == [("PEER_AS", "1"), ("LOCAL_AS", "2"), ("x", "1"), ("b", "3")]


# The Go bgpipe's dialect


def go(message: Message) -> str:
    line = find("json").open_encoder(base.EncoderOptions(compat="go")).encode(message).decode()
    json.loads(line)
    return line.rstrip("\n")


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (Message(KEEPALIVE, time=1_700_000_000_123_999), '["?",0,"2023-11-14T22:13:20.123","KEEPALIVE",null,{}]'),
        (Message(NOTIFICATION, b"\6\2"), '["?",0,"1970-01-01T00:00:00.000","NOTIFY","0x0602",{}]'),
        (Message(NOTIFICATION, b"\6\2\3bye"), '["?",0,"1970-01-01T00:00:00.000","NOTIFY","0x060203627965",{}]'),
        (Message(ROUTE_REFRESH, b"\0\1\0\1"), '["?",0,"1970-01-01T00:00:00.000","REFRESH","0x00010001",{}]'),
        (Message(9, b"\1"), '["?",0,"1970-01-01T00:00:00.000",9,"0x01",{}]'),
        (
            Message(OPEN, Open(65001, 90, "192.0.2.1").encode()),
            '["?",0,"1970-01-01T00:00:00.000","OPEN",{"bgp":4,"asn":65001,"id":"192.0.2.1","hold":90,"caps":{}},{}]',
        ),
        (
            Message(OPEN, Open(65001, 90, "192.0.2.1", (), bytes.fromhex("02060104270f0001")).encode()),
            '["?",0,"1970-01-01T00:00:00.000","OPEN","0x04fde9005ac00002010802060104270f0001",{}]',
        ),
        (  # it has no form for this capability but octets
            Message(OPEN, Open(65001, 90, "192.0.2.1", (Capability(caps.GRACEFUL_RESTART, b"\0\x78"),)).encode()),
            '["?",0,"1970-01-01T00:00:00.000","OPEN","0x04fde9005ac000020106020440020078",{}]',
        ),
        (
            Message(UPDATE, bytes.fromhex("0000000740010100806300")),
            '["?",0,"1970-01-01T00:00:00.000","UPDATE",'
            '{"attrs":{"ORIGIN":{"flags":"T","value":"IGP"},"ATTR_99":{"flags":"O","value":true}}},{}]',
        ),
        (
            Message(UPDATE, bytes.fromhex("0000000540020201ff")),
            '["?",0,"1970-01-01T00:00:00.000","UPDATE","0x0000000540020201ff",{}]',
        ),
        (
            Message(UPDATE, bytes.fromhex("00000008800f0500194601ff")),
            '["?",0,"1970-01-01T00:00:00.000","UPDATE","0x00000008800f0500194601ff",{}]',
        ),
        (
            Message(UPDATE, bytes.fromhex("0000000a800f070001850301080a")),
            '["?",0,"1970-01-01T00:00:00.000","UPDATE",{"attrs":{"MP_UNREACH":{"flags":"O","value":'
            '{"af":"IPV4/FLOWSPEC","rules":[{"DST":"10.0.0.0/8"}]}}}},{}]',
        ),
        (  # a rule that it would not give back
            Message(UPDATE, bytes.fromhex("0000000a800f0700018503038906")),
            '["?",0,"1970-01-01T00:00:00.000","UPDATE","0x0000000a800f0700018503038906",{}]',
        ),
        (  # it has no form for routes with labels
            Message(UPDATE, bytes.fromhex("0000000c800f09000104200001010a")),
            '["?",0,"1970-01-01T00:00:00.000","UPDATE","0x0000000c800f09000104200001010a",{}]',
        ),
    ],
)
def test_what_the_go_bgpipe_reads(message: Message, line: str) -> None:
    assert go(message) == line
    assert read(line)[0][0].body == message.body


def test_path_identifiers_of_routes_are_kept() -> None:
    """RFC 7911: an object shows its path identifier, and the line is encoded with those of its family alone."""
    line = (
        '["R",1,"2026-01-02T03:04:05.678","UPDATE",{"reach":["10.0.0.0/8"],"attrs":{"MP_REACH":{"flags":"O","value":'
        '{"af":"IPV4/MPLS_VPN","nexthop":"192.0.2.1","routes":[{"id":7,"rd":"4:100","prefix":"10.1.0.0/24","labels":[3]}]}}}},{}]'
    )
    (message,), _, _ = read(line)
    assert message.update.routes[0].path_id == 7
    assert [str(prefix) for prefix in message.update.reach] == ["10.0.0.0/8"]
    assert JsonEncoder().encode(message).decode().startswith(line[:-4])


def test_what_the_go_bgpipe_has_no_form_for_is_nothing() -> None:
    """Who writes it tells of that."""
    assert GoEncoder().encode(StateChange(1, 6)) == b""


def test_capabilities_and_refreshes_that_the_go_bgpipe_keeps_as_octets() -> None:
    for capability in (
        {"LLGR": {"families": []}},
        {"VERSION": {"version": "x"}},
        {"BGPSEC": {"version": 0, "direction": "SEND", "afi": "IPV4"}},
        {"PATHS_LIMIT": "0x00010100"},
    ):
        message = Message(OPEN, Open(1, 90, "192.0.2.1", caps.from_json(capability)).encode())
        assert json.loads(GoEncoder().encode(message))[4] == f"0x{message.body.hex()}"
    known = Message(OPEN, Open(1, 90, "192.0.2.1", caps.from_json({"LLGR": ["0x01", "0x02"]})).encode())
    assert isinstance(json.loads(GoEncoder().encode(known))[4], dict)
    assert json.loads(GoEncoder().encode(Message(ROUTE_REFRESH, bytes.fromhex("00010001"))))[4] == "0x00010001"


def test_attributes_that_the_go_bgpipe_keeps_as_octets_are_a_body_of_octets() -> None:
    for attribute in (
        {"PREFIX_SID": [{"type": "LABEL_INDEX", "index": 7}]},
        {"PMSI_TUNNEL": {"type": "NO_TUNNEL", "label": 0}},
        {"EXT_COMMUNITY": [{"type": "COLOR", "value": 100}]},
        {"EXT_COMMUNITY": [{"type": "TARGET", "value": "1:1"}, {"type": "ES_IMPORT", "value": "00:00:5e:00:53:01"}]},
    ):
        message = Message(UPDATE, Update.make(attrs=attribute).body)
        assert json.loads(GoEncoder().encode(message))[4] == f"0x{message.body.hex()}"
    known = Message(UPDATE, Update.make(attrs={"EXT_COMMUNITY": [{"type": "0x3fe", "value": "0x1"}]}).body)
    assert isinstance(json.loads(GoEncoder().encode(known))[4], dict)


def test_compat_goes_with_write_and_the_library(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "a.json", tmp_path / "b.json"
    source.write_text(
        '["R",1,"2026-01-02T03:04:05.123456","UPDATE",{"reach":["192.0.2.0/24"]},{}]\n'
        '["R",2,"2026-01-02T03:04:05.123456","NOTIFY",{"code":6,"subcode":2},{}]\n'
    )
    wanted = (
        '["R",1,"2026-01-02T03:04:05.123","UPDATE",{"reach":["192.0.2.0/24"]},{}]\n'
        '["R",2,"2026-01-02T03:04:05.123","NOTIFY","0x0602",{}]\n'
    )
    assert main([str(source), "--", "write", "--compat", "go", str(out)]) == 0
    assert out.read_text() == wanted
    assert main([str(source), "--", "stdout", "--compat", "go"]) == 0
    assert capfd.readouterr().out == wanted
    assert main([str(source), "--", "write", "--compat", "go", str(tmp_path / "b.mrt")]) != 0
    assert "the format mrt has no dialect 'go'" in capfd.readouterr().err
    with bgpipe.read(out) as messages:
        assert [message.type for message in messages] == ["UPDATE", "NOTIFY"]


# The same answer before and after

NARROW = bytes.fromhex(
    "0000 001d 40010100 40020602 02fde95ba0 400304c0000201 c0110a0202 0000fde9 fa56ea00 18c63364".replace(" ", "")
)
"""An UPDATE of a session without 4-octet AS numbers: AS_PATH 65001 23456, AS4_PATH 65001 4200000000."""


@pytest.mark.parametrize("name", ["a.json", "a.mrt", "a.json.gz"])
def test_a_path_of_two_attributes_is_the_same_after_a_file(tmp_path: Path, name: str) -> None:
    body = NARROW[:2] + (len(NARROW) - 8).to_bytes(2, "big") + NARROW[4:]
    message = Message(UPDATE, body, context=AS2)
    assert message.update.origin_as == 4200000000
    assert bgpipe.write(tmp_path / name, [message]) == 1
    (back,) = bgpipe.read(tmp_path / name, filter="as_origin == 4200000000")
    assert (back.body, back.context.as4) == (body, False)
    assert list(bgpipe.read(tmp_path / name, filter="as_origin == 23456")) == []


@pytest.mark.parametrize("form", ["json", "mrt", "raw"])
def test_a_path_of_two_attributes_is_the_same_after_a_program(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    body = NARROW[:2] + (len(NARROW) - 8).to_bytes(2, "big") + NARROW[4:]
    bgpipe.write(tmp_path / "a.mrt", [Message(UPDATE, body, context=AS2)] * 3)
    words = ["exec", "-R", "--format", form, "cat", "--", "grep", "as_origin == 4200000000"]
    assert main(["-o", "read", "-R", str(tmp_path / "a.mrt"), "--", *words]) == 0
    (first, *others) = map(json.loads, capfd.readouterr().out.splitlines())
    assert len(others) == 2
    assert first[4]["attrs"]["AS4PATH"]["value"] == [65001, 4200000000]
