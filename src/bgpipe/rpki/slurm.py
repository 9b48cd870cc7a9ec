"""Local exceptions to what validators say: SLURM files (RFC 8416; version 2 with ASPAs: draft-ietf-sidrops-aspa-slurm).

    slurm = parse_slurm(octets)             # raises SlurmError, which has all errors of the file
    snapshot = slurm.apply(snapshot)        # takes up to half a second for a million VRPs: in a thread

First the filters remove VRPs and ASPAs, then the assertions add others. What is said of BGPsec keys is not looked at.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from ..wire.errors import TextError
from ..wire.prefix import AFI_BITS, Prefix, parse_prefix
from .changes import Changes
from .snapshot import Snapshot, sort_providers
from .vrps import WIDTHS, Vrp, pack_vrp

MOST_ASN: Final = 0xFFFFFFFF
MAX_SIZE: Final = 64 << 20
"""Octets of the largest file that is read."""


class SlurmError(TextError):
    """A file that is not as it must be. errors: all that is wrong, each with its place in the file."""

    def __init__(self, errors: list[str]) -> None:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"not a SLURM file: {errors[0]}{more}")
        self.errors = errors


class PrefixFilter(NamedTuple):
    """Removes VRPs whose prefix is this one or inside it, and those of an AS; with both, what meets both. One of them
    may be None."""

    prefix: Prefix | None
    asn: int | None


class Slurm(NamedTuple):
    """prefix_filters, prefix_assertions: of VRPs. aspa_filters: customers. aspa_assertions: providers by customer."""

    prefix_filters: tuple[PrefixFilter, ...] = ()
    prefix_assertions: tuple[Vrp, ...] = ()
    aspa_filters: frozenset[int] = frozenset()
    aspa_assertions: Mapping[int, tuple[int, ...]] = {}

    def apply(self, snapshot: Snapshot) -> Snapshot:
        """What counts here. An ASPA that is asserted beside another one of the same customer adds providers to it."""
        changes = Changes()
        for afi in AFI_BITS:
            removed = {record for each in self.prefix_filters for record in _filtered(snapshot.records(afi), afi, each)}
            changes.withdraw(afi, b"".join(sorted(removed)))
        for vrp in self.prefix_assertions:
            changes.announce(vrp.prefix.afi, pack_vrp(vrp))
        for customer in self.aspa_filters:
            changes.withdraw_aspa(customer)
        for customer, providers in self.aspa_assertions.items():
            others = () if customer in self.aspa_filters else snapshot.aspas.get(customer, ())
            changes.announce_aspa(customer, (*others, *providers))
        return changes.apply(snapshot).snapshot if len(changes) else snapshot


def _filtered(records: bytes, afi: int, said: PrefixFilter) -> Iterator[bytes]:
    """The records that a filter removes."""
    if said.prefix is not None and said.prefix.afi != afi:
        return
    width = WIDTHS[afi]
    start, end = (0, len(records)) if said.prefix is None else _extent(records, said.prefix)
    if said.asn is None:
        yield from (records[place : place + width] for place in range(start, end, width))
        return
    asn = said.asn.to_bytes(4, "big")
    found = records.find(asn, start, end)
    while found >= 0:
        if found % width == width - 4:
            yield records[found + 4 - width : found + 4]
        found = records.find(asn, found + 1, end)


def _extent(records: bytes, prefix: Prefix) -> tuple[int, int]:
    """Where the records inside a prefix begin and end: they stand beside each other, behind shorter ones of the same
    address."""
    width, bits = WIDTHS[prefix.afi], AFI_BITS[prefix.afi]
    size = bits // 8 + 1
    places = range(len(records) // width)
    first = prefix.address.to_bytes(bits // 8, "big") + bytes((prefix.length,))
    last = (prefix.address | (1 << bits - prefix.length) - 1).to_bytes(bits // 8, "big") + b"\xff"
    start, end = (
        bisect_left(places, key, key=lambda place: records[place * width : place * width + size])
        for key in (first, last)
    )
    return start * width, end * width


# Reading

_FILTERS: Final = "validationOutputFilters"
_ASSERTIONS: Final = "locallyAddedAssertions"


def parse_slurm(octets: bytes) -> Slurm:
    """Raises SlurmError. Members that RFC 8416 does not name are errors, as it says in section 3."""
    if len(octets) > MAX_SIZE:
        raise SlurmError([f"more than {MAX_SIZE >> 20} MiB"])
    try:
        item = msgspec.json.decode(octets)
    except (msgspec.DecodeError, RecursionError) as error:
        raise SlurmError([f"no JSON: {error}"]) from None
    reader = _Reader()
    slurm = reader.read(item)
    if reader.errors:
        raise SlurmError(reader.errors)
    return slurm


class _Reader:
    """Reads a file to its end, however much is wrong with it."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def fault(self, place: str, text: str) -> None:
        self.errors.append(f"{place}: {text}")

    def read(self, item: object) -> Slurm:
        top = self._object(item, "$", {"slurmVersion", _FILTERS, _ASSERTIONS})
        version = top.get("slurmVersion")
        if type(version) is not int or version not in (1, 2):
            self.fault("$.slurmVersion", "1 or 2 is expected")
        kinds = {"prefix", "bgpsec", "aspa"} if version == 2 else {"prefix", "bgpsec"}
        filters = self._lists(top, _FILTERS, {f"{kind}Filters" for kind in kinds})
        assertions = self._lists(top, _ASSERTIONS, {f"{kind}Assertions" for kind in kinds})
        prefix_filters = tuple(self._each(filters, _FILTERS, "prefixFilters", self._prefix_filter))
        aspa_filters = frozenset(self._each(filters, _FILTERS, "aspaFilters", self._aspa_filter))
        vrps = tuple(self._each(assertions, _ASSERTIONS, "prefixAssertions", self._prefix_assertion))
        aspas: dict[int, tuple[int, ...]] = {}
        for customer, providers in self._each(assertions, _ASSERTIONS, "aspaAssertions", self._aspa_assertion):
            aspas[customer] = sort_providers((*aspas.get(customer, ()), *providers))
        return Slurm(prefix_filters, vrps, aspa_filters, aspas)

    def _object(self, item: object, place: str, keys: set[str]) -> dict[str, Any]:
        if not isinstance(item, dict):
            self.fault(place, "an object is expected")
            return {}
        for key in item.keys() - keys:
            self.fault(f"{place}.{key}", f"unknown; {', '.join(sorted(keys))} are known here")
        return item

    def _lists(self, top: dict[str, Any], name: str, keys: set[str]) -> dict[str, Any]:
        """One of the two sections, of which each member is a list."""
        if name not in top:
            self.fault(f"$.{name}", "is missing")
            return {}
        section = self._object(top[name], f"$.{name}", keys)
        for key in sorted(keys):
            if key in section and not isinstance(section[key], list):
                self.fault(f"$.{name}.{key}", "a list is expected")
            elif key not in section and not key.startswith("aspa") and isinstance(top[name], dict):
                self.fault(f"$.{name}.{key}", "is missing; [] says that there are none")
        return section

    def _each(self, section: dict[str, Any], name: str, key: str, read: Callable[[Any, str], Any]) -> Iterator[Any]:
        """What can be read of the items of a list."""
        items = section.get(key)
        for number, item in enumerate(items if isinstance(items, list) else ()):
            before = len(self.errors)
            found = read(item, f"$.{name}.{key}[{number}]")
            if len(self.errors) == before:
                yield found

    def _prefix_filter(self, item: object, place: str) -> PrefixFilter | None:
        found = self._object(item, place, {"prefix", "asn", "comment"})
        if isinstance(item, dict) and not found.keys() & {"prefix", "asn"}:
            self.fault(place, "prefix or asn is missing")
        prefix = self._prefix(found, place) if "prefix" in found else None
        asn = self._asn(found, place, "asn") if "asn" in found else None
        self._comment(found, place)
        return PrefixFilter(prefix, asn)

    def _prefix_assertion(self, item: object, place: str) -> Vrp | None:
        found = self._object(item, place, {"prefix", "asn", "maxPrefixLength", "comment"})
        if not found and not isinstance(item, dict):
            return None
        prefix = self._prefix(found, place)
        asn = self._asn(found, place, "asn")
        self._comment(found, place)
        if prefix is None or asn is None:
            return None
        longest, bits = found.get("maxPrefixLength", prefix.length), AFI_BITS[prefix.afi]
        if type(longest) is not int or not prefix.length <= longest <= bits:
            self.fault(f"{place}.maxPrefixLength", f"{prefix.length} to {bits} is expected")
            return None
        return Vrp(prefix, longest, asn)

    def _aspa_filter(self, item: object, place: str) -> int | None:
        found = self._object(item, place, {"customerAsid", "comment"})
        self._comment(found, place)
        return self._asn(found, place, "customerAsid") if isinstance(item, dict) else None

    def _aspa_assertion(self, item: object, place: str) -> tuple[int, tuple[int, ...]] | None:
        found = self._object(item, place, {"customerAsid", "providers", "comment"})
        if not isinstance(item, dict):
            return None
        self._comment(found, place)
        customer = self._asn(found, place, "customerAsid")
        providers = found.get("providers")
        if not isinstance(providers, list) or not providers:
            self.fault(f"{place}.providers", "a list of AS numbers is expected; [0] says that there is no provider")
            return None
        asns = [self._number(asn, f"{place}.providers[{number}]") for number, asn in enumerate(providers)]
        return (customer or 0, sort_providers(asn for asn in asns if asn is not None))

    def _prefix(self, found: dict[str, Any], place: str) -> Prefix | None:
        text = found.get("prefix")
        try:
            prefix = parse_prefix(text) if isinstance(text, str) else None
        except TextError as error:
            self.fault(f"{place}.prefix", str(error))
            return None
        if prefix is None or prefix.path_id is not None:
            self.fault(f"{place}.prefix", "a prefix is expected, as in 192.0.2.0/24")
        elif parse_prefix(f"{str(text).partition('/')[0]}/{AFI_BITS[prefix.afi]}").address != prefix.address:
            self.fault(f"{place}.prefix", f"bits are set behind the length: {text}; {prefix} is meant")
        return prefix

    def _asn(self, found: dict[str, Any], place: str, key: str) -> int | None:
        return self._number(found.get(key), f"{place}.{key}")

    def _number(self, asn: object, place: str) -> int | None:
        if type(asn) is not int or not 0 <= asn <= MOST_ASN:
            self.fault(place, f"an AS number is expected, 0 to {MOST_ASN}")
            return None
        return asn

    def _comment(self, found: dict[str, Any], place: str) -> None:
        if not isinstance(found.get("comment", ""), str):
            self.fault(f"{place}.comment", "text is expected")
