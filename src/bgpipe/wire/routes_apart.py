"""The routes that an UPDATE announces, one by one, and UPDATEs that announce or withdraw only some of them."""

from __future__ import annotations

from collections.abc import Collection, Container
from typing import Final

from . import attrs as table
from .attrs.attribute import encode_header
from .attrs.mp_reach import encode_family, split_routes
from .errors import TextError
from .family import IPV4_UNICAST, IPV6_UNICAST, Family
from .prefix import Prefix, decode_prefixes
from .update_body import UpdateBody, join, split_attributes

UNICAST: Final = (IPV4_UNICAST, IPV6_UNICAST)
LABELED: Final = (Family(1, 4), Family(2, 4))
"""IPv4 and IPv6 unicast with MPLS labels (RFC 8277)."""
_UNREACH: Final = table.MP_UNREACH
_MULTIPROTOCOL: Final = (table.MP_REACH, table.MP_UNREACH)


class RoutesApart:
    """The announced routes: those of the NLRI field, then those of MP_REACH_NLRI.

    prefixes: of the routes. unicast: how many of these are of IPv4 and IPv6 unicast. families: those of MP_REACH_NLRI
    whose routes are looked at, which have prefixes; routes of others stay what they are. Raises WireError if the
    prefixes can't be decoded.
    """

    def __init__(self, update: UpdateBody, families: Container[Family] = UNICAST) -> None:
        self._withdrawn, section, nlri = update.parts()
        add_path = IPV4_UNICAST in update.context.add_path
        self.prefixes: list[Prefix] = decode_prefixes(nlri, 1, add_path)
        self._routes = split_routes(IPV4_UNICAST, nlri, add_path)
        self._first = len(self._routes)
        """the number of the first route of MP_REACH_NLRI"""
        self._attributes: list[tuple[int, bytes]] = []
        self._head = b""
        """MP_REACH_NLRI up to its NLRI, if its routes are looked at"""
        self._families = families
        self._family: Family | None = None
        self._unreach: tuple[Family, bytes] | None = None
        for flags, code, value in split_attributes(section, 0, len(section)):
            self._attributes.append((code, encode_header(flags, code, len(value)) + value))
            if code == table.MP_REACH:
                self._read_reach(update)
            elif code == table.MP_UNREACH:
                unreach = update.attrs[code].value
                self._unreach = unreach.family, unreach.nlri
        self.unicast = len(self.prefixes) if self._family is None or self._family in UNICAST else self._first

    @property
    def has_others(self) -> bool:
        """Whether it announces routes of another family too."""
        return self._family is None and any(code == table.MP_REACH for code, _ in self._attributes)

    def _read_reach(self, update: UpdateBody) -> None:
        attribute = update.attrs[table.MP_REACH]
        value = attribute.value
        if value.family not in self._families or value.add_path is None:
            return
        found = value.prefixes if value.family.address_bits else [route.prefix for route in value.routes]
        if None in found:
            return
        self._family = value.family
        self._head = attribute.octets[: len(attribute.octets) - len(value.nlri)]
        self.prefixes = self.prefixes + found
        self._routes += split_routes(value.family, value.nlri, value.add_path)

    def announce(self, places: Collection[int], withdraw: Collection[int] = ()) -> list[bytes]:
        """Bodies with all that the UPDATE does, but of the routes announces only those at these places, and withdraws
        those at the others: one body; two where one can't hold it; none if nothing is left to say."""
        classic, multiprotocol = self._octets(places, 0), self._octets(places, 1)
        gone, gone_multiprotocol = self._octets(withdraw, 0), self._gone(withdraw)
        withdrawn, unreach = self._withdrawn + gone, self._unreach
        extra: list[bytes] = []
        if gone_multiprotocol:
            assert self._family is not None
            if unreach is None or unreach[0] == self._family:
                unreach = self._family, (unreach[1] if unreach else b"") + gone_multiprotocol
            elif self._family == IPV4_UNICAST:
                withdrawn += gone_multiprotocol
            else:
                extra = [join(b"", _unreach(self._family, gone_multiprotocol), b"")]
        try:
            body = self._body(withdrawn, unreach, multiprotocol, classic)
        except TextError:  # the two families take a header more
            extra = self.withdraw(withdraw)
            body = self._body(self._withdrawn, self._unreach, multiprotocol, classic)
        return [*([body] if body is not None else []), *extra]

    def announce_alone(self, places: Collection[int]) -> bytes:
        """A body that announces the routes at these places, of which there is one at least, and does nothing else."""
        classic, multiprotocol = self._octets(places, 0), self._octets(places, 1)
        others = _MULTIPROTOCOL if self.has_others else (_UNREACH,)
        attributes, self._attributes = self._attributes, [each for each in self._attributes if each[0] not in others]
        try:
            body = self._body(b"", None, multiprotocol, classic)
        finally:
            self._attributes = attributes
        assert body is not None
        return body

    def withdraw(self, places: Collection[int]) -> list[bytes]:
        """One body that withdraws the routes at these places; none without any."""
        gone = self._gone(places)
        attribute = _unreach(self._family, gone) if gone and self._family is not None else b""
        classic = self._octets(places, 0)
        return [join(classic, attribute, b"")] if classic or attribute else []

    def _octets(self, places: Collection[int], part: int) -> bytes:
        """The NLRI of routes: part 0 for those of the NLRI field, 1 for those of MP_REACH_NLRI."""
        start, stop = (self._first, len(self._routes)) if part else (0, self._first)
        return b"".join(self._routes[place] for place in range(start, stop) if place in places)

    def _gone(self, places: Collection[int]) -> bytes:
        """The NLRI of MP_UNREACH_NLRI for routes of MP_REACH_NLRI."""
        if self._family not in LABELED:
            return self._octets(places, 1)
        from .nlri.labeled import withdrawal  # as all codecs, when it is needed

        routes = ((place, self._routes[place]) for place in range(self._first, len(self._routes)) if place in places)
        found = []
        for place, octets in routes:
            start = 0 if self.prefixes[place].path_id is None else 4
            found.append(octets[:start] + withdrawal(octets[start:], self.prefixes[place].afi))
        return b"".join(found)

    def _body(
        self, withdrawn: bytes, unreach: tuple[Family, bytes] | None, multiprotocol: bytes, classic: bytes
    ) -> bytes | None:
        """None if it says nothing. Attributes go where nothing is announced any more."""
        announces = bool(classic or multiprotocol or self.has_others)
        section = []
        for code, octets in self._attributes:
            if code == table.MP_UNREACH:
                section.append(_unreach(*unreach) if unreach is not None and unreach != self._unreach else octets)
            elif code == table.MP_REACH and self._family is not None:
                if multiprotocol:
                    value = self._head + multiprotocol
                    section.append(encode_header(octets[0], table.MP_REACH, len(value)) + value)
            elif announces:
                section.append(octets)
        if unreach is not None and self._unreach is None:
            section.insert(0, _unreach(*unreach))
        if not announces and not withdrawn and unreach is None:
            return None
        return join(withdrawn, b"".join(section), classic)


def _unreach(family: Family, nlri: bytes) -> bytes:
    value = encode_family(family) + nlri
    return encode_header(table.OPTIONAL, table.MP_UNREACH, len(value)) + value
