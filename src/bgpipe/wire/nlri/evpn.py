"""EVPN (RFC 7432, RFC 9136, RFC 9251, RFC 9572): route types 1 to 11.

JSON: {"type":"MAC_IP","rd":"65000:1","esi":"0","tag":0,"mac":"00:00:5e:00:53:01","ip":"192.0.2.1","labels":[16]}.
A label is a number if its last four bits are zero; a VXLAN network identifier, which fills all 24, is "0x...".
"""

from __future__ import annotations

from typing import Final

from .layout import (
    ESI,
    GATEWAY,
    LABELS,
    MAC,
    PREFIX,
    RD,
    constant,
    counted_address,
    hexadecimal,
    inner_nlri,
    number,
)
from .typed import typed_codec

_TAG: Final = number("tag", 4)
_IP: Final = counted_address("ip")
_SOURCE: Final = counted_address("source")
_GROUP: Final = counted_address("group")
_ORIGINATOR: Final = counted_address("originator")
_FLAGS: Final = number("flags", 1)

CODEC: Final = typed_codec(
    {
        1: ("AUTO_DISCOVERY", (RD, ESI, _TAG, LABELS)),
        2: ("MAC_IP", (RD, ESI, _TAG, MAC, _IP, LABELS)),
        3: ("MULTICAST", (RD, _TAG, _IP)),
        4: ("SEGMENT", (RD, ESI, _IP)),
        5: ("IP_PREFIX", (RD, ESI, _TAG, PREFIX, GATEWAY, LABELS)),
        6: ("SMET", (RD, _TAG, _SOURCE, _GROUP, _ORIGINATOR, _FLAGS)),
        7: ("JOIN_SYNC", (RD, ESI, _TAG, _SOURCE, _GROUP, _ORIGINATOR, _FLAGS)),
        8: (
            "LEAVE_SYNC",
            (RD, ESI, _TAG, _SOURCE, _GROUP, _ORIGINATOR, constant(bytes(4)), number("max_response_time", 1), _FLAGS),
        ),
        9: ("PMSI", (RD, _TAG, hexadecimal("region", 8))),
        10: ("SPMSI", (RD, _TAG, _SOURCE, _GROUP, _ORIGINATOR)),
        11: ("LEAF", (inner_nlri("key"), _ORIGINATOR)),
    }
)
