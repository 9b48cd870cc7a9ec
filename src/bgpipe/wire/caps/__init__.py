"""Capabilities (RFC 5492): one table of codes, by IANA, and one file for each capability whose value we read.

A capability is a code and a value of octets, which stay as they came. In JSON, all capabilities of an OPEN are one
object with a key for each code. A value that its file can't read is shown raw, as are those without a file:
`true` if it is empty, `"0x.."` if there is one, `["0x..","0x.."]` if the capability is repeated. Each of these forms
is accepted back for every capability; `null`, `false` and `[]` mean that there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from ..cursor import Cursor
from ..errors import TextError, WireError
from ..hexadecimal import format_hex, parse_hex
from . import (
    add_path,
    as4,
    bgpsec,
    extended_next_hop,
    fqdn,
    graceful_restart,
    llgr,
    mp,
    multiple_labels,
    outbound_filtering,
    paths_limit,
    role,
    software_version,
)

MP: Final = 1
ROUTE_REFRESH: Final = 2
EXTENDED_NEXT_HOP: Final = 5
EXTENDED_MESSAGE: Final = 6
ROLE: Final = 9
GRACEFUL_RESTART: Final = 64
AS4: Final = 65
ADD_PATH: Final = 69
ENHANCED_ROUTE_REFRESH: Final = 70
FQDN: Final = 73


class Capability(NamedTuple):
    """code: as in IANA's registry. value: at most 255 octets."""

    code: int
    value: bytes = b""

    def __str__(self) -> str:
        return f"{name(self.code)} {format_hex(self.value)}" if self.value else name(self.code)


class CapabilityForm(Protocol):
    """A module of this package, or an object of one: how the values of one capability look in JSON."""

    def decode(self, value: bytes) -> Any:
        """One value. Raises WireError."""

    def to_json(self, values: Sequence[bytes]) -> object:
        """All values of the capability in one OPEN, at least one. Raises WireError."""

    def from_json(self, value: object) -> list[bytes]:
        """Raises TextError."""


class Row(NamedTuple):
    name: str
    form: CapabilityForm | None = None


TABLE: Final[dict[int, Row]] = {
    0: Row("UNSPECIFIED"),
    MP: Row("MP", mp),  # RFC 4760
    ROUTE_REFRESH: Row("ROUTE_REFRESH"),  # RFC 2918
    3: Row("OUTBOUND_FILTERING", outbound_filtering.FORM),  # RFC 5291
    4: Row("MULTIPLE_ROUTES"),  # deprecated: RFC 8277
    EXTENDED_NEXT_HOP: Row("EXTENDED_NEXTHOP", extended_next_hop),  # RFC 8950
    EXTENDED_MESSAGE: Row("EXTENDED_MESSAGE"),  # RFC 8654
    7: Row("BGPSEC", bgpsec),  # RFC 8205
    8: Row("MULTIPLE_LABELS", multiple_labels.FORM),  # RFC 8277
    ROLE: Row("ROLE", role),  # RFC 9234
    GRACEFUL_RESTART: Row("GRACEFUL_RESTART", graceful_restart),  # RFC 4724, RFC 8538
    AS4: Row("AS4", as4),  # RFC 6793
    67: Row("DYNAMIC"),  # draft-ietf-idr-dynamic-cap
    68: Row("MULTISESSION"),  # draft-ietf-idr-bgp-multisession
    ADD_PATH: Row("ADDPATH", add_path),  # RFC 7911
    ENHANCED_ROUTE_REFRESH: Row("ENHANCED_ROUTE_REFRESH"),  # RFC 7313
    71: Row("LLGR", llgr.FORM),  # RFC 9494
    72: Row("ROUTING_POLICY"),  # draft-ietf-idr-rpd
    FQDN: Row("FQDN", fqdn),  # draft-walton-bgp-hostname-capability
    74: Row("BFD"),  # RFC 9355
    75: Row("VERSION", software_version),  # draft-ietf-idr-software-version
    76: Row("PATHS_LIMIT", paths_limit.FORM),  # draft-abraitis-idr-addpath-paths-limit
    128: Row("PRE_ROUTE_REFRESH"),  # before RFC 2918
    129: Row("PRE_OUTBOUND_FILTERING_129"),  # before RFC 5291
    130: Row("PRE_OUTBOUND_FILTERING"),
    131: Row("PRE_MULTISESSION"),
}
_CODES: Final = {row.name: code for code, row in TABLE.items()}


def name(code: int) -> str:
    """The name of a capability, `CAP_n` if it has none."""
    row = TABLE.get(code)
    return row.name if row else f"CAP_{code}"


def parse_name(text: str) -> int:
    """The code of a name or `CAP_n`, in any case. Raises TextError."""
    upper = text.strip().upper()
    code = _CODES.get(upper)
    if code is not None:
        return code
    number = upper.removeprefix("CAP_")
    if number != upper and number.isascii() and number.isdigit() and len(number) <= 3 and int(number) <= 255:
        return int(number)
    raise TextError(f"unknown capability {text!r}; capabilities without a name are CAP_0 to CAP_255")


def decode(cursor: Cursor) -> list[Capability]:
    """Capabilities up to the end of `cursor`: code, length, value. Raises ShortError."""
    capabilities = []
    while cursor.left:
        code = cursor.u8()
        capabilities.append(Capability(code, cursor.take(cursor.u8())))
    return capabilities


def encode(capabilities: Iterable[Capability]) -> bytes:
    return b"".join(bytes((code, len(value))) + value for code, value in capabilities)


def values(capabilities: Iterable[Capability], code: int) -> list[bytes]:
    """The values of one capability, in their order."""
    return [capability.value for capability in capabilities if capability.code == code]


def to_json(capabilities: Sequence[Capability]) -> dict[str, object]:
    """In the order in which codes first occur."""
    shown: dict[str, object] = {}
    for code in dict.fromkeys(capability.code for capability in capabilities):
        found = values(capabilities, code)
        row = TABLE.get(code)
        shown[name(code)] = _raw_to_json(found) if row is None or row.form is None else _to_json(row.form, found)
    return shown


def from_json(shown: object) -> tuple[Capability, ...]:
    """Capabilities in the order of the object's keys. Raises TextError."""
    if not isinstance(shown, dict):
        raise TextError('caps: an object is expected, as in {"MP":["IPV4/UNICAST"]}')
    capabilities = []
    for key, value in shown.items():
        code = parse_name(key)
        octets = _raw_from_json(value)
        if octets is None:
            row = TABLE.get(code)
            if row is None or row.form is None:
                raise TextError(f"{key}: true, a string of octets in hexadecimal, or a list of these is expected")
            octets = row.form.from_json(value)
        if any(len(each) > 255 for each in octets):
            raise TextError(f"{key}: more than 255 octets")
        capabilities += [Capability(code, each) for each in octets]
    return tuple(capabilities)


def _to_json(form: CapabilityForm, found: list[bytes]) -> object:
    try:
        shown = form.to_json(found)
    except WireError:
        return _raw_to_json(found)
    return _raw_to_json(found) if shown == [] else shown  # an empty list would say that there is no capability


def _raw_to_json(found: list[bytes]) -> object:
    if len(found) > 1:
        return [format_hex(value) for value in found]
    return format_hex(found[0]) if found[0] else True


def _raw_from_json(value: object) -> list[bytes] | None:
    """The octets if `value` is the raw form, else None. Raises TextError."""
    if value is None or value is False:
        return []
    if value is True:
        return [b""]
    if isinstance(value, str) and value[:2] in ("0x", "0X"):
        return [parse_hex(value)]
    if isinstance(value, list):
        found = [_raw_from_json(each) for each in value if not isinstance(each, list)]
        if len(found) == len(value) and None not in found:
            return [octets for each in found if each for octets in each]
    return None
