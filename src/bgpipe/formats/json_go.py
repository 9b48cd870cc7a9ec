"""JSON lines as the Go bgpipe reads them: what `--compat go` writes.

Times have three digits after the point. NOTIFY, and every body that the Go bgpipe could not read as an object or would
not give back, is the string of its octets in hexadecimal; an unknown message type is its number.
"""

from __future__ import annotations

import re
from typing import Final

from ..wire.message import NOTIFICATION, OPEN, ROUTE_REFRESH, TYPE_NAMES, UPDATE, Message
from ..wire.state import BMP, STATE
from .json_encoder import JsonEncoder, format_time
from .json_meta import format_meta

_TYPED: Final = (
    "ORIGIN|ASPATH|NEXTHOP|MED|LOCALPREF|AGGREGATE|AGGREGATOR|COMMUNITY|ORIGINATOR|CLUSTER_LIST|MP_REACH|MP_UNREACH|"
    "EXT_COMMUNITY|AS4PATH|AS4AGGREGATOR|LARGE_COMMUNITY|OTC"
)
"""Attributes whose value must not be hexadecimal there."""
_OCTETS: Final = "PMSI_TUNNEL|TUNNEL|IPV6_EXT_COMMUNITY|AIGP|PE_DISTING|BGP_LS|DPATH|BFD_DISCRIMINATOR|PREFIX_SID|SET"
"""Attributes whose value must be hexadecimal there."""
_COMMUNITIES: Final = (
    "AS2|IP4|AS4|TARGET|ORIGIN|IP4_TARGET|IP4_ORIGIN|AS4_TARGET|AS4_ORIGIN|SUBTYPE|TYPE|FLOW_RATE_BYTES|"
    "FLOW_RATE_PACKETS|FLOW_ACTION|FLOW_REDIRECT_AS2|FLOW_REDIRECT_IP4|FLOW_REDIRECT_AS4|FLOW_REDIRECT_NH|FLOW_DSCP"
)
"""Extended communities that have a name there."""
_UNREADABLE: Final = {
    UPDATE: re.compile(
        rf'"(?:{_TYPED})":{{"flags":"[^"]*","value":"0x|"attrs":"0x|"confed_s|"nh":|"data":|"S?AFI\(|/S?AFI\('
        rf'|"(?:{_OCTETS})":{{"flags":"[^"]*","value":[\[{{]|"type":"(?!0x|(?:{_COMMUNITIES})")'
        r'|"routes":|"RD":|{"id":|{"value":|"FlowType\('
    ),
    OPEN: re.compile(
        r'"params":|S?AFI\(|"(?:GRACEFUL_RESTART|OUTBOUND_FILTERING|BGPSEC|MULTIPLE_LABELS|LLGR|VERSION)":(?:{|\[{)'
        r'|"(?:MULTIPLE_ROUTES|PATHS_LIMIT|PRE_OUTBOUND_FILTERING|PRE_OUTBOUND_FILTERING_129|PRE_MULTISESSION)":'
    ),
}


class GoEncoder(JsonEncoder):
    """Messages to lines that the Go bgpipe reads. It has no form for state changes, nor for messages of BMP."""

    short = True

    def encode_one(self, message: Message) -> bytes:
        if message.type_code in (STATE, BMP):
            return b""
        body = message.format_json()
        unreadable = _UNREADABLE.get(message.type_code)
        if message.type_code in (NOTIFICATION, ROUTE_REFRESH) or (unreadable is not None and unreadable.search(body)):
            body = f'"0x{message.body.hex()}"'
        kind = f'"{message.type}"' if message.type_code in TYPE_NAMES else str(message.type_code)
        time = format_time(message.time - message.time % 1000)
        meta = format_meta(message, body, rib=False)
        return f'["{message.direction}",{message.seq},"{time}",{kind},{body},{meta}]\n'.encode()
