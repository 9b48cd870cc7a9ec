"""What each field says of messages, and that its page in the documentation tells the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from filter_messages import says, update

from bgpipe.filters import FilterError, compile_filter
from bgpipe.filters.fields import FIELDS
from bgpipe.wire.context import AS2, AS4_ADD_PATH
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, OPEN, ROUTE_REFRESH, UPDATE, Message
from bgpipe.wire.state import StateChange
from cases import all_cases

PAGE = Path(__file__).resolve().parents[2] / "docs" / "filters.md"


EMPTY = update()
SIX = update(
    {"ORIGIN": "IGP", "ASPATH": []}, reach=["2001:db8::/32"], withdrawn=["2001:db8:1::/48"], next_hop="2001:db8::1"
)
SESSION = {
    "OPEN": Message(OPEN, bytes.fromhex("04fde900b4c000020100")),
    "NOTIFY": Message(NOTIFICATION, b"\6\2"),
    "KEEPALIVE": Message(KEEPALIVE),
    "REFRESH": Message(ROUTE_REFRESH, b"\0\1\0\1"),
}


def yes_and_no(yes: str, no: str) -> list[tuple[str, bool]]:
    return [(one.strip(), True) for one in yes.split("\n") if one.strip()] + [
        (one.strip(), False) for one in no.split("\n") if one.strip()
    ]


@all_cases(
    ("filter", "expected"),
    yes_and_no(
        yes="""
            update
            type == update
            type == 2
            type != OPEN
            !keepalive
            dir
            dir == R
            direction != l
            seq
            seq == 7
            sequence >= 7
            seq < 0x8
            time
            time == 2019-01-01T00:00:00.123
            time == 1546300800.123
            timestamp > 2019
            time < 2019/01/02
            time <= "2019-01-01 00:00:01"
            time > 20190101.0000
            time ~ "^2019-01-01T00:00:00.123$"
            tag
            tags
            tag[PEER_AS]
            tag[PEER_AS] == 007
            tag[PEER_AS] == "007"
            tag[rov/status] != VALID
            tag[rov/status] ~ ^INV
            tag == INVALID
            tag ~ 7$
            !tag[empty]
            !tag[unknown]
            af == IPV4/UNICAST
            af == ipv4
            af == unicast
            af == 1
            af != IPV6
            ipv4
            !ipv6
            prefix == 10.1.0.0/16
            prefix == 172.16.0.0/12
            prefix ~ 10.0.0.0/8
            prefix ~ 10.1.2.3
            prefix ~ 0.0.0.0/0
            prefix < 10.0.0.0/8
            prefix <= 10.1.0.0/16
            prefix > 10.1.0.0/24
            prefix > 192.168.1.1
            prefix >= 10.1.0.0/16
            prefix !~ 8.8.0.0/16
            prefix[*] ~ 0.0.0.0/0
            prefix_len == 16
            prefix_len > 16
            prefix_length < 16
            !(prefix_len > 24)
            prefix_len[*] <= 24
            prefix[*] < 0.0.0.0/0
            reach
            reach[*]
            reach == 192.168.1.0/24
            reach[*] !~ 10.0.0.0/8
            unreach
            unreach == 172.16.0.0/12
            unreach[*] ~ 172.16.0.0/12
            nexthop
            nh == 192.0.2.1
            nh == 192.0.2.1/32
            nexthop ~ 192.0.2.0/24
            nexthop ~ 0.0.0.0/0
            nexthop < 192.0.2.2
            nexthop <= 192.0.2.1
            nexthop > 10.0.0.0
            aspath
            as_path == 6939
            aspath[*] == 15169
            aspath == 64501
            aspath == "6939"
            aspath == 65001,65001,6939,[64500,64501],15169
            aspath ~ "^65001"
            aspath ~ ,6939,
            aspath ~ "\\[64500,64501\\],15169$"
            aspath ~ \\b64500\\b
            aspath[0] == 65001
            aspath[2] == 6939
            aspath[3] == 64501
            aspath[-1] == 15169
            aspath[-2] == 64500
            aspath[1] > 65000
            aspath > 65000
            aspath < 7000
            aspath[9] != 15169
            as_peer == 65001
            as_origin == 15169
            as_origin >= 15169
            as_upstream == 64500
            as-upstream == 64501
            AS_Origin != 1
            aspath_len
            aspath_len == 5
            as_path_len > 4
            aspath_hops == 4
            as_path_hops <= 4
            origin
            origin == egp
            origin == E
            origin == 1
            origin != igp
            med
            med == 0
            metric < 1
            local_pref == 150
            localpref > 149
            otc
            otc == 65001
            only_to_customer >= 65001
            community
            community == 65001:1
            com == "3356:123"
            com ~ "3356:"
            com ~ '^"65001:1","3356:123"$'
            com != 1:1
            ext_community
            ext_com == {"type":"TARGET","value":"65001:7"}
            com_ext ~ TARGET
            large_community
            large_com == 65001:2:3
            com_large ~ ":2:"
            json[reach]
            json[reach.0] == 10.1.0.0/16
            json[reach.-1] ~ "192"
            json[attrs.ORIGIN.value] == EGP
            json[attrs.LOCALPREF.value] == 150
            json[attrs.LOCALPREF.value] == 150.0
            json[attrs.LOCALPREF.value] == "150"
            json[attrs.LOCALPREF.value] != "150.0"
            json[attrs.LOCALPREF.value] > 1.5e2 || json[attrs.LOCALPREF.value] >= 149.9
            json[attrs.ASPATH.value.3.1] == 64501
            json[attrs.ASPATH.value.3] == [64500,64501]
            json[attrs.ORIGIN.flags] == T
            !json[attrs.NOTHING]
            attr[ORIGIN] == EGP
            attr[origin] ~ ^E
            attr[LocalPref] > 100
            attr[COMMUNITY.0] == 65001:1
            attr[ATTR_99] == 0x0102
            attr[EXT_COMMUNITY.0.type] == TARGET
        """,
        no="""
            open
            notify
            notification
            refresh
            route_refresh
            type == 1
            dir == L
            dir == LR
            seq > 7
            time == 2019-01-01
            time ~ "2018"
            tag[unknown]
            tag[unknown] != x
            tag[PEER_AS] == 7
            tag[empty]
            tag ~ ^$
            ipv6
            af == MULTICAST
            prefix == 10.1.0.0/24
            prefix < 10.1.0.0/16
            prefix > 10.1.0.0/16
            prefix ~ ::/0
            prefix[*] ~ 10.0.0.0/8
            reach ~ 172.16.0.0/12
            reach[*] ~ 10.0.0.0/8
            unreach ~ 10.0.0.0/8
            !reach
            nexthop == 192.0.2.2
            nexthop ~ ::/0
            nexthop > 1::
            aspath == 9999
            aspath == 65001,65001
            aspath ~ "^15169"
            aspath[0] == 6939
            aspath[9] == 15169
            aspath[-9] == 65001
            aspath[5] > 0
            as_origin == 6939
            as_peer > 65001
            aspath_len == 6
            aspath_hops == 5
            origin == igp
            med > 0
            local_pref != 150
            otc < 65001
            com == 65001:2
            com ~ "^123"
            large_com == 65001:3:2
            ext_com == {"type":"TARGET","value":"65001:8"}
            ext_com == {"type":"TARGET","value":"65001:7","nontransitive":true}
            json[reach.9]
            json[reach.x]
            json[attrs.NOTHING] != 1
            json[attrs.ORIGIN.value] > 1
            attr[ORIGIN] == IGP
            attr[AGGREGATOR]
            attr[AGGREGATOR] != x
        """,
    ),
)
def test_a_full_update(filter, expected):
    assert says(filter) is expected
    assert says(f"({filter})") is expected
    assert says(f"!({filter})") is not expected


def test_absent_is_neither_yes_nor_no():
    for field in FIELDS:
        if field.names[0] in ("type", "af", "seq", "time", "dir", "as_peer", "as_origin", "as_upstream"):
            continue
        name = field.names[0] + {"PATH": "[MED]"}.get(field.subscript, "")
        if "?" in field.operators and field.operators != ["?"]:
            assert not says(name, EMPTY), name
            assert says(f"!{name}", EMPTY), name
    for condition in (
        "med == 1",
        "prefix ~ 0.0.0.0/0",
        "reach[*] ~ ::/0",
        "nexthop > 0.0.0.0",
        "aspath == 1",
        "aspath ~ .",
        "as_origin < 9",
        "aspath_len == 0",
        "aspath_hops < 9",
        "origin == igp",
        "com == 1:1",
        "com ~ .",
        "large_com ~ .",
        "tag[x] == y",
        "attr[MED] > 0",
    ):
        assert not says(condition, EMPTY), condition
        assert not says(f"!{condition}", EMPTY), condition
        # parentheses settle it: what is not so, is not so
        assert says(f"!({condition})", EMPTY), condition


def test_an_empty_path_is_absent():
    for condition in ("aspath", "aspath_len", "aspath_len < 5", "aspath_hops == 0", "as_origin != 1", "aspath !~ 1"):
        assert not says(condition, SIX), condition
    assert says("!aspath && !aspath_len", SIX)


def test_multiprotocol_prefixes_count():
    for condition in (
        "ipv6",
        "af == IPV6",
        "reach == 2001:db8::/32",
        "unreach < 2001:db8::/32",
        "prefix ~ ::/0",
        "prefix[*] ~ 2001::/16",
        "nexthop == 2001:db8::1",
        "nh ~ 2001:db8::/64",
        "nh > 2001:db8::",
        "prefix !~ 0.0.0.0/0",
    ):
        assert says(condition, SIX), condition
    assert not says("prefix ~ 0.0.0.0/0", SIX)
    assert not says("nh ~ 0.0.0.0/0", SIX)


def test_families_meet_in_one_message():
    both = update(withdrawn=["10.0.0.0/8", "2001:db8::/32"])
    assert says("unreach ~ ::/0 && unreach ~ 0.0.0.0/0", both)
    assert not says("unreach[*] ~ ::/0 || unreach[*] ~ 0.0.0.0/0", both)
    assert says("ipv6", both)


def test_path_identifiers_do_not_matter():
    message = update(
        {"ORIGIN": "IGP", "ASPATH": [1], "NEXTHOP": "192.0.2.1"}, AS4_ADD_PATH, reach=["#5#10.0.0.0/8", "#6#10.0.0.0/8"]
    )
    assert says("prefix[*] == 10.0.0.0/8", message)


def test_two_octet_paths_are_merged():
    message = update({"ASPATH": [1, 23456], "AS4PATH": [1, 70000]}, AS2, reach=["10.0.0.0/8"])
    assert says("as_origin == 70000 && aspath ~ ^1,70000$", message)


def test_the_types_have_names():
    for name, message in SESSION.items():
        assert says(f"type == {name}", message)
        assert says(f"{name} && !update", message)
        assert not says(f"!{name}", message)
        assert says(f"(update || {name})", message)
        assert says("!(update)", message)
    assert says("type == STATE && !update", StateChange(1, 3))
    assert says("type == 77", Message(77, b"?"))


@pytest.mark.parametrize("message", SESSION.values(), ids=SESSION)
def test_other_types_have_nothing_of_updates(message):
    for condition in ("ipv4", "prefix ~ 0.0.0.0/0", "reach", "aspath", "med", "origin == igp", "attr[MED]"):
        for text in (condition, f"!{condition}", f"({condition})", f"!({condition})", f"!(!{condition})"):
            assert not says(text, message), text
        assert not says(f"update && {condition}", message)
        assert says(f"!update || {condition}", message)
        assert says(f"!(update && {condition})", message)


def test_what_every_message_has():
    message = Message(KEEPALIVE, direction="LR", seq=3, time=1_000_001, tags={"a": "b"})
    assert says('dir == RL && seq == 3 && time ~ "^1970-01-01T00:00:01.000001$" && tag[a] == b', message)
    nothing = SESSION["KEEPALIVE"]
    for condition in ("dir", "seq", "time", "tag", "json[x]"):
        assert not says(condition, nothing)
        assert says(f"!{condition}", nothing)
    for condition in ("dir != L", "seq != 1", "time != 2023", "time !~ 1", "tag[a] != b", "json[x] != 1"):
        assert not says(condition, nothing)


def test_json_of_other_types():
    assert says("json[asn] == 65001 && json[hold] >= 180", SESSION["OPEN"])
    assert says("json[code] == 6", SESSION["NOTIFY"])
    assert says("!json[x]", SESSION["REFRESH"])


def test_reading_tags_does_not_touch_them():
    peer = bytes.fromhex("0000fde9 0000fdea 0000 0001 c0000201 c0000202")
    message = Message(KEEPALIVE, peer=peer)
    assert says("tag[PEER_AS] == 65001 && tag[PEER_IP] == 192.0.2.1", message)
    assert message.peer is peer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        b"\xff\xff",
        b"\0\0\xff\xff",
        bytes.fromhex("0000 0000 21"),
        bytes.fromhex("0001 19 0000"),
        bytes.fromhex("0000 0004 400101 07 18 0a0000"),
        bytes.fromhex("0000 0005 400205 0202"),
        bytes.fromhex("0000 0006 c00803 010203 08 0a"),
        bytes.fromhex("0000 0009 800e06 0001011800 01 08 0a"),
        bytes.fromhex("0000 0003 400100 08 0a"),
    ],
    ids=bytes.hex,
)
def test_malformed_updates_raise_nothing(body):
    message = Message(UPDATE, body)
    assert says("update", message)
    for text in (
        "prefix ~ 0.0.0.0/0 && prefix == 1.1.1.1",
        "aspath ~ . && as_origin == 1",
        "com == 9:9",
        "large_com ~ 9",
        "nh == 1.2.3.4",
        "aspath_hops > 100",
        "med == 9",
        "json[attrs.MED.value] == 9",
        "attr[MED] == 9",
        "af == IPV6",
    ):
        assert not says(text, message), text
        for part in text.split(" && "):
            says(f"!{part}", message)
            says(f"!({part})", message)


def test_evil_patterns_take_linear_time():
    long = Message(KEEPALIVE, tags={"x": "a" * 20_000 + "b"})
    path = update({"ASPATH": [65001] * 900}, reach=["10.0.0.0/8"])
    for pattern in (r"(a+)+$", r"^(a|a)*$", r"^(a|aa)+$", r"(.*a){12}$", r"^(([a-z])+.)+[A-Z]([a-z])+$"):
        assert not says(f"tag[x] ~ '{pattern}'", long)
    for pattern in (r"^([0-9]+,?)+\[", r"(.*,){10}(.*,){10}\[", r"(65001,)*(65001,)*(65001,)*\["):
        assert not says(f"aspath ~ '{pattern}'", path)


def test_patterns_write_nothing(capfd):
    with pytest.raises(FilterError, match="invalid regex"):
        compile_filter("aspath ~ '(((a{1000}){1000}){1000}'")
    assert capfd.readouterr() == ("", "")


def test_text_that_is_not_unicode():
    assert says("tag[x] ~ ^.$", Message(KEEPALIVE, tags={"x": "\ud800"}))
    with pytest.raises(FilterError, match="not Unicode"):
        compile_filter("tag ~ \ud800")


def test_json_is_that_of_the_message_as_it_is_now():
    message = update({"MED": 5}, reach=["10.1.0.0/16"])
    chosen = compile_filter("json[attrs.MED.value] == 5 && json[reach.0] == 10.1.0.0/16")
    assert chosen(message)
    message.update = message.update.replace(attrs={"MED": 6})
    assert not chosen(message)
    assert chosen(update({"MED": 5}, reach=["10.1.0.0/16"]))


def test_without_a_peer_there_is_nothing_to_say_of_it():
    message = Message(KEEPALIVE)
    for filter in ("peer_asn", "peer_asn == 1", "peer_asn != 1", "peer_ip", "peer_ip == 192.0.2.1", "peer_ip !~ ::/0"):
        assert not says(filter, message)


# The page


def test_every_field_is_on_the_page():
    page = PAGE.read_text()
    assert [name for field in FIELDS for name in field.names if not re.search(rf"`{name}[`\[]", page)] == []


def test_the_page_tells_operators():
    rows = dict(re.findall(r"^\| `(\w+)[^|]*\| ([^|]*) \|", PAGE.read_text(), re.MULTILINE))
    for field in FIELDS:
        wanted = " ".join("presence" if operator == "?" else f"`{operator}`" for operator in field.operators)
        assert rows[field.names[0]] == wanted, field.names[0]


def test_every_example_on_the_page_compiles():
    blocks = re.findall(r"^```filter\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    examples = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    assert len(examples) > 30
    for example in examples:
        assert compile_filter(example).text == example


def test_names_are_unique_and_in_lower_case():
    names = [name for field in FIELDS for name in field.names]
    assert len(set(names)) == len(names)
    assert names == [name.lower().replace("-", "_") for name in names]
