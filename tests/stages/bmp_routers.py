"""What routers say by BMP, octet by octet, and routers that say it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ssl import SSLContext

from bgpipe.wire import bmp
from bgpipe.wire.bmp import PeerHeader, encode_tlv
from bgpipe.wire.body import body_from_json
from bgpipe.wire.context import AS4
from bgpipe.wire.message import NOTIFICATION, OPEN, UPDATE, Message
from bgpipe.wire.update import Update

TIME = 1_700_000_000_123_456


def peer(number: int = 1, **more) -> PeerHeader:
    address = bytes((192, 0, 2, number % 256))
    return PeerHeader(0, 0, bytes(8), address, 65000 + number, address, TIME)._replace(**more)


def framed(kind: int, content: bytes, header: PeerHeader | None = None, version: int = 3) -> bytes:
    octets = (header.encode() if header is not None else b"") + content
    return bmp.COMMON_HEADER.pack(version, len(octets) + 6, kind) + octets


def initiation(name: str | bytes = "edge1") -> bytes:
    octets = name.encode() if isinstance(name, str) else name
    return framed(bmp.INITIATION, encode_tlv(2, octets) + encode_tlv(1, b"a router"))


def opening(asn: int, caps: dict[str, object] | None = None) -> bytes:
    item = {"asn": asn, "id": "192.0.2.1", "hold": 90, "caps": caps or {"MP": ["IPV4/UNICAST"], "AS4": asn}}
    return Message(OPEN, body_from_json(OPEN, item, AS4)).octets


def peer_up(number: int = 1, caps: dict[str, object] | None = None) -> bytes:
    content = bytes(20) + opening(65000, caps) + opening(65000 + number, caps)
    return framed(bmp.PEER_UP, content, peer(number))


def update(*prefixes: str) -> bytes:
    attrs = {"ORIGIN": "IGP", "ASPATH": [65001]}
    return Message(UPDATE, Update.make(reach=list(prefixes), next_hop="192.0.2.1", attrs=attrs).body).octets


def monitored(*prefixes: str, number: int = 1) -> bytes:
    return framed(bmp.ROUTE_MONITORING, update(*prefixes), peer(number))


def withdrawn(*prefixes: str, number: int = 1) -> bytes:
    octets = Message(UPDATE, Update.make(withdrawn=list(prefixes)).body).octets
    return framed(bmp.ROUTE_MONITORING, octets, peer(number))


def multiprotocol(family: str, *routes: dict[str, object], number: int = 1, withdrawn: bool = False) -> bytes:
    """Routes of another family, announced or withdrawn."""
    value = {"af": family, "routes": list(routes)} | ({} if withdrawn else {"nexthop": "192.0.2.1"})
    attrs = {"MP_UNREACH": value} if withdrawn else {"ORIGIN": "IGP", "ASPATH": [65001], "MP_REACH": value}
    return framed(bmp.ROUTE_MONITORING, Message(UPDATE, Update.make(attrs=attrs).body).octets, peer(number))


def statistics(number: int = 1, **values: int) -> bytes:
    names = {name: code for code, name in bmp.STATISTICS_NAMES.items()}
    told = b"".join(encode_tlv(names[name], value.to_bytes(8, "big")) for name, value in values.items())
    return framed(bmp.STATISTICS, len(values).to_bytes(4, "big") + told, peer(number))


def peer_down(number: int = 1) -> bytes:
    return framed(bmp.PEER_DOWN, b"\3" + Message(NOTIFICATION, b"\6\2").octets, peer(number))


TERMINATION = framed(bmp.TERMINATION, encode_tlv(1, b"\0\0"))


@asynccontextmanager
async def router(where: str, *said: bytes, tls: SSLContext | None = None) -> AsyncIterator[asyncio.StreamWriter]:
    """A router that is connected to a station, and has said this."""
    host, _, port = where.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
    try:
        writer.write(b"".join(said))
        await writer.drain()
        writer.reader = reader  # type: ignore[attr-defined]
        yield writer
    finally:
        writer.close()


async def cut_off(connected: asyncio.StreamWriter) -> bool:
    """Returns when the station has ended the connection."""
    async with asyncio.timeout(20):
        with suppress(ConnectionResetError):
            return await connected.reader.read() == b""  # type: ignore[attr-defined]
        return True
