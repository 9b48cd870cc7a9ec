"""Prefixes as UPDATEs that are filled to the last octet, in blocks that many peers can be given.

The prefixes of a message stand by how many octets they have, then in the order of addresses: so octets are made of
columns instead of one prefix after the other. The order of NLRI means nothing in BGP.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from itertools import chain, compress
from typing import Final, NamedTuple

from .. import accel
from ..wire import attrs
from ..wire.attrs.attribute import encode_header
from ..wire.attrs.mp_reach import encode_family
from ..wire.block import ENTRY, NO_PEER, Block
from ..wire.context import HEADER, WireContext
from ..wire.errors import TextError
from ..wire.flags import FLAG_CHECKED, context_flags
from ..wire.message import MARKER, UPDATE
from ..wire.prefix import AFI_BITS
from .attributes import FAMILIES, EncodedAttributes
from .prefixes import compact, little_endian

MAX_BLOCK: Final = 256 << 10
"""Octets of a block: a connection takes about so many ahead."""
MAX_JOINED: Final = 8 << 10
"""Octets of a block that one peer has for itself: many such blocks may wait for peers that read slowly."""
RUN: Final = 1 << 14
"""Prefixes whose octets are made at once."""
ADDRESS_OCTETS: Final = bytes(min(length + 7 >> 3, 16) for length in range(256))
"""By length, octets of the address in NLRI."""


class Packed(NamedTuple):
    """Messages, and which prefixes are in each.

    blocks: the messages. firsts: the place, in the order of packing, of the first prefix of each message, and behind
    that the number of all prefixes.
    """

    blocks: tuple[Block, ...]
    firsts: Sequence[int]

    @property
    def weight(self) -> int:
        """Octets of memory, about."""
        return sum(block.weight for block in self.blocks) + 4 * len(self.firsts)

    def cut(self, block: Block, start: int, wrong: Sequence[int]) -> tuple[Block, list[int]]:
        """(a block without the messages that hold the prefixes at some places, the places of all others in these).

        start: the number of the block's first message.
        """
        messages = sorted({bisect_right(self.firsts, place) - 1 for place in wrong})
        left_out = set(wrong)
        kept = [
            place
            for message in messages
            for place in range(self.firsts[message], self.firsts[message + 1])
            if place not in left_out
        ]
        return block.without(message - start for message in messages), kept


Runs = Sequence[tuple[int, bytes]]
"""(octets of one prefix, octets of prefixes that have so many), the short ones first."""


def packing_order(numbers: Sequence[int], afi: int) -> tuple[Sequence[int], tuple[int, ...]]:
    """(sorted numbers in the order of packing, how many have addresses of 0, 1, 2 ... octets)."""
    if afi == 1:
        numbers = numbers if isinstance(numbers, array) else array("Q", numbers)
        if accel.AVAILABLE:
            ordered, counts = accel.prefix_sets.packing_order(numbers)
            return ordered, counts
        lengths = little_endian(numbers)[0::8]
    else:
        lengths = bytes([number & 0xFF for number in numbers])
    sizes = lengths.translate(ADDRESS_OCTETS)
    counts = tuple(map(sizes.count, range(AFI_BITS[afi] // 8 + 1)))
    found: list[int] = []
    for size, count in enumerate(counts):
        if count == len(numbers):
            return numbers, counts
        if count:
            found += compress(numbers, sizes.translate(_ONLY[size]))
    return compact(found, afi), counts


_ONLY: Final = tuple(bytes(octet == size for octet in range(256)) for size in range(17))


_GONE: Final = 17
"""Stands behind all sizes of addresses."""


def place_of(number: int, order: Sequence[int], counts: Sequence[int]) -> int:
    """Where a number stands in the order of packing, -1 if it does not."""
    size = ADDRESS_OCTETS[number & 0xFF]
    start = sum(counts[:size])
    end = start + counts[size] if size < len(counts) else start
    place = bisect_left(order, number, start, end)
    return place if place < end and order[place] == number else -1


def edited(
    order: Sequence[int], counts: Sequence[int], gone: Iterable[int], come: Iterable[int]
) -> tuple[Sequence[int], tuple[int, ...]]:
    """packing_order of the numbers without some that are among them, and with some that are not.

    What lies between two changes is copied as a whole: a few changes among a million take milliseconds.
    """
    changed = list(counts)
    edits = []
    for number in come:
        size = ADDRESS_OCTETS[number & 0xFF]
        start = sum(counts[:size])
        edits.append((bisect_left(order, number, start, start + counts[size]), size, number))
        changed[size] += 1
    for number in gone:
        size = ADDRESS_OCTETS[number & 0xFF]
        edits.append((place_of(number, order, counts), _GONE, number))
        changed[size] -= 1
    edits.sort()
    found = order[:0] if isinstance(order, array) else []
    start = 0
    for place, size, number in edits:
        found.extend(order[start:place])
        start = place
        if size == _GONE:
            start += 1
        else:
            found.append(number)
    found.extend(order[start:])
    return (found if isinstance(order, array) else tuple(found)), tuple(changed)


def encode_nlri(order: Sequence[int], counts: Sequence[int], afi: int) -> Iterator[tuple[int, bytes]]:
    """(octets of one prefix, octets of RUN prefixes at most that have so many), of numbers in the order of packing."""
    start = 0
    for size, count in enumerate(counts):
        if not count:
            continue
        stop = start + count
        for begin in range(start, stop, RUN):
            yield size + 1, _encode_run(order[begin : min(begin + RUN, stop)], size, afi)
        start = stop


def _encode_run(run: Sequence[int], size: int, afi: int) -> bytes:
    """The NLRI of prefixes whose addresses have `size` octets."""
    if afi == 1:
        raw = little_endian(run if isinstance(run, array) else array("Q", run))
        columns = [raw[0::8], *(raw[4 - place :: 8] for place in range(size))]
    else:
        raw = b"".join([number.to_bytes(17, "big") for number in run])
        columns = [raw[16::17], *(raw[place::17] for place in range(size))]
    octets = bytearray((size + 1) * len(run))
    for place, column in enumerate(columns):
        octets[place :: size + 1] = column
    return bytes(octets)


def pieces(runs: Iterable[tuple[int, bytes]], room: int) -> Iterator[tuple[int, bytes]]:
    """(number of prefixes, octets) of pieces that are as long as `room` allows.

    Raises TextError if not even one prefix has a place.
    """
    held, count = b"", 0
    for size, octets in runs:
        pos = 0
        while pos < len(octets):
            fit = (room - len(held)) // size
            if fit <= 0:
                if not held:
                    raise TextError(f"the path attributes leave {room} octets of an UPDATE, a prefix needs {size}")
                yield count, held
                held, count = b"", 0
                continue
            more = octets[pos : pos + fit * size]
            held, count = held + more if held else more, count + len(more) // size
            pos += fit * size
    if held:
        yield count, held


def announce(numbers: Sequence[int], afi: int, head: EncodedAttributes) -> Packed:
    """UPDATEs that announce prefixes (sorted numbers). Raises TextError if attributes leave no place for them."""
    *_, made = announcing(*packing_order(numbers, afi), afi, head)
    assert made is not None
    return made


def announcing(
    order: Sequence[int], counts: Sequence[int], afi: int, head: EncodedAttributes
) -> Iterator[Packed | None]:
    """The same of numbers in the order of packing, in steps of some milliseconds: None after each, and then all."""
    firsts = array("I", [0])
    made = []
    for block in announcements(order, counts, afi, head, firsts):
        made.append(block)
        yield None
    yield Packed(tuple(made), firsts)


def announcements(
    order: Sequence[int],
    counts: Sequence[int],
    afi: int,
    head: EncodedAttributes,
    firsts: MutableSequence[int] | None = None,
) -> Iterator[Block]:
    """The UPDATEs of numbers in the order of packing, in blocks, each of which takes some milliseconds.

    firsts: where the place of the first prefix behind each message is added. Raises TextError.
    """

    def bodies() -> Iterator[bytes]:
        told = 0
        for count, nlri in pieces(encode_nlri(order, counts, afi), head.room):
            told += count
            if firsts is not None:
                firsts.append(told)
            yield head.body(nlri)

    return blocks(bodies(), head.context)


def joined(parts: Iterable[tuple[EncodedAttributes, Iterable[Runs]]]) -> Iterator[Block]:
    """The UPDATEs of sets of prefixes, none of which is in two, by what is said of them; in blocks. Raises TextError.

    All heads are of one form.
    """
    rest = iter(parts)
    first = next(rest, None)
    if first is None:
        return iter(())
    bodies = (how.body(nlri) for how, runs in chain((first,), rest) for _, nlri in pieces(_by_size(runs), how.room))
    return blocks(bodies, first[0].context, MAX_JOINED)


def _by_size(sets: Iterable[Runs]) -> Iterator[tuple[int, bytes]]:
    """The runs of several sets as those of one."""
    octets: dict[int, list[bytes]] = {}
    for runs in sets:
        for size, run in runs:
            octets.setdefault(size, []).append(run)
    for size in sorted(octets):
        yield size, b"".join(octets[size])


def withdraw(numbers: Sequence[int], afi: int, context: WireContext, multiprotocol: bool = False) -> Iterator[Block]:
    """UPDATEs that withdraw prefixes (sorted numbers). multiprotocol: IPv4 too by MP_UNREACH_NLRI."""
    family = encode_family(FAMILIES[afi])
    by_attribute = afi != 1 or multiprotocol
    room = context.max_message - HEADER - 4 - (4 + len(family) if by_attribute else 0)

    def bodies() -> Iterator[bytes]:
        for _, nlri in pieces(encode_nlri(*packing_order(numbers, afi), afi), room):
            if by_attribute:
                value = family + nlri
                attribute = encode_header(attrs.OPTIONAL, attrs.MP_UNREACH, len(value)) + value
                yield b"\0\0" + len(attribute).to_bytes(2, "big") + attribute
            else:
                yield len(nlri).to_bytes(2, "big") + nlri + b"\0\0"

    return blocks(bodies(), context)


def blocks(bodies: Iterable[bytes], context: WireContext, most: int = MAX_BLOCK) -> Iterator[Block]:
    """UPDATEs with these bodies, in blocks of at most so many octets."""
    flags = context_flags(context)
    assert flags is not None  # only ADD-PATH can't be said, and we send none
    octets: list[bytes] = []
    index = bytearray()
    offset = 0
    for body in bodies:
        length = HEADER + len(body)
        if octets and offset + length > most:
            yield Block(b"".join(octets), index)
            octets, index, offset = [], bytearray(), 0
        octets += MARKER, length.to_bytes(2, "big"), _UPDATE, body
        index += ENTRY.pack(0, 0, offset, NO_PEER, length, flags | FLAG_CHECKED, 0)
        offset += length
    if octets:
        yield Block(b"".join(octets), index)


_UPDATE: Final = bytes((UPDATE,))
