"""What AS numbers and as-sets have registered in an IRR (RFC 2622): by bgpq4 where it is installed, else by whois.

Whois servers are asked as RIPE's is (`-i origin`), which those that run IRRd understand too.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Sequence
from typing import Final

from ...net.process import output_of
from ...routes.prefixes import EMPTY
from ...tasks import Tasks
from ..config import Irr
from .base import MAX_CONTENT, Fetched, SourceError
from .content import Form

FORM: Final = Form(json="*.x.*.prefix", whole=True)
MAX_SETS: Final = 1000
"""As-sets that one list may lead to."""
MAX_ASNS: Final = 2000
"""AS numbers that one list may lead to."""
ABREAST: Final = 4
"""Questions to a whois server at a time."""
MAX_ANSWER: Final = 16 << 20
"""Octets of the answer to one question."""
RESERVED: Final = (range(64496, 65552), range(4200000000, 1 << 32))
"""AS numbers for documentation and private use (RFC 5398, RFC 6996), and reserved ones between and behind them: bgpq4
leaves them out, unless it is told that they are meant."""
_MEMBERS: Final = re.compile(r"^(?:mp-)?members:(.*(?:\n[ \t+].*)*)", re.MULTILINE | re.IGNORECASE)
_MEMBER: Final = re.compile(r"AS[0-9]+|(?:[A-Z0-9-]+::)?(?:AS[0-9]+:)*AS-[A-Z0-9_-]+(?::AS[A-Z0-9_-]+)*")


class IrrSource:
    """asns, as_sets: whose prefixes these are. timeout: seconds for all of it; None as the configuration says."""

    def __init__(self, asns: Sequence[int], as_sets: Sequence[str], timeout: float | None, settings: Irr) -> None:
        self._asns = asns
        self._as_sets = as_sets
        self._timeout = float(timeout or settings.timeout_seconds)
        self._settings = settings

    async def fetch(self, validator: str) -> Fetched | None:
        program = shutil.which(self._settings.bgpq4) if self._settings.bgpq4 else None
        try:
            async with asyncio.timeout(self._timeout):
                if program is not None:
                    return await self._by_bgpq4(program)
                found = await Whois(self._settings).routes(self._asns, self._as_sets)
                return Fetched(found) if found else Fetched(prefixes=EMPTY)
        except TimeoutError:
            raise SourceError(f"no answer within {self._timeout:g} s", temporary=True) from None

    async def _by_bgpq4(self, program: str) -> Fetched:
        settings = self._settings
        words = [program, "-h", f"{settings.host}:{settings.port}", "-j", "-l", "x"]
        words += ["-S", ",".join(settings.sources)] if settings.sources else []
        own = [f"AS{asn}" for asn in self._asns if is_reserved(asn)]
        others = [f"AS{asn}" for asn in self._asns if not is_reserved(asn)] + [*self._as_sets]
        groups = [group for group in (others, ["-p", *own] if own else []) if group]
        found = [await _output([*words, family, *group]) for family in ("-4", "-6") for group in groups]
        return Fetched(b"[" + b",".join(found) + b"]", form=FORM)


def is_reserved(asn: int) -> bool:
    return any(asn in each for each in RESERVED)


async def _output(words: Sequence[str]) -> bytes:
    """What bgpq4 writes to its standard output. Raises SourceError."""
    try:
        program = await output_of(words)
    except OSError as error:
        raise SourceError(f"{words[0]}: {error.strerror or error}") from None
    if program.code:
        lines = program.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {program.code}"]
        raise SourceError(f"{words[0]}: {lines[-1][:200]}")
    if complaint := _complaint(program.stderr):
        raise SourceError(f"{words[0]}: {complaint}")
    if len(program.stdout) > MAX_CONTENT:
        raise SourceError(f"{words[0]}: more than {MAX_CONTENT >> 20} MiB")
    return program.stdout


def _complaint(stderr: bytes) -> str:
    """What bgpq4 could not ask for, although its exit code is 0; "" for nothing. It leaves out reserved AS numbers of
    as-sets, and says so, which is no fault."""
    lines = stderr.decode(errors="replace").replace("\n:", ":").splitlines()
    return next((line[:200] for line in lines if "ERROR" in line and "Invalid AS number" not in line), "")


class Whois:
    """Asks a whois server, a connection for each question."""

    def __init__(self, settings: Irr) -> None:
        self._settings = settings
        self._free = asyncio.Semaphore(ABREAST)

    async def routes(self, asns: Sequence[int], as_sets: Sequence[str]) -> bytes:
        """The objects `route` and `route6` of AS numbers and as-sets; b"" if there are none. Raises SourceError."""
        names = dict.fromkeys(f"AS{asn}" for asn in asns)
        names |= dict.fromkeys(await self._expanded(as_sets))
        if len(names) > MAX_ASNS:
            raise SourceError(f"{len(names)} AS numbers, more than {MAX_ASNS}: bgpq4 can do that, when it is installed")
        found = await self._all([f"-K -T route,route6 -i origin {name}" for name in names])
        return b"\n".join(found) if any(map(_has_object, found)) else b""

    async def _expanded(self, as_sets: Sequence[str]) -> list[str]:
        """The AS numbers in as-sets, and in the as-sets in them."""
        seen = {name.upper(): None for name in as_sets}
        asns: dict[str, None] = {}
        waiting = list(seen)
        while waiting:
            answers = await self._all([self._about(name) for name in waiting])
            found = dict.fromkeys(member for answer in answers for member in members(answer.decode("latin-1")))
            waiting = [name for name in found if not name[2:].isdigit() and name not in seen]
            asns |= {name: None for name in found if name[2:].isdigit()}
            seen |= dict.fromkeys(waiting)
            if len(seen) > MAX_SETS:
                raise SourceError(f"more than {MAX_SETS} as-sets")
        if as_sets and not asns:
            raise SourceError(f"no AS numbers in {', '.join(as_sets)}")
        return list(asns)

    @staticmethod
    def _about(name: str) -> str:
        registry, separator, rest = name.partition("::")
        return f"-s {registry} -T as-set {rest}" if separator else f"-T as-set {name}"

    async def _all(self, questions: Sequence[str]) -> list[bytes]:
        scope = Tasks()
        try:
            running = [scope.begin("whois", self._ask(question)) for question in questions]
            return [await each for each in running]
        finally:
            await scope.close()

    async def _ask(self, question: str) -> bytes:
        """The answer to a question. Raises SourceError."""
        settings = self._settings
        sources = f"-s {','.join(settings.sources)} " if settings.sources and "-s " not in question else ""
        place = f"{settings.host}:{settings.port}"
        async with self._free:
            try:
                reader, writer = await asyncio.open_connection(settings.host, settings.port, limit=MAX_ANSWER)
            except OSError as error:
                raise SourceError(f"{place}: {error.strerror or error}", temporary=True) from None
            try:
                writer.write(f"-r {sources}{question}\r\n".encode())
                answer = await _until_end(reader)
            except OSError as error:
                raise SourceError(f"{place}: {error.strerror or error}", temporary=True) from None
            finally:
                writer.close()
        if fault := _fault(answer):
            raise SourceError(f"{place}: {fault}")
        if not _has_object(answer) and b"no entries" not in answer.lower():
            raise SourceError(f"{place}: neither objects nor that there are none", temporary=True)
        return answer


async def _until_end(reader: asyncio.StreamReader) -> bytes:
    parts, size = [], 0
    while part := await reader.read(1 << 16):
        size += len(part)
        if size > MAX_ANSWER:
            raise SourceError(f"an answer of more than {MAX_ANSWER >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def members(answer: str) -> list[str]:
    """The AS numbers and as-sets that objects `as-set` name as their members, in capital letters."""
    found = []
    for text in _MEMBERS.findall(answer.replace("\r", "")):
        words = re.sub(r"#.*", "", text).upper().replace(",", " ").split()
        found += [word for word in words if _MEMBER.fullmatch(word)]
    return found


def _has_object(answer: bytes) -> bool:
    return any(line.strip() and not line.startswith(b"%") for line in answer.splitlines())


def _fault(answer: bytes) -> str:
    """What a server complains of; "" for nothing. That there is no such object is no fault."""
    for line in answer.decode("latin-1").splitlines():
        if line.startswith("%") and "error" in line.lower() and "no entries" not in line.lower():
            return line.strip("% ")[:200]
    return ""
