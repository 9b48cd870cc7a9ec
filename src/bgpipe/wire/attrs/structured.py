"""Attributes whose value is kept as octets, and shown as JSON of its structure.

The octets are what counts. They are shown in hexadecimal where the JSON would not give exactly them again, and this
is found out by making them again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ... import accel
from ..context import WireContext
from ..cursor import Cursor
from ..errors import TextError, WireError
from ..hexadecimal import format_hex, parse_hex
from ..nlri.codec import Members
from ..nlri.layout import Part, decode_parts, encode_parts, tell_layouts
from . import raw
from .codec import Codec
from .parts import objects
from .tlv import encode_tlv, split_tlvs

Check = Callable[[bytes, WireContext], WireError | None]


def structured(to_json: Callable[[bytes], Any], from_json: Callable[[Any], bytes], check: Check | None = None) -> Codec:
    """The codec of an attribute. to_json: octets to what they say; raises WireError. from_json: that to octets; raises
    TextError. check: as in Codec."""

    @lru_cache(maxsize=1024)
    def format_json(octets: bytes) -> str | None:
        if not octets:
            return raw.format_json(octets)
        try:
            shown = to_json(octets)
            exact = from_json(shown) == octets
        except (WireError, TextError):
            return None
        return json.dumps(shown, separators=(",", ":")) if exact else None

    def parse(value: object) -> bytes:
        return from_json(value) if isinstance(value, dict | list) else raw.from_json(value)

    return Codec(raw.decode, raw.encode, format_json, parse, check)


class TlvTable:
    """TLVs of some types with a name and parts, in JSON a list of {"type":NAME,...} in the order of the wire.

    One that has no name, or whose parts don't give the same octets again, is {"type":N,"value":"0x..."}.
    """

    def __init__(
        self,
        kinds: Mapping[int, tuple[str, Sequence[Part]]],
        type_size: int = 1,
        length_size: int = 2,
        header_counts: bool = False,
        long_from: int = 1 << 16,
    ) -> None:
        """kinds: by type, its name and its parts. Others: as of tlv.split_tlvs."""
        self.kinds = kinds
        self.form = type_size, length_size, header_counts, long_from
        self._codes = {name: code for code, (name, _) in kinds.items()}
        self._told = 0

    def tell(self) -> int:
        """Tells accel of it. Returns the number that accel gives it, 0 for none."""
        if not self._told:
            self._told = tell_layouts("tlvs", self.kinds, self.form) or -1
        return max(self._told, 0)

    def to_json(self, octets: bytes) -> list[Members]:
        """Raises WireError."""
        return [self._show(kind, value) for kind, value in split_tlvs(octets, *self.form)]

    def from_json(self, value: object) -> bytes:
        """Raises TextError."""
        return b"".join(map(self._encode, objects(value)))

    def _show(self, kind: int, octets: bytes) -> Members:
        name, parts = self.kinds.get(kind, ("", ()))
        try:
            if name:
                members = decode_parts(octets, parts)
                if encode_parts(members, parts) == octets:
                    return {"type": name, **members}
        except (WireError, TextError):
            pass
        return {"type": kind, "value": format_hex(octets)}

    def _encode(self, item: Members) -> bytes:
        kind = item.get("type")
        code = self._codes.get(kind.upper()) if isinstance(kind, str) else kind
        type_size = self.form[0]
        if type(code) is not int or not 0 <= code < 1 << 8 * type_size:
            names = ", ".join(self._codes)
            raise TextError(f'unknown type {kind!r}: one of {names}, or a number with "value":"0x..."')
        value = item.get("value")
        if item.keys() == {"type", "value"} and isinstance(value, str) and value[:2] == "0x":
            octets = parse_hex(value)
        elif code in self.kinds:
            octets = encode_parts(item, self.kinds[code][1], ("type",))
        else:
            raise TextError(f'no form for type {code}: {{"type":{code},"value":"0x..."}} is expected')
        return encode_tlv(code, octets, *self.form)


def tlvs(table: TlvTable, key: str = "sub_tlvs") -> Part:
    """TLVs that go to the end; without any the member is left out."""

    def decode(cursor: Cursor) -> list[Members] | None:
        return table.to_json(cursor.rest()) or None

    def encode(value: object) -> bytes:
        return b"" if value is None else table.from_json(value)

    return Part(key, decode, encode, (), "tlvs", 0, table.tell)


def tell_attribute(code: int, table: TlvTable) -> None:
    """Tells accel that the value of an attribute is such a run of TLVs."""
    if accel.AVAILABLE:
        accel.layout.learn_attribute(code, table.tell())
