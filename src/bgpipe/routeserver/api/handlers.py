"""What each operation of the API does: a row in OPERATIONS, and a method."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct

from .. import snippets, status
from ..server import Refused, RouteServer
from .records import (
    Communities,
    Description,
    NewPeer,
    NewSource,
    PeerChange,
    SourceChange,
    decode,
    show_peer,
    show_source,
)

T = TypeVar("T", bound=Struct)
BODY_TIMEOUT: Final = 30.0
"""Seconds in which all of a body must arrive."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request: who asks, what for. body: JSON, which `read` turns into a record."""

    request: web.Request
    client: str
    """address of who asks, behind trusted proxies"""
    max_body: int
    """octets"""

    @property
    def id(self) -> str:
        return self.request.match_info["id"]

    def query(self, name: str) -> str | None:
        return self.request.query.get(name)

    async def read(self, kind: type[T]) -> T:
        """Raises Refused."""
        if (media := self.request.content_type) != "application/json" and not media.endswith("+json"):
            raise Refused("Content-Type must be application/json", 415)
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                body = await self.request.read()
        except TimeoutError:
            raise Refused("the body did not arrive in time", 408) from None
        except web.HTTPRequestEntityTooLarge:
            raise Refused("the body is too large", 413) from None
        if len(body) > self.max_body:
            raise Refused("the body is too large", 413)
        try:
            return decode(body, kind)
        except ValueError as error:
            raise Refused(str(error)) from None


class Handlers:
    """One method for each row of OPERATIONS. Each returns what is shown as JSON, or a whole answer; raises Refused."""

    def __init__(self, server: RouteServer) -> None:
        self.server = server

    async def about(self, call: Call) -> object:
        bgp = self.server.config.bgp
        shown = {
            "asn": bgp.asn,
            "routerId": bgp.router_id,
            "bgpPort": bgp.port,
            "apiPort": self.server.config.api_port,
            "holdTime": bgp.hold_time,
            "keepalive": min(bgp.keep_alive, bgp.hold_time // 3 or bgp.keep_alive),
        }
        return shown | snippets.all_of(bgp)

    async def my_ip(self, call: Call) -> object:
        return {"ip": call.client}

    async def me(self, call: Call) -> object:
        asn = call.query("asn")
        if asn is not None and not (asn.isascii() and asn.isdecimal() and int(asn) <= 0xFFFFFFFF):
            raise Refused("Invalid ASN")
        peers = [each for each in self.server.peers.at(call.client) if asn is None or each.asn == int(asn)]
        return {
            "ip": call.client,
            "peers": [show_peer(each, advertised=self.server.advertised(each)) for each in peers],
        }

    async def peers(self, call: Call) -> object:
        return [show_peer(each, advertised=self.server.advertised(each)) for each in self.server.peers]

    async def add_peer(self, call: Call) -> object:
        wanted = await call.read(NewPeer)
        return show_peer(await self.server.add_peer(wanted.ip, wanted.asn, _fields(wanted)))

    async def peer(self, call: Call) -> object:
        return show_peer(self.server.peer(call.id), sources=True)

    async def change_peer(self, call: Call) -> object:
        wanted = await call.read(PeerChange)
        return show_peer(await self.server.change_peer(call.id, _fields(wanted)), sources=True)

    async def delete_peer(self, call: Call) -> object:
        await self.server.delete_peer(call.id)
        return {"id": call.id, "deleted": True}

    async def approve(self, call: Call) -> object:
        return show_peer(await self.server.approve(call.id))

    async def prefixes(self, call: Call) -> object:
        """What the peer has, or would have if it were here now."""
        prefixes = self.server.prefixes(self.server.peer(call.id))
        if call.query("format") == "json":
            return prefixes
        return web.Response(text="".join(f"{each}\n" for each in prefixes))

    async def why(self, call: Call) -> object:
        """Which list gives the peer an address or a prefix, or why it has none."""
        found = self.server.why(self.server.peer(call.id), call.query("target") or "")
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

    async def sources(self, call: Call) -> object:
        return list(map(show_source, self.server.peer(call.id).sources))

    async def add_source(self, call: Call) -> object:
        wanted = await call.read(NewSource)
        return show_source(await self.server.add_source(call.id, wanted.name, wanted.url, wanted.community))

    async def change_source(self, call: Call) -> object:
        wanted = await call.read(SourceChange)
        source = await self.server.change_source(call.id, call.request.match_info["source"], wanted.active)
        return {"id": source.id, "active": source.active}

    async def delete_source(self, call: Call) -> object:
        source = call.request.match_info["source"]
        await self.server.delete_source(call.id, source)
        return {"id": source, "deleted": True}

    async def communities(self, call: Call) -> object:
        peers = self.server.peers_at(call.request.match_info["ip"])
        return {"ip": peers[0].ip, "communities": sorted({each for peer in peers for each in peer.communities})}

    async def set_communities(self, call: Call) -> object:
        wanted = await call.read(Communities)
        return await self._change_all(call, communities=tuple(wanted.communities))

    async def clear_communities(self, call: Call) -> object:
        return await self._change_all(call, communities=())

    async def set_description(self, call: Call) -> object:
        wanted = await call.read(Description)
        return await self._change_all(call, description=wanted.description)

    async def _change_all(self, call: Call, **fields: Any) -> object:
        """Changes all peers at the address of the path."""
        peers = self.server.peers_at(call.request.match_info["ip"])
        return [show_peer(await self.server.change_peer(peer.id, fields)) for peer in peers]

    async def lists(self, call: Call) -> object:
        return [
            {
                "id": number,
                "Name": each.name,
                "Description": each.settings.description,
                "Country": each.settings.country or None,
                "Community": each.settings.community,
                "prefixCount": len(each.prefixes),
                "type": _TYPES.get(each.settings.kind, "list"),
            }
            for number, each in enumerate(self.server.lists.public)
        ]

    async def all_sources(self, call: Call) -> object:
        return [status.show_list(each) for each in self.server.lists.lists.values()]

    async def accept(self, call: Call) -> object:
        self.server.accept(call.request.match_info["name"])
        return status.show_list(self.server.lists[call.request.match_info["name"]])

    async def refresh_source(self, call: Call) -> object:
        self.server.refresh_list(call.request.match_info["name"])
        return {"name": call.request.match_info["name"], "refreshing": True}

    async def community_scheme(self, call: Call) -> object:
        config = self.server.config
        return {
            "asn": config.bgp.asn,
            "customPrefixes": self.server.tables.custom_community,
            "customAsns": config.custom_asn_community or f"{config.bgp.asn}:200",
        }

    async def sessions(self, call: Call) -> object:
        sessions = self.server.sessions.sessions.values()
        return {
            "active": sum(each.up for each in sessions),
            "sessions": [status.show_session(each) for each in sessions],
        }

    async def routes(self, call: Call) -> object:
        return status.count_routes(self.server)

    async def routes_count(self, call: Call) -> object:
        return {"total": status.count_routes(self.server)["total"]}


_TYPES: Final = {"asn": "asn", "country": "country"}


def _fields(wanted: PeerChange) -> dict[str, Any]:
    """What a request says of a peer, by the names of Peer's fields."""
    said = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    lists = said.pop("asn_lists", None)
    if lists is not None:
        said.setdefault("lists", lists)
    for name in ("ip", "asn"):
        said.pop(name, None)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}


@dataclass(frozen=True, slots=True)
class Operation:
    """method, path: as HTTP has them, with aiohttp's placeholders. run: what it does. summary: for people."""

    method: str
    path: str
    run: Callable[[Handlers, Call], Awaitable[object]]
    summary: str
    changes: bool = False


_PEER: Final = "/api/peers/{id}"
_AT: Final = "/api/peer/{ip}"
OPERATIONS: Final = (
    Operation("GET", "/api/server", Handlers.about, "What to put into a router to have a session with us"),
    Operation("GET", "/api/my-ip", Handlers.my_ip, "The address from which you ask"),
    Operation("GET", "/api/me", Handlers.me, "The peers at the address from which you ask"),
    Operation("GET", "/api/peers", Handlers.peers, "All peers"),
    Operation("POST", "/api/peers", Handlers.add_peer, "Add a peer, or replace its subscription", True),
    Operation("GET", _PEER, Handlers.peer, "One peer"),
    Operation("PUT", _PEER, Handlers.change_peer, "Change a peer", True),
    Operation("DELETE", _PEER, Handlers.delete_peer, "End the session of a peer and forget it", True),
    Operation("POST", f"{_PEER}/approve", Handlers.approve, "Let a pending peer have routes", True),
    Operation("GET", f"{_PEER}/prefixes", Handlers.prefixes, "The prefixes announced to a peer, as text or JSON"),
    Operation("GET", f"{_PEER}/why", Handlers.why, "Why a peer is announced an address or a prefix, or why not"),
    Operation("GET", f"{_PEER}/sources", Handlers.sources, "The lists at URLs that a peer has for itself"),
    Operation("POST", f"{_PEER}/sources", Handlers.add_source, "Add such a list, which is paused", True),
    Operation("PATCH", f"{_PEER}/sources/{{source}}", Handlers.change_source, "Pause it, or let it count", True),
    Operation("DELETE", f"{_PEER}/sources/{{source}}", Handlers.delete_source, "Remove it", True),
    Operation("GET", f"{_AT}/communities", Handlers.communities, "The communities that a peer wants"),
    Operation("PUT", f"{_AT}/communities", Handlers.set_communities, "Announce only routes with one of them", True),
    Operation("DELETE", f"{_AT}/communities", Handlers.clear_communities, "Announce all routes", True),
    Operation("PUT", f"{_AT}/description", Handlers.set_description, "Describe a peer", True),
    Operation("GET", "/api/asn-lists", Handlers.lists, "The lists to which a peer can subscribe"),
    Operation("GET", "/api/sources", Handlers.all_sources, "The lists, how old they are and what is wrong with them"),
    Operation("POST", "/api/sources/{name}/accept", Handlers.accept, "Let the held version of a list count", True),
    Operation("POST", "/api/sources/{name}/refresh", Handlers.refresh_source, "Fetch a list now", True),
    Operation("GET", "/api/community-scheme", Handlers.community_scheme, "The communities of custom prefixes"),
    Operation("GET", "/api/sessions", Handlers.sessions, "The sessions"),
    Operation("GET", "/api/routes", Handlers.routes, "How many routes there are, by community"),
    Operation("GET", "/api/routes/count", Handlers.routes_count, "How many routes there are"),
)


def as_answer(shown: object) -> web.StreamResponse:
    """JSON of what a handler returns."""
    if isinstance(shown, web.StreamResponse):
        return shown
    return web.Response(body=msgspec.json.encode(shown), content_type="application/json")


def failure(status: int, reason: str) -> web.Response:
    return web.Response(status=status, text=json.dumps({"error": reason}), content_type="application/json")
