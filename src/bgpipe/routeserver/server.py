"""A route server: peers, lists, sessions and store together, and all that may be done with them.

BGP works from memory. A change by the API counts when the store has it; then sessions get the difference.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from ..net.secret import read_secret
from ..net.tcp import parse_networks
from ..pipeline.log import Log
from ..routes.explain import Explanation, explain
from ..routes.peer_routes import PeerRoutes
from ..routes.prefixes import PrefixSet
from ..tasks import Tasks, Timer
from ..wire.errors import TextError
from ..wire.notification import ADMINISTRATIVE_RESET, CEASE, Notification
from ..wire.open import Open
from .config import (
    RESERVED_AS,
    Config,
    PrefixSource,
    all_lists,
    check_community,
    check_next_hop,
    check_next_hop_ipv6,
    check_password,
    check_peer_address,
    check_prefix,
    check_url,
)
from .lists import Lists
from .peers import Peer, Peers, UrlSource, new_peer
from .sessions import PeerSession, PeerSessions
from .sources.fetch import PUBLIC_PORTS, Context, Fetcher
from .store.store import Store, StoreError
from .tables import PeerTables, View

MAX_DESCRIPTION: Final = 512
"""Characters."""
DATABASE: Final = "bgplite.db"


class Refused(Exception):
    """What was asked for is not done. status: as HTTP has it."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class RouteServer:
    """data: the folder for all state. folder: where relative paths of the configuration begin."""

    def __init__(self, config: Config, folder: Path, data: Path, log: Log) -> None:
        self.config = config
        self.log = log
        self.data = data
        self.peers = Peers()
        self.store = Store(str(data / DATABASE))
        self.fetcher = Fetcher(parse_networks(config.allowed_networks))
        self.private_fetcher = Fetcher(parse_networks(config.allowed_networks), PUBLIC_PORTS)
        context = self._context = Context(
            folder, self.fetcher, config.ripe_stat.url, float(max(10, config.ripe_stat.timeout_seconds))
        )
        self._private = replace(context, fetcher=self.private_fetcher)
        self.lists = Lists(all_lists(config), context, data / "lists", config.auto_refresh, log)
        self.lists.on_change = self._on_list
        self.tables = PeerTables(config, self.lists)
        self.sessions = PeerSessions(config.bgp, log, identify=self._identify, begin=self._begin)
        self.sessions.on_up = self._on_up
        self.sessions.on_down = self._on_down
        self._tasks: Tasks
        self._settling: Timer | None = None
        self._changed: set[str] = set()
        """lists that have changed, and are not in the tables yet"""
        self._updating = False

    async def start(self, tasks: Tasks) -> None:
        """Raises StoreError, OSError, ValueError."""
        self._tasks = tasks
        self.data.mkdir(parents=True, exist_ok=True)
        await self.store.open()
        for peer in await self.store.load():
            self.peers.put(peer)
        for configured in self.config.peers:
            self.peers.put(self._configured(configured))
        self._want_lists()
        self.lists.load()
        self.tables.update(self.lists.lists)
        await self.sessions.listen()
        self._set_keys()
        self.sessions.start(tasks)
        self.lists.start(tasks)

    async def stop(self) -> None:
        """Ends all sessions."""
        await self.sessions.stop()

    async def close(self) -> None:
        await self.fetcher.close()
        await self.private_fetcher.close()
        await self.store.close()

    def _want_lists(self) -> None:
        """Peers with the same URL or AS number share one list."""
        wanted: dict[str, PrefixSource] = {}
        for peer in self.peers:
            wanted |= self.tables.private(peer)
        self.tables.update(self.lists.want(wanted, self._private))

    def _set_keys(self) -> None:
        """Peers behind one address share its key, since the kernel knows no more of a peer than that."""
        keys: dict[str, set[str]] = {}
        for peer in self.peers:
            if peer.md5_password:
                keys.setdefault(peer.ip, set()).add(peer.md5_password)
        for address, different in keys.items():
            if len(different) > 1:
                self.log.warning("peers with one address have different keys: the first one counts", peer=address)
        self.sessions.set_keys({address: min(different) for address, different in keys.items()})

    def _configured(self, found: Any) -> Peer:
        """A peer that stands in the configuration. What the database says of it does not count."""
        known = self.peers.find(check_peer_address(found.address), found.remote_asn)
        base = known or new_peer(check_peer_address(found.address), found.remote_asn)
        return msgspec.structs.replace(
            base,
            owner="config",
            description=found.description,
            lists=found.lists,
            custom_prefixes=tuple(map(check_prefix, found.custom_prefixes)),
            exclude=tuple(map(check_prefix, found.exclude)),
            communities=found.communities,
            max_prefix=found.max_prefix,
            md5_password=read_secret(found.md5_password)[0] if found.md5_password else "",
            next_hop=found.next_hop,
            next_hop_ipv6=found.next_hop_ipv6,
        )

    def reload(self, config: Config) -> None:
        """Takes another configuration. Sessions stay, and get what differs for them."""
        old, self.config = self.config, config
        self.sessions.configure(config.bgp)
        self.fetcher.networks = self.private_fetcher.networks = parse_networks(config.allowed_networks)
        self.tables.configure(config)
        self.tables.update(self.lists.configure(all_lists(config), self._context, config.auto_refresh))
        wanted = list(map(self._configured, config.peers))
        for peer in self.peers:
            if peer.owner == "config" and not any(each.id == peer.id for each in wanted):
                self.peers.put(msgspec.structs.replace(peer, owner="database"))
        for peer in wanted:
            self.peers.put(peer)
        self._want_lists()
        self._set_keys()
        for session in tuple(self.sessions.sessions.values()):
            self._refresh(self.peers.get(session.peer.id) or session.peer)
        kept = [name for name in ("asn", "router_id", "port", "listen", "listeners") if _differ(old, config, name)]
        if kept:
            self.log.warning("what has changed here counts after a restart", keys=",".join(map(_pascal, kept)))
        self.log.info("the configuration was read anew")

    # sessions

    def _identify(self, host: str, client: Open) -> Peer | None:
        """The peer that has called; one that nobody knows is taken in, if the configuration wants that."""
        address = check_peer_address(host.partition("%")[0])
        peer = self.peers.find(address, client.asn)
        if peer is None and self.config.bgp.unknown_peers != "reject":
            status = "pending" if self.config.bgp.unknown_peers == "pending" else "inactive"
            peer = new_peer(address, client.asn, status=status)
            self.peers.put(peer)
            self._store(peer)
        return peer

    def _begin(self, session: PeerSession) -> tuple[PeerRoutes, View]:
        view = self.tables.of(self.peers.get(session.peer.id) or session.peer)
        context = session.connection_stage.facts.sending
        form = self.tables.form(session.peer.asn, session.arrival.local, context)
        return PeerRoutes(view.table, form, self.tables.tables.encodings), view

    def _on_up(self, session: PeerSession) -> None:
        peer = self.peers.get(session.peer.id)
        if peer is not None:
            status = "pending" if peer.status == "pending" else "active"
            self._remember(msgspec.structs.replace(peer, status=status, last_session_at=time.time()))

    def _on_down(self, session: PeerSession, reason: str) -> None:
        peer = self.peers.get(session.peer.id)
        if peer is not None and peer.status == "active" and peer.id not in self.sessions.sessions:
            self._remember(msgspec.structs.replace(peer, status="inactive"))

    def _remember(self, peer: Peer) -> None:
        """Changes a peer in memory, and in the store as soon as that can be."""
        self.peers.put(peer)
        self._store(peer)

    def _store(self, peer: Peer) -> None:
        if not self._tasks.closing:
            self._tasks.spawn("store", self.store.save(peer), self._on_store_error)

    def _on_store_error(self, error: Exception) -> None:
        self.log.error("a peer can't be stored", error=str(error))

    # changes of lists and peers reach the sessions

    def _on_list(self, name: str) -> None:
        """Changes that come together are announced together."""
        self._changed.add(name)
        if self._settling is None and not self._updating:
            self._settling = self._tasks.call_later("settle", self.config.bgp.settle, self._settle)

    def _settle(self) -> None:
        self._settling, self._updating = None, True
        self._tasks.spawn("tables", self._update())

    async def _update(self) -> None:
        """Works out the tables anew, and gives sessions those that differ."""
        try:
            while self._changed:
                names, self._changed = frozenset(self._changed), set()
                await self.tables.update_in_steps(names)
                for session in tuple(self.sessions.sessions.values()):
                    peer = self.peers.get(session.peer.id) or session.peer
                    if session.up and names.intersection(self.tables.lists_of(peer)):
                        session.announcer.announce(self.tables.of(peer))
                        await asyncio.sleep(0)
        finally:
            self._updating = False

    def _refresh(self, peer: Peer) -> None:
        session = self.sessions.sessions.get(peer.id)
        if session is not None and session.up:
            session.announcer.announce(self.tables.of(peer))

    def advertised(self, peer: Peer) -> int:
        """How many routes its session has."""
        session = self.sessions.sessions.get(peer.id)
        return session.announcer.count if session is not None and session.up else 0

    def prefixes(self, peer: Peer) -> list[str]:
        """What a peer has, or would have if it were here."""
        return list(PrefixSet.joined(self.tables.of(peer).table.routes().values()))

    def why(self, peer: Peer, target: str) -> Explanation:
        """Which list gives a peer an address or a prefix, or why it has none. Raises Refused."""
        try:
            return explain(target, self.tables.subscription(peer), self.tables.tables)
        except TextError as error:
            raise Refused(str(error)) from None

    # what the API does

    def peer(self, id: str) -> Peer:
        """Raises Refused."""
        found = self.peers.get(id)
        if found is None:
            raise Refused("Peer not found", 404)
        return found

    def peers_at(self, ip: str) -> list[Peer]:
        """The peers at an address, at least one. Raises Refused."""
        try:
            found = self.peers.at(check_peer_address(ip))
        except ValueError as error:
            raise Refused(str(error)) from None
        if not found:
            raise Refused("Peer not found", 404)
        return found

    async def add_peer(self, ip: str, asn: int, fields: dict[str, Any]) -> Peer:
        """A peer, or a known one whose description and subscription are replaced. Raises Refused."""
        try:
            address = check_peer_address(ip)
        except ValueError as error:
            raise Refused(str(error)) from None
        _check_asn(asn)
        known = self.peers.find(address, asn)
        if known is not None:
            self._changeable(known)
        checked = self._checked(fields)
        base = known or new_peer(address, asn)
        fresh: dict[str, Any] = {"description": "", "max_prefix": None, "lists": (), "custom_prefixes": ()}
        fresh |= {"custom_asns": ()}
        return await self._change(msgspec.structs.replace(base, **fresh | checked))

    async def change_peer(self, id: str, fields: dict[str, Any]) -> Peer:
        """Changes what `fields` has. Raises Refused."""
        peer = self._changeable(self.peer(id))
        return await self._change(msgspec.structs.replace(peer, **self._checked(fields)))

    async def delete_peer(self, id: str) -> None:
        """Ends the session, and forgets the peer. Raises Refused."""
        peer = self._changeable(self.peer(id))
        await self._stored(self.store.remove(id))
        self.peers.remove(peer)
        self._want_lists()
        self._set_keys()
        self.sessions.end(peer, Notification(CEASE, ADMINISTRATIVE_RESET))

    async def approve(self, id: str) -> Peer:
        """A peer that waits for a word gets its routes. Raises Refused."""
        peer = self.peer(id)
        status = "active" if id in self.sessions.sessions else "inactive"
        return await self._change(msgspec.structs.replace(peer, status=status))

    async def add_source(self, id: str, name: str, url: str, community: str | None) -> UrlSource:
        """Raises Refused."""
        peer = self._changeable(self.peer(id))
        if not name.strip() or not url.strip():
            raise Refused("name and url must not be empty")
        self._each("url", (url,), check_url)
        if community is not None:
            self._each("community", (community,), check_community)
        source = UrlSource(id=uuid.uuid4().hex, name=name.strip(), url=url.strip(), community=community)
        await self._change(msgspec.structs.replace(peer, sources=(*peer.sources, source)))
        return source

    async def change_source(self, id: str, source_id: str, active: bool) -> UrlSource:
        """Raises Refused."""
        peer = self._changeable(self.peer(id))
        found = next((each for each in peer.sources if each.id == source_id), None)
        if found is None:
            raise Refused("Source not found", 404)
        changed = msgspec.structs.replace(found, active=active)
        sources = tuple(changed if each is found else each for each in peer.sources)
        await self._change(msgspec.structs.replace(peer, sources=sources))
        return changed

    async def delete_source(self, id: str, source_id: str) -> None:
        """Raises Refused."""
        peer = self._changeable(self.peer(id))
        left = tuple(each for each in peer.sources if each.id != source_id)
        if len(left) == len(peer.sources):
            raise Refused("Source not found", 404)
        await self._change(msgspec.structs.replace(peer, sources=left))

    def accept(self, name: str) -> None:
        """The version of a list that waits for a word counts from now on. Raises Refused."""
        try:
            self.lists.accept(name)
        except KeyError:
            text = "no version of this list waits for a word" if name in self.lists else "List not found"
            raise Refused(text, 409 if name in self.lists else 404) from None

    def refresh_list(self, name: str) -> None:
        """Asks the source of a list at once. Raises Refused."""
        if name not in self.lists:
            raise Refused("List not found", 404)
        self.lists.refresh(name)

    async def _change(self, peer: Peer) -> Peer:
        await self._stored(self.store.save(peer))
        self.peers.put(peer)
        self._want_lists()
        self._set_keys()
        self._refresh(peer)
        return peer

    async def _stored(self, doing: Any) -> None:
        try:
            await doing
        except StoreError as error:
            self.log.error("the database can't be written", error=str(error))
            raise Refused("the database can't be written now", 503) from None

    def _changeable(self, peer: Peer) -> Peer:
        if peer.owner == "config":
            raise Refused("this peer stands in the configuration, and is changed there", 409)
        return peer

    def _checked(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of a peer as they are kept. Raises Refused."""
        checked = dict(fields)
        for name, check in _CHECKS.items():
            if name in fields:
                checked[name] = tuple(dict.fromkeys(self._each(name, fields[name], check)))
        for name, check in _TEXT_CHECKS.items():
            if fields.get(name):
                checked[name] = self._each(name, (fields[name],), check)[0]
        if len(fields.get("description", "")) > MAX_DESCRIPTION:
            raise Refused(f"description: more than {MAX_DESCRIPTION} characters")
        if fields.get("max_prefix") is not None and fields["max_prefix"] < 0:
            raise Refused("maxPrefix: a number from 0 is expected")
        for asn in fields.get("custom_asns", ()):
            _check_asn(asn)
        if unknown := [name for name in fields.get("lists", ()) if name not in self.lists or self.lists[name].private]:
            raise Refused(f"unknown lists: {', '.join(unknown)}")
        return checked

    @staticmethod
    def _each(name: str, texts: Iterable[str], check: Callable[[str], str]) -> list[str]:
        try:
            return list(map(check, texts))
        except ValueError as error:
            raise Refused(f"{_camel(name)}: {error}") from None


def _camel(name: str) -> str:
    """The name of a field as JSON has it."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _differ(old: Config, new: Config, name: str) -> bool:
    return bool(getattr(old.bgp, name) != getattr(new.bgp, name))


def _pascal(name: str) -> str:
    return "Bgp." + "".join(map(str.capitalize, name.split("_")))


def _check_asn(asn: int) -> None:
    if not 0 <= asn <= 0xFFFFFFFF or asn in RESERVED_AS:
        raise Refused(f"{asn}: this can be nobody's AS number")


_CHECKS: Final[dict[str, Callable[[str], str]]] = {
    "custom_prefixes": check_prefix,
    "exclude": check_prefix,
    "communities": check_community,
    "lists": str,
}
_TEXT_CHECKS: Final[dict[str, Callable[[str], str]]] = {
    "md5_password": check_password,
    "next_hop": check_next_hop,
    "next_hop_ipv6": check_next_hop_ipv6,
}
