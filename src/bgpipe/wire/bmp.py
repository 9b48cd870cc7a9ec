"""BMP: the per-peer header, and the messages that hold no BGP message (RFC 7854, RFC 8671, RFC 9069, RFC 9736).

common header     version (1 octet), length of the whole message (4), type (1)
per-peer header   peer type (1), flags (1), distinguisher (8), address (16), AS (4), BGP identifier (4), seconds (4),
                      microseconds (4)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from json import dumps
from struct import Struct
from typing import Any, Final, NamedTuple

from .. import accel
from .address import format_address, parse_address
from .context import AS4, WireContext
from .errors import TextError, WireError
from .family import Family
from .message import UPDATE, Message, split_messages
from .nlri.text import format_rd, parse_rd
from .state import BMP

COMMON_HEADER: Final = Struct(">BIB")
PEER_HEADER: Final = Struct(">BB8s16s4s4sII")
VERSION: Final = 3

ROUTE_MONITORING: Final = 0
STATISTICS: Final = 1
PEER_DOWN: Final = 2
PEER_UP: Final = 3
INITIATION: Final = 4
TERMINATION: Final = 5
ROUTE_MIRRORING: Final = 6
TYPE_NAMES: Final = {
    ROUTE_MONITORING: "ROUTE_MONITORING",
    STATISTICS: "STATISTICS_REPORT",
    PEER_DOWN: "PEER_DOWN",
    PEER_UP: "PEER_UP",
    INITIATION: "INITIATION",
    TERMINATION: "TERMINATION",
    ROUTE_MIRRORING: "ROUTE_MIRRORING",
}
WITHOUT_PEER: Final = frozenset((INITIATION, TERMINATION))
"""Types that have no per-peer header."""

GLOBAL, RD_INSTANCE, LOCAL_INSTANCE, LOC_RIB = range(4)
"""Peer types."""
FLAG_IPV6: Final = 0x80
"""V: the address of the peer is an IPv6 address."""
FLAG_FILTERED: Final = 0x80
"""F, of peers of type LOC_RIB: the Loc-RIB is filtered (RFC 9069 section 4.2)."""
FLAG_POST_POLICY: Final = 0x40
"""L"""
FLAG_AS2: Final = 0x20
"""A: AS_PATH has AS numbers of 2 octets."""
FLAG_OUT: Final = 0x10
"""O: Adj-RIB-Out (RFC 8671 section 4)."""

RIBS: Final = {0: "in-pre", FLAG_POST_POLICY: "in-post", FLAG_OUT: "out-pre", FLAG_OUT | FLAG_POST_POLICY: "out-post"}
"""The tag RIB, by flags."""
LOCAL_RIB: Final = "loc"
_RIB_FLAGS: Final = {name: flags for flags, name in RIBS.items()}

INFO_TEXT, INFO_SYS_DESCR, INFO_SYS_NAME, INFO_VRF, INFO_ADMIN_LABEL = range(5)
"""Types of the information TLVs of INITIATION and PEER_UP (RFC 7854 section 4.4, RFC 9069, RFC 9736)."""
INFO_NAMES: Final = {
    INFO_TEXT: "text",
    INFO_SYS_DESCR: "sysDescr",
    INFO_SYS_NAME: "sysName",
    INFO_VRF: "vrf",
    INFO_ADMIN_LABEL: "adminLabel",
}
TERMINATION_REASONS: Final = {
    0: "administratively closed",
    1: "unspecified",
    2: "out of resources",
    3: "redundant connection",
    4: "permanently closed",
}
DOWN_REASONS: Final = {
    1: "local, NOTIFICATION sent",
    2: "local, FSM event",
    3: "remote, NOTIFICATION received",
    4: "remote, no NOTIFICATION",
    5: "no longer monitored",
    6: "local system closed",
}
"""RFC 7854 section 4.9, RFC 9069 section 5.3"""
STATISTICS_NAMES: Final = {
    0: "rejected",
    1: "duplicate_prefixes",
    2: "duplicate_withdrawals",
    3: "cluster_list_loops",
    4: "as_path_loops",
    5: "originator_id_loops",
    6: "confederation_loops",
    7: "adj_rib_in",
    8: "loc_rib",
    9: "adj_rib_in_family",
    10: "loc_rib_family",
    11: "treated_as_withdraw",
    12: "prefixes_treated_as_withdraw",
    13: "duplicate_updates",
    14: "adj_rib_out_pre",
    15: "adj_rib_out_post",
    16: "adj_rib_out_pre_family",
    17: "adj_rib_out_post_family",
}
"""RFC 7854 section 4.8, RFC 8671 section 6.2"""
ADJ_RIB_IN, TREATED_AS_WITHDRAW, ADJ_RIB_OUT_POST = 7, 11, 15
ADJ_RIB_IN_FAMILY, ADJ_RIB_OUT_POST_FAMILY = 9, 17
"""Types of statistics that we report."""
GAUGES: Final = frozenset((7, 8, 14, 15))
"""Types of statistics that have 8 octets and are no counters."""


class Tlv(NamedTuple):
    """type: 2 octets. value: its octets."""

    type: int
    value: bytes


def tlvs(octets: bytes, pos: int = 0) -> Iterator[Tlv]:
    """Type (2 octets), length (2), value, to the end. Raises WireError."""
    while pos < len(octets):
        stop = pos + 4 + int.from_bytes(octets[pos + 2 : pos + 4], "big")
        if pos + 4 > len(octets) or stop > len(octets):
            raise WireError("a TLV is cut short", offset=pos)
        yield Tlv(int.from_bytes(octets[pos : pos + 2], "big"), octets[pos + 4 : stop])
        pos = stop


def encode_tlv(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


class PeerHeader(NamedTuple):
    """type, flags: as on the wire. rd: 8 octets. address: 4 or 16 octets. time: microseconds since 1970 (UTC)."""

    type: int
    flags: int
    rd: bytes
    address: bytes
    asn: int
    bgp_id: bytes
    time: int = 0

    @classmethod
    def decode(cls, octets: bytes, pos: int = 0) -> PeerHeader:
        """The header at `pos`. Raises WireError."""
        if len(octets) < pos + PEER_HEADER.size:
            raise WireError(f"per-peer header of {max(len(octets) - pos, 0)} octets, {PEER_HEADER.size} expected")
        kind, flags, rd, address, asn, bgp_id, seconds, micros = PEER_HEADER.unpack_from(octets, pos)
        ipv6 = flags & FLAG_IPV6 and kind != LOC_RIB
        if not ipv6:
            address = address[12:]
        return cls(kind, flags, rd, address, int.from_bytes(asn, "big"), bgp_id, seconds * 1_000_000 + micros)

    def encode(self) -> bytes:
        seconds, micros = divmod(self.time, 1_000_000)
        address = self.address.rjust(16, b"\0")
        return PEER_HEADER.pack(
            self.type,
            self.flags,
            self.rd,
            address,
            self.asn.to_bytes(4, "big"),
            self.bgp_id,
            seconds & 0xFFFFFFFF,
            micros,
        )

    @property
    def rib(self) -> str:
        """The tag RIB: of which table of the router the message is."""
        return LOCAL_RIB if self.type == LOC_RIB else RIBS[self.flags & (FLAG_POST_POLICY | FLAG_OUT)]

    @property
    def as4(self) -> bool:
        """Whether AS_PATH has AS numbers of 4 octets."""
        return self.type == LOC_RIB or not self.flags & FLAG_AS2

    def tags(self) -> dict[str, str]:
        """PEER_AS, PEER_IP, PEER_ID, PEER_RD, RIB, and PEER_FLAGS where these do not say type and flags. What is zero
        is left out."""
        tags = {}
        if self.asn:
            tags["PEER_AS"] = str(self.asn)
        if any(self.address):
            tags["PEER_IP"] = format_address(self.address)
        if any(self.bgp_id):
            tags["PEER_ID"] = format_address(self.bgp_id)
        if any(self.rd):
            tags["PEER_RD"] = format_rd(self.rd)
        tags["RIB"] = self.rib
        if peer_from_tags(tags, as4=self.as4)[:2] != self[:2]:
            tags["PEER_FLAGS"] = f"{self.type}/{self.flags:#04x}"
        return tags


def peer_from_tags(tags: Mapping[str, str], time: int = 0, *, as4: bool = True) -> PeerHeader:
    """The header that tags describe. A tag that can't be parsed counts as missing."""
    names = ("PEER_AS", "PEER_IP", "PEER_ID", "PEER_RD", "RIB", "PEER_FLAGS")
    return _peer_from_tags(*map(tags.get, names), as4)._replace(time=time)


@lru_cache(maxsize=8192)
def _peer_from_tags(
    asn: str | None, ip: str | None, bgp_id: str | None, rd: str | None, rib: str | None, flags: str | None, as4: bool
) -> PeerHeader:
    address = _parse(parse_address, (ip or "").partition("%")[0]) or bytes(4)
    number = int(asn) if asn and asn.isascii() and asn.isdigit() and len(asn) <= 10 else 0
    identifier = _parse(parse_address, bgp_id) or bytes(4)
    distinguisher = _parse(parse_rd, rd) or bytes(8)
    local = rib == LOCAL_RIB
    kind = LOC_RIB if local else RD_INSTANCE if any(distinguisher) else GLOBAL
    bits = 0 if local else _RIB_FLAGS.get(rib or "", 0)
    if not local:
        bits |= (FLAG_IPV6 if len(address) == 16 else 0) | (0 if as4 else FLAG_AS2)
    if flags:
        said, _, octet = flags.partition("/")
        if said.isdecimal() and int(said) < 256 and (found := _parse(lambda text: int(text, 16), octet)) is not None:
            kind, bits = int(said), found & 0xFF
    identifier = identifier if len(identifier) == 4 else bytes(4)
    return PeerHeader(kind, bits, distinguisher, address, number if number < 1 << 32 else 0, identifier)


def _parse(parse: Any, text: str | None) -> Any:
    try:
        return parse(text) if text else None
    except (TextError, ValueError):
        return None


def monitor(octets: bytes, peer: PeerHeader) -> bytes:
    """A Route Monitoring for each UPDATE in `octets`, which are whole BGP messages, one behind the other."""
    header = COMMON_HEADER.pack(VERSION, 0, ROUTE_MONITORING) + peer.encode()
    if accel.AVAILABLE and (made := accel.bmp_out.monitor(octets, header)) is not None:
        return bytes(made)
    pieces = []
    for pos, length, type_code in split_messages(octets):
        if type_code == UPDATE:
            pieces.append(COMMON_HEADER.pack(VERSION, len(header) + length, ROUTE_MONITORING))
            pieces += header[COMMON_HEADER.size :], octets[pos : pos + length]
    return b"".join(pieces)


def encode_bmp(kind: int, content: bytes, peer: PeerHeader | None = None) -> bytes:
    """A BMP message. content: what is behind the per-peer header, or without one behind the common header."""
    octets = (peer.encode() if peer is not None else b"") + content
    return COMMON_HEADER.pack(VERSION, COMMON_HEADER.size + len(octets), kind) + octets


def encode_initiation(name: str, description: str) -> bytes:
    """Initiation (RFC 7854 section 4.3). name: the sysName. description: the sysDescr."""
    texts = (INFO_SYS_DESCR, description), (INFO_SYS_NAME, name)
    return encode_bmp(INITIATION, b"".join(encode_tlv(kind, text.encode()[:0xFFFF]) for kind, text in texts))


def encode_termination(reason: int) -> bytes:
    """Termination (RFC 7854 section 4.5), with one of TERMINATION_REASONS."""
    return encode_bmp(TERMINATION, encode_tlv(1, reason.to_bytes(2, "big")))


def encode_peer_up(peer: PeerHeader, local: tuple[bytes, int], port: int, sent: bytes, received: bytes) -> bytes:
    """Peer Up (RFC 7854 section 4.10). local: our address, 4 or 16 octets, and our port. port: that of the peer. sent,
    received: the OPENs, whole messages."""
    address, ours = local
    ports = ours.to_bytes(2, "big") + port.to_bytes(2, "big")
    return encode_bmp(PEER_UP, address.rjust(16, b"\0") + ports + sent + received, peer)


def encode_statistics(
    peer: PeerHeader, numbers: Mapping[int, int], by_family: Mapping[int, Mapping[Family, int]] | None = None
) -> bytes:
    """Statistics Report (RFC 7854 section 4.8): by their types, gauges of 8 octets (GAUGES) and counters of 4, and
    gauges of each family."""
    told = [
        encode_tlv(kind, number.to_bytes(8, "big") if kind in GAUGES else (number & 0xFFFFFFFF).to_bytes(4, "big"))
        for kind, number in numbers.items()
    ]
    for kind, counts in (by_family or {}).items():
        for family, number in counts.items():
            value = family.afi.to_bytes(2, "big") + bytes((family.safi,)) + number.to_bytes(8, "big")
            told.append(encode_tlv(kind, value))
    return encode_bmp(STATISTICS, len(told).to_bytes(4, "big") + b"".join(told), peer)


class BmpMessage(Message):
    """A BMP message that holds no BGP message, or more than one, or is of another version. It travels like a message.

    Its `octets` are empty; its `body` is the whole BMP message, common header included.
    """

    __slots__ = ()

    def __init__(
        self,
        body: bytes,
        *,
        direction: str = "?",
        seq: int = 0,
        time: int = 0,
        context: WireContext = AS4,
        tags: dict[str, str] | None = None,
        action: int = 0,
    ) -> None:
        super().__init__(BMP, body, direction=direction, seq=seq, time=time, context=context, tags=tags, action=action)

    @property
    def version(self) -> int:
        return self.body[0]

    @property
    def bmp_type(self) -> int:
        """The type in the common header: STATISTICS, PEER_UP, ..."""
        return self.body[5]

    @property
    def is_known(self) -> bool:
        """Whether it is of a version and a type that have a name."""
        return self.version == VERSION and self.bmp_type in TYPE_NAMES

    @property
    def type(self) -> str:
        return "BMP"

    def format_type(self) -> str:
        """The name of its type, in upper case."""
        if self.version != VERSION:
            return f"VERSION_{self.version}"
        return TYPE_NAMES.get(self.bmp_type, str(self.bmp_type))

    @property
    def octets(self) -> bytes:
        return b""

    def elems(self) -> Iterator[Any]:
        return iter(())

    def format_json(self) -> str:
        said = "".join(f",{dumps(key)}:{dumps(value)}" for key, value in self.content().items())
        return f'{{"type":{dumps(self.format_type())}{said},"data":"0x{self.body.hex()}"}}'

    def content(self) -> dict[str, str | int]:
        """What it says, by name: information TLVs, a reason, statistics. Empty where it can't be read."""
        if self.version != VERSION:
            return {}
        try:
            return dict(_content(self.bmp_type, self.body))
        except WireError:
            return {}


def _content(kind: int, body: bytes) -> Iterator[tuple[str, str | int]]:
    start = COMMON_HEADER.size
    if kind == INITIATION:
        yield from _information(tlvs(body, start))
    elif kind == TERMINATION:
        for tlv in tlvs(body, start):
            if tlv.type == 1 and len(tlv.value) == 2:
                reason = int.from_bytes(tlv.value, "big")
                yield "reason", TERMINATION_REASONS.get(reason, str(reason))
            elif tlv.type == 0:
                yield "text", _text(tlv.value)
    elif kind == PEER_DOWN:
        if len(body) > start + PEER_HEADER.size:
            reason = body[start + PEER_HEADER.size]
            yield "reason", DOWN_REASONS.get(reason, str(reason))
    elif kind == STATISTICS:
        for tlv in tlvs(body, start + PEER_HEADER.size + 4):
            name = STATISTICS_NAMES.get(tlv.type, str(tlv.type))
            if len(tlv.value) in (4, 8):
                yield name, int.from_bytes(tlv.value, "big")
            elif len(tlv.value) == 11:
                afi, safi = int.from_bytes(tlv.value[:2], "big"), tlv.value[2]
                yield f"{name}:{afi}/{safi}", int.from_bytes(tlv.value[3:], "big")


def _information(found: Iterator[Tlv]) -> Iterator[tuple[str, str]]:
    for tlv in found:
        yield INFO_NAMES.get(tlv.type, str(tlv.type)), _text(tlv.value)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")


def bmp_from_json(body: object) -> bytes:
    """The octets of the object that `format_json` makes. Raises TextError."""
    data = body.get("data") if isinstance(body, dict) else body
    if not isinstance(data, str) or data[:2] != "0x":
        raise TextError('BMP: {"data":"0x..."} is expected')
    try:
        octets = bytes.fromhex(data[2:])
    except ValueError:
        raise TextError(f"BMP: not octets in hexadecimal: {data[:40]!r}") from None
    if len(octets) < COMMON_HEADER.size or COMMON_HEADER.unpack_from(octets)[1] != len(octets):
        raise TextError("BMP: the length in the header is not that of the octets")
    return octets
