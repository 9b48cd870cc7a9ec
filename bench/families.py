"""Archives of VPN, EVPN and FlowSpec routes for bench.py: each UPDATE has one route, and no two are the same."""

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


FAMILIES: dict[str, Callable[[Random], Route]] = {"VPN": vpn, "EVPN": evpn, "FlowSpec": flowspec}
_ACTIONS: dict[str, list[dict[str, Any]]] = {
    "EVPN": [{"type": "ENCAPSULATION", "value": "VXLAN"}, {"type": "MAC_MOBILITY", "value": {"sequence": 1}}],
    "FlowSpec": [{"type": "FLOW_RATE_BYTES", "value": 0}],
}


def _bodies(name: str, rng: Random) -> Iterator[bytes]:
    from bgpipe.wire.update import Update

    for _ in range(MESSAGES):
        family, key, route = FAMILIES[name](rng)
        reach: dict[str, Any] = {"af": family, key: [route]}
        if name != "FlowSpec":
            reach["nexthop"] = f"192.0.2.{rng.randrange(1, 50)}"
        communities = [{"type": "TARGET", "value": _rd(rng)}, *_ACTIONS.get(name, [])]
        yield Update.make(
            attrs={
                "ORIGIN": "IGP",
                "ASPATH": [rng.randrange(64500, 64600) for _ in range(3)],
                "LOCALPREF": 100,
                "MP_REACH": reach,
                "EXT_COMMUNITY": communities,
            }
        ).body


def write_archive(name: str, path: Path) -> None:
    """An MRT archive of MESSAGES updates of one of FAMILIES."""
    with path.open("wb") as out:
        for number, body in enumerate(_bodies(name, Random(7))):
            octets = b"\xff" * 16 + pack(">HB", len(body) + 19, 2) + body
            record = pack(">I", number % 1000000) + PEER + octets
            out.write(pack(">IHHI", 1546300800 + number // 1000, 17, 4, len(record)) + record)
