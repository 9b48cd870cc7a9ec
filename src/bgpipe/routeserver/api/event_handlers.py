"""What happens, as server-sent events (HTML Living Standard, section 9.2). Each function raises Refused."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from ..events import Event, Listener
from ..management import Refused
from .call import Call

HEARTBEAT: Final = 15.0
"""Seconds after which a comment says that the connection is alive."""
WRITE_TIMEOUT: Final = 30.0
"""Seconds in which a client must read something."""


class EventsQuery(Struct):
    """after: number of the last event that you know; those since then come first. The header Last-Event-ID says the
    same."""

    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


async def events(call: Call, query: EventsQuery) -> web.StreamResponse:
    """Ends when the client goes, reads too slowly, or its token is removed."""
    after = query.after
    last = call.request.headers.get("Last-Event-ID", "")
    if after is None and last.isascii() and last.isdecimal() and len(last) < 20:
        after = int(last)
    if not call.prolong():
        raise Refused("Too many listeners at the same time", 503)
    response = web.StreamResponse(headers=call.headers | {"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    response.content_type = "text/event-stream"
    response.force_close()
    listener = call.server.events.listen(after)
    try:
        await response.prepare(call.request)
        await response.write(b": bgplite\n\n")
        while True:
            async with asyncio.timeout(WRITE_TIMEOUT + HEARTBEAT):
                await response.write(await _next(call, listener))
    except (ConnectionError, TimeoutError, Refused):
        return response
    finally:
        call.server.events.leave(listener)


async def _next(call: Call, listener: Listener) -> bytes:
    try:
        async with asyncio.timeout(HEARTBEAT):
            while True:
                event = await listener.next()
                identity = call.identify()
                if identity.may("reader") or event.peer_id in identity.peers:
                    return encode(event)
    except TimeoutError:
        return b": \n\n"


def encode(event: Event) -> bytes:
    return f"id: {event.id}\nevent: {event.kind}\ndata: {msgspec.json.encode(event).decode()}\n\n".encode()
