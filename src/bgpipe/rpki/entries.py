"""What is read of a file of a validator: its VRPs and ASPAs, and what can't be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from ..wire.errors import TextError
from ..wire.prefix import AFI_BITS, parse_prefix
from .snapshot import Snapshot, sort_providers
from .vrps import WIDTHS, Vrp, merge_records, pack_vrp

MOST_ENTRIES: Final = 8_000_000
"""Entries of one file, lines of CSV too."""
MOST_NAMED: Final = 10
"""Entries that can't be read whose place is told."""


class Parsed(NamedTuple):
    """What a file says.

    bad: entries that can't be read; faults: where the first of them are, and what is wrong. expired: entries whose time
    is over. until: when the next one's will be, in seconds since 1970; None if no entry has a time.
    """

    snapshot: Snapshot
    bad: int = 0
    faults: tuple[str, ...] = ()
    expired: int = 0
    until: float | None = None


class Entries:
    """What was read so far. now: seconds since 1970; an entry counts up to the time that it names."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.count = 0
        self.bad = 0
        self.expired = 0
        self.until: float | None = None
        self._faults: list[str] = []
        self._records = {afi: bytearray() for afi in AFI_BITS}
        self._aspas: dict[int, tuple[int, ...]] = {}

    def tell(self, place: str, error: str) -> None:
        """An entry can't be read. place: where it is in the file."""
        self.count += 1
        self.bad += 1
        if len(self._faults) < MOST_NAMED:
            self._faults.append(f"{place}: {error}")

    def limit(self, count: int) -> None:
        """Raises TextError if a file has so many entries or lines that they are too many. Each takes its time, also one
        that is passed over."""
        if count > MOST_ENTRIES:
            raise TextError(f"more than {MOST_ENTRIES} entries")

    def is_over(self, expires: float | None) -> bool:
        """Whether the time of an entry is over; counts it if it is."""
        if expires is None:
            return False
        if expires <= self.now:
            self.count += 1
            self.expired += 1
            return True
        self.until = expires if self.until is None else min(self.until, expires)
        return False

    def add_records(self, afi: int, records: bytes) -> None:
        self.count += len(records) // WIDTHS[afi]
        self._records[afi] += records

    def add_vrp(self, vrp: Vrp) -> None:
        self.add_records(vrp.prefix.afi, pack_vrp(vrp))

    def add_aspas(self, found: Sequence[tuple[int, tuple[int, ...]]]) -> None:
        """Customers and their providers, ascending. Several ASPAs of one customer are taken together."""
        self.count += len(found)
        for customer, providers in found:
            known = self._aspas.get(customer)
            self._aspas[customer] = providers if known is None else sort_providers((*known, *providers))

    def take(self, scanner: Any) -> None:
        """What the compiled part has read. scanner: accel.rpki_json.Scanner."""
        ipv4, ipv6, expired, until = scanner.take()
        self.add_records(1, ipv4)
        self.add_records(2, ipv6)
        self.count += expired
        self.expired += expired
        if until is not None:
            self.is_over(until)

    def finish(self) -> Parsed:
        """Raises TextError if there were entries, and none could be read."""
        if self.bad and self.bad == self.count:
            raise TextError(f"none of {self.bad} entries can be read: {self._faults[0]}")
        ipv4, ipv6 = (
            merge_records(afi, b"", bytes(each), b"\1" * (len(each) // WIDTHS[afi])).records
            for afi, each in self._records.items()
        )
        aspas = dict(sorted(self._aspas.items()))
        return Parsed(Snapshot(ipv4, ipv6, aspas).index(), self.bad, tuple(self._faults), self.expired, self.until)


class Format(Protocol):
    """A format of a file that is read piece by piece."""

    def feed(self, octets: bytes) -> None:
        """Raises TextError."""

    def finish(self) -> None:
        """Raises TextError if it can't end here."""


def parse_asn(said: object) -> int:
    """64500, 64500.0, "64500" or "AS64500". Raises TextError."""
    digits = said.strip().upper().removeprefix("AS") if isinstance(said, str) else str(said)
    if isinstance(said, float) and said.is_integer():
        digits = str(int(said))
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 10 and int(digits) <= 0xFFFFFFFF):
        raise TextError(f"not an AS number: {said!r}")
    return int(digits)


def make_vrp(prefix_text: str, max_length: int | None, asn: object) -> Vrp:
    """max_length: None for the length of the prefix. Raises TextError."""
    prefix = parse_prefix(prefix_text)
    if prefix.path_id is not None:
        raise TextError(f"not a prefix: {prefix_text!r}")
    longest, bits = prefix.length if max_length is None else max_length, AFI_BITS[prefix.afi]
    if not prefix.length <= longest <= bits:
        raise TextError(f"maxLength must be {prefix.length} to {bits}: {longest}")
    return Vrp(prefix, longest, parse_asn(asn))
