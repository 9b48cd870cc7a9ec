"""What may be done to a route server while it runs: peers, lists and tokens are looked up, added, changed, removed.

A change counts when the store has it; then sessions get the difference.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from ..routes.difference import Comparison
from ..routes.explain import Explanation, Outcome, explain, withheld
from ..routes.prefixes import EMPTY, PrefixSet
from ..tasks import in_thread
from ..wire.errors import TextError
from ..wire.notification import ADMINISTRATIVE_RESET, CONNECTION_REJECTED, Notification
from . import snippets
from .access import Token, hash_of, new_secret, peer_key
from .audit import Entry, peer_changes
from .config import TokenRole
from .events import Kind
from .group_management import GroupManagement
from .list_management import Refused
from .peers import Peer, Status, UrlSource, new_peer
from .rule_checks import NUMBERS, camel, each_of, unique
from .settings import DEFAULT, OPTION_CHECKS, SessionOptions
from .sources.base import SourceError
from .sources.content import ContentError
from .sources.lines import line_in_file
from .sources.worker import read_list
from .trials import Trial, try_change, try_difference, try_subscription
from .values import (
    check_address,
    check_asn,
    check_community,
    check_next_hop,
    check_next_hop_ipv6,
    check_password,
    check_peer_address,
    check_peer_key,
    check_template_address,
    check_url,
    check_written,
)

__all__ = ["Management", "Refused"]
REMOVED: Final = "this peer was removed from the route server"
RESET: Final = "an operator has reset this session: it may begin anew"
BARRED: Final = "this peer is barred from the route server: ask its operator"
AS_TIMEOUT: Final = 30.0
"""Seconds that RIPEstat may take while somebody waits for the answer."""
MAX_NAME: Final = 100
"""Characters of the name of a token."""
MAX_SOURCES: Final = 64
"""Lists at URLs that one peer may have."""


_WITHHELD: Final = {"pending": Outcome.NOT_APPROVED, "barred": Outcome.BARRED}
"""What becomes of all routes of a peer, by its status."""


def _any(peer: Peer) -> bool:
    return True


class Management(GroupManagement):
    """The operations of the API, without HTTP. All raise Refused."""

    def peer(self, id: str) -> Peer:
        """Raises Refused."""
        found = self.server.peers.get(id)
        if found is None:
            raise Refused("Peer not found", 404)
        return found

    def peers_at(self, ip: str) -> list[Peer]:
        """The peers at an address, at least one. Raises Refused."""
        try:
            found = self.server.peers.at(check_peer_address(ip))
        except ValueError as error:
            raise Refused(str(error)) from None
        if not found:
            raise Refused("Peer not found", 404)
        return found

    def why(self, peer: Peer, target: str) -> Explanation:
        """Which list gives a peer an address or a prefix, or why it has none. Raises Refused."""
        try:
            tables = self.server.tables
            if (outcome := _WITHHELD.get(peer.status)) is not None:
                return withheld(explain(target, tables.subscription(peer), tables.tables), outcome)
            return explain(target, tables.subscription(peer), tables.tables, tables.of(peer).table)
        except TextError as error:
            raise Refused(str(error)) from None

    def why_not(self, peer: Peer, found: Explanation) -> str:
        """Why there is no route, where no step says that; "" where one does, or there is a route."""
        if found.route is not None:
            return ""
        if peer.status in _WITHHELD:
            return self.server.tables.of(peer).why
        if unread := self.server.tables.unread(peer):
            return f"lists were never read: {', '.join(unread)}"
        return "" if found.steps else "none of the peer's lists has it"

    async def lines(self, found: Explanation) -> list[int | None]:
        """For each step of an explanation the line of the file in which its prefix stands; None for other lists."""
        folder = self.server.api_context().folder
        lines = []
        for step in found.steps:
            known = self.server.lists.lists.get(step.source)
            settings = known.settings if known is not None else None
            if settings is not None and settings.kind == "file" and not (settings.json or settings.column):
                place = partial(line_in_file, folder / settings.path, str(step.prefix))
                lines.append(await in_thread("line", place))
            else:
                lines.append(None)
        return lines

    def setup(self, peer: Peer, kind: str, server: str = "", gateway: str = "", gateway6: str = "") -> list[str]:
        """What to put into a router of this kind so that it has this peer's session.

        server: our address, "" for that of the session as it is. gateway, gateway6: next hops that the router gives to
        our routes, "" where nobody has said one. Raises Refused.
        """
        make = snippets.KINDS.get(kind)
        if make is None:
            raise Refused(f"there is no text for {kind!r}, but for {', '.join(snippets.KINDS)}", 404)
        for name, text, check in (
            ("server", server, check_address),
            ("gateway", gateway, check_next_hop),
            ("gateway6", gateway6, check_next_hop_ipv6),
        ):
            if text:
                each_of(name, (text,), check)
        if peer.is_network:
            raise Refused(f"{peer.ip} is a network: each router in it has a text of its own", 409)
        tables = self.server.tables
        peer = msgspec.structs.replace(tables.with_group(peer), next_hop_ipv6=tables.rules(peer).next_hop_ipv6)
        session = self.server.sessions.sessions.get(peer.id)
        own = session.local.partition("%")[0] if session is not None else ""
        return make(snippets.values_for(peer, self.server.config.bgp, server or own, gateway, gateway6))

    async def try_subscription(self, fields: dict[str, Any]) -> Trial:
        """What a new peer with these fields would be announced. Raises Refused."""
        return await try_subscription(self.server.tables, **self.checked(fields, new_peer("", 0)))

    async def try_change(self, peer: Peer, fields: dict[str, Any]) -> Trial:
        """What a peer with these fields would be announced. Raises Refused."""
        return await try_change(self.server.tables, peer, **self.checked(fields, peer))

    async def diff(self, peer: Peer, fields: dict[str, Any]) -> Comparison:
        """What would change for a peer with these fields; with none, what it still has to be told. Raises Refused."""
        return await try_difference(self.server.tables, peer, self.server.table_of(peer), **self.checked(fields, peer))

    async def add_peer(self, ip: str, asn: int, fields: dict[str, Any], *, status: Status = "inactive") -> Peer:
        """A peer, or a known one whose description and subscription are replaced. status: of one that was not known.

        Raises Refused.
        """
        async with self.server.changing:
            base, fresh = self._added(ip, asn, fields)
            known = self.server.peers.get(base.id) is not None
            base = base if known else msgspec.structs.replace(base, status=status)
            return await self._change("replace peer" if known else "add peer", base, fresh)

    def would_add(self, ip: str, asn: int, fields: dict[str, Any]) -> Peer:
        """What add_peer would make. Raises Refused."""
        base, fresh = self._added(ip, asn, fields)
        return msgspec.structs.replace(base, **fresh)

    def _added(self, ip: str, asn: int, fields: dict[str, Any]) -> tuple[Peer, dict[str, Any]]:
        """The peer as it is, or a new one; and what it is to have."""
        try:
            address = check_template_address(ip)
        except ValueError as error:
            raise Refused(str(error)) from None
        if asn or "/" not in address:
            self._asn(asn)
        known = self.server.peers.find(address, asn)
        base = known or new_peer(address, asn)
        fresh: dict[str, Any] = {"description": "", "lists": (), "custom_prefixes": (), "custom_asns": ()}
        if base.template:  # from now on it is known itself, and has nothing of the network
            kept = ("id", "ip", "asn", "status", "created_at", "last_session_at")
            fresh = {each.name: each.default for each in msgspec.structs.fields(Peer) if each.name not in kept}
            base = msgspec.structs.replace(base, **fresh)
        elif known is not None:
            self._changeable(known)
        return base, fresh | dict.fromkeys((*NUMBERS, "union", "max_routes_action")) | self.checked(fields, base)

    async def change_peer(self, id: str, fields: dict[str, Any], *, expected: Callable[[Peer], bool] = _any) -> Peer:
        """Changes what `fields` has. expected: whether the peer still is as the one who asks knows it.

        Raises Refused.
        """
        async with self.server.changing:
            peer = self._expected(id, expected)
            return await self._change("change peer", peer, self.checked(fields, peer))

    async def delete_peer(self, id: str, *, expected: Callable[[Peer], bool] = _any) -> None:
        """Ends the session, and forgets the peer. Raises Refused."""
        async with self.server.changing:
            peer = self._expected(id, expected)
            entry = self.actor.entry("delete peer", peer_key(peer), peer_changes(peer, None))
            await self._stored(self.server.store.remove(id, entry))
            members = self.server.affected(peer) if peer.is_network else []
            self.server.remove_peer(self.server.peers.get(id) or peer)
            self.server.ends.pop(id, None)
            self.server.tables.forget(peer)
            self.server.events.tell("peer.deleted", id, ip=peer.ip, asn=peer.asn)
        self.server.want_lists()
        self.server.set_keys()
        self.server.sessions.end(peer, Notification.shutdown(REMOVED, ADMINISTRATIVE_RESET))
        for each in members:  # they are in a shorter network now, or not known any more
            if (known := self.server.peers.get(each.id)) is not None:
                self.server.refresh(known)
                self.server.sessions.options_changed(self.server.tables.with_group(known))

    async def approve(self, id: str) -> Peer:
        """A peer that waits for a word gets its routes. Raises Refused."""
        async with self.server.changing:
            peer = self.peer(id)
            if peer.template:
                self._changeable(peer)
            status = "active" if id in self.server.sessions.sessions else "inactive"
            return await self._change("approve peer", peer, {"status": status})

    async def bar(self, id: str) -> Peer:
        """Ends the session of a peer, which may not come back until it is approved. Its subscription is forgotten.

        Raises Refused.
        """
        async with self.server.changing:
            peer = self._changeable(self.peer(id))
            fresh = Peer(id="", ip="", asn=0)
            kept = ("id", "ip", "asn", "description", "created_at", "last_session_at", "owner")
            fields = {name: getattr(fresh, name) for name in Peer.__struct_fields__ if name not in kept}
            changed = await self._change("bar peer", peer, fields | {"status": "barred"})
        for each in self.server.affected(changed):
            self.server.sessions.end(each, Notification.shutdown(BARRED, CONNECTION_REJECTED))
        return changed

    async def reset(self, id: str) -> None:
        """Ends the session of a peer, which may come back at once. Raises Refused."""
        peer = self._in_session(id)
        await self._stored(self.server.store.note(self.actor.entry("reset peer", peer_key(peer))))
        self.server.sessions.end(peer, Notification.shutdown(RESET, ADMINISTRATIVE_RESET))

    def announce_again(self, id: str) -> None:
        """Sends a peer all its routes once more. Raises Refused."""
        self.server.sessions.sessions[self._in_session(id).id].announcer.announce_again()

    def _in_session(self, id: str) -> Peer:
        peer = self.peer(id)
        session = self.server.sessions.sessions.get(id)
        if session is None or not session.up:
            raise Refused("the peer has no session", 409)
        return peer

    async def as_prefixes(self, asn: int) -> PrefixSet:
        """What an AS number originates, as RIPEstat says. Raises Refused."""
        self._asn(asn)
        try:
            async with asyncio.timeout(AS_TIMEOUT):
                fetched = await self.server.source("asn", f"AS{asn}", asn=asn).fetch("")
                content = (
                    await read_list(fetched.octets, fetched.form, self.server.lane) if fetched is not None else None
                )
        except TimeoutError:
            raise Refused(f"AS{asn}: no answer within {AS_TIMEOUT:g} s", 504) from None
        except (SourceError, ContentError) as error:
            raise Refused(str(error), 502) from None
        return content.prefixes if content is not None else EMPTY

    async def add_source(self, id: str, name: str, url: str, community: str | None) -> UrlSource:
        """Raises Refused."""
        if not name.strip() or not url.strip():
            raise Refused("name and url must not be empty")
        each_of("url", (url,), check_url)
        if community is not None:
            each_of("community", (community,), check_community)
        source = UrlSource(id=uuid.uuid4().hex, name=name.strip(), url=url.strip(), community=community)
        async with self.server.changing:
            peer = self._changeable(self.peer(id))
            if len(peer.sources) >= MAX_SOURCES:
                raise Refused(f"a peer has at most {MAX_SOURCES} sources")
            await self._change("add source", peer, {"sources": (*peer.sources, source)})
        return source

    async def change_source(self, id: str, source_id: str, fields: dict[str, Any]) -> UrlSource:
        """Raises Refused."""
        async with self.server.changing:
            peer = self._changeable(self.peer(id))
            found = next((each for each in peer.sources if each.id == source_id), None)
            if found is None:
                raise Refused("Source not found", 404)
            changed = msgspec.structs.replace(found, **fields)
            sources = tuple(changed if each is found else each for each in peer.sources)
            await self._change("change source", peer, {"sources": sources})
        return changed

    async def delete_source(self, id: str, source_id: str) -> None:
        """Raises Refused."""
        async with self.server.changing:
            peer = self._changeable(self.peer(id))
            left = tuple(each for each in peer.sources if each.id != source_id)
            if len(left) == len(peer.sources):
                raise Refused("Source not found", 404)
            await self._change("delete source", peer, {"sources": left})

    async def add_token(self, name: str, role: TokenRole, peer: str) -> str:
        """The secret of a new token, which is told this once. peer: for the role peer. Raises Refused."""
        if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
            raise Refused(f"name: 1 to {MAX_NAME} printable characters are expected")
        if bool(peer) != (role == "peer"):
            raise Refused("peer: ADDRESS#AS is expected for the role peer, and for no other")
        key = each_of("peer", (peer,), check_peer_key)[0] if peer else ""
        secret = new_secret()
        token = Token(name=name, role=role, hash=hash_of(secret), peer=key, created_at=time.time())
        async with self.server.changing:
            if name in self.server.access.tokens:
                raise Refused(f"there is a token {name} already", 409)
            entry = self.actor.entry("add token", name, {"role": ("", role)})
            await self._stored(self.server.store.save_token(token, entry))
            self.server.access.set((*self.server.access.tokens.values(), token))
        return secret

    async def delete_token(self, name: str) -> None:
        """Raises Refused."""
        async with self.server.changing:
            found = self.server.access.tokens.get(name)
            if found is None:
                raise Refused("Token not found", 404)
            if found.owner == "config":
                raise Refused("this token stands in the configuration, and is removed there", 409)
            await self._stored(self.server.store.remove_token(name, self.actor.entry("delete token", name)))
            self.server.access.set(each for each in self.server.access.tokens.values() if each.name != name)

    async def audit(self, before: int, most: int) -> list[tuple[int, Entry]]:
        """What was changed, the newest first. before: only numbers below this, if it is not 0. Raises Refused."""
        return await self._stored(self.server.store.load_audit(before, most))

    async def _change(self, action: str, peer: Peer, fields: dict[str, Any]) -> Peer:
        """The lock is held. A session may come or go meanwhile: its status stays, unless `fields` has another one."""
        changed = msgspec.structs.replace(peer, **fields)
        entry = self.actor.entry(action, peer_key(peer), peer_changes(self.server.peers.get(peer.id), changed))
        await self._stored(self.server.store.save(changed, entry))
        now = self.server.peers.get(peer.id) or self.server.peers.find(peer.ip, peer.asn)
        changed = msgspec.structs.replace(now or peer, **fields)
        self.server.put_peer(changed)
        kind: Kind = "peer.changed" if now is not None else "peer.added"
        self.server.events.tell(kind, changed.id, ip=changed.ip, asn=changed.asn, status=changed.status, action=action)
        self.server.want_lists()
        self.server.set_keys()
        self.server.ends_ahead.watch(self.server.tables.ends(changed))
        for each in self.server.affected(changed):
            self.server.refresh(each)
            self.server.sessions.options_changed(self.server.tables.with_group(each))
        return changed

    def _expected(self, id: str, expected: Callable[[Peer], bool]) -> Peer:
        peer = self._changeable(self.peer(id))
        if not expected(peer):
            raise Refused("the peer has changed: read it again (If-Match)", 412)
        return peer

    def _changeable(self, peer: Peer) -> Peer:
        if peer.template:
            network = self.server.peers.get(peer.template)
            kind = "network" if network is None or network.is_network else "listener"
            what = f"the {kind} {network.ip}" if network is not None else "a network"
            raise Refused(f"this peer is known by {what} only: change that, or add this peer by itself", 409)
        if peer.owner == "config":
            raise Refused("this peer stands in the configuration, and is changed there", 409)
        return peer

    def checked(self, fields: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """The fields of a peer as they are kept. Raises Refused."""
        options = {name: fields[name] for name in fields.keys() & OPTION_CHECKS.keys()}
        checked = self.checked_rules({name: value for name, value in fields.items() if name not in options})
        if options.get("connect") and peer.is_network:
            raise Refused(f"connect: {peer.ip} is a network: nobody can call that")
        if options.get("ao_key") and options.get("ao_keys"):
            raise Refused("aoKeys: this or aoKey, not both")
        if options:
            checked["session"] = self._checked_options(options, peer.session)
        if "custom_prefixes" in fields:
            checked["custom_prefixes"] = unique("custom_prefixes", fields["custom_prefixes"], check_written)
        if fields.get("md5_password"):
            checked["md5_password"] = each_of("md5_password", (fields["md5_password"],), check_password)[0]
        if fields.get("group") and fields["group"] not in self.server.tables.groups:
            raise Refused(f"there is no group {fields['group']!r}")
        for asn in fields.get("custom_asns", ()):
            self._asn(asn)
        return checked

    @staticmethod
    def _checked_options(options: dict[str, Any], before: SessionOptions) -> SessionOptions:
        """What is fixed for a session: None, an empty text or an empty list fixes nothing, and 0 no AS number."""
        checked: dict[str, Any] = {}
        for name, value in options.items():
            field = "ao" if name in ("ao_key", "ao_keys") else name
            try:
                checked[field] = OPTION_CHECKS[name](value) if value is not None else getattr(DEFAULT, field)
            except ValueError as error:
                raise Refused(f"{camel(name)}: {error}") from None
        return msgspec.structs.replace(before, **checked)

    @staticmethod
    def _asn(asn: int) -> None:
        try:
            check_asn(asn)
        except ValueError as error:
            raise Refused(str(error)) from None
