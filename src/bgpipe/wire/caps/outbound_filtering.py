"""Outbound route filtering (RFC 5291 section 5): which filters a speaker sends or takes, by family.

JSON: {"families":[{"af":"IPV4/UNICAST","orfs":[{"type":"ADDRESS_PREFIX","mode":"BOTH"}]}]}.
"""

from __future__ import annotations

from typing import Any, Final

from ..attrs.parts import named, objects
from ..cursor import Cursor
from ..errors import TextError
from ..nlri.layout import Part, encode_parts, read_parts
from ..orf import ORF_TYPES
from .entries import WIDE_FAMILY, Entries

_ORF: Final = (named("type", 1, ORF_TYPES), named("mode", 1, {1: "RECEIVE", 2: "SEND", 3: "BOTH"}))


def _decode(cursor: Cursor) -> list[dict[str, Any]]:
    return [read_parts(cursor, _ORF) for _ in range(cursor.u8())]


def _encode(value: object) -> bytes:
    found = objects(value)
    if len(found) > 255:
        raise TextError(f"{len(found)} filters are too many for one family")
    return bytes((len(found),)) + b"".join(encode_parts(item, _ORF) for item in found)


FORM: Final = Entries("OUTBOUND_FILTERING", (WIDE_FAMILY, Part("orfs", _decode, _encode)))
