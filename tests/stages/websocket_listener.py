"""A pipeline that begins with a WebSocket server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sessions import Running, running

UPDATES = ['["R",0,null,"UPDATE",{"reach":["192.0.2.0/24"]}]', '{"reach":["198.51.100.0/24"]}']


def host_port(url: str) -> tuple[str, int]:
    host, _, port = url.partition("//")[2].partition("/")[0].partition(":")
    return host, int(port)


@asynccontextmanager
async def listening(
    url: str, *words: str, behind: tuple[str, ...] = ("--", "grep", "update")
) -> AsyncIterator[Running]:
    """A pipeline that begins with a server."""
    known = {"--auth", "--ca", "--write"}.intersection(words)
    words = words if known else ("--open", *words)
    async with running("--", "websocket", "-R", "--listen", *words, url, *behind) as made:
        await made.until(lambda: any("listening on" in text for text in made.log.texts))
        yield made


def left_line(made: Running) -> int:
    """Messages that have come out at the right."""
    return made.pipeline.lines["R"].left
