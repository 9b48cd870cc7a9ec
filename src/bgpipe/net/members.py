"""Compressed streams that consist of members (gzip) or frames (zstd), one after the other.

Zeros between two members are padding. Anything else there is damage: it is reported, and the next member is searched
behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, Protocol

CHUNK: Final = 1 << 20
"""Octets that a member gives at most at once, because a small input can unpack to any number of zeros."""
_KEPT: Final = 32
"""Octets that are kept while a header is searched: the header may continue in the next ones."""

OnDamage = Callable[[str], None]


class DataError(Exception):
    """The rest of a member can't be decompressed. The octets that it gave before are good."""


class StreamMember(Protocol):
    """One member, whose octets come in pieces of any size.

    ended: the member is complete, and `rest` has the octets behind it. fault: what is wrong with a member that was
    decompressed to its end, such as a wrong checksum; "" if nothing is.
    """

    ended: bool
    rest: bytes
    fault: str

    def feed(self, octets: bytes) -> Iterator[bytes]:
        """Decompresses octets, into chunks. Raises DataError; `rest` then has the octets in which to search the next
        member."""


class Compression(NamedTuple):
    """A kind of compression whose streams consist of members.

    start: whether a member starts with these octets; None if more octets are needed to know. header: finds the header
    of the next member behind damage. new: makes the decompressor of one member.
    """

    name: str
    start: Callable[[bytes], bool | None]
    header: re.Pattern[bytes]
    new: Callable[[], StreamMember]


def decompress_members(kind: Compression, chunks: Iterable[bytes], on_damage: OnDamage) -> Iterator[bytes]:
    """Decompresses all members. An empty chunk means that all input so far is decompressed, so that the reader need not
    wait to pass on what it has."""
    member: StreamMember | None = None
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


def _begin(kind: Compression, octets: bytes) -> tuple[bytes, bool | None]:
    """The octets without padding before them, and whether a member starts there (see Compression.start)."""
    octets = octets.lstrip(b"\0")
    return octets, kind.start(octets)


def _search(kind: Compression, octets: bytes) -> tuple[bytes, bool | None]:
    """The octets from the next header on, and True; if there is none, the last octets, and None."""
    match = kind.header.search(octets)
    return (octets[match.start() :], True) if match else (octets[-_KEPT:], None)
