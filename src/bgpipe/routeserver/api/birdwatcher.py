"""The API of birdwatcher, so that the looking glass Alice-LG shows our peers and what they are announced.

In Alice-LG a route server's neighbors announce routes to it. Ours get routes; so what a neighbor "has" there is what we
announce to it. Times are UTC, as `YYYY-MM-DD hh:mm:ss`; that of the answer itself, `ttl`, is as in RFC 3339: Alice-LG
drops an answer where it is not as its setting `servertime` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from ... import __version__
from ...routes.explain import covering_routes
from ...routes.lookup import parse_target
from ...tasks import in_thread
from ...wire.address import format_address
from ...wire.attrs.large_community import LargeCommunity
from ...wire.communities import write_ext_community
from ...wire.errors import TextError
from ...wire.prefix import Prefix
from ..exports import AdjRibOut
from ..management import Refused
from ..peers import Peer
from .call import Call

MAX_FOUND: Final = 1000
"""Routes that a search answers."""
MAX_TABLE: Final = 1_000_000
"""Routes of all peers together that are answered; each is some 700 octets."""
_ORIGIN: Final = "IGP"


class BirdQuery(Struct):
    """prefix: an address or a prefix."""

    prefix: str


class BirdRoutes(Struct, kw_only=True):
    """GET /routes/... of birdwatcher."""

    api: dict[str, Any]
    ttl: str
    routes: list[dict[str, Any]]


class BirdStatus(Struct, kw_only=True):
    """GET /status of birdwatcher."""

    api: dict[str, Any]
    ttl: str
    status: dict[str, str]


class BirdProtocols(Struct, kw_only=True):
    """GET /protocols/bgp of birdwatcher: by id of the peer."""

    api: dict[str, Any]
    ttl: str
    protocols: dict[str, Any]


async def bird_status(call: Call) -> BirdStatus:
    api = _api()
    shown = {
        "current_server": _time(datetime.now(UTC).timestamp()),
        "last_reboot": _time(call.server.started_at),
        "last_reconfig": _time(call.server.configured_at),
        "message": "Daemon is up and running",
        "router_id": call.server.config.bgp.router_id,
        "version": f"bgplite {__version__}",
    }
    return BirdStatus(api=api, ttl=_now_of(api), status=shown)


async def bird_protocols(call: Call) -> BirdProtocols:
    found = {each.id: _protocol(call, each) for each in call.visible(call.server.peers)}
    api = _api()
    return BirdProtocols(api=api, ttl=_now_of(api), protocols=found)


async def bird_neighbors(call: Call) -> BirdProtocols:
    """The same as `protocols/bgp`."""
    return await bird_protocols(call)


def _protocol(call: Call, peer: Peer) -> dict[str, Any]:
    session = call.server.sessions.sessions.get(peer.id)
    up = session is not None and session.up
    since = session.since if session is not None and session.since else peer.last_session_at or peer.created_at
    routes = session.announcer.count if session is not None and up else 0
    ended = call.server.ends.get(peer.id)
    return {
        "protocol": peer.id,
        "bird_protocol": "BGP",
        "neighbor_address": peer.ip,
        "neighbor_as": peer.asn,
        "description": peer.description or peer.ip,
        "state": "up" if up else "down",
        "since": _time(since),
        "state_changed": _time(since),
        "last_error": ended.why if ended is not None and not up else "",
        "routes": {"imported": routes, "filtered": 0, "exported": routes, "preferred": routes},
    }


async def bird_routes(call: Call) -> BirdRoutes | web.StreamResponse:
    """What a peer is announced."""
    found = AdjRibOut.of(call.server, call.management.peer(call.id))
    routes = await in_thread("birdwatcher", partial(_encoded, found))
    return _answer(routes.join(_around_items()))


async def bird_filtered(call: Call) -> BirdRoutes | web.StreamResponse:
    """None: what a peer does not get has no route here."""
    call.management.peer(call.id)
    return _answer(_envelope([]))


async def bird_not_exported(call: Call) -> BirdRoutes | web.StreamResponse:
    """None, for the same reason."""
    return await bird_filtered(call)


async def bird_table(call: Call) -> BirdRoutes | web.StreamResponse:
    """What all peers are announced, whatever the name of the table is: Alice-LG searches in that. It goes out peer by
    peer, so that only the routes of one are in memory as JSON."""
    tables: list[AdjRibOut] = []
    count = 0
    for peer in call.visible(call.server.peers):
        found = AdjRibOut.of(call.server, peer)
        count += found.count
        if count > MAX_TABLE:
            raise Refused(f"there are more than {MAX_TABLE} routes: ask for those of one peer", 503)
        if found.count:
            tables.append(found)
        await asyncio.sleep(0)  # the table of a peer that is not here may have to be made first
    before, after = _around_items()
    response = web.StreamResponse(headers=call.headers | {"Cache-Control": "no-store"})
    response.content_type = "application/json"
    response.force_close()
    await response.prepare(call.request)
    await response.write(before)
    for number, found in enumerate(tables):
        routes = await in_thread("birdwatcher", partial(_encoded, found))
        await response.write(b"," + routes if number else routes)
    await response.write(after)
    return response


async def bird_table_filtered(call: Call) -> BirdRoutes | web.StreamResponse:
    """None, as for one peer."""
    return _answer(_envelope([]))


async def bird_search(call: Call, query: BirdQuery) -> BirdRoutes | web.StreamResponse:
    """The routes for an address or a prefix that peers are announced."""
    try:
        target = parse_target(query.prefix)
    except TextError as error:
        raise Refused(str(error)) from None
    found: list[dict[str, Any]] = []
    for peer in call.visible(call.server.peers):
        found += _covering(AdjRibOut.of(call.server, peer), target)
        if len(found) >= MAX_FOUND:
            break
        await asyncio.sleep(0)  # the table of a peer that is not here may have to be made first
    return _answer(_envelope(found[:MAX_FOUND]))


def _covering(found: AdjRibOut, target: Prefix) -> Iterator[dict[str, Any]]:
    for prefix, attributes in covering_routes(found.table, target) if target.afi in found.afis else ():
        if hop := found.form.next_hop(attributes, target.afi):
            text = format_address(hop)
            yield _route(found.peer, str(prefix), text, _bgp(found, attributes, text))


def _encoded(found: AdjRibOut) -> bytes:
    """The items of a list."""
    shown: list[dict[str, Any]] = []
    for attributes, _, hop, prefixes in found.groups():
        bgp = _bgp(found, attributes, hop)
        shown += [_route(found.peer, prefix, hop, bgp) for prefix in prefixes]
    return msgspec.json.encode(shown)[1:-1]


def _bgp(found: AdjRibOut, attributes: Any, hop: str) -> dict[str, Any]:
    own, ext = found.form.asn, map(write_ext_community, sorted(attributes.ext_communities))
    return {
        "origin": _ORIGIN,
        "as_path": [str(own)] * (0 if found.form.internal else 1 + (attributes.prepends or 0)),
        "next_hop": hop,
        "local_pref": "100" if found.form.internal else "0",
        "med": str(attributes.med or 0),
        "communities": [[value >> 16, value & 0xFFFF] for value in sorted(attributes.communities)],
        "large_communities": [_large(each) for each in sorted(attributes.large_communities)],
        "ext_communities": [text.split(":") for text in ext if text.count(":") == 2],
    }


def _large(community: LargeCommunity) -> list[int]:
    return list(community)


def _route(peer: Peer, prefix: str, hop: str, bgp: dict[str, Any]) -> dict[str, Any]:
    return {
        "network": prefix,
        "gateway": hop,
        "from_protocol": peer.id,
        "interface": "",
        "metric": 100,
        "primary": True,
        "type": ["BGP", "unicast", "univ"],
        "age": _time(peer.last_session_at or peer.created_at),
        "bgp": bgp,
    }


def _envelope(routes: list[dict[str, Any]]) -> bytes:
    api = _api()
    return msgspec.json.encode(BirdRoutes(api=api, ttl=_now_of(api), routes=routes))


def _around_items() -> tuple[bytes, bytes]:
    """What stands before and behind the items of a list of routes that are encoded already."""
    before, sign, after = _envelope([]).rpartition(b"]")
    return before, sign + after


def _answer(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _api() -> dict[str, Any]:
    """What every answer of birdwatcher says of itself."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    cache = {"cached_at": {"date": now, "timezone": "UTC", "timezone_type": "UTC"}, "orig_ttl": 0}
    return {"Version": __version__, "result_from_cache": False, "cache_status": cache}


def _now_of(api: dict[str, Any]) -> str:
    """When the answer was made, which is as long as it counts."""
    made: str = api["cache_status"]["cached_at"]["date"]
    return made


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
