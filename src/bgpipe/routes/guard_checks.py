"""The checks of the stage `guard`: what nobody wants from a neighbour, one function each. The table says which RFC each
follows; that of malformed UPDATEs (RFC 7606) is wire/validation.py.

A check of an UPDATE says what is wrong with it, "" if nothing is. A check of a route says whether it is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ..wire import attrs
from ..wire.asn_ranges import BOGON, PRIVATE, AsnRanges
from ..wire.attrs.as_path import AS_CONFED_SEQUENCE, AS_CONFED_SET, AS_SEQUENCE, AS_SET, AsPath
from ..wire.communities import BLACKHOLE, GRACEFUL_SHUTDOWN
from ..wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from ..wire.prefix import Prefix
from ..wire.routes_apart import LABELED
from ..wire.update import Update
from .prefix_lists import PrefixList, entry_of

BOGONS: Final = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("224.0.0.0/4", "240.0.0.0/4"),
    *("::/3", "4000::/2", "8000::/1", "2001::/32", "2001:2::/48", "2001:10::/28", "2001:db8::/32", "2002::/16"),
    *("3ffe::/16", "3fff::/20"),
)
"""Networks that are nobody's on the Internet (RFC 6890 and successors); of IPv6, all outside 2000::/3."""
LENGTHS: Final = {1: (8, 24), 2: (16, 48)}
WITHDRAW: Final = "withdraw"
ACTIONS: Final = (WITHDRAW, "discard", "drop", "keep", "kill")
ROLES: Final = ("provider", "rs", "rs-client", "customer", "peer")
"""What a neighbor is to us, by the value of its capability (RFC 9234 section 4.1)."""
TRANSIT_FREE: Final = (174, 701, 1299, 2914, 3257, 3320, 3356, 3491, 4134, 5511, 6453, 6461, 6762, 6830, 7018)
"""Networks that buy no transit. Nobody but a provider has routes through them to give."""
_BOGON_AS: Final = AsnRanges(BOGON)
_PRIVATE_AS: Final = AsnRanges(PRIVATE)
_TRANSIT_FREE: Final = AsnRanges((asn, asn) for asn in TRANSIT_FREE)
PREFIX_FAMILIES: Final = (IPV4_UNICAST, IPV6_UNICAST, Family(1, 2), Family(2, 2), *LABELED)
"""Families whose prefixes are those of the Internet, also of its multicast topology, and with labels."""


def bogon_list() -> PrefixList:
    return PrefixList(map(entry_of, BOGONS))


@dataclass(slots=True)
class Rules:
    """What `guard` asks. None, 0 and empty ask nothing.

    own_hops: addresses that can't be next hops. hop_networks: those that can, if there are any.
    """

    bogons: PrefixList
    prefixes: PrefixList | None = None
    origins: AsnRanges | None = None
    own: PrefixList | None = None
    locked: AsnRanges = field(default_factory=AsnRanges)
    denies: bool = False
    no_private: bool = False
    max_path: int = 100
    max_communities: int = 0
    withdrawn_attributes: frozenset[int] = frozenset()
    blackhole: bool = False
    gshut: str = ""
    peer_hop: bool = False
    hop_networks: PrefixList | None = None


class Sender(NamedTuple):
    """Who has sent an UPDATE.

    asn: 0 if it is not known. exempt: AS numbers that are no bogons. first_as: whether the path must begin with its AS
    number, as that of a route server need not (RFC 7947). address: octets. hops: addresses that are ours, which can't
    be next hops. kind: "ebgp", "ibgp", or None if nobody knows. role: what it is to us, "" if nobody knows.
    """

    asn: int
    exempt: frozenset[int] = frozenset()
    first_as: bool = True
    address: bytes = b""
    hops: frozenset[bytes] = frozenset()
    kind: str | None = None
    role: str = ""

    def locked(self, rules: Rules) -> AsnRanges:
        """AS numbers that may only be the sender itself. Of a provider alone, routes may come through a network that
        buys no transit."""
        if self.role in ("", "provider"):
            return rules.locked
        return AsnRanges((*rules.locked.ranges, *_TRANSIT_FREE.ranges)) if rules.locked else _TRANSIT_FREE


Look = Callable[[Update, AsPath, Rules, Sender], str]
LookAtRoute = Callable[[Prefix, Rules, bool], bool]


def _attributes(update: Update, path: AsPath, rules: Rules, sender: Sender) -> str:
    found = [attrs.TABLE[code].name for code in update.attrs if code in rules.withdrawn_attributes]
    return f"has {', '.join(found)}" if found else ""


def _as_set(update: Update, path: AsPath, rules: Rules, sender: Sender) -> str:
    """RFC 9774."""
    return f"AS_SET in {path}" if any(kind in (AS_SET, AS_CONFED_SET) for kind, _ in path) else ""


def _path_length(update: Update, path: AsPath, rules: Rules, sender: Sender) -> str:
    hops = sum(len(ases) for _, ases in path)
    return f"{hops} hops" if hops > rules.max_path else ""


def _first_as(update: Update, path: AsPath, rules: Rules, sender: Sender) -> str:
    """RFC 4271 section 6.3; in a confederation, RFC 5065 section 5."""
    if not sender.asn or not sender.first_as:
        return ""
    first = path[0].ases[0] if path and path[0].type in (AS_SEQUENCE, AS_CONFED_SEQUENCE) else 0
    return "" if first == sender.asn else f"first AS is {first or 'not there'}, not {sender.asn}"


def _bogon_as(update: Update, path: AsPath, rules: Rules, sender: Sender) -> str:
    wrong = [asn for asn in path.ases if asn in _BOGON_AS and asn not in sender.exempt]
    return f"AS {wrong[0]}" if wrong else ""


def _private_as(update: Update, path: AsPath, rules: Rules, sender: Sender) -> str:
    wrong = [asn for asn in path.ases if asn in _PRIVATE_AS] if rules.no_private else []
    return f"AS {wrong[0]}" if wrong else ""


def _peerlock(update: Update, path: AsPath, rules: Rules, sender: Sender) -> str:
    locked = sender.locked(rules)
    if not locked or not path:
        return ""
    first = sender.asn or path.ases[0]
    wrong = [asn for asn in path.ases if asn in locked and asn != first]
    return f"AS {wrong[0]} behind AS {first}" if wrong else ""


def _origins(update: Update, path: AsPath, rules: Rules, sender: Sender) -> str:
    if rules.origins is None:
        return ""
    origin = path.origin
    return "" if origin is not None and origin in rules.origins else f"origin AS {origin if origin else 'not known'}"


def _no_policy(update: Update, path: AsPath, rules: Rules, sender: Sender) -> str:
    """RFC 8212. A list of prefixes says nothing about routes of other families."""
    if not rules.denies or rules.origins is not None:
        return ""
    reach: Any = update.value(attrs.MP_REACH)
    if rules.prefixes is None:
        return "no list says what may pass"
    if reach is not None and reach.family not in PREFIX_FAMILIES:
        return f"no list says what may pass of {reach.family}"
    return ""


def _communities(update: Update, path: AsPath, rules: Rules, sender: Sender) -> str:
    codes = (attrs.COMMUNITY, attrs.EXT_COMMUNITY, attrs.LARGE_COMMUNITY)
    count = sum(len(update.value(code) or ()) for code in codes)
    return f"{count} communities" if rules.max_communities and count > rules.max_communities else ""


def _gshut(update: Update, path: AsPath, rules: Rules, sender: Sender) -> str:
    """RFC 8326."""
    there = rules.gshut == "withdraw" and GRACEFUL_SHUTDOWN in (update.value(attrs.COMMUNITY) or ())
    return "graceful shutdown" if there else ""


def hops_of(update: Update) -> list[bytes]:
    """The next hops of its routes, as octets. Next hops of VPN families have no route distinguisher here."""
    found = []
    if update.sections()[1] < len(update.body) and attrs.NEXT_HOP in update.attrs:
        found.append(update.attrs[attrs.NEXT_HOP].octets)
    reach: Any = update.value(attrs.MP_REACH)
    if reach is not None and reach.hop:
        found.append(reach.hop[8:] if len(reach.hop) in (12, 24, 48) else reach.hop)
    return found


def _next_hop(update: Update, path: AsPath, rules: Rules, sender: Sender) -> str:
    return next_hop_error(update, rules, sender)


def next_hop_error(update: Update, rules: Rules, sender: Sender) -> str:
    """What is wrong with the next hops of an UPDATE, "" if nothing is."""
    for hop in hops_of(update):
        address = hop[:16]
        text = f"next hop {address.hex(':') if len(address) > 4 else '.'.join(map(str, address))}"
        if not _is_host(address):
            return f"{text} is no host"
        if address in sender.hops:
            return f"{text} is ours"
        if wrong := _unrelated(hop, rules, sender):
            return f"{text} is {wrong}"
    return ""


def _unrelated(hop: bytes, rules: Rules, sender: Sender) -> str:
    """Why a next hop is none of those of --next-hop. Behind a global IPv6 address there may be a link-local one."""
    address = hop[:16]
    if rules.hop_networks is not None and len(address) in (4, 16):
        afi, bits = (1, 32) if len(address) == 4 else (2, 128)
        if rules.hop_networks.covers(Prefix(afi, int.from_bytes(address, "big"), bits)):
            return ""
        if not rules.peer_hop:
            return "not in --next-hop"
    if rules.peer_hop and sender.address and len(address) == len(sender.address):
        return "" if sender.address in (address, hop[16:]) else "not the peer"
    return ""


def _is_host(address: bytes) -> bool:
    if len(address) == 4:
        return 0 < address[0] < 224 and address[0] != 127
    if len(address) == 16:
        return address[0] != 0xFF and int.from_bytes(address, "big") > 1
    return True


def _bogon(prefix: Prefix, rules: Rules, blackhole: bool) -> bool:
    return prefix.length > 0 and rules.bogons.covers(prefix)


def _default_route(prefix: Prefix, rules: Rules, blackhole: bool) -> bool:
    return prefix.length == 0


def _length(prefix: Prefix, rules: Rules, blackhole: bool) -> bool:
    shortest, longest = LENGTHS[prefix.afi]
    return prefix.length > 0 and not shortest <= prefix.length <= longest and not blackhole


def _prefixes(prefix: Prefix, rules: Rules, blackhole: bool) -> bool:
    return rules.prefixes is not None and not blackhole and not rules.prefixes.matches(prefix)


def _own(prefix: Prefix, rules: Rules, blackhole: bool) -> bool:
    return rules.own is not None and rules.own.covers(prefix)


def is_blackhole(update: Update, rules: Rules) -> bool:
    """Whether the routes of an UPDATE are to be dropped by the receiver (RFC 7999), and may be long."""
    return rules.blackhole and BLACKHOLE in (update.value(attrs.COMMUNITY) or ())


class Check(NamedTuple):
    """A row of the table.

    default: whether it is asked without options. looks_at: what it reads, for people. look, route: its function, one of
    the two. action: what becomes of what it finds, without --on.
    """

    name: str
    default: bool
    looks_at: str
    look: Look | None = None
    route: LookAtRoute | None = None
    action: str = WITHDRAW


# fmt: off
CHECKS: Final = (
    Check("malformed",     True,  "the octets (RFC 7606)"),
    Check("attributes",    False, "attributes of --attr-withdraw",       _attributes),
    Check("first-as",      True,  "the first AS and the sender's",       _first_as),
    Check("as-set",        True,  "AS_SET in the path (RFC 9774)",       _as_set),
    Check("path-length",   True,  "AS numbers in the path",              _path_length),
    Check("bogon-as",      True,  "AS numbers in the path",              _bogon_as),
    Check("private-as",    False, "AS numbers in the path, --no-private", _private_as),
    Check("peerlock",      False, "AS numbers in the path, --peerlock, --role", _peerlock),
    Check("origins",       False, "the origin AS, --origins",            _origins),
    Check("no-policy",     False, "whether there is a list (RFC 8212)",  _no_policy),
    Check("communities",   False, "number of communities",               _communities),
    Check("gshut",         False, "community 65535:0 (RFC 8326)",        _gshut),
    Check("next-hop",      True,  "next hops",                           _next_hop),
    Check("default-route", True,  "each prefix",                         route=_default_route),
    Check("bogon",         True,  "each prefix",                         route=_bogon),
    Check("length",        True,  "each prefix",                         route=_length),
    Check("own",           False, "each prefix, --own",                  route=_own),
    Check("prefixes",      False, "each prefix, --prefixes",             route=_prefixes),
)
# fmt: on
"""In the order in which they are asked. Where do I add a check? A function and its row here."""
NAMES: Final = tuple(check.name for check in CHECKS)
