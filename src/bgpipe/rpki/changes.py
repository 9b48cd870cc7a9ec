"""VRPs and ASPAs that are announced and withdrawn, collected until a snapshot is made of them.

An RTR client stages what a cache sends, and applies it at End of Data or not at all:

    changes = Changes()
    changes.announce(1, records)            # packed records of IPv4 VRPs, one or many (see vrps)
    changes.withdraw(2, record)
    changes.announce_aspa(64500, (64501,))  # replaces what was there
    applied = await in_thread("vrps", partial(changes.apply, snapshot))

A reader of files announces all, and applies to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..wire.prefix import AFI_BITS
from .snapshot import EMPTY, Snapshot, sort_providers
from .vrps import WIDTHS, Vrp, merge_records, unpack_vrps


class Applied(NamedTuple):
    """A new snapshot, and what was wrong with the changes (RFC 8210 section 12: errors 7 and 6).

    duplicates: VRPs that were announced while they were there. unknown: that were withdrawn while they were not. At
    most the first 100 of each AFI are named; the counts have all. unknown_customers: ASPAs withdrawn likewise.
    """

    snapshot: Snapshot
    duplicates: tuple[Vrp, ...]
    unknown: tuple[Vrp, ...]
    unknown_customers: tuple[int, ...]
    duplicate_count: int
    unknown_count: int


class Changes:
    """Announcements and withdrawals, in their order."""

    def __init__(self) -> None:
        self._records = {afi: bytearray() for afi in AFI_BITS}
        self._announced = {afi: bytearray() for afi in AFI_BITS}
        self._aspas: list[tuple[int, tuple[int, ...] | None]] = []

    def __len__(self) -> int:
        """Announcements and withdrawals so far."""
        return sum(map(len, self._announced.values())) + len(self._aspas)

    def announce(self, afi: int, records: bytes) -> None:
        """Packed records of one AFI that `vrps.find_impossible` finds nothing wrong with."""
        self._records[afi] += records
        self._announced[afi] += b"\1" * (len(records) // WIDTHS[afi])

    def stage(self, afi: int, records: bytes, announced: bytes) -> None:
        """Packed records of one AFI; an octet of `announced` for each, 1 to announce it and 0 to withdraw it. A run of
        PDUs gives these (see pdu_runs)."""
        self._records[afi] += records
        self._announced[afi] += announced

    def withdraw(self, afi: int, records: bytes) -> None:
        self._records[afi] += records
        self._announced[afi] += bytes(len(records) // WIDTHS[afi])

    def announce_aspa(self, customer: int, providers: Iterable[int]) -> None:
        """The providers of an AS, in any order; they replace those that it had."""
        self._aspas.append((customer, sort_providers(providers)))

    def withdraw_aspa(self, customer: int) -> None:
        self._aspas.append((customer, None))

    def apply(self, base: Snapshot = EMPTY) -> Applied:
        """The snapshot behind all changes. What is wrong with them changes nothing: a duplicate is there once."""
        merged = {
            afi: merge_records(afi, base.records(afi), bytes(self._records[afi]), bytes(self._announced[afi]))
            for afi in AFI_BITS
        }
        aspas, unknown_customers = self._merge_aspas(base)
        snapshot = Snapshot(merged[1].records, merged[2].records, aspas).index()
        return Applied(
            snapshot,
            tuple(vrp for afi in AFI_BITS for vrp in self._named(afi, merged[afi].duplicates)),
            tuple(vrp for afi in AFI_BITS for vrp in self._named(afi, merged[afi].unknown)),
            unknown_customers,
            sum(each.duplicate_count for each in merged.values()),
            sum(each.unknown_count for each in merged.values()),
        )

    def _named(self, afi: int, numbers: list[int]) -> list[Vrp]:
        width = WIDTHS[afi]
        records = b"".join(self._records[afi][number * width : (number + 1) * width] for number in numbers)
        return list(unpack_vrps(afi, records))

    def _merge_aspas(self, base: Snapshot) -> tuple[Mapping[int, tuple[int, ...]], tuple[int, ...]]:
        if not self._aspas:
            return base.aspas, ()
        aspas, unknown = dict(base.aspas), []
        for customer, providers in self._aspas:
            if providers is not None:
                aspas[customer] = providers
            elif aspas.pop(customer, None) is None:
                unknown.append(customer)
        return aspas, tuple(unknown)
