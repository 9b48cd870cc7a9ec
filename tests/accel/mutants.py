"""MRT streams that are a little wrong: what a collector, a disk or an enemy might make of good ones.

Everything comes from a seed. Half of the mutants are changed octet by octet, half in their structure: then an UPDATE
is taken apart, one of its parts is changed, and lengths are put right again, so that the damage lies deep inside.
"""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from pathlib import Path
from random import Random
from struct import pack, unpack_from

from accel_records import attribute, message, peer, record, update

from bgpipe import sample

HEADER = 12
"""Octets before a record's data."""
TASTE = 400
"""Records taken of each real file."""
ODD_OCTETS = (0, 1, 2, 3, 4, 6, 8, 14, 15, 16, 17, 24, 32, 33, 64, 127, 128, 129, 192, 224, 254, 255)


def read_records(octets: bytes) -> Iterator[bytes]:
    """The records of a good stream, each with its header."""
    pos = 0
    while pos + HEADER <= len(octets):
        stop = pos + HEADER + unpack_from(">I", octets, pos + 8)[0]
        yield octets[pos:stop]
        pos = stop


def sample_records(seed: int = 1) -> list[bytes]:
    """Records of the project's own sample: updates of every kind, and a RIB."""
    rng = Random(seed)
    internet = sample.grow(rng)
    rib = list(sample.rib(internet, rng))
    return [*sample.updates(internet, rng, 1500), *rib[:120], *rib[-120:]]


def rare_records() -> list[bytes]:
    """Records with what archives seldom have."""
    values = {
        (0x80, 9): "c0000201",
        (0x80, 10): "c0000201c0000202",
        (
            0xC0,
            16,
        ): "0002fde900000001 0102c00002010064 4300000000000001 80060000461c4000 030c000000000008",
        (0xC0, 17): "020200010000 0000fde9 0101 00000001",
        (0xC0, 18): "00010000c0000201",
        (0x80, 14): "00020120 20010db8000000000000000000000001 fe800000000000000000000000000001 00 20 20010db8",
        (0x80, 15): "000101 08 0a 0d fff8",
        (0x90, 14): "00010110 20010db8000000000000000000000001 00 18 0a0000",
        (0xC0, 99): "01020304",
        (0x40, 2): "0301 0000fde9 0401 0000fdea 0201 0000fdeb",
        (0xC0, 7): "0000fde9c0000201",
        (0xC0, 35): "0000fde9",
        (0xC0, 25): "00" * 20,
        (0xC0, 40): "01000700000000000001",
    }
    updates = [
        update(attribute(0x40, 1, "00"), attribute(flags, code, value), reach=b"\x18\xc0\0\2")
        for (flags, code), value in values.items()
    ]
    updates += [
        update(),
        update(attribute(0x80, 15, "000201")),
        update(attribute(0x50, 2, "02ff" + "0000fde9" * 255 + "0202" + "0000fde9" * 2)),
        update(reach=b"\0" * 5000),
        message(b"\4\xfd\xe9\0\xb4\xc0\0\2\1\0", 1),
        message(b"\6\2\5hello", 3),
        message(b"", 4),
        message(b"\0\1\0\1", 5),
        message(b"what?", 77),
    ]
    records = []
    for octets in updates:
        for subtype in (1, 4, 6, 7, 8, 9, 10, 11):
            as4 = subtype in (4, 7, 9, 11)
            records.append(record(octets, subtype, peer(as4=as4, ipv6=subtype > 7, interface=subtype)))
            records.append(record(octets, subtype, peer(as4=as4), micros=123_456))
    return records


def real_records(data: Path) -> list[bytes]:
    """Some records of each archive in a folder, none if it isn't there."""
    records = []
    for path in sorted(data.glob("*.bz2")):
        with bz2.open(path) as stream:
            found = list(read_records(stream.read(2_000_000)))[:-1]
        records += found[:: max(1, len(found) // TASTE)]
    return records


def make_stream(records: list[bytes], rng: Random, mutants: int) -> bytes:
    """A stream of `mutants` mutants and about as many good records between them."""
    parts = []
    for _ in range(mutants):
        if rng.random() < 0.5:
            parts.append(rng.choice(records))
        victim = rng.choice(records)
        parts.append(_break_update(victim, rng) if rng.random() < 0.5 else _break_octets(victim, rng))
    parts.append(rng.choice(records))
    return b"".join(parts)


def _break_octets(octets: bytes, rng: Random) -> bytes:
    """One to three octets flipped, replaced, put in or taken out, or the end cut off; lengths put right or not."""
    octets = _change(octets, rng)
    if rng.random() < 0.2:
        octets = octets[: rng.randrange(len(octets) + 1)]
    if len(octets) >= HEADER and rng.random() < 0.6:
        octets = octets[:8] + pack(">I", len(octets) - HEADER) + octets[HEADER:]
        start = octets.rfind(b"\xff" * 16)
        if start >= 0 and rng.random() < 0.6 and len(octets) >= start + 18:
            octets = octets[: start + 16] + pack(">H", (len(octets) - start) & 0xFFFF) + octets[start + 18 :]
    return octets


def _change(octets: bytes, rng: Random) -> bytes:
    changed = bytearray(octets)
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = rng.randrange(len(changed) + 1)
        how = rng.randrange(4)
        if how == 0 and place < len(changed):
            changed[place] ^= 1 << rng.randrange(8)
        elif how == 1 and place < len(changed):
            changed[place] = rng.choice(ODD_OCTETS)
        elif how == 2:
            changed[place:place] = rng.randbytes(rng.randrange(1, 5))
        else:
            del changed[place : place + rng.randrange(1, 5)]
    return bytes(changed)


def _break_update(octets: bytes, rng: Random) -> bytes:
    """An UPDATE of a BGP4MP record with one part changed and all lengths right, or nearly all."""
    start = octets.find(b"\xff" * 16) + 19
    if start < 19 or start >= len(octets) or octets[start - 1] != 2:
        return _break_octets(octets, rng)
    try:
        withdrawn, attributes, nlri = _take_apart(octets[start:])
    except ValueError:
        return _break_octets(octets, rng)
    draw = rng.random()
    if draw < 0.1:
        withdrawn = _change(withdrawn, rng)
    elif draw < 0.2:
        nlri = _change(nlri, rng)
    elif draw < 0.25 and attributes:
        attributes.append(rng.choice(attributes))
    elif draw < 0.3:
        rng.shuffle(attributes)
    elif draw < 0.35:
        attributes.append(
            (rng.choice((0x40, 0x80, 0xC0, 0xE0, 0x50)), rng.randrange(256), rng.randbytes(rng.randrange(9)))
        )
    elif attributes:
        place = rng.randrange(len(attributes))
        flags, code, value = attributes[place]
        if draw < 0.45:
            flags ^= 1 << rng.randrange(8)
        elif draw < 0.5:
            code = rng.randrange(40)
        else:
            value = _change(value, rng)
        attributes[place] = flags, code, value
    joined = b"".join(
        bytes((flags, code)) + (pack(">H", len(value)) if flags & 0x10 else bytes((len(value) & 255,))) + value
        for flags, code, value in attributes
    )
    body = bytearray(pack(">H", len(withdrawn)) + withdrawn + pack(">H", len(joined)) + joined + nlri)
    if rng.random() < 0.1:
        body[rng.choice((0, 1, len(withdrawn) + 2, len(withdrawn) + 3))] ^= 1 << rng.randrange(8)
    head = octets[HEADER : start - 3]
    data = head + pack(">HB", len(body) + 19 & 0xFFFF, 2) + bytes(body)
    return octets[:8] + pack(">I", len(data)) + data


def _take_apart(body: bytes) -> tuple[bytes, list[tuple[int, int, bytes]], bytes]:
    """Withdrawn routes, attributes (flags, code, value) and NLRI of a good UPDATE; ValueError of another one."""
    size = int.from_bytes(body[:2], "big")
    withdrawn, rest = body[2 : 2 + size], body[2 + size :]
    size = int.from_bytes(rest[:2], "big")
    section, nlri = rest[2 : 2 + size], rest[2 + size :]
    if len(section) != size:
        raise ValueError("sections end behind the message")
    attributes = []
    while section:
        head = 4 if section[0] & 0x10 else 3
        if len(section) < head:
            raise ValueError("half an attribute")
        stop = head + int.from_bytes(section[2:head], "big")
        attributes.append((section[0], section[1], section[head:stop]))
        section = section[stop:]
    return withdrawn, attributes, nlri
