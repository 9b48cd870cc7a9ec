"""A route server: peers, lists, sessions and store together.

BGP works from memory; `management` changes it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from ..net.secret import read_secret
from ..net.tcp import parse_networks
from ..pipeline.log import Log
from ..routes.peer_routes import PeerRoutes
from ..routes.table import Table
from ..rpki.snapshot import Snapshot
from ..tasks import Tasks, Timer
from ..wire.notification import ADMINISTRATIVE_RESET, Notification
from ..wire.open import Open
from .access import Access, configured
from .admission import Admission, Entrance
from .config import Config, PrefixSource, all_lists
from .configured_peers import PeerRegistry
from .ends import Ends
from .events import Events
from .groups import PeerGroup
from .kept_routes import KeptRoutes, RouteKeeper
from .keys import Key, joined
from .list import List, Owner
from .listening import with_keys
from .lists import ListEvent, Lists
from .peer_writer import PeerWriter
from .peers import Peer, Peers
from .rov import Validator
from .rpki import RpkiValidator
from .rules import until
from .sessions import PeerSession, PeerSessions
from .sources import make_source
from .sources.base import Source
from .sources.context import Context
from .sources.fetch import PUBLIC_PORTS, Fetcher
from .sources.ripestat import RipeStatClient
from .sources.worker import Lane
from .store.sealing import KEY_FILE, Seal, SealError, kept_key
from .store.store import Store, StoreError, Turn
from .tables import PeerTables, View
from .webhooks import Webhooks

DATABASE: Final = "bgplite.db"


class Ended(NamedTuple):
    """at: seconds since 1970 (UTC). why: in words."""

    at: float
    why: str


class RouteServer:
    """data: the folder for all state. folder: where relative paths of the configuration begin."""

    def __init__(self, config: Config, folder: Path, data: Path, log: Log) -> None:
        self.config = config
        self.log = log
        self.data = data
        self.started_at = self.configured_at = time.time()
        self.peers = Peers()
        self.registry = PeerRegistry(self.peers)
        self.store = Store(config.database or str(data / DATABASE))
        self.access = Access(config, self.peers)
        self.changing = Turn()
        """held by who changes peers or tokens, from what it reads to what it writes"""
        self.writer = PeerWriter(self.peers, self.store, self.changing, log)
        self.fetcher = Fetcher(parse_networks(config.allowed_networks))
        self.private_fetcher = Fetcher(parse_networks(config.allowed_networks), PUBLIC_PORTS)
        self._folder = folder
        self.lists = Lists(self._contexts(config), data / "lists", config.auto_refresh, log)
        self.lists.on_change = self._on_list
        self.lists.on_note = self._on_list_note
        self.events = Events()
        self.webhooks = Webhooks(self.events, self.fetcher, log)
        self.tables = PeerTables(config, self.lists)
        self.keeper = RouteKeeper(KeptRoutes(data / "routes"), log)
        self.tables.limited.load = self.keeper.kept.load
        self.tables.limited.on_change = self.keeper.keep
        self.admission = Admission(self.peers, lambda: self.config.bgp.unknown_peers, self._on_new)
        self.sessions = PeerSessions(config.bgp, log, identify=self._identify, begin=self._begin, stages=config.stages)
        self.sessions.on_up = self._on_up
        self.sessions.on_down = self._on_down
        self.database_lists: dict[str, PrefixSource] = {}
        """the lists that the database owns"""
        self.database_groups: dict[str, PeerGroup] = {}
        """the groups that the database owns"""
        self.lane = Lane()
        """of lists that are read once, for who waits for them"""
        self.ends: dict[str, Ended] = {}
        """by the peer's id, how its last session ended"""
        self._tasks: Tasks
        self._settling: Timer | None = None
        self._changed: set[str] = set()
        """lists that have changed, and are not in the tables yet"""
        self._updating = False
        self.validator: Validator | RpkiValidator | None = None
        self._validating: asyncio.Task[None] | None = None
        """when the next entry is over, in seconds since 1970, or earlier"""
        self.ends_ahead = Ends(self._on_end)
        self._preparing: set[str] = set()
        """peers whose routes are being worked out"""
        self._widening: set[str] = set()
        """peers whose routes are being widened"""

    async def start(self, tasks: Tasks) -> None:
        """Raises StoreError, OSError, ValueError."""
        self._tasks = tasks
        self.writer.start(tasks)
        self.keeper.start(tasks)
        self.data.mkdir(parents=True, exist_ok=True)
        self.store.seal = self._seal()
        await self.store.open()
        await self.store.close_texts()
        for peer in await self.store.load():
            ended = peer.status == "active"  # it was, when the run before ended
            self.put_peer(msgspec.structs.replace(peer, status="inactive") if ended else peer)
        self.access.set((*await self.store.load_tokens(), *configured(self.config)))
        self.database_groups = {each.name: each for each in await self.store.load_groups()}
        self.tables.take_groups(self.database_groups)
        self._warn_of_groups()
        self.peers.listen(map(with_keys, self.config.bgp.listeners))
        self._end_strangers(self.registry.configure(self.config))
        self.lists.want("config", _by_name(all_lists(self.config)))
        self.database_lists = _by_name(await self.store.load_lists())
        for name in self.database_lists.keys() & self.lists.lists.keys():
            self.log.warning("a list of the database is that of the configuration, while this has one", list=name)
        self.lists.want("database", self.database_lists)
        self.want_lists()
        self.tables.update(self.lists.lists)
        self._take_keys()
        await self.sessions.listen()
        self.sessions.start(tasks)
        tasks.spawn("database", self.store.watch(self._on_store_trouble))
        self._call_peers()
        self.webhooks.start(tasks, self.config.webhooks)
        self.lists.start(tasks)
        self._start_validation()
        self.ends_ahead.start(tasks)

    def _seal(self) -> Seal | None:
        """What encrypts secrets in the database. Raises OSError, StoreError."""
        named = self.config.database_key
        if not named and self.store.is_file:
            return None
        try:
            return Seal(read_secret(named)[0] if named else kept_key(self.data / KEY_FILE))
        except SealError as error:
            raise StoreError(f"{self.store.place}: {error}") from None

    async def stop(self) -> None:
        """Ends all sessions."""
        await self.sessions.stop()

    async def close(self) -> None:
        await self.sessions.close()
        await self.fetcher.close()
        await self.private_fetcher.close()
        await self.store.close()

    def _contexts(self, config: Config) -> dict[Owner, Context]:
        """What lists have to work with. Who may only change a peer may only ask what everybody may ask."""
        own = Context(self._folder, self.fetcher, RipeStatClient(config.ripe_stat, self.fetcher), config.irr)
        return {"config": own, "database": own, "peers": replace(own, fetcher=self.private_fetcher)}

    def api_context(self) -> Context:
        """What sources have to work with that somebody names over the API."""
        return self._contexts(self.config)["database"]

    def members(self, group: str) -> list[Peer]:
        """The peers in a group, and what stands for networks of such peers."""
        return [each for each in (*self.peers, *self.peers.templates) if each.group == group]

    def take_groups(self, changed: str) -> None:
        """A group of the database has come, gone or changed."""
        self.tables.take_groups(self.database_groups)
        self.set_keys()
        for peer in self.members(changed):
            self.refresh(peer)
            self.ends_ahead.watch(self.tables.ends(peer))
            self.sessions.options_changed(self.tables.with_group(peer))

    def _warn_of_groups(self) -> None:
        for group in self.config.groups:
            if group.name in self.database_groups:
                text = "a group of the database is that of the configuration, while this has one"
                self.log.warning(text, group=group.name)

    def want_database_lists(self) -> None:
        """Lists of the database have come, gone or changed."""
        changed = self.lists.want("database", self.database_lists)
        self.tables.update(changed)
        self.ends_ahead.watch(self.tables.list_ends(changed).values())
        for session in tuple(self.sessions.sessions.values()):
            peer = self.peers.get(session.peer.id) or session.peer
            if changed.intersection(self.tables.lists_of(peer)):
                self.refresh(peer)

    def source(self, kind: str, name: str, **settings: Any) -> Source:
        """A source that is asked once. Raises ValueError."""
        return make_source(
            kind, PrefixSource(name=name, **{"kind": kind} | settings), self._contexts(self.config)["database"]
        )

    def want_lists(self) -> None:
        """Peers with the same URL or AS number share one list."""
        wanted: dict[str, PrefixSource] = {}
        for peer in (*self.peers, *self.peers.templates):
            wanted |= self.tables.private(peer)
        self.tables.update(self.lists.want("peers", wanted))

    def set_keys(self) -> None:
        """Tells the sessions whose segments are signed, and who is to be called."""
        self._take_keys()
        self._call_peers()

    def _take_keys(self) -> None:
        """Peers behind one address share its MD5 key, since the kernel knows no more of a peer than that."""
        keys: dict[str, list[Key]] = {}
        for peer in (*self.peers, *self.peers.templates):
            if peer.md5_password or peer.session.ao:
                keys.setdefault(peer.ip, []).append(Key(peer.md5_password, peer.session.ao))
        found = {address: joined(each) for address, each in keys.items()}
        for address in (address for address, (_, odd) in found.items() if odd):
            self.log.warning("peers with one address have different keys: the first one counts", peer=address)
        self.sessions.keys.change({address: key for address, (key, _) in found.items()})

    def _call_peers(self) -> None:
        self.sessions.call(self.tables.with_group(peer) for peer in self.peers if peer.session.connect)

    def put_peer(self, peer: Peer) -> None:
        """Adds a peer or a network of the database, or changes it. Sessions are not told yet: see `refresh`."""
        self._end_strangers(self.registry.put(peer))

    def remove_peer(self, peer: Peer) -> None:
        """Forgets a peer or a network of the database. Its session goes on until it is ended."""
        self._end_strangers(self.registry.remove(peer))

    def _end_strangers(self, gone: Iterable[Peer]) -> None:
        for peer in gone:
            text = f"AS{peer.asn} at {peer.ip} is no peer of this route server any more"
            self.sessions.end(peer, Notification.shutdown(text, ADMINISTRATIVE_RESET))

    def affected(self, peer: Peer) -> list[Peer]:
        """The peer itself, or those that are known by this network only."""
        return [each for each in self.peers if each.template == peer.id] if peer.is_network else [peer]

    def reload(self, config: Config) -> None:
        """Takes another configuration. Sessions stay, and get what differs for them."""
        old, self.config = self.config, config
        self.access.configure(config)
        self.webhooks.configure(config.webhooks)
        self.sessions.configure(config.bgp)
        self.sessions.stages.configure(config.stages)
        self.fetcher.networks = self.private_fetcher.networks = parse_networks(config.allowed_networks)
        validated = self.tables.validated()
        self.tables.configure(config)
        self._warn_of_groups()
        if (old.ripe_stat, old.irr, old.auto_refresh) != (config.ripe_stat, config.irr, config.auto_refresh):
            self.lists.configure(self._contexts(config), config.auto_refresh)
        self.tables.update(self.lists.want("config", _by_name(all_lists(config))))
        self.peers.listen(map(with_keys, config.bgp.listeners))
        self._end_strangers(self.registry.configure(config))
        self.want_lists()
        self.set_keys()
        for session in tuple(self.sessions.sessions.values()):
            peer = self.peers.get(session.peer.id) or session.peer
            self.refresh(peer)
            self.sessions.options_changed(self.tables.with_group(peer))
        if kept := [name for name, field in _AT_START.items() if getattr(old, field) != getattr(config, field)]:
            self.log.warning("what has changed here counts after a restart", keys=",".join(kept))
        if config.rov != old.rov:
            self.tables.vrps = self.tables.vrps or Snapshot()  # what is announced stays until VRPs are read
            self.tables.update(validated | self.tables.validated())
            self._start_validation()
        self._watch_ends()
        self.configured_at = time.time()
        self.log.info("the configuration was read anew")
        self.events.tell("config.reloaded")

    # sessions

    def _identify(self, host: str, client: Open, entrance: Entrance) -> Peer | str:
        """The peer that has called, or why it may not come in."""
        peer = self.admission.admit(host, client, entrance)
        if isinstance(peer, str):
            return peer
        self.ends_ahead.watch(self.tables.ends(peer))  # that of a network, a group or the defaults is new with it
        return self.tables.with_group(peer)

    def _on_new(self, peer: Peer) -> None:
        self.writer.save(peer)
        self.events.tell("peer.added", peer.id, ip=peer.ip, asn=peer.asn, status=peer.status)

    async def _begin(self, session: PeerSession) -> tuple[PeerRoutes, View]:
        await self.tables.prepare(self.peers.get(session.peer.id) or session.peer, self.sessions.turns)
        view = self.tables.of(self.peers.get(session.peer.id) or session.peer)
        if not view.settled:
            self._widen(session.peer.id)
        facts = session.link.facts
        form = self.tables.form(session.peer.asn, session.local, facts, session.announcer.settings().asn)
        return PeerRoutes(view.table, form, self.tables.tables.encodings), view

    def _on_up(self, session: PeerSession) -> None:
        peer = self.peers.get(session.peer.id)
        if peer is not None:
            status = "pending" if peer.status == "pending" else "active"
            self._remember(msgspec.structs.replace(peer, status=status, last_session_at=time.time()))
            self.events.tell("session.up", peer.id, ip=peer.ip, asn=peer.asn)

    def _on_down(self, session: PeerSession, reason: str) -> None:
        peer = self.peers.get(session.peer.id)
        if peer is not None:
            self.ends[peer.id] = Ended(time.time(), reason)
            if session.since:
                self.events.tell("session.down", peer.id, ip=peer.ip, asn=peer.asn, why=reason)
        if peer is None or self.sessions.of(peer.id):
            return
        if peer.template:
            self.peers.remove(peer)
            self.ends.pop(peer.id, None)
            self.tables.forget(peer)
        elif peer.status == "active":
            self._remember(msgspec.structs.replace(peer, status="inactive"))

    def _remember(self, peer: Peer) -> None:
        """Another status, in memory, and in the store as soon as that can be."""
        self.peers.put(peer)
        self.writer.touch(peer)

    def _on_store_trouble(self, why: str) -> None:
        if why:
            self.log.error("the database can't be used: sessions go on, peers can't be changed", error=why)
        else:
            self.log.info("the database can be used again")

    def _start_validation(self) -> None:
        """Reads VRPs from now on, if the configuration names some."""
        if self._validating is not None:
            self._validating.cancel()
            self._validating = self.validator = None
        rov = self.config.rov
        if rov.on:
            if rov.rpki:
                self.validator = RpkiValidator(rov, self._folder, self.data, self.log)
            else:
                self.validator = Validator(rov, self._folder, self.data, self.fetcher, self.log)
            self.validator.on_change = self._on_vrps
            self._validating = self._tasks.spawn("VRPs", self.validator.run())

    def _on_vrps(self, vrps: Snapshot) -> None:
        self.tables.vrps = vrps
        for name in self.tables.validated():
            self._on_list(name)

    # changes of lists and peers reach the sessions

    def _on_list(self, name: str) -> None:
        """Changes that come together are announced together."""
        self.ends_ahead.watch(self.tables.list_ends((name,)).values())
        if name in self.lists:
            self.events.tell("list.changed", list=name, prefixes=len(self.lists[name].prefixes))
        self._changed.add(name)
        if self._settling is None and not self._updating:
            self._settling = self._tasks.call_later("settle", self.config.bgp.settle, self._settle)

    def _on_list_note(self, kind: ListEvent, each: List, text: str) -> None:
        self.events.tell(kind, list=each.name, why=text)
        if kind == "list.failed" and not each.known:
            self._tasks.call_soon("list", self._await_no_longer)

    def _await_no_longer(self) -> None:
        """A list will not be there soon: sessions that have waited for it get what there is."""
        for session in tuple(self.sessions.sessions.values()):
            if session.up and session.announcer.told is None:
                self._announce(session, self.peers.get(session.peer.id) or session.peer)

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
                        await self.tables.prepare(peer, self.sessions.turns)
                        self._announce(session, self.peers.get(session.peer.id) or session.peer)
                        await asyncio.sleep(0)
        finally:
            self._updating = False

    def refresh(self, peer: Peer) -> None:
        """Gives the session of a peer what is new for it; in a moment, if that takes a while to work out."""
        if not self.tables.is_prepared(peer) and self.sessions.of(peer.id):
            if peer.id not in self._preparing and not self._tasks.closing:
                self._preparing.add(peer.id)
                self._tasks.spawn("routes", self._refresh_slowly(peer.id))
            return
        for session in self.sessions.of(peer.id):
            if session.up:
                self._announce(session, peer)

    async def _refresh_slowly(self, id: str) -> None:
        try:
            while (peer := self.peers.get(id)) is not None and not self.tables.is_prepared(peer):
                await self.tables.prepare(peer, self.sessions.turns)
        finally:
            self._preparing.discard(id)
        if peer is not None:
            self.refresh(peer)

    def _announce(self, session: PeerSession, peer: Peer) -> None:
        view = self.tables.of(peer)
        session.announcer.announce(view)
        if not view.settled:
            self._widen(peer.id)

    def _widen(self, id: str) -> None:
        """Has the routes of a peer widened, if it has more than its MaxRoutes."""
        if id not in self._widening and not self._tasks.closing:
            self._widening.add(id)
            self._tasks.spawn("widen", self._widen_now(id))

    async def _widen_now(self, id: str) -> None:
        try:
            peer = self.peers.get(id)
            if peer is not None:
                await self.tables.settle(peer)
        finally:
            self._widening.discard(id)
        peer = self.peers.get(id)
        if peer is not None:
            self.refresh(peer)

    def _on_end(self, after: float, until: float) -> None:
        """What is over since then goes by itself: entries of peers, and lists."""
        for name, end in self.tables.list_ends().items():
            if after < end <= until:
                self._on_list(name)
        for peer in self.peers:
            if any(after < end <= until for end in self.tables.ends(peer)):
                self._forget_ended(peer, until)
                self.refresh(self.peers.get(peer.id) or peer)
        self._watch_ends()

    def _watch_ends(self) -> None:
        self.ends_ahead.watch(
            (*self.tables.list_ends().values(), *chain.from_iterable(map(self.tables.ends, self.peers)))
        )

    def _forget_ended(self, peer: Peer, now: float) -> None:
        custom_prefixes, exclude = until(peer.custom_prefixes, now), until(peer.exclude, now)
        if (
            peer.owner == "database"
            and not peer.template
            and (custom_prefixes, exclude) != (peer.custom_prefixes, peer.exclude)
        ):
            left = msgspec.structs.replace(peer, custom_prefixes=custom_prefixes, exclude=exclude)
            self.peers.put(left)
            self.writer.save(left)

    def advertised(self, peer: Peer) -> int:
        """How many routes its session has."""
        session = self.sessions.sessions.get(peer.id)
        return session.announcer.count if session is not None and session.up else 0

    def table_of(self, peer: Peer) -> Table | None:
        """What its session has been told; None if there is none."""
        session = self.sessions.sessions.get(peer.id)
        return session.announcer.table if session is not None and session.up else None


def _by_name(sources: Iterable[PrefixSource]) -> dict[str, PrefixSource]:
    return {each.name: each for each in sources}


_AT_START: Final = {"Database": "database", "DatabaseKey": "database_key"}
"""Keys that count when we start."""
