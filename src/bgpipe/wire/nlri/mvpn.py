"""MCAST-VPN (RFC 6514 section 4): route types 1 to 7.

JSON: {"type":"SOURCE_ACTIVE","rd":"65000:1","source":"192.0.2.1","group":"239.0.0.1"}; a source or group that stands
for all (RFC 6625) is left out.
"""

from __future__ import annotations

from typing import Final

from .layout import RD, address, counted_address, inner_nlri, number
from .typed import typed_codec

_SOURCE_AS: Final = number("source_as", 4)
_SOURCE: Final = counted_address("source")
_GROUP: Final = counted_address("group")
_ORIGINATOR: Final = address("originator")

CODEC: Final = typed_codec(
    {
        1: ("INTRA_AS_PMSI", (RD, _ORIGINATOR)),
        2: ("INTER_AS_PMSI", (RD, _SOURCE_AS)),
        3: ("SPMSI", (RD, _SOURCE, _GROUP, _ORIGINATOR)),
        4: ("LEAF", (inner_nlri("key"), _ORIGINATOR)),
        5: ("SOURCE_ACTIVE", (RD, _SOURCE, _GROUP)),
        6: ("SHARED_TREE_JOIN", (RD, _SOURCE_AS, _SOURCE, _GROUP)),
        7: ("SOURCE_TREE_JOIN", (RD, _SOURCE_AS, _SOURCE, _GROUP)),
    }
)
