"""The route server itself over the API: what it is, its sessions, how many routes there are.

Each function raises Refused.
"""

from __future__ import annotations

from .. import snippets, status
from .answers import About, Address, CommunityScheme, RouteCount, RouteCounts, Sessions
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
        calls=[
            each for each in status.show_calls(call.server.sessions) if call.all or each.peer_id in call.identity.peers
        ],
    )


async def routes(call: Call) -> RouteCounts:
    return status.count_routes(call.server)


async def routes_count(call: Call) -> RouteCount:
    return RouteCount(total=status.count_routes(call.server).total)
