"""Archives of families other than IPv4 and IPv6 for bench.py: each UPDATE has one route, and no two are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from struct import pack
from typing import Any

MESSAGES = 100_000
PEER = pack(">IIHH4s4s", 65000, 65001, 0, 1, bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))
Route = tuple[str, str, dict[str, Any]]
"""Family, the key of the list of routes, and one route, as in JSON."""


def _prefix(rng: Random) -> str:
    length = rng.randrange(8, 25)
    return f"{IPv4Address(rng.getrandbits(length) << 32 - length)}/{length}"


def _rd(rng: Random) -> str:
    return f"65000:{rng.randrange(500)}"


def vpn(rng: Random) -> Route:
    route = {"rd": _rd(rng), "prefix": _prefix(rng), "labels": [rng.randrange(16, 100000)]}
    return "IPV4/MPLS_VPN", "routes", route


def evpn(rng: Random) -> Route:
    route = {"rd": _rd(rng), "esi": "0", "tag": rng.randrange(100), "labels": [rng.randrange(16, 9999)]}
    if rng.random() < 0.7:
        mac = rng.randbytes(6).hex(":")
        return (
            "L2VPN/EVPNS",
            "routes",
            route | {"type": "MAC_IP", "mac": mac, "ip": str(IPv4Address(rng.getrandbits(32)))},
        )
    return "L2VPN/EVPNS", "routes", route | {"type": "IP_PREFIX", "prefix": _prefix(rng), "gateway": "0.0.0.0"}


def flowspec(rng: Random) -> Route:
    ports = [{"op": ">", "val": rng.randrange(65535)}, {"and": True, "op": "<", "val": rng.randrange(65535)}]
    flags = [{"op": "ANY", "len": 1, "val": "0x2"}]
    return (
        "IPV4/FLOWSPEC",
        "rules",
        {"DST": _prefix(rng), "PROTO": [{"op": "==", "val": 6}], "PORT_DST": ports, "TCP_FLAGS": flags},
    )


def labeled(rng: Random) -> Route:
    return "IPV4/MPLS", "routes", {"prefix": _prefix(rng), "labels": [rng.randrange(16, 100000)]}


def multicast_evpn(rng: Random) -> Route:
    """Route types 3 and 6 to 11."""
    originator = str(IPv4Address(rng.getrandbits(32)))
    route = {"rd": _rd(rng), "tag": rng.randrange(100)}
    group = {"source": str(IPv4Address(rng.getrandbits(32))), "group": f"239.1.{rng.randrange(256)}.1"}
    joined = {**group, "originator": originator, "flags": 2}
    segment = {"esi": rng.randbytes(10).hex(":"), **joined}
    made: dict[str, dict[str, Any]] = {
        "MULTICAST": route | {"ip": originator},
        "SMET": route | joined,
        "JOIN_SYNC": route | segment,
        "LEAVE_SYNC": route | segment | {"max_response_time": 10},
        "PMSI": route | {"region": f"0x0009{rng.getrandbits(48):012x}"},
        "SPMSI": route | group | {"originator": originator},
        "LEAF": {"key": f"0x0302{rng.getrandbits(16):04x}", "originator": originator},
    }
    kind = rng.choice(list(made))
    return "L2VPN/EVPNS", "routes", made[kind] | {"type": kind}


def multicast_vpn(rng: Random) -> Route:
    rd, source, group = _rd(rng), str(IPv4Address(rng.getrandbits(32))), f"239.1.{rng.randrange(256)}.1"
    made: list[dict[str, Any]] = [
        {"type": "INTRA_AS_PMSI", "rd": rd, "originator": source},
        {"type": "SPMSI", "rd": rd, "source": source, "group": group, "originator": source},
        {"type": "SOURCE_ACTIVE", "rd": rd, "source": source, "group": group},
        {"type": "SOURCE_TREE_JOIN", "rd": rd, "source_as": 65000, "source": source, "group": group},
    ]
    return "IPV4/MCAST_VPN", "routes", rng.choice(made)


def route_target(rng: Random) -> Route:
    target = {"type": "TARGET", "value": f"65000:{rng.randrange(100000)}"}
    return "IPV4/ROUTE_TARGET", "routes", {"origin": rng.randrange(64500, 64600), "target": target}


def vpls(rng: Random) -> Route:
    block = {"ve": rng.randrange(1000), "offset": 1, "size": 8, "base": rng.randrange(16, 100000)}
    return "L2VPN/VPLS", "routes", {"rd": _rd(rng)} | block


def sr_policy(rng: Random) -> Route:
    endpoint = str(IPv4Address(rng.getrandbits(32)))
    route = {"distinguisher": rng.randrange(100), "color": rng.randrange(1000), "endpoint": endpoint}
    return "IPV4/SR_TE_POLICY", "routes", route


def other(rng: Random) -> Route:
    return rng.choice((labeled, multicast_evpn, multicast_vpn, route_target, vpls, sr_policy))(rng)


FAMILIES: dict[str, Callable[[Random], Route]] = {
    "VPN": vpn,
    "EVPN": evpn,
    "FlowSpec": flowspec,
    "Other families": other,
    "VPN with path identifiers": vpn,
    "EVPN with path identifiers": evpn,
    "SRv6 VPN": vpn,
}
_PATH_IDS = ("VPN with path identifiers", "EVPN with path identifiers")
_ACTIONS: dict[str, list[dict[str, Any]]] = {
    "EVPN": [{"type": "ENCAPSULATION", "value": "VXLAN"}, {"type": "MAC_MOBILITY", "value": {"sequence": 1}}],
    "FlowSpec": [{"type": "FLOW_RATE_BYTES", "value": 0}],
}


def _more(name: str, route: Route, rng: Random) -> dict[str | int, Any]:
    """The attributes that go with a route."""
    family, _, members = route
    if name == "SRv6 VPN":
        sid = {"type": "SID_INFORMATION", "sid": f"2001:db8:{rng.randrange(1, 1000):x}::", "endpoint_behavior": 19}
        return {"PREFIX_SID": [{"type": "SRV6_L3_SERVICE", "sub_tlvs": [sid]}]}
    if family == "IPV4/SR_TE_POLICY":
        segments = [{"type": "WEIGHT", "weight": 1}, {"type": "A", "label": rng.randrange(16, 100000), "ttl": 255}]
        steps = [{"type": "PREFERENCE", "preference": 100}, {"type": "SEGMENT_LIST", "sub_tlvs": segments}]
        return {"TUNNEL": [{"type": "SR_POLICY", "sub_tlvs": steps}]}
    if members.get("type") in ("MULTICAST", "INTRA_AS_PMSI", "SPMSI"):
        endpoint = members.get("ip") or members["originator"]
        tunnel = {"type": "INGRESS_REPLICATION", "label": rng.randrange(16, 100000), "endpoint": endpoint}
        return {"PMSI_TUNNEL": tunnel}
    return {}


def _bodies(name: str, rng: Random) -> Iterator[bytes]:
    from bgpipe.wire.context import AS4, AS4_ADD_PATH
    from bgpipe.wire.update import Update

    for _ in range(MESSAGES):
        made = family, key, route = FAMILIES[name](rng)
        path_id = {"id": rng.randrange(1, 9)} if name in _PATH_IDS else {}
        reach: dict[str, Any] = {"af": family, key: [route | path_id]}
        if name != "FlowSpec":
            reach["nexthop"] = f"192.0.2.{rng.randrange(1, 50)}"
        communities = [{"type": "TARGET", "value": _rd(rng)}, *_ACTIONS.get(name, [])]
        attributes: dict[str | int, Any] = {
            "ORIGIN": "IGP",
            "ASPATH": [rng.randrange(64500, 64600) for _ in range(3)],
            "LOCALPREF": 100,
            "MP_REACH": reach,
            "EXT_COMMUNITY": communities,
        }
        context = AS4_ADD_PATH if path_id else AS4
        yield Update.make(attrs=attributes | _more(name, made, rng), context=context).body


def write_archive(name: str, path: Path) -> None:
    """An MRT archive of MESSAGES updates of one of FAMILIES."""
    subtype = 9 if name in _PATH_IDS else 4
    with path.open("wb") as out:
        for number, body in enumerate(_bodies(name, Random(7))):
            octets = b"\xff" * 16 + pack(">HB", len(body) + 19, 2) + body
            record = pack(">I", number % 1000000) + PEER + octets
            out.write(pack(">IHHI", 1546300800 + number // 1000, 17, subtype, len(record)) + record)
