"""IP prefixes: as NLRI on the wire (RFC 4271 section 4.3, RFC 7911) and as text."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from .address import format_address, parse_address
from .errors import ShortError, TextError, WireError

AFI_BITS: Final = {1: 32, 2: 128}


class Prefix(NamedTuple):
    """An IP prefix. Its text is `192.0.2.0/24`, with a path identifier `#7#192.0.2.0/24`.

    afi: 1 (IPv4) or 2 (IPv6).
    address: the network address as an integer, with no bits set behind the mask.
    length: bits of the mask.
    path_id: the ADD-PATH path identifier (RFC 7911), or None.
    """

    afi: int
    address: int
    length: int
    path_id: int | None = None

    @property
    def network(self) -> str:
        """The network address as text."""
        return format_address(self.address.to_bytes(4 if self.afi == 1 else 16, "big"))

    def __str__(self) -> str:
        text = f"{self.network}/{self.length}"
        return text if self.path_id is None else f"#{self.path_id}#{text}"


def decode_prefixes(octets: bytes, afi: int, add_path: bool = False, pos: int = 0) -> list[Prefix]:
    """All prefixes in `octets` from `pos` to the end. Bits behind the mask are cleared. Raises WireError."""
    bits = AFI_BITS[afi]
    prefixes = []
    end = len(octets)
    from_bytes = int.from_bytes
    path_id: int | None = None
    while pos < end:
        if add_path:
            if pos + 5 > end:
                raise ShortError("prefix with a path identifier is cut short", subcode=10, offset=pos)
            path_id = from_bytes(octets[pos : pos + 4], "big")
            pos += 4
        length = octets[pos]
        if length > bits:
            raise WireError(f"prefix length {length} is more than {bits}", subcode=10, offset=pos)
        size = (length + 7) >> 3
        stop = pos + 1 + size
        if stop > end:
            raise ShortError(f"prefix of length {length} is cut short", subcode=10, offset=pos)
        address = from_bytes(octets[pos + 1 : stop], "big") >> (size * 8 - length) << (bits - length)
        prefixes.append(Prefix(afi, address, length, path_id))
        pos = stop
    return prefixes


def encode_prefix(prefix: Prefix, add_path: bool = False) -> bytes:
    """One prefix as octets; with `add_path`, after its path identifier (0 if it has none)."""
    bits = AFI_BITS[prefix.afi]
    size = (prefix.length + 7) >> 3
    octets = bytes((prefix.length,)) + (prefix.address >> (bits - size * 8)).to_bytes(size, "big")
    return (prefix.path_id or 0).to_bytes(4, "big") + octets if add_path else octets


@lru_cache(maxsize=65536)
def parse_prefix(text: str) -> Prefix:
    """`address/length` or `#id#address/length` as a prefix; bits behind the mask are cleared. Raises TextError."""
    path_id: int | None = None
    body = text
    if text.startswith("#"):
        number, mark, body = text[1:].partition("#")
        if not mark or not number.isascii() or not number.isdigit() or len(number) > 10 or int(number) >> 32:
            raise TextError(f"not a path identifier: {text!r}; #NUMBER#PREFIX is expected")
        path_id = int(number)
    address, slash, mask = body.partition("/")
    if not slash:
        raise TextError(f"prefix without a length: {text!r}")
    octets = parse_address(address)
    bits = len(octets) * 8
    if not mask.isascii() or not mask.isdigit() or len(mask) > 3 or int(mask) > bits:
        raise TextError(f"prefix length must be 0 to {bits}: {text!r}")
    length = int(mask)
    value = int.from_bytes(octets, "big") >> (bits - length) << (bits - length)
    return Prefix(1 if bits == 32 else 2, value, length, path_id)
