"""Peers by the word of the configuration, and networks of peers by its word or that of the database."""

from __future__ import annotations

import msgspec

from ..net.secret import read_secret
from ..net.tcp import ao_ids
from .config import Config, ConfiguredPeer
from .peers import Peer, Peers, from_template, new_peer
from .rules import as_written, fields_of
from .settings import configured_options
from .values import check_template_address, check_written

Key = tuple[str, int]
"""Address or network, and AS number."""


class PeerRegistry:
    """Methods that change networks return the peers that were known only by a network, and are not any more."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._stored: dict[Key, Peer] = {}
        self._configured: list[Peer] = []
        """its networks: several with one AS number have different keys of TCP-AO"""

    def configure(self, config: Config) -> list[Peer]:
        """Takes the peers of a configuration. What the database says of the same ones does not count."""
        wanted: list[Peer] = []
        for each in config.peers:
            wanted.append(self._of_config(each, {peer.id for peer in wanted}))
        hosts = [each for each in wanted if not each.is_network]
        ids = {each.id for each in hosts}
        for peer in self._peers:
            if peer.owner == "config" and not peer.template and peer.id not in ids:
                self._peers.put(msgspec.structs.replace(peer, owner="database"))
        for peer in hosts:
            self._peers.put(peer)
        self._configured = [each for each in wanted if each.is_network]
        return self._take_networks()

    def put(self, peer: Peer) -> list[Peer]:
        """Adds a peer or a network of the database, or changes it."""
        if not peer.is_network:
            self._peers.put(peer)
            return []
        self._stored[peer.ip, peer.asn] = peer
        return self._take_networks()

    def remove(self, peer: Peer) -> list[Peer]:
        if not peer.is_network:
            self._peers.remove(peer)
            return []
        del self._stored[peer.ip, peer.asn]
        return self._take_networks()

    def _take_networks(self) -> list[Peer]:
        configured = {(each.ip, each.asn) for each in self._configured}
        stored = [each for key, each in self._stored.items() if key not in configured]
        self._peers.set_templates((*stored, *self._configured))
        gone = []
        for peer in self._peers:
            if peer.template:
                template = self._peers.listeners.get(peer.template)
                template = template or self._peers.template_for(peer.ip, peer.asn, before=peer.template)
                if template is None:
                    self._peers.remove(peer)
                    gone.append(peer)
                else:
                    self._peers.put(from_template(template, peer.ip, peer.asn, peer))
        return gone

    def _of_config(self, found: ConfiguredPeer, taken: set[str]) -> Peer:
        """taken: the ids of those before it."""
        address, made = check_template_address(found.address), configured_options(found)
        known = self._peers.find(address, found.remote_asn, made.ao)
        if known is not None and known.is_network and known.session.ao and made.ao:
            another = set(ao_ids(known.session.ao)).isdisjoint(ao_ids(made.ao))  # it stands for others
            known = None if another else known
        base = known if known is not None and known.id not in taken else new_peer(address, found.remote_asn)
        return configured_peer(found, base)


def configured_peer(found: ConfiguredPeer, base: Peer) -> Peer:
    """A peer that stands in the configuration. base: the same as it is known already, or a new one.

    Raises ValueError where a key can't be read.
    """
    return msgspec.structs.replace(
        base,
        owner="config",
        template="",
        description=found.description,
        group=found.group,
        custom_prefixes=tuple(check_written(as_written(each)) for each in found.custom_prefixes),
        md5_password=read_secret(found.md5_password)[0] if found.md5_password else "",
        session=configured_options(found),
        **fields_of(found),
    )
