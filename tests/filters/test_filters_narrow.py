"""Filters that are asked about each route alone: what stays of an UPDATE."""

from __future__ import annotations

from functools import lru_cache
from random import Random

import pytest

from bgpipe import accel
from bgpipe.filters import compile_filter
from bgpipe.formats import mrt
from bgpipe.wire.attrs import MP_REACH, MP_UNREACH
from bgpipe.wire.block import Block
from bgpipe.wire.context import AS4, AS4_ADD_PATH, WireContext
from bgpipe.wire.message import KEEPALIVE, UPDATE, Message
from bgpipe.wire.update import Update
from bgpipe.wire.update_body import join

ATTRS = {"ORIGIN": "IGP", "ASPATH": [64500, 64501], "NEXTHOP": "192.0.2.1", "ATTR_99": {"flags": "OT", "value": "0x01"}}
MIXED = Update.make(
    reach=["198.51.100.0/24", "203.0.113.0/24", "2001:db8:1::/48", "2001:db8:2::/48"],
    withdrawn=["198.51.100.128/25", "192.0.2.0/24", "2001:db8:3::/48"],
    attrs={
        **ATTRS,
        "MP_REACH": {
            "af": "IPV6/UNICAST",
            "nexthop": "2001:db8::1",
            "prefixes": ["2001:db8:1::/48", "2001:db8:2::/48"],
        },
    },
)


def narrow(text: str, update: Update, keep: bool = True, tags: dict[str, str] | None = None) -> Update | None:
    message = Message(UPDATE, update.body, context=update.context, tags=tags, time=1)
    body = compile_filter(text).narrow_message(message, keep)
    return None if body is None else Update(body, update.context)


def routes(update: Update | None) -> list[str]:
    """Announced, then withdrawn ones behind a minus."""
    if update is None:
        return []
    return [*map(str, update.reach), *(f"-{prefix}" for prefix in update.withdrawn)]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("prefix <= 198.51.100.0/24", ["198.51.100.0/24", "-198.51.100.128/25"]),
        ("reach <= 198.51.100.0/24", ["198.51.100.0/24"]),
        ("unreach <= 198.51.100.0/24", ["-198.51.100.128/25"]),
        ("prefix <= 2001:db8:2::/47", ["2001:db8:2::/48", "-2001:db8:3::/48"]),
        ("prefix[*] <= 203.0.113.0/24", ["203.0.113.0/24"]),
        ("ipv6", ["2001:db8:1::/48", "2001:db8:2::/48", "-2001:db8:3::/48"]),
        ("ipv4 && reach", ["198.51.100.0/24", "203.0.113.0/24"]),
        ("nexthop == 2001:db8::1", ["2001:db8:1::/48", "2001:db8:2::/48"]),
        ("nexthop == 192.0.2.1 && reach", ["198.51.100.0/24", "203.0.113.0/24"]),
        ("!(prefix ~ 198.51.100.0/24) && ipv4", ["203.0.113.0/24", "-192.0.2.0/24"]),
        ("prefix == 203.0.113.0/24 || prefix == 192.0.2.0/24", ["203.0.113.0/24", "-192.0.2.0/24"]),
        ("prefix == 203.0.113.0/24 && prefix == 192.0.2.0/24", []),
        ("reach && unreach", []),
        ('json[attrs.MP_REACH.value.prefixes.0] == "2001:db8:1::/48"', ["2001:db8:1::/48"]),
        ("as_origin == 1", []),
        ("prefix == 203.0.113.0/24 && as_origin == 64501", ["203.0.113.0/24"]),
        ("prefix == 203.0.113.0/24 && tag[x] == y", ["203.0.113.0/24"]),
    ],
)
def test_each_route_is_asked_about_alone(text: str, left: list[str]) -> None:
    found = narrow(text, MIXED, tags={"x": "y"})
    assert routes(found) == left
    removed = narrow(text, MIXED, keep=False, tags={"x": "y"})
    assert sorted(routes(removed) + left) == sorted(routes(MIXED))


def test_attributes_stay_as_they_are() -> None:
    found = narrow("prefix == 203.0.113.0/24 || unreach == 2001:db8:3::/48", MIXED)
    assert found is not None
    assert list(found.attrs.keys()) == [code for code in MIXED.attrs if code != MP_REACH]
    assert {code: each for code, each in found.attrs.items() if code != MP_UNREACH} == {
        code: each for code, each in MIXED.attrs.items() if code not in (MP_REACH, MP_UNREACH)
    }


@pytest.mark.parametrize("text", ["update", "as_origin == 64501", "prefix ~ 0.0.0.0/0 || prefix ~ ::/0"])
def test_an_update_that_keeps_all_routes_keeps_its_octets(text: str) -> None:
    message = Message(UPDATE, MIXED.body)
    assert compile_filter(text).narrow_message(message) is message.body


@pytest.mark.parametrize("body", [bytes(4), bytes.fromhex("00000006800f03000201")], ids=["ipv4", "ipv6"])
def test_an_end_of_rib_is_judged_as_a_whole(body: bytes) -> None:
    message = Message(UPDATE, body)
    assert compile_filter("prefix ~ 0.0.0.0/0").narrow_message(message, keep=False) is body
    assert compile_filter("prefix ~ 0.0.0.0/0").narrow_message(message) is None
    assert compile_filter("update").narrow_message(message) is body


def test_other_messages_are_judged_as_without_it() -> None:
    message = Message(KEEPALIVE)
    assert compile_filter("!update || prefix ~ 0.0.0.0/0").narrow_message(message) is message.body
    assert compile_filter("prefix ~ 0.0.0.0/0").narrow_message(message) is None


def test_path_identifiers_belong_to_their_prefix() -> None:
    update = Update.make(reach=["#1#198.51.100.0/24", "#2#203.0.113.0/24"], attrs=ATTRS, context=AS4_ADD_PATH)
    assert routes(narrow("prefix == 203.0.113.0/24", update)) == ["#2#203.0.113.0/24"]


def test_nlri_without_a_codec_are_one_route() -> None:
    value = {"af": "IPV4/MPLS_VPN", "nh": "0x0000000000000000c0000201", "data": "0x70000011000100000001c63364"}
    update = Update.make(reach=["203.0.113.0/24"], attrs={**ATTRS, "MP_REACH": value})
    assert list(narrow("af == MPLS_VPN", update).attrs) == list(update.attrs)  # type: ignore[union-attr]
    assert not narrow("af == MPLS_VPN", update).nlri  # type: ignore[union-attr]
    found = narrow("prefix == 203.0.113.0/24", update)
    assert found is not None
    assert MP_REACH not in found.attrs
    assert narrow("prefix == 10.0.0.0/8", update) is None


def test_what_cannot_be_read_is_judged_as_a_whole() -> None:
    message = Message(UPDATE, join(b"", b"", b"\x21\x00"))
    assert compile_filter("update").narrow_message(message) is message.body
    assert compile_filter("prefix ~ 0.0.0.0/0").narrow_message(message) is None
    assert compile_filter("prefix ~ 0.0.0.0/0").narrow_message(message, keep=False) is message.body


FILTERS = [
    "prefix <= 198.51.100.0/24",
    "reach < 0.0.0.0/1 || ipv6",
    "!(prefix ~ 128.0.0.0/2) && nexthop",
    "nexthop ~ 2001:db8::/32",
    "prefix ~ 198.51.100.0/24 && json[attrs.MED.value] > 10",
    "unreach[*] ~ ::/0 || reach > 198.51.100.0/24",
    "med > 5 && af != IPV6",
    'aspath ~ "501$" && reach',
    "type == KEEPALIVE || prefix < 10.0.0.0/8",
    "update",
    "!update",
]


@lru_cache
@lru_cache
def records(seed: int, context: WireContext, count: int) -> bytes:
    """MRT records of random UPDATEs, some of them with octets changed."""
    rng = Random(seed)
    encoder = mrt.MrtEncoder()
    found = []
    for number in range(count):
        prefixes = [f"{rng.choice((10, 198, 203))}.51.{rng.randrange(256)}.0/{rng.randrange(8, 32)}" for _ in range(6)]
        prefixes += [f"2001:db8:{rng.randrange(4):x}::/{rng.randrange(30, 64)}" for _ in range(4)]
        if context.add_path:
            prefixes = [f"#{rng.randrange(9)}#{prefix}" for prefix in prefixes]
        rng.shuffle(prefixes)
        communities = [f"64500:{each}" for each in range(rng.randrange(90))]
        attrs = {**ATTRS, "MED": rng.randrange(20), "COMMUNITY": communities}
        mp = {"af": "IPV6/UNICAST", "nexthop": "2001:db8::1", "prefixes": [p for p in prefixes[:4] if "::" in p]}
        update = Update.make(
            reach=prefixes[:4],
            withdrawn=prefixes[4 : rng.randrange(4, 10)],
            attrs={**attrs, "MP_REACH": mp} if mp["prefixes"] else attrs,
            context=context,
        )
        body = bytearray(update.body)
        if rng.randrange(4) == 0:
            body[rng.randrange(len(body))] = rng.randrange(256)
        kind = KEEPALIVE if number % 50 == 0 else UPDATE
        message = Message(
            kind, bytes(body) if kind == UPDATE else b"", context=context, time=number + 1, seq=number + 1
        )
        message.tags = {"PEER_AS": "64500", "PEER_IP": "192.0.2.7"}
        found.append(encoder.encode(message))
    return b"".join(found)


@pytest.mark.skipif(not accel.AVAILABLE, reason="no accel")
@pytest.mark.parametrize("context", [AS4, AS4_ADD_PATH], ids=["as4", "add-path"])
@pytest.mark.parametrize("text", FILTERS)
def test_blocks_are_narrowed_as_their_messages_are(text: str, context: WireContext) -> None:
    octets = records(7, context, 120)
    chosen = compile_filter(text)
    blocks = 0
    for keep in (True, False):
        decoder = mrt.MrtDecoder()
        for item in [*decoder.feed(octets), *decoder.end()]:
            if not isinstance(item, Block):
                continue
            blocks += 1
            alone = [(each.seq, each.time, chosen.narrow_message(each, keep), dict(each.tags)) for each in item]
            found = [(each.seq, each.time, each.body, dict(each.tags)) for each in chosen.narrow(item, keep)]
            assert found == [each for each in alone if each[2] is not None]
    assert blocks >= 2
