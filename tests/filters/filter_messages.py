"""Messages that filters are asked about."""

from __future__ import annotations

from bgpipe.filters import compile_filter
from bgpipe.wire.context import AS4, WireContext
from bgpipe.wire.message import UPDATE, Message
from bgpipe.wire.update import Update


def update(attrs: dict | None = None, context: WireContext = AS4, **what: object) -> Message:
    made = Update.make(attrs=attrs or {}, context=context, **what)
    return Message(UPDATE, made.body, context=context, direction="R", seq=7, time=1_546_300_800_123_000)


FULL = update(
    {
        "ORIGIN": "EGP",
        "ASPATH": [65001, 65001, 6939, [64500, 64501], 15169],
        "NEXTHOP": "192.0.2.1",
        "MED": 0,
        "LOCALPREF": 150,
        "COMMUNITY": ["65001:1", "3356:123"],
        "EXT_COMMUNITY": [{"type": "TARGET", "value": "65001:7"}],
        "LARGE_COMMUNITY": ["65001:2:3"],
        "OTC": 65001,
        "ATTR_99": "0x0102",
    },
    reach=["10.1.0.0/16", "192.168.1.0/24"],
    withdrawn=["172.16.0.0/12"],
)
FULL.tags = {"PEER_AS": "007", "rov/status": "INVALID", "empty": ""}


def says(filter: str, message: Message = FULL) -> bool:
    return compile_filter(filter)(message)
