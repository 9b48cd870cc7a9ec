"""Formats of lines: bgpdump and ExaBGP, out and in."""

from __future__ import annotations

import json

import pytest

import vectors
from bgpipe.formats import find, sniff
from bgpipe.formats.base import DecoderOptions
from bgpipe.wire.context import AS2, AS4_ADD_PATH
from bgpipe.wire.errors import TextError
from bgpipe.wire.message import KEEPALIVE, ROUTE_REFRESH, UPDATE, Message
from bgpipe.wire.state import StateChange
from bgpipe.wire.update import Update
from cases import all_cases


def decode(name: str, text: str, states: bool = True, size: int = 0) -> tuple[list[Message], list[str], list[str]]:
    """(messages, damage, notes)"""
    damage: list[str] = []
    notes: list[str] = []
    options = DecoderOptions(on_damage=lambda each: damage.append(str(each)), on_note=notes.append, states=states)
    decoder = find(name).open_decoder(options)
    octets = text.encode()
    step = size or len(octets) or 1
    items = [item for pos in range(0, len(octets), step) for item in decoder.feed(octets[pos : pos + step])]
    items += decoder.end()
    return [item for item in items if isinstance(item, Message)], damage, notes


def encode(name: str, *messages: Message) -> str:
    encoder = find(name).open_encoder()
    return b"".join(map(encoder.encode, messages)).decode()


PATH = "65001 65002 {65003,65004}"
DUMPED = [
    f"BGP4MP|1700000000|A|192.0.2.1|65001|198.51.100.0/24|{PATH}|IGP|192.0.2.1|0|0||NAG||",
    f"BGP4MP_ET|1700000000.000001|A|192.0.2.1|65001|198.51.100.0/24|{PATH}|EGP|192.0.2.9|100|5"
    "|65001:1 no-export|AG|65002 192.0.2.2|",
    "BGP4MP|1700000000|A|2001:db8::1|65001|2001:db8::/48|(65010) [65011,65012] 1|INCOMPLETE|2001:db8::1|0|0||NAG||",
    "BGP4MP|1700000000|A|2001:db8:1::2:3:4:5|65001|2001:db8::/32||IGP|2001:db8::1|0|0||NAG||",
    "BGP4MP_AP|1700000000|A|192.0.2.1|4200000001|198.51.100.0/24|7|4200000001|IGP|192.0.2.1|0|0||NAG||",
    "BGP4MP|1700000000|W|192.0.2.1|65001|198.51.100.0/24",
    "BGP4MP_AP|1700000000|W|192.0.2.1|65001|2001:db8::/32|9",
    "BGP4MP|1700000000|STATE|192.0.2.1|65001|6|1",
    "TABLE_DUMP2|1700000000|B|192.0.2.1|65001|198.51.100.0/24|65001|IGP|192.0.2.1|0|0||NAG||",
    "TABLE_DUMP|1700000000|B|192.0.2.1|65001|198.51.100.0/24|65001|IGP|192.0.2.1|0|0||NAG|65001 192.0.2.3|",
    "TABLE_DUMP2|1700000000|B|0.0.0.0|0|198.51.100.0/24||INCOMPLETE|255.255.255.255|0|0||NAG||",
    "TABLE_DUMP2|1700000000|B|::|0|2001:db8::/32||INCOMPLETE|255.255.255.255|0|0||NAG||",
]


@pytest.mark.parametrize("size", [0, 1, 50])
def test_lines_of_bgpdump_come_back(size):
    text = "\n".join(DUMPED) + "\n"
    messages, damage, _ = decode("bgpdump", text, size=size)
    assert damage == []
    assert encode("bgpdump", *messages).splitlines() == DUMPED
    assert [message.from_rib for message in messages] == [line.startswith("TABLE") for line in DUMPED]


def test_state_changes_are_read_if_they_are_asked_for():
    assert isinstance(decode("bgpdump", DUMPED[7])[0][0], StateChange)
    assert decode("bgpdump", DUMPED[7], states=False)[0] == []


@all_cases(
    ("line", "error"),
    [
        ("BGP4MP|x|W|192.0.2.1|65001|198.51.100.0/24", "not a time: 'x'"),
        ("BGP4MP|1|W|192.0.2.1|65001", "5 fields; a line W has 6"),
        ("BGP4MP|1|W|192.0.2|65001|198.51.100.0/24", "not an IP address: '192.0.2'"),
        ("BGP4MP|1|W|192.0.2.1|4294967296|198.51.100.0/24", "not a number up to 4294967295"),
        ("BGP4MP|1|W|192.0.2.1|65001|198.51.100.0/33", "prefix length"),
        ("BGP4MP|1|Z|192.0.2.1|65001|198.51.100.0/24", "A, B, W or STATE is expected"),
        ("BGP4MP|1|A|192.0.2.1|65001|198.51.100.0/24|1 x|IGP|192.0.2.1|0|0||NAG||", "not an AS path: '1 x'"),
        ("BGP4MP|1|A|192.0.2.1|65001|198.51.100.0/24|1|IGP|192.0.2.1|0|0||?||", "neither AG nor NAG"),
        ("BGP4MP|1|A|192.0.2.1|65001|2001:db8::/32|1|IGP||0|0||NAG||", "no next hop"),
        ("BGP4MP|1|A|192.0.2.1|65001|198.51.100.0/24|1|XYZ|192.0.2.1|0|0||NAG||", "ORIGIN"),
        ("BGP4MP", "A, B, W or STATE"),
        ("hello|1|A", "it starts with 'hello'"),
    ],
)
def test_a_bad_line_of_bgpdump_costs_itself(line, error):
    messages, damage, _ = decode("bgpdump", f"{DUMPED[0]}\n{line}\n{DUMPED[0]}\n")
    assert len(messages) == 2
    (why,) = damage
    assert why.startswith("line 2: ")
    assert error in why


def test_lines_of_the_old_type_bgp_have_no_communities():
    lines = [
        "BGP|936348099|STATE|193.0.0.56|3333|1|2",
        "BGP|936348099|A|193.0.0.56|3333|62.0.0.0/16|3333 1103|IGP|193.0.0.56|0|0|AG|1680 199.203.0.141|",
        "BGP|936348099|W|193.0.0.56|3333|24.0.0.0/8",
    ]
    text = "".join(f"{line}\n" for line in lines)
    found = sniff(text.encode())
    assert found is not None
    assert found.name == "bgpdump"
    messages, damage, _ = decode("bgpdump", text)
    assert damage == []
    assert encode("bgpdump", *messages).splitlines() == [
        lines[0].replace("BGP", "BGP4MP"),
        "BGP4MP|936348099|A|193.0.0.56|3333|62.0.0.0/16|3333 1103|IGP|193.0.0.56|0|0||AG|1680 199.203.0.141|",
        lines[2].replace("BGP", "BGP4MP"),
    ]


def test_what_bgpdump_has_no_line_for():
    vpn = {
        "af": "IPV4/MPLS_VPN",
        "nexthop": "192.0.2.1",
        "routes": [{"rd": "1:1", "prefix": "10.0.0.0/8", "labels": [3]}],
    }
    routes = Update.make(attrs={"ORIGIN": "IGP", "ASPATH": [], "MP_REACH": vpn}).body
    end = Update.make(attrs={"MP_UNREACH": {"af": "IPV4/MPLS_VPN", "routes": []}}).body  # End-of-RIB: no route
    assert encode("bgpdump", Message(KEEPALIVE), Message(UPDATE, bytes(4)), Message(UPDATE, end)) == ""
    told: list[Message] = []
    encoder = find("bgpdump").encoder
    assert encoder is not None
    from bgpipe.formats.base import EncoderOptions

    writer = encoder(EncoderOptions(on_report=lambda message, error: told.append(message)))
    assert writer.encode(Message(UPDATE, bytes.fromhex("0000000021"))) == b""
    assert len(told) == 1, "an UPDATE whose prefixes can't be read is told"
    assert writer.encode(Message(UPDATE, routes)) == b""
    assert len(told) == 2, "an UPDATE with other routes is told"
    both = Update.make(withdrawn=["10.0.0.0/8"], attrs={"MP_UNREACH": {"af": "IPV4/MPLS_VPN", "routes": vpn["routes"]}})
    assert writer.encode(Message(UPDATE, both.body)) == b"BGP4MP|0|W|0.0.0.0|0|10.0.0.0/8\n"
    assert len(told) == 3, "also beside prefixes that have lines"
    with pytest.raises(TextError, match="IPV4/MPLS_VPN"):
        encode("bgpdump", Message(UPDATE, routes))


@pytest.mark.parametrize("accel", ["1", "0"])
def test_routes_without_lines_are_told(bgpipe, tmp_path, monkeypatch, accel):
    """In an archive, message by message and in blocks."""
    if accel == "0":
        monkeypatch.setattr("bgpipe.formats.bgpdump._bgpdump_out", None)
    vpn = {
        "af": "IPV4/MPLS_VPN",
        "nexthop": "192.0.2.1",
        "routes": [{"rd": "1:1", "prefix": "10.0.0.0/8", "labels": [3]}],
    }
    routes = Update.make(attrs={"ORIGIN": "IGP", "ASPATH": [], "MP_REACH": vpn}).body
    plain = Update.make(withdrawn=["10.0.0.0/8"]).body
    (tmp_path / "in.mrt").write_bytes(
        b"".join(find("mrt").open_encoder().encode(Message(UPDATE, body)) for body in (plain, routes, plain))
    )
    done = bgpipe("-l", "error", "read", tmp_path / "in.mrt", "--", "write", tmp_path / "out.bgpdump")
    assert done.code == 1
    assert "1 message not written, that bgpdump has no form for" in done.err
    assert len((tmp_path / "out.bgpdump").read_text().splitlines()) == 2


ROUTES = [
    "announce route 192.0.2.0/24 next-hop 198.51.100.1 origin IGP as-path [ 65001 65002 ] med 5 local-preference 100",
    "announce route 192.0.2.0/24 next-hop 198.51.100.1 community [ no-export 1:1 blackhole ] large-community [ 1:2:3 ]",
    "announce route 2001:db8::/32 next-hop 2001:db8::1 origin EGP as-path [ 1 ] ( 2 3 ) [ { 4 } ]",
    "announce route 192.0.2.0/24 path-information 7 next-hop 198.51.100.1 atomic-aggregate aggregator ( 1:192.0.2.9 )",
    "announce route 192.0.2.0/24 next-hop 2001:db8::1 originator-id 192.0.2.7 cluster-list [ 1.1.1.1 2.2.2.2 ]",
    "announce route 192.0.2.0/24 next-hop 198.51.100.1 extended-community [ 0x0002fde900000001 ]",
    "announce route 192.0.2.0/24 next-hop 198.51.100.1 attribute [ 0x63 0xc0 0x0102 ]",
    "withdraw route 192.0.2.0/24",
    "withdraw route 2001:db8::/32 path-information 9",
    "announce eor ipv4 unicast",
    "announce eor ipv6 unicast",
    "announce route-refresh ipv6 unicast",
]


@pytest.mark.parametrize("size", [0, 1, 50])
def test_lines_of_exabgp_come_back(size):
    messages, damage, notes = decode("exa", "\n".join(ROUTES) + "\n", size=size)
    assert (damage, notes) == ([], [])
    assert encode("exa", *messages).splitlines() == ROUTES
    assert messages[3].context == AS4_ADD_PATH
    assert messages[-1].type_code == ROUTE_REFRESH


@all_cases(
    ("line", "same"),
    [
        (
            "announce ipv4 unicast 192.0.2.0/24 next-hop 198.51.100.1",
            "announce route 192.0.2.0/24 next-hop 198.51.100.1",
        ),
        ("neighbor 192.0.2.9 local-as 1 announce route 192.0.2.1 next-hop self", "announce route 192.0.2.1/32"),
        ("withdraw route 192.0.2.0/24 next-hop 198.51.100.1 med 5", "withdraw route 192.0.2.0/24"),
        ("announce route 192.0.2.0/24 as-path [65001,65002]", "announce route 192.0.2.0/24 as-path [ 65001 65002 ]"),
        ("announce route 192.0.2.0/24 as-path 65001", "announce route 192.0.2.0/24 as-path [ 65001 ]"),
        ("announce route 192.0.2.0/24 as-path [ 1 ( 2 3 ) ]", "announce route 192.0.2.0/24 as-path [ 1 ] ( 2 3 )"),
        ("announce route 192.0.2.0/24 community 0xFFFFFF01", "announce route 192.0.2.0/24 community [ no-export ]"),
        ("announce route 192.0.2.0/24 community [no_peer]", "announce route 192.0.2.0/24 community [ no-peer ]"),
        ("withdraw route 192.0.2.0/24 path-information 0.0.1.2", "withdraw route 192.0.2.0/24 path-information 258"),
        (
            "announce route 192.0.2.0/24 extended-community [target:65001:1 origin:192.0.2.1:2 target:70000:3]",
            "announce route 192.0.2.0/24"
            " extended-community [ 0x0002fde900000001 0x0103c00002010002 0x0202000111700003 ]",
        ),
        (
            "announce attributes med 5 nlri 192.0.2.0/25 192.0.2.128/25",
            "announce route 192.0.2.0/25 med 5\nannounce route 192.0.2.128/25 med 5",
        ),
    ],
)
def test_other_spellings_of_exabgp(line, same):
    messages, damage, notes = decode("exa", line)
    assert (damage, notes) == ([], [])
    assert encode("exa", *messages).strip() == same


@all_cases(
    ("line", "error"),
    [
        ("announce", "ends where route is expected"),
        ("announce flow route 1", "'flow' is not read"),
        ("announce route 192.0.2.0/24 rd 1:1 next-hop self", "only routes of IPv4 and IPv6 unicast"),
        ("announce ipv4 mpls-vpn 192.0.2.0/24", "'ipv4 mpls-vpn' is not read"),
        ("announce route 192.0.2.0/24 med x", "not a number up to 4294967295: 'x'"),
        ("announce route 192.0.2.0/24 as-path [ 1 2", "ends where a number is expected"),
        ("announce route 192.0.2.0/24 community [ 1:2", "ends where a community or ] is expected"),
        ("announce route 192.0.2.0/24 extended-community [ foo:1:2 ]", "not an extended community: 'foo:1:2'"),
        ("announce route 192.0.2.0/24 attribute [ 1 2 3 ]", "[ 0xCODE 0xFLAGS 0xVALUE ] is expected"),
        ("announce attributes med 5", "no prefix"),
        ("announce route 192.0.2.0/24 aggregator 5", "( AS:ADDRESS ) is expected"),
        ("announce route 2001:db8::/32 next-hop self", "need an IPv6 next_hop"),
        ("announce route 192.0.2.0/24 as-path " + "[ " * 5000, "nested too deeply"),
    ],
)
def test_a_bad_line_of_exabgp_costs_itself(line, error):
    messages, damage, _ = decode("exa", f"{ROUTES[0]}\n{line}\n# a comment\n\n{ROUTES[0]}")
    assert len(messages) == 2
    (why,) = damage
    assert why.startswith("line 2: ")
    assert error in why


def test_an_unknown_word_is_told_once_and_left_out():
    line = "announce route 192.0.2.0/24 next-hop self watchdog dog name x med 5"
    messages, damage, notes = decode("exa", f"{line}\n{line}")
    assert encode("exa", *messages) == 2 * "announce route 192.0.2.0/24 med 5\n"
    assert damage == []
    assert notes == ["line 1: the word 'watchdog' is left out; further such words are not reported"]


def test_json_among_the_lines_of_exabgp():
    messages, damage, _ = decode("exa", '{"reach":["192.0.2.0/24"]}\n["R",7,null,"KEEPALIVE",null,{}]')
    assert damage == []
    assert [(message.type, message.seq) for message in messages] == [("UPDATE", 0), ("KEEPALIVE", 7)]


def test_what_exabgp_has_no_words_for_keeps_its_octets():
    body = Update.make(
        reach=["192.0.2.0/24"],
        next_hop="192.0.2.1",
        attrs={"COMMUNITY": {"flags": "OTP", "value": ["1:2"]}, "ORIGIN": "0x07"},
    ).body
    text = encode("exa", Message(UPDATE, body))
    assert text.endswith(" attribute [ 0x08 0xe0 0x00010002 ] attribute [ 0x01 0x40 0x07 ]\n")
    (message,) = decode("exa", text)[0]
    assert {a.code: (a.flags, a.octets) for a in message.update.attrs.values()} == {
        a.code: (a.flags, a.octets) for a in Update(body).attrs.values()
    }


def test_as_numbers_of_two_octets_are_written_with_four():
    attrs = {"ASPATH": [65001, 23456], "AS4PATH": [65001, 4200000001]}
    body = Update.make(reach=["192.0.2.0/24"], next_hop="192.0.2.1", attrs=attrs, context=AS2).body
    text = encode("exa", Message(UPDATE, body, context=AS2))
    assert text == "announce route 192.0.2.0/24 next-hop 192.0.2.1 as-path [ 65001 4200000001 ]\n"


@vectors.cases("bgpfix_exa")
def test_lines_of_the_original(row):
    messages, damage, _ = decode("exa", row["line"])
    expected = row["expected"]
    if expected == "error":
        assert (len(messages), len(damage)) == (0, 1)
        return
    (message,) = messages
    assert json.loads(message.format_json()) == expected["upper"]
    assert encode("exa", message).splitlines() == expected["lines_out"]
    assert message.octets.hex() == expected["hex"]


@all_cases(
    ("octets", "name"),
    [
        (DUMPED[0].encode(), "bgpdump"),
        (DUMPED[7].encode(), "bgpdump"),
        (b"# made by hand\nannounce route 192.0.2.0/24 next-hop self", "exa"),
        (b"neighbor 192.0.2.1 withdraw route 192.0.2.0/24\n", "exa"),
    ],
)
def test_content_tells_these_formats(octets, name):
    found = sniff(octets)
    assert found is not None
    assert found.name == name
