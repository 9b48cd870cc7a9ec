"""What may be done to the lists of a route server while it runs.

Those of the database are made, changed and removed; all are looked up, asked for, accepted and rolled back; a source
can be tried, of which nothing is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from .audit import Actor
from .config import PrefixSource
from .list import List
from .server import RouteServer
from .source_checks import membership_faults, source_faults
from .sources import make_source
from .sources.base import Fetched, SourceError
from .sources.content import Content, ContentError
from .sources.worker import read_list
from .store.store import StoreError
from .versions import Difference, Version, VersionError

T = TypeVar("T")
MAX_NAME: Final = 120
"""Characters of the name of a list."""
MAX_LISTS: Final = 1000
"""Lists that the database may own."""
TRY_TIMEOUT: Final = 60.0
"""Seconds that a source may take while somebody waits for the answer."""
API_KINDS: Final = ("http", "asn", "country", "domain", "set")
"""Kinds of which lists can be made over the API: whoever may do that must not read files of this machine."""


class Refused(Exception):
    """What was asked for is not done. status: as HTTP has it."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class ListManagement:
    """actor: who asks for changes, for the audit log. All methods raise Refused."""

    def __init__(self, server: RouteServer, actor: Actor) -> None:
        self.server = server
        self.actor = actor

    def list_named(self, name: str) -> List:
        """Raises Refused."""
        if name not in self.server.lists:
            raise Refused(f"there is no list {name!r}", 404)
        return self.server.lists[name]

    async def add_list(self, name: str, fields: Mapping[str, Any]) -> List:
        """Makes a list that the database owns. fields: of PrefixSource. Raises Refused."""
        if len(name) > MAX_NAME or not name.isprintable() or name != name.strip() or "/" in name:
            raise Refused(f"name: at most {MAX_NAME} printable characters without / are expected")
        async with self.server.changing:
            if name in self.server.lists or name in self.server.database_lists:
                raise Refused(f"there is a list {name!r} already", 409)
            if len(self.server.database_lists) >= MAX_LISTS:
                raise Refused(f"the database has at most {MAX_LISTS} lists", 409)
            return await self._put("add list", None, self._checked_list(name, fields))

    async def change_list(self, name: str, fields: Mapping[str, Any]) -> List:
        """Changes what `fields` has. Raises Refused."""
        async with self.server.changing:
            before = self._own(name)
            changed = msgspec.structs.asdict(before) | dict(fields)
            del changed["name"]
            return await self._put("change list", before, self._checked_list(name, changed))

    async def delete_list(self, name: str) -> None:
        """Removes a list that nobody uses, and its versions. Raises Refused."""
        async with self.server.changing:
            before = self._own(name)
            if users := self._users(name):
                raise Refused(f"the list is in use by {', '.join(users)}", 409)
            entry = self.actor.entry("delete list", name, _changes(before, None))
            await self._stored(self.server.store.remove_list(name, entry))
            del self.server.database_lists[name]
            self.server.want_database_lists()

    async def try_list(self, fields: Mapping[str, Any]) -> tuple[Content, str]:
        """What a source says, read once, and what could not be had of it; nothing of it is kept. Raises Refused."""
        settings = self._checked_list("try", fields)
        if settings.kind == "set":
            raise Refused("kind: a set has no source that could be tried")
        timeout = min(TRY_TIMEOUT, settings.timeout or TRY_TIMEOUT)
        try:
            async with asyncio.timeout(timeout):
                source = make_source(settings.kind, settings, self.server.api_context())
                return await self._read(await source.fetch(""))
        except TimeoutError:
            raise Refused(f"no answer within {timeout:g} s", 504) from None
        except (SourceError, ContentError, ValueError) as error:
            raise Refused(str(error), 502) from None

    async def _read(self, fetched: Fetched | None) -> tuple[Content, str]:
        """Raises ContentError."""
        if fetched is None:
            return Content(), ""
        if fetched.prefixes is not None:
            return Content(fetched.prefixes, len(fetched.prefixes)), fetched.trouble
        return await read_list(fetched.octets, fetched.form, self.server.lane), fetched.trouble

    async def accept(self, name: str) -> None:
        """The version of a list that waits for a word counts from now on. Raises Refused."""
        if self.list_named(name).held is None:
            raise Refused("no version of this list waits for a word", 409)
        await self._stored(self.server.store.note(self.actor.entry("accept list", name)))
        try:
            self.server.lists.accept(name)
        except KeyError:  # its source has thought better of it meanwhile
            raise Refused("no version of this list waits for a word", 409) from None

    def refresh_list(self, name: str) -> None:
        """Asks the source of a list at once. Raises Refused."""
        self.list_named(name)
        self.server.lists.refresh(name)

    async def versions(self, name: str) -> list[Version]:
        """The versions of a list, the newest first. Raises Refused."""
        self.list_named(name)
        return await self._list_work(self.server.lists.versions(name))

    async def difference(self, name: str, old: int, new: int) -> Difference:
        """What one version of a list has more than another one, and what it has not. Raises Refused."""
        self.list_named(name)
        return await self._list_work(self.server.lists.difference(name, old, new))

    async def rollback(self, name: str, number: int) -> None:
        """A list becomes one of its versions again, until what its source says is accepted. Raises Refused."""
        before = self.list_named(name).number
        if number not in {each.number for each in await self.versions(name)}:
            raise Refused(f"there is no version {number} of this list", 409)
        entry = self.actor.entry("roll back list", name, {"version": (before, number)})
        await self._stored(self.server.store.note(entry))
        await self._list_work(self.server.lists.rollback(name, number))

    @staticmethod
    async def _list_work(work: Awaitable[T]) -> T:
        try:
            return await work
        except KeyError:
            raise Refused("this list is no more", 404) from None
        except VersionError as error:
            raise Refused(str(error), 409) from None
        except OSError as error:
            raise Refused(f"kept versions can't be read: {error.strerror}", 503) from None

    async def _put(self, action: str, before: PrefixSource | None, after: PrefixSource) -> List:
        """The lock is held."""
        entry = self.actor.entry(action, after.name, _changes(before, after))
        await self._stored(self.server.store.save_list(after, entry))
        self.server.database_lists[after.name] = after
        self.server.want_database_lists()
        return self.server.lists[after.name]

    def _own(self, name: str) -> PrefixSource:
        """The settings of a list of the database. Raises Refused."""
        found = self.list_named(name)
        if found.owner == "config":
            raise Refused("this list stands in the configuration, and is changed there", 409)
        if found.owner == "peers":
            raise Refused("this list is that of peers, and is changed with them", 409)
        return found.settings

    def _checked_list(self, name: str, fields: Mapping[str, Any]) -> PrefixSource:
        """The settings of a list. Raises Refused."""
        try:
            settings = msgspec.convert(
                {"Name": name, "Kind": "http"} | {_KEYS[key]: value for key, value in fields.items()}, PrefixSource
            )
        except msgspec.ValidationError as error:
            raise Refused(_in_camel_case(str(error))) from None
        if settings.kind not in API_KINDS:
            raise Refused(f"kind: one of {', '.join(API_KINDS)} is expected; others stand in the configuration")
        others = {each.name: each.settings for each in self.server.lists.public} | {name: settings}
        wrong = [*source_faults(settings)]
        wrong += [fault for list_name, fault in membership_faults(others, lambda name: False) if list_name == name]
        if wrong:
            raise Refused("; ".join(f"{_camel(fault.key)}: {fault.text}" for fault in wrong))
        return settings

    def _users(self, name: str) -> list[str]:
        """Who would miss a list."""
        sets = [f"the list {each.name}" for each in self.server.lists.public if name in each.settings.members]
        peers = [f"{each.ip}#{each.asn}" for each in self.server.peers if name in self.server.tables.lists_of(each)]
        shown = [f"the peer {each}" for each in peers[:3]]
        sets += [f"the group {each.name}" for each in self.server.tables.groups.values() if name in each.lists]
        return sets + shown + ([f"{len(peers) - 3} other peers"] if len(peers) > 3 else [])

    async def _stored(self, doing: Awaitable[T]) -> T:
        try:
            return await doing
        except StoreError as error:
            self.server.log.error("the database can't be used", error=str(error))
            raise Refused("the database can't be used now", 503) from None


_KEYS: Final = {each.name: each.encode_name for each in msgspec.structs.fields(PrefixSource)}
"""Of the configuration, by name of the field."""
_SECRET: Final = "changed"


def _changes(before: PrefixSource | None, after: PrefixSource | None) -> dict[str, tuple[Any, Any]]:
    """The fields that differ. No secret is in them."""
    old, new = (msgspec.to_builtins(each) if each is not None else {} for each in (before, after))
    found = {}
    for name in old.keys() | new.keys():
        if old.get(name) != new.get(name) and (old.get(name) or new.get(name)):
            found[_camel(name)] = (_shown(name, old.get(name)), _shown(name, new.get(name)))
    return found


def _shown(name: str, value: Any) -> Any:
    return _SECRET if name in ("Headers", "Url", "Options") and value else value


def _camel(key: str) -> str:
    return key[:1].lower() + key[1:]


def _in_camel_case(text: str) -> str:
    """What is wrong with a value, with the key as the API spells it."""
    reason, _, place = text.partition(" - at `$.")
    return f"{_camel(place.rstrip('`'))}: {reason}" if place else reason
