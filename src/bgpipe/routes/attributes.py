"""What is said of a route beside its prefix, and how that is written for a kind of peers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

from ..wire import attrs
from ..wire.address import parse_address
from ..wire.attrs.as_path import AS_SEQUENCE, AsPath, Segment
from ..wire.attrs.attribute import Attribute, encode_header
from ..wire.attrs.large_community import LargeCommunity
from ..wire.attrs.mp_reach import encode_family
from ..wire.context import AS4, HEADER, WireContext
from ..wire.errors import TextError
from ..wire.family import IPV4_UNICAST, IPV6_UNICAST

SELF: Final = "self"
"""In the place of a next hop: our own address."""
IGP: Final = 0
"""The ORIGIN of routes of which nothing else is said (RFC 4271 section 5.1.1)."""
_LEAST_ROOM: Final = {1: 5, 2: 17}
"""By AFI, octets of the longest prefix in NLRI."""
FAMILIES: Final = {1: IPV4_UNICAST, 2: IPV6_UNICAST}
"""By AFI, the family that a route server announces."""


class Attributes(NamedTuple):
    """What a source, a list, a group of peers or a peer says of routes.

    communities: 32-bit numbers (RFC 1997). large_communities: triples (RFC 8092). ext_communities: 64-bit numbers
    (RFC 4360). med: None for none. prepends: how many more times our AS number stands in AS_PATH; None where nothing
    is said. next_hop_ipv4, next_hop_ipv6: of the routes of that family: an address, `self`, or nothing where nothing
    is said.
    """

    communities: frozenset[int] = frozenset()
    large_communities: frozenset[LargeCommunity] = frozenset()
    ext_communities: frozenset[int] = frozenset()
    med: int | None = None
    prepends: int | None = None
    next_hop_ipv4: str = ""
    next_hop_ipv6: str = ""

    def joined(self, other: Attributes) -> Attributes:
        """All communities of both; for the rest ours, and theirs where we say nothing."""
        if self == other or other == PLAIN:
            return self
        return Attributes(
            self.communities | other.communities,
            self.large_communities | other.large_communities,
            self.ext_communities | other.ext_communities,
            self.med if self.med is not None else other.med,
            self.prepends if self.prepends is not None else other.prepends,
            self.next_hop_ipv4 or other.next_hop_ipv4,
            self.next_hop_ipv6 or other.next_hop_ipv6,
        )


@lru_cache(maxsize=4096)
def shared(attributes: Attributes) -> Attributes:
    """The same, of which there is one in memory: the tables of a thousand peers name some dozens each."""
    return attributes


PLAIN: Final = Attributes()
"""Nothing beside the prefix."""


class UpdateGroup(NamedTuple):
    """Peers to which routes are written in the same octets, and how: the agreed capabilities, next hops and AS number.

    asn: our AS number. context: what is agreed (4-octet AS numbers, extended messages; ADD-PATH is not sent).
    next_hop_ipv4, next_hop_ipv6: of routes that say nothing of it: an address, or nothing if they are not to be
    announced. An IPv6 address for IPv4 routes makes them travel in MP_REACH_NLRI (RFC 8950), which must be agreed.
    own_ipv4, own_ipv6: what `self` means, the same as those if it is not known. internal: the peer is in our AS:
    LOCAL_PREF is sent, our AS number is not. otc: the value of ONLY_TO_CUSTOMER (RFC 9234), None for none.
    """

    asn: int
    next_hop_ipv4: str = ""
    next_hop_ipv6: str = ""
    context: WireContext = AS4
    internal: bool = False
    local_pref: int = 100
    otc: int | None = None
    own_ipv4: str = ""
    own_ipv6: str = ""

    def next_hop(self, attributes: Attributes, afi: int) -> bytes:
        """The octets of a route's next hop; none if it has none, so that it is not announced."""
        ours = self.next_hop_ipv4 if afi == 1 else self.next_hop_ipv6
        own = self.own_ipv4 if afi == 1 else self.own_ipv6
        theirs = attributes.next_hop_ipv4 if afi == 1 else attributes.next_hop_ipv6
        text = (own or ours) if theirs == SELF else theirs or ours
        return parse_address(text) if text else b""


class EncodedAttributes(NamedTuple):
    """What all UPDATEs have in common that announce routes of one family with the same attributes, in one form.

    section: the octets of all path attributes but MP_REACH_NLRI. reach: what stands before the NLRI in MP_REACH_NLRI;
    nothing where the NLRI field is used.
    """

    section: bytes
    reach: bytes
    context: WireContext

    @property
    def room(self) -> int:
        """Octets of NLRI that one message has place for."""
        return self.context.max_message - HEADER - 4 - len(self.section) - (4 + len(self.reach) if self.reach else 0)

    def body(self, nlri: bytes) -> bytes:
        """An UPDATE's body with these NLRI."""
        section = self.section
        if self.reach:  # it comes first (RFC 7606 section 5.1)
            header = encode_header(attrs.OPTIONAL, attrs.MP_REACH, len(self.reach) + len(nlri))
            section = b"".join((header, self.reach, nlri, section))
            nlri = b""
        return b"".join((b"\0\0", len(section).to_bytes(2, "big"), section, nlri))


@lru_cache(maxsize=4096)
def head(attributes: Attributes, form: UpdateGroup, afi: int) -> EncodedAttributes | None:
    """How routes of a family with these attributes are announced in a form; None if they can't be (see why_not)."""
    hop = form.next_hop(attributes, afi)
    if not hop:
        return None
    try:
        found = _head(attributes, form, afi, hop)
    except (TextError, OverflowError):  # an attribute of more than 65535 octets
        return None
    return found if found.room >= _LEAST_ROOM[afi] else None


def why_not(attributes: Attributes, form: UpdateGroup, afi: int) -> str:
    """Why routes of a family with these attributes can't be announced in a form, "" if they can."""
    if head(attributes, form, afi) is not None:
        return ""
    if not form.next_hop(attributes, afi):
        return f"there is no next hop for IPv{4 if afi == 1 else 6} routes"
    return "path attributes leave no room for a prefix in an UPDATE"


def _head(attributes: Attributes, form: UpdateGroup, afi: int, hop: bytes) -> EncodedAttributes:
    """Raises TextError, OverflowError."""
    path = (form.asn,) * ((attributes.prepends or 0) + (not form.internal))
    segments = AsPath([Segment(AS_SEQUENCE, path)] if path else ())
    classic = afi == 1 and len(hop) == 4
    values: dict[int, Any] = {
        attrs.ORIGIN: IGP,
        attrs.AS_PATH: segments,
        attrs.NEXT_HOP: hop if classic else None,
        attrs.MED: attributes.med,
        attrs.LOCAL_PREF: form.local_pref if form.internal else None,
        attrs.COMMUNITY: tuple(sorted(attributes.communities)) or None,
        attrs.EXT_COMMUNITY: tuple(sorted(attributes.ext_communities)) or None,
        attrs.AS4_PATH: segments if path and not form.context.as4 and form.asn > 0xFFFF else None,
        attrs.LARGE_COMMUNITY: tuple(sorted(attributes.large_communities)) or None,
        attrs.OTC: form.otc,
    }
    encoded = []
    for code, value in values.items():
        if value is not None:
            row = attrs.TABLE[code]
            octets = value if code == attrs.NEXT_HOP else row.codec.encode(value, form.context)
            encoded.append(Attribute(row.default, code, octets, form.context).encode())
    reach = b"" if classic else encode_family(FAMILIES[afi]) + bytes((len(hop),)) + hop + b"\0"
    return EncodedAttributes(b"".join(encoded), reach, form.context)
