"""Lists of prefixes over the API.

Each function returns what is shown as JSON, or a whole answer; it raises Refused.
"""

from __future__ import annotations

from typing import Final

from .. import status
from .call import Call


async def lists(call: Call) -> object:
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
        for number, each in enumerate(call.server.lists.public)
    ]


async def all_sources(call: Call) -> object:
    return [status.show_list(each) for each in call.server.lists.lists.values()]


async def accept(call: Call) -> object:
    call.management.accept(call.request.match_info["name"])
    return status.show_list(call.server.lists[call.request.match_info["name"]])


async def refresh_source(call: Call) -> object:
    call.management.refresh_list(call.request.match_info["name"])
    return {"name": call.request.match_info["name"], "refreshing": True}


_TYPES: Final = {"asn": "asn", "country": "country"}
