"""The suites of other projects, so far as they are about NLRI other than plain prefixes.

Rows that can't pass are strict expected failures, with the clause.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from bgpipe.wire.family import Family, parse_family
from bgpipe.wire.nlri import TABLE, format_routes, parse_routes
from bgpipe.wire.nlri.text import parse_labels
from bgpipe.wire.update import Update
from test_vectors_update import body, updates
from vectors import Row, cases, context, load, parametrize

FAMILIES = {
    "ipv4 flow": "IPV4/FLOWSPEC",
    "ipv6 flow": "IPV6/FLOWSPEC",
    "ipv4 flow-vpn": "IPV4/L3VPN_FLOWSPEC",
    "ipv6 flow-vpn": "IPV6/L3VPN_FLOWSPEC",
    "ipv4 nlri-mpls": "IPV4/MPLS",
    "ipv6 nlri-mpls": "IPV6/MPLS",
    "ipv4 mpls-vpn": "IPV4/MPLS_VPN",
    "ipv6 mpls-vpn": "IPV6/MPLS_VPN",
    "ipv4 mcast-vpn": "IPV4/MCAST_VPN",
    "ipv6 mcast-vpn": "IPV6/MCAST_VPN",
    "ipv4 sr-policy": "IPV4/SR_TE_POLICY",
    "ipv6 sr-policy": "IPV6/SR_TE_POLICY",
    "l2vpn evpn": "L2VPN/EVPNS",
    "l2vpn vpls": "L2VPN/VPLS",
    "ipv4 rtc": "IPV4/ROUTE_TARGET",
}
"""What ExaBGP calls families."""
OTHERS = ("unicast", "multicast", "mup", "bgp-ls")
"""Families that are prefixes, or have no codec."""
CODES = {"AUTO_DISCOVERY": 1, "MAC_IP": 2, "SOURCE_ACTIVE": 5, "SHARED_TREE_JOIN": 6, "SOURCE_TREE_JOIN": 7}
COMPONENTS = {
    "DST": "destination-ipv{}",
    "SRC": "source-ipv{}",
    "PROTO": "protocol",
    "PORT": "port",
    "PORT_DST": "destination-port",
    "PORT_SRC": "source-port",
    "ICMP_TYPE": "icmp-type",
    "ICMP_CODE": "icmp-code",
    "TCP_FLAGS": "tcp-flags",
    "PKTLEN": "packet-length",
    "DSCP": "dscp",
    "FRAG": "fragment",
}
NUMBERS = {
    "tcp": 6,
    "udp": 17,
    "unreachable": 3,
    "echo-request": 8,
    "echo-reply": 0,
    "urg": 0x20,
    "rst": 4,
    "first-fragment": 4,
    "last-fragment": 8,
}
"""What ExaBGP has a name for."""
OFFSETS = ("exabgp_encoding-0042",)
"""ExaBGP sends the bits before an offset too; RFC 8956 section 3.1 leaves them out."""


def announced(row: Row) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """(attribute, family, next hop, what ExaBGP shows) of each route of a row."""
    update = row["expected"]["exabgp_json"]["update"]
    for name, by_hop in update.get("announce", {}).items():
        for hop, routes in by_hop.items():
            yield from (("MP_REACH", name, hop, route) for route in routes)
    for name, routes in update.get("withdraw", {}).items():
        yield from (("MP_UNREACH", name, "", route) for route in routes)


def as_exabgp(route: dict[str, Any], version: int) -> dict[str, Any]:
    """Our members as ExaBGP names them."""
    if "value" in route:
        return {"code": route["type"], "raw": f"{route['type']:02x}..{route['value'][2:]}"}
    renamed = {"prefix": "nlri", "ve": "endpoint", "tag": "ethernet-tag", "source_as": "source-as", "RD": "rd"}
    shown: dict[str, Any] = {}
    for key, value in route.items():
        if key in COMPONENTS:
            shown[COMPONENTS[key].format(version)] = [value] if isinstance(value, str) else operators(value)
        elif key == "labels":
            raw = [parse_labels([label], False) for label in value[:-1]] + [parse_labels(value[-1:], "nlri" in shown)]
            shown["label"] = [
                [number >> 4, number] if number & 1 else [number >> 4]
                for number in (int.from_bytes(octets, "big") for octets in raw)
            ]
        elif key == "type":
            shown["code"] = CODES[value]
        elif key == "esi":
            shown["esi"] = "-" if value == "0" else value
        else:
            shown[renamed.get(key, key)] = value
    return shown


def operators(values: list[dict[str, Any]]) -> list[str]:
    texts: list[str] = []
    for value in values:
        sign = "" if "ANY" in value["op"] else value["op"].replace("==", "=")
        number = value["val"] if isinstance(value["val"], int) else int(value["val"], 16)
        if value.get("and"):
            texts[-1] += f"&{sign}{number}"
        else:
            texts.append(f"{sign}{number}")
    return texts


def numbered(text: str) -> str:
    """A text of ExaBGP with numbers for names."""
    return re.sub(r"[a-z][a-z-]+", lambda name: str(NUMBERS.get(name[0], name[0])), text)


def theirs(shown: dict[str, Any]) -> dict[str, Any]:
    """What ExaBGP shows, without what it says twice."""
    left = {key: value for key, value in shown.items() if key not in ("string", "name", "parsed", "raw")}
    for key, value in left.items():
        if isinstance(value, list) and all(isinstance(text, str) for text in value):
            left[key] = [numbered(text) for text in value]
    if "mac" in left:
        left["mac"] = left["mac"].lower()
    if "source-as" in left:
        left["source-as"] = int(left["source-as"])
    if shown.get("parsed") is False:
        left["raw"] = (shown["raw"][:2] + ".." + shown["raw"][4:]).lower()
    return left


ROWS = [
    row
    for row in updates("exabgp_encoding", "exabgp_decoding", "exabgp_api")
    if row["expected"] != "ok" and any(name.split()[-1] not in OTHERS for _, name, _, _ in announced(row))
]


def check_exabgp(row: Row) -> None:
    """Our JSON says what ExaBGP's says, and gives the octets back."""
    octets = body(row)
    assert octets is not None
    update = json.loads(Update.decode(octets, context(row)).format_json())
    assert Update.from_json(update, context(row)) == octets
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name, family, hop, route in announced(row):
        value = update["attrs"][name]["value"]
        assert value["af"] == FAMILIES[family]
        assert hop in ("", "no-nexthop", value.get("nexthop"))
        found.setdefault((name, family), []).append(theirs(route))
    for (name, family), expected in found.items():
        value = update["attrs"][name]["value"]
        ours = [
            as_exabgp(route, int(family[3]) if family[3].isdigit() else 0)
            for route in value.get("routes") or value["rules"]
        ]
        assert ours == expected


@parametrize([row for row in ROWS if row["id"] not in OFFSETS])
def test_exabgp_values(row: Row) -> None:
    check_exabgp(row)


@pytest.mark.xfail(strict=True, reason="RFC 8956 section 3.1: the bits before the offset are not there")
@parametrize([row for row in ROWS if row["id"] in OFFSETS])
def test_exabgp_values_against_the_rfc(row: Row) -> None:
    check_exabgp(row)


def test_exabgp_has_all_families() -> None:
    if not ROWS:
        pytest.skip("no vectors")
    tried = {FAMILIES[name] for row in ROWS for _, name, _, _ in announced(row) if name.split()[-1] not in OTHERS}
    assert len(ROWS) > 40
    assert len(tried) >= 10


@parametrize(updates("exabgp_encoding", "exabgp_decoding", "exabgp_api", "gobgp_messages", "routecore_messages"))
def test_every_family_with_a_codec_is_shown_by_it(row: Row) -> None:
    """Neither `data` nor, but for what the suites themselves can't read, octets beside the others."""
    octets = body(row)
    assert octets is not None
    update = json.loads(Update.decode(octets, context(row)).format_json())
    for name in ("MP_REACH", "MP_UNREACH"):
        value = update.get("attrs", {}).get(name, {}).get("value")
        if not isinstance(value, dict) or parse_family(value["af"]) not in TABLE or row["name"].startswith("invalid"):
            continue
        assert "data" not in value
        for route in value.get("routes", []) + value.get("rules", []):
            assert "value" not in route or row["id"] in (*OFFSETS, "exabgp_decoding-0001")


# FlowSpec


def rule(af: str, octets: bytes) -> dict[str, Any]:
    """What is shown of one rule without its length."""
    family = Family({"ipv4": 1, "ipv6": 2}[af], 133)
    nlri = bytes((len(octets),)) + octets
    (shown,) = json.loads("{" + format_routes(nlri, family, False) + "}")["rules"]
    assert parse_routes([shown], family)[0] == nlri
    return shown  # type: ignore[no-any-return]


NO_ERRORS = {"minmax1": "FlowType(14)", "minmax2": "FlowType(254)", "badand": "PORT"}
"""OpenBGPD refuses components that nobody knows: they are shown, and passed on. It refuses an AND bit in the first
operator too, which RFC 8955 section 4.2.1.1 wants ignored."""


@cases("openbgpd_flowspec", "flowspec-rule")
def test_openbgpd_rules(row: Row) -> None:
    """What OpenBGPD refuses has no form but its octets."""
    shown = rule(row["af"], bytes.fromhex(row["hex"]))
    if row["name"] in NO_ERRORS:
        assert list(shown) == [NO_ERRORS[row["name"]]]
    else:
        assert ("value" in shown) == (row["expected"] == "error")


KINDS = {"port": ("PORT", 4), "dst-port": ("PORT_DST", 5), "prefix4": ("DST", 1), "prefix6": ("DST", 1)}


@cases("bgpfix_flowspec", "flowspec-component")
def test_bgpfix_components(row: Row) -> None:
    name, code = KINDS[row["component"]]
    af = "ipv6" if row["component"] == "prefix6" else "ipv4"
    octets = bytes.fromhex(row["hex"])
    if row["expected"] == "error":
        assert "value" in rule(af, bytes((code,)) + octets)
        return
    shown = rule(af, bytes((code,)) + octets[: row["expected"]["consumed"]])
    assert {name: without_lengths(value) for name, value in shown.items()} == {name: row["expected"]["json"]}


def without_lengths(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [{key: each for key, each in operator.items() if key != "len"} for operator in value]


@pytest.mark.skipif(not load("gobgp_other"), reason="no vectors")
def test_gobgp_label_stacks() -> None:
    rows = {row["name"]: row for row in load("gobgp_other") if row["gotype"] == "MPLSLabelStack"}
    good = rows["Test_MPLSLabelStack"]
    assert parse_labels(good["expected"]["gobgp_json"]["Labels"], True).hex() == good["hex"]
    odd = rows["TestMPLSLabelStackMissingBOS"]  # RFC 8277 section 2.2: the bit is ignored where there is one label
    shown = json.loads("{" + format_routes(bytes.fromhex("20" + odd["hex"] + "0a"), Family(1, 4), False) + "}")
    assert shown["routes"] == [{"prefix": "10.0.0.0/8", "labels": [f"0x{odd['hex']}"]}]
