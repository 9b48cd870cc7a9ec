"""Who a peer is that has called: by its address and AS number, by a network, or by the key that it has come in by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ..net.tcp import ao_ids
from ..wire.open import Open
from .config import Listener
from .keys import Key
from .peers import Peer, Peers, from_template, new_peer
from .values import check_peer_address

MAX_STRANGERS: Final = 256
"""Peers with one address that may become known by calling: whoever calls can say any AS number."""


class Entrance(NamedTuple):
    """How a peer has come in. listener: where, with its keys themselves. ao: the id of the key of TCP-AO by which its
    segments are authenticated, None for none. own: the keys of peers at its address."""

    listener: Listener
    ao: int | None = None
    own: Key = Key()

    @property
    def by_listener(self) -> bool:
        """Whether it is the key of the listener that authenticates the peer."""
        if self.ao is not None:
            return self.ao in ao_ids(self.listener.ao_key) and self.ao not in ao_ids(self.own.ao)
        return bool(self.listener.md5_key) and not self.own.md5


class Admission:
    """unknown: what `Bgp.UnknownPeers` says. on_new: called with a peer that nobody knew; from now on it is known."""

    def __init__(self, peers: Peers, unknown: Callable[[], str], on_new: Callable[[Peer], object]) -> None:
        self._peers = peers
        self._unknown = unknown
        self._on_new = on_new

    def admit(self, host: str, client: Open, entrance: Entrance) -> Peer | str:
        """The peer that has called, or why it may not come in."""
        address = check_peer_address(host.partition("%")[0])
        name = f"AS{client.asn} at {address}"
        peer = self._peers.find(address, client.asn)
        if peer is not None and not self._has_come_right(peer, entrance):
            return f"{name} is known by another key than the one of this connection"
        if peer is None and (template := self._template(address, client.asn, entrance)) is not None:
            peer = from_template(template, address, client.asn)
        if peer is not None and peer.status == "barred":
            return f"{name} is barred from this route server: ask its operator"
        if peer is None:
            if self._unknown() == "reject":
                return f"{name} is no peer of this route server: register it first"
            if len(self._peers.at(address)) >= MAX_STRANGERS:
                others = f"{MAX_STRANGERS} at this address are"
                return f"{name} is no peer of this route server, and {others}: register it first"
            status = "pending" if self._unknown() == "pending" else "inactive"
            peer = new_peer(address, client.asn, status=status, group=entrance.listener.group)
            self._on_new(peer)
        self._peers.put(peer)
        return peer

    def _template(self, address: str, asn: int, entrance: Entrance) -> Peer | None:
        """What stands for this peer: its network, else the listener whose key it has."""
        found = self._peers.template_for(address, asn, ao=entrance.ao)
        return found or (self._peers.listener(entrance.listener) if entrance.by_listener else None)

    def _has_come_right(self, peer: Peer, entrance: Entrance) -> bool:
        """Whether a peer that has a key of TCP-AO, or is known by a listener alone, has come in by that."""
        by = self._peers.listeners.get(peer.template)
        if by is not None:
            return entrance.by_listener and by is self._peers.listener(entrance.listener)
        return not peer.session.ao or entrance.ao in ao_ids(peer.session.ao)
