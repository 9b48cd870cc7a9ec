"""All that validators say at one time, as one object that never changes: VRPs and ASPAs.

>>> vrps = [Vrp(parse_prefix("192.0.2.0/24"), 25, 64500)]
>>> snapshot = Snapshot.of(vrps, {64500: [64501]})
>>> snapshot.validate(parse_prefix("192.0.2.128/25"), 64500), snapshot.validate(parse_prefix("192.0.2.0/26"), 64500)
(<Validity.VALID: 'valid'>, <Validity.INVALID: 'invalid'>)
>>> [str(vrp) for vrp in snapshot.covering(parse_prefix("192.0.2.0/26"))], snapshot.providers(64500)
(['192.0.2.0/24-25 AS64500'], (64501,))

How others use it:

- A source (RTR, file, URL) makes snapshots with `changes.Changes`: it stages what is announced and withdrawn, as packed
  records (see `vrps`), and `apply` gives the next snapshot. Both take up to half a second for a million VRPs: call them
  in a thread, where the compiled part does not hold the GIL. A file is read by `files`, local exceptions by `slurm`.
- One snapshot is shared by all sessions. It is replaced in one step: whoever holds the old one may go on with it.
- A stage asks `validate` for one prefix, or gives whole blocks to `origin.judge_block`.
- To judge routes again, a stage compares: `new.difference(old)` names the prefixes under which verdicts can differ, and
  the customers whose ASPA changed.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final, NamedTuple

from .. import accel
from ..wire import attrs as attrs  # accel gets the table of attributes before it makes a table of ASPAs
from ..wire.prefix import AFI_BITS, Prefix
from .vrps import WIDTHS, Validity, Vrp, merge_records, pack_vrp, subtract_records, unpack_vrps

VERDICTS: Final = (Validity.VALID, Validity.NOT_FOUND, Validity.INVALID)
"""By the number that the compiled part gives them."""


class Snapshot:
    """VRPs and ASPAs. `len(snapshot)` is the number of VRPs.

    ipv4, ipv6: the VRPs as packed records, sorted, none twice. aspas: the providers of each customer AS, ascending;
    (0,) says that it has none.
    """

    __slots__ = ("_aspa_table", "_table", "aspas", "ipv4", "ipv6")

    def __init__(
        self, ipv4: bytes = b"", ipv6: bytes = b"", aspas: Mapping[int, tuple[int, ...]] | None = None
    ) -> None:
        """Takes what is sorted already; `Snapshot.of` and `Changes` sort."""
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.aspas: Mapping[int, tuple[int, ...]] = aspas if aspas is not None else {}
        self._table: Any = None
        self._aspa_table: Any = None

    @classmethod
    def of(cls, vrps: Iterable[Vrp] = (), aspas: Mapping[int, Iterable[int]] | None = None) -> Snapshot:
        """A snapshot of single VRPs and ASPAs."""
        found: dict[int, list[bytes]] = {afi: [] for afi in AFI_BITS}
        for vrp in vrps:
            found[vrp.prefix.afi].append(pack_vrp(vrp))
        ipv4, ipv6 = (merge_records(afi, b"", b"".join(each), b"\1" * len(each)).records for afi, each in found.items())
        return cls(ipv4, ipv6, {customer: sort_providers(providers) for customer, providers in (aspas or {}).items()})

    def __reduce__(self) -> tuple[object, ...]:
        return Snapshot, (self.ipv4, self.ipv6, self.aspas)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return (self.ipv4, self.ipv6, self.aspas) == (other.ipv4, other.ipv6, other.aspas)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return self.count(1) + self.count(2)

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self.ipv4 or self.ipv6 or self.aspas)

    def count(self, afi: int) -> int:
        """VRPs of one AFI."""
        return len(self.records(afi)) // WIDTHS[afi]

    def records(self, afi: int) -> bytes:
        return self.ipv4 if afi == 1 else self.ipv6

    def vrps(self, afi: int) -> Iterator[Vrp]:
        """The VRPs of one AFI in the order of their prefixes."""
        return unpack_vrps(afi, self.records(afi))

    @property
    def table(self) -> Any:
        """The VRPs as `accel.vrps.VrpTable`, made when it is first asked for; None without the compiled part."""
        if self._table is None and accel.AVAILABLE:
            self._table = accel.vrps.VrpTable(self.ipv4, self.ipv6)
        return self._table

    @property
    def aspa_table(self) -> Any:
        """The ASPAs as `accel.aspa.AspaTable`, likewise."""
        if self._aspa_table is None and accel.AVAILABLE:
            lists = self.aspas.values()
            columns = self.aspas, map(len, lists), chain.from_iterable(lists)
            self._aspa_table = accel.aspa.AspaTable(*(array("I", column).tobytes() for column in columns))
        return self._aspa_table

    def index(self) -> Snapshot:
        """Makes both tables. For a million VRPs that takes 40 ms: who makes a snapshot in a thread calls it there."""
        _ = self.table, self.aspa_table
        return self

    def validate(self, prefix: Prefix, origin: int | None) -> Validity:
        """The validity of a route. origin: None where the AS_PATH has none, as behind an AS_SET; it matches nothing."""
        return self.validate_number(
            prefix.address << 8 | prefix.length, prefix.afi, () if origin is None else (origin,)
        )

    def validate_number(self, number: int, afi: int, origins: Collection[int]) -> Validity:
        """The same for a prefix as `address << 8 | length`, of which one of several AS numbers is the origin."""
        address, length = number >> 8, number & 0xFF
        if (table := self.table) is not None:
            high, low = (address << 32, 0) if afi == 1 else (address >> 64, address & 0xFFFFFFFFFFFFFFFF)
            found = (VERDICTS[table.judge_one(afi, high, low, length, origin)] for origin in origins or (0,))
            return min(found, key=VERDICTS.index)
        covered = Validity.NOT_FOUND
        for _, max_length, asn in self._covering(Prefix(afi, address, length)):
            if asn and length <= max_length and asn in origins:
                return Validity.VALID
            covered = Validity.INVALID
        return covered

    def covering(self, prefix: Prefix) -> list[Vrp]:
        """The VRPs whose prefix is this one or is around it, longest prefix first."""
        return list(self._covering(prefix))

    def providers(self, customer: int) -> tuple[int, ...] | None:
        """The providers that an AS has attested, ascending; None if it has no ASPA, (0,) if it has no provider."""
        return self.aspas.get(customer)

    def difference(self, old: Snapshot) -> Difference:
        """What this snapshot has and `old` has not, and the other way round."""
        customers = self.aspas.keys() | old.aspas.keys()
        return Difference(
            {afi: subtract_records(afi, self.records(afi), old.records(afi)) for afi in AFI_BITS},
            {afi: subtract_records(afi, old.records(afi), self.records(afi)) for afi in AFI_BITS},
            frozenset(each for each in customers if self.aspas.get(each) != old.aspas.get(each)),
        )

    def _covering(self, prefix: Prefix) -> Iterator[Vrp]:
        """Among sorted records, those around a prefix stand before it, and also before all that is between them.

        So the last record before it tells: either it covers, or whatever covers is as short as what the two have in
        common.
        """
        afi, address, length, _ = prefix
        bits, records, count = AFI_BITS[afi], self.records(afi), self.count(afi)
        key = _key(records, afi)
        while count and length >= 0:
            address = address >> bits - length << bits - length
            count = bisect_right(range(count), address.to_bytes(bits // 8, "big") + bytes((length,)), key=key)
            if not count:
                return
            before = key(count - 1)
            common = min(bits - (int.from_bytes(before[:-1], "big") ^ address).bit_length(), length)
            if before[-1] > common:
                length = common
                continue
            first = bisect_left(range(count), before, key=key)
            yield from unpack_vrps(afi, records[first * WIDTHS[afi] : count * WIDTHS[afi]])
            length, count = before[-1] - 1, first


EMPTY: Final = Snapshot()


class Difference(NamedTuple):
    """What has changed between two snapshots.

    added, removed: packed records by AFI, sorted. customers: AS numbers whose ASPA was added, removed or changed.
    """

    added: Mapping[int, bytes]
    removed: Mapping[int, bytes]
    customers: frozenset[int]

    def __bool__(self) -> bool:
        return bool(self.customers or any(self.added.values()) or any(self.removed.values()))

    def count(self, afi: int) -> int:
        """How many VRPs were added or removed."""
        return (len(self.added[afi]) + len(self.removed[afi])) // WIDTHS[afi]

    def prefixes(self, afi: int) -> list[Prefix]:
        """The prefixes under which the validity of routes can differ: ascending, none inside another."""
        found: list[Prefix] = []
        bits = AFI_BITS[afi]
        changed = {vrp.prefix for records in (self.added, self.removed) for vrp in unpack_vrps(afi, records[afi])}
        for prefix in sorted(changed):
            last = found[-1] if found else None
            if last is None or prefix.address >> bits - last.length != last.address >> bits - last.length:
                found.append(prefix)
        return found


def sort_providers(providers: Iterable[int]) -> tuple[int, ...]:
    """Ascending, none twice; AS 0 only where it is alone, since it says that there is none."""
    found = sorted(set(providers))
    return tuple(found[1:] if len(found) > 1 and found[0] == 0 else found)


def _key(records: bytes, afi: int) -> Callable[[int], bytes]:
    """The address and the length of the record with a number."""
    width, size = WIDTHS[afi], AFI_BITS[afi] // 8 + 1
    return lambda number: records[number * width : number * width + size]
