"""PE_DISTINGUISHER_LABELS (RFC 6514 section 8): a label for each PE.

JSON: [{"pe":"192.0.2.1","label":16}]. All addresses of an attribute have the same size, which is found from its length.
"""

from __future__ import annotations

from typing import Any

from ..address import parse_address
from ..cursor import Cursor
from ..errors import WireError
from ..nlri.layout import Part, encode_parts, format_ip, read_parts, text
from ..nlri.text import LABEL
from .parts import LABEL_FIELD, objects
from .structured import structured


def _parts(size: int) -> tuple[Part, Part]:
    """size: octets of an address."""
    pe = Part("pe", lambda cursor: format_ip(cursor.take(size)), lambda value: parse_address(text(value)))
    return pe, LABEL_FIELD


def to_json(octets: bytes) -> Any:
    size = next((size for size in (4, 16) if len(octets) % (size + LABEL) == 0), 0)
    if not size:
        raise WireError(f"length {len(octets)} is no multiple of {4 + LABEL} or {16 + LABEL}", subcode=5)
    cursor, parts = Cursor(octets), _parts(size)
    return [read_parts(cursor, parts) for _ in range(len(octets) // (size + LABEL))]


def from_json(value: Any) -> bytes:
    return b"".join(encode_parts(item, _parts(0)) for item in objects(value))


CODEC = structured(to_json, from_json)
