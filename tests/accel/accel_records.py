"""BGP messages and MRT records put together octet by octet: what accel's tests feed it."""

from __future__ import annotations

from struct import pack

from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.flags import FLAG_AS4, FLAG_PEER_AS4, FLAG_RIGHT

MARKER = b"\xff" * 16
TIME = 1_767_323_045
"""2026-01-02 03:04:05 UTC."""
OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH = range(1, 6)
MESSAGE, MESSAGE_AS4, MESSAGE_ADD_PATH, MESSAGE_AS4_ADD_PATH = 1, 4, 8, 9


def message(body: bytes = b"", kind: int = UPDATE) -> bytes:
    return MARKER + pack(">HB", 19 + len(body), kind) + body


def attribute(flags: int, code: int, value: bytes | str) -> bytes:
    value = bytes.fromhex(value) if isinstance(value, str) else value
    return bytes((flags, code)) + (pack(">H", len(value)) if flags & 0x10 else bytes((len(value),))) + value


def update(*attributes: bytes, reach: bytes = b"", withdrawn: bytes = b"") -> bytes:
    """A whole UPDATE message."""
    joined = b"".join(attributes)
    return message(pack(">H", len(withdrawn)) + withdrawn + pack(">H", len(joined)) + joined + reach)


def peer(
    peer_as: int = 65001, local_as: int = 65002, *, as4: bool = True, ipv6: bool = False, interface: int = 0
) -> bytes:
    """A per-peer header: peer 192.0.2.1 or 2001:db8::1, local address .2 or ::2."""
    size = 16 if ipv6 else 4
    network = bytes.fromhex("20010db8") + bytes(11) if ipv6 else bytes((192, 0, 2))
    head = pack(">IIHH" if as4 else ">HHHH", peer_as, local_as, interface, 2 if ipv6 else 1)
    return head + (network + b"\1")[:size] + (network + b"\2")[:size]


def record(octets: bytes, subtype: int = MESSAGE_AS4, header: bytes = peer(), micros: int | None = None) -> bytes:
    """A BGP4MP record, with `micros` a BGP4MP_ET one."""
    data = (b"" if micros is None else pack(">I", micros)) + header + octets
    return pack(">IHHI", TIME, 16 if micros is None else 17, subtype, len(data)) + data


def block(
    octets: bytes,
    flags: int = FLAG_AS4 | FLAG_RIGHT,
    *,
    seq: int = 1,
    time: int = TIME * 1_000_000,
    header: bytes = b"",
) -> Block:
    """A block of one message, behind its per-peer header (with 4-octet AS numbers) if it has one."""
    entry = ENTRY.pack(
        seq, time, len(header), 0 if header else NO_PEER, len(octets), flags | (FLAG_PEER_AS4 if header else 0), 0
    )
    return Block(header + octets, bytearray(entry))


def join(*blocks: Block) -> Block:
    """One block of the messages of several."""
    octets, index = b"", bytearray()
    for each in blocks:
        for seq, time, offset, place, length, flags, spare in ENTRY.iter_unpack(bytes(each.index)):
            place = place if place == NO_PEER else place + len(octets)
            index += ENTRY.pack(seq, time, offset + len(octets), place, length, flags, spare)
        octets += each.octets
    return Block(octets, index)
