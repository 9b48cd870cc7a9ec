"""The route server itself over the API: what it is, its sessions, how many routes there are.

Each function returns what is shown as JSON, or a whole answer; it raises Refused.
"""

from __future__ import annotations

from .. import snippets, status
from .call import Call


async def about(call: Call) -> object:
    bgp = call.server.config.bgp
    shown = {
        "asn": bgp.asn,
        "routerId": bgp.router_id,
        "bgpPort": bgp.port,
        "apiPort": call.server.config.api_port,
        "holdTime": bgp.hold_time,
        "keepalive": snippets.keep_alive(bgp),
    }
    return shown | snippets.all_of(bgp)


async def my_ip(call: Call) -> object:
    return {"ip": call.client}


async def community_scheme(call: Call) -> object:
    config = call.server.config
    return {
        "asn": config.bgp.asn,
        "customPrefixes": call.server.tables.custom_community,
        "customAsns": config.custom_asn_community or f"{config.bgp.asn}:200",
    }


async def sessions(call: Call) -> object:
    sessions = call.server.sessions.sessions.values()
    return {
        "active": sum(each.up for each in sessions),
        "sessions": [status.show_session(each) for each in sessions],
    }


async def routes(call: Call) -> object:
    return status.count_routes(call.server)


async def routes_count(call: Call) -> object:
    return {"total": status.count_routes(call.server)["total"]}
