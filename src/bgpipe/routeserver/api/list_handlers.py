"""Lists of prefixes over the API. Each function raises Refused."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from ..management import Refused
from . import status
from .answers import (
    DeletedList,
    ListDetails,
    ListName,
    Refreshing,
    ShownDifference,
    ShownList,
    ShownVersion,
    TriedSource,
)
from .call import Call
from .records import ListFields, NewList

Number = Annotated[int, Meta(ge=0, le=2**31)]
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


class DiffQuery(Struct):
    """old, new: numbers of versions; if they are not said, the current one and the one that is held back, or the one
    before and the current one. limit: so many prefixes of each kind are told."""

    old: Number = 0
    new: Number = 0
    limit: Annotated[int, Meta(ge=0, le=100_000)] = 1000


class Rollback(Struct, kw_only=True):
    """POST /api/sources/{name}/rollback. version: its number."""

    version: Number


def _given(body: ListFields) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(body).items() if value is not None and name != "name"}


async def add_list(call: Call, body: NewList) -> ListDetails:
    return status.show_details(await call.management.add_list(body.name, _given(body)))


async def try_list(call: Call, body: ListFields) -> TriedSource:
    return status.show_tried(*await call.management.try_list(_given(body)))


async def one_list(call: Call) -> ListDetails:
    return status.show_details(call.management.list_named(call.place("name")))


async def change_list(call: Call, body: ListFields) -> ListDetails:
    return status.show_details(await call.management.change_list(call.place("name"), _given(body)))


async def delete_list(call: Call) -> DeletedList:
    await call.management.delete_list(call.place("name"))
    return DeletedList(name=call.place("name"))


async def list_versions(call: Call) -> list[ShownVersion]:
    versions = await call.management.versions(call.place("name"))
    found = call.server.lists[call.place("name")]
    return [status.show_version(found, each) for each in versions]


async def list_diff(call: Call, query: DiffQuery) -> ShownDifference:
    name = call.place("name")
    old, new = query.old, query.new
    if not old or not new:
        shown = await list_versions(call)
        numbers = {each.state: each.version for each in reversed(shown)}  # of those with one state the newest
        current = numbers.get("current", 0)
        new = new or numbers.get("held", current)
        old = old or (
            current if new != current else max((each.version for each in shown if each.version < new), default=0)
        )
        if not old or not new:
            raise Refused("there is only one version of this list", 409)
    return status.show_difference(await call.management.difference(name, old, new), query.limit)


async def rollback_list(call: Call, body: Rollback) -> ShownList:
    await call.management.rollback(call.place("name"), body.version)
    return status.show_list(call.server.lists[call.place("name")])
