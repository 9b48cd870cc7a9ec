"""Route origin validation of lists of AS numbers: what each prefix is, and the VRPs as they are now.

A list in which prefixes have different validity is several: one of its own name, and more beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from ..pipeline.log import Log
from ..routes.attributes import Attributes
from ..routes.prefixes import PrefixSet
from ..routes.steps import Steps
from ..rpki.entries import Parsed
from ..rpki.files import FileReader, pieces
from ..rpki.snapshot import Snapshot
from ..rpki.vrps import Validity
from ..tasks import in_thread
from ..wire.errors import TextError
from .config import PrefixSource, Rov
from .rules import attributes_of
from .sources.base import Fetched, SourceError
from .sources.content import ANYWHERE
from .sources.fetch import Fetcher
from .sources.file import FileSource

KEPT: Final = "kept-vrps.json"
"""The file in the folder of all state with what was read last."""
FILE_INTERVAL: Final = 5.0
"""Seconds between two looks at a file."""
RETRY: Final = 30.0
"""Seconds until a URL is asked again after a failure."""
TIMEOUT: Final = 120.0
STEP: Final = 2000
"""Prefixes that are validated in one step: some milliseconds."""
PARTS: Final = {Validity.NOT_FOUND: " (ROV: not found)", Validity.INVALID: " (ROV: invalid)"}
"""What is added to the name of a list for those of its prefixes that are not valid."""
_EURO_IX: Final = {Validity.VALID: 1, Validity.NOT_FOUND: 2, Validity.INVALID: 4}
"""The third number of large communities that exchange points have agreed on (`ASN:1000:N`)."""


def origins_of(settings: PrefixSource) -> tuple[int, ...]:
    """The AS numbers of which one is the origin of each prefix of a list; none if they are not known."""
    if settings.kind != "asn" or settings.as_sets:
        return ()
    return settings.asns or ((settings.asn,) if settings.asn else ())


def communities(rov: Rov, asn: int) -> dict[Validity, Attributes]:
    """What is said of routes by their validity. asn: ours."""
    said = {Validity.VALID: rov.valid, Validity.NOT_FOUND: rov.not_found, Validity.INVALID: rov.invalid}
    return {validity: attributes_of((text or f"{asn}:1000:{_EURO_IX[validity]}",)) for validity, text in said.items()}


def split(prefixes: PrefixSet, origins: tuple[int, ...], vrps: Snapshot) -> Steps[dict[Validity, PrefixSet]]:
    """Prefixes by their validity, in steps of some milliseconds."""
    found: dict[Validity, tuple[list[int], list[int]]] = {validity: ([], []) for validity in Validity}
    for place, afi in enumerate((1, 2)):
        for count, number in enumerate(prefixes.numbers(afi)):
            found[vrps.validate_number(number, afi, origins)][place].append(number)
            if count % STEP == STEP - 1:
                yield
    return {validity: PrefixSet(*numbers) for validity, numbers in found.items()}


class Split(NamedTuple):
    """What a list was split into, and by what."""

    prefixes: PrefixSet
    origins: tuple[int, ...]
    vrps: Snapshot
    parts: Mapping[Validity, PrefixSet]


class Validator:
    """The VRPs. on_change: called with others. failed: why they could not be read the last time, "" if they could."""

    def __init__(self, rov: Rov, folder: Path, state: Path, fetcher: Fetcher, log: Log) -> None:
        """folder: where relative paths begin. state: where what was read last is kept."""
        self.on_change: Callable[[Snapshot], object] = lambda vrps: None
        self.failed = ""
        self._rov = rov
        self._file = FileSource(folder / rov.vrps, ANYWHERE) if "://" not in rov.vrps else None
        self._kept = state / KEPT
        self._fetcher = fetcher
        self._log = log
        self._validator = ""
        self._known = False

    async def run(self) -> None:
        """Reads them, again and again, for ever."""
        if self._file is None:
            await self._check(self._read_kept)
        while True:
            await self._check(self._read)
            if not self._known:
                failed = self.failed
                await self._check(self._read_kept)
                self.failed = failed
            if not self._known:  # without any, nothing is valid or invalid
                self._tell(Snapshot())
            await asyncio.sleep(self._wait())

    def _wait(self) -> float:
        if self._file is not None:
            return FILE_INTERVAL
        return min(RETRY, float(self._rov.interval)) if self.failed else float(self._rov.interval)

    async def _read(self) -> Fetched | None:
        if self._file is not None:
            return await self._file.fetch(self._validator)
        return await self._fetcher.get(self._rov.vrps, self._validator, timeout=TIMEOUT)

    async def _read_kept(self) -> Fetched | None:
        if not self._kept.exists():
            return None
        return Fetched(await in_thread("vrps", self._kept.read_bytes))

    async def _check(self, read: Callable[[], Awaitable[Fetched | None]]) -> None:
        try:
            fetched = await read()
            if fetched is not None:
                self._take(await read_vrps(fetched.octets))
                if read == self._read:
                    await in_thread("vrps", partial(_replace, self._kept, fetched.octets))
                self._validator = fetched.validator
        except (SourceError, TextError, OSError) as error:
            if str(error) != self.failed:
                self._log.error("VRPs can't be read: those that are there stay", error=str(error))
            self.failed = str(error)
        else:
            self.failed = ""

    def _take(self, found: Parsed) -> None:
        counts = {"vrps": len(found.snapshot), "bad": found.bad, "expired": found.expired}
        self._log.info("VRPs were read", **counts, **({"first_bad": found.faults[0]} if found.bad else {}))
        self._tell(found.snapshot)

    def _tell(self, vrps: Snapshot) -> None:
        self._known = True
        self.on_change(vrps)


async def read_vrps(octets: bytes) -> Parsed:
    """The VRPs in a file, piece by piece in a thread, as those of `Rov.Rpki` are read. Raises TextError."""
    reader = FileReader(time.time())
    for piece in pieces(octets):
        await in_thread("vrps", partial(reader.feed, piece))
    return await in_thread("vrps", reader.finish)


def _replace(path: Path, octets: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(octets)
    new.replace(path)
