"""The reactions of RFC 7606 section 2 that change a malformed UPDATE: attribute discard and treat-as-withdraw.

Prefixes are copied as octets and not decoded, because they may be what is malformed.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from . import attrs as table
from .attrs.attribute import Attribute
from .context import WireContext
from .errors import Reaction, WireError
from .family import IPV4_UNICAST, Family
from .update_body import UpdateBody, join, split_attributes

_VPN = 128
_LABELED = (4, _VPN)
"""SAFIs of routes with MPLS labels."""
_OPTIONAL_EXTENDED = bytes((table.OPTIONAL | 0x10,))


def discard(update: UpdateBody, external: bool = False) -> bytes:
    """The body without the attributes that are to be discarded, and without any that is repeated.

    external: it comes from an external peer.
    """
    withdrawn, _, nlri = update.parts()
    kept = []
    for attribute in update.attrs.values():
        wrong = attribute.error(external=external)
        if wrong is None or wrong.reaction is not Reaction.ATTRIBUTE_DISCARD:
            kept.append(attribute.encode())
    return join(withdrawn, b"".join(kept), nlri)


def withdraw(update: UpdateBody) -> list[bytes]:
    """Bodies that withdraw all prefixes which the UPDATE announces or withdraws: one, or one for each family of
    MP_REACH_NLRI and MP_UNREACH_NLRI where these differ.

    Raises WireError (session reset) if it can't be told which prefixes these are.
    """
    withdrawn, section, nlri = update.parts()
    families: dict[bytes, bytes] = {}
    for code, value in _readable(section):
        if code == table.MP_UNREACH:
            family, prefixes = value[:3], value[3:]
        elif code == table.MP_REACH:
            family, prefixes = value[:3], _withdrawn(value[:3], _announced(value), update.context)
        else:
            continue
        if len(family) < 3:
            raise WireError("a family cut short", subcode=9)
        families[family] = families.get(family, b"") + prefixes
    bodies = []
    classic = withdrawn + nlri
    for family, prefixes in families.items():
        size = len(family) + len(prefixes)
        attribute = _OPTIONAL_EXTENDED + bytes((table.MP_UNREACH,)) + size.to_bytes(2, "big") + family + prefixes
        bodies.append(join(classic, attribute, b""))
        classic = b""
    return bodies or [join(classic, b"", b"")]


def keep_families(update: UpdateBody, families: Container[Family]) -> tuple[bytes | None, list[Family]]:
    """Removes the routes of families that are not in `families`. Returns the body, or None if no route is left, and the
    families that were removed.

    Raises WireError if it can't be told which families the UPDATE is about.
    """
    withdrawn, section, nlri = update.parts()
    left_out: list[Family] = []
    kept: list[bytes] = []
    reaches = unreaches = False
    for flags, code, value in split_attributes(section, 0, len(section)):
        if code in (table.MP_REACH, table.MP_UNREACH):
            if len(value) < 3:
                raise WireError("a family cut short", subcode=9)
            family = Family(int.from_bytes(value[:2], "big"), value[2])
            if family not in families:
                left_out.append(family)
                continue
            reaches |= code == table.MP_REACH
            unreaches |= code == table.MP_UNREACH
        kept.append(Attribute(flags, code, value, update.context).encode())
    classic = bool(withdrawn or nlri) or not section  # an empty UPDATE is the End-of-RIB of IPv4 unicast
    if classic and IPV4_UNICAST not in families:
        left_out.append(IPV4_UNICAST)
        withdrawn = nlri = b""
        classic = False
    if not left_out:
        return update.body, []
    if not classic and not reaches and not unreaches:
        return None, left_out
    return join(withdrawn, b"".join(kept), nlri), left_out


def _readable(section: bytes) -> Iterator[tuple[int, bytes]]:
    """(code, value) of the attributes up to the first that is cut short (RFC 7606 section 4)."""
    try:
        for _, code, value in split_attributes(section, 0, len(section)):
            yield code, value
    except WireError:
        return


def _withdrawn(family: bytes, nlri: bytes, context: WireContext) -> bytes:
    """What withdraws NLRI: the same octets, but of several labels only one is left (RFC 8277 section 2.4)."""
    if family[2] not in _LABELED or family[:2] not in (b"\0\1", b"\0\2"):
        return nlri
    from .nlri import find_path_ids, split_nlri
    from .nlri.labeled import withdrawal  # as all codecs, when it is needed

    found = Family(family[1], family[2])
    add_path = find_path_ids(nlri, found, context)
    if add_path is None:
        return nlri
    start = 4 if add_path else 0
    try:
        each = split_nlri(nlri, found, add_path)
        return b"".join(one[:start] + withdrawal(one[start:], found.afi, found.safi == _VPN) for one in each)
    except (WireError, IndexError):
        return nlri


def _announced(value: bytes) -> bytes:
    """The NLRI octets of an MP_REACH_NLRI value (RFC 4760 section 3)."""
    start = 4 + value[3] + 1 if len(value) > 3 else 0
    if not start or start > len(value):
        raise WireError("MP_REACH_NLRI is cut short in its next hop", subcode=9)
    return value[start:]
