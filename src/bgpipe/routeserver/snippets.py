"""What to put into a router so that it has a session with us: text to be pasted, with placeholders where only the owner
of the router knows the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .config import Bgp

SERVER_V4: Final = "<SERVER_IP>"
SERVER_V6: Final = "<SERVER_V6>"
OWN: Final = "<YOUR_IP>"
OWN_ASN: Final = "<YOUR_ASN>"
GATEWAY: Final = "<YOUR_GATEWAY>"


def cisco(bgp: Bgp, *, ipv6: bool = False, server: str = "", asn: str = OWN_ASN, gateway: str = GATEWAY) -> list[str]:
    """IOS."""
    family = "ipv6" if ipv6 else "ipv4"
    server = server or (SERVER_V6 if ipv6 else bgp.router_id)
    return [
        f"router bgp {asn}",
        f" neighbor {server} remote-as {bgp.asn}",
        f" neighbor {server} description bgplite",
        f" neighbor {server} ebgp-multihop 255",
        f" neighbor {server} timers {bgp.keep_alive} {bgp.hold_time}",
        f" address-family {family}",
        f"  neighbor {server} activate",
        f"  neighbor {server} route-map BGPLITE-IN in",
        f"  neighbor {server} route-map BGPLITE-OUT out",
        " exit-address-family",
        "route-map BGPLITE-IN permit 10",
        f" set {'ipv6' if ipv6 else 'ip'} next-hop {gateway}",
        "route-map BGPLITE-OUT deny 10",
    ]


def bird(bgp: Bgp, *, ipv6: bool = False, server: str = "", asn: str = OWN_ASN, gateway: str = GATEWAY) -> list[str]:
    """BIRD 2. `rs` would be a reserved word there."""
    family = "ipv6" if ipv6 else "ipv4"
    server = server or (SERVER_V6 if ipv6 else bgp.router_id)
    return [
        "protocol bgp bgplite" + ("6" if ipv6 else "") + " {",
        f"    local as {asn};",
        f"    neighbor {server} as {bgp.asn};",
        "    multihop;",
        f"    hold time {bgp.hold_time};",
        f"    {family} {{",
        f"        import filter {{ gw = {gateway}; accept; }};",
        "        export none;",
        "    };",
        "}",
    ]


def mikrotik(
    bgp: Bgp, *, ipv6: bool = False, server: str = "", asn: str = OWN_ASN, gateway: str = GATEWAY
) -> list[str]:
    """RouterOS 7. Without multihop it closes the connection before it says anything."""
    afi = "ipv6" if ipv6 else "ip"
    server = server or (SERVER_V6 if ipv6 else bgp.router_id)
    suffix = "6" if ipv6 else ""
    return [
        f'/routing/filter/rule add chain=bgplite-in{suffix} rule="set gw {gateway}; accept"',
        f'/routing/filter/rule add chain=bgplite-out{suffix} rule="reject"',
        f"/routing/bgp/connection add name=bgplite{suffix} remote.address={server} remote.as={bgp.asn} "
        f"local.role=ebgp as={asn} multihop=yes afi={afi} hold-time={max(bgp.hold_time, 3)}s "
        f"input.filter=bgplite-in{suffix} output.filter-chain=bgplite-out{suffix}",
    ]


KINDS: Final[dict[str, Callable[..., list[str]]]] = {"cisco": cisco, "bird": bird, "mikrotik": mikrotik}


def all_of(bgp: Bgp) -> dict[str, list[str]]:
    """As /api/server shows them."""
    shown = {}
    for suffix, ipv6 in (("", False), ("6", True)):
        for name, make in (("setup", cisco), ("bird", bird), ("mikrotik", mikrotik)):
            shown[name + suffix] = make(bgp, ipv6=ipv6)
    return shown
