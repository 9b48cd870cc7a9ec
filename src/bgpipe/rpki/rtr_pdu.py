"""The PDUs of the RPKI to Router Protocol: versions 0 (RFC 6810), 1 (RFC 8210) and 2 (draft-ietf-sidrops-8210bis).

>>> encode_reset_query(1).hex()
'0102000000000008'
>>> encode_error(1, ErrorCode.CORRUPT_DATA, b"", "why").hex()
'010a0000000000130000000000000003776879'
"""

from __future__ import annotations

import struct
from enum import IntEnum
from itertools import pairwise
from typing import Final, NamedTuple

from .vrps import Vrp, pack_vrp

HEADER: Final = 8
"""Octets of the header: version, type, a field of 2 octets that depends on the type, length of the whole PDU."""
MAX_PDU: Final = 1 << 16
"""Octets of the longest PDU that is taken."""
VERSIONS: Final = (0, 1, 2)
ANNOUNCE: Final = 1
"""The bit of the flags that tells an announcement from a withdrawal."""


class PduType(IntEnum):
    """RFC 8210 section 5; ASPA is of version 2."""

    SERIAL_NOTIFY = 0
    SERIAL_QUERY = 1
    RESET_QUERY = 2
    CACHE_RESPONSE = 3
    IPV4_PREFIX = 4
    IPV6_PREFIX = 6
    END_OF_DATA = 7
    CACHE_RESET = 8
    ROUTER_KEY = 9
    ERROR_REPORT = 10
    ASPA = 11

    def __str__(self) -> str:
        return _NAMES[self]


class ErrorCode(IntEnum):
    """RFC 8210 section 12; from 9 on those of version 2."""

    CORRUPT_DATA = 0
    INTERNAL_ERROR = 1
    NO_DATA_AVAILABLE = 2
    INVALID_REQUEST = 3
    UNSUPPORTED_VERSION = 4
    UNSUPPORTED_PDU_TYPE = 5
    WITHDRAWAL_OF_UNKNOWN = 6
    DUPLICATE_ANNOUNCEMENT = 7
    UNEXPECTED_VERSION = 8
    ASPA_PROVIDER_LIST = 9
    TRANSPORT_FAILED = 10
    ORDERING = 11
    CACHE_RESTART = 12
    CACHE_SHUTDOWN = 13


_NAMES: Final = {
    PduType.SERIAL_NOTIFY: "Serial Notify",
    PduType.SERIAL_QUERY: "Serial Query",
    PduType.RESET_QUERY: "Reset Query",
    PduType.CACHE_RESPONSE: "Cache Response",
    PduType.IPV4_PREFIX: "IPv4 Prefix",
    PduType.IPV6_PREFIX: "IPv6 Prefix",
    PduType.END_OF_DATA: "End of Data",
    PduType.CACHE_RESET: "Cache Reset",
    PduType.ROUTER_KEY: "Router Key",
    PduType.ERROR_REPORT: "Error Report",
    PduType.ASPA: "ASPA",
}
_LENGTHS: Final = {
    PduType.SERIAL_NOTIFY: 12,
    PduType.SERIAL_QUERY: 12,
    PduType.RESET_QUERY: 8,
    PduType.CACHE_RESPONSE: 8,
    PduType.IPV4_PREFIX: 20,
    PduType.IPV6_PREFIX: 32,
    PduType.CACHE_RESET: 8,
}
"""Types whose PDUs all have one length."""
_SINCE: Final = {PduType.ROUTER_KEY: 1, PduType.ASPA: 2}
"""The version in which a type came."""
_CODES: Final = {
    0: "Corrupt Data",
    1: "Internal Error",
    2: "No Data Available",
    3: "Invalid Request",
    4: "Unsupported Protocol Version",
    5: "Unsupported PDU Type",
    6: "Withdrawal of Unknown Record",
    7: "Duplicate Announcement Received",
    8: "Unexpected Protocol Version",
    9: "ASPA Provider List Error",
    10: "Transport Failed",
    11: "Ordering Error",
    12: "Cache Restart",
    13: "Cache Shutdown",
}


def name_of_code(code: int) -> str:
    """`Corrupt Data (0)`; the number alone where it has no name."""
    return f"{_CODES[code]} ({code})" if code in _CODES else f"error {code}"


class RtrError(Exception):
    """Something that the cache must not send. code: of the Error Report that says so. pdu: what is wrong, for it."""

    def __init__(self, code: ErrorCode, text: str, pdu: bytes = b"") -> None:
        super().__init__(text)
        self.code = code
        self.pdu = pdu


class Pdu(NamedTuple):
    """A PDU whose length fits its type. field: session id, error code, or flags, by type. octets: all of it."""

    version: int
    type: PduType
    field: int
    octets: bytes

    @property
    def body(self) -> bytes:
        return self.octets[HEADER:]


def pdu_length(octets: bytes | bytearray | memoryview, version: int | None) -> int:
    """The length of the PDU whose header this begins with. version: the one agreed on; None if there is none yet.

    Raises RtrError, whose code says what is wrong with the header.
    """
    head = bytes(octets[:HEADER])
    found, number, length = head[0], head[1], int.from_bytes(head[4:8], "big")
    if found not in VERSIONS:
        raise RtrError(ErrorCode.UNSUPPORTED_VERSION, f"a PDU of version {found}", head)
    if version is not None and found != version and number != PduType.ERROR_REPORT:
        # version 0 has no code for a version that is known, and not the agreed one
        code = ErrorCode.UNEXPECTED_VERSION if version else ErrorCode.UNSUPPORTED_VERSION
        raise RtrError(code, f"a PDU of version {found} where version {version} is agreed", head)
    try:
        kind = PduType(number)
    except ValueError:
        raise RtrError(ErrorCode.UNSUPPORTED_PDU_TYPE, f"a PDU of type {number}", head) from None
    if _SINCE.get(kind, 0) > found:
        raise RtrError(ErrorCode.UNSUPPORTED_PDU_TYPE, f"{kind} in version {found}", head)
    if not _length_fits(kind, found, length):
        raise RtrError(ErrorCode.CORRUPT_DATA, f"{kind} of {length} octets", head)
    return length


def _length_fits(kind: PduType, version: int, length: int) -> bool:
    if kind in _LENGTHS:
        return length == _LENGTHS[kind]
    if kind is PduType.END_OF_DATA:
        return length == (24 if version else 12)
    if kind is PduType.ASPA:
        return 12 <= length <= MAX_PDU and length % 4 == 0
    return (16 if kind is PduType.ERROR_REPORT else 32) <= length <= MAX_PDU


def decode(octets: bytes) -> Pdu:
    """One whole PDU, of which `pdu_length` has told the length."""
    return Pdu(octets[0], PduType(octets[1]), int.from_bytes(octets[2:4], "big"), octets)


class Timers(NamedTuple):
    """Seconds that a cache names in End of Data (RFC 8210 section 6)."""

    refresh: int = 3600
    retry: int = 600
    expire: int = 7200


LIMITS: Final = ((1, 86400), (1, 7200), (600, 172800))
"""The least and the greatest of each timer, in the order of Timers."""


class EndOfData(NamedTuple):
    """timers: those that the cache names; the defaults in version 0, which has none."""

    session: int
    serial: int
    timers: Timers


def end_of_data(pdu: Pdu) -> EndOfData:
    serial, *timers = struct.unpack(f">{len(pdu.body) // 4}I", pdu.body)
    return EndOfData(pdu.field, serial, Timers(*timers))


def within_limits(timers: Timers) -> Timers:
    """The nearest timers that RFC 8210 section 6 allows; the data expire after both other times."""
    refresh, retry, expire = (
        min(max(value, least), greatest) for value, (least, greatest) in zip(timers, LIMITS, strict=True)
    )
    return Timers(refresh, retry, max(expire, refresh + 1, retry + 1))


class Report(NamedTuple):
    """An Error Report. pdu: the PDU that it is about; text: for people."""

    code: int
    pdu: bytes
    text: str


def report(pdu: Pdu) -> Report:
    """What an Error Report says, as far as its lengths can be believed: there is no answer to one that is malformed."""
    body = pdu.body
    size = int.from_bytes(body[:4], "big")
    about, rest = body[4 : 4 + size], body[4 + size :]
    length = int.from_bytes(rest[:4], "big")
    return Report(pdu.field, about, rest[4 : 4 + length].decode(errors="replace"))


class Aspa(NamedTuple):
    """providers: None for a withdrawal."""

    customer: int
    providers: tuple[int, ...] | None


def aspa(pdu: Pdu) -> Aspa:
    """Raises RtrError."""
    customer, *providers = struct.unpack(f">{len(pdu.body) // 4}I", pdu.body)
    if not pdu.field >> 8 & ANNOUNCE:
        if providers:
            text = f"a withdrawal of the ASPA of AS{customer} with {len(providers)} providers"
            raise RtrError(ErrorCode.ASPA_PROVIDER_LIST, text, pdu.octets)
        return Aspa(customer, None)
    if not providers:
        text = f"an ASPA of AS{customer} without providers"
        raise RtrError(ErrorCode.ASPA_PROVIDER_LIST, text, pdu.octets)
    if any(first >= second for first, second in pairwise(providers)):
        text = f"an ASPA of AS{customer} whose providers are not in order, or not all different"
        raise RtrError(ErrorCode.ASPA_PROVIDER_LIST, text, pdu.octets)
    return Aspa(customer, tuple(providers))


def is_old_aspa(pdu: Pdu) -> bool:
    """Whether it is the ASPA PDU of draft-ietf-sidrops-8210bis-10 and before: flags, AFI and the number of providers
    stand in its body, in front of the customer. Read in the form of today it would be a withdrawal with providers."""
    octets = pdu.octets
    if octets[2] or len(octets) < 16 or octets[8] > 1:
        return False
    return int.from_bytes(octets[10:12], "big") * 4 + 16 == len(octets)


def encode_reset_query(version: int) -> bytes:
    return struct.pack(">BBHI", version, PduType.RESET_QUERY, 0, HEADER)


def encode_serial_query(version: int, session: int, serial: int) -> bytes:
    return struct.pack(">BBHII", version, PduType.SERIAL_QUERY, session, HEADER + 4, serial)


def encode_prefix(version: int, vrp: Vrp, *, announce: bool) -> bytes:
    """The PDU that announces or withdraws a VRP."""
    kind = PduType.IPV4_PREFIX if vrp.prefix.afi == 1 else PduType.IPV6_PREFIX
    record = pack_vrp(vrp)
    body = bytes((announce,)) + record[-6:-4] + b"\0" + record[:-6] + record[-4:]
    return struct.pack(">BBHI", version, kind, 0, HEADER + len(body)) + body


def encode_aspa(version: int, customer: int, providers: tuple[int, ...] | None) -> bytes:
    """The PDU that announces the providers of an AS, or with None withdraws them."""
    flags = 0 if providers is None else ANNOUNCE << 8
    body = struct.pack(f">{1 + len(providers or ())}I", customer, *(providers or ()))
    return struct.pack(">BBHI", version, PduType.ASPA, flags, HEADER + len(body)) + body


def encode_error(version: int, code: ErrorCode, pdu: bytes, text: str) -> bytes:
    """An Error Report. pdu: the PDU that it is about, b"" if it is about none."""
    told = text.encode()
    body = struct.pack(">I", len(pdu)) + pdu + struct.pack(">I", len(told)) + told
    return struct.pack(">BBHI", version, PduType.ERROR_REPORT, code, HEADER + len(body)) + body


def is_newer(serial: int, other: int) -> bool | None:
    """Whether a serial number is greater than another one (RFC 1982 section 3.2); None where that is not defined."""
    ahead = serial - other & 0xFFFFFFFF
    return None if ahead == 1 << 31 else 0 < ahead < 1 << 31
