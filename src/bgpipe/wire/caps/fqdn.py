"""Host and domain name of the speaker (draft-walton-bgp-hostname-capability).

JSON: `{"host": "router1", "domain": "example.com"}`, the domain only if it is not empty. Names are UTF-8. Octets that
are not, and a name that would be taken for them, are shown in hexadecimal: `{"host": "0x72f6"}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..cursor import Cursor
from ..errors import Reaction, ShortError, TextError, WireError
from ..hexadecimal import parse_hex


class Fqdn(NamedTuple):
    host: bytes
    domain: bytes = b""


def decode(value: bytes) -> Fqdn:
    """Two strings, each after an octet with its length. Raises WireError."""
    cursor = Cursor(value)
    try:
        fqdn = Fqdn(cursor.take(cursor.u8()), cursor.take(cursor.u8()))
    except ShortError as error:
        raise WireError(f"FQDN capability is cut short: {error.text}", code=2, subcode=0, offset=error.offset) from None
    if cursor.left:
        text = f"FQDN capability has {cursor.left} octets behind the domain"  # a name is no reason to have no session
        raise WireError(text, code=2, subcode=0, reaction=Reaction.ATTRIBUTE_DISCARD, offset=cursor.pos)
    return fqdn


def encode(fqdn: Fqdn) -> bytes:
    """Raises TextError if the two are too long together."""
    if len(fqdn.host) + len(fqdn.domain) > 253:
        raise TextError("FQDN: host and domain may have 253 octets together")
    return bytes((len(fqdn.host),)) + fqdn.host + bytes((len(fqdn.domain),)) + fqdn.domain


def to_json(values: Sequence[bytes]) -> object:
    """Of several, the last counts, as in the original."""
    host, domain = [decode(value) for value in values][-1]
    names = {"host": _format(host)}
    if domain:
        names["domain"] = _format(domain)
    return names


def from_json(value: object) -> list[bytes]:
    if not isinstance(value, dict):
        raise TextError('FQDN: an object is expected, as in {"host":"router1","domain":"example.com"}')
    names = []
    for key in ("host", "domain"):
        text = value.get(key) or ""
        if not isinstance(text, str):
            raise TextError(f"FQDN: {key} must be a string")
        names.append(_parse(text))
    return [encode(Fqdn(*names))]


def _format(name: bytes) -> str:
    """As text where that gives the octets back."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return f"0x{name.hex()}"
    return f"0x{name.hex()}" if text.startswith("0x") else text


def _parse(text: str) -> bytes:
    """Raises TextError."""
    if text.startswith("0x"):
        return parse_hex(text)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise TextError(f"FQDN: not Unicode: {text!r}") from None
