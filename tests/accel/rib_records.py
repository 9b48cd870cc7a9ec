"""RIB records put together octet by octet (RFC 6396 sections 4.2 and 4.3, RFC 8050 section 4)."""

from __future__ import annotations

from ipaddress import ip_address
from struct import pack

from accel_records import TIME, attribute

TABLE_DUMP, TABLE_DUMP_V2 = 12, 13
IPV4, IPV4_MULTICAST, IPV6, IPV6_MULTICAST = 2, 3, 4, 5
ADD_PATH = 6
"""What to add to one of the four subtypes for its ADD-PATH form."""

ORIGIN = attribute(0x40, 1, "00")
PATH = attribute(0x40, 2, "0202 0000fde9 0000fdea")
OTHER_PATH = attribute(0x40, 2, "0201 0000fdeb")
PATH_2 = attribute(0x40, 2, "0202 fde9 fdea")
NEXT_HOP = attribute(0x40, 3, "c0000201")
MED = attribute(0x80, 4, "00000064")
MP_SHORT = attribute(0x80, 14, "10 20010db8000000000000000000000001")
MP_SHORT_BOTH = attribute(0x80, 14, "20 20010db8000000000000000000000001 fe800000000000000000000000000001")
MP_WHOLE = attribute(0x80, 14, "0002 01 10 20010db8000000000000000000000001 00 20 20010db8")

IPV4_ATTRIBUTES = ORIGIN + PATH + NEXT_HOP
IPV6_ATTRIBUTES = ORIGIN + PATH + MP_SHORT + MED


def mrt(kind: int, subtype: int, data: bytes, time: int = TIME) -> bytes:
    return pack(">IHHI", time, kind, subtype, len(data)) + data


def peer_table(*peers: tuple[str, int]) -> bytes:
    """A PEER_INDEX_TABLE of (IP address, AS number)."""
    entries = []
    for text, asn in peers:
        address = ip_address(text).packed
        kind = (len(address) == 16) | 2 * (asn > 65535)
        entries.append(bytes((kind, 10, 0, 0, 1)) + address + pack(">I" if kind & 2 else ">H", asn))
    return mrt(TABLE_DUMP_V2, 1, bytes(4) + pack(">H4sH", 4, b"view", len(peers)) + b"".join(entries))


def rib(
    subtype: int, nlri: bytes, *entries: tuple[int, bytes], path_id: int = 7, more: bytes = b"", time: int = TIME
) -> bytes:
    """A RIB record of (peer index, attributes)."""
    id_octets = pack(">I", path_id) if subtype > IPV6_MULTICAST else b""
    joined = [pack(">HI", index, 1) + id_octets + pack(">H", len(octets)) + octets for index, octets in entries]
    return mrt(TABLE_DUMP_V2, subtype, bytes(4) + nlri + pack(">H", len(entries)) + b"".join(joined) + more, time)


def old_rib(prefix: str, bits: int, peer: str, asn: int, attributes: bytes, more: bytes = b"") -> bytes:
    """A TABLE_DUMP record."""
    address = ip_address(prefix).packed
    data = bytes(4) + address + bytes((bits, 1)) + bytes(4) + ip_address(peer).packed
    return mrt(TABLE_DUMP, 1 if len(address) == 4 else 2, data + pack(">HH", asn, len(attributes)) + attributes + more)


PEERS = peer_table(("192.0.2.1", 65001), ("2001:db8::1", 4200000001), ("192.0.2.3", 65003))


def rib_records() -> list[bytes]:
    """RIB records of all kinds; a table before every few of them, so that mutants have peers."""
    records = []
    for third in range(1, 25):
        net4, net6 = bytes((24, 198, 51, third)), bytes((48, 32, 1, 13, 184, 0, third))
        path = PATH if third % 4 else OTHER_PATH
        records += [
            *([PEERS] if third % 8 == 1 else []),
            rib(IPV4, net4, (0, ORIGIN + path + NEXT_HOP)),
            rib(IPV4, net4, (0, ORIGIN + path + NEXT_HOP), (2, IPV4_ATTRIBUTES), (1, IPV4_ATTRIBUTES)),
            rib(IPV6, net6, (1, ORIGIN + path + MP_SHORT), (0, IPV6_ATTRIBUTES)),
            rib(IPV6, net6, (1, MP_WHOLE + path), (1, MP_SHORT_BOTH + ORIGIN)),
            rib(IPV4, net4, (1, ORIGIN + MP_SHORT), (0, ORIGIN + attribute(0x80, 14, "04 c0000202") + NEXT_HOP)),
            rib(IPV4_MULTICAST, net4, (0, IPV4_ATTRIBUTES), (1, IPV6_ATTRIBUTES)),
            rib(IPV6_MULTICAST, net6, (1, IPV6_ATTRIBUTES)),
            rib(IPV4 + ADD_PATH, net4, (0, IPV4_ATTRIBUTES), (0, ORIGIN + path + NEXT_HOP), path_id=third),
            rib(IPV6 + ADD_PATH, net6, (1, IPV6_ATTRIBUTES), path_id=third),
            old_rib(f"198.51.{third}.0", 24, f"192.0.2.{third % 3}", 65001, ORIGIN + PATH_2 + NEXT_HOP),
            old_rib(f"2001:db8:{third:x}::", 48, "2001:db8::2", 65002, ORIGIN + PATH_2 + MP_WHOLE),
        ]
    return records
