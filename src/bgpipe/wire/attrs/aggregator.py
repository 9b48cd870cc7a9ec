"""AGGREGATOR and AS4_AGGREGATOR (RFC 4271 section 5.1.7, RFC 6793): who made an aggregate."""

from __future__ import annotations

from typing import NamedTuple

from ..address import format_address, parse_address
from ..context import WireContext
from ..errors import TextError, WireError
from ..number import parse_number
from . import ipv4
from .as_path import AS_TRANS
from .codec import Codec


class Aggregator(NamedTuple):
    """asn: AS number. address: the speaker's BGP identifier, written as an IPv4 address."""

    asn: int
    address: str


def decode(octets: bytes, context: WireContext) -> Aggregator:
    """The AS number has two octets or four, as the length says."""
    return Aggregator(int.from_bytes(octets[:-4], "big"), format_address(octets[-4:]))


def check(value: Aggregator, context: WireContext) -> WireError | None:
    """AS 0 is no AS (RFC 7607 section 2)."""
    return None if value.asn else WireError("AS 0", subcode=9)


def encode(value: Aggregator, context: WireContext) -> bytes:
    """With two octets for an AS number, AS_TRANS stands for one that doesn't fit (RFC 6793 section 4.2.2)."""
    if context.as4:
        return encode_as4(value, context)
    asn = value.asn if value.asn <= 0xFFFF else AS_TRANS
    return asn.to_bytes(2, "big") + parse_address(value.address)


def encode_as4(value: Aggregator, context: WireContext) -> bytes:
    return value.asn.to_bytes(4, "big") + parse_address(value.address)


def format_json(value: Aggregator) -> str:
    return '{"asn":%d, "addr":"%s"}' % value


def from_json(value: object) -> Aggregator:
    """Raises TextError."""
    if not isinstance(value, dict) or value.keys() != {"asn", "addr"}:
        raise TextError(f'not {{"asn":NUMBER, "addr":"ADDRESS"}}: {value!r}')
    return Aggregator(parse_number(value["asn"], 32), ipv4.from_json(value["addr"]))


CODEC = Codec(decode, encode, format_json, from_json, check)
AS4_CODEC = Codec(decode, encode_as4, format_json, from_json, check)
