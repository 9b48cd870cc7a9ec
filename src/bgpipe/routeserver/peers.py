"""The peers that a route server knows: who they are and what they have subscribed to.

A peer is known by its address and AS number. All that BGP needs is in memory; the store only follows.
"""

from __future__ import annotations

import ipaddress
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

from ..net.tcp import Network, ao_ids, format_endpoint
from .config import Listener
from .rules import Rules, Written
from .settings import DEFAULT, SessionOptions

Status = Literal["active", "inactive", "pending", "barred"]


class UrlSource(msgspec.Struct, frozen=True, kw_only=True):
    """A list at a URL that one peer has for itself."""

    id: str
    name: str
    url: str
    community: str | None = None
    active: bool = False


class Peer(Rules, frozen=True, kw_only=True):
    """A peer and its subscription. Times are seconds since 1970 (UTC).

    custom_prefixes: prefixes in their usual spelling. group: of the configuration, whose rules hold where the peer has
    none of its own. session: what is fixed for its session. owner: who may change it. template: the id of the peer
    that stands for a network, or for a listener with a key, to which this one belongs: it is known as long as it has a
    session.
    """

    id: str
    ip: str
    asn: int
    description: str = ""
    status: Status = "inactive"
    created_at: float = 0.0
    last_session_at: float | None = None
    md5_password: str = ""
    group: str = ""
    custom_prefixes: tuple[Written, ...] = ()
    custom_asns: tuple[int, ...] = ()
    sources: tuple[UrlSource, ...] = ()
    session: SessionOptions = DEFAULT
    owner: Literal["database", "config"] = "database"
    template: str = ""

    @property
    def is_network(self) -> bool:
        """Whether it stands for all peers in a network that are not known themselves; asn: 0 for any of them."""
        return "/" in self.ip

    @property
    def subscribed(self) -> bool:
        """Whether it has chosen anything: else it has the default list."""
        active = any(source.active for source in self.sources)
        return bool(self.lists or self.custom_prefixes or self.custom_asns or active)


def new_peer(ip: str, asn: int, **fields: object) -> Peer:
    """A peer that was not known before. fields: of Peer."""
    made = Peer(id=uuid.uuid4().hex, ip=ip, asn=asn, created_at=time.time())
    return msgspec.structs.replace(made, **fields)


def from_template(template: Peer, ip: str, asn: int, before: Peer | None = None) -> Peer:
    """The peer at an address that a template stands for. before: the same as it is known already."""
    waits = ("pending", "barred")
    stays = before is not None and template.status not in waits and before.status not in waits
    return msgspec.structs.replace(
        template,
        id=before.id if before is not None else uuid.uuid4().hex,
        ip=ip,
        asn=asn,
        status=before.status if before is not None and stays else template.status,
        created_at=before.created_at if before is not None else time.time(),
        last_session_at=before.last_session_at if before is not None else None,
        template=template.id,
        session=msgspec.structs.replace(template.session, connect=False),
    )


_SALT: Final = uuid.uuid4()
"""Ids are shown, and must not tell keys."""


def _of_listener(listener: Listener) -> Peer:
    place = format_endpoint((listener.address or "*", listener.port))
    id = uuid.uuid5(_SALT, f"{place} {listener.md5_key} {listener.ao_key}").hex  # with another key it stands for others
    return Peer(id=id, ip=place, asn=0, group=listener.group, owner="config")


def _rank(template: Peer) -> tuple[int, bool]:
    return ipaddress.ip_network(template.ip).prefixlen, bool(template.asn)


class Peers:
    """All peers, by id and by address and AS number. templates: those that stand for all peers in a network, and for
    those with their AS number alone, if they have one. listeners: by id, those that stand for all peers that come in by
    the key of a listener."""

    def __init__(self, peers: Iterable[Peer] = ()) -> None:
        self._by_id: dict[str, Peer] = {}
        self._by_key: dict[tuple[str, int], str] = {}
        self.templates: tuple[Peer, ...] = ()
        self._networks: list[tuple[Network, Peer]] = []
        self.listeners: dict[str, Peer] = {}
        for peer in peers:
            self.put(peer)

    def __iter__(self) -> Iterator[Peer]:
        return iter(tuple(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, id: str) -> Peer | None:
        found = self._by_id.get(id) or self.listeners.get(id)
        return found or next((each for each in self.templates if each.id == id), None)

    def find(self, ip: str, asn: int, ao: str = "") -> Peer | None:
        """ao: keys of TCP-AO, of which networks with the same AS number must have one, if there are several of them."""
        if "/" in ip:
            same = [each for each in self.templates if (each.ip, each.asn) == (ip, asn)]
            wanted = set(ao_ids(ao))
            return next(
                (each for each in same if wanted.intersection(ao_ids(each.session.ao))), same[0] if same else None
            )
        return self._by_id.get(self._by_key.get((ip, asn), ""))

    def set_templates(self, templates: Iterable[Peer]) -> None:
        """These stand for networks, from now on."""
        self.templates = tuple(templates)
        found = [(ipaddress.ip_network(each.ip), each) for each in self.templates]
        self._networks = sorted(found, key=lambda each: (-each[0].prefixlen, not each[1].asn))

    def template_for(self, ip: str, asn: int, *, ao: int | None = None, before: str = "") -> Peer | None:
        """The one that stands for an address: with the longest network, then with this AS number.

        ao: the id of the key of TCP-AO of the connection: a network that has such keys stands for those with one of
        them. before: the id of the one of a peer that is there already: of several it stays that, whatever its key.
        """
        address = ipaddress.ip_address(ip)
        found = [each for network, each in self._networks if address in network and each.asn in (0, asn)]
        if before and found:
            same = (each for each in found if each.id == before and _rank(each) == _rank(found[0]))
            return next(same, found[0])
        return next((each for each in found if not each.session.ao or ao in ao_ids(each.session.ao)), None)

    def listen(self, listeners: Iterable[Listener]) -> None:
        """Peers come in here. A key and a group make those known that have the key, which is here itself."""
        keyed = [each for each in listeners if each.group and (each.md5_key or each.ao_key)]
        self.listeners = {each.id: each for each in map(_of_listener, keyed)}

    def listener(self, listener: Listener) -> Peer | None:
        """The one that stands for those that come in by the key of a listener."""
        return self.listeners.get(_of_listener(listener).id)

    def at(self, ip: str) -> list[Peer]:
        """Those behind one address."""
        return [peer for peer in self if peer.ip == ip]

    def put(self, peer: Peer) -> None:
        """Adds a peer, or changes it."""
        self._by_id[peer.id] = peer
        self._by_key[peer.ip, peer.asn] = peer.id

    def remove(self, peer: Peer) -> None:
        del self._by_id[peer.id]
        del self._by_key[peer.ip, peer.asn]
