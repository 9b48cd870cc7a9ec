"""Reads a list in a process of its own, so that a list of any size neither stops a session nor takes all memory."""

from __future__ import annotations

import asyncio
import resource
import sys
from contextlib import suppress
from typing import Final

import msgspec

from ...routes.prefixes import PrefixSet, from_little_endian, little_endian
from .content import Content, ContentError, read

MAX_MEMORY: Final = 2 << 30
"""Octets of address space that the process may have."""
MAX_SECONDS: Final = 60
"""Seconds of processor time, and twice as many of any, that a list may take."""
MAX_WORKERS: Final = 2
"""Lists that are read at the same time."""


class Answer(msgspec.Struct, frozen=True):
    """What the process says. ipv4, ipv6: see pack_prefixes."""

    ipv4: bytes = b""
    ipv6: bytes = b""
    lines: int = 0
    bad: int = 0
    samples: list[tuple[int, str]] = []
    error: str = ""


_free: asyncio.Semaphore | None = None


async def read_list(octets: bytes, path: str = "") -> Content:
    """The prefixes of a list. path: see content.read. Raises ContentError."""
    global _free
    _free = _free or asyncio.Semaphore(MAX_WORKERS)
    async with _free:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, path, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(2 * MAX_SECONDS):
                answer, _ = await process.communicate(octets)
        except TimeoutError:
            raise ContentError(f"it can't be read within {2 * MAX_SECONDS} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    try:
        found = msgspec.msgpack.decode(answer, type=Answer)
    except msgspec.DecodeError:
        raise ContentError("it takes too much memory or time to read") from None
    if found.error:
        raise ContentError(found.error)
    return Content(unpack_prefixes(found.ipv4, found.ipv6), found.lines, found.bad, found.samples)


def pack_prefixes(prefixes: PrefixSet) -> tuple[bytes, bytes]:
    """The numbers of IPv4 prefixes, 8 octets each, little endian, and of IPv6 prefixes, 17 octets each, big endian."""
    return little_endian(prefixes.ipv4), b"".join(number.to_bytes(17, "big") for number in prefixes.ipv6)


def unpack_prefixes(ipv4: bytes, ipv6: bytes) -> PrefixSet:
    """The set that pack_prefixes has packed. Raises ValueError if these are no whole numbers."""
    return PrefixSet(
        from_little_endian(ipv4), (int.from_bytes(ipv6[at : at + 17], "big") for at in range(0, len(ipv6), 17))
    )


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    try:
        found = read(sys.stdin.buffer.read(), sys.argv[1])
        answer = Answer(*pack_prefixes(found.prefixes), found.lines, found.bad, found.samples)
    except ContentError as error:
        answer = Answer(error=str(error))
    except MemoryError:
        answer = Answer(error="it takes too much memory to read")
    with suppress(BrokenPipeError):  # who has asked has ended
        sys.stdout.buffer.write(msgspec.msgpack.encode(answer))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
