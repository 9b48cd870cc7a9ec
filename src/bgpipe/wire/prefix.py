"""IP prefixes: as NLRI on the wire (RFC 4271 section 4.3, RFC 7911) and as text."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from .address import format_address, parse_address
from .errors import ShortError, TextError, WireError

AFI_BITS: Final = {1: 32, 2: 128}

_CACHE_SIZE: Final = 32768
"""Prefixes of each AFI whose text is cached. A full cache is emptied."""
_NLRI_SIZES: Final = {
    afi: tuple(1 + (length + 7 >> 3) if length <= bits else 0 for length in range(256))
    for afi, bits in AFI_BITS.items()
}
"""Octets of a prefix by its first octet, the length; 0 where that is too long for the AFI."""
_texts: Final[dict[int, dict[bytes, str]]] = {1: {}, 2: {}}


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


PrefixLike = Prefix | str
"""A prefix or its text."""


def split_prefixes(
    octets: bytes, afi: int, add_path: bool = False, pos: int = 0, end: int | None = None
) -> list[tuple[int | None, bytes]]:
    """(path identifier or None, length and address octets) of each prefix from `pos` to `end`.

    Raises WireError 3/10 where they are not syntactically correct (RFC 7606 section 5.3).
    """
    sizes = _NLRI_SIZES[afi]
    if end is None:
        end = len(octets)
    found: list[tuple[int | None, bytes]] = []
    path_id: int | None = None
    while pos < end:
        if add_path:
            if pos + 5 > end:
                raise ShortError("prefix with a path identifier is cut short", subcode=10, offset=pos)
            path_id = int.from_bytes(octets[pos : pos + 4], "big")
            pos += 4
        size = sizes[octets[pos]]
        stop = pos + size
        if not size:
            raise WireError(f"prefix length {octets[pos]} is more than {AFI_BITS[afi]}", subcode=10, offset=pos)
        if stop > end:
            raise ShortError(f"prefix of length {octets[pos]} is cut short", subcode=10, offset=pos)
        found.append((path_id, octets[pos:stop]))
        pos = stop
    return found


def are_prefixes(octets: bytes, afi: int, add_path: bool, pos: int, end: int) -> bool:
    """Whether `split_prefixes` finds no error from `pos` to `end`."""
    sizes = _NLRI_SIZES[afi]
    while pos < end:
        if add_path:
            pos += 4
            if pos >= end:
                return False
        size = sizes[octets[pos]]
        if not size:
            return False
        pos += size
    return pos == end


def decode_prefixes(
    octets: bytes, afi: int, add_path: bool = False, pos: int = 0, end: int | None = None
) -> list[Prefix]:
    """All prefixes in `octets` from `pos` to `end`. Bits behind the mask are cleared. Raises WireError."""
    return [
        Prefix(afi, _address(nlri, afi), nlri[0], path_id)
        for path_id, nlri in split_prefixes(octets, afi, add_path, pos, end)
    ]


def format_prefixes(octets: bytes, afi: int, add_path: bool = False, pos: int = 0, end: int | None = None) -> list[str]:
    """The texts of the prefixes in `octets`: the same as of decode_prefixes, but faster. Raises WireError."""
    if end is None:
        end = len(octets)
    if add_path:
        prefixes = split_prefixes(octets, afi, True, pos, end)
        return [f"#{path_id}#{_texts[afi].get(nlri) or _format_nlri(nlri, afi)}" for path_id, nlri in prefixes]
    sizes = _NLRI_SIZES[afi]
    texts = _texts[afi]
    found = []
    start = pos
    while pos < end:
        stop = pos + sizes[octets[pos]]
        text = texts.get(octets[pos:stop])
        if text is None:
            if stop == pos or stop > end:
                break
            text = _format_nlri(octets[pos:stop], afi)
        found.append(text)
        pos = stop
    if pos != end:
        split_prefixes(octets, afi, False, start, end)  # raises WireError: decode_prefixes alone has the error texts
    return found


def _format_nlri(nlri: bytes, afi: int) -> str:
    """The text of length and address octets, which is remembered."""
    text = str(Prefix(afi, _address(nlri, afi), nlri[0]))
    texts = _texts[afi]
    if len(texts) >= _CACHE_SIZE:
        texts.clear()
    texts[nlri] = text
    return text


def _address(nlri: bytes, afi: int) -> int:
    """The masked address of length and address octets."""
    length = nlri[0]
    return int.from_bytes(nlri[1:], "big") >> (-length & 7) << (AFI_BITS[afi] - length)


def encode_prefix(prefix: Prefix, add_path: bool = False) -> bytes:
    """One prefix as octets; with `add_path`, after its path identifier (0 if it has none)."""
    bits = AFI_BITS[prefix.afi]
    size = (prefix.length + 7) >> 3
    octets = bytes((prefix.length,)) + (prefix.address >> (bits - size * 8)).to_bytes(size, "big")
    return (prefix.path_id or 0).to_bytes(4, "big") + octets if add_path else octets


def encode_prefixes(prefixes: Iterable[Prefix | str], afi: int, add_path: bool = False) -> bytes:
    """Prefixes, as such or as text, as NLRI. Raises TextError for one that is not of `afi`."""
    octets = []
    for prefix in prefixes:
        if isinstance(prefix, str):
            prefix = parse_prefix(prefix)
        if prefix.afi != afi:
            raise TextError(f"not an IPv{4 if afi == 1 else 6} prefix: {prefix}")
        octets.append(encode_prefix(prefix, add_path))
    return b"".join(octets)


@lru_cache(maxsize=65536)
def parse_prefix(text: str) -> Prefix:
    """A Prefix from `address/length` or `#id#address/length`. Bits after the length are cleared. Raises TextError."""
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
