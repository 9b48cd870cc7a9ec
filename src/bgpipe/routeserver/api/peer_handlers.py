"""Peers over the API: who they are, what they have subscribed to, what they are announced.

Each function returns what is shown as JSON, or a whole answer; it raises Refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from ..management import Refused
from ..values import check_address, check_next_hop, check_next_hop_ipv6
from .call import Call
from .records import (
    Communities,
    Description,
    NewPeer,
    NewSource,
    PeerChange,
    SourceChange,
    show_peer,
    show_source,
)


async def me(call: Call) -> object:
    asn = call.query("asn")
    if asn is not None and not (asn.isascii() and asn.isdecimal() and int(asn) <= 0xFFFFFFFF):
        raise Refused("Invalid ASN")
    peers = [each for each in call.server.peers.at(call.client) if asn is None or each.asn == int(asn)]
    return {
        "ip": call.client,
        "peers": [show_peer(each, advertised=call.server.advertised(each)) for each in peers],
    }


async def peers(call: Call) -> object:
    return [show_peer(each, advertised=call.server.advertised(each)) for each in call.server.peers]


async def add_peer(call: Call) -> object:
    wanted = await call.read(NewPeer)
    return show_peer(await call.management.add_peer(wanted.ip, wanted.asn, _fields(wanted)))


async def peer(call: Call) -> object:
    return show_peer(call.management.peer(call.id), sources=True)


async def change_peer(call: Call) -> object:
    wanted = await call.read(PeerChange)
    return show_peer(await call.management.change_peer(call.id, _fields(wanted)), sources=True)


async def delete_peer(call: Call) -> object:
    await call.management.delete_peer(call.id)
    return {"id": call.id, "deleted": True}


async def approve(call: Call) -> object:
    return show_peer(await call.management.approve(call.id))


async def prefixes(call: Call) -> object:
    """What the peer has, or would have if it were here now."""
    prefixes = call.server.prefixes(call.management.peer(call.id))
    if call.query("format") == "json":
        return prefixes
    return web.Response(text="".join(f"{each}\n" for each in prefixes))


async def setup(call: Call) -> object:
    """What to put into the peer's router."""
    gateways = {}
    for family, name, check in (("ipv4", "gateway", check_next_hop), ("ipv6", "gateway6", check_next_hop_ipv6)):
        if text := call.query(name):
            gateways[family] = _checked(name, check, text)
    server = _checked("server", check_address, text) if (text := call.query("server")) else ""
    peer = call.management.peer(call.id)
    lines = call.management.setup(peer, call.request.match_info["kind"], server, gateways)
    return web.Response(text="".join(f"{line}\n" for line in lines))


def _checked(name: str, check: Callable[[str], str], text: str) -> str:
    try:
        return check(text)
    except ValueError as error:
        raise Refused(f"{name}: {error}") from None


async def why(call: Call) -> object:
    """Which list gives the peer an address or a prefix, or why it has none."""
    found = call.management.why(call.management.peer(call.id), call.query("target") or "")
    return {
        "target": str(found.target),
        "route": str(found.route) if found.route is not None else None,
        "byDefault": found.by_default,
        "steps": [
            {
                "source": step.source,
                "prefix": str(step.prefix),
                "outcome": str(step.outcome),
                "by": str(step.by) if step.by is not None else None,
            }
            for step in found.steps
        ],
    }


async def sources(call: Call) -> object:
    return list(map(show_source, call.management.peer(call.id).sources))


async def add_source(call: Call) -> object:
    wanted = await call.read(NewSource)
    return show_source(await call.management.add_source(call.id, wanted.name, wanted.url, wanted.community))


async def change_source(call: Call) -> object:
    wanted = await call.read(SourceChange)
    source = await call.management.change_source(call.id, call.request.match_info["source"], wanted.active)
    return {"id": source.id, "active": source.active}


async def delete_source(call: Call) -> object:
    source = call.request.match_info["source"]
    await call.management.delete_source(call.id, source)
    return {"id": source, "deleted": True}


async def communities(call: Call) -> object:
    peers = call.management.peers_at(call.request.match_info["ip"])
    return {"ip": peers[0].ip, "communities": sorted({each for peer in peers for each in peer.communities})}


async def set_communities(call: Call) -> object:
    wanted = await call.read(Communities)
    return await _change_all(call, communities=tuple(wanted.communities))


async def clear_communities(call: Call) -> object:
    return await _change_all(call, communities=())


async def set_description(call: Call) -> object:
    wanted = await call.read(Description)
    return await _change_all(call, description=wanted.description)


async def _change_all(call: Call, **fields: Any) -> object:
    """Changes all peers at the address of the path."""
    peers = call.management.peers_at(call.request.match_info["ip"])
    return [show_peer(await call.management.change_peer(peer.id, fields)) for peer in peers]


def _fields(wanted: PeerChange) -> dict[str, Any]:
    """What a request says of a peer, by the names of Peer's fields."""
    said = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    lists = said.pop("asn_lists", None)
    if lists is not None:
        said.setdefault("lists", lists)
    for name in ("ip", "asn"):
        said.pop(name, None)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
