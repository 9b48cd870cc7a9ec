"""Peer Up for UPDATEs with path identifiers that come from elsewhere, such as MRT: in BMP only a Peer Up tells of
them."""

from __future__ import annotations

from typing import Any, Final

from ..wire.attrs import MP_REACH, MP_UNREACH
from ..wire.bmp import PEER_UP, BmpMessage, PeerHeader, encode_peer_up, peer_from_tags
from ..wire.body import body_from_json
from ..wire.context import AS4
from ..wire.errors import WireError
from ..wire.family import IPV4_UNICAST, Family
from ..wire.message import OPEN, UPDATE, Message
from ..wire.update_body import split_attributes

MAX_PEERS: Final = 1 << 16
"""Peers that are remembered."""
_Key = tuple[str, str, int, bytes, bytes]


class PeerUps:
    """What the peers of a stream have told of path identifiers so far. Messages are to be given in their order."""

    def __init__(self) -> None:
        self._told: dict[_Key, frozenset[Family] | None] = {}
        """families with path identifiers, as a Peer Up that was made here says; None where one has passed"""

    def before(self, message: Message) -> bytes:
        """The Peer Up that has to stand before a message, b"" for none."""
        if isinstance(message, BmpMessage):
            if message.bmp_type == PEER_UP and message.is_known:
                self._remember(_key(message), None)
            return b""
        if message.type_code != UPDATE or not (message.context.add_path or self._told):
            return b""
        key = _key(message)
        told = self._told.get(key, frozenset())
        if told is None:
            return b""
        families = families_of(message.body)
        having = {family for family in families if family in message.context.add_path}
        if having <= told and not (families - having) & told:
            return b""
        agreed = (told | having) - (families - having)
        self._remember(key, frozenset(agreed))
        return _peer_up(message, agreed, families | told)

    def _remember(self, key: _Key, families: frozenset[Family] | None) -> None:
        if len(self._told) >= MAX_PEERS:
            self._told.clear()
        self._told[key] = families


def _key(message: Message) -> _Key:
    peer, tags = peer_from_tags(message.tags), message.tags
    return tags.get("COLLECTOR", ""), tags.get("ROUTER", ""), peer.type, peer.rd, peer.address


def _peer_up(message: Message, with_ids: set[Family] | frozenset[Family], families: set[Family]) -> bytes:
    """Both OPENs say that path identifiers are sent and received. Of our side, nothing else is known."""
    peer: PeerHeader = peer_from_tags(message.tags, message.time)
    caps: dict[str, Any] = {"MP": sorted(map(str, families)), "AS4": peer.asn}
    if with_ids:
        caps["ADDPATH"] = sorted(f"{family}/BIDIR" for family in with_ids)
    opens = []
    for asn, address in ((0, bytes(3) + b"\1"), (peer.asn, peer.bgp_id)):
        item = {"asn": asn, "id": ".".join(map(str, address)), "hold": 0, "caps": caps | {"AS4": asn}}
        opens.append(Message(OPEN, body_from_json(OPEN, item, AS4)).octets)
    local = bytes(len(peer.address)), 0
    return encode_peer_up(peer, local, 0, opens[0], opens[1])


def families_of(body: bytes) -> set[Family]:
    """The families of an UPDATE's NLRI; IPv4 unicast where there are none, or none can be found."""
    found: set[Family] = set()
    size = int.from_bytes(body[:2], "big")
    start = 4 + size
    stop = start + int.from_bytes(body[start - 2 : start], "big")
    if size or stop < len(body):
        found.add(IPV4_UNICAST)
    try:
        for _, code, value in split_attributes(body, start, stop):
            if code in (MP_REACH, MP_UNREACH) and len(value) >= 3:
                found.add(Family(int.from_bytes(value[:2], "big"), value[2]))
    except WireError:
        pass
    return found or {IPV4_UNICAST}
