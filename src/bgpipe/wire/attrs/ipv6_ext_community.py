"""IPV6_EXTENDED_COMMUNITIES (RFC 5701): tuples of 20 octets each, a type, an IPv6 address and a number.

JSON: [{"type":"TARGET","value":"2001:db8::1:7"}], the number behind the last colon. A redirection to an address (draft-
ietf-idr-flowspec-redirect-ip) is {"type":"FLOW_REDIRECT_IP","value":{"ip":"2001:db8::1","copy":false}}. As in other
extended communities, "nontransitive":true is there if bit 0x4000 of the type is set, and a type without a name is
"0x...".
"""

from __future__ import annotations

import json
from typing import Any, Final

from ..address import format_address, parse_address
from ..context import WireContext
from ..errors import TextError
from ..ext_community import NONTRANSITIVE
from ..ext_community_forms import split_pair
from ..number import parse_number
from .codec import Codec
from .parts import objects

SIZE: Final = 20
_REDIRECT: Final = 0x000C
NAMES: Final = {
    0x0002: "TARGET",
    0x0003: "ORIGIN",
    0x000B: "VRF_ROUTE_IMPORT",
    _REDIRECT: "FLOW_REDIRECT_IP",
    0x000D: "FLOW_REDIRECT_IP6",  # RFC 8956 section 6.1
    0x0012: "SEGMENTED_NEXTHOP",  # RFC 7524
}
_CODES: Final = {name: code for code, name in NAMES.items()}


def decode(octets: bytes, context: WireContext) -> tuple[bytes, ...]:
    return tuple(octets[pos : pos + SIZE] for pos in range(0, len(octets), SIZE))


def encode(value: tuple[bytes, ...], context: WireContext) -> bytes:
    return b"".join(value)


def format_json(value: tuple[bytes, ...]) -> str:
    return json.dumps(list(map(_show, value)), separators=(",", ":"))


def from_json(value: object) -> tuple[bytes, ...]:
    """Raises TextError."""
    return tuple(map(_parse, objects(value)))


def _show(community: bytes) -> dict[str, Any]:
    kind = int.from_bytes(community[:2], "big")
    address, number = format_address(community[2:18]), int.from_bytes(community[18:], "big")
    base = kind & ~NONTRANSITIVE
    shown: dict[str, Any] = {"type": NAMES.get(base) or f"{kind:#x}", "value": f"{address}:{number}"}
    if base == _REDIRECT and number < 2:
        shown["value"] = {"ip": address, "copy": number == 1}
    return shown | ({"nontransitive": True} if kind & NONTRANSITIVE else {})


def _parse(item: dict[str, Any]) -> bytes:
    if not {"type", "value"} <= item.keys() <= {"type", "value", "nontransitive"}:
        raise TextError(f'not {{"type":TYPE,"value":VALUE}}: {item!r}')
    name, value = item["type"], item["value"]
    kind = _CODES.get(name.upper()) if isinstance(name, str) else None
    if kind is None:
        kind = parse_number(name, 16)
    if item.get("nontransitive") is True:
        kind |= NONTRANSITIVE
    if isinstance(value, dict):
        if kind & ~NONTRANSITIVE != _REDIRECT or value.keys() != {"ip", "copy"} or type(value["copy"]) is not bool:
            raise TextError(f'not "ADDRESS:NUMBER": {value!r}')
        value = f"{value['ip']}:{int(value['copy'])}"
    address, number = split_pair(value)
    octets = parse_address(address)
    if len(octets) != 16:
        raise TextError(f"not an IPv6 address: {address!r}")
    return kind.to_bytes(2, "big") + octets + parse_number(number, 16).to_bytes(2, "big")


CODEC = Codec(decode, encode, format_json, from_json)
