"""What our OPEN says to a peer: an answer to what the peer has offered, or an offer of our own where we call.

Old RouterOS ends a session in which it is offered a capability that it lacks; BIRD ends one in which IPv4 unicast is
not offered back. So each capability is an answer, and a peer without any gets none (RFC 5492). A peer that we call has
offered nothing yet: it is offered all that we can do, and nothing in the next attempt if it refuses that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

from msgspec import Struct

from ..net.secret import read_secret
from ..session.session import CUSTOMER, PEER, PROVIDER, RS, RS_CLIENT, Settings
from ..wire import caps
from ..wire.caps import Capability, add_path, extended_next_hop, mp
from ..wire.errors import TextError, WireError
from ..wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from ..wire.open import Open
from .config import Bgp, ConfiguredPeer
from .values import check_address, check_ao_key, check_ao_keys, check_asn

T = TypeVar("T")
FAMILIES: Final = (IPV4_UNICAST, IPV6_UNICAST)
IPV4_BY_IPV6: Final = (IPV4_UNICAST, IPV6_UNICAST.afi)
"""IPv4 routes with an IPv6 next hop (RFC 8950)."""
ROLES: Final = {"provider": PROVIDER, "rs": RS, "rs-client": RS_CLIENT, "customer": CUSTOMER, "peer": PEER}
_ANSWERS: Final = {PROVIDER: CUSTOMER, CUSTOMER: PROVIDER, RS: RS_CLIENT, RS_CLIENT: RS, PEER: PEER}
"""Our role by that of the peer (RFC 9234 section 4.2). A fixed one would lose every router that says another one."""
_SENDS_OTC: Final = frozenset((PROVIDER, RS, PEER))
"""Roles in which we mark what we announce with ONLY_TO_CUSTOMER (RFC 9234 section 5)."""
NO_ROLE: Final = "none"
ABLE: Final = {"IPV4": caps.MP, "IPV6": caps.MP} | {
    caps.name(code): code
    for code in (
        *(caps.MP, caps.ROUTE_REFRESH, caps.EXTENDED_NEXT_HOP, caps.EXTENDED_MESSAGE, caps.GRACEFUL_RESTART),
        *(caps.AS4, caps.ADD_PATH, caps.ENHANCED_ROUTE_REFRESH),
    )
}
"""Capabilities that we have, by the names that a configuration may say; IPV4 and IPV6 are MP of one family."""


class SessionOptions(Struct, frozen=True, kw_only=True):
    """What is fixed for the session with one peer; what is not said is as in `Bgp`, or answers the peer.

    connect: whether we call the peer, at its `port`. local_address: from where we call; "" from where we listen.
    role: ours, a name of ROLES, `none` for none, "" answers the peer's. local_asn: our AS number, 0 for the usual one.
    hold_time, send_hold_time: in seconds. capabilities: names of ABLE that are offered, whatever the peer offers.
    min_ttl: of the peer's packets (RFC 5082). ao: keys of TCP-AO (RFC 5925), each as `ID:KEY` in a line.
    """

    connect: bool = False
    port: int = 179
    local_address: str = ""
    role: str = ""
    local_asn: int = 0
    hold_time: int | None = None
    send_hold_time: int | None = None
    capabilities: tuple[str, ...] | None = None
    min_ttl: int | None = None
    ao: str = ""


DEFAULT: Final = SessionOptions()


def configured_options(found: ConfiguredPeer) -> SessionOptions:
    """Those of a peer that stands in the configuration. Raises ValueError where a key can't be read."""
    named = found.capabilities
    return SessionOptions(
        connect=found.connect,
        port=found.port,
        local_address=found.local_address,
        role=check_role(found.role) if found.role else "",
        local_asn=found.local_asn or 0,
        hold_time=found.hold_time,
        send_hold_time=found.send_hold_time,
        capabilities=tuple(map(check_capability, named)) if named is not None else None,
        min_ttl=found.min_ttl,
        ao="\n".join(read_secret(each)[0] for each in (found.ao_key, *found.ao_keys) if each),
    )


class _Offer(NamedTuple):
    """How one capability is offered. values: to a peer with this OPEN; None if nobody has offered anything yet."""

    code: int
    values: Callable[[Bgp, Open | None, bool], list[bytes]]


def session_settings(
    bgp: Bgp, options: SessionOptions, peer: Open | None, *, remote_asn: int, restarting: bool, bare: bool = False
) -> Settings:
    """The settings of a session with a peer that has called, or that we have called (`peer` is None).

    remote_asn: of the peer. restarting: whether we have just started, and peers may still have our routes. bare: offer
    no capability to a peer that we call.
    """
    offered = () if bare and peer is None else tuple(_capabilities(bgp, options, peer, restarting))
    return Settings(
        asn=options.local_asn or bgp.asn,
        bgp_id=bgp.router_id,
        hold_time=bgp.hold_time if options.hold_time is None else options.hold_time,
        capabilities=offered,
        remote_asn=remote_asn,
        passive=peer is not None,
        open_wait=float(bgp.open_timeout_seconds or 240),
        send_hold=float(options.send_hold_time or bgp.send_hold_time),
    )


def families(peer: Open | None) -> list[Family]:
    """Those of ours that a peer offers; IPv4 unicast alone if it offers none (RFC 4760 section 8); all of ours if it
    has said nothing yet."""
    if peer is None:
        return list(FAMILIES)
    offered = _decoded(peer, caps.MP, mp.decode)
    return [family for family in FAMILIES if family in offered] if offered else [IPV4_UNICAST]


def sends_otc(sent: Open | None, peer: Open | None) -> bool:
    """Whether what we announce to a peer is marked with ONLY_TO_CUSTOMER: both have said their roles."""
    return sent is not None and peer is not None and peer.role is not None and sent.role in _SENDS_OTC


def _capabilities(bgp: Bgp, options: SessionOptions, peer: Open | None, restarting: bool) -> Iterator[Capability]:
    """In the order of their codes. Those that are fixed are offered to a peer that has not offered them too."""
    fixed = options.capabilities
    codes = None if fixed is None else {ABLE[name] for name in fixed}
    role = _role(options, peer)
    for code, values in _OFFERS:
        if code == caps.ROLE:
            if role is not None:
                yield Capability(code, bytes((role,)))
        elif code in codes if codes is not None else peer is None or peer.has(code):
            found = values(bgp, None if codes is not None else peer, restarting)
            if code == caps.MP and fixed is not None and "MP" not in fixed:
                found = [mp.encode(family) for family in FAMILIES if f"IPV{4 if family.afi == 1 else 6}" in fixed]
            yield from (Capability(code, value) for value in found)


def _role(options: SessionOptions, peer: Open | None) -> int | None:
    if options.role:
        return ROLES.get(options.role)
    return _ANSWERS.get(peer.role) if peer is not None and peer.role is not None else None


def _plain(bgp: Bgp, peer: Open | None, restarting: bool) -> list[bytes]:
    return [b""]


def _mp(bgp: Bgp, peer: Open | None, restarting: bool) -> list[bytes]:
    return [mp.encode(family) for family in families(peer)]


def _extended_next_hop(bgp: Bgp, peer: Open | None, restarting: bool) -> list[bytes]:
    if peer is not None and IPV4_BY_IPV6 not in [
        pair for pairs in _decoded(peer, caps.EXTENDED_NEXT_HOP, extended_next_hop.decode) for pair in pairs
    ]:
        return []
    return extended_next_hop.encode([IPV4_BY_IPV6])


def _add_path(bgp: Bgp, peer: Open | None, restarting: bool) -> list[bytes]:
    """We receive several paths of a prefix, and send one."""
    if peer is None:
        return add_path.encode(dict.fromkeys(FAMILIES, add_path.RECEIVE))
    offered = _decoded(peer, caps.ADD_PATH, add_path.decode)
    sends = {family for found in offered for family, direction in found.items() if direction & add_path.SEND}
    return add_path.encode({family: add_path.RECEIVE for family in families(peer) if family in sends})


def _graceful_restart(bgp: Bgp, peer: Open | None, restarting: bool) -> list[bytes]:
    """RFC 4724 section 3: routes are kept while we are away, since we forward nothing ourselves."""
    if not bgp.graceful_restart:
        return []
    flags = 0x8 if restarting else 0
    forwarding = 0x80 if bgp.graceful_restart_forwarding_state else 0
    value = (flags << 12 | bgp.restart_time).to_bytes(2, "big")
    for family in families(peer):
        value += family.afi.to_bytes(2, "big") + bytes((family.safi, forwarding))
    return [value]


def _as4(bgp: Bgp, peer: Open | None, restarting: bool) -> list[bytes]:
    return [bytes(4)]  # the session puts the AS number in


_OFFERS: Final = (
    _Offer(caps.MP, _mp),
    _Offer(caps.ROUTE_REFRESH, _plain),
    _Offer(caps.EXTENDED_NEXT_HOP, _extended_next_hop),
    _Offer(caps.EXTENDED_MESSAGE, _plain),
    _Offer(caps.ROLE, _plain),
    _Offer(caps.GRACEFUL_RESTART, _graceful_restart),
    _Offer(caps.AS4, _as4),
    _Offer(caps.ADD_PATH, _add_path),
    _Offer(caps.ENHANCED_ROUTE_REFRESH, _plain),
)


def _decoded(peer: Open, code: int, decode: Callable[[bytes], T]) -> list[T]:
    """The values of a capability that can be read."""
    found = []
    for value in peer.values(code):
        try:
            found.append(decode(value))
        except WireError:
            continue
    return found


# what a configuration or a request may say; all raise ValueError


def check_role(text: str) -> str:
    """Our role towards a peer."""
    if text.lower() not in (*ROLES, NO_ROLE):
        raise ValueError(f"{text!r}: one of {', '.join((*ROLES, NO_ROLE))} is expected")
    return text.lower()


def check_capability(text: str) -> str:
    """A capability that we can offer."""
    try:
        code = caps.parse_name(text) if text.upper() not in ABLE else ABLE[text.upper()]
    except TextError as error:
        raise ValueError(str(error)) from None
    if code not in ABLE.values():
        raise ValueError(f"{text!r}: we have no such capability; those that we have: {', '.join(ABLE)}")
    return text.upper() if text.upper() in ABLE else caps.name(code)


def check_hold_time(seconds: int) -> int:
    """A hold time (RFC 4271 section 4.2)."""
    if not (seconds == 0 or 3 <= seconds <= 65535):
        raise ValueError("0, or 3 to 65535 seconds, are expected")
    return seconds


def _number(least: int, most: int) -> Callable[[int], int]:
    def check(number: int) -> int:
        if not least <= number <= most:
            raise ValueError(f"a number from {least} to {most} is expected")
        return number

    return check


def _text(check: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: check(text) if text else ""


OPTION_CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "connect": bool,
    "port": _number(1, 65535),
    "local_address": _text(check_address),
    "role": _text(check_role),
    "local_asn": lambda asn: check_asn(asn) if asn else 0,
    "hold_time": check_hold_time,
    "send_hold_time": _number(0, 65535),
    "capabilities": lambda names: tuple(map(check_capability, names)) or None,
    "min_ttl": _number(0, 255),
    "ao_key": _text(check_ao_key),
    "ao_keys": lambda keys: check_ao_keys("\n".join(map(check_ao_key, keys))),
}
"""What a request may say of a session, by names of SessionOptions. An empty text, or no capabilities, fix nothing."""
