"""Who may do what, and who did what, over the API. Each function raises Refused."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from ..access import Role
from ..config import TokenRole
from ..times import iso
from .answers import Deleted
from .call import Call


class Who(Struct, kw_only=True):
    """Who asks. role: what it may do. peers: ids of the peers that are its own."""

    name: str
    role: Role
    peers: list[str]
    ip: str


class ShownToken(Struct, rename="camel", kw_only=True):
    """A token. peer: ADDRESS#AS of the peer for which one with the role peer speaks. owner: where it stands."""

    name: str
    role: TokenRole
    peer: str
    created_at: str | None
    owner: str


class NewToken(Struct, kw_only=True):
    """POST /api/tokens. peer: ADDRESS#AS, for the role peer."""

    name: str
    role: TokenRole
    peer: str = ""


class TokenSecret(Struct, kw_only=True):
    """A token that was made. token: to be sent as `Authorization: Bearer`; nobody can ask for it again."""

    name: str
    role: TokenRole
    token: str


class AuditQuery(Struct):
    """before: only entries with a number below this. limit: so many at most."""

    before: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class ShownEntry(Struct, kw_only=True):
    """Something that was done. changes: before and after, by name of what has changed; keys are not told."""

    id: int
    at: str
    who: str
    client: str
    action: str
    target: str
    changes: dict[str, list[Any]]


async def whoami(call: Call) -> Who:
    identity = call.identity
    return Who(name=identity.name, role=identity.role, peers=sorted(identity.peers), ip=call.client)


async def tokens(call: Call) -> list[ShownToken]:
    return [
        ShownToken(
            name=each.name, role=each.role, peer=each.peer, created_at=iso(each.created_at or None), owner=each.owner
        )
        for each in call.server.access.tokens.values()
    ]


async def add_token(call: Call, body: NewToken) -> TokenSecret:
    secret = await call.management.add_token(body.name, body.role, body.peer)
    return TokenSecret(name=body.name, role=body.role, token=secret)


async def delete_token(call: Call) -> Deleted:
    await call.management.delete_token(call.place("name"))
    return Deleted(id=call.place("name"))


async def audit(call: Call, query: AuditQuery) -> list[ShownEntry]:
    return [
        ShownEntry(
            id=number,
            at=iso(each.at) or "",
            who=each.who,
            client=each.client,
            action=each.action,
            target=each.target,
            changes={name: list(change) for name, change in each.changes.items()},
        )
        for number, each in await call.management.audit(query.before, query.limit)
    ]
