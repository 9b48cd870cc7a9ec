"""Reads a list in a process of its own, so that a list of any size neither stops a session nor takes all memory. A
small one is read at once: an interpreter takes a hundred times as long to start."""

from __future__ import annotations

import asyncio
import resource
import sys
from array import array
from contextlib import suppress
from typing import Final

import msgspec

from ...net.compression import by_content
from ...net.process import output_of
from ...routes.prefixes import PrefixSet, from_little_endian, little_endian
from ..lifetimes import NO_ENDS, Lifetimes
from .content import Content, ContentError, Form, read

MAX_MEMORY: Final = 2 << 30
"""Octets of address space that the process may have."""
LEAST_SECONDS: Final = 10
"""Seconds of processor time that any list may take; three times as many of any time."""
SECONDS_PER_MIB: Final = 2
"""More of them for each MiB, as it was fetched."""
SMALL: Final = 1 << 10
"""Octets of a list that is read at once, if nothing packs it: at most some 30 ms, whatever it is made of."""
WORKERS: Final = 2
"""Lists of one lane that are read at the same time."""


PackedLifetimes = tuple[bytes, bytes, bytes, bytes]
NO_LIFETIMES: Final[PackedLifetimes] = (b"", b"", b"", b"")


class Answer(msgspec.Struct, frozen=True):
    """What the process says. ipv4, ipv6: see pack_prefixes. lifetimes: see pack_lifetimes."""

    ipv4: bytes = b""
    ipv6: bytes = b""
    lines: int = 0
    bad: int = 0
    samples: list[tuple[int, str]] = []
    lifetimes: PackedLifetimes = NO_LIFETIMES
    error: str = ""


class Lane:
    """Lists that wait for each other, so that others need not: those that take long keep nobody else waiting."""

    def __init__(self, workers: int = WORKERS) -> None:
        self.free = asyncio.Semaphore(workers)


async def read_list(octets: bytes, form: Form, lane: Lane) -> Content:
    """The prefixes of a list. Raises ContentError."""
    if len(octets) <= SMALL and by_content(octets) in (None, "none"):
        try:
            return read(octets, form)
        except (MemoryError, RecursionError):
            raise ContentError("it takes too much memory to read") from None
    seconds = LEAST_SECONDS + SECONDS_PER_MIB * (len(octets) >> 20)
    async with lane.free:
        words = (msgspec.json.encode(form).decode(), str(seconds))
        try:
            worker = await output_of((sys.executable, "-m", __name__, *words), octets, 3 * seconds)
        except TimeoutError:
            raise ContentError(f"it can't be read within {3 * seconds} s") from None
    try:
        found = msgspec.msgpack.decode(worker.stdout, type=Answer)
    except msgspec.DecodeError:
        raise ContentError("it takes too much memory or time to read") from None
    if found.error:
        raise ContentError(found.error)
    prefixes, lifetimes = unpack_prefixes(found.ipv4, found.ipv6), unpack_lifetimes(found.lifetimes)
    return Content(prefixes, found.lines, found.bad, found.samples, lifetimes)


def pack_prefixes(prefixes: PrefixSet) -> tuple[bytes, bytes]:
    """The numbers of IPv4 prefixes, 8 octets each, little endian, and of IPv6 prefixes, 17 octets each, big endian."""
    return little_endian(prefixes.ipv4), b"".join(number.to_bytes(17, "big") for number in prefixes.ipv6)


def unpack_prefixes(ipv4: bytes, ipv6: bytes) -> PrefixSet:
    """The set that pack_prefixes has packed. Raises ValueError if these are no whole numbers."""
    return PrefixSet(
        from_little_endian(ipv4), (int.from_bytes(ipv6[at : at + 17], "big") for at in range(0, len(ipv6), 17))
    )


def pack_lifetimes(lifetimes: Lifetimes) -> PackedLifetimes:
    """The prefixes as pack_prefixes has them, then the ends of each family, 8 octets each, little endian."""
    return *pack_prefixes(lifetimes.prefixes), _pack(lifetimes.ipv4), _pack(lifetimes.ipv6)


def unpack_lifetimes(packed: PackedLifetimes) -> Lifetimes:
    """What pack_lifetimes has packed. Raises ValueError if these are no whole numbers, or not as many ends."""
    if not any(packed):
        return NO_ENDS
    ipv4, ipv6, ends_ipv4, ends_ipv6 = packed
    lifetimes = Lifetimes(unpack_prefixes(ipv4, ipv6), _unpack(ends_ipv4), _unpack(ends_ipv6))
    if (len(lifetimes.prefixes.ipv4), len(lifetimes.prefixes.ipv6)) != (len(lifetimes.ipv4), len(lifetimes.ipv6)):
        raise ValueError("there are not as many ends as prefixes")
    return lifetimes


def _pack(ends: array[float]) -> bytes:
    return _little_endian(ends).tobytes()


def _unpack(octets: bytes) -> array[float]:
    ends = array("d")
    ends.frombytes(octets)
    return _little_endian(ends)


def _little_endian(ends: array[float]) -> array[float]:
    if sys.byteorder == "big":
        ends = array("d", ends)
        ends.byteswap()
    return ends


def main() -> None:
    form, seconds = msgspec.json.decode(sys.argv[1], type=Form), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        found = read(sys.stdin.buffer.read(), form)
        ends = pack_lifetimes(found.lifetimes)
        answer = Answer(*pack_prefixes(found.prefixes), found.lines, found.bad, found.samples, ends)
    except ContentError as error:
        answer = Answer(error=str(error))
    except MemoryError:
        answer = Answer(error="it takes too much memory to read")
    with suppress(BrokenPipeError):  # who has asked has ended
        sys.stdout.buffer.write(msgspec.msgpack.encode(answer))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
