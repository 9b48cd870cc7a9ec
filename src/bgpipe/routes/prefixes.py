"""Sets of IP prefixes as sorted numbers, and those sets from and to text.

A prefix is one number: its network address in the upper bits, its length in the lowest octet. So numbers sort as
addresses do, a prefix before those inside it. An IPv4 prefix takes 8 octets, in an `array`.

    >>> lists = PrefixSet.parse(["192.0.2.0/24", "10.0.0.0/8", "2001:db8::/32"])
    >>> list(lists - PrefixSet.parse(["192.0.2.0/24"]))
    ['10.0.0.0/8', '2001:db8::/32']

The functions on numbers take and return sorted sequences in which no number comes twice, of one AFI: 1 (IPv4) or 2
(IPv6).
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import compress, groupby, islice
from operator import and_, eq, not_, or_
from typing import Final, NamedTuple

from ..wire.address import format_address
from ..wire.errors import TextError
from ..wire.prefix import AFI_BITS, Prefix, parse_prefix

LENGTH_BITS: Final = 8
"""Bits of a number below the address."""
FEW: Final = 32
"""So many times smaller must a set be for it to be looked up in the other one by bisection."""

HOST: Final = {
    afi: tuple(((1 << max(bits - length, 0)) - 1) << LENGTH_BITS | 0xFF for length in range(256))
    for afi, bits in AFI_BITS.items()
}
"""By AFI and length: with these bits set, a prefix's number becomes that of the last one inside it, or more."""
NETWORK: Final = {
    afi: tuple((1 << bits + LENGTH_BITS) - 1 & ~host | 0xFF for host in hosts)
    for (afi, bits), hosts in zip(AFI_BITS.items(), HOST.values(), strict=True)
}
"""By AFI and length: the bits of a number that say something."""

_PIECE: Final = 1 << 16
"""Octets of text that are parsed at once. A line that is out of the ordinary makes its piece go the slow way."""
_FIELDS: Final = {str(octet).encode(): octet for octet in range(256)}
"""An octet in decimal digits, without zeros in front, as inet_pton wants it."""
_SPACES: Final = bytes.maketrans(b"./", b"  ")
_DIGITS: Final = b"0123456789"


class ParsedPrefixes(NamedTuple):
    """What parse_lines has found. others: number (from 1) and text of each line that is no plain prefix."""

    prefixes: PrefixSet
    others: list[tuple[int, str]]


class PrefixSet:
    """A set of IPv4 and IPv6 prefixes, which never changes: can be compared, hashed, pickled, and a key.

    ipv4, ipv6: their numbers, sorted. Its items are texts in that order, IPv4 first.
    """

    __slots__ = ("_digest", "ipv4", "ipv6")

    def __init__(self, ipv4: Iterable[int] = (), ipv6: Iterable[int] = ()) -> None:
        """From numbers that are sorted, none twice; see `of`."""
        self.ipv4 = ipv4 if isinstance(ipv4, array) else array("Q", ipv4)
        self.ipv6 = tuple(ipv6)
        self._digest = ""

    @classmethod
    def of(cls, ipv4: Iterable[int] = (), ipv6: Iterable[int] = ()) -> PrefixSet:
        """From numbers in any order."""
        return cls(merged((ipv4,)), merged((ipv6,)))

    @classmethod
    def parse(cls, texts: Iterable[str]) -> PrefixSet:
        """From texts such as `192.0.2.0/24`; bits behind the mask are cleared. Raises TextError for the first bad one.

        For a whole list see parse_lines, which is many times as fast.
        """
        return cls.from_prefixes(map(parse_prefix, texts))

    @classmethod
    def from_prefixes(cls, prefixes: Iterable[Prefix]) -> PrefixSet:
        """From prefixes as the codec has them. Their path identifiers don't count."""
        numbers: dict[int, set[int]] = {1: set(), 2: set()}
        for prefix in prefixes:
            numbers[prefix.afi].add(prefix.address << LENGTH_BITS | prefix.length)
        return cls.of(numbers[1], numbers[2])

    def numbers(self, afi: int) -> Sequence[int]:
        """The numbers of one AFI, sorted."""
        return self.ipv4 if afi == 1 else self.ipv6

    @property
    def digest(self) -> str:
        """Names the contents: two sets with the same one are equal. 32 hexadecimal digits."""
        if not self._digest:
            content = blake2b(little_endian(self.ipv4), digest_size=16)
            content.update(b"".join(number.to_bytes(17, "big") for number in self.ipv6))
            self._digest = content.hexdigest()
        return self._digest

    def __len__(self) -> int:
        return len(self.ipv4) + len(self.ipv6)

    def __iter__(self) -> Iterator[str]:
        for afi in (1, 2):
            for number in self.numbers(afi):
                yield format_number(number, afi)

    def prefixes(self) -> Iterator[Prefix]:
        """The prefixes as the codec has them, in the order of their numbers."""
        for afi in (1, 2):
            for number in self.numbers(afi):
                yield prefix_of(number, afi)

    def __contains__(self, prefix: Prefix | str) -> bool:
        """Whether this very prefix is in the set; for a covering one see routes.lookup."""
        if isinstance(prefix, str):
            prefix = parse_prefix(prefix)
        return contains(self.numbers(prefix.afi), prefix.address << LENGTH_BITS | prefix.length)

    def __or__(self, other: PrefixSet) -> PrefixSet:
        return self.joined((self, other))

    @classmethod
    def joined(cls, sets: Iterable[PrefixSet]) -> PrefixSet:
        """All that is in any of the sets."""
        sets = list(dict.fromkeys(each for each in sets if each))
        if len(sets) == 1:
            return sets[0]
        return cls(merged([each.ipv4 for each in sets]), merged([each.ipv6 for each in sets]))

    def __and__(self, other: PrefixSet) -> PrefixSet:
        return PrefixSet(common(self.ipv4, other.ipv4), common(self.ipv6, other.ipv6))

    def __sub__(self, other: PrefixSet) -> PrefixSet:
        return PrefixSet(without(self.ipv4, other.ipv4), without(self.ipv6, other.ipv6))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrefixSet) and self.ipv4 == other.ipv4 and self.ipv6 == other.ipv6

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<PrefixSet of {len(self.ipv4)} IPv4 and {len(self.ipv6)} IPv6 prefixes>"

    def __getstate__(self) -> tuple[bytes, tuple[int, ...]]:
        return little_endian(self.ipv4), self.ipv6

    def __setstate__(self, state: tuple[bytes, tuple[int, ...]]) -> None:
        self.ipv4 = from_little_endian(state[0])
        self.ipv6 = state[1]
        self._digest = ""


EMPTY: Final = PrefixSet()
"""No prefixes."""


def number_of(prefix: Prefix) -> int:
    """The number of a prefix. Its path identifier does not count."""
    return prefix.address << LENGTH_BITS | prefix.length


def prefix_of(number: int, afi: int) -> Prefix:
    """The prefix that has this number."""
    return Prefix(afi, number >> LENGTH_BITS, number & 0xFF)


def format_number(number: int, afi: int) -> str:
    """The text of the prefix that has this number: `192.0.2.0/24`."""
    return f"{format_address((number >> LENGTH_BITS).to_bytes(4 if afi == 1 else 16, 'big'))}/{number & 0xFF}"


# Operations on sorted numbers. Sorting what is sorted in a few runs takes linear time.


def merged(runs: Iterable[Iterable[int]]) -> list[int]:
    """All numbers of some sequences, sorted, each once."""
    numbers: list[int] = []
    for run in runs:
        numbers.extend(run)
    numbers.sort()
    if any(_repeats(numbers)):
        return [number for number, _ in groupby(numbers)]
    return numbers


def _repeats(numbers: Sequence[int]) -> Iterator[bool]:
    """For each of some sorted numbers but the last whether it comes again."""
    return map(eq, numbers, islice(numbers, 1, None))


def compact(numbers: Sequence[int], afi: int) -> Sequence[int]:
    """The same in the least memory."""
    return array("Q", numbers) if afi == 1 else tuple(numbers)


def contains(numbers: Sequence[int], number: int) -> bool:
    """Whether a number is in a sorted sequence."""
    place = bisect_left(numbers, number)
    return place < len(numbers) and numbers[place] == number


def common(numbers: Sequence[int], others: Sequence[int]) -> list[int]:
    """The numbers that are in both."""
    few, many = (numbers, others) if len(numbers) < len(others) else (others, numbers)
    if len(few) * FEW < len(many):
        return [number for number in few if contains(many, number)]
    both = [*numbers, *others]
    both.sort()
    return list(compress(both, _repeats(both)))


def without(numbers: Sequence[int], others: Sequence[int]) -> Sequence[int]:
    """The numbers that are not in `others`."""
    gone = common(numbers, others)
    if not gone:
        return numbers
    if len(gone) * FEW < len(numbers):
        return cut_out(numbers, ((place, place + 1) for place in (bisect_left(numbers, each) for each in gone)))
    both = [*numbers, *gone]
    both.sort()
    again = list(_repeats(both))
    return list(compress(both, map(not_, map(or_, [False, *again], [*again, False]))))


def cut_out(numbers: Sequence[int], spans: Iterable[tuple[int, int]]) -> list[int]:
    """The numbers without those at some spans of places, which ascend and do not overlap."""
    kept: list[int] = []
    start = 0
    for begin, end in spans:
        kept.extend(numbers[start:begin])
        start = end
    kept.extend(numbers[start:])
    return kept


# Text


def parse_lines(text: str | bytes) -> ParsedPrefixes:
    """Parses lines that are prefixes, or single addresses, and nothing else: a million a second or two.

    Bits behind the mask are cleared. White space around a prefix does not count, nor do empty lines. What a line with
    anything else means (a comment, a range, an error) is for the caller to find out: `others` has it.
    """
    octets = text.encode() if isinstance(text, str) else text
    if b"\r" in octets:
        octets = octets.replace(b"\r\n", b"\n")
    ipv4: list[int] = []
    ipv6: list[int] = []
    others: list[tuple[int, str]] = []
    start, line = 0, 1
    while start < len(octets):
        end = octets.rfind(b"\n", start, start + _PIECE) + 1 or octets.find(b"\n", start) + 1 or len(octets)
        piece = octets[start:end]
        lines = piece.count(b"\n") + (not piece.endswith(b"\n"))
        found = _parse_ipv4(piece, lines)
        if found is None:
            _parse_each(piece, line, ipv4, ipv6, others)
        else:
            ipv4 += found
        start = end
        line += lines
    return ParsedPrefixes(PrefixSet.of(ipv4, ipv6), others)


def _parse_ipv4(piece: bytes, lines: int) -> Iterable[int] | None:
    """The numbers of lines that all look like `a.b.c.d/n`, or all like `a.b.c.d`; None if one of them doesn't."""
    shape = piece.translate(None, _DIGITS).removesuffix(b"\n") + b"\n"
    width = 5 if shape == b".../\n" * lines else 4 if shape == b"...\n" * lines else 0
    try:
        octets = bytes(map(_FIELDS.__getitem__, piece.translate(_SPACES).split())) if width else b""
    except KeyError:
        return None
    lengths = octets[4::5] if width == 5 else b"\x20" * lines
    if not width or len(octets) != width * lines or max(lengths) > 32:
        return None
    wide = bytearray(8 * lines)
    wide[0::8] = lengths
    for place in range(4):
        wide[4 - place :: 8] = octets[place::width]
    return map(and_, from_little_endian(wide), map(NETWORK[1].__getitem__, lengths))


def _parse_each(piece: bytes, line: int, ipv4: list[int], ipv6: list[int], others: list[tuple[int, str]]) -> None:
    """Parses lines one by one. line: the number of the first one."""
    for number, octets in enumerate(piece.split(b"\n"), line):
        text = octets.decode(errors="replace").strip()
        if not text:
            continue
        try:
            prefix = parse_prefix(text if "/" in text else f"{text}/{128 if ':' in text else 32}")
        except TextError:
            others.append((number, text))
            continue
        if prefix.path_id is not None:
            others.append((number, text))
        else:
            (ipv4 if prefix.afi == 1 else ipv6).append(prefix.address << LENGTH_BITS | prefix.length)


def little_endian(numbers: array[int]) -> bytes:
    """Numbers as 8 octets each, least significant first, whatever the order of this machine."""
    if sys.byteorder == "big":
        numbers = array("Q", numbers)
        numbers.byteswap()
    return numbers.tobytes()


def from_little_endian(octets: bytes | bytearray) -> array[int]:
    """The numbers that `little_endian` has written. Raises ValueError if there are not 8 octets for each."""
    numbers = array("Q")
    numbers.frombytes(octets)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
