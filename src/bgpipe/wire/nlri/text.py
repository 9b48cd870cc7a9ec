"""Parts of NLRI as text: route distinguishers, Ethernet segment identifiers, MAC addresses, MPLS labels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from ..address import format_address, parse_address
from ..errors import TextError, WireError
from ..hexadecimal import format_hex, parse_hex

DISTINGUISHER: Final = 8
"""Octets of a route distinguisher."""
SEGMENT: Final = 10
"""Octets of an Ethernet segment identifier."""
LABEL: Final = 3
"""Octets of an MPLS label with its traffic class and last-label bit (RFC 3032, RFC 8277)."""
Labels = list[int | str]
"""Each a number of 20 bits, or "0x..." of three octets where the other four bits are not as usual."""


@lru_cache(maxsize=4096)
def format_rd(octets: bytes) -> str:
    """A route distinguisher (RFC 4364 section 4.2): `65000:1`, `192.0.2.1:1`, `4200000001:1`.

    An AS number of four octets that two could hold is `65000L:1`. A type that nobody knows is shown as octets.
    """
    kind = int.from_bytes(octets[:2], "big")
    if kind == 0:
        return f"{int.from_bytes(octets[2:4], 'big')}:{int.from_bytes(octets[4:], 'big')}"
    if kind == 1:
        return f"{format_address(octets[2:6])}:{int.from_bytes(octets[6:], 'big')}"
    if kind == 2:
        asn = int.from_bytes(octets[2:6], "big")
        return f"{asn}{'' if asn > 0xFFFF else 'L'}:{int.from_bytes(octets[6:], 'big')}"
    return format_hex(octets)


@lru_cache(maxsize=4096)
def parse_rd(text: str) -> bytes:
    """The octets of a route distinguisher from what format_rd writes. Raises TextError."""
    octets = parse_hex(text) if text[:2] == "0x" else _parse_rd(*text.rpartition(":")[::2])
    if octets is None or len(octets) != DISTINGUISHER:
        raise TextError(f"not a route distinguisher: {text!r}; ASN:NUMBER or IPV4:NUMBER is expected")
    return octets


def _parse_rd(administrator: str, number: str) -> bytes | None:
    if "." in administrator:
        assigned = _decimal(number, 16)
        return None if assigned is None else b"\0\1" + parse_address(administrator) + assigned
    wide = administrator.endswith("L")
    asn = _decimal(administrator.removesuffix("L"), 32)
    if asn is None:
        return None
    wide |= asn > b"\0\0\xff\xff"
    assigned = _decimal(number, 16 if wide else 32)
    if assigned is None:
        return None
    return b"\0\2" + asn + assigned if wide else b"\0\0" + asn[2:] + assigned


def _decimal(text: str, bits: int) -> bytes | None:
    """A decimal number as octets; None if it is not one of `bits` bits."""
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) >> bits:
        return None
    return int(text).to_bytes(bits // 8, "big")


def format_esi(octets: bytes) -> str:
    """An Ethernet segment identifier (RFC 7432 section 5): ten pairs of digits with colons between, `0` if all are."""
    return octets.hex(":") if any(octets) else "0"


def parse_esi(text: str) -> bytes:
    """Raises TextError."""
    return bytes(SEGMENT) if text == "0" else _parse_pairs(text, SEGMENT, "an Ethernet segment identifier")


def format_mac(octets: bytes) -> str:
    """`00:11:22:33:44:55`."""
    return octets.hex(":")


@lru_cache(maxsize=4096)
def parse_mac(text: str) -> bytes:
    """A MAC address, with `-` instead of `:` too. Raises TextError."""
    return _parse_pairs(text.replace("-", ":"), 6, "a MAC address")


def _parse_pairs(text: str, count: int, name: str) -> bytes:
    pairs = text.split(":")
    if len(pairs) == count and all(len(pair) == 2 for pair in pairs):
        try:
            return bytes.fromhex("".join(pairs))
        except ValueError:
            pass
    raise TextError(f"not {name}: {text!r}; {count} pairs of hexadecimal digits with colons between are expected")


def format_labels(octets: bytes, stacked: bool) -> Labels:
    """Labels of three octets each. stacked: the last one, and no other, has the last-label bit; otherwise none has.

    Raises WireError if there is a part of a label.
    """
    if len(octets) % LABEL:
        raise WireError(f"labels of {len(octets)} octets")
    labels: Labels = []
    for pos in range(0, len(octets), LABEL):
        number = int.from_bytes(octets[pos : pos + LABEL], "big")
        usual = 1 if stacked and pos + LABEL == len(octets) else 0
        labels.append(number >> 4 if number & 15 == usual else f"0x{number:06x}")
    return labels


def parse_labels(labels: object, stacked: bool) -> bytes:
    """What format_labels gave, as octets. Raises TextError."""
    if not isinstance(labels, list) or not labels:
        raise TextError(f'not a list of labels: {labels!r}; numbers or "0x..." of three octets are expected')
    last = len(labels) - 1
    return b"".join(_parse_label(label, 1 if stacked and place == last else 0) for place, label in enumerate(labels))


def _parse_label(label: object, usual: int) -> bytes:
    if type(label) is int and 0 <= label < 1 << 20:
        return (label << 4 | usual).to_bytes(LABEL, "big")
    if isinstance(label, str) and label[:2] == "0x" and len(label) == 8:
        return parse_hex(label)
    raise TextError(f"not a label: {label!r}; a number of 20 bits or 0x and six digits is expected")


def label_numbers(labels: Sequence[object]) -> list[int]:
    """The numbers of 20 bits of labels in either form."""
    return [label if isinstance(label, int) else int(str(label), 16) >> 4 for label in labels]
