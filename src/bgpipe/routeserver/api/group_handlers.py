"""Groups of peers over the API: what they say, and who is in them. Each function raises Refused."""

from __future__ import annotations

import msgspec

from ..groups import PeerGroup
from .call import Call
from .peer_fields import fields_of
from .records import DeletedGroup, GroupChange, GroupMember, NewGroup, ShownGroup


async def groups(call: Call) -> list[ShownGroup]:
    return [_show(call, each) for each in call.server.tables.groups.values()]


async def group(call: Call) -> ShownGroup:
    return _show(call, call.management.group(call.place("name")))


async def add_group(call: Call, body: NewGroup) -> ShownGroup:
    return _show(call, await call.management.add_group(body.name, fields_of(body)))


async def change_group(call: Call, body: GroupChange) -> ShownGroup:
    return _show(call, await call.management.change_group(call.place("name"), fields_of(body)))


async def delete_group(call: Call) -> DeletedGroup:
    await call.management.delete_group(call.place("name"))
    return DeletedGroup(name=call.place("name"))


def _show(call: Call, found: PeerGroup) -> ShownGroup:
    members = [
        GroupMember(id=each.id, ip=each.ip, asn=each.asn, description=each.description, status=each.status)
        for each in call.server.members(found.name)
    ]
    return ShownGroup(**msgspec.structs.asdict(found), members=members)
