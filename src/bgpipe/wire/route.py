"""Routes of families whose NLRI are not plain IP prefixes: what their NLRI say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from .errors import TextError
from .family import Family
from .nlri import TABLE, members_of, split_nlri
from .nlri.text import label_numbers
from .prefix import Prefix, parse_prefix

_PREFIXES: Final = ("prefix", "DST")
"""Members that are the prefix that a route is about: of FlowSpec the destination."""


class Route(NamedTuple):
    """One NLRI.

    path_id: the path identifier (RFC 7911), or None. members: what the NLRI says, as in JSON; empty if it can't be
    read.
    """

    family: Family
    path_id: int | None
    members: Mapping[str, Any]

    @property
    def prefix(self) -> Prefix | None:
        """The prefix: of FlowSpec the destination, of EVPN that of type IP_PREFIX; None if there is none."""
        for key in _PREFIXES:
            if key in self.members:
                try:
                    return parse_prefix(self.members[key])._replace(path_id=self.path_id)
                except TextError:  # of an IPv6 rule whose first bits may be any
                    return None
        return None

    @property
    def rd(self) -> str | None:
        """The route distinguisher, as in JSON."""
        rd: str | None = self.members.get("rd", self.members.get("RD"))
        return rd

    @property
    def mac(self) -> str | None:
        """The MAC address, of EVPN."""
        mac: str | None = self.members.get("mac")
        return mac

    @property
    def labels(self) -> list[int]:
        """The MPLS labels as numbers of 20 bits, of VPLS the base of the label block."""
        base = self.members.get("base")
        return label_numbers(self.members.get("labels", [] if base is None else [base]))

    @property
    def target(self) -> Mapping[str, Any] | None:
        """The route target as the object that an extended community has in JSON, of Route Target membership."""
        target: Mapping[str, Any] | None = self.members.get("target")
        return target


def decode_routes(family: Family, nlri: bytes, add_path: bool | None) -> list[Route]:
    """The routes in NLRI; empty where they have no codec, or can't be told apart (add_path is None)."""
    return list(_decode(family, nlri, add_path)) if family in TABLE and add_path is not None else []


def _decode(family: Family, nlri: bytes, add_path: bool) -> Iterator[Route]:
    for octets in split_nlri(nlri, family, add_path):
        path_id = int.from_bytes(octets[:4], "big") if add_path else None
        yield Route(family, path_id, members_of(octets[4:] if add_path else octets, family))
