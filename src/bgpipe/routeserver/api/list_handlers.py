"""Lists of prefixes over the API. Each function raises Refused."""

from __future__ import annotations

from typing import Final

from .. import status
from .answers import ListName, Refreshing, ShownList
from .call import Call

_TYPES: Final = {"asn": "asn", "country": "country"}


async def list_names(call: Call) -> list[ListName]:
    return [
        ListName(
            id=number,
            name=each.name,
            description=each.settings.description,
            country=each.settings.country or None,
            community=each.settings.community,
            prefix_count=len(each.prefixes),
            type=_TYPES.get(each.settings.kind, "list"),
        )
        for number, each in enumerate(call.server.lists.public)
    ]


async def lists(call: Call) -> list[ShownList]:
    return [status.show_list(each) for each in call.server.lists.lists.values()]


async def accept_list(call: Call) -> ShownList:
    await call.management.accept(call.place("name"))
    return status.show_list(call.server.lists[call.place("name")])


async def refresh_list(call: Call) -> Refreshing:
    call.management.refresh_list(call.place("name"))
    return Refreshing(name=call.place("name"))
