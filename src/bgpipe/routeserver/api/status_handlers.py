"""The route server itself over the API: what it is, its sessions, how many routes there are.

Each function raises Refused.
"""

from __future__ import annotations

from msgspec import UNSET, Struct

from .. import snippets
from ..management import Refused
from . import status
from .answers import About, Address, AsPrefixes, CommunityScheme, RouteCount, RouteCounts, Sessions
from .call import Call


async def about(call: Call) -> About:
    bgp = call.server.config.bgp
    return About(
        asn=bgp.asn,
        router_id=bgp.router_id,
        bgp_port=bgp.port,
        api_port=call.server.config.api_port,
        hold_time=bgp.hold_time,
        keepalive=snippets.keep_alive(bgp),
        **snippets.all_of(bgp),
    )


async def my_ip(call: Call) -> Address:
    return Address(ip=call.client)


async def community_scheme(call: Call) -> CommunityScheme:
    config = call.server.config
    return CommunityScheme(
        asn=config.bgp.asn,
        custom_prefixes=call.server.tables.custom_community,
        custom_asns=config.custom_asn_community or (f"{config.bgp.asn}:200" if config.bgp.asn <= 0xFFFF else ""),
    )


async def sessions(call: Call) -> Sessions:
    sessions = [each for each in call.server.sessions.sessions.values() if call.visible((each.peer,))]
    return Sessions(
        active=sum(each.up for each in sessions),
        sessions=list(map(status.show_session, sessions)),
        ended={
            id: status.show_end(each) for id, each in call.server.ends.items() if call.all or id in call.identity.peers
        },
        calls=[
            each for each in status.show_calls(call.server.sessions) if call.all or each.peer_id in call.identity.peers
        ],
    )


class AsQuery(Struct):
    """count: whether only their number is wanted."""

    count: bool = False


async def as_prefixes(call: Call, query: AsQuery) -> AsPrefixes:
    asn = call.place("asn")
    if not (asn.isascii() and asn.isdecimal() and len(asn) <= 10 and int(asn) <= 0xFFFFFFFF):
        raise Refused("Invalid ASN")
    found = await call.management.as_prefixes(int(asn))
    return AsPrefixes(asn=int(asn), prefix_count=len(found), prefixes=UNSET if query.count else list(found))


async def as_prefix_count(call: Call) -> AsPrefixes:
    return await as_prefixes(call, AsQuery(count=True))


async def routes_by_community(call: Call) -> RouteCounts:
    return status.count_routes(call.server)


async def routes_count(call: Call) -> RouteCount:
    return RouteCount(total=status.count_routes(call.server).total)
