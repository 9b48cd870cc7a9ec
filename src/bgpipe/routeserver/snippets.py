"""What to put into a router so that it has a session with us: text to be pasted, with placeholders where only the owner
of the router knows the value.

Every snippet accepts all routes, sends them through a gateway of the router, and announces nothing to us.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from .config import Bgp
from .peers import Peer

SERVER_IPV6: Final = "<SERVER_V6>"
OWN_ASN: Final = "<YOUR_ASN>"
GATEWAY: Final = "<YOUR_GATEWAY>"
GATEWAY_IPV6: Final = "<YOUR_GATEWAY_V6>"
KEY: Final = "<MD5_KEY>"
BOTH: Final = ("ipv4", "ipv6")
PORT: Final = 179


@dataclass(frozen=True, slots=True)
class Values:
    """What differs from router to router. server, server_asn, port: ours. asn: the router's. gateway: the next hop that
    the router gives to our IPv4 routes, and gateway_ipv6 to those of IPv6. Times in seconds. key: of TCP MD5, "" for
    none. name: of the session in the router."""

    server: str
    server_asn: int
    asn: str = OWN_ASN
    gateway: str = GATEWAY
    gateway_ipv6: str = GATEWAY_IPV6
    port: int = PORT
    hold_time: int = 180
    keep_alive: int = 60
    key: str = ""
    families: tuple[str, ...] = BOTH
    name: str = "bgplite"

    @property
    def policy(self) -> str:
        """The name of a route map."""
        return self.name.upper()

    def gateway_of(self, family: str) -> str:
        return self.gateway_ipv6 if family == "ipv6" else self.gateway


def _if(wanted: object, *lines: str) -> list[str]:
    return list(lines) if wanted else []


def _only_179(values: Values, comment: str) -> list[str]:
    return _if(values.port != PORT, f"{comment} this router knows no other port than {PORT}: we must listen there")


def _neighbor(values: Values, subsequent: str = "", *more: str) -> list[str]:
    """The neighbor as IOS and FRR have it. subsequent: behind the name of an address family. more: what else is said of
    the neighbor."""
    server, policy = values.server, values.policy
    lines = [
        f"router bgp {values.asn}",
        f" neighbor {server} remote-as {values.server_asn}",
        f" neighbor {server} description {values.name}",
        f" neighbor {server} ebgp-multihop 255",
        f" neighbor {server} timers {values.keep_alive} {values.hold_time}",
        *more,
        *_if(values.key, f" neighbor {server} password {values.key}"),
    ]
    for family in BOTH:
        if family in values.families:
            lines += [
                f" address-family {family}{subsequent}",
                f"  neighbor {server} activate",
                f"  neighbor {server} route-map {policy}-IN-{family.upper()} in",
                f"  neighbor {server} route-map {policy}-OUT out",
                " exit-address-family",
            ]
        elif family == "ipv4":  # it is active without being asked for
            lines += [f" address-family {family}{subsequent}", f"  no neighbor {server} activate"]
            lines += [" exit-address-family"]
    return lines


def cisco(values: Values) -> list[str]:
    """IOS and IOS XE."""
    lines = [*_only_179(values, "!"), *_neighbor(values)]
    for family in values.families:
        word = "ipv6" if family == "ipv6" else "ip"
        lines += [f"route-map {values.policy}-IN-{family.upper()} permit 10"]
        lines += [f" set {word} next-hop {values.gateway_of(family)}"]
    return [*lines, f"route-map {values.policy}-OUT deny 10"]


def frr(values: Values) -> list[str]:
    """FRR. Without a route map it would take nothing from an eBGP peer (RFC 8212)."""
    port = _if(values.port != PORT, f" neighbor {values.server} port {values.port}")
    lines = [*_neighbor(values, " unicast", *port), "exit"]
    for family in values.families:
        word = "ipv6 next-hop global" if family == "ipv6" else "ip next-hop"
        lines += [f"route-map {values.policy}-IN-{family.upper()} permit 10"]
        lines += [f" set {word} {values.gateway_of(family)}", "exit"]
    return [*lines, f"route-map {values.policy}-OUT deny 10", "exit"]


def junos(values: Values) -> list[str]:
    """Junos, for `load set terminal`."""
    group, policy = f"set protocols bgp group {values.name}", f"set policy-options policy-statement {values.name}"
    inet = {"ipv4": "inet", "ipv6": "inet6"}
    lines = _only_179(values, "#")
    for family in values.families:
        lines += [
            f"{policy}-in term {family} from family {inet[family]}",
            f"{policy}-in term {family} then next-hop {values.gateway_of(family)}",
            f"{policy}-in term {family} then accept",
        ]
    return [
        *lines,
        f"{policy}-in term others then reject",
        f"{policy}-out then reject",
        f"set routing-options autonomous-system {values.asn}",
        f"{group} type external",
        f"{group} multihop ttl 255",
        f"{group} peer-as {values.server_asn}",
        *_if(values.hold_time >= 20, f"{group} hold-time {values.hold_time}"),
        *_if(values.key, f'{group} authentication-key "{values.key}"'),
        *(f"{group} family {inet[family]} unicast" for family in values.families),
        f"{group} import {values.name}-in",
        f"{group} export {values.name}-out",
        f"{group} neighbor {values.server}",
    ]


def bird(values: Values) -> list[str]:
    """BIRD 2. Multihop also lets it use a gateway that is not on the way to us."""
    lines = [
        f"protocol bgp {values.name} {{",
        f"    local as {values.asn};",
        f"    neighbor {values.server}{f' port {values.port}' if values.port != PORT else ''} as {values.server_asn};",
        "    multihop;",
        f"    hold time {values.hold_time};",
        *_if(values.key, f'    password "{values.key}";'),
    ]
    for family in values.families:
        lines += [
            f"    {family} {{",
            f"        import filter {{ gw = {values.gateway_of(family)}; accept; }};",
            "        export none;",
            "    };",
        ]
    return [*lines, "}"]


def mikrotik(values: Values) -> list[str]:
    """RouterOS 7. Without multihop it closes the connection before it says anything."""
    name = values.name
    words = [
        f"name={name} remote.address={values.server} remote.as={values.server_asn}",
        *_if(values.port != PORT, f"remote.port={values.port}"),
        "local.role=ebgp multihop=yes",
        f"afi={','.join('ip' if family == 'ipv4' else family for family in values.families)}",
        f"hold-time={max(values.hold_time, 3)}s",
        *_if(values.key, f'tcp-md5-key="{values.key}"'),
        f"input.filter={name}-in output.filter-chain={name}-out",
    ]
    rules = "; ".join(
        f"if (afi {'ipv4' if family == 'ipv4' else 'ipv6'}) {{ set gw {values.gateway_of(family)}; accept }}"
        for family in values.families
    )
    connection = f"/routing/bgp/connection add {' '.join(words)}"
    return [
        f'/routing/filter/rule add chain={name}-in rule="{rules}"',
        f'/routing/filter/rule add chain={name}-out rule="reject"',
        "# RouterOS before 7.20:",
        f"{connection} as={values.asn}",
        "# RouterOS from 7.20 on, instead of the line above:",
        f"# /routing/bgp/instance add name={name} as={values.asn}",
        f"# {connection} instance={name}",
    ]


def routeros6(values: Values) -> list[str]:
    """RouterOS 6."""
    name = values.name
    lines = []
    for family in values.families:
        setting = "set-in-nexthop-ipv6" if family == "ipv6" else "set-in-nexthop"
        word = "ip" if family == "ipv4" else family
        lines += [
            f"/routing filter add chain={name}-in address-family={word} {setting}={values.gateway_of(family)} "
            "action=accept"
        ]
    words = [
        f"name={name} remote-address={values.server} remote-as={values.server_asn}",
        *_if(values.port != PORT, f"remote-port={values.port}"),
        f"multihop=yes hold-time={max(values.hold_time, 3)}s",
        f"address-families={','.join('ip' if family == 'ipv4' else family for family in values.families)}",
        *_if(values.key, f'tcp-md5-key="{values.key}"'),
        f"in-filter={name}-in out-filter={name}-out",
    ]
    return [
        *lines,
        f"/routing filter add chain={name}-out action=discard",
        f"/routing bgp instance set default as={values.asn}",
        f"/routing bgp peer add {' '.join(words)}",
    ]


def openbgpd(values: Values) -> list[str]:
    """OpenBGPD. Its AS number is a line of the whole configuration."""
    lines = [
        f"AS {values.asn}",
        f"neighbor {values.server} {{",
        f"    remote-as {values.server_asn}",
        f'    descr "{values.name}"',
        *_if(values.port != PORT, f"    port {values.port}"),
        "    multihop 255",
        f"    holdtime {values.hold_time}",
        *_if(values.key, f"    tcp md5sig password {values.key}"),
        *(f"    announce {family.replace('ip', 'IP')} unicast" for family in values.families),
        *(f"    announce {family.replace('ip', 'IP')} none" for family in BOTH if family not in values.families),
        "}",
        f"allow from {values.server}",
    ]
    for family in values.families:
        word = "inet6" if family == "ipv6" else "inet"
        lines += [f"match from {values.server} {word} prefixlen >= 0 set nexthop {values.gateway_of(family)}"]
    return [*lines, f"deny to {values.server}"]


def vyos(values: Values) -> list[str]:
    """VyOS 1.4 and later, in configuration mode."""
    server, policy = f"set protocols bgp neighbor {values.server}", f"set policy route-map {values.policy}"
    lines = []
    for family in values.families:
        word = "ipv6-next-hop global" if family == "ipv6" else "ip-next-hop"
        lines += [
            f"{policy}-IN-{family.upper()} rule 10 action permit",
            f"{policy}-IN-{family.upper()} rule 10 set {word} {values.gateway_of(family)}",
        ]
    lines += [
        f"{policy}-OUT rule 10 action deny",
        f"set protocols bgp system-as {values.asn}",
        f"{server} remote-as {values.server_asn}",
        f"{server} description {values.name}",
        f"{server} ebgp-multihop 255",
        f"{server} timers holdtime {values.hold_time}",
        f"{server} timers keepalive {values.keep_alive}",
        *_if(values.port != PORT, f"{server} port {values.port}"),
        *_if(values.key, f"{server} password '{values.key}'"),
    ]
    for family in values.families:
        lines += [
            f"{server} address-family {family}-unicast route-map import {values.policy}-IN-{family.upper()}",
            f"{server} address-family {family}-unicast route-map export {values.policy}-OUT",
        ]
    return lines


KINDS: Final[dict[str, Callable[[Values], list[str]]]] = {
    "bird": bird,
    "cisco": cisco,
    "frr": frr,
    "junos": junos,
    "mikrotik": mikrotik,
    "openbgpd": openbgpd,
    "routeros6": routeros6,
    "vyos": vyos,
}
"""Routers for which there is a snippet. mikrotik is RouterOS 7."""


def values_for(peer: Peer, bgp: Bgp, server: str, gateway: str, gateway6: str) -> Values:
    """What a peer's own router is told. peer: with what its group says of it. server: our address, "" if it is not
    known: then the one on which we listen, if that is one. The key is not shown: who has it puts it in."""
    ipv6 = ":" in peer.ip
    announced = bgp.next_hop_ipv6 or peer.next_hop_ipv6
    places = {*bgp.listen, *(each.address for each in bgp.listeners)}
    ours = [each for each in places if each and (":" in each) == ipv6 and not ip_address(each).is_unspecified]
    usual = ours[0] if len(places) == len(ours) == 1 else SERVER_IPV6 if ipv6 else bgp.router_id
    hold_time = bgp.hold_time if peer.session.hold_time is None else peer.session.hold_time
    return Values(
        server=server or usual,
        server_asn=peer.session.local_asn or bgp.asn,
        asn=str(peer.asn),
        gateway=gateway or GATEWAY,
        gateway_ipv6=gateway6 or GATEWAY_IPV6,
        port=bgp.port,
        hold_time=hold_time,
        keep_alive=min(bgp.keep_alive, hold_time // 3 or bgp.keep_alive),
        key=KEY if peer.md5_password else "",
        families=BOTH if announced else BOTH[:1],
    )


def keep_alive(bgp: Bgp) -> int:
    """Seconds between KEEPALIVEs: at most a third of the hold time."""
    return min(bgp.keep_alive, bgp.hold_time // 3 or bgp.keep_alive)


def all_of(bgp: Bgp) -> dict[str, list[str]]:
    """As /api/server shows them: a session for each family, over that family."""
    ipv4 = Values(bgp.router_id, bgp.asn, port=bgp.port, hold_time=bgp.hold_time, keep_alive=keep_alive(bgp))
    ipv6 = replace(ipv4, server=SERVER_IPV6, families=("ipv6",), name="bgplite6")
    ipv4 = replace(ipv4, families=("ipv4",))
    names = {"setup": cisco, "bird": bird, "mikrotik": mikrotik}
    return {name: make(ipv4) for name, make in names.items()} | {f"{name}6": make(ipv6) for name, make in names.items()}
