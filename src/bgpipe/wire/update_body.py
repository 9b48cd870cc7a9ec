"""The body of an UPDATE as it is read (RFC 4271 section 4.3).

Octets are decoded when a property asks for them. A path attribute that can't be decoded gives None there, as if it were
absent; wire/validation.py says what is wrong with it. NLRI that can't be decoded raise WireError, because then nobody
knows which routes the message is about.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from .. import accel
from . import attrs as table
from .attrs import as_path as paths
from .attrs.aggregator import Aggregator
from .attrs.as_path import AS_TRANS, AsPath
from .attrs.attribute import Attribute, encode_header
from .attrs.community import format_community
from .attrs.large_community import format_large_community
from .attrs.mp_reach import MpReach, encode_family
from .context import AS2, AS2_ADD_PATH, AS4, AS4_ADD_PATH, HEADER, MAX_EXTENDED_MESSAGE, WireContext
from .errors import Reaction, TextError, WireError
from .ext_community import format_ext_community
from .family import IPV4_UNICAST, Family
from .prefix import Prefix, decode_prefixes
from .route import Route

_MULTIPROTOCOL: Final = (table.MP_REACH, table.MP_UNREACH)
_looker: Any = accel.look.Looker(Prefix, [AS2, AS4, AS2_ADD_PATH, AS4_ADD_PATH]) if accel.AVAILABLE else None
"""Answers the most frequent questions about well-formed UPDATEs, ten times as fast; for others it returns None."""


class UpdateBody:
    """The octets of an UPDATE after the header, and what they say.

    list_errors: errors of the list of path attributes, found when `attrs` is read for the first time.
    sound: it is known to have no error that `malformed` (wire/validation.py) would find.
    """

    __slots__ = ("_attrs", "_body", "_bounds", "_context", "_each", "list_errors", "sound")

    def __init__(self, body: bytes, context: WireContext = AS4) -> None:
        self._body = body
        self._context = context
        self._bounds: tuple[int, int] | None = None
        self._attrs: dict[int, Attribute] | None = None
        self._each: dict[bytes, Attribute | None] | None = None
        self.list_errors: Sequence[WireError] = ()
        self.sound = False

    @property
    def body(self) -> bytes:
        """The octets after the message header."""
        return self._body

    @property
    def context(self) -> WireContext:
        """How the octets are decoded."""
        return self._context

    # What is in it

    @property
    def nlri(self) -> list[Prefix]:
        """The prefixes of the NLRI field: IPv4 unicast. Raises WireError."""
        return decode_prefixes(self._body, 1, IPV4_UNICAST in self._context.add_path, self.sections()[1])

    @property
    def withdrawn_routes(self) -> list[Prefix]:
        """The prefixes of the Withdrawn Routes field: IPv4 unicast. Raises WireError."""
        return decode_prefixes(self._body, 1, IPV4_UNICAST in self._context.add_path, 2, self.sections()[0])

    @property
    def reach(self) -> list[Prefix]:
        """All announced prefixes: of the NLRI field, and of MP_REACH_NLRI. Raises WireError."""
        prefixes: list[Prefix] | None = _looker and _looker.reach(self._body, self._context)
        if prefixes is not None:
            return prefixes
        prefixes = self.nlri
        mp_reach = self.attrs.get(table.MP_REACH)
        return prefixes + mp_reach.value.prefixes if mp_reach else prefixes

    @property
    def withdrawn(self) -> list[Prefix]:
        """All withdrawn prefixes: of the Withdrawn Routes field, and of MP_UNREACH_NLRI. Raises WireError."""
        prefixes: list[Prefix] | None = _looker and _looker.withdrawn(self._body, self._context)
        if prefixes is not None:
            return prefixes
        prefixes = self.withdrawn_routes
        mp_unreach = self.attrs.get(table.MP_UNREACH)
        return prefixes + mp_unreach.value.prefixes if mp_unreach else prefixes

    @property
    def reach_prefixes(self) -> list[Prefix]:
        """`reach`, and the prefixes of announced `routes`. Raises WireError."""
        prefixes: list[Prefix] | None = _looker and _looker.reach(self._body, self._context)
        return self.reach + _prefixes_of(self.routes) if prefixes is None else prefixes

    @property
    def withdrawn_prefixes(self) -> list[Prefix]:
        """`withdrawn`, and the prefixes of `unreach_routes`. Raises WireError."""
        prefixes: list[Prefix] | None = _looker and _looker.withdrawn(self._body, self._context)
        return self.withdrawn + _prefixes_of(self.unreach_routes) if prefixes is None else prefixes

    @property
    def routes(self) -> list[Route]:
        """The announced NLRI that are not plain IP prefixes: of labels, VPNs, FlowSpec, EVPN and others. Raises
        WireError."""
        mp_reach = self.attrs.get(table.MP_REACH)
        routes: list[Route] = mp_reach.value.routes if mp_reach else []
        return routes

    @property
    def unreach_routes(self) -> list[Route]:
        """The withdrawn NLRI that are not plain IP prefixes. Raises WireError."""
        mp_unreach = self.attrs.get(table.MP_UNREACH)
        routes: list[Route] = mp_unreach.value.routes if mp_unreach else []
        return routes

    @property
    def attrs(self) -> Mapping[int, Attribute]:
        """The path attributes by type code, in the order of the wire; if one comes twice, the first. Raises WireError
        if the lengths in the body do not fit.
        """
        if self._attrs is None:
            start, end = self.sections()
            found: dict[int, Attribute] = {}
            errors: list[WireError] = []
            try:
                for flags, code, octets in split_attributes(self._body, start + 2, end):
                    if code not in found:
                        found[code] = Attribute(flags, code, octets, self._context)
                    else:
                        errors.append(_duplicate_attribute(code))
            except WireError as error:
                errors.append(error)
            self._attrs, self.list_errors = found, errors
        return self._attrs

    def attribute_octets(self) -> Collection[bytes]:
        """The octets of each path attribute, header included, in their order. Empty if one comes twice or does not fit.
        Raises WireError if the sections of the body can't be found."""
        if self._each is None:
            self._each = dict.fromkeys(_split(self._body, *(self._bounds or self.sections())))
        return self._each

    def attribute(self, octets: bytes) -> Attribute:
        """The path attribute with these octets, of `attribute_octets`: made once, so that its value is decoded once."""
        each = self._each
        assert each is not None
        found = each[octets]
        if found is None:
            value = octets[4:] if octets[0] & table.EXTENDED_LENGTH else octets[3:]
            found = each[octets] = Attribute(octets[0], octets[1], value, self._context)
        return found

    def value(self, code: int) -> Any:
        """The value of the attribute with this type code; None if it is absent or can't be decoded."""
        attribute = self.attrs.get(code)
        if attribute is None:
            return None
        try:
            return attribute.value
        except WireError:
            return None

    @property
    def as4(self) -> bool:
        """Whether AS numbers have 4 octets, not 2: as the context says, or as they can be read if it guesses."""
        as4 = self._context.as4
        if not self._context.guess_as:
            return as4
        path, aggregator = self.attrs.get(table.AS_PATH), self.attrs.get(table.AGGREGATOR)
        if path is not None and path.octets:
            return paths.guess_as4(path.octets, as4)
        return len(aggregator.octets) == 8 if aggregator is not None else as4

    @property
    def as_path(self) -> AsPath | None:
        """AS_PATH, with AS4_PATH merged into it where the session has AS numbers of two octets (RFC 6793 4.2.3)."""
        path: AsPath | None = self.value(table.AS_PATH)
        if path is None or table.AS4_PATH not in self.attrs or self.as4:
            return path
        aggregator: Aggregator | None = self.value(table.AGGREGATOR)
        as4_path: AsPath | None = self.value(table.AS4_PATH)
        if as4_path is None or paths.check(as4_path, self._context):  # a malformed AS4_PATH is ignored (RFC 7607)
            return path
        if aggregator and aggregator.asn != AS_TRANS and table.AS4_AGGREGATOR in self.attrs:
            return path
        return paths.merge_as4_path(path, as4_path)

    @property
    def origin_as(self) -> int | None:
        """The origin AS: the last AS number of the AS path. None if the path is empty or ends in an AS_SET."""
        origin: int | None = _looker.origin_as(self._body, self._context) if _looker else -1
        if origin != -1:
            return origin
        path = self.as_path
        return path.origin if path is not None else None

    @property
    def aggregator(self) -> Aggregator | None:
        """AGGREGATOR, or AS4_AGGREGATOR if that replaces it (RFC 6793 section 4.2.3)."""
        aggregator: Aggregator | None = self.value(table.AGGREGATOR)
        if aggregator and aggregator.asn == AS_TRANS and not self.as4:
            return self.value(table.AS4_AGGREGATOR) or aggregator
        return aggregator

    @property
    def origin(self) -> str | None:
        """IGP, EGP or INCOMPLETE."""
        origin: int | None = self.value(table.ORIGIN)
        names = ("IGP", "EGP", "INCOMPLETE")
        return names[origin] if origin is not None and origin < len(names) else None

    @property
    def next_hop(self) -> str | None:
        """The next hop of MP_REACH_NLRI, else the one of NEXT_HOP."""
        mp_reach: MpReach | None = self.value(table.MP_REACH)
        next_hop: str | None = (mp_reach.next_hop if mp_reach else None) or self.value(table.NEXT_HOP)
        return next_hop

    @property
    def med(self) -> int | None:
        """MULTI_EXIT_DISC."""
        med: int | None = self.value(table.MED)
        return med

    @property
    def local_pref(self) -> int | None:
        local_pref: int | None = self.value(table.LOCAL_PREF)
        return local_pref

    @property
    def otc(self) -> int | None:
        """ONLY_TO_CUSTOMER."""
        otc: int | None = self.value(table.OTC)
        return otc

    @property
    def communities(self) -> list[str]:
        """Each as `65000:1`."""
        return [format_community(community) for community in self.value(table.COMMUNITY) or ()]

    @property
    def large_communities(self) -> list[str]:
        """Each as `65000:1:2`."""
        return [format_large_community(community) for community in self.value(table.LARGE_COMMUNITY) or ()]

    @property
    def ext_communities(self) -> list[str]:
        """Each as the JSON text of its type and value."""
        return [format_ext_community(community) for community in self.value(table.EXT_COMMUNITY) or ()]

    @property
    def family(self) -> Family:
        """The family of MP_REACH_NLRI, else of MP_UNREACH_NLRI, else IPv4 unicast."""
        for code in (table.MP_REACH, table.MP_UNREACH):
            attribute = self.attrs.get(code)
            if attribute is not None and len(attribute.octets) >= 3:
                return Family(int.from_bytes(attribute.octets[:2], "big"), attribute.octets[2])
        return IPV4_UNICAST

    @property
    def end_of_rib(self) -> Family | None:
        """The family that this message is the End-of-RIB marker of (RFC 4724 section 2), or None."""
        body = self._body
        if len(body) == 4:
            return IPV4_UNICAST if body == bytes(4) else None
        if len(body) > 11 or self.sections()[1] != len(body) or body[:2] != b"\0\0":
            return None
        mp_unreach = self.attrs.get(table.MP_UNREACH)
        return self.family if mp_unreach and len(self.attrs) == 1 and len(mp_unreach.octets) == 3 else None

    @property
    def is_eor(self) -> bool:
        """Whether the message is an End-of-RIB marker (RFC 4724 section 2)."""
        return self.end_of_rib is not None

    def parts(self) -> tuple[bytes, bytes, bytes]:
        """The octets of withdrawn routes, path attributes and NLRI. Raises WireError."""
        start, end = self.sections()
        return self._body[2:start], self._body[start + 2 : end], self._body[end:]

    def sections(self) -> tuple[int, int]:
        """Where Total Path Attribute Length and NLRI start. Raises WireError 3/1 (RFC 4271 section 6.3)."""
        if self._bounds is None:
            body = self._body
            size = len(body)
            start = 2 + int.from_bytes(body[:2], "big")
            if start + 2 > size:
                raise WireError("Withdrawn Routes Length is too large", offset=0)
            end = start + 2 + int.from_bytes(body[start : start + 2], "big")
            if end > size:
                raise WireError("Total Path Attribute Length is too large", offset=start)
            self._bounds = start, end
        return self._bounds


def _prefixes_of(routes: list[Route]) -> list[Prefix]:
    prefixes = [route.prefix for route in routes]
    return [prefix for prefix in prefixes if prefix is not None]


def split_attributes(octets: bytes, pos: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    """(flags, type code, value octets) of each path attribute. Raises WireError when one doesn't fit (RFC 7606 4)."""
    while pos < end:
        start = pos + (4 if octets[pos] & table.EXTENDED_LENGTH else 3)
        if start > end:
            raise _list_error("attribute header is cut short", octets[pos + 1] if pos + 1 < end else None, pos)
        stop = start + int.from_bytes(octets[pos + 2 : start], "big")
        if stop > end:
            text = f"attribute {table.TABLE[octets[pos + 1]].name} is cut short"
            raise _list_error(text, octets[pos + 1], pos)
        yield octets[pos], octets[pos + 1], octets[start:stop]
        pos = stop


def _split(body: bytes, pos: int, end: int) -> list[bytes]:
    """What `UpdateBody.attribute_octets` says. pos: where Total Path Attribute Length is."""
    pos += 2
    found = []
    codes = set()
    while pos + 3 <= end:
        code = body[pos + 1]
        if body[pos] & table.EXTENDED_LENGTH:
            stop = pos + 4 + int.from_bytes(body[pos + 2 : pos + 4], "big")
        else:
            stop = pos + 3 + body[pos + 2]
        if stop > end or code in codes:
            return []
        codes.add(code)
        found.append(body[pos:stop])
        pos = stop
    return found if pos == end else []


def join(withdrawn: bytes, attributes: bytes, nlri: bytes) -> bytes:
    """A body of its three parts. Raises TextError where they don't fit into the longest message (RFC 8654)."""
    size = 4 + len(withdrawn) + len(attributes) + len(nlri)
    if size > MAX_EXTENDED_MESSAGE - HEADER:
        raise TextError(f"{size} octets are too many for one UPDATE")
    lengths = [len(part).to_bytes(2, "big") for part in (withdrawn, attributes)]
    return lengths[0] + withdrawn + lengths[1] + attributes + nlri


def encode_end_of_rib(family: Family) -> bytes:
    """The body of the End-of-RIB marker of a family (RFC 4724 section 2)."""
    if family == IPV4_UNICAST:
        return bytes(4)
    value = encode_family(family)
    return join(b"", encode_header(table.OPTIONAL, table.MP_UNREACH, len(value)) + value, b"")


def _list_error(text: str, code: int | None, pos: int) -> WireError:
    """An error of the list of path attributes (RFC 7606 section 4). If MP_REACH_NLRI or MP_UNREACH_NLRI is not
    complete, it is not known which routes to withdraw, so the session is reset (section 3(j)).

    code: the attribute's type, None if that is not there. pos: where it starts.
    """
    reaction = Reaction.SESSION_RESET if code in _MULTIPROTOCOL else Reaction.TREAT_AS_WITHDRAW
    return WireError(text, subcode=1, reaction=reaction, offset=pos)


def _duplicate_attribute(code: int) -> WireError:
    """An attribute comes twice (RFC 7606 section 3(g))."""
    reaction = Reaction.SESSION_RESET if code in _MULTIPROTOCOL else Reaction.ATTRIBUTE_DISCARD
    return WireError(f"{table.TABLE[code].name} comes twice", subcode=1, reaction=reaction)
