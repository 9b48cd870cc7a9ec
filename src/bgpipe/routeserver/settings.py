"""What our OPEN answers to that of a peer: nothing that the peer has not offered.

Old RouterOS ends a session in which it is offered a capability that it lacks; BIRD ends one in which IPv4 unicast is
not offered back. So each capability is an answer, and a peer without any gets none (RFC 5492).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..session.session import CUSTOMER, PEER, PROVIDER, RS, RS_CLIENT, Settings
from ..wire import caps
from ..wire.caps import Capability, mp
from ..wire.errors import WireError
from ..wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from ..wire.open import Open
from .config import Bgp

FAMILIES: Final = (IPV4_UNICAST, IPV6_UNICAST)
_ROLES: Final = {PROVIDER: CUSTOMER, CUSTOMER: PROVIDER, RS: RS_CLIENT, RS_CLIENT: RS, PEER: PEER}
"""Ours by that of the peer (RFC 9234 section 4.2). A fixed one would lose every router that says another one."""
_ECHOED: Final = (caps.ROUTE_REFRESH, caps.EXTENDED_MESSAGE, caps.ENHANCED_ROUTE_REFRESH)


def session_settings(bgp: Bgp, peer: Open, *, remote_asn: int, restarting: bool) -> Settings:
    """remote_asn: of the peer. restarting: whether we have just started, and peers may still have our routes."""
    return Settings(
        asn=bgp.asn,
        bgp_id=bgp.router_id,
        hold_time=bgp.hold_time,
        capabilities=tuple(_capabilities(bgp, peer, restarting)),
        remote_asn=remote_asn,
        passive=True,
        open_wait=float(bgp.open_timeout_seconds or 240),
    )


def families(peer: Open) -> list[Family]:
    """Those of ours that a peer offers; IPv4 unicast alone if it offers none (RFC 4760 section 8)."""
    offered = []
    for value in peer.values(caps.MP):
        try:
            offered.append(mp.decode(value))
        except WireError:
            continue
    return [family for family in FAMILIES if family in offered] if offered else [IPV4_UNICAST]


def _capabilities(bgp: Bgp, peer: Open, restarting: bool) -> Iterator[Capability]:
    if peer.has(caps.MP):
        for family in families(peer):
            yield Capability(caps.MP, mp.encode(family))
    for code in _ECHOED:
        if peer.has(code):
            yield Capability(code)
    if peer.role in _ROLES:
        yield Capability(caps.ROLE, bytes((_ROLES[peer.role],)))
    if peer.has(caps.GRACEFUL_RESTART) and bgp.graceful_restart:
        yield Capability(caps.GRACEFUL_RESTART, _graceful_restart(bgp, peer, restarting))
    if peer.has(caps.AS4):
        yield Capability(caps.AS4, bytes(4))  # the session puts the AS number in


def _graceful_restart(bgp: Bgp, peer: Open, restarting: bool) -> bytes:
    """RFC 4724 section 3: routes are kept while we are away, since we forward nothing ourselves."""
    flags = 0x8 if restarting else 0
    forwarding = 0x80 if bgp.graceful_restart_forwarding_state else 0
    value = (flags << 12 | bgp.restart_time).to_bytes(2, "big")
    for family in families(peer):
        value += family.afi.to_bytes(2, "big") + bytes((family.safi, forwarding))
    return value
