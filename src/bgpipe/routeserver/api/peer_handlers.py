"""Peers over the API: who they are, what they have subscribed to, what they are announced.

Each function raises Refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Annotated, Any, Literal

from aiohttp import web
from msgspec import UNSET, Meta, Struct

from ...tasks import in_thread
from .. import exports
from ..config import AsNumber
from ..management import Refused
from ..peers import Peer, Status
from ..values import check_peer_address
from . import status
from .answers import (
    Deleted,
    Done,
    PeerCommunities,
    PeerSessionState,
    ShownRoute,
    SourceState,
    Why,
    WhyStep,
)
from .call import Call
from .peer_fields import allowed_fields
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
    masked,
    show_peer,
    show_source,
)


class MeQuery(Struct):
    """asn: only the peer with this AS number."""

    asn: AsNumber | None = None


class PeersQuery(Struct):
    """ip: only peers at this address. asn: only those with this AS number. status: only those that are so. list: only
    those that have subscribed to it. search: only those with this in their address, AS number or description. limit: so
    many at most. offset: after so many; the header X-Total-Count says how many there are."""

    ip: str | None = None
    asn: AsNumber | None = None
    status: Status | None = None
    list: str | None = None
    search: str = ""
    limit: Annotated[int, Meta(ge=1, le=100_000)] = 100_000
    offset: Annotated[int, Meta(ge=0, le=2**31)] = 0

    def wants(self, peer: Peer) -> bool:
        return (
            self.ip in (None, peer.ip)
            and self.asn in (None, peer.asn)
            and self.status in (None, peer.status)
            and (self.list is None or self.list in peer.lists)
            and self.search.lower() in f"{peer.ip} AS{peer.asn} {peer.description}".lower()
        )


class AddQuery(Struct, rename="camel"):
    """dryRun: whether it is only to be checked and shown, and not added."""

    dry_run: bool = False


class DeleteQuery(Struct):
    """bar: whether it may not come back until it is approved."""

    bar: bool = False


class PrefixQuery(Struct):
    """format: txt, a prefix in each line; json, a list of them; csv, with next hops and communities; mrt, the UPDATEs;
    rsc, a script of RouterOS."""

    format: Literal["txt", "json", "csv", "mrt", "rsc"] = "txt"


class RoutesQuery(Struct):
    """limit: so many at most. offset: after so many; the header X-Total-Count says how many there are."""

    limit: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    offset: Annotated[int, Meta(ge=0, le=2**31)] = 0


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


async def peers(call: Call, query: PeersQuery) -> list[ShownPeer]:
    known = (*call.server.peers, *call.server.peers.templates)
    found = [each for each in call.visible(known) if query.wants(each)]
    call.headers["X-Total-Count"] = str(len(found))
    return [show_peer(each, advertised=call.server.advertised(each)) for each in found[query.offset :][: query.limit]]


async def add_peer(call: Call, query: AddQuery, body: NewPeer) -> ShownPeer:
    fields = allowed_fields(call, body)
    status: Status = "inactive" if call.all else _own_status(call, body)
    if query.dry_run:
        return show_peer(call.management.would_add(body.ip, body.asn, fields))
    return show_peer(await call.management.add_peer(body.ip, body.asn, fields, status=status))


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


def _show(peer: Peer) -> ShownPeer:
    return show_peer(peer, sources=True)


async def peer(call: Call) -> ShownPeer:
    shown = _show(call.management.peer(call.id))
    if not call.tells_urls and shown.custom_sources is not UNSET:
        shown.custom_sources = masked(shown.custom_sources)
    return shown


async def change_peer(call: Call, body: PeerChange) -> ShownPeer:
    expected = call.expected(_show)
    return _show(await call.management.change_peer(call.id, allowed_fields(call, body), expected=expected))


async def delete_peer(call: Call, query: DeleteQuery) -> Deleted:
    if query.bar:
        if not call.all:
            raise Refused("only an operator may bar a peer", 403)
        await call.management.bar(call.id)
    else:
        if not call.all and call.management.peer(call.id).status in ("pending", "barred"):
            raise Refused("this peer waits for a word of an operator: it can't be deleted", 403)
        await call.management.delete_peer(call.id, expected=call.expected(_show))
    return Deleted(id=call.id)


async def bar_peer(call: Call) -> ShownPeer:
    return _show(await call.management.bar(call.id))


async def reset_peer(call: Call) -> Done:
    await call.management.reset(call.id)
    return Done(id=call.id)


async def refresh_peer(call: Call) -> Done:
    call.management.announce_again(call.id)
    return Done(id=call.id)


async def session(call: Call) -> PeerSessionState:
    return status.show_session_state(call.server, call.management.peer(call.id))


async def routes(call: Call, query: RoutesQuery) -> list[ShownRoute]:
    found = exports.AdjRibOut.of(call.server, call.management.peer(call.id))
    call.headers["X-Total-Count"] = str(found.count)

    def page() -> list[ShownRoute]:
        chosen = islice(found.routes(), query.offset, query.offset + query.limit)
        return [ShownRoute(**each._asdict()) for each in chosen]

    return await in_thread("routes", page)


async def approve_peer(call: Call) -> ShownPeer:
    return show_peer(await call.management.approve(call.id))


async def prefixes(call: Call, query: PrefixQuery) -> list[str] | web.StreamResponse:
    """What the peer has, or would have if it were here now."""
    media, make = exports.EXPORTS[query.format]
    found = exports.AdjRibOut.of(call.server, call.management.peer(call.id))
    return web.Response(body=await in_thread("export", partial(make, found)), content_type=media)


async def setup(call: Call, query: SetupQuery) -> web.StreamResponse:
    """What to put into the peer's router."""
    peer = call.management.peer(call.id)
    lines = call.management.setup(peer, call.place("kind"), query.server, query.gateway, query.gateway6)
    return web.Response(text="".join(f"{line}\n" for line in lines))


def _checked(name: str, check: Callable[[str], str], text: str) -> str:
    try:
        return check(text)
    except ValueError as error:
        raise Refused(f"{name}: {error}") from None


async def why(call: Call, query: WhyQuery) -> Why:
    """Which list gives the peer an address or a prefix, or why it has none."""
    peer = call.management.peer(call.id)
    found = call.management.why(peer, query.target)
    lines = await call.management.lines(found)
    return Why(
        target=str(found.target),
        route=str(found.route) if found.route is not None else None,
        why=call.management.why_not(peer, found),
        by_default=found.by_default,
        steps=[
            WhyStep(
                source=step.source,
                prefix=str(step.prefix),
                outcome=str(step.outcome),
                by=str(step.by) if step.by is not None else None,
                line=line,
            )
            for step, line in zip(found.steps, lines, strict=True)
        ],
    )


async def sources(call: Call) -> list[ShownSource]:
    shown = list(map(show_source, call.management.peer(call.id).sources))
    return shown if call.tells_urls else masked(shown)


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
