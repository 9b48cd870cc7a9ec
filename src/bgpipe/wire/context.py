"""What two speakers agreed on in their OPENs that changes how octets are decoded."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, NamedTuple

from .family import Family

HEADER: Final = 19
"""Octets of a message header (RFC 4271 section 4.1)."""
MAX_MESSAGE: Final = 4096
"""Octets of the longest message (RFC 4271 section 4.1)."""
MAX_EXTENDED_MESSAGE: Final = 65535
"""Octets of the longest message after RFC 8654."""


class _AllFamilies:
    """Contains every family. The ADD-PATH subtypes of MRT do not say which families they mean (RFC 8050)."""

    def __contains__(self, family: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "ALL_FAMILIES"


ALL_FAMILIES: Final[Container[Family]] = _AllFamilies()
NO_FAMILIES: Final[Container[Family]] = frozenset()


class WireContext(NamedTuple):
    """How messages of one direction of a session are encoded.

    as4: AS numbers in AS_PATH and AGGREGATOR have 4 octets (RFC 6793).
    add_path: families whose NLRI carry a path identifier (RFC 7911).
    extended_message: messages may have up to 65535 octets (RFC 8654).
    guess_as: if an AS_PATH or AGGREGATOR can't be read as `as4` says, try the other width.
    assumed: the OPENs are not known. Decoding is a guess then, so messages are neither validated nor encoded again.
    """

    as4: bool = True
    add_path: Container[Family] = NO_FAMILIES
    extended_message: bool = False
    guess_as: bool = False
    assumed: bool = False

    @property
    def max_message(self) -> int:
        """The longest message, in octets: 4096, or 65535 (RFC 8654)."""
        return MAX_EXTENDED_MESSAGE if self.extended_message else MAX_MESSAGE


AS4: Final = WireContext()
AS2: Final = WireContext(as4=False)
AS4_ADD_PATH: Final = WireContext(add_path=ALL_FAMILIES)
AS2_ADD_PATH: Final = WireContext(as4=False, add_path=ALL_FAMILIES)
