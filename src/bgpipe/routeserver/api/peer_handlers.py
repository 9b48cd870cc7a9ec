"""Peers over the API: who they are, what they have subscribed to, what they are announced.

Each function raises Refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Struct

from ..config import AsNumber
from ..management import Refused
from ..peers import Status
from ..values import check_address, check_next_hop, check_next_hop_ipv6, check_peer_address
from .answers import Deleted, PeerCommunities, SourceState, Why, WhyStep
from .call import Call
from .records import (
    AtAddress,
    Communities,
    Description,
    NewPeer,
    NewSource,
    PeerChange,
    ShownPeer,
    ShownSource,
    SourceChange,
    show_peer,
    show_source,
)


class MeQuery(Struct):
    """asn: only the peer with this AS number."""

    asn: AsNumber | None = None


class PrefixQuery(Struct):
    """format: txt, a prefix in each line, or json."""

    format: Literal["txt", "json"] = "txt"


class SetupQuery(Struct):
    """gateway: next hop of IPv4 routes in the router. gateway6: of IPv6 routes. server: our address, as the router
    sees it."""

    gateway: str = ""
    gateway6: str = ""
    server: str = ""


class WhyQuery(Struct):
    """target: an address or a prefix."""

    target: str


async def me(call: Call, query: MeQuery) -> AtAddress:
    own = (each for each in call.server.peers if call.identity.owns(each) or each.ip == call.client)
    peers = [each for each in call.visible(own) if query.asn in (None, each.asn)]
    shown = [show_peer(each, advertised=call.server.advertised(each)) for each in peers]
    return AtAddress(ip=call.client, peers=shown)


async def peers(call: Call) -> list[ShownPeer]:
    return [show_peer(each, advertised=call.server.advertised(each)) for each in call.visible(call.server.peers)]


async def add_peer(call: Call, body: NewPeer) -> ShownPeer:
    if call.all:
        return show_peer(await call.management.add_peer(body.ip, body.asn, _fields(call, body)))
    status = _own_status(call, body)
    return show_peer(await call.management.add_peer(body.ip, body.asn, _fields(call, body), status=status))


def _own_status(call: Call, body: NewPeer) -> Status:
    """What becomes of a peer that adds itself: no more than when it just connects. Raises Refused."""
    address = _checked("ip", check_peer_address, body.ip)
    known = call.server.peers.find(address, body.asn)
    if not (call.identity.owns(known) if known is not None else address == call.identity.address):
        raise Refused("this is not your own peer", 403)
    unknown = call.server.config.bgp.unknown_peers
    if known is None and unknown == "reject":
        raise Refused("only an operator may add peers here", 403)
    return "pending" if unknown == "pending" else "inactive"


async def peer(call: Call) -> ShownPeer:
    return show_peer(call.management.peer(call.id), sources=True)


async def change_peer(call: Call, body: PeerChange) -> ShownPeer:
    return show_peer(await call.management.change_peer(call.id, _fields(call, body)), sources=True)


async def delete_peer(call: Call) -> Deleted:
    await call.management.delete_peer(call.id)
    return Deleted(id=call.id)


async def approve_peer(call: Call) -> ShownPeer:
    return show_peer(await call.management.approve(call.id))


async def prefixes(call: Call, query: PrefixQuery) -> list[str] | web.StreamResponse:
    """What the peer has, or would have if it were here now."""
    prefixes = call.server.prefixes(call.management.peer(call.id))
    if query.format == "json":
        return prefixes
    return web.Response(text="".join(f"{each}\n" for each in prefixes))


async def setup(call: Call, query: SetupQuery) -> web.StreamResponse:
    """What to put into the peer's router."""
    gateways = {}
    if query.gateway:
        gateways["ipv4"] = _checked("gateway", check_next_hop, query.gateway)
    if query.gateway6:
        gateways["ipv6"] = _checked("gateway6", check_next_hop_ipv6, query.gateway6)
    server = _checked("server", check_address, query.server) if query.server else ""
    lines = call.management.setup(call.management.peer(call.id), call.place("kind"), server, gateways)
    return web.Response(text="".join(f"{line}\n" for line in lines))


def _checked(name: str, check: Callable[[str], str], text: str) -> str:
    try:
        return check(text)
    except ValueError as error:
        raise Refused(f"{name}: {error}") from None


async def why(call: Call, query: WhyQuery) -> Why:
    """Which list gives the peer an address or a prefix, or why it has none."""
    found = call.management.why(call.management.peer(call.id), query.target)
    return Why(
        target=str(found.target),
        route=str(found.route) if found.route is not None else None,
        by_default=found.by_default,
        steps=[
            WhyStep(
                source=step.source,
                prefix=str(step.prefix),
                outcome=str(step.outcome),
                by=str(step.by) if step.by is not None else None,
            )
            for step in found.steps
        ],
    )


async def sources(call: Call) -> list[ShownSource]:
    return list(map(show_source, call.management.peer(call.id).sources))


async def add_source(call: Call, body: NewSource) -> ShownSource:
    return show_source(await call.management.add_source(call.id, body.name, body.url, body.community))


async def change_source(call: Call, body: SourceChange) -> SourceState:
    source = await call.management.change_source(call.id, call.place("source"), {"active": body.active})
    return SourceState(id=source.id, active=source.active)


async def delete_source(call: Call) -> Deleted:
    await call.management.delete_source(call.id, call.place("source"))
    return Deleted(id=call.place("source"))


async def communities(call: Call) -> PeerCommunities:
    peers = call.management.peers_at(call.place("ip"))
    found = sorted({each for peer in peers for each in peer.communities})
    return PeerCommunities(ip=peers[0].ip, communities=found)


async def set_communities(call: Call, body: Communities) -> list[ShownPeer]:
    return await _change_all(call, communities=tuple(body.communities))


async def clear_communities(call: Call) -> list[ShownPeer]:
    return await _change_all(call, communities=())


async def set_description(call: Call, body: Description) -> list[ShownPeer]:
    return await _change_all(call, description=body.description)


async def _change_all(call: Call, **fields: Any) -> list[ShownPeer]:
    """Changes all peers at the address of the path."""
    peers = call.management.peers_at(call.place("ip"))
    return [show_peer(await call.management.change_peer(peer.id, fields)) for peer in peers]


_OWN: Final = frozenset(
    (
        *("ip", "asn", "description", "lists", "asn_lists", "custom_prefixes", "custom_asns", "exclude"),
        *("communities", "md5_password", "next_hop", "next_hop_ipv6", "max_routes"),
    )
)
"""What a peer may say of itself; the rest is for operators."""


def _fields(call: Call, wanted: PeerChange) -> dict[str, Any]:
    """What a request says of a peer, by the names of Peer's fields. Raises Refused."""
    said = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    if not call.all and (more := said.keys() - _OWN):
        names = {each.name: each.encode_name for each in msgspec.structs.fields(type(wanted))}
        raise Refused(f"only an operator may say this: {', '.join(sorted(names[each] for each in more))}", 403)
    lists = said.pop("asn_lists", None)
    if lists is not None:
        said.setdefault("lists", lists)
    for name in ("ip", "asn"):
        said.pop(name, None)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
