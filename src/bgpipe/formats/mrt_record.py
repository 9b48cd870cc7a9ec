"""MRT records: their header, their kinds, and finding the next one after damage (RFC 6396 sections 2 to 4)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from struct import Struct
from typing import Final

from ..wire.message import HEADER, MARKER
from ..wire.peer import MAX_PEER

RECORD_HEADER: Final = Struct(">IHHI")
"""Seconds since 1970, type, subtype, octets that follow."""

BGP: Final = 5
BGP4PLUS: Final = (9, 10)
"""BGP4PLUS and BGP4PLUS_01: as BGP, with IPv6 addresses."""
TABLE_DUMP: Final = 12
TABLE_DUMP_V2: Final = 13
BGP4MP: Final = 16
BGP4MP_ET: Final = 17

TYPE_NAMES: Final[dict[int, str]] = {  # without NULL and other types of no use, which octets of zero look like
    BGP: "BGP",
    6: "RIP",
    7: "IDRP",
    8: "RIPNG",
    9: "BGP4PLUS",
    10: "BGP4PLUS_01",
    11: "OSPFv2",
    TABLE_DUMP: "TABLE_DUMP",
    TABLE_DUMP_V2: "TABLE_DUMP_V2",
    BGP4MP: "BGP4MP",
    BGP4MP_ET: "BGP4MP_ET",
    32: "ISIS",
    33: "ISIS_ET",
    48: "OSPFv3",
    49: "OSPFv3_ET",
}
_BGP4MP_NAMES: Final = {0: "STATE_CHANGE", 1: "MESSAGE", 2: "ENTRY", 3: "SNAPSHOT", 5: "STATE_CHANGE_AS4"}
SUBTYPE_NAMES: Final[dict[int, dict[int, str]]] = {
    BGP: {0: "NULL", 2: "PREF_UPDATE", 4: "SYNC"},
    TABLE_DUMP_V2: {6: "RIB_GENERIC", 7: "GEO_PEER_TABLE", 12: "RIB_GENERIC_ADDPATH"},
    BGP4MP: _BGP4MP_NAMES,
    BGP4MP_ET: _BGP4MP_NAMES,
}
"""Of those that hold no BGP message, or that are not read."""

MESSAGES: Final = frozenset({1, 4, 6, 7, 8, 9, 10, 11})
"""Subtypes of BGP4MP with a BGP message: MESSAGE, _AS4, _LOCAL, _AS4_LOCAL; and with ADDPATH (RFC 8050 section 3)."""
AS4_SUBTYPES: Final = frozenset({4, 5, 7, 9, 11})
"""Subtypes of BGP4MP with AS numbers of 4 octets."""
STATES: Final = frozenset({0, 5})

_RIBS: Final = {2: (32, 0), 3: (32, 0), 4: (128, 0), 5: (128, 0), 8: (32, 4), 9: (32, 4), 10: (128, 4), 11: (128, 4)}
"""Bits of an address, and octets of a path identifier, by the RIB subtypes of TABLE_DUMP_V2."""

MAX_RECORD: Final = 1 << 24
"""Octets of the longest record that is believed: RIB records of a thousand peers have some 100,000."""
ADDRESSES: Final = {b"\0\1": 8, b"\0\2": 32}
"""Octets of its two addresses, by AFI."""
_MAX_MESSAGE: Final = 65535


def _bounds() -> dict[tuple[int, int], tuple[int, int]]:
    """The least and most octets after the header, for each type and subtype that a BGP archive holds."""
    bounds = {
        (BGP, 1): (12 + 4, 12 + _MAX_MESSAGE),
        (BGP, 3): (10, 10),
        (BGP, 5): (12 + 10, 12 + _MAX_MESSAGE),
        (BGP, 6): (12 + 2, 12 + _MAX_MESSAGE),
        (BGP, 7): (12, 12),
        (TABLE_DUMP, 1): (22, 22 + 65535),
        (TABLE_DUMP, 2): (46, 46 + 65535),
        (TABLE_DUMP_V2, 1): (8, MAX_RECORD),
    }
    for plus in BGP4PLUS:
        bounds |= {
            (plus, subtype): (least + 12 if subtype == 3 else least + 24, most + 12 if subtype == 3 else most + 24)
            for (kind, subtype), (least, most) in tuple(bounds.items())
            if kind == BGP
        }
    for subtype in range(2, 13):
        bounds[TABLE_DUMP_V2, subtype] = (7, MAX_RECORD)
    for kind, more in ((BGP4MP, 0), (BGP4MP_ET, 4)):
        for subtype in (0, 2, 3, *MESSAGES, 5):
            peer = more + (20 if subtype in AS4_SUBTYPES else 16)
            least, most = (peer + 4, peer + 28) if subtype in STATES else (peer + HEADER, peer + 24 + _MAX_MESSAGE)
            bounds[kind, subtype] = (least, most) if subtype not in (2, 3) else (0, MAX_RECORD)
    return bounds


_BOUNDS: Final = _bounds()
_NO_BOUNDS: Final = (1, 0)


def is_sane(kind: int, subtype: int, length: int) -> bool:
    """Whether a BGP archive may hold a record of this type, subtype and length."""
    least, most = _BOUNDS.get((kind, subtype), _NO_BOUNDS)
    return least <= length <= most


def is_known(kind: int, subtype: int) -> bool:
    """Whether a BGP archive may hold records of this type and subtype, of whatever length."""
    return (kind, subtype) in _BOUNDS


def holds_record(octets: bytes, start: int, stop: int) -> bool:
    """Whether a record starts between two places."""
    places = takewhile(lambda place: place < stop, likely_records(octets, start))
    return any(is_record(octets, place, False) for place in places)


def record_name(kind: int, subtype: int) -> str:
    """As in BGP4MP/ENTRY."""
    names = SUBTYPE_NAMES.get(kind)
    name = TYPE_NAMES.get(kind, f"type {kind}")
    return f"{name}/{names.get(subtype, subtype)}" if names is not None else name


def record_end(octets: bytes, pos: int) -> int:
    """Where the record at `pos` ends as far as is known: behind its header if that is not there in full."""
    stop = pos + RECORD_HEADER.size
    return stop + RECORD_HEADER.unpack_from(octets, pos)[3] if stop <= len(octets) else stop


def follows(octets: bytes, pos: int, last: bool, any_type: bool = False) -> bool | None:
    """Whether another record, or with `last` the end of the stream, is at `pos`. None: more octets are needed.

    any_type: a record need not be one of a BGP archive.
    """
    if pos + RECORD_HEADER.size <= len(octets):
        _, kind, subtype, length = RECORD_HEADER.unpack_from(octets, pos)
        if any_type and (kind, subtype) not in _BOUNDS:
            return kind in TYPE_NAMES and length <= MAX_RECORD
        return is_sane(kind, subtype, length)
    return pos == len(octets) if last else None


def is_record(octets: bytes, pos: int, last: bool) -> bool | None:
    """Whether a record of a BGP archive starts at `pos`: its header is sane, and so is what it leads to.

    That is a BGP message or RIB entries which fill the record, or else the next record's header. None: more octets are
    needed.
    """
    if pos + RECORD_HEADER.size > len(octets):
        return False if last else None
    _, kind, subtype, length = RECORD_HEADER.unpack_from(octets, pos)
    if not is_sane(kind, subtype, length):
        return False
    start, stop = pos + RECORD_HEADER.size, pos + RECORD_HEADER.size + length
    if kind in (BGP4MP, BGP4MP_ET) and subtype in MESSAGES:
        if kind == BGP4MP_ET:
            start += 4
        head = octets[start : min(stop, start + MAX_PEER + HEADER)]
        peer = 8 if subtype in AS4_SUBTYPES else 4
        size = ADDRESSES.get(head[peer + 2 : peer + 4], MAX_PEER)
        message = peer + 4 + size
        if len(head) < message + 18:
            return False if last or start + len(head) == stop else None
        size = int.from_bytes(head[message + 16 : message + 18], "big")
        return head[message : message + 16] == MARKER and start + message + size == stop
    if stop > len(octets):
        return False if last else None
    if kind == TABLE_DUMP_V2 and subtype in _RIBS:
        return _is_rib(octets, start, stop, *_RIBS[subtype])
    return follows(octets, stop, last)


def _is_rib(octets: bytes, pos: int, stop: int, address_bits: int, path_id: int) -> bool:
    """Whether a prefix and its entries fill what is between two places, which is 7 octets at least."""
    length = octets[pos + 4]
    pos += 5 + ((length + 7) >> 3)
    count = int.from_bytes(octets[pos : pos + 2], "big")
    pos += 2
    for _ in range(count):
        pos += 6 + path_id
        if pos >= stop:
            return False
        pos += 2 + int.from_bytes(octets[pos : pos + 2], "big")
    return length <= address_bits and pos == stop


_LIKELY: Final = rb"\0[\x05\x09\x0a\x0c\x0d\x10\x11]\0[\0-\x0c]\0"
"""A type, a subtype and the first octet of a length that stay below MAX_RECORD."""


def likely_records(octets: bytes, pos: int) -> Iterator[int]:
    """Places from `pos` on where a record's header may start."""
    search = re.compile(_LIKELY).search  # only then, for a quick start
    match = search(octets, pos + 4)
    while match:
        yield match.start() - 4
        match = search(octets, match.start() + 1)


def overlaps_record(octets: bytes, start: int, pos: int, stop: int) -> bool:
    """Whether a record that starts after `start`, but not at `pos`, reaches into what is from `pos` to `stop`."""
    places = takewhile(lambda place: place < stop, likely_records(octets, start))
    return any(place != pos and record_end(octets, place) > pos and is_record(octets, place, False) for place in places)
