"""A request to the API as its handlers see it, and the answers to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct

from ..access import Identity
from ..audit import Actor
from ..management import Management, Refused
from ..peers import Peer
from ..server import RouteServer
from .records import decode, decode_query

T = TypeVar("T", bound=Struct)
MAX_REASON: Final = 500
"""Characters of the text of an error."""
BODY_TIMEOUT: Final = 30.0
"""Seconds in which all of a body must arrive."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request: who asks, what for."""

    server: RouteServer
    request: web.Request
    client: str
    """address of who asks, behind trusted proxies"""
    max_body: int
    """octets"""
    identity: Identity
    headers: dict[str, str]
    """of the answer, beside the usual ones"""
    prolong: Callable[[], bool]
    """lets the connection live on for an answer without an end; False if there are too many of these"""
    identify: Callable[[], Identity]
    """who asks, as it is now: a token may have been removed meanwhile. Raises Refused"""
    all: bool
    """whether it may see and change everything of what it asks for, or only what is its own"""

    @property
    def management(self) -> Management:
        return Management(self.server, Actor(self.identity.name, self.client))

    @property
    def tells_urls(self) -> bool:
        """Whether the one who asks may see the URLs of a peer's own sources."""
        return not self.all or self.identity.may("operator")

    def visible(self, peers: Iterable[Peer]) -> list[Peer]:
        """Those of the peers about which the one who asks may know."""
        return [each for each in peers if self.all or self.identity.owns(each)]

    def expected(self, shown: Callable[[Peer], object]) -> Callable[[Peer], bool]:
        """Whether a peer is still what the header If-Match says. shown: what is answered to a GET of it."""
        tags = _tags(self.request, "If-Match")
        return lambda peer: not tags or "*" in tags or entity_tag(msgspec.json.encode(shown(peer))) in tags

    def place(self, name: str) -> str:
        """What stands in the path in the place of `{name}`."""
        return self.request.match_info[name]

    @property
    def id(self) -> str:
        return self.place("id")

    def query(self, kind: type[T]) -> T:
        """Raises Refused."""
        try:
            return decode_query(self.request.query, kind)
        except ValueError as error:
            raise Refused(str(error)) from None

    async def body(self) -> bytes:
        """All of it. Raises Refused."""
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                body = await self.request.read()
        except TimeoutError:
            raise Refused("the body did not arrive in time", 408) from None
        except web.HTTPRequestEntityTooLarge:
            raise Refused("the body is too large", 413) from None
        if len(body) > self.max_body:
            raise Refused("the body is too large", 413)
        return body

    async def read(self, kind: type[T]) -> T:
        """A body of JSON. Raises Refused."""
        if (media := self.request.content_type) != "application/json" and not media.endswith("+json"):
            raise Refused("Content-Type must be application/json", 415)
        try:
            return decode(await self.body(), kind)
        except ValueError as error:
            raise Refused(str(error)) from None


def as_answer(shown: object, request: web.Request | None = None) -> web.StreamResponse:
    """JSON of what a handler returns; of what is asked for with If-None-Match only what has changed (RFC 9110)."""
    if isinstance(shown, web.StreamResponse):
        return shown
    body = msgspec.json.encode(shown)
    tag = entity_tag(body)
    if request is not None and request.method == "GET" and tag in _tags(request, "If-None-Match"):
        return web.Response(status=304, headers={"ETag": tag})
    return web.Response(body=body, content_type="application/json", headers={"ETag": tag})


def entity_tag(body: bytes) -> str:
    """What is in the header ETag of an answer."""
    return f'"{blake2b(body, digest_size=12).hexdigest()}"'


def _tags(request: web.Request, name: str) -> list[str]:
    texts = ",".join(request.headers.getall(name, [])).split(",")
    return [text.strip().removeprefix("W/") for text in texts if text.strip()]


def failure(status: int, reason: str) -> web.Response:
    if len(reason) > MAX_REASON:  # it has what was sent in it
        reason = f"{reason[:MAX_REASON]}..."
    return web.Response(status=status, text=json.dumps({"error": reason}), content_type="application/json")
