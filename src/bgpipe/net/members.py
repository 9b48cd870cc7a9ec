"""Compressed streams that are a row of members, as gzip's, or of frames, as zstd's.

Zeros between two members are padding, of a tape or a disk block. Anything else is damage, and behind it the next member
is searched for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, Protocol

CHUNK: Final = 1 << 20
"""Octets that a member gives at once at most: a small input can hold any number of zeros."""
_KEPT: Final = 32
"""Octets that are kept while a member is searched for: the next octets may complete its header."""

OnDamage = Callable[[str], None]


class DataError(Exception):
    """A member can't be decompressed any further. What it gave before is good."""


class Member(Protocol):
    """One member, whose octets come in pieces of any size.

    ended: it is complete, and `rest` is what was behind it. fault: what is wrong with a member that could be
    decompressed to its end, such as its checksum; "" if nothing is.
    """

    ended: bool
    rest: bytes
    fault: str

    def feed(self, octets: bytes) -> Iterator[bytes]:
        """What these octets give, in chunks. Raises DataError; the next member is then searched in `rest`."""


class Kind(NamedTuple):
    """A compression.

    start: whether a member starts with these octets, None if there are too few of them to know.
    header: finds the next member behind damage.
    """

    name: str
    start: Callable[[bytes], bool | None]
    header: re.Pattern[bytes]
    new: Callable[[], Member]


def decompress_members(kind: Kind, chunks: Iterable[bytes], on_damage: OnDamage) -> Iterator[bytes]:
    """What all members give. An empty chunk says that the next one may be long in coming."""
    member: Member | None = None
    searching = False
    octets = b""
    for chunk in chunks:
        octets += chunk
        while octets:
            if member is None:
                octets, found = _search(kind, octets) if searching else _begin(kind, octets)
                if found is None:
                    break
                if not found:
                    on_damage(f"octets that are not {kind.name} data")
                    searching = True
                    continue
                member, searching = kind.new(), False
            try:
                yield from member.feed(octets)
            except DataError as error:
                on_damage(f"damaged {kind.name} data: {error}")
                octets, member, searching = member.rest, None, True
                continue
            octets = b""
            if member.ended:
                if member.fault:
                    on_damage(f"damaged {kind.name} data: {member.fault}")
                octets, member = member.rest, None
        yield b""
    if member is not None:
        on_damage(f"{kind.name} data is cut short")
    elif octets and not searching:
        on_damage(f"octets that are not {kind.name} data")


def _begin(kind: Kind, octets: bytes) -> tuple[bytes, bool | None]:
    """The octets without padding, and whether a member starts there."""
    octets = octets.lstrip(b"\0")
    return octets, kind.start(octets)


def _search(kind: Kind, octets: bytes) -> tuple[bytes, bool | None]:
    """The octets from the next header on; if there is none, those that may be the beginning of one."""
    match = kind.header.search(octets)
    return (octets[match.start() :], True) if match else (octets[-_KEPT:], None)
